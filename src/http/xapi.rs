//! `/xapi`: the Learning Record Store (xAPI 1.0.3 and 2.0.0; contract section 10), a file for each
//! resource.
//!
//! Here stands what all of them share: the version that a request asks for and its answer names.
//! [`alternate`] is the layer that takes requests in the alternate syntax.

pub mod alternate;
mod documents;
pub mod multipart;

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest};

use super::problem::Problem;
use super::routes::resources;
use crate::record::Version;

/// The header that carries the version, both ways (xAPI 1.0.3, Communication 3.3).
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("x-experience-api-version");

/// What `/xapi` names in the answer to a request that named no version, or none that there is. The
/// specification leaves it open, and the conformance suites of the two versions each expect their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum UnversionedAnswer {
    /// `0.95`: what a client without the header must be taken for (Communication 3.3).
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
    /// The version as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            UnversionedAnswer::V095 => "0.95",
            UnversionedAnswer::V103 => "1.0.3",
            UnversionedAnswer::V200 => "2.0.0",
        }
    }
}

/// Whether a path, decoded, is at this door.
pub fn is_xapi(path: &str) -> bool {
    path.strip_prefix("/xapi")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The family of versions that a request's headers ask for (xAPI 1.0.3, Communication 3.3): `1.0`,
/// `1.0.x`, `2.0` or `2.0.x`. `None` for another, for none, and for more than one.
pub fn asked_version(headers: &HeaderMap) -> Option<Version> {
    let mut values = headers.get_all(VERSION_HEADER);
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    family(value.to_str().ok()?.trim())
}

/// The version that the answer to this request names (xAPI 1.0.3, Communication 3.3): the latest of the
/// family that it asked for. `None` outside `/xapi`.
pub fn answered_version(request: &HttpRequest, unversioned: UnversionedAnswer) -> Option<&'static str> {
    let path = request.match_info().as_str();
    if !is_xapi(path) {
        return None;
    }
    Some(match asked_version(request.headers()) {
        Some(Version::V1) => "1.0.3",
        Some(Version::V2) => "2.0.0",
        // The one resource that is served whatever is asked for (Communication 2.8).
        None if path == "/xapi/about" => "2.0.0",
        None => unversioned.as_str(),
    })
}

/// The version that a request names in its header: `1.0`, `1.0.x`, `2.0` or `2.0.x` (xAPI 1.0.3,
/// Communication 3.3). A request without it, or with another, is refused (400).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XapiVersion(Version);

impl XapiVersion {
    /// By which version's rules statements are read.
    pub fn version(self) -> Version {
        self.0
    }

    /// The version of a statement that names none.
    pub fn written(self) -> &'static str {
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
        ready(match asked_version(request.headers()) {
            Some(version) => Ok(Self(version)),
            None => Err(Problem::bad_request(
                "name the version of xAPI that you speak in the header X-Experience-API-Version: 1.0.3 or 2.0.0",
            )),
        })
    }
}

fn family(version: &str) -> Option<Version> {
    let (family, patch) = version.split_at_checked(3)?;
    let patched = patch.is_empty()
        || patch
            .strip_prefix('.')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    match family {
        "1.0" if patched => Some(Version::V1),
        "2.0" if patched => Some(Version::V2),
        _ => None,
    }
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

    /// A request with that header as often as it has values.
    fn request(path: &str, versions: &[&str]) -> HttpRequest {
        let mut request = TestRequest::get().uri(path);
        for version in versions {
            request = request.append_header((VERSION_HEADER, *version));
        }
        request.to_http_request()
    }

    /// Each kind of version that a client may name: whether it is served, and how.
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
    async fn a_request_is_served_by_the_version_that_it_names() {
        for (named, expected) in VERSIONS {
            let request = request("/xapi/statements", named);
            let version = XapiVersion::extract(&request).await;
            assert_eq!(version.map(XapiVersion::version).ok(), expected, "{named:?}");
            let answered = answered_version(&request, UnversionedAnswer::V095);
            let latest = match expected {
                Some(Version::V1) => "1.0.3",
                Some(Version::V2) => "2.0.0",
                None => "0.95",
            };
            assert_eq!(answered, Some(latest), "{named:?}");
        }
    }

    #[test]
    fn an_answer_names_a_version_wherever_it_comes_from() {
        let answered = |path: &str, unversioned| answered_version(&request(path, &[]), unversioned);
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
