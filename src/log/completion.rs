//! Requests that mark content as complete for persons (docs/specification.md#marking-content-as-complete).
//!
//! [`MarkForm`] is the request, [`Outcome`] the result for each person, and [`MarkedCompletion`] the statement that is
//! recorded. The store decides which persons the caller may mark, and which have already completed the content.

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::form::{Form, parse_text};
use crate::base::ids::{ContentId, GroupId, StatementId, TeamId, UserId};
use crate::base::json::{self, Node};
use crate::record::iri::IriError;
use crate::record::{self, Activity, Actor, Context, Identifier, Iri, Statement, StatementBuilder};

use super::action::Action;
use super::short_form::MAX_COMMENT;

/// The most persons of one request: those that it names, and the members of its teams and groups.
pub const MAX_PEOPLE: usize = 10_000;
/// The most teams, and the most groups, of one request.
const MAX_GROUPS: usize = 1_000;
/// How far a completion may be in the future, in microseconds, because clocks differ.
const CLOCK_TOLERANCE: i64 = 5 * 60 * 1_000_000;

const MEMBERS: [&str; 8] = [
    "content",
    "users",
    "teams",
    "include_sub_teams",
    "groups",
    "happened_at",
    "note",
    "dry_run",
];

/// A request to mark a content as complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkForm {
    /// The id of the content; the IRI of an unregistered content.
    pub content: ContentId,
    /// The users, each once, in the order of the request.
    pub users: Vec<UserId>,
    /// The teams. Their members are marked.
    pub teams: Vec<TeamId>,
    /// Whether members of the teams below are marked too.
    pub include_sub_teams: bool,
    /// The groups. Their members are marked.
    pub groups: Vec<GroupId>,
    /// The time of the completion, to the millisecond; default: now.
    pub happened_at: Timestamp,
    /// Whether the request contains the time.
    pub time_was_given: bool,
    /// A note about each person.
    pub note: Option<String>,
    /// Whether nothing is recorded, and the answer has only the expected outcomes.
    pub dry_run: bool,
}

impl MarkForm {
    /// Parses the body of a request. `depth` is the limit for nested objects and arrays.
    ///
    /// # Errors
    ///
    /// All faults, each with its pointer.
    pub fn parse(body: &str, now: Timestamp, depth: usize) -> Result<Self, Faults> {
        parse_body(body, depth, |node, _, faults| Self::from_node(node, now, faults))
    }

    fn from_node(node: &Node<'_>, now: Timestamp, faults: &mut Faults) -> Option<Self> {
        let mut form = Form::from_node(node, &Place::Root, "a completion", &MEMBERS, faults)?;
        if form.get("content").is_none() {
            form.add_fault("content", "is missing: give the id of the content");
        }
        let content = form.read("content", parse_content);
        // The limit of persons applies to users and members together, which only the store knows.
        let users = form.list("users", usize::MAX, parse_text);
        let teams = form.list("teams", MAX_GROUPS, parse_text);
        let groups = form.list("groups", MAX_GROUPS, parse_text);
        if !["users", "teams", "groups"]
            .into_iter()
            .any(|key| has_ids(&form, key))
        {
            let detail = "give at least one id in `users`, `teams` or `groups`";
            form.faults().push(Place::Root.fault(detail));
        }
        let include_sub_teams = form.flag("include_sub_teams").unwrap_or(false);
        if include_sub_teams && !has_ids(&form, "teams") {
            form.add_fault(
                "include_sub_teams",
                "changes nothing without `teams`; add a team, or leave this out",
            );
        }
        let happened_at = form.timestamp("happened_at");
        if happened_at.is_some_and(|at| at.micros() > now.micros().saturating_add(CLOCK_TOLERANCE)) {
            form.add_fault("happened_at", "a completion can't be in the future");
        }
        let note = form.text("note", MAX_COMMENT);
        if note.as_ref().is_some_and(|note| note.trim().is_empty()) {
            form.add_fault("note", "a note must not be blank; omit it instead");
        }
        Some(Self {
            include_sub_teams,
            dry_run: form.flag("dry_run").unwrap_or(false),
            content: content?,
            users,
            teams,
            groups,
            happened_at: happened_at.unwrap_or_else(|| now.whole_millisecond()),
            time_was_given: happened_at.is_some(),
            note,
        })
    }
}

