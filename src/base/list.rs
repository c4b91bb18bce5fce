//! Pages of the directory and the catalogue, and the cursor that leads to the next page.
//!
//! See `docs/specification.md#lists-and-pages`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::fingerprint::Fingerprint;

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The elements, in the order of their ids.
    pub items: Vec<T>,
    /// Whether the list has more elements after these.
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

    /// The page of the first `limit` elements. `items` was read with a limit of one more: if that element exists,
    /// the list has another page.
    pub fn from_overfetch(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

/// The words of a search text, folded like the stored texts that they are compared with.
pub fn folded_words(text: &str) -> Vec<String> {
    super::fold(text).split_whitespace().map(str::to_owned).collect()
}

/// The place where the next page begins: after the element with this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListCursor {
    /// The id of the last element of the previous page.
    pub after: String,
}

/// Why a text is not a cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListCursorError {
    /// Rollbook never created the text.
    #[error("this is not a cursor; copy it from `next` without changing it")]
    Damaged,
    /// The cursor was created for a request with other parameters, or for another caller.
    #[error("this cursor belongs to another request or another caller; follow `next` without changing it")]
    OtherRequest,
}

/// The first byte of an encoded cursor. A later format gets another number.
const VERSION: u8 = 1;

impl ListCursor {
    /// The fingerprint that binds a cursor to a request: its path, its caller and its parameters. The parameters
    /// `cursor` and `limit` do not count.
    pub fn fingerprint(path: &str, caller: &str, parameters: &[(String, String)]) -> Fingerprint {
        let mut bound: Vec<_> = parameters
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "cursor" | "limit"))
            .collect();
        bound.sort_unstable();
        let pairs = bound.iter().flat_map(|(name, value)| [&**name, &**value]);
        Fingerprint::from_parts([path, caller].into_iter().chain(pairs))
    }

    /// The cursor as text for the client.
    pub fn encode(&self, fingerprint: Fingerprint) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(fingerprint.as_bytes());
        bytes.extend_from_slice(self.after.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text that [`ListCursor::encode`] wrote for a request with the same fingerprint.
    ///
    /// # Errors
    ///
    /// The text is not a cursor, or it belongs to another request.
    pub fn decode(text: &str, fingerprint: Fingerprint) -> Result<Self, ListCursorError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| ListCursorError::Damaged)?;
        let Some((&VERSION, rest)) = bytes.split_first() else {
            return Err(ListCursorError::Damaged);
        };
        let (bound, after) = rest.split_first_chunk().ok_or(ListCursorError::Damaged)?;
        if bound != fingerprint.as_bytes() {
            return Err(ListCursorError::OtherRequest);
        }
        let after = std::str::from_utf8(after).map_err(|_| ListCursorError::Damaged)?;
        // PostgreSQL does not accept U+0000 in text, and no id contains it.
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

    fn fingerprint(path: &str, caller: &str, pairs: &[(&str, &str)]) -> Fingerprint {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        ListCursor::fingerprint(path, caller, &pairs)
    }

    #[test]
    fn cursor_is_accepted_for_the_same_request_only() {
        let request = fingerprint("/v1/users", "user:ada", &[("q", "x"), ("limit", "5")]);
        let cursor = ListCursor {
            after: "ü/1".to_owned(),
        };
        let text = cursor.encode(request);
        assert_eq!(ListCursor::decode(&text, request), Ok(cursor));
        let larger_page = fingerprint(
            "/v1/users",
            "user:ada",
            &[("limit", "9"), ("cursor", "c"), ("q", "x")],
        );
        assert_eq!(request, larger_page);
        for other in [
            fingerprint("/v1/users", "user:bo", &[("q", "x")]),
            fingerprint("/v1/teams", "user:ada", &[("q", "x")]),
            fingerprint("/v1/users", "user:ada", &[("q", "y")]),
            fingerprint("/v1/users", "user:ada", &[("qx", "")]),
        ] {
            assert_eq!(
                ListCursor::decode(&text, other),
                Err(ListCursorError::OtherRequest)
            );
        }
        for damaged in ["", "x", "AQ", "&&&", "AgAAAAAAAAAA"] {
            assert_eq!(
                ListCursor::decode(damaged, request),
                Err(ListCursorError::Damaged),
                "{damaged}"
            );
        }
    }

    #[test]
    fn page_has_more_if_an_extra_element_was_read() {
        assert_eq!(
            Page::from_overfetch(vec![1, 2, 3], 2),
            Page {
                items: vec![1, 2],
                more: true
            }
        );
        assert_eq!(
            Page::from_overfetch(vec![1, 2], 2),
            Page {
                items: vec![1, 2],
                more: false
            }
        );
    }
}
