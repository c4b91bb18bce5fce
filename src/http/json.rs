//! Bodies of JSON: read within the limits, checked, and refused with a pointer to the place.
//!
//! - [`JsonBody<T>`]: one JSON value read into a type; every field of the type is checked by serde, and
//!   types say `#[serde(deny_unknown_fields)]`, so that a misspelt member is refused, not ignored.
//! - [`JsonBytes`]: the bytes, for rooms that parse themselves (statements, the short form).
//! - [`Batch`]: an array or NDJSON (`application/x-ndjson`), as the texts of its elements; element `i`'s
//!   faults point to `/i/…` either way.
//! - [`RawBody`]: the bytes whatever their media type, for xAPI's documents.
//!
//! Key order, numbers' digits and escapes are kept by those who need them (`record::json`); duplicate
//! keys, U+0000 and too deep nesting are refused for all.

use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::AppState;
use super::body::read_body;
use super::limits::Limits;
use super::problem::{Code, Problem, ProblemError};
use crate::base::fault::Fault;
use crate::base::json;

/// The media type of a merge patch (RFC 7396); PATCH takes it and `application/json` alike.
const MERGE_PATCH: &str = "application/merge-patch+json";
/// The media type of NDJSON.
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// A body of JSON, read into `T`.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

/// The bytes of a body that says it is JSON; nothing else is checked yet.
#[derive(Debug, Clone)]
pub struct JsonBytes(pub Bytes);

/// The bytes of a body of any media type.
#[derive(Debug, Clone)]
pub struct RawBody(pub Bytes);

/// A body of many elements: a JSON array or NDJSON.
#[derive(Debug, Clone)]
pub struct Batch {
    text: String,
    lines: bool,
    limits: Limits,
}

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let patch = request.method() == actix_web::http::Method::PATCH;
            media_type(&request, if patch { &[JSON, MERGE_PATCH] } else { &[JSON] })?;
            let limits = limits(&request)?;
            let bytes = read_body(payload, request.headers(), &limits).await?;
            let value = from_text(text(&bytes)?, "", &limits).map_err(fault_problem)?;
            Ok(Self(value))
        })
    }
}

impl FromRequest for JsonBytes {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            media_type(&request, &[JSON])?;
            let limits = limits(&request)?;
            Ok(Self(read_body(payload, request.headers(), &limits).await?))
        })
    }
}

impl FromRequest for RawBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let limits = limits(&request)?;
            Ok(Self(read_body(payload, request.headers(), &limits).await?))
        })
    }
}

impl FromRequest for Batch {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let lines = media_type(&request, &[JSON, NDJSON])? == NDJSON;
            let limits = limits(&request)?;
            let bytes = read_body(payload, request.headers(), &limits).await?;
            let text = text(&bytes)?.to_owned();
            Ok(Self { text, lines, limits })
        })
    }
}

impl JsonBytes {
    /// The body as text; 400 where it is not UTF-8.
    pub fn text(&self) -> Result<&str, Problem> {
        text(&self.0)
    }
}

impl Deref for RawBody {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Batch {
    /// The texts of the elements, in order. Each is JSON in an array; in NDJSON each is one line, not yet
    /// checked, and blank lines are left out.
    ///
    /// # Errors
    ///
    /// 400 for what is not an array of JSON, 413 for more elements than the limit.
    pub fn elements(&self) -> Result<Vec<&str>, Problem> {
        let elements: Vec<&str> = if self.lines {
            let lines = || self.text.lines().filter(|line| !line.trim().is_empty());
            // Counted before there is a list of them, as in an array: a body can have millions.
            self.limits.check_batch(lines().count())?;
            lines().collect()
        } else {
            self.limits.check_array(self.text.as_bytes())?;
            let raw: Vec<&serde_json::value::RawValue> =
                serde_json::from_str(&self.text).map_err(|error| {
                    let detail = if error.is_data() {
                        "the body must be an array; send one element to the path without `/batch`".to_owned()
                    } else {
                        format!("this is not JSON: {error}")
                    };
                    Problem::invalid_body("", detail)
                })?;
            raw.into_iter().map(serde_json::value::RawValue::get).collect()
        };
        Ok(elements)
    }

    /// Every element read into `T`.
    ///
    /// # Errors
    ///
    /// As [`Batch::elements`]; 400 with a pointer for every bad element (its first fault).
    pub fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>, Problem> {
        let mut values = Vec::new();
        let mut faults = Vec::new();
        for (index, element) in self.elements()?.into_iter().enumerate() {
            match from_text(element, &format!("/{index}"), &self.limits) {
                Ok(value) => values.push(value),
                Err(fault) => faults.push(ProblemError::at_pointer(fault.pointer, fault.detail)),
            }
        }
        if faults.is_empty() {
            Ok(values)
        } else {
            Err(Problem::with_errors(Code::InvalidBody, faults))
        }
    }
}

/// Reads one JSON text into a type; `prefix` is the pointer of the text itself within the body.
///
/// # Errors
///
/// The first fault: malformed JSON, a duplicate key, U+0000, nesting past the limit, or what the type
/// refuses, each with its pointer.
pub fn from_text<T: DeserializeOwned>(text: &str, prefix: &str, limits: &Limits) -> Result<T, Fault> {
    let prefixed = |fault: Fault| Fault {
        pointer: format!("{prefix}{}", fault.pointer),
        ..fault
    };
    json::parse(text, limits.json_depth).map_err(prefixed)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        prefixed(Fault {
            pointer: pointer(error.path()),
            detail: without_position(&error.inner().to_string()),
        })
    })
}

