//! Inserting the rows of an organisation that comes from another database.
//!
//! The organisation gets a reserved key, under which its rows are inserted part by part. Its row in `organisations` comes
//! last, with its ledger and credentials, in one transaction. Until then no request and no task finds it.

use uuid::Uuid;

use crate::base::ids::OrgId;
use crate::store::db::database::{Engine, Sql};
use crate::store::db::transaction::Tx;
use crate::store::db::{Store, StoreError};

use super::reading::quoted;
use super::tables::ArchiveTable;
use super::{Cell, OrganisationRow};

/// The number of rows of a statement.
const ROWS_AT_ONCE: usize = 500;
/// The number of rows that are deleted in one transaction when an import is discarded.
const DISCARDED_AT_ONCE: i64 = 5_000;

/// An unfinished import.
#[derive(Debug, Clone)]
pub(crate) struct ArchiveTarget {
    org: i64,
    /// The archive that is imported.
    pub(crate) archive: Uuid,
    /// The number of parts that are stored.
    pub(crate) parts: u64,
}

/// What the database knows of an organisation before its import.
pub(crate) enum TargetState {
    /// Nothing.
    Absent,
    /// The organisation exists.
    Exists,
    /// An import was interrupted.
    Unfinished(ArchiveTarget),
}

impl Store {
    /// Looks for the organisation, and for an unfinished import of it.
    pub(crate) async fn find_archive_target(&self, id: &OrgId) -> Result<TargetState, StoreError> {
        let select = Sql::new("SELECT key FROM organisations WHERE id = $1").with(id.as_str());
        if self.db().fetch_optional(select).await?.is_some() {
            return Ok(TargetState::Exists);
        }
        let select = Sql::new("SELECT org, archive, parts FROM archive_imports WHERE id = $1");
        let found: Option<(i64, Uuid, i64)> = self.db().fetch_row(select.with(id.as_str())).await?;
        Ok(found.map_or(TargetState::Absent, |(org, archive, parts)| {
            TargetState::Unfinished(ArchiveTarget {
                org,
                archive,
                parts: u64::try_from(parts).unwrap_or(0),
            })
        }))
    }

    /// Reserves a key for an organisation.
    pub(crate) async fn begin_archive_import(
        &self,
        id: &OrgId,
        archive: Uuid,
    ) -> Result<ArchiveTarget, StoreError> {
        let mut tx = self.db().begin().await?;
        // The number that the database assigns to a row is never assigned again, also if the row is deleted.
        let insert = Sql::new(
            "INSERT INTO organisations \
             (id, name, time_zone, account_home_page, managers_see_indirect_reports, created_at) \
             VALUES ($1, '', '', '', TRUE, 0)",
        );
        let reserved = archive.to_string();
        tx.execute(insert.with(reserved.as_str())).await?;
        let select = Sql::new("SELECT key FROM organisations WHERE id = $1").with(reserved.as_str());
        let (org,): (i64,) = tx
            .fetch_row(select)
            .await?
            .ok_or(StoreError::Invariant("a new organisation does not exist"))?;
        tx.execute(Sql::new("DELETE FROM organisations WHERE key = $1").with(org))
            .await?;
        let insert = Sql::new("INSERT INTO archive_imports (org, id, archive, parts) VALUES ($1, $2, $3, 0)");
        tx.execute(insert.with(org).with(id.as_str()).with(archive))
            .await?;
        tx.commit().await?;
        Ok(ArchiveTarget {
            org,
            archive,
            parts: 0,
        })
    }

    /// Inserts the rows of one part. Returns false if another process has continued the import meanwhile; then nothing is
    /// inserted.
    pub(crate) async fn import_archive_part(
        &self,
        target: &mut ArchiveTarget,
        table: &ArchiveTable,
        rows: Vec<Vec<Cell>>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db().begin().await?;
        tx.allow_long_statements().await?;
        let update = Sql::new("UPDATE archive_imports SET parts = $2 + 1 WHERE org = $1 AND parts = $2");
        let parts = i64::try_from(target.parts).unwrap_or(i64::MAX);
        if tx.execute(update.with(target.org).with(parts)).await? != 1 {
            tx.rollback().await?;
            return Ok(false);
        }
        insert_rows(&mut tx, target.org, table, rows).await?;
        tx.commit().await?;
        target.parts += 1;
        Ok(true)
    }

