//! The query parameters of the document resources.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::{Place, json, timestamp};
use crate::http::query::QueryReader;
use crate::record::{Actor, Identifier, Iri};

/// Parses the required parameter `activityId`, an IRI.
pub(in crate::http::xapi) fn parse_activity(query: &QueryReader<'_>) -> String {
    let iri = require(query, "activityId");
    if let Some(Err(error)) = iri.map(Iri::parse) {
        query.add_fault("activityId", error.to_string());
    }
    iri.unwrap_or_default().to_owned()
}

/// Parses the required parameter `agent`, an Agent as JSON. A Group is not accepted (xAPI 1.0.3, Communication 2.6).
pub(in crate::http::xapi) fn parse_agent(query: &QueryReader<'_>) -> Identifier {
    // Stands for the agent after a fault, until the reader refuses the request.
    let placeholder = || Identifier::Mbox(String::new());
    let Some(text) = require(query, "agent") else {
        return placeholder();
    };
    let depth = crate::record::Limits::default().depth;
    let actor = json::parse(text, depth).and_then(|node| Actor::agent_from_node(&node, &Place::Root));
    match actor {
        Ok(actor) => actor.identifier.unwrap_or_else(|| {
            query.add_fault(
                "agent",
                "needs an identifier: mbox, mbox_sha1sum, openid or account",
            );
            placeholder()
        }),
        Err(fault) => {
            query.add_fault("agent", fault.to_string());
            placeholder()
        }
    }
}

/// Parses the optional parameter `registration`, a UUID.
pub(in crate::http::xapi) fn parse_registration(query: &QueryReader<'_>) -> Option<Uuid> {
    query.value("registration")
}

/// Parses the required id of a document.
pub(super) fn parse_id(query: &QueryReader<'_>, parameter: &str) -> String {
    let id = require(query, parameter);
    if id == Some("") {
        query.add_fault(parameter, "must not be empty");
    }
    id.unwrap_or_default().to_owned()
}

/// Parses the optional id of a document.
pub(super) fn parse_optional_id(query: &QueryReader<'_>, parameter: &str) -> Option<String> {
    let id = query.text(parameter);
    if id == Some("") {
        query.add_fault(parameter, "must not be empty");
    }
    id.map(str::to_owned)
}

/// Parses the optional parameter `since`.
pub(super) fn parse_since(query: &QueryReader<'_>) -> Option<Timestamp> {
    timestamp::parse(query.text("since")?)
        .map_err(|error| query.add_fault("since", error.to_string()))
        .ok()
}

fn require<'q>(query: &QueryReader<'q>, parameter: &str) -> Option<&'q str> {
    let value = query.text(parameter);
    if value.is_none() {
        query.add_fault(parameter, "is missing");
    }
    value
}
