//! The rights to import, and to read an import.

use super::*;

#[apply(both_databases)]
async fn only_administrators_and_writing_credentials_import(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let writer = server.credential("acme", &["activities/write"]).await;
    for caller in [&server.person("owner", "o"), &admin, &writer] {
        send(caller, "", "text/csv", ROWS).await.expect(202);
    }
    let mut others = vec![server.credential("acme", &["activities/read", "statements/write", "all"]).await];
    for role in ["hr", "reporter", "curator", "manager", "learner", "learning_designer"] {
        others.push(server.person(role, "bo"));
    }
    for caller in &others {
        send(caller, "", "text/csv", ROWS).await.expect(403);
        for path in ["/v1/imports", "/v1/imports/template.csv"] {
            caller.get(path).await.expect(403);
        }
    }
    server.anonymous().get("/v1/imports").await.expect(401);
    admin.patch("/v1/users/bo", &json!({"role": "admin", "active": false})).await.expect(200);
    send(&server.person("admin", "bo"), "", "text/csv", ROWS).await.expect(403);
}

#[apply(both_databases)]
async fn import_is_seen_by_its_sender_and_administrators_only(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let writer = server.credential("acme", &["activities/write"]).await;
    let other = server.credential("acme", &["activities/write"]).await;
    let stranger = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    let text = format!("{ROWS}nobody,started,fire,2026-01-01T00:00:00Z,,\n");
    let own = import(&writer, "", "text/csv", text.clone()).await;
    let path = format!("/v1/imports/{}", own["id"].as_str().expect("an id"));
    for caller in [&writer, &admin] {
        assert_eq!(caller.get(&path).await.expect(200).json(), own);
        caller.get(&format!("{path}/errors.csv")).await.expect(200);
        assert_eq!(caller.list("/v1/imports", "imports").await, std::slice::from_ref(&own));
    }
    for caller in [&other, &stranger] {
        for wrong in [path.clone(), format!("{path}/errors.csv")] {
            caller.get(&wrong).await.expect(404);
        }
        caller.delete(&path).await.expect(404);
        assert_eq!(caller.list("/v1/imports", "imports").await, Vec::<Value>::new());
    }
    admin.get("/v1/imports/x").await.expect(404);
    admin.get("/v1/imports/0190a000-0000-7000-8000-000000000001").await.expect(404);
    // The same file of another sender is another import, and of another organisation has no rows in this one.
    assert_ne!(send(&other, "", "text/csv", text.clone()).await.expect(202).json()["id"], own["id"]);
    let elsewhere = import(&stranger, "", "text/csv", text).await;
    assert_eq!(counts(&elsewhere), [3, 0, 0, 3]);
    let id = own["id"].as_str().expect("an id");
    assert_eq!(
        stranger.list(&format!("/v1/activities?import={id}"), "activities").await,
        Vec::<Value>::new()
    );
}

#[apply(both_databases)]
async fn rows_have_the_rights_of_their_sender(server: &TestServer) {
    let admin = admin_of_some(server).await;
    let writer = server.credential("acme", &["activities/write"]).await;
    let statement = r#"{"actor":{"mbox":"mailto:bo@example.org"},"verb":{"id":"urn:v"},"object":{"id":"urn:c"},"timestamp":"2026-01-01T00:00:00Z"}"#;
    let commented = r#"{"user":"bo","action":"started","content":"fire","happened_at":"2026-01-01T00:00:00Z","comment":"moved","recorded_by":"cy"}"#;
    let body = format!("{statement}\n{commented}\n");
    let done = import(&writer, "", "application/x-ndjson", body.clone()).await;
    assert_eq!(counts(&done), [2, 1, 0, 1]);
    let (_, rows) = errors(&writer, &done).await;
    assert!(rows[0][2].contains("statements/write"), "{rows:?}");
    // A person is the recorder of the rows.
    let done = import(&admin, "", "application/x-ndjson", body.clone()).await;
    assert_eq!(counts(&done), [2, 1, 0, 1]);
    let (_, rows) = errors(&admin, &done).await;
    assert_eq!((rows[0][0].as_str(), rows[0][1].as_str()), ("2", "/recorded_by"));
    let both = server.credential("acme", &["activities/write", "statements/write"]).await;
    assert_eq!(counts(&import(&both, "", "application/x-ndjson", body).await), [2, 0, 2, 0]);
    let seen = admin.list("/v1/activities", "activities").await;
    let recorders: Vec<&Value> = seen.iter().map(|row| &row["recorded_by"]["id"]).collect();
    assert_eq!(recorders, [&json!("root"), &json!("cy")]);
}
