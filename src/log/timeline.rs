//! Notes and timelines (docs/specification.md#notes, docs/specification.md#timelines).
//!
//! A [`Note`] is a text about a user. It is not a record, and only lists of notes and timelines show it. [`NoteForm`] and
//! [`NotePatch`] are the bodies from clients. A timeline has the activities of a user and the notes about them:
//! [`notes_match`] decides whether a filter keeps notes, and [`merge`] makes one list of both. Notes and records share one
//! order of recording, so a [`Position`] is unique in a timeline.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Faults, Place};
use crate::base::ids::UserId;
use crate::base::json::Node;
use crate::base::{Form, Page};

use super::activity::{Activity, ActivityRecorder};
use super::cursor::Position;
use super::filter::Filter;
use super::row::Row;
use super::short_form::MAX_COMMENT;

/// The longest text of a note, in characters.
pub const MAX_NOTE: usize = MAX_COMMENT;

/// The most versions of a note.
pub const MAX_NOTE_VERSIONS: i64 = 1_000;

/// A note about a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0190a000-0000-7000-8000-00000000000a", "user": "bo", "text": "Due dates extended: parental leave",
    "happened_at": "2026-03-01T09:00:00.000Z", "created_by": {"id": "ada", "name": "Ada Obi"},
    "created_at": "2026-03-02T08:30:00.000Z", "updated_at": "2026-03-02T08:30:00.000Z",
    "updated_by": {"id": "hal", "name": "Hal Roe"}
}))]
pub struct Note {
    /// The order of recording. It orders notes with the same [`Note::happened_at`].
    #[serde(skip)]
    pub seq: i64,
    /// The id.
    pub id: Uuid,
    /// The id of the user.
    #[schema(value_type = String)]
    pub user: UserId,
    /// The text.
    pub text: String,
    /// When the event of the note happened.
    #[schema(value_type = String, format = DateTime)]
    pub happened_at: Timestamp,
    /// The author, as given when the note was created.
    pub created_by: ActivityRecorder,
    /// When the note was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When the current version was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The user that wrote the current version.
    pub updated_by: ActivityRecorder,
}

impl Note {
    /// The position of the note in a timeline.
    pub fn position(&self) -> Position {
        Position {
            happened_at: self.happened_at,
            seq: self.seq,
        }
    }
}

/// An earlier version of a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "version": 1, "text": "Due dates extended", "happened_at": "2026-03-01T09:00:00.000Z",
    "updated_by": {"id": "hal", "name": "Hal Roe"}, "updated_at": "2026-03-02T08:30:00.000Z"
}))]
pub struct NoteVersion {
    /// The number of the version. The first one is 1.
    pub version: i64,
    /// The text.
    pub text: String,
    /// When the event of the note happened.
    #[schema(value_type = String, format = DateTime)]
    pub happened_at: Timestamp,
    /// The user that wrote this version.
    pub updated_by: ActivityRecorder,
    /// When this version was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// The body of a new note.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = NewNote, example = json!({
    "text": "Due dates extended: parental leave", "happened_at": "2026-03-01T09:00:00Z", "created_by": "ada"
}))]
pub struct NoteForm {
    /// The text: 1 to 10,000 characters, not only white space.
    #[schema(min_length = 1, max_length = 10_000)]
    pub text: String,
    /// When the event of the note happens, which may be in the future; default: now.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub happened_at: Option<Timestamp>,
    /// The id of the author, a user within the caller's reach; default: the caller. It can't be changed later.
    #[schema(value_type = Option<String>)]
    pub created_by: Option<UserId>,
}

impl NoteForm {
    /// Parses a body. `depth` is the limit for nested objects and arrays.
    ///
    /// # Errors
    ///
    /// All faults, each with its pointer.
    pub fn parse(text: &str, depth: usize) -> Result<Self, Faults> {
        parse_body(text, depth, |node, _, faults| Self::from_node(node, faults))
    }

    fn from_node(node: &Node<'_>, faults: &mut Faults) -> Option<Self> {
        let known = ["text", "happened_at", "created_by"];
        let mut form = Form::from_node(node, &Place::Root, "a note", &known, faults)?;
        let text = form.required_text("text", MAX_NOTE);
        Some(Self {
            happened_at: form.timestamp("happened_at"),
            created_by: form.value("created_by"),
            text: text?,
        })
    }
}

/// The changes of a note, by a merge patch (RFC 7396). No member can be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, ToSchema)]
#[schema(example = json!({"text": "Due dates extended until June: parental leave"}))]
pub struct NotePatch {
    /// The new text: 1 to 10,000 characters, not only white space.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 10_000)]
    pub text: Option<String>,
    /// The new time of the event.
    #[schema(value_type = String, format = DateTime, required = false)]
    pub happened_at: Option<Timestamp>,
}

