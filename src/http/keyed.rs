//! What is the same for users, teams, groups and contents: lists by id, writes by the client's own id, and
//! how a refusal of the directory or the catalogue is answered (contract sections 3, 5 and 12).

use std::borrow::Cow;
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;
use serde_json::Value;

use super::auth::Caller;
use super::json::Batch;
use super::pages;
use super::problem::{Answer, Code, Problem, ProblemError};
use super::query::{QueryPairs, QueryReader};
use crate::access::Action;
use crate::base::fault::Fault;
use crate::base::{Fingerprint, ListCursor, folded_words};
use crate::directory::{Keyed, Refusal, read_batch, read_one};
use crate::store::WriteError;

/// Words of `q` at most: each is a search of its own.
const MAX_WORDS: usize = 32;

/// A list that is read page by page, in the order of ids.
pub struct Listing<'q> {
    path: &'q str,
    pairs: &'q QueryPairs,
    fingerprint: Fingerprint,
    cursor: Option<&'q str>,
    /// Rows of a page.
    pub limit: usize,
}

impl<'q> Listing<'q> {
    /// Reads `limit` and `cursor` of the list at `path`.
    pub fn of<A: Action>(
        caller: &Caller<A>,
        path: &'q str,
        pairs: &'q QueryPairs,
        query: &QueryReader<'q>,
    ) -> Self {
        let limits = caller.app_state().limits();
        let fingerprint = ListCursor::fingerprint(path, &caller.principal().caller_id(), pairs.as_slice());
        let limit = query
            .number("limit", 1..=limits.page_max)
            .unwrap_or(limits.page_default);
        Self {
            path,
            pairs,
            fingerprint,
            cursor: query.text("cursor"),
            limit,
        }
    }

    /// The id after which the page begins.
    ///
    /// # Errors
    ///
    /// 400 for a cursor of another question or another caller.
    pub fn after(&self) -> Result<Option<String>, Problem> {
        let cursor = self
            .cursor
            .map(|text| ListCursor::decode(text, self.fingerprint))
            .transpose();
        let cursor = cursor.map_err(|error| Problem::new(Code::BadCursor, error.to_string()))?;
        Ok(cursor.map(|cursor| cursor.after))
    }

    /// The key after which the page begins, where the list's keys are no texts.
    ///
    /// # Errors
    ///
    /// 400 as with [`Listing::after`], and for a cursor without such a key.
    pub fn after_key<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let key = self.after()?.map(|key| key.parse()).transpose();
        key.map_err(|_| {
            Problem::new(
                Code::BadCursor,
                "this is not a cursor; take it from `next` as it is",
            )
        })
    }

    /// The address of the page after the one that ends with the id `last`, where there is more.
    pub fn next(&self, more: bool, last: Option<&str>) -> Option<String> {
        let after = last.filter(|_| more)?.to_owned();
        Some(pages::next_page_address(
            self.path,
            self.pairs,
            &ListCursor { after }.encode(self.fingerprint),
        ))
    }
}

/// The words of the parameter `q`, folded.
pub fn search_words(query: &QueryReader<'_>) -> Vec<String> {
    let words = query.text("q").map(folded_words).unwrap_or_default();
    if words.len() > MAX_WORDS {
        query.add_fault("q", format!("at most {MAX_WORDS} words are looked for at once"));
        return Vec::new();
    }
    words
}

/// The values of an enumeration, repeated or separated by commas; `known` are all there are.
pub fn choices<T: Copy>(
    query: &QueryReader<'_>,
    name: &str,
    known: &[T],
    key: impl Fn(T) -> &'static str,
) -> Vec<T> {
    let mut chosen = Vec::new();
    for text in query.all(name).into_iter().flat_map(|text| text.split(',')) {
        match known.iter().find(|value| key(**value) == text) {
            Some(value) => chosen.push(*value),
            None => {
                let keys: Vec<_> = known.iter().map(|value| key(*value)).collect();
                query.add_fault(name, format!("`{text}` is none of {}", keys.join(", ")));
            }
        }
    }
    chosen
}

