//! Reads the body of a request that writes statements: JSON, or multipart/mixed with the contents of attachments (xAPI
//! 1.0.3, Communication 1.5).
//!
//! The statements are read and checked before the contents. Each content goes through a spool, so that it is never in
//! memory as a whole. The statements are limited like an ordinary body, each content by the limit on attachments, and
//! all contents together by four times that limit.

use std::collections::HashMap;

use actix_web::http::header;
use actix_web::web::{self, Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::Stream;
use sha2::{Digest as _, Sha224, Sha384, Sha512};

use crate::base::fault::Faults;
use crate::base::ids::StatementId;
use crate::http::auth::Caller;
use crate::http::body::{refuse_encoding, stream_body};
use crate::http::json::JsonBody;
use crate::http::limits::Limits;
use crate::http::problem::{Code, Problem, ProblemError};
use crate::http::xapi::multipart::{Boundary, Multipart, MultipartError, PartHead};
use crate::record::attachment::hex_to_bytes;
use crate::record::{Attachment, Statement, Version, parse_statement, parse_statements};
use crate::store::{Blob, Spool, SpoolError};

/// The limit on all contents of a request, as a multiple of the limit on one content.
const TOTAL_FACTOR: u64 = 4;

/// The byte order mark, which may come before the JSON text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The statements that a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// One statement with the id in the query: PUT.
    One(StatementId),
    /// One statement or an array: POST.
    Any,
}

/// The checked body of a request. Only signatures are not checked yet.
pub(super) struct Received {
    pub(super) statements: Vec<Statement>,
    /// Whether the statements are an array, so that pointers begin with the position of a statement.
    pub(super) array: bool,
    pub(super) contents: Contents,
}

/// The contents of attachments by their SHA-2. Every content is declared by a statement, and no required one is
/// missing.
#[derive(Default)]
pub(super) struct Contents(HashMap<Vec<u8>, Blob>);

impl Contents {
    /// Whether the request has the attachment's content.
    pub(super) fn has(&self, attachment: &Attachment) -> bool {
        self.find(attachment).is_some()
    }

    /// Finds the attachment's content.
    pub(super) fn find(&self, attachment: &Attachment) -> Option<&Blob> {
        self.0.get(&hex_to_bytes(&attachment.sha2))
    }

    /// Returns each content with its SHA-2.
    pub(super) fn into_iter(self) -> impl Iterator<Item = (Vec<u8>, Blob)> {
        self.0.into_iter()
    }
}

/// Reads the body by the rules of the request's version.
///
/// # Errors
///
/// 400 for a body of another media type (the conformance suites do not accept 415), for invalid statements, and for
/// contents that are missing, not declared, or different from their SHA-2; 413 for a body over a limit, 408 for one
/// that arrives too slowly.
pub(super) async fn receive<A>(
    caller: &Caller<A>,
    version: Version,
    request: &HttpRequest,
    payload: web::Payload,
    expected: Expected,
) -> Result<Received, Problem> {
    let limits = caller.app_state().limits();
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let received = match content_type.and_then(Boundary::from_content_type) {
        None => {
            let body = JsonBody::from_request(request, &mut payload.into_inner()).await;
            Received::parse(
                body.map_err(json_body_problem)?.bytes(),
                version,
                limits,
                expected,
            )?
        }
        Some(boundary) => {
            refuse_encoding(request.headers()).map_err(|problem| Problem::bad_request(problem.detail()))?;
            let boundary = boundary.map_err(Problem::bad_request)?;
            let pieces = Box::pin(stream_body(payload.into_inner(), limits));
            let mut upload = Upload {
                parts: Multipart::new(&boundary, pieces),
                limits,
            };
            let statements = upload.read_statements().await?;
            let mut received = Received::parse(&statements, version, limits, expected)?;
            received.contents = upload.read_contents(&received.statements).await?;
            received
        }
    };
    received.check_contents()?;
    Ok(received)
}

/// Turns 415 into 400, as the conformance suites require.
fn json_body_problem(problem: Problem) -> Problem {
    match problem.code() {
        Code::UnsupportedMediaType => Problem::bad_request(format!(
            "{}, or as multipart/mixed with attachments",
            problem.detail()
        )),
        _ => problem,
    }
}

