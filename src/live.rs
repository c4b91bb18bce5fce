//! The live stream: new rows of the log as soon as they are committed (`docs/specification.md#live-stream`).
//!
//! | module | content |
//! | --- | --- |
//! | `hub` | reads the new rows of an organisation once, and gives each stream those that it may see |
//! | `audience` | which streams may see a row at all, so that only these run a query |
//! | `feeder` | brings a stream to the place of its hub: after a resume, or when its client reads slowly |
//! | `queue` | the events between the hub and the client of a stream |
//! | `seat` | a stream as the hub sees it: its question, and its queue |
//! | `slots` | how many streams the server, an organisation and a caller have |
//! | `event` | the form of events |
//!
//! No stream reads the tables in a loop. A hub waits for the commit signal of its organisation. It exists while the
//! organisation has streams.

mod audience;
mod event;
mod feeder;
mod hub;
mod queue;
mod seat;
mod slots;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use crate::access::{AskedScope, Principal, ReachRules, ScopeError};
use crate::base::fair_limit::{FairLimit, FairShares, Sharer};
use crate::base::ids::OrgId;
use crate::log::Filter;
use crate::store::{LogHead, Store, StoreError};
use hub::Hub;
use queue::Taken;
use seat::{Question, Seat};
use slots::{Slot, Slots};

pub use queue::EndReason;
pub use slots::Full;

/// The limits and times of streams. Each has a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOptions {
    /// The maximum number of open streams.
    pub streams: usize,
    /// The maximum number of open streams of an organisation.
    pub streams_per_organisation: usize,
    /// The maximum number of open streams of a caller.
    pub streams_per_caller: usize,
    /// The bytes of events that wait for the client of a stream. One event may be larger.
    pub buffer_bytes: usize,
    /// The rows of the organisation that a stream replays after `Last-Event-ID`.
    pub replay_records: u32,
    /// The time without an event after which a stream sends a comment.
    pub heartbeat: Duration,
    /// The time after which the rights of a stream's caller are read again.
    pub recheck: Duration,
    /// The time that a client waits before it connects again.
    pub retry: Duration,
    /// The queries of all hubs, and likewise of all replays, that run at the same time.
    pub queries: usize,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            streams: 4_000,
            streams_per_organisation: 2_000,
            streams_per_caller: 1_000,
            buffer_bytes: 256 * 1024,
            replay_records: 100_000,
            heartbeat: Duration::from_secs(15),
            recheck: Duration::from_secs(50),
            retry: Duration::from_secs(3),
            queries: 3,
        }
    }
}

/// The streams of a server. Cheap to clone.
#[derive(Clone)]
pub struct LiveStreams {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    options: LiveOptions,
    hubs: Mutex<HashMap<OrgId, Arc<Hub>>>,
    slots: Slots,
    /// The permits of hubs for queries. They are given in the order of asking, so no organisation waits for long.
    queries: Semaphore,
    /// The permits of replays for queries.
    replays: FairLimit,
    /// The number of streams so far, which gives each stream an id.
    opened: AtomicU64,
    stopping: watch::Sender<bool>,
}

/// What a stream is about.
#[derive(Debug, Clone)]
pub struct StreamRequest {
    /// The caller.
    pub principal: Principal,
    /// The settings on which the caller's reach depends.
    pub rules: ReachRules,
    /// The requested scope.
    pub asked_scope: Option<AskedScope>,
    /// The filter.
    pub filter: Filter,
    /// The position of the last event that the client has.
    pub resume: Option<i64>,
}

/// Why a stream cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The scope is refused.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The right to open a stream.
pub struct StreamPermit {
    _slot: Slot,
}

/// An open stream. It ends when it is dropped.
pub struct LiveStream {
    live: LiveStreams,
    seat: Arc<Seat>,
    _permit: StreamPermit,
}

impl LiveStreams {
    /// The streams of a server. Its tasks run on the runtime of the store.
    pub fn new(store: Store, options: LiveOptions) -> Self {
        let replays = FairShares::for_organisations(options.queries, options.queries.div_ceil(2), 1);
        Self {
            inner: Arc::new(Inner {
                store,
                hubs: Mutex::default(),
                slots: Slots::default(),
                queries: Semaphore::new(options.queries.max(1)),
                // The number of streams is limited already.
                replays: FairLimit::new(replays, usize::MAX),
                opened: AtomicU64::new(0),
                stopping: watch::Sender::new(false),
                options,
            }),
        }
    }

    /// The limits and times.
    pub fn options(&self) -> &LiveOptions {
        &self.inner.options
    }

    /// Ends all streams.
    pub fn stop(&self) {
        self.inner.stopping.send_replace(true);
    }

    /// Returns the right to open a stream.
    ///
    /// # Errors
    ///
    /// The server, the organisation or the caller has too many streams.
    pub fn acquire(&self, sharer: &Sharer) -> Result<StreamPermit, Full> {
        self.inner
            .slots
            .acquire(self.options(), sharer)
            .map(|slot| StreamPermit { _slot: slot })
    }

