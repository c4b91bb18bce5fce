//! Parsing JSON text to a tree, with limits on its depth and on the number of values.
//!
//! Parsing takes two passes. First `serde_json` checks the grammar. Then [`Walk`] builds the tree; it relies on the
//! text being valid JSON. Both passes take time linear in the length of the text.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use serde_json::value::RawValue;

use crate::base::fault::{Fault, Place};

use super::{Member, Node, Text, TextForm};

/// The limit of nesting. It applies even if the caller of [`parse`] allows more. Code that reads a tree is
/// recursive, so the depth of a tree bounds the use of the stack.
pub const MAX_DEPTH: usize = 256;

/// The number of values that a text may contain: scalars, arrays and objects at all levels.
///
/// The length of a body alone does not bound the memory: the tree of many short values takes many times the memory
/// of their text.
pub const MAX_VALUES: usize = 1_000_000;

/// The number of members that an object of a request may have. No object of the API needs as many, and each member takes
/// more memory in the tree than in the text.
pub const MAX_MEMBERS: usize = 65_536;

/// Parses a JSON text.
///
/// # Errors
///
/// - The text is not JSON. The detail contains line and column.
/// - The text has more than [`MAX_VALUES`] values, or an object has more than [`MAX_MEMBERS`] members.
/// - It is nested deeper than `depth`, or deeper than [`MAX_DEPTH`].
/// - An object has a key twice.
/// - A string or key contains U+0000 or half a surrogate pair.
pub fn parse(text: &str, depth: usize) -> Result<Node<'_>, Fault> {
    Walk::new(text)?.parse_root(depth)
}

/// Parses a JSON text that may have `values` values at most.
///
/// # Errors
///
/// The errors of [`parse`].
pub fn parse_at_most(text: &str, depth: usize, values: usize) -> Result<Node<'_>, Fault> {
    let mut walk = Walk::new(text)?;
    walk.max_values = values;
    walk.values_left = values;
    walk.parse_root(depth)
}

/// Parses a JSON text that Rollbook stored. The number of values and members is not limited: a stored text may be merged from
/// several accepted texts, or the limit may have been higher when it was accepted.
///
/// # Errors
///
/// The errors of [`parse`] with a depth of [`MAX_DEPTH`], except the numbers of values and members.
pub fn parse_stored(text: &str) -> Result<Node<'_>, Fault> {
    let mut walk = Walk::new(text)?;
    walk.values_left = usize::MAX;
    walk.max_members = usize::MAX;
    walk.parse_root(MAX_DEPTH)
}

/// Parses a JSON text that may be an array of independent elements, each nested at most `depth` deep.
///
/// Returns the tree and the first fault of every faulty element, with the index of the element. The caller must not
/// use an element with a fault. If the text is not an array, it counts as the element 0.
///
/// # Errors
///
/// The text is not JSON, or it has more than `max_elements` elements or [`MAX_VALUES`] values, or an object with more
/// than [`MAX_MEMBERS`] members. Parsing stops at that
/// point. The other faults that [`parse`] reports are in the returned list.
pub fn parse_elements(
    text: &str,
    depth: usize,
    max_elements: usize,
) -> Result<(Node<'_>, Vec<(usize, Fault)>), Fault> {
    let mut walk = Walk::new(text)?;
    walk.max_elements = max_elements;
    let outer_array = usize::from(walk.peek() == b'[');
    let node = walk.value(&Place::Root, depth.min(MAX_DEPTH - 1) + outer_array);
    match walk.stopped {
        Some(fault) => Err(fault),
        None => Ok((node, walk.faults)),
    }
}

/// What [`Walk::peek`] returns at the end of the text. This byte does not occur in JSON outside strings.
const END: u8 = 0;

