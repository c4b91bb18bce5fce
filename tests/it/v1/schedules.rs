//! `/v1/reports/{id}/schedules` and `/v1/schedules/{id}`: made, read, changed, paused and deleted by those whose they are, and
//! not there for anybody else. What they send is the matter of `mail`.

use futures_util::future::join_all;
use reqwest::Method;
use rollbook::http::AppOptions;
use rollbook::reports::rights::RecipientRules;
use serde_json::{Value, json};

use super::reports::{create_report, location};
use crate::support::builders::{Body, user};
use crate::support::http::{Answer, Caller};
use crate::support::records::advance_clock;
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

const NO_SUCH_SCHEDULE: &str = "/v1/schedules/00000000-0000-4000-8000-00000000000c";

/// Managers `ada` and `mo`, a reporter `rita` and `hal` of hr, all with addresses; who can't receive anything: a learner, a
/// curator, a deactivated reporter, and a reporter without an address.
pub async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let with_address = |id: &str, role: &str| {
        let address = format!("{id}@example.org");
        user(id).set("role", role).set("email", address)
    };
    let users: Vec<Body> = vec![
        with_address("ada", "manager"),
        with_address("mo", "manager"),
        with_address("rita", "reporter"),
        with_address("hal", "hr"),
        with_address("bo", "learner"),
        with_address("cy", "curator"),
        with_address("dee", "reporter").set("active", false),
        user("eve").set("role", "reporter"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin
}

fn daily() -> Value {
    json!({"frequency": "daily", "at": "08:00", "recipients": ["ada"]})
}

/// Schedules a report and gives the schedule's path.
pub async fn create_schedule(maker: &Caller, report: &str) -> String {
    location(&maker.post(&format!("{report}/schedules"), &daily()).await.expect(201))
}

/// The paths of the schedules that somebody is shown.
async fn listed(caller: &Caller, report: &str) -> Vec<String> {
    let schedules = caller.list(&format!("{report}/schedules"), "schedules").await;
    schedules
        .iter()
        .map(|schedule| format!("/v1/schedules/{}", schedule["id"].as_str().expect("an id")))
        .collect()
}

/// The statuses of everything that can be asked of the schedule at `path`, deleting it last.
async fn knocking(caller: &Caller, path: &str) -> Vec<u16> {
    vec![
        caller.get(path).await.status,
        caller.put(path, &daily()).await.status,
        caller.patch(path, &json!({"active": false})).await.status,
        caller.post(&format!("{path}/run"), &json!({})).await.status,
        caller.delete(path).await.status,
    ]
}

/// A request with `If-Match`.
async fn matching(caller: &Caller, method: Method, path: &str, tag: &str, body: &Value) -> Answer {
    let headers = [("if-match", tag), ("content-type", "application/json")];
    let body = match method {
        Method::DELETE => Vec::new(),
        _ => body.to_string().into_bytes(),
    };
    caller.send(method, path, &headers, body).await
}

/// Why each of these recipients is refused, by the pointer to it.
async fn refused(maker: &Caller, report: &str, recipients: Value) -> Vec<(String, String)> {
    let body = json!({"frequency": "daily", "at": "08:00", "recipients": recipients});
    let answer = maker.post(&format!("{report}/schedules"), &body).await.expect(400);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let errors = answer.json()["errors"].as_array().expect("errors").clone();
    errors.iter().map(|error| (text(&error["pointer"]), text(&error["detail"]))).collect()
}

async fn count(server: &TestServer, table: &str) -> i64 {
    server.database().query_number(&format!("SELECT count(*) FROM {table}")).await
}

#[apply(both_databases)]
async fn a_schedule_is_made_and_read_back(server: &TestServer) {
    let admin = set_up(server).await;
    admin.patch("/v1/organisation", &json!({"time_zone": "Europe/London"})).await.expect(200);
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let body = json!({"frequency": "weekly", "at": "08:00", "recipients": ["hal", "ada"]});
    let created = ada.post(&format!("{report}/schedules"), &body).await.expect(201);
    let schedule = created.json();
    let path = location(&created);
    assert_eq!(path, format!("/v1/schedules/{}", schedule["id"].as_str().expect("an id")));
    assert_eq!(
        schedule,
        json!({
            "id": schedule["id"], "report": report.rsplit('/').next(), "maker": {"id": "ada", "name": "ada Example"},
            "frequency": "weekly", "at": "08:00", "time_zone": "Europe/London", "weekday": "monday", "day_of_month": null,
            "recipients": ["hal", "ada"], "active": true, "suspended": null, "next_run_at": "2026-03-23T08:00:00.000Z",
            "pending": null, "created_at": "2026-03-18T10:17:23.000Z", "updated_at": "2026-03-18T10:17:23.000Z"
        })
    );
    let read = ada.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (schedule.clone(), created.header("etag")));
    assert_eq!(created.header("etag"), Some("\"1\""));

    // The clock shows 10:17:23 in London, on a Wednesday; clocks are put forward on the 29th.
    let mut all = vec![schedule];
    for (timing, next) in [
        (json!({"frequency": "daily", "at": "10:17"}), "2026-03-19T10:17:00.000Z"),
        (json!({"frequency": "daily", "at": "10:18"}), "2026-03-18T10:18:00.000Z"),
        (
            json!({"frequency": "daily", "at": "10:17", "time_zone": "Asia/Kolkata"}),
            "2026-03-19T04:47:00.000Z",
        ),
        (json!({"frequency": "weekly", "at": "09:00", "weekday": "wednesday"}), "2026-03-25T09:00:00.000Z"),
        (json!({"frequency": "monthly", "at": "08:00"}), "2026-04-01T07:00:00.000Z"),
        (json!({"frequency": "monthly", "at": "01:30", "day_of_month": 29}), "2026-03-29T01:00:00.000Z"),
        (json!({"frequency": "quarterly", "at": "23:59", "day_of_month": 31}), "2026-04-30T22:59:00.000Z"),
    ] {
        let mut body = timing;
        body["recipients"] = json!(["ada"]);
        let schedule = ada.post(&format!("{report}/schedules"), &body).await.expect(201).json();
        assert_eq!(schedule["next_run_at"], next, "{body}");
        all.push(schedule);
    }
    let paused = json!({"frequency": "daily", "at": "10:18", "recipients": ["ada"], "active": false});
    let paused = ada.post(&format!("{report}/schedules"), &paused).await.expect(201).json();
    assert_eq!((&paused["active"], &paused["next_run_at"]), (&json!(false), &Value::Null));
    all.push(paused);
    assert_eq!(
        ada.get(&format!("{report}/schedules")).await.expect(200).json(),
        json!({"schedules": all, "next": null})
    );
}

