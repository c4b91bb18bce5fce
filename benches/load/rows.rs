//! The rows of records, made by Rollbook's own parsing, canonical text and projection.

use std::collections::HashMap;

use rollbook::base::fold_if_different;
use rollbook::base::ids::StatementId;
use rollbook::catalogue::{ContentFormat, Demands, LearningType};
use rollbook::log::answers::count_answers;
use rollbook::log::placement::find_content_candidates;
use rollbook::log::{Action, ContentFacts, VerbTable, project};
use rollbook::record::{Envelope, Limits, ServerFields, Statement, Version, parse_statement};
use serde_json::Value as Json;

use super::{Target, Value};
use crate::data::HOME_PAGE;
use crate::data::events::{Event, Who};

pub const STATEMENT_COLUMNS: &[&str] = &[
    "org",
    "seq",
    "id",
    "stored",
    "actor",
    "verb",
    "object",
    "registration",
    "sender",
    "voids",
    "voided",
    "envelope",
    "body",
];

pub const ACTIVITY_COLUMNS: &[&str] = &[
    "org",
    "seq",
    "id",
    "happened_at",
    "stored_at",
    "person",
    "verb",
    "content",
    "part",
    "action",
    "origin",
    "completed",
    "latest",
    "answers",
    "success",
    "completion",
    "certified",
    "scaled",
    "percent",
    "seconds",
    "time_limit",
    "expired_at",
    "certificate_expires_at",
    "registration",
    "import",
    "certificate_name",
    "response",
    "device_type",
    "source",
    "device_type_folded",
    "source_folded",
];

pub const MENTION_COLUMNS: &[&str] = &["org", "thing", "seq", "direct"];

/// The keys of everything that records name, and what each record of the sender has.
pub struct Keys {
    pub org: i64,
    sender: String,
    authority: String,
    defines: bool,
    persons: HashMap<String, i64>,
    verbs: HashMap<String, i64>,
    contents: HashMap<String, KnownContent>,
    table: VerbTable,
}

struct KnownContent {
    key: i64,
    facts: ContentFacts,
}

impl Keys {
    /// Reads what the records that went through the API have created.
    pub fn read(target: &mut dyn Target) -> Self {
        let text = |value: &Json| value.as_str().expect("a text").to_owned();
        let key = |value: &Json| value.as_i64().expect("a key");
        let sample = target
            .read("org, sender, envelope", "FROM statements ORDER BY seq LIMIT 1")
            .remove(0);
        let body = "CAST(body AS TEXT)";
        let body = target
            .read(body, "FROM statements ORDER BY seq LIMIT 1")
            .remove(0);
        let body: Json = serde_json::from_str(&decode_text(&text(&body[0]))).expect("a statement");
        let envelope: Envelope = serde_json::from_str(&text(&sample[2])).expect("an envelope");
        let pairs = |rows: Vec<Json>| rows.iter().map(|row| (text(&row[1]), key(&row[0]))).collect();
        let contents = target.read("key, iri, type, content_type, demands", "FROM contents");
        let code = |value: &Json| value.as_i64().and_then(|code| i16::try_from(code).ok());
        Self {
            org: key(&sample[0]),
            sender: text(&sample[1]),
            authority: body["authority"].to_string(),
            defines: envelope.defines,
            persons: pairs(target.read("key, value", "FROM persons")),
            verbs: pairs(target.read("key, iri", "FROM verbs")),
            contents: contents
                .iter()
                .map(|row| {
                    let facts = ContentFacts {
                        learning_type: code(&row[2]).and_then(LearningType::from_code),
                        content_type: code(&row[3]).and_then(ContentFormat::from_code),
                        demands: Demands::from_json(&text(&row[4])).expect("demands"),
                        is_above_object: false,
                    };
                    let key = key(&row[0]);
                    (text(&row[1]), KnownContent { key, facts })
                })
                .collect(),
            table: VerbTable::standard(),
        }
    }

    fn person(&self, who: Who) -> i64 {
        let identifier = who.identifier();
        *self
            .persons
            .get(&identifier)
            .unwrap_or_else(|| panic!("no person has the identifier {identifier}"))
    }

    fn content(&self, iri: &str) -> &KnownContent {
        self.contents
            .get(iri)
            .unwrap_or_else(|| panic!("no content has the IRI {iri}"))
    }
}

/// The text of a column of bytes. PostgreSQL writes bytes as hexadecimal digits.
fn decode_text(text: &str) -> String {
    let Some(digits) = text.strip_prefix("\\x") else {
        return text.to_owned();
    };
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes).expect("a text")
}

/// The rows of some records.
#[derive(Default)]
pub struct LoadedRows {
    pub statements: Vec<Vec<Value>>,
    pub activities: Vec<Vec<Value>>,
    pub mentions: Vec<Vec<Value>>,
}