impl Received {
    fn parse(body: &[u8], version: Version, limits: &Limits, expected: Expected) -> Result<Self, Problem> {
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let statements = match expected {
            Expected::One(id) => {
                let statement = parse_statement(body, version, &limits.statement())?;
                if statement.id.is_some_and(|statement_id| statement_id != id) {
                    let detail = "the statement's id must be the `statementId` of the query";
                    return Err(Problem::invalid_body("/id", detail));
                }
                vec![statement]
            }
            Expected::Any => {
                let statements = parse_statements(body, version, &limits.statement());
                if statements.is_err() {
                    // A batch that is too long is 413, not 400.
                    limits.check_array(body)?;
                }
                statements?
            }
        };
        Ok(Self {
            statements,
            array: body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'['),
            contents: Contents::default(),
        })
    }

    /// Returns the pointer of a place within a statement.
    pub(super) fn pointer(&self, statement: usize, place: &str) -> String {
        if self.array {
            format!("/{statement}{place}")
        } else {
            place.to_owned()
        }
    }

    /// Refuses attachments without their content, if it is required (Communication 1.5.2).
    fn check_contents(&self) -> Result<(), Problem> {
        let mut faults = Faults::new();
        for (index, statement) in self.statements.iter().enumerate() {
            let missing = statement
                .declared_attachments()
                .filter(|(_, attachment)| !self.contents.has(attachment));
            for (place, attachment) in missing {
                let detail = if attachment.is_signature() {
                    "the content of a signature is required: send multipart/mixed, with a part whose \
                     X-Experience-API-Hash is this sha2"
                } else if attachment.file_url.is_none() {
                    "the content of an attachment without a fileUrl is required: send multipart/mixed, with a part \
                     whose X-Experience-API-Hash is this sha2"
                } else {
                    continue;
                };
                faults.push(ProblemError::at_pointer(self.pointer(index, &place), detail));
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::with_errors(Code::InvalidBody, faults))
        }
    }
}

/// A multipart body that is being read.
struct Upload<'l, S> {
    parts: Multipart<S>,
    limits: &'l Limits,
}

