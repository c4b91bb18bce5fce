//! Lines of CSV.
//!
//! The cells of a person, a content or a verb are rendered once and then copied into each line. `Layout` prepares this:
//! it groups neighbouring columns with the same source into segments, so that the first 13 columns of a line are one
//! copy. `RenderedCells` holds the rendered segments, up to a limit of memory. Only the requested columns are rendered.

use crate::base::ids::OrgId;
use crate::log::{ContentDetails, PersonDetails, VerbDetails};
use crate::store::{FileRow, Store, StoreError};
use crate::texts::Language;

use super::cell::{Cell, CellFormat};
use super::columns::{
    self, Column, ColumnSet, FromBriefRow, FromContent, FromPerson, FromRow, FromVerb, Source,
    TryFromBriefRow, TryFromRow,
};
use super::headings::CustomField;
use super::rendered::{Cells, NO_SLOT, Render, RenderedCells, whole_row};
use super::{ExportError, WriteLines};

/// The byte order mark. Excel needs it to recognise UTF-8.
pub(super) const BOM: &[u8] = "\u{feff}".as_bytes();
/// The end of a line (RFC 4180).
pub(super) const LINE_END: &[u8] = b"\r\n";

/// The options of a CSV export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CsvOptions {
    /// The parameter `columns`.
    pub columns: ColumnSet,
    /// The parameter `bom`: whether the file begins with a byte order mark.
    pub bom: bool,
    /// The parameter `raw`: whether cells that a spreadsheet would run as a formula are not escaped.
    pub raw: bool,
    /// The parameter `language`: the language of headings and labels.
    pub language: Language,
}

impl CsvOptions {
    fn format(self) -> CellFormat {
        CellFormat {
            raw: self.raw,
            language: self.language,
        }
    }
}

/// Writes rows as lines of CSV.
pub struct Lines {
    store: Store,
    organisation: OrgId,
    options: CsvOptions,
    layout: Layout,
    rendered: RenderedCells<RenderedSegments>,
}

impl Lines {
    /// A writer for rows of the organisation. `fields` are the names of the custom fields in the order of the columns.
    pub fn new(store: &Store, organisation: &OrgId, options: CsvOptions, fields: Vec<String>) -> Self {
        let layout = Layout::new(columns::columns(options.columns), fields, options.format());
        Self {
            store: store.clone(),
            organisation: organisation.clone(),
            options,
            layout,
            rendered: RenderedCells::default(),
        }
    }
}

impl WriteLines for Lines {
    type Item = FileRow;

    fn write_heading(&mut self, out: &mut Vec<u8>) {
        if self.options.bom {
            out.extend_from_slice(BOM);
        }
        self.layout.write_heading(out);
    }

    fn rows_at_once(&self) -> usize {
        self.rendered.rows_at_once()
    }

    async fn load(&mut self, rows: &[FileRow]) -> Result<(), ExportError> {
        if self.rendered.is_full(&self.layout) {
            self.rendered.clear();
        }
        let (store, organisation) = (&self.store, &self.organisation);
        self.rendered
            .load(store, organisation, rows, &self.layout)
            .await?;
        Ok(())
    }

    fn write_line(&mut self, row: &FileRow, out: &mut Vec<u8>) -> Result<(), ExportError> {
        Ok(self.layout.write_line(row, &self.rendered, out)?)
    }
}

/// The columns, prepared for writing lines.
struct Layout {
    format: CellFormat,
    headings: Vec<String>,
    parts: Vec<LinePart>,
    /// The cells of each segment of a person.
    person_segments: Vec<Vec<PersonCell>>,
    content_segments: Vec<Vec<FromContent>>,
    verb_segments: Vec<Vec<FromVerb>>,
    /// The segments of a row without content. All their cells are empty.
    no_content: RenderedSegments,
}

