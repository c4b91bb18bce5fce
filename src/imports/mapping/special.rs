//! Exports that no table of columns describes.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use strum::VariantArray as _;

use super::named::find_action;
use super::{CellFault, Columns, SpecialLayout, fold_heading};
use crate::catalogue::{ContentFormat, LearningType};
use crate::imports::fields::Members;
use crate::log::Action;

mod moodle;

const EMAIL: &str = "Email address";

/// The columns of Learn Amp's Activity Log that give the fields of the short form.
const LEARN_AMP_FIELDS: [(&str, &str); 9] = [
    ("user", EMAIL),
    ("action", "Action"),
    ("verb", "Verb"),
    ("content", "Unique ID"),
    ("happened_at", "Happened at"),
    ("expired_at", "Expired at"),
    ("result", "E-learning / Quiz score"),
    ("certificate", "Certificate expires at"),
    ("registration", "Registration"),
];

/// Alternatives of the headings of SmarterU's report, which has had several names for the same column.
mod smarteru {
    pub(super) const EMAIL: [&str; 3] = ["Email", "Email Address", "User Email"];
    pub(super) const EMPLOYEE: [&str; 2] = ["Employee ID", "User ID"];
    pub(super) const COURSE: [&str; 4] = ["Course Name", "Course", "Course Title", "Learning Module"];
    pub(super) const COURSE_ID: [&str; 3] = ["Course ID", "Course Code", "Learning Module ID"];
    pub(super) const ENROLLED: [&str; 4] = ["Enrolled Date", "Date Enrolled", "Enrollment Date", "Enrolled"];
    pub(super) const STARTED: [&str; 3] = ["Started Date", "Date Started", "Start Date"];
    pub(super) const COMPLETED: [&str; 4] =
        ["Completed Date", "Date Completed", "Completion Date", "Completed"];
    pub(super) const GRADE: [&str; 3] = ["Grade", "Grade Percentage", "Score"];
    pub(super) const STATUS: [&str; 4] = ["Status", "Enrollment Status", "Completion Status", "Result"];
}

impl SpecialLayout {
    /// The columns without which no row can be read. Each is a list of alternative headings.
    pub(super) fn required_headings(&self) -> Vec<Vec<&'static str>> {
        match self {
            Self::LearnAmp => vec![
                vec![EMAIL, "User ID", "Identifier"],
                vec!["Action"],
                vec!["Happened at"],
            ],
            Self::SmarterU => vec![
                [smarteru::EMAIL.as_slice(), &smarteru::EMPLOYEE].concat(),
                smarteru::COURSE.to_vec(),
                [
                    smarteru::ENROLLED.as_slice(),
                    &smarteru::STARTED,
                    &smarteru::COMPLETED,
                ]
                .concat(),
            ],
            Self::MoodleLog { .. } => vec![vec!["Time"], vec!["Event name"], vec!["Description"]],
            Self::MoodleCompletion { .. } => vec![moodle::IDENTITY.to_vec()],
            Self::LearningLocker => Vec::new(),
        }
    }

    /// The heading of the column that gives a field, if there is one.
    pub(super) fn heading_of(&self, field: &str) -> Option<&'static str> {
        let name = field.split('.').next()?;
        let fields: &[(&str, &str)] = match self {
            Self::LearnAmp => &LEARN_AMP_FIELDS,
            Self::SmarterU => &[("user", "Email"), ("content", "Course Name"), ("result", "Grade")],
            Self::MoodleLog { .. } => &[
                ("user", "Description"),
                ("content", "Description"),
                ("happened_at", "Time"),
            ],
            Self::MoodleCompletion { .. } => &[("user", "Email address")],
            Self::LearningLocker => &[],
        };
        let found = fields.iter().find(|(known, _)| *known == name);
        found.map(|(_, heading)| *heading)
    }

    /// The activities of a row.
    pub(super) fn read(&self, columns: &Columns<'_>, cells: &[String]) -> Result<Vec<Members>, CellFault> {
        match self {
            Self::LearnAmp => read_learn_amp(columns, cells).map(|one| vec![one]),
            Self::SmarterU => read_smarteru(columns, cells),
            Self::MoodleLog { home_page } => moodle::read_log(columns, cells, home_page).map(|one| vec![one]),
            Self::MoodleCompletion { home_page } => moodle::read_completion(columns, cells, home_page),
            Self::LearningLocker => Err(CellFault::new(
                "",
                "statements of Learning Locker are NDJSON or a JSON array, not a CSV",
            )),
        }
    }
}

/// The cells of a row by their headings.
struct Row<'r, 'm> {
    columns: &'r Columns<'m>,
    cells: &'r [String],
}

