//! The middleware around every request; [`super::application`] has its order.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_cors::CorsError;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use super::body::UnreadBody;
use super::challenge::challenges;
use super::language::AnswerLanguage;
use super::problem::{Code, PROBLEM_JSON, Problem};
use super::request_id::{RequestId, X_REQUEST_ID};
use super::xapi::alternate;
use super::{AppState, auth, base_path_of, cors, metrics, xapi};

/// The tracing span of a request, and the one line that the server's log has for it (`docs/logging.md`).
///
/// Neither contains the path as it was sent, the query, headers or the body: these can name persons and secrets.
pub struct RootSpan;

/// The start and the method of a request, stored in its extensions: [`handle_request`] changes HEAD to GET.
#[derive(Clone)]
struct RequestStart {
    time: Instant,
    method: Method,
}

/// Whether the client sent HEAD. A handler, for which it is GET, can then save the work for the body.
pub fn is_head_request(request: &HttpRequest) -> bool {
    let extensions = request.extensions();
    extensions
        .get::<RequestStart>()
        .is_some_and(|start| start.method == Method::HEAD)
}

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = RequestId::assign(request);
        let method = request.method().clone();
        request.extensions_mut().insert(RequestStart {
            time: Instant::now(),
            method,
        });
        tracing::info_span!("request", request_id = id.as_str(), org = tracing::field::Empty)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let Ok(response) = outcome else { return };
        let request = response.request();
        let extensions = request.extensions();
        let Some(RequestStart { time, method }) = extensions.get::<RequestStart>() else {
            return;
        };
        let milliseconds = time.elapsed().as_micros() as f64 / 1000.0;
        span.in_scope(|| {
            tracing::info!(
                %method,
                route = request.match_pattern().as_deref().unwrap_or("none"),
                status = response.status().as_u16(),
                milliseconds,
                "answered"
            );
        });
    }
}

/// Middleware that counts the answer in the metrics and adds the headers of every answer: the request's id, under `/xapi` the
/// version (xAPI 1.0.3, Communication 3.3), and `Cache-Control` for what belongs to a caller.
pub async fn count_and_add_headers<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let began = Instant::now();
    let method = request.method().clone();
    let in_flight = metrics::RequestInFlight::begin();
    let mut response = next.call(request).await?;
    drop(in_flight);
    let route = response.request().match_pattern();
    metrics::count_answer(&method, route, response.status(), began.elapsed());
    let id = RequestId::from_request(response.request()).and_then(|id| id.header_value());
    let app_state = response.request().app_data::<Data<AppState>>().cloned();
    // Read after the handler: the alternate request syntax changes the headers of the request.
    let version = app_state.as_ref().and_then(|app_state| {
        xapi::response_version(response.request(), app_state.options().xapi_unversioned)
    });
    let language = AnswerLanguage::find(response.request()).filter(|_| response.status().is_success());
    // The answers to callers are about persons: no cache of a browser or a proxy keeps them.
    let is_personal = auth::needs_caller(response.request().match_info().as_str());
    let headers = response.headers_mut();
    if is_personal && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(language) = language {
        language.add_headers(headers);
    }
    if let Some(app_state) = app_state {
        add_base_path(headers, app_state.base_path());
    }
    if let Some(version) = version {
        headers.insert(xapi::VERSION_HEADER, HeaderValue::from_static(version));
    }
    if let Some(id) = id {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}

/// Adds the path of the public address to a `Location` that has no host, so that handlers name the paths of their routes.
fn add_base_path(headers: &mut HeaderMap, base_path: &str) {
    let Some(location) = headers.get(header::LOCATION).filter(|_| !base_path.is_empty()) else {
        return;
    };
    let local = location
        .to_str()
        .ok()
        .filter(|location| location.starts_with('/'));
    let moved = local.and_then(|local| HeaderValue::from_str(&format!("{base_path}{local}")).ok());
    if let Some(moved) = moved {
        headers.insert(header::LOCATION, moved);
    }
}

