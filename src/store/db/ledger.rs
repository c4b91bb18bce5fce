//! A writing transaction in an organisation's name.
//!
//! Each one locks the organisation's ledger first and holds the lock to its end. So the transactions of an
//! organisation follow each other, on any number of replicas: the order of `seq` is the order of commit, two of them
//! never deadlock, and what a transaction has read is still true when it commits.

mod locking;

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::changes::{PendingChanges, changes_log};
use crate::store::db::columns::{FromRow, TableRow, columns};
use crate::store::db::commits::Committed;
use crate::store::db::consistent_through::Writing;
use crate::store::db::database::{Row, Sql};
use crate::store::db::dialect::Value;
use crate::store::db::key_cache::DirectoryVersion;
use crate::store::db::transaction::Tx;
use crate::store::db::writing_gate::WritingPermit;
use crate::store::db::{Store, StoreError};

/// How long a background task waits for a locked organisation before it continues with the others.
pub(crate) const BACKGROUND_LOCK_WAIT: Duration = Duration::from_millis(500);

/// A writing transaction of an organisation. Without [`OrgTx::commit`] it changes nothing.
pub(crate) struct OrgTx {
    tx: Tx,
    store: Store,
    id: OrgId,
    /// The organisation's key, the first column of every table.
    pub(crate) org: i64,
    ledger: Ledger,
    /// The start of the database's server, see [`CacheVersion`].
    server: i64,
    /// The ledger as it was at the begin of the transaction.
    initial: Ledger,
    writing: Writing,
    /// Whether the background has rows to project again or to move.
    wakes_background: bool,
    /// What the change feeds will show of this transaction.
    pub(super) changes: PendingChanges,
    // Dropped last, after the connection was given back.
    _permit: WritingPermit,
}

columns! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Ledger {
        seq: i64 = "seq",
        keys: i64 = "keys",
        stored: i64 = "stored",
        epoch: i64 = "epoch",
        directory: i64 = "directory",
    }
}

/// A version of what replicas cache of an organisation.
///
/// After a fail-over that lost the last commits, the database assigns the same numbers and keys again, to other things. So
/// the version contains the start of the server: what was cached from one server is not valid for another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheVersion {
    /// The number in the ledger.
    pub(crate) epoch: i64,
    /// The time at which the server of PostgreSQL was started, in microseconds; 0 for SQLite.
    pub(crate) server: i64,
}

/// The tables that decide which persons a caller sees. Every change of them counts.
const DIRECTORY_TABLES: [&str; 6] = [
    "users",
    "teams",
    "memberships",
    "groups",
    "group_members",
    "user_fields",
];

/// Whether the statement can change which users and persons a query over the directory finds. A statement that inserts
/// persons of a user calls [`OrgTx::directory_changed`]: persons without a user are in no reach.
fn changes_directory(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let table = match words.next() {
        Some("UPDATE") => words.next(),
        Some("DELETE" | "INSERT") => words.nth(1),
        _ => None,
    };
    match table {
        Some("persons") => text.contains("user_key") || text.contains("deactivated"),
        Some(table) => DIRECTORY_TABLES.contains(&table),
        None => false,
    }
}

impl OrgTx {
    /// A new key of a person, user, team, group, content or verb.
    pub(crate) fn next_key(&mut self) -> i64 {
        self.ledger.keys += 1;
        self.ledger.keys
    }

    /// The last key that [`OrgTx::next_key`] has given.
    pub(crate) fn last_key(&self) -> i64 {
        self.ledger.keys
    }

    /// The next number in the order of recording, at least the time in microseconds at the first one of a transaction.
    ///
    /// Clients remember numbers as their places in feeds. After a fail-over that lost commits, or in a restored database,
    /// a new number is thus greater than the lost ones.
    pub(crate) fn next_seq(&mut self) -> i64 {
        let next = self.ledger.seq + 1;
        self.ledger.seq = match self.ledger.seq == self.initial.seq {
            true => next.max(self.store.clock().now().micros()),
            false => next,
        };
        self.ledger.seq
    }

    /// Whether a record with this number was recorded before this transaction.
    pub(super) fn is_earlier_record(&self, seq: i64) -> bool {
        seq <= self.initial.seq
    }

    /// The last number in the order of recording.
    pub(crate) fn last_seq(&self) -> i64 {
        self.ledger.seq
    }

    /// The time at which records of this transaction count as stored, in whole milliseconds.
    ///
    /// It is never before the time of an earlier record, even if a replica's clock is slow, and never within the time
    /// that `Consistent-Through` has already declared complete.
    pub(crate) fn stored_now(&mut self) -> Timestamp {
        let now = self.store.clock().now().whole_millisecond().micros();
        self.ledger.stored = self.ledger.stored.max(now).max(self.writing.earliest());
        Timestamp::from_micros(self.ledger.stored)
    }