/// A walk over a text that is valid JSON. It builds the tree.
struct Walk<'a> {
    text: &'a str,
    /// The current byte position.
    position: usize,
    /// The first fault of each element of the outermost array.
    faults: Vec<(usize, Fault)>,
    /// The index of the current element of the outermost array.
    element: usize,
    /// The number of elements that the outermost array may have.
    max_elements: usize,
    /// The number of members that each object may have.
    max_members: usize,
    /// The number of values that the text may have.
    max_values: usize,
    /// The number of values that the rest of the text may have.
    values_left: usize,
    /// The fault that stopped the walk, if it stopped early.
    stopped: Option<Fault>,
}

impl<'a> Walk<'a> {
    /// A walk at the beginning of `text`. Checks the grammar first.
    fn new(text: &'a str) -> Result<Self, Fault> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| Fault::whole(format!("this is not JSON: {error}")))?;
        Ok(Self {
            text: raw.get(),
            position: 0,
            faults: Vec::new(),
            element: 0,
            max_elements: usize::MAX,
            max_members: MAX_MEMBERS,
            max_values: MAX_VALUES,
            values_left: MAX_VALUES,
            stopped: None,
        })
    }

    /// The value of the text, or its first fault.
    fn parse_root(mut self, depth: usize) -> Result<Node<'a>, Fault> {
        let node = self.value(&Place::Root, depth.min(MAX_DEPTH));
        let first = self.faults.into_iter().next().map(|(_, fault)| fault);
        match self.stopped.or(first) {
            Some(fault) => Err(fault),
            None => Ok(node),
        }
    }

    /// Stops the walk. It moves to the end of the text, so all loops end.
    fn stop(&mut self, detail: String) {
        self.position = self.text.len();
        self.stopped.get_or_insert_with(|| Fault::whole(detail));
    }

    /// Adds a fault of the current element, unless it has one already.
    fn add_fault(&mut self, fault: Fault) {
        if self
            .faults
            .last()
            .is_none_or(|(element, _)| *element != self.element)
        {
            self.faults.push((self.element, fault));
        }
    }

    /// Reads the value at the current position. It may be nested `depth` levels deep.
    fn value(&mut self, place: &Place<'_>, depth: usize) -> Node<'a> {
        if self.values_left == 0 {
            let max = self.max_values;
            self.stop(format!(
                "this has more than {max} values, counting numbers, strings, arrays and objects; send less in one request"
            ));
            return Node::Null;
        }
        self.values_left -= 1;
        match self.peek() {
            b'{' | b'[' if depth == 0 => {
                self.add_fault(
                    place.fault("this is nested too deeply; use fewer levels of objects and arrays"),
                );
                self.skip_container();
                Node::Null
            }
            b'{' => self.object(place, depth - 1),
            b'[' => self.array(place, depth - 1),
            b'"' => Node::String(self.string(place)),
            b't' => self.literal(4, Node::Bool(true)),
            b'f' => self.literal(5, Node::Bool(false)),
            b'n' => self.literal(4, Node::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, place: &Place<'_>, depth: usize) -> Node<'a> {
        let mut members: Vec<Member<'a>> = Vec::new();
        self.position += 1;
        while !matches!(self.peek(), b'}' | END) {
            if members.len() == self.max_members {
                let max = self.max_members;
                self.stop(format!("an object here has more than {max} members; send fewer"));
                break;
            }
            let key = self.string(place);
            self.skip(b':');
            let value = self.value(&place.member(key.value()), depth);
            members.push(Member { key, value });
            self.skip(b',');
        }
        self.position += 1;
        if let Some(key) = find_repeated_key(&members) {
            self.add_fault(
                place
                    .member(key)
                    .fault("this key appears twice in its object; send it once"),
            );
        }
        Node::Object(members.into_boxed_slice())
    }

    fn array(&mut self, place: &Place<'_>, depth: usize) -> Node<'a> {
        let mut elements = Vec::new();
        self.position += 1;
        while !matches!(self.peek(), b']' | END) {
            if matches!(place, Place::Root) {
                self.element = elements.len();
                if elements.len() == self.max_elements {
                    let max = self.max_elements;
                    self.stop(format!(
                        "more than {max} elements in one request; send several requests"
                    ));
                    break;
                }
            }
            elements.push(self.value(&place.element(elements.len()), depth));
            self.skip(b',');
        }
        self.position += 1;
        Node::Array(elements.into_boxed_slice())
    }

    fn string(&mut self, place: &Place<'_>) -> Text<'a> {
        let start = self.position;
        let escaped = self.skip_string();
        let source = self.text.get(start..self.position).unwrap_or_default();
        if !escaped {
            // A string without escapes can't contain U+0000: JSON allows it only as an escape.
            return Text(TextForm::Plain(source));
        }
        // The grammar is valid, so the only possible error is half a surrogate pair.
        let value = serde_json::from_str::<String>(source).unwrap_or_else(|_| {
            self.add_fault(place.fault("a string here has half a surrogate pair; send whole characters"));
            String::new()
        });
        if value.contains('\0') {
            self.add_fault(place.fault("a string here contains U+0000, which can't be stored; leave it out"));
        }
        Text(TextForm::Escaped(Box::new((source, value.into_boxed_str()))))
    }

    /// Moves past the string at the current position. Returns whether it has an escape.
    fn skip_string(&mut self) -> bool {
        let mut escaped = false;
        self.position += 1;
        while let Some(byte) = self.text.as_bytes().get(self.position) {
            self.position += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.position += 1;
                }
                _ => {}
            }
        }
        escaped
    }

    fn number(&mut self) -> Node<'a> {
        let start = self.position;
        while matches!(
            self.text.as_bytes().get(self.position),
            Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
        ) {
            self.position += 1;
        }
        if self.position == start {
            // Valid JSON has a digit here. Without this line, a mistake in this walk would be an endless loop.
            self.position = self.text.len();
        }
        Node::Number(self.text.get(start..self.position).unwrap_or_default())
    }

    /// Moves past a literal of `length` bytes and returns `node`.
    fn literal(&mut self, length: usize, node: Node<'a>) -> Node<'a> {
        self.position += length;
        node
    }

    /// Moves past the object or array at the current position without reading it.
    fn skip_container(&mut self) {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                b'"' => {
                    self.skip_string();
                    continue;
                }
                END => return,
                _ => {}
            }
            self.position += 1;
            if open == 0 {
                return;
            }
        }
    }

    /// Moves past white space and returns the next byte, or [`END`].
    fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.position) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return *byte;
            }
            self.position += 1;
        }
        END
    }

    /// Moves past `byte` if it is the next byte.
    fn skip(&mut self, byte: u8) {
        if self.peek() == byte {
            self.position += 1;
        }
    }
}

