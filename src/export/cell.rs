//! Writing one cell: escaping its text for a CSV, or taking its value for a typed file.
//!
//! Text from clients (names, titles, tags, headings of custom fields) is written by [`Cell::text`]. It is escaped where a
//! spreadsheet would run it as a formula, and then quoted as RFC 4180 requires. Values that Rollbook formats itself
//! (times, numbers, ids, labels) are written unchanged: they need no quotes and are never formulas. For example, a score
//! of `-5%` remains a number, but a job title `-5`, which a spreadsheet would calculate, becomes the text `'-5`.
//!
//! A spreadsheet that is told to split at semicolons or tabs ignores the quotes of this file and begins cells inside a
//! text. So a text is escaped at each place where any separator could begin a cell, see [`escape_positions`].
//!
//! All functions append to a buffer that is reused. They do not allocate memory for each row.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;
use std::sync::LazyLock;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::log::Percent;
use crate::texts::Language;

/// The separator between several values in one cell.
pub const SEPARATOR: &str = "; ";

/// How cells are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellFormat {
    /// Whether texts that a spreadsheet would run as a formula are not escaped.
    pub raw: bool,
    /// The language of labels and headings.
    pub language: Language,
}

/// The value of a cell of a typed file.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// The cell is empty.
    #[default]
    Empty,
    /// A text or label.
    Text(Cow<'static, str>),
    /// Several values, in their order.
    List(Vec<String>),
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with decimals, or a percentage.
    Decimal(f64),
    /// A time.
    Time(Timestamp),
}

/// A writer for one cell. It writes the text of a CSV, or the [`Value`] of a typed file.
#[derive(Debug)]
pub struct Cell<'a> {
    target: Target<'a>,
    format: CellFormat,
}