    /// A moment after everything that is stored so far. What is stored later has this moment or a later one.
    pub(crate) fn next_moment(&mut self) -> Timestamp {
        let next = self.stored_now().next_millisecond();
        self.store_from(next);
        next
    }

    /// Makes later records count as stored at `moment` or later. The moment is at most a millisecond in the future.
    pub(crate) fn store_from(&mut self, moment: Timestamp) {
        self.ledger.stored = self.ledger.stored.max(moment.micros());
    }

    /// The version of what replicas cache. A replica drops its cache when it sees another version.
    pub(crate) fn cache_version(&self) -> CacheVersion {
        CacheVersion {
            epoch: self.ledger.epoch,
            server: self.server,
        }
    }

    /// Makes all replicas drop their caches of this organisation.
    pub(crate) fn invalidate_caches(&mut self) {
        self.ledger.epoch = self.initial.epoch + 1;
    }

    /// Makes the keys that requests have cached for this organisation outdated, see
    /// [`key_cache`](crate::store::db::key_cache).
    ///
    /// The new version is the time, so it is never the version of a commit that was lost in a fail-over.
    pub(crate) fn directory_changed(&mut self) {
        let now = self.store.clock().now().micros();
        self.ledger.directory = now.max(self.initial.directory + 1);
    }

    /// The id of the organisation.
    pub(crate) fn organisation_id(&self) -> &OrgId {
        &self.id
    }

    /// The version of the directory that the queries of this transaction read.
    pub(crate) fn directory_version(&self) -> DirectoryVersion {
        let is_unchanged = self.ledger.directory == self.initial.directory;
        DirectoryVersion {
            org: self.org,
            number: is_unchanged.then_some(self.initial.directory),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) async fn fetch_all(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        self.tx.fetch_all(sql).await
    }

    pub(crate) async fn fetch_optional(&mut self, sql: Sql) -> Result<Option<Row>, StoreError> {
        self.tx.fetch_optional(sql).await
    }

    /// All rows of a query, read as `T`.
    pub(crate) async fn fetch_rows<T: FromRow>(&mut self, sql: Sql) -> Result<Vec<T>, StoreError> {
        self.tx.fetch_rows(sql).await
    }

    /// The first row of a query, read as `T`.
    pub(crate) async fn fetch_row<T: FromRow>(&mut self, sql: Sql) -> Result<Option<T>, StoreError> {
        self.tx.fetch_row(sql).await
    }

    /// The number that a counting query returns.
    pub(crate) async fn count(&mut self, sql: Sql) -> Result<i64, StoreError> {
        self.tx.count(sql).await
    }

    /// Runs a statement and returns the number of rows that it changed.
    pub(crate) async fn execute(&mut self, sql: Sql) -> Result<u64, StoreError> {
        if changes_directory(sql.text()) {
            self.directory_changed();
        }
        if changes_log(sql.text()) {
            return Err(StoreError::Invariant(
                "a row of the log was changed without a number for the change feed",
            ));
        }
        self.tx.execute(sql).await
    }

    /// The transaction itself, for the statements that change rows of the log.
    pub(super) fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Inserts rows into their table.
    pub(crate) async fn insert_rows<T: TableRow>(&mut self, rows: Vec<T>) -> Result<(), StoreError> {
        let rows = rows.into_iter().map(T::into_values).collect();
        self.insert(T::TABLE, T::COLUMNS, rows).await
    }

    pub(crate) async fn insert(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: Vec<Vec<Value>>,
    ) -> Result<(), StoreError> {
        if DIRECTORY_TABLES.contains(&table) && !rows.is_empty() {
            self.directory_changed();
        }
        self.tx.insert(table, columns, rows).await
    }

    /// Lets the following statements take long, since they change many rows.
    pub(crate) async fn allow_long_statements(&mut self) -> Result<(), StoreError> {
        self.tx.allow_long_statements().await
    }

    /// Wakes the background that projects rows again and moves activities, after the commit.
    pub(crate) fn wake_background(&mut self) {
        self.wakes_background = true;
    }

    /// Commits all changes.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.write_changes().await?;
        if self.ledger != self.initial {
            let update = Sql::new(
                "UPDATE ledgers SET seq = $2, keys = $3, stored = $4, epoch = $5, directory = $6 WHERE org = $1",
            );
            let update = update
                .with(self.org)
                .with(self.ledger.seq)
                .with(self.ledger.keys)
                .with(self.ledger.stored)
                .with(self.ledger.epoch)
                .with(self.ledger.directory);
            self.tx.execute(update).await?;
        }
        self.tx.commit().await?;
        if self.ledger != self.initial {
            let Ledger { seq, directory, .. } = self.ledger;
            self.store.commits().note(self.org, Committed { seq, directory });
        }
        if self.wakes_background {
            // Before the commit, the background would find nothing to do.
            self.store.reprojection().notify_one();
        }
        self.store.remember_key(&self.id, self.org);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::changes_directory;
    use crate::base::clock::Clock;
    use crate::base::ids::OrgId;
    use crate::log::VerbTable;
    use crate::store::db::Store;
    use crate::store::db::database::Sql;
    use crate::store::db::opening::DatabaseSettings;

    async fn open_store(folder: &tempfile::TempDir) -> Store {
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let settings = DatabaseSettings::new(url);
        let store = Store::open(&settings, Clock::system(), VerbTable::default())
            .await
            .unwrap();
        store.migrate().await.unwrap();
        store
    }

    #[tokio::test]
    async fn key_that_belongs_to_another_organisation_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(&folder).await;
        let [first, second]: [OrgId; 2] = ["first", "second"].map(|id| id.parse().unwrap());
        let mut keys = Vec::new();
        for id in [&first, &second] {
            let mut tx = store.write(id).await.unwrap();
            keys.push(tx.org);
            tx.next_key();
            tx.commit().await.unwrap();
        }
        // As after a fail-over that lost both, where the second one was created first.
        let mut tx = store.db().begin().await.unwrap();
        for (id, key) in [("other", keys[0]), ("first", keys[1]), ("second", keys[0])] {
            let update = Sql::new("UPDATE organisations SET id = $1 WHERE key = $2");
            tx.execute(update.with(id).with(key)).await.unwrap();
        }
        tx.commit().await.unwrap();
        let tx = store.write(&first).await.unwrap();
        assert_eq!(tx.org, keys[1]);
        drop(tx);
        // A request reads the settings first.
        store.organisation(&second).await.unwrap();
        assert_eq!(store.organisation_key(&second).await.unwrap(), Some(keys[0]));
        let missing: OrgId = "other".parse().unwrap();
        assert_eq!(store.organisation_key(&missing).await.unwrap(), None);
    }

