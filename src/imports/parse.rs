//! Reads the rows of a file and turns each into short forms or statements. It runs on a thread that may block.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use super::documents::{
    derived_statement_id, find_date, find_version, names_statement, plain_document, with_timestamp,
};
use super::fields::Members;
use super::mapping::{CellFault, Columns, Mapping, RowValue, SpecialLayout};
use super::options::{Delimiter, FileEncoding, ImportFormat, ImportOptions, ImportTerms};
use super::rows::{BYTE_ORDER_MARK, RowFault, RowFormat, RowHead, RowPlace, RowReader};
use super::source::{Text, open_text};
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::base::ids::StatementId;
use crate::export::cell::restore_text;
use crate::log::ShortForm;
use crate::log::short_form::ShortFormRules;
use crate::record::{Limits, Statement, parse_statement};
use crate::store::StoreError;

/// The headings that the file of rejected rows has after those of the input. An import ignores them.
pub const ERROR_HEADINGS: [&str; 3] = ["line", "column", "reason"];

/// The longest reason, in bytes.
const MAX_REASON_BYTES: usize = 2_000;

/// The fault of a row with bytes that the encoding of the file does not have.
const NOT_TEXT: &str =
    "has bytes that are not text in UTF-8 or the encoding that was said; say the encoding of the file";

/// The bytes of rows after which a batch is full.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// The most bytes of an uncompressed file that are read to find its headings.
const BEGINNING_BYTES: u64 = 4 * 1024 * 1024;

/// What a row of a file stands for.
#[derive(Debug)]
pub(super) enum Draft {
    ShortForm(Box<ShortForm>),
    Statement(StatementId, Box<Statement>),
}

/// A row that cannot be imported, or its records.
#[derive(Debug)]
pub(super) struct ParsedRow {
    pub(super) line: u64,
    /// The row as it is stored if it is rejected: the cells as JSON, or the line.
    pub(super) content: Vec<u8>,
    pub(super) drafts: Result<Vec<Draft>, CellFault>,
}

/// Some rows that follow each other.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) rows: Vec<ParsedRow>,
    /// Where the row after them begins.
    pub(super) next: RowPlace,
}

/// The headings of a CSV, and how its cells are divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHead {
    delimiter: Delimiter,
    headings: Vec<String>,
}

impl FileHead {
    /// The headings of the input, without those that only a file of rejected rows has.
    pub fn input_headings(&self) -> &[String] {
        let own = self.headings.len().saturating_sub(ERROR_HEADINGS.len());
        match self.is_of_errors() {
            true => &self.headings[..own],
            false => &self.headings,
        }
    }

    /// Whether the file is one of rejected rows.
    fn is_of_errors(&self) -> bool {
        let own = self.headings.len().saturating_sub(ERROR_HEADINGS.len());
        own > 0 && self.headings[own..].iter().map(String::as_str).eq(ERROR_HEADINGS)
    }
}

/// What the reader finds.
#[derive(Debug)]
pub(super) enum Parsed {
    Head(FileHead),
    Batch(Batch),
}

/// Why a file cannot be read on.
#[derive(Debug)]
pub(super) enum ParseError {
    /// The file or its mapping is wrong, for this reason.
    File(String),
    /// The database failed.
    Store(StoreError),
}

impl From<io::Error> for ParseError {
    fn from(error: io::Error) -> Self {
        let detail = error.to_string();
        match error.into_inner().map(|inner| inner.downcast::<StoreError>()) {
            Some(Ok(store)) => Self::Store(*store),
            Some(Err(_)) | None => Self::File(format!("the file cannot be read: {detail}")),
        }
    }
}

/// How a file is read.
#[derive(Debug, Clone)]
pub(super) struct ParseSettings {
    pub(super) options: ImportOptions,
    pub(super) terms: ImportTerms,
    pub(super) now: Timestamp,
    /// The rows of a batch.
    pub(super) batch_rows: usize,
    /// The most bytes of a row.
    pub(super) row_bytes: usize,
    /// The most bytes of the uncompressed file.
    pub(super) uncompressed_bytes: u64,
    /// The levels of JSON.
    pub(super) depth: usize,
}

/// Where to continue.
#[derive(Debug, Clone, Default)]
pub(super) struct Resume {
    pub(super) rows_read: u64,
    pub(super) place: RowPlace,
    /// The headings of a CSV, if they were read before.
    pub(super) head: Option<FileHead>,
}

/// The format of a file, and its headings if it is a CSV.
struct Opened {
    rows: RowReader<Box<dyn BufRead>>,
    head: Option<FileHead>,
}

