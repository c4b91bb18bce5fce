//! `/xapi/activities/state` (xAPI 1.0.3, Communication 2.3; contract section 10): what content keeps of an agent's
//! attempt at an Activity.

use actix_web::HttpRequest;
use actix_web::web::Payload;

use crate::access::permit::{ReadState, WriteState};
use crate::http::auth::Caller;
use crate::http::problem::Answer;
use crate::http::query::{QueryPairs, QueryReader};
use crate::http::routes::routes;
use crate::http::xapi::XapiVersion;
use crate::http::xapi::documents::{self, Writing};
use crate::store::DocumentSet;

routes! {
    "/xapi/activities/state" => { get: read_state, put: put_state, post: post_state, delete: delete_state },
}

/// Whose state is asked for.
fn state(query: &QueryReader<'_>) -> DocumentSet {
    DocumentSet::State {
        activity: documents::activity(query),
        agent: documents::agent(query),
        registration: documents::registration(query),
    }
}

/// Read one state document, or the ids of all.
#[utoipa::path(
    get,
    path = "/xapi/activities/state",
    tag = "xapi",
    operation_id = "read_state",
    params(
        ("activityId" = String, Query, description = "The Activity's IRI.", example = "https://example.com/fire-safety"),
        ("agent" = String, Query, description = "The Agent as JSON.", example = r#"{"mbox":"mailto:ada@example.com"}"#),
        ("registration" = Option<uuid::Uuid>, Query, description = "Of this registration. Ids without it are those of every one."),
        ("stateId" = Option<String>, Query, description = "This document; without it, a list of ids.", example = "bookmark"),
        ("since" = Option<String>, Query, description = "Ids of documents written after this moment."),
        ("If-None-Match" = Option<String>, Header, description = "ETags that the client has: 304 where one still holds."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses(
        (status = 200, description = "The document with its own media type and ETag, or an array of ids.", content(
            (serde_json::Value = "application/json"),
            (crate::http::openapi::Binary = "*/*")
        )),
        (status = 304, description = "The client has it already.")
    )
)]
async fn read_state(
    caller: Caller<ReadState>,
    _version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let of = state(&query);
    let asked = documents::name_or_list(&query, "stateId");
    query.finish()?;
    documents::read(&caller, &request, &of, asked).await
}

/// Keep a state document, instead of the one that is there.
#[utoipa::path(
    put,
    path = "/xapi/activities/state",
    tag = "xapi",
    operation_id = "put_state",
    request_body(content = String, content_type = "application/octet-stream",
        description = "The document, of any media type."),
    params(
        ("activityId" = String, Query, description = "The Activity's IRI.", example = "https://example.com/fire-safety"),
        ("agent" = String, Query, description = "The Agent as JSON.", example = r#"{"mbox":"mailto:ada@example.com"}"#),
        ("registration" = Option<uuid::Uuid>, Query, description = "Of this registration."),
        ("stateId" = String, Query, description = "The document's id.", example = "bookmark"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the document that it replaces. In 2.0.0 needed where there is one."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only where there is none."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 204, description = "Kept."))
)]
async fn put_state(
    caller: Caller<WriteState>,
    version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: Payload,
) -> Answer {
    let writing = Writing::Put(documents::unsaid_of_state(version));
    write(caller, request, pairs, payload, writing).await
}

/// Keep a state document, or merge it into the one that is there.
///
/// Both must be JSON objects; the members of the one that is sent replace those of the other.
#[utoipa::path(
    post,
    path = "/xapi/activities/state",
    tag = "xapi",
    operation_id = "post_state",
    request_body(content = serde_json::Value, description = "The document; an object where one is there already.",
        example = json!({"page": 7})),
    params(
        ("activityId" = String, Query, description = "The Activity's IRI.", example = "https://example.com/fire-safety"),
        ("agent" = String, Query, description = "The Agent as JSON.", example = r#"{"mbox":"mailto:ada@example.com"}"#),
        ("registration" = Option<uuid::Uuid>, Query, description = "Of this registration."),
        ("stateId" = String, Query, description = "The document's id.", example = "bookmark"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the document that is there."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only where there is none."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 204, description = "Kept or merged."))
)]
async fn post_state(
    caller: Caller<WriteState>,
    _version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: Payload,
) -> Answer {
    write(caller, request, pairs, payload, Writing::Post).await
}

async fn write(
    caller: Caller<WriteState>,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: Payload,
    writing: Writing,
) -> Answer {
    let query = pairs.reader();
    let of = state(&query);
    let name = documents::name(&query, "stateId");
    query.finish()?;
    documents::write(&caller, &request, payload, &of, &name, writing).await
}

/// Delete one state document, or all.
#[utoipa::path(
    delete,
    path = "/xapi/activities/state",
    tag = "xapi",
    operation_id = "delete_state",
    params(
        ("activityId" = String, Query, description = "The Activity's IRI.", example = "https://example.com/fire-safety"),
        ("agent" = String, Query, description = "The Agent as JSON.", example = r#"{"mbox":"mailto:ada@example.com"}"#),
        ("registration" = Option<uuid::Uuid>, Query, description = "Of this registration. Without it and `stateId`, those of every one."),
        ("stateId" = Option<String>, Query, description = "This document; without it, all.", example = "bookmark"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the document that is there."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 204, description = "Not there any more."))
)]
async fn delete_state(
    caller: Caller<WriteState>,
    _version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let of = state(&query);
    let name = documents::name_if_given(&query, "stateId");
    query.finish()?;
    match name {
        Some(name) => documents::delete(&caller, &request, &of, &name).await,
        None => documents::delete_all(&caller, &request, &of).await,
    }
}
