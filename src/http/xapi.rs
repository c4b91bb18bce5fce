//! `/xapi`: the Learning Record Store (xAPI 1.0.3 and 2.0.0; `docs/specification.md#the-lrs`), one file for each
//! resource.
//!
//! This file reads the version that a request names. [`alternate`] is the middleware for the alternate request syntax.

pub mod about;
pub mod activities;
pub mod agents;
pub mod alternate;
mod documents;
pub mod multipart;
pub mod statements;

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Uri;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::http::uri::PathAndQuery;
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpRequest};

use super::problem::Problem;
use super::routes::resources;
use crate::base::clock::Timestamp;
use crate::record::Version;

/// The header with the version, in requests and answers (xAPI 1.0.3, Communication 3.3).
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("x-experience-api-version");

/// The version in the answer to a request without a known version. The specification leaves it open, and the
/// conformance suites of the two versions expect different ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum UnversionedAnswer {
    /// `0.95`: a client without the header counts as one of this version (Communication 3.3).
    #[value(name = "0.95")]
    #[default]
    V095,
    /// `1.0.3`.
    #[value(name = "1.0.3")]
    V103,
    /// `2.0.0`.
    #[value(name = "2.0.0")]
    V200,
}

impl UnversionedAnswer {
    /// Returns the version as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            UnversionedAnswer::V095 => "0.95",
            UnversionedAnswer::V103 => "1.0.3",
            UnversionedAnswer::V200 => "2.0.0",
        }
    }
}

/// Whether a decoded path is under `/xapi`.
pub fn is_xapi_path(path: &str) -> bool {
    path.strip_prefix("/xapi")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Middleware that folds slashes in paths under `/xapi`: `//` becomes `/`, and a slash at the end is removed. So the
/// endpoint that is set in content may end with a slash or not. Ids are in the query, so no path loses a part.
pub async fn fold_slashes<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if let Some(uri) = fold(request.uri()) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
    next.call(request).await
}

/// Returns the address with folded slashes, or `None` if it is another resource's or has none to fold.
fn fold(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") && !path.ends_with('/') {
        return None;
    }
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let folded = segments.fold(String::new(), |path, segment| path + "/" + segment);
    if !is_xapi_path(&folded) {
        return None;
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(folded + &query).ok()?);
    Uri::from_parts(parts).ok()
}

/// Parses the version header of a request (xAPI 1.0.3, Communication 3.3): `1.0`, `1.0.x`, `2.0` or `2.0.x`. Returns
/// `None` for another version, and for a request without the header or with several.
pub fn parse_version_header(headers: &HeaderMap) -> Option<Version> {
    let mut values = headers.get_all(VERSION_HEADER);
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    parse_version(value.to_str().ok()?.trim())
}

/// Returns the version for the header of the answer (xAPI 1.0.3, Communication 3.3): the latest one that is compatible
/// with the version of the request. Returns `None` outside `/xapi`.
pub fn response_version(request: &HttpRequest, unversioned: UnversionedAnswer) -> Option<&'static str> {
    let path = request.match_info().as_str();
    if !is_xapi_path(path) {
        return None;
    }
    Some(match parse_version_header(request.headers()) {
        Some(Version::V1) => "1.0.3",
        Some(Version::V2) => "2.0.0",
        // This resource answers requests of any version (Communication 2.8).
        None if path == "/xapi/about" => "2.0.0",
        None => unversioned.as_str(),
    })
}

/// The version of a request. A request without a known version is refused (400).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XapiVersion(Version);

impl XapiVersion {
    /// Returns the version. The statements of the request are read by its rules.
    pub fn version(self) -> Version {
        self.0
    }

    /// Returns the version of a statement that names none.
    pub fn statement_version(self) -> &'static str {
        match self.0 {
            Version::V1 => "1.0.0",
            Version::V2 => "2.0.0",
        }
    }
}

