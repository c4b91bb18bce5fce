//! JSON as it was sent: a tree that keeps the order of members and the text of every scalar.
//!
//! A statement is given back as it came (product text, section 10), so numbers keep their digits,
//! strings their escapes and objects their order. [`parse`] makes a [`Node`]; [`Fields`] reads an
//! object whose members are all known, and names the one that is not.
//!
//! The grammar itself is checked by `serde_json`; the walk after it only cuts a text that is known
//! to be JSON, so that both passes are linear in the length of the text.

mod fields;

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::fault::{Fault, Place};

pub use fields::{Fields, boolean, elements, number, owned_string, string};

/// Nesting never goes deeper than this, whatever [`parse`] is asked for: what reads a tree descends
/// by recursion.
pub const MAX_DEPTH: usize = 256;

/// How many values a text may have: scalars, arrays and objects, wherever they stand. A tree takes many
/// times the memory of a text of many short values, so the length of a body alone doesn't bound it.
pub const MAX_VALUES: usize = 1_000_000;

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

/// Reads a whole JSON text.
///
/// # Errors
///
/// Malformed JSON (the detail gives line and column), more than [`MAX_VALUES`] values, a key twice in
/// one object, U+0000 in a string or key, half a surrogate pair, or nesting deeper than `depth` (at
/// most [`MAX_DEPTH`]); each with its pointer.
pub fn parse(text: &str, depth: usize) -> Result<Node<'_>, Fault> {
    Walk::over(text)?.whole(depth)
}

/// Reads a whole JSON text that was taken once already, or made from such ones: however many values it
/// has by now, and whatever was allowed then.
///
/// # Errors
///
/// As [`parse`], but for the number of values and with a depth of [`MAX_DEPTH`].
pub fn parse_kept(text: &str) -> Result<Node<'_>, Fault> {
    let mut walk = Walk::over(text)?;
    walk.values_left = usize::MAX;
    walk.whole(MAX_DEPTH)
}

/// Reads a whole JSON text that may be an array of up to `most` independent things, each at most
/// `depth` deep, and gives beside it the first fault of every element that has one, with the element's
/// number; 0 where the text is no array.
///
/// # Errors
///
/// Malformed JSON (the detail gives line and column), more than `most` elements or [`MAX_VALUES`]
/// values: no more than that is read of it. The other faults that [`parse`] refuses are those given
/// beside the tree; an element with a fault is not to be used.
pub fn parse_elements(
    text: &str,
    depth: usize,
    most: usize,
) -> Result<(Node<'_>, Vec<(usize, Fault)>), Fault> {
    let mut walk = Walk::over(text)?;
    walk.most_elements = most;
    let around = usize::from(walk.peek() == b'[');
    let node = walk.value(&Place::Root, depth.min(MAX_DEPTH - 1) + around);
    match walk.stopped {
        Some(fault) => Err(fault),
        None => Ok((node, walk.faults)),
    }
}

/// Stands for the end of the text: no byte of JSON outside a string.
const END: u8 = 0;

/// A walk over a text that is known to be JSON.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// The first fault of each element of the outermost array.
    faults: Vec<(usize, Fault)>,
    /// The element of the outermost array that the walk is in.
    element: usize,
    /// How many elements the outermost array may have.
    most_elements: usize,
    /// How many more values there may be.
    values_left: usize,
    /// Why the walk ended early, if it did.
    stopped: Option<Fault>,
}

impl<'a> Walk<'a> {
    /// A walk at the beginning of a text, which is looked through for its grammar first.
    fn over(text: &'a str) -> Result<Self, Fault> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| Fault::whole(format!("this is not JSON: {error}")))?;
        Ok(Self {
            text: raw.get(),
            at: 0,
            faults: Vec::new(),
            element: 0,
            most_elements: usize::MAX,
            values_left: MAX_VALUES,
            stopped: None,
        })
    }

