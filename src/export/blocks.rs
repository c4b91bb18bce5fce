//! The blocks of an export, and the task that writes them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::{fmt, mem};

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};

use crate::store::{SkippedRows, StoreError};

use super::metrics::EndOfExport;
use super::{ExportError, Transfer, queue};

/// The size of a block. A block is sent after the line that reaches this size.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// The additional capacity of a block for its last line, so that the buffer rarely grows.
const LAST_LINE_BYTES: usize = 4 * 1024;

/// A writer that converts rows to lines.
pub(super) trait WriteLines: Send + 'static {
    /// The type of a row: a row of the log, or the progress of a person.
    type Item: Send + Sync + 'static;

    /// Whether the heading is sent with the first rows, and not with the first full block. For writers that collect many
    /// rows before they write bytes.
    const SENDS_HEADING_EARLY: bool = false;

    /// Writes the bytes before the first line.
    fn write_heading(&mut self, out: &mut Vec<u8>);

    /// The most rows for [`WriteLines::load`].
    fn rows_at_once(&self) -> usize {
        usize::MAX
    }

    /// Loads the data that the lines of these rows need.
    fn load(&mut self, rows: &[Self::Item]) -> impl Future<Output = Result<(), ExportError>> + Send;

    /// Writes the line of a row. [`WriteLines::load`] was called with this row before.
    fn write_line(&mut self, row: &Self::Item, out: &mut Vec<u8>) -> Result<(), ExportError>;

    /// Writes lines of these rows until a block is full, and returns the rows without a line. There is a line at least.
    fn write_lines<'r>(
        &mut self,
        rows: &'r [Self::Item],
        out: &mut Vec<u8>,
    ) -> Result<&'r [Self::Item], ExportError> {
        for (index, row) in rows.iter().enumerate() {
            self.write_line(row, out)?;
            if out.len() >= BLOCK_BYTES {
                return Ok(&rows[index + 1..]);
            }
        }
        Ok(&[])
    }

    /// Writes the bytes after the last line.
    fn write_end(&mut self, _: &mut Vec<u8>) -> Result<(), ExportError> {
        Ok(())
    }
}

/// A stream of the blocks of an export. It ends without an error only if the export has all rows that can be read.
pub struct Blocks {
    blocks: BoxStream<'static, Result<Vec<u8>, ExportError>>,
    /// The counter of the writer task.
    rows: Arc<AtomicU64>,
    skipped: SkippedRows,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Blocks {
    /// The number of rows that were written so far, without the heading. After the end of the stream it is the total.
    pub fn written_rows(&self) -> u64 {
        self.rows.load(Ordering::Acquire)
    }

    /// The number of rows that were left out so far, because they cannot be read. After the end of the stream it is the
    /// total.
    pub fn skipped_rows(&self) -> u64 {
        self.skipped.count()
    }

    /// Starts the writer task and waits for its first block, so that an early error is returned here.
    pub(super) async fn start<L: WriteLines>(
        rows: impl Stream<Item = Result<Vec<L::Item>, StoreError>> + Send + 'static,
        lines: L,
        transfer: Transfer,
        skipped: SkippedRows,
    ) -> Result<Self, ExportError> {
        let Transfer {
            reading,
            sending,
            client,
        } = transfer;
        let (mut writer, reader) = queue::queue(sending, client);
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let missing = skipped.clone();
        tokio::spawn(async move {
            let closed = writer.closed();
            // The end drops `rows`, which ends the query. A query without rows notices nothing by itself.
            let result = tokio::select! {
                result = write_blocks(rows, lines, &mut writer, &counter) => result,
                () = closed => Ok(()),
            };
            drop(reading); // the database is no longer read, even if the client still reads slowly
            if missing.count() > 0 {
                tracing::error!(
                    rows = missing.count(),
                    "an export leaves out rows that cannot be read"
                );
            }
            writer.finish(result);
        });
        let mut end = EndOfExport::new(Arc::clone(&count));
        if let Err(error) = reader.wait_for_first().await {
            end.note(Some(&Err::<(), _>(&error)));
            return Err(error);
        }
        let blocks = stream::unfold((reader, end), |(reader, mut end)| async move {
            let block = reader.next().await;
            end.note(block.as_ref());
            Some((block?, (reader, end)))
        });
        Ok(Self {
            blocks: blocks.boxed(),
            rows: count,
            skipped,
        })
    }
}

/// Writes all rows. Stops early without an error if nobody reads the export any more.
async fn write_blocks<L: WriteLines>(
    rows: impl Stream<Item = Result<Vec<L::Item>, StoreError>> + Send,
    mut lines: L,
    writer: &mut queue::Writer,
    written: &AtomicU64,
) -> Result<(), ExportError> {
    let mut rows = pin!(rows);
    let mut block = Vec::with_capacity(BLOCK_BYTES + LAST_LINE_BYTES);
    lines.write_heading(&mut block);
    let mut heading_waits = L::SENDS_HEADING_EARLY;
    while let Some(chunk) = rows.next().await {
        let chunk = chunk?;
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let (rows, later) = rest.split_at(lines.rows_at_once().min(rest.len()));
            rest = later;
            lines.load(rows).await?;
            let mut unwritten = rows;
            while !unwritten.is_empty() {
                unwritten = lines.write_lines(unwritten, &mut block)?;
                if block.len() >= BLOCK_BYTES && !send_block(&mut block, writer).await {
                    return Ok(());
                }
            }
            written.fetch_add(rows.len() as u64, Ordering::Release);
        }
        if mem::take(&mut heading_waits) && !block.is_empty() && !send_block(&mut block, writer).await {
            return Ok(());
        }
    }
    lines.write_end(&mut block)?;
    if !block.is_empty() {
        send_block(&mut block, writer).await;
    }
    Ok(())
}

