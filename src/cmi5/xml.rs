//! The elements of a course structure's XML document, with limits.
//!
//! Elements and attributes of other namespaces are extensions of vendors and are left out (cmi5, section 13.1.5). A
//! document type is refused, so a document has no entities of its own to expand.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// The namespace of course structures.
pub const NAMESPACE: &str = "https://w3id.org/xapi/profiles/cmi5/v1/CourseStructure.xsd";

/// The maximum number of elements of a document, those of other namespaces included.
pub const MAX_ELEMENTS: usize = 400_000;

/// The maximum number of elements that lie in each other.
pub const MAX_DEPTH: usize = 64;

/// The maximum number of attributes of an element.
const MAX_ATTRIBUTES: usize = 100;

/// An element with the namespace of course structures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// The name without its prefix.
    pub name: String,
    /// The attributes without a namespace.
    pub attributes: Vec<(String, String)>,
    /// The text of the element, without that of its children.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
    /// The line of the document on which it begins.
    pub line: usize,
}

/// Why a document is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// The bytes are neither UTF-8 nor UTF-16 with a byte order mark.
    #[error("the document is neither UTF-8 nor UTF-16 with a byte order mark; write it in UTF-8")]
    Encoding,
    /// The document has a document type.
    #[error("the document has a DOCTYPE, which is not allowed here; leave it out")]
    DocumentType,
    /// A name of an entity is not one of the five that XML defines.
    #[error("line {line}: the entity `&{name};` is not defined; write the character itself")]
    UnknownEntity {
        /// The name.
        name: String,
        /// The line.
        line: usize,
    },
    /// The document is not well-formed.
    #[error("line {line}: the document is not well-formed XML: {detail}")]
    NotWellFormed {
        /// What the reader says.
        detail: String,
        /// The line.
        line: usize,
    },
    /// The document has too many elements, or elements too deep in each other.
    #[error("the document has more than {MAX_ELEMENTS} elements, or more than {MAX_DEPTH} in each other")]
    TooLarge,
}

impl Element {
    /// Parses a document.
    ///
    /// # Errors
    ///
    /// [`XmlError`].
    pub fn parse(document: &[u8]) -> Result<Self, XmlError> {
        let text = decode(document)?;
        Parser::new(&text).parse()
    }

    /// The value of an attribute, without white space around it.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.trim())
    }

    /// The first child with this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// The text of a document. The byte order mark decides about UTF-16.
fn decode(document: &[u8]) -> Result<Cow<'_, str>, XmlError> {
    let utf16 = |bytes: &[u8], to_unit: fn([u8; 2]) -> u16| {
        if !bytes.len().is_multiple_of(2) {
            return Err(XmlError::Encoding);
        }
        let units = bytes.chunks_exact(2).map(|pair| {
            to_unit([
                pair.first().copied().unwrap_or(0),
                pair.last().copied().unwrap_or(0),
            ])
        });
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.map(Cow::Owned).map_err(|_| XmlError::Encoding)
    };
    match document {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => to_utf8(rest),
        rest => to_utf8(rest),
    }
}

fn to_utf8(bytes: &[u8]) -> Result<Cow<'_, str>, XmlError> {
    std::str::from_utf8(bytes)
        .map(Cow::Borrowed)
        .map_err(|_| XmlError::Encoding)
}

/// Builds the tree of elements.
struct Parser<'t> {
    text: &'t str,
    reader: NsReader<&'t [u8]>,
    /// The open elements. `None` is an element of another namespace, or one in it.
    open: Vec<Option<Element>>,
    root: Option<Element>,
    elements: usize,
    /// The place up to which lines were counted, and their number.
    counted: (usize, usize),
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().enable_all_checks(true);
        Self {
            text,
            reader,
            open: Vec::new(),
            root: None,
            elements: 0,
            counted: (0, 1),
        }
    }

    fn parse(mut self) -> Result<Element, XmlError> {
        loop {
            let start = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
            let line = self.line_of(start);
            let not_well_formed = |error: quick_xml::Error| XmlError::NotWellFormed {
                detail: error.to_string(),
                line,
            };
            match self.reader.read_event().map_err(not_well_formed)? {
                Event::Start(tag) => self.open_element(&tag, line)?,
                Event::Empty(tag) => {
                    self.open_element(&tag, line)?;
                    self.close_element();
                }
                Event::End(_) => self.close_element(),
                Event::Text(text) => self.add_text(&text.xml10_content(), line)?,
                Event::CData(text) => self.add_text(&text.xml10_content(), line)?,
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(not_well_formed)?;
                    match character {
                        Some(character) => self.add_text(character.encode_utf8(&mut [0; 4]), line)?,
                        None => {
                            let name = reference.xml10_content().into_owned();
                            let text = resolve_predefined_entity(&name);
                            let text = text.ok_or(XmlError::UnknownEntity { name, line })?;
                            self.add_text(text, line)?;
                        }
                    }
                }
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        let line = self.line_of(self.text.len());
        let incomplete = || XmlError::NotWellFormed {
            detail: "an element is not closed, or there is none".to_owned(),
            line,
        };
        if !self.open.is_empty() {
            return Err(incomplete());
        }
        self.root.ok_or_else(incomplete)
    }

    /// The line of a place in the text. Places only grow.
    fn line_of(&mut self, place: usize) -> usize {
        let (from, lines) = self.counted;
        let passed = self.text.as_bytes().get(from..place).unwrap_or_default();
        let lines = lines + passed.iter().filter(|byte| **byte == b'\n').count();
        self.counted = (place.max(from), lines);
        lines
    }

    fn open_element(&mut self, tag: &BytesStart<'_>, line: usize) -> Result<(), XmlError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS || self.open.len() >= MAX_DEPTH {
            return Err(XmlError::TooLarge);
        }
        let (namespace, name) = self.reader.resolver().resolve_element(tag.name());
        let is_own = namespace == ResolveResult::Bound(Namespace(NAMESPACE));
        let inside_other = matches!(self.open.last(), Some(None));
        if inside_other || (!is_own && !self.open.is_empty()) {
            self.open.push(None);
            return Ok(());
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(XmlError::NotWellFormed {
                detail: "the document has several root elements".to_owned(),
                line,
            });
        }
        let name = match is_own {
            true => name.into_inner().to_owned(),
            // The root of another namespace is kept without a name, so that the caller refuses it.
            false => String::new(),
        };
        let attributes = read_attributes(tag, line)?;
        self.open.push(Some(Element {
            name,
            attributes,
            line,
            ..Element::default()
        }));
        Ok(())
    }

    fn close_element(&mut self) {
        let Some(Some(element)) = self.open.pop() else {
            return;
        };
        match self.open.last_mut() {
            Some(Some(parent)) => parent.children.push(element),
            Some(None) => {}
            None => self.root = Some(element),
        }
    }

    fn add_text(&mut self, text: &str, line: usize) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(Some(element)) => element.text.push_str(text),
            Some(None) => {}
            None if text.trim_matches([' ', '\t', '\r', '\n', '\u{feff}']).is_empty() => {}
            None => {
                return Err(XmlError::NotWellFormed {
                    detail: "text is outside the root element".to_owned(),
                    line,
                });
            }
        }
        Ok(())
    }
}