/// Checks the beginning of a file, so that a wrong file is refused before it is stored.
///
/// # Errors
///
/// What is wrong. A beginning that ends too early is no error.
pub fn check_beginning(bytes: &[u8], options: &ImportOptions) -> Result<(), String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("the file is empty".to_owned());
    }
    let encoding = options.encoding.and_then(FileEncoding::encoding);
    let opened = open_text(io::Cursor::new(bytes.to_vec()), encoding, BEGINNING_BYTES)
        .and_then(|text| open_rows(text, options, bytes.len().max(1024 * 1024)));
    let head = match opened {
        Ok(opened) => opened.head,
        // The end of a gzip file is missing.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err("the headings are too long, or the compressed file is damaged".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    match head {
        Some(head) => mapping_of(options)
            .for_headings(head.input_headings())
            .map(|_| ()),
        None => Ok(()),
    }
}

/// Reads the file to its end and sends what it finds. It ends early if nobody listens any more.
///
/// # Errors
///
/// [`ParseError`].
pub(super) fn parse_file(
    input: impl Read + 'static,
    resume: &Resume,
    settings: &ParseSettings,
    out: &mpsc::Sender<Parsed>,
) -> Result<(), ParseError> {
    let options = &settings.options;
    let mapping = mapping_of(options);
    let (mut opened, mut skip) = if resume.place.is_plain {
        (resume_rows(input, resume, settings.row_bytes), 0)
    } else {
        let encoding = options.encoding.and_then(FileEncoding::encoding);
        let text = open_text(input, encoding, settings.uncompressed_bytes)?;
        (open_rows(text, options, settings.row_bytes)?, resume.rows_read)
    };
    if resume.head.is_none()
        && let Some(head) = &opened.head
        && out.blocking_send(Parsed::Head(head.clone())).is_err()
    {
        return Ok(());
    }
    let columns = match &opened.head {
        Some(head) => Some(CsvColumns::new(head, &mapping).map_err(ParseError::File)?),
        None => None,
    };
    let parser = RowParser {
        settings,
        mapping: &mapping,
        columns,
    };
    let rows = &mut opened.rows;
    let mut row = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(head) = rows.next_row(&mut row)? {
        if skip > 0 {
            skip -= 1;
            if out.is_closed() {
                return Ok(());
            }
            continue;
        }
        bytes += row.len();
        batch.push(parser.parse(head, &row));
        if batch.len() >= settings.batch_rows || bytes >= BATCH_BYTES {
            let rows_of_batch = std::mem::take(&mut batch);
            bytes = 0;
            if send_batch(rows_of_batch, rows.place(), out).is_err() {
                return Ok(());
            }
        }
    }
    if !batch.is_empty() {
        let _ = send_batch(batch, rows.place(), out); // nobody listens any more
    }
    Ok(())
}

fn send_batch(rows: Vec<ParsedRow>, next: RowPlace, out: &mpsc::Sender<Parsed>) -> Result<(), ()> {
    out.blocking_send(Parsed::Batch(Batch { rows, next }))
        .map_err(|_| ())
}

/// The mapping of a file.
pub(super) fn mapping_of(options: &ImportOptions) -> Mapping {
    options.mapping.clone().unwrap_or_else(Mapping::short_form)
}

/// The rows of a file that was begun before, from the place on at which `input` begins.
fn resume_rows(input: impl Read + 'static, resume: &Resume, row_bytes: usize) -> Opened {
    let reader: Box<dyn BufRead> = Box::new(io::BufReader::with_capacity(64 * 1024, input));
    let format = match &resume.head {
        Some(head) => RowFormat::Csv(head.delimiter.byte()),
        None => RowFormat::Json,
    };
    Opened {
        rows: RowReader::new(reader, format, resume.place, row_bytes),
        head: resume.head.clone(),
    }
}

