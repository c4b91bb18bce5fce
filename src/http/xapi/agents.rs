//! `/xapi/agents`: everything that identifies an agent, as a Person object (xAPI 1.0.3, Communication 2.4;
//! contract sections 4 and 10).
//!
//! An identifier that a user of the directory has is answered with all of the user's, an unclaimed one with
//! itself and the name that the records gave. Whoever may not know more than they asked, and whoever asks for
//! an agent whom nobody has named, is answered what they asked for: the two can't be told apart.

pub mod profile;

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::ReadAgents;
use crate::directory::identity::AccountShape;
use crate::http::auth::Caller;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::base::json::{self, MAX_DEPTH};
use crate::record::{Actor, Identifier};
use crate::base::{Place};
use crate::store::KnownAgent;

use super::XapiVersion;

routes! {
    "/xapi/agents" => { get: read_person_object },
}

/// Everything that identifies an agent (xAPI 1.0.3, Communication 2.4). What there is none of is left out.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"objectType": "Person", "name": ["Ada Obi"], "mbox": ["mailto:ada@example.org"],
    "account": [{"homePage": "https://lms.example.org", "name": "u-17"}]}))]
pub struct PersonObject {
    /// `Person`.
    #[serde(rename = "objectType")]
    pub object_type: &'static str,
    /// What they are called; the name in the directory comes first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub name: Vec<String>,
    /// Their addresses, as `mailto:` IRIs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub mbox: Vec<String>,
    /// The SHA-1 of `mailto:` IRIs, 40 hexadecimal digits each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub mbox_sha1sum: Vec<String>,
    /// Their OpenIDs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub openid: Vec<String>,
    /// Their accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, value_type = Vec<AccountShape>)]
    pub account: Vec<Account>,
}

/// An account on some system (xAPI 1.0.3, Data 2.4.2.4).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The system's home page, an IRL.
    pub home_page: String,
    /// The account's name or number there.
    pub name: String,
}

/// Read everything that identifies an agent, as far as the caller may know it.
#[utoipa::path(
    get,
    path = "/xapi/agents",
    tag = "xapi",
    operation_id = "read_person_object",
    params(
        ("agent" = String, Query, description = "An Agent as JSON; no Group.",
            example = "{\"mbox\":\"mailto:ada@example.org\"}"),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 200, description = "The Person, also where nobody knows the agent.", body = PersonObject))
)]
async fn read_person_object(caller: Caller<ReadAgents>, _version: XapiVersion, query: QueryPairs) -> Answer {
    let (identifier, name) = asked(&query)?;
    let reach = caller.principal().agent_reach();
    let known = caller.store().find_agent(&reach, &identifier).await?;
    let mut known = known.unwrap_or_else(|| KnownAgent {
        names: Vec::new(),
        identifiers: vec![identifier],
    });
    if known.names.is_empty() {
        known.names.extend(name);
    }
    Ok(HttpResponse::Ok().json(PersonObject::from(known)))
}

/// The identifier and the name of the Agent in the query, which is "not a Person Object, nor is it a Group".
fn asked(query: &QueryPairs) -> Result<(Identifier, Option<String>), Problem> {
    let reader = query.reader();
    let agent = reader.text("agent");
    reader.finish()?;
    let bad = |detail: String| Problem::bad_parameter("agent", detail);
    let agent = agent.ok_or_else(|| bad("is missing: send an Agent as JSON".to_owned()))?;
    let node = json::parse(agent, MAX_DEPTH).map_err(|fault| bad(fault.to_string()))?;
    let agent = Actor::agent_from_node(&node, &Place::Root).map_err(|fault| bad(fault.to_string()))?;
    let identifier = agent
        .identifier
        .ok_or_else(|| bad("has no identifier".to_owned()))?;
    Ok((identifier, agent.name))
}

impl From<KnownAgent> for PersonObject {
    fn from(known: KnownAgent) -> Self {
        let mut person = Self {
            object_type: "Person",
            name: known.names,
            ..Self::default()
        };
        for identifier in known.identifiers {
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
