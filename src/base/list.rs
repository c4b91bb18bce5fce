//! Lists of the directory and the catalogue: pages by id, and the cursor that leads from one to the next
//! (product text, section 3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The elements, by id.
    pub items: Vec<T>,
    /// Whether there are more after them.
    pub more: bool,
}

impl<T> Page<T> {
    /// A page without elements.
    pub fn empty() -> Self {
        Self {
            items: Vec::new(),
            more: false,
        }
    }

    /// The page of `limit` elements from a list that was asked for one more.
    pub fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

/// A filter of teams and of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Folded words, each of which stands in the name or the id.
    pub words: Vec<String>,
    /// For teams: those directly under one of these, where any are given.
    pub parents: Vec<String>,
}

/// The words of the parameter `q`, folded as what they are looked up in (product text, section 7).
pub fn words(text: &str) -> Vec<String> {
    crate::base::fold(text)
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// What a cursor is bound to: the caller and the whole question but the cursor and the size of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListFingerprint([u8; 8]);

impl ListFingerprint {
    /// Of a list's path, the caller ([`Principal::caller_id`](crate::access::Principal::caller_id)) and the
    /// parameters of the question.
    pub fn of(path: &str, caller: &str, parameters: &[(String, String)]) -> Self {
        let mut asked: Vec<_> = parameters
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "cursor" | "limit"))
            .collect();
        asked.sort_unstable();
        let mut hash = Sha256::new();
        // Lengths stand before the texts, so that no two questions run together into the same bytes.
        for text in [path, caller]
            .into_iter()
            .chain(asked.iter().flat_map(|(name, value)| [&**name, &**value]))
        {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        Self(short)
    }
}

/// Where the next page begins: after an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListCursor {
    /// The last id of the page before.
    pub after: String,
}

/// Why a text is not a cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListCursorError {
    /// It was never given out.
    #[error("this is not a cursor; take it from `next` as it is")]
    Damaged,
    /// It was given for another question or to another caller.
    #[error("this cursor belongs to another question or another caller; follow `next` without changing it")]
    OtherQuestion,
}

/// The first byte, so that a later form can be told from this one.
const VERSION: u8 = 1;

impl ListCursor {
    /// The text that clients hand back.
    pub fn encode(&self, fingerprint: ListFingerprint) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&fingerprint.0);
        bytes.extend_from_slice(self.after.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text that [`ListCursor::encode`] made for the same question.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn decode(text: &str, fingerprint: ListFingerprint) -> Result<Self, ListCursorError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| ListCursorError::Damaged)?;
        let (Some(&VERSION), Some(bound), Some(after)) = (bytes.first(), bytes.get(1..9), bytes.get(9..))
        else {
            return Err(ListCursorError::Damaged);
        };
        if bound != fingerprint.0 {
            return Err(ListCursorError::OtherQuestion);
        }
        let after = std::str::from_utf8(after).map_err(|_| ListCursorError::Damaged)?;
        // U+0000 can't be bound as text: no id holds it, so no cursor does.
        if after.contains('\0') {
            return Err(ListCursorError::Damaged);
        }
        Ok(Self {
            after: after.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(path: &str, caller: &str, pairs: &[(&str, &str)]) -> ListFingerprint {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        ListFingerprint::of(path, caller, &pairs)
    }

    #[test]
    fn a_cursor_leads_back_for_the_same_question_only() {
        let asked = fingerprint("/v1/users", "user:ada", &[("q", "x"), ("limit", "5")]);
        let cursor = ListCursor {
            after: "ü/1".to_owned(),
        };
        let text = cursor.encode(asked);
        assert_eq!(ListCursor::decode(&text, asked), Ok(cursor));
        let larger_page = fingerprint(
            "/v1/users",
            "user:ada",
            &[("limit", "9"), ("cursor", "c"), ("q", "x")],
        );
        assert_eq!(asked, larger_page);
        for other in [
            fingerprint("/v1/users", "user:bo", &[("q", "x")]),
            fingerprint("/v1/teams", "user:ada", &[("q", "x")]),
            fingerprint("/v1/users", "user:ada", &[("q", "y")]),
            fingerprint("/v1/users", "user:ada", &[("qx", "")]),
        ] {
            assert_eq!(
                ListCursor::decode(&text, other),
                Err(ListCursorError::OtherQuestion)
            );
        }
        for damaged in ["", "x", "AQ", "&&&", "AgAAAAAAAAAA"] {
            assert_eq!(
                ListCursor::decode(damaged, asked),
                Err(ListCursorError::Damaged),
                "{damaged}"
            );
        }
    }

    #[test]
    fn a_page_is_cut_where_there_is_more() {
        assert_eq!(
            Page::cut(vec![1, 2, 3], 2),
            Page {
                items: vec![1, 2],
                more: true
            }
        );
        assert_eq!(
            Page::cut(vec![1, 2], 2),
            Page {
                items: vec![1, 2],
                more: false
            }
        );
    }
}
