//! What a token says: its time, the claims that must be there, issuer and audience.

use super::*;

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
async fn expiry_is_exact() {
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
async fn missing_and_wrong_claims_are_reported_by_name() {
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
async fn issuer_and_audience_are_checked_if_configured() {
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
