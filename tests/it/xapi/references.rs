//! Statements that refer to statements (StatementRef; xAPI 1.0.3, Communication 2.1.3): found by what they refer to
//! as well as by what they say themselves.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{STATEMENTS as PATH, VOIDED, advance_clock, find_statements, id};
use crate::support::{Database, TestServer, apply, both_databases};

const DID: &str = "https://example.org/verbs/did";
const LIKED: &str = "https://example.org/verbs/liked";
const REGISTRATION: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";

/// A statement about another one.
fn about(n: usize, verb: &str, target: usize) -> Value {
    json!({"id": id(n), "actor": mailbox("bo@example.org"), "verb": {"id": verb},
        "object": {"objectType": "StatementRef", "id": id(target)}})
}

/// What there is to refer to.
fn target(n: usize) -> Value {
    statement(mailbox("ada@example.org"), DID, "urn:thing")
        .set("id", id(n))
        .set("context.registration", REGISTRATION)
        .json()
}

async fn keep(caller: &Caller, statements: &[Value]) {
    for one in statements {
        caller.post(PATH, one).await.expect(200);
    }
}

/// The numbers of the statements that a question finds, the oldest first.
async fn found(caller: &Caller, asked: &str) -> Vec<usize> {
    find_statements(caller, &format!("ascending=true&{asked}")).await
}

fn agent(email: &str) -> String {
    format!("agent={}", encode_segment(&mailbox(email).to_string()))
}

#[apply(both_databases)]
async fn what_refers_is_found_by_what_it_refers_to(server: &TestServer) {
    let admin = server.person("admin", "root");
    // The second of them waits for what it refers to.
    keep(&admin, &[target(1), about(2, LIKED, 1), about(3, LIKED, 4), target(4)]).await;
    let both = [1, 2, 3, 4];
    assert_eq!(found(&admin, &format!("verb={}", encode_segment(DID))).await, both);
    assert_eq!(found(&admin, "activity=urn:thing").await, both);
    assert_eq!(found(&admin, &agent("ada@example.org")).await, both);
    assert_eq!(found(&admin, &format!("registration={REGISTRATION}")).await, both);
    // By what they say themselves, they alone.
    assert_eq!(found(&admin, &format!("verb={}", encode_segment(LIKED))).await, [2, 3]);
    assert_eq!(found(&admin, &agent("bo@example.org")).await, [2, 3]);
    assert_eq!(found(&admin, "").await, both, "each once");
}

/// All filters hold of one and the same statement: what refers and what it refers to don't add up.
#[apply(both_databases)]
async fn filters_are_asked_of_one_statement(server: &TestServer) {
    let admin = server.person("admin", "root");
    keep(&admin, &[target(1), about(2, LIKED, 1)]).await;
    let (liked, did) = (format!("verb={}", encode_segment(LIKED)), format!("verb={}", encode_segment(DID)));
    assert_eq!(found(&admin, &format!("{liked}&{}", agent("ada@example.org"))).await, Vec::<usize>::new());
    assert_eq!(found(&admin, &format!("{liked}&activity=urn:thing")).await, Vec::<usize>::new());
    assert_eq!(found(&admin, &format!("{did}&{}", agent("bo@example.org"))).await, Vec::<usize>::new());
    assert_eq!(
        found(
            &admin,
            &format!("{did}&{}&activity=urn:thing&registration={REGISTRATION}", agent("ada@example.org"))
        )
        .await,
        [1, 2]
    );
}

#[apply(both_databases)]
async fn a_chain_is_followed_in_whatever_order_it_came(server: &TestServer) {
    let admin = server.person("admin", "root");
    // 1 ← 2 ← 3 ← 4, its links in every order that matters: ends first, middle first, one request.
    keep(&admin, &[about(4, LIKED, 3), about(2, LIKED, 1), about(3, LIKED, 2), target(1)]).await;
    assert_eq!(found(&admin, "activity=urn:thing").await, [4, 2, 3, 1]);
    admin
        .post(PATH, &json!([about(14, LIKED, 13), about(13, LIKED, 12), about(12, LIKED, 11), target(11)]))
        .await
        .expect(200);
    assert_eq!(found(&admin, "activity=urn:thing").await, [4, 2, 3, 1, 14, 13, 12, 11]);
    // Whoever refers to the end of a chain later is found by all of it.
    keep(&admin, &[about(15, LIKED, 14)]).await;
    assert_eq!(found(&admin, &format!("registration={REGISTRATION}&limit=3")).await, [4, 2, 3]);
    assert_eq!(found(&admin, "activity=urn:thing").await, [4, 2, 3, 1, 14, 13, 12, 11, 15]);
}

