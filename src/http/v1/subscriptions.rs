//! `/v1/subscriptions`: activities as signed webhooks and statements for other record stores, as they come. See
//! `docs/specification.md#subscriptions`.
//!
//! Only owners and admins of the organisation may use it. A secret is in the answer that made it, and in no other one. The
//! file `subscription_deliveries` has the deliveries.

use std::collections::{HashMap, HashSet};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::ManageSubscriptions;
use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Faults, Place};
use crate::base::form::Form;
use crate::base::ids::UserId;
use crate::base::json::Node;
use crate::http::auth::Caller;
use crate::http::conditions;
use crate::http::json::{JsonBody, MergePatch};
use crate::http::keyed::Listing;
use crate::http::pages::{NoOthers, PageWriter};
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::store::{StoredSubscription, SubscriptionRefusal, skip_unreadable};
use crate::subscriptions::delivery::DeliveryView;
use crate::subscriptions::signature;
use crate::subscriptions::subscription::{
    self as form, CreatedSubscription, FormContext, Subscription, SubscriptionForm, SubscriptionPatch,
};
use crate::subscriptions::trial::{self, TrialError};

use super::report_resource::parse_id;

/// The path of the resources, without an id.
const PATH: &str = "/v1/subscriptions";
/// How long the secret before a rotation signs too, in hours.
const ROTATION_HOURS: i64 = 24;

routes! {
    "/v1/subscriptions" => { get: list_subscriptions, post: create_subscription },
    "/v1/subscriptions/{id}" => {
        get: read_subscription, put: put_subscription, patch: patch_subscription, delete: delete_subscription,
    },
    "/v1/subscriptions/{id}/pause" => { post: pause_subscription },
    "/v1/subscriptions/{id}/resume" => { post: resume_subscription },
    "/v1/subscriptions/{id}/test" => { post: test_subscription },
    "/v1/subscriptions/{id}/replay" => { post: replay_subscription },
    "/v1/subscriptions/{id}/rotate" => { post: rotate_subscription },
}

/// A page of subscriptions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionList {
    /// The subscriptions, the newest first.
    pub subscriptions: Vec<Subscription>,
    /// The path of the next page. Null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// Where a replay begins.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"after": 1200}))]
pub struct ReplayForm {
    /// The number of a change, such as the `place` of a subscription or the `change` of a webhook. What comes after it is sent.
    /// 0 sends everything.
    #[schema(minimum = 0)]
    pub after: i64,
}

/// A new secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=", "old_secret_until": "2026-03-19T10:17:23.000Z"
}))]
pub struct RotatedSecret {
    /// The secret. It is not shown again.
    pub secret: String,
    /// Until when webhooks have a signature by the secret before, too.
    #[schema(value_type = String, format = DateTime)]
    pub old_secret_until: Timestamp,
}

impl ReplayForm {
    fn parse(text: &str, depth: usize) -> Result<Self, Faults> {
        parse_body(text, depth, |node, place, faults| {
            let mut form = Form::from_node(node, place, "a replay", &["after"], faults)?;
            let after = form.read("after", parse_change);
            if after.is_none() && form.get("after").is_none() {
                form.add_fault("after", "a replay needs this: the number of a change, or 0");
            }
            Some(Self { after: after? })
        })
    }
}

fn parse_change(node: &Node<'_>, place: &Place<'_>) -> Result<i64, crate::base::fault::Fault> {
    let number = node.as_whole_number().filter(|number| *number >= 0);
    number.ok_or_else(|| place.fault("write a whole number from 0 on"))
}

/// List the subscriptions of the organisation.
///
/// The next page is at `next`.
#[utoipa::path(
    get,
    path = "/v1/subscriptions",
    tag = "subscriptions",
    operation_id = "list_subscriptions",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of subscriptions of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From `next` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = SubscriptionList))
)]
async fn list_subscriptions(caller: Caller<ManageSubscriptions>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, PATH, &pairs, &query).await?;
    query.finish()?;
    let after = listing.after_key::<i64>()?;
    let page = caller
        .store()
        .find_subscriptions(caller.org(), after, listing.limits())
        .await?;
    let names = find_names(&caller, &page.items).await?;
    let mut writer = PageWriter::new("subscriptions", caller.app_state().limits());
    let mut last = None;
    for stored in page.items {
        let key = stored.key;
        let represented = represent(&caller, stored, &names).await;
        if let Some(one) = represented?
            && !writer.push(&one)?
        {
            break;
        }
        last = Some(key.to_string());
    }
    let next = listing.next(page.more || writer.is_full(), last.as_deref())?;
    writer.respond(next.as_deref(), &NoOthers {})
}

