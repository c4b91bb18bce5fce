//! The worker of imports. It works in every replica, beside the requests.
//!
//! Invariants:
//!
//! - An import has one worker on any number of replicas: see the store's `imports::claims`. An organisation has one, too, so that
//!   its imports follow each other.
//! - A step stores its records, its rejected rows and its place in one transaction. So a worker that ends in the middle loses
//!   nothing and repeats nothing.
//! - After each step the worker pauses for as long as the step took. So an import takes at most half of the time of its
//!   organisation's writers.
//! - An import gives its worker up after [`ImportLimits::turn`] if another organisation waits for one.
//! - Memory is bounded: two parts, a row and two steps for each worker.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::options::{ImportOptions, ImportTerms};
use super::parse::{FileHead, ParseError, ParseSettings, Parsed, Resume, parse_file};
use super::source::{PartReader, Parts};
use super::step::{StepContext, StepError, stored_place};
use crate::base::ids::OrgId;
use crate::store::{ImportClaim, ImportEnd, ImportStatus, PART_BYTES, Recorder, Store, StoreError};

/// The longest pause after a step.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The pause after a failure of the database.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// The limits of imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportLimits {
    /// The most bytes of an upload.
    pub max_bytes: u64,
    /// The most bytes of an uncompressed file.
    pub max_uncompressed_bytes: u64,
    /// The most bytes of a row.
    pub max_row_bytes: usize,
    /// The most bytes of the rejected rows of an import. Beyond it the import ends.
    pub max_rejected_bytes: u64,
    /// The imports of an organisation that may wait or run.
    pub max_waiting: usize,
    /// The imports that a server works on at the same time.
    pub workers: usize,
    /// The rows of a step.
    pub step_rows: usize,
    /// How long a claimed import stays with a replica that does not renew the lease.
    pub lease: Duration,
    /// The time between two looks for imports that were sent to other replicas.
    pub poll: Duration,
    /// How long an import is worked on while another organisation waits.
    pub turn: Duration,
    /// The levels of JSON objects and arrays.
    pub json_depth: usize,
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024 * 1024 * 1024,
            max_uncompressed_bytes: 64 * 1024 * 1024 * 1024,
            max_row_bytes: 1024 * 1024,
            max_rejected_bytes: 256 * 1024 * 1024,
            max_waiting: 100,
            workers: 2,
            step_rows: 250,
            lease: Duration::from_secs(15),
            poll: Duration::from_secs(2),
            turn: Duration::from_secs(10),
            json_depth: 64,
        }
    }
}

/// Works on imports.
#[derive(Clone)]
pub struct Importer(Arc<Inner>);

struct Inner {
    store: Store,
    recorder: Recorder,
    limits: ImportLimits,
}

/// How the work on a claimed import ended.
enum WorkEnd {
    Ended(ImportEnd),
    /// Another worker can continue.
    Released,
    /// It was cancelled, or another worker has it.
    Lost,
}

impl From<StepError> for StoreOrLost {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Lost => Self::Lost,
            StepError::Store(error) => Self::Store(error),
        }
    }
}

enum StoreOrLost {
    Lost,
    Store(StoreError),
}

impl From<StoreError> for StoreOrLost {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Importer {
    /// An importer. It does nothing until it is run.
    pub fn new(store: Store, recorder: Recorder, limits: ImportLimits) -> Self {
        Self(Arc::new(Inner {
            store,
            recorder,
            limits,
        }))
    }

