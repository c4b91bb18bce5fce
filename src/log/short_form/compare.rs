//! Comparison of a short form with the stored record of the same id (docs/specification.md#repeated-records).
//!
//! Only members of the short form are compared. Values that Rollbook filled in do not count.

use uuid::Uuid;

use super::ShortForm;
use crate::base::clock::Timestamp;
use crate::record::{Actor, Envelope, Object, Outcome, Statement};

impl ShortForm {
    /// Whether the stored record is the same; see [`ShortForm::difference`].
    pub fn is_same_as(&self, statement: &Statement, stored: &Statement, envelope: &Envelope) -> bool {
        self.difference(statement, stored, envelope).is_none()
    }

    /// The pointer of the first member that differs from the stored record, if any.
    ///
    /// `statement` is the one that this short form gives now, with its user and content resolved. `stored` and `envelope`
    /// are the stored record.
    pub fn difference(
        &self,
        statement: &Statement,
        stored: &Statement,
        envelope: &Envelope,
    ) -> Option<&'static str> {
        let registration = stored.context.as_ref().and_then(|context| context.registration);
        let outcome = stored.result.clone().unwrap_or_default();
        let record = [
            ("/user", is_same_actor(&statement.actor, &stored.actor)),
            ("/action", self.action.verb_iri() == stored.verb.id.as_str()),
            (
                "/content",
                self.content.is_none() || is_same_activity(&statement.object, &stored.object),
            ),
            (
                "/happened_at",
                is_same_moment_if_sent(self.happened_at, stored.timestamp),
            ),
        ];
        // The order decides which difference is reported.
        let mut members = record
            .into_iter()
            .chain(self.compare_result(&outcome))
            .chain(self.compare_envelope(envelope, registration));
        members.find(|(_, same)| !same).map(|(member, _)| member)
    }

    /// The members of the result, and whether each is equal to the stored one.
    fn compare_result(&self, outcome: &Outcome) -> [(&'static str, bool); 5] {
        [
            (
                "/result/success",
                is_equal_if_sent(self.result.success, outcome.success),
            ),
            (
                "/result/completion",
                is_equal_if_sent(self.result.completion, outcome.completion),
            ),
            (
                "/result/score",
                is_equal_if_sent(self.result.score, outcome.score),
            ),
            (
                "/result/total_time",
                is_equal_if_sent(
                    self.result.total_time.as_ref().map(|time| time.hundredths()),
                    outcome.duration.as_ref().map(|time| time.hundredths()),
                ),
            ),
            (
                "/result/response",
                is_equal_if_sent(self.result.response.as_ref(), outcome.response.as_ref()),
            ),
        ]
    }

    /// The members of the envelope and the registration, and whether each is equal to the stored one.
    fn compare_envelope(&self, envelope: &Envelope, registration: Option<Uuid>) -> [(&'static str, bool); 8] {
        [
            (
                "/responses",
                self.responses.is_empty() || self.responses == envelope.responses,
            ),
            ("/certificate", self.certificate_is_equal_if_sent(envelope)),
            (
                "/expired_at",
                is_same_moment_if_sent(self.expired_at, envelope.expired_at),
            ),
            (
                "/device_type",
                is_equal_if_sent(self.device_type.as_ref(), envelope.device_type.as_ref()),
            ),
            (
                "/source",
                is_equal_if_sent(self.source.as_ref(), envelope.source.as_ref()),
            ),
            ("/registration", is_equal_if_sent(self.registration, registration)),
            (
                "/recorded_by",
                is_equal_if_sent(self.recorded_by.as_ref(), envelope.recorded_by.as_ref()),
            ),
            (
                "/comment",
                is_equal_if_sent(self.comment.as_ref(), envelope.comment.as_ref()),
            ),
        ]
    }

    fn certificate_is_equal_if_sent(&self, envelope: &Envelope) -> bool {
        let Some(sent) = &self.certificate else {
            return true;
        };
        envelope.certificate.as_ref().is_some_and(|stored| {
            is_equal_if_sent(sent.name.as_ref(), stored.name.as_ref())
                && is_same_moment_if_sent(sent.expires_at, stored.expires_at)
        })
    }
}

/// Whether a value was omitted or is equal to the stored one.
fn is_equal_if_sent<T: PartialEq>(sent: Option<T>, stored: Option<T>) -> bool {
    sent.is_none() || sent == stored
}

/// Whether a moment was omitted or is the stored one, to the millisecond.
fn is_same_moment_if_sent(sent: Option<Timestamp>, stored: Option<Timestamp>) -> bool {
    match (sent, stored) {
        (Some(sent), Some(stored)) => sent.is_within_a_millisecond_of(stored),
        (sent, _) => sent.is_none(),
    }
}

fn is_same_actor(sent: &Actor, stored: &Actor) -> bool {
    let key = |actor: &Actor| {
        actor
            .identifier
            .as_ref()
            .map(|identifier| (identifier.kind_code(), identifier.lookup_key()))
    };
    key(sent) == key(stored)
}

fn is_same_activity(sent: &Object, stored: &Object) -> bool {
    match (sent, stored) {
        (Object::Activity(sent), Object::Activity(stored)) => sent.id == stored.id,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
