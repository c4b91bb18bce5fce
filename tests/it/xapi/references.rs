//! Tests of statements that refer to other statements (StatementRef; xAPI 1.0.3, Communication 2.1.3).
//! Filters also match through the referenced statement.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::{STATEMENTS as PATH, VOIDED, advance_clock, find_statements, id};
use crate::support::{Database, TestServer, apply, both_databases};

const DID: &str = "https://example.org/verbs/did";
const LIKED: &str = "https://example.org/verbs/liked";
const REGISTRATION: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";

/// A statement that refers to another one.
fn referring_statement(n: usize, verb: &str, target: usize) -> Value {
    json!({"id": id(n), "actor": mailbox("bo@example.org"), "verb": {"id": verb},
        "object": {"objectType": "StatementRef", "id": id(target)}})
}

/// A statement that others refer to.
fn target_statement(n: usize) -> Value {
    statement(mailbox("ada@example.org"), DID, "urn:thing")
        .set("id", id(n))
        .set("context.registration", REGISTRATION)
        .json()
}

async fn post_each(caller: &Caller, statements: &[Value]) {
    for one in statements {
        caller.post(PATH, one).await.expect(200);
    }
}

/// The numbers of the statements that match, the oldest first.
async fn find_ascending(caller: &Caller, query: &str) -> Vec<usize> {
    find_statements(caller, &format!("ascending=true&{query}")).await
}

fn agent_query(email: &str) -> String {
    format!("agent={}", encode_segment(&mailbox(email).to_string()))
}

#[apply(both_databases)]
async fn referring_statement_is_found_through_its_target(server: &TestServer) {
    let admin = server.person("admin", "root");
    // Statement 3 arrives before its target.
    post_each(
        &admin,
        &[
            target_statement(1),
            referring_statement(2, LIKED, 1),
            referring_statement(3, LIKED, 4),
            target_statement(4),
        ],
    )
    .await;
    let both = [1, 2, 3, 4];
    assert_eq!(find_ascending(&admin, &format!("verb={}", encode_segment(DID))).await, both);
    assert_eq!(find_ascending(&admin, "activity=urn:thing").await, both);
    assert_eq!(find_ascending(&admin, &agent_query("ada@example.org")).await, both);
    assert_eq!(find_ascending(&admin, &format!("registration={REGISTRATION}")).await, both);
    // Filters that match only the referring statements.
    assert_eq!(find_ascending(&admin, &format!("verb={}", encode_segment(LIKED))).await, [2, 3]);
    assert_eq!(find_ascending(&admin, &agent_query("bo@example.org")).await, [2, 3]);
    assert_eq!(find_ascending(&admin, "").await, both, "each statement once");
}

/// All filters must match the same statement.
#[apply(both_databases)]
async fn all_filters_must_match_one_statement(server: &TestServer) {
    let admin = server.person("admin", "root");
    post_each(&admin, &[target_statement(1), referring_statement(2, LIKED, 1)]).await;
    let (liked, did) = (format!("verb={}", encode_segment(LIKED)), format!("verb={}", encode_segment(DID)));
    assert_eq!(
        find_ascending(&admin, &format!("{liked}&{}", agent_query("ada@example.org"))).await,
        Vec::<usize>::new()
    );
    assert_eq!(find_ascending(&admin, &format!("{liked}&activity=urn:thing")).await, Vec::<usize>::new());
    assert_eq!(
        find_ascending(&admin, &format!("{did}&{}", agent_query("bo@example.org"))).await,
        Vec::<usize>::new()
    );
    assert_eq!(
        find_ascending(
            &admin,
            &format!(
                "{did}&{}&activity=urn:thing&registration={REGISTRATION}",
                agent_query("ada@example.org")
            )
        )
        .await,
        [1, 2]
    );
}

