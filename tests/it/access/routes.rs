//! The rights for each operation, and a test of every operation with every kind of caller.
//!
//! The table follows the specification, not the code. An operation without an entry fails the test.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::http::Caller;
use crate::support::{apply, both_databases};

const ADMINISTRATORS: &[&str] = &["owner", "admin"];
const ALL_ROLES: &[&str] =
    &["owner", "admin", "hr", "reporter", "learning_designer", "curator", "manager", "learner"];

/// The roles that read and write notes.
const NOTE_KEEPERS: &[&str] = &["owner", "admin", "hr", "manager"];
/// The roles with reporting access. A curator needs a permission.
const REPORTERS: &[&str] =
    &["owner", "admin", "hr", "reporter", "learning_designer", "curator+reporting", "manager"];
/// The roles that see the organisation and follow its changes. A curator needs a permission.
const FOLLOWERS: &[&str] = &["owner", "admin", "hr", "reporter", "learning_designer", "curator+reporting"];
/// The roles that mark content as complete. A manager needs a permission.
const MARKERS: &[&str] = &["owner", "admin", "manager+mark_complete"];

const SCOPES: &[&str] = &[
    "statements/write",
    "statements/read/mine",
    "statements/read",
    "state",
    "define",
    "profile",
    "all/read",
    "all",
    "activities/write",
    "activities/read",
    "directory",
    "catalogue",
];

/// The scopes that give access to `/v1` and to the settings of the organisation.
const V1_SCOPES: &[&str] = &["activities/write", "activities/read", "directory", "catalogue"];
const READS_STATEMENTS: &[&str] = &["statements/read/mine", "statements/read", "all/read", "all"];
const READS_AGENTS: &[&str] = &["statements/read/mine", "statements/read", "all/read", "all", "profile"];
const READS_ACTIVITY_OBJECTS: &[&str] =
    &["statements/read/mine", "statements/read", "all/read", "all", "profile", "define"];
const WRITES_STATEMENTS: &[&str] = &["statements/write", "all"];
const READS_STATE: &[&str] = &["state", "all/read", "all"];
const WRITES_STATE: &[&str] = &["state", "all"];
const READS_PROFILES: &[&str] = &["profile", "all/read", "all"];
const WRITES_PROFILES: &[&str] = &["profile", "all"];

/// The roles and the single scopes that may use an operation. `None` means everyone, without credentials.
type Rights = Option<(&'static [&'static str], &'static [&'static str])>;

fn roles_and_scopes(roles: &'static [&'static str], scopes: &'static [&'static str]) -> Rights {
    Some((roles, scopes))
}

