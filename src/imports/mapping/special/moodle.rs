//! The log and the activity completion report of Moodle.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{CellFault, Columns, Members, Row, fold_heading};

/// The columns of the completion report that say which user a row is about.
pub(super) const IDENTITY: [&str; 3] = ["Email address", "ID number", "Username"];

/// Further columns of the completion report that are not activities.
const OTHER_IDENTITY: [&str; 9] = [
    "",
    "name",
    "first name",
    "last name",
    "institution",
    "department",
    "phone",
    "mobile phone",
    "country",
];

/// The user of an event that the record is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The one that did it.
    User,
    /// The one that it happened to.
    Affected,
}

/// The events that mean an activity.
const EVENTS: [(&str, &str, Who); 30] = [
    ("Course viewed", "viewed", Who::User),
    ("Course module viewed", "viewed", Who::User),
    ("User has logged in", "logged_in", Who::User),
    ("User logged out", "logged_out", Who::User),
    ("User enrolled in course", "enrolled_for", Who::Affected),
    ("User unenrolled from course", "unenrolled", Who::Affected),
    ("Course completed", "completed", Who::Affected),
    ("Quiz attempt started", "started", Who::User),
    ("Quiz attempt submitted", "submitted", Who::User),
    ("Quiz attempt viewed", "viewed", Who::User),
    ("Quiz attempt reviewed", "viewed", Who::User),
    ("Lesson started", "started", Who::User),
    ("Lesson ended", "completed", Who::User),
    ("Lesson resumed", "started", Who::User),
    ("Question answered", "answered", Who::User),
    ("Choice answer added", "answered", Who::User),
    ("Choice made", "answered", Who::User),
    ("Response submitted", "submitted", Who::User),
    ("Survey response submitted", "submitted", Who::User),
    ("Sco launched", "started", Who::User),
    ("A submission has been submitted.", "submitted", Who::User),
    ("Submission submitted", "submitted", Who::User),
    ("The submission has been graded.", "graded", Who::Affected),
    ("User graded", "graded", Who::Affected),
    ("Badge awarded", "received_certificate_for", Who::Affected),
    ("Certificate issued", "received_certificate_for", Who::Affected),
    ("Folder downloaded", "downloaded", Who::User),
    ("Zip archive of folder downloaded", "downloaded", Who::User),
    ("Chapter viewed", "viewed", Who::User),
    ("Discussion viewed", "viewed", Who::User),
];

/// The folder of a kind of activity in Moodle's addresses, by the name before its title, with type and content type.
const KINDS: [(&str, &str, &str, Option<&str>); 12] = [
    ("quiz", "quiz", "quiz", None),
    ("assignment", "assign", "exercise", None),
    ("feedback", "feedback", "survey", None),
    ("survey", "survey", "survey", None),
    ("scorm package", "scorm", "item", Some("scorm")),
    ("file", "resource", "item", Some("document")),
    ("page", "page", "item", Some("article")),
    ("book", "book", "item", Some("book")),
    ("url", "url", "item", Some("link")),
    ("forum", "forum", "item", Some("other")),
    ("lesson", "lesson", "item", Some("other")),
    ("folder", "folder", "item", Some("other")),
];

/// An event of the log.
pub(super) fn read_log(
    columns: &Columns<'_>,
    cells: &[String],
    home_page: &str,
) -> Result<Members, CellFault> {
    const EVENT: &str = "Event name";
    let row = Row { columns, cells };
    let event = row.cell(EVENT);
    let found = EVENTS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(event));
    let Some((_, action, who)) = found else {
        return Err(CellFault::new(
            EVENT,
            format!("the event `{event}` is not known as an activity; import it with a mapping of your own"),
        ));
    };
    let description = row.cell("Description");
    let users = find_ids(description, "user with id");
    let (id, heading) = match who {
        Who::Affected if users.len() > 1 => (users.get(1), "Affected user"),
        Who::Affected | Who::User => (users.first(), "User full name"),
    };
    let Some(id) = id else {
        return Err(CellFault::new(
            "Description",
            "does not name the id of the user, as in `The user with id '2' …`",
        ));
    };
    let mut user = json!({"account": {"homePage": home_page, "name": id}});
    let name = row.cell(heading);
    if !name.is_empty() && name != "-" {
        user["name"] = json!(name);
    }
    let mut members = Members::new();
    members.insert("user".to_owned(), user);
    members.insert("action".to_owned(), json!(action));
    members.insert("happened_at".to_owned(), row.time("Time", row.cell("Time"))?);
    members.insert("source".to_owned(), json!("Moodle"));
    if !["logged_in", "logged_out"].contains(action) {
        members.insert("content".to_owned(), find_content(&row, description, home_page)?);
    }
    Ok(members)
}

