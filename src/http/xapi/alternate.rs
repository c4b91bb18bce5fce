//! The alternate request syntax of xAPI 1.0.3 (Communication 1.3): any request as a POST of a form, for programs that
//! can send nothing else (`docs/specification.md#alternate-request-syntax`).
//!
//! ```text
//! POST /xapi/statements?method=PUT            PUT /xapi/statements?statementId=…
//! Content-Type: application/x-www-form-…  →   Authorization: Basic …
//!                                             X-Experience-API-Version: 1.0.3
//! statementId=…&Authorization=Basic+…
//! &X-Experience-API-Version=1.0.3             {"actor": …}
//! &content=%7B%22actor%22…
//! ```
//!
//! [`rewrite`] is a middleware before authentication and routing. It turns such a request into the request that it
//! means, so that no other code depends on the syntax. Version 2.0 does not have the syntax: a request with that
//! version is refused.
//!
//! A form can be as long as any body, but its `Authorization` must be within the first [`EARLY_BYTES`]. It is verified
//! before the rest is read, so that a client without credentials can occupy no more memory than that.

use std::future::ready;
use std::pin::pin;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{Error, HttpMessage, HttpRequest};

use super::{VERSION_HEADER, is_xapi_path, parse_version_header};
use crate::http::AppState;
use crate::http::auth;
use crate::http::body::{check_head, read_pieces, stream_body};
use crate::http::limits::Limits;
use crate::http::problem::{Code, Problem};
use crate::http::query::{self, QueryPairs};
use crate::record::Version;

/// The query parameter with the method of the meant request.
const METHOD: &str = "method";
/// The field of the form with the body of the meant request.
const CONTENT: &str = "content";
const FORM: &str = "application/x-www-form-urlencoded";
/// The media types of a form. Some content sends forms as plain text, as old browsers' cross-domain requests did.
const FORM_TYPES: [&str; 2] = [FORM, "text/plain"];
/// The part of a form that is read before its `Authorization` is verified, in bytes.
pub const EARLY_BYTES: usize = 64 * 1024;
/// The `Content-Type` if the form has none (Communication 1.5).
const DEFAULT_CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// The fields of the form that are headers. The specification lists the first six. The last one is for
/// `format=canonical`; no resource has a parameter with its name.
const HEADERS: [HeaderName; 7] = [
    header::AUTHORIZATION,
    VERSION_HEADER,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::ACCEPT_LANGUAGE,
];

/// Stored in the extensions of a request that means HEAD, so that its answer has no body.
struct MeansHead;

/// Stored in the extensions of a request that was sent as a form.
struct IsForm;

/// Stored in the extensions of a request whose `Authorization` is a field of its form.
struct AuthorizationInForm;

/// Whether a request was sent in the alternate syntax. Any web page may send such a form.
pub fn is_form(request: &ServiceRequest) -> bool {
    request.extensions().contains::<IsForm>()
}

/// Whether the `Authorization` of a request is a field of its form. A browser adds no remembered password there.
pub fn has_authorization_in_form(request: &ServiceRequest) -> bool {
    request.extensions().contains::<AuthorizationInForm>()
}

