//! Key sets (JWKS, RFC 7517), loaded from a file or an address and refreshed while the server runs, so that an issuer can
//! change keys without a restart.
//!
//! A set is read at the start and every five minutes. A token with an unknown `kid` causes a further reading, at most
//! every ten seconds. If a reading fails, the old keys stay and a warning is logged. A file that cannot be read at the
//! start stops the start. An address that does not answer at the start does not, because callers with other keys must not
//! wait for it: until it answers, its tokens are refused with [`TokenError::KeysUnavailable`].
//!
//! [`TokenError::KeysUnavailable`]: crate::access::TokenError::KeysUnavailable

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use crate::access::error::AccessError;
use crate::access::keys::key::Key;
use crate::base::clock::Timestamp;

/// The interval between readings of a set.
pub const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);

/// The interval between readings of a set that could never be read, and the minimum interval between readings because of
/// unknown keys.
pub const RETRY_EVERY: Duration = Duration::from_secs(10);

/// The number of times that a key set was read again, by `outcome`: `read`, `failed`.
pub const KEY_SETS: &str = "rollbook_key_set_reads_total";

/// The maximum duration of a fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of bytes of a key set and of every other file that this module reads.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// The maximum number of keys of a set. A token without `kid` is checked with each key of its algorithm.
const MAX_KEYS: usize = 64;

/// A key set and its source.
#[derive(Debug)]
pub(crate) struct KeySet {
    source: Source,
    /// `None` until the first reading that succeeds.
    keys: RwLock<Option<Arc<Vec<NamedKey>>>>,
    /// When a token last caused a reading.
    last_requested: Mutex<Option<Timestamp>>,
}

/// A key and its `kid`.
#[derive(Debug)]
pub(crate) struct NamedKey {
    pub(crate) id: Option<String>,
    pub(crate) key: Key,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Address { url: Url, client: Client },
}

impl KeySet {
    /// Reads the set for the first time, or again at a reload. `place` is an `http(s)` address or a path; a relative path
    /// begins at `base`. If an address does not answer, the keys of `previous` stay, provided that it has the same address.
    ///
    /// # Errors
    ///
    /// The place is not valid, or the file cannot be read or contains no usable key. An address that does not answer with
    /// a key set is logged and tried again later.
    pub(crate) async fn load(
        place: &str,
        base: Option<&Path>,
        previous: Option<&Self>,
    ) -> Result<Arc<Self>, AccessError> {
        let set = Self {
            source: Source::parse(place, base)?,
            keys: RwLock::new(None),
            last_requested: Mutex::new(None),
        };
        let read = set.source.read().await;
        let previous = previous
            .filter(|previous| previous.source.is_same_place(&set.source))
            .and_then(Self::keys);
        match (read, &set.source) {
            (Ok(keys), _) if !keys.is_empty() => set.replace(keys),
            (Ok(keys), Source::Address { .. }) if previous.is_some() => {
                warn_about_withdrawn_keys(&set.source);
                set.replace(keys);
            }
            (Err(error), Source::Address { .. }) if previous.is_some() => {
                tracing::warn!(key_set = %set.source, %error, "the key set can't be read again; its old keys stay");
                *set.keys.write().unwrap_or_else(PoisonError::into_inner) = previous;
            }
            (Ok(_), Source::File(_)) => {
                let reason = "it contains no key that can verify tokens".to_owned();
                return Err(AccessError::BadKeySet {
                    source_name: set.source.to_string(),
                    reason,
                });
            }
            (Err(error), Source::File(_)) => return Err(error),
            (Ok(_), Source::Address { .. }) => {
                tracing::warn!(key_set = %set.source, "the key set contains no key that can verify tokens; trying again");
            }
            (Err(error), Source::Address { .. }) => {
                tracing::warn!(key_set = %set.source, %error, "the key set can't be read yet; trying again");
            }
        }
        Ok(Arc::new(set))
    }

    /// The current keys. `None` if the set could never be read.
    pub(crate) fn keys(&self) -> Option<Arc<Vec<NamedKey>>> {
        // A writer replaces the whole value, so the value behind a poisoned lock is valid.
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, keys: Vec<NamedKey>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
    }

    /// Reads the set again, unless a token caused a reading less than [`RETRY_EVERY`] ago. Waits for a running reading.
    pub(crate) async fn refresh_for_unknown_key(self: &Arc<Self>, now: Timestamp) {
        let set = Arc::clone(self);
        // A separate task: a client that disconnects must not cancel the reading for all others.
        let reading = tokio::spawn(async move {
            let mut last_requested = set.last_requested.lock().await;
            // A clock that was set back does not delay the next reading.
            let waiting = last_requested.is_some_and(|at| {
                let passed = now.micros().saturating_sub(at.micros());
                (0..RETRY_EVERY.as_micros() as i64).contains(&passed)
            });
            if !waiting {
                *last_requested = Some(now);
                set.refresh().await;
            }
        });
        // An error means that the runtime ends. Then the token is refused.
        let _ = reading.await;
    }

    /// Reads the set again after each interval, without end: `every`, or `retry` while the set could never be read.
    pub(crate) async fn keep_fresh(&self, every: Duration, retry: Duration) {
        loop {
            let pause = if self.keys().is_some() { every } else { retry };
            tokio::time::sleep(pause).await;
            self.refresh().await;
        }
    }

