//! Records: by every door, out of order, told twice, withdrawn.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{STRANGERS, Tenant, stranger_address, title};
use crate::support::TestServer;
use crate::support::http::encode_segment;
use crate::support::random::Random;
use crate::v1::model::question::DAY;
use crate::v1::model::reading::{ACTIONS, OTHER_VERBS, VOIDED};
use crate::v1::model::world::{Actor, Content, Door, Micros, Record, Score, sha1_of_mailbox};
use crate::v1::model::{DEVICES, SOURCES};

impl Tenant {
    pub(super) async fn record_some(&mut self, server: &TestServer, random: &mut Random, count: usize) {
        let now = server.clock.now().micros();
        let end = self.facts.records.len() + count;
        while self.facts.records.len() < end {
            let door = *random.pick(&[Door::Statement, Door::Statement, Door::Integration, Door::Admin]);
            let size = *random.pick(&[1, 1, 5, 30]);
            let mut batch: Vec<Record> = Vec::new();
            for _ in 0..size {
                let record = self.random_record(random, door, now);
                if door == Door::Statement && random.percent(6) && record.defines.is_none() {
                    // Its voiding arrives first.
                    batch.push(self.voiding_statement(random, record.id, now));
                }
                batch.push(record);
            }
            if door == Door::Statement && random.percent(30) && !self.facts.records.is_empty() {
                let target = random.pick(&self.facts.records).clone();
                if target.voids.is_none() && target.defines.is_none() && !self.facts.is_voided(&target) {
                    batch.push(self.voiding_statement(random, target.id, now));
                }
            }
            self.send(door, &batch).await;
            for record in batch {
                self.write_down(record);
            }
            if random.percent(15) {
                self.repeat_one(random).await;
            }
        }
        self.observe_catalogue().await;
    }

    pub(super) fn random_record(&mut self, random: &mut Random, door: Door, now: Micros) -> Record {
        let (action, verbs) = *random.pick(ACTIONS);
        let (action, verbs) = match random.below(10) {
            0..=2 => *ACTIONS.iter().find(|(action, _)| *action == "completed").expect("it is in the table"),
            3 => *ACTIONS.iter().find(|(action, _)| *action == "logged_in").expect("it is in the table"),
            _ => (action, verbs),
        };
        let verb = match door {
            _ if random.percent(5) => *random.pick(OTHER_VERBS),
            Door::Statement => *random.pick(verbs),
            // The short form says the action, so the first verb of the action is what is recorded.
            _ => verbs[0],
        };
        let session = ["logged_in", "logged_out", "visited"].contains(&action);
        let content = if session && !OTHER_VERBS.contains(&verb) {
            None
        } else {
            Some(self.random_object(random, door))
        };
        let elsewhere = content.as_ref().is_some_and(|iri| iri.starts_with("https://elsewhere.example"));
        let farthest = if random.percent(40) { 20 } else { 800 };
        Record {
            id: self.random_id(random),
            door,
            actor: self.random_actor(random),
            verb: verb.to_owned(),
            // Whole minutes of few hours, so that much happens at the same moment; some of it lies in the future.
            happened_at: (now / DAY - random.between(-10, farthest)) * DAY
                + random.between(0, 30) * 3_600_000_000 / 2,
            defines: random.maybe(50, title).filter(|_| elsewhere && door == Door::Statement),
            content,
            score: random.maybe(40, random_score),
            success: random.maybe(25, |random| random.percent(60)),
            completion: random.maybe(25, |random| random.percent(70)),
            seconds: random.maybe(30, |random| random.between(0, 200_000)),
            expired_at: random
                .maybe(8, |random| now + random.between(-400, 400) * DAY)
                .filter(|_| door != Door::Statement),
            certificate: random
                .maybe(10, |random| random_certificate(random, now))
                .filter(|_| door != Door::Statement),
            device_type: random
                .maybe(30, |random| (*random.pick(DEVICES)).to_owned())
                .filter(|_| door != Door::Statement),
            source: random
                .maybe(20, |random| (*random.pick(SOURCES)).to_owned())
                .filter(|_| door != Door::Statement),
            voids: None,
        }
    }

    pub(super) fn random_id(&mut self, random: &mut Random) -> Uuid {
        if random.percent(20)
            && let Some(id) = self.borrowed_ids.pop()
        {
            return id;
        }
        random.uuid()
    }

    pub(super) fn random_actor(&self, random: &mut Random) -> Actor {
        let user = random.pick(&self.facts.users);
        let account = Actor::Account { home_page: self.facts.home_page(), name: user.id.clone() };
        match random.below(20) {
            0..=10 => account,
            11..=13 if !user.addresses.is_empty() => Actor::Mbox(random.pick(&user.addresses).clone()),
            14 | 15 if !user.addresses.is_empty() => {
                Actor::MboxSha1(sha1_of_mailbox(random.pick::<String>(&user.addresses)))
            }
            16..=18 => Actor::Mbox(stranger_address(random.below(STRANGERS))),
            19 => Actor::Account {
                home_page: "https://elsewhere.example".into(),
                name: format!("s{}", random.below(STRANGERS)),
            },
            _ => account,
        }
    }

    pub(super) fn random_object(&self, random: &mut Random, door: Door) -> String {
        if door == Door::Statement && random.percent(25) {
            return format!("https://elsewhere.example/course/{}", random.below(4));
        }
        let registered: Vec<&Content> =
            self.facts.contents.iter().filter(|content| content.registered).collect();
        random.pick(&registered).iri.clone()
    }

