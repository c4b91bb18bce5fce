//! The texts of a message: the templates of the folder `templates`, filled in.
//!
//! The sentences are texts of the recipient's language, the same for the plain text and the HTML. In the HTML every value is
//! escaped.

use chrono::Timelike;
use chrono_tz::Tz;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};

use super::{EmailMessage, Enclosed, one_line};
use crate::base::clock::Timestamp;
use crate::log::Window;
use crate::log::period::{local_date, start_of_day};
use crate::texts::Language;

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
        let language = email.language;
        let dates = format_window(email.window, email.window_zone, language);
        let report = one_line(email.report);
        let subject = language
            .template("mail-subject")
            .fill(&[("report", &report), ("dates", &dates)]);
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
    let (zone, language) = (email.zone, email.language);
    let rows = match &email.enclosed {
        Enclosed::File { name, gzipped, .. } => describe_file(email, name, *gzipped),
        Enclosed::Link { expires_at, .. } => {
            let expires = format_moment(*expires_at, zone, language);
            let values = [("expires", expires.as_str()), ("zone", zone.name())];
            language.template("rows-at-link").fill(&values)
        }
    };
    let link = match &email.enclosed {
        Enclosed::File { .. } => None,
        Enclosed::Link { url, .. } => Some(one_line(url)),
    };
    let skipped = (email.skipped_rows > 0).then(|| {
        let rows = language.group_digits(email.skipped_rows);
        language.template("rows-skipped").fill(&[("rows", &rows)])
    });
    context! {
        language => language.tag(),
        subject => subject,
        report => one_line(email.report),
        facts => facts(email, dates),
        rows => rows,
        link => link,
        keep_link_private => language.label("mail-sentence", "keep-link-private"),
        skipped_rows => skipped,
        rights => describe_rights(email),
        how_to_stop => describe_how_to_stop(email),
    }
}

/// The table at the beginning of a message: names, names with a colon and spaces to one width, and values.
fn facts(email: &EmailMessage<'_>, dates: String) -> Vec<Value> {
    let (zone, language) = (email.zone, email.language);
    let period = describe_window(email, dates);
    let run = format!("{} ({zone})", format_moment(email.run_at, zone, language));
    let schedule = format!("{}, {}", one_line(email.maker), one_line(email.timing));
    let facts = [
        ("report", one_line(email.report)),
        ("period", period),
        ("rows", language.group_digits(email.rows)),
        ("run", run),
        ("scheduled-by", schedule),
        ("sent-to", name_recipients(email.others, language)),
    ];
    let facts = facts.map(|(key, value)| (language.label("mail", key), value));
    let width = facts.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0) + 1;
    let to_value = |(name, value): (&str, String)| {
        let aligned = format!("{:width$}", format!("{name}:"));
        context! { name => name, aligned => aligned, value => value }
    };
    facts.into_iter().map(to_value).collect()
}

/// The sentence about the attached file.
fn describe_file(email: &EmailMessage<'_>, name: &str, gzipped: bool) -> String {
    let id = if email.rows > 0 {
        "rows-in-file"
    } else {
        "no-rows-in-file"
    };
    let values = [
        ("file", one_line(name).into()),
        ("gzipped", to_flag(gzipped).into()),
    ];
    email.language.format(id, values)
}

/// The sentence about the rows that the file has.
fn describe_rights(email: &EmailMessage<'_>) -> String {
    let (language, maker) = (email.language, one_line(email.maker));
    let id = match email.to.1 {
        Some(_) if email.to_maker => return language.label("mail-sentence", "own-rows").to_owned(),
        Some(_) => "rows-of-both",
        None => "rows-of-maker",
    };
    language.template(id).fill(&[("maker", &maker)])
}

/// The sentences about the end of the messages. An administrator cannot open a private report, so cannot help with its
/// schedule.
fn describe_how_to_stop(email: &EmailMessage<'_>) -> String {
    let language = email.language;
    if email.to_maker {
        return language.label("mail-sentence", "stop-own").to_owned();
    }
    let values = [
        ("maker", one_line(email.maker).into()),
        ("shared", to_flag(email.shared).into()),
    ];
    language.format("stop-of-maker", values)
}