/// Middleware that checks the limits on the head, answers HEAD as GET without a body, turns every error into a problem
/// document, and reads the rest of a refused body.
pub async fn handle_request<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(app_state) = request.app_data::<Data<AppState>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let unread_body = UnreadBody::share(&mut request);
    let is_head = request.method() == Method::HEAD;
    if is_head {
        // The HTTP library still knows that the client sent HEAD, and sends no body.
        request.head_mut().method = Method::GET;
    }

    let mut response = match app_state.limits().check_head(&request) {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(problem) => request.error_response(problem),
    };

    if response.status().is_client_error() || response.status().is_server_error() {
        response = to_problem_response(response);
        if let Some(unread_body) = unread_body {
            // A client that was too slow gets no second chance.
            let was_too_slow = response.status() == StatusCode::REQUEST_TIMEOUT;
            if was_too_slow || !unread_body.drain(app_state.limits()).await {
                close_connection(&mut response);
            }
        }
    }
    remove_identity_encoding(&mut response);
    Ok(if is_head {
        without_body(response)
    } else if alternate::is_head_request(response.request()) {
        alternate::without_body(response)
    } else {
        response
    })
}

/// Middleware around that of cross-origin requests, which refuses preflights by plain texts: it makes problems of them.
pub async fn write_refused_preflight<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let refusal = response
        .response()
        .error()
        .and_then(|error| error.as_error::<CorsError>());
    let Some(problem) = refusal.map(cors::to_problem) else {
        return Ok(response);
    };
    let (request, original) = response.into_parts();
    let mut refused = HttpResponse::from_error(problem);
    for (name, value) in original
        .headers()
        .iter()
        .filter(|(name, _)| *name == header::VARY)
    {
        refused.headers_mut().append(name.clone(), value.clone());
    }
    Ok(to_problem_response(ServiceResponse::new(request, refused)))
}

/// Removes `Content-Encoding: identity`, by which a handler keeps its answer from being compressed. The field must not have
/// this value (RFC 9110, section 8.4.1).
fn remove_identity_encoding<B>(response: &mut ServiceResponse<B>) {
    let encoding = response.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding == "identity") {
        response.headers_mut().remove(header::CONTENT_ENCODING);
    }
}

