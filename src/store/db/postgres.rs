//! Connections to PostgreSQL. Nothing waits for the database without a limit.
//!
//! Each query has a limit by its [`Work`]. The database ends a statement at its limit, and this process stops waiting a
//! little later. Then the database or the network is silent: the connection is closed at once and never returns to the
//! pool, and all idle connections are tested.
//!
//! A replica that freezes, or loses its network, cannot hold a lock for long: the database ends transactions that are
//! idle, and connections that do not answer. Transactions set these limits for themselves (`SET LOCAL`) in the round trip
//! of `BEGIN`, so they also hold where a pooler lends a connection for each transaction.
//!
//! Behind such a pooler ([`DatabaseSettings::behind_transaction_pooler`]) nothing outlives a transaction: each query runs
//! in one, no statement has a name, and a connection is not set up.

mod beginning;
mod connecting;
mod health;
mod hosts;
mod identity;
mod lease;
mod limits;
mod moment;
mod reading;
mod unlimited;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::opening::DatabaseSettings;
use crate::store::db::pool_metrics::{self, PoolSize};

use connecting::{check_identity, connect_error, refuse_standby, set_up_connection, set_up_text, test};
use health::Health;
pub(super) use hosts::Hosts;
pub(crate) use identity::Identity;
pub(super) use lease::within;
pub(crate) use lease::{Lease, PostgresTx, Read};
use limits::Limits;
pub(crate) use limits::{READ_SCANS, Work};
use moment::Moment;
use reading::MOST_SECOND_TRIES;

/// The name of this program in the database's list of connections.
const APPLICATION: &str = "rollbook";
/// How much longer than the database this process waits for the end of a statement. If the network works, the database
/// ends the statement first, and the connection can be used again.
const GRACE: Duration = Duration::from_secs(1);
/// The time within which a connection is ready for another use, or is closed.
const RETURN_TIME: Duration = Duration::from_secs(2);
/// The time within which all connections are closed when the server stops.
const CLOSE_TIME: Duration = Duration::from_secs(5);
/// The first pause before a connection is opened again. It doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause before a connection is opened again.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a read waits for a connection to the replica before it goes to the primary.
const REPLICA_TIME: Duration = Duration::from_secs(1);
/// How often a read is tried when connections break.
const READ_ATTEMPTS: usize = 3;

/// A pool of connections, cheap to clone.
///
/// The runtime that opens a connection also drives it. The threads that answer requests have separate runtimes, which end
/// before the store is closed, so all connections are opened on the runtime of the store.
#[derive(Clone)]
pub(crate) struct PostgresPool {
    pool: PgPool,
    hosts: Arc<Hosts>,
    /// Whether one of several hosts must be the primary.
    needs_primary: bool,
    /// The place of the host to which new connections lead.
    place: Arc<AtomicUsize>,
    home: Handle,
    health: Arc<Health>,
    limits: Limits,
    second_tries: Arc<Semaphore>,
    /// The kind of work that its queries do.
    work: Work,
    /// Whether its queries may write.
    access: Access,
    /// Whether a pooler lends a connection to the database for each transaction.
    is_behind_pooler: bool,
    /// The pool of the primary, if this is one of a replica. It takes the reads that fail here.
    fallback: Option<Arc<PostgresPool>>,
    /// The moment that all queries read, if it is not the present.
    moment: Option<Arc<Moment>>,
}

/// Whether the queries of a pool may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

impl PostgresPool {
    /// Opens a pool for transactions that write.
    pub(super) async fn open_for_writing(
        settings: &DatabaseSettings,
        hosts: &Arc<Hosts>,
        connections: u32,
    ) -> Result<Self, StoreError> {
        let pool = Self::new(settings, Arc::clone(hosts), connections, Access::Write, None);
        pool.connect().await
    }

    /// Opens a pool for queries outside of transactions.
    pub(super) async fn open_for_reading(
        settings: &DatabaseSettings,
        hosts: &Arc<Hosts>,
        connections: u32,
    ) -> Result<Self, StoreError> {
        let pool = Self::new(settings, Arc::clone(hosts), connections, Access::Read, None);
        pool.connect().await
    }

    /// A pool of the replica at `url`, without a connection yet. Each connection must lead to the database of `identity`.
    pub(super) fn for_replica(
        settings: &DatabaseSettings,
        url: &str,
        primary: &Self,
        identity: Arc<Identity>,
    ) -> Result<Self, StoreError> {
        let connections = settings.connections;
        let hosts = Arc::new(Hosts::from_url(url, settings.behind_transaction_pooler)?);
        let mut pool = Self::new(settings, hosts, connections, Access::Read, Some(identity));
        pool.fallback = Some(Arc::new(primary.clone()));
        Ok(pool)
    }

    /// Opens the first connection.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreachable`] if another try may succeed.
    async fn connect(self) -> Result<Self, StoreError> {
        match self.pool.acquire().await {
            Ok(connection) => drop(connection),
            Err(error) => {
                self.pool.close().await;
                return Err(connect_error(&self.hosts.primary(), error));
            }
        }
        Ok(self)
    }

