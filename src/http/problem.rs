//! Problem documents, the form of every error (RFC 9457; `docs/specification.md#errors`).
//!
//! [`Code`] is the table of problem codes with their status and title. [`Problem`] is the error that handlers return.
//! The lower layers know no HTTP; `conversions` turns their errors into problems.
//!
//! A problem can have an internal cause. It is logged with the request's id and never sent to the client.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::fault::{Faults, MAX_DETAIL_BYTES, MAX_POINTER_BYTES, shorten};
use crate::base::ids::StatementId;

mod conversions;

pub use conversions::id_fault;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The longest problem document, in bytes. Faults that do not fit are counted in `more_errors`.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// The bytes of a document that its listed faults may fill. The rest is for the other members: a detail and a pointer
/// may consist of characters that JSON writes in six bytes.
const ERRORS_BYTES: usize = MAX_DOCUMENT_BYTES - 6 * (MAX_DETAIL_BYTES + MAX_POINTER_BYTES) - 4 * 1024;

/// The number of ids in a document. An id needs 39 bytes with its quotes and comma.
const MAX_IDS: usize = 1_000;

/// The longest name of a parameter in a document, in bytes. A longer one is cut.
const MAX_NAME_BYTES: usize = 200;

/// The page that the `type` of a [`ProblemDocument`] links to. It lists all codes.
pub const PROBLEMS_PATH: &str = "/docs/problems";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal, $title:literal;)+) => {
        /// The kind of a problem, with its code, status and title.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The code in the problem document, such as `not-found`. Its meaning never changes.
            pub const fn slug(self) -> &'static str {
                match self { $(Code::$name => $slug,)+ }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)+ }
            }

            /// A short summary for people, the same for every problem of this kind.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)+ }
            }
        }
    };
}

codes! {
    /// The request as a whole is wrong.
    BadRequest = "bad-request", 400, "The request is invalid";
    /// A query or path parameter is unknown or has a wrong value. `errors` names each.
    BadParameter = "bad-parameter", 400, "A parameter is invalid";
    /// The body has faults. `errors` has the pointer of each.
    InvalidBody = "invalid-body", 400, "The body is invalid";
    /// The cursor is damaged or belongs to another request or caller.
    BadCursor = "bad-cursor", 400, "The cursor does not belong to this request";
    /// The authorisation is missing, or the key and secret are wrong.
    Unauthenticated = "unauthenticated", 401, "The authorisation is missing or invalid";
    /// The token has expired. A client gets a new one and sends the request again.
    TokenExpired = "token_expired", 401, "The token has expired";
    /// The token is not valid here, and will not be later.
    TokenInvalid = "token_invalid", 401, "The token is not valid";
    /// The caller does not have the permission.
    Forbidden = "forbidden", 403, "You are not allowed to do this";
    /// The caller's user is deactivated in the directory.
    Deactivated = "deactivated", 403, "Your user is deactivated";
    /// The resource does not exist, or the caller may not see it.
    NotFound = "not-found", 404, "The resource does not exist";
    /// The resource does not have the method. `Allow` lists its methods.
    MethodNotAllowed = "method-not-allowed", 405, "The resource does not have this method";
    /// The body arrived too slowly.
    RequestTimeout = "request-timeout", 408, "The request arrived too slowly";
    /// The resource existed until a certain moment.
    Expired = "expired", 410, "The resource does not exist any more";
    /// Stored data contradicts the request.
    Conflict = "conflict", 409, "The request contradicts stored data";
    /// `If-Match` or `If-None-Match` does not hold.
    PreconditionFailed = "precondition-failed", 412, "The resource is not in the expected state";
    /// The body has more bytes than the limit.
    BodyTooLarge = "body-too-large", 413, "The body is too large";
    /// The batch has more elements than the limit.
    BatchTooLong = "batch-too-long", 413, "The batch is too long";
    /// The address has more bytes than the limit.
    UriTooLong = "uri-too-long", 414, "The address is too long";
    /// The resource does not accept the media type or encoding of the body.
    UnsupportedMediaType = "unsupported-media-type", 415, "The media type of the body is not accepted";
    /// The caller sends more requests than the limit. `Retry-After` has the time to wait.
    TooManyRequests = "too-many-requests", 429, "Too many requests";
    /// The headers have more bytes than the limit.
    HeadersTooLarge = "headers-too-large", 431, "The headers are too large";
    /// A fault of the server. The server's log has the cause under the request's id.
    Internal = "internal", 500, "The server has failed";
    /// The organisation is locked by another writer, too many exports or counts run, or the server is stopping.
    Unavailable = "unavailable", 503, "The service is not available at the moment";
    /// The database restarts, fails over, is silent or has too many connections. Nothing was stored.
    DatabaseUnavailable = "database-unavailable", 503, "The database is not available at the moment";
    /// The connection to the database was lost during a commit. The change may be stored or not.
    OutcomeUnknown = "outcome-unknown", 503, "It is not known whether the change is stored";
    /// The server has no space left to store anything. `Retry-After` has the time to wait. Reads work.
    InsufficientStorage = "insufficient-storage", 507, "The server cannot store anything at the moment";
}

