//! `/xapi/activities/profile`: documents about an Activity (xAPI 1.0.3, Communication 2.7).

use actix_web::web::ServiceConfig;
use serde_json::json;
use utoipa::openapi::OpenApi;

use crate::access::permit::{ReadProfiles, WriteProfiles};
use crate::http::query::QueryReader;
use crate::http::xapi::documents::openapi::{self, SetParameter, Texts};
use crate::http::xapi::documents::{self, DocumentResource, METHODS, parse_activity, profile_precondition};
use crate::record::Version;
use crate::store::{DefaultPrecondition, DocumentSet};

struct ActivityProfiles;

impl DocumentResource for ActivityProfiles {
    type Read = ReadProfiles;
    type Write = WriteProfiles;

    const PATH: &'static str = "/xapi/activities/profile";
    const ID_PARAMETER: &'static str = "profileId";
    const CAN_DELETE_ALL: bool = false;
    const TEXTS: Texts = Texts {
        operation: "activity_profile",
        document: "document of an Activity's profile",
        id_example: "preferences",
        document_example: || json!({"language": "en"}),
    };

    fn parse_set(query: &QueryReader<'_>) -> DocumentSet {
        DocumentSet::ActivityProfile {
            activity: parse_activity(query),
        }
    }

    fn set_parameters() -> Vec<SetParameter> {
        vec![SetParameter::activity()]
    }

    fn default_precondition(version: Version) -> DefaultPrecondition {
        profile_precondition(version)
    }
}

/// Adds the routes of this file.
pub fn routes(config: &mut ServiceConfig) {
    documents::routes::<ActivityProfiles>(config);
}

/// Returns this file's part of the OpenAPI document.
pub fn document() -> OpenApi {
    openapi::document::<ActivityProfiles>()
}

/// The paths of this file with their methods.
pub const TABLE: &[(&str, &[&str])] = &[(ActivityProfiles::PATH, METHODS)];
