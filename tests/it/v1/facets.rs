//! `/v1/facets`: what a filter bar can offer, and that it tells nobody of rows that they can't list.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::features::{Fixture, fixture};
use crate::support::builders::{activity, content, team, user};
use crate::support::http::{Caller, query};
use crate::support::{TestServer, apply, both_databases};

/// The facets that are always there, in their order.
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

/// The values of a facet with their labels and counts, a line each.
fn lines(facets: &Value, name: &str) -> Vec<String> {
    let facets = facets["facets"].as_array().expect("facets");
    let facet = facets.iter().find(|facet| facet["name"] == name);
    let values = facet.unwrap_or_else(|| panic!("no facet {name}"))["values"].as_array().expect("values");
    values
        .iter()
        .map(|value| {
            let text = |name: &str| value[name].as_str().expect("a text").to_owned();
            format!("{}: {} {}", text("value"), text("label"), value["count"])
        })
        .collect()
}

async fn asked(caller: &Caller, parameters: &str) -> Value {
    caller.get(&format!("/v1/facets?{parameters}")).await.expect(200).json()
}

fn names(facets: &Value) -> Vec<String> {
    let facets = facets["facets"].as_array().expect("facets");
    facets.iter().map(|facet| facet["name"].as_str().expect("a name").to_owned()).collect()
}

/// Each value's count is what the log finds with it, for this caller and scope.
async fn as_the_log_has_it(caller: &Caller, scope: &str) -> usize {
    let facets = asked(caller, scope).await;
    let mut told = 0;
    for facet in facets["facets"].as_array().expect("facets") {
        assert_eq!(facet["truncated"], json!(false));
        for value in facet["values"].as_array().expect("values") {
            let (name, text) =
                (facet["name"].as_str().expect("a name"), value["value"].as_str().expect("a value"));
            // A scope's own team or group is a filter already, which another value would widen.
            if scope.contains(&format!("{name}=")) {
                continue;
            }
            let filter = query(&[(name.to_owned(), text.to_owned())]);
            let path = format!("/v1/activities{filter}&count=exact&limit=1&{scope}");
            let page = caller.get(&path).await.expect(200).json();
            assert_eq!(page["total"], value["count"], "{path}");
            told += 1;
        }
    }
    told
}

/// Copies every row that an organisation of one record has, so many times, past the API: rows are what is wanted.
async fn multiply(server: &TestServer, rows: u32) {
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
    let Fixture { callers, .. } = fixture(server).await;
    let facets = asked(&callers["admin"], "").await;
    let mut expected: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    expected.push("custom[Region]".to_owned());
    assert_eq!(names(&facets), expected);
    assert_eq!(facets["as_of"], "2026-03-18T10:17:23.000Z");

    assert_eq!(lines(&facets, "user"), ["bo: Bo Ek 15", "cy: Cy Roe 5", "ada: Ada Obi 4"]);
    assert_eq!(lines(&facets, "team"), ["sales: Team sales 19", "sales-north: Team sales-north 5"]);
    assert_eq!(lines(&facets, "group"), ["first-aiders: Group first-aiders 20"]);
    assert_eq!(lines(&facets, "custom[Region]"), ["North: North 15"]);
    assert_eq!(lines(&facets, "tag"), ["safety: safety 6"]);
    assert_eq!(lines(&facets, "cpd_label"), ["Health: Health 6"]);
    assert_eq!(lines(&facets, "source"), ["Library One: Library One 1"]);
    assert_eq!(lines(&facets, "origin"), ["api: API 21", "manual: Manual 2", "xapi: xAPI 1"]);
    assert_eq!(lines(&facets, "device_type"), ["api: api 20", "phone: phone 1"]);
    assert_eq!(lines(&facets, "result"), ["passed: Passed 2", "failed: Failed 1"]);
    assert_eq!(lines(&facets, "has_certificate"), ["false: No 21", "true: Yes 3"]);
    assert_eq!(lines(&facets, "expired"), ["false: No 23", "true: Yes 1"]);
    assert_eq!(lines(&facets, "bulk_import"), ["false: No 24"]);
    assert_eq!(lines(&facets, "import"), Vec::<String>::new());
    assert!(lines(&facets, "content").contains(&"old-course: Old Course (Archived) 1".to_owned()));
    assert!(lines(&facets, "type").contains(&"learning_plan: Learning plan 2".to_owned()));
    assert!(lines(&facets, "content_type").contains(&"scorm: SCORM 2".to_owned()));
    assert!(lines(&facets, "verb").contains(&"http://adlnet.gov/expapi/verbs/passed: Passed 1".to_owned()));
    assert!(lines(&facets, "action").contains(&"logged_in: Logged in 3".to_owned()), "visits are left out");
    assert!(!lines(&facets, "action").iter().any(|line| line.starts_with("visited")));

    let everybody = asked(&callers["admin"], "include_deactivated=true").await;
    assert!(lines(&everybody, "user").contains(&"dee: Dee Lund 2".to_owned()));
}

