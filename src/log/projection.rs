//! From record to activity: rules 1 to 7 of the product text, section 6.
//!
//! [`project`] is a function of the record, and of what its content is now and demanded when it
//! happened ([`ContentFacts`]); it never asks what else was recorded or when, so the order of arrival
//! doesn't matter. Two rules need the neighbours and belong to whoever keeps them: `visited` (rule 8)
//! and voiding (rule 9).

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::catalogue::{ContentFormat, Demands, LearningType};
use crate::record::{self, Envelope, Origin, Statement};

use super::action::{Action, PASSED, VerbTable};

/// What the projection needs to know of the content that a record is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContentFacts {
    /// The content's type, as it is now.
    pub learning_type: Option<LearningType>,
    /// How an item is consumed, as it is now.
    pub content_type: Option<ContentFormat>,
    /// What it demanded when the activity happened.
    pub demands: Demands,
}

/// What the rules make of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected {
    /// When it happened: the statement's timestamp, else when it was stored.
    pub happened_at: Timestamp,
    /// What somebody did. A session's beginning is always [`Action::LoggedIn`] here unless the verb
    /// itself says visited; rule 8 is decided among neighbours.
    pub action: Action,
    /// Whether it succeeded (rule 1).
    pub success: Option<bool>,
    /// `result.completion`, as the record has it.
    pub completion: Option<bool>,
    /// The flag of rule 4.
    pub completed: bool,
    /// The score, with its percentage (rule 5).
    pub score: Score,
    /// `result.response`.
    pub response: Option<String>,
    /// The time it took, in whole seconds (rule 6).
    pub seconds: Option<i64>,
    /// The time limit that the content had, in whole seconds.
    pub time_limit: Option<i64>,
    /// When what was achieved expires (rule 7).
    pub expired_at: Option<Timestamp>,
    /// The certificate that came with it (rule 7).
    pub certificate: Option<Certificate>,
    /// The registration: what ties the records of one attempt together.
    pub registration: Option<Uuid>,
    /// The device, from the envelope.
    pub device_type: Option<String>,
    /// How the record came in.
    pub origin: Origin,
    /// Who recorded it about the person, where that was somebody.
    pub recorded_by: Option<UserId>,
    /// What the recorder said about it.
    pub comment: Option<String>,
    /// The content library or system that it came from.
    pub source: Option<String>,
    /// The bulk import that brought it.
    pub import: Option<Uuid>,
}

impl Projected {
    /// Whether the record says anything about a result: without it the JSON `result` is null.
    pub fn has_result(&self) -> bool {
        self.success.is_some()
            || self.completion.is_some()
            || self.score != Score::default()
            || self.seconds.is_some()
            || self.response.is_some()
    }

    /// Whether the time limit was exceeded; `None` without a limit or a time. Both count in whole
    /// seconds, so a fraction of a second over is within it.
    pub fn time_limit_exceeded(&self) -> Option<bool> {
        Some(self.seconds? > self.time_limit?)
    }

    /// Whether it has expired by `now`: set and past.
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expired_at.is_some_and(|at| at < now)
    }
}

/// A score as the record has it, with its percentage.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// From -1 to 1.
    pub scaled: Option<f64>,
    /// The points.
    pub raw: Option<f64>,
    /// The least points possible.
    pub min: Option<f64>,
    /// The most points possible.
    pub max: Option<f64>,
    /// The percentage (rule 5).
    pub percent: Option<Percent>,
}

/// A certificate that came with an activity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    /// What it is called.
    pub name: Option<String>,
    /// When it expires; `None`: never, as far as is known.
    pub expires_at: Option<Timestamp>,
}

/// A percentage in whole hundredths: 92.5 % is 9250. Printed with at most two decimals and without
/// trailing zeros: `92.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(pub i64);

impl Percent {
    /// The percentage nearest to `value`, halves away from zero.
    ///
    /// Noise of binary fractions is taken off first: 0.57 × 100 is 57, and 45.005 rounds to 45.01.
    pub fn nearest(value: f64) -> Self {
        // `as` saturates, and a score is finite.
        Self(denoised(value * 100.0).round() as i64)
    }

    /// The percentage as a number.
    pub fn value(self) -> f64 {
        self.0 as f64 / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.unsigned_abs() / 100, self.0.unsigned_abs() % 100);
        match (rest / 10, rest % 10) {
            (0, 0) => write!(f, "{sign}{whole}"),
            (tenths, 0) => write!(f, "{sign}{whole}.{tenths}"),
            _ => write!(f, "{sign}{whole}.{rest:02}"),
        }
    }
}

/// A JSON number: whole where it is whole.
impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 100 == 0 {
            serializer.serialize_i64(self.0 / 100)
        } else {
            serializer.serialize_f64(self.value())
        }
    }
}

/// The value without what binary fractions add: rounded at the ninth decimal.
fn denoised(value: f64) -> f64 {
    let rounded = (value * 1e9).round() / 1e9;
    if rounded.is_finite() { rounded } else { value }
}

