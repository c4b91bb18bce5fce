//! Tests of valid signatures, and of invalid ones with one error each.

use super::*;
use crate::record::parse_statements;

/// The example of the specification (xAPI 1.0.3, Data, Appendix D) and its signature.
const EXAMPLE: &str = include_str!("example.json");
const EXAMPLE_JWS: &str = include_str!("example.jws");

const ID: &str = "33cff416-e331-4c9d-969e-5373a1756120";

fn parse_example(text: &str) -> Statement {
    let limits = Limits::default();
    let mut statements = parse_statements(text.as_bytes(), Version::V1, &limits).expect("a statement");
    statements.remove(0)
}

fn check(statement: &Statement, jws: &str) -> Result<(), SignatureError> {
    statement.check_signature(
        &statement.attachments[0],
        jws.as_bytes(),
        statement.id,
        Version::V1,
        &Limits::default(),
    )
}

/// A signature without a certificate in its header, so the key is not checked.
fn without_certificate(header: &str, payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode(header), encode(payload), encode("not one"))
}

/// The signed text: the example without its attachments.
fn payload() -> String {
    let start = EXAMPLE.find(",\n    \"attachments\"").expect("attachments");
    format!("{}}}", &EXAMPLE[..start])
}

#[test]
fn example_of_the_specification_is_valid() {
    let statement = parse_example(EXAMPLE);
    assert!(statement.attachments[0].is_signature());
    assert_ne!(
        statement.attachments[0].length,
        EXAMPLE_JWS.len() as i64,
        "the declared length of the example is wrong"
    );
    assert_eq!(check(&statement, EXAMPLE_JWS), Ok(()));
}

#[test]
fn signature_of_another_key_or_text_is_refused() {
    let statement = parse_example(EXAMPLE);
    let (signed, signature) = EXAMPLE_JWS.rsplit_once('.').expect("three parts");
    let mut other = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    other[7] ^= 1;
    let other = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(other));
    assert_eq!(check(&statement, &other), Err(SignatureError::Key));
    // The same statement with other white space.
    let header = EXAMPLE_JWS.split('.').next().expect("a header");
    let compact = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(payload()));
    assert_eq!(check(&statement, &compact), Err(SignatureError::Key));
    // The same key with another algorithm.
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(header).expect("base64")).expect("text");
    for algorithm in ["RS384", "RS512"] {
        let header = URL_SAFE_NO_PAD.encode(text.replace("RS256", algorithm));
        let rest = EXAMPLE_JWS.split_once('.').expect("three parts").1;
        assert_eq!(
            check(&statement, &format!("{header}.{rest}")),
            Err(SignatureError::Key)
        );
    }
}

#[test]
fn key_is_not_checked_without_a_certificate() {
    let statement = parse_example(EXAMPLE);
    for algorithm in ["RS256", "RS384", "RS512"] {
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"1"}}"#);
        assert_eq!(
            check(&statement, &without_certificate(&header, &payload())),
            Ok(())
        );
    }
    for algorithm in ["none", "", "HS256", "ES256", "PS256", "RS1", "rs256"] {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let result = check(&statement, &without_certificate(&header, &payload()));
        assert_eq!(result, Err(SignatureError::Algorithm(algorithm.to_owned())));
    }
}