    pub(super) fn voiding_statement(&self, random: &mut Random, target: Uuid, now: Micros) -> Record {
        Record {
            id: random.uuid(),
            door: Door::Statement,
            actor: self.random_actor(random),
            verb: VOIDED.to_owned(),
            happened_at: now - random.between(0, 30) * DAY,
            content: None,
            defines: None,
            score: None,
            success: None,
            completion: None,
            seconds: None,
            expired_at: None,
            certificate: None,
            device_type: None,
            source: None,
            voids: Some(target),
        }
    }

    pub(super) async fn send(&self, door: Door, batch: &[Record]) {
        let ids: Vec<Value> = batch.iter().map(|record| json!(record.id)).collect();
        if door == Door::Statement {
            let statements: Vec<Value> = batch.iter().map(|record| self.statement(record)).collect();
            let answer = self.content.post("/xapi/statements", &statements).await.expect(200).json();
            assert_eq!(answer, json!(ids));
            return;
        }
        let caller = if door == Door::Admin { &self.admin } else { &self.integration };
        match batch {
            [record] => {
                let answer =
                    caller.post("/v1/activities", &self.short_form(record)).await.expect_one_of(&[200, 201]);
                assert_eq!(answer.json()["id"], ids[0]);
            }
            _ => {
                let forms: Vec<Value> = batch.iter().map(|record| self.short_form(record)).collect();
                let answer = caller.post("/v1/activities/batch", &forms).await.expect_one_of(&[200, 201]);
                assert_eq!(answer.json(), json!({"ids": ids}));
            }
        }
    }

    /// The same record once more is one record.
    pub(super) async fn repeat_one(&self, random: &mut Random) {
        let record = random.pick(&self.facts.records).clone();
        let known = record.content.as_deref().is_none_or(|iri| self.facts.content(iri).is_some());
        // What somebody marked has an id of the server's own, which nobody sends.
        if known && record.door != Door::Mark && !self.facts.is_voided(&record) {
            self.send(record.door, &[record]).await;
        }
    }

    pub(super) fn write_down(&mut self, record: Record) {
        if let Some(iri) = record.content.clone().filter(|iri| self.facts.content(iri).is_none()) {
            self.facts.contents.push(Content {
                id: iri.clone(),
                iri,
                registered: false,
                title: None,
                kind: None,
                content_type: None,
                tags: Vec::new(),
                cpd_labels: Vec::new(),
                source: None,
                archived: false,
                demands: Vec::new(),
            });
        }
        self.facts.records.push(record);
        for content in self.facts.contents.iter_mut().filter(|content| !content.registered) {
            // The latest definition, by time and then by id.
            let mut latest: Option<&Record> = None;
            for record in &self.facts.records {
                let about_it = record.content.as_ref() == Some(&content.iri) && record.defines.is_some();
                let key = |record: &Record| (record.happened_at, record.id);
                if about_it && latest.is_none_or(|latest| key(latest) < key(record)) {
                    latest = Some(record);
                }
            }
            content.title = latest.and_then(|record| record.defines.clone());
        }
    }

    /// An admin withdraws some activities by `DELETE`.
    pub(super) async fn withdraw_some(&mut self, random: &mut Random) {
        for _ in 0..4 {
            let target = random.pick(&self.facts.records).clone();
            if target.voids.is_some() || target.defines.is_some() || self.facts.is_voided(&target) {
                continue;
            }
            let path = format!("/v1/activities/{}?reason=wrong", target.id);
            self.admin.delete(&path).await.expect_one_of(&[200, 204]);
            // The voiding statement is the server's own; this is how a client learns of it.
            let path = format!("/xapi/statements?limit=1&verb={}", encode_segment(VOIDED));
            let newest = self.content.get(&path).await.expect(200).json()["statements"][0].clone();
            assert_eq!(newest["object"]["id"], json!(target.id), "{newest}");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let at = chrono::DateTime::parse_from_rfc3339(&text(&newest["timestamp"])).expect("a timestamp");
            let mut record = self.voiding_statement(random, target.id, 0);
            record.id = text(&newest["id"]).parse().expect("a UUID");
            record.door = Door::Admin;
            record.happened_at = at.timestamp_micros();
            record.actor = Actor::Account {
                home_page: text(&newest["actor"]["account"]["homePage"]),
                name: text(&newest["actor"]["account"]["name"]),
            };
            self.facts.records.push(record);
        }
    }
}

fn random_score(random: &mut Random) -> Score {
    // Often exactly a pass mark, where a careless comparison of floating-point numbers goes wrong.
    match random.below(6) {
        0 | 1 => Score::Scaled(*random.pick(&[5_000, 5_700, 8_000, 5_699, 10_000, 0])),
        2 => Score::Scaled(random.between(-100, 10_000)),
        3 => Score::Raw { raw: random.between(0, 120), min: None, max: None },
        4 => {
            let (min, max) = *random.pick(&[(0, 30), (0, 100), (10, 17), (0, 10)]);
            Score::Raw { raw: random.between(min, max), min: Some(min), max: Some(max) }
        }
        _ => Score::Raw { raw: random.between(0, 50), min: None, max: Some(50) },
    }
}

fn random_certificate(random: &mut Random, now: Micros) -> (String, Option<Micros>) {
    ("Licence".to_owned(), random.maybe(60, |random| now + random.between(-300, 400) * DAY))
}
