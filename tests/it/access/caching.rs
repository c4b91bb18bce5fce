//! What caches may keep: nothing about persons, and the files of the viewer for a day.

use reqwest::Method;

use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn answers_to_callers_are_not_stored_by_caches(server: &TestServer) {
    let admin = server.person("admin", "root");
    for path in [
        "/v1/activities",
        "/v1/activities/export.csv",
        "/v1/me",
        "/v1/users",
        "/v1/users/none",
        "/v1/facets?colour=red",
        "/v1/nothing",
        "/xapi/statements",
        "/xapi/activities/state?activityId=http://example.org/a&agent={\"mbox\":\"mailto:a@example.org\"}",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = admin.send(method, path, &[], Vec::new()).await;
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}: {}", answer.status);
        }
        let refused = server.anonymous().get(path).await.expect(401);
        assert_eq!(refused.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[apply(both_databases)]
async fn document_and_viewer_are_cached_for_a_day_and_have_an_etag(server: &TestServer) {
    let anonymous = server.anonymous();
    for path in ["/openapi.json", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"] {
        let first = anonymous.get(path).await.expect(200);
        assert_eq!(first.header("cache-control"), Some("public, max-age=86400"), "{path}");
        let etag = first.header("etag").expect("an ETag").to_owned();
        let again = anonymous.send(Method::GET, path, &[("if-none-match", &etag)], Vec::new()).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    // The page itself is asked for again, so that it belongs to the version of the server.
    assert_eq!(anonymous.get("/docs/").await.expect(200).header("cache-control"), Some("no-cache"));
}
