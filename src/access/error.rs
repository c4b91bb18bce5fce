//! What can go wrong: with a token ([`TokenError`]) and with the keys and settings behind it
//! ([`AccessError`]).

use std::path::PathBuf;

/// Why a token was refused. The texts are fit for the client: they tell what to change and no secret.
///
/// Every variant means 401 but [`TokenError::KeysUnavailable`], where the fault is on this side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No keys for people's tokens are configured.
    #[error("this server accepts no tokens: no keys for them are configured")]
    NotAccepted,
    /// The text is not a signed JWT (RFC 7519, RFC 7515); the text says where it breaks.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// The token names a key (`kid`) that is not among the issuer's, even after a look for new ones.
    #[error("the token is signed with a key that is not known here")]
    UnknownKey,
    /// No key could be fetched from the issuer yet, so that nothing can be verified: try again later.
    #[error("the keys that verify tokens could not be fetched yet; try again shortly")]
    KeysUnavailable,
    /// The signature is not that of the key.
    #[error("the token's signature is not valid")]
    BadSignature,
    /// The token's `alg` is not the one that the configured key is for: `none`, or a mix-up of kinds.
    #[error("the token's algorithm is not that of the configured key")]
    AlgorithmNotAllowed,
    /// The token's `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// The token's `nbf` is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The token's `iss` is not one that is accepted.
    #[error("the token's issuer is not accepted here")]
    WrongIssuer,
    /// The token's `aud` does not name this server.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// A claim that has to be there is absent.
    #[error("the token has no claim `{0}`")]
    MissingClaim(&'static str),
    /// The issuer may not speak for the organisation in `org`.
    #[error("the token's issuer may not speak for its organisation")]
    OrganisationNotAllowed,
    /// A claim's value is not what it must be.
    #[error("the token's claim `{claim}` is wrong: {detail}")]
    BadClaim {
        /// The claim's name.
        claim: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

/// Why keys could not be loaded, a token minted or a secret made. The texts say what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A shared secret is too short to be safe.
    #[error(
        "{setting} has {bytes} bytes and needs at least {minimum}: make one with `openssl rand -base64 48`"
    )]
    WeakSecret {
        /// The setting that holds it.
        setting: String,
        /// Its length.
        bytes: usize,
        /// The least length.
        minimum: usize,
    },
    /// A file could not be read.
    #[error("{path} can't be read: {source}; check that it exists and that this user may read it", path = .path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is larger than anything of its kind.
    #[error("{path} is larger than {limit} bytes; is it the right file?", path = .path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes it may have.
        limit: u64,
    },
    /// A PEM file holds no public key that can be used.
    #[error("{path} holds no usable public key: {reason}", path = .path.display())]
    BadPublicKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key set (JWKS) can't be used.
    #[error("the key set at {source_name} can't be used: {reason}")]
    BadKeySet {
        /// The file or address, without credentials and query.
        source_name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A key set could not be fetched.
    #[error("the key set at {source_name} can't be fetched: {reason}")]
    Fetch {
        /// The address, without credentials and query.
        source_name: String,
        /// What went wrong.
        reason: String,
    },
    /// The file of issuers is not as it must be.
    #[error("the file of issuers {path} is wrong: {reason}", path = .path.display())]
    BadIssuers {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A setting can't stand as it is.
    #[error("{setting}: {reason}")]
    BadSetting {
        /// The setting.
        setting: &'static str,
        /// What to change.
        reason: String,
    },
    /// A token could not be signed.
    #[error("the token can't be signed: {0}")]
    Mint(String),
    /// The source of random bytes failed.
    #[error("the system gave no random bytes")]
    Random,
}
