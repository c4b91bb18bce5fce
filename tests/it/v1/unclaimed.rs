//! Tests of persons that no user claims: every list, file and count names them, and only callers that may see the whole
//! organisation see them.

use rollbook::base::ids::OrgId;
use serde_json::{Value, json};

use crate::support::builders::{Body, content, mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::server::ORG;
use crate::support::{TestServer, apply, both_databases};

const VIEWED: &str = "http://id.tincanapi.com/verb/viewed";
const FIRE: &str = "https://rollbook.invalid/acme/contents/fire";

/// The actor of a record, its name in the log and its identifier there.
struct Visitor {
    actor: Value,
    name: &'static str,
    identifier: Value,
}

fn visitors() -> Vec<Visitor> {
    let visitor = |actor: Value, name: &'static str| {
        let mut identifier = actor.clone();
        for member in ["name", "objectType", "member"] {
            identifier.as_object_mut().expect("an object").remove(member);
        }
        let is_anonymous = identifier.as_object().is_none_or(serde_json::Map::is_empty);
        Visitor { actor, name, identifier: if is_anonymous { Value::Null } else { identifier } }
    };
    let account = |name: &str| json!({"account": {"homePage": "https://lms.example", "name": name}});
    let member = |name: &str| mailbox(&format!("{name}@example.com"));
    let group = |members: Value| json!({"objectType": "Group", "member": members});
    let mut named = mailbox("named@example.com");
    named["name"] = json!("N. Amed");
    let mut blank = mailbox("blank@example.com");
    blank["name"] = json!(" ");
    let mut named_group = group(json!([member("a")]));
    named_group["name"] = json!("The committee");
    vec![
        visitor(named, "N. Amed"),
        visitor(blank, "blank@example.com"),
        visitor(mailbox("plain@example.com"), "plain@example.com"),
        visitor(account("u-4711"), "u-4711"),
        visitor(json!({"openid": "https://id.example/zoe"}), "https://id.example/zoe"),
        visitor(json!({"mbox_sha1sum": "cd9b00a5611f94eaa7b1661edab976068e364975"}), "cd9b00a5"),
        visitor(named_group, "The committee"),
        visitor(
            group(json!([member("d"), member("b"), account("c"), member("a"), member("b")])),
            "Group of a@example.com, b@example.com, d@example.com and 1 other",
        ),
        visitor(group(json!([])), "Group without members"),
    ]
}

/// Creates a user `bo` under the manager `mo`, and one activity of `bo` and of each visitor. Returns an admin.
async fn set_up_with_visitors(server: &TestServer) -> Caller {
    let admin = server.person("admin", "root");
    let users = [user("mo").set("role", "manager"), user("bo").set("manager", "mo")];
    admin.post("/v1/users/batch", &users).await.expect(200);
    admin.put("/v1/contents/fire", &content("fire", "quiz")).await.expect(201);
    let sender = server.credential(ORG, &["all"]).await;
    let bo = json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": "bo"}});
    let actors = std::iter::once(bo).chain(visitors().into_iter().map(|visitor| visitor.actor));
    let statements: Vec<Body> = actors.map(|actor| statement(actor, VIEWED, FIRE)).collect();
    sender.post("/xapi/statements", &statements).await.expect(200);
    admin
}

/// The name and the identifier of each person without a user, in the order of their names.
fn names_and_identifiers(people: &[Value]) -> Vec<(Value, Value)> {
    let unclaimed = people.iter().map(|one| &one["user"]).filter(|user| user["id"].is_null());
    let mut pairs: Vec<(Value, Value)> =
        unclaimed.map(|user| (user["name"].clone(), user["identifier"].clone())).collect();
    pairs.sort_by_key(|(name, _)| name.to_string());
    pairs
}

fn expected_names_and_identifiers() -> Vec<(Value, Value)> {
    let mut pairs: Vec<(Value, Value)> =
        visitors().into_iter().map(|visitor| (json!(visitor.name), visitor.identifier)).collect();
    pairs.sort_by_key(|(name, _)| name.to_string());
    pairs
}

#[apply(both_databases)]
async fn everybody_has_a_name(server: &TestServer) {
    let admin = set_up_with_visitors(server).await;
    let rows = admin.list("/v1/activities?limit=4", "activities").await;
    assert_eq!(names_and_identifiers(&rows), expected_names_and_identifiers());
    let ndjson = admin.get("/v1/activities/export.ndjson").await.expect(200).ndjson();
    assert_eq!(names_and_identifiers(&ndjson), expected_names_and_identifiers());
    let people = admin.list("/v1/contents/fire/progress?limit=4", "progress").await;
    assert_eq!(names_and_identifiers(&people), expected_names_and_identifiers());
    // A user has no identifier in the log.
    let bo = rows.iter().map(|row| &row["user"]).find(|user| user["id"] == "bo").expect("a row of bo");
    assert_eq!((&bo["name"], &bo["identifier"]), (&json!("bo Example"), &Value::Null));

    // Each person is a group of the summary.
    let summary = admin.get("/v1/activities/summary?by=user").await.expect(200).json();
    let groups = summary["groups"].as_array().expect("groups");
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    for group in groups.iter().filter(|group| group["key"]["user"].is_null()) {
        assert_eq!((&group["rows"], &group["persons"]), (&json!(1), &json!(1)));
        pairs.push((group["label"]["user"].clone(), group["key"]["identifier"].clone()));
    }
    let by_name = pairs.clone();
    pairs.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(pairs, expected_names_and_identifiers());
    assert_eq!(by_name, pairs, "groups of equally many rows are in the order of the names");
    assert_eq!(summary["total"]["persons"], json!(groups.len()));

    // Replaying the records gives the same names.
    server.store.rebuild(&OrgId::new(ORG).expect("an id")).await.expect("a rebuild");
    assert_eq!(admin.list("/v1/activities?limit=4", "activities").await, rows);
    assert_eq!(admin.get("/v1/activities/summary?by=user").await.expect(200).json(), summary);
}