#[apply(both_databases)]
async fn what_is_wrong_is_told_and_changes_nothing(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let good = json!({"frequency": "weekly", "at": "08:00", "weekday": "friday", "recipients": ["ada"]});
    let path = location(&ada.post(&format!("{report}/schedules"), &good).await.expect(201));
    let before = ada.get(&path).await.json();
    for (member, value, pointer) in [
        ("frequency", json!("hourly"), "/frequency"),
        ("frequency", json!(null), "/frequency"),
        ("at", json!("8:00"), "/at"),
        ("at", json!("24:00"), "/at"),
        ("at", json!(8), "/at"),
        ("time_zone", json!("Europe/Londn"), "/time_zone"),
        ("weekday", json!("fri"), "/weekday"),
        ("day_of_month", json!(31), "/day_of_month"),
        ("recipients", json!([]), "/recipients"),
        ("recipients", json!("ada"), "/recipients"),
        ("recipients", json!(null), "/recipients"),
        ("recipients", json!(["ada", "nobody"]), "/recipients/1"),
        ("recipients", json!(["ada", 7]), "/recipients/1"),
        ("recipients", json!((0..101).map(|n| n.to_string()).collect::<Vec<_>>()), "/recipients"),
        ("active", json!("yes"), "/active"),
        ("next_run_at", json!("2026-04-01T00:00:00Z"), "/next_run_at"),
        ("maker", json!("mo"), "/maker"),
    ] {
        let mut body = good.clone();
        body[member] = value;
        assert_eq!(
            ada.post(&format!("{report}/schedules"), &body).await.expect(400).error_pointers(),
            [pointer],
            "{body}"
        );
        assert_eq!(ada.put(&path, &body).await.expect(400).error_pointers(), [pointer], "{body}");
        if member == "next_run_at" || member == "maker" || !body[member].is_null() {
            let patch = json!({member: body[member]});
            assert_eq!(ada.patch(&path, &patch).await.expect(400).error_pointers(), [pointer], "{patch}");
        }
    }
    let all = json!({"at": "noon", "recipients": ["ada"], "weekday": "fri", "day_of_month": 0, "active": 1});
    let answer = ada.post(&format!("{report}/schedules"), &all).await.expect(400);
    assert_eq!(answer.error_pointers(), ["/frequency", "/at", "/weekday", "/day_of_month", "/active"]);
    ada.patch(&path, &json!([])).await.expect(400);
    ada.post(&format!("{report}/schedules?x=1"), &good).await.expect(400);
    ada.post(&format!("{path}/run?x=1"), &json!({})).await.expect(400);
    let answer = ada.get(&path).await.expect(200);
    assert_eq!((answer.header("etag"), answer.json()), (Some("\"1\""), before));
    assert_eq!(listed(&ada, &report).await, [path]);
}

