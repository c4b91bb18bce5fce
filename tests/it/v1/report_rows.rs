//! Tests of `/v1/reports/{id}/activities` and its exports: a report contains only rows of the caller's own
//! log, and additional parameters only narrow it.

use serde_json::{Value, json};

use super::reports::{NO_SUCH_REPORT, create_report, location};
use crate::support::builders::{Body, activity, content, group, mailbox, statement, team, user};
use crate::support::http::{Answer, Caller, query};
use crate::support::records::list_ids;
use crate::support::server::START;
use crate::support::{TestServer, apply, both_databases};
use rollbook::base::clock::Timestamp;

/// Creates an organisation in which every filter has several values, and returns an admin.
///
/// `top` manages `mo` and `eve`, `mo` manages `bo` and the deactivated `dee`, `bo` manages `cy`. Each has
/// activities on three contents and two logins. One actor is not a user.
async fn set_up(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let teams = [team("sales"), team("north").set("parent", "sales")];
    admin.post("/v1/teams/batch", &teams).await.expect(200);
    for name in ["aid", "night"] {
        admin.put(&format!("/v1/groups/{name}"), &group(name)).await.expect(201);
    }
    let region = |name: &str| json!({"Region": name, "Cost centre": format!("{name}/1")});
    let users: Vec<Body> = vec![
        user("top").set("role", "manager"),
        user("mo").set("role", "manager").set("manager", "top").set("teams", json!(["sales"])),
        user("bo")
            .set("manager", "mo")
            .set("primary_team", "sales")
            .set("groups", json!(["aid"]))
            .set("custom", region("North")),
        user("cy")
            .set("manager", "bo")
            .set("teams", json!(["sales", "north"]))
            .set("groups", json!(["aid", "night"]))
            .set("custom", region("South")),
        user("eve").set("manager", "top").set("primary_team", "north").set("custom", region("North")),
        user("dee").set("manager", "mo").set("groups", json!(["night"])).set("custom", region("South")),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    let contents: Vec<Body> = vec![
        content("fire", "quiz").set("title", "Fire safety").set("tags", json!(["safety", "a"])),
        content("aid", "item")
            .set("content_type", "video")
            .set("title", "First aid")
            .set("tags", json!(["a", "b"])),
        content("plan", "item")
            .set("content_type", "article")
            .set("title", "=Night plan")
            .set("tags", json!(["b", "safety"])),
    ];
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    let mut activities = Vec::new();
    for (context, who) in ["top", "mo", "bo", "cy", "eve", "dee"].into_iter().enumerate() {
        let at = |day: usize, hour: usize| format!("2026-03-{day:02}T{hour:02}:30:00Z");
        for (index, content_id) in ["fire", "aid", "plan"].into_iter().enumerate() {
            let action = ["completed", "viewed", "failed"][(context + index) % 3];
            activities.push(
                activity(who, action)
                    .set("content", content_id)
                    .set("happened_at", at(1 + context * 2 + index, 9 + index)),
            );
            activities.push(
                activity(who, "started").set("content", content_id).set("happened_at", at(17, 20 + index)),
            );
        }
        for hour in [1, 2] {
            activities.push(activity(who, "logged_in").set("happened_at", at(18, hour)));
        }
    }
    admin.post("/v1/activities/batch", &activities).await.expect(201);
    let stranger = statement(
        mailbox("stranger@example.org"),
        "http://adlnet.gov/expapi/verbs/completed",
        "https://rollbook.invalid/acme/contents/fire",
    );
    admin.post("/xapi/statements", &stranger).await.expect(200);
    admin.patch("/v1/users/dee", &json!({"active": false})).await.expect(200);
    admin
}

/// The filter and more parameters as a query string.
fn filter_query(filter: &Value, more: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (name, value) in filter.as_object().expect("an object") {
        match value.as_array() {
            Some(values) => pairs.extend(values.iter().map(|value| (name.clone(), text(value)))),
            None => pairs.push((name.clone(), text(value))),
        }
    }
    pairs.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    query(&pairs)
}

fn log_path(filter: &Value, more: &[(&str, &str)]) -> String {
    format!("/v1/activities{}", filter_query(filter, more))
}

/// All kinds of callers that may open reports. People have the id `mo` or `top`.
async fn callers_with_reporting_access(server: &TestServer) -> Vec<(String, Caller)> {
    let mut callers = Vec::new();
    for role in ["owner", "admin", "hr", "reporter", "learning_designer", "manager"] {
        callers.push((role.to_owned(), server.person(role, "mo")));
    }
    for (name, claims) in [
        ("curator with reporting", json!({"sub": "mo", "role": "curator", "permissions": ["reporting"]})),
        (
            "manager with the permission",
            json!({"sub": "mo", "role": "manager", "permissions": ["indirect_reports"]}),
        ),
        (
            "manager by the token",
            json!({"sub": "mo", "role": "manager", "reports": {"direct": ["eve"], "indirect": ["cy"]}}),
        ),
        ("manager of nobody", json!({"sub": "mo", "role": "manager", "reports": {}})),
        ("manager at the top", json!({"sub": "top", "role": "manager"})),
        ("admin with managed users", json!({"sub": "top", "role": "admin"})),
    ] {
        callers.push((name.to_owned(), server.person_of("acme", claims)));
    }
    callers.push(("credential".to_owned(), server.credential("acme", &["activities/read"]).await));
    callers
}

/// The scope parameters for the caller's own log that correspond to the scope of the report, if the caller
/// has rights for any of it.
///
/// Without sub-managers is the next narrower scope.
async fn find_permitted_scope(
    caller: &Caller,
    filter: &Value,
    scope: Option<&str>,
    deep: bool,
) -> Option<Vec<(&'static str, &'static str)>> {
    let managed = ("scope", "managed");
    let candidates: Vec<Vec<(&str, &str)>> = match scope {
        Some("managed") if deep => vec![vec![managed, ("include_sub_managers", "true")], vec![managed]],
        Some("managed") => vec![vec![managed]],
        Some("me") => vec![vec![("scope", "me")]],
        _ => vec![vec![]],
    };
    for permitted in candidates {
        // The rights of the caller are unknown here: the answer shows whether this scope is permitted.
        match caller.get(&log_path(filter, &permitted)).await.expect_one_of(&[200, 403]).status {
            200 => return Some(permitted),
            _ => continue,
        }
    }
    None
}

/// The text and the content type, without headers that contain the date or the name.
fn text_and_content_type(answer: &Answer) -> (String, Option<String>) {
    (answer.text().to_owned(), answer.header("content-type").map(str::to_owned))
}

#[apply(both_databases)]
async fn documented_flags_are_accepted(server: &TestServer) {
    let admin = set_up(server).await;
    let report = create_report(&admin, "Everything", "shared", json!({})).await;
    let document = server.anonymous().get("/openapi.json").await.expect(200).json();
    for resource in ["activities", "export.csv", "export.ndjson"] {
        let operation = &document["paths"][format!("/v1/reports/{{id}}/{resource}")]["get"];
        let parameters = operation["parameters"].as_array().expect("parameters");
        let flags =
            parameters.iter().filter(|parameter| parameter["schema"].to_string().contains("\"boolean\""));
        let names: Vec<&str> = flags.map(|parameter| parameter["name"].as_str().expect("a name")).collect();
        assert!(names.contains(&"completed"), "{names:?}");
        for name in names {
            admin.get(&format!("{report}/{resource}?team=sales&{name}=true")).await.expect(200);
        }
        let has_parameter = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
        assert!(
            has_parameter("scope") && has_parameter("team") && has_parameter("certificate_expires_within"),
            "{resource}"
        );
    }
}

#[apply(both_databases)]
async fn report_contains_only_rows_of_the_callers_log(server: &TestServer) {
    let admin = set_up(server).await;
    let callers = callers_with_reporting_access(server).await;
    let all_rows = json!({});
    let tagged = json!({"tag": ["a", "b"], "include_deactivated": true, "sort": "happened_at"});
    let visits = json!({"action": ["visited", "completed", "watched"]});
    let cases = [
        (true, &all_rows, None, false),
        (true, &all_rows, Some("company"), false),
        (true, &all_rows, Some("managed"), false),
        (true, &all_rows, Some("managed"), true),
        (true, &all_rows, Some("me"), false),
        (true, &visits, Some("team"), false),
        (true, &visits, None, false),
        (true, &tagged, Some("managed"), true),
        (false, &all_rows, Some("company"), false),
        (false, &all_rows, Some("managed"), true),
        (false, &tagged, None, false),
    ];
    let mut compared = 0;
    for (indirect, filter, scope, deep) in cases {
        admin
            .patch("/v1/organisation", &json!({"managers_see_indirect_reports": indirect}))
            .await
            .expect(200);
        let mut filter = filter.clone();
        if scope == Some("team") {
            filter["team"] = json!(["sales"]);
            filter["include_sub_teams"] = json!("true");
        }
        let mut stored = filter.clone();
        if let Some(scope) = scope {
            stored["scope"] = json!(scope);
        }
        if deep {
            stored["include_sub_managers"] = json!(true);
        }
        let path = create_report(&admin, "Shared", "shared", stored.clone()).await;
        for (name, caller) in &callers {
            let context = format!("{name}, {stored}, indirect: {indirect}");
            let own = caller.list(&log_path(&filter, &[]), "activities").await;
            let rows = caller.list(&format!("{path}/activities?limit=20"), "activities").await;
            assert!(
                rows.iter().all(|row| own.contains(row)),
                "{context}: the report has more rows than the log"
            );
            let permitted = find_permitted_scope(caller, &filter, scope, deep).await;
            let expected = match &permitted {
                Some(permitted) => caller.list(&log_path(&filter, permitted), "activities").await,
                None => Vec::new(),
            };
            assert_eq!(list_ids(&rows), list_ids(&expected), "{context}");
            assert_eq!(rows, expected, "{context}");
            compared += rows.len();
            let counted =
                caller.get(&format!("{path}/activities?count=exact&limit=1")).await.expect(200).json();
            assert_eq!(counted["total"], rows.len(), "{context}");
            let Some(permitted) = permitted else { continue };
            for name in ["export.csv", "export.ndjson"] {
                let exported = caller.get(&format!("{path}/{name}")).await.expect(200);
                let log = format!("/v1/activities/{name}{}", filter_query(&filter, &permitted));
                assert_eq!(
                    text_and_content_type(&exported),
                    text_and_content_type(&caller.get(&log).await.expect(200)),
                    "{context}"
                );
            }
        }
    }
    assert!(compared > 1_000, "only {compared} rows were compared");
}

#[apply(both_databases)]
async fn report_needs_reporting_access(server: &TestServer) {
    let admin = set_up(server).await;
    let path = create_report(&admin, "Shared", "shared", json!({"scope": "me"})).await;
    let private = create_report(&admin, "Private", "private", json!({})).await;
    for role in ["learner", "curator"] {
        for name in ["activities", "export.csv", "export.ndjson"] {
            server.person(role, "mo").get(&format!("{path}/{name}")).await.expect(403);
        }
    }
    let deactivated = server.person("hr", "dee").get(&format!("{path}/activities")).await.expect(403);
    assert_eq!(deactivated.json()["code"], "deactivated");
    for scope in ["activities/write", "directory", "all", "all/read"] {
        server.credential("acme", &[scope]).await.get(&format!("{path}/activities")).await.expect(403);
    }
    for (_, caller) in callers_with_reporting_access(server).await {
        for name in ["activities", "export.csv", "export.ndjson"] {
            caller.get(&format!("{private}/{name}")).await.expect(404);
            caller.get(&format!("{}/{name}", NO_SUCH_REPORT)).await.expect(404);
        }
    }
}

#[apply(both_databases)]
async fn additional_filters_intersect_with_the_report(server: &TestServer) {
    let admin = set_up(server).await;
    let manager = server.person("manager", "top");
    // The filter of the report and the additional parameters.
    let pairs = [
        (json!({"tag": "a"}), json!({"tag": "b"})),
        (json!({"tag": ["a", "b"]}), json!({"tag": ["b", "safety"]})),
        (json!({"tag": "a"}), json!({})),
        (json!({"team": "sales", "include_sub_teams": true}), json!({"team": "north"})),
        (json!({"team": "sales", "primary_team_only": true}), json!({"team": ["sales", "north"]})),
        (json!({"team": ["sales", "north"]}), json!({"team": "sales", "primary_team_only": "true"})),
        (json!({"group": "aid"}), json!({"group": "night"})),
        (json!({"group": ["aid", "night"], "include_deactivated": true}), json!({"group": "night"})),
        (json!({"title": "fire"}), json!({"title": "safety"})),
        (json!({"title": ["fire", "first"]}), json!({"title": ["aid", "night"]})),
        (json!({"custom[Region]": "North"}), json!({"custom[Region]": ["North", "South"]})),
        (json!({"custom[Region]": "North"}), json!({"custom[Region]": "South"})),
        (json!({"custom[Region]": ["North", "South"]}), json!({"custom[Cost centre]": "South/1"})),
        (json!({"user": ["bo", "cy"]}), json!({"user": ["cy", "eve"]})),
        (json!({"action": ["completed", "viewed"]}), json!({"action": "viewed,failed"})),
        (json!({"action": ["visited", "viewed"]}), json!({"action": ["logged_in", "viewed"]})),
        (json!({"action": "visited"}), json!({"user": "bo"})),
        (json!({"content": ["fire", "aid"]}), json!({"content": "aid"})),
        (json!({"type": ["quiz"]}), json!({"type": "item"})),
        (json!({"type": "item"}), json!({"content_type": ["video", "audio"]})),
        (json!({"completed": true}), json!({"completed": false})),
        (json!({"completed": "true"}), json!({"completed": "true", "tag": "safety"})),
        (json!({"result": "failed"}), json!({"result": ["passed", "failed"]})),
        (json!({"origin": ["manual", "xapi"]}), json!({"origin": "xapi"})),
        (
            json!({"from": "2026-03-03", "to": "2026-03-08"}),
            json!({"from": "2026-03-06", "to": "2026-03-30"}),
        ),
        (json!({"from": "2026-03-03", "to": "2026-03-05"}), json!({"from": "2026-03-06"})),
        (json!({"period": "last_7_days"}), json!({"period": "yesterday"})),
        (json!({"period": "yesterday"}), json!({"from": "2026-03-17T21:00:00Z"})),
        (json!({"tag": "safety", "sort": "happened_at"}), json!({"user": ["bo", "dee"], "title": "fire"})),
    ];
    let mut compared = 0;
    for (stored, added) in &pairs {
        let path = create_report(&admin, "Shared", "shared", stored.clone()).await;
        for caller in [&admin, &manager] {
            let by_report = caller.list(&log_path(stored, &[]), "activities").await;
            // The report, not the additional parameters, decides about deactivated users and visits.
            let whole = [("include_deactivated", "true")];
            let by_added = caller.list(&log_path(added, &whole), "activities").await;
            let mut known = list_ids(&by_added);
            let visits =
                caller.list("/v1/activities?action=visited&include_deactivated=true", "activities").await;
            if added.get("action").is_none() {
                let visits =
                    visits.iter().filter(|row| added["user"].is_null() || row["user"]["id"] == added["user"]);
                known.extend(visits.map(|row| row["id"].as_str().expect("an id")));
            }
            let expected: Vec<&str> =
                list_ids(&by_report).into_iter().filter(|id| known.contains(id)).collect();
            let rows = caller
                .list(&format!("{path}/activities{}", filter_query(added, &[("limit", "2")])), "activities")
                .await;
            assert_eq!(list_ids(&rows), expected, "{stored} and {added}");
            let lines = caller
                .get(&format!("{path}/export.ndjson{}", filter_query(added, &[])))
                .await
                .expect(200)
                .ndjson();
            assert_eq!(lines, rows, "{stored} and {added}");
            compared += rows.len();
        }
        admin.delete(&path).await.expect(204);
    }
    assert!(compared > 100, "only {compared} rows were compared");
}

#[apply(both_databases)]
async fn additional_scope_is_relative_to_the_caller(server: &TestServer) {
    let admin = set_up(server).await;
    let (mo, top) = (server.person("manager", "mo"), server.person("manager", "top"));
    let whole = create_report(&admin, "All", "shared", json!({})).await;
    let managed = create_report(&admin, "Managed", "shared", json!({"scope": "managed"})).await;
    let rows = async |caller: &Caller, path: String| caller.list(&path, "activities").await;
    for (path, added, as_in_log) in [
        (&whole, "scope=managed", "scope=managed"),
        (&whole, "scope=me", "scope=me"),
        (&whole, "scope=team&team=sales", "scope=team&team=sales"),
        (&managed, "scope=team&team=sales", "scope=managed&team=sales"),
        (&managed, "scope=managed", "scope=managed"),
    ] {
        for caller in [&mo, &top] {
            let opened = rows(caller, format!("{path}/activities?{added}")).await;
            assert_eq!(opened, rows(caller, format!("/v1/activities?{as_in_log}")).await, "{added}");
            assert!(!opened.is_empty() || added == "scope=me", "{added}");
        }
    }
    // A manager is not among their reports.
    assert_eq!(rows(&mo, format!("{managed}/activities?scope=me")).await, Vec::<Value>::new());
    for path in [&whole, &managed] {
        for name in ["activities", "export.csv", "export.ndjson"] {
            mo.get(&format!("{path}/{name}?scope=company")).await.expect(403);
            mo.get(&format!("{path}/{name}?scope=team")).await.expect(400);
            mo.get(&format!("{path}/{name}?scope=world")).await.expect(400);
        }
        let credential = server.credential("acme", &["activities/read"]).await;
        credential.get(&format!("{path}/activities?scope=me")).await.expect(403);
        credential.get(&format!("{path}/activities?scope=managed")).await.expect(403);
        credential.get(&format!("{path}/activities?scope=company")).await.expect(200);
    }
}

#[apply(both_databases)]
async fn parameters_that_widen_a_report_are_refused(server: &TestServer) {
    let admin = set_up(server).await;
    let all_rows = json!({"team": "sales", "include_sub_teams": true, "include_deactivated": true, "action": ["visited", "viewed"]});
    for filter in [json!({}), all_rows] {
        let path = create_report(&admin, "Shared", "shared", filter).await;
        for (added, parameter) in [
            ("include_deactivated=true", "include_deactivated"),
            ("include_sub_teams=true&team=sales", "include_sub_teams"),
            ("scope=managed&include_sub_managers=true", "include_sub_managers"),
            ("action=visited", "action"),
            ("action=viewed&action=visited", "action"),
            ("action=viewed,visited", "action"),
            ("columns=full", "columns"),
            ("colour=red", "colour"),
            ("period=tomorrow", "period"),
            ("tag=", "tag"),
        ] {
            for name in ["activities", "export.csv", "export.ndjson"] {
                let problem = admin.get(&format!("{path}/{name}?{added}")).await.expect(400).json();
                assert_eq!(problem["errors"][0]["parameter"], parameter, "{name}?{added}");
                if added.contains("include") || added.contains("visited") {
                    assert!(
                        problem["detail"].as_str().is_some_and(|detail| detail.contains("report itself")),
                        "{problem}"
                    );
                }
            }
        }
        for added in ["limit=5", "count=exact", "cursor=x"] {
            admin.get(&format!("{path}/export.csv?{added}")).await.expect(400);
        }
        for added in ["bom=true", "raw=true", "limit=0", "limit=1001"] {
            admin.get(&format!("{path}/activities?{added}")).await.expect(400);
        }
        admin.get(&format!("{path}/export.csv?bom=maybe")).await.expect(400);
        admin.get(&format!("{path}/export.ndjson?bom=true")).await.expect(400);
    }
}

#[apply(both_databases)]
async fn order_of_the_report_applies_unless_given(server: &TestServer) {
    let admin = set_up(server).await;
    let path =
        create_report(&admin, "Oldest first", "shared", json!({"sort": "happened_at", "tag": "a"})).await;
    for (added, as_in_log) in
        [("", "&sort=happened_at"), ("sort=-happened_at", ""), ("sort=happened_at", "&sort=happened_at")]
    {
        let expected = admin.list(&format!("/v1/activities?tag=a{as_in_log}"), "activities").await;
        let rows = admin.list(&format!("{path}/activities?limit=4&{added}"), "activities").await;
        assert_eq!(list_ids(&rows), list_ids(&expected), "{added}");
        assert_eq!(
            list_ids(&admin.get(&format!("{path}/export.ndjson?{added}")).await.ndjson()),
            list_ids(&expected),
            "{added}"
        );
    }
}

#[apply(both_databases)]
async fn period_follows_the_calendar_but_is_fixed_between_pages(server: &TestServer) {
    let admin = set_up(server).await;
    // The server's time is the 18th, 10:17 in London and 23:17 in Auckland.
    let path =
        create_report(&admin, "Today", "shared", json!({"period": "today", "tz": "Pacific/Auckland"})).await;
    let today = admin.list(&format!("{path}/activities"), "activities").await;
    let as_in_log = "/v1/activities?from=2026-03-17T11:00:00Z&to=2026-03-18T11:00:00Z";
    assert_eq!(today, admin.list(as_in_log, "activities").await);
    assert!(today.len() > 10);
    // Additional dates use the time zone of the report.
    let added = admin.list(&format!("{path}/activities?from=2026-03-18&to=2026-03-19"), "activities").await;
    assert_eq!(added, today);
    let with_own_zone = admin.list(&format!("{path}/activities?from=2026-03-18&tz=UTC"), "activities").await;
    assert_eq!(
        with_own_zone,
        admin.list("/v1/activities?from=2026-03-18&to=2026-03-18T11:00:00Z", "activities").await
    );

    let first = admin.get(&format!("{path}/activities?limit=3&count=exact")).await.expect(200).json();
    server.clock.set(Timestamp::from_micros(START.micros() + 86_400_000_000));
    let mut paged = first["activities"].as_array().expect("rows").clone();
    paged.extend(admin.list(first["next"].as_str().expect("more"), "activities").await);
    assert_eq!(list_ids(&paged), list_ids(&today));
    assert_eq!(admin.list(&format!("{path}/activities"), "activities").await, Vec::<Value>::new());
}

#[apply(both_databases)]
async fn cursor_is_valid_only_for_the_same_report_filter_and_caller(server: &TestServer) {
    let admin = set_up(server).await;
    let path = create_report(&admin, "Shared", "shared", json!({"tag": "a"})).await;
    let equal_report = create_report(&admin, "Twin", "shared", json!({"tag": "a"})).await;
    let next = async || {
        let page = admin.get(&format!("{path}/activities?limit=2&type=quiz")).await.expect(200);
        let next = page.json()["next"].as_str().expect("more").to_owned();
        assert_eq!(page.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
        next
    };
    let cursor = next().await;
    assert!(cursor.starts_with(&format!("{path}/activities?")), "{cursor}");
    // Equal positions have different cursors, so `next` differs.
    let rows = async |cursor: &str| admin.get(cursor).await.expect(200).json()["activities"].clone();
    let page = rows(&cursor).await;
    let refused = async |caller: &Caller, path: &str| {
        let problem = caller.get(path).await.expect(400).json();
        assert_eq!(problem["errors"][0]["parameter"], "cursor", "{path}");
    };
    refused(&server.person("admin", "other"), &cursor).await;
    refused(&admin, &cursor.replace(&path, &equal_report)).await;
    refused(&admin, &cursor.replace("type=quiz", "type=item")).await;
    refused(&admin, &cursor.replace(&format!("{path}/activities?"), "/v1/activities?tag=a&")).await;
    // A new name keeps cursors valid. Another filter, scope, order or zone does not.
    admin.patch(&path, &json!({"name": "Renamed", "columns": "full"})).await.expect(200);
    assert_eq!(rows(&cursor).await, page);
    for change in [
        json!({"tag": ["a", "b"]}),
        json!({"scope": "company"}),
        json!({"sort": "happened_at"}),
        json!({"from": "2020-01-01"}),
        json!({"include_deactivated": true}),
    ] {
        let cursor = next().await;
        admin.patch(&path, &json!({"filter": change})).await.expect(200);
        refused(&admin, &cursor).await;
        admin
            .put(&path, &json!({"name": "Shared", "visibility": "shared", "filter": {"tag": "a"}}))
            .await
            .expect(200);
        assert_eq!(rows(&cursor).await, page, "the same filter as before");
    }
    // A report that becomes private or is deleted does not exist for the cursor either.
    let hr = server.person("hr", "hal");
    let page = hr.get(&format!("{path}/activities?limit=2")).await.expect(200).json();
    admin.patch(&path, &json!({"visibility": "private"})).await.expect(200);
    hr.get(page["next"].as_str().expect("more")).await.expect(404);
    admin.delete(&path).await.expect(204);
    admin.get(&cursor).await.expect(404);
}

#[apply(both_databases)]
async fn csv_of_a_report_equals_the_csv_of_the_log(server: &TestServer) {
    let admin = set_up(server).await;
    let filter = json!({"tag": ["b"], "sort": "happened_at"});
    for columns in ["standard", "elearning", "full"] {
        let body = json!({"name": "Übung: \"Tag b\"", "filter": filter, "columns": columns});
        let path = location(&admin.post("/v1/reports", &body).await.expect(201));
        for (added, as_in_log) in
            [("", ""), ("?raw=true", "&raw=true"), ("?bom=true&type=item", "&bom=true&type=item")]
        {
            let exported = admin.get(&format!("{path}/export.csv{added}")).await.expect(200);
            let log = format!(
                "/v1/activities/export.csv{}{as_in_log}",
                filter_query(&filter, &[("columns", columns)])
            );
            assert_eq!(
                text_and_content_type(&exported),
                text_and_content_type(&admin.get(&log).await.expect(200)),
                "{columns} {added}"
            );
            assert_eq!(
                exported.header("content-disposition"),
                Some(
                    "attachment; filename=\"_bung-tag-b-2026-03-18.csv\"; filename*=UTF-8''%C3%BCbung%2Dtag%2Db%2D2026%2D03%2D18.csv"
                )
            );
            assert_eq!(exported.text().starts_with('\u{feff}'), added.contains("bom"));
        }
        let nothing = admin.get(&format!("{path}/export.csv?user=nobody")).await.expect(200).csv();
        assert_eq!((nothing.0.is_empty(), nothing.1.len()), (false, 0));
    }
}
