//! Tests that apply to every kind of document (state, agent profile, activity profile): storing, merging,
//! concurrency, names, organisations (xAPI 1.0.3, Communication 2.2 and 3.1).

mod access;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use crate::support::builders::mailbox;
use crate::support::http::{Answer, Caller, encode_segment};
use crate::support::{TestServer, apply, both_databases};

pub const ACTIVITY: &str = "https://example.org/course";

/// The address of documents of one kind and owner.
#[derive(Clone)]
pub struct DocumentKind {
    pub path: &'static str,
    /// The parameters of the owner, with `?`.
    owner: String,
    /// The name of the parameter of the document id.
    name: &'static str,
}

impl DocumentKind {
    pub fn state(activity: &str, agent: &Value) -> Self {
        let owner =
            format!("?activityId={}&agent={}", encode_segment(activity), encode_segment(&agent.to_string()));
        Self { path: "/xapi/activities/state", owner, name: "stateId" }
    }

    pub fn agent(agent: &Value) -> Self {
        let owner = format!("?agent={}", encode_segment(&agent.to_string()));
        Self { path: "/xapi/agents/profile", owner, name: "profileId" }
    }

    pub fn activity(activity: &str) -> Self {
        let owner = format!("?activityId={}", encode_segment(activity));
        Self { path: "/xapi/activities/profile", owner, name: "profileId" }
    }

    pub fn all(&self) -> String {
        format!("{}{}", self.path, self.owner)
    }

    pub fn one(&self, name: &str) -> String {
        format!("{}&{}={}", self.all(), self.name, encode_segment(name))
    }
}

/// One address of each kind.
pub fn all_kinds() -> [DocumentKind; 3] {
    let ada = mailbox("ada@example.org");
    [DocumentKind::state(ACTIVITY, &ada), DocumentKind::agent(&ada), DocumentKind::activity(ACTIVITY)]
}

pub async fn put_document(
    caller: &Caller,
    path: &str,
    kind: &str,
    body: impl Into<Vec<u8>>,
    tag: (&str, &str),
) -> Answer {
    let headers = [("content-type", kind), tag];
    caller.send(Method::PUT, path, &headers, body.into()).await
}

/// Creates a new document.
pub async fn create_document(caller: &Caller, path: &str, kind: &str, body: impl Into<Vec<u8>>) {
    put_document(caller, path, kind, body, ("if-none-match", "*")).await.expect(204);
}

pub async fn post(caller: &Caller, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    caller.send(Method::POST, path, &[("content-type", kind)], body.into()).await
}

/// The ETag of a document, with quotation marks.
pub async fn get_etag(caller: &Caller, path: &str) -> String {
    let answer = caller.get(path).await.expect(200);
    answer.header("etag").expect("a document has an ETag").to_owned()
}

