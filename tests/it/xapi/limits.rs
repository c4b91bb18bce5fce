//! The limits at this door, each at its number and one past it: past it the answer says which limit it was, and
//! nothing is kept.

use reqwest::Method;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::builders::{Body, mailbox, statement};
use crate::support::http::{Answer, Caller, encode_segment};
use crate::support::server::run_with;
use crate::support::{Database, TestServer};

const STATEMENTS: &str = "/xapi/statements";
const VIEWED: &str = "http://id.tincanapi.com/verb/viewed";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Small ones, each of another size.
fn small() -> Limits {
    Limits {
        body_bytes: 20_000,
        attachment_bytes: 30_000,
        document_bytes: 25_000,
        batch: 4,
        json_depth: 9,
        group_members: 3,
        context_activities: 5,
        attachments: 2,
        page_max: 2,
        ..Limits::default()
    }
}

/// Runs a journey under these limits on both databases.
fn on_both(limits: Limits, journey: impl AsyncFn(&TestServer)) {
    for database in [Database::sqlite(), Database::postgres()] {
        let options = AppOptions { limits: limits.clone(), ..AppOptions::default() };
        run_with(database, options, &journey);
    }
}

fn viewed() -> Body {
    statement(mailbox("ada@example.org"), VIEWED, "https://example.org/c")
}

/// So many agents.
fn agents(count: usize) -> Value {
    (0..count).map(|n| mailbox(&format!("a{n}@example.org"))).collect()
}

fn group(count: usize) -> Value {
    json!({"objectType": "Group", "member": agents(count)})
}

async fn kept(caller: &Caller) -> usize {
    let mut count = 0;
    let mut next = format!("{STATEMENTS}?ascending=true");
    while !next.is_empty() {
        let page = caller.get(&next).await.expect(200).json();
        count += page["statements"].as_array().expect("statements").len();
        next = page["more"].as_str().expect("more").to_owned();
    }
    count
}

/// Sends it as version 2, which has all that there is.
async fn post(caller: &Caller, body: &Value) -> Answer {
    let headers = [JSON, ("x-experience-api-version", "2.0.0")];
    caller.send(Method::POST, STATEMENTS, &headers, body.to_string().into_bytes()).await
}

/// A tree of many short values takes many times their bytes, so they are counted too.
#[test]
fn how_many_values_a_body_may_have() {
    on_both(Limits::default(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let ones = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        let send =
            async |path: &str, text: String| admin.send(Method::POST, path, &[JSON], text.into_bytes()).await;
        let extended = |count: usize| {
            let text = viewed().set("context.extensions", json!({"https://example.org/x": "!"})).json();
            text.to_string().replace("\"!\"", &ones(count))
        };
        // Ten megabytes of a value after another: more elements than a batch may have, in a list of an extension,
        // or as what is no statement at all.
        let many = 5_200_000;
        let refused = send(STATEMENTS, ones(many)).await.expect(413).json();
        assert_eq!(
            (&refused["code"], refused["detail"].as_str().map(|detail| detail.contains("5200000"))),
            (&json!("batch-too-long"), Some(true))
        );
        let by_id = format!("{STATEMENTS}?statementId=00000000-0000-4000-8000-000000000001");
        for (method, path, text) in [
            (Method::POST, STATEMENTS, extended(many)),
            (Method::POST, STATEMENTS, format!("[{}]", extended(1_000_000))),
            (Method::POST, STATEMENTS, format!("[{}]", ones(1_000_000))),
            (Method::PUT, &by_id, extended(1_000_000)),
            (Method::POST, "/v1/activities", ones(1_000_000)),
            (Method::PATCH, "/v1/organisation", format!("{{\"a\":{}}}", ones(1_000_000))),
        ] {
            let refused = admin.send(method, path, &[JSON], text.into_bytes()).await.expect(400).json();
            assert!(
                refused["detail"].as_str().is_some_and(|detail| detail.contains("1000000 values")),
                "{path}: {refused}"
            );
        }
        for (kind, text) in [("application/json", ones(many)), ("application/x-ndjson", "1\n".repeat(many))] {
            let refused = admin
                .send(Method::POST, "/v1/activities/batch", &[("content-type", kind)], text.into_bytes())
                .await;
            assert_eq!(refused.expect(413).json()["code"], "batch-too-long", "{kind}");
        }
        assert_eq!(kept(&admin).await, 0);
        send(STATEMENTS, extended(900_000)).await.expect(200);
        assert_eq!(kept(&admin).await, 1);
    });
}

