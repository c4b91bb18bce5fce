//! `/v1/teams`: the teams of the directory (`docs/specification.md#teams`).
//!
//! Every person of the organisation may read the names of its teams: a frontend needs them for its filters. The members
//! of a team are part of the users. Owners, admins and credentials with the scope `directory` may write.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Action;
use crate::access::permit::{ManageDirectory, ReadDirectory};
use crate::base::ids::TeamId;
use crate::base::keyed::BatchOutcome;
use crate::directory::{Team, TeamDraft, TeamFilter};
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBody, MergePatch};
use crate::http::keyed::{self, KeyedResource};
use crate::http::problem::{Answer, Problem};
use crate::http::query::{QueryPairs, QueryReader};
use crate::http::routes::routes;
use crate::store::Teams;

routes! {
    "/v1/teams" => { get: list_teams },
    "/v1/teams/batch" => { post: put_teams },
    "/v1/teams/{id}" => { get: read_team, put: put_team, patch: patch_team },
}

/// A page of teams.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamList {
    /// The teams, by id.
    pub teams: Vec<Team>,
    /// The next page; `null` on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

impl KeyedResource for Teams {
    const PATH: &'static str = "/v1/teams";
    const NAME: &'static str = "teams";

    fn read_filter(query: &QueryReader<'_>) -> TeamFilter {
        TeamFilter {
            words: keyed::search_words(query),
            parents: query.values("parent"),
        }
    }

    fn visible<A: Action>(_caller: &Caller<A>) -> Result<(), Problem> {
        Ok(())
    }
}

/// List the organisation's teams, by id.
///
/// The next page is at `next`.
#[utoipa::path(
    get,
    path = "/v1/teams",
    tag = "directory",
    operation_id = "list_teams",
    params(
        ("q" = Option<String>, Query, description = "Words, all of them in the name or the id."),
        ("parent" = Option<Vec<String>>, Query, description = "Directly under any of these teams."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The maximum number of teams of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = TeamList))
)]
async fn list_teams(caller: Caller<ReadDirectory>, pairs: QueryPairs) -> Answer {
    keyed::list::<Teams, _>(caller, pairs).await
}

/// Read one team.
///
/// The members of a team are in the users.
#[utoipa::path(
    get,
    path = "/v1/teams/{id}",
    tag = "directory",
    operation_id = "read_team",
    params(("id" = String, Path, description = "The team's id.", example = "sales-north")),
    responses((status = 200, description = "The team.", body = Team))
)]
async fn read_team(caller: Caller<ReadDirectory>, id: web::Path<TeamId>, pairs: QueryPairs) -> Answer {
    keyed::find::<Teams, _>(caller, id.as_str(), pairs).await
}

/// Create or replace a team by the platform's own id.
///
/// Members of the body that are left out get their defaults.
#[utoipa::path(
    put,
    path = "/v1/teams/{id}",
    tag = "directory",
    operation_id = "put_team",
    params(("id" = String, Path, description = "The team's id, 1 to 255 characters.", example = "sales-north")),
    request_body = TeamDraft,
    responses(
        (status = 200, description = "Replaced.", body = Team),
        (status = 201, description = "Created.", body = Team,
            headers(("Location" = String, description = "The team's address."))),
    )
)]
async fn put_team(
    caller: Caller<ManageDirectory>,
    id: web::Path<TeamId>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    keyed::put::<Teams, _>(caller, id.as_str(), pairs, body).await
}

/// Change members of a team by a merge patch (RFC 7396).
///
/// Members that are left out stay as they are.
#[utoipa::path(
    patch,
    path = "/v1/teams/{id}",
    tag = "directory",
    operation_id = "patch_team",
    params(("id" = String, Path, description = "The team's id.", example = "sales-north")),
    request_body(content = TeamDraft, content_type = "application/merge-patch+json",
        description = "The members to change; `null` removes one. application/json has the same meaning."),
    responses((status = 200, description = "The team after the change.", body = Team))
)]
async fn patch_team(
    caller: Caller<ManageDirectory>,
    id: web::Path<TeamId>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    keyed::patch::<Teams, _>(caller, id.as_str(), pairs, patch).await
}

/// Create or replace many teams at once: all of them or none.
///
/// Each element has its `id`. A fault in one element refuses the whole batch, and names each fault.
#[utoipa::path(
    post,
    path = "/v1/teams/batch",
    tag = "directory",
    operation_id = "put_teams",
    request_body(content = Vec<TeamDraft>, content_type = "application/json",
        description = "Up to 1,000 teams, each with its id, a team in any order with its parent; or as many lines of JSON, as application/x-ndjson."),
    responses((status = 200, description = "The numbers of created, updated and unchanged teams.", body = BatchOutcome))
)]
async fn put_teams(caller: Caller<ManageDirectory>, pairs: QueryPairs, batch: Batch) -> Answer {
    keyed::put_all::<Teams, _>(caller, pairs, batch).await
}
