//! `/v1/contents`: the catalogue (`docs/specification.md#contents`).
//!
//! Every person of the organisation may read all contents. Owners, admins and credentials with the scope `catalogue` may
//! write. A content that only statements have named so far has the address of its IRI, percent-encoded.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Action;
use crate::access::permit::{ManageCatalogue, ReadCatalogue};
use crate::base::keyed::BatchOutcome;
use crate::base::sort::ListOrder;
use crate::catalogue::{Content, ContentFilter, ContentFormat, ContentInput, ContentSortField, LearningType};
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBody, MergePatch};
use crate::http::keyed::{self, KeyedResource};
use crate::http::problem::{Answer, Problem};
use crate::http::query::{QueryPairs, QueryReader};
use crate::http::routes::routes;
use crate::store::Contents;

routes! {
    "/v1/contents" => { get: list_contents },
    "/v1/contents/batch" => { post: put_contents },
    "/v1/contents/{id}" => { get: read_content, put: put_content, patch: patch_content },
}

/// The order of a list of contents.
pub type ContentSort = ListOrder<ContentSortField>;

/// A page of contents.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContentList {
    /// The contents, in the order of `sort`.
    pub contents: Vec<Content>,
    /// The next page; `null` on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

impl KeyedResource for Contents {
    const PATH: &'static str = "/v1/contents";
    const NAME: &'static str = "contents";

    fn read_filter(query: &QueryReader<'_>) -> ContentFilter {
        ContentFilter {
            words: keyed::search_words(query),
            ids: query.all("id").into_iter().map(str::to_owned).collect(),
            types: keyed::choices(query, "type", LearningType::ALL, LearningType::key),
            content_types: keyed::choices(query, "content_type", ContentFormat::ALL, ContentFormat::key),
            tags: query.all("tag").into_iter().map(str::to_owned).collect(),
            archived: query.flag("archived"),
        }
    }

    fn visible<A: Action>(_caller: &Caller<A>) -> Result<(), Problem> {
        Ok(())
    }
}

/// List the catalogue, by id or by `sort`.
///
/// The catalogue has registered contents, and contents that records name.
#[utoipa::path(
    get,
    path = "/v1/contents",
    tag = "catalogue",
    operation_id = "list_contents",
    params(
        ("q" = Option<String>, Query, description = "Words, all of them in the title."),
        ("id" = Option<Vec<String>>, Query, description = "Contents with any of these ids."),
        ("type" = Option<Vec<LearningType>>, Query, description = "Any of these types."),
        ("content_type" = Option<Vec<ContentFormat>>, Query, description = "Any of these content types."),
        ("tag" = Option<Vec<String>>, Query, description = "Any of these tags."),
        ("archived" = Option<bool>, Query, description = "Archived contents only, or those that are not."),
        ("sort" = Option<ContentSort>, Query, description = "The order: `id` (default), `title` or `type`; with `-`, descending."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The maximum number of contents of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = ContentList))
)]
async fn list_contents(caller: Caller<ReadCatalogue>, pairs: QueryPairs) -> Answer {
    keyed::list::<Contents, _>(caller, pairs).await
}

/// Read one content.
///
/// A content that no record names and nobody registered is not found.
#[utoipa::path(
    get,
    path = "/v1/contents/{id}",
    tag = "catalogue",
    operation_id = "read_content",
    params(("id" = String, Path, description = "The content's id, or its IRI if it is not registered.",
        example = "fire-safety")),
    responses((status = 200, description = "The content, with what it demands now.", body = Content))
)]
async fn read_content(caller: Caller<ReadCatalogue>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    keyed::find::<Contents, _>(caller, &id, pairs).await
}

/// Create or replace a content by the platform's own id.
///
/// An `iri` that only statements have named so far is adopted with its history. The IRI of another content, and a change
/// of this content's IRI, is 409. The demands before `effective_from` stay as they were.
#[utoipa::path(
    put,
    path = "/v1/contents/{id}",
    tag = "catalogue",
    operation_id = "put_content",
    params(("id" = String, Path, description = "The content's id, 1 to 255 characters.", example = "fire-safety")),
    request_body = ContentInput,
    responses(
        (status = 200, description = "Replaced.", body = Content),
        (status = 201, description = "Created, or adopted from statements.", body = Content,
            headers(("Location" = String, description = "The content's address."))),
    )
)]
async fn put_content(
    caller: Caller<ManageCatalogue>,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    keyed::put::<Contents, _>(caller, &id, pairs, body).await
}

/// Change members of a content by a merge patch (RFC 7396).
///
/// This registers a content that only statements have named so far.
#[utoipa::path(
    patch,
    path = "/v1/contents/{id}",
    tag = "catalogue",
    operation_id = "patch_content",
    params(("id" = String, Path, description = "The content's id, or its IRI if it is not registered.",
        example = "fire-safety")),
    request_body(content = ContentInput, content_type = "application/merge-patch+json",
        description = "The members to change; `null` removes one. application/json has the same meaning."),
    responses((status = 200, description = "The content after the change.", body = Content))
)]
async fn patch_content(
    caller: Caller<ManageCatalogue>,
    id: web::Path<String>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    keyed::patch::<Contents, _>(caller, &id, pairs, patch).await
}

/// Create or replace many contents at once: all of them or none.
///
/// Each element has its `id`. A fault in one element refuses the whole batch, and names each fault.
#[utoipa::path(
    post,
    path = "/v1/contents/batch",
    tag = "catalogue",
    operation_id = "put_contents",
    request_body(content = Vec<ContentInput>, content_type = "application/json",
        description = "Up to 1,000 contents, each with its id; or as many lines of JSON, as application/x-ndjson."),
    responses((status = 200, description = "The numbers of created, updated and unchanged contents.", body = BatchOutcome))
)]
async fn put_contents(caller: Caller<ManageCatalogue>, pairs: QueryPairs, batch: Batch) -> Answer {
    keyed::put_all::<Contents, _>(caller, pairs, batch).await
}
