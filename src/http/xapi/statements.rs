//! `/xapi/statements` (xAPI 1.0.3, Communication 2.1; contract section 10): statements in, as they are out.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::access::permit::{ReadStatements, WriteStatements};
use crate::access::{CredentialScope, Principal, StatementReach};
use crate::http::auth::Caller;
use crate::http::json::JsonBytes;
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::{Pairs, Reader};
use crate::http::routes::routes;
use crate::ids::StatementId;
use crate::record::{
    ActorKind, Envelope, Identifier, Limits, Origin, Preference, Statement, format, parse_statement,
    parse_statements, timestamp,
};
use crate::store::{Incoming, KeptStatement, Sameness, StatementQuery, Submission, Voidedness};

use super::XapiVersion;

/// Until when everything stored can be read (Communication 2.1.3).
const CONSISTENT_THROUGH: HeaderName = HeaderName::from_static("x-experience-api-consistent-through");

routes! {
    "/xapi/statements" => { get: read_statements, post: store_statements, put: store_statement },
}

/// Keep one or several statements: all of them or none.
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
    query: Pairs,
    body: Result<JsonBytes, Problem>,
) -> Answer {
    query.none()?;
    let body = body.map_err(bad_body)?;
    let statements = parse_statements(&body.0, version.version(), &limits(&caller))?;
    let array = body.0.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let ids = keep(&caller, version, statements, None, array).await?;
    Ok(HttpResponse::Ok().json(ids))
}

/// Keep one statement under the id in the query.
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
    query: Pairs,
    body: Result<JsonBytes, Problem>,
) -> Answer {
    let body = body.map_err(bad_body)?;
    let reader = query.reader();
    let id = reader.value::<Uuid>("statementId").map(StatementId);
    if reader.text("statementId").is_none() {
        reader.fault("statementId", "is missing: a statement is put under its id");
    }
    reader.finish()?;
    let statement = parse_statement(&body.0, version.version(), &limits(&caller))?;
    if statement.id.is_some_and(|own| Some(own) != id) {
        return Err(Problem::body(
            "/id",
            "the statement's id must be the `statementId` of the query",
        ));
    }
    keep(&caller, version, vec![statement], id, false).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Here a body of another kind is a bad request (400, never 415), as the conformance suites ask.
fn bad_body(problem: Problem) -> Problem {
    match problem.code() {
        Code::UnsupportedMediaType => Problem::bad_request(problem.detail()),
        _ => problem,
    }
}

async fn keep(
    caller: &Caller<WriteStatements>,
    version: XapiVersion,
    statements: Vec<Statement>,
    id: Option<StatementId>,
    array: bool,
) -> Result<Vec<StatementId>, Problem> {
    let missing = statements.iter().enumerate().find_map(|(index, statement)| {
        let attachment = statement.attachments.iter().position(|a| a.file_url.is_none())?;
        let place = if array { format!("/{index}") } else { String::new() };
        Some(format!("{place}/attachments/{attachment}"))
    });
    if let Some(pointer) = missing {
        return Err(Problem::body(
            pointer,
            "an attachment without a fileUrl must come with its content, in a multipart/mixed request",
        ));
    }
    let envelope = Arc::new(envelope(caller.principal()));
    let records = statements
        .into_iter()
        .map(|statement| {
            let given = id.or(statement.id);
            Incoming {
                id: given.unwrap_or_else(|| caller.edge().clock().new_statement_id()),
                id_was_given: given.is_some(),
                statement: Arc::new(statement),
                envelope: Arc::clone(&envelope),
                sameness: Sameness::Statement,
            }
        })
        .collect();
    let submission = Submission {
        org: caller.org().clone(),
        records,
        authority: authority(caller.principal(), &caller.organisation().account_home_page),
        version: version.written(),
        sender: caller
            .principal()
            .credential()
            .map(|credential| credential.key.clone()),
    };
    let recorded = caller.store().record(submission).await;
    let recorded = recorded.map_err(|error| Problem::recording(error, array))?;
    Ok(recorded.into_iter().map(|record| record.id()).collect())
}

fn limits<A>(caller: &Caller<A>) -> Limits {
    let limits = caller.edge().limits();
    Limits {
        depth: limits.json_depth,
        batch: limits.batch,
        ..Limits::default()
    }
}

/// What Rollbook knows of statements from this sender. Without `define` a credential's definitions don't
/// touch the catalogue (contract section 4).
fn envelope(principal: &Principal) -> Envelope {
    let defines = principal
        .credential()
        .is_none_or(|sender| sender.scopes.allows(CredentialScope::Define));
    Envelope {
        origin: Origin::Xapi,
        recorded_by: principal.user().cloned(),
        defines,
        ..Envelope::default()
    }
}

/// Who vouches for a statement: the credential or the person, as an account of the organisation's own.
pub(in crate::http) fn authority(principal: &Principal, home_page: &str) -> String {
    let name = match principal {
        Principal::Person(person) => person.user.as_str(),
        Principal::Credential(credential) => credential.key.as_str(),
    };
    let account = Identifier::Account {
        home_page: home_page.to_owned(),
        name: name.to_owned(),
    };
    account.to_actor_json(ActorKind::Agent, None)
}

/// Read statements: one by its id, or those that match, in the order in which they were stored.
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
        ("since" = Option<String>, Query, description = "Stored after this moment."),
        ("until" = Option<String>, Query, description = "Stored at this moment or before."),
        ("limit" = Option<u32>, Query, description = "Statements of a page; 0 is the most there may be."),
        ("ascending" = Option<bool>, Query, description = "The oldest first."),
        ("format" = Option<String>, Query, description = "`exact`, `ids` or `canonical`."),
        ("cursor" = Option<String>, Query, description = "From the last page's `more`."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 200, description = "The statement, or `{statements, more}`.", body = serde_json::Value))
)]
async fn read_statements(
    caller: Caller<ReadStatements>,
    _version: XapiVersion,
    request: HttpRequest,
    query: Pairs,
) -> Answer {
    // Asked for first: what is stored meanwhile is stored after that moment. Errors say it too.
    let through = caller.store().consistent_through(caller.org()).await?;
    let through = HeaderValue::from_str(&through.to_string()).map_err(Problem::internal)?;
    match answer(&caller, &request, &query).await {
        Ok(mut response) => {
            response.headers_mut().insert(CONSISTENT_THROUGH, through);
            Ok(response)
        }
        Err(problem) => Err(problem.with_header(CONSISTENT_THROUGH, through)),
    }
}

