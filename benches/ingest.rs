//! Writing: each line also says what it costs when the store is large.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::data::{self, events};
use super::load::end_of_data;
use super::plain::{FIRST_COPY, Plain};
use super::report::Unit;
use super::subject::Subject;
use super::{Bench, Site, measure};

const PART: &str = "writes";

/// Records of one measurement that are sent one by one, and the connections that send them.
const SINGLES: u64 = 12_800;
const SINGLE_CONNECTIONS: usize = 64;
/// Records of one measurement that are sent in batches of a size, and the connections that send them.
const BATCHED: u64 = 20_000;
const BATCH: u64 = 100;
const BATCH_CONNECTIONS: usize = 4;
/// Records of one measurement that are voided, in batches.
const VOIDED: u64 = 2_000;
/// Users of one measurement that are written in batches of 1,000.
const USERS: u64 = 5_000;
/// Records of one measurement that one organisation writes while another one loads.
const NEIGHBOURS: u64 = 100;

/// Measures all lines that write. Nothing is measured on this store afterwards.
pub fn run(bench: &mut Bench, site: &mut Site<'_>) {
    if !bench.selects_part(site, PART) {
        return;
    }
    let mut seed = 0;
    let mut next_seed = || {
        seed += 1;
        seed
    };
    let end = end_of_data();
    let bulk = |plain: &mut dyn Plain| measure(|| plain.write_in_bulk());
    let batches = Records {
        name: "batches of 100",
        floor: Some(0.2),
        count: BATCHED,
        connections: BATCH_CONNECTIONS,
    };
    let logins = Records {
        name: "logins in batches of 100",
        floor: None,
        ..batches
    };
    let singles = Records {
        name: "singles at 64 connections",
        floor: Some(0.3),
        count: SINGLES,
        connections: SINGLE_CONNECTIONS,
    };
    let voidings = Records {
        name: "voidings in batches of 100",
        floor: None,
        count: VOIDED,
        connections: BATCH_CONNECTIONS,
    };
    let make = |_: &Subject| events::batches(next_seed(), BATCHED, BATCH, end);
    records(bench, site, batches, make, bulk);
    let make = |_: &Subject| events::logins(next_seed(), BATCHED, BATCH, end);
    records(bench, site, logins, make, bulk);
    let make = |_: &Subject| events::batches(next_seed(), SINGLES, 1, end);
    let write = |plain: &mut dyn Plain| plain.write_singles(SINGLES, SINGLE_CONNECTIONS);
    records(bench, site, singles, make, write);
    let make = |subject: &Subject| {
        subject.ingest(&events::batches(next_seed(), VOIDED, BATCH, end), 1);
        voiding_bodies(subject)
    };
    records(bench, site, voidings, make, void_in_bulk);
    users(bench, site);
    neighbour(bench, site, next_seed);
}

/// A record, as a client sends it.
pub fn one_statement() -> Vec<u8> {
    events::batches(1_000, 1, 1, end_of_data()).swap_remove(0)
}

/// The position of the last record.
fn last_seq(plain: &mut dyn Plain) -> i64 {
    plain.integer("SELECT seq FROM ledgers WHERE org = 1")
}

/// A line of records that are written.
#[derive(Clone, Copy)]
struct Records {
    name: &'static str,
    floor: Option<f64>,
    /// The records of one measurement.
    count: u64,
    connections: usize,
}

/// Measures a line. `make` prepares the bodies, and `write` lets the database write copies of the same records.
fn records(
    bench: &mut Bench,
    site: &mut Site<'_>,
    line: Records,
    mut make: impl FnMut(&Subject) -> Vec<Vec<u8>>,
    write: impl Fn(&mut dyn Plain) -> Duration,
) {
    if !bench.selects(site, PART, line.name) {
        return;
    }
    let plain = std::cell::RefCell::new(&mut *site.plain);
    let dialect = plain.borrow().dialect();
    let each = |time: Duration| time.div_f64(line.count as f64);
    bench.compare(
        site.rows,
        (dialect, PART, line.name, Unit::Rate),
        line.floor,
        |_| {
            let bodies = make(site.subject);
            let before = last_seq(&mut **plain.borrow_mut());
            let time = measure(|| site.subject.ingest(&bodies, line.connections));
            plain.borrow_mut().take_copies(before);
            each(time)
        },
        |_| {
            let plain = &mut **plain.borrow_mut();
            let time = write(plain);
            plain.remove_copies();
            each(time)
        },
    );
}

/// Writes the copies, and marks and deletes as many records of the database's own as there are voiding ones.
fn void_in_bulk(plain: &mut dyn Plain) -> Duration {
    measure(|| {
        plain.write_in_bulk();
        plain.execute(&format!(
            "UPDATE statements SET voided = TRUE WHERE org = 1 AND seq >= {FIRST_COPY}"
        ));
        plain.execute(&format!(
            "DELETE FROM activities WHERE org = 1 AND seq >= {FIRST_COPY}"
        ));
    })
}

