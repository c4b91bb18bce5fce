//! The statements that commits mean: the verbs of ADL, as packages that send xAPI themselves write them.

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::attempt::{AttemptState, Event, EventKind, Progress, SessionEnd};
use super::commit::{Commit, MAX_ELEMENTS};
use super::interaction::Interaction;
use super::resume::to_duration;
use crate::base::clock::Timestamp;
use crate::base::ids::{StatementId, UserId};
use crate::record::{
    Activity, Actor, Context, Definition, Envelope, Identifier, Iri, LanguageMap, Outcome, Score, Statement,
    StatementBuilder, Verb,
};

/// The activity type of a question.
const INTERACTION: &str = "http://adlnet.gov/expapi/activities/cmi.interaction";

/// The beginning of the IRIs of the extensions that hold what xAPI has no place for.
const EXTENSION: &str = "urn:rollbook:scorm:";

/// The longest id of a question that is a part of its IRI, in bytes. A longer one is replaced by its digest.
const MAX_ID_BYTES: usize = 500;

/// A commit on its way to the attempt to which it belongs.
#[derive(Debug, Clone)]
pub struct AttemptCommit {
    /// The learner.
    pub user: UserId,
    /// The key of the content.
    pub content: i64,
    /// The IRI of the content.
    pub iri: String,
    /// The attempt.
    pub registration: Uuid,
    /// The learner in statements.
    pub actor: Identifier,
    /// The name of the learner.
    pub actor_name: Option<String>,
    /// The commit. `None` records what a session without an end has had.
    pub commit: Option<Commit>,
    /// The id that the player gave the session.
    pub session: Option<String>,
    /// When the commit came.
    pub now: Timestamp,
    /// The most bytes of the state after the commit, as JSON.
    pub max_state_bytes: usize,
    /// The envelope of the records.
    pub envelope: Arc<Envelope>,
}

impl AttemptCommit {
    /// Changes the state of the attempt. Returns what the commit means for the log, or `None` if nothing changes.
    pub fn apply_to(&self, state: &mut AttemptState) -> Option<Vec<Event>> {
        match &self.commit {
            Some(commit) => state.apply(commit, self.session.as_deref(), self.now),
            None => state.record_idle(self.now),
        }
    }

    /// Whether the state after the commit is too large to be stored. `bytes` is its length as JSON. Commits that each have
    /// other elements make it grow.
    pub fn makes_too_large(&self, state: &AttemptState, bytes: usize) -> bool {
        self.commit.is_some() && (bytes > self.max_state_bytes || state.elements.len() > MAX_ELEMENTS)
    }

    /// The statement of an event. `None` if the content has no valid IRI.
    pub fn to_statement(&self, id: StatementId, event: &Event) -> Option<Statement> {
        let content = Activity::new(Iri::parse(&self.iri).ok()?);
        let (verb, activity, result) = match &event.kind {
            EventKind::Answered(interaction) => {
                let question = self.question(interaction)?;
                (
                    "http://adlnet.gov/expapi/verbs/answered",
                    question,
                    answer(interaction),
                )
            }
            other => {
                let (verb, result) = outcome(other);
                (verb, content.clone(), result)
            }
        };
        let mut context = Context {
            registration: Some(self.registration),
            ..Context::default()
        };
        if let EventKind::Answered(_) = event.kind {
            context.parent = vec![content];
        }
        let display = verb.rsplit('/').next().unwrap_or_default();
        let verb = Verb {
            id: Iri::parse(verb).ok()?,
            display: LanguageMap::english(display),
        };
        let actor = Actor::agent(self.actor.clone(), self.actor_name.as_deref());
        let builder = StatementBuilder::new(actor, verb, activity)
            .id(id)
            .result(result)
            .context(context)
            .timestamp(event.at);
        Some(builder.build())
    }

    /// The question that an interaction answers. It is a part of the content.
    fn question(&self, interaction: &Interaction) -> Option<Activity> {
        let definition = Definition {
            name: LanguageMap::undetermined(&interaction.id),
            description: interaction.description.clone().unwrap_or_default(),
            type_: Some(Iri::parse(INTERACTION).ok()?),
            interaction_type: interaction.kind,
            correct_responses: interaction.correct_responses.clone(),
            ..Definition::default()
        };
        Some(Activity {
            id: Iri::parse(&format!("{}/interactions/{}", self.iri, encode(&interaction.id))).ok()?,
            definition: Some(definition),
        })
    }
}

/// The verb and the result of an event about the content itself.
fn outcome(kind: &EventKind) -> (&'static str, Outcome) {
    let with = |progress: &Progress| Outcome {
        score: progress.score,
        duration: to_duration(progress.hundredths).filter(|_| progress.hundredths > 0),
        ..Outcome::default()
    };
    match kind {
        EventKind::Started | EventKind::Answered(_) => {
            ("http://adlnet.gov/expapi/verbs/initialized", Outcome::default())
        }
        EventKind::Completed(progress) => {
            let completion = Some(true);
            (
                "http://adlnet.gov/expapi/verbs/completed",
                Outcome {
                    completion,
                    ..with(progress)
                },
            )
        }
        EventKind::Passed(progress) => {
            let success = Some(true);
            (
                "http://adlnet.gov/expapi/verbs/passed",
                Outcome {
                    success,
                    ..with(progress)
                },
            )
        }
        EventKind::Failed(progress) => {
            let success = Some(false);
            (
                "http://adlnet.gov/expapi/verbs/failed",
                Outcome {
                    success,
                    ..with(progress)
                },
            )
        }
        EventKind::Ended(end, progress) => {
            let verb = match end {
                SessionEnd::Terminated => "http://adlnet.gov/expapi/verbs/terminated",
                SessionEnd::Suspended => "http://adlnet.gov/expapi/verbs/suspended",
                SessionEnd::Abandoned => "https://w3id.org/xapi/adl/verbs/abandoned",
            };
            (verb, with(progress))
        }
    }
}

/// The result of an answer.
fn answer(interaction: &Interaction) -> Outcome {
    let mut extensions = Map::new();
    let mut add = |name: &str, value: Value| extensions.insert(format!("{EXTENSION}{name}"), value);
    if let Some(weighting) = interaction.weighting {
        add("weighting", Value::from(weighting));
    }
    if !interaction.objectives.is_empty() {
        add("objectives", Value::from(interaction.objectives.clone()));
    }
    let score = interaction.points().map(|raw| Score {
        raw: Some(raw),
        ..Score::default()
    });
    if let (Some(result), None, None) = (&interaction.result, interaction.success(), score) {
        add("result", Value::from(result.clone()));
    }
    Outcome {
        score,
        success: interaction.success(),
        response: interaction.response.clone(),
        duration: interaction.latency.clone(),
        extensions: (!extensions.is_empty()).then(|| Value::Object(extensions).to_string()),
        ..Outcome::default()
    }
}

/// An id as a part of an IRI: letters, digits and `-._~` stay, other bytes are percent-encoded.
fn encode(id: &str) -> String {
    if id.len() > MAX_ID_BYTES {
        let digest = Sha256::digest(id);
        return digest.iter().map(|byte| format!("{byte:02x}")).collect();
    }
    let mut encoded = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
