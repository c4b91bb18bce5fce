//! Writing JSON text: a tree as it was received, and new objects member by member.

use super::Node;

impl Node<'_> {
    /// Writes the value without white space. Every scalar and key keeps its source text.
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

    /// The value as JSON text without white space; see [`Node::write`].
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

/// Writes `items` between brackets, separated by commas. `write` writes one item.
pub(crate) fn write_list<T>(
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

/// Writes the members of one JSON object, without white space, in the order of the calls.
#[derive(Debug)]
pub struct ObjectWriter<'o> {
    out: &'o mut String,
    is_empty: bool,
}

/// Writes one object to `out`; `write` adds its members.
pub fn write_object(out: &mut String, write: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.push('{');
    write(&mut ObjectWriter { out, is_empty: true });
    out.push('}');
}

/// The JSON text of one object; `write` adds its members.
pub fn object_text(write: impl FnOnce(&mut ObjectWriter<'_>)) -> String {
    let mut out = String::new();
    write_object(&mut out, write);
    out
}

impl ObjectWriter<'_> {
    /// Adds a member. `write` writes its value, which must be exactly one JSON value.
    pub fn member(&mut self, key: &str, write: impl FnOnce(&mut String)) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        push_quoted(self.out, key);
        self.out.push(':');
        write(self.out);
    }

    /// Adds a string.
    pub fn string(&mut self, key: &str, value: &str) {
        self.member(key, |out| push_quoted(out, value));
    }

    /// Adds a boolean.
    pub fn boolean(&mut self, key: &str, value: bool) {
        self.raw(key, if value { "true" } else { "false" });
    }

    /// Adds a finite number, with the fewest digits that read back as the same number and never with an exponent.
    pub fn number(&mut self, key: &str, value: f64) {
        self.raw(key, &value.to_string());
    }

    /// Adds a value that is JSON text already.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.member(key, |out| out.push_str(json));
    }

    /// Adds an object; `write` adds its members.
    pub fn object(&mut self, key: &str, write: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.member(key, |out| write_object(out, write));
    }

    /// Adds an array of `items`; `write` writes each item as exactly one JSON value.
    pub fn array<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        write: impl FnMut(&mut String, T),
    ) {
        self.member(key, |out| write_list(out, ['[', ']'], items, write));
    }
}

/// Writes `text` as a JSON string, with quotation marks.
pub fn push_quoted(out: &mut String, text: &str) {
    // Most texts need no escape, and copying them is faster than a serialiser.
    if text
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
    {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&quoted(text));
    }
}

/// `text` as a JSON string, with quotation marks.
pub fn quoted(text: &str) -> String {
    // Writing a string to memory can't fail.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::base::json::parse;

    use super::*;

    #[test]
    fn object_writer_separates_and_escapes_members() {
        assert_eq!(object_text(|_| {}), "{}");
        let text = object_text(|object| {
            object.string("a\"", "b\\");
            object.boolean("yes", true);
            object.number("n", 92.0);
            object.object("o", |inner| inner.raw("null", "null"));
            object.array("list", ["x", "y"], |out, item| out.push_str(&quoted(item)));
        });
        assert_eq!(
            text,
            r#"{"a\"":"b\\","yes":true,"n":92,"o":{"null":null},"list":["x","y"]}"#
        );
        assert!(parse(&text, 3).is_ok());
    }

    #[test]
    fn scalars_keep_their_source_text() {
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
}