fn permissions() -> Vec<(&'static str, &'static str, Rights)> {
    let reads_log = roles_and_scopes(ALL_ROLES, &["activities/read"]);
    let writes_log = roles_and_scopes(ADMINISTRATORS, &["activities/write"]);
    let only_people = roles_and_scopes(ALL_ROLES, &[]);
    let notes = roles_and_scopes(NOTE_KEEPERS, &[]);
    let only_administrators = roles_and_scopes(ADMINISTRATORS, &[]);
    let reads_reports = roles_and_scopes(REPORTERS, &["activities/read"]);
    let writes_reports = roles_and_scopes(REPORTERS, &[]);
    let reads_directory = roles_and_scopes(ALL_ROLES, &["directory"]);
    let writes_directory = roles_and_scopes(ADMINISTRATORS, &["directory"]);
    let reads_catalogue = roles_and_scopes(ALL_ROLES, &["catalogue"]);
    let writes_catalogue = roles_and_scopes(ADMINISTRATORS, &["catalogue"]);
    let reads_state = roles_and_scopes(ALL_ROLES, READS_STATE);
    let writes_state = roles_and_scopes(ADMINISTRATORS, WRITES_STATE);
    let reads_profiles = roles_and_scopes(ALL_ROLES, READS_PROFILES);
    let writes_profiles = roles_and_scopes(ADMINISTRATORS, WRITES_PROFILES);
    vec![
        ("get", "/v1/activities", reads_log),
        ("post", "/v1/activities", writes_log),
        ("post", "/v1/activities/batch", writes_log),
        ("get", "/v1/activities/changes", roles_and_scopes(FOLLOWERS, &["activities/read"])),
        ("get", "/v1/directory/changes", roles_and_scopes(FOLLOWERS, &["directory", "catalogue"])),
        ("get", "/v1/activities/export.csv", reads_log),
        ("get", "/v1/activities/export.parquet", reads_log),
        ("get", "/v1/activities/stream", reads_log),
        ("get", "/v1/activities/export.ndjson", reads_log),
        ("get", "/v1/activities/{id}", reads_log),
        ("delete", "/v1/activities/{id}", only_administrators),
        ("get", "/v1/activities/summary", reads_log),
        ("get", "/v1/facets", reads_log),
        ("get", "/v1/me", roles_and_scopes(ALL_ROLES, SCOPES)),
        ("get", "/v1/me/activities", only_people),
        ("get", "/v1/users/{id}/activities", reads_log),
        ("get", "/v1/users/{id}/timeline", reads_log),
        ("get", "/v1/users/{id}/notes", notes),
        ("post", "/v1/users/{id}/notes", notes),
        ("get", "/v1/notes/{id}", notes),
        ("patch", "/v1/notes/{id}", notes),
        ("get", "/v1/notes/{id}/history", notes),
        ("post", "/v1/completions", roles_and_scopes(MARKERS, &[])),
        ("get", "/v1/contents/{id}/progress", reads_log),
        ("get", "/v1/contents/{id}/progress.csv", reads_log),
        ("get", "/v1/reports", reads_reports),
        ("post", "/v1/reports", writes_reports),
        ("get", "/v1/reports/{id}", reads_reports),
        ("put", "/v1/reports/{id}", writes_reports),
        ("patch", "/v1/reports/{id}", writes_reports),
        ("delete", "/v1/reports/{id}", writes_reports),
        ("get", "/v1/reports/{id}/activities", reads_reports),
        ("get", "/v1/reports/{id}/export.csv", reads_reports),
        ("get", "/v1/reports/{id}/export.parquet", reads_reports),
        ("get", "/v1/reports/{id}/export.ndjson", reads_reports),
        ("get", "/v1/reports/{id}/keys", writes_reports),
        ("post", "/v1/reports/{id}/keys", writes_reports),
        ("delete", "/v1/reports/{id}/keys/{key}", writes_reports),
        ("get", "/v1/reports/{id}/schedules", writes_reports),
        ("post", "/v1/reports/{id}/schedules", writes_reports),
        ("get", "/v1/reports/{id}/deliveries", writes_reports),
        ("get", "/v1/schedules", writes_reports),
        ("get", "/v1/schedules/{id}", writes_reports),
        ("put", "/v1/schedules/{id}", writes_reports),
        ("patch", "/v1/schedules/{id}", writes_reports),
        ("delete", "/v1/schedules/{id}", writes_reports),
        ("post", "/v1/schedules/{id}/run", writes_reports),
        ("get", "/v1/scorm/{content}", roles_and_scopes(ALL_ROLES, &["activities/write"])),
        ("post", "/v1/scorm/{content}", roles_and_scopes(ALL_ROLES, &["activities/write"])),
        ("get", "/v1/actions", roles_and_scopes(ALL_ROLES, SCOPES)),
        ("get", "/v1/users", reads_directory),
        ("post", "/v1/users/batch", writes_directory),
        ("get", "/v1/users/{id}", reads_directory),
        ("put", "/v1/users/{id}", writes_directory),
        ("patch", "/v1/users/{id}", writes_directory),
        ("post", "/v1/users/{id}/identifiers", only_administrators),
        ("get", "/v1/teams", reads_directory),
        ("post", "/v1/teams/batch", writes_directory),
        ("get", "/v1/teams/{id}", reads_directory),
        ("put", "/v1/teams/{id}", writes_directory),
        ("patch", "/v1/teams/{id}", writes_directory),
        ("get", "/v1/groups", reads_directory),
        ("post", "/v1/groups/batch", writes_directory),
        ("get", "/v1/groups/{id}", reads_directory),
        ("put", "/v1/groups/{id}", writes_directory),
        ("patch", "/v1/groups/{id}", writes_directory),
        ("get", "/v1/contents", reads_catalogue),
        ("post", "/v1/contents/batch", writes_catalogue),
        ("get", "/v1/contents/{id}", reads_catalogue),
        ("put", "/v1/contents/{id}", writes_catalogue),
        ("patch", "/v1/contents/{id}", writes_catalogue),
        ("get", "/v1/credentials", only_administrators),
        ("post", "/v1/credentials", only_administrators),
        ("get", "/v1/credentials/{id}", only_administrators),
        ("delete", "/v1/credentials/{id}", only_administrators),
        ("get", "/v1/imports", writes_log),
        ("post", "/v1/imports", writes_log),
        ("get", "/v1/imports/template.csv", writes_log),
        ("get", "/v1/imports/{id}", writes_log),
        ("delete", "/v1/imports/{id}", writes_log),
        ("get", "/v1/imports/{id}/errors.csv", writes_log),
        ("get", "/v1/launches", writes_log),
        ("post", "/v1/launches", writes_log),
        ("get", "/v1/launches/{id}", writes_log),
        ("delete", "/v1/launches/{id}", writes_log),
        ("post", "/v1/launches/{id}/waive", writes_log),
        ("get", "/v1/courses", reads_catalogue),
        ("post", "/v1/courses", writes_catalogue),
        ("get", "/v1/courses/{id}", reads_catalogue),
        ("post", "/cmi5/fetch/{secret}", None),
        ("get", "/v1/subscriptions", only_administrators),
        ("post", "/v1/subscriptions", only_administrators),
        ("get", "/v1/subscriptions/{id}", only_administrators),
        ("put", "/v1/subscriptions/{id}", only_administrators),
        ("patch", "/v1/subscriptions/{id}", only_administrators),
        ("delete", "/v1/subscriptions/{id}", only_administrators),
        ("post", "/v1/subscriptions/{id}/pause", only_administrators),
        ("post", "/v1/subscriptions/{id}/resume", only_administrators),
        ("post", "/v1/subscriptions/{id}/replay", only_administrators),
        ("post", "/v1/subscriptions/{id}/rotate", only_administrators),
        ("post", "/v1/subscriptions/{id}/test", only_administrators),
        ("get", "/v1/subscriptions/{id}/deliveries", only_administrators),
        ("get", "/v1/subscriptions/{id}/deliveries/{delivery}", only_administrators),
        ("post", "/v1/subscriptions/{id}/deliveries/{delivery}/retry", only_administrators),
        ("get", "/v1/organisation", roles_and_scopes(ALL_ROLES, V1_SCOPES)),
        ("patch", "/v1/organisation", only_administrators),
        ("get", "/xapi/about", None),
        ("get", "/xapi/activities", roles_and_scopes(ALL_ROLES, READS_ACTIVITY_OBJECTS)),
        ("get", "/xapi/agents", roles_and_scopes(ALL_ROLES, READS_AGENTS)),
        ("get", "/xapi/statements", roles_and_scopes(ALL_ROLES, READS_STATEMENTS)),
        ("post", "/xapi/statements", roles_and_scopes(ADMINISTRATORS, WRITES_STATEMENTS)),
        ("put", "/xapi/statements", roles_and_scopes(ADMINISTRATORS, WRITES_STATEMENTS)),
        ("get", "/xapi/activities/state", reads_state),
        ("put", "/xapi/activities/state", writes_state),
        ("post", "/xapi/activities/state", writes_state),
        ("delete", "/xapi/activities/state", writes_state),
        ("get", "/xapi/activities/profile", reads_profiles),
        ("put", "/xapi/activities/profile", writes_profiles),
        ("post", "/xapi/activities/profile", writes_profiles),
        ("delete", "/xapi/activities/profile", writes_profiles),
        ("get", "/xapi/agents/profile", reads_profiles),
        ("put", "/xapi/agents/profile", writes_profiles),
        ("post", "/xapi/agents/profile", writes_profiles),
        ("delete", "/xapi/agents/profile", writes_profiles),
        ("get", "/v1/quizzes/{content}/responses", reads_log),
        ("get", "/v1/quizzes/{content}/responses.csv", reads_log),
        ("get", "/v1/quizzes/{content}/questions", reads_log),
        ("get", "/v1/exercises/{content}/attempts", reads_log),
        ("get", "/v1/exercises/{content}/attempts.csv", reads_log),
        ("post", "/v1/downloads", roles_and_scopes(ALL_ROLES, SCOPES)),
        ("get", "/downloads/once/{token}", None),
        ("get", "/downloads/{token}", None),
        ("get", "/files/{token}", None),
        ("get", "/openapi.json", None),
        ("get", "/openapi-3.0.json", None),
        ("get", "/health/live", None),
        ("get", "/health/ready", None),
        ("get", "/metrics", None),
    ]
}

