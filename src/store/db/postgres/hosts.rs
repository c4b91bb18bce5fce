//! The hosts of a cluster of PostgreSQL, one of which is the primary: `postgres://user@host-a:5432,host-b:5432/name`, as
//! libpq writes it.
//!
//! A pool has the options of one host at a time. A request that waits for a connection looks for the primary among all
//! hosts. If another host is it, the pool goes on there. So a server finds the new primary after a fail-over by itself.

use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection as _, PgConnection, PgPool, Row as _};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::APPLICATION;
use super::connecting::connect_error;
use crate::store::db::StoreError;

/// How long a request waits for a connection before it looks for another host.
const SEARCH_AFTER: Duration = Duration::from_millis(300);
/// The time within which a host answers a search.
const SEARCH_TIME: Duration = Duration::from_secs(2);
/// The time between two searches of a pool.
const SEARCH_EVERY: Duration = Duration::from_millis(500);
/// The port of PostgreSQL.
const DEFAULT_PORT: u16 = 5432;

/// The hosts of a URL.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// The options of a connection to each host, in the order of the URL.
    options: Vec<RwLock<PgConnectOptions>>,
    /// The host that was the primary when it was last looked for.
    primary: AtomicUsize,
    /// When the last search ended. Held during a search, so that there is one at a time.
    last_search: Mutex<Option<Instant>>,
}

impl Hosts {
    /// The hosts of a URL. The first one counts as the primary until [`Hosts::find_primary`].
    ///
    /// # Errors
    ///
    /// The URL is not one of PostgreSQL.
    pub(in crate::store::db) fn from_url(url: &str, is_behind_pooler: bool) -> Result<Self, StoreError> {
        let mut options = Vec::new();
        for url in split_hosts(url) {
            let host = PgConnectOptions::from_str(&url).map_err(StoreError::Connect)?;
            let host = host.application_name(APPLICATION);
            options.push(RwLock::new(if is_behind_pooler {
                // Poolers refuse this parameter of the start. Numbers travel in binary form, so it changes nothing.
                host.extra_float_digits(None).statement_cache_capacity(0)
            } else {
                host.statement_cache_capacity(256)
            }));
        }
        Ok(Self {
            options,
            primary: AtomicUsize::new(0),
            last_search: Mutex::default(),
        })
    }

    /// The options of the primary.
    pub(in crate::store::db) fn primary(&self) -> PgConnectOptions {
        self.options_of(self.primary_place())
    }

    /// The place of the primary.
    pub(super) fn primary_place(&self) -> usize {
        self.primary.load(Ordering::SeqCst)
    }

