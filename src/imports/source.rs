//! The text of an upload: its parts, uncompressed and in UTF-8.
//!
//! It is read on a thread that may block. A small queue leads from the database to it, so that memory does not grow with the
//! file.

use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE};
use flate2::bufread::MultiGzDecoder;
use tokio::sync::mpsc;

use crate::store::StoreError;

/// The size of the buffers between the layers, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The parts of an upload as they come from the database.
pub(super) type Parts = mpsc::Receiver<Result<Vec<u8>, StoreError>>;

/// A blocking reader of parts.
pub(super) struct PartReader {
    parts: Parts,
    current: Vec<u8>,
    position: usize,
}

impl PartReader {
    /// Reads the parts. The first `skipped` bytes are left out.
    pub(super) fn new(parts: Parts, skipped: usize) -> Self {
        Self {
            parts,
            current: Vec::new(),
            position: skipped,
        }
    }
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(rest) = self.current.get(self.position..).filter(|rest| !rest.is_empty()) {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.position += count;
                return Ok(count);
            }
            match self.parts.blocking_recv() {
                Some(Ok(part)) => {
                    self.position = self.position.saturating_sub(self.current.len());
                    self.current = part;
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(0),
            }
        }
    }
}

/// The text of an upload.
pub(super) struct Text {
    /// The text in UTF-8, except for invalid bytes. In a file of another encoding, [`INVALID`] stands for each.
    pub(super) reader: Box<dyn BufRead>,
    /// Whether a byte of the text is a byte of the upload.
    pub(super) is_plain: bool,
}

/// Uncompresses a file that begins as gzip does, and decodes a file in another encoding than UTF-8. A byte order mark decides
/// about UTF-16. The text has at most `max_bytes`.
pub(super) fn open_text(
    input: impl Read + 'static,
    encoding: Option<&'static Encoding>,
    max_bytes: u64,
) -> io::Result<Text> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let is_gzip = first_bytes(&mut input)? == GZIP;
    let mut bytes: Box<dyn BufRead> = if is_gzip {
        let limited = LimitedReader {
            input: MultiGzDecoder::new(input),
            left: max_bytes,
            max_bytes,
        };
        Box::new(BufReader::with_capacity(BUFFER_BYTES, limited))
    } else {
        Box::new(input)
    };
    let by_mark = match first_bytes(&mut bytes)? {
        [0xff, 0xfe] => Some(UTF_16LE),
        [0xfe, 0xff] => Some(UTF_16BE),
        _ => None,
    };
    let reader: Box<dyn BufRead> = match by_mark.or(encoding) {
        Some(encoding) => Box::new(BufReader::with_capacity(
            BUFFER_BYTES,
            DecodingReader {
                input: bytes,
                decoder: encoding.new_decoder(),
                has_ended: false,
                waiting: Vec::new(),
            },
        )),
        None => bytes,
    };
    Ok(Text {
        is_plain: !is_gzip && by_mark.or(encoding).is_none(),
        reader,
    })
}

/// The first two bytes, which stay in the input; zeros if there are fewer.
fn first_bytes(input: &mut impl BufRead) -> io::Result<[u8; 2]> {
    // A buffer is larger than two bytes, but its first filling may have one.
    Ok(match input.fill_buf()? {
        [first, second, ..] => [*first, *second],
        _ => [0, 0],
    })
}

/// Ends with an error after a number of bytes.
struct LimitedReader<R> {
    input: R,
    left: u64,
    max_bytes: u64,
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                let max_bytes = self.max_bytes;
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "the uncompressed file has more than {max_bytes} bytes; send it in several imports"
                    ),
                ));
            }
        }
        Ok(count)
    }
}

/// Decodes a text to UTF-8. What is not valid becomes [`INVALID`], so that its row is rejected and not altered.
struct DecodingReader<R> {
    input: R,
    decoder: Decoder,
    has_ended: bool,
    /// Decoded bytes for which a caller had no room.
    waiting: Vec<u8>,
}

/// A byte that occurs nowhere in UTF-8.
const INVALID: u8 = 0xff;

