//! The deadlines of a connection. `docs/specification.md#limits` lists them.

use std::time::Duration;

/// The time that a client has for each phase of a connection.
///
/// The body of a request has its own deadline (`http::limits`), because a handler reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For each head of a request, from its first byte. For the first head, from the beginning of the connection.
    pub head: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
    /// For the rest of a request's body, after an answer that closes the connection. It has no setting: it is five
    /// seconds, or the time for a head if that is shorter.
    pub drain: Duration,
    /// Without a byte of the answer being read.
    pub answer_stall: Duration,
    /// The bytes of an answer that the client reads per second on average; 0 is no limit. The average counts over
    /// twice [`Self::answer_stall`].
    pub answer_bytes_per_second: u32,
    /// The most connections from one address; 0 is no limit.
    pub connections_per_address: usize,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            drain: Duration::from_secs(5),
            answer_stall: Duration::from_secs(30),
            answer_bytes_per_second: 4096,
            connections_per_address: 0,
        }
    }
}
