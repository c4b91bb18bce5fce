//! Durations, dates and numbers as text. Machine-readable values are never written by these functions.

use std::borrow::Cow;

use chrono::{Datelike, NaiveDate};
use fluent_bundle::FluentArgs;

use super::bundle::Texts;
use super::{Language, Piece, Template};

/// The units of a duration in seconds, with the names of their messages. The largest is the first.
const UNITS: [(i64, &str); 4] = [
    (86_400, "time-days"),
    (3_600, "time-hours"),
    (60, "time-minutes"),
    (1, "time-seconds"),
];

/// The number of texts of a unit that are prepared. No unit but the largest has a greater number.
const PREPARED: i64 = 60;

/// The prepared texts of durations.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// The texts of each unit, such as `5 minutes`.
    one: [Vec<String>; 4],
    /// The text of two units.
    two: Template,
}

impl Units {
    pub(super) fn new(texts: &Texts) -> Self {
        Self {
            one: UNITS.map(|(_, id)| {
                let counts = 0..PREPARED;
                counts.map(|count| format_unit(texts, id, count)).collect()
            }),
            two: texts.template("time-two-units").cloned().unwrap_or_default(),
        }
    }
}

fn format_unit(texts: &Texts, id: &str, count: i64) -> String {
    let mut values = FluentArgs::new();
    values.set("count", count);
    texts.format(id, &values).unwrap_or_default().into_owned()
}

impl Language {
    /// A duration in whole seconds as text: the largest unit and the next smaller one, without smaller units and without
    /// zeros (docs/specification.md#total-time). Zero and negative durations are `0 seconds`.
    pub fn duration(self, seconds: i64) -> String {
        let mut text = String::new();
        self.push_duration(seconds, |part| text.push_str(part));
        text
    }

    /// [`Language::duration`] in parts, without a text of its own.
    pub fn push_duration(self, seconds: i64, mut push: impl FnMut(&str)) {
        let largest = UNITS.iter().position(|(unit, _)| seconds >= *unit);
        let Some(largest) = largest else {
            return push(&self.unit(UNITS.len() - 1, 0));
        };
        let (unit, _) = UNITS[largest];
        let first = self.unit(largest, seconds / unit);
        let second = match UNITS.get(largest + 1) {
            Some((smaller, _)) => seconds % unit / smaller,
            None => 0,
        };
        if second == 0 {
            return push(&first);
        }
        let second = self.unit(largest + 1, second);
        let two = &self.texts().units.two;
        let two = if two.pieces().is_empty() {
            &Self::ENGLISH.texts().units.two
        } else {
            two
        };
        for piece in two.pieces() {
            match piece {
                Piece::Text(text) => push(text),
                Piece::Place(name) if name == "larger" => push(&first),
                Piece::Place(_) => push(&second),
            }
        }
    }

    fn unit(self, index: usize, count: i64) -> Cow<'static, str> {
        let texts = self.texts();
        let prepared = usize::try_from(count).ok();
        match prepared.and_then(|count| texts.units.one[index].get(count)) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(format_unit(texts, UNITS[index].1, count)),
        }
    }

    /// A percentage for a sentence, such as `45.5%`, from its number with a decimal point.
    pub fn percent(self, number: &str) -> String {
        let number = match self.label("number", "decimal") {
            "." => number.to_owned(),
            separator => number.replace('.', separator),
        };
        self.template("percent").fill(&[("number", &number)])
    }

    /// A whole number with separators, such as `1,234,567`.
    pub fn group_digits(self, number: u64) -> String {
        let separator = self.label("number", "thousands");
        let digits = number.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push_str(separator);
            }
            text.push(digit);
        }
        text
    }

    /// A date in words, such as `16 March 2026`.
    pub fn date(self, date: NaiveDate) -> String {
        let month = self.label("month-of-date", &month_key(date));
        let (day, year) = (date.day().into(), date.format("%Y").to_string().into());
        self.format("date", [("day", day), ("month", month.into()), ("year", year)])
    }

    /// A month in words, such as `March 2026`.
    pub fn month(self, first: NaiveDate) -> String {
        let month = self.label("month", &month_key(first));
        let year = first.format("%Y").to_string();
        let values = [("month", month), ("year", year.as_str())];
        self.template("month-and-year").fill(&values)
    }
}

