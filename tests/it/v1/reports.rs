//! Tests of `/v1/reports`: saving, listing, changing, deleting, and permissions.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::activities::advance_clock;
use crate::support::builders::{Body, user};
use crate::support::http::{Answer, Caller};
use crate::support::{TestServer, apply, both_databases};

pub const NO_SUCH_REPORT: &str = "/v1/reports/00000000-0000-4000-8000-00000000000a";

/// The roles with reporting access.
const READERS: &[&str] = &["owner", "admin", "hr", "reporter", "learning_designer", "manager"];

/// Creates the managers `ada` and `mo`, and `bo` under `mo`. Returns the admin `root`.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users: Vec<Body> = vec![
        user("ada").set("role", "manager"),
        user("mo").set("role", "manager"),
        user("bo").set("manager", "mo"),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin
}

/// Saves a report and returns its path.
pub async fn create_report(owner: &Caller, name: &str, visibility: &str, filter: Value) -> String {
    let body = json!({"name": name, "visibility": visibility, "filter": filter});
    location(&owner.post("/v1/reports", &body).await.expect(201))
}

/// The path in the header `Location`.
pub fn location(answer: &Answer) -> String {
    answer.header("location").expect("Location").to_owned()
}

/// Sends a request with one additional header.
async fn send_with_header(
    caller: &Caller,
    method: Method,
    path: &str,
    header: (&str, &str),
    body: Value,
) -> Answer {
    let headers = [header, ("content-type", "application/json")];
    let reads = method == Method::GET || method == Method::DELETE;
    let (headers, body) = match reads {
        true => (&headers[..1], Vec::new()),
        false => (&headers[..], body.to_string().into_bytes()),
    };
    caller.send(method, path, headers, body).await
}

fn report_names(reports: &[Value]) -> Vec<&str> {
    reports.iter().map(|report| report["name"].as_str().expect("a name")).collect()
}

/// The 404 answer without the id of the request.
async fn not_found_problem(caller: &Caller, path: &str) -> Value {
    let mut problem = caller.get(path).await.expect(404).json();
    problem["request_id"] = Value::Null;
    problem
}

/// The statuses of a PUT, a PATCH and a DELETE of the report.
async fn change_statuses(caller: &Caller, path: &str) -> [u16; 3] {
    [
        caller.put(path, &json!({"name": "Mine now"})).await.status,
        caller.patch(path, &json!({"name": "Mine now"})).await.status,
        caller.delete(path).await.status,
    ]
}

#[apply(both_databases)]
async fn report_is_saved_and_returned(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    advance_clock(server, 60);
    let filter = json!({
        "scope": "managed", "type": ["quiz", "item"], "tag": "safety", "completed": true, "include_deactivated": "false",
        "period": "previous_month", "tz": "Europe/London", "custom[Region]": ["North"], "title": ["fire", "first aid"],
        "sort": "happened_at"
    });
    let body =
        json!({"name": "Failed: \"Übung\"", "visibility": "shared", "filter": filter, "columns": "full"});
    let created = ada.post("/v1/reports", &body).await.expect(201);
    let report = created.json();
    let path = location(&created);
    let mut filter = filter;
    filter["tag"] = json!(["safety"]);
    filter["include_deactivated"] = json!(false);
    assert_eq!(path, format!("/v1/reports/{}", report["id"].as_str().expect("an id")));
    assert_eq!(
        report,
        json!({
            "id": report["id"], "name": "Failed: \"Übung\"", "visibility": "shared", "filter": filter, "columns": "full",
            "owner": {"id": "ada", "name": "ada Example"}, "suspended_schedules": [],
            "created_at": "2026-03-18T10:18:23.000Z", "updated_at": "2026-03-18T10:18:23.000Z"
        })
    );
    let read = ada.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (report.clone(), created.header("etag")));
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert_eq!(ada.list("/v1/reports", "reports").await, [report]);

    let minimal = ada.post("/v1/reports", &json!({"name": "All"})).await.expect(201).json();
    assert_eq!(
        (&minimal["visibility"], &minimal["filter"], &minimal["columns"]),
        (&json!("private"), &json!({}), &json!("elearning"))
    );
    // A user that the directory does not contain may own reports. A report shows the current name of its
    // owner.
    let stranger = server.person("reporter", "elsewhere");
    let created = stranger.post("/v1/reports", &json!({"name": "All"})).await.expect(201).json();
    assert_eq!(created["owner"], json!({"id": "elsewhere", "name": null}));
    server.person("admin", "root").patch("/v1/users/ada", &json!({"last_name": "Obi"})).await.expect(200);
    assert_eq!(ada.get(&path).await.json()["owner"], json!({"id": "ada", "name": "ada Obi"}));
}

