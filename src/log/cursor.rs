//! Page cursors of the log (docs/specification.md#sorting-and-paging).
//!
//! A cursor contains the last row of a page, a digest of the query, and the moment of the first page. To clients it is an
//! opaque text. It contains no secrets, and a changed cursor gives no access: reach, scope and filter are applied again
//! on every page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::Fingerprint;
use crate::base::clock::Timestamp;

use super::filter::Sort;

/// The position of a row in the order of the log. Each row has a different one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// When the activity happened.
    pub happened_at: Timestamp,
    /// The order of recording.
    pub seq: i64,
}

/// The reason for which a text is not a cursor of this query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// The text is not a cursor of this version.
    #[error("this is not a cursor from a `next` link; start again without it")]
    Malformed,
    /// The cursor belongs to another query.
    #[error(
        "this cursor belongs to another filter, order or caller; repeat them unchanged or start again without it"
    )]
    Mismatch,
}

/// The content of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The order of the list.
    pub sort: Sort,
    /// The position of the last row of the previous page.
    pub last: Position,
    /// The moment of the first page.
    pub now: Timestamp,
    /// The digest of the query.
    pub fingerprint: Fingerprint,
}

const VERSION: u8 = 1;
/// The end of the year 9999 in microseconds.
const LAST_MICROS: i64 = 253_402_300_799_999_999;
/// Version, order, three numbers, fingerprint.
const LENGTH: usize = 2 + 3 * 8 + Fingerprint::LENGTH;

impl Cursor {
    /// The cursor as text. It needs no escaping in a URL.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend([VERSION, u8::from(self.sort == Sort::OldestFirst)]);
        for number in [self.last.happened_at.micros(), self.last.seq, self.now.micros()] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.fingerprint.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes a cursor of the query with the fingerprint `expected`.
    ///
    /// # Errors
    ///
    /// [`CursorError::Malformed`], and [`CursorError::Mismatch`] for a cursor of another query.
    pub fn decode(text: &str, expected: Fingerprint) -> Result<Self, CursorError> {
        let cursor = Self::decode_unchecked(text)?;
        if cursor.fingerprint == expected {
            Ok(cursor)
        } else {
            Err(CursorError::Mismatch)
        }
    }

    /// Decodes a cursor before its query is known, because parsing the query needs the cursor's `now`.
    pub(super) fn decode_unchecked(text: &str) -> Result<Self, CursorError> {
        // A long text is not worth decoding.
        if text.len() > 2 * LENGTH {
            return Err(CursorError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError::Malformed)?;
        let mut rest = bytes.as_slice();
        let sort = match take_bytes(&mut rest)? {
            [VERSION, 0] => Sort::NewestFirst,
            [VERSION, 1] => Sort::OldestFirst,
            _ => return Err(CursorError::Malformed),
        };
        let mut number = || take_bytes(&mut rest).map(i64::from_be_bytes);
        let happened_at = Timestamp::from_micros(number()?);
        let seq = number()?;
        let now = Timestamp::from_micros(number()?);
        let fingerprint = Fingerprint::from_bytes(take_bytes(&mut rest)?);
        // `encode` never writes a moment outside the years 1970 to 9999.
        if !rest.is_empty() || !(0..=LAST_MICROS).contains(&now.micros()) {
            return Err(CursorError::Malformed);
        }
        Ok(Self {
            sort,
            last: Position { happened_at, seq },
            now,
            fingerprint,
        })
    }
}

fn take_bytes<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CursorError> {
    let (taken, after) = rest.split_first_chunk().ok_or(CursorError::Malformed)?;
    *rest = after;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor(sort: Sort, happened_at: i64, seq: i64, now: i64) -> Cursor {
        Cursor {
            sort,
            last: Position {
                happened_at: Timestamp::from_micros(happened_at),
                seq,
            },
            now: Timestamp::from_micros(now),
            fingerprint: Fingerprint::from_parts(["acme/user:ada", "action", "completed"]),
        }
    }

    #[test]
    fn cursor_of_another_query_is_refused() {
        let cursor = cursor(Sort::NewestFirst, 1, 2, 3);
        let other = Fingerprint::from_parts(["acme/user:bob", "action", "completed"]);
        assert_eq!(
            Cursor::decode(&cursor.encode(), other),
            Err(CursorError::Mismatch)
        );
    }

    #[test]
    fn malformed_cursor_is_refused() {
        let good = cursor(Sort::NewestFirst, 1, 2, 3);
        let text = good.encode();
        let longer = format!("{text}AAAA");
        let absurd = cursor(Sort::NewestFirst, 1, 2, i64::MAX).encode();
        let negative = cursor(Sort::NewestFirst, 1, 2, -1).encode();
        for wrong in [
            "",
            "next",
            "!",
            &text[..text.len() - 4],
            &longer,
            &absurd,
            &negative,
            &text.repeat(50),
        ] {
            assert_eq!(
                Cursor::decode(wrong, good.fingerprint),
                Err(CursorError::Malformed),
                "{wrong}"
            );
        }
    }

    proptest! {
        #[test]
        fn decoding_reverses_encoding(
            oldest in any::<bool>(), at in any::<i64>(), seq in any::<i64>(), now in 0i64..200_000_000_000_000_000,
        ) {
            let sort = if oldest { Sort::OldestFirst } else { Sort::NewestFirst };
            let cursor = cursor(sort, at, seq, now);
            let text = cursor.encode();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(Cursor::decode(&text, cursor.fingerprint), Ok(cursor));
        }

        #[test]
        fn no_text_causes_a_panic(text in any::<String>()) {
            prop_assert!(Cursor::decode_unchecked(&text).is_err());
        }
    }
}
