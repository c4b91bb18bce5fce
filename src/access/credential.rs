//! Credentials of integrations and content: HTTP Basic `key:secret` (product text, section 4).
//!
//! [`scopes`] says what a credential may do, [`secret`] makes and compares its secret. A credential
//! sees its whole organisation within its scopes; it never reads notes or private reports, nor makes
//! keys.

pub mod scopes;
pub mod secret;

pub use scopes::{CredentialScope, Scopes, UnknownScope};
pub use secret::{BootstrapCredential, SecretHash, is_key, new_key, new_secret};

use crate::base::ids::OrgId;

/// A credential whose secret has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The organisation that it was made in.
    pub org: OrgId,
    /// Its name on the wire: what stands before the colon.
    pub key: String,
    /// What it may do.
    pub scopes: Scopes,
}
