//! Derives the activities of the log from records with loops over lists
//! (`docs/specification.md#from-record-to-activity`).

use uuid::Uuid;

use super::calendar::add_months;
use super::world::{Content, Endpoint, Micros, Organisation, Record, Score, User};

/// Each action and its verbs. The short form records the first verb.
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
            "http://activitystrea.ms/start",
        ],
    ),
    ("updated", &["http://activitystrea.ms/schema/1.0/update", "http://activitystrea.ms/update"]),
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
    ("submitted", &["http://activitystrea.ms/schema/1.0/submit", "http://activitystrea.ms/submit"]),
    ("answered", &["http://adlnet.gov/expapi/verbs/answered"]),
    ("assigned", &["http://activitystrea.ms/schema/1.0/assign"]),
    ("graded", &["https://w3id.org/xapi/tla/verbs/scored"]),
    ("unassigned", &["urn:rollbook:verb:unassigned"]),
    ("visited", &["urn:rollbook:verb:visited"]),
];

/// Verbs without an action. They become `other`.
pub const OTHER_VERBS: &[&str] =
    &["https://w3id.org/xapi/video/verbs/played", "http://adlnet.gov/expapi/verbs/commented"];

/// The actions that complete a content.
const COMPLETING: &[&str] = &["completed", "read", "watched", "listened_to", "attended"];

const SATISFIED: &str = "https://w3id.org/xapi/adl/verbs/satisfied";
const WAIVED: &str = "https://w3id.org/xapi/adl/verbs/waived";

pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// An activity of the log.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    pub record: &'a Record,
    /// The position in the order of recording.
    pub position: usize,
    pub user: Option<&'a User>,
    pub content: Option<&'a Content>,
    pub action: &'static str,
    pub success: Option<bool>,
    pub completed: bool,
    /// No completion of the same person and content is newer.
    pub latest: bool,
    /// The score in percent as a fraction with a positive denominator.
    pub percent: Option<(i64, i64)>,
    pub expired_at: Option<Micros>,
    /// The name and the expiry, if known.
    pub certificate: Option<(Option<String>, Option<Micros>)>,
}

impl Row<'_> {
    pub fn id(&self) -> Uuid {
        self.record.id
    }

    /// The name of the person: of the user, or else of the actor.
    pub fn person_name(&self) -> String {
        match self.user {
            Some(user) => format!("{} {}", user.first_name, user.last_name),
            None => self.record.actor.name(),
        }
    }

    pub fn device_type(&self) -> Option<&str> {
        let recorded = self.record.device_type.as_deref();
        recorded.or((self.record.endpoint == Endpoint::Integration).then_some("api"))
    }

    pub fn origin(&self) -> &'static str {
        match self.record.endpoint {
            Endpoint::Statement => "xapi",
            Endpoint::Integration => "api",
            Endpoint::Admin | Endpoint::Completion => "manual",
        }
    }

    /// Whether the person passed or failed, if success is known.
    pub fn outcome(&self) -> Option<&'static str> {
        self.success.map(|success| if success { "passed" } else { "failed" })
    }

    /// The source of the record, or else of the content.
    pub fn source(&self) -> Option<&str> {
        self.record.source.as_deref().or(self.content.and_then(|content| content.source.as_deref()))
    }

    /// The score in percent, rounded to two decimals.
    pub fn shown_percent(&self) -> Option<f64> {
        self.percent.map(|(numerator, denominator)| {
            let hundredths = numerator as f64 * 100.0 / denominator as f64;
            hundredths.round() / 100.0
        })
    }
}

/// All activities in the order of recording.
pub fn derive_rows(organisation: &Organisation) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (position, record) in organisation.records.iter().enumerate() {
        if !organisation.is_voided(record) {
            rows.push(derive_row(organisation, position, record));
        }
    }
    let visits: Vec<bool> = rows.iter().map(|row| is_visit(&rows, row)).collect();
    for (row, visit) in rows.iter_mut().zip(visits) {
        if visit {
            row.action = "visited";
        }
    }
    let latest: Vec<bool> = rows.iter().map(|row| is_newest_completion(&rows, row)).collect();
    for (row, latest) in rows.iter_mut().zip(latest) {
        row.latest = latest;
    }
    rows
}

fn find_action(verb: &str) -> &'static str {
    let found = ACTIONS.iter().find(|(_, verbs)| verbs.contains(&verb));
    found.map_or("other", |(action, _)| action)
}