/// Reads the body of a PUT to the address of `id`.
///
/// # Errors
///
/// 400 with every fault.
pub fn put<T: Keyed, A: Action>(caller: &Caller<A>, text: &str, id: &str) -> Result<T, Problem> {
    Ok(read_one(text, caller.app_state().limits().json_depth, id)?)
}

/// Reads the elements of a batch.
///
/// # Errors
///
/// 400 with every fault of every element, 413 for too many.
pub fn batch<T: Keyed, A: Action>(caller: &Caller<A>, batch: &Batch) -> Result<Vec<T>, Problem> {
    Ok(read_batch(
        &batch.elements()?,
        caller.app_state().limits().json_depth,
    )?)
}

/// A merge patch as its resource takes it: an object.
///
/// # Errors
///
/// 400 for anything else, which would replace the whole resource by it.
pub fn patch(body: Value) -> Result<Value, Problem> {
    if body.is_object() {
        Ok(body)
    } else {
        Err(Problem::invalid_body(
            "",
            "a merge patch here is an object of members to change",
        ))
    }
}

/// Reads a representation after its patch.
///
/// # Errors
///
/// Every fault, at its place in the representation, which for a patch is its place in the patch.
pub fn patched<T: Keyed>(representation: &Value, depth: usize, id: &str) -> Result<T, Refusal> {
    read_one(&representation.to_string(), depth, id)
}

/// 201 with `Location` for what is new, else 200; both with what is there now.
pub fn written(created: bool, path: &str, id: &str, body: &impl Serialize) -> Answer {
    let mut response = if created {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    if created {
        response.insert_header((header::LOCATION, format!("{path}/{}", segment(id))));
    }
    Ok(response.json(body))
}

/// An id as one segment of a path.
pub fn segment(id: &str) -> Cow<'_, str> {
    if id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~'))
    {
        return Cow::Borrowed(id);
    }
    // Form encoding writes a space as `+`, which a path takes literally; and `.` and `..` are steps of a path.
    let text: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    let text = text.replace('+', "%20");
    Cow::Owned(if matches!(text.as_str(), "." | "..") {
        text.replace('.', "%2E")
    } else {
        text
    })
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let errors = |faults: Vec<Fault>| faults.into_iter().map(ProblemError::from).collect();
        match refusal {
            Refusal::Faults(faults) => Problem::with_errors(Code::InvalidBody, errors(faults)),
            Refusal::Conflicts(faults) => Problem::with_errors(Code::Conflict, errors(faults)),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(refusal) => refusal.into(),
            WriteError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment() {
        assert_eq!(segment("u-17_a"), "u-17_a");
        assert_eq!(segment("a/b c?d#e%+ü"), "a%2Fb%20c%3Fd%23e%25%2B%C3%BC");
        assert_eq!(segment(".."), "%2E%2E");
    }

    #[test]
    fn choices_are_repeated_or_separated() {
        use crate::access::Role;
        let pairs = QueryPairs::parse("role=owner,admin&role=hr").expect("pairs");
        let query = pairs.reader();
        assert_eq!(
            choices(&query, "role", &Role::ALL, Role::key),
            [Role::Owner, Role::Admin, Role::Hr]
        );
        assert!(query.finish().is_ok());
        let pairs = QueryPairs::parse("role=boss,").expect("pairs");
        let query = pairs.reader();
        assert!(choices(&query, "role", &Role::ALL, Role::key).is_empty());
        assert_eq!(query.finish().expect_err("faults").errors().len(), 2);
    }

    #[test]
    fn only_an_object_patches() {
        assert!(patch(serde_json::json!({})).is_ok());
        assert!(patch(serde_json::json!([])).is_err() && patch(Value::Null).is_err());
    }
}