/// Create a subscription. It sends what happens from now on; `replay` sends earlier changes.
///
/// **`activity`.** Each change of an activity that the filter shows is one POST with a body of `type`
/// (`activity.upserted`, or `activity.deleted` for one that was sent before and is not shown any more), `timestamp`,
/// `subscription`, `change` and `data`: the activity, or its `id`. It is signed as [Standard
/// Webhooks](https://www.standardwebhooks.com) defines it. `webhook-id` is the same whenever the same change is sent.
///
/// **`statement`.** Statements are sent to `/statements` below the address, with their attachments.
///
/// Deliveries are in the order of changes, at least once. A failed one is tried again with growing pauses, and given up after
/// some attempts.
#[utoipa::path(
    post,
    path = "/v1/subscriptions",
    tag = "subscriptions",
    operation_id = "create_subscription",
    request_body = SubscriptionForm,
    responses((status = 201, description = "Created. Store the secret now.", body = CreatedSubscription, headers(
        ("Location" = String, description = "The subscription's address."),
        ("ETag" = String, description = "The version, for `If-Match`."),
    )))
)]
async fn create_subscription(
    caller: Caller<ManageSubscriptions>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let context = form_context(&caller, None);
    let content = body.read(|text, depth| form::parse(text, depth, context))?;
    let user = caller
        .principal()
        .user()
        .ok_or_else(|| Problem::forbidden("a subscription needs a maker"))?;
    let stored = caller
        .store()
        .add_subscription(caller.org(), user, content)
        .await??;
    let secret = stored.secret.clone().map(|secret| secret.0);
    let location = format!("{PATH}/{}", stored.id);
    let etag = conditions::format_etag(stored.version);
    let subscription = represent_one(&caller, stored).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, etag))
        // No cache may store the secret.
        .json(CreatedSubscription { subscription, secret }))
}

