//! Sessions: a person logs in, continues or starts contents, and logs out.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::Role;
use crate::base::clock::Timestamp;
use crate::catalogue::{ContentFormat, LearningType};
use crate::record::object::INTERACTION_TYPE;
use crate::record::{
    Activity, Context, Definition, Duration, InteractionType, Iri, LanguageMap, Outcome, Score,
    StatementBuilder,
};

use super::super::{DAY, MINUTE};
use super::{
    By, DAYS, Event, HANDED_IN, HistoryBuilder, Sent, adl_verb, agent, format_duration, random_id,
    to_whole_milliseconds,
};

/// A second in microseconds.
const SECOND: i64 = 1_000_000;

/// The device types of sessions. Frequent ones are repeated.
const DEVICES: [&str; 10] = [
    "web", "web", "web", "web", "web", "desktop", "ios", "ios", "android", "tablet",
];

/// The tags of contents for all persons.
const COMMON: [&str; 3] = ["onboarding", "compliance", "safety"];

const QUESTIONS: [(&str, &str, &str); 6] = [
    (
        "Where is the assembly point?",
        "The car park at gate 2",
        "The canteen",
    ),
    ("Whom do you tell first?", "The shift lead", "Nobody"),
    ("How often is it checked?", "Every year", "When it breaks"),
    ("Who may do it?", "Whoever is trained for it", "Anybody"),
    ("What do you do with the key?", "Take it with you", "Leave it in"),
    ("What comes before you begin?", "A look around", "Music"),
];

