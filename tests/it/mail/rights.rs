//! Tests of rights in reports by mail. A schedule uses the current rights of its maker, and each recipient
//! gets the rows that both may read. The exports of the API give the expected rows.

use std::collections::BTreeSet;
use std::time::Duration;

use rollbook::base::clock::Timestamp;
use rollbook::http::AppOptions;
use rollbook::reports::rights::RecipientRules;
use rollbook::reports::sender::SenderOptions;
use serde_json::{Value, json};

use super::runs::smtp_mailer;
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{Mail, Outbox, deliveries, path, quick, report, run_now, schedule, sender};
use crate::support::server::run_with;
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, TestServer, apply, both_databases};

/// Creates two managers with two people each, and users that read all rows. One of the managed people is a
/// manager too.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let user_with_role = |id: &str, role: &str| {
        let email = format!("{id}@example.org");
        user(id).set("email", email).set("role", role)
    };
    let users = [
        user_with_role("boss", "manager"),
        user_with_role("sub", "manager").set("manager", "boss"),
        user_with_role("bo", "learner").set("manager", "boss"),
        user_with_role("cy", "learner").set("manager", "sub"),
        user_with_role("max", "manager"),
        user_with_role("di", "learner").set("manager", "max"),
        user_with_role("rita", "reporter"),
        user_with_role("hal", "hr"),
        user_with_role("root", "admin"),
    ];
    let users: Vec<Value> = users.iter().map(|user| user.json()).collect();
    admin.post("/v1/users/batch", &users).await.expect(200);
    let batch: Vec<Value> = ["boss", "sub", "bo", "cy", "max", "di", "rita", "hal", "root"]
        .iter()
        .flat_map(|id| ["logged_out", "logged_out"].map(|action| activity(id, action).json()))
        .collect();
    admin.post("/v1/activities/batch", &batch).await.expect(201);
    admin
}

/// The first names of the rows of a message, sorted.
fn first_names(mail: &Mail) -> Vec<String> {
    let mut people = mail.column("First name");
    people.sort();
    people
}

fn doubled_and_sorted(people: &[&str]) -> Vec<String> {
    let mut twice: Vec<String> = people.iter().chain(people).map(|one| (*one).to_owned()).collect();
    twice.sort();
    twice
}

/// The lines of the caller's export of a report.
async fn export_lines(caller: &Caller, report: &str) -> BTreeSet<String> {
    let export = caller.get(&format!("/v1/reports/{report}/export.csv?bom=true")).await.expect(200);
    export.text().lines().map(str::to_owned).collect()
}

/// Runs the schedule now. Returns the messages sorted by address, and the delivery.
async fn send_now(
    server: &TestServer,
    outbox: &Outbox,
    options: SenderOptions,
    schedule: &Value,
) -> (Vec<Mail>, Value) {
    let admin = server.person("admin", "root");
    let delivery = run_now(&admin, schedule).await;
    sender(server, outbox.mailer(), options).work().await.expect("the sender succeeds");
    let report = schedule["report"].as_str().expect("a report");
    let listed = deliveries(&admin, report).await;
    let ended = listed.into_iter().find(|one| one["id"] == delivery.as_str());
    let mut mails = outbox.take();
    mails.sort_by(|one, other| one.to.cmp(&other.to));
    (mails, ended.expect("an ended delivery"))
}

