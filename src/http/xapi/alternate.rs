//! The alternate request syntax of xAPI 1.0.3 (Communication 1.3): any request as a POST of a form, for
//! programs that can send nothing else.
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
//! [`rewrite`] is a layer before authentication and routing that makes of such a request the one it stands
//! for, so that nothing behind it knows of the syntax. Version 2.0 has it no more: a request that names
//! that version is refused.

use std::future::ready;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpRequest};

use super::{VERSION_HEADER, asked_version, is_xapi};
use crate::http::AppState;
use crate::http::limits::{Limits, read_body};
use crate::http::problem::{Code, Problem};
use crate::http::query::QueryPairs;
use crate::record::Version;

/// The query parameter that says which method is meant.
const METHOD: &str = "method";
/// The form's parameter that holds what would be the body.
const CONTENT: &str = "content";
const FORM: &str = "application/x-www-form-urlencoded";
/// What content is where the form doesn't say (Communication 1.5).
const USUAL: HeaderValue = HeaderValue::from_static("application/json");

/// The parameters of the form that are headers. The specification lists the first six; the last is what
/// `format=canonical` goes by, and no resource has a parameter of that name.
const HEADERS: [HeaderName; 7] = [
    header::AUTHORIZATION,
    VERSION_HEADER,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::ACCEPT_LANGUAGE,
];

/// Kept with a request that stands for a HEAD: its answer has no body.
struct HeadAsked;

/// Middleware: a request in the alternate syntax goes on as the one that it stands for.
///
/// What is wrong with it (400, 408, 413, 414) is answered before anybody is asked who they are: that
/// may stand in the form.
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

/// Whether a request stood for a HEAD: as a POST it would have a body.
pub fn is_head_request(request: &HttpRequest) -> bool {
    request.extensions().get::<HeadAsked>().is_some()
}

/// The answer to such a request: its status and headers alone.
pub fn without_body(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let mut response = response.map_body(|_, _| BoxBody::new(()));
    // They would describe a body that a POST's client then waits for.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().remove(header::CONTENT_ENCODING);
    response
}

fn is_alternate(request: &ServiceRequest) -> bool {
    request.method() == Method::POST
        && !request.query_string().is_empty()
        && is_xapi(request.match_info().as_str())
        && QueryPairs::parse(request.query_string())
            .is_ok_and(|query| query.as_slice().iter().any(|(name, _)| name == METHOD))
}