/// Middleware that turns a request in the alternate syntax into the request that it means.
///
/// Its faults (400, 401, 408, 413, 414) are answered before authentication, since the form can contain the authorisation.
pub async fn rewrite<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if is_alternate(&request)
        && let Err(problem) = translate(&mut request).await
    {
        let (request, _) = request.into_parts();
        return Ok(ServiceResponse::from_err(problem, request).map_into_right_body());
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

/// Whether a request meant HEAD. The client sent POST and would expect a body.
pub fn is_head_request(request: &HttpRequest) -> bool {
    request.extensions().get::<MeansHead>().is_some()
}

/// Removes the body of the answer to such a request.
pub fn without_body(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let mut response = response.map_body(|_, _| BoxBody::new(()));
    // The client of a POST would wait for the body that these headers describe.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().remove(header::CONTENT_ENCODING);
    response
}

fn is_alternate(request: &ServiceRequest) -> bool {
    request.method() == Method::POST
        && !request.query_string().is_empty()
        && is_xapi_path(request.match_info().as_str())
        && QueryPairs::parse(request.query_string())
            .is_ok_and(|query| query.as_slice().iter().any(|(name, _)| name == METHOD))
}

async fn translate(request: &mut ServiceRequest) -> Result<(), Problem> {
    let app_state = request.app_data::<Data<AppState>>().cloned();
    let app_state = app_state.ok_or_else(|| Problem::internal("the application has no AppState"))?;
    let method = parse_method(&QueryPairs::parse(request.query_string())?)?;
    refuse_version_2(request.headers())?;
    let form = read_form(request, app_state.limits()).await?;
    let form = Form::parse(form, app_state.limits().uri_bytes)?;

    // This comes first, so that the answer to a fault has the version of the form.
    for (name, value) in form.headers {
        if name == header::AUTHORIZATION {
            if is_form(request) && !has_authorization_in_form(request) {
                // The caller of a header was verified, and the form names another one.
                let detail = format!("must be within the first {EARLY_BYTES} bytes of the form");
                return Err(Problem::bad_parameter(name.as_str(), detail));
            }
            request.extensions_mut().insert(AuthorizationInForm);
        }
        request.headers_mut().insert(name, value);
    }
    refuse_version_2(request.headers())?;
    let content = check_content(&method, form.content)?;
    let uri = build_uri(request.uri(), &form.query, app_state.limits())?;
    set_content_headers(request.headers_mut(), content.as_ref(), form.has_content_type);
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    if method == Method::HEAD {
        request.extensions_mut().insert(MeansHead);
    }
    request.extensions_mut().insert(IsForm);
    request.head_mut().method = if method == Method::HEAD {
        Method::GET
    } else {
        method
    };
    request.set_payload(content.map_or(Payload::None, |content| Payload::Stream {
        payload: Box::pin(futures_util::stream::once(ready(Ok(content)))),
    }));
    Ok(())
}

/// Parses the method of the meant request. The query may have no other parameter.
fn parse_method(query: &QueryPairs) -> Result<Method, Problem> {
    let reader = query.reader();
    let method = match reader.text(METHOD) {
        Some("GET") => Some(Method::GET),
        Some("PUT") => Some(Method::PUT),
        Some("POST") => Some(Method::POST),
        Some("DELETE") => Some(Method::DELETE),
        Some("HEAD") => Some(Method::HEAD),
        _ => {
            reader.add_fault(METHOD, "must be GET, PUT, POST, DELETE or HEAD");
            None
        }
    };
    for (name, _) in query.as_slice().iter().filter(|(name, _)| name != METHOD) {
        reader.add_fault(name, "must be in the form; the address can only have `method`");
    }
    reader.finish()?;
    // A missing method is a fault, which `finish` has refused.
    method.ok_or_else(|| Problem::bad_parameter(METHOD, "is missing"))
}

fn refuse_version_2(headers: &HeaderMap) -> Result<(), Problem> {
    if parse_version_header(headers) == Some(Version::V2) {
        let detail = "xAPI 2.0 has no alternate request syntax; send the request directly, without `method` in the query";
        return Err(Problem::bad_parameter(METHOD, detail));
    }
    Ok(())
}

/// Reads the form. A body without a `Content-Type` is read as one too.
async fn read_form(request: &mut ServiceRequest, limits: &Limits) -> Result<QueryPairs, Problem> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let is_form = content_type.is_none_or(|content_type| {
        let content_type = content_type.to_str().unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        FORM_TYPES.iter().any(|form| essence.eq_ignore_ascii_case(form))
    });
    if !is_form {
        return Err(Problem::bad_request(format!(
            "a request with `method` in the query must be a form: {FORM}"
        )));
    }
    check_head(request.headers(), limits).map_err(|problem| match problem.code() {
        // The conformance suites require 400 instead of 415.
        Code::UnsupportedMediaType => Problem::bad_request(problem.detail()),
        _ => problem,
    })?;
    let mut pieces = pin!(stream_body(request.take_payload(), limits));
    let mut body = BytesMut::new();
    let has_ended = read_pieces(&mut pieces, &mut body, EARLY_BYTES, limits).await?;
    if !has_ended {
        verify_early(request, &body).await?;
        read_pieces(&mut pieces, &mut body, usize::MAX, limits).await?;
    }
    let text = std::str::from_utf8(&body);
    QueryPairs::parse(text.map_err(|_| Problem::bad_request("the form must be UTF-8, percent-encoded"))?)
}

