//! Problem documents: how every error is answered (RFC 9457, contract sections 3 and 12).
//!
//! [`Code`] is the one table of problem codes with their status and title. [`Problem`] is the error
//! that handlers return: rooms know no HTTP, so their errors become problems here, each by a match
//! without a catch-all, so that a new kind of error can't be answered by accident.
//!
//! An internal cause is kept beside the problem, logged with the request id, and never answered.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

mod conversions;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Where [`ProblemDocument`]'s `type` points: the list of all codes, served offline.
pub const PROBLEMS_PATH: &str = "/docs/problems";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal, $title:literal;)+) => {
        /// What went wrong, as a client's program can tell it: the code, its status and its title.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The code as answered, e.g. `not-found`. It never changes its meaning.
            pub const fn slug(self) -> &'static str {
                match self { $(Code::$name => $slug,)+ }
            }

            /// The status that the code is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)+ }
            }

            /// A short summary for people, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)+ }
            }
        }
    };
}

codes! {
    /// The request as a whole says something wrong.
    BadRequest = "bad-request", 400, "The request can't be understood";
    /// A query or path parameter is unknown or has a wrong value; `errors` names each.
    BadParameter = "bad-parameter", 400, "A parameter is wrong";
    /// The body has faults; `errors` points to each.
    InvalidBody = "invalid-body", 400, "The body has faults";
    /// The cursor is damaged, or was given for another question or another caller.
    BadCursor = "bad-cursor", 400, "The cursor doesn't belong to this question";
    /// No credentials, or credentials that don't verify.
    Unauthenticated = "unauthenticated", 401, "Credentials are missing or wrong";
    /// The caller may not do this.
    Forbidden = "forbidden", 403, "The caller may not do this";
    /// The caller's user is deactivated in the directory.
    Deactivated = "deactivated", 403, "The user is deactivated";
    /// There is no such thing, or none that the caller may see.
    NotFound = "not-found", 404, "There is no such thing";
    /// The resource has no such method; `Allow` lists those it has.
    MethodNotAllowed = "method-not-allowed", 405, "The resource has no such method";
    /// The body came too slowly.
    RequestTimeout = "request-timeout", 408, "The request came too slowly";
    /// It was there until a certain moment, and is no more.
    Expired = "expired", 410, "It is not there any more";
    /// What is stored already contradicts the request.
    Conflict = "conflict", 409, "The request contradicts what is stored";
    /// A header such as `If-Match` names another state than the stored one.
    PreconditionFailed = "precondition-failed", 412, "The precondition doesn't hold";
    /// The body has more bytes than the limit.
    BodyTooLarge = "body-too-large", 413, "The body is too large";
    /// The batch has more elements than the limit.
    BatchTooLong = "batch-too-long", 413, "The batch is too long";
    /// The address has more bytes than the limit.
    UriTooLong = "uri-too-long", 414, "The address is too long";
    /// The body's media type or encoding is not one that the resource takes.
    UnsupportedMediaType = "unsupported-media-type", 415, "The body's media type isn't taken here";
    /// The caller asks more often than the limit; `Retry-After` says when to ask again.
    TooManyRequests = "too-many-requests", 429, "Too many requests";
    /// The headers have more bytes than the limit.
    HeadersTooLarge = "headers-too-large", 431, "The headers are too large";
    /// A fault of the server's own; the log has its cause under the request id.
    Internal = "internal", 500, "Something went wrong inside";
    /// The database can't be reached or is overloaded, or the server is stopping.
    Unavailable = "unavailable", 503, "The service isn't available just now";
}

impl Code {
    /// The code that fits an error status from elsewhere (the HTTP library's own answers).
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

    /// The URI reference that names the code: its `type` in a problem document.
    pub fn uri(self) -> String {
        format!("{PROBLEMS_PATH}#{}", self.slug())
    }
}

/// One fault among those of a [`Problem`]: where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemError {
    /// JSON pointer (RFC 6901) into the request's body; `""` is the whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/0/user")]
    pub pointer: Option<String>,
    /// The query or path parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "period")]
    pub parameter: Option<String>,
    /// What is wrong there and what to change.
    pub detail: String,
}

impl ProblemError {
    /// A fault at a place in the body.
    pub fn at_pointer(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            parameter: None,
            detail: detail.into(),
        }
    }

    /// A fault in a parameter.
    pub fn in_parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: Some(name.into()),
            detail: detail.into(),
        }
    }
}

/// A problem document as answered (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/docs/problems#invalid-body",
    "title": "The body has faults",
    "status": 400,
    "code": "invalid-body",
    "detail": "unknown action `finished`",
    "pointer": "/0/action",
    "errors": [{"pointer": "/0/action", "detail": "unknown action `finished`"}],
    "request_id": "0198a6a2-7a4e-7e0a-9c1d-2f6f3d1c5b7a"
}))]
pub struct ProblemDocument {
    /// URI reference that names the kind of problem.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// Summary, the same for every problem of the kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem, for programs.
    pub code: String,
    /// What is wrong here and what to change.
    pub detail: String,
    /// JSON pointer to the first fault in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Every fault, where there are places to name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
    /// Names the request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// An error on its way to the client.
///
/// Handlers return `Result<HttpResponse, Problem>` ([`Answer`]) and use `?` on the rooms' results.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

/// Boxed, so that the error side of every result stays one pointer wide.
#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    detail: String,
    errors: Vec<ProblemError>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    cause: Option<String>,
}

/// What a handler returns.
pub type Answer = Result<HttpResponse, Problem>;

