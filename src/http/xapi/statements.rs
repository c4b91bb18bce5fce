//! `/xapi/statements` (xAPI 1.0.3, Communication 2.1; contract section 10): statements in, as they are out.
//!
//! Here stand the routes. `write` reads what comes in and keeps it, `upload` the attachments that come with it;
//! `read` answers questions, `page` writes the answers, with attachments where they are asked for.

mod page;
mod read;
mod upload;
mod write;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use uuid::Uuid;

use crate::access::Principal;
use crate::access::permit::{ReadStatements, WriteStatements};
use crate::http::auth::Caller;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::base::ids::StatementId;
use crate::record::{Actor, Identifier};

use super::XapiVersion;
use upload::Many;

/// Until when everything stored can be read (Communication 2.1.3).
const CONSISTENT_THROUGH: HeaderName = HeaderName::from_static("x-experience-api-consistent-through");

routes! {
    "/xapi/statements" => { get: read_statements, post: store_statements, put: store_statement },
}

/// Keep one or several statements: all of them or none.
///
/// With attachments the body is multipart/mixed: the statements as its first part, then the content of each attachment.
#[utoipa::path(
    post,
    path = "/xapi/statements",
    tag = "xapi",
    operation_id = "store_statements",
    request_body(content = serde_json::Value, description = "A statement, or an array of statements.",
        example = json!({"actor": {"mbox": "mailto:ada@example.com"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed"}},
            "object": {"id": "https://example.com/fire-safety", "definition": {"name": {"en": "Fire Safety"}}}})),
    params(("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")),
    responses((status = 200, description = "The ids, in order.", body = Vec<Uuid>))
)]
async fn store_statements(
    caller: Caller<WriteStatements>,
    version: XapiVersion,
    request: HttpRequest,
    query: QueryPairs,
    payload: web::Payload,
) -> Answer {
    query.refuse_any()?;
    let received = upload::receive(&caller, version.version(), &request, payload, Many::Any).await?;
    let ids = write::keep(&caller, version, received, None).await?;
    Ok(HttpResponse::Ok().json(ids))
}

/// Keep one statement under the id in the query.
///
/// With attachments the body is multipart/mixed: the statement as its first part, then the content of each attachment.
#[utoipa::path(
    put,
    path = "/xapi/statements",
    tag = "xapi",
    operation_id = "store_statement",
    request_body(content = serde_json::Value, description = "The statement.",
        example = json!({"actor": {"mbox": "mailto:ada@example.com"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/attempted"},
            "object": {"id": "https://example.com/fire-safety"}})),
    params(
        ("statementId" = Uuid, Query, description = "The statement's id."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 204, description = "Kept, or kept before."))
)]
async fn store_statement(
    caller: Caller<WriteStatements>,
    version: XapiVersion,
    request: HttpRequest,
    query: QueryPairs,
    payload: web::Payload,
) -> Answer {
    let reader = query.reader();
    let id = reader.value::<Uuid>("statementId").map(StatementId);
    if reader.text("statementId").is_none() {
        reader.fault("statementId", "is missing: a statement is put under its id");
    }
    reader.finish()?;
    // There is one by now: without it there was a fault.
    let id = id.ok_or_else(|| Problem::internal("a query without faults and without an id"))?;
    let received = upload::receive(&caller, version.version(), &request, payload, Many::One(id)).await?;
    write::keep(&caller, version, received, Some(id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Read statements: one by its id, or those that match, in the order in which they were stored.
///
/// With `attachments=true` the answer is multipart/mixed: the same JSON as its first part, then the content of each
/// attachment.
#[utoipa::path(
    get,
    path = "/xapi/statements",
    tag = "xapi",
    operation_id = "read_statements",
    params(
        ("statementId" = Option<Uuid>, Query, description = "One statement that is not voided."),
        ("voidedStatementId" = Option<Uuid>, Query, description = "One statement that is voided."),
        ("agent" = Option<String>, Query, description = "Of this actor: an Agent or identified Group as JSON."),
        ("verb" = Option<String>, Query, description = "With the verb of this IRI."),
        ("activity" = Option<String>, Query, description = "About the Activity of this IRI."),
        ("registration" = Option<Uuid>, Query, description = "Of this registration."),
        ("related_activities" = Option<bool>, Query, description = "`activity` may stand anywhere in the statement."),
        ("related_agents" = Option<bool>, Query, description = "`agent` may stand anywhere in the statement."),
        ("since" = Option<String>, Query, description = "Stored after this moment."),
        ("until" = Option<String>, Query, description = "Stored at this moment or before."),
        ("limit" = Option<u32>, Query, description = "Statements of a page; 0 is the most there may be."),
        ("ascending" = Option<bool>, Query, description = "The oldest first."),
        ("format" = Option<String>, Query, description = "`exact`, `ids` or `canonical`."),
        ("attachments" = Option<bool>, Query, description = "With the content of attachments."),
        ("cursor" = Option<String>, Query, description = "From the last page's `more`."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 200, description = "The statement, or `{statements, more}`. With `attachments=true` the first part of a \
        multipart answer, followed by the contents of attachments.", content(
            (serde_json::Value = "application/json"),
            (crate::http::openapi::Binary = "multipart/mixed")
        )))
)]
async fn read_statements(
    caller: Caller<ReadStatements>,
    _version: XapiVersion,
    request: HttpRequest,
    query: QueryPairs,
) -> Answer {
    // Asked for first: what is stored meanwhile is stored after that moment. Errors say it too.
    let through = caller.store().consistent_through(caller.org()).await?;
    let through = HeaderValue::from_str(&through.to_string()).map_err(Problem::internal)?;
    match read::answer(&caller, &request, &query).await {
        Ok(mut response) => {
            response.headers_mut().insert(CONSISTENT_THROUGH, through);
            Ok(response)
        }
        Err(problem) => Err(problem.with_header(CONSISTENT_THROUGH, through)),
    }
}

/// Who vouches for a statement (Data 2.4.9): the credential or the person, as an account of the organisation's own.
pub(in crate::http) fn authority(principal: &Principal, home_page: &str) -> String {
    let name = match principal {
        Principal::Person(person) => person.user.to_string(),
        Principal::Credential(credential) => credential.key.clone(),
        // The permit refuses it before it comes here; never in its owner's name.
        Principal::ReportKey(_) => principal.caller_id(),
    };
    let account = Identifier::Account {
        home_page: home_page.to_owned(),
        name,
    };
    Actor::agent(account, None).to_json()
}
