//! Voiding (xAPI 1.0.3, Data 2.3.2): what is voided, what never is, whatever comes first; and what of it is still
//! there for whom.

use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::records::{
    COMPLETED, STATEMENTS as PATH, find_statements as found, id, voiding_statement,
};
use crate::support::{TestServer, apply, both_databases};

fn one(n: usize) -> Value {
    statement(mailbox("ada@example.org"), COMPLETED, "urn:c").set("id", id(n)).json()
}

/// The statuses of asking for a statement and for a voided statement.
async fn states(caller: &Caller, n: usize) -> (u16, u16) {
    let standing = caller.get(&format!("{PATH}?statementId={}", id(n))).await.status;
    (standing, caller.get(&format!("{PATH}?voidedStatementId={}", id(n))).await.status)
}

/// Every order of the elements.
fn orders<T: Clone>(of: &[T]) -> Vec<Vec<T>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..of.len() {
        let mut rest = of.to_vec();
        let first = rest.remove(at);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first.clone());
            order
        }));
    }
    all
}

/// A statement, its voiding, and a voiding of that, in every order, one by one and in one request: the statement
/// is voided, the voidings never are.
#[apply(both_databases)]
async fn voiding_is_the_same_in_every_order(server: &TestServer) {
    for (number, order) in
        orders(&[one(1), voiding_statement(2, 1), voiding_statement(3, 2)]).into_iter().enumerate()
    {
        for together in [false, true] {
            let admin = server
                .person_of(&format!("org-{number}-{together}"), json!({"sub": "root", "role": "admin"}));
            match together {
                true => drop(admin.post(PATH, &order).await.expect(200)),
                false => {
                    for statement in &order {
                        admin.post(PATH, statement).await.expect(200);
                    }
                }
            }
            let all = (states(&admin, 1).await, states(&admin, 2).await, states(&admin, 3).await);
            assert_eq!(all, ((404, 200), (200, 404), (200, 404)), "{order:?} together: {together}");
            let mut listed = found(&admin, "").await;
            listed.sort_unstable();
            assert_eq!(listed, [2, 3]);
            let rows = admin.list("/v1/activities", "activities").await;
            assert!(rows.iter().all(|row| row["id"] != id(1)), "it is not in the log either: {rows:?}");
        }
    }
}

#[apply(both_databases)]
async fn a_voided_statement_is_given_back_as_it_came(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &one(1)).await.expect(200);
    let before = admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).text().to_owned();
    admin.post(PATH, &voiding_statement(2, 1)).await.expect(200);
    let after = admin.get(&format!("{PATH}?voidedStatementId={}", id(1))).await.expect(200);
    assert_eq!(after.text(), before);
    let ids = admin.get(&format!("{PATH}?voidedStatementId={}&format=ids", id(1))).await.expect(200).json();
    assert_eq!(ids["verb"], json!({"id": COMPLETED}));
    assert!(after.header("x-experience-api-consistent-through").is_some());
}

/// It stays what it is: sent again it is known, another under its id is a conflict, and only a new id brings it
/// back.
#[apply(both_databases)]
async fn a_voided_statement_keeps_its_id(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &json!([one(1), voiding_statement(2, 1)])).await.expect(200);
    admin.post(PATH, &one(1)).await.expect(200);
    admin.put(&format!("{PATH}?statementId={}", id(1)), &one(1)).await.expect(204);
    let mut other = one(1);
    other["object"]["id"] = json!("urn:other");
    admin.post(PATH, &other).await.expect(409);
    assert_eq!(states(&admin, 1).await, (404, 200));
    admin.post(PATH, &one(3)).await.expect(200);
    assert_eq!(found(&admin, "").await, [3, 2]);
}

/// Twice voided is voided; a voiding that is sent again is the same one.
#[apply(both_databases)]
async fn voiding_again_changes_nothing(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &json!([one(1), voiding_statement(2, 1)])).await.expect(200);
    admin.post(PATH, &voiding_statement(2, 1)).await.expect(200);
    admin.post(PATH, &voiding_statement(3, 1)).await.expect(200);
    assert_eq!(found(&admin, "").await, [3, 2]);
    assert_eq!(states(&admin, 1).await, (404, 200));
}

