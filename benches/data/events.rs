//! The records of the data set: each follows from its number alone.

use rollbook::base::Timestamp;
use rollbook::record::{AwardedCertificate, Envelope, Origin};
use uuid::Uuid;

use super::{
    CONTENTS, GUESTS, HOME_PAGE, Kind, Random, USERS, content_iri, email, kind_of, manager_of, user_id,
};

/// The length of the two years, in microseconds.
pub const LENGTH: i64 = 2 * 365 * 86_400 * 1_000_000;

/// The questions of each quiz.
const QUESTIONS: u64 = 3;
/// Rows that have a rare value, at any size of the data set.
const RARE_ROWS: u64 = 40;
/// The user with many rows, and their number in a large data set.
pub const BUSY_USER: u64 = 777;
const BUSY_ROWS: u64 = 20_000;

/// The verb that only [`RARE_ROWS`] records have.
pub const RARE_VERB: &str = "https://verbs.example/celebrated";
pub const RARE_DEVICE: &str = "Kiosk terminal";
pub const RARE_SOURCE: &str = "Legacy archive";
/// The bulk import of some thousand records.
pub const IMPORT: Uuid = Uuid::from_u128(0x0191_0000_0000_7000_8000_0000_0000_0001);

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Started,
    Viewed,
    Completed,
    Passed,
    Failed,
    Clicked,
    Answered,
    LoggedIn,
    LoggedOut,
    Downloaded,
    Enrolled,
    Attended,
    Earned,
    Submitted,
    Graded,
    Bookmarked,
    Celebrated,
}

/// The kinds with their verbs, displays and frequencies in thousandths. A verb that Rollbook knows needs no display.
const KINDS: [(What, &str, &str, u64); 17] = [
    (
        What::Started,
        "http://adlnet.gov/expapi/verbs/initialized",
        "",
        200,
    ),
    (
        What::Viewed,
        "http://adlnet.gov/expapi/verbs/experienced",
        "",
        240,
    ),
    (
        What::Completed,
        "http://adlnet.gov/expapi/verbs/completed",
        "",
        190,
    ),
    (What::Passed, "http://adlnet.gov/expapi/verbs/passed", "", 60),
    (What::Failed, "http://adlnet.gov/expapi/verbs/failed", "", 40),
    (What::Clicked, "http://adlnet.gov/expapi/verbs/interacted", "", 50),
    (What::Answered, "http://adlnet.gov/expapi/verbs/answered", "", 40),
    (
        What::LoggedIn,
        "https://w3id.org/xapi/adl/verbs/logged-in",
        "",
        70,
    ),
    (
        What::LoggedOut,
        "https://w3id.org/xapi/adl/verbs/logged-out",
        "",
        40,
    ),
    (
        What::Downloaded,
        "http://id.tincanapi.com/verb/downloaded",
        "",
        10,
    ),
    (
        What::Enrolled,
        "http://adlnet.gov/expapi/verbs/registered",
        "",
        20,
    ),
    (What::Attended, "http://adlnet.gov/expapi/verbs/attended", "", 10),
    (What::Earned, "http://id.tincanapi.com/verb/earned", "", 5),
    (
        What::Submitted,
        "http://activitystrea.ms/schema/1.0/submit",
        "",
        8,
    ),
    (What::Graded, "https://w3id.org/xapi/tla/verbs/scored", "", 7),
    (
        What::Bookmarked,
        "http://id.tincanapi.com/verb/bookmarked",
        "bookmarked",
        10,
    ),
    (What::Celebrated, RARE_VERB, "celebrated", 0),
];

/// The actor of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A user by the account.
    Account(u64),
    /// A user by the e-mail address.
    Mbox(u64),
    Guest(u64),
}

impl Who {
    /// A number that no other actor has.
    pub fn number(self) -> u64 {
        match self {
            Self::Account(user) => user,
            Self::Mbox(user) => USERS + user,
            Self::Guest(guest) => 2 * USERS + guest,
        }
    }

    /// One more than the greatest number.
    pub const NUMBERS: u64 = 2 * USERS + GUESTS;

