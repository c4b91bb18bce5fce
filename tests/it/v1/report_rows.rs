//! `/v1/reports/{id}/activities` and its exports: whoever opens a report sees what their own log would show of it, and
//! what they add only takes away.

use serde_json::{Value, json};

use super::reports::{NO_SUCH_REPORT, create_report, location};
use crate::support::builders::{Body, activity, content, group, mailbox, statement, team, user};
use crate::support::http::{Answer, Caller, query};
use crate::support::records::list_ids;
use crate::support::server::START;
use crate::support::{TestServer, apply, both_databases};
use rollbook::base::clock::Timestamp;

/// `top` over `mo` over `bo` over `cy`, `eve` under `top`, and `dee`, who has left, under `mo`; each in teams and groups,
/// with something done on each content, logins, and what somebody did whom no user claims.
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
    let mut happened = Vec::new();
    for (place, who) in ["top", "mo", "bo", "cy", "eve", "dee"].into_iter().enumerate() {
        let at = |day: usize, hour: usize| format!("2026-03-{day:02}T{hour:02}:30:00Z");
        for (turn, what) in ["fire", "aid", "plan"].into_iter().enumerate() {
            let action = ["completed", "viewed", "failed"][(place + turn) % 3];
            happened.push(
                activity(who, action)
                    .set("content", what)
                    .set("happened_at", at(1 + place * 2 + turn, 9 + turn)),
            );
            happened
                .push(activity(who, "started").set("content", what).set("happened_at", at(17, 20 + turn)));
        }
        for hour in [1, 2] {
            happened.push(activity(who, "logged_in").set("happened_at", at(18, hour)));
        }
    }
    admin.post("/v1/activities/batch", &happened).await.expect(201);
    let stranger = statement(
        mailbox("stranger@example.org"),
        "http://adlnet.gov/expapi/verbs/completed",
        "https://rollbook.invalid/acme/contents/fire",
    );
    admin.post("/xapi/statements", &stranger).await.expect(200);
    admin.patch("/v1/users/dee", &json!({"active": false})).await.expect(200);
    admin
}

/// The parameters of a filter as a query: with its question mark, or empty.
fn parameters(filter: &Value, more: &[(&str, &str)]) -> String {
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

fn log(filter: &Value, more: &[(&str, &str)]) -> String {
    format!("/v1/activities{}", parameters(filter, more))
}

/// Everybody who may open reports, with the user `mo` where it is a person.
async fn openers(server: &TestServer) -> Vec<(String, Caller)> {
    let mut openers = Vec::new();
    for role in ["owner", "admin", "hr", "reporter", "learning_designer", "manager"] {
        openers.push((role.to_owned(), server.person(role, "mo")));
    }
    for (name, claims) in [
        ("curator who reports", json!({"sub": "mo", "role": "curator", "permissions": ["reporting"]})),
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
        ("admin who manages", json!({"sub": "top", "role": "admin"})),
    ] {
        openers.push((name.to_owned(), server.person_of("acme", claims)));
    }
    openers.push(("credential".to_owned(), server.credential("acme", &["activities/read"]).await));
    openers
}

/// What the opener's own log shows for a report of that scope: as far as they can have the scope.
async fn clamped(
    opener: &Caller,
    filter: &Value,
    scope: Option<&str>,
    deep: bool,
) -> Option<Vec<(&'static str, &'static str)>> {
    let managed = ("scope", "managed");
    let ways: Vec<Vec<(&str, &str)>> = match scope {
        Some("managed") if deep => vec![vec![managed, ("include_sub_managers", "true")], vec![managed]],
        Some("managed") => vec![vec![managed]],
        Some("me") => vec![vec![("scope", "me")]],
        _ => vec![vec![]],
    };
    for way in ways {
        match opener.get(&log(filter, &way)).await.expect_one_of(&[200, 403]).status {
            200 => return Some(way),
            _ => continue,
        }
    }
    None
}

/// A file without what differs from one day and report to another.
fn file(answer: &Answer) -> (String, Option<String>) {
    (answer.text().to_owned(), answer.header("content-type").map(str::to_owned))
}

#[apply(both_databases)]
async fn what_the_document_offers_is_taken(server: &TestServer) {
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
            admin.get(&format!("{report}/{resource}?{name}=true")).await.expect(200);
        }
        let named = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
        assert!(named("scope") && named("team") && named("certificate_expires_within"), "{resource}");
    }
}

