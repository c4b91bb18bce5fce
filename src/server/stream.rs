//! The stream of a connection, with a deadline for each phase.
//!
//! The HTTP library has deadlines for the first head of a connection and for idle connections. This stream is below the
//! library and has a deadline for every wait for the client: each head, the rest of a refused body, and each answer.
//! When a deadline for reading passes, the library reads an end of the stream and closes the connection. When a
//! deadline for writing passes, the library gets an error and drops the connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::address_limit::AddressPermit;
use super::deadlines::Deadlines;
use super::phase::{Phase, Waiting};
use crate::http::metrics;
use crate::http::problem::{Code, PROBLEM_JSON, Problem};

/// A TCP stream with deadlines.
pub struct DeadlineStream {
    socket: TcpStream,
    deadlines: Deadlines,
    /// The path of the public address, with which the type of a problem begins.
    base_path: Arc<str>,
    phase: Rc<Phase>,
    /// One timer for reading and writing: the server never waits for both.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether bytes were written since the last flush.
    is_unflushed: bool,
    /// Since when the client has read no byte, while there are bytes to write.
    blocked_since: Option<Instant>,
    /// The time for which the client may go on blocking. Bytes that it reads add to it.
    allowance: Duration,
    /// Whether a write has timed out.
    is_abandoned: bool,
    _permit: AddressPermit,
}

impl DeadlineStream {
    /// The stream of a socket.
    pub fn new(socket: TcpStream, deadlines: Deadlines, base_path: Arc<str>, permit: AddressPermit) -> Self {
        ::metrics::gauge!(metrics::OPEN_CONNECTIONS).increment(1.0);
        Self {
            socket,
            deadlines,
            base_path,
            phase: Rc::new(Phase::new(Instant::now())),
            timer: None,
            is_unflushed: false,
            blocked_since: None,
            allowance: full_allowance(&deadlines),
            is_abandoned: false,
            _permit: permit,
        }
    }

    /// The phase, which the requests of the connection share.
    pub fn phase(&self) -> Rc<Phase> {
        Rc::clone(&self.phase)
    }

    /// The address of the other end.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    /// Ready when the deadline has passed.
    fn poll_deadline(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = match &mut self.timer {
            // A timer that ends too early is left alone: most deadlines are moved many times and never pass. It wakes
            // the task of the connection, which is always the same.
            Some(timer) if timer.deadline() <= deadline && !timer.is_elapsed() => return Poll::Pending,
            Some(timer) => {
                timer.as_mut().reset(deadline);
                timer
            }
            None => self.timer.insert(Box::pin(sleep_until(deadline))),
        };
        while timer.as_mut().poll(context).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Ends the wait of a client that was too slow. No answer is being written at this moment.
    fn end_reading(&mut self, waiting: Waiting) {
        if waiting == Waiting::Head {
            // The answer is lost if the socket takes no bytes. The connection closes in any case.
            let answer = slow_head_answer(self.deadlines.head, &self.base_path);
            let _ = self.socket.try_write(&answer);
        }
        tracing::debug!(?waiting, "a client was too slow; its connection is closed");
    }

    fn record_written(&mut self, bytes: usize) {
        self.is_unflushed = true;
        if let Some(since) = self.blocked_since.take() {
            self.allowance = self.allowance.saturating_sub(since.elapsed());
        }
        let rate = self.deadlines.answer_bytes_per_second;
        if rate > 0 {
            let earned = Duration::from_secs_f64(bytes as f64 / f64::from(rate));
            self.allowance = self
                .allowance
                .saturating_add(earned)
                .min(full_allowance(&self.deadlines));
        }
    }

    /// The deadline for the next byte that the client reads.
    fn write_deadline(&mut self) -> Instant {
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        let stall = self.deadlines.answer_stall;
        let has_rate = self.deadlines.answer_bytes_per_second > 0;
        since
            + if has_rate {
                stall.min(self.allowance)
            } else {
                stall
            }
    }
}

fn full_allowance(deadlines: &Deadlines) -> Duration {
    deadlines.answer_stall.saturating_mul(2)
}

/// The answer to a client that sends a head too slowly.
fn slow_head_answer(limit: Duration, base_path: &str) -> Vec<u8> {
    let detail = format!(
        "the headers of the request arrived too slowly; they may take {} seconds",
        limit.as_secs()
    );
    let document = Problem::new(Code::RequestTimeout, detail).to_document(base_path, None);
    let body = serde_json::to_string(&document).unwrap_or_default();
    format!(
        "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: {PROBLEM_JSON}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl AsyncRead for DeadlineStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled = buffer.filled().len();
        match Pin::new(&mut this.socket).poll_read(context, buffer) {
            Poll::Ready(outcome) => {
                let read = &buffer.filled()[filled..];
                if !read.is_empty() {
                    this.phase.record_read(read, Instant::now());
                }
                Poll::Ready(outcome)
            }
            // While the client does not read, the deadline for writing counts.
            Poll::Pending if this.blocked_since.is_some() => Poll::Pending,
            Poll::Pending => {
                let Some((deadline, waiting)) = this.phase.read_deadline(&this.deadlines) else {
                    return Poll::Pending;
                };
                ready!(this.poll_deadline(deadline, context));
                this.end_reading(waiting);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for DeadlineStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.socket).poll_write(context, buffer) {
            Poll::Ready(Ok(bytes)) => {
                this.record_written(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let deadline = this.write_deadline();
                ready!(this.poll_deadline(deadline, context));
                this.is_abandoned = true;
                tracing::debug!("a client read its answer too slowly; its connection is closed");
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_unflushed {
            this.is_unflushed = false;
            this.phase.restart(Instant::now());
        }
        // The library reads only after something has woken it. After an answer, that is the deadline of the client.
        if let Some((deadline, _)) = this.phase.read_deadline(&this.deadlines)
            && this.poll_deadline(deadline, context).is_ready()
        {
            context.waker().wake_by_ref();
        }
        Pin::new(&mut this.socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

impl Drop for DeadlineStream {
    fn drop(&mut self) {
        ::metrics::gauge!(metrics::OPEN_CONNECTIONS).decrement(1.0);
        if self.is_abandoned || self.phase.is_broken() {
            // The connection ends with a reset. So the system drops the bytes that were not sent, and a client of
            // HTTP/1.0 does not take the end of the connection for the end of the answer.
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}
