//! Reading rows and building conditions: what all folders of the store share.

use super::StoreError;
use super::database::{Db, Row, Sql};
use super::ledger::OrgTx;

/// Something that answers queries: the database, or a transaction that sees its own writes.
pub(crate) trait Reads {
    async fn rows(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError>;
}

impl Reads for &Db {
    async fn rows(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        self.fetch_all(sql).await
    }
}

impl Reads for OrgTx {
    async fn rows(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        self.fetch_all(sql).await
    }
}

/// An id as it is kept.
pub(crate) fn read_id<T>(row: &Row, column: usize) -> Result<T, StoreError>
where
    T: TryFrom<String, Error: ToString>,
{
    let id: String = row.get(column)?;
    T::try_from(id).map_err(|error| StoreError::corrupt("id", error))
}

/// Ids as a list to bind.
pub(crate) fn texts(ids: &[impl AsRef<str>]) -> Vec<String> {
    ids.iter().map(|id| id.as_ref().to_owned()).collect()
}

/// Pushes one condition for each word: all of them stand in `column`.
pub(crate) fn push_words(sql: &mut Sql, column: &str, words: &[String]) {
    for word in words {
        sql.push(" AND STRPOS(")
            .push(column)
            .push(", ")
            .bind(word.as_str())
            .push(") > 0");
    }
}

/// A limit of rows as a value: one more than the page, to see whether there is a next one.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}
