//! What a message says, once for its plain text and its HTML.

use std::fmt::Write as _;

use chrono::Timelike;
use chrono_tz::Tz;

use super::{EmailMessage, Enclosed, one_line};
use crate::base::clock::Timestamp;
use crate::log::period::start_of_day;
use crate::log::{Period, Window};

/// How many of the others are named before the rest are counted.
const NAMED: usize = 20;

/// The words of a message; every text of somebody's is one line.
pub(super) struct Words {
    report: String,
    /// The period as a subject has it: short.
    short_period: String,
    /// What stands in the table: its name and its value.
    facts: Vec<(&'static str, String)>,
    paragraphs: Vec<Paragraph>,
}

/// A paragraph.
enum Paragraph {
    /// Words.
    Text(String),
    /// An address to go to.
    Link(String),
}

impl Words {
    pub(super) fn of(letter: &EmailMessage<'_>) -> Self {
        let maker = one_line(letter.maker);
        let dates = dates(letter.window, letter.zone);
        let period = match letter.period {
            Some(period) => format!("{}: {dates} ({})", in_words(period), letter.zone),
            None if letter.window == Window::default() => dates.clone(),
            None => format!("{dates} ({})", letter.zone),
        };
        let facts = vec![
            ("Report", one_line(letter.report)),
            ("Period", period),
            ("Rows", grouped(letter.rows)),
            (
                "Run",
                format!("{} ({})", moment(letter.run_at, letter.zone), letter.zone),
            ),
            ("Scheduled by", format!("{maker}, {}", one_line(letter.timing))),
            ("Sent to", recipients(letter.others)),
        ];
        let mut paragraphs = enclosure(letter);
        paragraphs.push(Paragraph::Text(rights(letter, &maker)));
        paragraphs.push(Paragraph::Text(how_to_stop(letter, &maker)));
        Self {
            report: one_line(letter.report),
            short_period: dates,
            facts,
            paragraphs,
        }
    }

    /// `Weekly completions, 16 March 2026 to 22 March 2026`.
    pub(super) fn subject(&self) -> String {
        format!("{}, {}", self.report, self.short_period)
    }

    /// The plain text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.facts {
            // A String takes all that is written to it, here and below.
            let _ = writeln!(text, "{:<14}{value}", format!("{name}:"));
        }
        for paragraph in &self.paragraphs {
            let (Paragraph::Text(words) | Paragraph::Link(words)) = paragraph;
            let _ = writeln!(text, "\n{words}");
        }
        text
    }

    /// The same as HTML: no script, no picture, nothing from elsewhere.
    pub(super) fn html(&self) -> String {
        let mut html =
            String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>");
        let _ = write!(html, "{}</title>\n</head>\n", escaped(&self.subject()));
        html.push_str(
            "<body style=\"font-family: sans-serif; font-size: 15px; line-height: 1.5; color: #1a1a1a\">\n",
        );
        let _ = writeln!(
            html,
            "<h1 dir=\"auto\" style=\"font-size: 20px\">{}</h1>",
            escaped(&self.report)
        );
        html.push_str("<table style=\"border-collapse: collapse; text-align: left\">\n");
        for (name, value) in &self.facts {
            let _ = writeln!(
                html,
                "<tr><th style=\"padding: 2px 16px 2px 0; vertical-align: top; font-weight: normal; color: \
                 #5a5a5a\">{name}</th><td dir=\"auto\" style=\"padding: 2px 0\">{}</td></tr>",
                escaped(value)
            );
        }
        html.push_str("</table>\n");
        for paragraph in &self.paragraphs {
            let _ = match paragraph {
                Paragraph::Text(words) => writeln!(html, "<p>{}</p>", escaped(words)),
                Paragraph::Link(url) => writeln!(html, "<p><a href=\"{0}\">{0}</a></p>", escaped(url)),
            };
        }
        html.push_str("</body>\n</html>\n");
        html
    }
}

/// Where the rows are.
fn enclosure(letter: &EmailMessage<'_>) -> Vec<Paragraph> {
    match &letter.enclosed {
        Enclosed::File { name, gzipped, .. } => {
            let how = if *gzipped { ", compressed with gzip" } else { "" };
            let mut text = format!("The rows are in the attached file {}{how}.", one_line(name));
            if letter.rows == 0 {
                text = format!(
                    "There are no rows this time. The attached file {}{how} has the headings alone.",
                    one_line(name)
                );
            }
            vec![Paragraph::Text(text)]
        }
        Enclosed::Link { url, expires_at } => vec![
            Paragraph::Text(format!(
                "The rows are too many to be attached. They can be downloaded here until {} ({}):",
                moment(*expires_at, letter.zone),
                letter.zone
            )),
            Paragraph::Link(one_line(url)),
            Paragraph::Text("Whoever has this link can open it: please keep it to yourself.".to_owned()),
        ],
    }
}

/// Whose view it is.
fn rights(letter: &EmailMessage<'_>, maker: &str) -> String {
    match letter.to.1 {
        Some(_) if letter.own => "It holds the rows that you may see.".to_owned(),
        Some(_) => format!("It holds the rows that both {maker} and you may see."),
        None => format!("It holds the rows that {maker} may see."),
    }
}