#[apply(both_databases)]
async fn recipients_get_rows_that_maker_and_recipient_may_read(server: &TestServer) {
    set_up(server).await;
    let outbox = Outbox::new();
    let roles =
        [("boss", "manager"), ("sub", "manager"), ("max", "manager"), ("rita", "reporter"), ("hal", "hr")];
    for (maker, role) in [("boss", "manager"), ("rita", "reporter")] {
        let maker = server.person(role, maker);
        for filter in
            [json!({}), json!({"scope": "company"}), json!({"scope": "managed"}), json!({"scope": "me"})]
        {
            let report = report(&maker, "Everything", filter.clone()).await;
            let recipients = roles.map(|(id, _)| id);
            let schedule = schedule(&maker, &report, json!({}), &recipients).await;
            let (mails, ended) = send_now(server, &outbox, quick(), &schedule).await;
            assert_eq!(ended["status"], "sent", "{ended}");
            assert_eq!(mails.len(), roles.len());
            let lines_of_maker = export_lines(&maker, &report).await;
            for (id, role) in roles {
                let mail = mails.iter().find(|mail| mail.to.contains(&format!("{id}@")));
                let csv = mail.expect("each recipient has a message").csv.clone().expect("a file");
                let received: BTreeSet<String> =
                    String::from_utf8(csv).expect("text").lines().map(str::to_owned).collect();
                // The rows that the recipient may read, without the scope of the report.
                let whole =
                    server.person(role, id).get("/v1/activities/export.csv?bom=true").await.expect(200);
                let lines_of_recipient: BTreeSet<String> = whole.text().lines().map(str::to_owned).collect();
                let both: BTreeSet<String> =
                    lines_of_maker.intersection(&lines_of_recipient).cloned().collect();
                assert_eq!(received, both, "{id} by {filter}");
            }
            let sizes = ended["recipients"].as_array().expect("recipients");
            assert!(sizes.iter().all(|one| one["status"] == "sent" && one["linked"] == false), "{ended}");
        }
    }
}

