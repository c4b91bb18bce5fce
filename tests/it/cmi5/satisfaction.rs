//! Satisfied units, blocks and courses, and waivers.

use serde_json::{Value, json};

use super::unit::{CMI5, MOVE_ON, SESSION_ID, find, launch, launch_body, prepare};
use crate::support::builders::user;
use crate::support::{TestServer, apply, both_databases};
use crate::v1::courses::{course, find_element, import, unit};

/// The publisher's ids of the satisfied blocks and courses, in their order.
fn satisfied_ids(statements: &[Value]) -> Vec<&str> {
    statements
        .iter()
        .map(|statement| {
            statement["context"]["contextActivities"]["grouping"][0]["id"].as_str().expect("an id")
        })
        .collect()
}

#[apply(both_databases)]
async fn satisfied_climbs_from_the_units_to_the_course_once(server: &TestServer) {
    let (admin, course_id, [one, two, three]) = prepare(server).await;
    let first = launch(server, &admin, &launch_body(&one)).await;
    first.report(&["initialized", "completed"]).await;
    assert!(find(&admin, "satisfied").await.is_empty(), "the unit also needs passed");
    first.report(&["passed", "terminated"]).await;
    assert!(find(&admin, "satisfied").await.is_empty());
    let second = launch(server, &admin, &launch_body(&two)).await;
    second.report(&["initialized", "completed", "terminated"]).await;
    let found = find(&admin, "satisfied").await;
    assert_eq!(satisfied_ids(&found), ["urn:block"]);
    assert_eq!(found[0]["context"]["extensions"][SESSION_ID], second.session());
    let definition = &found[0]["object"]["definition"];
    assert_eq!(definition["type"], "https://w3id.org/xapi/cmi5/activitytype/block");
    let third = launch(server, &admin, &launch_body(&three)).await;
    third.report(&["initialized", "passed"]).await;
    let found = find(&admin, "satisfied").await;
    assert_eq!(satisfied_ids(&found), ["urn:block", "https://p.example/course"]);
    let of_course = &found[1];
    assert_eq!(of_course["object"]["definition"]["type"], "https://w3id.org/xapi/cmi5/activitytype/course");
    assert_eq!(of_course["object"]["id"], format!("https://rollbook.invalid/acme/contents/{course_id}"));
    assert_eq!(of_course["actor"]["account"]["name"], "bo");
    let categories = &of_course["context"]["contextActivities"]["category"];
    assert_eq!((categories[0]["id"].as_str(), categories[1].is_null()), (Some(CMI5), true));
    third.report(&["completed", "terminated"]).await;
    assert_eq!(find(&admin, "satisfied").await.len(), 2);
    let shown = admin.get(&format!("/v1/courses/{course_id}?user=bo")).await.expect(200).json();
    assert_eq!(
        shown["progress"],
        json!({"user": "bo", "registration": third.registration(), "satisfied": true})
    );
    let listed = admin.list("/v1/courses?user=bo", "courses").await;
    assert_eq!(listed[0]["progress"], shown["progress"]);
    let shown_unit = find_element(&shown["children"], "urn:one").expect("a unit");
    let expected = json!({"satisfied": true, "completed": true, "passed": true, "waived": false});
    assert_eq!(shown_unit["progress"], expected);
    // The log shows the course as completed.
    let rows = admin.list(&format!("/v1/activities?user=bo&content={course_id}"), "activities").await;
    assert_eq!(rows.len(), 1);
    // A new registration begins again.
    let mut body = launch_body(&three);
    body["registration"] = json!(crate::support::records::id(900));
    launch(server, &admin, &body).await.report(&["initialized", "passed"]).await;
    assert_eq!(find(&admin, "satisfied").await.len(), 2);
    // The list shows the newest registration of each course, and of this user.
    let xml = course("urn:other", &unit("urn:any", "moveOn='Completed'", "https://p.example/any"));
    import(&admin, &xml).await.expect(201);
    admin.put("/v1/users/cy", &user("cy")).await.expect(201);
    let mut of_cy = launch_body(&three);
    of_cy["user"] = json!("cy");
    launch(server, &admin, &of_cy).await;
    let listed = admin.list("/v1/courses?user=bo", "courses").await;
    let found = |publisher_id: &str| {
        let found = listed.iter().find(|course| course["publisher_id"] == publisher_id);
        found.expect("a course")["progress"].clone()
    };
    let newest = json!({"user": "bo", "registration": body["registration"], "satisfied": false});
    assert_eq!(found("https://p.example/course"), newest);
    assert_eq!(found("urn:other"), json!({"user": "bo", "registration": null, "satisfied": false}));
}

