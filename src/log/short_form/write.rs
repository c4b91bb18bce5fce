//! Making the record of a [`ShortForm`]: a valid xAPI statement and its envelope.
//!
//! The statement says what xAPI has words for; who recorded it, the device, answers to single
//! questions and the certificate stand in the envelope, which Rollbook keeps and never takes from a
//! statement (product text, section 6).

use super::{Did, ShortForm, ShortResult};
use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::catalogue::{ContentFormat, LearningType, to_activity_type};
use crate::record::iri::IriError;
use crate::record::{
    self, Activity, Actor, Context, Definition, Envelope, Identifier, Iri, LanguageMap, Statement,
    StatementBuilder, Verb,
};

/// What directory and catalogue make of a short form's user and content.
#[derive(Debug, Clone)]
pub struct Resolved<'a> {
    /// The statement's id: the sender's, else a new one.
    pub id: StatementId,
    /// How the statement names the user: the account of an id, the mbox of an e-mail address, the
    /// identifier of an agent. The same short form must always give the same one.
    pub actor: &'a Identifier,
    /// The name that the statement gives the user.
    pub actor_name: Option<&'a str>,
    /// The content; `None` where none was sent.
    pub content: Option<ResolvedContent<'a>>,
    /// The platform's own IRI, which the statement is about where it has no content: the
    /// organisation's `account_home_page`.
    pub platform: &'a str,
    /// When it happened: what was sent, else the moment of the request.
    pub happened_at: Timestamp,
}

/// A content as a statement names it.
#[derive(Debug, Clone, Copy)]
pub struct ResolvedContent<'a> {
    /// Its IRI.
    pub iri: &'a str,
    /// Its title.
    pub title: Option<&'a str>,
    /// Its type.
    pub learning_type: Option<LearningType>,
    /// How an item is consumed.
    pub content_type: Option<ContentFormat>,
}

impl ShortForm {
    /// The statement of the record.
    ///
    /// Titles have the language tag `und`: their language is not known.
    ///
    /// # Errors
    ///
    /// The IRI of the content, the platform or the verb is not an IRI.
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
        let builder = StatementBuilder::new(actor, self.did.to_verb()?, activity)
            .id(resolved.id)
            .result(self.result.to_outcome())
            .context(context)
            .timestamp(resolved.happened_at);
        Ok(builder.build())
    }

    /// What Rollbook knows of the record besides its statement: what was sent, else what `base` has. The
    /// caller gives in `base` the origin, the device and the recorder where none is sent, and whether
    /// definitions may touch the catalogue.
    pub fn envelope(&self, base: Envelope) -> Envelope {
        Envelope {
            device_type: self.device_type.clone().or(base.device_type),
            recorded_by: self.recorded_by.clone().or(base.recorded_by),
            comment: self.comment.clone().or(base.comment),
            source: self.source.clone().or(base.source),
            expired_at: self.expired_at.or(base.expired_at),
            certificate: self.certificate.clone().or(base.certificate),
            responses: if self.responses.is_empty() {
                base.responses
            } else {
                self.responses.clone()
            },
            ..base
        }
    }
}

impl Did {
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