impl NotePatch {
    /// Parses a patch. `depth` is the limit for nested objects and arrays.
    ///
    /// # Errors
    ///
    /// All faults, each with its pointer. `null` is a fault, because a note always has a text and a time.
    pub fn parse(text: &str, depth: usize) -> Result<Self, Faults> {
        parse_body(text, depth, |node, _, faults| Self::from_node(node, faults))
    }

    fn from_node(node: &Node<'_>, faults: &mut Faults) -> Option<Self> {
        let known = ["text", "happened_at", "created_by"];
        let mut form = Form::from_node(node, &Place::Root, "a change of a note", &known, faults)?;
        for (key, what) in [("text", "a text"), ("happened_at", "a time")] {
            if node.get(key) == Some(&Node::Null) {
                form.add_fault(
                    key,
                    format!("a note always has {what}; omit it, or give a new value"),
                );
            }
        }
        if node.get("created_by").is_some() {
            form.add_fault("created_by", "the author can't be changed; omit it");
        }
        let text = match form.get("text") {
            Some(_) => form.required_text("text", MAX_NOTE),
            None => None,
        };
        Some(Self {
            happened_at: form.timestamp("happened_at"),
            text,
        })
    }
}

/// The kind of an entry of a timeline.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::IntoStaticStr, strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EntryKind {
    /// An activity.
    System,
    /// A note.
    Manual,
}

impl EntryKind {
    /// Both kinds, in the order of the specification.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The value of the parameter `kind`.
    pub fn key(self) -> &'static str {
        self.into()
    }
}

/// A set of kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kinds {
    /// Activities.
    pub system: bool,
    /// Notes.
    pub manual: bool,
}

impl Kinds {
    /// Both kinds, the default.
    pub const BOTH: Self = Self {
        system: true,
        manual: true,
    };
    /// Neither kind: no entry matches.
    pub const NEITHER: Self = Self {
        system: false,
        manual: false,
    };

    /// Parses the values of the parameter `kind`, repeated or separated by commas; both kinds without a value.
    ///
    /// # Errors
    ///
    /// An unknown value, with a message for the client.
    pub fn parse<'v>(values: impl IntoIterator<Item = &'v str>) -> Result<Self, String> {
        let mut kinds = Self::NEITHER;
        for text in values.into_iter().flat_map(|value| value.split(',')) {
            match EntryKind::ALL.iter().find(|kind| kind.key() == text) {
                Some(EntryKind::System) => kinds.system = true,
                Some(EntryKind::Manual) => kinds.manual = true,
                None => return Err("is `system`, `manual` or both".to_owned()),
            }
        }
        Ok(if kinds == Self::NEITHER { Self::BOTH } else { kinds })
    }
}

/// An entry of a timeline, as the store reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An activity.
    System(Box<Row>),
    /// A note.
    Manual(Box<Note>),
}

impl Entry {
    /// The position in the timeline.
    pub fn position(&self) -> Position {
        match self {
            Self::System(row) => position(row),
            Self::Manual(note) => note.position(),
        }
    }
}

/// The JSON of an entry of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "happened_at": "2026-07-29T15:00:00.000Z", "kind": "manual", "description": "Moves to another department",
    "performed_by": {"id": "ada", "name": "Ada Obi"}, "activity": null,
    "note": {
        "id": "0190a000-0000-7000-8000-00000000000a", "user": "bo", "text": "Moves to another department",
        "happened_at": "2026-07-29T15:00:00.000Z", "created_by": {"id": "ada", "name": "Ada Obi"},
        "created_at": "2026-07-29T15:04:10.000Z", "updated_at": "2026-07-29T15:04:10.000Z",
        "updated_by": {"id": "ada", "name": "Ada Obi"}
    }
}))]
pub struct TimelineEntry {
    /// When the activity or the event of the note happened.
    #[schema(value_type = String, format = DateTime)]
    pub happened_at: Timestamp,
    /// The kind.
    pub kind: EntryKind,
    /// The description of the activity, or the text of the note.
    pub description: String,
    /// The recorder of the activity, or the author of the note; null for an activity without a recorder.
    #[schema(required)]
    pub performed_by: Option<ActivityRecorder>,
    /// The activity; null for a note.
    #[schema(required)]
    pub activity: Option<Activity>,
    /// The note; null for an activity.
    #[schema(required)]
    pub note: Option<Note>,
}

