//! Lines of CSV, fast: whatever belongs to a person, a content or a verb is rendered once, as the bytes that stand
//! in the file, and copied into each line from then on (product text, section 8).
//!
//! A `Layout` is the column table taken apart for that: neighbouring columns with one source are one
//! stretch, so that the first thirteen columns of a line are one copy. `Rendered` holds the stretches of the
//! cards seen so far, within a bound of memory. Only cells of columns asked for are rendered.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::base::ids::OrgId;
use crate::log::{ContentDetails, ContentKey, PersonDetails, PersonKey, Row, VerbDetails, VerbKey};
use crate::store::{Store, StoreError};

use super::cell::Cell;
use super::columns::{
    self, Column, ColumnSet, FromContent, FromPerson, FromRow, FromVerb, MaybeFromRow, Source,
};
use super::{ExportError, WriteLines};

/// Rendered bytes kept at most, of persons and of contents each; past it they are dropped and rendered again.
const KEPT_BYTES: usize = 32 * 1024 * 1024;
/// What a rendered card takes beside its bytes, about.
const CARD_BYTES: usize = 96;
/// Tells Excel that the file is UTF-8.
pub(super) const BOM: &[u8] = "\u{feff}".as_bytes();
/// How a line ends (RFC 4180).
pub(super) const LINE_END: &[u8] = b"\r\n";

/// How a CSV is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CsvOptions {
    /// `columns`.
    pub columns: ColumnSet,
    /// `bom`: whether a byte order mark stands at the beginning, for Excel.
    pub bom: bool,
    /// `raw`: whether cells that a spreadsheet would run as a formula are left as they are.
    pub raw: bool,
}

/// Writes rows as lines of CSV.
pub struct Lines {
    store: Store,
    organisation: OrgId,
    options: CsvOptions,
    layout: Layout,
    rendered: Rendered,
}

impl Lines {
    /// Lines of an organisation's rows; `fields` are the names of its users' own fields, in their order.
    pub fn new(store: &Store, organisation: &OrgId, options: CsvOptions, fields: Vec<String>) -> Self {
        let layout = Layout::new(columns::columns(options.columns), fields, options.raw);
        Self {
            store: store.clone(),
            organisation: organisation.clone(),
            options,
            layout,
            rendered: Rendered::default(),
        }
    }
}

impl WriteLines for Lines {
    type Item = Row;

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.options.bom {
            out.extend_from_slice(BOM);
        }
        self.layout.heading(out);
    }

    async fn load(&mut self, rows: &[Row]) -> Result<(), ExportError> {
        let (store, organisation, layout) = (&self.store, &self.organisation, &self.layout);
        let persons = self.rendered.persons.missing(rows.iter().map(|row| row.person));
        if !persons.is_empty() {
            for (key, card) in store.person_details(organisation, &persons).await? {
                self.rendered.persons.put(key, layout.person(&card));
            }
        }
        let contents = self
            .rendered
            .contents
            .missing(rows.iter().filter_map(|row| row.content));
        if !contents.is_empty() {
            for (key, card) in store.content_details(organisation, &contents).await? {
                self.rendered.contents.put(key, layout.content(&card));
            }
        }
        let verbs = self.rendered.verbs.missing(rows.iter().map(|row| row.verb));
        if !verbs.is_empty() {
            for (key, card) in store.verb_details(organisation, &verbs).await? {
                self.rendered.verbs.put(key, layout.verb(&card));
            }
        }
        Ok(())
    }

    fn line(&mut self, row: &Row, out: &mut Vec<u8>) -> Result<(), ExportError> {
        Ok(self.layout.line(row, &self.rendered, out)?)
    }
}

/// The columns as a line is put together from them.
struct Layout {
    raw: bool,
    headings: Vec<String>,
    pieces: Vec<Piece>,
    person: Vec<Vec<PersonCell>>,
    content: Vec<Vec<FromContent>>,
    verb: Vec<Vec<FromVerb>>,
    /// The stretches of a row without content: empty cells.
    no_content: Stretches,
}

/// A part of a line: a stretch of a card, by its number, or a cell of the row's own.
enum Piece {
    Person(usize),
    Content(usize),
    Verb(usize),
    Row(FromRow),
    RowElseContent(MaybeFromRow, usize),
    RowElseVerb(MaybeFromRow, usize),
}

enum PersonCell {
    Fact(FromPerson),
    Custom(String),
}

impl Layout {
    fn new(columns: impl Iterator<Item = &'static Column>, fields: Vec<String>, raw: bool) -> Self {
        let mut layout = Self {
            raw,
            headings: Vec::new(),
            pieces: Vec::new(),
            person: Vec::new(),
            content: Vec::new(),
            verb: Vec::new(),
            no_content: Stretches::default(),
        };
        for column in columns {
            layout.headings.push(column.heading.to_owned());
            layout.add(column.source);
        }
        for field in fields {
            layout.headings.push(field.clone());
            layout.add_person(PersonCell::Custom(field));
        }
        layout.no_content = stretches(&layout.content, |_, _| {}, raw);
        layout
    }

