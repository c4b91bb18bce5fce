//! The person and the content of a record (docs/specification.md#person, docs/specification.md#content).

use sha2::{Digest, Sha256};

use crate::catalogue::{LearningType, from_activity_type};
use crate::record::object::INTERACTION_TYPE;
use crate::record::{Activity, Actor, Identifier, Object, Statement};

use super::action::VerbTable;

/// The person that a record is about, as the record names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonRef {
    /// An agent, or a group with an identifier.
    Identified {
        /// The identifier.
        identifier: Identifier,
        /// The name that was sent.
        name: Option<String>,
    },
    /// A group without an identifier. Groups with the same members are the same person, in any order and with any
    /// name.
    AnonymousGroup {
        /// The SHA-256 of the sorted identifiers of the members, in hexadecimal.
        digest: String,
        /// The name that was sent.
        name: Option<String>,
    },
}

impl PersonRef {
    /// The name that was sent.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Identified { name, .. } | Self::AnonymousGroup { name, .. } => name.as_deref(),
        }
    }
}

/// The person of a record: the actor.
pub fn person_of(statement: &Statement) -> PersonRef {
    person_of_actor(&statement.actor)
}

/// The person that an actor is.
pub fn person_of_actor(actor: &Actor) -> PersonRef {
    let name = actor.name.clone();
    match &actor.identifier {
        Some(identifier) => PersonRef::Identified {
            identifier: identifier.clone(),
            name,
        },
        None => PersonRef::AnonymousGroup {
            digest: digest_of_members(&actor.members),
            name,
        },
    }
}

fn digest_of_members(members: &[Actor]) -> String {
    let identifiers = members.iter().filter_map(|member| member.identifier.as_ref());
    let mut keys: Vec<(i16, String)> = identifiers
        .map(|identifier| (identifier.kind_code(), identifier.lookup_key()))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let mut hasher = Sha256::new();
    for (kind, key) in &keys {
        // The lengths make the hashed text unambiguous.
        hasher.update(kind.to_be_bytes());
        hasher.update((key.len() as u64).to_be_bytes());
        hasher.update(key);
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The activity object that is the content of a record, if the record has one.
///
/// `platform` is the organisation's `account_home_page`. Sessions, records about the platform itself, and records about
/// other objects than activities have no content.
///
/// The content of a question is the quiz to which it belongs: among the parents in the context, the first with the type of
/// a quiz or survey, else the first parent. Without a parent, the same rule applies to `grouping`. Questions and the
/// platform are ignored in both.
pub fn content_of<'s>(verbs: &VerbTable, statement: &'s Statement, platform: &str) -> Option<&'s Activity> {
    if verbs.action(statement.verb.id.as_str()).is_session() {
        return None;
    }
    let Object::Activity(object) = &statement.object else {
        return None;
    };
    if is_platform(object, platform) {
        return None;
    }
    if !is_question(object) {
        return Some(object);
    }
    let context = statement.context.as_ref()?;
    find_content(&context.parent, platform).or_else(|| find_content(&context.grouping, platform))
}

/// The first quiz or survey among the activities, else the first that can be a content.
fn find_content<'s>(activities: &'s [Activity], platform: &str) -> Option<&'s Activity> {
    let mut contents = activities
        .iter()
        .filter(|activity| !is_question(activity) && !is_platform(activity, platform));
    contents
        .clone()
        .find(|activity| is_quiz_or_survey(activity))
        .or_else(|| contents.next())
}

/// Whether the activity is a question, which is not a content (docs/specification.md#content).
fn is_question(activity: &Activity) -> bool {
    activity.definition.as_ref().is_some_and(|definition| {
        let is_interaction = |iri: &str| iri == INTERACTION_TYPE;
        definition
            .type_
            .as_ref()
            .is_some_and(|iri| is_interaction(iri.as_str()))
            || definition.interaction_type.is_some()
    })
}

fn is_quiz_or_survey(activity: &Activity) -> bool {
    let iri = activity
        .definition
        .as_ref()
        .and_then(|definition| definition.type_.as_ref());
    let kind = iri.and_then(|iri| from_activity_type(iri.as_str()).0);
    matches!(kind, Some(LearningType::Quiz | LearningType::Survey))
}

