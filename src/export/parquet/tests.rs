//! Tests of row groups. They read the files with the reader of the same crate; `tests/it/v1/exports/parquet.rs` reads
//! them with other programs.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field as Cell;

use super::groups::{GROUP_BYTES, GROUP_ROWS};
use super::*;
use crate::export::columns::COLUMNS;
use crate::export::{Blocks, Transfer, testing};
use crate::log::{ContentKey, PersonKey, Row};
use crate::store::SkippedRows;

/// A writer without a store, with the details of the test's row.
struct Writer {
    layout: Layout,
    rendered: RenderedCells<Codes>,
    groups: RowGroups,
}

fn writer() -> Writer {
    let fields = vec!["Cost centre".to_owned(), "Role".to_owned()];
    let (layout, columns) = Layout::new(ColumnSet::Full, Language::ENGLISH, fields);
    let rendered = testing::rendered(&layout, &testing::person());
    Writer {
        layout,
        rendered,
        groups: RowGroups::new(&columns).unwrap(),
    }
}

fn write_group(writer: &mut Writer) {
    let written = writer.layout.write_group(&writer.rendered, &mut writer.groups);
    written.unwrap();
}

/// The file with these rows.
fn file(writer: &mut Writer, rows: &[Row]) -> SerializedFileReader<Bytes> {
    let mut file = Vec::new();
    let rows: Vec<FileRow> = rows.iter().cloned().map(FileRow::from).collect();
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let added = writer.layout.add_rows(rest, &writer.rendered, &mut writer.groups);
        rest = added.unwrap();
        if writer.groups.is_full() {
            write_group(writer);
        }
    }
    write_group(writer);
    writer.groups.finish().unwrap();
    writer.groups.move_bytes(&mut file).unwrap();
    SerializedFileReader::new(Bytes::from(file)).unwrap()
}

#[test]
fn every_column_takes_the_values_of_its_type() {
    let reader = file(&mut writer(), &[testing::row()]);
    let row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
    let cells: Vec<(&String, &Cell)> = row.get_column_iter().collect();
    assert_eq!(cells.len(), COLUMNS.len() + 2);
    let cell = |heading: &str| {
        let found = cells.iter().find(|(name, _)| *name == heading);
        found.unwrap_or_else(|| panic!("no column {heading}")).1
    };
    for (heading, expected) in [
        ("First name", Cell::Str("Bo".to_owned())),
        ("Job title", Cell::Str("-5".to_owned())),
        ("Join date", Cell::Date(18_718)),
        ("Deactivated", Cell::TimestampMicros(testing::AT.micros())),
        ("Happened at", Cell::TimestampMicros(testing::AT.micros())),
        ("Completed", Cell::Bool(false)),
        ("E-learning / Quiz score", Cell::Double(45.5)),
        ("Score", Cell::Double(45.5)),
        ("Total time in seconds", Cell::Long(3_900)),
        ("Archived", Cell::Bool(false)),
        ("Time limit exceeded", Cell::Bool(true)),
        ("Cost centre", Cell::Str("4711".to_owned())),
        ("Role (custom)", Cell::Null),
        ("Identifier", Cell::Null),
    ] {
        assert_eq!(*cell(heading), expected, "{heading}");
    }
    for (heading, expected) in [
        ("Tags", "[\"safety\", \"fire\"]"),
        ("Secondary teams", "[\"North\", \"Safety\"]"),
    ] {
        assert_eq!(cell(heading).to_string(), expected, "{heading}");
    }
    let filled = cells.iter().filter(|(_, cell)| **cell != Cell::Null).count();
    assert_eq!(
        filled,
        COLUMNS.len(),
        "all but `Identifier` and `Role (custom)` have a value, and `Cost centre` too"
    );
}

#[test]
fn row_without_content_has_no_list_and_a_content_without_tags_an_empty_one() {
    let mut writer = writer();
    let without_tags = ContentDetails {
        tags: Vec::new(),
        ..testing::content()
    };
    let layout = &writer.layout;
    let contents = &mut writer.rendered.contents;
    contents.add(ContentKey(2), |cells| layout.add_content(&without_tags, cells));
    let rows = [
        Row {
            content: None,
            ..testing::row()
        },
        Row {
            content: Some(ContentKey(2)),
            ..testing::row()
        },
    ];
    let reader = file(&mut writer, &rows);
    let tags: Vec<String> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            let row = row.unwrap();
            let tags = row.get_column_iter().find(|(name, _)| *name == "Tags");
            tags.unwrap().1.to_string()
        })
        .collect();
    assert_eq!(tags, ["null", "[]"]);
}