/// Sends the block and empties it. A row group of a Parquet file fills many blocks at once. Returns false if nobody reads
/// the export any more.
async fn send_block(block: &mut Vec<u8>, writer: &mut queue::Writer) -> bool {
    let full = mem::replace(block, Vec::with_capacity(BLOCK_BYTES + LAST_LINE_BYTES));
    if full.len() < 2 * BLOCK_BYTES {
        return writer.send(full).await;
    }
    for part in full.chunks(BLOCK_BYTES) {
        if !writer.send(part.to_vec()).await {
            return false;
        }
    }
    true
}

impl Stream for Blocks {
    type Item = Result<Vec<u8>, ExportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.blocks.poll_next_unpin(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::export::testing;
    use std::sync::Arc;

    use super::*;
    use crate::base::fair_limit::Sharer;
    use crate::base::ids::OrgId;
    use crate::export::spool::SpoolSpace;
    use crate::export::transfer::ReadingRules;
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
        Blocks::start(rows, lines, Transfer::in_process(permit), SkippedRows::default()).await
    }

    /// Rules with short times. A client must read 64 KiB in 100 ms.
    fn rules() -> ReadingRules {
        ReadingRules {
            patience: Duration::from_millis(20),
            longest_wait: Duration::from_secs(60),
            window: Duration::from_millis(100),
            window_bytes: 64 * 1024,
            deadline: Duration::from_secs(60),
        }
    }

    /// An export to a client, which may use this number of bytes of spool space twice.
    async fn start_for_client(
        rows: impl Stream<Item = Chunk> + Send + 'static,
        reading: impl Send + 'static,
        sending: impl Send + 'static,
        rules: ReadingRules,
        spool_bytes: u64,
    ) -> Result<Blocks, ExportError> {
        let share = SpoolSpace::new(2 * spool_bytes).share(&Sharer {
            organisation: OrgId::new("acme").unwrap(),
            caller: "a".to_owned(),
        });
        Blocks::start(
            rows,
            numbers(),
            Transfer::to_client(reading, sending, rules, share),
            SkippedRows::default(),
        )
        .await
    }

