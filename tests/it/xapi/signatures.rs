//! Signed statements (xAPI 1.0.3, Data 2.6), with keys and certificates made here.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::attachments::{body, content_part, declare, keep, kept, post};
use crate::support::builders::{mailbox, statement};
use crate::support::records::{STATEMENTS as PATH, id};
use crate::support::{TestServer, apply, both_databases};

/// One element of DER: a tag, a length, what is within.
fn der(tag: u8, within: &[u8]) -> Vec<u8> {
    let length = within.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut element = vec![tag];
    match within.len() {
        short @ 0..=127 => element.push(short as u8),
        _ => {
            element.push(0x80 | significant.len() as u8);
            element.extend_from_slice(significant);
        }
    }
    element.extend_from_slice(within);
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

    /// A certificate of the key, signed by itself (RFC 5280, 4.1), in base64.
    fn certificate(&self) -> String {
        // sha256WithRSAEncryption, with its NULL.
        let algorithm = der(0x30, &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0]);
        // CN=test
        let name =
            der(0x30, &der(0x31, &der(0x30, &[&[0x06, 3, 0x55, 4, 3][..], &der(0x0c, b"test")].concat())));
        let moment = |text: &str| der(0x17, text.as_bytes());
        let key: PublicKeyX509Der<'_> = self.key.public_key().as_der().expect("DER");
        let signed = [
            der(0xa0, &der(2, &[2])), // version 3
            der(2, &[1]),
            algorithm.clone(),
            name.clone(),
            der(0x30, &[moment("200101000000Z"), moment("490101000000Z")].concat()),
            name,
            key.as_ref().to_vec(),
            // Basic constraints: none. Version 3 has extensions.
            der(
                0xa3,
                &der(0x30, &der(0x30, &[&[0x06, 3, 0x55, 0x1d, 19][..], &der(4, &der(0x30, &[]))].concat())),
            ),
        ];
        let signed = der(0x30, &signed.concat());
        let signature = self.sign(&RSA_PKCS1_SHA256, &signed);
        let signature = der(3, &[&[0], signature.as_slice()].concat());
        STANDARD.encode(der(0x30, &[signed, algorithm, signature].concat()))
    }

    /// A signature of the text in compact serialization.
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

/// What is to be signed, with a number.
fn unsigned(n: usize) -> Value {
    let one = statement(mailbox("ada@example.org"), "http://adlnet.gov/expapi/verbs/passed", "urn:c");
    one.set("id", id(n))
        .set("timestamp", "2026-03-01T10:00:00.000+01:00")
        .set("result.duration", "PT1M0.123S")
        .json()
}

fn signature(jws: &[u8]) -> Value {
    let mut declared = declare(jws);
    declared["usageType"] = json!("http://adlnet.gov/expapi/attachments/signature");
    declared["contentType"] = json!("application/octet-stream");
    declared
}

fn with(mut statement: Value, name: &str, value: Value) -> Value {
    statement[name] = value;
    statement
}

#[apply(both_databases)]
async fn a_signed_statement_is_kept_with_its_signature(server: &TestServer) {
    let admin = server.person("admin", "root");
    let signer = Signer::new();
    let chain = [signer.certificate(), "never looked at".to_owned()];
    let certificates: [Option<&[String]>; 2] = [None, Some(&chain)];
    let mut n = 0;
    for algorithm in ["RS256", "RS384", "RS512"] {
        for x5c in certificates {
            n += 1;
            let jws = signer.jws(algorithm, x5c, &unsigned(n).to_string());
            keep(&admin, with(unsigned(n), "attachments", json!([signature(&jws)])), &[&jws]).await;
            let answer =
                admin.get(&format!("{PATH}?statementId={}&attachments=true", id(n))).await.expect(200);
            let found = answer.body.windows(jws.len()).any(|window| window == jws);
            assert!(found, "{algorithm}: the signature comes back");
        }
    }
    // Beside other attachments, signed with them; each statement of several with its own.
    let file = declare(b"a file");
    let signed = with(unsigned(21), "attachments", json!([file]));
    let one = signer.jws("RS256", Some(&chain), &signed.to_string());
    let two = signer.jws("RS256", Some(&chain), &unsigned(22).to_string());
    let batch = json!([
        with(signed, "attachments", json!([file, signature(&one)])),
        with(unsigned(22), "attachments", json!([signature(&two)]))
    ]);
    keep(&admin, batch, &[b"a file", &one, &two]).await;
    assert_eq!(kept(server).await, [8, 9, 9]);
}

