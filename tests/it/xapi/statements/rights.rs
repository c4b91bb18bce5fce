//! Tests of the rights to read and write statements.

use serde_json::{Value, json};

use super::numbered_statement;
use crate::support::builders::{mailbox, statement, user};
use crate::support::http::encode_segment;
use crate::support::records::{COMPLETED, STATEMENTS as PATH, find_statements, id, voiding_statement};
use crate::support::{TestServer, apply, both_databases};

#[apply(both_databases)]
async fn people_read_permitted_statements(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    admin.put("/v1/users/bo", &user("bo").set("manager", "ada")).await.expect(201);
    let account =
        |name: &str| json!({"account": {"homePage": "https://rollbook.invalid/acme", "name": name}});
    let by = |n: usize, actor: Value| statement(actor, COMPLETED, "urn:c").set("id", id(n));
    admin
        .post(
            PATH,
            &[
                by(1, mailbox("ada@example.org")),
                by(2, account("ada")),
                by(3, account("bo")),
                by(4, mailbox("cy@example.org")),
                by(5, account("cy"))
                    .set("object", json!({"objectType": "Agent", "mbox": "mailto:ada@example.org"})),
                by(6, json!({"objectType": "Group", "member": [mailbox("ada@example.org")]})),
            ],
        )
        .await
        .expect(200);
    admin.post(PATH, &voiding_statement(11, 1)).await.expect(200);
    for role in ["owner", "admin", "hr", "reporter", "learning_designer"] {
        assert_eq!(
            find_statements(&server.person(role, "ada"), "ascending=true").await,
            [2, 3, 4, 5, 6, 11],
            "{role}"
        );
    }
    let curator =
        server.person_of("acme", json!({"sub": "ada", "role": "curator", "permissions": ["reporting"]}));
    assert_eq!(find_statements(&curator, "ascending=true").await, [2, 3, 4, 5, 6, 11]);
    for role in ["curator", "manager", "learner"] {
        let own = server.person(role, "ada");
        assert_eq!(find_statements(&own, "").await, [2], "{role}: only their own statements");
        assert_eq!(find_statements(&own, "activity=urn:c&limit=1").await, [2]);
        own.get(&format!("{PATH}?statementId={}", id(2))).await.expect(200);
        own.get(&format!("{PATH}?voidedStatementId={}", id(1))).await.expect(200);
        for n in [3, 4, 5, 6] {
            own.get(&format!("{PATH}?statementId={}", id(n))).await.expect(404);
        }
        assert_eq!(
            find_statements(&own, &format!("agent={}", encode_segment(&account("bo").to_string()))).await,
            Vec::<usize>::new()
        );
    }
    assert_eq!(find_statements(&server.person("learner", "nobody"), "").await, Vec::<usize>::new());
    // The statements of a claimed address become visible.
    admin.patch("/v1/users/bo", &json!({"email": "cy@example.org"})).await.expect(200);
    assert_eq!(find_statements(&server.person("learner", "bo"), "").await, [4, 3]);
}

#[apply(both_databases)]
async fn credential_reads_statements_of_its_scopes(server: &TestServer) {
    let admin = server.person("admin", "root");
    let sending_credential = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    let other_credential =
        server.credential("acme", &["statements/write", "statements/read/mine", "activities/write"]).await;
    let one = |n: usize| numbered_statement(n, "ada@example.org", COMPLETED, "urn:c");
    sending_credential.post(PATH, &[one(1), one(2)]).await.expect(200);
    other_credential.post(PATH, &one(3)).await.expect(200);
    other_credential
        .post(
            "/v1/activities",
            &json!({"id": id(4), "user": {"email": "ada@example.org"}, "action": "logged_in"}),
        )
        .await
        .expect(201);
    admin.post(PATH, &one(5)).await.expect(200);
    assert_eq!(find_statements(&sending_credential, "").await, [2, 1]);
    assert_eq!(find_statements(&other_credential, "").await, [4, 3], "sent to either endpoint");
    sending_credential.get(&format!("{PATH}?statementId={}", id(3))).await.expect(404);
    sending_credential.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200);
    for scope in ["statements/read", "all/read", "all"] {
        let reader = server.credential("acme", &[scope]).await;
        assert_eq!(find_statements(&reader, "").await, [5, 4, 3, 2, 1], "{scope}");
    }
    // The widest scope applies.
    let both = server.credential("acme", &["statements/read/mine", "statements/read"]).await;
    assert_eq!(find_statements(&both, "").await.len(), 5);
    // An equal statement of another credential belongs to the first one.
    other_credential.post(PATH, &one(1)).await.expect(200);
    assert_eq!(find_statements(&other_credential, "").await, [4, 3]);
    let stored = admin.get(&format!("{PATH}?statementId={}", id(3))).await.expect(200).json();
    assert_eq!(stored["authority"]["account"]["homePage"], "https://rollbook.invalid/acme");
}

#[apply(both_databases)]
async fn definitions_need_the_scope_define(server: &TestServer) {
    let admin = server.person("admin", "root");
    let defined = |n: usize, title: &str, day: u32| {
        numbered_statement(n, "ada@example.org", COMPLETED, "urn:c")
            .set("timestamp", format!("2026-03-{day:02}T00:00:00Z"))
            .set(
                "object.definition",
                json!({"name": {"en": title}, "type": "http://adlnet.gov/expapi/activities/assessment"}),
            )
    };
    let title = async || {
        let content = admin.get("/v1/contents/urn:c").await.expect(200).json();
        (content["title"].clone(), content["type"].clone())
    };
    let without_define = server.credential("acme", &["statements/write"]).await;
    without_define.post(PATH, &defined(1, "Quiet", 1)).await.expect(200);
    assert_eq!(title().await, (Value::Null, Value::Null));
    assert_eq!(
        admin.get("/v1/activities").await.expect(200).json()["activities"][0]["description"],
        "Completed urn:c"
    );
    let with_define = server.credential("acme", &["statements/write", "define"]).await;
    with_define.post(PATH, &defined(2, "Two", 5)).await.expect(200);
    assert_eq!(title().await, (json!("Two"), json!("quiz")));
    without_define.post(PATH, &defined(3, "Quiet", 9)).await.expect(200);
    with_define.post(PATH, &defined(4, "Late", 4)).await.expect(200);
    assert_eq!(title().await.0, "Two", "the latest timestamp counts, not the arrival");
    let all = server.credential("acme", &["all"]).await;
    all.post(PATH, &defined(5, "All", 6)).await.expect(200);
    assert_eq!(title().await.0, "All", "`all` includes the scope `define`");
    admin.post(PATH, &defined(6, "Admin", 7)).await.expect(200);
    assert_eq!(title().await.0, "Admin");
    // The statement keeps its definition.
    let stored = admin.get(&format!("{PATH}?statementId={}", id(1))).await.expect(200).json();
    assert_eq!(stored["object"]["definition"]["name"]["en"], "Quiet");
}
