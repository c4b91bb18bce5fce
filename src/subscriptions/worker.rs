//! The worker: sends what subscriptions have to send. It works in every replica, beside the requests. See
//! `docs/specification.md#subscriptions`.
//!
//! [`Worker::run`] is the loop. It claims subscriptions and starts a task for each, and never waits for a receiver:
//!
//! | file | content |
//! | --- | --- |
//! | `session` | a task: works on one subscription for a short time, under its lease |
//! | `activities` | the next webhooks of a subscription |
//! | `statements` | the next batches for another record store |
//! | `signals` | wakes the loop at commits of the organisations that have subscriptions |
//!
//! Invariants:
//!
//! - One worker at a time works on a subscription, on any number of replicas: see the store's `claims`.
//! - Deliveries are in the order of changes. A delivery that fails holds up the ones after it, until it is acknowledged or
//!   given up. It holds up no other subscription: the task ends after a failed attempt.
//! - The place advances after the acknowledgement. A crash repeats at most the delivery that was not acknowledged, with the
//!   same id.
//! - Tasks are limited, in total and for each organisation. Each request has a time limit, and a task ends soon after
//!   [`WorkerOptions::session`].

mod activities;
mod metrics;
mod session;
mod signals;
mod statements;

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::base::clock::Clock;
use crate::base::shared_limit::Shares;
use crate::store::{Store, StoreError, SubscriptionClaim};

use super::egress::{Egress, EgressRules, Names};
use signals::Signals;

/// The time between a commit and the look for work.
const AFTER_COMMIT: Duration = Duration::from_millis(20);

/// The settings of the worker.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The rules for requests.
    pub egress: EgressRules,
    /// How the addresses of receivers are found.
    pub names: Names,
    /// How many subscriptions are worked on at the same time, in total and of one organisation.
    pub senders: Shares,
    /// The number of attempts after which a delivery is given up.
    pub attempts: i64,
    /// The pause after the first failed attempt.
    pub first_pause: Duration,
    /// The maximum number of statements in one request.
    pub batch_statements: usize,
    /// The maximum number of bytes of statements in one request, and of attachments. A single statement may have more.
    pub batch_bytes: usize,
    /// The number of deliveries that a subscription lists.
    pub kept_deliveries: i64,
    /// The time between two looks for work.
    pub poll: Duration,
    /// How long a task works on a subscription before others have a turn.
    pub session: Duration,
    /// How long a subscription stays with a replica that does not renew the lease.
    pub lease: Duration,
    /// How long requests that are under way may take after the worker is stopped.
    pub stop_within: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            egress: EgressRules::default(),
            names: Names::default(),
            senders: Shares::for_three(16, 6),
            attempts: 10,
            first_pause: Duration::from_secs(5),
            batch_statements: 50,
            batch_bytes: 4 << 20,
            kept_deliveries: 1_000,
            poll: Duration::from_secs(2),
            session: Duration::from_secs(10),
            lease: Duration::from_secs(15),
            stop_within: Duration::from_secs(5),
        }
    }
}

/// Sends what subscriptions have to send.
#[derive(Clone)]
pub struct Worker(Arc<Inner>);

/// What all tasks share.
struct Inner {
    store: Store,
    egress: Egress,
    options: WorkerOptions,
}

/// The tasks of the loop.
struct Tasks {
    shares: Shares,
    running: JoinSet<i64>,
    /// The number of tasks of each organisation.
    held: HashMap<i64, usize>,
}

impl Tasks {
    fn new(shares: Shares) -> Self {
        Self {
            shares,
            running: JoinSet::new(),
            held: HashMap::new(),
        }
    }

    /// The organisations that may not have another task now; `None` if none may.
    fn passed_over(&self) -> Option<Vec<i64>> {
        let used = self.running.len();
        if used >= self.shares.all() {
            return None;
        }
        let full = self
            .held
            .iter()
            .filter(|(_, held)| !self.shares.permit(**held, used));
        Some(full.map(|(org, _)| *org).collect())
    }

    fn start(&mut self, org: i64, task: impl Future<Output = i64> + Send + 'static) {
        *self.held.entry(org).or_default() += 1;
        self.running.spawn(task);
    }

    /// Waits until a task ends. False if there is none.
    async fn wait_for_end(&mut self) -> bool {
        match self.running.join_next().await {
            Some(Ok(org)) => {
                if let Some(held) = self.held.get_mut(&org) {
                    *held = held.saturating_sub(1);
                }
                self.held.retain(|_, held| *held > 0);
                true
            }
            // The task catches panics. Only the end of the runtime cancels it.
            Some(Err(error)) => {
                tracing::error!(%error, "the work on a subscription was cancelled");
                true
            }
            None => false,
        }
    }

    /// Waits for the tasks. False if one did not end in time; it is aborted.
    async fn stop(mut self, within: Duration) -> bool {
        let ending = async { while self.running.join_next().await.is_some() {} };
        let ended = tokio::time::timeout(within, ending).await.is_ok();
        self.running.shutdown().await;
        ended
    }
}

