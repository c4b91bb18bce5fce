//! The layers that are the same around every request; see [`super::application`] for their order.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpRequest};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use super::limits::UnreadBody;
use super::problem::{Code, PROBLEM_JSON, Problem};
use super::request_id::{RequestId, X_REQUEST_ID};
use super::xapi::alternate;
use super::{AppState, metrics, xapi};

/// The span around a request, and the one line that the log has for it (`docs/logging.md`).
///
/// Neither holds a path as it was sent, a query, a header or a body: those may name people and secrets.
pub struct RootSpan;

/// When a request began and what it asked for, kept with it: HEAD is answered as GET.
#[derive(Clone)]
struct Began {
    at: Instant,
    method: Method,
}

/// Whether HEAD was asked: a handler sees GET, and may spare the work on a body that nobody gets.
pub fn is_head_request(request: &HttpRequest) -> bool {
    let extensions = request.extensions();
    extensions
        .get::<Began>()
        .is_some_and(|began| began.method == Method::HEAD)
}

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = RequestId::assign(request);
        let method = request.method().clone();
        request.extensions_mut().insert(Began {
            at: Instant::now(),
            method,
        });
        tracing::info_span!("request", request_id = id.as_str(), org = tracing::field::Empty)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let Ok(response) = outcome else { return };
        let request = response.request();
        let extensions = request.extensions();
        let Some(Began { at, method }) = extensions.get::<Began>() else {
            return;
        };
        // To the microsecond.
        let milliseconds = at.elapsed().as_micros() as f64 / 1000.0;
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

/// Middleware: counts the answer, and gives it the headers that every answer has: the request's id, and
/// under `/xapi` the version (xAPI 1.0.3, Communication 3.3).
pub async fn count<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let began = Instant::now();
    let method = request.method().clone();
    let mut response = next.call(request).await?;
    let route = response.request().match_pattern();
    metrics::count(&method, route, response.status(), began.elapsed());
    let id = RequestId::of(response.request()).and_then(|id| id.header_value());
    // Asked for here, not before: the request may have been one in the alternate syntax.
    let version = response
        .request()
        .app_data::<Data<AppState>>()
        .and_then(|app_state| {
            xapi::answered_version(response.request(), app_state.options().xapi_unversioned)
        });
    let headers = response.headers_mut();
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

/// Middleware: limits on the head, HEAD answered as GET without its body, every error a problem document,
/// and what is left of a refused body taken in.
pub async fn handle_request<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(app_state) = request.app_data::<Data<AppState>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let unread_body = UnreadBody::of(&mut request);
    let head = request.method() == Method::HEAD;
    if head {
        // The HTTP library remembers by itself that HEAD was asked, and sends no body.
        request.head_mut().method = Method::GET;
    }

    let mut response = match app_state.limits().check_head(&request) {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(problem) => request.error_response(problem),
    };

    if response.status().is_client_error() || response.status().is_server_error() {
        response = as_problem(response);
        if let Some(unread_body) = unread_body {
            // Who was too slow isn't waited for again.
            let slow = response.status() == StatusCode::REQUEST_TIMEOUT;
            if slow || !unread_body.drain(app_state.limits()).await {
                close(&mut response);
            }
        }
    }
    Ok(if head {
        without_body(response)
    } else if alternate::is_head_request(response.request()) {
        alternate::without_body(response)
    } else {
        response
    })
}

