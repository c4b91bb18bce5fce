//! Whether the connections of a pool work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::connecting::{is_silence, silence, test};

/// How long after an answer of the database idle connections are used without a test.
const TRUSTED: Duration = Duration::from_millis(250);

/// Whether the connections of a pool work, as far as this process knows.
pub(super) struct Health {
    began: Instant,
    /// The time of the last answer, in milliseconds after `began`.
    last_answer: AtomicU64,
    /// How many connections have failed, or led to a server that only reads.
    pub(super) failed: AtomicU64,
    /// Whether a connection has failed, and the idle ones are not tested yet.
    pub(super) is_suspect: AtomicBool,
    /// Whether a task tests the idle connections.
    pub(super) is_testing: AtomicBool,
    /// The begin of the last test without an answer, in milliseconds after `began`; 0 if there was none.
    last_silence: AtomicU64,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            last_answer: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            is_suspect: AtomicBool::new(false),
            is_testing: AtomicBool::new(false),
            last_silence: AtomicU64::new(0),
        }
    }

    /// Tests a connection that was idle for this time, before it is used.
    ///
    /// If another one was silent in a test that began after this one became idle, this one is taken to be silent without a
    /// test. A request would else wait for the silence of one idle connection after the other.
    ///
    /// # Errors
    ///
    /// The connection does not work and must be closed.
    pub(super) async fn test_idle_one(
        &self,
        connection: &mut PgConnection,
        idle_for: Duration,
    ) -> Result<(), sqlx::Error> {
        let begin = self.now();
        let idle_since = begin.saturating_sub(u64::try_from(idle_for.as_millis()).unwrap_or(u64::MAX));
        if idle_since < self.last_silence.load(Ordering::SeqCst) {
            return Err(silence());
        }
        let tested = test(connection).await;
        if let Err(error) = &tested {
            self.mark_as_suspect();
            if is_silence(error) {
                self.last_silence.fetch_max(begin, Ordering::SeqCst);
            }
        }
        tested
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn note_answer(&self) {
        self.last_answer.store(self.now(), Ordering::Relaxed);
    }

    /// Makes idle connections be tested before they are used.
    pub(super) fn mark_as_suspect(&self) {
        self.count_failure();
        self.is_suspect.store(true, Ordering::SeqCst);
    }

    pub(super) fn count_failure(&self) {
        self.failed.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether an idle connection can be used without a test.
    pub(super) fn is_trusted(&self) -> bool {
        let age = self
            .now()
            .saturating_sub(self.last_answer.load(Ordering::Relaxed));
        !self.is_suspect.load(Ordering::SeqCst) && u128::from(age) < TRUSTED.as_millis()
    }
}
