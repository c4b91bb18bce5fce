//! The projection of records to activities (docs/specification.md#from-record-to-activity).
//!
//! [`project`] depends on the record and on its content ([`ContentFacts`]), but not on other records, so the order of
//! arrival does not matter. Three rules depend on other records and are applied by the store: `visited`
//! (docs/specification.md#sessions-and-visits), voiding (docs/specification.md#voiding), and which of several Activities
//! is the content ([`placement`](super::placement)).

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::base::Fingerprint;
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::base::json;
use crate::catalogue::{ContentFormat, Demands, LearningType, is_award};
use crate::record::{self, Envelope, Object, Origin, Statement};

use super::action::{Action, PASSED, VerbTable, WAIVED, has_own_words};
use super::placement::name_part;

/// The facts about a content that the projection depends on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContentFacts {
    /// The current type.
    pub learning_type: Option<LearningType>,
    /// The current format of an item.
    pub content_type: Option<ContentFormat>,
    /// The demands at the time of the activity.
    pub demands: Demands,
    /// Whether the content is not the object of the record but the content above it (docs/specification.md#content).
    pub is_above_object: bool,
}

/// The projection of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected {
    /// The timestamp of the statement, else the time of storage.
    pub happened_at: Timestamp,
    /// The words for the part of the content that the record is about; `None` if it is about the content itself.
    pub part: Option<String>,
    /// The action. The start of a session is [`Action::LoggedIn`] here, unless the verb is `visited`.
    pub action: Action,
    /// Whether the attempt succeeded (docs/specification.md#success).
    pub success: Option<bool>,
    /// `result.completion` of the statement.
    pub completion: Option<bool>,
    /// Whether the activity is a completion (docs/specification.md#completion).
    pub completed: bool,
    /// The score and its percentage (docs/specification.md#score).
    pub score: Score,
    /// `result.response` of the statement.
    pub response: Option<String>,
    /// The duration in whole seconds (docs/specification.md#total-time).
    pub seconds: Option<i64>,
    /// The time limit of the content in whole seconds.
    pub time_limit: Option<i64>,
    /// When the completion expires (docs/specification.md#expiry).
    pub expired_at: Option<Timestamp>,
    /// The certificate that was awarded (docs/specification.md#expiry).
    pub certificate: Option<Certificate>,
    /// The registration, which all records of one attempt share.
    pub registration: Option<Uuid>,
    /// The digest of the cmi5 session id, which all records of one session share.
    pub session: Option<i64>,
    /// The type of the device.
    pub device_type: Option<String>,
    /// The way in which the record arrived.
    pub origin: Origin,
    /// The user that recorded the activity, if the record names one.
    pub recorded_by: Option<UserId>,
    /// The comment of the recorder.
    pub comment: Option<String>,
    /// The content library or system from which the record came.
    pub source: Option<String>,
    /// The bulk import with the record.
    pub import: Option<Uuid>,
}

impl Projected {
    /// Whether the activity has a result. Without one, the JSON member `result` is null.
    pub fn has_result(&self) -> bool {
        self.success.is_some()
            || self.completion.is_some()
            || self.score != Score::default()
            || self.seconds.is_some()
            || self.response.is_some()
    }

    /// Whether the duration exceeds the time limit; `None` without one of them. Both are in whole seconds, so a fraction
    /// of a second does not count.
    pub fn time_limit_exceeded(&self) -> Option<bool> {
        Some(self.seconds? > self.time_limit?)
    }

    /// Whether the expiry is set and before `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expired_at.is_some_and(|at| at < now)
    }
}

/// A score of a record, with its percentage.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// From -1 to 1.
    pub scaled: Option<f64>,
    /// The points.
    pub raw: Option<f64>,
    /// The lowest possible points.
    pub min: Option<f64>,
    /// The highest possible points.
    pub max: Option<f64>,
    /// The percentage.
    pub percent: Option<Percent>,
}

/// A certificate that was awarded with an activity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    /// The name.
    pub name: Option<String>,
    /// When the certificate expires; `None` if it does not expire or the expiry is unknown.
    pub expires_at: Option<Timestamp>,
}

