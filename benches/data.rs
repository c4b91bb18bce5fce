//! The data set: an organisation with a directory and a catalogue, and any number of records of two years.
//!
//! Everything follows from a fixed seed, so it is the same in every run. [`events`] has the records.

pub mod events;

use serde_json::{Value, json};

pub const USERS: u64 = 50_000;
pub const CONTENTS: u64 = 5_000;
pub const TEAMS: u64 = 300;
pub const GROUPS: u64 = 50;
/// People with records that no user of the directory owns.
pub const GUESTS: u64 = 1_000;

/// The organisation.
pub const ORGANISATION: &str = "bench";
/// The home page of its accounts.
pub const HOME_PAGE: &str = "https://rollbook.invalid/bench";

/// The managers directly below the topmost one. Each has an eighth of the organisation below.
const DIVISIONS: u64 = 8;
/// The direct reports of all other managers.
const REPORTS: u64 = 4;

/// The custom field with a value that only three users have.
pub const RARE_FIELD: (&str, &str) = ("badge", "Gold");

/// The sizes of the store at which lines are measured, in records.
pub fn sizes() -> Vec<u64> {
    let text = std::env::var("ROLLBOOK_BENCH_ROWS").unwrap_or_else(|_| "100000".to_owned());
    let sizes = text.split(',').map(|size| match size.trim().parse() {
        Ok(size) if size >= 20_000 => size,
        _ => panic!("ROLLBOOK_BENCH_ROWS is whole numbers of at least 20000, separated by commas"),
    });
    sizes.collect()
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

    /// Whether an event with this probability in thousandths occurs.
    pub fn occurs(&mut self, thousandths: u64) -> bool {
        self.below(1_000) < thousandths
    }

    /// A number below `end`. Small numbers are much more frequent than large ones.
    pub fn skewed(&mut self, end: u64) -> u64 {
        let uniform = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (uniform * uniform * end as f64) as u64 % end
    }

    fn word<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len() as u64) as usize]
    }
}

const FIRST_NAMES: [&str; 24] = [
    "Ada", "Bruno", "Clara", "David", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Liam",
    "Maja", "Noah", "Olga", "Pavel", "Quinn", "Rosa", "Sven", "Tara", "Umar", "Vera", "Wim", "Zoe",
];

const LAST_NAMES: [&str; 30] = [
    "Abel", "Baker", "Costa", "Dahl", "Engel", "Fischer", "Garcia", "Haas", "Ivanov", "Jansen", "Keller",
    "Lopez", "Moreau", "Novak", "Okafor", "Perez", "Quist", "Rossi", "Schmidt", "Torres", "Ueda", "Vogel",
    "Weber", "Xu", "Yilmaz", "Zimmer", "Obi", "Lindt", "Marsh", "Silva",
];

const WORDS: [&str; 60] = [
    "safety",
    "basics",
    "advanced",
    "leadership",
    "customer",
    "service",
    "quality",
    "finance",
    "planning",
    "project",
    "network",
    "security",
    "privacy",
    "warehouse",
    "forklift",
    "chemistry",
    "fire",
    "first",
    "aid",
    "ergonomics",
    "sales",
    "negotiation",
    "conflict",
    "teamwork",
    "remote",
    "work",
    "data",
    "analysis",
    "spreadsheet",
    "writing",
    "presentation",
    "public",
    "speaking",
    "time",
    "management",
    "hygiene",
    "food",
    "machine",
    "maintenance",
    "electrical",
    "inspection",
    "audit",
    "compliance",
    "ethics",
    "diversity",
    "onboarding",
    "product",
    "knowledge",
    "design",
    "thinking",
    "agile",
    "testing",
    "cloud",
    "storage",
    "energy",
    "environment",
    "travel",
    "purchase",
    "contract",
    "law",
];

/// The word in the title of one content only.
pub const RARE_WORD: &str = "ultramarine";

pub fn teams() -> Vec<Value> {
    (0..TEAMS)
        .map(|number| {
            let parent = (number > 0).then(|| team_id((number - 1) / 5));
            let mut random = Random::new(7_000 + number);
            let name = format!("Team {} {number}", random.word(&WORDS));
            json!({"id": team_id(number), "name": name, "parent": parent})
        })
        .collect()
}

pub fn groups() -> Vec<Value> {
    (0..GROUPS)
        .map(|number| json!({"id": group_id(number), "name": format!("Group number {number}")}))
        .collect()
}

pub fn team_id(number: u64) -> String {
    format!("t{number}")
}

pub fn group_id(number: u64) -> String {
    format!("g{number}")
}

pub fn user_id(number: u64) -> String {
    format!("u{number}")
}

pub fn email(user: u64) -> String {
    format!("user{user}@example.org")
}

/// The manager of a user. The tree of managers is eight levels deep.
pub fn manager_of(user: u64) -> Option<u64> {
    let place = user.checked_sub(1)?;
    let (division, place) = (place % DIVISIONS, place / DIVISIONS);
    match place.checked_sub(1) {
        None => Some(0),
        Some(place) => Some(1 + division + DIVISIONS * (place / REPORTS)),
    }
}

