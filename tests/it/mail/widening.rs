//! Tests that a report that can show more than before suspends the schedules that others made to addresses outside
//! the directory.

use rollbook::http::AppOptions;
use rollbook::reports::rights::RecipientRules;
use rollbook::reports::sender::SenderOptions;
use serde_json::{Value, json};

use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{Outbox, deliveries, path, quick, report, run_now, schedule, sender};
use crate::support::server::run_with;
use crate::support::{Database, TestServer};

const OUTSIDE: &str = "audit@partner.example";

fn partners() -> RecipientRules {
    RecipientRules { domains: vec!["partner.example".to_owned()] }
}

async fn set_up(server: &TestServer) {
    let root = server.person("admin", "root");
    let with_address = |id: &str, role: &str, address: &str| user(id).set("role", role).set("email", address);
    let users = [
        with_address("rita", "reporter", "rita@example.org"),
        with_address("mo", "manager", "mo@example.org"),
        with_address("hal", "hr", "hal@example.org"),
        with_address("pat", "reporter", "pat@partner.example"),
        user("bo").set("manager", "mo"),
        user("cy").set("manager", "mo"),
    ];
    root.post("/v1/users/batch", &users).await.expect(200);
    for learner in ["bo", "cy"] {
        root.post("/v1/activities", &activity(learner, "logged_out")).await.expect(201);
    }
}

async fn status(caller: &Caller, schedule: &Value) -> (Value, Value) {
    let read = caller.get(&path(schedule)).await.expect(200).json();
    assert_eq!(read["next_run_at"].is_null(), read["active"] == false, "{read}");
    (read["active"].clone(), read["suspended"].clone())
}

const ACTIVE: (Value, Value) = (Value::Bool(true), Value::Null);

async fn ids_of_suspended(caller: &Caller) -> Vec<Value> {
    let mut listed = caller.list("/v1/schedules?status=suspended", "schedules").await;
    listed.reverse();
    listed.iter().map(|one| one["id"].clone()).collect()
}

