//! Forms in the alternate request syntax of xAPI 1.0.3. They can contain their `Authorization`, so the server reads them
//! before it knows the caller.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{CREDENTIAL, client, ordinary, refusal, start};
use crate::support::builders::{mailbox, statement};
use crate::support::http::encode_segment;
use crate::support::records::{PASSED, id};
use crate::support::watch::watch;
use crate::support::{Database, apply, both_databases};

const FORM: &str = "application/x-www-form-urlencoded";
const MIB: usize = 1_048_576;

fn basic(secret: &str) -> String {
    encode_segment(&format!("Basic {}", STANDARD.encode(format!("{}:{secret}", CREDENTIAL.0))))
}

#[apply(both_databases)]
async fn form_without_credentials_costs_little_memory(database: &Database) {
    let server = start(database);
    let address = format!("{}/xapi/statements?method=PUT", server.base);
    let forms = [
        ("faults", "%&".repeat(5 * MIB - 8), 401),
        ("names", "a&".repeat(5 * MIB - 8), 401),
        ("separators", "&".repeat(10 * MIB - 8), 401),
        ("one long field", format!("content={}", "x".repeat(10 * MIB - 20)), 401),
        ("one long name", "x".repeat(10 * MIB - 8), 401),
        ("credentials at the end", format!("content={}&Authorization=x", "x".repeat(9 * MIB)), 401),
        ("wrong credentials", format!("Authorization={}&{}", basic("wrong"), "%&".repeat(4 * MIB)), 401),
        ("faults in a short form", "%&".repeat(32_000), 400),
        ("names in a short form", "a&".repeat(32_000), 400),
    ];
    let (client, attacked) = (client(), server.base.clone());
    let attack = async {
        for (what, form, status) in forms {
            let request = client.post(&address).header("content-type", FORM).body(form);
            assert_eq!(refusal(what, request).await.0, status, "{what}");
        }
    };
    let ((), measured) = watch("forms without credentials", &server, ordinary(&attacked), attack).await;
    assert!(measured.growth() < 30 * MIB as u64, "{measured}");
    assert_eq!(measured.failed, 0, "{measured}");
}

#[apply(both_databases)]
async fn unfinished_forms_hold_little_memory(database: &Database) {
    let server = start(database);
    let host = server.base.strip_prefix("http://").expect("an address").to_owned();
    let head = format!(
        "POST /xapi/statements?method=PUT HTTP/1.1\r\nhost: {host}\r\ncontent-type: {FORM}\r\ncontent-length: {}\r\n\r\n",
        10 * MIB - 8
    );
    let attack = async {
        let mut connections = Vec::new();
        for number in 0..60 {
            let mut connection = TcpStream::connect(&host).await.expect("the server listens");
            connection.write_all(head.as_bytes()).await.expect("a head can be sent");
            // One half stops within the part that is read for every client, the other half far beyond it.
            let bytes = if number % 2 == 0 { 60_000 } else { 9 * MIB };
            let form = vec![b'x'; bytes];
            let sending = connection.write_all(&form);
            let _ = tokio::time::timeout(Duration::from_secs(1), sending).await; // the server may stop reading
            connections.push(connection);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        connections.len()
    };
    let (count, measured) =
        watch("60 unfinished forms", &server, ordinary(&server.base.clone()), attack).await;
    assert_eq!(count, 60);
    assert!(measured.growth() < 30 * MIB as u64, "{measured}");
    assert_eq!(measured.failed, 0, "{measured}");
}

/// Credentials are verified as soon as the first 64 KiB are read.
#[apply(both_databases)]
async fn long_form_needs_credentials_at_its_beginning(database: &Database) {
    let server = start(database);
    let (key, secret) = CREDENTIAL;
    let padding = "x".repeat(100_000);
    let sent =
        statement(mailbox("ada@example.org"), PASSED, "urn:c").set("context.platform", padding.as_str());
    let content = encode_segment(&sent.json().to_string());
    let (right, wrong) = (basic(secret), basic("wrong"));
    let version = "X-Experience-API-Version=1.0.3";
    let cases = [
        (format!("Authorization={right}&{version}&statementId={}&content={content}", id(1)), None, 204),
        (format!("{version}&content={content}&statementId={}&Authorization={right}", id(2)), None, 401),
        (format!("{version}&content={content}&statementId={}", id(3)), Some(secret), 204),
        (format!("{version}&content={content}&statementId={}", id(4)), Some("wrong"), 401),
        (
            format!("Authorization={wrong}&{version}&content={content}&statementId={}", id(5)),
            Some(secret),
            401,
        ),
        // The header is verified, and the form contradicts it.
        (
            format!("{version}&content={content}&statementId={}&Authorization={wrong}", id(6)),
            Some(secret),
            400,
        ),
        (
            format!("Authorization={right}&{version}&statementId={}&content={content}", id(7)),
            Some("wrong"),
            204,
        ),
        (format!("Authorization={right}&Authorization={right}&content={content}"), None, 400),
        (format!("Authorization=%zz&content={content}"), None, 400),
    ];
    let client = client();
    for (number, (form, header, status)) in cases.into_iter().enumerate() {
        let address = format!("{}/xapi/statements?method=PUT", server.base);
        let mut request = client.post(address).header("content-type", FORM).body(form);
        if let Some(secret) = header {
            request = request.basic_auth(key, Some(secret));
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(
            answer.status().as_u16(),
            status,
            "case {number}: {}",
            answer.text().await.unwrap_or_default()
        );
    }
}

/// With credentials, a form costs a small multiple of its length.
#[apply(both_databases)]
async fn form_with_credentials_costs_a_small_multiple_of_its_length(database: &Database) {
    let server = start(database);
    let address = format!("{}/xapi/statements?method=PUT", server.base);
    let begin = format!("Authorization={}&X-Experience-API-Version=1.0.3&", basic(CREDENTIAL.1));
    let forms = [
        ("faults", "%&".repeat(4 * MIB), 400),
        ("names", "a&".repeat(4 * MIB), 400),
        ("one long field", format!("x={}", "y".repeat(8 * MIB)), 414),
        ("content that is not JSON", format!("content={}", "%5B".repeat(2 * MIB)), 400),
    ];
    let (client, attacked) = (client(), server.base.clone());
    let attack = async {
        for (what, form, status) in forms {
            let request = client.post(&address).header("content-type", FORM).body(format!("{begin}{form}"));
            assert_eq!(refusal(what, request).await.0, status, "{what}");
        }
    };
    let ((), measured) = watch("forms with credentials", &server, ordinary(&attacked), attack).await;
    assert!(measured.growth() < 60 * MIB as u64, "{measured}");
}
