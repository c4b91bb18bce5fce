//! A subscription: how clients write and read it. See `docs/specification.md#subscriptions`.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{AskedScope, Credential, CredentialScope, Principal, ReachRules, ScopeError, Scoped};
use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Faults, Place};
use crate::base::form::{Form, Members, one_of};
use crate::base::ids::OrgId;
use crate::base::json::{self, Node};
use crate::base::merge_patch;
use crate::log::activity::ActivityRecorder;
use crate::log::{Filter, Query};
use crate::reports::saved_filter::{self, SavedFilter};
use crate::store::{
    StoreError, StoredSecret, StoredSubscription, SubscriptionContent, SubscriptionDelivery,
    SubscriptionFormat,
};

use super::auth::{Auth, AuthForm, AuthPatch, AuthView};
use super::egress::{EgressRules, parse_url};
use super::signature;

/// The longest name, in characters.
const MAX_NAME: usize = 255;
/// The depth of a stored filter: an object of arrays.
const FILTER_DEPTH: usize = 3;
/// The version of xAPI without another choice.
const XAPI_VERSION: &str = "1.0.3";

const MEMBERS: Members = Members {
    written: &[
        "name",
        "url",
        "filter",
        "format",
        "secret",
        "auth",
        "xapi_version",
        "active",
    ],
    read_only: &[
        "id",
        "status",
        "reason",
        "place",
        "pending",
        "created_by",
        "created_at",
        "updated_at",
    ],
};

/// What a subscription sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SubscriptionFormat)]
pub enum Format {
    /// Activities, each as a webhook that is signed as Standard Webhooks defines it.
    #[default]
    Activity,
    /// Statements with their attachments, to another record store.
    Statement,
}

impl Format {
    const ALL: [Self; 2] = [Self::Activity, Self::Statement];

    fn key(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Statement => "statement",
        }
    }
}

impl From<SubscriptionFormat> for Format {
    fn from(stored: SubscriptionFormat) -> Self {
        match stored {
            SubscriptionFormat::Activity => Self::Activity,
            SubscriptionFormat::Statement => Self::Statement,
        }
    }
}

impl From<Format> for SubscriptionFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Activity => Self::Activity,
            Format::Statement => Self::Statement,
        }
    }
}

/// How a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// It sends.
    Active,
    /// Its last attempt failed; `pending` says when the next one is.
    Retrying,
    /// A client paused it.
    Paused,
    /// Rollbook stopped it; `reason` says why.
    Disabled,
}

/// The delivery that is tried again. The deliveries after it wait.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PendingDelivery {
    /// The id in the list of deliveries.
    pub id: Uuid,
    /// The number of failed attempts.
    pub attempts: i64,
    /// When it is tried again. Null while the subscription is not active.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub next_attempt_at: Option<Timestamp>,
}