#[test]
fn what_a_statement_may_hold() {
    on_both(small(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let related = |kind: &str, part: &str, each: &dyn Fn(usize) -> Value, count: usize| -> Value {
            (0..count).map(|n| json!({"objectType": kind, part: each(n)})).collect()
        };
        let one = |n: usize| mailbox(&format!("a{n}@example.org"));
        let activities = |count: usize| -> Value {
            (0..count).map(|n| json!({"id": format!("https://example.org/{n}")})).collect()
        };
        let attachments = |count: usize| -> Value {
            let each = |n: usize| {
                json!({"usageType": "https://example.org/file", "display": {"en": "File"}, "contentType": "text/plain",
                "length": 1, "sha2": format!("{n:064}"), "fileUrl": format!("https://example.org/{n}")})
            };
            (0..count).map(each).collect()
        };
        let inner = |part: Value| {
            let mut inner = json!({"objectType": "SubStatement", "actor": mailbox("bo@example.org"), "verb": {"id": VIEWED}, "object": {"id": "https://example.org/c"}});
            inner.as_object_mut().expect("an object").extend(part.as_object().expect("an object").clone());
            inner
        };
        type Make<'m> = Box<dyn Fn(usize) -> Body + 'm>;
        let cases: Vec<(&str, usize, Make<'_>)> = vec![
            ("/actor/member", 3, Box::new(|n| viewed().set("actor", group(n)))),
            ("/object/member", 3, Box::new(|n| viewed().set("object", group(n)))),
            ("/context/team/member", 3, Box::new(|n| viewed().set("context.team", group(n)))),
            ("/context/instructor/member", 3, Box::new(|n| viewed().set("context.instructor", group(n)))),
            (
                "/context/contextAgents",
                3,
                Box::new(|n| {
                    viewed().set("context.contextAgents", related("contextAgent", "agent", &one, n))
                }),
            ),
            (
                "/context/contextGroups",
                3,
                Box::new(|n| {
                    viewed().set("context.contextGroups", related("contextGroup", "group", &|_| group(1), n))
                }),
            ),
            (
                "/context/contextGroups/0/group/member",
                3,
                Box::new(|n| {
                    viewed().set("context.contextGroups", related("contextGroup", "group", &|_| group(n), 1))
                }),
            ),
            (
                "/object/actor/member",
                3,
                Box::new(|n| viewed().set("object", inner(json!({"actor": group(n)})))),
            ),
            (
                "/context/contextActivities/parent",
                5,
                Box::new(|n| viewed().set("context.contextActivities.parent", activities(n))),
            ),
            (
                "/context/contextActivities/grouping",
                5,
                Box::new(|n| viewed().set("context.contextActivities.grouping", activities(n))),
            ),
            (
                "/context/contextActivities/category",
                5,
                Box::new(|n| viewed().set("context.contextActivities.category", activities(n))),
            ),
            (
                "/context/contextActivities/other",
                5,
                Box::new(|n| viewed().set("context.contextActivities.other", activities(n))),
            ),
            (
                "/object/context/contextActivities/other",
                5,
                Box::new(|n| {
                    viewed().set(
                        "object",
                        inner(json!({"context": {"contextActivities": {"other": activities(n)}}})),
                    )
                }),
            ),
            ("/attachments", 2, Box::new(|n| viewed().set("attachments", attachments(n)))),
            (
                "/object/attachments",
                2,
                Box::new(|n| viewed().set("object", inner(json!({"attachments": attachments(n)})))),
            ),
        ];
        let mut good = 0;
        for (pointer, most, make) in &cases {
            post(&admin, &make(*most).json()).await.expect(200);
            good += 1;
            let refused = post(&admin, &make(most + 1).json()).await.expect(400).json();
            assert_eq!((&refused["code"], &refused["pointer"]), (&json!("invalid-body"), &json!(pointer)));
            let detail = refused["detail"].as_str().expect("a detail");
            assert!(detail.contains(&most.to_string()), "{pointer}: {detail}");
            // In a batch the pointer has the statement's number, and the good one isn't kept either.
            let refused =
                post(&admin, &json!([viewed().json(), make(most + 1).json()])).await.expect(400).json();
            assert_eq!(refused["pointer"], format!("/1{pointer}"));
        }
        assert_eq!(kept(&admin).await, good);
    });
}