impl Code {
    /// Returns the code for an error status of the HTTP library.
    pub fn from_status(status: StatusCode) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.status() == status.as_u16())
            .unwrap_or({
                if status.is_client_error() {
                    Code::BadRequest
                } else {
                    Code::Internal
                }
            })
    }

    /// Returns the URI reference of the code: the `type` in a problem document.
    pub fn uri(self) -> String {
        format!("{PROBLEMS_PATH}#{}", self.slug())
    }
}

/// One fault of a [`Problem`], with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemError {
    /// JSON pointer (RFC 6901) into the body of the request; `""` is the whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/0/user")]
    pub pointer: Option<String>,
    /// The query or path parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "period")]
    pub parameter: Option<String>,
    /// What is wrong and what to change.
    pub detail: String,
}

impl ProblemError {
    /// Creates a fault at a place in the body.
    pub fn at_pointer(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            parameter: None,
            detail: shorten(detail.into(), MAX_DETAIL_BYTES),
        }
    }

    /// Creates a fault in a parameter.
    pub fn in_parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: Some(shorten(name.into(), MAX_NAME_BYTES)),
            detail: shorten(detail.into(), MAX_DETAIL_BYTES),
        }
    }
}

/// A problem document (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/docs/problems#invalid-body",
    "title": "The body is invalid",
    "status": 400,
    "code": "invalid-body",
    "detail": "unknown action `finished`",
    "pointer": "/0/action",
    "errors": [{"pointer": "/0/action", "detail": "unknown action `finished`"}],
    "request_id": "0198a6a2-7a4e-7e0a-9c1d-2f6f3d1c5b7a"
}))]
pub struct ProblemDocument {
    /// The URI reference of the kind of problem.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// A summary, the same for every problem of this kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem, for programs.
    pub code: String,
    /// What is wrong and what to change.
    pub detail: String,
    /// The JSON pointer of the first fault in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The faults with their places, at most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub errors: Vec<ProblemError>,
    /// The number of further faults, which `errors` does not list.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(minimum = 1)]
    pub more_errors: usize,
    /// With `outcome-unknown`: the ids that the records have if they are stored, in their order; at most 1,000. Records
    /// that are sent again with these ids are not stored twice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub ids: Vec<String>,
    /// The id of the request, which is also in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The error type of handlers. `?` turns the errors of lower layers into problems.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

/// The parts of a problem. They are boxed, so that a `Result` with a problem stays small.
#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    detail: String,
    errors: Faults<ProblemError>,
    ids: Vec<String>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    cause: Option<String>,
}

/// The return type of handlers.
pub type Answer = Result<HttpResponse, Problem>;

