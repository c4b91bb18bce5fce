//! Reading all rows of an organisation in one snapshot.

use crate::base::ids::OrgId;
use crate::store::db::columns::FromRow as _;
use crate::store::db::database::Sql;
use crate::store::db::snapshot::Snapshot;
use crate::store::db::{Store, StoreError};

use super::tables::ArchiveTable;
use super::{Cell, OrganisationRow};

/// An organisation as it is at one moment.
pub(crate) struct ArchiveSource {
    snapshot: Snapshot,
    org: i64,
    /// The row of the organisation.
    pub(crate) organisation: OrganisationRow,
}

impl Store {
    /// Begins to read an organisation. `None` if it does not exist.
    pub(crate) async fn open_archive_source(
        &self,
        organisation: &OrgId,
    ) -> Result<Option<ArchiveSource>, StoreError> {
        let mut snapshot = self.db().snapshot().await?;
        let columns = OrganisationRow::COLUMNS;
        let select = Sql::new(&format!("SELECT {columns}, key FROM organisations WHERE id = $1"));
        let rows = snapshot.fetch_all(select.with(organisation.as_str())).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(ArchiveSource {
            org: row.get(OrganisationRow::COUNT)?,
            organisation: OrganisationRow::from_row(row)?,
            snapshot,
        }))
    }
}

impl ArchiveSource {
    /// The next rows of a table in the order of its key, at most `limit`.
    pub(crate) async fn page(
        &mut self,
        table: &ArchiveTable,
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let columns: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
        let key = key_columns(table);
        let mut select = Sql::new("SELECT ");
        select
            .push(&columns.join(", "))
            .push(" FROM ")
            .push(&quoted(&table.name));
        select.push(" WHERE org = ").bind(self.org);
        if let Some(after) = after {
            select.push(" AND (").push(&key).push(") > (");
            push_key(&mut select, table, after)?;
            select.push(")");
        }
        if !key.is_empty() {
            select.push(" ORDER BY ").push(&key);
        }
        select
            .push(" LIMIT ")
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.snapshot.fetch_all(select).await?;
        rows.iter()
            .map(|row| {
                let cells = table.columns.iter().enumerate();
                cells
                    .map(|(position, column)| column.column_type.read(row, position))
                    .collect()
            })
            .collect()
    }

    /// The number of rows with this key or a lower one.
    pub(crate) async fn count_through(
        &mut self,
        table: &ArchiveTable,
        last: &[Cell],
    ) -> Result<u64, StoreError> {
        let mut select = Sql::new("SELECT count(*) FROM ");
        select
            .push(&quoted(&table.name))
            .push(" WHERE org = ")
            .bind(self.org);
        select.push(" AND (").push(&key_columns(table)).push(") <= (");
        push_key(&mut select, table, last)?;
        select.push(")");
        let rows = self.snapshot.fetch_all(select).await?;
        let row = rows
            .first()
            .ok_or(StoreError::Invariant("a counting query returned no row"))?;
        Ok(u64::try_from(row.get::<i64>(0)?).unwrap_or(0))
    }

    /// The numbers of the voided statements.
    pub(crate) async fn voided_statements(&mut self) -> Result<Vec<i64>, StoreError> {
        let select = Sql::new("SELECT seq FROM statements WHERE org = $1 AND voided ORDER BY seq");
        let rows = self.snapshot.fetch_all(select.with(self.org)).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// The name of a table or column of the catalogue as an SQL identifier. No such name has a quotation mark.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn key_columns(table: &ArchiveTable) -> String {
    let names = table
        .key
        .iter()
        .filter_map(|position| table.columns.get(*position));
    names
        .map(|column| quoted(&column.name))
        .collect::<Vec<_>>()
        .join(", ")
}

fn push_key(sql: &mut Sql, table: &ArchiveTable, key: &[Cell]) -> Result<(), StoreError> {
    for (index, (position, cell)) in table.key.iter().zip(key).enumerate() {
        let column = table.columns.get(*position);
        let value = column.and_then(|column| column.column_type.to_value(cell.clone()));
        if index > 0 {
            sql.push(", ");
        }
        sql.bind(value.ok_or(StoreError::Invariant(
            "a key of an archive has another type than its column",
        ))?);
    }
    Ok(())
}
