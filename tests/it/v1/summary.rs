//! Tests of `/v1/activities/summary`: dimensions, measures, time zones, overlapping teams, the limit on
//! groups, and reach.
//!
//! The model in `v1/model/summary.rs` tests combinations of dimensions and filters.

mod reach;
mod sessions;

use reqwest::Method;
use serde_json::{Value, json};

use super::activities::{id, in_march, post_batch};
use crate::support::builders::{Body, activity, content, group, mailbox, statement, team, user};
use crate::support::http::Caller;
use crate::support::server::START;
use crate::support::{TestServer, apply, both_databases};

const ATTEMPT: &str = "0190a000-0000-4000-8000-0000000000aa";

const DIMENSIONS: &[&str] =
    &["action", "day", "week", "month", "user", "team", "content", "type", "content_type", "result"];

/// Creates overlapping teams, a manager with reports, a deactivated user, and eleven activities of five
/// people. Returns an admin.
async fn set_up_with_activities(server: &TestServer, organisation: &str) -> Caller {
    let admin = server.person_of(organisation, json!({"sub": "root", "role": "admin"}));
    let teams = [team("sales"), team("sales-north").set("parent", "sales"), team("safety"), team("night")];
    admin.post("/v1/teams/batch", &teams).await.expect(200);
    admin.put("/v1/groups/aid", &group("aid")).await.expect(201);
    let users = [
        user("ada").set("primary_team", "sales").set("teams", json!(["sales", "safety"])),
        user("bo").set("primary_team", "sales-north").set("manager", "ada").set("groups", json!(["aid"])),
        user("cy").set("teams", json!(["safety"])).set("manager", "bo"),
        Body::default().set("id", "dee"),
        user("off").set("teams", json!(["night"])).set("active", false),
    ];
    admin.post("/v1/users/batch", &users).await.expect(200);
    let contents = [
        content("fire", "quiz").set("pass_mark", 80),
        content("hoses", "item").set("content_type", "video"),
        content("old", "item").set("content_type", "article").set("archived_at", in_march(1, 0)),
        content("trip", "event"),
    ];
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    let on = |n: usize, user: &str, action: &str, content: &str, when: Value| {
        activity(user, action).set("id", id(n)).set("content", content).set("happened_at", when)
    };
    let scored =
        |body: Body, score: f64, time: &str| body.set("result", json!({"score": score, "total_time": time}));
    let passed = Body::default()
        .set("user", "bo")
        .set("verb", "http://adlnet.gov/expapi/verbs/passed")
        .set("id", id(4))
        .set("content", "fire")
        .set("registration", ATTEMPT)
        .set("happened_at", in_march(3, 9));
    let records = [
        scored(on(1, "ada", "completed", "fire", json!("2026-02-27T10:00:00Z")), 90.0, "PT10M"),
        scored(on(2, "bo", "completed", "fire", in_march(2, 9)), 60.5, "PT5M"),
        scored(on(3, "bo", "completed", "fire", in_march(3, 9)), 95.0, "PT200S").set("registration", ATTEMPT),
        passed,
        on(5, "cy", "completed", "hoses", in_march(3, 12)),
        on(6, "dee", "viewed", "old", in_march(8, 22)),
        activity("dee", "logged_in").set("id", id(7)).set("happened_at", in_march(8, 23)),
        scored(on(8, "off", "completed", "fire", in_march(9, 7)), 100.0, "PT1H"),
        // A login after a login without a logout is a visit, which is not counted.
        activity("dee", "logged_in").set("id", id(10)).set("happened_at", in_march(11, 9)),
        on(11, "ada", "attended", "trip", in_march(9, 8)),
    ];
    post_batch(&admin, &records).await;
    let viewed = "http://id.tincanapi.com/verb/viewed";
    let hoses = admin.get("/v1/contents/hoses").await.expect(200).json();
    let stranger = statement(mailbox("x@elsewhere.example"), viewed, hoses["iri"].as_str().expect("an IRI"));
    let stranger = stranger.set("id", id(9)).set("timestamp", in_march(10, 1));
    admin.post("/xapi/statements", &stranger).await.expect(200);
    admin
}

async fn get_summary(caller: &Caller, parameters: &str) -> Value {
    caller.get(&format!("/v1/activities/summary?{parameters}")).await.expect(200).json()
}

