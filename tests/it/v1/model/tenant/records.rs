//! Random records: by every endpoint, out of order, repeated, voided.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{STRANGERS, Tenant, random_title, stranger_address};
use crate::support::TestServer;
use crate::support::http::encode_segment;
use crate::support::random::Random;
use crate::v1::model::derivation::{ACTIONS, OTHER_VERBS, VOIDED};
use crate::v1::model::question::DAY;
use crate::v1::model::world::{Actor, Below, Content, Endpoint, Micros, Record, Score, sha1_of_mailbox};
use crate::v1::model::{DEVICES, SOURCES};

impl Tenant {
    pub(super) async fn add_records(&mut self, server: &TestServer, random: &mut Random, count: usize) {
        let now = server.clock.now().micros();
        let end = self.facts.records.len() + count;
        while self.facts.records.len() < end {
            let endpoint = *random.pick(&[
                Endpoint::Statement,
                Endpoint::Statement,
                Endpoint::Integration,
                Endpoint::Admin,
            ]);
            let size = *random.pick(&[1, 1, 5, 30]);
            let mut batch: Vec<Record> = Vec::new();
            for _ in 0..size {
                let record = self.random_record(random, endpoint, now);
                if endpoint == Endpoint::Statement && random.percent(6) && record.defines.is_none() {
                    // The voiding arrives before the record.
                    batch.push(self.voiding_statement(random, record.id, now));
                }
                batch.push(record);
            }
            if endpoint == Endpoint::Statement && random.percent(30) && !self.facts.records.is_empty() {
                let target = random.pick(&self.facts.records).clone();
                if target.voids.is_none() && target.defines.is_none() && !self.facts.is_voided(&target) {
                    batch.push(self.voiding_statement(random, target.id, now));
                }
            }
            self.send(endpoint, &batch).await;
            for mut record in batch {
                if record.defines.is_some() && record.happened_at > now {
                    record.stored = Some(self.read_stored(record.id).await);
                }
                self.store_record(record);
            }
            if random.percent(15) {
                self.repeat_record(random).await;
            }
        }
        self.compare_catalogue().await;
    }

    /// Adds records with the actions `answered`, `submitted` and `graded`.
    pub async fn add_answers_and_attempts(&mut self, server: &TestServer, random: &mut Random, count: usize) {
        let now = server.clock.now().micros();
        for endpoint in [Endpoint::Statement, Endpoint::Integration] {
            let mut batch = Vec::new();
            for _ in 0..count / 2 {
                let name = *random.pick(&["answered", "submitted", "submitted", "graded"]);
                let (_, verbs) =
                    ACTIONS.iter().find(|(action, _)| *action == name).expect("the table has this action");
                let mut record = self.random_record(random, endpoint, now);
                record.verb =
                    if endpoint == Endpoint::Statement { *random.pick(verbs) } else { verbs[0] }.to_owned();
                record.content = record.content.or_else(|| Some(self.random_object(random, endpoint)));
                record.defines = None;
                batch.push(record);
            }
            self.send(endpoint, &batch).await;
            batch.into_iter().for_each(|record| self.store_record(record));
        }
    }

    /// When the server stored a statement.
    async fn read_stored(&self, id: Uuid) -> Micros {
        let path = format!("/xapi/statements?statementId={id}");
        let statement = self.xapi_credential.get(&path).await.expect(200).json();
        let stored = statement["stored"].as_str().expect("a time");
        chrono::DateTime::parse_from_rfc3339(stored).expect("a time").timestamp_micros()
    }

    pub(super) fn random_record(&mut self, random: &mut Random, endpoint: Endpoint, now: Micros) -> Record {
        let (action, verbs) = *random.pick(ACTIONS);
        let (action, verbs) = match random.below(10) {
            0..=2 => {
                *ACTIONS.iter().find(|(action, _)| *action == "completed").expect("the table has this action")
            }
            3 => {
                *ACTIONS.iter().find(|(action, _)| *action == "logged_in").expect("the table has this action")
            }
            _ => (action, verbs),
        };
        let verb = match endpoint {
            _ if random.percent(5) => *random.pick(OTHER_VERBS),
            Endpoint::Statement => *random.pick(verbs),
            // The short form contains the action, and the server records the first verb of the action.
            _ => verbs[0],
        };
        let session = ["logged_in", "logged_out", "visited"].contains(&action);
        let content = if session && !OTHER_VERBS.contains(&verb) {
            None
        } else {
            Some(self.random_object(random, endpoint))
        };
        let elsewhere = content.as_ref().is_some_and(|iri| iri.starts_with("https://elsewhere.example"));
        let farthest = if random.percent(40) { 20 } else { 800 };
        Record {
            id: self.random_id(random),
            endpoint,
            actor: self.random_actor(random),
            verb: verb.to_owned(),
            // Half hours of a few days, so that many records have the same time. Some are in the future.
            // Only a statement may be more than a day in the future.
            happened_at: (now / DAY
                - random.between(if endpoint == Endpoint::Statement { -10 } else { 0 }, farthest))
                * DAY
                + random.between(0, 30) * 3_600_000_000 / 2,
            stored: None,
            defines: random.maybe(50, random_title).filter(|_| elsewhere && endpoint == Endpoint::Statement),
            below: random
                .maybe(25, |random| {
                    *random.pick(&[Below::Question, Below::QuestionInGrouping, Below::Attempt])
                })
                .filter(|_| endpoint == Endpoint::Statement && content.is_some()),
            content,
            score: random.maybe(40, random_score),
            success: random.maybe(25, |random| random.percent(60)),
            completion: random.maybe(25, |random| random.percent(70)),
            seconds: random.maybe(30, |random| random.between(0, 200_000)),
            // Few registrations and sessions, so that records share them.
            registration: random.maybe(50, |random| Uuid::from_u128(random.below(3) as u128 + 1)),
            session: random
                .maybe(40, |random| format!("session {}", random.below(2)))
                .filter(|_| endpoint == Endpoint::Statement),
            expired_at: random
                .maybe(8, |random| now + random.between(-400, 400) * DAY)
                .filter(|_| endpoint != Endpoint::Statement),
            certificate: random
                .maybe(10, |random| random_certificate(random, now))
                .filter(|_| endpoint != Endpoint::Statement),
            device_type: random
                .maybe(30, |random| (*random.pick(DEVICES)).to_owned())
                .filter(|_| endpoint != Endpoint::Statement),
            source: random
                .maybe(20, |random| (*random.pick(SOURCES)).to_owned())
                .filter(|_| endpoint != Endpoint::Statement),
            voids: None,
        }
    }