impl HistoryBuilder<'_> {
    /// Adds sessions. Persons that are diligent, or are employed for longer, have more of them.
    pub(super) fn add_sessions(&mut self, count: usize) {
        let begin = self.now - DAYS * DAY;
        let spans: Vec<(i64, i64, f64)> = self
            .members
            .iter()
            .map(|member| {
                let from = member.joined.micros().max(begin);
                let to = member.left.map_or(self.now, Timestamp::micros);
                (from, to, (to - from).max(0) as f64 * member.diligence)
            })
            .collect();
        let all: f64 = spans.iter().map(|(_, _, weight)| weight).sum();
        for (person, (from, to, weight)) in spans.into_iter().enumerate() {
            let mine = (count as f64 * weight / all.max(1.0)).round() as usize;
            let mut begins: Vec<i64> = (0..mine).map(|_| self.working_moment(from, to)).collect();
            begins.sort_unstable();
            let mut free = i64::MIN;
            for at in begins {
                // The sessions of a person do not overlap.
                if at > free && self.is_employed(person, at) {
                    free = self.add_session(person, at) + 30 * MINUTE;
                }
            }
        }
    }

    /// Adds a session. Returns its end.
    fn add_session(&mut self, person: usize, begins: i64) -> i64 {
        let device = *self.random.pick(&DEVICES);
        let mut at = begins;
        self.add_event(person, at, "logged_in", json!({"device_type": device}));
        for _ in 0..self.random.between(1, 4) {
            at += self.random.between(20 * SECOND, 4 * MINUTE);
            let content = self.choose_content(person, at);
            at = self.use_content(person, content, at, device);
        }
        if matches!(self.members[person].role, Role::Curator | Role::LearningDesigner)
            && self.random.percent(50)
        {
            at += 3 * MINUTE;
            let content = self.random.below(self.contents.len());
            let action = if self.random.percent(30) {
                "added"
            } else {
                "updated"
            };
            let content = self.content(content);
            self.add_event(
                person,
                at,
                action,
                json!({"content": content, "device_type": device}),
            );
        }
        if self.random.percent(82) {
            at += self.random.between(10 * SECOND, 3 * MINUTE);
            self.add_event(person, at, "logged_out", json!({"device_type": device}));
        }
        at
    }

    /// Chooses a content: one that the person has begun, or one that fits its work and is not done.
    fn choose_content(&mut self, person: usize, at: i64) -> usize {
        let begun: Vec<usize> = (0..self.contents.len())
            .filter(|content| {
                let progress = self.progress[person][*content];
                progress.began.is_some()
                    && progress.done.is_none()
                    && self.is_available(*content, at)
                    && self.contents[*content].learning_type != LearningType::Event
            })
            .collect();
        if !begun.is_empty() && self.random.percent(60) {
            return *self.random.pick(&begun);
        }
        let mut chosen = 0;
        for _ in 0..14 {
            chosen = self.random.below(self.contents.len());
            let content = &self.contents[chosen];
            let near = |tag: &String| {
                COMMON.contains(&tag.as_str()) || self.members[person].interests.contains(&tag.as_str())
            };
            let likely = if content.tags.iter().any(near) { 90 } else { 22 };
            let fresh = self.progress[person][chosen]
                .done
                .is_none_or(|done| content.demands.expires_after.is_some() && at - done > 350 * DAY);
            let again = content.learning_type == LearningType::Channel || self.random.percent(6);
            if self.is_available(chosen, at)
                && content.learning_type != LearningType::Event
                && (fresh || again)
                && self.random.percent(likely)
            {
                break;
            }
        }
        chosen
    }

    /// Adds what a person does with a content in a session. Returns the end.
    fn use_content(&mut self, person: usize, content: usize, at: i64, device: &str) -> i64 {
        if !self.is_available(content, at) {
            return at;
        }
        let draft = &self.contents[content];
        let about = json!({"content": draft.id.as_str(), "device_type": device});
        match (draft.learning_type, draft.content_type) {
            (LearningType::Item, Some(ContentFormat::Xapi)) => self.play_xapi_content(person, content, at),
            (LearningType::Item, Some(ContentFormat::Link)) => {
                self.add_optional_event(person, at, "clicked", about);
                at + MINUTE
            }
            (
                LearningType::Item,
                Some(ContentFormat::Article | ContentFormat::Document | ContentFormat::Other),
            ) => self.read_content(person, content, at, about),
            (LearningType::Channel, _) => {
                self.add_optional_event(person, at, "viewed", about.clone());
                if self.random.percent(30) {
                    self.add_optional_event(person, at + MINUTE, "clicked", about);
                }
                at + 2 * MINUTE
            }
            (LearningType::Event, _) => {
                self.add_optional_event(person, at, "viewed", about);
                at + MINUTE
            }
            (LearningType::Exercise, _) => self.hand_in_exercise(person, content, at, about),
            (LearningType::Learnlist | LearningType::LearningPlan | LearningType::Certification, _) => {
                self.work_on_plan(person, content, at, about)
            }
            _ => self.attempt_content(person, content, at, about),
        }
    }

    /// A person views, downloads or reads an article or a document.
    fn read_content(&mut self, person: usize, content: usize, at: i64, about: Value) -> i64 {
        let seconds = self.random.between(70, 900);
        if self.contents[content].content_type == Some(ContentFormat::Document) && self.random.percent(30) {
            self.add_event(person, at, "downloaded", about.clone());
        } else if self.random.percent(40) {
            self.add_optional_event(person, at, "viewed", about.clone());
        }
        let ended = at + seconds * SECOND;
        if self.contents[content].content_type != Some(ContentFormat::Other) && self.random.percent(75) {
            let mut read = about;
            read["result"] = json!({"completion": true, "total_time": format_duration(seconds)});
            if self.add_event(person, ended, "completed", read) {
                self.progress[person][content].done = Some(ended);
            }
        }
        ended
    }

    /// A person starts a video, a course, a quiz or a survey, and mostly completes it in the same session.
    fn attempt_content(&mut self, person: usize, content: usize, at: i64, about: Value) -> i64 {
        let draft = &self.contents[content];
        let scored =
            draft.learning_type == LearningType::Quiz || draft.content_type == Some(ContentFormat::Scorm);
        let (shortest, longest) = match (draft.learning_type, draft.content_type) {
            (LearningType::Quiz, _) => (120, 1_100),
            (LearningType::Survey, _) => (60, 400),
            (_, Some(ContentFormat::Book | ContentFormat::Course)) => (3_000, 9_000),
            _ => (180, 2_400),
        };
        let registration = scored.then(|| random_id(self.random));
        // A content without a score is continued. Each score belongs to a new attempt.
        let resumed = !scored
            && self.progress[person][content]
                .began
                .is_some_and(|began| at - began < 60 * DAY);
        let resumed = resumed && self.progress[person][content].done.is_none();
        if !resumed {
            let mut begun = about.clone();
            begun["registration"] = json!(registration);
            self.add_event(person, at, "started", begun);
            self.progress[person][content].began = Some(at);
        }
        self.progress[person][content].done = None;
        let seconds = self.random.between(shortest, longest);
        let ended = at + seconds * SECOND;
        let later = if longest > 3_000 { 45 } else { 15 };
        if self.random.percent(later) {
            return at + seconds / 3 * SECOND;
        }
        let mut end = about;
        end["registration"] = json!(registration);
        end["result"] = json!({"total_time": format_duration(seconds)});
        let passed = !scored || self.add_score(person, content, &mut end);
        if self.contents[content].learning_type == LearningType::Survey {
            self.add_event(person, ended - SECOND, "submitted", end.clone());
        }
        if self.add_event(person, ended, "completed", end) && passed {
            self.progress[person][content].done = Some(ended);
            self.receive_certificate(person, content, ended + SECOND);
        }
        ended
    }

    /// Adds a score to a result, and the responses of a quiz. Returns whether the person passed.
    fn add_score(&mut self, person: usize, content: usize, form: &mut Value) -> bool {
        let draft = &self.contents[content];
        let score = self.members[person].skill + 36.0 * (self.random.fraction() - 0.42);
        let score = score.round().clamp(5.0, 100.0);
        form["result"]["score"] = json!(score);
        if draft.learning_type == LearningType::Quiz {
            let mut responses = Vec::new();
            for (number, (prompt, right, wrong)) in QUESTIONS.iter().enumerate() {
                let correct = self.random.fraction() * 100.0 < score;
                let response = if correct { right } else { wrong };
                responses.push(json!({"question": format!("q{}", number + 1), "prompt": prompt,
                    "response": response, "correct": correct, "seconds": self.random.between(8, 90)}));
            }
            form["responses"] = json!(responses);
        }
        // This is the current pass mark. An earlier one was lower, so some persons repeat a quiz that they passed.
        draft.demands.pass_mark.is_none_or(|mark| score >= mark)
    }

    /// A person hands in an exercise, and a learning designer grades it some days later.
    fn hand_in_exercise(&mut self, person: usize, content: usize, at: i64, about: Value) -> i64 {
        let mut handed_in = about.clone();
        let registration = random_id(self.random);
        handed_in["registration"] = json!(registration);
        handed_in["result"] = json!({"response": HANDED_IN});
        if !self.add_event(person, at, "submitted", handed_in) {
            return at;
        }
        self.progress[person][content].done = Some(at);
        let graders: Vec<&str> = self
            .members
            .iter()
            .filter(|member| member.role == Role::LearningDesigner)
            .map(|member| member.id.as_str())
            .collect();
        let grader = if graders.is_empty() {
            None
        } else {
            Some(*self.random.pick(&graders))
        };
        let score = self.random.between(35, 100);
        let enough = self.contents[content]
            .demands
            .pass_mark
            .is_none_or(|mark| score as f64 >= mark);
        let mut graded = about;
        graded["registration"] = json!(registration);
        graded["recorded_by"] = json!(grader);
        graded["comment"] = json!(if enough {
            "Well argued."
        } else {
            "Please name the risks one by one."
        });
        graded["result"] = json!({"score": score, "success": enough});
        let days = self.random.between(1, 6);
        self.add_event(person, at + days * DAY, "graded", graded);
        at + 5 * MINUTE
    }

    /// A person starts a list, a plan or a certification, views it several times, and completes it after weeks.
    fn work_on_plan(&mut self, person: usize, content: usize, at: i64, about: Value) -> i64 {
        let progress = self.progress[person][content];
        match progress.began {
            None => {
                if self.contents[content].learning_type == LearningType::LearningPlan {
                    self.add_event(person, at - 30 * SECOND, "accepted", about.clone());
                }
                self.add_event(person, at, "started", about);
                self.progress[person][content].began = Some(at);
            }
            Some(began) if at - began > 20 * DAY && self.random.percent(70) => {
                if self.add_event(person, at, "completed", about) {
                    self.progress[person][content].done = Some(at);
                    self.receive_certificate(person, content, at + SECOND);
                }
            }
            Some(_) => {
                self.add_optional_event(person, at, "viewed", about);
            }
        }
        at + 2 * MINUTE
    }

    /// A person receives the certificate of a content. The catalogue has its validity.
    pub(super) fn receive_certificate(&mut self, person: usize, content: usize, at: i64) {
        let Some(certificate) = self.contents[content].demands.certificate.clone() else {
            return;
        };
        let about = json!({"content": self.content(content), "certificate": {"name": certificate.name}});
        self.add_event(person, at, "received_certificate_for", about);
    }

    /// A person plays a content that sends xAPI statements.
    fn play_xapi_content(&mut self, person: usize, content: usize, at: i64) -> i64 {
        let registration = random_id(self.random);
        self.add_content_statement(
            person,
            content,
            at,
            "initialized",
            registration,
            Outcome::default(),
        );
        self.progress[person][content].began = Some(at);
        self.progress[person][content].done = None;
        let questions = self.random.between(1, 3);
        let seconds = questions * self.random.between(40, 300);
        for number in 1..=questions {
            let answered = at + seconds * SECOND * number / (questions + 1);
            let right = self.random.percent(75);
            self.add_answer_statement(person, content, answered, number, right, registration);
        }
        let ended = at + seconds * SECOND;
        if self.random.percent(20) {
            self.add_content_statement(
                person,
                content,
                ended,
                "suspended",
                registration,
                Outcome {
                    duration: Duration::parse(&format_duration(seconds)).ok(),
                    ..Outcome::default()
                },
            );
            return ended;
        }
        let score = (self.members[person].skill + 36.0 * (self.random.fraction() - 0.42))
            .round()
            .clamp(5.0, 100.0);
        let mark = self.contents[content].demands.pass_mark;
        let passed = mark.is_none_or(|mark| score >= mark);
        let result = to_outcome(score, seconds);
        let verb = match (mark, passed) {
            (None, _) => "completed",
            (Some(_), true) => "passed",
            (Some(_), false) => "failed",
        };
        self.add_content_statement(person, content, ended, verb, registration, result);
        if passed {
            self.progress[person][content].done = Some(ended);
            self.receive_certificate(person, content, ended + SECOND);
        }
        ended
    }

    fn add_content_statement(
        &mut self,
        person: usize,
        content: usize,
        at: i64,
        verb: &str,
        registration: Uuid,
        result: Outcome,
    ) {
        let draft = &self.contents[content];
        let Some(iri) = draft.iri.clone() else { return };
        let object = Activity {
            id: iri,
            definition: Some(Definition {
                name: LanguageMap::english(&draft.title),
                ..Definition::default()
            }),
        };
        self.add_statement(person, at, verb, object, result, player_context(registration));
    }

    fn add_answer_statement(
        &mut self,
        person: usize,
        content: usize,
        at: i64,
        number: i64,
        right: bool,
        registration: Uuid,
    ) {
        let Some(iri) = self.contents[content].iri.clone() else {
            return;
        };
        let Ok(question) = Iri::parse(&format!("{iri}/questions/{number}")) else {
            return;
        };
        let object = Activity {
            id: question,
            definition: Some(Definition {
                name: LanguageMap::english(&format!("Question {number}")),
                type_: Iri::parse(INTERACTION_TYPE).ok(),
                interaction_type: Some(InteractionType::TrueFalse),
                correct_responses: vec!["true".to_owned()],
                ..Definition::default()
            }),
        };
        let result = Outcome {
            success: Some(right),
            response: Some(right.to_string()),
            ..Outcome::default()
        };
        let context = Context {
            parent: vec![Activity::new(iri)],
            ..player_context(registration)
        };
        self.add_statement(person, at, "answered", object, result, context);
    }

    /// Adds a statement about the e-mail address that the content player has for the person.
    fn add_statement(
        &mut self,
        person: usize,
        at: i64,
        verb: &str,
        object: Activity,
        result: Outcome,
        context: Context,
    ) {
        if !self.is_employed(person, at) {
            return;
        }
        let (member, at) = (&self.members[person], to_whole_milliseconds(at));
        let email = member.private_email.as_ref().unwrap_or(&member.email);
        let (Some(actor), Some(verb)) = (agent(&member.name, email), adl_verb(verb)) else {
            return;
        };
        let statement = StatementBuilder::new(actor, verb, object)
            .result(result)
            .context(context)
            .timestamp(at);
        self.events.push(Event {
            at,
            sent: Sent::Statement(Box::new(statement)),
            by: By::Platform,
            optional: false,
        });
    }
}

/// The context of all statements that the content player sends.
fn player_context(registration: Uuid) -> Context {
    Context {
        registration: Some(registration),
        platform: Some("Acme Content Player".to_owned()),
        ..Context::default()
    }
}

/// The result of a content with a score of 0 to 100 points.
fn to_outcome(score: f64, seconds: i64) -> Outcome {
    Outcome {
        score: Some(Score {
            scaled: Some(score / 100.0),
            raw: Some(score),
            min: Some(0.0),
            max: Some(100.0),
        }),
        duration: Duration::parse(&format_duration(seconds)).ok(),
        ..Outcome::default()
    }
}
