//! Tests of `/xapi/about`, which is public and accepts every version.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestServer, apply, both_databases};

const PATH: &str = "/xapi/about";

#[apply(both_databases)]
async fn about_lists_the_versions_for_every_caller(server: &TestServer) {
    let about = json!({"version": ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "2.0.0"], "extensions": {}});
    let anonymous = server.anonymous();
    // Wrong credentials do not matter.
    for caller in [
        &anonymous,
        &anonymous.with_basic("wrong", "wrong"),
        &anonymous.with_token("wrong"),
        &server.person("learner", "ada"),
    ] {
        let answer = caller.get(PATH).await.expect(200);
        assert_eq!(answer.json(), about);
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    // Every version is accepted, and the answer names a supported version.
    for (version, expected_version) in [
        ("1.0", "1.0.3"),
        ("1.0.3", "1.0.3"),
        ("2.0.0", "2.0.0"),
        ("", "2.0.0"),
        ("0.9", "2.0.0"),
        ("x", "2.0.0"),
    ] {
        let headers = [("x-experience-api-version", version)];
        let get = anonymous.send(Method::GET, PATH, &headers, Vec::new()).await.expect(200);
        assert_eq!(
            (get.header("x-experience-api-version"), get.json()),
            (Some(expected_version), about.clone()),
            "{version}"
        );
        let head = anonymous.send(Method::HEAD, PATH, &headers, Vec::new()).await.expect(200);
        assert_eq!(
            (head.header("x-experience-api-version"), head.body.len()),
            (Some(expected_version), 0),
            "{version}"
        );
    }
}

#[apply(both_databases)]
async fn about_has_no_parameters_and_no_sub_paths(server: &TestServer) {
    let anonymous = server.anonymous();
    let refused = anonymous.get(&format!("{PATH}?version=1.0.3")).await.expect(400).json();
    assert_eq!(refused["errors"][0]["parameter"], Value::from("version"));
    for path in ["/xapi/about/x", "/xapi/abouts"] {
        anonymous.get(path).await.expect(401);
    }
}
