//! Two replicas with one PostgreSQL database, one of which is killed again and again. Every run is sent for
//! its time, and a message arrives twice only if the replica was killed between sending and saving.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rollbook::base::clock::Timestamp;
use rollbook::log::VerbTable;
use rollbook::reports::mailer::{Mailer, SmtpSettings};
use rollbook::reports::sender::{Sender, SenderOptions};
use rollbook::store::{DatabaseSettings, Store};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::Connection as _;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::calendar::all_plans;
use super::year::{create_ada, create_schedule};
use crate::support::outbox::{deliveries, quick};
use crate::support::random::Random;
use crate::support::server::{START, run};
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, TestServer};

/// Long enough for a running replica to extend it on a busy machine.
const LEASE: Duration = Duration::from_secs(2);
/// The step by which the clock moves.
const JUMP_DAYS: i64 = 10;

/// A replica. The sender address of its messages contains its generation, which counts the restarts.
struct Replica {
    store: Store,
    sender: JoinHandle<()>,
    generation: usize,
    url: String,
}

impl Replica {
    async fn start(server: &TestServer, url: String, generation: usize) -> Self {
        let settings = DatabaseSettings { connections: 6, ..DatabaseSettings::new(server.database().url()) };
        let store = Store::open(&settings, server.clock.clone(), VerbTable::standard()).await;
        let store = store.expect("the database opens");
        let sender = Self::spawn_sender(&store, &url, generation);
        Self { store, sender, generation, url }
    }

    fn spawn_sender(store: &Store, url: &str, generation: usize) -> JoinHandle<()> {
        let settings = SmtpSettings {
            url: SecretString::from(url.to_owned()),
            timeout: Duration::from_secs(20),
            certificate: None,
        };
        let from = format!("generation-{generation}@example.org");
        let mailer = Mailer::smtp(&settings, &from).expect("valid settings");
        let options = SenderOptions { lease: LEASE, ..quick() };
        let sender = Sender::new(store.clone(), mailer, options);
        tokio::spawn(sender.run(std::future::pending()))
    }

    /// Stops the sender at any point and returns the messages that are not saved as sent, as
    /// `delivery.place`.
    async fn kill(&mut self, database: &Database) -> BTreeSet<String> {
        self.sender.abort();
        let _ = (&mut self.sender).await; // returns an error because the task was cancelled
        unsaved_messages(database).await
    }

    fn restart(&mut self, generation: usize) {
        self.generation = generation;
        self.sender = Self::spawn_sender(&self.store, &self.url, generation);
    }
}

async fn unsaved_messages(database: &Database) -> BTreeSet<String> {
    let mut connection = sqlx::PgConnection::connect(&database.url()).await.expect("the database answers");
    let rows: Vec<(Uuid, i16)> = sqlx::query_as(
        "SELECT d.id, r.place FROM deliveries d JOIN delivery_recipients r ON r.org = d.org AND r.delivery = d.key \
         WHERE r.status = 0",
    )
    .fetch_all(&mut connection)
    .await
    .expect("rows");
    rows.into_iter().map(|(id, place)| format!("{id}.{place}")).collect()
}

/// Waits until `count` runs have ended.
async fn wait_for_ended_runs(database: &Database, count: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let wait_for_ended_runs =
            database.query_number("SELECT count(*) FROM deliveries WHERE status <> 0").await;
        if wait_for_ended_runs >= count as i64 {
            return;
        }
        assert!(Instant::now() < until, "{wait_for_ended_runs} runs have ended, not {count}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

async fn check_year(server: &TestServer) {
    let ada = create_ada(server).await;
    let database = server.database();
    let start = START.to_datetime();
    let end = start + chrono::Duration::days(365);
    let mut created = Vec::new();
    for plan in all_plans() {
        let (report, _) = create_schedule(&ada, &plan).await;
        created.push((plan, report));
    }
    let due_by = |moment: DateTime<Utc>| -> usize {
        let runs = created
            .iter()
            .map(|(plan, _)| plan.run_times(start, moment + chrono::Duration::microseconds(1)).len());
        runs.sum()
    };

    let mails = SmtpServer::start().await;
    let stable = Replica::start(server, mails.url(), 0).await;
    let mut unstable = Replica::start(server, mails.url(), 1).await;
    // The unsaved messages at the end of each generation.
    let mut killed: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let mut random = Random::new(5);
    let (mut now, mut jumps) = (start, 0);
    while now < end {
        now = end.min(now + chrono::Duration::days(JUMP_DAYS));
        server.clock.set(Timestamp::from(now));
        jumps += 1;
        if jumps % 3 != 0 {
            // Kill the replica at a random point.
            tokio::time::sleep(Duration::from_micros(random.between(1_000, 120_000) as u64)).await;
            let (generation, left) = (unstable.generation, unstable.kill(database).await);
            killed.insert(generation, left);
            tokio::time::sleep(Duration::from_millis(random.between(0, 50) as u64)).await;
            unstable.restart(generation + 1);
        }
        wait_for_ended_runs(database, due_by(now)).await;
    }
    stable.sender.abort();
    unstable.sender.abort();

    // Every run has its time, without missing or repeated runs.
    let mut messages = BTreeSet::new();
    for (plan, report) in &created {
        let listed: Vec<Value> = deliveries(&ada, report).await;
        let runs: Vec<String> =
            listed.iter().map(|one| one["run_at"].as_str().expect("a time").to_owned()).collect();
        let expected = plan.run_times(start, end).into_iter();
        let expected: Vec<String> = expected.map(|moment| Timestamp::from(moment).to_string()).collect();
        assert_eq!(runs, expected, "{}", plan.name());
        for one in &listed {
            assert_eq!(one["status"], "sent", "{one}");
            messages.insert(format!("{}.0", one["id"].as_str().expect("an id")));
        }
    }

    let mut sent: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for message in mails.received() {
        let id = message.header("Message-ID");
        let id = id.trim_matches(['<', '>']).split('@').next().expect("an id").to_owned();
        let generation =
            message.from.trim_start_matches("generation-").split('@').next().expect("a generation");
        sent.entry(id).or_default().push(generation.parse().expect("a number"));
    }
    assert_eq!(sent.keys().cloned().collect::<BTreeSet<_>>(), messages);
    let mut doubles = 0;
    for (message, generations) in &sent {
        let (_, before) = generations.split_last().expect("a sender");
        doubles += before.len();
        for generation in before {
            let left = killed.get(generation);
            assert!(
                left.is_some_and(|left| left.contains(message)),
                "{message} was sent by the generations {generations:?}, but generation {generation} did not end between sending and saving"
            );
        }
    }
    assert!(killed.len() >= 20, "{} generations", killed.len());
    let from_unstable = sent.values().flatten().filter(|generation| **generation > 0).count();
    assert!(from_unstable > 50, "only {from_unstable} messages came from the killed replica");
    assert!(doubles <= killed.len() * 32, "{doubles} repeated messages of {} generations", killed.len());
}

#[test]
fn runs_survive_a_replica_that_is_killed_repeatedly() {
    run(Database::postgres(), check_year);
}
