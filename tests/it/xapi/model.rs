//! The statements against a naive model: random statements of every shape, random questions (xAPI 1.0.3,
//! Communication 2.1.3).
//!
//! [`world`] holds the facts as plain JSON and answers with loops; [`question`] makes up questions. Each answer is
//! compared page after page, while the statements come in: what refers to a statement, and what voids it, comes
//! before it as often as after it. Two organisations with the same ids, people and things live in one database,
//! so that whatever leaks from one shows in the other.
//!
//! It is the same on every run. `ROLLBOOK_TEST_SEED=7` asks of another world, `ROLLBOOK_TEST_CASES=5000` asks
//! more. A failure names its seed and shows the smallest question that still goes wrong.

mod question;
mod world;

use std::collections::BTreeSet;

use chrono::DateTime;
use reqwest::Method;
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::OrgId;
use serde_json::{Value, json};
use uuid::Uuid;

use self::question::{Question, Who};
use self::world::{Kept, World, statement};
use crate::support::http::{Answer, Caller};
use crate::support::random::Random;
use crate::support::{TestServer, apply, both_databases};

const PATH: &str = "/xapi/statements";
/// The worlds of a usual run, and how many questions each is asked.
const SEEDS: &[u64] = &[1, 2];
const CASES: usize = 120;
/// Statements of an organisation, which come in so many stages.
const STATEMENTS: usize = 120;
const STAGES: usize = 3;
/// Small pages of a long list say nothing new after some dozens.
const PAGES: usize = 30;

#[apply(both_databases)]
async fn the_statements_are_what_a_naive_reading_gives(server: &TestServer) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let cases = number("ROLLBOOK_TEST_CASES").map_or(CASES, |cases| cases as usize);
    let seeds = number("ROLLBOOK_TEST_SEED").map_or(SEEDS.to_vec(), |seed| vec![seed]);
    for seed in seeds {
        one_world(server, seed, cases).await;
    }
}

/// Two organisations, asked at every stage.
async fn one_world(server: &TestServer, seed: u64, cases: usize) {
    let mut random = Random::new(seed);
    let ids: Vec<Uuid> = (0..STATEMENTS).map(|_| random.uuid()).collect();
    let mut tenants = Vec::new();
    for name in ["first", "second"] {
        tenants.push(Tenant::found(server, &format!("{name}-{seed}"), &ids, &mut random).await);
    }
    let mut with_answers = 0;
    let mut different = BTreeSet::new();
    for stage in 1..=STAGES {
        for tenant in &mut tenants {
            tenant.hear(server, &mut random).await;
            if stage == STAGES {
                // What is found must not depend on how it came to be written.
                let org = OrgId::new(tenant.name.as_str()).expect("an id");
                server.store.rebuild(&org).await.expect("a replay");
            }
        }
        for case in 0..cases.div_ceil(STAGES) {
            let tenant = &tenants[random.below(tenants.len())];
            let question = Question::random(&mut random, &tenant.world);
            let expected = tenant.world.answer(&question);
            with_answers += usize::from(!expected.is_empty());
            different.insert(expected.iter().map(|kept| kept.id).collect::<Vec<_>>());
            if let Err(difference) = tenant.asked(&question).await {
                let (question, difference) = tenant.smallest(question, difference).await;
                panic!(
                    "seed {seed}, stage {stage}, question {case} of {}:\n{}\nas {:?}\n{difference}\n\
                     Again: ROLLBOOK_TEST_SEED={seed} ROLLBOOK_TEST_CASES={cases}",
                    tenant.name,
                    question.path(),
                    question.who,
                );
            }
        }
        for tenant in &tenants {
            tenant.singles(&mut random).await;
        }
    }
    // Questions that nothing answers prove little, and so do those that are all answered alike.
    assert!(with_answers * 3 > cases, "seed {seed}: only {with_answers} of {cases} answers have statements");
    assert!(different.len() * 4 > cases, "seed {seed}: only {} answers of {cases} differ", different.len());
}

/// An organisation: what it was told, and those who tell and ask.
struct Tenant {
    name: String,
    admin: Caller,
    senders: Vec<Caller>,
    world: World,
    /// What is still to be told.
    untold: Vec<(Uuid, Value)>,
}

