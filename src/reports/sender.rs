//! The sender: turns schedules into runs and runs into messages, beside the requests, in every replica (product text,
//! section 9).
//!
//! [`Sender::run`] is the loop: whatever is due becomes a run, runs are claimed, and each is an attempt of its own
//! (the file `attempt`), up to [`RUNS_AT_ONCE`] at a time. [`Sender::work`] does the same until nothing is due.
//!
//! What it promises:
//! - A moment of a schedule has one run, and a run one worker, whatever number of replicas there is: see the store's
//!   `runs`. What was missed while no server ran is made up, the oldest first, each for its own moment.
//! - A message is noted as soon as the mail server has taken it. Only a crash between the two sends it twice, and then
//!   under the same `Message-ID`.
//! - Who may see what is asked anew at every attempt; nothing is remembered between two.
//! - Nothing waits for a slow mail server but the run that speaks to it: every step has a limit of time, and what
//!   fails, be it a panic, fails in its own run.
//! - Memory is bounded: an export in memory is no larger than what may be attached, and few are packed at once.
//!
//! Neither the log lines nor the metrics name an organisation, an address, a report or a secret.

mod attempt;
mod conclusion;
mod metrics;
pub(super) mod opening;

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::reports::mailer::Mailer;
use crate::reports::parcel::Sizes;
use crate::reports::rights::RecipientRules;
use crate::reports::timing::Timing;
use crate::store::{Claim, DueSchedule, Store, StoreError};
use attempt::Fault;

/// Runs that one process works on at once.
pub const RUNS_AT_ONCE: usize = 8;
/// How many of them may belong to one organisation, so that another one's still find a place beside those.
pub const RUNS_OF_ONE_ORGANISATION: usize = 6;
/// Exports that one process reads from the database at once for messages.
pub const EXPORTS_AT_ONCE: usize = 2;
/// Due schedules taken from the database at a time.
const DUE_AT_A_TIME: u32 = 256;

/// What an operator, or a test, can set about the sender.
#[derive(Debug, Clone)]
pub struct SenderOptions {
    /// How often it looks for what is due.
    pub poll: Duration,
    /// How long a run stays with a replica that says nothing any more. It is renewed while the replica works.
    pub lease: Duration,
    /// The longest that one message may take; the mailer's own limits come first.
    pub send_within: Duration,
    /// How long messages that are being sent may still take once the sender is told to stop.
    pub stop_within: Duration,
    /// How long a download link is good for, in hours.
    pub link_hours: u32,
    /// Where the server is reached from outside, for download links: `https://rollbook.example.org`.
    pub public_url: String,
    /// Past which sizes a file is compressed, and linked instead of attached.
    pub sizes: Sizes,
    /// Who may receive what.
    pub recipients: RecipientRules,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(5),
            lease: Duration::from_secs(30),
            send_within: Duration::from_secs(300),
            stop_within: Duration::from_secs(5),
            link_hours: 168,
            public_url: "http://127.0.0.1:8080".to_owned(),
            sizes: Sizes::default(),
            recipients: RecipientRules::default(),
        }
    }
}

/// Sends what is due.
#[derive(Clone)]
pub struct Sender(Arc<Inner>);

/// What every attempt has at hand.
struct Inner {
    store: Store,
    mailer: Mailer,
    options: SenderOptions,
    exports: Arc<Semaphore>,
}

/// The runs under way, each with what it says when it ends.
type Running = JoinSet<Ended>;

/// Which organisation's run has ended.
struct Ended {
    org: i64,
}

/// How many runs of each organisation are under way, by its key.
#[derive(Default)]
struct Places(HashMap<i64, usize>);

impl Places {
    fn take(&mut self, org: i64) {
        *self.0.entry(org).or_default() += 1;
    }

    fn give_back(&mut self, org: i64) {
        if let Some(places) = self.0.get_mut(&org) {
            *places = places.saturating_sub(1);
            if *places == 0 {
                self.0.remove(&org);
            }
        }
    }

    /// The organisations that have as many as they may.
    fn full(&self) -> Vec<i64> {
        let full = self
            .0
            .iter()
            .filter(|(_, places)| **places >= RUNS_OF_ONE_ORGANISATION);
        full.map(|(org, _)| *org).collect()
    }
}

impl Sender {
    /// A sender over a store and a mailer. It does nothing until it is run.
    pub fn new(store: Store, mailer: Mailer, options: SenderOptions) -> Self {
        Self(Arc::new(Inner {
            store,
            mailer,
            options,
            exports: Arc::new(Semaphore::new(EXPORTS_AT_ONCE)),
        }))
    }

