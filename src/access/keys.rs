//! The keys that verify tokens, and the verification.
//!
//! A key is bound to one algorithm. [`crate::access::issuers`] binds keys to issuers and organisations,
//! [`crate::access::jwks`] refreshes key sets.

pub(crate) mod key;
pub(crate) mod token;

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::access::error::{AccessError, TokenError};
use crate::access::issuers::{Issuer, Organisations, read_entries};
use crate::access::jwks::{KeySet, REFRESH_EVERY, RETRY_EVERY, read_file};
use crate::access::principal::Person;
use crate::access::strength;
use crate::base::clock::Timestamp;

use key::Key;
use token::UnverifiedToken;

pub use token::MAX_TOKEN_BYTES;

/// The minimum length of a shared secret in bytes: the length of the HS256 digest (RFC 7518, section 3.2).
pub const MINIMUM_SECRET_BYTES: usize = 32;

/// The settings of the keys. Without any, no tokens are accepted. With several, a token may be signed with any of them.
#[derive(Debug, Clone, Default)]
pub struct KeyConfig {
    /// `ROLLBOOK_JWT_SECRET`: a shared secret for HS256. The text is not decoded.
    pub secret: Option<SecretString>,
    /// `ROLLBOOK_JWT_PUBLIC_KEY`: a PEM file with one public key. Its type determines the algorithm.
    pub public_key: Option<PathBuf>,
    /// `ROLLBOOK_JWT_JWKS`: the file or address of a key set.
    pub jwks: Option<String>,
    /// `ROLLBOOK_JWT_ISSUER`: the required `iss` of tokens that are verified with the three above.
    pub issuer: Option<String>,
    /// `ROLLBOOK_JWT_AUDIENCE`: the required `aud`, also for issuers in the file without an own `audience`.
    pub audience: Option<String>,
    /// `ROLLBOOK_JWT_ISSUERS`: the file with further issuers, their keys and organisations.
    pub issuers: Option<PathBuf>,
}

/// The keys in use. Cheap to clone. All clones see new keys at once.
#[derive(Debug, Clone)]
pub struct TokenKeys(Arc<watch::Sender<Arc<Issuers>>>);

#[derive(Debug)]
struct Issuers {
    /// The issuer of the settings, for all organisations.
    general: Option<Issuer>,
    /// The issuers of the file, by `iss`.
    bound: HashMap<String, Issuer>,
}

impl TokenKeys {
    /// Loads all configured keys. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`AccessError`] with what to change. An address of a key set that does not answer is not an error; see
    /// [`crate::access::jwks`].
    pub async fn load(config: &KeyConfig) -> Result<Self, AccessError> {
        Self::load_with(config, &read_variable, None).await
    }

    /// [`TokenKeys::load`] with the variables of `environment`. `previous` are the issuers before a reload.
    async fn load_with(
        config: &KeyConfig,
        environment: &(dyn Fn(&str) -> Option<String> + Sync),
        previous: Option<&Issuers>,
    ) -> Result<Self, AccessError> {
        let before = previous.and_then(|issuers| issuers.general.as_ref());
        let general = load_general(config, before.and_then(Issuer::key_set)).await?;
        let mut bound = HashMap::new();
        if let Some(path) = &config.issuers {
            for entry in read_entries(path).await? {
                if config.issuer.as_ref() == Some(&entry.issuer) {
                    let reason = format!(
                        "the issuer {:?} is also the value of ROLLBOOK_JWT_ISSUER",
                        entry.issuer
                    );
                    return Err(AccessError::BadIssuers {
                        path: path.clone(),
                        reason,
                    });
                }
                let name = entry.issuer.clone();
                let before = previous.and_then(|issuers| issuers.bound.get(&name));
                let audience = config.audience.as_deref();
                let issuer = Issuer::load(entry, path, audience, environment, before).await?;
                bound.insert(name, issuer);
            }
        }
        if config.audience.is_some() && general.is_none() && bound.is_empty() {
            return Err(setting_without_keys("ROLLBOOK_JWT_AUDIENCE"));
        }
        Ok(Self(Arc::new(watch::Sender::new(Arc::new(Issuers {
            general,
            bound,
        })))))
    }