async fn answer(caller: &Caller<ReadStatements>, request: &HttpRequest, query: &Pairs) -> Answer {
    let reach = caller
        .principal()
        .statement_reach()
        .ok_or_else(|| Problem::forbidden("no scope to read"))?;
    let reader = query.reader();
    let by_id = by_id(&reader);
    let shape = Shape::read(&reader, request);
    if reader.flag("attachments") == Some(true) {
        reader.fault("attachments", "is not offered yet: leave it out");
    }
    let response = match by_id {
        Some((id, voidedness)) => {
            for (name, _) in query.as_slice() {
                if !["statementId", "voidedStatementId", "attachments", "format"].contains(&name.as_str()) {
                    reader.fault(name, "can't stand beside an id");
                }
            }
            reader.finish()?;
            one(caller, &reach, id, voidedness, &shape).await?
        }
        None => {
            let wanted = wanted(caller, &reader);
            reader.finish()?;
            list(caller, &reach, wanted, &shape, query).await?
        }
    };
    Ok(response)
}

fn by_id(reader: &Reader<'_>) -> Option<(StatementId, Voidedness)> {
    let standing = reader
        .value::<Uuid>("statementId")
        .map(|id| (StatementId(id), Voidedness::Standing));
    let voided = reader
        .value::<Uuid>("voidedStatementId")
        .map(|id| (StatementId(id), Voidedness::Voided));
    if standing.is_some() && voided.is_some() {
        reader.fault("voidedStatementId", "can't stand beside statementId");
    }
    standing.or(voided)
}

