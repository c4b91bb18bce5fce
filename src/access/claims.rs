//! The claims of a token: parsing, checking and writing (`docs/specification.md#tokens`).
//!
//! The claims that determine rights are checked strictly. Unknown claims are ignored, since issuers add claims of their
//! own.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::access::error::{AccessError, TokenError};
use crate::access::keys::check_secret;
use crate::access::permissions::Permissions;
use crate::access::principal::Person;
use crate::access::role::Role;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};

/// The end of the year 9999 in seconds since 1970. A later expiry is set to it.
const LAST_SECOND: i64 = 253_402_300_799;

/// The reports of a manager, from the claim `reports`.
///
/// The lists are sorted and without repetitions. A direct report is not among the indirect ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reports {
    direct: Vec<UserId>,
    indirect: Vec<UserId>,
}

impl Reports {
    /// The lists may be in any order and contain repetitions.
    pub fn new(mut direct: Vec<UserId>, mut indirect: Vec<UserId>) -> Self {
        direct.sort_unstable();
        direct.dedup();
        indirect.sort_unstable();
        indirect.dedup();
        indirect.retain(|user| direct.binary_search(user).is_err());
        Self { direct, indirect }
    }

    /// The reports without one user: a manager is not the own report.
    pub fn without(mut self, user: &UserId) -> Self {
        self.direct.retain(|other| other != user);
        self.indirect.retain(|other| other != user);
        self
    }

    /// The direct reports, sorted.
    pub fn direct(&self) -> &[UserId] {
        &self.direct
    }

    /// The reports below the direct reports, on all levels, sorted.
    pub fn indirect(&self) -> &[UserId] {
        &self.indirect
    }
}

/// The claims of a token, each of the right type. [`crate::access::TokenKeys::verify`] checks time, issuer and audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The user's id in the directory.
    pub sub: UserId,
    /// The organisation.
    pub org: OrgId,
    /// The role. A token without the claim is that of a learner.
    pub role: Role,
    /// The permissions beyond the role.
    pub permissions: Permissions,
    /// The reports. `None` if the directory's tree of managers decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reports: Option<Reports>,
    /// When the token expires. Written in whole seconds, truncated.
    #[serde(serialize_with = "seconds")]
    pub exp: Timestamp,
    /// When the token begins to be valid.
    #[serde(serialize_with = "optional_seconds", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<Timestamp>,
    /// The issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The audiences. Empty if the token has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
}

fn seconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.micros().div_euclid(1_000_000))
}

fn optional_seconds<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => seconds(at, serializer),
        None => serializer.serialize_none(),
    }
}

impl Claims {
    /// The required claims, for a learner. The other claims are absent.
    pub fn new(org: OrgId, sub: UserId, exp: Timestamp) -> Self {
        Self {
            sub,
            org,
            role: Role::default(),
            permissions: Permissions::default(),
            reports: None,
            exp,
            nbf: None,
            iss: None,
            aud: Vec::new(),
        }
    }

    /// Parses the claims in the payload of a token.
    ///
    /// A claim that is `null` counts as absent. Unknown claims, permissions and keys of `reports` are ignored. An unknown
    /// role is refused.
    ///
    /// # Errors
    ///
    /// [`TokenError::MissingClaim`] for `sub`, `org` or `exp`. [`TokenError::BadClaim`] for a value of the wrong type.
    pub fn from_payload(payload: &Map<String, Value>) -> Result<Self, TokenError> {
        let sub: UserId = required(payload, "sub", id)?;
        Ok(Self {
            org: required(payload, "org", id)?,
            role: optional(payload, "role", role)?.unwrap_or_default(),
            permissions: optional(payload, "permissions", permissions)?.unwrap_or_default(),
            reports: optional(payload, "reports", reports)?.map(|reports| reports.without(&sub)),
            exp: required(payload, "exp", numeric_date)?,
            nbf: optional(payload, "nbf", numeric_date)?,
            iss: optional(payload, "iss", text)?,
            aud: optional(payload, "aud", audience)?.unwrap_or_default(),
            sub,
        })
    }

    /// The person of the claims.
    pub(crate) fn into_person(self) -> Person {
        Person {
            org: self.org,
            user: self.sub,
            role: self.role,
            permissions: self.permissions,
            reports: self.reports,
            expires_at: self.exp,
        }
    }
}