#[apply(both_databases)]
async fn chain_is_followed_in_any_order_of_arrival(server: &TestServer) {
    let admin = server.person("admin", "root");
    // A chain 1 ← 2 ← 3 ← 4 in different orders: the ends first, the middle first, and in one request.
    post_each(
        &admin,
        &[
            referring_statement(4, LIKED, 3),
            referring_statement(2, LIKED, 1),
            referring_statement(3, LIKED, 2),
            target_statement(1),
        ],
    )
    .await;
    assert_eq!(find_ascending(&admin, "activity=urn:thing").await, [4, 2, 3, 1]);
    admin
        .post(
            PATH,
            &json!([
                referring_statement(14, LIKED, 13),
                referring_statement(13, LIKED, 12),
                referring_statement(12, LIKED, 11),
                target_statement(11)
            ]),
        )
        .await
        .expect(200);
    assert_eq!(find_ascending(&admin, "activity=urn:thing").await, [4, 2, 3, 1, 14, 13, 12, 11]);
    // A later statement that refers to the end of a chain is found through the whole chain.
    post_each(&admin, &[referring_statement(15, LIKED, 14)]).await;
    assert_eq!(find_ascending(&admin, &format!("registration={REGISTRATION}&limit=3")).await, [4, 2, 3]);
    assert_eq!(find_ascending(&admin, "activity=urn:thing").await, [4, 2, 3, 1, 14, 13, 12, 11, 15]);
}

/// In a ring, each statement is found once through all others.
#[apply(both_databases)]
async fn ring_is_followed_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let by = |n: usize, email: &str, target: usize| {
        let mut one = referring_statement(n, LIKED, target);
        one["actor"] = mailbox(email);
        one
    };
    post_each(
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
        assert_eq!(find_ascending(&admin, &agent_query(email)).await, [1, 2, 3], "{email}");
    }
    assert_eq!(find_ascending(&admin, &agent_query("d@example.org")).await, [4], "it refers to itself");
    assert_eq!(find_ascending(&admin, &format!("verb={}", encode_segment(LIKED))).await, [1, 2, 3, 4]);
    // A statement outside refers to the ring.
    post_each(&admin, &[by(5, "e@example.org", 1)]).await;
    assert_eq!(find_ascending(&admin, &agent_query("c@example.org")).await, [1, 2, 3, 5]);
    assert_eq!(find_ascending(&admin, &agent_query("e@example.org")).await, [5]);
}

/// A chain is followed for at most 100 steps.
#[apply(both_databases)]
async fn chain_is_followed_for_100_steps(server: &TestServer) {
    let admin = server.person("admin", "root");
    let chain: Vec<Value> = (2..=250).map(|n| referring_statement(n, LIKED, n - 1)).collect();
    post_each(&admin, &[target_statement(1)]).await;
    for part in chain.chunks(83) {
        admin.post(PATH, &part).await.expect(200);
    }
    let followed: Vec<usize> = (1..=101).collect();
    assert_eq!(find_ascending(&admin, "activity=urn:thing").await, followed);
    // In the other order: the end of the chain arrives last.
    let chain: Vec<Value> = (1_002..=1_250).map(|n| referring_statement(n, LIKED, n - 1)).collect();
    admin.post(PATH, &chain).await.expect(200);
    post_each(&admin, &[target_statement(1_001)]).await;
    let mut both = followed.clone();
    both.extend(1_002..=1_101);
    both.push(1_001);
    assert_eq!(find_ascending(&admin, "activity=urn:thing").await, both);
}

/// `since`, `until` and `limit` apply to the referring statement (Communication 2.1.3).
#[apply(both_databases)]
async fn time_filters_apply_to_the_referring_statement(server: &TestServer) {
    let admin = server.person("admin", "root");
    post_each(&admin, &[target_statement(1)]).await;
    let first =
        admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).json()["stored"].clone();
    let first = encode_segment(first.as_str().expect("a time"));
    advance_clock(server, 60);
    post_each(&admin, &[referring_statement(2, LIKED, 1), referring_statement(3, LIKED, 2)]).await;
    assert_eq!(find_ascending(&admin, &format!("activity=urn:thing&since={first}")).await, [2, 3]);
    assert_eq!(find_ascending(&admin, &format!("activity=urn:thing&until={first}")).await, [1]);
    assert_eq!(find_ascending(&admin, "activity=urn:thing&limit=2").await, [1, 2]);
    let page = admin.get(&format!("{PATH}?activity=urn:thing&limit=2")).await.expect(200).json();
    let rest = admin.get(page["more"].as_str().expect("`more`")).await.expect(200).json();
    assert_eq!((&page["statements"][1]["id"], &rest["statements"][0]["id"]), (&json!(id(2)), &json!(id(1))));
}