#[apply(both_databases)]
async fn course_without_demands_is_satisfied_at_the_first_launch(server: &TestServer) {
    let (admin, ..) = prepare(server).await;
    let xml = course("urn:free", &unit("urn:any", "", "https://p.example/any"));
    let imported = import(&admin, &xml).await.expect(201).json();
    let id = imported["children"][0]["id"].as_str().expect("an id");
    let first = launch(server, &admin, &launch_body(id)).await;
    let found = find(&admin, "satisfied").await;
    assert_eq!(satisfied_ids(&found), ["urn:free"]);
    assert_eq!(found[0]["context"]["extensions"][SESSION_ID], first.session());
    launch(server, &admin, &launch_body(id)).await;
    assert_eq!(find(&admin, "satisfied").await.len(), 1);
}

#[apply(both_databases)]
async fn unit_is_waived_once_in_a_registration(server: &TestServer) {
    let (admin, _, [one, two, _]) = prepare(server).await;
    let first = launch(server, &admin, &launch_body(&one)).await;
    let path = format!("/v1/launches/{}/waive", first.launch["id"].as_str().expect("an id"));
    first.caller.post(&path, &json!({})).await.expect(403);
    server.person("learner", "bo").post(&path, &json!({})).await.expect(403);
    admin.post(&path, &json!({"reason": " "})).await.expect(400);
    admin.post(&path, &json!({"reason": "Tested Out"})).await.expect(204);
    admin.post(&path, &json!({})).await.expect(409);
    let waived = find(&admin, "waived").await;
    assert_eq!(waived.len(), 1);
    let statement = &waived[0];
    assert_eq!(
        (&statement["result"]["success"], &statement["result"]["completion"]),
        (&json!(true), &json!(true))
    );
    let reason = &statement["result"]["extensions"]["https://w3id.org/xapi/cmi5/result/extensions/reason"];
    assert_eq!(reason, "Tested Out");
    assert_eq!(statement["object"]["id"], first.activity());
    assert_eq!(statement["context"]["contextActivities"]["category"][1]["id"], MOVE_ON);
    let session = &statement["context"]["extensions"][SESSION_ID];
    assert!(session.is_string() && *session != first.session());
    // A waived unit counts for its block.
    let second = launch(server, &admin, &launch_body(&two)).await;
    second.report(&["initialized", "completed"]).await;
    assert_eq!(satisfied_ids(&find(&admin, "satisfied").await), ["urn:block"]);
    let path = format!("/v1/launches/{}/waive", second.launch["id"].as_str().expect("an id"));
    admin.post(&path, &json!({})).await.expect(409);
    let missing = "/v1/launches/0190a000-0000-7000-8000-00000000000e/waive";
    admin.post(missing, &json!({})).await.expect(404);
    let elsewhere = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    elsewhere.post(&path, &json!({})).await.expect(404);
}

#[apply(both_databases)]
async fn unit_that_left_the_course_of_its_launch_is_not_waived(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let first = launch(server, &admin, &launch_body(&one)).await;
    let path = format!("/v1/launches/{}/waive", first.launch["id"].as_str().expect("an id"));
    server.database().execute("UPDATE cmi5_registrations SET course = course + 1000").await;
    admin.post(&path, &json!({})).await.expect(409);
    server.database().execute("UPDATE cmi5_registrations SET course = course - 1000").await;
    let smaller = course("https://p.example/course", &unit("urn:three", "", "https://p.example/3.html"));
    import(&admin, &smaller).await.expect(200);
    admin.post(&path, &json!({})).await.expect(409);
    assert!(find(&admin, "waived").await.is_empty());
}

#[apply(both_databases)]
async fn marking_a_unit_as_complete_waives_it(server: &TestServer) {
    let (admin, _, [one, two, _]) = prepare(server).await;
    launch(server, &admin, &launch_body(&one))
        .await
        .report(&["initialized", "completed", "passed", "terminated"])
        .await;
    let mark = json!({"content": two, "users": ["bo"]});
    let marked = admin.post("/v1/completions", &mark).await.expect(200).json();
    assert_eq!(marked["results"][0]["outcome"], "created");
    let waived = find(&admin, "waived").await;
    assert_eq!(waived.len(), 1);
    let satisfied = find(&admin, "satisfied").await;
    assert_eq!(satisfied_ids(&satisfied), ["urn:block"]);
    // A waiver has a session of its own, which the satisfied statements share.
    let session = |statement: &Value| statement["context"]["extensions"][SESSION_ID].clone();
    assert_eq!(session(&waived[0]), session(&satisfied[0]));
    admin.post("/v1/completions", &mark).await.expect(200);
    assert_eq!(find(&admin, "waived").await.len(), 1);
}