#[apply(both_databases)]
async fn a_report_shows_nobody_more_than_their_own_log(server: &TestServer) {
    let admin = set_up(server).await;
    let openers = openers(server).await;
    let everything = json!({});
    let tagged = json!({"tag": ["a", "b"], "include_deactivated": true, "sort": "happened_at"});
    let visits = json!({"action": ["visited", "completed", "watched"], "include_sub_teams": "true"});
    let asked = [
        (true, &everything, None, false),
        (true, &everything, Some("company"), false),
        (true, &everything, Some("managed"), false),
        (true, &everything, Some("managed"), true),
        (true, &everything, Some("me"), false),
        (true, &visits, Some("team"), false),
        (true, &visits, None, false),
        (true, &tagged, Some("managed"), true),
        (false, &everything, Some("company"), false),
        (false, &everything, Some("managed"), true),
        (false, &tagged, None, false),
    ];
    let mut shown = 0;
    for (indirect, filter, scope, deep) in asked {
        admin
            .patch("/v1/organisation", &json!({"managers_see_indirect_reports": indirect}))
            .await
            .expect(200);
        let mut filter = filter.clone();
        if scope == Some("team") {
            filter["team"] = json!(["sales"]);
        }
        let mut stored = filter.clone();
        if let Some(scope) = scope {
            stored["scope"] = json!(scope);
        }
        if deep {
            stored["include_sub_managers"] = json!(true);
        }
        let path = create_report(&admin, "Shared", "shared", stored.clone()).await;
        for (name, opener) in &openers {
            let place = format!("{name}, {stored}, indirect: {indirect}");
            let own = opener.list(&log(&filter, &[]), "activities").await;
            let rows = opener.list(&format!("{path}/activities?limit=20"), "activities").await;
            assert!(rows.iter().all(|row| own.contains(row)), "{place}: more than their own log");
            let way = clamped(opener, &filter, scope, deep).await;
            let expected = match &way {
                Some(way) => opener.list(&log(&filter, way), "activities").await,
                None => Vec::new(),
            };
            assert_eq!(list_ids(&rows), list_ids(&expected), "{place}");
            assert_eq!(rows, expected, "{place}");
            shown += rows.len();
            let counted =
                opener.get(&format!("{path}/activities?count=exact&limit=1")).await.expect(200).json();
            assert_eq!(counted["total"], rows.len(), "{place}");
            let Some(way) = way else { continue };
            for name in ["export.csv", "export.ndjson"] {
                let exported = opener.get(&format!("{path}/{name}")).await.expect(200);
                let log = format!("/v1/activities/{name}{}", parameters(&filter, &way));
                assert_eq!(file(&exported), file(&opener.get(&log).await.expect(200)), "{place}");
            }
        }
    }
    assert!(shown > 1_000, "{shown} rows prove little");
}

#[apply(both_databases)]
async fn nobody_without_reporting_access_opens_one(server: &TestServer) {
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
    for (_, opener) in openers(server).await {
        for name in ["activities", "export.csv", "export.ndjson"] {
            opener.get(&format!("{private}/{name}")).await.expect(404);
            opener.get(&format!("{}/{name}", NO_SUCH_REPORT)).await.expect(404);
        }
    }
}

#[apply(both_databases)]
async fn what_is_added_intersects(server: &TestServer) {
    let admin = set_up(server).await;
    let manager = server.person("manager", "top");
    // The report's filter, what is added, and the added question with the zone that it then means.
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
    let mut shown = 0;
    for (stored, added) in &pairs {
        let path = create_report(&admin, "Shared", "shared", stored.clone()).await;
        for caller in [&admin, &manager] {
            let by_report = caller.list(&log(stored, &[]), "activities").await;
            // Who has left is the report's to say, not the added question's; and so are visits.
            let whole = [("include_deactivated", "true")];
            let by_added = caller.list(&log(added, &whole), "activities").await;
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
                .list(&format!("{path}/activities{}", parameters(added, &[("limit", "2")])), "activities")
                .await;
            assert_eq!(list_ids(&rows), expected, "{stored} and {added}");
            let lines = caller
                .get(&format!("{path}/export.ndjson{}", parameters(added, &[])))
                .await
                .expect(200)
                .ndjson();
            assert_eq!(lines, rows, "{stored} and {added}");
            shown += rows.len();
        }
        admin.delete(&path).await.expect(204);
    }
    assert!(shown > 100, "{shown} rows prove little");
}