/// `key: rows persons completions passed/failed average seconds`.
fn format_measures(key: &str, measures: &Value) -> String {
    format!(
        "{key}: {} {} {} {}/{} {} {}",
        measures["rows"],
        measures["persons"],
        measures["completions"],
        measures["passed"],
        measures["failed"],
        measures["average_score"],
        measures["total_seconds"]
    )
}

/// The values of a group's key or label, in order. Null is a dash.
fn join_values(group: &Value, member: &str) -> String {
    let values = group[member].as_object().expect("an object").iter();
    let words = values.filter(|(name, _)| *name != "identifier");
    words.map(|(_, word)| word.as_str().unwrap_or("-")).collect::<Vec<_>>().join(" & ")
}

fn groups(summary: &Value) -> &Vec<Value> {
    summary["groups"].as_array().expect("groups")
}

/// One line for each group.
fn format_groups(summary: &Value) -> Vec<String> {
    groups(summary).iter().map(|group| format_measures(&join_values(group, "key"), group)).collect()
}

/// The groups of a summary with these parameters, one line each.
async fn get_groups(caller: &Caller, parameters: &str) -> Vec<String> {
    format_groups(&get_summary(caller, parameters).await)
}

fn group_labels(summary: &Value) -> Vec<String> {
    groups(summary).iter().map(|group| join_values(group, "label")).collect()
}

/// The sum of one measure over all groups.
fn sum_of(summary: &Value, measure: &str) -> i64 {
    groups(summary).iter().map(|group| group[measure].as_i64().expect("a number")).sum()
}

const TOTAL: &str = "total: 9 5 4 3/1 81.83 1100";

#[apply(both_databases)]
async fn each_dimension_counts_activities(server: &TestServer) {
    let admin = set_up_with_activities(server, "acme").await;
    let expected: [(&str, &[&str]); 10] = [
        (
            "action",
            &[
                "completed: 3 2 2 3/0 92.5 800",
                "viewed: 2 2 0 0/0 null 0",
                "attended: 1 1 1 0/0 null 0",
                "failed: 1 1 0 0/1 60.5 300",
                "logged_in: 1 1 0 0/0 null 0",
                "watched: 1 1 1 0/0 null 0",
            ],
        ),
        (
            "day",
            &[
                "2026-02-27: 1 1 1 1/0 90 600",
                "2026-03-02: 1 1 0 0/1 60.5 300",
                "2026-03-03: 3 2 2 2/0 95 200",
                "2026-03-08: 2 1 0 0/0 null 0",
                "2026-03-09: 1 1 1 0/0 null 0",
                "2026-03-10: 1 1 0 0/0 null 0",
            ],
        ),
        (
            "week",
            &[
                "2026-02-23: 1 1 1 1/0 90 600",
                "2026-03-02: 6 3 2 2/1 77.75 500",
                "2026-03-09: 2 2 1 0/0 null 0",
            ],
        ),
        ("month", &["2026-02: 1 1 1 1/0 90 600", "2026-03: 8 5 3 2/1 77.75 500"]),
        (
            "user",
            &[
                "bo: 3 1 1 2/1 77.75 500",
                "ada: 2 1 2 1/0 90 600",
                "dee: 2 1 0 0/0 null 0",
                "cy: 1 1 1 0/0 null 0",
                "-: 1 1 0 0/0 null 0",
            ],
        ),
        (
            "team",
            &[
                "safety: 3 2 3 1/0 90 600",
                "sales-north: 3 1 1 2/1 77.75 500",
                "-: 3 2 0 0/0 null 0",
                "sales: 2 1 2 1/0 90 600",
            ],
        ),
        (
            "content",
            &[
                "fire: 4 2 2 3/1 81.83 1100",
                "hoses: 2 2 1 0/0 null 0",
                "old: 1 1 0 0/0 null 0",
                "trip: 1 1 1 0/0 null 0",
                "-: 1 1 0 0/0 null 0",
            ],
        ),
        (
            "type",
            &[
                "quiz: 4 2 2 3/1 81.83 1100",
                "item: 3 3 1 0/0 null 0",
                "event: 1 1 1 0/0 null 0",
                "-: 1 1 0 0/0 null 0",
            ],
        ),
        (
            "content_type",
            &["-: 6 3 3 3/1 81.83 1100", "video: 2 2 1 0/0 null 0", "article: 1 1 0 0/0 null 0"],
        ),
        ("result", &["-: 5 4 2 0/0 null 0", "passed: 3 2 2 3/0 92.5 800", "failed: 1 1 0 0/1 60.5 300"]),
    ];
    for (by, expected) in expected {
        let found = get_summary(&admin, &format!("by={by}")).await;
        assert_eq!(format_groups(&found), expected, "{by}");
        assert_eq!(format_measures("total", &found["total"]), TOTAL, "{by}");
        assert_eq!(found["truncated"], false, "{by}");
        for group in groups(&found) {
            let mut members: Vec<&String> = group["key"].as_object().expect("a key").keys().collect();
            // The key of a person that no user claims.
            members.retain(|member| by != "user" || *member != "identifier");
            assert_eq!(members, [by]);
            assert_eq!(group.as_object().map(serde_json::Map::len), Some(9), "{group}");
        }
    }
}