#[apply(both_databases)]
async fn recipients_are_those_who_may_receive_it(server: &TestServer) {
    let admin = set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "shared", json!({})).await;
    // An address of somebody in the directory is that user, one that they had before too; each is there once, as they
    // were named: whoever knows an address is not told whose id it is.
    admin.patch("/v1/users/hal", &json!({"email": "hal.new@example.org"})).await.expect(200);
    let recipients = json!(["rita@example.org", "hal@example.org", "mo", "RITA@Example.org", "rita", "hal"]);
    let body = json!({"frequency": "daily", "at": "08:00", "recipients": recipients});
    let created = ada.post(&format!("{report}/schedules"), &body).await.expect(201);
    assert_eq!(created.json()["recipients"], json!(["rita@example.org", "hal@example.org", "mo"]));
    // Who is not there, who is deactivated, who may not, and what is outside: nobody can tell which.
    let nobodies = json!([
        "nobody",
        "bo",
        "cy",
        "dee",
        "bo@example.org",
        "dee@example.org",
        "someone@example.org",
        "x@outside.example",
        "not an address",
        "@",
        "",
        "root",
        "eve"
    ]);
    let told = refused(&ada, &report, nobodies.clone()).await;
    for (index, (pointer, detail)) in told.iter().enumerate() {
        assert_eq!((pointer.as_str(), detail), (format!("/recipients/{index}").as_str(), &told[0].1));
    }
    assert_eq!(told.len(), nobodies.as_array().expect("an array").len());
    assert_eq!(refused(&ada, &report, json!(["ada", "eve"])).await[0].0, "/recipients/1");
    // By the role of the directory: a token's would be no help to whoever is not asking.
    admin.patch("/v1/users/bo", &json!({"role": "reporter"})).await.expect(200);
    let path = location(&created);
    ada.patch(&path, &json!({"recipients": ["bo@example.org"]})).await.expect(200);
    assert_eq!(ada.get(&path).await.json()["recipients"], json!(["bo@example.org"]));
    // Who is a recipient already stays one, whatever becomes of them: it is judged when it runs.
    admin.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    ada.patch(&path, &json!({"at": "09:00"})).await.expect(200);
    let said = json!({"frequency": "daily", "at": "10:00", "recipients": ["bo"]});
    assert_eq!(ada.put(&path, &said).await.expect(400).error_pointers(), ["/recipients/0"]);
    assert_eq!(
        ada.patch(&path, &json!({"recipients": ["bo"]})).await.expect(400).error_pointers(),
        ["/recipients/0"]
    );
    assert_eq!(ada.get(&path).await.json()["at"], "09:00");
}

