//! Helpers for reading rows and for building conditions.

use super::StoreError;
use super::database::{Db, Row, Sql};
use super::ledger::OrgTx;

/// Runs queries: the database, or a transaction, which reads its uncommitted changes, too.
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

/// Ids as a list for [`Sql::any_of`].
pub(crate) fn texts(ids: &[impl AsRef<str>]) -> Vec<String> {
    ids.iter().map(|id| id.as_ref().to_owned()).collect()
}

/// Adds the condition that `column` contains all of the words.
pub(crate) fn push_words(sql: &mut Sql, column: &str, words: &[String]) {
    for word in words {
        sql.push(" AND STRPOS(")
            .push(column)
            .push(", ")
            .bind(word.as_str())
            .push(") > 0");
    }
}

/// The number of rows to read for a page: one more than the page has shows that another page exists.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}
