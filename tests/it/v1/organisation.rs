//! Tests of `/v1/organisation`.

use serde_json::json;

use crate::support::builders::{statement, user};
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn every_role_reads_settings_and_only_some_change_them(server: &TestServer) {
    let admin = server.person("admin", "root");
    let defaults = json!({
        "name": "acme", "time_zone": "UTC", "account_home_page": "https://rollbook.invalid/acme",
        "managers_see_indirect_reports": true
    });
    assert_eq!(server.person("learner", "ada").get("/v1/organisation").await.expect(200).json(), defaults);
    let changed =
        admin.patch("/v1/organisation", &json!({"name": "Acme", "time_zone": "Asia/Kolkata"})).await;
    assert_eq!(changed.expect(200).json()["time_zone"], "Asia/Kolkata");
    let reset = admin.patch("/v1/organisation", &json!({"name": null, "time_zone": null})).await;
    assert_eq!(reset.expect(200).json(), defaults);
    for (body, pointer) in [
        (json!({"time_zone": "Mars"}), "/time_zone"),
        (json!({"name": ""}), "/name"),
        (json!({"account_home_page": "here"}), "/account_home_page"),
        (json!({"managers_see_indirect_reports": "no"}), "/managers_see_indirect_reports"),
        (json!({"colour": "red"}), "/colour"),
        (json!([]), ""),
    ] {
        let refused = admin.patch("/v1/organisation", &body).await.expect(400).json();
        assert_eq!(refused["pointer"], pointer, "{body}");
    }
    server.person("hr", "ada").patch("/v1/organisation", &json!({"name": "x"})).await.expect(403);
    let key = server.credential("acme", &["directory"]).await;
    key.get("/v1/organisation").await.expect(200);
    key.patch("/v1/organisation", &json!({"name": "x"})).await.expect(403);
    let other = server.person_of("other", json!({"sub": "root", "role": "owner"}));
    other.patch("/v1/organisation", &json!({"name": "Other"})).await.expect(200);
    assert_eq!(admin.get("/v1/organisation").await.expect(200).json(), defaults);
}

#[apply(both_databases)]
async fn home_page_cannot_change_after_an_account_matched_a_user(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    let page = json!({"account_home_page": "https://lms.example.org"});
    admin.patch("/v1/organisation", &page).await.expect(200);
    let account = json!({"account": {"homePage": "https://lms.example.org", "name": "ada"}});
    let ada = admin.get("/v1/users/ada").await.expect(200).json();
    assert!(ada["identifiers"].as_array().expect("identifiers").contains(&account), "{ada}");
    let sent = statement(account, "http://adlnet.gov/expapi/verbs/completed", "http://example.org/course");
    admin.post("/xapi/statements", &sent).await.expect(200);
    let own = server.person("learner", "ada").get("/v1/me/activities").await.expect(200).json();
    assert_eq!(own["activities"].as_array().map(Vec::len), Some(1));
    let refused =
        admin.patch("/v1/organisation", &json!({"account_home_page": null})).await.expect(409).json();
    assert_eq!(refused["pointer"], "/account_home_page");
    admin.patch("/v1/organisation", &page).await.expect(200);
}