/// The path with ids that do not exist.
fn path_with_ids(path: &str) -> String {
    let uuid = [
        "/v1/activities",
        "/v1/credentials",
        "/v1/imports",
        "/v1/launches",
        "/v1/notes",
        "/v1/reports",
        "/v1/schedules",
        "/v1/subscriptions",
    ]
    .iter()
    .any(|resource| path.starts_with(resource));
    path.replace("{content}", "unknown")
        .replace("{secret}", "unknown")
        .replace("{delivery}", "00000000-0000-4000-8000-00000000000b")
        .replace("{id}", if uuid { "00000000-0000-4000-8000-00000000000a" } else { "ada" })
}

async fn send_request(caller: &Caller, method: &str, path: &str) -> u16 {
    let method: Method = method.to_uppercase().parse().expect("a method");
    let reads = method == Method::GET || method == Method::DELETE;
    let (headers, body): (&[_], Vec<u8>) = match reads {
        true => (&[], Vec::new()),
        false => (&[("content-type", "application/json")], b"{\"colour\":\"red\"}".to_vec()),
    };
    let answer = caller.send(method.clone(), &path_with_ids(path), headers, body).await;
    if answer.status >= 400 {
        let problem = answer.json();
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        assert_eq!(problem["status"], answer.status, "{method} {path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{method} {path}");
        assert_eq!(answer.header("x-request-id"), problem["request_id"].as_str(), "{method} {path}");
    }
    answer.status
}

