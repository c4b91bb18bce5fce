//! One key that verifies signatures, and the one algorithm that it is for.
//!
//! The algorithm comes from the key or from the configuration beside it, never from a token: so a public
//! key can't be taken for a shared secret, and `none` is no algorithm at all (RFC 8725, section 3.1).

use std::path::Path;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto, jwk};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::access::error::AccessError;

/// The bits that an RSA modulus may have: fewer are breakable, more only cost time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key and its algorithm.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    /// A shared secret, for HS256. The bytes are those of the text as it stands; it is not decoded.
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
                    "it is a private key, which belongs to the issuer alone; give its public key",
                ));
            }
            (Some(_), Some(_)) => return Err(refuse("it holds more than one key; use a JWKS for several")),
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
            .map_err(|_| refuse("it is none of RSA, EC (P-256, P-384) and Ed25519"))?;
        let usable = || refuse("it must be RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519");
        if decoding.family() == AlgorithmFamily::Rsa {
            let decoding = checked_rsa(&decoding).ok_or_else(usable)?;
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

    /// A public key of a key set (RFC 7517). Its `alg` decides the algorithm where it has one that fits
    /// the kind of key; without, it is RS256, ES256, ES384 or EdDSA by kind and curve.
    pub(crate) fn from_jwk(jwk: &Jwk) -> Result<Self, &'static str> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("it is not for signatures (`use`)");
        }
        if jwk
            .key_ops
            .as_ref()
            .is_some_and(|operations| !operations.iter().any(|one| one == "verify"))
        {
            return Err("it is not for verifying (`key_ops`)");
        }
        let (decoding, fitting) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => (rsa(&part(&jwk.n)?, &part(&jwk.e)?)?, RSA_ALGORITHMS),
            ("EC", Some("P-256")) => (point(jwk, 32, &ECDSA_P256_SHA256_FIXED)?, &[Algorithm::ES256][..]),
            ("EC", Some("P-384")) => (point(jwk, 48, &ECDSA_P384_SHA384_FIXED)?, &[Algorithm::ES384][..]),
            ("OKP", Some("Ed25519")) => {
                let x = part(&jwk.x)?;
                if !accepts(&ED25519, &x) {
                    return Err("it is no Ed25519 key");
                }
                (DecodingKey::from_ed_der(&x), &[Algorithm::EdDSA][..])
            }
            ("oct", _) => return Err("it is symmetric (`oct`): a shared secret has no place in a key set"),
            _ => return Err("its kind or curve is not supported"),
        };
        let algorithm = match &jwk.alg {
            None => fitting[0],
            Some(name) => algorithm(name)
                .filter(|named| fitting.contains(named))
                .ok_or("its `alg` does not fit its kind")?,
        };
        Ok(Self { algorithm, decoding })
    }

    /// The algorithm that a token must name to be verified with this key.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` (base64url) is this key's over `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.decoding, self.algorithm).unwrap_or(false)
    }
}

/// What is read of a key in a set; anything else in it is passed over.
#[derive(Debug, Deserialize)]
pub(crate) struct Jwk {
    pub(crate) kty: String,
    pub(crate) kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// What an RSA key may be for; the first where it doesn't say.
const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The algorithm of a name, in a token's header or a key; `none` and anything unknown is none.
/// `Ed25519` is RFC 9864's name for what `EdDSA` means with such a key.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "Ed25519" => Some(Algorithm::EdDSA),
        name => name.parse().ok(),
    }
}

/// Whether the bytes are a well-formed key for the algorithm: a point on its curve, a modulus of a
/// size that it takes.
fn accepts(rules: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> bool {
    ParsedPublicKey::new(rules, bytes).is_ok()
}

fn part(text: &Option<String>) -> Result<Vec<u8>, &'static str> {
    let text = text.as_deref().ok_or("a part of it is missing")?;
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| "a part of it is not base64url")
}

/// The RSA key of a PEM file, where its numbers can be trusted: reading it has not looked at them.
fn checked_rsa(key: &DecodingKey) -> Option<DecodingKey> {
    match jwk::Jwk::from_decoding_key(key, None).ok()?.algorithm {
        jwk::AlgorithmParameters::RSA(numbers) => {
            rsa(&part(&Some(numbers.n)).ok()?, &part(&Some(numbers.e)).ok()?).ok()
        }
        _ => None,
    }
}

/// An RSA key of two big-endian numbers.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<DecodingKey, &'static str> {
    let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
    let bits = modulus
        .first()
        .map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("its modulus must have 2048 to 8192 bits");
    }
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !odd || exponent == [1] || exponent.len() > 4 {
        return Err("its exponent is not a safe one");
    }
    Ok(DecodingKey::from_rsa_raw_components(modulus, exponent))
}

/// A big-endian number without the leading zeros that some issuers write (the sign byte of ASN.1).
fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

/// An uncompressed point (SEC 1, section 2.3.3) of a curve whose numbers have so many bytes.
fn point(
    jwk: &Jwk,
    bytes: usize,
    rules: &'static dyn VerificationAlgorithm,
) -> Result<DecodingKey, &'static str> {
    let (x, y) = (part(&jwk.x)?, part(&jwk.y)?);
    let uncompressed = [&[4][..], &x, &y].concat();
    if x.len() != bytes || y.len() != bytes || !accepts(rules, &uncompressed) {
        return Err("it is no point of its curve");
    }
    Ok(DecodingKey::from_ec_der(&uncompressed))
}
