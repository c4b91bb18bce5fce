//! Tests of `/xapi/activities/state`: registrations, deletion, and the access of people (xAPI 1.0.3,
//! Communication 2.3; `docs/specification.md#rights-at-the-lrs`).

use reqwest::Method;
use serde_json::{Value, json};

use super::documents::{ACTIVITY, DocumentKind, count_blobs, create_document, get_etag, post, put_document};
use crate::support::builders::{mailbox, user};
use crate::support::http::encode_segment;
use crate::support::{TestServer, apply, both_databases};

const FIRST: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";
const SECOND: &str = "0fd9e7a0-5d3c-4f0e-9f0b-2f5f2f3c4d5e";

fn with_registration(registration: Option<&str>, path: &str) -> String {
    registration.map_or(path.to_owned(), |registration| format!("{path}&registration={registration}"))
}

/// The account of a user of the organisation.
fn account(user: &str) -> Value {
    json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": user}})
}

#[apply(both_databases)]
async fn states_are_separate_for_each_registration(server: &TestServer) {
    let admin = server.person("admin", "root");
    let states = DocumentKind::state(ACTIVITY, &mailbox("ada@example.org"));
    let (one, all) = (states.one("bookmark"), states.all());
    for (registration, body) in [(None, "none"), (Some(FIRST), "first"), (Some(SECOND), "second")] {
        create_document(&admin, &with_registration(registration, &one), "text/plain", body).await;
    }
    create_document(&admin, &with_registration(Some(FIRST), &states.one("score")), "text/plain", "7").await;
    for (registration, body) in [(None, "none"), (Some(FIRST), "first"), (Some(SECOND), "second")] {
        assert_eq!(admin.get(&with_registration(registration, &one)).await.expect(200).text(), body);
    }
    // Without a registration, the ids of all registrations are listed, each once.
    for (registration, names) in [
        (None, json!(["bookmark", "score"])),
        (Some(FIRST), json!(["bookmark", "score"])),
        (Some(SECOND), json!(["bookmark"])),
    ] {
        assert_eq!(admin.get(&with_registration(registration, &all)).await.expect(200).json(), names);
    }
    let unknown = with_registration(Some("00000000-0000-4000-8000-000000000001"), &all);
    assert_eq!(admin.get(&unknown).await.expect(200).json(), json!([]));
    for method in ["GET", "PUT", "POST", "DELETE"] {
        for bad in ["", "true", "1"] {
            let refused = admin
                .send(method.parse().expect("a method"), &with_registration(Some(bad), &one), &[], Vec::new())
                .await
                .expect(400);
            assert_eq!(refused.json()["errors"][0]["parameter"], "registration", "{method} {bad}");
        }
    }
    // DELETE without a registration deletes only the state without a registration.
    admin.delete(&one).await.expect(204);
    admin.get(&one).await.expect(404);
    assert_eq!(admin.get(&with_registration(Some(FIRST), &one)).await.expect(200).text(), "first");
}

