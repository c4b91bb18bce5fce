//! Rows of the log on their way out: as CSV for people and as NDJSON for programs (product text, section 8).
//!
//! [`csv()`] and [`ndjson()`] take a [`Scoped`] question and give [`Blocks`]: a stream of bytes, some 64 KiB
//! at a time. [`progress_csv`] does so with where people stand with a content. Where to read:
//!
//! | file | holds |
//! | --- | --- |
//! | [`columns`] | the columns of the CSV, as data |
//! | [`cell`] | how one cell is written, quoted and neutralised |
//! | [`mod@csv`] | lines of CSV: the cells of a person, a content and a verb are rendered once and copied |
//! | [`mod@ndjson`] | lines of JSON |
//! | [`progress`] | lines of CSV about people and where they stand |
//!
//! What it promises:
//! - Memory does not grow with the number of rows: the database waits for the client.
//! - What goes wrong before the first block is an error instead of a stream; what goes wrong later is an
//!   error *in* the stream, and so is a writer that vanished. A stream that ends without one is whole.
//! - A client that takes nothing for [`STALLED`] is given up, so that it can't hold on to the database.

pub mod cell;
pub mod columns;
pub mod csv;
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
use crate::log::progress::State;
use crate::log::{Filter, Sort};
use crate::store::{Detail, Progress, Store, StoreError};

/// Bytes after which a block is sent; the line that passes it is still in it.
const BLOCK: usize = 64 * 1024;
/// Room for that line, so that a block rarely has to grow.
const LAST_LINE: usize = 4 * 1024;
/// Blocks that wait for the client at most, beside the one that is being written.
const WAITING: usize = 2;

/// How long a client may take nothing at all before its export is given up.
pub const STALLED: Duration = Duration::from_secs(60);

/// Why an export can't be finished.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An activity can't be written as JSON.
    #[error("an activity can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The client took nothing for [`STALLED`].
    #[error("nothing was taken for {} seconds", STALLED.as_secs())]
    Stalled,
    /// The writer ended without having said that it was done.
    #[error("the export broke off")]
    BrokeOff,
}

/// The rows of the question as CSV, with a heading row even where there are none.
///
/// `now` is the moment at which what is relative to now is resolved. `hold` is kept for as long as the
/// database is read: a permit, for one. Called within a Tokio runtime, on which the lines are written.
///
/// # Errors
///
/// Whatever goes wrong before the first block is there.
pub async fn csv(
    store: &Store,
    question: &Scoped<&Filter>,
    sort: Sort,
    now: Timestamp,
    options: CsvOptions,
    hold: impl Send + 'static,
) -> Result<Blocks, ExportError> {
    let fields = store.custom_fields(question.org()).await?;
    let lines = csv::Lines::new(store, question.org(), options, fields);
    let rows = store.rows(question, sort, now, options.columns.detail()).await?;
    Blocks::start(rows, lines, hold, STALLED).await
}

/// The rows of the question as NDJSON: one activity a line, as the log's JSON has it; see [`csv()`].
///
/// # Errors
///
/// Whatever goes wrong before the first block is there.
pub async fn ndjson(
    store: &Store,
    question: &Scoped<&Filter>,
    sort: Sort,
    now: Timestamp,
    hold: impl Send + 'static,
) -> Result<Blocks, ExportError> {
    let lines = ndjson::Lines::new(store, question.org(), now);
    let rows = store.rows(question, sort, now, Detail::Whole).await?;
    Blocks::start(rows, lines, hold, STALLED).await
}

/// Everybody who is asked for and where they stand as CSV, or those in one of the states where any are named; see
/// [`csv()`].
///
/// # Errors
///
/// Whatever goes wrong before the first block is there.
pub async fn progress_csv(
    store: &Store,
    progress: Progress,
    states: Vec<State>,
    options: ProgressOptions,
    hold: impl Send + 'static,
) -> Result<Blocks, ExportError> {
    let fields = store.custom_fields(progress.org()).await?;
    let lines = progress::Lines::new(progress.content(), options, fields);
    Blocks::start(progress.everybody(states), lines, hold, STALLED).await
}