/// The text without a byte order mark in front of it, which editors of Windows write. A reader may ignore it (RFC 8259,
/// section 8.1).
pub fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The first key that occurs twice.
fn find_repeated_key<'n>(members: &'n [Member<'_>]) -> Option<&'n str> {
    // For a small object, comparing all keys is cheaper than a set. Most objects are small.
    if members.len() <= 16 {
        return members.iter().enumerate().find_map(|(index, member)| {
            members
                .iter()
                .take(index)
                .any(|other| other.key.value() == member.key.value())
                .then(|| member.key.value())
        });
    }
    // Sorted hashes take a third of the memory of a set. Equal keys have equal hashes, in the order of the text.
    let hasher = RandomState::new();
    let hashes = members.iter().map(|member| hasher.hash_one(member.key.value()));
    let mut order: Vec<(u64, usize)> = hashes.zip(0..).collect();
    order.sort_unstable();
    let same = order.windows(2).filter_map(|pair| match pair {
        [(one, first), (other, second)] if one == other => Some((*first, *second)),
        _ => None,
    });
    let key = |index: usize| members.get(index).map(|member| member.key.value());
    let repeated = same.filter(|(first, second)| key(*first) == key(*second));
    repeated.map(|(_, second)| second).min().and_then(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_their_pointers() {
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
    fn first_fault_of_every_element_is_returned() {
        let text = r#"[1, {"a":"\u0000","b":"\u0000"}, [[["}\"]"]], 2], {"c":0,"c":0}]"#;
        let (node, faults) = parse_elements(text, 2, 4).unwrap();
        let pointers: Vec<_> = faults
            .iter()
            .map(|(index, fault)| (*index, fault.pointer.as_str()))
            .collect();
        assert_eq!(pointers, [(1, "/1/a"), (2, "/2/0/0"), (3, "/3/c")]);
        assert_eq!(node.as_array().map(<[_]>::len), Some(4));
    }

    #[test]
    fn values_of_all_levels_are_counted() {
        // The number is the difference between the values and the repeated pieces of the text.
        let texts: [(&str, &str, &str, usize); 4] = [
            ("[", "1,", "1]", 2),
            (r#"{"a":[["#, r#""\n","#, "null]]}", 4),
            ("[[", "{},", "[]]]", 3),
            (r#"[[0,1],["#, "true,", "{\"\":2}]]", 7),
        ];
        for (before, piece, after, more) in texts {
            let text = |values: usize| format!("{before}{}{after}", piece.repeat(values - more));
            let longest = text(MAX_VALUES);
            assert!(parse(&longest, 3).is_ok(), "{before}");
            assert!(parse_elements(&longest, 3, usize::MAX).is_ok(), "{before}");
            let over = text(MAX_VALUES + 1);
            let fault = parse(&over, 3).unwrap_err();
            assert_eq!(fault.pointer, "");
            assert!(fault.detail.contains("1000000 values"), "{fault}");
            assert_eq!(
                parse_elements(&over, 3, usize::MAX).unwrap_err(),
                fault,
                "{before}"
            );
            assert!(parse_stored(&over).unwrap().to_text() == over, "{before}");
        }
    }

    #[test]
    fn members_of_an_object_are_counted() {
        let members: String = (0..MAX_MEMBERS - 1).map(|n| format!("\"{n}\":1,")).collect();
        let longest = format!("[{{{members}\"a\":1}},{{{members}\"a\":1}}]");
        assert!(parse(&longest, 2).is_ok());
        let over = format!("[{{{members}\"a\":1,\"b\":1}}]");
        let fault = parse(&over, 2).unwrap_err();
        assert!(
            fault.pointer.is_empty() && fault.detail.contains("65536 members"),
            "{fault}"
        );
        assert_eq!(parse_elements(&over, 1, 9).unwrap_err(), fault);
        assert!(parse_stored(&over).is_ok());
    }

    #[test]
    fn first_repeated_key_of_a_large_object_is_found() {
        let members: String = (0..1_000).map(|n| format!("\"k{n}\":0,")).collect();
        for (repeated, pointer) in [("\"k7\":1,\"k3\":1", "/k7"), ("\"a\":1,\"a\":2,\"k3\":1", "/a")] {
            assert_eq!(
                parse(&format!("{{{members}{repeated}}}"), 1).unwrap_err().pointer,
                pointer
            );
        }
        assert!(parse(&format!("{{{members}\"\":1}}"), 1).is_ok());
    }

    #[test]
    fn reading_stops_after_the_allowed_elements() {
        let bad = r#"{"c":0,"c":0}"#;
        let (node, faults) = parse_elements(r#"[[1,2,3],{"a":[4,5,6]}]"#, 3, 2).unwrap();
        assert_eq!((node.as_array().map(<[_]>::len), faults), (Some(2), Vec::new()));
        assert!(parse_elements(r#"{"a":[4,5,6]}"#, 3, 0).is_ok(), "not an array");
        assert!(parse_elements("[]", 3, 0).is_ok(), "an empty array");
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
}
