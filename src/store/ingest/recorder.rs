//! Records are submitted here. Each organisation has a queue, and organisations are written independently of each
//! other.
//!
//! All submissions that wait in a queue are written together by the next transaction of the organisation. A submission
//! that comes alone is written at once. It is answered after the commit.

mod idle_caches;
mod metrics;
mod queues;

use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::store::db::{Store, StoreError};
use crate::store::ingest::submission::{RecordError, Recorded, Submission};
pub use metrics::{BATCH_RECORDS, QUEUE_SECONDS, RECORDS, WAITING, WRITE_SECONDS};
use queues::Queues;

/// The limits of the recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderOptions {
    /// The maximum number of submissions that wait in the queue of an organisation. A further one waits for a place in
    /// the queue, for as long as a writer waits for a lock.
    pub waiting_per_organisation: usize,
    /// The maximum number of submissions that wait in all queues together. Beyond it, an organisation that has waiting
    /// submissions gets [`StoreError::Busy`] for another one.
    pub waiting_in_total: usize,
    /// The maximum number of records in a transaction. A larger submission is written alone.
    pub records_per_batch: usize,
    /// The number of threads that parse and project records.
    pub threads: usize,
    /// The maximum number of identifiers that are cached for all organisations together.
    pub cached_identifiers: usize,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            waiting_per_organisation: 1_024,
            waiting_in_total: 4_096,
            records_per_batch: 2_000,
            threads: processors.clamp(2, 4),
            cached_identifiers: 1_000_000,
        }
    }
}

/// Writes submissions. Cheap to clone. Its threads end after the last clone is dropped and all queues are empty.
#[derive(Clone)]
pub struct Recorder {
    queues: Arc<Queues>,
}

impl Recorder {
    /// Starts the recorder with the default limits.
    ///
    /// # Errors
    ///
    /// A thread cannot be started.
    pub fn start(store: &Store) -> Result<Self, StoreError> {
        Self::start_with(store, RecorderOptions::default())
    }

    /// Starts the recorder.
    ///
    /// # Errors
    ///
    /// A thread cannot be started.
    pub fn start_with(store: &Store, options: RecorderOptions) -> Result<Self, StoreError> {
        let (alive, ended) = oneshot::channel();
        let runtime = start_threads(options.threads, ended)?;
        Ok(Self {
            queues: Arc::new(Queues::new(store.clone(), options, runtime, alive)),
        })
    }

    /// Stores all records of the submission or none, and returns after the commit.
    ///
    /// # Errors
    ///
    /// [`RecordError`]. Then nothing is stored.
    pub async fn record(&self, submission: Submission) -> Result<Vec<Recorded>, RecordError> {
        let outcome = self.queues.push(submission).await?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits until every accepted submission is written. Later submissions are refused.
    pub async fn finish(&self) {
        self.queues.finish().await;
    }
}

/// Starts the threads that write. They are separate from the threads that answer requests and read from sockets: parsing
/// and projecting a batch keeps a processor busy for many milliseconds. They end when `alive` is dropped, the sender of
/// `ended`.
fn start_threads(threads: usize, ended: oneshot::Receiver<()>) -> Result<Handle, StoreError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name("rollbook-writer")
        .enable_all()
        .build()
        .map_err(StoreError::Thread)?;
    let handle = runtime.handle().clone();
    // A runtime must not be dropped by a task. This thread drops it.
    std::thread::Builder::new()
        .name("rollbook-recorder".to_owned())
        .spawn(move || {
            let _ = runtime.block_on(ended); // an error: the sender was dropped
        })
        .map_err(StoreError::Thread)?;
    Ok(handle)
}
