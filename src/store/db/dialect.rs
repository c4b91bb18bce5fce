//! Where SQLite and PostgreSQL differ: this file, and nowhere else.
//!
//! SQL is written once, as PostgreSQL has it, with `$1…` for values. Five words stand for what the two
//! say differently:
//!
//! | word | PostgreSQL | SQLite |
//! | --- | --- | --- |
//! | `x IN LIST($n)` | `x = ANY($n)` | `x IN (SELECT value FROM json_each($n))` |
//! | `FOR UPDATE` | as it is | left out: a writing transaction has the database to itself |
//! | `STRPOS(a, b)` | as it is | `instr(a, b)` |
//! | `INDEXED BY x` | left out: it knows what its tables hold | as it is |
//! | `NOW_MICROS()` | the database's own clock, in microseconds since 1970 | the same, to the millisecond |
//!
//! A join of `persons` and `activities` names both indexes and is a `CROSS JOIN`, which fixes its order on SQLite:
//! `FROM persons p INDEXED BY persons_user CROSS JOIN activities a INDEXED BY activities_… WHERE …`. By itself SQLite
//! reads all of an organisation's rows for it. An index that can't serve is an error when the statement is prepared.
//!
//! A list goes in one value, so that one prepared statement serves any length.

use std::borrow::Cow;

use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use uuid::Uuid;

use crate::store::db::StoreError;
use crate::store::db::columns::IntoValue;

/// One value of a statement, typed, so that an absent one has its type too.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Int(Option<i64>),
    Small(Option<i16>),
    Real(Option<f64>),
    Bool(Option<bool>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Ints(Vec<i64>),
    Smalls(Vec<i16>),
    Texts(Vec<String>),
    Uuids(Vec<Uuid>),
    Digests(Vec<Vec<u8>>),
}

/// Every type that a column can hold can be bound as a value.
impl<T: IntoValue> From<T> for Value {
    fn from(value: T) -> Self {
        value.into_value()
    }
}

macro_rules! value_from_list {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(
            impl From<Vec<$from>> for Value {
                fn from(values: Vec<$from>) -> Self {
                    Self::$variant(values)
                }
            }
        )*
    };
}

value_from_list! {
    i64 => Ints,
    i16 => Smalls,
    String => Texts,
    Uuid => Uuids,
    Vec<u8> => Digests,
}

/// The text for PostgreSQL.
pub(crate) fn postgres_text(text: &str) -> Cow<'_, str> {
    if !(text.contains("IN LIST(") || text.contains(INDEXED_BY) || text.contains(NOW_MICROS)) {
        return Cow::Borrowed(text);
    }
    let text = text
        .replace("IN LIST(", "= ANY(")
        .replace(NOW_MICROS, POSTGRES_NOW);
    let mut parts = text.split(INDEXED_BY);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // The index's name goes with the words that name it.
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        out.push_str(part.trim_start_matches(name));
    }
    Cow::Owned(out)
}

const INDEXED_BY: &str = " INDEXED BY ";
const NOW_MICROS: &str = "NOW_MICROS()";
/// The clock as it goes on within a transaction.
const POSTGRES_NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
const SQLITE_NOW: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

