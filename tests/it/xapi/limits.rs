//! Tests of the limits of `/xapi`, at each limit and above it. Above the limit, the answer names the limit
//! and nothing is stored.

use reqwest::Method;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::builders::{Body, mailbox, statement};
use crate::support::http::{Answer, Caller, encode_segment};
use crate::support::records::{STATEMENTS, VIEWED};
use crate::support::server::run_with;
use crate::support::{Database, TestServer};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Small limits with different values.
fn small_limits() -> Limits {
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

/// Runs a test with these limits on both databases.
fn run_on_both_databases(limits: Limits, journey: impl AsyncFn(&TestServer)) {
    for database in [Database::sqlite(), Database::postgres()] {
        let options = AppOptions { limits: limits.clone(), ..AppOptions::default() };
        run_with(database, options, &journey);
    }
}

fn viewed_statement() -> Body {
    statement(mailbox("ada@example.org"), VIEWED, "https://example.org/c")
}

/// A list of `count` agents.
fn some_agents(count: usize) -> Value {
    (0..count).map(|n| mailbox(&format!("a{n}@example.org"))).collect()
}

fn group_of(count: usize) -> Value {
    json!({"objectType": "Group", "member": some_agents(count)})
}

async fn count_statements(caller: &Caller) -> usize {
    let mut count = 0;
    let mut next = format!("{STATEMENTS}?ascending=true");
    while !next.is_empty() {
        let page = caller.get(&next).await.expect(200).json();
        count += page["statements"].as_array().expect("statements").len();
        next = page["more"].as_str().expect("more").to_owned();
    }
    count
}

/// Sends statements in version 2, which has more parts.
async fn post(caller: &Caller, body: &Value) -> Answer {
    let headers = [JSON, ("x-experience-api-version", "2.0.0")];
    caller.send(Method::POST, STATEMENTS, &headers, body.to_string().into_bytes()).await
}

/// Many short values need more memory than their bytes, so that their number is limited too.
#[test]
fn body_has_a_limit_of_values() {
    run_on_both_databases(Limits::default(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let ones = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        let send =
            async |path: &str, text: String| admin.send(Method::POST, path, &[JSON], text.into_bytes()).await;
        let extended = |count: usize| {
            let text =
                viewed_statement().set("context.extensions", json!({"https://example.org/x": "!"})).json();
            text.to_string().replace("\"!\"", &ones(count))
        };
        // Ten megabytes of short values: more elements than a batch may have, in an extension, and as an
        // invalid statement.
        let count_above_limits = 5_200_000;
        let refused = send(STATEMENTS, ones(count_above_limits)).await.expect(413).json();
        assert_eq!(
            (&refused["code"], refused["detail"].as_str().map(|detail| detail.contains("5200000"))),
            (&json!("batch-too-long"), Some(true))
        );
        let by_id = format!("{STATEMENTS}?statementId=00000000-0000-4000-8000-000000000001");
        for (method, path, text) in [
            (Method::POST, STATEMENTS, extended(count_above_limits)),
            (Method::POST, STATEMENTS, format!("[{}]", extended(1_000_000))),
            (Method::POST, STATEMENTS, format!("[{}]", ones(1_000_000))),
            (Method::PUT, &by_id, extended(1_000_000)),
            (Method::POST, "/v1/activities", ones(1_000_000)),
            (Method::PATCH, "/v1/organisation", format!("{{\"a\":{}}}", ones(1_000_000))),
        ] {
            // The tree of a merge patch takes more memory.
            let limit = if method == Method::PATCH { "65536 values" } else { "1000000 values" };
            let refused = admin.send(method, path, &[JSON], text.into_bytes()).await.expect(400).json();
            assert!(
                refused["detail"].as_str().is_some_and(|detail| detail.contains(limit)),
                "{path}: {refused}"
            );
        }
        for (headers, text) in [
            ("application/json", ones(count_above_limits)),
            ("application/x-ndjson", "1\n".repeat(count_above_limits)),
        ] {
            let refused = admin
                .send(Method::POST, "/v1/activities/batch", &[("content-type", headers)], text.into_bytes())
                .await;
            assert_eq!(refused.expect(413).json()["code"], "batch-too-long", "{headers}");
        }
        assert_eq!(count_statements(&admin).await, 0);
        send(STATEMENTS, extended(900_000)).await.expect(200);
        assert_eq!(count_statements(&admin).await, 1);
    });
}

#[test]
fn statement_has_limits_of_its_parts() {
    run_on_both_databases(small_limits(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let related = |headers: &str, part: &str, each: &dyn Fn(usize) -> Value, count: usize| -> Value {
            (0..count).map(|n| json!({"objectType": headers, part: each(n)})).collect()
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
            ("/actor/member", 3, Box::new(|n| viewed_statement().set("actor", group_of(n)))),
            ("/object/member", 3, Box::new(|n| viewed_statement().set("object", group_of(n)))),
            ("/context/team/member", 3, Box::new(|n| viewed_statement().set("context.team", group_of(n)))),
            (
                "/context/instructor/member",
                3,
                Box::new(|n| viewed_statement().set("context.instructor", group_of(n))),
            ),
            (
                "/context/contextAgents",
                3,
                Box::new(|n| {
                    viewed_statement().set("context.contextAgents", related("contextAgent", "agent", &one, n))
                }),
            ),
            (
                "/context/contextGroups",
                3,
                Box::new(|n| {
                    viewed_statement()
                        .set("context.contextGroups", related("contextGroup", "group", &|_| group_of(1), n))
                }),
            ),
            (
                "/context/contextGroups/0/group/member",
                3,
                Box::new(|n| {
                    viewed_statement()
                        .set("context.contextGroups", related("contextGroup", "group", &|_| group_of(n), 1))
                }),
            ),
            (
                "/object/actor/member",
                3,
                Box::new(|n| viewed_statement().set("object", inner(json!({"actor": group_of(n)})))),
            ),
            (
                "/context/contextActivities/parent",
                5,
                Box::new(|n| viewed_statement().set("context.contextActivities.parent", activities(n))),
            ),
            (
                "/context/contextActivities/grouping",
                5,
                Box::new(|n| viewed_statement().set("context.contextActivities.grouping", activities(n))),
            ),
            (
                "/context/contextActivities/category",
                5,
                Box::new(|n| viewed_statement().set("context.contextActivities.category", activities(n))),
            ),
            (
                "/context/contextActivities/other",
                5,
                Box::new(|n| viewed_statement().set("context.contextActivities.other", activities(n))),
            ),
            (
                "/object/context/contextActivities/other",
                5,
                Box::new(|n| {
                    viewed_statement().set(
                        "object",
                        inner(json!({"context": {"contextActivities": {"other": activities(n)}}})),
                    )
                }),
            ),
            ("/attachments", 2, Box::new(|n| viewed_statement().set("attachments", attachments(n)))),
            (
                "/object/attachments",
                2,
                Box::new(|n| viewed_statement().set("object", inner(json!({"attachments": attachments(n)})))),
            ),
        ];
        let mut valid = 0;
        for (pointer, limit, make) in &cases {
            post(&admin, &make(*limit).json()).await.expect(200);
            valid += 1;
            let refused = post(&admin, &make(limit + 1).json()).await.expect(400).json();
            assert_eq!((&refused["code"], &refused["pointer"]), (&json!("invalid-body"), &json!(pointer)));
            let detail = refused["detail"].as_str().expect("a detail");
            assert!(detail.contains(&limit.to_string()), "{pointer}: {detail}");
            // In a batch, the pointer contains the number of the statement, and the valid one is not stored
            // either.
            let refused = post(&admin, &json!([viewed_statement().json(), make(limit + 1).json()]))
                .await
                .expect(400)
                .json();
            assert_eq!(refused["pointer"], format!("/1{pointer}"));
        }
        assert_eq!(count_statements(&admin).await, valid);
    });
}

#[test]
fn request_has_limits_of_statements_depth_and_size() {
    run_on_both_databases(small_limits(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let batch = |count: usize| -> Value { (0..count).map(|_| viewed_statement().json()).collect() };
        post(&admin, &batch(4)).await.expect(200);
        let refused = post(&admin, &batch(5)).await.expect(413).json();
        assert_eq!(refused["code"], "batch-too-long");
        assert!(
            refused["detail"].as_str().is_some_and(|detail| detail.contains("5") && detail.contains("4")),
            "{refused}"
        );

        // The levels are the statement, its result, the extensions, and the content of one of them.
        let deep = |levels: usize| {
            viewed_statement()
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
            let text = viewed_statement().json().to_string();
            format!("{}{text}", " ".repeat(bytes - text.len()))
        };
        send(long(20_000)).await.expect(200);
        let refused = send(long(20_001)).await.expect(413).json();
        assert_eq!(refused["code"], "body-too-large");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("20000")), "{refused}");
        assert_eq!(count_statements(&admin).await, 6);

        // A page has at most two statements, and the rest follows.
        for limit in ["limit=0", "limit=2", "limit=3", "limit=1000000", ""] {
            let page = admin.get(&format!("{STATEMENTS}?{limit}")).await.expect(200).json();
            assert_eq!(page["statements"].as_array().map(Vec::len), Some(2), "{limit}");
            assert_ne!(page["more"], "", "{limit}");
        }
    });
}