impl Problem {
    /// Creates a problem. `detail` says what is wrong and what to change.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            detail: shorten(detail.into(), MAX_DETAIL_BYTES),
            errors: Faults::new(),
            ids: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// Creates a 400 for the request as a whole.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, detail)
    }

    /// Creates a 400 for one parameter.
    pub fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::with_errors(
            Code::BadParameter,
            ProblemError::in_parameter(name, detail).into(),
        )
    }

    /// Creates a 400 for one place in the body.
    pub fn invalid_body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::with_errors(
            Code::InvalidBody,
            ProblemError::at_pointer(pointer, detail).into(),
        )
    }

    /// Creates a problem with several faults. Its detail is that of the first fault and the number of the others.
    pub fn with_errors(code: Code, errors: Faults<ProblemError>) -> Self {
        let mut detail = match errors.listed().first() {
            Some(ProblemError {
                parameter: Some(name),
                detail,
                ..
            }) => format!("`{name}`: {detail}"),
            Some(error) => error.detail.clone(),
            None => code.title().to_owned(),
        };
        // The number of the others must not be cut.
        detail = shorten(detail, MAX_DETAIL_BYTES - 100);
        match (errors.len(), errors.more()) {
            (0 | 1, _) => {}
            (2, _) => detail.push_str(" (and 1 more fault: see `errors`)"),
            (n, 0) => detail.push_str(&format!(" (and {} more faults: see `errors`)", n - 1)),
            (n, _) => detail.push_str(&format!(
                " (and {} more faults: `errors` lists some of them)",
                n - 1
            )),
        }
        let mut problem = Self::new(code, detail);
        problem.0.errors = errors;
        problem
    }

    /// Creates a 404. It is the same for a resource that does not exist and one outside the caller's reach, so that the
    /// answer does not show which of the two it is.
    pub fn not_found() -> Self {
        Self::new(
            Code::NotFound,
            "the resource does not exist, or you may not see it",
        )
    }

    /// Creates a 403.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    /// Creates a 409.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Code::Conflict, detail)
    }

    /// Creates a 500. The cause is for the server's log only.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(
            Code::Internal,
            "the server's log has the cause under the request id",
        )
        .caused_by(cause)
    }

    /// Adds a place in the body.
    pub fn with_pointer(mut self, pointer: impl Into<String>) -> Self {
        let detail = self.0.detail.clone();
        self.0.errors.push(ProblemError::at_pointer(pointer, detail));
        self
    }

    /// Sets the ids that the records of the request have if they are stored. The document lists as many as it has space
    /// for.
    pub fn with_ids(mut self, ids: impl Iterator<Item = StatementId>) -> Self {
        let ids = ids.map(|id| id.to_string()).take(MAX_IDS);
        self.0.ids = ids.collect();
        self
    }

    /// Sets the cause, which is logged and never sent to the client.
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Adds a header to the answer, such as `Retry-After`.
    pub fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Returns the kind of problem.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns what is wrong and what to change.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns the faults with their places.
    pub fn errors(&self) -> &[ProblemError] {
        self.0.errors.listed()
    }

    /// Returns the cause for the server's log.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Whether the server works as intended and only asks the client to come back later: a 503 with `Retry-After` and
    /// without a cause.
    pub fn is_refusal(&self) -> bool {
        let asks_to_come_back = |(name, _): &(header::HeaderName, HeaderValue)| name == header::RETRY_AFTER;
        self.code() == Code::Unavailable
            && self.cause().is_none()
            && self.0.headers.iter().any(asks_to_come_back)
    }

    /// Returns the problem document. Faults for which it has no space are only counted. `base_path` is
    /// [`AppState::base_path`](super::AppState::base_path).
    pub fn to_document(&self, base_path: &str, request_id: Option<&str>) -> ProblemDocument {
        let Parts {
            code,
            detail,
            errors,
            ids,
            ..
        } = &*self.0;
        let mut errors = errors.clone();
        errors.truncate(count_fitting(&errors));
        ProblemDocument {
            type_uri: format!("{base_path}{}", code.uri()),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.slug().to_owned(),
            detail: detail.clone(),
            pointer: errors.iter().find_map(|error| error.pointer.clone()),
            more_errors: errors.more(),
            errors: errors.into_iter().collect(),
            ids: ids.clone(),
            request_id: request_id.map(str::to_owned),
        }
    }

    /// Returns the answer with the problem document.
    pub fn to_response(&self, base_path: &str, request_id: Option<&str>) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for (name, value) in &self.0.headers {
            response.append_header((name.clone(), value.clone()));
        }
        let document = self.to_document(base_path, request_id);
        // serde can always write a document of strings and numbers. If it fails, the answer still has its status.
        match serde_json::to_vec(&document) {
            Ok(body) => response.content_type(PROBLEM_JSON).body(body),
            Err(_) => response.finish(),
        }
    }
}

