//! HTTP Basic (RFC 7617): the `key:secret` of a credential, or the secret of a report's key with any user name or none,
//! out of an `Authorization` header.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretString;

/// The most characters of base64 that are looked at.
pub const MAX_BASIC_CHARACTERS: usize = 4096;

/// Base64 with its padding or without: some xAPI clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key and the secret that came with it, not verified yet.
#[derive(Debug, Clone)]
pub struct KeyAndSecret {
    /// What stands before the first colon; empty where a client sends a password alone.
    pub key: String,
    /// What stands behind it.
    pub secret: SecretString,
}

/// Why a value is not a `key:secret`. The texts hold nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BasicError {
    /// Longer than [`MAX_BASIC_CHARACTERS`].
    #[error("the Basic credentials are too long")]
    TooLong,
    /// Not base64.
    #[error("the Basic credentials are not base64")]
    NotBase64,
    /// Not UTF-8, or with control characters (RFC 7617, section 2).
    #[error("the Basic credentials are not UTF-8 text without control characters")]
    NotText,
    /// Without a colon.
    #[error("the Basic credentials must be key:secret")]
    NoKey,
}

/// Decodes what follows `Basic ` in an `Authorization` header; the word itself may stand before it.
///
/// # Errors
///
/// [`BasicError`], which means 401.
pub fn decode(value: &str) -> Result<KeyAndSecret, BasicError> {
    let value = value.trim_matches(' ');
    let encoded = match value.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => rest.trim_start_matches(' '),
        _ => value,
    };
    if encoded.len() > MAX_BASIC_CHARACTERS {
        return Err(BasicError::TooLong);
    }
    let bytes = BASE64.decode(encoded).map_err(|_| BasicError::NotBase64)?;
    let text = String::from_utf8(bytes).map_err(|_| BasicError::NotText)?;
    if text.chars().any(char::is_control) {
        return Err(BasicError::NotText);
    }
    match text.split_once(':') {
        Some((key, secret)) => Ok(KeyAndSecret {
            key: key.to_owned(),
            secret: SecretString::from(secret),
        }),
        None => Err(BasicError::NoKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use secrecy::ExposeSecret;

    fn pair(value: &str) -> Result<(String, String), BasicError> {
        decode(value).map(|pair| (pair.key, pair.secret.expose_secret().to_owned()))
    }

    fn ok(key: &str, secret: &str) -> Result<(String, String), BasicError> {
        Ok((key.to_owned(), secret.to_owned()))
    }

    #[test]
    fn the_first_colon_ends_the_key() {
        // The example of RFC 7617, section 2.
        assert_eq!(pair("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), ok("Aladdin", "open sesame"));
        assert_eq!(
            pair("basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ"),
            ok("Aladdin", "open sesame")
        );
        assert_eq!(pair(&STANDARD.encode("key:a:b:")), ok("key", "a:b:"));
        assert_eq!(pair(&STANDARD.encode("schlüssel:ß")), ok("schlüssel", "ß"));
        assert_eq!(pair(&STANDARD.encode("key:")), ok("key", ""));
        assert_eq!(pair(&STANDARD.encode(":secret")), ok("", "secret"));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(pair(""), Err(BasicError::NoKey));
        assert_eq!(pair("%%%"), Err(BasicError::NotBase64));
        assert_eq!(
            pair("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            Err(BasicError::NotBase64)
        );
        assert_eq!(pair(&STANDARD.encode("no colon")), Err(BasicError::NoKey));
        assert_eq!(
            pair(&STANDARD.encode([0xff, b':', b'a'])),
            Err(BasicError::NotText)
        );
        assert_eq!(pair(&STANDARD.encode("key:a\u{0}")), Err(BasicError::NotText));
        assert_eq!(
            pair(&"A".repeat(MAX_BASIC_CHARACTERS + 1)),
            Err(BasicError::TooLong)
        );
    }

    #[test]
    fn a_secret_never_shows_in_debug() {
        let shown = format!("{:?}", decode("QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap());
        assert!(shown.contains("Aladdin") && !shown.contains("sesame"), "{shown}");
    }
}
