//! The sender: turns due schedules into runs, and runs into messages. It works in every replica, beside the requests. See
//! `docs/specification.md#runs-and-retries`.
//!
//! [`Sender::run`] is the loop. It starts tasks and never waits for the lock, the backlog or the mail of one organisation:
//!
//! | file | content |
//! | --- | --- |
//! | `queue` | a task for each organisation with due schedules: it creates their runs |
//! | `attempt`, `conclusion` | a task for each claimed run: an attempt, and how it ended |
//! | `tasks` | the tasks of the loop, and the rotation of organisations |
//!
//! [`Sender::work`] does the same until nothing is due.
//!
//! Invariants:
//!
//! - Each time of a schedule has one run, and a run one worker, on any number of replicas: see the store's `runs`. Times that
//!   were missed because no server ran are made up, the oldest first, each with its own run.
//! - Organisations are independent. Each has one queue task, and a maximum of runs, exports and large messages at the same
//!   time. Two organisations that hang leave one of each for others ([`Shares`]). Only as many due schedules of an organisation
//!   become runs as are sent soon. Runs are claimed in turns.
//! - A message is noted as soon as the mail server accepted it. It is sent twice only if the process ends between the two, or
//!   if the server's answer gets lost. Both messages have the same `Message-ID`.
//! - Each attempt reads the rights again. An attempt starts no message after [`SenderOptions::rights_valid_for`].
//! - The claim counts the attempt. So a run that ends its process each time fails like any other.
//! - Each step has a time limit, and a failure or a panic in a run ends this run's attempt only.
//! - Memory is bounded. Each of the [`SenderLimits::runs`] holds one file of at most the size that may be attached. A message
//!   is about three times as large as its file, and [`SenderLimits::large_messages`] large ones are in memory at once.
//!
//! The log and the metrics contain no organisation, address, report or secret.

mod attempt;
mod conclusion;
mod metrics;
mod queue;
pub(super) mod resolved_report;
mod tasks;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;

use crate::base::clock::Clock;
use crate::base::shared_limit::{SharedLimit, SharedPermit, Shares};
use crate::reports::mailer::Mailer;
use crate::reports::packed_export::Sizes;
use crate::reports::rights::RecipientRules;
use crate::store::{Claim, Store, StoreError};
use attempt::{AttemptEnd, AttemptError};
use conclusion::MAX_ATTEMPTS;
use tasks::{Rest, RunEnded, Tasks};

/// What one process does at the same time, in total and for one organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderLimits {
    /// Runs.
    pub runs: Shares,
    /// Exports for messages that are read from the database.
    pub exports: Shares,
    /// Messages with large files that are sent.
    pub large_messages: Shares,
}

impl Default for SenderLimits {
    fn default() -> Self {
        Self {
            runs: Shares::for_three(8, 6),
            exports: Shares::for_three(4, 2),
            large_messages: Shares::for_three(4, 2),
        }
    }
}

/// The settings of the sender.
#[derive(Debug, Clone)]
pub struct SenderOptions {
    /// The time between two looks for due schedules and runs.
    pub poll: Duration,
    /// How long a claimed run stays with a replica that does not renew the lease.
    pub lease: Duration,
    /// The time limit of a message. It is longer than the mailer's own limit, because the error of that limit names the step.
    pub send_within: Duration,
    /// The time limit of packing an export, after it got a permit.
    pub pack_within: Duration,
    /// How long an attempt uses the rights that it has read. Later it starts no message, except its first.
    pub rights_valid_for: Duration,
    /// How long messages that are being sent may take after the sender is stopped.
    pub stop_within: Duration,
    /// How long a download link is valid, in hours.
    pub link_hours: u32,
    /// The public URL of the server, for download links: `https://rollbook.example.org`.
    pub public_url: String,
    /// The sizes above which a file is compressed or linked.
    pub sizes: Sizes,
    /// The rules for recipients.
    pub recipients: RecipientRules,
    /// The limits on concurrency.
    pub limits: SenderLimits,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(5),
            lease: Duration::from_secs(30),
            send_within: Duration::from_secs(660),
            pack_within: Duration::from_secs(600),
            rights_valid_for: Duration::from_secs(120),
            stop_within: Duration::from_secs(5),
            link_hours: 168,
            public_url: "http://127.0.0.1:8080".to_owned(),
            sizes: Sizes::default(),
            recipients: RecipientRules::default(),
            limits: SenderLimits::default(),
        }
    }
}

/// Sends due reports.
#[derive(Clone)]
pub struct Sender(Arc<Inner>);

/// What all tasks share.
struct Inner {
    store: Store,
    mailer: Mailer,
    options: SenderOptions,
    /// By the organisation's key.
    exports: SharedLimit<i64>,
    /// By the organisation's key.
    large: SharedLimit<i64>,
}

