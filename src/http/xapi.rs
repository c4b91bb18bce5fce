//! `/xapi`: the Learning Record Store (xAPI 1.0.3 and 2.0.0; contract section 10), a file for each
//! resource.
//!
//! Here stands what all of them share: the version that an answer names.

use std::future::{Ready, ready};

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::header::HeaderName;
use actix_web::{FromRequest, HttpRequest};

use super::problem::Problem;
use super::routes::resources;
use crate::record::Version;

/// The header that carries the version, both ways (xAPI 1.0.3, Communication 3.3).
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("x-experience-api-version");

/// What `/xapi` names in the answer to a request that named no version, or none that there is. The
/// specification leaves it open, and the conformance suites of the two versions each expect their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Unversioned {
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

impl Unversioned {
    /// The version as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Unversioned::V095 => "0.95",
            Unversioned::V103 => "1.0.3",
            Unversioned::V200 => "2.0.0",
        }
    }
}

/// The version that the answer to this request names: the family that it asked for. `None` outside
/// `/xapi`.
pub fn answered_version(request: &ServiceRequest, unversioned: Unversioned) -> Option<&'static str> {
    let path = request.match_info().as_str();
    if !path
        .strip_prefix("/xapi")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    {
        return None;
    }
    let asked = request
        .headers()
        .get(VERSION_HEADER)
        .and_then(|value| value.to_str().ok());
    Some(match asked.map(str::trim) {
        Some(version) if family(version) == Some(Version::V1) => "1.0.3",
        Some(version) if family(version) == Some(Version::V2) => "2.0.0",
        _ if path == "/xapi/about" => "2.0.0",
        _ => unversioned.as_str(),
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
        let asked = request
            .headers()
            .get(VERSION_HEADER)
            .and_then(|value| value.to_str().ok());
        ready(match asked.map(str::trim).and_then(family) {
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
    statements,
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn an_answer_names_the_family_that_was_asked_for() {
        let answered = |path: &str, version: Option<&str>| {
            let mut request = TestRequest::get().uri(path);
            if let Some(version) = version {
                request = request.insert_header((VERSION_HEADER, version));
            }
            answered_version(&request.to_srv_request(), Unversioned::V095)
        };
        assert_eq!(answered("/xapi/statements", Some("1.0")), Some("1.0.3"));
        assert_eq!(answered("/xapi/statements", Some("1.0.1")), Some("1.0.3"));
        assert_eq!(answered("/xapi/statements", Some("2.0.0")), Some("2.0.0"));
        assert_eq!(answered("/xapi/statements", Some("1.1")), Some("0.95"));
        assert_eq!(answered("/xapi/statements", None), Some("0.95"));
        assert_eq!(answered("/xapi/about", None), Some("2.0.0"));
        assert_eq!(answered("/v1/users", Some("1.0.3")), None);
    }
}
