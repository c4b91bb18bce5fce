//! Statements for another record store: a second Rollbook server, over HTTP, with attachments.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{create, path_of, short_sessions, statuses, wait_for_deliveries, with_worker};
use crate::support::http::Caller;
use crate::support::process::{Process, serve};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::records::{STATEMENTS, id, numbered_statement, voiding_statement};
use crate::support::server::{run_with, sign};
use crate::support::{Database, TestServer, apply};

/// Another Rollbook server, in a process of its own.
struct Other {
    process: Process,
    database: Database,
    key: String,
    secret: String,
}

impl Other {
    async fn start() -> Self {
        let database = Database::sqlite();
        database.create().await;
        let process = Process::start(serve(&database));
        let admin = admin_of(&process.base);
        let body = json!({"name": "forwarding", "scopes": ["statements/write"]});
        let created = admin.post("/v1/credentials", &body).await.expect(201).json();
        let text = |name: &str| created[name].as_str().expect("a text").to_owned();
        Self { process, database, key: text("key"), secret: text("secret") }
    }

    fn admin(&self) -> Caller {
        admin_of(&self.process.base)
    }

    fn subscription(&self) -> Value {
        json!({
            "format": "statement", "url": format!("{}/xapi", self.process.base),
            "auth": {"scheme": "basic", "key": self.key, "secret": self.secret},
        })
    }

