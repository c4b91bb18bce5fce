//! `/v1/activities/stream`: new activities as Server-Sent Events.
//!
//! The events come from [`crate::live`]. This file has the request, and what happens at certain times while the answer is
//! open: comments that keep it open, the check of the caller's rights, and the end of its token.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::header::{self, ContentEncoding, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{self, unfold};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep_until};

use crate::access::Action as _;
use crate::access::permit::ReadActivities;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::http::AppState;
use crate::http::auth::{Caller, verify_again};
use crate::http::metrics;
use crate::http::middleware::is_head_request;
use crate::http::problem::{Answer, Code, Problem, ProblemError};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::live::{EndReason, Full, LiveStream, OpenError, StreamRequest};
use crate::log::{ParseContext, Query};

use super::activities::parse_context;
use super::log_parameters::{LogFilter, LogScope};

routes! {
    "/v1/activities/stream" => { get: stream_activities },
}

/// The header with the position of the last event that a client has.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The parameter with the same content, for clients that cannot send headers.
const LAST_EVENT_ID_PARAMETER: &str = "last_event_id";
/// Keeps nginx from holding events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The value of `Retry-After` in a refusal, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// The longest time for which a stream goes on with rights that could not be checked again.
const LONGEST_UNCHECKED: Duration = Duration::from_secs(60);
/// The pause before a check that has failed is tried again.
const CHECK_AGAIN: Duration = Duration::from_secs(2);

/// Follow new activities as they are recorded.
///
/// The answer is a stream of Server-Sent Events that stays open. Each activity that the log would show, within the scope
/// and the filters, comes as one event `activity` within a second of its recording. `id` is its position, `data` the
/// activity as in the log. A client that connects again with `Last-Event-ID` gets what came in the meantime, each activity
/// once; a stream without it begins with one event `ready`, whose `id` is its position. If a client has missed more than
/// the server replays, one event `reset` comes first: read the log again, and go on with the events after it. Later changes
/// of an activity are no events here.
#[utoipa::path(
    get,
    path = "/v1/activities/stream",
    tag = "activities",
    operation_id = "stream_activities",
    params(
        LogScope,
        LogFilter,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that the client has.",
            example = "1773829043000042"),
        ("last_event_id" = Option<String>, Query, description = "The same as the header, for clients that cannot send \
            headers. The header counts if both are sent.", example = "1773829043000042"),
    ),
    responses((status = 200, description = "Events until one side ends the stream.", body = String,
        content_type = "text/event-stream",
        example = "retry: 3000\nevent: ready\nid: 1773829043000042\ndata:\n\nevent: activity\nid: 1773829043000043\ndata: {\"id\": \"8a3c…\", \"action\": {\"key\": \
            \"completed\"}, …}\n\n: heartbeat\nid: 1773829043000050\n\n"))
)]
async fn stream_activities(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    pairs: QueryPairs,
) -> Answer {
    let context = ParseContext {
        sort: false,
        paging: None,
        extra: &[LAST_EVENT_ID_PARAMETER],
        ..parse_context(&caller, None)
    };
    let query = Query::parse(pairs.as_slice(), &context)?;
    let resume = parse_position(&request, &query)?;
    let app_state = request
        .app_data::<Data<AppState>>()
        .ok_or_else(|| Problem::internal("a request without the state of the server"))?;
    if app_state.is_stopping() {
        let detail = "the server is stopping; connect again";
        return Err(Problem::new(Code::Unavailable, detail).with_header(header::RETRY_AFTER, RETRY_AFTER));
    }
    let asked = StreamRequest {
        principal: caller.principal().clone(),
        rules: caller.reach_rules(),
        asked_scope: query.asked_scope,
        filter: query.filter,
        resume,
    };
    caller.scoped(asked.asked_scope, ())?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store, no-transform"))
        .insert_header((ACCEL_BUFFERING, "no"))
        // A compressor would hold events back. The field itself is removed from the answer.
        .insert_header(ContentEncoding::Identity);
    if is_head_request(&request) {
        return Ok(answer.streaming(stream::empty::<Result<Bytes, Infallible>>()));
    }
    let permit = caller.app_state().live().acquire(&caller.sharer())?;
    let stream = app_state.live().open(asked, permit).await?;
    let body = EventBody::new(app_state.clone(), &caller, &request, stream)?;
    Ok(answer.streaming(unfold(body, EventBody::next)))
}

/// Parses the position of the last event that the client has. An empty value is none.
fn parse_position(request: &HttpRequest, query: &Query) -> Result<Option<i64>, Problem> {
    let from_header = request.headers().get(LAST_EVENT_ID);
    let from_header = from_header.map(|value| value.to_str().unwrap_or("?").trim());
    let text = from_header.or_else(|| query.extra(LAST_EVENT_ID_PARAMETER));
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(position) if is_number => Ok(Some(position)),
        _ => {
            let name = match from_header {
                Some(_) => "Last-Event-ID",
                None => LAST_EVENT_ID_PARAMETER,
            };
            let detail = "must be the `id` of an event of this stream, for example `1773829043000042`";
            let fault = ProblemError::in_parameter(name, detail);
            let mut faults = Faults::new();
            faults.push(fault);
            Err(Problem::with_errors(Code::BadParameter, faults))
        }
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        let code = match full {
            Full::Caller(_) => Code::TooManyRequests,
            Full::Organisation(_) | Full::Server(_) => Code::Unavailable,
        };
        Problem::new(code, full.to_string()).with_header(header::RETRY_AFTER, RETRY_AFTER)
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Scope(error) => error.into(),
            OpenError::Store(error) => error.into(),
        }
    }
}

