//! `rollbook rebuild` beside a server: writers wait for a short time only, no reader sees a half-rebuilt log, and a killed
//! rebuild changes nothing that is shown.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rollbook::base::clock::Clock;
use serde_json::{Value, json};

use crate::support::builders::{content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::process::{Process, serve};
use crate::support::records::{COMPLETED, STATEMENTS, VIEWED, VOIDED, id};
use crate::support::server::{ORG, sign};
use crate::support::{Database, apply, both_databases};

/// The records before the rebuild.
const RECORDS: usize = 3_000;
/// The number of the first record that is written beside the rebuild.
const BESIDE: usize = 100_000;
/// How long a rebuild of these records may take beside writers, on a slow machine without optimised code.
const LONGEST_REBUILD: Duration = Duration::from_secs(60);
/// What a write may wait beside a rebuild, on a slow machine without optimised code.
const LONGEST_WRITE: Duration = Duration::from_millis(1_500);

/// A rebuild in a process of its own.
fn start_rebuild(database: &Database) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
    command.args(["rebuild", "--database"]).arg(database.url()).stdout(Stdio::null());
    command.spawn().expect("the binary starts")
}

/// Waits for the end of a rebuild, without blocking the requests of this test.
async fn finish(mut rebuild: Child) {
    loop {
        match rebuild.try_wait().expect("the process can be waited for") {
            Some(status) => return assert!(status.success(), "the rebuild ended with {status}"),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn admin_of(server: &Process) -> Caller {
    let expires = Clock::system().now().micros() / 1_000_000 + 3_600;
    let token = sign(&json!({"sub": "root", "role": "admin", "org": ORG, "exp": expires}));
    Caller::anonymous(reqwest::Client::new(), server.base.clone()).with_token(&token)
}

/// Record number `n`: several people with changing names, contents with changing titles and types, logins, a session of
/// one user, certificates and completions of which the newest counts. Many records beside a rebuild have new persons and
/// contents.
fn record(n: usize) -> Value {
    let is_new = n >= BESIDE && !n.is_multiple_of(3);
    let (person, content) = if is_new { (n, n) } else { (n % 40, n % 25) };
    let mut actor = mailbox(&format!("p{person}@example.org"));
    actor["name"] = json!(format!("Name {} of {person}", n / 1_000));
    let verb = match n % 7 {
        0 => COMPLETED,
        1 => "https://w3id.org/xapi/adl/verbs/logged-in",
        _ => VIEWED,
    };
    let minutes = n % 1_440;
    let at = format!("2026-02-{:02}T{:02}:{:02}:00Z", 1 + n % 20, minutes / 60, minutes % 60);
    let mut record =
        statement(actor, verb, &format!("urn:c{content}")).set("id", id(n)).set("timestamp", at).json();
    let kind = if n < RECORDS / 2 { "course" } else { "assessment" };
    record["object"]["definition"] = json!({
        "name": {"en": format!("Title {} of {content}", n / 700)},
        "type": format!("http://adlnet.gov/expapi/activities/{kind}"),
    });
    record
}

async fn set_up(admin: &Caller) {
    admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
    admin.put("/v1/users/bo", &user("bo").set("email", "p3@example.org")).await.expect(201);
    let records: Vec<Value> = (1..=RECORDS).map(record).collect();
    for batch in records.chunks(500) {
        admin.post(STATEMENTS, batch).await.expect(200);
    }
    let voidings: Vec<Value> = [5, 300, 2_999]
        .iter()
        .map(|n| {
            json!({"id": id(900_000 + n), "actor": mailbox("root@example.org"), "verb": {"id": VOIDED},
                "object": {"objectType": "StatementRef", "id": id(*n)}})
        })
        .collect();
    admin.post(STATEMENTS, &voidings).await.expect(200);
}

/// Everything that a rebuild writes and that clients can read.
async fn snapshot(admin: &Caller) -> Vec<Value> {
    let mut all = Vec::new();
    for parameters in ["", "&action=visited", "&latest=true"] {
        all.extend(admin.list(&format!("/v1/activities?limit=1000{parameters}"), "activities").await);
    }
    all.extend(admin.list("/v1/contents?limit=1000", "contents").await);
    all.push(admin.get("/xapi/activities?activityId=urn:c3").await.expect(200).json());
    for by in ["user", "content", "action"] {
        all.push(admin.get(&format!("/v1/activities/summary?by={by}")).await.expect(200).json());
    }
    all
}

/// Sends records one by one until `stop`. Returns their number and the longest time of one.
async fn write_until(admin: Caller, first: usize, stop: Arc<AtomicBool>) -> (usize, Duration) {
    let (mut written, mut longest) = (0, Duration::ZERO);
    while !stop.load(Ordering::SeqCst) {
        let begin = Instant::now();
        admin.post(STATEMENTS, &record(first + written)).await.expect(200);
        longest = longest.max(begin.elapsed());
        written += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (written, longest)
}

/// Voids records and gives identifiers to users until `stop`.
async fn change_until(admin: Caller, stop: Arc<AtomicBool>) {
    for n in 10.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let target = n * 17 % RECORDS + 1;
        admin.delete(&format!("/v1/activities/{}", id(target))).await.expect_one_of(&[204, 404]);
        if n % 4 == 0 {
            let owner = user(&format!("u{n}")).set("email", format!("p{}@example.org", n % 40));
            admin.put(&format!("/v1/users/u{n}"), &owner).await.expect_one_of(&[201, 409]);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[track_caller]
fn assert_same(one: &[Value], other: &[Value], when: &str) {
    assert_eq!(one.len(), other.len(), "{when}");
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other, "{when}");
    }
}

#[apply(both_databases)]
async fn writers_wait_shortly_beside_a_rebuild(database: &Database) {
    let server = Process::start(serve(database));
    let admin = admin_of(&server);
    set_up(&admin).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = [BESIDE, 2 * BESIDE]
        .map(|first| tokio::spawn(write_until(admin.clone(), first, Arc::clone(&stop))))
        .into_iter()
        .collect();
    let changes = tokio::spawn(change_until(admin.clone(), Arc::clone(&stop)));
    let begin = Instant::now();
    finish(start_rebuild(database)).await;
    let took = begin.elapsed();
    stop.store(true, Ordering::SeqCst);
    changes.await.expect("the changes end");
    let (mut written, mut longest) = (0, Duration::ZERO);
    for writer in writers {
        let (count, longest_of_one) = writer.await.expect("the writer ends");
        written += count;
        longest = longest.max(longest_of_one);
    }
    println!(
        "measured: rebuild of {RECORDS} records beside writers: {took:?}, {written} writes, longest {longest:?}"
    );
    assert!(written > 10, "{written} writes in {took:?}");
    assert!(longest < LONGEST_WRITE, "a write took {longest:?}");
    assert!(took < LONGEST_REBUILD, "the rebuild took {took:?}");
    let beside = snapshot(&admin).await;
    finish(start_rebuild(database)).await;
    assert_same(&beside, &snapshot(&admin).await, "a rebuild without writers gives the same");
}

#[apply(both_databases)]
async fn killed_rebuild_leaves_the_log_as_it_was(database: &Database) {
    let server = Process::start(serve(database));
    let admin = admin_of(&server);
    set_up(&admin).await;
    let before = snapshot(&admin).await;
    for milliseconds in [150, 400, 900] {
        let mut rebuild = start_rebuild(database);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        rebuild.kill().expect("it is killed");
        rebuild.wait().expect("it ends");
        assert_same(&before, &snapshot(&admin).await, "after the rebuild was killed");
    }
    finish(start_rebuild(database)).await;
    assert_same(&before, &snapshot(&admin).await, "after a whole rebuild");
}

/// While a rebuild runs, readers see the log as it was.
#[apply(both_databases)]
async fn readers_see_the_same_log_during_a_rebuild(database: &Database) {
    let server = Process::start(serve(database));
    let admin = admin_of(&server);
    set_up(&admin).await;
    let before = snapshot(&admin).await;
    let mut rebuild = start_rebuild(database);
    let mut reads = 0;
    while rebuild.try_wait().expect("the process can be waited for").is_none() {
        assert_same(&before, &snapshot(&admin).await, "during a rebuild");
        reads += 1;
    }
    assert!(reads > 0);
    assert_same(&before, &snapshot(&admin).await, "after the rebuild");
}