#[apply(both_databases)]
async fn groups_have_current_labels(server: &TestServer) {
    let admin = set_up_with_activities(server, "acme").await;
    let labelled = async |by: &str| group_labels(&get_summary(&admin, &format!("by={by}")).await);
    assert_eq!(
        labelled("user").await,
        ["bo Example", "ada Example", "dee", "cy Example", "x@elsewhere.example"]
    );
    assert_eq!(labelled("team").await, ["Team safety", "Team sales-north", "No team", "Team sales"]);
    let titles = ["Content fire", "Content hoses", "Content old (Archived)", "Content trip", "No content"];
    assert_eq!(labelled("content").await, titles);
    assert_eq!(labelled("type").await, ["Quiz", "Item", "Event", "None"]);
    assert_eq!(labelled("result").await, ["No result", "Passed", "Failed"]);
    assert_eq!(labelled("month").await, ["February 2026", "March 2026"]);
    assert_eq!(labelled("week").await[0], "Week of 23 February 2026");
    assert_eq!(labelled("day").await[1], "2 March 2026");

    admin.patch("/v1/users/bo", &json!({"first_name": "Bob"})).await.expect(200);
    admin.patch("/v1/teams/safety", &json!({"name": "Fire brigade"})).await.expect(200);
    admin.patch("/v1/contents/fire", &json!({"title": "Fire drill"})).await.expect(200);
    assert_eq!(labelled("user").await[0], "Bob Example");
    assert_eq!(labelled("team").await[0], "Fire brigade");
    assert_eq!(labelled("content").await[0], "Fire drill");
}

#[apply(both_databases)]
async fn two_dimensions_are_combined(server: &TestServer) {
    let admin = set_up_with_activities(server, "acme").await;
    let expected = [
        "2026-02 & safety: 1 1 1 1/0 90 600",
        "2026-02 & sales: 1 1 1 1/0 90 600",
        "2026-03 & sales-north: 3 1 1 2/1 77.75 500",
        "2026-03 & -: 3 2 0 0/0 null 0",
        "2026-03 & safety: 2 2 2 0/0 null 0",
        "2026-03 & sales: 1 1 1 0/0 null 0",
    ];
    for parameters in ["by=team,month", "by=month,team", "by=team&by=month"] {
        let found = get_summary(&admin, parameters).await;
        assert_eq!(format_groups(&found), expected, "{parameters}");
        assert_eq!(
            format_measures("total", &found["total"]),
            TOTAL,
            "the total counts each row once, although ada is in two teams"
        );
    }
    let found = get_summary(&admin, "by=content_type,type").await;
    let video =
        groups(&found).iter().find(|group| group["key"] == json!({"type": "item", "content_type": "video"}));
    let video = video.expect("a group of item and video");
    assert_eq!(video["label"], json!({"type": "Item", "content_type": "Video"}));
    assert_eq!(format_measures("video", video), "video: 2 2 1 0/0 null 0");
}