/// How rows become lines.
trait WriteLines: Send + 'static {
    /// What a row is: one of the log, or a person's standing.
    type Item: Send + Sync + 'static;

    /// What stands before the first line.
    fn begin(&mut self, out: &mut Vec<u8>);

    /// Gets at hand what the lines of these rows need.
    fn load(&mut self, rows: &[Self::Item]) -> impl Future<Output = Result<(), ExportError>> + Send;

    /// Writes the line of a row that was loaded.
    fn line(&mut self, row: &Self::Item, out: &mut Vec<u8>) -> Result<(), ExportError>;
}

/// What the writer tells the reader.
#[derive(Debug)]
enum Piece {
    Block(Vec<u8>),
    Failed(ExportError),
    End,
}

/// An export as it comes: blocks of bytes. It ends well only where the writer said that it was done.
#[derive(Debug)]
pub struct Blocks {
    /// Waited for before the stream was handed out.
    first: Option<Piece>,
    rest: mpsc::Receiver<Piece>,
    ended: bool,
    /// Counted by the writer.
    rows: Arc<AtomicU64>,
}

impl Blocks {
    /// Rows that were written so far, the heading not among them; once the stream has ended, all of them.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Acquire)
    }

    /// Starts writing, and waits for the first block, so that what fails at once fails here.
    async fn start<L: WriteLines>(
        rows: impl Stream<Item = Result<Vec<L::Item>, StoreError>> + Send + 'static,
        lines: L,
        hold: impl Send + 'static,
        stalled: Duration,
    ) -> Result<Self, ExportError> {
        let (send, mut rest) = mpsc::channel(WAITING);
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            let last = match write(rows, lines, &send, stalled, &counted).await {
                Ok(()) => Piece::End,
                Err(error) => Piece::Failed(error),
            };
            drop(hold); // nothing is read any more, however slowly the rest is taken
            let _ = send.send(last).await; // a reader that is gone needs no end
        });
        match rest.recv().await {
            Some(Piece::Failed(error)) => Err(error),
            Some(first) => Ok(Self {
                first: Some(first),
                rest,
                ended: false,
                rows: count,
            }),
            None => Err(ExportError::BrokeOff),
        }
    }
}

/// Writes all rows; ends early, and well, where nobody reads any more.
async fn write<L: WriteLines>(
    rows: impl Stream<Item = Result<Vec<L::Item>, StoreError>> + Send,
    mut lines: L,
    send: &mpsc::Sender<Piece>,
    stalled: Duration,
    written: &AtomicU64,
) -> Result<(), ExportError> {
    let mut rows = pin!(rows);
    let mut block = Vec::with_capacity(BLOCK + LAST_LINE);
    lines.begin(&mut block);
    while let Some(chunk) = rows.next().await {
        let chunk = chunk?;
        lines.load(&chunk).await?;
        for row in &chunk {
            lines.line(row, &mut block)?;
            written.fetch_add(1, Ordering::Release);
            if block.len() >= BLOCK {
                let full = mem::replace(&mut block, Vec::with_capacity(BLOCK + LAST_LINE));
                if !sent(full, send, stalled).await? {
                    return Ok(());
                }
            }
        }
    }
    if !block.is_empty() {
        sent(block, send, stalled).await?;
    }
    Ok(())
}

