//! `/v1/actions`: the action types of the log.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::SignedIn;
use crate::http::auth::Caller;
use crate::http::language::{LanguageParameter, LocalQuery};
use crate::http::problem::Answer;
use crate::http::routes::routes;
use crate::log::Action;

routes! {
    "/v1/actions" => { get: list_actions },
}

/// The action types.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActionList {
    /// All action types, in a fixed order.
    pub actions: Vec<ActionType>,
    /// Always null, because the list has one page.
    pub next: Option<String>,
}

/// An action type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"key": "completed", "label": "Completed", "colour": "#1a7f37",
    "colour_on_dark": "#4ade80",
    "completes": true, "verbs": ["http://adlnet.gov/expapi/verbs/completed"]}))]
pub struct ActionType {
    /// The value of the filter `action`.
    pub key: Action,
    /// The label for people.
    pub label: &'static str,
    /// The colour of its label on a light page, as `#rrggbb`. Its contrast with white is at least 4.5.
    pub colour: &'static str,
    /// The colour of its label on a dark page, as `#rrggbb`. Its contrast with `#22272e` is at least 4.5.
    pub colour_on_dark: &'static str,
    /// Whether an activity with this action completes the content.
    pub completes: bool,
    /// The IRIs of the verbs with this action. The statement of a short-form activity has the first one.
    pub verbs: Vec<String>,
}

/// List the action types with their labels, colours and verbs.
///
/// The list is the same for every organisation. Use it to draw filters and labels.
#[utoipa::path(
    get,
    path = "/v1/actions",
    tag = "activities",
    operation_id = "list_actions",
    params(LanguageParameter),
    responses((status = 200, description = "All action types.", body = ActionList))
)]
async fn list_actions(caller: Caller<SignedIn>, LocalQuery { language, pairs }: LocalQuery) -> Answer {
    pairs.refuse_any()?;
    let table = caller.store().verbs();
    let actions = Action::ALL
        .iter()
        .map(|action| ActionType {
            key: *action,
            label: action.label_in(language),
            colour: action.colour(),
            colour_on_dark: action.colour_on_dark(),
            completes: action.completes(),
            verbs: table.verbs(*action).into_iter().map(str::to_owned).collect(),
        })
        .collect();
    Ok(HttpResponse::Ok().json(ActionList { actions, next: None }))
}