    #[tokio::test]
    async fn number_of_a_lost_commit_is_never_assigned_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(&folder).await;
        let id: OrgId = "first".parse().unwrap();
        let mut last = 0;
        for _ in 0..3 {
            let mut tx = store.write(&id).await.unwrap();
            let numbers = [tx.next_seq(), tx.next_seq()];
            assert_eq!(numbers[1], numbers[0] + 1);
            assert!(numbers[0] > last, "{numbers:?} after {last}");
            last = numbers[1];
            tx.commit().await.unwrap();
            // As after a fail-over that lost the commit.
            let mut tx = store.db().begin().await.unwrap();
            tx.execute(Sql::new("UPDATE ledgers SET seq = 1")).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn version_of_the_directory_is_never_assigned_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(&folder).await;
        let id: OrgId = "first".parse().unwrap();
        let mut versions = Vec::new();
        for _ in 0..2 {
            let mut tx = store.write(&id).await.unwrap();
            let org = tx.org;
            tx.directory_changed();
            tx.commit().await.unwrap();
            versions.push(store.directory_version(org).await.unwrap());
            // As after a fail-over that lost the commit.
            let mut tx = store.db().begin().await.unwrap();
            tx.execute(Sql::new("UPDATE ledgers SET directory = 0"))
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
        assert_ne!(versions[0], versions[1]);
    }

    #[test]
    fn changes_of_the_directory_are_recognised() {
        for text in [
            "UPDATE users SET manager = $3 WHERE org = $1",
            "DELETE FROM memberships WHERE org = $1",
            "INSERT INTO group_members (org) VALUES ($1)",
            "UPDATE persons SET user_key = $2, deactivated = $3 WHERE org = $1 AND key IN LIST($4)",
            "UPDATE persons SET deactivated = $3 WHERE org = $1 AND user_key = $2",
        ] {
            assert!(changes_directory(text), "{text}");
        }
        for text in [
            "UPDATE persons SET name = $3, named_at = $4 WHERE org = $1 AND key = $2",
            "UPDATE activities SET action = $3 WHERE org = $1",
            "DELETE FROM mentions WHERE org = $1",
            "SELECT key FROM users WHERE org = $1",
        ] {
            assert!(!changes_directory(text), "{text}");
        }
    }
}
