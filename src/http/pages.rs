//! Pages of a list: `{"<plural>": […], "next": "/v1/…?…" or null}` and `Link: rel="next"` (contract
//! section 3).
//!
//! `next` is relative and carries everything that was asked, with the cursor replaced.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;

use super::query::QueryPairs;

/// The relative address of the page after this one.
pub fn next_page_address(path: &str, pairs: &QueryPairs, cursor: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in pairs.as_slice().iter().filter(|(key, _)| key != "cursor") {
        query.append_pair(key, value);
    }
    query.append_pair("cursor", cursor);
    format!("{path}?{}", query.finish())
}

/// 200 with the body, and with a `Link` header where there is a next page.
pub fn list_response(body: &impl Serialize, next: Option<&str>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(next) = next {
        // `next` made the address: percent-encoded, so neither `>` nor a line break can be in it.
        response.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    response.json(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_carries_what_was_asked_and_replaces_the_cursor() {
        let pairs = QueryPairs::parse("q=a%26b&team=x&team=y&cursor=old&limit=2").expect("pairs");
        assert_eq!(
            next_page_address("/v1/users", &pairs, "n=w"),
            "/v1/users?q=a%26b&team=x&team=y&limit=2&cursor=n%3Dw"
        );
    }

    #[test]
    fn the_link_header_names_the_next_page() {
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
