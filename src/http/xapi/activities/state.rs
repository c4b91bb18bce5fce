//! `/xapi/activities/state`: what content stores about an agent's attempt at an Activity (xAPI 1.0.3,
//! Communication 2.3).

use actix_web::web::ServiceConfig;
use serde_json::json;
use utoipa::openapi::OpenApi;

use crate::access::permit::{ReadState, WriteState};
use crate::http::query::QueryReader;
use crate::http::xapi::documents::openapi::{self, SetParameter, Texts};
use crate::http::xapi::documents::{
    self, DocumentResource, METHODS, parse_activity, parse_agent, parse_registration,
};
use crate::record::Version;
use crate::store::{DefaultPrecondition, DocumentSet};

struct States;

impl DocumentResource for States {
    type Read = ReadState;
    type Write = WriteState;

    const PATH: &'static str = "/xapi/activities/state";
    const ID_PARAMETER: &'static str = "stateId";
    const CAN_DELETE_ALL: bool = true;
    const TEXTS: Texts = Texts {
        operation: "state",
        document: "state document",
        id_example: "bookmark",
        document_example: || json!({"page": 7}),
    };

    fn parse_set(query: &QueryReader<'_>) -> DocumentSet {
        DocumentSet::States {
            activity: parse_activity(query),
            agent: parse_agent(query),
            registration: parse_registration(query),
        }
    }

    fn set_parameters() -> Vec<SetParameter> {
        vec![
            SetParameter::activity(),
            SetParameter::agent(),
            SetParameter::registration(),
        ]
    }

    fn default_precondition(version: Version) -> DefaultPrecondition {
        match version {
            // "Since state conflicts are unlikely" (Communication 3.1).
            Version::V1 => DefaultPrecondition::Allowed,
            Version::V2 => DefaultPrecondition::OnlyNew,
        }
    }
}

/// Adds the routes of this file.
pub fn routes(config: &mut ServiceConfig) {
    documents::routes::<States>(config);
}

/// Returns this file's part of the OpenAPI document.
pub fn document() -> OpenApi {
    openapi::document::<States>()
}

/// The paths of this file with their methods.
pub const TABLE: &[(&str, &[&str])] = &[(States::PATH, METHODS)];