/// Signs a token with HS256, for the command `token` and for tests.
///
/// # Errors
///
/// [`AccessError::ShortSecret`] or [`AccessError::RepetitiveSecret`] if the secret would be refused for verification too.
pub fn mint(secret: &SecretString, claims: &Claims) -> Result<String, AccessError> {
    check_secret("the secret", secret)?;
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
        .map_err(|error| AccessError::Mint(error.to_string()))
}

/// A parser of a claim. The error describes the expected value.
type Reader<T> = fn(&Value) -> Result<T, String>;

fn optional<T>(
    payload: &Map<String, Value>,
    claim: &'static str,
    read: Reader<T>,
) -> Result<Option<T>, TokenError> {
    match payload.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value)
            .map(Some)
            .map_err(|detail| TokenError::BadClaim { claim, detail }),
    }
}

fn required<T>(payload: &Map<String, Value>, claim: &'static str, read: Reader<T>) -> Result<T, TokenError> {
    optional(payload, claim, read)?.ok_or(TokenError::MissingClaim(claim))
}

fn text(value: &Value) -> Result<String, String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| "must be text".to_owned())
}

fn id<T: TryFrom<String, Error = crate::base::ids::IdError>>(value: &Value) -> Result<T, String> {
    T::try_from(text(value)?).map_err(|error| error.to_string())
}

fn role(value: &Value) -> Result<Role, String> {
    text(value)?
        .parse()
        .map_err(|error: crate::access::role::UnknownRole| error.to_string())
}

fn permissions(value: &Value) -> Result<Permissions, String> {
    let shape = || "must be an array of text".to_owned();
    let keys: Option<Vec<&str>> = value
        .as_array()
        .ok_or_else(shape)?
        .iter()
        .map(Value::as_str)
        .collect();
    Ok(Permissions::from_keys(keys.ok_or_else(shape)?))
}

fn reports(value: &Value) -> Result<Reports, String> {
    let lists = value
        .as_object()
        .ok_or_else(|| "must be an object with `direct` and `indirect`".to_owned())?;
    let list = |key: &str| match lists.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(users)) => users
            .iter()
            .map(|user| id(user).map_err(|detail| format!("a user id in `{key}`: {detail}")))
            .collect(),
        Some(_) => Err(format!("`{key}` must be an array of user ids")),
    };
    Ok(Reports::new(list("direct")?, list("indirect")?))
}

/// A NumericDate (RFC 7519, section 2): seconds since 1970, a fraction allowed.
fn numeric_date(value: &Value) -> Result<Timestamp, String> {
    if let Some(seconds) = value.as_i64() {
        // Both bounds times a million fit an i64.
        return Ok(Timestamp::from_micros(
            seconds.clamp(-LAST_SECOND, LAST_SECOND) * 1_000_000,
        ));
    }
    match value.as_f64() {
        // A fraction or a number of more than 64 bits. After the clamp the cast truncates to whole microseconds.
        Some(seconds) if value.is_number() => {
            let bound = LAST_SECOND as f64;
            Ok(Timestamp::from_micros(
                (seconds.clamp(-bound, bound) * 1e6) as i64,
            ))
        }
        _ => Err("must be a number of seconds since 1970".to_owned()),
    }
}