async fn translate(request: &mut ServiceRequest) -> Result<(), Problem> {
    let app_state = request.app_data::<Data<AppState>>().cloned();
    let app_state =
        app_state.ok_or_else(|| Problem::internal("an application was put together without an app_state"))?;
    let method = method(&QueryPairs::parse(request.query_string())?)?;
    refuse_version_2(request.headers())?;
    let form = Form::read(&read_form(request, app_state.limits()).await?)?;

    // First of all, so that the answer to what is wrong names the version that the form does.
    for (name, value) in form.headers {
        request.headers_mut().insert(name, value);
    }
    refuse_version_2(request.headers())?;
    let content = content(&method, form.content)?;
    let uri = uri(request.uri(), &form.query, app_state.limits())?;
    describe(request.headers_mut(), content.as_ref(), form.typed);
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
    if method == Method::HEAD {
        request.extensions_mut().insert(HeadAsked);
    }
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

/// The method that is meant, which is all that the query may say.
fn method(query: &QueryPairs) -> Result<Method, Problem> {
    let reader = query.reader();
    let method = match reader.text(METHOD) {
        Some("GET") => Some(Method::GET),
        Some("PUT") => Some(Method::PUT),
        Some("POST") => Some(Method::POST),
        Some("DELETE") => Some(Method::DELETE),
        Some("HEAD") => Some(Method::HEAD),
        _ => {
            reader.fault(METHOD, "must be GET, PUT, POST, DELETE or HEAD");
            None
        }
    };
    for (name, _) in query.as_slice().iter().filter(|(name, _)| name != METHOD) {
        reader.fault(
            name,
            "belongs into the form: beside `method` nothing stands in the address",
        );
    }
    reader.finish()?;
    // `finish` has refused where there is none.
    method.ok_or_else(|| Problem::bad_parameter(METHOD, "is missing"))
}

fn refuse_version_2(headers: &HeaderMap) -> Result<(), Problem> {
    if asked_version(headers) == Some(Version::V2) {
        let detail = "version 2.0 has no alternate request syntax: send the request itself, without `method` in its query";
        return Err(Problem::bad_parameter(METHOD, detail));
    }
    Ok(())
}

/// The form as it was sent. One without a media type may only be empty.
async fn read_form(request: &mut ServiceRequest, limits: &Limits) -> Result<QueryPairs, Problem> {
    let refuse = || Problem::bad_request(format!("with `method` in the query, send a form: {FORM}"));
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let kind = kind.as_ref().map(|kind| kind.to_str().unwrap_or_default());
    let is_form = kind.map(|kind| {
        let essence = kind.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case(FORM)
    });
    if is_form == Some(false) {
        return Err(refuse());
    }
    let payload = request.take_payload();
    let body = read_body(payload, request.headers(), limits).await;
    let body = body.map_err(|problem| match problem.code() {
        // At this door a body of another kind is a bad request, never 415.
        Code::UnsupportedMediaType => Problem::bad_request(problem.detail()),
        _ => problem,
    })?;
    if is_form.is_none() && !body.is_empty() {
        return Err(refuse());
    }
    let text = std::str::from_utf8(&body);
    QueryPairs::parse(text.map_err(|_| Problem::bad_request("the form must be UTF-8, percent-encoded"))?)
}

/// What a form says.
#[derive(Debug, Default)]
struct Form {
    /// The query of the request that it stands for, encoded.
    query: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    content: Option<String>,
    /// Whether it says of what type the content is.
    typed: bool,
}

impl Form {
    /// # Errors
    ///
    /// 400 for a header or content that stands there twice, and for what can't be a header's value.
    fn read(pairs: &QueryPairs) -> Result<Self, Problem> {
        let mut form = Self::default();
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in pairs.as_slice() {
            if name == CONTENT {
                if form.content.replace(value.clone()).is_some() {
                    return Err(Problem::bad_parameter(CONTENT, "give it once"));
                }
            } else if let Some(header) = HEADERS.iter().find(|h| name.eq_ignore_ascii_case(h.as_str())) {
                if form.headers.iter().any(|(known, _)| known == header) {
                    return Err(Problem::bad_parameter(name, "give it once"));
                }
                let value = HeaderValue::from_str(value);
                let value =
                    value.map_err(|_| Problem::bad_parameter(name, "can't be the value of a header"))?;
                form.typed |= *header == header::CONTENT_TYPE;
                form.headers.push((header.clone(), value));
            } else {
                query.append_pair(name, value);
            }
        }
        form.query = query.finish();
        Ok(form)
    }
}

/// What is sent by that method: PUT and POST must have something, the others can't.
fn content(method: &Method, content: Option<String>) -> Result<Option<Bytes>, Problem> {
    let sends = *method == Method::PUT || *method == Method::POST;
    match content {
        Some(content) if sends => Ok(Some(Bytes::from(content))),
        None if sends => {
            let detail = format!("is missing: {method} sends what stands in this parameter of the form");
            Err(Problem::bad_parameter(CONTENT, detail))
        }
        Some(content) if !content.is_empty() => Err(Problem::bad_parameter(
            CONTENT,
            format!("{method} sends no content"),
        )),
        _ => Ok(None),
    }
}

/// The address with the form's parameters as its query.
fn uri(sent: &Uri, query: &str, limits: &Limits) -> Result<Uri, Problem> {
    let path = sent.path();
    let text = match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    // The same limit as for an address: what a form asks for must fit into the `more` of its answer.
    if text.len() > limits.uri_bytes {
        let detail = format!(
            "the form's parameters make an address of {} bytes, the limit is {}",
            text.len(),
            limits.uri_bytes
        );
        return Err(Problem::new(Code::UriTooLong, detail));
    }
    let mut parts = sent.clone().into_parts();
    // A path that was one and a query that is encoded make an address again.
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(Problem::internal)?);
    Uri::from_parts(parts).map_err(Problem::internal)
}

