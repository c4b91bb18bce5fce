//! The data set: an organisation and any number of statements, the same in every run.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

pub const USERS: u64 = 2_000;
pub const CONTENTS: u64 = 200;
pub const TEAMS: u64 = 50;

/// 2024-01-01T00:00:00Z, and the two years after it, in seconds.
const BEGIN: i64 = 1_704_067_200;
const SECONDS: u64 = 2 * 365 * 86_400;

/// The number of rows in the log before the first measurement.
pub fn rows() -> u64 {
    match std::env::var("ROLLBOOK_BENCH_ROWS").map(|text| text.parse::<u64>()) {
        Ok(Ok(rows)) if rows >= 1_000 => rows,
        Ok(_) => panic!("ROLLBOOK_BENCH_ROWS is a whole number of at least 1000"),
        Err(_) => 200_000,
    }
}

/// A random generator with a fixed sequence: SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

pub fn teams() -> Vec<Value> {
    (0..TEAMS)
        .map(|number| {
            let parent = (number > 0).then(|| format!("t{}", (number - 1) / 4));
            json!({"id": format!("t{number}"), "name": format!("Team number {number}"), "parent": parent})
        })
        .collect()
}

pub fn users() -> Vec<Value> {
    let mut random = Random::new(1);
    (0..USERS)
        .map(|number| {
            json!({
                "id": format!("u{number}"),
                "first_name": format!("First{number}"),
                "last_name": format!("Last{}", random.below(500)),
                "email": format!("first{number}@example.org"),
                "role": if number < USERS / 8 { "manager" } else { "learner" },
                "job_title": format!("Job title {}", random.below(40)),
                "language": "en",
                "location": format!("Location {}", random.below(20)),
                "joined_on": format!("20{:02}-{:02}-01", random.below(24), 1 + random.below(12)),
                "manager": (number > 0).then(|| format!("u{}", (number - 1) / 8)),
                "primary_team": format!("t{}", number % TEAMS),
                "teams": [format!("t{}", random.below(TEAMS))],
                "active": number % 50 != 49,
            })
        })
        .collect()
}

fn iri(number: u64) -> String {
    format!("https://content.example/items/{number}")
}

pub fn contents() -> Vec<Value> {
    const KINDS: [(&str, Option<&str>); 6] = [
        ("item", Some("video")),
        ("item", Some("article")),
        ("item", Some("scorm")),
        ("quiz", None),
        ("event", None),
        ("item", Some("course")),
    ];
    (0..CONTENTS)
        .map(|number| {
            let (kind, content_type) = KINDS[number as usize % KINDS.len()];
            json!({
                "id": format!("c{number}"),
                "iri": iri(number),
                "title": format!("A content with a title, number {number}"),
                "type": kind,
                "content_type": content_type,
                "tags": [format!("tag {}", number % 7), format!("tag {}", number % 11)],
                "source": "Library",
                "expires_after": (number % 4 == 0).then_some("P1Y"),
            })
        })
        .collect()
}

/// One statement, as a course in a browser sends it.
pub fn statement(random: &mut Random) -> String {
    const VERBS: [&str; 6] = [
        "completed",
        "initialized",
        "experienced",
        "passed",
        "failed",
        "interacted",
    ];
    let user = random.below(USERS);
    let content = random.below(CONTENTS);
    let verb = VERBS[random.below(VERBS.len() as u64) as usize];
    let at = BEGIN + random.below(SECONDS) as i64;
    let at = DateTime::from_timestamp(at, 0)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true);
    let result = match verb {
        "completed" | "passed" | "failed" => format!(
            r#""result":{{"score":{{"scaled":{:.2}}},"duration":"PT{}M{}S"}},"#,
            random.below(101) as f64 / 100.0,
            random.below(90),
            random.below(60)
        ),
        _ => String::new(),
    };
    format!(
        r#"{{"actor":{{"objectType":"Agent","account":{{"homePage":"https://rollbook.invalid/bench","name":"u{user}"}}}},"verb":{{"id":"http://adlnet.gov/expapi/verbs/{verb}","display":{{"en":"{verb}"}}}},"object":{{"id":"{}","definition":{{"name":{{"en":"A content with a title, number {content}"}},"type":"http://adlnet.gov/expapi/activities/course"}}}},{result}"context":{{"registration":"{:08x}-0000-4000-8000-{:012x}","platform":"Example LMS","language":"en"}},"timestamp":"{at}"}}"#,
        iri(content),
        random.next() as u32,
        random.next() & 0xffff_ffff_ffff,
    )
}

/// Bodies with `size` statements each.
pub fn batches(seed: u64, statements: u64, size: u64) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    (0..statements / size)
        .map(|_| {
            let batch: Vec<String> = (0..size).map(|_| statement(&mut random)).collect();
            format!("[{}]", batch.join(",")).into_bytes()
        })
        .collect()
}