#[apply(both_databases)]
async fn files_name_everybody(server: &TestServer) {
    let admin = set_up_with_visitors(server).await;
    admin.put("/v1/users/nemo", &json!({"id": "nemo"})).await.expect(201);
    let nemo = json!({"user": "nemo", "action": "viewed", "content": "fire"});
    admin.post("/v1/activities", &nemo).await.expect(201);
    let mut expected: Vec<String> = visitors().iter().map(|visitor| visitor.name.to_owned()).collect();
    expected.extend(["bo".to_owned(), "nemo".to_owned()]);
    expected.sort();
    for path in ["/v1/activities/export.csv", "/v1/contents/fire/progress.csv"] {
        let mut names = admin.get(path).await.expect(200).csv_column("First name");
        names.retain(|name| name != "mo");
        names.sort();
        assert_eq!(names, expected, "{path}");
    }
    let full = admin.get("/v1/activities/export.csv?columns=full&raw=true").await.expect(200);
    let identifiers = full.csv_column("Identifier");
    for (name, identifier) in full.csv_column("First name").iter().zip(identifiers) {
        let visitor = visitors().into_iter().find(|visitor| visitor.name == name);
        let expected = visitor.map_or(Value::Null, |visitor| visitor.identifier);
        let found = serde_json::from_str(&identifier).unwrap_or(Value::Null);
        assert_eq!(found, expected, "{name}");
    }
    // A user without names is named by the id.
    let rows = admin.list("/v1/users/nemo/activities", "activities").await;
    assert_eq!((&rows[0]["user"]["name"], &rows[0]["user"]["first_name"]), (&json!("nemo"), &Value::Null));
    let entries = admin.list("/v1/users/nemo/timeline", "entries").await;
    assert_eq!(entries[0]["activity"]["user"]["name"], "nemo");
}

#[apply(both_databases)]
async fn names_and_identifiers_stay_inside_the_reach(server: &TestServer) {
    let admin = set_up_with_visitors(server).await;
    // An address that a user had before.
    admin.patch("/v1/users/bo", &json!({"email": "old.address@example.org"})).await.expect(200);
    admin.patch("/v1/users/bo", &json!({"email": "new.address@example.org"})).await.expect(200);
    let curator = json!({"sub": "cara", "role": "curator"});
    let secrets = [
        "example.com",
        "cd9b00a5",
        "u-4711",
        "id.example",
        "N. Amed",
        "Group ",
        "The committee",
        "old.address",
    ];
    let paths = [
        "/v1/activities",
        "/v1/activities/export.csv?columns=full",
        "/v1/activities/export.ndjson",
        "/v1/activities/summary?by=user",
        "/v1/activities/summary?by=user,team",
        "/v1/facets",
        "/v1/contents/fire/progress?count=exact",
        "/v1/contents/fire/progress.csv",
    ];
    for caller in
        [server.person("manager", "mo"), server.person("learner", "bo"), server.person_of(ORG, curator)]
    {
        for path in paths {
            let text = caller.get(path).await.expect(200).text().to_owned();
            for secret in secrets {
                assert!(!text.contains(secret), "{secret} in the answer to {path}:\n{text}");
            }
        }
        caller.get("/v1/activities?scope=company").await.expect(403);
    }
    // A team selects users only.
    let answer = admin.get("/v1/activities/summary?by=user&user=bo").await.expect(200);
    assert!(!answer.text().contains("example.com"));
    // No list shows an address that a user had before.
    for path in paths {
        assert!(!admin.get(path).await.expect(200).text().contains("old.address"), "{path}");
    }
}

#[apply(both_databases)]
async fn claimed_person_has_the_name_of_the_user(server: &TestServer) {
    let admin = set_up_with_visitors(server).await;
    let zoe = user("zoe").set("email", "plain@example.com");
    admin.put("/v1/users/zoe", &zoe).await.expect(201);
    let summary = admin.get("/v1/activities/summary?by=user").await.expect(200).json();
    let groups = summary["groups"].as_array().expect("groups");
    let key_of = |label: &str| {
        groups.iter().find(|group| group["label"]["user"] == label).map(|group| group["key"].clone())
    };
    assert_eq!(key_of("zoe Example"), Some(json!({"user": "zoe"})));
    assert_eq!(key_of("plain@example.com"), None);
    let rows = admin.list("/v1/activities?user=zoe", "activities").await;
    assert_eq!(
        (&rows[0]["user"]["name"], &rows[0]["user"]["identifier"]),
        (&json!("zoe Example"), &Value::Null)
    );
}
