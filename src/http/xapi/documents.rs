//! What the three kinds of documents share: states, agent profiles, Activity profiles (xAPI 1.0.3,
//! Communication 2.2 and 3.1; contract section 10).
//!
//! A resource file reads whose document is asked for ([`activity`], [`agent`], [`registration`]) and which
//! ([`name`], [`name_or_list`]), and hands it on to [`read`], [`write`] or [`delete`].
//!
//! A document's bytes are streamed both ways, never held whole; only what is merged is. Its tag is the SHA-1 of its
//! bytes, so it is never compressed on its way out: other bytes would need another tag.

use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse, body};
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;
use uuid::Uuid;

use crate::base::Place;
use crate::base::clock::Timestamp;
use crate::base::{json, timestamp};
use crate::http::auth::Caller;
use crate::http::conditions::parse_etags;
use crate::http::limits::Limits;
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::QueryReader;
use crate::record::document::{self, MergeFault};
use crate::record::{Actor, Identifier, Version};
use crate::store::{
    Blob, DefaultPrecondition, DocumentError, DocumentSet, ETags, MergeLimits, NewDocument, Precondition,
    Spool, SpoolError, StoreError, StoredDocument,
};

use super::XapiVersion;

/// The media type of a document that came without one.
const UNTYPED: &str = "application/octet-stream";

/// Which documents a GET asks for.
pub(super) enum Asked {
    /// The one of this name.
    One(String),
    /// The names of all, or of those written after a moment.
    Names(Option<Timestamp>),
}

/// The Activity whose document it is: the parameter `activityId`, an IRI.
pub(super) fn activity(query: &QueryReader<'_>) -> String {
    let iri = required(query, "activityId");
    if iri.is_some_and(|iri| oxiri::Iri::parse(iri).is_err()) {
        query.fault("activityId", "must be an IRI with its scheme");
    }
    iri.unwrap_or_default().to_owned()
}

/// The agent whose document it is: the parameter `agent`, an Agent as JSON. A Group is none (Communication
/// 2.6): its identifier can stand in an Agent.
pub(super) fn agent(query: &QueryReader<'_>) -> Identifier {
    let harmless = || Identifier::Mbox(String::new());
    let Some(text) = required(query, "agent") else {
        return harmless();
    };
    let depth = crate::record::Limits::default().depth;
    let actor = json::parse(text, depth).and_then(|node| Actor::agent_from_node(&node, &Place::Root));
    match actor {
        Ok(actor) => actor.identifier.unwrap_or_else(|| {
            query.fault(
                "agent",
                "needs an identifier: mbox, mbox_sha1sum, openid or account",
            );
            harmless()
        }),
        Err(fault) => {
            query.fault("agent", fault.to_string());
            harmless()
        }
    }
}

/// The attempt whose state it is: the parameter `registration`, a UUID that may be missing.
pub(super) fn registration(query: &QueryReader<'_>) -> Option<Uuid> {
    query.value("registration")
}

/// The document's name, in a parameter that must be there.
pub(super) fn name(query: &QueryReader<'_>, parameter: &str) -> String {
    let name = required(query, parameter);
    if name == Some("") {
        query.fault(parameter, "must not be empty");
    }
    name.unwrap_or_default().to_owned()
}

/// The document's name, where the parameter is there.
pub(super) fn name_if_given(query: &QueryReader<'_>, parameter: &str) -> Option<String> {
    let name = query.text(parameter);
    if name == Some("") {
        query.fault(parameter, "must not be empty");
    }
    name.map(str::to_owned)
}

/// The document's name, or else from when on names are listed. `since` belongs to the list alone.
pub(super) fn name_or_list(query: &QueryReader<'_>, parameter: &str) -> Asked {
    if let Some(name) = name_if_given(query, parameter) {
        return Asked::One(name);
    }
    let since = query.text("since").and_then(|text| {
        timestamp::parse(text)
            .map_err(|error| query.fault("since", error.to_string()))
            .ok()
    });
    Asked::Names(since)
}

fn required<'q>(query: &QueryReader<'q>, parameter: &str) -> Option<&'q str> {
    let value = query.text(parameter);
    if value.is_none() {
        query.fault(parameter, "is missing");
    }
    value
}

/// GET: the document, or the names of documents.
pub(super) async fn read<A>(
    caller: &Caller<A>,
    request: &HttpRequest,
    of: &DocumentSet,
    asked: Asked,
) -> Answer {
    let home_page = &caller.organisation().account_home_page;
    let reach = caller.principal().document_reach(home_page);
    match asked {
        Asked::One(name) => {
            let condition = Condition::read(request)?;
            let document = caller.store().document(&reach, of, &name).await?;
            let document = document.ok_or_else(Problem::not_found)?;
            if condition.if_match.is_some_and(|tags| !tags.name(&document.etag)) {
                return Err(problem(DocumentError::NoMatch));
            }
            let known = condition
                .if_none_match
                .is_some_and(|tags| tags.name(&document.etag));
            Ok(answer(caller, document, known))
        }
        Asked::Names(since) => {
            let names = caller.store().list_document_names(&reach, of, since).await?;
            Ok(HttpResponse::Ok().insert_header(ASK_AGAIN).json(names))
        }
    }
}