/// A subscription, without its secrets.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0190a000-0000-7000-8000-000000000020", "name": "Completions for payroll",
    "url": "https://payroll.example.org/hooks/rollbook", "filter": {"action": ["completed"]}, "format": "activity",
    "auth": null, "xapi_version": null, "active": true, "status": "active", "reason": null, "place": 1234, "pending": null,
    "created_by": {"id": "ada", "name": "Ada Obi"}, "created_at": "2026-03-02T08:30:00.000Z",
    "updated_at": "2026-03-02T08:30:00.000Z"
}))]
pub struct Subscription {
    /// The id in its path.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// The address that gets the deliveries.
    pub url: String,
    /// Its question to the log, as it was sent.
    #[schema(value_type = SavedFilter)]
    pub filter: Box<RawValue>,
    /// What it sends.
    pub format: Format,
    /// The authorization at the other record store, without its secret. Null for `activity`.
    #[schema(required = true)]
    pub auth: Option<AuthView>,
    /// The version of xAPI that statements are sent with. Null for `activity`.
    #[schema(required = true)]
    pub xapi_version: Option<String>,
    /// Whether it sends.
    pub active: bool,
    /// How it stands.
    pub status: SubscriptionStatus,
    /// Why it is disabled, or why the last attempt failed.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// The number of the last change that is dealt with: sent, passed over, or given up.
    pub place: i64,
    /// The delivery that is tried again.
    #[schema(required = true)]
    pub pending: Option<PendingDelivery>,
    /// The user that made it.
    pub created_by: ActivityRecorder,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its current version was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl Subscription {
    /// The representation of a stored subscription, with the delivery that is tried again and its maker's name.
    ///
    /// # Errors
    ///
    /// A stored value that can't be read.
    pub fn new(
        stored: StoredSubscription,
        pending: Option<SubscriptionDelivery>,
        maker_name: Option<String>,
    ) -> Result<Self, StoreError> {
        let filter = RawValue::from_string(stored.filter);
        let auth = stored.auth.as_ref().map(Auth::from_stored).transpose()?;
        let failure = pending
            .as_ref()
            .and_then(|delivery| delivery.tries.last()?.reason.clone());
        let status = match (stored.active, &stored.disabled, &pending) {
            (false, Some(_), _) => SubscriptionStatus::Disabled,
            (false, None, _) => SubscriptionStatus::Paused,
            (true, _, Some(_)) => SubscriptionStatus::Retrying,
            (true, _, None) => SubscriptionStatus::Active,
        };
        Ok(Self {
            id: stored.id,
            name: stored.name,
            url: stored.url,
            filter: filter.map_err(|error| StoreError::corrupt("subscription's filter", error))?,
            format: stored.format.into(),
            auth: auth.map(|auth| auth.view()),
            xapi_version: stored.xapi_version,
            active: stored.active,
            status,
            reason: stored.disabled.or(failure),
            place: stored.place,
            pending: pending.map(|delivery| PendingDelivery {
                id: delivery.id,
                attempts: delivery.attempts,
                next_attempt_at: stored.next_attempt_at.filter(|_| stored.active),
            }),
            created_by: ActivityRecorder {
                id: stored.created_by,
                name: maker_name,
            },
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        })
    }
}

/// A new subscription with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedSubscription {
    /// The subscription.
    #[serde(flatten)]
    pub subscription: Subscription,
    /// The secret that signs its webhooks. It is not shown again. Null for `statement`.
    #[schema(required = true)]
    pub secret: Option<String>,
}

/// The body with which a client writes a subscription.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the body; it is parsed as the stored content")]
#[schema(as = NewSubscription, example = json!({
    "name": "Completions for payroll", "url": "https://payroll.example.org/hooks/rollbook",
    "filter": {"action": ["completed"]}, "format": "activity"
}))]
pub struct SubscriptionForm {
    /// The name: 1 to 255 characters on one line.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// The address that gets the deliveries. For `statement` it is the endpoint of xAPI, to which `/statements` is added.
    #[schema(max_length = 2000)]
    url: String,
    /// Its question to the log: the parameters of `/v1/activities` without those of pages. Default: all rows; for
    /// `statement` all statements.
    filter: Option<SavedFilter>,
    /// What it sends. Default: `activity`. It can't be changed.
    format: Option<Format>,
    /// The secret that signs webhooks: `whsec_` and 24 to 64 bytes as base64. Default: a new one, or the stored one.
    secret: Option<String>,
    /// The authorization at the other record store, for `statement`. It is not shown again.
    auth: Option<AuthForm>,
    /// The version of xAPI that statements are sent with. Default: `1.0.3`.
    #[schema(example = "1.0.3")]
    xapi_version: Option<String>,
    /// Whether it sends. Default: true.
    active: Option<bool>,
}

/// A merge patch of a subscription (RFC 7396). `null` sets a member to its default, and removes a parameter from `filter`.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the body; it is parsed as the form")]
#[schema(example = json!({"active": false}))]
pub struct SubscriptionPatch {
    /// The new name.
    #[schema(required = false, min_length = 1, max_length = 255)]
    name: String,
    /// The new address.
    #[schema(required = false, max_length = 2000)]
    url: String,
    /// The parameters to change. Each is replaced as a whole.
    #[schema(value_type = Option<crate::reports::saved_filter::FilterPatch>)]
    filter: Option<SavedFilter>,
    /// The new secret. The one before does not sign any more: use `rotate` to let both sign for a day.
    #[schema(required = false)]
    secret: String,
    /// The changes of the authorization.
    auth: Option<AuthPatch>,
    /// The new version of xAPI.
    xapi_version: Option<String>,
    /// Whether it sends.
    active: Option<bool>,
}