    /// Completes the import: inserts the organisation and its last tables.
    pub(crate) async fn finish_archive_import(
        &self,
        target: &ArchiveTarget,
        organisation: &OrganisationRow,
        voided: Vec<i64>,
        last: Vec<(ArchiveTable, Vec<Vec<Cell>>)>,
    ) -> Result<(), StoreError> {
        let mut tx = self.db().begin().await?;
        tx.allow_long_statements().await?;
        let insert = |overriding: &str| {
            let columns = OrganisationRow::COLUMNS;
            Sql::new(&format!(
                "INSERT INTO organisations (key, {columns}) {overriding} VALUES ($1, $2, $3, $4, $5, $6, $7)"
            ))
        };
        let insert = match self.db().engine() {
            Engine::Sqlite => insert(""),
            Engine::Postgres => insert("OVERRIDING SYSTEM VALUE"),
        };
        let insert = insert
            .with(target.org)
            .with(organisation.id.as_str())
            .with(organisation.name.as_str())
            .with(organisation.time_zone.as_str())
            .with(organisation.account_home_page.as_str())
            .with(organisation.managers_see_indirect_reports)
            .with(organisation.created_at);
        tx.execute(insert).await?;
        for (table, rows) in last {
            insert_rows(&mut tx, target.org, &table, rows).await?;
        }
        for seqs in voided.chunks(ROWS_AT_ONCE) {
            let update = Sql::new("UPDATE statements SET voided = TRUE WHERE org = $1 AND seq IN LIST($2)");
            tx.execute(update.with(target.org).with(seqs.to_vec())).await?;
        }
        tx.execute(Sql::new("DELETE FROM archive_imports WHERE org = $1").with(target.org))
            .await?;
        tx.commit().await
    }

    /// The number of rows of a table that an unfinished import has stored.
    pub(crate) async fn count_imported(
        &self,
        target: &ArchiveTarget,
        table: &ArchiveTable,
    ) -> Result<u64, StoreError> {
        let select = format!("SELECT count(*) FROM {} WHERE org = $1", quoted(&table.name));
        let count = self.long_db().count(Sql::new(&select).with(target.org)).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Deletes what an unfinished import has stored.
    pub(crate) async fn discard_archive_import(
        &self,
        target: &ArchiveTarget,
        tables: &[ArchiveTable],
    ) -> Result<(), StoreError> {
        for table in tables {
            while self.discard_rows(target, table).await? > 0 {}
        }
        let mut tx = self.db().begin().await?;
        tx.execute(Sql::new("DELETE FROM archive_imports WHERE org = $1").with(target.org))
            .await?;
        tx.commit().await
    }

    /// Deletes some rows of a table and returns their number.
    async fn discard_rows(&self, target: &ArchiveTarget, table: &ArchiveTable) -> Result<u64, StoreError> {
        let name = quoted(&table.name);
        let key: Vec<_> = table
            .key
            .iter()
            .filter_map(|position| table.columns.get(*position))
            .map(|column| quoted(&column.name))
            .collect();
        let mut delete = Sql::new("DELETE FROM ");
        delete.push(&name).push(" WHERE org = ").bind(target.org);
        if !key.is_empty() {
            let key = key.join(", ");
            delete
                .push(" AND (")
                .push(&key)
                .push(") IN (SELECT ")
                .push(&key)
                .push(" FROM ")
                .push(&name);
            delete.push(" WHERE org = ").bind(target.org);
            delete.push(" LIMIT ").bind(DISCARDED_AT_ONCE).push(")");
        }
        let mut tx = self.db().begin().await?;
        tx.allow_long_statements().await?;
        let deleted = tx.execute(delete).await?;
        tx.commit().await?;
        Ok(deleted)
    }
}

async fn insert_rows(
    tx: &mut Tx,
    org: i64,
    table: &ArchiveTable,
    rows: Vec<Vec<Cell>>,
) -> Result<(), StoreError> {
    let mut names = vec!["org".to_owned()];
    names.extend(table.columns.iter().map(|column| quoted(&column.name)));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let mut cells = vec![org.into()];
        for (column, cell) in table.columns.iter().zip(row) {
            let value = column.column_type.to_value(cell);
            cells.push(value.ok_or_else(|| {
                StoreError::corrupt("cell of an archive", format!("{}.{}", table.name, column.name))
            })?);
        }
        values.push(cells);
    }
    while !values.is_empty() {
        let rest = values.split_off(values.len().min(ROWS_AT_ONCE));
        tx.insert(&quoted(&table.name), &names, values).await?;
        values = rest;
    }
    Ok(())
}
