//! ConcurrencyLimit at the database, for what reads it at length: one process does only so much of it at once, so that
//! short questions always find a free connection.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::{Code, Problem};

/// How long one more waits for its turn before it is refused.
const PATIENCE: Duration = Duration::from_secs(10);
/// When whoever was refused may try again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// `export.csv`, `export.ndjson`, `progress.csv`: each holds one connection while it is sent, and asks for another one
/// now and then.
pub static EXPORTS: ConcurrencyLimit = ConcurrencyLimit::new(4, "exports");

/// `/downloads/{token}`: as many of those exports whom nobody is signed in for. With turns of their own they never keep
/// those waiting who are.
pub static DOWNLOADS: ConcurrencyLimit = ConcurrencyLimit::new(2, "downloads");

/// What counts many rows before it answers: the summary, facets, progress with `state` or `count=exact`.
pub static COUNTS: ConcurrencyLimit = ConcurrencyLimit::new(2, "summaries");

/// So many at once in this process.
pub struct ConcurrencyLimit {
    semaphore: Semaphore,
    at_once: usize,
    what: &'static str,
}

impl ConcurrencyLimit {
    /// `at_once` turns for `what`, in the plural.
    pub const fn new(at_once: usize, what: &'static str) -> Self {
        Self {
            semaphore: Semaphore::const_new(at_once),
            at_once,
            what,
        }
    }

    /// Waits for a turn; kept for as long as the database is read.
    ///
    /// # Errors
    ///
    /// 503 with `Retry-After` where none came within ten seconds.
    pub async fn take(&'static self) -> Result<SemaphorePermit<'static>, Problem> {
        match tokio::time::timeout(PATIENCE, self.semaphore.acquire()).await {
            Ok(turn) => turn.map_err(Problem::internal),
            Err(_) => {
                let Self { at_once, what, .. } = self;
                let detail = format!("{at_once} {what} are under way already; try again when one has ended");
                Err(Problem::new(Code::Unavailable, detail).with_header(header::RETRY_AFTER, RETRY_AFTER))
            }
        }
    }
}
