//! `/xapi/statements` with attachments: multipart/mixed in and out (xAPI 1.0.3, Communication 1.5.2 and Data 2.4.11).

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

/// The `sha2` of a content.
pub(super) fn sha2(content: &[u8]) -> String {
    hex(Sha256::digest(content))
}

/// What a statement declares of a content.
pub(super) fn declare(content: &[u8]) -> Value {
    json!({"usageType": "http://example.com/attachment-usage/test", "display": {"en-US": "A test attachment"},
        "contentType": "text/plain", "length": content.len(), "sha2": sha2(content)})
}

/// The same, with an address where the content lies.
fn declare_elsewhere(content: &[u8]) -> Value {
    let mut declared = declare(content);
    declared["fileUrl"] = json!("https://example.com/file");
    declared
}

/// A statement with a number and attachments.
fn numbered(n: usize, attachments: impl IntoIterator<Item = Value>) -> Body {
    let attachments: Vec<Value> = attachments.into_iter().collect();
    statement(mailbox("ada@example.org"), COMPLETED, "urn:c").set("id", id(n)).set("attachments", attachments)
}

/// One part of a body: lines of headers, and bytes.
pub(super) fn part(headers: &str, bytes: &[u8]) -> Vec<u8> {
    let mut part = format!("--{BOUNDARY}\r\n{headers}\r\n").into_bytes();
    part.extend_from_slice(bytes);
    part.extend_from_slice(b"\r\n");
    part
}

/// The part of a content.
pub(super) fn content_part(content: &[u8]) -> Vec<u8> {
    let headers = format!(
        "Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {}\r\n",
        sha2(content)
    );
    part(&headers, content)
}

