//! The page cursor: where a page begins, which question it belongs to, and for which "now" that
//! question was asked (product text, section 7).
//!
//! Outside it is opaque text. It tells nothing that its holder doesn't know, and changing it gains
//! nothing: a reader applies reach, scope and filter of the request anew on every page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::Fingerprint;
use crate::base::clock::Timestamp;

use super::filter::Sort;

/// A place in the log: rows are ordered by it, and no two rows have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// When the activity happened.
    pub happened_at: Timestamp,
    /// The order of recording.
    pub seq: i64,
}

/// Why a text is not the cursor of this question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// The text is not a cursor of this version.
    #[error("this is not a cursor that a `next` link gave; begin again without it")]
    Malformed,
    /// The cursor was given for another question.
    #[error(
        "this cursor belongs to another filter, order or caller; repeat them unchanged or begin again without it"
    )]
    Mismatch,
}

/// The inside of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The order of the list.
    pub sort: Sort,
    /// The last row of the page before.
    pub last: Position,
    /// The moment for which the question was first asked.
    pub now: Timestamp,
    /// Which question it belongs to.
    pub fingerprint: Fingerprint,
}

const VERSION: u8 = 1;
/// The end of the year 9999 in microseconds.
const LAST_MICROS: i64 = 253_402_300_799_999_999;
/// Version, order, three moments or numbers, fingerprint.
const LENGTH: usize = 2 + 3 * 8 + Fingerprint::LENGTH;

impl Cursor {
    /// The cursor as text that needs no escaping in a URL.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend([VERSION, u8::from(self.sort == Sort::OldestFirst)]);
        for number in [self.last.happened_at.micros(), self.last.seq, self.now.micros()] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.fingerprint.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor for the question with the fingerprint `expected`.
    ///
    /// # Errors
    /// [`CursorError::Malformed`], and [`CursorError::Mismatch`] for the cursor of another question.
    pub fn decode(text: &str, expected: Fingerprint) -> Result<Self, CursorError> {
        let cursor = Self::open(text)?;
        if cursor.fingerprint == expected {
            Ok(cursor)
        } else {
            Err(CursorError::Mismatch)
        }
    }

    /// Reads a cursor before the question is known: its `now` is needed to read that.
    pub(super) fn open(text: &str) -> Result<Self, CursorError> {
        // An absurdly long text is not decoded at all.
        if text.len() > 2 * LENGTH {
            return Err(CursorError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError::Malformed)?;
        let mut rest = bytes.as_slice();
        let sort = match take(&mut rest)? {
            [VERSION, 0] => Sort::NewestFirst,
            [VERSION, 1] => Sort::OldestFirst,
            _ => return Err(CursorError::Malformed),
        };
        let mut number = || take(&mut rest).map(i64::from_be_bytes);
        let happened_at = Timestamp::from_micros(number()?);
        let seq = number()?;
        let now = Timestamp::from_micros(number()?);
        let fingerprint = Fingerprint::from_bytes(take(&mut rest)?);
        // A "now" beyond what calendars are made for never came from here.
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

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CursorError> {
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
    fn another_question_is_refused() {
        let cursor = cursor(Sort::NewestFirst, 1, 2, 3);
        let other = Fingerprint::from_parts(["acme/user:bob", "action", "completed"]);
        assert_eq!(
            Cursor::decode(&cursor.encode(), other),
            Err(CursorError::Mismatch)
        );
    }

    #[test]
    fn anything_else_is_no_cursor() {
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
        fn a_cursor_reads_back(
            oldest in any::<bool>(), at in any::<i64>(), seq in any::<i64>(), now in 0i64..200_000_000_000_000_000,
        ) {
            let sort = if oldest { Sort::OldestFirst } else { Sort::NewestFirst };
            let cursor = cursor(sort, at, seq, now);
            let text = cursor.encode();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(Cursor::decode(&text, cursor.fingerprint), Ok(cursor));
        }

        #[test]
        fn no_text_ends_the_process(text in any::<String>()) {
            prop_assert!(Cursor::open(&text).is_err());
        }
    }
}
