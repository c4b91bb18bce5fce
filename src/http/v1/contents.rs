//! `/v1/contents`: the catalogue (contract sections 3 and 5, and section 6, rule 10).
//!
//! Everybody of the organisation reads all of it. Owner, admin and a credential with `catalogue` write. A content
//! that only statements have named so far is at the address of its IRI, percent-encoded.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::permit::{ManageCatalogue, ReadCatalogue};
use crate::catalogue::{Content, ContentDraft, ContentFilter, ContentInput, ContentFormat, LearningType};
use crate::directory::BatchOutcome;
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBody, JsonBytes};
use crate::http::keyed::{self, Listing};
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;

const PATH: &str = "/v1/contents";

routes! {
    "/v1/contents" => { get: list_contents },
    "/v1/contents/batch" => { post: put_contents },
    "/v1/contents/{id}" => { get: read_content, put: put_content, patch: patch_content },
}

/// A page of contents.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContentList {
    /// The contents, by id.
    pub contents: Vec<Content>,
    /// The next page; `null` on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the catalogue, by id.
#[utoipa::path(
    get,
    path = "/v1/contents",
    tag = "catalogue",
    operation_id = "list_contents",
    params(
        ("q" = Option<String>, Query, description = "Words, all of them in the title."),
        ("type" = Option<Vec<LearningType>>, Query, description = "Any of these types."),
        ("content_type" = Option<Vec<ContentFormat>>, Query, description = "Any of these content types."),
        ("tag" = Option<Vec<String>>, Query, description = "Any of these tags."),
        ("archived" = Option<bool>, Query, description = "Archived contents only, or those that are not."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows of a page: 50 unless given."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = ContentList))
)]
async fn list_contents(caller: Caller<ReadCatalogue>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::of(&caller, PATH, &pairs, &query);
    let filter = ContentFilter {
        words: keyed::search_words(&query),
        types: keyed::choices(&query, "type", LearningType::ALL, LearningType::key),
        content_types: keyed::choices(&query, "content_type", ContentFormat::ALL, ContentFormat::key),
        tags: query.all("tag").into_iter().map(str::to_owned).collect(),
        archived: query.flag("archived"),
    };
    query.finish()?;
    let after = listing.after()?;
    let page = caller
        .store()
        .contents(caller.org(), &filter, after.as_deref(), listing.limit)
        .await?;
    let next = listing.next(page.more, page.items.last().map(|content| content.id.as_str()));
    let body = ContentList {
        contents: page.items,
        next,
    };
    Ok(pages::list_response(&body, body.next.as_deref()))
}

/// Read one content.
#[utoipa::path(
    get,
    path = "/v1/contents/{id}",
    tag = "catalogue",
    operation_id = "read_content",
    params(("id" = String, Path, description = "The content's id, or its IRI while nobody has registered it.",
        example = "fire-safety")),
    responses((status = 200, description = "The content, with what it demands now.", body = Content))
)]
async fn read_content(caller: Caller<ReadCatalogue>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let found = caller.store().content(caller.org(), &id).await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(Problem::not_found)?))
}

/// Make or replace a content by the platform's own id.
///
/// An `iri` that only statements have named so far is adopted with its history. Another content's IRI, and a
/// change of this one's, is 409. What the content demanded before `effective_from` stays as it was.
#[utoipa::path(
    put,
    path = "/v1/contents/{id}",
    tag = "catalogue",
    operation_id = "put_content",
    params(("id" = String, Path, description = "The content's id, 1 to 255 characters.", example = "fire-safety")),
    request_body = ContentInput,
    responses(
        (status = 200, description = "Replaced.", body = Content),
        (status = 201, description = "Made, or adopted from statements.", body = Content,
            headers(("Location" = String, description = "The content's address."))),
    )
)]
async fn put_content(
    caller: Caller<ManageCatalogue>,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBytes,
) -> Answer {
    pairs.refuse_any()?;
    let draft: ContentDraft = keyed::put(&caller, body.text()?, &id)?;
    let (content, created) = caller.store().put_content(caller.org(), draft).await?;
    keyed::written(created, PATH, &content.id, &content)
}

/// Change members of a content by a merge patch (RFC 7396).
///
/// One that only statements have named so far is registered by it.
#[utoipa::path(
    patch,
    path = "/v1/contents/{id}",
    tag = "catalogue",
    operation_id = "patch_content",
    params(("id" = String, Path, description = "The content's id, or its IRI while nobody has registered it.",
        example = "fire-safety")),
    request_body(content = ContentInput, content_type = "application/merge-patch+json",
        description = "The members to change; `null` takes one away. Sent as application/json it means the same."),
    responses((status = 200, description = "The content as it is now.", body = Content))
)]
async fn patch_content(
    caller: Caller<ManageCatalogue>,
    id: web::Path<String>,
    pairs: QueryPairs,
    JsonBody(body): JsonBody<Value>,
) -> Answer {
    pairs.refuse_any()?;
    let patch = keyed::patch(body)?;
    let depth = caller.app_state().limits().json_depth;
    let change = |content: &Content| keyed::patched(&content.patched(&patch), depth, &content.id);
    let changed = caller.store().patch_content(caller.org(), &id, change).await?;
    Ok(HttpResponse::Ok().json(changed.ok_or_else(Problem::not_found)?))
}

/// Make or replace many contents at once: all of them or none.
#[utoipa::path(
    post,
    path = "/v1/contents/batch",
    tag = "catalogue",
    operation_id = "put_contents",
    request_body(content = Vec<ContentInput>, content_type = "application/json",
        description = "Up to 1,000 contents, each with its id; or as many lines of JSON, as application/x-ndjson."),
    responses((status = 200, description = "What became of them.", body = BatchOutcome))
)]
async fn put_contents(caller: Caller<ManageCatalogue>, pairs: QueryPairs, body: Batch) -> Answer {
    pairs.refuse_any()?;
    let drafts: Vec<ContentDraft> = keyed::batch(&caller, &body)?;
    let outcome = caller.store().put_contents(caller.org(), &drafts).await?;
    Ok(HttpResponse::Ok().json(outcome))
}