/// A browser that keeps an answer must ask whether it still holds: content would resume at an old state.
const ASK_AGAIN: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
/// A page that somebody keeps as a document has no power over this origin.
const SANDBOX: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static("sandbox"),
);
/// Not to be compressed.
const AS_IT_IS: (HeaderName, HeaderValue) = (header::CONTENT_ENCODING, HeaderValue::from_static("identity"));

/// The document's bytes, or only that the client has them already.
fn answer<A>(caller: &Caller<A>, document: StoredDocument, known: bool) -> HttpResponse {
    let mut answer = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((header::ETAG, format!("\"{}\"", document.etag)))
        .insert_header((header::LAST_MODIFIED, http_date(document.updated_at)))
        .insert_header(ASK_AGAIN);
    if known {
        return answer.finish();
    }
    answer
        .insert_header((header::CONTENT_TYPE, document.content_type.as_str()))
        .insert_header(SANDBOX)
        .insert_header(AS_IT_IS);
    let length = document.length;
    let content = caller.store().document_content(document).inspect_err(broken_off);
    answer.body(body::SizedStream::new(length, content))
}

/// The client sees a transfer that breaks off; why, the log alone tells.
fn broken_off(error: &StoreError) {
    tracing::warn!(cause = %error, "a document broke off");
}

/// A moment as HTTP says it, to the second.
fn http_date(at: Timestamp) -> String {
    at.to_datetime().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// PUT: it replaces the one that is there.
    Put(DefaultPrecondition),
    /// POST: it is merged into the one that is there.
    Post,
}

/// What a PUT of a state must say of the one that is there: nothing in 1.0.3, "since state conflicts are unlikely"
/// (Communication 3.1); in 2.0.0 it must know it.
pub(super) fn unsaid_of_state(version: XapiVersion) -> DefaultPrecondition {
    match version.version() {
        Version::V1 => DefaultPrecondition::Allowed,
        Version::V2 => DefaultPrecondition::OnlyNew,
    }
}

/// What a PUT of a profile must say of the one that is there: in 1.0.3 even that there is none (Communication
/// 3.1).
pub(super) fn unsaid_of_profile(version: XapiVersion) -> DefaultPrecondition {
    match version.version() {
        Version::V1 => DefaultPrecondition::Refused,
        Version::V2 => DefaultPrecondition::OnlyNew,
    }
}

/// PUT and POST: takes the body in and keeps it.
pub(super) async fn write<A>(
    caller: &Caller<A>,
    request: &HttpRequest,
    payload: Payload,
    of: &DocumentSet,
    name: &str,
    writing: Writing,
) -> Answer {
    let limits = caller.app_state().limits();
    let condition = Condition::read(request)?;
    let content_type = content_type(request)?;
    let content = receive(request, payload, limits).await?;
    if document::is_json(&content_type) {
        let checked = content.read_through(|bytes| document::check_json(bytes)).await;
        let checked = checked.and_then(|read| read).map_err(Problem::internal)?;
        checked.map_err(|fault| Problem::invalid_body(fault.pointer, fault.detail))?;
    }
    let (unsaid, merging) = match writing {
        Writing::Put(unsaid) => (unsaid, None),
        Writing::Post => (DefaultPrecondition::Allowed, Some(merging(limits))),
    };
    let document = NewDocument {
        content_type,
        content,
        merging,
    };
    let precondition = condition.into_precondition(unsaid);
    let written = caller
        .store()
        .write_document(caller.org(), of, name, &precondition, document);
    written.await.map_err(problem)?;
    Ok(HttpResponse::NoContent().finish())
}

/// MergeLimits reads both documents as other bodies of JSON are read: whole, and no larger than those.
fn merging(limits: &Limits) -> MergeLimits {
    MergeLimits {
        both_bytes: u64::try_from(limits.body_bytes).unwrap_or(u64::MAX),
        merged_bytes: limits.document_bytes,
        depth: limits.json_depth,
    }
}

/// DELETE of one document.
pub(super) async fn delete<A>(
    caller: &Caller<A>,
    request: &HttpRequest,
    of: &DocumentSet,
    name: &str,
) -> Answer {
    let precondition = Condition::read(request)?.into_precondition(DefaultPrecondition::Allowed);
    let deleted = caller
        .store()
        .delete_document(caller.org(), of, name, &precondition);
    deleted.await.map_err(problem)?;
    Ok(HttpResponse::NoContent().finish())
}