fn sha1_hex(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number of rows with content.
pub async fn count_blobs(server: &TestServer) -> i64 {
    server.database().query_number("SELECT count(*) FROM blobs").await
}

const MEBIBYTE: usize = 1024 * 1024;

#[apply(both_databases)]
async fn document_is_returned_unchanged(server: &TestServer) {
    let admin = server.person("admin", "root");
    let all_bytes: Vec<u8> = (0..=255).collect();
    for place in all_kinds() {
        for (name, kind, body) in [
            ("bytes", "image/x-odd; q=\"a;b\"", all_bytes.clone()),
            ("text", "text/plain;charset=latin1", b"caf\xe9".to_vec()),
            ("page", "text/html", b"<script>alert(1)</script>".to_vec()),
            ("json", "application/json", b" { \"b\" : 1.50E+2,\n\"a\":\"\\u0041\", \"a\": 0 } ".to_vec()),
            ("one value", "application/JSON; charset=utf-8", b"[1]".to_vec()),
            ("empty", "application/x-nothing", Vec::new()),
            ("odd name / ?&=#%20 \u{e9}\u{1f600}", "text/plain", b"x".to_vec()),
        ] {
            let path = place.one(name);
            admin.get(&path).await.expect(404);
            create_document(&admin, &path, kind, body.clone()).await;
            let answer = admin.get(&path).await.expect(200);
            assert!(answer.body == body, "{path}");
            assert_eq!(answer.header("content-type"), Some(kind), "{path}");
            assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()), "{path}");
            assert_eq!(answer.header("etag"), Some(format!("\"{}\"", sha1_hex(&body)).as_str()), "{path}");
            assert_eq!(answer.header("last-modified"), Some("Wed, 18 Mar 2026 10:17:23 GMT"), "{path}");
            assert_eq!(answer.header("content-security-policy"), Some("sandbox"), "{path}");
            let head = admin.send(Method::HEAD, &path, &[], Vec::new()).await.expect(200);
            assert!(head.body.is_empty());
            for header in
                ["content-type", "content-length", "etag", "last-modified", "x-experience-api-version"]
            {
                assert_eq!(head.header(header), answer.header(header), "{header} of {path}");
            }
        }
        // Without a content type it is `application/octet-stream`.
        let path = place.one("untyped");
        admin.send(Method::PUT, &path, &[("if-none-match", "*")], b"{".to_vec()).await.expect(204);
        assert_eq!(
            admin.get(&path).await.expect(200).header("content-type"),
            Some("application/octet-stream")
        );
        // A replaced document has the new content type.
        put_document(&admin, &path, "a/b", "new", ("if-match", "*")).await.expect(204);
        let answer = admin.get(&path).await.expect(200);
        assert_eq!((answer.header("content-type"), answer.text()), (Some("a/b"), "new"));
        admin.delete(&path).await.expect(204);
        admin.get(&path).await.expect(404);
        admin.delete(&path).await.expect(204);
        // The kinds of documents are separate.
        let mine = admin.get(&place.all()).await.expect(200);
        assert_eq!(mine.json().as_array().map(Vec::len), Some(7));
        assert_eq!(mine.header("content-type"), Some("application/json"));
        assert_eq!(mine.header("etag"), None);
    }
    assert_eq!(count_blobs(server).await, 3 * 7, "replaced and deleted documents leave no content");
}

#[apply(both_databases)]
async fn large_documents_are_stored_and_deleted(server: &TestServer) {
    let admin = server.person("admin", "root");
    let random: Vec<u8> =
        (0..5 * MEBIBYTE + 7).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let [state, agent, activity] = all_kinds();
    let cases = [
        (&state, MEBIBYTE),
        (&state, MEBIBYTE + 1),
        (&state, 5 * MEBIBYTE + 7),
        (&agent, 2 * MEBIBYTE),
        (&activity, 5 * MEBIBYTE),
    ];
    for (place, length) in cases {
        let (path, body) = (place.one("large"), &random[..length]);
        let tag = format!("\"{}\"", sha1_hex(body));
        post(&admin, &path, "video/x-large", body).await.expect(204);
        for headers in [&[][..], &[("accept-encoding", "gzip")]] {
            let answer = admin.send(Method::GET, &path, headers, Vec::new()).await.expect(200);
            assert!(answer.body == body, "{path}: {length} bytes");
            assert_eq!(answer.header("etag"), Some(tag.as_str()), "{path}");
        }
        admin.delete(&path).await.expect(204);
    }
    for place in [state, activity] {
        // Large JSON documents, with an error at the end.
        let (path, text) = (place.one("json"), format!("{{\"a\":\"{}\"}}", "\u{e9}".repeat(MEBIBYTE)));
        post(&admin, &path, "application/json", text.clone() + "}").await.expect(400);
        admin.get(&path).await.expect(404);
        post(&admin, &path, "application/json", text.clone()).await.expect(204);
        post(&admin, &path, "application/json", "{\"b\":1}").await.expect(204);
        let merged = text.replace("\"}", "\",\"b\":1}");
        assert!(admin.get(&path).await.expect(200).text() == merged, "{path}");
        admin.delete(&path).await.expect(204);
    }
    assert_eq!(count_blobs(server).await, 0, "deleted documents leave no content");
}