/// Read one subscription: how it stands, and the place up to which everything is dealt with.
///
/// The ETag changes when the subscription is written, not with its deliveries.
#[utoipa::path(
    get,
    path = "/v1/subscriptions/{id}",
    tag = "subscriptions",
    operation_id = "read_subscription",
    params(("id" = Uuid, Path, description = "The subscription's id.")),
    responses((status = 200, description = "The subscription.", body = Subscription,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn read_subscription(
    caller: Caller<ManageSubscriptions>,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    ok_response(&caller, find(&caller, &id).await?).await
}

/// Replace a subscription. Members that are left out get their defaults. The format stays, and so do secrets that the body
/// does not have: they are not shown, so a client can't send them back.
///
/// The body may be the subscription as it was read: read-only members are ignored. The secret of `auth` stays only if the
/// scheme, the host and the port of the address stay.
#[utoipa::path(
    put,
    path = "/v1/subscriptions/{id}",
    tag = "subscriptions",
    operation_id = "put_subscription",
    params(
        ("id" = Uuid, Path, description = "The subscription's id. PUT does not create subscriptions."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to replace. 412 if the subscription was changed since."),
    ),
    request_body = SubscriptionForm,
    responses((status = 200, description = "The changed subscription.", body = Subscription,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn put_subscription(
    caller: Caller<ManageSubscriptions>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let (id, expected) = (parse_id(&id)?, conditions::parse_if_match(&request)?);
    let stored = find_by_id(&caller, id).await?;
    // Read before the organisation is locked, so that a wrong body costs no lock.
    let read = |stored: &StoredSubscription| {
        let context = form_context(&caller, Some(stored));
        body.read(|text, depth| Ok::<_, Problem>(form::parse(text, depth, context)))
    };
    read(&stored)??;
    let change = |stored: &StoredSubscription| match read(stored) {
        Ok(parsed) => parsed,
        Err(_) => Err(Place::Root.fault("the body is not UTF-8").into()),
    };
    let changed = caller
        .store()
        .change_subscription(caller.org(), id, expected.as_ref(), change);
    ok_response(&caller, changed.await??).await
}

/// Change members of a subscription by a merge patch (RFC 7396); `filter` is merged parameter by parameter.
///
/// Members that are left out stay as they are.
#[utoipa::path(
    patch,
    path = "/v1/subscriptions/{id}",
    tag = "subscriptions",
    operation_id = "patch_subscription",
    params(
        ("id" = Uuid, Path, description = "The subscription's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to change. 412 if the subscription was changed since."),
    ),
    request_body(content = SubscriptionPatch, content_type = "application/merge-patch+json",
        description = "The members to change. Sent as application/json it means the same."),
    responses((status = 200, description = "The changed subscription.", body = Subscription,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn patch_subscription(
    caller: Caller<ManageSubscriptions>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    pairs.refuse_any()?;
    let (id, expected) = (parse_id(&id)?, conditions::parse_if_match(&request)?);
    let context = form_context(&caller, None);
    let change = |stored: &StoredSubscription| form::patched(patch.value(), patch.depth(), context, stored);
    let changed = caller
        .store()
        .change_subscription(caller.org(), id, expected.as_ref(), change);
    ok_response(&caller, changed.await??).await
}

/// Delete a subscription with its deliveries. A delivery that is being sent at that time may still arrive.
#[utoipa::path(
    delete,
    path = "/v1/subscriptions/{id}",
    tag = "subscriptions",
    operation_id = "delete_subscription",
    params(
        ("id" = Uuid, Path, description = "The subscription's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to delete. 412 if the subscription was changed since."),
    ),
    responses((status = 204, description = "Deleted. Nothing more is sent."))
)]
async fn delete_subscription(
    caller: Caller<ManageSubscriptions>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let (id, expected) = (parse_id(&id)?, conditions::parse_if_match(&request)?);
    caller
        .store()
        .delete_subscription(caller.org(), id, expected.as_ref())
        .await??;
    Ok(HttpResponse::NoContent().finish())
}

/// Pause a subscription. It keeps its place, so nothing is lost: after it is resumed, it sends what happened meanwhile.
#[utoipa::path(
    post,
    path = "/v1/subscriptions/{id}/pause",
    tag = "subscriptions",
    operation_id = "pause_subscription",
    params(("id" = Uuid, Path, description = "The subscription's id.")),
    responses((status = 200, description = "The paused subscription.", body = Subscription,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn pause_subscription(
    caller: Caller<ManageSubscriptions>,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    set_active(&caller, &id, false).await
}

/// Resume a subscription that was paused or disabled. A delivery that failed is tried again at once.
#[utoipa::path(
    post,
    path = "/v1/subscriptions/{id}/resume",
    tag = "subscriptions",
    operation_id = "resume_subscription",
    params(("id" = Uuid, Path, description = "The subscription's id.")),
    responses((status = 200, description = "The active subscription.", body = Subscription,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn resume_subscription(
    caller: Caller<ManageSubscriptions>,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    set_active(&caller, &id, true).await
}

/// Test a subscription now: one request to the receiver, and what came of it. The subscription need not be active, and its
/// place stays.
///
/// A webhook has the type `test`. Another record store gets an empty list of statements, which changes nothing there.
#[utoipa::path(
    post,
    path = "/v1/subscriptions/{id}/test",
    tag = "subscriptions",
    operation_id = "test_subscription",
    params(("id" = Uuid, Path, description = "The subscription's id.")),
    responses((status = 200, description = "What came of it: the status is `delivered` or `failed`.", body = DeliveryView))
)]
async fn test_subscription(
    caller: Caller<ManageSubscriptions>,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let stored = find(&caller, &id).await?;
    let app_state = caller.app_state();
    let _permit = app_state.trials().acquire(caller.org()).await.map_err(|_| {
        Problem::new(
            Code::TooManyRequests,
            "too many tests wait already; try again when they have ended",
        )
    })?;
    let kept = app_state.options().subscriptions.kept_deliveries;
    let tested = trial::test(caller.store(), app_state.egress(), caller.org(), &stored, kept).await?;
    let delivery = tested.ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok().json(DeliveryView::from(delivery)))
}

/// Send changes again, from a place on. The subscription goes on from there, in order. Each webhook has the same `webhook-id`
/// as before, so a receiver that has it already can pass over it.
#[utoipa::path(
    post,
    path = "/v1/subscriptions/{id}/replay",
    tag = "subscriptions",
    operation_id = "replay_subscription",
    params(("id" = Uuid, Path, description = "The subscription's id.")),
    request_body = ReplayForm,
    responses((status = 202, description = "The subscription at its new place.", body = Subscription,
        headers(("ETag" = String, description = "The version, for `If-Match`."))))
)]
async fn replay_subscription(
    caller: Caller<ManageSubscriptions>,
    id: web::Path<String>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let id = parse_id(&id)?;
    find_by_id(&caller, id).await?;
    let form = body.read(ReplayForm::parse)?;
    let moved = caller
        .store()
        .replay_subscription(caller.org(), id, form.after)
        .await??;
    let mut response = ok_response(&caller, moved).await?;
    *response.status_mut() = actix_web::http::StatusCode::ACCEPTED;
    Ok(response)
}

/// Give a subscription a new secret. For a day, webhooks have a signature by the secret before, too.
#[utoipa::path(
    post,
    path = "/v1/subscriptions/{id}/rotate",
    tag = "subscriptions",
    operation_id = "rotate_subscription",
    params(("id" = Uuid, Path, description = "The subscription's id.")),
    responses((status = 200, description = "The new secret. Store it now.", body = RotatedSecret))
)]
async fn rotate_subscription(
    caller: Caller<ManageSubscriptions>,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let id = parse_id(&id)?;
    let secret = signature::new_secret().map_err(Problem::internal)?;
    let hours = ROTATION_HOURS * 3_600 * 1_000_000;
    let until = Timestamp::from_micros(caller.now().micros().saturating_add(hours)).whole_millisecond();
    let store = caller.store();
    store
        .rotate_subscription_secret(caller.org(), id, secret.clone(), until)
        .await??;
    Ok(HttpResponse::Ok().json(RotatedSecret {
        secret: secret.0,
        old_secret_until: until,
    }))
}

async fn set_active(caller: &Caller<ManageSubscriptions>, id: &str, active: bool) -> Answer {
    let change = |stored: &StoredSubscription| {
        let mut content = stored.content();
        content.active = active;
        Ok(content)
    };
    let changed = caller
        .store()
        .change_subscription(caller.org(), parse_id(id)?, None, change);
    ok_response(caller, changed.await??).await
}

fn form_context<'a>(
    caller: &'a Caller<ManageSubscriptions>,
    stored: Option<&'a StoredSubscription>,
) -> FormContext<'a> {
    FormContext {
        rules: caller.app_state().egress().rules(),
        org: caller.org(),
        stored,
    }
}

