//! A JSON tree that keeps the order of members and the text of every scalar.
//!
//! Rollbook returns a statement as the client sent it (see `docs/specification.md#statements`). Therefore numbers keep
//! their digits, strings their escapes and objects the order of their members. [`parse`] returns a [`Node`].
//! [`Fields`] reads an object with known members and reports an unknown one. [`ObjectWriter`] writes a new object.

pub(crate) mod exact_number;
mod fields;
mod reader;
mod writer;

pub use fields::{Fields, boolean, elements, number, owned_string, string};
pub use reader::{
    MAX_DEPTH, MAX_MEMBERS, MAX_VALUES, parse, parse_at_most, parse_elements, parse_stored,
    without_byte_order_mark,
};
pub(crate) use writer::write_list;
pub use writer::{ObjectWriter, object_text, push_quoted, quoted, write_object};

/// A JSON value with the text of its scalars. It is small, because a body may contain [`MAX_VALUES`] values.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as its text.
    Number(&'a str),
    /// A string.
    String(Text<'a>),
    /// An array.
    Array(Box<[Node<'a>]>),
    /// An object, with its members in the order of the text.
    Object(Box<[Member<'a>]>),
}

/// A string, with its value and its source text.
#[derive(Debug, Clone, PartialEq)]
pub struct Text<'a>(TextForm<'a>);

/// The two forms of a string. Most strings have no escapes, so their value is a part of their source text.
#[derive(Debug, Clone, PartialEq)]
enum TextForm<'a> {
    /// The source text with its quotation marks. The value is the text between them.
    Plain(&'a str),
    /// The source text with its quotation marks and escapes, and the value.
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
    /// The source text, with its quotation marks and escapes.
    pub fn source(&self) -> &'a str {
        match &self.0 {
            TextForm::Plain(source) => source,
            TextForm::Escaped(text) => text.0,
        }
    }

    /// The value of the string.
    pub fn value(&self) -> &str {
        match &self.0 {
            // The source text always begins and ends with a quotation mark.
            TextForm::Plain(source) => source.get(1..source.len().saturating_sub(1)).unwrap_or_default(),
            TextForm::Escaped(text) => &text.1,
        }
    }
}

impl<'a> Node<'a> {
    /// The value of the member `key`, if this is an object with such a member.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.as_object()?
            .iter()
            .find(|member| member.key.value() == key)
            .map(|member| &member.value)
    }

    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&[Member<'a>]> {
        match self {
            Node::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements, if this is an array.
    pub fn as_array(&self) -> Option<&[Node<'a>]> {
        match self {
            Node::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The same value without the members that are `null`, at all levels. Elements of arrays stay.
    ///
    /// In a body of `/v1`, `null` and a missing member mean the same. Readers of statements know no `null`.
    pub fn without_nulls(&self) -> Node<'a> {
        match self {
            Node::Object(members) => {
                let members = members.iter().filter(|member| member.value != Node::Null);
                let members = members.map(|member| Member {
                    key: member.key.clone(),
                    value: member.value.without_nulls(),
                });
                Node::Object(members.collect())
            }
            Node::Array(elements) => Node::Array(elements.iter().map(Node::without_nulls).collect()),
            other => other.clone(),
        }
    }

    /// The value of the string, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Node::String(text) => Some(text.value()),
            _ => None,
        }
    }

    /// The boolean, if this is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The nearest `f64`, if this is a number and the `f64` is finite.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Node::Number(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// The integer, if this is a number without fraction and exponent that fits in an `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Node::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The integer, as JSON Schema understands it: `3.0` and `3e2` are integers too. `None` beyond what every reader of JSON
    /// keeps exactly.
    pub fn as_whole_number(&self) -> Option<i64> {
        /// 2^53: up to it, an `f64` has each integer.
        const MOST: f64 = 9_007_199_254_740_992.0;
        self.as_i64().or_else(|| {
            let number = self.as_f64()?;
            (number.fract() == 0.0 && number.abs() <= MOST).then_some(number as i64)
        })
    }

    /// The type of the value for messages, with its article: `a string`, `null`.
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

    #[test]
    fn whole_number_may_have_a_fraction_of_zero_or_an_exponent() {
        let whole = |text: &str| parse(text, 0).expect("JSON").as_whole_number();
        assert_eq!(
            (whole("3"), whole("3.0"), whole("-3e2")),
            (Some(3), Some(3), Some(-300))
        );
        assert_eq!(whole("9223372036854775807"), Some(i64::MAX));
        for text in ["3.5", "1e300", "\"3\"", "null", "9223372036854775808"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn nodes_and_members_are_small() {
        assert_eq!((size_of::<Node<'_>>(), size_of::<Member<'_>>()), (24, 40));
    }

    #[test]
    fn members_that_are_null_are_left_out_at_all_levels() {
        let node = parse(r#"{"a":null,"b":{"c":null,"d":[null,{"e":null}]}}"#, 8).unwrap();
        assert_eq!(node.without_nulls().to_text(), r#"{"b":{"d":[null,{}]}}"#);
    }

    /// Whether the node has the value that `serde_json` reads from the same text.
    fn is_same(node: &Node<'_>, value: &Value) -> bool {
        match (node, value) {
            (Node::Null, Value::Null) => true,
            (Node::Bool(one), Value::Bool(other)) => one == other,
            (Node::Number(text), Value::Number(number)) => *text == number.to_string(),
            (Node::String(text), Value::String(other)) => text.value() == other,
            (Node::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
            }
            (Node::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one.iter().all(|member| {
                        other
                            .get(member.key.value())
                            .is_some_and(|v| is_same(&member.value, v))
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
        fn tree_has_the_value_that_serde_json_reads(value in any_json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let node = parse(&pretty, 64).unwrap();
            prop_assert!(is_same(&node, &value));
            prop_assert_eq!(node.to_text(), value.to_string());
        }

        #[test]
        fn text_that_is_not_json_is_refused(text in r#"[\[\]{}",:\\u0-9eE.a-z+\- \n]{0,24}"#) {
            if serde_json::from_str::<Value>(&text).is_err() && parse(&text, 64).is_ok() {
                // `serde_json::Value` can't contain a number outside the range of `f64`.
                prop_assert!(text.contains(['e', 'E']), "{}", text);
            }
        }
    }
}
