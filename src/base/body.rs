//! Reading JSON texts of requests: one way for all resources, with every fault at its place.

use serde_json::{Map, Number, Value};

use super::fault::{Fault, Faults, Place};
use super::json::{self, Node};

/// Reads a JSON text, at most `depth` objects and arrays deep. `read` converts the value and adds every fault to the
/// list; a member that it does not know is a fault, too ([`Form`](super::form::Form)).
///
/// # Errors
///
/// Every fault, with pointers into the text.
pub fn parse_body<T>(
    text: &str,
    depth: usize,
    read: impl FnOnce(&Node<'_>, &Place<'_>, &mut Faults) -> Option<T>,
) -> Result<T, Faults> {
    let node = json::parse(text, depth).map_err(Faults::from)?;
    let mut faults = Faults::new();
    let value = read(&node, &Place::Root, &mut faults);
    value.filter(|_| faults.is_empty()).ok_or(faults)
}

/// The elements of a batch that could be read, and the faults of the others.
///
/// A batch with faults is refused. The other elements are still checked against the stored data, so that the answer names
/// the faults of all kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedBatch<T> {
    /// The elements without faults.
    pub values: Vec<T>,
    /// Their numbers in the request.
    pub numbers: Vec<usize>,
    /// The faults. Pointers begin with the number of the element.
    pub faults: Faults,
}

impl<T> ParsedBatch<T> {
    /// All elements.
    ///
    /// # Errors
    ///
    /// Every fault, if any element has one.
    pub fn into_values(self) -> Result<Vec<T>, Faults> {
        if self.faults.is_empty() {
            Ok(self.values)
        } else {
            Err(self.faults)
        }
    }
}

/// Reads the elements of a batch as [`parse_body`] reads one text. Pointers begin with the number of the element.
/// `read` gets this number, too.
pub fn parse_bodies<T>(
    texts: &[&str],
    depth: usize,
    mut read: impl FnMut(usize, &Node<'_>, &Place<'_>, &mut Faults) -> Option<T>,
) -> ParsedBatch<T> {
    let mut batch = ParsedBatch {
        values: Vec::with_capacity(texts.len()),
        numbers: Vec::with_capacity(texts.len()),
        faults: Faults::new(),
    };
    for (number, text) in texts.iter().enumerate() {
        let faults_before = batch.faults.len();
        let place = Place::Root.element(number);
        let value = match json::parse(text, depth) {
            Ok(node) => read(number, &node, &place, &mut batch.faults),
            Err(fault) => {
                batch.faults.push(fault.in_element(number));
                None
            }
        };
        if let Some(value) = value.filter(|_| batch.faults.len() == faults_before) {
            batch.values.push(value);
            batch.numbers.push(number);
        }
    }
    batch
}

/// The number of values that a merge patch may have. Its tree takes a multiple of the memory of other trees.
pub const MAX_PATCH_VALUES: usize = 65_536;

/// Reads any JSON text as a value of serde_json, for a merge patch.
///
/// # Errors
///
/// The text is not JSON, has more than [`MAX_PATCH_VALUES`] values, is more than `depth` objects and arrays deep, or
/// contains a number that is too large.
pub fn parse_value(text: &str, depth: usize) -> Result<Value, Fault> {
    to_value(&json::parse_at_most(text, depth, MAX_PATCH_VALUES)?, &Place::Root)
}

fn to_value(node: &Node<'_>, place: &Place<'_>) -> Result<Value, Fault> {
    Ok(match node {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::Bool(*value),
        Node::Number(text) => {
            let number: Result<Number, _> = serde_json::from_str(text);
            Value::Number(number.map_err(|_| place.fault("this number is too large; send a smaller one"))?)
        }
        Node::String(text) => Value::String(text.value().to_owned()),
        Node::Array(elements) => {
            let elements = elements.iter().enumerate();
            let values = elements.map(|(index, element)| to_value(element, &place.element(index)));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        Node::Object(members) => {
            let members = members.iter().map(|member| {
                let key = member.key.value();
                Ok((key.to_owned(), to_value(&member.value, &place.member(key))?))
            });
            Value::Object(members.collect::<Result<Map<_, _>, Fault>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::form::Form;

    fn read_flag(node: &Node<'_>, place: &Place<'_>, faults: &mut Faults) -> Option<bool> {
        Form::from_node(node, place, "a switch", &["on"], faults)?.flag("on")
    }

    #[test]
    fn faults_of_a_text_have_pointers_into_it() {
        assert_eq!(parse_body(r#"{"on":true}"#, 8, read_flag), Ok(true));
        let faults = parse_body(r#"{"on":1,"off":2}"#, 8, read_flag).unwrap_err();
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/off", "/on"]);
        assert!(parse_body("[[1]]", 1, read_flag).is_err());
    }

    #[test]
    fn faults_of_elements_begin_with_their_number() {
        let read =
            |_, node: &Node<'_>, place: &Place<'_>, faults: &mut Faults| read_flag(node, place, faults);
        assert_eq!(
            parse_bodies(&[r#"{"on":true}"#, r#"{"on":false}"#], 8, read).into_values(),
            Ok(vec![true, false])
        );
        let batch = parse_bodies(&["{", r#"{"on":true}"#, r#"{"on":1}"#], 8, read);
        let pointers: Vec<_> = batch.faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/0", "/2/on"]);
        assert_eq!((batch.values, batch.numbers), (vec![true], vec![1]));
    }

    #[test]
    fn value_has_the_content_of_the_text() {
        let text = r#"{"a":[1,-2.5,"x\n",null,true],"b":{"c":{}}}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(parse_value(text, 8), Ok(expected));
        assert_eq!(parse_value(r#"{"a":[1,1e999]}"#, 8).unwrap_err().pointer, "/a/1");
        assert_eq!(parse_value(r#"{"a":1,"a":2}"#, 8).unwrap_err().pointer, "/a");
    }
}
