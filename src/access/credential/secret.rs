//! Secrets of credentials: made from random bytes, kept as a digest, compared in constant time.
//!
//! A made secret has 256 random bits, so one SHA-256 is enough to keep it by: there is nothing to
//! guess, and every request can be verified quickly. A secret that somebody chose
//! (`ROLLBOOK_BOOTSTRAP_CREDENTIAL`) is as strong as they made it.

use std::fmt;

use aws_lc_rs::{constant_time, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::access::error::AccessError;
use crate::base::ids::OrgId;

/// The random bytes of a new secret.
const SECRET_BYTES: usize = 32;

/// The random bytes of a new key: enough that no two are ever alike.
const KEY_BYTES: usize = 15;

/// The longest key, in characters.
pub const MAX_KEY_CHARACTERS: usize = 255;

/// A new secret: 32 bytes from the system's random source, as 43 characters of base64url. It is shown
/// once; only its [`SecretHash`] is kept.
///
/// # Errors
///
/// [`AccessError::Random`] where the system gives no random bytes.
pub fn new_secret() -> Result<SecretString, AccessError> {
    random_text::<SECRET_BYTES>().map(SecretString::from)
}

/// A new key, the part before the colon: `rk_` and 20 random characters of base64url. The prefix says in a log
/// or a script what it is, and keeps a key from beginning with a dash, which a command line would take for a flag.
///
/// # Errors
///
/// [`AccessError::Random`] where the system gives no random bytes.
pub fn new_key() -> Result<String, AccessError> {
    Ok(format!("rk_{}", random_text::<KEY_BYTES>()?))
}

fn random_text<const BYTES: usize>() -> Result<String, AccessError> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| AccessError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The SHA-256 of a secret: what is stored.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The digest of a secret.
    pub fn of(secret: &SecretString) -> Self {
        Self(Sha256::digest(secret.expose_secret().as_bytes()).into())
    }

    /// A digest as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest, to be stored.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `presented` is the secret. The time it takes tells nothing about the digest.
    pub fn matches(&self, presented: &SecretString) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &Self::of(presented).0).is_ok()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A chosen secret can be guessed from its digest.
        f.write_str("SecretHash([redacted])")
    }
}

/// The credential of `ROLLBOOK_BOOTSTRAP_CREDENTIAL`, made at start with
/// [`Scopes::bootstrap`](crate::access::Scopes::bootstrap) where it is not there yet (product text,
/// section 11).
#[derive(Debug, Clone)]
pub struct BootstrapCredential {
    /// The organisation.
    pub org: OrgId,
    /// The key.
    pub key: String,
    /// The secret, which may hold colons itself.
    pub secret: SecretString,
}

impl BootstrapCredential {
    /// Reads `org:key:secret`.
    ///
    /// # Errors
    ///
    /// [`AccessError::BadSetting`] that tells which part is wrong and never its value.
    pub fn parse(setting: &SecretString) -> Result<Self, AccessError> {
        let refuse = |reason: String| AccessError::BadSetting {
            setting: "ROLLBOOK_BOOTSTRAP_CREDENTIAL",
            reason,
        };
        let mut parts = setting.expose_secret().splitn(3, ':');
        let (Some(org), Some(key), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refuse("write it as org:key:secret".to_owned()));
        };
        let org = OrgId::new(org).map_err(|error| refuse(format!("the organisation: {error}")))?;
        if !is_key(key) {
            return Err(refuse(format!(
                "the key must have 1 to {MAX_KEY_CHARACTERS} characters and no control characters"
            )));
        }
        if secret.is_empty() || secret.chars().any(char::is_control) {
            return Err(refuse(
                "the secret must not be empty and must not hold control characters".to_owned(),
            ));
        }
        Ok(Self {
            org,
            key: key.to_owned(),
            secret: SecretString::from(secret),
        })
    }
}

/// Whether a text can be a credential's key: 1 to [`MAX_KEY_CHARACTERS`] characters, no colon (which
/// ends it in HTTP Basic, RFC 7617) and no control characters.
pub fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.chars().count() <= MAX_KEY_CHARACTERS
        && !text
            .chars()
            .any(|character| character == ':' || character.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_256_bits_and_are_never_alike() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_eq!(URL_SAFE_NO_PAD.decode(one.expose_secret()).unwrap().len(), 32);
        assert_ne!(one.expose_secret(), other.expose_secret());
        let (one, other) = (new_key().unwrap(), new_key().unwrap());
        assert!(is_key(&one) && one != other && one.starts_with("rk_") && one.len() == 23);
    }

    #[test]
    fn a_hash_matches_its_secret_only() {
        let secret = SecretString::from("open sesame");
        let stored = SecretHash::from_bytes(*SecretHash::of(&secret).as_bytes());
        assert!(stored.matches(&secret));
        for other in ["open sesam", "open sesame ", "Open sesame", ""] {
            assert!(!stored.matches(&SecretString::from(other)));
        }
        let mut flipped = *stored.as_bytes();
        flipped[31] ^= 1;
        assert!(!SecretHash::from_bytes(flipped).matches(&secret));
        assert_eq!(format!("{stored:?}"), "SecretHash([redacted])");
    }

    #[test]
    fn the_hash_is_sha_256() {
        let digest = SecretHash::of(&SecretString::from("abc"));
        assert_eq!(digest.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_bootstrap_credential_has_three_parts() {
        let parse = |text: &str| BootstrapCredential::parse(&SecretString::from(text));
        let parsed = parse("acme:moodle:s:e:cret").unwrap();
        assert_eq!((parsed.org.as_str(), parsed.key.as_str()), ("acme", "moodle"));
        assert_eq!(parsed.secret.expose_secret(), "s:e:cret");
        for wrong in [
            "",
            "acme",
            "acme:moodle",
            ":moodle:hidden",
            "acme::hidden",
            "acme:moodle:",
            "acme:m\u{1}:hidden",
        ] {
            let message = parse(wrong).unwrap_err().to_string();
            assert!(
                message.starts_with("ROLLBOOK_BOOTSTRAP_CREDENTIAL: "),
                "{wrong}: {message}"
            );
            assert!(!message.contains("hidden"), "{message}");
        }
    }
}