    fn add(&mut self, source: Source) {
        let last = self.pieces.last();
        let piece = match source {
            Source::Person(from) => return self.add_person(PersonCell::Fact(from)),
            Source::Content(from) => {
                let goes_on = matches!(last, Some(Piece::Content(_)));
                append(&mut self.content, goes_on, from).map(Piece::Content)
            }
            Source::Verb(from) => {
                let goes_on = matches!(last, Some(Piece::Verb(_)));
                append(&mut self.verb, goes_on, from).map(Piece::Verb)
            }
            Source::Row(from) => Some(Piece::Row(from)),
            Source::RowElseContent(row, content) => {
                append(&mut self.content, false, content).map(|number| Piece::RowElseContent(row, number))
            }
            Source::RowElseVerb(row, verb) => {
                append(&mut self.verb, false, verb).map(|number| Piece::RowElseVerb(row, number))
            }
        };
        self.pieces.extend(piece);
    }

    fn add_person(&mut self, cell: PersonCell) {
        let goes_on = matches!(self.pieces.last(), Some(Piece::Person(_)));
        self.pieces
            .extend(append(&mut self.person, goes_on, cell).map(Piece::Person));
    }

    fn heading(&self, out: &mut Vec<u8>) {
        for (place, heading) in self.headings.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            Cell::new(out, self.raw).text(heading);
        }
        out.extend_from_slice(LINE_END);
    }

    fn person(&self, card: &PersonDetails) -> Stretches {
        let write = |from: &PersonCell, cell: &mut Cell<'_>| match from {
            PersonCell::Fact(from) => from(card, cell),
            PersonCell::Custom(field) => columns::custom_field(card, field, cell),
        };
        stretches(&self.person, write, self.raw)
    }

    fn content(&self, card: &ContentDetails) -> Stretches {
        stretches(&self.content, |from, cell| from(card, cell), self.raw)
    }

    fn verb(&self, card: &VerbDetails) -> Stretches {
        stretches(&self.verb, |from, cell| from(card, cell), self.raw)
    }

    fn line(&self, row: &Row, rendered: &Rendered, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let person = rendered
            .persons
            .get(row.person)
            .ok_or(StoreError::Invariant("a row without its person"))?;
        let verb = rendered
            .verbs
            .get(row.verb)
            .ok_or(StoreError::Invariant("a row without its verb"))?;
        let content = match row.content {
            Some(key) => rendered
                .contents
                .get(key)
                .ok_or(StoreError::Invariant("a row without its content"))?,
            None => &self.no_content,
        };
        for (place, piece) in self.pieces.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            match *piece {
                Piece::Person(number) => out.extend_from_slice(person.stretch(number)),
                Piece::Content(number) => out.extend_from_slice(content.stretch(number)),
                Piece::Verb(number) => out.extend_from_slice(verb.stretch(number)),
                Piece::Row(from) => from(row, &mut Cell::new(out, self.raw)),
                Piece::RowElseContent(from, number) => {
                    if !from(row, &mut Cell::new(out, self.raw)) {
                        out.extend_from_slice(content.stretch(number));
                    }
                }
                Piece::RowElseVerb(from, number) => {
                    if !from(row, &mut Cell::new(out, self.raw)) {
                        out.extend_from_slice(verb.stretch(number));
                    }
                }
            }
        }
        out.extend_from_slice(LINE_END);
        Ok(())
    }
}

/// Adds a cell to the last stretch, where that goes on, or else to a new one, whose number it gives.
fn append<F>(stretches: &mut Vec<Vec<F>>, goes_on: bool, cell: F) -> Option<usize> {
    match stretches.last_mut() {
        Some(last) if goes_on => {
            last.push(cell);
            None
        }
        _ => {
            stretches.push(vec![cell]);
            Some(stretches.len() - 1)
        }
    }
}

/// Stretches of cells with their commas, one after the other in one piece of memory.
#[derive(Debug, Default)]
struct Stretches {
    bytes: Box<[u8]>,
    ends: Box<[usize]>,
}

impl Stretches {
    fn stretch(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }
}

/// Renders a card's cells.
fn stretches<F>(stretches: &[Vec<F>], write: impl Fn(&F, &mut Cell<'_>), raw: bool) -> Stretches {
    let mut bytes = Vec::with_capacity(256);
    let mut ends = Vec::with_capacity(stretches.len());
    for stretch in stretches {
        for (place, from) in stretch.iter().enumerate() {
            if place > 0 {
                bytes.push(b',');
            }
            write(from, &mut Cell::new(&mut bytes, raw));
        }
        ends.push(bytes.len());
    }
    Stretches {
        bytes: bytes.into(),
        ends: ends.into(),
    }
}

/// The cards seen so far, as they stand in the file.
#[derive(Default)]
struct Rendered {
    persons: Kept<PersonKey>,
    contents: Kept<ContentKey>,
    verbs: Kept<VerbKey>,
}

/// Rendered cards of one kind, within [`KEPT_BYTES`].
struct Kept<K> {
    cards: HashMap<K, Stretches, BuildHasherDefault<KeyHasher>>,
    bytes: usize,
}

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self {
            cards: HashMap::default(),
            bytes: 0,
        }
    }
}