    /// The rows of an export of about 5 MB.
    fn many_rows() -> impl Stream<Item = Chunk> + Send + 'static {
        stream::iter(std::iter::repeat_with(|| chunk(512)).take(100))
    }

    /// The text of an export with this number of rows.
    fn text_of(rows: u32) -> String {
        let lines = (0..rows).map(|number| format!("{number:099}\n"));
        "n\n".to_owned() + &lines.collect::<String>()
    }

    async fn wait_until_dropped(permit: &Arc<()>) {
        let waiting = async {
            while Arc::strong_count(permit) > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .unwrap();
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
    async fn database_is_read_to_its_end_before_the_client_reads_on() {
        let (reading, sending) = (Arc::new(()), Arc::new(()));
        let hold = (Arc::clone(&reading), Arc::clone(&sending));
        let rules = ReadingRules {
            window: Duration::from_secs(60),
            ..rules()
        };
        let blocks = start_for_client(many_rows(), hold.0, hold.1, rules, 100 << 20).await;
        let blocks = blocks.unwrap();
        wait_until_dropped(&reading).await;
        assert_eq!(blocks.written_rows(), 51_200);
        assert_eq!(Arc::strong_count(&sending), 2);
        let (bytes, _, failure) = collect(blocks).await;
        assert!(failure.is_none());
        assert!(bytes == text_of(51_200).as_bytes());
        wait_until_dropped(&sending).await;
    }

    #[tokio::test]
    async fn reader_that_pauses_gets_all_blocks_in_order() {
        let rules = ReadingRules {
            patience: Duration::ZERO,
            window: Duration::from_secs(60),
            ..rules()
        };
        // The space is used up again and again.
        for spool_bytes in [0, 200_000, 1 << 20, 100 << 20] {
            let blocks = start_for_client(many_rows(), (), (), rules, spool_bytes).await;
            let mut blocks = blocks.unwrap();
            let mut bytes = Vec::new();
            let mut number = 0;
            while let Some(block) = blocks.next().await {
                bytes.extend(block.unwrap());
                number += 1;
                if number % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            assert!(bytes == text_of(51_200).as_bytes(), "{spool_bytes}");
        }
    }

    #[tokio::test]
    async fn export_stops_if_the_client_reads_too_little() {
        for spool_bytes in [0, 100 << 20] {
            let (reading, sending) = (Arc::new(()), Arc::new(()));
            let hold = (Arc::clone(&reading), Arc::clone(&sending));
            let blocks = start_for_client(many_rows(), hold.0, hold.1, rules(), spool_bytes).await;
            let blocks = blocks.unwrap();
            wait_until_dropped(&reading).await;
            wait_until_dropped(&sending).await;
            let (bytes, _, failure) = collect(blocks).await;
            assert!(matches!(failure, Some(ExportError::Stalled(_))), "{failure:?}");
            assert!(bytes.is_empty());
        }
    }

    #[tokio::test]
    async fn export_stops_at_its_deadline() {
        let rules = ReadingRules {
            deadline: Duration::from_millis(200),
            ..rules()
        };
        let blocks = start_for_client(many_rows(), (), (), rules, 100 << 20).await;
        let mut blocks = blocks.unwrap();
        let failure = loop {
            match blocks.next().await.unwrap() {
                Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => break error,
            }
        };
        assert!(matches!(failure, ExportError::TooLong(_)), "{failure:?}");
        assert!(blocks.next().await.is_none());
    }

    /// One block of rows, and then a query that finds no further row.
    fn rows_without_an_end(query: impl Send + 'static) -> impl Stream<Item = Chunk> + Send + 'static {
        let endless = stream::once(async move {
            let _query = query;
            std::future::pending().await
        });
        stream::iter([chunk(1_000)]).chain(endless)
    }

    #[tokio::test]
    async fn query_without_rows_ends_with_its_export() {
        let rules = ReadingRules {
            deadline: Duration::from_millis(200),
            ..rules()
        };
        let (query, reading) = (Arc::new(()), Arc::new(()));
        let rows = rows_without_an_end(Arc::clone(&query));
        let mut blocks = start_for_client(rows, Arc::clone(&reading), (), rules, 1 << 20)
            .await
            .unwrap();
        blocks.next().await.unwrap().unwrap();
        wait_until_dropped(&query).await;
        wait_until_dropped(&reading).await;
        assert!(matches!(blocks.next().await, Some(Err(ExportError::TooLong(_)))));

        let rows = rows_without_an_end(Arc::clone(&query));
        drop(start(rows, numbers(), Arc::clone(&reading)).await.unwrap());
        wait_until_dropped(&query).await;
        wait_until_dropped(&reading).await;
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
