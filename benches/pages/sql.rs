//! Texts of SQL for pages, by hand.

use chrono::{Datelike as _, Months};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rollbook::base::Clock;
use sha2::{Digest as _, Sha256};

use crate::plain::Dialect;

/// What the caller reads of each row.
const CELLS: &str = "a.id, a.happened_at, a.stored_at, a.action, a.success, a.percent, a.seconds, a.completed, \
    a.expired_at, a.certificate_expires_at, a.registration, a.device_type, a.source, a.origin, u.id AS user_id, \
    u.first_name, u.last_name, u.email, p.value, p.name, c.id AS content_id, c.title, c.type, c.content_type, c.tags, \
    v.iri, v.display";

const NEWEST: &str = "ORDER BY a.happened_at DESC, a.seq DESC";

/// The stored number of the format.
pub const VIDEO: i16 = rollbook::catalogue::ContentFormat::Video.code();

/// The conditions of a page of the log.
#[derive(Default)]
pub struct PageSql {
    filter: Option<String>,
    users: Option<String>,
    contents: Option<String>,
}

impl PageSql {
    /// The rows that the log shows, if their persons are not deactivated.
    pub const SHOWN: &str = "a.org = 1 AND a.action <> 25";

    /// A condition of the row `a`.
    pub fn filter(self, condition: impl Into<String>) -> Self {
        Self {
            filter: Some(condition.into()),
            ..self
        }
    }

    /// `users` is a subquery of the keys of users.
    pub fn of_users(self, users: String) -> Self {
        Self {
            users: Some(users),
            ..self
        }
    }

    /// A condition of the content `c`.
    pub fn of_contents(self, condition: String) -> Self {
        Self {
            contents: Some(condition),
            ..self
        }
    }

    /// The texts for it: through the rows in the order of time, and through those of each person or content.
    pub fn texts(&self, dialect: Dialect) -> Vec<String> {
        let mut inner = vec![self.by_time(dialect)];
        if self.users.is_some() || self.contents.is_some() {
            inner.push(self.by_set(dialect));
        }
        let texts = inner.into_iter().map(|rows| {
            format!(
                "SELECT {CELLS} FROM ({rows}) a JOIN persons p ON p.org = 1 AND p.key = a.person \
                 JOIN verbs v ON v.org = 1 AND v.key = a.verb \
                 LEFT JOIN users u ON u.org = 1 AND u.key = p.user_key \
                 LEFT JOIN contents c ON c.org = 1 AND c.key = a.content {NEWEST}"
            )
        });
        texts.collect()
    }

    fn filter_text(&self) -> String {
        self.filter
            .as_ref()
            .map(|filter| format!(" AND {filter}"))
            .unwrap_or_default()
    }

    fn by_time(&self, dialect: Dialect) -> String {
        let shown = Self::SHOWN;
        let mut text = format!(
            "SELECT a.* FROM activities a JOIN persons p ON p.org = a.org AND p.key = a.person \
             WHERE {shown} AND NOT p.deactivated{}",
            self.filter_text()
        );
        // A plus keeps SQLite from using an index for it.
        let plus = match dialect {
            Dialect::Sqlite => "+",
            Dialect::Postgres => "",
        };
        if let Some(users) = &self.users {
            text.push_str(&format!(" AND {plus}p.user_key IN ({users})"));
        }
        if let Some(contents) = &self.contents {
            text.push_str(&format!(
                " AND {plus}a.content IN (SELECT c.key FROM contents c WHERE c.org = 1 AND {contents})"
            ));
        }
        format!("{text} {NEWEST} LIMIT 50")
    }

    fn by_set(&self, dialect: Dialect) -> String {
        let (set, joined) = match (&self.users, &self.contents) {
            (Some(users), _) => (
                format!("persons p WHERE p.org = 1 AND NOT p.deactivated AND p.user_key IN ({users})"),
                "a.person = s.key",
            ),
            (None, contents) => (
                format!(
                    "contents c WHERE c.org = 1 AND {}",
                    contents.as_deref().unwrap_or("TRUE")
                ),
                "a.content = s.key",
            ),
        };
        let (shown, filter) = (Self::SHOWN, self.filter_text());
        let of_contents = match &self.users {
            Some(_) => "",
            None => " JOIN persons p ON p.org = a.org AND p.key = a.person AND NOT p.deactivated",
        };
        let alias = if self.users.is_some() { "p" } else { "c" };
        match dialect {
            Dialect::Postgres => format!(
                "SELECT a.* FROM (SELECT {alias}.key FROM {set}) s CROSS JOIN LATERAL \
                 (SELECT a.* FROM activities a{of_contents} WHERE {shown} AND {joined}{filter} {NEWEST} LIMIT 50) a \
                 {NEWEST} LIMIT 50"
            ),
            Dialect::Sqlite => format!(
                "SELECT a.* FROM (SELECT {alias}.key AS key FROM {set}) s CROSS JOIN activities a{of_contents} \
                 WHERE {shown} AND {joined}{filter} {NEWEST} LIMIT 50"
            ),
        }
    }
}

/// The newest statements with this condition of `s`.
pub fn statements(condition: &str) -> String {
    format!(
        "SELECT s.id, s.stored, s.envelope, s.body FROM statements s WHERE s.org = 1 AND NOT s.voided AND {condition} \
         ORDER BY s.seq DESC LIMIT 50"
    )
}

/// The newest statements that mention a thing anywhere.
pub fn records(thing: &str) -> String {
    format!(
        "SELECT s.id, s.stored, s.envelope, s.body FROM mentions m JOIN statements s ON s.org = m.org AND s.seq = m.seq \
         WHERE m.org = 1 AND m.thing = {thing} AND NOT s.voided ORDER BY m.seq DESC LIMIT 50"
    )
}

/// The SHA-256 of a folded text, by which a tag is found.
pub fn digest(dialect: Dialect, folded: &str) -> String {
    let digest = Sha256::digest(folded.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    match dialect {
        Dialect::Sqlite => format!("x'{digits}'"),
        Dialect::Postgres => format!("'\\x{digits}'::bytea"),
    }
}

pub fn now() -> i64 {
    Clock::system().now().micros()
}

/// The microseconds of a moment.
pub fn micros(moment: &str) -> i64 {
    rollbook::base::timestamp::parse(moment)
        .expect("RFC 3339")
        .micros()
}

/// The month that number of months ago, as `YYYY-MM`.
pub fn month_before(months: u32) -> String {
    let now = Clock::system().now().to_datetime();
    let month = now.date_naive().with_day(1).expect("the first of a month");
    let month = month.checked_sub_months(Months::new(months));
    month.expect("a date").format("%Y-%m").to_string()
}

/// A value of a query string.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
