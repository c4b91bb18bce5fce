//! Reads the body of a request that stores statements: JSON alone, or multipart/mixed with the content of attachments
//! (xAPI 1.0.3, Communication 1.5).
//!
//! The statements are read and checked before the rest is; then each content goes through a spool, so that memory
//! stays flat. What may be sent: statements as an ordinary body, each content within its own limit, all of them within
//! four times that, and as fast as an ordinary body must come.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpRequest, web};
use sha2::{Digest as _, Sha224, Sha384, Sha512};
use tokio::time::Instant;

use crate::http::auth::Caller;
use crate::http::json::JsonBytes;
use crate::http::limits::Limits;
use crate::http::problem::{Code, Problem, ProblemError};
use crate::http::xapi::multipart::{Boundary, Head, Multipart, MultipartError};
use crate::base::ids::StatementId;
use crate::record::attachment::hex_to_bytes;
use crate::record::{Attachment, Statement, Version, parse_statement, parse_statements};
use crate::store::{Blob, Spool, SpoolError};

/// How many times the limit of one content all contents of a request may have together.
const TOGETHER: u64 = 4;

/// How many statements a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Many {
    /// One, under the id that the query names: PUT.
    One(StatementId),
    /// One, or an array of any number: POST.
    Any,
}

/// What a request sent, checked but for its signatures.
pub(super) struct Received {
    pub(super) statements: Vec<Statement>,
    /// Whether they came in an array, so that pointers begin with a statement's number.
    pub(super) array: bool,
    pub(super) contents: Contents,
}

/// The contents of attachments by their SHA-2. All that are needed are here, and none that isn't declared.
#[derive(Default)]
pub(super) struct Contents(HashMap<Vec<u8>, Blob>);

impl Contents {
    /// Whether the attachment's content came.
    pub(super) fn has(&self, attachment: &Attachment) -> bool {
        self.of(attachment).is_some()
    }

    /// The attachment's content.
    pub(super) fn of(&self, attachment: &Attachment) -> Option<&Blob> {
        self.0.get(&hex_to_bytes(&attachment.sha2))
    }

    /// Each content with its SHA-2.
    pub(super) fn into_iter(self) -> impl Iterator<Item = (Vec<u8>, Blob)> {
        self.0.into_iter()
    }
}

/// Reads the body, by the rules of the version that the request names.
///
/// # Errors
///
/// 400 for a body of another media type (never 415, as the conformance suites ask), for bad statements, contents that
/// are missing, not declared or not what they are declared to be; 413 past a limit, 408 for a body that comes too
/// slowly.
pub(super) async fn receive<A>(
    caller: &Caller<A>,
    version: Version,
    request: &HttpRequest,
    payload: web::Payload,
    many: Many,
) -> Result<Received, Problem> {
    let limits = caller.app_state().limits();
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let received = match content_type.and_then(Boundary::of) {
        None => {
            let body = JsonBytes::from_request(request, &mut payload.into_inner()).await;
            Received::read(&body.map_err(bad_body)?.0, version, limits, many)?
        }
        Some(boundary) => {
            let encoding = request.headers().get(header::CONTENT_ENCODING);
            if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
                return Err(Problem::bad_request("send the body without a Content-Encoding"));
            }
            let boundary = boundary.map_err(Problem::bad_request)?;
            let mut upload = Upload::new(Multipart::new(&boundary, payload.into_inner()), limits);
            let mut received = Received::read(&upload.statements().await?, version, limits, many)?;
            received.contents = upload.contents(&received.statements).await?;
            received
        }
    };
    received.complete()?;
    Ok(received)
}

/// Here a body of another kind is a bad request, as the conformance suites ask.
fn bad_body(problem: Problem) -> Problem {
    match problem.code() {
        Code::UnsupportedMediaType => Problem::bad_request(format!(
            "{}, or as multipart/mixed with attachments",
            problem.detail()
        )),
        _ => problem,
    }
}

impl Received {
    fn read(body: &[u8], version: Version, limits: &Limits, many: Many) -> Result<Self, Problem> {
        let statements = match many {
            Many::One(id) => {
                let statement = parse_statement(body, version, &limits.statement())?;
                if statement.id.is_some_and(|own| own != id) {
                    let detail = "the statement's id must be the `statementId` of the query";
                    return Err(Problem::invalid_body("/id", detail));
                }
                vec![statement]
            }
            Many::Any => {
                let read = parse_statements(body, version, &limits.statement());
                if read.is_err() {
                    // Too many is another answer (413) than bad ones.
                    limits.check_array(body)?;
                }
                read?
            }
        };
        Ok(Self {
            statements,
            array: body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'['),
            contents: Contents::default(),
        })
    }

    /// The pointer of a place within a statement.
    pub(super) fn place(&self, statement: usize, place: &str) -> String {
        if self.array {
            format!("/{statement}{place}")
        } else {
            place.to_owned()
        }
    }

    /// Refuses statements whose attachments are without a needed content (Communication 1.5.2).
    fn complete(&self) -> Result<(), Problem> {
        let mut faults = Vec::new();
        for (index, statement) in self.statements.iter().enumerate() {
            for (place, attachment) in statement.declared_attachments().filter(|(_, one)| !self.contents.has(one)) {
                let detail = if attachment.is_signature() {
                    "a signature must come with its content: send multipart/mixed, with a part whose \
                     X-Experience-API-Hash is this sha2"
                } else if attachment.file_url.is_none() {
                    "an attachment without a fileUrl must come with its content: send multipart/mixed, with a part \
                     whose X-Experience-API-Hash is this sha2"
                } else {
                    continue;
                };
                faults.push(ProblemError::at_pointer(self.place(index, &place), detail));
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::with_errors(Code::InvalidBody, faults))
        }
    }
}