    fn new(
        settings: &DatabaseSettings,
        hosts: Arc<Hosts>,
        connections: u32,
        access: Access,
        identity: Option<Arc<Identity>>,
    ) -> Self {
        let is_behind_pooler = settings.behind_transaction_pooler;
        let needs_primary = hosts.are_several() && identity.is_none();
        let limits = Limits::new(settings);
        let set_up = (!is_behind_pooler).then(|| set_up_text(&limits, access));
        let health = Arc::new(Health::new());
        let observer = Arc::clone(&health);
        // A read waits no longer for a connection to a replica before it goes to the primary.
        let acquire_time = match identity {
            Some(_) => settings.wait.min(REPLICA_TIME),
            None => settings.wait,
        };
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(acquire_time)
            .test_before_acquire(false)
            .before_acquire(move |connection, metadata| {
                let health = Arc::clone(&observer);
                Box::pin(async move {
                    let tested = health.test_idle_one(connection, metadata.idle_for).await;
                    tested.map(|()| true)
                })
            })
            .after_connect(move |connection, _| {
                let (set_up, identity) = (set_up.clone(), identity.clone());
                Box::pin(async move {
                    if let Some(identity) = identity {
                        check_identity(connection, &identity).await?;
                    }
                    if needs_primary {
                        refuse_standby(connection).await?;
                    }
                    match set_up {
                        Some(text) => set_up_connection(connection, text).await,
                        None => Ok(()),
                    }
                })
            })
            .connect_lazy_with(hosts.primary());
        Self {
            pool,
            place: Arc::new(AtomicUsize::new(hosts.primary_place())),
            hosts,
            needs_primary,
            home: Handle::current(),
            health,
            limits,
            second_tries: Arc::new(Semaphore::new(MOST_SECOND_TRIES)),
            work: Work::Short,
            access,
            is_behind_pooler,
            fallback: None,
            moment: None,
        }
    }

    /// How many connections have failed so far, or led to a server that only reads.
    pub(super) fn failed_connections(&self) -> u64 {
        self.health.failed.load(Ordering::SeqCst)
    }

    /// The same pool for queries that do this kind of work.
    pub(super) fn for_work(&self, work: Work) -> Self {
        Self { work, ..self.clone() }
    }

    /// An idle connection, or a new one.
    pub(super) async fn acquire(&self) -> Result<Lease, StoreError> {
        if self.health.is_trusted()
            && let Some(connection) = self.pool.try_acquire()
        {
            return Ok(self.lease(connection));
        }
        self.acquire_tested().await
    }