#[apply(both_databases)]
async fn report_is_visible_only_to_permitted_callers(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let private = create_report(&ada, "Mine", "private", json!({})).await;
    let shared = create_report(&ada, "Ours", "shared", json!({})).await;
    for role in READERS {
        let caller = server.person(role, "mo");
        assert_eq!(report_names(&caller.list("/v1/reports", "reports").await), ["Ours"], "{role}");
        caller.get(&shared).await.expect(200);
        assert_eq!(
            not_found_problem(&caller, &private).await,
            not_found_problem(&caller, NO_SUCH_REPORT).await,
            "{role}"
        );
        assert_eq!(change_statuses(&caller, &private).await, [404, 404, 404], "{role}");
    }
    // A curator with the permission `reporting` reads reports. The role of the token counts, not the role
    // of the directory.
    let curator =
        server.person_of("acme", json!({"sub": "mo", "role": "curator", "permissions": ["reporting"]}));
    assert_eq!(report_names(&curator.list("/v1/reports", "reports").await), ["Ours"]);
    for (role, user) in [("learner", "ada"), ("curator", "ada"), ("learner", "mo")] {
        let caller = server.person(role, user);
        for path in ["/v1/reports", &private, &shared, NO_SUCH_REPORT] {
            caller.get(path).await.expect(403);
        }
        assert_eq!(change_statuses(&caller, &shared).await, [403, 403, 403]);
        caller.post("/v1/reports", &json!({"name": "All"})).await.expect(403);
    }
    // A credential reads shared reports and changes none.
    let integration = server.credential("acme", &["activities/read"]).await;
    assert_eq!(report_names(&integration.list("/v1/reports", "reports").await), ["Ours"]);
    integration.get(&shared).await.expect(200);
    integration.get(&private).await.expect(404);
    assert_eq!(change_statuses(&integration, &shared).await, [403, 403, 403]);
    integration.post("/v1/reports", &json!({"name": "All"})).await.expect(403);
    // The owner sees both reports in every role with reporting access.
    for role in READERS {
        assert_eq!(
            report_names(&server.person(role, "ada").list("/v1/reports", "reports").await),
            ["Ours", "Mine"]
        );
    }
}

#[apply(both_databases)]
async fn only_owner_and_administrators_change_a_report(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    for role in ["hr", "reporter", "learning_designer", "manager"] {
        let shared = create_report(&ada, "Ours", "shared", json!({})).await;
        assert_eq!(change_statuses(&server.person(role, "mo"), &shared).await, [403, 403, 403], "{role}");
        assert_eq!(ada.get(&shared).await.expect(200).header("etag"), Some("\"1\""));
        assert_eq!(change_statuses(&server.person(role, "ada"), &shared).await, [200, 200, 204], "{role}");
    }
    for role in ["owner", "admin"] {
        let shared = create_report(&ada, "Ours", "shared", json!({})).await;
        let administrator = server.person(role, "root");
        let changed = administrator.patch(&shared, &json!({"columns": "full"})).await.expect(200).json();
        assert_eq!(changed["owner"]["id"], "ada", "the owner does not change");
        administrator.delete(&shared).await.expect(204);
        ada.get(&shared).await.expect(404);
        // After it becomes private, administrators cannot access it.
        let shared = create_report(&ada, "Ours", "shared", json!({})).await;
        administrator.patch(&shared, &json!({"visibility": "private"})).await.expect(200);
        assert_eq!(change_statuses(&administrator, &shared).await, [404, 404, 404]);
        ada.delete(&shared).await.expect(204);
    }
}

