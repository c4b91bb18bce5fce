//! Tests of the addresses of the LRS: slashes in them, and the path of the public address.

use reqwest::Method;
use rollbook::http::AppOptions;
use serde_json::json;

use crate::support::builders::{mailbox, statement};
use crate::support::records::{PASSED, STATEMENTS, id};
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

/// The endpoint that is set in content ends with a slash or not, and clients add one or not.
#[apply(both_databases)]
async fn slashes_are_folded(server: &TestServer) {
    let admin = server.person("admin", "root");
    let sent = statement(mailbox("ada@example.org"), PASSED, "https://example.org/c");
    let paths = ["/xapi//statements", "/xapi/statements/", "/xapi///statements//", "/xapi/statements"];
    for (number, path) in (1..).zip(paths) {
        let path = format!("{path}?statementId={}", id(number));
        admin.put(&path, &sent).await.expect(204);
        admin.get(&path).await.expect(200);
    }
    let list = admin.get("/xapi//statements/?limit=1").await.expect(200).json();
    assert!(list["more"].as_str().is_some_and(|more| more.starts_with("/xapi/statements?")), "{list}");
    let state = "activityId=https%3A%2F%2Fexample.org%2F%2Fc%2F&stateId=a%2F%2Fb%2F&agent=%7B%22mbox%22%3A%22mailto%3Aada%40example.org%22%7D";
    let body = b"page 7".to_vec();
    let written = format!("/xapi/activities//state/?{state}");
    admin.send(Method::PUT, &written, &[], body).await.expect(204);
    // The values in the query keep their slashes.
    let read = admin.get(&format!("/xapi/activities/state?{state}")).await.expect(200);
    assert_eq!(read.text(), "page 7");
    for other in ["/xapi/", "/xapi/statement/s", "/v1/users/", "/v1//users", "/health//live"] {
        admin.get(other).await.expect(404);
    }
    // A folded address needs the same authorisation.
    server.anonymous().get("/xapi//statements/").await.expect(401);
}

fn check_addresses(database: Database) {
    let options = AppOptions {
        public_url: Some("https://learning.example.org/a/rollbook".to_owned()),
        ..AppOptions::default()
    };
    run_with(database, options, async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let here = |address: &str| match address.strip_prefix("/a/rollbook") {
            Some(path) => path.to_owned(),
            None => panic!("{address} has not the path of the public address"),
        };
        for number in 1..=3 {
            let sent = statement(mailbox("ada@example.org"), PASSED, "https://example.org/c");
            admin.put(&format!("{STATEMENTS}?statementId={}", id(number)), &sent).await.expect(204);
        }
        let list = admin.get(&format!("{STATEMENTS}?limit=2")).await.expect(200).json();
        let more = here(list["more"].as_str().expect("more"));
        assert_eq!(admin.get(&more).await.expect(200).json()["statements"].as_array().map(Vec::len), Some(1));

        for document in ["/openapi.json", "/openapi-3.0.json"] {
            let document = server.anonymous().get(document).await.expect(200).json();
            assert_eq!(document["servers"][0]["url"], "/a/rollbook");
        }

        let page = admin.get("/v1/activities?limit=2").await.expect(200);
        let next = page.json()["next"].as_str().expect("next").to_owned();
        assert_eq!(page.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
        admin.get(&here(&next)).await.expect(200);
        let changes = admin.get("/v1/activities/changes").await.expect(200).json();
        admin.get(&here(changes["next"].as_str().expect("next"))).await.expect(200);

        let created = admin
            .post("/v1/activities", &json!({"user": {"email": "bo@example.org"}, "action": "completed", "content": {"iri": "https://example.org/c"}}))
            .await
            .expect(201);
        let activity =
            admin.get(&here(created.header("location").expect("a location"))).await.expect(200).json();
        admin.get(&here(activity["statement"].as_str().expect("a statement"))).await.expect(200);

        let problem = admin.get("/v1/users/nobody").await.expect(404).json();
        assert_eq!(problem["type"], "/a/rollbook/docs/problems#not-found");
    });
}

#[test]
fn addresses_carry_the_path_of_the_public_address_on_sqlite() {
    check_addresses(Database::sqlite());
}

#[test]
fn addresses_carry_the_path_of_the_public_address_on_postgres() {
    check_addresses(Database::postgres());
}
