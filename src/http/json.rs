//! Bodies of JSON: one extractor for each form, and one way to read them.
//!
//! - [`JsonBody`]: one JSON value.
//! - [`MergePatch`]: a merge patch (RFC 7396), as `application/merge-patch+json` or `application/json`.
//! - [`Batch`]: an array, or NDJSON (`application/x-ndjson`). Pointers of faults begin with the number of the element.
//! - [`RawBody`]: bytes of any media type, for xAPI's documents.
//!
//! Each has a method `read`. It calls a parser with the text and the permitted depth, for example `NoteForm::parse`,
//! and converts the faults to a problem. Parsers are built on [`parse_body`](crate::base::body::parse_body): duplicate
//! keys, U+0000, unknown members and nesting that is too deep are refused with their pointer.

use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use serde_json::value::RawValue;

use super::AppState;
use super::body::{MediaType, read_body};
use super::limits::Limits;
use super::problem::{Code, Problem};
use crate::base::body::parse_value;
use crate::base::json::without_byte_order_mark;
use crate::base::keyed::{KeyedDraft, KeyedEntity, Refusal, parse_one};

/// The media type of JSON.
const JSON: &str = "application/json";
/// The media type of a merge patch (RFC 7396).
const MERGE_PATCH: &str = "application/merge-patch+json";
/// The media type of NDJSON.
const NDJSON: &str = "application/x-ndjson";

/// A body of one JSON value. Only its media type is checked before it is read.
#[derive(Debug, Clone)]
pub struct JsonBody {
    bytes: Bytes,
    depth: usize,
}

/// A merge patch that changes members of an object.
#[derive(Debug, Clone)]
pub struct MergePatch {
    patch: Value,
    depth: usize,
}

/// A body of many elements: a JSON array, or NDJSON.
#[derive(Debug, Clone)]
pub struct Batch {
    bytes: Bytes,
    is_ndjson: bool,
    limits: Limits,
}

/// The bytes of a body of any media type.
#[derive(Debug, Clone)]
pub struct RawBody(pub Bytes);

impl FromRequest for JsonBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            media_type(&request, &[JSON])?;
            let limits = limits(&request)?;
            Ok(Self {
                bytes: read_body(payload, request.headers(), &limits).await?,
                depth: limits.json_depth,
            })
        })
    }
}

impl FromRequest for MergePatch {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            media_type(&request, &[JSON, MERGE_PATCH])?;
            let limits = limits(&request)?;
            let bytes = read_body(payload, request.headers(), &limits).await?;
            Self::parse(text(&bytes)?, limits.json_depth)
        })
    }
}

impl FromRequest for Batch {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let is_ndjson = media_type(&request, &[JSON, NDJSON])? == NDJSON;
            let limits = limits(&request)?;
            let bytes = read_body(payload, request.headers(), &limits).await?;
            Ok(Self {
                bytes,
                is_ndjson,
                limits,
            })
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

impl JsonBody {
    /// Reads the body with `parse`, which gets the text and the permitted depth.
    ///
    /// # Errors
    ///
    /// 400 if the body is not UTF-8, and the errors of `parse`.
    pub fn read<T, E>(&self, parse: impl FnOnce(&str, usize) -> Result<T, E>) -> Result<T, Problem>
    where
        Problem: From<E>,
    {
        Ok(parse(text(&self.bytes)?, self.depth)?)
    }

    /// The bytes of the body.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl MergePatch {
    fn parse(text: &str, depth: usize) -> Result<Self, Problem> {
        let patch = parse_value(text, depth)?;
        if patch.is_object() {
            Ok(Self { patch, depth })
        } else {
            Err(Problem::invalid_body(
                "",
                "a merge patch must be an object with the members to change",
            ))
        }
    }

    /// Reads the patch itself with `parse`, which gets its text and the permitted depth.
    ///
    /// # Errors
    ///
    /// The errors of `parse`.
    pub fn read<T, E>(&self, parse: impl FnOnce(&str, usize) -> Result<T, E>) -> Result<T, E> {
        parse(&self.patch.to_string(), self.depth)
    }

    /// Reads the element after the patch, as a draft.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer into the element, which is also its pointer into the patch.
    pub fn apply<T: KeyedDraft>(&self, element: &impl KeyedEntity) -> Result<T, Refusal> {
        let text = element.patched(&self.patch).to_string();
        let mut draft: T = parse_one(&text, self.depth, element.id_text())?;
        draft.note_patch(&self.patch);
        Ok(draft)
    }

    /// The patch as an object.
    pub fn value(&self) -> &Value {
        &self.patch
    }

    /// The permitted depth of JSON texts.
    pub fn depth(&self) -> usize {
        self.depth
    }
}

impl Batch {
    /// Reads the elements with `parse`, which gets their texts and the permitted depth.
    ///
    /// # Errors
    ///
    /// 400 if the body is not UTF-8, or not an array or NDJSON, 413 if it has too many elements.
    pub fn read<T>(&self, parse: impl FnOnce(&[&str], usize) -> T) -> Result<T, Problem> {
        Ok(parse(&self.elements()?, self.limits.json_depth))
    }