fn is_platform(activity: &Activity, platform: &str) -> bool {
    activity.id.as_str().trim_end_matches('/') == platform.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::record::{Limits, Version, parse_statement};

    use super::*;

    const PLATFORM: &str = "https://acme.example";

    fn statement(value: &Value) -> Statement {
        parse_statement(value.to_string().as_bytes(), Version::V1, &Limits::default()).unwrap()
    }

    fn about(verb: &str, object: Value, context: Value) -> Option<String> {
        let statement = statement(&json!({
            "actor": {"mbox": "mailto:ada@acme.example"}, "verb": {"id": verb}, "object": object,
            "context": {"contextActivities": context},
        }));
        content_of(&VerbTable::standard(), &statement, PLATFORM)
            .map(|activity| activity.id.as_str().to_owned())
    }

    const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
    const ANSWERED: &str = "http://adlnet.gov/expapi/verbs/answered";

    fn question() -> Value {
        json!({"id": "https://acme.example/q/1", "definition": {"type": INTERACTION_TYPE, "interactionType": "other"}})
    }

    #[test]
    fn object_is_the_content() {
        let content = about(COMPLETED, json!({"id": "https://acme.example/fire"}), json!({}));
        assert_eq!(content.as_deref(), Some("https://acme.example/fire"));
    }

    #[test]
    fn sessions_the_platform_and_other_objects_have_no_content() {
        let site = json!({"id": "https://acme.example/site"});
        for verb in [
            "https://w3id.org/xapi/adl/verbs/logged-in",
            "urn:rollbook:verb:visited",
        ] {
            assert_eq!(about(verb, site.clone(), json!({})), None);
        }
        assert_eq!(
            about(COMPLETED, json!({"id": "https://acme.example/"}), json!({})),
            None
        );
        let agent = json!({"objectType": "Agent", "mbox": "mailto:bob@acme.example"});
        assert_eq!(about(COMPLETED, agent, json!({})), None);
        let reference = json!({"objectType": "StatementRef", "id": "a7c1f2de-3b44-4c1e-8a8e-111111111111"});
        assert_eq!(about(COMPLETED, reference, json!({})), None);
    }

    #[test]
    fn content_of_an_answer_is_its_quiz() {
        let quiz = json!({"id": "https://acme.example/quiz",
            "definition": {"type": "http://adlnet.gov/expapi/activities/assessment"}});
        let attempt = json!({"id": "https://acme.example/attempt/9",
            "definition": {"type": "http://adlnet.gov/expapi/activities/attempt"}});
        let course = json!({"id": "https://acme.example/course"});
        let cases = [
            (
                json!({"parent": [attempt, quiz, course]}),
                Some("https://acme.example/quiz"),
            ),
            (
                json!({"parent": [attempt, course]}),
                Some("https://acme.example/attempt/9"),
            ),
            (
                json!({"parent": [question(), course]}),
                Some("https://acme.example/course"),
            ),
            (
                json!({"parent": [question()], "grouping": [course, quiz]}),
                Some("https://acme.example/quiz"),
            ),
            (
                json!({"parent": [{"id": PLATFORM}], "grouping": [course]}),
                Some("https://acme.example/course"),
            ),
            (json!({"category": [course]}), None),
        ];
        for (context, expected) in cases {
            assert_eq!(
                about(ANSWERED, question(), context.clone()).as_deref(),
                expected,
                "{context}"
            );
        }
    }

    fn person(actor: Value) -> PersonRef {
        person_of(&statement(&json!({
            "actor": actor, "verb": {"id": COMPLETED}, "object": {"id": "https://acme.example/fire"},
        })))
    }

    #[test]
    fn person_of_an_agent_has_its_identifier() {
        let ada = person(json!({"name": "Ada", "mbox": "mailto:ada@acme.example"}));
        assert_eq!(ada.name(), Some("Ada"));
        assert!(matches!(
            ada,
            PersonRef::Identified {
                identifier: Identifier::Mbox(_),
                ..
            }
        ));
    }

    #[test]
    fn anonymous_groups_with_equal_members_are_equal() {
        let [ada, bob] = [
            json!({"mbox": "mailto:ada@acme.example", "name": "A"}),
            json!({"mbox": "mailto:bob@acme.example"}),
        ];
        let digest = |members: Value| match person(json!({"objectType": "Group", "member": members})) {
            PersonRef::AnonymousGroup { digest, .. } => digest,
            PersonRef::Identified { .. } => panic!("an anonymous group has no identifier"),
        };
        let both = digest(json!([ada, bob]));
        assert_eq!(both.len(), 64);
        assert_eq!(both, digest(json!([bob, ada, ada])));
        assert_ne!(both, digest(json!([ada])));
    }
}