/// The course or the activity that an event is about.
fn find_content(row: &Row<'_, '_>, description: &str, home_page: &str) -> Result<Value, CellFault> {
    const CONTEXT: &str = "Event context";
    let (kind, title) = row
        .cell(CONTEXT)
        .split_once(": ")
        .unwrap_or(("", row.cell(CONTEXT)));
    let modules = find_ids(description, "course module id");
    let modules = if modules.is_empty() {
        find_ids(description, "course module with id")
    } else {
        modules
    };
    let courses = find_ids(description, "course with id");
    let (iri, learning_type, content_type) = if let Some(id) = modules.first() {
        let name = fold_heading(kind);
        let known = KINDS.iter().find(|(known, ..)| *known == name);
        let (_, folder, learning_type, content_type) =
            known.copied().unwrap_or(("", "unknown", "item", Some("other")));
        (
            format!("{home_page}/mod/{folder}/view.php?id={id}"),
            learning_type,
            content_type,
        )
    } else if let Some(id) = courses.first() {
        (
            format!("{home_page}/course/view.php?id={id}"),
            "item",
            Some("course"),
        )
    } else {
        return Err(CellFault::new(
            "Description",
            "does not name the id of a course or of a course module, so the content is not known",
        ));
    };
    let mut content = json!({"iri": iri, "type": learning_type});
    if let Some(content_type) = content_type {
        content["content_type"] = json!(content_type);
    }
    // An event about a course can happen within the context of another thing.
    if !title.is_empty() && (!modules.is_empty() || fold_heading(kind) == "course") {
        content["title"] = json!(title);
    }
    Ok(content)
}

/// The ids after a text: `'2'` in `The user with id '2' viewed …`.
fn find_ids<'d>(description: &'d str, before: &str) -> Vec<&'d str> {
    let rests = description.split(before).skip(1);
    let ids = rests.filter_map(|rest| rest.trim_start().strip_prefix('\'')?.split('\'').next());
    ids.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
        .collect()
}

/// The completions of a user.
pub(super) fn read_completion(
    columns: &Columns<'_>,
    cells: &[String],
    home_page: &str,
) -> Result<Vec<Members>, CellFault> {
    let row = Row { columns, cells };
    let user = read_completion_user(&row, home_page)?;
    let is_identity = |heading: &String| {
        let heading = fold_heading(heading);
        OTHER_IDENTITY.contains(&heading.as_str())
            || IDENTITY.iter().any(|known| fold_heading(known) == heading)
    };
    let first = columns.headings.iter().position(|heading| !is_identity(heading));
    let first = first.unwrap_or(columns.headings.len());
    let titles = columns.headings[first..]
        .chunks(2)
        .filter_map(|pair| pair.first());
    let mut activities = Vec::new();
    for (title, pair) in titles.zip(cells.get(first..).unwrap_or_default().chunks(2)) {
        let state = pair.first().map_or("", String::as_str);
        let Some(success) = read_state(title, state)? else {
            continue;
        };
        let date = pair.get(1).map_or("", |date| date.trim());
        if date.is_empty() {
            return Err(CellFault::new(title, "the completion has no date"));
        }
        let iri = format!(
            "{home_page}/#activity={}",
            utf8_percent_encode(title, NON_ALPHANUMERIC)
        );
        let mut activity = json!({
            "user": user, "action": if success == Some(false) { "failed" } else { "completed" },
            "content": {"iri": iri, "title": title}, "source": "Moodle",
            "happened_at": row.time(title, date)?,
        });
        if let Some(success) = success {
            activity["result"] = json!({"success": success});
        }
        if let Value::Object(members) = activity {
            activities.push(members);
        }
    }
    Ok(activities)
}

/// The user of a row of the completion report.
fn read_completion_user(row: &Row<'_, '_>, home_page: &str) -> Result<Value, CellFault> {
    Ok(match row.first(&IDENTITY) {
        Some(("Email address", email)) => json!({"email": email}),
        Some(("ID number", id)) => json!(id),
        Some((_, name)) => json!({"account": {"homePage": home_page, "name": name}}),
        None => {
            return Err(CellFault::new(
                IDENTITY[0],
                "is empty; it says which user the row is about",
            ));
        }
    })
}

/// Whether a completion was a success, if the report knows it. The outer `None`: it is not completed.
fn read_state(title: &str, state: &str) -> Result<Option<Option<bool>>, CellFault> {
    let state = fold_heading(state);
    Ok(match state.as_str() {
        "" => None,
        state if state.starts_with("not completed") => None,
        state if state.contains("did not achieve pass grade") || state.starts_with("failed") => {
            Some(Some(false))
        }
        state if state.contains("achieved pass grade") || state.starts_with("passed") => Some(Some(true)),
        state if state.starts_with("completed") => Some(None),
        state => {
            return Err(CellFault::new(
                title,
                format!("`{state}` is not a state of Moodle's report"),
            ));
        }
    })
}