#[apply(both_databases)]
async fn report_is_replaced_patched_and_deleted(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let filter = json!({"tag": ["a", "b"], "period": "today", "custom[Region]": "North"});
    let path = create_report(&ada, "One", "shared", filter).await;
    let created = ada.get(&path).await.json();

    advance_clock(server, 60);
    let patch = json!({"name": "Two", "filter": {"tag": ["c"], "period": null, "result": "failed"}});
    let patched = ada.patch(&path, &patch).await.expect(200);
    let mut expected = created.clone();
    expected["name"] = json!("Two");
    expected["filter"] = json!({"tag": ["c"], "custom[Region]": ["North"], "result": ["failed"]});
    expected["updated_at"] = json!("2026-03-18T10:18:23.000Z");
    assert_eq!((patched.json(), patched.header("etag")), (expected.clone(), Some("\"2\"")));
    assert_eq!(ada.get(&path).await.json(), expected);

    advance_clock(server, 60);
    // An equal value is not a new version.
    for same in
        [json!({}), json!({"name": "Two"}), json!({"filter": {}}), json!({"filter": {"period": null}})]
    {
        let answer = ada.patch(&path, &same).await.expect(200);
        assert_eq!((answer.json(), answer.header("etag")), (expected.clone(), Some("\"2\"")));
    }
    let reset = ada.patch(&path, &json!({"filter": null, "visibility": null})).await.expect(200).json();
    assert_eq!((&reset["filter"], &reset["visibility"]), (&json!({}), &json!("private")));

    let put = ada.put(&path, &json!({"name": "Three", "filter": {"tag": "z"}})).await.expect(200);
    assert_eq!(put.header("etag"), Some("\"4\""));
    let mut expected = created.clone();
    for (member, value) in
        [("name", "Three"), ("visibility", "private"), ("updated_at", "2026-03-18T10:19:23.000Z")]
    {
        expected[member] = json!(value);
    }
    expected["filter"] = json!({"tag": ["z"]});
    assert_eq!(put.json(), expected);

    ada.delete(&path).await.expect(204);
    assert_eq!(change_statuses(&ada, &path).await, [404, 404, 404]);
    ada.get(&path).await.expect(404);
    // PUT does not create a report, because the server assigns ids. An invalid id is unknown.
    for path in [NO_SUCH_REPORT, "/v1/reports/one"] {
        assert_eq!(change_statuses(&ada, path).await, [404, 404, 404]);
        ada.get(path).await.expect(404);
    }
    assert_eq!(ada.list("/v1/reports", "reports").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn preconditions_are_honoured(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let path = create_report(&ada, "One", "shared", json!({})).await;
    let name = json!({"name": "Two"});
    for stale in ["\"2\"", "\"0\", \"7\"", "W/\"11\"", "\"\""] {
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = send_with_header(&ada, method.clone(), &path, ("if-match", stale), name.clone())
                .await
                .expect(412);
            assert_eq!(answer.json()["code"], "precondition-failed", "{method} {stale}");
        }
    }
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        send_with_header(&ada, method.clone(), &path, ("if-match", "\"1"), name.clone()).await.expect(400);
        // An unknown report is 404 and another owner's is 403, independent of the precondition.
        send_with_header(&ada, method.clone(), NO_SUCH_REPORT, ("if-match", "*"), name.clone())
            .await
            .expect(404);
        let other = server.person("manager", "mo");
        send_with_header(&other, method, &path, ("if-match", "\"9\""), name.clone()).await.expect(403);
    }
    assert_eq!(ada.get(&path).await.json()["name"], "One");
    send_with_header(&ada, Method::PUT, &path, ("if-match", "\"1\""), name.clone()).await.expect(200);
    send_with_header(&ada, Method::PATCH, &path, ("if-match", "\"1\", W/\"2\""), json!({"name": "Three"}))
        .await
        .expect(200);
    send_with_header(&ada, Method::PATCH, &path, ("if-match", "*"), json!({"name": "Four"}))
        .await
        .expect(200);

    // The tag covers the stored report, but not the owner's name, which comes from the directory. Therefore
    // the answer is never 304.
    for first_name in ["Ada", "Adelheid"] {
        let root = server.person("admin", "root");
        root.put("/v1/users/ada", &user("ada").set("first_name", first_name)).await.expect(200);
        for tag in ["\"4\"", "*", "\"3\""] {
            let read = send_with_header(&ada, Method::GET, &path, ("if-none-match", tag), Value::Null)
                .await
                .expect(200);
            assert_eq!(
                (read.header("etag"), read.header("cache-control")),
                (Some("\"4\""), Some("no-store"))
            );
            let owner_name = format!("{first_name} Example");
            assert_eq!(
                (&read.json()["name"], &read.json()["owner"]["name"]),
                (&json!("Four"), &json!(owner_name))
            );
        }
    }
    // A tag gives no access.
    let learner = server.person("learner", "bo");
    send_with_header(&learner, Method::GET, &path, ("if-none-match", "*"), Value::Null).await.expect(403);

    // One of several concurrent changes with the same tag succeeds, and the others get 412.
    let all = join_all((0..8).map(async |n| {
        let patch = json!({"name": format!("By {n}")});
        send_with_header(&ada, Method::PATCH, &path, ("if-match", "\"4\""), patch).await.status
    }))
    .await;
    assert_eq!(all.iter().filter(|status| **status == 200).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|status| **status == 412).count(), 7, "{all:?}");
    send_with_header(&ada, Method::DELETE, &path, ("if-match", "\"5\""), Value::Null).await.expect(204);
}

