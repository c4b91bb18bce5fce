//! Documents that are JSON: checking them, and merging what is posted into what is kept (xAPI 1.0.3,
//! Communication 2.2).
//!
//! A document is bytes of any media type, given back as they came. Of all that it may be only JSON means
//! something here: bytes that say they are JSON must be, and an object can be merged into another.

use std::io::{self, BufReader, Read};

use serde::de::IgnoredAny;

use crate::base::fault::Fault;
use crate::base::json::{self, Member, Node};

/// Whether the media type is `application/json`, with whatever parameters.
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Reads to the end, keeping nothing, and says what is wrong if that is not one JSON text in UTF-8.
///
/// # Errors
///
/// Where the bytes can't be read.
pub fn check_json(bytes: impl Read) -> io::Result<Result<(), Fault>> {
    let mut utf8 = Utf8 {
        bytes,
        incomplete: Vec::new(),
        broken: false,
    };
    let read: Result<IgnoredAny, _> = serde_json::from_reader(BufReader::new(&mut utf8));
    if utf8.broken {
        return Ok(Err(Fault::whole("a document of JSON must be UTF-8")));
    }
    match read {
        Ok(_) => Ok(Ok(())),
        Err(error) if error.is_io() => Err(error.into()),
        Err(error) => Ok(Err(Fault::whole(format!("this is not JSON: {error}")))),
    }
}

/// Passes bytes on as long as they are UTF-8: the reader of JSON doesn't look into what it ignores.
struct Utf8<R> {
    bytes: R,
    /// The beginning of a character that the last reading ended in.
    incomplete: Vec<u8>,
    broken: bool,
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(buffer)?;
        let mut seen = std::mem::take(&mut self.incomplete);
        self.broken = length == 0 && !buffer.is_empty() && !seen.is_empty();
        seen.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if let Err(error) = std::str::from_utf8(&seen) {
            self.broken |= error.error_len().is_some();
            self.incomplete = seen.split_off(error.valid_up_to());
        }
        if self.broken {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(length)
    }
}

/// Why two documents can't be merged; the kept one stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeFault {
    /// What was posted is no JSON object.
    #[error("what was posted can't be merged: {0}")]
    Posted(Fault),
    /// What is kept is no JSON object.
    #[error("the document that is kept can't be merged with: {0}")]
    Kept(Fault),
}

/// The kept object with each member that was posted in the place of its own, and the new ones behind.
/// Only the outermost members are merged; every value stays as it was written.
///
/// # Errors
///
/// Where either is not one JSON object, or nested deeper than `depth`.
pub fn merge(kept: &[u8], posted: &[u8], depth: usize) -> Result<String, MergeFault> {
    let mut members = object(kept, depth).map_err(MergeFault::Kept)?.into_vec();
    let mut posted: Vec<Option<Member<'_>>> = object(posted, depth)
        .map_err(MergeFault::Posted)?
        .into_iter()
        .map(Some)
        .collect();
    let places: std::collections::HashMap<String, usize> = posted
        .iter()
        .enumerate()
        .filter_map(|(place, member)| Some((member.as_ref()?.key.value().to_owned(), place)))
        .collect();
    for member in &mut members {
        let newer = places
            .get(member.key.value())
            .and_then(|place| posted.get_mut(*place));
        if let Some(newer) = newer.and_then(Option::take) {
            *member = newer;
        }
    }
    members.extend(posted.into_iter().flatten());
    Ok(Node::Object(members.into()).to_text())
}

fn object(bytes: &[u8], depth: usize) -> Result<Box<[Member<'_>]>, Fault> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| Fault::whole(format!("it must be UTF-8: {error}")))?;
    match json::parse(text, depth)? {
        Node::Object(members) => Ok(members),
        other => Err(Fault::whole(format!(
            "only JSON objects are merged, and this is {}",
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
    fn the_media_type_counts_without_its_parameters() {
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

    /// Hands out a byte at a time, so that every character is cut.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = 1.min(buffer.len());
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn what_says_that_it_is_json_must_be() {
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
                check_json(Dripping(text.as_bytes())).unwrap(),
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
                check_json(Dripping(bytes)).unwrap().is_err(),
                "{bytes:?} byte by byte"
            );
        }
    }

    #[test]
    fn bytes_that_cannot_be_read_are_no_fault_of_theirs() {
        struct Torn;
        impl Read for Torn {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        assert_eq!(
            check_json(b"{".as_slice().chain(Torn)).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn values_stay_as_they_were_written() {
        let kept = br#" { "x" : 1.50E+2 , "\u0079" : { "deep" : [ 1 , 2 ] } , "z" : "\u00e9" } "#;
        let posted = r#"{"new":-0,"y":{"other":12345678901234567890123},"é":null}"#;
        assert_eq!(
            merge(kept, posted.as_bytes(), 8).unwrap(),
            r#"{"x":1.50E+2,"y":{"other":12345678901234567890123},"z":"\u00e9","new":-0,"é":null}"#
        );
        assert_eq!(merge(b"{}", b"{}", 8).unwrap(), "{}");
    }

    #[test]
    fn each_side_must_be_an_object() {
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
            assert!(matches!(merge(other, b"{}", 2), Err(MergeFault::Kept(_))));
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
        /// The specification's own words: each member of the posted object is set on the kept one.
        #[test]
        fn merging_sets_each_posted_member(kept in objects(), posted in objects()) {
            let text = |object: &Map<String, Value>| Value::Object(object.clone()).to_string();
            let merged = merge(text(&kept).as_bytes(), text(&posted).as_bytes(), 4).unwrap();
            let mut expected = kept;
            expected.extend(posted);
            prop_assert_eq!(serde_json::from_str::<Value>(&merged).unwrap(), Value::Object(expected));
        }
    }
}