    /// A connection that has just been tested, or a new one. While connections break, it is tried again until the limit
    /// on waiting.
    pub(super) async fn acquire_tested(&self) -> Result<Lease, StoreError> {
        let begin = Instant::now();
        let deadline = begin + self.limits.wait;
        let mut pause = FIRST_PAUSE;
        loop {
            let acquired = match timeout_at(deadline + pause, self.acquire_or_try_another()).await {
                Ok(acquired) => acquired?,
                Err(_) => Err(sqlx::Error::PoolTimedOut),
            };
            if self.health.is_suspect.load(Ordering::SeqCst) {
                self.test_idle();
            }
            match acquired.map_err(StoreError::from) {
                // At a fixed moment nothing else can answer, so the whole time counts, also for the pool of a replica.
                Err(error)
                    if (error.is_disconnected()
                        || (self.moment.is_some() && matches!(error, StoreError::Unavailable(_))))
                        && Instant::now() + pause < deadline =>
                {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                outcome => {
                    // A wait without a connection counts: it is the longest.
                    pool_metrics::note_wait(self.name(), begin.elapsed());
                    return outcome.map(|connection| self.lease(connection));
                }
            }
        }
    }

    /// Whether all connections are in use and no more may be opened.
    fn is_in_full_use(&self) -> bool {
        self.pool.num_idle() == 0 && self.pool.size() >= self.pool.options().get_max_connections()
    }

    /// A connection from the pool. If that takes half of the time to wait, another one is tried too, and the first one counts:
    /// a connection that is just being opened may be silent.
    async fn acquire_or_try_another(
        &self,
    ) -> Result<Result<PoolConnection<Postgres>, sqlx::Error>, StoreError> {
        let mut first = Box::pin(self.acquire_from_pool());
        if let Ok(acquired) = timeout(self.limits.wait / 2, &mut first).await {
            return acquired;
        }
        if self.is_in_full_use() {
            return first.await;
        }
        match select(first, Box::pin(self.acquire_from_pool())).await {
            Either::Left((Ok(Err(_)), other)) | Either::Right((Ok(Err(_)), other)) => other.await,
            Either::Left((acquired, _)) | Either::Right((acquired, _)) => acquired,
        }
    }

    /// A connection from the pool. The inner error is that of the database. If the pool goes on with another host, the
    /// connection to the former one is given up with an error that is worth another try.
    async fn acquire_from_pool(&self) -> Result<Result<PoolConnection<Postgres>, sqlx::Error>, StoreError> {
        let place = self.place.load(Ordering::SeqCst);
        let pool = self.pool.clone();
        let mut acquiring = self.home.spawn(async move { pool.acquire().await });
        let acquired = if self.needs_primary {
            tokio::select! {
                acquired = &mut acquiring => acquired,
                () = self.hosts.wait_for_another(place, &self.pool, &self.place) => {
                    self.health.count_failure();
                    acquiring.abort();
                    return Ok(Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())));
                }
            }
        } else {
            acquiring.await
        };
        let acquired = acquired.map_err(|_| StoreError::Closed)?; // an error means that the runtime has ended
        if let Err(error) = &acquired {
            self.hosts.change_after(error, &self.pool, &self.place);
        }
        Ok(acquired)
    }

    /// The pool for another try of a read that failed here: the primary's, if this is the pool of a replica.
    fn for_another_try(&self) -> Self {
        match &self.fallback {
            Some(primary) => primary.for_work(self.work),
            None => self.clone(),
        }
    }

    /// [`PostgresPool::acquire`], or a connection to the primary if the replica is away.
    async fn acquire_somewhere(&self) -> Result<Lease, StoreError> {
        let Some(primary) = &self.fallback else {
            return self.acquire().await;
        };
        match timeout(REPLICA_TIME, self.acquire()).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(_)) | Err(_) => primary.acquire().await,
        }
    }

    fn lease(&self, connection: PoolConnection<Postgres>) -> Lease {
        Lease::new(connection, self.clone())
    }

    /// Tests all idle connections and closes those that do not answer. Until then no connection is used untested.
    fn test_idle(&self) {
        if self.health.is_testing.swap(true, Ordering::SeqCst) {
            return;
        }
        let pool = self.clone();
        self.home.spawn(async move {
            let idle: Vec<_> = std::iter::from_fn(|| pool.pool.try_acquire()).collect();
            join_all(idle.into_iter().map(|connection| async {
                let mut lease = pool.lease(connection);
                let works = match lease.connection() {
                    Ok(connection) => test(connection).await.is_ok(),
                    Err(_) => false,
                };
                if !works {
                    lease.discard();
                }
            }))
            .await;
            pool.health.is_suspect.store(false, Ordering::SeqCst);
            pool.health.is_testing.store(false, Ordering::SeqCst);
        });
    }

    /// Closes all idle connections. New ones may lead to another server.
    fn close_idle(&self) {
        while let Some(connection) = self.pool.try_acquire() {
            self.lease(connection).discard();
        }
    }

    /// Runs one statement outside of a transaction and returns the number of rows that it changed.
    pub(super) async fn execute(&self, sql: &Sql) -> Result<u64, StoreError> {
        let (text, arguments) = sql.for_postgres()?;
        if self.is_behind_pooler {
            let mut tx = self.begin().await?;
            let changed = tx.execute(text, arguments).await?;
            tx.commit().await?;
            return Ok(changed);
        }
        let mut lease = self.acquire().await?;
        let limit = self.limits.of_statement(Work::Short) + GRACE;
        lease.execute(text, arguments, limit).await
    }

    /// Checks that transactions are not read-only. Succeeds without a check while all connections are in
    /// use, because their own statements show it.
    pub(super) async fn check_that_it_writes(&self) -> Result<(), StoreError> {
        if self.is_in_full_use() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let select = Sql::new("SELECT 1 WHERE current_setting('transaction_read_only') = 'on'");
        if tx.fetch_all(&select).await?.is_empty() {
            return tx.rollback().await;
        }
        tx.lease()?.observe(Err(StoreError::read_only()))
    }

    /// Whether the database works at a query of the connection with this name. It does not if it waits for this process:
    /// to read what was sent, or to send more.
    pub(super) async fn works_at(&self, name: &str) -> bool {
        let select = Sql::new(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' \
             AND wait_event_type IS DISTINCT FROM 'Client'",
        );
        let rows = self
            .for_work(Work::Short)
            .fetch_all(&select.with(name.to_owned()))
            .await;
        rows.is_ok_and(|rows| !rows.is_empty())
    }

    /// How many connections the pool has.
    pub(super) fn size(&self) -> PoolSize {
        PoolSize::from_pool(&self.pool)
    }

    /// The name of the pool in the metrics.
    fn name(&self) -> &'static str {
        match (self.access, &self.fallback) {
            (_, Some(_)) => "replica",
            (Access::Write, None) => "write",
            (Access::Read, None) => "read",
        }
    }

    /// The time without a piece of a long answer after which it is doubtful whether the connection works.
    pub(super) fn long_limit(&self) -> Duration {
        self.limits.of_read(Work::Long) + GRACE
    }

    /// Closes the pool. What is still in use is left to the end of the process.
    pub(super) async fn close(&self) {
        let _ = timeout(CLOSE_TIME, self.pool.close()).await;
    }
}
