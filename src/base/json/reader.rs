//! The reader: from a text to its tree, with every limit kept on the way.
//!
//! The grammar itself is checked by `serde_json`; the walk after it only cuts a text that is known
//! to be JSON, so that both passes are linear in the length of the text.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::base::fault::{Fault, Place};

use super::{Member, Node, Text, Written};

/// Nesting never goes deeper than this, whatever [`parse`] is asked for: what reads a tree descends
/// by recursion.
pub const MAX_DEPTH: usize = 256;

/// How many values a text may have: scalars, arrays and objects, wherever they stand. A tree takes many
/// times the memory of a text of many short values, so the length of a body alone doesn't bound it.
pub const MAX_VALUES: usize = 1_000_000;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