#[apply(both_databases)]
async fn all_states_are_deleted_with_one_request(server: &TestServer) {
    let admin = server.person("admin", "root");
    let ada = mailbox("ada@example.org");
    let states = DocumentKind::state(ACTIVITY, &ada);
    let others =
        [DocumentKind::state("urn:other", &ada), DocumentKind::state(ACTIVITY, &mailbox("bo@example.org"))];
    let create_states = async || {
        for registration in [None, Some(FIRST), Some(SECOND)] {
            for name in ["a", "b"] {
                post(&admin, &with_registration(registration, &states.one(name)), "application/json", "{}")
                    .await
                    .expect(204);
            }
        }
    };
    for other in &others {
        create_document(&admin, &other.one("a"), "a/b", "stays").await;
    }
    create_document(&admin, &DocumentKind::agent(&ada).one("a"), "a/b", "stays").await;
    create_document(&admin, &DocumentKind::activity(ACTIVITY).one("a"), "a/b", "stays").await;
    create_states().await;
    // A condition about one document is invalid for all documents.
    let tag = get_etag(&admin, &states.one("a")).await;
    for header in ["if-match", "if-none-match"] {
        admin.send(Method::DELETE, &states.all(), &[(header, tag.as_str())], Vec::new()).await.expect(400);
    }
    admin.delete(&format!("{}&since=2026-03-18T10:17:23.000Z", states.all())).await.expect(400);
    assert_eq!(admin.get(&states.all()).await.expect(200).json(), json!(["a", "b"]));
    admin.delete(&with_registration(Some(FIRST), &states.all())).await.expect(204);
    assert_eq!(admin.get(&with_registration(Some(FIRST), &states.all())).await.expect(200).json(), json!([]));
    assert_eq!(
        admin.get(&with_registration(Some(SECOND), &states.all())).await.expect(200).json(),
        json!(["a", "b"])
    );
    assert_eq!(count_blobs(server).await, 4 + 4);
    create_states().await;
    admin.delete(&states.all()).await.expect(204);
    for registration in [None, Some(FIRST), Some(SECOND)] {
        assert_eq!(
            admin.get(&with_registration(registration, &states.all())).await.expect(200).json(),
            json!([])
        );
    }
    admin.delete(&states.all()).await.expect(204);
    for other in &others {
        assert_eq!(admin.get(&other.one("a")).await.expect(200).text(), "stays");
    }
    assert_eq!(count_blobs(server).await, 4, "deleted documents leave no content");
}

#[apply(both_databases)]
async fn state_belongs_to_the_identifier(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    let by_mail = DocumentKind::state(ACTIVITY, &mailbox("ada@example.org"));
    create_document(&admin, &by_mail.one("x"), "a/b", "by mail").await;
    for same in [
        json!({"objectType": "Agent", "name": "Ada", "mbox": "mailto:ada@example.org"}),
        mailbox("Ada@Example.org"),
    ] {
        assert_eq!(
            admin.get(&DocumentKind::state(ACTIVITY, &same).one("x")).await.expect(200).text(),
            "by mail",
            "{same}"
        );
    }
    // Other identifiers of the same person have other documents.
    for other in [account("ada"), json!({"openid": "https://ada.example.org"})] {
        admin.get(&DocumentKind::state(ACTIVITY, &other).one("x")).await.expect(404);
    }
}

