//! The tokens of links to attached files (`docs/specification.md#attached-files`).
//!
//! A token contains the organisation, the caller for which it was made, a file of a statement and an expiry, signed with
//! the secret of the organisation's links. Tokens are not stored.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;

/// The text before the signed content. The same secret signs other links, with a content that never begins with it.
const DOMAIN: &[u8] = b"rollbook attached file\0";
/// The bytes of a token's content before the caller: organisation, statement, index, expiry.
const FIXED: usize = 8 + 16 + 2 + 8;
/// The bytes of an HMAC-SHA256.
const SIGNATURE: usize = 32;
/// The most characters of a token. A caller has at most 255 characters and a prefix.
const MAX_CHARACTERS: usize = 2_048;

/// What a link opens, and for which caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLink {
    /// The key of the organisation.
    pub org: i64,
    /// The statement with the file.
    pub statement: StatementId,
    /// The index of the file among the attachments of the statement.
    pub index: u16,
    /// When the link expires, in whole seconds.
    pub expires_at: Timestamp,
    /// The id of the caller.
    pub caller: String,
}

/// A decoded token, not verified.
#[derive(Debug, Clone)]
pub struct SignedFileLink {
    link: FileLink,
    content: Vec<u8>,
    signature: [u8; SIGNATURE],
}

impl FileLink {
    fn to_bytes(&self) -> Vec<u8> {
        let seconds = self.expires_at.micros().div_euclid(1_000_000);
        let mut bytes = Vec::with_capacity(FIXED + self.caller.len() + SIGNATURE);
        bytes.extend_from_slice(&self.org.to_be_bytes());
        bytes.extend_from_slice(self.statement.0.as_bytes());
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&seconds.to_be_bytes());
        bytes.extend_from_slice(self.caller.as_bytes());
        bytes
    }

    /// The signed token.
    pub fn sign(&self, secret: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut content = self.to_bytes();
        let signature = hmac::sign(&key, &[DOMAIN, &content].concat());
        content.extend_from_slice(signature.as_ref());
        URL_SAFE_NO_PAD.encode(content)
    }

    fn from_bytes(content: &[u8]) -> Option<Self> {
        let (org, rest) = content.split_first_chunk()?;
        let (statement, rest) = rest.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (seconds, caller) = rest.split_first_chunk()?;
        let seconds = i64::from_be_bytes(*seconds);
        Some(Self {
            org: i64::from_be_bytes(*org),
            statement: StatementId(Uuid::from_bytes(*statement)),
            index: u16::from_be_bytes(*index),
            expires_at: Timestamp::from_micros(seconds.saturating_mul(1_000_000)),
            caller: String::from_utf8(caller.to_vec()).ok()?,
        })
    }
}

impl SignedFileLink {
    /// Decodes a token without verifying it.
    pub fn decode(token: &str) -> Option<Self> {
        if token.len() > MAX_CHARACTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, signature) = bytes.split_last_chunk::<SIGNATURE>()?;
        Some(Self {
            link: FileLink::from_bytes(content)?,
            content: content.to_vec(),
            signature: *signature,
        })
    }

    /// The key of the organisation whose secret must have signed the token.
    pub fn org(&self) -> i64 {
        self.link.org
    }

    /// The link, if the secret has signed it. The comparison takes constant time.
    pub fn verify(self, secret: &[u8]) -> Option<FileLink> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signed = [DOMAIN, &self.content].concat();
        hmac::verify(&key, &signed, &self.signature).ok()?;
        Some(self.link)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link() -> FileLink {
        FileLink {
            org: 7,
            statement: StatementId(Uuid::from_u128(1)),
            index: 3,
            expires_at: Timestamp::from_micros(1_773_829_043_000_000),
            caller: "user:åda".to_owned(),
        }
    }

    #[test]
    fn changed_token_is_not_valid() {
        let token = link().sign(b"secret");
        assert_eq!(
            SignedFileLink::decode(&token).unwrap().verify(b"secret"),
            Some(link())
        );
        assert_eq!(SignedFileLink::decode(&token).unwrap().verify(b"another"), None);
        for place in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            let verified = SignedFileLink::decode(&forged).and_then(|signed| signed.verify(b"secret"));
            assert_eq!(verified, None, "character {place}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_not_valid(text in ".{0,200}") {
            prop_assert!(SignedFileLink::decode(&text).is_none_or(|signed| signed.verify(b"secret").is_none()));
        }

        #[test]
        fn arbitrary_links_are_read_back(org: i64, statement: u128, index: u16, seconds in any::<u32>(), caller in ".{0,255}") {
            let link = FileLink {
                org, index, caller,
                statement: StatementId(Uuid::from_u128(statement)),
                expires_at: Timestamp::from_micros(i64::from(seconds) * 1_000_000),
            };
            let token = link.sign(b"secret");
            prop_assert_eq!(SignedFileLink::decode(&token).unwrap().verify(b"secret"), Some(link));
        }
    }
}
