//! What is wrong, and where: one type for every refusal of this room.

use std::fmt;

/// One thing that is wrong with a JSON text, at its place.
///
/// `pointer` is a JSON Pointer (RFC 6901) into the text that was read; it is empty where the whole
/// text is meant. `detail` says in plain English what has to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}{}", At(pointer))]
pub struct Fault {
    /// Where: a JSON Pointer (RFC 6901), empty for the whole text.
    pub pointer: String,
    /// What has to change, in plain English.
    pub detail: String,
}

impl Fault {
    /// A fault of the whole text.
    pub fn whole(detail: impl Into<String>) -> Self {
        Self {
            pointer: String::new(),
            detail: detail.into(),
        }
    }
}

struct At<'a>(&'a str);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " (at {})", self.0)
        }
    }
}

/// A place in a JSON tree, as a chain of steps from its root.
///
/// Readers hand it down by reference as they descend; it becomes text only where something is
/// wrong, so that reading a good text costs nothing for it.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// The whole text.
    Root,
    /// A member of an object.
    Member(&'a Place<'a>, &'a str),
    /// An element of an array, counted from 0.
    Element(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    /// The member `key` of the object here.
    pub fn member(&'a self, key: &'a str) -> Place<'a> {
        Place::Member(self, key)
    }

    /// The element `index`, counted from 0, of the array here.
    pub fn element(&'a self, index: usize) -> Place<'a> {
        Place::Element(self, index)
    }

    /// A fault here.
    pub fn fault(&self, detail: impl Into<String>) -> Fault {
        Fault {
            pointer: self.to_string(),
            detail: detail.into(),
        }
    }
}

/// Printed as a JSON Pointer: `~` as `~0` and `/` as `~1` (RFC 6901, section 3).
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => Ok(()),
            Place::Member(parent, key) => {
                write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Place::Element(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_what_rfc_6901_escapes() {
        let root = Place::Root;
        let first = root.element(0);
        let extensions = first.member("extensions");
        let key = extensions.member("http://a~b");
        assert_eq!(key.to_string(), "/0/extensions/http:~1~1a~0b");
        assert_eq!(root.to_string(), "");
    }

    #[test]
    fn a_fault_says_what_and_where() {
        let fault = Place::Root.member("actor").fault("an actor is missing");
        assert_eq!(fault.to_string(), "an actor is missing (at /actor)");
        assert_eq!(Fault::whole("not JSON").to_string(), "not JSON");
    }
}
