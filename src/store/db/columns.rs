//! One list of columns for each row that is read: names, types and order.

/// Defines the struct of a row together with the columns that it is read from.
///
/// Each field names its column, as it is written in `SELECT`. The struct gets `COLUMNS`, the text for `SELECT`; `COUNT`,
/// the number of columns; `read`, which reads a row that begins with these columns; and `read_from`, which reads them
/// from a later position. A field is read by position, which the macro counts: looking up names for each row would make
/// exports slower.
///
/// ```text
/// columns! {
///     /// A note without names.
///     pub(crate) struct StoredNote {
///         pub(crate) seq: i64 = "n.seq",
///         pub(crate) text: String = "n.text",
///     }
/// }
/// let sql = format!("SELECT {} FROM notes n WHERE n.org = $1", StoredNote::COLUMNS);
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
            #[allow(unused_assignments, reason = "the position after the last column is not used")]
            pub(crate) fn read_from(
                row: &$crate::store::db::database::Row,
                mut position: usize,
            ) -> Result<Self, $crate::store::db::StoreError> {
                let $first = row.get(position)?;
                $(
                    position += 1;
                    let $field = row.get(position)?;
                )*
                Ok(Self { $first, $($field,)* })
            }
        }
    };
}
pub(crate) use columns;
