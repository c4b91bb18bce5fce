//! Reads the bodies of requests within the limits of size and time.
//!
//! [`read_body`] reads a whole body, [`stream_body`] gives its pieces as they arrive. Every body of the API is read by
//! one of the two. [`UnreadBody`] reads the rest of a body after its request was refused, so that the client sees the
//! answer instead of a broken connection.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::{Bytes, BytesMut};
use futures_util::stream::try_unfold;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::limits::Limits;
use super::problem::{Code, Problem};

/// The most memory that is reserved for a body because of its `Content-Length`, which may be wrong.
const RESERVED_BYTES: usize = 64 * 1024;

/// The longest time that is spent on the rest of a refused body.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Reads a whole body.
///
/// # Errors
///
/// 413 for a body over the limit (at once if `Content-Length` is over it), 408 for one that arrives too slowly, 415 for
/// a `Content-Encoding`, 400 for a body that ends too early.
pub async fn read_body(payload: Payload, headers: &HeaderMap, limits: &Limits) -> Result<Bytes, Problem> {
    check_head(headers, limits)?;
    let declared = content_length(headers).unwrap_or(0);
    let mut body = BytesMut::new();
    body.reserve(usize::try_from(declared).map_or(RESERVED_BYTES, |bytes| bytes.min(RESERVED_BYTES)));
    let mut pieces = pin!(stream_body(payload, limits));
    read_pieces(&mut pieces, &mut body, usize::MAX, limits).await?;
    Ok(body.freeze())
}

/// Refuses a body by its headers, before it is read.
///
/// # Errors
///
/// 413 for a `Content-Length` over the limit, 415 for a `Content-Encoding`.
pub fn check_head(headers: &HeaderMap, limits: &Limits) -> Result<(), Problem> {
    refuse_encoding(headers)?;
    match content_length(headers) {
        Some(declared) if declared > limits.body_bytes as u64 => Err(body_too_large(limits)),
        _ => Ok(()),
    }
}

/// Adds pieces of a body from [`stream_body`] to `body` until it has at least `enough` bytes. Returns whether the body
/// has ended.
///
/// # Errors
///
/// 413 for a body over the limit, and the errors of [`stream_body`].
pub async fn read_pieces(
    pieces: &mut (impl Stream<Item = Result<Bytes, Problem>> + Unpin),
    body: &mut BytesMut,
    enough: usize,
    limits: &Limits,
) -> Result<bool, Problem> {
    while body.len() < enough {
        let Some(piece) = pieces.try_next().await? else {
            return Ok(true);
        };
        if body.len() + piece.len() > limits.body_bytes {
            return Err(body_too_large(limits));
        }
        body.extend_from_slice(&piece);
    }
    Ok(false)
}

fn body_too_large(limits: &Limits) -> Problem {
    let max_bytes = limits.body_bytes;
    let detail = format!("the body has more than {max_bytes} bytes; send it in several requests");
    Problem::new(Code::BodyTooLarge, detail)
}

/// Gives the pieces of a body as they arrive. The time for a body grows with its length: see `allowed_time`.
///
/// The size of the body is not checked. After an error the stream has ended.
///
/// # Errors
///
/// 408 for a body that arrives too slowly, 400 for one that ends too early.
pub fn stream_body<S, E>(
    payload: S,
    limits: &Limits,
) -> impl Stream<Item = Result<Bytes, Problem>> + use<S, E>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    let began = Instant::now();
    let (body_bytes, body_timeout) = (limits.body_bytes, limits.body_timeout);
    try_unfold((payload, 0), move |(mut payload, received)| async move {
        let deadline = began + allowed_time(received, body_bytes, body_timeout);
        match tokio::time::timeout_at(deadline, payload.next()).await {
            Ok(Some(Ok(piece))) => {
                let received = received + piece.len() as u64;
                Ok(Some((piece, (payload, received))))
            }
            Ok(Some(Err(error))) => {
                let detail = "the body ended too early or its transfer encoding is wrong";
                Err(Problem::bad_request(detail).caused_by(error))
            }
            Ok(None) => Ok(None),
            Err(_) => {
                let seconds = body_timeout.as_secs();
                let detail = format!(
                    "the body arrived too slowly: each {body_bytes} bytes may take {seconds} seconds"
                );
                Err(Problem::new(Code::RequestTimeout, detail))
            }
        }
    })
}

/// The time since the beginning within which the piece after `received` bytes must arrive: the time for one body of
/// the usual limit, and the same again for each time that this limit was reached.
fn allowed_time(received: u64, body_bytes: usize, body_timeout: Duration) -> Duration {
    let bodies = received / (body_bytes as u64).max(1);
    let factor = u32::try_from(bodies).unwrap_or(u32::MAX).saturating_add(1);
    body_timeout.saturating_mul(factor)
}

/// Refuses a compressed body.
///
/// # Errors
///
/// 415 for a `Content-Encoding` other than `identity`.
pub fn refuse_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        let detail = "send the body without a Content-Encoding";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    Ok(())
}

/// The media type that a request declares for its body.
pub struct MediaType {
    /// The type without parameters, in lower case. Empty if the request declares none.
    pub essence: String,
    /// The parameter `charset`, in lower case.
    pub charset: Option<String>,
}

impl MediaType {
    /// Reads `Content-Type`.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let declared = headers.get(header::CONTENT_TYPE);
        let declared = declared.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (essence, parameters) = declared.split_once(';').unwrap_or((declared, ""));
        let charset = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let is_charset = name.trim().eq_ignore_ascii_case("charset");
            is_charset.then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        Self {
            essence: essence.trim().to_ascii_lowercase(),
            charset,
        }
    }
}

