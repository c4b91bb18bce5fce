//! Two years of learning in the demo, in the order in which it happened.
//!
//! The records are those that a client would send: short forms for `/v1/activities/batch`, statements for
//! `/xapi/statements`. The file `sessions` has what persons do themselves, `occasions` what others arrange for them.

mod occasions;
mod sessions;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::catalogue::ContentDraft;
use crate::record::{Actor, Identifier, Iri, LanguageMap, StatementBuilder, Verb};

use super::people::{Member, Staff};
use super::random::Random;
use super::{DAY, MINUTE};

/// The length of the history, in days.
const DAYS: i64 = 730;
/// The average number of activities of a session. If the sessions have too many, some are left out.
const PER_SESSION: f64 = 5.4;
/// The number of statements about visitors, which are not in the directory.
const BY_VISITORS: usize = 24;

/// The response of a submission, which has a file.
pub(super) const HANDED_IN: &str = "Handed in as a document.";

/// A record that a client sends.
pub(super) struct Event {
    /// When it happened.
    pub(super) at: Timestamp,
    /// The body, with its id.
    pub(super) sent: Sent,
    /// The sender.
    pub(super) by: By,
    /// Whether it can be left out without a contradiction to other events.
    optional: bool,
}

/// The body of a record.
pub(super) enum Sent {
    /// A short form.
    Activity(Value),
    /// An xAPI statement.
    Statement(Box<StatementBuilder>),
}

/// The sender of a record.
#[derive(PartialEq, Eq)]
pub(super) enum By {
    /// The learning platform, with its credential.
    Platform,
    /// A person with this user id, with a token.
    Person(String),
}

/// Creates a history with this number of activities in the log, and one voided activity.
pub(super) fn history(
    random: &mut Random,
    now: Timestamp,
    staff: &Staff,
    contents: &[ContentDraft],
    activities: usize,
) -> Vec<Event> {
    let mut builder = HistoryBuilder {
        now: now.micros(),
        members: &staff.members,
        contents,
        progress: vec![vec![Progress::default(); contents.len()]; staff.members.len()],
        events: Vec::with_capacity(activities + activities / 8),
        random,
    };
    // Occasions are a share of all activities, so a small demo has both kinds.
    builder.add_occasions(activities);
    builder.add_visitors(BY_VISITORS);
    let existing = builder.events.len();
    let sessions = (activities.saturating_sub(existing)) as f64 / PER_SESSION;
    builder.add_sessions(sessions as usize);
    let mut events = builder.take_exactly(activities);
    events.extend(builder.voided_attendance());
    // The sort is stable: events of the same time stay in the order in which they were created.
    events.sort_by_key(|event| event.at);
    for event in &mut events {
        let id = random_id(builder.random);
        event.set_missing_id(id);
    }
    events
}

/// A UUID of version 4. Some xAPI clients accept no other version.
fn random_id(random: &mut Random) -> Uuid {
    let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}

/// The progress of a person with a content.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    began: Option<i64>,
    done: Option<i64>,
}

/// Builds the history. Times are microseconds, as in [`Timestamp`].
struct HistoryBuilder<'a> {
    now: i64,
    members: &'a [Member],
    contents: &'a [ContentDraft],
    /// By person, then by content.
    progress: Vec<Vec<Progress>>,
    events: Vec<Event>,
    random: &'a mut Random,
}

impl Event {
    /// Sets the id, unless the event is an activity that has one.
    fn set_missing_id(&mut self, id: Uuid) {
        match &mut self.sent {
            Sent::Activity(body) if body.get("id").is_none() => body["id"] = json!(id),
            Sent::Activity(_) => {}
            Sent::Statement(builder) => **builder = builder.as_ref().clone().id(StatementId(id)),
        }
    }
}

