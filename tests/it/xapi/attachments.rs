//! Tests of attachments of statements: multipart/mixed requests and answers (xAPI 1.0.3, Communication
//! 1.5.2 and Data 2.4.11).

mod multipart;

use std::io::Read as _;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::builders::{Body, mailbox, statement, user};
use crate::support::http::{Answer, Caller, encode_segment};
use crate::support::records::{COMPLETED, STATEMENTS as PATH, VOIDED, id, page_numbers};
use crate::support::server::sign;
use crate::support::{TestServer, apply, both_databases};

const BOUNDARY: &str = "-------314159265358979323846";

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a content in hexadecimal.
pub(super) fn sha2(content: &[u8]) -> String {
    hex(Sha256::digest(content))
}

/// The declaration of an attachment in a statement.
pub(crate) fn declare_attachment(content: &[u8]) -> Value {
    json!({"usageType": "http://example.com/attachment-usage/test", "display": {"en-US": "A test attachment"},
        "contentType": "text/plain", "length": content.len(), "sha2": sha2(content)})
}

/// Like [`declare_attachment`], with a `fileUrl`.
fn declare_with_file_url(content: &[u8]) -> Value {
    let mut declared = declare_attachment(content);
    declared["fileUrl"] = json!("https://example.com/file");
    declared
}

/// A statement with number `n` and attachments.
fn statement_with_attachments(n: usize, attachments: impl IntoIterator<Item = Value>) -> Body {
    let attachments: Vec<Value> = attachments.into_iter().collect();
    statement(mailbox("ada@example.org"), COMPLETED, "urn:c").set("id", id(n)).set("attachments", attachments)
}

/// One part of a multipart body: headers and content.
pub(super) fn body_part(headers: &str, bytes: &[u8]) -> Vec<u8> {
    let mut part = format!("--{BOUNDARY}\r\n{headers}\r\n").into_bytes();
    part.extend_from_slice(bytes);
    part.extend_from_slice(b"\r\n");
    part
}

/// The part with the content of an attachment.
pub(super) fn content_part(content: &[u8]) -> Vec<u8> {
    let headers = format!(
        "Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {}\r\n",
        sha2(content)
    );
    body_part(&headers, content)
}

