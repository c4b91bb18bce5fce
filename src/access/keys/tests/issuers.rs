//! Issuers that are bound to keys and organisations of their own.

use super::*;
use crate::access::Claims;
use crate::base::ids::OrgId;
use secrecy::ExposeSecret;

fn environment(name: &str) -> Option<String> {
    (name == "PLATFORM_SECRET").then(|| secret().expose_secret().to_owned())
}

async fn load_file(folder: &Folder, issuers: &str, config: KeyConfig) -> Result<TokenKeys, AccessError> {
    let issuers = Some(folder.write("issuers.json", issuers));
    TokenKeys::load_with(&KeyConfig { issuers, ..config }, &environment, None).await
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

fn claims_of(iss: Option<&str>, org: &str, aud: &str) -> Claims {
    let mut claims = claims();
    claims.iss = iss.map(str::to_owned);
    claims.org = OrgId::new(org).unwrap();
    claims.aud = vec![aud.to_owned()];
    claims
}

#[tokio::test]
async fn issuer_is_bound_to_its_organisations() {
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
async fn keys_of_one_issuer_do_not_verify_tokens_of_another() {
    let folder = Folder::new();
    let keys = keys(&folder).await;
    let by = async |key: &TestKey, iss: Option<&str>| {
        keys.verify(&key.sign(None, &claims_of(iss, "acme", "rollbook")), now())
            .await
            .map(|_| ())
    };
    // The issuer of beta claims to be the issuer of acme, or no issuer.
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
async fn token_must_name_its_issuer_without_general_keys() {
    let folder = Folder::new();
    let issuers = json!([{"issuer": "platform", "organisations": "*", "jwt_secret_env": "PLATFORM_SECRET"}]);
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
async fn wrong_file_of_issuers_is_refused_with_an_explanation() {
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
            "the issuer \"i\" occurs twice",
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
    assert!(
        message.contains("also the value of ROLLBOOK_JWT_ISSUER"),
        "{message}"
    );
}
