//! Is a short form the record that is kept under its id already? Only what is sent is compared
//! (product text, section 6): what Rollbook filled in makes no difference.

use super::ShortForm;
use crate::base::clock::Timestamp;
use crate::record::{Actor, Envelope, Object, Statement};

impl ShortForm {
    /// Whether the record that is kept says the same; see [`ShortForm::difference`].
    pub fn same_as(&self, made: &Statement, kept: &Statement, envelope: &Envelope) -> bool {
        self.difference(made, kept, envelope).is_none()
    }

    /// The first member that was sent and says something else than the record that is kept, as a pointer;
    /// `None` where the same was sent again.
    ///
    /// `made` is the statement that this short form makes now: it knows how the directory and the
    /// catalogue resolve its user and its content. `kept` and `envelope` are what is kept.
    pub fn difference(
        &self,
        made: &Statement,
        kept: &Statement,
        envelope: &Envelope,
    ) -> Option<&'static str> {
        let outcome = kept.result.clone().unwrap_or_default();
        let registration = kept.context.as_ref().and_then(|context| context.registration);
        let same = [
            ("/user", is_same_actor(&made.actor, &kept.actor)),
            ("/action", self.did.verb() == kept.verb.id.as_str()),
            (
                "/content",
                self.content.is_none() || is_same_activity(&made.object, &kept.object),
            ),
            ("/happened_at", agrees(self.happened_at, kept.timestamp)),
            ("/result/success", agrees(self.result.success, outcome.success)),
            (
                "/result/completion",
                agrees(self.result.completion, outcome.completion),
            ),
            ("/result/score", agrees(self.result.score, outcome.score)),
            (
                "/result/total_time",
                agrees(
                    self.result.total_time.as_ref().map(|time| time.hundredths()),
                    outcome.duration.as_ref().map(|time| time.hundredths()),
                ),
            ),
            (
                "/result/response",
                agrees(self.result.response.as_ref(), outcome.response.as_ref()),
            ),
            (
                "/responses",
                self.responses.is_empty() || self.responses == envelope.responses,
            ),
            ("/certificate", self.has_certificate_of(envelope)),
            (
                "/expired_at",
                agrees(self.expired_at.map(millis), envelope.expired_at.map(millis)),
            ),
            (
                "/device_type",
                agrees(self.device_type.as_ref(), envelope.device_type.as_ref()),
            ),
            ("/source", agrees(self.source.as_ref(), envelope.source.as_ref())),
            ("/registration", agrees(self.registration, registration)),
            (
                "/recorded_by",
                agrees(self.recorded_by.as_ref(), envelope.recorded_by.as_ref()),
            ),
            (
                "/comment",
                agrees(self.comment.as_ref(), envelope.comment.as_ref()),
            ),
        ];
        same.into_iter().find(|(_, same)| !same).map(|(member, _)| member)
    }

    fn has_certificate_of(&self, envelope: &Envelope) -> bool {
        let Some(sent) = &self.certificate else {
            return true;
        };
        envelope.certificate.as_ref().is_some_and(|kept| {
            agrees(sent.name.as_ref(), kept.name.as_ref())
                && agrees(sent.expires_at.map(millis), kept.expires_at.map(millis))
        })
    }
}

/// Whether what was sent, if it was, is what is kept.
fn agrees<T: PartialEq>(sent: Option<T>, kept: Option<T>) -> bool {
    sent.is_none() || sent == kept
}

fn is_same_actor(made: &Actor, kept: &Actor) -> bool {
    let key = |actor: &Actor| {
        actor
            .identifier
            .as_ref()
            .map(|identifier| (identifier.kind_code(), identifier.lookup_key()))
    };
    key(made) == key(kept)
}

fn is_same_activity(made: &Object, kept: &Object) -> bool {
    match (made, kept) {
        (Object::Activity(made), Object::Activity(kept)) => made.id == kept.id,
        _ => false,
    }
}

/// An envelope keeps moments to the millisecond.
fn millis(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000)
}

#[cfg(test)]
mod tests;
