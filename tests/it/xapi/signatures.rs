//! Tests of signed statements (xAPI 1.0.3, Data 2.6). The keys and certificates are created here.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::attachments::{
    content_part, count_stored, declare_attachment, multipart_body, post, post_with_contents,
};
use crate::support::builders::{mailbox, statement};
use crate::support::records::{STATEMENTS as PATH, id};
use crate::support::{TestServer, apply, both_databases};

/// A DER element: tag, length and content.
fn der_element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut element = vec![tag];
    match content.len() {
        short @ 0..=127 => element.push(short as u8),
        _ => {
            element.push(0x80 | significant.len() as u8);
            element.extend_from_slice(significant);
        }
    }
    element.extend_from_slice(content);
    element
}

struct Signer {
    key: KeyPair,
}

impl Signer {
    fn new() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        Self { key }
    }

    fn sign(&self, encoding: &'static dyn RsaEncoding, text: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key.sign(encoding, &random, text, &mut signature).expect("a signature");
        signature
    }

    /// A self-signed certificate of the key (RFC 5280, 4.1) in base64.
    fn certificate(&self) -> String {
        // The algorithm sha256WithRSAEncryption with NULL parameters.
        let algorithm = der_element(0x30, &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0]);
        // CN=test
        let name = der_element(
            0x30,
            &der_element(
                0x31,
                &der_element(0x30, &[&[0x06, 3, 0x55, 4, 3][..], &der_element(0x0c, b"test")].concat()),
            ),
        );
        let time = |text: &str| der_element(0x17, text.as_bytes());
        let key: PublicKeyX509Der<'_> = self.key.public_key().as_der().expect("DER");
        let signed = [
            der_element(0xa0, &der_element(2, &[2])), // version 3
            der_element(2, &[1]),
            algorithm.clone(),
            name.clone(),
            der_element(0x30, &[time("200101000000Z"), time("490101000000Z")].concat()),
            name,
            key.as_ref().to_vec(),
            // Empty basic constraints, because version 3 has extensions.
            der_element(
                0xa3,
                &der_element(
                    0x30,
                    &der_element(
                        0x30,
                        &[&[0x06, 3, 0x55, 0x1d, 19][..], &der_element(4, &der_element(0x30, &[]))].concat(),
                    ),
                ),
            ),
        ];
        let signed = der_element(0x30, &signed.concat());
        let signature = self.sign(&RSA_PKCS1_SHA256, &signed);
        let signature = der_element(3, &[&[0], signature.as_slice()].concat());
        STANDARD.encode(der_element(0x30, &[signed, algorithm, signature].concat()))
    }

    /// Signs the payload in compact serialization.
    fn jws(&self, algorithm: &str, x5c: Option<&[String]>, payload: &str) -> Vec<u8> {
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if let Some(x5c) = x5c {
            header["x5c"] = json!(x5c);
        }
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload.as_bytes()));
        let encoding: &'static dyn RsaEncoding = match algorithm {
            "RS384" => &RSA_PKCS1_SHA384,
            "RS512" => &RSA_PKCS1_SHA512,
            _ => &RSA_PKCS1_SHA256,
        };
        let signature = encode(&self.sign(encoding, signed.as_bytes()));
        format!("{signed}.{signature}").into_bytes()
    }
}

/// A statement with a number, before it is signed.
fn unsigned_statement(n: usize) -> Value {
    let one = statement(mailbox("ada@example.org"), "http://adlnet.gov/expapi/verbs/passed", "urn:c");
    one.set("id", id(n))
        .set("timestamp", "2026-03-01T10:00:00.000+01:00")
        .set("result.duration", "PT1M0.123S")
        .json()
}

fn signature_attachment(jws: &[u8]) -> Value {
    let mut declared = declare_attachment(jws);
    declared["usageType"] = json!("http://adlnet.gov/expapi/attachments/signature");
    declared["contentType"] = json!("application/octet-stream");
    declared
}

fn with_member(mut statement: Value, name: &str, value: Value) -> Value {
    statement[name] = value;
    statement
}

