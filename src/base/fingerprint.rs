//! A short digest of a request, by which a cursor is bound to that request.

use sha2::{Digest as _, Sha256};

/// A digest of a list of texts. Different lists have different fingerprints for all practical purposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; Self::LENGTH]);

impl Fingerprint {
    /// The number of bytes.
    pub const LENGTH: usize = 16;

    /// The fingerprint of texts in their order.
    ///
    /// Each text is hashed after its length. Without the lengths, `["ab", "c"]` and `["a", "bc"]` would have the
    /// same fingerprint.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self::from_hasher(hasher)
    }

    /// The fingerprint of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::from_hasher(Sha256::new().chain_update(bytes))
    }

    fn from_hasher(hasher: Sha256) -> Self {
        let mut bytes = [0; Self::LENGTH];
        for (byte, digest_byte) in bytes.iter_mut().zip(hasher.finalize()) {
            *byte = digest_byte;
        }
        Self(bytes)
    }

    /// The bytes of the fingerprint.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_lists_have_different_fingerprints() {
        assert_ne!(
            Fingerprint::from_parts(["ab", "c"]),
            Fingerprint::from_parts(["a", "bc"])
        );
        assert_ne!(Fingerprint::from_parts(["a", ""]), Fingerprint::from_parts(["a"]));
        assert_eq!(
            Fingerprint::from_parts(["a", "b"]),
            Fingerprint::from_parts(["a", "b"])
        );
    }
}