/// Writes an error as a problem document with the request's id. Errors of the HTTP library and of routing become
/// problems here. The other headers of the answer (`Allow`, `Vary`) stay.
fn to_problem_response(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let problem = response
        .response()
        .error()
        .and_then(|error| error.as_error::<Problem>())
        .cloned();
    let is_written = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes().starts_with(PROBLEM_JSON.as_bytes()));
    if problem.is_none() && is_written {
        return response;
    }
    let problem = problem.unwrap_or_else(|| problem_from_status(&response));
    metrics::count_problem(problem.code());
    if response.status().is_server_error() && !problem.is_refusal() {
        let cause = problem.cause().unwrap_or("unknown");
        tracing::error!(code = problem.code().slug(), cause, "failed");
    } else {
        tracing::debug!(code = problem.code().slug(), cause = problem.cause(), "refused");
    }
    let id = RequestId::from_request(response.request());
    let (request, original) = response.into_parts();
    let mut answer = problem.to_response(base_path_of(&request), id.as_ref().map(RequestId::as_str));
    let describes_body = [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
    ];
    let other_headers: Vec<_> = original
        .headers()
        .iter()
        .filter(|(name, _)| !describes_body.contains(name) && !answer.headers().contains_key(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in other_headers {
        answer.headers_mut().append(name, value);
    }
    if answer.status() == StatusCode::UNAUTHORIZED {
        for value in challenges(problem.code(), request.headers()) {
            answer.headers_mut().append(header::WWW_AUTHENTICATE, value);
        }
    }
    add_head_to_allow(&mut answer);
    ServiceResponse::new(request, answer)
}

/// Returns the problem for an error of the HTTP library.
fn problem_from_status(response: &ServiceResponse<BoxBody>) -> Problem {
    let detail = match response.status() {
        StatusCode::NOT_FOUND => {
            "no resource has this address; `/docs` and `/openapi.json` list all resources"
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            "this resource does not have the method; the header `Allow` lists its methods"
        }
        _ => "the request could not be answered",
    };
    let problem = Problem::new(Code::from_status(response.status()), detail);
    match response.response().error() {
        Some(error) => problem.caused_by(error),
        None => problem,
    }
}

/// Adds HEAD to an `Allow` header with GET, since every GET also answers HEAD.
fn add_head_to_allow(answer: &mut actix_web::HttpResponse) {
    let Some(allow) = answer
        .headers()
        .get(header::ALLOW)
        .and_then(|value| value.to_str().ok())
    else {
        return;
    };
    let methods: Vec<&str> = allow.split(',').map(str::trim).collect();
    if methods.contains(&"GET") && !methods.contains(&"HEAD") {
        let joined = format!("{}, HEAD", methods.join(", "));
        if let Ok(value) = HeaderValue::from_str(&joined) {
            answer.headers_mut().insert(header::ALLOW, value);
        }
    }
}

/// Closes the connection after the answer: the rest of the body would be read as the client's next request.
fn close_connection(response: &mut ServiceResponse<BoxBody>) {
    const CLOSE: (HeaderName, HeaderValue) = (header::CONNECTION, HeaderValue::from_static("close"));
    response
        .response_mut()
        .head_mut()
        .set_connection_type(actix_web::http::ConnectionType::Close);
    response.headers_mut().insert(CLOSE.0, CLOSE.1);
}

/// Removes the body and keeps the headers of GET. A body that streams is never started.
fn without_body(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    response.map_body(|_, body| BoxBody::new(EmptyBody(body.size())))
}

/// A body with a size and without bytes.
struct EmptyBody(BodySize);

impl MessageBody for EmptyBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    use super::*;

    fn service_response(response: HttpResponse) -> ServiceResponse<BoxBody> {
        let request = TestRequest::get()
            .insert_header((X_REQUEST_ID, "r1"))
            .to_srv_request();
        RequestId::assign(&request);
        ServiceResponse::new(request.into_parts().0, response)
    }

    async fn json(response: ServiceResponse<BoxBody>) -> serde_json::Value {
        let body = to_bytes(response.into_body()).await.expect("a body");
        serde_json::from_slice(&body).expect("JSON")
    }

    #[actix_web::test]
    async fn problem_has_the_id_of_its_request() {
        let problem = Problem::conflict("taken").with_header(header::RETRY_AFTER, HeaderValue::from(3));
        let response = to_problem_response(service_response(HttpResponse::from_error(problem)));
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers().get(header::RETRY_AFTER).expect("kept"), "3");
        let document = json(response).await;
        assert_eq!(
            (&document["request_id"], &document["detail"]),
            (&"r1".into(), &"taken".into())
        );
    }

    #[actix_web::test]
    async fn errors_of_the_library_become_problems_and_keep_their_headers() {
        let bare = HttpResponse::MethodNotAllowed()
            .insert_header((header::ALLOW, "GET, PUT"))
            .finish();
        let response = to_problem_response(service_response(bare));
        assert_eq!(
            response.headers().get(header::ALLOW).expect("kept"),
            "GET, PUT, HEAD"
        );
        assert_eq!(
            response.headers().get(header::CONTENT_TYPE).expect("a type"),
            PROBLEM_JSON
        );
        assert_eq!(json(response).await["code"], "method-not-allowed");
    }

    #[actix_web::test]
    async fn unknown_error_shows_no_internals() {
        let error = actix_web::error::ErrorInternalServerError("the password is hunter2");
        let response = to_problem_response(service_response(HttpResponse::from_error(error)));
        let document = json(response).await;
        assert_eq!(
            (&document["status"], &document["code"]),
            (&500.into(), &"internal".into())
        );
        assert!(!document.to_string().contains("hunter2"));
    }

    #[actix_web::test]
    async fn head_has_the_size_and_no_bytes() {
        let response = without_body(service_response(HttpResponse::Ok().body("12345")));
        assert_eq!(response.response().body().size(), BodySize::Sized(5));
        assert!(to_bytes(response.into_body()).await.expect("a body").is_empty());
    }

    #[actix_web::test]
    async fn request_id_with_a_space_is_replaced() {
        let forged = TestRequest::get()
            .insert_header((X_REQUEST_ID, "a b"))
            .to_srv_request();
        assert_ne!(RequestId::assign(&forged).as_str(), "a b");
    }
}