/// The pointer (RFC 6901) of the place where serde stopped.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            // A variant is no step in the text, and past an unknown one nothing more is known.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// serde_json adds the line and column; the pointer says it better.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message.to_owned(),
    }
}

fn fault_problem(fault: Fault) -> Problem {
    Problem::invalid_body(fault.pointer, fault.detail)
}

fn text(bytes: &Bytes) -> Result<&str, Problem> {
    std::str::from_utf8(bytes)
        .map_err(|error| Problem::invalid_body("", format!("the body must be UTF-8: {error}")))
}

fn limits(request: &HttpRequest) -> Result<Limits, Problem> {
    match request.app_data::<Data<AppState>>() {
        Some(app_state) => Ok(app_state.limits().clone()),
        None => Err(Problem::internal(
            "a body was read in an application without an app_state",
        )),
    }
}

/// The media type of the body, one of `allowed`; 415 naming them otherwise.
fn media_type(request: &HttpRequest, allowed: &[&'static str]) -> Result<&'static str, Problem> {
    let sent = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let (essence, parameters) = sent.map_or(("", ""), |sent| sent.split_once(';').unwrap_or((sent, "")));
    let found = allowed
        .iter()
        .find(|allowed| essence.trim().eq_ignore_ascii_case(allowed));
    // JSON is UTF-8 (RFC 8259, section 8.1); a body that says it is something else would be misread.
    let charset = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"'))
    });
    let readable = charset.is_none_or(|charset| {
        ["utf-8", "utf8", "us-ascii"]
            .iter()
            .any(|c| charset.eq_ignore_ascii_case(c))
    });
    match found {
        Some(found) if readable => Ok(found),
        _ => {
            let detail = format!("send the body as {} in UTF-8", allowed.join(" or "));
            Err(Problem::new(Code::UnsupportedMediaType, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Note {
        text: String,
        #[serde(default)]
        tags: Vec<u8>,
    }

    fn fault(text: &str) -> (String, String) {
        let fault = from_text::<Note>(text, "/3", &Limits::default()).expect_err(text);
        (fault.pointer, fault.detail)
    }

    #[test]
    fn a_fault_points_to_its_place() {
        assert_eq!(fault(r#"{"text":"a","tags":[1,"x"]}"#).0, "/3/tags/1");
        assert_eq!(fault(r#"{"text":7}"#).0, "/3/text");
        assert_eq!(
            fault(r#"{}"#),
            ("/3".to_owned(), "missing field `text`".to_owned())
        );
        assert_eq!(fault(r#"{"text":"a","text":"b"}"#).0, "/3/text");
        assert_eq!(fault(r#"{"text":"a\u0000"}"#).0, "/3/text");
        assert_eq!(fault("{").0, "/3");
        let (pointer, detail) = fault(r#"{"text":"a","a/b":1}"#);
        assert!(pointer.starts_with("/3"), "{pointer}");
        assert!(
            detail.starts_with("unknown field `a/b`") && !detail.contains("line"),
            "{detail}"
        );
    }

    #[test]
    fn deep_nesting_is_refused_without_overflow() {
        let deep = "[".repeat(100_000);
        assert!(from_text::<serde_json::Value>(&deep, "", &Limits::default()).is_err());
    }

    fn batch(text: &str, lines: bool) -> Batch {
        Batch {
            text: text.to_owned(),
            lines,
            limits: Limits {
                batch: 2,
                ..Limits::default()
            },
        }
    }

    #[test]
    fn a_batch_is_an_array_or_lines() {
        let expected = [
            Note {
                text: "a".into(),
                tags: vec![],
            },
            Note {
                text: "b".into(),
                tags: vec![1],
            },
        ];
        let array = batch(r#"[{"text":"a"}, {"text":"b","tags":[1]}]"#, false);
        assert_eq!(array.read::<Note>().expect("array"), expected);
        let lines = batch("{\"text\":\"a\"}\r\n\n{\"text\":\"b\",\"tags\":[1]}\n", true);
        assert_eq!(lines.read::<Note>().expect("lines"), expected);
    }

    #[test]
    fn every_bad_element_of_a_batch_is_named() {
        let problem = batch("{\"text\":1}\nnonsense\n", true)
            .read::<Note>()
            .expect_err("bad");
        let pointers: Vec<_> = problem
            .errors()
            .iter()
            .filter_map(|error| error.pointer.as_deref())
            .collect();
        assert_eq!(pointers, ["/0/text", "/1"]);
        assert_eq!(
            batch("{}", false).elements().expect_err("no array").code(),
            Code::InvalidBody
        );
        assert_eq!(
            batch("[1,2,3]", false).elements().expect_err("long").code(),
            Code::BatchTooLong
        );
    }

    #[test]
    fn the_media_type_must_be_one_of_those_taken() {
        let check = |content_type: &str| {
            let request = TestRequest::post()
                .insert_header(("content-type", content_type))
                .to_http_request();
            media_type(&request, &[JSON, NDJSON])
        };
        assert_eq!(check("application/json").expect("plain"), JSON);
        assert_eq!(
            check("Application/JSON; charset=\"UTF-8\"").expect("charset"),
            JSON
        );
        assert_eq!(check("application/x-ndjson").expect("lines"), NDJSON);
        for bad in [
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonx",
            "",
        ] {
            assert_eq!(check(bad).expect_err(bad).code(), Code::UnsupportedMediaType);
        }
        assert!(media_type(&TestRequest::post().to_http_request(), &[JSON]).is_err());
    }
}
