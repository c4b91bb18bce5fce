//! Who gets which rows: a schedule runs under the rights that its maker has in the directory when it runs, and whoever
//! receives it gets the rows that both may see. The API's own exports are the judge.

use std::collections::BTreeSet;
use std::time::Duration;

use rollbook::base::clock::Timestamp;
use rollbook::http::AppOptions;
use rollbook::reports::rights::RecipientRules;
use rollbook::reports::sender::SenderOptions;
use serde_json::{Value, json};

use super::runs::smtp;
use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{Mail, Outbox, deliveries, path, quick, report, run_now, schedule, sender};
use crate::support::server::run_with;
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, TestServer, apply, both_databases};

/// Two managers with two people each, one of them a manager herself, and those who see all.
async fn company(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let somebody = |id: &str, role: &str| {
        let email = format!("{id}@example.org");
        user(id).set("email", email).set("role", role)
    };
    let users = [
        somebody("boss", "manager"),
        somebody("sub", "manager").set("manager", "boss"),
        somebody("bo", "learner").set("manager", "boss"),
        somebody("cy", "learner").set("manager", "sub"),
        somebody("max", "manager"),
        somebody("di", "learner").set("manager", "max"),
        somebody("rita", "reporter"),
        somebody("hal", "hr"),
        somebody("root", "admin"),
    ];
    let users: Vec<Value> = users.iter().map(|user| user.json()).collect();
    admin.post("/v1/users/batch", &users).await.expect(200);
    let batch: Vec<Value> = ["boss", "sub", "bo", "cy", "max", "di", "rita", "hal", "root"]
        .iter()
        .flat_map(|id| ["logged_out", "logged_out"].map(|action| activity(id, action).json()))
        .collect();
    admin.post("/v1/activities/batch", &batch).await.expect_one_of(&[200, 201]);
    admin
}

/// Whose rows there are in a message, each as often as it is there.
fn people(mail: &Mail) -> Vec<String> {
    let mut people = mail.column("First name");
    people.sort();
    people
}

fn twice(people: &[&str]) -> Vec<String> {
    let mut twice: Vec<String> = people.iter().chain(people).map(|one| (*one).to_owned()).collect();
    twice.sort();
    twice
}

/// The lines of somebody's own export of a report.
async fn lines(caller: &Caller, report: &str) -> BTreeSet<String> {
    let export = caller.get(&format!("/v1/reports/{report}/export.csv")).await.expect(200);
    export.text().lines().map(str::to_owned).collect()
}

/// Runs the schedule by hand and gives what came, by address, and how the delivery ended.
async fn send(
    server: &TestServer,
    outbox: &Outbox,
    options: SenderOptions,
    schedule: &Value,
) -> (Vec<Mail>, Value) {
    let admin = server.person("admin", "root");
    let delivery = run_now(&admin, schedule).await;
    sender(server, outbox.mailer(), options).work().await.expect("it works");
    let report = schedule["report"].as_str().expect("a report");
    let listed = deliveries(&admin, report).await;
    let ended = listed.into_iter().find(|one| one["id"] == delivery.as_str());
    let mut mails = outbox.take();
    mails.sort_by(|one, other| one.to.cmp(&other.to));
    (mails, ended.expect("it has ended"))
}

#[apply(both_databases)]
async fn each_gets_what_both_may_see(server: &TestServer) {
    company(server).await;
    let outbox = Outbox::new();
    let roles =
        [("boss", "manager"), ("sub", "manager"), ("max", "manager"), ("rita", "reporter"), ("hal", "hr")];
    for (maker, role) in [("boss", "manager"), ("rita", "reporter")] {
        let maker = server.person(role, maker);
        for filter in
            [json!({}), json!({"scope": "company"}), json!({"scope": "managed"}), json!({"scope": "me"})]
        {
            let report = report(&maker, "Everything", filter.clone()).await;
            let everybody = roles.map(|(id, _)| id);
            let schedule = schedule(&maker, &report, json!({}), &everybody).await;
            let (mails, ended) = send(server, &outbox, quick(), &schedule).await;
            assert_eq!(ended["status"], "sent", "{ended}");
            assert_eq!(mails.len(), roles.len());
            let makers = lines(&maker, &report).await;
            for (id, role) in roles {
                let mail = mails.iter().find(|mail| mail.to.contains(&format!("{id}@")));
                let csv = mail.expect("everybody has one").csv.clone().expect("a file");
                let got: BTreeSet<String> =
                    String::from_utf8(csv).expect("text").lines().map(str::to_owned).collect();
                // What somebody may see at all: the log without the report's own scope.
                let whole = server.person(role, id).get("/v1/activities/export.csv").await.expect(200);
                let theirs: BTreeSet<String> = whole.text().lines().map(str::to_owned).collect();
                let both: BTreeSet<String> = makers.intersection(&theirs).cloned().collect();
                assert_eq!(got, both, "{id} by {filter}");
            }
            let sizes = ended["recipients"].as_array().expect("recipients");
            assert!(sizes.iter().all(|one| one["status"] == "sent" && one["linked"] == false), "{ended}");
        }
    }
}