    /// The identifier in a statement.
    pub fn identifier(self) -> String {
        match self {
            Self::Account(user) => account(user),
            Self::Mbox(user) => format!(r#"{{"mbox":"mailto:{}"}}"#, email(user)),
            Self::Guest(guest) => format!(r#"{{"mbox":"mailto:guest{guest}@partner.example"}}"#),
        }
    }
}

fn account(user: u64) -> String {
    format!(
        r#"{{"account":{{"homePage":"{HOME_PAGE}","name":"{}"}}}}"#,
        user_id(user)
    )
}

/// One record.
#[derive(Debug, Clone)]
pub struct Event {
    /// The place in the order of recording.
    pub seq: i64,
    pub id: Uuid,
    pub stored: Timestamp,
    pub happened_at: Timestamp,
    pub who: Who,
    pub what: What,
    /// The content, but not of sessions.
    pub content: Option<u64>,
    /// The question of the content.
    question: Option<u64>,
    /// The learning plan that the context names.
    pub plan: Option<u64>,
    /// The user that the context names as the instructor.
    pub instructor: Option<u64>,
    registration: Option<Uuid>,
    pub success: Option<bool>,
    percent: Option<u64>,
    seconds: Option<u64>,
    pub envelope: Envelope,
}

/// The records of a data set of some size.
pub struct Events {
    rows: u64,
    begin: i64,
}

impl Events {
    /// `end` is the end of the two years.
    pub fn new(rows: u64, end: Timestamp) -> Self {
        Self {
            rows,
            begin: end.micros() - LENGTH,
        }
    }

    /// The begin of the two years.
    pub fn begin(&self) -> Timestamp {
        Timestamp::from_micros(self.begin)
    }

    /// The record with this number below the size.
    pub fn event(&self, number: u64) -> Event {
        let mut random = Random::new(number.wrapping_mul(0x2545_F491_4F6C_DD1D));
        let step = LENGTH / self.rows as i64;
        let seq = self.begin + number as i64 * step + random.below(step as u64) as i64;
        let mut event = random_event(&mut random, seq, self.begin);
        let rare = self.rows / RARE_ROWS;
        match number % rare {
            3 => event.celebrate(),
            5 => event.envelope.device_type = Some(RARE_DEVICE.to_owned()),
            7 => event.envelope.source = Some(RARE_SOURCE.to_owned()),
            9 => event.envelope.origin = Origin::Manual,
            _ => {}
        }
        if number % (self.rows / BUSY_ROWS).max(10) == 2 {
            event.who = Who::Account(BUSY_USER);
        }
        let middle = self.rows / 2;
        if (middle..middle + (self.rows / 50).min(5_000)).contains(&number) {
            event.envelope.origin = Origin::Import;
            event.envelope.import = Some(IMPORT);
        }
        event
    }

    /// Records that name everything that the others name. Together they create all persons, verbs and contents. What
    /// they complete is completed by a guest without other records.
    pub fn seeds(&self) -> Vec<Event> {
        let user = Who::Account(BUSY_USER);
        let mut seeds = Vec::new();
        for content in 0..CONTENTS {
            seeds.push(self.seed(user, What::Viewed, Some(content), None));
            if kind_of(content) == Kind::Quiz {
                let questions = 0..QUESTIONS;
                seeds.extend(
                    questions.map(|question| self.seed(user, What::Answered, Some(content), Some(question))),
                );
            }
        }
        seeds.extend((0..GUESTS).map(|guest| self.seed(Who::Guest(guest), What::Viewed, Some(1), None)));
        for (what, ..) in KINDS.iter().filter(|(what, ..)| *what != What::Answered) {
            let is_session = matches!(what, What::LoggedIn | What::LoggedOut);
            seeds.push(self.seed(Who::Guest(GUESTS - 1), *what, (!is_session).then_some(0), None));
        }
        seeds
    }

    fn seed(&self, who: Who, what: What, content: Option<u64>, question: Option<u64>) -> Event {
        let begin = Timestamp::from_micros(self.begin);
        Event {
            seq: self.begin,
            id: Uuid::nil(),
            stored: begin,
            happened_at: begin,
            who,
            what,
            content,
            question,
            plan: None,
            instructor: None,
            registration: None,
            success: None,
            percent: None,
            seconds: None,
            envelope: Envelope::default(),
        }
    }
}

/// A record at this place in the order of recording.
pub fn random_event(random: &mut Random, seq: i64, begin: i64) -> Event {
    let stored = Timestamp::from_micros(seq).whole_millisecond();
    let what = random_kind(random);
    let is_session = matches!(what, What::LoggedIn | What::LoggedOut);
    let who = match random.below(100) {
        0 if !is_session => Who::Guest(random.skewed(GUESTS - 1)),
        1..3 if !is_session => Who::Mbox(random_user(random)),
        _ => Who::Account(random_user(random)),
    };
    // The order of sessions is that of recording.
    let happened_at = match random.below(100) {
        _ if is_session => stored.micros(),
        0..3 => stored.micros() - random.below(30 * 86_400_000) as i64 * 1_000,
        _ => stored.micros() - random.below(3_000) as i64 * 1_000,
    };
    let mut event = Event {
        seq,
        id: Uuid::from_u64_pair(random.next(), random.next()),
        stored,
        happened_at: Timestamp::from_micros(happened_at.max(begin)).whole_millisecond(),
        who,
        what,
        content: None,
        question: None,
        plan: None,
        instructor: None,
        registration: None,
        success: None,
        percent: None,
        seconds: None,
        envelope: random_envelope(random),
    };
    event.id = uuid::Builder::from_u128(event.id.as_u128())
        .with_version(uuid::Version::Random)
        .into_uuid();
    event.add_content(random);
    event.add_result(random);
    event
}

fn random_kind(random: &mut Random) -> What {
    let mut left = random.below(1_000);
    for (what, _, _, weight) in KINDS {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return what,
        }
    }
    What::Viewed
}

/// Some users have many records, and the last ones have none. The factor is prime, so the busy ones are spread over the
/// organisation.
fn random_user(random: &mut Random) -> u64 {
    let place = match random.occurs(400) {
        true => random.skewed(USERS),
        false => random.below(USERS - USERS / 25),
    };
    place * 7_919 % USERS
}

fn random_envelope(random: &mut Random) -> Envelope {
    let origin = match random.below(100) {
        0..80 => Origin::Xapi,
        80..95 => Origin::Api,
        _ => Origin::Scorm,
    };
    let device_type = match random.below(100) {
        0..50 => Some("Desktop"),
        50..80 => Some("Mobile"),
        80..85 => Some("Tablet"),
        _ => None,
    };
    let source = match random.below(100) {
        0..40 => Some("Learning portal"),
        40..55 => Some("Video library"),
        55..60 => Some("Safety academy"),
        _ => None,
    };
    Envelope {
        origin,
        device_type: device_type.map(str::to_owned),
        source: source.map(str::to_owned),
        ..Envelope::default()
    }
}

impl Event {
    /// Gives the record the rare verb.
    fn celebrate(&mut self) {
        self.what = What::Celebrated;
        (self.success, self.percent, self.question) = (None, None, None);
    }

