//! The queue task of an organisation: creates runs of its due schedules.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::base::ids::OrgId;
use crate::reports::timing::Timing;
use crate::store::{DueOrganisation, DueSchedule, StoreError};

use super::Inner;
use super::tasks::{QueueEnded, Tasks};

/// The maximum number of due schedules in one batch.
const BATCH: usize = 64;
/// An organisation with at least this number of due runs gets no more until some of them have ended.
const CROWDED: u32 = 64;

/// How a pass over an organisation's due schedules ended.
enum PassEnd {
    /// It created runs, or the organisation is crowded.
    Progress,
    /// It created no run: another replica did, or each schedule failed.
    Idle,
}

impl Inner {
    /// Starts a queue task for each organisation with due schedules, up to the limit.
    pub(super) async fn start_queues(self: &Arc<Self>, tasks: &mut Tasks) -> Result<(), StoreError> {
        let free = tasks.free_queue_count();
        if free == 0 {
            return Ok(());
        }
        let now = self.clock().now();
        let mut passed_over = self.store.crowded_organisations(now, CROWDED).await?;
        passed_over.extend(tasks.queueing_or_resting());
        for org in self.store.due_organisations(now, &passed_over, free).await? {
            tasks.start_queue(org.key, Arc::clone(self).queue(org));
        }
        Ok(())
    }

    /// Runs the queue task of an organisation.
    async fn queue(self: Arc<Self>, org: DueOrganisation) -> QueueEnded {
        let pass = AssertUnwindSafe(self.queue_due(&org)).catch_unwind().await;
        let idle = match pass {
            Ok(Ok(PassEnd::Progress)) => false,
            Ok(Ok(PassEnd::Idle)) => true,
            Ok(Err(error)) => {
                tracing::error!(%error, "due schedules can't become runs; the sender tries again");
                true
            }
            Err(_) => {
                tracing::error!("the work on due schedules panicked; the sender tries again");
                true
            }
        };
        QueueEnded { org: org.key, idle }
    }

    /// Creates a run of each due schedule of an organisation, until all had a turn or the organisation is crowded. A schedule
    /// that fails does not delay the schedules after it.
    async fn queue_due(&self, org: &DueOrganisation) -> Result<PassEnd, StoreError> {
        let (mut queued, mut failed) = (0, 0);
        let mut after = None;
        loop {
            let now = self.clock().now();
            if self.store.is_crowded(org.key, now, CROWDED).await? {
                return Ok(PassEnd::Progress);
            }
            let batch = self.store.due_schedules(org.key, now, after, BATCH).await?;
            for due in batch.schedules {
                let outcome = match due {
                    Ok(due) => self.queue_one(&org.id, &due).await,
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(()) => queued += 1,
                    // The lock of the organisation is not free. The other schedules need it, too.
                    Err(error) if error.is_passing() => return Err(error),
                    Err(error) => {
                        // Many schedules may fail for the same reason.
                        if failed == 0 {
                            tracing::error!(%error, "a due schedule can't become a run; the sender tries again");
                        }
                        failed += 1;
                    }
                }
            }
            match batch.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if failed > 1 {
            tracing::error!(failed, "due schedules can't become runs; the sender tries again");
        }
        Ok(if queued > 0 {
            PassEnd::Progress
        } else {
            PassEnd::Idle
        })
    }

    async fn queue_one(&self, org: &OrgId, due: &DueSchedule) -> Result<(), StoreError> {
        match Timing::from_stored(&due.timing) {
            Ok(timing) => {
                let next = timing.next_after(due.run_at());
                self.store.queue_run(org, due, next).await?;
            }
            Err(error) => {
                tracing::error!(%error, "a schedule's times can't be read; it is suspended");
                let reason = "the schedule's own times can't be read any more";
                self.store.suspend_due_schedule(org, due, reason).await?;
            }
        }
        Ok(())
    }
}