/// Hands a block over; false where nobody reads any more.
async fn sent(block: Vec<u8>, send: &mpsc::Sender<Piece>, stalled: Duration) -> Result<bool, ExportError> {
    let sending = send.send(Piece::Block(block));
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
        let piece = match self.first.take() {
            Some(first) => Some(first),
            None => ready!(self.rest.poll_recv(context)),
        };
        self.ended = !matches!(piece, Some(Piece::Block(_)));
        Poll::Ready(match piece {
            Some(Piece::Block(block)) => Some(Ok(block)),
            Some(Piece::End) => None,
            Some(Piece::Failed(error)) => Some(Err(error)),
            // Its task panicked or was ended with its runtime: what came so far must not look whole.
            None => Some(Err(ExportError::BrokeOff)),
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

    /// Lines of one size, a number in each.
    struct Numbers {
        next: u32,
        panics_at: Option<u32>,
    }

    impl WriteLines for Numbers {
        type Item = Row;

        fn begin(&mut self, out: &mut Vec<u8>) {
            out.extend_from_slice(b"n\n");
        }

        async fn load(&mut self, _: &[Row]) -> Result<(), ExportError> {
            Ok(())
        }

        fn line(&mut self, _: &Row, out: &mut Vec<u8>) -> Result<(), ExportError> {
            assert_ne!(Some(self.next), self.panics_at, "as the test wants it");
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
        hold: impl Send + 'static,
    ) -> Result<Blocks, ExportError> {
        Blocks::start(rows, lines, hold, Duration::from_millis(50)).await
    }

    async fn all(blocks: Blocks) -> (Vec<u8>, Vec<usize>, Option<ExportError>) {
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
    async fn every_row_is_a_line_in_blocks_of_one_size() {
        let rows = stream::iter([chunk(512), chunk(512), chunk(512), chunk(7)]);
        let (bytes, sizes, failure) = all(start(rows, numbers(), ()).await.unwrap()).await;
        assert!(failure.is_none());
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1 + 1543);
        assert_eq!(text.lines().last(), Some(format!("{:099}", 1542).as_str()));
        let (last, full) = sizes.split_last().unwrap();
        assert_eq!(full.len(), 2);
        assert!(full.iter().all(|size| (BLOCK..BLOCK + 100).contains(size)) && *last < BLOCK);
    }

    #[tokio::test]
    async fn rows_are_counted_without_the_heading() {
        for chunks in [vec![], vec![chunk(7)], vec![chunk(512), chunk(512), chunk(1)]] {
            let rows: usize = chunks.iter().flatten().map(Vec::len).sum();
            let mut blocks = start(stream::iter(chunks), numbers(), ()).await.unwrap();
            while let Some(block) = blocks.next().await {
                block.unwrap();
            }
            assert_eq!(blocks.rows(), rows as u64);
        }
    }

    #[tokio::test]
    async fn without_rows_there_is_what_stands_before_them() {
        let rows = stream::iter(Vec::<Chunk>::new());
        let (bytes, _, failure) = all(start(rows, numbers(), ()).await.unwrap()).await;
        assert_eq!((bytes.as_slice(), failure.is_none()), (b"n\n".as_slice(), true));
    }

    #[tokio::test]
    async fn a_failure_before_the_first_block_is_no_stream() {
        let rows = stream::iter([chunk(10), Err(StoreError::Closed)]);
        let failure = start(rows, numbers(), ()).await.unwrap_err();
        assert!(matches!(failure, ExportError::Store(StoreError::Closed)));
    }

    #[tokio::test]
    async fn a_failure_midway_is_an_error_in_the_stream() {
        let rows = stream::iter([chunk(2_000), Err(StoreError::Closed), chunk(10)]);
        let (bytes, _, failure) = all(start(rows, numbers(), ()).await.unwrap()).await;
        assert!(matches!(failure, Some(ExportError::Store(StoreError::Closed))));
        assert!(!bytes.is_empty() && bytes.len() < 200_000);
    }

    #[tokio::test]
    async fn a_writer_that_vanishes_is_an_error_in_the_stream() {
        let lines = Numbers {
            next: 0,
            panics_at: Some(1_500),
        };
        let rows = stream::iter([chunk(2_000)]);
        let (_, _, failure) = all(start(rows, lines, ()).await.unwrap()).await;
        assert!(matches!(failure, Some(ExportError::BrokeOff)));
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let held = Arc::new(());
        let rows = stream::iter(std::iter::repeat_with(|| chunk(512)).take(100));
        let blocks = start(rows, numbers(), Arc::clone(&held)).await.unwrap();
        while Arc::strong_count(&held) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (_, sizes, failure) = all(blocks).await;
        assert!(matches!(failure, Some(ExportError::Stalled)));
        assert!(sizes.len() <= WAITING + 1, "no more was written than may wait");
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_the_reading() {
        let held = Arc::new(());
        let rows = stream::iter(std::iter::repeat_with(|| chunk(512)));
        let blocks = start(rows, numbers(), Arc::clone(&held)).await.unwrap();
        drop(blocks);
        while Arc::strong_count(&held) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