    fn is_session(&self) -> bool {
        matches!(self.what, What::LoggedIn | What::LoggedOut)
    }

    fn add_content(&mut self, random: &mut Random) {
        if self.is_session() {
            return;
        }
        let mut content = random.skewed(CONTENTS) * 3_571 % CONTENTS;
        // The nearest content of the right kind: they repeat after 20.
        let place = match self.what {
            What::Answered => Some(14),
            What::Attended => Some(16),
            What::Submitted | What::Graded => Some(17),
            What::Earned => Some(19),
            _ => None,
        };
        if let Some(place) = place {
            content = content / 20 * 20 + place;
        }
        self.content = Some(content);
        self.question = (self.what == What::Answered).then(|| random.below(QUESTIONS));
        self.plan = random.occurs(100).then(|| random.below(CONTENTS / 60) * 60 + 58);
        if let Who::Account(user) = self.who {
            self.instructor = manager_of(user).filter(|_| random.occurs(30));
        }
        // All records of one attempt have the same registration.
        let attempt = self.happened_at.micros() / (90 * 86_400_000_000);
        let mut attempt =
            Random::new(self.who.number() * CONTENTS + content + attempt as u64 * 1_000_000_007);
        if random.occurs(700) {
            let id = Uuid::from_u64_pair(attempt.next(), attempt.next());
            let id = uuid::Builder::from_u128(id.as_u128()).with_version(uuid::Version::Random);
            self.registration = Some(id.into_uuid());
        }
    }

    fn add_result(&mut self, random: &mut Random) {
        let (success, percent) = match self.what {
            What::Completed if random.occurs(300) => (Some(true), Some(60 + random.below(41))),
            What::Passed => (Some(true), Some(70 + random.below(31))),
            What::Failed => (Some(false), Some(random.below(60))),
            What::Graded => (None, Some(random.below(101))),
            What::Answered => (Some(random.occurs(700)), None),
            _ => (None, None),
        };
        (self.success, self.percent) = (success, percent);
        if matches!(self.what, What::Completed | What::Passed | What::Failed) {
            self.seconds = Some(30 + random.skewed(7_200));
        }
        if self.what == What::Earned {
            let expires_at = Timestamp::from_micros(self.happened_at.micros() + 365 * 86_400_000_000);
            self.envelope.certificate = Some(AwardedCertificate {
                name: Some(format!("Certificate {}", self.content.unwrap_or_default())),
                expires_at: Some(expires_at),
            });
        }
    }