impl LoadedRows {
    /// Makes the rows of records, each with whether it is a visit and whether it is the newest completion.
    pub fn make(keys: &Keys, events: impl Iterator<Item = (Event, bool, bool)>) -> Self {
        let mut rows = Self::default();
        for (event, is_visit, is_latest) in events {
            rows.add(keys, event, is_visit, is_latest);
        }
        rows
    }

    fn add(&mut self, keys: &Keys, mut event: Event, is_visit: bool, is_latest: bool) {
        event.envelope.defines = keys.defines;
        let statement = parse_statement(event.statement().as_bytes(), Version::V1, &Limits::default())
            .unwrap_or_else(|fault| panic!("{fault:?}: {}", event.statement()));
        let object = event.object();
        let object_key = keys.content(&object).key;
        let verb = keys.verbs[event.verb().0];
        let person = keys.person(event.who);
        let body = statement.canonicalise(&ServerFields {
            id: StatementId(event.id),
            stored: event.stored,
            authority: &keys.authority,
            keep_authority: false,
            default_version: "1.0.0",
        });
        self.statements.push(vec![
            Value::Long(keys.org),
            Value::Long(event.seq),
            Value::Uuid(event.id),
            Value::Long(event.stored.micros()),
            Value::Long(person),
            Value::Long(verb),
            Value::Long(object_key),
            uuid(registration(&statement)),
            Value::Text(keys.sender.clone()),
            Value::Bool(false),
            Value::Bool(false),
            Value::Text(serde_json::to_string(&event.envelope).expect("an envelope is JSON")),
            Value::Bytes(body.into_bytes()),
        ]);
        let activity = make_activity(keys, &event, &statement, (person, verb), is_visit, is_latest);
        self.activities.push(activity);
        let mut things: Vec<i64> = Vec::new();
        things.extend(event.instructor.map(|user| keys.person(Who::Account(user))));
        for activity in statement.mentions().activities {
            things.push(keys.content(activity.id.as_str()).key);
        }
        things.sort_unstable();
        things.dedup();
        self.mentions.extend(things.into_iter().map(|thing| {
            vec![
                Value::Long(keys.org),
                Value::Long(thing),
                Value::Long(event.seq),
                Value::Bool(false),
            ]
        }));
    }
}

fn registration(statement: &Statement) -> Option<uuid::Uuid> {
    statement
        .context
        .as_ref()
        .and_then(|context| context.registration)
}

/// The row of the log, in the order of [`ACTIVITY_COLUMNS`].
fn make_activity(
    keys: &Keys,
    event: &Event,
    statement: &Statement,
    (person, verb): (i64, i64),
    is_visit: bool,
    is_latest: bool,
) -> Vec<Value> {
    let candidates = find_content_candidates(&keys.table, statement, HOME_PAGE);
    let content = candidates
        .first()
        .map(|activity| keys.content(activity.id.as_str()));
    let facts = content.map(|content| ContentFacts {
        is_above_object: candidates
            .first()
            .is_some_and(|activity| activity.id.as_str() != event.object()),
        ..content.facts.clone()
    });
    let projected = project(
        &keys.table,
        statement,
        &event.envelope,
        event.stored,
        facts.as_ref(),
    );
    assert_eq!(projected.completed, event.completes(), "{event:?}");
    let certified = projected.certificate.is_some();
    let certificate = projected.certificate.unwrap_or_default();
    let action = if is_visit {
        Action::Visited
    } else {
        projected.action
    };
    let device_type_folded = fold_if_different(projected.device_type.as_deref());
    let source_folded = fold_if_different(projected.source.as_deref());
    vec![
        Value::Long(keys.org),
        Value::Long(event.seq),
        Value::Uuid(event.id),
        Value::Long(projected.happened_at.micros()),
        Value::Long(event.stored.micros()),
        Value::Long(person),
        Value::Long(verb),
        long(content.map(|content| content.key)),
        text(projected.part),
        Value::Short(action.code()),
        Value::Short(projected.origin.code()),
        Value::Bool(projected.completed),
        Value::Bool(is_latest),
        Value::Short(count_answers(&keys.table, statement, &event.envelope)),
        boolean(projected.success),
        boolean(projected.completion),
        Value::Bool(certified),
        projected.score.scaled.map_or(Value::Null, Value::Real),
        long(projected.score.percent.map(|percent| percent.0)),
        long(projected.seconds),
        long(projected.time_limit),
        long(projected.expired_at.map(|at| at.micros())),
        long(certificate.expires_at.map(|at| at.micros())),
        uuid(projected.registration),
        uuid(projected.import),
        text(certificate.name),
        text(projected.response),
        text(projected.device_type),
        text(projected.source),
        text(device_type_folded),
        text(source_folded),
    ]
}

fn long(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Long)
}

fn boolean(value: Option<bool>) -> Value {
    value.map_or(Value::Null, Value::Bool)
}

fn text(value: Option<String>) -> Value {
    value.map_or(Value::Null, Value::Text)
}

fn uuid(value: Option<uuid::Uuid>) -> Value {
    value.map_or(Value::Null, Value::Uuid)
}
