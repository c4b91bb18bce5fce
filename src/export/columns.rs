//! The columns of the CSV, as a table.
//!
//! Each line of the table contains the heading of a column, the smallest set that has the column, and a function that
//! writes its cells. The order of the table is the order of the columns in the file. The custom fields of the
//! organisation's users are the last columns, sorted by name.
//!
//! The [`Source`] of a column decides two things. Cells of a person, a content or a verb are rendered once and then
//! copied, while cells of a row are written for each row. And the columns that are selected from the database follow
//! from the sources of a set ([`ColumnSet::detail`]): a function that receives a [`BriefRow`] cannot use a field that
//! is not selected.
//!
//! | case | cells |
//! | --- | --- |
//! | a person without a user | `First name` is the [display name](PersonDetails::display_name); the e-mail address and the identifier are shown; nothing else is known |
//! | a user without names | `First name` is the display name, which is the id |
//! | an archived content | `Title` ends with ` (Archived)`, as in the log |
//! | an unregistered content | the values of the latest definition |
//! | an action that is `other` | the display of the verb |
//!
//! `Verb`, `Origin` and `Recorded by` contain an IRI, a key and a user's id, because BI tools join on them and two
//! people can have the same name.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Role;
use crate::log::description::{display_title, label};
use crate::log::{Action, ContentDetails, PersonDetails, Row, UserDetails, VerbDetails};
use crate::record::Identifier;
use crate::store::{BriefRow, Detail};

use super::cell::Cell;

/// The columns of a CSV: the parameter `columns`. Each set contains all columns of the smaller sets.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ColumnSet {
    /// "Export CSV": people, contents and activities.
    Standard,
    /// "Export E-learning CSV": also results and times.
    #[default]
    Elearning,
    /// Also the keys that BI tools join on.
    Full,
}

impl ColumnSet {
    /// All sets, the smallest first.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The value of the parameter.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// The detail of the rows that the columns of the set need.
    pub fn detail(self) -> Detail {
        let details = columns(self).map(|column| column.source.detail());
        details.max().unwrap_or(Detail::Brief)
    }
}

