//! Tokens of every kind against every kind of key; what belongs to nobody is refused by name.

mod claims;
mod fetched;
mod issuers;

use super::*;
use crate::access::claims::mint;
use crate::access::role::Role;
use crate::access::testing::{
    Folder, TestKey, claims, ed25519, now, p256, p384, pem, raw_token, rsa_a, rsa_b, seconds_from_now,
    secret, set,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

async fn load(config: KeyConfig) -> TokenKeys {
    TokenKeys::load(&config).await.unwrap()
}

async fn with_secret() -> TokenKeys {
    load(KeyConfig {
        secret: Some(secret()),
        ..KeyConfig::default()
    })
    .await
}

async fn with_pem(pem: &str) -> TokenKeys {
    let folder = Folder::new();
    let public_key = Some(folder.write("key.pem", pem));
    load(KeyConfig {
        public_key,
        ..KeyConfig::default()
    })
    .await
}

async fn with_set(keys: &[Value]) -> TokenKeys {
    let folder = Folder::new();
    let jwks = Some(folder.write("jwks.json", set(keys)).display().to_string());
    load(KeyConfig {
        jwks,
        ..KeyConfig::default()
    })
    .await
}

async fn refusal(keys: &TokenKeys, token: &str) -> TokenError {
    keys.verify(token, now())
        .await
        .expect_err("the token must be refused")
}

fn every_key() -> [TestKey; 4] {
    [rsa_a(), p256(), p384(), ed25519()]
}

#[tokio::test]
async fn signed_token_verifies_as_its_person() {
    let person = with_secret()
        .await
        .verify(&mint(&secret(), &claims()).unwrap(), now())
        .await
        .unwrap();
    assert_eq!((person.org.as_str(), person.user.as_str()), ("acme", "ada"));
    assert_eq!(
        (person.role, person.expires_at),
        (Role::Manager, seconds_from_now(60))
    );
    assert_eq!(person.reports, None);
}

#[tokio::test]
async fn each_type_of_public_key_verifies_only_its_tokens() {
    for key in every_key() {
        for keys in [with_pem(key.public_pem).await, with_set(&[key.jwk(None)]).await] {
            assert!(
                keys.verify(&key.sign(None, &claims()), now()).await.is_ok(),
                "{:?}",
                key.algorithm
            );
            for other in every_key()
                .iter()
                .filter(|other| other.algorithm != key.algorithm)
            {
                let refused = refusal(&keys, &other.sign(None, &claims())).await;
                assert_eq!(
                    refused,
                    TokenError::AlgorithmNotAllowed,
                    "{:?} by {:?}",
                    other.algorithm,
                    key.algorithm
                );
            }
        }
    }
    let stranger = rsa_b().sign(None, &claims());
    assert_eq!(
        refusal(&with_pem(rsa_a().public_pem).await, &stranger).await,
        TokenError::BadSignature
    );
    let pkcs1 = with_pem(pem!("rsa-a.pkcs1.pub.pem")).await;
    assert!(
        pkcs1
            .verify(&rsa_a().sign(Some("ignored"), &claims()), now())
            .await
            .is_ok()
    );
}

/// The classic confusion: a token that calls itself HS256, signed with the text of the public key.
#[tokio::test]
async fn public_key_is_never_used_as_a_shared_secret() {
    let payload = serde_json::to_value(claims()).unwrap();
    for key in every_key() {
        let keys = [
            with_pem(key.public_pem).await,
            with_set(&[key.jwk(Some("k"))]).await,
        ];
        for secret in [key.public_pem, key.public_pem.trim_end()] {
            let forged = raw_token(&json!({"alg": "HS256", "kid": "k"}), &payload, secret.as_bytes());
            for keys in &keys {
                assert_eq!(refusal(keys, &forged).await, TokenError::AlgorithmNotAllowed);
            }
            // The same signature under the algorithm that the key is for.
            let name = format!("{:?}", key.algorithm);
            let forged = raw_token(&json!({"alg": name, "kid": "k"}), &payload, secret.as_bytes());
            for keys in &keys {
                assert_eq!(refusal(keys, &forged).await, TokenError::BadSignature);
            }
        }
    }
}

#[tokio::test]
async fn algorithm_none_is_refused() {
    let payload = serde_json::to_value(claims()).unwrap();
    for keys in [
        with_secret().await,
        with_pem(rsa_a().public_pem).await,
        with_set(&[p256().jwk(None)]).await,
    ] {
        for name in [
            "none", "None", "NONE", "nOnE", "", "HS512", "HS384", "RS1", "ES256K",
        ] {
            let signed = raw_token(
                &json!({"alg": name}),
                &payload,
                secret().expose_secret().as_bytes(),
            );
            let bare = &signed[..=signed.rfind('.').unwrap()];
            for token in [signed.as_str(), bare] {
                assert_eq!(
                    refusal(&keys, token).await,
                    TokenError::AlgorithmNotAllowed,
                    "{name}"
                );
            }
        }
    }
}

#[tokio::test]
async fn changed_token_is_refused() {
    let keys = with_secret().await;
    let token = mint(&secret(), &claims()).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let owner = mint(&secret(), &{
        let mut claims = claims();
        claims.role = Role::Owner;
        claims
    })
    .unwrap();
    let payload = owner.split('.').nth(1).unwrap();
    assert_eq!(
        refusal(&keys, &format!("{}.{payload}.{}", parts[0], parts[2])).await,
        TokenError::BadSignature
    );
    assert_eq!(
        refusal(&keys, &format!("{}.{}.", parts[0], parts[1])).await,
        TokenError::BadSignature
    );
    assert_eq!(
        refusal(&keys, &token[..token.len() - 1]).await,
        TokenError::BadSignature
    );
    assert!(matches!(
        refusal(&keys, &format!("{token}.")).await,
        TokenError::Malformed(_)
    ));
    let other = SecretString::from("another secret of more than 32 bytes, for tests");
    assert_eq!(
        refusal(&keys, &mint(&other, &claims()).unwrap()).await,
        TokenError::BadSignature
    );
}

#[tokio::test]
async fn keys_in_the_token_are_ignored() {
    let payload = serde_json::to_value(claims()).unwrap();
    let evil = b"a secret of the attacker's own choosing";
    let jwk = json!({"kty": "oct", "k": "YSBzZWNyZXQgb2YgdGhlIGF0dGFja2VyJ3Mgb3duIGNob29zaW5n"});
    let header =
        json!({"alg": "HS256", "jwk": jwk, "jku": "http://127.0.0.1:9/", "x5u": "http://127.0.0.1:9/"});
    assert_eq!(
        refusal(&with_secret().await, &raw_token(&header, &payload, evil)).await,
        TokenError::BadSignature
    );
}

#[tokio::test]
async fn several_types_of_keys_can_be_configured() {
    let folder = Folder::new();
    let keys = load(KeyConfig {
        secret: Some(secret()),
        public_key: Some(folder.write("key.pem", rsa_a().public_pem)),
        jwks: Some(
            folder
                .write("jwks.json", set(&[rsa_b().jwk(Some("b"))]))
                .display()
                .to_string(),
        ),
        ..KeyConfig::default()
    })
    .await;
    for token in [
        mint(&secret(), &claims()).unwrap(),
        rsa_a().sign(None, &claims()),
        rsa_a().sign(Some("a name of its own"), &claims()),
        rsa_b().sign(Some("b"), &claims()),
        rsa_b().sign(None, &claims()),
    ] {
        assert!(keys.verify(&token, now()).await.is_ok());
    }
    assert_eq!(
        refusal(&keys, &rsa_b().sign(Some("c"), &claims())).await,
        TokenError::UnknownKey
    );
}

#[tokio::test]
async fn kid_must_name_the_signing_key() {
    let keys = with_set(&[rsa_a().jwk(Some("a")), rsa_b().jwk(Some("b"))]).await;
    assert!(
        keys.verify(&rsa_a().sign(Some("a"), &claims()), now())
            .await
            .is_ok()
    );
    assert!(keys.verify(&rsa_b().sign(None, &claims()), now()).await.is_ok());
    assert_eq!(
        refusal(&keys, &rsa_a().sign(Some("b"), &claims())).await,
        TokenError::BadSignature
    );
    assert_eq!(
        refusal(&keys, &rsa_a().sign(Some(""), &claims())).await,
        TokenError::UnknownKey
    );
    assert_eq!(
        refusal(&keys, &p256().sign(Some("a"), &claims())).await,
        TokenError::AlgorithmNotAllowed
    );
}

#[tokio::test]
async fn no_token_is_accepted_without_keys() {
    let keys = load(KeyConfig::default()).await;
    assert!(!keys.accept_tokens());
    assert_eq!(
        refusal(&keys, &mint(&secret(), &claims()).unwrap()).await,
        TokenError::NotAccepted
    );
    // Without key sets there is nothing to keep fresh, but keys may come with a reload.
    keys.refresh_loop(std::future::ready(())).await;
}

#[tokio::test]
async fn invalid_settings_are_refused_with_an_explanation() {
    let folder = Folder::new();
    let file = |name: &str, text: &str| Some(folder.write(name, text));
    let jwks = |name: &str, text: &str| Some(folder.write(name, text).display().to_string());
    let default = KeyConfig::default;
    let text = |text: &str| Some(text.to_owned());
    let oct = json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"});
    let many = set(&vec![p256().jwk(None); 65]);
    let wrong = [
        (
            KeyConfig {
                secret: Some("x".repeat(31).into()),
                ..default()
            },
            "ROLLBOOK_JWT_SECRET has 31 bytes",
        ),
        (
            KeyConfig {
                secret: Some("x".repeat(32).into()),
                ..default()
            },
            "ROLLBOOK_JWT_SECRET repeats a few characters",
        ),
        (
            KeyConfig {
                issuer: text("me"),
                ..default()
            },
            "ROLLBOOK_JWT_ISSUER: it needs a key",
        ),
        (
            KeyConfig {
                audience: text("me"),
                ..default()
            },
            "ROLLBOOK_JWT_AUDIENCE: it needs a key",
        ),
        (
            KeyConfig {
                public_key: Some(folder.path().join("nowhere.pem")),
                ..default()
            },
            "nowhere.pem can't be read",
        ),
        (
            KeyConfig {
                public_key: file("a", "hello"),
                ..default()
            },
            "it is not PEM",
        ),
        (
            KeyConfig {
                public_key: file("b", pem!("rsa-a.pem")),
                ..default()
            },
            "it is a private key",
        ),
        (
            KeyConfig {
                public_key: file("c", pem!("rsa-1024.pub.pem")),
                ..default()
            },
            "RSA of 2048 to 8192 bits",
        ),
        (
            KeyConfig {
                public_key: file("d", pem!("ec-secp256k1.pub.pem")),
                ..default()
            },
            "P-256, P-384",
        ),
        (
            KeyConfig {
                public_key: file("e", pem!("ec-p-521.pub.pem")),
                ..default()
            },
            "P-256, P-384",
        ),
        (
            KeyConfig {
                public_key: file("f", &[rsa_a().public_pem, rsa_b().public_pem].concat()),
                ..default()
            },
            "more than one key; use a JWKS",
        ),
        (
            KeyConfig {
                jwks: jwks("set-0", "[]"),
                ..default()
            },
            "it is not a key set",
        ),
        (
            KeyConfig {
                jwks: jwks("set-1", &set(&[oct])),
                ..default()
            },
            "no key that can verify",
        ),
        (
            KeyConfig {
                jwks: jwks("set-2", &many),
                ..default()
            },
            "it has 65 keys; the maximum is 64",
        ),
        (
            KeyConfig {
                jwks: jwks("set-3", &" ".repeat(1024 * 1024 + 1)),
                ..default()
            },
            "larger than 1048576 bytes",
        ),
        (
            KeyConfig {
                jwks: text("ftp://keys.example/"),
                ..default()
            },
            "must begin with https://",
        ),
    ];
    for (config, expected) in wrong {
        let message = match TokenKeys::load(&config).await {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{expected}: was accepted"),
        };
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
}
