//! The work on one subscription: dead deliveries that are tried by hand, then what comes after its place.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::store::{
    DeliveryKind, DeliveryNote, DeliveryStatus, Noted, Progress, StoreError, SubscriptionClaim,
    SubscriptionDelivery, SubscriptionFormat, Tenure,
};
use crate::subscriptions::backoff::pause_after;
use crate::subscriptions::egress::{Answer, NoAnswer};
use crate::subscriptions::trial::attempt_of;

use super::{Inner, metrics};

/// Statements that the other record store refused in a row. After so many, a refusal counts as a failure of the whole: it is
/// tried again and not given up at once.
pub(super) const MAX_REFUSALS: i64 = 10;

/// Why the work on a subscription ended early. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a delivery can't be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// The work on a claimed subscription.
pub(super) struct Session<'a> {
    pub(super) inner: &'a Inner,
    pub(super) claim: &'a SubscriptionClaim,
    /// See `StoredSubscription::refusals`.
    pub(super) refusals: i64,
    /// The maximum number of statements of the next batch.
    pub(super) batch: usize,
    stopping: &'a watch::Receiver<bool>,
    end: Instant,
}

/// What a delivery has.
pub(super) struct Contents {
    pub(super) webhook_id: Uuid,
    pub(super) kind: DeliveryKind,
    /// The first and the last change.
    pub(super) changes: (i64, i64),
    pub(super) record: Option<StatementId>,
    pub(super) records: i64,
    /// The record that the receiver knows to be gone, if it acknowledges the delivery.
    pub(super) gone: Option<i64>,
}

/// An attempt that has ended.
pub(super) struct Attempted {
    pub(super) answer: Result<Answer, NoAnswer>,
    pub(super) at: Timestamp,
    pub(super) start: Instant,
}

/// Whether the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    GoesOn,
    Ends,
}

/// What an attempt means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Delivered,
    Retried(Duration),
    Dead,
    /// The receiver does not want anything any more.
    Gone,
}

impl Inner {
    /// Works on a claimed subscription until nothing is left, an attempt fails or others shall have a turn.
    pub(super) async fn work_within_lease(
        &self,
        claim: &SubscriptionClaim,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), SessionError> {
        let mut session = Session {
            inner: self,
            claim,
            refusals: claim.subscription.refusals,
            batch: self.options.batch_statements,
            stopping,
            end: Instant::now() + self.options.session,
        };
        if claim.subscription.deleted {
            while !session.is_over() && !self.store.purge_subscription(claim).await? {}
            return Ok(());
        }
        while claim.subscription.queued && !session.is_over() {
            match self.store.find_queued_delivery(claim).await? {
                Some(queued) => {
                    if session.send_queued(queued).await? == Next::Ends {
                        return Ok(());
                    }
                }
                None => {
                    session.note(None, Progress::Stays, None, None).await?;
                    break;
                }
            }
        }
        let now = self.clock().now();
        if claim.subscription.next_attempt_at.is_some_and(|at| at > now) {
            return Ok(());
        }
        let current = self.store.find_current_delivery(claim).await?;
        match claim.subscription.format {
            SubscriptionFormat::Activity => session.send_activities(current).await,
            SubscriptionFormat::Statement => session.send_statements(current).await,
        }
    }
}