impl From<Activity> for TimelineEntry {
    fn from(activity: Activity) -> Self {
        Self {
            happened_at: activity.happened_at,
            kind: EntryKind::System,
            description: activity.description.clone(),
            performed_by: activity.recorded_by.clone(),
            activity: Some(activity),
            note: None,
        }
    }
}

impl From<Note> for TimelineEntry {
    fn from(note: Note) -> Self {
        Self {
            happened_at: note.happened_at,
            kind: EntryKind::Manual,
            description: note.text.clone(),
            performed_by: Some(note.created_by.clone()),
            activity: None,
            note: Some(note),
        }
    }
}

/// Whether notes about `subject` can pass the filter. A note has only a time and a subject, so any other filter removes
/// all notes.
pub fn notes_match(filter: &Filter, subject: &UserId) -> bool {
    filter.selects_only_time_of(subject)
}

/// Merges a page of rows and a page of notes into one page of at most `limit` entries. All pages have the newest entry
/// first. After the last element of a page that has more, the next entry is not known.
pub fn merge(rows: Page<Row>, notes: Page<Note>, limit: usize) -> Page<Entry> {
    let (more_rows, more_notes) = (rows.more, notes.more);
    let mut entries = Vec::with_capacity(limit.min(rows.items.len() + notes.items.len()));
    let (mut rows, mut notes) = (
        rows.items.into_iter().peekable(),
        notes.items.into_iter().peekable(),
    );
    while entries.len() < limit {
        let row_is_next = match (rows.peek(), notes.peek()) {
            (None, _) if more_rows => break,
            (_, None) if more_notes => break,
            (Some(row), Some(note)) => position(row) > note.position(),
            (row, _) => row.is_some(),
        };
        let next = if row_is_next {
            rows.next().map(|row| Entry::System(Box::new(row)))
        } else {
            notes.next().map(|note| Entry::Manual(Box::new(note)))
        };
        match next {
            Some(entry) => entries.push(entry),
            None => break,
        }
    }
    Page {
        items: entries,
        more: more_rows || more_notes || rows.peek().is_some() || notes.peek().is_some(),
    }
}