/// Every kind of caller with a name for [`permissions`].
async fn all_callers(server: &TestServer) -> Vec<(String, Caller)> {
    let mut callers = Vec::new();
    for role in ALL_ROLES {
        callers.push((format!("role {role}"), server.person(role, "ada")));
    }
    for permission in ["reporting", "mark_complete", "indirect_reports"] {
        for role in ["curator", "manager", "learner"] {
            let claims = json!({"sub": "ada", "role": role, "permissions": [permission]});
            callers.push((format!("role {role}+{permission}"), server.person_of("acme", claims)));
        }
    }
    callers.push(("role learner".to_owned(), server.person_of("acme", json!({"sub": "ada"}))));
    for scope in SCOPES {
        callers.push((format!("scope {scope}"), server.credential("acme", &[scope]).await));
    }
    callers
}

#[apply(both_databases)]
async fn every_operation_is_limited_to_its_roles_and_scopes(server: &TestServer) {
    let anonymous = server.anonymous();
    let callers = all_callers(server).await;
    for (method, path, rights) in permissions() {
        let Some((roles, scopes)) = rights else {
            // The token in the path gives access. This token is invalid.
            let allowed_statuses: &[u16] = if path.contains("{token}") { &[404] } else { &[200, 204] };
            assert!(
                allowed_statuses.contains(&send_request(&anonymous, method, path).await),
                "{method} {path} needs no credentials"
            );
            continue;
        };
        assert_eq!(send_request(&anonymous, method, path).await, 401, "{method} {path} without credentials");
        for (name, caller) in &callers {
            let allowed = match name.split_once(' ') {
                // Every caller with the role, or only with the role and the permission.
                Some(("role", role)) => {
                    roles.contains(&role)
                        || role.split_once('+').is_some_and(|(plain, _)| roles.contains(&plain))
                }
                Some((_, scope)) => scopes.contains(&scope),
                None => unreachable!("callers are roles and scopes"),
            };
            let status = send_request(caller, method, path).await;
            if allowed {
                assert!(![401, 403, 405, 500].contains(&status), "{method} {path} by {name}: {status}");
            } else {
                assert_eq!(status, 403, "{method} {path} by {name}");
            }
        }
    }
    // None of the requests stored anything.
    let admin = server.person("admin", "root");
    for (path, plural) in [
        ("users", "users"),
        ("teams", "teams"),
        ("groups", "groups"),
        ("contents", "contents"),
        ("activities", "activities"),
    ] {
        assert_eq!(admin.list(&format!("/v1/{path}"), plural).await, Vec::<Value>::new(), "{path}");
    }
}

