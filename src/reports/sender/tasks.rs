//! The tasks of the sender's loop: queue tasks and runs, with the rotation of organisations.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::base::shared_limit::Shares;

/// The maximum number of queue tasks at the same time.
const QUEUES_AT_ONCE: usize = 8;

/// The tasks of the loop.
pub(super) struct Tasks {
    /// How many runs there may be, and how many of one organisation.
    shares: Shares,
    runs: JoinSet<RunEnded>,
    /// The rotation of the organisations that have runs.
    pub(super) rotation: RunRotation,
    queues: JoinSet<QueueEnded>,
    /// The organisations with a queue task.
    queueing: HashSet<i64>,
    /// The organisations that rest because their last queue task created nothing, with the end of the rest.
    resting: HashMap<i64, Option<Instant>>,
    rest: Rest,
}

/// How long an organisation rests after a queue task that created nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rest {
    For(Duration),
    UntilTheEnd,
}

/// A run has ended.
pub(super) struct RunEnded {
    /// The organisation's key.
    pub(super) org: i64,
}

/// A queue task has ended.
pub(super) struct QueueEnded {
    /// The organisation's key.
    pub(super) org: i64,
    /// Whether it created nothing.
    pub(super) idle: bool,
}

impl Tasks {
    pub(super) fn new(rest: Rest, shares: Shares) -> Self {
        Self {
            shares,
            runs: JoinSet::new(),
            rotation: RunRotation::default(),
            queues: JoinSet::new(),
            queueing: HashSet::new(),
            resting: HashMap::new(),
            rest,
        }
    }

    pub(super) fn has_free_run(&self) -> bool {
        self.runs.len() < self.shares.all()
    }

    /// The organisations that may not begin another run now.
    pub(super) fn passed_over(&self) -> Vec<i64> {
        self.rotation.passed_over(self.shares, self.runs.len())
    }

    pub(super) fn start_run(&mut self, org: i64, run: impl Future<Output = RunEnded> + Send + 'static) {
        self.rotation.begin(org);
        self.runs.spawn(run);
    }

    pub(super) fn free_queue_count(&self) -> usize {
        QUEUES_AT_ONCE.saturating_sub(self.queues.len())
    }

    pub(super) fn start_queue(&mut self, org: i64, queue: impl Future<Output = QueueEnded> + Send + 'static) {
        self.queueing.insert(org);
        self.queues.spawn(queue);
    }

    /// The organisations that get no queue task now.
    pub(super) fn queueing_or_resting(&mut self) -> Vec<i64> {
        let now = Instant::now();
        self.resting.retain(|_, end| end.is_none_or(|end| end > now));
        self.queueing.iter().chain(self.resting.keys()).copied().collect()
    }

    /// Notes all tasks that have ended.
    pub(super) fn note_ended(&mut self) {
        while let Some(ended) = self.runs.try_join_next() {
            self.note_run(ended);
        }
        while let Some(ended) = self.queues.try_join_next() {
            self.note_queue(ended);
        }
    }

    /// Waits until a task ends, and notes it. False if there is no task.
    pub(super) async fn wait_for_end(&mut self) -> bool {
        tokio::select! {
            Some(ended) = self.runs.join_next() => self.note_run(ended),
            Some(ended) = self.queues.join_next() => self.note_queue(ended),
            else => return false,
        }
        true
    }

    /// Ends the queue tasks, and waits for the runs.
    ///
    /// # Errors
    ///
    /// A run did not end in time. It is aborted.
    pub(super) async fn stop(mut self, within: Duration) -> Result<(), Elapsed> {
        self.queues.abort_all();
        let runs = async { while self.runs.join_next().await.is_some() {} };
        let ended = tokio::time::timeout(within, runs).await;
        self.runs.shutdown().await;
        ended
    }

    fn note_run(&mut self, ended: Result<RunEnded, JoinError>) {
        match ended {
            Ok(ended) => self.rotation.end(ended.org),
            // The task catches panics. Only the end of the runtime cancels it.
            Err(error) => tracing::error!(%error, "a run was cancelled"),
        }
    }

