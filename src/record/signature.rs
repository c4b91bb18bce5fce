//! Signed statements (xAPI 1.0.3, Data 2.6): a statement with a JSON Web Signature (RFC 7515) of itself attached.
//!
//! [`Statement::check_signature`] looks for mistakes, as the specification asks; it is no proof of who signed. What
//! the signature covers must be the statement, and where the signature brings its certificate (`x5c`), it must be
//! that certificate's. Whether the certificate can be trusted is for whoever reads the statement to say.

use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RsaParameters, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use serde::de::IgnoredAny;
use webpki::EndEntityCert;

use super::attachment::Attachment;
use super::statement::{Limits, Statement, Version, parse_statement};
use crate::base::fault::Fault;
use crate::base::ids::StatementId;

/// The `usageType` of an attachment that is a signature.
pub const USAGE: &str = "http://adlnet.gov/expapi/attachments/signature";
/// The `contentType` that such an attachment must declare.
const CONTENT_TYPE: &str = "application/octet-stream";

/// What is wrong with a signature; the text says what has to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The attachment declares another media type.
    #[error("a signature's contentType is {CONTENT_TYPE}")]
    ContentType,
    /// It is not of three parts in base64url.
    #[error(
        "a signature is a JSON Web Signature in compact serialization: three texts in base64url with dots between them"
    )]
    Form,
    /// Its header can't be read.
    #[error("the signature's header can't be read: {0}")]
    Header(String),
    /// Its algorithm is not one of the three.
    #[error("a signature's algorithm is RS256, RS384 or RS512, and not {0:?}")]
    Algorithm(String),
    /// Its header has extensions that must be understood.
    #[error(
        "the signature's header names extensions (`crit`) that are not understood here; sign without them"
    )]
    Critical,
    /// What it covers is not a statement.
    #[error("what the signature covers is not a valid statement: {0}")]
    Payload(Fault),
    /// What it covers is another statement.
    #[error(
        "what the signature covers differs from the statement in its {0}; sign the statement as it is sent"
    )]
    Different(&'static str),
    /// Its certificate can't be read.
    #[error("the first certificate in the signature's x5c can't be read: {0}")]
    Certificate(String),
    /// It was not made with the certificate's key.
    #[error("the signature was not made with the RSA key of its certificate (x5c)")]
    Key,
}

/// The header of a signature (RFC 7515, section 4); what is not looked at is passed over.
#[derive(Deserialize)]
struct Header {
    alg: String,
    x5c: Option<Vec<String>>,
    crit: Option<IgnoredAny>,
}

impl Attachment {
    /// Whether it is a signature of its statement.
    pub fn is_signature(&self) -> bool {
        self.usage_type.as_str() == USAGE
    }
}

impl Statement {
    /// Checks a signature that came with this statement. `attachment` is what the statement declares of it, `content`
    /// its bytes, `id` the id that the statement is to have; the payload is read by the rules of the request.
    ///
    /// # Errors
    ///
    /// What the specification asks to be refused: see [`SignatureError`].
    pub fn check_signature(
        &self,
        attachment: &Attachment,
        content: &[u8],
        id: Option<StatementId>,
        version: Version,
        limits: &Limits,
    ) -> Result<(), SignatureError> {
        if !attachment.content_type.trim().eq_ignore_ascii_case(CONTENT_TYPE) {
            return Err(SignatureError::ContentType);
        }
        let parts = Parts::of(content).ok_or(SignatureError::Form)?;
        let header: Header = serde_json::from_slice(&parts.header)
            .map_err(|error| SignatureError::Header(error.to_string()))?;
        let algorithm = algorithm(&header.alg).ok_or(SignatureError::Algorithm(header.alg))?;
        if header.crit.is_some() {
            return Err(SignatureError::Critical);
        }
        let signed = parse_statement(&parts.payload, version, limits).map_err(SignatureError::Payload)?;
        self.check_same(&signed, id)?;
        match header.x5c {
            Some(chain) => check_key(&chain, algorithm, &parts),
            None => Ok(()),
        }
    }

    /// Whether this is the statement that was signed, as far as one can be another (Data 2.3.1). What a store adds
    /// may be missing in what was signed; what was signed may not be missing here.
    fn check_same(&self, signed: &Self, id: Option<StatementId>) -> Result<(), SignatureError> {
        if signed.id.is_some() && signed.id != id {
            return Err(SignatureError::Different("id"));
        }
        if signed.timestamp.is_some() && signed.timestamp != self.timestamp {
            return Err(SignatureError::Different("timestamp"));
        }
        if !self.same_as(signed) {
            return Err(SignatureError::Different(
                "actor, verb, object, result or context",
            ));
        }
        Ok(())
    }
}

/// A signature in compact serialization (RFC 7515, section 3.1).
struct Parts<'a> {
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// What was signed: the first two texts with their dot.
    signed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(content: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?;
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let decode = |text: &str| {
            URL_SAFE_NO_PAD
                .decode(text)
                .ok()
                .filter(|bytes| !bytes.is_empty())
        };
        Some(Self {
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            signed: signed.as_bytes(),
        })
    }
}

fn algorithm(name: &str) -> Option<&'static RsaParameters> {
    match name {
        // Shorter keys than RFC 7518 asks for: the specification's own example (Data, Appendix D) has one of 1024 bits.
        "RS256" => Some(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        "RS384" => Some(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

/// Whether the signature was made with the key of the first certificate (RFC 7515, section 4.1.6).
fn check_key(
    chain: &[String],
    algorithm: &'static RsaParameters,
    parts: &Parts<'_>,
) -> Result<(), SignatureError> {
    let first = chain
        .first()
        .ok_or_else(|| SignatureError::Certificate("there is none".to_owned()))?;
    let der = STANDARD
        .decode(first)
        .map_err(|_| SignatureError::Certificate("it is not base64 of DER".to_owned()))?;
    let der = CertificateDer::from(der);
    let certificate =
        EndEntityCert::try_from(&der).map_err(|error| SignatureError::Certificate(format!("{error:?}")))?;
    let key = certificate.subject_public_key_info();
    UnparsedPublicKey::new(algorithm, key.as_ref())
        .verify(parts.signed, &parts.signature)
        .map_err(|_| SignatureError::Key)
}

#[cfg(test)]
mod tests;