/// The number of faults, from the first on, that fit into [`ERRORS_BYTES`].
fn count_fitting(errors: &Faults<ProblemError>) -> usize {
    let mut free = ERRORS_BYTES;
    let fits = |error: &&ProblemError| {
        let bytes = serde_json::to_vec(error).map_or(0, |text| text.len() + 1);
        free.checked_sub(bytes).map(|rest| free = rest).is_some()
    };
    errors.iter().take_while(fits).count()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.0.code.status(),
            self.0.code.slug(),
            self.0.detail
        )
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        // The table has valid statuses only (a test checks it).
        StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the answer without the request's id. `http::middleware` writes it again with the id.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.to_response("", None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_unique_and_has_an_error_status() {
        let mut slugs = HashSet::new();
        for code in Code::ALL {
            assert!(slugs.insert(code.slug()), "{} occurs twice", code.slug());
            let status = StatusCode::from_u16(code.status()).expect("a status");
            assert!(status.is_client_error() || status.is_server_error());
            assert!(
                code.slug()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || b"-_".contains(&byte))
            );
        }
    }

    #[test]
    fn status_of_the_http_library_has_a_code() {
        assert_eq!(Code::from_status(StatusCode::NOT_FOUND), Code::NotFound);
        assert_eq!(
            Code::from_status(StatusCode::PAYLOAD_TOO_LARGE),
            Code::BodyTooLarge
        );
        assert_eq!(Code::from_status(StatusCode::IM_A_TEAPOT), Code::BadRequest);
        assert_eq!(Code::from_status(StatusCode::BAD_GATEWAY), Code::Internal);
    }

    #[test]
    fn document_points_to_the_first_fault_and_lists_all() {
        let problem = Problem::with_errors(
            Code::InvalidBody,
            Faults::from_iter([
                ProblemError::at_pointer("/0/user", "unknown user"),
                ProblemError::at_pointer("/2/action", "unknown action"),
            ]),
        );
        let document = serde_json::to_value(problem.to_document("", Some("r1"))).expect("JSON");
        assert_eq!(document["pointer"], "/0/user");
        assert_eq!(
            document["detail"],
            "unknown user (and 1 more fault: see `errors`)"
        );
        assert_eq!(document["errors"][1]["pointer"], "/2/action");
        assert_eq!(document["request_id"], "r1");
        assert_eq!(document["status"], 400);
    }

    #[test]
    fn document_has_a_size_limit_and_counts_the_rest() {
        // JSON writes this character in six bytes.
        let long = "\u{1}".repeat(10_000);
        for code in [Code::InvalidBody, Code::BadParameter] {
            let errors = (0..1_000).map(|_| match code {
                Code::InvalidBody => {
                    ProblemError::at_pointer("\u{1}".repeat(MAX_POINTER_BYTES), long.as_str())
                }
                _ => ProblemError::in_parameter(long.as_str(), long.as_str()),
            });
            let problem = Problem::with_errors(code, errors.collect());
            let text = serde_json::to_string(&problem.to_document("", Some("r1"))).expect("JSON");
            assert!(text.len() <= MAX_DOCUMENT_BYTES, "{}", text.len());
            let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let listed = document["errors"].as_array().expect("errors").len();
            assert!(listed > 0);
            assert_eq!(document["more_errors"], 1_000 - listed);
        }
        let errors = (0..51).map(|_| ProblemError::at_pointer("/a", "is missing"));
        let document = Problem::with_errors(Code::InvalidBody, errors.collect()).to_document("", None);
        assert_eq!((document.errors.len(), document.more_errors), (50, 1));
        assert_eq!(
            document.detail,
            "is missing (and 50 more faults: `errors` lists some of them)"
        );
    }

    #[test]
    fn internal_cause_is_not_in_the_document() {
        let problem = Problem::internal("password of the database is hunter2");
        assert_eq!(problem.cause(), Some("password of the database is hunter2"));
        let text = serde_json::to_string(&problem.to_document("", None)).expect("JSON");
        assert!(!text.contains("hunter2"));
    }
}