/// A body of the statements and these parts.
pub(super) fn body(statements: &Value, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = part("Content-Type: application/json\r\n", statements.to_string().as_bytes());
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

/// Sends statements with their contents.
pub(super) async fn keep(caller: &Caller, statements: impl Into<Value>, contents: &[&[u8]]) {
    let parts: Vec<Vec<u8>> = contents.iter().map(|content| content_part(content)).collect();
    post(caller, body(&statements.into(), &parts)).await.expect(200);
}

/// An answer in parts: the JSON, and each content with its headers.
struct Parts {
    json: Value,
    contents: Vec<(String, Vec<u8>)>,
}

impl Parts {
    fn bytes(&self) -> Vec<&[u8]> {
        self.contents.iter().map(|(_, bytes)| bytes.as_slice()).collect()
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn split(answer: &Answer) -> Parts {
    split_body(answer.header("content-type").expect("a type"), &answer.body)
}

fn split_body(kind: &str, body: &[u8]) -> Parts {
    let boundary = kind.strip_prefix("multipart/mixed; boundary=").expect(kind);
    assert!(boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{boundary}");
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let mut rest = body.strip_prefix(&delimiter[2..]).expect("it begins with its boundary");
    let mut parts = Vec::new();
    while rest != b"--\r\n" {
        rest = rest.strip_prefix(b"\r\n").expect("a line of its own");
        let head = find(rest, b"\r\n\r\n").expect("headers");
        let end = find(&rest[head..], &delimiter).expect("an end") + head;
        let text = String::from_utf8(rest[..head].to_vec()).expect("headers are text");
        parts.push((text, rest[head + 4..end].to_vec()));
        rest = &rest[end + delimiter.len()..];
    }
    let (head, json) = parts.remove(0);
    assert_eq!(head, "Content-Type: application/json");
    Parts { json: serde_json::from_slice(&json).expect("JSON"), contents: parts }
}

/// Statements with their contents, as they match.
async fn asked(caller: &Caller, query: &str) -> Parts {
    split(&caller.get(&format!("{PATH}?attachments=true&{query}")).await.expect(200))
}

/// How many statements, contents and parts of contents are kept.
pub(super) async fn kept(server: &TestServer) -> [i64; 3] {
    let mut counts = [0; 3];
    for (count, table) in counts.iter_mut().zip(["statements", "attachments", "blobs"]) {
        let counted = format!("SELECT count(*) FROM {table}");
        *count = server.database().query_number(&counted).await;
    }
    counts
}

/// Every byte there is, and what looks like the end of a part.
fn binary() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice(b"\r\n--\r\n---\r\r\n-------31415926535897932384\r\n\r\n");
    bytes
}

/// So many bytes without a pattern.
fn noise(length: usize) -> Vec<u8> {
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
async fn bytes_come_back_as_they_came(server: &TestServer) {
    let admin = server.person("admin", "root");
    let contents = [
        binary(),
        noise(5 * 1024 * 1024),
        noise(1024 * 1024),
        b"here is a simple attachment".to_vec(),
        Vec::new(),
    ];
    for (n, content) in contents.iter().enumerate() {
        keep(&admin, numbered(n, [declare(content)]), &[content]).await;
        let answer = admin.get(&format!("{PATH}?statementId={}&attachments=true", id(n))).await.expect(200);
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
        let parts = split(&answer);
        assert_eq!(parts.json["id"], id(n));
        let head = format!(
            "Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {}",
            sha2(content)
        );
        assert_eq!(parts.contents.len(), 1);
        assert_eq!(parts.contents[0].0, head);
        assert!(parts.contents[0].1 == *content, "content {n} came back otherwise");
    }
    // PUT, in both versions, and without attachments at all.
    let content = binary();
    for (n, version) in [(11, "1.0.3"), (12, "2.0.0")] {
        let put = format!("{PATH}?statementId={}", id(n));
        send(
            &admin,
            Method::PUT,
            &put,
            version,
            body(&numbered(n, [declare(&content)]).into(), &[content_part(&content)]),
        )
        .await
        .expect(204);
        let plain = statement(mailbox("ada@example.org"), COMPLETED, "urn:c").set("id", id(n + 10));
        send(&admin, Method::POST, PATH, version, body(&plain.into(), &[])).await.expect(200);
        assert!(asked(&admin, &format!("statementId={}", id(n))).await.bytes() == [content.as_slice()]);
        assert!(asked(&admin, &format!("statementId={}", id(n + 10))).await.contents.is_empty());
    }
    // Without being asked for, none goes with the answer.
    for query in ["", "&attachments=false"] {
        let answer = admin.get(&format!("{PATH}?statementId={}{query}", id(0))).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["attachments"][0]["sha2"], sha2(&contents[0]));
    }
    assert!(asked(&admin, "verb=urn:none").await.contents.is_empty(), "multipart all the same");
}

#[apply(both_databases)]
async fn a_content_is_kept_once_and_sent_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (one, two) = (binary(), b"two".to_vec());
    let both = json!([
        numbered(1, [declare(&one), declare(&two)]).json(),
        numbered(2, [declare(&two)]).json(),
        numbered(3, []).json()
    ]);
    // One part twice is as good as once.
    let parts = [content_part(&two), content_part(&one), content_part(&two)];
    post(&admin, body(&both, &parts)).await.expect(200);
    assert_eq!(kept(server).await, [3, 2, 2]);
    keep(&admin, numbered(4, [declare(&one)]), &[&one]).await;
    assert_eq!(kept(server).await, [4, 2, 2], "known content is not kept again");
    let all = asked(&admin, "ascending=true").await;
    assert_eq!(page_numbers(&all.json), [1, 2, 3, 4]);
    assert!(all.bytes() == [one.as_slice(), two.as_slice()], "each once, in the order of the statements");
    assert!(asked(&admin, &format!("statementId={}", id(2))).await.bytes() == [two.as_slice()]);
    // The same statement again changes nothing, whatever comes with it.
    let other = b"other".to_vec();
    keep(&admin, numbered(2, [declare(&other)]), &[&other]).await;
    assert_eq!(kept(server).await, [4, 2, 2]);
    assert!(asked(&admin, &format!("statementId={}", id(2))).await.bytes() == [two.as_slice()]);
    // Nor when it comes many times at once.
    let at_once: [&[u8]; 1] = [b"at once"];
    let start_sender = (10..20).map(|n| keep(&admin, numbered(n, [declare(at_once[0])]), &at_once));
    futures_util::future::join_all(start_sender).await;
    assert_eq!(kept(server).await, [14, 3, 3]);
    // A conflict takes the contents with it.
    let conflict = json!([
        numbered(5, [declare(&other)]).json(),
        numbered(4, [declare(&other)]).set("verb.id", "urn:else").json()
    ]);
    assert_eq!(
        post(&admin, body(&conflict, &[content_part(&other)])).await.expect(409).json()["pointer"],
        "/1/id"
    );
    assert_eq!(kept(server).await, [14, 3, 3]);
}

#[apply(both_databases)]
async fn what_is_wrong_is_told_and_changes_nothing(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (one, two) = (binary(), b"two".to_vec());
    let good = numbered(1, [declare(&one)]).json();
    let head = |hash: &str, encoding: &str| format!("Content-Type: text/plain\r\n{encoding}{hash}");
    let (binary_encoding, hash) =
        ("Content-Transfer-Encoding: binary\r\n", format!("X-Experience-API-Hash: {}\r\n", sha2(&one)));
    let cut = |end: usize| {
        let whole = body(&good, &[content_part(&one)]);
        whole[..whole.len() - end].to_vec()
    };
    let json_head = "Content-Type: application/json\r\n";
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8(body(&good, &[content_part(b"two")])).expect("text");
        text.replace(from, to).into_bytes()
    };
    let refusals: Vec<(&str, Vec<u8>)> = vec![
        ("no content", body(&good, &[])),
        ("no hash", body(&good, &[part(&head("", binary_encoding), &one)])),
        (
            "another hash",
            body(
                &good,
                &[part(&head(&format!("X-Experience-API-Hash: {}\r\n", sha2(&two)), binary_encoding), &one)],
            ),
        ),
        (
            "hash of nothing",
            body(&good, &[part(&head("X-Experience-API-Hash: nothing\r\n", binary_encoding), &one)]),
        ),
        ("two hashes", body(&good, &[part(&head(&hash.repeat(2), binary_encoding), &one)])),
        ("other bytes", body(&good, &[part(&head(&hash, binary_encoding), &two)])),
        ("cut bytes", body(&good, &[part(&head(&hash, binary_encoding), &one[1..])])),
        ("no encoding", body(&good, &[part(&head(&hash, ""), &one)])),
        ("base64", body(&good, &[part(&head(&hash, "Content-Transfer-Encoding: base64\r\n"), &one)])),
        ("surplus", body(&good, &[content_part(&one), content_part(&two)])),
        (
            "statements in two parts",
            body(&good, &[part(json_head, good.to_string().as_bytes()), content_part(&one)]),
        ),
        ("statements behind", [content_part(&one), body(&good, &[])].concat()),
        ("statements as text", replaced("application/json", "text/plain")),
        (
            "statements in base64",
            replaced("application/json", "application/json\r\nContent-Transfer-Encoding: base64"),
        ),
        ("nothing", Vec::new()),
        ("no part", format!("--{BOUNDARY}--\r\n").into_bytes()),
        ("JSON alone", good.to_string().into_bytes()),
        ("no boundary before", body(&good, &[content_part(&one)])[BOUNDARY.len() + 4..].to_vec()),
        (
            "no boundary between",
            replaced(&format!("\r\n--{BOUNDARY}\r\nContent-Type: text"), "\r\nContent-Type: text"),
        ),
        ("another boundary", replaced(BOUNDARY, "other")),
        ("cut", cut(4)),
        ("cut within the boundary", cut(20)),
        ("cut within the content", cut(100)),
        ("no headers", body(&good, &[part("nonsense\r\n", &one)])),
        ("bad statement", body(&json!([good, {}]), &[content_part(&one)])),
    ];
    for (what, sent) in refusals {
        let refused = post(&admin, sent.clone()).await.expect(400);
        assert!(!refused.json()["detail"].as_str().expect("a detail").is_empty(), "{what}");
        send(&admin, Method::PUT, &format!("{PATH}?statementId={}", id(1)), "2.0.0", sent).await.expect(400);
        assert_eq!(kept(server).await, [0, 0, 0], "{what}");
    }
    let missing = post(
        &admin,
        body(
            &json!([
                numbered(1, []).json(),
                numbered(2, [declare(&one), declare(&two), declare_elsewhere(&two)]).json()
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
    // As JSON, and with other boundaries and media types.
    assert_eq!(admin.post(PATH, &good).await.expect(400).json()["pointer"], "/attachments/0");
    for kind in [
        "multipart/mixed",
        "multipart/mixed; boundary=",
        "multipart/form-data; boundary=-------314159265358979323846",
        "multipart/related; boundary=x",
        "",
    ] {
        let answer = admin
            .send(Method::POST, PATH, &[("content-type", kind)], body(&good, &[content_part(&one)]))
            .await;
        answer.expect(400);
    }
    let kind = format!("multipart/mixed; boundary={BOUNDARY}");
    let zipped = [("content-type", kind.as_str()), ("content-encoding", "gzip")];
    admin.send(Method::POST, PATH, &zipped, body(&good, &[content_part(&one)])).await.expect(400);
    assert_eq!(kept(server).await, [0, 0, 0]);
    post(&admin, body(&good, &[content_part(&one)])).await.expect(200);
    assert_eq!(kept(server).await, [1, 1, 1]);
}

#[apply(both_databases)]
async fn what_senders_do_is_taken(server: &TestServer) {
    let admin = server.person("admin", "root");
    let content = b"a length that is wrong, capitals in the hash, no space after colons".to_vec();
    let declared = declare(&content);
    let mut wrong = declared.clone();
    wrong["length"] = json!(7);
    wrong["sha2"] = json!(sha2(&content).to_uppercase());
    let json = numbered(1, [wrong]).json();
    let quoted = "abcABC0123'()+_,-./:=?";
    let mut sent = format!("\r\n--{quoted}\r\nContent-Type:application/json\r\n\r\n{json}\r\n--{quoted}\r\n")
        .into_bytes();
    sent.extend(format!("Content-Type:x/y\r\nContent-Length:9\r\nContent-Transfer-Encoding:BINARY\r\nX-Experience-API-Hash:{}\r\n\r\n", sha2(&content)).into_bytes());
    sent.extend_from_slice(&content);
    sent.extend(format!("\r\n--{quoted}--").into_bytes());
    let kind = format!("Multipart/Mixed; charset=utf-8; boundary=\"{quoted}\"");
    admin.send(Method::POST, PATH, &[("content-type", &kind)], sent).await.expect(200);
    let parts = asked(&admin, &format!("statementId={}", id(1))).await;
    assert!(parts.bytes() == [content.as_slice()]);
    assert_eq!(parts.json["attachments"][0]["length"], 7, "as it was declared");
    assert!(
        parts.contents[0].0.starts_with("Content-Type: text/plain\r\n")
            && parts.contents[0].0.ends_with(&sha2(&content).to_uppercase()),
        "as the statement says it"
    );
    // SHA-2 has other lengths too.
    let digests =
        [hex(Sha224::digest(&content)), hex(Sha384::digest(&content)), hex(Sha512::digest(&content))];
    for (n, digest) in (2..).zip(digests) {
        let mut other = declared.clone();
        other["sha2"] = json!(digest);
        let headers = |digest: &str| {
            format!("Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {digest}\r\n")
        };
        let wrong = part(&headers(&digest), b"others");
        post(&admin, body(&numbered(n, [other.clone()]).into(), &[wrong])).await.expect(400);
        post(&admin, body(&numbered(n, [other]).into(), &[part(&headers(&digest), &content)]))
            .await
            .expect(200);
        assert!(asked(&admin, &format!("statementId={}", id(n))).await.bytes() == [content.as_slice()]);
    }
    // A SubStatement's attachments are the statement's.
    let sub = json!({"objectType": "SubStatement", "actor": mailbox("a@example.org"), "verb": {"id": "urn:v"}, "object": {"id": "urn:o"}, "attachments": [declare(b"sub")]});
    let whole = numbered(9, []).set("object", sub).json();
    assert_eq!(post(&admin, body(&whole, &[])).await.expect(400).json()["pointer"], "/object/attachments/0");
    keep(&admin, whole, &[b"sub"]).await;
    assert!(asked(&admin, &format!("statementId={}", id(9))).await.bytes() == [b"sub".as_slice()]);
    // No line break before a boundary, as published clients send several contents.
    let contents =
        [[binary(), b"one".to_vec()].concat(), b"two".to_vec(), Vec::new(), b"\r\nfour\r\n-".to_vec()];
    let whole = numbered(10, contents.iter().map(|content| declare(content))).json();
    let bare = |end: usize| -> Vec<Vec<u8>> {
        contents
            .iter()
            .map(|content| {
                let mut part = content_part(content);
                part.truncate(part.len() - end);
                part
            })
            .collect()
    };
    post(&admin, body(&whole, &bare(2))).await.expect(200);
    let parts = asked(&admin, &format!("statementId={}", id(10))).await;
    assert!(
        contents.iter().all(|content| parts.bytes().contains(&&content[..])) && parts.contents.len() == 4
    );
    // Nothing is cut in silence: what holds the boundary's line is not taken at all, and a line break before a
    // boundary is never the content's.
    let before = kept(server).await;
    for end in ["--", " \r\n\r\n", "--\r\n", ""] {
        let content = format!("five--{BOUNDARY}{end}").into_bytes();
        post(&admin, body(&numbered(11, [declare(&content)]).into(), &[content_part(&content)]))
            .await
            .expect(400);
    }
    let quoting =
        numbered(11, []).set("context", json!({"extensions": {"urn:x": format!("five--{BOUNDARY}--")}}));
    post(&admin, body(&quoting.into(), &[])).await.expect(400);
    let (five, six) = (b"five\r\n".to_vec(), b"six".to_vec());
    let mut short = content_part(&five);
    short.truncate(short.len() - 2);
    let both = numbered(11, [declare(&five), declare(&six)]).json();
    post(&admin, body(&both, &[short, content_part(&six)])).await.expect(400);
    assert_eq!(kept(server).await, before);
    post(&admin, body(&both, &[content_part(&five), content_part(&six)])).await.expect(200);
}

#[apply(both_databases)]
async fn contents_go_with_every_way_of_asking(server: &TestServer) {
    let admin = server.person("admin", "root");
    let contents: Vec<Vec<u8>> = (0..5).map(|n| noise(1000 + n)).collect();
    for (n, content) in contents.iter().enumerate() {
        let named = numbered(n, [declare(content)])
            .set("verb.display", json!({"de": "beendet", "en": "completed", "fr": "fini"}));
        keep(&admin, named, &[content]).await;
    }
    // Page after page, with nothing but what authenticates and the version; languages travel along.
    let first = [("accept-language", "de-AT, fr;q=0.5")];
    let mut next = format!("{PATH}?attachments=true&ascending=true&limit=2&format=canonical");
    let mut pages = Vec::new();
    while !next.is_empty() {
        let page = if pages.is_empty() {
            admin.send(Method::GET, &next, &first, Vec::new()).await
        } else {
            admin.get(&next).await
        };
        let page = split(&page.expect(200));
        for one in page.json["statements"].as_array().expect("statements") {
            assert_eq!(one["verb"]["display"], json!({"de": "beendet"}));
        }
        assert_eq!(page_numbers(&page.json).len(), page.contents.len());
        next = page.json["more"].as_str().expect("more").to_owned();
        pages.extend(page.contents.into_iter().map(|(_, bytes)| bytes));
    }
    assert!(pages == contents, "each page has its own contents");
    for format in ["exact", "ids", "canonical"] {
        let found = asked(&admin, &format!("format={format}&limit=1")).await;
        assert!(found.bytes() == [contents[4].as_slice()], "{format}");
        assert_eq!(found.json["statements"][0]["attachments"][0]["sha2"], sha2(&contents[4]));
    }
    for cursor in ["x", "1~", "~de"] {
        let answer = admin.get(&format!("{PATH}?cursor={}", encode_segment(cursor))).await;
        answer.expect(if cursor == "1~" { 200 } else { 400 });
    }
    // HEAD has the headers and nothing behind them; gzip packs all of it.
    let path = format!("{PATH}?attachments=true");
    let head = admin.send(Method::HEAD, &path, &[], Vec::new()).await.expect(200);
    assert!(
        head.body.is_empty()
            && head.header("content-type").expect("a type").starts_with("multipart/mixed; boundary=")
    );
    assert_eq!(head.header("content-length"), admin.get(&path).await.expect(200).header("content-length"));
    assert!(head.header("x-experience-api-consistent-through").is_some());
    let zipped = admin.send(Method::GET, &path, &[("accept-encoding", "gzip")], Vec::new()).await.expect(200);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(zipped.body.as_slice()).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(split_body(zipped.header("content-type").expect("a type"), &unpacked).contents.len(), 5);
    // One that is voided, and when it was stored.
    let voiding_statement = json!({"actor": mailbox("root@example.org"), "verb": {"id": VOIDED}, "object": {"objectType": "StatementRef", "id": id(0)}});
    admin.post(PATH, &voiding_statement).await.expect(200);
    assert!(asked(&admin, &format!("voidedStatementId={}", id(0))).await.bytes() == [contents[0].as_slice()]);
    for query in ["", "&attachments=true"] {
        let one = admin.get(&format!("{PATH}?statementId={}{query}", id(1))).await.expect(200);
        assert_eq!(one.header("last-modified"), Some("Wed, 18 Mar 2026 10:17:23 GMT"));
    }
    assert_eq!(admin.get(PATH).await.expect(200).header("last-modified"), None);
}

#[apply(both_databases)]
async fn nobody_gets_contents_beyond_their_reach(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.put("/v1/users/ada", &user("ada").set("email", "ada@example.org")).await.expect(201);
    let (hers, others) = (b"hers".to_vec(), b"others'".to_vec());
    keep(&admin, numbered(1, [declare(&hers)]), &[&hers]).await;
    keep(&admin, numbered(2, [declare(&others)]).set("actor", mailbox("bo@example.org")), &[&others]).await;
    let ada = server.person("learner", "ada");
    assert!(asked(&ada, "").await.bytes() == [hers.as_slice()]);
    ada.get(&format!("{PATH}?statementId={}&attachments=true", id(2))).await.expect(404);
    assert!(asked(&server.person("learner", "cy"), "").await.contents.is_empty());
    // Knowing a content's hash doesn't give the content: not to a statement that came without it …
    let writer = server.credential("acme", &["statements/write", "statements/read/mine"]).await;
    writer.post(PATH, &numbered(3, [declare_elsewhere(&others)])).await.expect(200);
    keep(
        &writer,
        json!([numbered(4, [declare(b"own")]).json(), numbered(5, [declare_elsewhere(&others)]).json()]),
        &[b"own"],
    )
    .await;
    assert!(asked(&writer, "").await.bytes() == [b"own".as_slice()]);
    assert!(asked(&writer, &format!("statementId={}", id(3))).await.contents.is_empty());
    // … nor to another organisation.
    let elsewhere = server.person_of("other", json!({"sub": "root", "role": "admin"}));
    elsewhere.post(PATH, &numbered(1, [declare_elsewhere(&others)])).await.expect(200);
    assert!(asked(&elsewhere, "").await.contents.is_empty());
    post(&elsewhere, body(&numbered(2, [declare(&others)]).into(), &[])).await.expect(400);
    keep(&elsewhere, numbered(2, [declare(&others)]), &[&others]).await;
    assert!(asked(&elsewhere, "").await.bytes() == [others.as_slice()]);
    assert_eq!(kept(server).await, [7, 4, 4], "each organisation has its own");
    // Whoever may read all gets what came, also with a fileUrl.
    keep(&admin, numbered(6, [declare_elsewhere(b"both")]), &[b"both"]).await;
    let all = asked(&admin, "ascending=true").await;
    assert!(all.bytes() == [hers.as_slice(), others.as_slice(), b"own", b"both"]);
    // Those who may not read or write are refused before a byte is looked at.
    let reader = server.credential("acme", &["statements/read"]).await;
    post(&reader, body(&numbered(7, [declare(&hers)]).into(), &[content_part(&hers)])).await.expect(403);
    let anonymous = server.anonymous().with_token(&sign(&json!({"sub": "x"})));
    post(&anonymous, body(&numbered(7, [declare(&hers)]).into(), &[content_part(&hers)])).await.expect(401);
    assert!(asked(&reader, "").await.contents.len() == 4);
}

/// Each limit with its own answer, at the limit and a byte past it.
#[test]
fn what_is_too_much_is_413() {
    let limits = Limits { body_bytes: 2_000, attachment_bytes: 3_000, ..Limits::default() };
    let options = AppOptions { limits, ..AppOptions::default() };
    run_with(Database::sqlite(), options, async |server: &TestServer| {
        let admin = server.person("admin", "root");
        let large = noise(3_000);
        keep(&admin, numbered(1, [declare(&large)]), &[&large]).await;
        let larger = noise(3_001);
        let sent = body(&numbered(2, [declare(&larger)]).into(), &[content_part(&larger)]);
        let refused = post(&admin, sent).await.expect(413).json();
        assert!(refused["detail"].as_str().expect("a detail").contains("more than 3000 bytes"), "{refused}");
        // The statements have the limit of any body.
        let padded = |bytes: usize| {
            let mut text = numbered(3, [declare_elsewhere(b"")]).json().to_string();
            text.push_str(&" ".repeat(bytes - text.len()));
            let mut sent = part("Content-Type: application/json\r\n", text.as_bytes());
            sent.extend(format!("--{BOUNDARY}--").into_bytes());
            sent
        };
        let refused = post(&admin, padded(2_001)).await.expect(413).json();
        assert!(refused["detail"].as_str().expect("a detail").contains("more than 2000 bytes"), "{refused}");
        post(&admin, padded(2_000)).await.expect(200);
        // And all together.
        let contents: Vec<Vec<u8>> = (0..5).map(|n| noise(2_900 + n)).collect();
        let shortened = |content: &Vec<u8>| json!({"usageType": "urn:u", "display": {}, "contentType": "a/b", "length": 0, "sha2": sha2(content)});
        let parts: Vec<Vec<u8>> = contents.iter().map(|content| content_part(content)).collect();
        let five = body(&numbered(4, contents.iter().map(shortened)).into(), &parts);
        let refused = post(&admin, five).await.expect(413).json();
        assert!(refused["detail"].as_str().expect("a detail").contains("12000 bytes together"), "{refused}");
        let four = body(&numbered(4, contents[..4].iter().map(shortened)).into(), &parts[..4]);
        post(&admin, four).await.expect(200);
        assert_eq!(kept(server).await, [3, 5, 5]);
    });
}
