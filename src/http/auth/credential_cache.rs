//! The credentials that were used in the last minutes, so that a steady stream of statements needs no look-up for each.
//!
//! A credential is valid for `FRESH` after its look-up began. So every replica refuses a revoked one within a second.
//! The replica that revoked it refuses it at once: it removes the organisation, and a look-up that began before puts
//! nothing into the cache.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access::{Credential, Scopes, SecretHash};
use crate::base::ids::OrgId;
use crate::http::problem::Problem;
use crate::http::refusals::network_of;
use crate::store::{Organisation, StoredCredential};

/// The time for which a credential and its organisation's settings are valid after their look-up began.
const FRESH: Duration = Duration::from_millis(900);
/// The age at which one request looks the credential up again, while the others still use it.
const REFRESHED: Duration = Duration::from_millis(450);
/// The time for which a credential counts as known. A known one may be looked up for an address that failed too often.
const KNOWN: Duration = Duration::from_secs(600);
/// The most credentials in the cache. Beyond it, the cache is emptied.
const MAX_CACHED: usize = 10_000;
/// The most addresses that are remembered for a credential. Beyond it, they are forgotten.
const MAX_ADDRESSES: usize = 64;

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
    /// The networks from which it was used, as [`network_of`] returns them.
    used_from: Vec<IpAddr>,
    credential: Arc<CachedCredential>,
}

impl Entry {
    fn note_use(&mut self, network: IpAddr) {
        if self.used_from.contains(&network) {
            return;
        }
        if self.used_from.len() >= MAX_ADDRESSES {
            self.used_from.clear();
        }
        self.used_from.push(network);
    }
}

/// A look-up that is under way.
#[derive(Debug, Clone, Copy)]
pub struct LookUp {
    began: Instant,
    generation: u64,
}

/// A credential of the cache.
pub struct Cached {
    /// The credential.
    pub credential: Arc<CachedCredential>,
    /// Whether it can be used. Otherwise it must be looked up again.
    pub is_fresh: bool,
    /// Whether it was used from the same address in the last minutes.
    pub is_used_here: bool,
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
        let scopes = stored_scopes(&stored)?;
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

/// The scopes of a stored credential.
///
/// # Errors
///
/// 500 if the stored values are wrong.
pub fn stored_scopes(stored: &StoredCredential) -> Result<Scopes, Problem> {
    stored.scopes.parse().map_err(Problem::internal)
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
    /// The credential with that key and secret, if it was used in the last minutes.
    pub fn find(&self, key: &str, secret: &SecretHash, address: IpAddr, now: Instant) -> Option<Cached> {
        let mut entries = self.lock();
        let entry = entries.by_key.get_mut(key)?;
        let age = now.saturating_duration_since(entry.looked_up_at);
        if age >= KNOWN {
            entries.by_key.remove(key);
            return None;
        }
        // A wrong secret must not count as the request that looks the credential up again.
        if !entry.credential.secret.equals(secret) {
            return None;
        }
        let cached = |is_fresh| Cached {
            credential: Arc::clone(&entry.credential),
            is_fresh,
            is_used_here: entry.used_from.contains(&network_of(address)),
        };
        let is_refreshed = entry
            .refreshed_at
            .is_some_and(|at| now.saturating_duration_since(at) < REFRESHED);
        if age < REFRESHED || (age < FRESH && is_refreshed) {
            return Some(cached(true));
        }
        let stale = cached(false);
        entry.refreshed_at = Some(now);
        Some(stale)
    }

    /// Notes that a credential was used from an address, within the limits on refusals.
    pub fn note_use(&self, key: &str, address: IpAddr) {
        if let Some(entry) = self.lock().by_key.get_mut(key) {
            entry.note_use(network_of(address));
        }
    }

    /// Begins a look-up. Its result can be cached only if nothing was removed in the meantime.
    pub fn begin_look_up(&self, now: Instant) -> LookUp {
        LookUp {
            began: now,
            generation: self.lock().generation,
        }
    }

    /// Caches the result of a look-up for a request from that address.
    pub fn put(&self, look_up: LookUp, credential: Arc<CachedCredential>, address: IpAddr) {
        let mut entries = self.lock();
        if entries.generation != look_up.generation {
            return;
        }
        if entries.by_key.len() >= MAX_CACHED {
            entries.by_key.clear();
        }
        let replaced = entries.by_key.remove(&credential.credential.key);
        let mut entry = Entry {
            looked_up_at: look_up.began,
            refreshed_at: None,
            used_from: replaced.map(|entry| entry.used_from).unwrap_or_default(),
            credential,
        };
        entry.note_use(network_of(address));
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

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn find(cache: &CredentialCache, now: Instant) -> Option<Cached> {
        cache.find("k", &SecretHash::from_bytes([0; 32]), ADDRESS, now)
    }

    fn is_fresh(cache: &CredentialCache, now: Instant) -> Option<bool> {
        find(cache, now).map(|cached| cached.is_fresh)
    }

    #[test]
    fn wrong_secret_finds_nothing_and_does_not_count_as_a_look_up() {
        let (cache, start) = (CredentialCache::default(), Instant::now());
        cache.put(cache.begin_look_up(start), credential("k"), ADDRESS);
        let (ageing, wrong) = (start + REFRESHED, SecretHash::from_bytes([1; 32]));
        assert!(cache.find("k", &wrong, ADDRESS, ageing).is_none());
        assert_eq!(is_fresh(&cache, ageing), Some(false));
    }

    #[test]
    fn address_of_a_use_is_remembered_after_the_next_look_up() {
        let (cache, start) = (CredentialCache::default(), Instant::now());
        let other = "2001:db8::1".parse().unwrap();
        cache.put(cache.begin_look_up(start), credential("k"), other);
        assert!(!find(&cache, start).unwrap().is_used_here);
        cache.note_use("k", ADDRESS);
        cache.put(cache.begin_look_up(start), credential("k"), other);
        assert!(find(&cache, start).unwrap().is_used_here);
    }

    #[test]
    fn credential_is_valid_for_less_than_a_second_after_its_look_up_began() {
        let (cache, start) = (CredentialCache::default(), Instant::now());
        cache.put(cache.begin_look_up(start), credential("k"), ADDRESS);
        assert_eq!(is_fresh(&cache, start), Some(true));
        assert_eq!(is_fresh(&cache, start + FRESH), Some(false));
        assert_eq!(is_fresh(&cache, start + KNOWN), None);
        const { assert!(FRESH.as_millis() < 1000) };
    }

    #[test]
    fn one_request_looks_an_ageing_credential_up_again_and_others_use_it() {
        let (cache, start) = (CredentialCache::default(), Instant::now());
        cache.put(cache.begin_look_up(start), credential("k"), ADDRESS);
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
        cache.put(look_up, credential("k"), ADDRESS);
        assert_eq!(is_fresh(&cache, now), None);
        cache.put(cache.begin_look_up(now), credential("k"), ADDRESS);
        assert_eq!(is_fresh(&cache, now), Some(true));
        cache.remove_organisation(&org());
        assert_eq!(is_fresh(&cache, now), None);
    }
}
