//! Values for unit tests of all modules.

use super::clock::Timestamp;
use super::timestamp;

/// Parses a time in the format of RFC 3339.
pub(crate) fn parse_time(text: &str) -> Timestamp {
    timestamp::parse(text).unwrap()
}
