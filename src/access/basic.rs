//! Parsing HTTP Basic (RFC 7617) in an `Authorization` header: the `key:secret` of a credential, or the secret of a report
//! key with any user name.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretString;

/// The maximum number of base64 characters.
pub const MAX_BASIC_CHARACTERS: usize = 4096;

/// Base64 with or without padding: some xAPI clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key and a secret, not verified yet.
#[derive(Debug, Clone)]
pub struct KeyAndSecret {
    /// The text before the first colon. It is empty if a client sends only a password.
    pub key: String,
    /// The text after the first colon.
    pub secret: SecretString,
}

/// Why a value is not a `key:secret`. The messages contain no part of the value.
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

/// Decodes the value of an `Authorization` header, with or without the word `Basic` at its beginning.
///
/// # Errors
///
/// [`BasicError`], which is answered with 401.
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
    fn first_colon_ends_the_key() {
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
    fn other_values_are_refused() {
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
    fn debug_output_contains_no_secret() {
        let shown = format!("{:?}", decode("QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap());
        assert!(shown.contains("Aladdin") && !shown.contains("sesame"), "{shown}");
    }
}