/// A ring ends: each is found by all of it, once.
#[apply(both_databases)]
async fn a_ring_is_followed_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let by = |n: usize, email: &str, target: usize| {
        let mut one = about(n, LIKED, target);
        one["actor"] = mailbox(email);
        one
    };
    keep(
        &admin,
        &[
            by(1, "a@example.org", 2),
            by(2, "b@example.org", 3),
            by(3, "c@example.org", 1),
            by(4, "d@example.org", 4),
        ],
    )
    .await;
    for email in ["a@example.org", "b@example.org", "c@example.org"] {
        assert_eq!(found(&admin, &agent(email)).await, [1, 2, 3], "{email}");
    }
    assert_eq!(found(&admin, &agent("d@example.org")).await, [4], "itself");
    assert_eq!(found(&admin, &format!("verb={}", encode_segment(LIKED))).await, [1, 2, 3, 4]);
    // Into the ring, from outside.
    keep(&admin, &[by(5, "e@example.org", 1)]).await;
    assert_eq!(found(&admin, &agent("c@example.org")).await, [1, 2, 3, 5]);
    assert_eq!(found(&admin, &agent("e@example.org")).await, [5]);
}

/// A long chain is followed for a hundred steps, and costs nobody the server.
#[apply(both_databases)]
async fn a_chain_of_hundreds_is_followed_so_far(server: &TestServer) {
    let admin = server.person("admin", "root");
    let chain: Vec<Value> = (2..=250).map(|n| about(n, LIKED, n - 1)).collect();
    keep(&admin, &[target(1)]).await;
    for part in chain.chunks(83) {
        admin.post(PATH, &part).await.expect(200);
    }
    let followed: Vec<usize> = (1..=101).collect();
    assert_eq!(found(&admin, "activity=urn:thing").await, followed);
    // The other way round: the end of the chain comes last.
    let chain: Vec<Value> = (1_002..=1_250).map(|n| about(n, LIKED, n - 1)).collect();
    admin.post(PATH, &chain).await.expect(200);
    keep(&admin, &[target(1_001)]).await;
    let mut both = followed.clone();
    both.extend(1_002..=1_101);
    both.push(1_001);
    assert_eq!(found(&admin, "activity=urn:thing").await, both);
}

/// since, until and limit are asked of what refers, not of what it refers to (Communication 2.1.3).
#[apply(both_databases)]
async fn the_time_is_that_of_what_refers(server: &TestServer) {
    let admin = server.person("admin", "root");
    keep(&admin, &[target(1)]).await;
    let first =
        admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).json()["stored"].clone();
    let first = encode_segment(first.as_str().expect("a moment"));
    advance_clock(server, 60);
    keep(&admin, &[about(2, LIKED, 1), about(3, LIKED, 2)]).await;
    assert_eq!(found(&admin, &format!("activity=urn:thing&since={first}")).await, [2, 3]);
    assert_eq!(found(&admin, &format!("activity=urn:thing&until={first}")).await, [1]);
    assert_eq!(found(&admin, "activity=urn:thing&limit=2").await, [1, 2]);
    let page = admin.get(&format!("{PATH}?activity=urn:thing&limit=2")).await.expect(200).json();
    let rest = admin.get(page["more"].as_str().expect("`more`")).await.expect(200).json();
    assert_eq!((&page["statements"][1]["id"], &rest["statements"][0]["id"]), (&json!(id(2)), &json!(id(1))));
}

/// The words of the suite's own test: verb, a voided statement, its voiding, and a reference to it.
#[apply(both_databases)]
async fn what_is_voided_still_finds_what_refers_to_it(server: &TestServer) {
    let admin = server.person("admin", "root");
    keep(&admin, &[target(1), about(2, VOIDED, 1), about(3, DID, 1)]).await;
    assert_eq!(found(&admin, &format!("verb={}", encode_segment(DID))).await, [2, 3]);
    assert_eq!(found(&admin, "activity=urn:thing").await, [2, 3]);
    // What refers may itself be voided, and is gone then; what is further away is still found through it.
    keep(&admin, &[about(4, LIKED, 3), about(5, VOIDED, 3)]).await;
    assert_eq!(found(&admin, "activity=urn:thing").await, [2, 4, 5]);
}

/// Related agents and activities are looked for in what is referred to as well.
#[apply(both_databases)]
async fn what_is_related_is_found_through_a_reference(server: &TestServer) {
    let admin = server.person("admin", "root");
    let mut lesson = target(1);
    lesson["context"] = json!({"instructor": mailbox("teacher@example.org"),
        "team": {"objectType": "Group", "member": [mailbox("mate@example.org")]},
        "contextActivities": {"parent": {"id": "urn:course"}}});
    keep(&admin, &[about(3, LIKED, 2), lesson, about(2, LIKED, 1)]).await;
    for email in ["teacher@example.org", "mate@example.org"] {
        assert_eq!(found(&admin, &agent(email)).await, Vec::<usize>::new(), "{email}");
        assert_eq!(
            found(&admin, &format!("{}&related_agents=true", agent(email))).await,
            [3, 1, 2],
            "{email}"
        );
    }
    assert_eq!(found(&admin, "activity=urn:course").await, Vec::<usize>::new());
    assert_eq!(found(&admin, "activity=urn:course&related_activities=true").await, [3, 1, 2]);
    assert_eq!(
        found(&admin, &format!("activity=urn:course&related_activities=true&{}", agent("ada@example.org")))
            .await,
        [3, 1, 2]
    );
    assert_eq!(
        found(&admin, &format!("activity=urn:course&related_activities=true&{}", agent("bo@example.org")))
            .await,
        Vec::<usize>::new()
    );
}

