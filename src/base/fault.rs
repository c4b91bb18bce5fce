//! Errors in JSON texts, each with the place of the error, and the bounded list of the errors of one request.
//!
//! A text of a few megabytes can have millions of errors, and an error can repeat a long text of the client. So
//! [`Faults`] lists the first [`MAX_FAULTS`] errors and counts the others, and pointers and details have a length
//! limit.

use std::fmt;

/// The most faults that one answer lists.
pub const MAX_FAULTS: usize = 50;

/// The longest pointer, in bytes. A longer one ends at the last ancestor whose pointer is short enough.
pub const MAX_POINTER_BYTES: usize = 1_000;

/// The longest detail of a fault, in bytes. A longer one is cut.
pub const MAX_DETAIL_BYTES: usize = 2_000;

/// The faults of one request: the first [`MAX_FAULTS`], and the number of the others.
///
/// Every parser collects its faults here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults<F = Fault> {
    listed: Vec<F>,
    /// The number of faults that are not listed.
    more: usize,
}

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F> Faults<F> {
    /// No faults.
    pub const fn new() -> Self {
        Self {
            listed: Vec::new(),
            more: 0,
        }
    }

    /// Adds a fault.
    pub fn push(&mut self, fault: F) {
        self.push_with(|| fault);
    }

    /// Adds a fault. `fault` is called only if the fault is listed, so that the others cost nothing.
    pub fn push_with(&mut self, fault: impl FnOnce() -> F) {
        if self.listed.len() < MAX_FAULTS {
            self.listed.push(fault());
        } else {
            self.more += 1;
        }
    }

    /// Adds the faults of another list.
    pub fn append(&mut self, other: Self) {
        self.more += other.more;
        self.extend(other.listed);
    }

    /// The number of faults, with those that are not listed.
    pub fn len(&self) -> usize {
        self.listed.len() + self.more
    }

    /// Whether there are no faults.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The number of faults that are not listed.
    pub fn more(&self) -> usize {
        self.more
    }

    /// The listed faults.
    pub fn listed(&self) -> &[F] {
        &self.listed
    }

    /// The listed faults.
    pub fn iter(&self) -> std::slice::Iter<'_, F> {
        self.listed.iter()
    }

    /// Removes the listed faults after the first `length`. They are counted as not listed.
    pub fn truncate(&mut self, length: usize) {
        self.more += self.listed.len().saturating_sub(length);
        self.listed.truncate(length);
    }

    /// The same list with each fault converted.
    pub fn map<G>(self, convert: impl FnMut(F) -> G) -> Faults<G> {
        Faults {
            listed: self.listed.into_iter().map(convert).collect(),
            more: self.more,
        }
    }
}

impl<F> Extend<F> for Faults<F> {
    fn extend<I: IntoIterator<Item = F>>(&mut self, faults: I) {
        faults.into_iter().for_each(|fault| self.push(fault));
    }
}

impl<F> FromIterator<F> for Faults<F> {
    fn from_iter<I: IntoIterator<Item = F>>(faults: I) -> Self {
        let mut collected = Self::new();
        collected.extend(faults);
        collected
    }
}

impl<F> From<F> for Faults<F> {
    fn from(fault: F) -> Self {
        Self {
            listed: vec![fault],
            more: 0,
        }
    }
}

/// Gives the listed faults.
impl<F> IntoIterator for Faults<F> {
    type Item = F;
    type IntoIter = std::vec::IntoIter<F>;

    fn into_iter(self) -> Self::IntoIter {
        self.listed.into_iter()
    }
}

impl<'a, F> IntoIterator for &'a Faults<F> {
    type Item = &'a F;
    type IntoIter = std::slice::Iter<'a, F>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Faults {
    /// Sorts the faults of a batch by the number of their element. The order within an element stays.
    pub fn sort_by_element(&mut self) {
        self.listed
            .sort_by_key(|fault| fault.element_number().unwrap_or(0));
    }
}

/// The text, cut at a character so that it has at most `bytes` bytes and an ellipsis.
pub fn shorten(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

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
            detail: shorten(detail.into(), MAX_DETAIL_BYTES),
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
            detail: shorten(detail.into(), MAX_DETAIL_BYTES),
        }
    }

    /// Adds the steps to a pointer, from the root on. Returns `false` if a step made it too long and was left out.
    fn push_steps(&self, pointer: &mut String) -> bool {
        match self {
            Place::Root => true,
            Place::Member(parent, key) => parent.push_steps(pointer) && push_step(pointer, key),
            Place::Element(parent, index) => {
                parent.push_steps(pointer) && push_step(pointer, &index.to_string())
            }
        }
    }
}

/// Adds a step to a pointer: `~` becomes `~0` and `/` becomes `~1` (RFC 6901, section 3). Returns `false` if the pointer
/// would be too long.
fn push_step(pointer: &mut String, step: &str) -> bool {
    // A step of this length is not copied.
    if step.len() >= MAX_POINTER_BYTES {
        return false;
    }
    let step = step.replace('~', "~0").replace('/', "~1");
    let fits = pointer.len() + 1 + step.len() <= MAX_POINTER_BYTES;
    if fits {
        pointer.push('/');
        pointer.push_str(&step);
    }
    fits
}

/// Writes a JSON Pointer. A pointer that would be longer than [`MAX_POINTER_BYTES`] ends at an ancestor.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pointer = String::new();
        self.push_steps(&mut pointer);
        f.write_str(&pointer)
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
        let mut faults = Faults::from_iter([fault("/10/a"), fault("/2/b"), fault("/10/c")]);
        faults.sort_by_element();
        let pointers: Vec<String> = faults.into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/2/b", "/10/a", "/10/c"]);
    }

    #[test]
    fn faults_beyond_the_limit_are_counted_and_not_made() {
        let mut faults = Faults::new();
        let mut made = 0;
        for _ in 0..MAX_FAULTS + 7 {
            faults.push_with(|| made += 1);
        }
        assert_eq!(
            (made, faults.len(), faults.more()),
            (MAX_FAULTS, MAX_FAULTS + 7, 7)
        );
        let mut both = Faults::from(());
        both.append(faults);
        assert_eq!((both.listed().len(), both.len()), (MAX_FAULTS, MAX_FAULTS + 8));
        both.truncate(3);
        assert_eq!((both.listed().len(), both.len()), (3, MAX_FAULTS + 8));
    }

    #[test]
    fn pointers_and_details_have_a_length_limit() {
        let long = "ü".repeat(100_000);
        let root = Place::Root;
        let first = root.element(3);
        let member = first.member(&long);
        let fault = member.member("a").fault(long.clone());
        assert_eq!(fault.pointer, "/3", "a pointer names an existing place");
        assert!(fault.detail.len() <= MAX_DETAIL_BYTES + '…'.len_utf8());
        assert!(fault.detail.ends_with("ü…"));
        assert_eq!(shorten("short".to_owned(), 5), "short");
    }

    #[test]
    fn fault_displays_detail_and_pointer() {
        let fault = Place::Root.member("actor").fault("an actor is missing");
        assert_eq!(fault.to_string(), "an actor is missing (at /actor)");
        assert_eq!(Fault::whole("not JSON").to_string(), "not JSON");
    }
}
