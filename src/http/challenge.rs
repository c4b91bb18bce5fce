//! The challenges of an answer with 401: the header `WWW-Authenticate` (`docs/specification.md#callers-and-rights`).
//!
//! A browser that sees a `Basic` challenge opens its own window for a name and a password. A page that sends tokens shows a
//! login of its own instead. So the challenge `Basic` is not sent for a bearer token, and not to the script of a page.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::problem::Code;

/// How a browser sends the request (Fetch Metadata). Browsers send it to https addresses and to localhost.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

const BEARER: HeaderValue = HeaderValue::from_static("Bearer");
/// The challenge for a token that is expired or wrong (RFC 6750, section 3.1).
const INVALID_TOKEN: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"rollbook\", charset=\"UTF-8\"");

/// The authorisation that a request has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Basic,
    Other,
}

/// The values of `WWW-Authenticate` for a request with these headers that is refused with `code`. Each scheme has a line of
/// its own: some clients cannot read two schemes in one line.
pub fn challenges(code: Code, request: &HeaderMap) -> Vec<HeaderValue> {
    let sent = sent_authorization(request);
    let is_wrong_token = matches!(code, Code::TokenExpired | Code::TokenInvalid);
    let mut challenges = vec![if is_wrong_token && sent != Sent::Basic {
        INVALID_TOKEN
    } else {
        BEARER
    }];
    let may_enter_secret = sent == Sent::Basic || (sent == Sent::Nothing && !is_wrong_token);
    if may_enter_secret && !is_from_script(request) {
        challenges.push(BASIC);
    }
    challenges
}

/// What follows the scheme in the value of an `Authorization` header. `None` if it has another scheme. Letter case does not
/// count.
pub fn credentials<'v>(authorization: &'v str, scheme: &str) -> Option<&'v str> {
    let (sent, credentials) = authorization.split_once(' ').unwrap_or((authorization, ""));
    sent.eq_ignore_ascii_case(scheme).then_some(credentials)
}

/// Whether the value of an `Authorization` header has the scheme.
pub fn has_scheme(authorization: &str, scheme: &str) -> bool {
    credentials(authorization, scheme).is_some()
}

fn sent_authorization(request: &HeaderMap) -> Sent {
    let mut values = request.get_all(header::AUTHORIZATION).peekable();
    if values.peek().is_none() {
        return Sent::Nothing;
    }
    if values.all(|value| value.to_str().is_ok_and(|value| has_scheme(value, "basic"))) {
        Sent::Basic
    } else {
        Sent::Other
    }
}

/// Whether the script of a page sent the request, as opposed to a program or a person that opens an address.
///
/// Without Fetch Metadata, the other headers of a browser decide. Every browser sends `Accept-Language`, and `text/html` in
/// `Accept` if a person opens an address.
fn is_from_script(request: &HeaderMap) -> bool {
    let text = |name: &HeaderName| request.get(name).and_then(|value| value.to_str().ok());
    if let Some(mode) = text(&SEC_FETCH_MODE) {
        return mode != "navigate";
    }
    if request.contains_key(header::ORIGIN) || request.contains_key(X_REQUESTED_WITH) {
        return true;
    }
    let is_browser = text(&header::USER_AGENT).is_some_and(|agent| agent.starts_with("Mozilla/5.0"))
        && request.contains_key(header::ACCEPT_LANGUAGE);
    is_browser && !text(&header::ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The challenges for a request with these headers, separated by `; `.
    fn challenges_for(code: Code, headers: &str) -> Vec<String> {
        let mut request = HeaderMap::new();
        for pair in headers.split("; ").filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once(": ").expect("a header");
            let name = HeaderName::try_from(name).expect("a name");
            request.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let values = challenges(code, &request);
        values
            .iter()
            .map(|value| value.to_str().expect("text").to_owned())
            .collect()
    }

    const TWO: [&str; 2] = ["Bearer", "Basic realm=\"rollbook\", charset=\"UTF-8\""];

    #[test]
    fn wrong_bearer_token_has_one_challenge() {
        for code in [Code::TokenExpired, Code::TokenInvalid] {
            for headers in [
                "authorization: Bearer x",
                "authorization: bearer x; sec-fetch-mode: navigate",
                "",
            ] {
                assert_eq!(
                    challenges_for(code, headers),
                    ["Bearer error=\"invalid_token\""],
                    "{headers}"
                );
            }
        }
    }

    #[test]
    fn program_without_a_token_may_send_basic_credentials() {
        for headers in [
            "",
            "authorization: Basic eDp5",
            "authorization: basic eDp5; accept: */*",
            "sec-fetch-mode: navigate",
            "user-agent: Mozilla/5.0; accept: */*",
            "user-agent: Mozilla/5.0; accept-language: en; accept: text/html,*/*",
            "user-agent: Microsoft.Data.Mashup; accept-language: en; accept: */*",
        ] {
            assert_eq!(challenges_for(Code::Unauthenticated, headers), TWO, "{headers}");
        }
        assert_eq!(
            challenges_for(Code::TokenExpired, "authorization: Basic eDp5"),
            TWO
        );
    }

    #[test]
    fn script_of_a_page_and_another_scheme_get_no_basic_challenge() {
        for headers in [
            "sec-fetch-mode: cors",
            "sec-fetch-mode: same-origin",
            "sec-fetch-mode: no-cors",
            "authorization: Basic eDp5; sec-fetch-mode: cors",
            "origin: http://lrs.example",
            "x-requested-with: XMLHttpRequest",
            "user-agent: Mozilla/5.0; accept-language: en; accept: */*",
            "authorization: Digest x",
            "authorization: Basic eDp5; authorization: Bearer x",
        ] {
            assert_eq!(
                challenges_for(Code::Unauthenticated, headers),
                ["Bearer"],
                "{headers}"
            );
        }
    }
}