/// Only an object is followed: neither a statement that is context nor one that a SubStatement is about.
#[apply(both_databases)]
async fn only_the_object_is_followed(server: &TestServer) {
    let admin = server.person("admin", "root");
    let reference = json!({"objectType": "StatementRef", "id": id(1)});
    let context = statement(mailbox("bo@example.org"), LIKED, "urn:x")
        .set("id", id(2))
        .set("context.statement", reference.clone())
        .json();
    let mut within = about(3, LIKED, 1);
    within["object"] = json!({"objectType": "SubStatement", "actor": mailbox("cy@example.org"), "verb": {"id": LIKED}, "object": reference});
    keep(&admin, &[target(1), context, within]).await;
    assert_eq!(found(&admin, "activity=urn:thing&related_activities=true").await, [1]);
    assert_eq!(found(&admin, &format!("{}&related_agents=true", agent("ada@example.org"))).await, [1]);
}

/// What somebody may not read must not show through a reference to it.
#[apply(both_databases)]
async fn a_reference_tells_nothing_that_may_not_be_read(server: &TestServer) {
    let admin = server.person("admin", "root");
    let ours = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    keep(&admin, &[target(1)]).await;
    keep(&ours, &[about(2, LIKED, 1), target(3), about(4, LIKED, 3)]).await;
    assert_eq!(found(&ours, "activity=urn:thing").await, [3, 4]);
    assert_eq!(found(&ours, &format!("verb={}", encode_segment(LIKED))).await, [2, 4]);
    assert_eq!(found(&admin, "activity=urn:thing").await, [1, 2, 3, 4]);
    // Nor may another organisation's.
    let others = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    keep(&others, &[about(5, LIKED, 1)]).await;
    assert_eq!(found(&others, "activity=urn:thing").await, Vec::<usize>::new());
    let account =
        |name: &str| json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": name}});
    let mut own = about(6, LIKED, 1);
    own["actor"] = account("lea");
    keep(&admin, &[own]).await;
    let lea = server.person("learner", "lea");
    assert_eq!(found(&lea, "").await, Vec::<usize>::new(), "nobody in the directory has that account yet");
    admin.put("/v1/users/lea", &crate::support::builders::user("lea")).await.expect(201);
    assert_eq!(found(&lea, "").await, [6]);
    assert_eq!(found(&lea, "activity=urn:thing").await, Vec::<usize>::new());
}

/// Many write at once what refers and what it refers to, by as many servers as there can be: each is found by
/// the other in the end.
#[apply(both_databases)]
async fn what_comes_at_once_is_found(server: &TestServer) {
    let second = match server.database() {
        Database::Sqlite { .. } => None,
        Database::Postgres { .. } => Some(server.start_replica().await),
    };
    let doors: Vec<Caller> =
        std::iter::once(server).chain(&second).map(|server| server.person("admin", "root")).collect();
    let door = |n: usize| &doors[n % doors.len()];
    let pairs = 30;
    let writes = (1..=pairs).flat_map(|n| {
        let by = |number: usize, what: Value| async move {
            drop(door(number).post(PATH, &what).await.expect(200))
        };
        [by(n, about(n + 200, LIKED, n + 100)), by(n + 1, about(n + 100, LIKED, n)), by(n / 2, target(n))]
    });
    futures_util::future::join_all(writes).await;
    for caller in &doors {
        for asked in [
            "activity=urn:thing".to_owned(),
            agent("ada@example.org"),
            format!("verb={}", encode_segment(DID)),
            format!("registration={REGISTRATION}"),
        ] {
            let mut all = found(caller, &asked).await;
            all.sort_unstable();
            let expected: Vec<usize> =
                [0, 100, 200].iter().flat_map(|more| (1..=pairs).map(move |n| n + more)).collect();
            assert_eq!(all, expected, "{asked}");
        }
    }
    if let Some(second) = second {
        drop(doors);
        second.stop().await;
    }
}

/// In other letters it is the same id (Data 4.4).
#[apply(both_databases)]
async fn an_id_in_capitals_is_the_same(server: &TestServer) {
    let admin = server.person("admin", "root");
    let lower = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut sent = target(1);
    sent["id"] = json!(lower);
    let mut refers = about(2, LIKED, 1);
    refers["object"]["id"] = json!(lower.to_uppercase());
    admin
        .send(
            Method::POST,
            PATH,
            &[("content-type", "application/json")],
            json!([refers, sent]).to_string().into_bytes(),
        )
        .await
        .expect(200);
    let page = admin.get(&format!("{PATH}?activity=urn:thing")).await.expect(200).json();
    assert_eq!(page["statements"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["statements"][1]["object"]["id"], lower.to_uppercase(), "given back as it came");
}