/// Why it came, and how to have it come no more.
fn how_to_stop(letter: &EmailMessage<'_>, maker: &str) -> String {
    if letter.own {
        return "You receive this because you are on the list of a schedule that you made. To stop it, take yourself off \
                the list, or pause or delete the schedule."
            .to_owned();
    }
    // A private report's schedules are not there for administrators.
    let or_else = if letter.shared {
        " or an administrator of the organisation"
    } else {
        ""
    };
    format!(
        "You receive this because {maker} put you on the list of this schedule. To stop it, ask {maker}{or_else} to take \
         you off the list, or to pause or delete the schedule."
    )
}

/// Who receives it, seen by one of them.
fn recipients(others: &[String]) -> String {
    let mut names: Vec<String> = others.iter().take(NAMED).map(|name| one_line(name)).collect();
    match others.len().saturating_sub(NAMED) {
        0 => {}
        more => names.push(format!("{} more", grouped(more as u64))),
    }
    match names.split_last() {
        None => "you alone".to_owned(),
        Some((last, [])) => format!("you and {last}"),
        Some((last, first)) => format!("you, {} and {last}", first.join(", ")),
    }
}

/// A period as people say it, seen from the day of the run.
fn in_words(period: Period) -> &'static str {
    match period {
        Period::Today => "the day of the run",
        Period::Yesterday => "the day before",
        Period::Last7Days => "the last 7 days",
        Period::Last30Days => "the last 30 days",
        Period::ThisMonth => "the month of the run",
        Period::PreviousWeek => "the week before",
        Period::PreviousMonth => "the month before",
        Period::PreviousQuarter => "the quarter before",
        Period::PreviousYear => "the year before",
    }
}

/// The dates of a window in the zone: days where it begins and ends with days, else moments.
fn dates(window: Window, zone: Tz) -> String {
    match (window.from, window.to) {
        (None, None) => "all time".to_owned(),
        (Some(from), None) => format!("from {}", first(from, zone)),
        (None, Some(to)) => format!("to {}", last(to, zone)),
        (Some(from), Some(to)) => match (first(from, zone), last(to, zone)) {
            (first, last) if first == last => first,
            (first, last) => format!("{first} to {last}"),
        },
    }
}

/// The day that begins with the moment, or the moment.
fn first(at: Timestamp, zone: Tz) -> String {
    match begins_day(at, zone) {
        true => date(at, zone),
        false => moment(at, zone),
    }
}

/// The day that ends before the moment, or the moment.
fn last(at: Timestamp, zone: Tz) -> String {
    match begins_day(at, zone) {
        true => date(Timestamp::from_micros(at.micros() - 1), zone),
        false => moment(at, zone),
    }
}

fn begins_day(at: Timestamp, zone: Tz) -> bool {
    start_of_day(super::day(at, zone), zone) == at
}

/// `16 March 2026`.
fn date(at: Timestamp, zone: Tz) -> String {
    at.to_datetime()
        .with_timezone(&zone)
        .format("%-d %B %Y")
        .to_string()
}

/// `16 March 2026, 08:00`, with seconds where there are any.
fn moment(at: Timestamp, zone: Tz) -> String {
    let at = at.to_datetime().with_timezone(&zone);
    let format = if at.second() == 0 {
        "%-d %B %Y, %H:%M"
    } else {
        "%-d %B %Y, %H:%M:%S"
    };
    at.format(format).to_string()
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text as HTML's text or as the value of an attribute in double quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        chrono::DateTime::parse_from_rfc3339(text)
            .unwrap()
            .to_utc()
            .into()
    }

    #[test]
    fn windows_are_told_in_days_where_they_are_days() {
        let london: Tz = "Europe/London".parse().unwrap();
        let beirut: Tz = "Asia/Beirut".parse().unwrap();
        for (from, to, zone, text) in [
            (None, None, london, "all time"),
            (
                Some("2026-03-16T00:00:00Z"),
                Some("2026-03-23T00:00:00Z"),
                london,
                "16 March 2026 to 22 March 2026",
            ),
            (
                Some("2026-06-30T23:00:00Z"),
                Some("2026-07-01T23:00:00Z"),
                london,
                "1 July 2026",
            ),
            (Some("2026-03-16T00:00:00Z"), None, london, "from 16 March 2026"),
            (None, Some("2026-03-23T00:00:00Z"), london, "to 22 March 2026"),
            (
                Some("2026-03-16T09:30:00Z"),
                Some("2026-03-16T09:30:07Z"),
                london,
                "16 March 2026, 09:30 to 16 March 2026, 09:30:07",
            ),
            // The day before clocks leave out midnight, and the day without one.
            (
                Some("2024-03-29T22:00:00Z"),
                Some("2024-03-30T22:00:00Z"),
                beirut,
                "30 March 2024",
            ),
            (
                Some("2024-03-30T22:00:00Z"),
                Some("2024-03-31T21:00:00Z"),
                beirut,
                "31 March 2024",
            ),
        ] {
            let window = Window {
                from: from.map(at),
                to: to.map(at),
            };
            assert_eq!(dates(window, zone), text);
        }
    }

    #[test]
    fn recipients_are_named_and_many_are_counted() {
        let names = |count: usize| (1..=count).map(|n| format!("p{n}")).collect::<Vec<_>>();
        assert_eq!(recipients(&[]), "you alone");
        assert_eq!(recipients(&names(1)), "you and p1");
        assert_eq!(recipients(&names(3)), "you, p1, p2 and p3");
        assert!(recipients(&names(21)).ends_with(", p20 and 1 more"));
        assert!(recipients(&names(99)).ends_with(", p20 and 79 more"));
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