#[apply(both_databases)]
async fn permissions_document_and_routes_contain_the_same_operations(server: &TestServer) {
    let listed: BTreeSet<(String, String)> =
        permissions().into_iter().map(|(method, path, _)| (method.to_owned(), path.to_owned())).collect();
    let routed: BTreeSet<(String, String)> = rollbook::http::table()
        .into_iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| ((*method).to_owned(), path.to_owned())))
        .collect();
    assert_eq!(
        routed.difference(&listed).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "operations without rights"
    );
    assert_eq!(
        listed.difference(&routed).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "operations without a route"
    );
    let document = server.anonymous().get("/openapi.json").await.expect(200).json();
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().expect("operations").keys().map(move |method| (method.clone(), path.clone()))
        })
        .filter(|(method, _)| method != "parameters")
        .collect();
    assert_eq!(documented, listed);
}

#[apply(both_databases)]
async fn other_methods_are_405_and_head_equals_get(server: &TestServer) {
    let admin = server.person("admin", "root");
    let paths: BTreeSet<&str> = permissions().into_iter().map(|(_, path, _)| path).collect();
    for path in paths {
        let methods_of_path: Vec<String> =
            permissions().iter().filter(|row| row.1 == path).map(|row| row.0.to_uppercase()).collect();
        let mut allowed: BTreeSet<String> = methods_of_path.iter().cloned().collect();
        if methods_of_path.iter().any(|method| method == "GET") {
            allowed.insert("HEAD".to_owned());
        }
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH", "TRACE", "BREW"] {
            if methods_of_path.iter().any(|methods_of_path| methods_of_path == method) {
                continue;
            }
            let answer = admin
                .send(method.parse().expect("a method"), &path_with_ids(path), &[], Vec::new())
                .await
                .expect(405);
            assert_eq!(answer.json()["code"], "method-not-allowed");
            let listed: BTreeSet<String> =
                answer.header("allow").expect("Allow").split(',').map(|one| one.trim().to_owned()).collect();
            assert_eq!(listed, allowed, "{method} {path}");
        }
        if !methods_of_path.iter().any(|method| method == "GET") {
            continue;
        }
        let get = admin.get(&path_with_ids(path)).await;
        let head = admin.send(Method::HEAD, &path_with_ids(path), &[], Vec::new()).await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "HEAD {path}");
        for name in
            ["content-type", "content-disposition", "x-content-type-options", "x-experience-api-version"]
        {
            assert_eq!(head.header(name), get.header(name), "{name} of HEAD {path}");
        }
    }
}

#[apply(both_databases)]
async fn unknown_path_is_a_problem_document(server: &TestServer) {
    let admin = server.person("admin", "root");
    for path in ["/v1/none", "/v1", "/v1/activities/", "/xapi/none", "/none", "/v1/users/a/b/c", "/%00"] {
        let answer = admin.get(path).await.expect(404);
        assert_eq!(answer.json()["code"], "not-found", "{path}");
    }
    // Without credentials, no spelling of a path reveals which paths exist.
    for path in ["/v1/none", "/xapi/none", "/v1", "/%76%31/users", "/v1%2Fusers", "/v1/./users", "/V1/users"]
    {
        let status = server.anonymous().get(path).await.status;
        assert!([401, 404].contains(&status), "{path}: {status}");
    }
    assert_eq!(server.anonymous().get("/%76%31/users").await.status, 401);
}
