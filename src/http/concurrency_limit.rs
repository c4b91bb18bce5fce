//! Limits on requests that read the database for a long time, and on exports that clients read slowly. A process serves
//! only a few of them at once, so that short requests always find a free connection. Organisations share each limit, and
//! callers share the part of their organisation.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use tokio::time::{Instant, timeout_at};

use super::limits::Limits;
use super::problem::{Code, Problem};
use crate::base::fair_limit::{FairLimit, FairPermit, FairShares, Sharer};
use crate::export::Transfer;
use crate::export::spool::SpoolSpace;
use crate::export::transfer::ReadingRules;

/// The value of `Retry-After` in a refusal, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The maximum number of requests of one kind and caller that wait for a permit.
const MAX_WAITING: usize = 100;

/// The total time that the database waits for the client of an export. A fast client never needs it, so that its export
/// touches no disk.
const PATIENCE: Duration = Duration::from_millis(500);

/// The concurrency limits of one server.
#[derive(Debug)]
pub struct ConcurrencyLimits {
    /// The exports of signed-in callers, in each format. Each holds one connection while the database is read, and needs
    /// a second one now and then.
    pub exports: ExportLimit,
    /// `/downloads/{token}`: exports without authorisation. Their limit is separate, so that they never delay the
    /// exports of signed-in users.
    pub downloads: ExportLimit,
    /// Requests that count many rows before they answer: the summary, facets, and progress with `state` or
    /// `count=exact`.
    pub counts: ConcurrencyLimit,
    /// Requests for a change feed that wait for a change. They read nothing meanwhile.
    pub feeds: ConcurrencyLimit,
}

impl ConcurrencyLimits {
    /// Creates the limits that the settings name.
    pub fn new(limits: &Limits) -> Self {
        let spool = SpoolSpace::new(limits.export_spool_bytes);
        Self {
            exports: ExportLimit::new(limits.concurrent_exports, limits, "exports", spool.clone()),
            downloads: ExportLimit::new(limits.concurrent_downloads, limits, "downloads", spool),
            counts: ConcurrencyLimit::new(
                FairShares::new(limits.concurrent_counts, limits.concurrent_per_caller),
                limits.concurrency_wait,
                "summaries",
            ),
            // They last for up to 30 seconds, so an organisation leaves half of them for others.
            feeds: ConcurrencyLimit::new(
                FairShares::for_organisations(
                    limits.waiting_feeds,
                    limits.waiting_feeds / 2,
                    limits.waiting_feeds_per_caller,
                ),
                limits.concurrency_wait,
                "requests for changes",
            ),
        }
    }
}

/// The exports of one kind: how many read the database at once, how many are sent at once, and how slowly their clients
/// may read.
#[derive(Debug)]
pub struct ExportLimit {
    reading: ConcurrencyLimit,
    sending: ConcurrencyLimit,
    rules: ReadingRules,
    spool: SpoolSpace,
}

impl ExportLimit {
    fn new(permits: usize, limits: &Limits, subject: &'static str, spool: SpoolSpace) -> Self {
        let limit = |shares| ConcurrencyLimit::new(shares, limits.concurrency_wait, subject);
        Self {
            reading: limit(FairShares::new(permits, limits.concurrent_per_caller)),
            // Clients can hold these for long, so an organisation leaves half of them for others.
            sending: limit(FairShares::for_organisations(
                limits.open_exports,
                limits.open_exports / 2,
                limits.open_exports_per_caller,
            )),
            rules: ReadingRules {
                patience: PATIENCE,
                longest_wait: limits.export_space_wait,
                window: limits.export_window,
                window_bytes: limits.export_window_bytes,
                deadline: limits.export_deadline,
            },
            spool,
        }
    }

    /// Waits until the caller may start another export.
    ///
    /// # Errors
    ///
    /// 503 with `Retry-After` if it may not in time.
    pub async fn acquire(&self, sharer: &Sharer) -> Result<Transfer, Problem> {
        let deadline = Instant::now() + self.sending.wait;
        let sending = self.sending.acquire_until(deadline, sharer).await?;
        let reading = self.reading.acquire_until(deadline, sharer).await?;
        let share = self.spool.share(sharer);
        Ok(Transfer::to_client(reading, sending, self.rules, share))
    }
}

/// The number of requests of one kind that a server works on at once, see [`FairShares`].
#[derive(Debug)]
pub struct ConcurrencyLimit {
    limit: FairLimit,
    shares: FairShares,
    wait: Duration,
    subject: &'static str,
}

