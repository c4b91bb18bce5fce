//! Requests that a web page of another site sends with a password that the browser remembers.
//!
//! A browser adds remembered `Basic` credentials to every request to their server, also to the form of another site. So
//! such a request must not change anything, and a form in the alternate syntax of xAPI 1.0.3 must not be answered. A page
//! of an allowed origin (`ROLLBOOK_CORS_ORIGINS`) has sent its credentials itself. `docs/specification.md#browsers` has
//! the rules.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::{Method, Uri};

use super::problem::Problem;
use super::xapi::{VERSION_HEADER, alternate};

/// From which site a browser sends the request (Fetch Metadata). Browsers send it to https addresses and to localhost.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The media types that a page may send to any site without a preflight.
const SIMPLE_TYPES: [&str; 3] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
];

/// Refuses `Basic` credentials of the header in a request that a page of another site can send.
///
/// # Errors
///
/// 403 if the request can change something or is a form, and comes from a page whose origin is not allowed.
pub fn refuse_remembered_password(request: &ServiceRequest, allowed: &[String]) -> Result<(), Problem> {
    let is_form = alternate::is_form(request);
    if alternate::has_authorization_in_form(request) || (!is_form && !can_change(request.method())) {
        return Ok(());
    }
    if is_foreign(request.headers()) && !is_allowed(request, is_form, allowed) {
        let detail = if is_form {
            "a page of another site sent this form with a password that the browser remembers; send the field \
             `Authorization` in the form, or allow the page's origin by ROLLBOOK_CORS_ORIGINS"
        } else {
            "a page of another site sent this request with a password that the browser remembers; allow the page's \
             origin by ROLLBOOK_CORS_ORIGINS"
        };
        return Err(Problem::forbidden(detail));
    }
    Ok(())
}

fn can_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a browser says that a page of another site sent the request. A program says nothing about it.
fn is_foreign(headers: &HeaderMap) -> bool {
    if let Some(site) = text(headers, &SEC_FETCH_SITE) {
        return !matches!(site, "same-origin" | "none");
    }
    let host = text(headers, &header::HOST).unwrap_or_default();
    // `null` is the origin of a page that hides its own.
    let sent = text(headers, &header::ORIGIN).or_else(|| text(headers, &header::REFERER));
    sent.is_some_and(|page| {
        let page: Option<Uri> = page.parse().ok();
        let authority = page.as_ref().and_then(Uri::authority);
        authority.is_none_or(|authority| !authority.as_str().eq_ignore_ascii_case(host))
    })
}

/// Whether the request comes from an allowed origin. If all origins are allowed, the request must be one that a browser
/// sends only after a preflight: to other requests it adds remembered passwords.
fn is_allowed(request: &ServiceRequest, is_form: bool, allowed: &[String]) -> bool {
    let headers = request.headers();
    let Some(origin) = text(headers, &header::ORIGIN) else {
        return false;
    };
    if allowed.iter().any(|one| one.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let needs_preflight = !is_form
        && (headers.contains_key(VERSION_HEADER) || request.method() != Method::POST || !is_simple(headers));
    needs_preflight && allowed.iter().any(|one| one == "*")
}

/// Whether a page may send a body of this type to any site.
fn is_simple(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let media_type = media_type.to_str().unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    SIMPLE_TYPES
        .iter()
        .any(|simple| simple.eq_ignore_ascii_case(essence))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// Whether a request with these headers, separated by `; `, is refused.
    fn is_refused(method: Method, headers: &str, allowed: &[&str]) -> bool {
        let mut request = TestRequest::default().method(method).uri("/v1/notes");
        request = request.insert_header((header::HOST, "lrs.example:8080"));
        for pair in headers.split("; ").filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once(": ").expect("a header");
            request = request.insert_header((name, value));
        }
        let allowed: Vec<String> = allowed.iter().map(|origin| (*origin).to_owned()).collect();
        refuse_remembered_password(&request.to_srv_request(), &allowed).is_err()
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for headers in [
            "sec-fetch-site: cross-site",
            "sec-fetch-site: same-site",
            "sec-fetch-site: cross-site; origin: https://lrs.example:8080",
            "origin: https://evil.example",
            "origin: null",
            "origin: https://lrs.example:8081",
            "origin: https://lrs.example:8080.evil.example",
            "origin: https://lrs.example:8080@evil.example",
            "referer: https://evil.example/lrs.example:8080",
        ] {
            assert!(
                is_refused(Method::POST, headers, &["https://learn.example"]),
                "{headers}"
            );
            assert!(!is_refused(Method::GET, headers, &[]), "{headers}");
        }
    }

    #[test]
    fn programs_and_own_and_allowed_pages_are_not_refused() {
        for headers in [
            "",
            "sec-fetch-site: same-origin; origin: https://public.example",
            "sec-fetch-site: none",
            "origin: https://LRS.example:8080",
            "referer: http://lrs.example:8080/docs/",
            "origin: https://learn.example",
            "sec-fetch-site: cross-site; origin: https://learn.example",
        ] {
            assert!(
                !is_refused(Method::POST, headers, &["https://learn.example"]),
                "{headers}"
            );
        }
    }

    #[test]
    fn any_allowed_origin_must_have_sent_a_preflight() {
        for (method, headers, refused) in [
            (Method::POST, "origin: https://a.example", true),
            (
                Method::POST,
                "origin: https://a.example; content-type: text/plain;charset=UTF-8",
                true,
            ),
            (
                Method::POST,
                "origin: https://a.example; content-type: multipart/form-data; boundary: x",
                true,
            ),
            (
                Method::POST,
                "origin: https://a.example; content-type: application/json",
                false,
            ),
            (
                Method::POST,
                "origin: https://a.example; x-experience-api-version: 1.0.3",
                false,
            ),
            (Method::DELETE, "origin: https://a.example", false),
            (Method::DELETE, "sec-fetch-site: cross-site", true),
        ] {
            assert_eq!(is_refused(method, headers, &["*"]), refused, "{headers}");
        }
    }
}