/// The body of the answer.
struct EventBody {
    stream: LiveStream,
    app_state: Data<AppState>,
    /// The `Authorization` header of the request, for checking the rights again.
    authorization: SecretString,
    address: IpAddr,
    caller_id: String,
    /// The end of the caller's token.
    expires_at: Option<Timestamp>,
    next_heartbeat: Instant,
    next_check: Instant,
    checked_at: Instant,
    has_ended: bool,
    _counted: CountedStream,
}

impl EventBody {
    fn new(
        app_state: Data<AppState>,
        caller: &Caller<ReadActivities>,
        request: &HttpRequest,
        stream: LiveStream,
    ) -> Result<Self, Problem> {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let authorization = authorization.and_then(|value| value.to_str().ok());
        let authorization =
            authorization.ok_or_else(|| Problem::internal("a verified request without authorisation"))?;
        let (options, now) = (app_state.live().options(), Instant::now());
        // Streams that were opened together are not checked together.
        let first_check = options.recheck.mul_f64(0.5 + stream.spread() / 2.0);
        Ok(Self {
            authorization: authorization.into(),
            address: app_state.client_address(request),
            caller_id: caller.principal().caller_id(),
            expires_at: caller.principal().person().map(|person| person.expires_at),
            next_heartbeat: now + options.heartbeat,
            next_check: now + first_check,
            checked_at: now,
            has_ended: false,
            stream,
            app_state,
            _counted: CountedStream::new(),
        })
    }

    /// The next piece of the body, with the rest of the body.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.has_ended {
            return None;
        }
        let piece = match self.wait().await {
            Ok(piece) => piece,
            Err(reason) => {
                tracing::debug!(%reason, "a live stream has ended");
                self.has_ended = true;
                LiveStream::farewell(reason)
            }
        };
        Some((Ok(piece), self))
    }

    /// Waits for events, or for the time of a comment.
    async fn wait(&mut self) -> Result<Bytes, EndReason> {
        loop {
            let timer = self.next_heartbeat.min(self.next_check).min(self.expiry());
            tokio::select! {
                biased;
                () = sleep_until(timer) => {
                    self.check_expiry()?;
                    if self.next_check <= Instant::now() {
                        self.check_rights().await?;
                    }
                    if self.next_heartbeat <= Instant::now() {
                        self.postpone_heartbeat();
                        return Ok(self.stream.heartbeat());
                    }
                }
                events = self.stream.next() => {
                    let events = events?;
                    self.check_expiry()?;
                    self.postpone_heartbeat();
                    return Ok(events);
                }
            }
        }
    }

    fn postpone_heartbeat(&mut self) {
        self.next_heartbeat = Instant::now() + self.app_state.live().options().heartbeat;
    }

    /// When to look whether the token has expired. The clock may be wrong by then, so a later look follows.
    fn expiry(&self) -> Instant {
        let far = Duration::from_secs(86_400);
        let left = self.expires_at.map_or(far, |expires_at| {
            let micros = expires_at.micros() - self.app_state.clock().now().micros();
            Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(far)
        });
        Instant::now() + left.max(Duration::from_millis(1))
    }

    fn check_expiry(&self) -> Result<(), EndReason> {
        let now = self.app_state.clock().now();
        match self.expires_at {
            Some(expires_at) if expires_at <= now => Err(EndReason::Expired),
            _ => Ok(()),
        }
    }

    /// Reads the rights of the caller again.
    async fn check_rights(&mut self) -> Result<(), EndReason> {
        let authorization = self.authorization.expose_secret();
        let verified = verify_again(&self.app_state, authorization, self.address).await;
        let now = Instant::now();
        let (principal, rules) = match verified {
            Ok(verified) => verified,
            Err(problem)
                if matches!(
                    problem.code(),
                    Code::Unauthenticated
                        | Code::TokenExpired
                        | Code::TokenInvalid
                        | Code::Forbidden
                        | Code::Deactivated
                ) =>
            {
                return Err(EndReason::Refused);
            }
            Err(_) if self.checked_at + LONGEST_UNCHECKED <= now => return Err(EndReason::Unchecked),
            Err(_) => {
                self.next_check = now + CHECK_AGAIN;
                return Ok(());
            }
        };
        if principal.caller_id() != self.caller_id || !ReadActivities::allowed(&principal) {
            return Err(EndReason::Refused);
        }
        self.stream
            .renew(principal, rules)
            .map_err(|_| EndReason::Refused)?;
        self.checked_at = now;
        self.next_check = now + self.app_state.live().options().recheck;
        Ok(())
    }
}

/// A stream that is counted in the metrics, until it is dropped.
struct CountedStream;

impl CountedStream {
    fn new() -> Self {
        ::metrics::gauge!(metrics::OPEN_STREAMS).increment(1.0);
        Self
    }
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        ::metrics::gauge!(metrics::OPEN_STREAMS).decrement(1.0);
    }
}
