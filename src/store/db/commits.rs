//! The commit signal: wakes those that wait for new records of an organisation.
//!
//! A subscriber gets the numbers of the last commit that this process knows. They are a hint: a subscriber reads the
//! tables to learn what was committed. It subscribes first, then reads, then waits for a change. So it misses nothing.
//!
//! The numbers come in three ways:
//!
//! 1. A commit of this process is noted after it ([`CommitSignal::note`]).
//! 2. On PostgreSQL, replicas tell each other by `NOTIFY` ([`announcer`]). A commit does not do so itself, because a
//!    transaction that notifies holds a lock of the whole server while it commits. One task of each replica announces
//!    the commits of all organisations together, a few times in a second.
//! 3. One query reads the ledgers of all organisations with subscribers every [`POLL_EVERY`]. It finds what the others
//!    did not tell: a replica that ended between its commit and the announcement, a lost connection, a pooler that does
//!    not pass notifications on, and another process that writes to the same file of SQLite.

mod announcer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::base::ids::OrgId;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};

/// The time between two readings of the ledgers. A commit that no other way announces is known after this time.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// The maximum number of organisations whose commits wait for an announcement. The others are found by the next reading
/// of the ledgers.
const MAX_WAITING: usize = 10_000;

columns! {
    /// The numbers of an organisation's ledger after a commit.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct Committed {
        /// The last number in the order of recording.
        pub(crate) seq: i64 = "seq",
        /// The version of the directory.
        pub(crate) directory: i64 = "directory",
    }
}

impl Committed {
    /// The later one of each number.
    fn max(self, other: Self) -> Self {
        Self {
            seq: self.seq.max(other.seq),
            directory: self.directory.max(other.directory),
        }
    }
}

/// The signal of one process.
#[derive(Debug, Default)]
pub(crate) struct CommitSignal {
    /// The subscribed organisations by key.
    subscribed: Mutex<HashMap<i64, watch::Sender<Committed>>>,
    /// Notified when an organisation gets its first subscriber.
    first_subscriber: Notify,
    /// Whether a task announces the commits of this process.
    is_announced: AtomicBool,
    /// The commits of this process that are not announced yet, by the key of the organisation.
    waiting: Mutex<HashMap<i64, Committed>>,
    /// Notified when a commit waits for its announcement.
    has_waiting: Notify,
}

impl CommitSignal {
    fn subscribed(&self) -> MutexGuard<'_, HashMap<i64, watch::Sender<Committed>>> {
        // No code panics while it holds the lock, so the map is never half changed.
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<i64, Committed>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last commit of the organisation with this key, and its changes. The numbers are 0 until one is known.
    pub(crate) fn subscribe(&self, org: i64) -> watch::Receiver<Committed> {
        let mut subscribed = self.subscribed();
        let receiver = subscribed.entry(org).or_default().subscribe();
        drop(subscribed);
        self.first_subscriber.notify_one();
        receiver
    }

    /// Notes a commit of this process.
    pub(crate) fn note(&self, org: i64, committed: Committed) {
        self.publish(org, committed);
        if !self.is_announced.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.len() < MAX_WAITING || waiting.contains_key(&org) {
            waiting.insert(org, committed);
        }
        drop(waiting);
        self.has_waiting.notify_one();
    }

    /// Takes the commits that wait for an announcement.
    fn take_waiting(&self) -> HashMap<i64, Committed> {
        std::mem::take(&mut self.waiting())
    }

    /// Wakes the subscribers of the organisation if they do not know this commit.
    fn publish(&self, org: i64, committed: Committed) {
        if let Some(sender) = self.subscribed().get(&org) {
            sender.send_if_modified(|known| {
                let latest = known.max(committed);
                std::mem::replace(known, latest) != latest
            });
        }
    }

    /// What is known of the organisations with subscribers. Forgets the other ones.
    fn known(&self) -> HashMap<i64, Committed> {
        let mut subscribed = self.subscribed();
        subscribed.retain(|_, sender| sender.receiver_count() > 0);
        let known = subscribed.iter();
        known.map(|(org, sender)| (*org, *sender.borrow())).collect()
    }

    /// Wakes the subscribers of the organisation if its ledger says something else than they know.
    ///
    /// `before` was known before the ledger was read. Smaller numbers are believed if nothing has changed since then:
    /// the database has lost commits in a fail-over.
    fn publish_ledger(&self, org: i64, before: Committed, ledger: Committed) {
        if let Some(sender) = self.subscribed().get(&org) {
            sender.send_if_modified(|known| {
                let present = if *known == before {
                    ledger
                } else {
                    known.max(ledger)
                };
                std::mem::replace(known, present) != present
            });
        }
    }
}

/// Receives the signal of one organisation.
pub struct CommitReceiver(watch::Receiver<Committed>);

