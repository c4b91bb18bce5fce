//! Attachments: what a statement declares about the files that belong to it (xAPI 1.0.3, Data 2.4.11).

use super::iri::Iri;
use super::language::LanguageMap;
use super::object::Object;
use super::statement::Statement;
use crate::base::fault::{Fault, Place};
use crate::base::json::{Fields, Node, string};

/// The declaration of a file that belongs to a statement. The file is a part of the same request, or it is stored at
/// `file_url`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// The purpose of the file.
    pub usage_type: Iri,
    /// The title.
    pub display: LanguageMap,
    /// The description.
    pub description: LanguageMap,
    /// The media type.
    pub content_type: String,
    /// The declared length in bytes. Real clients send wrong lengths, so no code may rely on it.
    pub length: i64,
    /// The SHA-2 of the file's bytes, as hexadecimal digits in the client's spelling.
    pub sha2: String,
    /// The address from which the file can be fetched.
    pub file_url: Option<Iri>,
}

impl Attachment {
    /// Reads the declaration of a file.
    ///
    /// # Errors
    ///
    /// The node is not a valid declaration.
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
    /// The attachments of the statement and of its SubStatement, each with its JSON Pointer within the statement.
    pub fn declared_attachments(&self) -> impl Iterator<Item = (String, &Attachment)> {
        let sub_attachments: &[Attachment] = match &self.object {
            Object::SubStatement(sub) => &sub.attachments,
            _ => &[],
        };
        let with_pointer = |prefix: &'static str| {
            move |(index, attachment)| (format!("{prefix}/attachments/{index}"), attachment)
        };
        let own = self.attachments.iter().enumerate().map(with_pointer(""));
        own.chain(sub_attachments.iter().enumerate().map(with_pointer("/object")))
    }
}

/// Decodes hexadecimal digits to bytes. If the number of digits is odd, the last digit is ignored.
pub fn hex_to_bytes(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
    let (pairs, _) = digits.as_bytes().as_chunks::<2>();
    // Two hexadecimal digits are at most 255.
    pairs
        .iter()
        .map(|[high, low]| (digit(*high) * 16 + digit(*low)) as u8)
        .collect()
}

fn media_type(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    let text = string(node, place)?;
    // The characters of a token (RFC 9110, 5.6.2).
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some((kind, subkind)) if is_token(kind) && is_token(subkind) && !text.contains(char::is_control) => {
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
    fn attachments_of_a_substatement_are_declared_too() {
        let file = |sha2: &str| {
            format!(
                r#"[{{"usageType":"urn:u","display":{{}},"contentType":"a/b","length":0,"sha2":"{}"}}]"#,
                sha2.repeat(32)
            )
        };
        let members = r#""actor":{"mbox":"mailto:a@example.org"},"verb":{"id":"urn:v"}"#;
        let text = format!(
            r#"{{{members},"attachments":{},"object":{{"objectType":"SubStatement",{members},"object":{{"id":"urn:o"}},"attachments":{}}}}}"#,
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
