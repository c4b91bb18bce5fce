//! Checking and merging JSON documents (xAPI 1.0.3, Communication 2.2).
//!
//! A document may have any media type, and Rollbook returns its bytes unchanged. A document of the media type
//! `application/json` must be JSON. A POST merges a JSON object into the stored JSON object.

use std::io::{self, BufReader, Read};

use serde::de::IgnoredAny;

use crate::base::fault::Fault;
use crate::base::json::{self, Member, Node};

/// Whether the media type is `application/json`. Its parameters are ignored.
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Checks that `bytes` contains one JSON text in UTF-8, perhaps after a byte order mark. It reads to the end and does not
/// buffer the text.
///
/// The inner result is the result of the check.
///
/// # Errors
///
/// Reading from `bytes` fails.
pub fn check_json(mut bytes: impl Read) -> io::Result<Result<(), Fault>> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    let mut start = Vec::new();
    bytes
        .by_ref()
        .take(BYTE_ORDER_MARK.len() as u64)
        .read_to_end(&mut start)?;
    if start == BYTE_ORDER_MARK {
        start.clear();
    }
    let mut utf8 = Utf8Reader {
        bytes: start.as_slice().chain(bytes),
        incomplete: Vec::new(),
        is_invalid: false,
    };
    let parsed: Result<IgnoredAny, _> = serde_json::from_reader(BufReader::new(&mut utf8));
    if utf8.is_invalid {
        return Ok(Err(Fault::whole("a JSON document must be UTF-8")));
    }
    match parsed {
        Ok(_) => Ok(Ok(())),
        Err(error) if error.is_io() => Err(error.into()),
        Err(error) => Ok(Err(Fault::whole(format!("this is not JSON: {error}")))),
    }
}

/// A reader that returns an error at the first bytes that are not UTF-8.
///
/// It is needed because `serde_json` does not check the strings of an ignored value.
struct Utf8Reader<R> {
    bytes: R,
    /// The first bytes of a character that the last read split.
    incomplete: Vec<u8>,
    is_invalid: bool,
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(buffer)?;
        let mut text = std::mem::take(&mut self.incomplete);
        self.is_invalid = length == 0 && !buffer.is_empty() && !text.is_empty();
        text.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if let Err(error) = std::str::from_utf8(&text) {
            self.is_invalid |= error.error_len().is_some();
            self.incomplete = text.split_off(error.valid_up_to());
        }
        if self.is_invalid {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(length)
    }
}

/// Why two documents can't be merged. The stored document does not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeFault {
    /// The posted document is not a JSON object.
    #[error("the posted document can't be merged: {0}")]
    Posted(Fault),
    /// The stored document is not a JSON object.
    #[error("nothing can be merged into the stored document: {0}")]
    Stored(Fault),
}

/// Merges the posted object into the stored object.
///
/// A posted member replaces the stored member with the same key. New members are appended. Only the members of the
/// outermost object are merged. Every value keeps its source text.
///
/// # Errors
///
/// One of the documents is not a JSON object, or is nested deeper than `depth`.
pub fn merge(stored: &[u8], posted: &[u8], depth: usize) -> Result<String, MergeFault> {
    let mut members = parse_object(stored, depth)
        .map_err(MergeFault::Stored)?
        .into_vec();
    let mut posted: Vec<Option<Member<'_>>> = parse_object(posted, depth)
        .map_err(MergeFault::Posted)?
        .into_iter()
        .map(Some)
        .collect();
    let indexes: std::collections::HashMap<String, usize> = posted
        .iter()
        .enumerate()
        .filter_map(|(index, member)| Some((member.as_ref()?.key.value().to_owned(), index)))
        .collect();
    for member in &mut members {
        let newer = indexes
            .get(member.key.value())
            .and_then(|index| posted.get_mut(*index));
        if let Some(newer) = newer.and_then(Option::take) {
            *member = newer;
        }
    }
    members.extend(posted.into_iter().flatten());
    Ok(Node::Object(members.into()).to_text())
}