/// Typical questions (`docs/specification.md#summary`), each as one request.
#[apply(both_databases)]
async fn typical_questions_are_one_request_each(server: &TestServer) {
    let admin = set_up_with_activities(server, "acme").await;
    let logins = get_groups(&admin, "by=month&action=logged_in").await;
    assert_eq!(logins, ["2026-03: 1 1 0 0/0 null 0"]);
    let with_visits = get_groups(&admin, "by=action&action=logged_in,visited").await;
    assert_eq!(with_visits, ["logged_in: 1 1 0 0/0 null 0", "visited: 1 1 0 0/0 null 0"]);
    let quiz = get_groups(&admin, "by=result&content=fire&action=completed,failed").await;
    assert_eq!(quiz, ["passed: 3 2 2 3/0 92.5 800", "failed: 1 1 0 0/1 60.5 300"]);
    let completions = get_groups(&admin, "by=user&content=fire&completed=true").await;
    assert_eq!(completions, ["bo: 2 1 1 2/0 95 200", "ada: 1 1 1 1/0 90 600"]);
    let compliance = get_groups(&admin, "by=team,month&content=fire&completed=true").await;
    assert_eq!(compliance.len(), 3, "{compliance:?}");
    let unfinished = get_summary(&admin, "by=content").await;
    assert_eq!(
        (&unfinished["groups"][1]["persons"], &unfinished["groups"][1]["completions"]),
        (&json!(2), &json!(1))
    );
    let time = get_groups(&admin, "by=week&type=quiz").await;
    assert_eq!(time, ["2026-02-23: 1 1 1 1/0 90 600", "2026-03-02: 3 1 1 2/1 77.75 500"]);
    let days = get_groups(&admin, "by=day,action&from=2026-03-08&to=2026-03-10").await;
    assert_eq!(days.len(), 3, "{days:?}");
}

#[apply(both_databases)]
async fn filters_are_those_of_the_log(server: &TestServer) {
    let admin = set_up_with_activities(server, "acme").await;
    let with_deactivated = get_groups(&admin, "by=user&content=fire&include_deactivated=true").await;
    assert_eq!(
        with_deactivated,
        ["bo: 3 1 1 2/1 77.75 500", "ada: 1 1 1 1/0 90 600", "off: 1 1 1 1/0 100 3600"]
    );
    assert_eq!(
        get_groups(&admin, "by=team&team=night&include_deactivated=true").await,
        ["night: 1 1 1 1/0 100 3600"]
    );
    assert_eq!(get_groups(&admin, "by=team&team=night").await, Vec::<String>::new());
    let filters =
        "by=action&user=bo&user=cy&type=quiz&from=2026-03-03&to=2026-03-04&result=passed&title=fire";
    assert_eq!(get_groups(&admin, filters).await, ["completed: 2 1 1 2/0 95 200"]);
}

#[apply(both_databases)]
async fn completions_are_counted_by_person_content_and_registration(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    admin.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    let done = |n: usize, when: &str| {
        activity("ada", "completed").set("id", id(n)).set("content", "fire").set("happened_at", when)
    };
    // Two completions without registration, one under another identifier, and two attempts.
    let under_other_identifier =
        done(2, "2026-03-01T09:00:00Z").set("user", json!({"email": "ada@example.org"}));
    let attempt = |n: usize, which: usize| done(n, "2026-03-02T09:00:00Z").set("registration", id(which));
    post_batch(
        &admin,
        &[
            done(1, "2025-03-01T09:00:00Z"),
            under_other_identifier,
            attempt(3, 77),
            attempt(4, 77),
            attempt(5, 78),
        ],
    )
    .await;
    let found = get_summary(&admin, "by=month").await;
    assert_eq!(format_groups(&found), ["2025-03: 1 1 1 0/0 null 0", "2026-03: 4 1 3 0/0 null 0"]);
    assert_eq!(format_measures("total", &found["total"]), "total: 5 1 3 0/0 null 0");
    // A voided completion does not count.
    admin.delete(&format!("/v1/activities/{}", id(5))).await.expect(204);
    let rest = get_summary(&admin, "by=month&user=ada").await;
    assert_eq!(format_measures("total", &rest["total"]), "total: 4 1 2 0/0 null 0");
}