/// A multipart body on its way in.
struct Upload<'l, S> {
    parts: Multipart<S>,
    limits: &'l Limits,
    began: Instant,
    /// Bytes so far.
    taken: u64,
}

impl<'l, S, E> Upload<'l, S>
where
    S: futures_util::Stream<Item = Result<web::Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    fn new(parts: Multipart<S>, limits: &'l Limits) -> Self {
        Self {
            parts,
            limits,
            began: Instant::now(),
            taken: 0,
        }
    }

    /// The first part: the statements.
    async fn statements(&mut self) -> Result<BytesMut, Problem> {
        const FIRST: &str =
            "the first part must be the statements, with the header Content-Type: application/json";
        let head = self.part().await?.ok_or_else(|| Problem::bad_request(FIRST))?;
        if !is_json(&head) {
            return Err(Problem::bad_request(FIRST));
        }
        let plain = |encoding: &str| {
            ["binary", "8bit", "7bit"]
                .iter()
                .any(|plain| encoding.eq_ignore_ascii_case(plain))
        };
        if head.transfer_encoding.is_some_and(|encoding| !plain(&encoding)) {
            let detail = "send the statements as they are, with the header Content-Transfer-Encoding: binary";
            return Err(Problem::bad_request(detail));
        }
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if body.len() + piece.len() > self.limits.body_bytes {
                let most = self.limits.body_bytes;
                let detail =
                    format!("the statements have more than {most} bytes; send them in several requests");
                return Err(Problem::new(Code::BodyTooLarge, detail));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// All other parts: the contents of attachments.
    async fn contents(&mut self, statements: &[Statement]) -> Result<Contents, Problem> {
        let declared = statements.iter().flat_map(Statement::declared_attachments);
        let mut wanted: HashMap<Vec<u8>, Option<Blob>> = declared
            .map(|(_, attachment)| (hex_to_bytes(&attachment.sha2), None))
            .collect();
        let mut left = self.limits.attachment_bytes.saturating_mul(TOGETHER);
        let mut number = 1;
        while let Some(head) = self.part().await? {
            number += 1;
            let refuse = |detail: &str| Problem::bad_request(format!("part {number}: {detail}"));
            let hash = hash(&head).map_err(refuse)?;
            let place = wanted.get_mut(&hash).ok_or_else(|| {
                refuse("no statement declares an attachment of this X-Experience-API-Hash; send only declared ones")
            })?;
            let blob = self.content(&hash, left, number).await?;
            left = left.saturating_sub(blob.length);
            *place = Some(blob);
        }
        let came = wanted.into_iter().filter_map(|(sha2, blob)| Some((sha2, blob?)));
        Ok(Contents(came.collect()))
    }

    /// The content of the part that has begun; `left` is what all contents may have.
    async fn content(&mut self, hash: &[u8], left: u64, number: usize) -> Result<Blob, Problem> {
        let limit = self.limits.attachment_bytes;
        let refused = |error| match error {
            SpoolError::TooLarge if left < limit => {
                let most = limit.saturating_mul(TOGETHER);
                let detail = format!(
                    "the attachments have more than {most} bytes together; send the statements in several requests"
                );
                Problem::new(Code::BodyTooLarge, detail)
            }
            SpoolError::TooLarge => {
                let detail = format!(
                    "part {number}: the attachment has more than {limit} bytes; keep it where it can be fetched, and \
                     declare it with a fileUrl"
                );
                Problem::new(Code::BodyTooLarge, detail)
            }
            SpoolError::Io(error) => Problem::internal(error),
        };
        let mut spool = Spool::new(limit.min(left));
        let mut digest = Sha2::of_length(hash.len());
        while let Some(piece) = self.piece().await? {
            digest.update(&piece);
            spool.push(&piece).await.map_err(refused)?;
        }
        let blob = spool.finish().await.map_err(refused)?;
        if digest.finish(&blob) != hash {
            return Err(Problem::bad_request(format!(
                "part {number}: its bytes have another SHA-2 than its X-Experience-API-Hash says; send them unchanged"
            )));
        }
        Ok(blob)
    }

    async fn part(&mut self) -> Result<Option<Head>, Problem> {
        let until = self.until();
        let part = tokio::time::timeout_at(until, self.parts.part()).await;
        part.map_err(|_| self.too_slow())?.map_err(broken)
    }

    async fn piece(&mut self) -> Result<Option<web::Bytes>, Problem> {
        let until = self.until();
        let piece = tokio::time::timeout_at(until, self.parts.piece()).await;
        let piece = piece.map_err(|_| self.too_slow())?.map_err(broken)?;
        self.taken += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(piece)
    }

    /// Until when the next piece must have come: what has come so far gives it more time, as much as an ordinary body
    /// has for its length.
    fn until(&self) -> Instant {
        let bodies = self.taken as f64 / self.limits.body_bytes.max(1) as f64;
        let more = self.limits.body_timeout.as_secs_f64() * bodies;
        let more = Duration::try_from_secs_f64(more).unwrap_or_default();
        self.began + self.limits.body_timeout + more
    }

    fn too_slow(&self) -> Problem {
        let detail = format!(
            "the body came too slowly: each {} bytes may take {} seconds",
            self.limits.body_bytes,
            self.limits.body_timeout.as_secs()
        );
        Problem::new(Code::RequestTimeout, detail)
    }
}

fn broken<E: std::fmt::Display>(error: MultipartError<E>) -> Problem {
    let problem = Problem::bad_request(error.to_string());
    match error {
        MultipartError::Broken(cause) => problem.caused_by(cause),
        _ => problem,
    }
}

fn is_json(head: &Head) -> bool {
    let essence = head
        .content_type
        .as_deref()
        .and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// The SHA-2 that a content's part names, where its headers are as they must be.
fn hash(head: &Head) -> Result<Vec<u8>, &'static str> {
    let Some(hash) = &head.hash else {
        return Err(if is_json(head) {
            "all statements must be in the first part, and an attachment needs the header X-Experience-API-Hash"
        } else {
            "an attachment needs the header X-Experience-API-Hash, with the sha2 that a statement declares"
        });
    };
    let encoding = head.transfer_encoding.as_deref();
    if !encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("binary")) {
        return Err(
            "an attachment needs the header Content-Transfer-Encoding: binary, and its bytes as they are",
        );
    }
    if !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) || hash.len() % 2 != 0 {
        return Err("X-Experience-API-Hash must be hexadecimal digits");
    }
    Ok(hex_to_bytes(hash))
}

