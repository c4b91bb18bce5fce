//! The settings of live streams.

use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::live::LiveOptions;

/// The limits and times of live streams (`docs/specification.md#live-stream`).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Live streams")]
pub struct StreamArgs {
    /// The maximum number of open streams (503)
    ///
    /// Each of them holds a connection. Lower it together with the limit on connections.
    #[arg(long, env = "ROLLBOOK_MAX_STREAMS", value_name = "STREAMS")]
    #[arg(default_value_t = LiveOptions::default().streams, value_parser = streams())]
    pub max_streams: usize,

    /// The maximum number of open streams of an organisation (503)
    #[arg(long, env = "ROLLBOOK_MAX_STREAMS_PER_ORGANISATION", value_name = "STREAMS")]
    #[arg(default_value_t = LiveOptions::default().streams_per_organisation, value_parser = streams())]
    pub max_streams_per_organisation: usize,

    /// The maximum number of open streams of a caller (429)
    ///
    /// A credential is one caller. Lower it if all streams are those of people.
    #[arg(long, env = "ROLLBOOK_MAX_STREAMS_PER_CALLER", value_name = "STREAMS")]
    #[arg(default_value_t = LiveOptions::default().streams_per_caller, value_parser = streams())]
    pub max_streams_per_caller: usize,

    /// The maximum number of queries that streams run at the same time, and likewise replays
    ///
    /// Each of them holds one connection to the database. One caller runs one replay at a time.
    #[arg(long, env = "ROLLBOOK_MAX_CONCURRENT_STREAM_QUERIES", value_name = "QUERIES")]
    #[arg(default_value_t = LiveOptions::default().queries, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100))]
    pub max_concurrent_stream_queries: usize,

    /// The maximum number of bytes of events that wait for the client of a stream
    ///
    /// Further events are read from the database again when the client has read these. A single event may be larger.
    #[arg(long, env = "ROLLBOOK_STREAM_BUFFER_BYTES", value_name = "BYTES")]
    #[arg(default_value_t = LiveOptions::default().buffer_bytes)]
    pub stream_buffer_bytes: usize,

    /// The number of the organisation's latest activities among which a stream replays what a client has missed
    ///
    /// A client that has missed more gets the event `reset`.
    #[arg(long, env = "ROLLBOOK_STREAM_REPLAY_RECORDS", value_name = "ACTIVITIES")]
    #[arg(default_value_t = LiveOptions::default().replay_records)]
    pub stream_replay_records: u32,

    /// The time without an event after which a stream sends a comment, in seconds
    ///
    /// It must be shorter than the time after which proxies close an idle connection.
    #[arg(long, env = "ROLLBOOK_STREAM_HEARTBEAT_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = LiveOptions::default().heartbeat.as_secs(), value_parser = clap::value_parser!(u64).range(1..=600))]
    pub stream_heartbeat_seconds: u64,

    /// The time after which the rights of a stream's caller are read again, in seconds
    #[arg(long, env = "ROLLBOOK_STREAM_RECHECK_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = LiveOptions::default().recheck.as_secs(), value_parser = clap::value_parser!(u64).range(1..=55))]
    pub stream_recheck_seconds: u64,

    /// The time that clients wait before they connect again, in milliseconds
    #[arg(long, env = "ROLLBOOK_STREAM_RETRY_MILLISECONDS", value_name = "MILLISECONDS")]
    #[arg(default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub stream_retry_milliseconds: u64,
}

/// Parses a number of streams: 1 to 1,000,000.
fn streams() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1_000_000)
}

impl StreamArgs {
    /// The limits and times.
    pub fn options(&self) -> LiveOptions {
        LiveOptions {
            streams: self.max_streams,
            streams_per_organisation: self.max_streams_per_organisation,
            streams_per_caller: self.max_streams_per_caller,
            buffer_bytes: self.stream_buffer_bytes,
            replay_records: self.stream_replay_records,
            heartbeat: Duration::from_secs(self.stream_heartbeat_seconds),
            recheck: Duration::from_secs(self.stream_recheck_seconds),
            retry: Duration::from_millis(self.stream_retry_milliseconds),
            queries: self.max_concurrent_stream_queries,
        }
    }
}
