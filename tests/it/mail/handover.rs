//! Tests of handing a report over: its keys, schedules, runs and links.

use rollbook::base::clock::Timestamp;
use rollbook::reports::packed_export::Sizes;
use rollbook::reports::sender::SenderOptions;
use serde_json::{Value, json};

use crate::support::builders::{activity, user};
use crate::support::http::Caller;
use crate::support::outbox::{Outbox, deliveries, path, quick, report, run_now, schedule, sender};
use crate::support::{TestServer, apply, both_databases};

/// Creates the managers Ada and Mo with a learner each, and users that may not have reports. Returns an admin.
async fn set_up(server: &TestServer) -> Caller {
    let root = server.person("admin", "root");
    let with_address =
        |id: &str, role: &str| user(id).set("role", role).set("email", format!("{id}@example.org"));
    let users = [
        with_address("ada", "manager"),
        with_address("mo", "manager"),
        with_address("hal", "hr"),
        with_address("cy", "curator"),
        with_address("dee", "reporter").set("active", false),
        with_address("bo", "learner").set("manager", "ada"),
        with_address("eve", "learner").set("manager", "mo"),
    ];
    root.post("/v1/users/batch", &users).await.expect(200);
    for learner in ["bo", "eve", "eve"] {
        root.post("/v1/activities", &activity(learner, "logged_out")).await.expect(201);
    }
    root
}

async fn owner_of(caller: &Caller, report: &str) -> Value {
    caller.get(report).await.expect(200).json()["owner"].clone()
}

#[apply(both_databases)]
async fn administrators_and_the_owner_hand_a_report_over(server: &TestServer) {
    let root = set_up(server).await;
    let (ada, mo, hal) =
        (server.person("manager", "ada"), server.person("manager", "mo"), server.person("hr", "hal"));
    let report = format!("/v1/reports/{}", report(&ada, "Ours", json!({"tag": "a"})).await);
    // Only users that may have reports by the directory become owners.
    for owner in ["nobody", "bo", "cy", "dee", "root", ""] {
        for caller in [&root, &ada] {
            let refused = caller.patch(&report, &json!({"owner": owner})).await.expect(400);
            assert_eq!(refused.error_pointers(), ["/owner"], "{owner}");
        }
    }
    for owner in [json!(null), json!(7), json!({}), json!({"name": "Mo"}), json!(["mo"])] {
        let refused = root.patch(&report, &json!({"owner": owner})).await.expect(400);
        assert_eq!(refused.error_pointers(), ["/owner"], "{owner}");
    }
    // Others may not, and learn nothing about users.
    for owner in ["mo", "nobody"] {
        mo.patch(&report, &json!({"owner": owner})).await.expect(403);
        hal.patch(&report, &json!({"owner": owner})).await.expect(403);
    }
    assert_eq!(ada.get(&report).await.expect(200).header("etag"), Some("\"1\""));

    let handed = root.patch(&report, &json!({"owner": "mo", "name": "Theirs"})).await.expect(200);
    assert_eq!(handed.header("etag"), Some("\"2\""));
    let handed = handed.json();
    assert_eq!(handed["owner"], json!({"id": "mo", "name": "mo Example"}));
    assert_eq!((&handed["name"], &handed["filter"]), (&json!("Theirs"), &json!({"tag": ["a"]})));
    assert_eq!(ada.list("/v1/reports?owner=ada", "reports").await, Vec::<Value>::new());
    assert_eq!(hal.list("/v1/reports?owner=mo", "reports").await.len(), 1);
    ada.patch(&report, &json!({"name": "Mine"})).await.expect(403);
    // The new owner has the rights of an owner, and hands it on. The object that GET gives is accepted.
    mo.patch(&report, &json!({"owner": {"id": "hal", "name": "anything"}})).await.expect(200);
    assert_eq!(owner_of(&ada, &report).await["id"], "hal");
    // PUT leaves the owner, also if the body names another one.
    let body = json!({"name": "Hal's", "visibility": "shared", "owner": "ada"});
    assert_eq!(hal.put(&report, &body).await.expect(200).json()["owner"]["id"], "hal");
    // The present owner is no change.
    let read = hal.get(&report).await.expect(200);
    let same = hal.patch(&report, &json!({"owner": "hal"})).await.expect(200);
    assert_eq!((same.header("etag"), same.json()), (read.header("etag"), read.json()));

    // A private report is handed over by its owner. For everyone else, it exists no more than before.
    hal.patch(&report, &json!({"visibility": "private"})).await.expect(200);
    root.patch(&report, &json!({"owner": "root"})).await.expect(404);
    let handed = hal.patch(&report, &json!({"owner": "ada"})).await.expect(200).json();
    assert_eq!((&handed["owner"]["id"], &handed["visibility"]), (&json!("ada"), &json!("private")));
    assert_eq!(owner_of(&ada, &report).await["id"], "ada");
    for caller in [&hal, &mo, &root] {
        caller.get(&report).await.expect(404);
    }
}

