//! A read-only transaction. All its queries read the database as it was at the first one.

use sqlx::Sqlite;

use crate::store::db::StoreError;
use crate::store::db::database::{Db, Row, Sql, sqlite_all};
use crate::store::db::postgres::PostgresTx;

/// A read-only transaction over several queries. It ends when it is dropped.
///
/// It locks no row. While it is open, the database keeps what other transactions delete or replace.
pub(crate) enum Snapshot {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(PostgresTx),
}

impl Db {
    /// Begins a read-only transaction over several queries.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(match self {
            Db::Sqlite { read, .. } => Snapshot::Sqlite(read.begin().await?),
            Db::Postgres { read, .. } => Snapshot::Postgres(read.begin_snapshot().await?),
        })
    }
}

impl Snapshot {
    pub(crate) async fn fetch_all(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(transaction) => sqlite_all(&mut **transaction, sql).await,
            Self::Postgres(transaction) => transaction.fetch_all(&sql).await,
        }
    }
}
