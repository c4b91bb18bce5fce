//! Errors in JSON texts, each with the place of the error.

use std::fmt;

/// One error in a JSON text, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}{}", PlaceSuffix(pointer))]
pub struct Fault {
    /// The place: a JSON Pointer (RFC 6901) into the text. It is empty for an error of the text as a whole.
    pub pointer: String,
    /// What the client has to change, in plain English.
    pub detail: String,
}

impl Fault {
    /// A fault of the text as a whole.
    pub fn whole(detail: impl Into<String>) -> Self {
        Self {
            pointer: String::new(),
            detail: detail.into(),
        }
    }

    /// The number of the element of the outermost array that has the fault.
    pub fn element_number(&self) -> Option<usize> {
        self.pointer.split('/').nth(1)?.parse().ok()
    }

    /// The fault inside the element `number` of a batch. The pointer so far is one into the element.
    pub fn in_element(self, number: usize) -> Self {
        Self {
            pointer: format!("/{number}{}", self.pointer),
            detail: self.detail,
        }
    }

    /// The fault of a batch that had only some elements of the request: `numbers` are their numbers there.
    pub fn renumbered(self, numbers: &[usize]) -> Self {
        let number = self
            .element_number()
            .and_then(|index| Some((index.to_string().len(), numbers.get(index)?)));
        match number {
            Some((digits, number)) => Self {
                pointer: format!("/{number}{}", self.pointer.get(1 + digits..).unwrap_or_default()),
                detail: self.detail,
            },
            None => self,
        }
    }
}

/// Sorts the faults of a batch by the number of their element. The order within an element stays.
pub fn sort_by_element(faults: &mut [Fault]) {
    faults.sort_by_key(|fault| fault.element_number().unwrap_or(0));
}

/// Displays a pointer after the detail; displays nothing if the pointer is empty.
struct PlaceSuffix<'a>(&'a str);

impl fmt::Display for PlaceSuffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " (at {})", self.0)
        }
    }
}

/// A place in a JSON tree: a linked list of steps up to the root.
///
/// A reader passes it down by reference. It becomes text only when there is an error, so it costs nothing while
/// a valid text is read.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// The root of the tree.
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

    /// A fault at this place.
    pub fn fault(&self, detail: impl Into<String>) -> Fault {
        Fault {
            pointer: self.to_string(),
            detail: detail.into(),
        }
    }
}

/// Writes a JSON Pointer: `~` becomes `~0` and `/` becomes `~1` (RFC 6901, section 3).
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
    fn pointer_escapes_tilde_and_slash() {
        let root = Place::Root;
        let first = root.element(0);
        let extensions = first.member("extensions");
        let key = extensions.member("http://a~b");
        assert_eq!(key.to_string(), "/0/extensions/http:~1~1a~0b");
        assert_eq!(root.to_string(), "");
    }

    #[test]
    fn faults_of_some_elements_get_the_numbers_of_the_request() {
        let fault = |pointer: &str| Fault {
            pointer: pointer.to_owned(),
            detail: "no".to_owned(),
        };
        let renumbered = |pointer: &str| fault(pointer).renumbered(&[3, 12]).pointer;
        assert_eq!(renumbered("/1/teams/0"), "/12/teams/0");
        assert_eq!(renumbered("/0"), "/3");
        assert_eq!(renumbered(""), "");
        assert_eq!(fault("/user").in_element(7).pointer, "/7/user");
        let mut faults = [fault("/10/a"), fault("/2/b"), fault("/10/c")];
        sort_by_element(&mut faults);
        assert_eq!(faults.map(|fault| fault.pointer), ["/2/b", "/10/a", "/10/c"]);
    }

    #[test]
    fn fault_displays_detail_and_pointer() {
        let fault = Place::Root.member("actor").fault("an actor is missing");
        assert_eq!(fault.to_string(), "an actor is missing (at /actor)");
        assert_eq!(Fault::whole("not JSON").to_string(), "not JSON");
    }
}
