//! Pages of a list (`docs/specification.md#lists-and-pages`): `next` in the body and `Link: rel="next"` in the headers.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;

use super::auth::Caller;
use super::problem::Problem;
use super::query::QueryPairs;
use crate::base::{CursorSeal, Fingerprint};

/// Returns the seal of the cursors of a list. It binds them to the organisation, the caller, the path and the parameters,
/// except `cursor` and `limit`.
///
/// # Errors
///
/// The database does not answer.
pub async fn cursor_seal<A>(
    caller: &Caller<A>,
    path: &str,
    pairs: &QueryPairs,
) -> Result<CursorSeal, Problem> {
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
    Ok(CursorSeal::new(caller.cursor_key().await?.clone(), request))
}

/// Returns the relative address of the next page: the whole query of this request, with another cursor.
pub fn next_page_address(path: &str, pairs: &QueryPairs, cursor: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in pairs.as_slice().iter().filter(|(key, _)| key != "cursor") {
        query.append_pair(key, value);
    }
    query.append_pair("cursor", cursor);
    format!("{path}?{}", query.finish())
}

/// Returns 200 with the body, and with a `Link` header if a next page exists.
pub fn list_response(body: &impl Serialize, next: Option<&str>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(next) = next {
        // `next_page_address` encodes `>` and line breaks.
        response.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    response.json(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_has_the_same_query_with_another_cursor() {
        let pairs = QueryPairs::parse("q=a%26b&team=x&team=y&cursor=old&limit=2").expect("pairs");
        assert_eq!(
            next_page_address("/v1/users", &pairs, "n=w"),
            "/v1/users?q=a%26b&team=x&team=y&limit=2&cursor=n%3Dw"
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
}