/// A percentage in whole hundredths: 92.5 % is 9250. Its text has at most two decimals and no trailing zeros: `92.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(pub i64);

impl Percent {
    /// The percentage nearest to `value`; halves round away from zero.
    ///
    /// Errors of binary fractions are removed before: 0.57 × 100 is 57, and 45.005 rounds to 45.01.
    pub fn nearest(value: f64) -> Self {
        // The cast saturates, and scores are finite.
        Self(without_float_error(value * 100.0).round() as i64)
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

/// A JSON number, without decimals if it is whole.
impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 100 == 0 {
            serializer.serialize_i64(self.0 / 100)
        } else {
            serializer.serialize_f64(self.value())
        }
    }
}

/// The value without errors of binary fractions: rounded to nine decimals.
fn without_float_error(value: f64) -> f64 {
    let rounded = (value * 1e9).round() / 1e9;
    if rounded.is_finite() { rounded } else { value }
}

/// Projects a record to an activity.
///
/// `stored` is the time of storage, which counts for a statement without a timestamp. `content` is `None` if the record
/// has no content or the content is unknown.
pub fn project(
    verbs: &VerbTable,
    statement: &Statement,
    envelope: &Envelope,
    stored: Timestamp,
    content: Option<&ContentFacts>,
) -> Projected {
    let happened_at = statement.timestamp.unwrap_or(stored);
    let above = content.filter(|content| content.is_above_object);
    let part = above.and_then(|_| name_part(statement));
    // A content demands nothing of its parts.
    let nothing = ContentFacts::default();
    let content = content.filter(|_| part.is_none()).unwrap_or(&nothing);
    let outcome = statement.result.as_ref();
    let (score, percent) = outcome
        .and_then(|outcome| outcome.score.as_ref())
        .map(read_score)
        .unwrap_or_default();

    let is_part = part.is_some();
    let (action, success) = read_verb(verbs, statement, envelope, content, percent);
    let completion = outcome.and_then(|outcome| outcome.completion);
    let completes = action.completes() || (completion == Some(true) && action != Action::Failed);
    let completed = completes && !is_part;

    Projected {
        happened_at,
        part,
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
        expired_at: expiry(envelope, content, completed, happened_at).filter(|_| !is_part),
        certificate: certificate(envelope, content, action, completed, happened_at).filter(|_| !is_part),
        registration: statement
            .context
            .as_ref()
            .and_then(|context| context.registration),
        session: statement.context.as_ref().and_then(cmi5_session),
        device_type: envelope.device_type.clone(),
        origin: envelope.origin,
        recorded_by: envelope.recorded_by.clone(),
        comment: envelope.comment.clone(),
        source: envelope.source.clone(),
        import: envelope.import,
    }
}

/// The action and the success (docs/specification.md#success).
///
/// A content demands nothing of its parts, so `content` is empty for a record about a part.
fn read_verb(
    verbs: &VerbTable,
    statement: &Statement,
    envelope: &Envelope,
    content: &ContentFacts,
    percent: Option<f64>,
) -> (Action, Option<bool>) {
    let verb = statement.verb.id.as_str();
    let verb_action = verbs.action(verb);
    let is_other_award =
        verb_action.may_mean_another_award(verb) && !means_certificate(statement, envelope, content);
    let verb_action = if is_other_award {
        Action::Other
    } else {
        verb_action
    };
    let outcome = statement.result.as_ref();
    let success = success(verb, verb_action, outcome, percent, content.demands.pass_mark);
    let action = match verb_action {
        Action::Other if is_other_award && success == Some(false) => Action::Failed,
        Action::Completed if success == Some(false) => Action::Failed,
        Action::Completed if has_own_words(verb) => Action::Completed,
        Action::Completed => completing_action(content.content_type),
        other => other,
    };
    (action, success)
}