    fn note_queue(&mut self, ended: Result<QueueEnded, JoinError>) {
        match ended {
            Ok(ended) => {
                self.queueing.remove(&ended.org);
                if ended.idle {
                    let end = match self.rest {
                        Rest::For(rest) => Some(Instant::now() + rest),
                        Rest::UntilTheEnd => None,
                    };
                    self.resting.insert(ended.org, end);
                }
            }
            Err(error) => tracing::error!(%error, "a queue task was cancelled"),
        }
    }
}

/// The rotation of organisations: it decides which of them may begin another run. Organisations are known by their keys.
#[derive(Default)]
pub(super) struct RunRotation {
    /// The number of runs of each organisation.
    runs: HashMap<i64, usize>,
    /// The organisations that began a run in this round.
    served: HashSet<i64>,
}

impl RunRotation {
    fn begin(&mut self, org: i64) {
        *self.runs.entry(org).or_default() += 1;
        self.served.insert(org);
    }

    fn end(&mut self, org: i64) {
        if let Some(runs) = self.runs.get_mut(&org) {
            *runs = runs.saturating_sub(1);
            if *runs == 0 {
                self.runs.remove(&org);
            }
        }
    }

    /// The organisations that may have no more runs while there are `used` ones, or began a run in this round.
    fn passed_over(&self, shares: Shares, used: usize) -> Vec<i64> {
        let full = self.runs.iter().filter(|(_, runs)| !shares.permit(**runs, used));
        let mut passed_over = self.served.clone();
        passed_over.extend(full.map(|(org, _)| *org));
        passed_over.into_iter().collect()
    }

    /// Begins a new round. False if no organisation began a run in the last one.
    pub(super) fn next_round(&mut self) -> bool {
        let had_any = !self.served.is_empty();
        self.served.clear();
        had_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_organisation_leaves_runs_for_others() {
        let shares = Shares::for_three(8, 6);
        let mut rotation = RunRotation::default();
        for used in 0..6 {
            assert!(rotation.passed_over(shares, used).is_empty());
            rotation.begin(7);
            assert!(rotation.next_round());
        }
        assert_eq!(rotation.passed_over(shares, 6), [7]);
        assert!(!rotation.next_round(), "no organisation began a run");
        rotation.end(7);
        assert!(rotation.passed_over(shares, 5).is_empty());
        for _ in 1..6 {
            rotation.end(7);
        }
        assert!(rotation.runs.is_empty());
    }

    #[test]
    fn two_organisations_leave_a_run_for_others() {
        let shares = Shares::for_three(8, 6);
        let mut rotation = RunRotation::default();
        for org in [7, 7, 7, 7, 7, 7, 8] {
            rotation.begin(org);
            assert!(rotation.next_round());
        }
        let mut passed_over = rotation.passed_over(shares, 7);
        passed_over.sort_unstable();
        assert_eq!(
            passed_over,
            [7, 8],
            "the last run is for an organisation without one"
        );
    }

    #[test]
    fn each_organisation_has_one_turn_in_a_round() {
        let mut rotation = RunRotation::default();
        for org in [7, 8] {
            rotation.begin(org);
            rotation.end(org);
        }
        let shares = Shares::for_three(8, 6);
        let mut passed_over = rotation.passed_over(shares, 0);
        passed_over.sort_unstable();
        assert_eq!(passed_over, [7, 8]);
        assert!(rotation.next_round());
        assert!(rotation.passed_over(shares, 0).is_empty());
    }

    #[tokio::test]
    async fn organisation_rests_after_an_idle_queue_task() {
        let mut tasks = Tasks::new(Rest::UntilTheEnd, Shares::for_three(8, 6));
        for (org, idle) in [(7, true), (8, false)] {
            tasks.start_queue(org, async move { QueueEnded { org, idle } });
            assert_eq!(tasks.queueing.len(), 1);
            assert!(tasks.wait_for_end().await);
        }
        assert_eq!(tasks.queueing_or_resting(), [7]);
        assert!(!tasks.wait_for_end().await);
        tasks.rest = Rest::For(Duration::ZERO);
        tasks.start_queue(7, async { QueueEnded { org: 7, idle: true } });
        assert!(tasks.wait_for_end().await);
        assert!(tasks.queueing_or_resting().is_empty());
    }
}