#[apply(both_databases)]
async fn current_rights_of_the_maker_count(server: &TestServer) {
    let admin = set_up(server).await;
    let outbox = Outbox::new();
    let boss = server.person("manager", "boss");
    let report = report(&admin, "Everything", json!({})).await;
    let schedule = schedule(&boss, &report, json!({}), &["boss", "rita"]).await;
    let (mails, _) = send_now(server, &outbox, quick(), &schedule).await;
    for mail in &mails {
        assert_eq!(first_names(mail), doubled_and_sorted(&["bo", "boss", "cy", "sub"]), "{}", mail.to);
    }

    // Two people change their manager.
    admin.patch("/v1/users/di", &json!({"manager": "boss"})).await.expect(200);
    admin.patch("/v1/users/sub", &json!({"manager": "max"})).await.expect(200);
    let (mails, _) = send_now(server, &outbox, quick(), &schedule).await;
    for mail in &mails {
        assert_eq!(first_names(mail), doubled_and_sorted(&["bo", "boss", "di"]), "{}", mail.to);
    }

    // As a reporter, the maker reads all rows.
    admin.patch("/v1/users/boss", &json!({"role": "reporter"})).await.expect(200);
    let (mails, _) = send_now(server, &outbox, quick(), &schedule).await;
    assert_eq!(first_names(&mails[0]).len(), 18);

    // As a learner, the maker reads no reports: the schedule is suspended with a reason.
    admin.patch("/v1/users/boss", &json!({"role": "learner"})).await.expect(200);
    let (mails, ended) = send_now(server, &outbox, quick(), &schedule).await;
    assert!(mails.is_empty());
    assert_eq!(ended["status"], "suspended", "{ended}");
    assert!(ended["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    assert!(ended["recipients"].as_array().expect("recipients").iter().all(|one| one["status"] == "failed"));
    let suspended = admin.get(&path(&schedule)).await.expect(200).json();
    assert_eq!((&suspended["active"], &suspended["next_run_at"]), (&json!(false), &Value::Null));
    assert_eq!(suspended["suspended"], ended["reason"]);
}

#[apply(both_databases)]
async fn schedule_is_suspended_when_its_maker_loses_rights(server: &TestServer) {
    let admin = set_up(server).await;
    let outbox = Outbox::new();
    let boss = server.person("manager", "boss");
    let shared = report(&admin, "Shared", json!({})).await;
    let changes = [
        ("/v1/users/boss", json!({"active": false}), json!({"active": true})),
        ("/v1/users/boss", json!({"role": "learner"}), json!({"role": "manager"})),
        (
            &*format!("/v1/reports/{shared}"),
            json!({"visibility": "private"}),
            json!({"visibility": "shared"}),
        ),
    ];
    for (path_to_change, change, revert) in changes {
        let schedule = schedule(&boss, &shared, json!({}), &["rita"]).await;
        admin.patch(path_to_change, &change).await.expect(200);
        let (mails, ended) = send_now(server, &outbox, quick(), &schedule).await;
        assert!(mails.is_empty());
        assert_eq!(ended["status"], "suspended", "{change}: {ended}");
        admin.patch(path_to_change, &revert).await.expect(200);

        // A manual run is sent, but the schedule stays suspended.
        let (mails, ended) = send_now(server, &outbox, quick(), &schedule).await;
        assert_eq!((mails.len(), &ended["status"]), (1, &json!("sent")));
        assert_eq!(admin.get(&path(&schedule)).await.expect(200).json()["active"], false);
        let resumed = admin.patch(&path(&schedule), &json!({"active": true})).await.expect(200).json();
        assert_eq!((&resumed["active"], &resumed["suspended"]), (&json!(true), &Value::Null));
        assert!(resumed["next_run_at"].is_string());
        admin.delete(&path(&schedule)).await.expect(204);
    }
}

#[apply(both_databases)]
async fn address_of_a_user_gets_the_rows_of_the_user(server: &TestServer) {
    let admin = set_up(server).await;
    let outbox = Outbox::new();
    let report = report(&admin, "Everything", json!({})).await;
    let schedule = schedule(&admin, &report, json!({}), &["max@example.org", "hal"]).await;
    assert_eq!(schedule["recipients"], json!(["max@example.org", "hal"]));
    // Even if the operator allows the organisation's own domain, the address belongs to the user.
    let own =
        SenderOptions { recipients: RecipientRules { domains: vec!["example.org".to_owned()] }, ..quick() };
    let (mails, ended) = send_now(server, &outbox, own.clone(), &schedule).await;
    let max = mails.iter().find(|mail| mail.to.contains("max@")).expect("a message");
    assert_eq!(first_names(max), doubled_and_sorted(&["di", "max"]));
    assert_eq!(ended["recipients"][0]["recipient"], "max@example.org");
    admin.patch("/v1/users/max", &json!({"role": "learner"})).await.expect(200);
    let (mails, ended) = send_now(server, &outbox, own, &schedule).await;
    assert!(mails.iter().all(|mail| !mail.to.contains("max@")));
    assert_eq!(ended["recipients"][0]["status"], "failed", "{ended}");
}

#[apply(both_databases)]
async fn only_the_recipient_without_rights_fails(server: &TestServer) {
    let admin = set_up(server).await;
    let outbox = Outbox::new();
    let report = report(&admin, "Everything", json!({})).await;
    for (change, back) in [
        (json!({"active": false}), json!({"active": true})),
        (json!({"role": "learner"}), json!({"role": "manager"})),
        (json!({"email": null}), json!({"email": "max@example.org"})),
    ] {
        let schedule = schedule(&admin, &report, json!({}), &["rita", "max", "hal"]).await;
        admin.patch("/v1/users/max", &change).await.expect(200);
        let (mails, ended) = send_now(server, &outbox, quick(), &schedule).await;
        assert_eq!(mails.len(), 2, "{change}");
        assert_eq!((&ended["status"], &ended["attempts"]), (&json!("failed"), &json!(1)), "{ended}");
        let statuses: Vec<_> = ended["recipients"]
            .as_array()
            .expect("recipients")
            .iter()
            .map(|one| one["status"].as_str().expect("a status").to_owned())
            .collect();
        assert_eq!(statuses, ["sent", "failed", "sent"]);
        assert!(ended["reason"].as_str().expect("a reason").contains("max"), "{ended}");
        admin.patch("/v1/users/max", &back).await.expect(200);
    }
}

#[apply(both_databases)]
async fn rights_are_checked_again_during_a_run(server: &TestServer) {
    let admin = set_up(server).await;
    let mails = SmtpServer::start().await;
    let report_id = report(&admin, "Everything", json!({})).await;
    let schedule = schedule(&admin, &report_id, json!({}), &["rita", "hal", "root"]).await;
    mails.change_behaviour(|behaviour| behaviour.answer = Duration::from_millis(300));
    let options = SenderOptions { rights_valid_for: Duration::ZERO, ..quick() };
    let sender = sender(server, smtp_mailer(&mails, Duration::from_secs(20)), options);
    run_now(&admin, &schedule).await;
    let working = async {
        sender.work().await.expect("the sender succeeds");
    };
    let meanwhile = async {
        mails.wait_for(1).await;
        admin.patch("/v1/users/hal", &json!({"active": false})).await.expect(200);
    };
    tokio::join!(working, meanwhile);
    let to: Vec<_> = mails.received().into_iter().flat_map(|one| one.to).collect();
    assert_eq!(to, ["rita@example.org", "root@example.org"]);
    let listed = deliveries(&admin, &report_id).await;
    assert_eq!(
        (&listed[0]["status"], &listed[0]["attempts"]),
        (&json!("failed"), &json!(1)),
        "{}",
        listed[0]
    );
    assert_eq!(statuses(&listed[0]), ["sent", "failed", "sent"]);
}

#[apply(both_databases)]
async fn failing_recipients_do_not_block_others(server: &TestServer) {
    let admin = set_up(server).await;
    let mails = SmtpServer::start().await;
    let report_id = report(&admin, "Everything", json!({})).await;
    let schedule = schedule(&admin, &report_id, json!({}), &["rita", "hal", "root"]).await;
    mails.change_behaviour(|behaviour| {
        _ = behaviour.refused_recipients.insert("rita@example.org".to_owned(), 450)
    });
    let options = SenderOptions { rights_valid_for: Duration::ZERO, ..quick() };
    let sender = sender(server, smtp_mailer(&mails, Duration::from_secs(20)), options);
    run_now(&admin, &schedule).await;
    sender.work().await.expect("the sender succeeds");
    assert!(mails.received().is_empty(), "the attempt ends at the first failure");
    let pending = admin.get(&path(&schedule)).await.expect(200).json()["pending"].clone();
    assert_eq!(pending["attempts"], 1);
    let reason = pending["reason"].as_str().expect("a reason");
    assert!(reason.contains("rita: ") && reason.contains("450") && reason.contains("root: "), "{reason}");
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 60_000_000));
    sender.work().await.expect("the sender succeeds");
    let to: Vec<_> = mails.received().into_iter().flat_map(|one| one.to).collect();
    assert_eq!(to, ["hal@example.org", "root@example.org"]);
    let pending = admin.get(&path(&schedule)).await.expect(200).json()["pending"].clone();
    assert_eq!(pending["attempts"], 2);
}