#[apply(both_databases)]
async fn post_merges_top_level_members(server: &TestServer) {
    let admin = server.person("admin", "root");
    for place in all_kinds() {
        let path = place.one("merged");
        // POST creates a document if none exists, with any JSON.
        post(
            &admin,
            &path,
            "application/json; charset=utf-8",
            "{\"x\":\"foo\",  \"y\":{\"deep\":[1]},\"n\":1.50}",
        )
        .await
        .expect(204);
        let before = get_etag(&admin, &path).await;
        post(&admin, &path, "application/json", "{ \"y\" : {\"other\" : 1e2}, \"z\":null }")
            .await
            .expect(204);
        let answer = admin.get(&path).await.expect(200);
        assert_eq!(answer.text(), "{\"x\":\"foo\",\"y\":{\"other\":1e2},\"n\":1.50,\"z\":null}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("etag"), Some(format!("\"{}\"", sha1_hex(&answer.body)).as_str()));
        assert_ne!(answer.header("etag"), Some(before.as_str()));
    }
}

#[apply(both_databases)]
async fn refused_merge_changes_nothing(server: &TestServer) {
    let admin = server.person("admin", "root");
    for place in all_kinds() {
        let object = place.one("object");
        create_document(&admin, &object, "application/json", "{\"x\":1}").await;
        for (kind, body) in [
            ("application/octet-stream", "{\"x\":2}"),
            ("not/json", "abc"),
            ("application/x-www-form-urlencoded", "x=2"),
            ("application/json", "[1]"),
            ("application/json", "null"),
            ("application/json", "{\"x\":2"),
            ("application/json", "{\"x\":2}{"),
            ("application/json", "{\"x\":2,\"x\":3}"),
            ("application/json", ""),
        ] {
            let refused = post(&admin, &object, kind, body).await.expect(400);
            assert!(
                refused.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
                "{kind} {body}"
            );
            assert_eq!(admin.get(&object).await.expect(200).text(), "{\"x\":1}", "{kind} {body}");
        }
        admin.send(Method::POST, &object, &[], b"{\"x\":2}".to_vec()).await.expect(400);
        post(&admin, &object, "application/json", b"{\"x\":\"\xff\"}".to_vec()).await.expect(400);
        // The stored document must be a JSON object.
        for (name, kind, body) in [
            ("bytes", "a/b", "{}"),
            ("list", "application/json", "[{}]"),
            ("number", "application/json", "1"),
        ] {
            let path = place.one(name);
            post(&admin, &path, kind, body).await.expect(204);
            let tag = get_etag(&admin, &path).await;
            post(&admin, &path, "application/json", "{\"x\":2}").await.expect(400);
            assert_eq!(admin.get(&path).await.expect(200).text(), body);
            assert_eq!(get_etag(&admin, &path).await, tag);
        }
        for body in ["", "{", "{}x", "nul", "{'a':1}"] {
            post(&admin, &place.one("new"), "application/json", body).await.expect(400);
        }
        admin.get(&place.one("new")).await.expect(404);
        assert_eq!(admin.get(&object).await.expect(200).text(), "{\"x\":1}");
        // Only POST reads a document: PUT stores any bytes under this media type.
        for (number, body) in ["", "{", "2|1|0|page=7", "nul", "{'a':1}"].into_iter().enumerate() {
            let path = place.one(&format!("bookmark{number}"));
            put_document(&admin, &path, "application/json", body, ("if-none-match", "*")).await.expect(204);
            let stored = admin.get(&path).await.expect(200);
            assert_eq!((stored.text(), stored.header("content-type")), (body, Some("application/json")));
            let refused = post(&admin, &path, "application/json", "{\"x\":2}").await.expect(400);
            assert_eq!(refused.json()["code"], "bad-request");
            assert_eq!(admin.get(&path).await.expect(200).text(), body);
        }
    }
}