#[test]
fn document_has_a_limit_of_bytes() {
    run_on_both_databases(small_limits(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let agent = encode_segment(&mailbox("ada@example.org").to_string());
        let headers = [("content-type", "application/octet-stream"), ("if-none-match", "*")];
        for path in [
            format!("/xapi/activities/state?activityId=urn:c&agent={agent}&stateId="),
            "/xapi/activities/profile?activityId=urn:c&profileId=".to_owned(),
            format!("/xapi/agents/profile?agent={agent}&profileId="),
        ] {
            for method in [Method::PUT, Method::POST] {
                let send = async |name: &str, bytes: usize| {
                    // The server reads the rest of the body, so that the client gets the answer.
                    admin
                        .send(method.clone(), &format!("{path}{method}-{name}"), &headers, vec![b'x'; bytes])
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

/// A multipart body with one statement and one attachment of this size.
fn with_attachment(bytes: usize) -> Vec<u8> {
    let content = vec![b'y'; bytes];
    let sha2: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let declared = json!([{"usageType": "https://example.org/file", "display": {"en": "File"}, "contentType": "application/octet-stream",
        "length": bytes, "sha2": sha2}]);
    let one = viewed_statement().set("attachments", declared).json();
    let head = format!(
        "--boundary\r\nContent-Type: application/json\r\n\r\n{one}\r\n--boundary\r\nContent-Type: application/octet-stream\r\n\
         Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {sha2}\r\n\r\n"
    );
    [head.as_bytes(), &content, b"\r\n--boundary--\r\n"].concat()
}

#[test]
fn attachment_has_a_limit_of_bytes() {
    run_on_both_databases(small_limits(), async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let headers = [("content-type", "multipart/mixed; boundary=boundary")];
        let send =
            async |bytes: usize| admin.send(Method::POST, STATEMENTS, &headers, with_attachment(bytes)).await;
        // An attachment may be larger than a JSON body.
        send(30_000).await.expect(200);
        for bytes in [30_001, 45_000] {
            let refused = send(bytes).await.expect(413).json();
            assert_eq!(refused["code"], "body-too-large");
            assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("30000")), "{refused}");
        }
        assert_eq!(count_statements(&admin).await, 1);
    });
}
