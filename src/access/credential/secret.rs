//! Secrets of credentials: random bytes, stored as a digest and compared in constant time.
//!
//! A generated secret has 256 random bits and cannot be guessed. One SHA-256 is therefore enough, and it keeps the
//! verification of each request fast. A chosen secret (`ROLLBOOK_BOOTSTRAP_CREDENTIAL`) may be weaker, so it has a minimum
//! length.

use std::fmt;

use aws_lc_rs::{constant_time, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::access::error::AccessError;
use crate::access::strength::check_secret;
use crate::base::ids::OrgId;

/// The number of random bytes of a new secret.
const SECRET_BYTES: usize = 32;

/// The number of random bytes of a new key, enough to make it unique.
const KEY_BYTES: usize = 15;

/// The minimum length of a chosen secret in bytes.
pub const MINIMUM_CHOSEN_BYTES: usize = 16;

/// The maximum length of a key in characters.
pub const MAX_KEY_CHARACTERS: usize = 255;

/// Generates a secret: 32 bytes from the system's random source as 43 characters of base64url. It is shown once. Only
/// its [`SecretHash`] is stored.
///
/// # Errors
///
/// [`AccessError::Random`] if the system provides no random bytes.
pub fn new_secret() -> Result<SecretString, AccessError> {
    random_text::<SECRET_BYTES>().map(SecretString::from)
}

/// Generates a key, the part before the colon: `rk_` and 20 random characters of base64url. The prefix identifies it in a
/// log or script. A key must not begin with a dash, which a command line would take for a flag.
///
/// # Errors
///
/// [`AccessError::Random`] if the system provides no random bytes.
pub fn new_key() -> Result<String, AccessError> {
    Ok(format!("rk_{}", random_text::<KEY_BYTES>()?))
}

/// The number of characters of a secret after its prefix: 32 random bytes as base64url.
const RANDOM_CHARACTERS: usize = 43;

/// Generates a secret that begins with a prefix. The prefix distinguishes it from other secrets.
///
/// # Errors
///
/// [`AccessError::Random`] if the system provides no random bytes.
pub fn new_prefixed_secret(prefix: &str) -> Result<SecretString, AccessError> {
    let random = random_text::<SECRET_BYTES>()?;
    Ok(SecretString::from(format!("{prefix}{random}")))
}

/// Whether a text has the form that [`new_prefixed_secret`] gives to a secret.
pub fn has_secret_prefix(secret: &SecretString, prefix: &str) -> bool {
    let random = secret.expose_secret().strip_prefix(prefix);
    random.is_some_and(|random| {
        random.len() == RANDOM_CHARACTERS
            && random
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

fn random_text<const BYTES: usize>() -> Result<String, AccessError> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| AccessError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The SHA-256 of a secret, as it is stored.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The digest of a secret.
    pub fn from_secret(secret: &SecretString) -> Self {
        Self(Sha256::digest(secret.expose_secret().as_bytes()).into())
    }

    /// The stored digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest for storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `presented` is the secret. The duration reveals nothing about the digest.
    pub fn matches(&self, presented: &SecretString) -> bool {
        self.equals(&Self::from_secret(presented))
    }

    /// Whether both are the digest of the same secret. The duration reveals nothing about them.
    pub fn equals(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A chosen secret can be guessed from its digest.
        f.write_str("SecretHash([redacted])")
    }
}

/// The credential of `ROLLBOOK_BOOTSTRAP_CREDENTIAL`. The server creates it at the start with
/// [`Scopes::bootstrap`](crate::access::Scopes::bootstrap), if it does not exist.
#[derive(Debug, Clone)]
pub struct BootstrapCredential {
    /// The organisation.
    pub org: OrgId,
    /// The key.
    pub key: String,
    /// The secret. It may contain colons.
    pub secret: SecretString,
}

impl BootstrapCredential {
    /// Parses `org:key:secret`.
    ///
    /// # Errors
    ///
    /// [`AccessError::BadSetting`] with the wrong part, never with its value. The errors of a weak secret.
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
        if secret.chars().any(char::is_control) {
            return Err(refuse("the secret must not hold control characters".to_owned()));
        }
        let secret = SecretString::from(secret);
        check_secret(
            "the secret in ROLLBOOK_BOOTSTRAP_CREDENTIAL",
            &secret,
            MINIMUM_CHOSEN_BYTES,
        )?;
        Ok(Self {
            org,
            key: key.to_owned(),
            secret,
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
        let stored = SecretHash::from_bytes(*SecretHash::from_secret(&secret).as_bytes());
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
        let digest = SecretHash::from_secret(&SecretString::from("abc"));
        assert_eq!(digest.as_bytes()[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_bootstrap_credential_has_three_parts() {
        let parse = |text: &str| BootstrapCredential::parse(&SecretString::from(text));
        let parsed = parse("acme:moodle:a:secret:of 21 byt").unwrap();
        assert_eq!((parsed.org.as_str(), parsed.key.as_str()), ("acme", "moodle"));
        assert_eq!(parsed.secret.expose_secret(), "a:secret:of 21 byt");
        for wrong in [
            "",
            "acme",
            "acme:moodle",
            ":moodle:hidden",
            "acme::hidden",
            "acme:moodle:",
            "acme:m\u{1}:hidden",
            "acme:moodle:hidden in 15 by",
            "acme:moodle:hiddenhiddenhiddenhidden",
            "acme:moodle:hidden by a control \u{1}",
        ] {
            let message = parse(wrong).unwrap_err().to_string();
            assert!(
                message.contains("ROLLBOOK_BOOTSTRAP_CREDENTIAL"),
                "{wrong}: {message}"
            );
            assert!(!message.contains("hidden"), "{message}");
        }
    }
}
