//! Splitting a token into its parts before verification (RFC 7515, section 3.1; RFC 7519).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::access::error::TokenError;

/// The maximum length of a token in bytes. It is large enough for the claim `reports` of a large department.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// The parts of a token, before its signature is verified.
#[derive(Debug)]
pub(crate) struct UnverifiedToken<'a> {
    /// The name of the algorithm in the header.
    pub(crate) algorithm: String,
    /// The name of the key in the header.
    pub(crate) key_id: Option<String>,
    /// The claims.
    pub(crate) payload: Map<String, Value>,
    /// The signed bytes: header and payload as received.
    pub(crate) message: &'a [u8],
    /// The signature, base64url.
    pub(crate) signature: &'a str,
}

// `jsonwebtoken::decode_header` refuses unknown algorithms as malformed. Here they get an error of their own.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> UnverifiedToken<'a> {
    /// Splits a token into its parts.
    pub(crate) fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("it is too long"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed(
                "it must have three parts with dots between them",
            ));
        };
        let message = &token.as_bytes()[..header.len() + 1 + payload.len()];
        let header: Header = serde_json::from_slice(&decode_part(header)?)
            .map_err(|_| TokenError::Malformed("its header is not a JSON object with `alg`"))?;
        // RFC 7515, section 4.1.11: extensions that the receiver must understand.
        if header.crit.is_some() {
            return Err(TokenError::Malformed(
                "its header requires extensions (`crit`) that are not supported",
            ));
        }
        let payload = serde_json::from_slice(&decode_part(payload)?)
            .map_err(|_| TokenError::Malformed("its payload is not a JSON object"))?;
        Ok(Self {
            algorithm: header.alg,
            key_id: header.kid,
            payload,
            message,
            signature,
        })
    }

    /// The issuer that the token claims.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.payload.get("iss").and_then(Value::as_str)
    }
}

fn decode_part(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed("a part of it is not base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.sig", encode(header), encode(payload))
    }

    #[test]
    fn token_has_three_parts() {
        let text = token(r#"{"alg":"HS256","kid":"k","typ":"JWT"}"#, r#"{"iss":"me"}"#);
        let parsed = UnverifiedToken::parse(&text).unwrap();
        assert_eq!(
            (parsed.algorithm.as_str(), parsed.key_id.as_deref()),
            ("HS256", Some("k"))
        );
        assert_eq!((parsed.issuer(), parsed.signature), (Some("me"), "sig"));
        assert_eq!([parsed.message, b".sig"].concat(), text.as_bytes());
    }

    #[test]
    fn other_texts_are_malformed() {
        let good = token(r#"{"alg":"HS256"}"#, "{}");
        let wrong = [
            String::new(),
            "a.b".to_owned(),
            format!("{good}.x"),
            good.replace('.', " "),
            format!("={good}"),
            token("[]", "{}"),
            token("{}", "{}"),
            token(r#"{"alg":256}"#, "{}"),
            token(r#"{"alg":"HS256","alg":"none"}"#, "{}"),
            token(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "{}"),
            token(r#"{"alg":"HS256"}"#, "[]"),
            token(r#"{"alg":"HS256"}"#, "{} {}"),
            "x".repeat(MAX_TOKEN_BYTES + 1),
        ];
        assert!(UnverifiedToken::parse(&good).is_ok());
        for text in wrong {
            let refused = UnverifiedToken::parse(&text);
            assert!(
                matches!(refused, Err(TokenError::Malformed(_))),
                "{text}: {refused:?}"
            );
        }
    }
}
