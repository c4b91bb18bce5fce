//! Tests of `/v1/facets`: the values of each filter with counts, and that they reveal nothing outside the
//! reach.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::features::{Fixture, create_fixture};
use crate::support::builders::{activity, content, team, user};
use crate::support::http::{Caller, query};
use crate::support::{TestServer, apply, both_databases};

/// The facets that every answer contains, in order.
pub(super) const NAMES: &[&str] = &[
    "action",
    "verb",
    "type",
    "content_type",
    "content",
    "tag",
    "source",
    "cpd_label",
    "device_type",
    "origin",
    "import",
    "team",
    "group",
    "user",
    "result",
    "completed",
    "expired",
    "has_certificate",
    "bulk_import",
];

/// The values of a facet as `value: label count`.
fn format_values(facets: &Value, name: &str) -> Vec<String> {
    let facets = facets["facets"].as_array().expect("facets");
    let facet = facets.iter().find(|facet| facet["name"] == name);
    let values = facet.unwrap_or_else(|| panic!("no facet {name}"))["values"].as_array().expect("values");
    values
        .iter()
        .map(|value| {
            let get_text = |name: &str| value[name].as_str().expect("a text").to_owned();
            format!("{}: {} {}", get_text("value"), get_text("label"), value["count"])
        })
        .collect()
}

async fn get_facets(caller: &Caller, parameters: &str) -> Value {
    caller.get(&format!("/v1/facets?{parameters}")).await.expect(200).json()
}

fn facet_names(facets: &Value) -> Vec<String> {
    let facets = facets["facets"].as_array().expect("facets");
    facets.iter().map(|facet| facet["name"].as_str().expect("a name").to_owned()).collect()
}

/// Compares the count of each value with the log, for this caller and scope. Returns the number of values.
async fn assert_counts_match_log(caller: &Caller, scope: &str) -> usize {
    let facets = get_facets(caller, scope).await;
    let mut counts = 0;
    for facet in facets["facets"].as_array().expect("facets") {
        assert_eq!(facet["truncated"], json!(false));
        for value in facet["values"].as_array().expect("values") {
            let (name, text) =
                (facet["name"].as_str().expect("a name"), value["value"].as_str().expect("a value"));
            // The team or group of the scope is a filter already; another value would widen it.
            if scope.contains(&format!("{name}=")) {
                continue;
            }
            let filter = query(&[(name.to_owned(), text.to_owned())]);
            let path = format!("/v1/activities{filter}&count=exact&limit=1&{scope}");
            let page = caller.get(&path).await.expect(200).json();
            assert_eq!(page["total"], value["count"], "{path}");
            counts += 1;
        }
    }
    counts
}

/// Copies each activity this many times with SQL. The copies have no records.
async fn copy_activities(server: &TestServer, rows: u32) {
    let numbers = server.database().series(rows);
    let text = format!(
        "INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, completed, certified) \
         SELECT a.org, a.seq + 1000 * k.n, a.id, a.happened_at, a.stored_at, a.person, a.verb, a.content, a.action, a.origin, \
         a.completed, a.certified FROM activities a CROSS JOIN ({numbers}) k"
    );
    assert!(server.database().execute(&text).await >= u64::from(rows));
}

