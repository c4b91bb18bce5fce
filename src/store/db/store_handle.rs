//! The handle to everything that is stored: connections, the clock, and what one process remembers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell};

use crate::base::CursorKey;
use crate::base::clock::Clock;
use crate::base::ids::OrgId;
use crate::log::VerbTable;

use super::column_cache::ColumnCache;
use super::commits::CommitSignal;
use super::consistent_through::ConsistentThrough;
use super::database::{Db, Engine, Sql};
use super::key_cache::KeyCache;
use super::migrations::{SchemaState, needed_version};
use super::opening::DatabaseSettings;
use super::sqlite_file::ServingLock;
use super::writing_gate::WritingGates;
use super::{StoreError, WriteFault};

/// The maximum number of cached keys of organisations. Beyond it the cache is emptied.
const MAX_REMEMBERED_ORGANISATIONS: usize = 100_000;

/// The handle to the database, cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// The database with other reads: on the replica ([`Store::on_replica`]), or at one moment
    /// ([`Store::at_one_moment`]).
    reads: Option<Arc<Db>>,
}

struct Inner {
    db: Db,
    clock: Clock,
    verbs: VerbTable,
    runtime: Handle,
    organisations: Mutex<RememberedKeys>,
    consistent_through: ConsistentThrough,
    commits: CommitSignal,
    gates: WritingGates,
    cursor_key: OnceCell<CursorKey>,
    key_cache: KeyCache,
    columns: Arc<ColumnCache>,
    /// How long a writer waits for the lock of its organisation.
    wait: Duration,
    /// Notified when contents are marked to be projected again, or persons to give activities away.
    reprojection: Notify,
    /// Notified when a run was requested by hand.
    sending: Notify,
    /// Notified when an import was sent or has ended.
    importing: Notify,
    /// Notified when a subscription was changed.
    subscriptions: Notify,
}

/// Keys of organisations by id. An organisation is never removed, so an entry stays valid as long as the database loses no
/// commit. It can lose some only in a fail-over, which breaks the connections.
#[derive(Default)]
struct RememberedKeys {
    by_id: HashMap<OrgId, i64>,
    /// How many connections had failed when the first key was stored.
    failed_connections: u64,
}