/// A case of the conformance suite: a verb, a voided statement, its voiding, and a reference to it.
#[apply(both_databases)]
async fn voided_target_still_matches(server: &TestServer) {
    let admin = server.person("admin", "root");
    post_each(
        &admin,
        &[target_statement(1), referring_statement(2, VOIDED, 1), referring_statement(3, DID, 1)],
    )
    .await;
    assert_eq!(find_ascending(&admin, &format!("verb={}", encode_segment(DID))).await, [2, 3]);
    assert_eq!(find_ascending(&admin, "activity=urn:thing").await, [2, 3]);
    // A voided referring statement is not found, but statements that refer to it are.
    post_each(&admin, &[referring_statement(4, LIKED, 3), referring_statement(5, VOIDED, 3)]).await;
    assert_eq!(find_ascending(&admin, "activity=urn:thing").await, [2, 4, 5]);
}

/// Related agents and activities also match through references.
#[apply(both_databases)]
async fn related_agents_and_activities_match_through_references(server: &TestServer) {
    let admin = server.person("admin", "root");
    let mut lesson = target_statement(1);
    lesson["context"] = json!({"instructor": mailbox("teacher@example.org"),
        "team": {"objectType": "Group", "member": [mailbox("mate@example.org")]},
        "contextActivities": {"parent": {"id": "urn:course"}}});
    post_each(&admin, &[referring_statement(3, LIKED, 2), lesson, referring_statement(2, LIKED, 1)]).await;
    for email in ["teacher@example.org", "mate@example.org"] {
        assert_eq!(find_ascending(&admin, &agent_query(email)).await, Vec::<usize>::new(), "{email}");
        assert_eq!(
            find_ascending(&admin, &format!("{}&related_agents=true", agent_query(email))).await,
            [3, 1, 2],
            "{email}"
        );
    }
    assert_eq!(find_ascending(&admin, "activity=urn:course").await, Vec::<usize>::new());
    assert_eq!(find_ascending(&admin, "activity=urn:course&related_activities=true").await, [3, 1, 2]);
    assert_eq!(
        find_ascending(
            &admin,
            &format!("activity=urn:course&related_activities=true&{}", agent_query("ada@example.org"))
        )
        .await,
        [3, 1, 2]
    );
    assert_eq!(
        find_ascending(
            &admin,
            &format!("activity=urn:course&related_activities=true&{}", agent_query("bo@example.org"))
        )
        .await,
        Vec::<usize>::new()
    );
}

/// Only the object is followed, not `context.statement` and not the object of a SubStatement.
#[apply(both_databases)]
async fn only_the_object_is_followed(server: &TestServer) {
    let admin = server.person("admin", "root");
    let reference = json!({"objectType": "StatementRef", "id": id(1)});
    let context = statement(mailbox("bo@example.org"), LIKED, "urn:x")
        .set("id", id(2))
        .set("context.statement", reference.clone())
        .json();
    let mut substatement = referring_statement(3, LIKED, 1);
    substatement["object"] = json!({"objectType": "SubStatement", "actor": mailbox("cy@example.org"), "verb": {"id": LIKED}, "object": reference});
    post_each(&admin, &[target_statement(1), context, substatement]).await;
    assert_eq!(find_ascending(&admin, "activity=urn:thing&related_activities=true").await, [1]);
    assert_eq!(
        find_ascending(&admin, &format!("{}&related_agents=true", agent_query("ada@example.org"))).await,
        [1]
    );
}

