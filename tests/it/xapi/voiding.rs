//! Tests of voiding (xAPI 1.0.3, Data 2.3.2): which statements are voided in which order, and who can read
//! voided statements.

use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement, user};
use crate::support::http::Caller;
use crate::support::records::{COMPLETED, STATEMENTS as PATH, find_statements, id, voiding_statement};
use crate::support::{TestServer, apply, both_databases};

fn numbered_statement(n: usize) -> Value {
    statement(mailbox("ada@example.org"), COMPLETED, "urn:c").set("id", id(n)).json()
}

/// The statuses of reading a statement by `statementId` and by `voidedStatementId`.
async fn statuses(caller: &Caller, n: usize) -> (u16, u16) {
    let valid = caller.get(&format!("{PATH}?statementId={}", id(n))).await.status;
    (valid, caller.get(&format!("{PATH}?voidedStatementId={}", id(n))).await.status)
}

/// All permutations.
fn permutations<T: Clone>(elements: &[T]) -> Vec<Vec<T>> {
    if elements.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for index in 0..elements.len() {
        let mut rest = elements.to_vec();
        let first = rest.remove(index);
        all.extend(permutations(&rest).into_iter().map(|mut order| {
            order.insert(0, first.clone());
            order
        }));
    }
    all
}

/// A statement, its voiding, and a voiding of the voiding, in every order, alone and in one request: only
/// the statement is voided.
#[apply(both_databases)]
async fn voiding_works_in_every_order(server: &TestServer) {
    for (number, order) in
        permutations(&[numbered_statement(1), voiding_statement(2, 1), voiding_statement(3, 2)])
            .into_iter()
            .enumerate()
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
            let all = (statuses(&admin, 1).await, statuses(&admin, 2).await, statuses(&admin, 3).await);
            assert_eq!(all, ((404, 200), (200, 404), (200, 404)), "{order:?} together: {together}");
            let mut listed = find_statements(&admin, "").await;
            listed.sort_unstable();
            assert_eq!(listed, [2, 3]);
            let rows = admin.list("/v1/activities", "activities").await;
            assert!(
                rows.iter().all(|row| row["id"] != id(1)),
                "the voided statement must not be in the log: {rows:?}"
            );
        }
    }
}

#[apply(both_databases)]
async fn voided_statement_is_returned_unchanged(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &numbered_statement(1)).await.expect(200);
    let before = admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).text().to_owned();
    admin.post(PATH, &voiding_statement(2, 1)).await.expect(200);
    let after = admin.get(&format!("{PATH}?voidedStatementId={}", id(1))).await.expect(200);
    assert_eq!(after.text(), before);
    let ids = admin.get(&format!("{PATH}?voidedStatementId={}&format=ids", id(1))).await.expect(200).json();
    assert_eq!(ids["verb"], json!({"id": COMPLETED}));
    assert!(after.header("x-experience-api-consistent-through").is_some());
}

/// A voided statement can be sent again, another one with its id is a conflict, and a new id creates a new
/// statement.
#[apply(both_databases)]
async fn voided_statement_keeps_its_id(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &json!([numbered_statement(1), voiding_statement(2, 1)])).await.expect(200);
    admin.post(PATH, &numbered_statement(1)).await.expect(200);
    admin.put(&format!("{PATH}?statementId={}", id(1)), &numbered_statement(1)).await.expect(204);
    let mut other = numbered_statement(1);
    other["object"]["id"] = json!("urn:other");
    admin.post(PATH, &other).await.expect(409);
    assert_eq!(statuses(&admin, 1).await, (404, 200));
    admin.post(PATH, &numbered_statement(3)).await.expect(200);
    assert_eq!(find_statements(&admin, "").await, [3, 2]);
}

