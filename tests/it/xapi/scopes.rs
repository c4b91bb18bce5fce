//! Tests of the rights at `/xapi` (`docs/specification.md#rights-at-the-lrs`): each scope and each role
//! with every resource and method, and which statements callers without full reach can read, in every kind
//! of query.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::builders::{Body, activity, mailbox, statement, user};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{PASSED, STATEMENTS, VIEWED, VOIDED, id};
use crate::support::{TestServer, apply, both_databases};

const REGISTRATION: &str = "9f1c6b1e-5d0b-4b56-9b6e-3a5d1f0c7e11";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

const SCOPES: [&str; 12] = [
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

const ROLES: [&str; 8] =
    ["owner", "admin", "hr", "reporter", "learning_designer", "curator", "manager", "learner"];

/// The roles and the scopes that give a right. One scope is enough.
struct Rights {
    roles: &'static [&'static str],
    scopes: &'static [&'static str],
}

const WRITES_STATEMENTS: Rights = Rights { roles: &["owner", "admin"], scopes: &["statements/write", "all"] };
const READS_STATEMENTS: Rights =
    Rights { roles: &ROLES, scopes: &["statements/read/mine", "statements/read", "all/read", "all"] };
const READS_AGENTS: Rights = Rights {
    roles: &ROLES,
    scopes: &["statements/read/mine", "statements/read", "all/read", "all", "profile"],
};
const READS_ACTIVITIES: Rights = Rights {
    roles: &ROLES,
    scopes: &["statements/read/mine", "statements/read", "all/read", "all", "profile", "define"],
};
const READS_STATE: Rights = Rights { roles: &ROLES, scopes: &["state", "all/read", "all"] };
const WRITES_STATE: Rights = Rights { roles: &["owner", "admin"], scopes: &["state", "all"] };
const READS_PROFILES: Rights = Rights { roles: &ROLES, scopes: &["profile", "all/read", "all"] };
const WRITES_PROFILES: Rights = Rights { roles: &["owner", "admin"], scopes: &["profile", "all"] };
const EVERY_CALLER: Rights = Rights { roles: &ROLES, scopes: &SCOPES };

/// All operations in an order in which they succeed. `{me}` is the name of the caller, `{id}` the id of a
/// statement, `{agent}` the account of the user `ada`.
fn operations() -> Vec<(Method, &'static str, String, u16, Rights)> {
    let sent = |name: &str| {
        let actor = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}});
        statement(actor, VIEWED, "https://example.org/c").set("context.platform", name).json().to_string()
    };
    let (state, visible) = ("activityId=https://example.org/c&agent={agent}&stateId=", "profileId={me}");
    let mut operations = vec![
        (Method::GET, "/xapi/about".to_owned(), String::new(), 200, EVERY_CALLER),
        (Method::POST, STATEMENTS.to_owned(), sent("post"), 200, WRITES_STATEMENTS),
        (Method::PUT, format!("{STATEMENTS}?statementId={{id}}"), sent("put"), 204, WRITES_STATEMENTS),
        (Method::GET, STATEMENTS.to_owned(), String::new(), 200, READS_STATEMENTS),
        (Method::GET, "/xapi/agents?agent={agent}".to_owned(), String::new(), 200, READS_AGENTS),
        (
            Method::GET,
            "/xapi/activities?activityId=https://example.org/c".to_owned(),
            String::new(),
            200,
            READS_ACTIVITIES,
        ),
    ];
    for (path, list, reads, writes) in [
        ("/xapi/activities/state", format!("{state}{{me}}"), READS_STATE, WRITES_STATE),
        (
            "/xapi/activities/profile",
            format!("activityId=https://example.org/c&{visible}"),
            READS_PROFILES,
            WRITES_PROFILES,
        ),
        ("/xapi/agents/profile", format!("agent={{agent}}&{visible}"), READS_PROFILES, WRITES_PROFILES),
    ] {
        let seeded = format!("{path}?{}", list.replace("{me}", "seeded"));
        let names = match list.rsplit_once('&') {
            Some((list, _)) => format!("{path}?{list}"),
            None => unreachable!("two parameters at least"),
        };
        let visible = format!("{path}?{list}");
        operations.extend([
            (Method::GET, seeded, String::new(), 200, Rights { ..reads }),
            (Method::GET, names, String::new(), 200, reads),
            (Method::PUT, visible.clone(), r#"{"a":1}"#.to_owned(), 204, Rights { ..writes }),
            (Method::POST, visible.clone(), r#"{"b":2}"#.to_owned(), 204, Rights { ..writes }),
            (Method::DELETE, visible, String::new(), 204, writes),
        ]);
    }
    let leak = |path: String| -> &'static str { Box::leak(path.into_boxed_str()) };
    operations
        .into_iter()
        .map(|(method, path, body, status, rights)| (method, leak(path), body, status, rights))
        .collect()
}

async fn read_documents(admin: &Caller) -> Vec<String> {
    let mut all = Vec::new();
    for (_, path, ..) in
        operations().into_iter().filter(|(method, path, ..)| method == Method::GET && path.contains("seeded"))
    {
        all.push(admin.get(&expand_path(path, "", 0)).await.expect(200).text().to_owned());
        let (list, _) = path.rsplit_once('&').expect("two parameters");
        all.push(admin.get(&expand_path(list, "", 0)).await.expect(200).text().to_owned());
    }
    all
}

/// Fills in a path of [`operations`] for one caller.
fn expand_path(path: &str, name: &str, number: usize) -> String {
    let agent = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}}).to_string();
    path.replace("{agent}", &encode_segment(&agent))
        .replace("{me}", &encode_segment(name))
        .replace("{id}", &id(number))
}

