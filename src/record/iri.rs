//! IRIs: they identify verbs, activities, types and extensions.

use std::fmt;
use std::ops::Deref;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::base::fault::{Fault, Place};
use crate::base::json::{Node, string};

/// An IRI with a scheme (RFC 3987; xAPI 1.0.3, Data 4.3). It keeps its spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iri(String);

/// Why a text is not an IRI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct IriError {
    detail: String,
}

impl Iri {
    /// Parses an IRI.
    ///
    /// # Errors
    ///
    /// The text has no scheme, or a character that an IRI can't contain.
    pub fn parse(text: &str) -> Result<Self, IriError> {
        match oxiri::Iri::parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(IriError {
                detail: describe_fault(text).unwrap_or_else(|| format!("this is not an IRI: {error}")),
            }),
        }
    }

    /// Makes an IRI of a constant. It is not checked, so `text` must be an IRI.
    pub(crate) fn from_constant(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Reads an IRI.
    ///
    /// # Errors
    ///
    /// The node is not a string, or the string is not an IRI.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        Self::parse(string(node, place)?).map_err(|error| place.fault(error.to_string()))
    }

    /// The IRI as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns what is wrong with a text that is not an IRI, for the faults that clients make. The parser's own message names
/// neither the second `#` nor the character to write instead.
fn describe_fault(text: &str) -> Option<String> {
    if !has_scheme(text) {
        let detail = "an IRI with a scheme is needed here, such as http://example.org/x: this has no scheme";
        return Some(detail.to_owned());
    }
    if text.matches('#').count() > 1 {
        return Some("this is not an IRI: it has a second `#`; write that one as `%23`".to_owned());
    }
    let is_forbidden = |c: &char| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`".contains(*c);
    if let Some(character) = text.chars().find(is_forbidden) {
        let encoded = utf8_percent_encode(character.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC).to_string();
        let detail = format!("this is not an IRI: it contains {character:?}; write that as `{encoded}`");
        return Some(detail);
    }
    let has_digits = |after: &str| {
        let digits = after.as_bytes().get(..2).unwrap_or_default();
        digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
    };
    let mut after_percents = text.split('%').skip(1);
    after_percents.any(|after| !has_digits(after)).then(|| {
        "this is not an IRI: a `%` must be followed by two hexadecimal digits; write `%` itself as `%25`"
            .to_owned()
    })
}

/// Whether a text begins with a scheme and a colon (RFC 3986, section 3.1).
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

impl Deref for Iri {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<Iri> for String {
    fn from(iri: Iri) -> String {
        iri.0
    }
}

impl fmt::Display for Iri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_says_what_to_change() {
        for (text, detail) in [
            ("answered", "this has no scheme"),
            ("", "this has no scheme"),
            ("1a:b", "this has no scheme"),
            (
                "http://example.org/#a#b",
                "it has a second `#`; write that one as `%23`",
            ),
            ("http://example.org/a b", "it contains ' '; write that as `%20`"),
            ("http://example.org/{a}", "it contains '{'; write that as `%7B`"),
            (
                "http://example.org/100%",
                "a `%` must be followed by two hexadecimal digits; write `%` itself as `%25`",
            ),
            ("http://exa[mple.org/", "this is not an IRI: "),
        ] {
            let error = Iri::parse(text).unwrap_err().to_string();
            assert!(error.contains(detail), "{text}: {error}");
        }
        assert!(Iri::parse("http://example.org/#a?b=%C3%A4ä").is_ok());
    }
}
