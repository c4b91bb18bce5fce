//! `/xapi/agents`: everything that identifies an agent, for those who may know it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement, user};
use crate::support::http::{Caller, encode_segment};
use crate::support::{TestServer, apply, both_databases};

const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";
const STATEMENTS: &str = "/xapi/statements";
/// The SHA-1 of `mailto:ada@example.org`.
const ADA_SHA1: &str = "d714b8a95bd857a37405a7b56db9108b60ae42bd";

fn path(agent: &Value) -> String {
    format!("/xapi/agents?agent={}", encode_segment(&agent.to_string()))
}

fn account(name: &str) -> Value {
    json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": name}})
}

async fn person(caller: &Caller, agent: &Value) -> Value {
    let answer = caller.get(&path(agent)).await.expect(200).json();
    assert_eq!(answer["objectType"], "Person");
    answer
}

/// What is answered to whoever may know no more: what they asked for.
fn echo(agent: &Value) -> Value {
    let mut person = json!({"objectType": "Person"});
    for (key, value) in agent.as_object().expect("an agent") {
        if key != "objectType" {
            person[key] = json!([value]);
        }
    }
    person
}

/// Ada, who is in the directory, and has been seen under an account before that.
async fn with_ada(admin: &Caller) {
    let elsewhere = json!({"objectType": "Agent", "name": "adalina", "account": {"homePage": "https://lms.example.org", "name": "77"}});
    admin.post(STATEMENTS, &statement(elsewhere, COMPLETED, "urn:c")).await.expect(200);
    let ada =
        user("ada").set("first_name", "Ada").set("last_name", "Obi").set("email", "ada@example.org").set(
            "identifiers",
            json!([
                {"account": {"homePage": "https://lms.example.org", "name": "77"}},
                {"openid": "https://ada.example.org/"}
            ]),
        );
    admin.put("/v1/users/ada", &ada).await.expect(201);
    admin
        .put("/v1/users/bo", &user("bo").set("email", "bo@example.org").set("manager", "ada"))
        .await
        .expect(201);
}

/// Everything that identifies Ada.
fn ada() -> Value {
    json!({
        "objectType": "Person",
        "name": ["Ada Obi", "adalina"],
        "mbox": ["mailto:ada@example.org"],
        "mbox_sha1sum": [ADA_SHA1],
        "openid": ["https://ada.example.org/"],
        "account": [{"homePage": "https://lms.example.org", "name": "77"}, {"homePage": "https://rollbook.invalid/acme", "name": "ada"}]
    })
}

/// What is wanted of Ada's agents: each is all of her.
fn agents_of_ada() -> Vec<Value> {
    vec![
        mailbox("ada@example.org"),
        mailbox("Ada@Example.ORG"),
        json!({"objectType": "Agent", "name": "whatever", "mbox_sha1sum": ADA_SHA1}),
        json!({"openid": "https://ada.example.org/"}),
        json!({"account": {"homePage": "https://lms.example.org", "name": "77"}}),
        account("ada"),
    ]
}

#[apply(both_databases)]
async fn an_agent_whom_nobody_named_is_answered_as_asked(server: &TestServer) {
    let admin = server.person("admin", "root");
    for agent in [
        json!({"objectType": "Agent", "name": "Rick", "account": {"homePage": "http://example.org/", "name": "Rick"}}),
        mailbox("Rick@Example.org"),
        json!({"mbox_sha1sum": "0123456789012345678901234567890123456789"}),
        json!({"openid": "https://rick.example.org/", "name": ""}),
    ] {
        for version in ["1.0.3", "2.0.0"] {
            let headers = [("x-experience-api-version", version)];
            let answer = admin.send(Method::GET, &path(&agent), &headers, Vec::new()).await.expect(200);
            assert_eq!(answer.json(), echo(&agent));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let head = admin.send(Method::HEAD, &path(&agent), &headers, Vec::new()).await.expect(200);
            assert_eq!((head.body.len(), head.header("x-experience-api-version")), (0, Some(version)));
        }
    }
}