/// What a body is checked with.
#[derive(Debug, Clone, Copy)]
pub struct FormContext<'a> {
    /// The rules for addresses.
    pub rules: &'a EgressRules,
    /// The organisation.
    pub org: &'a OrgId,
    /// The subscription that is changed.
    pub stored: Option<&'a StoredSubscription>,
}

/// Parses a body, with at most `depth` nested objects and arrays. The secret of a new subscription is made if none is given.
///
/// # Errors
///
/// Every fault, with its pointer.
pub fn parse(text: &str, depth: usize, context: FormContext<'_>) -> Result<SubscriptionContent, Faults> {
    let members = match context.stored {
        Some(_) => MEMBERS,
        None => MEMBERS.written_only(),
    };
    parse_body(text, depth, |node, _, faults| {
        let mut form = Form::from_resource(node, &Place::Root, "a subscription", &members, faults)?;
        parse_form(&mut form, context)
    })
}

/// The content of a stored subscription after a patch.
///
/// # Errors
///
/// Every fault, with its pointer in the patch.
pub fn patched(
    patch: &Value,
    depth: usize,
    context: FormContext<'_>,
    stored: &StoredSubscription,
) -> Result<SubscriptionContent, Faults> {
    let filter: Value = serde_json::from_str(&stored.filter).unwrap_or_default(); // a stored filter is JSON
    let auth = stored.auth.as_ref().and_then(|auth| Auth::from_stored(auth).ok());
    let before = json!({
        "name": stored.name, "url": stored.url, "filter": &filter, "format": Format::from(stored.format),
        "auth": auth.map(|auth| auth.view()), "xapi_version": stored.xapi_version, "active": stored.active,
    });
    let after = merge_patch(before, patch);
    let mut content = parse(
        &after.to_string(),
        depth,
        FormContext {
            stored: Some(stored),
            ..context
        },
    )?;
    if after.get("filter") == Some(&filter) {
        // The stored text has the order in which the client sent the parameters.
        content.filter.clone_from(&stored.filter);
    }
    Ok(content)
}

fn parse_form(form: &mut Form<'_, '_, '_>, context: FormContext<'_>) -> Option<SubscriptionContent> {
    let name = form.required_name("name", MAX_NAME);
    let url = form.required_text("url", super::egress::MAX_URL);
    if let Some(Err(fault)) = url.as_deref().map(|url| parse_url(url, context.rules)) {
        form.add_fault("url", fault.to_string());
    }
    let format = form.read("format", |node, place| {
        one_of(node, place, &Format::ALL, Format::key)
    });
    let stored_format = context.stored.map(|stored| Format::from(stored.format));
    let format = match (format, stored_format) {
        (Some(format), Some(stored)) if format != stored => {
            form.add_fault("format", "a subscription keeps its format; create another one");
            stored
        }
        (_, Some(stored)) => stored,
        (format, None) => format.unwrap_or_default(),
    };
    let filter = parse_filter(form, context.org);
    let secret = parse_secret(form, format, context);
    let auth = parse_auth(form, format, url.as_deref(), context);
    let xapi_version = parse_version(form, format);
    let active = form.flag("active").unwrap_or(true);
    Some(SubscriptionContent {
        name: name?,
        url: url?,
        filter: filter.into_text(),
        format: format.into(),
        secret,
        auth,
        xapi_version,
        active,
    })
}

fn parse_filter(form: &mut Form<'_, '_, '_>, org: &OrgId) -> SavedFilter {
    let place = form.place().member("filter");
    let Some(node) = form.get("filter") else {
        return SavedFilter::everything();
    };
    let filter = match SavedFilter::parse(node, &place) {
        Ok(filter) => filter,
        Err(wrong) => {
            form.faults().extend(wrong);
            return SavedFilter::everything();
        }
    };
    let scope = node_scope(node);
    if let Err(error) = Scoped::new(&reader(org, Uuid::nil()), &ReachRules::default(), scope, ()) {
        let detail = match error {
            ScopeError::NoPerson(scope) => {
                format!(
                    "`{}` has no meaning here: a subscription is not a person",
                    scope.key()
                )
            }
            other => other.to_string(),
        };
        form.faults().push(place.member("scope").fault(detail));
    }
    filter
}

