//! `/v1/groups`: the groups of the directory (`docs/specification.md#groups`).
//!
//! Every person of the organisation may read the names of its groups: a frontend needs them for its filters. The members
//! of a group are part of the users. Owners, admins and credentials with the scope `directory` may write.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Action;
use crate::access::permit::{ManageDirectory, ReadDirectory};
use crate::base::ids::GroupId;
use crate::base::keyed::BatchOutcome;
use crate::directory::{Group, GroupDraft, GroupFilter};
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBody, MergePatch};
use crate::http::keyed::{self, KeyedResource};
use crate::http::problem::{Answer, Problem};
use crate::http::query::{QueryPairs, QueryReader};
use crate::http::routes::routes;
use crate::store::Groups;

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

impl KeyedResource for Groups {
    const PATH: &'static str = "/v1/groups";
    const NAME: &'static str = "groups";

    fn read_filter(query: &QueryReader<'_>) -> GroupFilter {
        GroupFilter {
            words: keyed::search_words(query),
        }
    }

    fn visible<A: Action>(_caller: &Caller<A>) -> Result<(), Problem> {
        Ok(())
    }
}

/// List the organisation's groups, by id.
///
/// The next page is at `next`.
#[utoipa::path(
    get,
    path = "/v1/groups",
    tag = "directory",
    operation_id = "list_groups",
    params(
        ("q" = Option<String>, Query, description = "Words, all of them in the name or the id."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The maximum number of groups of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = GroupList))
)]
async fn list_groups(caller: Caller<ReadDirectory>, pairs: QueryPairs) -> Answer {
    keyed::list::<Groups, _>(caller, pairs).await
}

/// Read one group.
///
/// The members of a group are in the users.
#[utoipa::path(
    get,
    path = "/v1/groups/{id}",
    tag = "directory",
    operation_id = "read_group",
    params(("id" = String, Path, description = "The group's id.", example = "first-aiders")),
    responses((status = 200, description = "The group.", body = Group))
)]
async fn read_group(caller: Caller<ReadDirectory>, id: web::Path<GroupId>, pairs: QueryPairs) -> Answer {
    keyed::find::<Groups, _>(caller, id.as_str(), pairs).await
}

/// Create or replace a group by the platform's own id.
///
/// Members of the body that are left out get their defaults.
#[utoipa::path(
    put,
    path = "/v1/groups/{id}",
    tag = "directory",
    operation_id = "put_group",
    params(("id" = String, Path, description = "The group's id, 1 to 255 characters.", example = "first-aiders")),
    request_body = GroupDraft,
    responses(
        (status = 200, description = "Replaced.", body = Group),
        (status = 201, description = "Created.", body = Group,
            headers(("Location" = String, description = "The group's address."))),
    )
)]
async fn put_group(
    caller: Caller<ManageDirectory>,
    id: web::Path<GroupId>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    keyed::put::<Groups, _>(caller, id.as_str(), pairs, body).await
}

/// Change members of a group by a merge patch (RFC 7396).
///
/// Members that are left out stay as they are.
#[utoipa::path(
    patch,
    path = "/v1/groups/{id}",
    tag = "directory",
    operation_id = "patch_group",
    params(("id" = String, Path, description = "The group's id.", example = "first-aiders")),
    request_body(content = GroupDraft, content_type = "application/merge-patch+json",
        description = "The members to change; `null` removes one. application/json has the same meaning."),
    responses((status = 200, description = "The group after the change.", body = Group))
)]
async fn patch_group(
    caller: Caller<ManageDirectory>,
    id: web::Path<GroupId>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    keyed::patch::<Groups, _>(caller, id.as_str(), pairs, patch).await
}

/// Create or replace many groups at once: all of them or none.
///
/// Each element has its `id`. A fault in one element refuses the whole batch, and names each fault.
#[utoipa::path(
    post,
    path = "/v1/groups/batch",
    tag = "directory",
    operation_id = "put_groups",
    request_body(content = Vec<GroupDraft>, content_type = "application/json",
        description = "Up to 1,000 groups, each with its id; or as many lines of JSON, as application/x-ndjson."),
    responses((status = 200, description = "The numbers of created, updated and unchanged groups.", body = BatchOutcome))
)]
async fn put_groups(caller: Caller<ManageDirectory>, pairs: QueryPairs, batch: Batch) -> Answer {
    keyed::put_all::<Groups, _>(caller, pairs, batch).await
}
