//! `/v1/me`: the caller, and what the caller may do (`docs/specification.md#the-caller`).
//!
//! A frontend draws itself by it: which pages there are, which scopes of the log the caller can choose, how much a request
//! may carry.

use actix_web::HttpResponse;
use serde::Serialize;
use strum::VariantArray as _;
use utoipa::ToSchema;

use crate::access::permit::{ActionName, SignedIn};
use crate::access::{AskedScope, CredentialScope, Permissions, Principal, Role};
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::directory::{User, visible_users};
use crate::http::auth::Caller;
use crate::http::limits::Limits;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::store::Users;

routes! {
    "/v1/me" => { get: read_me },
}

/// The caller of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "person",
    "id": "u-17",
    "organisation": {"id": "acme", "name": "Acme", "time_zone": "Europe/London"},
    "user": null,
    "role": "manager",
    "permissions": ["mark_complete"],
    "credential_scopes": [],
    "scopes": ["managed", "team", "group", "me"],
    "include_sub_managers": true,
    "may": ["signed_in", "read_activities", "commit_scorm", "read_reports", "manage_reports", "open_reports", "notes",
        "mark_complete", "read_directory", "read_catalogue", "read_organisation"],
    "expires_at": "2026-03-18T11:17:23.000Z",
    "limits": {"page_rows": 1000, "default_page_rows": 50, "batch_elements": 1000, "body_bytes": 10485760,
        "uri_bytes": 32768, "requests_per_second": null, "burst_requests": null, "exports_at_once": 2}
}))]
pub struct Me {
    /// The kind of the caller.
    pub kind: CallerKind,
    /// The id of the user, or the key of the credential.
    pub id: String,
    /// The caller's organisation.
    pub organisation: MyOrganisation,
    /// The user as the directory has it. `null` for a credential, and for a person that the directory does not have.
    #[schema(required = true)]
    pub user: Option<User>,
    /// The role of the token. It counts for the caller's requests, and may differ from the role in the directory. `null` for a
    /// credential.
    #[schema(required = true)]
    pub role: Option<Role>,
    /// The permissions of the token beyond the role.
    #[schema(value_type = Vec<String>)]
    pub permissions: Permissions,
    /// The scopes of the credential. Empty for a person.
    pub credential_scopes: Vec<CredentialScope>,
    /// The values of the parameter `scope` of the log that the caller may ask for.
    pub scopes: Vec<AskableScope>,
    /// Whether the caller may ask for `include_sub_managers` with `scope=managed`.
    pub include_sub_managers: bool,
    /// What the caller may do.
    pub may: Vec<ActionName>,
    /// When the token expires. `null` for a credential.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub expires_at: Option<Timestamp>,
    /// The limits of this server on requests.
    pub limits: MyLimits,
}

/// The kinds of callers that may read `/v1/me`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallerKind {
    /// A person with a token.
    Person,
    /// An integration with a key and a secret.
    Credential,
}

/// The organisation of the caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyOrganisation {
    /// The id, as in the claim `org` of tokens.
    #[schema(value_type = String)]
    pub id: OrgId,
    /// The name.
    pub name: String,
    /// The IANA name of the time zone of dates and periods.
    pub time_zone: String,
}

/// A value of the parameter `scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskableScope {
    /// The organisation.
    Company,
    /// The caller's reports.
    Managed,
    /// Teams, within the reach.
    Team,
    /// Groups, within the reach.
    Group,
    /// The caller.
    Me,
}

/// The limits of this server on requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyLimits {
    /// The most rows of a page: the highest `limit`.
    pub page_rows: usize,
    /// The rows of a page without `limit`.
    pub default_page_rows: usize,
    /// The most elements of a batch.
    pub batch_elements: usize,
    /// The most bytes of a body.
    pub body_bytes: usize,
    /// The most bytes of an address with its query.
    pub uri_bytes: usize,
    /// The requests that the caller may send in each second. `null` without a limit.
    #[schema(required = true)]
    pub requests_per_second: Option<u32>,
    /// The requests that the caller may send at once before the rate counts. `null` without a limit.
    #[schema(required = true)]
    pub burst_requests: Option<u32>,
    /// The exports that the caller may read at once.
    pub exports_at_once: usize,
}

impl From<&Limits> for MyLimits {
    fn from(limits: &Limits) -> Self {
        let has_rate = limits.requests_per_second > 0;
        Self {
            page_rows: limits.page_max,
            default_page_rows: limits.page_default,
            batch_elements: limits.batch,
            body_bytes: limits.body_bytes,
            uri_bytes: limits.uri_bytes,
            requests_per_second: has_rate.then_some(limits.requests_per_second),
            burst_requests: has_rate.then_some(limits.burst),
            exports_at_once: limits.concurrent_per_caller,
        }
    }
}

impl AskableScope {
    /// Every value, with the scope that it asks for.
    const ALL: [(Self, AskedScope); 5] = [
        (Self::Company, AskedScope::Company),
        (Self::Managed, MANAGED),
        (Self::Team, AskedScope::Team),
        (Self::Group, AskedScope::Group),
        (Self::Me, AskedScope::Me),
    ];
}

const MANAGED: AskedScope = AskedScope::Managed {
    include_sub_managers: false,
};
const MANAGED_WITH_SUB_MANAGERS: AskedScope = AskedScope::Managed {
    include_sub_managers: true,
};

/// Read who the caller is, and what the caller may do.
///
/// A report key and a launch may not read it.
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "directory",
    operation_id = "read_me",
    responses((status = 200, description = "The caller.", body = Me))
)]
async fn read_me(caller: Caller<SignedIn>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let principal = caller.principal();
    let person = principal.person();
    let (kind, id) = match principal {
        Principal::Person(person) => (CallerKind::Person, person.user.to_string()),
        Principal::Credential(credential) => (CallerKind::Credential, credential.key.clone()),
        Principal::ReportKey(_) | Principal::Launch(_) => {
            return Err(Problem::forbidden(
                "a report key and a launch have no page of their own",
            ));
        }
    };
    let may_ask = |scope: AskedScope| caller.scoped(Some(scope), ()).is_ok();
    let organisation = caller.organisation();
    Ok(HttpResponse::Ok().json(Me {
        kind,
        id,
        organisation: MyOrganisation {
            id: caller.org().clone(),
            name: organisation.name.clone(),
            time_zone: organisation.time_zone.clone(),
        },
        user: find_own_user(&caller).await?,
        role: principal.role(),
        permissions: person.map(|person| person.permissions).unwrap_or_default(),
        credential_scopes: principal
            .credential()
            .map(|credential| credential.scopes.iter().collect())
            .unwrap_or_default(),
        scopes: AskableScope::ALL
            .into_iter()
            .filter_map(|(shown, asked)| may_ask(asked).then_some(shown))
            .collect(),
        include_sub_managers: may_ask(MANAGED_WITH_SUB_MANAGERS),
        may: ActionName::VARIANTS
            .iter()
            .copied()
            .filter(|action| action.is_allowed(principal))
            .collect(),
        expires_at: person.map(|person| person.expires_at),
        limits: MyLimits::from(caller.app_state().limits()),
    }))
}

/// Finds the caller's user in the directory.
async fn find_own_user(caller: &Caller<SignedIn>) -> Result<Option<User>, Problem> {
    let Some(person) = caller.principal().person() else {
        return Ok(None);
    };
    let Some(reach) = visible_users(caller.principal(), &caller.reach_rules()) else {
        return Ok(None);
    };
    let store = caller.store();
    Ok(store
        .find::<Users>(caller.org(), &reach, person.user.as_str())
        .await?)
}