    fn options_of(&self, place: usize) -> PgConnectOptions {
        let options = self.options.get(place);
        options.map_or_else(PgConnectOptions::default, |options| {
            options.read().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// Whether there is more than one host.
    pub(in crate::store::db) fn are_several(&self) -> bool {
        self.options.len() > 1
    }

    /// The addresses of all hosts, for messages.
    fn addresses(&self) -> String {
        let addresses = (0..self.options.len()).map(|place| address(&self.options_of(place)));
        addresses.collect::<Vec<_>>().join(", ")
    }

    /// Looks for the primary: the only host, or the one that is no standby.
    ///
    /// # Errors
    ///
    /// No host has answered as a primary. [`StoreError::Unreachable`] if another try may succeed.
    pub(in crate::store::db) async fn find_primary(&self, wait: Duration) -> Result<(), StoreError> {
        let places = 0..self.options.len();
        let mut answers: FuturesUnordered<_> = places
            .map(|place| async move { (place, self.is_primary(place, wait).await) })
            .collect();
        let mut reason = StoreError::Unreachable {
            address: self.addresses(),
            cause: "no host is a primary".to_owned(),
        };
        // If several addresses lead to a primary, for example those of two poolers, the present one is kept.
        let (present, mut other) = (self.primary_place(), None);
        loop {
            let next = match other {
                Some(_) => timeout(SEARCH_AFTER, answers.next()).await.unwrap_or(None),
                None => answers.next().await,
            };
            match next {
                Some((place, Ok(true))) if place == present => return Ok(()),
                Some((place, Ok(true))) => other = Some(place),
                Some((_, Ok(false))) => {}
                Some((_, Err(error))) => reason = error,
                None => break,
            }
        }
        let Some(place) = other else {
            return Err(reason);
        };
        self.primary.store(place, Ordering::SeqCst);
        Ok(())
    }

    /// Whether the host with this place is a primary. The only host is never asked: a server that is a standby by itself
    /// serves reads.
    async fn is_primary(&self, place: usize, wait: Duration) -> Result<bool, StoreError> {
        let ask = async {
            let mut connection = self.connect(place).await?;
            let is_primary = !self.are_several() || !is_standby(&mut connection).await?;
            let _ = connection.close().await; // it has answered
            Ok(is_primary)
        };
        match timeout(wait, ask).await {
            Ok(answer) => answer.map_err(|error| connect_error(&self.options_of(place), error)),
            Err(_) => Err(StoreError::Unreachable {
                address: address(&self.options_of(place)),
                cause: format!("no answer within {wait:?}"),
            }),
        }
    }

    async fn connect(&self, place: usize) -> Result<PgConnection, sqlx::Error> {
        match PgConnection::connect_with(&self.options_of(place)).await {
            Err(error) if self.gives_up_tls(place, &error) => {
                PgConnection::connect_with(&self.options_of(place)).await
            }
            outcome => outcome,
        }
    }

    /// Whether the host is from now on connected to without TLS because of this error. With `sslmode=prefer`, the default,
    /// a failure of TLS is no reason to give up, as in libpq: a certificate of version 1 cannot be read.
    fn gives_up_tls(&self, place: usize, error: &sqlx::Error) -> bool {
        let is_of_tls = match error {
            sqlx::Error::Tls(_) => true,
            // A handshake that fails, as rustls reports it.
            sqlx::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
            _ => false,
        };
        if !is_of_tls {
            return false;
        }
        let Some(options) = self.options.get(place) else {
            return false;
        };
        let mut options = options.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(options.get_ssl_mode(), PgSslMode::Prefer) {
            return false;
        }
        let host = address(&options);
        tracing::warn!(%error, host, "TLS with the database failed; connections are not encrypted");
        *options = options.clone().ssl_mode(PgSslMode::Disable);
        true
    }

    /// Makes the pool connect without TLS from now on, if this error of a connection is a reason for it.
    pub(super) fn change_after(&self, error: &sqlx::Error, pool: &PgPool, place: &AtomicUsize) {
        let place = place.load(Ordering::SeqCst);
        // Another pool of these hosts may have given it up already.
        let is_given_up = matches!(error, sqlx::Error::Tls(_) | sqlx::Error::Io(_))
            && matches!(self.options_of(place).get_ssl_mode(), PgSslMode::Disable);
        if self.gives_up_tls(place, error) || is_given_up {
            pool.set_connect_options(self.options_of(place));
        }
    }

    /// Ready when `pool` goes on with another host than `before`, because of this task or another one. While no connection
    /// comes, all hosts are asked again and again. `place` is the host of the pool.
    pub(super) async fn wait_for_another(&self, before: usize, pool: &PgPool, place: &AtomicUsize) {
        loop {
            self.lead(pool, place);
            if place.load(Ordering::SeqCst) != before {
                return;
            }
            sleep(SEARCH_AFTER).await;
            let mut last_search = self.last_search.lock().await;
            if last_search.is_some_and(|last| last.elapsed() < SEARCH_EVERY) {
                continue;
            }
            if let Err(error) = self.find_primary(SEARCH_TIME).await {
                tracing::debug!(%error, "no host of the database is a primary at the moment");
            }
            *last_search = Some(Instant::now());
        }
    }

    /// Makes the pool connect to the primary from now on. `place` is its host.
    fn lead(&self, pool: &PgPool, place: &AtomicUsize) {
        let primary = self.primary_place();
        if place.load(Ordering::SeqCst) == primary {
            return;
        }
        let options = self.options_of(primary);
        let host = address(&options);
        // First the options: a task that sees the place connects with them.
        pool.set_connect_options(options);
        if place.swap(primary, Ordering::SeqCst) != primary {
            tracing::warn!(host, "the database goes on at another host");
        }
    }
}

/// The host and port, for messages.
pub(super) fn address(options: &PgConnectOptions) -> String {
    format!("{}:{}", options.get_host(), options.get_port())
}

/// Whether the connection leads to a standby, which takes no writes.
pub(super) async fn is_standby(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::raw_sql("SELECT pg_is_in_recovery()");
    row.fetch_one(connection).await?.try_get(0)
}

/// A URL for each host of a URL.
fn split_hosts(url: &str) -> Vec<String> {
    let whole = || vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else {
        return whole();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    if !hosts.contains(',') {
        return whole();
    }
    let hosts = hosts.split(',').map(|host| {
        // Behind the bracket of an IPv6 address, or behind the name, is the port.
        let has_port = host.rsplit_once(']').map_or(host, |(_, port)| port).contains(':');
        let port = if has_port {
            String::new()
        } else {
            format!(":{DEFAULT_PORT}")
        };
        format!("{scheme}://{user}{host}{port}{path}")
    });
    hosts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_gets_a_url_of_its_own() {
        let one = "postgres://me:a%2Cb@db/x?sslmode=require";
        assert_eq!(split_hosts(one), [one]);
        let several = "postgres://me:secret@a,b:5433,[::1],[::2]:5434/x?sslmode=require";
        let expected = ["a:5432", "b:5433", "[::1]:5432", "[::2]:5434"];
        let expected = expected.map(|host| format!("postgres://me:secret@{host}/x?sslmode=require"));
        assert_eq!(split_hosts(several), expected);
        assert_eq!(
            split_hosts("postgres://a,b"),
            ["postgres://a:5432", "postgres://b:5432"]
        );
        let hosts = Hosts::from_url(several, false).expect("a URL");
        assert!(hosts.are_several());
        assert_eq!(hosts.primary().get_host(), "a");
        assert_eq!(hosts.addresses(), "a:5432, b:5433, [::1]:5432, [::2]:5434");
    }
}