#[apply(both_databases)]
async fn bad_questions_are_400(server: &TestServer) {
    let admin = server.person("admin", "root");
    let two = json!({"mbox": "mailto:a@example.org", "openid": "https://a.example.org/"});
    for bad in [
        json!(null),
        json!("x"),
        json!([]),
        json!([mailbox("a@example.org")]),
        json!({}),
        json!({"name": "a"}),
        two,
        json!({"objectType": "Group", "mbox": "mailto:a@example.org"}),
        json!({"objectType": "Group", "member": [mailbox("a@example.org")]}),
        json!({"objectType": "Person", "mbox": ["mailto:a@example.org"]}),
        json!({"objectType": "agent", "mbox": "mailto:a@example.org"}),
        json!({"mbox": "a@example.org"}),
        json!({"mbox": ["mailto:a@example.org"]}),
        json!({"mbox": "mailto:a@example.org", "x": 1}),
        json!({"account": {"name": "a"}}),
        json!({"account": {"homePage": "x", "name": "a"}}),
        json!({"mbox_sha1sum": "x"}),
    ] {
        let refused = admin.get(&path(&bad)).await.expect(400).json();
        assert_eq!(refused["errors"][0]["parameter"], "agent", "{bad}");
    }
    let good = encode_segment(&mailbox("a@example.org").to_string());
    for (asked, parameter) in [
        (String::new(), "agent"),
        ("?agent=%7B".to_owned(), "agent"),
        (format!("?Agent={good}"), "Agent"),
        (format!("?agent={good}&agent={good}"), "agent"),
        (format!("?agent={good}&x=1"), "x"),
    ] {
        let refused = admin.get(&format!("/xapi/agents{asked}")).await.expect(400).json();
        assert_eq!(refused["errors"][0]["parameter"], parameter, "{asked}");
    }
    admin
        .send(
            Method::GET,
            &format!("/xapi/agents?agent={good}"),
            &[("x-experience-api-version", "1.1.0")],
            Vec::new(),
        )
        .await
        .expect(400);
}

#[apply(both_databases)]
async fn an_unclaimed_agent_has_the_name_that_the_records_gave(server: &TestServer) {
    let admin = server.person("admin", "root");
    let rick = |name: &str, day: u32| {
        statement(json!({"mbox": "mailto:Rick@example.org", "name": name}), COMPLETED, "urn:c")
            .set("timestamp", format!("2026-03-{day:02}T00:00:00Z"))
    };
    admin.post(STATEMENTS, &rick("Rick James", 5)).await.expect(200);
    let asked = json!({"mbox": "mailto:rick@example.org", "name": "another"});
    assert_eq!(
        person(&admin, &asked).await,
        json!({"objectType": "Person", "name": ["Rick James"], "mbox": ["mailto:Rick@example.org"]})
    );
    admin.post(STATEMENTS, &[rick("Early", 4), rick("Rick", 6)]).await.expect(200);
    assert_eq!(person(&admin, &asked).await["name"], json!(["Rick"]), "the latest");
    // Who was named without a name has the one that was asked with.
    admin.post(STATEMENTS, &statement(mailbox("x@example.org"), COMPLETED, "urn:c")).await.expect(200);
    assert_eq!(person(&admin, &mailbox("x@example.org")).await, echo(&mailbox("x@example.org")));
}

#[apply(both_databases)]
async fn a_user_is_all_that_identifies_them(server: &TestServer) {
    let admin = server.person("admin", "root");
    with_ada(&admin).await;
    for agent in agents_of_ada() {
        assert_eq!(person(&admin, &agent).await, ada(), "{agent}");
    }
    // A new name and address show at once, and the old address stays hers.
    admin
        .patch("/v1/users/ada", &json!({"last_name": "Okafor", "email": "okafor@example.org"}))
        .await
        .expect(200);
    let now = person(&admin, &mailbox("ada@example.org")).await;
    assert_eq!(now["name"], json!(["Ada Okafor", "adalina"]));
    assert_eq!(now["mbox"], json!(["mailto:ada@example.org", "mailto:okafor@example.org"]));
    // Moved to somebody else, an identifier is theirs.
    admin
        .post("/v1/users/bo/identifiers", &json!({"identifiers": [{"openid": "https://ada.example.org/"}]}))
        .await
        .expect(200);
    assert_eq!(person(&admin, &account("ada")).await.get("openid"), None);
    assert_eq!(
        person(&admin, &json!({"openid": "https://ada.example.org/"})).await["name"],
        json!(["bo Example"])
    );
    // Whoever has left is still who they were.
    admin.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    assert_eq!(person(&admin, &account("bo")).await["name"], json!(["bo Example"]));
}

