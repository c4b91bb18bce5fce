//! Tokens of every kind against every kind of key; what belongs to nobody is refused by name.

use super::*;
use crate::access::claims::mint;
use crate::access::role::Role;
use crate::access::testing::{
    Folder, KeyServer, TestKey, claims, ed25519, now, p256, p384, pem, raw_token, rsa_a, rsa_b,
    seconds_from_now, secret, set,
};
use crate::ids::OrgId;
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

/// A payload that differs from [`claims`] in one claim; signed with the secret.
fn token_with(claim: &str, value: Value) -> String {
    let mut payload = serde_json::to_value(claims()).unwrap();
    payload[claim] = value;
    raw_token(
        &json!({"alg": "HS256"}),
        &payload,
        secret().expose_secret().as_bytes(),
    )
}

#[tokio::test]
async fn a_minted_token_is_the_person_it_names() {
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
async fn each_kind_of_public_key_verifies_its_own_tokens_only() {
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
async fn a_public_key_is_never_a_shared_secret() {
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
async fn no_algorithm_is_no_signature() {
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
async fn a_changed_token_is_refused_wherever_it_was_changed() {
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
async fn keys_in_the_token_itself_are_not_looked_at() {
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
async fn time_decides_to_the_second() {
    let keys = with_secret().await;
    let mut claims = claims();
    let token = mint(&secret(), &claims).unwrap();
    assert!(keys.verify(&token, seconds_from_now(59)).await.is_ok());
    assert_eq!(
        keys.verify(&token, seconds_from_now(60)).await,
        Err(TokenError::Expired)
    );
    for (begins_in, expected) in [(30, Ok(())), (31, Err(TokenError::NotYetValid))] {
        claims.nbf = Some(seconds_from_now(begins_in));
        let verified = keys.verify(&mint(&secret(), &claims).unwrap(), now()).await;
        assert_eq!(verified.map(|_| ()), expected, "{begins_in}");
    }
}

#[tokio::test]
async fn a_missing_or_wrong_claim_is_named() {
    let keys = with_secret().await;
    for claim in ["sub", "org", "exp"] {
        assert_eq!(
            refusal(&keys, &token_with(claim, Value::Null)).await,
            TokenError::MissingClaim(claim)
        );
    }
    for (claim, value) in [
        ("role", json!("superuser")),
        ("exp", json!("soon")),
        ("org", json!("")),
        ("reports", json!([])),
    ] {
        match refusal(&keys, &token_with(claim, value)).await {
            TokenError::BadClaim { claim: named, .. } => assert_eq!(named, claim),
            other => panic!("{claim}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn issuer_and_audience_count_where_configured() {
    let issuer = Some("https://login.example".to_owned());
    let keys = load(KeyConfig {
        secret: Some(secret()),
        issuer: issuer.clone(),
        audience: Some("rollbook".to_owned()),
        ..KeyConfig::default()
    })
    .await;
    let verify = async |iss: Option<&str>, aud: &[&str]| {
        let mut claims = claims();
        claims.iss = iss.map(str::to_owned);
        claims.aud = aud.iter().map(|one| (*one).to_owned()).collect();
        keys.verify(&mint(&secret(), &claims).unwrap(), now())
            .await
            .map(|_| ())
    };
    let right = issuer.as_deref();
    assert_eq!(verify(right, &["rollbook"]).await, Ok(()));
    assert_eq!(verify(right, &["other", "rollbook"]).await, Ok(()));
    assert_eq!(verify(None, &["rollbook"]).await, Err(TokenError::WrongIssuer));
    assert_eq!(
        verify(Some("https://login.example/"), &["rollbook"]).await,
        Err(TokenError::WrongIssuer)
    );
    assert_eq!(verify(right, &[]).await, Err(TokenError::WrongAudience));
    assert_eq!(verify(right, &["other"]).await, Err(TokenError::WrongAudience));
}

#[tokio::test]
async fn several_kinds_of_keys_serve_side_by_side() {
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
async fn a_named_key_must_be_the_one_that_signed() {
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
async fn nothing_configured_accepts_nothing() {
    let keys = load(KeyConfig::default()).await;
    assert!(!keys.accept_tokens());
    assert_eq!(
        refusal(&keys, &mint(&secret(), &claims()).unwrap()).await,
        TokenError::NotAccepted
    );
    // Without key sets there is nothing to keep fresh.
    keys.refresh_loop(std::future::pending()).await;
}

#[tokio::test]
async fn a_setting_that_cannot_stand_is_refused_with_what_to_do() {
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
                issuer: text("me"),
                ..default()
            },
            "ROLLBOOK_JWT_ISSUER: it is set, but no key is",
        ),
        (
            KeyConfig {
                audience: text("me"),
                ..default()
            },
            "ROLLBOOK_JWT_AUDIENCE: it is set, but no key is",
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
            "it is no key set",
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
            "it has 65 keys; at most 64",
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

mod bound {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "PLATFORM_SECRET").then(|| secret().expose_secret().to_owned())
    }

    async fn load_file(folder: &Folder, issuers: &str, config: KeyConfig) -> Result<TokenKeys, AccessError> {
        let issuers = Some(folder.write("issuers.json", issuers));
        TokenKeys::load_with(&KeyConfig { issuers, ..config }, &environment).await
    }

    /// Two bound issuers and a general one.
    async fn keys(folder: &Folder) -> TokenKeys {
        folder.write("acme.pem", rsa_a().public_pem);
        folder.write("beta.json", set(&[rsa_b().jwk(Some("b"))]));
        let issuers = json!([
            {"issuer": "acme-login", "organisations": ["acme", "acme-labs"], "public_key": "acme.pem"},
            {"issuer": "beta-login", "organisations": ["beta"], "jwks": "beta.json", "audience": "beta-log"},
            {"issuer": "platform", "organisations": "*", "jwt_secret_env": "PLATFORM_SECRET"},
        ]);
        let general = Some(folder.write("general.pem", p256().public_pem));
        let config = KeyConfig {
            public_key: general,
            audience: Some("rollbook".to_owned()),
            ..KeyConfig::default()
        };
        load_file(folder, &issuers.to_string(), config).await.unwrap()
    }

    fn claims_of(iss: Option<&str>, org: &str, aud: &str) -> crate::access::Claims {
        let mut claims = claims();
        claims.iss = iss.map(str::to_owned);
        claims.org = OrgId::new(org).unwrap();
        claims.aud = vec![aud.to_owned()];
        claims
    }

    #[tokio::test]
    async fn an_issuer_speaks_for_its_organisations_only() {
        let folder = Folder::new();
        let keys = keys(&folder).await;
        let verify = async |key: &TestKey, kid, iss, org, aud| {
            keys.verify(&key.sign(kid, &claims_of(Some(iss), org, aud)), now())
                .await
                .map(|_| ())
        };
        let (a, b) = (rsa_a(), rsa_b());
        assert_eq!(verify(&a, None, "acme-login", "acme", "rollbook").await, Ok(()));
        assert_eq!(
            verify(&a, None, "acme-login", "acme-labs", "rollbook").await,
            Ok(())
        );
        assert_eq!(
            verify(&b, Some("b"), "beta-login", "beta", "beta-log").await,
            Ok(())
        );
        let outside = Err(TokenError::OrganisationNotAllowed);
        assert_eq!(verify(&a, None, "acme-login", "beta", "rollbook").await, outside);
        assert_eq!(
            verify(&b, Some("b"), "beta-login", "acme", "beta-log").await,
            outside
        );
        // An entry's own audience counts, else the general one.
        assert_eq!(
            verify(&b, Some("b"), "beta-login", "beta", "rollbook").await,
            Err(TokenError::WrongAudience)
        );
        assert_eq!(
            verify(&a, None, "acme-login", "acme", "beta-log").await,
            Err(TokenError::WrongAudience)
        );
        let everywhere = claims_of(Some("platform"), "any organisation", "rollbook");
        assert!(
            keys.verify(&mint(&secret(), &everywhere).unwrap(), now())
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn the_keys_of_one_issuer_are_nothing_under_anothers_name() {
        let folder = Folder::new();
        let keys = keys(&folder).await;
        let by = async |key: &TestKey, iss: Option<&str>| {
            keys.verify(&key.sign(None, &claims_of(iss, "acme", "rollbook")), now())
                .await
                .map(|_| ())
        };
        // The one who may speak for beta claims to be acme's issuer, or nobody's.
        assert_eq!(
            by(&rsa_b(), Some("acme-login")).await,
            Err(TokenError::BadSignature)
        );
        assert_eq!(
            by(&rsa_b(), Some("platform")).await,
            Err(TokenError::AlgorithmNotAllowed)
        );
        assert_eq!(by(&rsa_b(), None).await, Err(TokenError::AlgorithmNotAllowed));
        // The general key is good for tokens of other names and none, never for a bound name.
        assert_eq!(by(&p256(), None).await, Ok(()));
        assert_eq!(by(&p256(), Some("somebody else")).await, Ok(()));
        assert_eq!(
            by(&p256(), Some("acme-login")).await,
            Err(TokenError::AlgorithmNotAllowed)
        );
    }

    #[tokio::test]
    async fn without_general_keys_a_token_must_name_its_issuer() {
        let folder = Folder::new();
        let issuers =
            json!([{"issuer": "platform", "organisations": "*", "jwt_secret_env": "PLATFORM_SECRET"}]);
        let keys = load_file(&folder, &issuers.to_string(), KeyConfig::default())
            .await
            .unwrap();
        let token = |iss| mint(&secret(), &claims_of(iss, "acme", "any")).unwrap();
        assert!(keys.verify(&token(Some("platform")), now()).await.is_ok());
        assert_eq!(
            refusal(&keys, &token(None)).await,
            TokenError::MissingClaim("iss")
        );
        assert_eq!(
            refusal(&keys, &token(Some("other"))).await,
            TokenError::WrongIssuer
        );
    }

    #[tokio::test]
    async fn a_wrong_file_of_issuers_is_refused_with_the_place() {
        let folder = Folder::new();
        let entry = r#""issuer": "i", "organisations": "*""#;
        let with = |more: &str| format!("[{{{entry}, {more}}}]");
        let good = with(r#""jwt_secret_env": "PLATFORM_SECRET""#);
        let wrong = [
            ("{}".to_owned(), "invalid type: map"),
            (with(r#""jwks": 1"#), "invalid type: integer"),
            (with(r#""keys": "x""#), "unknown field `keys`"),
            (format!("[{{{entry}}}]"), "the issuer \"i\" has no key"),
            (
                with(r#""jwt_secret_env": "NOT_SET""#),
                "environment variable NOT_SET",
            ),
            (
                with(r#""public_key": "nowhere.pem""#),
                "nowhere.pem can't be read",
            ),
            (good.replace("\"*\"", "[]"), "`organisations` must be"),
            (good.replace("\"*\"", "[\"*\"]"), "`organisations` must be"),
            (good.replace("\"*\"", "\"acme\""), "`organisations` must be"),
            (good.replace("\"*\"", "[\"\"]"), "an id must not be empty"),
            (good.replace("\"i\"", "\"\""), "an `issuer` is empty"),
            (
                format!("[{0},{0}]", good.trim_matches(['[', ']'])),
                "the issuer \"i\" is there twice",
            ),
        ];
        assert!(load_file(&folder, &good, KeyConfig::default()).await.is_ok());
        for (text, expected) in wrong {
            let message = load_file(&folder, &text, KeyConfig::default())
                .await
                .unwrap_err()
                .to_string();
            assert!(message.contains(expected), "{text}: {message} lacks {expected}");
        }
        let same = KeyConfig {
            secret: Some(secret()),
            issuer: Some("i".to_owned()),
            ..KeyConfig::default()
        };
        let message = load_file(&folder, &good, same).await.unwrap_err().to_string();
        assert!(message.contains("ROLLBOOK_JWT_ISSUER as well"), "{message}");
    }
}

mod fetched {
    use super::*;
    use std::time::Duration;

    async fn with_server(server: &KeyServer) -> TokenKeys {
        load(KeyConfig {
            jwks: Some(server.url()),
            ..KeyConfig::default()
        })
        .await
    }

    #[tokio::test]
    async fn an_unknown_key_is_looked_for_at_once_but_not_often() {
        let server = KeyServer::start(&set(&[rsa_a().jwk(Some("old"))]));
        let keys = with_server(&server).await;
        let (old, new) = (
            rsa_a().sign(Some("old"), &claims()),
            rsa_b().sign(Some("new"), &claims()),
        );
        assert!(keys.verify(&old, now()).await.is_ok());
        assert_eq!(server.asked(), 1);

        // Unknown, looked for, not there; then not looked for again for ten seconds.
        assert_eq!(keys.verify(&new, now()).await, Err(TokenError::UnknownKey));
        assert_eq!(server.asked(), 2);
        server.serve(&set(&[rsa_b().jwk(Some("new"))]));
        assert_eq!(
            keys.verify(&new, seconds_from_now(9)).await,
            Err(TokenError::UnknownKey)
        );
        assert_eq!(server.asked(), 2);
        assert!(keys.verify(&new, seconds_from_now(10)).await.is_ok());
        assert_eq!(server.asked(), 3);

        // Rotated: the old key is gone, and both answers come without another fetch.
        assert_eq!(
            keys.verify(&old, seconds_from_now(11)).await,
            Err(TokenError::UnknownKey)
        );
        assert!(keys.verify(&new, seconds_from_now(12)).await.is_ok());
        assert_eq!(server.asked(), 3);
    }

    #[tokio::test]
    async fn many_unknown_keys_at_once_are_one_fetch() {
        let server = KeyServer::start(&set(&[rsa_a().jwk(Some("old"))]));
        let keys = with_server(&server).await;
        server.serve(&set(&[rsa_a().jwk(Some("old")), rsa_b().jwk(Some("new"))]));
        let token = rsa_b().sign(Some("new"), &claims());
        let all = join_all((0..20).map(|_| keys.verify(&token, now()))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert_eq!(server.asked(), 2);
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_does_not_cut_the_fetch_off() {
        let server = KeyServer::start(&set(&[rsa_a().jwk(Some("old"))]));
        let keys = with_server(&server).await;
        server.serve(&set(&[rsa_b().jwk(Some("new"))]));
        let token = rsa_b().sign(Some("new"), &claims());
        tokio::select! {
            biased;
            verified = keys.verify(&token, now()) => panic!("too quick to hang up: {verified:?}"),
            () = tokio::task::yield_now() => {}
        }
        assert!(keys.verify(&token, seconds_from_now(1)).await.is_ok());
        assert_eq!(server.asked(), 2);
    }

    #[tokio::test]
    async fn a_shared_secrets_token_never_makes_the_set_be_fetched() {
        let server = KeyServer::start(&set(&[rsa_a().jwk(Some("a"))]));
        let keys = with_server(&server).await;
        let payload = serde_json::to_value(claims()).unwrap();
        let token = raw_token(&json!({"alg": "HS256", "kid": "x"}), &payload, b"anything");
        assert_eq!(refusal(&keys, &token).await, TokenError::AlgorithmNotAllowed);
        let token = raw_token(&json!({"alg": "none", "kid": "x"}), &payload, b"anything");
        assert_eq!(refusal(&keys, &token).await, TokenError::AlgorithmNotAllowed);
        assert_eq!(server.asked(), 1);
    }

    #[tokio::test]
    async fn a_fetch_that_fails_keeps_the_old_keys() {
        let server = KeyServer::start(&set(&[rsa_a().jwk(Some("a"))]));
        let keys = with_server(&server).await;
        let token = rsa_a().sign(Some("a"), &claims());
        let unknown = rsa_b().sign(Some("b"), &claims());
        let good = set(&[rsa_b().jwk(Some("b"))]);
        let failures = [
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{\"key".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{\"keys\":[]}".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\nConnection: close\r\n\r\n".to_owned(),
            // Without a length, so that only counting helps.
            format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{good}{}",
                " ".repeat(1024 * 1024)
            ),
            format!(
                "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                server.url()
            ),
            "nonsense\r\n\r\n".to_owned(),
        ];
        for (attempt, failure) in (1..).zip(failures) {
            server.answer_raw(&failure);
            let at = Timestamp::from_micros(now().micros() + attempt * 1_000_000);
            // Every look is due: the one before is set far back.
            keys.forget_last_look().await;
            assert_eq!(
                keys.verify(&unknown, at).await,
                Err(TokenError::UnknownKey),
                "{failure:.60}"
            );
            assert_eq!(server.asked() as i64, attempt + 1, "{failure:.60}");
            assert!(keys.verify(&token, at).await.is_ok(), "{failure:.60}");
        }
        server.serve(&good);
        keys.forget_last_look().await;
        assert!(keys.verify(&unknown, now()).await.is_ok());
    }

    #[tokio::test]
    async fn a_set_that_never_came_is_this_sides_fault_until_it_comes() {
        let server = KeyServer::start("not yet");
        let keys = with_server(&server).await;
        let token = rsa_a().sign(Some("a"), &claims());
        let unnamed = rsa_a().sign(None, &claims());
        assert_eq!(refusal(&keys, &token).await, TokenError::KeysUnavailable);
        assert_eq!(refusal(&keys, &unnamed).await, TokenError::KeysUnavailable);
        server.serve(&set(&[rsa_a().jwk(Some("a"))]));
        assert!(keys.verify(&unnamed, seconds_from_now(20)).await.is_ok());
        assert!(keys.verify(&token, seconds_from_now(20)).await.is_ok());
    }

    #[tokio::test]
    async fn a_withdrawn_key_is_gone_even_where_it_was_the_last() {
        let server = KeyServer::start(&set(&[rsa_a().jwk(Some("a"))]));
        let keys = with_server(&server).await;
        let token = rsa_a().sign(Some("a"), &claims());
        assert!(keys.verify(&token, now()).await.is_ok());
        server.serve(&set(&[]));
        keys.refresh_now().await;
        assert_eq!(refusal(&keys, &token).await, TokenError::UnknownKey);
    }

    #[tokio::test]
    async fn a_file_is_read_again_too() {
        let folder = Folder::new();
        let path = folder.write("jwks.json", set(&[rsa_a().jwk(Some("a"))]));
        let keys = load(KeyConfig {
            jwks: Some(path.display().to_string()),
            ..KeyConfig::default()
        })
        .await;
        let new = rsa_b().sign(Some("b"), &claims());
        folder.write("jwks.json", "half a fi");
        keys.refresh_now().await;
        assert!(
            keys.verify(&rsa_a().sign(Some("a"), &claims()), now())
                .await
                .is_ok()
        );
        folder.write("jwks.json", set(&[rsa_b().jwk(Some("b"))]));
        assert!(keys.verify(&new, now()).await.is_ok());
    }

    #[tokio::test]
    async fn a_set_is_kept_fresh_without_being_asked_for() {
        let server = KeyServer::start("not yet");
        let keys = with_server(&server).await;
        let (pause, never) = (Duration::from_millis(5), Duration::from_secs(3600));
        // Waits for what the loop brings in, without looking for it.
        let until = async |wanted: Option<&str>, every, retry| {
            let set = keys.key_sets().next().unwrap();
            let there = async {
                let first = || {
                    set.keys()
                        .and_then(|keys| keys.first().and_then(|key| key.id.clone()))
                };
                while first().as_deref() != wanted {
                    tokio::time::sleep(pause).await;
                }
            };
            tokio::select! {
                () = set.keep_fresh(every, retry) => unreachable!("it never ends"),
                done = tokio::time::timeout(Duration::from_secs(10), there) => done.unwrap(),
            }
        };
        server.serve(&set(&[rsa_a().jwk(Some("a"))]));
        until(Some("a"), never, pause).await;
        server.serve(&set(&[rsa_b().jwk(Some("b"))]));
        until(Some("b"), pause, never).await;
    }

    #[tokio::test]
    async fn the_loop_ends_when_it_is_told() {
        let server = KeyServer::start(&set(&[rsa_a().jwk(Some("a"))]));
        let keys = with_server(&server).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(keys.refresh_loop(async {
            let _ = stopped.await;
        }));
        stop.send(()).unwrap();
        running.await.unwrap();
    }

    impl TokenKeys {
        async fn refresh_now(&self) {
            for set in self.key_sets() {
                set.refresh().await;
            }
        }

        async fn forget_last_look(&self) {
            for set in self.key_sets() {
                set.forget_last_look().await;
            }
        }
    }
}