/// Whether a verb that can mean several awards means a certificate here (docs/specification.md#certificates): the record
/// carries one, the content awards one, or the object or its content is one.
fn means_certificate(statement: &Statement, envelope: &Envelope, content: &ContentFacts) -> bool {
    let definition = match &statement.object {
        Object::Activity(object) => object.definition.as_ref(),
        _ => None,
    };
    let activity_type = definition.and_then(|definition| definition.type_.as_ref());
    envelope.certificate.is_some()
        || content.demands.certificate.is_some()
        || content.learning_type == Some(LearningType::Certification)
        || activity_type.is_some_and(|activity_type| is_award(activity_type.as_str()))
}

/// The digest of the session id that cmi5 demands in the context of every statement of a session (cmi5, section 9.6.3.1).
/// A summary needs to know only whether two ids are equal.
fn cmi5_session(context: &record::Context) -> Option<i64> {
    const SESSION_ID: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";
    // A row of the log needs no parsing of extensions without the id.
    let text = context
        .extensions
        .as_deref()
        .filter(|text| text.contains("sessionid"))?;
    let extensions = json::parse_stored(text).ok()?;
    let id = extensions.get(SESSION_ID)?.as_str()?;
    let digest = Fingerprint::from_parts([id]);
    let (first, _) = digest.as_bytes().split_first_chunk()?;
    Some(i64::from_be_bytes(*first))
}

/// The success: from the verb, else from the result, else from the pass mark (docs/specification.md#success).
///
/// The pass mark counts for verbs with an action that [completes](Action::completes). A waiver is no success, although
/// cmi5 demands `result.success` with it.
fn success(
    verb: &str,
    verb_action: Action,
    outcome: Option<&record::Outcome>,
    percent: Option<f64>,
    pass_mark: Option<f64>,
) -> Option<bool> {
    if verb == PASSED {
        return Some(true);
    }
    if verb == WAIVED {
        return None;
    }
    if verb_action == Action::Failed {
        return Some(false);
    }
    if let Some(success) = outcome.and_then(|outcome| outcome.success) {
        return Some(success);
    }
    if verb_action.completes() {
        Some(percent? >= without_float_error(pass_mark?))
    } else {
        None
    }
}

/// The action of a completion, which depends on the format of the content (docs/specification.md#completion).
const fn completing_action(content_type: Option<ContentFormat>) -> Action {
    match content_type {
        Some(ContentFormat::Video) => Action::Watched,
        Some(ContentFormat::Article | ContentFormat::Book | ContentFormat::Document) => Action::Read,
        Some(ContentFormat::Audio) => Action::ListenedTo,
        _ => Action::Completed,
    }
}

/// The score, and the percentage before rounding (docs/specification.md#score).
fn read_score(score: &record::Score) -> (Score, Option<f64>) {
    let record::Score {
        scaled,
        raw,
        min,
        max,
    } = *score;
    let percent = match (scaled, raw, min, max) {
        (Some(scaled), ..) => Some(scaled * 100.0),
        // Points without a maximum are not a percentage. Without a minimum it is 0, which points below 0 contradict.
        (None, Some(raw), min, Some(max)) if min.is_some() || raw >= 0.0 => {
            let min = min.unwrap_or(0.0);
            // The difference of two huge numbers can be infinite, that of their halves can't.
            (max > min).then(|| (raw / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0) * 100.0)
        }
        _ => None,
    };
    let percent = percent
        .map(without_float_error)
        .filter(|percent| percent.is_finite());
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

/// The expiry of the record, else that demanded by the content of a completion (docs/specification.md#expiry).
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

/// The certificate: name and expiry from the record, else from the rule of the content (docs/specification.md#expiry).
///
/// The rule of the content applies to completions and to `received_certificate_for`. The latter always has a
/// certificate, even if its name and expiry are unknown.
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
    let recorded = envelope.certificate.as_ref();
    if rule.is_none() && recorded.is_none() && !received {
        return None;
    }
    let name = recorded
        .and_then(|certificate| certificate.name.clone())
        .or_else(|| rule?.name.clone());
    let length = rule.and_then(|rule| rule.expires_after.as_ref());
    let expires_at = recorded
        .and_then(|certificate| certificate.expires_at)
        .or_else(|| length.map(|length| length.add_to(happened_at)));
    Some(Certificate { name, expires_at })
}

#[cfg(test)]
mod tests;
