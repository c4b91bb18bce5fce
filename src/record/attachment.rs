//! Files that belong to a statement: what is declared about them (xAPI 1.0.3, Data 2.4.11).

use super::iri::Iri;
use super::language::LanguageMap;
use super::object::Object;
use super::statement::Statement;
use crate::base::fault::{Fault, Place};
use crate::base::json::{Fields, Node, string};

/// What a statement declares about a file that belongs to it. The file itself comes beside the
/// statement, or lies at `file_url`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// What it is for.
    pub usage_type: Iri,
    /// Its title.
    pub display: LanguageMap,
    /// Its description.
    pub description: LanguageMap,
    /// Its media type.
    pub content_type: String,
    /// Its length in bytes, as declared; real senders are wrong about it, so nothing may depend on
    /// it.
    pub length: i64,
    /// The SHA-2 of its bytes, hexadecimal digits as they were sent.
    pub sha2: String,
    /// Where it can be fetched.
    pub file_url: Option<Iri>,
}

impl Attachment {
    /// Reads what is declared about a file.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let known = [
            "usageType",
            "display",
            "description",
            "contentType",
            "length",
            "sha2",
            "fileUrl",
        ];
        let fields = Fields::from_node(node, place, "an attachment", &known)?;
        Ok(Self {
            usage_type: fields.required("usageType", Iri::from_node)?,
            display: fields.required("display", LanguageMap::from_node)?,
            description: fields
                .optional("description", LanguageMap::from_node)?
                .unwrap_or_default(),
            content_type: fields.required("contentType", media_type)?,
            length: fields.required("length", length)?,
            sha2: fields.required("sha2", sha2)?,
            file_url: fields.optional("fileUrl", Iri::from_node)?,
        })
    }
}

impl Statement {
    /// What it declares about files, its SubStatement's among them, each with its pointer within the statement.
    pub fn declared_attachments(&self) -> impl Iterator<Item = (String, &Attachment)> {
        let within: &[Attachment] = match &self.object {
            Object::SubStatement(sub) => &sub.attachments,
            _ => &[],
        };
        let placed = |prefix: &'static str| {
            move |(index, attachment)| (format!("{prefix}/attachments/{index}"), attachment)
        };
        let own = self.attachments.iter().enumerate().map(placed(""));
        own.chain(within.iter().enumerate().map(placed("/object")))
    }
}

/// The bytes that hexadecimal digits stand for; a digit without its second is left out.
pub fn hex_to_bytes(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
    let pairs = digits.as_bytes().chunks_exact(2);
    // Two hexadecimal digits are at most 255.
    pairs
        .map(|pair| (digit(pair[0]) * 16 + digit(pair[1])) as u8)
        .collect()
}

fn media_type(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    let text = string(node, place)?;
    // RFC 9110, 5.6.2: what a name in a header may be made of.
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some((kind, subkind)) if token(kind) && token(subkind) && !text.contains(char::is_control) => {
            Ok(text.to_owned())
        }
        _ => Err(place.fault("a media type is needed here, such as text/plain; charset=utf-8")),
    }
}

fn length(node: &Node<'_>, place: &Place<'_>) -> Result<i64, Fault> {
    let length = node.as_i64().filter(|length| *length >= 0);
    length.ok_or_else(|| place.fault("a length is a whole number of bytes, written without a fraction"))
}

fn sha2(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    let text = string(node, place)?;
    if !matches!(text.len(), 56 | 64 | 96 | 128) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(
            place.fault("a sha2 is the hexadecimal SHA-224, 256, 384 or 512 of the attachment's bytes")
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::record::{Limits, Version, parse_statement};

    use super::*;

    #[test]
    fn a_substatements_files_are_declared_too() {
        let file = |sha2: &str| {
            format!(
                r#"[{{"usageType":"urn:u","display":{{}},"contentType":"a/b","length":0,"sha2":"{}"}}]"#,
                sha2.repeat(32)
            )
        };
        let said = r#""actor":{"mbox":"mailto:a@example.org"},"verb":{"id":"urn:v"}"#;
        let text = format!(
            r#"{{{said},"attachments":{},"object":{{"objectType":"SubStatement",{said},"object":{{"id":"urn:o"}},"attachments":{}}}}}"#,
            file("a0"),
            file("B1")
        );
        let statement = parse_statement(text.as_bytes(), Version::V1, &Limits::default()).unwrap();
        let declared: Vec<_> = statement
            .declared_attachments()
            .map(|(place, file)| (place, hex_to_bytes(&file.sha2)))
            .collect();
        let expected = [
            ("/attachments/0", [0xa0; 32]),
            ("/object/attachments/0", [0xb1; 32]),
        ];
        assert_eq!(
            declared,
            expected.map(|(place, digest)| (place.to_owned(), digest.to_vec()))
        );
    }
}