/// Whether a list of ids was sent and is not empty.
fn has_ids(form: &Form<'_, '_, '_>, key: &str) -> bool {
    form.get(key)
        .is_some_and(|node| node.as_array().is_none_or(|elements| !elements.is_empty()))
}

/// The id of a content in the catalogue. The IRI of an unregistered content can be longer than other ids.
fn parse_content(node: &Node<'_>, place: &Place<'_>) -> Result<ContentId, Fault> {
    match json::owned_string(node, place)? {
        text if text.is_empty() => Err(place.fault("an id must not be empty")),
        text => Ok(ContentId::from_stored(text)),
    }
}

/// The outcome for one person, or the expected outcome with `dry_run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CompletionOutcome)]
pub enum Outcome {
    /// The completion is recorded.
    Created,
    /// A completion of the person holds at least as long as the new one would. No completion is recorded.
    AlreadyCompleted,
    /// The user is deactivated. No completion is recorded.
    Deactivated,
    /// No user that the caller may mark has this id.
    NotFound,
}

/// The values of the statement of a marked completion.
#[derive(Debug, Clone, Copy)]
pub struct MarkedCompletion<'a> {
    /// The id of the statement.
    pub id: StatementId,
    /// The person that completed the content.
    pub actor: &'a Identifier,
    /// The name of that person.
    pub actor_name: Option<&'a str>,
    /// The IRI of the content.
    pub iri: &'a str,
    /// The user that marked the completion.
    pub marker: &'a Identifier,
    /// The name of that user.
    pub marker_name: Option<&'a str>,
    /// The time of the completion, to the millisecond.
    pub happened_at: Timestamp,
}