fn parse_object(bytes: &[u8], depth: usize) -> Result<Box<[Member<'_>]>, Fault> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| Fault::whole(format!("it must be UTF-8: {error}")))?;
    match json::parse(json::without_byte_order_mark(text), depth)? {
        Node::Object(members) => Ok(members),
        other => Err(Fault::whole(format!(
            "only JSON objects can be merged, and this is {}",
            other.kind()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn parameters_of_the_media_type_are_ignored() {
        for json in [
            "application/json",
            "Application/JSON ; charset=utf-8",
            " application/json",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in [
            "",
            "application/jsonx",
            "text/json",
            "application/ld+json",
            "not/json",
        ] {
            assert!(!is_json(other), "{other}");
        }
    }

    /// Returns one byte per read, so every character of several bytes is split.
    struct OneByteReader<'a>(&'a [u8]);

    impl Read for OneByteReader<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = 1.min(buffer.len());
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn invalid_json_is_refused() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let good = [
            "{}",
            " [1, null]\n",
            "\"é😀\"",
            "1e400",
            "{\"a\":\"\\u0000\",\"a\":1}",
            &deep,
        ];
        for text in good {
            assert_eq!(check_json(text.as_bytes()).unwrap(), Ok(()), "{text:.20}");
            assert_eq!(
                check_json(OneByteReader(text.as_bytes())).unwrap(),
                Ok(()),
                "{text:.20}"
            );
        }
        let bad: [&[u8]; 9] = [
            b"",
            b"{",
            b"{}{",
            b"{} x",
            b"{'a':1}",
            b"nul",
            b"\"\xff\"",
            b"\"\xe9\"",
            b"{}\xc3",
        ];
        for bytes in bad {
            assert!(check_json(bytes).unwrap().is_err(), "{bytes:?}");
            assert!(
                check_json(OneByteReader(bytes)).unwrap().is_err(),
                "{bytes:?} byte by byte"
            );
        }
    }

    #[test]
    fn failed_read_is_an_error_not_a_fault() {
        struct FailingReader;
        impl Read for FailingReader {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        assert_eq!(
            check_json(b"{".as_slice().chain(FailingReader))
                .unwrap_err()
                .kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn values_keep_their_source_text() {
        let stored = br#" { "x" : 1.50E+2 , "\u0079" : { "deep" : [ 1 , 2 ] } , "z" : "\u00e9" } "#;
        let posted = r#"{"new":-0,"y":{"other":12345678901234567890123},"é":null}"#;
        assert_eq!(
            merge(stored, posted.as_bytes(), 8).unwrap(),
            r#"{"x":1.50E+2,"y":{"other":12345678901234567890123},"z":"\u00e9","new":-0,"é":null}"#
        );
        assert_eq!(merge(b"{}", b"{}", 8).unwrap(), "{}");
    }

    #[test]
    fn both_documents_must_be_objects() {
        for other in [
            "[]",
            "1",
            "null",
            "\"{}\"",
            "{",
            "",
            "{\"a\":1,\"a\":2}",
            "{\"a\":{\"b\":{}}}",
        ] {
            let other = other.as_bytes();
            assert!(matches!(merge(b"{}", other, 2), Err(MergeFault::Posted(_))));
            assert!(matches!(merge(other, b"{}", 2), Err(MergeFault::Stored(_))));
        }
        assert!(matches!(merge(b"{}", b"\xff", 2), Err(MergeFault::Posted(_))));
    }

    fn objects() -> impl Strategy<Value = Map<String, Value>> {
        let value = prop_oneof![
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\é]{0,3}".prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", any::<bool>().prop_map(Value::from), 0..3)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ];
        proptest::collection::btree_map("[a-f\"\\\\é]{0,2}", value, 0..24)
            .prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        /// The rule of the specification: each member of the posted object is set on the stored object.
        #[test]
        fn merging_sets_each_posted_member(stored in objects(), posted in objects()) {
            let text = |object: &Map<String, Value>| Value::Object(object.clone()).to_string();
            let merged = merge(text(&stored).as_bytes(), text(&posted).as_bytes(), 4).unwrap();
            let mut expected = stored;
            expected.extend(posted);
            prop_assert_eq!(serde_json::from_str::<Value>(&merged).unwrap(), Value::Object(expected));
        }
    }
}