impl<K: Copy + Ord + Hash> Kept<K> {
    /// The keys without a card, each once. Where too much is kept it is dropped, and all are missing.
    fn missing(&mut self, keys: impl Iterator<Item = K>) -> Vec<K> {
        if self.bytes > KEPT_BYTES {
            self.cards = HashMap::default();
            self.bytes = 0;
        }
        let mut missing: Vec<K> = keys.filter(|key| !self.cards.contains_key(key)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    fn put(&mut self, key: K, card: Stretches) {
        self.bytes += card.bytes.len() + CARD_BYTES;
        self.cards.insert(key, card);
    }

    fn get(&self, key: K) -> Option<&Stretches> {
        self.cards.get(&key)
    }
}

/// Spreads keys that the store hands out one by one. Nobody outside can choose them, so nothing is won by a
/// slower hash that an attacker can't foresee, and a line asks three times.
#[derive(Debug, Default, Clone, Copy)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing; the table takes its bucket from the low bits, so the mixed high ones go there.
        self.0 = (self.0 ^ number)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(32);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, AT_TEXT, cell};
    use super::*;
    use crate::log::{Action, Projected};

    fn layout(set: ColumnSet, raw: bool) -> Layout {
        let fields = vec!["Cost centre".to_owned(), "=Grade".to_owned(), "Grade".to_owned()];
        Layout::new(columns::columns(set), fields, raw)
    }

    fn rendered(layout: &Layout, person: &PersonDetails) -> Rendered {
        let mut rendered = Rendered::default();
        rendered.persons.put(PersonKey(1), layout.person(person));
        rendered
            .contents
            .put(ContentKey(1), layout.content(&testing::content()));
        rendered.verbs.put(VerbKey(1), layout.verb(&testing::verb()));
        rendered
    }

    /// Headings and cells, as a reader of CSV finds them.
    fn table(layout: &Layout, person: &PersonDetails, row: &Row) -> Vec<(String, String)> {
        let mut out = Vec::new();
        layout.heading(&mut out);
        layout.line(row, &rendered(layout, person), &mut out).unwrap();
        testing::table(&out)
    }

    #[test]
    fn a_row_with_everything_in_every_column() {
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
            ("Cost centre", "4711"),
            ("'=Grade", ""),
            ("Grade", "'=A1"),
        ];
        assert_eq!(table, testing::cells_of_person(&expected));
    }

    #[test]
    fn raw_leaves_formulas_alone() {
        let table = table(
            &layout(ColumnSet::Standard, true),
            &testing::person(),
            &testing::row(),
        );
        assert_eq!((cell(&table, "Job title"), cell(&table, "Grade")), ("-5", "=A1"));
        assert_eq!(cell(&table, "=Grade"), "");
    }

    #[test]
    fn a_login_has_no_content_and_other_verbs_their_own_name() {
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
    fn an_actor_whom_nobody_claims_has_what_the_record_gave() {
        let layout = layout(ColumnSet::Full, false);
        let table = table(&layout, &testing::visitor(), &testing::row());
        assert_eq!(cell(&table, "First name"), "A. Visitor");
        assert_eq!(cell(&table, "Email address"), "visitor@example.com");
        for heading in [
            "Last name",
            "Role",
            "Status (at time of export)",
            "Deactivated",
            "User ID",
            "Grade",
        ] {
            assert_eq!(cell(&table, heading), "", "{heading}");
        }
    }

    #[test]
    fn neighbours_with_one_source_are_one_copy() {
        let layout = layout(ColumnSet::Elearning, false);
        let stretches: Vec<usize> = layout.person.iter().map(Vec::len).collect();
        assert_eq!(stretches, [13, 3]);
        let stretches: Vec<usize> = layout.content.iter().map(Vec::len).collect();
        assert_eq!(stretches, [4, 1]);
    }

    #[test]
    fn a_row_whose_cards_are_missing_is_an_error_and_no_half_line() {
        let layout = layout(ColumnSet::Standard, false);
        let mut out = Vec::new();
        assert!(
            layout
                .line(&testing::row(), &Rendered::default(), &mut out)
                .is_err()
        );
        assert!(out.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::<PersonKey>::default();
        let card = || Stretches {
            bytes: vec![b'x'; KEPT_BYTES / 4].into(),
            ends: Box::new([]),
        };
        for key in 0..4 {
            assert_eq!(
                kept.missing([PersonKey(key), PersonKey(key)].into_iter()),
                [PersonKey(key)]
            );
            kept.put(PersonKey(key), card());
        }
        assert_eq!(
            kept.missing([PersonKey(0), PersonKey(9)].into_iter()),
            [PersonKey(0), PersonKey(9)]
        );
        assert!(kept.cards.is_empty());
    }

    #[test]
    fn keys_in_a_row_fall_apart() {
        let low_bits = |key: i64| {
            let mut hasher = KeyHasher::default();
            PersonKey(key).hash(&mut hasher);
            hasher.finish() & 0xfff
        };
        let buckets: std::collections::HashSet<u64> = (0..4096).map(low_bits).collect();
        assert!(buckets.len() > 2_000, "{}", buckets.len());
    }
}