/// The length that a request declares for its body.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The rest of a request's body, shared with the handler that reads the body.
///
/// A handler that refuses a request leaves bytes unread. A client that is still sending them might find the connection
/// closed and never see the answer. So the middleware reads the rest, within limits.
pub struct UnreadBody(Rc<RefCell<Payload>>);

impl UnreadBody {
    /// Shares the body of a request. Returns `None` if the request has no body.
    pub fn share(request: &mut ServiceRequest) -> Option<Self> {
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
            payload: Box::pin(SharedPayload(Rc::clone(&shared))),
        });
        Some(Self(shared))
    }

    /// Reads to the end of the body. Returns `false` if the connection cannot be used again: the body ends too early,
    /// takes longer than five seconds, or has more bytes than twice the largest body, attachment or document.
    pub async fn drain(self, limits: &Limits) -> bool {
        let mut body = SharedPayload(self.0);
        let largest = (limits.body_bytes as u64)
            .max(limits.attachment_bytes)
            .max(limits.document_bytes);
        let mut allowed = largest.saturating_mul(2);
        let reading = async {
            while let Some(piece) = body.next().await {
                let Ok(piece) = piece else { return false };
                match allowed.checked_sub(piece.len() as u64) {
                    Some(rest) => allowed = rest,
                    None => return false,
                }
            }
            true
        };
        tokio::time::timeout(limits.body_timeout.min(DRAIN_TIME), reading)
            .await
            .unwrap_or(false)
    }
}

struct SharedPayload(Rc<RefCell<Payload>>);

impl Stream for SharedPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The borrow cannot fail: a worker has one thread, and a payload does not poll itself.
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn payload(pieces: &[&'static str]) -> Payload {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        Payload::Stream {
            payload: Box::pin(futures_util::stream::iter(pieces)),
        }
    }

    fn endless() -> Payload {
        Payload::Stream {
            payload: Box::pin(futures_util::stream::pending()),
        }
    }

    fn small_limits() -> Limits {
        Limits {
            body_bytes: 8,
            attachment_bytes: 8,
            document_bytes: 4,
            body_timeout: Duration::from_millis(50),
            ..Limits::default()
        }
    }

    #[tokio::test]
    async fn body_is_read_up_to_the_limit() {
        let headers = HeaderMap::new();
        let body = read_body(payload(&["1234", "5678"]), &headers, &small_limits())
            .await
            .expect("within the limit");
        assert_eq!(body, "12345678");
        let problem = read_body(payload(&["1234", "56789"]), &headers, &small_limits())
            .await
            .expect_err("over the limit");
        assert_eq!(problem.code(), Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn declared_length_over_the_limit_is_refused_before_reading() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("9"));
        let problem = read_body(endless(), &headers, &small_limits())
            .await
            .expect_err("over the limit");
        assert_eq!(problem.code(), Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn endless_body_times_out() {
        let problem = read_body(endless(), &HeaderMap::new(), &small_limits())
            .await
            .expect_err("too slow");
        assert_eq!(problem.code(), Code::RequestTimeout);
    }

    #[tokio::test]
    async fn large_body_must_keep_the_pace_of_an_ordinary_one() {
        let limits = Limits {
            body_bytes: 1_000,
            body_timeout: Duration::from_millis(200),
            ..Limits::default()
        };
        let send = |piece: &'static [u8]| {
            let pieces = futures_util::stream::iter(vec![piece; 15]).then(|piece| async move {
                tokio::time::sleep(Duration::from_millis(80)).await;
                Ok::<_, std::io::Error>(Bytes::from_static(piece))
            });
            stream_body(Box::pin(pieces), &limits)
                .try_fold(0, |sum, piece| async move { Ok(sum + piece.len()) })
        };
        // Six times as long as an ordinary body may take, with fifteen times the bytes.
        assert_eq!(send(&[b'x'; 1_000]).await.expect("fast enough"), 15_000);
        // The same time, with a fiftieth of the bytes.
        let problem = send(&[b'x'; 20]).await.expect_err("too slow");
        assert_eq!(problem.code(), Code::RequestTimeout);
    }

    #[test]
    fn time_for_a_body_grows_with_its_length() {
        let timeout = Duration::from_secs(30);
        for (received, seconds) in [(0, 30), (9, 30), (10, 60), (64, 210)] {
            assert_eq!(
                allowed_time(received, 10, timeout),
                Duration::from_secs(seconds),
                "{received}"
            );
        }
        allowed_time(u64::MAX, 10, timeout);
    }

    #[tokio::test]
    async fn unread_body_is_drained_within_limits() {
        let small = small_limits();
        let larger = Limits {
            document_bytes: 10,
            ..small_limits()
        };
        for (limits, pieces, drained) in [
            (&small, vec!["12345678", "12345678"], true),
            (&small, vec!["12345678", "123456789"], false),
            (&larger, vec!["12345678", "12345678", "1234"], true),
            (&larger, vec!["12345678", "12345678", "12345"], false),
        ] {
            let mut request = TestRequest::post()
                .insert_header((header::TRANSFER_ENCODING, "chunked"))
                .to_srv_request();
            request.set_payload(payload(&pieces));
            let unread_body = UnreadBody::share(&mut request).expect("a body");
            drop(request);
            assert_eq!(unread_body.drain(limits).await, drained);
        }
    }
}
