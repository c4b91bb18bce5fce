//! The settings of limits on requests.

use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::http::limits::Limits;

/// The limits on requests, each with its own answer (`docs/specification.md#limits`).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// The maximum number of bytes of a body (413)
    #[arg(long, env = "ROLLBOOK_MAX_BODY_BYTES")]
    #[arg(default_value_t = Limits::default().body_bytes, value_name = "BYTES")]
    pub max_body_bytes: usize,

    /// The maximum number of bytes of the content of an attachment (413)
    #[arg(long, env = "ROLLBOOK_MAX_ATTACHMENT_BYTES")]
    #[arg(default_value_t = Limits::default().attachment_bytes, value_name = "BYTES")]
    pub max_attachment_bytes: u64,

    /// The maximum number of bytes of a state, agent profile or activity profile document (413)
    #[arg(long, env = "ROLLBOOK_MAX_DOCUMENT_BYTES")]
    #[arg(default_value_t = Limits::default().document_bytes, value_name = "BYTES")]
    pub max_document_bytes: u64,

    /// The maximum number of bytes of a course package, a ZIP file with a `cmi5.xml` (413)
    ///
    /// The package is in a temporary file while it is read. Its other files are not stored.
    #[arg(long, env = "ROLLBOOK_MAX_COURSE_PACKAGE_BYTES")]
    #[arg(default_value_t = Limits::default().course_package_bytes, value_name = "BYTES")]
    pub max_course_package_bytes: u64,

    /// The maximum number of bytes of a commit of a SCORM player (413)
    ///
    /// The state of each attempt is about as large as its last commit.
    #[arg(long, env = "ROLLBOOK_MAX_SCORM_COMMIT_BYTES")]
    #[arg(default_value_t = Limits::default().scorm_commit_bytes, value_name = "BYTES")]
    pub max_scorm_commit_bytes: usize,

    /// The maximum number of elements of a batch (413)
    #[arg(long, env = "ROLLBOOK_MAX_BATCH", default_value_t = Limits::default().batch, value_name = "NUMBER")]
    pub max_batch: usize,

    /// The maximum number of levels of JSON objects and arrays in a body (400), up to 256
    #[arg(long, env = "ROLLBOOK_MAX_JSON_DEPTH")]
    #[arg(default_value_t = Limits::default().json_depth, value_name = "LEVELS")]
    pub max_json_depth: usize,

    /// The maximum number of members of a group, and of context agents or context groups, in a statement (400)
    #[arg(long, env = "ROLLBOOK_MAX_GROUP_MEMBERS")]
    #[arg(default_value_t = Limits::default().group_members, value_name = "NUMBER")]
    pub max_group_members: usize,

    /// The maximum number of activities in each list of a statement's context (400)
    #[arg(long, env = "ROLLBOOK_MAX_CONTEXT_ACTIVITIES")]
    #[arg(default_value_t = Limits::default().context_activities, value_name = "NUMBER")]
    pub max_context_activities: usize,

    /// The maximum number of attachments that a statement declares (400)
    #[arg(long, env = "ROLLBOOK_MAX_ATTACHMENTS")]
    #[arg(default_value_t = Limits::default().attachments, value_name = "NUMBER")]
    pub max_attachments: usize,

    /// The maximum number of bytes of a request's path and query (414)
    #[arg(long, env = "ROLLBOOK_MAX_URI_BYTES")]
    #[arg(default_value_t = Limits::default().uri_bytes, value_name = "BYTES")]
    pub max_uri_bytes: usize,

    /// The maximum number of bytes of a request's headers (431)
    #[arg(long, env = "ROLLBOOK_MAX_HEADER_BYTES")]
    #[arg(default_value_t = Limits::default().header_bytes, value_name = "BYTES")]
    pub max_header_bytes: usize,

    /// The maximum number of rows of a page (400)
    #[arg(long, env = "ROLLBOOK_MAX_PAGE", default_value_t = Limits::default().page_max, value_name = "ROWS")]
    pub max_page: usize,

    /// The maximum number of bytes of the rows of a page; the next page has the rest
    ///
    /// A page has at least one row, even if the row is larger.
    #[arg(long, env = "ROLLBOOK_MAX_PAGE_BYTES")]
    #[arg(default_value_t = Limits::default().page_bytes, value_name = "BYTES")]
    pub max_page_bytes: usize,

    /// How long a link to an attached file is valid, in seconds (410)
    #[arg(
        long,
        env = "ROLLBOOK_FILE_LINK_SECONDS",
        default_value_t = 86_400,
        value_name = "SECONDS"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub file_link_seconds: u64,

    /// How long a link to an export is valid, in seconds (410)
    #[arg(
        long,
        env = "ROLLBOOK_EXPORT_LINK_SECONDS",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub export_link_seconds: u64,

    /// How many links to exports one caller may have that are neither used nor expired (429)
    #[arg(long, env = "ROLLBOOK_MAX_EXPORT_LINKS_PER_CALLER", value_name = "LINKS")]
    #[arg(default_value_t = Limits::default().export_links_per_caller, value_parser = permits())]
    pub max_export_links_per_caller: usize,

    /// The maximum duration of sending a request's headers, in seconds (408)
    #[arg(
        long,
        env = "ROLLBOOK_HEADER_TIMEOUT",
        default_value_t = 10,
        value_name = "SECONDS"
    )]
    pub header_timeout: u64,

    /// The maximum duration of sending a request's body, in seconds (408)
    #[arg(long, env = "ROLLBOOK_BODY_TIMEOUT")]
    #[arg(default_value_t = Limits::default().body_timeout.as_secs(), value_name = "SECONDS")]
    pub body_timeout: u64,

    /// The number of requests per second that each replica accepts from a caller on average (429); 0 is no limit
    ///
    /// It is off by default, because a good value depends on the number of callers and on the machine.
    #[arg(long, env = "ROLLBOOK_RATE_LIMIT")]
    #[arg(default_value_t = Limits::default().requests_per_second, value_name = "NUMBER")]
    pub rate_limit: u32,

    /// The number of requests that a caller may send at once before the rate applies
    #[arg(long, env = "ROLLBOOK_RATE_BURST")]
    #[arg(default_value_t = Limits::default().burst, value_name = "NUMBER")]
    pub rate_burst: u32,

    /// The number of failed attempts to authenticate per second that each replica answers for one address or key (429)
    ///
    /// Further ones are refused before anything is looked up; 0 is no limit. Behind a proxy, set
    /// `ROLLBOOK_TRUSTED_PROXIES`.
    #[arg(long, env = "ROLLBOOK_REFUSALS_PER_SECOND", value_name = "NUMBER")]
    #[arg(default_value_t = Limits::default().refusals_per_second)]
    pub refusals_per_second: u32,

    /// The number of failed attempts to authenticate that an address or key may make at once before the rate applies
    #[arg(long, env = "ROLLBOOK_REFUSAL_BURST", value_name = "NUMBER")]
    #[arg(default_value_t = Limits::default().refusal_burst)]
    pub refusal_burst: u32,

    /// The maximum number of exports that read the database at the same time (503)
    ///
    /// Each of them holds one connection to the database, and sometimes needs a second one.
    #[arg(long, env = "ROLLBOOK_MAX_CONCURRENT_EXPORTS", value_name = "EXPORTS")]
    #[arg(default_value_t = Limits::default().concurrent_exports, value_parser = permits())]
    pub max_concurrent_exports: usize,

    /// The maximum number of downloads by link that read the database at the same time (503)
    #[arg(long, env = "ROLLBOOK_MAX_CONCURRENT_DOWNLOADS", value_name = "DOWNLOADS")]
    #[arg(default_value_t = Limits::default().concurrent_downloads, value_parser = permits())]
    pub max_concurrent_downloads: usize,

    /// The maximum number of summaries, facets and counts of progress that a server computes at the same time (503)
    #[arg(long, env = "ROLLBOOK_MAX_CONCURRENT_COUNTS", value_name = "REQUESTS")]
    #[arg(default_value_t = Limits::default().concurrent_counts, value_parser = permits())]
    pub max_concurrent_counts: usize,

    /// How many of the permits of each of the three limits above one caller may hold (503)
    ///
    /// An organisation holds all but one at most, and a caller all but one of its organisation. A link is a caller.
    #[arg(long, env = "ROLLBOOK_MAX_CONCURRENT_PER_CALLER", value_name = "REQUESTS")]
    #[arg(default_value_t = Limits::default().concurrent_per_caller, value_parser = permits())]
    pub max_concurrent_per_caller: usize,

    /// The maximum number of exports, and of downloads, that clients have not read to their end (503)
    #[arg(long, env = "ROLLBOOK_MAX_OPEN_EXPORTS", value_name = "EXPORTS")]
    #[arg(default_value_t = Limits::default().open_exports, value_parser = permits())]
    pub max_open_exports: usize,

    /// How many open exports, and open downloads, one caller may have (503)
    #[arg(long, env = "ROLLBOOK_MAX_OPEN_EXPORTS_PER_CALLER", value_name = "EXPORTS")]
    #[arg(default_value_t = Limits::default().open_exports_per_caller, value_parser = permits())]
    pub max_open_exports_per_caller: usize,

    /// The maximum number of requests for changes that wait for one at the same time (503)
    ///
    /// One organisation may have half of them. A waiting request holds no connection to the database.
    #[arg(long, env = "ROLLBOOK_MAX_WAITING_FEEDS", value_name = "REQUESTS")]
    #[arg(default_value_t = Limits::default().waiting_feeds)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    pub max_waiting_feeds: usize,

    /// How many waiting requests for changes one caller may have (503)
    #[arg(long, env = "ROLLBOOK_MAX_WAITING_FEEDS_PER_CALLER", value_name = "REQUESTS")]
    #[arg(default_value_t = Limits::default().waiting_feeds_per_caller, value_parser = permits())]
    pub max_waiting_feeds_per_caller: usize,

    /// The maximum number of bytes of all temporary files of exports whose clients read slowly
    ///
    /// The files are in the folder that the environment variable `TMPDIR` names, and they are compressed. One caller may use
    /// half of the space. Beyond it, the database waits for the client.
    #[arg(long, env = "ROLLBOOK_MAX_EXPORT_SPOOL_BYTES")]
    #[arg(default_value_t = Limits::default().export_spool_bytes, value_name = "BYTES")]
    pub max_export_spool_bytes: u64,

    /// How long the database waits for the client of an export if the temporary files have no space, in seconds
    ///
    /// Meanwhile the export holds a snapshot of the database. After this time in total it is interrupted.
    #[arg(long, env = "ROLLBOOK_EXPORT_SPACE_WAIT_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = Limits::default().export_space_wait.as_secs(), value_parser = clap::value_parser!(u64).range(0..=600))]
    pub export_space_wait_seconds: u64,

    /// The window in which the client of an export must read a least number of bytes, in seconds
    #[arg(long, env = "ROLLBOOK_EXPORT_WINDOW_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = Limits::default().export_window.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub export_window_seconds: u64,

    /// The least number of bytes of an export that a client must read in each window
    ///
    /// The export of a client that reads less is interrupted.
    #[arg(long, env = "ROLLBOOK_EXPORT_WINDOW_BYTES")]
    #[arg(default_value_t = Limits::default().export_window_bytes, value_name = "BYTES")]
    pub export_window_bytes: u64,

    /// How long an export may take in total before it is interrupted, in seconds
    #[arg(long, env = "ROLLBOOK_EXPORT_DEADLINE_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = Limits::default().export_deadline.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub export_deadline_seconds: u64,

    /// How long a request waits for one of these limits before it is answered with 503, in seconds
    #[arg(long, env = "ROLLBOOK_CONCURRENCY_WAIT_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = Limits::default().concurrency_wait.as_secs(), value_parser = clap::value_parser!(u64).range(1..=300))]
    pub concurrency_wait_seconds: u64,
}

