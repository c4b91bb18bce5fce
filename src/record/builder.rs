//! Building the statements that Rollbook writes itself.

use super::actor::Actor;
use super::attachment::Attachment;
use super::context::Context;
use super::iri::Iri;
use super::language::LanguageMap;
use super::object::{Activity, Object};
use super::result::Outcome;
use super::statement::Statement;
use super::to_json::reference_to_json;
use super::verb::{VOIDED, Verb};
use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::base::json::quoted;

/// Builds a [`Statement`] from typed parts.
///
/// The parts are valid because their types are. The statement is equal to the one that reading its JSON text
/// gives. Its members have the order `id`, `actor`, `verb`, `object`, `result`, `context`, `timestamp`.
#[derive(Debug, Clone)]
pub struct StatementBuilder {
    id: Option<StatementId>,
    actor: Actor,
    verb: Verb,
    object: BuiltObject,
    result: Option<Outcome>,
    context: Option<Context>,
    timestamp: Option<Timestamp>,
}

/// The objects of the statements that Rollbook writes.
#[derive(Debug, Clone)]
enum BuiltObject {
    Activity(Box<Activity>),
    StatementRef(StatementId),
}

impl StatementBuilder {
    /// A statement about an activity.
    ///
    /// The `text` of the activity's definition is not used: it is written from the other fields.
    pub fn new(actor: Actor, verb: Verb, mut activity: Activity) -> Self {
        if let Some(definition) = &mut activity.definition {
            definition.text = definition.to_json();
        }
        Self::with_object(actor, verb, BuiltObject::Activity(Box::new(activity)))
    }

    /// A statement that voids the statement `target` (xAPI 1.0.3, Data 2.3.2).
    pub fn voiding(actor: Actor, target: StatementId) -> Self {
        let verb = Verb {
            id: Iri::from_constant(VOIDED),
            display: LanguageMap::english("Voided"),
        };
        Self::with_object(actor, verb, BuiltObject::StatementRef(target))
    }

    fn with_object(actor: Actor, verb: Verb, object: BuiltObject) -> Self {
        Self {
            id: None,
            actor,
            verb,
            object,
            result: None,
            context: None,
            timestamp: None,
        }
    }

