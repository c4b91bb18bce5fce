//! `/v1/organisation`: the organisation's own settings (contract section 3).
//!
//! Every person reads them, and every credential with a scope of `/v1`, whose dates depend on the zone. Owner
//! and admin change them. Reading makes no organisation: one that is not there yet reads as what it will be.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::permit::{ManageOrganisation, ReadOrganisation};
use crate::catalogue::content::MAX_IRI;
use crate::base::Form;
use crate::base::form::short_text;
use crate::http::auth::Caller;
use crate::http::json::JsonBody;
use crate::http::keyed;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::record::Iri;
use crate::base::fault::{Fault, Place};
use crate::base::json::{self, Node};
use crate::store::{Organisation, OrganisationChange};

/// The longest name, in characters.
const MAX_NAME: usize = 255;

routes! {
    "/v1/organisation" => { get: read_organisation, patch: patch_organisation },
}

/// The organisation's settings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Organisation, example = json!({
    "name": "Acme",
    "time_zone": "Europe/London",
    "account_home_page": "https://rollbook.invalid/acme",
    "managers_see_indirect_reports": true
}))]
pub struct OrganisationView {
    /// How it is called; its id unless changed.
    pub name: String,
    /// The IANA name of the zone in which dates and periods are read; `UTC` unless changed.
    pub time_zone: String,
    /// The home page of the accounts by which its users' ids are xAPI identifiers.
    #[schema(format = "uri")]
    pub account_home_page: String,
    /// Whether managers see their indirect reports without a permission of their own; true unless changed.
    pub managers_see_indirect_reports: bool,
}

/// What may be changed of the organisation's settings; `null` sets one to what it was at first.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "Acme", "time_zone": "Europe/London"}))]
#[allow(dead_code, reason = "the shape of a body that is read member by member")]
pub struct OrganisationPatch {
    /// How it is called, at most 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    /// The IANA name of a zone.
    time_zone: Option<String>,
    /// An IRI. It can't change any more once a statement has named an account on it.
    #[schema(format = "uri", max_length = 2000)]
    account_home_page: Option<String>,
    /// Whether managers see their indirect reports without a permission of their own.
    managers_see_indirect_reports: Option<bool>,
}

const MEMBERS: [&str; 4] = [
    "name",
    "time_zone",
    "account_home_page",
    "managers_see_indirect_reports",
];

impl From<Organisation> for OrganisationView {
    fn from(organisation: Organisation) -> Self {
        let Organisation {
            name,
            time_zone,
            account_home_page,
            managers_see_indirect_reports,
        } = organisation;
        Self {
            name,
            time_zone,
            account_home_page,
            managers_see_indirect_reports,
        }
    }
}

/// Read the organisation's settings.
#[utoipa::path(
    get,
    path = "/v1/organisation",
    tag = "organisation",
    operation_id = "read_organisation",
    responses((status = 200, description = "The settings.", body = OrganisationView))
)]
async fn read_organisation(caller: Caller<ReadOrganisation>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let organisation = caller.store().organisation(caller.org()).await?;
    Ok(HttpResponse::Ok().json(OrganisationView::from(organisation)))
}

/// Change the organisation's settings by a merge patch (RFC 7396).
#[utoipa::path(
    patch,
    path = "/v1/organisation",
    tag = "organisation",
    operation_id = "patch_organisation",
    request_body(content = OrganisationPatch, content_type = "application/merge-patch+json",
        description = "The settings to change. Sent as application/json it means the same."),
    responses((status = 200, description = "The settings as they are now.", body = OrganisationView))
)]
async fn patch_organisation(
    caller: Caller<ManageOrganisation>,
    pairs: QueryPairs,
    JsonBody(body): JsonBody<Value>,
) -> Answer {
    pairs.refuse_any()?;
    let text = keyed::patch(body)?.to_string();
    let node = json::parse(&text, caller.app_state().limits().json_depth)?;
    let change = read_change(&node, &Organisation::initial(caller.org()))?;
    let changed = caller.store().change_organisation(caller.org(), change).await?;
    let Some(organisation) = changed else {
        let detail = "statements have named accounts on the present home page, so it can't change any more";
        return Err(Problem::conflict(detail).with_pointer("/account_home_page"));
    };
    caller.app_state().credentials().remove_organisation(caller.org());
    Ok(HttpResponse::Ok().json(OrganisationView::from(organisation)))
}

fn read_change(node: &Node<'_>, unset: &Organisation) -> Result<OrganisationChange, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut change = OrganisationChange::default();
    if let Some(mut form) = Form::from_node(node, &Place::Root, "an organisation", &MEMBERS, &mut faults) {
        change = OrganisationChange {
            name: form.read("name", name),
            time_zone: form.read("time_zone", time_zone),
            account_home_page: form.read("account_home_page", home_page),
            managers_see_indirect_reports: form.flag("managers_see_indirect_reports"),
        };
    }
    let reset = |member: &str| node.get(member) == Some(&Node::Null);
    if reset("name") {
        change.name = Some(unset.name.clone());
    }
    if reset("time_zone") {
        change.time_zone = Some(unset.time_zone.clone());
    }
    if reset("account_home_page") {
        change.account_home_page = Some(unset.account_home_page.clone());
    }
    if reset("managers_see_indirect_reports") {
        change.managers_see_indirect_reports = Some(unset.managers_see_indirect_reports);
    }
    if faults.is_empty() {
        Ok(change)
    } else {
        Err(faults)
    }
}

fn name(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    match short_text(node, place, MAX_NAME)? {
        name if name.trim().is_empty() => Err(place.fault(format!("a name has 1 to {MAX_NAME} characters"))),
        name => Ok(name),
    }
}

fn time_zone(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    let name = json::string(node, place)?;
    match name.parse::<chrono_tz::Tz>() {
        Ok(zone) => Ok(zone.name().to_owned()),
        Err(_) => Err(place.fault("the IANA name of a time zone is needed here, such as Europe/London")),
    }
}

fn home_page(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    short_text(node, place, MAX_IRI)?;
    Iri::from_node(node, place).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::OrgId;

    fn read(text: &str) -> Result<OrganisationChange, Vec<String>> {
        let node = json::parse(text, 8).expect("JSON");
        let initial = Organisation::initial(&OrgId::new("acme").expect("an id"));
        read_change(&node, &initial).map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn only_what_is_said_changes_and_null_resets() {
        assert_eq!(read("{}"), Ok(OrganisationChange::default()));
        let change = read(r#"{"time_zone":"Asia/Kolkata","name":null}"#).expect("a change");
        assert_eq!(change.time_zone.as_deref(), Some("Asia/Kolkata"));
        assert_eq!(change.name.as_deref(), Some("acme"));
        assert_eq!(change.account_home_page, None);
    }

    #[test]
    fn every_fault_has_its_place() {
        let text = r#"{"name":" ","time_zone":"Mars/Olympus","account_home_page":"home","id":"x",
            "managers_see_indirect_reports":"yes"}"#;
        let expected = [
            "/id",
            "/name",
            "/time_zone",
            "/account_home_page",
            "/managers_see_indirect_reports",
        ];
        assert_eq!(read(text), Err(expected.map(str::to_owned).to_vec()));
    }
}
