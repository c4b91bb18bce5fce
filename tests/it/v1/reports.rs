//! `/v1/reports`: saved, listed, changed and deleted; seen by those it is for, and changed by those it belongs to.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::activities::advance_clock;
use crate::support::builders::{Body, user};
use crate::support::http::{Answer, Caller};
use crate::support::{TestServer, apply, both_databases};

pub const NO_SUCH_REPORT: &str = "/v1/reports/00000000-0000-4000-8000-00000000000a";

/// Everybody who has reporting access by role, and nobody else.
const READERS: &[&str] = &["owner", "admin", "hr", "reporter", "learning_designer", "manager"];

/// An admin `root`, and managers `ada` and `mo`, `bo` under `mo`.
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

/// Saves a report and gives its path.
pub async fn saved(owner: &Caller, name: &str, visibility: &str, filter: Value) -> String {
    let body = json!({"name": name, "visibility": visibility, "filter": filter});
    path_of(&owner.post("/v1/reports", &body).await.expect(201))
}

/// The path of what was made.
pub fn path_of(answer: &Answer) -> String {
    answer.header("location").expect("Location").to_owned()
}

/// A request with one header more.
async fn with(caller: &Caller, method: Method, path: &str, header: (&str, &str), body: Value) -> Answer {
    let headers = [header, ("content-type", "application/json")];
    let reads = method == Method::GET || method == Method::DELETE;
    let (headers, body) = match reads {
        true => (&headers[..1], Vec::new()),
        false => (&headers[..], body.to_string().into_bytes()),
    };
    caller.send(method, path, headers, body).await
}

fn names(reports: &[Value]) -> Vec<&str> {
    reports.iter().map(|report| report["name"].as_str().expect("a name")).collect()
}

/// How something that is not there is answered, but for the request's own id.
async fn unseen(caller: &Caller, path: &str) -> Value {
    let mut problem = caller.get(path).await.expect(404).json();
    problem["request_id"] = Value::Null;
    problem
}

/// The statuses of everything that would change the report at `path`.
async fn changing(caller: &Caller, path: &str) -> [u16; 3] {
    [
        caller.put(path, &json!({"name": "Mine now"})).await.status,
        caller.patch(path, &json!({"name": "Mine now"})).await.status,
        caller.delete(path).await.status,
    ]
}

#[apply(both_databases)]
async fn a_report_is_saved_and_read_back(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    advance_clock(server, 60);
    let filter = json!({
        "scope": "managed", "type": ["quiz", "item"], "tag": "safety", "completed": true, "include_deactivated": "false",
        "period": "previous_month", "tz": "Europe/London", "custom[Region]": ["North"], "title": ["fire", "first aid"],
        "sort": "happened_at"
    });
    let body =
        json!({"name": " Failed: \"Übung\" ", "visibility": "shared", "filter": filter, "columns": "full"});
    let created = ada.post("/v1/reports", &body).await.expect(201);
    let report = created.json();
    let path = path_of(&created);
    assert_eq!(path, format!("/v1/reports/{}", report["id"].as_str().expect("an id")));
    assert_eq!(
        report,
        json!({
            "id": report["id"], "name": "Failed: \"Übung\"", "visibility": "shared", "filter": filter, "columns": "full",
            "owner": {"id": "ada", "name": "ada Example"},
            "created_at": "2026-03-18T10:18:23.000Z", "updated_at": "2026-03-18T10:18:23.000Z"
        })
    );
    let read = ada.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (report.clone(), created.header("etag")));
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert_eq!(ada.list("/v1/reports", "reports").await, [report]);

    let least = ada.post("/v1/reports", &json!({"name": "All"})).await.expect(201).json();
    assert_eq!(
        (&least["visibility"], &least["filter"], &least["columns"]),
        (&json!("private"), &json!({}), &json!("elearning"))
    );
    // Whoever the directory doesn't have owns reports too; a renamed one has the new name.
    let stranger = server.person("reporter", "elsewhere");
    let theirs = stranger.post("/v1/reports", &json!({"name": "All"})).await.expect(201).json();
    assert_eq!(theirs["owner"], json!({"id": "elsewhere", "name": null}));
    server.person("admin", "root").patch("/v1/users/ada", &json!({"last_name": "Obi"})).await.expect(200);
    assert_eq!(ada.get(&path).await.json()["owner"], json!({"id": "ada", "name": "ada Obi"}));
}

