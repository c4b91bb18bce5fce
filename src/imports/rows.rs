//! Splits a file into rows: the records of a CSV, the lines of NDJSON, or the elements of a JSON array.
//!
//! A row is never held in memory beyond a limit. A longer one is skipped to its end, so that the rows after it can be read.
//! The place of a row is known to the byte, so that reading can be continued there.

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

/// The byte order mark of UTF-8, which may come before the first row.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where the next row begins in the uncompressed UTF-8 text of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RowPlace {
    /// The number of bytes before it.
    pub(super) byte: u64,
    /// The number of the line.
    pub(super) line: u64,
    /// Whether it is an element of a JSON array.
    pub(super) in_array: bool,
    /// Whether a byte of the text is a byte of the upload, so that reading can be continued there.
    pub(super) is_plain: bool,
}

impl Default for RowPlace {
    fn default() -> Self {
        Self {
            byte: 0,
            line: 1,
            in_array: false,
            is_plain: false,
        }
    }
}

/// How the rows of a file are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFormat {
    /// Records of a CSV with this delimiter.
    Csv(u8),
    /// Lines, or the elements of one array.
    Json,
}

impl RowFormat {
    /// Whether a row has white space and empty cells only.
    fn is_blank(self, row: &[u8]) -> bool {
        let mut bytes = row.iter();
        bytes.all(|byte| byte.is_ascii_whitespace() || self == Self::Csv(*byte))
    }
}

/// A row that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowHead {
    /// The line on which it begins.
    pub(super) line: u64,
    /// Why its content is not complete.
    pub(super) fault: Option<RowFault>,
}

/// Why the content of a row is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFault {
    /// It is longer than the limit.
    TooLong,
    /// The file ends within a quoted cell.
    OpenQuote,
    /// The file ends within the row, or the array is not separated by commas.
    NotJson,
}

/// Reads rows from a text.
pub(super) struct RowReader<R> {
    input: R,
    format: RowFormat,
    place: RowPlace,
    max_bytes: usize,
    /// Whether nothing but white space was read, so that a bracket begins an array.
    is_at_start: bool,
}

/// What to do after a byte.
enum Step {
    /// The byte belongs to the row.
    Take,
    /// The byte is left out.
    Skip,
    /// The byte ends the row.
    End,
}

/// The state of a row that is being read.
#[derive(Default)]
struct State {
    quote: Quote,
    depth: u32,
    escaped: bool,
    /// Whether the element of an array has ended, so that a comma or the end follows.
    after_value: bool,
}

/// The place of a byte within the cells of a CSV, or the strings of JSON.
#[derive(Default, PartialEq, Eq)]
enum Quote {
    /// At the begin of a cell, where a quotation mark opens it.
    #[default]
    CellStart,
    /// Within a cell without quotation marks, or outside of a string.
    Outside,
    Inside,
    /// After a quotation mark within a quoted cell.
    Closing,
}

impl<R: BufRead> RowReader<R> {
    /// Reads rows from `input`, which begins at `place`. A row has at most `max_bytes`.
    pub(super) fn new(input: R, format: RowFormat, place: RowPlace, max_bytes: usize) -> Self {
        Self {
            input,
            format,
            place,
            max_bytes,
            is_at_start: place.byte == 0,
        }
    }

    /// Where the next row begins.
    pub(super) fn place(&self) -> RowPlace {
        self.place
    }

    /// Changes the delimiter of a CSV for the next rows.
    pub(super) fn set_format(&mut self, format: RowFormat) {
        self.format = format;
    }

