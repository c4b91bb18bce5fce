//! Writing and escaping one cell of a CSV line.
//!
//! Text from clients (names, titles, tags, headings of custom fields) is written by [`Cell::text`]. It is escaped if a
//! spreadsheet would run it as a formula, and then quoted as RFC 4180 requires. Values that Rollbook formats itself
//! (times, numbers, ids, labels) are written unchanged: they need no quotes and are never formulas. For example, a score
//! of `-5%` remains a number, but a job title `-5`, which a spreadsheet would calculate, becomes the text `'-5`.
//!
//! All functions append to a buffer that is reused. They do not allocate memory for each row.

use std::io::Write as _;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::log::Percent;

/// The separator between several values in one cell.
pub const SEPARATOR: &str = "; ";

/// A writer for one cell.
#[derive(Debug)]
pub struct Cell<'a> {
    out: &'a mut Vec<u8>,
    raw: bool,
}

impl<'a> Cell<'a> {
    /// A writer that appends to `out`. With `raw`, formulas are not escaped.
    pub fn new(out: &'a mut Vec<u8>, raw: bool) -> Self {
        Self { out, raw }
    }

    /// Writes text from a client. It is escaped and quoted if necessary.
    pub fn text(&mut self, text: &str) {
        let prefix = if !self.raw && begins_formula(text) {
            "'"
        } else {
            ""
        };
        if !text
            .bytes()
            .any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'))
        {
            self.out.extend_from_slice(prefix.as_bytes());
            self.out.extend_from_slice(text.as_bytes());
            return;
        }
        self.out.push(b'"');
        self.out.extend_from_slice(prefix.as_bytes());
        for (index, part) in text.split('"').enumerate() {
            if index > 0 {
                self.out.extend_from_slice(b"\"\"");
            }
            self.out.extend_from_slice(part.as_bytes());
        }
        self.out.push(b'"');
    }

    /// Writes text from a client, or an empty cell.
    pub fn optional_text(&mut self, text: Option<impl AsRef<str>>) {
        if let Some(text) = text {
            self.text(text.as_ref());
        }
    }

    /// Writes several values into one cell, in their order.
    pub fn list(&mut self, values: &[String]) {
        match values {
            [] => {}
            [value] => self.text(value),
            values => self.text(&values.join(SEPARATOR)),
        }
    }

    /// Writes a fixed text of Rollbook. It must not need quotes or escaping.
    pub fn label(&mut self, label: &'static str) {
        self.out.extend_from_slice(label.as_bytes());
    }

    /// Writes `Yes` or `No`.
    pub fn yes_or_no(&mut self, value: bool) {
        self.label(if value { "Yes" } else { "No" });
    }

    /// Writes a time as RFC 3339 in UTC with milliseconds, or an empty cell.
    pub fn time(&mut self, at: Option<Timestamp>) {
        if let Some(at) = at {
            write_time(self.out, at);
        }
    }

    /// Writes an integer, or an empty cell.
    pub fn number(&mut self, number: Option<i64>) {
        if let Some(number) = number {
            let _ = write!(self.out, "{number}"); // writing to a vector cannot fail
        }
    }

    /// Writes a percentage with a percent sign, or an empty cell.
    pub fn percent(&mut self, percent: Option<Percent>) {
        if let Some(percent) = percent {
            let _ = write!(self.out, "{percent}%"); // writing to a vector cannot fail
        }
    }

    /// Writes a UUID with hyphens in lower case, or an empty cell.
    pub fn uuid(&mut self, id: Option<Uuid>) {
        if let Some(id) = id {
            let mut digits = Uuid::encode_buffer();
            self.out
                .extend_from_slice(id.hyphenated().encode_lower(&mut digits).as_bytes());
        }
    }
}

/// Whether a spreadsheet would run a cell with this text as a formula.
///
/// This is the case if the text begins with `=`, `+`, `-`, `@`, one of their full-width forms, a tab, a carriage return
/// or a line feed (OWASP, "CSV Injection").
pub fn begins_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Writes a time in the format of [`Timestamp`]'s `Display`, but about ten times faster. An export writes up to three
/// times for each row.
pub fn write_time(out: &mut Vec<u8>, at: Timestamp) {
    let days = at.micros().div_euclid(MICROS_PER_DAY);
    let millis = at.micros().rem_euclid(MICROS_PER_DAY) / 1_000;
    let (year, month, day) = civil_date(days);
    let Ok(year @ 0..=9_999) = u32::try_from(year) else {
        let _ = write!(out, "{at}"); // years with five digits have a sign; writing to a vector cannot fail
        return;
    };
    // The milliseconds of one day fit.
    let millis = millis as u32;
    let (second, minute, hour) = (millis / 1_000 % 60, millis / 60_000 % 60, millis / 3_600_000);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    write_digits(&mut text[0..4], year);
    write_digits(&mut text[5..7], month);
    write_digits(&mut text[8..10], day);
    write_digits(&mut text[11..13], hour);
    write_digits(&mut text[14..16], minute);
    write_digits(&mut text[17..19], second);
    write_digits(&mut text[20..23], millis % 1_000);
    out.extend_from_slice(&text);
}

