//! Exports of the log: CSV for people and NDJSON for programs.
//!
//! [`csv()`] and [`ndjson()`] take a [`Scoped`] filter and return [`Blocks`], a stream of blocks of about 64 KiB.
//! [`progress_csv`] does the same for the progress of people with one content.
//!
//! | file | content |
//! | --- | --- |
//! | [`columns`] | the columns of the CSV, as a table |
//! | `headings` | the headings of custom fields, which are unique |
//! | [`cell`] | writing and escaping one cell |
//! | [`mod@csv`] | lines of CSV; the cells of a person, a content and a verb are rendered once and then copied |
//! | [`mod@ndjson`] | lines of NDJSON |
//! | [`progress`] | lines of CSV for people and their progress |
//!
//! All exports have these properties:
//! - The memory does not grow with the number of rows, because reading the database waits for the client.
//! - An error before the first block is returned instead of a stream. A later error is an item of the stream, also if
//!   the task that writes the export panics. A stream that ends without an error is complete.
//! - An export is stopped if the client reads nothing for [`STALLED`], so that it does not occupy a database connection.

pub mod cell;
pub mod columns;
pub mod csv;
mod headings;
pub mod ndjson;
pub mod progress;

use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

pub use columns::ColumnSet;
pub use csv::CsvOptions;
pub use progress::ProgressOptions;

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::log::progress::StatusFilter;
use crate::log::{Filter, Sort};
use crate::store::{ContentProgress, Detail, Store, StoreError};

/// The size of a block. A block is sent after the line that reaches this size.
const BLOCK_BYTES: usize = 64 * 1024;
/// The additional capacity of a block for its last line, so that the buffer rarely grows.
const LAST_LINE_BYTES: usize = 4 * 1024;
/// The maximum number of complete blocks that wait for the client.
const WAITING_BLOCKS: usize = 2;

/// The time after which an export is stopped if the client reads nothing.
pub const STALLED: Duration = Duration::from_secs(60);

/// The reason why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database returned an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An activity could not be written as JSON.
    #[error("an activity could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The client read nothing for [`STALLED`].
    #[error("the client read nothing for {} seconds", STALLED.as_secs())]
    Stalled,
    /// The task that writes the export ended before the export was complete.
    #[error("the export was interrupted")]
    Interrupted,
}

/// Exports the rows as CSV. The file always has a heading row.
///
/// `now` is the time that relative dates refer to. `permit` is dropped when the database is no longer read. The function
/// must run in a Tokio runtime, because a task writes the lines.
///
/// # Errors
///
/// Any error before the first block is complete.
pub async fn csv(
    store: &Store,
    filter: &Scoped<&Filter>,
    sort: Sort,
    now: Timestamp,
    options: CsvOptions,
    permit: impl Send + 'static,
) -> Result<Blocks, ExportError> {
    let fields = store.custom_fields(filter.org()).await?;
    let lines = csv::Lines::new(store, filter.org(), options, fields);
    let rows = store
        .stream_rows(filter, sort, now, options.columns.detail())
        .await?;
    Blocks::start(rows, lines, permit, STALLED).await
}

/// Exports the rows as NDJSON. Each line is an activity in the JSON format of the log. See [`csv()`].
///
/// # Errors
///
/// Any error before the first block is complete.
pub async fn ndjson(
    store: &Store,
    filter: &Scoped<&Filter>,
    sort: Sort,
    now: Timestamp,
    permit: impl Send + 'static,
) -> Result<Blocks, ExportError> {
    let lines = ndjson::Lines::new(store, filter.org(), now);
    let rows = store.stream_rows(filter, sort, now, Detail::Whole).await?;
    Blocks::start(rows, lines, permit, STALLED).await
}

/// Exports the progress of the people that `filter` selects as CSV. See [`csv()`].
///
/// # Errors
///
/// Any error before the first block is complete.
pub async fn progress_csv(
    store: &Store,
    progress: ContentProgress,
    filter: StatusFilter,
    options: ProgressOptions,
    permit: impl Send + 'static,
) -> Result<Blocks, ExportError> {
    let fields = store.custom_fields(progress.org()).await?;
    let lines = progress::Lines::new(progress.content(), options, fields);
    Blocks::start(progress.stream_people(filter), lines, permit, STALLED).await
}

/// A writer that converts rows to lines.
trait WriteLines: Send + 'static {
    /// The type of a row: a row of the log, or the progress of a person.
    type Item: Send + Sync + 'static;

    /// Writes the bytes before the first line.
    fn write_heading(&mut self, out: &mut Vec<u8>);

    /// Loads the data that the lines of these rows need.
    fn load(&mut self, rows: &[Self::Item]) -> impl Future<Output = Result<(), ExportError>> + Send;

    /// Writes the line of a row. [`WriteLines::load`] was called with this row before.
    fn write_line(&mut self, row: &Self::Item, out: &mut Vec<u8>) -> Result<(), ExportError>;
}

