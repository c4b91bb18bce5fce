//! Connections to PostgreSQL. Nothing waits for the database without a limit.
//!
//! Each query has a limit by its [`Work`]. The database ends a statement at its limit, and this process stops waiting a
//! little later. Then the database or the network is silent: the connection is closed at once and never returns to the
//! pool, and all idle connections are tested.
//!
//! A replica that freezes, or loses its network, cannot hold a lock for long: the database ends transactions that are
//! idle, and connections that do not answer. Transactions set these limits for themselves (`SET LOCAL`) in the round trip
//! of `BEGIN`, so they also hold where a pooler lends a connection for each transaction.

mod lease;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::base::clock::Clock;
use crate::store::db::StoreError;
use crate::store::db::database::{DatabaseSettings, Row, Sql};

use lease::AllRows;
pub(crate) use lease::{Lease, PostgresTx, Read};

/// The name of this program in the database's list of connections.
const APPLICATION: &str = "rollbook";
/// How long after an answer of the database idle connections are used without a test.
const TRUSTED: Duration = Duration::from_millis(250);
/// The time within which the database answers the test of an idle connection.
const TEST_TIME: Duration = Duration::from_secs(1);
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
/// A short query is tried on a second connection after this part of its limit: a quarter.
const SECOND_TRY_PART: u32 = 4;
/// The most queries of a pool that are tried on a second connection at the same time.
const MOST_SECOND_TRIES: usize = 4;
/// How often a read is tried when connections break.
const READ_ATTEMPTS: usize = 3;

/// The kind of work that a query does. It decides how long the query may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// What an ordinary request does.
    Short,
    /// Exports, summaries, and changes of many rows.
    Long,
}

/// The limits on waiting for the database.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// How long a request waits for a connection or a lock.
    wait: Duration,
    /// How long the begin of a transaction may take. It locks and reads nothing, so a longer silence is a fault.
    begin: Duration,
    short: Duration,
    long: Duration,
    /// How long a transaction may be idle between two statements. It is half of `wait`, so that others that wait for
    /// its locks get them in time.
    idle: Duration,
}

impl Limits {
    fn new(settings: &DatabaseSettings) -> Self {
        Self {
            wait: settings.wait,
            begin: (settings.wait / 4).max(Duration::from_secs(1)),
            short: settings.query_timeout,
            long: settings.long_query_timeout.max(settings.query_timeout),
            idle: (settings.wait / 2).max(Duration::from_secs(1)),
        }
    }

    fn of_read(&self, work: Work) -> Duration {
        match work {
            Work::Short => self.short,
            Work::Long => self.long,
        }
    }

    /// The limit on a statement of a transaction. One that waits for a lock ends by the limit on locks first.
    fn of_statement(&self, work: Work) -> Duration {
        self.of_read(work).max(self.wait + GRACE)
    }
}

/// The settings of PostgreSQL for a kind of connection or transaction, as `SET` statements.
fn limits_text(limits: &Limits, work: Work, set: &str) -> String {
    format!(
        "{set} statement_timeout = {}; {set} lock_timeout = {}; {set} idle_in_transaction_session_timeout = {}",
        limits.of_statement(work).as_millis(),
        limits.wait.as_millis(),
        limits.idle.as_millis()
    )
}

/// Makes the database notice within about 20 seconds that a replica cannot be reached any more.
const KEEPALIVE: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3; \
                         SET tcp_user_timeout = 20000";

/// Makes the database notice during a statement that this process has closed the connection.
const WATCH_CLIENT: &str = "SELECT set_config(name, '2000', false) FROM pg_settings \
                            WHERE name = 'client_connection_check_interval'";

/// The limits on a query whose rows are read as slowly as a client reads. A slow reader looks to TCP like one that is gone,
/// so it has ten minutes.
const STREAM_LIMITS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL tcp_user_timeout = 600000; \
                             SET LOCAL plan_cache_mode = force_custom_plan";

/// The best plan of a filter depends on its values. PostgreSQL would switch to a generic plan after five runs, which can
/// be a thousand times slower.
const CUSTOM_PLANS: &str = "SET plan_cache_mode = force_custom_plan";

/// Whether the connections of a pool work, as far as this process knows.
struct Health {
    began: Instant,
    /// The time of the last answer, in milliseconds after `began`.
    last_answer: AtomicU64,
    /// How many connections have failed, or led to a server that only reads.
    failed: AtomicU64,
    /// Whether a connection has failed, and the idle ones are not tested yet.
    is_suspect: AtomicBool,
    /// Whether a task tests the idle connections.
    is_testing: AtomicBool,
}

impl Health {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            last_answer: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            is_suspect: AtomicBool::new(false),
            is_testing: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn note_answer(&self) {
        self.last_answer.store(self.now(), Ordering::Relaxed);
    }

    /// Makes idle connections be tested before they are used.
    fn mark_as_suspect(&self) {
        self.count_failure();
        self.is_suspect.store(true, Ordering::SeqCst);
    }