#[apply(both_databases)]
async fn a_report_is_there_for_those_it_is_for(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let private = saved(&ada, "Mine", "private", json!({})).await;
    let shared = saved(&ada, "Ours", "shared", json!({})).await;
    for role in READERS {
        let caller = server.person(role, "mo");
        assert_eq!(names(&caller.list("/v1/reports", "reports").await), ["Ours"], "{role}");
        caller.get(&shared).await.expect(200);
        assert_eq!(unseen(&caller, &private).await, unseen(&caller, NO_SUCH_REPORT).await, "{role}");
        assert_eq!(changing(&caller, &private).await, [404, 404, 404], "{role}");
    }
    // A curator with the permission, and nobody without reporting access; a token's role counts, not the directory's.
    let curator =
        server.person_of("acme", json!({"sub": "mo", "role": "curator", "permissions": ["reporting"]}));
    assert_eq!(names(&curator.list("/v1/reports", "reports").await), ["Ours"]);
    for (role, user) in [("learner", "ada"), ("curator", "ada"), ("learner", "mo")] {
        let caller = server.person(role, user);
        for path in ["/v1/reports", &private, &shared, NO_SUCH_REPORT] {
            caller.get(path).await.expect(403);
        }
        assert_eq!(changing(&caller, &shared).await, [403, 403, 403]);
        caller.post("/v1/reports", &json!({"name": "All"})).await.expect(403);
    }
    // A credential reads shared ones, whatever its key is, and writes none.
    let integration = server.credential("acme", &["activities/read"]).await;
    assert_eq!(names(&integration.list("/v1/reports", "reports").await), ["Ours"]);
    integration.get(&shared).await.expect(200);
    integration.get(&private).await.expect(404);
    assert_eq!(changing(&integration, &shared).await, [403, 403, 403]);
    integration.post("/v1/reports", &json!({"name": "All"})).await.expect(403);
    // The owner sees both, whatever their role is today, as long as it has reporting access.
    for role in READERS {
        assert_eq!(names(&server.person(role, "ada").list("/v1/reports", "reports").await), ["Ours", "Mine"]);
    }
}

#[apply(both_databases)]
async fn only_its_owner_or_an_administrator_changes_one(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    for role in ["hr", "reporter", "learning_designer", "manager"] {
        let shared = saved(&ada, "Ours", "shared", json!({})).await;
        assert_eq!(changing(&server.person(role, "mo"), &shared).await, [403, 403, 403], "{role}");
        assert_eq!(ada.get(&shared).await.expect(200).header("etag"), Some("\"1\""));
        assert_eq!(changing(&server.person(role, "ada"), &shared).await, [200, 200, 204], "{role}");
    }
    for role in ["owner", "admin"] {
        let shared = saved(&ada, "Ours", "shared", json!({})).await;
        let administrator = server.person(role, "root");
        let changed = administrator.patch(&shared, &json!({"columns": "full"})).await.expect(200).json();
        assert_eq!(changed["owner"]["id"], "ada", "it stays its owner's");
        administrator.delete(&shared).await.expect(204);
        ada.get(&shared).await.expect(404);
        // What is made private is out of their hands.
        let shared = saved(&ada, "Ours", "shared", json!({})).await;
        administrator.patch(&shared, &json!({"visibility": "private"})).await.expect(200);
        assert_eq!(changing(&administrator, &shared).await, [404, 404, 404]);
        ada.delete(&shared).await.expect(204);
    }
}