    /// Works on imports until `stopped` is ready. Then the steps that are being stored end, and the imports are given back.
    pub async fn run(self, stopped: impl Future<Output = ()> + Send) {
        let (stop, stopping) = watch::channel(false);
        let mut stopped = pin!(stopped);
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < self.0.limits.workers {
                match self.0.store.claim_import(self.0.limits.lease, &[]).await {
                    Ok(Some(claim)) => {
                        tasks.spawn(Arc::clone(&self.0).work(claim, stopping.clone()));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "waiting imports can't be found; the importer tries again");
                        break;
                    }
                }
            }
            let has_leftovers = self.0.store.clean_up_imports().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the parts of an import can't be deleted; the importer tries again");
                false
            });
            let pause = if has_leftovers {
                Duration::from_millis(20)
            } else {
                self.0.limits.poll
            };
            tokio::select! {
                () = &mut stopped => break,
                Some(_) = tasks.join_next() => {}
                () = self.0.store.importer_woken() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        let _ = stop.send(true); // an error means that no import is left
        while tasks.join_next().await.is_some() {}
    }

    /// Works on the imports of all organisations until this one has ended.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn run_until_ended(&self, organisation: &OrgId, import: Uuid) -> Result<(), StoreError> {
        let store = self.0.store.clone();
        let has_ended = async {
            loop {
                match store.find_import(organisation, None, import).await {
                    Ok(Some(found))
                        if matches!(found.status, ImportStatus::Queued | ImportStatus::Running) => {}
                    Ok(_) => return Ok(()),
                    Err(error) if error.is_passing() => {}
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let (ended, waiting) = tokio::sync::oneshot::channel();
        let run = self.clone().run(async {
            let _ = waiting.await; // a dropped sender stops the importer, too
        });
        let (result, ()) = tokio::join!(
            async {
                let result = has_ended.await;
                let _ = ended.send(()); // the importer has ended by itself
                result
            },
            run
        );
        result
    }
}

impl Inner {
    /// Works on an import while its lease is renewed. A panic ends the import.
    async fn work(self: Arc<Self>, claim: ImportClaim, stopping: watch::Receiver<bool>) {
        let work = AssertUnwindSafe(self.process(&claim, &stopping)).catch_unwind();
        let end = tokio::select! {
            end = work => end,
            () = self.renew_lease(&claim) => Ok(WorkEnd::Lost),
        };
        let end = end.unwrap_or_else(|_| {
            tracing::error!(import = %claim.id, "an import panicked");
            WorkEnd::Ended(ImportEnd::Failed(
                "the server has failed; its log says why".to_owned(),
            ))
        });
        let result = match end {
            WorkEnd::Ended(end) => self.store.end_import(&claim, end).await,
            WorkEnd::Released => self.store.release_import(&claim).await,
            WorkEnd::Lost => return,
        };
        if let Err(error) = result {
            tracing::warn!(import = %claim.id, %error, "the end of an import can't be stored; it is tried again");
        }
    }

    async fn renew_lease(&self, claim: &ImportClaim) {
        loop {
            tokio::time::sleep(self.limits.lease / 3).await;
            match self.store.renew_import(claim, self.limits.lease).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "the lease of an import can't be renewed; the importer tries again")
                }
            }
        }
    }

    async fn process(&self, claim: &ImportClaim, stopping: &watch::Receiver<bool>) -> WorkEnd {
        match self.read_rows(claim, stopping).await {
            Ok(end) => end,
            Err(StoreOrLost::Lost) => WorkEnd::Lost,
            Err(StoreOrLost::Store(error)) => {
                tracing::warn!(import = %claim.id, %error, "an import is interrupted; it is continued later");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                WorkEnd::Released
            }
        }
    }

    /// Reads and records the rows of an import from its place on.
    async fn read_rows(
        &self,
        claim: &ImportClaim,
        stopping: &watch::Receiver<bool>,
    ) -> Result<WorkEnd, StoreOrLost> {
        let (Ok(options), Ok(terms)) = (
            serde_json::from_str::<ImportOptions>(&claim.options),
            serde_json::from_str::<ImportTerms>(&claim.terms),
        ) else {
            return Ok(failed("a newer version of Rollbook has received this file"));
        };
        let organisation = self.store.organisation(&claim.org).await?;
        let mut head: Option<FileHead> = claim
            .headings
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        let (mut parsed, parsing) = self.start_parser(claim, &options, &terms, head.clone());
        let context = StepContext {
            store: &self.store,
            recorder: &self.recorder,
            claim,
            organisation: &organisation,
            options: &options,
            terms: &terms,
        };
        let begin = Instant::now();
        let mut rows_read = claim.rows_read;
        while let Some(next) = parsed.recv().await {
            let batch = match next {
                Parsed::Head(found) => {
                    let text = serde_json::to_string(&found).unwrap_or_default();
                    if !self.store.store_import_headings(claim, &text).await? {
                        return Ok(WorkEnd::Lost);
                    }
                    head = Some(found);
                    continue;
                }
                Parsed::Batch(batch) => batch,
            };
            let step_begin = Instant::now();
            context.record_batch(batch, head.as_ref(), rows_read).await?;
            let Some((done, rejected_bytes)) = self.store.import_progress(claim).await? else {
                return Ok(WorkEnd::Lost);
            };
            rows_read = done;
            if rejected_bytes.unsigned_abs() > self.limits.max_rejected_bytes {
                return Ok(failed(
                    "too many rows are rejected; correct the file or its mapping, and send it again",
                ));
            }
            tokio::time::sleep(step_begin.elapsed().min(LONGEST_PAUSE)).await;
            if self.gives_way(claim, begin, stopping).await? {
                return Ok(WorkEnd::Released);
            }
        }
        end_of_parser(claim, parsing.await)
    }

    /// Whether the worker gives the import back: the server stops, or its turn is over and another organisation waits.
    async fn gives_way(
        &self,
        claim: &ImportClaim,
        begin: Instant,
        stopping: &watch::Receiver<bool>,
    ) -> Result<bool, StoreError> {
        if *stopping.borrow() {
            return Ok(true);
        }
        Ok(begin.elapsed() >= self.limits.turn && self.store.has_waiting_import(claim.org_key).await?)
    }

    /// Starts to read the file on another thread.
    fn start_parser(
        &self,
        claim: &ImportClaim,
        options: &ImportOptions,
        terms: &ImportTerms,
        head: Option<FileHead>,
    ) -> (
        mpsc::Receiver<Parsed>,
        tokio::task::JoinHandle<Result<(), ParseError>>,
    ) {
        let settings = ParseSettings {
            options: options.clone(),
            terms: terms.clone(),
            now: self.store.clock().now(),
            batch_rows: self.limits.step_rows,
            row_bytes: self.limits.max_row_bytes,
            uncompressed_bytes: self.limits.max_uncompressed_bytes,
            depth: self.limits.json_depth,
        };
        let resume = Resume {
            rows_read: claim.rows_read.unsigned_abs(),
            place: stored_place(claim),
            head,
        };
        let start = if resume.place.is_plain {
            resume.place.byte
        } else {
            0
        };
        let part_bytes = PART_BYTES as u64;
        let skipped = usize::try_from(start % part_bytes).unwrap_or(0);
        let parts = self.read_parts(claim, start / part_bytes);
        // One batch waits while another one is stored.
        let (out, parsed) = mpsc::channel(1);
        let parsing = tokio::task::spawn_blocking(move || {
            parse_file(PartReader::new(parts, skipped), &resume, &settings, &out)
        });
        (parsed, parsing)
    }

    /// Reads the parts of an import from the database while there is room for the next one.
    fn read_parts(&self, claim: &ImportClaim, first: u64) -> Parts {
        let (sender, parts) = mpsc::channel(1);
        let (store, org, key) = (self.store.clone(), claim.org_key, claim.key);
        tokio::spawn(async move {
            let mut number = i64::try_from(first).unwrap_or(i64::MAX);
            loop {
                let part = match store.import_part(org, key, number).await {
                    Ok(Some(part)) => Ok(part),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let is_last = part.is_err();
                if sender.send(part).await.is_err() || is_last {
                    return;
                }
                number += 1;
            }
        });
        parts
    }
}

/// How the work ends after the reader has ended.
fn end_of_parser(
    claim: &ImportClaim,
    end: Result<Result<(), ParseError>, tokio::task::JoinError>,
) -> Result<WorkEnd, StoreOrLost> {
    match end {
        Ok(Ok(())) => Ok(WorkEnd::Ended(ImportEnd::Done)),
        Ok(Err(ParseError::File(reason))) => Ok(failed(&reason)),
        Ok(Err(ParseError::Store(error))) => Err(error.into()),
        Err(error) => {
            tracing::error!(import = %claim.id, %error, "the reader of an import panicked");
            Ok(failed("the server has failed; its log says why"))
        }
    }
}

fn failed(reason: &str) -> WorkEnd {
    WorkEnd::Ended(ImportEnd::Failed(reason.to_owned()))
}
