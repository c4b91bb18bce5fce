//! The position that a cursor of the log contains (`docs/specification.md#sorting-and-paging`). [`CursorCipher`] makes it a text
//! that only the same request accepts.

use crate::base::clock::Timestamp;
use crate::base::{CipherError, CursorCipher, CursorError};

/// The position of a row in the order of the log. Each row has a different one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// When the activity happened.
    pub happened_at: Timestamp,
    /// The order of recording.
    pub seq: i64,
}

/// The content of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The position of the last row of the previous page.
    pub last: Position,
    /// The moment of the first page.
    pub now: Timestamp,
}

impl Cursor {
    /// The cursor as text.
    ///
    /// # Errors
    ///
    /// The encryption failed.
    pub fn encrypt(&self, cipher: &CursorCipher) -> Result<String, CipherError> {
        let numbers = [self.last.happened_at.micros(), self.last.seq, self.now.micros()];
        cipher.encrypt(&numbers.map(i64::to_be_bytes).concat())
    }

    /// The content of a cursor of the same request.
    ///
    /// # Errors
    ///
    /// The text is damaged, or it belongs to another request.
    pub fn decrypt(text: &str, cipher: &CursorCipher) -> Result<Self, CursorError> {
        let bytes = cipher.decrypt(text)?;
        let mut rest = bytes.as_slice();
        let mut take_number = || {
            let (number, after) = rest.split_first_chunk().ok_or(CursorError)?;
            rest = after;
            Ok(i64::from_be_bytes(*number))
        };
        let happened_at = Timestamp::from_micros(take_number()?);
        let seq = take_number()?;
        let now = Timestamp::from_micros(take_number()?);
        Ok(Self {
            last: Position { happened_at, seq },
            now,
        })
    }
}

/// The content of a cursor of a list in which one row of the log, or one person, can have several elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartCursor {
    /// The moment of the first page.
    pub now: Timestamp,
    /// The row of the last element, or the key of the last person.
    pub place: Position,
    /// The number of its elements on the pages so far.
    pub consumed: i64,
}

impl PartCursor {
    /// The cursor as text.
    ///
    /// # Errors
    ///
    /// The encryption failed.
    pub fn encrypt(&self, cipher: &CursorCipher) -> Result<String, CipherError> {
        let Position { happened_at, seq } = self.place;
        let numbers = [self.now.micros(), happened_at.micros(), seq, self.consumed];
        cipher.encrypt(&numbers.map(i64::to_be_bytes).concat())
    }

    /// The content of a cursor of the same request.
    ///
    /// # Errors
    ///
    /// The text is damaged, or it belongs to another request.
    pub fn decrypt(text: &str, cipher: &CursorCipher) -> Result<Self, CursorError> {
        let bytes = cipher.decrypt(text)?;
        let (numbers, rest) = bytes.as_chunks::<8>();
        match (numbers, rest) {
            ([now, happened_at, seq, consumed], []) => Ok(Self {
                now: Timestamp::from_micros(i64::from_be_bytes(*now)),
                place: Position {
                    happened_at: Timestamp::from_micros(i64::from_be_bytes(*happened_at)),
                    seq: i64::from_be_bytes(*seq),
                },
                consumed: i64::from_be_bytes(*consumed),
            }),
            _ => Err(CursorError),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Fingerprint;
    use crate::base::testing::cursor_key;

    fn cipher(caller: &str) -> CursorCipher {
        CursorCipher::new(
            cursor_key(),
            Fingerprint::from_parts([caller, "action", "completed"]),
        )
    }

    proptest! {
        #[test]
        fn decryption_reverses_encryption(at in any::<i64>(), seq in any::<i64>(), now in any::<i64>()) {
            let cursor = Cursor {
                last: Position { happened_at: Timestamp::from_micros(at), seq },
                now: Timestamp::from_micros(now),
            };
            let text = cursor.encrypt(&cipher("acme/user:ada")).unwrap();
            prop_assert_eq!(Cursor::decrypt(&text, &cipher("acme/user:ada")), Ok(cursor));
            prop_assert_eq!(Cursor::decrypt(&text, &cipher("acme/user:bob")), Err(CursorError));
            prop_assert_eq!(PartCursor::decrypt(&text, &cipher("acme/user:ada")), Err(CursorError));
            let cursor = PartCursor { now: cursor.now, place: cursor.last, consumed: 7 };
            let text = cursor.encrypt(&cipher("acme/user:ada")).unwrap();
            prop_assert_eq!(PartCursor::decrypt(&text, &cipher("acme/user:ada")), Ok(cursor));
            prop_assert_eq!(Cursor::decrypt(&text, &cipher("acme/user:bob")), Err(CursorError));
        }
    }
}
