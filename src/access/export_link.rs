//! The secrets of links to exports, each for one use (`docs/specification.md#links-to-exports`).
//!
//! A link is a random secret. What it opens is stored under a digest of the secret, encrypted with another one. So the
//! database has nothing that opens an export, and no authorisation that can be read without the link.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::access::AccessError;
use crate::base::{CipherError, CursorCipher, CursorKey, Fingerprint};

/// The bytes of a secret.
const SECRET: usize = 32;
/// The texts before a secret, in its two digests.
const ID: &[u8] = b"rollbook export link id\0";
const KEY: &[u8] = b"rollbook export link key\0";
/// What the encrypted requests are bound to.
const PURPOSE: &str = "export link";

/// The secret of a link.
pub struct LinkSecret([u8; SECRET]);

/// The request that a link sends when it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedRequest {
    /// The value of the header `Authorization` of the caller that got the link.
    pub authorization: String,
    /// The path of the export with its query.
    pub path: String,
}

impl LinkSecret {
    /// Creates a random secret.
    ///
    /// # Errors
    ///
    /// The system has no random bytes.
    pub fn random() -> Result<Self, AccessError> {
        let mut bytes = [0; SECRET];
        rand::fill(&mut bytes).map_err(|_| AccessError::Random)?;
        Ok(Self(bytes))
    }

    /// The secret in the token of an address.
    pub fn from_token(token: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The token of the address.
    pub fn to_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The id under which the request is stored. It does not show the secret.
    pub fn id(&self) -> Vec<u8> {
        self.digest(ID).to_vec()
    }

    fn digest(&self, purpose: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(purpose)
            .chain_update(self.0)
            .finalize()
            .into()
    }

    fn cipher(&self) -> Result<CursorCipher, CipherError> {
        let key = CursorKey::new(&self.digest(KEY))?;
        Ok(CursorCipher::new(key, Fingerprint::from_parts([PURPOSE])))
    }

    /// Encrypts the request of the link.
    ///
    /// # Errors
    ///
    /// The encryption failed.
    pub fn encrypt(&self, request: &LinkedRequest) -> Result<String, CipherError> {
        let text = serde_json::to_vec(request).map_err(|_| CipherError::Encryption)?;
        self.cipher()?.encrypt(&text)
    }

    /// Decrypts the request of the link. `None` if another secret has encrypted it.
    pub fn decrypt(&self, encrypted: &str) -> Option<LinkedRequest> {
        let text = self.cipher().ok()?.decrypt(encrypted).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_readable_with_its_secret_only() {
        let secret = LinkSecret::random().expect("random bytes");
        let request = LinkedRequest {
            authorization: "Bearer x.y.z".to_owned(),
            path: "/v1/activities/export.csv?q=ä".to_owned(),
        };
        let encrypted = secret.encrypt(&request).expect("a text");
        let same = LinkSecret::from_token(&secret.to_token()).expect("a secret");
        assert_eq!(same.decrypt(&encrypted), Some(request));
        assert_eq!(same.id(), secret.id());
        let other = LinkSecret::random().expect("random bytes");
        assert_eq!(other.decrypt(&encrypted), None);
        assert_ne!(other.id(), secret.id());
    }

    #[test]
    fn token_of_another_length_is_no_secret() {
        let token = LinkSecret::random().expect("random bytes").to_token();
        for text in [
            "",
            "x",
            &token[1..],
            &format!("{token}AAAA"),
            &format!("{token}="),
        ] {
            assert!(LinkSecret::from_token(text).is_none(), "{text}");
        }
    }
}