#[apply(both_databases)]
async fn people_read_only_their_own_states(server: &TestServer) {
    let admin = server.person("admin", "root");
    let ada = user("ada")
        .set("email", "ada@example.org")
        .set("identifiers", json!([{"openid": "https://ada.example.org"}]));
    admin.put("/v1/users/ada", &ada).await.expect(201);
    admin
        .put("/v1/users/bo", &user("bo").set("email", "bo@example.org").set("manager", "ada"))
        .await
        .expect(201);
    let agents = [
        mailbox("ada@example.org"),
        account("ada"),
        json!({"openid": "https://ada.example.org"}),
        mailbox("bo@example.org"),
        account("bo"),
        account("guest"),
        mailbox("nobody@example.org"),
    ];
    for agent in &agents {
        create_document(&admin, &DocumentKind::state(ACTIVITY, agent).one("x"), "a/b", agent.to_string())
            .await;
    }
    let caller_and_agents = |role: &'static str, user: &'static str, own_agents: &'static [usize]| {
        (server.person(role, user), own_agents)
    };
    let reporter =
        server.person_of("acme", json!({"sub": "cy", "role": "curator", "permissions": ["reporting"]}));
    const ALL: &[usize] = &[0, 1, 2, 3, 4, 5, 6];
    for (caller, own_agents) in [
        caller_and_agents("learner", "ada", &[0, 1, 2]),
        caller_and_agents("manager", "ada", &[0, 1, 2]),
        caller_and_agents("curator", "bo", &[3, 4]),
        // A user that the directory does not contain reads the states of their account.
        caller_and_agents("learner", "guest", &[5]),
        caller_and_agents("learner", "stranger", &[]),
        caller_and_agents("reporter", "cy", ALL),
        caller_and_agents("hr", "ada", ALL),
        caller_and_agents("learning_designer", "cy", ALL),
        (reporter, ALL),
    ] {
        for (number, agent) in agents.iter().enumerate() {
            let states = DocumentKind::state(ACTIVITY, agent);
            let one = caller.get(&states.one("x")).await;
            let head = caller.send(Method::HEAD, &states.one("x"), &[], Vec::new()).await;
            let all = caller.get(&states.all()).await.expect(200);
            if own_agents.contains(&number) {
                assert_eq!(one.expect(200).text(), agent.to_string());
                assert_eq!((head.status, all.json()), (200, json!(["x"])));
            } else {
                // The answer equals the answer for an unknown state.
                let unknown_state = caller.get(&states.one("none")).await.expect(404);
                let (mut one, mut unknown_state) = (one.expect(404).json(), unknown_state.json());
                one["request_id"] = Value::Null;
                unknown_state["request_id"] = Value::Null;
                assert_eq!(one, unknown_state, "{agent}");
                assert_eq!((head.status, all.json()), (404, json!([])), "{agent}");
            }
            // None of these callers may write, not even their own states.
            put_document(&caller, &states.one("x"), "a/b", "new", ("if-match", "*")).await.expect(403);
            post(&caller, &states.one("y"), "a/b", "new").await.expect(403);
            caller.delete(&states.one("x")).await.expect(403);
            caller.delete(&states.all()).await.expect(403);
        }
    }
    // The documents of a moved identifier belong to its new user.
    let moved = json!({"identifiers": [mailbox("bo@example.org")]});
    admin.post("/v1/users/ada/identifiers", &moved).await.expect(200);
    let bo = DocumentKind::state(ACTIVITY, &mailbox("bo@example.org")).one("x");
    server.person("learner", "ada").get(&bo).await.expect(200);
    server.person("learner", "bo").get(&bo).await.expect(404);
    // An account that another user has as an identifier belongs to that user.
    let moved = json!({"identifiers": [account("guest")]});
    admin.post("/v1/users/ada/identifiers", &moved).await.expect(200);
    let guest = DocumentKind::state(ACTIVITY, &account("guest")).one("x");
    server.person("learner", "guest").get(&guest).await.expect(404);
    server.person("learner", "ada").get(&guest).await.expect(200);
    for role in ["owner", "admin"] {
        put_document(&server.person(role, "eve"), &bo, "a/b", role, ("if-match", "*")).await.expect(204);
        assert_eq!(server.person("reporter", "cy").get(&bo).await.expect(200).text(), role);
    }
}

#[apply(both_databases)]
async fn account_needs_the_home_page_of_the_organisation(server: &TestServer) {
    let [acme, other] =
        ["acme", "other"].map(|org| server.person_of(org, json!({"sub": "root", "role": "admin"})));
    let learner = |org: &str| server.person_of(org, json!({"sub": "ada"}));
    let states = DocumentKind::state(ACTIVITY, &account("ada"));
    create_document(&acme, &states.one("x"), "a/b", "of acme").await;
    create_document(&other, &states.one("x"), "a/b", "of other").await;
    assert_eq!(learner("acme").get(&states.one("x")).await.expect(200).text(), "of acme");
    learner("other").get(&states.one("x")).await.expect(404);
    assert_eq!(learner("other").get(&states.all()).await.expect(200).json(), json!([]));
    assert_eq!(learner("nowhere").get(&states.all()).await.expect(200).json(), json!([]));
    let own_home_page = DocumentKind::state(
        ACTIVITY,
        &json!({"account": {"homePage": "https://rollbook.invalid/other", "name": "ada"}}),
    );
    create_document(&other, &own_home_page.one("x"), "a/b", "mine").await;
    assert_eq!(learner("other").get(&own_home_page.one("x")).await.expect(200).text(), "mine");
    learner("other")
        .get(&format!("{}&agent={}", own_home_page.one("x"), encode_segment("{}")))
        .await
        .expect(400);
}