    /// Whether the record completes its content. [`rows`](crate::load::rows) compares it with the projection.
    pub fn completes(&self) -> bool {
        matches!(self.what, What::Completed | What::Passed | What::Attended)
    }

    /// The IRI of the object.
    pub fn object(&self) -> String {
        match (self.content, self.question) {
            (None, _) => HOME_PAGE.to_owned(),
            (Some(content), None) => content_iri(content),
            (Some(content), Some(question)) => format!("{}/q{question}", content_iri(content)),
        }
    }

    /// The verb and its display.
    pub fn verb(&self) -> (&'static str, &'static str) {
        let kind = KINDS.iter().find(|(what, ..)| *what == self.what);
        kind.map(|(_, iri, display, _)| (*iri, *display))
            .unwrap_or_default()
    }

    /// The statement as a client sends it. It has no id: the server adds it.
    pub fn statement(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(512);
        let (verb, display) = self.verb();
        // Writing to a String never fails.
        let _ = write!(
            text,
            r#"{{"actor":{},"verb":{{"id":"{verb}""#,
            self.who.identifier()
        );
        if !display.is_empty() {
            let _ = write!(text, r#","display":{{"en":"{display}"}}"#);
        }
        let _ = write!(text, r#"}},"object":{{"id":"{}"}}"#, self.object());
        let mut members: Vec<String> = Vec::new();
        members.extend(self.success.map(|success| format!(r#""success":{success}"#)));
        members.extend(
            self.percent
                .map(|percent| format!(r#""score":{{"scaled":{:.2}}}"#, percent as f64 / 100.0)),
        );
        members.extend(
            self.seconds
                .map(|seconds| format!(r#""duration":"PT{}M{}S""#, seconds / 60, seconds % 60)),
        );
        members.extend(
            self.question
                .map(|question| format!(r#""response":"answer {question}""#)),
        );
        if !members.is_empty() {
            let _ = write!(text, r#","result":{{{}}}"#, members.join(","));
        }
        members.clear();
        members.extend(self.registration.map(|id| format!(r#""registration":"{id}""#)));
        members.extend(
            self.instructor
                .map(|user| format!(r#""instructor":{}"#, account(user))),
        );
        let parent = self
            .question
            .and(self.content)
            .map(|content| format!(r#""parent":[{{"id":"{}"}}]"#, content_iri(content)));
        let plan = self
            .plan
            .map(|plan| format!(r#""other":[{{"id":"{}"}}]"#, content_iri(plan)));
        let activities: Vec<String> = parent.into_iter().chain(plan).collect();
        if !activities.is_empty() {
            members.push(format!(r#""contextActivities":{{{}}}"#, activities.join(",")));
        }
        if !members.is_empty() {
            let _ = write!(text, r#","context":{{{}}}"#, members.join(","));
        }
        let _ = write!(text, r#","timestamp":"{}"}}"#, self.happened_at);
        text
    }
}

/// Bodies with `size` statements each, dated in the last days before `end`.
pub fn batches(seed: u64, statements: u64, size: u64, end: Timestamp) -> Vec<Vec<u8>> {
    bodies(seed, statements, size, |random| recent(random, end))
}

/// Bodies with `size` logins each, dated in the last days before `end`.
pub fn logins(seed: u64, statements: u64, size: u64, end: Timestamp) -> Vec<Vec<u8>> {
    bodies(seed, statements, size, |random| {
        loop {
            let event = recent(random, end);
            if event.what == What::LoggedIn {
                return event;
            }
        }
    })
}

fn bodies(seed: u64, statements: u64, size: u64, make: impl Fn(&mut Random) -> Event) -> Vec<Vec<u8>> {
    let mut random = Random::new(1_000 + seed);
    (0..statements / size)
        .map(|_| {
            let batch: Vec<String> = (0..size).map(|_| make(&mut random).statement()).collect();
            match size {
                1 => batch.concat().into_bytes(),
                _ => format!("[{}]", batch.join(",")).into_bytes(),
            }
        })
        .collect()
}

/// A record of the last days before `end`.
pub fn recent(random: &mut Random, end: Timestamp) -> Event {
    let seq = end.micros() - random.below(5 * 86_400_000_000) as i64;
    random_event(random, seq, seq - LENGTH)
}