    /// The one value of the text, with no fault at all.
    fn whole(mut self, depth: usize) -> Result<Node<'a>, Fault> {
        let node = self.value(&Place::Root, depth.min(MAX_DEPTH));
        let first = self.faults.into_iter().next().map(|(_, fault)| fault);
        match self.stopped.or(first) {
            Some(fault) => Err(fault),
            None => Ok(node),
        }
    }

    /// Ends the walk: to all that is under way the text is over.
    fn stop(&mut self, detail: String) {
        self.at = self.text.len();
        self.stopped.get_or_insert_with(|| Fault::whole(detail));
    }

    fn refuse(&mut self, fault: Fault) {
        if self
            .faults
            .last()
            .is_none_or(|(element, _)| *element != self.element)
        {
            self.faults.push((self.element, fault));
        }
    }

    /// The value that begins here; `depth` more levels may be opened.
    fn value(&mut self, place: &Place<'_>, depth: usize) -> Node<'a> {
        if self.values_left == 0 {
            self.stop(format!(
                "this has more than {MAX_VALUES} values, counting numbers, strings, arrays and objects alike; send less at once"
            ));
            return Node::Null;
        }
        self.values_left -= 1;
        match self.peek() {
            b'{' | b'[' if depth == 0 => {
                self.refuse(place.fault("this is nested too deeply; use fewer levels of objects and arrays"));
                self.step_over();
                Node::Null
            }
            b'{' => self.object(place, depth - 1),
            b'[' => self.array(place, depth - 1),
            b'"' => Node::String(self.string(place)),
            b't' => self.word(4, Node::Bool(true)),
            b'f' => self.word(5, Node::Bool(false)),
            b'n' => self.word(4, Node::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, place: &Place<'_>, depth: usize) -> Node<'a> {
        let mut members: Vec<Member<'a>> = Vec::new();
        self.at += 1;
        while !matches!(self.peek(), b'}' | END) {
            let key = self.string(place);
            self.skip(b':');
            let value = self.value(&place.member(key.value()), depth);
            members.push(Member { key, value });
            self.skip(b',');
        }
        self.at += 1;
        if let Some(key) = repeated(&members) {
            self.refuse(
                place
                    .member(key)
                    .fault("this key appears twice in its object; send it once"),
            );
        }
        Node::Object(members.into_boxed_slice())
    }

    fn array(&mut self, place: &Place<'_>, depth: usize) -> Node<'a> {
        let mut elements = Vec::new();
        self.at += 1;
        while !matches!(self.peek(), b']' | END) {
            if matches!(place, Place::Root) {
                self.element = elements.len();
                if elements.len() == self.most_elements {
                    let most = self.most_elements;
                    self.stop(format!(
                        "more than {most} elements in one request; send it in several"
                    ));
                    break;
                }
            }
            elements.push(self.value(&place.element(elements.len()), depth));
            self.skip(b',');
        }
        self.at += 1;
        Node::Array(elements.into_boxed_slice())
    }

    fn string(&mut self, place: &Place<'_>) -> Text<'a> {
        let start = self.at;
        let escaped = self.string_end();
        let source = self.text.get(start..self.at).unwrap_or_default();
        if !escaped {
            // Without an escape there is no way to write U+0000: a bare one is not JSON.
            return Text(Written::Plain(source));
        }
        // The grammar was looked at before, so only the meaning of an escape can be wrong.
        let value = serde_json::from_str::<String>(source).unwrap_or_else(|_| {
            self.refuse(place.fault("a string here has half a surrogate pair; send whole characters"));
            String::new()
        });
        if value.contains('\0') {
            self.refuse(place.fault("a string here holds U+0000, which can't be stored; leave it out"));
        }
        Text(Written::Escaped(Box::new((source, value.into_boxed_str()))))
    }

    /// Goes to the end of the string that begins here; whether it has an escape.
    fn string_end(&mut self) -> bool {
        let mut escaped = false;
        self.at += 1;
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                }
                _ => {}
            }
        }
        escaped
    }

    fn number(&mut self) -> Node<'a> {
        let start = self.at;
        while matches!(
            self.text.as_bytes().get(self.at),
            Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
        ) {
            self.at += 1;
        }
        if self.at == start {
            // Not reached in a text that is JSON; with it a mistake of this walk ends instead of
            // going on for ever.
            self.at = self.text.len();
        }
        Node::Number(self.text.get(start..self.at).unwrap_or_default())
    }

    fn word(&mut self, length: usize, node: Node<'a>) -> Node<'a> {
        self.at += length;
        node
    }

    /// Goes past the object or array that begins here, without a look at what it holds.
    fn step_over(&mut self) {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                b'"' => {
                    self.string_end();
                    continue;
                }
                END => return,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    /// The next byte that is not white space, or 0 at the end.
    fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return *byte;
            }
            self.at += 1;
        }
        END
    }

    /// Steps over `byte` where it is the next one.
    fn skip(&mut self, byte: u8) {
        if self.peek() == byte {
            self.at += 1;
        }
    }
}

