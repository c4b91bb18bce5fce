//! Pages of a list (`docs/specification.md#lists-and-pages`): `next` in the body and `Link: rel="next"` in the headers.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use super::auth::Caller;
use super::base_path_of;
use super::limits::Limits;
use super::problem::{Answer, Problem};
use super::query::QueryPairs;
use crate::base::{CursorCipher, Fingerprint};

/// Returns the cipher of the cursors of a list. It binds them to the organisation, the caller, the path and the
/// parameters, except `cursor` and `limit`.
///
/// # Errors
///
/// The database does not answer.
pub async fn cursor_cipher<A>(
    caller: &Caller<A>,
    path: &str,
    pairs: &QueryPairs,
) -> Result<CursorCipher, Problem> {
    let caller_id = caller.principal().caller_id();
    let mut bound: Vec<_> = pairs
        .as_slice()
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "cursor" | "limit"))
        .collect();
    bound.sort_unstable();
    let pairs = bound.iter().flat_map(|(name, value)| [&**name, &**value]);
    let parts = [caller.org().as_str(), &caller_id, path].into_iter().chain(pairs);
    let request = Fingerprint::from_parts(parts);
    Ok(CursorCipher::new(caller.cursor_key().await?.clone(), request))
}

/// Returns the relative address of the next page: the whole query of this request, with another cursor. `base_path` is
/// [`AppState::base_path`](super::AppState::base_path), and `path` the path of the request.
pub fn next_page_address(base_path: &str, path: &str, pairs: &QueryPairs, cursor: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in pairs.as_slice().iter().filter(|(key, _)| key != "cursor") {
        query.append_pair(key, value);
    }
    query.append_pair("cursor", cursor);
    format!("{base_path}{path}?{}", query.finish())
}

/// Returns the [`next_page_address`] for the client of this request. `pairs` are its parameters.
pub fn next_address(request: &HttpRequest, pairs: &QueryPairs, cursor: &str) -> String {
    next_page_address(base_path_of(request), request.path(), pairs, cursor)
}

/// Returns 200 with the body, and with a `Link` header if a next page exists.
pub fn list_response(body: &impl Serialize, next: Option<&str>) -> HttpResponse {
    list_response_head(next).json(body)
}

fn list_response_head(next: Option<&str>) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    if let Some(next) = next {
        // `next_page_address` encodes `>` and line breaks.
        response.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    response
}

/// The number of elements for which a handler reads details at a time. A page with more elements is read in pieces, so
/// that it never reads the details of many large elements which it does not show.
pub const PIECE: usize = 200;

/// A page under construction: its elements as JSON, within the byte budget.
///
/// A handler pushes elements until the page is full. [`PageWriter::is_full`] is then true: the list has more
/// elements. The first element always fits.
pub struct PageWriter {
    json: Vec<u8>,
    most_bytes: usize,
    elements: usize,
    is_full: bool,
}

impl PageWriter {
    /// An empty page. `name` is the member of the body that has the elements.
    pub fn new(name: &str, limits: &Limits) -> Self {
        Self {
            json: format!("{{\"{name}\":[").into_bytes(),
            most_bytes: limits.page_bytes,
            elements: 0,
            is_full: false,
        }
    }

    /// Adds an element. Returns false if it does not fit.
    ///
    /// # Errors
    ///
    /// The element cannot be written as JSON.
    pub fn push(&mut self, element: &impl Serialize) -> Result<bool, Problem> {
        let before = self.json.len();
        if self.elements > 0 {
            self.json.push(b',');
        }
        serde_json::to_writer(&mut self.json, element).map_err(Problem::internal)?;
        if self.json.len() > self.most_bytes && self.elements > 0 {
            self.json.truncate(before);
            self.is_full = true;
            return Ok(false);
        }
        self.elements += 1;
        Ok(true)
    }

    /// Adds elements until one does not fit. Returns the number of those that were added.
    ///
    /// # Errors
    ///
    /// As [`PageWriter::push`].
    pub fn push_all<T: Serialize>(
        &mut self,
        elements: impl IntoIterator<Item = T>,
    ) -> Result<usize, Problem> {
        let before = self.elements;
        for element in elements {
            if !self.push(&element)? {
                break;
            }
        }
        Ok(self.elements - before)
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Whether the page has no elements.
    pub fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// Whether an element did not fit.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The answer. The body has the elements, `next` and the members of `others`, which is a struct or a map.
    ///
    /// # Errors
    ///
    /// `others` cannot be written as JSON.
    pub fn respond(mut self, next: Option<&str>, others: &impl Serialize) -> Answer {
        let others = serde_json::to_string(others).map_err(Problem::internal)?;
        let members = others.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let members = members.unwrap_or_default();
        self.json.extend_from_slice(b"],\"next\":");
        serde_json::to_writer(&mut self.json, &next).map_err(Problem::internal)?;
        if !members.is_empty() {
            self.json.push(b',');
            self.json.extend_from_slice(members.as_bytes());
        }
        self.json.push(b'}');
        Ok(list_response_head(next)
            .content_type(header::ContentType::json())
            .body(self.json))
    }
}

/// The members of a page without further members.
#[derive(Serialize)]
pub struct NoOthers {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_has_the_same_query_with_another_cursor() {
        let pairs = QueryPairs::parse("q=a%26b&team=x&team=y&cursor=old&limit=2").expect("pairs");
        assert_eq!(
            next_page_address("/lrs", "/v1/users", &pairs, "n=w"),
            "/lrs/v1/users?q=a%26b&team=x&team=y&limit=2&cursor=n%3Dw"
        );
    }

    #[test]
    fn link_header_has_the_next_page() {
        let response = list_response(&serde_json::json!({"users": []}), Some("/v1/users?cursor=x"));
        let link = response.headers().get(header::LINK).expect("a link");
        assert_eq!(link, "</v1/users?cursor=x>; rel=\"next\"");
        assert!(
            !list_response(&serde_json::json!({}), None)
                .headers()
                .contains_key(header::LINK)
        );
    }

    #[actix_web::test]
    async fn page_ends_before_the_element_that_does_not_fit() {
        let limits = Limits {
            page_bytes: 30,
            ..Limits::default()
        };
        let mut page = PageWriter::new("users", &limits);
        assert_eq!(page.push_all(["abc", "defgh", "ij", "k"]).expect("JSON"), 3);
        assert!(page.is_full());
        let answer = page
            .respond(
                Some("/v1/users?cursor=x"),
                &serde_json::json!({"states": {"all": 4}}),
            )
            .expect("JSON");
        assert!(answer.headers().contains_key(header::LINK));
        let body = actix_web::body::to_bytes(answer.into_body())
            .await
            .expect("a body");
        assert_eq!(
            body,
            r#"{"users":["abc","defgh","ij"],"next":"/v1/users?cursor=x","states":{"all":4}}"#
        );
    }

    #[actix_web::test]
    async fn first_element_always_fits() {
        let limits = Limits {
            page_bytes: 1,
            ..Limits::default()
        };
        let mut page = PageWriter::new("users", &limits);
        assert!(page.is_empty());
        assert_eq!(page.push_all(["a long element", "b"]).expect("JSON"), 1);
        assert!(page.is_full() && page.len() == 1);
        let answer = page.respond(None, &NoOthers {}).expect("JSON");
        let body = actix_web::body::to_bytes(answer.into_body())
            .await
            .expect("a body");
        assert_eq!(body, r#"{"users":["a long element"],"next":null}"#);
    }
}
