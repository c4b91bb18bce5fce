//! Two replicas on one PostgreSQL, of which one is killed over and over: every run is sent, at its moment, and twice only
//! where the killing came between sending and noting.

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

use super::calendar::plans;
use super::year::{ada, plan_it};
use crate::support::outbox::{deliveries, quick};
use crate::support::random::Random;
use crate::support::server::{START, run};
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, TestServer};

/// Long enough that a replica that lives keeps it, however busy the machine.
const LEASE: Duration = Duration::from_secs(2);
/// How far the clock is moved at once.
const JUMP_DAYS: i64 = 10;

/// A replica whose messages tell which life of it sent them.
struct Replica {
    store: Store,
    sender: JoinHandle<()>,
    life: usize,
    url: String,
}

impl Replica {
    async fn start(server: &TestServer, url: String, life: usize) -> Self {
        let settings = DatabaseSettings { connections: 6, ..DatabaseSettings::new(server.database().url()) };
        let store = Store::open(&settings, server.clock.clone(), VerbTable::standard()).await;
        let store = store.expect("the database opens");
        let sender = Self::begin(&store, &url, life);
        Self { store, sender, life, url }
    }

    fn begin(store: &Store, url: &str, life: usize) -> JoinHandle<()> {
        let settings = SmtpSettings {
            url: SecretString::from(url.to_owned()),
            timeout: Duration::from_secs(20),
            certificate: None,
        };
        let from = format!("life-{life}@example.org");
        let mailer = Mailer::smtp(&settings, &from).expect("the settings are good");
        let options = SenderOptions { lease: LEASE, ..quick() };
        let sender = Sender::new(store.clone(), mailer, options);
        tokio::spawn(sender.run(std::future::pending()))
    }

    /// Ends it wherever it is, and gives the messages that were not noted then: `delivery.place`.
    async fn kill(&mut self, database: &Database) -> BTreeSet<String> {
        self.sender.abort();
        let _ = (&mut self.sender).await; // an error says that it was ended
        unnoted(database).await
    }

    fn live_again(&mut self, life: usize) {
        self.life = life;
        self.sender = Self::begin(&self.store, &self.url, life);
    }
}

async fn unnoted(database: &Database) -> BTreeSet<String> {
    let mut connection = sqlx::PgConnection::connect(&database.url()).await.expect("it answers");
    let rows: Vec<(Uuid, i16)> = sqlx::query_as(
        "SELECT d.id, r.place FROM deliveries d JOIN delivery_recipients r ON r.org = d.org AND r.delivery = d.key \
         WHERE r.status = 0",
    )
    .fetch_all(&mut connection)
    .await
    .expect("rows");
    rows.into_iter().map(|(id, place)| format!("{id}.{place}")).collect()
}

/// Waits until so many runs have ended.
async fn ended(database: &Database, count: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let ended = database.query_number("SELECT count(*) FROM deliveries WHERE status <> 0").await;
        if ended >= count as i64 {
            return;
        }
        assert!(Instant::now() < until, "{ended} runs have ended, not {count}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

async fn a_year(server: &TestServer) {
    let ada = ada(server).await;
    let database = server.database();
    let start = START.to_datetime();
    let end = start + chrono::Duration::days(365);
    let mut created = Vec::new();
    for plan in plans() {
        let (report, _) = plan_it(&ada, &plan).await;
        created.push((plan, report));
    }
    let due_by = |moment: DateTime<Utc>| -> usize {
        let runs = created
            .iter()
            .map(|(plan, _)| plan.moments(start, moment + chrono::Duration::microseconds(1)).len());
        runs.sum()
    };

    let mails = SmtpServer::start().await;
    let steady = Replica::start(server, mails.url(), 0).await;
    let mut mortal = Replica::start(server, mails.url(), 1).await;
    // What was not noted when a life ended, by life.
    let mut killed: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let mut random = Random::new(5);
    let (mut now, mut jumps) = (start, 0);
    while now < end {
        now = end.min(now + chrono::Duration::days(JUMP_DAYS));
        server.clock.set(Timestamp::from(now));
        jumps += 1;
        if jumps % 3 != 0 {
            // In the midst of it, somewhere.
            tokio::time::sleep(Duration::from_micros(random.between(1_000, 120_000) as u64)).await;
            let (life, left) = (mortal.life, mortal.kill(database).await);
            killed.insert(life, left);
            tokio::time::sleep(Duration::from_millis(random.between(0, 50) as u64)).await;
            mortal.live_again(life + 1);
        }
        ended(database, due_by(now)).await;
    }
    steady.sender.abort();
    mortal.sender.abort();

    // Each at its moment, none twice, none missing.
    let mut messages = BTreeSet::new();
    for (plan, report) in &created {
        let listed: Vec<Value> = deliveries(&ada, report).await;
        let runs: Vec<String> =
            listed.iter().map(|one| one["run_at"].as_str().expect("a moment").to_owned()).collect();
        let moments = plan.moments(start, end).into_iter();
        let moments: Vec<String> = moments.map(|moment| Timestamp::from(moment).to_string()).collect();
        assert_eq!(runs, moments, "{}", plan.name());
        for one in &listed {
            assert_eq!(one["status"], "sent", "{one}");
            messages.insert(format!("{}.0", one["id"].as_str().expect("an id")));
        }
    }

    let mut sent: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for message in mails.received() {
        let id = message.header("Message-ID");
        let id = id.trim_matches(['<', '>']).split('@').next().expect("an id").to_owned();
        let life = message.from.trim_start_matches("life-").split('@').next().expect("a life");
        sent.entry(id).or_default().push(life.parse().expect("a number"));
    }
    assert_eq!(sent.keys().cloned().collect::<BTreeSet<_>>(), messages);
    let mut doubles = 0;
    for (message, lives) in &sent {
        let (_, before) = lives.split_last().expect("it was sent");
        doubles += before.len();
        for life in before {
            let left = killed.get(life);
            assert!(
                left.is_some_and(|left| left.contains(message)),
                "{message} was sent by the lives {lives:?}, of which {life} did not end between sending and noting"
            );
        }
    }
    assert!(killed.len() >= 20, "{} lives", killed.len());
    let by_mortal = sent.values().flatten().filter(|life| **life > 0).count();
    assert!(by_mortal > 50, "only {by_mortal} messages came from the replica that was killed");
    assert!(doubles <= killed.len() * 32, "{doubles} doubles of {} lives", killed.len());
}

#[test]
fn a_replica_that_is_killed_over_and_over_is_not_missed() {
    run(Database::postgres(), a_year);
}
