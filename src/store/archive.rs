//! All rows of an organisation, table by table, to move it to another database
//! (`docs/specification.md#commands-export-and-import`).
//!
//! The tables and their columns are read from the database's own catalogue, so a new table belongs to an archive without
//! further code. `tables` reads them, `reading` reads the rows in one snapshot, `writing` inserts them.

pub(crate) mod reading;
pub(crate) mod tables;
pub(crate) mod writing;

use crate::store::db::StoreError;
use crate::store::db::columns::columns;
use crate::store::db::database::Row;
use crate::store::db::dialect::Value;

/// A value of a column, independent of the database.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Boolean(bool),
    Text(String),
    Bytes(Vec<u8>),
}

/// The kind of a column's cells, independent of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum CellKind {
    Integer,
    Real,
    Boolean,
    Text,
    Bytes,
}

/// The type of a column in this database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnType {
    BigInt,
    SmallInt,
    Real,
    Boolean,
    Text,
    Bytes,
    Uuid,
}

impl ColumnType {
    /// The type with this name: as `information_schema` of PostgreSQL has it, or as a table of SQLite declares it.
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "bigint" | "INTEGER" => Self::BigInt,
            "smallint" => Self::SmallInt,
            "double precision" | "REAL" => Self::Real,
            "boolean" | "BOOLEAN" => Self::Boolean,
            "text" | "TEXT" => Self::Text,
            "bytea" | "BLOB" => Self::Bytes,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    fn kind(self) -> CellKind {
        match self {
            Self::BigInt | Self::SmallInt => CellKind::Integer,
            Self::Real => CellKind::Real,
            Self::Boolean => CellKind::Boolean,
            Self::Text => CellKind::Text,
            Self::Bytes | Self::Uuid => CellKind::Bytes,
        }
    }

    fn read(self, row: &Row, position: usize) -> Result<Cell, StoreError> {
        fn or_null<T>(value: Option<T>, cell: fn(T) -> Cell) -> Cell {
            value.map_or(Cell::Null, cell)
        }
        Ok(match self {
            Self::BigInt => or_null(row.get(position)?, Cell::Integer),
            Self::SmallInt => or_null(row.get(position)?, |number: i16| Cell::Integer(number.into())),
            Self::Real => or_null(row.get(position)?, Cell::Real),
            Self::Boolean => or_null(row.get(position)?, Cell::Boolean),
            Self::Text => or_null(row.get(position)?, Cell::Text),
            Self::Bytes => or_null(row.get(position)?, Cell::Bytes),
            Self::Uuid => or_null(row.get(position)?, |id: uuid::Uuid| {
                Cell::Bytes(id.into_bytes().to_vec())
            }),
        })
    }

    /// The cell as a value for this column; `None` if it has another kind or is out of range.
    fn to_value(self, cell: Cell) -> Option<Value> {
        Some(match (self, cell) {
            (Self::BigInt, Cell::Null) => Value::Int(None),
            (Self::BigInt, Cell::Integer(number)) => Value::Int(Some(number)),
            (Self::SmallInt, Cell::Null) => Value::Small(None),
            (Self::SmallInt, Cell::Integer(number)) => Value::Small(Some(number.try_into().ok()?)),
            (Self::Real, Cell::Null) => Value::Real(None),
            (Self::Real, Cell::Real(number)) => Value::Real(Some(number)),
            (Self::Boolean, Cell::Null) => Value::Bool(None),
            (Self::Boolean, Cell::Boolean(flag)) => Value::Bool(Some(flag)),
            (Self::Text, Cell::Null) => Value::Text(None),
            (Self::Text, Cell::Text(text)) => Value::Text(Some(text)),
            (Self::Bytes, Cell::Null) => Value::Bytes(None),
            (Self::Bytes, Cell::Bytes(bytes)) => Value::Bytes(Some(bytes)),
            (Self::Uuid, Cell::Null) => Value::Uuid(None),
            (Self::Uuid, Cell::Bytes(bytes)) => Value::Uuid(Some(uuid::Uuid::from_slice(&bytes).ok()?)),
            _ => return None,
        })
    }
}

columns! {
    /// The row of an organisation in `organisations`.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub(crate) struct OrganisationRow {
        pub(crate) id: String = "id",
        pub(crate) name: String = "name",
        pub(crate) time_zone: String = "time_zone",
        pub(crate) account_home_page: String = "account_home_page",
        pub(crate) managers_see_indirect_reports: bool = "managers_see_indirect_reports",
        /// In microseconds since 1970.
        pub(crate) created_at: i64 = "created_at",
    }
}