/// How statements are given back (Communication 2.1.3, `format`).
enum Shape {
    Exact,
    Ids,
    Canonical(Preference),
}

impl Shape {
    fn read(reader: &Reader<'_>, request: &HttpRequest) -> Self {
        match reader.text("format") {
            None | Some("exact") => Self::Exact,
            Some("ids") => Self::Ids,
            Some("canonical") => {
                let language = request.headers().get(header::ACCEPT_LANGUAGE);
                let language = language.and_then(|value| value.to_str().ok()).unwrap_or_default();
                Self::Canonical(Preference::parse(language))
            }
            Some(_) => {
                reader.fault("format", "must be `exact`, `ids` or `canonical`");
                Self::Exact
            }
        }
    }

    fn text(&self, kept: KeptStatement) -> Result<String, Problem> {
        match self {
            Self::Exact => Ok(kept.text),
            Self::Ids => format::ids(&kept.text).map_err(Problem::internal),
            Self::Canonical(preference) => {
                format::canonical(&kept.text, preference).map_err(Problem::internal)
            }
        }
    }
}

async fn one(
    caller: &Caller<ReadStatements>,
    reach: &StatementReach,
    id: StatementId,
    voidedness: Voidedness,
    shape: &Shape,
) -> Result<HttpResponse, Problem> {
    let kept = caller
        .store()
        .statement(caller.org(), reach, id, voidedness)
        .await?;
    let text = shape.text(kept.ok_or_else(Problem::not_found)?)?;
    Ok(HttpResponse::Ok()
        .content_type(header::ContentType::json())
        .body(text))
}

fn wanted(caller: &Caller<ReadStatements>, reader: &Reader<'_>) -> StatementQuery {
    let time = |name| {
        let text = reader.text(name)?;
        timestamp::parse(text)
            .map_err(|error| reader.fault(name, error.to_string()))
            .ok()
    };
    let iri = |name| {
        let text = reader.text(name)?;
        if oxiri::Iri::parse(text).is_err() {
            reader.fault(name, "must be an IRI with its scheme");
        }
        Some(text.to_owned())
    };
    let agent = reader.text("agent").and_then(|text| {
        Identifier::parse_agent(text)
            .map_err(|fault| reader.fault("agent", fault.to_string()))
            .ok()
    });
    for name in ["related_activities", "related_agents"] {
        if reader.flag(name) == Some(true) {
            reader.fault(name, "is not offered yet: leave it out");
        }
    }
    let most = caller.edge().limits().page_max;
    let limit = reader.number("limit", 0..=usize::MAX >> 1).unwrap_or(0);
    let limit = if limit == 0 { most } else { limit.min(most) };
    StatementQuery {
        agent,
        verb: iri("verb"),
        activity: iri("activity"),
        registration: reader.value("registration"),
        since: time("since"),
        until: time("until"),
        ascending: reader.flag("ascending").unwrap_or(false),
        after: reader.value("cursor"),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
    }
}

async fn list(
    caller: &Caller<ReadStatements>,
    reach: &StatementReach,
    mut wanted: StatementQuery,
    shape: &Shape,
    query: &Pairs,
) -> Result<HttpResponse, Problem> {
    let limit = wanted.limit;
    wanted.limit = limit.saturating_add(1);
    let mut kept = caller.store().statements(caller.org(), reach, &wanted).await?;
    let more = kept.len() > limit as usize;
    kept.truncate(limit as usize);
    let more = match kept.last() {
        Some(last) if more => crate::http::pages::next("/xapi/statements", query, &last.seq.to_string()),
        _ => String::new(),
    };
    let statements = kept
        .into_iter()
        .map(|kept| RawValue::from_string(shape.text(kept)?).map_err(Problem::internal))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(StatementResult { statements, more }))
}

/// A page of statements (Communication 2.1.3).
#[derive(Serialize)]
struct StatementResult {
    statements: Vec<Box<RawValue>>,
    /// The relative address of the next page; the empty text on the last one.
    more: String,
}
