//! Tests of `/xapi/agents`: all identifiers of an agent, for permitted callers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement, user};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::{TestServer, apply, both_databases};

/// The SHA-1 of `mailto:ada@example.org`.
const ADA_SHA1: &str = "d714b8a95bd857a37405a7b56db9108b60ae42bd";

fn agent_path(agent: &Value) -> String {
    format!("/xapi/agents?agent={}", encode_segment(&agent.to_string()))
}

fn account(name: &str) -> Value {
    json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": name}})
}

async fn get_person(caller: &Caller, agent: &Value) -> Value {
    let answer = caller.get(&agent_path(agent)).await.expect(200).json();
    assert_eq!(answer["objectType"], "Person");
    answer
}

/// The Person object with only the data of the request, for callers without rights.
fn person_from_agent(agent: &Value) -> Value {
    let mut person = json!({"objectType": "Person"});
    for (key, value) in agent.as_object().expect("an agent") {
        if key != "objectType" {
            person[key] = json!([value]);
        }
    }
    person
}

/// Creates the user `ada`, with an account that occurs in an earlier statement, and the user `bo`.
async fn create_ada_and_bo(admin: &Caller) {
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

/// The Person object with all identifiers of Ada.
fn person_of_ada() -> Value {
    json!({
        "objectType": "Person",
        "name": ["Ada Obi", "adalina"],
        "mbox": ["mailto:ada@example.org"],
        "mbox_sha1sum": [ADA_SHA1],
        "openid": ["https://ada.example.org/"],
        "account": [{"homePage": "https://lms.example.org", "name": "77"}, {"homePage": "https://rollbook.invalid/acme", "name": "ada"}]
    })
}

/// All agents of Ada.
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
async fn unknown_agent_is_returned_as_requested(server: &TestServer) {
    let admin = server.person("admin", "root");
    for agent in [
        json!({"objectType": "Agent", "name": "Rick", "account": {"homePage": "http://example.org/", "name": "Rick"}}),
        mailbox("Rick@Example.org"),
        json!({"mbox_sha1sum": "0123456789012345678901234567890123456789"}),
        json!({"openid": "https://rick.example.org/", "name": ""}),
    ] {
        for version in ["1.0.3", "2.0.0"] {
            let headers = [("x-experience-api-version", version)];
            let answer = admin.send(Method::GET, &agent_path(&agent), &headers, Vec::new()).await.expect(200);
            assert_eq!(answer.json(), person_from_agent(&agent));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let head = admin.send(Method::HEAD, &agent_path(&agent), &headers, Vec::new()).await.expect(200);
            assert_eq!((head.body.len(), head.header("x-experience-api-version")), (0, Some(version)));
        }
    }
}

#[apply(both_databases)]
async fn invalid_parameters_are_refused(server: &TestServer) {
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
        let refused = admin.get(&agent_path(&bad)).await.expect(400).json();
        assert_eq!(refused["errors"][0]["parameter"], "agent", "{bad}");
    }
    let valid = encode_segment(&mailbox("a@example.org").to_string());
    for (agent_in_request, parameter) in [
        (String::new(), "agent"),
        ("?agent=%7B".to_owned(), "agent"),
        (format!("?Agent={valid}"), "Agent"),
        (format!("?agent={valid}&agent={valid}"), "agent"),
        (format!("?agent={valid}&x=1"), "x"),
    ] {
        let refused = admin.get(&format!("/xapi/agents{agent_in_request}")).await.expect(400).json();
        assert_eq!(refused["errors"][0]["parameter"], parameter, "{agent_in_request}");
    }
    admin
        .send(
            Method::GET,
            &format!("/xapi/agents?agent={valid}"),
            &[("x-experience-api-version", "1.1.0")],
            Vec::new(),
        )
        .await
        .expect(400);
}

#[apply(both_databases)]
async fn agent_without_user_has_the_name_of_its_statements(server: &TestServer) {
    let admin = server.person("admin", "root");
    let rick = |name: &str, day: u32| {
        statement(json!({"mbox": "mailto:Rick@example.org", "name": name}), COMPLETED, "urn:c")
            .set("timestamp", format!("2026-03-{day:02}T00:00:00Z"))
    };
    admin.post(STATEMENTS, &rick("Rick James", 5)).await.expect(200);
    let agent_in_request = json!({"mbox": "mailto:rick@example.org", "name": "another"});
    assert_eq!(
        get_person(&admin, &agent_in_request).await,
        json!({"objectType": "Person", "name": ["Rick James"], "mbox": ["mailto:Rick@example.org"]})
    );
    admin.post(STATEMENTS, &[rick("Early", 4), rick("Rick", 6)]).await.expect(200);
    assert_eq!(
        get_person(&admin, &agent_in_request).await["name"],
        json!(["Rick"]),
        "the name of the latest statement"
    );
    // An actor without a name has the name of the request.
    admin.post(STATEMENTS, &statement(mailbox("x@example.org"), COMPLETED, "urn:c")).await.expect(200);
    assert_eq!(
        get_person(&admin, &mailbox("x@example.org")).await,
        person_from_agent(&mailbox("x@example.org"))
    );
}