#[apply(both_databases)]
async fn private_report_of_a_user_that_has_left_is_handed_over(server: &TestServer) {
    let root = set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    let body = json!({"name": "Mine"});
    let id =
        ada.post("/v1/reports", &body).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let report = format!("/v1/reports/{id}");
    let adas = schedule(&ada, &id, json!({}), &["mo"]).await;
    run_now(&ada, &adas).await;
    root.get(&report).await.expect(404);
    root.patch(&report, &json!({"owner": "mo"})).await.expect(404);

    // Ada leaves. Her schedule no longer runs, and administrators find out.
    root.patch("/v1/users/ada", &json!({"active": false})).await.expect(200);
    let outbox = Outbox::new();
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    assert!(outbox.take().is_empty());
    let suspended = root.list("/v1/schedules?status=suspended", "schedules").await;
    assert_eq!(suspended.iter().map(|one| &one["id"]).collect::<Vec<_>>(), [&adas["id"]]);
    let read = root.get(&report).await.expect(200).json();
    assert_eq!((&read["visibility"], &read["owner"]["id"]), (&json!("private"), &json!("ada")));
    assert_eq!(read["suspended_schedules"][0]["reason"], suspended[0]["suspended"]);
    assert_eq!(root.list("/v1/reports", "reports").await.len(), 1);
    // For all others it does not exist.
    let integration = server.credential("acme", &["activities/read"]).await;
    let foreign = server.person_of("globex", json!({"sub": "root", "role": "owner"}));
    for caller in [&mo, &server.person("hr", "hal"), &integration, &foreign] {
        caller.get(&report).await.expect(404);
        assert!(caller.list("/v1/reports", "reports").await.is_empty());
    }
    root.patch(&report, &json!({"owner": "mo"})).await.expect(200);
    assert_eq!(owner_of(&mo, &report).await["id"], "mo");
    assert_eq!(mo.get(&path(&adas)).await.expect(200).json()["maker"]["id"], "mo");
    // It is private again, now of an active user.
    root.get(&report).await.expect(404);
    assert!(root.list("/v1/schedules", "schedules").await.is_empty());
}

#[apply(both_databases)]
async fn user_with_the_most_reports_gets_no_further_one(server: &TestServer) {
    let root = set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    report(&mo, "One", json!({})).await;
    let database = server.database();
    let (series, id) = (database.series(998), database.random_id());
    database
        .execute(&format!(
            "INSERT INTO reports (org, key, id, owner, name, search, shared, filter, columns, version, created_at, \
             updated_at) SELECT r.org, r.key + 1000000 + n, {id}, r.owner, r.name, r.search, r.shared, r.filter, \
             r.columns, r.version, r.created_at, r.updated_at FROM reports r CROSS JOIN ({series}) AS numbers"
        ))
        .await;
    let [first, second] = [report(&ada, "A", json!({})).await, report(&ada, "B", json!({})).await];
    let first = format!("/v1/reports/{first}");
    let second = format!("/v1/reports/{second}");
    root.patch(&first, &json!({"owner": "mo"})).await.expect(200);
    root.patch(&second, &json!({"owner": "mo", "name": "C"})).await.expect(409);
    let unchanged = ada.get(&second).await.expect(200).json();
    assert_eq!((&unchanged["owner"]["id"], &unchanged["name"]), (&json!("ada"), &json!("B")));
}

