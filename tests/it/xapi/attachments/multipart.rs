//! Tests of valid, unusual and invalid multipart bodies.

use reqwest::Method;
use rollbook::http::AppOptions;
use rollbook::http::limits::Limits;
use serde_json::json;
use sha2::{Digest as _, Sha224, Sha384, Sha512};

use super::{
    BOUNDARY, all_bytes, body_part, content_part, count_stored, declare_attachment, declare_with_file_url,
    find_with_attachments, hex, multipart_body, post, post_with_contents, random_bytes, send, sha2,
    statement_with_attachments,
};
use crate::support::builders::mailbox;
use crate::support::records::{STATEMENTS as PATH, id};
use crate::support::server::run_with;
use crate::support::{Database, TestServer, apply, both_databases};

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
