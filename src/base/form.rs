//! Reading an object with known members, and collecting all its faults.
//!
//! A member that is `null` counts as missing. A merge patch (RFC 7396) removes a member with `null`, and a client
//! can send back a representation that contains `null`. The read-only members of a representation ([`Members`]) are
//! accepted and ignored.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;

use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::json::{self, Member, Node};
use crate::base::naming::check_naming;
use crate::base::timestamp;

/// An object that is being read.
///
/// Each method returns `None`, or an empty list, if the member is missing or wrong. If it is wrong, the method adds
/// a fault to the list of faults.
pub struct Form<'n, 'p, 'f> {
    name: &'static str,
    members: &'n [Member<'n>],
    place: &'p Place<'p>,
    faults: &'f mut Faults,
}

/// The members of a resource.
///
/// A client may send back what it has read. So a PUT accepts each member of the representation: it reads the written ones
/// and ignores the others.
#[derive(Debug, Clone, Copy)]
pub struct Members {
    /// The members that clients write.
    pub written: &'static [&'static str],
    /// The members of the representation that clients only read.
    pub read_only: &'static [&'static str],
}

impl Members {
    /// The same without read-only members, for a body in which one of them would look like a change.
    pub const fn written_only(self) -> Self {
        Self {
            read_only: &[],
            ..self
        }
    }
}

impl<'n, 'p, 'f> Form<'n, 'p, 'f> {
    /// Begins to read a resource, which may be a representation that the client has read. See [`Form::from_node`].
    pub fn from_resource(
        node: &'n Node<'n>,
        place: &'p Place<'p>,
        name: &'static str,
        members: &Members,
        faults: &'f mut Faults,
    ) -> Option<Self> {
        let Members { written, read_only } = members;
        Self::from_members(node, place, name, written, read_only, faults)
    }

    /// Begins to read the object `node`. `name` is used in messages, with its article: `a user`.
    ///
    /// A member that is not in `known` is a fault. Returns `None` if `node` is not an object.
    pub fn from_node(
        node: &'n Node<'n>,
        place: &'p Place<'p>,
        name: &'static str,
        known: &[&str],
        faults: &'f mut Faults,
    ) -> Option<Self> {
        Self::from_members(node, place, name, known, &[], faults)
    }

    fn from_members(
        node: &'n Node<'n>,
        place: &'p Place<'p>,
        name: &'static str,
        known: &[&str],
        ignored: &[&str],
        faults: &'f mut Faults,
    ) -> Option<Self> {
        let Some(members) = node.as_object() else {
            faults.push(place.fault(format!("{name} is an object, not {}", node.kind())));
            return None;
        };
        for key in members
            .iter()
            .map(|member| member.key.value())
            .filter(|key| !known.contains(key) && !ignored.contains(key))
        {
            faults.push_with(|| {
                let similar = known.iter().find(|known| known.eq_ignore_ascii_case(key));
                let advice = match similar {
                    Some(similar) => format!("write `{similar}`"),
                    None => format!("it can have {}", known.join(", ")),
                };
                place
                    .member(key)
                    .fault(format!("{name} has no such member; {advice}"))
            });
        }
        Some(Self {
            name,
            members,
            place,
            faults,
        })
    }

    /// The member's value, unless it is missing or `null`.
    pub fn get(&self, key: &str) -> Option<&'n Node<'n>> {
        let member = self.members.iter().find(|member| member.key.value() == key)?;
        (member.value != Node::Null).then_some(&member.value)
    }

    /// Whether the member is present with the value `null`.
    pub fn is_null(&self, key: &str) -> bool {
        let is_null = |member: &Member<'_>| member.key.value() == key && member.value == Node::Null;
        self.members.iter().any(is_null)
    }

    /// Adds a fault at a member.
    pub fn add_fault(&mut self, key: &str, detail: impl Into<String>) {
        let fault = self.place.member(key).fault(detail);
        self.faults.push(fault);
    }

