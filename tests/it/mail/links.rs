//! Download links: what they open, and when they are dead.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use rollbook::base::clock::Timestamp;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use rollbook::reports::packed_export::Sizes;
use rollbook::reports::sender::SenderOptions;
use serde_json::{Value, json};

use super::year::ada;
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{Outbox, path, quick, report, run_now, schedule, sender};
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

const HOUR: i64 = 3_600_000_000;

/// Everything is too large to be attached.
fn linking() -> SenderOptions {
    SenderOptions {
        sizes: Sizes { gzip_above: 1, link_above: 1 },
        public_url: "https://rollbook.example.org/".to_owned(),
        ..quick()
    }
}

/// What a link was made of.
struct Story {
    report: String,
    schedule: Value,
    link: String,
}

/// Ada's report, sent to a reporter by a link.
async fn sent_by_link(server: &TestServer, ada: &Caller, filter: Value) -> Story {
    let bo = user("bo").set("email", "bo@example.org").set("role", "reporter");
    ada.put("/v1/users/bo", &bo).await.expect_one_of(&[200, 201]);
    ada.post("/v1/activities", &activity("bo", "logged_out")).await.expect(201);
    let report = report(ada, "Über \"Everything\"; filename=\"x", filter).await;
    let schedule = schedule(ada, &report, json!({}), &["bo"]).await;
    run_now(ada, &schedule).await;
    let outbox = Outbox::new();
    sender(server, outbox.mailer(), linking()).work().await.expect("it works");
    let [mail] = &outbox.take()[..] else { panic!("one message") };
    assert!(mail.csv.is_none());
    assert!(mail.text.contains("https://rollbook.example.org/downloads/"), "{}", mail.text);
    let link = mail.link();
    Story { report, schedule, link }
}

async fn is_dead(server: &TestServer, link: &str) -> Value {
    let answer = server.anonymous().get(link).await.expect(404);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut said = answer.json();
    said["request_id"] = Value::Null;
    said
}

#[apply(both_databases)]
async fn a_link_opens_the_file_for_whoever_has_it(server: &TestServer) {
    let ada = ada(server).await;
    let story = sent_by_link(server, &ada, json!({})).await;
    let file = server.anonymous().get(&story.link).await.expect(200);
    let export = ada.get(&format!("/v1/reports/{}/export.csv", story.report)).await.expect(200);
    assert_eq!(file.text(), export.text());
    assert_eq!(file.csv().1.len(), 1);
    assert_eq!(file.header("content-type"), export.header("content-type"));
    let name = file.header("content-disposition").expect("a name");
    assert!(name.starts_with("attachment; filename=\"") && name.contains("-2026-03-18.csv\""), "{name}");
    for (header, value) in
        [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-robots-tag", "noindex")]
    {
        assert_eq!(file.header(header), Some(value));
    }
    let head = server.anonymous().send(Method::HEAD, &story.link, &[], Vec::new()).await.expect(200);
    assert!(head.body.is_empty());
    for header in
        ["content-disposition", "content-type", "content-length", "cache-control", "transfer-encoding"]
    {
        assert_eq!(head.header(header), file.header(header), "{header}");
    }
    server.anonymous().get(&format!("{}?columns=full", story.link)).await.expect(400);
    let post = server.anonymous().send(Method::POST, &story.link, &[], Vec::new()).await;
    assert_eq!(post.status, 405);
}

#[apply(both_databases)]
async fn a_link_is_about_the_moment_of_its_run(server: &TestServer) {
    let ada = ada(server).await;
    let story = sent_by_link(server, &ada, json!({"period": "today"})).await;
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 48 * HOUR));
    ada.post("/v1/activities", &activity("bo", "logged_out")).await.expect(201);
    ada.post("/v1/activities", &activity("bo", "logged_out")).await.expect(201);
    let file = server.anonymous().get(&story.link).await.expect(200);
    assert_eq!(file.csv().1.len(), 1);
    let today = ada.get(&format!("/v1/reports/{}/export.csv", story.report)).await.expect(200);
    assert_eq!(today.csv().1.len(), 2);
}

#[apply(both_databases)]
async fn a_forged_link_is_as_dead_as_any(server: &TestServer) {
    let ada = ada(server).await;
    let story = sent_by_link(server, &ada, json!({})).await;
    let other = server.person_of("other", json!({"sub": "eve", "role": "owner"}));
    other.put("/v1/users/eve", &user("eve")).await.expect(201);
    let token = story.link.strip_prefix("/downloads/").expect("a token");
    let bytes = URL_SAFE_NO_PAD.decode(token).expect("base64url");
    let mut answers = Vec::new();
    // Another organisation, delivery, place, expiry or signature, bit by bit.
    for at in [0, 7, 8, 23, 25, 33, 34, bytes.len() - 1] {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        answers.push(is_dead(server, &format!("/downloads/{}", URL_SAFE_NO_PAD.encode(forged))).await);
    }
    for wrong in ["x", &token[1..], &format!("{token}A"), &token.to_lowercase(), "%00", &"A".repeat(88)] {
        answers.push(is_dead(server, &format!("/downloads/{wrong}")).await);
    }
    ada.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    answers.push(is_dead(server, &story.link).await);
    answers.dedup();
    assert_eq!(answers.len(), 1, "nothing tells which it is: {answers:?}");
}

