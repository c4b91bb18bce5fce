//! Issuers of tokens, with their keys and organisations (`docs/specification.md#tokens`).
//!
//! The settings define one issuer for all organisations. The file of `ROLLBOOK_JWT_ISSUERS` defines further issuers, each
//! with the value of its `iss`:
//!
//! ```json
//! [
//!   {
//!     "issuer": "https://login.acme.example",
//!     "organisations": ["acme", "acme-labs"],
//!     "jwks": "https://login.acme.example/.well-known/jwks.json",
//!     "audience": "rollbook"
//!   },
//!   { "issuer": "platform", "organisations": "*", "jwt_secret_env": "PLATFORM_JWT_SECRET" }
//! ]
//! ```
//!
//! Each needs at least one of `jwks`, `public_key` (a PEM file) and `jwt_secret_env` (the *name* of an environment
//! variable, so that the file contains no secret; it must not begin with `ROLLBOOK_`, as settings do). Paths are relative
//! to the file. An issuer without `audience` uses `ROLLBOOK_JWT_AUDIENCE`.
//!
//! A token is verified only with the keys of the issuer in its `iss`. So the keys of one issuer cannot sign for the
//! organisations of another.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::access::claims::Claims;
use crate::access::error::{AccessError, TokenError};
use crate::access::jwks::{KeySet, NamedKey, read_file};
use crate::access::keys::check_secret;
use crate::access::keys::key::{Key, find_algorithm};
use crate::access::keys::token::UnverifiedToken;
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

/// How far a token's `nbf` may be in the future, in microseconds, because clocks differ. `exp` has no leeway.
pub const NOT_BEFORE_LEEWAY: i64 = 30 * 1_000_000;

/// The organisations of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Organisations {
    Every,
    These(BTreeSet<OrgId>),
}

impl Organisations {
    fn allow(&self, org: &OrgId) -> bool {
        match self {
            Organisations::Every => true,
            Organisations::These(these) => these.contains(org),
        }
    }
}

impl<'de> Deserialize<'de> for Organisations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shape =
            || serde::de::Error::custom("`organisations` must be \"*\" or an array of ids, not empty");
        match Value::deserialize(deserializer)? {
            Value::String(star) if star == "*" => Ok(Organisations::Every),
            Value::Array(ids) if !ids.is_empty() => ids
                .into_iter()
                .map(|id| match id {
                    Value::String(id) if id != "*" => OrgId::new(id).map_err(serde::de::Error::custom),
                    _ => Err(shape()),
                })
                .collect::<Result<_, _>>()
                .map(Organisations::These),
            _ => Err(shape()),
        }
    }
}

/// An element of the file of issuers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuerEntry {
    pub(crate) issuer: String,
    organisations: Organisations,
    jwt_secret_env: Option<String>,
    public_key: Option<PathBuf>,
    jwks: Option<String>,
    audience: Option<String>,
}

/// Reads the file of issuers, without loading the keys.
pub(crate) async fn read_entries(path: &Path) -> Result<Vec<IssuerEntry>, AccessError> {
    let refuse = |reason: String| AccessError::BadIssuers {
        path: path.to_owned(),
        reason,
    };
    let entries: Vec<IssuerEntry> =
        serde_json::from_slice(&read_file(path).await?).map_err(|error| refuse(error.to_string()))?;
    let mut names = BTreeSet::new();
    for entry in &entries {
        let name = &entry.issuer;
        if name.is_empty() {
            return Err(refuse("an `issuer` is empty".to_owned()));
        }
        if !names.insert(name) {
            return Err(refuse(format!("the issuer {name:?} occurs twice")));
        }
        if entry.jwt_secret_env.is_none() && entry.public_key.is_none() && entry.jwks.is_none() {
            return Err(refuse(format!(
                "the issuer {name:?} has no key: add `jwks`, `public_key` or `jwt_secret_env`"
            )));
        }
    }
    Ok(entries)
}

/// An issuer with accepted tokens.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// The required `iss` of a token. `None` accepts any.
    pub(crate) name: Option<String>,
    /// The required `aud` of a token. `None` accepts any.
    pub(crate) audience: Option<String>,
    pub(crate) organisations: Organisations,
    /// The keys without a `kid`: the shared secret and the PEM file.
    pub(crate) keys: Vec<Key>,
    pub(crate) key_set: Option<Arc<KeySet>>,
}

