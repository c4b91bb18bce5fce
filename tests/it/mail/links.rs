//! Tests of download links: the file that they open, and the reasons that make them invalid.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use rollbook::base::clock::Timestamp;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use rollbook::reports::packed_export::Sizes;
use rollbook::reports::sender::SenderOptions;
use serde_json::{Value, json};

use super::year::create_ada;
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{Outbox, path, quick, report, run_now, schedule, sender};
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

const HOUR: i64 = 3_600_000_000;

/// Options with which every file is too large to be attached.
fn link_options() -> SenderOptions {
    SenderOptions {
        sizes: Sizes { gzip_above: 1, link_above: 1 },
        public_url: "https://rollbook.example.org/".to_owned(),
        ..quick()
    }
}

/// A link that was sent.
struct SentLink {
    report: String,
    schedule: Value,
    link: String,
}

/// Sends Ada's report to a reporter by link.
async fn send_by_link(server: &TestServer, ada: &Caller, filter: Value) -> SentLink {
    let bo = user("bo").set("email", "bo@example.org").set("role", "reporter");
    // A test may send two links, and the second call replaces the user.
    ada.put("/v1/users/bo", &bo).await.expect_one_of(&[200, 201]);
    ada.post("/v1/activities", &activity("bo", "logged_out")).await.expect(201);
    let report = report(ada, "Über \"Everything\"; filename=\"x", filter).await;
    let schedule = schedule(ada, &report, json!({}), &["bo"]).await;
    run_now(ada, &schedule).await;
    let outbox = Outbox::new();
    sender(server, outbox.mailer(), link_options()).work().await.expect("the sender succeeds");
    let [mail] = &outbox.take()[..] else { panic!("one message") };
    assert!(mail.csv.is_none());
    assert!(mail.text.contains("https://rollbook.example.org/downloads/"), "{}", mail.text);
    let link = mail.link();
    SentLink { report, schedule, link }
}

async fn assert_invalid(server: &TestServer, link: &str) -> Value {
    let answer = server.anonymous().get(link).await.expect(404);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut problem = answer.json();
    problem["request_id"] = Value::Null;
    problem
}

#[apply(both_databases)]
async fn link_opens_the_file_without_a_token(server: &TestServer) {
    let ada = create_ada(server).await;
    let sent_link = send_by_link(server, &ada, json!({})).await;
    let file = server.anonymous().get(&sent_link.link).await.expect(200);
    let export = ada.get(&format!("/v1/reports/{}/export.csv?bom=true", sent_link.report)).await.expect(200);
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
    let head = server.anonymous().send(Method::HEAD, &sent_link.link, &[], Vec::new()).await.expect(200);
    assert!(head.body.is_empty());
    for header in
        ["content-disposition", "content-type", "content-length", "cache-control", "transfer-encoding"]
    {
        assert_eq!(head.header(header), file.header(header), "{header}");
    }
    server.anonymous().get(&format!("{}?columns=full", sent_link.link)).await.expect(400);
    let post = server.anonymous().send(Method::POST, &sent_link.link, &[], Vec::new()).await;
    assert_eq!(post.status, 405);
}

#[apply(both_databases)]
async fn link_opens_rows_at_the_time_of_the_run(server: &TestServer) {
    let ada = create_ada(server).await;
    let sent_link = send_by_link(server, &ada, json!({"period": "today"})).await;
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 48 * HOUR));
    ada.post("/v1/activities", &activity("bo", "logged_out")).await.expect(201);
    ada.post("/v1/activities", &activity("bo", "logged_out")).await.expect(201);
    let file = server.anonymous().get(&sent_link.link).await.expect(200);
    assert_eq!(file.csv().1.len(), 1);
    let today = ada.get(&format!("/v1/reports/{}/export.csv", sent_link.report)).await.expect(200);
    assert_eq!(today.csv().1.len(), 2);
}

#[apply(both_databases)]
async fn forged_links_get_equal_answers(server: &TestServer) {
    let ada = create_ada(server).await;
    let sent_link = send_by_link(server, &ada, json!({})).await;
    let other = server.person_of("other", json!({"sub": "eve", "role": "owner"}));
    other.put("/v1/users/eve", &user("eve")).await.expect(201);
    let token = sent_link.link.strip_prefix("/downloads/").expect("a token");
    let bytes = URL_SAFE_NO_PAD.decode(token).expect("base64url");
    let mut answers = Vec::new();
    // One bit of the organisation, the delivery, the recipient, the expiry or the signature is wrong.
    for at in [0, 7, 8, 23, 25, 33, 34, bytes.len() - 1] {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        answers.push(assert_invalid(server, &format!("/downloads/{}", URL_SAFE_NO_PAD.encode(forged))).await);
    }
    for wrong in ["x", &token[1..], &format!("{token}A"), &token.to_lowercase(), "%00", &"A".repeat(88)] {
        answers.push(assert_invalid(server, &format!("/downloads/{wrong}")).await);
    }
    ada.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    answers.push(assert_invalid(server, &sent_link.link).await);
    answers.dedup();
    assert_eq!(answers.len(), 1, "the answers differ: {answers:?}");
}