impl Tenant {
    async fn found(server: &TestServer, name: &str, ids: &[Uuid], random: &mut Random) -> Self {
        let admin = server.person_of(name, json!({"sub": "root", "role": "admin"}));
        let mut senders = Vec::new();
        let mut authorities = Vec::new();
        for _ in 0..3 {
            let sender =
                server.credential(name, &["statements/write", "statements/read/mine", "define"]).await;
            // Who vouches for what it sends is told by a first statement, which is one more to find.
            let sent = json!({"actor": {"mbox": "mailto:first@example.org"}, "verb": {"id": "https://example.org/first"},
                "object": {"id": "https://example.org/first"}});
            let id = sender.post(PATH, &sent).await.expect(200).json()[0].as_str().expect("an id").to_owned();
            let kept = sender.get(&format!("{PATH}?statementId={id}")).await.expect(200).json();
            senders.push(sender);
            authorities.push((id, sent, kept["authority"].clone()));
        }
        let mut world = World::default();
        for (sender, (id, sent, authority)) in authorities.into_iter().enumerate() {
            world.kept.push(Kept { id: id.parse().expect("a UUID"), sent, sender, stored: 0 });
            world.authorities.push(authority);
        }
        // A third of the ids is the other organisation's alone.
        let mut untold = Vec::new();
        for id in ids {
            if random.percent(67) {
                untold.push((*id, statement(random, ids)));
            }
        }
        Self { name: name.to_owned(), admin, senders, world, untold }
    }

    /// Takes in a part of what is to be told, in requests of one or several.
    async fn hear(&mut self, server: &TestServer, random: &mut Random) {
        let mut left = (STATEMENTS / STAGES).min(self.untold.len());
        while left > 0 {
            let step = [0, 0, 1, 7, 1_500][random.below(5)];
            server.clock.set(Timestamp::from_micros(server.clock.now().micros() + step * 1_000));
            let size = (1 + random.below(6)).min(left);
            left -= size;
            let mut batch = Vec::new();
            for _ in 0..size {
                let (id, mut sent) = self.untold.swap_remove(random.below(self.untold.len()));
                sent["id"] = json!(id);
                batch.push((id, sent));
            }
            let sender = random.below(self.senders.len());
            let put = size == 1 && random.percent(40);
            let (method, path) = match put {
                true => (Method::PUT, format!("{PATH}?statementId={}", batch[0].0)),
                false => (Method::POST, PATH.to_owned()),
            };
            let body = match &batch[..] {
                [(_, one)] => one.clone(),
                several => several.iter().map(|(_, one)| one.clone()).collect(),
            };
            send(&self.senders[sender], method, &path, body.to_string()).await.expect(if put {
                204
            } else {
                200
            });
            let kept = |(id, sent): (Uuid, Value)| Kept { id, sent, sender, stored: 0 };
            self.world.kept.extend(batch.into_iter().map(kept));
        }
        self.read_times().await;
    }

    /// When each was stored is the server's to say; but it never falls, and voided ones have a time as well.
    async fn read_times(&mut self) {
        let page = self.admin.get(&format!("{PATH}?limit=0")).await.expect(200).json();
        let mut told = page["statements"].as_array().cloned().unwrap_or_default();
        for kept in self.world.kept.iter().filter(|kept| self.world.is_voided(kept)) {
            told.push(
                self.admin.get(&format!("{PATH}?voidedStatementId={}", kept.id)).await.expect(200).json(),
            );
        }
        let mut before = 0;
        for kept in &mut self.world.kept {
            let id = kept.id.to_string();
            let told = told
                .iter()
                .find(|one| one["id"] == id.as_str())
                .unwrap_or_else(|| panic!("{id} is not there"));
            let stored =
                DateTime::parse_from_rfc3339(told["stored"].as_str().expect("a moment")).expect("a moment");
            kept.stored = stored.timestamp_millis();
            assert!(kept.stored >= before, "{id}: stored before what was recorded before it");
            before = kept.stored;
        }
    }

