//! How a person learns: they log in, go on with what they began or begin something, and log out.

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
use super::{By, DAYS, Event, Sent, Story, adl_verb, agent, duration, id, millis};

/// A second in microseconds.
const SECOND: i64 = 1_000_000;

/// Where people learn, the commonest more often.
const DEVICES: [&str; 10] = [
    "web", "web", "web", "web", "web", "desktop", "ios", "ios", "android", "tablet",
];

/// What everybody learns beside their own work.
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

impl Story<'_> {
    /// So many sessions of everybody, more of those who are diligent and of those who were there for longer.
    pub(super) fn sessions(&mut self, count: usize) {
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
        for (who, (from, to, weight)) in spans.into_iter().enumerate() {
            let mine = (count as f64 * weight / all.max(1.0)).round() as usize;
            let mut begins: Vec<i64> = (0..mine).map(|_| self.working_moment(from, to)).collect();
            begins.sort_unstable();
            let mut free = i64::MIN;
            for at in begins {
                // One session at a time.
                if at > free && self.there(who, at) {
                    free = self.session(who, at) + 30 * MINUTE;
                }
            }
        }
    }

    /// One session; when it ends.
    fn session(&mut self, who: usize, begins: i64) -> i64 {
        let device = *self.random.pick(&DEVICES);
        let mut at = begins;
        self.did(who, at, "logged_in", json!({"device_type": device}));
        for _ in 0..self.random.between(1, 4) {
            at += self.random.between(20 * SECOND, 4 * MINUTE);
            let content = self.choose(who, at);
            at = self.step(who, content, at, device);
        }
        if matches!(self.members[who].role, Role::Curator | Role::LearningDesigner) && self.random.percent(50)
        {
            at += 3 * MINUTE;
            let content = self.random.below(self.contents.len());
            let action = if self.random.percent(30) {
                "added"
            } else {
                "updated"
            };
            let content = self.content(content);
            self.did(
                who,
                at,
                action,
                json!({"content": content, "device_type": device}),
            );
        }
        if self.random.percent(82) {
            at += self.random.between(10 * SECOND, 3 * MINUTE);
            self.did(who, at, "logged_out", json!({"device_type": device}));
        }
        at
    }

    /// What somebody turns to: what they began, else something near their work that they haven't done.
    fn choose(&mut self, who: usize, at: i64) -> usize {
        let begun: Vec<usize> = (0..self.contents.len())
            .filter(|content| {
                let progress = self.progress[who][*content];
                progress.began.is_some()
                    && progress.done.is_none()
                    && self.offered(*content, at)
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
                COMMON.contains(&tag.as_str()) || self.members[who].interests.contains(&tag.as_str())
            };
            let likely = if content.tags.iter().any(near) { 90 } else { 22 };
            let fresh = self.progress[who][chosen]
                .done
                .is_none_or(|done| content.demands.expires_after.is_some() && at - done > 350 * DAY);
            let again = content.learning_type == LearningType::Channel || self.random.percent(6);
            if self.offered(chosen, at)
                && content.learning_type != LearningType::Event
                && (fresh || again)
                && self.random.percent(likely)
            {
                break;
            }
        }
        chosen
    }

    /// What somebody does with a content; when they are done with it for now.
    fn step(&mut self, who: usize, content: usize, at: i64, device: &str) -> i64 {
        if !self.offered(content, at) {
            return at;
        }
        let draft = &self.contents[content];
        let about = json!({"content": draft.id.as_str(), "device_type": device});
        match (draft.learning_type, draft.content_type) {
            (LearningType::Item, Some(ContentFormat::Xapi)) => self.statements(who, content, at),
            (LearningType::Item, Some(ContentFormat::Link)) => {
                self.may(who, at, "clicked", about);
                at + MINUTE
            }
            (
                LearningType::Item,
                Some(ContentFormat::Article | ContentFormat::Document | ContentFormat::Other),
            ) => self.reading(who, content, at, about),
            (LearningType::Channel, _) => {
                self.may(who, at, "viewed", about.clone());
                if self.random.percent(30) {
                    self.may(who, at + MINUTE, "clicked", about);
                }
                at + 2 * MINUTE
            }
            (LearningType::Event, _) => {
                self.may(who, at, "viewed", about);
                at + MINUTE
            }
            (LearningType::Exercise, _) => self.exercise(who, content, at, about),
            (LearningType::Learnlist | LearningType::LearningPlan | LearningType::Certification, _) => {
                self.long_work(who, content, at, about)
            }
            _ => self.attempt(who, content, at, about),
        }
    }

    /// An article or a document: looked at, downloaded, read.
    fn reading(&mut self, who: usize, content: usize, at: i64, about: Value) -> i64 {
        let seconds = self.random.between(70, 900);
        if self.contents[content].content_type == Some(ContentFormat::Document) && self.random.percent(30) {
            self.did(who, at, "downloaded", about.clone());
        } else if self.random.percent(40) {
            self.may(who, at, "viewed", about.clone());
        }
        let ended = at + seconds * SECOND;
        if self.contents[content].content_type != Some(ContentFormat::Other) && self.random.percent(75) {
            let mut read = about;
            read["result"] = json!({"completion": true, "total_time": duration(seconds)});
            if self.did(who, ended, "completed", read) {
                self.progress[who][content].done = Some(ended);
            }
        }
        ended
    }

    /// A video, a course, a quiz, a survey: started, and mostly brought to an end at once.
    fn attempt(&mut self, who: usize, content: usize, at: i64, about: Value) -> i64 {
        let draft = &self.contents[content];
        let scored =
            draft.learning_type == LearningType::Quiz || draft.content_type == Some(ContentFormat::Scorm);
        let (shortest, longest) = match (draft.learning_type, draft.content_type) {
            (LearningType::Quiz, _) => (120, 1_100),
            (LearningType::Survey, _) => (60, 400),
            (_, Some(ContentFormat::Book | ContentFormat::Course)) => (3_000, 9_000),
            _ => (180, 2_400),
        };
        let registration = scored.then(|| id(self.random, Timestamp::from_micros(at)));
        // What has no score is gone on with; a new score is a new attempt.
        let resumed = !scored
            && self.progress[who][content]
                .began
                .is_some_and(|began| at - began < 60 * DAY);
        let resumed = resumed && self.progress[who][content].done.is_none();
        if !resumed {
            let mut begun = about.clone();
            begun["registration"] = json!(registration);
            self.did(who, at, "started", begun);
            self.progress[who][content].began = Some(at);
        }
        self.progress[who][content].done = None;
        let seconds = self.random.between(shortest, longest);
        let ended = at + seconds * SECOND;
        let later = if longest > 3_000 { 45 } else { 15 };
        if self.random.percent(later) {
            return at + seconds / 3 * SECOND;
        }
        let mut end = about;
        end["registration"] = json!(registration);
        end["result"] = json!({"total_time": duration(seconds)});
        let passed = !scored || self.score(who, content, &mut end);
        if self.contents[content].learning_type == LearningType::Survey {
            self.did(who, ended - SECOND, "submitted", end.clone());
        }
        if self.did(who, ended, "completed", end) && passed {
            self.progress[who][content].done = Some(ended);
            self.certificate(who, content, ended + SECOND);
        }
        ended
    }

    /// Puts a score into a result, and for a quiz the answers; whether it is enough.
    fn score(&mut self, who: usize, content: usize, form: &mut Value) -> bool {
        let draft = &self.contents[content];
        let score = self.members[who].skill + 36.0 * (self.random.fraction() - 0.42);
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
        // Today's mark: one that was lower then lets some try again who needn't, as people do.
        draft.demands.pass_mark.is_none_or(|mark| score >= mark)
    }

    /// What is handed in now and graded some days later, by a designer.
    fn exercise(&mut self, who: usize, content: usize, at: i64, about: Value) -> i64 {
        let mut handed_in = about.clone();
        let registration = id(self.random, Timestamp::from_micros(at));
        handed_in["registration"] = json!(registration);
        handed_in["result"] = json!({"response": "Handed in as a document."});
        if !self.did(who, at, "submitted", handed_in) {
            return at;
        }
        self.progress[who][content].done = Some(at);
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
        self.did(who, at + days * DAY, "graded", graded);
        at + 5 * MINUTE
    }

    /// A list, a plan, a certification: begun, looked at again and again, completed after weeks.
    fn long_work(&mut self, who: usize, content: usize, at: i64, about: Value) -> i64 {
        let progress = self.progress[who][content];
        match progress.began {
            None => {
                if self.contents[content].learning_type == LearningType::LearningPlan {
                    self.did(who, at - 30 * SECOND, "accepted", about.clone());
                }
                self.did(who, at, "started", about);
                self.progress[who][content].began = Some(at);
            }
            Some(began) if at - began > 20 * DAY && self.random.percent(70) => {
                if self.did(who, at, "completed", about) {
                    self.progress[who][content].done = Some(at);
                    self.certificate(who, content, at + SECOND);
                }
            }
            Some(_) => {
                self.may(who, at, "viewed", about);
            }
        }
        at + 2 * MINUTE
    }

    /// The certificate that a content gives; how long it holds, the catalogue knows.
    pub(super) fn certificate(&mut self, who: usize, content: usize, at: i64) {
        let Some(certificate) = self.contents[content].demands.certificate.clone() else {
            return;
        };
        let about = json!({"content": self.content(content), "certificate": {"name": certificate.name}});
        self.did(who, at, "received_certificate_for", about);
    }

    /// An attempt at content that speaks xAPI itself.
    fn statements(&mut self, who: usize, content: usize, at: i64) -> i64 {
        let registration = id(self.random, Timestamp::from_micros(at));
        self.statement(who, content, at, "initialized", registration, Outcome::default());
        self.progress[who][content].began = Some(at);
        self.progress[who][content].done = None;
        let questions = self.random.between(1, 3);
        let seconds = questions * self.random.between(40, 300);
        for number in 1..=questions {
            let answered = at + seconds * SECOND * number / (questions + 1);
            let right = self.random.percent(75);
            self.answer(who, content, answered, number, right, registration);
        }
        let ended = at + seconds * SECOND;
        if self.random.percent(20) {
            self.statement(
                who,
                content,
                ended,
                "suspended",
                registration,
                Outcome {
                    duration: Duration::parse(&duration(seconds)).ok(),
                    ..Outcome::default()
                },
            );
            return ended;
        }
        let score = (self.members[who].skill + 36.0 * (self.random.fraction() - 0.42))
            .round()
            .clamp(5.0, 100.0);
        let mark = self.contents[content].demands.pass_mark;
        let passed = mark.is_none_or(|mark| score >= mark);
        let result = Outcome {
            score: Some(Score {
                scaled: Some(score / 100.0),
                raw: Some(score),
                min: Some(0.0),
                max: Some(100.0),
            }),
            duration: Duration::parse(&duration(seconds)).ok(),
            ..Outcome::default()
        };
        let verb = match (mark, passed) {
            (None, _) => "completed",
            (Some(_), true) => "passed",
            (Some(_), false) => "failed",
        };
        self.statement(who, content, ended, verb, registration, result);
        if passed {
            self.progress[who][content].done = Some(ended);
            self.certificate(who, content, ended + SECOND);
        }
        ended
    }

    fn statement(
        &mut self,
        who: usize,
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
        self.state(who, at, verb, object, result, player_context(registration));
    }

    fn answer(&mut self, who: usize, content: usize, at: i64, number: i64, right: bool, registration: Uuid) {
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
        self.state(who, at, "answered", object, result, context);
    }

    /// Sends a statement, by the address under which the player knows the person.
    fn state(
        &mut self,
        who: usize,
        at: i64,
        verb: &str,
        object: Activity,
        result: Outcome,
        context: Context,
    ) {
        if !self.there(who, at) {
            return;
        }
        let (member, at) = (&self.members[who], millis(at));
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
            spare: false,
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