#[apply(both_databases)]
async fn a_link_ends_at_its_time(server: &TestServer) {
    let ada = ada(server).await;
    let story = sent_by_link(server, &ada, json!({})).await;
    let sent = server.clock.now().micros();
    server.clock.set(Timestamp::from_micros(sent + 168 * HOUR - 1_000_000));
    server.anonymous().get(&story.link).await.expect(200);
    server.clock.set(Timestamp::from_micros(sent + 168 * HOUR));
    let gone = server.anonymous().get(&story.link).await.expect(410).json();
    assert_eq!(gone["code"], "expired");
}

#[apply(both_databases)]
async fn a_link_opens_what_was_sent_and_nothing_else(server: &TestServer) {
    let ada = ada(server).await;
    let sent = json!({"action": "logged_out", "period": "today"});
    let story = sent_by_link(server, &ada, sent.clone()).await;
    let report = format!("/v1/reports/{}", story.report);
    let file = server.anonymous().get(&story.link).await.expect(200);
    let file = file.text();
    for (changed, back) in [
        (json!({"filter": {"action": null}}), json!({"filter": sent})),
        (json!({"filter": {"period": "last_30_days"}}), json!({"filter": sent})),
        (json!({"filter": {"user": "bo"}}), json!({"filter": {"user": null}})),
        (json!({"columns": "full"}), json!({"columns": "elearning"})),
    ] {
        ada.patch(&report, &changed).await.expect(200);
        is_dead(server, &story.link).await;
        ada.patch(&report, &back).await.expect(200);
        assert_eq!(server.anonymous().get(&story.link).await.expect(200).text(), file, "{changed}");
    }
    // Neither a name, nor a visibility under which its maker opens it, nor another spelling is another question.
    ada.patch(&report, &json!({"name": "Renamed", "visibility": "private"})).await.expect(200);
    let turned = r#"{"name": "Again", "filter": {"period": "today",  "action": "logged_out"}}"#;
    let json = [("content-type", "application/json")];
    ada.send(Method::PUT, &report, &json, turned.as_bytes().to_vec()).await.expect(200);
    assert_eq!(server.anonymous().get(&story.link).await.expect(200).text(), file);
}

#[apply(both_databases)]
async fn a_link_is_dead_when_the_schedule_does_not_name_its_recipient(server: &TestServer) {
    let ada = ada(server).await;
    let story = sent_by_link(server, &ada, json!({})).await;
    let schedule = path(&story.schedule);
    for (recipients, names) in
        [(json!(["ada"]), false), (json!(["ada", "bo"]), true), (json!(["ada"]), false)]
    {
        ada.patch(&schedule, &json!({"recipients": recipients})).await.expect(200);
        if names {
            server.anonymous().get(&story.link).await.expect(200);
        } else {
            is_dead(server, &story.link).await;
        }
    }
}

#[apply(both_databases)]
async fn a_link_is_dead_when_its_people_may_not_have_it(server: &TestServer) {
    let ada = ada(server).await;
    let root = server.person("admin", "root");
    let story = sent_by_link(server, &ada, json!({})).await;
    for (who, taken, given) in [
        ("ada", json!({"active": false}), json!({"active": true})),
        ("ada", json!({"role": "learner"}), json!({"role": "admin"})),
        ("bo", json!({"active": false}), json!({"active": true})),
        ("bo", json!({"role": "learner"}), json!({"role": "reporter"})),
    ] {
        let user = format!("/v1/users/{who}");
        root.patch(&user, &taken).await.expect(200);
        is_dead(server, &story.link).await;
        root.patch(&user, &given).await.expect(200);
        server.anonymous().get(&story.link).await.expect(200);
    }
    // A manager of nobody sees herself alone.
    root.patch("/v1/users/ada", &json!({"role": "manager"})).await.expect(200);
    assert_eq!(server.anonymous().get(&story.link).await.expect(200).csv().1.len(), 0);
    root.patch("/v1/users/ada", &json!({"role": "admin"})).await.expect(200);

    ada.delete(&path(&story.schedule)).await.expect_one_of(&[200, 204]);
    is_dead(server, &story.link).await;
    let story = sent_by_link(server, &ada, json!({})).await;
    ada.delete(&format!("/v1/reports/{}", story.report)).await.expect_one_of(&[200, 204]);
    is_dead(server, &story.link).await;
}

/// Whoever holds a link is one caller among others; who only guesses takes nothing from them.
fn rated(database: Database) {
    const BURST: u32 = 40;
    let options = AppOptions {
        limits: Limits { requests_per_second: 1, burst: BURST, ..Limits::default() },
        ..AppOptions::default()
    };
    run_with(database, options, async |server: &TestServer| {
        let ada = ada(server).await;
        let story = sent_by_link(server, &ada, json!({})).await;
        let other = sent_by_link(server, &ada, json!({})).await;
        let mut forged = story.link.clone();
        let last = if forged.ends_with('A') { 'Q' } else { 'A' };
        forged.pop();
        forged.push(last);
        for _ in 0..BURST + 10 {
            server.anonymous().get(&forged).await.expect(404);
        }
        let mut answers = Vec::new();
        for _ in 0..BURST + 20 {
            answers.push(server.anonymous().get(&story.link).await);
            if answers.last().is_some_and(|answer| answer.status != 200) {
                break;
            }
        }
        let refused = answers.pop().expect("an answer").expect(429);
        assert!(refused.header("retry-after").is_some());
        assert!(answers.len() >= BURST as usize, "{}", answers.len());
        server.anonymous().get(&other.link).await.expect(200);
    });
}

#[test]
fn downloads_are_counted_by_link_on_sqlite() {
    rated(Database::sqlite());
}

#[test]
fn downloads_are_counted_by_link_on_postgres() {
    rated(Database::postgres());
}