    /// Replaces `row` by the next row that is not blank. `None` at the end.
    pub(super) fn next_row(&mut self, row: &mut Vec<u8>) -> io::Result<Option<RowHead>> {
        row.clear();
        let mut state = State::default();
        let (mut line, mut fault) = (self.place.line, None);
        let is_json = self.format == RowFormat::Json;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(self.end_of_file(&state, row, line, fault));
            }
            let mut used = 0;
            let mut has_ended = false;
            for byte in available {
                used += 1;
                let step = match self.format {
                    RowFormat::Csv(delimiter) => csv_step(&mut state, *byte, delimiter),
                    RowFormat::Json if self.place.in_array => array_step(&mut state, *byte),
                    RowFormat::Json if self.is_at_start && *byte == b'[' => {
                        self.place.in_array = true;
                        Step::Skip
                    }
                    RowFormat::Json => line_step(*byte),
                };
                self.is_at_start &= byte.is_ascii_whitespace() || BYTE_ORDER_MARK.contains(byte);
                // `\r\n` is one line break: it is counted at its `\n`.
                self.place.line += u64::from(*byte == b'\n');
                match step {
                    Step::Take if is_json && row.is_empty() && byte.is_ascii_whitespace() => {}
                    Step::Take if row.len() < self.max_bytes => {
                        if row.is_empty() {
                            line = self.place.line;
                        }
                        row.push(*byte);
                    }
                    Step::Take => fault = Some(RowFault::TooLong),
                    Step::Skip => {}
                    Step::End => {
                        has_ended = true;
                        break;
                    }
                }
            }
            self.input.consume(usize::try_from(used).unwrap_or(usize::MAX));
            self.place.byte += used;
            if has_ended {
                if !self.format.is_blank(row) {
                    return Ok(Some(RowHead { line, fault }));
                }
                row.clear();
                state = State::default();
            }
        }
    }

    /// The last row, which no line break ends.
    fn end_of_file(&self, state: &State, row: &[u8], line: u64, fault: Option<RowFault>) -> Option<RowHead> {
        if self.format.is_blank(row) {
            return None;
        }
        let is_open = match self.format {
            RowFormat::Csv(_) => (state.quote == Quote::Inside).then_some(RowFault::OpenQuote),
            RowFormat::Json => (self.place.in_array && !state.after_value).then_some(RowFault::NotJson),
        };
        Some(RowHead {
            line,
            fault: fault.or(is_open),
        })
    }
}

/// A byte of a CSV (RFC 4180). A quotation mark within a cell without quotation marks is an ordinary character.
fn csv_step(state: &mut State, byte: u8, delimiter: u8) -> Step {
    let is_line_break = byte == b'\n' || byte == b'\r';
    state.quote = match state.quote {
        Quote::Inside if byte == b'"' => Quote::Closing,
        Quote::Inside => Quote::Inside,
        Quote::Closing if byte == b'"' => Quote::Inside,
        Quote::CellStart if byte == b'"' => Quote::Inside,
        _ if is_line_break => return Step::End,
        _ if byte == delimiter => Quote::CellStart,
        _ => Quote::Outside,
    };
    Step::Take
}

/// A byte of NDJSON. JSON has no line break within a value.
fn line_step(byte: u8) -> Step {
    match byte {
        b'\n' => Step::End,
        _ => Step::Take,
    }
}