    /// Puts a question, page after page.
    async fn asked(&self, question: &Question) -> Result<(), String> {
        let caller = match question.who {
            Who::Everything => &self.admin,
            Who::Own(sender) => &self.senders[sender],
        };
        let expected: Vec<String> =
            self.world.answer(question).iter().map(|kept| kept.id.to_string()).collect();
        let mut found: Vec<String> = Vec::new();
        let mut next = question.path();
        for _ in 0..PAGES {
            if next.is_empty() {
                break;
            }
            let answer = send(caller, Method::GET, &next, String::new()).await;
            if answer.status != 200 {
                return Err(format!("{next}: {} {}", answer.status, answer.text()));
            }
            let page = answer.json();
            let statements = page["statements"].as_array().ok_or("no statements")?;
            for one in statements {
                shape(question.format, one)?;
            }
            found.extend(statements.iter().map(|one| one["id"].as_str().unwrap_or_default().to_lowercase()));
            next = page["more"].as_str().ok_or("no `more`")?.to_owned();
            let full = question.limit.filter(|limit| *limit > 0);
            if !next.is_empty() && full.is_some_and(|limit| statements.len() != limit) {
                return Err(format!("a page of {} has a page after it", statements.len()));
            }
            if !next.is_empty() && (statements.is_empty() || !next.starts_with("/xapi/statements?")) {
                return Err(format!("after {} statements, `more` is {next}", statements.len()));
            }
            if found.len() >= expected.len() && !next.is_empty() {
                return Err(format!(
                    "after {} of {} statements there is more: {next}",
                    found.len(),
                    expected.len()
                ));
            }
        }
        let expected = if next.is_empty() { &expected[..] } else { &expected[..found.len()] };
        if found == expected {
            return Ok(());
        }
        Err(self.difference(&found, expected))
    }

    fn difference(&self, found: &[String], expected: &[String]) -> String {
        let told =
            |id: &String| format!("{id} {}", self.world.find(id).map_or(&Value::Null, |kept| &kept.sent));
        let not_in = |these: &[String], those: &[String]| {
            these.iter().filter(|id| !those.contains(id)).map(told).collect::<Vec<_>>().join("\n  ")
        };
        format!(
            "{} were found, {} expected\nmissing:\n  {}\ntoo many:\n  {}\nfound {found:?}\nexpected {expected:?}",
            found.len(),
            expected.len(),
            not_in(expected, found),
            not_in(found, expected)
        )
    }

    async fn smallest(&self, mut question: Question, mut difference: String) -> (Question, String) {
        'again: loop {
            for simpler in question.simpler() {
                if let Err(still) = self.asked(&simpler).await {
                    (question, difference) = (simpler, still);
                    continue 'again;
                }
            }
            return (question, difference);
        }
    }

    /// Statements by their ids: as voided or not, and not at all by who didn't send it.
    async fn singles(&self, random: &mut Random) {
        let voided: Vec<&Kept> = self.world.kept.iter().filter(|kept| self.world.is_voided(kept)).collect();
        let others = (0..10).map(|_| random.pick(&self.world.kept));
        for kept in others.chain(voided.into_iter().take(10)) {
            let voided = self.world.is_voided(kept);
            let callers = [
                (Who::Everything, &self.admin),
                (Who::Own(0), &self.senders[0]),
                (Who::Own(1), &self.senders[1]),
            ];
            for (who, caller) in callers {
                for (name, is) in [("statementId", !voided), ("voidedStatementId", voided)] {
                    let there = is && self.world.is_seen(kept, who);
                    caller.get(&format!("{PATH}?{name}={}", kept.id)).await.expect(if there {
                        200
                    } else {
                        404
                    });
                }
            }
        }
    }
}

/// What a page's statements look like in the format that was asked for.
fn shape(format: Option<&str>, statement: &Value) -> Result<(), String> {
    let wrong = match format {
        Some("ids") => {
            statement["actor"].get("name").is_some()
                || statement["verb"].get("display").is_some()
                || statement["object"].get("definition").is_some()
        }
        Some("canonical") => {
            let name = &statement["object"]["definition"]["name"];
            name.as_object().is_some_and(|map| map.len() != 1)
        }
        _ => statement.get("authority").is_none(),
    };
    if wrong { Err(format!("not the format {format:?}: {statement}")) } else { Ok(()) }
}

async fn send(caller: &Caller, method: Method, path: &str, body: String) -> Answer {
    let headers = [("content-type", "application/json"), ("x-experience-api-version", "2.0.0")];
    caller.send(method, path, &headers, body.into_bytes()).await
}