#[test]
fn malformed_signatures_are_refused() {
    let statement = parse_example(EXAMPLE);
    let header = r#"{"alg":"RS256"}"#;
    let valid = without_certificate(header, &payload());
    let (signed, signature) = valid.rsplit_once('.').expect("three parts");
    for bad in [
        "",
        "..",
        "a.b",
        "not a signature",
        &valid.replace('.', ","),
        &format!("{signed}."),
        &format!("{signed}.{signature}="),
        &format!("{signed}.{signature}\n"),
        &format!("{signed}.{signature}.{signature}"),
        &format!(".{valid}"),
        r#"{"payload":"e30","signatures":[{"protected":"e30","signature":"eA"}]}"#,
    ] {
        assert_eq!(check(&statement, bad), Err(SignatureError::Form), "{bad}");
    }
    let limits = Limits::default();
    let binary = statement.check_signature(&statement.attachments[0], &[0xff; 9], None, Version::V1, &limits);
    assert_eq!(binary, Err(SignatureError::Form));
    for bad in [
        "{}",
        "[]",
        "alg",
        r#"{"alg":1}"#,
        r#"{"alg":"RS256","x5c":"x"}"#,
        r#"{"alg":"RS256","alg":"RS256"}"#,
    ] {
        let result = check(&statement, &without_certificate(bad, &payload()));
        assert!(
            matches!(result, Err(SignatureError::Header(_))),
            "{bad}: {result:?}"
        );
    }
    let critical = r#"{"alg":"RS256","crit":["b64"],"b64":false}"#;
    assert_eq!(
        check(&statement, &without_certificate(critical, &payload())),
        Err(SignatureError::Critical)
    );
    for bad in ["{'actor'}", "{}", "[]", "\u{feff}", &format!("[{}]", payload())] {
        let result = check(&statement, &without_certificate(header, bad));
        assert!(
            matches!(result, Err(SignatureError::Payload(_))),
            "{bad}: {result:?}"
        );
    }
    for x5c in ["[]", r#"[""]"#, r#"["%"]"#, r#"["MIID"]"#] {
        let result = check(
            &statement,
            &without_certificate(&format!(r#"{{"alg":"RS256","x5c":{x5c}}}"#), &payload()),
        );
        assert!(
            matches!(result, Err(SignatureError::Certificate(_))),
            "{x5c}: {result:?}"
        );
    }
    let declared = EXAMPLE.replace("application/octet-stream", "text/plain; charset=ascii");
    assert_eq!(
        check(&parse_example(&declared), EXAMPLE_JWS),
        Err(SignatureError::ContentType)
    );
}

#[test]
fn signed_text_must_be_the_statement() {
    let statement = parse_example(EXAMPLE);
    let signed = |payload: &str| check(&statement, &without_certificate(r#"{"alg":"RS256"}"#, payload));
    let payload = payload();
    // With another spelling, or without members that the server sets.
    for same in [
        payload.replace("2013-04-01T12:00:00Z", "2013-04-01T14:00:00.000+02:00"),
        payload.replace(&format!("\"id\": \"{ID}\","), ""),
        payload.replace(ID, &ID.to_uppercase()),
        payload
            .replace(
                "\"timestamp\": \"2013-04-01T12:00:00Z\"",
                "\"version\": \"1.0.0\"",
            )
            .replacen("\"version\": \"1.0.0\",", "", 1),
        payload.replace("\"experienced\"", "\"erlebte\""),
        EXAMPLE.to_owned(),
    ] {
        assert_eq!(signed(&same), Ok(()), "{same}");
    }
    for (other, part) in [
        (payload.replace(ID, "33cff416-e331-4c9d-969e-5373a1756121"), "id"),
        (payload.replace("12:00:00Z", "12:00:01Z"), "timestamp"),
        (
            payload.replace("example@example.com", "other@example.com"),
            "actor, verb, object, result or context",
        ),
        (
            payload.replace("verbs/experienced", "verbs/passed"),
            "actor, verb, object, result or context",
        ),
        (
            payload.replacen('{', r#"{"result":{"success":true},"#, 1),
            "actor, verb, object, result or context",
        ),
    ] {
        assert_ne!(other, payload);
        assert_eq!(signed(&other), Err(SignatureError::Different(part)), "{other}");
    }
    // The id may come from the query parameter `statementId`. It must be the signed id.
    let without_id = parse_example(&EXAMPLE.replace(&format!("\"id\": \"{ID}\","), ""));
    let jws = without_certificate(r#"{"alg":"RS256"}"#, &payload);
    for (id, outcome) in [
        (statement.id, Ok(())),
        (None, Err(SignatureError::Different("id"))),
    ] {
        let limits = Limits::default();
        let result = without_id.check_signature(
            &without_id.attachments[0],
            jws.as_bytes(),
            id,
            Version::V1,
            &limits,
        );
        assert_eq!(result, outcome);
    }
    // A statement without the signed timestamp gets another timestamp when it is stored.
    let without_timestamp = parse_example(&EXAMPLE.replace("\"timestamp\": \"2013-04-01T12:00:00Z\",", ""));
    assert_eq!(
        check(&without_timestamp, EXAMPLE_JWS),
        Err(SignatureError::Different("timestamp"))
    );
}
