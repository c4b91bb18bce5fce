//! Loads a large data set into the database at the speed of its bulk loading.
//!
//! The directory, the catalogue and one record of everything that records name go through the API of a server whose
//! clock shows the begin of the two years. All other records are parsed and projected by Rollbook's own code and written straight
//! into its tables. `check` rebuilds a small load and compares the rows.
//!
//! ```text
//! cargo bench -- load sqlite:/data/bench.sqlite 10000000
//! cargo bench -- load postgres://user:secret@localhost/bench 10000000
//! ```

pub mod check;
mod postgres;
mod rows;
mod sqlite;

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use rollbook::base::{Clock, Timestamp};
use serde_json::{Value as Json, json};

use super::data::events::{Event, Events, What, Who};
use super::data::{self, CONTENTS, USERS};
use super::subject::Subject;
use postgres::PostgresTarget;
use rows::{Keys, LoadedRows};
use sqlite::SqliteTarget;

/// Records that are made and written together.
const CHUNK: u64 = 10_000;
/// Threads that make rows.
const WORKERS: u64 = 2;
/// Records that are voided after the load.
const VOIDED: usize = 200;

/// A value of a column.
pub enum Value {
    Null,
    Long(i64),
    Short(i16),
    Bool(bool),
    Real(f64),
    Text(String),
    Uuid(uuid::Uuid),
    Bytes(Vec<u8>),
}

/// A database that is loaded.
trait Target {
    /// The rows of a query as JSON arrays of `columns`. Everything after SELECT's columns is in `rest`.
    fn read(&mut self, columns: &str, rest: &str) -> Vec<Json>;

    fn execute(&mut self, text: &str);

    /// Removes the indexes of the tables that are loaded.
    fn begin(&mut self);

    fn write(&mut self, table: &str, columns: &[&str], rows: Vec<Vec<Value>>);

    /// Makes the indexes again.
    fn end(&mut self);
}

/// The tables that are loaded.
const TABLES: [&str; 3] = ["statements", "activities", "mentions"];

/// The first day of the present month, so that runs of one month have the same records.
pub fn end_of_data() -> Timestamp {
    let now = Clock::system().now().to_datetime();
    let text = format!("{}-01T00:00:00Z", now.format("%Y-%m"));
    rollbook::base::timestamp::parse(&text).expect("a date")
}

/// Loads `rows` records into a new database. Prints what clients need to know about it as JSON.
pub fn run(url: &str, rows: u64) {
    let start = Instant::now();
    let end = end_of_data();
    let credential = load(url, rows, end);
    println!("{:#}", describe(url, rows, &credential, end));
    eprintln!("{rows} records in {:.0} s", start.elapsed().as_secs_f64());
}

/// Loads the data set. Returns a credential that reads and writes everything.
pub fn load(url: &str, rows: u64, end: Timestamp) -> String {
    let events = Events::new(rows, end);
    let begin = Timestamp::from_micros(events.begin().micros() - 3_600_000_000);
    let clock = Clock::manual(begin);
    let mut subject = Subject::start(url, clock.clone());
    let credential = write_directory(&subject);
    subject.use_credential(&credential);
    let seeds: Vec<String> = events.seeds().iter().map(Event::statement).collect();
    subject.ingest(&to_batches(&seeds), 1);
    subject.stop();
    eprintln!(
        "the directory and {} records are written through the API",
        seeds.len()
    );

    let mut target: Box<dyn Target> = match url.strip_prefix("sqlite:") {
        Some(path) => Box::new(SqliteTarget::open(path)),
        None => Box::new(PostgresTarget::open(url)),
    };
    write_events(&mut *target, &events, rows - seeds.len() as u64);
    drop(target);

    clock.set(end);
    let subject = Subject::start(url, clock);
    deactivate(&subject);
    void(&subject);
    subject.stop();
    credential
}

/// Starts a server on a loaded database.
pub fn start(url: &str, credential: &str) -> Subject {
    let mut subject = Subject::start(url, Clock::system());
    subject.use_credential(credential);
    subject
}

fn write_directory(subject: &Subject) -> String {
    let mut connection = subject.connect();
    let created = connection.json(
        "POST",
        "/v1/credentials",
        &json!({"name": "bench", "scopes": ["all", "activities/read", "activities/write", "directory", "catalogue"]}),
    );
    let below = data::counts_below();
    let users = (0..USERS)
        .map(|number| data::user(number, true, below[number as usize] > 0))
        .collect();
    for (path, values) in [
        ("/v1/teams", data::teams()),
        ("/v1/groups", data::groups()),
        ("/v1/users", users),
        ("/v1/contents", data::contents()),
    ] {
        for batch in values.chunks(1_000) {
            connection.json("POST", &format!("{path}/batch"), &json!(batch));
        }
    }
    let text = |name: &str| created[name].as_str().expect("a key and a secret").to_owned();
    format!("{}:{}", text("key"), text("secret"))
}

fn to_batches(statements: &[String]) -> Vec<Vec<u8>> {
    let batches = statements.chunks(500);
    batches
        .map(|batch| format!("[{}]", batch.join(",")).into_bytes())
        .collect()
}

/// Deactivates the users that leave at the end of the two years.
fn deactivate(subject: &Subject) {
    let mut connection = subject.connect();
    let leaving: Vec<Json> = (0..USERS)
        .filter(|user| data::leaves(*user))
        .map(|user| data::user(user, false, false))
        .collect();
    for batch in leaving.chunks(1_000) {
        connection.json("POST", "/v1/users/batch", &json!(batch));
    }
}