/// Parses a concurrency limit: 1 to 1000.
fn permits() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1000)
}

impl LimitArgs {
    /// The limits.
    pub fn limits(&self) -> Limits {
        Limits {
            body_bytes: self.max_body_bytes,
            attachment_bytes: self.max_attachment_bytes,
            document_bytes: self.max_document_bytes,
            course_package_bytes: self.max_course_package_bytes,
            scorm_commit_bytes: self.max_scorm_commit_bytes,
            batch: self.max_batch,
            json_depth: self.max_json_depth,
            group_members: self.max_group_members,
            context_activities: self.max_context_activities,
            attachments: self.max_attachments,
            uri_bytes: self.max_uri_bytes,
            header_bytes: self.max_header_bytes,
            page_default: Limits::default().page_default.min(self.max_page),
            page_max: self.max_page,
            page_bytes: self.max_page_bytes,
            page_search: Limits::default().page_search,
            file_link: Duration::from_secs(self.file_link_seconds),
            export_link: Duration::from_secs(self.export_link_seconds),
            export_links_per_caller: self.max_export_links_per_caller,
            body_timeout: Duration::from_secs(self.body_timeout),
            requests_per_second: self.rate_limit,
            burst: self.rate_burst,
            refusals_per_second: self.refusals_per_second,
            refusal_burst: self.refusal_burst,
            concurrent_exports: self.max_concurrent_exports,
            concurrent_downloads: self.max_concurrent_downloads,
            concurrent_counts: self.max_concurrent_counts,
            concurrent_per_caller: self.max_concurrent_per_caller,
            concurrency_wait: Duration::from_secs(self.concurrency_wait_seconds),
            open_exports: self.max_open_exports,
            open_exports_per_caller: self.max_open_exports_per_caller,
            waiting_feeds: self.max_waiting_feeds,
            waiting_feeds_per_caller: self.max_waiting_feeds_per_caller,
            export_spool_bytes: self.max_export_spool_bytes,
            export_space_wait: Duration::from_secs(self.export_space_wait_seconds),
            export_window: Duration::from_secs(self.export_window_seconds),
            export_window_bytes: self.export_window_bytes,
            export_deadline: Duration::from_secs(self.export_deadline_seconds),
        }
    }
}