/// The status of each recipient.
fn statuses(delivery: &Value) -> Vec<String> {
    let recipients = delivery["recipients"].as_array().expect("recipients").iter();
    recipients.map(|one| one["status"].as_str().expect("a status").to_owned()).collect()
}

/// Checks that addresses outside the organisation get the rows of the maker while the operator allows their
/// domain.
fn check_outside_addresses(database: Database) {
    let allowed = RecipientRules { domains: vec!["partner.example".to_owned()] };
    let options = AppOptions { recipients: allowed.clone(), ..AppOptions::default() };
    run_with(database, options, async |server: &TestServer| {
        set_up(server).await;
        let outbox = Outbox::new();
        let boss = server.person("manager", "boss");
        let report = report(&boss, "Everything", json!({})).await;
        let schedule = schedule(&boss, &report, json!({}), &["audit@partner.example", "max"]).await;
        let with = |recipients| SenderOptions { recipients, ..quick() };
        let (mails, ended) = send_now(server, &outbox, with(allowed), &schedule).await;
        assert_eq!(ended["status"], "sent", "{ended}");
        assert!(mails[0].to.contains("audit@partner.example"));
        assert_eq!(first_names(&mails[0]), doubled_and_sorted(&["bo", "boss", "cy", "sub"]));
        assert_eq!(first_names(&mails[1]), doubled_and_sorted(&[]));

        let (mails, ended) = send_now(server, &outbox, with(RecipientRules::default()), &schedule).await;
        assert_eq!((mails.len(), &ended["status"]), (1, &json!("failed")), "{ended}");
        assert!(mails[0].to.contains("max@"));
    });
}