#[apply(both_databases)]
async fn keys_of_the_former_owner_open_nothing(server: &TestServer) {
    let root = set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = format!("/v1/reports/{}", report(&ada, "Ours", json!({})).await);
    let created = ada.post(&format!("{report}/keys"), &json!({"name": "Excel"})).await.expect(201).json();
    let key = server.anonymous().with_basic("", created["secret"].as_str().expect("a secret"));
    assert_eq!(key.list(&format!("{report}/activities"), "activities").await.len(), 1);
    // Mo sees two rows. Ada knows the secret, so it must not open them.
    root.patch(&report, &json!({"owner": "mo"})).await.expect(200);
    key.get(&format!("{report}/activities")).await.expect(401);
    let mo = server.person("manager", "mo");
    assert_eq!(mo.list(&format!("{report}/keys"), "keys").await, Vec::<Value>::new());
    let created = mo.post(&format!("{report}/keys"), &json!({"name": "Mine"})).await.expect(201).json();
    let key = server.anonymous().with_basic("", created["secret"].as_str().expect("a secret"));
    assert_eq!(key.list(&format!("{report}/activities"), "activities").await.len(), 2);
    ada.post(&format!("{report}/keys"), &json!({"name": "Again"})).await.expect(403);
}

#[apply(both_databases)]
async fn schedules_of_the_former_owner_wait_for_the_new_owner(server: &TestServer) {
    let root = set_up(server).await;
    let (ada, mo, hal) =
        (server.person("manager", "ada"), server.person("manager", "mo"), server.person("hr", "hal"));
    let id = report(&ada, "Ours", json!({})).await;
    let report_path = format!("/v1/reports/{id}");
    let outbox = Outbox::new();
    let by_link = SenderOptions { sizes: Sizes { gzip_above: 1, link_above: 1 }, ..quick() };
    let adas = schedule(&ada, &id, json!({}), &["hal"]).await;
    let paused = schedule(&ada, &id, json!({"active": false}), &["hal"]).await;
    let hals = schedule(&hal, &id, json!({}), &["hal"]).await;
    run_now(&ada, &adas).await;
    sender(server, outbox.mailer(), by_link).work().await.expect("the sender succeeds");
    let [linked] = &outbox.take()[..] else { panic!("one message") };

    // A run is pending when the report is handed over.
    let pending = run_now(&ada, &adas).await;
    root.patch(&report_path, &json!({"owner": "mo"})).await.expect(200);
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    assert!(outbox.take().is_empty(), "nothing is sent in the name of Mo before Mo agrees");
    let ended = deliveries(&root, &id).await.pop().expect("a delivery");
    assert_eq!((&ended["id"], &ended["status"]), (&json!(pending), &json!("suspended")));
    assert_eq!(ended["recipients"][0]["status"], "failed");

    for one in [&adas, &paused] {
        ada.get(&path(one)).await.expect(404);
        let read = mo.get(&path(one)).await.expect(200).json();
        assert_eq!(read["maker"], json!({"id": "mo", "name": "mo Example"}));
        assert_eq!((&read["active"], &read["next_run_at"]), (&json!(false), &Value::Null));
        let reason = read["suspended"].as_str().expect("a reason");
        assert!(reason.starts_with("root handed the report over from ada Example to mo Example"), "{reason}");
    }
    let suspended = mo.list("/v1/schedules?status=suspended", "schedules").await;
    assert_eq!(suspended.iter().map(|one| &one["id"]).collect::<Vec<_>>(), [&paused["id"], &adas["id"]]);
    assert_eq!(ada.list("/v1/schedules", "schedules").await, Vec::<Value>::new());
    // Schedules of others stay as they are.
    assert_eq!(hal.get(&path(&hals)).await.expect(200).json()["active"], true);

    // The link opens what was sent: the rows of Ada, while she may open the report.
    assert_eq!(server.anonymous().get(&linked.link()).await.expect(200).csv().1.len(), 1);
    mo.patch(&path(&adas), &json!({"active": true})).await.expect(200);
    server.clock.set(Timestamp::from_micros(server.clock.now().micros() + 86_400_000_000));
    mo.delete(&path(&paused)).await.expect(204);
    hal.delete(&path(&hals)).await.expect(204);
    sender(server, outbox.mailer(), quick()).work().await.expect("the sender succeeds");
    let [mail] = &outbox.take()[..] else { panic!("one message") };
    assert_eq!((mail.rows(), mail.maker()), (2, "mo Example".to_owned()));
    assert_eq!(server.anonymous().get(&linked.link()).await.expect(200).csv().1.len(), 1);
    mo.patch(&report_path, &json!({"visibility": "private"})).await.expect(200);
    server.anonymous().get(&linked.link()).await.expect(404);
}
