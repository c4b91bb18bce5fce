//! Tests of lines of CSV: the cells of each column, and the cache.

use super::super::testing::{self, AT_TEXT, cell};
use super::*;
use crate::log::{Action, ContentKey, Projected, Row};

fn layout(set: ColumnSet, raw: bool) -> Layout {
    let fields = vec!["Cost centre".to_owned(), "=Grade".to_owned(), "Grade".to_owned()];
    Layout::new(
        columns::columns(set),
        fields,
        CellFormat {
            raw,
            ..CellFormat::default()
        },
    )
}

/// The headings and cells of one line, parsed by the `csv` crate.
fn table(layout: &Layout, person: &PersonDetails, row: &Row) -> Vec<(String, String)> {
    let mut out = Vec::new();
    layout.write_heading(&mut out);
    let rendered = testing::rendered(layout, person);
    layout
        .write_line(&FileRow::from(row.clone()), &rendered, &mut out)
        .unwrap();
    testing::table(&out)
}

#[test]
fn full_row_has_a_value_in_every_column() {
    let table = table(
        &layout(ColumnSet::Full, false),
        &testing::person(),
        &testing::row(),
    );
    let expected = [
        ("Action", "Failed"),
        ("Title", "Fire, \"Safety\""),
        ("Type", "Quiz"),
        ("Content Type", "Video"),
        ("Unique ID", "fire"),
        ("Happened at", AT_TEXT),
        ("Completed", "No"),
        ("Expired at", AT_TEXT),
        ("Tags", "safety; fire"),
        ("E-learning / Quiz result", "Fail"),
        ("E-learning / Quiz score", "45.5%"),
        ("E-learning / Quiz total time", "1 hour 5 minutes"),
        ("Total time in seconds", "3900"),
        ("Certificate expires at", AT_TEXT),
        ("Activity ID", "0190a000-0000-7000-8000-000000000001"),
        ("User ID", "bo"),
        ("Verb", "http://adlnet.gov/expapi/verbs/failed"),
        ("Device type", "mobile"),
        ("Origin", "api"),
        ("Recorded by", "ada"),
        ("Source", "library"),
        ("CPD labels", "health"),
        ("Certificate name", "Fire, warden"),
        ("Registration", "0190a000-0000-7000-8000-00000000000a"),
        ("Identifier", ""),
        ("Manager ID", "ada"),
        ("Team IDs", "sales; north; safety"),
        ("Archived", "No"),
        ("Score", "45.5"),
        ("Time limit exceeded", "Yes"),
        ("Stored at", AT_TEXT),
        ("Cost centre", "4711"),
        ("'=Grade", ""),
        ("Grade", "'=A1"),
    ];
    assert_eq!(table, testing::cells_of_person(&expected));
}

#[test]
fn raw_does_not_escape_formulas() {
    let table = table(
        &layout(ColumnSet::Standard, true),
        &testing::person(),
        &testing::row(),
    );
    assert_eq!((cell(&table, "Job title"), cell(&table, "Grade")), ("-5", "=A1"));
    assert_eq!(cell(&table, "=Grade"), "");
}

#[test]
fn login_has_empty_content_cells_and_other_verbs_show_their_display() {
    let layout = layout(ColumnSet::Full, false);
    let mut row = testing::row();
    row.content = None;
    row.projected = Projected {
        action: Action::LoggedIn,
        completed: true,
        ..row.projected
    };
    let login = table(&layout, &testing::person(), &row);
    for heading in [
        "Title",
        "Type",
        "Content Type",
        "Unique ID",
        "Tags",
        "Source",
        "CPD labels",
        "Archived",
    ] {
        assert_eq!(cell(&login, heading), "", "{heading}");
    }
    assert_eq!(
        (cell(&login, "Action"), cell(&login, "Completed")),
        ("Logged in", "Yes")
    );

    row.projected.action = Action::Other;
    row.projected.source = Some("lms".to_owned());
    let other = table(&layout, &testing::person(), &row);
    assert_eq!(cell(&other, "Action"), "'=failed");
    assert_eq!(cell(&other, "Source"), "lms");
}

#[test]
fn person_without_user_has_name_and_email_of_the_record() {
    let layout = layout(ColumnSet::Full, false);
    let table = table(&layout, &testing::visitor(), &testing::row());
    assert_eq!(cell(&table, "First name"), "A. Visitor");
    assert_eq!(cell(&table, "Email address"), "visitor@example.com");
    assert_eq!(
        cell(&table, "Identifier"),
        r#"{"mbox":"mailto:visitor@example.com"}"#
    );
    for heading in [
        "Last name",
        "Role",
        "Status (at time of export)",
        "Deactivated",
        "User ID",
        "Manager ID",
        "Team IDs",
        "Grade",
    ] {
        assert_eq!(cell(&table, heading), "", "{heading}");
    }
}

#[test]
fn user_without_names_is_named_by_the_id() {
    let mut person = testing::person();
    let user = person.user.as_mut().unwrap();
    (user.first_name, user.last_name) = (None, None);
    let layout = layout(ColumnSet::Standard, false);
    let unnamed = table(&layout, &person, &testing::row());
    assert_eq!(
        (cell(&unnamed, "First name"), cell(&unnamed, "Last name")),
        ("bo", "")
    );
}

#[test]
fn title_of_an_archived_content_says_so() {
    let layout = layout(ColumnSet::Full, false);
    let content = ContentDetails {
        archived_at: Some(testing::AT),
        ..testing::content()
    };
    let mut rendered = testing::rendered(&layout, &testing::person());
    rendered
        .contents
        .add(ContentKey(1), |cells| layout.add_content(&content, cells));
    let mut out = Vec::new();
    layout.write_heading(&mut out);
    let row = FileRow::from(testing::row());
    layout.write_line(&row, &rendered, &mut out).unwrap();
    let table = testing::table(&out);
    assert_eq!(cell(&table, "Title"), "Fire, \"Safety\" (Archived)");
    assert_eq!(cell(&table, "Archived"), "Yes");
}

#[test]
fn neighbouring_columns_with_the_same_source_are_one_segment() {
    let layout = layout(ColumnSet::Elearning, false);
    let cells: Vec<usize> = layout.person_segments.iter().map(Vec::len).collect();
    assert_eq!(cells, [13, 3]);
    let cells: Vec<usize> = layout.content_segments.iter().map(Vec::len).collect();
    assert_eq!(cells, [4, 1]);
}

#[test]
fn row_with_missing_details_is_an_error_and_writes_nothing() {
    let layout = layout(ColumnSet::Standard, false);
    let mut out = Vec::new();
    assert!(
        layout
            .write_line(
                &FileRow::from(testing::row()),
                &RenderedCells::default(),
                &mut out
            )
            .is_err()
    );
    assert!(out.is_empty());
}