impl<'r> Row<'r, '_> {
    fn cell(&self, heading: &str) -> &'r str {
        self.columns.cell(self.cells, heading)
    }

    /// The first of these headings with a cell that is not empty, and the cell.
    fn first(&self, headings: &[&'static str]) -> Option<(&'static str, &'r str)> {
        let cells = headings.iter().map(|heading| (*heading, self.cell(heading)));
        cells.into_iter().find(|(_, cell)| !cell.is_empty())
    }

    fn time(&self, heading: &str, cell: &str) -> Result<Value, CellFault> {
        let parsed = self.columns.mapping.dates.parse(cell);
        let at = parsed.map_err(|error| CellFault::new(heading, error.to_string()))?;
        Ok(json!(at.to_precise_text()))
    }

    /// The time of a cell, if it is not empty.
    fn optional_time(&self, heading: &str) -> Result<Option<Value>, CellFault> {
        match self.cell(heading) {
            "" => Ok(None),
            cell => self.time(heading, cell).map(Some),
        }
    }
}

/// Sets a member to a text that is not empty.
fn set_text(members: &mut Members, name: &str, text: &str) {
    if !text.is_empty() {
        members.insert(name.to_owned(), json!(text));
    }
}

/// A percentage such as `92%` or `92.5`.
fn parse_percent(heading: &str, cell: &str) -> Result<Value, CellFault> {
    let number = cell.trim_end_matches('%').trim_end();
    let number = serde_json::from_str::<serde_json::Number>(number);
    number
        .map(Value::Number)
        .map_err(|_| CellFault::new(heading, format!("`{cell}` is not a percentage such as `92%`")))
}

fn read_learn_amp(columns: &Columns<'_>, cells: &[String]) -> Result<Members, CellFault> {
    let row = Row { columns, cells };
    let mut members = Members::new();
    members.insert("user".to_owned(), learn_amp_user(&row)?);
    let label = row.cell("Action");
    let action = find_action(label);
    match (row.cell("Verb"), action) {
        ("", Some(action)) => members.insert("action".to_owned(), json!(action.key())),
        ("", None) => {
            return Err(CellFault::new(
                "Action",
                format!("`{label}` is not an action of GET /v1/actions"),
            ));
        }
        (verb, _) => members.insert("verb".to_owned(), json!(verb)),
    };
    if !action.is_some_and(Action::is_session)
        && let Some(content) = learn_amp_content(&row)?
    {
        members.insert("content".to_owned(), content);
    }
    members.insert(
        "happened_at".to_owned(),
        row.time("Happened at", row.cell("Happened at"))?,
    );
    if let Some(at) = row.optional_time("Expired at")? {
        members.insert("expired_at".to_owned(), at);
    }
    let result = learn_amp_result(&row, action)?;
    if !result.is_empty() {
        members.insert("result".to_owned(), Value::Object(result));
    }
    let mut certificate = Members::new();
    set_text(&mut certificate, "name", row.cell("Certificate name"));
    if let Some(at) = row.optional_time("Certificate expires at")? {
        certificate.insert("expires_at".to_owned(), at);
    }
    if !certificate.is_empty() {
        members.insert("certificate".to_owned(), Value::Object(certificate));
    }
    for (name, heading) in [
        ("device_type", "Device type"),
        ("source", "Source"),
        ("registration", "Registration"),
    ] {
        set_text(&mut members, name, row.cell(heading));
    }
    Ok(members)
}

fn learn_amp_user(row: &Row<'_, '_>) -> Result<Value, CellFault> {
    match (row.cell(EMAIL), row.cell("User ID"), row.cell("Identifier")) {
        ("", "", "") => Err(CellFault::new(
            EMAIL,
            "is empty; it says which user the activity is about",
        )),
        ("", "", identifier) => serde_json::from_str(identifier).map_err(|error| {
            CellFault::new(
                "Identifier",
                format!("this is not an xAPI agent as JSON: {error}"),
            )
        }),
        ("", id, _) => Ok(json!(id)),
        (email, ..) => Ok(json!({"email": email})),
    }
}

fn learn_amp_content(row: &Row<'_, '_>) -> Result<Option<Value>, CellFault> {
    let title = row.cell("Title");
    let title = title.strip_suffix(" (Archived)").unwrap_or(title);
    let id = row.cell("Unique ID");
    if id.is_empty() {
        return match title {
            "" => Ok(None),
            _ => Err(CellFault::new(
                "Unique ID",
                "is empty; it says which content the activity is about",
            )),
        };
    }
    // A content that only statements have named has its IRI as id.
    let is_iri = ["http://", "https://", "urn:"]
        .iter()
        .any(|scheme| id.starts_with(scheme));
    let mut content = Members::new();
    content.insert(if is_iri { "iri" } else { "id" }.to_owned(), json!(id));
    set_text(&mut content, "title", title);
    let types = LearningType::VARIANTS.iter().map(|one| (one.label(), one.key()));
    if let Some(key) = find_label(row, "Type", types)? {
        content.insert("type".to_owned(), json!(key));
    }
    let formats = ContentFormat::VARIANTS.iter().map(|one| (one.label(), one.key()));
    if let Some(key) = find_label(row, "Content Type", formats)? {
        content.insert("content_type".to_owned(), json!(key));
    }
    Ok(Some(Value::Object(content)))
}

