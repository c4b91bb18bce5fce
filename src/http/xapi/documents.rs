//! The document resources: states, agent profiles and activity profiles (xAPI 1.0.3, Communication 2.2 and 3.1;
//! `docs/specification.md#documents`).
//!
//! All three are this one implementation. A [`DocumentResource`] describes how one differs from the others, and its
//! file only gives its [`routes`], its [`document`](openapi::document) and its [`METHODS`].
//!
//! The bytes of a document are streamed in both directions and never in memory as a whole, except for a merge. The ETag
//! of a document is the SHA-1 of its bytes, so it is not compressed: other bytes would need another ETag.

pub(super) mod openapi;
mod parameters;
mod receive;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse, body};
use futures_util::TryStreamExt;

use crate::access::{Action, Principal};
use crate::http::auth::Caller;
use crate::http::conditions::parse_etags;
use crate::http::limits::Limits;
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::{QueryPairs, QueryReader};
use crate::launches::bounds;
use crate::record::Version;
use crate::record::document::{self, MergeFault};
use crate::store::{
    DefaultPrecondition, DocumentError, DocumentSet, ETags, MergeLimits, NewDocument, Precondition,
    StoreError, StoredDocument,
};

use super::{XapiVersion, to_http_date};

pub(super) use parameters::{parse_activity, parse_agent, parse_registration};

/// How one document resource differs from the others.
pub(super) trait DocumentResource: 'static {
    /// The permission to read documents.
    type Read: Action + 'static;
    /// The permission to write documents.
    type Write: Action + 'static;

    /// The path.
    const PATH: &'static str;
    /// The query parameter with the id of a document.
    const ID_PARAMETER: &'static str;
    /// Whether DELETE without an id deletes all documents of the set.
    const CAN_DELETE_ALL: bool;
    /// The texts of the OpenAPI document.
    const TEXTS: openapi::Texts;

    /// Parses the query parameters that name a set of documents.
    fn parse_set(query: &QueryReader<'_>) -> DocumentSet;

    /// The parameters of [`Self::parse_set`], for the OpenAPI document.
    fn set_parameters() -> Vec<openapi::SetParameter>;

    /// What holds for a PUT without `If-Match` and `If-None-Match` (Communication 3.1).
    fn default_precondition(version: Version) -> DefaultPrecondition;
}

/// What holds for a PUT of a profile without `If-Match` and `If-None-Match`. In 1.0.3, also the PUT of a new document
/// needs one of them (Communication 3.1).
pub(super) fn profile_precondition(version: Version) -> DefaultPrecondition {
    match version {
        Version::V1 => DefaultPrecondition::Refused,
        Version::V2 => DefaultPrecondition::OnlyNew,
    }
}

/// The methods of every document resource.
pub(super) const METHODS: &[&str] = &["get", "put", "post", "delete"];

/// Adds the routes of a document resource.
pub(super) fn routes<R: DocumentResource>(config: &mut web::ServiceConfig) {
    config.service(
        web::resource(R::PATH)
            .route(web::get().to(read::<R>))
            .route(web::put().to(put::<R>))
            .route(web::post().to(post::<R>))
            .route(web::delete().to(delete::<R>)),
    );
}

async fn read<R: DocumentResource>(
    caller: Caller<R::Read>,
    _version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let set = R::parse_set(&query);
    let id = parameters::parse_optional_id(&query, R::ID_PARAMETER);
    // `since` belongs to the list only.
    let since = match id {
        Some(_) => None,
        None => parameters::parse_since(&query),
    };
    query.finish()?;
    let home_page = &caller.organisation().account_home_page;
    let reach = caller.principal().document_reach(home_page);
    let Some(id) = id else {
        let bytes = caller.app_state().limits().page_bytes;
        let ids = caller
            .store()
            .list_document_ids(&reach, &set, since, bytes)
            .await?;
        if ids.more {
            let detail =
                format!("the ids have more than {bytes} bytes; ask for those after a moment with `since`");
            return Err(Problem::bad_parameter("since", detail));
        }
        return Ok(HttpResponse::Ok().json(ids.items));
    };
    let conditions = Conditions::parse(&request)?;
    let document = caller.store().find_document(&reach, &set, &id).await?;
    let document = document.ok_or_else(Problem::not_found)?;
    if conditions
        .if_match
        .is_some_and(|tags| !tags.contains(&document.etag))
    {
        return Err(to_problem(DocumentError::IfMatchFailed));
    }
    let is_known = conditions
        .if_none_match
        .is_some_and(|tags| tags.contains(&document.etag));
    Ok(to_response(&caller, document, is_known))
}