/// DELETE of all documents there.
pub(super) async fn delete_all<A>(caller: &Caller<A>, request: &HttpRequest, of: &DocumentSet) -> Answer {
    let condition = Condition::read(request)?;
    if condition.if_match.is_some() || condition.if_none_match.is_some() {
        let detail = "If-Match and If-None-Match are about one document; name it, or leave them out";
        return Err(Problem::bad_request(detail));
    }
    caller.store().delete_documents(caller.org(), of).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The media type of the body as it was sent, so that it can be given back.
fn content_type(request: &HttpRequest) -> Result<String, Problem> {
    let Some(sent) = request.headers().get(header::CONTENT_TYPE) else {
        return Ok(UNTYPED.to_owned());
    };
    match sent.to_str() {
        Ok("") => Ok(UNTYPED.to_owned()),
        Ok(sent) => Ok(sent.to_owned()),
        Err(_) => Err(Problem::bad_request("the header Content-Type must be ASCII")),
    }
}

/// Takes the body in, within the limits of size and time. It may take as long as a body of JSON may, and as long
/// again for each time that it has as many bytes as that.
async fn receive(request: &HttpRequest, mut payload: Payload, limits: &Limits) -> Result<Blob, Problem> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    if header(header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        let detail = "send the document without a Content-Encoding";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let declared: Option<u64> = header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if declared.is_some_and(|length| length > limits.document_bytes) {
        return Err(too_large(limits));
    }
    let spooling = |error| match error {
        SpoolError::TooLarge => too_large(limits),
        SpoolError::Io(error) => Problem::internal(error),
    };
    let began = Instant::now();
    let mut spool = Spool::new(limits.document_bytes);
    let mut received = 0;
    loop {
        let deadline = began + patience(received, limits);
        let chunk = match tokio::time::timeout_at(deadline, payload.next()).await {
            Ok(Some(chunk)) => chunk.map_err(|error| {
                Problem::bad_request("the document broke off or is framed wrongly").caused_by(error)
            })?,
            Ok(None) => return spool.finish().await.map_err(spooling),
            Err(_) => {
                let detail = format!(
                    "after {} s only {received} bytes had come",
                    began.elapsed().as_secs()
                );
                return Err(Problem::new(Code::RequestTimeout, detail));
            }
        };
        received += chunk.len();
        spool.push(chunk).await.map_err(spooling)?;
    }
}

fn patience(received: usize, limits: &Limits) -> Duration {
    let bodies = received / limits.body_bytes.max(1);
    let times = u32::try_from(bodies).unwrap_or(u32::MAX).saturating_add(1);
    limits.body_timeout.saturating_mul(times)
}

fn too_large(limits: &Limits) -> Problem {
    let detail = format!(
        "the document has more than {} bytes, the most that one may have; keep it as several",
        limits.document_bytes
    );
    Problem::new(Code::BodyTooLarge, detail)
}

/// Why nothing was changed, and what to do (xAPI 1.0.3, Communication 3.1).
fn problem(error: DocumentError) -> Problem {
    match error {
        DocumentError::NoMatch => Problem::new(
            Code::PreconditionFailed,
            "the document isn't the one that If-Match names, or is gone: read it again, and send what you make of it \
             with its ETag",
        ),
        DocumentError::Match => Problem::new(
            Code::PreconditionFailed,
            "there is a document already, which If-None-Match rules out: read it, and send what you make of it with \
             its ETag in If-Match",
        ),
        DocumentError::Unaware => Problem::conflict(
            "there is a document already: check its current state, then send the request again with its ETag in \
             If-Match",
        ),
        DocumentError::NothingSaid => Problem::bad_request(
            "a PUT of a profile must say what it expects: `If-None-Match: *` for a new document, or If-Match with \
             the ETag of the one it replaces",
        ),
        DocumentError::NotJson => Problem::bad_request(
            "only documents of the media type application/json can be merged, and one of the two is another: PUT \
             replaces a document",
        ),
        DocumentError::Merge(MergeFault::Posted(fault)) => Problem::invalid_body(fault.pointer, fault.detail),
        DocumentError::Merge(error @ MergeFault::Stored(_)) => {
            Problem::bad_request(format!("{error}: PUT replaces it"))
        }
        DocumentError::TooLarge => Problem::new(
            Code::BodyTooLarge,
            "the document that is there and this one are too large to be merged: PUT replaces it",
        ),
        DocumentError::Store(error) => error.into(),
    }
}

/// What a request says of the document that is there.
#[derive(Debug, PartialEq, Eq)]
struct Condition {
    if_match: Option<ETags>,
    if_none_match: Option<ETags>,
}

impl Condition {
    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        Ok(Self {
            if_match: parse_etags(request, header::IF_MATCH)?,
            if_none_match: parse_etags(request, header::IF_NONE_MATCH)?,
        })
    }

    fn into_precondition(self, unsaid: DefaultPrecondition) -> Precondition {
        Precondition {
            if_match: self.if_match,
            if_none_match: self.if_none_match,
            unsaid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_as_http_writes_it() {
        let at = Timestamp::from_micros(784_111_777_999_999);
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_large_document_may_take_longer_than_a_small_one() {
        let limits = Limits {
            body_bytes: 10,
            body_timeout: Duration::from_secs(30),
            ..Limits::default()
        };
        for (received, seconds) in [(0, 30), (9, 30), (10, 60), (64, 210)] {
            assert_eq!(
                patience(received, &limits),
                Duration::from_secs(seconds),
                "{received}"
            );
        }
        patience(usize::MAX, &limits);
    }
}