/// The key of the month of a date, such as `m03`: a key of Fluent begins with a letter.
fn month_key(date: NaiveDate) -> String {
    format!("m{:02}", date.month())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENGLISH_UNITS: [(i64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];

    fn time_text(seconds: i64) -> String {
        Language::ENGLISH.duration(seconds)
    }

    fn language(tag: &str) -> Language {
        Language::find(tag).unwrap()
    }

    #[test]
    fn duration_has_the_plural_of_its_language() {
        for (tag, seconds, text) in [
            ("en", 3_900, "1 hour 5 minutes"),
            ("en", 200 * 86_400, "200 days"),
            ("de", 90_061, "1 Tag 1 Stunde"),
            ("de", 2 * 86_400, "2 Tage"),
            ("pl", 61, "1 minuta 1 sekunda"),
            ("pl", 2 * 3_600 + 22 * 60, "2 godziny 22 minuty"),
            ("pl", 5 * 3_600 + 12 * 60, "5 godzin 12 minut"),
            ("pl", 0, "0 sekund"),
            ("fr", 60, "1 minute"),
            ("es", 7_200, "2 horas"),
            ("nl", 7_260, "2 uur 1 minuut"),
            ("pt", 86_400 * 3, "3 dias"),
        ] {
            assert_eq!(language(tag).duration(seconds), text, "{tag}");
        }
    }

    #[test]
    fn numbers_and_dates_are_written_as_in_their_language() {
        let date = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        for (tag, percent, number, text, month) in [
            ("en", "45.5%", "1,234,567", "1 March 2026", "March 2026"),
            ("de", "45,5\u{a0}%", "1.234.567", "1. März 2026", "März 2026"),
            (
                "fr",
                "45,5\u{a0}%",
                "1\u{202f}234\u{202f}567",
                "1er mars 2026",
                "mars 2026",
            ),
            (
                "es",
                "45,5\u{a0}%",
                "1.234.567",
                "1 de marzo de 2026",
                "marzo de 2026",
            ),
            ("nl", "45,5%", "1.234.567", "1 maart 2026", "maart 2026"),
            ("pt", "45,5%", "1.234.567", "1 de março de 2026", "março de 2026"),
            (
                "pl",
                "45,5%",
                "1\u{a0}234\u{a0}567",
                "1 marca 2026",
                "marzec 2026",
            ),
        ] {
            let language = language(tag);
            assert_eq!(language.percent("45.5"), percent);
            assert_eq!(language.group_digits(1_234_567), number);
            assert_eq!(language.date(date), text);
            assert_eq!(language.month(date), month);
        }
    }

    #[test]
    fn text_has_two_units_without_zeros() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "1 minute"),
            (61, "1 minute 1 second"),
            (300, "5 minutes"),
            (3_599, "59 minutes 59 seconds"),
            (3_600, "1 hour"),
            (3_603, "1 hour"),
            (3_900, "1 hour 5 minutes"),
            (3_959, "1 hour 5 minutes"),
            (86_399, "23 hours 59 minutes"),
            (86_400, "1 day"),
            (86_460, "1 day"),
            (180_000, "2 days 2 hours"),
            (-5, "0 seconds"),
        ] {
            assert_eq!(time_text(seconds), text, "{seconds}");
        }
    }

    proptest! {
        /// The text differs from the duration by less than its smaller unit.
        #[test]
        fn text_is_exact_to_its_smaller_unit(seconds in 1i64..10_000_000) {
            let text = time_text(seconds);
            let words: Vec<&str> = text.split(' ').collect();
            prop_assert!(words.len() == 2 || words.len() == 4);
            let units: Vec<(i64, i64)> = words.chunks(2).map(|pair| {
                let unit = ENGLISH_UNITS.iter().find(|(_, name)| pair[1].trim_end_matches('s') == *name).unwrap().0;
                (pair[0].parse::<i64>().unwrap(), unit)
            }).collect();
            prop_assert!(units.iter().all(|(count, _)| *count > 0));
            let total: i64 = units.iter().map(|(count, unit)| count * unit).sum();
            // A text with one unit has zero of the next smaller one.
            let smallest = if units.len() == 2 { units[1].1 } else {
                ENGLISH_UNITS.iter().find(|(unit, _)| *unit < units[0].1).map_or(1, |(unit, _)| *unit)
            };
            prop_assert!(total <= seconds && seconds - total < smallest);
        }
    }
}
