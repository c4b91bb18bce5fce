//! Files that belong to a statement: what is declared about them (xAPI 1.0.3, Data 2.4.11).

use super::fault::{Fault, Place};
use super::iri::Iri;
use super::json::{Fields, Node, string};
use super::language::LanguageMap;

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
    pub fn read(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let known = [
            "usageType",
            "display",
            "description",
            "contentType",
            "length",
            "sha2",
            "fileUrl",
        ];
        let fields = Fields::of(node, place, "an attachment", &known)?;
        Ok(Self {
            usage_type: fields.required("usageType", Iri::read)?,
            display: fields.required("display", LanguageMap::read)?,
            description: fields
                .optional("description", LanguageMap::read)?
                .unwrap_or_default(),
            content_type: fields.required("contentType", media_type)?,
            length: fields.required("length", length)?,
            sha2: fields.required("sha2", sha2)?,
            file_url: fields.optional("fileUrl", Iri::read)?,
        })
    }
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
