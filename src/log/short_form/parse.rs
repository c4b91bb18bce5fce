//! Parsing of a [`ShortForm`]. All faults are reported, each with its pointer.

use std::fmt::Display;

use uuid::Uuid;

use super::{ActionOrVerb, ContentName, ContentRef, ShortForm, ShortResult, UserRef};
use crate::base::body::{ParsedBatch, parse_bodies, parse_body};
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::form::{Form, one_of, parse_text, short_text};
use crate::base::ids::{ContentId, StatementId, UserId};
use crate::base::json::{self, Node};
use crate::base::naming::check_naming;
use crate::base::timestamp;
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::action::Action;
use crate::record::{Actor, AwardedCertificate, Duration, Identifier, Iri, Response, Score, verb};

/// The longest device type, source, certificate name and question id, in characters.
pub const MAX_TERM: usize = 255;
/// The longest title, in characters.
pub const MAX_TITLE: usize = 1_000;
/// The longest comment, in characters.
pub const MAX_COMMENT: usize = 10_000;
/// The longest answer and the longest prompt, in characters.
pub const MAX_TEXT: usize = 100_000;
/// The most answers of one activity.
pub const MAX_RESPONSES: usize = 1_000;

/// What the caller may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortFormRules {
    /// Whether `recorded_by` and `comment` are allowed. They are for credentials only: the recorder of a person's record is
    /// that person.
    pub recorder: bool,
    /// The limit for nested objects and arrays.
    pub depth: usize,
    /// The moment of the request.
    pub now: Timestamp,
}

/// How far an activity may be in the future, in microseconds. Clocks differ, and systems mistake local time for UTC.
const MAX_FUTURE: i64 = 24 * 60 * 60 * 1_000_000;

const MEMBERS: [&str; 15] = [
    "id",
    "user",
    "action",
    "verb",
    "content",
    "happened_at",
    "result",
    "responses",
    "certificate",
    "expired_at",
    "device_type",
    "source",
    "registration",
    "recorded_by",
    "comment",
];

impl ShortForm {
    /// Parses a body with one activity.
    ///
    /// # Errors
    ///
    /// All faults, each with its pointer.
    pub fn parse(body: &str, rules: &ShortFormRules) -> Result<Self, Faults> {
        parse_body(body, rules.depth, |node, place, faults| {
            Self::from_node(node, place, rules, faults)
        })
    }

    /// Parses the elements of a batch, each a JSON text. Pointers begin with the number of the element (`/1/user`).
    pub fn parse_batch(elements: &[&str], rules: &ShortFormRules) -> ParsedBatch<Self> {
        parse_bodies(elements, rules.depth, |_, node, place, faults| {
            Self::from_node(node, place, rules, faults)
        })
    }

    /// Reads an activity at `place` and adds its faults to `faults`; `None` if it has any.
    fn from_node(
        node: &Node<'_>,
        place: &Place<'_>,
        rules: &ShortFormRules,
        faults: &mut Faults,
    ) -> Option<Self> {
        let before = faults.len();
        let mut form = Form::from_node(node, place, "an activity", &MEMBERS, faults)?;
        if !rules.recorder {
            refuse_recorder(&mut form);
        }
        if form.get("user").is_none() {
            form.add_fault(
                "user",
                "is missing: give a user's id, {\"email\": …} or an xAPI agent",
            );
        }
        let user = form
            .get("user")
            .and_then(|node| parse_user(node, &place.member("user"), form.faults()));
        let action = parse_action(&mut form);
        let content = form
            .get("content")
            .and_then(|node| parse_content(node, &place.member("content"), form.faults()));
        if let Some(ActionOrVerb::Action(action)) = &action
            && action.is_session()
            && content.is_some()
        {
            form.add_fault(
                "content",
                format!("`{action}` is about a session and has no content; omit it"),
            );
        }
        let activity = Self {
            id: form.read("id", parse_uuid).map(StatementId),
            content,
            happened_at: form.read("happened_at", |node, place| {
                parse_happened_at(node, place, rules.now)
            }),
            result: form
                .get("result")
                .and_then(|node| parse_result(node, &place.member("result"), form.faults()))
                .unwrap_or_default(),
            responses: parse_responses(&mut form),
            certificate: form
                .get("certificate")
                .and_then(|node| parse_certificate(node, &place.member("certificate"), form.faults())),
            expired_at: form.timestamp("expired_at"),
            device_type: form.text("device_type", MAX_TERM),
            source: form.text("source", MAX_TERM),
            registration: form.read("registration", parse_uuid),
            recorded_by: form.value("recorded_by"),
            comment: form.text("comment", MAX_COMMENT),
            user: user?,
            action: action?,
        };
        (faults.len() == before).then_some(activity)
    }
}