impl Sender {
    /// A sender with a store and a mailer. It sends nothing until it is run.
    pub fn new(store: Store, mailer: Mailer, options: SenderOptions) -> Self {
        // The runs of an organisation are limited, so waiting needs no limit.
        let limit = |shares| SharedLimit::new(shares, usize::MAX);
        Self(Arc::new(Inner {
            exports: limit(options.limits.exports),
            large: limit(options.limits.large_messages),
            store,
            mailer,
            options,
        }))
    }

    /// Sends due reports until `stopped` is ready. Then messages that are being sent may end within
    /// [`SenderOptions::stop_within`]. Other runs are given back, or their leases expire.
    ///
    /// If the future is dropped, the sender stops at once.
    pub async fn run(self, stopped: impl Future<Output = ()> + Send) {
        metrics::describe();
        let (stop, stopping) = watch::channel(false);
        let mut stopped = pin!(stopped);
        let mut tasks = Tasks::new(Rest::For(self.0.options.poll), self.0.options.limits.runs);
        loop {
            let starting = AssertUnwindSafe(self.0.start_due(&mut tasks, &stopping)).catch_unwind();
            let started = tokio::select! {
                biased;
                () = &mut stopped => break,
                started = starting => started,
            };
            match started {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "due reports can't be found; the sender tries again")
                }
                Err(_) => tracing::error!("finding due reports panicked; the sender tries again"),
            }
            tokio::select! {
                () = &mut stopped => break,
                true = tasks.wait_for_end() => {}
                () = self.0.store.sender_woken() => {}
                () = tokio::time::sleep(self.0.options.poll) => {}
            }
        }
        let _ = stop.send(true); // an error means that no run is left
        if tasks.stop(self.0.options.stop_within).await.is_err() {
            tracing::warn!("a message is still being sent while the server stops: it may be sent twice");
        }
    }

    /// Sends all reports that are due by the server's clock.
    ///
    /// # Errors
    ///
    /// Due schedules or runs can't be found. An error within a run is noted with the run, and an error of a schedule in the
    /// log.
    pub async fn work(&self) -> Result<(), StoreError> {
        let (_stop, stopping) = watch::channel(false);
        let mut tasks = Tasks::new(Rest::UntilTheEnd, self.0.options.limits.runs);
        loop {
            self.0.start_due(&mut tasks, &stopping).await?;
            if !tasks.wait_for_end().await {
                return Ok(());
            }
        }
    }
}

impl Inner {
    fn clock(&self) -> &Clock {
        self.store.clock()
    }

    /// Starts queue tasks for organisations with due schedules, and claims and starts due runs.
    async fn start_due(
        self: &Arc<Self>,
        tasks: &mut Tasks,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        tasks.note_ended();
        let queued = self.start_queues(tasks).await;
        while tasks.has_free_run() {
            let Some(claim) = self.claim_next_run(tasks).await? else {
                break;
            };
            let org = claim.org_key();
            tasks.start_run(org, Arc::clone(self).run_attempt(claim, stopping.clone()));
        }
        queued
    }

    /// Claims the run that has been due for the longest time, of the organisations that have a turn.
    async fn claim_next_run(&self, tasks: &mut Tasks) -> Result<Option<Claim>, StoreError> {
        loop {
            let (now, lease) = (self.clock().now(), self.options.lease);
            let claim = self.store.claim_run(now, lease, &tasks.passed_over()).await?;
            if claim.is_some() || !tasks.rotation.next_round() {
                return Ok(claim);
            }
        }
    }

    /// Waits for a permit. `None` if the sender is stopped before.
    async fn acquire(
        &self,
        limit: &SharedLimit<i64>,
        org: i64,
        stopping: &watch::Receiver<bool>,
    ) -> Option<SharedPermit<i64>> {
        let mut stopping = stopping.clone();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => None,
            permit = limit.acquire(&org) => permit.ok(),
        }
    }

    /// Makes an attempt at a run while its lease is renewed. A panic fails the attempt.
    async fn run_attempt(self: Arc<Self>, claim: Claim, stopping: watch::Receiver<bool>) -> RunEnded {
        let start = tokio::time::Instant::now();
        let work = async {
            let end = if claim.attempts < MAX_ATTEMPTS {
                let attempt = AssertUnwindSafe(self.attempt(&claim, &stopping)).catch_unwind();
                attempt.await.unwrap_or(Err(AttemptError::Panicked))
            } else {
                Ok(AttemptEnd::Abandoned)
            };
            self.conclude(&claim, end, start.elapsed()).await;
        };
        tokio::select! {
            () = work => {}
            () = self.renew_lease(&claim) => {
                tracing::warn!(delivery = %claim.delivery, "another worker has claimed a run, or its schedule was deleted");
            }
        }
        RunEnded { org: claim.org_key() }
    }

    /// Renews the lease. Returns when it is lost.
    async fn renew_lease(&self, claim: &Claim) {
        let lease = self.options.lease;
        loop {
            tokio::time::sleep(lease / 3).await;
            match self.store.renew_lease(claim, lease).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "a lease can't be renewed; the sender tries again")
                }
            }
        }
    }
}
