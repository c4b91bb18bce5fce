//! `/v1/actions`: the action types of the log (contract section 6).

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::SignedIn;
use crate::http::auth::Caller;
use crate::http::problem::Answer;
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::Action;

routes! {
    "/v1/actions" => { get: list_actions },
}

/// The action types.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActionList {
    /// All of them, in the order of the product text.
    pub actions: Vec<ActionType>,
    /// Always null: they fit on one page.
    pub next: Option<String>,
}

/// An action type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"key": "completed", "label": "Completed", "colour": "#1a7f37",
    "completes": true, "verbs": ["http://adlnet.gov/expapi/verbs/completed"]}))]
pub struct ActionType {
    /// What `action` is filtered by.
    pub key: Action,
    /// What people read.
    pub label: &'static str,
    /// The colour of its tag, as `#rrggbb`.
    pub colour: &'static str,
    /// Whether it completes content by itself.
    pub completes: bool,
    /// The IRIs of the verbs that mean it; a short-form activity is written with the first.
    pub verbs: Vec<String>,
}

/// List the action types with their labels, colours and verbs.
#[utoipa::path(
    get,
    path = "/v1/actions",
    tag = "activities",
    operation_id = "list_actions",
    responses((status = 200, description = "All action types.", body = ActionList))
)]
async fn list_actions(caller: Caller<SignedIn>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let table = caller.store().verbs();
    let actions = Action::ALL
        .iter()
        .map(|action| ActionType {
            key: *action,
            label: action.label(),
            colour: action.colour(),
            completes: action.completes(),
            verbs: table.verbs(*action).into_iter().map(str::to_owned).collect(),
        })
        .collect();
    Ok(HttpResponse::Ok().json(ActionList { actions, next: None }))
}