/// Refuses the members that only credentials may send.
fn refuse_recorder(form: &mut Form<'_, '_, '_>) {
    for key in ["recorded_by", "comment"] {
        if form.get(key).is_some() {
            form.add_fault(
                key,
                "only credentials may send this; you are the recorder of what you send",
            );
        }
    }
}

/// A time with a zone, at most a day in the future.
fn parse_happened_at(node: &Node<'_>, place: &Place<'_>, now: Timestamp) -> Result<Timestamp, Fault> {
    match timestamp::zoned_from_node(node, place)? {
        at if at.micros() > now.micros().saturating_add(MAX_FUTURE) => Err(place.fault(format!(
            "an activity has happened already: this is more than a day after now, which is {now}"
        ))),
        at => Ok(at),
    }
}

/// A user's id, `{"email": …}`, or an xAPI agent.
fn parse_user(node: &Node<'_>, place: &Place<'_>, faults: &mut Faults) -> Option<UserRef> {
    let node = &node.without_nulls();
    match node {
        Node::String(text) => value_or_fault(UserId::new(text.value()), place, faults).map(UserRef::Id),
        Node::Object(_) if node.get("email").is_some() => {
            let mut form = Form::from_node(node, place, "a user by e-mail", &["email"], faults)?;
            let (email, identifier) = form.read("email", |node, place| {
                let email = json::owned_string(node, place)?;
                match Identifier::from_email(&email) {
                    Some(identifier) => Ok((email, identifier)),
                    None => Err(place.fault("an e-mail address is required here, such as ada@example.org")),
                }
            })?;
            Some(UserRef::Email { email, identifier })
        }
        Node::Object(_) => {
            let actor = or_fault(Actor::agent_from_node(node, place), faults)?;
            // `agent_from_node` refuses an agent without an identifier.
            actor.identifier.map(|identifier| UserRef::Agent {
                identifier,
                name: actor.name,
            })
        }
        _ => {
            let detail = format!(
                "a user's id, {{\"email\": …}} or an xAPI agent is required here, not {}",
                node.kind()
            );
            faults.push(place.fault(detail));
            None
        }
    }
}

/// The member `action` or `verb`, of which exactly one is required.
fn parse_action(form: &mut Form<'_, '_, '_>) -> Option<ActionOrVerb> {
    match (form.get("action").is_some(), form.get("verb").is_some()) {
        (true, true) => {
            form.add_fault("verb", "excludes `action`; send one of them");
            None
        }
        (true, false) => form.read("action", |node, place| {
            one_of(node, place, Action::ALL, |action| action.key()).map(ActionOrVerb::Action)
        }),
        (false, true) => form.read("verb", |node, place| match Iri::from_node(node, place)? {
            iri if iri.as_str() == verb::VOIDED => {
                Err(place.fault("this verb is not allowed; delete the activity with DELETE instead"))
            }
            iri => Ok(ActionOrVerb::Verb(iri)),
        }),
        (false, false) => {
            form.add_fault("action", "is missing: give an `action`, or the IRI of a `verb`");
            None
        }
    }
}

/// The id of a content, which may not be registered yet.
fn parse_content_id(node: &Node<'_>, place: &Place<'_>) -> Result<ContentId, Fault> {
    let id: ContentId = parse_text(node, place)?;
    match check_naming(id.as_str()) {
        Ok(()) => Ok(id),
        Err(error) => Err(place.fault(format!("an id {error}"))),
    }
}

/// A content's id, or an object that describes it.
fn parse_content(node: &Node<'_>, place: &Place<'_>, faults: &mut Faults) -> Option<ContentRef> {
    if matches!(node, Node::String(_)) {
        return or_fault(parse_content_id(node, place), faults).map(ContentRef::Id);
    }
    if node.as_object().is_none() {
        let detail = format!(
            "a content's id, or an object with `id` or `iri`, is required here, not {}",
            node.kind()
        );
        faults.push(place.fault(detail));
        return None;
    }
    let mut form = Form::from_node(
        node,
        place,
        "a content",
        &["id", "iri", "title", "type", "content_type"],
        faults,
    )?;
    let id = form.read("id", parse_content_id);
    let iri = form.read("iri", Iri::from_node);
    let title = form.text("title", MAX_TITLE);
    let learning_type = form.read("type", |node, place| {
        one_of(node, place, LearningType::ALL, |kind| kind.key())
    });
    let content_type = form.read("content_type", |node, place| {
        one_of(node, place, ContentFormat::ALL, |kind| kind.key())
    });
    match (form.get("id").is_some(), form.get("iri").is_some()) {
        (true, true) => form.add_fault("iri", "excludes `id`; send one of them"),
        (false, false) => form.add_fault("id", "is missing: give the `id` or the `iri` of the content"),
        _ => {}
    }
    let name = id.map(ContentName::Id).or(iri.map(ContentName::Iri))?;
    Some(ContentRef::Described {
        name,
        title,
        learning_type,
        content_type,
    })
}