/// The same answer as a problem document that names the request. Errors of the HTTP library and of
/// routing become problems here; headers that the answer had already (`Allow`, `Vary`) stay.
fn as_problem(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let known = response
        .response()
        .error()
        .and_then(|error| error.as_error::<Problem>())
        .cloned();
    let written = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(PROBLEM_JSON.as_bytes()));
    if known.is_none() && written {
        return response;
    }
    let problem = known.unwrap_or_else(|| unwritten(&response));
    if response.status().is_server_error() {
        let cause = problem.cause().unwrap_or("unknown");
        tracing::error!(code = problem.code().slug(), cause, "failed");
    } else {
        tracing::debug!(code = problem.code().slug(), cause = problem.cause(), "refused");
    }
    let id = RequestId::of(response.request());
    let (request, before) = response.into_parts();
    let mut answer = problem.to_response(id.as_ref().map(RequestId::as_str));
    let describes_body = [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
    ];
    let kept: Vec<_> = before
        .headers()
        .iter()
        .filter(|(name, _)| !describes_body.contains(name) && !answer.headers().contains_key(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in kept {
        answer.headers_mut().append(name, value);
    }
    allow_head(&mut answer);
    ServiceResponse::new(request, answer)
}

/// The problem for an error answer that wrote none.
fn unwritten(response: &ServiceResponse<BoxBody>) -> Problem {
    let detail = match response.status() {
        StatusCode::NOT_FOUND => "nothing has this address; `/docs` and `/openapi.json` list what there is",
        StatusCode::METHOD_NOT_ALLOWED => "`Allow` lists the methods that this resource has",
        _ => "the request could not be served",
    };
    let problem = Problem::new(Code::from_status(response.status()), detail);
    match response.response().error() {
        Some(error) => problem.caused_by(error),
        None => problem,
    }
}

/// HEAD is answered wherever GET is.
fn allow_head(answer: &mut actix_web::HttpResponse) {
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

/// The connection can't be used again: what the client still sends would be read as its next request.
fn close(response: &mut ServiceResponse<BoxBody>) {
    const CLOSE: (HeaderName, HeaderValue) = (header::CONNECTION, HeaderValue::from_static("close"));
    response
        .response_mut()
        .head_mut()
        .set_connection_type(actix_web::http::ConnectionType::Close);
    response.headers_mut().insert(CLOSE.0, CLOSE.1);
}

/// The headers as GET has them, and no body: one that streams is never begun.
fn without_body(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    response.map_body(|_, body| BoxBody::new(Unsent(body.size())))
}

/// A body that tells its size and has no bytes.
struct Unsent(BodySize);

impl MessageBody for Unsent {
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
    use actix_web::HttpResponse;
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    use super::*;

    fn answered(response: HttpResponse) -> ServiceResponse<BoxBody> {
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
    async fn a_problem_names_its_request() {
        let problem = Problem::conflict("taken").with_header(header::RETRY_AFTER, HeaderValue::from(3));
        let response = as_problem(answered(HttpResponse::from_error(problem)));
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers().get(header::RETRY_AFTER).expect("kept"), "3");
        let document = json(response).await;
        assert_eq!(
            (&document["request_id"], &document["detail"]),
            (&"r1".into(), &"taken".into())
        );
    }

    #[actix_web::test]
    async fn the_librarys_own_errors_become_problems_and_keep_their_headers() {
        let bare = HttpResponse::MethodNotAllowed()
            .insert_header((header::ALLOW, "GET, PUT"))
            .finish();
        let response = as_problem(answered(bare));
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
    async fn an_unknown_fault_tells_no_internals() {
        let fault = actix_web::error::ErrorInternalServerError("the password is hunter2");
        let response = as_problem(answered(HttpResponse::from_error(fault)));
        let document = json(response).await;
        assert_eq!(
            (&document["status"], &document["code"]),
            (&500.into(), &"internal".into())
        );
        assert!(!document.to_string().contains("hunter2"));
    }

    #[actix_web::test]
    async fn head_keeps_the_size_and_sends_nothing() {
        let response = without_body(answered(HttpResponse::Ok().body("12345")));
        assert_eq!(response.response().body().size(), BodySize::Sized(5));
        assert!(to_bytes(response.into_body()).await.expect("a body").is_empty());
    }

    #[actix_web::test]
    async fn an_id_that_would_forge_a_line_is_replaced() {
        let forged = TestRequest::get()
            .insert_header((X_REQUEST_ID, "a b"))
            .to_srv_request();
        assert_ne!(RequestId::assign(&forged).as_str(), "a b");
    }
}
