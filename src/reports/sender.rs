//! The sender: turns schedules into runs and runs into messages, beside the requests, in every replica (product text,
//! section 9).
//!
//! [`Sender::run`] is the loop: of what is due a batch becomes runs, runs are claimed, and each is an attempt of its own
//! (the file `attempt`), up to [`RUNS_AT_ONCE`] at a time. [`Sender::work`] does the same until nothing is due.
//!
//! What it promises:
//! - A moment of a schedule has one run, and a run one worker, whatever number of replicas there is: see the store's
//!   `runs`. What was missed while no server ran is made up, the oldest first, each for its own moment.
//! - One organisation's backlog is not another one's: no more of it becomes runs than is soon sent, and runs are begun of
//!   one organisation after the other. A schedule that can't become a run holds up none behind it.
//! - A message is noted as soon as the mail server has taken it. It is sent twice only where the process ends between the
//!   two, or where the server takes a message and its answer doesn't come; and then under the same `Message-ID`.
//! - Who may see what is asked anew at every attempt, and an attempt begins no message once what it was told is older than
//!   [`SenderOptions::rights_hold`]; nothing is remembered between two.
//! - An attempt counts from its claim on: a run that ends its process each time is given up like any other.
//! - Nothing waits for a slow mail server but the run that speaks to it, and large messages, which take turns: every step
//!   has a limit of time, and what fails, be it a panic, fails in its own run.
//! - Memory is bounded: each of the [`RUNS_AT_ONCE`] runs holds one file, no larger than what may be attached, and of
//!   messages, which are some three times as large as their files, [`LARGE_AT_ONCE`] with large files are made at once.
//!
//! Neither the log lines nor the metrics name an organisation, an address, a report or a secret.

mod attempt;
mod conclusion;
mod metrics;
pub(super) mod resolved_report;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::base::clock::Clock;
use crate::reports::mailer::Mailer;
use crate::reports::packed_export::Sizes;
use crate::reports::rights::RecipientRules;
use crate::reports::timing::Timing;
use crate::store::{Claim, DuePlace, DueSchedule, Store, StoreError};
use attempt::{Fault, Verdict};
use conclusion::ATTEMPTS;

/// Runs that one process works on at once.
pub const RUNS_AT_ONCE: usize = 8;
/// How many of them may belong to one organisation, so that another one's still find a place beside those.
pub const RUNS_OF_ONE_ORGANISATION: usize = 6;
/// Exports that one process reads from the database at once for messages.
pub const EXPORTS_AT_ONCE: usize = 2;
/// Messages with large files that one process makes and sends at once.
pub const LARGE_AT_ONCE: usize = 4;
/// Due schedules taken from the database at a time.
const DUE_AT_A_TIME: u32 = 64;
/// An organisation that has so many runs due, or more, gets no further ones until some of them have ended.
const CROWDED: u32 = 64;

/// What an operator, or a test, can set about the sender.
#[derive(Debug, Clone)]
pub struct SenderOptions {
    /// How often it looks for what is due.
    pub poll: Duration,
    /// How long a run stays with a replica that says nothing any more. It is renewed while the replica works.
    pub lease: Duration,
    /// The longest that one message may take, whatever the mailer does: longer than the mailer's own limit for a message,
    /// which says what took so long.
    pub send_within: Duration,
    /// The longest that an export may take to be packed, once it has its turn.
    pub pack_within: Duration,
    /// How long what an attempt was told about rights holds: no message is begun later, but for the first.
    pub rights_hold: Duration,
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
            send_within: Duration::from_secs(660),
            pack_within: Duration::from_secs(600),
            rights_hold: Duration::from_secs(120),
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
    large: Arc<Semaphore>,
}

/// What the loop has under way.
#[derive(Default)]
struct Desk {
    running: JoinSet<Ended>,
    places: Places,
    /// Where the next batch of what is due begins; `None`: with the longest due.
    next: Option<DuePlace>,
}

/// Which organisation's run has ended.
struct Ended {
    org: i64,
}

/// How many runs of each organisation are under way, by its key, and whose turn it is.
#[derive(Default)]
struct Places {
    under_way: HashMap<i64, usize>,
    /// Organisations of which a run was begun in this round.
    served: HashSet<i64>,
}

impl Places {
    fn take(&mut self, org: i64) {
        *self.under_way.entry(org).or_default() += 1;
        self.served.insert(org);
    }

    fn give_back(&mut self, org: i64) {
        if let Some(places) = self.under_way.get_mut(&org) {
            *places = places.saturating_sub(1);
            if *places == 0 {
                self.under_way.remove(&org);
            }
        }
    }

    /// The organisations that have as many as they may, and those that had their turn.
    fn passed_over(&self) -> Vec<i64> {
        let full = self
            .under_way
            .iter()
            .filter(|(_, places)| **places >= RUNS_OF_ONE_ORGANISATION);
        let mut passed_over = self.served.clone();
        passed_over.extend(full.map(|(org, _)| *org));
        passed_over.into_iter().collect()
    }

    /// Gives everybody a turn again; false where nobody had one.
    fn next_round(&mut self) -> bool {
        let had = !self.served.is_empty();
        self.served.clear();
        had
    }

    fn note(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        match ended {
            Ok(ended) => self.give_back(ended.org),
            // A panic is caught within the task; the runtime itself ends it only when all ends.
            Err(error) => tracing::error!(%error, "a run ended without a word"),
        }
    }
}

