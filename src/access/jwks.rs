//! Key sets (JWKS, RFC 7517): loaded from a file or an address, and kept fresh while the server runs, so
//! that an issuer can change its keys without a restart.
//!
//! A set is read at the start and every five minutes; a token that names a key it doesn't have makes it
//! be read at once, at most every ten seconds. A reading that fails changes nothing: the keys that
//! were there stay, and a warning is logged. A file that can't be read at the start ends the start; an
//! address that doesn't answer then doesn't, since people and integrations whose keys are elsewhere
//! should not wait for it: its tokens are refused with [`TokenError::KeysUnavailable`] until it does.
//!
//! [`TokenError::KeysUnavailable`]: crate::access::TokenError::KeysUnavailable

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use crate::access::error::AccessError;
use crate::access::keys::key::{Jwk, Key};
use crate::base::clock::Timestamp;

/// How often a set is read again.
pub const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);

/// How often a set is read again while it has never been read, and how long an unknown key waits for
/// the next look.
pub const RETRY_EVERY: Duration = Duration::from_secs(10);

/// How long a fetch may take, from the first packet to the last.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of a key set, and of any other file of this room.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// The most keys of a set: a token without `kid` is tried with each that fits.
const MAX_KEYS: usize = 64;

/// A key set and where it comes from.
#[derive(Debug)]
pub(crate) struct KeySet {
    source: Source,
    /// `None` until the first reading that succeeds.
    keys: RwLock<Option<Arc<Vec<NamedKey>>>>,
    /// When a token last made it be read.
    asked_at: Mutex<Option<Timestamp>>,
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
    /// Reads the set for the first time. `place` is an `http(s)` address or a path; a relative path
    /// begins at `base`.
    ///
    /// # Errors
    ///
    /// A place that can't be one, and a file that can't be read or has no usable key. An address that
    /// doesn't answer, or not with a key set, is logged and tried again later.
    pub(crate) async fn load(place: &str, base: Option<&Path>) -> Result<Arc<Self>, AccessError> {
        let set = Self {
            source: Source::parse(place, base)?,
            keys: RwLock::new(None),
            asked_at: Mutex::new(None),
        };
        match (set.source.read().await, &set.source) {
            (Ok(keys), _) if !keys.is_empty() => set.replace(keys),
            (Ok(_), Source::File(_)) => {
                let reason = "it holds no key that can verify tokens".to_owned();
                return Err(AccessError::BadKeySet {
                    source_name: set.source.to_string(),
                    reason,
                });
            }
            (Err(error), Source::File(_)) => return Err(error),
            (Ok(_), Source::Address { .. }) => {
                tracing::warn!(key_set = %set.source, "the key set holds no key that can verify tokens; trying again");
            }
            (Err(error), Source::Address { .. }) => {
                tracing::warn!(key_set = %set.source, %error, "the key set can't be read yet; trying again");
            }
        }
        Ok(Arc::new(set))
    }

    /// The keys as they are now; `None`: the set could never be read.
    pub(crate) fn keys(&self) -> Option<Arc<Vec<NamedKey>>> {
        // A writer only ever puts a whole value there, so a poisoned lock holds a good one.
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, keys: Vec<NamedKey>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
    }

    /// Reads the set again, unless a token made it be read less than [`RETRY_EVERY`] ago; waits for a
    /// reading that is under way.
    pub(crate) async fn look_again(self: &Arc<Self>, now: Timestamp) {
        let set = Arc::clone(self);
        // A task of its own: a client that hangs up must not cut the reading off for all others.
        let reading = tokio::spawn(async move {
            let mut asked_at = set.asked_at.lock().await;
            // A clock that was set back doesn't hold the next look up.
            let waiting = asked_at.is_some_and(|at| {
                let passed = now.micros().saturating_sub(at.micros());
                (0..RETRY_EVERY.as_micros() as i64).contains(&passed)
            });
            if !waiting {
                *asked_at = Some(now);
                set.refresh().await;
            }
        });
        // It fails only where the runtime is ending: the token is refused then.
        let _ = reading.await;
    }

    /// Reads the set again and again, for ever: `every` so often, and while it could never be read,
    /// `retry` so often.
    pub(crate) async fn keep_fresh(&self, every: Duration, retry: Duration) {
        loop {
            let pause = if self.keys().is_some() { every } else { retry };
            tokio::time::sleep(pause).await;
            self.refresh().await;
        }
    }

    /// Reads the set again; where that fails, the old keys stay.
    pub(crate) async fn refresh(&self) {
        match self.source.read().await {
            Ok(keys) => {
                if keys.is_empty() {
                    // The issuer's word: it has withdrawn its keys.
                    tracing::warn!(key_set = %self.source, "the key set holds no key that can verify tokens now");
                }
                self.replace(keys);
            }
            Err(error) => {
                tracing::warn!(key_set = %self.source, %error, "the key set can't be read again; its old keys stay");
            }
        }
    }
}

impl Source {
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
        // Redirects are not followed: the keys come from the host that the operator named.
        let mut client = Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("rollbook/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| refuse(causes(&error)))?;
        let source = Source::Address { url, client };
        if let Source::Address { url, .. } = &source
            && url.scheme() == "http"
            && !is_loopback(url)
        {
            tracing::warn!(key_set = %source, "the key set is fetched without TLS: whoever is between can put keys into it");
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
        parse(&bytes, self).map_err(|reason| AccessError::BadKeySet {
            source_name: self.to_string(),
            reason,
        })
    }
}

/// Without user, password and query, so that it can be logged.
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
    let describe = |error: reqwest::Error| causes(&error.without_url());
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

/// An error and what caused it, in one line.
fn causes(error: &dyn Error) -> String {
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

/// The keys of a set that can verify tokens. One that can't is passed over with a warning: a set may
/// hold keys for other purposes.
fn parse(bytes: &[u8], source: &Source) -> Result<Vec<NamedKey>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(bytes).map_err(|error| format!("it is no key set: {error}"))?;
    if set.keys.len() > MAX_KEYS {
        return Err(format!(
            "it has {} keys; at most {MAX_KEYS} are taken",
            set.keys.len()
        ));
    }
    let mut keys = Vec::with_capacity(set.keys.len());
    for (index, value) in set.keys.into_iter().enumerate() {
        let read = serde_json::from_value::<Jwk>(value)
            .map_err(|_| (None, "it is not as RFC 7517 says"))
            .and_then(|jwk| match Key::from_jwk(&jwk) {
                Ok(key) => Ok(NamedKey { id: jwk.kid, key }),
                Err(reason) => Err((jwk.kid, reason)),
            });
        match read {
            Ok(key) => keys.push(key),
            Err((kid, reason)) => {
                let kid = kid.unwrap_or_default();
                tracing::warn!(key_set = %source, index, kid, reason, "a key of the set is passed over");
            }
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
