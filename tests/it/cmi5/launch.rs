//! Launches of units: the address, the token, the launch data and the statement *launched*.

use reqwest::Method;
use serde_json::{Value, json};

use super::unit::{CMI5, MASTERY_SCORE, SESSION_ID, find, launch, launch_body, path_of, prepare};
use crate::support::builders::content;
use crate::support::records::advance_clock;
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn unit_is_launched_with_the_parameters_of_cmi5(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let launched = admin.post("/v1/launches", &launch_body(&one)).await.expect(201).json();
    let address = launched["url"].as_str().expect("an address");
    let (page, query) = address.split_once('?').expect("a query");
    assert_eq!(page, "https://p.example/1.html");
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    // The unit's own parameters stay.
    assert_eq!(names, ["lang", "endpoint", "fetch", "actor", "registration", "activityId"]);
    let value = |name: &str| &pairs.iter().find(|(own, _)| own == name).expect("a parameter").1;
    assert_eq!(*value("endpoint"), format!("{}/xapi/", server.base));
    let actor: Value = serde_json::from_str(value("actor")).expect("JSON");
    let account = json!({"homePage": "https://rollbook.invalid/acme", "name": "bo"});
    assert_eq!(actor, json!({"objectType": "Agent", "account": account}));
    assert_eq!(*value("registration"), launched["registration"]);
    assert_eq!(*value("activityId"), format!("https://rollbook.invalid/acme/contents/{one}"));
    assert_eq!(launched["token"], Value::Null);
    // The next launch of any unit of the course continues the registration.
    let again = admin.post("/v1/launches", &launch_body(&one)).await.expect(201).json();
    assert_eq!(again["registration"], launched["registration"]);
    assert_eq!(again["activity_id"], launched["activity_id"]);
    assert_ne!(again["cmi5"]["session"], launched["cmi5"]["session"]);
}

#[apply(both_databases)]
async fn only_units_of_courses_are_launched(server: &TestServer) {
    let (admin, course, [one, ..]) = prepare(server).await;
    admin
        .put("/v1/contents/video", &content("video", "item").set("url", "https://p.example/v"))
        .await
        .expect(201);
    for other in ["video", course.as_str(), "missing"] {
        let refused = admin.post("/v1/launches", &launch_body(other)).await.expect(400);
        assert_eq!(refused.error_pointers(), ["/content"]);
    }
    let launched = admin.post("/v1/launches", &launch_body(&one)).await.expect(201).json();
    admin.put("/v1/users/cy", &crate::support::builders::user("cy")).await.expect(201);
    let mut foreign = launch_body(&one);
    foreign["user"] = json!("cy");
    foreign["registration"] = launched["registration"].clone();
    let refused = admin.post("/v1/launches", &foreign).await.expect(400);
    assert_eq!(refused.error_pointers(), ["/registration"]);
    assert_eq!(find(&admin, "launched").await.len(), 1);
    server.person("learner", "bo").post("/v1/launches", &launch_body(&one)).await.expect(403);
    server
        .credential(ORG, &["activities/write"])
        .await
        .post("/v1/launches", &launch_body(&one))
        .await
        .expect(201);
}

#[apply(both_databases)]
async fn token_is_fetched_once(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let launched = admin.post("/v1/launches", &launch_body(&one)).await.expect(201).json();
    let fetch = path_of(server, launched["cmi5"]["fetch"].as_str().expect("an address"));
    let post = async || server.anonymous().send(Method::POST, &fetch, &[], Vec::new()).await;
    // Browsers and their extensions follow addresses. Reading one must not use it up.
    server.anonymous().get(&fetch).await.expect(405);
    let answers = futures_util::future::join_all((0..4).map(|_| post())).await;
    let answers: Vec<Value> = answers.into_iter().map(|answer| answer.expect(200).json()).collect();
    let tokens: Vec<&Value> = answers.iter().filter(|answer| answer["auth-token"].is_string()).collect();
    assert_eq!(tokens.len(), 1, "{answers:?}");
    let later = post().await.expect(200);
    assert_eq!(later.header("content-type"), Some("application/json"));
    assert_eq!(later.header("cache-control"), Some("no-store"));
    assert_eq!(later.json()["error-code"], "1");
    let unknown = server.anonymous().send(Method::POST, "/cmi5/fetch/rbf_x", &[], Vec::new()).await;
    assert_eq!(unknown.expect(200).json()["error-code"], "2");
    // The secret of the address is no token.
    let secret = fetch.rsplit('/').next().expect("a secret");
    server.anonymous().with_token(secret).get("/xapi/statements").await.expect(401);
    // The time of an address ends with the launch.
    let mut short = launch_body(&one);
    short["expires_in"] = json!(60);
    let launched = admin.post("/v1/launches", &short).await.expect(201).json();
    advance_clock(server, 61);
    let fetch = path_of(server, launched["cmi5"]["fetch"].as_str().expect("an address"));
    let expired = server.anonymous().send(Method::POST, &fetch, &[], Vec::new()).await.expect(200).json();
    assert_eq!(expired["error-code"], "1");
}

