//! Reading a body whose members are all known, with every fault at its place.
//!
//! A member that is `null` counts as one that is left out: that is how a merge patch takes something away
//! (RFC 7396), and what is read back with `null` in it can be sent again.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;

use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::json::{self, Member, Node};
use crate::base::timestamp;

/// An object under inspection. Its readers give `None`, or nothing in a list, where something is missing or
/// wrong; what is wrong is in the faults.
pub struct Form<'n, 'p, 'f> {
    name: &'static str,
    members: &'n [Member<'n>],
    place: &'p Place<'p>,
    faults: &'f mut Vec<Fault>,
}

impl<'n, 'p, 'f> Form<'n, 'p, 'f> {
    /// The object `node`, called `name` with its article; members that are not `known` are faults.
    /// `None` where it is no object.
    pub fn of(
        node: &'n Node<'n>,
        place: &'p Place<'p>,
        name: &'static str,
        known: &[&str],
        faults: &'f mut Vec<Fault>,
    ) -> Option<Self> {
        let Some(members) = node.as_object() else {
            faults.push(place.fault(format!("{name} is an object, not {}", node.kind())));
            return None;
        };
        for key in members
            .iter()
            .map(|member| member.key.value())
            .filter(|key| !known.contains(key))
        {
            let meant = known.iter().find(|known| known.eq_ignore_ascii_case(key));
            let advice = match meant {
                Some(meant) => format!("write `{meant}`"),
                None => format!("known are {}", known.join(", ")),
            };
            faults.push(
                place
                    .member(key)
                    .fault(format!("{name} has no such member; {advice}")),
            );
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

    /// Notes a fault at a member.
    pub fn fault(&mut self, key: &str, detail: impl Into<String>) {
        let fault = self.place.member(key).fault(detail);
        self.faults.push(fault);
    }

    /// The member, read by `read`.
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

    /// A text of at most `most` characters; an empty one counts as left out.
    pub fn text(&mut self, key: &str, most: usize) -> Option<String> {
        self.read(key, |node, place| short_text(node, place, most))
            .filter(|text| !text.is_empty())
    }

    /// A text of 1 to `most` characters that must be there.
    pub fn needed_text(&mut self, key: &str, most: usize) -> Option<String> {
        let before = self.faults.len();
        let text = self.text(key, most).filter(|text| !text.trim().is_empty());
        if text.is_none() && self.faults.len() == before {
            let detail = format!("{} needs this: a text of 1 to {most} characters", self.name);
            self.fault(key, detail);
        }
        text
    }

    /// A text with a form of its own: an id, a key from a list.
    pub fn value<T: TryFrom<String, Error: Display>>(&mut self, key: &str) -> Option<T> {
        self.read(key, parsed)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, json::boolean)
    }

    /// A moment, to the millisecond: what is finer is cut, since it is shown no finer and must be the same
    /// when it is sent again.
    pub fn moment(&mut self, key: &str) -> Option<Timestamp> {
        self.read(key, timestamp::read).map(to_millis)
    }

    /// The elements of an array of at most `most`, each read by `read`; repeats are left out.
    pub fn list<T: Eq + Hash + Clone>(
        &mut self,
        key: &str,
        most: usize,
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
        if elements.len() > most {
            self.faults.push(place.fault(format!(
                "at most {most} elements are taken; this has {}",
                elements.len()
            )));
            return Vec::new();
        }
        let mut seen = HashSet::with_capacity(elements.len());
        let mut values = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            match read(element, &place.element(index)) {
                Ok(value) if seen.insert(value.clone()) => values.push(value),
                Ok(_) => {}
                Err(fault) => self.faults.push(fault),
            }
        }
        values
    }

    /// The place of a member, for what is read by other means.
    pub fn place(&self) -> &'p Place<'p> {
        self.place
    }

    /// The faults so far, for a form within this one.
    pub fn faults(&mut self) -> &mut Vec<Fault> {
        self.faults
    }
}