/// A part of a line: a rendered segment, given by its index, or a cell that is written from the row.
enum LinePart {
    Person(usize),
    Content(usize),
    Verb(usize),
    BriefRow(FromBriefRow),
    WholeRow(FromRow),
    RowOrContent(TryFromRow, usize),
    RowOrVerb(TryFromBriefRow, usize),
}

/// A cell of a person.
enum PersonCell {
    Column(FromPerson),
    /// The custom field with this name.
    CustomField(String),
}

impl Layout {
    fn new(columns: impl Iterator<Item = &'static Column>, fields: Vec<String>, format: CellFormat) -> Self {
        let mut layout = Self {
            format,
            headings: Vec::new(),
            parts: Vec::new(),
            person_segments: Vec::new(),
            content_segments: Vec::new(),
            verb_segments: Vec::new(),
            no_content: RenderedSegments::default(),
        };
        for column in columns {
            layout
                .headings
                .push(format.language.heading(column.heading).to_owned());
            layout.add_column(column.source);
        }
        for field in CustomField::from_names(fields, format.language) {
            layout.headings.push(field.heading);
            layout.add_person_cell(PersonCell::CustomField(field.name));
        }
        add_segments(
            &layout.content_segments,
            |_, _| {},
            format,
            &mut layout.no_content,
        );
        layout
    }

    fn add_column(&mut self, source: Source) {
        let last = self.parts.last();
        let part = match source {
            Source::Person(from) => return self.add_person_cell(PersonCell::Column(from)),
            Source::Content(from) => {
                let extend = matches!(last, Some(LinePart::Content(_)));
                add_cell(&mut self.content_segments, extend, from).map(LinePart::Content)
            }
            Source::Verb(from) => {
                let extend = matches!(last, Some(LinePart::Verb(_)));
                add_cell(&mut self.verb_segments, extend, from).map(LinePart::Verb)
            }
            Source::BriefRow(from) => Some(LinePart::BriefRow(from)),
            Source::WholeRow(from) => Some(LinePart::WholeRow(from)),
            Source::RowOrContent(row, content) => add_cell(&mut self.content_segments, false, content)
                .map(|index| LinePart::RowOrContent(row, index)),
            Source::RowOrVerb(row, verb) => {
                add_cell(&mut self.verb_segments, false, verb).map(|index| LinePart::RowOrVerb(row, index))
            }
        };
        self.parts.extend(part);
    }

    fn add_person_cell(&mut self, cell: PersonCell) {
        let extend = matches!(self.parts.last(), Some(LinePart::Person(_)));
        self.parts
            .extend(add_cell(&mut self.person_segments, extend, cell).map(LinePart::Person));
    }

    fn write_heading(&self, out: &mut Vec<u8>) {
        for (index, heading) in self.headings.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            Cell::new(out, self.format).text(heading);
        }
        out.extend_from_slice(LINE_END);
    }

    fn write_line(
        &self,
        row: &FileRow,
        rendered: &RenderedCells<RenderedSegments>,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let slots = rendered.slots_of_row(&row.brief)?;
        let person = rendered.persons.cells.of_slot(slots.person);
        let content = match slots.content {
            NO_SLOT => self.no_content.of_slot(0),
            slot => rendered.contents.cells.of_slot(slot),
        };
        let verb = rendered.verbs.cells.of_slot(slots.verb);
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match *part {
                LinePart::Person(index) => out.extend_from_slice(person.segment(index)),
                LinePart::Content(index) => out.extend_from_slice(content.segment(index)),
                LinePart::Verb(index) => out.extend_from_slice(verb.segment(index)),
                LinePart::BriefRow(from) => from(&row.brief, &mut Cell::new(out, self.format)),
                LinePart::WholeRow(from) => from(whole_row(row)?, &mut Cell::new(out, self.format)),
                LinePart::RowOrContent(from, index) => {
                    if !from(whole_row(row)?, &mut Cell::new(out, self.format)) {
                        out.extend_from_slice(content.segment(index));
                    }
                }
                LinePart::RowOrVerb(from, index) => {
                    if !from(&row.brief, &mut Cell::new(out, self.format)) {
                        out.extend_from_slice(verb.segment(index));
                    }
                }
            }
        }
        out.extend_from_slice(LINE_END);
        Ok(())
    }
}

