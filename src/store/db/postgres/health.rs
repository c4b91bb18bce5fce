//! Whether the connections of a pool work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

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
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            last_answer: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            is_suspect: AtomicBool::new(false),
            is_testing: AtomicBool::new(false),
        }
    }

    pub(super) fn now(&self) -> u64 {
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