/// Reads a record as an activity (product text, section 6, rules 1 to 7).
///
/// `stored` is when the record was stored: the moment it happened where the statement doesn't say.
/// `content` is `None` where there is no content, or where nothing is known of it.
pub fn project(
    verbs: &VerbTable,
    statement: &Statement,
    envelope: &Envelope,
    stored: Timestamp,
    content: Option<&ContentFacts>,
) -> Projected {
    let happened_at = statement.timestamp.unwrap_or(stored);
    let nothing = ContentFacts::default();
    let content = content.unwrap_or(&nothing);
    let outcome = statement.result.as_ref();
    let (score, percent) = outcome
        .and_then(|outcome| outcome.score.as_ref())
        .map(score)
        .unwrap_or_default();

    let verb = statement.verb.id.as_str();
    let said = verbs.action(verb);
    let success = success(verb, said, outcome, percent, content.demands.pass_mark);
    let action = match said {
        Action::Completed if success == Some(false) => Action::Failed,
        Action::Completed => consumed(content.content_type),
        other => other,
    };
    let completion = outcome.and_then(|outcome| outcome.completion);
    let completed = action.completes() || (completion == Some(true) && action != Action::Failed);

    Projected {
        happened_at,
        action,
        success,
        completion,
        completed,
        score,
        response: outcome.and_then(|outcome| outcome.response.clone()),
        seconds: outcome
            .and_then(|outcome| outcome.duration.as_ref())
            .map(record::Duration::whole_seconds),
        time_limit: content
            .demands
            .time_limit
            .as_ref()
            .map(record::Duration::whole_seconds),
        expired_at: expiry(envelope, content, completed, happened_at),
        certificate: certificate(envelope, content, action, completed, happened_at),
        registration: statement
            .context
            .as_ref()
            .and_then(|context| context.registration),
        device_type: envelope.device_type.clone(),
        origin: envelope.origin,
        recorded_by: envelope.recorded_by.clone(),
        comment: envelope.comment.clone(),
        source: envelope.source.clone(),
        import: envelope.import,
    }
}

/// Rule 1: what the verb says, else what the result says, else what the pass mark says.
///
/// A completing verb is one whose action completes by itself ([`Action::completes`]).
fn success(
    verb: &str,
    said: Action,
    outcome: Option<&record::Outcome>,
    percent: Option<f64>,
    pass_mark: Option<f64>,
) -> Option<bool> {
    if verb == PASSED {
        return Some(true);
    }
    if said == Action::Failed {
        return Some(false);
    }
    if let Some(success) = outcome.and_then(|outcome| outcome.success) {
        return Some(success);
    }
    if said.completes() {
        Some(percent? >= denoised(pass_mark?))
    } else {
        None
    }
}

/// Rule 3: how the completion of such a content is called.
const fn consumed(content_type: Option<ContentFormat>) -> Action {
    match content_type {
        Some(ContentFormat::Video) => Action::Watched,
        Some(ContentFormat::Article | ContentFormat::Book | ContentFormat::Document) => Action::Read,
        Some(ContentFormat::Audio) => Action::ListenedTo,
        _ => Action::Completed,
    }
}

/// Rule 5: the score, and beside it the percentage before it is rounded.
fn score(score: &record::Score) -> (Score, Option<f64>) {
    let record::Score {
        scaled,
        raw,
        min,
        max,
    } = *score;
    let percent = match (scaled, raw, min, max) {
        (Some(scaled), ..) => Some(scaled * 100.0),
        // Halves first: the difference of two huge numbers could be infinite, that of their halves can't.
        (None, Some(raw), Some(min), Some(max)) if max > min => {
            Some((raw / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0) * 100.0)
        }
        (None, Some(raw), _, None) if (0.0..=100.0).contains(&raw) => Some(raw),
        _ => None,
    };
    let percent = percent.map(denoised).filter(|percent| percent.is_finite());
    (
        Score {
            scaled,
            raw,
            min,
            max,
            percent: percent.map(Percent::nearest),
        },
        percent,
    )
}

/// Rule 7: what the record says, else for a completion what its content demands.
fn expiry(
    envelope: &Envelope,
    content: &ContentFacts,
    completed: bool,
    happened_at: Timestamp,
) -> Option<Timestamp> {
    let demanded = || {
        let length = content.demands.expires_after.as_ref().filter(|_| completed)?;
        Some(length.add_to(happened_at))
    };
    envelope.expired_at.or_else(demanded)
}

/// Rule 7 for certificates: each of its facts as the record gives it, else, for what earns the
/// content's certificate, from that.
///
/// A completion earns it, and so does a `received_certificate_for`, which always comes with a
/// certificate, be it one of which nothing more is known.
fn certificate(
    envelope: &Envelope,
    content: &ContentFacts,
    action: Action,
    completed: bool,
    happened_at: Timestamp,
) -> Option<Certificate> {
    let received = action == Action::ReceivedCertificateFor;
    let rule = content
        .demands
        .certificate
        .as_ref()
        .filter(|_| completed || received);
    let given = envelope.certificate.as_ref();
    if rule.is_none() && given.is_none() && !received {
        return None;
    }
    let name = given
        .and_then(|given| given.name.clone())
        .or_else(|| rule?.name.clone());
    let length = rule.and_then(|rule| rule.expires_after.as_ref());
    let expires_at = given
        .and_then(|given| given.expires_at)
        .or_else(|| length.map(|length| length.add_to(happened_at)));
    Some(Certificate { name, expires_at })
}

#[cfg(test)]
mod tests;
