//! What follows from an attempt: the run is done, tried again, or given up.

use std::fmt::Write as _;
use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::store::{Claim, RunEnd};

use super::attempt::{Fault, Unsent, Verdict};
use super::{Inner, metrics};

/// How long it takes, in minutes, until a run is tried again: after the first attempt, after the second, and so on. After
/// the attempt that follows the last of them it has failed.
pub(super) const RETRY_AFTER_MINUTES: [i64; 5] = [1, 5, 15, 60, 240];

/// How often a run is tried.
pub(super) const ATTEMPTS: u32 = RETRY_AFTER_MINUTES.len() as u32 + 1;

/// Why a run is given up that was claimed once more than it is tried.
const NEVER_ENDED: &str =
    "the last attempt never came to an end: the server stopped, or lost its database, in the midst of it";

/// The longest reason that is kept for a run, in characters; each recipient's own is kept whole.
const MAX_REASON_CHARACTERS: usize = 1_000;

/// Why a run is tried again whose attempt broke off; the log says more.
const BROKE_OFF: &str = "something went wrong inside; the server's log says what";

impl Inner {
    /// Notes how the attempt ended, and gives the run back.
    pub(super) async fn conclude(&self, claim: &Claim, outcome: Result<Verdict, Fault>, worked: Duration) {
        metrics::attempt(worked);
        let delivery = claim.delivery;
        match outcome {
            Ok(Verdict::Lost) => {
                tracing::warn!(%delivery, "a run is somebody else's by now, or its schedule is gone")
            }
            Ok(Verdict::Stopped | Verdict::Late) => {
                self.insist(|| self.store.release(claim, worked)).await;
            }
            Ok(Verdict::Abandoned) => self.end(claim, RunEnd::Abandoned(NEVER_ENDED), worked).await,
            Ok(Verdict::Suspended(reason)) => self.end(claim, RunEnd::Suspended(&reason), worked).await,
            Ok(Verdict::Tried { refused, open }) => self.conclude_tried(claim, refused, open, worked).await,
            Err(fault) => {
                tracing::error!(%delivery, cause = %fault, "an attempt at a run broke off");
                self.again_or_failed(claim, BROKE_OFF, worked).await;
            }
        }
    }

    async fn conclude_tried(&self, claim: &Claim, refused: Vec<Unsent>, open: Vec<Unsent>, worked: Duration) {
        if open.is_empty() {
            return match refused.as_slice() {
                [] => self.end(claim, RunEnd::Sent, worked).await,
                refused => self.end(claim, RunEnd::Failed(&reasons(refused)), worked).await,
            };
        }
        if retry_at(claim.attempts, self.clock().now()).is_some() {
            return self.again_or_failed(claim, &reasons(&open), worked).await;
        }
        for unsent in &open {
            let note = || self.store.note_failed(claim, unsent.place, &unsent.reason);
            if !self.insist(note).await {
                return;
            }
        }
        let mut all = [refused, open].concat();
        all.sort_by_key(|unsent| unsent.place);
        self.again_or_failed(claim, &reasons(&all), worked).await;
    }

    /// Another attempt, where there is one left.
    async fn again_or_failed(&self, claim: &Claim, reason: &str, worked: Duration) {
        let end = match retry_at(claim.attempts, self.clock().now()) {
            Some(at) => RunEnd::Retried { at, reason },
            None => RunEnd::Failed(reason),
        };
        self.end(claim, end, worked).await;
    }

    async fn end(&self, claim: &Claim, end: RunEnd<'_>, worked: Duration) {
        let now = self.clock().now();
        if !self
            .insist(|| self.store.end_attempt(claim, end, worked, now))
            .await
        {
            return;
        }
        let (delivery, attempt) = (claim.delivery, claim.attempts.saturating_add(1));
        let status = match end {
            RunEnd::Sent => "sent",
            RunEnd::Failed(_) | RunEnd::Abandoned(_) => "failed",
            RunEnd::Suspended(_) => "suspended",
            RunEnd::Retried { at, .. } => {
                metrics::retry();
                tracing::info!(%delivery, attempt, next_attempt_at = %at, "a run is tried again");
                return;
            }
        };
        metrics::delivery(status);
        tracing::info!(%delivery, attempt, status, seconds = worked.as_secs_f64(), "a run ended");
    }
}

/// When a run is tried again that failed now, after so many attempts before; `None`: not any more.
fn retry_at(attempts_before: u32, now: Timestamp) -> Option<Timestamp> {
    let minutes = RETRY_AFTER_MINUTES.get(usize::try_from(attempts_before).ok()?)?;
    Some(Timestamp::from_micros(
        now.micros().saturating_add(minutes * 60_000_000),
    ))
}

/// Who has no message, and why, in one line.
fn reasons(unsent: &[Unsent]) -> String {
    let mut text = String::new();
    for (index, one) in unsent.iter().enumerate() {
        let comma = if index == 0 { "" } else { "; " };
        let _ = write!(text, "{comma}{}: {}", one.recipient, one.reason); // writing to a String can't fail
    }
    match text.char_indices().nth(MAX_REASON_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_six_attempts_with_longer_and_longer_waits() {
        let minutes = |attempts| {
            let at = retry_at(attempts, Timestamp::from_micros(0))?;
            Some(at.micros() / 60_000_000)
        };
        let waits: Vec<_> = (0..7).map(minutes).collect();
        assert_eq!(
            waits,
            [Some(1), Some(5), Some(15), Some(60), Some(240), None, None]
        );
    }

    #[test]
    fn reasons_name_everybody_within_a_bound() {
        let unsent = |place: u16| Unsent {
            place,
            recipient: format!("u{place}"),
            reason: "the mailbox is full".to_owned(),
        };
        assert_eq!(
            reasons(&[unsent(0), unsent(7)]),
            "u0: the mailbox is full; u7: the mailbox is full"
        );
        let many: Vec<_> = (0..100).map(unsent).collect();
        assert_eq!(reasons(&many).chars().count(), MAX_REASON_CHARACTERS + 1);
    }
}
