//! Reads multipart/mixed as it streams in (RFC 2046, section 5.1; xAPI 1.0.3, Communication 1.5.2).
//!
//! [`Boundary::of`] reads the request's `Content-Type`, then [`Multipart`] gives each part's [`Head`] and, piece by
//! piece, its bytes. What it promises:
//!
//! - Memory stays flat: beside one piece of the stream it holds a head or the beginning of a boundary.
//! - Where the stream is cut into pieces makes no difference, and nothing a client sends makes it panic (`fuzz`).
//! - A body is whole or an error: the closing boundary must be there.
//! - Only boundaries tell where a part ends: a declared length is as little believed as a statement's.
//!
//! What real senders do is taken: a line break before the first boundary, none after the last, no space after a
//! header's colon, boundaries that begin with dashes or are quoted, white space after them.
//!
//! A boundary ends a part also without the line break that must stand before it: `@xapi/xapi` and TinCanJS leave it
//! out. So a part that holds a boundary's whole line anywhere ends there, too early. Whoever uses this reader must have
//! a means to tell what is whole: JSON is whole or none, and the content of an attachment has its SHA-2.

use std::fmt;

use actix_web::web::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// The most bytes of a part's headers.
pub const HEAD_BYTES: usize = 8 * 1024;
/// The most bytes before the first boundary, and after the last: nobody reads them.
pub const AROUND_BYTES: usize = 8 * 1024;
/// The most characters of a boundary: RFC 2046 allows 70.
pub const BOUNDARY_BYTES: usize = 200;
/// The most white space between a boundary and the end of its line.
const PADDING_BYTES: usize = 256;

const LINE_END: &[u8] = b"\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The text that separates the parts of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

/// Why a body can't be read; the text says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError<E> {
    /// The stream failed.
    #[error("the body broke off or is framed wrongly")]
    Broken(E),
    /// It ends too early.
    #[error("the body ends without its closing boundary: two hyphens, the boundary, two hyphens")]
    Cut,
    /// Too much before the first boundary.
    #[error("more than {AROUND_BYTES} bytes stand before the first boundary; begin the body with it")]
    Before,
    /// Too much after the last boundary.
    #[error("more than {AROUND_BYTES} bytes follow the closing boundary; end the body with it")]
    After,
    /// A line begins with the boundary and is none.
    #[error("a line begins with the boundary and goes on; choose a boundary that no part contains")]
    Line,
    /// The headers of a part are too long.
    #[error("the headers of a part have more than {HEAD_BYTES} bytes; an empty line must end them")]
    LongHead,
    /// Something among the headers of a part is none.
    #[error("the headers of a part must be lines of `Name: value`, each once, ended by an empty line")]
    Head,
}

/// The headers of a part, as far as they matter; the others are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Transfer-Encoding`.
    pub transfer_encoding: Option<String>,
    /// `X-Experience-API-Hash`: the SHA-2 of the bytes (Communication 1.5.2).
    pub hash: Option<String>,
}

/// Reads a body part by part: [`Multipart::part`] goes to the next one, [`Multipart::piece`] through its bytes.
pub struct Multipart<S> {
    stream: S,
    ended: bool,
    /// A line break, two hyphens and the boundary.
    delimiter: Vec<u8>,
    buffer: BytesMut,
    at: At,
}

/// What comes next in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// What stands before the first boundary.
    Before,
    /// The headers of a part.
    Head,
    /// The line break that ends a part's headers, which a boundary may need where the part has no bytes.
    Start,
    /// The bytes of a part.
    Bytes,
    /// What follows the closing boundary.
    After,
}

/// What stands at a place of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A whole delimiter with the rest of its line, so many bytes.
    Delimiter { length: usize, last: bool },
    /// A line that begins with the boundary and is none.
    Broken,
    /// What the next bytes may make a delimiter.
    Open,
    /// Bytes.
    Nothing,
}

impl Boundary {
    /// The boundary that a `Content-Type` of multipart/mixed names; `None` for another media type.
    ///
    /// # Errors
    ///
    /// What is wrong with the boundary: there is none, or it is too long.
    pub fn of(content_type: &str) -> Option<Result<Self, &'static str>> {
        let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        if !essence.trim().eq_ignore_ascii_case("multipart/mixed") {
            return None;
        }
        Some(match parameter(parameters, "boundary") {
            Some(boundary) if boundary.len() > BOUNDARY_BYTES => {
                Err("the boundary in the Content-Type is too long; RFC 2046 allows 70 characters")
            }
            Some(boundary) if !boundary.is_empty() => Ok(Self(boundary)),
            _ => Err("the Content-Type must name its boundary: multipart/mixed; boundary=abc"),
        })
    }

    /// The text without the hyphens that stand before it in a body.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of a media type's parameter (RFC 9110, section 5.6.6), without its quotation marks.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let (name, after) = rest.split_once('=')?;
        let value;
        (value, rest) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (value, rest) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), rest)
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
    }
}

/// The text up to the quotation mark that ends it, and what follows.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[index + 1..])),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