#[derive(Debug)]
enum Target<'a> {
    Csv(&'a mut Vec<u8>),
    Typed(&'a mut Value),
}

impl<'a> Cell<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, format: CellFormat) -> Self {
        Self {
            target: Target::Csv(out),
            format,
        }
    }

    /// A writer that sets the value of a cell of a typed file.
    pub fn typed(value: &'a mut Value, language: Language) -> Self {
        Self {
            target: Target::Typed(value),
            format: CellFormat { raw: true, language },
        }
    }

    /// The language of labels.
    pub fn language(&self) -> Language {
        self.format.language
    }

    /// Writes text from a client. In a CSV it is escaped and quoted if necessary.
    pub fn text(&mut self, text: &str) {
        match &mut self.target {
            Target::Csv(out) => write_text(out, text, self.format.raw),
            Target::Typed(value) => **value = Value::Text(Cow::Owned(text.to_owned())),
        }
    }

    /// Writes text from a client, or an empty cell.
    pub fn optional_text(&mut self, text: Option<impl AsRef<str>>) {
        if let Some(text) = text {
            self.text(text.as_ref());
        }
    }

    /// Writes several values into one cell, in their order.
    pub fn list(&mut self, values: &[String]) {
        match (&mut self.target, values) {
            (Target::Typed(value), values) => **value = Value::List(values.to_vec()),
            (Target::Csv(_), []) => {}
            (Target::Csv(_), [value]) => self.text(value),
            (Target::Csv(_), values) => self.text(&values.join(SEPARATOR)),
        }
    }

    /// Writes a fixed text of Rollbook. It must not need quotes or escaping.
    pub fn label(&mut self, label: &'static str) {
        match &mut self.target {
            Target::Csv(out) => out.extend_from_slice(label.as_bytes()),
            Target::Typed(value) => **value = Value::Text(Cow::Borrowed(label)),
        }
    }

    /// Writes `Yes` or `No`, in the language of labels.
    pub fn yes_or_no(&mut self, is_true: bool) {
        let labels = FlagLabels::in_language(self.language());
        let label = if is_true { labels.yes } else { labels.no };
        match &mut self.target {
            Target::Csv(_) => self.label(label),
            Target::Typed(value) => **value = Value::Boolean(is_true),
        }
    }

    /// Writes `Pass` or `Fail`, in the language of labels, or an empty cell.
    pub fn grade(&mut self, success: Option<bool>) {
        let labels = FlagLabels::in_language(self.language());
        match success {
            Some(true) => self.label(labels.passed),
            Some(false) => self.label(labels.failed),
            None => {}
        }
    }

    /// Writes a duration in words.
    pub fn duration(&mut self, seconds: i64) {
        let language = self.language();
        match &mut self.target {
            Target::Csv(out) => {
                let start = out.len();
                language.push_duration(seconds, |part| out.extend_from_slice(part.as_bytes()));
                if !out[start..].iter().copied().all(is_plain) {
                    let text = language.duration(seconds);
                    out.truncate(start);
                    write_text(out, &text, self.format.raw);
                }
            }
            Target::Typed(value) => **value = Value::Text(language.duration(seconds).into()),
        }
    }

    /// Writes a time as RFC 3339 in UTC with milliseconds, or an empty cell.
    pub fn time(&mut self, at: Option<Timestamp>) {
        match (&mut self.target, at) {
            (_, None) => {}
            (Target::Csv(out), Some(at)) => write_time(out, at),
            (Target::Typed(value), Some(at)) => **value = Value::Time(at),
        }
    }

    /// Writes an integer, or an empty cell.
    pub fn number(&mut self, number: Option<i64>) {
        match (&mut self.target, number) {
            (_, None) => {}
            (Target::Csv(out), Some(number)) => write_integer(out, number),
            (Target::Typed(value), Some(number)) => **value = Value::Integer(number),
        }
    }

    /// Writes a number with its decimals, or an empty cell.
    pub fn decimal(&mut self, number: Option<f64>) {
        match (&mut self.target, number) {
            (_, None) => {}
            (Target::Csv(out), Some(number)) => write_display(out, number),
            (Target::Typed(value), Some(number)) => **value = Value::Decimal(number),
        }
    }

    /// Writes a percentage as a plain number, or an empty cell.
    pub fn percent_number(&mut self, percent: Option<Percent>) {
        match (&mut self.target, percent) {
            (_, None) => {}
            (Target::Csv(out), Some(percent)) => write_percent(out, percent),
            (Target::Typed(value), Some(percent)) => **value = Value::Decimal(percent.value()),
        }
    }

    /// Writes a percentage, in a CSV with a percent sign, or an empty cell.
    pub fn percent(&mut self, percent: Option<Percent>) {
        self.percent_number(percent);
        if let (Target::Csv(out), Some(_)) = (&mut self.target, percent) {
            out.push(b'%');
        }
    }

    /// Writes a UUID with hyphens in lower case, or an empty cell.
    pub fn uuid(&mut self, id: Option<Uuid>) {
        let Some(id) = id else { return };
        let mut digits = Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut digits);
        match &mut self.target {
            Target::Csv(out) => out.extend_from_slice(text.as_bytes()),
            Target::Typed(value) => **value = Value::Text(Cow::Owned(text.to_owned())),
        }
    }
}

fn write_display(out: &mut Vec<u8>, value: impl Display) {
    let _ = write!(out, "{value}"); // writing to a vector cannot fail
}

/// The labels of cells with two values, in one language. Almost every row has one of them.
struct FlagLabels {
    yes: &'static str,
    no: &'static str,
    passed: &'static str,
    failed: &'static str,
}

impl FlagLabels {
    fn in_language(language: Language) -> &'static Self {
        static LABELS: LazyLock<Vec<FlagLabels>> = LazyLock::new(|| {
            let labels = Language::all().map(|language| FlagLabels {
                yes: language.label("answer", "yes"),
                no: language.label("answer", "no"),
                passed: language.label("grade", "passed"),
                failed: language.label("grade", "failed"),
            });
            labels.collect()
        });
        &LABELS[language.index()]
    }
}

