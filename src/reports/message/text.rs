//! The texts of a message: the templates of the folder `templates`, filled in.
//!
//! The sentences are in `sentences.jinja`, once for the plain text and the HTML. In the HTML every value is escaped.

use chrono::Timelike;
use chrono_tz::Tz;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};

use super::{EmailMessage, Enclosed, one_line};
use crate::base::clock::Timestamp;
use crate::log::period::{local_date, start_of_day};
use crate::log::{Period, Window};

/// The number of other recipients that a message names. The rest are counted.
const MAX_NAMED_RECIPIENTS: usize = 20;

/// The templates of messages, parsed.
#[derive(Debug)]
pub(in crate::reports) struct Templates(Environment<'static>);

/// The subject and the two texts of a message.
pub(super) struct Texts {
    pub(super) subject: String,
    pub(super) plain: String,
    pub(super) html: String,
}

impl Templates {
    /// Parses the templates.
    ///
    /// # Errors
    ///
    /// A template with a syntax error.
    pub(in crate::reports) fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        for (name, source) in [
            ("sentences.jinja", include_str!("templates/sentences.jinja")),
            ("message.txt", include_str!("templates/message.txt")),
            ("message.html", include_str!("templates/message.html")),
        ] {
            environment.add_template(name, source)?;
        }
        Ok(Self(environment))
    }

    /// Fills the templates in for a message.
    ///
    /// # Errors
    ///
    /// A template that uses a value that the context does not have.
    pub(super) fn render(&self, email: &EmailMessage<'_>) -> Result<Texts, minijinja::Error> {
        let dates = format_window(email.window, email.window_zone);
        let subject = format!("{}, {dates}", one_line(email.report));
        let context = context! { mail => template_values(email, &subject, dates) };
        let render = |name| self.0.get_template(name)?.render(context.clone());
        Ok(Texts {
            plain: render("message.txt")?,
            html: render("message.html")?,
            subject,
        })
    }
}

/// The values of the templates. Every text from users is one line.
fn template_values(email: &EmailMessage<'_>, subject: &str, dates: String) -> Value {
    let zone = email.zone;
    let window_zone = email.window_zone;
    let period = match email.period {
        Some(period) => format!("{}: {dates} ({window_zone})", describe_period(period)),
        None if email.window == Window::default() => dates,
        None => format!("{dates} ({window_zone})"),
    };
    let file = match &email.enclosed {
        Enclosed::File { name, gzipped, .. } => context! { name => one_line(name), gzipped => *gzipped },
        Enclosed::Link { .. } => Value::from(()),
    };
    let link = match &email.enclosed {
        Enclosed::File { .. } => Value::from(()),
        Enclosed::Link { url, expires_at } => {
            context! { url => one_line(url), expires => format_moment(*expires_at, zone) }
        }
    };
    context! {
        subject => subject,
        report => one_line(email.report),
        period => period,
        rows => group_digits(email.rows),
        has_rows => email.rows > 0,
        skipped_rows => (email.skipped_rows > 0).then(|| group_digits(email.skipped_rows)),
        run => format!("{} ({zone})", format_moment(email.run_at, zone)),
        zone => zone.name(),
        maker => one_line(email.maker),
        timing => one_line(email.timing),
        recipients => name_recipients(email.others),
        file => file,
        link => link,
        to_user => email.to.1.is_some(),
        to_maker => email.to_maker,
        shared => email.shared,
    }
}

/// The recipients of a run, for one of them.
fn name_recipients(others: &[String]) -> String {
    let mut names: Vec<String> = others
        .iter()
        .take(MAX_NAMED_RECIPIENTS)
        .map(|name| one_line(name))
        .collect();
    match others.len().saturating_sub(MAX_NAMED_RECIPIENTS) {
        0 => {}
        more => names.push(format!("{} more", group_digits(more as u64))),
    }
    match names.split_last() {
        None => "you alone".to_owned(),
        Some((last, [])) => format!("you and {last}"),
        Some((last, first)) => format!("you, {} and {last}", first.join(", ")),
    }
}

/// A period in words, relative to the day of the run.
fn describe_period(period: Period) -> &'static str {
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

/// The dates of a window in the zone: days if it begins and ends at the start of a day, otherwise moments.
fn format_window(window: Window, zone: Tz) -> String {
    match (window.from, window.to) {
        (None, None) => "all time".to_owned(),
        (Some(from), None) => format!("from {}", format_start(from, zone)),
        (None, Some(to)) => format!("to {}", format_end(to, zone)),
        (Some(from), Some(to)) => match (format_start(from, zone), format_end(to, zone)) {
            (start, end) if start == end => start,
            (start, end) => format!("{start} to {end}"),
        },
    }
}

/// The day that starts at the moment, or the moment if no day starts there.
fn format_start(at: Timestamp, zone: Tz) -> String {
    match starts_day(at, zone) {
        true => format_date(at, zone),
        false => format_moment(at, zone),
    }
}

/// The day that ends at the moment, or the moment if no day ends there.
fn format_end(at: Timestamp, zone: Tz) -> String {
    match starts_day(at, zone) {
        true => format_date(Timestamp::from_micros(at.micros() - 1), zone),
        false => format_moment(at, zone),
    }
}

fn starts_day(at: Timestamp, zone: Tz) -> bool {
    start_of_day(local_date(at, zone), zone) == at
}

/// `16 March 2026`.
fn format_date(at: Timestamp, zone: Tz) -> String {
    at.to_datetime()
        .with_timezone(&zone)
        .format("%-d %B %Y")
        .to_string()
}

/// `16 March 2026, 08:00`, with the seconds if they are not zero.
fn format_moment(at: Timestamp, zone: Tz) -> String {
    let at = at.to_datetime().with_timezone(&zone);
    let format = if at.second() == 0 {
        "%-d %B %Y, %H:%M"
    } else {
        "%-d %B %Y, %H:%M:%S"
    };
    at.format(format).to_string()
}

/// `1,234,567`.
fn group_digits(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::parse_time;

    #[test]
    fn window_of_whole_days_is_formatted_as_dates() {
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
                from: from.map(parse_time),
                to: to.map(parse_time),
            };
            assert_eq!(format_window(window, zone), text);
        }
    }

    #[test]
    fn first_recipients_are_named_and_the_rest_are_counted() {
        let names = |count: usize| (1..=count).map(|n| format!("p{n}")).collect::<Vec<_>>();
        assert_eq!(name_recipients(&[]), "you alone");
        assert_eq!(name_recipients(&names(1)), "you and p1");
        assert_eq!(name_recipients(&names(3)), "you, p1, p2 and p3");
        assert!(name_recipients(&names(21)).ends_with(", p20 and 1 more"));
        assert!(name_recipients(&names(99)).ends_with(", p20 and 79 more"));
    }

    #[test]
    fn numbers_are_group_digits() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(group_digits(number), text);
        }
    }
}
