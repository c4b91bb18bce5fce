//! The limits on what clients send. Each limit has its own status; `docs/specification.md#limits` lists all of them.
//!
//! [`super::body`] reads bodies within these limits, [`super::rate_limit`] and [`super::concurrency_limit`] count
//! requests.

use std::time::Duration;

use actix_web::dev::ServiceRequest;

use super::problem::{Code, Problem};
use crate::record;

/// The limits of a server. Each has a setting (`docs/settings.md`) unless its comment says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Bytes of one body.
    pub body_bytes: usize,
    /// Bytes of one attachment.
    pub attachment_bytes: u64,
    /// Bytes of one document: a state, an agent profile or an activity profile.
    pub document_bytes: u64,
    /// Bytes of one course package, which is a ZIP file.
    pub course_package_bytes: u64,
    /// Bytes of one commit of a SCORM player.
    pub scorm_commit_bytes: usize,
    /// Elements of one batch.
    pub batch: usize,
    /// Levels of JSON objects and arrays.
    pub json_depth: usize,
    /// Members of a group; agents and groups that a context relates to.
    pub group_members: usize,
    /// Activities in each list of a context.
    pub context_activities: usize,
    /// Attachments that one statement declares.
    pub attachments: usize,
    /// Bytes of the address with its query.
    pub uri_bytes: usize,
    /// Bytes of all header names and values.
    pub header_bytes: usize,
    /// Rows of a page if the client sends no `limit`. It has no setting.
    pub page_default: usize,
    /// The most rows of a page.
    pub page_max: usize,
    /// The most bytes of the rows of a page. A page always has at least one row.
    pub page_bytes: usize,
    /// The time after which a page that looks for answers or attempts with a result ends, and its `next` goes on. It has no
    /// setting.
    pub page_search: Duration,
    /// The time for which a link to an attached file is valid.
    pub file_link: Duration,
    /// The time for which a link to an export is valid.
    pub export_link: Duration,
    /// The links to exports that one caller may have, and that are neither used nor expired.
    pub export_links_per_caller: usize,
    /// The time that a client has to send a whole body.
    pub body_timeout: Duration,
    /// Requests per second that one caller may send to one replica; 0 means no limit.
    pub requests_per_second: u32,
    /// Requests that a caller may send at once before the rate counts.
    pub burst: u32,
    /// Refused attempts to authenticate per second that one address or key may make at one replica; 0 means no limit.
    pub refusals_per_second: u32,
    /// Refused attempts that an address or key may make at once before the rate counts.
    pub refusal_burst: u32,
    /// Exports that the server sends at once.
    pub concurrent_exports: usize,
    /// Downloads by link that the server sends at once.
    pub concurrent_downloads: usize,
    /// Requests for which the server counts rows at once.
    pub concurrent_counts: usize,
    /// How many of the permits of each of the three limits above one caller may hold.
    pub concurrent_per_caller: usize,
    /// The time that a request waits for one of the limits above.
    pub concurrency_wait: Duration,
    /// Exports, and likewise downloads by link, that clients have not read to their end.
    pub open_exports: usize,
    /// How many of them one caller may have.
    pub open_exports_per_caller: usize,
    /// Requests for changes that wait at once.
    pub waiting_feeds: usize,
    /// How many of them one caller may have.
    pub waiting_feeds_per_caller: usize,
    /// Bytes of all temporary files of exports whose clients read slowly.
    pub export_spool_bytes: u64,
    /// How long the database waits for the client of an export if these files have no space.
    pub export_space_wait: Duration,
    /// The time in which the client of an export must read `export_window_bytes`.
    pub export_window: Duration,
    /// The least bytes of an export that a client must read in each window.
    pub export_window_bytes: u64,
    /// The time after which an export is ended.
    pub export_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let statement = record::Limits::default();
        Self {
            body_bytes: 10 * 1024 * 1024,
            attachment_bytes: 64 * 1024 * 1024,
            document_bytes: 64 * 1024 * 1024,
            course_package_bytes: 512 * 1024 * 1024,
            scorm_commit_bytes: 1024 * 1024,
            batch: 1000,
            json_depth: 64,
            group_members: statement.group_members,
            context_activities: statement.context_activities,
            attachments: statement.attachments,
            uri_bytes: 32 * 1024,
            header_bytes: 48 * 1024,
            page_default: 50,
            page_max: 1000,
            page_bytes: 8 * 1024 * 1024,
            page_search: Duration::from_secs(5),
            file_link: Duration::from_secs(86_400),
            export_link: Duration::from_secs(60),
            export_links_per_caller: 20,
            body_timeout: Duration::from_secs(30),
            requests_per_second: 0,
            burst: 100,
            refusals_per_second: 10,
            refusal_burst: 100,
            concurrent_exports: 4,
            concurrent_downloads: 3,
            concurrent_counts: 3,
            concurrent_per_caller: 2,
            concurrency_wait: Duration::from_secs(10),
            open_exports: 64,
            open_exports_per_caller: 8,
            waiting_feeds: 1024,
            waiting_feeds_per_caller: 16,
            export_spool_bytes: 4 * 1024 * 1024 * 1024,
            export_space_wait: Duration::from_secs(60),
            export_window: Duration::from_secs(30),
            export_window_bytes: 64 * 1024,
            export_deadline: Duration::from_secs(3600),
        }
    }
}

