//! The metrics of the connections to the database, by `pool`: `write`, `read`, `replica`.

use std::time::Duration;

use crate::store::db::database::Db;

/// The number of connections, by `pool` and `state`: `used`, `idle`.
pub const CONNECTIONS: &str = "rollbook_database_connections";
/// The maximum number of connections, by `pool`.
pub const MAX_CONNECTIONS: &str = "rollbook_database_connections_max";
/// The seconds that were waited for a connection that was not at hand, by `pool`.
pub const WAIT_SECONDS: &str = "rollbook_database_wait_seconds";
/// The number of connections that were lost or given up.
pub const LOST: &str = "rollbook_database_lost_connections_total";

/// The size of a pool.
pub(super) struct PoolSize {
    pub(super) open: u32,
    pub(super) idle: usize,
    pub(super) max: u32,
}

impl PoolSize {
    pub(super) fn from_pool<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Self {
        Self {
            open: pool.size(),
            idle: pool.num_idle(),
            max: pool.options().get_max_connections(),
        }
    }
}

/// Notes how long a task waited for a connection.
pub(super) fn note_wait(pool: &'static str, waited: Duration) {
    metrics::histogram!(WAIT_SECONDS, "pool" => pool).record(waited.as_secs_f64());
}

impl Db {
    /// Sets the metrics of the pools to their present sizes.
    pub(crate) fn measure_pools(&self) {
        let (pools, lost) = match self {
            Db::Sqlite { write, read, .. } => (
                vec![
                    ("write", PoolSize::from_pool(write)),
                    ("read", PoolSize::from_pool(read)),
                ],
                0,
            ),
            Db::Postgres {
                write, read, replica, ..
            } => {
                let mut pools = vec![("write", write.size()), ("read", read.size())];
                let replica = replica.as_ref().map(|replica| replica.pool());
                pools.extend(replica.map(|pool| ("replica", pool.size())));
                let lost_by_replica = replica.map_or(0, |pool| pool.failed_connections());
                (pools, self.failed_connections() + lost_by_replica)
            }
        };
        for (pool, size) in pools {
            let used = (size.open as usize).saturating_sub(size.idle);
            metrics::gauge!(CONNECTIONS, "pool" => pool, "state" => "used").set(used as f64);
            metrics::gauge!(CONNECTIONS, "pool" => pool, "state" => "idle").set(size.idle as f64);
            metrics::gauge!(MAX_CONNECTIONS, "pool" => pool).set(f64::from(size.max));
        }
        metrics::counter!(LOST).absolute(lost);
    }
}