/// Finds out the format, and reads the headings of a CSV.
fn open_rows(text: Text, options: &ImportOptions, row_bytes: usize) -> io::Result<Opened> {
    let place = RowPlace {
        is_plain: text.is_plain,
        ..RowPlace::default()
    };
    let mut reader = text.reader;
    let is_json = match options.format {
        Some(format) => format == ImportFormat::Ndjson,
        None => {
            let begin = reader.fill_buf()?;
            let begin = begin.strip_prefix(BYTE_ORDER_MARK).unwrap_or(begin);
            let first = begin.iter().find(|byte| !byte.is_ascii_whitespace());
            first.is_some_and(|byte| [b'{', b'['].contains(byte))
        }
    };
    if is_json {
        let rows = RowReader::new(reader, RowFormat::Json, place, row_bytes);
        return Ok(Opened { rows, head: None });
    }
    // No heading has a line break, so the first line decides about the delimiter.
    let first = options.delimiter.unwrap_or(Delimiter::Comma);
    let mut rows = RowReader::new(reader, RowFormat::Csv(first.byte()), place, row_bytes);
    let mut line = Vec::new();
    let head = rows.next_row(&mut line)?;
    if head.is_none_or(|head| head.fault.is_some()) {
        return Err(io::Error::other("the file has no row with headings"));
    }
    let delimiter = options.delimiter.unwrap_or_else(|| find_delimiter(&line));
    rows.set_format(RowFormat::Csv(delimiter.byte()));
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line);
    let headings = split_cells(line, delimiter.byte());
    let headings = headings.map_err(|detail| io::Error::other(format!("the headings: {detail}")))?;
    let head = FileHead { delimiter, headings };
    Ok(Opened {
        rows,
        head: Some(head),
    })
}

/// The delimiter that divides the headings into the most cells.
fn find_delimiter(line: &[u8]) -> Delimiter {
    let cells = |delimiter: Delimiter| split_cells(line, delimiter.byte()).map_or(0, |cells| cells.len());
    let mut best = Delimiter::Comma;
    for delimiter in Delimiter::ALL {
        if cells(delimiter) > cells(best) {
            best = delimiter;
        }
    }
    best
}

/// The cells of a row of a CSV.
fn split_cells(row: &[u8], delimiter: u8) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(row.len().clamp(1, 64 * 1024))
        .from_reader(row);
    let mut record = csv::ByteRecord::new();
    reader
        .read_byte_record(&mut record)
        .map_err(|error| error.to_string())?;
    let cells = record.iter().map(|cell| match std::str::from_utf8(cell) {
        Ok(cell) => Ok(cell.to_owned()),
        Err(_) => Err(NOT_TEXT.to_owned()),
    });
    cells.collect()
}

/// How the rows of a CSV are read.
struct CsvColumns<'m> {
    columns: Columns<'m>,
    delimiter: u8,
    /// The number of all headings, also of those that only a file of rejected rows has.
    count: usize,
    /// Whether apostrophes before formulas are removed.
    restores: bool,
}

impl<'m> CsvColumns<'m> {
    fn new(head: &FileHead, mapping: &'m Mapping) -> Result<Self, String> {
        Ok(Self {
            columns: mapping.for_headings(head.input_headings())?,
            delimiter: head.delimiter.byte(),
            count: head.headings.len(),
            restores: head.is_of_errors() || mapping.restore_formulas,
        })
    }
}

/// Turns rows into records.
struct RowParser<'p> {
    settings: &'p ParseSettings,
    mapping: &'p Mapping,
    columns: Option<CsvColumns<'p>>,
}