    pub(super) fn random_id(&mut self, random: &mut Random) -> Uuid {
        if random.percent(20)
            && let Some(id) = self.shared_ids.pop()
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

    pub(super) fn random_object(&self, random: &mut Random, endpoint: Endpoint) -> String {
        if endpoint == Endpoint::Statement && random.percent(25) {
            return format!("https://elsewhere.example/course/{}", random.below(4));
        }
        let registered: Vec<&Content> =
            self.facts.contents.iter().filter(|content| content.registered).collect();
        random.pick(&registered).iri.clone()
    }

    pub(super) fn voiding_statement(&self, random: &mut Random, target: Uuid, now: Micros) -> Record {
        Record {
            id: random.uuid(),
            endpoint: Endpoint::Statement,
            actor: self.random_actor(random),
            verb: VOIDED.to_owned(),
            happened_at: now - random.between(0, 30) * DAY,
            stored: None,
            content: None,
            below: None,
            defines: None,
            score: None,
            success: None,
            completion: None,
            seconds: None,
            registration: None,
            session: None,
            expired_at: None,
            certificate: None,
            device_type: None,
            source: None,
            voids: Some(target),
        }
    }

    pub(super) async fn send(&self, endpoint: Endpoint, batch: &[Record]) {
        let ids: Vec<Value> = batch.iter().map(|record| json!(record.id)).collect();
        if endpoint == Endpoint::Statement {
            let statements: Vec<Value> = batch.iter().map(|record| self.statement(record)).collect();
            let answer = self.xapi_credential.post("/xapi/statements", &statements).await.expect(200).json();
            assert_eq!(answer, json!(ids));
            return;
        }
        let caller = if endpoint == Endpoint::Admin { &self.admin } else { &self.integration };
        let is_stored = |record: &Record| self.facts.records.iter().any(|other| other.id == record.id);
        let status = if batch.iter().all(is_stored) { 200 } else { 201 };
        match batch {
            [record] => {
                let answer = caller.post("/v1/activities", &self.short_form(record)).await.expect(status);
                assert_eq!(answer.json()["id"], ids[0]);
            }
            _ => {
                let forms: Vec<Value> = batch.iter().map(|record| self.short_form(record)).collect();
                let answer = caller.post("/v1/activities/batch", &forms).await.expect(status);
                assert_eq!(answer.json(), json!({"ids": ids}));
            }
        }
    }

    /// Sends a stored record again, which changes nothing.
    pub(super) async fn repeat_record(&self, random: &mut Random) {
        let record = random.pick(&self.facts.records).clone();
        let known = record.content.as_deref().is_none_or(|iri| self.facts.content(iri).is_some());
        // The server creates the ids of marks, so that no client repeats them.
        if known && record.endpoint != Endpoint::Completion && !self.facts.is_voided(&record) {
            self.send(record.endpoint, &[record]).await;
        }
    }

    pub(super) fn store_record(&mut self, record: Record) {
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
            // The latest definition, ordered by time and then by id.
            let mut latest: Option<&Record> = None;
            for record in &self.facts.records {
                let about_it = record.content.as_ref() == Some(&content.iri) && record.defines.is_some();
                let key = |record: &Record| (record.named_at(), record.id);
                if about_it && latest.is_none_or(|latest| key(latest) < key(record)) {
                    latest = Some(record);
                }
            }
            content.title = latest.and_then(|record| record.defines.clone());
        }
    }

    /// Deletes activities as an admin.
    pub(super) async fn delete_activities(&mut self, random: &mut Random) {
        for _ in 0..4 {
            let target = random.pick(&self.facts.records).clone();
            if target.voids.is_some() || target.defines.is_some() || self.facts.is_voided(&target) {
                continue;
            }
            let path = format!("/v1/activities/{}?reason=wrong", target.id);
            self.admin.delete(&path).await.expect(204);
            // The server creates the voiding statement. The model reads it.
            let path = format!("/xapi/statements?limit=1&verb={}", encode_segment(VOIDED));
            let newest = self.xapi_credential.get(&path).await.expect(200).json()["statements"][0].clone();
            assert_eq!(newest["object"]["id"], json!(target.id), "{newest}");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let at = chrono::DateTime::parse_from_rfc3339(&text(&newest["timestamp"])).expect("a timestamp");
            let mut record = self.voiding_statement(random, target.id, 0);
            record.id = text(&newest["id"]).parse().expect("a UUID");
            record.endpoint = Endpoint::Admin;
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
    // Often exactly a pass mark, where an inexact comparison fails.
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
