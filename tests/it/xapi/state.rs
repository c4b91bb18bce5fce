//! `/xapi/activities/state`: what is its own among documents, and who may read whose (xAPI 1.0.3, Communication 2.3;
//! product text, section 4).

use reqwest::Method;
use serde_json::{Value, json};

use super::documents::{ACTIVITY, Place, etag, parts, post, put, put_new};
use crate::support::builders::{mailbox, user};
use crate::support::http::encode_segment;
use crate::support::{TestServer, apply, both_databases};

const FIRST: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";
const SECOND: &str = "0fd9e7a0-5d3c-4f0e-9f0b-2f5f2f3c4d5e";

fn of(registration: Option<&str>, path: &str) -> String {
    registration.map_or(path.to_owned(), |registration| format!("{path}&registration={registration}"))
}

/// The account by which the organisation's users are known.
fn account(user: &str) -> Value {
    json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": user}})
}

#[apply(both_databases)]
async fn a_registration_has_states_of_its_own(server: &TestServer) {
    let admin = server.person("admin", "root");
    let place = Place::state(ACTIVITY, &mailbox("ada@example.org"));
    let (one, all) = (place.one("bookmark"), place.all());
    for (registration, body) in [(None, "none"), (Some(FIRST), "first"), (Some(SECOND), "second")] {
        put_new(&admin, &of(registration, &one), "text/plain", body).await;
    }
    put_new(&admin, &of(Some(FIRST), &place.one("score")), "text/plain", "7").await;
    for (registration, body) in [(None, "none"), (Some(FIRST), "first"), (Some(SECOND), "second")] {
        assert_eq!(admin.get(&of(registration, &one)).await.expect(200).text(), body);
    }
    // Ids without a registration are those of every one, each once.
    for (registration, names) in [
        (None, json!(["bookmark", "score"])),
        (Some(FIRST), json!(["bookmark", "score"])),
        (Some(SECOND), json!(["bookmark"])),
    ] {
        assert_eq!(admin.get(&of(registration, &all)).await.expect(200).json(), names);
    }
    let unknown = of(Some("00000000-0000-4000-8000-000000000001"), &all);
    assert_eq!(admin.get(&unknown).await.expect(200).json(), json!([]));
    for method in ["GET", "PUT", "POST", "DELETE"] {
        for bad in ["", "true", "1"] {
            let refused = admin
                .send(method.parse().expect("a method"), &of(Some(bad), &one), &[], Vec::new())
                .await
                .expect(400);
            assert_eq!(refused.json()["errors"][0]["parameter"], "registration", "{method} {bad}");
        }
    }
    // One is deleted in its own registration only.
    admin.delete(&one).await.expect(204);
    admin.get(&one).await.expect(404);
    assert_eq!(admin.get(&of(Some(FIRST), &one)).await.expect(200).text(), "first");
}

#[apply(both_databases)]
async fn all_states_are_deleted_at_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let ada = mailbox("ada@example.org");
    let place = Place::state(ACTIVITY, &ada);
    let others = [Place::state("urn:other", &ada), Place::state(ACTIVITY, &mailbox("bo@example.org"))];
    let fill = async || {
        for registration in [None, Some(FIRST), Some(SECOND)] {
            for name in ["a", "b"] {
                post(&admin, &of(registration, &place.one(name)), "application/json", "{}").await.expect(204);
            }
        }
    };
    for other in &others {
        put_new(&admin, &other.one("a"), "a/b", "stays").await;
    }
    put_new(&admin, &Place::agent(&ada).one("a"), "a/b", "stays").await;
    put_new(&admin, &Place::activity(ACTIVITY).one("a"), "a/b", "stays").await;
    fill().await;
    // What is about one document can't be said of all.
    let tag = etag(&admin, &place.one("a")).await;
    for header in ["if-match", "if-none-match"] {
        admin.send(Method::DELETE, &place.all(), &[(header, tag.as_str())], Vec::new()).await.expect(400);
    }
    admin.delete(&format!("{}&since=2026-03-18T10:17:23.000Z", place.all())).await.expect(400);
    assert_eq!(admin.get(&place.all()).await.expect(200).json(), json!(["a", "b"]));
    admin.delete(&of(Some(FIRST), &place.all())).await.expect(204);
    assert_eq!(admin.get(&of(Some(FIRST), &place.all())).await.expect(200).json(), json!([]));
    assert_eq!(admin.get(&of(Some(SECOND), &place.all())).await.expect(200).json(), json!(["a", "b"]));
    assert_eq!(parts(server).await, 4 + 4);
    fill().await;
    admin.delete(&place.all()).await.expect(204);
    for registration in [None, Some(FIRST), Some(SECOND)] {
        assert_eq!(admin.get(&of(registration, &place.all())).await.expect(200).json(), json!([]));
    }
    admin.delete(&place.all()).await.expect(204);
    for other in &others {
        assert_eq!(admin.get(&other.one("a")).await.expect(200).text(), "stays");
    }
    assert_eq!(parts(server).await, 4, "their contents went with them");
}