#[apply(both_databases)]
async fn a_report_is_replaced_patched_and_deleted(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let filter = json!({"tag": ["a", "b"], "period": "today", "custom[Region]": "North"});
    let path = saved(&ada, "One", "shared", filter).await;
    let created = ada.get(&path).await.json();

    advance_clock(server, 60);
    let patch = json!({"name": "Two", "filter": {"tag": ["c"], "period": null, "result": "failed"}});
    let patched = ada.patch(&path, &patch).await.expect(200);
    let mut expected = created.clone();
    expected["name"] = json!("Two");
    expected["filter"] = json!({"tag": ["c"], "custom[Region]": "North", "result": "failed"});
    expected["updated_at"] = json!("2026-03-18T10:18:23.000Z");
    assert_eq!((patched.json(), patched.header("etag")), (expected.clone(), Some("\"2\"")));
    assert_eq!(ada.get(&path).await.json(), expected);

    advance_clock(server, 60);
    // What says the same is no new version.
    for same in
        [json!({}), json!({"name": "Two"}), json!({"filter": {}}), json!({"filter": {"period": null}})]
    {
        let answer = ada.patch(&path, &same).await.expect(200);
        assert_eq!((answer.json(), answer.header("etag")), (expected.clone(), Some("\"2\"")));
    }
    let emptied = ada.patch(&path, &json!({"filter": null, "visibility": null})).await.expect(200).json();
    assert_eq!((&emptied["filter"], &emptied["visibility"]), (&json!({}), &json!("private")));

    let put = ada.put(&path, &json!({"name": "Three", "filter": {"tag": "z"}})).await.expect(200);
    assert_eq!(put.header("etag"), Some("\"4\""));
    let mut expected = created.clone();
    for (member, value) in
        [("name", "Three"), ("visibility", "private"), ("updated_at", "2026-03-18T10:19:23.000Z")]
    {
        expected[member] = json!(value);
    }
    expected["filter"] = json!({"tag": "z"});
    assert_eq!(put.json(), expected);

    ada.delete(&path).await.expect(204);
    assert_eq!(changing(&ada, &path).await, [404, 404, 404]);
    ada.get(&path).await.expect(404);
    // PUT makes none: ids are the server's. What is no id names nothing.
    for path in [NO_SUCH_REPORT, "/v1/reports/one"] {
        assert_eq!(changing(&ada, path).await, [404, 404, 404]);
        ada.get(path).await.expect(404);
    }
    assert_eq!(ada.list("/v1/reports", "reports").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn preconditions_are_honoured(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let path = saved(&ada, "One", "shared", json!({})).await;
    let name = json!({"name": "Two"});
    for stale in ["\"2\"", "\"0\", \"7\"", "W/\"11\"", "\"\""] {
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            let answer =
                with(&ada, method.clone(), &path, ("if-match", stale), name.clone()).await.expect(412);
            assert_eq!(answer.json()["code"], "precondition-failed", "{method} {stale}");
        }
    }
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        with(&ada, method.clone(), &path, ("if-match", "\"1"), name.clone()).await.expect(400);
        // Nothing there is 404, and somebody else's is 403, whatever is expected of it.
        with(&ada, method.clone(), NO_SUCH_REPORT, ("if-match", "*"), name.clone()).await.expect(404);
        let other = server.person("manager", "mo");
        with(&other, method, &path, ("if-match", "\"9\""), name.clone()).await.expect(403);
    }
    assert_eq!(ada.get(&path).await.json()["name"], "One");
    with(&ada, Method::PUT, &path, ("if-match", "\"1\""), name.clone()).await.expect(200);
    with(&ada, Method::PATCH, &path, ("if-match", "\"1\", W/\"2\""), json!({"name": "Three"}))
        .await
        .expect(200);
    with(&ada, Method::PATCH, &path, ("if-match", "*"), json!({"name": "Four"})).await.expect(200);

    // The tag names what was written; the owner's name is the directory's, so that the answer is always a whole one.
    for first_name in ["Ada", "Adelheid"] {
        let root = server.person("admin", "root");
        root.put("/v1/users/ada", &user("ada").set("first_name", first_name))
            .await
            .expect_one_of(&[200, 201]);
        for tag in ["\"4\"", "*", "\"3\""] {
            let read = with(&ada, Method::GET, &path, ("if-none-match", tag), Value::Null).await.expect(200);
            assert_eq!(
                (read.header("etag"), read.header("cache-control")),
                (Some("\"4\""), Some("no-cache"))
            );
            let named = format!("{first_name} Example");
            assert_eq!(
                (&read.json()["name"], &read.json()["owner"]["name"]),
                (&json!("Four"), &json!(named))
            );
        }
    }
    // A tag opens nothing.
    let learner = server.person("learner", "bo");
    with(&learner, Method::GET, &path, ("if-none-match", "*"), Value::Null).await.expect(403);

    // Of those who change what they have read, one comes first, and the others are told.
    let all = join_all((0..8).map(async |n| {
        let patch = json!({"name": format!("By {n}")});
        with(&ada, Method::PATCH, &path, ("if-match", "\"4\""), patch).await.status
    }))
    .await;
    assert_eq!(all.iter().filter(|status| **status == 200).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|status| **status == 412).count(), 7, "{all:?}");
    with(&ada, Method::DELETE, &path, ("if-match", "\"5\""), Value::Null).await.expect(204);
}

