//! Two years of learning in the demo: what everybody did, in the order in which it happened.
//!
//! What is made is what a client would send: short forms for `/v1/activities/batch`, statements for
//! `/xapi/statements`. [`sessions`] is how a person learns, [`occasions`] what others do to them: events that
//! are arranged, content that is assigned, a record that is voided.

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

/// How far back it goes, in days.
const DAYS: i64 = 730;
/// How many activities come of a session, on average; from what is made too much, some is left out again.
const PER_SESSION: f64 = 5.4;
/// Statements of visitors whom nobody in the directory is.
const BY_VISITORS: usize = 24;

/// One record on its way in.
pub(super) struct Event {
    /// When it happened.
    pub(super) at: Timestamp,
    /// What is sent, with its id.
    pub(super) sent: Sent,
    /// By whom.
    pub(super) by: By,
    /// Whether it can be left out without anything else looking odd.
    spare: bool,
}

/// By which door, and what.
pub(super) enum Sent {
    /// A short form.
    Activity(Value),
    /// An xAPI statement.
    Statement(Box<StatementBuilder>),
}

/// Who sends it.
#[derive(PartialEq, Eq)]
pub(super) enum By {
    /// The learning platform, with its credential.
    Platform,
    /// A person, with their token: this user.
    Person(String),
}

/// Two years of activities: so many that are in the log at the end, and beside them one that was voided.
pub(super) fn history(
    random: &mut Random,
    now: Timestamp,
    staff: &Staff,
    contents: &[ContentDraft],
    activities: usize,
) -> Vec<Event> {
    let mut story = Story {
        now: now.micros(),
        members: &staff.members,
        contents,
        progress: vec![vec![Progress::default(); contents.len()]; staff.members.len()],
        events: Vec::with_capacity(activities + activities / 8),
        random,
    };
    // What happens to people is a share of what they do, so that a small demo has both.
    story.occasions(activities);
    story.visitors(BY_VISITORS);
    let made = story.events.len();
    let sessions = (activities.saturating_sub(made)) as f64 / PER_SESSION;
    story.sessions(sessions as usize);
    let mut events = story.exactly(activities);
    events.extend(story.mistake());
    // Whoever was put in at the same moment stays in the order of making: the sort is stable.
    events.sort_by_key(|event| event.at);
    for event in &mut events {
        let id = id(story.random, event.at);
        event.set_missing_id(id);
    }
    events
}

/// An id as a clock would give one at that moment (UUID version 7), the same every time.
fn id(random: &mut Random, at: Timestamp) -> Uuid {
    let (one, other) = (random.next().to_be_bytes(), random.next().to_be_bytes());
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&one);
    bytes[8..].copy_from_slice(&other[..2]);
    let millis = u64::try_from(at.micros() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

/// How far somebody is with a content.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    began: Option<i64>,
    done: Option<i64>,
}

/// What is being told.
struct Story<'a> {
    /// Moments in here are microseconds, as in [`Timestamp`].
    now: i64,
    members: &'a [Member],
    contents: &'a [ContentDraft],
    /// By member, then by content.
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