/// A writer that only its heading is read from: the rows of the test come without details.
struct Heading(RowGroups);

impl WriteLines for Heading {
    type Item = Row;
    const SENDS_HEADING_EARLY: bool = Rows::SENDS_HEADING_EARLY;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        self.0.move_bytes(out).unwrap();
    }

    async fn load(&mut self, _: &[Row]) -> Result<(), ExportError> {
        Ok(())
    }

    fn write_line(&mut self, _: &Row, _: &mut Vec<u8>) -> Result<(), ExportError> {
        Ok(())
    }
}

#[tokio::test]
async fn first_bytes_are_sent_with_the_first_rows() {
    let first: Result<_, StoreError> = Ok(vec![testing::row()]);
    let rows = stream::iter([first]).chain(stream::pending());
    let blocks = Blocks::start(
        rows,
        Heading(writer().groups),
        Transfer::in_process(()),
        SkippedRows::default(),
    );
    let blocks = tokio::time::timeout(Duration::from_secs(10), blocks)
        .await
        .unwrap();
    assert_eq!(blocks.unwrap().next().await.unwrap().unwrap(), b"PAR1");
}

#[test]
fn group_is_full_after_its_rows_or_its_bytes() {
    let mut writer = writer();
    let mut many = testing::person();
    many.user.as_mut().unwrap().secondary_teams = vec!["x".to_owned(); GROUP_BYTES / 6 + 1];
    let layout = &writer.layout;
    let persons = &mut writer.rendered.persons;
    persons.add(PersonKey(2), |cells| layout.add_person(&many, cells));
    // The ids of a row, each after its length.
    let rows_of_ids = GROUP_BYTES.div_ceil(2 * (36 + 4));
    assert!(rows_of_ids > GROUP_ROWS);
    for (person, rows) in [(PersonKey(1), GROUP_ROWS), (PersonKey(2), 1)] {
        for number in 1..=rows {
            let row = FileRow::from(Row {
                person,
                ..testing::row()
            });
            let rows_of_test = [row];
            let added = writer
                .layout
                .add_rows(&rows_of_test, &writer.rendered, &mut writer.groups);
            assert!(added.unwrap().is_empty());
            assert_eq!(writer.groups.is_full(), number == rows, "{number}");
        }
        write_group(&mut writer);
    }
}

/// Several row groups, in which persons come and go, and one begins with rows without content.
#[test]
fn rows_of_all_groups_have_their_texts() {
    let mut writer = writer();
    for key in 2..=40 {
        let mut person = testing::person();
        person.user.as_mut().unwrap().first_name = (key % 5 > 0).then(|| format!("Bo {}", key % 7));
        let layout = &writer.layout;
        let persons = &mut writer.rendered.persons;
        persons.add(PersonKey(key), |cells| layout.add_person(&person, cells));
    }
    let person_of = |number: usize| PersonKey(((number * number) % 37 + number / 33_000) as i64 + 1);
    let rows: Vec<Row> = (0..66_000)
        .map(|number| Row {
            person: person_of(number),
            content: (number % 3 > 0 && number > 100).then_some(ContentKey(1)),
            ..testing::row()
        })
        .collect();
    let reader = file(&mut writer, &rows);
    assert_eq!(reader.num_row_groups(), 2);
    let cell = |row: &parquet::record::Row, heading: &str| {
        let found = row.get_column_iter().find(|(name, _)| *name == heading);
        found.unwrap().1.clone()
    };
    let mut count = 0;
    for (number, row) in reader.get_row_iter(None).unwrap().enumerate() {
        let row = row.unwrap();
        count += 1;
        if number % 97 != 0 && number != 65_999 {
            continue;
        }
        let PersonKey(key) = person_of(number);
        let name = match key {
            1 => Cell::Str("Bo".to_owned()),
            key if key % 5 > 0 => Cell::Str(format!("Bo {}", key % 7)),
            _ => Cell::Null,
        };
        assert_eq!(cell(&row, "First name"), name, "{number}");
        let title = match rows[number].content {
            Some(_) => Cell::Str("Fire, \"Safety\"".to_owned()),
            None => Cell::Null,
        };
        assert_eq!(cell(&row, "Title"), title, "{number}");
        assert_eq!(cell(&row, "Identifier"), Cell::Null);
    }
    assert_eq!(count, rows.len());
}