    fn count_failure(&self) {
        self.failed.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether an idle connection can be used without a test.
    fn is_trusted(&self) -> bool {
        let age = self
            .now()
            .saturating_sub(self.last_answer.load(Ordering::Relaxed));
        !self.is_suspect.load(Ordering::SeqCst) && u128::from(age) < TRUSTED.as_millis()
    }
}

/// A pool of connections, cheap to clone.
///
/// The runtime that opens a connection also drives it. The threads that answer requests have separate runtimes, which end
/// before the store is closed, so all connections are opened on the runtime of the store.
#[derive(Clone)]
pub(crate) struct PostgresPool {
    pool: PgPool,
    home: Handle,
    health: Arc<Health>,
    limits: Limits,
    second_tries: Arc<Semaphore>,
    /// The kind of work that its queries do.
    work: Work,
}

impl PostgresPool {
    /// Opens a pool for transactions that write.
    pub(super) async fn open_for_writing(
        settings: &DatabaseSettings,
        connections: u32,
    ) -> Result<Self, StoreError> {
        Self::open(settings, connections, Work::Short, "").await
    }

    /// Opens a pool for queries outside of transactions. The database limits all of them as [`Work::Long`]. This process
    /// closes the connection of a short one that takes longer than it may.
    pub(super) async fn open_for_reading(
        settings: &DatabaseSettings,
        connections: u32,
    ) -> Result<Self, StoreError> {
        let pool = Self::open(settings, connections, Work::Long, CUSTOM_PLANS).await?;
        Ok(pool.for_work(Work::Short))
    }

