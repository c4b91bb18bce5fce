//! Which callers may send and read commits, and about which learners.

use super::*;
use crate::support::server::sign;
use crate::support::{apply, both_databases};

const BODY: &str = "cmi.core.lesson_status=completed&cmi.core.session_time=00:01:00";

#[apply(both_databases)]
async fn person_commits_only_for_themselves(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    admin.put("/v1/users/cy", &user("cy")).await.expect(201);
    commit(&bo, "?user=bo", &format!("{BODY}&cmi.suspend_data=secret")).await;
    for caller in [&admin, &server.person("owner", "o"), &server.person("learner", "cy")] {
        refused(send(caller, "?user=bo", "text/plain", BODY).await, "forbidden");
        refused(caller.get(&format!("{PATH}?user=bo")).await, "forbidden");
        // The same registration is another attempt for another learner.
        let registration = commit(&bo, "", BODY).await["registration"].as_str().map(str::to_owned);
        let path = format!("{PATH}?registration={}", registration.expect("a registration"));
        assert_eq!(caller.get(&path).await.expect(200).json(), json!({"cmi": {}}));
    }
    send(&server.anonymous(), "", "text/plain", BODY).await.expect(401);
    server.anonymous().get(PATH).await.expect(401);
}

#[apply(both_databases)]
async fn credential_names_a_learner_of_the_directory(server: &TestServer) {
    let (admin, _) = set_up(server).await;
    let lms = server.credential("acme", &["activities/write"]).await;
    commit(&lms, "?user=bo", BODY).await;
    assert_eq!(
        lms.get(&format!("{PATH}?user=bo")).await.expect(200).json()["cmi"]["core"]["student_id"],
        "bo"
    );
    let list = admin.list("/v1/users/bo/activities", "activities").await;
    assert!(list.len() == 2 && list.iter().all(|row| row["device_type"] == "api"), "{list:#?}");
    for query in ["", "?user=", "?user=nobody"] {
        refused(send(&lms, query, "text/plain", BODY).await, "bad-parameter");
        refused(lms.get(&format!("{PATH}{query}")).await, "bad-parameter");
    }
    for scopes in [&["activities/read"][..], &["all"], &["directory", "catalogue"]] {
        let other = server.credential("acme", scopes).await;
        refused(send(&other, "?user=bo", "text/plain", BODY).await, "forbidden");
        refused(other.get(&format!("{PATH}?user=bo")).await, "forbidden");
    }
}

#[apply(both_databases)]
async fn unknown_content_and_other_organisations_are_not_found(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    commit(&bo, "", BODY).await;
    for caller in [&bo, &admin] {
        refused(caller.get("/v1/scorm/other").await, "not-found");
        let body = BODY.as_bytes().to_vec();
        let sent =
            caller.send(Method::POST, "/v1/scorm/other", &[("content-type", "text/plain")], body).await;
        refused(sent, "not-found");
    }
    let elsewhere = server.person_of("umbrella", json!({"sub": "bo", "role": "owner"}));
    refused(elsewhere.get(PATH).await, "not-found");
    refused(send(&elsewhere, "", "text/plain", BODY).await, "not-found");
    elsewhere.put("/v1/contents/fire", &content("fire", "item")).await.expect(201);
    assert_eq!(elsewhere.get(PATH).await.expect(200).json(), json!({"cmi": {}}));
    let credential = server.credential("umbrella", &["activities/write"]).await;
    refused(send(&credential, "?user=bo", "text/plain", BODY).await, "bad-parameter");
}

#[apply(both_databases)]
async fn deactivated_learner_is_refused_and_an_unknown_one_is_not(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    admin.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    send(&bo, "", "text/plain", BODY).await.expect(403);
    bo.get(PATH).await.expect(403);
    // The directory gets the learner later.
    let eve = server.person("learner", "eve");
    commit(&eve, "", BODY).await;
    admin.put("/v1/users/eve", &user("eve")).await.expect(201);
    assert_eq!(admin.list("/v1/users/eve/activities", "activities").await.len(), 2);
    assert_eq!(eve.get(PATH).await.expect(200).json()["cmi"]["core"]["student_name"], "eve Example");
}

#[apply(both_databases)]
async fn learner_completes_only_packages_with_their_own_token(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    let lms = server.credential("acme", &["activities/write"]).await;
    for (id, kind, content_type) in [
        ("meeting", "event", None),
        ("diploma", "certification", None),
        ("path", "learning_plan", Some("scorm")),
        ("film", "item", Some("video")),
    ] {
        let mut form = content(id, kind);
        if let Some(content_type) = content_type {
            form = form.set("content_type", content_type);
        }
        admin.put(&format!("/v1/contents/{id}"), &form).await.expect(201);
        let path = format!("/v1/scorm/{id}");
        refused(post(&bo, &path).await, "forbidden");
        refused(post(&server.person("owner", "o"), &path).await, "forbidden");
        assert_eq!(bo.get(&path).await.expect(200).json(), json!({"cmi": {}}));
        // The platform has decided that it is a package.
        post(&lms, &format!("{path}?user=bo")).await.expect(200);
        post(&bo, &path).await.expect(200);
    }
    for (id, kind) in [("test", "quiz"), ("old", "item")] {
        admin.put(&format!("/v1/contents/{id}"), &content(id, kind)).await.expect(201);
    }
    post(&bo, "/v1/scorm/test").await.expect(200);
    admin.patch("/v1/contents/old", &json!({"archived_at": "2026-03-01T00:00:00Z"})).await.expect(200);
    refused(post(&bo, "/v1/scorm/old").await, "forbidden");
}