#[apply(both_databases)]
async fn preconditions_are_respected(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (mine, other) =
        (format!("\"{}\"", sha1_hex(b"{\"o\":1}")), "\"0000000000000000000000000000000000000000\"");
    let (weak, upper, bare) = (format!("W/{mine}"), mine.to_uppercase(), mine.replace('"', ""));
    let list = format!("{other}, {mine}");
    // The header, and the statuses without and with a document.
    let conditions: [(&str, &str, u16, u16); 13] = [
        ("if-match", &mine, 412, 204),
        ("if-match", &list, 412, 204),
        ("if-match", &weak, 412, 204),
        ("if-match", &upper, 412, 204),
        ("if-match", &bare, 412, 204),
        ("if-match", "*", 412, 204),
        ("if-match", other, 412, 412),
        ("if-match", "\"1234\"", 412, 412),
        ("if-none-match", "*", 204, 412),
        ("if-none-match", &mine, 204, 412),
        ("if-none-match", other, 204, 204),
        ("if-match", "\"unclosed", 400, 400),
        ("if-none-match", "", 400, 400),
    ];
    for place in all_kinds() {
        let path = place.one("x");
        for method in [Method::PUT, Method::POST, Method::DELETE] {
            for (number, (header, value, new, status_if_exists)) in conditions.into_iter().enumerate() {
                for (exists, expected) in [(false, new), (true, status_if_exists)] {
                    // The header applies in both versions.
                    let version = ["1.0.3", "2.0.0"][(number + usize::from(exists)) % 2];
                    admin.delete(&path).await.expect(204);
                    if exists {
                        create_document(&admin, &path, "application/json", "{\"o\":1}").await;
                    }
                    let headers = [
                        ("content-type", "application/json"),
                        ("x-experience-api-version", version),
                        (header, value),
                    ];
                    let conditions = format!("{method} {version} {header}: {value}, exists: {exists}");
                    let answer = admin.send(method.clone(), &path, &headers, b"{\"n\":2}".to_vec()).await;
                    assert_eq!(answer.status, expected, "{conditions}");
                    let now = admin.get(&path).await;
                    if expected == 204 {
                        let body = match (&method, exists) {
                            (&Method::DELETE, _) => None,
                            (&Method::POST, true) => Some("{\"o\":1,\"n\":2}"),
                            _ => Some("{\"n\":2}"),
                        };
                        assert_eq!((now.status == 200).then(|| now.text()), body, "{conditions}");
                    } else {
                        assert_eq!(answer.json()["status"], expected, "{conditions}");
                        assert_eq!(
                            (now.status == 200).then(|| now.text()),
                            exists.then_some("{\"o\":1}"),
                            "{conditions}"
                        );
                    }
                }
            }
        }
    }
}

/// The default without a condition (xAPI 1.0.3, Communication 3.1, and the conformance suite of 2.0.0).
#[apply(both_databases)]
async fn default_precondition_depends_on_the_version(server: &TestServer) {
    let admin = server.person("admin", "root");
    let [state, agent, activity] = all_kinds();
    for (place, version, new, status_if_exists) in [
        (&state, "1.0.3", 204, 204),
        (&state, "2.0.0", 204, 409),
        (&agent, "1.0.3", 400, 409),
        (&agent, "2.0.0", 204, 409),
        (&activity, "1.0.3", 400, 409),
        (&activity, "2.0.0", 204, 409),
    ] {
        let path = place.one(version);
        let headers = [("content-type", "text/plain"), ("x-experience-api-version", version)];
        let put_document = async |body: &str| admin.send(Method::PUT, &path, &headers, body.into()).await;
        let refused = put_document("new").await.expect(new);
        assert_eq!(refused.body.is_empty(), new == 204);
        assert_eq!(admin.get(&path).await.status, if new == 204 { 200 } else { 404 }, "{path}");
        admin.delete(&path).await.expect(204);
        create_document(&admin, &path, "text/plain", "old").await;
        let answer = put_document("newer").await.expect(status_if_exists);
        assert_eq!(
            admin.get(&path).await.expect(200).text(),
            if status_if_exists == 204 { "newer" } else { "old" },
            "{path}"
        );
        if status_if_exists == 409 {
            let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
            assert!(detail.contains("check its current state") && detail.contains("If-Match"), "{detail}");
        }
        // POST and DELETE need no condition.
        post(&admin, &path, "text/plain", "x").await.expect(400);
        admin.send(Method::DELETE, &path, &headers[1..], Vec::new()).await.expect(204);
        admin.send(Method::POST, &path, &headers, b"posted".to_vec()).await.expect(204);
    }
}

