//! Tests of reading the log: filters, order, pages, single activities, and deletion.
//!
//! The model in `v1/model.rs` tests combinations of parameters and callers. These tests show each parameter
//! once, with its invalid values.

use serde_json::{Value, json};

use super::{id, in_march, member_values, numbered_activity, post_batch, read_log, record_numbers, set_up};
use crate::support::TestServer;
use crate::support::builders::{Body, activity, content, group, team, user};
use crate::support::http::{Caller, query};
use crate::support::{apply, both_databases};

/// Eight activities of three users and four contents, recorded by an admin and a credential.
async fn set_up_with_activities(server: &TestServer) -> Caller {
    let admin = set_up(server).await;
    admin
        .post("/v1/teams/batch", &[team("north"), team("leeds").set("parent", "north"), team("south")])
        .await
        .expect(200);
    admin.put("/v1/groups/aid", &group("aid")).await.expect(201);
    admin
        .patch(
            "/v1/users/ada",
            &json!({"primary_team": "north", "location": "Leeds", "custom": {"Cost centre": "4711"}}),
        )
        .await
        .expect(200);
    admin
        .patch(
            "/v1/users/bo",
            &json!({"primary_team": "leeds", "teams": ["north", "leeds"], "groups": ["aid"], "location": "York"}),
        )
        .await
        .expect(200);
    admin.put("/v1/users/cy", &user("cy").set("active", false)).await.expect(201);
    let contents = [
        content("hoses", "item")
            .set("content_type", "video")
            .set("title", "Hoses & Ladders")
            .set("tags", json!(["wet", "long"]))
            .set("source", "Library")
            .set("cpd_labels", json!(["Health"])),
        content("trip", "event")
            .set("title", "Trip to the fire station")
            .set("tags", json!(["wet"]))
            .set("archived_at", in_march(1, 0)),
    ];
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    let on = |n: usize, user: &str, action: &str, content: &str| {
        let day = u32::try_from(n).expect("small") * 2 - 1;
        activity(user, action).set("id", id(n)).set("content", content).set("happened_at", in_march(day, 23))
    };
    post_batch(
        &admin,
        &[
            on(1, "ada", "completed", "fire").set("result", json!({"score": 80, "success": true})),
            on(2, "ada", "completed", "hoses"),
            on(3, "bo", "enrolled_for", "trip").set("source", "Elsewhere"),
            on(4, "bo", "failed", "fire"),
            on(5, "cy", "viewed", "fire"),
            activity("ada", "logged_in").set("id", id(6)).set("happened_at", in_march(11, 23)),
        ],
    )
    .await;
    let sender = server.credential("acme", &["activities/write", "directory"]).await;
    post_batch(
        &sender,
        &[
            on(7, "bo", "viewed", "hoses")
                .set("certificate", json!({"name": "X", "expires_at": in_march(20, 0)})),
            on(8, "ada", "downloaded", "hoses")
                .set("device_type", "phone")
                .set("source", "Library")
                .set("expired_at", in_march(16, 0)),
        ],
    )
    .await;
    admin
}

async fn find_numbers(caller: &Caller, parameters: &str) -> Vec<usize> {
    record_numbers(
        &caller.list(&format!("/v1/activities?sort=happened_at&limit=3&{parameters}"), "activities").await,
    )
}