impl RowParser<'_> {
    fn parse(&self, head: RowHead, row: &[u8]) -> ParsedRow {
        let (content, drafts) = match &self.columns {
            Some(columns) => self.parse_csv(columns, head, row),
            None => {
                let row = row.strip_prefix(BYTE_ORDER_MARK).unwrap_or(row).trim_ascii();
                (row.to_vec(), self.check(head).and_then(|()| self.parse_json(row)))
            }
        };
        let drafts = drafts.map_err(|fault| CellFault {
            // PostgreSQL takes no U+0000 in a text.
            detail: crate::base::fault::shorten(fault.detail.replace('\0', "\u{fffd}"), MAX_REASON_BYTES),
            heading: fault.heading.replace('\0', "\u{fffd}"),
        });
        ParsedRow {
            line: head.line,
            content,
            drafts,
        }
    }

    fn check(&self, head: RowHead) -> Result<(), CellFault> {
        let bytes = self.settings.row_bytes;
        Err(CellFault::new(
            "",
            match head.fault {
                None => return Ok(()),
                Some(RowFault::TooLong) => {
                    format!("the row has more than {bytes} bytes; only its beginning is shown")
                }
                Some(RowFault::OpenQuote) => "a quotation mark of the row is not closed".to_owned(),
                Some(RowFault::NotJson) => "the file ends within this value".to_owned(),
            },
        ))
    }

    fn parse_csv(
        &self,
        columns: &CsvColumns<'_>,
        head: RowHead,
        row: &[u8],
    ) -> (Vec<u8>, Result<Vec<Draft>, CellFault>) {
        let cells = split_cells(row, columns.delimiter);
        let shown = match &cells {
            Ok(cells) => cells.clone(),
            Err(_) => vec![String::from_utf8_lossy(row).into_owned()],
        };
        let own = columns.columns.headings.len();
        let shown: Vec<&String> = shown.iter().take(own).collect();
        let content = serde_json::to_vec(&shown).unwrap_or_default();
        let drafts = self.check(head).and_then(|()| {
            let mut cells = cells.map_err(|detail| CellFault::new("", format!("the row {detail}")))?;
            if cells.len() <= columns.count {
                cells.truncate(own);
            }
            if columns.restores {
                cells.iter_mut().for_each(|cell| *cell = restore_text(cell));
            }
            match columns.columns.read_row(&cells)? {
                RowValue::ShortForms(rows) => rows
                    .into_iter()
                    .map(|members| self.parse_members(members))
                    .collect(),
                RowValue::Statement(text) => self.parse_statement(&text).map(|draft| vec![draft]),
            }
        });
        (content, drafts)
    }

    fn parse_members(&self, members: Members) -> Result<Draft, CellFault> {
        self.parse_short_form(&Value::Object(members).to_string())
    }

    fn parse_short_form(&self, text: &str) -> Result<Draft, CellFault> {
        let rules = ShortFormRules {
            recorder: self.settings.terms.names_recorder,
            depth: self.settings.depth,
            now: self.settings.now,
        };
        let form = ShortForm::parse(text, &rules).map_err(|faults| self.to_cell_fault(&faults))?;
        Ok(Draft::ShortForm(Box::new(form)))
    }

    /// The faults of a row. The column is that of the first one.
    pub(super) fn to_cell_fault(&self, faults: &Faults) -> CellFault {
        let columns = self.columns.as_ref().map(|columns| &columns.columns);
        to_cell_fault(faults, columns)
    }

    fn parse_json(&self, row: &[u8]) -> Result<Vec<Draft>, CellFault> {
        let text = std::str::from_utf8(row).map_err(|_| CellFault::new("", format!("the row {NOT_TEXT}")))?;
        let (text, stored) = self.find_record(text)?;
        if names_statement(&text) {
            let text = with_timestamp(text, stored.as_deref());
            return self.parse_statement(&text).map(|draft| vec![draft]);
        }
        self.parse_short_form(&text).map(|draft| vec![draft])
    }

    /// The statement or short form within a line, and when the other system stored it.
    fn find_record(&self, text: &str) -> Result<(String, Option<String>), CellFault> {
        let not_json = |error: serde_json::Error| CellFault::new("", format!("this is not JSON: {error}"));
        let Some(pointer) = &self.mapping.record else {
            return Ok((text.to_owned(), None));
        };
        let mut value: Value = serde_json::from_str(text).map_err(not_json)?;
        let stored = value.get("stored").and_then(find_date);
        let found = value.pointer_mut(pointer).map(Value::take);
        let mut record = match found {
            Some(Value::String(text)) => serde_json::from_str(&text).map_err(not_json)?,
            Some(record) => record,
            None => return Ok((text.to_owned(), None)),
        };
        if self.mapping.special == Some(SpecialLayout::LearningLocker) {
            record = plain_document(record);
        }
        Ok((record.to_string(), stored))
    }

    fn parse_statement(&self, text: &str) -> Result<Draft, CellFault> {
        if !self.settings.terms.writes_statements {
            return Err(CellFault::new(
                "",
                "this credential may not write statements: it needs the scope `statements/write`",
            ));
        }
        let limits = Limits {
            depth: self.settings.depth,
            ..Limits::default()
        };
        let version = find_version(text);
        let statement = parse_statement(text.as_bytes(), version, &limits)
            .map_err(|fault| CellFault::new(fault.pointer, fault.detail))?;
        for (place, attachment) in statement.declared_attachments() {
            if attachment.is_signature() || attachment.file_url.is_none() {
                return Err(CellFault::new(
                    place,
                    "an import has no contents of attachments; send the statement to /xapi/statements with its attachments",
                ));
            }
        }
        let id = statement.id.unwrap_or_else(|| derived_statement_id(text));
        Ok(Draft::Statement(id, Box::new(statement)))
    }
}

/// The faults of a row as one. The column is that of the first one.
pub(super) fn to_cell_fault(faults: &Faults, columns: Option<&Columns<'_>>) -> CellFault {
    let name_of = |pointer: &str| {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        match columns {
            Some(columns) => columns.heading_of(&field).map_or(field, str::to_owned),
            None => pointer.to_owned(),
        }
    };
    let mut listed = faults.iter();
    let Some(first) = listed.next() else {
        return CellFault::new("", "the row is not valid");
    };
    let mut detail = first.detail.clone();
    for fault in listed.take(4) {
        detail.push_str(&format!("; {}: {}", name_of(&fault.pointer), fault.detail));
    }
    CellFault::new(name_of(&first.pointer), detail)
}