/// The number of users below each one, directly or not.
pub fn counts_below() -> Vec<u64> {
    let mut counts = vec![0; USERS as usize];
    for user in (1..USERS).rev() {
        if let Some(manager) = manager_of(user) {
            counts[manager as usize] += 1 + counts[user as usize];
        }
    }
    counts
}

/// The manager with the number of users below that is nearest to this one.
pub fn manager_of_about(count: u64) -> String {
    let below = counts_below();
    let nearest = (1..USERS).min_by_key(|user| below[*user as usize].abs_diff(count));
    user_id(nearest.unwrap_or_default())
}

/// Whether a user leaves the organisation at the end of the two years.
pub fn leaves(user: u64) -> bool {
    user % 50 == 49
}

/// One user. `active` is false for those that have left.
pub fn user(number: u64, active: bool, is_manager: bool) -> Value {
    let mut random = Random::new(1_000_000 + number);
    let primary_team = random.skewed(TEAMS);
    let mut teams = vec![team_id(primary_team)];
    teams.extend((0..random.below(3)).map(|_| team_id(random.skewed(TEAMS))));
    let mut groups: Vec<String> = (0..random.below(4))
        .map(|_| group_id(random.skewed(GROUPS)))
        .collect();
    for names in [&mut teams, &mut groups] {
        names.sort_unstable();
        names.dedup();
    }
    let role = match number {
        0 => "owner",
        _ if is_manager => "manager",
        _ if number % 1_000 == 999 => "hr",
        _ => "learner",
    };
    let mut custom = json!({
        "cost_centre": format!("CC-{}", random.skewed(200)),
        "region": random.word(&["north", "south", "east", "west"]),
    });
    if number % (USERS / 3) == 100 {
        custom[RARE_FIELD.0] = json!(RARE_FIELD.1);
    }
    json!({
        "id": user_id(number),
        "first_name": random.word(&FIRST_NAMES),
        "last_name": format!("{}-{}", random.word(&LAST_NAMES), random.word(&LAST_NAMES)),
        "email": email(number),
        "role": role,
        "job_title": format!("Job title {}", random.skewed(80)),
        "language": random.word(&["en", "de", "fr", "es"]),
        "location": format!("Location {}", random.skewed(40)),
        "joined_on": format!("20{:02}-{:02}-01", random.below(24), 1 + random.below(12)),
        "manager": manager_of(number).map(user_id),
        "primary_team": team_id(primary_team),
        "teams": teams,
        "groups": groups,
        "active": active,
        "custom": custom,
    })
}

/// What a content is, which decides about its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Item(&'static str),
    Quiz,
    Event,
    Exercise,
    Certification,
    Other(&'static str),
}

pub fn kind_of(content: u64) -> Kind {
    const ITEMS: [&str; 14] = [
        "video", "video", "video", "video", "video", "article", "article", "article", "book", "document",
        "audio", "scorm", "xapi", "course",
    ];
    const OTHERS: [&str; 3] = ["learnlist", "channel", "learning_plan"];
    match content % 20 {
        14 => Kind::Quiz,
        15 => Kind::Other("survey"),
        16 => Kind::Event,
        17 => Kind::Exercise,
        18 => Kind::Other(OTHERS[(content / 20) as usize % OTHERS.len()]),
        19 => Kind::Certification,
        item => Kind::Item(ITEMS[item as usize]),
    }
}

pub fn content_id(number: u64) -> String {
    format!("c{number}")
}

pub fn content_iri(number: u64) -> String {
    format!("https://content.example/{number}")
}

/// The tag of one content only.
pub const RARE_TAG: &str = "Pilot";

pub fn contents() -> Vec<Value> {
    (0..CONTENTS)
        .map(|number| {
            let mut random = Random::new(3_000_000 + number);
            let title: Vec<&str> = (0..3 + random.below(3)).map(|_| random.word(&WORDS)).collect();
            let mut title = format!("{} {number}", title.join(" "));
            let mut tags: Vec<String> = (0..random.below(4)).map(|_| WORDS[random.skewed(40) as usize].to_owned()).collect();
            if number == CONTENTS / 2 {
                title.push_str(&format!(" {RARE_WORD}"));
                tags.push(RARE_TAG.to_owned());
            }
            tags.sort_unstable();
            tags.dedup();
            let (kind, content_type) = match kind_of(number) {
                Kind::Item(content_type) => ("item", Some(content_type)),
                Kind::Quiz => ("quiz", None),
                Kind::Event => ("event", None),
                Kind::Exercise => ("exercise", None),
                Kind::Certification => ("certification", None),
                Kind::Other(kind) => (kind, None),
            };
            let is_certification = kind == "certification";
            json!({
                "id": content_id(number),
                "iri": content_iri(number),
                "title": title,
                "type": kind,
                "content_type": content_type,
                "tags": tags,
                "cpd_labels": random.occurs(100).then(|| vec!["CPD hours"]),
                "source": random.occurs(600).then(|| random.word(&["Library", "Academy", "Partner portal"])),
                "pass_mark": (kind == "quiz").then_some(70),
                "time_limit": (kind == "quiz").then_some("PT1H"),
                "expires_after": (number % 10 == 3).then_some("P1Y"),
                "certificate": is_certification.then(|| json!({"name": format!("Certificate {number}"), "expires_after": "P2Y"})),
            })
        })
        .collect()
}