/// Verifies the caller of a form of which only the beginning was read.
async fn verify_early(request: &mut ServiceRequest, beginning: &[u8]) -> Result<(), Problem> {
    let beginning = beginning.get(..EARLY_BYTES).unwrap_or(beginning);
    if let Some(value) = find_authorization(beginning)? {
        request.headers_mut().insert(header::AUTHORIZATION, value);
        request.extensions_mut().insert(AuthorizationInForm);
    } else if !request.headers().contains_key(header::AUTHORIZATION) {
        let detail =
            format!("send the field `Authorization` within the first {EARLY_BYTES} bytes of the form");
        return Err(Problem::new(Code::Unauthenticated, detail));
    }
    request.extensions_mut().insert(IsForm);
    auth::verify_once(request).await
}

/// Finds the field `Authorization` in the beginning of a form. The last field may be cut and is left out.
fn find_authorization(beginning: &[u8]) -> Result<Option<HeaderValue>, Problem> {
    // A name with every character escaped has three times its length.
    const LONGEST: usize = 3 * "authorization".len();
    let mut fields: Vec<&[u8]> = Vec::new();
    let end = beginning.iter().rposition(|byte| *byte == b'&').unwrap_or(0);
    let whole = beginning.get(..end).unwrap_or_default();
    for field in whole.split(|byte| *byte == b'&') {
        let length = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        let name = field.get(..length).filter(|name| name.len() <= LONGEST);
        let name = name.and_then(|name| query::decode(std::str::from_utf8(name).ok()?).ok());
        if name.is_some_and(|name| name.eq_ignore_ascii_case(header::AUTHORIZATION.as_str())) {
            fields.push(field.get(length + 1..).unwrap_or_default());
        }
    }
    let name = header::AUTHORIZATION.as_str();
    match fields.as_slice() {
        [] => Ok(None),
        [value] => {
            let value = std::str::from_utf8(value)
                .ok()
                .and_then(|value| query::decode(value).ok());
            let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
            value
                .map(Some)
                .ok_or_else(|| Problem::bad_parameter(name, "cannot be the value of a header"))
        }
        _ => Err(Problem::bad_parameter(name, "must be sent once")),
    }
}

/// The parts of a form.
#[derive(Debug, Default)]
struct Form {
    /// The query of the meant request, encoded.
    query: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    content: Option<String>,
    /// Whether the form has a `Content-Type` for the content.
    has_content_type: bool,
}

impl Form {
    /// Divides the fields of a form into headers, content and query.
    ///
    /// # Errors
    ///
    /// 400 for a header or content that occurs twice, and for a value that cannot be in a header. 414 if the query would
    /// be longer than `query_bytes`.
    fn parse(pairs: QueryPairs, query_bytes: usize) -> Result<Self, Problem> {
        let mut form = Self::default();
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut free = query_bytes;
        for (name, value) in pairs.into_vec() {
            if name == CONTENT {
                if form.content.replace(value).is_some() {
                    return Err(Problem::bad_parameter(CONTENT, "must be sent once"));
                }
            } else if let Some(header) = HEADERS.iter().find(|h| name.eq_ignore_ascii_case(h.as_str())) {
                if form.headers.iter().any(|(known, _)| known == header) {
                    return Err(Problem::bad_parameter(&name, "must be sent once"));
                }
                let value = HeaderValue::from_str(&value);
                let value =
                    value.map_err(|_| Problem::bad_parameter(&name, "cannot be the value of a header"))?;
                form.has_content_type |= *header == header::CONTENT_TYPE;
                form.headers.push((header.clone(), value));
            } else {
                // Encoding makes a text longer, so this refuses no query that would fit.
                free = free
                    .checked_sub(name.len() + value.len())
                    .ok_or_else(|| address_too_long(query_bytes))?;
                query.append_pair(&name, &value);
            }
        }
        form.query = query.finish();
        Ok(form)
    }
}