/// A message from the writer task to the stream.
#[derive(Debug)]
enum Message {
    Block(Vec<u8>),
    Failed(ExportError),
    End,
}

/// A stream of the blocks of an export. It ends without an error only if the writer task sent `Message::End`.
#[derive(Debug)]
pub struct Blocks {
    /// The first message, which was received before the stream was created.
    first: Option<Message>,
    rest: mpsc::Receiver<Message>,
    ended: bool,
    /// The counter of the writer task.
    rows: Arc<AtomicU64>,
}

impl Blocks {
    /// The number of rows that were written so far, without the heading. After the end of the stream it is the total.
    pub fn written_rows(&self) -> u64 {
        self.rows.load(Ordering::Acquire)
    }

    /// Starts the writer task and waits for its first message, so that an early error is returned here.
    async fn start<L: WriteLines>(
        rows: impl Stream<Item = Result<Vec<L::Item>, StoreError>> + Send + 'static,
        lines: L,
        permit: impl Send + 'static,
        stalled: Duration,
    ) -> Result<Self, ExportError> {
        let (send, mut rest) = mpsc::channel(WAITING_BLOCKS);
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        tokio::spawn(async move {
            let last = match write_blocks(rows, lines, &send, stalled, &counter).await {
                Ok(()) => Message::End,
                Err(error) => Message::Failed(error),
            };
            drop(permit); // the database is no longer read, even if the client still reads slowly
            let _ = send.send(last).await; // an error means that the stream was dropped
        });
        match rest.recv().await {
            Some(Message::Failed(error)) => Err(error),
            Some(first) => Ok(Self {
                first: Some(first),
                rest,
                ended: false,
                rows: count,
            }),
            None => Err(ExportError::Interrupted),
        }
    }
}

/// Writes all rows. Stops early without an error if the stream was dropped.
async fn write_blocks<L: WriteLines>(
    rows: impl Stream<Item = Result<Vec<L::Item>, StoreError>> + Send,
    mut lines: L,
    send: &mpsc::Sender<Message>,
    stalled: Duration,
    written: &AtomicU64,
) -> Result<(), ExportError> {
    let mut rows = pin!(rows);
    let mut block = Vec::with_capacity(BLOCK_BYTES + LAST_LINE_BYTES);
    lines.write_heading(&mut block);
    while let Some(chunk) = rows.next().await {
        let chunk = chunk?;
        lines.load(&chunk).await?;
        for row in &chunk {
            lines.write_line(row, &mut block)?;
            written.fetch_add(1, Ordering::Release);
            if block.len() >= BLOCK_BYTES {
                let full = mem::replace(&mut block, Vec::with_capacity(BLOCK_BYTES + LAST_LINE_BYTES));
                if !send_block(full, send, stalled).await? {
                    return Ok(());
                }
            }
        }
    }
    if !block.is_empty() {
        send_block(block, send, stalled).await?;
    }
    Ok(())
}

/// Sends a block. Returns false if the stream was dropped.
async fn send_block(
    block: Vec<u8>,
    send: &mpsc::Sender<Message>,
    stalled: Duration,
) -> Result<bool, ExportError> {
    let sending = send.send(Message::Block(block));
    let sent = tokio::time::timeout(stalled, sending)
        .await
        .map_err(|_| ExportError::Stalled)?;
    Ok(sent.is_ok())
}

