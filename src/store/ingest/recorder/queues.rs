//! The queue of each organisation that has submissions.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use super::RecorderOptions;
use super::idle_caches::IdleCaches;
use super::metrics;
use crate::base::ids::OrgId;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::submission::{Outcome, RecordError, Submission};
use crate::store::ingest::writer::Writer;

/// All queues and the threads that write them.
pub(super) struct Queues {
    store: Store,
    options: RecorderOptions,
    /// The threads that write.
    runtime: Handle,
    state: Mutex<State>,
    /// Notified each time a queue stops.
    stopped: Notify,
    /// The threads end when this is dropped.
    _alive: oneshot::Sender<()>,
}

struct State {
    /// Whether further submissions are refused.
    closed: bool,
    /// The submissions that wait in all queues.
    waiting: usize,
    queues: HashMap<OrgId, Queue>,
    idle_caches: IdleCaches,
}

/// The queue of an organisation. It is removed when it is not used any more.
struct Queue {
    waiting: VecDeque<Waiting>,
    /// A permit is a place in the queue.
    places: Arc<Semaphore>,
    /// The callers between [`Queues::register`] and their answer's channel.
    callers: usize,
    /// Whether a task writes this queue.
    is_running: bool,
}

/// A submission in a queue.
struct Waiting {
    submission: Submission,
    answer: oneshot::Sender<Outcome>,
    since: Instant,
    _place: OwnedSemaphorePermit,
}

impl Queues {
    pub(super) fn new(
        store: Store,
        options: RecorderOptions,
        runtime: Handle,
        alive: oneshot::Sender<()>,
    ) -> Self {
        let state = State {
            closed: false,
            waiting: 0,
            queues: HashMap::new(),
            idle_caches: IdleCaches::new(options.cached_identifiers),
        };
        Self {
            store,
            options,
            runtime,
            state: Mutex::new(state),
            stopped: Notify::new(),
            _alive: alive,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, so the state is never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a submission into its organisation's queue and returns the channel of its answer.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if the queues stay full, [`StoreError::Closed`] after [`Queues::finish`].
    pub(super) async fn push(
        self: &Arc<Self>,
        submission: Submission,
    ) -> Result<oneshot::Receiver<Outcome>, StoreError> {
        let (caller, places) = self.register(&submission.org);
        let place = timeout(self.store.wait(), places.acquire_owned())
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Closed)?;
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        let is_full = state.waiting >= self.options.waiting_in_total;
        let queue = state.queues.get_mut(&submission.org);
        let queue = queue.ok_or(StoreError::Invariant(
            "a queue was removed while a caller used it",
        ))?;
        // An organisation without waiting submissions is never refused because of the others.
        if is_full && !queue.waiting.is_empty() {
            return Err(StoreError::Busy);
        }
        let (answer, outcome) = oneshot::channel();
        queue.waiting.push_back(Waiting {
            submission,
            answer,
            since: Instant::now(),
            _place: place,
        });
        let start = !std::mem::replace(&mut queue.is_running, true);
        state.waiting += 1;
        metrics::note_waiting(state.waiting);
        drop(state);
        if start {
            let running = RunningQueue::new(Arc::clone(self), caller.org.clone());
            self.runtime.spawn(running.run());
        }
        Ok(outcome)
    }

    /// Registers a caller at the organisation's queue, which is created if it does not exist.
    fn register(self: &Arc<Self>, org: &OrgId) -> (Caller, Arc<Semaphore>) {
        let mut state = self.lock();
        let queue = state.queues.entry(org.clone()).or_insert_with(|| Queue {
            waiting: VecDeque::new(),
            places: Arc::new(Semaphore::new(self.options.waiting_per_organisation.max(1))),
            callers: 0,
            is_running: false,
        });
        queue.callers += 1;
        let caller = Caller {
            queues: Arc::clone(self),
            org: org.clone(),
        };
        (caller, Arc::clone(&queue.places))
    }

    /// Refuses further submissions and waits until all queues are empty.
    pub(super) async fn finish(&self) {
        self.lock().closed = true;
        loop {
            let mut stopped = pin!(self.stopped.notified());
            // From here on a notification is not missed.
            stopped.as_mut().enable();
            if self.lock().queues.values().all(|queue| !queue.is_running) {
                return;
            }
            stopped.await;
        }
    }
}

impl State {
    fn remove_if_unused(&mut self, org: &OrgId) {
        let is_unused = |queue: &Queue| queue.callers == 0 && !queue.is_running;
        if self.queues.get(org).is_some_and(is_unused) {
            self.queues.remove(org);
        }
    }
}

/// A caller that has not received its answer's channel yet. Its queue is not removed.
struct Caller {
    queues: Arc<Queues>,
    org: OrgId,
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut state = self.queues.lock();
        if let Some(queue) = state.queues.get_mut(&self.org) {
            queue.callers -= 1;
        }
        state.remove_if_unused(&self.org);
    }
}