    /// The texts of the elements. The elements of NDJSON are the lines that are not blank.
    fn elements(&self) -> Result<Vec<&str>, Problem> {
        let text = text(&self.bytes)?;
        if self.is_ndjson {
            let lines = || text.lines().filter(|line| !line.trim().is_empty());
            // A body can have millions of lines, so they are counted before they are collected.
            self.limits.check_batch(lines().count())?;
            return Ok(lines().collect());
        }
        self.limits.check_array(text.as_bytes())?;
        let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
            let detail = if error.is_data() {
                "the body must be an array; send one element to the path without `/batch`".to_owned()
            } else {
                format!("this is not JSON: {error}")
            };
            Problem::invalid_body("", detail)
        })?;
        Ok(elements.into_iter().map(RawValue::get).collect())
    }
}

impl Deref for RawBody {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The text of a body, without a byte order mark in front of it.
fn text(bytes: &Bytes) -> Result<&str, Problem> {
    std::str::from_utf8(bytes)
        .map(without_byte_order_mark)
        .map_err(|error| Problem::invalid_body("", format!("the body must be UTF-8: {error}")))
}

pub(super) fn limits(request: &HttpRequest) -> Result<Limits, Problem> {
    match request.app_data::<Data<AppState>>() {
        Some(app_state) => Ok(app_state.limits().clone()),
        None => Err(Problem::internal("the application has no state")),
    }
}

/// The media type of the body. 415 if it is none of `allowed`.
pub(super) fn media_type(request: &HttpRequest, allowed: &[&'static str]) -> Result<&'static str, Problem> {
    let MediaType { essence, charset } = MediaType::from_headers(request.headers());
    let found = allowed
        .iter()
        .find(|allowed| essence.eq_ignore_ascii_case(allowed));
    // JSON is UTF-8 (RFC 8259, section 8.1).
    let readable = charset.is_none_or(|charset| ["utf-8", "utf8", "us-ascii"].contains(&charset.as_str()));
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

    use super::*;
    use crate::base::body::{parse_bodies, parse_body};
    use crate::base::fault::{Faults, Place};
    use crate::base::form::Form;
    use crate::base::json::Node;

    fn read_name(node: &Node<'_>, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
        Form::from_node(node, place, "a thing", &["name"], faults)?.required_text("name", 9)
    }

    fn pointers(problem: &Problem) -> Vec<&str> {
        let errors = problem.errors().iter();
        errors.filter_map(|error| error.pointer.as_deref()).collect()
    }

    fn body(text: &str) -> JsonBody {
        JsonBody {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            depth: 8,
        }
    }

    #[test]
    fn faults_of_a_body_have_pointers() {
        let read = |text: &str| body(text).read(|text, depth| parse_body(text, depth, read_name));
        assert_eq!(read(r#"{"name":"a"}"#).expect("a name"), "a");
        for (text, expected) in [
            (r#"{"name":7}"#, "/name"),
            ("{}", "/name"),
            (r#"{"name":"a","name":"b"}"#, "/name"),
            (r#"{"name":"a\u0000"}"#, "/name"),
            (r#"{"name":"a","a/b":1}"#, "/a~1b"),
            ("{", ""),
        ] {
            assert_eq!(pointers(&read(text).expect_err(text)), [expected], "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_stack_overflow() {
        let deep = "[".repeat(100_000);
        assert!(MergePatch::parse(&deep, 8).is_err());
    }

    #[test]
    fn merge_patch_must_be_an_object() {
        assert!(MergePatch::parse("{}", 8).is_ok());
        for text in ["[]", "null", "7"] {
            assert_eq!(
                MergePatch::parse(text, 8).expect_err(text).code(),
                Code::InvalidBody
            );
        }
    }

    fn read_batch(text: &str, is_ndjson: bool) -> Result<Vec<String>, Problem> {
        let batch = Batch {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            is_ndjson,
            limits: Limits {
                batch: 2,
                ..Limits::default()
            },
        };
        let parsed = batch.read(|texts, depth| {
            parse_bodies(texts, depth, |_, node, place, faults| {
                read_name(node, place, faults)
            })
        });
        Ok(parsed?.into_values()?)
    }

    #[test]
    fn batch_is_an_array_or_lines() {
        let array = read_batch(r#"[{"name":"a"}, {"name":"b"}]"#, false);
        assert_eq!(array.expect("array"), ["a", "b"]);
        let lines = read_batch("{\"name\":\"a\"}\r\n\n{\"name\":\"b\"}\n", true);
        assert_eq!(lines.expect("lines"), ["a", "b"]);
    }

    #[test]
    fn byte_order_mark_before_a_body_is_ignored() {
        let read = |text: &str| body(text).read(|text, depth| parse_body(text, depth, read_name));
        assert_eq!(read("\u{feff}{\"name\":\"a\"}").expect("a name"), "a");
        let bytes = Bytes::from_static("\u{feff}[1,{}]".as_bytes());
        assert_eq!(text(&bytes).expect("UTF-8"), "[1,{}]");
    }

    #[test]
    fn every_bad_element_of_a_batch_is_named() {
        let problem = read_batch("{\"name\":1}\nnonsense\n", true).expect_err("bad");
        assert_eq!(pointers(&problem), ["/0/name", "/1"]);
        let code = |text: &str| read_batch(text, false).expect_err(text).code();
        assert_eq!(code("{}"), Code::InvalidBody);
        assert_eq!(code("[1,2,3]"), Code::BatchTooLong);
    }

    #[test]
    fn unknown_media_type_is_refused() {
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