/// A reference reveals nothing about a statement that the caller may not read.
#[apply(both_databases)]
async fn reference_reveals_no_hidden_statement(server: &TestServer) {
    let admin = server.person("admin", "root");
    let sending_credential = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    post_each(&admin, &[target_statement(1)]).await;
    post_each(
        &sending_credential,
        &[referring_statement(2, LIKED, 1), target_statement(3), referring_statement(4, LIKED, 3)],
    )
    .await;
    assert_eq!(find_ascending(&sending_credential, "activity=urn:thing").await, [3, 4]);
    assert_eq!(find_ascending(&sending_credential, &format!("verb={}", encode_segment(LIKED))).await, [2, 4]);
    assert_eq!(find_ascending(&admin, "activity=urn:thing").await, [1, 2, 3, 4]);
    // Statements of another organisation are not followed.
    let other_admin = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    post_each(&other_admin, &[referring_statement(5, LIKED, 1)]).await;
    assert_eq!(find_ascending(&other_admin, "activity=urn:thing").await, Vec::<usize>::new());
    let account =
        |name: &str| json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": name}});
    let mut about_hidden_target = referring_statement(6, LIKED, 1);
    about_hidden_target["actor"] = account("lea");
    post_each(&admin, &[about_hidden_target]).await;
    let lea = server.person("learner", "lea");
    assert_eq!(find_ascending(&lea, "").await, Vec::<usize>::new(), "no user has this account yet");
    admin.put("/v1/users/lea", &crate::support::builders::user("lea")).await.expect(201);
    assert_eq!(find_ascending(&lea, "").await, [6]);
    assert_eq!(find_ascending(&lea, "activity=urn:thing").await, Vec::<usize>::new());
}

/// Referring and referenced statements are written concurrently by several servers. In the end, each is
/// found.
#[apply(both_databases)]
async fn concurrent_statements_are_found(server: &TestServer) {
    let second = match server.database() {
        Database::Sqlite { .. } => None,
        Database::Postgres { .. } => Some(server.start_replica().await),
    };
    let callers: Vec<Caller> =
        std::iter::once(server).chain(&second).map(|server| server.person("admin", "root")).collect();
    let caller_for = |n: usize| &callers[n % callers.len()];
    let pairs = 30;
    let writes = (1..=pairs).flat_map(|n| {
        let by = |number: usize, what: Value| async move {
            drop(caller_for(number).post(PATH, &what).await.expect(200))
        };
        [
            by(n, referring_statement(n + 200, LIKED, n + 100)),
            by(n + 1, referring_statement(n + 100, LIKED, n)),
            by(n / 2, target_statement(n)),
        ]
    });
    futures_util::future::join_all(writes).await;
    for caller in &callers {
        for query in [
            "activity=urn:thing".to_owned(),
            agent_query("ada@example.org"),
            format!("verb={}", encode_segment(DID)),
            format!("registration={REGISTRATION}"),
        ] {
            let mut all = find_ascending(caller, &query).await;
            all.sort_unstable();
            let expected: Vec<usize> =
                [0, 100, 200].iter().flat_map(|more| (1..=pairs).map(move |n| n + more)).collect();
            assert_eq!(all, expected, "{query}");
        }
    }
    if let Some(second) = second {
        drop(callers);
        second.stop().await;
    }
}

/// Ids are compared without case (Data 4.4).
#[apply(both_databases)]
async fn ids_are_compared_without_case(server: &TestServer) {
    let admin = server.person("admin", "root");
    let lower = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut lower_case = target_statement(1);
    lower_case["id"] = json!(lower);
    let mut upper_case = referring_statement(2, LIKED, 1);
    upper_case["object"]["id"] = json!(lower.to_uppercase());
    admin
        .send(
            Method::POST,
            PATH,
            &[("content-type", "application/json")],
            json!([upper_case, lower_case]).to_string().into_bytes(),
        )
        .await
        .expect(200);
    let page = admin.get(&format!("{PATH}?activity=urn:thing")).await.expect(200).json();
    assert_eq!(page["statements"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["statements"][1]["object"]["id"], lower.to_uppercase(), "the sent spelling is returned");
}
