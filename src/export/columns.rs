//! The columns of the CSV, as data (product text, section 8).
//!
//! Each line of the table says its heading, the smallest set that has it, and how its cell is written. The order of
//! the table is the order of the file, in every set; the organisation's own fields of its users come last, by
//! name. What a cell is written *from* decides how often it is written: a person's, a content's and a verb's
//! cells once, and copied from then on; a row's own cells for each row.
//!
//! | a cell of | says |
//! | --- | --- |
//! | a person whom no user claims | the name that the record gave under `First name`, and its e-mail address; nothing else is known |
//! | an unregistered content | what the latest definition gave |
//! | an action that is `other` | what the verb calls itself |
//!
//! `Verb`, `Origin` and `Recorded by` hold an IRI, a key and a user's id: they are what BI joins on, and two
//! people may share a name.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Role;
use crate::log::description::label;
use crate::log::{Action, ContentDetails, PersonDetails, Row, UserDetails, VerbDetails, time_text};
use crate::record::Identifier;
use crate::store::Detail;

use super::cell::Cell;

/// Which columns a CSV has: the parameter `columns`. Each set has all columns of the ones before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ColumnSet {
    /// "Export CSV": people, contents and what happened.
    Standard,
    /// "Export E-learning CSV": results and times too.
    #[default]
    Elearning,
    /// The keys that BI joins on too.
    Full,
}

impl ColumnSet {
    /// How much of each row its columns show.
    pub fn detail(self) -> Detail {
        match self {
            Self::Standard | Self::Elearning => Detail::Brief,
            Self::Full => Detail::Whole,
        }
    }

    /// All of them, the smallest first.
    pub const ALL: &'static [Self] = &[Self::Standard, Self::Elearning, Self::Full];

    /// The value of the parameter.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Elearning => "elearning",
            Self::Full => "full",
        }
    }

    /// The set with that key, exactly as written.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|set| set.key() == key)
    }
}

impl fmt::Display for ColumnSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// How a cell is written from a person.
pub type FromPerson = fn(&PersonDetails, &mut Cell<'_>);
/// How a cell is written from a content.
pub type FromContent = fn(&ContentDetails, &mut Cell<'_>);
/// How a cell is written from a verb.
pub type FromVerb = fn(&VerbDetails, &mut Cell<'_>);
/// How a cell is written from the row itself.
pub type FromRow = fn(&Row, &mut Cell<'_>);
/// As [`FromRow`], where the row has something to say; whether it had.
pub type MaybeFromRow = fn(&Row, &mut Cell<'_>) -> bool;

/// What a column's cells are written from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// The person: once for each.
    Person(FromPerson),
    /// The content, once for each; empty where a row has none.
    Content(FromContent),
    /// The verb: once for each.
    Verb(FromVerb),
    /// The row.
    Row(FromRow),
    /// The row, or else its content.
    RowElseContent(MaybeFromRow, FromContent),
    /// The row, or else its verb.
    RowElseVerb(MaybeFromRow, FromVerb),
}

/// One column that every organisation has.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its heading.
    pub heading: &'static str,
    /// The smallest set that has it.
    pub since: ColumnSet,
    /// What its cells are written from.
    pub source: Source,
}

const fn column(heading: &'static str, since: ColumnSet, source: Source) -> Column {
    Column {
        heading,
        since,
        source,
    }
}

use ColumnSet::{Elearning, Full, Standard};
use Source::{Content, Person, Row as FromTheRow, RowElseContent, RowElseVerb, Verb};

/// A cell that repeats a fact of the user; empty where nobody claims the person.
macro_rules! fact {
    ($fact:ident) => {
        Person(|person, cell| cell.maybe(user(person, |user| &user.$fact)))
    };
}

/// All columns, in the order of the file.
pub const COLUMNS: &[Column] = &[
    column("First name", Standard, Person(first_name)),
    column("Last name", Standard, fact!(last_name)),
    column("Email address", Standard, Person(email)),
    column("Role", Standard, Person(role)),
    column("Job title", Standard, fact!(job_title)),
    column("Language", Standard, fact!(language)),
    column("Location", Standard, fact!(location)),
    column("Join date", Standard, fact!(joined_on)),
    column("Manager name", Standard, fact!(manager_name)),
    column("Primary team", Standard, fact!(primary_team)),
    column("Secondary teams", Standard, Person(secondary_teams)),
    column("Status (at time of export)", Standard, Person(status)),
    column("Deactivated", Standard, Person(deactivated)),
    column("Action", Standard, RowElseVerb(action, verb_label)),
    column("Title", Standard, Content(title)),
    column("Type", Standard, Content(content_type)),
    column("Content Type", Standard, Content(content_kind)),
    column("Unique ID", Standard, Content(unique_id)),
    column("Happened at", Standard, FromTheRow(happened_at)),
    column("Completed", Standard, FromTheRow(completed)),
    column("Expired at", Standard, FromTheRow(expired_at)),
    column("Tags", Standard, Content(tags)),
    column("E-learning / Quiz result", Elearning, FromTheRow(result)),
    column("E-learning / Quiz score", Elearning, FromTheRow(score)),
    column("E-learning / Quiz total time", Elearning, FromTheRow(total_time)),
    column("Total time in seconds", Elearning, FromTheRow(seconds)),
    column(
        "Certificate expires at",
        Elearning,
        FromTheRow(certificate_expires_at),
    ),
    column("Activity ID", Full, FromTheRow(activity_id)),
    column("User ID", Full, Person(user_id)),
    column("Verb", Full, Verb(verb)),
    column("Device type", Full, FromTheRow(device_type)),
    column("Origin", Full, FromTheRow(origin)),
    column("Recorded by", Full, FromTheRow(recorded_by)),
    column("Source", Full, RowElseContent(row_source, library)),
    column("CPD labels", Full, Content(cpd_labels)),
    column("Certificate name", Full, FromTheRow(certificate_name)),
    column("Registration", Full, FromTheRow(registration)),
];

/// The columns of a set, in the order of the file, without the organisation's own fields.
pub fn columns(set: ColumnSet) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(move |column| column.since <= set)
}

/// Writes the cell of one of the organisation's own fields.
pub fn custom_field(person: &PersonDetails, field: &str, cell: &mut Cell<'_>) {
    let fields = person
        .user
        .as_ref()
        .map(|user| user.custom.as_slice())
        .unwrap_or_default();
    // Users have few fields, and this is asked once for each person.
    cell.maybe(
        fields
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, value)| value),
    );
}

