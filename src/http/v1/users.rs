//! `/v1/users`: the users of the directory and their identifiers (`docs/specification.md#users`).
//!
//! A caller reads the users within the reach. Other users are 404, as users that do not exist. Owners, admins and
//! credentials with the scope `directory` may write. Owners and admins may move identifiers.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::{ManageDirectory, MoveIdentifiers, ReadDirectory};
use crate::access::{Action, Reach, Role};
use crate::base::ids::{TeamId, UserId};
use crate::base::keyed::BatchOutcome;
use crate::base::sort::ListOrder;
use crate::directory::identity::{IdentifierMove, parse_move};
use crate::directory::{User, UserDraft, UserFilter, UserSortField, visible_users};
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBody, MergePatch};
use crate::http::keyed::{self, KeyedResource};
use crate::http::problem::{Answer, Problem};
use crate::http::query::{QueryPairs, QueryReader};
use crate::http::routes::routes;
use crate::store::Users;

routes! {
    "/v1/users" => { get: list_users },
    "/v1/users/batch" => { post: put_users },
    "/v1/users/{id}" => { get: read_user, put: put_user, patch: patch_user },
    "/v1/users/{id}/identifiers" => { post: move_identifiers },
}

/// The order of a list of users.
pub type UserSort = ListOrder<UserSortField>;

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserList {
    /// The users, in the order of `sort`.
    pub users: Vec<User>,
    /// The next page; `null` on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

impl KeyedResource for Users {
    const PATH: &'static str = "/v1/users";
    const NAME: &'static str = "users";

    fn read_filter(query: &QueryReader<'_>) -> UserFilter {
        let teams: Vec<TeamId> = query.values("team");
        let team_flag = |name: &str| {
            let wanted = query.flag(name).unwrap_or(false);
            if wanted && teams.is_empty() {
                query.add_fault(
                    name,
                    "changes nothing without `team`; add a team, or leave this out",
                );
            }
            wanted
        };
        UserFilter {
            words: keyed::search_words(query),
            ids: query.values("id"),
            active: query.flag("active"),
            include_sub_teams: team_flag("include_sub_teams"),
            primary_team_only: team_flag("primary_team_only"),
            teams,
            groups: query.values("group"),
            managers: query.values("manager"),
            roles: keyed::choices(query, "role", &Role::ALL, Role::key),
        }
    }

    fn visible<A: Action>(caller: &Caller<A>) -> Result<Reach, Problem> {
        visible_users(caller.principal(), &caller.reach_rules()).ok_or_else(Problem::not_found)
    }
}

/// List the users within the caller's reach, by id or by `sort`.
///
/// Users outside the reach are not in the list. The next page is at `next`.
#[utoipa::path(
    get,
    path = "/v1/users",
    tag = "directory",
    operation_id = "list_users",
    params(
        ("q" = Option<String>, Query, description = "Words, all of them in a name, the e-mail address, the job title or the id."),
        ("id" = Option<Vec<String>>, Query, description = "Users with any of these ids."),
        ("active" = Option<bool>, Query, description = "Active users only, or deactivated ones only."),
        ("team" = Option<Vec<String>>, Query, description = "Members of any of these teams."),
        ("include_sub_teams" = Option<bool>, Query, description = "With `team`: members of the teams below count too."),
        ("primary_team_only" = Option<bool>, Query, description = "With `team`: only members that have it as their primary team."),
        ("group" = Option<Vec<String>>, Query, description = "Members of any of these groups."),
        ("manager" = Option<Vec<String>>, Query, description = "Direct reports of any of these users."),
        ("role" = Option<Vec<Role>>, Query, description = "Any of these roles of the directory."),
        ("sort" = Option<UserSort>, Query, description = "The order: `id` (default), `name`, `last_name` or `email`; with `-`, descending."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The maximum number of users of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = UserList))
)]
async fn list_users(caller: Caller<ReadDirectory>, pairs: QueryPairs) -> Answer {
    keyed::list::<Users, _>(caller, pairs).await
}

/// Read one user within the caller's reach.
///
/// A user outside the reach is not found.
#[utoipa::path(
    get,
    path = "/v1/users/{id}",
    tag = "directory",
    operation_id = "read_user",
    params(("id" = String, Path, description = "The user's id.", example = "u-17")),
    responses((status = 200, description = "The user.", body = User))
)]
async fn read_user(caller: Caller<ReadDirectory>, id: web::Path<UserId>, pairs: QueryPairs) -> Answer {
    keyed::find::<Users, _>(caller, id.as_str(), pairs).await
}

/// Create or replace a user by the platform's own id.
///
/// The e-mail address and the id claim the user's identifiers. Earlier activities of their actors become the user's, if
/// no other user has had them. An identifier that an active user has is 409.
#[utoipa::path(
    put,
    path = "/v1/users/{id}",
    tag = "directory",
    operation_id = "put_user",
    params(("id" = String, Path, description = "The user's id, 1 to 255 characters.", example = "u-17")),
    request_body = UserDraft,
    responses(
        (status = 200, description = "Replaced.", body = User),
        (status = 201, description = "Created.", body = User,
            headers(("Location" = String, description = "The user's address."))),
    )
)]
async fn put_user(
    caller: Caller<ManageDirectory>,
    id: web::Path<UserId>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    keyed::put::<Users, _>(caller, id.as_str(), pairs, body).await
}

/// Change members of a user by a merge patch (RFC 7396).
///
/// Identifiers are only added. `active: true` removes the time of deactivation.
#[utoipa::path(
    patch,
    path = "/v1/users/{id}",
    tag = "directory",
    operation_id = "patch_user",
    params(("id" = String, Path, description = "The user's id.", example = "u-17")),
    request_body(content = UserDraft, content_type = "application/merge-patch+json",
        description = "The members to change; `null` removes one. application/json has the same meaning."),
    responses((status = 200, description = "The user after the change.", body = User))
)]
async fn patch_user(
    caller: Caller<ManageDirectory>,
    id: web::Path<UserId>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    keyed::patch::<Users, _>(caller, id.as_str(), pairs, patch).await
}

/// Create or replace many users at once: all of them or none.
///
/// Each element has its `id`. A fault in one element refuses the whole batch, and names each fault.
#[utoipa::path(
    post,
    path = "/v1/users/batch",
    tag = "directory",
    operation_id = "put_users",
    request_body(content = Vec<UserDraft>, content_type = "application/json",
        description = "Up to 1,000 users, each with its id. The order of users and their managers does not matter. \
            Also as lines of JSON, as application/x-ndjson."),
    responses((status = 200, description = "The numbers of created, updated and unchanged users.", body = BatchOutcome))
)]
async fn put_users(caller: Caller<ManageDirectory>, pairs: QueryPairs, batch: Batch) -> Answer {
    keyed::put_all::<Users, _>(caller, pairs, batch).await
}

/// Move identifiers to a user, also from another user.
///
/// What happens from `from` on becomes this user's: from now on without it, everything with `null`.
#[utoipa::path(
    post,
    path = "/v1/users/{id}/identifiers",
    tag = "directory",
    operation_id = "move_identifiers",
    params(("id" = String, Path, description = "The id of the user that gets them.", example = "u-17")),
    request_body = IdentifierMove,
    responses((status = 200, description = "The user with all their identifiers.", body = User))
)]
async fn move_identifiers(
    caller: Caller<MoveIdentifiers>,
    id: web::Path<UserId>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let request = body.read(parse_move)?;
    let user = caller
        .store()
        .move_identifiers(caller.org(), &id, &request)
        .await?;
    Ok(HttpResponse::Ok().json(user.ok_or_else(Problem::not_found)?))
}