impl Worker {
    /// A worker with a store. It sends nothing until it is run.
    pub fn new(store: Store, egress: Egress, options: WorkerOptions) -> Self {
        Self(Arc::new(Inner {
            store,
            egress,
            options,
        }))
    }

    /// Sends what is due until `stopped` is ready. Then requests that are under way may end within
    /// [`WorkerOptions::stop_within`]. What is not acknowledged is sent again by another replica or after the start.
    ///
    /// If the future is dropped, the worker stops at once.
    pub async fn run(self, stopped: impl Future<Output = ()> + Send) {
        metrics::describe();
        let (stop, stopping) = watch::channel(false);
        let mut stopped = pin!(stopped);
        let mut tasks = Tasks::new(self.0.options.senders);
        let mut signals = Signals::default();
        loop {
            let starting = async {
                signals.refresh(&self.0.store).await?;
                self.0.start_due(&mut tasks, &stopping).await
            };
            let started = tokio::select! {
                biased;
                () = &mut stopped => break,
                started = AssertUnwindSafe(starting).catch_unwind() => started,
            };
            match started {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "subscriptions can't be claimed; the worker tries again")
                }
                Err(_) => tracing::error!("claiming subscriptions panicked; the worker tries again"),
            }
            tokio::select! {
                () = &mut stopped => break,
                true = tasks.wait_for_end() => {}
                // Many commits come shortly after one another.
                () = signals.changed() => tokio::time::sleep(AFTER_COMMIT).await,
                () = self.0.store.subscriptions_woken() => signals.expire(),
                () = tokio::time::sleep(self.0.options.poll) => {}
            }
        }
        let _ = stop.send(true); // an error means that no task is left
        if !tasks.stop(self.0.options.stop_within).await {
            tracing::warn!("a delivery is still being sent while the server stops: it may be sent twice");
        }
    }
}

impl Inner {
    fn clock(&self) -> &Clock {
        self.store.clock()
    }

    /// Claims subscriptions with work, and starts a task for each.
    async fn start_due(
        self: &Arc<Self>,
        tasks: &mut Tasks,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        while let Some(passed_over) = tasks.passed_over() {
            let (now, lease) = (self.clock().now(), self.options.lease);
            let Some(claim) = self.store.claim_subscription(now, lease, &passed_over).await? else {
                break;
            };
            let org = claim.org_key();
            tasks.start(org, Arc::clone(self).work_on(claim, stopping.clone()));
        }
        Ok(())
    }

    /// Works on a subscription while its lease is renewed, and gives it back. Returns the organisation's key.
    async fn work_on(self: Arc<Self>, claim: SubscriptionClaim, stopping: watch::Receiver<bool>) -> i64 {
        let working = AssertUnwindSafe(self.work_within_lease(&claim, &stopping)).catch_unwind();
        let is_done = tokio::select! {
            ended = working => match ended {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    tracing::error!(subscription = %claim.subscription.id, %error, "a subscription can't be worked on; it is tried again");
                    false
                }
                Err(_) => {
                    tracing::error!(subscription = %claim.subscription.id, "the work on a subscription panicked; it is tried again");
                    false
                }
            },
            () = self.renew_lease(&claim) => {
                tracing::warn!(subscription = %claim.subscription.id, "the lease of a subscription is lost");
                false
            }
        };
        // After an error the lease stays until it expires, so that the same error does not come at once again.
        if is_done && let Err(error) = self.store.release_subscription(&claim, self.clock().now()).await {
            tracing::warn!(%error, "a subscription can't be given back; its lease expires");
        }
        claim.org_key()
    }

    /// Renews the lease. Returns when it is lost, or when it could not be renewed until its end.
    async fn renew_lease(&self, claim: &SubscriptionClaim) {
        let lease = self.options.lease;
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(lease / 5).await;
            match self.store.renew_subscription(claim, lease).await {
                Ok(true) => renewed = tokio::time::Instant::now(),
                Ok(false) => return,
                Err(error) if renewed.elapsed() < lease * 3 / 4 => {
                    tracing::warn!(%error, "a lease can't be renewed; the worker tries again")
                }
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_organisation_leaves_a_task_for_others() {
        let mut tasks = Tasks::new(Shares::for_three(4, 2));
        assert_eq!(tasks.passed_over(), Some(vec![]));
        for org in [7, 7, 8] {
            tasks.start(org, async move { org });
        }
        let mut passed_over = tasks.passed_over().unwrap_or_default();
        passed_over.sort_unstable();
        assert_eq!(
            passed_over,
            [7, 8],
            "the last task is for an organisation without one"
        );
        tasks.start(9, async { 9 });
        assert_eq!(tasks.passed_over(), None);
        while tasks.wait_for_end().await {}
        assert_eq!(tasks.passed_over(), Some(vec![]));
    }
}
