//! Encrypted cursors: the texts with which lists continue (`docs/specification.md#lists-and-pages`).
//!
//! A cursor is encrypted and authenticated. Clients learn nothing from it, neither ids nor numbers, and cannot make one.
//! It is bound to a request: organisation, caller, path and parameters. Another request refuses it.
//!
//! The text is the nonce, the encrypted position and the tag, in base64url. The position is padded, so that the length of
//! the text does not show the length of an id.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::fingerprint::Fingerprint;

/// The positions are padded to a multiple of this number of bytes.
const BLOCK: usize = 32;
/// The byte between a position and its padding, which is zero bytes.
const END: u8 = 0x80;

/// The key that encrypts the cursors of a server. All replicas have the same one, from the database. Clones are cheap.
#[derive(Clone)]
pub struct CursorKey(Arc<RandomizedNonceKey>);

/// The error of a text that is not a cursor of this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this cursor is damaged, or belongs to another request or another caller; follow the address of the next page without \
     changing it, or start again without a cursor"
)]
pub struct CursorError;

/// Why a key cannot be used or a cursor cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// The key does not have 32 bytes.
    #[error("the key of the cursors does not have {} bytes", CursorKey::LENGTH)]
    Key,
    /// The encryption failed.
    #[error("a cursor could not be encrypted")]
    Encryption,
}

impl CursorKey {
    /// The number of bytes of a key.
    pub const LENGTH: usize = 32;

    /// The key with these bytes.
    ///
    /// # Errors
    ///
    /// [`CipherError::Key`].
    pub fn new(bytes: &[u8]) -> Result<Self, CipherError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes).map_err(|_| CipherError::Key)?;
        Ok(Self(Arc::new(key)))
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// Encrypts and decrypts the cursors of one request.
#[derive(Debug, Clone)]
pub struct CursorCipher {
    key: CursorKey,
    request: Fingerprint,
}

impl CursorCipher {
    /// The cipher for the request with this fingerprint.
    pub fn new(key: CursorKey, request: Fingerprint) -> Self {
        Self { key, request }
    }

    /// A cursor with this position. Each one is different, also for equal positions. It needs no escaping in a URL.
    ///
    /// # Errors
    ///
    /// [`CipherError::Encryption`].
    pub fn encrypt(&self, position: &[u8]) -> Result<String, CipherError> {
        let mut text = position.to_vec();
        text.push(END);
        text.resize(text.len().next_multiple_of(BLOCK), 0);
        let nonce = self
            .key
            .0
            .seal_in_place_append_tag(self.associated_data(), &mut text)
            .map_err(|_| CipherError::Encryption)?;
        let nonce: &[u8; NONCE_LEN] = nonce.as_ref();
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat()))
    }

    /// The position in a cursor of this request.
    ///
    /// # Errors
    ///
    /// The text is damaged, or the cursor belongs to another request.
    pub fn decrypt(&self, cursor: &str) -> Result<Vec<u8>, CursorError> {
        let mut bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| CursorError)?;
        let (nonce, encrypted) = bytes.split_first_chunk_mut().ok_or(CursorError)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let decrypted = self
            .key
            .0
            .open_in_place(nonce, self.associated_data(), encrypted)
            .map_err(|_| CursorError)?;
        let end = decrypted
            .iter()
            .rposition(|byte| *byte == END)
            .ok_or(CursorError)?;
        decrypted.get(..end).map(<[u8]>::to_vec).ok_or(CursorError)
    }

    /// A cursor with a text as its position, such as the id of the last element of a page.
    ///
    /// # Errors
    ///
    /// The error of [`CursorCipher::encrypt`].
    pub fn encrypt_text(&self, position: &str) -> Result<String, CipherError> {
        self.encrypt(position.as_bytes())
    }

    /// The text in a cursor of this request.
    ///
    /// # Errors
    ///
    /// The error of [`CursorCipher::decrypt`].
    pub fn decrypt_text(&self, cursor: &str) -> Result<String, CursorError> {
        String::from_utf8(self.decrypt(cursor)?).map_err(|_| CursorError)
    }

    fn associated_data(&self) -> Aad<&[u8]> {
        Aad::from(self.request.as_bytes().as_slice())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::base::testing::cursor_key;

    fn cipher(request: &str) -> CursorCipher {
        CursorCipher::new(cursor_key(), Fingerprint::from_parts([request]))
    }

    #[test]
    fn equal_positions_have_different_cursors_of_one_length() {
        let cipher = cipher("list");
        let cursors: HashSet<String> = (0..100).map(|_| cipher.encrypt_text("u-17").unwrap()).collect();
        assert_eq!(cursors.len(), 100);
        let lengths =
            ["", "u-17", "a-long-id-of-thirty-characters-"].map(|id| cipher.encrypt_text(id).unwrap().len());
        assert_eq!(lengths, [80; 3]);
    }

    #[test]
    fn cursor_of_another_request_or_key_is_refused() {
        let cursor = cipher("acme user:ada /v1/users").encrypt_text("ada").unwrap();
        assert_eq!(
            cipher("acme user:ada /v1/users").decrypt_text(&cursor),
            Ok("ada".to_owned())
        );
        assert_eq!(
            cipher("other user:ada /v1/users").decrypt(&cursor),
            Err(CursorError)
        );
        let key = CursorKey::new(&[8; 32]).unwrap();
        let other_key = CursorCipher::new(key, Fingerprint::from_parts(["acme user:ada /v1/users"]));
        assert_eq!(other_key.decrypt(&cursor), Err(CursorError));
        assert_eq!(CursorKey::new(&[8; 31]).err(), Some(CipherError::Key));
    }

    #[test]
    fn each_changed_bit_and_each_shorter_text_is_refused() {
        let cipher = cipher("list");
        let cursor = cipher.encrypt_text("ada").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                cipher.decrypt(&URL_SAFE_NO_PAD.encode(changed)),
                Err(CursorError),
                "bit {bit}"
            );
        }
        for length in 0..cursor.len() {
            assert_eq!(
                cipher.decrypt(&cursor[..length]),
                Err(CursorError),
                "{length} characters"
            );
        }
        assert_eq!(cipher.decrypt(&format!("{cursor}A")), Err(CursorError));
    }

    proptest! {
        #[test]
        fn decryption_reverses_encryption(position in prop::collection::vec(any::<u8>(), 0..200)) {
            let cipher = cipher("list");
            let cursor = cipher.encrypt(&position).unwrap();
            prop_assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(cipher.decrypt(&cursor), Ok(position));
        }

        #[test]
        fn no_text_causes_a_panic(text in any::<String>()) {
            prop_assert!(cipher("list").decrypt(&text).is_err());
        }
    }
}
