//! `/v1/users`: the users of the directory, and the identifiers that lead to them (contract sections 3 to 5).
//!
//! Everybody reads the users within their reach, and one outside it is 404 as if there were none. Owner, admin
//! and a credential with `directory` write; owner and admin move identifiers.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::Role;
use crate::access::permit::{ManageDirectory, MoveIdentifiers, ReadDirectory};
use crate::directory::identity::{IdentifierMove, read_move};
use crate::directory::{BatchOutcome, User, UserDraft, UserFilter, visible_users};
use crate::http::auth::Caller;
use crate::http::json::{Batch, JsonBody, JsonBytes};
use crate::http::keyed::{self, Listing};
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::base::ids::UserId;

const PATH: &str = "/v1/users";

routes! {
    "/v1/users" => { get: list_users },
    "/v1/users/batch" => { post: put_users },
    "/v1/users/{id}" => { get: read_user, put: put_user, patch: patch_user },
    "/v1/users/{id}/identifiers" => { post: move_identifiers },
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserList {
    /// The users, by id.
    pub users: Vec<User>,
    /// The next page; `null` on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the users within the caller's reach, by id.
#[utoipa::path(
    get,
    path = "/v1/users",
    tag = "directory",
    operation_id = "list_users",
    params(
        ("q" = Option<String>, Query, description = "Words, all of them in a name, the e-mail address or the id."),
        ("active" = Option<bool>, Query, description = "Active users only, or deactivated ones only."),
        ("team" = Option<Vec<String>>, Query, description = "Members of any of these teams."),
        ("group" = Option<Vec<String>>, Query, description = "Members of any of these groups."),
        ("manager" = Option<Vec<String>>, Query, description = "Direct reports of any of these users."),
        ("role" = Option<Vec<Role>>, Query, description = "Any of these roles of the directory."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows of a page: 50 unless given."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = UserList))
)]
async fn list_users(caller: Caller<ReadDirectory>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::of(&caller, PATH, &pairs, &query);
    let filter = UserFilter {
        words: keyed::search_words(&query),
        active: query.flag("active"),
        teams: query.values("team"),
        groups: query.values("group"),
        managers: query.values("manager"),
        roles: keyed::choices(&query, "role", &Role::ALL, Role::key),
    };
    query.finish()?;
    let after = listing.after()?;
    let reach = visible_users(caller.principal(), &caller.reach_rules()).ok_or_else(Problem::not_found)?;
    let page = caller
        .store()
        .users(caller.org(), &reach, &filter, after.as_deref(), listing.limit)
        .await?;
    let next = listing.next(page.more, page.items.last().map(|user| user.id.as_str()));
    let body = UserList {
        users: page.items,
        next,
    };
    Ok(pages::list_response(&body, body.next.as_deref()))
}

/// Read one user within the caller's reach.
#[utoipa::path(
    get,
    path = "/v1/users/{id}",
    tag = "directory",
    operation_id = "read_user",
    params(("id" = String, Path, description = "The user's id.", example = "u-17")),
    responses((status = 200, description = "The user.", body = User))
)]
async fn read_user(caller: Caller<ReadDirectory>, id: web::Path<UserId>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let reach = visible_users(caller.principal(), &caller.reach_rules()).ok_or_else(Problem::not_found)?;
    let found = caller.store().user(caller.org(), &reach, &id).await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(Problem::not_found)?))
}

/// Make or replace a user by the platform's own id.
///
/// The e-mail address and the id claim the user's identifiers: what their actors did before is the user's
/// from now on. Somebody else's identifier is 409.
#[utoipa::path(
    put,
    path = "/v1/users/{id}",
    tag = "directory",
    operation_id = "put_user",
    params(("id" = String, Path, description = "The user's id, 1 to 255 characters.", example = "u-17")),
    request_body = UserDraft,
    responses(
        (status = 200, description = "Replaced.", body = User),
        (status = 201, description = "Made.", body = User,
            headers(("Location" = String, description = "The user's address."))),
    )
)]
async fn put_user(
    caller: Caller<ManageDirectory>,
    id: web::Path<UserId>,
    pairs: QueryPairs,
    body: JsonBytes,
) -> Answer {
    pairs.refuse_any()?;
    let draft: UserDraft = keyed::put(&caller, body.text()?, id.as_str())?;
    let (user, created) = caller.store().put_user(caller.org(), draft).await?;
    keyed::written(created, PATH, user.id.as_str(), &user)
}

/// Change members of a user by a merge patch (RFC 7396).
///
/// Identifiers are only ever added; `active: true` takes the moment of deactivation away.
#[utoipa::path(
    patch,
    path = "/v1/users/{id}",
    tag = "directory",
    operation_id = "patch_user",
    params(("id" = String, Path, description = "The user's id.", example = "u-17")),
    request_body(content = UserDraft, content_type = "application/merge-patch+json",
        description = "The members to change; `null` takes one away. Sent as application/json it means the same."),
    responses((status = 200, description = "The user as they are now.", body = User))
)]
async fn patch_user(
    caller: Caller<ManageDirectory>,
    id: web::Path<UserId>,
    pairs: QueryPairs,
    JsonBody(body): JsonBody<Value>,
) -> Answer {
    pairs.refuse_any()?;
    let patch = keyed::patch(body)?;
    let depth = caller.app_state().limits().json_depth;
    let change = |user: &User| keyed::patched(&user.patched(&patch), depth, user.id.as_str());
    let changed = caller.store().patch_user(caller.org(), &id, change).await?;
    Ok(HttpResponse::Ok().json(changed.ok_or_else(Problem::not_found)?))
}

/// Make or replace many users at once: all of them or none.
#[utoipa::path(
    post,
    path = "/v1/users/batch",
    tag = "directory",
    operation_id = "put_users",
    request_body(content = Vec<UserDraft>, content_type = "application/json",
        description = "Up to 1,000 users, each with its id, a user in any order with their manager; or as many \
            lines of JSON, as application/x-ndjson."),
    responses((status = 200, description = "What became of them.", body = BatchOutcome))
)]
async fn put_users(caller: Caller<ManageDirectory>, pairs: QueryPairs, body: Batch) -> Answer {
    pairs.refuse_any()?;
    let drafts: Vec<UserDraft> = keyed::batch(&caller, &body)?;
    let outcome = caller.store().put_users(caller.org(), &drafts).await?;
    Ok(HttpResponse::Ok().json(outcome))
}

/// Move identifiers to a user, whoever has them now.
///
/// What their actors did is this user's from now on.
#[utoipa::path(
    post,
    path = "/v1/users/{id}/identifiers",
    tag = "directory",
    operation_id = "move_identifiers",
    params(("id" = String, Path, description = "The id of the user who gets them.", example = "u-17")),
    request_body = IdentifierMove,
    responses((status = 200, description = "The user with all their identifiers.", body = User))
)]
async fn move_identifiers(
    caller: Caller<MoveIdentifiers>,
    id: web::Path<UserId>,
    pairs: QueryPairs,
    body: JsonBytes,
) -> Answer {
    pairs.refuse_any()?;
    let identifiers = read_move(body.text()?, caller.app_state().limits().json_depth)?;
    let user = caller
        .store()
        .move_identifiers(caller.org(), &id, &identifiers)
        .await?;
    Ok(HttpResponse::Ok().json(user.ok_or_else(Problem::not_found)?))
}