#[apply(both_databases)]
async fn a_schedule_is_there_for_its_maker_and_for_administrators(server: &TestServer) {
    set_up(server).await;
    let (ada, mo, rita) =
        (server.person("manager", "ada"), server.person("manager", "mo"), server.person("reporter", "rita"));
    let report = create_report(&rita, "Ours", "shared", json!({})).await;
    let private = create_report(&ada, "Mine", "private", json!({})).await;
    let (adas, mos, hidden) = (
        create_schedule(&ada, &report).await,
        create_schedule(&mo, &report).await,
        create_schedule(&ada, &private).await,
    );
    assert_eq!(
        (listed(&ada, &report).await, listed(&mo, &report).await),
        (vec![adas.clone()], vec![mos.clone()])
    );
    // The report's owner has no part in what others make of it.
    for (role, who) in [
        ("reporter", "rita"),
        ("hr", "hal"),
        ("learning_designer", "hal"),
        ("manager", "mo"),
        ("reporter", "elsewhere"),
    ] {
        let caller = server.person(role, who);
        assert!(!listed(&caller, &report).await.contains(&adas), "{role}");
        for path in [&adas, &hidden, NO_SUCH_SCHEDULE] {
            assert_eq!(knocking(&caller, path).await, [404; 5], "{role} at {path}");
        }
        caller.get(&format!("{private}/schedules")).await.expect(404);
        caller.post(&format!("{private}/schedules"), &daily()).await.expect(404);
    }
    let curator =
        server.person_of("acme", json!({"sub": "cy", "role": "curator", "permissions": ["reporting"]}));
    assert_eq!(knocking(&curator, &adas).await, [404; 5]);
    let integration = server.credential("acme", &["activities/read"]).await;
    for caller in [server.person("learner", "ada"), server.person("curator", "ada"), integration] {
        assert_eq!(knocking(&caller, &adas).await, [403; 5]);
        caller.get(&format!("{report}/schedules")).await.expect(403);
        caller.post(&format!("{report}/schedules"), &daily()).await.expect(403);
    }
    let key = rita.post(&format!("{report}/keys"), &json!({"name": "Excel"})).await.expect(201).json();
    let key = server.anonymous().with_basic("", key["secret"].as_str().expect("a secret"));
    assert_eq!(knocking(&key, &adas).await, [403; 5]);
    key.get(&format!("{report}/schedules")).await.expect(403);
    for role in ["owner", "admin"] {
        let administrator = server.person(role, "root");
        assert_eq!(listed(&administrator, &report).await, [adas.clone(), mos.clone()]);
        assert_eq!(knocking(&administrator, &hidden).await, [404; 5], "{role}");
        administrator.get(&format!("{private}/schedules")).await.expect(404);
        // It stays its maker's.
        let changed = administrator.patch(&adas, &json!({"at": "09:00"})).await.expect(200).json();
        assert_eq!((&changed["maker"]["id"], &changed["at"]), (&json!("ada"), &json!("09:00")));
        let changed = administrator.put(&adas, &daily()).await.expect(200).json();
        assert_eq!((&changed["maker"]["id"], &changed["at"]), (&json!("ada"), &json!("08:00")));
        assert_eq!(
            knocking(&administrator, &create_schedule(&ada, &report).await).await,
            [200, 200, 200, 202, 204]
        );
    }
    // Whatever the maker's role is today, as long as it has reporting access.
    for role in ["owner", "admin", "hr", "reporter", "learning_designer", "manager"] {
        let path = create_schedule(&ada, &report).await;
        assert_eq!(knocking(&server.person(role, "ada"), &path).await, [200, 200, 200, 202, 204], "{role}");
    }
    // What nobody else may open is out of their hands, schedules and all.
    rita.patch(&report, &json!({"visibility": "private"})).await.expect(200);
    assert_eq!(knocking(&server.person("admin", "root"), &adas).await, [404; 5]);
    for caller in [&ada, &server.person("admin", "root")] {
        caller.get(&format!("{report}/schedules")).await.expect(404);
    }
    assert!(listed(&rita, &report).await.is_empty());
    assert_eq!(listed(&ada, &private).await, [hidden]);
}

