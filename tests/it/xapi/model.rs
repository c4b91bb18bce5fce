//! Tests the statements against a naive model, with random statements and random queries (xAPI 1.0.3,
//! Communication 2.1.3).
//!
//! [`world`] contains the statements as plain JSON and finds matches with loops. [`query`] creates
//! random queries. The tests compare all pages while statements arrive: referring and voiding statements
//! arrive before or after their targets.
//!
//! Two organisations have the same ids, people and activities in one database, so that a leak between
//! organisations causes a difference.
//!
//! Every run uses the same seeds. `ROLLBOOK_TEST_SEED=7` selects another world, and
//! `ROLLBOOK_TEST_CASES=5000` sets the number of queries. A failure shows its seed and the smallest query
//! that still fails.

mod query;
mod world;

use std::collections::BTreeSet;

use chrono::DateTime;
use reqwest::Method;
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::OrgId;
use serde_json::{Value, json};
use uuid::Uuid;

use self::query::{Requester, StatementsQuery};
use self::world::{StoredStatement, World, random_statement};
use crate::support::http::{Answer, Caller};
use crate::support::random::Random;
use crate::support::records::STATEMENTS as PATH;
use crate::support::{TestServer, apply, both_databases};

/// The seeds of a usual run, and the number of queries for each.
const SEEDS: &[u64] = &[1, 2];
const CASES: usize = 120;
/// The number of statements of an organisation, and the number of stages in which they arrive.
const STATEMENTS: usize = 120;
const STAGES: usize = 3;
/// Very many small pages test nothing new.
const PAGES: usize = 30;

#[apply(both_databases)]
async fn statements_equal_the_naive_model(server: &TestServer) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let cases = number("ROLLBOOK_TEST_CASES").map_or(CASES, |cases| cases as usize);
    let seeds = number("ROLLBOOK_TEST_SEED").map_or(SEEDS.to_vec(), |seed| vec![seed]);
    for seed in seeds {
        check_world(server, seed, cases).await;
    }
}

/// Checks two organisations after each stage.
async fn check_world(server: &TestServer, seed: u64, cases: usize) {
    let mut random = Random::new(seed);
    let ids: Vec<Uuid> = (0..STATEMENTS).map(|_| random.uuid()).collect();
    let mut tenants = Vec::new();
    for name in ["first", "second"] {
        tenants.push(Tenant::create(server, &format!("{name}-{seed}"), &ids, &mut random).await);
    }
    let mut with_statements = 0;
    let mut distinct_answers = BTreeSet::new();
    for stage in 1..=STAGES {
        for tenant in &mut tenants {
            tenant.send_statements(server, &mut random).await;
            if stage == STAGES {
                // A rebuild must not change the answers.
                let org = OrgId::new(tenant.name.as_str()).expect("an id");
                server.store.rebuild(&org).await.expect("a replay");
            }
        }
        for case in 0..cases.div_ceil(STAGES) {
            let tenant = &tenants[random.below(tenants.len())];
            let query = StatementsQuery::random(&mut random, &tenant.world);
            let expected = tenant.world.find_statements(&query);
            with_statements += usize::from(!expected.is_empty());
            distinct_answers.insert(expected.iter().map(|statement| statement.id).collect::<Vec<_>>());
            if let Err(difference) = tenant.compare_pages(&query).await {
                let (query, difference) = tenant.minimise(query, difference).await;
                panic!(
                    "seed {seed}, stage {stage}, query {case} of {}:\n{}\nas {:?}\n{difference}\n\
                     Repeat with ROLLBOOK_TEST_SEED={seed} ROLLBOOK_TEST_CASES={cases}",
                    tenant.name,
                    query.path(),
                    query.requester,
                );
            }
        }
        for tenant in &tenants {
            tenant.compare_single_statements(&mut random).await;
        }
    }
    // Empty answers, and equal answers, test little.
    assert!(
        with_statements * 3 > cases,
        "seed {seed}: only {with_statements} of {cases} answers have statements"
    );
    assert!(
        distinct_answers.len() * 4 > cases,
        "seed {seed}: only {} answers of {cases} differ",
        distinct_answers.len()
    );
}

/// An organisation: its callers and its statements.
struct Tenant {
    name: String,
    admin: Caller,
    senders: Vec<Caller>,
    world: World,
    /// The statements that have not been sent yet.
    unsent: Vec<(Uuid, Value)>,
}

impl Tenant {
    async fn create(server: &TestServer, name: &str, ids: &[Uuid], random: &mut Random) -> Self {
        let admin = server.person_of(name, json!({"sub": "root", "role": "admin"}));
        let mut senders = Vec::new();
        let mut authorities = Vec::new();
        for _ in 0..3 {
            let sender =
                server.credential(name, &["statements/write", "statements/read/mine", "define"]).await;
            // A first statement shows the authority of the credential. It is part of the model.
            let sent = json!({"actor": {"mbox": "mailto:first@example.org"}, "verb": {"id": "https://example.org/first"},
                "object": {"id": "https://example.org/first"}});
            let id = sender.post(PATH, &sent).await.expect(200).json()[0].as_str().expect("an id").to_owned();
            let stored = sender.get(&format!("{PATH}?statementId={id}")).await.expect(200).json();
            senders.push(sender);
            authorities.push((id, sent, stored["authority"].clone()));
        }
        let mut world = World::default();
        for (sender, (id, sent, authority)) in authorities.into_iter().enumerate() {
            world.statements.push(StoredStatement {
                id: id.parse().expect("a UUID"),
                sent,
                sender,
                stored: 0,
            });
            world.authorities.push(authority);
        }
        // Each organisation has two thirds of the ids.
        let mut unsent = Vec::new();
        for id in ids {
            if random.percent(67) {
                unsent.push((*id, random_statement(random, ids)));
            }
        }
        Self { name: name.to_owned(), admin, senders, world, unsent }
    }