#[apply(both_databases)]
async fn days_weeks_and_months_use_the_time_zone(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    let login = |n: usize, when: &str| activity("ada", "logged_in").set("id", id(n)).set("happened_at", when);
    // The last hour of a Sunday and of February, in UTC.
    post_batch(&admin, &[login(1, "2026-03-01T23:30:00Z"), login(2, "2026-02-28T23:30:00Z")]).await;
    let groups_with_visits =
        async |parameters: &str| get_groups(&admin, &format!("{parameters}&action=logged_in,visited")).await;
    let one = |key: &str| format!("{key}: 1 1 0 0/0 null 0");
    assert_eq!(groups_with_visits("by=day").await, [one("2026-02-28"), one("2026-03-01")]);
    assert_eq!(groups_with_visits("by=month").await, [one("2026-02"), one("2026-03")]);
    assert_eq!(groups_with_visits("by=week").await, ["2026-02-23: 2 1 0 0/0 null 0"]);
    assert_eq!(groups_with_visits("by=day&tz=Europe/Berlin").await, [one("2026-03-01"), one("2026-03-02")]);
    assert_eq!(groups_with_visits("by=week&tz=Europe/Berlin").await, [one("2026-02-23"), one("2026-03-02")]);
    assert_eq!(groups_with_visits("by=month&tz=Europe/Berlin").await, ["2026-03: 2 1 0 0/0 null 0"]);
    // The filter for a day gives the rows of the group.
    assert_eq!(
        groups_with_visits("by=day&tz=Europe/Berlin&from=2026-03-02&to=2026-03-03").await,
        [one("2026-03-02")]
    );
    admin.patch("/v1/organisation", &json!({"time_zone": "Asia/Tokyo"})).await.expect(200);
    assert_eq!(groups_with_visits("by=month").await, ["2026-03: 2 1 0 0/0 null 0"]);
    assert_eq!(groups_with_visits("by=month&tz=UTC").await, [one("2026-02"), one("2026-03")]);
}

#[apply(both_databases)]
async fn teams_overlap_and_can_be_filtered(server: &TestServer) {
    let admin = set_up_with_activities(server, "acme").await;
    let by_team = async |parameters: &str| {
        let found = get_summary(&admin, &format!("by=team{parameters}")).await;
        (format_groups(&found), found["total"]["rows"].clone())
    };
    let (ada, bo) = ("sales: 2 1 2 1/0 90 600".to_owned(), "sales-north: 3 1 1 2/1 77.75 500".to_owned());
    assert_eq!(by_team("&team=sales").await, (vec![ada.clone()], json!(2)));
    assert_eq!(
        by_team("&team=sales&include_sub_teams=true").await,
        (vec![bo.clone(), ada.clone()], json!(5))
    );
    let refused = admin.get("/v1/activities/summary?by=team&include_sub_teams=true").await.expect(400);
    assert_eq!(refused.error_parameters().into_iter().collect::<Vec<_>>(), ["include_sub_teams"]);
    // Only the given teams are groups, although `ada` is in another team too. The total counts each row
    // once.
    let both = by_team("&team=sales&team=safety").await;
    assert_eq!(both, (vec!["safety: 3 2 3 1/0 90 600".to_owned(), ada.clone()], json!(3)));
    // By team, the flag decides where a row counts. By another dimension it would change nothing.
    admin.get("/v1/activities/summary?by=user&primary_team_only=true").await.expect(400);
    let primary = by_team("&primary_team_only=true").await;
    assert_eq!(primary, (vec!["-: 4 3 1 0/0 null 0".to_owned(), bo.clone(), ada.clone()], json!(9)));
    assert_eq!(by_team("&team=safety&primary_team_only=true").await, (vec![], json!(0)));
    assert_eq!(by_team("&team=sales&primary_team_only=true").await, (vec![ada.clone()], json!(2)));
    assert_eq!(by_team("&scope=team&team=sales").await, (vec![ada], json!(2)));
    assert_eq!(by_team("&group=aid").await, (vec![bo], json!(3)));
    assert_eq!(by_team("&team=unknown").await, (vec![], json!(0)));
    let overlapping = get_summary(&admin, "by=team").await;
    assert!(sum_of(&overlapping, "rows") > overlapping["total"]["rows"].as_i64().expect("a number"));
    // A user who changes teams counts in the new team, with past activities.
    admin.patch("/v1/users/bo", &json!({"primary_team": "safety", "teams": ["safety"]})).await.expect(200);
    assert_eq!(
        by_team("").await.0,
        ["safety: 6 3 4 3/1 81.83 1100", "-: 3 2 0 0/0 null 0", "sales: 2 1 2 1/0 90 600"]
    );
}

