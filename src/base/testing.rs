//! Values for unit tests of all modules.

use super::clock::Timestamp;
use super::cursor::CursorKey;
use super::timestamp;

/// Parses a time in the format of RFC 3339.
pub(crate) fn parse_time(text: &str) -> Timestamp {
    timestamp::parse(text).unwrap()
}

/// A key of cursors.
pub(crate) fn cursor_key() -> CursorKey {
    CursorKey::new(&[7; CursorKey::LENGTH]).unwrap()
}