fn position(row: &Row) -> Position {
    Position {
        happened_at: row.projected.happened_at,
        seq: row.seq,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::filter::Moment;
    use crate::log::testing::{parse_time, projected, row};
    use crate::log::{Action, Period};

    fn note(happened_at: i64, seq: i64) -> Note {
        let author = ActivityRecorder {
            id: UserId::new("ada").unwrap(),
            name: None,
        };
        Note {
            seq,
            id: Uuid::nil(),
            user: UserId::new("bo").unwrap(),
            text: "Moved".to_owned(),
            happened_at: Timestamp::from_micros(happened_at),
            created_by: author.clone(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            updated_by: author,
        }
    }

    fn row_at(happened_at: i64, seq: i64) -> Row {
        let mut row = row(projected());
        row.projected.happened_at = Timestamp::from_micros(happened_at);
        row.seq = seq;
        row
    }

    fn pointers(faults: Faults) -> Vec<String> {
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn faults_of_a_note_have_their_pointers() {
        let form = NoteForm::parse(
            r#"{"text":" Moved \n","happened_at":"2026-03-01T09:00:00.1239Z"}"#,
            8,
        )
        .unwrap();
        assert_eq!(form.text, " Moved \n", "stored as sent");
        assert_eq!(form.happened_at, Some(parse_time("2026-03-01T09:00:00.123Z")));
        assert_eq!(form.created_by, None);
        let null = NoteForm::parse(r#"{"text":"a","happened_at":null,"created_by":null}"#, 8).unwrap();
        assert_eq!((null.happened_at, null.created_by), (None, None));
        for (text, places) in [
            (r#"{}"#, vec!["/text"]),
            (r#"{"text":" \n\t"}"#, vec!["/text"]),
            (
                r#"{"text":7,"happened_at":"soon","created_by":"","Text":"a"}"#,
                vec!["/Text", "/text", "/happened_at", "/created_by"],
            ),
            (r#"[]"#, vec![""]),
            (r#"{"text":"a","text":"b"}"#, vec!["/text"]),
        ] {
            assert_eq!(pointers(NoteForm::parse(text, 8).unwrap_err()), places, "{text}");
        }
        let long = |length: usize| NoteForm::parse(&format!(r#"{{"text":"{}"}}"#, "ä".repeat(length)), 8);
        assert!(long(MAX_NOTE).is_ok() && long(MAX_NOTE + 1).is_err());
    }

    #[test]
    fn patch_can_remove_nothing_and_not_change_the_author() {
        assert_eq!(NotePatch::parse("{}", 8), Ok(NotePatch::default()));
        let both = NotePatch::parse(r#"{"text":"b","happened_at":"2026-03-01T09:00:00Z"}"#, 8).unwrap();
        assert_eq!(
            (both.text.as_deref(), both.happened_at),
            (Some("b"), Some(parse_time("2026-03-01T09:00:00Z")))
        );
        for (text, places) in [
            (
                r#"{"text":null,"happened_at":null}"#,
                vec!["/text", "/happened_at"],
            ),
            (r#"{"text":""}"#, vec!["/text"]),
            (r#"{"created_by":"ada"}"#, vec!["/created_by"]),
            (r#"{"created_by":null}"#, vec!["/created_by"]),
            (r#"{"user":"ada"}"#, vec!["/user"]),
        ] {
            assert_eq!(pointers(NotePatch::parse(text, 8).unwrap_err()), places, "{text}");
        }
    }

    #[test]
    fn kinds_are_repeated_or_separated_by_commas() {
        let (system, manual) = (
            Kinds {
                manual: false,
                ..Kinds::BOTH
            },
            Kinds {
                system: false,
                ..Kinds::BOTH
            },
        );
        assert_eq!(Kinds::parse([]), Ok(Kinds::BOTH));
        assert_eq!(Kinds::parse(["system"]), Ok(system));
        assert_eq!(Kinds::parse(["manual", "manual"]), Ok(manual));
        assert_eq!(Kinds::parse(["manual,system"]), Ok(Kinds::BOTH));
        for bad in ["", "System", "system,", "note"] {
            assert!(Kinds::parse([bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn filters_by_other_values_than_time_and_user_remove_notes() {
        let subject = UserId::new("bo").unwrap();
        let matches = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            notes_match(&filter, &subject)
        };
        assert!(matches(|_| {}));
        assert!(matches(|filter| filter.include_deactivated = true));
        assert!(matches(|filter| filter.users = vec![UserId::new("bo").unwrap()]));
        assert!(matches(|filter| filter.period = Some(Period::Today)));
        assert!(matches(
            |filter| filter.from = Some(Moment::At(Timestamp::default()))
        ));
        assert!(matches(|filter| filter.default_zone = chrono_tz::Asia::Tokyo));
        assert!(matches(|filter| filter.include_sub_teams = true));
        assert!(!matches(|filter| filter.users = vec![UserId::new("ada").unwrap()]));
        assert!(!matches(|filter| filter.actions = vec![Action::Completed]));
        assert!(!matches(|filter| filter.completed = Some(false)));
        assert!(!matches(|filter| filter.expired = Some(false)));
        assert!(!matches(|filter| filter.tags = vec!["safety".to_owned()]));
        assert!(!matches(|filter| {
            filter
                .custom
                .insert("Region".to_owned(), vec!["North".to_owned()]);
        }));
    }

    proptest! {
        #[test]
        fn merging_equals_sorting(
            times in prop::collection::vec((0_i64..4, any::<bool>()), 0..24),
            limit in 1_usize..12,
            (most_rows, most_notes) in (1_usize..12, 1_usize..12),
        ) {
            // The number of an element is its position in the order of recording.
            let numbered = || times.iter().zip(1_i64..);
            let mut all: Vec<(i64, i64, bool)> = numbered().map(|((at, note), seq)| (*at, seq, *note)).collect();
            all.sort_unstable_by(|one, other| other.cmp(one));
            let elements = |notes: bool| all.iter().filter(move |(_, _, note)| *note == notes);
            // A page can end before the limit, because its elements are large.
            let rows = elements(false).map(|(at, seq, _)| row_at(*at, *seq)).collect();
            let notes = elements(true).map(|(at, seq, _)| note(*at, *seq)).collect();
            let rows = Page::from_overfetch(rows, most_rows.min(limit));
            let notes = Page::from_overfetch(notes, most_notes.min(limit));
            let is_cut = rows.more || notes.more;
            let merged = merge(rows, notes, limit);
            let entries: Vec<(i64, i64, bool)> = merged
                .items
                .iter()
                .map(|entry| {
                    let Position { happened_at, seq } = entry.position();
                    (happened_at.micros(), seq, matches!(entry, Entry::Manual(_)))
                })
                .collect();
            prop_assert_eq!(&entries[..], &all[..entries.len()]);
            prop_assert!(is_cut || entries.len() == all.len().min(limit));
            prop_assert!(all.is_empty() || !entries.is_empty());
            prop_assert_eq!(merged.more, all.len() > entries.len());
        }
    }
}
