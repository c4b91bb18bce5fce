//! The differences between SQLite and PostgreSQL.
//!
//! SQL texts are written in the dialect of PostgreSQL, with `$1…` for values. These terms are translated:
//!
//! | term | PostgreSQL | SQLite |
//! | --- | --- | --- |
//! | `x IN LIST($n)` | `x = ANY($n)` | `x IN (SELECT value FROM json_each($n))` |
//! | `FOR UPDATE`, also with `NOWAIT` | unchanged | removed: there is one writing transaction at a time |
//! | `STRPOS(a, b)` | unchanged | `instr(a, b)` |
//! | `INDEXED BY x` | removed: it cannot be told an index | unchanged |
//! | `NOW_MICROS()` | the clock of the database in microseconds since 1970 | the same, to the millisecond |
//!
//! A join of `persons` and `activities` names both indexes and is a `CROSS JOIN`, which fixes its order on SQLite:
//! `FROM persons p INDEXED BY persons_user CROSS JOIN activities a INDEXED BY activities_… WHERE …`. Otherwise SQLite
//! would read all rows of the organisation. An index that cannot be used is an error when the statement is prepared.
//!
//! A list is one value, so lists of all lengths have the same prepared statement.

use std::borrow::Cow;
use std::sync::OnceLock;

use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use uuid::Uuid;

use crate::store::db::StoreError;
use crate::store::db::columns::IntoValue;

/// A typed value of a statement. NULL has a type, too.
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

/// What tests do with each text for PostgreSQL.
static OBSERVER: OnceLock<fn(&str)> = OnceLock::new();

/// Shows each text that is sent to PostgreSQL to a test from now on. Only the first observer counts.
#[doc(hidden)]
pub fn observe_sql(observer: fn(&str)) {
    let _ = OBSERVER.set(observer); // fails if there is one already
}

/// The text for PostgreSQL.
pub(crate) fn postgres_text(text: &str) -> Cow<'_, str> {
    let text = translate_for_postgres(text);
    if let Some(observe) = OBSERVER.get() {
        observe(&text);
    }
    text
}

fn translate_for_postgres(text: &str) -> Cow<'_, str> {
    if !(text.contains("IN LIST(") || text.contains(INDEXED_BY) || text.contains(NOW_MICROS)) {
        return Cow::Borrowed(text);
    }
    let text = text
        .replace("IN LIST(", "= ANY(")
        .replace(NOW_MICROS, POSTGRES_NOW);
    let mut parts = text.split(INDEXED_BY);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Remove the name of the index.
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        out.push_str(part.trim_start_matches(name));
    }
    Cow::Owned(out)
}

const INDEXED_BY: &str = " INDEXED BY ";
const NOW_MICROS: &str = "NOW_MICROS()";
/// The time at which the statement began. It advances within a transaction, and unlike `clock_timestamp()` it has one value
/// for all nodes of a cluster, which refuses a change by a volatile function.
const POSTGRES_NOW: &str = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint";
const SQLITE_NOW: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

/// The most numbers of a text with its values. A database may keep and log the texts of its statements.
const MOST_LITERALS: usize = 1_000;

/// A text for PostgreSQL with its values as literals, if all of them are a few numbers.
pub(crate) fn postgres_literals(text: &str, values: &[Value]) -> Option<String> {
    let mut count = 0;
    let mut literals = Vec::with_capacity(values.len());
    for value in values {
        let (literal, numbers) = match value {
            Value::Int(Some(number)) => (format!("'{number}'::bigint"), 1),
            Value::Small(Some(number)) => (format!("'{number}'::smallint"), 1),
            Value::Bool(Some(is_true)) => (format!("{is_true}"), 1),
            Value::Ints(list) => (format!("'{{{}}}'::bigint[]", join(list)), list.len()),
            Value::Smalls(list) => (format!("'{{{}}}'::smallint[]", join(list)), list.len()),
            _ => return None,
        };
        literals.push(literal);
        count += numbers;
    }
    if count > MOST_LITERALS {
        return None;
    }
    let mut parts = text.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        out.push_str(literals.get(index)?);
        out.push_str(rest);
    }
    Some(out)
}

fn join(numbers: &[impl ToString]) -> String {
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// The text for SQLite. The values determine the types of the lists.
pub(crate) fn sqlite_text<'t>(text: &'t str, values: &[Value]) -> Result<Cow<'t, str>, StoreError> {
    let terms = ["IN LIST($", "FOR UPDATE", "STRPOS(", NOW_MICROS];
    if !terms.iter().any(|term| text.contains(term)) {
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
            .ok_or(StoreError::Invariant("a LIST( has no closing parenthesis"))?;
        let number = &list[..end];
        let index: usize = number
            .parse()
            .map_err(|_| StoreError::Invariant("a LIST( contains no number"))?;
        let column = match values.get(index.wrapping_sub(1)) {
            // JSON has no bytes. They are passed as hexadecimal digits.
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

/// The values as arguments for PostgreSQL.
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

/// The values as arguments for SQLite. Lists are JSON arrays.
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
    serde_json::to_string(values).map_err(|_| StoreError::Invariant("a list cannot be written as JSON"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}"); // writing to a String does not fail
            out
        })
}

/// Adds the values of a column as an array for `unnest` and returns the type of the array.
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
                    _ => {
                        return Err(StoreError::Invariant(
                            "the values of a column have different types",
                        ));
                    }
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
        _ => return Err(StoreError::Invariant("a list cannot be inserted into a column")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_translated_for_each_database() {
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
    fn numbers_are_literals_and_other_values_are_not() {
        let text = "SELECT 1 WHERE a = $1 AND b = ANY($2) AND c < $11 OR d = $1";
        let mut values = vec![Value::Int(Some(-5)), Value::Ints(vec![1, 2])];
        values.resize(10, Value::Small(Some(3)));
        values.push(Value::Bool(Some(true)));
        assert_eq!(
            postgres_literals(text, &values).unwrap(),
            "SELECT 1 WHERE a = '-5'::bigint AND b = ANY('{1,2}'::bigint[]) AND c < true OR d = '-5'::bigint"
        );
        assert_eq!(postgres_literals(text, &values[..10]), None, "a value is missing");
        for other in [
            Value::Text(Some("a".to_owned())),
            Value::Int(None),
            Value::Texts(Vec::new()),
            Value::Ints(vec![0; MOST_LITERALS]),
        ] {
            values[3] = other;
            assert_eq!(postgres_literals(text, &values), None);
        }
    }

    #[test]
    fn present_time_is_translated_for_each_database() {
        let text = "UPDATE deliveries SET lease_until = NOW_MICROS() + $1 WHERE lease_until < NOW_MICROS()";
        let translated = postgres_text(text);
        assert_eq!(
            translated.matches("statement_timestamp()").count(),
            2,
            "{translated}"
        );
        let translated = sqlite_text(text, &[Value::Int(Some(1))]).unwrap();
        assert_eq!(
            translated.matches("unixepoch('subsec')").count(),
            2,
            "{translated}"
        );
    }

    #[test]
    fn index_is_named_for_sqlite_only() {
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
