//! Verbs (xAPI 1.0.3, Data 2.4.3).

use super::iri::Iri;
use super::language::LanguageMap;
use crate::base::fault::{Fault, Place};
use crate::base::json::{Fields, Node};

/// The verb of a statement that voids another (xAPI 1.0.3, Data 2.3.2).
pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// The verb of a statement: what the actor did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verb {
    /// The IRI that identifies the verb.
    pub id: Iri,
    /// The name of the verb for people. It is empty if the client sent none.
    pub display: LanguageMap,
}

impl Verb {
    /// A verb without a display.
    pub fn new(id: Iri) -> Self {
        Self {
            id,
            display: LanguageMap::default(),
        }
    }

    /// Reads a verb.
    ///
    /// # Errors
    ///
    /// The node is not a valid verb.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let fields = Fields::from_node(node, place, "a verb", &["id", "display"])?;
        Ok(Self {
            id: fields.required("id", Iri::from_node)?,
            display: fields
                .optional("display", LanguageMap::from_node)?
                .unwrap_or_default(),
        })
    }
}