fn parse_result(node: &Node<'_>, place: &Place<'_>, faults: &mut Faults) -> Option<ShortResult> {
    let known = ["success", "completion", "score", "total_time", "response"];
    let mut form = Form::from_node(node, place, "a result", &known, faults)?;
    Some(ShortResult {
        success: form.flag("success"),
        completion: form.flag("completion"),
        score: form.read("score", parse_score),
        total_time: form.read("total_time", parse_total_time),
        response: form.text("response", MAX_TEXT),
    })
}

/// A number is a percentage and stored as `scaled`. An object is an xAPI score.
fn parse_score(node: &Node<'_>, place: &Place<'_>) -> Result<Score, Fault> {
    match node {
        Node::Number(_) => {}
        Node::Object(_) => return Score::from_node(&node.without_nulls(), place),
        _ => {
            let detail = format!(
                "a score is a number, which is a percentage, or an object such as {{\"raw\": 7, \"max\": 10}}, not {}",
                node.kind()
            );
            return Err(place.fault(detail));
        }
    }
    let percent = json::number(node, place)?;
    if !(0.0..=100.0).contains(&percent) {
        let detail = "a number is a percentage from 0 to 100; send points as {\"raw\": …, \"max\": …}";
        return Err(place.fault(detail));
    }
    Ok(Score {
        scaled: Some(percent / 100.0),
        ..Score::default()
    })
}

/// An ISO 8601 duration, a SCORM 1.2 time, or seconds as text or number.
fn parse_total_time(node: &Node<'_>, place: &Place<'_>) -> Result<Duration, Fault> {
    const FORMATS: &str = "a time is an ISO 8601 duration (PT5M30S), a SCORM 1.2 time (0000:05:30.00), or a number of seconds (330)";
    let text = match node {
        Node::Number(text) => text,
        Node::String(text) => text.value(),
        _ => return Err(place.fault(format!("{FORMATS}, not {}", node.kind()))),
    };
    Duration::parse_loose(text).map_err(|_| place.fault(FORMATS))
}

fn parse_certificate(node: &Node<'_>, place: &Place<'_>, faults: &mut Faults) -> Option<AwardedCertificate> {
    let mut form = Form::from_node(node, place, "a certificate", &["name", "expires_at"], faults)?;
    Some(AwardedCertificate {
        name: form.text("name", MAX_TERM),
        expires_at: form.timestamp("expires_at"),
    })
}

fn parse_responses(form: &mut Form<'_, '_, '_>) -> Vec<Response> {
    let Some(node) = form.get("responses") else {
        return Vec::new();
    };
    let activity = form.place();
    let place = activity.member("responses");
    let faults = form.faults();
    // This checks the array only. The faults of its elements are collected below.
    let Some(nodes) = or_fault(
        json::elements(node, &place, MAX_RESPONSES, |node, _| Ok(node)),
        faults,
    ) else {
        return Vec::new();
    };
    let nodes = nodes.into_iter().enumerate();
    nodes
        .filter_map(|(index, node)| parse_response(node, &place.element(index), faults))
        .collect()
}

fn parse_response(node: &Node<'_>, place: &Place<'_>, faults: &mut Faults) -> Option<Response> {
    let known = ["question", "prompt", "response", "correct", "score", "seconds"];
    let mut form = Form::from_node(node, place, "a response", &known, faults)?;
    let question = form.required_text("question", MAX_TERM);
    let answer = form.read("response", |node, place| short_text(node, place, MAX_TEXT));
    if form.get("response").is_none() {
        form.add_fault("response", "is missing: give the answer, which may be empty");
    }
    let seconds = form.read("seconds", |node, place| match json::number(node, place)? {
        seconds if seconds < 0.0 => Err(place.fault("a duration can't be negative")),
        seconds => Ok(seconds),
    });
    Some(Response {
        prompt: form.text("prompt", MAX_TEXT),
        correct: form.flag("correct"),
        score: form.read("score", json::number),
        seconds,
        question: question?,
        response: answer?,
    })
}

/// A UUID with hyphens.
fn parse_uuid(node: &Node<'_>, place: &Place<'_>) -> Result<Uuid, Fault> {
    let text = json::string(node, place)?;
    let parsed = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    parsed.ok_or_else(|| place.fault("a UUID is required here, such as 0190a000-0000-7000-8000-000000000001"))
}

fn value_or_fault<T>(result: Result<T, impl Display>, place: &Place<'_>, faults: &mut Faults) -> Option<T> {
    or_fault(result.map_err(|error| place.fault(error.to_string())), faults)
}

fn or_fault<T>(result: Result<T, Fault>, faults: &mut Faults) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

#[cfg(test)]
mod tests;
