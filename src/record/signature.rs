//! Signed statements (xAPI 1.0.3, Data 2.6): a JSON Web Signature (RFC 7515) of the statement is one of its
//! attachments.
//!
//! [`Statement::check_signature`] makes the checks that the specification requires. The signed text must be the
//! statement. If the signature contains a certificate (`x5c`), it must be made with the key of that certificate. The
//! check does not prove the identity of the signer: Rollbook does not check whether the certificate can be trusted. A
//! reader of the statement has to do that.

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

/// Why a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The attachment declares another media type.
    #[error("a signature's contentType is {CONTENT_TYPE}")]
    ContentType,
    /// The content does not have three parts in base64url.
    #[error(
        "a signature is a JSON Web Signature in compact serialization: three texts in base64url with dots between them"
    )]
    Form,
    /// The header is malformed.
    #[error("the signature's header can't be read: {0}")]
    Header(String),
    /// The algorithm is not one of the three that xAPI allows.
    #[error("the algorithm of a signature is RS256, RS384 or RS512, and not {0:?}")]
    Algorithm(String),
    /// The header requires extensions.
    #[error(
        "the signature's header requires extensions (`crit`), which are not supported here; sign without them"
    )]
    Critical,
    /// The signed text is not a statement.
    #[error("the signed text is not a valid statement: {0}")]
    Payload(Fault),
    /// The signed text is another statement.
    #[error("the signed text differs from the statement in its {0}; sign the statement as it is sent")]
    Different(&'static str),
    /// The certificate is malformed.
    #[error("the first certificate in the signature's x5c can't be read: {0}")]
    Certificate(String),
    /// The signature was not made with the key of the certificate.
    #[error("the signature was not made with the RSA key of its certificate (x5c)")]
    Key,
}

/// The header of a signature (RFC 7515, section 4). Other members are ignored.
#[derive(Deserialize)]
struct Header {
    alg: String,
    x5c: Option<Vec<String>>,
    crit: Option<IgnoredAny>,
}

impl Attachment {
    /// Whether the attachment is a signature of its statement.
    pub fn is_signature(&self) -> bool {
        self.usage_type.as_str() == USAGE
    }
}

impl Statement {
    /// Checks a signature of this statement.
    ///
    /// `attachment` is the declaration of the signature, `content` its bytes, and `id` the id of the statement.
    /// `version` and `limits` are the rules for parsing the signed text.
    ///
    /// # Errors
    ///
    /// The specification requires that the signature is refused.
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
        let parts = Parts::parse(content).ok_or(SignatureError::Form)?;
        let header: Header = serde_json::from_slice(&parts.header)
            .map_err(|error| SignatureError::Header(error.to_string()))?;
        let algorithm = find_algorithm(&header.alg).ok_or(SignatureError::Algorithm(header.alg))?;
        if header.crit.is_some() {
            return Err(SignatureError::Critical);
        }
        let signed = parse_statement(&parts.payload, version, limits).map_err(SignatureError::Payload)?;
        self.check_signed_statement(&signed, id)?;
        match header.x5c {
            Some(chain) => check_key(&chain, algorithm, &parts),
            None => Ok(()),
        }
    }

    /// Checks that `signed` is the same statement by the rules of Data 2.3.1. The signed text may lack members that the
    /// server sets. But if it has an id or a timestamp, this statement must have the same.
    fn check_signed_statement(&self, signed: &Self, id: Option<StatementId>) -> Result<(), SignatureError> {
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

/// The parts of a signature in compact serialization (RFC 7515, section 3.1).
struct Parts<'a> {
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// The signed bytes: the encoded header and payload with the dot between them.
    signed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn parse(content: &'a [u8]) -> Option<Self> {
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

fn find_algorithm(name: &str) -> Option<&'static RsaParameters> {
    match name {
        // RFC 7518 requires keys of 2048 bits. The example of the xAPI specification (Data, Appendix D) has 1024 bits.
        "RS256" => Some(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        "RS384" => Some(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

/// Checks that the signature was made with the key of the first certificate (RFC 7515, section 4.1.6).
fn check_key(
    chain: &[String],
    algorithm: &'static RsaParameters,
    parts: &Parts<'_>,
) -> Result<(), SignatureError> {
    let first = chain
        .first()
        .ok_or_else(|| SignatureError::Certificate("the list is empty".to_owned()))?;
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