/// The task that writes a queue until it is empty.
struct RunningQueue {
    queues: Arc<Queues>,
    org: OrgId,
    is_stopped: bool,
}

impl RunningQueue {
    fn new(queues: Arc<Queues>, org: OrgId) -> Self {
        Self {
            queues,
            org,
            is_stopped: false,
        }
    }

    async fn run(mut self) {
        let cache = self.queues.lock().idle_caches.take(&self.org);
        let mut writer = Writer::new(self.queues.store.clone(), self.org.clone(), cache);
        while let Some(batch) = self.next_batch(&mut writer) {
            let begin = Instant::now();
            for waiting in &batch {
                metrics::note_wait(begin.duration_since(waiting.since));
            }
            let (submissions, answers): (Vec<_>, Vec<_>) = batch
                .into_iter()
                .map(|waiting| (waiting.submission, waiting.answer))
                .unzip();
            let outcomes = writer.write(&submissions).await;
            metrics::note_batch(
                submissions
                    .iter()
                    .map(|submission| submission.records.len())
                    .sum(),
                begin.elapsed(),
            );
            for (submission, outcome) in submissions.iter().zip(&outcomes) {
                metrics::note_outcome(submission.records.len(), outcome);
            }
            let refusal = outcomes.last().and_then(find_refusal);
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                let _ = answer.send(outcome); // fails only if the caller is gone; the record is stored all the same
            }
            if let Some(refusal) = refusal {
                self.refuse_waiting(&refusal, begin);
            }
        }
    }

    /// Removes the submissions of the next batch from the queue. If it is empty the queue stops, and the cache becomes
    /// idle.
    fn next_batch(&mut self, writer: &mut Writer) -> Option<Vec<Waiting>> {
        let max_records = self.queues.options.records_per_batch;
        let mut state = self.queues.lock();
        let queue = state.queues.get_mut(&self.org)?;
        let (mut batch, mut records) = (Vec::new(), 0);
        while let Some(next) = queue.waiting.front() {
            records += next.submission.weight();
            if records > max_records && !batch.is_empty() {
                break;
            }
            batch.extend(queue.waiting.pop_front());
        }
        if batch.is_empty() {
            let cache = writer.take_cache();
            state.idle_caches.put(self.org.clone(), cache);
            self.is_stopped = true;
            stop(&mut state, &self.org);
            self.queues.stopped.notify_waiters();
            return None;
        }
        state.waiting -= batch.len();
        metrics::note_waiting(state.waiting);
        Some(batch)
    }

    /// Refuses waiting submissions after a batch was refused. If the organisation is locked, those that waited since
    /// `begin` have waited for as long as the batch. If the database is away, all would fail.
    fn refuse_waiting(&self, refusal: &StoreError, begin: Instant) {
        let is_locked = matches!(refusal, StoreError::Busy);
        let mut state = self.queues.lock();
        let Some(queue) = state.queues.get_mut(&self.org) else {
            return;
        };
        let refused = queue
            .waiting
            .partition_point(|waiting| !is_locked || waiting.since <= begin);
        let refused: Vec<Waiting> = queue.waiting.drain(..refused).collect();
        state.waiting -= refused.len();
        metrics::note_waiting(state.waiting);
        drop(state);
        for waiting in refused {
            let _ = waiting.answer.send(Err(refusal.repeat().into())); // fails only if the caller is gone
        }
    }
}

impl Drop for RunningQueue {
    /// After a panic the waiting submissions are dropped, which closes the channels of their answers.
    fn drop(&mut self) {
        if self.is_stopped {
            return;
        }
        let mut state = self.queues.lock();
        let dropped = match state.queues.get_mut(&self.org) {
            Some(queue) => std::mem::take(&mut queue.waiting),
            None => VecDeque::new(),
        };
        state.waiting -= dropped.len();
        metrics::note_waiting(state.waiting);
        stop(&mut state, &self.org);
        self.queues.stopped.notify_waiters();
    }
}

/// Marks a queue as stopped and removes it if no caller uses it.
fn stop(state: &mut State, org: &OrgId) {
    if let Some(queue) = state.queues.get_mut(org) {
        queue.is_running = false;
    }
    state.remove_if_unused(org);
}

/// The error for waiting submissions, if the last outcome of a batch says that they cannot be written either.
fn find_refusal(outcome: &Outcome) -> Option<StoreError> {
    match outcome {
        Err(RecordError::Store(error) | RecordError::Unconfirmed { cause: error, .. })
            if error.is_passing() =>
        {
            Some(error.repeat().into_refusal())
        }
        _ => None,
    }
}
