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
//! - An import gives its worker up after [`ImportLimits::turn`] if another organisation waits for one. A file that is not plain
//!   UTF-8 is read again from its begin to its place before each turn. Such a turn is at least as long as that reading, so that
//!   the whole time grows with the file and not with its square.
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
use crate::store::{
    ClaimScope, ImportClaim, ImportEnd, ImportStatus, PART_BYTES, Recorder, Store, StoreError, WaitingLimits,
};

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
    /// The imports of an organisation that may arrive, wait or run.
    pub max_waiting: usize,
    /// The bytes of their files.
    pub max_waiting_bytes: u64,
    /// How long rejected rows are kept after the end of their import.
    pub keep_rejected: Duration,
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
            max_waiting_bytes: 64 * 1024 * 1024 * 1024,
            keep_rejected: Duration::from_secs(90 * 24 * 60 * 60),
            workers: 2,
            step_rows: 250,
            lease: Duration::from_secs(15),
            poll: Duration::from_secs(2),
            turn: Duration::from_secs(10),
            json_depth: 64,
        }
    }
}

impl ImportLimits {
    /// How much of an organisation may arrive, wait or run at the same time.
    pub fn waiting(&self) -> WaitingLimits {
        WaitingLimits {
            imports: self.max_waiting,
            bytes: self.max_waiting_bytes,
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
    /// The imports that are worked on; `None` for all.
    scope: Option<ClaimScope>,
}

/// The time of an import before it gives way to another organisation.
#[derive(Clone, Copy)]
struct Turn {
    begin: Instant,
    length: Duration,
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
            scope: None,
        }))
    }

    /// Works on imports until `stopped` is ready. Then the steps that are being stored end, and the imports are given back.
    pub async fn run(self, stopped: impl Future<Output = ()> + Send) {
        let (stop, stopping) = watch::channel(false);
        let mut stopped = pin!(stopped);
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < self.0.limits.workers {
                let (lease, scope) = (self.0.limits.lease, self.0.scope.as_ref());
                match self.0.store.claim_import(lease, scope).await {
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
            let cleaned = self.0.store.clean_up_imports(self.0.limits.keep_rejected).await;
            let has_leftovers = cleaned.unwrap_or_else(|error| {
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

    /// Works on this import until it has ended, and before it on the earlier ones of its organisation.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn run_until_ended(&self, organisation: &OrgId, import: Uuid) -> Result<(), StoreError> {
        let store = self.0.store.clone();
        let Some(found) = store.find_import(organisation, None, import).await? else {
            return Ok(());
        };
        let scoped = Self(Arc::new(Inner {
            store: store.clone(),
            recorder: self.0.recorder.clone(),
            limits: self.0.limits.clone(),
            scope: Some(ClaimScope {
                org: organisation.clone(),
                last: found.key,
            }),
        }));
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
        let run = scoped.run(async {
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
        let head: Option<FileHead> = claim
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
        match self.record_parsed(&context, &mut parsed, head, stopping).await? {
            Some(end) => Ok(end),
            None => end_of_parser(claim, parsing.await),
        }
    }

    /// Records what the parser finds. Returns how the work ends; `None` if the parser has ended.
    async fn record_parsed(
        &self,
        context: &StepContext<'_>,
        parsed: &mut mpsc::Receiver<Parsed>,
        mut head: Option<FileHead>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Option<WorkEnd>, StoreOrLost> {
        let claim = context.claim;
        let begin = Instant::now();
        let mut turn = None;
        let mut rows_read = claim.rows_read;
        loop {
            let next = tokio::select! {
                next = parsed.recv() => next,
                () = wait_until_stopping(stopping.clone()) => return Ok(Some(WorkEnd::Released)),
            };
            let Some(next) = next else { return Ok(None) };
            let batch = match next {
                Parsed::Head(found) => {
                    let text = serde_json::to_string(&found).unwrap_or_default();
                    if !self.store.store_import_headings(claim, &text).await? {
                        return Ok(Some(WorkEnd::Lost));
                    }
                    head = Some(found);
                    continue;
                }
                Parsed::Batch(batch) => batch,
            };
            let turn = *turn.get_or_insert_with(|| Turn {
                begin: Instant::now(),
                length: self.limits.turn.max(begin.elapsed()),
            });
            let step_begin = Instant::now();
            context.record_batch(batch, head.as_ref(), rows_read).await?;
            let Some((done, rejected_bytes)) = self.store.import_progress(claim).await? else {
                return Ok(Some(WorkEnd::Lost));
            };
            rows_read = done;
            if rejected_bytes.unsigned_abs() > self.limits.max_rejected_bytes {
                return Ok(Some(failed(
                    "too many rows are rejected; correct the file or its mapping, and send it again",
                )));
            }
            tokio::time::sleep(step_begin.elapsed().min(LONGEST_PAUSE)).await;
            if self.gives_way(claim, turn, stopping).await? {
                return Ok(Some(WorkEnd::Released));
            }
        }
    }

    /// Whether the worker gives the import back: the server stops, or its turn is over and another organisation waits.
    async fn gives_way(
        &self,
        claim: &ImportClaim,
        turn: Turn,
        stopping: &watch::Receiver<bool>,
    ) -> Result<bool, StoreError> {
        if *stopping.borrow() {
            return Ok(true);
        }
        let is_over = self.scope.is_none() && turn.begin.elapsed() >= turn.length;
        Ok(is_over && self.store.has_waiting_import(claim.org_key).await?)
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
        // One batch waits while another one is stored.
        let (out, parsed) = mpsc::channel(1);
        let parts = self.read_parts(claim, start / part_bytes, out.clone());
        let parsing = tokio::task::spawn_blocking(move || {
            parse_file(PartReader::new(parts, skipped), &resume, &settings, &out)
        });
        (parsed, parsing)
    }

    /// Reads the parts of an import from the database while there is room for the next one, and somebody listens to `out`.
    fn read_parts(&self, claim: &ImportClaim, first: u64, out: mpsc::Sender<Parsed>) -> Parts {
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
                let is_sent = tokio::select! {
                    sent = sender.send(part) => sent.is_ok(),
                    () = out.closed() => false,
                };
                if !is_sent || is_last {
                    return;
                }
                number += 1;
            }
        });
        parts
    }
}

async fn wait_until_stopping(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stops| *stops).await; // a dropped sender means the same
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