/// Voids some of the newest records.
fn void(subject: &Subject) {
    let mut connection = subject.connect();
    let page = connection.json("GET", &format!("/v1/activities?limit={VOIDED}"), &Json::Null);
    let rows = page["activities"].as_array().expect("a page");
    let voiding: Vec<String> = rows
        .iter()
        .map(|row| {
            json!({
                "actor": {"mbox": "mailto:admin@example.org"},
                "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
                "object": {"objectType": "StatementRef", "id": row["id"]},
            })
            .to_string()
        })
        .collect();
    subject.ingest(&to_batches(&voiding), 1);
}

/// What the order of all records decides.
struct Decisions {
    /// The logins that are visits.
    visits: Vec<u64>,
    /// The newest completions of a person and content.
    latest: Vec<u64>,
}

impl Decisions {
    fn find(events: &Events, rows: u64) -> Self {
        let mut visits = vec![0; rows as usize / 64 + 1];
        let mut latest = visits.clone();
        let mut logged_in = vec![false; Who::NUMBERS as usize];
        let mut newest: HashMap<u64, (Timestamp, u64)> = HashMap::new();
        for number in 0..rows {
            let event = events.event(number);
            let person = event.who.number();
            match event.what {
                What::LoggedIn => {
                    let was_logged_in = std::mem::replace(&mut logged_in[person as usize], true);
                    if was_logged_in {
                        set_bit(&mut visits, number);
                    }
                }
                What::LoggedOut => logged_in[person as usize] = false,
                _ if event.completes() => {
                    let pair = person * CONTENTS + event.content.expect("a completion has a content");
                    let position = newest.entry(pair).or_default();
                    *position = (*position).max((event.happened_at, number));
                }
                _ => {}
            }
        }
        newest
            .values()
            .for_each(|(_, number)| set_bit(&mut latest, *number));
        Self { visits, latest }
    }

    fn is_visit(&self, number: u64) -> bool {
        has_bit(&self.visits, number)
    }

    fn is_latest(&self, number: u64) -> bool {
        has_bit(&self.latest, number)
    }
}

fn set_bit(bits: &mut [u64], number: u64) {
    bits[number as usize / 64] |= 1 << (number % 64);
}

fn has_bit(bits: &[u64], number: u64) -> bool {
    bits[number as usize / 64] & (1 << (number % 64)) != 0
}

/// Writes the first `rows` records and moves the ledger behind them.
fn write_events(target: &mut dyn Target, events: &Events, rows: u64) {
    let start = Instant::now();
    let decisions = Decisions::find(events, rows);
    let keys = Keys::read(target);
    eprintln!("{:.0} s: neighbours are decided", start.elapsed().as_secs_f64());
    target.begin();
    std::thread::scope(|scope| {
        let workers: Vec<Receiver<LoadedRows>> = (0..WORKERS)
            .map(|worker| {
                let (sender, receiver) = sync_channel(2);
                let (keys, decisions) = (&keys, &decisions);
                scope.spawn(move || {
                    for chunk in (worker * CHUNK..rows).step_by((WORKERS * CHUNK) as usize) {
                        let numbers = chunk..(chunk + CHUNK).min(rows);
                        let made = LoadedRows::make(
                            keys,
                            numbers.map(|number| {
                                (
                                    events.event(number),
                                    decisions.is_visit(number),
                                    decisions.is_latest(number),
                                )
                            }),
                        );
                        if sender.send(made).is_err() {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for chunk in 0..rows.div_ceil(CHUNK) {
            let made = workers[(chunk % WORKERS) as usize]
                .recv()
                .expect("the worker makes rows");
            target.write("statements", rows::STATEMENT_COLUMNS, made.statements);
            target.write("activities", rows::ACTIVITY_COLUMNS, made.activities);
            target.write("mentions", rows::MENTION_COLUMNS, made.mentions);
            if chunk % 50 == 49 {
                eprintln!(
                    "{:.0} s: {} records",
                    start.elapsed().as_secs_f64(),
                    (chunk + 1) * CHUNK
                );
            }
        }
    });
    let last = events.event(rows - 1);
    target.execute(&format!(
        "UPDATE ledgers SET seq = {}, stored = {} WHERE org = {}",
        last.seq,
        last.stored.micros(),
        keys.org
    ));
    eprintln!("{:.0} s: making indexes", start.elapsed().as_secs_f64());
    target.end();
    eprintln!("{:.0} s: loaded", start.elapsed().as_secs_f64());
}

/// What clients need to know about the data set.
fn describe(url: &str, rows: u64, credential: &str, end: Timestamp) -> Json {
    json!({
        "database": url,
        "rows": rows,
        "end": end,
        "organisation": data::ORGANISATION,
        "token_secret": super::subject::SECRET,
        "credential": credential,
        "owner": "u0",
        "manager_of_8": data::manager_of_about(8),
        "manager_of_100": data::manager_of_about(100),
        "manager_of_6249": data::manager_of_about(6_249),
        "team_with_sub_teams": "t1",
        "small_team": "t250",
        "group": "g3",
        "busy_user": data::user_id(super::data::events::BUSY_USER),
        "content": "c3571",
        "quiz": "c14",
        "title_word": "forklift",
        "rare_title_word": data::RARE_WORD,
        "tag": "safety",
        "rare_tag": data::RARE_TAG,
        "custom": "custom[cost_centre]=CC-3",
        "rare_custom": format!("custom[{}]={}", data::RARE_FIELD.0, data::RARE_FIELD.1),
        "rare_verb": super::data::events::RARE_VERB,
        "rare_device_type": super::data::events::RARE_DEVICE,
        "rare_source": super::data::events::RARE_SOURCE,
        "rare_origin": "manual",
        "import": super::data::events::IMPORT,
        "mbox_of_a_user": format!("mailto:{}", data::email(20)),
        "question": "https://content.example/14/q1",
        "named_in_contexts": "https://content.example/118",
    })
}