async fn count_statements(admin: &Caller) -> usize {
    statement_numbers(&read_statements(admin, &format!("{STATEMENTS}?limit=0")).await).len()
}

#[apply(both_databases)]
async fn each_scope_and_role_gives_its_rights(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    for (_, path, ..) in operations().into_iter().filter(|(_, path, ..)| path.contains("seeded")) {
        admin
            .send(Method::PUT, &expand_path(path, "", 0), &[JSON[0], ("if-none-match", "*")], b"{}".to_vec())
            .await
            .expect(204);
    }
    let mut callers: Vec<(&str, &str, Caller)> = vec![];
    for role in ROLES {
        callers.push(("role", role, server.person(role, "ada")));
    }
    for scope in SCOPES {
        callers.push(("scope", scope, server.credential("acme", &[scope]).await));
    }
    let before = read_documents(&admin).await;
    let mut expected = count_statements(&admin).await;
    for (number, (kind, name, caller)) in callers.iter().enumerate() {
        for (method, path, body, status, rights) in operations() {
            let allowed =
                if *kind == "role" { rights.roles.contains(name) } else { rights.scopes.contains(name) };
            let path = expand_path(path, &format!("{kind}-{name}"), number + 1);
            let headers = if method == Method::PUT && path.contains("profile") {
                &[JSON[0], ("if-none-match", "*")][..]
            } else {
                JSON
            };
            let answer = caller.send(method.clone(), &path, headers, body.into_bytes()).await;
            let expected_status = if allowed { status } else { 403 };
            assert_eq!(answer.status, expected_status, "{method} {path} by {kind} {name}: {}", answer.text());
            if !allowed {
                assert_eq!(answer.json()["code"], "forbidden");
            }
            // HEAD needs the same right.
            if method == Method::GET {
                let head = caller.send(Method::HEAD, &path, &[], Vec::new()).await;
                assert_eq!(head.status, expected_status, "HEAD {path} by {kind} {name}");
            }
            expected += usize::from(allowed && path.starts_with(STATEMENTS) && method != Method::GET);
        }
        assert_eq!(count_statements(&admin).await, expected, "after {kind} {name}");
        assert_eq!(read_documents(&admin).await, before, "after {kind} {name}");
    }
    // Without credentials, only `about` is accessible.
    for (method, path, body, ..) in operations() {
        let answer = server
            .anonymous()
            .send(method.clone(), &expand_path(path, "nobody", 999), JSON, body.into_bytes())
            .await;
        assert_eq!(answer.status, if path == "/xapi/about" { 200 } else { 401 }, "{method} {path}");
    }
    // The operations contain every route under `/xapi`.
    let tested: BTreeSet<(String, &str)> = operations()
        .into_iter()
        .map(|(method, path, ..)| (method.as_str().to_lowercase(), path.split('?').next().expect("a path")))
        .collect();
    let routed: BTreeSet<(String, &str)> = rollbook::http::table()
        .into_iter()
        .filter(|(path, _)| path.starts_with("/xapi"))
        .flat_map(|(path, methods)| methods.iter().map(move |method| ((*method).to_owned(), path)))
        .collect();
    assert_eq!(tested, routed);
}