    async fn open(
        settings: &DatabaseSettings,
        connections: u32,
        work: Work,
        more_settings: &str,
    ) -> Result<Self, StoreError> {
        let options = connect_options(&settings.url)?.statement_cache_capacity(256);
        let limits = Limits::new(settings);
        // Not as options of the start: poolers refuse those.
        let set_up = format!(
            "{}; {KEEPALIVE}; {more_settings}",
            limits_text(&limits, work, "SET")
        );
        let health = Arc::new(Health::new());
        let observer = Arc::clone(&health);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(settings.wait)
            .test_before_acquire(false)
            .before_acquire(move |connection, _| {
                let health = Arc::clone(&observer);
                Box::pin(async move {
                    let tested = test(connection).await;
                    if tested.is_err() {
                        health.mark_as_suspect();
                    }
                    tested.map(|()| true)
                })
            })
            .after_connect(move |connection, _| {
                let set_up = set_up.clone();
                Box::pin(async move { set_up_connection(connection, set_up).await })
            })
            .connect_with(options)
            .await
            .map_err(StoreError::Connect)?;
        Ok(Self {
            pool,
            home: Handle::current(),
            health,
            limits,
            second_tries: Arc::new(Semaphore::new(MOST_SECOND_TRIES)),
            work,
        })
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
        let deadline = Instant::now() + self.limits.wait;
        let mut pause = FIRST_PAUSE;
        loop {
            let pool = self.pool.clone();
            let acquired = self.home.spawn(async move { pool.acquire().await });
            let acquired = timeout_at(deadline + pause, acquired).await;
            let acquired = acquired.map_err(|_| sqlx::Error::PoolTimedOut)?;
            let acquired = acquired.map_err(|_| StoreError::Closed)?; // the runtime has ended
            if self.health.is_suspect.load(Ordering::SeqCst) {
                self.test_idle();
            }
            match acquired.map_err(StoreError::from) {
                Ok(connection) => return Ok(self.lease(connection)),
                Err(error) if error.is_disconnected() && Instant::now() + pause < deadline => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error),
            }
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

    /// Reads all rows of a query.
    pub(super) async fn fetch_all(&self, sql: &Sql) -> Result<Vec<Row>, StoreError> {
        self.read(&AllRows(sql)).await
    }

    /// Reads. If the connection is lost, another one is tried, since a read changes nothing.
    pub(super) async fn read<R: Read>(&self, query: &R) -> Result<R::Rows, StoreError> {
        let limit = self.limits.of_read(self.work) + GRACE;
        let deadline = Instant::now() + self.limits.of_read(self.work);
        let mut lease = self.acquire().await?;
        let mut attempt = 1;
        loop {
            match self.read_or_try_another(&mut lease, query, limit).await {
                Err(error)
                    if error.is_worth_a_retry() && attempt < READ_ATTEMPTS && Instant::now() < deadline =>
                {
                    attempt += 1;
                    lease = self.acquire_tested().await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Reads. If a short query takes long, it is sent on another connection too, and the first answer counts: the first
    /// connection may be silent. A slow database gets only [`MOST_SECOND_TRIES`] more queries by that.
    async fn read_or_try_another<R: Read>(
        &self,
        lease: &mut Lease,
        query: &R,
        limit: Duration,
    ) -> Result<R::Rows, StoreError> {
        let mut first = Box::pin(query.read(lease, limit));
        if self.work == Work::Long {
            return first.await;
        }
        if let Ok(outcome) = timeout(limit / SECOND_TRY_PART, &mut first).await {
            return outcome;
        }
        let Ok(_permit) = self.second_tries.try_acquire() else {
            return first.await;
        };
        let second = Box::pin(async {
            let mut lease = self.acquire_tested().await?;
            query.read(&mut lease, limit).await
        });
        let rows = match select(first, second).await {
            Either::Left((Err(error), second)) if error.is_disconnected() => return second.await,
            Either::Left((outcome, _)) => return outcome,
            Either::Right((Err(_), first)) => return first.await,
            Either::Right((Ok(rows), _)) => rows,
        };
        // The first connection has still not answered.
        lease.discard();
        self.health.mark_as_suspect();
        self.test_idle();
        Ok(rows)
    }

    /// Runs one statement outside of a transaction and returns the number of rows that it changed.
    pub(super) async fn execute(&self, sql: &Sql) -> Result<u64, StoreError> {
        let (text, arguments) = sql.for_postgres()?;
        let mut lease = self.acquire().await?;
        let limit = self.limits.of_statement(Work::Short) + GRACE;
        lease.execute(text, arguments, limit).await
    }

    /// Checks that transactions are not read-only. Succeeds without a check while all connections are in
    /// use, because their own statements show it.
    pub(super) async fn check_that_it_writes(&self) -> Result<(), StoreError> {
        if self.pool.num_idle() == 0 && self.pool.size() >= self.pool.options().get_max_connections() {
            return Ok(());
        }
        let mut lease = self.acquire().await?;
        let select = Sql::new("SELECT 1 WHERE current_setting('transaction_read_only') = 'on'");
        let rows = lease
            .fetch_all(&select, self.limits.of_statement(Work::Short))
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        lease.observe(Err(StoreError::read_only()))
    }

    /// Begins a transaction. Nothing is written by it yet, so a lost connection is replaced.
    pub(super) async fn begin(&self) -> Result<PostgresTx, StoreError> {
        let limits = limits_text(&self.limits, self.work, "SET LOCAL");
        self.begin_with(&format!("BEGIN; {limits}")).await
    }

    /// Begins a transaction for one query, of which the rows are read for as long as a client needs. The database does not
    /// limit it. Also returns the unique name of the connection until the end of the transaction, for
    /// [`PostgresPool::works_at`].
    pub(super) async fn begin_stream(&self) -> Result<(PostgresTx, String), StoreError> {
        let name = format!("{APPLICATION} {}", Clock::system().new_uuid());
        let text = format!("BEGIN READ ONLY; {STREAM_LIMITS}; SET LOCAL application_name = '{name}'");
        Ok((self.begin_with(&text).await?, name))
    }

    /// Begins a transaction of which all queries read the database as it was at the first one. The database does not
    /// limit its time.
    pub(super) async fn begin_snapshot(&self) -> Result<PostgresTx, StoreError> {
        let text = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {STREAM_LIMITS}; \
             SET LOCAL idle_in_transaction_session_timeout = 600000"
        );
        self.for_work(Work::Long).begin_with(&text).await
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

    async fn begin_with(&self, text: &str) -> Result<PostgresTx, StoreError> {
        let limit = self.limits.of_statement(self.work) + GRACE;
        let mut attempt = 1;
        let mut lease = self.acquire().await?;
        loop {
            // If the caller drops this future, the transaction is rolled back as if it had begun.
            let mut tx = PostgresTx::new(lease, limit);
            match tx.lease()?.execute_text(text, self.limits.begin).await {
                Ok(()) => return Ok(tx),
                Err(error) if error.is_disconnected() && attempt < READ_ATTEMPTS => {
                    attempt += 1;
                    lease = self.acquire_tested().await?;
                }
                Err(error) => {
                    tx.lease()?.discard();
                    return Err(error);
                }
            }
        }
    }

    /// A connection without limits, which does not belong to the pool any more.
    pub(super) async fn detached(&self) -> Result<PgConnection, StoreError> {
        let mut lease = self.acquire_tested().await?;
        let text =
            "SET lock_timeout = 0; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
        lease
            .execute_text(text, self.limits.of_statement(Work::Short))
            .await?;
        lease.detach()
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

/// The options of a connection to the database at this URL.
pub(super) fn connect_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(StoreError::Connect)?;
    Ok(options.application_name(APPLICATION))
}

/// Asks the database for an answer.
async fn test(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    match timeout(TEST_TIME, connection.ping()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

async fn set_up_connection(connection: &mut PgConnection, text: String) -> Result<(), sqlx::Error> {
    connection.execute(AssertSqlSafe(text)).await?;
    // A statement whose client has gone ends. Not every version and platform of PostgreSQL has this setting, and all
    // works without it.
    let _ = connection.execute(WATCH_CLIENT).await;
    Ok(())
}