impl FromRequest for XapiVersion {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match parse_version_header(request.headers()) {
            Some(version) => Ok(Self(version)),
            None => Err(Problem::bad_request(
                "send the header X-Experience-API-Version with the version of xAPI: 1.0.3 or 2.0.0",
            )),
        })
    }
}

fn parse_version(version: &str) -> Option<Version> {
    let (family, patch) = version.split_at_checked(3)?;
    let is_patch = patch.is_empty()
        || patch
            .strip_prefix('.')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    match family {
        "1.0" if is_patch => Some(Version::V1),
        "2.0" if is_patch => Some(Version::V2),
        _ => None,
    }
}

/// Formats a moment as an HTTP date, to the second.
fn to_http_date(moment: Timestamp) -> String {
    moment
        .to_datetime()
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

resources! {
    about,
    statements,
    activities { profile, state },
    agents { profile },
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// Returns a request with one version header for each value.
    fn request(path: &str, versions: &[&str]) -> HttpRequest {
        let mut request = TestRequest::get().uri(path);
        for version in versions {
            request = request.append_header((VERSION_HEADER, *version));
        }
        request.to_http_request()
    }

    /// The values of the version headers of a request, and the version that they mean.
    const VERSIONS: [(&[&str], Option<Version>); 24] = [
        (&["1.0"], Some(Version::V1)),
        (&["1.0.0"], Some(Version::V1)),
        (&["1.0.3"], Some(Version::V1)),
        (&["1.0.99"], Some(Version::V1)),
        (&[" 1.0.1 "], Some(Version::V1)),
        (&["2.0"], Some(Version::V2)),
        (&["2.0.0"], Some(Version::V2)),
        (&["2.0.1"], Some(Version::V2)),
        (&[], None),
        (&[""], None),
        (&["1"], None),
        (&["1."], None),
        (&["1.0."], None),
        (&["1.0.x"], None),
        (&["1.0.3.1"], None),
        (&["1.03"], None),
        (&["v1.0.3"], None),
        (&["0.9"], None),
        (&["0.95"], None),
        (&["1.1.0"], None),
        (&["2.1.0"], None),
        (&["3.0.0"], None),
        (&["1.0.3, 2.0.0"], None),
        (&["1.0.3", "1.0.3"], None),
    ];

    #[tokio::test]
    async fn version_header_selects_the_version() {
        for (values, expected) in VERSIONS {
            let request = request("/xapi/statements", values);
            let version = XapiVersion::extract(&request).await;
            assert_eq!(version.map(XapiVersion::version).ok(), expected, "{values:?}");
            let answered = response_version(&request, UnversionedAnswer::V095);
            let latest = match expected {
                Some(Version::V1) => "1.0.3",
                Some(Version::V2) => "2.0.0",
                None => "0.95",
            };
            assert_eq!(answered, Some(latest), "{values:?}");
        }
    }

    #[test]
    fn http_date_has_the_format_of_rfc_9110() {
        let moment = Timestamp::from_micros(784_111_777_999_999);
        assert_eq!(to_http_date(moment), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn every_answer_under_xapi_has_a_version() {
        let answered = |path: &str, unversioned| response_version(&request(path, &[]), unversioned);
        for path in ["/xapi", "/xapi/none", "/%78api/statements", "/xapi/about/"] {
            assert_eq!(answered(path, UnversionedAnswer::V095), Some("0.95"), "{path}");
            assert_eq!(answered(path, UnversionedAnswer::V103), Some("1.0.3"), "{path}");
            assert_eq!(answered(path, UnversionedAnswer::V200), Some("2.0.0"), "{path}");
        }
        assert_eq!(answered("/xapi/about", UnversionedAnswer::V095), Some("2.0.0"));
        for path in ["/v1/users", "/xapis", "/"] {
            assert_eq!(answered(path, UnversionedAnswer::V095), None, "{path}");
        }
    }
}