#[apply(both_databases)]
async fn every_filter_has_its_values(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let facets = get_facets(&callers["admin"], "").await;
    let mut expected: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    expected.push("custom[Region]".to_owned());
    assert_eq!(facet_names(&facets), expected);
    assert_eq!(facets["as_of"], "2026-03-18T10:17:23.000Z");

    assert_eq!(format_values(&facets, "user"), ["bo: Bo Ek 15", "cy: Cy Roe 5", "ada: Ada Obi 4"]);
    assert_eq!(format_values(&facets, "team"), ["sales: Team sales 19", "sales-north: Team sales-north 5"]);
    assert_eq!(format_values(&facets, "group"), ["first-aiders: Group first-aiders 20"]);
    assert_eq!(format_values(&facets, "custom[Region]"), ["North: North 15"]);
    assert_eq!(format_values(&facets, "tag"), ["safety: safety 6"]);
    assert_eq!(format_values(&facets, "cpd_label"), ["Health: Health 6"]);
    assert_eq!(format_values(&facets, "source"), ["Library One: Library One 1"]);
    assert_eq!(format_values(&facets, "origin"), ["api: API 21", "manual: Manual 2", "xapi: xAPI 1"]);
    assert_eq!(format_values(&facets, "device_type"), ["api: api 20", "phone: phone 1"]);
    assert_eq!(format_values(&facets, "result"), ["passed: Passed 2", "failed: Failed 1"]);
    assert_eq!(format_values(&facets, "has_certificate"), ["false: No 21", "true: Yes 3"]);
    assert_eq!(format_values(&facets, "expired"), ["false: No 23", "true: Yes 1"]);
    assert_eq!(format_values(&facets, "bulk_import"), ["false: No 24"]);
    assert_eq!(format_values(&facets, "import"), Vec::<String>::new());
    assert!(format_values(&facets, "content").contains(&"old-course: Old Course (Archived) 1".to_owned()));
    assert!(format_values(&facets, "type").contains(&"learning_plan: Learning plan 2".to_owned()));
    assert!(format_values(&facets, "content_type").contains(&"scorm: SCORM 2".to_owned()));
    assert!(
        format_values(&facets, "verb")
            .contains(&"http://adlnet.gov/expapi/verbs/passed: Passed 1".to_owned())
    );
    assert!(
        format_values(&facets, "action").contains(&"logged_in: Logged in 3".to_owned()),
        "visits are not counted"
    );
    assert!(!format_values(&facets, "action").iter().any(|line| line.starts_with("visited")));

    let with_deactivated = get_facets(&callers["admin"], "include_deactivated=true").await;
    assert!(format_values(&with_deactivated, "user").contains(&"dee: Dee Lund 2".to_owned()));
}

#[apply(both_databases)]
async fn labels_are_current_and_verbs_have_their_own_label(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let admin = &callers["admin"];
    admin.patch("/v1/users/cy", &json!({"last_name": "Obi"})).await.expect(200);
    admin.patch("/v1/teams/sales-north", &json!({"name": "The North"})).await.expect(200);
    admin.patch("/v1/contents/handbook", &json!({"archived_at": "2026-03-01T00:00:00Z"})).await.expect(200);
    let join = activity("bo", "").json();
    let mut join = join.as_object().expect("a body").clone();
    join.remove("action");
    join.insert("verb".to_owned(), json!("http://activitystrea.ms/schema/1.0/join"));
    callers["integration"].post("/v1/activities", &join).await.expect(201);
    let facets = get_facets(admin, "").await;
    assert!(format_values(&facets, "user").contains(&"cy: Cy Obi 5".to_owned()));
    assert!(format_values(&facets, "team").contains(&"sales-north: The North 5".to_owned()));
    assert!(format_values(&facets, "content").contains(&"handbook: Handbook (Archived) 3".to_owned()));
    assert!(
        format_values(&facets, "verb")
            .contains(&"http://activitystrea.ms/schema/1.0/join: Joined 1".to_owned())
    );
    assert!(format_values(&facets, "action").contains(&"other: Other 1".to_owned()));
}

