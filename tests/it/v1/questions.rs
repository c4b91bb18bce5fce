//! Tests of requests that ask wrongly: flags without effect, empty windows, wrong types, several bad elements.

use serde_json::{Value, json};

use super::activities::{id, numbered_activity, post_batch, read_log, record_numbers, set_up};
use crate::support::builders::{Body, activity, content, group, mailbox, team, user};
use crate::support::http::{Answer, Caller};
use crate::support::records::STATEMENTS;
use crate::support::{TestServer, apply, both_databases};

/// The lists that take the filters of the log.
const LISTS: &[&str] = &[
    "/v1/activities",
    "/v1/activities/export.csv",
    "/v1/activities/export.ndjson",
    "/v1/activities/summary?by=action",
    "/v1/facets",
    "/v1/me/activities",
    "/v1/users/ada/activities",
    "/v1/users/ada/timeline",
];

/// The resources that take the filters of people.
const PEOPLE: &[&str] = &["/v1/contents/fire/progress", "/v1/contents/fire/progress.csv", "/v1/users"];

fn with(path: &str, parameters: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{parameters}")
}

#[track_caller]
fn assert_names(answer: Answer, name: &str) {
    let answer = answer.expect(400);
    assert_eq!(answer.error_parameters().into_iter().collect::<Vec<_>>(), [name], "{}", answer.text());
}

/// Teams `sales` above `north`, with `ada` in `sales` and `bo` in `north`, and `bo` also in `sales`. One activity each.
async fn set_up_teams(server: &TestServer) -> Caller {
    let admin = set_up(server).await;
    admin.post("/v1/teams/batch", &[team("sales"), team("north").set("parent", "sales")]).await.expect(200);
    admin.patch("/v1/users/ada", &json!({"primary_team": "sales"})).await.expect(200);
    admin.patch("/v1/users/bo", &json!({"primary_team": "north", "teams": ["north"]})).await.expect(200);
    admin.put("/v1/users/cy", &user("cy").set("teams", json!(["sales"]))).await.expect(201);
    let viewed = |n: usize, who: &str| activity(who, "viewed").set("id", id(n)).set("content", "fire");
    post_batch(&admin, &[viewed(1, "ada"), viewed(2, "bo"), viewed(3, "cy")]).await;
    admin
}

#[apply(both_databases)]
async fn flag_without_effect_is_refused(server: &TestServer) {
    let admin = set_up_teams(server).await;
    for flag in ["include_sub_teams", "primary_team_only"] {
        for path in LISTS.iter().chain(PEOPLE) {
            assert_names(admin.get(&with(path, &format!("{flag}=true"))).await, flag);
            admin.get(&with(path, &format!("{flag}=true&team=sales"))).await.expect(200);
            // `false` asks for nothing.
            admin.get(&with(path, &format!("{flag}=false"))).await.expect(200);
        }
        let report = Body::default().set("name", "R").set("filter", json!({flag: true}));
        let refused = admin.post("/v1/reports", &report).await.expect(400);
        assert_eq!(refused.error_pointers(), [format!("/filter/{flag}")]);
    }
    let flag = "include_sub_managers";
    for path in LISTS.iter().chain(PEOPLE).filter(|path| !path.contains("/me/") && !path.contains("users")) {
        for scope in ["", "&scope=company", "&scope=me", "&scope=team&team=sales"] {
            assert_names(admin.get(&with(path, &format!("{flag}=true{scope}"))).await, flag);
        }
        admin.get(&with(path, &format!("{flag}=true&scope=managed"))).await.expect(200);
        admin.get(&with(path, &format!("{flag}=false"))).await.expect(200);
    }
    let report = Body::default().set("name", "R").set("filter", json!({flag: true, "scope": "company"}));
    let refused = admin.post("/v1/reports", &report).await.expect(400);
    assert_eq!(refused.error_pointers(), [format!("/filter/{flag}")]);
    let mark = Body::default().set("content", "fire").set("users", json!(["bo"])).set("dry_run", true);
    let refused =
        admin.post("/v1/completions", &mark.clone().set("include_sub_teams", true)).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/include_sub_teams"]);
    let with_team = mark.set("include_sub_teams", true).set("teams", json!(["sales"]));
    admin.post("/v1/completions", &with_team).await.expect(200);
}