    /// Sends whatever comes due until `stopped` is ready. Messages that are being sent then may end within
    /// [`SenderOptions::stop_within`]; runs that are not done by then are given back, or their leases run out.
    ///
    /// A future that is dropped stops at once, wherever it is.
    pub async fn run(self, stopped: impl Future<Output = ()> + Send) {
        metrics::describe();
        let (stop, stopping) = watch::channel(false);
        let mut stopped = pin!(stopped);
        let mut running = Running::new();
        let mut places = Places::default();
        loop {
            let filling = AssertUnwindSafe(self.0.fill(&mut running, &mut places, &stopping)).catch_unwind();
            let filled = tokio::select! {
                () = &mut stopped => break,
                filled = filling => filled,
            };
            match filled {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "what is due can't be found; it is tried again"),
                Err(_) => tracing::error!("looking for what is due panicked; it is tried again"),
            }
            tokio::select! {
                () = &mut stopped => break,
                Some(ended) = running.join_next() => places.note(ended),
                () = self.0.store.sender_woken() => {}
                () = tokio::time::sleep(self.0.options.poll) => {}
            }
        }
        let _ = stop.send(true); // without a receiver there is no run to stop
        let rest = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.0.options.stop_within, rest)
            .await
            .is_err()
        {
            tracing::warn!("a message is still being sent while the server stops: it may be sent twice");
        }
        running.shutdown().await;
    }

    /// Sends whatever is due by the server's clock, until nothing is.
    ///
    /// # Errors
    ///
    /// Where what is due can't be found. What fails within a run is noted with the run.
    pub async fn work(&self) -> Result<(), StoreError> {
        // The sender is kept until the end: nobody says stop.
        let (_stop, stopping) = watch::channel(false);
        let mut running = Running::new();
        let mut places = Places::default();
        loop {
            self.0.fill(&mut running, &mut places, &stopping).await?;
            match running.join_next().await {
                Some(ended) => places.note(ended),
                None => return Ok(()),
            }
        }
    }
}

impl Places {
    fn note(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        match ended {
            Ok(ended) => self.give_back(ended.org),
            // A panic is caught within the task; the runtime itself ends it only when all ends.
            Err(error) => tracing::error!(%error, "a run ended without a word"),
        }
    }
}

impl Inner {
    fn clock(&self) -> &Clock {
        self.store.clock()
    }

    /// Makes the runs that are due, and begins as many as there is room for.
    async fn fill(
        self: &Arc<Self>,
        running: &mut Running,
        places: &mut Places,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let queued = self.queue_due().await;
        while running.len() < RUNS_AT_ONCE {
            let now = self.clock().now();
            let claim = self
                .store
                .claim_run(now, self.options.lease, &places.full())
                .await?;
            let Some(claim) = claim else { break };
            places.take(claim.org_key());
            running.spawn(Arc::clone(self).attend(claim, stopping.clone()));
        }
        queued
    }

    /// Makes a run for every moment that has come, however long ago.
    async fn queue_due(&self) -> Result<(), StoreError> {
        loop {
            let due = self
                .store
                .due_schedules(self.clock().now(), DUE_AT_A_TIME)
                .await?;
            if due.is_empty() {
                return Ok(());
            }
            // One that can't be made must not hold up those after it.
            let mut failed = Ok(());
            for due in &due {
                if let Err(error) = self.queue(due).await {
                    failed = Err(error);
                }
            }
            failed?;
        }
    }

    async fn queue(&self, due: &DueSchedule) -> Result<(), StoreError> {
        match Timing::from_kept(&due.timing) {
            Ok(timing) => {
                self.store.queue_run(due, timing.next_after(due.run_at)).await?;
            }
            Err(error) => {
                tracing::error!(%error, "a schedule can't be read and is suspended");
                let reason = "the schedule's own times can't be read any more";
                self.store.park_schedule(due, reason).await?;
            }
        }
        Ok(())
    }

    /// Works on a run while its lease is kept; a panic is a failed attempt like any other.
    async fn attend(self: Arc<Self>, claim: Claim, stopping: watch::Receiver<bool>) -> Ended {
        let began = tokio::time::Instant::now();
        let worked = async {
            let attempt = AssertUnwindSafe(self.attempt(&claim, &stopping)).catch_unwind();
            let outcome = attempt.await.unwrap_or(Err(Fault::Panicked));
            self.conclude(&claim, outcome, began.elapsed()).await;
        };
        tokio::select! {
            () = worked => {}
            () = self.keep(&claim) => {
                tracing::warn!(delivery = %claim.delivery, "a run is somebody else's by now, or its schedule is gone");
            }
        }
        Ended { org: claim.org_key() }
    }

    /// Renews the lease; ends when it is lost.
    async fn keep(&self, claim: &Claim) {
        let lease = self.options.lease;
        loop {
            tokio::time::sleep(lease / 3).await;
            match self.store.renew(claim, lease).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "a lease can't be renewed; it is tried again"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_organisation_never_has_all_places() {
        const { assert!(RUNS_OF_ONE_ORGANISATION < RUNS_AT_ONCE) };
        let mut places = Places::default();
        for _ in 0..RUNS_OF_ONE_ORGANISATION {
            assert!(places.full().is_empty());
            places.take(7);
        }
        assert_eq!(places.full(), [7]);
        places.give_back(7);
        assert!(places.full().is_empty());
        for _ in 1..RUNS_OF_ONE_ORGANISATION {
            places.give_back(7);
        }
        assert!(places.0.is_empty());
    }
}