/// A document that is a web page must not run scripts with the rights of this origin.
const SANDBOX: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static("sandbox"),
);
/// Keeps the middleware from compressing a document.
const IDENTITY: (HeaderName, HeaderValue) = (header::CONTENT_ENCODING, HeaderValue::from_static("identity"));

/// Returns the document, or 304 if the client has it already.
fn to_response<A>(caller: &Caller<A>, document: StoredDocument, is_known: bool) -> HttpResponse {
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, format!("\"{}\"", document.etag)))
        .insert_header((header::LAST_MODIFIED, to_http_date(document.updated_at)));
    if is_known {
        return response.finish();
    }
    response
        .insert_header((header::CONTENT_TYPE, document.content_type.as_str()))
        .insert_header(SANDBOX)
        .insert_header(IDENTITY);
    let length = document.length;
    let content = caller
        .store()
        .stream_document(document)
        .inspect_err(log_interruption);
    response.body(body::SizedStream::new(length, content))
}

/// Logs why a transfer broke off. The client only sees that the body is incomplete.
fn log_interruption(error: &StoreError) {
    tracing::warn!(cause = %error, "the transfer of a document broke off");
}

/// PUT: replaces the existing document.
async fn put<R: DocumentResource>(
    caller: Caller<R::Write>,
    version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: Payload,
) -> Answer {
    let default = R::default_precondition(version.version());
    write::<R>(caller, request, pairs, payload, default, None).await
}

/// POST: merges the document into the existing one.
async fn post<R: DocumentResource>(
    caller: Caller<R::Write>,
    _version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: Payload,
) -> Answer {
    let merge = merge_limits(caller.app_state().limits());
    write::<R>(
        caller,
        request,
        pairs,
        payload,
        DefaultPrecondition::Allowed,
        Some(merge),
    )
    .await
}

/// The limits of a merge. It reads both documents into memory, so that both together are limited like one body.
fn merge_limits(limits: &Limits) -> MergeLimits {
    MergeLimits {
        both_bytes: u64::try_from(limits.body_bytes).unwrap_or(u64::MAX),
        merged_bytes: limits.document_bytes,
        depth: limits.json_depth,
    }
}

async fn write<R: DocumentResource>(
    caller: Caller<R::Write>,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: Payload,
    default: DefaultPrecondition,
    merge: Option<MergeLimits>,
) -> Answer {
    let query = pairs.reader();
    let set = R::parse_set(&query);
    let id = parameters::parse_id(&query, R::ID_PARAMETER);
    query.finish()?;
    check_launch(caller.principal(), &set, Some(&id))?;
    let conditions = Conditions::parse(&request)?;
    let content_type = receive::parse_content_type(&request)?;
    let content = receive::receive(&request, payload, caller.app_state().limits()).await?;
    // Only a merge needs JSON: authoring tools put bookmarks of any form under `application/json` (decisions.md).
    if merge.is_some() && document::is_json(&content_type) {
        let checked = content.read_through(|bytes| document::check_json(bytes)).await;
        let checked = checked.and_then(|read| read).map_err(Problem::internal)?;
        checked.map_err(|fault| Problem::invalid_body(fault.pointer, fault.detail))?;
    }
    let document = NewDocument {
        content_type,
        content,
        merge,
    };
    let precondition = conditions.into_precondition(default);
    caller
        .store()
        .write_document(caller.org(), &set, &id, &precondition, document)
        .await
        .map_err(to_problem)?;
    Ok(HttpResponse::NoContent().finish())
}

