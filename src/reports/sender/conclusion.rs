//! How a run continues after an attempt: it has ended, is tried again, or has failed.

use std::fmt::Write as _;
use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::store::{Claim, RunEnd};

use super::attempt::{AttemptEnd, AttemptError, Unsent};
use super::{Inner, metrics};

/// The minutes between a failed attempt and the next one: after the first attempt, after the second, and so on. The attempt
/// after the last of them is the last one.
pub(super) const RETRY_AFTER_MINUTES: [i64; 5] = [1, 5, 15, 60, 240];

/// The maximum number of attempts.
pub(super) const MAX_ATTEMPTS: u32 = RETRY_AFTER_MINUTES.len() as u32 + 1;

/// The reason of a failed run if its last attempt did not end.
const NEVER_ENDED: &str =
    "the last attempt never came to an end: the server stopped or lost its database during it";

/// The longest stored reason of a run, in characters. The reasons of its recipients are not shortened.
const MAX_REASON_CHARACTERS: usize = 1_000;

/// Why a run is tried again after an [`AttemptError`]. The log has the error.
const BROKE_OFF: &str = "an internal error occurred; the server's log has the details";

impl Inner {
    /// Notes how the attempt ended and gives the run back.
    pub(super) async fn conclude(
        &self,
        claim: &Claim,
        outcome: Result<AttemptEnd, AttemptError>,
        worked: Duration,
    ) {
        metrics::attempt(worked);
        let delivery = claim.delivery;
        match outcome {
            Ok(AttemptEnd::Lost) => {
                tracing::warn!(%delivery, "another worker has claimed a run, or its schedule was deleted")
            }
            Ok(AttemptEnd::Stopped | AttemptEnd::Late) => {
                self.retry_until_written(|| self.store.release_run(claim, worked))
                    .await;
            }
            Ok(AttemptEnd::Abandoned) => self.end(claim, RunEnd::Abandoned(NEVER_ENDED), worked).await,
            Ok(AttemptEnd::Suspended(reason)) => self.end(claim, RunEnd::Suspended(&reason), worked).await,
            Ok(AttemptEnd::Tried { refused, open }) => {
                self.conclude_tried(claim, refused, open, worked).await
            }
            Err(error) => {
                tracing::error!(%delivery, cause = %error, "an attempt at a run broke off");
                self.retry_or_fail(claim, BROKE_OFF, worked).await;
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
            return self.retry_or_fail(claim, &reasons(&open), worked).await;
        }
        for unsent in &open {
            let note = || self.store.note_failed(claim, unsent.place, &unsent.reason);
            if !self.retry_until_written(note).await {
                return;
            }
        }
        let mut all = [refused, open].concat();
        all.sort_by_key(|unsent| unsent.place);
        self.retry_or_fail(claim, &reasons(&all), worked).await;
    }

    /// Schedules the next attempt, or fails the run after the last one.
    async fn retry_or_fail(&self, claim: &Claim, reason: &str, worked: Duration) {
        let end = match retry_at(claim.attempts, self.clock().now()) {
            Some(at) => RunEnd::Retried { at, reason },
            None => RunEnd::Failed(reason),
        };
        self.end(claim, end, worked).await;
    }

    async fn end(&self, claim: &Claim, end: RunEnd<'_>, worked: Duration) {
        let now = self.clock().now();
        if !self
            .retry_until_written(|| self.store.end_attempt(claim, end, worked, now))
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

/// The time of the next attempt after a failure. `None` after the last attempt.
fn retry_at(attempts_before: u32, now: Timestamp) -> Option<Timestamp> {
    let minutes = RETRY_AFTER_MINUTES.get(usize::try_from(attempts_before).ok()?)?;
    Some(Timestamp::from_micros(
        now.micros().saturating_add(minutes * 60_000_000),
    ))
}

/// The recipients without a message and the reasons, in one line.
fn reasons(unsent: &[Unsent]) -> String {
    let mut text = String::new();
    for (index, one) in unsent.iter().enumerate() {
        let comma = if index == 0 { "" } else { "; " };
        let _ = write!(text, "{comma}{}: {}", one.recipient, one.reason); // writing to a String does not fail
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
    fn run_has_six_attempts_with_growing_waits() {
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
    fn reasons_name_each_recipient_up_to_a_maximum_length() {
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