/// A text with a form of its own.
///
/// # Errors
///
/// Not a string, or not of that form.
pub fn parsed<T: TryFrom<String, Error: Display>>(node: &Node<'_>, place: &Place<'_>) -> Result<T, Fault> {
    T::try_from(json::owned_string(node, place)?).map_err(|error| place.fault(error.to_string()))
}

/// A text that stands for something, which is what `meant` makes of it; `what` says what to write.
///
/// # Errors
///
/// Not a string, or one that stands for nothing.
pub fn meant<T>(
    node: &Node<'_>,
    place: &Place<'_>,
    what: &str,
    meant: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Fault> {
    meant(json::string(node, place)?).ok_or_else(|| place.fault(format!("write {what}")))
}

/// A value of a closed list, by its key.
///
/// # Errors
///
/// Not a string, or none of the keys, which the fault names.
pub fn one_of<T: Copy>(
    node: &Node<'_>,
    place: &Place<'_>,
    all: &[T],
    key: impl Fn(T) -> &'static str,
) -> Result<T, Fault> {
    let text = json::string(node, place)?;
    let found = all.iter().copied().find(|value| key(*value) == text);
    found.ok_or_else(|| {
        let keys: Vec<&str> = all.iter().map(|value| key(*value)).collect();
        place.fault(format!("write one of `{}`", keys.join("`, `")))
    })
}

/// A text of at most `most` characters.
///
/// # Errors
///
/// Not a string, or a longer one.
pub fn short_text(node: &Node<'_>, place: &Place<'_>, most: usize) -> Result<String, Fault> {
    let text = json::owned_string(node, place)?;
    match text.chars().count() {
        length if length > most => Err(place.fault(format!(
            "at most {most} characters are taken here; this has {length}"
        ))),
        _ => Ok(text),
    }
}

/// The moment without what is finer than a millisecond.
pub fn to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros() - at.micros().rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::TeamId;

    fn faults(text: &str, read: impl Fn(&mut Form<'_, '_, '_>)) -> Vec<String> {
        let node = json::parse(text, 8).unwrap();
        let mut faults = Vec::new();
        if let Some(mut form) = Form::of(
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
    fn every_fault_is_collected_with_its_place() {
        let text = r#"{"Name":1,"name":"","teams":["a","",7,"a"],"on":"yes"}"#;
        let pointers = faults(text, |form| {
            assert_eq!(form.needed_text("name", 3), None);
            let teams: Vec<TeamId> = form.list("teams", 5, parsed);
            assert_eq!(teams, [TeamId::new("a").unwrap()]);
            assert_eq!(form.flag("on"), None);
        });
        assert_eq!(pointers, ["/Name", "/name", "/teams/1", "/teams/2", "/on"]);
    }

    #[test]
    fn null_is_the_same_as_left_out() {
        let none = |form: &mut Form<'_, '_, '_>| {
            assert_eq!(form.text("name", 3), None);
            assert!(form.list::<TeamId>("teams", 5, parsed).is_empty());
        };
        assert!(faults(r#"{"name":null,"teams":null}"#, none).is_empty());
        assert!(faults("{}", none).is_empty());
    }

    #[test]
    fn lengths_are_counted_in_characters() {
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
    fn a_key_is_one_of_its_list_and_the_others_are_named() {
        let read = |text: &str| {
            let node = json::parse(text, 8).unwrap();
            one_of(&node, &Place::Root, &["a", "b"], |key| key)
        };
        assert_eq!(read(r#""b""#).unwrap(), "b");
        assert_eq!(read(r#""B""#).unwrap_err().detail, "write one of `a`, `b`");
        assert!(read("1").is_err());
    }

    #[test]
    fn a_moment_is_cut_to_what_is_shown() {
        assert_eq!(to_millis(Timestamp::from_micros(1_999)).micros(), 1_000);
        assert_eq!(to_millis(Timestamp::from_micros(-1)).micros(), -1_000);
    }
}
