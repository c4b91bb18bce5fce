//! Reads multipart/mixed bodies as they stream in (RFC 2046, section 5.1; xAPI 1.0.3, Communication 1.5.2).
//!
//! [`Boundary::from_content_type`] parses the request's `Content-Type`. Then [`Multipart`] returns the [`PartHead`] of
//! each part and its bytes in pieces. The reader has these properties:
//!
//! - Memory stays flat. Besides one piece of the stream, the buffer contains at most a head or the beginning of a boundary.
//! - The result does not depend on how the stream is divided into pieces, and no input causes a panic (see `fuzz`).
//! - A body without its closing boundary is an error.
//! - Only boundaries end a part. A declared length is ignored.
//!
//! The reader accepts what real clients send: a line break before the first boundary, no line break after the last
//! one, no space after the colon of a header, boundaries that begin with hyphens or are quoted, white space after a
//! boundary.
//!
//! A boundary ends a part also without the line break that must precede it: `@xapi/xapi` and TinCanJS leave it out.
//! Therefore a part that contains the line of a boundary ends too early. The user of this reader must detect that:
//! JSON would be incomplete, and an attachment has a SHA-2. No crate for multipart accepts such bodies, so this reader
//! is our own.

use std::fmt;

use actix_web::web::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// The most bytes of a part's headers.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The most bytes before the first boundary, and after the last one. They are ignored.
pub const MAX_IGNORED_BYTES: usize = 8 * 1024;
/// The most characters of a boundary. RFC 2046 allows 70.
pub const MAX_BOUNDARY_BYTES: usize = 200;
/// The most white space between a boundary and the end of its line.
const MAX_PADDING_BYTES: usize = 256;

const LINE_END: &[u8] = b"\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The boundary between the parts of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

/// Why a body cannot be read. The text says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError<E> {
    /// The stream of the body failed.
    #[error("the body could not be received")]
    Stream(E),
    /// The body ends too early.
    #[error("the body ends without its closing boundary: two hyphens, the boundary, two hyphens")]
    Incomplete,
    /// Too many bytes precede the first boundary.
    #[error(
        "more than {MAX_IGNORED_BYTES} bytes precede the first boundary; begin the body with the boundary"
    )]
    LongPreamble,
    /// Too many bytes follow the last boundary.
    #[error(
        "more than {MAX_IGNORED_BYTES} bytes follow the closing boundary; end the body with the boundary"
    )]
    LongEpilogue,
    /// A line begins with the boundary and continues with other bytes.
    #[error("a line begins with the boundary and continues; choose a boundary that no part contains")]
    BoundaryLine,
    /// The headers of a part are too long.
    #[error("the headers of a part have more than {MAX_HEAD_BYTES} bytes; an empty line must end them")]
    LongHead,
    /// The headers of a part are malformed.
    #[error(
        "the headers of a part must be lines of `Name: value`, each name once, and an empty line must end them"
    )]
    MalformedHead,
}

/// The headers of a part that have a meaning here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartHead {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Transfer-Encoding`.
    pub transfer_encoding: Option<String>,
    /// `X-Experience-API-Hash`: the SHA-2 of the bytes (Communication 1.5.2).
    pub hash: Option<String>,
}

/// Reads a body part by part. [`Multipart::next_part`] returns the head of the next part, [`Multipart::next_piece`] its
/// bytes.
pub struct Multipart<S> {
    stream: S,
    stream_ended: bool,
    /// A line break, two hyphens and the boundary.
    delimiter: Vec<u8>,
    buffer: BytesMut,
    state: State,
}

/// What comes next in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The bytes before the first boundary.
    Preamble,
    /// The headers of a part.
    Head,
    /// The line break that ends a part's headers. If the part has no bytes, it belongs to the next boundary.
    HeadEnd,
    /// The bytes of a part.
    Bytes,
    /// The bytes after the closing boundary.
    Epilogue,
}

/// The result of the search for a delimiter at a position of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delimiter {
    /// A complete delimiter with the rest of its line.
    Complete { length: usize, last: bool },
    /// A line that begins with the boundary and continues with other bytes.
    Malformed,
    /// The beginning of a delimiter. More bytes are needed.
    Partial,
    /// No delimiter.
    None,
}