#[apply(both_databases)]
async fn each_filter_limits_the_log(server: &TestServer) {
    let admin = set_up_with_activities(server).await;
    for (parameters, expected) in [
        ("", vec![1, 2, 3, 4, 6, 7, 8]),
        ("include_deactivated=true", vec![1, 2, 3, 4, 5, 6, 7, 8]),
        ("user=ada", vec![1, 2, 6, 8]),
        ("user=bo&user=cy", vec![3, 4, 7]),
        ("user=bo&user=cy&include_deactivated=true", vec![3, 4, 5, 7]),
        ("user=nobody", vec![]),
        ("team=north", vec![1, 2, 3, 4, 6, 7, 8]),
        ("team=leeds", vec![3, 4, 7]),
        ("team=south", vec![]),
        ("team=north&primary_team_only=true", vec![1, 2, 6, 8]),
        ("team=north&primary_team_only=true&include_sub_teams=true", vec![1, 2, 3, 4, 6, 7, 8]),
        ("group=aid", vec![3, 4, 7]),
        ("scope=group&group=aid&user=ada", vec![]),
        ("location=Leeds", vec![1, 2, 6, 8]),
        ("location=Leeds&location=York", vec![1, 2, 3, 4, 6, 7, 8]),
        ("location=York&action=failed", vec![4]),
        ("location=LEEDS", vec![1, 2, 6, 8]),
        ("location=Leed", vec![]),
        ("location=Leeds,York", vec![]),
        ("action=completed", vec![1]),
        ("action=watched,failed", vec![2, 4]),
        ("action=watched&action=failed", vec![2, 4]),
        ("verb=http://adlnet.gov/expapi/verbs/completed", vec![1, 2]),
        ("type=quiz", vec![1, 4]),
        ("type=quiz,event", vec![1, 3, 4]),
        ("content_type=video", vec![2, 7, 8]),
        ("content=hoses&content=trip", vec![2, 3, 7, 8]),
        ("content=nothing", vec![]),
        ("tag=wet", vec![2, 3, 7, 8]),
        ("tag=long&tag=none", vec![2, 7, 8]),
        ("source=Library", vec![2, 7, 8]),
        ("source=Elsewhere", vec![3]),
        ("source=LIBRARY", vec![2, 7, 8]),
        ("source=Librar", vec![]),
        ("cpd_label=Health", vec![2, 7, 8]),
        ("device_type=api", vec![7]),
        ("device_type=api&device_type=phone", vec![7, 8]),
        ("origin=api", vec![7, 8]),
        ("origin=manual,xapi", vec![1, 2, 3, 4, 6]),
        ("import=ec531277-b57b-4c15-8d91-d292c5b2b8f7", vec![]),
        ("bulk_import=true", vec![]),
        ("bulk_import=false", vec![1, 2, 3, 4, 6, 7, 8]),
        ("title=HOSES", vec![2, 7, 8]),
        ("title=fire", vec![1, 3, 4]),
        ("title=fire+trip", vec![3]),
        ("title=ladders&title=safety", vec![1, 2, 4, 7, 8]),
        ("title=%25", vec![]),
        ("completed=true", vec![1, 2]),
        ("completed=false", vec![3, 4, 6, 7, 8]),
        ("expired=true", vec![8]),
        ("has_certificate=true", vec![7]),
        ("result=passed", vec![1]),
        ("result=failed", vec![4]),
        ("result=passed,failed", vec![1, 4]),
        ("from=2026-03-07T23:00:00Z", vec![4, 6, 7, 8]),
        ("to=2026-03-07T23:00:00Z", vec![1, 2, 3]),
        ("from=2026-03-03&to=2026-03-06", vec![2, 3]),
        ("from=2026-03-04&to=2026-03-06&tz=Asia/Tokyo", vec![2]),
        ("period=last_7_days", vec![7, 8]),
        ("period=this_month", vec![1, 2, 3, 4, 6, 7, 8]),
        ("period=previous_week", vec![6, 7, 8]),
        ("period=previous_month", vec![]),
        ("certificate_expires_within=P3D", vec![7]),
        ("custom%5BCost+centre%5D=4711", vec![1, 2, 6, 8]),
        ("custom%5BCost+centre%5D=4712", vec![]),
        ("custom%5Bnone%5D=4711", vec![]),
        ("user=ada&type=quiz&result=passed", vec![1]),
        ("user=ada&type=event", vec![]),
    ] {
        assert_eq!(find_numbers(&admin, parameters).await, expected, "{parameters}");
        let page =
            admin.get(&format!("/v1/activities?count=exact&limit=1&{parameters}")).await.expect(200).json();
        assert_eq!(page["total"], expected.len(), "{parameters}");
    }
}

/// The number of activities with `parameters` in each way of reading them.
async fn counts_everywhere(caller: &Caller, parameters: &str) -> Vec<usize> {
    let csv = caller.get(&format!("/v1/activities/export.csv?{parameters}")).await.expect(200);
    let ndjson = caller.get(&format!("/v1/activities/export.ndjson?{parameters}")).await.expect(200);
    let summary = caller.get(&format!("/v1/activities/summary?by=action&{parameters}")).await.expect(200);
    let total = summary.json()["total"]["rows"].as_u64().expect("a number");
    vec![
        find_numbers(caller, parameters).await.len(),
        csv.csv().1.len(),
        ndjson.ndjson().len(),
        usize::try_from(total).expect("small"),
    ]
}