/// The first key that appears a second time.
fn repeated<'n>(members: &'n [Member<'_>]) -> Option<&'n str> {
    // Nearly all objects are small, and a look at the neighbours is cheaper than a set.
    if members.len() <= 16 {
        return members.iter().enumerate().find_map(|(index, member)| {
            let earlier = &members[..index];
            earlier
                .iter()
                .any(|other| other.key.value() == member.key.value())
                .then(|| member.key.value())
        });
    }
    let mut seen = HashSet::with_capacity(members.len());
    members
        .iter()
        .map(|member| member.key.value())
        .find(|key| !seen.insert(*key))
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

    /// Writes the value without white space, every scalar and key in its own text.
    pub fn write(&self, out: &mut String) {
        match self {
            Node::Null => out.push_str("null"),
            Node::Bool(true) => out.push_str("true"),
            Node::Bool(false) => out.push_str("false"),
            Node::Number(text) => out.push_str(text),
            Node::String(text) => out.push_str(text.source()),
            Node::Array(elements) => {
                write_list(out, ['[', ']'], elements, |out, element: &Node<'_>| {
                    element.write(out)
                });
            }
            Node::Object(members) => write_list(out, ['{', '}'], members, |out, member| {
                out.push_str(member.key.source());
                out.push(':');
                member.value.write(out);
            }),
        }
    }

    /// The value as text without white space; see [`Node::write`].
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

/// Writes `items` between brackets, with commas between them.
pub(super) fn write_list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(close);
}