/// Checks that the document with this id, or all documents of the set, are within the bounds of the launch, if the caller
/// is one.
fn check_launch(principal: &Principal, set: &DocumentSet, id: Option<&str>) -> Result<(), Problem> {
    let Some(launch) = principal.launch() else {
        return Ok(());
    };
    let checked = match set {
        DocumentSet::States {
            activity,
            agent,
            registration,
        } => bounds::check_states(launch, activity, agent, *registration, id),
        DocumentSet::AgentProfile { agent } => bounds::check_agent_profile(launch, agent, id),
        DocumentSet::ActivityProfile { .. } => Err("a launch writes no profiles of Activities".to_owned()),
    };
    checked.map_err(Problem::forbidden)
}

async fn delete<R: DocumentResource>(
    caller: Caller<R::Write>,
    _version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let set = R::parse_set(&query);
    let id = if R::CAN_DELETE_ALL {
        parameters::parse_optional_id(&query, R::ID_PARAMETER)
    } else {
        Some(parameters::parse_id(&query, R::ID_PARAMETER))
    };
    query.finish()?;
    check_launch(caller.principal(), &set, id.as_deref())?;
    let conditions = Conditions::parse(&request)?;
    match id {
        Some(id) => {
            let precondition = conditions.into_precondition(DefaultPrecondition::Allowed);
            caller
                .store()
                .delete_document(caller.org(), &set, &id, &precondition)
                .await
                .map_err(to_problem)?;
        }
        None if conditions.is_empty() => caller.store().delete_documents(caller.org(), &set).await?,
        None => {
            let id = R::ID_PARAMETER;
            let detail =
                format!("If-Match and If-None-Match are for one document: send `{id}`, or leave them out");
            return Err(Problem::bad_request(detail));
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Returns the problem for a document that is not changed (xAPI 1.0.3, Communication 3.1).
fn to_problem(error: DocumentError) -> Problem {
    match error {
        DocumentError::IfMatchFailed => Problem::new(
            Code::PreconditionFailed,
            "the document has changed since you read it, or no longer exists: read it again, and send the request with \
             the new ETag in If-Match",
        ),
        DocumentError::IfNoneMatchFailed => Problem::new(
            Code::PreconditionFailed,
            "the document already exists, which If-None-Match excludes: read it, and send the request with its ETag in \
             If-Match",
        ),
        DocumentError::IfMatchMissing => Problem::conflict(
            "the document already exists: check its current state, then send the request again with its ETag in \
             If-Match",
        ),
        DocumentError::ConditionMissing => Problem::bad_request(
            "a PUT of a profile needs `If-None-Match: *` for a new document, or If-Match with the ETag of the document \
             that it replaces",
        ),
        DocumentError::NotJson => Problem::bad_request(
            "only documents of the media type application/json can be merged, and one of the two has another type; use \
             PUT to replace the document",
        ),
        DocumentError::Merge(MergeFault::Posted(fault)) => Problem::invalid_body(fault.pointer, fault.detail),
        DocumentError::Merge(error @ MergeFault::Stored(_)) => {
            Problem::bad_request(format!("{error}; use PUT to replace the document"))
        }
        DocumentError::TooLarge => Problem::new(
            Code::BodyTooLarge,
            "the existing document and the new one are too large to be merged; use PUT to replace the document",
        ),
        DocumentError::Store(error) => error.into(),
    }
}

/// The conditions in the headers of a request.
#[derive(Debug, PartialEq, Eq)]
struct Conditions {
    if_match: Option<ETags>,
    if_none_match: Option<ETags>,
}

impl Conditions {
    fn parse(request: &HttpRequest) -> Result<Self, Problem> {
        Ok(Self {
            if_match: parse_etags(request, header::IF_MATCH)?,
            if_none_match: parse_etags(request, header::IF_NONE_MATCH)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    fn into_precondition(self, default: DefaultPrecondition) -> Precondition {
        Precondition {
            if_match: self.if_match,
            if_none_match: self.if_none_match,
            default,
        }
    }
}
