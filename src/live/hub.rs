//! The hub of an organisation: reads new rows once for all of its streams.
//!
//! A pass begins when the commit signal wakes the hub. It reads the new rows, finds the streams that may see one of them
//! ([`super::audience`]), and runs the query of the log for these streams, once for equal questions. It renders each
//! visible row once. Then the hub pauses, so that at full speed of recording one pass serves many commits.
//!
//! The hub has a place: it has read every row up to it. A stream joins when it has received everything up to this place.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, SemaphorePermit, watch};
use tokio::time::{Instant, sleep};

use super::audience::{Audience, needs_managers};
use super::queue::EndReason;
use super::seat::{Question, Seat};
use super::{Inner, event, feeder};
use crate::access::Principal;
use crate::base::ids::{OrgId, UserId};
use crate::store::{
    Committed, LogHead, Lookups, NewRow, PageLimits, StoreError, VisibleRows, skip_unreadable,
};

/// The maximum number of rows of a pass.
const PASS_ROWS: usize = 5_000;
/// The maximum number of rows and of bytes that are rendered at once.
pub(super) const RENDERED: PageLimits = PageLimits {
    rows: 1_000,
    bytes: 4 * 1024 * 1024,
};
/// The shortest pause between two passes.
const PAUSE: Duration = Duration::from_millis(50);
/// The pause after a failure of the database.
pub(super) const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// How often a hub looks whether its organisation exists.
const LOOK_FOR_ORGANISATION: Duration = Duration::from_millis(500);

/// The hub of one organisation.
pub(super) struct Hub {
    org: OrgId,
    state: Mutex<State>,
    /// Notified when the last stream leaves.
    is_empty: Notify,
}

struct State {
    /// The place: every row up to it is read, or is read by the present pass.
    position: i64,
    seats: HashMap<u64, Arc<Seat>>,
}

/// The signal of the organisation with this key.
struct Subscription {
    org: i64,
    receiver: watch::Receiver<Committed>,
}

/// Streams with the same question.
struct Group {
    question: Arc<Question>,
    seats: Vec<Arc<Seat>>,
}