impl Issuer {
    /// Loads the keys of an entry of the file of issuers. `environment` returns the value of a variable. `previous` is the
    /// issuer before a reload.
    pub(crate) async fn load(
        entry: IssuerEntry,
        path: &Path,
        audience: Option<&str>,
        environment: &(dyn Fn(&str) -> Option<String> + Sync),
        previous: Option<&Self>,
    ) -> Result<Self, AccessError> {
        let base = path.parent();
        let mut keys = Vec::new();
        if let Some(variable) = &entry.jwt_secret_env {
            let secret =
                environment(variable)
                    .map(SecretString::from)
                    .ok_or_else(|| AccessError::BadIssuers {
                        path: path.to_owned(),
                        reason: format!("the environment variable {variable} (`jwt_secret_env`) is not set"),
                    })?;
            check_secret(variable, &secret)?;
            keys.push(Key::from_secret(&secret));
        }
        if let Some(file) = &entry.public_key {
            let file = base.map_or_else(|| file.clone(), |base| base.join(file));
            keys.push(Key::from_pem(&file, &read_file(&file).await?)?);
        }
        let key_set = match &entry.jwks {
            Some(place) => Some(KeySet::load(place, base, previous.and_then(Self::key_set)).await?),
            None => None,
        };
        Ok(Self {
            name: Some(entry.issuer),
            audience: entry.audience.or_else(|| audience.map(str::to_owned)),
            organisations: entry.organisations,
            keys,
            key_set,
        })
    }

    /// The key set, if the issuer has one.
    pub(crate) fn key_set(&self) -> Option<&KeySet> {
        self.key_set.as_deref()
    }

    /// The claims of a token after all checks: signature, time, issuer, audience, organisation.
    pub(crate) async fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        self.verify_signature(token, now).await?;
        let claims = Claims::from_payload(&token.payload)?;
        if claims.exp <= now {
            return Err(TokenError::Expired);
        }
        if claims
            .nbf
            .is_some_and(|begin| begin.micros() > now.micros().saturating_add(NOT_BEFORE_LEEWAY))
        {
            return Err(TokenError::NotYetValid);
        }
        if self.name.is_some() && self.name != claims.iss {
            return Err(TokenError::WrongIssuer);
        }
        if self
            .audience
            .as_ref()
            .is_some_and(|audience| !claims.aud.contains(audience))
        {
            return Err(TokenError::WrongAudience);
        }
        if !self.organisations.allow(&claims.org) {
            return Err(TokenError::OrganisationNotAllowed);
        }
        Ok(claims)
    }

    /// Checks that a key of the issuer signed the token. If the token has a `kid`, only that key of the set counts. Keys
    /// without a `kid` are checked if they have the algorithm of the token.
    async fn verify_signature(&self, token: &UnverifiedToken<'_>, now: Timestamp) -> Result<(), TokenError> {
        let Some(algorithm) = find_algorithm(&token.algorithm) else {
            return Err(TokenError::AlgorithmNotAllowed);
        };
        let check = |keys: &mut dyn Iterator<Item = &Key>| {
            let mut refusal = TokenError::AlgorithmNotAllowed;
            for key in keys.filter(|key| key.algorithm() == algorithm) {
                if key.verifies(token.message, token.signature) {
                    return Ok(());
                }
                refusal = TokenError::BadSignature;
            }
            Err(refusal)
        };
        let unnamed = check(&mut self.keys.iter());
        let Some(set) = self.key_set.as_ref() else {
            return unnamed;
        };
        // A set has no symmetric keys, so a token with a symmetric algorithm causes no reading.
        if unnamed.is_ok() || matches!(algorithm.family(), jsonwebtoken::AlgorithmFamily::Hmac) {
            return unnamed;
        }
        let named = match matching_keys(set, token) {
            Some(keys) => Some(keys),
            None => {
                set.refresh_for_unknown_key(now).await;
                matching_keys(set, token)
            }
        };
        match (named, set.keys()) {
            (Some(keys), _) => check(
                &mut keys
                    .iter()
                    .filter(|key| may_have_signed(key, token))
                    .map(|named| &named.key),
            ),
            (None, None) => Err(TokenError::KeysUnavailable),
            (None, Some(_)) => Err(TokenError::UnknownKey),
        }
    }
}

/// Whether the key may have signed the token: the token has the `kid` of the key, or none.
fn may_have_signed(key: &NamedKey, token: &UnverifiedToken<'_>) -> bool {
    token.key_id.is_none() || token.key_id == key.id
}

/// The keys of the set, if one of them may have signed the token.
fn matching_keys(set: &KeySet, token: &UnverifiedToken<'_>) -> Option<Arc<Vec<NamedKey>>> {
    set.keys()
        .filter(|keys| keys.iter().any(|key| may_have_signed(key, token)))
}
