//! Reads the columns of an organisation from the database.
//!
//! The rows are read in the order of recording, in short queries: no query, snapshot or connection lasts for the whole
//! load. Rows that change meanwhile have a greater number in the change feed than the one that the load begins with. The
//! columns follow from that number, so they are right after the first reading of changes, whether a row was read before
//! or after its change.

use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::log::columns::{ColumnRow, LogColumns};
use crate::log::{Action, Percent};
use crate::record::Origin;

use crate::store::activity_log::log::select_rows;
use crate::store::db::column_cache::{FAILURE_TIME, FollowedColumns, Loading, NO_SPACE_TIME};
use crate::store::db::columns::{FromColumn as _, columns};
use crate::store::db::database::{Engine, Row, Sql};
use crate::store::db::{Store, StoreError};

/// The number of rows of a query.
const ROWS_PER_QUERY: i64 = 8_192;

columns! {
    /// The columns that are counted.
    pub(super) struct StoredColumns {
        pub(super) seq: i64 = "a.seq",
        pub(super) happened_at: Timestamp = "a.happened_at",
        pub(super) person: i64 = "a.person",
        pub(super) content: Option<i64> = "a.content",
        pub(super) verb: i64 = "a.verb",
        pub(super) action: Action = "a.action",
        pub(super) origin: Origin = "a.origin",
        pub(super) completed: bool = "a.completed",
        pub(super) success: Option<bool> = "a.success",
        pub(super) certified: bool = "a.certified",
        pub(super) is_part: bool = "a.part IS NOT NULL",
        pub(super) percent: Option<Percent> = "a.percent",
        pub(super) seconds: Option<i64> = "a.seconds",
        pub(super) expired_at: Option<Timestamp> = "a.expired_at",
        pub(super) registration: Option<Uuid> = "a.registration",
        pub(super) session: Option<i64> = "a.session",
        pub(super) import: Option<Uuid> = "a.import",
        pub(super) device_type: Option<String> = "a.device_type",
        pub(super) source: Option<String> = "a.source",
    }
}

impl From<StoredColumns> for ColumnRow {
    fn from(row: StoredColumns) -> Self {
        Self {
            seq: row.seq,
            happened_at: row.happened_at,
            person: row.person,
            content: row.content,
            verb: row.verb,
            action: row.action,
            origin: row.origin,
            completed: row.completed,
            success: row.success,
            certified: row.certified,
            is_part: row.is_part,
            percent: row.percent.map(|Percent(percent)| percent),
            seconds: row.seconds,
            expired_at: row.expired_at,
            registration: row.registration,
            session: row.session,
            import: row.import,
            device_type: row.device_type,
            source: row.source,
        }
    }
}

columns! {
    /// The last number of an organisation, and the server that has it.
    #[derive(Debug, Clone, Copy)]
    pub(super) struct LedgerState {
        pub(super) seq: i64 = "l.seq",
        pub(super) server: i64 = "l.server",
    }
}

/// Why columns cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// They do not fit into the memory, or have too many different values.
    NoSpace,
    /// A row cannot be read. A scan leaves it out or counts it, as its query does.
    Unreadable,
    Failed(StoreError),
}

impl From<StoreError> for Unusable {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Adds rows to the columns.
pub(super) fn put_rows(columns: &mut LogColumns, rows: &[Row]) -> Result<(), Unusable> {
    for row in rows {
        let row = StoredColumns::read(row).map_err(|_| Unusable::Unreadable)?;
        columns.put(row.into()).map_err(|_| Unusable::NoSpace)?;
    }
    Ok(())
}

/// The query for the state of the ledger.
pub(super) fn select_ledger(engine: Engine, org: i64) -> Sql {
    let server = match engine {
        Engine::Sqlite => "0",
        Engine::Postgres => "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint",
    };
    let select = format!(
        "SELECT {} FROM (SELECT seq, {server} AS server FROM ledgers WHERE org = $1) l",
        LedgerState::COLUMNS
    );
    Sql::new(&select).with(org)
}

/// The query for the next rows by their number.
pub(super) fn select_after(org: i64, after: i64, up_to: i64, limit: i64) -> Sql {
    let mut select = select_rows(org, StoredColumns::COLUMNS);
    select.push(" INDEXED BY sqlite_autoindex_activities_1 WHERE a.org = $1 AND a.seq > ");
    select.bind(after).push(" AND a.seq <= ").bind(up_to);
    select.push(" ORDER BY a.seq LIMIT ").bind(limit);
    select
}

impl Store {
    /// Loads the columns of an organisation.
    pub(super) async fn load_columns(self, org: i64, loading: Loading) {
        let Ok(_permit) = self.column_cache().loads.acquire().await else {
            return;
        };
        let began = Instant::now();
        match self.read_columns(org).await {
            Ok(columns) => loading.finish(columns),
            Err(Unusable::NoSpace) => {
                tracing::warn!(
                    org,
                    "the log does not fit into ROLLBOOK_COUNTING_MEMORY_BYTES; it is counted by scans"
                );
                // A large log is not read in vain all the time.
                loading.refuse(NO_SPACE_TIME.max(began.elapsed() * 60));
            }
            Err(Unusable::Unreadable) => {
                tracing::warn!(org, "a row cannot be read; the log is counted by scans");
                loading.refuse(NO_SPACE_TIME);
            }
            Err(Unusable::Failed(error)) => {
                tracing::debug!(org, %error, "the columns cannot be loaded; the log is counted by scans");
                loading.refuse(FAILURE_TIME);
            }
        }
    }

    async fn read_columns(&self, org: i64) -> Result<FollowedColumns, Unusable> {
        let ledger = self.fetch_ledger(org).await?;
        let (server, through) = ledger.map_or((0, 0), |ledger| (ledger.server, ledger.seq));
        let mut columns = LogColumns::new();
        // The next rows are read while these are put into the columns.
        let mut next = Some(self.spawn_reading(org, i64::MIN));
        while let Some(reading) = next.take() {
            let rows = reading.await.map_err(|_| StoreError::Closed)??;
            if let Some(last) = rows.last().filter(|_| rows.len() as i64 == ROWS_PER_QUERY) {
                next = Some(self.spawn_reading(org, i64::from_column(last, 0)?));
            }
            put_rows(&mut columns, &rows)?;
            if !self.column_cache().reserve(org, columns.bytes()) {
                return Err(Unusable::NoSpace);
            }
        }
        Ok(FollowedColumns {
            columns,
            // The rows were read at several moments. The first count reads what has changed since the number.
            is_whole: false,
            through,
            server,
        })
    }

    /// Reads the next rows on a task of their own.
    fn spawn_reading(&self, org: i64, after: i64) -> JoinHandle<Result<Vec<Row>, StoreError>> {
        let db = self.long_db();
        let select = select_after(org, after, i64::MAX, ROWS_PER_QUERY);
        self.runtime()
            .spawn(async move { db.fetch_copied(select, StoredColumns::COLUMNS).await })
    }

    pub(super) async fn fetch_ledger(&self, org: i64) -> Result<Option<LedgerState>, StoreError> {
        let select = select_ledger(self.db().engine(), org);
        self.db().fetch_row(select).await
    }
}
