//! `/v1/organisation`: the organisation's own settings (`docs/specification.md#organisation`).
//!
//! Every person may read them, and every credential with a scope of `/v1`: their dates depend on the time zone. Owners and
//! admins may change them. An organisation that does not exist yet has the initial settings.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::permit::{ManageOrganisation, ReadOrganisation};
use crate::base::body::parse_body;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::form::{self, Form, short_text};
use crate::base::json::{self, Node};
use crate::catalogue::content::MAX_IRI;
use crate::http::auth::Caller;
use crate::http::json::MergePatch;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::record::Iri;
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
    /// The name. Initially the id.
    pub name: String,
    /// The IANA name of the time zone of dates and periods. Initially `UTC`.
    pub time_zone: String,
    /// The home page of the accounts by which its users' ids are xAPI identifiers.
    #[schema(format = "uri")]
    pub account_home_page: String,
    /// Whether all managers see their indirect reports. Initially true. Otherwise a manager needs a permission.
    pub managers_see_indirect_reports: bool,
}

/// The settings to change. `null` restores the initial value.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "Acme", "time_zone": "Europe/London"}))]
#[allow(dead_code, reason = "the shape of a body that is read member by member")]
pub struct OrganisationPatch {
    /// The name, at most 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    /// The IANA name of a time zone.
    time_zone: Option<String>,
    /// An IRI. It cannot change after a statement has named an account on it.
    #[schema(format = "uri", max_length = 2000)]
    account_home_page: Option<String>,
    /// Whether all managers see their indirect reports.
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
///
/// Every person may read them, and every credential with a scope of `/v1`.
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
///
/// Members that are left out stay as they are.
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
    patch: MergePatch,
) -> Answer {
    pairs.refuse_any()?;
    let initial = Organisation::initial(caller.org());
    let change = patch.read(|text, depth| parse_change(text, depth, &initial))?;
    let changed = caller.store().change_organisation(caller.org(), change).await?;
    let Some(organisation) = changed else {
        let detail = "the home page cannot change, because statements have named accounts on it";
        return Err(Problem::conflict(detail).with_pointer("/account_home_page"));
    };
    caller.app_state().credentials().remove_organisation(caller.org());
    caller.app_state().launches().remove_organisation(caller.org());
    Ok(HttpResponse::Ok().json(OrganisationView::from(organisation)))
}

/// Reads a change. A member that is `null` gets its initial value.
fn parse_change(text: &str, depth: usize, initial: &Organisation) -> Result<OrganisationChange, Faults> {
    parse_body(text, depth, |node, place, faults| {
        let mut form = Form::from_node(node, place, "an organisation", &MEMBERS, faults)?;
        let is_null = |member: &str| node.get(member) == Some(&Node::Null);
        let initial_if_null = |member: &str, initial: &str| is_null(member).then(|| initial.to_owned());
        Some(OrganisationChange {
            name: form
                .read("name", read_name)
                .or_else(|| initial_if_null("name", &initial.name)),
            time_zone: form
                .read("time_zone", read_time_zone)
                .or_else(|| initial_if_null("time_zone", &initial.time_zone)),
            account_home_page: form
                .read("account_home_page", read_home_page)
                .or_else(|| initial_if_null("account_home_page", &initial.account_home_page)),
            managers_see_indirect_reports: form.flag("managers_see_indirect_reports").or_else(|| {
                is_null("managers_see_indirect_reports").then_some(initial.managers_see_indirect_reports)
            }),
        })
    })
}

fn read_name(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    match form::read_name(node, place, MAX_NAME)? {
        name if name.is_empty() => Err(place.fault(format!("a name has 1 to {MAX_NAME} characters"))),
        name => Ok(name),
    }
}

fn read_time_zone(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    let name = json::string(node, place)?;
    match name.parse::<chrono_tz::Tz>() {
        Ok(zone) => Ok(zone.name().to_owned()),
        Err(_) => Err(place.fault("write the IANA name of a time zone, for example `Europe/London`")),
    }
}

fn read_home_page(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    short_text(node, place, MAX_IRI)?;
    Iri::from_node(node, place).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::OrgId;

    fn read(text: &str) -> Result<OrganisationChange, Vec<String>> {
        let initial = Organisation::initial(&OrgId::new("acme").expect("an id"));
        parse_change(text, 8, &initial)
            .map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn missing_member_is_not_changed_and_null_is_the_initial_value() {
        assert_eq!(read("{}"), Ok(OrganisationChange::default()));
        let change = read(r#"{"time_zone":"Asia/Kolkata","name":null}"#).expect("a change");
        assert_eq!(change.time_zone.as_deref(), Some("Asia/Kolkata"));
        assert_eq!(change.name.as_deref(), Some("acme"));
        assert_eq!(change.account_home_page, None);
    }

    #[test]
    fn every_fault_has_its_pointer() {
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