#[apply(both_databases)]
async fn location_limits_exports_summary_progress_and_reports(server: &TestServer) {
    let admin = set_up_with_activities(server).await;
    assert_eq!(counts_everywhere(&admin, "location=York").await, [3; 4]);
    let progress = admin.list("/v1/contents/fire/progress?location=York", "progress").await;
    assert_eq!(member_values(&progress, "user.id"), ["bo"]);
    // A filter bar sends its filters. Facets check them and count without them.
    let facets = admin.get("/v1/facets?location=York").await.expect(200).json();
    assert_eq!(facets["facets"], admin.get("/v1/facets").await.expect(200).json()["facets"]);

    let report = json!({"name": "By location", "filter": {"location": ["York", "Leeds"]}});
    let report = admin.post("/v1/reports", &report).await.expect(201).json();
    let path = format!("/v1/reports/{}/activities", report["id"].as_str().expect("an id"));
    let rows = async |path: String| record_numbers(&admin.list(&path, "activities").await);
    assert_eq!(rows(format!("{path}?sort=happened_at")).await, [1, 2, 3, 4, 6, 7, 8]);
    assert_eq!(rows(format!("{path}?sort=happened_at&location=York&location=Hull")).await, [3, 4, 7]);
}

#[apply(both_databases)]
async fn location_outside_the_reach_shows_nothing(server: &TestServer) {
    let admin = set_up_with_activities(server).await;
    admin.put("/v1/users/dee", &user("dee").set("location", "Hull")).await.expect(201);
    let by_dee = activity("dee", "viewed").set("id", id(9)).set("content", "fire");
    admin.post("/v1/activities", &by_dee).await.expect(201);
    let report = json!({"name": "Hull", "visibility": "shared", "filter": {"location": "Hull"}});
    let report = admin.post("/v1/reports", &report).await.expect(201).json();
    let report = format!("/v1/reports/{}/activities?count=exact", report["id"].as_str().expect("an id"));

    // Ada manages Bo, but not Dee.
    let manager = server.person("manager", "ada");
    for (caller, count) in [(&admin, 1), (&manager, 0)] {
        assert_eq!(counts_everywhere(caller, "location=Hull").await, [count; 4]);
        let page = caller.get("/v1/activities?location=Hull&count=exact").await.expect(200).json();
        assert_eq!(page["total"], count);
        let page = caller.get(&report).await.expect(200).json();
        assert_eq!(
            (&page["total"], page["activities"].as_array().map(Vec::len)),
            (&json!(count), Some(count))
        );
        let progress = caller.list("/v1/contents/fire/progress?location=Hull", "progress").await;
        assert_eq!(progress.len(), count);
    }
    assert_eq!(counts_everywhere(&manager, "location=Hull&location=York").await, [3; 4]);
    assert_eq!(counts_everywhere(&server.person("learner", "bo"), "location=Leeds").await, [0; 4]);
}

#[apply(both_databases)]
async fn invalid_parameter_is_named_in_the_problem(server: &TestServer) {
    let admin = set_up(server).await;
    for (parameters, parameter) in [
        ("colour=red", "colour"),
        ("Action=viewed", "Action"),
        ("action=vew", "action"),
        ("action=viewed,,failed", "action"),
        ("action=", "action"),
        ("type=film", "type"),
        ("completed=yes", "completed"),
        ("result=pass", "result"),
        ("origin=web", "origin"),
        ("import=1", "import"),
        ("verb=completed", "verb"),
        ("title=+", "title"),
        ("from=2026-02-30", "from"),
        ("from=yesterday", "from"),
        ("to=2026-03-01T00:00:00", "to"),
        ("period=last_year", "period"),
        ("period=today&from=2026-01-01", "period"),
        ("tz=Mars/Olympus", "tz"),
        ("tz=", "tz"),
        ("certificate_expires_within=2 days", "certificate_expires_within"),
        ("sort=title", "sort"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=abc", "cursor"),
        ("count=about", "count"),
        ("scope=world", "scope"),
        ("scope=team", "scope"),
        ("scope=group", "scope"),
        ("completed=true&completed=false", "completed"),
        ("custom=x", "custom"),
        ("custom%5B%5D=x", "custom[]"),
        ("user=%00", "user"),
        ("user=%FF", "user"),
        ("user=%", "user"),
    ] {
        for path in [
            "/v1/activities",
            "/v1/me/activities",
            "/v1/activities/export.csv",
            "/v1/activities/export.ndjson",
        ] {
            let paging = ["limit", "cursor", "count"].contains(&parameter);
            if (path.contains("/me/") && parameter == "scope") || (path.contains("export") && paging) {
                continue;
            }
            let problem = admin.get(&format!("{path}?{parameters}")).await.expect(400).json();
            assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}?{parameters}: {problem}");
        }
    }
}

