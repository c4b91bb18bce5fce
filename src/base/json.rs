//! JSON as it was sent: a tree that keeps the order of members and the text of every scalar.
//!
//! A statement is given back as it came (product text, section 10), so numbers keep their digits,
//! strings their escapes and objects their order. [`parse`] makes a [`Node`]; [`Fields`] reads an
//! object whose members are all known, and names the one that is not.

mod fields;
mod reader;
mod writer;

pub use fields::{Fields, boolean, elements, number, owned_string, string};
pub use reader::{MAX_DEPTH, MAX_VALUES, parse, parse_elements, parse_kept};
pub(crate) use writer::write_list;
pub use writer::{ObjectWriter, object_text, quoted, write_object};

/// A JSON value that remembers how it was written. It is small, since a body may have
/// [`MAX_VALUES`] of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as its own text.
    Number(&'a str),
    /// A string.
    String(Text<'a>),
    /// An array.
    Array(Box<[Node<'a>]>),
    /// An object, its members in the order they came.
    Object(Box<[Member<'a>]>),
}

/// A string: what it says and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Text<'a>(Written<'a>);

/// How a string was written. Nearly all have no escapes, and need nothing beside their text.
#[derive(Debug, Clone, PartialEq)]
enum Written<'a> {
    /// With its quotation marks; what is between them is what it says.
    Plain(&'a str),
    /// With its quotation marks and escapes, and what it says.
    Escaped(Box<(&'a str, Box<str>)>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member<'a> {
    /// The key.
    pub key: Text<'a>,
    /// The value.
    pub value: Node<'a>,
}

impl<'a> Text<'a> {
    /// The JSON text, with its quotation marks and escapes.
    pub fn source(&self) -> &'a str {
        match &self.0 {
            Written::Plain(source) => source,
            Written::Escaped(text) => text.0,
        }
    }

    /// What it says.
    pub fn value(&self) -> &str {
        match &self.0 {
            // Never without its two quotation marks.
            Written::Plain(source) => source.get(1..source.len().saturating_sub(1)).unwrap_or_default(),
            Written::Escaped(text) => &text.1,
        }
    }
}

impl<'a> Node<'a> {
    /// The value of the member `key`, where this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.as_object()?
            .iter()
            .find(|member| member.key.value() == key)
            .map(|member| &member.value)
    }

    /// The members, where this is an object.
    pub fn as_object(&self) -> Option<&[Member<'a>]> {
        match self {
            Node::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements, where this is an array.
    pub fn as_array(&self) -> Option<&[Node<'a>]> {
        match self {
            Node::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// What it says, where this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Node::String(text) => Some(text.value()),
            _ => None,
        }
    }

    /// The truth value, where this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number nearest to what was written, where this is a number that is finite as an `f64`.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Node::Number(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// The whole number, where this is a number written without fraction and exponent that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Node::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// What kind of value this is, with its article: `a string`, `null`.
    pub fn kind(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Number(_) => "a number",
            Node::String(_) => "a string",
            Node::Array(_) => "an array",
            Node::Object(_) => "an object",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Beside what it is written in, a value takes no more than this.
    #[test]
    fn a_tree_is_small() {
        assert_eq!((size_of::<Node<'_>>(), size_of::<Member<'_>>()), (24, 40));
    }

    /// The judge: the same value as `serde_json` reads.
    fn same(node: &Node<'_>, value: &Value) -> bool {
        match (node, value) {
            (Node::Null, Value::Null) => true,
            (Node::Bool(one), Value::Bool(other)) => one == other,
            (Node::Number(text), Value::Number(number)) => *text == number.to_string(),
            (Node::String(text), Value::String(other)) => text.value() == other,
            (Node::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
            }
            (Node::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one.iter().all(|member| {
                        other
                            .get(member.key.value())
                            .is_some_and(|v| same(&member.value, v))
                    })
            }
            _ => false,
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = "[^\u{0}]{0,6}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(text, inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_tree_says_what_serde_json_says(value in any_json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let node = parse(&pretty, 64).unwrap();
            prop_assert!(same(&node, &value));
            prop_assert_eq!(node.to_text(), value.to_string());
        }

        #[test]
        fn what_is_not_json_is_refused(text in r#"[\[\]{}",:\\u0-9eE.a-z+\- \n]{0,24}"#) {
            if serde_json::from_str::<Value>(&text).is_err() && parse(&text, 64).is_ok() {
                // What only serde_json's value can't hold: a number beyond an f64.
                prop_assert!(text.contains(['e', 'E']), "{}", text);
            }
        }
    }
}
