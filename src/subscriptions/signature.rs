//! Secrets and signatures of webhooks, as Standard Webhooks defines them (<https://www.standardwebhooks.com>).

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::clock::Timestamp;
use crate::store::{StoredSecret, StoredSubscription};

/// The beginning of each secret.
const PREFIX: &str = "whsec_";
/// The number of random bytes of a new secret.
const NEW_BYTES: usize = 32;
/// The permitted numbers of bytes of a secret.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The header with the id of a webhook.
pub const ID: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";

/// The system provides no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system provides no random bytes")]
pub struct NoRandomBytes;

/// Makes a secret.
///
/// # Errors
///
/// The system provides no random bytes.
pub fn new_secret() -> Result<StoredSecret, NoRandomBytes> {
    let mut bytes = [0; NEW_BYTES];
    rand::fill(&mut bytes).map_err(|_| NoRandomBytes)?;
    Ok(StoredSecret(format!("{PREFIX}{}", STANDARD.encode(bytes))))
}

/// Checks a secret that a client chose.
pub fn parse_secret(text: &str) -> Option<StoredSecret> {
    let key = decode(text).filter(|key| BYTES.contains(&key.len()))?;
    drop(key);
    Some(StoredSecret(text.to_owned()))
}

/// What [`parse_secret`] accepts, for messages.
pub const SECRET_FORM: &str = "`whsec_` and 24 to 64 bytes as base64";

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.strip_prefix(PREFIX)?).ok()
}

/// The value of [`SIGNATURE`]: a signature by the secret, and during a rotation another one by the secret before.
pub fn sign(subscription: &StoredSubscription, id: &str, at: Timestamp, body: &str) -> String {
    let old = subscription.old_secret.as_ref();
    let old = old.filter(|_| subscription.old_secret_until.is_some_and(|until| at < until));
    let secrets = subscription.secret.iter().chain(old);
    let signed = format!("{id}.{}.{body}", seconds(at));
    let signatures: Vec<String> = secrets.map(|secret| sign_with(secret, &signed)).collect();
    signatures.join(" ")
}

/// Whole seconds since 1970, as [`TIMESTAMP`] has them.
pub fn seconds(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000_000)
}

fn sign_with(secret: &StoredSecret, signed: &str) -> String {
    let key = decode(&secret.0).unwrap_or_default(); // it was checked before it was stored
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    format!("v1,{}", STANDARD.encode(hmac::sign(&key, signed.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_that_of_the_standards_example() {
        // From the documentation of Standard Webhooks.
        let secret = StoredSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signed = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        assert_eq!(
            sign_with(&secret, signed),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn receivers_library_accepts_the_signature() {
        let secret = new_secret().expect("random bytes");
        let webhook = standardwebhooks::Webhook::new(&secret.0).expect("a secret");
        let body = r#"{"type":"test","data":{"name":"Zoë"}}"#;
        let now = crate::base::clock::Clock::system().now();
        let signature = sign_with(&secret, &format!("id.{}.{body}", seconds(now)));
        let mut headers = http::HeaderMap::new();
        headers.insert(ID, "id".parse().expect("a value"));
        headers.insert(TIMESTAMP, seconds(now).into());
        headers.insert(
            SIGNATURE,
            format!("v1,AAAA {signature}").parse().expect("a value"),
        );
        assert!(webhook.verify(body.as_bytes(), &headers).is_ok());
        assert!(webhook.verify(b"{}", &headers).is_err());
    }

    #[test]
    fn secret_has_the_prefix_and_enough_bytes() {
        let with_bytes = |count| format!("whsec_{}", STANDARD.encode(vec![7_u8; count]));
        for count in [24, 32, 64] {
            assert!(parse_secret(&with_bytes(count)).is_some());
        }
        for wrong in [
            with_bytes(23),
            with_bytes(65),
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
            "whsec_!".into(),
        ] {
            assert_eq!(parse_secret(&wrong), None, "{wrong}");
        }
    }
}