#[apply(both_databases)]
async fn a_malformed_signature_is_refused_and_changes_nothing(server: &TestServer) {
    let admin = server.person("admin", "root");
    let (signer, other) = (Signer::new(), Signer::new());
    let (own, foreign) = ([signer.certificate()], [other.certificate()]);
    let text = unsigned(1).to_string();
    let good = signer.jws("RS256", Some(&own), &text);
    let declared = |jws: &[u8]| with(unsigned(1), "attachments", json!([signature(jws)]));
    let spoiled = [&good[..good.len() - 3], b"AAA"].concat();
    let refusals: Vec<(&str, Vec<u8>)> = vec![
        ("another algorithm", signer.jws("HS256", None, &text)),
        ("none", signer.jws("none", None, &text)),
        ("another key's certificate", signer.jws("RS256", Some(&foreign), &text)),
        ("no certificate", signer.jws("RS256", Some(&[]), &text)),
        ("a broken certificate", signer.jws("RS256", Some(&["MIID".to_owned()]), &text)),
        ("a broken signature", spoiled),
        ("another statement", signer.jws("RS256", Some(&own), &unsigned(2).to_string())),
        (
            "another result",
            signer.jws(
                "RS256",
                None,
                &with(unsigned(1), "result", json!({"duration": "PT1M0.2S"})).to_string(),
            ),
        ),
        ("no JSON", signer.jws("RS256", None, &text.replacen('"', "'", 1))),
        ("no signature", b"not a signature".to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, jws) in refusals {
        let refused = post(&admin, body(&declared(&jws), &[content_part(&jws)])).await.expect(400).json();
        assert_eq!(refused["pointer"], "/attachments/0", "{what}");
        let refused = post(&admin, body(&json!([unsigned(3), declared(&jws)]), &[content_part(&jws)]))
            .await
            .expect(400)
            .json();
        assert_eq!(refused["pointer"], "/1/attachments/0", "{what}");
    }
    let mut as_text = declared(&good);
    as_text["attachments"][0]["contentType"] = json!("text/plain; charset=ascii");
    post(&admin, body(&as_text, &[content_part(&good)])).await.expect(400);
    // A signature that lies elsewhere can't be looked at.
    let mut elsewhere = declared(&good);
    elsewhere["attachments"][0]["fileUrl"] = json!("https://example.com/signature");
    assert_eq!(admin.post(PATH, &elsewhere).await.expect(400).json()["pointer"], "/attachments/0");
    assert_eq!(kept(server).await, [0, 0, 0]);
    post(&admin, body(&elsewhere, &[content_part(&good)])).await.expect(200);
    assert_eq!(kept(server).await, [1, 1, 1]);
}

#[apply(both_databases)]
async fn what_was_signed_is_the_same_as_far_as_statements_are(server: &TestServer) {
    let admin = server.person("admin", "root");
    let signer = Signer::new();
    let signed = unsigned(1);
    for (n, payload) in [
        with(signed.clone(), "timestamp", json!("2026-03-01T09:00:00Z")),
        with(signed.clone(), "result", json!({"duration": "PT1M0.129S"})),
        with(signed.clone(), "verb", json!({"id": signed["verb"]["id"], "display": {"en": "passed"}})),
        with(signed.clone(), "version", json!("1.0.0")),
    ]
    .into_iter()
    .enumerate()
    {
        let jws = signer.jws("RS256", None, &serde_json::to_string_pretty(&payload).expect("JSON"));
        let sent = with(signed.clone(), "attachments", json!([signature(&jws)]));
        post(&admin, body(&sent, &[content_part(&jws)])).await.expect(200);
        assert_eq!(kept(server).await, [1, 1, 1], "{n}: the first stays, and what comes with it");
    }
}