impl Hub {
    /// A hub with its first stream. Its task must be started ([`Hub::run`]).
    pub(super) fn new(org: OrgId, position: i64, seat: &Arc<Seat>) -> Self {
        Self {
            org,
            state: Mutex::new(State {
                position,
                seats: HashMap::from([(seat.id, Arc::clone(seat))]),
            }),
            is_empty: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, so the state is never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn org(&self) -> &OrgId {
        &self.org
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().seats.is_empty()
    }

    /// Takes a stream that has received everything up to the place of the hub.
    ///
    /// # Errors
    ///
    /// The place, if the stream is before it.
    pub(super) fn join(&self, seat: &Arc<Seat>) -> Result<(), i64> {
        let mut state = self.lock();
        if seat.queue.position() < state.position {
            return Err(state.position);
        }
        state.seats.insert(seat.id, Arc::clone(seat));
        Ok(())
    }

    pub(super) fn leave(&self, id: u64) {
        let mut state = self.lock();
        state.seats.remove(&id);
        if state.seats.is_empty() {
            drop(state);
            self.is_empty.notify_one();
        }
    }

    /// Serves the streams until the last one has left.
    pub(super) async fn run(self: Arc<Self>, live: Arc<Inner>) {
        let mut commits = None;
        loop {
            let begin = Instant::now();
            let outcome = self.pass(&live, &mut commits).await;
            if live.remove_if_empty(&self) {
                return;
            }
            let is_complete = match outcome {
                Ok(is_complete) => is_complete,
                Err(error) => {
                    tracing::warn!(organisation = %self.org, %error, "the live streams wait for the database");
                    sleep(FAILURE_PAUSE).await;
                    false
                }
            };
            // A slow pass is followed by a long pause, so the hub never keeps the database busy.
            sleep(PAUSE.max(begin.elapsed() / 2)).await;
            match &mut commits {
                Some(commits) if is_complete => tokio::select! {
                    // The signal never ends while it has a receiver.
                    _ = commits.receiver.changed() => {}
                    () = self.is_empty.notified() => {}
                },
                Some(_) => {}
                None => sleep(LOOK_FOR_ORGANISATION).await,
            }
        }
    }

    /// Reads the new rows and gives them to the streams. Returns false if there are more.
    async fn pass(&self, live: &Arc<Inner>, commits: &mut Option<Subscription>) -> Result<bool, StoreError> {
        let before = self.lock().position;
        let permit = live.query_permit().await;
        let Some(head) = live.store.log_head(&self.org).await? else {
            return Ok(true);
        };
        // After a fail-over that lost commits, an organisation can have another key.
        if commits.as_ref().is_none_or(|commits| commits.org != head.org) {
            let receiver = live.store.subscribe_to(&head);
            *commits = Some(Subscription {
                org: head.org,
                receiver,
            });
            // What was committed before is read by the next pass.
            return Ok(false);
        }
        let rows = live.store.new_rows(head.org, before, head.seq, PASS_ROWS).await?;
        drop(permit);
        let through = match rows.last() {
            Some(last) if rows.len() == PASS_ROWS => last.seq,
            // After a fail-over that lost commits, the head is before the place. Later numbers are greater.
            _ => head.seq.max(before),
        };
        // From now on, a stream joins only if it has the rows of this pass, and the present streams get them from it.
        let seats = {
            let mut state = self.lock();
            state.position = through;
            state.seats.values().cloned().collect::<Vec<_>>()
        };
        let served = self.serve(live, &head, &rows, seats.clone()).await;
        if let Err(error) = served {
            self.lock().position = before;
            return Err(error);
        }
        for seat in seats {
            if self.lock().seats.contains_key(&seat.id) {
                seat.queue.advance(through);
            }
        }
        Ok(through >= head.seq)
    }

    async fn serve(
        &self,
        live: &Arc<Inner>,
        head: &LogHead,
        rows: &[NewRow],
        seats: Vec<Arc<Seat>>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        check_callers(live, head, &seats).await?;
        let groups = group(seats);
        let with_managers = groups
            .iter()
            .any(|group| needs_managers(&group.question.as_query()));
        let persons = rows.iter().map(|row| row.person).collect();
        let permit = live.query_permit().await;
        let owners = live.store.find_owners(head.org, &persons, with_managers).await?;
        drop(permit);
        let audience = Audience::new(rows, &owners);
        let (mut all, mut answers) = (VisibleRows::none(&self.org), Vec::new());
        for group in groups {
            let question = group.question.as_query();
            let candidates = audience.candidates(&question);
            if candidates.is_empty() {
                continue;
            }
            let _permit = live.query_permit().await;
            let now = live.store.clock().now();
            let visible = live.store.visible_rows(&question, now, candidates).await?;
            all.add(&visible);
            answers.push((group.seats, visible));
        }
        while !all.seqs().is_empty() {
            let permit = live.query_permit().await;
            let (through, events) = live.render(&all).await?;
            drop(permit);
            all.remove_through(through);
            let events: HashMap<i64, Bytes> = events.into_iter().collect();
            for (seats, visible) in &answers {
                let visible = visible.seqs().iter();
                let visible: Vec<(i64, &Bytes)> =
                    visible.filter_map(|seq| Some((*seq, events.get(seq)?))).collect();
                for seat in seats {
                    self.deliver(live, seat, &visible);
                }
            }
        }
        Ok(())
    }

    /// Puts events into the queue of a stream. If they do not fit, the stream leaves the hub until its client has read
    /// them.
    fn deliver(&self, live: &Arc<Inner>, seat: &Arc<Seat>, events: &[(i64, &Bytes)]) {
        // A stream that has left is behind an event that did not fit.
        if !self.lock().seats.contains_key(&seat.id) {
            return;
        }
        let position = seat.queue.position();
        let mut new = events.iter().filter(|(seq, _)| *seq > position);
        let fits = new.all(|(seq, event)| seat.queue.push(*seq, Bytes::clone(event)));
        if !fits {
            // Without this, a slow stream alone at a hub would come back before its client has read anything.
            seat.set_target(self.lock().position);
            self.leave(seat.id);
            feeder::bring_to_hub(live, seat);
        }
    }
}

impl Inner {
    /// Waits for the permit to run a query for a hub.
    pub(super) async fn query_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.queries.acquire().await.ok() // the semaphore is never closed
    }

    /// The events of the first visible rows by their `seq`, and the `seq` up to which they are complete.
    pub(super) async fn render(&self, visible: &VisibleRows) -> Result<(i64, Vec<(i64, Bytes)>), StoreError> {
        let page = self.store.load_visible(visible, RENDERED).await?;
        let mut lookups = Lookups::new(&self.store, visible.org());
        lookups.load(&page.items).await?;
        let now = self.store.clock().now();
        let mut events = Vec::with_capacity(page.items.len());
        for row in &page.items {
            let event = lookups.activity(row, now).and_then(|activity| {
                event::activity(row.seq, &activity).map_err(|error| StoreError::corrupt("activity", error))
            });
            let event = skip_unreadable("activity", || row.id, event)?;
            events.extend(event.map(|event| (row.seq, event)));
        }
        let through = match page.items.last() {
            Some(last) if page.more => last.seq,
            _ => i64::MAX,
        };
        Ok((through, events))
    }
}

/// Streams by question.
fn group(seats: Vec<Arc<Seat>>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
    for seat in seats.into_iter().filter(|seat| !seat.queue.has_ended()) {
        let question = seat.question();
        let equal = by_hash.entry(question.hash()).or_default();
        match equal
            .iter()
            .find(|index| groups[**index].question.equals(&question))
        {
            Some(index) => groups[*index].seats.push(seat),
            None => {
                equal.push(groups.len());
                groups.push(Group {
                    question,
                    seats: vec![seat],
                });
            }
        }
    }
    groups
}

/// Ends the streams of callers that have lost their rights, as far as the organisation's tables show it. So a stream never
/// sends a row that came after its user was deactivated or its credential revoked. The rest is found when the caller is
/// verified again.
pub(super) async fn check_callers(
    live: &Inner,
    head: &LogHead,
    seats: &[Arc<Seat>],
) -> Result<(), StoreError> {
    let (mut users, mut keys) = (BTreeSet::<UserId>::new(), BTreeSet::<String>::new());
    for seat in seats {
        if seat.set_rules(head.reach_rules()).is_err() {
            seat.queue.end(EndReason::Refused);
        }
        match &seat.question().principal {
            Principal::Credential(credential) => drop(keys.insert(credential.key.clone())),
            principal => {
                let user = principal.user().filter(|_| !seat.is_checked(head.directory));
                users.extend(user.cloned());
            }
        }
    }
    let (mut deactivated, mut valid) = (BTreeSet::new(), BTreeSet::new());
    if !users.is_empty() {
        let _permit = live.query_permit().await;
        deactivated = live.store.find_deactivated(head.org, &users).await?;
    }
    if !keys.is_empty() {
        let _permit = live.query_permit().await;
        valid = live.store.find_valid_credentials(head.org, &keys).await?;
    }
    for seat in seats {
        let is_refused = match &seat.question().principal {
            Principal::Credential(credential) => !valid.contains(&credential.key),
            principal => principal.user().is_some_and(|user| deactivated.contains(user)),
        };
        if is_refused {
            seat.queue.end(EndReason::Refused);
        }
        seat.set_checked(head.directory);
    }
    Ok(())
}