#[apply(both_databases)]
async fn signed_statement_is_stored_with_its_signature(server: &TestServer) {
    let admin = server.person("admin", "root");
    let signer = Signer::new();
    let chain = [signer.certificate(), "never looked at".to_owned()];
    let certificates: [Option<&[String]>; 2] = [None, Some(&chain)];
    let mut n = 0;
    for algorithm in ["RS256", "RS384", "RS512"] {
        for x5c in certificates {
            n += 1;
            let jws = signer.jws(algorithm, x5c, &unsigned_statement(n).to_string());
            post_with_contents(
                &admin,
                with_member(unsigned_statement(n), "attachments", json!([signature_attachment(&jws)])),
                &[&jws],
            )
            .await;
            let answer =
                admin.get(&format!("{PATH}?statementId={}&attachments=true", id(n))).await.expect(200);
            let found = answer.body.windows(jws.len()).any(|window| window == jws);
            assert!(found, "{algorithm}: the signature must be returned");
        }
    }
    // A signed statement with another attachment, and a batch of signed statements.
    let file = declare_attachment(b"a file");
    let signed = with_member(unsigned_statement(21), "attachments", json!([file]));
    let one = signer.jws("RS256", Some(&chain), &signed.to_string());
    let two = signer.jws("RS256", Some(&chain), &unsigned_statement(22).to_string());
    let batch = json!([
        with_member(signed, "attachments", json!([file, signature_attachment(&one)])),
        with_member(unsigned_statement(22), "attachments", json!([signature_attachment(&two)]))
    ]);
    post_with_contents(&admin, batch, &[b"a file", &one, &two]).await;
    assert_eq!(count_stored(server).await, [8, 9, 9]);
}

#[apply(both_databases)]
async fn invalid_signature_is_refused(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (signer, other) = (Signer::new(), Signer::new());
    let (certificates, foreign) = ([signer.certificate()], [other.certificate()]);
    let text = unsigned_statement(1).to_string();
    let valid = signer.jws("RS256", Some(&certificates), &text);
    let declared =
        |jws: &[u8]| with_member(unsigned_statement(1), "attachments", json!([signature_attachment(jws)]));
    let changed_signature = [&valid[..valid.len() - 3], b"AAA"].concat();
    let refusals: Vec<(&str, Vec<u8>)> = vec![
        ("another algorithm", signer.jws("HS256", None, &text)),
        ("none", signer.jws("none", None, &text)),
        ("another key's certificate", signer.jws("RS256", Some(&foreign), &text)),
        ("no certificate", signer.jws("RS256", Some(&[]), &text)),
        ("a broken certificate", signer.jws("RS256", Some(&["MIID".to_owned()]), &text)),
        ("a broken signature", changed_signature),
        ("another statement", signer.jws("RS256", Some(&certificates), &unsigned_statement(2).to_string())),
        (
            "another result",
            signer.jws(
                "RS256",
                None,
                &with_member(unsigned_statement(1), "result", json!({"duration": "PT1M0.2S"})).to_string(),
            ),
        ),
        ("no JSON", signer.jws("RS256", None, &text.replacen('"', "'", 1))),
        ("no signature", b"not a signature".to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, jws) in refusals {
        let refused =
            post(&admin, multipart_body(&declared(&jws), &[content_part(&jws)])).await.expect(400).json();
        assert_eq!(refused["pointer"], "/attachments/0", "{what}");
        let refused = post(
            &admin,
            multipart_body(&json!([unsigned_statement(3), declared(&jws)]), &[content_part(&jws)]),
        )
        .await
        .expect(400)
        .json();
        assert_eq!(refused["pointer"], "/1/attachments/0", "{what}");
    }
    let mut as_text = declared(&valid);
    as_text["attachments"][0]["contentType"] = json!("text/plain; charset=ascii");
    post(&admin, multipart_body(&as_text, &[content_part(&valid)])).await.expect(400);
    // A signature with only a `fileUrl` cannot be checked.
    let mut with_file_url = declared(&valid);
    with_file_url["attachments"][0]["fileUrl"] = json!("https://example.com/signature");
    assert_eq!(admin.post(PATH, &with_file_url).await.expect(400).json()["pointer"], "/attachments/0");
    assert_eq!(count_stored(server).await, [0, 0, 0]);
    post(&admin, multipart_body(&with_file_url, &[content_part(&valid)])).await.expect(200);
    assert_eq!(count_stored(server).await, [1, 1, 1]);
}

#[apply(both_databases)]
async fn signed_payload_must_equal_the_statement(server: &TestServer) {
    let admin = server.person("admin", "root");
    let signer = Signer::new();
    let signed = unsigned_statement(1);
    for (n, payload) in [
        with_member(signed.clone(), "timestamp", json!("2026-03-01T09:00:00Z")),
        with_member(signed.clone(), "result", json!({"duration": "PT1M0.129S"})),
        with_member(signed.clone(), "verb", json!({"id": signed["verb"]["id"], "display": {"en": "passed"}})),
        with_member(signed.clone(), "version", json!("1.0.0")),
    ]
    .into_iter()
    .enumerate()
    {
        let jws = signer.jws("RS256", None, &serde_json::to_string_pretty(&payload).expect("JSON"));
        let sent = with_member(signed.clone(), "attachments", json!([signature_attachment(&jws)]));
        post(&admin, multipart_body(&sent, &[content_part(&jws)])).await.expect(200);
        assert_eq!(
            count_stored(server).await,
            [1, 1, 1],
            "{n}: the first statement and its attachments must stay"
        );
    }
}
