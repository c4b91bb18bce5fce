//! Browsers' cross-origin questions (contract section 10).
//!
//! Only configured origins are answered; `*` opens the API to all, which is safe in so far as nothing
//! here is done by cookie. Preflights are answered before authentication: they carry none.

use actix_cors::Cors;
use actix_web::http::header::HeaderName;

/// The headers that a browser's program may read from an answer.
///
/// Some of them every browser shows anyway; named all the same, so that the list is whole.
pub const EXPOSED: [HeaderName; 14] = [
    HeaderName::from_static("content-type"),
    HeaderName::from_static("content-length"),
    HeaderName::from_static("etag"),
    HeaderName::from_static("last-modified"),
    HeaderName::from_static("location"),
    HeaderName::from_static("link"),
    HeaderName::from_static("allow"),
    HeaderName::from_static("retry-after"),
    HeaderName::from_static("www-authenticate"),
    HeaderName::from_static("content-disposition"),
    HeaderName::from_static("date"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-experience-api-version"),
    HeaderName::from_static("x-experience-api-consistent-through"),
];

/// How long a browser may keep a preflight's answer.
const MAX_AGE_SECONDS: usize = 3600;

/// The middleware for these origins; with none, no cross-origin request is allowed.
pub fn layer(origins: &[String]) -> Cors {
    let mut cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
        .allow_any_header()
        .expose_headers(EXPOSED)
        .max_age(MAX_AGE_SECONDS)
        // Whether an answer may be read is the browser's to enforce: a program without a browser may
        // send any Origin it likes, and refusing would only break honest ones.
        .block_on_origin_mismatch(false);
    for origin in origins {
        cors = if origin == "*" {
            cors.allow_any_origin().send_wildcard()
        } else {
            cors.allowed_origin(origin)
        };
    }
    cors
}

/// Checks an origin as it stands in the settings: scheme, host and maybe a port, or `*`.
///
/// # Errors
///
/// What to change, where it is no origin.
pub fn check_origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let help =
        || format!("`{text}` is not an origin: write scheme and host, `https://learn.example.org`, or `*`");
    let uri: actix_web::http::Uri = text.parse().map_err(|_| help())?;
    let bare = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri
            .authority()
            .is_some_and(|authority| !authority.as_str().contains('@'))
        && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
        && !text.ends_with('/');
    // Browsers send the host in lower case; origins are compared as text.
    if bare {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(help())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for good in ["*", "https://learn.example.org", "http://localhost:3000"] {
            assert_eq!(check_origin(good).as_deref(), Ok(good));
        }
        assert_eq!(
            check_origin("https://Learn.example.org").as_deref(),
            Ok("https://learn.example.org")
        );
        for bad in [
            "",
            "learn.example.org",
            "https://x/",
            "https://x/app",
            "ftp://x",
            "null",
            "https://a@x",
        ] {
            assert!(check_origin(bad).is_err(), "{bad}");
        }
    }
}