#[apply(both_databases)]
async fn summary_has_at_most_10000_groups(server: &TestServer) {
    let admin = server.person("admin", "root");
    let users: Vec<Body> = (0..=100).map(|n| user(&format!("u{n:03}"))).collect();
    admin.post("/v1/users/batch", &users).await.expect(200);
    // One group has two rows: the last user's on the first day.
    let hundred_days_ago =
        rollbook::base::clock::Timestamp::from_micros(START.micros() - 100 * 86_400_000_000);
    let login = activity("u100", "logged_in").set("happened_at", hundred_days_ago.to_string());
    post_batch(&admin, &[login]).await;
    assert_eq!(insert_daily_activities(server).await, 10_100);
    let found = get_summary(&admin, "by=user,day").await;
    assert_eq!((groups(&found).len(), &found["truncated"]), (10_000, &json!(true)));
    assert_eq!(found["total"]["rows"], 10_101);
    assert_eq!(found["total"]["persons"], 101);
    assert_eq!(found["groups"][0]["key"]["user"], "u100");
    assert_eq!(found["groups"][0]["rows"], 2);
    assert_eq!(sum_of(&found, "rows"), 10_001);
    let found = get_summary(&admin, "by=user").await;
    assert_eq!((groups(&found).len(), &found["truncated"]), (101, &json!(false)));
    assert_eq!(sum_of(&found, "rows"), 10_101);
}

#[apply(both_databases)]
async fn invalid_parameter_is_named_in_the_problem(server: &TestServer) {
    let admin = set_up_with_activities(server, "acme").await;
    let refused = [
        ("", "by"),
        ("by=", "by"),
        ("by=year", "by"),
        ("by=Team", "by"),
        ("by=team,", "by"),
        ("by=team,month,user", "by"),
        ("by=team&by=month&by=user", "by"),
        ("by=team,team", "by"),
        ("by=team&by=team", "by"),
        ("by=team&sort=happened_at", "sort"),
        ("by=team&limit=5", "limit"),
        ("by=team&count=exact", "count"),
        ("by=team&cursor=x", "cursor"),
        ("by=team&columns=full", "columns"),
        ("by=team&action=ran", "action"),
        ("by=team&scope=team", "scope"),
        ("by=team&from=then", "from"),
        ("by=team&tz=Mars", "tz"),
        ("by=team&period=today&from=2026-01-01", "period"),
    ];
    for (parameters, parameter) in refused {
        let problem = admin.get(&format!("/v1/activities/summary?{parameters}")).await.expect(400).json();
        assert_eq!(problem["code"], "bad-parameter", "{parameters}");
        let named: Vec<&Value> =
            problem["errors"].as_array().expect("errors").iter().map(|error| &error["parameter"]).collect();
        assert_eq!(named, [parameter], "{parameters}");
    }
    let both = admin.get("/v1/activities/summary?action=ran").await.expect(400).json();
    assert_eq!(both["errors"][0]["parameter"], "by");
    assert_eq!(both["errors"][1]["parameter"], "action");
    // A scope without rights is refused as in the log.
    let manager = server.person("manager", "ada");
    manager.get("/v1/activities/summary?by=team&scope=company").await.expect(403);
    server.person("learner", "cy").get("/v1/activities/summary?by=team&scope=managed").await.expect(403);
    let head = admin.send(Method::HEAD, "/v1/activities/summary?by=team", &[], Vec::new()).await.expect(200);
    assert_eq!((head.body.len(), head.header("content-type")), (0, Some("application/json")));
}

#[apply(both_databases)]
async fn summary_of_an_empty_organisation_is_zero(server: &TestServer) {
    let empty = json!({"groups": [], "truncated": false, "total": {"rows": 0, "persons": 0, "completions": 0,
        "passed": 0, "failed": 0, "average_score": null, "total_seconds": 0}});
    for by in DIMENSIONS {
        assert_eq!(get_summary(&server.person("admin", "root"), &format!("by={by}")).await, empty, "{by}");
    }
}

/// Inserts one activity per user and day for a hundred days with SQL. Returns the number of rows.
async fn insert_daily_activities(server: &TestServer) -> u64 {
    let insert = "INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, action, origin, completed, certified) \
        SELECT p.org, 1000000 + row_number() OVER (ORDER BY p.key, s.n), {id}, {start} - s.n * 86400000000, {start}, \
            p.key, v.key, 12, 1, p.key < 0, p.key < 0 \
        FROM persons p CROSS JOIN ({series}) s CROSS JOIN (SELECT min(key) AS key FROM verbs) v \
        WHERE p.kind = 4 AND p.user_key IS NOT NULL";
    let database = server.database();
    let insert = insert
        .replace("{start}", &START.micros().to_string())
        .replace("{id}", database.random_id())
        .replace("{series}", &database.series(100));
    database.execute(&insert).await
}