impl Limits {
    /// The limits of one statement (xAPI 1.0.3, Data 2.2 and 2.4).
    pub fn statement(&self) -> record::Limits {
        record::Limits {
            depth: self.json_depth,
            batch: self.batch,
            group_members: self.group_members,
            context_activities: self.context_activities,
            attachments: self.attachments,
        }
    }

    /// Refuses an address (414) or headers (431) over their limits.
    pub fn check_head(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let bytes = request
            .uri()
            .path_and_query()
            .map_or(0, |text| text.as_str().len());
        if bytes > self.uri_bytes {
            let limit = self.uri_bytes;
            let detail = format!("the address has {bytes} bytes; the limit is {limit}");
            return Err(Problem::new(Code::UriTooLong, detail));
        }
        let bytes: usize = request
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if bytes > self.header_bytes {
            let limit = self.header_bytes;
            let detail = format!("the headers have {bytes} bytes; the limit is {limit}");
            return Err(Problem::new(Code::HeadersTooLarge, detail));
        }
        Ok(())
    }

    /// Refuses (413) a batch with more elements than the limit.
    pub fn check_batch(&self, elements: usize) -> Result<(), Problem> {
        if elements <= self.batch {
            return Ok(());
        }
        let limit = self.batch;
        let detail = format!("the batch has {elements} elements; the limit is {limit}; send several batches");
        Err(Problem::new(Code::BatchTooLong, detail))
    }

    /// Refuses (413) a body that is a JSON array with more elements than a batch may have. Every other body is
    /// accepted, also one that is not JSON.
    pub fn check_array(&self, body: &[u8]) -> Result<(), Problem> {
        // `IgnoredAny` has no size, so that the list takes no memory.
        let elements: Vec<serde::de::IgnoredAny> = serde_json::from_slice(body).unwrap_or_default();
        self.check_batch(elements.len())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn long_arrays_are_refused_and_other_bodies_accepted() {
        let limits = Limits {
            batch: 2,
            ..Limits::default()
        };
        for good in [
            "[]",
            "[1,{}]",
            "[[1,2,3]]",
            "{\"a\":[1,2,3]}",
            "1",
            "",
            "[1,2,3",
            "[1,2,]",
        ] {
            assert!(limits.check_array(good.as_bytes()).is_ok(), "{good}");
        }
        for long in ["[1,2,3]", " [{}, [] ,\"\\u0000\"] "] {
            let problem = limits.check_array(long.as_bytes()).expect_err(long);
            assert_eq!(problem.code(), Code::BatchTooLong, "{long}");
        }
    }

    #[test]
    fn long_address_is_414_and_long_headers_are_431() {
        let limits = Limits {
            uri_bytes: 10,
            header_bytes: 10,
            ..Limits::default()
        };
        let long_address = TestRequest::get().uri("/0123456789").to_srv_request();
        let problem = limits.check_head(&long_address).expect_err("long address");
        assert_eq!(problem.code(), Code::UriTooLong);
        let long_header = TestRequest::get()
            .uri("/")
            .insert_header(("x-long", "0123456789"))
            .to_srv_request();
        let problem = limits.check_head(&long_header).expect_err("long header");
        assert_eq!(problem.code(), Code::HeadersTooLarge);
    }
}