/// Lets the headers describe the content, not the form that it came in.
fn describe(headers: &mut HeaderMap, content: Option<&Bytes>, typed: bool) {
    headers.remove(header::TRANSFER_ENCODING);
    match content {
        Some(content) => {
            // What the form says of the length is not looked at: programs in browsers count characters.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
            if !typed {
                headers.insert(header::CONTENT_TYPE, USUAL);
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
        let is = |method: Method, uri: &str| {
            is_alternate(&TestRequest::default().method(method).uri(uri).to_srv_request())
        };
        assert!(is(Method::POST, "/xapi/statements?method=GET"));
        assert!(is(Method::POST, "/xapi/statements?x=1&method="));
        assert!(is(Method::POST, "/%78api/statements?metho%64=GET"));
        assert!(!is(Method::PUT, "/xapi/statements?method=GET"));
        assert!(!is(Method::POST, "/xapi/statements"));
        assert!(!is(Method::POST, "/xapi/statements?Method=GET"));
        assert!(!is(Method::POST, "/v1/activities?method=GET"));
        assert!(!is(Method::POST, "/xapix/statements?method=GET"));
    }

    #[test]
    fn the_query_says_the_method_and_nothing_else() {
        for (text, expected) in [
            ("GET", Method::GET),
            ("HEAD", Method::HEAD),
            ("DELETE", Method::DELETE),
        ] {
            assert_eq!(method(&pairs(&format!("method={text}"))).ok(), Some(expected));
        }
        for (query, named) in [
            ("method=get", "method"),
            ("method=", "method"),
            ("method=PATCH", "method"),
            ("method=GET&method=PUT", "method"),
            ("method=PUT&statementId=x", "statementId"),
            ("content=x&method=PUT", "content"),
        ] {
            let problem = method(&pairs(query)).expect_err(query);
            assert_eq!(problem.code(), Code::BadParameter, "{query}");
            let names = problem.errors().iter().map(|error| error.parameter.as_deref());
            assert_eq!(names.collect::<Vec<_>>(), [Some(named)], "{query}");
        }
    }

    #[test]
    fn a_form_is_headers_content_and_the_query() {
        let form = "agent=%7B%22mbox%22%3A%22mailto%3Aa%2Bb%40x.org%22%7D&authorization=Basic+QTpC&limit=1\
            &x-EXPERIENCE-api-version=1.0.3&content=%7B%7D&If-None-Match=*&Content-Encoding=x&CONTENT=y";
        let form = Form::read(&pairs(form)).expect("a form");
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
        assert_eq!((form.content.as_deref(), form.typed), (Some("{}"), false));
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
    fn what_stands_twice_or_forges_a_header_is_refused_by_name() {
        for (form, named) in [
            ("content=1&content=1", "content"),
            ("Authorization=a&authorization=b", "authorization"),
            ("If-Match=a%0D%0AX-Evil%3A+1", "If-Match"),
        ] {
            let problem = Form::read(&pairs(form)).expect_err(form);
            assert_eq!(problem.errors()[0].parameter.as_deref(), Some(named), "{form}");
        }
    }

    #[test]
    fn put_and_post_send_content_and_the_others_none() {
        for sends in [Method::PUT, Method::POST] {
            assert_eq!(
                content(&sends, Some(String::new())).ok(),
                Some(Some(Bytes::new()))
            );
            assert!(content(&sends, None).is_err());
        }
        for reads in [Method::GET, Method::HEAD, Method::DELETE] {
            assert_eq!(content(&reads, None).ok(), Some(None));
            assert_eq!(content(&reads, Some(String::new())).ok(), Some(None));
            assert!(content(&reads, Some("{}".to_owned())).is_err());
        }
    }

    #[test]
    fn the_address_keeps_its_limit() {
        let sent = Uri::from_static("/xapi/agents?method=GET");
        let limits = Limits {
            uri_bytes: 21,
            ..Limits::default()
        };
        assert_eq!(uri(&sent, "", &limits).expect("short"), "/xapi/agents");
        assert_eq!(
            uri(&sent, "a=%C3%BC", &limits).expect("short").query(),
            Some("a=%C3%BC")
        );
        let problem = uri(&sent, "agent=123", &limits).expect_err("one too many");
        assert_eq!(problem.code(), Code::UriTooLong);
    }

    #[test]
    fn headers_describe_the_content() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("999"));
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        describe(&mut headers, Some(&Bytes::from_static(b"12345")), false);
        assert_eq!(headers.get(header::CONTENT_TYPE), Some(&USUAL));
        assert_eq!(headers.get(header::CONTENT_LENGTH), Some(&HeaderValue::from(5)));
        assert!(!headers.contains_key(header::TRANSFER_ENCODING));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        describe(&mut headers, Some(&Bytes::new()), true);
        assert_eq!(
            headers.get(header::CONTENT_TYPE),
            Some(&HeaderValue::from_static("text/plain"))
        );
        describe(&mut headers, None, true);
        assert!(headers.is_empty());
    }
}