/// A second voiding, and a repeated voiding, change nothing.
#[apply(both_databases)]
async fn second_voiding_changes_nothing(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &json!([numbered_statement(1), voiding_statement(2, 1)])).await.expect(200);
    admin.post(PATH, &voiding_statement(2, 1)).await.expect(200);
    admin.post(PATH, &voiding_statement(3, 1)).await.expect(200);
    assert_eq!(find_statements(&admin, "").await, [3, 2]);
    assert_eq!(statuses(&admin, 1).await, (404, 200));
}

/// A voiding of itself, and two voidings of each other, are not voided.
#[apply(both_databases)]
async fn voiding_in_a_ring_is_not_voided(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin
        .post(PATH, &json!([voiding_statement(1, 1), voiding_statement(2, 3), voiding_statement(3, 2)]))
        .await
        .expect(200);
    for n in 1..=3 {
        assert_eq!(statuses(&admin, n).await, (200, 404), "{n}");
    }
    assert_eq!(find_statements(&admin, "").await, [3, 2, 1]);
}

/// Only the verb `voided` voids. A reference with another verb, a SubStatement and `context.statement` do
/// not.
#[apply(both_databases)]
async fn only_the_voided_verb_voids(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post(PATH, &numbered_statement(1)).await.expect(200);
    let mut other_verb = voiding_statement(2, 1);
    other_verb["verb"]["id"] = json!("http://adlnet.gov/expapi/verbs/commented");
    let mut with_substatement = numbered_statement(3);
    let mut substatement = voiding_statement(4, 1);
    substatement.as_object_mut().expect("an object").remove("id");
    substatement["objectType"] = json!("SubStatement");
    with_substatement["object"] = substatement;
    let mut with_context_statement = numbered_statement(5);
    with_context_statement["context"] = json!({"statement": {"objectType": "StatementRef", "id": id(1)}});
    admin.post(PATH, &json!([other_verb, with_substatement, with_context_statement])).await.expect(200);
    assert_eq!(statuses(&admin, 1).await, (200, 404));
    // A voiding needs a valid StatementRef (Data 2.3.2).
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
    assert_eq!(find_statements(&admin, "").await, [5, 3, 2, 1]);
}

/// A voiding applies only within its organisation, and not if its request is refused.
#[apply(both_databases)]
async fn voiding_applies_only_within_the_organisation(server: &TestServer) {
    let (admin, other) =
        (server.person("admin", "root"), server.person_of("other", json!({"sub": "root", "role": "admin"})));
    for caller in [&admin, &other] {
        caller.post(PATH, &numbered_statement(1)).await.expect(200);
    }
    other.post(PATH, &voiding_statement(2, 1)).await.expect(200);
    assert_eq!((statuses(&admin, 1).await, statuses(&other, 1).await), ((200, 404), (404, 200)));
    // A refused batch voids nothing.
    admin.post(PATH, &json!([voiding_statement(3, 1), {"actor": {}}])).await.expect(400);
    let mut conflict = numbered_statement(1);
    conflict["verb"]["id"] = json!("urn:other");
    admin.post(PATH, &json!([voiding_statement(3, 1), conflict])).await.expect(409);
    assert_eq!(statuses(&admin, 1).await, (200, 404));
}

/// A caller reads voided statements that they could read before.
#[apply(both_databases)]
async fn voided_statement_is_visible_to_former_readers(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    let (sending_credential, other_credential) = (
        server.credential("acme", &["statements/write", "statements/read/mine"]).await,
        server.credential("acme", &["statements/write", "statements/read/mine"]).await,
    );
    sending_credential.post(PATH, &numbered_statement(1)).await.expect(200);
    admin.post(PATH, &voiding_statement(2, 1)).await.expect(200);
    let ada = server.person("learner", "ada");
    for caller in [&sending_credential, &admin, &ada] {
        assert_eq!(statuses(caller, 1).await, (404, 200));
    }
    for caller in [&other_credential, &server.person("learner", "bo")] {
        assert_eq!(statuses(caller, 1).await, (404, 404));
    }
    assert_eq!(
        find_statements(&sending_credential, "").await,
        Vec::<usize>::new(),
        "another caller sent the voiding"
    );
}
