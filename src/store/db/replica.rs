//! A replica of PostgreSQL for reads that may be costly ([`DatabaseSettings::read_url`]).
//!
//! A read goes to the replica only if that has replayed everything that was written before the read began. So a read never
//! misses what its client has written, a change of rights counts at once, and a time that was declared before the read
//! (`Consistent-Through`) is true. A replica that is late or away is left out: the read goes to the database itself.
//!
//! Reads share what they learn. One of them looks at a time, and its look counts for all that wait. A replica that is
//! late for longer than a read may wait is tried by one read from time to time, while the others go to the primary.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::store::db::StoreError;
use crate::store::db::database::{Db, Sql};
use crate::store::db::opening::DatabaseSettings;
use crate::store::db::postgres::{Identity, PostgresPool, Work};

/// The number of reads, by `database`: `replica`, or `primary` if the replica was late or away.
pub const REPLICA_READS: &str = "rollbook_replica_reads_total";

/// The pause between two looks at a replica that is late.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a look counts for reads that need no later position.
const LOOK_AGE: Duration = Duration::from_secs(1);
/// The time within which each of both databases answers where it is.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// How long a replica that has failed is left out.
const AWAY_TIME: Duration = Duration::from_secs(5);
/// How long a replica that was late is left out at first. The time doubles up to [`LONGEST_LATE_TIME`].
const FIRST_LATE_TIME: Duration = Duration::from_millis(500);
/// The longest time for which a replica that is late is left out.
const LONGEST_LATE_TIME: Duration = Duration::from_secs(5);

/// The replica.
pub(crate) struct Replica {
    pool: PostgresPool,
    /// The database to which it must belong.
    identity: Arc<Identity>,
    /// How long a read waits for a late replica.
    wait: Duration,
    rest: Mutex<Rest>,
    /// The last look. The lock is held during a look, so that concurrent reads share it.
    last_look: tokio::sync::Mutex<Option<Look>>,
}

/// Until when the replica is left out.
#[derive(Debug, Default)]
struct Rest {
    away_until: Option<Instant>,
    /// `None` if the last read that tried found the replica in time.
    late: Option<Late>,
}

#[derive(Debug, Clone, Copy)]
struct Late {
    until: Instant,
    /// The duration of this rest.
    time: Duration,
}

/// What a look at the replica has found.
#[derive(Debug, Clone, Copy)]
struct Look {
    began: Instant,
    /// The position in the write-ahead log up to which the replica has replayed it.
    replayed: i64,
    /// How many connections to the replica had failed. After another failure the look says nothing: the address may
    /// lead to another server.
    failed_connections: u64,
}

impl Rest {
    /// Whether a read may try the replica. After the rest of a late one, one read tries, and the rest begins again for
    /// the others.
    fn lets_try(&mut self, now: Instant) -> bool {
        if self.away_until.is_some_and(|end| now < end) {
            return false;
        }
        match &mut self.late {
            Some(late) if now < late.until => false,
            Some(late) => {
                late.until = now + late.time;
                true
            }
            None => true,
        }
    }

    fn note_late(&mut self, now: Instant) {
        let time = match self.late {
            Some(late) => (late.time * 2).min(LONGEST_LATE_TIME),
            None => FIRST_LATE_TIME,
        };
        let until = now + time;
        self.late = Some(Late { until, time });
    }
}

impl Replica {
    /// Connects at the first read. `primary` takes the reads that fail here.
    pub(super) fn new(
        settings: &DatabaseSettings,
        url: &str,
        primary: &PostgresPool,
    ) -> Result<Self, StoreError> {
        let identity = Arc::<Identity>::default();
        Ok(Self {
            pool: PostgresPool::for_replica(settings, url, primary, Arc::clone(&identity))?,
            identity,
            wait: settings.read_wait,
            rest: Mutex::default(),
            last_look: tokio::sync::Mutex::default(),
        })
    }