#[apply(both_databases)]
async fn pages_contain_every_activity_once(server: &TestServer) {
    let admin = set_up(server).await;
    // Four activities have the same time, to test ties in both directions.
    let batch: Vec<Body> = (0..20)
        .map(|n| numbered_activity(n, "viewed").set("happened_at", in_march(1 + n as u32 / 4, 1)))
        .collect();
    post_batch(&admin, &batch).await;
    let forwards: Vec<usize> = (0..20).collect();
    let backwards: Vec<usize> = (0..20).rev().collect();
    for limit in [1, 3, 4, 19, 20, 1000] {
        let path = format!("/v1/activities?limit={limit}");
        assert_eq!(
            record_numbers(&admin.list(&format!("{path}&sort=happened_at"), "activities").await),
            forwards,
            "{limit}"
        );
        assert_eq!(record_numbers(&admin.list(&path, "activities").await), backwards, "{limit}");
    }
    let parameters = [
        ("limit", "3"),
        ("title", "fire safety"),
        ("action", "viewed"),
        ("user", "ada"),
        ("user", "bo"),
        ("count", "exact"),
    ];
    let parameters: Vec<(String, String)> =
        parameters.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let page = admin.get(&format!("/v1/activities{}", query(&parameters))).await.expect(200);
    let next = page.json()["next"].as_str().expect("a next page").to_owned();
    assert!(
        next.starts_with(
            "/v1/activities?limit=3&title=fire+safety&action=viewed&user=ada&user=bo&count=exact&cursor="
        ),
        "{next}"
    );
    assert_eq!(page.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    assert_eq!(page.json()["total"], 20);
    let second = admin.get(&next).await.expect(200).json();
    assert_eq!(
        (&second["total"], record_numbers(second["activities"].as_array().expect("rows"))),
        (&json!(20), vec![16, 15, 14])
    );
    let last = admin.get("/v1/activities?limit=20").await.expect(200);
    assert_eq!((&last.json()["next"], last.header("link")), (&Value::Null, None));
    assert!(last.json().get("total").is_none());
    // The next page may have another limit, but no other parameter may change.
    let cursor = next.rsplit("cursor=").next().expect("a cursor");
    let rest = "title=fire+safety&action=viewed&user=ada&user=bo";
    admin.get(&format!("/v1/activities?limit=5&{rest}&cursor={cursor}")).await.expect(200);
    admin.get(&format!("/v1/activities?{rest}&user=bo&cursor={cursor}")).await.expect(200);
    for other in [
        format!("/v1/activities?cursor={cursor}"),
        format!("/v1/activities?{rest}&sort=happened_at&cursor={cursor}"),
        format!("/v1/activities?{rest}&completed=false&cursor={cursor}"),
        format!("/v1/activities?{}&cursor={cursor}", rest.replace("ada", "cy")),
        format!("/v1/activities?{rest}&scope=company&cursor={cursor}"),
        format!("/v1/me/activities?{rest}&cursor={cursor}"),
        format!("/v1/activities?{rest}&cursor={}", &cursor[..cursor.len() - 4]),
    ] {
        admin.get(&other).await.expect(400);
    }
    let same_query = format!("/v1/activities?{rest}&cursor={cursor}");
    server.person("admin", "somebody").get(&same_query).await.expect(400);
    server.person_of("other", json!({"sub": "root", "role": "admin"})).get(&same_query).await.expect(400);
    server.person("owner", "root").get(&same_query).await.expect(200);
}

#[apply(both_databases)]
async fn new_activities_while_paging_cause_no_duplicates_and_no_gaps(server: &TestServer) {
    let admin = set_up(server).await;
    let batch: Vec<Body> = (10..20)
        .map(|n| numbered_activity(n, "viewed").set("happened_at", in_march(n as u32 - 9, 1)))
        .collect();
    post_batch(&admin, &batch).await;
    let page = admin.get("/v1/activities?limit=4").await.expect(200).json();
    post_batch(
        &admin,
        &[
            numbered_activity(1, "viewed").set("happened_at", in_march(17, 1)),
            numbered_activity(2, "viewed").set("happened_at", in_march(1, 0)),
        ],
    )
    .await;
    admin.delete(&format!("/v1/activities/{}", id(16))).await.expect(204);
    let rest = admin.list(page["next"].as_str().expect("more"), "activities").await;
    assert_eq!(record_numbers(&rest), [15, 14, 13, 12, 11, 10, 2]);
}

#[apply(both_databases)]
async fn every_user_has_a_personal_log(server: &TestServer) {
    let admin = set_up_with_activities(server).await;
    let own = server.person("learner", "ada");
    assert_eq!(
        record_numbers(&own.list("/v1/me/activities?sort=happened_at", "activities").await),
        [1, 2, 6, 8]
    );
    assert_eq!(find_numbers(&own, "").await, [1, 2, 6, 8]);
    let page = own
        .get("/v1/me/activities?limit=2&action=watched,downloaded,completed&count=exact")
        .await
        .expect(200)
        .json();
    assert_eq!(page["total"], 3);
    assert!(page["next"].as_str().expect("more").starts_with("/v1/me/activities?limit=2&action="));
    assert!(admin.list("/v1/me/activities", "activities").await.is_empty(), "the admin has no activities");
    own.get("/v1/me/activities?scope=me").await.expect(400);

    let manager = server.person("manager", "ada");
    assert_eq!(
        record_numbers(&manager.list("/v1/users/bo/activities?sort=happened_at", "activities").await),
        [3, 4, 7]
    );
    assert_eq!(
        record_numbers(&manager.list("/v1/users/bo/activities?user=bo&type=event", "activities").await),
        [3]
    );
    let none = manager.get("/v1/users/bo/activities?user=ada&count=exact").await.expect(200).json();
    assert_eq!(none, json!({"activities": [], "next": null, "total": 0}));
    manager.get("/v1/users/cy/activities").await.expect(404);
    own.get("/v1/users/bo/activities").await.expect(404);
    admin.get("/v1/users/nobody/activities").await.expect(404);
    assert_eq!(
        record_numbers(&own.list("/v1/users/ada/activities?sort=happened_at", "activities").await),
        [1, 2, 6, 8]
    );
    // The log of one user, and an activity by id, include deactivated users.
    assert_eq!(record_numbers(&admin.list("/v1/users/cy/activities", "activities").await), [5]);
    admin.get(&format!("/v1/activities/{}", id(5))).await.expect(200);
    // An activity outside the reach does not exist for the caller.
    own.get(&format!("/v1/activities/{}", id(3))).await.expect(404);
    manager.get(&format!("/v1/activities/{}", id(3))).await.expect(200);
    manager.get(&format!("/v1/activities/{}", id(5))).await.expect(404);
    admin.get(&format!("/v1/activities/{}", id(99))).await.expect(404);
    admin.get("/v1/activities/x").await.expect(404);
}

#[apply(both_databases)]
async fn deletion_voids_the_record_with_a_reason(server: &TestServer) {
    let admin = set_up_with_activities(server).await;
    let path = format!("/v1/activities/{}", id(4));
    for role in ["hr", "reporter", "learning_designer", "curator", "manager", "learner"] {
        server.person(role, "ada").delete(&path).await.expect(403);
    }
    server
        .credential("acme", &["all", "activities/write", "activities/read"])
        .await
        .delete(&path)
        .await
        .expect(403);
    server.person_of("other", json!({"sub": "root", "role": "owner"})).delete(&path).await.expect(404);
    admin.delete(&format!("{path}?why=x")).await.expect(400);
    admin.delete(&format!("{path}?reason={}", "x".repeat(1001))).await.expect(400);
    admin.get(&path).await.expect(200);
    let answer = admin.delete(&format!("{path}?reason=Wrong%20person")).await.expect(204);
    assert!(answer.body.is_empty());
    admin.get(&path).await.expect(404);
    admin.delete(&path).await.expect(404);
    let rows = read_log(&admin).await;
    assert!(!member_values(&rows, "id").contains(&json!(id(4))), "the deleted activity must not be listed");
    let csv = admin.get("/v1/activities/export.csv?columns=full").await.expect(200);
    assert!(!csv.text().contains(&id(4)), "the deleted activity must not be exported");
    // The deletion is a record with its author and reason. The deleted record is a voided statement.
    let voiding = rows.last().expect("rows");
    assert_eq!(
        (&voiding["verb"], &voiding["comment"]),
        (&json!("http://adlnet.gov/expapi/verbs/voided"), &json!("Wrong person"))
    );
    assert_eq!((&voiding["recorded_by"]["id"], &voiding["origin"]), (&json!("root"), &json!("manual")));
    admin.get(&format!("/xapi/statements?statementId={}", id(4))).await.expect(404);
    admin.get(&format!("/xapi/statements?voidedStatementId={}", id(4))).await.expect(200);
    // The voiding record cannot be deleted.
    admin.delete(&format!("/v1/activities/{}", voiding["id"].as_str().expect("an id"))).await.expect(409);
    // Posting the deleted record again does not restore it.
    let again =
        activity("bo", "failed").set("id", id(4)).set("content", "fire").set("happened_at", in_march(7, 23));
    admin.post("/v1/activities", &again).await.expect(200);
    admin.get(&path).await.expect(404);
}