#[apply(both_databases)]
async fn launch_data_is_written_before_the_unit_starts(server: &TestServer) {
    let (admin, _, [one, two, _]) = prepare(server).await;
    let mut body = launch_body(&one);
    body["return_url"] = json!("https://lms.example/back");
    let unit = launch(server, &admin, &body).await;
    let data = unit.read_launch_data().await;
    let expected = json!({
        "contextTemplate": {
            "contextActivities": {"grouping": [
                {"objectType": "Activity", "id": "urn:one"},
                {"objectType": "Activity", "id": unit.activity()}
            ]},
            "extensions": {SESSION_ID: unit.session()},
        },
        "launchMode": "Normal", "moveOn": "CompletedAndPassed", "masteryScore": 0.8,
        "returnURL": "https://lms.example/back",
    });
    assert_eq!(data, expected);
    let mut browse = launch_body(&two);
    browse["mode"] = json!("browse");
    let second = launch(server, &admin, &browse).await;
    let data = second.read_launch_data().await;
    assert_eq!((&data["launchMode"], &data["moveOn"]), (&json!("Browse"), &json!("Completed")));
    assert_eq!(data.get("masteryScore"), None);
}

#[apply(both_databases)]
async fn launched_statement_has_the_terms_of_the_launch(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let launched = admin.post("/v1/launches", &launch_body(&one)).await.expect(201).json();
    let statements = find(&admin, "launched").await;
    assert_eq!(statements.len(), 1);
    let statement = &statements[0];
    assert_eq!(statement["object"]["id"], launched["activity_id"]);
    assert_eq!(statement["actor"]["account"]["name"], "bo");
    let context = &statement["context"];
    assert_eq!(context["registration"], launched["registration"]);
    assert_eq!(context["contextActivities"]["grouping"][0]["id"], "urn:one");
    assert_eq!(context["contextActivities"]["category"][0]["id"], CMI5);
    let extension =
        |name: &str| &context["extensions"][format!("https://w3id.org/xapi/cmi5/context/extensions/{name}")];
    assert_eq!(*extension("sessionid"), launched["cmi5"]["session"]);
    assert_eq!(context["extensions"][MASTERY_SCORE], json!(0.8));
    assert_eq!(*extension("launchmode"), "Normal");
    assert_eq!(*extension("moveon"), "CompletedAndPassed");
    assert_eq!(*extension("launchurl"), "https://p.example/1.html?lang=en");
}

#[apply(both_databases)]
async fn learner_preferences_are_read_and_written(server: &TestServer) {
    let (admin, _, [one, ..]) = prepare(server).await;
    let unit = launch(server, &admin, &launch_body(&one)).await;
    let path = unit.preferences_path();
    unit.caller.get(&path).await.expect(404);
    let headers = [("content-type", "application/json"), ("if-none-match", "*")];
    let own = json!({"languagePreference": "de,en", "audioPreference": "off"});
    unit.caller.send(Method::PUT, &path, &headers, own.to_string().into_bytes()).await.expect(204);
    assert_eq!(unit.caller.get(&path).await.expect(200).json(), own);
    // The language of a launch does not replace them.
    let mut body = launch_body(&one);
    body["language"] = json!("fr");
    let second = launch(server, &admin, &body).await;
    assert_eq!(second.caller.get(&path).await.expect(200).json(), own);
    let other = path.replace("cmi5LearnerPreferences", "other");
    second.caller.send(Method::PUT, &other, &headers, b"{}".to_vec()).await.expect(403);
    // A learner without preferences gets those of the launch.
    admin.put("/v1/users/cy", &crate::support::builders::user("cy")).await.expect(201);
    body["user"] = json!("cy");
    let third = launch(server, &admin, &body).await;
    let preferences = third.caller.get(&third.preferences_path()).await.expect(200).json();
    assert_eq!(preferences, json!({"languagePreference": "fr", "audioPreference": "on"}));
}