impl ConcurrencyLimit {
    fn new(shares: FairShares, wait: Duration, subject: &'static str) -> Self {
        Self {
            limit: FairLimit::new(shares, MAX_WAITING),
            shares,
            wait,
            subject,
        }
    }

    /// Waits for a permit. The caller keeps it for as long as it reads the database.
    ///
    /// # Errors
    ///
    /// 503 with `Retry-After` if no permit becomes free in time.
    pub async fn acquire(&self, sharer: &Sharer) -> Result<ConcurrencyPermit, Problem> {
        self.acquire_until(Instant::now() + self.wait, sharer).await
    }

    /// [`ConcurrencyLimit::acquire`] with another limit on the time to wait.
    pub async fn acquire_until(
        &self,
        deadline: Instant,
        sharer: &Sharer,
    ) -> Result<ConcurrencyPermit, Problem> {
        match timeout_at(deadline, self.limit.acquire(sharer)).await {
            Ok(Ok(permit)) => Ok(ConcurrencyPermit { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(self.refusal()),
        }
    }

    fn refusal(&self) -> Problem {
        let Self { shares, subject, .. } = self;
        let detail = format!(
            "too many {subject} are running: the server runs {}, and {} of one caller; try again when one has ended",
            shares.all(),
            shares.of_caller()
        );
        Problem::new(Code::Unavailable, detail).with_header(header::RETRY_AFTER, RETRY_AFTER)
    }
}

/// The right to read the database for a long time, until it is dropped.
#[derive(Debug)]
pub struct ConcurrencyPermit {
    _permit: FairPermit,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::OrgId;

    fn caller(organisation: &str) -> Sharer {
        Sharer {
            organisation: OrgId::new(organisation).expect("an id"),
            caller: "user:ada".to_owned(),
        }
    }

    fn with_permits(permits: usize) -> ConcurrencyLimits {
        ConcurrencyLimits::new(&Limits {
            concurrent_exports: permits,
            concurrent_counts: permits,
            concurrency_wait: Duration::from_millis(20),
            ..Limits::default()
        })
    }

    #[tokio::test]
    async fn request_without_a_permit_is_refused_with_retry_after() {
        let limits = with_permits(1);
        let Ok(transfer) = limits.exports.acquire(&caller("acme")).await else {
            panic!("the first permit is free")
        };
        let Err(problem) = limits.exports.acquire(&caller("acme")).await else {
            panic!("no permit is free")
        };
        assert_eq!(problem.code(), Code::Unavailable);
        assert!(problem.is_refusal(), "the log does not call it an error");
        assert!(
            problem
                .to_response("", None)
                .headers()
                .contains_key(header::RETRY_AFTER)
        );
        assert_eq!(
            problem.detail(),
            "too many exports are running: the server runs 1, and 1 of one caller; try again when one has ended"
        );
        drop(transfer);
        assert!(limits.exports.acquire(&caller("acme")).await.is_ok());
    }

    #[tokio::test]
    async fn waits_for_both_permits_of_an_export_have_one_deadline() {
        let wait = Duration::from_secs(1);
        let limits = ConcurrencyLimits::new(&Limits {
            concurrent_exports: 1,
            open_exports: 1,
            concurrency_wait: wait,
            ..Limits::default()
        });
        let (exports, ada) = (&limits.exports, caller("acme"));
        let _reading = exports.reading.acquire(&ada).await;
        let sending = exports.sending.acquire(&ada).await;
        let began = Instant::now();
        let release = async {
            tokio::time::sleep(wait / 10 * 9).await;
            drop(sending);
        };
        let (refused, ()) = tokio::join!(exports.acquire(&ada), release);
        assert!(refused.is_err());
        assert!(began.elapsed() < wait / 10 * 17, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn limits_of_other_kinds_and_other_servers_are_separate() {
        let (one, other) = (with_permits(1), with_permits(1));
        let _permit = one.exports.acquire(&caller("acme")).await;
        assert!(one.counts.acquire(&caller("acme")).await.is_ok());
        assert!(other.exports.acquire(&caller("acme")).await.is_ok());
    }

    #[tokio::test]
    async fn one_organisation_never_has_all_permits() {
        let limits = with_permits(2);
        let _permit = limits.exports.acquire(&caller("acme")).await;
        assert!(limits.exports.acquire(&caller("acme")).await.is_err());
        assert!(limits.exports.acquire(&caller("other")).await.is_ok());
    }
}
