//! The writer: a tree as text again, every scalar and key as it was written.

use super::Node;

impl Node<'_> {
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

/// `text` as a JSON string, with its quotation marks.
pub fn quoted(text: &str) -> String {
    // Writing a string into memory has no way to fail.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::base::json::parse;

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
}
