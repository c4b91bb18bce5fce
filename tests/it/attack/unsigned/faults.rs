//! Bodies with very many faults. They come from callers with credentials.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CREDENTIAL, MAX_PROBLEM_BYTES, client, ordinary, refusal, start};
use crate::support::watch::{Measured, watch};
use crate::support::{Database, TestServer, apply, both_databases};

const MIB: u64 = 1_048_576;

/// An object with many members that no resource has.
fn unknown_members(count: usize) -> String {
    let members: Vec<String> = (0..count).map(|number| format!("\"a{number}\":1")).collect();
    format!("{{{}}}", members.join(","))
}

/// The requests that read a JSON object, with a media type.
const WRITES: [(&str, &str, &str); 9] = [
    ("POST", "/v1/activities", "application/json"),
    ("PUT", "/v1/users/bo", "application/json"),
    ("PATCH", "/v1/users/bo", "application/merge-patch+json"),
    ("PUT", "/v1/contents/c", "application/json"),
    ("PUT", "/v1/teams/t", "application/json"),
    ("PATCH", "/v1/organisation", "application/merge-patch+json"),
    ("POST", "/v1/completions", "application/json"),
    ("POST", "/v1/users/bo/identifiers", "application/json"),
    ("POST", "/xapi/statements", "application/json"),
];

/// Sends the same body to every resource. Returns what was measured.
async fn send_everywhere(database: &Database, what: &str, body: &str) -> Measured {
    let server = start(database);
    let (client, attacked) = (client(), server.base.clone());
    let attack = async {
        for (method, path, media_type) in WRITES {
            let method: Method = method.parse().expect("a method");
            let request = client.request(method, format!("{}{path}", server.base)).body(body.to_owned());
            let request =
                request.header("x-experience-api-version", "1.0.3").header("content-type", media_type);
            let (status, _) = refusal(path, request.basic_auth(CREDENTIAL.0, Some(CREDENTIAL.1))).await;
            assert!([400, 403, 404].contains(&status), "{path}: {status}");
        }
    };
    watch(what, &server, ordinary(&attacked), attack).await.1
}

#[apply(both_databases)]
async fn unknown_members_cost_a_small_multiple_of_the_body(database: &Database) {
    let body = unknown_members(600_000);
    let measured = send_everywhere(database, "600,000 unknown members", &body).await;
    assert!(measured.growth() < 3 * body.len() as u64 + 10 * MIB, "{measured}");
    assert_eq!(measured.failed, 0, "{measured}");
}

#[apply(both_databases)]
async fn unknown_members_of_many_objects_cost_little_memory(database: &Database) {
    let inner = unknown_members(60_000);
    let body = format!("{{{}}}", (0..9).map(|n| format!("\"b{n}\":{inner}")).collect::<Vec<_>>().join(","));
    let measured = send_everywhere(database, "540,000 unknown members in 9 objects", &body).await;
    assert!(measured.growth() < 60 * MIB, "{measured}");
}

#[apply(both_databases)]
async fn faults_of_batches_are_counted_and_listed_up_to_fifty(server: &TestServer) {
    let admin = server.person("admin", "root");
    let count = |problem: &Value| {
        let listed = problem["errors"].as_array().expect("errors").len();
        (listed, problem["more_errors"].as_u64().unwrap_or(0))
    };
    let elements: Vec<Value> =
        (0..1_000).map(|number| json!({"id": format!("u{number}"), "nonsense": 1})).collect();
    let lines: String = elements.iter().map(|element| format!("{element}\n")).collect();
    for path in [
        "/v1/users/batch",
        "/v1/teams/batch",
        "/v1/groups/batch",
        "/v1/contents/batch",
        "/v1/activities/batch",
    ] {
        let problem = admin.post(path, &elements).await.expect(400).json();
        let (listed, more) = count(&problem);
        assert!(listed == 50 && more >= 950, "{path}: {listed} and {more}");
        assert!(problem["detail"].as_str().expect("a detail").contains("more faults"), "{problem}");
        let ndjson = [("content-type", "application/x-ndjson")];
        let problem =
            admin.send(Method::POST, path, &ndjson, lines.clone().into_bytes()).await.expect(400).json();
        assert_eq!(count(&problem), (listed, more), "{path}");
    }
    let statements: Vec<Value> = (0..1_000).map(|_| json!({"actor": 1})).collect();
    let problem = admin.post("/xapi/statements", &statements).await.expect(400).json();
    assert_eq!(count(&problem), (50, 950));
    // Faults that only the database shows.
    let strangers: Vec<Value> =
        (0..1_000).map(|number| json!({"id": format!("u{number}"), "teams": ["t1", "t2"]})).collect();
    let problem = admin.post("/v1/users/batch", &strangers).await.expect(400).json();
    assert_eq!(count(&problem), (50, 1_950));
    // One fault less than the limit, and parameters.
    let few: Vec<Value> = (0..50).map(|number| json!({"id": format!("u{number}"), "nonsense": 1})).collect();
    assert_eq!(count(&admin.post("/v1/groups/batch", &few).await.expect(400).json()), (50, 50));
    for path in ["/v1/users", "/v1/activities"] {
        let query: Vec<String> = (0..200).map(|number| format!("p{number}=1")).collect();
        let problem = admin.get(&format!("{path}?{}", query.join("&"))).await.expect(400).json();
        assert_eq!(count(&problem), (50, 150), "{path}");
        admin.get(&format!("{path}?{}", "a=1&".repeat(3_000))).await.expect(400);
    }
}

