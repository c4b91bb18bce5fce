//! Rows of SQLite without a sleep between them.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};

/// How long the next row is waited for before the task sleeps.
const PATIENCE: Duration = Duration::from_micros(40);

/// The rows of a query, which the thread of the connection hands over one by one. To wake a task takes several times as long
/// as to find a row. So the next row is waited for a moment, in which other threads may run, before the task sleeps.
pub(super) struct Eager<S>(pub(super) S);

impl<S: Stream + Unpin> Stream for Eager<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let start = Instant::now();
        // Nobody need be woken as long as this loop runs.
        let mut nobody = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(row) = self.0.poll_next_unpin(&mut nobody) {
                return Poll::Ready(row);
            }
            if start.elapsed() >= PATIENCE {
                return self.0.poll_next_unpin(context);
            }
            std::thread::yield_now();
        }
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
        let rows: Vec<u64> = Eager(rows).collect().await;
        assert_eq!(rows, (0..200).collect::<Vec<u64>>());
    }
}