/// Fills the target with the last digits of the number.
fn write_digits(target: &mut [u8], mut number: u32) {
    for digit in target.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8; // one digit fits
        number /= 10;
    }
}

/// Converts days since 1970-01-01 to year, month and day in the proleptic Gregorian calendar.
///
/// The calculation uses years that begin in March. The leap day is then the last day of a year, and each rule of the
/// calendar is a division (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_date(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468; // from 0000-03-01
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * march_month + 2) / 5 + 1) as u32; // 1 to 31
    let month = (if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    }) as u32; // 1 to 12
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str, raw: bool) -> String {
        let mut out = Vec::new();
        Cell::new(&mut out, raw).text(text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formulas_are_escaped() {
        for formula in [
            "=1+1",
            "+1",
            "-5",
            "@SUM(A1)",
            "\tx",
            "＝1",
            "＋1",
            "－1",
            "＠x",
            "=HYPERLINK",
        ] {
            assert_eq!(text(formula, false), format!("'{formula}"));
            assert_eq!(text(formula, true), formula);
        }
        assert_eq!(text("\r=1", false), "\"'\r=1\"");
        assert_eq!(text("\n=1", false), "\"'\n=1\"");
        assert_eq!(
            text("=cmd|' /C calc'!A0,\"x\"", false),
            "\"'=cmd|' /C calc'!A0,\"\"x\"\"\""
        );
        for harmless in ["", "a=1", "1-5", "x@y", "'=1", " -", "Ünï", "—", "−5"] {
            assert_eq!(text(harmless, false), harmless);
        }
    }

    #[test]
    fn numbers_are_not_escaped() {
        let mut out = Vec::new();
        let mut cell = Cell::new(&mut out, false);
        cell.percent(Some(Percent(-550)));
        cell.number(Some(-7));
        cell.number(None);
        cell.percent(None);
        cell.percent(Some(Percent(9_250)));
        assert_eq!(String::from_utf8(out).unwrap(), "-5.5%-792.5%");
    }

    #[test]
    fn several_values_are_joined_in_one_cell() {
        let list = |values: &[&str]| {
            let mut out = Vec::new();
            Cell::new(&mut out, false)
                .list(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
            String::from_utf8(out).unwrap()
        };
        assert_eq!(list(&[]), "");
        assert_eq!(list(&["safety"]), "safety");
        assert_eq!(list(&["safety", "fire"]), "safety; fire");
        assert_eq!(list(&["=a", "b,c"]), "\"'=a; b,c\"");
    }

    #[test]
    fn extreme_times_are_written_like_display() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_772_355_600_123_999, "2026-03-01T09:00:00.123Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000_000, "+10000-01-01T00:00:00.000Z"),
            (-62_167_219_200_000_000, "0000-01-01T00:00:00.000Z"),
            (-62_167_219_200_000_001, "-0001-12-31T23:59:59.999Z"),
        ] {
            let mut out = Vec::new();
            write_time(&mut out, Timestamp::from_micros(micros));
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{micros}");
        }
    }

    proptest! {
        /// Compares with the calendar of chrono for all years that it supports.
        #[test]
        fn every_time_is_written_like_display(micros in -8_000_000_000_000_000_000i64..8_000_000_000_000_000_000) {
            let at = Timestamp::from_micros(micros);
            let mut out = Vec::new();
            write_time(&mut out, at);
            prop_assert_eq!(String::from_utf8(out).unwrap(), at.to_string());
        }

        /// Compares with the calendar of chrono for years with four digits.
        #[test]
        fn common_times_are_written_like_display(micros in -62_200_000_000_000_000i64..253_500_000_000_000_000) {
            let at = Timestamp::from_micros(micros);
            let mut out = Vec::new();
            write_time(&mut out, at);
            prop_assert_eq!(String::from_utf8(out).unwrap(), at.to_string());
        }

        /// The `csv` crate writes the same bytes and reads the same text.
        #[test]
        fn text_is_quoted_as_rfc_4180_requires(cells in prop::collection::vec("[a-c=;',\"\r\n\t ü-]{0,6}", 2..5)) {
            let mut out = Vec::new();
            for (index, text) in cells.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                Cell::new(&mut out, true).text(text);
            }
            out.extend_from_slice(b"\r\n");
            let mut expected = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
            expected.write_record(&cells).unwrap();
            prop_assert_eq!(&out, &expected.into_inner().unwrap());
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(out.as_slice());
            let record = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(record.iter().collect::<Vec<_>>(), cells);
        }

        /// Escaped text is never a formula, and it is the original text after the apostrophe.
        #[test]
        fn escaped_text_is_the_original_text_after_an_apostrophe(original in "[=+@\t\r\n＝-]?[ab=, \"']{0,5}") {
            let line = text(&original, false);
            let file = format!("x,{line}\r\n");
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(file.as_bytes());
            let cell = reader.records().next().unwrap().unwrap()[1].to_owned();
            prop_assert!(!begins_formula(&cell));
            let unescaped = if begins_formula(&original) { cell.strip_prefix('\'').unwrap() } else { &cell };
            prop_assert_eq!(unescaped, original);
        }
    }
}
