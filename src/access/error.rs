//! The errors of tokens ([`TokenError`]) and of keys and settings ([`AccessError`]).

use std::path::PathBuf;

/// Why a token was refused. The messages are for the client and contain no secret.
///
/// Each is answered with 401, except [`TokenError::KeysUnavailable`], which is a fault of the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No keys that verify tokens are configured.
    #[error("this server accepts no tokens: no keys for them are configured")]
    NotAccepted,
    /// The text is not a signed JWT (RFC 7519, RFC 7515). The message says what is wrong.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// The token names a key (`kid`) that the issuer does not have, after its keys were fetched again.
    #[error("the token is signed with a key that is not known here")]
    UnknownKey,
    /// No key could be fetched from the issuer yet. The client may try again later.
    #[error("the keys that verify tokens could not be fetched yet; try again shortly")]
    KeysUnavailable,
    /// The signature does not fit the key.
    #[error("the token's signature is not valid")]
    BadSignature,
    /// The token's `alg` is not the algorithm of the configured key, for example `none`.
    #[error("the token's algorithm is not that of the configured key")]
    AlgorithmNotAllowed,
    /// The token's `exp` is in the past.
    #[error("the token has expired")]
    Expired,
    /// The token's `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The token's `iss` is not accepted.
    #[error("the token's issuer is not accepted here")]
    WrongIssuer,
    /// The token's `aud` does not name this server.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// A required claim is missing.
    #[error("the token has no claim `{0}`")]
    MissingClaim(&'static str),
    /// The issuer is not bound to the organisation in `org`.
    #[error("the token's issuer may not speak for its organisation")]
    OrganisationNotAllowed,
    /// The value of a claim is wrong.
    #[error("the token's claim `{claim}` is wrong: {detail}")]
    BadClaim {
        /// The claim's name.
        claim: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

impl TokenError {
    /// Whether the token was not signed with a key of its issuer, so that it counts as a guess.
    pub fn is_forgery(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_) | Self::UnknownKey | Self::BadSignature | Self::AlgorithmNotAllowed
        )
    }
}

/// Why keys could not be loaded, or a token or secret could not be created. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A shared secret is too short.
    #[error(
        "{setting} has {bytes} bytes and needs at least {minimum}: make one with `openssl rand -base64 48`"
    )]
    ShortSecret {
        /// The setting with the secret.
        setting: String,
        /// The length of the secret.
        bytes: usize,
        /// The minimum length.
        minimum: usize,
    },
    /// A shared secret repeats a few characters or a short text.
    #[error(
        "{setting} repeats a few characters or a short text, so that it can be guessed: make one with `openssl rand \
         -base64 48`"
    )]
    RepetitiveSecret {
        /// The setting with the secret.
        setting: String,
    },
    /// A file could not be read.
    #[error("{path} can't be read: {source}; check that it exists and that this user may read it", path = .path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file is too large.
    #[error("{path} is larger than {limit} bytes; is it the right file?", path = .path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The maximum number of bytes.
        limit: u64,
    },
    /// A PEM file contains no usable public key.
    #[error("{path} holds no usable public key: {reason}", path = .path.display())]
    BadPublicKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key set (JWKS) is unusable.
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
    /// The file of issuers is wrong.
    #[error("the file of issuers {path} is wrong: {reason}", path = .path.display())]
    BadIssuers {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The value of a setting is not allowed.
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