/// The scope of a filter that was parsed.
fn node_scope(node: &Node<'_>) -> Option<AskedScope> {
    saved_filter::parse_query(node, Timestamp::default(), Tz::UTC)
        .ok()?
        .asked_scope
}

fn parse_secret(
    form: &mut Form<'_, '_, '_>,
    format: Format,
    context: FormContext<'_>,
) -> Option<StoredSecret> {
    let sent = form.text("secret", 200);
    if format == Format::Statement {
        if sent.is_some() {
            form.add_fault(
                "secret",
                "only the format `activity` has a secret; `statement` has `auth`",
            );
        }
        return None;
    }
    let stored = context.stored.and_then(|stored| stored.secret.clone());
    match (sent.as_deref().map(signature::parse_secret), stored) {
        (Some(Some(secret)), _) | (None, Some(secret)) => Some(secret),
        (Some(None), _) => {
            form.add_fault("secret", format!("write {}", signature::SECRET_FORM));
            None
        }
        (None, None) => match signature::new_secret() {
            Ok(secret) => Some(secret),
            Err(error) => {
                form.add_fault("secret", format!("no secret can be made, so send one: {error}"));
                None
            }
        },
    }
}

/// The authorization. The stored secret is sent to the stored host only: otherwise a new address would reveal it.
fn parse_auth(
    form: &mut Form<'_, '_, '_>,
    format: Format,
    url: Option<&str>,
    context: FormContext<'_>,
) -> Option<StoredSecret> {
    let node = form.get("auth")?;
    let place = form.place().member("auth");
    if format == Format::Activity {
        form.faults()
            .push(place.fault("only the format `statement` has an authorization; webhooks are signed"));
        return None;
    }
    let same_host = context.stored.is_some_and(|stored| {
        let origin = |url: &str| reqwest::Url::parse(url).ok().map(|url| url.origin());
        url.and_then(origin) == origin(&stored.url)
    });
    let stored = context
        .stored
        .filter(|_| same_host)
        .and_then(|stored| stored.auth.as_ref());
    let stored = stored.and_then(|stored| Auth::from_stored(stored).ok());
    match Auth::parse(node, &place, stored.as_ref()) {
        Ok(auth) => Some(auth.to_stored()),
        Err(wrong) => {
            form.faults().extend(wrong);
            None
        }
    }
}

fn parse_version(form: &mut Form<'_, '_, '_>, format: Format) -> Option<String> {
    let sent = form.text("xapi_version", 20);
    if format == Format::Activity {
        if sent.is_some() {
            form.add_fault(
                "xapi_version",
                "only the format `statement` has a version of xAPI",
            );
        }
        return None;
    }
    let version = sent.unwrap_or_else(|| XAPI_VERSION.to_owned());
    let is_version = matches!(version.split('.').collect::<Vec<_>>().as_slice(),
        ["1", "0", rest @ ..] | ["2", "0", rest @ ..] if rest.len() <= 1
            && rest.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())));
    if !is_version {
        form.add_fault("xapi_version", "write a version such as `1.0.3` or `2.0.0`");
    }
    Some(version)
}

/// The principal under which a subscription reads: all activities of its organisation, and nothing else.
pub fn reader(org: &OrgId, subscription: Uuid) -> Principal {
    Principal::Credential(Credential {
        org: org.clone(),
        key: format!("subscription:{subscription}"),
        scopes: [CredentialScope::ActivitiesRead].into_iter().collect(),
    })
}

/// The question of a stored subscription, under its rights.
///
/// # Errors
///
/// A stored filter that can't be read.
pub fn question(
    org: &OrgId,
    stored: &StoredSubscription,
    now: Timestamp,
    zone: Tz,
    rules: &ReachRules,
) -> Result<Scoped<Filter>, StoreError> {
    let corrupt = |detail: String| StoreError::corrupt("subscription's filter", detail);
    let node = json::parse(&stored.filter, FILTER_DEPTH).map_err(|fault| corrupt(fault.to_string()))?;
    let query: Query = saved_filter::parse_query(&node, now, zone).map_err(|faults| {
        corrupt(
            faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        )
    })?;
    let reader = reader(org, stored.id);
    Scoped::clamped(&reader, rules, query.asked_scope, query.filter)
        .map_err(|error| corrupt(error.to_string()))
}