/// Returns the body of the meant request. PUT and POST must have content, the other methods must not.
fn check_content(method: &Method, content: Option<String>) -> Result<Option<Bytes>, Problem> {
    let needs_content = *method == Method::PUT || *method == Method::POST;
    match content {
        Some(content) if needs_content => Ok(Some(Bytes::from(content))),
        None if needs_content => {
            let detail = format!("is missing; it is the body of the {method}");
            Err(Problem::bad_parameter(CONTENT, detail))
        }
        Some(content) if !content.is_empty() => Err(Problem::bad_parameter(
            CONTENT,
            format!("{method} has no content"),
        )),
        _ => Ok(None),
    }
}

/// Returns the address with the fields of the form as its query.
fn build_uri(sent: &Uri, query: &str, limits: &Limits) -> Result<Uri, Problem> {
    let path = sent.path();
    let text = match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    // The limit is that of an address: the query must fit into the `more` address of the answer.
    if text.len() > limits.uri_bytes {
        return Err(address_too_long(limits.uri_bytes));
    }
    let mut parts = sent.clone().into_parts();
    // A valid path with an encoded query is a valid address.
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(Problem::internal)?);
    Uri::from_parts(parts).map_err(Problem::internal)
}

fn address_too_long(limit: usize) -> Problem {
    let detail = format!("the fields of the form make an address of more than {limit} bytes; send fewer");
    Problem::new(Code::UriTooLong, detail)
}

