//! The naive reading of records as rows: the product text's section 6 as loops over lists.

use uuid::Uuid;

use super::calendar::add_months;
use super::world::{Content, Door, Micros, Organisation, Record, Score, User};

/// The table of section 6: an action and the verbs that mean it, the one that is written first.
pub const ACTIONS: &[(&str, &[&str])] = &[
    ("added", &["http://activitystrea.ms/schema/1.0/add"]),
    ("arranged", &["http://id.tincanapi.com/verb/arranged"]),
    ("attended", &["http://activitystrea.ms/schema/1.0/attend", "http://adlnet.gov/expapi/verbs/attended"]),
    ("clicked", &["http://adlnet.gov/expapi/verbs/interacted"]),
    (
        "completed",
        &[
            "http://adlnet.gov/expapi/verbs/completed",
            "http://adlnet.gov/expapi/verbs/passed",
            "http://adlnet.gov/expapi/verbs/mastered",
            "https://w3id.org/xapi/adl/verbs/satisfied",
            "https://w3id.org/xapi/adl/verbs/waived",
        ],
    ),
    (
        "enrolled_for",
        &[
            "http://adlnet.gov/expapi/verbs/registered",
            "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/enrolled",
        ],
    ),
    ("unenrolled", &["http://id.tincanapi.com/verb/unregistered"]),
    ("failed", &["http://adlnet.gov/expapi/verbs/failed"]),
    (
        "received_certificate_for",
        &[
            "http://activitystrea.ms/schema/1.0/receive",
            "http://id.tincanapi.com/verb/earned",
            "https://w3id.org/xapi/tla/verbs/achieved",
        ],
    ),
    (
        "started",
        &[
            "http://activitystrea.ms/schema/1.0/start",
            "http://adlnet.gov/expapi/verbs/initialized",
            "http://adlnet.gov/expapi/verbs/launched",
            "http://adlnet.gov/expapi/verbs/attempted",
        ],
    ),
    ("updated", &["http://activitystrea.ms/schema/1.0/update"]),
    ("viewed", &["http://id.tincanapi.com/verb/viewed", "http://adlnet.gov/expapi/verbs/experienced"]),
    (
        "logged_in",
        &[
            "https://brindlewaye.com/xAPITerms/verbs/loggedin/",
            "https://w3id.org/xapi/adl/verbs/logged-in",
            "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/login",
        ],
    ),
    (
        "logged_out",
        &[
            "https://brindlewaye.com/xAPITerms/verbs/loggedout/",
            "https://w3id.org/xapi/adl/verbs/logged-out",
            "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/logout",
        ],
    ),
    ("read", &["http://activitystrea.ms/schema/1.0/read"]),
    ("watched", &["http://activitystrea.ms/schema/1.0/watch"]),
    ("listened_to", &["http://activitystrea.ms/schema/1.0/listen"]),
    ("accepted", &["http://activitystrea.ms/schema/1.0/accept"]),
    ("downloaded", &["http://id.tincanapi.com/verb/downloaded"]),
    ("submitted", &["http://activitystrea.ms/schema/1.0/submit"]),
    ("answered", &["http://adlnet.gov/expapi/verbs/answered"]),
    ("assigned", &["http://activitystrea.ms/schema/1.0/assign"]),
    ("graded", &["https://w3id.org/xapi/tla/verbs/scored"]),
    ("unassigned", &["urn:rollbook:verb:unassigned"]),
    ("visited", &["urn:rollbook:verb:visited"]),
];

/// Verbs of no action, which read as `other`.
pub const OTHER_VERBS: &[&str] =
    &["https://w3id.org/xapi/video/verbs/played", "http://adlnet.gov/expapi/verbs/commented"];

/// The actions that complete something by themselves (rule 4); their verbs are the completing ones (rule 1).
const COMPLETING: &[&str] = &["completed", "read", "watched", "listened_to", "attended"];

pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// One row of the log as the model reads it.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    pub record: &'a Record,
    /// The place in the order of recording.
    pub position: usize,
    pub user: Option<&'a User>,
    pub content: Option<&'a Content>,
    pub action: &'static str,
    pub success: Option<bool>,
    pub completed: bool,
    /// Percent as a fraction: numerator and denominator, the latter positive.
    pub percent: Option<(i64, i64)>,
    pub expired_at: Option<Micros>,
    /// Its name and when it expires, where they are known.
    pub certificate: Option<(Option<String>, Option<Micros>)>,
}

impl Row<'_> {
    pub fn id(&self) -> Uuid {
        self.record.id
    }

    pub fn device_type(&self) -> Option<&str> {
        let said = self.record.device_type.as_deref();
        said.or((self.record.door == Door::Integration).then_some("api"))
    }

    pub fn origin(&self) -> &'static str {
        match self.record.door {
            Door::Statement => "xapi",
            Door::Integration => "api",
            Door::Admin | Door::Mark => "manual",
        }
    }

    /// Whether the person passed or failed, if success is known.
    pub fn outcome(&self) -> Option<&'static str> {
        self.success.map(|success| if success { "passed" } else { "failed" })
    }

    /// The content library that the activity came from: as the record says, else the content's.
    pub fn source(&self) -> Option<&str> {
        self.record.source.as_deref().or(self.content.and_then(|content| content.source.as_deref()))
    }

    /// The score's percent with at most two decimals.
    pub fn shown_percent(&self) -> Option<f64> {
        self.percent.map(|(numerator, denominator)| {
            let hundredths = numerator as f64 * 100.0 / denominator as f64;
            hundredths.round() / 100.0
        })
    }
}