/// Statements that void the newest records.
fn voiding_bodies(subject: &Subject) -> Vec<Vec<u8>> {
    let mut connection = subject.connect();
    let mut statements = Vec::new();
    let mut path = "/xapi/statements?format=ids&limit=500".to_owned();
    while statements.len() < VOIDED as usize {
        let page = connection.json("GET", &path, &Json::Null);
        for found in page["statements"].as_array().expect("a page") {
            if found["verb"]["id"] != "http://adlnet.gov/expapi/verbs/voided" {
                statements.push(json!({
                    "actor": {"mbox": "mailto:admin@example.org"},
                    "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
                    "object": {"objectType": "StatementRef", "id": found["id"]},
                }));
            }
        }
        path = page["more"].as_str().expect("more records").to_owned();
    }
    statements.truncate(VOIDED as usize);
    statements
        .chunks(BATCH as usize)
        .map(|batch| json!(batch).to_string().into_bytes())
        .collect()
}

fn users(bench: &mut Bench, site: &mut Site<'_>) {
    let name = "users in batches of 1,000";
    if !bench.selects(site, PART, name) {
        return;
    }
    let dialect = site.plain.dialect();
    let plain = &mut *site.plain;
    let subject = site.subject;
    bench.compare(
        site.rows,
        (dialect, PART, name, Unit::Rate),
        None,
        |repetition| {
            let mut connection = subject.connect();
            let below = data::counts_below();
            let users: Vec<Json> = (0..USERS)
                .map(|number| {
                    let number = number * (data::USERS / USERS);
                    let mut user = data::user(number, !data::leaves(number), below[number as usize] > 0);
                    user["job_title"] = json!(format!("Another job title {repetition}"));
                    user
                })
                .collect();
            measure(|| {
                for batch in users.chunks(1_000) {
                    connection.json("POST", "/v1/users/batch", &json!(batch));
                }
            })
            .div_f64(USERS as f64)
        },
        |repetition| {
            let step = data::USERS / USERS;
            measure(|| {
                plain.execute("BEGIN");
                for number in 0..USERS {
                    plain.execute(&format!(
                        "UPDATE users SET job_title = 'Job {repetition}' WHERE org = 1 AND id = '{}'",
                        data::user_id(number * step)
                    ));
                    if number % 1_000 == 999 {
                        plain.execute("COMMIT");
                        plain.execute("BEGIN");
                    }
                }
                plain.execute("COMMIT");
            })
            .div_f64(USERS as f64)
        },
    );
}

/// One organisation sends single records, one after the other, while another one loads batches.
fn neighbour(bench: &mut Bench, site: &mut Site<'_>, mut next_seed: impl FnMut() -> u64) {
    let name = "single record beside another organisation's bulk load";
    if !bench.selects(site, PART, name) {
        return;
    }
    let dialect = site.plain.dialect();
    let subject = site.subject;
    let bulk = events::batches(9_999, 200 * BATCH, BATCH, end_of_data());
    let mut loader = site.plain.another();
    let plain = &mut *site.plain;
    let before = last_seq(plain);
    subject.ingest(&bulk[..20], 1);
    for plain in [&mut *plain, &mut *loader] {
        plain.take_copies(before);
    }
    bench.compare(
        site.rows,
        (dialect, PART, name, Unit::Time),
        None,
        |_| {
            let bodies = events::batches(next_seed(), NEIGHBOURS, 1, end_of_data());
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut connection = subject.connect();
                    for body in bulk.iter().cycle() {
                        if done.load(Ordering::Relaxed) {
                            return;
                        }
                        connection.send("POST", "/xapi/statements", body, &mut std::io::sink());
                    }
                });
                let mut connection = subject.connect_to("neighbour");
                let time = measure(|| {
                    for body in &bodies {
                        connection.send("POST", "/xapi/statements", body, &mut std::io::sink());
                    }
                });
                done.store(true, Ordering::Relaxed);
                time.div_f64(NEIGHBOURS as f64)
            })
        },
        |_| {
            let done = AtomicBool::new(false);
            let (loader, done) = (&mut loader, &done);
            std::thread::scope(|scope| {
                let loading = scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        loader.write_in_bulk();
                        loader.remove_copies();
                    }
                });
                std::thread::sleep(Duration::from_millis(100));
                let time = plain.write_singles(NEIGHBOURS, 1);
                done.store(true, Ordering::Relaxed);
                loading.join().expect("the load ends");
                time.div_f64(NEIGHBOURS as f64)
            })
        },
    );
}