    /// Waits until the other server has this number of statements, and returns them, the oldest first.
    async fn wait_for_statements(&self, count: usize) -> Vec<Value> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let page =
                self.admin().get(&format!("{STATEMENTS}?ascending=true&limit=200")).await.expect(200).json();
            let statements = page["statements"].as_array().cloned().expect("statements");
            if statements.len() >= count {
                return statements;
            }
            assert!(Instant::now() < until, "{} of {count} statements came", statements.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stop(self) {
        drop(self.process);
        self.database.delete().await;
    }
}

fn admin_of(base: &str) -> Caller {
    let claims = json!({"sub": "root", "org": "target", "role": "admin", "exp": 4_000_000_000_i64});
    Caller::anonymous(reqwest::Client::new(), base).with_token(&sign(&claims))
}

/// A statement with number `n` and an attachment with this content, as a multipart body.
fn with_attachment(n: usize, content: &[u8]) -> (String, Vec<u8>) {
    let sha2: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut statement = numbered_statement(n);
    statement["attachments"] = json!([{
        "usageType": "http://example.org/certificate", "display": {"en": "A certificate"},
        "contentType": "application/octet-stream", "length": content.len(), "sha2": sha2,
    }]);
    let mut body = format!("--cut\r\nContent-Type: application/json\r\n\r\n{statement}\r\n").into_bytes();
    body.extend_from_slice(
        format!(
            "--cut\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\
             X-Experience-API-Hash: {sha2}\r\n\r\n"
        )
        .as_bytes(),
    );
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--cut--\r\n");
    ("multipart/mixed; boundary=cut".to_owned(), body)
}

/// The members of a statement that every record store keeps.
fn kept(statement: &Value) -> Value {
    let mut statement = statement.clone();
    for member in ["stored", "authority", "version"] {
        statement.as_object_mut().expect("an object").remove(member);
    }
    statement
}

#[apply(with_worker)]
async fn statements_are_forwarded_in_order_with_their_attachments(server: &TestServer) {
    let (admin, other) = (server.person("admin", "root"), Other::start().await);
    let subscription = create(&admin, other.subscription()).await;
    assert_eq!(subscription["secret"], Value::Null);
    assert_eq!(subscription["auth"], json!({"scheme": "basic", "key": other.key}));
    let content: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let batch: Vec<Value> = (1..=3).map(numbered_statement).collect();
    admin.post(STATEMENTS, &batch).await.expect(200);
    let (media_type, body) = with_attachment(4, &content);
    let headers = [("content-type", media_type.as_str())];
    admin.send(reqwest::Method::POST, STATEMENTS, &headers, body).await.expect(200);
    admin.post(STATEMENTS, &voiding_statement(5, 1)).await.expect(200);

    let listed = wait_for_deliveries(&admin, &subscription, |listed| {
        listed.iter().map(|one| one["records"].as_i64().expect("a number")).sum::<i64>() == 5
    });
    let listed = listed.await;
    assert!(statuses(&listed).iter().all(|status| *status == "delivered"), "{listed:#?}");
    // The voided statement is forwarded too, and voided there.
    let forwarded = other.wait_for_statements(4).await;
    let ours = admin.get(&format!("{STATEMENTS}?ascending=true")).await.expect(200).json();
    let ours: Vec<Value> = ours["statements"].as_array().expect("statements").iter().map(kept).collect();
    assert_eq!(forwarded.iter().map(kept).collect::<Vec<_>>(), ours);
    other.admin().get(&format!("{STATEMENTS}?voidedStatementId={}", id(1))).await.expect(200);
    let with =
        other.admin().get(&format!("{STATEMENTS}?statementId={}&attachments=true", id(4))).await.expect(200);
    assert!(with.body.windows(content.len()).any(|window| window == content), "the content came");

    other.stop().await;
}

#[apply(with_worker)]
async fn two_record_stores_that_forward_to_each_other_come_to_rest(server: &TestServer) {
    let admin = server.person("admin", "root");
    let second = server.person_of("second", json!({"sub": "root", "role": "admin"}));
    let keys = async |caller: &Caller| {
        let body = json!({"name": "forwarding", "scopes": ["statements/write"]});
        caller.post("/v1/credentials", &body).await.expect(201).json()
    };
    let (ours, theirs) = (keys(&admin).await, keys(&second).await);
    let body = |credential: &Value| {
        json!({"format": "statement", "url": format!("{}/xapi/", server.base),
            "auth": {"scheme": "basic", "key": credential["key"], "secret": credential["secret"]}})
    };
    let there = create(&admin, body(&theirs)).await;
    let back = create(&second, body(&ours)).await;
    admin.post(STATEMENTS, &numbered_statement(1)).await.expect(200);
    second.post(STATEMENTS, &numbered_statement(2)).await.expect(200);
    for (caller, subscription) in [(&admin, &there), (&second, &back)] {
        let listed = wait_for_deliveries(caller, subscription, |listed| {
            listed.iter().map(|one| one["records"].as_i64().expect("a number")).sum::<i64>() == 2
        });
        assert!(statuses(&listed.await).iter().all(|status| *status == "delivered"));
        let page = caller.get(STATEMENTS).await.expect(200).json();
        assert_eq!(page["statements"].as_array().map(Vec::len), Some(2));
    }
    // What came back was not sent once more.
    admin.post(STATEMENTS, &numbered_statement(3)).await.expect(200);
    for (caller, subscription) in [(&admin, &there), (&second, &back)] {
        let sent = |listed: &[Value]| -> i64 {
            listed.iter().map(|one| one["records"].as_i64().expect("a number")).sum()
        };
        let listed = wait_for_deliveries(caller, subscription, |listed| sent(listed) >= 3).await;
        assert_eq!(sent(&listed), 3, "{listed:#?}");
    }
}

#[apply(with_worker)]
async fn statement_that_is_refused_is_given_up_alone(server: &TestServer) {
    let (admin, other) = (server.person("admin", "root"), Other::start().await);
    // The other store has another statement with the same id.
    let mut conflicting = numbered_statement(3);
    conflicting["verb"] = json!({"id": "http://example.org/other"});
    other.admin().post(STATEMENTS, &conflicting).await.expect(200);
    let mut body = other.subscription();
    body["active"] = json!(false);
    let subscription = create(&admin, body).await;
    let batch: Vec<Value> = (1..=6).map(numbered_statement).collect();
    admin.post(STATEMENTS, &batch).await.expect(200);
    let path = path_of(&subscription);
    admin.post(&format!("{path}/resume"), &json!({})).await.expect(200);
    other.wait_for_statements(6).await;
    let listed = wait_for_deliveries(&admin, &subscription, |listed| {
        listed.iter().map(|one| one["records"].as_i64().expect("a number")).sum::<i64>() == 6
    });
    let listed = listed.await;
    let dead: Vec<&Value> = listed.iter().filter(|one| one["status"] == "dead").collect();
    assert_eq!(dead.len(), 1, "{listed:#?}");
    assert_eq!((&dead[0]["record"], &dead[0]["records"]), (&json!(id(3)), &json!(1)));
    assert_eq!(dead[0]["attempts"][0]["status"], 409);
    other.stop().await;
}

#[test]
fn refused_request_is_divided_beyond_the_end_of_a_session() {
    run_with(Database::sqlite(), short_sessions(), async |server: &TestServer| {
        let (admin, receiver) = (server.person("admin", "root"), Receiver::start().await);
        receiver.behave(Behaviour::Single);
        let body = json!({
            "format": "statement", "url": receiver.url("/lrs"), "active": false,
            "auth": {"scheme": "bearer", "token": "t0ken"},
        });
        let subscription = create(&admin, body).await;
        let batch: Vec<Value> = (1..=8).map(numbered_statement).collect();
        admin.post(STATEMENTS, &batch).await.expect(200);
        admin.post(&format!("{}/resume", path_of(&subscription)), &json!({})).await.expect(200);
        let listed = wait_for_deliveries(&admin, &subscription, |listed| listed.len() == 8).await;
        assert_eq!(statuses(&listed), ["delivered"; 8]);
    });
}

#[apply(with_worker)]
async fn filter_and_version_and_token_are_used(server: &TestServer) {
    let (admin, receiver) = (server.person("admin", "root"), Receiver::start().await);
    receiver.behave(Behaviour::status(200));
    let body = json!({
        "format": "statement", "url": receiver.url("/lrs/statements"), "xapi_version": "2.0.0",
        "auth": {"scheme": "bearer", "token": "t0ken"}, "filter": {"action": ["completed"]},
    });
    let subscription = create(&admin, body).await;
    let mut viewed = numbered_statement(1);
    viewed["verb"] = json!({"id": crate::support::records::VIEWED});
    admin.post(STATEMENTS, &json!([viewed, numbered_statement(2)])).await.expect(200);
    let received = receiver.wait_for(1).await;
    // The first is voided and was not sent, the second was.
    admin.post(STATEMENTS, &voiding_statement(3, 1)).await.expect(200);
    wait_for_deliveries(&admin, &subscription, |listed| statuses(listed) == ["delivered"]).await;
    admin.post(STATEMENTS, &voiding_statement(4, 2)).await.expect(200);
    let received_ids = |one: &crate::support::receiver::Received| -> Vec<Value> {
        one.json().as_array().expect("statements").iter().map(|statement| statement["id"].clone()).collect()
    };
    let second = receiver.wait_for(2).await.remove(1);
    assert_eq!(received_ids(&received[0]), [json!(id(2))]);
    assert_eq!(received_ids(&second), [json!(id(4))]);
    assert_eq!(second.line, "POST /lrs/statements");
    assert_eq!(second.header("x-experience-api-version"), "2.0.0");
    assert_eq!(second.header("authorization"), "Bearer t0ken");
    let tested = admin.post(&format!("{}/test", path_of(&subscription)), &json!({})).await.expect(200).json();
    assert_eq!(tested["status"], "delivered");
    assert_eq!(receiver.received()[2].body, b"[]");
}