/// Writes an integer in decimal digits, faster than `Display`.
fn write_integer(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8; // one digit fits
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Writes a percentage in the format of its `Display`.
fn write_percent(out: &mut Vec<u8>, percent: Percent) {
    if percent.0 % 100 == 0 {
        return write_integer(out, percent.0 / 100);
    }
    write_display(out, percent);
}

/// Whether a text of such bytes needs neither quotes nor escaping, wherever they are.
fn is_plain(byte: u8) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = b' ';
        while byte < 0x7f {
            plain[byte as usize] = !matches!(
                byte,
                b',' | b'"' | b'\'' | b';' | b'|' | b'=' | b'+' | b'-' | b'@'
            );
            byte += 1;
        }
        plain
    };
    PLAIN[usize::from(byte)]
}

/// Writes a text of a CSV. It is escaped and quoted if necessary.
fn write_text(out: &mut Vec<u8>, text: &str, raw: bool) {
    if text.bytes().all(is_plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    let needs_quotes = text
        .bytes()
        .any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if needs_quotes {
        out.push(b'"');
    }
    let mut written = 0;
    if !raw {
        for position in escape_positions(text) {
            write_part(out, &text[written..position]);
            out.push(b'\'');
            written = position;
        }
    }
    write_part(out, &text[written..]);
    if needs_quotes {
        out.push(b'"');
    }
}

/// Writes a part of a text, with its quotation marks doubled.
fn write_part(out: &mut Vec<u8>, part: &str) {
    for (index, piece) in part.split('"').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(piece.as_bytes());
    }
}

/// The byte positions at which an apostrophe is inserted, so that no spreadsheet runs the text as a formula.
///
/// A formula begins with a sign at the start of a cell. A cell can start at the start of the text, and
/// after each character that separates cells in any spreadsheet. White space and invisible characters
/// before the sign do not help, because spreadsheets can drop them. A text that begins with a tab or a line break gets an
/// apostrophe at its start as well (OWASP, "CSV Injection").
///
/// The original text can be restored. First, if a tab or a line break follows the apostrophes at the start, one of them is
/// removed. Then one apostrophe is removed directly before each sign that has one there: an apostrophe separates cells,
/// so such a sign was escaped.
pub fn escape_positions(text: &str) -> impl Iterator<Item = usize> {
    let first = text.trim_start_matches('\'').starts_with(['\t', '\r', '\n']);
    let mut starts_cell = true;
    let signs = text.char_indices().filter_map(move |(position, character)| {
        let is_formula = starts_cell && is_formula_sign(character);
        starts_cell = separates_cells(character) || (starts_cell && is_skipped(character));
        is_formula.then_some(position)
    });
    first.then_some(0).into_iter().chain(signs)
}

/// The text before apostrophes were inserted at its [`escape_positions`].
pub fn restore_text(text: &str) -> String {
    let begins_with_break = text.trim_start_matches('\'').starts_with(['\t', '\r', '\n']);
    let text = match text.strip_prefix('\'') {
        Some(rest) if begins_with_break => rest,
        _ => text,
    };
    let mut restored = String::with_capacity(text.len());
    for character in text.chars() {
        if is_formula_sign(character) && restored.ends_with('\'') {
            restored.pop();
        }
        restored.push(character);
    }
    restored
}

/// Whether a cell that begins with this character can be a formula: `=`, `+`, `-`, `@`, and their full-width and small
/// forms, which spreadsheets with East Asian languages convert.
fn is_formula_sign(character: char) -> bool {
    matches!(
        character,
        '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '﹦' | '﹢' | '﹣' | '﹫'
    )
}

/// Whether a spreadsheet can begin a cell after this character: a separator, a quotation mark, a line break, or another
/// control character.
fn separates_cells(character: char) -> bool {
    matches!(character, ',' | ';' | '|' | '"' | '\'' | '\u{2028}' | '\u{2029}') || character.is_control()
}

/// Whether a spreadsheet can drop this character at the start of a cell: white space, and characters without width.
fn is_skipped(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        )
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
mod tests;
