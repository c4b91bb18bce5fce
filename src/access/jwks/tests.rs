//! Tests of the keys that are accepted from a set, and of their algorithms.

use super::*;
use crate::access::testing::{ed25519, p256, p384, rsa_a};
use jsonwebtoken::Algorithm;
use serde_json::json;

impl KeySet {
    /// Allows the next reading at once.
    pub(crate) async fn forget_last_look(&self) {
        *self.last_requested.lock().await = None;
    }
}

fn algorithm_of(jwk: &Value) -> Option<Algorithm> {
    let text = json!({ "keys": [jwk] }).to_string();
    let keys = parse_key_set(text.as_bytes(), &Source::File("test".into())).unwrap();
    keys.first().map(|named| named.key.algorithm())
}

fn with(mut jwk: Value, member: &str, value: Value) -> Value {
    jwk[member] = value;
    jwk
}

fn without_alg(mut jwk: Value) -> Value {
    jwk.as_object_mut().unwrap().remove("alg");
    jwk
}

#[test]
fn type_of_key_determines_the_algorithm() {
    let kinds = [
        (rsa_a(), Algorithm::RS256),
        (p256(), Algorithm::ES256),
        (p384(), Algorithm::ES384),
        (ed25519(), Algorithm::EdDSA),
    ];
    for (key, expected) in kinds {
        assert_eq!(algorithm_of(&key.jwk(None)), Some(expected));
        assert_eq!(algorithm_of(&without_alg(key.jwk(Some("k")))), Some(expected));
    }
}

#[test]
fn alg_must_fit_the_type_of_the_key() {
    let rsa = rsa_a().jwk(None);
    for (name, expected) in [
        ("RS512", Some(Algorithm::RS512)),
        ("PS256", Some(Algorithm::PS256)),
        ("HS256", None),
        ("ES256", None),
        ("none", None),
        ("RSA-OAEP", None),
    ] {
        assert_eq!(
            algorithm_of(&with(rsa.clone(), "alg", json!(name))),
            expected,
            "{name}"
        );
    }
    assert_eq!(algorithm_of(&with(p256().jwk(None), "alg", json!("ES384"))), None);
    assert_eq!(
        algorithm_of(&with(ed25519().jwk(None), "alg", json!("Ed25519"))),
        Some(Algorithm::EdDSA)
    );
    assert_eq!(
        algorithm_of(&with(ed25519().jwk(None), "alg", json!("HS256"))),
        None
    );
}

#[test]
fn symmetric_keys_and_keys_for_other_uses_are_skipped() {
    let rsa = rsa_a().jwk(None);
    assert_eq!(
        algorithm_of(&json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"})),
        None
    );
    assert_eq!(algorithm_of(&with(rsa.clone(), "use", json!("enc"))), None);
    assert_eq!(
        algorithm_of(&with(rsa.clone(), "use", json!("sig"))),
        Some(Algorithm::RS256)
    );
    assert_eq!(
        algorithm_of(&with(rsa.clone(), "key_ops", json!(["encrypt"]))),
        None
    );
    assert_eq!(
        algorithm_of(&with(rsa, "key_ops", json!(["verify"]))),
        Some(Algorithm::RS256)
    );
    assert_eq!(
        algorithm_of(&json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"})),
        None
    );
    assert_eq!(algorithm_of(&json!({"kid": "no kind"})), None);
    assert_eq!(algorithm_of(&json!("no object")), None);
}

#[test]
fn invalid_keys_are_skipped() {
    let flipped = |jwk: Value, member: &str| {
        let text = jwk[member].as_str().unwrap();
        let mut bytes =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap();
        bytes[1] ^= 1;
        let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
        with(jwk, member, json!(text))
    };
    assert_eq!(
        algorithm_of(&flipped(p256().jwk(None), "y")),
        None,
        "not on the curve"
    );
    assert_eq!(algorithm_of(&with(p256().jwk(None), "y", json!("AA"))), None);
    assert_eq!(algorithm_of(&with(p256().jwk(None), "crv", json!("P-384"))), None);
    assert_eq!(algorithm_of(&with(ed25519().jwk(None), "x", json!("AAAA"))), None);
    assert_eq!(
        algorithm_of(&with(rsa_a().jwk(None), "n", json!("__________8"))),
        None,
        "too short"
    );
    assert_eq!(
        algorithm_of(&with(rsa_a().jwk(None), "e", json!("AQ"))),
        None,
        "an exponent of 1"
    );
    assert_eq!(
        algorithm_of(&with(rsa_a().jwk(None), "e", json!("AQAA"))),
        None,
        "an even exponent"
    );
    assert_eq!(
        algorithm_of(&with(rsa_a().jwk(None), "n", json!("not base64url!"))),
        None
    );
}

#[test]
fn one_bad_key_spoils_no_other() {
    let set = json!({"keys": [{"kty": "oct", "k": "AA"}, 7, p256().jwk(Some("good"))], "other": true});
    let keys = parse_key_set(set.to_string().as_bytes(), &Source::File("test".into())).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].id.as_deref(), Some("good"));
}

#[test]
fn a_source_is_shown_without_its_secrets() {
    let source = Source::parse(
        "https://user:hidden@keys.example:8443/a/jwks?token=hidden#x",
        None,
    )
    .unwrap();
    assert_eq!(source.to_string(), "https://keys.example:8443/a/jwks");
    let source = Source::parse("keys/jwks.json", Some(Path::new("/etc/rollbook"))).unwrap();
    assert_eq!(source.to_string(), "/etc/rollbook/keys/jwks.json");
    for (url, expected) in [
        ("http://127.0.0.1:80/", true),
        ("http://[::1]/", true),
        ("http://localhost/", true),
        ("http://127.0.0.1.example/", false),
        ("https://keys.example/", false),
    ] {
        assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
    }
}