#[apply(both_databases)]
async fn a_rename_shows_at_once_and_a_verb_says_itself(server: &TestServer) {
    let Fixture { callers, .. } = fixture(server).await;
    let admin = &callers["admin"];
    admin.patch("/v1/users/cy", &json!({"last_name": "Obi"})).await.expect(200);
    admin.patch("/v1/teams/sales-north", &json!({"name": "The North"})).await.expect(200);
    admin.patch("/v1/contents/handbook", &json!({"archived_at": "2026-03-01T00:00:00Z"})).await.expect(200);
    let join = activity("bo", "").json();
    let mut join = join.as_object().expect("a body").clone();
    join.remove("action");
    join.insert("verb".to_owned(), json!("http://activitystrea.ms/schema/1.0/join"));
    callers["integration"].post("/v1/activities", &join).await.expect(201);
    let facets = asked(admin, "").await;
    assert!(lines(&facets, "user").contains(&"cy: Cy Obi 5".to_owned()));
    assert!(lines(&facets, "team").contains(&"sales-north: The North 5".to_owned()));
    assert!(lines(&facets, "content").contains(&"handbook: Handbook (Archived) 3".to_owned()));
    assert!(lines(&facets, "verb").contains(&"http://activitystrea.ms/schema/1.0/join: Joined 1".to_owned()));
    assert!(lines(&facets, "action").contains(&"other: Other 1".to_owned()));
}

#[apply(both_databases)]
async fn a_filter_bar_may_send_what_it_has(server: &TestServer) {
    let Fixture { callers, .. } = fixture(server).await;
    let (admin, manager) = (&callers["admin"], &callers["manager"]);
    let all = asked(admin, "").await;
    let everything = "user=bo&action=failed&team=sales&group=first-aiders&completed=true&period=today&tz=Europe/London\
        &title=fire&custom%5BRegion%5D=South&include_sub_teams=true&primary_team_only=true&expired=false";
    assert_eq!(asked(admin, everything).await, all);
    assert_ne!(asked(admin, &format!("{everything}&include_deactivated=true")).await, all);
    // A scope keeps what belongs to it.
    let team = asked(admin, "scope=team&team=sales-north&group=first-aiders&user=bo").await;
    assert_eq!(lines(&team, "user"), ["cy: Cy Roe 5"]);
    let below = asked(admin, "scope=team&team=sales&include_sub_teams=true").await;
    assert_eq!(lines(&below, "user").len(), 3);
    let group = asked(admin, "scope=group&group=first-aiders&team=sales").await;
    assert_eq!(lines(&group, "user"), ["bo: Bo Ek 15", "cy: Cy Roe 5"]);
    let managed = asked(manager, "scope=managed").await;
    assert_eq!(lines(&managed, "user"), ["bo: Bo Ek 15"]);

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
async fn each_count_is_that_of_the_log_for_everybody(server: &TestServer) {
    let fixture = fixture(server).await;
    let mut told = BTreeMap::new();
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
            told.insert((name, *scope), as_the_log_has_it(fixture.caller(name), scope).await);
        }
    }
    assert!(told[&("learner", "")] > 25 && told[&("admin", "")] > told[&("learner", "")], "{told:?}");
    assert_eq!(told[&("admin", "scope=managed")], 0, "nobody reports to them");
}