/// The digest of bytes as they come; SHA-256 is the spool's own.
enum Sha2 {
    Sha224(Sha224),
    Sha256,
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Sha2 {
    fn of_length(bytes: usize) -> Self {
        match bytes {
            28 => Self::Sha224(Sha224::new()),
            48 => Self::Sha384(Sha384::new()),
            64 => Self::Sha512(Sha512::new()),
            _ => Self::Sha256,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha224(digest) => digest.update(bytes),
            Self::Sha256 => {}
            Self::Sha384(digest) => digest.update(bytes),
            Self::Sha512(digest) => digest.update(bytes),
        }
    }

    fn finish(self, blob: &Blob) -> Vec<u8> {
        match self {
            Self::Sha224(digest) => digest.finalize().to_vec(),
            Self::Sha256 => blob.sha2.to_vec(),
            Self::Sha384(digest) => digest.finalize().to_vec(),
            Self::Sha512(digest) => digest.finalize().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt as _};

    use super::*;

    fn limits() -> Limits {
        Limits {
            body_bytes: 1_000,
            body_timeout: Duration::from_millis(200),
            ..Limits::default()
        }
    }

    /// Reads a body that comes in these pieces, each that much later than the one before.
    async fn taken(pieces: Vec<Vec<u8>>, pause: Duration, limits: &Limits) -> Result<usize, Problem> {
        let pieces = stream::iter(pieces).then(move |piece| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(web::Bytes::from(piece))
        });
        let boundary = Boundary::of("multipart/mixed; boundary=b")
            .expect("multipart")
            .expect("a boundary");
        let mut upload = Upload::new(Multipart::new(&boundary, Box::pin(pieces)), limits);
        let mut bytes = 0;
        while upload.part().await?.is_some() {
            while let Some(piece) = upload.piece().await? {
                bytes += piece.len();
            }
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn a_body_must_come_as_fast_as_an_ordinary_one() {
        let limits = limits();
        // Six times as long as an ordinary body may take, at more than twice its pace.
        let mut pieces = vec![b"--b\r\n\r\n".to_vec()];
        pieces.extend(vec![vec![b'x'; 1_000]; 15]);
        pieces.push(b"\r\n--b--".to_vec());
        let steady = taken(pieces.clone(), Duration::from_millis(80), &limits).await;
        assert_eq!(steady.expect("fast enough"), 15_000);
        // The same in time, with a fiftieth of the bytes.
        pieces.iter_mut().for_each(|piece| piece.truncate(20));
        let slow = taken(pieces, Duration::from_millis(80), &limits)
            .await
            .expect_err("too slow");
        assert_eq!(slow.code(), Code::RequestTimeout);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_408() {
        let boundary = Boundary::of("multipart/mixed; boundary=b")
            .expect("multipart")
            .expect("a boundary");
        let never = stream::pending::<Result<web::Bytes, std::io::Error>>();
        let limits = limits();
        let mut upload = Upload::new(Multipart::new(&boundary, never), &limits);
        let problem = upload.statements().await.expect_err("slow");
        assert_eq!(problem.code(), Code::RequestTimeout);
    }
}
