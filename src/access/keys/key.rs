//! A key that verifies signatures, with its algorithm.
//!
//! The algorithm comes from the key or the configuration, never from a token. So a public key cannot be used as a shared
//! secret, and `none` is not an algorithm (RFC 8725, section 3.1).

use std::path::Path;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto};
use secrecy::{ExposeSecret, SecretString};

use crate::access::error::AccessError;

/// The allowed numbers of bits of an RSA modulus. Fewer are insecure, more only cost time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key and its algorithm.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    /// A shared secret for HS256: the bytes of the text, which is not decoded.
    pub(crate) fn from_secret(secret: &SecretString) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(secret.expose_secret().as_bytes()),
        }
    }

    /// A public key in PEM: RSA for RS256, P-256 for ES256, P-384 for ES384, Ed25519 for EdDSA.
    pub(crate) fn from_pem(path: &Path, pem: &[u8]) -> Result<Self, AccessError> {
        let refuse = |reason| AccessError::BadPublicKey {
            path: path.to_owned(),
            reason,
        };
        let text = std::str::from_utf8(pem).map_err(|_| refuse("it is not PEM text"))?;
        let mut labels = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("-----BEGIN "));
        match (labels.next(), labels.next()) {
            (Some("PUBLIC KEY-----" | "RSA PUBLIC KEY-----"), None) => {}
            (Some(label), _) if label.contains("PRIVATE") => {
                return Err(refuse(
                    "it is a private key, which only the issuer may have; use the public key",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(refuse("it contains more than one key; use a JWKS for several"));
            }
            (Some(_), None) => return Err(refuse("it must begin with -----BEGIN PUBLIC KEY-----")),
            (None, _) => {
                return Err(refuse(
                    "it is not PEM: it must begin with -----BEGIN PUBLIC KEY-----",
                ));
            }
        }
        let decoding = DecodingKey::from_rsa_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .map_err(|_| refuse("it is neither RSA, nor EC (P-256 or P-384), nor Ed25519"))?;
        let usable = || refuse("it must be RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519");
        if decoding.family() == AlgorithmFamily::Rsa {
            let decoding = check_rsa(&decoding).ok_or_else(usable)?;
            return Ok(Self {
                algorithm: Algorithm::RS256,
                decoding,
            });
        }
        let bytes = decoding.try_get_as_bytes().map_err(|_| usable())?;
        let candidates: [(Algorithm, &'static dyn VerificationAlgorithm); 3] = [
            (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED),
            (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED),
            (Algorithm::EdDSA, &ED25519),
        ];
        let algorithm = candidates
            .into_iter()
            .find(|(algorithm, rules)| algorithm.family() == decoding.family() && accepts(*rules, bytes))
            .map(|(algorithm, _)| algorithm)
            .ok_or_else(usable)?;
        Ok(Self { algorithm, decoding })
    }

    /// A public key of a key set (RFC 7517). Its `alg` is the algorithm, if it fits the type of the key. Without `alg` the
    /// algorithm is RS256, ES256, ES384 or EdDSA, by type and curve.
    pub(crate) fn from_jwk(key: &Jwk) -> Result<Self, &'static str> {
        let common = &key.common;
        if common
            .public_key_use
            .as_ref()
            .is_some_and(|usage| *usage != PublicKeyUse::Signature)
        {
            return Err("it is not for signatures (`use`)");
        }
        if common
            .key_operations
            .as_ref()
            .is_some_and(|operations| !operations.contains(&KeyOperations::Verify))
        {
            return Err("it is not for verifying (`key_ops`)");
        }
        let (decoding, allowed) = match &key.algorithm {
            AlgorithmParameters::RSA(rsa) => (rsa_key(&decode(&rsa.n)?, &decode(&rsa.e)?)?, RSA_ALGORITHMS),
            AlgorithmParameters::EllipticCurve(point) => ec_key(point)?,
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                let x = decode(&pair.x)?;
                if !accepts(&ED25519, &x) {
                    return Err("it is not an Ed25519 key");
                }
                (DecodingKey::from_ed_der(&x), &[Algorithm::EdDSA][..])
            }
            AlgorithmParameters::OctetKey(_) => {
                return Err("it is symmetric (`oct`); a key set must not contain shared secrets");
            }
            _ => return Err("its type or curve is not supported"),
        };
        let algorithm = match &common.key_algorithm {
            None => allowed[0],
            Some(name) => find_algorithm(&name.to_string())
                .filter(|algorithm| allowed.contains(algorithm))
                .ok_or("its `alg` does not fit its type")?,
        };
        Ok(Self { algorithm, decoding })
    }

    /// The algorithm that a token must name to be verified with this key.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` (base64url) is a signature of `message` by this key.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.decoding, self.algorithm).unwrap_or(false)
    }
}

/// The algorithms of an RSA key. The first is the default.
const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The algorithm with this name in the header of a token or in a key. `None` for `none` and for unknown names. RFC 9864
/// gives `EdDSA` with an Ed25519 key the name `Ed25519`.
pub(crate) fn find_algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "Ed25519" => Some(Algorithm::EdDSA),
        name => name.parse().ok(),
    }
}

/// Whether the bytes are a well-formed key for the algorithm: a point of the curve, or a modulus of an allowed size.
fn accepts(rules: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> bool {
    ParsedPublicKey::new(rules, bytes).is_ok()
}

fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| "a part of it is not base64url")
}

/// The RSA key of a PEM file, if its numbers are allowed. `DecodingKey` does not check them.
fn check_rsa(key: &DecodingKey) -> Option<DecodingKey> {
    match Jwk::from_decoding_key(key, None).ok()?.algorithm {
        AlgorithmParameters::RSA(numbers) => {
            rsa_key(&decode(&numbers.n).ok()?, &decode(&numbers.e).ok()?).ok()
        }
        _ => None,
    }
}

/// An RSA key of two big-endian numbers.
fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Result<DecodingKey, &'static str> {
    let (modulus, exponent) = (strip_zeros(modulus), strip_zeros(exponent));
    let bits = modulus
        .first()
        .map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("its modulus must have 2048 to 8192 bits");
    }
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !odd || exponent == [1] || exponent.len() > 4 {
        return Err("its exponent is not safe");
    }
    Ok(DecodingKey::from_rsa_raw_components(modulus, exponent))
}

/// A big-endian number without the leading zeros that some issuers write (the sign byte of ASN.1).
fn strip_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

/// A key on an elliptic curve, with the algorithms that it may be used with. The key is an uncompressed point (SEC 1,
/// section 2.3.3).
fn ec_key(key: &EllipticCurveKeyParameters) -> Result<(DecodingKey, &'static [Algorithm]), &'static str> {
    let (bytes, rules, algorithms): (_, &'static dyn VerificationAlgorithm, &[Algorithm]) = match key.curve {
        EllipticCurve::P256 => (32, &ECDSA_P256_SHA256_FIXED, &[Algorithm::ES256]),
        EllipticCurve::P384 => (48, &ECDSA_P384_SHA384_FIXED, &[Algorithm::ES384]),
        _ => return Err("its type or curve is not supported"),
    };
    let (x, y) = (decode(&key.x)?, decode(&key.y)?);
    let uncompressed = [&[4][..], &x, &y].concat();
    if x.len() != bytes || y.len() != bytes || !accepts(rules, &uncompressed) {
        return Err("it is not a point of its curve");
    }
    Ok((DecodingKey::from_ec_der(&uncompressed), algorithms))
}
