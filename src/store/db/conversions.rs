//! How the types of the code are stored in columns.
//!
//! An id is text, a key is a number, a time is its microseconds since 1970, an enum is the number that its `code`
//! returns. A value that cannot be read back is [`StoreError::Corrupt`].

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::access::Role;
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, GroupId, OrgId, StatementId, TeamId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::{Action, ContentKey, Percent, PersonKey, VerbKey};
use crate::record::Origin;

use super::StoreError;
use super::columns::{FromColumn, IntoValue};
use super::database::Row;
use super::dialect::Value;
use super::unreadable::{name_of, report_unreadable, skip_unreadable};

/// Types that a column has as they are, with the function that reads a value or NULL.
macro_rules! stored {
    ($($type:ty => $variant:ident, $read:expr);* $(;)?) => {
        $(
            impl FromColumn for $type {
                fn from_column(row: &Row, position: usize) -> Result<Self, StoreError> {
                    match Option::<$type>::from_column(row, position)? {
                        Some(value) => Ok(value),
                        None => row.get(position), // the error of a NULL
                    }
                }
            }
            impl FromColumn for Option<$type> {
                fn from_column(row: &Row, position: usize) -> Result<Self, StoreError> {
                    $read(row, position)
                }
            }
            impl IntoValue for $type {
                const NULL: Value = Value::$variant(None);

                fn into_value(self) -> Value {
                    Value::$variant(Some(self))
                }
            }
        )*
    };
}

// Those of a fixed size are read from the binary format of PostgreSQL.
stored! {
    i64 => Int, |row: &Row, position| row.get_fixed(position, i64::from_be_bytes);
    i16 => Small, |row: &Row, position| row.get_fixed(position, i16::from_be_bytes);
    f64 => Real, |row: &Row, position| row.get_fixed(position, f64::from_be_bytes);
    bool => Bool, |row: &Row, position| row.get_fixed(position, |[byte]: [u8; 1]| byte != 0);
    Uuid => Uuid, |row: &Row, position| row.get_fixed(position, Uuid::from_bytes);
    String => Text, Row::get_text;
    Vec<u8> => Bytes, Row::get;
}

impl IntoValue for &str {
    const NULL: Value = Value::Text(None);

    fn into_value(self) -> Value {
        Value::Text(Some(self.to_owned()))
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    const NULL: Value = T::NULL;

    fn into_value(self) -> Value {
        self.map_or(T::NULL, T::into_value)
    }
}

/// Converts a type through the type `$stored` that its column has. `$read` returns a `Result` with a `StoreError`.
macro_rules! converted {
    ($type:ty as $stored:ty, read $read:expr, write $write:expr) => {
        impl $crate::store::db::columns::FromColumn for $type {
            fn from_column(
                row: &$crate::store::db::database::Row,
                position: usize,
            ) -> Result<Self, $crate::store::db::StoreError> {
                let stored = <$stored as $crate::store::db::columns::FromColumn>::from_column(row, position)?;
                $read(stored)
            }
        }
        impl $crate::store::db::columns::FromColumn for Option<$type> {
            fn from_column(
                row: &$crate::store::db::database::Row,
                position: usize,
            ) -> Result<Self, $crate::store::db::StoreError> {
                let stored =
                    <Option<$stored> as $crate::store::db::columns::FromColumn>::from_column(row, position)?;
                stored.map($read).transpose()
            }
        }
        impl $crate::store::db::columns::IntoValue for $type {
            const NULL: $crate::store::db::dialect::Value =
                <$stored as $crate::store::db::columns::IntoValue>::NULL;

            fn into_value(self) -> $crate::store::db::dialect::Value {
                let stored: $stored = $write(self);
                $crate::store::db::columns::IntoValue::into_value(stored)
            }
        }
    };
}
pub(crate) use converted;

converted!(Timestamp as i64, read |micros| Ok(Timestamp::from_micros(micros)), write Timestamp::micros);
converted!(StatementId as Uuid, read |id| Ok(StatementId(id)), write |id: StatementId| id.0);
converted!(PersonKey as i64, read |key| Ok(PersonKey(key)), write |key: PersonKey| key.0);
converted!(ContentKey as i64, read |key| Ok(ContentKey(key)), write |key: ContentKey| key.0);
converted!(Percent as i64, read |percent| Ok(Percent(percent)), write |percent: Percent| percent.0);
converted!(VerbKey as i64, read |key| Ok(VerbKey(key)), write |key: VerbKey| key.0);
// An unregistered content has its IRI as its id. An IRI may be longer than an id that a client chooses.
converted!(ContentId as String, read |id: String| Ok(ContentId::from_stored(id)), write String::from);

macro_rules! text_ids {
    ($($type:ident),*) => {
        $(
            converted!(
                $type as String,
                read |id: String| $type::new(id).map_err(|error| StoreError::corrupt("id", error)),
                write String::from
            );
        )*
    };
}

text_ids!(OrgId, UserId, TeamId, GroupId);

macro_rules! codes {
    ($($type:ident, $what:literal);* $(;)?) => {
        $(
            converted!(
                $type as i16,
                read |code| $type::from_code(code).ok_or_else(|| StoreError::corrupt($what, code)),
                write $type::code
            );
        )*
    };
}

codes! {
    Action, "action";
    Origin, "origin";
    LearningType, "type of a content";
    ContentFormat, "content type of a content";
}

converted!(
    Role as String,
    read |key: String| key.parse().map_err(|error| StoreError::corrupt("role", error)),
    write |role: Role| role.key().to_owned()
);

/// A list or map that is stored as JSON text.
pub(crate) struct Json<T>(pub(crate) T);

/// A text that is not JSON is read as an empty list or map and named in the log, so that the rest of the row stays readable.
impl<T: DeserializeOwned + Default> FromColumn for Json<T> {
    fn from_column(row: &Row, position: usize) -> Result<Self, StoreError> {
        let text: String = row.get(position)?;
        Ok(Self(serde_json::from_str(&text).unwrap_or_else(|error| {
            report_unreadable("JSON text", name_of(row), &error);
            T::default()
        })))
    }
}

/// A value that is empty if its column is empty or cannot be read, so that the rest of the row stays readable.
pub(crate) struct Readable<T>(pub(crate) Option<T>);

impl<T> FromColumn for Readable<T>
where
    Option<T>: FromColumn,
{
    fn from_column(row: &Row, position: usize) -> Result<Self, StoreError> {
        let read = Option::<T>::from_column(row, position);
        Ok(Self(skip_unreadable("value", || name_of(row), read)?.flatten()))
    }
}

impl<T: Serialize> IntoValue for Json<T> {
    const NULL: Value = Value::Text(None);

    fn into_value(self) -> Value {
        // Lists of texts and maps of texts always have a JSON form.
        Value::Text(Some(serde_json::to_string(&self.0).unwrap_or_default()))
    }
}