/// A text or an array of texts (RFC 7519, section 4.1.3).
fn audience(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
    .map_err(|_: String| "must be text or an array of text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(payload: Value) -> Result<Claims, TokenError> {
        Claims::from_payload(payload.as_object().unwrap())
    }

    fn with(claim: &str, value: Value) -> Result<Claims, TokenError> {
        let mut payload = json!({"sub": "ada", "org": "acme", "exp": 100});
        payload[claim] = value;
        read(payload)
    }

    fn users(ids: &[&str]) -> Vec<UserId> {
        ids.iter().map(|id| UserId::new(*id).unwrap()).collect()
    }

    #[test]
    fn token_with_only_required_claims_is_that_of_a_learner() {
        let claims =
            read(json!({"sub": "ada", "org": "acme", "exp": 100, "email": "ada@example.org"})).unwrap();
        let (org, sub) = (OrgId::new("acme").unwrap(), UserId::new("ada").unwrap());
        assert_eq!(claims, Claims::new(org, sub, Timestamp::from_micros(100_000_000)));
        assert_eq!(claims.role, Role::Learner);
    }

    #[test]
    fn absent_and_null_claims_are_missing() {
        for claim in ["sub", "org", "exp"] {
            assert_eq!(with(claim, Value::Null), Err(TokenError::MissingClaim(claim)));
            let mut payload = json!({"sub": "ada", "org": "acme", "exp": 100});
            payload.as_object_mut().unwrap().remove(claim);
            assert_eq!(read(payload), Err(TokenError::MissingClaim(claim)));
        }
        for claim in ["role", "permissions", "reports", "nbf", "iss", "aud"] {
            assert_eq!(with(claim, Value::Null), with("unknown", json!(1)));
        }
    }

    #[test]
    fn claims_of_the_wrong_type_are_reported_by_name() {
        let wrong = [
            ("sub", json!(7)),
            ("sub", json!("")),
            ("sub", json!("a\u{0}b")),
            ("org", json!("")),
            ("org", json!(["acme"])),
            ("org", json!("x".repeat(256))),
            ("exp", json!("100")),
            ("exp", json!(true)),
            ("nbf", json!({})),
            ("role", json!("superuser")),
            ("role", json!(["owner"])),
            ("permissions", json!("reporting")),
            ("permissions", json!([1])),
            ("reports", json!([])),
            ("reports", json!({"direct": "bo"})),
            ("reports", json!({"indirect": [""]})),
            ("iss", json!(1)),
            ("aud", json!(1)),
            ("aud", json!(["a", 1])),
        ];
        for (claim, value) in wrong {
            match with(claim, value.clone()) {
                Err(TokenError::BadClaim { claim: named, detail }) => {
                    assert_eq!(named, claim);
                    assert!(!detail.is_empty());
                }
                other => panic!("{claim} {value}: {other:?}"),
            }
        }
    }

    #[test]
    fn reports_are_sorted_unique_and_without_the_manager() {
        let claims = with(
            "reports",
            json!({"direct": ["cy", "bo", "ada", "bo"], "indirect": ["di", "cy", "ada"]}),
        );
        let reports = claims.unwrap().reports.unwrap();
        assert_eq!(reports.direct(), users(&["bo", "cy"]));
        assert_eq!(reports.indirect(), users(&["di"]));
        let empty = with("reports", json!({"direct": ["bo"]}))
            .unwrap()
            .reports
            .unwrap();
        assert_eq!(empty.indirect(), []);
        assert_eq!(
            with("reports", json!({})).unwrap().reports,
            Some(Reports::default())
        );
    }

    #[test]
    fn dates_may_have_fractions_and_are_clamped() {
        let exp = |value| with("exp", value).unwrap().exp.micros();
        assert_eq!(exp(json!(1.5)), 1_500_000);
        assert_eq!(exp(json!(-1)), -1_000_000);
        assert_eq!(exp(json!(i64::MAX)), LAST_SECOND * 1_000_000);
        assert_eq!(exp(json!(u64::MAX)), LAST_SECOND * 1_000_000);
        assert_eq!(exp(json!(1e300)), LAST_SECOND * 1_000_000);
        assert_eq!(exp(json!(i64::MIN)), -LAST_SECOND * 1_000_000);
    }

    #[test]
    fn audience_is_a_text_or_an_array() {
        assert_eq!(with("aud", json!("a")).unwrap().aud, ["a"]);
        assert_eq!(with("aud", json!(["a", "b"])).unwrap().aud, ["a", "b"]);
    }

    #[test]
    fn claims_round_trip() {
        let mut claims = Claims::new(
            OrgId::new("acme").unwrap(),
            UserId::new("ada").unwrap(),
            Timestamp::from_micros(1_700_000_000_000_000),
        );
        let reread = |claims: &Claims| read(serde_json::to_value(claims).unwrap()).unwrap();
        assert_eq!(reread(&claims), claims);
        claims.role = Role::Manager;
        claims.permissions = Permissions {
            mark_complete: true,
            ..Permissions::default()
        };
        claims.reports = Some(Reports::new(users(&["bo"]), users(&["cy"])));
        claims.nbf = Some(Timestamp::from_micros(1_600_000_000_000_000));
        claims.iss = Some("https://issuer.example".to_owned());
        claims.aud = vec!["rollbook".to_owned()];
        assert_eq!(reread(&claims), claims);
    }

    #[test]
    fn weak_secret_signs_no_token() {
        let claims = with("role", json!("owner")).unwrap();
        let weak = SecretString::from("x".repeat(31));
        assert!(matches!(
            mint(&weak, &claims),
            Err(AccessError::ShortSecret { bytes: 31, .. })
        ));
        assert!(matches!(
            mint(&SecretString::from("x".repeat(32)), &claims),
            Err(AccessError::RepetitiveSecret { .. })
        ));
        assert!(mint(&SecretString::from("kTn0pQ3yX7cVb2LmZs9dHf4gRw6jKa1e"), &claims).is_ok());
    }
}