#[apply(both_databases)]
async fn unchanged_document_is_not_sent_again(server: &TestServer) {
    let admin = server.person("admin", "root");
    for place in all_kinds() {
        let path = place.one("x");
        create_document(&admin, &path, "a/b", "some").await;
        let tag = get_etag(&admin, &path).await;
        for (header, value, status) in [
            ("if-none-match", tag.as_str(), 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "\"other\"", 200),
            ("if-match", tag.as_str(), 200),
            ("if-match", "\"other\"", 412),
        ] {
            let answer = admin.send(Method::GET, &path, &[(header, value)], Vec::new()).await.expect(status);
            assert_eq!(answer.header("etag").is_some(), status != 412, "{header}: {value}");
            assert_eq!(answer.body == b"some", status == 200, "{header}: {value}");
        }
    }
}

#[apply(both_databases)]
async fn one_of_several_concurrent_writes_succeeds(server: &TestServer) {
    let admin = server.person("admin", "root");
    for place in all_kinds() {
        let path = place.one("contested");
        for round in 0..3 {
            let tag = match round {
                0 => ("if-none-match", "*".to_owned()),
                _ => ("if-match", get_etag(&admin, &path).await),
            };
            let bodies: Vec<String> = (0..20).map(|number| format!("{round}-{number}")).collect();
            let answers = join_all(
                bodies.iter().map(|body| put_document(&admin, &path, "a/b", body.as_str(), (tag.0, &tag.1))),
            )
            .await;
            let successful: Vec<&String> = bodies
                .iter()
                .zip(&answers)
                .filter(|(_, answer)| answer.status == 204)
                .map(|(body, _)| body)
                .collect();
            assert_eq!(successful.len(), 1, "{path} round {round}");
            assert!(answers.iter().all(|answer| [204, 412].contains(&answer.status)), "{path} round {round}");
            assert_eq!(admin.get(&path).await.expect(200).text(), successful[0]);
        }
        // POST merges into the current document, so that no member is lost.
        let path = place.one("gathered");
        let answers =
            join_all(
                (0..20).map(|number| {
                    let (admin, path) = (admin.clone(), path.clone());
                    async move {
                        post(&admin, &path, "application/json", format!("{{\"k{number}\":{number}}}")).await
                    }
                }),
            )
            .await;
        assert!(answers.iter().all(|answer| answer.status == 204));
        let expected: Map<String, Value> =
            (0..20).map(|number| (format!("k{number}"), json!(number))).collect();
        assert_eq!(admin.get(&path).await.expect(200).json(), Value::Object(expected));
    }
    assert_eq!(count_blobs(server).await, 3 * 2);
}

#[apply(both_databases)]
async fn ids_are_listed_by_time_of_writing(server: &TestServer) {
    let admin = server.person("admin", "root");
    let since =
        |place: &DocumentKind, moment: &str| format!("{}&since={}", place.all(), encode_segment(moment));
    for place in all_kinds() {
        assert_eq!(admin.get(&place.all()).await.expect(200).json(), json!([]));
        for name in ["b", "a", "Z"] {
            post(&admin, &place.one(name), "application/json", "{}").await.expect(204);
        }
        let names = async |path: &str| admin.get(path).await.expect(200).json();
        assert_eq!(names(&place.all()).await, json!(["Z", "a", "b"]));
        assert_eq!(names(&since(&place, "2026-03-18T10:17:22.999Z")).await, json!(["Z", "a", "b"]));
        assert_eq!(names(&since(&place, "2026-03-18T10:17:23.000Z")).await, json!([]), "exclusive");
        // The clock does not move, but a later write has a later time.
        for again in 1..=3 {
            let before = format!("2026-03-18T10:17:23.{:03}Z", again - 1);
            post(&admin, &place.one("a"), "application/json", "{}").await.expect(204);
            assert_eq!(names(&since(&place, &before)).await, json!(["a"]), "after {again} more writes");
        }
        assert_eq!(names(&since(&place, "2026-03-18T11:17:23.003+01:00")).await, json!([]));
        assert_eq!(
            admin.get(&place.one("a")).await.expect(200).header("last-modified"),
            Some("Wed, 18 Mar 2026 10:17:23 GMT")
        );
        put_document(&admin, &place.one("a"), "a/b", "", ("if-match", "*")).await.expect(204);
        assert_eq!(names(&since(&place, "2026-03-18T10:17:23.003Z")).await, json!(["a"]));
    }
}
