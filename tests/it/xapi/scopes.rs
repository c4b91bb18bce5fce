//! What each caller may do at this door (contract section 4): every scope alone with every resource and method,
//! people by their role, and what `statements/read/mine` and a learner see of others, in every form of question.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::builders::{Body, activity, mailbox, statement, user};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{PASSED, STATEMENTS, VOIDED, id};
use crate::support::{TestServer, apply, both_databases};

const VIEWED: &str = "http://id.tincanapi.com/verb/viewed";
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

/// Who may do something: roles of people, and scopes, each of which is enough.
struct Who {
    roles: &'static [&'static str],
    scopes: &'static [&'static str],
}

const WRITES_STATEMENTS: Who = Who { roles: &["owner", "admin"], scopes: &["statements/write", "all"] };
const READS_STATEMENTS: Who =
    Who { roles: &ROLES, scopes: &["statements/read/mine", "statements/read", "all/read", "all"] };
const READS_AGENTS: Who =
    Who { roles: &ROLES, scopes: &["statements/read/mine", "statements/read", "all/read", "all", "profile"] };
const READS_ACTIVITIES: Who = Who {
    roles: &ROLES,
    scopes: &["statements/read/mine", "statements/read", "all/read", "all", "profile", "define"],
};
const READS_STATE: Who = Who { roles: &ROLES, scopes: &["state", "all/read", "all"] };
const WRITES_STATE: Who = Who { roles: &["owner", "admin"], scopes: &["state", "all"] };
const READS_PROFILES: Who = Who { roles: &ROLES, scopes: &["profile", "all/read", "all"] };
const WRITES_PROFILES: Who = Who { roles: &["owner", "admin"], scopes: &["profile", "all"] };
const ANYBODY: Who = Who { roles: &ROLES, scopes: &SCOPES };

/// What can be done, in an order in which each can follow the one before. `{me}` is a name of the caller's own,
/// `{id}` a statement's, `{agent}` the user ada by their account.
fn operations() -> Vec<(Method, &'static str, String, u16, Who)> {
    let sent = |name: &str| {
        let actor = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}});
        statement(actor, VIEWED, "https://example.org/c").set("context.platform", name).json().to_string()
    };
    let (state, own) = ("activityId=https://example.org/c&agent={agent}&stateId=", "profileId={me}");
    let mut operations = vec![
        (Method::GET, "/xapi/about".to_owned(), String::new(), 200, ANYBODY),
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
            format!("activityId=https://example.org/c&{own}"),
            READS_PROFILES,
            WRITES_PROFILES,
        ),
        ("/xapi/agents/profile", format!("agent={{agent}}&{own}"), READS_PROFILES, WRITES_PROFILES),
    ] {
        let seeded = format!("{path}?{}", list.replace("{me}", "seeded"));
        let names = match list.rsplit_once('&') {
            Some((list, _)) => format!("{path}?{list}"),
            None => unreachable!("two parameters at least"),
        };
        let own = format!("{path}?{list}");
        operations.extend([
            (Method::GET, seeded, String::new(), 200, Who { ..reads }),
            (Method::GET, names, String::new(), 200, reads),
            (Method::PUT, own.clone(), r#"{"a":1}"#.to_owned(), 204, Who { ..writes }),
            (Method::POST, own.clone(), r#"{"b":2}"#.to_owned(), 204, Who { ..writes }),
            (Method::DELETE, own, String::new(), 204, writes),
        ]);
    }
    let named = |path: String| -> &'static str { Box::leak(path.into_boxed_str()) };
    operations
        .into_iter()
        .map(|(method, path, body, status, who)| (method, named(path), body, status, who))
        .collect()
}

async fn documents(admin: &Caller) -> Vec<String> {
    let mut all = Vec::new();
    for (_, path, ..) in
        operations().into_iter().filter(|(method, path, ..)| method == Method::GET && path.contains("seeded"))
    {
        all.push(admin.get(&at(path, "", 0)).await.expect(200).text().to_owned());
        let (list, _) = path.rsplit_once('&').expect("two parameters");
        all.push(admin.get(&at(list, "", 0)).await.expect(200).text().to_owned());
    }
    all
}

/// An address of [`operations`] for one caller.
fn at(path: &str, name: &str, number: usize) -> String {
    let agent = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}}).to_string();
    path.replace("{agent}", &encode_segment(&agent))
        .replace("{me}", &encode_segment(name))
        .replace("{id}", &id(number))
}

async fn kept(admin: &Caller) -> usize {
    ids(&read(admin, &format!("{STATEMENTS}?limit=0")).await).len()
}