/// The text for SQLite; the values say what each list holds.
pub(crate) fn sqlite_text<'t>(text: &'t str, values: &[Value]) -> Result<Cow<'t, str>, StoreError> {
    let ours = ["IN LIST($", "FOR UPDATE", "STRPOS(", NOW_MICROS];
    if !ours.iter().any(|word| text.contains(word)) {
        return Ok(Cow::Borrowed(text));
    }
    let text = text
        .replace("FOR UPDATE NOWAIT", "")
        .replace("FOR UPDATE", "")
        .replace("STRPOS(", "instr(")
        .replace(NOW_MICROS, SQLITE_NOW);
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text.as_str();
    while let Some(start) = rest.find("IN LIST($") {
        let (before, list) = rest.split_at(start);
        out.push_str(before);
        let list = &list["IN LIST($".len()..];
        let end = list
            .find(')')
            .ok_or(StoreError::Invariant("a LIST( without its end"))?;
        let number = &list[..end];
        let index: usize = number
            .parse()
            .map_err(|_| StoreError::Invariant("a LIST( without a number"))?;
        let column = match values.get(index.wrapping_sub(1)) {
            // JSON has no bytes: they travel as hexadecimal digits.
            Some(Value::Uuids(_) | Value::Digests(_)) => "unhex(value)",
            _ => "value",
        };
        out.push_str("IN (SELECT ");
        out.push_str(column);
        out.push_str(" FROM json_each($");
        out.push_str(number);
        out.push_str("))");
        rest = &list[end + 1..];
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// The values as PostgreSQL takes them.
pub(crate) fn postgres_arguments(values: &[Value]) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Int(v) => arguments.add(v),
            Value::Small(v) => arguments.add(v),
            Value::Real(v) => arguments.add(v),
            Value::Bool(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
            Value::Uuid(v) => arguments.add(v),
            Value::Ints(v) => arguments.add(v),
            Value::Smalls(v) => arguments.add(v),
            Value::Texts(v) => arguments.add(v),
            Value::Uuids(v) => arguments.add(v),
            Value::Digests(v) => arguments.add(v),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// The values as SQLite takes them: lists as JSON arrays.
pub(crate) fn sqlite_arguments(values: Vec<Value>) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Int(v) => arguments.add(v),
            Value::Small(v) => arguments.add(v),
            Value::Real(v) => arguments.add(v),
            Value::Bool(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
            Value::Uuid(v) => arguments.add(v),
            Value::Ints(v) => arguments.add(json_list(&v)?),
            Value::Smalls(v) => arguments.add(json_list(&v)?),
            Value::Texts(v) => arguments.add(json_list(&v)?),
            Value::Uuids(v) => arguments.add(json_list(
                &v.iter().map(|id| hex(id.as_bytes())).collect::<Vec<_>>(),
            )?),
            Value::Digests(v) => arguments.add(json_list(&v.iter().map(|d| hex(d)).collect::<Vec<_>>())?),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn json_list<T: serde::Serialize>(values: &[T]) -> Result<String, StoreError> {
    serde_json::to_string(values).map_err(|_| StoreError::Invariant("a list that is no JSON"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}"); // writing to a String can't fail
            out
        })
}

/// A column's values of many rows, as PostgreSQL's `unnest` takes them.
pub(crate) fn add_column(
    arguments: &mut PgArguments,
    column: Vec<Value>,
) -> Result<&'static str, StoreError> {
    macro_rules! collect {
        ($variant:ident, $type:literal) => {{
            let mut values = Vec::with_capacity(column.len());
            for value in column {
                match value {
                    Value::$variant(value) => values.push(value),
                    _ => return Err(StoreError::Invariant("a column of mixed types")),
                }
            }
            arguments.add(values).map_err(sqlx::Error::Encode)?;
            $type
        }};
    }
    Ok(match column.first() {
        Some(Value::Int(_)) => collect!(Int, "bigint[]"),
        Some(Value::Small(_)) => collect!(Small, "smallint[]"),
        Some(Value::Real(_)) => collect!(Real, "double precision[]"),
        Some(Value::Bool(_)) => collect!(Bool, "boolean[]"),
        Some(Value::Text(_)) => collect!(Text, "text[]"),
        Some(Value::Bytes(_)) => collect!(Bytes, "bytea[]"),
        Some(Value::Uuid(_)) => collect!(Uuid, "uuid[]"),
        _ => return Err(StoreError::Invariant("a column that can't be inserted")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_what_each_database_takes() {
        let text = "SELECT 1 WHERE a IN LIST($1) AND b IN LIST($2) FOR UPDATE";
        let values = [Value::Ints(vec![1]), Value::Uuids(vec![])];
        assert_eq!(
            postgres_text(text),
            "SELECT 1 WHERE a = ANY($1) AND b = ANY($2) FOR UPDATE"
        );
        assert_eq!(
            sqlite_text(text, &values).unwrap(),
            "SELECT 1 WHERE a IN (SELECT value FROM json_each($1)) \
             AND b IN (SELECT unhex(value) FROM json_each($2)) "
        );
    }

    #[test]
    fn each_database_has_its_own_word_for_its_clock() {
        let text = "UPDATE deliveries SET lease_until = NOW_MICROS() + $1 WHERE lease_until < NOW_MICROS()";
        let said = postgres_text(text);
        assert_eq!(said.matches("clock_timestamp()").count(), 2, "{said}");
        let said = sqlite_text(text, &[Value::Int(Some(1))]).unwrap();
        assert_eq!(said.matches("unixepoch('subsec')").count(), 2, "{said}");
    }

    #[test]
    fn an_index_is_named_to_sqlite_alone() {
        let text = "SELECT 1 FROM persons p INDEXED BY persons_user CROSS JOIN activities a INDEXED BY \
                    activities_progress WHERE p.key IN LIST($1)";
        assert_eq!(
            postgres_text(text),
            "SELECT 1 FROM persons p CROSS JOIN activities a WHERE p.key = ANY($1)"
        );
        assert_eq!(
            sqlite_text(text, &[Value::Ints(vec![1])]).unwrap(),
            "SELECT 1 FROM persons p INDEXED BY persons_user CROSS JOIN activities a INDEXED BY \
             activities_progress WHERE p.key IN (SELECT value FROM json_each($1))"
        );
        assert_eq!(postgres_text("FROM users u INDEXED BY users_id"), "FROM users u");
    }
}