/// Two scopes give the rights of both.
#[apply(both_databases)]
async fn scopes_are_combined(server: &TestServer) {
    let both = server.credential("acme", &["statements/write", "state"]).await;
    both.post(STATEMENTS, &viewed_statement(1, "ada")).await.expect(200);
    both.get(STATEMENTS).await.expect(403);
    both.get(&expand_path("/xapi/activities/state?activityId=urn:c&agent={agent}", "", 0)).await.expect(200);
    both.get("/xapi/agents/profile?agent=x&profileId=p").await.expect(403);
}

/// Without the scope `define`, definitions do not change the catalogue.
#[apply(both_databases)]
async fn definitions_need_the_scope_define(server: &TestServer) {
    let admin = server.person("admin", "root");
    let titled = |n: usize, title: &str| {
        viewed_statement(n, "ada").set("object.definition", json!({"name": {"en": title}}))
    };
    let writes = server.credential("acme", &["statements/write"]).await;
    let defines = server.credential("acme", &["statements/write", "define"]).await;
    let title = async || {
        let defined = admin.get("/xapi/activities?activityId=https://example.org/c").await.expect(200).json();
        let listed = admin
            .get(&format!("/v1/contents/{}", encode_segment("https://example.org/c")))
            .await
            .expect(200)
            .json();
        (defined["definition"]["name"]["en"].clone(), listed["title"].clone())
    };
    writes.post(STATEMENTS, &titled(1, "Forged")).await.expect(200);
    let (defined, listed) = title().await;
    assert_eq!((&defined, listed == "Forged"), (&Value::Null, false));
    assert_eq!(
        admin.get(&format!("{STATEMENTS}?statementId={}", id(1))).await.expect(200).json()["object"]["definition"]
            ["name"]["en"],
        "Forged"
    );
    defines.post(STATEMENTS, &titled(2, "Fire Safety")).await.expect(200);
    assert_eq!(title().await, (json!("Fire Safety"), json!("Fire Safety")));
    writes.post(STATEMENTS, &titled(3, "Forged")).await.expect(200);
    assert_eq!(title().await, (json!("Fire Safety"), json!("Fire Safety")));
}

/// A statement with number `number` by an actor, which all filters of the tests can match.
fn viewed_statement(number: usize, name: &str) -> Body {
    statement(mailbox(&format!("{name}@example.org")), VIEWED, "https://example.org/c")
        .set("id", id(number))
        .set("context.registration", REGISTRATION)
        .set("context.instructor", mailbox("teacher@example.org"))
        .set("context.contextActivities", json!({"parent": [{"id": "https://example.org/course"}]}))
}

fn referring_statement(number: usize, verb: &str, target: usize) -> Body {
    Body::default()
        .set("id", id(number))
        .set("actor", mailbox("root@example.org"))
        .set("verb", json!({"id": verb}))
        .set("object", json!({"objectType": "StatementRef", "id": id(target)}))
}

/// Sends a statement with a text as attachment.
async fn send_with_text(caller: &Caller, statement: Body, text: &str) {
    let sha2: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    let declared = json!([{"usageType": "https://example.org/file", "display": {"en": "File"}, "contentType": "text/plain",
        "length": text.len(), "sha2": sha2}]);
    let body = format!(
        "--boundary\r\nContent-Type: application/json\r\n\r\n{}\r\n--boundary\r\nContent-Type: text/plain\r\n\
         Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {sha2}\r\n\r\n{text}\r\n--boundary--\r\n",
        statement.set("attachments", declared).json()
    );
    let kind = [("content-type", "multipart/mixed; boundary=boundary")];
    caller.send(Method::POST, STATEMENTS, &kind, body.into_bytes()).await.expect(200);
}