/// The subscription with the id in a path.
///
/// # Errors
///
/// 404 if the organisation has no such subscription.
pub(super) async fn find(
    caller: &Caller<ManageSubscriptions>,
    id: &str,
) -> Result<StoredSubscription, Problem> {
    find_by_id(caller, parse_id(id)?).await
}

async fn find_by_id(caller: &Caller<ManageSubscriptions>, id: Uuid) -> Result<StoredSubscription, Problem> {
    let stored = caller.store().find_subscription(caller.org(), id).await?;
    stored.ok_or_else(Problem::not_found)
}

async fn ok_response(caller: &Caller<ManageSubscriptions>, stored: StoredSubscription) -> Answer {
    let etag = conditions::format_etag(stored.version);
    let body = represent_one(caller, stored).await?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag)).json(body))
}

async fn represent_one(
    caller: &Caller<ManageSubscriptions>,
    stored: StoredSubscription,
) -> Result<Subscription, Problem> {
    let names = find_names(caller, std::slice::from_ref(&stored)).await?;
    let represented = represent(caller, stored, &names).await?;
    represented.ok_or_else(|| Problem::internal("a subscription can't be read"))
}

/// The representation. `None` for one that can't be read, which is named in the log.
async fn represent(
    caller: &Caller<ManageSubscriptions>,
    stored: StoredSubscription,
    names: &HashMap<UserId, Option<String>>,
) -> Result<Option<Subscription>, Problem> {
    let (id, name) = (stored.id, names.get(&stored.created_by).cloned().flatten());
    let current = match stored.current {
        Some(number) => {
            caller
                .store()
                .find_numbered_delivery(caller.org(), &stored, number)
                .await?
        }
        None => None,
    };
    Ok(skip_unreadable(
        "subscription",
        || id,
        Subscription::new(stored, current, name),
    )?)
}

/// The current names of the makers.
async fn find_names(
    caller: &Caller<ManageSubscriptions>,
    stored: &[StoredSubscription],
) -> Result<HashMap<UserId, Option<String>>, Problem> {
    let users: HashSet<UserId> = stored.iter().map(|one| one.created_by.clone()).collect();
    let users: Vec<UserId> = users.into_iter().collect();
    let found = caller.store().recorders(caller.org(), &users).await?;
    Ok(found.into_iter().map(|(id, user)| (id, user.name)).collect())
}

impl From<SubscriptionRefusal> for Problem {
    fn from(refusal: SubscriptionRefusal) -> Self {
        match refusal {
            SubscriptionRefusal::NotFound => Problem::not_found(),
            SubscriptionRefusal::Stale => Problem::new(Code::PreconditionFailed, refusal.to_string()),
            SubscriptionRefusal::TooMany | SubscriptionRefusal::NoSecret | SubscriptionRefusal::NotDead => {
                Problem::conflict(refusal.to_string())
            }
            SubscriptionRefusal::PlaceInFuture(_) => Problem::invalid_body("/after", refusal.to_string()),
            SubscriptionRefusal::Faults(faults) => faults.into(),
        }
    }
}

impl From<TrialError> for Problem {
    fn from(error: TrialError) -> Self {
        match error {
            TrialError::Store(error) => error.into(),
            TrialError::Json(error) => Problem::internal(error),
        }
    }
}
