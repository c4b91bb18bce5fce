//! A writing transaction in an organisation's name.
//!
//! Every one locks the organisation's ledger first and keeps it to its end. So the transactions of one
//! organisation follow each other, whichever replica they come from: the order of `seq` is the order of
//! commit, no two of them can deadlock, and what one of them looked up is still true when it commits.

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::columns::{FromRow, TableRow};
use crate::store::db::consistent_through::Writing;
use crate::store::db::database::{Row, Sql, Tx};
use crate::store::db::dialect::Value;
use crate::store::db::{Store, StoreError};

/// A writing transaction; dropped without [`OrgTx::commit`], it changes nothing.
pub(crate) struct OrgTx {
    tx: Tx,
    store: Store,
    id: OrgId,
    /// The organisation's key, first in every table.
    pub(crate) org: i64,
    ledger: Ledger,
    /// What the ledger said at the start.
    began: Ledger,
    writing: Writing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Ledger {
    seq: i64,
    keys: i64,
    stored: i64,
    epoch: i64,
}

impl Store {
    /// Begins to write in the organisation's name. One that is not there yet begins to exist with the commit.
    pub(crate) async fn write(&self, organisation: &OrgId) -> Result<OrgTx, StoreError> {
        let mut tx = self.db().begin().await?;
        let org = match self.remembered_key(organisation) {
            Some(org) => org,
            None => {
                crate::store::db::organisations::ensure(&mut tx, organisation, self.clock().now()).await?
            }
        };
        let lock =
            Sql::new("SELECT seq, keys, stored, epoch FROM ledgers WHERE org = $1 FOR UPDATE").with(org);
        let row = tx
            .fetch_optional(lock)
            .await?
            .ok_or(StoreError::Invariant("an organisation without a ledger"))?;
        let ledger = Ledger {
            seq: row.get(0)?,
            keys: row.get(1)?,
            stored: row.get(2)?,
            epoch: row.get(3)?,
        };
        Ok(OrgTx {
            tx,
            writing: self.writers().begin(org),
            store: self.clone(),
            id: organisation.clone(),
            org,
            began: ledger.clone(),
            ledger,
        })
    }
}

impl OrgTx {
    /// A new key: for a person, user, team, group, content or verb.
    pub(crate) fn next_key(&mut self) -> i64 {
        self.ledger.keys += 1;
        self.ledger.keys
    }

    /// The next place in the order of recording.
    pub(crate) fn next_seq(&mut self) -> i64 {
        self.ledger.seq += 1;
        self.ledger.seq
    }

    /// The moment at which what is written now counts as stored: to the millisecond, as it is shown, and
    /// never before what was stored already, even where a replica's clock lags, nor within what was promised
    /// to be complete.
    pub(crate) fn stored_now(&mut self) -> Timestamp {
        let now = self.store.clock().now().whole_millisecond().micros();
        self.ledger.stored = self.ledger.stored.max(now).max(self.writing.earliest());
        Timestamp::from_micros(self.ledger.stored)
    }

    /// Counts what replicas remember; a replica that remembers under another number forgets it all.
    pub(crate) fn epoch(&self) -> i64 {
        self.ledger.epoch
    }

    /// Says that something replicas remember has changed.
    pub(crate) fn forget(&mut self) {
        self.ledger.epoch = self.began.epoch + 1;
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) async fn fetch_all(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        self.tx.fetch_all(sql).await
    }

    pub(crate) async fn fetch_optional(&mut self, sql: Sql) -> Result<Option<Row>, StoreError> {
        self.tx.fetch_optional(sql).await
    }

    /// All rows of a query, read as `T`.
    pub(crate) async fn fetch_rows<T: FromRow>(&mut self, sql: Sql) -> Result<Vec<T>, StoreError> {
        self.tx.fetch_rows(sql).await
    }

    /// The first row of a query, read as `T`.
    pub(crate) async fn fetch_row<T: FromRow>(&mut self, sql: Sql) -> Result<Option<T>, StoreError> {
        self.tx.fetch_row(sql).await
    }

    /// Inserts the rows into their table.
    pub(crate) async fn insert_rows<T: TableRow>(&mut self, rows: Vec<T>) -> Result<(), StoreError> {
        self.tx.insert_rows(rows).await
    }

    pub(crate) async fn count(&mut self, sql: Sql) -> Result<i64, StoreError> {
        self.tx.count(sql).await
    }

    pub(crate) async fn execute(&mut self, sql: Sql) -> Result<u64, StoreError> {
        self.tx.execute(sql).await
    }

    pub(crate) async fn insert(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: Vec<Vec<Value>>,
    ) -> Result<(), StoreError> {
        self.tx.insert(table, columns, rows).await
    }

    /// Makes it all true at once.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        if self.ledger != self.began {
            let Ledger {
                seq,
                keys,
                stored,
                epoch,
            } = self.ledger;
            let update =
                Sql::new("UPDATE ledgers SET seq = $2, keys = $3, stored = $4, epoch = $5 WHERE org = $1");
            let update = update
                .with(self.org)
                .with(seq)
                .with(keys)
                .with(stored)
                .with(epoch);
            self.tx.execute(update).await?;
        }
        self.tx.commit().await?;
        self.store.remember_key(&self.id, self.org);
        Ok(())
    }
}
