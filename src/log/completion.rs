//! Content marked as complete for people who did it elsewhere (product text, sections 4 and 13): what is asked for,
//! what becomes of each person, and the record that a completion is kept as.
//!
//! Start at [`MarkForm`]. Who may be marked, and who needs it no more, only the store knows.

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::form::{Form, parse_text};
use crate::base::ids::{ContentId, GroupId, StatementId, TeamId, UserId};
use crate::base::json::{self, Node};
use crate::record::iri::IriError;
use crate::record::{self, Activity, Actor, Context, Identifier, Iri, Statement, StatementBuilder};

use super::action::Action;
use super::short_form::MAX_COMMENT;

/// The people whom one request marks at most: those named, and the members of the teams and groups.
pub const MAX_PEOPLE: usize = 10_000;
/// The teams, and the groups, that one request names at most.
const MAX_GROUPS: usize = 1_000;
/// How far ahead a completion may lie, in microseconds: clocks differ.
const LEEWAY: i64 = 5 * 60 * 1_000_000;

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

/// What is to be marked as complete, and for whom, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkForm {
    /// The content: its id, or its IRI while nobody has registered it.
    pub content: ContentId,
    /// The people named, each once, in the order given.
    pub users: Vec<UserId>,
    /// Teams whose members are meant.
    pub teams: Vec<TeamId>,
    /// Whether the teams below those count as well.
    pub include_sub_teams: bool,
    /// Groups whose members are meant.
    pub groups: Vec<GroupId>,
    /// When they completed it, to the millisecond; now where nothing was sent.
    pub happened_at: Timestamp,
    /// What is noted about each of them, as it was sent.
    pub note: Option<String>,
    /// Whether it is only asked what would happen.
    pub dry_run: bool,
}

impl MarkForm {
    /// Reads the body of a request. `depth` is how many objects and arrays may lie within each other.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place.
    pub fn parse(body: &str, now: Timestamp, depth: usize) -> Result<Self, Vec<Fault>> {
        parse_body(body, depth, |node, _, faults| Self::read(node, now, faults))
    }

    fn read(node: &Node<'_>, now: Timestamp, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut form = Form::from_node(node, &Place::Root, "a completion", &MEMBERS, faults)?;
        if form.get("content").is_none() {
            form.add_fault("content", "which content? Give its id");
        }
        let content = form.read("content", content);
        // How many people there may be is asked of all together, with the members of teams and groups.
        let users = form.list("users", usize::MAX, parse_text);
        let teams = form.list("teams", MAX_GROUPS, parse_text);
        let groups = form.list("groups", MAX_GROUPS, parse_text);
        let said = |key: &str| {
            form.get(key)
                .is_some_and(|node| node.as_array().is_none_or(|elements| !elements.is_empty()))
        };
        if !["users", "teams", "groups"].into_iter().any(said) {
            let detail = "for whom? Give `users`, `teams` or `groups`, with an id at least";
            form.faults().push(Place::Root.fault(detail));
        }
        let happened_at = form.timestamp("happened_at");
        if happened_at.is_some_and(|at| at.micros() > now.micros().saturating_add(LEEWAY)) {
            form.add_fault("happened_at", "nobody has completed anything that lies ahead");
        }
        let note = form.text("note", MAX_COMMENT);
        if note.as_ref().is_some_and(|note| note.trim().is_empty()) {
            form.add_fault(
                "note",
                "a note has something to read; leave it out where there is none",
            );
        }
        Some(Self {
            include_sub_teams: form.flag("include_sub_teams").unwrap_or(false),
            dry_run: form.flag("dry_run").unwrap_or(false),
            content: content?,
            users,
            teams,
            groups,
            happened_at: happened_at.unwrap_or_else(|| now.whole_millisecond()),
            note,
        })
    }
}

/// A content's id as the catalogue has it, which may be an IRI longer than an id that somebody chooses.
fn content(node: &Node<'_>, place: &Place<'_>) -> Result<ContentId, Fault> {
    match json::owned_string(node, place)? {
        text if text.is_empty() => Err(place.fault("an id must not be empty")),
        text => Ok(ContentId::from_stored(text)),
    }
}

/// What became of a person for whom content was marked as complete, or would become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CompletionOutcome)]
pub enum Outcome {
    /// The completion is recorded.
    Created,
    /// They stand completed, now or at the moment given: nothing is recorded.
    AlreadyCompleted,
    /// The directory has them as deactivated: nothing is recorded.
    Deactivated,
    /// Nobody has that id whom the caller may mark.
    NotFound,
}

/// A completion that somebody marked: what its statement says.
#[derive(Debug, Clone, Copy)]
pub struct MarkedCompletion<'a> {
    /// The statement's id.
    pub id: StatementId,
    /// Who completed it.
    pub actor: &'a Identifier,
    /// Their name.
    pub actor_name: Option<&'a str>,
    /// The content's IRI.
    pub iri: &'a str,
    /// Who marked it.
    pub marker: &'a Identifier,
    /// The marker's name.
    pub marker_name: Option<&'a str>,
    /// When it was completed, to the millisecond.
    pub happened_at: Timestamp,
}

impl MarkedCompletion<'_> {
    /// The statement: *completed*, with the person who marked it as instructor (xAPI 1.0.3, Data 2.4.6.2).
    /// It defines nothing.
    ///
    /// # Errors
    ///
    /// The content's IRI is not an IRI.
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
    fn a_form_says_what_was_sent_and_each_person_once() {
        let form = parse(
            r#"{"content":"fire","users":["cy","bo","cy"],"teams":["sales"],"include_sub_teams":true,"groups":[],
                "happened_at":"2026-02-14T09:00:00.1239Z","note":" Was there ","dry_run":true}"#,
        )
        .expect("a form");
        let user = |id: &str| UserId::new(id).expect("an id");
        assert_eq!(form.users, [user("cy"), user("bo")]);
        assert_eq!((form.teams.len(), form.groups.len()), (1, 0));
        assert!(form.include_sub_teams && form.dry_run);
        assert_eq!(form.happened_at.to_string(), "2026-02-14T09:00:00.123Z");
        assert_eq!(form.happened_at.micros() % 1_000, 0);
        assert_eq!(form.note.as_deref(), Some(" Was there "));
    }

    #[test]
    fn what_is_left_out_is_now_and_nothing() {
        let form = parse(r#"{"content":"fire","groups":["g"],"note":"","users":null}"#).expect("a form");
        assert_eq!(form.happened_at, NOW.whole_millisecond());
        assert_eq!(form.note, None);
        assert!(!form.include_sub_teams && !form.dry_run && form.users.is_empty());
    }

    #[test]
    fn every_fault_is_named_at_its_place() {
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
    fn five_minutes_ahead_is_a_clock_and_more_is_the_future() {
        let at = |micros: i64| {
            let at = Timestamp::from_micros(micros);
            parse(&format!(
                r#"{{"content":"c","users":["a"],"happened_at":"{at}"}}"#
            ))
        };
        assert!(at(NOW.micros() + LEEWAY).is_ok());
        assert_eq!(
            at(NOW.micros() + LEEWAY + 1_000),
            Err(vec!["/happened_at".to_owned()])
        );
    }

    #[test]
    fn a_marked_completion_is_a_statement() {
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
        let kept: serde_json::Value = serde_json::from_str(&text).expect("the text is JSON");
        assert_eq!(kept["object"]["id"], completion.iri);
        assert!(kept["object"].get("definition").is_none());
        assert_eq!(kept["context"]["instructor"]["account"]["name"], "ada");
    }
}