impl CommitReceiver {
    /// Waits for a commit after the subscription and after the last call.
    pub async fn changed(&mut self) {
        // An error means that the store is gone.
        let _ = self.0.changed().await;
    }
}

impl Store {
    /// Subscribes to the commits of an organisation. `None` if it does not exist yet.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn subscribe_to_commits(
        &self,
        organisation: &OrgId,
    ) -> Result<Option<CommitReceiver>, StoreError> {
        let org = self.organisation_key(organisation).await?;
        Ok(org.map(|org| CommitReceiver(self.commits().subscribe(org))))
    }

    /// Watches the commits of all processes, until the future is dropped. Each server runs it once.
    pub(crate) async fn watch_commits(&self) {
        tokio::join!(self.read_ledgers_repeatedly(), self.announce_commits());
    }

    async fn read_ledgers_repeatedly(&self) {
        loop {
            let known = self.commits().known();
            if known.is_empty() {
                self.commits().first_subscriber.notified().await;
            } else if let Err(error) = self.read_ledgers(&known).await {
                tracing::debug!(%error, "the ledgers could not be read for the commit signal");
            }
            sleep(POLL_EVERY).await;
        }
    }

    async fn read_ledgers(&self, known: &HashMap<i64, Committed>) -> Result<(), StoreError> {
        let mut sql = Sql::new("SELECT org, ");
        sql.push(Committed::COLUMNS).push(" FROM ledgers WHERE org");
        sql.any_of(known.keys().copied().collect::<Vec<i64>>());
        for row in self.db().fetch_all(sql).await? {
            let (org, ledger) = (row.get::<i64>(0)?, Committed::read_from(&row, 1)?);
            if let Some(before) = known.get(&org) {
                self.commits().publish_ledger(org, *before, ledger);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::ids::OrgId;
    use crate::log::VerbTable;
    use crate::store::db::opening::DatabaseSettings;

    async fn open_store(folder: &tempfile::TempDir) -> Store {
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let settings = DatabaseSettings::new(url);
        let opened = Store::open(&settings, Clock::system(), VerbTable::default()).await;
        let store = opened.unwrap();
        store.migrate().await.unwrap();
        store
    }

    #[tokio::test]
    async fn commit_of_another_process_is_known_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let (reader, writer) = (open_store(&folder).await, open_store(&folder).await);
        let id: OrgId = "acme".parse().unwrap();
        let tx = writer.write(&id).await.unwrap();
        let org = tx.org;
        tx.commit().await.unwrap();
        let watching = tokio::spawn({
            let reader = reader.clone();
            async move { reader.watch_commits().await }
        });
        let mut receiver = reader.commits().subscribe(org);
        for _ in 1..=2 {
            let mut tx = writer.write(&id).await.unwrap();
            let number = tx.next_seq();
            tx.directory_changed();
            tx.commit().await.unwrap();
            let directory = writer.directory_version(org).await.unwrap().number.unwrap();
            let expected = Committed {
                seq: number,
                directory,
            };
            let changed = receiver.wait_for(|known| *known == expected);
            let changed = tokio::time::timeout(Duration::from_secs(1), changed).await;
            assert_eq!(*changed.unwrap().unwrap(), expected);
        }
        watching.abort();
    }

    fn committed(seq: i64) -> Committed {
        Committed { seq, directory: 1 }
    }

    #[tokio::test]
    async fn subscribers_of_the_organisation_are_woken_by_a_later_commit_only() {
        let signal = CommitSignal::default();
        let (mut first, mut second) = (signal.subscribe(1), signal.subscribe(1));
        let other = signal.subscribe(2);
        signal.note(1, committed(5));
        for receiver in [&mut first, &mut second] {
            assert!(receiver.has_changed().unwrap());
            assert_eq!(*receiver.borrow_and_update(), committed(5));
        }
        signal.note(1, committed(4));
        signal.publish(1, committed(5));
        assert!(!first.has_changed().unwrap());
        assert!(!other.has_changed().unwrap());
    }

    #[test]
    fn ledger_is_believed_unless_a_commit_came_meanwhile() {
        let signal = CommitSignal::default();
        let receiver = signal.subscribe(1);
        signal.note(1, committed(5));
        signal.publish_ledger(1, committed(5), committed(3));
        assert_eq!(*receiver.borrow(), committed(3), "a fail-over lost commits");
        signal.note(1, committed(7));
        signal.publish_ledger(1, committed(3), committed(6));
        assert_eq!(*receiver.borrow(), committed(7), "the ledger was read before");
    }

    #[test]
    fn organisations_without_subscribers_are_forgotten() {
        let signal = CommitSignal::default();
        let receiver = signal.subscribe(1);
        drop(signal.subscribe(2));
        assert_eq!(signal.known().into_keys().collect::<Vec<_>>(), [1]);
        drop(receiver);
        assert!(signal.known().is_empty());
        assert!(signal.take_waiting().is_empty());
    }
}