/// All rows of the organisation, in the order of recording.
pub fn rows(organisation: &Organisation) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (position, record) in organisation.records.iter().enumerate() {
        if !organisation.is_voided(record) {
            rows.push(row(organisation, position, record));
        }
    }
    let visits: Vec<bool> = rows.iter().map(|row| is_visit(&rows, row)).collect();
    for (row, visit) in rows.iter_mut().zip(visits) {
        if visit {
            row.action = "visited";
        }
    }
    rows
}

fn action_of(verb: &str) -> &'static str {
    let found = ACTIONS.iter().find(|(_, verbs)| verbs.contains(&verb));
    found.map_or("other", |(action, _)| action)
}

fn row<'a>(organisation: &'a Organisation, position: usize, record: &'a Record) -> Row<'a> {
    let mut action = action_of(&record.verb);
    let session = ["logged_in", "logged_out", "visited"].contains(&action);
    let iri = record.content.as_deref().filter(|_| !session);
    let content = iri.and_then(|iri| organisation.content(iri));
    let demands = content.map(|content| content.demands_at(record.happened_at)).unwrap_or_default();
    let percent = record.score.and_then(percent);

    // Rule 1.
    let completing = COMPLETING.contains(&action);
    let success = match record.verb.as_str() {
        "http://adlnet.gov/expapi/verbs/passed" => Some(true),
        "http://adlnet.gov/expapi/verbs/failed" => Some(false),
        _ => record.success.or_else(|| match (completing, demands.pass_mark, percent) {
            (true, Some(mark), Some((numerator, denominator))) => Some(numerator >= mark * denominator),
            _ => None,
        }),
    };
    // Rule 2.
    if action == "completed" && success == Some(false) {
        action = "failed";
    }
    // Rule 3.
    if action == "completed" {
        action = match content.and_then(|content| content.content_type.as_deref()) {
            Some("video") => "watched",
            Some("article" | "book" | "document") => "read",
            Some("audio") => "listened_to",
            _ => action,
        };
    }
    // Rule 4.
    let completed = COMPLETING.contains(&action) || (record.completion == Some(true) && action != "failed");
    // Rule 7.
    let expiry = demands.expires_after.filter(|_| completed);
    let expired_at = record.expired_at.or(expiry.map(|months| add_months(record.happened_at, months)));
    // Likewise the certificate; who receives one has one, be it known or not.
    let received = action == "received_certificate_for";
    let rule = demands.certificate.filter(|_| completed || received);
    let given = record.certificate.clone();
    let certificate = (received || rule.is_some() || given.is_some()).then(|| {
        let (rule_name, good_for) = rule.map_or((None, None), |(name, good_for)| (Some(name), good_for));
        let (name, expires_at) = given.map_or((None, None), |(name, expires_at)| (Some(name), expires_at));
        (name.or(rule_name), expires_at.or(good_for.map(|months| add_months(record.happened_at, months))))
    });
    Row {
        record,
        position,
        user: organisation.claimant(&record.actor),
        content,
        action,
        success,
        completed,
        percent,
        expired_at,
        certificate,
    }
}

/// Rule 5, as an exact fraction.
fn percent(score: Score) -> Option<(i64, i64)> {
    match score {
        Score::Scaled(ten_thousandths) => Some((ten_thousandths, 100)),
        Score::Raw { raw, min: Some(min), max: Some(max) } => Some(((raw - min) * 100, max - min)),
        Score::Raw { raw, max: None, .. } if (0..=100).contains(&raw) => Some((raw, 1)),
        Score::Raw { .. } => None,
    }
}

/// Rule 8: whether the last session event of the same person before this login was a login too.
fn is_visit(rows: &[Row<'_>], login: &Row<'_>) -> bool {
    if login.action != "logged_in" {
        return false;
    }
    let moment = |row: &Row<'_>| (row.record.happened_at, row.record.id);
    let mut last: Option<&Row<'_>> = None;
    for other in rows {
        let session = ["logged_in", "logged_out"].contains(&other.action);
        if session && same_person(other, login) && moment(other) < moment(login) {
            let newer = last.is_none_or(|last| moment(last) < moment(other));
            last = if newer { Some(other) } else { last };
        }
    }
    last.is_some_and(|last| last.action == "logged_in")
}

fn same_person(one: &Row<'_>, other: &Row<'_>) -> bool {
    match (one.user, other.user) {
        (Some(one), Some(other)) => one.id == other.id,
        (None, None) => one.record.actor == other.record.actor,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_read_as_rule_5_says() {
        assert_eq!(percent(Score::Scaled(5_700)), Some((5_700, 100)));
        assert_eq!(percent(Score::Raw { raw: 15, min: Some(10), max: Some(20) }), Some((500, 10)));
        assert_eq!(percent(Score::Raw { raw: 45, min: None, max: None }), Some((45, 1)));
        assert_eq!(percent(Score::Raw { raw: 101, min: None, max: None }), None);
        assert_eq!(percent(Score::Raw { raw: 4, min: None, max: Some(10) }), None);
    }

    #[test]
    fn no_verb_means_two_actions() {
        let verbs: Vec<&str> = ACTIONS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        for (place, verb) in verbs.iter().enumerate() {
            assert!(!verbs[..place].contains(verb), "{verb}");
        }
    }
}
