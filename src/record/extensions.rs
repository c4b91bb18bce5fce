//! Extensions: members that a client adds to those of the specification (xAPI 1.0.3, Data 4.1).

use super::iri::Iri;
use crate::base::fault::{Fault, Place};
use crate::base::json::Node;

/// Reads a map of extensions and returns it as JSON text without white space. The keys are IRIs. A value may be any
/// JSON value, `null` too.
///
/// # Errors
///
/// The node is not an object, or a key is not an IRI.
pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    let Some(members) = node.as_object() else {
        return Err(place.fault(format!("extensions are an object, not {}", node.kind())));
    };
    for member in members {
        let key = member.key.value();
        if let Err(error) = Iri::parse(key) {
            return Err(place
                .member(key)
                .fault(format!("the key of an extension: {error}")));
        }
    }
    Ok(node.to_text())
}