    /// Opens a stream.
    ///
    /// # Errors
    ///
    /// The scope is refused, or the database does not answer.
    pub async fn open(&self, request: StreamRequest, permit: StreamPermit) -> Result<LiveStream, OpenError> {
        let StreamRequest {
            principal,
            rules,
            asked_scope,
            filter,
            resume,
        } = request;
        let question = Question::new(principal, asked_scope, filter.into(), rules)?;
        let head = self.inner.store.log_head(question.scoped.org()).await?;
        let is_replayed = match (&head, resume) {
            (Some(head), Some(position)) => self.inner.is_replayed(&question, head, position).await?,
            (None, position) => position == Some(0),
            (Some(_), None) => false,
        };
        let head = head.map_or(0, |head| head.seq);
        let retry = self.options().retry;
        let (position, beginning) = match resume {
            None => (head, event::beginning(retry, Some(head))),
            Some(position) if is_replayed => (position, event::beginning(retry, None)),
            Some(_) => (
                head,
                [event::beginning(retry, None), event::reset(head)]
                    .concat()
                    .into(),
            ),
        };
        let id = self.inner.opened.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat::new(
            id,
            question,
            position,
            head,
            self.options().buffer_bytes,
        ));
        seat.queue.push(position, beginning);
        feeder::bring_to_hub(&self.inner, &seat);
        Ok(LiveStream {
            live: self.clone(),
            seat,
            _permit: permit,
        })
    }
}

impl Inner {
    fn hubs(&self) -> MutexGuard<'_, HashMap<OrgId, Arc<Hub>>> {
        // No code panics while it holds the lock, so the map is never half changed.
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the rows after the position are replayed: it is not after the head, and the rows are not too many.
    async fn is_replayed(
        &self,
        question: &Question,
        head: &LogHead,
        position: i64,
    ) -> Result<bool, StoreError> {
        let _permit = self.replays.acquire(&question.sharer()).await;
        let has_too_many = self
            .store
            .has_more_rows(head.org, position, self.options.replay_records);
        Ok(position <= head.seq && !has_too_many.await?)
    }

    /// Gives the hub of its organisation a stream that has received everything up to the hub's place.
    ///
    /// # Errors
    ///
    /// The place of the hub, if the stream is not there yet.
    fn join(self: &Arc<Self>, seat: &Arc<Seat>) -> Result<(), i64> {
        let org = seat.org();
        let mut hubs = self.hubs();
        if let Some(hub) = hubs.get(&org) {
            return hub.join(seat);
        }
        let position = seat.queue.position();
        if position < seat.target() {
            return Err(seat.target());
        }
        let hub = Arc::new(Hub::new(org.clone(), position, seat));
        hubs.insert(org, Arc::clone(&hub));
        drop(hubs);
        self.store.runtime().spawn(hub.run(Arc::clone(self)));
        Ok(())
    }

    /// Removes a hub without streams. Returns false if it has one.
    fn remove_if_empty(&self, hub: &Arc<Hub>) -> bool {
        let mut hubs = self.hubs();
        if !hub.is_empty() {
            return false;
        }
        if hubs.get(hub.org()).is_some_and(|other| Arc::ptr_eq(other, hub)) {
            hubs.remove(hub.org());
        }
        true
    }

    fn leave(&self, seat: &Seat) {
        let hub = self.hubs().get(&seat.org()).cloned();
        if let Some(hub) = hub {
            hub.leave(seat.id);
        }
    }
}

impl LiveStream {
    /// Waits for events. Returns the reason after the last one.
    pub async fn next(&self) -> Result<Bytes, EndReason> {
        let mut stopping = self.live.inner.stopping.subscribe();
        tokio::select! {
            biased;
            // An error is impossible: the sender belongs to the streams.
            _ = stopping.wait_for(|stopping| *stopping) => Err(EndReason::Stopping),
            taken = self.seat.queue.take() => match taken {
                Taken::Events(bytes) => Ok(bytes),
                Taken::End(reason) => Err(reason),
            },
        }
    }

    /// A comment, with the position up to which the client has received everything.
    pub fn heartbeat(&self) -> Bytes {
        event::heartbeat(self.seat.queue.taken_through())
    }

    /// The last comment of a stream.
    pub fn farewell(reason: EndReason) -> Bytes {
        event::comment(&reason.to_string())
    }

    /// A number between 0 and 1 that differs between streams, to spread their work over time.
    pub fn spread(&self) -> f64 {
        // The fraction of a multiple of the golden ratio: neighbours are far apart.
        (self.seat.id as f64 * 0.618_033_988_749_894_9).fract()
    }

    /// Gives the stream the present rights of its caller.
    ///
    /// # Errors
    ///
    /// The caller may not have the scope any more.
    pub fn renew(&self, principal: Principal, rules: ReachRules) -> Result<(), ScopeError> {
        self.seat.renew(principal, rules)
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        self.seat.queue.end(EndReason::Left);
        self.live.inner.leave(&self.seat);
    }
}