impl<S> Upload<'_, S>
where
    S: Stream<Item = Result<Bytes, Problem>> + Unpin,
{
    /// Reads the first part: the statements.
    async fn read_statements(&mut self) -> Result<BytesMut, Problem> {
        const FIRST_PART: &str =
            "the first part must be the statements, with the header Content-Type: application/json";
        let head = self
            .next_part()
            .await?
            .ok_or_else(|| Problem::bad_request(FIRST_PART))?;
        if !is_json(&head) {
            return Err(Problem::bad_request(FIRST_PART));
        }
        let is_plain = |encoding: &str| {
            ["binary", "8bit", "7bit"]
                .iter()
                .any(|plain| encoding.eq_ignore_ascii_case(plain))
        };
        if head
            .transfer_encoding
            .is_some_and(|encoding| !is_plain(&encoding))
        {
            let detail =
                "send the statements without an encoding, with the header Content-Transfer-Encoding: binary";
            return Err(Problem::bad_request(detail));
        }
        let mut body = BytesMut::new();
        while let Some(piece) = self.next_piece().await? {
            if body.len() + piece.len() > self.limits.body_bytes {
                let max_bytes = self.limits.body_bytes;
                let detail =
                    format!("the statements have more than {max_bytes} bytes; send them in several requests");
                return Err(Problem::new(Code::BodyTooLarge, detail));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Reads all other parts: the contents of attachments.
    async fn read_contents(&mut self, statements: &[Statement]) -> Result<Contents, Problem> {
        let declared = statements.iter().flat_map(Statement::declared_attachments);
        let mut contents: HashMap<Vec<u8>, Option<Blob>> = declared
            .map(|(_, attachment)| (hex_to_bytes(&attachment.sha2), None))
            .collect();
        let mut remaining = self.limits.attachment_bytes.saturating_mul(TOTAL_FACTOR);
        let mut number = 1;
        while let Some(head) = self.next_part().await? {
            number += 1;
            let refuse = |detail: &str| Problem::bad_request(format!("part {number}: {detail}"));
            let hash = parse_hash(&head).map_err(refuse)?;
            let content = contents.get_mut(&hash).ok_or_else(|| {
                refuse(
                    "no statement declares an attachment with this X-Experience-API-Hash; leave the part out",
                )
            })?;
            let blob = self.read_content(&hash, remaining, number).await?;
            remaining = remaining.saturating_sub(blob.length);
            *content = Some(blob);
        }
        let received = contents
            .into_iter()
            .filter_map(|(sha2, blob)| Some((sha2, blob?)));
        Ok(Contents(received.collect()))
    }

    /// Reads the content of the current part. `remaining` is the limit on the rest of all contents.
    async fn read_content(&mut self, hash: &[u8], remaining: u64, number: usize) -> Result<Blob, Problem> {
        let limit = self.limits.attachment_bytes;
        let spool_problem = |error| match error {
            SpoolError::TooLarge if remaining < limit => {
                let max_bytes = limit.saturating_mul(TOTAL_FACTOR);
                let detail = format!(
                    "the attachments have more than {max_bytes} bytes together; send the statements in several requests"
                );
                Problem::new(Code::BodyTooLarge, detail)
            }
            SpoolError::TooLarge => {
                let detail = format!(
                    "part {number}: the attachment has more than {limit} bytes; publish it at an address, and declare it \
                     with that address as its fileUrl"
                );
                Problem::new(Code::BodyTooLarge, detail)
            }
            SpoolError::Io(error) => Problem::from_spool_error(error),
        };
        let mut spool = Spool::new(limit.min(remaining));
        let mut digest = Sha2::with_length(hash.len());
        while let Some(piece) = self.next_piece().await? {
            digest.update(&piece);
            spool.push(&piece).await.map_err(spool_problem)?;
        }
        let blob = spool.finish().await.map_err(spool_problem)?;
        if digest.finish(&blob) != hash {
            return Err(Problem::bad_request(format!(
                "part {number}: the SHA-2 of its bytes is not its X-Experience-API-Hash; send the bytes unchanged"
            )));
        }
        Ok(blob)
    }

    async fn next_part(&mut self) -> Result<Option<PartHead>, Problem> {
        self.parts.next_part().await.map_err(multipart_problem)
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, Problem> {
        self.parts.next_piece().await.map_err(multipart_problem)
    }
}

fn multipart_problem(error: MultipartError<Problem>) -> Problem {
    match error {
        MultipartError::Stream(problem) => problem,
        error => Problem::bad_request(error.to_string()),
    }
}

fn is_json(head: &PartHead) -> bool {
    let essence = head
        .content_type
        .as_deref()
        .and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Parses the SHA-2 in the head of a content, and checks the other headers.
fn parse_hash(head: &PartHead) -> Result<Vec<u8>, &'static str> {
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
            "an attachment needs the header Content-Transfer-Encoding: binary, and its bytes without an encoding",
        );
    }
    if !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) || hash.len() % 2 != 0 {
        return Err("X-Experience-API-Hash must be hexadecimal digits");
    }
    Ok(hex_to_bytes(hash))
}

/// A SHA-2 of bytes that arrive in pieces. The spool computes the SHA-256.
enum Sha2 {
    Sha224(Sha224),
    Sha256,
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Sha2 {
    /// Returns the algorithm with a digest of this length.
    fn with_length(bytes: usize) -> Self {
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
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn endless_body_times_out() {
        let boundary = Boundary::from_content_type("multipart/mixed; boundary=b")
            .expect("multipart")
            .expect("a boundary");
        let limits = Limits {
            body_timeout: Duration::from_millis(200),
            ..Limits::default()
        };
        let endless = stream::pending::<Result<Bytes, std::io::Error>>();
        let pieces = Box::pin(stream_body(endless, &limits));
        let mut upload = Upload {
            parts: Multipart::new(&boundary, pieces),
            limits: &limits,
        };
        let problem = upload.read_statements().await.expect_err("too slow");
        assert_eq!(problem.code(), Code::RequestTimeout);
    }
}