/// The text of the client is cut where a problem repeats it.
#[apply(both_databases)]
async fn problem_repeats_no_long_text(server: &TestServer) {
    let admin = server.person("admin", "root");
    let long = "\u{1}".repeat(200_000);
    let member = json!({&*long: {&*long: 1}});
    for body in [
        json!({&*long: 1}),
        json!({"user": member, "action": long}),
        json!({"user": "bo", "action": "passed", "happened_at": long}),
        json!({"user": {"email": long, "name": [long]}, "action": "passed", "content": {"id": long, "type": long}}),
    ] {
        let answer = admin.post("/v1/activities", &body).await.expect(400);
        assert!(answer.body.len() <= MAX_PROBLEM_BYTES, "{} bytes", answer.body.len());
    }
    let statement = json!({
        "actor": {"mbox": "mailto:a@example.org"}, "verb": {"id": "urn:v"}, "object": {"id": "urn:c"},
        "context": {"extensions": member},
    });
    for (path, body) in [
        ("/xapi/statements", json!([statement, statement])),
        ("/v1/users/batch", json!([member, {"id": long}])),
    ] {
        let answer = admin.post(path, &body).await.expect(400);
        assert!(answer.body.len() <= MAX_PROBLEM_BYTES, "{path}: {} bytes", answer.body.len());
    }
    let filter: Vec<(String, Value)> = (0..20_000).map(|number| (format!("p{number}"), json!("1"))).collect();
    let report = json!({"name": "Many", "filter": filter.into_iter().collect::<serde_json::Map<_, _>>()});
    let problem = admin.post("/v1/reports", &report).await.expect(400).json();
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(1), "{problem}");
}

/// Multipart bodies: many parts, long heads, and parts that nothing declares.
#[apply(both_databases)]
async fn hostile_multipart_bodies_are_refused_early(database: &Database) {
    let server = start(database);
    let (client, attacked) = (client(), server.base.clone());
    let statement =
        r#"{"actor":{"mbox":"mailto:a@example.org"},"verb":{"id":"urn:v"},"object":{"id":"urn:c"}}"#;
    let first = format!("--b\r\nContent-Type: application/json\r\n\r\n{statement}\r\n");
    let part = format!("--b\r\nContent-Type: text/plain\r\nX-Experience-API-Hash: {:064}\r\n\r\nx\r\n", 1);
    let bodies = [
        ("empty parts", "--b\r\n\r\n".repeat(200_000)),
        ("parts that nothing declares", format!("{first}{}--b--", part.repeat(20_000))),
        ("many headers", format!("--b\r\n{}\r\n{statement}\r\n--b--", "x: y\r\n".repeat(200_000))),
        ("one long header", format!("--b\r\nx: {}\r\n\r\n{statement}\r\n--b--", "y".repeat(4_000_000))),
        ("a long preamble", format!("{}{first}--b--", "x".repeat(4_000_000))),
        ("boundaries within a line", format!("--b\r\n\r\n{}", "--b".repeat(1_000_000))),
        ("beginnings of boundaries", format!("--b\r\n\r\n{}", "\r\n--".repeat(1_000_000))),
    ];
    let attack = async {
        for (what, body) in bodies {
            let request = client.post(format!("{}/xapi/statements", server.base)).body(body);
            let request = request.header("content-type", "multipart/mixed; boundary=b");
            let request = request.header("x-experience-api-version", "1.0.3");
            assert_eq!(
                refusal(what, request.basic_auth(CREDENTIAL.0, Some(CREDENTIAL.1))).await.0,
                400,
                "{what}"
            );
        }
    };
    let ((), measured) = watch("hostile multipart", &server, ordinary(&attacked), attack).await;
    assert!(measured.growth() < 30 * MIB, "{measured}");
}
