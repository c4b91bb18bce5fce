//! `/cmi5/fetch/{secret}`: a unit of cmi5 exchanges the secret of its launch for the token, once (cmi5, section 8.2).
//!
//! The address itself is the right to the token, so no `Authorization` is needed. As cmi5 demands, errors are answered
//! with 200 and an `error-code`.

use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::problem::{Answer, Problem};
use super::query::QueryPairs;
use super::routes::routes;
use super::secret_links::LinkAttempt;
use crate::access::SecretHash;
use crate::access::launch::new_launch_token;
use crate::launches::address::basic_token;
use crate::store::Fetched;

routes! {
    "/cmi5/fetch/{secret}" => { post: fetch_token },
}

/// The token, or an error of cmi5.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = json!({"auth-token": "MDE5MGEwMDA6cmJsXzN2OVFtWjB5"}))]
pub enum FetchAnswer {
    /// The token of the session.
    Token {
        /// What follows `Basic ` in the header `Authorization` of all requests of the unit to `/xapi`.
        #[serde(rename = "auth-token")]
        auth_token: String,
    },
    /// Why there is no token.
    Error {
        /// `1`: the token was returned before, or the session has ended. `2`: the address is wrong. `3`: the server has
        /// failed.
        #[serde(rename = "error-code")]
        #[schema(example = "1")]
        error_code: &'static str,
        /// The reason in words.
        #[serde(rename = "error-text")]
        error_text: &'static str,
    },
}

/// Exchange the secret of a launch for its token, once.
///
/// The unit of cmi5 sends this request with an empty body. Every later request to the same address is answered with an
/// error. The status is 200 in both cases, as cmi5 demands.
#[utoipa::path(
    post,
    path = "/cmi5/fetch/{secret}",
    tag = "launches",
    operation_id = "fetch_launch_token",
    security(()),
    params(("secret" = String, Path, description = "The secret in the parameter `fetch` of the unit's address.")),
    responses((status = 200, description = "The token, or an error.", body = FetchAnswer))
)]
async fn fetch_token(
    app_state: Data<AppState>,
    request: HttpRequest,
    secret: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let answer = exchange(&app_state, &request, secret.into_inner()).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(answer))
}

async fn exchange(
    app_state: &AppState,
    request: &HttpRequest,
    secret: String,
) -> Result<FetchAnswer, Problem> {
    let attempt = LinkAttempt::begin(app_state, request, &secret)?;
    let secret = SecretHash::from_secret(&SecretString::from(secret));
    let token = new_launch_token()?;
    let hash = SecretHash::from_secret(&token);
    let fetched = app_state
        .store()
        .fetch_launch_token(secret.as_bytes(), hash.as_bytes())
        .await;
    Ok(match fetched {
        Ok(Fetched::Token { launch }) => FetchAnswer::Token {
            auth_token: basic_token(launch, &token),
        },
        Ok(Fetched::UsedOrExpired) => FetchAnswer::Error {
            error_code: "1",
            error_text: "The authorization token has been returned already, or the session has ended.",
        },
        Ok(Fetched::Unknown) => {
            attempt.refuse();
            FetchAnswer::Error {
                error_code: "2",
                error_text: "The address is not that of a launch.",
            }
        }
        Err(error) => {
            tracing::warn!(%error, "a token could not be fetched");
            FetchAnswer::Error {
                error_code: "3",
                error_text: "The server cannot return the token at the moment. Launch the unit again.",
            }
        }
    })
}