/// Typed clients send an empty array for each parameter that is not set.
#[apply(both_databases)]
async fn empty_array_of_a_filter_is_as_omitted(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let sent = json!({"user": ["bo"], "tag": [], "action": [], "custom[Region]": [], "result": []});
    let path = create_report(&ada, "One", "shared", sent.clone()).await;
    assert_eq!(ada.get(&path).await.json()["filter"], json!({"user": ["bo"]}));
    let whole = ada.put(&path, &json!({"name": "One", "filter": sent})).await.expect(200).json();
    assert_eq!(whole["filter"], json!({"user": ["bo"]}));
    for (patch, expected) in [
        (json!({"tag": ["a"], "team": []}), json!({"user": ["bo"], "tag": ["a"]})),
        (json!({"user": [], "tag": ["b"]}), json!({"tag": ["b"]})),
    ] {
        let patched = ada.patch(&path, &json!({"filter": patch})).await.expect(200).json();
        assert_eq!(patched["filter"], expected);
    }
    ada.get(&format!("{path}/activities")).await.expect(200);
    let subscription = json!({
        "name": "Rows", "url": "https://example.org/hook", "format": "activity",
        "filter": {"action": ["completed"], "tag": []}
    });
    let created = server.person("admin", "root").post("/v1/subscriptions", &subscription).await.expect(201);
    assert_eq!(created.json()["filter"], json!({"action": ["completed"]}));
}

