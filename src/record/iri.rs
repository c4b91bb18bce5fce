//! IRIs: they identify verbs, activities, types and extensions.

use std::fmt;
use std::ops::Deref;

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
                detail: format!("an IRI with a scheme is needed here, such as http://example.org/x: {error}"),
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
