//! Cross-origin requests of browsers (`docs/specification.md#browsers`).
//!
//! Only configured origins are allowed; `*` allows all. That is safe, since no request is authorised by a cookie.
//! Preflights are answered before authentication, because they carry no authorisation.

use actix_cors::{Cors, CorsError};
use actix_web::http::header::HeaderName;

use super::problem::Problem;

/// The headers of an answer that a web page may read. The list also has those that every browser shows by default.
pub const EXPOSED: [HeaderName; 16] = [
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
    HeaderName::from_static("content-language"),
    HeaderName::from_static("date"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("rollbook-registration"),
    HeaderName::from_static("x-experience-api-version"),
    HeaderName::from_static("x-experience-api-consistent-through"),
];

/// The time for which a browser may cache the answer to a preflight.
const MAX_AGE_SECONDS: usize = 3600;

/// Returns the middleware that allows these origins. Without origins, no cross-origin request is allowed.
pub fn layer(origins: &[String]) -> Cors {
    let mut cors = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
        .allow_any_header()
        .expose_headers(EXPOSED)
        .max_age(MAX_AGE_SECONDS)
        // The browser enforces the origin. A program without a browser can send any `Origin`, so refusing it here
        // would protect nothing.
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

/// The problem of a refused preflight.
pub fn to_problem(error: &CorsError) -> Problem {
    match error {
        CorsError::OriginNotAllowed => Problem::forbidden(
            "pages of this origin may not use this server; its operator allows origins by ROLLBOOK_CORS_ORIGINS",
        ),
        other => Problem::bad_request(format!("this is no preflight of a browser: {other}")),
    }
}

/// Checks an origin of the settings: a scheme, a host and an optional port, or `*`. Returns it in lower case.
///
/// # Errors
///
/// The text says what to change if it is not an origin.
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
    // Browsers send the host in lower case, and origins are compared as text.
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
    fn origin_is_scheme_host_and_port() {
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