async fn post(caller: &Caller, path: &str) -> Answer {
    caller.send(Method::POST, path, &[("content-type", "text/plain")], BODY.as_bytes().to_vec()).await
}

#[apply(both_databases)]
async fn content_that_only_statements_have_named_needs_a_credential(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    let iri = "https://example.org/sco";
    let statement = json!({"actor": {"mbox": "mailto:a@example.org"}, "verb": {"id": "https://example.org/did"},
        "object": {"id": iri}});
    admin.post("/xapi/statements", &statement).await.expect(200);
    let path = format!("/v1/scorm/{}", iri.replace(':', "%3A").replace('/', "%2F"));
    refused(post(&bo, &path).await, "forbidden");
    let lms = server.credential("acme", &["activities/write"]).await;
    post(&lms, &format!("{path}?user=bo")).await.expect(200);
    assert_eq!(bo.get(&path).await.expect(200).json()["cmi"]["core"]["lesson_status"], "completed");
}

#[apply(both_databases)]
async fn launch_commits_for_its_user_content_and_registration(server: &TestServer) {
    let (admin, bo) = set_up(server).await;
    admin.put("/v1/contents/other", &content("other", "item")).await.expect(201);
    let launch = launch(&admin, "normal").await;
    let (id, token) = (launch["id"].as_str().expect("an id"), launch["token"].as_str().expect("a token"));
    let caller = server.anonymous().with_token(token);
    let answer = commit(&caller, "", BODY).await;
    assert_eq!(answer["registration"], launch["registration"]);
    // A beacon has the token in the address.
    let beacon = format!("?access_token={token}");
    let last = format!("{BODY}&cmi.core.exit=suspend&cmi.core.total_time=00:01:00");
    send(&server.anonymous(), &beacon, "text/plain", &last).await.expect(200);
    let resumed = server.anonymous().get(&format!("{PATH}{beacon}&version=1.2")).await.expect(200).json();
    assert_eq!(resumed["cmi"]["core"]["entry"], "resume");
    assert_eq!(rows(&admin).await, ["Started", "Completed 60"]);

    let again =
        json!({"user": "bo", "content": "fire", "standard": "scorm", "registration": launch["registration"]});
    let again = admin.post("/v1/launches", &again).await.expect(201).json();
    assert_eq!(again["scorm"]["data"], bo.get(PATH).await.json(), "the data to go on comes with the launch");
    assert_eq!(launch["scorm"]["data"], json!({"cmi": {}}));

    for query in ["?user=root", "?registration=0190a000-0000-4000-8000-000000000002"] {
        refused(send(&caller, query, "text/plain", BODY).await, "forbidden");
        refused(caller.get(&format!("{PATH}{query}")).await, "forbidden");
    }
    for path in
        ["/v1/scorm/other", "/v1/scorm/unknown", "/v1/activities", "/v1/contents/fire", "/xapi/statements"]
    {
        refused(caller.get(path).await, "forbidden");
        let by_query = server.anonymous().get(&format!("{path}?access_token={token}")).await;
        assert!([401, 403].contains(&by_query.status), "{path}");
    }
    // No other secret is taken from the address.
    let person =
        format!("?access_token={}", sign(&json!({"sub": "bo", "org": "acme", "exp": 4_000_000_000_u64})));
    send(&server.anonymous(), &person, "text/plain", BODY).await.expect(401);
    let last = if beacon.ends_with('A') { "B" } else { "A" };
    let wrong = format!("{}{last}", &beacon[..beacon.len() - 1]);
    send(&server.anonymous(), &wrong, "text/plain", BODY).await.expect(401);
    send(&bo, &wrong, "text/plain", BODY).await.expect(200);

    admin.delete(&format!("/v1/launches/{id}")).await.expect(204);
    send(&server.anonymous(), &beacon, "text/plain", BODY).await.expect(401);
    send(&caller, "", "text/plain", BODY).await.expect(401);
}

#[apply(both_databases)]
async fn launch_for_a_review_stores_nothing(server: &TestServer) {
    let (admin, _) = set_up(server).await;
    for mode in ["browse", "review"] {
        let launch = launch(&admin, mode).await;
        let caller = server.anonymous().with_token(launch["token"].as_str().expect("a token"));
        let answer = commit(&caller, "", &format!("{BODY}&cmi.core.lesson_mode=normal")).await;
        assert_eq!(answer["notices"][0]["value"], mode);
        let data = caller.get(&format!("{PATH}?version=1.2")).await.expect(200).json();
        assert_eq!(data["cmi"]["core"]["lesson_mode"], mode);
        assert_eq!(data["cmi"]["core"]["credit"], "no-credit");
    }
    assert_eq!(rows(&admin).await, [""; 0]);
}

/// Launches the package for `bo`.
async fn launch(admin: &Caller, mode: &str) -> Value {
    let body = json!({"user": "bo", "content": "fire", "standard": "scorm", "mode": mode});
    admin.post("/v1/launches", &body).await.expect(201).json()
}