#[apply(both_databases)]
async fn invalid_report_is_refused_with_its_pointer(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let path = create_report(&ada, "One", "shared", json!({"tag": "a"})).await;
    let before = ada.get(&path).await.json();
    let long = "x".repeat(256);
    let filters = [
        (json!([]), "/filter"),
        (json!("tag=a"), "/filter"),
        (json!({"limit": "50"}), "/filter/limit"),
        (json!({"cursor": "x"}), "/filter/cursor"),
        (json!({"count": "exact"}), "/filter/count"),
        (json!({"columns": "full"}), "/filter/columns"),
        (json!({"colour": "red"}), "/filter/colour"),
        (json!({"a/b~c": "d"}), "/filter/a~1b~0c"),
        (json!({"tag": 7}), "/filter/tag"),
        (json!({"tag": true}), "/filter/tag"),
        (json!({"period": []}), "/filter/period"),
        (json!({"colour": []}), "/filter/colour"),
        (json!({"tag": ["a", null]}), "/filter/tag/1"),
        (json!({"tag": {"is": "a"}}), "/filter/tag"),
        (json!({"period": ["today"]}), "/filter/period"),
        (json!({"period": "tomorrow"}), "/filter/period"),
        (json!({"period": "today", "from": "2026-01-01"}), "/filter/period"),
        (json!({"from": "2026-01-01T00:00:00"}), "/filter/from"),
        (json!({"completed": "maybe"}), "/filter/completed"),
        (json!({"completed": 1}), "/filter/completed"),
        (json!({"action": "danced"}), "/filter/action"),
        (json!({"action": ["completed", "danced"]}), "/filter/action"),
        (json!({"type": "Quiz"}), "/filter/type"),
        (json!({"result": "won"}), "/filter/result"),
        (json!({"verb": "completed"}), "/filter/verb"),
        (json!({"import": "1"}), "/filter/import"),
        (json!({"title": " "}), "/filter/title"),
        (json!({"tz": "Mars/Olympus"}), "/filter/tz"),
        (json!({"certificate_expires_within": "soon"}), "/filter/certificate_expires_within"),
        (json!({"scope": "world"}), "/filter/scope"),
        (json!({"scope": "team"}), "/filter/scope"),
        (json!({"scope": "group", "team": "a"}), "/filter/scope"),
        (json!({"sort": "name"}), "/filter/sort"),
        (json!({"custom[]": "x"}), "/filter/custom[]"),
        (json!({"custom[a/b]": 7}), "/filter/custom[a~1b]"),
        (json!({"custom[Region]": ""}), "/filter/custom[Region]"),
    ];
    for (filter, pointer) in filters {
        for answer in [
            ada.post("/v1/reports", &json!({"name": "Two", "filter": filter})).await,
            ada.put(&path, &json!({"name": "Two", "filter": filter})).await,
        ] {
            assert_eq!(answer.expect(400).error_pointers(), [pointer], "{filter}");
        }
    }
    // A scope beyond the rights of the author is allowed, because opening the report limits it.
    for scope in ["company", "managed", "me"] {
        let body =
            json!({"name": scope, "filter": {"scope": scope, "include_sub_managers": scope == "managed"}});
        let created = location(&ada.post("/v1/reports", &body).await.expect(201));
        ada.delete(&created).await.expect(204);
    }
    let bodies = [
        (json!([]), ""),
        (json!({}), "/name"),
        (json!({"name": null}), "/name"),
        (json!({"name": " \t"}), "/name"),
        (json!({"name": long}), "/name"),
        (json!({"name": "One\r\nBcc: everybody@example.org"}), "/name"),
        (json!({"name": 7}), "/name"),
        (json!({"name": "Two", "visibility": "public"}), "/visibility"),
        (json!({"name": "Two", "visibility": true}), "/visibility"),
        (json!({"name": "Two", "columns": "all"}), "/columns"),
        (json!({"name": "Two", "owned_by": "bo"}), "/owned_by"),
    ];
    for (body, pointer) in bodies {
        for answer in [ada.post("/v1/reports", &body).await, ada.put(&path, &body).await] {
            assert_eq!(answer.expect(400).error_pointers(), [pointer], "{body}");
        }
    }
    // PUT ignores read-only members, because a client may send back what it has read.
    for (member, value) in
        [("owner", json!({"id": "bo"})), ("id", json!("00000000-0000-4000-8000-00000000000a"))]
    {
        let body = json!({"name": "Two", member: value});
        let pointer = format!("/{member}");
        assert_eq!(ada.post("/v1/reports", &body).await.expect(400).error_pointers(), [pointer.as_str()]);
    }
    for (patch, pointer) in [
        (json!({"id": 1}), "/id"),
        (json!({"name": null}), "/name"),
        (json!({"name": "a\u{7f}"}), "/name"),
        (json!({"filter": {"colour": "red"}}), "/filter/colour"),
        (json!({"filter": {"tag": "b", "from": "soon"}}), "/filter/from"),
        (json!({"filter": ["tag"]}), "/filter"),
        (json!({"columns": "all"}), "/columns"),
        (json!({"owner": "bo"}), "/owner"),
        (json!([]), ""),
    ] {
        assert_eq!(ada.patch(&path, &patch).await.expect(400).error_pointers(), [pointer], "{patch}");
    }
    let both =
        json!({"colour": 1, "visibility": "public", "filter": {"tag": 7, "limit": "1", "scope": "team"}});
    let faults = ada.post("/v1/reports", &both).await.expect(400).error_pointers();
    assert_eq!(faults, ["/colour", "/name", "/visibility", "/filter/tag", "/filter/limit", "/filter/scope"]);
    for text in ["{", "{\"name\":\"a\",\"name\":\"b\"}", "{\"name\":\"a\\u0000\"}"] {
        let headers = [("content-type", "application/json")];
        ada.send(Method::POST, "/v1/reports", &headers, text.into()).await.expect(400);
    }
    for path in ["/v1/reports?name=x", &format!("{path}?columns=full")] {
        ada.get(path).await.expect(400);
    }
    ada.send(Method::POST, "/v1/reports", &[("content-type", "text/plain")], b"{}".to_vec())
        .await
        .expect(415);
    assert_eq!(ada.list("/v1/reports", "reports").await, [before]);
}

