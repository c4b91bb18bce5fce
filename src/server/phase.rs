//! What a connection waits for, shared by its stream and its requests.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::deadlines::Deadlines;

/// The phase of a connection. Its stream reports bytes, and its requests report their beginnings and ends.
#[derive(Debug)]
pub struct Phase {
    /// The requests that are worked on or whose answers are being made: at most one in HTTP/1.1.
    open_requests: Cell<usize>,
    /// Whether the latest request has a body.
    has_body: Cell<bool>,
    /// Whether a request was received.
    was_used: Cell<bool>,
    /// Whether the connection closes after the latest answer.
    is_closing: Cell<bool>,
    /// Whether an answer broke off.
    is_broken: Cell<bool>,
    /// When the server began to wait for the client.
    waiting_since: Cell<Instant>,
    /// When the head of the next request began.
    head_began: Cell<Option<Instant>>,
    /// Whether the bytes that were read last end with an empty line, like a head.
    ends_with_empty_line: Cell<bool>,
}

/// What the server waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The rest of a head.
    Head,
    /// The beginning of the next request.
    Request,
    /// The rest of a body that no handler reads.
    Rest,
}

impl Phase {
    /// The phase of a new connection.
    pub fn new(now: Instant) -> Self {
        Self {
            open_requests: Cell::new(0),
            has_body: Cell::new(false),
            was_used: Cell::new(false),
            is_closing: Cell::new(false),
            is_broken: Cell::new(false),
            waiting_since: Cell::new(now),
            head_began: Cell::new(None),
            ends_with_empty_line: Cell::new(false),
        }
    }

    /// Records the beginning of a request, whose head is complete.
    pub fn begin_request(&self, has_body: bool, now: Instant) {
        self.open_requests.set(self.open_requests.get() + 1);
        self.was_used.set(true);
        self.has_body.set(has_body);
        // The bytes after a head without a body belong to the next head.
        let next_began = !has_body && !self.ends_with_empty_line.get();
        self.head_began.set(next_began.then_some(now));
    }

    /// Records the end of an answer.
    pub fn end_request(&self, is_complete: bool, is_closing: bool, now: Instant) {
        self.open_requests.set(self.open_requests.get().saturating_sub(1));
        if !is_complete {
            self.is_broken.set(true);
        }
        if is_closing {
            self.is_closing.set(true);
        }
        self.restart(now);
    }

    /// Begins the time of the client anew, when an answer was passed on completely.
    pub fn restart(&self, now: Instant) {
        self.waiting_since.set(now);
        if self.head_began.get().is_some() {
            self.head_began.set(Some(now));
        }
    }

    /// Records bytes that were read.
    pub fn record_read(&self, bytes: &[u8], now: Instant) {
        self.ends_with_empty_line
            .set(bytes.ends_with(b"\n\r\n") || bytes.ends_with(b"\n\n"));
        let belongs_to_head = self.open_requests.get() == 0 || !self.has_body.get();
        // Some clients send a line break after a body (RFC 9112, section 2.2).
        let is_text = || bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        if belongs_to_head && self.head_began.get().is_none() && is_text() {
            self.head_began.set(Some(now));
        }
    }

    /// The deadline for the next bytes of the client. `None` while the server works on a request.
    pub fn read_deadline(&self, deadlines: &Deadlines) -> Option<(Instant, Waiting)> {
        if self.open_requests.get() > 0 {
            return None;
        }
        let (since, time, waiting): (Instant, Duration, Waiting) = if self.is_closing.get() {
            (self.waiting_since.get(), deadlines.drain, Waiting::Rest)
        } else if let Some(began) = self.head_began.get() {
            (began, deadlines.head, Waiting::Head)
        } else if self.was_used.get() {
            (self.waiting_since.get(), deadlines.idle, Waiting::Request)
        } else {
            (self.waiting_since.get(), deadlines.head, Waiting::Head)
        };
        Some((since + time, waiting))
    }

    /// Whether an answer broke off, so that the client must not take it for a complete one.
    pub fn is_broken(&self) -> bool {
        self.is_broken.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    fn deadline(phase: &Phase, start: Instant) -> Option<(u64, Waiting)> {
        let (deadline, waiting) = phase.read_deadline(&Deadlines::default())?;
        Some((deadline.duration_since(start).as_secs(), waiting))
    }

    #[tokio::test]
    async fn every_head_has_a_deadline_from_its_first_byte() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let phase = Phase::new(start);
        assert_eq!(deadline(&phase, start), Some((10, Waiting::Head)));
        phase.record_read(GET, after(1));
        phase.begin_request(false, after(1));
        assert_eq!(deadline(&phase, start), None);
        phase.end_request(true, false, after(2));
        phase.restart(after(3));
        assert_eq!(deadline(&phase, start), Some((78, Waiting::Request)));
        phase.record_read(b"\r\n", after(10));
        assert_eq!(deadline(&phase, start), Some((78, Waiting::Request)));
        phase.record_read(b"G", after(20));
        assert_eq!(deadline(&phase, start), Some((30, Waiting::Head)));
        phase.record_read(b"E", after(25));
        assert_eq!(deadline(&phase, start), Some((30, Waiting::Head)));
    }

    #[tokio::test]
    async fn head_that_came_with_the_request_before_has_a_deadline_from_the_answer() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let phase = Phase::new(start);
        phase.record_read(b"GET / HTTP/1.1\r\n\r\nGET / HT", start);
        phase.begin_request(false, start);
        phase.end_request(true, false, after(5));
        assert_eq!(deadline(&phase, start), Some((15, Waiting::Head)));

        let phase = Phase::new(start);
        phase.record_read(GET, start);
        phase.begin_request(false, start);
        phase.record_read(b"GET / HT", after(1));
        phase.end_request(true, false, after(5));
        assert_eq!(deadline(&phase, start), Some((15, Waiting::Head)));
    }

    #[tokio::test]
    async fn rest_of_a_refused_body_has_a_deadline_that_its_bytes_do_not_move() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let phase = Phase::new(start);
        phase.record_read(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx",
            start,
        );
        phase.begin_request(true, start);
        phase.end_request(true, true, after(1));
        phase.record_read(b"1\r\nx\r\n", after(3));
        assert_eq!(deadline(&phase, start), Some((6, Waiting::Rest)));
    }
}