impl Session<'_> {
    /// Whether the server stops. Nothing more is sent.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Whether others shall have a turn, or the server stops. It is looked at after a step forward and not before, so that
    /// each session makes at least one.
    pub(super) fn is_over(&self) -> bool {
        self.is_stopping() || Instant::now() >= self.end
    }

    /// Notes that the receiver may have these records, before they are sent to it.
    pub(super) async fn note_sent(&self, seqs: &[i64]) -> Result<Next, SessionError> {
        if seqs.is_empty() || self.inner.store.note_sent_records(self.claim, seqs).await? {
            return Ok(Next::GoesOn);
        }
        Ok(Next::Ends)
    }

    /// Tries a dead delivery once. It is dead again if the attempt fails.
    async fn send_queued(&mut self, queued: SubscriptionDelivery) -> Result<Next, SessionError> {
        match self.claim.subscription.format {
            SubscriptionFormat::Activity => self.send_queued_activity(queued).await,
            SubscriptionFormat::Statement => self.send_queued_statements(queued).await,
        }
    }

    /// Notes an attempt at the next delivery of the subscription.
    pub(super) async fn conclude(
        &mut self,
        contents: Contents,
        before: Option<SubscriptionDelivery>,
        attempted: Attempted,
        refused: bool,
    ) -> Result<Next, SessionError> {
        let attempts = before.as_ref().map_or(0, |before| before.attempts) + 1;
        let verdict = self.judge(&attempted.answer, attempts, refused);
        let now = self.inner.clock().now();
        let (status, progress) = match verdict {
            Verdict::Delivered => (DeliveryStatus::Delivered, Progress::Advances(contents.changes.1)),
            Verdict::Dead => (DeliveryStatus::Dead, Progress::Advances(contents.changes.1)),
            Verdict::Retried(pause) => (DeliveryStatus::Retried, Progress::Waits(Some(add(now, pause)))),
            Verdict::Gone => (DeliveryStatus::Retried, Progress::Waits(None)),
        };
        self.refusals = match verdict {
            Verdict::Delivered => 0,
            Verdict::Dead if refused => self.refusals + 1,
            _ => self.refusals,
        };
        let disabled = (verdict == Verdict::Gone)
            .then_some("the receiver answered 410: it does not want deliveries any more");
        let gone = contents.gone.filter(|_| verdict == Verdict::Delivered);
        let note = self.to_note(contents, before, Some(attempted), status);
        let tenure = self.note(Some(note), progress, gone, disabled).await?;
        Ok(match (tenure, verdict) {
            (Tenure::Holds, Verdict::Delivered | Verdict::Dead) => Next::GoesOn,
            _ => Next::Ends,
        })
    }

    /// Notes an attempt at a dead delivery.
    pub(super) async fn conclude_queued(
        &mut self,
        contents: Contents,
        before: SubscriptionDelivery,
        attempted: Attempted,
    ) -> Result<Next, SessionError> {
        let is_success = attempted.answer.as_ref().is_ok_and(Answer::is_success);
        let gone = contents.gone.filter(|_| is_success);
        let status = match is_success {
            true => DeliveryStatus::Delivered,
            false => DeliveryStatus::Dead,
        };
        let note = self.to_note(contents, Some(before), Some(attempted), status);
        let tenure = self.note(Some(note), Progress::Stays, gone, None).await?;
        Ok(if tenure == Tenure::Holds {
            Next::GoesOn
        } else {
            Next::Ends
        })
    }

    /// Ends a delivery without an attempt, because a later one has what it had. `progress` is what that means for the place.
    pub(super) async fn supersede(
        &mut self,
        delivery: SubscriptionDelivery,
        progress: Progress,
    ) -> Result<Next, SessionError> {
        let contents = Contents {
            webhook_id: delivery.webhook_id,
            kind: delivery.kind,
            changes: (delivery.change_from, delivery.change_through),
            record: delivery.record,
            records: delivery.records,
            gone: None,
        };
        let note = self.to_note(contents, Some(delivery), None, DeliveryStatus::Superseded);
        let tenure = self.note(Some(note), progress, None, None).await?;
        Ok(if tenure == Tenure::Holds {
            Next::GoesOn
        } else {
            Next::Ends
        })
    }

    /// Notes that everything up to a change is dealt with.
    pub(super) async fn pass_over(&mut self, place: i64) -> Result<Next, SessionError> {
        let tenure = self.note(None, Progress::Advances(place), None, None).await?;
        Ok(if tenure == Tenure::Holds {
            Next::GoesOn
        } else {
            Next::Ends
        })
    }

    fn judge(&self, answer: &Result<Answer, NoAnswer>, attempts: i64, refused: bool) -> Verdict {
        let options = &self.inner.options;
        match answer {
            Ok(answer) if answer.is_success() => return Verdict::Delivered,
            Ok(answer) if answer.status == 410 => return Verdict::Gone,
            _ if refused && self.refusals < MAX_REFUSALS => return Verdict::Dead,
            _ if attempts >= options.attempts => return Verdict::Dead,
            _ => {}
        }
        let clock = self.inner.clock();
        let asked = answer.as_ref().ok().and_then(|answer| answer.wait(clock.now()));
        Verdict::Retried(pause_after(
            attempts,
            options.first_pause,
            asked,
            clock.new_uuid(),
        ))
    }

    fn to_note(
        &self,
        contents: Contents,
        before: Option<SubscriptionDelivery>,
        attempted: Option<Attempted>,
        status: DeliveryStatus,
    ) -> DeliveryNote {
        if let Some(attempted) = &attempted {
            metrics::attempt(self.claim.subscription.format, status, attempted.start.elapsed());
        }
        let clock = self.inner.clock();
        DeliveryNote {
            before,
            id: clock.new_uuid(),
            webhook_id: contents.webhook_id,
            kind: contents.kind,
            changes: contents.changes,
            record: contents.record,
            records: contents.records,
            status,
            attempt: attempted.map(|one| attempt_of(&one.answer, one.at, one.start)),
            now: clock.now(),
        }
    }

    async fn note(
        &self,
        delivery: Option<DeliveryNote>,
        progress: Progress,
        gone: Option<i64>,
        disabled: Option<&str>,
    ) -> Result<Tenure, SessionError> {
        let noted = Noted {
            delivery,
            progress,
            gone,
            disabled,
            refusals: self.refusals,
            kept: self.inner.options.kept_deliveries,
        };
        Ok(self.inner.store.note_progress(self.claim, noted).await?)
    }
}

fn add(at: Timestamp, pause: Duration) -> Timestamp {
    let micros = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(at.micros().saturating_add(micros))
}