impl Store {
    /// Connects, without touching the schema. It is called within a Tokio runtime that outlives the store, since
    /// streams of rows run on it.
    ///
    /// # Errors
    ///
    /// The URL names no known database, or no connection can be made.
    pub async fn open(
        settings: &DatabaseSettings,
        clock: Clock,
        verbs: VerbTable,
    ) -> Result<Self, StoreError> {
        let db = Db::open(settings).await?;
        let inner = Inner {
            db,
            clock,
            verbs,
            runtime: Handle::current(),
            organisations: Mutex::default(),
            consistent_through: ConsistentThrough::default(),
            commits: CommitSignal::default(),
            gates: WritingGates::new(settings.waiting_writers_per_organisation),
            cursor_key: OnceCell::new(),
            key_cache: KeyCache::default(),
            columns: ColumnCache::new(settings.counting_memory_bytes),
            wait: settings.wait,
            reprojection: Notify::new(),
            sending: Notify::new(),
            importing: Notify::new(),
            subscriptions: Notify::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            reads: None,
        })
    }

    /// Sets the metrics of the connections to their present numbers.
    pub fn measure_pools(&self) {
        self.inner.db.measure_pools();
    }

    /// Whether there is a replica for reads.
    pub fn has_replica(&self) -> bool {
        matches!(self.inner.db, Db::Postgres { replica: Some(_), .. })
    }

    /// A handle that reads from the replica, if there is one and it has everything that is stored now. Otherwise the same
    /// handle.
    pub async fn on_replica(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            reads: self.inner.db.on_replica().await.map(Arc::new),
        }
    }

    /// A handle that reads from this database.
    pub(super) fn with_reads(&self, reads: Db) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            reads: Some(Arc::new(reads)),
        }
    }

    /// A handle that reads from the primary.
    pub(crate) fn on_primary(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            reads: None,
        }
    }

    /// Brings the schema up to this binary's version.
    ///
    /// # Errors
    ///
    /// A migration fails, or the database was migrated by a newer binary.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.inner.db.migrate().await
    }

    /// Compares the database's schema with this binary's.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.inner.db.schema_state().await
    }

    /// The version of the schema that this binary needs.
    pub fn schema_version(&self) -> i64 {
        needed_version()
    }

    /// What prevents every write at the moment. Asks the database at most once a second.
    pub async fn write_fault(&self) -> Option<WriteFault> {
        self.inner.db.write_fault().await
    }

    /// Locks the database for one server, where it can have only one: a file of SQLite.
    ///
    /// # Errors
    ///
    /// [`StoreError::Served`] if another server has locked it.
    pub fn lock_for_serving(&self) -> Result<Option<ServingLock>, StoreError> {
        match self.db() {
            Db::Sqlite { file: Some(file), .. } => file.lock(),
            Db::Sqlite { file: None, .. } | Db::Postgres { .. } => Ok(None),
        }
    }

    /// Whether `serve` migrates this database without being told to: true for SQLite.
    pub fn migrates_itself(&self) -> bool {
        self.db().engine() == Engine::Sqlite
    }

    /// The key that encrypts cursors. It is read from the database at its first use.
    ///
    /// # Errors
    ///
    /// The database does not answer, or it was not migrated.
    pub async fn cursor_key(&self) -> Result<&CursorKey, StoreError> {
        let load = async || {
            let select = Sql::new("SELECT secret FROM cursor_keys WHERE id = 1");
            let row: Option<(Vec<u8>,)> = self.db().fetch_row(select).await?;
            let (secret,) = row.ok_or(StoreError::Invariant("the database has no key of cursors"))?;
            CursorKey::new(&secret).map_err(|error| StoreError::corrupt("key of cursors", error))
        };
        self.inner.cursor_key.get_or_try_init(load).await
    }

    /// Closes all connections. The recorder must be finished before.
    pub async fn close(&self) {
        self.inner.db.close().await;
    }

    /// The clock that gives every time and new id.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The table of verbs that the projection reads.
    pub fn verbs(&self) -> &VerbTable {
        &self.inner.verbs
    }

    pub(crate) fn db(&self) -> &Db {
        self.reads.as_deref().unwrap_or(&self.inner.db)
    }

    /// The database for queries that may take long: they count or sort many rows.
    pub(crate) fn long_db(&self) -> Db {
        self.db().for_long_queries()
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.inner.runtime
    }

    /// Notified when contents are marked to be projected again, or persons to give activities away.
    pub(crate) fn reprojection(&self) -> &Notify {
        &self.inner.reprojection
    }

    /// Notified when a run was requested by hand.
    pub(crate) fn sending(&self) -> &Notify {
        &self.inner.sending
    }

    /// The signal of commits.
    pub(crate) fn commits(&self) -> &CommitSignal {
        &self.inner.commits
    }

    /// Notified when an import was sent or has ended.
    pub(crate) fn importing(&self) -> &Notify {
        &self.inner.importing
    }

    /// Notified when a subscription was changed.
    pub(crate) fn subscriptions_changed(&self) -> &Notify {
        &self.inner.subscriptions
    }

    pub(super) fn writers(&self) -> &ConsistentThrough {
        &self.inner.consistent_through
    }

    pub(super) fn key_cache(&self) -> &KeyCache {
        &self.inner.key_cache
    }

    /// The columns from which the log is counted.
    pub(crate) fn column_cache(&self) -> &Arc<ColumnCache> {
        &self.inner.columns
    }

    pub(super) fn gates(&self) -> &WritingGates {
        &self.inner.gates
    }

    /// How long a writer waits for the lock of its organisation.
    pub(crate) fn wait(&self) -> Duration {
        self.inner.wait
    }

    /// The remembered keys. They are forgotten when a connection has failed.
    fn remembered_keys(&self) -> MutexGuard<'_, RememberedKeys> {
        // A handle of the replica forgets for the same reasons: the keys belong to the primary.
        let failed_connections = self.inner.db.failed_connections();
        let keys = self.inner.organisations.lock();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        if keys.failed_connections != failed_connections || keys.by_id.len() > MAX_REMEMBERED_ORGANISATIONS {
            *keys = RememberedKeys {
                by_id: HashMap::new(),
                failed_connections,
            };
        }
        keys
    }

    pub(super) fn remembered_key(&self, organisation: &OrgId) -> Option<i64> {
        self.remembered_keys().by_id.get(organisation).copied()
    }

    pub(super) fn remember_key(&self, organisation: &OrgId, key: i64) {
        self.remembered_keys().by_id.insert(organisation.clone(), key);
    }

    pub(super) fn forget_key(&self, organisation: &OrgId) {
        self.remembered_keys().by_id.remove(organisation);
    }
}