/// A flag as the texts know it.
fn to_flag(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

/// The recipients of a run, for one of them.
fn name_recipients(others: &[String], language: Language) -> String {
    let mut names: Vec<String> = others
        .iter()
        .take(MAX_NAMED_RECIPIENTS)
        .map(|name| one_line(name))
        .collect();
    match others.len().saturating_sub(MAX_NAMED_RECIPIENTS) {
        0 => {}
        more => names.push(language.format("recipients-more", [("count", more.into())])),
    }
    match names.split_last() {
        None => language.label("recipients", "alone").to_owned(),
        Some((last, [])) => language.template("recipients-one").fill(&[("last", last)]),
        Some((last, first)) => {
            let first = first.join(", ");
            let values = [("names", first.as_str()), ("last", last)];
            language.template("recipients-several").fill(&values)
        }
    }
}

/// The period in words, relative to the day of the run, and its dates.
fn describe_window(email: &EmailMessage<'_>, dates: String) -> String {
    let (language, zone) = (email.language, email.window_zone);
    let text = match email.period {
        Some(period) => {
            let period = language.label("period", period.key());
            let values = [("period", period), ("dates", dates.as_str())];
            language.template("period-with-dates").fill(&values)
        }
        None if email.window == Window::default() => return dates,
        None => dates,
    };
    format!("{text} ({zone})")
}

/// The dates of a window in the zone: days if it begins and ends at the start of a day, otherwise moments.
fn format_window(window: Window, zone: Tz, language: Language) -> String {
    let start = window.from.map(|from| format_start(from, zone, language));
    let end = window.to.map(|to| format_end(to, zone, language));
    match (start, end) {
        (None, None) => language.label("window", "all").to_owned(),
        (Some(start), None) => language.template("window-from").fill(&[("start", &start)]),
        (None, Some(end)) => language.template("window-to").fill(&[("end", &end)]),
        (Some(start), Some(end)) if start == end => start,
        (Some(start), Some(end)) => {
            let values = [("start", start.as_str()), ("end", end.as_str())];
            language.template("window-between").fill(&values)
        }
    }
}

/// The day that starts at the moment, or the moment if no day starts there.
fn format_start(at: Timestamp, zone: Tz, language: Language) -> String {
    match starts_day(at, zone) {
        true => format_date(at, zone, language),
        false => format_moment(at, zone, language),
    }
}

/// The day that ends at the moment, or the moment if no day ends there.
fn format_end(at: Timestamp, zone: Tz, language: Language) -> String {
    match starts_day(at, zone) {
        true => format_date(Timestamp::from_micros(at.micros() - 1), zone, language),
        false => format_moment(at, zone, language),
    }
}

fn starts_day(at: Timestamp, zone: Tz) -> bool {
    start_of_day(local_date(at, zone), zone) == at
}

/// `16 March 2026`.
fn format_date(at: Timestamp, zone: Tz, language: Language) -> String {
    language.date(local_date(at, zone))
}

/// `16 March 2026, 08:00`, with the seconds if they are not zero.
fn format_moment(at: Timestamp, zone: Tz, language: Language) -> String {
    let local = at.to_datetime().with_timezone(&zone);
    let format = if local.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    let (date, time) = (
        language.date(local.date_naive()),
        local.format(format).to_string(),
    );
    language
        .template("moment")
        .fill(&[("date", &date), ("time", &time)])
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
            assert_eq!(format_window(window, zone, Language::ENGLISH), text);
        }
    }

    #[test]
    fn first_recipients_are_named_and_the_rest_are_counted() {
        let names = |count: usize| (1..=count).map(|n| format!("p{n}")).collect::<Vec<_>>();
        assert_eq!(name_recipients(&[], Language::ENGLISH), "you alone");
        assert_eq!(name_recipients(&names(1), Language::ENGLISH), "you and p1");
        assert_eq!(
            name_recipients(&names(3), Language::ENGLISH),
            "you, p1, p2 and p3"
        );
        assert!(name_recipients(&names(21), Language::ENGLISH).ends_with(", p20 and 1 more"));
        assert!(name_recipients(&names(99), Language::ENGLISH).ends_with(", p20 and 79 more"));
    }
}