#[apply(both_databases)]
async fn an_added_scope_is_the_opener_s_own(server: &TestServer) {
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
    // Nobody is among their own reports.
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
async fn what_would_widen_a_report_is_refused(server: &TestServer) {
    let admin = set_up(server).await;
    let everything = json!({"team": "sales", "include_sub_teams": true, "include_deactivated": true, "action": ["visited", "viewed"]});
    for filter in [json!({}), everything] {
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
async fn the_order_is_the_report_s_unless_asked_for(server: &TestServer) {
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
async fn a_period_moves_with_the_calendar_and_not_between_pages(server: &TestServer) {
    let admin = set_up(server).await;
    // On the clock it is the 18th, 10:17 in London, and 23:17 in Auckland.
    let path =
        create_report(&admin, "Today", "shared", json!({"period": "today", "tz": "Pacific/Auckland"})).await;
    let today = admin.list(&format!("{path}/activities"), "activities").await;
    let as_in_log = "/v1/activities?from=2026-03-17T11:00:00Z&to=2026-03-18T11:00:00Z";
    assert_eq!(today, admin.list(as_in_log, "activities").await);
    assert!(today.len() > 10);
    // What is added is read in the report's zone.
    let added = admin.list(&format!("{path}/activities?from=2026-03-18&to=2026-03-19"), "activities").await;
    assert_eq!(added, today);
    let elsewhere = admin.list(&format!("{path}/activities?from=2026-03-18&tz=UTC"), "activities").await;
    assert_eq!(
        elsewhere,
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
async fn a_cursor_belongs_to_what_the_report_asked_and_to_whom(server: &TestServer) {
    let admin = set_up(server).await;
    let path = create_report(&admin, "Shared", "shared", json!({"tag": "a"})).await;
    let twin = create_report(&admin, "Twin", "shared", json!({"tag": "a"})).await;
    let next = async || {
        let page = admin.get(&format!("{path}/activities?limit=2&type=quiz")).await.expect(200);
        let next = page.json()["next"].as_str().expect("more").to_owned();
        assert_eq!(page.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
        next
    };
    let cursor = next().await;
    assert!(cursor.starts_with(&format!("{path}/activities?")), "{cursor}");
    let page = admin.get(&cursor).await.expect(200).json();
    let refused = async |caller: &Caller, path: &str| {
        let problem = caller.get(path).await.expect(400).json();
        assert_eq!(problem["errors"][0]["parameter"], "cursor", "{path}");
    };
    refused(&server.person("admin", "other"), &cursor).await;
    refused(&admin, &cursor.replace(&path, &twin)).await;
    refused(&admin, &cursor.replace("type=quiz", "type=item")).await;
    refused(&admin, &cursor.replace(&format!("{path}/activities?"), "/v1/activities?tag=a&")).await;
    // A new name is no other question; another filter, scope, order or zone is.
    admin.patch(&path, &json!({"name": "Renamed", "columns": "full"})).await.expect(200);
    assert_eq!(admin.get(&cursor).await.expect(200).json(), page);
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
        assert_eq!(admin.get(&cursor).await.expect(200).json(), page, "asked as before");
    }
    // Out of sight, out of reach: a report made private, or deleted.
    let hr = server.person("hr", "hal");
    let page = hr.get(&format!("{path}/activities?limit=2")).await.expect(200).json();
    admin.patch(&path, &json!({"visibility": "private"})).await.expect(200);
    hr.get(page["next"].as_str().expect("more")).await.expect(404);
    admin.delete(&path).await.expect(204);
    admin.get(&cursor).await.expect(404);
}

#[apply(both_databases)]
async fn the_csv_is_the_log_s_own_export(server: &TestServer) {
    let admin = set_up(server).await;
    let filter = json!({"tag": ["b"], "sort": "happened_at"});
    for columns in ["standard", "elearning", "full"] {
        let body = json!({"name": "Übung: \"Tag b\"\u{2028}", "filter": filter, "columns": columns});
        let path = location(&admin.post("/v1/reports", &body).await.expect(201));
        for (added, as_in_log) in
            [("", ""), ("?raw=true", "&raw=true"), ("?bom=true&type=item", "&bom=true&type=item")]
        {
            let exported = admin.get(&format!("{path}/export.csv{added}")).await.expect(200);
            let log = format!(
                "/v1/activities/export.csv{}{as_in_log}",
                parameters(&filter, &[("columns", columns)])
            );
            assert_eq!(file(&exported), file(&admin.get(&log).await.expect(200)), "{columns} {added}");
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