#[apply(both_databases)]
async fn person_has_all_identifiers_of_the_user(server: &TestServer) {
    let admin = server.person("admin", "root");
    create_ada_and_bo(&admin).await;
    for agent in agents_of_ada() {
        assert_eq!(get_person(&admin, &agent).await, person_of_ada(), "{agent}");
    }
    // A new name and address apply at once, and the old address stays an identifier.
    admin
        .patch("/v1/users/ada", &json!({"last_name": "Okafor", "email": "okafor@example.org"}))
        .await
        .expect(200);
    let now = get_person(&admin, &mailbox("ada@example.org")).await;
    assert_eq!(now["name"], json!(["Ada Okafor", "adalina"]));
    assert_eq!(now["mbox"], json!(["mailto:ada@example.org", "mailto:okafor@example.org"]));
    // A moved identifier belongs to the other user.
    admin
        .post("/v1/users/bo/identifiers", &json!({"identifiers": [{"openid": "https://ada.example.org/"}]}))
        .await
        .expect(200);
    assert_eq!(get_person(&admin, &account("ada")).await.get("openid"), None);
    assert_eq!(
        get_person(&admin, &json!({"openid": "https://ada.example.org/"})).await["name"],
        json!(["bo Example"])
    );
    // A deactivated user stays the same person.
    admin.patch("/v1/users/bo", &json!({"active": false})).await.expect(200);
    assert_eq!(get_person(&admin, &account("bo")).await["name"], json!(["bo Example"]));
}

#[apply(both_databases)]
async fn caller_with_full_reach_reads_every_person(server: &TestServer) {
    create_ada_and_bo(&server.person("admin", "root")).await;
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
            assert_eq!(get_person(&reader, &agent).await, person_of_ada());
        }
    }
}

/// A caller without full reach reads only their own Person object
/// (`docs/specification.md#rights-at-the-lrs`).
#[apply(both_databases)]
async fn caller_without_full_reach_reads_only_their_own_person(server: &TestServer) {
    let admin = server.person("admin", "root");
    create_ada_and_bo(&admin).await;
    let stranger = json!({"name": "Rick James", "mbox": "mailto:rick@example.org"});
    admin.post(STATEMENTS, &statement(stranger, COMPLETED, "urn:c")).await.expect(200);
    let mut restricted_callers = Vec::new();
    for role in ["learner", "curator", "manager"] {
        let own = server.person(role, "ada");
        for agent in agents_of_ada() {
            assert_eq!(get_person(&own, &agent).await, person_of_ada(), "{role}");
        }
        for agent in [mailbox("bo@example.org"), account("bo"), mailbox("rick@example.org")] {
            assert_eq!(get_person(&own, &agent).await, person_from_agent(&agent), "{role}");
        }
        restricted_callers.push(server.person(role, "bo"));
        restricted_callers.push(server.person(role, "nobody"));
    }
    for permission in ["reporting", "mark_complete", "indirect_reports"] {
        restricted_callers.push(
            server.person_of("acme", json!({"sub": "bo", "role": "learner", "permissions": [permission]})),
        );
    }
    restricted_callers.push(
        server.person_of("acme", json!({"sub": "bo", "role": "manager", "reports": {"direct": ["ada"]}})),
    );
    let mine = server.credential("acme", &["statements/read/mine", "statements/write"]).await;
    mine.post(STATEMENTS, &statement(mailbox("ada@example.org"), COMPLETED, "urn:c")).await.expect(200);
    restricted_callers.push(mine);
    for (number, caller) in restricted_callers.iter().enumerate() {
        // Exactly the answer for an unknown agent.
        for agent in
            agents_of_ada().into_iter().chain([mailbox("rick@example.org"), mailbox("none@example.org")])
        {
            assert_eq!(get_person(caller, &agent).await, person_from_agent(&agent), "caller {number}");
        }
    }
}

#[apply(both_databases)]
async fn persons_of_other_organisations_are_not_visible(server: &TestServer) {
    create_ada_and_bo(&server.person("admin", "root")).await;
    let other_owner = server.person_of("other", json!({"sub": "ada", "role": "owner"}));
    let key = server.credential("other", &["all", "directory"]).await;
    for caller in [&other_owner, &key] {
        for agent in agents_of_ada() {
            assert_eq!(get_person(caller, &agent).await, person_from_agent(&agent));
        }
    }
    // In another organisation, the same identifiers are another user.
    other_owner.put("/v1/users/eve", &user("eve").set("email", "ada@example.org")).await.expect(201);
    let eve = get_person(&other_owner, &mailbox("ada@example.org")).await;
    assert_eq!(eve["name"], json!(["eve Example"]));
    assert_eq!(eve["account"], json!([{"homePage": "https://rollbook.invalid/other", "name": "eve"}]));
    assert_eq!(
        get_person(&server.person("admin", "root"), &mailbox("ada@example.org")).await,
        person_of_ada()
    );
}