/// A byte of a JSON array, after its bracket.
fn array_step(state: &mut State, byte: u8) -> Step {
    if state.quote == Quote::Inside {
        match byte {
            _ if state.escaped => state.escaped = false,
            b'\\' => state.escaped = true,
            b'"' => state.quote = Quote::Outside,
            _ => {}
        }
        return Step::Take;
    }
    match byte {
        b',' | b']' if state.depth == 0 => {
            state.after_value = true;
            Step::End
        }
        _ => {
            match byte {
                b'"' => state.quote = Quote::Inside,
                b'{' | b'[' => state.depth += 1,
                b'}' | b']' => state.depth = state.depth.saturating_sub(1),
                _ => {}
            }
            state.after_value = state.depth == 0;
            Step::Take
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: RowFormat, max_bytes: usize) -> Vec<(String, u64, Option<RowFault>)> {
        // A small buffer: rows continue in the next one.
        let input = io::BufReader::with_capacity(3, text.as_bytes());
        let mut reader = RowReader::new(input, format, RowPlace::default(), max_bytes);
        let (mut rows, mut row) = (Vec::new(), Vec::new());
        while let Some(head) = reader.next_row(&mut row).unwrap() {
            rows.push((String::from_utf8_lossy(&row).into_owned(), head.line, head.fault));
        }
        rows
    }

    fn row(text: &str, line: u64) -> (String, u64, Option<RowFault>) {
        (text.to_owned(), line, None)
    }

    #[test]
    fn rows_of_a_csv_have_their_lines() {
        let text = "a,b\r\n\r\n,, ,\n1,\"x\r\ny\"\"\n\"\r\n5\" pipe,2\r\n\n \nlast,\"\"";
        assert_eq!(
            read(text, RowFormat::Csv(b','), 99),
            [
                row("a,b", 1),
                row("1,\"x\r\ny\"\"\n\"", 4),
                row("5\" pipe,2", 7),
                row("last,\"\"", 10)
            ]
        );
    }

    #[test]
    fn long_row_is_skipped_to_its_end() {
        let text = format!("a\n\"{}\n{}\"\nb\n", "x".repeat(50), "y".repeat(50));
        let rows = read(&text, RowFormat::Csv(b','), 10);
        assert_eq!(rows[1].2, Some(RowFault::TooLong));
        assert_eq!((rows[1].0.len(), rows[2].clone()), (10, row("b", 4)));
        let text = format!("{{}}\n{}\n{{}}", "x".repeat(50));
        let rows = read(&text, RowFormat::Json, 10);
        assert_eq!((rows[1].2, rows[2].1), (Some(RowFault::TooLong), 3));
    }

    #[test]
    fn open_quotation_mark_is_a_fault() {
        let rows = read("a\n\"x\ny\n", RowFormat::Csv(b','), 99);
        assert_eq!(rows[1], ("\"x\ny\n".to_owned(), 2, Some(RowFault::OpenQuote)));
    }

    #[test]
    fn elements_of_an_array_are_rows() {
        let text = " [\n {\"a\": [1, \"],}\\\"\"]} ,\n{}\n, 7]\n";
        let rows = read(text, RowFormat::Json, 99);
        let texts: Vec<(&str, u64)> = rows.iter().map(|row| (row.0.trim(), row.1)).collect();
        assert_eq!(texts, [("{\"a\": [1, \"],}\\\"\"]}", 2), ("{}", 3), ("7", 4)]);
        assert_eq!(read("[]", RowFormat::Json, 99), []);
        assert_eq!(read("[{\"a\":1}", RowFormat::Json, 99).len(), 1);
        assert_eq!(
            read("[{\"a\":", RowFormat::Json, 99)[0].2,
            Some(RowFault::NotJson)
        );
    }

    #[test]
    fn reading_continues_at_each_place() {
        for (text, format) in [
            ("h\r\n1,\"a\nb\"\r\n\r\n2\n3", RowFormat::Csv(b',')),
            ("{\"a\":1}\n\n{}\n[]", RowFormat::Json),
            ("[{\"a\":1},\n{},\"x\"]", RowFormat::Json),
        ] {
            let all = read(text, format, 99);
            let mut reader = RowReader::new(text.as_bytes(), format, RowPlace::default(), 99);
            let mut row = Vec::new();
            for done in 1..=all.len() {
                reader.next_row(&mut row).unwrap();
                let place = reader.place();
                let rest = &text.as_bytes()[usize::try_from(place.byte).unwrap()..];
                let mut continued = RowReader::new(rest, format, place, 99);
                let mut rows = Vec::new();
                while let Some(head) = continued.next_row(&mut row).unwrap() {
                    rows.push((String::from_utf8_lossy(&row).into_owned(), head.line, head.fault));
                }
                assert_eq!(rows, all[done..], "{text} after {done}");
            }
        }
    }
}