impl Story<'_> {
    /// Tells that a member did something; what would be in the future, or after they left, isn't told.
    fn did(&mut self, who: usize, at: i64, action: &str, rest: Value) -> bool {
        self.told(who, at, action, rest, false)
    }

    /// As [`Story::did`], of something that may be left out again.
    fn may(&mut self, who: usize, at: i64, action: &str, rest: Value) -> bool {
        self.told(who, at, action, rest, true)
    }

    fn told(&mut self, who: usize, at: i64, action: &str, mut rest: Value, spare: bool) -> bool {
        if !self.there(who, at) {
            return false;
        }
        let at = millis(at);
        rest["user"] = json!(self.members[who].id);
        rest["action"] = json!(action);
        rest["happened_at"] = json!(at);
        self.events.push(Event {
            at,
            sent: Sent::Activity(rest),
            by: By::Platform,
            spare,
        });
        true
    }

    /// Whether the member was there at that moment.
    fn there(&self, who: usize, at: i64) -> bool {
        let member = &self.members[who];
        let begins = member.joined.micros().max(self.now - DAYS * DAY);
        let ends = member.left.map_or(self.now, Timestamp::micros);
        (begins..ends).contains(&at)
    }

    /// A moment on a working day between two others, in office hours; rarely on a weekend.
    fn working_moment(&mut self, from: i64, to: i64) -> i64 {
        let mut day = from / DAY;
        for _ in 0..8 {
            day = self.random.between(from / DAY, to / DAY + 1);
            // The first of January 1970 was a Thursday: 0 is Sunday.
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

    /// Whether a content was there to be used at that moment.
    fn offered(&self, content: usize, at: i64) -> bool {
        self.contents[content]
            .archived_at
            .is_none_or(|archived| at < archived.micros())
    }

    fn content(&self, content: usize) -> Value {
        json!(self.contents[content].id.as_str())
    }

    /// The events, thinned or filled up to so many.
    fn exactly(&mut self, count: usize) -> Vec<Event> {
        while self.events.len() < count {
            let who = self.random.below(self.members.len());
            let at = self.working_moment(self.now - DAYS * DAY, self.now);
            let news = self
                .contents
                .iter()
                .position(|content| content.id.as_str() == "channel-news")
                .unwrap_or(0);
            let content = self.content(news);
            self.may(
                who,
                at,
                "viewed",
                json!({"content": content, "device_type": "web"}),
            );
        }
        let mut events = std::mem::take(&mut self.events);
        let too_many = events.len() - count;
        let mut spare: Vec<usize> = (0..events.len()).filter(|index| events[*index].spare).collect();
        // Where there is not enough to spare, the rest goes from all of them.
        let mut others: Vec<usize> = (0..events.len()).filter(|index| !events[*index].spare).collect();
        let mut left_out = vec![false; events.len()];
        for _ in 0..too_many {
            let from = if spare.is_empty() { &mut others } else { &mut spare };
            left_out[from.swap_remove(self.random.below(from.len()))] = true;
        }
        let mut left_out = left_out.into_iter();
        events.retain(|_| !left_out.next().unwrap_or(false));
        events
    }

    /// Somebody was noted down for a day that they weren't at, and an admin voids that.
    fn mistake(&mut self) -> Vec<Event> {
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
        let (at, noticed) = (millis(self.now - 9 * DAY), millis(self.now - 8 * DAY));
        let target = id(self.random, at);
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
            spare: false,
        };
        vec![
            event(at, Sent::Activity(attended)),
            event(noticed, Sent::Statement(Box::new(voiding))),
        ]
    }
}

/// The verb of ADL's vocabulary with this name; `None` where its IRI is not valid.
fn adl_verb(name: &str) -> Option<Verb> {
    let id = Iri::parse(&format!("http://adlnet.gov/expapi/verbs/{name}")).ok()?;
    Some(Verb {
        id,
        display: LanguageMap::english(name),
    })
}

/// The agent with this e-mail address; `None` where it is not an address.
fn agent(name: &str, email: &str) -> Option<Actor> {
    Some(Actor::agent(Identifier::from_email(email)?, Some(name)))
}

/// The moment as it is written, to the millisecond.
fn millis(at: i64) -> Timestamp {
    Timestamp::from_micros(at - at.rem_euclid(1_000))
}

/// A time in whole seconds as an ISO 8601 duration.
fn duration(seconds: i64) -> String {
    format!("PT{}M{}S", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::base::keyed::parse_batch;
    use crate::cli::demo::{contents, people};

    #[test]
    fn it_is_as_long_as_asked_in_order_and_within_two_years() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let mut random = Random::new(1);
        let staff = people::staff(&mut random, now, 200);
        let texts: Vec<String> = contents::first(now).iter().map(Value::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let catalogue: Vec<ContentDraft> = parse_batch(&texts, 8).unwrap();
        let events = history(&mut random, now, &staff, &catalogue, 20_000);
        assert_eq!(events.len(), 20_002, "and a mistake with its voiding");
        assert!(events.is_sorted_by_key(|event| event.at));
        let two_years = Timestamp::from_micros(now.micros() - DAYS * DAY)..now;
        assert!(events.iter().all(|event| two_years.contains(&event.at)));
        let ids: BTreeSet<String> = events
            .iter()
            .map(|event| match &event.sent {
                Sent::Activity(body) => body["id"].as_str().unwrap().to_owned(),
                Sent::Statement(builder) => builder.as_ref().clone().build().id.unwrap().to_string(),
            })
            .collect();
        assert_eq!(ids.len(), events.len());

        let mut actions: BTreeMap<String, usize> = BTreeMap::new();
        for event in &events {
            let action = match &event.sent {
                Sent::Activity(body) => body["action"].as_str().unwrap_or_default().to_owned(),
                Sent::Statement(_) => "statement".to_owned(),
            };
            *actions.entry(action).or_default() += 1;
        }
        // Neither thinned so much that nothing is looked at, nor filled up with it.
        assert!((300..4_000).contains(&actions["viewed"]), "{actions:?}");
        assert!((300..3_000).contains(&actions["statement"]), "{actions:?}");
        assert!(
            actions["completed"] > 3_000 && actions["logged_in"] > 2_000,
            "{actions:?}"
        );
    }
}