#[apply(both_databases)]
async fn other_filters_are_accepted_and_ignored(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let (admin, manager) = (&callers["admin"], &callers["manager"]);
    let all = get_facets(admin, "").await;
    let filters = "user=bo&action=failed&team=sales&group=first-aiders&completed=true&period=today&tz=Europe/London\
        &title=fire&custom%5BRegion%5D=South&include_sub_teams=true&primary_team_only=true&expired=false";
    assert_eq!(get_facets(admin, filters).await, all);
    assert_ne!(get_facets(admin, &format!("{filters}&include_deactivated=true")).await, all);
    // A scope keeps its own parameters.
    let team = get_facets(admin, "scope=team&team=sales-north&group=first-aiders&user=bo").await;
    assert_eq!(format_values(&team, "user"), ["cy: Cy Roe 5"]);
    let below = get_facets(admin, "scope=team&team=sales&include_sub_teams=true").await;
    assert_eq!(format_values(&below, "user").len(), 3);
    let group = get_facets(admin, "scope=group&group=first-aiders&team=sales").await;
    assert_eq!(format_values(&group, "user"), ["bo: Bo Ek 15", "cy: Cy Roe 5"]);
    let managed = get_facets(manager, "scope=managed").await;
    assert_eq!(format_values(&managed, "user"), ["bo: Bo Ek 15"]);

    for (wrong, parameter) in [
        ("acton=failed", "acton"),
        ("action=fly", "action"),
        ("sort=happened_at", "sort"),
        ("limit=5", "limit"),
        ("cursor=x", "cursor"),
        ("count=exact", "count"),
        ("completed=perhaps", "completed"),
        ("scope=team", "scope"),
        ("scope=group", "scope"),
        ("from=soon", "from"),
    ] {
        let problem = admin.get(&format!("/v1/facets?{wrong}")).await.expect(400).json();
        assert_eq!(
            (&problem["code"], &problem["errors"][0]["parameter"]),
            (&json!("bad-parameter"), &json!(parameter))
        );
    }
    manager.get("/v1/facets?scope=company").await.expect(403);
    callers["learner"].get("/v1/facets?scope=managed").await.expect(403);
    callers["integration"].get("/v1/facets?scope=me").await.expect(403);
}

#[apply(both_databases)]
async fn counts_match_the_log_for_every_caller(server: &TestServer) {
    let fixture = create_fixture(server).await;
    let mut counts = BTreeMap::new();
    for (name, scopes) in [
        (
            "admin",
            &["", "scope=company&include_deactivated=true", "scope=managed", "scope=team&team=sales"]
                as &[&str],
        ),
        ("hr", &["scope=group&group=first-aiders"]),
        ("reporter", &[""]),
        ("curator", &[""]),
        (
            "manager",
            &[
                "",
                "scope=managed",
                "scope=managed&include_sub_managers=true",
                "scope=me",
                "scope=team&team=sales-north",
            ],
        ),
        ("learner", &["", "scope=me", "scope=team&team=sales&include_sub_teams=true"]),
        ("integration", &["", "scope=company"]),
    ] {
        for scope in scopes {
            counts.insert((name, *scope), assert_counts_match_log(fixture.caller(name), scope).await);
        }
    }
    assert!(counts[&("learner", "")] > 25 && counts[&("admin", "")] > counts[&("learner", "")], "{counts:?}");
    assert_eq!(counts[&("admin", "scope=managed")], 0, "the admin has no reports");
}