fn derive_row<'a>(organisation: &'a Organisation, position: usize, record: &'a Record) -> Row<'a> {
    let mut action = find_action(&record.verb);
    let session = ["logged_in", "logged_out", "visited"].contains(&action);
    let iri = record.content.as_deref().filter(|_| !session);
    let content = iri.and_then(|iri| organisation.content(iri));
    // A content demands nothing of its parts.
    let whole = content.filter(|_| !record.is_about_part());
    let demands = whole.map(|content| content.demands_at(record.happened_at)).unwrap_or_default();
    // These verbs mean a certificate only if there is one.
    let explicit = record.endpoint != Endpoint::Statement;
    let certification = whole.is_some_and(|content| content.kind.as_deref() == Some("certification"));
    let is_other_award =
        action == "received_certificate_for" && !explicit && !certification && demands.certificate.is_none();
    if is_other_award {
        action = "other";
    }
    let percent = record.score.and_then(to_percent);

    // The verb decides, then the result, then the pass mark.
    let completing = COMPLETING.contains(&action);
    let success = match record.verb.as_str() {
        "http://adlnet.gov/expapi/verbs/passed" => Some(true),
        "http://adlnet.gov/expapi/verbs/failed" => Some(false),
        WAIVED => None,
        _ => record.success.or_else(|| match (completing, demands.pass_mark, percent) {
            (true, Some(mark), Some((numerator, denominator))) => Some(numerator >= mark * denominator),
            _ => None,
        }),
    };
    // A completion without success is a failure, and so is an award.
    if (action == "completed" || is_other_award) && success == Some(false) {
        action = "failed";
    }
    // The content type names the completion.
    if action == "completed" && ![WAIVED, SATISFIED].contains(&record.verb.as_str()) {
        action = match whole.and_then(|content| content.content_type.as_deref()) {
            Some("video") => "watched",
            Some("article" | "book" | "document") => "read",
            Some("audio") => "listened_to",
            _ => action,
        };
    }
    // An action or the flag of the result completes, but a part does not complete the whole.
    let completes = COMPLETING.contains(&action) || (record.completion == Some(true) && action != "failed");
    let completed = completes && !record.is_about_part();
    // A completion expires.
    let expiry = demands.expires_after.filter(|_| completed);
    let expired_at = record.expired_at.or(expiry.map(|months| add_months(record.happened_at, months)));
    // The action `received_certificate_for` always has a certificate, even without name and expiry.
    let received = action == "received_certificate_for";
    let demand = demands.certificate.filter(|_| completed || received);
    let recorded_certificate = record.certificate.clone();
    let certificate = (received || demand.is_some() || recorded_certificate.is_some()).then(|| {
        let (demand_name, validity) = demand.map_or((None, None), |(name, validity)| (Some(name), validity));
        let (name, expires_at) =
            recorded_certificate.map_or((None, None), |(name, expires_at)| (Some(name), expires_at));
        (name.or(demand_name), expires_at.or(validity.map(|months| add_months(record.happened_at, months))))
    });
    Row {
        record,
        position,
        user: organisation.find_user_by_actor(&record.actor, record.happened_at),
        content,
        action,
        success,
        completed,
        latest: false,
        percent,
        expired_at,
        certificate,
    }
}

/// The score in percent as an exact fraction.
fn to_percent(score: Score) -> Option<(i64, i64)> {
    match score {
        Score::Scaled(ten_thousandths) => Some((ten_thousandths, 100)),
        Score::Raw { raw, min: Some(min), max: Some(max) } => Some(((raw - min) * 100, max - min)),
        Score::Raw { raw, min: None, max: Some(max) } if raw >= 0 => Some((raw * 100, max)),
        Score::Raw { .. } => None,
    }
}

/// Returns true if the person's previous session event was a login.
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

/// Returns true if the row is a completion of a content, and no other one of its person is newer.
fn is_newest_completion(rows: &[Row<'_>], row: &Row<'_>) -> bool {
    let Some(content) = row.content.filter(|_| row.completed) else {
        return false;
    };
    let moment = |row: &Row<'_>| (row.record.happened_at, row.position);
    !rows.iter().any(|other| {
        other.completed
            && other.content.is_some_and(|other| other.iri == content.iri)
            && same_person(other, row)
            && moment(other) > moment(row)
    })
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
    fn percent_follows_the_rules_for_scores() {
        assert_eq!(to_percent(Score::Scaled(5_700)), Some((5_700, 100)));
        assert_eq!(to_percent(Score::Raw { raw: 15, min: Some(10), max: Some(20) }), Some((500, 10)));
        assert_eq!(to_percent(Score::Raw { raw: 45, min: None, max: None }), None);
        assert_eq!(to_percent(Score::Raw { raw: 45, min: Some(0), max: None }), None);
        assert_eq!(to_percent(Score::Raw { raw: 7, min: None, max: Some(10) }), Some((700, 10)));
    }

    #[test]
    fn every_verb_has_one_action() {
        let verbs: Vec<&str> = ACTIONS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        for (index, verb) in verbs.iter().enumerate() {
            assert!(!verbs[..index].contains(verb), "{verb}");
        }
    }
}
