//! The events of a stream on their way to its client.
//!
//! A queue has a position: every row up to it was put into the queue or is not for this stream. A hub never waits for a
//! client: if the events do not fit, the stream leaves the hub, and a feeder brings it back at the pace of the client.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

/// The bytes after which the taken events are one piece of the answer. A larger event is a piece alone.
const PIECE_BYTES: usize = 32 * 1024;

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// The client has gone.
    #[error("the client has gone")]
    Left,
    /// The server stops.
    #[error("the server is stopping; connect again")]
    Stopping,
    /// The token of the caller has expired.
    #[error("the token has expired; connect again with a new one")]
    Expired,
    /// The caller has lost the right to read.
    #[error("you may not read this stream any more")]
    Refused,
    /// The rights of the caller could not be read for too long.
    #[error("your rights could not be checked; connect again")]
    Unchecked,
    /// The client reads more slowly than records come.
    #[error("this stream was read too slowly; connect again")]
    Slow,
}

/// What is taken from a queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Events(Bytes),
    End(EndReason),
}

/// The events that wait for the client of one stream.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    max_bytes: usize,
    readable: Notify,
    writable: Notify,
}

#[derive(Debug)]
struct State {
    events: VecDeque<Bytes>,
    bytes: usize,
    position: i64,
    end: Option<EndReason>,
}

impl State {
    /// Whether an event fits. An empty queue takes one of any size.
    fn has_space(&self, event: &Bytes, max_bytes: usize) -> bool {
        self.events.is_empty() || self.bytes + event.len() <= max_bytes
    }

    fn push(&mut self, position: i64, event: Bytes) {
        self.bytes += event.len();
        self.events.push_back(event);
        self.position = position;
    }
}

impl Queue {
    /// An empty queue at a position.
    pub(super) fn new(position: i64, max_bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                events: VecDeque::new(),
                bytes: 0,
                position,
                end: None,
            }),
            max_bytes,
            readable: Notify::new(),
            writable: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, so the state is never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position up to which every row was put into the queue.
    pub(super) fn position(&self) -> i64 {
        self.lock().position
    }

    /// The position up to which the client has taken every row, if no event waits.
    pub(super) fn taken_through(&self) -> Option<i64> {
        let state = self.lock();
        state.events.is_empty().then_some(state.position)
    }

    /// Whether the stream has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Adds the event of the row at `position`. Returns false if it does not fit.
    pub(super) fn push(&self, position: i64, event: Bytes) -> bool {
        let mut state = self.lock();
        if state.end.is_some() {
            return true; // nobody reads it
        }
        if !state.has_space(&event, self.max_bytes) {
            return false;
        }
        state.push(position, event);
        drop(state);
        self.readable.notify_one();
        true
    }

    /// Adds the event of the row at `position` when the client has made space for it. Returns false if the stream has
    /// ended.
    pub(super) async fn push_when_possible(&self, position: i64, event: &Bytes) -> bool {
        loop {
            let taken = self.writable.notified();
            {
                let mut state = self.lock();
                if state.end.is_some() {
                    return false;
                }
                if state.has_space(event, self.max_bytes) {
                    state.push(position, event.clone());
                    drop(state);
                    self.readable.notify_one();
                    return true;
                }
            }
            taken.await;
        }
    }

    /// Notes that every row up to `position` was put into the queue or is not for this stream.
    pub(super) fn advance(&self, position: i64) {
        let mut state = self.lock();
        state.position = state.position.max(position);
    }

    /// Ends the stream. What waits is dropped. An earlier reason stays.
    pub(super) fn end(&self, reason: EndReason) {
        let mut state = self.lock();
        state.end.get_or_insert(reason);
        state.events.clear();
        state.bytes = 0;
        drop(state);
        self.readable.notify_one();
        self.writable.notify_one();
    }

    /// Waits for events and takes them.
    pub(super) async fn take(&self) -> Taken {
        loop {
            let pushed = self.readable.notified();
            if let Some(taken) = self.try_take() {
                return taken;
            }
            pushed.await;
        }
    }

    fn try_take(&self) -> Option<Taken> {
        let mut state = self.lock();
        if let Some(reason) = state.end {
            return Some(Taken::End(reason));
        }
        let first = state.events.pop_front()?;
        let mut bytes = first.len();
        let mut piece = vec![first];
        while let Some(next) = state.events.front()
            && bytes + next.len() <= PIECE_BYTES
        {
            bytes += next.len();
            piece.extend(state.events.pop_front());
        }
        state.bytes -= bytes;
        drop(state);
        self.writable.notify_one();
        Some(Taken::Events(join(piece, bytes)))
    }
}

/// The events as one piece. A single one is not copied.
fn join(mut events: Vec<Bytes>, bytes: usize) -> Bytes {
    if events.len() == 1
        && let Some(event) = events.pop()
    {
        return event;
    }
    let mut piece = BytesMut::with_capacity(bytes);
    for event in &events {
        piece.extend_from_slice(event);
    }
    piece.freeze()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn event(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[tokio::test]
    async fn events_within_the_limit_wait_and_the_position_is_that_of_the_last() {
        let queue = Queue::new(7, 10);
        assert_eq!(queue.taken_through(), Some(7));
        assert!(queue.push(8, event(6)));
        assert!(!queue.push(9, event(6)));
        assert_eq!((queue.position(), queue.taken_through()), (8, None));
        assert_eq!(queue.take().await, Taken::Events(event(6)));
        assert!(
            queue.push(9, event(600)),
            "an empty queue takes an event of any size"
        );
        assert_eq!(queue.take().await, Taken::Events(event(600)));
        queue.advance(12);
        queue.advance(11);
        assert_eq!(queue.taken_through(), Some(12));
    }

    #[tokio::test]
    async fn waiting_events_are_one_piece() {
        let queue = Queue::new(0, 1 << 20);
        for position in 1..=4 {
            assert!(queue.push(position, event(PIECE_BYTES / 3)));
        }
        assert_eq!(queue.take().await, Taken::Events(event(PIECE_BYTES / 3 * 3)));
        assert_eq!(queue.take().await, Taken::Events(event(PIECE_BYTES / 3)));
    }

    #[tokio::test]
    async fn feeder_waits_for_the_client_and_ends_with_it() {
        let queue = Arc::new(Queue::new(0, 10));
        assert!(queue.push(1, event(10)));
        let feeder = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                (
                    queue.push_when_possible(2, &event(10)).await,
                    queue.push_when_possible(3, &event(10)).await,
                )
            }
        });
        assert_eq!(queue.take().await, Taken::Events(event(10)));
        while queue.position() < 2 {
            tokio::task::yield_now().await;
        }
        queue.end(EndReason::Left);
        queue.end(EndReason::Slow);
        assert_eq!(feeder.await.unwrap(), (true, false));
        assert_eq!(queue.take().await, Taken::End(EndReason::Left));
    }
}