#[apply(both_databases)]
async fn reports_are_paged_and_searched(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    for (owner, name, visibility) in [
        (&ada, "Übung: Fire safety", "private"),
        (&ada, "FIRE drills", "shared"),
        (&mo, "Fire at night", "private"),
        (&mo, "First aid", "shared"),
        (&ada, "100% of_it", "shared"),
    ] {
        create_report(owner, name, visibility, json!({})).await;
    }
    let find_names = async |caller: &Caller, query: &str| -> Vec<String> {
        let reports = caller.list(&format!("/v1/reports{query}"), "reports").await;
        report_names(&reports).into_iter().map(str::to_owned).collect()
    };
    let all = ["100% of_it", "First aid", "FIRE drills", "Übung: Fire safety"];
    assert_eq!(find_names(&ada, "").await, all);
    for limit in 1..=5 {
        assert_eq!(find_names(&ada, &format!("?limit={limit}")).await, all);
    }
    assert_eq!(find_names(&ada, "?q=fire").await, all[2..]);
    assert_eq!(find_names(&ada, "?q=SAFETY+%C3%BC&limit=1").await, all[3..]);
    assert_eq!(find_names(&ada, "?q=%25").await, all[..1]);
    assert_eq!(find_names(&ada, "?visibility=private").await, all[3..]);
    assert_eq!(find_names(&ada, "?visibility=shared").await, all[..3]);
    assert_eq!(find_names(&ada, "?visibility=shared,private").await, all);
    assert_eq!(find_names(&ada, "?visibility=shared&visibility=shared").await, all[..3]);
    assert_eq!(find_names(&ada, "?owner=mo").await, all[1..2]);
    assert_eq!(find_names(&ada, "?owner=mo&owner=ada&q=fire").await, all[2..]);
    assert_eq!(find_names(&ada, "?owner=nobody").await, Vec::<String>::new());
    assert_eq!(find_names(&mo, "?q=fire").await, ["Fire at night", "FIRE drills"]);
    assert_eq!(find_names(&server.person("owner", "root"), "?limit=2").await, all[..3]);

    let page = ada.get("/v1/reports?limit=2").await.expect(200);
    let next = page.json()["next"].as_str().expect("a next page").to_owned();
    assert_eq!(page.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    for (caller, path) in
        [(&mo, next.clone()), (&ada, format!("{next}&q=fire")), (&ada, "/v1/reports?cursor=x".to_owned())]
    {
        assert_eq!(caller.get(&path).await.expect(400).json()["code"], "bad-cursor");
    }
    for wrong in ["limit=0", "limit=1001", "visibility=public", "sort=name", "owner="] {
        let problem = ada.get(&format!("/v1/reports?{wrong}")).await.expect(400).json();
        assert_eq!(problem["errors"][0]["parameter"], wrong.split('=').next().expect("a name"));
    }
}

#[apply(both_databases)]
async fn user_owns_at_most_1000_reports(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    let path = create_report(&ada, "One", "private", json!({})).await;
    let database = server.database();
    let (id, series) = (database.random_id(), database.series(998));
    database.execute(&format!(
        "INSERT INTO reports (org, key, id, owner, name, search, shared, filter, columns, version, created_at, updated_at) \
         SELECT r.org, -s.n, {id}, r.owner, r.name, r.search, r.shared, r.filter, r.columns, 1, r.created_at, r.updated_at \
         FROM reports r CROSS JOIN ({series}) s"
    )).await;
    create_report(&ada, "The last", "private", json!({})).await;
    let full = ada.post("/v1/reports", &json!({"name": "One too many"})).await.expect(409).json();
    assert_eq!(full["code"], "conflict");
    create_report(&mo, "Somebody else's", "private", json!({})).await;
    assert_eq!(ada.list("/v1/reports?limit=300", "reports").await.len(), 1_000);
    ada.delete(&path).await.expect(204);
    create_report(&ada, "The last again", "private", json!({})).await;
}

#[apply(both_databases)]
async fn reports_of_other_organisations_are_not_accessible(server: &TestServer) {
    let acme = server.person_of("acme", json!({"sub": "ada", "role": "admin"}));
    let other = server.person_of("other", json!({"sub": "ada", "role": "admin"}));
    let acme_report = create_report(&acme, "Ours", "shared", json!({"tag": "a"})).await;
    let other_report = create_report(&other, "Theirs", "shared", json!({"tag": "b"})).await;
    for (caller, foreign) in [(&acme, &other_report), (&other, &acme_report)] {
        caller.get(foreign).await.expect(404);
        assert_eq!(change_statuses(caller, foreign).await, [404, 404, 404]);
        caller.get(&format!("{foreign}/activities")).await.expect(404);
        caller.get(&format!("{foreign}/export.csv")).await.expect(404);
        caller.get(&format!("{foreign}/keys")).await.expect(404);
    }
    // Reports of two organisations with the same id are independent.
    let id = server.database().id_expression(acme_report.rsplit('/').next().expect("an id"));
    let same = format!("UPDATE reports SET id = {id} WHERE name = 'Theirs'");
    assert_eq!(server.database().execute(&same).await, 1);
    assert_eq!(acme.get(&acme_report).await.expect(200).json()["name"], "Ours");
    assert_eq!(other.get(&acme_report).await.expect(200).json()["name"], "Theirs");
    other.patch(&acme_report, &json!({"columns": "full"})).await.expect(200);
    assert_eq!(acme.get(&acme_report).await.json()["columns"], "elearning");
    other.delete(&acme_report).await.expect(204);
    acme.get(&acme_report).await.expect(200);
    // An organisation without data has no reports, and reading does not create it.
    let admin_of_new_organisation = server.person_of("nowhere", json!({"sub": "ada", "role": "admin"}));
    assert_eq!(admin_of_new_organisation.list("/v1/reports", "reports").await, Vec::<Value>::new());
    assert_eq!(change_statuses(&admin_of_new_organisation, &acme_report).await, [404, 404, 404]);
    let organisations =
        server.database().query_number("SELECT count(*) FROM organisations WHERE id = 'nowhere'").await;
    assert_eq!(organisations, 0);
}
