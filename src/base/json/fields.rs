//! Reading things with a fixed shape out of a tree: objects whose members are known, and scalars.

use super::Member;
use super::Node;
use crate::base::fault::{Fault, Place};

/// An object all of whose members are known, with its place: how a thing with a fixed shape is
/// read.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'n, 'p> {
    members: &'n [Member<'n>],
    place: &'p Place<'p>,
}

impl<'n, 'p> Fields<'n, 'p> {
    /// The members of the object `node`, which is called `name` with its article, and has no others
    /// than `known` ones.
    ///
    /// # Errors
    ///
    /// Not an object, or a member that is not known, which is named.
    pub fn of(node: &'n Node<'n>, place: &'p Place<'p>, name: &str, known: &[&str]) -> Result<Self, Fault> {
        let Some(members) = node.as_object() else {
            return Err(place.fault(format!("{name} is an object, not {}", node.kind())));
        };
        for member in members {
            let key = member.key.value();
            if !known.contains(&key) {
                let meant = known.iter().find(|known| known.eq_ignore_ascii_case(key));
                let advice = match meant {
                    Some(meant) => format!("write \"{meant}\""),
                    None => "leave it out".to_owned(),
                };
                return Err(place
                    .member(key)
                    .fault(format!("{name} has no member of this name; {advice}")));
            }
        }
        Ok(Self { members, place })
    }

    /// Where the object is.
    pub fn place(&self) -> &'p Place<'p> {
        self.place
    }

    /// The value of a member that may be missing.
    pub fn get(&self, key: &str) -> Option<&'n Node<'n>> {
        self.members
            .iter()
            .find(|member| member.key.value() == key)
            .map(|member| &member.value)
    }

    /// The value of a member that may be missing, read by `read`.
    ///
    /// # Errors
    ///
    /// What `read` says.
    pub fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.get(key)
            .map(|node| read(node, &self.place.member(key)))
            .transpose()
    }

    /// The value of a member that must be there, read by `read`.
    ///
    /// # Errors
    ///
    /// The member is missing (the pointer is the object's), or what `read` says.
    pub fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.optional(key, read)?
            .ok_or_else(|| self.place.fault(format!("the member \"{key}\" is missing")))
    }

    /// The elements of an array that may be missing, each read by `read`; none where it is missing.
    ///
    /// # Errors
    ///
    /// Not an array, more than `most` elements, or what `read` says.
    pub fn list<T>(
        &self,
        key: &str,
        most: usize,
        read: impl Fn(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let list = self.optional(key, |node, place| elements(node, place, most, read))?;
        Ok(list.unwrap_or_default())
    }
}

/// The elements of an array, each read by `read`.
///
/// # Errors
///
/// Not an array, more than `most` elements, or what `read` says.
pub fn elements<'n, T>(
    node: &'n Node<'n>,
    place: &Place<'_>,
    most: usize,
    read: impl Fn(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let Some(elements) = node.as_array() else {
        return Err(place.fault(format!("an array is needed here, not {}", node.kind())));
    };
    if elements.len() > most {
        return Err(place.fault(format!(
            "at most {most} elements are taken here; this has {}",
            elements.len()
        )));
    }
    elements
        .iter()
        .enumerate()
        .map(|(index, node)| read(node, &place.element(index)))
        .collect()
}

/// A string.
///
/// # Errors
///
/// Anything else.
pub fn string<'n>(node: &'n Node<'_>, place: &Place<'_>) -> Result<&'n str, Fault> {
    node.as_str()
        .ok_or_else(|| place.fault(format!("a string is needed here, not {}", node.kind())))
}

/// A string, owned.
///
/// # Errors
///
/// Anything else.
pub fn owned_string(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    string(node, place).map(str::to_owned)
}

/// A boolean.
///
/// # Errors
///
/// Anything else, the strings `"true"` and `"false"` among it.
pub fn boolean(node: &Node<'_>, place: &Place<'_>) -> Result<bool, Fault> {
    node.as_bool()
        .ok_or_else(|| place.fault(format!("true or false is needed here, not {}", node.kind())))
}

/// A number.
///
/// # Errors
///
/// Anything else, a number in a string among it, and a number too large for an `f64`.
pub fn number(node: &Node<'_>, place: &Place<'_>) -> Result<f64, Fault> {
    match node {
        Node::Number(_) => node
            .as_f64()
            .ok_or_else(|| place.fault("this number is too large; send a smaller one")),
        _ => Err(place.fault(format!("a number is needed here, not {}", node.kind()))),
    }
}