#[apply(both_databases)]
async fn values_outside_the_reach_are_not_listed(server: &TestServer) {
    let Fixture { callers, .. } = create_fixture(server).await;
    let admin = &callers["admin"];
    // A user outside the manager's reach, with values for each filter that occur nowhere else.
    admin.put("/v1/teams/hidden-team", &team("hidden-team")).await.expect(201);
    let outside = user("hidden-user")
        .set("teams", json!(["hidden-team", "sales"]))
        .set("custom", json!({"hidden-field": "hidden-value", "Region": "hidden-region"}));
    admin.put("/v1/users/hidden-user", &outside).await.expect(201);
    let hidden = content("hidden-content", "survey")
        .set("tags", json!(["hidden-tag"]))
        .set("cpd_labels", json!(["hidden-label"]));
    admin.put("/v1/contents/hidden-content", &hidden).await.expect(201);
    let record = json!({"user": "hidden-user", "verb": "urn:hidden:verb", "content": "hidden-content",
        "device_type": "hidden-device", "source": "hidden-source"});
    callers["integration"].post("/v1/activities", &record).await.expect(201);
    let get_text = async |caller: &Caller| get_facets(caller, "").await.to_string();
    assert!(get_text(admin).await.matches("hidden").count() >= 10);
    for name in ["manager", "learner"] {
        assert!(!get_text(&callers[name]).await.contains("hidden"), "{name}");
    }
    // Hidden activities do not change the counts of shared values.
    let manager_facets = get_facets(&callers["manager"], "").await;
    assert_eq!(format_values(&manager_facets, "team")[0], "sales: Team sales 19");

    // Another organisation with the same ids has none of these values.
    let foreign_admin = server.person_of("umbra", json!({"sub": "root", "role": "admin"}));
    assert!(
        get_facets(&foreign_admin, "").await["facets"]
            .as_array()
            .expect("facets")
            .iter()
            .all(|facet| facet["values"] == json!([]))
    );
    foreign_admin.put("/v1/users/bo", &user("bo")).await.expect(201);
    foreign_admin.post("/v1/activities", &activity("bo", "logged_in")).await.expect(201);
    let foreign_facets = get_facets(&foreign_admin, "").await;
    assert_eq!(format_values(&foreign_facets, "user"), ["bo: bo Example 1"]);
    assert_eq!(format_values(&foreign_facets, "content"), Vec::<String>::new());
    assert_eq!(facet_names(&foreign_facets), NAMES);
}

/// An answer over many activities is cached for a minute, for callers with the same reach.
#[apply(both_databases)]
async fn answer_over_many_activities_is_cached_for_a_minute(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post("/v1/users/batch", &[user("ada"), user("bo").set("manager", "ada")]).await.expect(200);
    admin.post("/v1/activities", &activity("bo", "logged_in")).await.expect(201);
    copy_activities(server, 50_000).await;
    let manager = server.person("manager", "ada");
    let learner = server.person("learner", "ada");
    let foreign_admin = server.person_of("umbra", json!({"sub": "root", "role": "admin"}));
    let action_counts =
        async |caller: &Caller, scope: &str| format_values(&get_facets(caller, scope).await, "action");
    let first = get_facets(&admin, "").await;
    assert_eq!(format_values(&first, "action"), ["logged_in: Logged in 50001"]);
    assert_eq!(action_counts(&manager, "").await, ["logged_in: Logged in 50001"]);

    admin.post("/v1/activities", &activity("ada", "logged_out")).await.expect(201);
    let advance_seconds = |seconds: i64| {
        let now = server.clock.now().micros() + seconds * 1_000_000;
        server.clock.set(rollbook::base::clock::Timestamp::from_micros(now));
    };
    advance_seconds(59);
    assert_eq!(get_facets(&admin, "").await, first, "the answer has its time");
    assert_eq!(
        get_facets(&server.person("reporter", "rae"), "action=failed").await,
        first,
        "a caller with the same reach gets the same answer"
    );
    assert_eq!(action_counts(&manager, "").await, ["logged_in: Logged in 50001"]);
    assert_eq!(action_counts(&learner, "").await, ["logged_out: Logged out 1"]);
    assert_eq!(action_counts(&manager, "scope=me").await, ["logged_out: Logged out 1"]);
    assert_eq!(
        action_counts(&admin, "include_deactivated=true").await,
        ["logged_in: Logged in 50001", "logged_out: Logged out 1"]
    );
    assert_eq!(action_counts(&foreign_admin, "").await, Vec::<String>::new());
    let claims = json!({"sub": "ada", "role": "manager", "reports": {"direct": ["nobody"]}});
    assert_eq!(action_counts(&server.person_of("acme", claims), "").await, ["logged_out: Logged out 1"]);
    advance_seconds(1);
    assert_eq!(action_counts(&admin, "").await, ["logged_in: Logged in 50001", "logged_out: Logged out 1"]);
}