/// A multipart body with statements and these parts.
pub(super) fn multipart_body(statements: &Value, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = body_part("Content-Type: application/json\r\n", statements.to_string().as_bytes());
    body.extend(parts.concat());
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

pub(super) async fn post(caller: &Caller, body: Vec<u8>) -> Answer {
    send(caller, Method::POST, PATH, "1.0.3", body).await
}

async fn send(caller: &Caller, method: Method, path: &str, version: &str, body: Vec<u8>) -> Answer {
    let kind = format!("multipart/mixed; boundary={BOUNDARY}");
    let headers = [("content-type", kind.as_str()), ("x-experience-api-version", version)];
    caller.send(method, path, &headers, body).await
}

/// Posts statements with the contents of their attachments.
pub(crate) async fn post_with_contents(caller: &Caller, statements: impl Into<Value>, contents: &[&[u8]]) {
    let parts: Vec<Vec<u8>> = contents.iter().map(|content| content_part(content)).collect();
    post(caller, multipart_body(&statements.into(), &parts)).await.expect(200);
}

/// A multipart answer: the JSON, and each content with its headers.
struct Parts {
    json: Value,
    contents: Vec<(String, Vec<u8>)>,
}

impl Parts {
    fn bytes(&self) -> Vec<&[u8]> {
        self.contents.iter().map(|(_, bytes)| bytes.as_slice()).collect()
    }
}

fn find_bytes(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn parse_parts(answer: &Answer) -> Parts {
    parse_body(answer.header("content-type").expect("a type"), &answer.body)
}

fn parse_body(kind: &str, body: &[u8]) -> Parts {
    let boundary = kind.strip_prefix("multipart/mixed; boundary=").expect(kind);
    assert!(boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{boundary}");
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let mut rest = body.strip_prefix(&delimiter[2..]).expect("the body begins with the boundary");
    let mut parts = Vec::new();
    while rest != b"--\r\n" {
        rest = rest.strip_prefix(b"\r\n").expect("a line break after the boundary");
        let head = find_bytes(rest, b"\r\n\r\n").expect("headers");
        let end = find_bytes(&rest[head..], &delimiter).expect("an end") + head;
        let text = String::from_utf8(rest[..head].to_vec()).expect("headers are text");
        parts.push((text, rest[head + 4..end].to_vec()));
        rest = &rest[end + delimiter.len()..];
    }
    let (head, json) = parts.remove(0);
    assert_eq!(head, "Content-Type: application/json");
    Parts { json: serde_json::from_slice(&json).expect("JSON"), contents: parts }
}

/// Finds statements with their contents.
async fn find_with_attachments(caller: &Caller, query: &str) -> Parts {
    parse_parts(&caller.get(&format!("{PATH}?attachments=true&{query}")).await.expect(200))
}

/// The number of stored statements, attachments and content rows.
pub(super) async fn count_stored(server: &TestServer) -> [i64; 3] {
    let mut counts = [0; 3];
    for (count, table) in counts.iter_mut().zip(["statements", "attachments", "blobs"]) {
        let counted = format!("SELECT count(*) FROM {table}");
        *count = server.database().query_number(&counted).await;
    }
    counts
}

/// All byte values, and text that resembles the end of a part.
fn all_bytes() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice(b"\r\n--\r\n---\r\r\n-------31415926535897932384\r\n\r\n");
    bytes
}

/// `length` bytes without a pattern.
fn random_bytes(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[apply(both_databases)]
async fn attachment_is_returned_unchanged(server: &TestServer) {
    let admin = server.person("admin", "root");
    let contents = [
        all_bytes(),
        random_bytes(5 * 1024 * 1024),
        random_bytes(1024 * 1024),
        b"here is a simple attachment".to_vec(),
        Vec::new(),
    ];
    for (n, content) in contents.iter().enumerate() {
        post_with_contents(&admin, statement_with_attachments(n, [declare_attachment(content)]), &[content])
            .await;
        let answer = admin.get(&format!("{PATH}?statementId={}&attachments=true", id(n))).await.expect(200);
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
        let parts = parse_parts(&answer);
        assert_eq!(parts.json["id"], id(n));
        let head = format!(
            "Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {}",
            sha2(content)
        );
        assert_eq!(parts.contents.len(), 1);
        assert_eq!(parts.contents[0].0, head);
        assert!(parts.contents[0].1 == *content, "content {n} must be returned unchanged");
    }
    // PUT in both versions, and requests without attachments.
    let content = all_bytes();
    for (n, version) in [(11, "1.0.3"), (12, "2.0.0")] {
        let put = format!("{PATH}?statementId={}", id(n));
        send(
            &admin,
            Method::PUT,
            &put,
            version,
            multipart_body(
                &statement_with_attachments(n, [declare_attachment(&content)]).into(),
                &[content_part(&content)],
            ),
        )
        .await
        .expect(204);
        let plain = statement(mailbox("ada@example.org"), COMPLETED, "urn:c").set("id", id(n + 10));
        send(&admin, Method::POST, PATH, version, multipart_body(&plain.into(), &[])).await.expect(200);
        assert!(
            find_with_attachments(&admin, &format!("statementId={}", id(n))).await.bytes()
                == [content.as_slice()]
        );
        assert!(
            find_with_attachments(&admin, &format!("statementId={}", id(n + 10))).await.contents.is_empty()
        );
    }
    // Contents are sent only on request.
    for query in ["", "&attachments=false"] {
        let answer = admin.get(&format!("{PATH}?statementId={}{query}", id(0))).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["attachments"][0]["sha2"], sha2(&contents[0]));
    }
    assert!(
        find_with_attachments(&admin, "verb=urn:none").await.contents.is_empty(),
        "the answer is multipart too"
    );
}

#[apply(both_databases)]
async fn content_is_stored_once_and_sent_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (one, two) = (all_bytes(), b"two".to_vec());
    let both = json!([
        statement_with_attachments(1, [declare_attachment(&one), declare_attachment(&two)]).json(),
        statement_with_attachments(2, [declare_attachment(&two)]).json(),
        statement_with_attachments(3, []).json()
    ]);
    // A repeated part is accepted.
    let parts = [content_part(&two), content_part(&one), content_part(&two)];
    post(&admin, multipart_body(&both, &parts)).await.expect(200);
    assert_eq!(count_stored(server).await, [3, 2, 2]);
    post_with_contents(&admin, statement_with_attachments(4, [declare_attachment(&one)]), &[&one]).await;
    assert_eq!(count_stored(server).await, [4, 2, 2], "a known content is not stored again");
    let all = find_with_attachments(&admin, "ascending=true").await;
    assert_eq!(page_numbers(&all.json), [1, 2, 3, 4]);
    assert!(
        all.bytes() == [one.as_slice(), two.as_slice()],
        "each content once, in the order of the statements"
    );
    assert!(
        find_with_attachments(&admin, &format!("statementId={}", id(2))).await.bytes() == [two.as_slice()]
    );
    // An equal statement changes nothing, even with other contents.
    let other = b"other".to_vec();
    post_with_contents(&admin, statement_with_attachments(2, [declare_attachment(&other)]), &[&other]).await;
    assert_eq!(count_stored(server).await, [4, 2, 2]);
    assert!(
        find_with_attachments(&admin, &format!("statementId={}", id(2))).await.bytes() == [two.as_slice()]
    );
    // Many concurrent requests with one content store it once.
    let at_once: [&[u8]; 1] = [b"at once"];
    let requests = (10..20).map(|n| {
        post_with_contents(&admin, statement_with_attachments(n, [declare_attachment(at_once[0])]), &at_once)
    });
    futures_util::future::join_all(requests).await;
    assert_eq!(count_stored(server).await, [14, 3, 3]);
    // A conflict stores no contents.
    let conflict = json!([
        statement_with_attachments(5, [declare_attachment(&other)]).json(),
        statement_with_attachments(4, [declare_attachment(&other)]).set("verb.id", "urn:else").json()
    ]);
    assert_eq!(
        post(&admin, multipart_body(&conflict, &[content_part(&other)])).await.expect(409).json()["pointer"],
        "/1/id"
    );
    assert_eq!(count_stored(server).await, [14, 3, 3]);
}

#[apply(both_databases)]
async fn contents_are_sent_with_every_query(server: &TestServer) {
    let admin = server.person("admin", "root");
    let contents: Vec<Vec<u8>> = (0..5).map(|n| random_bytes(1000 + n)).collect();
    for (n, content) in contents.iter().enumerate() {
        let named = statement_with_attachments(n, [declare_attachment(content)])
            .set("verb.display", json!({"de": "beendet", "en": "completed", "fr": "fini"}));
        post_with_contents(&admin, named, &[content]).await;
    }
    // Following pages need only credentials and version. The languages of the first request apply.
    let first = [("accept-language", "de-AT, fr;q=0.5")];
    let mut next = format!("{PATH}?attachments=true&ascending=true&limit=2&format=canonical");
    let mut pages = Vec::new();
    while !next.is_empty() {
        let page = if pages.is_empty() {
            admin.send(Method::GET, &next, &first, Vec::new()).await
        } else {
            admin.get(&next).await
        };
        let page = parse_parts(&page.expect(200));
        for one in page.json["statements"].as_array().expect("statements") {
            assert_eq!(one["verb"]["display"], json!({"de": "beendet"}));
        }
        assert_eq!(page_numbers(&page.json).len(), page.contents.len());
        next = page.json["more"].as_str().expect("more").to_owned();
        pages.extend(page.contents.into_iter().map(|(_, bytes)| bytes));
    }
    assert!(pages == contents, "each page has the contents of its statements");
    for format in ["exact", "ids", "canonical"] {
        let found = find_with_attachments(&admin, &format!("format={format}&limit=1")).await;
        assert!(found.bytes() == [contents[4].as_slice()], "{format}");
        assert_eq!(found.json["statements"][0]["attachments"][0]["sha2"], sha2(&contents[4]));
    }
    for cursor in ["x", "1~", "~de"] {
        admin.get(&format!("{PATH}?cursor={}", encode_segment(cursor))).await.expect(400);
    }
    // HEAD returns the headers, and gzip compresses the complete answer.
    let path = format!("{PATH}?attachments=true");
    let head = admin.send(Method::HEAD, &path, &[], Vec::new()).await.expect(200);
    assert!(
        head.body.is_empty()
            && head.header("content-type").expect("a type").starts_with("multipart/mixed; boundary=")
    );
    assert_eq!(head.header("content-length"), admin.get(&path).await.expect(200).header("content-length"));
    assert!(head.header("x-experience-api-consistent-through").is_some());
    let gzip_headers =
        admin.send(Method::GET, &path, &[("accept-encoding", "gzip")], Vec::new()).await.expect(200);
    assert_eq!(gzip_headers.header("content-encoding"), Some("gzip"));
    let mut decompressed = Vec::new();
    flate2::read::GzDecoder::new(gzip_headers.body.as_slice()).read_to_end(&mut decompressed).expect("gzip");
    assert_eq!(
        parse_body(gzip_headers.header("content-type").expect("a type"), &decompressed).contents.len(),
        5
    );
    // A voided statement, and the time of storing.
    let voiding_statement = json!({"actor": mailbox("root@example.org"), "verb": {"id": VOIDED}, "object": {"objectType": "StatementRef", "id": id(0)}});
    admin.post(PATH, &voiding_statement).await.expect(200);
    assert!(
        find_with_attachments(&admin, &format!("voidedStatementId={}", id(0))).await.bytes()
            == [contents[0].as_slice()]
    );
    for query in ["", "&attachments=true"] {
        let one = admin.get(&format!("{PATH}?statementId={}{query}", id(1))).await.expect(200);
        assert_eq!(one.header("last-modified"), Some("Wed, 18 Mar 2026 10:17:23 GMT"));
    }
    assert_eq!(admin.get(PATH).await.expect(200).header("last-modified"), None);
}

#[apply(both_databases)]
async fn contents_are_sent_only_within_reach(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    let (content_of_ada, content_of_bo) = (b"hers".to_vec(), b"others'".to_vec());
    post_with_contents(
        &admin,
        statement_with_attachments(1, [declare_attachment(&content_of_ada)]),
        &[&content_of_ada],
    )
    .await;
    post_with_contents(
        &admin,
        statement_with_attachments(2, [declare_attachment(&content_of_bo)])
            .set("actor", mailbox("bo@example.org")),
        &[&content_of_bo],
    )
    .await;
    let ada = server.person("learner", "ada");
    assert!(find_with_attachments(&ada, "").await.bytes() == [content_of_ada.as_slice()]);
    ada.get(&format!("{PATH}?statementId={}&attachments=true", id(2))).await.expect(404);
    assert!(find_with_attachments(&server.person("learner", "cy"), "").await.contents.is_empty());
    // The hash of a content does not give access to it: not to a statement without the content …
    let writer = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    writer
        .post(PATH, &statement_with_attachments(3, [declare_with_file_url(&content_of_bo)]))
        .await
        .expect(200);
    post_with_contents(
        &writer,
        json!([
            statement_with_attachments(4, [declare_attachment(b"own")]).json(),
            statement_with_attachments(5, [declare_with_file_url(&content_of_bo)]).json()
        ]),
        &[b"own"],
    )
    .await;
    assert!(find_with_attachments(&writer, "").await.bytes() == [b"own".as_slice()]);
    assert!(find_with_attachments(&writer, &format!("statementId={}", id(3))).await.contents.is_empty());
    // … and not to another organisation.
    let other_admin = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    other_admin
        .post(PATH, &statement_with_attachments(1, [declare_with_file_url(&content_of_bo)]))
        .await
        .expect(200);
    assert!(find_with_attachments(&other_admin, "").await.contents.is_empty());
    post(
        &other_admin,
        multipart_body(&statement_with_attachments(2, [declare_attachment(&content_of_bo)]).into(), &[]),
    )
    .await
    .expect(400);
    post_with_contents(
        &other_admin,
        statement_with_attachments(2, [declare_attachment(&content_of_bo)]),
        &[&content_of_bo],
    )
    .await;
    assert!(find_with_attachments(&other_admin, "").await.bytes() == [content_of_bo.as_slice()]);
    assert_eq!(count_stored(server).await, [7, 4, 4], "each organisation stores the content");
    // A caller with full reach reads all contents, also with a `fileUrl`.
    post_with_contents(&admin, statement_with_attachments(6, [declare_with_file_url(b"both")]), &[b"both"])
        .await;
    let all = find_with_attachments(&admin, "ascending=true").await;
    assert!(all.bytes() == [content_of_ada.as_slice(), content_of_bo.as_slice(), b"own", b"both"]);
    // Callers without rights are refused before the body is read.
    let reader = server.credential("acme", &["statements/read"]).await;
    post(
        &reader,
        multipart_body(
            &statement_with_attachments(7, [declare_attachment(&content_of_ada)]).into(),
            &[content_part(&content_of_ada)],
        ),
    )
    .await
    .expect(403);
    let anonymous = server.anonymous().with_token(&sign(&json!({"sub": "x"})));
    post(
        &anonymous,
        multipart_body(
            &statement_with_attachments(7, [declare_attachment(&content_of_ada)]).into(),
            &[content_part(&content_of_ada)],
        ),
    )
    .await
    .expect(401);
    assert!(find_with_attachments(&reader, "").await.contents.len() == 4);
}
