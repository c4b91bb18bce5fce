//! The credentials that were used in the last minutes, so that a steady stream of statements needs no look-up for each.
//!
//! A credential is valid for [`FRESH`] after its look-up began. So every replica refuses a revoked one within a second.
//! The replica that revoked it refuses it at once: it removes the organisation, and a look-up that began before puts
//! nothing into the cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access::{Credential, Scopes, SecretHash};
use crate::base::ids::OrgId;
use crate::http::problem::Problem;
use crate::store::{Organisation, StoredCredential};

/// The time for which a credential and its organisation's settings are valid after their look-up began.
const FRESH: Duration = Duration::from_millis(900);
/// The age at which one request looks the credential up again, while the others still use it.
const REFRESHED: Duration = Duration::from_millis(450);
/// The time for which a credential counts as known. A known one may be looked up for an address that failed too often.
const KNOWN: Duration = Duration::from_secs(600);
/// The most credentials in the cache. Beyond it, the cache is emptied.
const MAX_CACHED: usize = 10_000;

/// The cache of one server.
#[derive(Default)]
pub struct CredentialCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    /// It changes whenever credentials are removed.
    generation: u64,
}

struct Entry {
    looked_up_at: Instant,
    /// When a request began to look it up again.
    refreshed_at: Option<Instant>,
    credential: Arc<CachedCredential>,
}

/// A look-up that is under way.
#[derive(Debug, Clone, Copy)]
pub struct LookUp {
    began: Instant,
    generation: u64,
}

/// A credential of the cache.
pub enum Cached {
    /// It can be used.
    Fresh(Arc<CachedCredential>),
    /// It must be looked up again.
    Stale(Arc<CachedCredential>),
}

/// A stored credential in the form in which it is verified. It was not revoked when it was looked up.
pub struct CachedCredential {
    /// Its organisation, key and scopes.
    pub credential: Credential,
    /// The hash of its secret.
    pub secret: SecretHash,
    /// The settings of its organisation.
    pub organisation: Organisation,
}

impl CachedCredential {
    /// Parses a stored credential.
    ///
    /// # Errors
    ///
    /// 500 if the stored values are wrong.
    pub fn new(stored: StoredCredential, organisation: Option<Organisation>) -> Result<Self, Problem> {
        let scopes: Scopes = stored.scopes.parse().map_err(Problem::internal)?;
        Ok(Self {
            secret: stored_hash(&stored)?,
            organisation: organisation.unwrap_or_else(|| Organisation::initial(&stored.org)),
            credential: Credential {
                org: stored.org,
                key: stored.key,
                scopes,
            },
        })
    }
}

/// The hash of a stored credential's secret.
///
/// # Errors
///
/// 500 if it is not a SHA-256.
pub fn stored_hash(stored: &StoredCredential) -> Result<SecretHash, Problem> {
    let hash = <[u8; 32]>::try_from(stored.secret_hash.as_slice())
        .map_err(|_| Problem::internal("a stored hash is not a SHA-256"))?;
    Ok(SecretHash::from_bytes(hash))
}

impl CredentialCache {
    /// The credential with that key, if it was used in the last minutes.
    pub fn get(&self, key: &str, now: Instant) -> Option<Cached> {
        let mut entries = self.lock();
        let entry = entries.by_key.get_mut(key)?;
        let age = now.saturating_duration_since(entry.looked_up_at);
        let credential = Arc::clone(&entry.credential);
        if age >= KNOWN {
            entries.by_key.remove(key);
            return None;
        }
        let is_refreshed = entry
            .refreshed_at
            .is_some_and(|at| now.saturating_duration_since(at) < REFRESHED);
        if age < REFRESHED || (age < FRESH && is_refreshed) {
            return Some(Cached::Fresh(credential));
        }
        entry.refreshed_at = Some(now);
        Some(Cached::Stale(credential))
    }

    /// Begins a look-up. Its result can be cached only if nothing was removed in the meantime.
    pub fn begin_look_up(&self, now: Instant) -> LookUp {
        LookUp {
            began: now,
            generation: self.lock().generation,
        }
    }

    /// Caches the result of a look-up.
    pub fn put(&self, look_up: LookUp, credential: Arc<CachedCredential>) {
        let mut entries = self.lock();
        if entries.generation != look_up.generation {
            return;
        }
        if entries.by_key.len() >= MAX_CACHED {
            entries.by_key.clear();
        }
        let entry = Entry {
            looked_up_at: look_up.began,
            refreshed_at: None,
            credential,
        };
        entries
            .by_key
            .insert(entry.credential.credential.key.clone(), entry);
    }

    /// Removes a credential that is not valid any more.
    pub fn remove(&self, key: &str) {
        let mut entries = self.lock();
        if entries.by_key.remove(key).is_some() {
            entries.generation += 1;
        }
    }

    /// Removes the credentials of an organisation, after one was revoked or the organisation's settings changed.
    pub fn remove_organisation(&self, org: &OrgId) {
        let mut entries = self.lock();
        entries.generation += 1;
        entries
            .by_key
            .retain(|_, entry| entry.credential.credential.org != *org);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for CredentialCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialCache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;

    fn org() -> OrgId {
        OrgId::new("acme").expect("an id")
    }

    fn credential(key: &str) -> Arc<CachedCredential> {
        let stored = StoredCredential {
            org: org(),
            id: uuid::Uuid::nil(),
            key: key.to_owned(),
            name: String::new(),
            secret_hash: vec![0; 32],
            scopes: "state".to_owned(),
            created_at: Timestamp::default(),
            revoked_at: None,
        };
        Arc::new(CachedCredential::new(stored, None).unwrap_or_else(|problem| panic!("{problem}")))
    }

    fn is_fresh(cache: &CredentialCache, now: Instant) -> Option<bool> {
        cache
            .get("k", now)
            .map(|cached| matches!(cached, Cached::Fresh(_)))
    }

    #[test]
    fn credential_is_valid_for_less_than_a_second_after_its_look_up_began() {
        let (cache, start) = (CredentialCache::default(), Instant::now());
        cache.put(cache.begin_look_up(start), credential("k"));
        assert_eq!(is_fresh(&cache, start), Some(true));
        assert_eq!(is_fresh(&cache, start + FRESH), Some(false));
        assert_eq!(is_fresh(&cache, start + KNOWN), None);
        const { assert!(FRESH.as_millis() < 1000) };
    }

    #[test]
    fn one_request_looks_an_ageing_credential_up_again_and_others_use_it() {
        let (cache, start) = (CredentialCache::default(), Instant::now());
        cache.put(cache.begin_look_up(start), credential("k"));
        let ageing = start + REFRESHED;
        assert_eq!(is_fresh(&cache, ageing), Some(false));
        assert_eq!(is_fresh(&cache, ageing), Some(true));
        assert_eq!(is_fresh(&cache, start + FRESH), Some(false));
        assert_eq!(is_fresh(&cache, start + FRESH), Some(false));
    }

    #[test]
    fn look_up_that_began_before_a_removal_is_not_cached() {
        let (cache, now) = (CredentialCache::default(), Instant::now());
        let look_up = cache.begin_look_up(now);
        cache.remove_organisation(&org());
        cache.put(look_up, credential("k"));
        assert_eq!(is_fresh(&cache, now), None);
        cache.put(cache.begin_look_up(now), credential("k"));
        assert_eq!(is_fresh(&cache, now), Some(true));
        cache.remove_organisation(&org());
        assert_eq!(is_fresh(&cache, now), None);
    }
}