/// Sets the headers that describe the content instead of the form.
fn set_content_headers(headers: &mut HeaderMap, content: Option<&Bytes>, has_content_type: bool) {
    headers.remove(header::TRANSFER_ENCODING);
    match content {
        Some(content) => {
            // The `Content-Length` of the form is ignored: programs in browsers count characters instead of bytes.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
            if !has_content_type {
                headers.insert(header::CONTENT_TYPE, DEFAULT_CONTENT_TYPE);
            }
        }
        None => {
            headers.remove(header::CONTENT_LENGTH);
            headers.remove(header::CONTENT_TYPE);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn pairs(text: &str) -> QueryPairs {
        QueryPairs::parse(text).expect("a form")
    }

    #[test]
    fn only_a_post_with_a_method_under_xapi_is_alternate() {
        let check = |method: Method, uri: &str| {
            is_alternate(&TestRequest::default().method(method).uri(uri).to_srv_request())
        };
        assert!(check(Method::POST, "/xapi/statements?method=GET"));
        assert!(check(Method::POST, "/xapi/statements?x=1&method="));
        assert!(check(Method::POST, "/%78api/statements?metho%64=GET"));
        assert!(!check(Method::PUT, "/xapi/statements?method=GET"));
        assert!(!check(Method::POST, "/xapi/statements"));
        assert!(!check(Method::POST, "/xapi/statements?Method=GET"));
        assert!(!check(Method::POST, "/v1/activities?method=GET"));
        assert!(!check(Method::POST, "/xapix/statements?method=GET"));
    }

    #[test]
    fn query_has_the_method_and_nothing_else() {
        for (text, expected) in [
            ("GET", Method::GET),
            ("HEAD", Method::HEAD),
            ("DELETE", Method::DELETE),
        ] {
            assert_eq!(
                parse_method(&pairs(&format!("method={text}"))).ok(),
                Some(expected)
            );
        }
        for (query, named) in [
            ("method=get", "method"),
            ("method=", "method"),
            ("method=PATCH", "method"),
            ("method=GET&method=PUT", "method"),
            ("method=PUT&statementId=x", "statementId"),
            ("content=x&method=PUT", "content"),
        ] {
            let problem = parse_method(&pairs(query)).expect_err(query);
            assert_eq!(problem.code(), Code::BadParameter, "{query}");
            let names = problem.errors().iter().map(|error| error.parameter.as_deref());
            assert_eq!(names.collect::<Vec<_>>(), [Some(named)], "{query}");
        }
    }

    #[test]
    fn form_is_divided_into_headers_content_and_query() {
        let form = "agent=%7B%22mbox%22%3A%22mailto%3Aa%2Bb%40x.org%22%7D&authorization=Basic+QTpC&limit=1\
            &x-EXPERIENCE-api-version=1.0.3&content=%7B%7D&If-None-Match=*&Content-Encoding=x&CONTENT=y";
        let form = Form::parse(pairs(form), 1_000).expect("a form");
        let headers: Vec<(&str, &str)> = form
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
            .collect();
        assert_eq!(
            headers,
            [
                ("authorization", "Basic QTpC"),
                ("x-experience-api-version", "1.0.3"),
                ("if-none-match", "*")
            ]
        );
        assert_eq!(
            (form.content.as_deref(), form.has_content_type),
            (Some("{}"), false)
        );
        let query = [
            ("agent", r#"{"mbox":"mailto:a+b@x.org"}"#),
            ("limit", "1"),
            ("Content-Encoding", "x"),
            ("CONTENT", "y"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(&form.query).as_slice(), query);
    }

    #[test]
    fn repeated_or_forged_header_is_refused_by_name() {
        for (form, named) in [
            ("content=1&content=1", "content"),
            ("Authorization=a&authorization=b", "authorization"),
            ("If-Match=a%0D%0AX-Evil%3A+1", "If-Match"),
        ] {
            let problem = Form::parse(pairs(form), 1_000).expect_err(form);
            assert_eq!(problem.errors()[0].parameter.as_deref(), Some(named), "{form}");
        }
    }

    #[test]
    fn authorization_is_found_in_the_beginning_of_a_form() {
        let find = |text: &str| {
            let found = find_authorization(text.as_bytes()).expect("one field at most");
            found.map(|value| value.to_str().expect("text").to_owned())
        };
        for text in [
            "Authorization=Basic+QTpC&content=",
            "x=1&%41uthorization=Basic%20QTpC&content=%FF",
            "&&authorization=Basic+QTpC&",
        ] {
            assert_eq!(find(text).as_deref(), Some("Basic QTpC"), "{text}");
        }
        for text in [
            "",
            "content=x",
            "Authorization=Basic+QTpC",
            "x&Authorization=cut",
            "Authorizations=a&b",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
        for text in [
            "Authorization=a&authorization=b&x",
            "Authorization=%0A&x",
            "Authorization=%zz&x",
        ] {
            let problem = find_authorization(text.as_bytes()).expect_err(text);
            assert_eq!(
                problem.errors()[0].parameter.as_deref(),
                Some("authorization"),
                "{text}"
            );
        }
    }

    #[test]
    fn put_and_post_need_content_and_other_methods_refuse_it() {
        for method in [Method::PUT, Method::POST] {
            assert_eq!(
                check_content(&method, Some(String::new())).ok(),
                Some(Some(Bytes::new()))
            );
            assert!(check_content(&method, None).is_err());
        }
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            assert_eq!(check_content(&method, None).ok(), Some(None));
            assert_eq!(check_content(&method, Some(String::new())).ok(), Some(None));
            assert!(check_content(&method, Some("{}".to_owned())).is_err());
        }
    }

    #[test]
    fn long_address_is_refused() {
        let sent = Uri::from_static("/xapi/agents?method=GET");
        let limits = Limits {
            uri_bytes: 21,
            ..Limits::default()
        };
        assert_eq!(build_uri(&sent, "", &limits).expect("short"), "/xapi/agents");
        assert_eq!(
            build_uri(&sent, "a=%C3%BC", &limits).expect("short").query(),
            Some("a=%C3%BC")
        );
        let problem = build_uri(&sent, "agent=123", &limits).expect_err("one byte too many");
        assert_eq!(problem.code(), Code::UriTooLong);
    }

    #[test]
    fn content_headers_replace_those_of_the_form() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("999"));
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        set_content_headers(&mut headers, Some(&Bytes::from_static(b"12345")), false);
        assert_eq!(headers.get(header::CONTENT_TYPE), Some(&DEFAULT_CONTENT_TYPE));
        assert_eq!(headers.get(header::CONTENT_LENGTH), Some(&HeaderValue::from(5)));
        assert!(!headers.contains_key(header::TRANSFER_ENCODING));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        set_content_headers(&mut headers, Some(&Bytes::new()), true);
        assert_eq!(
            headers.get(header::CONTENT_TYPE),
            Some(&HeaderValue::from_static("text/plain"))
        );
        set_content_headers(&mut headers, None, true);
        assert!(headers.is_empty());
    }
}