/// Checks recipients of which one is an address and another one is the user that has got this address
/// later: they get one message, and one result.
fn check_same_address(database: Database) {
    let allowed = RecipientRules { domains: vec!["partner.example".to_owned()] };
    let options = AppOptions { recipients: allowed.clone(), ..AppOptions::default() };
    run_with(database, options, async |server: &TestServer| {
        let admin = set_up(server).await;
        let mails = SmtpServer::start().await;
        let everything = report(&admin, "Everything", json!({})).await;
        let to = ["audit@partner.example", "max", "rita"];
        let schedule = schedule(&admin, &everything, json!({}), &to).await;
        let options = SenderOptions { recipients: allowed, ..quick() };
        let sender = sender(server, smtp_mailer(&mails, Duration::from_secs(20)), options);
        // While the address belongs to no user, each gets a message. One of them fails and will be tried
        // again.
        run_now(&admin, &schedule).await;
        mails.change_behaviour(|behaviour| {
            _ = behaviour.refused_recipients.insert("audit@partner.example".to_owned(), 450)
        });
        sender.work().await.expect("the sender succeeds");
        assert_eq!(mails.received().len(), 2);

        admin.patch("/v1/users/max", &json!({"email": "audit@partner.example"})).await.expect(200);
        let later =
            |micros: i64| server.clock.set(Timestamp::from_micros(server.clock.now().micros() + micros));
        later(60_000_000);
        sender.work().await.expect("the sender succeeds");
        assert_eq!(mails.received().len(), 2, "the message is not sent again");
        let listed = deliveries(&admin, &everything).await;
        assert_eq!(statuses(&listed[0]), ["sent", "sent", "sent"], "{}", listed[0]);
        assert_eq!(listed[0]["recipients"][0]["sent_at"], listed[0]["recipients"][1]["sent_at"]);

        // One message is sent, and its result is saved for both.
        let reached = |before: usize| -> Vec<String> {
            let received = mails.received().split_off(before);
            received.into_iter().flat_map(|one| one.to).collect()
        };
        for (code, status) in [(None, "sent"), (Some(550), "failed")] {
            let before = mails.received().len();
            mails.change_behaviour(|behaviour| {
                behaviour.refused_recipients.clear();
                if let Some(code) = code {
                    behaviour.refused_recipients.insert("audit@partner.example".to_owned(), code);
                }
            });
            let delivery = run_now(&admin, &schedule).await;
            sender.work().await.expect("the sender succeeds");
            let mut to = reached(before);
            to.sort();
            let both = ["audit@partner.example", "rita@example.org"];
            assert_eq!(to, if code.is_none() { &both[..] } else { &both[1..] });
            let listed = deliveries(&admin, &everything).await;
            let ended = listed.iter().find(|one| one["id"] == delivery.as_str()).expect("an ended delivery");
            assert_eq!(statuses(ended), [status, status, "sent"], "{ended}");
            assert_eq!(ended["recipients"][0]["reason"], ended["recipients"][1]["reason"]);
            assert_eq!(ended["recipients"][0]["rows"], ended["recipients"][1]["rows"]);
        }
        let last = mails.received().pop().expect("a message");
        assert!(!last.text().contains("audit@"), "the message lists its own recipient: {}", last.text());
    });
}

#[test]
fn equal_recipients_get_one_message_sqlite() {
    check_same_address(Database::sqlite());
}

#[test]
fn equal_recipients_get_one_message_postgres() {
    check_same_address(Database::postgres());
}

#[test]
fn outside_addresses_get_the_makers_rows_while_allowed_sqlite() {
    check_outside_addresses(Database::sqlite());
}

#[test]
fn outside_addresses_get_the_makers_rows_while_allowed_postgres() {
    check_outside_addresses(Database::postgres());
}