    fn change_rest<T>(&self, change: impl FnOnce(&mut Rest, Instant) -> T) -> T {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut rest, Instant::now())
    }

    /// Leaves the replica out for a while.
    fn note_failure(&self, reason: &str) {
        let was_away = self.change_rest(|rest, now| {
            let before = rest.away_until.replace(now + AWAY_TIME);
            before.is_some_and(|end| now < end)
        });
        if !was_away {
            tracing::warn!(reason, "the replica is not used for the next {AWAY_TIME:?}");
        }
    }

    /// Whether the replica has replayed everything up to this position. Waits a little for it.
    async fn has_replayed(&self, written: i64) -> Result<bool, StoreError> {
        let deadline = Instant::now() + self.wait;
        let mut not_before = Instant::now();
        loop {
            let look = self.look(written, not_before).await?;
            if look.replayed >= written {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            not_before = look.began + LOOK_EVERY;
            sleep_until(not_before).await;
        }
    }

    /// A look that began at `not_before` or later, or that has found `written` a short time ago.
    async fn look(&self, written: i64, not_before: Instant) -> Result<Look, StoreError> {
        let mut last = self.last_look.lock().await;
        let failed_connections = self.pool.failed_connections();
        let is_useful = |look: &Look| {
            let has_it = look.replayed >= written && look.began.elapsed() < LOOK_AGE;
            look.failed_connections == failed_connections && (has_it || look.began >= not_before)
        };
        if let Some(look) = last.filter(is_useful) {
            return Ok(look);
        }
        *last = None;
        let began = Instant::now();
        let replayed = self.fetch_replayed().await?;
        let look = Look {
            began,
            replayed,
            failed_connections,
        };
        *last = Some(look);
        Ok(look)
    }

    /// The position up to which the replica has replayed the write-ahead log.
    async fn fetch_replayed(&self) -> Result<i64, StoreError> {
        let select = Sql::new(
            "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END",
        );
        let rows = self.pool.fetch_all_here(&select).await?;
        let replayed = rows.first().map(|row| row.get::<Option<i64>>(0)).transpose()?;
        replayed.flatten().ok_or_else(|| {
            StoreError::Unavailable("the database of ROLLBOOK_DATABASE_READ is no replica".to_owned())
        })
    }

    pub(super) fn pool(&self) -> &PostgresPool {
        &self.pool
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// The position in the write-ahead log of everything that is visible now. Unless commits are asynchronous, a commit is
/// visible only after it is on the disk. What is not on the disk cannot be sent to a replica yet.
async fn fetch_written(primary: &PostgresPool) -> Result<i64, StoreError> {
    let select = Sql::new(
        "SELECT (CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn() \
         ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn)::bigint",
    );
    let rows = primary.fetch_all(&select).await?;
    match rows.first() {
        Some(row) => row.get(0),
        None => Err(StoreError::Invariant("a query of a position returned no row")),
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

/// The pool of the replica, if it can be used. A primary that does not answer in time says nothing about the replica.
async fn find_reader(replica: &Arc<Replica>, primary: &PostgresPool) -> Option<PostgresPool> {
    if !replica.change_rest(Rest::lets_try) {
        return None;
    }
    let written = async {
        replica.identity.learn(primary).await?;
        fetch_written(primary).await
    };
    let written = match timeout(ANSWER_TIME, written).await {
        Ok(Ok(written)) => written,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the position of the primary is not known; the replica is not used for a read");
            return None;
        }
        Err(_) => {
            tracing::debug!("the primary does not answer in time; the replica is not used for a read");
            return None;
        }
    };
    let answered = tokio::select! {
        answered = timeout(ANSWER_TIME + replica.wait, replica.has_replayed(written)) => answered,
        () = replica.identity.wait_for_mismatch() => {
            replica.note_failure("the database of ROLLBOOK_DATABASE_READ is no replica of ROLLBOOK_DATABASE");
            return None;
        }
    };
    match answered {
        Ok(Ok(true)) => {
            replica.change_rest(|rest, _| rest.late = None);
            Some(replica.pool.for_work(Work::Short))
        }
        Ok(Ok(false)) => {
            replica.change_rest(Rest::note_late);
            None
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_replica_is_tried_by_one_read_from_time_to_time() {
        let mut rest = Rest::default();
        let begin = Instant::now();
        assert!(rest.lets_try(begin));
        rest.note_late(begin);
        assert!(!rest.lets_try(begin + FIRST_LATE_TIME / 2));
        let later = begin + FIRST_LATE_TIME;
        assert!(rest.lets_try(later), "one read tries");
        assert!(!rest.lets_try(later), "the others do not wait");
        // Each time it is late again, it is left out for longer, up to the longest time.
        let mut now = later;
        for _ in 0..10 {
            rest.note_late(now);
            now += LONGEST_LATE_TIME;
            assert!(rest.lets_try(now));
        }
        rest.note_late(now);
        assert!(!rest.lets_try(now + LONGEST_LATE_TIME - Duration::from_millis(1)));
        rest.late = None;
        assert!(rest.lets_try(now) && rest.lets_try(now));
    }
}