impl<S, E> Multipart<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// A reader of the body that streams in.
    pub fn new(boundary: &Boundary, stream: S) -> Self {
        Self {
            stream,
            ended: false,
            delimiter: format!("\r\n--{}", boundary.0).into_bytes(),
            // So the first boundary may be the first thing in the body.
            buffer: BytesMut::from(LINE_END),
            at: At::Before,
        }
    }

    /// Goes to the next part, past what is unread of the last; `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`MultipartError`]; the reader is of no use after one.
    pub async fn part(&mut self) -> Result<Option<Head>, MultipartError<E>> {
        match self.at {
            At::Before => {
                let mut passed = 0;
                while let Some(piece) = self.piece().await? {
                    passed += piece.len();
                    if passed > AROUND_BYTES + LINE_END.len() {
                        return Err(MultipartError::Before);
                    }
                }
            }
            At::Start | At::Bytes => while self.piece().await?.is_some() {},
            At::Head | At::After => {}
        }
        if self.at == At::After {
            self.finish().await?;
            return Ok(None);
        }
        self.head().await.map(Some)
    }

    /// The next bytes of the part; `None` at its end.
    ///
    /// # Errors
    ///
    /// [`MultipartError`]; the reader is of no use after one.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, MultipartError<E>> {
        if matches!(self.at, At::Head | At::After) {
            return Ok(None);
        }
        loop {
            match self.find_delimiter() {
                (0, Found::Delimiter { length, last }) => {
                    self.buffer.advance(length);
                    self.at = if last { At::After } else { At::Head };
                    return Ok(None);
                }
                (0, Found::Broken) => return Err(MultipartError::Line),
                (0, _) => self.more().await?,
                _ if self.at == At::Start => {
                    // No boundary follows: the line break belongs to the headers.
                    self.buffer.advance(LINE_END.len());
                    self.at = At::Bytes;
                }
                (place, _) => return Ok(Some(self.buffer.split_to(place).freeze())),
            }
        }
    }

    /// Where the buffer has the first delimiter, or what may become one; else its end.
    fn find_delimiter(&self) -> (usize, Found) {
        // Before the first part there is nothing whose end a sender could have forgotten.
        let bare = self.at != At::Before;
        let mut from = 0;
        let begins = |byte: &u8| *byte == b'\r' || (bare && *byte == b'-');
        while let Some(next) = self.buffer[from..].iter().position(begins) {
            let place = from + next;
            match self.look(&self.buffer[place..]) {
                Found::Nothing => from = place + 1,
                found => return (place, found),
            }
        }
        (self.buffer.len(), Found::Nothing)
    }

    /// What begins here, at the line break before a boundary or at its hyphens.
    fn look(&self, rest: &[u8]) -> Found {
        let own_line = rest.starts_with(b"\r");
        let text = &self.delimiter[if own_line { 0 } else { LINE_END.len() }..];
        let Some(line) = rest.strip_prefix(text) else {
            return if text.starts_with(rest) {
                Found::Open
            } else {
                Found::Nothing
            };
        };
        let padding = line
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let after = &line[padding..];
        if line.starts_with(b"--") {
            return Found::Delimiter {
                length: text.len() + 2,
                last: true,
            };
        }
        if after.starts_with(LINE_END) && padding <= PADDING_BYTES {
            return Found::Delimiter {
                length: text.len() + padding + LINE_END.len(),
                last: false,
            };
        }
        // Not more than the beginning of one of the two is there so far.
        let open = LINE_END.starts_with(after) || (padding == 0 && after == b"-");
        if open && padding <= PADDING_BYTES {
            Found::Open
        } else if own_line {
            Found::Broken
        } else {
            Found::Nothing
        }
    }

    async fn head(&mut self) -> Result<Head, MultipartError<E>> {
        let mut looked = 0;
        let end = loop {
            if self.buffer.starts_with(LINE_END) {
                break 0; // no headers, and the empty line at once
            }
            let found = self.buffer[looked..]
                .windows(HEAD_END.len())
                .position(|window| window == HEAD_END);
            match found.map(|place| looked + place) {
                Some(end) if end <= HEAD_BYTES => break end,
                None if self.buffer.len() < HEAD_BYTES + HEAD_END.len() => {}
                _ => return Err(MultipartError::LongHead),
            }
            looked = self.buffer.len().saturating_sub(HEAD_END.len() - 1);
            self.more().await?;
        };
        let lines = self.buffer.split_to(end);
        if end > 0 {
            self.buffer.advance(LINE_END.len());
        }
        self.at = At::Start;
        Head::read(&lines).ok_or(MultipartError::Head)
    }

    /// Reads the body to its end, so that the connection can be used again.
    async fn finish(&mut self) -> Result<(), MultipartError<E>> {
        let mut passed = self.buffer.len();
        self.buffer.clear();
        while passed <= AROUND_BYTES {
            match self.next().await? {
                Some(piece) => passed += piece.len(),
                None => return Ok(()),
            }
        }
        Err(MultipartError::After)
    }

    /// Takes more into the buffer; there must be more.
    async fn more(&mut self) -> Result<(), MultipartError<E>> {
        match self.next().await? {
            Some(piece) => {
                self.buffer.extend_from_slice(&piece);
                Ok(())
            }
            None => Err(MultipartError::Cut),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, MultipartError<E>> {
        if self.ended {
            return Ok(None);
        }
        let next = self
            .stream
            .next()
            .await
            .transpose()
            .map_err(MultipartError::Broken)?;
        self.ended = next.is_none();
        Ok(next)
    }
}

impl Head {
    /// Reads the lines of a part's headers; `None` where one is no header, or one that matters stands twice.
    fn read(lines: &[u8]) -> Option<Self> {
        let mut head = Self::default();
        // A line that begins with white space goes on from the one before (RFC 5322, section 2.2.3).
        let text = String::from_utf8_lossy(lines)
            .replace("\r\n ", " ")
            .replace("\r\n\t", " ");
        for line in text.split("\r\n").filter(|_| !text.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let name = name.trim_end();
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            let known = match name.to_ascii_lowercase().as_str() {
                "content-type" => &mut head.content_type,
                "content-transfer-encoding" => &mut head.transfer_encoding,
                "x-experience-api-hash" => &mut head.hash,
                _ => continue,
            };
            if known.replace(value.trim().to_owned()).is_some() {
                return None;
            }
        }
        Some(head)
    }
}