impl Boundary {
    /// Parses the boundary of a `Content-Type`. Returns `None` for another media type than multipart/mixed.
    ///
    /// # Errors
    ///
    /// The text says what is wrong with the boundary: it is missing or too long.
    pub fn from_content_type(content_type: &str) -> Option<Result<Self, &'static str>> {
        let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        if !essence.trim().eq_ignore_ascii_case("multipart/mixed") {
            return None;
        }
        Some(match find_parameter(parameters, "boundary") {
            Some(boundary) if boundary.len() > MAX_BOUNDARY_BYTES => {
                Err("the boundary in the Content-Type is too long; RFC 2046 allows 70 characters")
            }
            Some(boundary) if !boundary.is_empty() => Ok(Self(boundary)),
            _ => Err("the Content-Type must name its boundary: multipart/mixed; boundary=abc"),
        })
    }

    /// Returns the text, without the hyphens that precede it in a body.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Finds the value of a media type's parameter (RFC 9110, section 5.6.6), without its quotation marks.
fn find_parameter(parameters: &str, wanted: &str) -> Option<String> {
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

/// Splits at the closing quotation mark. Returns the text before it, without escapes, and the text after it.
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
    /// Creates a reader of the body.
    pub fn new(boundary: &Boundary, stream: S) -> Self {
        Self {
            stream,
            stream_ended: false,
            delimiter: format!("\r\n--{}", boundary.0).into_bytes(),
            // The first boundary may be at the beginning of the body, without a line break before it.
            buffer: BytesMut::from(LINE_END),
            state: State::Preamble,
        }
    }

    /// Skips the rest of the current part and returns the head of the next one, or `None` after the last part.
    ///
    /// # Errors
    ///
    /// [`MultipartError`]; the reader cannot be used after it.
    pub async fn next_part(&mut self) -> Result<Option<PartHead>, MultipartError<E>> {
        match self.state {
            State::Preamble => {
                let mut ignored = 0;
                while let Some(piece) = self.next_piece().await? {
                    ignored += piece.len();
                    if ignored > MAX_IGNORED_BYTES + LINE_END.len() {
                        return Err(MultipartError::LongPreamble);
                    }
                }
            }
            State::HeadEnd | State::Bytes => while self.next_piece().await?.is_some() {},
            State::Head | State::Epilogue => {}
        }
        if self.state == State::Epilogue {
            self.read_epilogue().await?;
            return Ok(None);
        }
        self.read_head().await.map(Some)
    }

    /// Returns the next bytes of the current part, or `None` at its end.
    ///
    /// # Errors
    ///
    /// [`MultipartError`]; the reader cannot be used after it.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, MultipartError<E>> {
        if matches!(self.state, State::Head | State::Epilogue) {
            return Ok(None);
        }
        loop {
            match self.find_delimiter() {
                (0, Delimiter::Complete { length, last }) => {
                    self.buffer.advance(length);
                    self.state = if last { State::Epilogue } else { State::Head };
                    return Ok(None);
                }
                (0, Delimiter::Malformed) => return Err(MultipartError::BoundaryLine),
                (0, _) => self.fill_buffer().await?,
                _ if self.state == State::HeadEnd => {
                    // The part has bytes, so the line break belongs to the headers.
                    self.buffer.advance(LINE_END.len());
                    self.state = State::Bytes;
                }
                (position, _) => return Ok(Some(self.buffer.split_to(position).freeze())),
            }
        }
    }

    /// Finds the first complete, partial or malformed delimiter in the buffer. Without one, the position is the end of
    /// the buffer.
    fn find_delimiter(&self) -> (usize, Delimiter) {
        // A delimiter without its line break can only end a part.
        let line_break_may_be_missing = self.state != State::Preamble;
        let mut from = 0;
        let begins = |byte: &u8| *byte == b'\r' || (line_break_may_be_missing && *byte == b'-');
        while let Some(next) = self.buffer[from..].iter().position(begins) {
            let position = from + next;
            match self.parse_delimiter(&self.buffer[position..]) {
                Delimiter::None => from = position + 1,
                delimiter => return (position, delimiter),
            }
        }
        (self.buffer.len(), Delimiter::None)
    }

    /// Parses a delimiter that may begin here, with its line break or with its hyphens.
    fn parse_delimiter(&self, rest: &[u8]) -> Delimiter {
        let has_line_break = rest.starts_with(b"\r");
        let text = &self.delimiter[if has_line_break { 0 } else { LINE_END.len() }..];
        let Some(line) = rest.strip_prefix(text) else {
            return if text.starts_with(rest) {
                Delimiter::Partial
            } else {
                Delimiter::None
            };
        };
        let padding = line
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let after = &line[padding..];
        if line.starts_with(b"--") {
            return Delimiter::Complete {
                length: text.len() + 2,
                last: true,
            };
        }
        if after.starts_with(LINE_END) && padding <= MAX_PADDING_BYTES {
            return Delimiter::Complete {
                length: text.len() + padding + LINE_END.len(),
                last: false,
            };
        }
        // The end of the line has not arrived completely.
        let is_partial = LINE_END.starts_with(after) || (padding == 0 && after == b"-");
        if is_partial && padding <= MAX_PADDING_BYTES {
            Delimiter::Partial
        } else if has_line_break {
            Delimiter::Malformed
        } else {
            Delimiter::None
        }
    }

    async fn read_head(&mut self) -> Result<PartHead, MultipartError<E>> {
        let mut searched = 0;
        let end = loop {
            if self.buffer.starts_with(LINE_END) {
                break 0; // the part has no headers
            }
            let found = self.buffer[searched..]
                .windows(HEAD_END.len())
                .position(|window| window == HEAD_END);
            match found.map(|position| searched + position) {
                Some(end) if end <= MAX_HEAD_BYTES => break end,
                None if self.buffer.len() < MAX_HEAD_BYTES + HEAD_END.len() => {}
                _ => return Err(MultipartError::LongHead),
            }
            searched = self.buffer.len().saturating_sub(HEAD_END.len() - 1);
            self.fill_buffer().await?;
        };
        let lines = self.buffer.split_to(end);
        if end > 0 {
            self.buffer.advance(LINE_END.len());
        }
        self.state = State::HeadEnd;
        PartHead::parse(&lines).ok_or(MultipartError::MalformedHead)
    }

    /// Reads the body to its end, so that the connection can be used again.
    async fn read_epilogue(&mut self) -> Result<(), MultipartError<E>> {
        let mut ignored = self.buffer.len();
        self.buffer.clear();
        while ignored <= MAX_IGNORED_BYTES {
            match self.next_from_stream().await? {
                Some(piece) => ignored += piece.len(),
                None => return Ok(()),
            }
        }
        Err(MultipartError::LongEpilogue)
    }

    /// Appends the next piece of the stream to the buffer.
    async fn fill_buffer(&mut self) -> Result<(), MultipartError<E>> {
        match self.next_from_stream().await? {
            Some(piece) => {
                self.buffer.extend_from_slice(&piece);
                Ok(())
            }
            None => Err(MultipartError::Incomplete),
        }
    }

    async fn next_from_stream(&mut self) -> Result<Option<Bytes>, MultipartError<E>> {
        if self.stream_ended {
            return Ok(None);
        }
        let next = self
            .stream
            .next()
            .await
            .transpose()
            .map_err(MultipartError::Stream)?;
        self.stream_ended = next.is_none();
        Ok(next)
    }
}

impl PartHead {
    /// Parses the lines of a part's headers. Returns `None` if a line is not a header, or if a known header occurs
    /// twice.
    fn parse(lines: &[u8]) -> Option<Self> {
        let mut head = Self::default();
        // A line that begins with white space continues the line before it (RFC 5322, section 2.2.3).
        let text = String::from_utf8_lossy(lines)
            .replace("\r\n ", " ")
            .replace("\r\n\t", " ");
        for line in text.split("\r\n").filter(|_| !text.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let name = name.trim_end();
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            let field = match name.to_ascii_lowercase().as_str() {
                "content-type" => &mut head.content_type,
                "content-transfer-encoding" => &mut head.transfer_encoding,
                "x-experience-api-hash" => &mut head.hash,
                _ => continue,
            };
            if field.replace(value.trim().to_owned()).is_some() {
                return None;
            }
        }
        Some(head)
    }
}
