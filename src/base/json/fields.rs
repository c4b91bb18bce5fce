//! Reading objects with known members, arrays and scalars from a tree.

use super::Member;
use super::Node;
use crate::base::fault::{Fault, Place};

/// An object with known members only, and its place.
///
/// Reading stops at the first fault. [`Form`](crate::base::Form) collects all faults instead.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'n, 'p> {
    members: &'n [Member<'n>],
    place: &'p Place<'p>,
}

impl<'n, 'p> Fields<'n, 'p> {
    /// The members of the object `node`. `name` is used in messages, with its article: `a verb`.
    ///
    /// # Errors
    ///
    /// The node is not an object, or it has a member that is not in `known`.
    pub fn from_node(
        node: &'n Node<'n>,
        place: &'p Place<'p>,
        name: &str,
        known: &[&str],
    ) -> Result<Self, Fault> {
        let Some(members) = node.as_object() else {
            return Err(place.fault(format!("{name} is an object, not {}", node.kind())));
        };
        for member in members {
            let key = member.key.value();
            if !known.contains(&key) {
                let similar = known.iter().find(|known| known.eq_ignore_ascii_case(key));
                let advice = match similar {
                    Some(similar) => format!("write \"{similar}\""),
                    None => "leave it out".to_owned(),
                };
                return Err(place
                    .member(key)
                    .fault(format!("{name} has no member of this name; {advice}")));
            }
        }
        Ok(Self { members, place })
    }

    /// The place of the object.
    pub fn place(&self) -> &'p Place<'p> {
        self.place
    }

    /// The value of an optional member.
    pub fn get(&self, key: &str) -> Option<&'n Node<'n>> {
        self.members
            .iter()
            .find(|member| member.key.value() == key)
            .map(|member| &member.value)
    }

    /// The value of an optional member, as `read` reads it.
    ///
    /// # Errors
    ///
    /// The fault of `read`.
    pub fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.get(key)
            .map(|node| read(node, &self.place.member(key)))
            .transpose()
    }

    /// The value of a required member, as `read` reads it.
    ///
    /// # Errors
    ///
    /// The fault of `read`, or a missing member. In the second case the pointer is the pointer of the object.
    pub fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.optional(key, read)?
            .ok_or_else(|| self.place.fault(format!("the member \"{key}\" is missing")))
    }

    /// The elements of an optional array, as `read` reads them. A missing array has no elements.
    ///
    /// # Errors
    ///
    /// The member is not an array or has more than `max` elements, or the fault of `read`.
    pub fn list<T>(
        &self,
        key: &str,
        max: usize,
        read: impl Fn(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let list = self.optional(key, |node, place| elements(node, place, max, read))?;
        Ok(list.unwrap_or_default())
    }
}

/// Reads an array, each element with `read`.
///
/// # Errors
///
/// The node is not an array or has more than `max` elements, or the fault of `read`.
pub fn elements<'n, T>(
    node: &'n Node<'n>,
    place: &Place<'_>,
    max: usize,
    read: impl Fn(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let Some(elements) = node.as_array() else {
        return Err(place.fault(format!("an array is needed here, not {}", node.kind())));
    };
    if elements.len() > max {
        return Err(place.fault(format!(
            "an array of at most {max} elements is accepted here; this one has {}",
            elements.len()
        )));
    }
    elements
        .iter()
        .enumerate()
        .map(|(index, node)| read(node, &place.element(index)))
        .collect()
}

/// Reads a string.
///
/// # Errors
///
/// The node is not a string.
pub fn string<'n>(node: &'n Node<'_>, place: &Place<'_>) -> Result<&'n str, Fault> {
    node.as_str()
        .ok_or_else(|| place.fault(format!("a string is needed here, not {}", node.kind())))
}

/// Reads a string and returns a copy.
///
/// # Errors
///
/// The node is not a string.
pub fn owned_string(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    string(node, place).map(str::to_owned)
}

/// Reads a boolean.
///
/// # Errors
///
/// The node is not a boolean. The strings `"true"` and `"false"` are not booleans.
pub fn boolean(node: &Node<'_>, place: &Place<'_>) -> Result<bool, Fault> {
    node.as_bool()
        .ok_or_else(|| place.fault(format!("true or false is needed here, not {}", node.kind())))
}

/// Reads a number.
///
/// # Errors
///
/// The node is not a number, or the number is too large for an `f64`. A string with digits is not a number.
pub fn number(node: &Node<'_>, place: &Place<'_>) -> Result<f64, Fault> {
    match node {
        Node::Number(_) => node
            .as_f64()
            .ok_or_else(|| place.fault("this number is too large; send a smaller one")),
        _ => Err(place.fault(format!("a number is needed here, not {}", node.kind()))),
    }
}
