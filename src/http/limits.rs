//! A limit on everything that a client sends, each with its own answer (contract section 12).
//!
//! | limit | answer |
//! | --- | --- |
//! | bytes of a body | 413 |
//! | bytes of one attachment, of one document | 413 |
//! | elements of a batch | 413 |
//! | nesting of JSON, number of its values | 400 |
//! | members of a group, context activities, attachments of a statement | 400 |
//! | bytes of the address | 414 |
//! | bytes of all headers | 431 |
//! | rows of a page | 400 |
//! | time to send a body | 408 |
//! | requests a second of one caller | 429 with `Retry-After` |
//!
//! Start at [`Limits`]; [`read_body`] is how every body is read, [`UnreadBody`] how what a refused client is
//! still sending is taken in, so that it sees the answer instead of a broken connection.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use super::problem::{Code, Problem};
use crate::record;

/// The limits in force; every one is a setting (`docs/settings.md`).
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Bytes of one body.
    pub body_bytes: usize,
    /// Bytes of one attachment's content.
    pub attachment_bytes: u64,
    /// Bytes of one document: a state, an agent profile or an activity profile.
    pub document_bytes: u64,
    /// Elements of one batch.
    pub batch: usize,
    /// Levels of JSON objects and arrays.
    pub json_depth: usize,
    /// Members of a group, and agents or groups that a context relates to.
    pub group_members: usize,
    /// Activities in each list of a context.
    pub context_activities: usize,
    /// Attachments that one statement declares.
    pub attachments: usize,
    /// Bytes of the address with its query.
    pub uri_bytes: usize,
    /// Bytes of all header names and values.
    pub header_bytes: usize,
    /// Rows of a page where the client doesn't say.
    pub page_default: usize,
    /// The most rows of a page.
    pub page_max: usize,
    /// The time a client has to send a whole body.
    pub body_timeout: Duration,
    /// Requests a second that one caller may keep up on one replica; 0 is no limit.
    pub requests_per_second: u32,
    /// Requests that a caller may make at once before that counts.
    pub burst: u32,
    /// Exports that the server sends at once.
    pub concurrent_exports: usize,
    /// Downloads by link that the server sends at once.
    pub concurrent_downloads: usize,
    /// Requests that the server counts rows for at once.
    pub concurrent_counts: usize,
    /// The time that a request waits for one of the three limits above; it has no setting.
    pub concurrency_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let statement = record::Limits::default();
        Self {
            body_bytes: 10 * 1024 * 1024,
            attachment_bytes: 64 * 1024 * 1024,
            document_bytes: 64 * 1024 * 1024,
            batch: 1000,
            json_depth: 64,
            group_members: statement.group_members,
            context_activities: statement.context_activities,
            attachments: statement.attachments,
            uri_bytes: 32 * 1024,
            header_bytes: 48 * 1024,
            page_default: 50,
            page_max: 1000,
            body_timeout: Duration::from_secs(30),
            requests_per_second: 0,
            burst: 100,
            concurrent_exports: 4,
            concurrent_downloads: 2,
            concurrent_counts: 2,
            concurrency_wait: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// What a statement may hold, for those who read one (xAPI 1.0.3, Data 2.2 and 2.4).
    pub fn statement(&self) -> record::Limits {
        record::Limits {
            depth: self.json_depth,
            batch: self.batch,
            group_members: self.group_members,
            context_activities: self.context_activities,
            attachments: self.attachments,
        }
    }

    /// Refuses an address (414) or headers (431) over their limits.
    pub fn check_head(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let uri = request
            .uri()
            .path_and_query()
            .map_or(0, |text| text.as_str().len());
        if uri > self.uri_bytes {
            let detail = format!("the address has {uri} bytes, the limit is {}", self.uri_bytes);
            return Err(Problem::new(Code::UriTooLong, detail));
        }
        let headers: usize = request
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if headers > self.header_bytes {
            let detail = format!(
                "the headers have {headers} bytes, the limit is {}",
                self.header_bytes
            );
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
        Ok(())
    }

    /// Refuses (413) a batch with more elements than the limit.
    pub fn check_batch(&self, elements: usize) -> Result<(), Problem> {
        if elements <= self.batch {
            return Ok(());
        }
        let detail = format!(
            "the batch has {elements} elements, the limit is {}; send several",
            self.batch
        );
        Err(Problem::new(Code::BatchTooLong, detail))
    }

    /// Refuses (413) a body that is an array of more elements than a batch may have. It looks at nothing
    /// else: what is no array has no elements.
    pub fn check_array(&self, body: &[u8]) -> Result<(), Problem> {
        // What is ignored takes no memory.
        let elements: Vec<serde::de::IgnoredAny> = serde_json::from_slice(body).unwrap_or_default();
        self.check_batch(elements.len())
    }

    fn too_large(&self) -> Problem {
        let detail = format!(
            "the body has more than {} bytes; send it in several requests",
            self.body_bytes
        );
        Problem::new(Code::BodyTooLarge, detail)
    }
}

/// Reads a whole body within the limits of size and time.
///
/// # Errors
///
/// 413 for a body over the limit (at once where `Content-Length` says so), 408 for one that comes too
/// slowly, 415 for a `Content-Encoding`, 400 for one that breaks off.
pub async fn read_body(payload: Payload, headers: &HeaderMap, limits: &Limits) -> Result<Bytes, Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        let detail = "send the body without a Content-Encoding";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limits.body_bytes) {
        return Err(limits.too_large());
    }
    let reading = read_all(payload, declared.unwrap_or(0), limits);
    match tokio::time::timeout(limits.body_timeout, reading).await {
        Ok(body) => body,
        Err(_) => {
            let detail = format!(
                "the body took longer than {} seconds",
                limits.body_timeout.as_secs()
            );
            Err(Problem::new(Code::RequestTimeout, detail))
        }
    }
}