/// A fact of the user, where a user claims the person.
fn user(person: &PersonDetails, fact: impl FnOnce(&UserDetails) -> &Option<String>) -> Option<&String> {
    person.user.as_ref().and_then(|user| fact(user).as_ref())
}

fn first_name(person: &PersonDetails, cell: &mut Cell<'_>) {
    match &person.user {
        Some(user) => cell.maybe(user.first_name.as_ref()),
        None => cell.maybe(person.name.as_ref()),
    }
}

fn email(person: &PersonDetails, cell: &mut Cell<'_>) {
    match &person.user {
        Some(user) => cell.maybe(user.email.as_ref()),
        None => cell.maybe(person.identifier.as_ref().and_then(Identifier::email)),
    }
}

fn role(person: &PersonDetails, cell: &mut Cell<'_>) {
    let Some(key) = user(person, |user| &user.role) else {
        return;
    };
    match key.parse::<Role>() {
        Ok(role) => cell.label(role.label()),
        // A newer release may have written a role that this one doesn't know.
        Err(_) => cell.text(key),
    }
}

fn secondary_teams(person: &PersonDetails, cell: &mut Cell<'_>) {
    if let Some(user) = &person.user {
        cell.list(&user.secondary_teams);
    }
}

fn status(person: &PersonDetails, cell: &mut Cell<'_>) {
    if let Some(user) = &person.user {
        cell.label(if user.active { "Active" } else { "Deactivated" });
    }
}

fn deactivated(person: &PersonDetails, cell: &mut Cell<'_>) {
    cell.time(person.user.as_ref().and_then(|user| user.deactivated_at));
}

fn user_id(person: &PersonDetails, cell: &mut Cell<'_>) {
    cell.maybe(person.user.as_ref().map(|user| &user.id));
}

fn action(row: &Row, cell: &mut Cell<'_>) -> bool {
    let action = row.projected.action;
    if action == Action::Other {
        return false;
    }
    cell.label(action.label());
    true
}

fn verb_label(verb: &VerbDetails, cell: &mut Cell<'_>) {
    cell.text(&label(Action::Other, verb));
}

fn verb(verb: &VerbDetails, cell: &mut Cell<'_>) {
    cell.text(&verb.iri);
}

fn title(content: &ContentDetails, cell: &mut Cell<'_>) {
    cell.maybe(content.title.as_ref());
}

fn unique_id(content: &ContentDetails, cell: &mut Cell<'_>) {
    cell.text(content.id.as_str());
}

fn tags(content: &ContentDetails, cell: &mut Cell<'_>) {
    cell.list(&content.tags);
}

fn cpd_labels(content: &ContentDetails, cell: &mut Cell<'_>) {
    cell.list(&content.cpd_labels);
}

fn library(content: &ContentDetails, cell: &mut Cell<'_>) {
    cell.maybe(content.source.as_ref());
}

fn content_type(content: &ContentDetails, cell: &mut Cell<'_>) {
    if let Some(kind) = content.learning_type {
        cell.label(kind.label());
    }
}

fn content_kind(content: &ContentDetails, cell: &mut Cell<'_>) {
    if let Some(kind) = content.content_type {
        cell.label(kind.label());
    }
}

fn happened_at(row: &Row, cell: &mut Cell<'_>) {
    cell.time(Some(row.projected.happened_at));
}