impl Render for Layout {
    type Cells = RenderedSegments;

    fn add_person(&self, person: &PersonDetails, cells: &mut RenderedSegments) {
        let write = |from: &PersonCell, cell: &mut Cell<'_>| match from {
            PersonCell::Column(from) => from(person, cell),
            PersonCell::CustomField(field) => columns::write_custom_field(person, field, cell),
        };
        add_segments(&self.person_segments, write, self.format, cells);
    }

    fn add_content(&self, content: &ContentDetails, cells: &mut RenderedSegments) {
        let write = |from: &FromContent, cell: &mut Cell<'_>| from(content, cell);
        add_segments(&self.content_segments, write, self.format, cells);
    }

    fn add_verb(&self, verb: &VerbDetails, cells: &mut RenderedSegments) {
        let write = |from: &FromVerb, cell: &mut Cell<'_>| from(verb, cell);
        add_segments(&self.verb_segments, write, self.format, cells);
    }
}

/// Adds a cell to the last segment if `extend` is true. Otherwise it adds a new segment and returns its index.
fn add_cell<F>(segments: &mut Vec<Vec<F>>, extend: bool, cell: F) -> Option<usize> {
    match segments.last_mut() {
        Some(last) if extend => {
            last.push(cell);
            None
        }
        _ => {
            segments.push(vec![cell]);
            Some(segments.len() - 1)
        }
    }
}

/// The steps in which the memory of rendered cells grows at least. Doubling would take up to twice the memory.
const GROWTH: usize = 256 * 1024;

/// The rendered segments of many persons, contents or verbs. A segment contains the commas between its cells.
#[derive(Debug, Default)]
struct RenderedSegments {
    bytes: Vec<u8>,
    /// The ends of the segments, those of one slot after the other.
    ends: Vec<u32>,
    /// The number of segments of a slot.
    segments: usize,
}

impl RenderedSegments {
    fn of_slot(&self, slot: u32) -> SlotSegments<'_> {
        let first = slot as usize * self.segments;
        let start = if first == 0 { 0 } else { self.ends[first - 1] };
        SlotSegments {
            bytes: &self.bytes,
            start,
            ends: &self.ends[first..first + self.segments],
        }
    }
}

/// The segments of one slot.
#[derive(Clone, Copy)]
struct SlotSegments<'r> {
    bytes: &'r [u8],
    start: u32,
    ends: &'r [u32],
}

impl<'r> SlotSegments<'r> {
    #[inline]
    fn segment(self, index: usize) -> &'r [u8] {
        let start = if index == 0 {
            self.start
        } else {
            self.ends[index - 1]
        };
        &self.bytes[start as usize..self.ends[index] as usize]
    }
}

impl Cells for RenderedSegments {
    fn bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// Renders the cells of all segments in the next slot.
fn add_segments<F>(
    segments: &[Vec<F>],
    write: impl Fn(&F, &mut Cell<'_>),
    format: CellFormat,
    to: &mut RenderedSegments,
) {
    to.segments = segments.len();
    if to.bytes.capacity() - to.bytes.len() < GROWTH / 64 {
        to.bytes.reserve_exact(GROWTH.max(to.bytes.len() / 8));
    }
    for segment in segments {
        for (index, from) in segment.iter().enumerate() {
            if index > 0 {
                to.bytes.push(b',');
            }
            write(from, &mut Cell::new(&mut to.bytes, format));
        }
        to.ends.push(to.bytes.len() as u32); // the cells are cleared long before 4 GiB
    }
}

#[cfg(test)]
mod tests;
