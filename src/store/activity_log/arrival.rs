//! Finds rows by the time at which they arrived.
//!
//! The times of arrival never decrease in the order of recording, which is the order of the primary key. So a window of times
//! is a range of positions, and needs no index of its own.

use crate::base::clock::Timestamp;
use crate::log::Filter;

use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};

/// The most rows of a range that are read by position and then sorted. A larger range is walked in the order of the list,
/// and rows outside of it are skipped.
const NARROW: i64 = 10_000;

/// The positions of the records that arrived in a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// The last position before the window.
    after: i64,
    /// The last position in the window. `None` if the window has no end.
    up_to: Option<i64>,
    /// Whether the range has few rows.
    pub(super) is_narrow: bool,
}

impl Store {
    /// Finds the positions of the window of a filter. `None` if the filter has no window.
    pub(super) async fn find_arrival(
        &self,
        org: i64,
        filter: &Filter,
    ) -> Result<Option<Arrival>, StoreError> {
        let window = filter.stored_window();
        if window.from.is_none() && window.to.is_none() {
            return Ok(None);
        }
        let before = |moment: Timestamp| Timestamp::from_micros(moment.micros().saturating_sub(1));
        let after = match window.from {
            Some(from) => self.last_position_at(org, before(from)).await?,
            None => 0,
        };
        let up_to = match window.to {
            Some(to) => Some(self.last_position_at(org, before(to)).await?),
            None => None,
        };
        let mut arrival = Arrival {
            after,
            up_to,
            is_narrow: false,
        };
        arrival.is_narrow = self.has_few_rows(org, arrival).await?;
        Ok(Some(arrival))
    }

    /// Whether at most [`NARROW`] rows are in the range. Positions follow the clock, so their difference tells nothing.
    async fn has_few_rows(&self, org: i64, arrival: Arrival) -> Result<bool, StoreError> {
        let mut select = Sql::new("SELECT a.seq FROM activities a WHERE a.org = $1").with(org);
        arrival.push(&mut select, "a.seq");
        select.push(" ORDER BY a.seq LIMIT 1 OFFSET ").bind(NARROW);
        let row: Option<(i64,)> = self.db().fetch_row(select).await?;
        Ok(row.is_none())
    }
}

impl Arrival {
    /// `SELECT columns` of the rows of the range, as `activities a`, for PostgreSQL. It would otherwise walk the whole log in
    /// the order of time, since it does not know that late positions have late times. `OFFSET` prevents that.
    pub(super) fn select_within(self, org: i64, columns: &str) -> Sql {
        let mut sql = Sql::new("SELECT ").with(org);
        sql.push(columns)
            .push(" FROM (SELECT * FROM activities r WHERE r.org = $1");
        self.push(&mut sql, "r.seq");
        sql.push(" OFFSET 0) a");
        sql
    }

    /// The position before the range, and the last one in it.
    pub(super) fn bounds(self) -> (i64, i64) {
        (self.after, self.up_to.unwrap_or(i64::MAX))
    }

    /// Adds the condition that `column` is in the range.
    pub(super) fn push(self, sql: &mut Sql, column: &'static str) {
        sql.push(" AND ").push(column).push(" > ").bind(self.after);
        if let Some(up_to) = self.up_to {
            sql.push(" AND ").push(column).push(" <= ").bind(up_to);
        }
    }

    /// The conditions on the position of `activities a`, with their values.
    pub(super) fn conditions(self) -> impl Iterator<Item = (&'static str, i64)> {
        let up_to = self.up_to.map(|up_to| (" AND a.seq <= ", up_to));
        std::iter::once((" AND a.seq > ", self.after)).chain(up_to)
    }
}
