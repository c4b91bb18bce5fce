//! The record of a [`ShortForm`]: a valid xAPI statement and its envelope.
//!
//! The envelope contains the values for which xAPI has no member: recorder, device, answers to questions and certificate.
//! Rollbook never takes them from a statement (docs/specification.md#envelope).

use super::super::action::Action;
use super::{ActionOrVerb, ShortForm, ShortResult};
use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::catalogue::{ContentFormat, LearningType, to_activity_type};
use crate::record::iri::IriError;
use crate::record::{
    self, Activity, Actor, AwardedCertificate, Context, Definition, Envelope, Identifier, Iri, LanguageMap,
    Statement, StatementBuilder, Verb,
};

/// The user and content of a short form, as found in the directory and the catalogue.
#[derive(Debug, Clone)]
pub struct Resolved<'a> {
    /// The id of the statement: that of the client, else a new one.
    pub id: StatementId,
    /// The actor: the account of a user id, the mbox of an e-mail address, or the identifier of an agent. The same short
    /// form always gives the same actor.
    pub actor: &'a Identifier,
    /// The name of the actor.
    pub actor_name: Option<&'a str>,
    /// The content, if the short form has one.
    pub content: Option<ResolvedContent<'a>>,
    /// The IRI of the platform: the organisation's `account_home_page`. It is the object of a statement without content.
    pub platform: &'a str,
    /// When the activity happened: the time of the short form, else of the request.
    pub happened_at: Timestamp,
}

/// The content of a statement.
#[derive(Debug, Clone, Copy)]
pub struct ResolvedContent<'a> {
    /// The IRI.
    pub iri: &'a str,
    /// The title.
    pub title: Option<&'a str>,
    /// The type.
    pub learning_type: Option<LearningType>,
    /// The format of an item.
    pub content_type: Option<ContentFormat>,
}

impl ShortForm {
    /// The statement of the record.
    ///
    /// Titles have the language tag `und`, because their language is unknown.
    ///
    /// # Errors
    ///
    /// The IRI of the content, of the platform or of the verb is invalid.
    pub fn to_statement(&self, resolved: &Resolved<'_>) -> Result<Statement, IriError> {
        let actor = Actor::agent(resolved.actor.clone(), resolved.actor_name);
        let activity = match &resolved.content {
            Some(content) => content.to_activity()?,
            None => Activity::new(Iri::parse(resolved.platform)?),
        };
        let context = Context {
            registration: self.registration,
            ..Context::default()
        };
        let builder = StatementBuilder::new(actor, self.action.to_verb()?, activity)
            .id(resolved.id)
            .result(self.result.to_outcome())
            .context(context)
            .timestamp(resolved.happened_at);
        Ok(builder.build())
    }

    /// The envelope of the record: the values of the short form, else those of `base`. The caller sets in `base` the origin,
    /// the default device and recorder, and whether definitions change the catalogue.
    ///
    /// The action `received_certificate_for` always means a certificate, but the verb that is written for it does not. So
    /// the record carries a certificate, even if nothing is known of it.
    pub fn envelope(&self, base: Envelope) -> Envelope {
        let received = self.action == ActionOrVerb::Action(Action::ReceivedCertificateFor);
        let certificate = self.certificate.clone().or(base.certificate);
        Envelope {
            device_type: self.device_type.clone().or(base.device_type),
            recorded_by: self.recorded_by.clone().or(base.recorded_by),
            comment: self.comment.clone().or(base.comment),
            source: self.source.clone().or(base.source),
            expired_at: self.expired_at.or(base.expired_at),
            certificate: certificate.or_else(|| received.then(AwardedCertificate::default)),
            responses: if self.responses.is_empty() {
                base.responses
            } else {
                self.responses.clone()
            },
            ..base
        }
    }
}

impl ActionOrVerb {
    fn to_verb(&self) -> Result<Verb, IriError> {
        match self {
            Self::Action(action) => action.to_verb(),
            Self::Verb(iri) => Ok(Verb::new(iri.clone())),
        }
    }
}

impl ResolvedContent<'_> {
    fn to_activity(self) -> Result<Activity, IriError> {
        let activity_type = to_activity_type(self.learning_type, self.content_type);
        let definition = Definition {
            name: self.title.map(LanguageMap::undetermined).unwrap_or_default(),
            type_: activity_type.map(Iri::parse).transpose()?,
            ..Definition::default()
        };
        Ok(Activity {
            id: Iri::parse(self.iri)?,
            definition: (definition != Definition::default()).then_some(definition),
        })
    }
}

impl ShortResult {
    fn to_outcome(&self) -> record::Outcome {
        record::Outcome {
            score: self.score,
            success: self.success,
            completion: self.completion,
            response: self.response.clone(),
            duration: self.total_time.clone(),
            extensions: None,
        }
    }
}
