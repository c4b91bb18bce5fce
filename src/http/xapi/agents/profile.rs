//! `/xapi/agents/profile` (xAPI 1.0.3, Communication 2.6; contract section 10): what is kept of an agent.

use actix_web::HttpRequest;
use actix_web::web::Payload;

use crate::access::permit::{ReadProfiles, WriteProfiles};
use crate::http::auth::Caller;
use crate::http::problem::Answer;
use crate::http::query::{QueryPairs, QueryReader};
use crate::http::routes::routes;
use crate::http::xapi::XapiVersion;
use crate::http::xapi::documents::{self, Writing};
use crate::store::DocumentSet;

routes! {
    "/xapi/agents/profile" => {
        get: read_agent_profile,
        put: put_agent_profile,
        post: post_agent_profile,
        delete: delete_agent_profile,
    },
}

/// Whose profile is asked for.
fn profile(query: &QueryReader<'_>) -> DocumentSet {
    DocumentSet::AgentProfile {
        agent: documents::agent(query),
    }
}

/// Read one document of an agent's profile, or the ids of all.
#[utoipa::path(
    get,
    path = "/xapi/agents/profile",
    tag = "xapi",
    operation_id = "read_agent_profile",
    params(
        ("agent" = String, Query, description = "The Agent as JSON.", example = r#"{"mbox":"mailto:ada@example.com"}"#),
        ("profileId" = Option<String>, Query, description = "This document; without it, a list of ids.", example = "preferences"),
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
async fn read_agent_profile(
    caller: Caller<ReadProfiles>,
    _version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let of = profile(&query);
    let asked = documents::name_or_list(&query, "profileId");
    query.finish()?;
    documents::read(&caller, &request, &of, asked).await
}

/// Keep a document of an agent's profile, instead of the one that is there.
#[utoipa::path(
    put,
    path = "/xapi/agents/profile",
    tag = "xapi",
    operation_id = "put_agent_profile",
    request_body(content = String, content_type = "application/octet-stream",
        description = "The document, of any media type."),
    params(
        ("agent" = String, Query, description = "The Agent as JSON.", example = r#"{"mbox":"mailto:ada@example.com"}"#),
        ("profileId" = String, Query, description = "The document's id.", example = "preferences"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the document that it replaces; needed where there is one."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only where there is none; in 1.0.3 needed then."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 204, description = "Kept."))
)]
async fn put_agent_profile(
    caller: Caller<WriteProfiles>,
    version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: Payload,
) -> Answer {
    let writing = Writing::Put(documents::unsaid_of_profile(version));
    write(caller, request, pairs, payload, writing).await
}

/// Keep a document of an agent's profile, or merge it into the one that is there.
///
/// Both must be JSON objects; the members of the one that is sent replace those of the other.
#[utoipa::path(
    post,
    path = "/xapi/agents/profile",
    tag = "xapi",
    operation_id = "post_agent_profile",
    request_body(content = serde_json::Value, description = "The document; an object where one is there already.",
        example = json!({"language": "en"})),
    params(
        ("agent" = String, Query, description = "The Agent as JSON.", example = r#"{"mbox":"mailto:ada@example.com"}"#),
        ("profileId" = String, Query, description = "The document's id.", example = "preferences"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the document that is there."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only where there is none."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 204, description = "Kept or merged."))
)]
async fn post_agent_profile(
    caller: Caller<WriteProfiles>,
    _version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: Payload,
) -> Answer {
    write(caller, request, pairs, payload, Writing::Post).await
}

async fn write(
    caller: Caller<WriteProfiles>,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: Payload,
    writing: Writing,
) -> Answer {
    let query = pairs.reader();
    let of = profile(&query);
    let name = documents::name(&query, "profileId");
    query.finish()?;
    documents::write(&caller, &request, payload, &of, &name, writing).await
}

/// Delete a document of an agent's profile.
#[utoipa::path(
    delete,
    path = "/xapi/agents/profile",
    tag = "xapi",
    operation_id = "delete_agent_profile",
    params(
        ("agent" = String, Query, description = "The Agent as JSON.", example = r#"{"mbox":"mailto:ada@example.com"}"#),
        ("profileId" = String, Query, description = "The document's id.", example = "preferences"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the document that is there."),
        ("X-Experience-API-Version" = String, Header, description = "`1.0.3` or `2.0.0`.", example = "1.0.3")
    ),
    responses((status = 204, description = "Not there any more."))
)]
async fn delete_agent_profile(
    caller: Caller<WriteProfiles>,
    _version: XapiVersion,
    request: HttpRequest,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let of = profile(&query);
    let name = documents::name(&query, "profileId");
    query.finish()?;
    documents::delete(&caller, &request, &of, &name).await
}