/// The least room for the decoder, in bytes. It writes whole characters only, so it never goes on with less than four.
const LEAST_ROOM: usize = 64;

impl<R: BufRead> DecodingReader<R> {
    /// Decodes to a buffer of at least [`LEAST_ROOM`]. Returns the number of bytes; 0 at the end.
    fn decode(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.has_ended {
            let available = self.input.fill_buf()?;
            let is_last = available.is_empty();
            // One byte stays free for `INVALID`.
            let (valid, last) = buffer.split_at_mut(buffer.len() - 1);
            let decoder = &mut self.decoder;
            let (result, used, mut written) =
                decoder.decode_to_utf8_without_replacement(available, valid, is_last);
            self.has_ended = is_last && result == DecoderResult::InputEmpty;
            if matches!(result, DecoderResult::Malformed(..)) {
                *valid.get_mut(written).unwrap_or(&mut last[0]) = INVALID;
                written += 1;
            }
            self.input.consume(used);
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

impl<R: BufRead> Read for DecodingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.waiting.is_empty() && buffer.len() >= LEAST_ROOM {
            return self.decode(buffer);
        }
        if self.waiting.is_empty() {
            let mut room = [0; LEAST_ROOM];
            let written = self.decode(&mut room)?;
            self.waiting.extend_from_slice(&room[..written]);
        }
        let count = self.waiting.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.waiting[..count]);
        self.waiting.drain(..count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use encoding_rs::WINDOWS_1252;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(bytes: Vec<u8>, encoding: Option<&'static Encoding>) -> io::Result<String> {
        let mut text = String::new();
        let mut opened = open_text(io::Cursor::new(bytes), encoding, 10_000_000)?;
        opened.reader.read_to_string(&mut text)?;
        Ok(text)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_and_encodings_are_decoded() {
        let text = "a,é\n".repeat(50_000);
        let utf_16: Vec<u8> = "\u{feff}"
            .encode_utf16()
            .chain(text.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        assert!(read(utf_16.clone(), None).unwrap() == text);
        assert!(read(gzip(&utf_16), None).unwrap() == text);
        assert!(read(gzip(text.as_bytes()), None).unwrap() == text);
        // Several gzip files one after the other are one.
        assert!(read([gzip(b"a"), gzip(b"b")].concat(), None).unwrap() == "ab");
        assert_eq!(read(b"caf\xe9".to_vec(), Some(WINDOWS_1252)).unwrap(), "café");
    }

    #[test]
    fn invalid_characters_make_the_text_invalid() {
        let unpaired =
            |units: &[u16]| -> Vec<u8> { units.iter().flat_map(|unit| unit.to_le_bytes()).collect() };
        let mut text = Vec::new();
        let bytes = unpaired(&[0xfeff, 0x61, 0xd800, 0x62, 0x0a, 0xfffd, 0xdc00]);
        let mut opened = open_text(io::Cursor::new(bytes), None, 1_000).unwrap();
        opened.reader.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"a\xffb\n\xef\xbf\xbd\xff");
        let mut odd = unpaired(&[0xfeff, 0x61]);
        odd.push(0x62);
        assert!(read(odd, None).is_err());
    }

    #[test]
    fn gzip_bomb_and_damaged_gzip_are_errors() {
        let error = read(gzip(&vec![b'x'; 20_000_000]), None).unwrap_err();
        assert!(error.to_string().contains("10000000 bytes"), "{error}");
        let mut damaged = gzip(&[b'x'; 1_000]);
        damaged.truncate(20);
        assert!(read(damaged, None).is_err());
    }

    #[test]
    fn parts_are_read_in_order_after_the_skipped_bytes() {
        let (sender, parts) = mpsc::channel(4);
        for part in ["abc", "def", "g"] {
            sender.try_send(Ok(part.as_bytes().to_vec())).unwrap();
        }
        drop(sender);
        let mut text = String::new();
        PartReader::new(parts, 4).read_to_string(&mut text).unwrap();
        assert_eq!(text, "efg");
    }
}
