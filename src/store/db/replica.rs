//! A replica of PostgreSQL for reads that may be costly ([`DatabaseSettings::read_url`]).
//!
//! A read goes to the replica only if that has replayed everything that was written before the read began. So a read never
//! misses what its client has written, a change of rights counts at once, and a time that was declared before the read
//! (`Consistent-Through`) is true. A replica that is late or away is left out: the read goes to the database itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::store::db::StoreError;
use crate::store::db::database::{DatabaseSettings, Db, Sql};
use crate::store::db::postgres::{PostgresPool, Work};

/// The number of reads, by `database`: `replica`, or `primary` if the replica was late or away.
pub const REPLICA_READS: &str = "rollbook_replica_reads_total";

/// The pause between two looks at a replica that is late.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The time within which both databases answer where they are.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// How long a replica that has failed is left out.
const AWAY_TIME: Duration = Duration::from_secs(5);

/// The replica.
pub(crate) struct Replica {
    pool: PostgresPool,
    /// How long a read waits for a late replica.
    wait: Duration,
    away_until: Mutex<Option<Instant>>,
}

/// What a look at the replica has found.
enum Position {
    Reached,
    Late,
}

impl Replica {
    /// Connects at the first read. `primary` takes the reads that fail here.
    pub(super) fn new(
        settings: &DatabaseSettings,
        url: &str,
        primary: &PostgresPool,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            pool: PostgresPool::for_replica(settings, url, primary)?,
            wait: settings.read_wait,
            away_until: Mutex::default(),
        })
    }

    fn is_away(&self) -> bool {
        let away_until = self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        away_until.is_some_and(|end| Instant::now() < end)
    }

    /// Leaves the replica out for a while.
    fn note_failure(&self, reason: &str) {
        let mut away_until = self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        *away_until = Some(Instant::now() + AWAY_TIME);
        drop(away_until);
        tracing::warn!(reason, "the replica is not used for the next {AWAY_TIME:?}");
    }

    /// Whether the replica has replayed everything that the primary has written so far. Waits a little for it.
    async fn has_caught_up(&self, primary: &PostgresPool) -> Result<bool, StoreError> {
        let select = Sql::new("SELECT pg_current_wal_insert_lsn()::text");
        let rows = primary.fetch_all(&select).await?;
        let written: String = match rows.first() {
            Some(row) => row.get(0)?,
            None => return Err(StoreError::Invariant("a query of a position returned no row")),
        };
        let deadline = Instant::now() + self.wait;
        loop {
            match self.position(&written).await? {
                Position::Reached => return Ok(true),
                Position::Late if Instant::now() >= deadline => return Ok(false),
                Position::Late => sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn position(&self, written: &str) -> Result<Position, StoreError> {
        let select = Sql::new(
            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() >= $1::text::pg_lsn END",
        );
        let rows = self.pool.fetch_all_here(&select.with(written.to_owned())).await?;
        match rows
            .first()
            .map(|row| row.get::<Option<bool>>(0))
            .transpose()?
            .flatten()
        {
            Some(true) => Ok(Position::Reached),
            Some(false) => Ok(Position::Late),
            None => Err(StoreError::Unavailable(
                "the database of ROLLBOOK_DATABASE_READ is no replica".to_owned(),
            )),
        }
    }

    pub(super) fn pool(&self) -> &PostgresPool {
        &self.pool
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Db {
    /// The same database with reads on the replica. `None` if there is none, or if it is late or away.
    pub(crate) async fn on_replica(&self) -> Option<Self> {
        let Db::Postgres {
            read,
            replica: Some(replica),
            ..
        } = self
        else {
            return None;
        };
        let found = find_reader(replica, read).await;
        let database = if found.is_some() { "replica" } else { "primary" };
        metrics::counter!(REPLICA_READS, "database" => database).increment(1);
        let pool = found?;
        let mut db = self.clone();
        if let Db::Postgres { read, .. } = &mut db {
            *read = pool;
        }
        Some(db)
    }
}

/// The pool of the replica, if it can be used.
async fn find_reader(replica: &Arc<Replica>, primary: &PostgresPool) -> Option<PostgresPool> {
    if replica.is_away() {
        return None;
    }
    let limit = ANSWER_TIME + replica.wait;
    match timeout(limit, replica.has_caught_up(primary)).await {
        Ok(Ok(true)) => Some(replica.pool.for_work(Work::Short)),
        Ok(Ok(false)) => None,
        Ok(Err(error)) => {
            replica.note_failure(&error.to_string());
            None
        }
        Err(_) => {
            replica.note_failure("no answer in time");
            None
        }
    }
}