fn completed(row: &Row, cell: &mut Cell<'_>) {
    cell.yes_or_no(row.projected.completed);
}

fn expired_at(row: &Row, cell: &mut Cell<'_>) {
    cell.time(row.projected.expired_at);
}

fn score(row: &Row, cell: &mut Cell<'_>) {
    cell.percent(row.projected.score.percent);
}

fn seconds(row: &Row, cell: &mut Cell<'_>) {
    cell.number(row.projected.seconds);
}

fn activity_id(row: &Row, cell: &mut Cell<'_>) {
    cell.uuid(Some(row.id.0));
}

fn registration(row: &Row, cell: &mut Cell<'_>) {
    cell.uuid(row.projected.registration);
}

fn device_type(row: &Row, cell: &mut Cell<'_>) {
    cell.maybe(row.projected.device_type.as_ref());
}

fn origin(row: &Row, cell: &mut Cell<'_>) {
    cell.label(row.projected.origin.key());
}

fn recorded_by(row: &Row, cell: &mut Cell<'_>) {
    cell.maybe(row.projected.recorded_by.as_ref());
}

fn result(row: &Row, cell: &mut Cell<'_>) {
    match row.projected.success {
        Some(true) => cell.label("Pass"),
        Some(false) => cell.label("Fail"),
        None => {}
    }
}

fn total_time(row: &Row, cell: &mut Cell<'_>) {
    if let Some(seconds) = row.projected.seconds {
        cell.text(&time_text(seconds));
    }
}

fn certificate_expires_at(row: &Row, cell: &mut Cell<'_>) {
    cell.time(
        row.projected
            .certificate
            .as_ref()
            .and_then(|certificate| certificate.expires_at),
    );
}

fn certificate_name(row: &Row, cell: &mut Cell<'_>) {
    cell.maybe(
        row.projected
            .certificate
            .as_ref()
            .and_then(|certificate| certificate.name.as_ref()),
    );
}

/// What the record says; the content's library counts where it says nothing, as everywhere
/// ([`shown_source`](crate::log::activity::shown_source)).
fn row_source(row: &Row, cell: &mut Cell<'_>) -> bool {
    cell.maybe(row.projected.source.as_ref());
    row.projected.source.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(set: ColumnSet) -> Vec<&'static str> {
        columns(set).map(|column| column.heading).collect()
    }

    const STANDARD: [&str; 22] = [
        "First name",
        "Last name",
        "Email address",
        "Role",
        "Job title",
        "Language",
        "Location",
        "Join date",
        "Manager name",
        "Primary team",
        "Secondary teams",
        "Status (at time of export)",
        "Deactivated",
        "Action",
        "Title",
        "Type",
        "Content Type",
        "Unique ID",
        "Happened at",
        "Completed",
        "Expired at",
        "Tags",
    ];

    const ELEARNING: [&str; 5] = [
        "E-learning / Quiz result",
        "E-learning / Quiz score",
        "E-learning / Quiz total time",
        "Total time in seconds",
        "Certificate expires at",
    ];

    const FULL: [&str; 10] = [
        "Activity ID",
        "User ID",
        "Verb",
        "Device type",
        "Origin",
        "Recorded by",
        "Source",
        "CPD labels",
        "Certificate name",
        "Registration",
    ];

    #[test]
    fn each_set_has_the_headings_of_the_product_text() {
        assert_eq!(headings(Standard), STANDARD);
        assert_eq!(headings(Elearning), [&STANDARD[..], &ELEARNING].concat());
        assert_eq!(headings(Full), [&STANDARD[..], &ELEARNING, &FULL].concat());
    }

    #[test]
    fn keys_lead_back_and_nothing_else_does() {
        for set in ColumnSet::ALL {
            assert_eq!(ColumnSet::from_key(set.key()), Some(*set));
            assert_eq!(serde_json::to_string(set).unwrap(), format!("\"{set}\""));
        }
        assert_eq!(ColumnSet::from_key("Full"), None);
        assert_eq!(ColumnSet::from_key(""), None);
        assert_eq!(ColumnSet::default(), Elearning);
    }

    /// [`Cell::label`] neither quotes nor neutralises.
    #[test]
    fn labels_need_neither_quote_nor_mark() {
        let actions = Action::ALL.iter().map(|action| action.label());
        let types = crate::catalogue::LearningType::ALL
            .iter()
            .map(|kind| kind.label());
        let kinds = crate::catalogue::ContentFormat::ALL
            .iter()
            .map(|kind| kind.label());
        let roles = Role::ALL.iter().map(|role| role.label());
        let origins = crate::record::Origin::ALL.iter().map(|origin| origin.key());
        for label in actions.chain(types).chain(kinds).chain(roles).chain(origins) {
            let mut out = Vec::new();
            Cell::new(&mut out, false).text(label);
            assert_eq!(out, label.as_bytes());
        }
    }
}