#[apply(both_databases)]
async fn who_may_not_open_the_report_any_more_can_still_stop_their_schedule(server: &TestServer) {
    set_up(server).await;
    let (ada, mo, rita) =
        (server.person("manager", "ada"), server.person("manager", "mo"), server.person("reporter", "rita"));
    let report = create_report(&rita, "Ours", "shared", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    rita.patch(&report, &json!({"visibility": "private"})).await.expect(200);
    for other in [&mo, &rita, &server.person("admin", "root")] {
        other.get(&path).await.expect(404);
        other.patch(&path, &json!({"active": false})).await.expect(404);
    }
    // It is running: it can't be made to run otherwise, or at once.
    let read = ada.get(&path).await.expect(200).json();
    assert_eq!(read["active"], true);
    ada.patch(&path, &json!({"at": "09:00"})).await.expect(404);
    ada.put(&path, &json!({"frequency": "daily", "at": "09:00", "recipients": ["ada", "mo"]}))
        .await
        .expect(404);
    ada.post(&format!("{path}/run"), &json!({})).await.expect(404);
    assert_eq!(ada.get(&path).await.json(), read);
    let paused = ada.patch(&path, &json!({"active": false})).await.expect(200).json();
    assert_eq!((&paused["active"], &paused["next_run_at"]), (&json!(false), &Value::Null));
    ada.patch(&path, &json!({"active": true})).await.expect(404);
    ada.put(&path, &daily()).await.expect(404);
    ada.post(&format!("{path}/run"), &json!({})).await.expect(404);
    assert_eq!(count(server, "deliveries").await, 0);
    // Shared again, it goes on as ever.
    rita.patch(&report, &json!({"visibility": "shared"})).await.expect(200);
    ada.patch(&path, &json!({"active": true})).await.expect(200);
    ada.post(&format!("{path}/run"), &json!({})).await.expect(202);
    rita.patch(&report, &json!({"visibility": "private"})).await.expect(200);
    ada.delete(&path).await.expect(204);
    assert_eq!((count(server, "schedules").await, count(server, "deliveries").await), (0, 0));
}

#[apply(both_databases)]
async fn a_change_names_what_it_changes(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    let created = ada.get(&path).await.json();
    advance_clock(server, 60);
    let patched = matching(&ada, Method::PATCH, &path, "\"1\"", &json!({"at": "09:00"})).await.expect(200);
    let mut expected = created.clone();
    for (member, value) in [
        ("at", "09:00"),
        ("updated_at", "2026-03-18T10:18:23.000Z"),
        ("next_run_at", "2026-03-19T09:00:00.000Z"),
    ] {
        expected[member] = json!(value);
    }
    assert_eq!((patched.header("etag"), patched.json()), (Some("\"2\""), expected.clone()));
    for (method, body) in
        [(Method::PATCH, json!({"at": "10:00"})), (Method::PUT, daily()), (Method::DELETE, json!(null))]
    {
        let answer = matching(&ada, method, &path, "\"1\", \"3\"", &body).await.expect(412);
        assert_eq!(answer.json()["code"], "precondition-failed");
    }
    // What says the same is no new version.
    advance_clock(server, 60);
    for same in [json!({}), json!({"at": "09:00"}), json!({"weekday": null}), json!({"recipients": ["ada"]})]
    {
        let answer = ada.patch(&path, &same).await.expect(200);
        assert_eq!((answer.header("etag"), answer.json()), (Some("\"2\""), expected.clone()), "{same}");
    }
    let answer = matching(
        &ada,
        Method::PUT,
        &path,
        "*",
        &json!({"frequency": "monthly", "at": "07:00", "recipients": ["mo"]}),
    )
    .await;
    let put = answer.expect(200).json();
    let mut expected = created;
    for (member, value) in [
        ("frequency", json!("monthly")),
        ("at", json!("07:00")),
        ("day_of_month", json!(1)),
        ("recipients", json!(["mo"])),
        ("updated_at", json!("2026-03-18T10:19:23.000Z")),
        ("next_run_at", json!("2026-04-01T07:00:00.000Z")),
    ] {
        expected[member] = value;
    }
    assert_eq!(put, expected);
    let quarterly =
        ada.patch(&path, &json!({"frequency": "quarterly", "day_of_month": 31})).await.expect(200).json();
    assert_eq!(
        (&quarterly["day_of_month"], &quarterly["next_run_at"]),
        (&json!(31), &json!("2026-04-30T07:00:00.000Z"))
    );
    let weekly = ada.patch(&path, &json!({"frequency": "weekly"})).await.expect(200).json();
    assert_eq!((&weekly["day_of_month"], &weekly["weekday"]), (&Value::Null, &json!("monday")));
    // Of many at once, one is the first.
    let tag = ada.get(&path).await.header("etag").expect("a tag").to_owned();
    let bodies: Vec<Value> = (0..6).map(|hour| json!({"at": format!("0{hour}:30")})).collect();
    let answers = join_all(bodies.iter().map(|body| matching(&ada, Method::PATCH, &path, &tag, body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
    matching(&ada, Method::DELETE, &path, "*", &json!(null)).await.expect(204);
    assert_eq!(knocking(&ada, &path).await, [404; 5]);
    ada.put(NO_SUCH_SCHEDULE, &daily()).await.expect(404);
    for strange in ["/v1/schedules/1", "/v1/schedules/ada"] {
        assert_eq!(knocking(&ada, strange).await, [404; 5]);
    }
}

#[apply(both_databases)]
async fn pausing_and_resuming_move_the_next_run(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    let next = |answer: Answer| answer.expect(200).json()["next_run_at"].clone();
    assert_eq!(next(ada.get(&path).await), "2026-03-19T08:00:00.000Z");
    let paused = ada.patch(&path, &json!({"active": false})).await.expect(200).json();
    assert_eq!(
        (&paused["active"], &paused["next_run_at"], &paused["suspended"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    assert_eq!(next(ada.patch(&path, &json!({"at": "09:00"})).await), Value::Null);
    advance_clock(server, 3 * 86_400);
    assert_eq!(next(ada.patch(&path, &json!({"active": true})).await), "2026-03-22T09:00:00.000Z");
    // Another time begins anew; anything else leaves a moment alone that has come and waits for its run.
    advance_clock(server, 86_400);
    assert_eq!(next(ada.patch(&path, &json!({"recipients": ["mo"]})).await), "2026-03-22T09:00:00.000Z");
    assert_eq!(next(ada.patch(&path, &json!({"active": true})).await), "2026-03-22T09:00:00.000Z");
    assert_eq!(
        next(ada.patch(&path, &json!({"time_zone": "Asia/Kolkata"})).await),
        "2026-03-23T03:30:00.000Z"
    );

    // One that the sender has suspended says why, until it is resumed.
    let suspended =
        "UPDATE schedules SET active = FALSE, suspended = 'who made it is gone', next_run_at = NULL";
    for resumed in [json!({"active": true}), json!({"active": null})] {
        assert_eq!(server.database().execute(suspended).await, 1);
        let read = ada.get(&path).await.expect(200).json();
        assert_eq!((&read["active"], &read["suspended"]), (&json!(false), &json!("who made it is gone")));
        let changed = ada.patch(&path, &json!({"at": "11:00"})).await.expect(200).json();
        assert_eq!(
            (&changed["active"], &changed["suspended"]),
            (&json!(false), &json!("who made it is gone"))
        );
        let back = ada.patch(&path, &resumed).await.expect(200).json();
        assert_eq!((&back["active"], &back["suspended"]), (&json!(true), &Value::Null));
        assert_eq!(back["next_run_at"], "2026-03-23T05:30:00.000Z");
    }
    assert_eq!(server.database().execute(suspended).await, 1);
    let put = ada.put(&path, &daily()).await.expect(200).json();
    assert_eq!(
        (&put["active"], &put["suspended"], &put["next_run_at"]),
        (&json!(true), &Value::Null, &json!("2026-03-23T08:00:00.000Z"))
    );
}

#[apply(both_databases)]
async fn a_run_by_hand_waits_for_the_sender(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Mine", "private", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    let before = ada.get(&path).await;
    let run = ada.post(&format!("{path}/run"), &json!({})).await.expect(202).json();
    assert_eq!(run["run_at"], "2026-03-18T10:17:23.000Z");
    let after = ada.get(&path).await;
    assert_eq!(after.header("etag"), before.header("etag"));
    let mut expected = before.json();
    expected["pending"] = json!({
        "run_at": "2026-03-18T10:17:23.000Z", "attempts": 0, "next_attempt_at": "2026-03-18T10:17:23.000Z", "reason": null
    });
    assert_eq!(after.json(), expected);
    // Each run has a moment of its own, on a clock that stands still too; the oldest is shown.
    let second = ada.send(Method::POST, &format!("{path}/run"), &[], Vec::new()).await.expect(202).json();
    assert_eq!(second["run_at"], "2026-03-18T10:17:23.001Z");
    assert_ne!(second["delivery"], run["delivery"]);
    assert_eq!(ada.get(&path).await.json(), expected);
    // A paused one runs by hand, and stays paused.
    ada.patch(&path, &json!({"active": false})).await.expect(200);
    ada.post(&format!("{path}/run"), &json!({})).await.expect(202);
    assert_eq!(ada.get(&path).await.json()["active"], false);
    // Not without end.
    for _ in 3..100 {
        ada.post(&format!("{path}/run"), &json!({})).await.expect(202);
    }
    ada.post(&format!("{path}/run"), &json!({})).await.expect(409);
    assert_eq!((count(server, "deliveries").await, count(server, "delivery_recipients").await), (100, 100));
    ada.delete(&path).await.expect(204);
    for table in ["schedules", "deliveries", "delivery_recipients"] {
        assert_eq!(count(server, table).await, 0, "{table}");
    }
}

#[apply(both_databases)]
async fn a_report_takes_its_schedules_along(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    let (report, other) = (
        create_report(&ada, "Ours", "shared", json!({})).await,
        create_report(&ada, "Mine", "private", json!({})).await,
    );
    let (gone, stays) = (create_schedule(&mo, &report).await, create_schedule(&ada, &other).await);
    for path in [&gone, &stays] {
        server
            .person("manager", if *path == gone { "mo" } else { "ada" })
            .post(&format!("{path}/run"), &json!({}))
            .await
            .expect(202);
    }
    ada.delete(&report).await.expect(204);
    assert_eq!(knocking(&mo, &gone).await, [404; 5]);
    mo.get(&format!("{report}/schedules")).await.expect(404);
    mo.post(&format!("{report}/schedules"), &daily()).await.expect(404);
    for table in ["schedules", "deliveries", "delivery_recipients"] {
        assert_eq!(count(server, table).await, 1, "{table}");
    }
    assert!(ada.get(&stays).await.expect(200).json()["pending"].is_object());
}

#[apply(both_databases)]
async fn a_report_has_so_many_schedules_and_no_more(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    let report = create_report(&ada, "Ours", "shared", json!({})).await;
    for number in 0..50 {
        create_schedule(if number % 2 == 0 { &ada } else { &mo }, &report).await;
    }
    ada.post(&format!("{report}/schedules"), &daily()).await.expect(409);
    ada.delete(&listed(&ada, &report).await[0]).await.expect(204);
    create_schedule(&mo, &report).await;
}

#[apply(both_databases)]
async fn another_organisation_has_none_of_it(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let report = create_report(&ada, "Ours", "shared", json!({})).await;
    let path = create_schedule(&ada, &report).await;
    for role in ["owner", "manager"] {
        let stranger = server.person_of("globex", json!({"sub": "ada", "role": role}));
        assert_eq!(knocking(&stranger, &path).await, [404; 5]);
        stranger.get(&format!("{report}/schedules")).await.expect(404);
        stranger.post(&format!("{report}/schedules"), &daily()).await.expect(404);
        // Nobody of ours is anybody there.
        let theirs = create_report(&stranger, "Theirs", "private", json!({})).await;
        let told = refused(&stranger, &theirs, json!(["ada", "rita@example.org"])).await;
        assert_eq!(told.len(), 2);
    }
    ada.get(&path).await.expect(200);
}

/// Addresses outside the directory, where the operator allows their domain.
fn outside(database: Database) {
    let recipients = RecipientRules { domains: vec!["partner.example".to_owned()] };
    let options = AppOptions { recipients, ..AppOptions::default() };
    run_with(database, options, async |server: &TestServer| {
        let admin = set_up(server).await;
        let person = user("pat").set("email", "pat@partner.example");
        admin.put("/v1/users/pat", &person).await.expect(201);
        let ada = server.person("manager", "ada");
        let report = create_report(&ada, "Mine", "private", json!({})).await;
        let recipients =
            json!(["Audit@Partner.Example", "ada", "Audit@partner.example", "it@partner.example"]);
        let body = json!({"frequency": "daily", "at": "08:00", "recipients": recipients});
        let created = ada.post(&format!("{report}/schedules"), &body).await.expect(201);
        let settled = json!(["Audit@partner.example", "ada", "it@partner.example"]);
        assert_eq!(created.json()["recipients"], settled);
        // Another domain, one below, and a learner whose address is of an allowed one: they are still that learner.
        let told = refused(
            &ada,
            &report,
            json!([
                "audit@outside.example",
                "a@mail.partner.example",
                "pat@partner.example",
                "\"pat\"@partner.example",
                "\"someone\"@partner.example",
                "x\r\nBcc: y@partner.example"
            ]),
        )
        .await;
        assert_eq!(told.len(), 6);
        // Of an allowed domain, in whatever letters: still that user, under the address that was sent.
        admin.patch("/v1/users/pat", &json!({"role": "reporter"})).await.expect(200);
        let body = json!({"frequency": "daily", "at": "08:00", "recipients": ["Pat@Partner.Example", "pat"]});
        let created = ada.post(&format!("{report}/schedules"), &body).await.expect(201);
        assert_eq!(created.json()["recipients"], json!(["Pat@partner.example"]));
        refused(&ada, &report, json!(["\"pat\"@partner.example"])).await;
    });
}

#[test]
fn addresses_outside_the_directory_are_allowed_by_their_domain_on_sqlite() {
    outside(Database::sqlite());
}

#[test]
fn addresses_outside_the_directory_are_allowed_by_their_domain_on_postgres() {
    outside(Database::postgres());
}
