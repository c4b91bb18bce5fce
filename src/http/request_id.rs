//! The id that names a request in its answer, in problem documents and in the log.
//!
//! A client's (or a proxy's) `X-Request-Id` is taken where it is sane; else one is made. Handlers never
//! need it: the frame puts it on every answer.

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Data;

use super::AppState;

/// The header that carries the id, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id taken from a client, in characters; a longer one is replaced.
pub const MAX_CHARACTERS: usize = 128;

/// The id of the request under way, kept in its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl RequestId {
    /// The id as text: visible ASCII, at most [`MAX_CHARACTERS`].
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a header's value.
    pub fn header_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    /// The id that a request has had since [`RequestId::assign`].
    pub fn of(request: &impl HttpMessage) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Takes the request's own id or makes one, and keeps it with the request.
    pub fn assign(request: &ServiceRequest) -> Self {
        let sent = request
            .headers()
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        let id = match sent.filter(|text| is_sane(text)) {
            Some(text) => Self(text.to_owned()),
            None => match request.app_data::<Data<AppState>>() {
                Some(app_state) => Self(app_state.clock().new_uuid().to_string()),
                // Only an application put together without `http::configure` has no app_state.
                None => Self("unknown".to_owned()),
            },
        };
        request.extensions_mut().insert(id.clone());
        id
    }
}

/// Visible ASCII only: the id is written to logs, where a line break or an escape would forge a line.
fn is_sane(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_visible_ascii_is_taken() {
        assert!(is_sane("req-1/2:3"));
        assert!(is_sane(&"a".repeat(128)));
        for bad in ["", " ", "a b", "a\nb", "ü", "\u{1b}[31m"] {
            assert!(!is_sane(bad), "{bad:?}");
        }
        assert!(!is_sane(&"a".repeat(129)));
    }
}
