//! What links have in common that are themselves the right to what they open: `/downloads`, `/files` and `/cmi5/fetch`.
//!
//! No caller is verified for such a link. So wrong ones count as refused attempts of their address, answers are not stored
//! by caches, and the address is not sent on to other sites.

use std::time::Instant;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use sha2::{Digest as _, Sha256};

use super::AppState;
use super::problem::{Answer, Problem};
use super::refusals::Attempt;

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An attempt to open a link.
pub struct LinkAttempt<'a> {
    app_state: &'a AppState,
    attempt: Attempt<'static>,
    digest: [u8; 32],
    begun_at: Instant,
}

impl<'a> LinkAttempt<'a> {
    /// Begins to look up the secret of a link.
    ///
    /// # Errors
    ///
    /// 429 if the address of the client has sent too many wrong secrets, unless this one was right a short time ago.
    pub fn begin(app_state: &'a AppState, request: &HttpRequest, secret: &str) -> Result<Self, Problem> {
        let begun = Self {
            app_state,
            attempt: Attempt {
                address: app_state.client_address(request),
                key: None,
            },
            digest: Sha256::digest(secret.as_bytes()).into(),
            begun_at: Instant::now(),
        };
        if !app_state
            .verified_secrets()
            .contains(&begun.digest, begun.begun_at)
        {
            let refusals = app_state.refusals();
            refusals.check_address(begun.attempt, begun.begun_at, app_state.limits())?;
        }
        Ok(begun)
    }

    /// Remembers that the secret is right.
    pub fn remember(&self) {
        self.app_state
            .verified_secrets()
            .insert(self.digest, self.begun_at);
    }

    /// Counts the secret as a wrong one.
    pub fn refuse(&self) {
        let refusals = self.app_state.refusals();
        refusals.count(self.attempt, self.begun_at, self.app_state.limits());
    }
}

/// The headers of what a link opens.
const OPENED: [(HeaderName, HeaderValue); 3] = [
    (header::CACHE_CONTROL, NO_STORE),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (ROBOTS, HeaderValue::from_static("noindex")),
];

/// Begins the answer with what a link opens.
pub fn opened() -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    for header in OPENED {
        answer.insert_header(header);
    }
    answer
}

/// Adds the headers of what a link opens to an answer.
pub fn mark_opened(mut answer: HttpResponse) -> HttpResponse {
    for (name, value) in OPENED {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// The answer to a link. A problem is not stored by caches: the link can work a moment later.
pub fn without_stored_problems(answer: Answer) -> Answer {
    answer.map_err(|problem| problem.with_header(header::CACHE_CONTROL, NO_STORE))
}
