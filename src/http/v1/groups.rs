//! `/v1/groups`: the groups of the directory (contract sections 3 and 5).
//!
//! Every person of the organisation reads the names of its groups, which a frontend needs for its filters; who
//! belongs to them is told with each user, within the reach. Owner, admin and a credential with `directory` write.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::permit::{ManageDirectory, ReadDirectory};
use crate::directory::{BatchOutcome, Group, GroupDraft};
use crate::base::{ListFilter, merge_patch};
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBody, JsonBytes};
use crate::http::keyed::{self, Listing};
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::base::ids::GroupId;

const PATH: &str = "/v1/groups";

routes! {
    "/v1/groups" => { get: list_groups },
    "/v1/groups/batch" => { post: put_groups },
    "/v1/groups/{id}" => { get: read_group, put: put_group, patch: patch_group },
}

/// A page of groups.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupList {
    /// The groups, by id.
    pub groups: Vec<Group>,
    /// The next page; `null` on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the organisation's groups, by id.
#[utoipa::path(
    get,
    path = "/v1/groups",
    tag = "directory",
    operation_id = "list_groups",
    params(
        ("q" = Option<String>, Query, description = "Words, all of them in the name or the id."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows of a page: 50 unless given."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = GroupList))
)]
async fn list_groups(caller: Caller<ReadDirectory>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::of(&caller, PATH, &pairs, &query);
    let words = keyed::search_words(&query);
    let filter = ListFilter {
        words,
        ..ListFilter::default()
    };
    query.finish()?;
    let after = listing.after()?;
    let page = caller
        .store()
        .groups(caller.org(), &filter, after.as_deref(), listing.limit)
        .await?;
    let next = listing.next(page.more, page.items.last().map(|group| group.id.as_str()));
    let body = GroupList {
        groups: page.items,
        next,
    };
    Ok(pages::list_response(&body, body.next.as_deref()))
}

/// Read one group.
#[utoipa::path(
    get,
    path = "/v1/groups/{id}",
    tag = "directory",
    operation_id = "read_group",
    params(("id" = String, Path, description = "The group's id.", example = "first-aiders")),
    responses((status = 200, description = "The group.", body = Group))
)]
async fn read_group(caller: Caller<ReadDirectory>, id: web::Path<GroupId>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let found = caller.store().group(caller.org(), &id).await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(Problem::not_found)?))
}

/// Make or replace a group by the platform's own id.
#[utoipa::path(
    put,
    path = "/v1/groups/{id}",
    tag = "directory",
    operation_id = "put_group",
    params(("id" = String, Path, description = "The group's id, 1 to 255 characters.", example = "first-aiders")),
    request_body = GroupDraft,
    responses(
        (status = 200, description = "Replaced.", body = Group),
        (status = 201, description = "Made.", body = Group,
            headers(("Location" = String, description = "The group's address."))),
    )
)]
async fn put_group(
    caller: Caller<ManageDirectory>,
    id: web::Path<GroupId>,
    pairs: QueryPairs,
    body: JsonBytes,
) -> Answer {
    pairs.refuse_any()?;
    let draft: GroupDraft = keyed::put(&caller, body.text()?, id.as_str())?;
    let (group, created) = caller.store().put_group(caller.org(), draft).await?;
    keyed::written(created, PATH, group.id.as_str(), &group)
}

/// Change members of a group by a merge patch (RFC 7396).
#[utoipa::path(
    patch,
    path = "/v1/groups/{id}",
    tag = "directory",
    operation_id = "patch_group",
    params(("id" = String, Path, description = "The group's id.", example = "first-aiders")),
    request_body(content = GroupDraft, content_type = "application/merge-patch+json",
        description = "The members to change; `null` takes one away. Sent as application/json it means the same."),
    responses((status = 200, description = "The group as it is now.", body = Group))
)]
async fn patch_group(
    caller: Caller<ManageDirectory>,
    id: web::Path<GroupId>,
    pairs: QueryPairs,
    JsonBody(body): JsonBody<Value>,
) -> Answer {
    pairs.refuse_any()?;
    let patch = keyed::patch(body)?;
    let depth = caller.app_state().limits().json_depth;
    let change = |group: &Group| {
        // A group is texts, which always have a JSON form.
        let before = serde_json::to_value(group).unwrap_or_default();
        keyed::patched(&merge_patch(before, &patch), depth, group.id.as_str())
    };
    let changed = caller.store().patch_group(caller.org(), &id, change).await?;
    Ok(HttpResponse::Ok().json(changed.ok_or_else(Problem::not_found)?))
}

/// Make or replace many groups at once: all of them or none.
#[utoipa::path(
    post,
    path = "/v1/groups/batch",
    tag = "directory",
    operation_id = "put_groups",
    request_body(content = Vec<GroupDraft>, content_type = "application/json",
        description = "Up to 1,000 groups, each with its id; or as many lines of JSON, as application/x-ndjson."),
    responses((status = 200, description = "What became of them.", body = BatchOutcome))
)]
async fn put_groups(caller: Caller<ManageDirectory>, pairs: QueryPairs, body: Batch) -> Answer {
    pairs.refuse_any()?;
    let drafts: Vec<GroupDraft> = keyed::batch(&caller, &body)?;
    let outcome = caller.store().put_groups(caller.org(), &drafts).await?;
    Ok(HttpResponse::Ok().json(outcome))
}