#[apply(both_databases)]
async fn link_expires(server: &TestServer) {
    let ada = create_ada(server).await;
    let sent_link = send_by_link(server, &ada, json!({})).await;
    let sent = server.clock.now().micros();
    server.clock.set(Timestamp::from_micros(sent + 168 * HOUR - 1_000_000));
    server.anonymous().get(&sent_link.link).await.expect(200);
    server.clock.set(Timestamp::from_micros(sent + 168 * HOUR));
    let gone = server.anonymous().get(&sent_link.link).await.expect(410).json();
    assert_eq!(gone["code"], "expired");
}

#[apply(both_databases)]
async fn link_is_invalid_while_its_report_differs(server: &TestServer) {
    let ada = create_ada(server).await;
    let sent = json!({"action": "logged_out", "period": "today"});
    let sent_link = send_by_link(server, &ada, sent.clone()).await;
    let report = format!("/v1/reports/{}", sent_link.report);
    let file = server.anonymous().get(&sent_link.link).await.expect(200);
    let file = file.text();
    for (changed, back) in [
        (json!({"filter": {"action": null}}), json!({"filter": sent})),
        (json!({"filter": {"period": "last_30_days"}}), json!({"filter": sent})),
        (json!({"filter": {"user": "bo"}}), json!({"filter": {"user": null}})),
        (json!({"columns": "full"}), json!({"columns": "elearning"})),
    ] {
        ada.patch(&report, &changed).await.expect(200);
        assert_invalid(server, &sent_link.link).await;
        ada.patch(&report, &back).await.expect(200);
        assert_eq!(server.anonymous().get(&sent_link.link).await.expect(200).text(), file, "{changed}");
    }
    // A new name, a visibility with which the maker still reads the report, and another spelling of the
    // same filter do not change the report.
    ada.patch(&report, &json!({"name": "Renamed", "visibility": "private"})).await.expect(200);
    let reordered = r#"{"name": "Again", "filter": {"period": "today",  "action": "logged_out"}}"#;
    let json = [("content-type", "application/json")];
    ada.send(Method::PUT, &report, &json, reordered.as_bytes().to_vec()).await.expect(200);
    assert_eq!(server.anonymous().get(&sent_link.link).await.expect(200).text(), file);
}

#[apply(both_databases)]
async fn link_is_invalid_without_its_recipient(server: &TestServer) {
    let ada = create_ada(server).await;
    let sent_link = send_by_link(server, &ada, json!({})).await;
    let schedule = path(&sent_link.schedule);
    for (recipients, names) in
        [(json!(["ada"]), false), (json!(["ada", "bo"]), true), (json!(["ada"]), false)]
    {
        ada.patch(&schedule, &json!({"recipients": recipients})).await.expect(200);
        if names {
            server.anonymous().get(&sent_link.link).await.expect(200);
        } else {
            assert_invalid(server, &sent_link.link).await;
        }
    }
}

#[apply(both_databases)]
async fn link_is_invalid_without_rights(server: &TestServer) {
    let ada = create_ada(server).await;
    let root = server.person("admin", "root");
    let sent_link = send_by_link(server, &ada, json!({})).await;
    for (user_id, taken, given) in [
        ("ada", json!({"active": false}), json!({"active": true})),
        ("ada", json!({"role": "learner"}), json!({"role": "admin"})),
        ("bo", json!({"active": false}), json!({"active": true})),
        ("bo", json!({"role": "learner"}), json!({"role": "reporter"})),
    ] {
        let path_of_user = format!("/v1/users/{user_id}");
        root.patch(&path_of_user, &taken).await.expect(200);
        assert_invalid(server, &sent_link.link).await;
        root.patch(&path_of_user, &given).await.expect(200);
        server.anonymous().get(&sent_link.link).await.expect(200);
    }
    // A manager without people reads only their own rows.
    root.patch("/v1/users/ada", &json!({"role": "manager"})).await.expect(200);
    assert_eq!(server.anonymous().get(&sent_link.link).await.expect(200).csv().1.len(), 0);
    root.patch("/v1/users/ada", &json!({"role": "admin"})).await.expect(200);

    ada.delete(&path(&sent_link.schedule)).await.expect(204);
    assert_invalid(server, &sent_link.link).await;
    let sent_link = send_by_link(server, &ada, json!({})).await;
    ada.delete(&format!("/v1/reports/{}", sent_link.report)).await.expect(204);
    assert_invalid(server, &sent_link.link).await;
}

/// Checks that the rate of downloads is limited for each link, and that requests with forged links do not
/// count.
fn check_rate_limit(database: Database) {
    const BURST: u32 = 40;
    let options = AppOptions {
        limits: Limits { requests_per_second: 1, burst: BURST, ..Limits::default() },
        ..AppOptions::default()
    };
    run_with(database, options, async |server: &TestServer| {
        let ada = create_ada(server).await;
        let sent_link = send_by_link(server, &ada, json!({})).await;
        let other = send_by_link(server, &ada, json!({})).await;
        let mut forged = sent_link.link.clone();
        let last = if forged.ends_with('A') { 'Q' } else { 'A' };
        forged.pop();
        forged.push(last);
        for _ in 0..BURST + 10 {
            server.anonymous().get(&forged).await.expect(404);
        }
        let mut answers = Vec::new();
        for _ in 0..BURST + 20 {
            answers.push(server.anonymous().get(&sent_link.link).await);
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
fn downloads_are_limited_by_link_sqlite() {
    check_rate_limit(Database::sqlite());
}

#[test]
fn downloads_are_limited_by_link_postgres() {
    check_rate_limit(Database::postgres());
}
