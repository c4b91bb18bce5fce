//! Limits on requests that read the database for a long time. A process serves only a few of them at once, so that
//! short requests always find a free connection.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use tokio::time::timeout;

use super::limits::Limits;
use super::problem::{Code, Problem};
use crate::base::ids::OrgId;
use crate::base::shared_limit::{SharedLimit, SharedPermit, Shares};

/// The value of `Retry-After` in a refusal, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The maximum number of requests of one kind and organisation that wait for a permit.
const MAX_WAITING: usize = 1_000;

/// The concurrency limits of one server.
#[derive(Debug)]
pub struct ConcurrencyLimits {
    /// `export.csv`, `export.ndjson` and `progress.csv`. Each holds one connection while it is sent, and needs a
    /// second one now and then.
    pub exports: ConcurrencyLimit,
    /// `/downloads/{token}`: exports without authorisation. Their limit is separate, so that they never delay the
    /// exports of signed-in users.
    pub downloads: ConcurrencyLimit,
    /// Requests that count many rows before they answer: the summary, facets, and progress with `state` or
    /// `count=exact`.
    pub counts: ConcurrencyLimit,
}

impl ConcurrencyLimits {
    /// Creates the limits that the settings name.
    pub fn new(limits: &Limits) -> Self {
        let limit = |permits, subject| ConcurrencyLimit::new(permits, limits.concurrency_wait, subject);
        Self {
            exports: limit(limits.concurrent_exports, "exports"),
            downloads: limit(limits.concurrent_downloads, "downloads"),
            counts: limit(limits.concurrent_counts, "summaries"),
        }
    }
}

/// The number of requests of one kind that a server works on at once. One organisation never has all permits, unless the
/// limit is one.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    limit: SharedLimit<OrgId>,
    permits: usize,
    wait: Duration,
    subject: &'static str,
}

impl ConcurrencyLimit {
    fn new(permits: usize, wait: Duration, subject: &'static str) -> Self {
        Self {
            limit: SharedLimit::new(Shares::new(permits, permits), MAX_WAITING),
            permits,
            wait,
            subject,
        }
    }

    /// Waits for a permit. The caller keeps it for as long as it reads the database.
    ///
    /// # Errors
    ///
    /// 503 with `Retry-After` if no permit becomes free in time.
    pub async fn acquire(&self, organisation: &OrgId) -> Result<ConcurrencyPermit, Problem> {
        match timeout(self.wait, self.limit.acquire(organisation)).await {
            Ok(Ok(permit)) => Ok(ConcurrencyPermit { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(self.refusal()),
        }
    }

    fn refusal(&self) -> Problem {
        let Self { permits, subject, .. } = self;
        let detail = format!("{permits} {subject} are already running; try again when one has ended");
        Problem::new(Code::Unavailable, detail).with_header(header::RETRY_AFTER, RETRY_AFTER)
    }
}

/// The right to read the database for a long time, until it is dropped.
#[derive(Debug)]
pub struct ConcurrencyPermit {
    _permit: SharedPermit<OrgId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org(id: &str) -> OrgId {
        OrgId::new(id).expect("an id")
    }

    fn with_one_permit() -> ConcurrencyLimits {
        ConcurrencyLimits::new(&Limits {
            concurrent_exports: 1,
            concurrent_counts: 1,
            concurrency_wait: Duration::from_millis(20),
            ..Limits::default()
        })
    }

    #[tokio::test]
    async fn request_without_a_permit_is_refused_with_retry_after() {
        let limits = with_one_permit();
        let permit = limits
            .exports
            .acquire(&org("acme"))
            .await
            .expect("the first permit");
        let problem = limits
            .exports
            .acquire(&org("acme"))
            .await
            .expect_err("no permit is free");
        assert_eq!(problem.code(), Code::Unavailable);
        assert!(
            problem
                .to_response(None)
                .headers()
                .contains_key(header::RETRY_AFTER)
        );
        assert_eq!(
            problem.detail(),
            "1 exports are already running; try again when one has ended"
        );
        drop(permit);
        assert!(limits.exports.acquire(&org("acme")).await.is_ok());
    }

    #[tokio::test]
    async fn limits_of_other_kinds_and_other_servers_are_separate() {
        let (one, other) = (with_one_permit(), with_one_permit());
        let _permit = one.exports.acquire(&org("acme")).await.expect("a permit");
        assert!(one.counts.acquire(&org("acme")).await.is_ok());
        assert!(other.exports.acquire(&org("acme")).await.is_ok());
    }

    #[tokio::test]
    async fn one_organisation_never_has_all_permits() {
        let limits = ConcurrencyLimits::new(&Limits {
            concurrent_exports: 2,
            concurrency_wait: Duration::from_millis(20),
            ..Limits::default()
        });
        let _permit = limits.exports.acquire(&org("acme")).await.expect("a permit");
        assert!(limits.exports.acquire(&org("acme")).await.is_err());
        assert!(limits.exports.acquire(&org("other")).await.is_ok());
    }
}