impl Stream for Blocks {
    type Item = Result<Vec<u8>, ExportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let message = match self.first.take() {
            Some(first) => Some(first),
            None => ready!(self.rest.poll_recv(context)),
        };
        self.ended = !matches!(message, Some(Message::Block(_)));
        Poll::Ready(match message {
            Some(Message::Block(block)) => Some(Ok(block)),
            Some(Message::End) => None,
            Some(Message::Failed(error)) => Some(Err(error)),
            // The task panicked, or its runtime ended. The export must not look complete.
            None => Some(Err(ExportError::Interrupted)),
        })
    }
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;

    use super::*;
    use crate::log::Row;

    /// Writes lines of 100 bytes, each with the next number.
    struct Numbers {
        next: u32,
        panics_at: Option<u32>,
    }

    impl WriteLines for Numbers {
        type Item = Row;

        fn write_heading(&mut self, out: &mut Vec<u8>) {
            out.extend_from_slice(b"n\n");
        }

        async fn load(&mut self, _: &[Row]) -> Result<(), ExportError> {
            Ok(())
        }

        fn write_line(&mut self, _: &Row, out: &mut Vec<u8>) -> Result<(), ExportError> {
            assert_ne!(Some(self.next), self.panics_at, "the test requests a panic");
            out.extend_from_slice(format!("{:099}\n", self.next).as_bytes());
            self.next += 1;
            Ok(())
        }
    }

    fn numbers() -> Numbers {
        Numbers {
            next: 0,
            panics_at: None,
        }
    }

    type Chunk = Result<Vec<Row>, StoreError>;

    fn chunk(rows: usize) -> Chunk {
        Ok((0..rows).map(|_| testing::row()).collect())
    }

    async fn start(
        rows: impl Stream<Item = Chunk> + Send + 'static,
        lines: Numbers,
        permit: impl Send + 'static,
    ) -> Result<Blocks, ExportError> {
        Blocks::start(rows, lines, permit, Duration::from_millis(50)).await
    }

    async fn collect(blocks: Blocks) -> (Vec<u8>, Vec<usize>, Option<ExportError>) {
        let (mut bytes, mut sizes, mut failure) = (Vec::new(), Vec::new(), None);
        let mut blocks = pin!(blocks);
        while let Some(block) = blocks.next().await {
            match block {
                Ok(block) => {
                    sizes.push(block.len());
                    bytes.extend(block);
                }
                Err(error) => failure = Some(error),
            }
        }
        (bytes, sizes, failure)
    }

    #[tokio::test]
    async fn rows_are_written_in_full_blocks() {
        let rows = stream::iter([chunk(512), chunk(512), chunk(512), chunk(7)]);
        let (bytes, sizes, failure) = collect(start(rows, numbers(), ()).await.unwrap()).await;
        assert!(failure.is_none());
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1 + 1543);
        assert_eq!(text.lines().last(), Some(format!("{:099}", 1542).as_str()));
        let (last, full) = sizes.split_last().unwrap();
        assert_eq!(full.len(), 2);
        assert!(
            full.iter()
                .all(|size| (BLOCK_BYTES..BLOCK_BYTES + 100).contains(size))
                && *last < BLOCK_BYTES
        );
    }

    #[tokio::test]
    async fn row_count_excludes_the_heading() {
        for chunks in [vec![], vec![chunk(7)], vec![chunk(512), chunk(512), chunk(1)]] {
            let rows: usize = chunks.iter().flatten().map(Vec::len).sum();
            let mut blocks = start(stream::iter(chunks), numbers(), ()).await.unwrap();
            while let Some(block) = blocks.next().await {
                block.unwrap();
            }
            assert_eq!(blocks.written_rows(), rows as u64);
        }
    }

    #[tokio::test]
    async fn export_without_rows_has_the_heading() {
        let rows = stream::iter(Vec::<Chunk>::new());
        let (bytes, _, failure) = collect(start(rows, numbers(), ()).await.unwrap()).await;
        assert_eq!((bytes.as_slice(), failure.is_none()), (b"n\n".as_slice(), true));
    }

    #[tokio::test]
    async fn error_before_the_first_block_is_returned() {
        let rows = stream::iter([chunk(10), Err(StoreError::Closed)]);
        let failure = start(rows, numbers(), ()).await.unwrap_err();
        assert!(matches!(failure, ExportError::Store(StoreError::Closed)));
    }

    #[tokio::test]
    async fn later_error_is_an_item_of_the_stream() {
        let rows = stream::iter([chunk(2_000), Err(StoreError::Closed), chunk(10)]);
        let (bytes, _, failure) = collect(start(rows, numbers(), ()).await.unwrap()).await;
        assert!(matches!(failure, Some(ExportError::Store(StoreError::Closed))));
        assert!(!bytes.is_empty() && bytes.len() < 200_000);
    }

    #[tokio::test]
    async fn panic_of_the_writer_is_an_error_in_the_stream() {
        let lines = Numbers {
            next: 0,
            panics_at: Some(1_500),
        };
        let rows = stream::iter([chunk(2_000)]);
        let (_, _, failure) = collect(start(rows, lines, ()).await.unwrap()).await;
        assert!(matches!(failure, Some(ExportError::Interrupted)));
    }

    #[tokio::test]
    async fn export_stops_if_the_client_reads_nothing() {
        let permit = Arc::new(());
        let rows = stream::iter(std::iter::repeat_with(|| chunk(512)).take(100));
        let blocks = start(rows, numbers(), Arc::clone(&permit)).await.unwrap();
        while Arc::strong_count(&permit) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (_, sizes, failure) = collect(blocks).await;
        assert!(matches!(failure, Some(ExportError::Stalled)));
        assert!(
            sizes.len() <= WAITING_BLOCKS + 1,
            "the writer does not exceed the limit of waiting blocks"
        );
    }

    #[tokio::test]
    async fn dropping_the_stream_stops_the_export() {
        let permit = Arc::new(());
        let rows = stream::iter(std::iter::repeat_with(|| chunk(512)));
        let blocks = start(rows, numbers(), Arc::clone(&permit)).await.unwrap();
        drop(blocks);
        while Arc::strong_count(&permit) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