/// `text` as a JSON string, with its quotation marks.
pub fn quoted(text: &str) -> String {
    // Writing a string into memory has no way to fail.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_scalar_keeps_its_text() {
        let text = " { \"b\" : [ 1e2 , -0.0, 12345678901234567890.10 ],\n\"a\\u0041\":\"\\/é\\n\", \"c\":{ }, \"d\" : [\t] } ";
        let node = parse(text, 3).unwrap();
        assert_eq!(
            node.to_text(),
            r#"{"b":[1e2,-0.0,12345678901234567890.10],"a\u0041":"\/é\n","c":{},"d":[]}"#
        );
        assert_eq!(node.get("aA").and_then(Node::as_str), Some("/é\n"));
        let numbers = node.get("b").and_then(Node::as_array).unwrap();
        assert_eq!((numbers[0].as_f64(), numbers[0].as_i64()), (Some(100.0), None));
        assert_eq!(parse("1e400", 0).unwrap().as_f64(), None);
        assert_eq!(parse("-7", 0).unwrap().as_i64(), Some(-7));
    }

    #[test]
    fn what_is_refused_has_its_place() {
        let many: String = (0..100).map(|n| format!("\"k{n}\":0,")).collect();
        let cases = [
            (r#"{"a":{"b":1,"b":2}}"#.to_owned(), "/a/b"),
            (format!("{{{many}\"k7\":1}}"), "/k7"),
            (r#"[0,{"a/b":"\u0000"}]"#.to_owned(), "/1/a~1b"),
            (r#"[{"\u0000":1}]"#.to_owned(), "/0"),
            (r#"["\udc00\ud800"]"#.to_owned(), "/0"),
            ("[[[[]]]]".to_owned(), "/0/0/0"),
            ("[1,]".to_owned(), ""),
            ("\"\n\"".to_owned(), ""),
            ("01".to_owned(), ""),
            ("\u{feff}1".to_owned(), ""),
        ];
        for (text, pointer) in cases {
            assert_eq!(parse(&text, 3).unwrap_err().pointer, pointer, "{text}");
        }
    }

    #[test]
    fn the_first_fault_of_every_element_is_told() {
        let text = r#"[1, {"a":"\u0000","b":"\u0000"}, [[["}\"]"]], 2], {"c":0,"c":0}]"#;
        let (node, faults) = parse_elements(text, 2, 4).unwrap();
        let told: Vec<_> = faults
            .iter()
            .map(|(index, fault)| (*index, fault.pointer.as_str()))
            .collect();
        assert_eq!(told, [(1, "/1/a"), (2, "/2/0/0"), (3, "/3/c")]);
        assert_eq!(node.as_array().map(<[_]>::len), Some(4));
    }

    /// Beside what it is written in, a value takes no more than this.
    #[test]
    fn a_tree_is_small() {
        assert_eq!((size_of::<Node<'_>>(), size_of::<Member<'_>>()), (24, 40));
    }

    #[test]
    fn values_are_counted_wherever_they_stand() {
        // Each text has that many more values than pieces.
        let texts: [(&str, &str, &str, usize); 4] = [
            ("[", "1,", "1]", 2),
            (r#"{"a":[["#, r#""\n","#, "null]]}", 4),
            ("[[", "{},", "[]]]", 3),
            (r#"[[0,1],["#, "true,", "{\"\":2}]]", 7),
        ];
        for (before, piece, after, more) in texts {
            let text = |values: usize| format!("{before}{}{after}", piece.repeat(values - more));
            let most = text(MAX_VALUES);
            assert!(parse(&most, 3).is_ok(), "{before}");
            assert!(parse_elements(&most, 3, usize::MAX).is_ok(), "{before}");
            let over = text(MAX_VALUES + 1);
            let fault = parse(&over, 3).unwrap_err();
            assert_eq!(fault.pointer, "");
            assert!(fault.detail.contains("1000000 values"), "{fault}");
            assert_eq!(
                parse_elements(&over, 3, usize::MAX).unwrap_err(),
                fault,
                "{before}"
            );
            assert!(parse_kept(&over).unwrap().to_text() == over, "{before}");
        }
        let members: String = (0..MAX_VALUES - 1).map(|n| format!("\"{n}\":1,")).collect();
        assert!(parse(&format!("{{{}}}", members.trim_end_matches(',')), 1).is_ok());
        assert!(parse(&format!("{{{members}\"a\":1}}"), 1).is_err());
    }

    #[test]
    fn an_array_of_too_many_is_read_no_further() {
        let bad = r#"{"c":0,"c":0}"#;
        let (node, faults) = parse_elements(r#"[[1,2,3],{"a":[4,5,6]}]"#, 3, 2).unwrap();
        assert_eq!((node.as_array().map(<[_]>::len), faults), (Some(2), Vec::new()));
        assert!(parse_elements(r#"{"a":[4,5,6]}"#, 3, 0).is_ok(), "no array");
        assert!(parse_elements("[]", 3, 0).is_ok(), "nothing in it");
        for text in [
            format!("[1,{bad},3]"),
            format!("[{bad},2,[{{}}],{bad}]"),
            "[1,2,[]]".to_owned(),
        ] {
            let fault = parse_elements(&text, 3, 2).unwrap_err();
            assert_eq!(
                (
                    fault.pointer.as_str(),
                    fault.detail.contains("more than 2 elements")
                ),
                ("", true),
                "{text}"
            );
        }
        assert!(
            parse_elements("[1,2,3", 3, 2)
                .unwrap_err()
                .detail
                .contains("not JSON")
        );
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