async fn read_all(mut payload: Payload, declared: usize, limits: &Limits) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    // A declared length is only a claim until the bytes come: no more than this is set aside for it.
    body.reserve(declared.min(64 * 1024));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::bad_request("the body broke off or is framed wrongly").caused_by(error)
        })?;
        if body.len() + chunk.len() > limits.body_bytes {
            return Err(limits.too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The rest of a request's body, kept beside the handler that reads it.
///
/// A handler that refuses leaves bytes unread. A client that is still sending them might meet a closed
/// connection and never see the answer; so the frame takes in what is left, within bounds.
pub struct UnreadBody(Rc<RefCell<Payload>>);

impl UnreadBody {
    /// Puts itself between a request and its body. `None` where the request has no body.
    pub fn of(request: &mut ServiceRequest) -> Option<Self> {
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
        let has_body = length.map_or_else(
            || headers.contains_key(header::TRANSFER_ENCODING),
            |length| length != b"0",
        );
        if !has_body {
            return None;
        }
        let shared = Rc::new(RefCell::new(request.take_payload()));
        request.set_payload(Payload::Stream {
            payload: Box::pin(Shared(Rc::clone(&shared))),
        });
        Some(Self(shared))
    }

    /// Reads on until the body ends: `true`; `false` where it breaks off, or goes on past twice the
    /// largest that a body, an attachment or a document may be, or past five seconds, so that the
    /// connection can't be used again.
    pub async fn drain(self, limits: &Limits) -> bool {
        let mut body = Shared(self.0);
        let whole = u64::try_from(limits.body_bytes).unwrap_or(u64::MAX);
        let largest = whole.max(limits.attachment_bytes).max(limits.document_bytes);
        let mut allowance = largest.saturating_mul(2);
        let reading = async {
            while let Some(chunk) = body.next().await {
                let Ok(chunk) = chunk else { return false };
                match allowance.checked_sub(chunk.len() as u64) {
                    Some(rest) => allowance = rest,
                    None => return false,
                }
            }
            true
        };
        tokio::time::timeout(limits.body_timeout.min(Duration::from_secs(5)), reading)
            .await
            .unwrap_or(false)
    }
}

struct Shared(Rc<RefCell<Payload>>);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Never borrowed across a poll: a worker has one thread, and a payload doesn't poll itself.
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// How many callers [`Rates`] remembers; past that, those who have been quiet longest are forgotten.
const CALLERS: usize = 10_000;

/// Who has asked how often lately: a token bucket for each caller, on this replica.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<String, Bucket>>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rates {
    /// Counts one request of a caller; 429 with `Retry-After` in seconds where it is one too many.
    pub fn count(&self, caller: &str, now: Instant, limits: &Limits) -> Result<(), Problem> {
        let rate = f64::from(limits.requests_per_second);
        if limits.requests_per_second == 0 {
            return Ok(());
        }
        let full = f64::from(limits.burst.max(1));
        // A thread that panicked while it held the lock can't have left half a bucket.
        let mut buckets = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if buckets.len() >= CALLERS && !buckets.contains_key(caller) {
            // A bucket that is full again says the same as none.
            buckets.retain(|_, b| b.tokens + now.duration_since(b.filled).as_secs_f64() * rate < full);
            if buckets.len() >= CALLERS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(caller.to_owned()).or_insert(Bucket {
            tokens: full,
            filled: now,
        });
        bucket.tokens = (bucket.tokens + now.duration_since(bucket.filled).as_secs_f64() * rate).min(full);
        bucket.filled = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let wait = ((1.0 - bucket.tokens) / rate).ceil().max(1.0) as u64;
        let detail = format!(
            "more than {} requests a second; ask again in {wait} s",
            limits.requests_per_second
        );
        Err(Problem::new(Code::TooManyRequests, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(wait)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn payload(chunks: &[&'static str]) -> Payload {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())))
            .collect();
        Payload::Stream {
            payload: Box::pin(futures_util::stream::iter(chunks)),
        }
    }

    fn never() -> Payload {
        Payload::Stream {
            payload: Box::pin(futures_util::stream::pending()),
        }
    }

    fn small() -> Limits {
        Limits {
            body_bytes: 8,
            attachment_bytes: 8,
            document_bytes: 4,
            body_timeout: Duration::from_millis(50),
            ..Limits::default()
        }
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read_and_one_byte_more_is_413() {
        let headers = HeaderMap::new();
        let body = read_body(payload(&["1234", "5678"]), &headers, &small())
            .await
            .expect("within");
        assert_eq!(body, "12345678");
        let problem = read_body(payload(&["1234", "56789"]), &headers, &small())
            .await
            .expect_err("over");
        assert_eq!(problem.code(), Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_declared_length_over_the_limit_is_413_before_a_byte_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("9"));
        let problem = read_body(never(), &headers, &small()).await.expect_err("over");
        assert_eq!(problem.code(), Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_408() {
        let problem = read_body(never(), &HeaderMap::new(), &small())
            .await
            .expect_err("slow");
        assert_eq!(problem.code(), Code::RequestTimeout);
    }

    #[tokio::test]
    async fn what_a_handler_left_is_drained_within_bounds() {
        let (small, larger) = (
            small(),
            Limits {
                document_bytes: 10,
                ..small()
            },
        );
        for (limits, chunks, drained) in [
            (&small, vec!["12345678", "12345678"], true),
            (&small, vec!["12345678", "123456789"], false),
            (&larger, vec!["12345678", "12345678", "1234"], true),
            (&larger, vec!["12345678", "12345678", "12345"], false),
        ] {
            let mut request = TestRequest::post()
                .insert_header((header::TRANSFER_ENCODING, "chunked"))
                .to_srv_request();
            request.set_payload(payload(&chunks));
            let unread_body = UnreadBody::of(&mut request).expect("a body");
            drop(request);
            assert_eq!(unread_body.drain(limits).await, drained);
        }
    }

    #[test]
    fn arrays_are_counted_and_nothing_else() {
        let limits = Limits {
            batch: 2,
            ..Limits::default()
        };
        for good in [
            "[]",
            "[1,{}]",
            "[[1,2,3]]",
            "{\"a\":[1,2,3]}",
            "1",
            "",
            "[1,2,3",
            "[1,2,]",
        ] {
            assert!(limits.check_array(good.as_bytes()).is_ok(), "{good}");
        }
        for long in ["[1,2,3]", " [{}, [] ,\"\\u0000\"] "] {
            let problem = limits.check_array(long.as_bytes()).expect_err(long);
            assert_eq!(problem.code(), Code::BatchTooLong, "{long}");
        }
    }

    #[test]
    fn long_addresses_and_headers_have_their_own_answers() {
        let limits = Limits {
            uri_bytes: 10,
            header_bytes: 10,
            ..Limits::default()
        };
        let long = TestRequest::get().uri("/0123456789").to_srv_request();
        assert_eq!(
            limits.check_head(&long).expect_err("long").code(),
            Code::UriTooLong
        );
        let many = TestRequest::get()
            .uri("/")
            .insert_header(("x-long", "0123456789"))
            .to_srv_request();
        assert_eq!(
            limits.check_head(&many).expect_err("many").code(),
            Code::HeadersTooLarge
        );
    }

    #[test]
    fn a_caller_who_asks_too_often_is_told_when_to_come_back() {
        let limits = Limits {
            requests_per_second: 2,
            burst: 3,
            ..Limits::default()
        };
        let rates = Rates::default();
        let start = Instant::now();
        for _ in 0..3 {
            rates.count("a", start, &limits).expect("the burst");
        }
        let problem = rates.count("a", start, &limits).expect_err("too many");
        let response = problem.to_response(None);
        assert_eq!(response.headers().get(header::RETRY_AFTER).expect("a time"), "1");
        rates
            .count("b", start, &limits)
            .expect("another caller has its own");
        rates
            .count("a", start + Duration::from_millis(500), &limits)
            .expect("half a second fills one");
    }
}