impl MarkedCompletion<'_> {
    /// The statement: *completed*, with the marking user as instructor (xAPI 1.0.3, Data 2.4.6.2) and without a
    /// definition of the content.
    ///
    /// # Errors
    ///
    /// `iri` is not an IRI.
    pub fn to_statement(&self) -> Result<Statement, IriError> {
        let actor = Actor::agent(self.actor.clone(), self.actor_name);
        let instructor = Actor::agent(self.marker.clone(), self.marker_name);
        let activity = Activity::new(Iri::parse(self.iri)?);
        let builder = StatementBuilder::new(actor, Action::Completed.to_verb()?, activity)
            .id(self.id)
            .result(record::Outcome {
                completion: Some(true),
                ..record::Outcome::default()
            })
            .context(Context {
                instructor: Some(instructor),
                ..Context::default()
            })
            .timestamp(self.happened_at);
        Ok(builder.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Limits, Version, parse_statement};
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::from_micros(1_773_829_043_123_456);

    fn parse(body: &str) -> Result<MarkForm, Vec<String>> {
        MarkForm::parse(body, NOW, 8)
            .map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn form_has_each_user_once() {
        let form = parse(
            r#"{"content":"fire","users":["cy","bo","cy"],"teams":["sales"],"include_sub_teams":true,"groups":[],
                "happened_at":"2026-02-14T09:00:00.1239Z","note":" Was there ","dry_run":true}"#,
        )
        .expect("a form");
        let user = |id: &str| UserId::new(id).expect("an id");
        assert_eq!(form.users, [user("cy"), user("bo")]);
        assert_eq!((form.teams.len(), form.groups.len()), (1, 0));
        assert!(form.include_sub_teams && form.dry_run && form.time_was_given);
        assert_eq!(form.happened_at.to_string(), "2026-02-14T09:00:00.123Z");
        assert_eq!(form.happened_at.micros() % 1_000, 0);
        assert_eq!(form.note.as_deref(), Some(" Was there "));
    }

    #[test]
    fn omitted_members_have_defaults() {
        let form = parse(r#"{"content":"fire","groups":["g"],"note":"","users":null}"#).expect("a form");
        assert_eq!(form.happened_at, NOW.whole_millisecond());
        assert!(!form.time_was_given);
        assert_eq!(form.note, None);
        assert!(!form.include_sub_teams && !form.dry_run && form.users.is_empty());
    }

    #[test]
    fn each_fault_has_its_pointer() {
        let faults = |body: &str| parse(body).expect_err(body);
        assert_eq!(faults("[]"), [""]);
        assert_eq!(faults("{}"), ["/content", ""]);
        assert_eq!(
            faults(r#"{"content":"","users":[],"teams":null,"groups":[]}"#),
            ["/content", ""]
        );
        assert_eq!(
            faults(r#"{"content":"c","users":["a",""],"teams":"t","user":1,"dry_run":"yes"}"#),
            ["/user", "/users/1", "/teams", "/dry_run"]
        );
        assert_eq!(
            faults(r#"{"content":7,"users":["a"],"note":" \n ","happened_at":"2026-13-01"}"#),
            ["/content", "/happened_at", "/note"]
        );
        let long = "x".repeat(MAX_COMMENT + 1);
        assert_eq!(
            faults(&format!(r#"{{"content":"c","users":["a"],"note":"{long}"}}"#)),
            ["/note"]
        );
        let many: Vec<String> = (0..=MAX_GROUPS).map(|number| format!("\"{number}\"")).collect();
        assert_eq!(
            faults(&format!(r#"{{"content":"c","teams":[{}]}}"#, many.join(","))),
            ["/teams"]
        );
    }

    #[test]
    fn completion_may_be_five_minutes_in_the_future() {
        let at = |micros: i64| {
            let at = Timestamp::from_micros(micros);
            parse(&format!(
                r#"{{"content":"c","users":["a"],"happened_at":"{at}"}}"#
            ))
        };
        assert!(at(NOW.micros() + CLOCK_TOLERANCE).is_ok());
        assert_eq!(
            at(NOW.micros() + CLOCK_TOLERANCE + 1_000),
            Err(vec!["/happened_at".to_owned()])
        );
    }

    #[test]
    fn marked_completion_is_a_valid_statement() {
        let account = |name: &str| Identifier::Account {
            home_page: "https://rollbook.invalid/acme".to_owned(),
            name: name.to_owned(),
        };
        let (actor, marker) = (account("bo \"b\""), account("ada"));
        let completion = MarkedCompletion {
            id: StatementId(Uuid::from_u128(0x0190_a000_0000_7000_8000_0000_0000_000b)),
            actor: &actor,
            actor_name: Some("Bo \\ Ek"),
            iri: "https://content.example/fire?a=\u{e9}",
            marker: &marker,
            marker_name: None,
            happened_at: Timestamp::from_micros(1_771_059_600_000_000),
        };
        let text = completion.to_statement().expect("a statement").to_json();
        let statement =
            parse_statement(text.as_bytes(), Version::V1, &Limits::default()).expect("a statement");
        assert_eq!(statement.id, Some(completion.id));
        assert_eq!(statement.actor.identifier.as_ref(), Some(&actor));
        assert_eq!(statement.actor.name.as_deref(), Some("Bo \\ Ek"));
        assert_eq!(
            statement.verb.id.as_str(),
            "http://adlnet.gov/expapi/verbs/completed"
        );
        assert_eq!(statement.timestamp, Some(completion.happened_at));
        let result = statement.result.as_ref().expect("a result");
        assert_eq!(
            (result.completion, result.success, result.score.is_some()),
            (Some(true), None, false)
        );
        let json: serde_json::Value = serde_json::from_str(&text).expect("the text is JSON");
        assert_eq!(json["object"]["id"], completion.iri);
        assert!(json["object"].get("definition").is_none());
        assert_eq!(json["context"]["instructor"]["account"]["name"], "ada");
    }
}
