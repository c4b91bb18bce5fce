//! Rows of SQLite without a sleep between them.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};

/// How long the next row is waited for before the task sleeps.
const PATIENCE: Duration = Duration::from_micros(40);
/// The rows after which other tasks of the thread run, if none had to be waited for. Events and timers come after some sixty
/// such turns (tokio's `event_interval`).
const MOST_ROWS: u32 = 64;

/// The rows of a query, which the thread of the connection hands over one by one. To wake a task takes several times as long
/// as to find a row. So the next row is waited for a moment, in which other threads may run, before the task sleeps. The
/// first one is not: it may be waiting for a connection.
pub(super) struct Eager<S> {
    rows: S,
    /// The rows since the task last gave its thread away; `None` before the first row.
    count: Option<u32>,
}

impl<S> Eager<S> {
    pub(super) fn new(rows: S) -> Self {
        Self { rows, count: None }
    }
}

impl<S: Stream + Unpin> Eager<S> {
    /// The next row, if it comes within a moment.
    fn wait_for_next(&mut self) -> Poll<Option<S::Item>> {
        let start = Instant::now();
        // Nobody need be woken as long as this loop runs.
        let mut nobody = Context::from_waker(Waker::noop());
        loop {
            let row = self.rows.poll_next_unpin(&mut nobody);
            if row.is_ready() || start.elapsed() >= PATIENCE {
                return row;
            }
            std::thread::yield_now();
        }
    }
}

impl<S: Stream + Unpin> Stream for Eager<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        if self.count.is_some_and(|count| count >= MOST_ROWS) {
            self.count = Some(0);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut row = match self.count {
            Some(_) => self.wait_for_next(),
            None => Poll::Pending,
        };
        if row.is_pending() {
            row = self.rows.poll_next_unpin(context);
        }
        self.count = match row {
            Poll::Ready(_) => Some(self.count.unwrap_or(0) + 1),
            Poll::Pending => self.count.map(|_| 0),
        };
        row
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn all_rows_arrive_at_any_speed() {
        let (send, mut receive) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for number in 0..200_u64 {
                let pause = [0, 10, 100, 1_000][number as usize % 4];
                std::thread::sleep(Duration::from_micros(pause));
                send.send(number).unwrap();
            }
        });
        let rows = stream::poll_fn(move |context| receive.poll_recv(context));
        let rows: Vec<u64> = Eager::new(rows).collect().await;
        assert_eq!(rows, (0..200).collect::<Vec<u64>>());
    }

    #[test]
    fn other_tasks_run_while_rows_arrive() {
        let mut rows = Eager::new(stream::iter(0..10 * MOST_ROWS));
        let mut context = Context::from_waker(Waker::noop());
        let (mut count, mut pauses) = (0, 0);
        loop {
            match rows.poll_next_unpin(&mut context) {
                Poll::Ready(Some(_)) => count += 1,
                Poll::Ready(None) => break,
                Poll::Pending => pauses += 1,
            }
        }
        assert_eq!((count, pauses), (10 * MOST_ROWS, 10));
    }
}