#[test]
fn how_many_statements_how_deep_and_how_long() {
    on_both(small(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let batch = |count: usize| -> Value { (0..count).map(|_| viewed().json()).collect() };
        post(&admin, &batch(4)).await.expect(200);
        let refused = post(&admin, &batch(5)).await.expect(413).json();
        assert_eq!(refused["code"], "batch-too-long");
        assert!(
            refused["detail"].as_str().is_some_and(|detail| detail.contains("5") && detail.contains("4")),
            "{refused}"
        );

        // The statement, its result, the extensions, and what lies in one of them.
        let deep = |levels: usize| {
            viewed()
                .set("result.extensions", json!({"https://example.org/deep": "!"}))
                .json()
                .to_string()
                .replace("\"!\"", &format!("{}1{}", "[".repeat(levels), "]".repeat(levels)))
        };
        let send =
            async |text: String| admin.send(Method::POST, STATEMENTS, &[JSON], text.into_bytes()).await;
        send(deep(6)).await.expect(200);
        let refused = send(deep(7)).await.expect(400).json();
        let pointer = refused["pointer"].as_str().expect("a pointer");
        assert!(pointer.starts_with("/result/extensions/https:~1~1example.org~1deep/0"), "{refused}");

        let long = |bytes: usize| {
            let text = viewed().json().to_string();
            format!("{}{text}", " ".repeat(bytes - text.len()))
        };
        send(long(20_000)).await.expect(200);
        let refused = send(long(20_001)).await.expect(413).json();
        assert_eq!(refused["code"], "body-too-large");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("20000")), "{refused}");
        assert_eq!(kept(&admin).await, 6);

        // A page has at most so many, whatever is asked for; the rest follows.
        for limit in ["limit=0", "limit=2", "limit=3", "limit=1000000", ""] {
            let page = admin.get(&format!("{STATEMENTS}?{limit}")).await.expect(200).json();
            assert_eq!(page["statements"].as_array().map(Vec::len), Some(2), "{limit}");
            assert_ne!(page["more"], "", "{limit}");
        }
    });
}

#[test]
fn how_large_a_document_may_be() {
    on_both(small(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let agent = encode_segment(&mailbox("ada@example.org").to_string());
        let kind = [("content-type", "application/octet-stream"), ("if-none-match", "*")];
        for path in [
            format!("/xapi/activities/state?activityId=urn:c&agent={agent}&stateId="),
            "/xapi/activities/profile?activityId=urn:c&profileId=".to_owned(),
            format!("/xapi/agents/profile?agent={agent}&profileId="),
        ] {
            for method in [Method::PUT, Method::POST] {
                let send = async |name: &str, bytes: usize| {
                    // What is sent after the refusal is taken in: the client sees the answer.
                    admin
                        .send(method.clone(), &format!("{path}{method}-{name}"), &kind, vec![b'x'; bytes])
                        .await
                };
                send("most", 25_000).await.expect(204);
                for bytes in [25_001, 50_000] {
                    let refused = send("more", bytes).await.expect(413).json();
                    assert_eq!(refused["code"], "body-too-large");
                    assert!(
                        refused["detail"].as_str().is_some_and(|detail| detail.contains("25000")),
                        "{refused}"
                    );
                }
                let read = admin.get(&format!("{path}{method}-most")).await.expect(200);
                assert_eq!(read.body.len(), 25_000);
                admin.get(&format!("{path}{method}-more")).await.expect(404);
            }
        }
    });
}

/// One statement with one attachment of so many bytes, as multipart/mixed.
fn with_attachment(bytes: usize) -> Vec<u8> {
    let content = vec![b'y'; bytes];
    let sha2: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let declared = json!([{"usageType": "https://example.org/file", "display": {"en": "File"}, "contentType": "application/octet-stream",
        "length": bytes, "sha2": sha2}]);
    let one = viewed().set("attachments", declared).json();
    let head = format!(
        "--app_state\r\nContent-Type: application/json\r\n\r\n{one}\r\n--app_state\r\nContent-Type: application/octet-stream\r\n\
         Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {sha2}\r\n\r\n"
    );
    [head.as_bytes(), &content, b"\r\n--app_state--\r\n"].concat()
}

#[test]
fn how_large_an_attachment_may_be() {
    on_both(small(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let kind = [("content-type", "multipart/mixed; boundary=app_state")];
        let send =
            async |bytes: usize| admin.send(Method::POST, STATEMENTS, &kind, with_attachment(bytes)).await;
        // An attachment may be larger than a body of JSON.
        send(30_000).await.expect(200);
        for bytes in [30_001, 45_000] {
            let refused = send(bytes).await.expect(413).json();
            assert_eq!(refused["code"], "body-too-large");
            assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("30000")), "{refused}");
        }
        assert_eq!(kept(&admin).await, 1);
    });
}