    /// Reads the set again. If that fails, the old keys stay.
    pub(crate) async fn refresh(&self) {
        let read = self.source.read().await;
        let outcome = if read.is_ok() { "read" } else { "failed" };
        metrics::counter!(KEY_SETS, "outcome" => outcome).increment(1);
        match read {
            Ok(keys) => {
                if keys.is_empty() {
                    warn_about_withdrawn_keys(&self.source);
                }
                self.replace(keys);
            }
            Err(error) => {
                tracing::warn!(key_set = %self.source, %error, "the key set can't be read again; its old keys stay");
            }
        }
    }
}

/// Logs that an issuer has withdrawn its keys.
fn warn_about_withdrawn_keys(source: &Source) {
    tracing::warn!(key_set = %source, "the key set contains no key that can verify tokens any more");
}

impl Source {
    /// Whether both are the same file or the same address.
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Source::File(path), Source::File(other)) => path == other,
            (Source::Address { url, .. }, Source::Address { url: other, .. }) => url == other,
            _ => false,
        }
    }

    fn parse(place: &str, base: Option<&Path>) -> Result<Self, AccessError> {
        if !place.contains("://") {
            return Ok(Source::File(
                base.map_or_else(|| PathBuf::from(place), |base| base.join(place)),
            ));
        }
        let refuse = |reason: String| AccessError::BadSetting {
            setting: "a key set's address",
            reason,
        };
        let url = Url::parse(place).map_err(|error| refuse(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(format!(
                "it must begin with https:// (or http://), not {}://",
                url.scheme()
            )));
        }
        // Redirects are not followed: the keys must come from the configured host.
        let mut client = Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("rollbook/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| refuse(describe_causes(&error)))?;
        let source = Source::Address { url, client };
        if let Source::Address { url, .. } = &source
            && url.scheme() == "http"
            && !is_loopback(url)
        {
            tracing::warn!(key_set = %source, "the key set is fetched without TLS; anyone on the network path can replace the keys");
        }
        Ok(source)
    }

    async fn read(&self) -> Result<Vec<NamedKey>, AccessError> {
        let bytes = match self {
            Source::File(path) => read_file(path).await?,
            Source::Address { url, client } => {
                fetch(client, url).await.map_err(|reason| AccessError::Fetch {
                    source_name: self.to_string(),
                    reason,
                })?
            }
        };
        parse_key_set(&bytes, self).map_err(|reason| AccessError::BadKeySet {
            source_name: self.to_string(),
            reason,
        })
    }
}

/// The source without user, password and query, so that it can be logged.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::Address { url, .. } => {
                write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                f.write_str(url.path())
            }
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

async fn fetch(client: &Client, url: &Url) -> Result<Vec<u8>, String> {
    let describe = |error: reqwest::Error| describe_causes(&error.without_url());
    let request = client.get(url.clone()).header(
        reqwest::header::ACCEPT,
        "application/jwk-set+json, application/json",
    );
    let mut response = request.send().await.map_err(describe)?;
    if !response.status().is_success() {
        return Err(format!("it answers {}", response.status()));
    }
    let too_large = || format!("it is larger than {MAX_BYTES} bytes");
    if response.content_length().is_some_and(|length| length > MAX_BYTES) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        if (bytes.len() + chunk.len()) as u64 > MAX_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// An error and its causes in one line.
fn describe_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Reads a file of at most [`MAX_BYTES`].
pub(crate) async fn read_file(path: &Path) -> Result<Vec<u8>, AccessError> {
    let refuse = |source| AccessError::ReadFile {
        path: path.to_owned(),
        source,
    };
    let file = tokio::fs::File::open(path).await.map_err(refuse)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(refuse)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(AccessError::FileTooLarge {
            path: path.to_owned(),
            limit: MAX_BYTES,
        });
    }
    Ok(bytes)
}

/// The keys of a set that can verify tokens. Other keys are skipped with a warning, since a set may contain keys for
/// other purposes.
fn parse_key_set(bytes: &[u8], source: &Source) -> Result<Vec<NamedKey>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(bytes).map_err(|error| format!("it is not a key set: {error}"))?;
    if set.keys.len() > MAX_KEYS {
        return Err(format!(
            "it has {} keys; the maximum is {MAX_KEYS}",
            set.keys.len()
        ));
    }
    let mut keys = Vec::with_capacity(set.keys.len());
    for (index, mut value) in set.keys.into_iter().enumerate() {
        // The name of RFC 9864, which jsonwebtoken does not know.
        if value["alg"] == "Ed25519" {
            value["alg"] = "EdDSA".into();
        }
        let id = value["kid"].as_str().map(str::to_owned);
        let key = serde_json::from_value::<Jwk>(value)
            .map_err(|_| "it is not a key of RFC 7517 that is supported")
            .and_then(|key| Key::from_jwk(&key));
        match key {
            Ok(key) => keys.push(NamedKey { id, key }),
            Err(reason) => {
                let kid = id.unwrap_or_default();
                tracing::warn!(key_set = %source, index, kid, reason, "a key of the set is skipped");
            }
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
