//! One list of columns for each row: names, types and order.
//!
//! [`columns!`] defines a row that is read, [`table_row!`] a row that is inserted. A field has the type that the rest
//! of the code uses, for example `Timestamp` or `Option<UserId>`. [`FromColumn`] and [`IntoValue`] convert it, and
//! `src/store/db/conversions.rs` implements them for all types that columns hold.

use super::StoreError;
use super::database::Row;
use super::dialect::Value;

/// A type that can be read from a column.
pub(crate) trait FromColumn: Sized {
    /// Reads the value at this position of the row. Positions begin at 0.
    fn from_column(row: &Row, position: usize) -> Result<Self, StoreError>;
}

/// A type that can be written to a column.
pub(crate) trait IntoValue {
    /// The typed NULL of the column.
    const NULL: Value;

    /// Converts the value to the value of a column.
    fn into_value(self) -> Value;
}

/// A row that can be read from the first columns of a query's row.
pub(crate) trait FromRow: Sized {
    /// Reads the row.
    fn from_row(row: &Row) -> Result<Self, StoreError>;
}

/// A row that can be inserted into one table.
pub(crate) trait TableRow {
    /// The table.
    const TABLE: &'static str;
    /// The columns that the row has values for.
    const COLUMNS: &'static [&'static str];

    /// Converts the row to one value for each column, in their order.
    fn into_values(self) -> Vec<Value>;
}

macro_rules! tuple_from_row {
    ($($type:ident = $position:literal),+) => {
        impl<$($type: FromColumn),+> FromRow for ($($type,)+) {
            fn from_row(row: &Row) -> Result<Self, StoreError> {
                Ok(($($type::from_column(row, $position)?,)+))
            }
        }
    };
}

tuple_from_row!(A = 0);
tuple_from_row!(A = 0, B = 1);
tuple_from_row!(A = 0, B = 1, C = 2);
tuple_from_row!(A = 0, B = 1, C = 2, D = 3);
tuple_from_row!(A = 0, B = 1, C = 2, D = 3, E = 4);

/// Defines the struct of a row together with the columns that it is read from.
///
/// Each field names its column, as it is written in `SELECT`. The struct gets `COLUMNS`, the text for `SELECT`; `COUNT`,
/// the number of columns; `read`, which reads a row that begins with these columns; and `read_from`, which reads them
/// from a later position. It implements [`FromRow`]. A field is read by position, which the macro counts: looking up
/// names for each row would make exports slower.
///
/// ```text
/// columns! {
///     /// A note without names.
///     pub(crate) struct StoredNote {
///         pub(crate) seq: i64 = "n.seq",
///         pub(crate) happened_at: Timestamp = "n.happened_at",
///         pub(crate) written_by: Option<UserId> = "n.written_by",
///     }
/// }
/// let sql = format!("SELECT {} FROM notes n WHERE n.org = $1", StoredNote::COLUMNS);
/// let notes: Vec<StoredNote> = db.fetch_rows(Sql::new(&sql).with(org)).await?;
/// ```
macro_rules! columns {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $(#[$first_attribute:meta])*
            $first_visibility:vis $first:ident: $first_type:ty = $first_column:literal
            $(, $(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty = $column:literal)* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $(#[$first_attribute])*
            $first_visibility $first: $first_type,
            $($(#[$field_attribute])* $field_visibility $field: $type,)*
        }

        #[allow(dead_code, reason = "not every row needs all of them")]
        impl $name {
            /// The columns, as they are written in `SELECT`.
            pub(crate) const COLUMNS: &'static str = concat!($first_column $(, ", ", $column)*);

            /// The number of columns.
            pub(crate) const COUNT: usize = [$first_column $(, $column)*].len();

            /// Reads a row that begins with the columns.
            pub(crate) fn read(
                row: &$crate::store::db::database::Row,
            ) -> Result<Self, $crate::store::db::StoreError> {
                Self::read_from(row, 0)
            }

            /// Reads the columns of a row that begin at `position`.
            #[allow(unused_assignments, unused_mut, reason = "the position after the last column is not used")]
            pub(crate) fn read_from(
                row: &$crate::store::db::database::Row,
                mut position: usize,
            ) -> Result<Self, $crate::store::db::StoreError> {
                let $first = $crate::store::db::columns::FromColumn::from_column(row, position)?;
                $(
                    position += 1;
                    let $field = $crate::store::db::columns::FromColumn::from_column(row, position)?;
                )*
                Ok(Self { $first, $($field,)* })
            }
        }

        impl $crate::store::db::columns::FromRow for $name {
            fn from_row(
                row: &$crate::store::db::database::Row,
            ) -> Result<Self, $crate::store::db::StoreError> {
                Self::read(row)
            }
        }
    };
}
pub(crate) use columns;

/// Defines the struct of a row that is inserted, together with its table and columns.
///
/// Each field names its column. The struct implements [`TableRow`], and `OrgTx::insert_rows` inserts a list of them.
///
/// ```text
/// table_row! {
///     /// A mention of an identifier or an Activity in a statement.
///     pub(crate) struct NewMention in "mentions" {
///         pub(crate) org: i64 = "org",
///         pub(crate) kind: LearningType = "type",
///     }
/// }
/// tx.insert_rows(mentions).await?;
/// ```
macro_rules! table_row {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident in $table:literal {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty = $column:literal),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[$field_attribute])* $field_visibility $field: $type,)*
        }

        impl $crate::store::db::columns::TableRow for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$($column),*];

            fn into_values(self) -> Vec<$crate::store::db::dialect::Value> {
                vec![$($crate::store::db::columns::IntoValue::into_value(self.$field)),*]
            }
        }
    };
}
pub(crate) use table_row;

/// Defines the struct of a row that is both inserted and read as a whole. It has what [`columns!`] and [`table_row!`]
/// define.
macro_rules! stored_row {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident in $table:literal {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty = $column:literal),* $(,)?
        }
    ) => {
        $crate::store::db::columns::columns! {
            $(#[$attribute])*
            $visibility struct $name {
                $($(#[$field_attribute])* $field_visibility $field: $type = $column),*
            }
        }

        impl $crate::store::db::columns::TableRow for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$($column),*];

            fn into_values(self) -> Vec<$crate::store::db::dialect::Value> {
                vec![$($crate::store::db::columns::IntoValue::into_value(self.$field)),*]
            }
        }
    };
}
pub(crate) use stored_row;
