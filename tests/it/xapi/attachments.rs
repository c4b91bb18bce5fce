//! Tests of attachments of statements: multipart/mixed requests and answers (xAPI 1.0.3, Communication
//! 1.5.2 and Data 2.4.11).

use std::io::Read as _;

use reqwest::Method;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use crate::support::builders::{Body, mailbox, statement, user};
use crate::support::http::{Answer, Caller, encode_segment};
use crate::support::records::{COMPLETED, STATEMENTS as PATH, VOIDED, id, page_numbers};
use crate::support::server::{run_with, sign};
use crate::support::{Database, TestServer, apply, both_databases};

const BOUNDARY: &str = "-------314159265358979323846";

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a content in hexadecimal.
pub(super) fn sha2(content: &[u8]) -> String {
    hex(Sha256::digest(content))
}

/// The declaration of an attachment in a statement.
pub(super) fn declare_attachment(content: &[u8]) -> Value {
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
pub(super) async fn post_with_contents(caller: &Caller, statements: impl Into<Value>, contents: &[&[u8]]) {
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
async fn invalid_multipart_is_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (one, two) = (all_bytes(), b"two".to_vec());
    let good = statement_with_attachments(1, [declare_attachment(&one)]).json();
    let head = |hash: &str, encoding: &str| format!("Content-Type: text/plain\r\n{encoding}{hash}");
    let (binary_encoding, hash) =
        ("Content-Transfer-Encoding: binary\r\n", format!("X-Experience-API-Hash: {}\r\n", sha2(&one)));
    let cut = |end: usize| {
        let complete_body = multipart_body(&good, &[content_part(&one)]);
        complete_body[..complete_body.len() - end].to_vec()
    };
    let json_head = "Content-Type: application/json\r\n";
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8(multipart_body(&good, &[content_part(b"two")])).expect("text");
        text.replace(from, to).into_bytes()
    };
    let refusals: Vec<(&str, Vec<u8>)> = vec![
        ("no content", multipart_body(&good, &[])),
        ("no hash", multipart_body(&good, &[body_part(&head("", binary_encoding), &one)])),
        (
            "another hash",
            multipart_body(
                &good,
                &[body_part(
                    &head(&format!("X-Experience-API-Hash: {}\r\n", sha2(&two)), binary_encoding),
                    &one,
                )],
            ),
        ),
        (
            "hash of nothing",
            multipart_body(
                &good,
                &[body_part(&head("X-Experience-API-Hash: nothing\r\n", binary_encoding), &one)],
            ),
        ),
        ("two hashes", multipart_body(&good, &[body_part(&head(&hash.repeat(2), binary_encoding), &one)])),
        ("other bytes", multipart_body(&good, &[body_part(&head(&hash, binary_encoding), &two)])),
        ("cut bytes", multipart_body(&good, &[body_part(&head(&hash, binary_encoding), &one[1..])])),
        ("no encoding", multipart_body(&good, &[body_part(&head(&hash, ""), &one)])),
        (
            "base64",
            multipart_body(&good, &[body_part(&head(&hash, "Content-Transfer-Encoding: base64\r\n"), &one)]),
        ),
        ("surplus", multipart_body(&good, &[content_part(&one), content_part(&two)])),
        (
            "statements in two parts",
            multipart_body(&good, &[body_part(json_head, good.to_string().as_bytes()), content_part(&one)]),
        ),
        ("statements behind", [content_part(&one), multipart_body(&good, &[])].concat()),
        ("statements as text", replaced("application/json", "text/plain")),
        (
            "statements in base64",
            replaced("application/json", "application/json\r\nContent-Transfer-Encoding: base64"),
        ),
        ("nothing", Vec::new()),
        ("no part", format!("--{BOUNDARY}--\r\n").into_bytes()),
        ("JSON alone", good.to_string().into_bytes()),
        ("no boundary before", multipart_body(&good, &[content_part(&one)])[BOUNDARY.len() + 4..].to_vec()),
        (
            "no boundary between",
            replaced(&format!("\r\n--{BOUNDARY}\r\nContent-Type: text"), "\r\nContent-Type: text"),
        ),
        ("another boundary", replaced(BOUNDARY, "other")),
        ("cut", cut(4)),
        ("cut within the boundary", cut(20)),
        ("cut within the content", cut(100)),
        ("no headers", multipart_body(&good, &[body_part("nonsense\r\n", &one)])),
        ("bad statement", multipart_body(&json!([good, {}]), &[content_part(&one)])),
    ];
    for (what, sent) in refusals {
        let refused = post(&admin, sent.clone()).await.expect(400);
        assert!(!refused.json()["detail"].as_str().expect("a detail").is_empty(), "{what}");
        send(&admin, Method::PUT, &format!("{PATH}?statementId={}", id(1)), "2.0.0", sent).await.expect(400);
        assert_eq!(count_stored(server).await, [0, 0, 0], "{what}");
    }
    let missing = post(
        &admin,
        multipart_body(
            &json!([
                statement_with_attachments(1, []).json(),
                statement_with_attachments(
                    2,
                    [declare_attachment(&one), declare_attachment(&two), declare_with_file_url(&two)]
                )
                .json()
            ]),
            &[content_part(&one)],
        ),
    )
    .await;
    let missing = missing.expect(400).json();
    assert_eq!(
        (&missing["pointer"], missing["errors"].as_array().map(Vec::len)),
        (&json!("/1/attachments/1"), Some(1))
    );
    // A JSON request without contents, and other content types.
    assert_eq!(admin.post(PATH, &good).await.expect(400).json()["pointer"], "/attachments/0");
    for kind in [
        "multipart/mixed",
        "multipart/mixed; boundary=",
        "multipart/form-data; boundary=-------314159265358979323846",
        "multipart/related; boundary=x",
        "",
    ] {
        let answer = admin
            .send(Method::POST, PATH, &[("content-type", kind)], multipart_body(&good, &[content_part(&one)]))
            .await;
        answer.expect(400);
    }
    let kind = format!("multipart/mixed; boundary={BOUNDARY}");
    let gzip_headers = [("content-type", kind.as_str()), ("content-encoding", "gzip")];
    admin
        .send(Method::POST, PATH, &gzip_headers, multipart_body(&good, &[content_part(&one)]))
        .await
        .expect(400);
    assert_eq!(count_stored(server).await, [0, 0, 0]);
    post(&admin, multipart_body(&good, &[content_part(&one)])).await.expect(200);
    assert_eq!(count_stored(server).await, [1, 1, 1]);
}