#[apply(both_databases)]
async fn what_only_hidden_rows_have_is_not_there(server: &TestServer) {
    let Fixture { callers, .. } = fixture(server).await;
    let admin = &callers["admin"];
    // Somebody beside the manager's people, with a team, a group, fields, a content, a verb, a source of their own.
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
    let text = async |caller: &Caller| asked(caller, "").await.to_string();
    assert!(text(admin).await.matches("hidden").count() >= 10);
    for name in ["manager", "learner"] {
        assert!(!text(&callers[name]).await.contains("hidden"), "{name}");
    }
    // What is hidden adds to no count of what is shared, either.
    let of_manager = asked(&callers["manager"], "").await;
    assert_eq!(lines(&of_manager, "team")[0], "sales: Team sales 19");

    // Another organisation with the same ids has none of it.
    let stranger = server.person_of("umbra", json!({"sub": "root", "role": "admin"}));
    assert!(
        asked(&stranger, "").await["facets"]
            .as_array()
            .expect("facets")
            .iter()
            .all(|facet| facet["values"] == json!([]))
    );
    stranger.put("/v1/users/bo", &user("bo")).await.expect(201);
    stranger.post("/v1/activities", &activity("bo", "logged_in")).await.expect(201);
    let theirs = asked(&stranger, "").await;
    assert_eq!(lines(&theirs, "user"), ["bo: bo Example 1"]);
    assert_eq!(lines(&theirs, "content"), Vec::<String>::new());
    assert_eq!(names(&theirs), NAMES);
}

/// Over many rows an answer is kept for a minute, and for those alone who see the same.
#[apply(both_databases)]
async fn an_answer_that_took_long_is_kept_for_a_minute(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post("/v1/users/batch", &[user("ada"), user("bo").set("manager", "ada")]).await.expect(200);
    admin.post("/v1/activities", &activity("bo", "logged_in")).await.expect(201);
    multiply(server, 50_000).await;
    let manager = server.person("manager", "ada");
    let learner = server.person("learner", "ada");
    let stranger = server.person_of("umbra", json!({"sub": "root", "role": "admin"}));
    let counted = async |caller: &Caller, scope: &str| lines(&asked(caller, scope).await, "action");
    let first = asked(&admin, "").await;
    assert_eq!(lines(&first, "action"), ["logged_in: Logged in 50001"]);
    assert_eq!(counted(&manager, "").await, ["logged_in: Logged in 50001"]);

    admin.post("/v1/activities", &activity("ada", "logged_out")).await.expect(201);
    let minute = |seconds: i64| {
        let now = server.clock.now().micros() + seconds * 1_000_000;
        server.clock.set(rollbook::base::clock::Timestamp::from_micros(now));
    };
    minute(59);
    assert_eq!(asked(&admin, "").await, first, "it says of when it is");
    assert_eq!(
        asked(&server.person("reporter", "rae"), "action=failed").await,
        first,
        "for whoever sees the same"
    );
    assert_eq!(counted(&manager, "").await, ["logged_in: Logged in 50001"]);
    assert_eq!(counted(&learner, "").await, ["logged_out: Logged out 1"]);
    assert_eq!(counted(&manager, "scope=me").await, ["logged_out: Logged out 1"]);
    assert_eq!(
        counted(&admin, "include_deactivated=true").await,
        ["logged_in: Logged in 50001", "logged_out: Logged out 1"]
    );
    assert_eq!(counted(&stranger, "").await, Vec::<String>::new());
    let claims = json!({"sub": "ada", "role": "manager", "reports": {"direct": ["nobody"]}});
    assert_eq!(counted(&server.person_of("acme", claims), "").await, ["logged_out: Logged out 1"]);
    minute(1);
    assert_eq!(counted(&admin, "").await, ["logged_in: Logged in 50001", "logged_out: Logged out 1"]);
}