impl Desk {
    /// Notes what has ended by now.
    fn clear(&mut self) {
        while let Some(ended) = self.running.try_join_next() {
            self.places.note(ended);
        }
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
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
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
        let mut desk = Desk::default();
        loop {
            let filling = AssertUnwindSafe(self.0.fill(&mut desk, &stopping)).catch_unwind();
            let filled = tokio::select! {
                biased;
                () = &mut stopped => break,
                filled = filling => filled,
            };
            desk.clear();
            match filled {
                Ok(Ok(true)) => continue,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::error!(%error, "what is due can't be found; it is tried again"),
                Err(_) => tracing::error!("looking for what is due panicked; it is tried again"),
            }
            tokio::select! {
                () = &mut stopped => break,
                Some(ended) = desk.running.join_next() => desk.places.note(ended),
                () = self.0.store.sender_woken() => {}
                () = tokio::time::sleep(self.0.options.poll) => {}
            }
        }
        let mut running = desk.running;
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
    /// Where what is due can't be found. What fails within a run is noted with the run, and a schedule that can't become
    /// one is told to the log.
    pub async fn work(&self) -> Result<(), StoreError> {
        // The sender is kept until the end: nobody says stop.
        let (_stop, stopping) = watch::channel(false);
        let mut desk = Desk::default();
        loop {
            let again = self.0.fill(&mut desk, &stopping).await?;
            desk.clear();
            if again {
                continue;
            }
            match desk.running.join_next().await {
                Some(ended) => desk.places.note(ended),
                None => return Ok(()),
            }
        }
    }
}

impl Inner {
    fn clock(&self) -> &Clock {
        self.store.clock()
    }

    /// Makes a batch of the runs that are due, and begins as many as there is room for. True where there may be more that
    /// is due.
    async fn fill(
        self: &Arc<Self>,
        desk: &mut Desk,
        stopping: &watch::Receiver<bool>,
    ) -> Result<bool, StoreError> {
        let queued = self.queue_due(&mut desk.next).await;
        while desk.running.len() < RUNS_AT_ONCE {
            let Some(claim) = self.claim(&mut desk.places).await? else {
                break;
            };
            desk.places.take(claim.org_key());
            desk.running
                .spawn(Arc::clone(self).attend(claim, stopping.clone()));
        }
        queued
    }

    /// Claims the run that has waited longest of those organisations whose turn it is.
    async fn claim(&self, places: &mut Places) -> Result<Option<Claim>, StoreError> {
        loop {
            let (now, lease) = (self.clock().now(), self.options.lease);
            let claim = self.store.claim_run(now, lease, &places.passed_over()).await?;
            if claim.is_some() || !places.next_round() {
                return Ok(claim);
            }
        }
    }

    /// Makes a run of a moment that has come of each schedule of the batch that begins at `next`. True where there may be
    /// more.
    ///
    /// The batches go through everything that is due, and then from the beginning: so what fails is tried again without
    /// being in the way.
    async fn queue_due(&self, next: &mut Option<DuePlace>) -> Result<bool, StoreError> {
        let now = self.clock().now();
        let crowded = self.store.crowded_organisations(now, CROWDED).await?;
        let batch = self
            .store
            .due_schedules(now, *next, &crowded, DUE_AT_A_TIME)
            .await?;
        *next = batch.next;
        let (mut queued, mut failed) = (0, 0);
        // A locked organisation is tried once for each batch, so that it does not delay the others.
        let mut locked = HashSet::new();
        for due in batch.due {
            let made = match due {
                Ok(due) if locked.contains(&due.org) => Err(StoreError::Busy),
                Ok(due) => {
                    let made = self.queue(&due).await;
                    if matches!(made, Err(StoreError::Busy)) {
                        locked.insert(due.org);
                    }
                    made
                }
                Err(error) => Err(error),
            };
            match made {
                Ok(()) => queued += 1,
                Err(error) => {
                    // They are likely to fail for one reason, and many times.
                    if failed == 0 {
                        tracing::error!(%error, "a schedule that is due can't become a run; it is tried again");
                    }
                    failed += 1;
                }
            }
        }
        if failed > 1 {
            tracing::error!(
                failed,
                "schedules that are due can't become runs; they are tried again"
            );
        }
        Ok(next.is_some() || queued > 0)
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

    /// Waits for a turn; `None` where the sender is told to stop before.
    async fn turn(
        &self,
        turns: &Arc<Semaphore>,
        stopping: &watch::Receiver<bool>,
    ) -> Option<OwnedSemaphorePermit> {
        let mut stopping = stopping.clone();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => None,
            turn = Arc::clone(turns).acquire_owned() => turn.ok(), // the semaphores are never closed
        }
    }

    /// Works on a run while its lease is kept; a panic is a failed attempt like any other.
    async fn attend(self: Arc<Self>, claim: Claim, stopping: watch::Receiver<bool>) -> Ended {
        let began = tokio::time::Instant::now();
        let worked = async {
            let outcome = if claim.attempts < ATTEMPTS {
                let attempt = AssertUnwindSafe(self.attempt(&claim, &stopping)).catch_unwind();
                attempt.await.unwrap_or(Err(Fault::Panicked))
            } else {
                Ok(Verdict::Abandoned)
            };
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
            assert!(places.passed_over().is_empty());
            places.take(7);
            assert!(places.next_round());
        }
        assert_eq!(places.passed_over(), [7]);
        assert!(!places.next_round(), "nobody else had a turn");
        places.give_back(7);
        assert!(places.passed_over().is_empty());
        for _ in 1..RUNS_OF_ONE_ORGANISATION {
            places.give_back(7);
        }
        assert!(places.under_way.is_empty());
    }

    #[test]
    fn organisations_take_turns() {
        let mut places = Places::default();
        for org in [7, 8] {
            places.take(org);
            places.give_back(org);
        }
        let mut passed_over = places.passed_over();
        passed_over.sort_unstable();
        assert_eq!(passed_over, [7, 8]);
        assert!(places.next_round());
        assert!(places.passed_over().is_empty());
    }
}
