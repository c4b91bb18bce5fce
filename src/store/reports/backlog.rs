//! The metrics of work that waits in the database, of all organisations together.

use crate::base::clock::Timestamp;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};

/// The number of things that are due and wait for a worker, by `kind`: `deliveries`, `subscriptions`, `imports`. It stops
/// counting at `MOST`.
pub const BACKLOG: &str = "rollbook_backlog";

/// The number at which a backlog is not counted further.
const MOST: i64 = 10_000;

/// What is due of each kind.
const DUE: [(&str, &str); 3] = [
    ("deliveries", "deliveries WHERE next_attempt_at <= $1"),
    (
        "subscriptions",
        "subscriptions WHERE active AND NOT deleted AND next_attempt_at <= $1",
    ),
    ("imports", "imports WHERE due <= $1"),
];

impl Store {
    /// Sets the metrics of the work that waits.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn measure_backlog(&self) -> Result<(), StoreError> {
        let now: Timestamp = self.clock().now();
        for (kind, due) in DUE {
            let count = self.db().count(count_due(due, now)).await?;
            metrics::gauge!(BACKLOG, "kind" => kind).set(count as f64);
        }
        Ok(())
    }

    /// The plans of the queries for the metrics, by `kind`.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn explain_backlog(&self) -> Result<Vec<(&'static str, Vec<String>)>, StoreError> {
        let now = self.clock().now();
        let mut plans = Vec::new();
        for (kind, due) in DUE {
            plans.push((kind, self.db().explain(count_due(due, now)).await?));
        }
        Ok(plans)
    }
}

/// Counts what is due, up to [`MOST`].
fn count_due(due: &str, now: Timestamp) -> Sql {
    let text = format!("SELECT count(*) FROM (SELECT 1 AS one FROM {due} LIMIT {MOST}) AS waiting");
    Sql::new(&text).with(now.micros())
}