#[apply(both_databases)]
async fn what_is_wrong_is_named_and_changes_nothing(server: &TestServer) {
    set_up(server).await;
    let ada = server.person("manager", "ada");
    let path = saved(&ada, "One", "shared", json!({"tag": "a"})).await;
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
        (json!({"tag": []}), "/filter/tag"),
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
    // A scope that the maker can't have is no fault: it is clamped for whoever opens it.
    for scope in ["company", "managed", "me"] {
        let body = json!({"name": scope, "filter": {"scope": scope, "include_sub_managers": true}});
        let created = path_of(&ada.post("/v1/reports", &body).await.expect(201));
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
        (json!({"name": "Two", "owner": {"id": "bo"}}), "/owner"),
        (json!({"name": "Two", "id": "00000000-0000-4000-8000-00000000000a"}), "/id"),
    ];
    for (body, pointer) in bodies {
        for answer in [ada.post("/v1/reports", &body).await, ada.put(&path, &body).await] {
            assert_eq!(answer.expect(400).error_pointers(), [pointer], "{body}");
        }
    }
    for (patch, pointer) in [
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
async fn lists_are_paged_and_searched(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    for (owner, name, visibility) in [
        (&ada, "Übung: Fire safety", "private"),
        (&ada, "FIRE drills", "shared"),
        (&mo, "Fire at night", "private"),
        (&mo, "First aid", "shared"),
        (&ada, "100% of_it", "shared"),
    ] {
        saved(owner, name, visibility, json!({})).await;
    }
    let found = async |caller: &Caller, query: &str| -> Vec<String> {
        let reports = caller.list(&format!("/v1/reports{query}"), "reports").await;
        names(&reports).into_iter().map(str::to_owned).collect()
    };
    let all = ["100% of_it", "First aid", "FIRE drills", "Übung: Fire safety"];
    assert_eq!(found(&ada, "").await, all);
    for limit in 1..=5 {
        assert_eq!(found(&ada, &format!("?limit={limit}")).await, all);
    }
    assert_eq!(found(&ada, "?q=fire").await, all[2..]);
    assert_eq!(found(&ada, "?q=SAFETY+%C3%BC&limit=1").await, all[3..]);
    assert_eq!(found(&ada, "?q=%25").await, all[..1]);
    assert_eq!(found(&ada, "?visibility=private").await, all[3..]);
    assert_eq!(found(&ada, "?visibility=shared").await, all[..3]);
    assert_eq!(found(&ada, "?visibility=shared,private").await, all);
    assert_eq!(found(&ada, "?visibility=shared&visibility=shared").await, all[..3]);
    assert_eq!(found(&ada, "?owner=mo").await, all[1..2]);
    assert_eq!(found(&ada, "?owner=mo&owner=ada&q=fire").await, all[2..]);
    assert_eq!(found(&ada, "?owner=nobody").await, Vec::<String>::new());
    assert_eq!(found(&mo, "?q=fire").await, ["Fire at night", "FIRE drills"]);
    assert_eq!(found(&server.person("owner", "root"), "?limit=2").await, all[..3]);

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
async fn a_user_owns_a_thousand_reports(server: &TestServer) {
    set_up(server).await;
    let (ada, mo) = (server.person("manager", "ada"), server.person("manager", "mo"));
    let path = saved(&ada, "One", "private", json!({})).await;
    let database = server.database();
    let (id, series) = (database.random_id(), database.series(998));
    database.execute(&format!(
        "INSERT INTO reports (org, key, id, owner, name, search, shared, filter, columns, version, created_at, updated_at) \
         SELECT r.org, -s.n, {id}, r.owner, r.name, r.search, r.shared, r.filter, r.columns, 1, r.created_at, r.updated_at \
         FROM reports r CROSS JOIN ({series}) s"
    )).await;
    saved(&ada, "The last", "private", json!({})).await;
    let full = ada.post("/v1/reports", &json!({"name": "One too many"})).await.expect(409).json();
    assert_eq!(full["code"], "conflict");
    saved(&mo, "Somebody else's", "private", json!({})).await;
    assert_eq!(ada.list("/v1/reports?limit=300", "reports").await.len(), 1_000);
    ada.delete(&path).await.expect(204);
    saved(&ada, "The last again", "private", json!({})).await;
}

#[apply(both_databases)]
async fn organisations_know_nothing_of_each_other(server: &TestServer) {
    let acme = server.person_of("acme", json!({"sub": "ada", "role": "admin"}));
    let other = server.person_of("other", json!({"sub": "ada", "role": "admin"}));
    let ours = saved(&acme, "Ours", "shared", json!({"tag": "a"})).await;
    let theirs = saved(&other, "Theirs", "shared", json!({"tag": "b"})).await;
    for (caller, foreign) in [(&acme, &theirs), (&other, &ours)] {
        caller.get(foreign).await.expect(404);
        assert_eq!(changing(caller, foreign).await, [404, 404, 404]);
        caller.get(&format!("{foreign}/activities")).await.expect(404);
        caller.get(&format!("{foreign}/export.csv")).await.expect(404);
        caller.get(&format!("{foreign}/keys")).await.expect(404);
    }
    // Even under the same id each has its own, and only that is changed and deleted.
    let same = "UPDATE reports SET id = (SELECT o.id FROM reports o WHERE o.name = 'Ours')";
    assert_eq!(server.database().execute(same).await, 2);
    assert_eq!(acme.get(&ours).await.expect(200).json()["name"], "Ours");
    assert_eq!(other.get(&ours).await.expect(200).json()["name"], "Theirs");
    other.patch(&ours, &json!({"columns": "full"})).await.expect(200);
    assert_eq!(acme.get(&ours).await.json()["columns"], "elearning");
    other.delete(&ours).await.expect(204);
    acme.get(&ours).await.expect(200);
    // An organisation that nobody has written in has none, and asking makes none.
    let nowhere = server.person_of("nowhere", json!({"sub": "ada", "role": "admin"}));
    assert_eq!(nowhere.list("/v1/reports", "reports").await, Vec::<Value>::new());
    assert_eq!(changing(&nowhere, &ours).await, [404, 404, 404]);
    let organisations =
        server.database().query_number("SELECT count(*) FROM organisations WHERE id = 'nowhere'").await;
    assert_eq!(organisations, 0);
}