#[apply(both_databases)]
async fn an_agent_is_its_identifier(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    let by_mail = Place::state(ACTIVITY, &mailbox("ada@example.org"));
    put_new(&admin, &by_mail.one("x"), "a/b", "by mail").await;
    for same in [
        json!({"objectType": "Agent", "name": "Ada", "mbox": "mailto:ada@example.org"}),
        mailbox("Ada@Example.org"),
    ] {
        assert_eq!(
            admin.get(&Place::state(ACTIVITY, &same).one("x")).await.expect(200).text(),
            "by mail",
            "{same}"
        );
    }
    // The same person by another name has other documents.
    for other in [account("ada"), json!({"openid": "https://ada.example.org"})] {
        admin.get(&Place::state(ACTIVITY, &other).one("x")).await.expect(404);
    }
}

#[apply(both_databases)]
async fn people_read_their_own_states(server: &TestServer) {
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
        put_new(&admin, &Place::state(ACTIVITY, agent).one("x"), "a/b", agent.to_string()).await;
    }
    let only =
        |role: &'static str, user: &'static str, own: &'static [usize]| (server.person(role, user), own);
    let reporter =
        server.person_of("acme", json!({"sub": "cy", "role": "curator", "permissions": ["reporting"]}));
    const ALL: &[usize] = &[0, 1, 2, 3, 4, 5, 6];
    for (caller, own) in [
        only("learner", "ada", &[0, 1, 2]),
        only("manager", "ada", &[0, 1, 2]),
        only("curator", "bo", &[3, 4]),
        // Whom the directory doesn't know is their account all the same.
        only("learner", "guest", &[5]),
        only("learner", "stranger", &[]),
        only("reporter", "cy", ALL),
        only("hr", "ada", ALL),
        only("learning_designer", "cy", ALL),
        (reporter, ALL),
    ] {
        for (number, agent) in agents.iter().enumerate() {
            let place = Place::state(ACTIVITY, agent);
            let one = caller.get(&place.one("x")).await;
            let head = caller.send(Method::HEAD, &place.one("x"), &[], Vec::new()).await;
            let all = caller.get(&place.all()).await.expect(200);
            if own.contains(&number) {
                assert_eq!(one.expect(200).text(), agent.to_string());
                assert_eq!((head.status, all.json()), (200, json!(["x"])));
            } else {
                // As if it weren't there.
                let not_there = caller.get(&place.one("none")).await.expect(404);
                let (mut one, mut not_there) = (one.expect(404).json(), not_there.json());
                one["request_id"] = Value::Null;
                not_there["request_id"] = Value::Null;
                assert_eq!(one, not_there, "{agent}");
                assert_eq!((head.status, all.json()), (404, json!([])), "{agent}");
            }
            // And none of them writes, not even their own.
            put(&caller, &place.one("x"), "a/b", "new", ("if-match", "*")).await.expect(403);
            post(&caller, &place.one("y"), "a/b", "new").await.expect(403);
            caller.delete(&place.one("x")).await.expect(403);
            caller.delete(&place.all()).await.expect(403);
        }
    }
    // An identifier that moves takes its documents with it.
    let moved = json!({"identifiers": [mailbox("bo@example.org")]});
    admin.post("/v1/users/ada/identifiers", &moved).await.expect(200);
    let bo = Place::state(ACTIVITY, &mailbox("bo@example.org")).one("x");
    server.person("learner", "ada").get(&bo).await.expect(200);
    server.person("learner", "bo").get(&bo).await.expect(404);
    // An account that the directory gave to somebody else is theirs, whoever bears its name.
    let moved = json!({"identifiers": [account("guest")]});
    admin.post("/v1/users/ada/identifiers", &moved).await.expect(200);
    let guest = Place::state(ACTIVITY, &account("guest")).one("x");
    server.person("learner", "guest").get(&guest).await.expect(404);
    server.person("learner", "ada").get(&guest).await.expect(200);
    for role in ["owner", "admin"] {
        put(&server.person(role, "eve"), &bo, "a/b", role, ("if-match", "*")).await.expect(204);
        assert_eq!(server.person("reporter", "cy").get(&bo).await.expect(200).text(), role);
    }
}

#[apply(both_databases)]
async fn an_account_is_of_the_organisations_own_page(server: &TestServer) {
    let [acme, other] =
        ["acme", "other"].map(|org| server.person_of(org, json!({"sub": "root", "role": "admin"})));
    let learner = |org: &str| server.person_of(org, json!({"sub": "ada"}));
    let place = Place::state(ACTIVITY, &account("ada"));
    put_new(&acme, &place.one("x"), "a/b", "of acme").await;
    put_new(&other, &place.one("x"), "a/b", "of other").await;
    assert_eq!(learner("acme").get(&place.one("x")).await.expect(200).text(), "of acme");
    learner("other").get(&place.one("x")).await.expect(404);
    assert_eq!(learner("other").get(&place.all()).await.expect(200).json(), json!([]));
    assert_eq!(learner("nowhere").get(&place.all()).await.expect(200).json(), json!([]));
    let mine = Place::state(
        ACTIVITY,
        &json!({"account": {"homePage": "https://rollbook.invalid/other", "name": "ada"}}),
    );
    put_new(&other, &mine.one("x"), "a/b", "mine").await;
    assert_eq!(learner("other").get(&mine.one("x")).await.expect(200).text(), "mine");
    learner("other").get(&format!("{}&agent={}", mine.one("x"), encode_segment("{}"))).await.expect(400);
}
