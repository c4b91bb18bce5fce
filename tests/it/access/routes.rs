//! The table of who may do what, and a walk of every route with every kind of caller.
//!
//! The table is written from the product text, not from the code: a route that is not in it fails the test, so
//! that nobody adds one without saying who may use it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::http::Caller;
use crate::support::{apply, both_databases};

const ADMINISTRATORS: &[&str] = &["owner", "admin"];
const EVERYBODY: &[&str] =
    &["owner", "admin", "hr", "reporter", "learning_designer", "curator", "manager", "learner"];

/// Who reads and writes notes about others.
const NOTE_KEEPERS: &[&str] = &["owner", "admin", "hr", "manager"];
/// Who has reporting access: a curator needs the permission for it.
const REPORTERS: &[&str] =
    &["owner", "admin", "hr", "reporter", "learning_designer", "curator+reporting", "manager"];
/// Who marks content as complete for others: a manager needs the permission for it.
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

/// What opens each part of `/v1`, and the organisation's settings, to a credential.
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

/// Who may use an operation: people's roles, and single scopes of credentials. `None`: anybody, unasked.
type Who = Option<(&'static [&'static str], &'static [&'static str])>;

fn people(roles: &'static [&'static str], scopes: &'static [&'static str]) -> Who {
    Some((roles, scopes))
}

fn table() -> Vec<(&'static str, &'static str, Who)> {
    let reads_log = people(EVERYBODY, &["activities/read"]);
    let writes_log = people(ADMINISTRATORS, &["activities/write"]);
    let only_people = people(EVERYBODY, &[]);
    let notes = people(NOTE_KEEPERS, &[]);
    let only_administrators = people(ADMINISTRATORS, &[]);
    let reads_reports = people(REPORTERS, &["activities/read"]);
    let writes_reports = people(REPORTERS, &[]);
    let reads_directory = people(EVERYBODY, &["directory"]);
    let writes_directory = people(ADMINISTRATORS, &["directory"]);
    let reads_catalogue = people(EVERYBODY, &["catalogue"]);
    let writes_catalogue = people(ADMINISTRATORS, &["catalogue"]);
    let reads_state = people(EVERYBODY, READS_STATE);
    let writes_state = people(ADMINISTRATORS, WRITES_STATE);
    let reads_profiles = people(EVERYBODY, READS_PROFILES);
    let writes_profiles = people(ADMINISTRATORS, WRITES_PROFILES);
    vec![
        ("get", "/v1/activities", reads_log),
        ("post", "/v1/activities", writes_log),
        ("post", "/v1/activities/batch", writes_log),
        ("get", "/v1/activities/export.csv", reads_log),
        ("get", "/v1/activities/export.ndjson", reads_log),
        ("get", "/v1/activities/{id}", reads_log),
        ("delete", "/v1/activities/{id}", only_administrators),
        ("get", "/v1/activities/summary", reads_log),
        ("get", "/v1/facets", reads_log),
        ("get", "/v1/me/activities", only_people),
        ("get", "/v1/users/{id}/activities", reads_log),
        ("get", "/v1/users/{id}/timeline", reads_log),
        ("get", "/v1/users/{id}/notes", notes),
        ("post", "/v1/users/{id}/notes", notes),
        ("get", "/v1/notes/{id}", notes),
        ("patch", "/v1/notes/{id}", notes),
        ("get", "/v1/notes/{id}/history", notes),
        ("post", "/v1/completions", people(MARKERS, &[])),
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
        ("get", "/v1/reports/{id}/export.ndjson", reads_reports),
        ("get", "/v1/reports/{id}/keys", writes_reports),
        ("post", "/v1/reports/{id}/keys", writes_reports),
        ("delete", "/v1/reports/{id}/keys/{key}", writes_reports),
        ("get", "/v1/reports/{id}/schedules", writes_reports),
        ("post", "/v1/reports/{id}/schedules", writes_reports),
        ("get", "/v1/reports/{id}/deliveries", writes_reports),
        ("get", "/v1/schedules/{id}", writes_reports),
        ("put", "/v1/schedules/{id}", writes_reports),
        ("patch", "/v1/schedules/{id}", writes_reports),
        ("delete", "/v1/schedules/{id}", writes_reports),
        ("post", "/v1/schedules/{id}/run", writes_reports),
        ("get", "/v1/actions", people(EVERYBODY, SCOPES)),
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
        ("get", "/v1/organisation", people(EVERYBODY, V1_SCOPES)),
        ("patch", "/v1/organisation", only_administrators),
        ("get", "/xapi/about", None),
        ("get", "/xapi/activities", people(EVERYBODY, READS_ACTIVITY_OBJECTS)),
        ("get", "/xapi/agents", people(EVERYBODY, READS_AGENTS)),
        ("get", "/xapi/statements", people(EVERYBODY, READS_STATEMENTS)),
        ("post", "/xapi/statements", people(ADMINISTRATORS, WRITES_STATEMENTS)),
        ("put", "/xapi/statements", people(ADMINISTRATORS, WRITES_STATEMENTS)),
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
        ("get", "/downloads/{token}", None),
        ("get", "/openapi.json", None),
        ("get", "/health/live", None),
        ("get", "/health/ready", None),
        ("get", "/metrics", None),
    ]
}

/// The address with ids in it that name nothing.
fn address(path: &str) -> String {
    let uuid = ["/v1/activities", "/v1/credentials", "/v1/notes", "/v1/reports", "/v1/schedules"]
        .iter()
        .any(|resource| path.starts_with(resource));
    path.replace("{id}", if uuid { "00000000-0000-4000-8000-00000000000a" } else { "ada" })
}