    /// Sets the id.
    pub fn id(mut self, id: StatementId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the result. An empty one is left out.
    pub fn result(mut self, result: Outcome) -> Self {
        self.result = (result != Outcome::default()).then_some(result);
        self
    }

    /// Sets the context. An empty one is left out.
    pub fn context(mut self, context: Context) -> Self {
        self.context = (context != Context::default()).then_some(context);
        self
    }

    /// Sets when it happened.
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// The statement.
    pub fn build(self) -> Statement {
        let parts = self.parts();
        Statement {
            id: self.id,
            actor: self.actor,
            verb: self.verb,
            object: match self.object {
                BuiltObject::Activity(activity) => Object::Activity(*activity),
                BuiltObject::StatementRef(id) => Object::StatementRef(id),
            },
            result: self.result,
            context: self.context,
            timestamp: self.timestamp,
            stored: None,
            authority: None,
            version: None,
            attachments: Vec::new(),
            parts,
        }
    }

    /// The members with their values as JSON text.
    fn parts(&self) -> Vec<(&'static str, String)> {
        let object = match &self.object {
            BuiltObject::Activity(activity) => activity.to_json(),
            BuiltObject::StatementRef(id) => reference_to_json(*id),
        };
        let timestamp = self.timestamp.map(Timestamp::to_precise_text);
        let members = [
            ("id", self.id.map(|id| quoted(&id.to_string()))),
            ("actor", Some(self.actor.to_json())),
            ("verb", Some(self.verb.to_json())),
            ("object", Some(object)),
            ("result", self.result.as_ref().map(Outcome::to_json)),
            ("context", self.context.as_ref().map(Context::to_json)),
            ("timestamp", timestamp.map(|text| quoted(&text))),
        ];
        let present = |(key, value): (&'static str, Option<String>)| Some((key, value?));
        members.into_iter().filter_map(present).collect()
    }
}

impl Statement {
    /// The same statement with these attached files. It must have been built without any.
    pub fn with_attachments(mut self, attachments: Vec<Attachment>) -> Self {
        if !attachments.is_empty() {
            self.parts
                .push(("attachments", Attachment::list_to_json(&attachments)));
        }
        self.attachments = attachments;
        self
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::record::statement::{Limits, Version, parse_statement};
    use crate::record::{Definition, Duration, Identifier, InteractionType, LanguageTag, Score};

    const TARGET: StatementId = StatementId(Uuid::from_u128(9));

    fn account(name: &str) -> Identifier {
        Identifier::Account {
            home_page: "https://lms.example.org".to_owned(),
            name: name.to_owned(),
        }
    }

    fn iri(text: &str) -> Iri {
        Iri::parse(text).unwrap()
    }

    fn full_activity() -> Activity {
        Activity {
            id: iri("https://example.org/quiz"),
            definition: Some(Definition {
                name: LanguageMap::english("A \"quiz\""),
                type_: Some(iri("http://adlnet.gov/expapi/activities/cmi.interaction")),
                interaction_type: Some(InteractionType::TrueFalse),
                correct_responses: vec!["true".to_owned()],
                ..Definition::default()
            }),
        }
    }

    fn full() -> StatementBuilder {
        let actor = Actor::agent(account("ada"), Some("Ada \\ Obi"));
        let verb = Verb {
            id: iri("urn:verb"),
            display: LanguageMap::english("did"),
        };
        StatementBuilder::new(actor, verb, full_activity())
            .id(TARGET)
            .result(Outcome {
                score: Some(Score {
                    scaled: Some(0.925),
                    raw: Some(92.0),
                    min: Some(0.0),
                    max: Some(100.0),
                }),
                success: Some(true),
                completion: Some(false),
                response: Some("b".to_owned()),
                duration: Some(Duration::parse("PT1M").unwrap()),
                extensions: None,
            })
            .context(Context {
                registration: Some(Uuid::from_u128(7)),
                instructor: Some(Actor::agent(account("bob"), None)),
                parent: vec![Activity::new(iri("https://example.org/course"))],
                platform: Some("web".to_owned()),
                language: LanguageTag::parse("en"),
                statement: Some(TARGET),
                ..Context::default()
            })
            .timestamp(Timestamp::from_micros(1_767_225_600_123_456))
    }

    #[test]
    fn built_statement_is_equal_to_its_text_parsed() {
        let about_agent = Actor::agent(Identifier::Mbox("mailto:a@b.c".to_owned()), None);
        let minimal = StatementBuilder::new(
            about_agent.clone(),
            Verb::new(iri("urn:verb")),
            Activity::new(iri("urn:a")),
        );
        let file = Attachment {
            usage_type: iri("urn:usage"),
            display: LanguageMap::default(),
            description: LanguageMap::english("An \"essay\""),
            content_type: "text/plain".to_owned(),
            length: 3,
            sha2: "ab".repeat(32),
            file_url: Some(iri("https://example.org/file")),
        };
        let with_file = full().build().with_attachments(vec![file]);
        let built = [full(), minimal, StatementBuilder::voiding(about_agent, TARGET)];
        for built in built.map(StatementBuilder::build).into_iter().chain([with_file]) {
            let text = built.to_json();
            let parsed = parse_statement(text.as_bytes(), Version::V1, &Limits::default()).unwrap();
            assert_eq!(built, parsed, "{text}");
        }
    }

    #[test]
    fn members_have_a_fixed_order() {
        assert_eq!(
            full().build().to_json(),
            concat!(
                r#"{"id":"00000000-0000-0000-0000-000000000009","actor":{"objectType":"Agent","name":"Ada \\ Obi","#,
                r#""account":{"homePage":"https://lms.example.org","name":"ada"}},"#,
                r#""verb":{"id":"urn:verb","display":{"en":"did"}},"#,
                r#""object":{"objectType":"Activity","id":"https://example.org/quiz","definition":{"#,
                r#""name":{"en":"A \"quiz\""},"type":"http://adlnet.gov/expapi/activities/cmi.interaction","#,
                r#""interactionType":"true-false","correctResponsesPattern":["true"]}},"#,
                r#""result":{"score":{"scaled":0.925,"raw":92,"min":0,"max":100},"success":true,"#,
                r#""completion":false,"response":"b","duration":"PT1M"},"#,
                r#""context":{"registration":"00000000-0000-0000-0000-000000000007","#,
                r#""instructor":{"objectType":"Agent","account":{"homePage":"https://lms.example.org","name":"bob"}},"#,
                r#""contextActivities":{"parent":[{"objectType":"Activity","id":"https://example.org/course"}]},"#,
                r#""platform":"web","language":"en","#,
                r#""statement":{"objectType":"StatementRef","id":"00000000-0000-0000-0000-000000000009"}},"#,
                r#""timestamp":"2026-01-01T00:00:00.123456Z"}"#,
            )
        );
    }

    #[test]
    fn voiding_statement_voids_its_target() {
        let actor = Actor::agent(account("ada"), None);
        let statement = StatementBuilder::voiding(actor, TARGET).build();
        assert_eq!(statement.voids(), Some(TARGET));
        assert_eq!(
            statement.to_json(),
            concat!(
                r#"{"actor":{"objectType":"Agent","account":{"homePage":"https://lms.example.org","name":"ada"}},"#,
                r#""verb":{"id":"http://adlnet.gov/expapi/verbs/voided","display":{"en":"Voided"}},"#,
                r#""object":{"objectType":"StatementRef","id":"00000000-0000-0000-0000-000000000009"}}"#,
            )
        );
    }

    #[test]
    fn empty_result_and_context_are_left_out() {
        let actor = Actor::agent(account("ada"), None);
        let activity = Activity::new(iri("urn:a"));
        let statement = StatementBuilder::new(actor, Verb::new(iri("urn:verb")), activity)
            .result(Outcome::default())
            .context(Context::default())
            .build();
        assert!(statement.result.is_none() && statement.context.is_none());
    }
}
