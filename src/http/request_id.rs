//! The id of a request, in its answer, in problem documents and in the server's log.
//!
//! The `X-Request-Id` of a client or proxy is used if it is valid; otherwise a new id is created. The middleware adds
//! it to every answer.

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Data;

use super::AppState;

/// The header with the id, in requests and answers.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of an id from a client. A longer id is replaced.
pub const MAX_CHARACTERS: usize = 128;

/// The id of a request, stored in its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl RequestId {
    /// The id as text: visible ASCII, at most [`MAX_CHARACTERS`].
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as the value of a header.
    pub fn header_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    /// Returns the id that [`RequestId::assign`] gave the request.
    pub fn from_request(request: &impl HttpMessage) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Takes the id from the request's header or creates one, and stores it with the request.
    pub fn assign(request: &ServiceRequest) -> Self {
        let header = request
            .headers()
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        let id = match header.filter(|text| is_valid(text)) {
            Some(text) => Self(text.to_owned()),
            None => match request.app_data::<Data<AppState>>() {
                Some(app_state) => Self(app_state.clock().new_uuid().to_string()),
                // Only an application without an `AppState`, as in some unit tests.
                None => Self("unknown".to_owned()),
            },
        };
        request.extensions_mut().insert(id.clone());
        id
    }
}

/// Whether an id is short, visible ASCII. A line break or an escape sequence could forge a line of the log.
fn is_valid(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_visible_ascii_is_valid() {
        assert!(is_valid("req-1/2:3"));
        assert!(is_valid(&"a".repeat(128)));
        for bad in ["", " ", "a b", "a\nb", "ü", "\u{1b}[31m"] {
            assert!(!is_valid(bad), "{bad:?}");
        }
        assert!(!is_valid(&"a".repeat(129)));
    }
}