async fn ask(caller: &Caller, method: &str, path: &str) -> u16 {
    let method: Method = method.to_uppercase().parse().expect("a method");
    let reads = method == Method::GET || method == Method::DELETE;
    let (headers, body): (&[_], Vec<u8>) = match reads {
        true => (&[], Vec::new()),
        false => (&[("content-type", "application/json")], b"{\"colour\":\"red\"}".to_vec()),
    };
    let answer = caller.send(method.clone(), &address(path), headers, body).await;
    if answer.status >= 400 {
        let problem = answer.json();
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        assert_eq!(problem["status"], answer.status, "{method} {path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{method} {path}");
        assert_eq!(answer.header("x-request-id"), problem["request_id"].as_str(), "{method} {path}");
    }
    answer.status
}

/// Every kind of caller, with what it is called in [`table`].
async fn callers(server: &TestServer) -> Vec<(String, Caller)> {
    let mut callers = Vec::new();
    for role in EVERYBODY {
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
async fn every_route_is_for_those_the_contract_names(server: &TestServer) {
    let anonymous = server.anonymous();
    let callers = callers(server).await;
    for (method, path, who) in table() {
        let Some((roles, scopes)) = who else {
            // The token in the address says what may be had: none of ours, nothing.
            let open: &[u16] = if path.contains("{token}") { &[404] } else { &[200, 204] };
            assert!(open.contains(&ask(&anonymous, method, path).await), "{method} {path} is open");
            continue;
        };
        assert_eq!(ask(&anonymous, method, path).await, 401, "{method} {path} by nobody");
        for (name, caller) in &callers {
            let allowed = match name.split_once(' ') {
                // Whoever has the role, whatever they may besides; or only who has the permission with it.
                Some(("role", role)) => {
                    roles.contains(&role)
                        || role.split_once('+').is_some_and(|(plain, _)| roles.contains(&plain))
                }
                Some((_, scope)) => scopes.contains(&scope),
                None => unreachable!("callers are roles and scopes"),
            };
            let status = ask(caller, method, path).await;
            if allowed {
                assert!(![401, 403, 405, 500].contains(&status), "{method} {path} by {name}: {status}");
            } else {
                assert_eq!(status, 403, "{method} {path} by {name}");
            }
        }
    }
    // None of the requests was one that writes.
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
async fn the_table_the_document_and_the_routes_are_one(server: &TestServer) {
    let told: BTreeSet<(String, String)> =
        table().into_iter().map(|(method, path, _)| (method.to_owned(), path.to_owned())).collect();
    let routed: BTreeSet<(String, String)> = rollbook::http::table()
        .into_iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| ((*method).to_owned(), path.to_owned())))
        .collect();
    assert_eq!(
        routed.difference(&told).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "routes that nobody is named for"
    );
    assert_eq!(
        told.difference(&routed).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "routes that are not there"
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
    assert_eq!(documented, told);
}

#[apply(both_databases)]
async fn other_methods_are_405_and_head_is_get(server: &TestServer) {
    let admin = server.person("admin", "root");
    let paths: BTreeSet<&str> = table().into_iter().map(|(_, path, _)| path).collect();
    for path in paths {
        let own: Vec<String> =
            table().iter().filter(|row| row.1 == path).map(|row| row.0.to_uppercase()).collect();
        let mut allowed: BTreeSet<String> = own.iter().cloned().collect();
        if own.iter().any(|method| method == "GET") {
            allowed.insert("HEAD".to_owned());
        }
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH", "TRACE", "BREW"] {
            if own.iter().any(|own| own == method) {
                continue;
            }
            let answer = admin
                .send(method.parse().expect("a method"), &address(path), &[], Vec::new())
                .await
                .expect(405);
            assert_eq!(answer.json()["code"], "method-not-allowed");
            let told: BTreeSet<String> =
                answer.header("allow").expect("Allow").split(',').map(|one| one.trim().to_owned()).collect();
            assert_eq!(told, allowed, "{method} {path}");
        }
        if !own.iter().any(|method| method == "GET") {
            continue;
        }
        let get = admin.get(&address(path)).await;
        let head = admin.send(Method::HEAD, &address(path), &[], Vec::new()).await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "HEAD {path}");
        for name in
            ["content-type", "content-disposition", "x-content-type-options", "x-experience-api-version"]
        {
            assert_eq!(head.header(name), get.header(name), "{name} of HEAD {path}");
        }
    }
}

#[apply(both_databases)]
async fn what_is_not_there_is_a_problem_document(server: &TestServer) {
    let admin = server.person("admin", "root");
    for path in ["/v1/none", "/v1", "/v1/activities/", "/xapi/none", "/none", "/v1/users/a/b/c", "/%00"] {
        let answer = admin.get(path).await.expect(404);
        assert_eq!(answer.json()["code"], "not-found", "{path}");
    }
    // Beneath the guarded roots nobody learns what there is, however the path is written.
    for path in ["/v1/none", "/xapi/none", "/v1", "/%76%31/users", "/v1%2Fusers", "/v1/./users", "/V1/users"]
    {
        let status = server.anonymous().get(path).await.status;
        assert!([401, 404].contains(&status), "{path}: {status}");
    }
    assert_eq!(server.anonymous().get("/%76%31/users").await.status, 401);
}