    /// Loads all keys again, from the files and addresses of the settings. If that fails, the old keys stay. The old keys
    /// of an address that does not answer stay, too.
    ///
    /// # Errors
    ///
    /// As [`TokenKeys::load`].
    pub async fn reload(&self, config: &KeyConfig) -> Result<(), AccessError> {
        let loaded = Self::load_with(config, &read_variable, Some(&self.current())).await?;
        self.0.send_replace(loaded.current());
        Ok(())
    }

    fn current(&self) -> Arc<Issuers> {
        Arc::clone(&self.0.borrow())
    }

    /// Whether any key is configured.
    pub fn accept_tokens(&self) -> bool {
        let issuers = self.current();
        issuers.general.is_some() || !issuers.bound.is_empty()
    }

    /// The person of a token that is signed and valid at `now`.
    ///
    /// `exp` has no leeway: at `exp` the token has expired. `nbf` has
    /// [`NOT_BEFORE_LEEWAY`](crate::access::issuers::NOT_BEFORE_LEEWAY). A `kid` that the issuer's key set does not have
    /// causes a reading of the set, at most every [`RETRY_EVERY`].
    ///
    /// # Errors
    ///
    /// [`TokenError`] with what is wrong with the token.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Person, TokenError> {
        if !self.accept_tokens() {
            return Err(TokenError::NotAccepted);
        }
        let token = UnverifiedToken::parse(token)?;
        let issuers = self.current();
        let bound = token.issuer().and_then(|name| issuers.bound.get(name));
        let issuer = match (bound.or(issuers.general.as_ref()), token.issuer()) {
            (Some(issuer), _) => issuer,
            (None, Some(_)) => return Err(TokenError::WrongIssuer),
            (None, None) => return Err(TokenError::MissingClaim("iss")),
        };
        Ok(issuer.verify(&token, now).await?.into_person())
    }

    /// Refreshes the key sets until `shutdown` is ready; after [`TokenKeys::reload`], those that were loaded then.
    pub async fn refresh_loop(self, shutdown: impl Future<Output = ()>) {
        let mut changes = self.0.subscribe();
        let keep_fresh = async {
            loop {
                let issuers = Arc::clone(&changes.borrow_and_update());
                let refreshing = issuers
                    .key_sets()
                    .map(|set| set.keep_fresh(REFRESH_EVERY, RETRY_EVERY));
                let refreshing = async {
                    join_all(refreshing).await;
                    // There are no key sets.
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = refreshing => {}
                    changed = changes.changed() => if changed.is_err() { return },
                }
            }
        };
        tokio::select! { () = shutdown => {}, () = keep_fresh => {} }
    }
}

impl Issuers {
    fn key_sets(&self) -> impl Iterator<Item = &Arc<KeySet>> {
        self.general
            .iter()
            .chain(self.bound.values())
            .filter_map(|issuer| issuer.key_set.as_ref())
    }
}

/// The value of an environment variable.
fn read_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The issuer of the settings, if they contain a key. `previous` is its key set before a reload.
async fn load_general(config: &KeyConfig, previous: Option<&KeySet>) -> Result<Option<Issuer>, AccessError> {
    let mut keys = Vec::new();
    if let Some(secret) = &config.secret {
        check_secret("ROLLBOOK_JWT_SECRET", secret)?;
        keys.push(Key::from_secret(secret));
    }
    if let Some(path) = &config.public_key {
        keys.push(Key::from_pem(path, &read_file(path).await?)?);
    }
    let key_set = match &config.jwks {
        Some(place) => Some(KeySet::load(place, None, previous).await?),
        None => None,
    };
    if keys.is_empty() && key_set.is_none() {
        return match config.issuer {
            Some(_) => Err(setting_without_keys("ROLLBOOK_JWT_ISSUER")),
            None => Ok(None),
        };
    }
    Ok(Some(Issuer {
        name: config.issuer.clone(),
        audience: config.audience.clone(),
        organisations: Organisations::Every,
        keys,
        key_set,
    }))
}

fn setting_without_keys(setting: &'static str) -> AccessError {
    let reason = "it needs a key: set ROLLBOOK_JWT_SECRET, ROLLBOOK_JWT_PUBLIC_KEY or ROLLBOOK_JWT_JWKS too";
    AccessError::BadSetting {
        setting,
        reason: reason.to_owned(),
    }
}

/// Refuses a shared secret that is too short or repeats itself.
pub(crate) fn check_secret(setting: &str, secret: &SecretString) -> Result<(), AccessError> {
    strength::check_secret(setting, secret, MINIMUM_SECRET_BYTES)
}

#[cfg(test)]
mod tests;