#[apply(both_databases)]
async fn flags_of_teams_work_with_every_scope(server: &TestServer) {
    let admin = set_up_teams(server).await;
    admin.put("/v1/users/root", &user("root").set("role", "admin")).await.expect(201);
    for who in ["ada", "bo", "cy"] {
        admin.patch(&format!("/v1/users/{who}"), &json!({"manager": "root"})).await.expect(200);
    }
    for scope in ["", "&scope=company", "&scope=team", "&scope=managed"] {
        let found = async |flags: &str| {
            let path = format!("/v1/activities?sort=happened_at&team=sales{flags}{scope}");
            record_numbers(&admin.list(&path, "activities").await)
        };
        assert_eq!(found("").await, [1, 3], "{scope}");
        assert_eq!(found("&include_sub_teams=true").await, [1, 2, 3], "{scope}");
        assert_eq!(found("&primary_team_only=true").await, [1], "{scope}");
        assert_eq!(found("&primary_team_only=true&include_sub_teams=true").await, [1, 2], "{scope}");
    }
    let users = async |flags: &str| {
        let found = admin.list(&format!("/v1/users?team=sales{flags}"), "users").await;
        found.iter().map(|user| user["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(users("").await, ["ada", "cy"]);
    assert_eq!(users("&include_sub_teams=true").await, ["ada", "bo", "cy"]);
    assert_eq!(users("&primary_team_only=true").await, ["ada"]);
}

#[apply(both_databases)]
async fn primary_team_only_narrows_the_team_of_a_report(server: &TestServer) {
    let admin = set_up_teams(server).await;
    let create = async |filter: Value| {
        let body = Body::default().set("name", "R").set("filter", filter);
        let report = admin.post("/v1/reports", &body).await.expect(201).json();
        format!("/v1/reports/{}/activities?primary_team_only=true", report["id"].as_str().expect("an id"))
    };
    let rows = admin.list(&create(json!({"team": "sales"})).await, "activities").await;
    assert_eq!(record_numbers(&rows), [1]);
    let below = create(json!({"team": "sales", "include_sub_teams": true})).await;
    assert_eq!(admin.list(&format!("{below}&limit=1"), "activities").await.len(), 2);
    assert_names(admin.get(&create(json!({})).await).await, "primary_team_only");
}

#[apply(both_databases)]
async fn from_must_be_before_to(server: &TestServer) {
    let admin = set_up(server).await;
    for path in LISTS {
        for window in [
            "from=2026-03-02&to=2026-03-01",
            "from=2026-03-02&to=2026-03-02",
            "from=2026-03-02T10:00Z&to=2026-03-02T11:00%2B01:00",
            "from=2026-03-02&to=2026-03-02T00:00Z&tz=UTC",
        ] {
            assert_names(admin.get(&with(path, window)).await, "from");
        }
        admin.get(&with(path, "from=2026-03-01&to=2026-03-02")).await.expect(200);
    }
    // The day begins in the time zone.
    admin.get("/v1/activities?from=2026-03-02&to=2026-03-02T00:00Z&tz=Asia/Tokyo").await.expect(200);
    admin.get("/v1/activities?from=2026-03-02&to=2026-03-02T03:00Z&tz=America/New_York").await.expect(400);
    let report = |from: &str, to: &str| {
        Body::default().set("name", "R").set("filter", json!({"from": from, "to": to}))
    };
    let refused = admin.post("/v1/reports", &report("2026-03-02", "2026-03-01")).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/filter/from"]);
    // The zone of the organisation can change, so a date and a time of a saved filter are not compared.
    let saved =
        admin.post("/v1/reports", &report("2026-03-02", "2026-03-01T20:00Z")).await.expect(201).json();
    admin.get(&format!("/v1/reports/{}/activities", saved["id"].as_str().expect("an id"))).await.expect(200);
}

#[apply(both_databases)]
async fn every_bad_element_of_an_activity_batch_is_named(server: &TestServer) {
    let admin = set_up(server).await;
    post_batch(&admin, &[numbered_activity(1, "viewed")]).await;
    let valid = |n: usize| numbered_activity(n, "viewed");
    let batch = [
        valid(2).json(),
        valid(3).set("user", "nobody").json(),
        valid(4).set("result.score", "85").json(),
        valid(5).set("content", "none").json(),
        valid(1).set("action", "completed").json(),
        json!(7),
        valid(6).set("happened_at", "2026-03-01T10:00:00").set("user", "nobody").json(),
        valid(2).set("action", "completed").json(),
        valid(7).set("user", "nobody").set("content", "none").json(),
    ];
    let expected = [
        "/1/user",
        "/2/result/score",
        "/3/content",
        "/4/id",
        "/5",
        "/6/happened_at",
        "/7/id",
        "/8/user",
        "/8/content",
    ];
    let refused = admin.post("/v1/activities/batch", &batch).await.expect(400);
    assert_eq!(refused.error_pointers(), expected);
    let lines: Vec<String> = batch.iter().map(Value::to_string).collect();
    let lines = format!("{}\n{{\"user\"\n", lines.join("\n")).into_bytes();
    let ndjson = [("content-type", "application/x-ndjson")];
    let refused = admin.send(reqwest::Method::POST, "/v1/activities/batch", &ndjson, lines).await.expect(400);
    assert_eq!(refused.error_pointers(), [&expected[..], &["/9"]].concat());
    // Conflicts alone are 409, and all are named.
    let conflicts = [valid(1).set("action", "completed"), valid(2), valid(1).set("user", "bo")];
    let refused = admin.post("/v1/activities/batch", &conflicts).await.expect(409);
    assert_eq!(refused.error_pointers(), ["/0/id", "/2/id"]);
    let statements: Vec<Value> = [1, 1_000]
        .iter()
        .map(|n| json!({"id": id(*n), "actor": mailbox("x@example.org"), "verb": {"id": "urn:v"}, "object": {"id": "urn:o"}}))
        .collect();
    let refused = admin.post(STATEMENTS, &statements).await.expect(409);
    assert_eq!(refused.error_pointers(), ["/0/id"]);
    assert_eq!(read_log(&admin).await.len(), 1);
}

#[apply(both_databases)]
async fn every_bad_element_of_a_directory_batch_is_named(server: &TestServer) {
    let admin = set_up(server).await;
    admin.post("/v1/teams/batch", &[team("sales")]).await.expect(200);
    let batch = [
        // A manager of this batch that is refused is not named as unknown.
        user("u0").set("manager", "u1"),
        user("u1").set("role", "boss"),
        user("u2").set("primary_team", "none").set("groups", json!(["none"])),
        user("u3").set("manager", "u4"),
        user("u4").set("manager", "u3"),
        user("u5").set("email", "ada@example.org"),
        user("u6").set("manager", "nobody"),
        user("u7").set("manager", "u2"),
        user("u1"),
        user("u8").set("email", "u8@"),
        user("u9").set("identifiers", json!([mailbox("ADA@example.org")])),
    ];
    let refused = admin.post("/v1/users/batch", &batch).await.expect(400);
    let mut named = refused.error_pointers();
    // An address is several identifiers.
    named.dedup();
    assert_eq!(
        named,
        [
            "/1/role",
            "/2/primary_team",
            "/2/groups",
            "/3/manager",
            "/5/email",
            "/6/manager",
            "/8/id",
            "/9/email",
            "/10/identifiers",
        ]
    );
    // Conflicts alone are 409.
    let refused = admin.post("/v1/users/batch", &[user("u0"), batch[5].clone()]).await.expect(409);
    assert!(refused.error_pointers().iter().all(|pointer| pointer == "/1/email"));
    assert_eq!(admin.list("/v1/users", "users").await.len(), 2, "nothing was written");

    let refused = admin
        .post(
            "/v1/teams/batch",
            &[
                team("a").set("parent", "b"),
                team("b").set("name", ""),
                team("c").set("parent", "none"),
                team("d").set("parent", "d"),
            ],
        )
        .await
        .expect(400);
    assert_eq!(refused.error_pointers(), ["/1/name", "/2/parent", "/3/parent"]);
    let groups = [group("a").json(), json!({"id": "b"}), json!("c")];
    let refused = admin.post("/v1/groups/batch", &groups).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/1/name", "/2"]);
    let fire = admin.get("/v1/contents/fire").await.expect(200).json();
    let contents = [
        content("a", "quiz").set("pass_mark", "80"),
        content("b", "quiz").set("iri", fire["iri"].clone()),
        content("c", "quiz"),
    ];
    let refused = admin.post("/v1/contents/batch", &contents).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/0/pass_mark", "/1/iri"]);
    admin.get("/v1/contents/c").await.expect(404);
}

#[apply(both_databases)]
async fn byte_order_mark_before_a_body_is_taken(server: &TestServer) {
    let admin = set_up(server).await;
    let json = [("content-type", "application/json")];
    let ndjson = [("content-type", "application/x-ndjson")];
    let patch = [("content-type", "application/merge-patch+json")];
    let send = async |method: reqwest::Method, path: &str, headers: &[(&str, &str)], text: String| {
        admin.send(method, path, headers, format!("\u{feff}{text}").into_bytes()).await
    };
    let post = reqwest::Method::POST;
    let one = |n: usize| numbered_activity(n, "viewed").json().to_string();
    send(post.clone(), "/v1/activities", &json, one(1)).await.expect(201);
    send(post.clone(), "/v1/activities/batch", &json, format!("[{}]", one(2))).await.expect(201);
    send(post.clone(), "/v1/activities/batch", &ndjson, format!("{}\n{}\n", one(3), one(4)))
        .await
        .expect(201);
    send(post.clone(), "/v1/users/batch", &ndjson, user("cy").json().to_string()).await.expect(200);
    send(reqwest::Method::PUT, "/v1/users/cy", &json, user("cy").json().to_string()).await.expect(200);
    send(reqwest::Method::PATCH, "/v1/users/cy", &patch, r#"{"location":"Leeds"}"#.to_owned())
        .await
        .expect(200);
    let statement = |n: usize| {
        json!({"id": id(n), "actor": mailbox("ada@example.org"), "verb": {"id": "urn:v"}, "object": {"id": "urn:o"}})
            .to_string()
    };
    send(post.clone(), STATEMENTS, &json, statement(5)).await.expect(200);
    send(post.clone(), STATEMENTS, &json, format!("[{},{}]", statement(6), statement(7))).await.expect(200);
    let too_many = format!("[{}]", vec!["1"; 1_001].join(","));
    send(post.clone(), STATEMENTS, &json, too_many.clone()).await.expect(413);
    send(post.clone(), "/v1/activities/batch", &json, too_many).await.expect(413);
    let state = "/xapi/activities/state?stateId=s&activityId=urn:o&agent=%7B%22mbox%22:%22mailto:ada@example.org%22%7D";
    send(post.clone(), state, &json, r#"{"a":1}"#.to_owned()).await.expect(204);
    send(post.clone(), state, &json, r#"{"b":2}"#.to_owned()).await.expect(204);
    assert_eq!(admin.get(state).await.expect(200).json(), json!({"a": 1, "b": 2}));
    assert_eq!(read_log(&admin).await.len(), 7);
    // A mark anywhere else is no JSON.
    send(post, "/v1/activities", &json, format!("\u{feff}{}", one(8))).await.expect(400);
}

#[apply(both_databases)]
async fn null_inside_an_agent_counts_as_missing(server: &TestServer) {
    let admin = set_up(server).await;
    let agent = json!({"objectType": null, "name": null, "mbox": "mailto:cy@example.org", "mbox_sha1sum": null,
        "openid": null, "account": null});
    let sent = numbered_activity(1, "viewed").set("user", agent.clone());
    admin.post("/v1/activities", &sent).await.expect(201);
    let account = json!({"mbox": null, "account": {"homePage": "https://example.org", "name": "cy"}});
    admin.put("/v1/users/cy", &user("cy").set("identifiers", json!([agent, account]))).await.expect(201);
    assert_eq!(read_log(&admin).await[0]["user"]["id"], "cy");
    let moved = json!({"identifiers": [{"name": null, "mbox": "mailto:cy@example.org", "account": null}], "from": null});
    admin.post("/v1/users/bo/identifiers", &moved).await.expect(200);
    assert_eq!(read_log(&admin).await[0]["user"]["id"], "bo");
    let scored =
        numbered_activity(2, "completed").set("result.score", json!({"raw": 7, "min": null, "max": 10}));
    let row = admin.post("/v1/activities", &scored).await.expect(201).json();
    assert_eq!(row["result"]["score"]["percent"], 70);
    // xAPI allows no `null` there.
    let statement = json!({"actor": {"mbox": "mailto:cy@example.org", "name": null}, "verb": {"id": "urn:v"},
        "object": {"id": "urn:o"}});
    admin.post(STATEMENTS, &statement).await.expect(400);
}

#[apply(both_databases)]
async fn text_in_place_of_a_number_is_told_to_be_a_number(server: &TestServer) {
    let admin = set_up(server).await;
    let detail = |answer: Answer, pointer: &str| {
        let answer = answer.expect(400);
        assert_eq!(answer.error_pointers(), [pointer]);
        answer.json()["errors"][0]["detail"].as_str().expect("a detail").to_owned()
    };
    let scored = |score: Value| numbered_activity(1, "completed").set("result.score", score);
    let found = detail(admin.post("/v1/activities", &scored(json!("85"))).await, "/result/score");
    assert!(found.contains("number") && found.contains("not a string"), "{found}");
    let found =
        detail(admin.post("/v1/activities", &scored(json!({"raw": "85"}))).await, "/result/score/raw");
    assert!(found.contains("number"), "{found}");
    let found = detail(
        admin.put("/v1/contents/fire", &content("fire", "quiz").set("pass_mark", "80")).await,
        "/pass_mark",
    );
    assert!(found.contains("number"), "{found}");
}

#[apply(both_databases)]
async fn device_type_is_found_in_any_case(server: &TestServer) {
    let admin = set_up(server).await;
    let sender = server.credential("acme", &["activities/write"]).await;
    sender.post("/v1/activities", &numbered_activity(1, "viewed")).await.expect(201);
    let phone = numbered_activity(2, "completed").set("device_type", "iPhone");
    admin.post("/v1/activities", &phone).await.expect(201);
    for (query, expected) in [
        ("device_type=API", vec![1]),
        ("device_type=api", vec![1]),
        ("device_type=iPhone&device_type=Api", vec![1, 2]),
    ] {
        let path = format!("/v1/activities?sort=happened_at&{query}");
        let mut found = record_numbers(&admin.list(&path, "activities").await);
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
    let facets = admin.get("/v1/facets").await.expect(200).json();
    let facets = facets["facets"].as_array().expect("facets");
    let devices = facets.iter().find(|facet| facet["name"] == "device_type").expect("the facet");
    let values: Vec<&Value> = devices["values"].as_array().expect("values").iter().collect();
    assert_eq!(values.len(), 2, "{devices}");
}