    /// The value of the member, as `read` reads it.
    pub fn read<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
    ) -> Option<T> {
        let node = self.get(key)?;
        match read(node, &self.place.member(key)) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    /// A text of at most `max` characters. An empty text counts as missing.
    pub fn text(&mut self, key: &str, max: usize) -> Option<String> {
        self.read(key, |node, place| short_text(node, place, max))
            .filter(|text| !text.is_empty())
    }

    /// A required text of 1 to `max` characters. White space alone is not enough.
    pub fn required_text(&mut self, key: &str, max: usize) -> Option<String> {
        let faults_before = self.faults.len();
        let text = self.text(key, max).filter(|text| !text.trim().is_empty());
        if text.is_none() && self.faults.len() == faults_before {
            let detail = format!("{} needs this: a text of 1 to {max} characters", self.name);
            self.add_fault(key, detail);
        }
        text
    }

    /// A name of at most `max` characters, as [`check_naming`] accepts it. An empty name counts as missing.
    pub fn name(&mut self, key: &str, max: usize) -> Option<String> {
        self.read(key, |node, place| read_name(node, place, max))
            .filter(|name| !name.is_empty())
    }

    /// A required name of 1 to `max` characters.
    pub fn required_name(&mut self, key: &str, max: usize) -> Option<String> {
        let faults_before = self.faults.len();
        let name = self.name(key, max);
        if name.is_none() && self.faults.len() == faults_before {
            let detail = format!("{} needs this: a text of 1 to {max} characters", self.name);
            self.add_fault(key, detail);
        }
        name
    }

    /// A text that is converted to `T`, for example an id.
    pub fn value<T: TryFrom<String, Error: Display>>(&mut self, key: &str) -> Option<T> {
        self.read(key, parse_text)
    }

    /// A boolean.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, json::boolean)
    }

    /// A moment with a time zone, cut to the millisecond. Answers contain milliseconds, and a client that sends back an
    /// answer must not change the moment.
    pub fn timestamp(&mut self, key: &str) -> Option<Timestamp> {
        self.read(key, timestamp::zoned_from_node)
            .map(Timestamp::whole_millisecond)
    }

    /// The elements of an array, as `read` reads them. Repeated elements are left out.
    ///
    /// More than `max` elements are a fault.
    pub fn list<T: Eq + Hash + Clone>(
        &mut self,
        key: &str,
        max: usize,
        read: impl Fn(&'n Node<'n>, &Place<'_>) -> Result<T, Fault>,
    ) -> Vec<T> {
        let place = self.place.member(key);
        let Some(node) = self.get(key) else {
            return Vec::new();
        };
        let Some(elements) = node.as_array() else {
            self.faults
                .push(place.fault(format!("an array is needed here, not {}", node.kind())));
            return Vec::new();
        };
        if elements.len() > max {
            self.faults.push(place.fault(format!(
                "an array of at most {max} elements is accepted here; this one has {}",
                elements.len()
            )));
            return Vec::new();
        }
        let mut unique = HashSet::with_capacity(elements.len());
        let mut values = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            match read(element, &place.element(index)) {
                Ok(value) if unique.insert(value.clone()) => values.push(value),
                Ok(_) => {}
                Err(fault) => self.faults.push(fault),
            }
        }
        values
    }

    /// The place of the object.
    pub fn place(&self) -> &'p Place<'p> {
        self.place
    }

    /// The faults so far. A form of an inner object adds its own to them.
    pub fn faults(&mut self) -> &mut Faults {
        self.faults
    }
}

/// Reads a string and converts it to `T`.
///
/// # Errors
///
/// The node is not a string, or the conversion fails.
pub fn parse_text<T: TryFrom<String, Error: Display>>(
    node: &Node<'_>,
    place: &Place<'_>,
) -> Result<T, Fault> {
    T::try_from(json::owned_string(node, place)?).map_err(|error| place.fault(error.to_string()))
}

/// Reads a string and converts it with `parse`. `expected` completes the message "write …".
///
/// # Errors
///
/// The node is not a string, or `parse` returns `None`.
pub fn parse_with<T>(
    node: &Node<'_>,
    place: &Place<'_>,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Fault> {
    parse(json::string(node, place)?).ok_or_else(|| place.fault(format!("write {expected}")))
}

/// Reads a string that is the key of one of the values `all`.
///
/// # Errors
///
/// The node is not a string, or no value has this key. The message lists the keys.
pub fn one_of<T: Copy>(
    node: &Node<'_>,
    place: &Place<'_>,
    all: &[T],
    key: impl Fn(T) -> &'static str,
) -> Result<T, Fault> {
    let text = json::string(node, place)?;
    let matching = all.iter().copied().find(|value| key(*value) == text);
    matching.ok_or_else(|| {
        let keys: Vec<&str> = all.iter().map(|value| key(*value)).collect();
        place.fault(format!("write one of `{}`", keys.join("`, `")))
    })
}