#[apply(both_databases)]
async fn unusual_but_valid_multipart_is_accepted(server: &TestServer) {
    let admin = server.person("admin", "root");
    let content = b"a length that is wrong, capitals in the hash, no space after colons".to_vec();
    let declared = declare_attachment(&content);
    let mut wrong = declared.clone();
    wrong["length"] = json!(7);
    wrong["sha2"] = json!(sha2(&content).to_uppercase());
    let json = statement_with_attachments(1, [wrong]).json();
    let boundary = "abcABC0123'()+_,-./:=?";
    let mut sent =
        format!("\r\n--{boundary}\r\nContent-Type:application/json\r\n\r\n{json}\r\n--{boundary}\r\n")
            .into_bytes();
    sent.extend(format!("Content-Type:x/y\r\nContent-Length:9\r\nContent-Transfer-Encoding:BINARY\r\nX-Experience-API-Hash:{}\r\n\r\n", sha2(&content)).into_bytes());
    sent.extend_from_slice(&content);
    sent.extend(format!("\r\n--{boundary}--").into_bytes());
    let kind = format!("Multipart/Mixed; charset=utf-8; boundary=\"{boundary}\"");
    admin.send(Method::POST, PATH, &[("content-type", &kind)], sent).await.expect(200);
    let parts = find_with_attachments(&admin, &format!("statementId={}", id(1))).await;
    assert!(parts.bytes() == [content.as_slice()]);
    assert_eq!(parts.json["attachments"][0]["length"], 7, "the declared length is returned");
    assert!(
        parts.contents[0].0.starts_with("Content-Type: text/plain\r\n")
            && parts.contents[0].0.ends_with(&sha2(&content).to_uppercase()),
        "the headers follow the declaration"
    );
    // Other lengths of SHA-2 are accepted.
    let digests =
        [hex(Sha224::digest(&content)), hex(Sha384::digest(&content)), hex(Sha512::digest(&content))];
    for (n, digest) in (2..).zip(digests) {
        let mut other = declared.clone();
        other["sha2"] = json!(digest);
        let headers = |digest: &str| {
            format!("Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {digest}\r\n")
        };
        let wrong = body_part(&headers(&digest), b"others");
        post(&admin, multipart_body(&statement_with_attachments(n, [other.clone()]).into(), &[wrong]))
            .await
            .expect(400);
        post(
            &admin,
            multipart_body(
                &statement_with_attachments(n, [other]).into(),
                &[body_part(&headers(&digest), &content)],
            ),
        )
        .await
        .expect(200);
        assert!(
            find_with_attachments(&admin, &format!("statementId={}", id(n))).await.bytes()
                == [content.as_slice()]
        );
    }
    // The attachments of a SubStatement belong to the statement.
    let sub = json!({"objectType": "SubStatement", "actor": mailbox("a@example.org"), "verb": {"id": "urn:v"}, "object": {"id": "urn:o"}, "attachments": [declare_attachment(b"sub")]});
    let complete_body = statement_with_attachments(9, []).set("object", sub).json();
    assert_eq!(
        post(&admin, multipart_body(&complete_body, &[])).await.expect(400).json()["pointer"],
        "/object/attachments/0"
    );
    post_with_contents(&admin, complete_body, &[b"sub"]).await;
    assert!(
        find_with_attachments(&admin, &format!("statementId={}", id(9))).await.bytes() == [b"sub".as_slice()]
    );
    // Some published clients send no line break before the boundary.
    let contents =
        [[all_bytes(), b"one".to_vec()].concat(), b"two".to_vec(), Vec::new(), b"\r\nfour\r\n-".to_vec()];
    let complete_body =
        statement_with_attachments(10, contents.iter().map(|content| declare_attachment(content))).json();
    let send_bare = |end: usize| -> Vec<Vec<u8>> {
        contents
            .iter()
            .map(|content| {
                let mut part = content_part(content);
                part.truncate(part.len() - end);
                part
            })
            .collect()
    };
    post(&admin, multipart_body(&complete_body, &send_bare(2))).await.expect(200);
    let parts = find_with_attachments(&admin, &format!("statementId={}", id(10))).await;
    assert!(
        contents.iter().all(|content| parts.bytes().contains(&&content[..])) && parts.contents.len() == 4
    );
    // A content is never shortened silently: a content with a line of the boundary is refused, and the line
    // break before a boundary is not part of the content.
    let before = count_stored(server).await;
    for end in ["--", " \r\n\r\n", "--\r\n", ""] {
        let content = format!("five--{BOUNDARY}{end}").into_bytes();
        post(
            &admin,
            multipart_body(
                &statement_with_attachments(11, [declare_attachment(&content)]).into(),
                &[content_part(&content)],
            ),
        )
        .await
        .expect(400);
    }
    let with_boundary_in_text = statement_with_attachments(11, [])
        .set("context", json!({"extensions": {"urn:x": format!("five--{BOUNDARY}--")}}));
    post(&admin, multipart_body(&with_boundary_in_text.into(), &[])).await.expect(400);
    let (five, six) = (b"five\r\n".to_vec(), b"six".to_vec());
    let mut without_line_break = content_part(&five);
    without_line_break.truncate(without_line_break.len() - 2);
    let both = statement_with_attachments(11, [declare_attachment(&five), declare_attachment(&six)]).json();
    post(&admin, multipart_body(&both, &[without_line_break, content_part(&six)])).await.expect(400);
    assert_eq!(count_stored(server).await, before);
    post(&admin, multipart_body(&both, &[content_part(&five), content_part(&six)])).await.expect(200);
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
        let answer = admin.get(&format!("{PATH}?cursor={}", encode_segment(cursor))).await;
        answer.expect(if cursor == "1~" { 200 } else { 400 });
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

/// Each limit has a separate answer, at the limit and one byte above it.
#[test]
fn too_large_attachments_are_refused() {
    let limits = Limits { body_bytes: 2_000, attachment_bytes: 3_000, ..Limits::default() };
    let options = AppOptions { limits, ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let large = random_bytes(3_000);
        post_with_contents(&admin, statement_with_attachments(1, [declare_attachment(&large)]), &[&large])
            .await;
        let too_large = random_bytes(3_001);
        let sent = multipart_body(
            &statement_with_attachments(2, [declare_attachment(&too_large)]).into(),
            &[content_part(&too_large)],
        );
        let refused = post(&admin, sent).await.expect(413).json();
        assert!(refused["detail"].as_str().expect("a detail").contains("more than 3000 bytes"), "{refused}");
        // The part with statements has the limit of any body.
        let body_with_length = |bytes: usize| {
            let mut text = statement_with_attachments(3, [declare_with_file_url(b"")]).json().to_string();
            text.push_str(&" ".repeat(bytes - text.len()));
            let mut sent = body_part("Content-Type: application/json\r\n", text.as_bytes());
            sent.extend(format!("--{BOUNDARY}--").into_bytes());
            sent
        };
        let refused = post(&admin, body_with_length(2_001)).await.expect(413).json();
        assert!(refused["detail"].as_str().expect("a detail").contains("more than 2000 bytes"), "{refused}");
        post(&admin, body_with_length(2_000)).await.expect(200);
        // All attachments together have a limit.
        let contents: Vec<Vec<u8>> = (0..5).map(|n| random_bytes(2_900 + n)).collect();
        let shortened = |content: &Vec<u8>| json!({"usageType": "urn:u", "display": {}, "contentType": "a/b", "length": 0, "sha2": sha2(content)});
        let parts: Vec<Vec<u8>> = contents.iter().map(|content| content_part(content)).collect();
        let five =
            multipart_body(&statement_with_attachments(4, contents.iter().map(shortened)).into(), &parts);
        let refused = post(&admin, five).await.expect(413).json();
        assert!(refused["detail"].as_str().expect("a detail").contains("12000 bytes together"), "{refused}");
        let four = multipart_body(
            &statement_with_attachments(4, contents[..4].iter().map(shortened)).into(),
            &parts[..4],
        );
        post(&admin, four).await.expect(200);
        assert_eq!(count_stored(server).await, [3, 5, 5]);
    });
}