    /// Sends some of the statements, in requests of one or several.
    async fn send_statements(&mut self, server: &TestServer, random: &mut Random) {
        let mut left = (STATEMENTS / STAGES).min(self.unsent.len());
        while left > 0 {
            let step = [0, 0, 1, 7, 1_500][random.below(5)];
            server.clock.set(Timestamp::from_micros(server.clock.now().micros() + step * 1_000));
            let size = (1 + random.below(6)).min(left);
            left -= size;
            let mut batch = Vec::new();
            for _ in 0..size {
                let (id, mut sent) = self.unsent.swap_remove(random.below(self.unsent.len()));
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
            let stored = |(id, sent): (Uuid, Value)| StoredStatement { id, sent, sender, stored: 0 };
            self.world.statements.extend(batch.into_iter().map(stored));
        }
        self.read_times().await;
    }

    /// Reads the times of storing from the server, which must not decrease. Voided statements have a time
    /// too.
    async fn read_times(&mut self) {
        let page = self.admin.get(&format!("{PATH}?limit=0")).await.expect(200).json();
        let mut answers = page["statements"].as_array().cloned().unwrap_or_default();
        for statement in self.world.statements.iter().filter(|statement| self.world.is_voided(statement)) {
            answers.push(
                self.admin
                    .get(&format!("{PATH}?voidedStatementId={}", statement.id))
                    .await
                    .expect(200)
                    .json(),
            );
        }
        let mut before = 0;
        for statement in &mut self.world.statements {
            let id = statement.id.to_string();
            let answer = answers
                .iter()
                .find(|one| one["id"] == id.as_str())
                .unwrap_or_else(|| panic!("{id} is missing"));
            let stored =
                DateTime::parse_from_rfc3339(answer["stored"].as_str().expect("a time")).expect("a time");
            statement.stored = stored.timestamp_millis();
            assert!(statement.stored >= before, "{id}: the time of storing decreases");
            before = statement.stored;
        }
    }

    /// Compares the pages of one query.
    async fn compare_pages(&self, query: &StatementsQuery) -> Result<(), String> {
        let caller = match query.requester {
            Requester::Everything => &self.admin,
            Requester::Own(sender) => &self.senders[sender],
        };
        let expected: Vec<String> =
            self.world.find_statements(query).iter().map(|statement| statement.id.to_string()).collect();
        let mut found: Vec<String> = Vec::new();
        let mut next = query.path();
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
                check_format(query.format, one)?;
            }
            found.extend(statements.iter().map(|one| one["id"].as_str().unwrap_or_default().to_lowercase()));
            next = page["more"].as_str().ok_or("no `more`")?.to_owned();
            let full = query.limit.filter(|limit| *limit > 0);
            if !next.is_empty() && full.is_some_and(|limit| statements.len() != limit) {
                return Err(format!("a page of {} statements has a next page", statements.len()));
            }
            if !next.is_empty() && (statements.is_empty() || !next.starts_with("/xapi/statements?")) {
                return Err(format!("after {} statements, `more` is {next}", statements.len()));
            }
            if found.len() >= expected.len() && !next.is_empty() {
                return Err(format!(
                    "after {} of {} statements, a next page exists: {next}",
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
        let describe = |id: &String| {
            format!("{id} {}", self.world.find(id).map_or(&Value::Null, |statement| &statement.sent))
        };
        let missing_from = |these: &[String], those: &[String]| {
            these.iter().filter(|id| !those.contains(id)).map(describe).collect::<Vec<_>>().join("\n  ")
        };
        format!(
            "found {}, expected {}\nmissing:\n  {}\nunexpected:\n  {}\nfound {found:?}\nexpected {expected:?}",
            found.len(),
            expected.len(),
            missing_from(expected, found),
            missing_from(found, expected)
        )
    }

    async fn minimise(
        &self,
        mut query: StatementsQuery,
        mut difference: String,
    ) -> (StatementsQuery, String) {
        'again: loop {
            for simpler in query.simpler_queries() {
                if let Err(still) = self.compare_pages(&simpler).await {
                    (query, difference) = (simpler, still);
                    continue 'again;
                }
            }
            return (query, difference);
        }
    }

    /// Compares statements by id, as valid and as voided, for several callers.
    async fn compare_single_statements(&self, random: &mut Random) {
        let voided: Vec<&StoredStatement> =
            self.world.statements.iter().filter(|statement| self.world.is_voided(statement)).collect();
        let others = (0..10).map(|_| random.pick(&self.world.statements));
        for statement in others.chain(voided.into_iter().take(10)) {
            let voided = self.world.is_voided(statement);
            let callers = [
                (Requester::Everything, &self.admin),
                (Requester::Own(0), &self.senders[0]),
                (Requester::Own(1), &self.senders[1]),
            ];
            for (requester, caller) in callers {
                for (name, is) in [("statementId", !voided), ("voidedStatementId", voided)] {
                    let visible = is && self.world.is_readable(statement, requester);
                    caller.get(&format!("{PATH}?{name}={}", statement.id)).await.expect(if visible {
                        200
                    } else {
                        404
                    });
                }
            }
        }
    }
}

/// Checks that a statement has the requested format.
fn check_format(format: Option<&str>, statement: &Value) -> Result<(), String> {
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
    if wrong {
        Err(format!("the statement does not have the format {format:?}: {statement}"))
    } else {
        Ok(())
    }
}

async fn send(caller: &Caller, method: Method, path: &str, body: String) -> Answer {
    let headers = [("content-type", "application/json"), ("x-experience-api-version", "2.0.0")];
    caller.send(method, path, &headers, body.into_bytes()).await
}
