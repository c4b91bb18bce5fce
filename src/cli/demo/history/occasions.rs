//! Occasions: events, assignments, and visitors at a terminal.

use serde_json::json;

use crate::access::Role;
use crate::catalogue::LearningType;
use crate::record::{Activity, Definition, Iri, LanguageMap, LanguageTag, StatementBuilder};

use super::super::{DAY, MINUTE};
use super::{By, DAYS, Event, HistoryBuilder, Progress, Sent, adl_verb, agent, to_whole_milliseconds};

/// The contents that managers assign.
const ASSIGNED: [&str; 7] = [
    "fire-safety",
    "data-protection",
    "code-of-conduct",
    "manual-handling",
    "plan-new-starter",
    "new-manager-course",
    "quiz-code-of-conduct",
];

/// Visitors at the terminal by the gate: names and addresses that are not in the directory.
const VISITORS: [(&str, &str); 2] = [
    ("Ray Castellano", "ray@hauliers.example"),
    ("Visitor, Kestrel Audit", "visitor@kestrel.example"),
];

/// The content that visitors see at the terminal. `None` if a constant of it is invalid.
fn site_rules() -> Option<Activity> {
    let names = [("en", "Rules of the Site"), ("de", "Werksordnung")];
    let name = names.map(|(tag, text)| Some((LanguageTag::parse(tag)?, text.to_owned())));
    Some(Activity {
        id: Iri::parse("https://content.acme.example/terminal/site-rules").ok()?,
        definition: Some(Definition {
            name: name.into_iter().collect::<Option<LanguageMap>>()?,
            type_: Some(Iri::parse("http://adlnet.gov/expapi/activities/lesson").ok()?),
            ..Definition::default()
        }),
    })
}

impl HistoryBuilder<'_> {
    /// Adds events and assignments, in proportion to the number of activities.
    pub(super) fn add_occasions(&mut self, activities: usize) {
        let rounds = (activities / 5_000).max(1);
        for content in 0..self.contents.len() {
            if self.contents[content].learning_type == LearningType::Event {
                for _ in 0..rounds {
                    self.hold_event(content, (activities / 1_000).clamp(4, 18));
                }
            }
        }
        for _ in 0..activities / 40 {
            self.assign();
        }
    }

    /// Adds an event: it is arranged, persons enrol, most of them attend, and some get a certificate.
    fn hold_event(&mut self, content: usize, seats: usize) {
        let day = self.working_moment(self.now - (DAYS - 60) * DAY, self.now + 20 * DAY);
        if !self.is_available(content, day) {
            return;
        }
        let id = self.content(content);
        let hosts: Vec<usize> = self.members_with_roles(&[Role::Curator, Role::LearningDesigner]);
        let host = *self.random.pick(&hosts);
        self.add_event(
            host,
            day - 40 * DAY,
            "arranged",
            json!({"content": id, "device_type": "web"}),
        );
        for _ in 0..seats {
            let person = self.random.below(self.members.len());
            if self.progress[person][content]
                .began
                .is_some_and(|began| began > day - 300 * DAY)
            {
                continue;
            }
            let enrolled = self.working_moment(day - 32 * DAY, day - 4 * DAY);
            if !self.add_event(
                person,
                enrolled,
                "enrolled_for",
                json!({"content": id, "device_type": "web"}),
            ) {
                continue;
            }
            self.progress[person][content] = Progress {
                began: Some(enrolled),
                done: None,
            };
            if self.random.percent(9) {
                self.add_event(
                    person,
                    day - 2 * DAY,
                    "unenrolled",
                    json!({"content": id, "device_type": "web"}),
                );
            } else if self.random.percent(88) {
                self.attend(person, content, day);
            }
        }
    }

    fn attend(&mut self, person: usize, content: usize, day: i64) {
        let ended = day + 7 * 60 * MINUTE + self.random.between(0, 30 * MINUTE);
        let id = self.content(content);
        let hr = self.members_with_roles(&[Role::Hr]).first().copied();
        if !self.add_event(
            person,
            ended,
            "attended",
            json!({"content": id, "result": {"completion": true}}),
        ) {
            return;
        }
        self.progress[person][content].done = Some(ended);
        // HR enters some of the attendances by hand.
        if let (Some(hr), Some(event), true) = (hr, self.events.last_mut(), self.random.percent(25)) {
            event.by = By::Person(self.members[hr].id.clone());
        }
        self.receive_certificate(person, content, ended + 20 * MINUTE);
    }

    /// A manager assigns a content to a person, and sometimes unassigns it.
    fn assign(&mut self) {
        let person = self.random.below(self.members.len());
        let Some(manager) = self.members[person].manager.clone() else {
            return;
        };
        let id = *self.random.pick(&ASSIGNED);
        let at = self.working_moment(self.now - DAYS * DAY, self.now);
        let rest = json!({"content": id, "recorded_by": manager, "device_type": "web"});
        if self.add_event(person, at, "assigned", rest) && self.random.percent(6) {
            let rest = json!({"content": id, "recorded_by": manager, "comment": "Not needed in this job"});
            self.add_event(person, at + 3 * DAY, "unassigned", rest);
        }
    }

    /// Adds statements of the terminal about visitors.
    pub(super) fn add_visitors(&mut self, statements: usize) {
        let verbs = ["initialized", "experienced", "completed"];
        for number in 0..statements {
            let (name, email) = VISITORS[number % VISITORS.len()];
            let at = to_whole_milliseconds(self.working_moment(self.now - 300 * DAY, self.now - DAY));
            let verb = verbs[(number / VISITORS.len()) % verbs.len()];
            let (Some(actor), Some(verb), Some(rules)) = (agent(name, email), adl_verb(verb), site_rules())
            else {
                continue;
            };
            let statement = StatementBuilder::new(actor, verb, rules).timestamp(at);
            self.events.push(Event {
                at,
                sent: Sent::Statement(Box::new(statement)),
                by: By::Platform,
                optional: false,
            });
        }
    }

    /// The members with one of these roles, or all members if there is none.
    fn members_with_roles(&self, roles: &[Role]) -> Vec<usize> {
        let all = 0..self.members.len();
        let found: Vec<usize> = all
            .clone()
            .filter(|person| roles.contains(&self.members[*person].role))
            .collect();
        if found.is_empty() { all.collect() } else { found }
    }
}