/// The attributes without a prefix.
fn read_attributes(tag: &BytesStart<'_>, line: usize) -> Result<Vec<(String, String)>, XmlError> {
    let not_well_formed = |detail: String| XmlError::NotWellFormed { detail, line };
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| not_well_formed(error.to_string()))?;
        let key = attribute.key.into_inner();
        if key.contains(':') || key == "xmlns" {
            continue;
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| not_well_formed(error.to_string()))?;
        attributes.push((key.to_owned(), value.into_owned()));
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(XmlError::TooLarge);
        }
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(inside: &str) -> Result<Element, XmlError> {
        Element::parse(
            format!("<courseStructure xmlns=\"{NAMESPACE}\">{inside}</courseStructure>").as_bytes(),
        )
    }

    #[test]
    fn elements_of_other_namespaces_are_left_out() {
        let root = parse(
            "<au id=' a ' v:size='1' xmlns:v='urn:v'><v:x><title>no</title></v:x><title>T &amp; &#65;<![CDATA[<]]></title>\
             <title xmlns=''>no</title></au>",
        )
        .expect("parsed");
        let unit = root.child("au").expect("a unit");
        assert_eq!(unit.attribute("id"), Some("a"));
        assert_eq!(unit.attributes.len(), 1);
        assert_eq!(unit.children.len(), 1);
        assert_eq!(unit.child("title").expect("a title").text, "T & A<");
    }

    #[test]
    fn prefixes_are_resolved() {
        let text =
            format!("<c:courseStructure xmlns:c='{NAMESPACE}'>\n<c:course id='x'/></c:courseStructure>");
        let root = Element::parse(text.as_bytes()).expect("parsed");
        let course = root.child("course").expect("a course");
        assert_eq!((course.line, root.name.as_str()), (2, "courseStructure"));
    }

    #[test]
    fn document_type_and_entities_are_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><x>&b;</x>";
        assert_eq!(Element::parse(bomb.as_bytes()), Err(XmlError::DocumentType));
        let outside = "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>";
        assert_eq!(Element::parse(outside.as_bytes()), Err(XmlError::DocumentType));
        assert!(matches!(
            parse("<au>&b;</au>"),
            Err(XmlError::UnknownEntity { .. })
        ));
        assert!(parse("<au id='&b;'/>").is_err());
    }

    #[test]
    fn deep_and_large_documents_are_refused() {
        let deep = format!("{}{}", "<block>".repeat(100), "</block>".repeat(100));
        assert_eq!(parse(&deep), Err(XmlError::TooLarge));
        let many = "<au/>".repeat(MAX_ELEMENTS);
        assert_eq!(parse(&many), Err(XmlError::TooLarge));
    }

    #[test]
    fn documents_that_are_not_well_formed_are_refused() {
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a b='1' b='2'/>",
            "<a b=1/>",
            "<a>&#0;</a>",
            "<a",
        ] {
            assert!(Element::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(Element::parse(&[0xff, 0xff, b'<']), Err(XmlError::Encoding));
    }

    #[test]
    fn utf_16_with_a_byte_order_mark_is_read() {
        let text = format!("\u{feff}<courseStructure xmlns='{NAMESPACE}'><course id='ü'/></courseStructure>");
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [little, big, text.clone().into_bytes()] {
            let root = Element::parse(&bytes).expect("parsed");
            assert_eq!(
                root.child("course").and_then(|course| course.attribute("id")),
                Some("ü")
            );
        }
    }
}