/// The key of the label in a cell; `None` for an empty cell.
fn find_label(
    row: &Row<'_, '_>,
    heading: &str,
    labels: impl Iterator<Item = (&'static str, &'static str)> + Clone,
) -> Result<Option<&'static str>, CellFault> {
    let cell = row.cell(heading);
    if cell.is_empty() {
        return Ok(None);
    }
    let found = labels
        .clone()
        .find(|(label, _)| fold_heading(label) == fold_heading(cell));
    let found = found.ok_or_else(|| {
        let known: Vec<&str> = labels.map(|(label, _)| label).collect();
        CellFault::new(
            heading,
            format!("`{cell}` is not known; known are {}", known.join(", ")),
        )
    });
    found.map(|(_, key)| Some(key))
}

fn learn_amp_result(row: &Row<'_, '_>, action: Option<Action>) -> Result<Members, CellFault> {
    const RESULT: &str = "E-learning / Quiz result";
    const SCORE: &str = "E-learning / Quiz score";
    let mut result = Members::new();
    let success = match fold_heading(row.cell(RESULT)).as_str() {
        "" => None,
        "pass" | "passed" => Some(true),
        "fail" | "failed" => Some(false),
        other => {
            return Err(CellFault::new(
                RESULT,
                format!("`{other}` is not `Pass` or `Fail`"),
            ));
        }
    };
    if let Some(success) = success {
        result.insert("success".to_owned(), json!(success));
    }
    if !row.cell(SCORE).is_empty() {
        result.insert("score".to_owned(), parse_percent(SCORE, row.cell(SCORE))?);
    }
    set_text(&mut result, "total_time", row.cell("Total time in seconds"));
    // The action says it in other cases.
    if !action.is_some_and(Action::completes) && fold_heading(row.cell("Completed")) == "yes" {
        result.insert("completion".to_owned(), json!(true));
    }
    Ok(result)
}

fn read_smarteru(columns: &Columns<'_>, cells: &[String]) -> Result<Vec<Members>, CellFault> {
    let row = Row { columns, cells };
    let (user, content) = smarteru_subject(&row)?;
    let mut activities = Vec::new();
    let dates = [
        ("enrolled_for", smarteru::ENROLLED.as_slice()),
        ("started", &smarteru::STARTED),
        ("completed", &smarteru::COMPLETED),
    ];
    for (action, headings) in dates {
        let Some((heading, cell)) = row.first(headings) else {
            continue;
        };
        let mut members = Members::new();
        members.insert("user".to_owned(), user.clone());
        members.insert("content".to_owned(), content.clone());
        members.insert("happened_at".to_owned(), row.time(heading, cell)?);
        members.insert("source".to_owned(), json!("SmarterU"));
        let (action, result) = match action {
            "completed" => smarteru_result(&row)?,
            action => (action, Members::new()),
        };
        members.insert("action".to_owned(), json!(action));
        if !result.is_empty() {
            members.insert("result".to_owned(), Value::Object(result));
        }
        activities.push(members);
    }
    if activities.is_empty() {
        return Err(CellFault::new(
            "",
            "the row has no date of enrolment, start or completion",
        ));
    }
    Ok(activities)
}

/// The user and the course of an enrolment.
fn smarteru_subject(row: &Row<'_, '_>) -> Result<(Value, Value), CellFault> {
    let user = match (row.first(&smarteru::EMAIL), row.first(&smarteru::EMPLOYEE)) {
        (Some((_, email)), _) => json!({"email": email}),
        (None, Some((_, id))) => json!(id),
        (None, None) => {
            return Err(CellFault::new(
                "Email",
                "is empty; it says which user the row is about",
            ));
        }
    };
    let Some((_, title)) = row.first(&smarteru::COURSE) else {
        return Err(CellFault::new(
            "Course Name",
            "is empty; it says which course the row is about",
        ));
    };
    let name = row.first(&smarteru::COURSE_ID).map_or(title, |(_, id)| id);
    let iri = format!(
        "urn:smarteru:course:{}",
        utf8_percent_encode(name, NON_ALPHANUMERIC)
    );
    Ok((
        user,
        json!({"iri": iri, "title": title, "type": "item", "content_type": "course"}),
    ))
}

/// The action and result of a completed enrolment.
fn smarteru_result(row: &Row<'_, '_>) -> Result<(&'static str, Members), CellFault> {
    let mut result = Members::new();
    let mut words = row
        .first(&smarteru::STATUS)
        .map_or(String::new(), |(_, status)| status.to_lowercase());
    if let Some((heading, grade)) = row.first(&smarteru::GRADE) {
        match fold_heading(grade).as_str() {
            "pass" | "passed" | "fail" | "failed" => words.push_str(&fold_heading(grade)),
            "n/a" | "-" => {}
            _ => {
                result.insert("score".to_owned(), parse_percent(heading, grade)?);
            }
        }
    }
    let (action, success) = match (words.contains("fail"), words.contains("pass")) {
        (true, _) => ("failed", Some(false)),
        (false, true) => ("completed", Some(true)),
        (false, false) => ("completed", None),
    };
    if let Some(success) = success {
        result.insert("success".to_owned(), json!(success));
    }
    Ok((action, result))
}
