//! `/xapi/agents`: the names and identifiers of an agent, as a Person object (xAPI 1.0.3, Communication 2.4;
//! `docs/specification.md#activities-and-agents`).
//!
//! For an identifier that a user owns, the answer has all identifiers of the user. For an unclaimed identifier, it has
//! that identifier and the name in the records. A caller without the right to know more gets what it sent. The answer
//! for an agent that no record names is the same, so that it does not show which of the two it is.

pub mod profile;

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::ReadAgents;
use crate::base::Place;
use crate::base::json::{self, MAX_DEPTH};
use crate::directory::identity::AccountShape;
use crate::http::auth::Caller;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::record::{Actor, Identifier};
use crate::store::KnownAgent;

use super::XapiVersion;

routes! {
    "/xapi/agents" => { get: read_person_object },
}

/// The names and identifiers of an agent (xAPI 1.0.3, Communication 2.4). Empty lists are left out.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"objectType": "Person", "name": ["Ada Obi"], "mbox": ["mailto:ada@example.org"],
    "account": [{"homePage": "https://lms.example.org", "name": "u-17"}]}))]
pub struct PersonObject {
    /// Always `Person`.
    #[serde(rename = "objectType")]
    pub object_type: &'static str,
    /// The names; the name in the directory is the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub name: Vec<String>,
    /// The e-mail addresses, as `mailto:` IRIs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub mbox: Vec<String>,
    /// The SHA-1 hashes of `mailto:` IRIs, 40 hexadecimal digits each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub mbox_sha1sum: Vec<String>,
    /// The OpenIDs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub openid: Vec<String>,
    /// The accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, value_type = Vec<AccountShape>)]
    pub account: Vec<Account>,
}

/// An account of a system (xAPI 1.0.3, Data 2.4.2.4).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The home page of the system, an IRL.
    pub home_page: String,
    /// The name or number of the account in the system.
    pub name: String,
}

/// Read the names and identifiers of an agent, as far as the caller may know them.
///
/// A caller without the right to know more gets what it sent.
#[utoipa::path(
    get,
    path = "/xapi/agents",
    tag = "xapi",
    operation_id = "read_person_object",
    params(
        ("agent" = String, Query, description = "An Agent as JSON; not a Group.",
            example = "{\"mbox\":\"mailto:ada@example.org\"}"),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 200, description = "The Person, also for an agent that no record names.", body = PersonObject))
)]
async fn read_person_object(caller: Caller<ReadAgents>, _version: XapiVersion, query: QueryPairs) -> Answer {
    let (identifier, name) = parse_agent(&query)?;
    let reach = caller.principal().agent_reach();
    let agent = caller.store().find_agent(&reach, &identifier).await?;
    let mut agent = agent.unwrap_or_else(|| KnownAgent {
        names: Vec::new(),
        identifiers: vec![identifier],
    });
    if agent.names.is_empty() {
        agent.names.extend(name);
    }
    Ok(HttpResponse::Ok().json(PersonObject::from(agent)))
}

/// Parses the parameter `agent`, which is "not a Person Object, nor is it a Group". Returns its identifier and name.
fn parse_agent(query: &QueryPairs) -> Result<(Identifier, Option<String>), Problem> {
    let reader = query.reader();
    let agent = reader.text("agent");
    reader.finish()?;
    let fault = |detail: String| Problem::bad_parameter("agent", detail);
    let agent = agent.ok_or_else(|| fault("is missing; send an Agent as JSON".to_owned()))?;
    let node = json::parse(agent, MAX_DEPTH).map_err(|error| fault(error.to_string()))?;
    let agent = Actor::agent_from_node(&node, &Place::Root).map_err(|error| fault(error.to_string()))?;
    let identifier = agent
        .identifier
        .ok_or_else(|| fault("has no identifier".to_owned()))?;
    Ok((identifier, agent.name))
}

impl From<KnownAgent> for PersonObject {
    fn from(agent: KnownAgent) -> Self {
        let mut person = Self {
            object_type: "Person",
            name: agent.names,
            ..Self::default()
        };
        for identifier in agent.identifiers {
            match identifier {
                Identifier::Mbox(mbox) => person.mbox.push(mbox),
                Identifier::MboxSha1(sha1) => person.mbox_sha1sum.push(sha1),
                Identifier::OpenId(openid) => person.openid.push(openid),
                Identifier::Account { home_page, name } => person.account.push(Account { home_page, name }),
            }
        }
        person
    }
}
