//! Credentials of integrations and content: HTTP Basic with `key:secret`.
//!
//! [`scopes`] defines the rights of a credential, [`secret`] generates and compares its secret. A credential sees the
//! whole organisation within its scopes. It never reads notes or private reports, and creates no credentials.

pub mod scopes;
pub mod secret;

pub use scopes::{CredentialScope, DefinitionRight, Scopes, UnknownScope};
pub use secret::{
    BootstrapCredential, SecretHash, has_secret_prefix, is_key, new_key, new_prefixed_secret, new_secret,
};

use crate::base::ids::OrgId;

/// A credential with a verified secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The organisation.
    pub org: OrgId,
    /// The key, the part before the colon.
    pub key: String,
    /// The rights of the credential.
    pub scopes: Scopes,
}
