//! Sessions of packages, and what they leave in the log.

use super::*;
use crate::support::{apply, both_databases};

#[apply(both_databases)]
async fn learner_starts_resumes_and_passes(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    let answer = commit(&bo, "", &old("incomplete", "00:00:00", "")).await;
    assert_eq!((&answer["result"], &answer["errorCode"]), (&json!(true), &json!(0)));
    assert_eq!(answer["activities"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["notices"], json!([]));
    let registration = answer["registration"].as_str().expect("a registration").to_owned();
    server.clock.set(server.clock.now().next_millisecond());
    let data = "&cmi.suspend_data=a&b=c%20d+e&cmi.core.lesson_location=p3&cmi.core.exit=suspend";
    commit(&bo, "", &old("incomplete", "00:04:00", data)).await;
    let last = old("incomplete", "00:05:00", &format!("{data}&cmi.core.total_time=00:05:00"));
    server.clock.set(server.clock.now().next_millisecond());
    let ended = send(&bo, "", "text/plain;charset=UTF-8", &last).await.expect(200).json();
    assert_eq!(ended["registration"], registration);
    assert_eq!(rows(&admin).await, ["Started", "Suspended 300"]);

    let resumed = bo.get(PATH).await.expect(200);
    assert_eq!(resumed.header("rollbook-registration"), Some(registration.as_str()));
    assert_eq!(
        resumed.json(),
        json!({"cmi": {"suspend_data": "a&b=c%20d+e", "core": {
            "student_id": "bo", "student_name": "bo Ek", "lesson_location": "p3", "lesson_status": "incomplete",
            "entry": "resume", "lesson_mode": "normal", "credit": "credit", "total_time": "0000:05:00.00",
        }}})
    );
    let flattened = bo.get(&format!("{PATH}?format=flattened")).await.expect(200).json();
    assert_eq!(flattened["cmi.core.entry"], "resume");

    let score = "&cmi.core.entry=resume&cmi.core.score.raw=80&cmi.core.score.max=100";
    server.clock.set(server.clock.now().next_millisecond());
    commit(&bo, "", &old("incomplete", "00:01:00", score)).await;
    commit(&bo, "", &old("passed", "00:02:00", score)).await;
    server.clock.set(server.clock.now().next_millisecond());
    let last = old("passed", "00:03:00", &format!("{score}&cmi.core.total_time=00:08:00"));
    commit(&bo, "", &last).await;
    assert_eq!(rows(&admin).await, ["Started", "Suspended 300", "Completed 420", "Terminated 480"]);
    assert_eq!(total_seconds(&admin).await, 480, "the time of the attempt counts once");

    let progress = admin.get("/v1/contents/fire/progress?user=bo").await.expect(200).json();
    let person = &progress["progress"][0];
    assert_eq!((&person["state"], &person["score"]), (&json!("completed"), &json!(80)), "{progress}");
    let list = admin.list("/v1/activities?origin=scorm", "activities").await;
    assert_eq!(list.len(), 4);
    assert!(list.iter().all(|row| row["registration"] == registration && row["content"]["id"] == "fire"));
    assert!(list.iter().all(|row| row["user"]["id"] == "bo" && row["recorded_by"] == json!(null)));
}

#[apply(both_databases)]
async fn repeated_commits_change_nothing(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    let answer = "&cmi.interactions.0.id=q&cmi.interactions.0.result=correct";
    let commits = [
        old("incomplete", "00:01:00", ""),
        old("incomplete", "00:02:00", answer),
        old("completed", "00:03:00", answer),
        old("completed", "00:03:00", &format!("{answer}&cmi.core.exit=suspend&cmi.core.total_time=00:03:00")),
    ];
    for body in &commits {
        commit(&bo, "", body).await;
        let repeated = commit(&bo, "", body).await;
        assert_eq!(repeated["activities"], json!([]));
    }
    let (log, statements, resumed) =
        (rows(&admin).await, count_statements(&admin).await, bo.get(PATH).await.json());
    assert_eq!(statements, 3);
    for body in &commits {
        commit(&bo, "", body).await;
    }
    assert_eq!(rows(&admin).await, log);
    assert_eq!((count_statements(&admin).await, bo.get(PATH).await.json()), (statements, resumed));
    assert_eq!(total_seconds(&admin).await, 180);
}

#[apply(both_databases)]
async fn attempt_begins_with_a_new_registration(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    let second = "0190a000-0000-4000-8000-000000000002";
    commit(&bo, "", &old("failed", "00:01:00", "&cmi.suspend_data=one")).await;
    let unused = bo.get(&format!("{PATH}?registration={second}&version=1.2")).await.expect(200).json();
    assert_eq!(unused["cmi"]["core"]["entry"], "ab-initio");
    assert_eq!(bo.get(&format!("{PATH}?registration={second}")).await.expect(200).json(), json!({"cmi": {}}));
    let query = format!("?registration={second}");
    commit(&bo, &query, &old("passed", "00:02:00", "&cmi.suspend_data=two")).await;
    // The attempt that began last is the current one.
    assert_eq!(bo.get(PATH).await.json()["cmi"]["suspend_data"], "two");
    let answer = commit(&bo, "", &old("passed", "00:03:00", "&cmi.suspend_data=three")).await;
    assert_eq!(answer["registration"], second);
    assert_eq!(rows(&admin).await, ["Started", "Failed 60", "Started", "Completed 120"]);
    let attempts = admin.list("/v1/activities?action=started", "activities").await;
    assert_ne!(attempts[0]["registration"], attempts[1]["registration"]);
    refused(bo.get(&format!("{PATH}?registration=two")).await, "bad-parameter");
}

#[apply(both_databases)]
async fn answers_are_questions_of_the_content(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    let body = new(json!({"session_time": "PT1M", "interactions": {
        "1": {"id": "q2", "type": "numeric", "learner_response": "4", "result": "0.5"},
        "0": {"id": "q1", "type": "choice", "learner_response": "a[,]b", "result": "incorrect", "latency": "PT12.5S",
            "description": "{lang=en}Which two?", "correct_responses": {"0": {"pattern": "a[,]c"}}},
    }}));
    send(&bo, "", "application/json", &body).await.expect(200);
    let list = admin.list("/v1/activities?sort=happened_at&action=answered", "activities").await;
    assert_eq!(list.len(), 2);
    assert!(list.iter().all(|row| row["content"]["id"] == "fire" && row["origin"] == "scorm"), "{list:#?}");
    assert_eq!(
        (&list[0]["result"]["response"], &list[0]["result"]["success"]),
        (&json!("a[,]b"), &json!(false))
    );
    assert_eq!(list[0]["result"]["total_time"]["seconds"], 12);
    assert_eq!(list[1]["result"]["score"]["raw"], 0.5);
    let path = list[0]["statement"].as_str().map(str::to_owned);
    let id = list[0]["id"].as_str().expect("an id");
    let path = path.unwrap_or_else(|| format!("/xapi/statements?statementId={id}"));
    let statement = admin.get(&path).await.expect(200).json();
    let definition = &statement["object"]["definition"];
    assert_eq!(
        (&definition["interactionType"], &definition["correctResponsesPattern"]),
        (&json!("choice"), &json!(["a[,]c"]))
    );
    assert_eq!(definition["description"], json!({"en": "Which two?"}));
    // The answers come back with the data of the next session, the id and the type first.
    let resumed = bo.get(PATH).await.expect(200);
    let text = String::from_utf8(resumed.body.clone()).expect("UTF-8");
    assert!(text.contains(r#""0":{"id":"q1","type":"choice","#), "{text}");
    assert_eq!(resumed.json()["cmi"]["interactions"]["1"]["learner_response"], "4");
}

#[apply(both_databases)]
async fn odd_values_are_reported_and_kept(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    let long = "é".repeat(64_000);
    let odd = format!(
        "&cmi.core.score.raw=-5&cmi.core.score.min=0&cmi.core.lesson_location=x&cmi.own.value=1&cmi.suspend_data={long}"
    );
    let answer = commit(&bo, "", &old("Finished", "5 minutes", &odd)).await;
    let elements: Vec<&str> = answer["notices"]
        .as_array()
        .expect("notices")
        .iter()
        .filter_map(|one| one["element"].as_str())
        .collect();
    assert_eq!(
        elements,
        [
            "cmi.core.lesson_status",
            "cmi.core.score.raw",
            "cmi.core.session_time",
            "cmi.own.value",
            "cmi.suspend_data"
        ]
    );
    let stored = bo.get(&format!("{PATH}?format=commit")).await.expect(200).json();
    assert_eq!(stored["cmi"]["core"]["lesson_status"], "Finished");
    assert_eq!(stored["cmi"]["core"]["score"], json!({"raw": "-5", "min": "0"}));
    assert_eq!(stored["cmi"]["own"]["value"], "1");
    // The player would throw an error at the odd values.
    let resumed = bo.get(PATH).await.expect(200).json();
    assert_eq!(resumed["cmi"]["suspend_data"], long.as_str());
    assert_eq!(resumed["cmi"]["core"]["lesson_location"], "x");
    assert_eq!(resumed["cmi"]["core"]["lesson_status"], json!(null));
    let answer = commit(&bo, "", &old("failed", "00:05:00", &odd)).await;
    assert_eq!(answer["activities"].as_array().map(Vec::len), Some(1));
    let list = admin.list("/v1/activities?action=failed", "activities").await;
    assert_eq!(list[0]["result"]["score"]["raw"], -5);

    let package =
        new(json!({"session_time": "PT1M", "suspend_data": "x".repeat(64_000), "score": {"scaled": "0.5"}}));
    let answer =
        send(&bo, "?registration=0190a000-0000-4000-8000-000000000002", "application/json", &package).await;
    assert_eq!(answer.expect(200).json()["notices"], json!([]), "SCORM 2004 allows 64,000 characters");
}

#[apply(both_databases)]
async fn learner_that_only_looks_leaves_nothing(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    for mode in ["browse", "review"] {
        let answer =
            commit(&bo, "", &old("completed", "00:01:00", &format!("&cmi.core.lesson_mode={mode}"))).await;
        assert_eq!(answer["notices"][0]["element"], "cmi.core.lesson_mode");
    }
    assert_eq!(rows(&admin).await, [""; 0]);
    assert_eq!(bo.get(PATH).await.expect(200).json(), json!({"cmi": {}}));
}

#[apply(both_databases)]
async fn attempt_does_not_grow_without_limit(server: &TestServer) {
    let (_, bo) = set_up(server).await;
    let part = |number: u32| {
        let elements: Vec<String> =
            (0..9_000).map(|element| format!("cmi.own.e{number}_{element}=1")).collect();
        format!("cmi.core.exit=&{}", elements.join("&"))
    };
    for number in [1, 2, 2] {
        commit(&bo, "", &part(number)).await;
    }
    refused(send(&bo, "", "text/plain", &part(3)).await, "body-too-large");
    let large = |number: u32| format!("cmi.core.exit=&cmi.own.value{number}={}", "x".repeat(1_000_000));
    let registration = "?registration=0190a000-0000-4000-8000-000000000002";
    for number in [1, 2, 3] {
        commit(&bo, registration, &large(number)).await;
    }
    refused(send(&bo, registration, "text/plain", &large(4)).await, "body-too-large");
    // What was stored before is still there.
    let stored = bo.get(&format!("{PATH}{registration}&format=commit")).await.expect(200).json();
    assert_eq!(stored["cmi"]["own"].as_object().map(serde_json::Map::len), Some(3));
}

#[apply(both_databases)]
async fn bodies_that_are_no_commits_are_refused(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    for (body, code) in [
        ("", "invalid-body"),
        ("{}", "invalid-body"),
        ("{\"cmi\":", "invalid-body"),
        (r#"{"cmi":{"location":"a","location":"b"}}"#, "invalid-body"),
    ] {
        refused(send(&bo, "", "application/json", body).await, code);
    }
    let large = format!("cmi.core.exit=&cmi.suspend_data={}", "x".repeat(1024 * 1024));
    refused(send(&bo, "", "text/plain", &large).await, "body-too-large");
    let deep = format!("cmi.core.exit=&adl{}=1", ".a".repeat(300_000));
    refused(send(&bo, "", "text/plain", &deep).await, "invalid-body");
    refused(send(&bo, "", "application/xml", "<cmi/>").await, "unsupported-media-type");
    for query in ["?session=", "?final=yes", "?unknown=1", "?registration=x"] {
        refused(send(&bo, query, "text/plain", "cmi.location=x").await, "bad-parameter");
    }
    for query in ["?version=3", "?format=xml", "?session=s"] {
        refused(bo.get(&format!("{PATH}{query}")).await, "bad-parameter");
    }
    assert_eq!(rows(&admin).await, [""; 0]);
}
