//! `/xapi/statements`: writes and reads statements (xAPI 1.0.3, Communication 2.1; `docs/specification.md#statements`).
//!
//! This file has the routes. `upload` reads the body of a write, with attachments, and `write` stores the statements.
//! `read` answers queries, and `page` writes the answers, with attachments if they are requested.

mod page;
mod read;
mod upload;
mod write;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Principal;
use crate::access::permit::{ReadStatements, WriteStatements};
use crate::base::ids::StatementId;
use crate::http::auth::Caller;
use crate::http::openapi::{Binary, FoundStatements, NewStatements, Statement};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::record::{Actor, Identifier};

use super::XapiVersion;
use upload::Expected;

/// The header with the moment up to which every stored statement can be read (Communication 2.1.3).
const CONSISTENT_THROUGH: HeaderName = HeaderName::from_static("x-experience-api-consistent-through");

routes! {
    "/xapi/statements" => { get: read_statements, post: store_statements, put: store_statement },
}

/// The formats of statements in an answer.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "only the schema of the variants is used")]
enum StatementFormat {
    Exact,
    Ids,
    Canonical,
}

/// Store one or several statements: all of them or none.
///
/// A body with attachments is multipart/mixed: the statements are the first part, then follows each attachment.
#[utoipa::path(
    post,
    path = "/xapi/statements",
    tag = "xapi",
    operation_id = "store_statements",
    request_body(description = "A statement, or an array of statements.", content(
        (NewStatements = "application/json", example = json!([{"actor": {"mbox": "mailto:ada@example.com"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed"}},
            "object": {"id": "https://example.com/fire-safety", "definition": {"name": {"en": "Fire Safety"}}}}])),
        (Binary = "multipart/mixed")
    )),
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
    let received = upload::receive(&caller, version.version(), &request, payload, Expected::Any).await?;
    let ids = write::store(&caller, version, received, None).await?;
    Ok(HttpResponse::Ok().json(ids))
}

/// Store one statement with the id in the query.
///
/// A body with attachments is multipart/mixed: the statement is the first part, then follows each attachment.
#[utoipa::path(
    put,
    path = "/xapi/statements",
    tag = "xapi",
    operation_id = "store_statement",
    request_body(description = "The statement.", content(
        (Statement = "application/json", example = json!({"actor": {"mbox": "mailto:ada@example.com"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/attempted"},
            "object": {"id": "https://example.com/fire-safety"}})),
        (Binary = "multipart/mixed")
    )),
    params(
        ("statementId" = Uuid, Query, description = "The statement's id."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 204, description = "The statement is stored, now or before."))
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
        reader.add_fault("statementId", "is missing; PUT needs the id of the statement");
    }
    reader.finish()?;
    // A missing id is a fault, which `finish` has refused.
    let id = id.ok_or_else(|| Problem::internal("the query has no fault and no statementId"))?;
    let received = upload::receive(&caller, version.version(), &request, payload, Expected::One(id)).await?;
    write::store(&caller, version, received, Some(id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Read statements: one by its id, or all that match the parameters, in the order of storing.
///
/// With `attachments=true` the answer is multipart/mixed: the same JSON is the first part, then follows each
/// attachment.
#[utoipa::path(
    get,
    path = "/xapi/statements",
    tag = "xapi",
    operation_id = "read_statements",
    params(
        ("statementId" = Option<Uuid>, Query, description = "The id of one statement that is not voided."),
        ("voidedStatementId" = Option<Uuid>, Query, description = "The id of one statement that is voided."),
        ("agent" = Option<String>, Query, description = "The actor or object: an Agent or identified Group as JSON."),
        ("verb" = Option<String>, Query, description = "The IRI of the verb."),
        ("activity" = Option<String>, Query, description = "The IRI of the Activity that is the object."),
        ("registration" = Option<Uuid>, Query, description = "The registration."),
        ("related_activities" = Option<bool>, Query, description = "`activity` may occur anywhere in the statement."),
        ("related_agents" = Option<bool>, Query, description = "`agent` may occur anywhere in the statement."),
        ("since" = Option<String>, Query, format = DateTime, description = "Stored after this moment."),
        ("until" = Option<String>, Query, format = DateTime, description = "Stored at this moment or before."),
        ("limit" = Option<u32>, Query, minimum = 0, description = "The most statements of a page; 0 means the largest page."),
        ("ascending" = Option<bool>, Query, description = "The oldest statement first."),
        ("format" = inline(Option<StatementFormat>), Query, description = "`exact`, `ids` or `canonical`."),
        ("attachments" = Option<bool>, Query, description = "Send the contents of attachments too."),
        ("cursor" = Option<String>, Query, description = "From the last page's `more`."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 200, description = "The statement, or `{statements, more}`. With `attachments=true` the first part of a \
        multipart answer, followed by the contents of attachments.", content(
            (FoundStatements = "application/json"),
            (Binary = "multipart/mixed")
        )))
)]
async fn read_statements(
    caller: Caller<ReadStatements>,
    _version: XapiVersion,
    request: HttpRequest,
    query: QueryPairs,
) -> Answer {
    // Read before the statements: what is stored meanwhile is stored after this moment. Errors have the header too.
    let through = caller.store().consistent_through(caller.org()).await?;
    let through = HeaderValue::from_str(&through.to_string()).map_err(Problem::internal)?;
    let caller = caller.on_replica().await;
    match read::read(&caller, &request, &query).await {
        Ok(mut response) => {
            response.headers_mut().insert(CONSISTENT_THROUGH, through);
            Ok(response)
        }
        Err(problem) => Err(problem.with_header(CONSISTENT_THROUGH, through)),
    }
}

/// Returns the authority of a statement (Data 2.4.9): the account of the credential, person or launch in the organisation.
pub(in crate::http) fn authority(principal: &Principal, home_page: &str) -> String {
    let name = match principal {
        Principal::Person(person) => person.user.to_string(),
        Principal::Credential(credential) => credential.key.clone(),
        // A report key has no permission to write. If it had, it would not write in the name of its owner.
        Principal::ReportKey(_) | Principal::Launch(_) => principal.caller_id(),
    };
    let account = Identifier::Account {
        home_page: home_page.to_owned(),
        name,
    };
    Actor::agent(account, None).to_json()
}
