//! JSON as a tree that also represents repeated keys, numbers of any size and half surrogate pairs.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON value with the original text of scalars and keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// A literal, a number, or a string with its quotation marks.
    Scalar(String),
    Array(Vec<Tree>),
    /// Keys with their quotation marks.
    Object(Vec<(String, Tree)>),
}

/// The members of an object in order, including repeated keys.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader).map(Self)
    }
}

impl Tree {
    /// Parses valid JSON.
    pub fn parse(text: &str) -> Self {
        match text.trim_start().as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text).expect("an object");
                let read = |(key, value): (String, &RawValue)| (quote(&key), Self::parse(value.get()));
                Self::Object(members.into_iter().map(read).collect())
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).expect("an array");
                Self::Array(elements.into_iter().map(|one| Self::parse(one.get())).collect())
            }
            _ => Self::Scalar(text.trim().to_owned()),
        }
    }

    pub fn string(text: &str) -> Self {
        Self::Scalar(quote(text))
    }

    /// The text without white space.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, &mut |_| {});
        out
    }

    /// Writes the text. `space` may write something between any two tokens.
    pub fn write(&self, out: &mut String, space: &mut impl FnMut(&mut String)) {
        space(out);
        match self {
            Self::Scalar(token) => out.push_str(token),
            Self::Array(elements) => {
                out.push('[');
                for (number, element) in elements.iter().enumerate() {
                    out.push_str(if number == 0 { "" } else { "," });
                    element.write(out, space);
                }
                space(out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (number, (key, value)) in members.iter().enumerate() {
                    out.push_str(if number == 0 { "" } else { "," });
                    space(out);
                    out.push_str(key);
                    space(out);
                    out.push(':');
                    value.write(out, space);
                }
                space(out);
                out.push('}');
            }
        }
        space(out);
    }

    /// The value of the first member with this name.
    pub fn get(&self, name: &str) -> Option<&Tree> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(key, _)| parse_string(key).as_deref() == Some(name)).map(|(_, value)| value)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<String> {
        match self {
            Self::Scalar(token) => parse_string(token),
            _ => None,
        }
    }

    /// Returns true if a JSON Pointer (RFC 6901) leads to a value, through any of repeated keys.
    pub fn has_pointer(&self, pointer: &str) -> bool {
        let Some(rest) = pointer.strip_prefix('/') else {
            return pointer.is_empty();
        };
        let (step, further) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let step = step.replace("~1", "/").replace("~0", "~");
        match self {
            Self::Scalar(_) => false,
            Self::Array(elements) => step
                .parse::<usize>()
                .ok()
                .and_then(|at| elements.get(at))
                .is_some_and(|element| element.has_pointer(further)),
            // An invalid key (half a surrogate pair) counts as an empty one.
            Self::Object(members) => members.iter().any(|(key, value)| {
                parse_string(key).unwrap_or_default() == step && value.has_pointer(further)
            }),
        }
    }

    /// The number of values in the tree, including itself.
    pub fn count(&self) -> usize {
        1 + match self {
            Self::Scalar(_) => 0,
            Self::Array(elements) => elements.iter().map(Self::count).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.count()).sum(),
        }
    }

    /// The value with this number, in depth-first order.
    pub fn nth(&self, number: usize) -> Option<&Tree> {
        self.find(&mut { number })
    }

    fn find(&self, left: &mut usize) -> Option<&Tree> {
        if *left == 0 {
            return Some(self);
        }
        *left -= 1;
        match self {
            Self::Scalar(_) => None,
            Self::Array(elements) => elements.iter().find_map(|element| element.find(left)),
            Self::Object(members) => members.iter().find_map(|(_, value)| value.find(left)),
        }
    }

    /// Like [`Tree::nth`], mutable.
    pub fn nth_mut(&mut self, number: usize) -> Option<&mut Tree> {
        self.find_mut(&mut { number })
    }

    fn find_mut(&mut self, left: &mut usize) -> Option<&mut Tree> {
        if *left == 0 {
            return Some(self);
        }
        *left -= 1;
        match self {
            Self::Scalar(_) => None,
            Self::Array(elements) => elements.iter_mut().find_map(|element| element.find_mut(left)),
            Self::Object(members) => members.iter_mut().find_map(|(_, value)| value.find_mut(left)),
        }
    }
}

/// The text of a string token, or `None` if it is invalid or not a string.
pub fn parse_string(token: &str) -> Option<String> {
    serde_json::from_str(token).ok()
}

pub fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}