#[apply(both_databases)]
async fn the_makers_rights_of_the_moment_count(server: &TestServer) {
    let admin = company(server).await;
    let outbox = Outbox::new();
    let boss = server.person("manager", "boss");
    let report = report(&admin, "Everything", json!({})).await;
    let schedule = schedule(&boss, &report, json!({}), &["boss", "rita"]).await;
    let (mails, _) = send(server, &outbox, quick(), &schedule).await;
    for mail in &mails {
        assert_eq!(people(mail), twice(&["bo", "boss", "cy", "sub"]), "{}", mail.to);
    }

    // Her people move, to her and away.
    admin.patch("/v1/users/di", &json!({"manager": "boss"})).await.expect(200);
    admin.patch("/v1/users/sub", &json!({"manager": "max"})).await.expect(200);
    let (mails, _) = send(server, &outbox, quick(), &schedule).await;
    for mail in &mails {
        assert_eq!(people(mail), twice(&["bo", "boss", "di"]), "{}", mail.to);
    }

    // She rises, and sees all.
    admin.patch("/v1/users/boss", &json!({"role": "reporter"})).await.expect(200);
    let (mails, _) = send(server, &outbox, quick(), &schedule).await;
    assert_eq!(people(&mails[0]).len(), 18);

    // She falls: nothing is sent, and the schedule says why.
    admin.patch("/v1/users/boss", &json!({"role": "learner"})).await.expect(200);
    let (mails, ended) = send(server, &outbox, quick(), &schedule).await;
    assert!(mails.is_empty());
    assert_eq!(ended["status"], "suspended", "{ended}");
    assert!(ended["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    assert!(ended["recipients"].as_array().expect("recipients").iter().all(|one| one["status"] == "failed"));
    let stands = admin.get(&path(&schedule)).await.expect(200).json();
    assert_eq!((&stands["active"], &stands["next_run_at"]), (&json!(false), &Value::Null));
    assert_eq!(stands["suspended"], ended["reason"]);
}

#[apply(both_databases)]
async fn a_maker_who_may_not_any_more_suspends_it_until_it_is_resumed(server: &TestServer) {
    let admin = company(server).await;
    let outbox = Outbox::new();
    let boss = server.person("manager", "boss");
    let shared = report(&admin, "Shared", json!({})).await;
    let take_away = [
        ("/v1/users/boss", json!({"active": false}), json!({"active": true})),
        ("/v1/users/boss", json!({"role": "learner"}), json!({"role": "manager"})),
        (
            &*format!("/v1/reports/{shared}"),
            json!({"visibility": "private"}),
            json!({"visibility": "shared"}),
        ),
    ];
    for (what, taken, given) in take_away {
        let schedule = schedule(&boss, &shared, json!({}), &["rita"]).await;
        admin.patch(what, &taken).await.expect(200);
        let (mails, ended) = send(server, &outbox, quick(), &schedule).await;
        assert!(mails.is_empty());
        assert_eq!(ended["status"], "suspended", "{taken}: {ended}");
        admin.patch(what, &given).await.expect(200);

        // By hand it goes, and stands still all the same.
        let (mails, ended) = send(server, &outbox, quick(), &schedule).await;
        assert_eq!((mails.len(), &ended["status"]), (1, &json!("sent")));
        assert_eq!(admin.get(&path(&schedule)).await.expect(200).json()["active"], false);
        let resumed = admin.patch(&path(&schedule), &json!({"active": true})).await.expect(200).json();
        assert_eq!((&resumed["active"], &resumed["suspended"]), (&json!(true), &Value::Null));
        assert!(resumed["next_run_at"].is_string());
        admin.delete(&path(&schedule)).await.expect_one_of(&[200, 204]);
    }
}

#[apply(both_databases)]
async fn an_address_of_the_directory_gets_what_its_user_may_see(server: &TestServer) {
    let admin = company(server).await;
    let outbox = Outbox::new();
    let report = report(&admin, "Everything", json!({})).await;
    let schedule = schedule(&admin, &report, json!({}), &["max@example.org", "hal"]).await;
    assert_eq!(schedule["recipients"], json!(["max@example.org", "hal"]));
    // The operator allows the organisation's own domain: it is still that user.
    let own =
        SenderOptions { recipients: RecipientRules { domains: vec!["example.org".to_owned()] }, ..quick() };
    let (mails, ended) = send(server, &outbox, own.clone(), &schedule).await;
    let max = mails.iter().find(|mail| mail.to.contains("max@")).expect("a message");
    assert_eq!(people(max), twice(&["di", "max"]));
    assert_eq!(ended["recipients"][0]["recipient"], "max@example.org");
    admin.patch("/v1/users/max", &json!({"role": "learner"})).await.expect(200);
    let (mails, ended) = send(server, &outbox, own, &schedule).await;
    assert!(mails.iter().all(|mail| !mail.to.contains("max@")));
    assert_eq!(ended["recipients"][0]["status"], "failed", "{ended}");
}

#[apply(both_databases)]
async fn a_recipient_who_may_not_any_more_fails_alone(server: &TestServer) {
    let admin = company(server).await;
    let outbox = Outbox::new();
    let report = report(&admin, "Everything", json!({})).await;
    for (change, back) in [
        (json!({"active": false}), json!({"active": true})),
        (json!({"role": "learner"}), json!({"role": "manager"})),
        (json!({"email": null}), json!({"email": "max@example.org"})),
    ] {
        let schedule = schedule(&admin, &report, json!({}), &["rita", "max", "hal"]).await;
        admin.patch("/v1/users/max", &change).await.expect(200);
        let (mails, ended) = send(server, &outbox, quick(), &schedule).await;
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
async fn rights_that_end_while_it_is_sent_end_it(server: &TestServer) {
    let admin = company(server).await;
    let mails = SmtpServer::start().await;
    let everybody = report(&admin, "Everything", json!({})).await;
    let schedule = schedule(&admin, &everybody, json!({}), &["rita", "hal", "root"]).await;
    mails.change_behaviour(|behaviour| behaviour.answer = Duration::from_millis(300));
    let options = SenderOptions { rights_hold: Duration::ZERO, ..quick() };
    let sender = sender(server, smtp(&mails, Duration::from_secs(20)), options);
    run_now(&admin, &schedule).await;
    let working = async {
        sender.work().await.expect("it works");
    };
    let meanwhile = async {
        mails.wait_for(1).await;
        admin.patch("/v1/users/hal", &json!({"active": false})).await.expect(200);
    };
    tokio::join!(working, meanwhile);
    let to: Vec<_> = mails.received().into_iter().flat_map(|one| one.to).collect();
    assert_eq!(to, ["rita@example.org", "root@example.org"]);
    let listed = deliveries(&admin, &everybody).await;
    assert_eq!(
        (&listed[0]["status"], &listed[0]["attempts"]),
        (&json!("failed"), &json!(1)),
        "{}",
        listed[0]
    );
    assert_eq!(statuses(&listed[0]), ["sent", "failed", "sent"]);
}

#[apply(both_databases)]
async fn who_fails_slowly_keeps_nobody_from_being_tried(server: &TestServer) {
    let admin = company(server).await;
    let mails = SmtpServer::start().await;
    let everybody = report(&admin, "Everything", json!({})).await;
    let schedule = schedule(&admin, &everybody, json!({}), &["rita", "hal", "root"]).await;
    mails.change_behaviour(|behaviour| {
        _ = behaviour.refused_recipients.insert("rita@example.org".to_owned(), 450)
    });
    let options = SenderOptions { rights_hold: Duration::ZERO, ..quick() };
    let sender = sender(server, smtp(&mails, Duration::from_secs(20)), options);
    run_now(&admin, &schedule).await;
    sender.work().await.expect("it works");
    assert!(mails.received().is_empty(), "the attempt counts, with all of them open");
    let pending = admin.get(&path(&schedule)).await.expect(200).json()["pending"].clone();
    assert_eq!(pending["attempts"], 1);
    let reason = pending["reason"].as_str().expect("a reason");
    assert!(reason.contains("rita: ") && reason.contains("450") && reason.contains("root: "), "{reason}");
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 60_000_000));
    sender.work().await.expect("it works");
    let to: Vec<_> = mails.received().into_iter().flat_map(|one| one.to).collect();
    assert_eq!(to, ["hal@example.org", "root@example.org"]);
    let pending = admin.get(&path(&schedule)).await.expect(200).json()["pending"].clone();
    assert_eq!(pending["attempts"], 2);
}

/// What became of each recipient.
fn statuses(delivery: &Value) -> Vec<String> {
    let recipients = delivery["recipients"].as_array().expect("recipients").iter();
    recipients.map(|one| one["status"].as_str().expect("a status").to_owned()).collect()
}

/// Addresses outside the directory: what its maker may see, as long as the operator allows their domain.
fn outside(database: Database) {
    let allowed = RecipientRules { domains: vec!["partner.example".to_owned()] };
    let options = AppOptions { recipients: allowed.clone(), ..AppOptions::default() };
    run_with(database, options, async |server: &TestServer| {
        company(server).await;
        let outbox = Outbox::new();
        let boss = server.person("manager", "boss");
        let report = report(&boss, "Everything", json!({})).await;
        let schedule = schedule(&boss, &report, json!({}), &["audit@partner.example", "max"]).await;
        let with = |recipients| SenderOptions { recipients, ..quick() };
        let (mails, ended) = send(server, &outbox, with(allowed), &schedule).await;
        assert_eq!(ended["status"], "sent", "{ended}");
        assert!(mails[0].to.contains("audit@partner.example"));
        assert_eq!(people(&mails[0]), twice(&["bo", "boss", "cy", "sub"]));
        assert_eq!(people(&mails[1]), twice(&[]));

        let (mails, ended) = send(server, &outbox, with(RecipientRules::default()), &schedule).await;
        assert_eq!((mails.len(), &ended["status"]), (1, &json!("failed")), "{ended}");
        assert!(mails[0].to.contains("max@"));
    });
}

/// An address of the list that became a user's since, beside that user: one message for both entries, whatever becomes of
/// it.
fn the_same_twice(database: Database) {
    let allowed = RecipientRules { domains: vec!["partner.example".to_owned()] };
    let options = AppOptions { recipients: allowed.clone(), ..AppOptions::default() };
    run_with(database, options, async |server: &TestServer| {
        let admin = company(server).await;
        let mails = SmtpServer::start().await;
        let everything = report(&admin, "Everything", json!({})).await;
        let to = ["audit@partner.example", "max", "rita"];
        let schedule = schedule(&admin, &everything, json!({}), &to).await;
        let options = SenderOptions { recipients: allowed, ..quick() };
        let sender = sender(server, smtp(&mails, Duration::from_secs(20)), options);
        // While they are two, one of them gets it, and the other one is to be tried again.
        run_now(&admin, &schedule).await;
        mails.change_behaviour(|behaviour| {
            _ = behaviour.refused_recipients.insert("audit@partner.example".to_owned(), 450)
        });
        sender.work().await.expect("it works");
        assert_eq!(mails.received().len(), 2);

        admin.patch("/v1/users/max", &json!({"email": "audit@partner.example"})).await.expect(200);
        let later =
            |micros: i64| server.clock.set(Timestamp::from_micros(server.clock.now().micros() + micros));
        later(60_000_000);
        sender.work().await.expect("it works");
        assert_eq!(mails.received().len(), 2, "they have it");
        let listed = deliveries(&admin, &everything).await;
        assert_eq!(statuses(&listed[0]), ["sent", "sent", "sent"], "{}", listed[0]);
        assert_eq!(listed[0]["recipients"][0]["sent_at"], listed[0]["recipients"][1]["sent_at"]);

        // One message, and what is said of it holds for both.
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
            sender.work().await.expect("it works");
            let mut to = reached(before);
            to.sort();
            let both = ["audit@partner.example", "rita@example.org"];
            assert_eq!(to, if code.is_none() { &both[..] } else { &both[1..] });
            let listed = deliveries(&admin, &everything).await;
            let ended = listed.iter().find(|one| one["id"] == delivery.as_str()).expect("it has ended");
            assert_eq!(statuses(ended), [status, status, "sent"], "{ended}");
            assert_eq!(ended["recipients"][0]["reason"], ended["recipients"][1]["reason"]);
            assert_eq!(ended["recipients"][0]["rows"], ended["recipients"][1]["rows"]);
        }
        let last = mails.received().pop().expect("a message");
        assert!(!last.text().contains("audit@"), "they are named once: {}", last.text());
    });
}

#[test]
fn whoever_is_named_twice_gets_one_message_sqlite() {
    the_same_twice(Database::sqlite());
}

#[test]
fn whoever_is_named_twice_gets_one_message_postgres() {
    the_same_twice(Database::postgres());
}

#[test]
fn addresses_outside_get_the_makers_rows_while_they_are_allowed_sqlite() {
    outside(Database::sqlite());
}

#[test]
fn addresses_outside_get_the_makers_rows_while_they_are_allowed_postgres() {
    outside(Database::postgres());
}
