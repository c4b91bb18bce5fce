//! Values for unit tests of all modules.

use super::clock::Timestamp;
use super::timestamp;

/// The moment of an RFC 3339 text.
pub(crate) fn at(text: &str) -> Timestamp {
    timestamp::parse(text).unwrap()
}