impl Problem {
    /// A problem with a detail that says what to change.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let mut parts = Parts {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            cause: None,
        };
        if code == Code::Unauthenticated {
            // Two header lines: clients that look for one scheme read a joined line wrongly.
            for scheme in ["Bearer", "Basic realm=\"rollbook\", charset=\"UTF-8\""] {
                parts
                    .headers
                    .push((header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme)));
            }
        }
        Self(Box::new(parts))
    }

    /// 400 for the request as a whole.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, detail)
    }

    /// 400 for one parameter.
    pub fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::with_errors(Code::BadParameter, vec![ProblemError::in_parameter(name, detail)])
    }

    /// 400 for one place in the body.
    pub fn invalid_body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::with_errors(Code::InvalidBody, vec![ProblemError::at_pointer(pointer, detail)])
    }

    /// A problem with a place for each fault; its detail is the first fault's, and says how many more
    /// there are.
    pub fn with_errors(code: Code, errors: Vec<ProblemError>) -> Self {
        let mut detail = match errors.first() {
            Some(ProblemError {
                parameter: Some(name),
                detail,
                ..
            }) => format!("`{name}`: {detail}"),
            Some(error) => error.detail.clone(),
            None => code.title().to_owned(),
        };
        match errors.len() {
            0 | 1 => {}
            2 => detail.push_str(" (and 1 more fault: see `errors`)"),
            n => detail.push_str(&format!(" (and {} more faults: see `errors`)", n - 1)),
        }
        let mut problem = Self::new(code, detail);
        problem.0.errors = errors;
        problem
    }

    /// 404: no such thing, or none within the caller's reach; the two must not be told apart.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "nothing that you may see has this address")
    }

    /// 403 with what would be needed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    /// 409 with what it contradicts.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Code::Conflict, detail)
    }

    /// 500; the cause is for the log alone.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(
            Code::Internal,
            "the request id leads to the cause in the server's log",
        )
        .caused_by(cause)
    }

    /// Points the problem at one more place in the body.
    pub fn with_pointer(mut self, pointer: impl Into<String>) -> Self {
        let detail = self.0.detail.clone();
        self.0.errors.push(ProblemError::at_pointer(pointer, detail));
        self
    }

    /// Keeps a cause for the log; it is never answered.
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Adds a header to the answer, such as `Retry-After` or `Allow`.
    pub fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The kind of problem.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What is wrong and what to change.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The faults with their places.
    pub fn errors(&self) -> &[ProblemError] {
        &self.0.errors
    }

    /// What the log should know and the client should not.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The document as answered.
    pub fn to_document(&self, request_id: Option<&str>) -> ProblemDocument {
        let Parts {
            code, detail, errors, ..
        } = &*self.0;
        ProblemDocument {
            type_uri: code.uri(),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.slug().to_owned(),
            detail: detail.clone(),
            pointer: errors.iter().find_map(|error| error.pointer.clone()),
            errors: errors.clone(),
            request_id: request_id.map(str::to_owned),
        }
    }

    /// The whole answer, naming the request.
    pub fn to_response(&self, request_id: Option<&str>) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for (name, value) in &self.0.headers {
            response.append_header((name.clone(), value.clone()));
        }
        let document = self.to_document(request_id);
        // A document is strings and numbers; should serde refuse it all the same, the status stands.
        match serde_json::to_vec(&document) {
            Ok(body) => response.content_type(PROBLEM_JSON).body(body),
            Err(_) => response.finish(),
        }
    }
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
        // The table holds real statuses only (a test reads them all).
        StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The frame renders it again with the request id; see `http::frame`.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.to_response(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_its_own_and_has_an_error_status() {
        let mut slugs = HashSet::new();
        for code in Code::ALL {
            assert!(slugs.insert(code.slug()), "{} stands twice", code.slug());
            let status = StatusCode::from_u16(code.status()).expect("a status");
            assert!(status.is_client_error() || status.is_server_error());
            assert!(
                code.slug()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            );
        }
    }

    #[test]
    fn a_foreign_status_finds_its_code() {
        assert_eq!(Code::from_status(StatusCode::NOT_FOUND), Code::NotFound);
        assert_eq!(
            Code::from_status(StatusCode::PAYLOAD_TOO_LARGE),
            Code::BodyTooLarge
        );
        assert_eq!(Code::from_status(StatusCode::IM_A_TEAPOT), Code::BadRequest);
        assert_eq!(Code::from_status(StatusCode::BAD_GATEWAY), Code::Internal);
    }

    #[test]
    fn the_document_points_to_the_first_fault_and_lists_all() {
        let problem = Problem::with_errors(
            Code::InvalidBody,
            vec![
                ProblemError::at_pointer("/0/user", "unknown user"),
                ProblemError::at_pointer("/2/action", "unknown action"),
            ],
        );
        let document = serde_json::to_value(problem.to_document(Some("r1"))).expect("JSON");
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
    fn an_internal_cause_is_kept_for_the_log_and_never_answered() {
        let problem = Problem::internal("password of the database is hunter2");
        assert_eq!(problem.cause(), Some("password of the database is hunter2"));
        let text = serde_json::to_string(&problem.to_document(None)).expect("JSON");
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn a_401_names_both_schemes() {
        let response = Problem::new(Code::Unauthenticated, "say who you are").to_response(None);
        let schemes: Vec<_> = response.headers().get_all(header::WWW_AUTHENTICATE).collect();
        assert_eq!(schemes.len(), 2);
        assert_eq!(
            response.headers().get(header::CONTENT_TYPE).expect("a type"),
            PROBLEM_JSON
        );
    }
}