#[apply(both_databases)]
async fn whoever_sees_the_organisation_sees_everybody(server: &TestServer) {
    with_ada(&server.person("admin", "root")).await;
    let mut readers =
        vec![server.person_of("acme", json!({"sub": "x", "role": "curator", "permissions": ["reporting"]}))];
    for role in ["owner", "admin", "hr", "reporter", "learning_designer"] {
        readers.push(server.person(role, "x"));
    }
    for scope in ["statements/read", "all/read", "all", "profile"] {
        readers.push(server.credential("acme", &[scope]).await);
    }
    readers.push(server.credential("acme", &["statements/read/mine", "profile"]).await);
    for reader in readers {
        for agent in agents_of_ada() {
            assert_eq!(person(&reader, &agent).await, ada());
        }
    }
}

/// Contract section 4: "any other reads only … its own Person object".
#[apply(both_databases)]
async fn others_learn_nothing_of_anybody_but_themselves(server: &TestServer) {
    let admin = server.person("admin", "root");
    with_ada(&admin).await;
    let stranger = json!({"name": "Rick James", "mbox": "mailto:rick@example.org"});
    admin.post(STATEMENTS, &statement(stranger, COMPLETED, "urn:c")).await.expect(200);
    let mut blind = Vec::new();
    for role in ["learner", "curator", "manager"] {
        let own = server.person(role, "ada");
        for agent in agents_of_ada() {
            assert_eq!(person(&own, &agent).await, ada(), "{role}");
        }
        for agent in [mailbox("bo@example.org"), account("bo"), mailbox("rick@example.org")] {
            assert_eq!(person(&own, &agent).await, echo(&agent), "{role}");
        }
        blind.push(server.person(role, "bo"));
        blind.push(server.person(role, "nobody"));
    }
    for permission in ["reporting", "mark_complete", "indirect_reports"] {
        blind.push(
            server.person_of("acme", json!({"sub": "bo", "role": "learner", "permissions": [permission]})),
        );
    }
    blind.push(
        server.person_of("acme", json!({"sub": "bo", "role": "manager", "reports": {"direct": ["ada"]}})),
    );
    let mine = server.credential("acme", &["statements/read/mine", "statements/write"]).await;
    mine.post(STATEMENTS, &statement(mailbox("ada@example.org"), COMPLETED, "urn:c")).await.expect(200);
    blind.push(mine);
    for (number, caller) in blind.iter().enumerate() {
        // To the letter what is answered of somebody whom nobody has named.
        for agent in
            agents_of_ada().into_iter().chain([mailbox("rick@example.org"), mailbox("none@example.org")])
        {
            assert_eq!(person(caller, &agent).await, echo(&agent), "caller {number}");
        }
    }
}

#[apply(both_databases)]
async fn nothing_crosses_between_organisations(server: &TestServer) {
    with_ada(&server.person("admin", "root")).await;
    let boss = server.person_of("other", json!({"sub": "ada", "role": "owner"}));
    let key = server.credential("other", &["all", "directory"]).await;
    for caller in [&boss, &key] {
        for agent in agents_of_ada() {
            assert_eq!(person(caller, &agent).await, echo(&agent));
        }
    }
    // The same identifiers are somebody else's there.
    boss.put("/v1/users/eve", &user("eve").set("email", "ada@example.org")).await.expect(201);
    let eve = person(&boss, &mailbox("ada@example.org")).await;
    assert_eq!(eve["name"], json!(["eve Example"]));
    assert_eq!(eve["account"], json!([{"homePage": "https://rollbook.invalid/other", "name": "eve"}]));
    assert_eq!(person(&server.person("admin", "root"), &mailbox("ada@example.org")).await, ada());
}
