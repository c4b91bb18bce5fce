//! `/v1/teams`: the teams of the directory, a tree (contract sections 3 and 5).
//!
//! Every person of the organisation reads the names of its teams, which a frontend needs for its filters; who
//! belongs to them is told with each user, within the reach. Owner, admin and a credential with `directory` write.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::permit::{ManageDirectory, ReadDirectory};
use crate::directory::{BatchOutcome, Team, TeamDraft};
use crate::base::{ListFilter, merge_patch};
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBody, JsonBytes};
use crate::http::keyed::{self, Listing};
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::base::ids::TeamId;

const PATH: &str = "/v1/teams";

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

/// List the organisation's teams, by id.
#[utoipa::path(
    get,
    path = "/v1/teams",
    tag = "directory",
    operation_id = "list_teams",
    params(
        ("q" = Option<String>, Query, description = "Words, all of them in the name or the id."),
        ("parent" = Option<Vec<String>>, Query, description = "Directly under any of these teams."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows of a page: 50 unless given."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = TeamList))
)]
async fn list_teams(caller: Caller<ReadDirectory>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::of(&caller, PATH, &pairs, &query);
    let words = keyed::search_words(&query);
    let parents = query
        .values::<TeamId>("parent")
        .iter()
        .map(ToString::to_string)
        .collect();
    let filter = ListFilter { words, parents };
    query.finish()?;
    let after = listing.after()?;
    let page = caller
        .store()
        .teams(caller.org(), &filter, after.as_deref(), listing.limit)
        .await?;
    let next = listing.next(page.more, page.items.last().map(|team| team.id.as_str()));
    let body = TeamList {
        teams: page.items,
        next,
    };
    Ok(pages::list_response(&body, body.next.as_deref()))
}

/// Read one team.
#[utoipa::path(
    get,
    path = "/v1/teams/{id}",
    tag = "directory",
    operation_id = "read_team",
    params(("id" = String, Path, description = "The team's id.", example = "sales-north")),
    responses((status = 200, description = "The team.", body = Team))
)]
async fn read_team(caller: Caller<ReadDirectory>, id: web::Path<TeamId>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let found = caller.store().team(caller.org(), &id).await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(Problem::not_found)?))
}

/// Make or replace a team by the platform's own id.
#[utoipa::path(
    put,
    path = "/v1/teams/{id}",
    tag = "directory",
    operation_id = "put_team",
    params(("id" = String, Path, description = "The team's id, 1 to 255 characters.", example = "sales-north")),
    request_body = TeamDraft,
    responses(
        (status = 200, description = "Replaced.", body = Team),
        (status = 201, description = "Made.", body = Team,
            headers(("Location" = String, description = "The team's address."))),
    )
)]
async fn put_team(
    caller: Caller<ManageDirectory>,
    id: web::Path<TeamId>,
    pairs: QueryPairs,
    body: JsonBytes,
) -> Answer {
    pairs.refuse_any()?;
    let draft: TeamDraft = keyed::put(&caller, body.text()?, id.as_str())?;
    let (team, created) = caller.store().put_team(caller.org(), draft).await?;
    keyed::written(created, PATH, team.id.as_str(), &team)
}

/// Change members of a team by a merge patch (RFC 7396).
#[utoipa::path(
    patch,
    path = "/v1/teams/{id}",
    tag = "directory",
    operation_id = "patch_team",
    params(("id" = String, Path, description = "The team's id.", example = "sales-north")),
    request_body(content = TeamDraft, content_type = "application/merge-patch+json",
        description = "The members to change; `null` takes one away. Sent as application/json it means the same."),
    responses((status = 200, description = "The team as it is now.", body = Team))
)]
async fn patch_team(
    caller: Caller<ManageDirectory>,
    id: web::Path<TeamId>,
    pairs: QueryPairs,
    JsonBody(body): JsonBody<Value>,
) -> Answer {
    pairs.refuse_any()?;
    let patch = keyed::patch(body)?;
    let depth = caller.app_state().limits().json_depth;
    let change = |team: &Team| {
        // A team is texts, which always have a JSON form.
        let before = serde_json::to_value(team).unwrap_or_default();
        keyed::patched(&merge_patch(before, &patch), depth, team.id.as_str())
    };
    let changed = caller.store().patch_team(caller.org(), &id, change).await?;
    Ok(HttpResponse::Ok().json(changed.ok_or_else(Problem::not_found)?))
}

/// Make or replace many teams at once: all of them or none.
#[utoipa::path(
    post,
    path = "/v1/teams/batch",
    tag = "directory",
    operation_id = "put_teams",
    request_body(content = Vec<TeamDraft>, content_type = "application/json",
        description = "Up to 1,000 teams, each with its id, a team in any order with its parent; or as many lines of JSON, as application/x-ndjson."),
    responses((status = 200, description = "What became of them.", body = BatchOutcome))
)]
async fn put_teams(caller: Caller<ManageDirectory>, pairs: QueryPairs, body: Batch) -> Answer {
    pairs.refuse_any()?;
    let drafts: Vec<TeamDraft> = keyed::batch(&caller, &body)?;
    let outcome = caller.store().put_teams(caller.org(), &drafts).await?;
    Ok(HttpResponse::Ok().json(outcome))
}