#[apply(both_databases)]
async fn each_scope_and_role_opens_its_own_doors(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada")).await.expect(201);
    for (_, path, ..) in operations().into_iter().filter(|(_, path, ..)| path.contains("seeded")) {
        admin
            .send(Method::PUT, &at(path, "", 0), &[JSON[0], ("if-none-match", "*")], b"{}".to_vec())
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
    let before = documents(&admin).await;
    let mut expected = kept(&admin).await;
    for (number, (kind, name, caller)) in callers.iter().enumerate() {
        for (method, path, body, status, who) in operations() {
            let allowed = if *kind == "role" { who.roles.contains(name) } else { who.scopes.contains(name) };
            let path = at(path, &format!("{kind}-{name}"), number + 1);
            let headers = if method == Method::PUT && path.contains("profile") {
                &[JSON[0], ("if-none-match", "*")][..]
            } else {
                JSON
            };
            let answer = caller.send(method.clone(), &path, headers, body.into_bytes()).await;
            let want = if allowed { status } else { 403 };
            assert_eq!(answer.status, want, "{method} {path} by {kind} {name}: {}", answer.text());
            if !allowed {
                assert_eq!(answer.json()["code"], "forbidden");
            }
            // HEAD asks for the same leave.
            if method == Method::GET {
                let head = caller.send(Method::HEAD, &path, &[], Vec::new()).await;
                assert_eq!(head.status, want, "HEAD {path} by {kind} {name}");
            }
            expected += usize::from(allowed && path.starts_with(STATEMENTS) && method != Method::GET);
        }
        assert_eq!(kept(&admin).await, expected, "after {kind} {name}");
        assert_eq!(documents(&admin).await, before, "after {kind} {name}");
    }
    // Nobody: about alone.
    for (method, path, body, ..) in operations() {
        let answer =
            server.anonymous().send(method.clone(), &at(path, "nobody", 999), JSON, body.into_bytes()).await;
        assert_eq!(answer.status, if path == "/xapi/about" { 200 } else { 401 }, "{method} {path}");
    }
    // Every route of this door stands in the table.
    let told: BTreeSet<(String, &str)> = operations()
        .into_iter()
        .map(|(method, path, ..)| (method.as_str().to_lowercase(), path.split('?').next().expect("a path")))
        .collect();
    let routed: BTreeSet<(String, &str)> = rollbook::http::table()
        .into_iter()
        .filter(|(path, _)| path.starts_with("/xapi"))
        .flat_map(|(path, methods)| methods.iter().map(move |method| ((*method).to_owned(), path)))
        .collect();
    assert_eq!(told, routed);
}

/// Scopes add up: what two allow together is what each allows.
#[apply(both_databases)]
async fn scopes_add_up(server: &TestServer) {
    let both = server.credential("acme", &["statements/write", "state"]).await;
    both.post(STATEMENTS, &viewed(1, "ada")).await.expect(200);
    both.get(STATEMENTS).await.expect(403);
    both.get(&at("/xapi/activities/state?activityId=urn:c&agent={agent}", "", 0)).await.expect(200);
    both.get("/xapi/agents/profile?agent=x&profileId=p").await.expect(403);
}

/// Without `define` what a statement says of its activity stays in the statement.
#[apply(both_databases)]
async fn definitions_touch_the_catalogue_by_define_alone(server: &TestServer) {
    let admin = server.person("admin", "root");
    let titled =
        |n: usize, title: &str| viewed(n, "ada").set("object.definition", json!({"name": {"en": title}}));
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

/// A numbered statement of somebody, with everything that a question can ask for.
fn viewed(number: usize, name: &str) -> Body {
    statement(mailbox(&format!("{name}@example.org")), VIEWED, "https://example.org/c")
        .set("id", id(number))
        .set("context.registration", REGISTRATION)
        .set("context.instructor", mailbox("teacher@example.org"))
        .set("context.contextActivities", json!({"parent": [{"id": "https://example.org/course"}]}))
}

fn about(number: usize, verb: &str, target: usize) -> Body {
    Body::default()
        .set("id", id(number))
        .set("actor", mailbox("root@example.org"))
        .set("verb", json!({"id": verb}))
        .set("object", json!({"objectType": "StatementRef", "id": id(target)}))
}

/// As multipart/mixed, with a text of its own.
async fn send_with_text(caller: &Caller, statement: Body, text: &str) {
    let sha2: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    let declared = json!([{"usageType": "https://example.org/file", "display": {"en": "File"}, "contentType": "text/plain",
        "length": text.len(), "sha2": sha2}]);
    let body = format!(
        "--app_state\r\nContent-Type: application/json\r\n\r\n{}\r\n--app_state\r\nContent-Type: text/plain\r\n\
         Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {sha2}\r\n\r\n{text}\r\n--app_state--\r\n",
        statement.set("attachments", declared).json()
    );
    let kind = [("content-type", "multipart/mixed; boundary=app_state")];
    caller.send(Method::POST, STATEMENTS, &kind, body.into_bytes()).await.expect(200);
}

/// The first part of a multipart answer, or the whole of another.
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

/// All pages of a question, as one list; the texts of the pages are returned as well.
async fn read_all(caller: &Caller, path: &str) -> (Vec<Value>, String) {
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

async fn read(caller: &Caller, path: &str) -> Vec<Value> {
    read_all(caller, path).await.0
}

fn ids(statements: &[Value]) -> Vec<usize> {
    let number = |one: &Value| one["id"].as_str().expect("an id")[24..].parse().unwrap_or(usize::MAX);
    statements.iter().map(number).collect()
}

/// Questions of every form.
fn questions() -> Vec<String> {
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

/// Statements, and whether a question finds them by what they say themselves.
type Leading<'l> = (&'l [usize], &'l dyn Fn(&str) -> bool);

/// Checks that a caller sees of everything just the statements with these numbers, whatever it asks. `leading` are
/// those among them that refer to what the caller may not read: by what that says they are never found, only by
/// what they say `themselves`.
async fn sees_just(
    everything: &Caller,
    caller: &Caller,
    own: &[usize],
    (leading, themselves): Leading<'_>,
    hidden: &str,
) {
    for question in questions() {
        let mut expected = ids(&read(everything, &question).await);
        expected
            .retain(|number| own.contains(number) && (!leading.contains(number) || themselves(&question)));
        let (seen, texts) = read_all(caller, &question).await;
        assert_eq!(ids(&seen), expected, "{question}");
        assert!(!texts.contains(hidden), "{question} shows an attachment of others");
    }
}

/// Whether a statement of [`about`] can match by itself: it has an actor that nobody asks for, a verb that isn't
/// the usual one, and nothing else that is asked.
fn says_itself(question: &str) -> bool {
    let others = ["agent=", "activity=", "registration="];
    let verb = format!("verb={}", encode_segment(VIEWED));
    !others.iter().any(|filter| question.contains(filter)) && !question.contains(&verb)
}

/// Checks every statement by its id, voided or not.
async fn reads_by_id(
    caller: &Caller,
    numbers: std::ops::RangeInclusive<usize>,
    standing: &[usize],
    voided: &[usize],
) {
    for number in numbers {
        for (parameter, good) in [("statementId", standing), ("voidedStatementId", voided)] {
            for shape in ["", "&attachments=true", "&format=ids"] {
                let status = if good.contains(&number) { 200 } else { 404 };
                let path = format!("{STATEMENTS}?{parameter}={}{shape}", id(number));
                caller.get(&path).await.expect(status);
                let head = caller.send(Method::HEAD, &path, &[], Vec::new()).await;
                assert_eq!(head.status, status, "HEAD {path}");
            }
        }
    }
}

#[apply(both_databases)]
async fn mine_are_those_that_the_credential_sent(server: &TestServer) {
    let mine = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    let other = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    let all = server.credential("acme", &["statements/read"]).await;
    // The same words from two senders, and one of the same name as the credential, but a person.
    send_with_text(&mine, viewed(1, "ada"), "the text of mine").await;
    send_with_text(&other, viewed(2, "ada"), "the text of the other").await;
    let stored = mine.get(&format!("{STATEMENTS}?statementId={}", id(1))).await.expect(200).json();
    let key = stored["authority"]["account"]["name"].as_str().expect("the key").to_owned();
    server.person("admin", &key).post(STATEMENTS, &viewed(3, "ada")).await.expect(200);
    mine.post(STATEMENTS, &viewed(4, "bo")).await.expect(200);
    other.post(STATEMENTS, &viewed(5, "bo")).await.expect(200);
    // Each voids one of the other's.
    mine.post(STATEMENTS, &about(6, VOIDED, 5)).await.expect(200);
    other.post(STATEMENTS, &about(7, VOIDED, 4)).await.expect(200);
    // One that refers to its own, and one to the other's, by which it must not be found.
    mine.post(STATEMENTS, &about(8, PASSED, 1)).await.expect(200);
    mine.post(STATEMENTS, &about(9, PASSED, 2)).await.expect(200);
    other.post(STATEMENTS, &about(10, PASSED, 1)).await.expect(200);
    mine.post(STATEMENTS, &viewed(11, "bo")).await.expect(200);

    let asked = questions();
    let found = read(&all, &asked[0]).await;
    assert_eq!(ids(&found).len(), 9, "all but the two that are voided");
    let by_verb = format!("{STATEMENTS}?verb={}", encode_segment(VIEWED));
    assert_eq!(
        ids(&read(&mine, &by_verb).await),
        [11, 8, 1],
        "through its own reference, not through the other's"
    );
    // 6 and 9 lead to what the other sent.
    sees_just(&all, &mine, &[1, 6, 8, 9, 11], (&[6, 9], &says_itself), "the text of the other").await;
    sees_just(&all, &other, &[2, 7, 10], (&[7, 10], &says_itself), "the text of mine").await;
    reads_by_id(&mine, 1..=11, &[1, 6, 8, 9, 11], &[4]).await;
    reads_by_id(&other, 1..=11, &[2, 7, 10], &[5]).await;
    reads_by_id(&all, 1..=11, &[1, 2, 3, 6, 7, 8, 9, 10, 11], &[4, 5]).await;
    // What /v1 wrote isn't sent by it either, and another organisation's credential sees nothing at all.
    server
        .person("admin", "root")
        .post("/v1/activities", &activity("u", "logged_in").set("user", json!({"email": "ada@example.org"})))
        .await
        .expect(201);
    assert_eq!(ids(&read(&mine, STATEMENTS).await), [11, 9, 8, 6, 1]);
    let stranger = server.credential("zeta", &["all"]).await;
    assert_eq!(read(&stranger, STATEMENTS).await, Vec::<Value>::new());
    reads_by_id(&stranger, 1..=11, &[], &[]).await;
}

#[apply(both_databases)]
async fn people_read_all_or_what_is_about_themselves(server: &TestServer) {
    let admin = server.person("admin", "root");
    for name in ["ada", "bo"] {
        admin
            .put(&format!("/v1/users/{name}"), &user(name).set("email", format!("{name}@example.org")))
            .await
            .expect(201);
    }
    admin.patch("/v1/users/bo", &json!({"manager": "ada"})).await.expect(200);
    let sender = server.credential("acme", &["statements/write"]).await;
    send_with_text(&sender, viewed(1, "ada"), "the text of ada").await;
    send_with_text(&sender, viewed(2, "bo"), "the text of bo").await;
    // Ada by her account; ada beside bo in a group; ada as the object of bo's.
    let account = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "ada"}});
    sender.post(STATEMENTS, &viewed(3, "x").set("actor", account)).await.expect(200);
    let both =
        json!({"objectType": "Group", "member": [mailbox("ada@example.org"), mailbox("bo@example.org")]});
    sender.post(STATEMENTS, &viewed(4, "x").set("actor", both)).await.expect(200);
    let mut ada = mailbox("ada@example.org");
    ada["objectType"] = json!("Agent");
    sender.post(STATEMENTS, &viewed(5, "bo").set("object", ada)).await.expect(200);
    sender.post(STATEMENTS, &viewed(6, "ada")).await.expect(200);
    sender.post(STATEMENTS, &about(7, VOIDED, 6)).await.expect(200);
    sender.post(STATEMENTS, &viewed(8, "bo")).await.expect(200);
    sender.post(STATEMENTS, &about(9, VOIDED, 8)).await.expect(200);
    // Ada's word about bo's: she reads it, but doesn't find it by what bo did.
    sender.post(STATEMENTS, &about(10, PASSED, 2).set("actor", mailbox("ada@example.org"))).await.expect(200);

    let everything = server.credential("acme", &["all/read"]).await;
    for role in ["owner", "admin", "hr", "reporter", "learning_designer"] {
        let reader = server.person(role, "ada");
        assert_eq!(read(&reader, STATEMENTS).await, read(&everything, STATEMENTS).await, "{role}");
        reads_by_id(&reader, 6..=8, &[7], &[6, 8]).await;
    }
    let reporting =
        server.person_of("acme", json!({"sub": "ada", "role": "curator", "permissions": ["reporting"]}));
    assert_eq!(read(&reporting, STATEMENTS).await, read(&everything, STATEMENTS).await);
    // A manager's reports are no part of it: "any other reads only statements whose actor is that one person".
    for role in ["curator", "manager", "learner"] {
        let reader = server.person(role, "ada");
        assert_eq!(ids(&read(&reader, STATEMENTS).await), [10, 3, 1], "{role}");
    }
    let learner = server.person("learner", "ada");
    let of_ada = |question: &str| {
        let ada = format!("agent={}", encode_segment(&mailbox("ada@example.org").to_string()));
        says_itself(question) || (question.contains(&ada) && !question.contains("registration="))
    };
    sees_just(&everything, &learner, &[1, 3, 10], (&[10], &of_ada), "the text of bo").await;
    reads_by_id(&learner, 1..=10, &[1, 3, 10], &[6]).await;
    // Somebody whom the directory doesn't know is nobody's actor.
    assert_eq!(read(&server.person("learner", "nobody"), STATEMENTS).await, Vec::<Value>::new());
}