impl HistoryBuilder<'_> {
    /// Adds an activity of a person. False if the person was not employed at that time, or the time is in the future.
    fn add_event(&mut self, person: usize, at: i64, action: &str, rest: Value) -> bool {
        self.push_event(person, at, action, rest, false)
    }

    /// [`HistoryBuilder::add_event`] for an activity that can be left out.
    fn add_optional_event(&mut self, person: usize, at: i64, action: &str, rest: Value) -> bool {
        self.push_event(person, at, action, rest, true)
    }

    fn push_event(&mut self, person: usize, at: i64, action: &str, mut rest: Value, optional: bool) -> bool {
        if !self.is_employed(person, at) {
            return false;
        }
        let at = to_whole_milliseconds(at);
        rest["user"] = json!(self.members[person].id);
        rest["action"] = json!(action);
        rest["happened_at"] = json!(at);
        self.events.push(Event {
            at,
            sent: Sent::Activity(rest),
            by: By::Platform,
            optional,
        });
        true
    }

    /// Whether the person was employed at that time.
    fn is_employed(&self, person: usize, at: i64) -> bool {
        let member = &self.members[person];
        let begins = member.joined.micros().max(self.now - DAYS * DAY);
        let ends = member.left.map_or(self.now, Timestamp::micros);
        (begins..ends).contains(&at)
    }

    /// A random time between two times: in office hours of a working day, rarely on a weekend.
    fn working_moment(&mut self, from: i64, to: i64) -> i64 {
        let mut day = from / DAY;
        for _ in 0..8 {
            day = self.random.between(from / DAY, to / DAY + 1);
            // 1 January 1970 was a Thursday, so 0 is Sunday.
            let weekend = matches!((day + 4).rem_euclid(7), 0 | 6);
            if !weekend || self.random.percent(4) {
                break;
            }
        }
        day * DAY
            + self
                .random
                .between(6 * 60 * MINUTE + 30 * MINUTE, 17 * 60 * MINUTE)
    }

    /// Whether a content was available at that time.
    fn is_available(&self, content: usize, at: i64) -> bool {
        self.contents[content]
            .archived_at
            .is_none_or(|archived| at < archived.micros())
    }

    fn content(&self, content: usize) -> Value {
        json!(self.contents[content].id.as_str())
    }

    /// Takes the events. Some are left out or added, so that their number is `count`.
    fn take_exactly(&mut self, count: usize) -> Vec<Event> {
        while self.events.len() < count {
            let person = self.random.below(self.members.len());
            let at = self.working_moment(self.now - DAYS * DAY, self.now);
            let news = self
                .contents
                .iter()
                .position(|content| content.id.as_str() == "channel-news")
                .unwrap_or(0);
            let content = self.content(news);
            self.add_optional_event(
                person,
                at,
                "viewed",
                json!({"content": content, "device_type": "web"}),
            );
        }
        let mut events = std::mem::take(&mut self.events);
        let too_many = events.len() - count;
        let mut optional: Vec<usize> = (0..events.len())
            .filter(|index| events[*index].optional)
            .collect();
        // If there are not enough optional events, any event is left out.
        let mut others: Vec<usize> = (0..events.len())
            .filter(|index| !events[*index].optional)
            .collect();
        let mut left_out = vec![false; events.len()];
        for _ in 0..too_many {
            let from = if optional.is_empty() {
                &mut others
            } else {
                &mut optional
            };
            left_out[from.swap_remove(self.random.below(from.len()))] = true;
        }
        let mut left_out = left_out.into_iter();
        events.retain(|_| !left_out.next().unwrap_or(false));
        events
    }

    /// A wrong record of attendance, and its voiding by an admin.
    fn voided_attendance(&mut self) -> Vec<Event> {
        let admin = self
            .members
            .iter()
            .find(|member| member.role == crate::access::Role::Admin);
        let (Some(admin), Some(wrong)) = (
            admin,
            self.members.iter().rev().find(|member| member.left.is_none()),
        ) else {
            return Vec::new();
        };
        let (at, noticed) = (
            to_whole_milliseconds(self.now - 9 * DAY),
            to_whole_milliseconds(self.now - 8 * DAY),
        );
        let target = random_id(self.random);
        let home_page = "https://rollbook.invalid/acme";
        let attended = json!({
            "id": target, "user": wrong.id, "action": "attended", "content": "event-leadership-day",
            "happened_at": at,
        });
        let account = Identifier::Account {
            home_page: home_page.to_owned(),
            name: admin.id.clone(),
        };
        let voiding =
            StatementBuilder::voiding(Actor::agent(account, None), StatementId(target)).timestamp(noticed);
        let event = |at, sent| Event {
            at,
            sent,
            by: By::Person(admin.id.clone()),
            optional: false,
        };
        vec![
            event(at, Sent::Activity(attended)),
            event(noticed, Sent::Statement(Box::new(voiding))),
        ]
    }
}

/// The verb of ADL's vocabulary with this name. `None` if its IRI is invalid.
fn adl_verb(name: &str) -> Option<Verb> {
    let id = Iri::parse(&format!("http://adlnet.gov/expapi/verbs/{name}")).ok()?;
    Some(Verb {
        id,
        display: LanguageMap::english(name),
    })
}

/// The agent with this e-mail address. `None` if the address is invalid.
fn agent(name: &str, email: &str) -> Option<Actor> {
    Some(Actor::agent(Identifier::from_email(email)?, Some(name)))
}

/// The time in whole milliseconds, as records contain it.
fn to_whole_milliseconds(at: i64) -> Timestamp {
    Timestamp::from_micros(at - at.rem_euclid(1_000))
}

/// A number of seconds as an ISO 8601 duration.
fn format_duration(seconds: i64) -> String {
    format!("PT{}M{}S", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::base::keyed::parse_batch;
    use crate::cli::demo::{contents, people};

    #[test]
    fn history_has_the_requested_length_in_order_within_two_years() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let mut random = Random::new(1);
        let staff = people::staff(&mut random, now, 200);
        let texts: Vec<String> = contents::first().iter().map(Value::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let catalogue: Vec<ContentDraft> = parse_batch(&texts, 8).parsed.into_values().unwrap();
        let events = history(&mut random, now, &staff, &catalogue, 20_000);
        assert_eq!(events.len(), 20_002, "and a mistake with its voiding");
        assert!(events.is_sorted_by_key(|event| event.at));
        let two_years = Timestamp::from_micros(now.micros() - DAYS * DAY)..now;
        assert!(events.iter().all(|event| two_years.contains(&event.at)));
        let ids: BTreeSet<Uuid> = events
            .iter()
            .map(|event| match &event.sent {
                Sent::Activity(body) => body["id"].as_str().unwrap().parse().unwrap(),
                Sent::Statement(builder) => builder.as_ref().clone().build().id.unwrap().0,
            })
            .collect();
        assert_eq!(ids.len(), events.len());
        assert!(ids.iter().all(|id| id.get_version_num() == 4));

        let mut actions: BTreeMap<String, usize> = BTreeMap::new();
        for event in &events {
            let action = match &event.sent {
                Sent::Activity(body) => body["action"].as_str().unwrap_or_default().to_owned(),
                Sent::Statement(_) => "statement".to_owned(),
            };
            *actions.entry(action).or_default() += 1;
        }
        // Some views are left, and views do not fill up the history.
        assert!((300..4_000).contains(&actions["viewed"]), "{actions:?}");
        assert!((300..3_000).contains(&actions["statement"]), "{actions:?}");
        assert!(
            actions["completed"] > 3_000 && actions["logged_in"] > 2_000,
            "{actions:?}"
        );
    }
}
