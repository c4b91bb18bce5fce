//! The tables that hold rows of an organisation, from the catalogue of the database. Columns that the database computes
//! are no part of an archive.

use std::collections::BTreeMap;

use crate::store::db::database::{Engine, Row, Sql};
use crate::store::db::{Store, StoreError};

use super::{CellKind, ColumnType};

/// The column with the key of the organisation.
const ORG: &str = "org";

/// The tables with a column `org` that are no part of an archive.
const LEFT_OUT: &[&str] = &["archive_imports"];

/// The tables that other tables or tasks of a server begin with. They are inserted together with the organisation, in one
/// transaction.
pub(crate) const LAST: &[&str] = &["ledgers", "credentials"];

/// A table with rows of organisations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArchiveTable {
    pub(crate) name: String,
    /// All columns but the organisation.
    pub(crate) columns: Vec<ArchiveColumn>,
    /// The positions of the columns of the primary key in `columns`, without the organisation.
    pub(crate) key: Vec<usize>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArchiveColumn {
    pub(crate) name: String,
    pub(super) column_type: ColumnType,
}

impl ArchiveColumn {
    pub(crate) fn kind(&self) -> CellKind {
        self.column_type.kind()
    }
}

const POSTGRES_COLUMNS: &str = "SELECT c.table_name::text, c.column_name::text, c.data_type::text, \
     coalesce((SELECT k.place FROM pg_index i \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) \
         WHERE i.indrelid = format('%I.%I', c.table_schema, c.table_name)::regclass AND i.indisprimary \
         AND k.number = c.ordinal_position), 0) \
     FROM information_schema.columns c \
     JOIN information_schema.tables t USING (table_schema, table_name) \
     WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER' \
     ORDER BY c.table_name COLLATE \"C\", c.ordinal_position";

const SQLITE_COLUMNS: &str = "SELECT t.name, c.name, c.type, c.pk \
     FROM sqlite_master t JOIN pragma_table_info(t.name) c \
     WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid";

/// A column as the catalogue has it.
struct CatalogueColumn {
    table: String,
    name: String,
    type_name: String,
    /// The place in the primary key, from 1; 0 for a column outside of it.
    key_place: i64,
}

impl CatalogueColumn {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            table: row.get(0)?,
            name: row.get(1)?,
            type_name: row.get(2)?,
            key_place: row.get(3)?,
        })
    }
}

impl Store {
    /// The tables of an archive in the order of their names, those of [`LAST`] at the end.
    pub(crate) async fn archive_tables(&self) -> Result<Vec<ArchiveTable>, StoreError> {
        let text = match self.db().engine() {
            Engine::Sqlite => SQLITE_COLUMNS,
            Engine::Postgres => POSTGRES_COLUMNS,
        };
        let rows = self.db().fetch_all(Sql::new(text)).await?;
        let mut by_table = BTreeMap::<String, Vec<CatalogueColumn>>::new();
        for row in &rows {
            let column = CatalogueColumn::read(row)?;
            by_table.entry(column.table.clone()).or_default().push(column);
        }
        let mut tables = Vec::new();
        for (name, columns) in by_table {
            let has_org = columns.iter().any(|column| column.name == ORG);
            if has_org && !LEFT_OUT.contains(&name.as_str()) {
                tables.push(to_table(name, columns)?);
            }
        }
        tables.sort_by_key(|table| LAST.iter().position(|last| *last == table.name));
        Ok(tables)
    }
}

fn to_table(name: String, columns: Vec<CatalogueColumn>) -> Result<ArchiveTable, StoreError> {
    let mut table = ArchiveTable {
        name,
        columns: Vec::new(),
        key: Vec::new(),
    };
    let mut key = Vec::new();
    for column in columns.into_iter().filter(|column| column.name != ORG) {
        let column_type = ColumnType::from_name(&column.type_name).ok_or(StoreError::Invariant(
            "a column has a type that an archive cannot hold",
        ))?;
        if column.key_place > 0 {
            key.push((column.key_place, table.columns.len()));
        }
        table.columns.push(ArchiveColumn {
            name: column.name,
            column_type,
        });
    }
    key.sort_unstable();
    table.key = key.into_iter().map(|(_, position)| position).collect();
    Ok(table)
}