async fn check_widening(server: &TestServer) {
    set_up(server).await;
    let (rita, mo, hal, root) = (
        server.person("reporter", "rita"),
        server.person("manager", "mo"),
        server.person("hr", "hal"),
        server.person("admin", "root"),
    );
    let report_id = report(&rita, "Bo", json!({"user": ["bo"], "tag": ["a", "b"]})).await;
    let report_path = format!("/v1/reports/{report_id}");
    rita.patch(&report_path, &json!({"filter": {"tag": null}})).await.expect(200);
    let outside = schedule(&mo, &report_id, json!({}), &[OUTSIDE]).await;
    let both = schedule(&hal, &report_id, json!({}), &["hal", OUTSIDE]).await;
    let inside = schedule(&mo, &report_id, json!({}), &["hal"]).await;
    // The address of a user, in a domain that is allowed for addresses outside.
    let address_of_user = schedule(&hal, &report_id, json!({}), &["pat@partner.example"]).await;
    let own = schedule(&rita, &report_id, json!({}), &[OUTSIDE]).await;
    let paused = schedule(&mo, &report_id, json!({"active": false}), &[OUTSIDE]).await;

    // Changes that can only remove rows or columns, or that change neither.
    for patch in [
        json!({"filter": {"action": "logged_out"}}),
        json!({"filter": {"period": "last_30_days"}}),
        json!({"filter": {"period": "last_7_days"}}),
        json!({"filter": {"sort": "happened_at", "tz": "Asia/Tokyo"}}),
        json!({"columns": "standard"}),
        json!({"name": "Bo alone"}),
        json!({"visibility": "private"}),
        json!({"visibility": "shared"}),
    ] {
        rita.patch(&report_path, &patch).await.expect(200);
        for (maker, one) in [(&mo, &outside), (&hal, &both), (&mo, &inside), (&rita, &own)] {
            assert_eq!(status(maker, one).await, ACTIVE, "{patch}");
        }
    }

    // Runs are pending when the report is widened.
    for (caller, one) in [(&mo, &outside), (&mo, &paused), (&mo, &inside), (&rita, &own)] {
        run_now(caller, one).await;
    }
    let before = mo.get(&path(&outside)).await.expect(200);
    rita.patch(&report_path, &json!({"filter": {"user": ["bo", "cy"]}})).await.expect(200);
    for (maker, one) in [(&mo, &outside), (&hal, &both)] {
        let (active, reason) = status(maker, one).await;
        assert_eq!(active, false);
        let reason = reason.as_str().expect("a reason");
        assert!(reason.starts_with("rita Example changed the report"), "{reason}");
        assert!(reason.contains("outside the directory") && reason.contains("resume"), "{reason}");
    }
    assert_ne!(mo.get(&path(&outside)).await.expect(200).header("etag"), before.header("etag"));
    for (maker, one) in [(&mo, &inside), (&hal, &address_of_user), (&rita, &own)] {
        assert_eq!(status(maker, one).await, ACTIVE);
    }
    assert_eq!(status(&mo, &paused).await, (json!(false), Value::Null));

    // Each maker and the administrators find them.
    assert_eq!(ids_of_suspended(&mo).await, [outside["id"].clone()]);
    assert_eq!(ids_of_suspended(&hal).await, [both["id"].clone()]);
    assert_eq!(ids_of_suspended(&root).await, [outside["id"].clone(), both["id"].clone()]);
    assert!(ids_of_suspended(&rita).await.is_empty());
    let shown = root.get(&report_path).await.expect(200).json()["suspended_schedules"].clone();
    assert_eq!(shown[0]["maker"], json!({"id": "mo", "name": "mo Example"}));
    assert_eq!(shown[0]["reason"], status(&mo, &outside).await.1);
    assert_eq!(shown.as_array().map(Vec::len), Some(2));

    // Pending runs to addresses outside are not sent, also of a paused schedule. The others are sent.
    let outbox = Outbox::new();
    let options = SenderOptions { recipients: partners(), ..quick() };
    sender(server, outbox.mailer(), options.clone()).work().await.expect("the sender succeeds");
    let mut sent: Vec<(String, String)> =
        outbox.take().iter().map(|mail| (mail.to.clone(), mail.maker())).collect();
    sent.sort();
    let mail = |to: &str, maker: &str| (to.to_owned(), maker.to_owned());
    assert_eq!(sent, [mail(OUTSIDE, "rita Example"), mail("hal@example.org", "mo Example")]);
    for one in deliveries(&root, &report_id).await {
        let ended = one["schedule"] == outside["id"] || one["schedule"] == paused["id"];
        assert_eq!(one["status"], if ended { "suspended" } else { "sent" }, "{one}");
        assert_eq!(one["reason"].is_string(), ended, "{one}");
    }

    // The maker resumes the schedule, and the wider rows are sent.
    mo.patch(&path(&outside), &json!({"active": true})).await.expect(200);
    assert_eq!(status(&mo, &outside).await, ACTIVE);
    run_now(&mo, &outside).await;
    sender(server, outbox.mailer(), options).work().await.expect("the sender succeeds");
    assert_eq!(outbox.take().iter().map(|mail| mail.rows()).collect::<Vec<_>>(), [2]);

    // More columns are more, too. For an administrator the owner is another user.
    root.patch(&report_path, &json!({"columns": "full"})).await.expect(200);
    for (maker, one) in [(&mo, &outside), (&rita, &own)] {
        let (active, reason) = status(maker, one).await;
        assert_eq!(active, false);
        assert!(reason.as_str().expect("a reason").starts_with("root "), "{reason}");
    }
    assert_eq!(status(&mo, &inside).await, ACTIVE);
    // PUT widens as PATCH does.
    mo.patch(&path(&outside), &json!({"active": true})).await.expect(200);
    let body = json!({"name": "All", "visibility": "shared", "columns": "full"});
    rita.put(&report_path, &body).await.expect(200);
    assert_eq!(status(&mo, &outside).await.0, false);
    // A refused change suspends nothing.
    mo.patch(&path(&outside), &json!({"active": true})).await.expect(200);
    mo.patch(&report_path, &json!({"filter": {"include_deactivated": true}})).await.expect(403);
    rita.patch(&report_path, &json!({"filter": {"include_deactivated": true, "tag": 7}})).await.expect(400);
    assert_eq!(status(&mo, &outside).await, ACTIVE);
}

fn options() -> AppOptions {
    AppOptions { recipients: partners(), ..AppOptions::default() }
}

#[test]
fn wider_report_suspends_schedules_of_others_to_addresses_outside_sqlite() {
    run_with(Database::sqlite(), options(), check_widening);
}

#[test]
fn wider_report_suspends_schedules_of_others_to_addresses_outside_postgres() {
    run_with(Database::postgres(), options(), check_widening);
}