/// A voiding of itself, and voidings of each other, are voidings: none of them is voided.
#[apply(both_databases)]
async fn a_voiding_in_a_ring_stands(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin
        .post(PATH, &json!([voiding_statement(1, 1), voiding_statement(2, 3), voiding_statement(3, 2)]))
        .await
        .expect(200);
    for n in 1..=3 {
        assert_eq!(states(&admin, n).await, (200, 404), "{n}");
    }
    assert_eq!(found(&admin, "").await, [3, 2, 1]);
}

/// The verb alone makes it: another verb's reference voids nothing, nor does a SubStatement that speaks of it.
#[apply(both_databases)]
async fn nothing_else_voids(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &one(1)).await.expect(200);
    let mut commented = voiding_statement(2, 1);
    commented["verb"]["id"] = json!("http://adlnet.gov/expapi/verbs/commented");
    let mut planned = one(3);
    let mut within = voiding_statement(4, 1);
    within.as_object_mut().expect("an object").remove("id");
    within["objectType"] = json!("SubStatement");
    planned["object"] = within;
    let mut beside = one(5);
    beside["context"] = json!({"statement": {"objectType": "StatementRef", "id": id(1)}});
    admin.post(PATH, &json!([commented, planned, beside])).await.expect(200);
    assert_eq!(states(&admin, 1).await, (200, 404));
    // A voiding needs a reference, and a whole one (Data 2.3.2).
    for object in [
        json!({"id": "urn:c"}),
        json!({"objectType": "Activity", "id": id(1)}),
        json!({"objectType": "Agent", "mbox": "mailto:a@example.org"}),
        json!({"objectType": "StatementRef"}),
        json!({"objectType": "StatementRef", "id": "1"}),
        json!({"objectType": "statementref", "id": id(1)}),
    ] {
        let mut refused = voiding_statement(9, 1);
        refused["object"] = object;
        admin.post(PATH, &refused).await.expect(400);
    }
    assert_eq!(found(&admin, "").await, [5, 3, 2, 1]);
}

/// A voiding reaches its own organisation alone, and no further than the sender's request.
#[apply(both_databases)]
async fn voiding_stays_within_the_organisation(server: &TestServer) {
    let (admin, other) =
        (server.person("admin", "root"), server.person_of("other", json!({"sub": "root", "role": "admin"})));
    for caller in [&admin, &other] {
        caller.post(PATH, &one(1)).await.expect(200);
    }
    other.post(PATH, &voiding_statement(2, 1)).await.expect(200);
    assert_eq!((states(&admin, 1).await, states(&other, 1).await), ((200, 404), (404, 200)));
    // A batch that is refused voids nothing.
    admin.post(PATH, &json!([voiding_statement(3, 1), {"actor": {}}])).await.expect(400);
    let mut conflict = one(1);
    conflict["verb"]["id"] = json!("urn:other");
    admin.post(PATH, &json!([voiding_statement(3, 1), conflict])).await.expect(409);
    assert_eq!(states(&admin, 1).await, (200, 404));
}

/// Everybody reads as voided what they could read before, and nothing else.
#[apply(both_databases)]
async fn what_is_voided_is_read_by_whom_it_was(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    let (ours, others) = (
        server.credential("acme", &["statements/write", "statements/read/mine"]).await,
        server.credential("acme", &["statements/write", "statements/read/mine"]).await,
    );
    ours.post(PATH, &one(1)).await.expect(200);
    admin.post(PATH, &voiding_statement(2, 1)).await.expect(200);
    let ada = server.person("learner", "ada");
    for caller in [&ours, &admin, &ada] {
        assert_eq!(states(caller, 1).await, (404, 200));
    }
    for caller in [&others, &server.person("learner", "bo")] {
        assert_eq!(states(caller, 1).await, (404, 404));
    }
    assert_eq!(found(&ours, "").await, Vec::<usize>::new(), "the voiding is another's");
}
