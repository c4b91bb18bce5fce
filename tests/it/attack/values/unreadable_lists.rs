//! Stored rows that cannot be read in the lists of reports, schedules, deliveries and versions of notes: a list with pages of
//! one element ends and has all other elements.

use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::outbox::{Outbox, quick, report, run_now, schedule, sender};
use crate::support::records::{COMPLETED, STATEMENTS, advance_clock, id, record_numbers};
use crate::support::{Database, TestServer, apply, both_databases};

/// The most pages that a list of this test can have.
const MAX_PAGES: usize = 20;

/// The values of `member` of all elements, read in pages of one element.
async fn read_list(caller: &Caller, path: &str, plural: &str, member: &str) -> Vec<Value> {
    let (mut values, mut next) = (Vec::new(), format!("{path}?limit=1"));
    for _ in 0..MAX_PAGES {
        let page = caller.get(&next).await.expect(200).json();
        let elements = page[plural].as_array().expect("a list");
        values.extend(elements.iter().map(|element| element[member].clone()));
        match page["next"].as_str() {
            Some(path) => next = path.to_owned(),
            None => return values,
        }
    }
    panic!("{path} does not end");
}

async fn set_up(server: &TestServer) -> (Caller, Caller) {
    let admin = server.person("admin", "root");
    let ada = user("ada").set("role", "manager").set("email", "ada@example.org");
    admin.put("/v1/users/ada", &ada).await.expect(201);
    (admin, server.person("manager", "ada"))
}

#[apply(both_databases)]
async fn unreadable_versions_do_not_end_the_history_of_a_note(server: &TestServer) {
    let (admin, _) = set_up(server).await;
    let note = admin.post("/v1/users/ada/notes", &json!({"text": "0"})).await.expect(201).json();
    let path = format!("/v1/notes/{}", note["id"].as_str().expect("an id"));
    for n in 1..=6 {
        admin.patch(&path, &json!({"text": n.to_string()})).await.expect(200);
    }
    let history = format!("{path}/history");
    assert_eq!(read_list(&admin, &history, "versions", "version").await, [6, 5, 4, 3, 2, 1]);
    let database = server.database();
    database.execute("UPDATE note_versions SET written_by = '' WHERE version IN (6, 5, 4, 2)").await;
    assert_eq!(read_list(&admin, &history, "versions", "version").await, [3, 1]);
    let page = admin.get(&history).await.expect(200).json();
    assert_eq!(page["versions"].as_array().map(Vec::len), Some(2), "{page}");
}

#[apply(both_databases)]
async fn unreadable_reports_and_schedules_are_left_out_of_their_lists(server: &TestServer) {
    let (admin, ada) = set_up(server).await;
    for n in 0..8 {
        report(&ada, &format!("R{n}"), json!({})).await;
        advance_clock(server, 1);
    }
    let database = server.database();
    database.execute("UPDATE reports SET owner = '' WHERE name IN ('R7', 'R6', 'R5', 'R0')").await;
    database.execute("UPDATE reports SET filter = '{' WHERE name = 'R4'").await;
    database.execute("UPDATE reports SET columns = 'none' WHERE name = 'R2'").await;
    assert_eq!(read_list(&admin, "/v1/reports", "reports", "name").await, ["R3", "R1"]);
    assert_eq!(admin.list("/v1/reports", "reports").await.len(), 2);

    let scheduled = report(&ada, "Scheduled", json!({})).await;
    for n in 0..6 {
        schedule(&ada, &scheduled, json!({"at": format!("0{n}:00")}), &["ada"]).await;
    }
    database.execute("UPDATE schedules SET maker = '' WHERE at_minute IN (300, 240)").await;
    database.execute("UPDATE schedules SET frequency = 'never' WHERE at_minute = 180").await;
    database.execute("UPDATE schedules SET time_zone = 'Nowhere' WHERE at_minute = 60").await;
    assert_eq!(read_list(&admin, "/v1/schedules", "schedules", "at").await, ["02:00", "00:00"]);
    let of_report = admin.list(&format!("/v1/reports/{scheduled}/schedules"), "schedules").await;
    assert_eq!(of_report.len(), 2);
}

#[apply(both_databases)]
async fn unreadable_deliveries_do_not_end_their_list_and_delay_no_others(server: &TestServer) {
    let (admin, ada) = set_up(server).await;
    let report = report(&ada, "Ours", json!({})).await;
    let (first, second) = (
        schedule(&ada, &report, json!({}), &["ada"]).await,
        schedule(&ada, &report, json!({"at": "09:00"}), &["ada"]).await,
    );
    let outbox = Outbox::new();
    let sender = sender(server, outbox.mailer(), quick());
    let mut runs = Vec::new();
    for _ in 0..5 {
        advance_clock(server, 60);
        runs.insert(0, json!(run_now(&ada, &first).await));
        sender.work().await.expect("the sender succeeds");
    }
    let list = format!("/v1/reports/{report}/deliveries");
    assert_eq!(read_list(&admin, &list, "deliveries", "id").await, runs);
    let database = server.database();
    let key = |place: usize| {
        format!("(SELECT key FROM (SELECT key FROM deliveries ORDER BY key DESC LIMIT 1 OFFSET {place}) k)")
    };
    database
        .execute(&format!("UPDATE delivery_recipients SET status = 99 WHERE delivery = {}", key(1)))
        .await;
    assert_eq!(read_list(&admin, &list, "deliveries", "id").await, runs);
    for (place, status) in [(0, 99), (2, 0), (4, 77)] {
        database
            .execute(&format!("UPDATE deliveries SET status = {status} WHERE key = {}", key(place)))
            .await;
    }
    let readable = [runs[1].clone(), runs[3].clone()];
    assert_eq!(read_list(&admin, &list, "deliveries", "id").await, readable);
    assert_eq!(admin.list(&list, "deliveries").await.len(), 2);

    // A run that cannot be read is claimed first. The next one is sent all the same.
    advance_clock(server, 60);
    run_now(&ada, &first).await;
    database
        .execute(&format!("UPDATE delivery_recipients SET status = 99 WHERE delivery = {}", key(0)))
        .await;
    advance_clock(server, 60);
    let other = json!(run_now(&ada, &second).await);
    outbox.take();
    sender.work().await.expect("the sender succeeds");
    assert_eq!(outbox.take().len(), 1);
    let [one, three] = readable;
    assert_eq!(read_list(&admin, &list, "deliveries", "id").await, [other, one, three]);
}

#[apply(both_databases)]
async fn unreadable_large_response_fails_no_page_of_the_log(server: &TestServer) {
    let (admin, _) = set_up(server).await;
    for n in 1..=4 {
        let answered = statement(mailbox("ada@example.org"), COMPLETED, "urn:fire")
            .set("id", id(n))
            .set("result", json!({"response": "x".repeat(9000)}));
        admin.post(STATEMENTS, &answered).await.expect(200);
    }
    // PostgreSQL stores no text that is not UTF-8.
    if let Database::Sqlite { .. } = server.database() {
        let broken = format!("CAST(X'{}' AS TEXT)", "ff".repeat(9000));
        let rank =
            "(SELECT count(*) FROM activities b WHERE b.org = activities.org AND b.seq <= activities.seq)";
        let update = format!("UPDATE activities SET response = {broken} WHERE {rank} IN (2, 4)");
        server.database().execute(&update).await;
    }
    for query in ["limit=1", "limit=3", ""] {
        let rows = admin.list(&format!("/v1/activities?{query}"), "activities").await;
        assert_eq!(record_numbers(&rows), [4, 3, 2, 1], "{query}");
    }
}