/// Writes a cell from a person.
pub type FromPerson = fn(&PersonDetails, &mut Cell<'_>);
/// Writes a cell from a content.
pub type FromContent = fn(&ContentDetails, &mut Cell<'_>);
/// Writes a cell from a verb.
pub type FromVerb = fn(&VerbDetails, &mut Cell<'_>);
/// Writes a cell from the fields that every row has.
pub type FromBriefRow = fn(&BriefRow, &mut Cell<'_>);
/// Writes a cell from any field of the row.
pub type FromRow = fn(&Row, &mut Cell<'_>);
/// Writes a cell from the fields that every row has, and returns whether they contain a value.
pub type TryFromBriefRow = fn(&BriefRow, &mut Cell<'_>) -> bool;
/// Writes a cell from any field of the row, and returns whether the row contains a value.
pub type TryFromRow = fn(&Row, &mut Cell<'_>) -> bool;

/// The data that the cells of a column are written from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// The person. The cell is rendered once for each person.
    Person(FromPerson),
    /// The content. The cell is rendered once for each content, and it is empty if the row has no content.
    Content(FromContent),
    /// The verb. The cell is rendered once for each verb.
    Verb(FromVerb),
    /// The fields that every row has.
    BriefRow(FromBriefRow),
    /// Any field of the row.
    WholeRow(FromRow),
    /// Any field of the row, or the content if the row contains no value.
    RowOrContent(TryFromRow, FromContent),
    /// The fields that every row has, or the verb if they contain no value.
    RowOrVerb(TryFromBriefRow, FromVerb),
}

impl Source {
    /// The detail of the rows that the cells need.
    fn detail(self) -> Detail {
        match self {
            Self::Person(_) | Self::Content(_) | Self::Verb(_) | Self::BriefRow(_) | Self::RowOrVerb(..) => {
                Detail::Brief
            }
            Self::WholeRow(_) | Self::RowOrContent(..) => Detail::Whole,
        }
    }
}

/// The type of the values of a column in a typed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// A text or label.
    Text,
    /// A text that is different in almost every row.
    Id,
    /// A list of texts.
    List,
    /// A day without a time.
    Day,
    /// A moment, in microseconds and UTC.
    Time,
    /// Yes or no.
    Boolean,
    /// A whole number.
    Integer,
    /// A number with decimals. A percentage is a number without its sign.
    Decimal,
}

/// A column that the CSV of every organisation has.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading.
    pub heading: &'static str,
    /// The smallest set that has the column.
    pub since: ColumnSet,
    /// The data that the cells are written from.
    pub source: Source,
    /// The type of its values in a typed file.
    pub value_type: ValueType,
}

/// A column of texts.
const fn column(heading: &'static str, since: ColumnSet, source: Source) -> Column {
    Column {
        heading,
        since,
        source,
        value_type: ValueType::Text,
    }
}

impl Column {
    const fn of_type(self, value_type: ValueType) -> Self {
        Self { value_type, ..self }
    }
}

use ColumnSet::{Elearning, Full, Standard};
use Source::{BriefRow as Brief, Content, Person, RowOrContent, RowOrVerb, Verb, WholeRow};
use ValueType::{Boolean, Day, Decimal, Id, Integer, List, Time};

/// A cell with a field of the user. It is empty if the person has no user.
macro_rules! user_field {
    ($field:ident) => {
        Person(|person, cell| cell.optional_text(user_text(person, |user| &user.$field)))
    };
}

/// All columns, in the order of the file.
pub const COLUMNS: &[Column] = &[
    column("First name", Standard, Person(first_name)),
    column("Last name", Standard, user_field!(last_name)),
    column("Email address", Standard, Person(email)),
    column("Role", Standard, Person(role)),
    column("Job title", Standard, user_field!(job_title)),
    column("Language", Standard, user_field!(language)),
    column("Location", Standard, user_field!(location)),
    column("Join date", Standard, user_field!(joined_on)).of_type(Day),
    column("Manager name", Standard, user_field!(manager_name)),
    column("Primary team", Standard, user_field!(primary_team)),
    column("Secondary teams", Standard, Person(secondary_teams)).of_type(List),
    column("Status (at time of export)", Standard, Person(status)),
    column("Deactivated", Standard, Person(deactivated)).of_type(Time),
    column("Action", Standard, RowOrVerb(action, verb_label)),
    column("Title", Standard, Content(title)),
    column("Type", Standard, Content(learning_type)),
    column("Content Type", Standard, Content(content_format)),
    column("Unique ID", Standard, Content(unique_id)),
    column("Happened at", Standard, Brief(happened_at)).of_type(Time),
    column("Completed", Standard, Brief(completed)).of_type(Boolean),
    column("Expired at", Standard, Brief(expired_at)).of_type(Time),
    column("Tags", Standard, Content(tags)).of_type(List),
    column("E-learning / Quiz result", Elearning, Brief(result)),
    column("E-learning / Quiz score", Elearning, Brief(score)).of_type(Decimal),
    column("E-learning / Quiz total time", Elearning, Brief(total_time)),
    column("Total time in seconds", Elearning, Brief(seconds)).of_type(Integer),
    column("Certificate expires at", Elearning, Brief(certificate_expires_at)).of_type(Time),
    column("Activity ID", Full, WholeRow(activity_id)).of_type(Id),
    column("User ID", Full, Person(user_id)),
    column("Verb", Full, Verb(verb)),
    column("Device type", Full, WholeRow(device_type)),
    column("Origin", Full, WholeRow(origin)),
    column("Recorded by", Full, WholeRow(recorded_by)),
    column("Source", Full, RowOrContent(row_source, library)),
    column("CPD labels", Full, Content(cpd_labels)).of_type(List),
    column("Certificate name", Full, WholeRow(certificate_name)),
    column("Registration", Full, WholeRow(registration)).of_type(Id),
    column("Identifier", Full, Person(identifier)),
    column("Manager ID", Full, Person(manager_id)),
    column("Team IDs", Full, Person(team_ids)).of_type(List),
    column("Archived", Full, Content(archived)).of_type(Boolean),
    column("Score", Full, Brief(score_number)).of_type(Decimal),
    column("Time limit exceeded", Full, WholeRow(time_limit_exceeded)).of_type(Boolean),
    column("Stored at", Full, WholeRow(stored_at)).of_type(Time),
];

/// The columns of a set in the order of the file, without the custom fields.
pub fn columns(set: ColumnSet) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(move |column| column.since <= set)
}

/// Writes the cell of a custom field.
pub fn write_custom_field(person: &PersonDetails, field: &str, cell: &mut Cell<'_>) {
    let fields = person
        .user
        .as_ref()
        .map(|user| user.custom.as_slice())
        .unwrap_or_default();
    // A user has few fields, and this function runs once for each person.
    cell.optional_text(
        fields
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, value)| value),
    );
}

/// A text field of the person's user, if the person has a user.
fn user_text(person: &PersonDetails, field: impl FnOnce(&UserDetails) -> &Option<String>) -> Option<&String> {
    person.user.as_ref().and_then(|user| field(user).as_ref())
}

/// Writes the first name. Without both names, it is the display name, so that each row names its person.
fn first_name(person: &PersonDetails, cell: &mut Cell<'_>) {
    match &person.user {
        Some(user) if user.full_name().is_some() => cell.optional_text(user.first_name.as_ref()),
        _ => cell.text(&person.display_name()),
    }
}

fn email(person: &PersonDetails, cell: &mut Cell<'_>) {
    match &person.user {
        Some(user) => cell.optional_text(user.email.as_ref()),
        None => cell.optional_text(person.identifier.as_ref().and_then(Identifier::email)),
    }
}

fn role(person: &PersonDetails, cell: &mut Cell<'_>) {
    let Some(key) = user_text(person, |user| &user.role) else {
        return;
    };
    match key.parse::<Role>() {
        Ok(role) => cell.label(role.label_in(cell.language())),
        // A newer release may have stored a role that this release does not know.
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
        let key = if user.active { "active" } else { "deactivated" };
        cell.label(cell.language().label("status", key));
    }
}

fn deactivated(person: &PersonDetails, cell: &mut Cell<'_>) {
    cell.time(person.user.as_ref().and_then(|user| user.deactivated_at));
}

fn user_id(person: &PersonDetails, cell: &mut Cell<'_>) {
    cell.optional_text(person.user.as_ref().map(|user| &user.id));
}

/// Writes the identifier of a person without a user, as an xAPI agent.
fn identifier(person: &PersonDetails, cell: &mut Cell<'_>) {
    if let Some(agent) = person.unclaimed_identifier() {
        cell.text(&agent.to_json());
    }
}

fn manager_id(person: &PersonDetails, cell: &mut Cell<'_>) {
    cell.optional_text(person.user.as_ref().and_then(|user| user.manager.as_ref()));
}

fn team_ids(person: &PersonDetails, cell: &mut Cell<'_>) {
    if let Some(user) = &person.user {
        cell.list(&user.team_ids);
    }
}

/// Writes the label of the action. An action that is `other` has no label.
fn action(row: &BriefRow, cell: &mut Cell<'_>) -> bool {
    let action = row.action;
    if action == Action::Other {
        return false;
    }
    cell.label(action.label_in(cell.language()));
    true
}

fn verb_label(verb: &VerbDetails, cell: &mut Cell<'_>) {
    cell.text(&label(Action::Other, verb, cell.language()));
}

fn verb(verb: &VerbDetails, cell: &mut Cell<'_>) {
    cell.text(&verb.iri);
}

/// Writes the title. The title of an archived content says so, as in the log.
fn title(content: &ContentDetails, cell: &mut Cell<'_>) {
    match content.archived_at {
        Some(_) => cell.text(&display_title(content, cell.language())),
        None => cell.optional_text(content.title.as_ref()),
    }
}

fn archived(content: &ContentDetails, cell: &mut Cell<'_>) {
    cell.yes_or_no(content.archived_at.is_some());
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
    cell.optional_text(content.source.as_ref());
}

fn learning_type(content: &ContentDetails, cell: &mut Cell<'_>) {
    if let Some(learning_type) = content.learning_type {
        cell.label(learning_type.label_in(cell.language()));
    }
}

fn content_format(content: &ContentDetails, cell: &mut Cell<'_>) {
    if let Some(format) = content.content_type {
        cell.label(format.label_in(cell.language()));
    }
}

fn happened_at(row: &BriefRow, cell: &mut Cell<'_>) {
    cell.time(Some(row.happened_at));
}

fn completed(row: &BriefRow, cell: &mut Cell<'_>) {
    cell.yes_or_no(row.completed);
}

fn expired_at(row: &BriefRow, cell: &mut Cell<'_>) {
    cell.time(row.expired_at);
}

fn score(row: &BriefRow, cell: &mut Cell<'_>) {
    cell.percent(row.percent);
}

fn score_number(row: &BriefRow, cell: &mut Cell<'_>) {
    cell.percent_number(row.percent);
}

fn seconds(row: &BriefRow, cell: &mut Cell<'_>) {
    cell.number(row.seconds);
}

fn activity_id(row: &Row, cell: &mut Cell<'_>) {
    cell.uuid(Some(row.id.0));
}

fn registration(row: &Row, cell: &mut Cell<'_>) {
    cell.uuid(row.projected.registration);
}

fn device_type(row: &Row, cell: &mut Cell<'_>) {
    cell.optional_text(row.projected.device_type.as_ref());
}

fn origin(row: &Row, cell: &mut Cell<'_>) {
    cell.label(row.projected.origin.key());
}

fn recorded_by(row: &Row, cell: &mut Cell<'_>) {
    cell.optional_text(row.projected.recorded_by.as_ref());
}

fn stored_at(row: &Row, cell: &mut Cell<'_>) {
    cell.time(Some(row.stored_at));
}

fn time_limit_exceeded(row: &Row, cell: &mut Cell<'_>) {
    if let Some(exceeded) = row.projected.time_limit_exceeded() {
        cell.yes_or_no(exceeded);
    }
}

fn result(row: &BriefRow, cell: &mut Cell<'_>) {
    cell.grade(row.success);
}

fn total_time(row: &BriefRow, cell: &mut Cell<'_>) {
    if let Some(seconds) = row.seconds {
        cell.duration(seconds);
    }
}

fn certificate_expires_at(row: &BriefRow, cell: &mut Cell<'_>) {
    cell.time(row.certificate_expires_at);
}

fn certificate_name(row: &Row, cell: &mut Cell<'_>) {
    cell.optional_text(
        row.projected
            .certificate
            .as_ref()
            .and_then(|certificate| certificate.name.as_ref()),
    );
}

/// Writes the source of the record. The column contains the content's library if the record has no source.
/// [`effective_source`](crate::log::activity::effective_source) has the same rule.
fn row_source(row: &Row, cell: &mut Cell<'_>) -> bool {
    cell.optional_text(row.projected.source.as_ref());
    row.projected.source.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::cell::CellFormat;
    use crate::texts::Language;

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

    const FULL: [&str; 17] = [
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
        "Identifier",
        "Manager ID",
        "Team IDs",
        "Archived",
        "Score",
        "Time limit exceeded",
        "Stored at",
    ];

    #[test]
    fn each_set_has_the_specified_headings() {
        assert_eq!(headings(Standard), STANDARD);
        assert_eq!(headings(Elearning), [&STANDARD[..], &ELEARNING].concat());
        assert_eq!(headings(Full), [&STANDARD[..], &ELEARNING, &FULL].concat());
    }

    #[test]
    fn only_the_full_set_reads_whole_rows() {
        assert_eq!(Standard.detail(), Detail::Brief);
        assert_eq!(Elearning.detail(), Detail::Brief);
        assert_eq!(Full.detail(), Detail::Whole);
    }

    #[test]
    fn set_is_parsed_from_its_exact_key() {
        for set in ColumnSet::ALL {
            assert_eq!(set.key().parse(), Ok(*set));
            assert_eq!(serde_json::to_string(set).unwrap(), format!("\"{set}\""));
        }
        assert!("Full".parse::<ColumnSet>().is_err());
        assert!("".parse::<ColumnSet>().is_err());
        assert_eq!(ColumnSet::default(), Elearning);
    }

    /// [`Cell::label`] writes a label without quoting or escaping it.
    #[test]
    fn labels_need_no_quotes_and_no_escaping() {
        use crate::catalogue::{ContentFormat, LearningType};
        use crate::log::progress::State;
        for language in Language::all() {
            let mut labels: Vec<&str> = Action::ALL
                .iter()
                .map(|action| action.label_in(language))
                .collect();
            labels.extend(LearningType::ALL.iter().map(|one| one.label_in(language)));
            labels.extend(ContentFormat::ALL.iter().map(|one| one.label_in(language)));
            labels.extend(Role::ALL.iter().map(|role| role.label_in(language)));
            labels.extend(State::ALL.iter().map(|state| state.label_in(language)));
            labels.extend(crate::record::Origin::ALL.iter().map(|origin| origin.key()));
            for (group, key) in [
                ("answer", "yes"),
                ("answer", "no"),
                ("grade", "passed"),
                ("grade", "failed"),
                ("status", "active"),
                ("status", "deactivated"),
            ] {
                labels.push(language.label(group, key));
            }
            for label in labels {
                let mut out = Vec::new();
                Cell::new(&mut out, CellFormat::default()).text(label);
                assert!(!label.is_empty());
                assert_eq!(out, label.as_bytes(), "{language}");
            }
        }
    }
}