/// The first part of a multipart answer, or the complete body of another one.
fn first_part(text: &str) -> Value {
    let json = match text.trim_start().strip_prefix("--") {
        Some(parts) => {
            let (_, rest) = parts.split_once("\r\n\r\n").expect("a part");
            rest.split("\r\n--").next().expect("its content")
        }
        None => text,
    };
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The statements of all pages, and the texts of the pages.
async fn read_pages(caller: &Caller, path: &str) -> (Vec<Value>, String) {
    let (mut all, mut texts, mut next) = (Vec::new(), String::new(), path.to_owned());
    while !next.is_empty() {
        let answer = caller.get(&next).await.expect(200);
        let page = first_part(answer.text());
        all.extend(page["statements"].as_array().expect("statements").iter().cloned());
        next = page["more"].as_str().expect("more").to_owned();
        texts.push_str(answer.text());
    }
    (all, texts)
}

async fn read_statements(caller: &Caller, path: &str) -> Vec<Value> {
    read_pages(caller, path).await.0
}

fn statement_numbers(statements: &[Value]) -> Vec<usize> {
    let number = |one: &Value| one["id"].as_str().expect("an id")[24..].parse().unwrap_or(usize::MAX);
    statements.iter().map(number).collect()
}

/// Queries with every filter in every format.
fn all_queries() -> Vec<String> {
    let agent = |name: &str| encode_segment(&mailbox(&format!("{name}@example.org")).to_string());
    let filters = [
        String::new(),
        format!("agent={}", agent("ada")),
        format!("agent={}", agent("bo")),
        format!("agent={}", agent("teacher")),
        format!("agent={}&related_agents=true", agent("teacher")),
        format!("verb={}", encode_segment(VIEWED)),
        format!("verb={}", encode_segment(VOIDED)),
        format!("verb={}", encode_segment(PASSED)),
        "activity=https://example.org/c".to_owned(),
        "activity=https://example.org/course".to_owned(),
        "activity=https://example.org/course&related_activities=true".to_owned(),
        format!("registration={REGISTRATION}"),
        format!("registration={REGISTRATION}&verb={}&agent={}", encode_segment(VIEWED), agent("ada")),
        "since=2026-03-18T10:17:23.000Z".to_owned(),
        "until=2099-01-01T00:00:00Z".to_owned(),
    ];
    let shapes = [
        "",
        "ascending=true",
        "limit=1",
        "limit=2&ascending=true",
        "format=ids",
        "format=canonical&limit=1",
        "attachments=true",
        "attachments=true&limit=1&format=ids",
    ];
    let each = |filter: &String| shapes.map(|shape| format!("{STATEMENTS}?{filter}&{shape}"));
    filters.iter().flat_map(each).collect()
}

/// Numbers of statements that refer to hidden statements, and a function that returns whether a query
/// matches them directly.
type ReferringStatements<'l> = (&'l [usize], &'l dyn Fn(&str) -> bool);

/// Checks for every query that the caller finds only these statements.
///
/// `referring` statements refer to hidden ones. A query must not find them through the hidden statements,
/// but only if it `matches_directly`.
async fn assert_sees_only(
    unrestricted: &Caller,
    caller: &Caller,
    visible: &[usize],
    (referring, matches_directly): ReferringStatements<'_>,
    hidden: &str,
) {
    for query in all_queries() {
        let mut expected = statement_numbers(&read_statements(unrestricted, &query).await);
        expected.retain(|number| {
            visible.contains(number) && (!referring.contains(number) || matches_directly(&query))
        });
        let (found, texts) = read_pages(caller, &query).await;
        assert_eq!(statement_numbers(&found), expected, "{query}");
        assert!(!texts.contains(hidden), "{query} must not contain an attachment of others");
    }
}

/// Returns true if the query can match a statement of [`referring_statement`] without its target: no query
/// contains its actor, and its verb is not the usual one.
fn matches_referring_statement(query: &str) -> bool {
    let filters = ["agent=", "activity=", "registration="];
    let verb = format!("verb={}", encode_segment(VIEWED));
    !filters.iter().any(|filter| query.contains(filter)) && !query.contains(&verb)
}

/// Checks the status of each statement by id, as a valid and as a voided one.
async fn assert_readable_by_id(
    caller: &Caller,
    numbers: std::ops::RangeInclusive<usize>,
    valid: &[usize],
    voided: &[usize],
) {
    for number in numbers {
        for (parameter, matching) in [("statementId", valid), ("voidedStatementId", voided)] {
            for shape in ["", "&attachments=true", "&format=ids"] {
                let status = if matching.contains(&number) { 200 } else { 404 };
                let path = format!("{STATEMENTS}?{parameter}={}{shape}", id(number));
                caller.get(&path).await.expect(status);
                let head = caller.send(Method::HEAD, &path, &[], Vec::new()).await;
                assert_eq!(head.status, status, "HEAD {path}");
            }
        }
    }
}

#[apply(both_databases)]
async fn credential_with_scope_mine_reads_only_its_statements(server: &TestServer) {
    let mine = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    let other = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    let all = server.credential("acme", &["statements/read"]).await;
    // Equal statements from two credentials, and from a person with the credential's key as id.
    send_with_text(&mine, viewed_statement(1, "ada"), "the text of mine").await;
    send_with_text(&other, viewed_statement(2, "ada"), "the text of the other").await;
    let stored = mine.get(&format!("{STATEMENTS}?statementId={}", id(1))).await.expect(200).json();
    let key = stored["authority"]["account"]["name"].as_str().expect("the key").to_owned();
    server.person("admin", &key).post(STATEMENTS, &viewed_statement(3, "ada")).await.expect(200);
    mine.post(STATEMENTS, &viewed_statement(4, "bo")).await.expect(200);
    other.post(STATEMENTS, &viewed_statement(5, "bo")).await.expect(200);
    // Each credential voids a statement of the other.
    mine.post(STATEMENTS, &referring_statement(6, VOIDED, 5)).await.expect(200);
    other.post(STATEMENTS, &referring_statement(7, VOIDED, 4)).await.expect(200);
    // Statements that refer to a statement of the same credential, and of the other one.
    mine.post(STATEMENTS, &referring_statement(8, PASSED, 1)).await.expect(200);
    mine.post(STATEMENTS, &referring_statement(9, PASSED, 2)).await.expect(200);
    other.post(STATEMENTS, &referring_statement(10, PASSED, 1)).await.expect(200);
    mine.post(STATEMENTS, &viewed_statement(11, "bo")).await.expect(200);

    let queries = all_queries();
    let found = read_statements(&all, &queries[0]).await;
    assert_eq!(statement_numbers(&found).len(), 9, "all statements except the two voided ones");
    let by_verb = format!("{STATEMENTS}?verb={}", encode_segment(VIEWED));
    assert_eq!(
        statement_numbers(&read_statements(&mine, &by_verb).await),
        [11, 8, 1],
        "through a reference of the same credential, but not of the other"
    );
    // Statements 6 and 9 refer to statements of the other credential.
    assert_sees_only(
        &all,
        &mine,
        &[1, 6, 8, 9, 11],
        (&[6, 9], &matches_referring_statement),
        "the text of the other",
    )
    .await;
    assert_sees_only(&all, &other, &[2, 7, 10], (&[7, 10], &matches_referring_statement), "the text of mine")
        .await;
    assert_readable_by_id(&mine, 1..=11, &[1, 6, 8, 9, 11], &[4]).await;
    assert_readable_by_id(&other, 1..=11, &[2, 7, 10], &[5]).await;
    assert_readable_by_id(&all, 1..=11, &[1, 2, 3, 6, 7, 8, 9, 10, 11], &[4, 5]).await;
    // Records of `/v1` are not statements of the credential. A credential of another organisation finds
    // nothing.
    server
        .person("admin", "root")
        .post("/v1/activities", &activity("u", "logged_in").set("user", json!({"email": "ada@example.org"})))
        .await
        .expect(201);
    assert_eq!(statement_numbers(&read_statements(&mine, STATEMENTS).await), [11, 9, 8, 6, 1]);
    let stranger = server.credential("zeta", &["all"]).await;
    assert_eq!(read_statements(&stranger, STATEMENTS).await, Vec::<Value>::new());
    assert_readable_by_id(&stranger, 1..=11, &[], &[]).await;
}

#[apply(both_databases)]
async fn people_read_all_statements_or_only_their_own(server: &TestServer) {
    let admin = server.person("admin", "root");
    for name in ["ada", "bo"] {
        admin
            .put(&format!("/v1/users/{name}"), &user(name).set("email", format!("{name}@example.org")))
            .await
            .expect(201);
    }
    admin.patch("/v1/users/bo", &json!({"manager": "ada"})).await.expect(200);
    let sender = server.credential("acme", &["statements/write"]).await;
    send_with_text(&sender, viewed_statement(1, "ada"), "the text of ada").await;
    send_with_text(&sender, viewed_statement(2, "bo"), "the text of bo").await;
    // Ada as an account, in a group with Bo, and as the object of a statement of Bo.
    let account = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}});
    sender.post(STATEMENTS, &viewed_statement(3, "x").set("actor", account)).await.expect(200);
    let both =
        json!({"objectType": "Group", "member": [mailbox("ada@example.org"), mailbox("bo@example.org")]});
    sender.post(STATEMENTS, &viewed_statement(4, "x").set("actor", both)).await.expect(200);
    let mut ada = mailbox("ada@example.org");
    ada["objectType"] = json!("Agent");
    sender.post(STATEMENTS, &viewed_statement(5, "bo").set("object", ada)).await.expect(200);
    sender.post(STATEMENTS, &viewed_statement(6, "ada")).await.expect(200);
    sender.post(STATEMENTS, &referring_statement(7, VOIDED, 6)).await.expect(200);
    sender.post(STATEMENTS, &viewed_statement(8, "bo")).await.expect(200);
    sender.post(STATEMENTS, &referring_statement(9, VOIDED, 8)).await.expect(200);
    // A statement of Ada refers to one of Bo: she reads it, but does not find it through Bo's statement.
    sender
        .post(STATEMENTS, &referring_statement(10, PASSED, 2).set("actor", mailbox("ada@example.org")))
        .await
        .expect(200);

    let unrestricted = server.credential("acme", &["all/read"]).await;
    for role in ["owner", "admin", "hr", "reporter", "learning_designer"] {
        let reader = server.person(role, "ada");
        assert_eq!(
            read_statements(&reader, STATEMENTS).await,
            read_statements(&unrestricted, STATEMENTS).await,
            "{role}"
        );
        assert_readable_by_id(&reader, 6..=8, &[7], &[6, 8]).await;
    }
    let reporting =
        server.person_of("acme", json!({"sub": "ada", "role": "curator", "permissions": ["reporting"]}));
    assert_eq!(
        read_statements(&reporting, STATEMENTS).await,
        read_statements(&unrestricted, STATEMENTS).await
    );
    // A manager does not read the statements of reports.
    for role in ["curator", "manager", "learner"] {
        let reader = server.person(role, "ada");
        assert_eq!(statement_numbers(&read_statements(&reader, STATEMENTS).await), [10, 3, 1], "{role}");
    }
    let learner = server.person("learner", "ada");
    let of_ada = |query: &str| {
        let ada = format!("agent={}", encode_segment(&mailbox("ada@example.org").to_string()));
        matches_referring_statement(query) || (query.contains(&ada) && !query.contains("registration="))
    };
    assert_sees_only(&unrestricted, &learner, &[1, 3, 10], (&[10], &of_ada), "the text of bo").await;
    assert_readable_by_id(&learner, 1..=10, &[1, 3, 10], &[6]).await;
    // An unknown user has no statements.
    assert_eq!(read_statements(&server.person("learner", "nobody"), STATEMENTS).await, Vec::<Value>::new());
}