/// Reads a string of at most `max` characters.
///
/// # Errors
///
/// The node is not a string, or the string is longer.
pub fn short_text(node: &Node<'_>, place: &Place<'_>, max: usize) -> Result<String, Fault> {
    let text = json::owned_string(node, place)?;
    match text.chars().count() {
        length if length > max => Err(place.fault(format!(
            "a text of at most {max} characters is accepted here; this one has {length}"
        ))),
        _ => Ok(text),
    }
}

/// Reads a name: a text of at most `max` characters, as [`check_naming`] accepts it.
///
/// # Errors
///
/// The node is not a string, or the string is longer, or it has characters that a name must not have.
pub fn read_name(node: &Node<'_>, place: &Place<'_>, max: usize) -> Result<String, Fault> {
    let text = short_text(node, place, max)?;
    match check_naming(&text) {
        Ok(()) => Ok(text),
        Err(error) => Err(place.fault(format!("a name {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::TeamId;

    fn faults(text: &str, read: impl Fn(&mut Form<'_, '_, '_>)) -> Vec<String> {
        let node = json::parse(text, 8).unwrap();
        let mut faults = Faults::new();
        if let Some(mut form) = Form::from_node(
            &node,
            &Place::Root,
            "a thing",
            &["name", "teams", "on"],
            &mut faults,
        ) {
            read(&mut form);
        }
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn all_faults_are_collected_with_their_places() {
        let text = r#"{"Name":1,"name":"","teams":["a","",7,"a"],"on":"yes"}"#;
        let pointers = faults(text, |form| {
            assert_eq!(form.required_text("name", 3), None);
            let teams: Vec<TeamId> = form.list("teams", 5, parse_text);
            assert_eq!(teams, [TeamId::new("a").unwrap()]);
            assert_eq!(form.flag("on"), None);
        });
        assert_eq!(pointers, ["/Name", "/name", "/teams/1", "/teams/2", "/on"]);
    }

    #[test]
    fn read_only_members_are_ignored_and_not_offered() {
        let members = Members {
            written: &["name"],
            read_only: &["id"],
        };
        let node = json::parse(r#"{"id":7,"name":"a","ID":"x"}"#, 8).unwrap();
        let mut faults = Faults::new();
        let form = Form::from_resource(&node, &Place::Root, "a thing", &members, &mut faults);
        assert_eq!(form.unwrap().text("name", 3).as_deref(), Some("a"));
        let faults: Vec<_> = faults
            .into_iter()
            .map(|fault| (fault.pointer, fault.detail))
            .collect();
        let detail = "a thing has no such member; it can have name".to_owned();
        assert_eq!(faults, [("/ID".to_owned(), detail)]);
    }

    #[test]
    fn null_counts_as_missing() {
        let none = |form: &mut Form<'_, '_, '_>| {
            assert_eq!(form.text("name", 3), None);
            assert!(form.list::<TeamId>("teams", 5, parse_text).is_empty());
        };
        assert!(faults(r#"{"name":null,"teams":null}"#, none).is_empty());
        assert!(faults("{}", none).is_empty());
    }

    #[test]
    fn text_length_is_counted_in_characters() {
        assert!(
            faults(r#"{"name":"äöü"}"#, |form| assert!(
                form.text("name", 3).is_some()
            ))
            .is_empty()
        );
        assert_eq!(
            faults(r#"{"name":"äöüß"}"#, |form| assert!(
                form.text("name", 3).is_none()
            )),
            ["/name"]
        );
        assert_eq!(faults(r#"[]"#, |_| unreachable!()), [""]);
    }

    #[test]
    fn unknown_key_is_refused_with_the_list_of_keys() {
        let read = |text: &str| {
            let node = json::parse(text, 8).unwrap();
            one_of(&node, &Place::Root, &["a", "b"], |key| key)
        };
        assert_eq!(read(r#""b""#).unwrap(), "b");
        assert_eq!(read(r#""B""#).unwrap_err().detail, "write one of `a`, `b`");
        assert!(read("1").is_err());
    }
}
