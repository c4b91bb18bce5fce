//! The types of filter values: how each is read from a request, written back, and documented.
//!
//! A filter of the table is a `bool`, an `Option` of a [`FilterItem`], or a `Vec` of them.

use std::borrow::Cow;

use chrono::{NaiveDate, SecondsFormat};
use chrono_tz::Tz;
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::reader::{ParameterReader, parse_key};
use crate::base::clock::Timestamp;
use crate::base::flag::parse_flag;
use crate::base::fold::fold;
use crate::base::ids::{ContentId, GroupId, TeamId, UserId};
use crate::base::timestamp;
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::action::Action;
use crate::log::period::{Period, start_of_day};
use crate::record::{CalendarDuration, Iri, Origin};

/// How many values a parameter has, and how they are written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// One text.
    Single,
    /// Any number of texts: the parameter is repeated.
    Repeated,
    /// `true` or `false`.
    Boolean,
}

/// The type of a filter's field.
pub trait FilterValue: Sized {
    /// How many values the parameter has.
    const KIND: ValueKind;

    /// Reads the parameter `name`. Faults are left in the reader.
    fn parse(reader: &mut ParameterReader<'_>, name: &str) -> Self;

    /// The values as texts. No text means that the filter is not set.
    fn to_texts(&self) -> Vec<String>;

    /// The schema of the parameter in the OpenAPI document.
    fn schema() -> RefOr<Schema>;
}

/// One value of a filter.
pub trait FilterItem: Sized {
    /// How a parameter with one such value is written.
    const KIND_OF_ONE: ValueKind = ValueKind::Single;

    /// Whether one parameter may have several values, separated by commas. True for keys only: other texts can contain
    /// commas.
    const SPLITS_AT_COMMAS: bool = false;

    /// Reads one value.
    ///
    /// # Errors
    ///
    /// What has to change, to be written after the parameter's name.
    fn parse_item(text: &str) -> Result<Self, String>;

    /// The value as text. Parsing it gives the value again.
    fn to_text(&self) -> Cow<'_, str>;

    /// The schema of one value in the OpenAPI document.
    fn item_schema() -> RefOr<Schema> {
        String::schema()
    }
}

impl FilterValue for bool {
    const KIND: ValueKind = ValueKind::Boolean;

    fn parse(reader: &mut ParameterReader<'_>, name: &str) -> Self {
        reader.one(name, Self::parse_item).unwrap_or(false)
    }

    fn to_texts(&self) -> Vec<String> {
        self.then(|| "true".to_owned()).into_iter().collect()
    }

    fn schema() -> RefOr<Schema> {
        Self::item_schema()
    }
}

impl<T: FilterItem> FilterValue for Option<T> {
    const KIND: ValueKind = T::KIND_OF_ONE;

    fn parse(reader: &mut ParameterReader<'_>, name: &str) -> Self {
        reader.one(name, T::parse_item)
    }

    fn to_texts(&self) -> Vec<String> {
        self.iter().map(|item| item.to_text().into_owned()).collect()
    }

    fn schema() -> RefOr<Schema> {
        T::item_schema()
    }
}

/// The values are in order and without repetitions, so that equal filters compare as equal.
impl<T: FilterItem + Ord> FilterValue for Vec<T> {
    const KIND: ValueKind = ValueKind::Repeated;

    fn parse(reader: &mut ParameterReader<'_>, name: &str) -> Self {
        reader.many(name)
    }

    fn to_texts(&self) -> Vec<String> {
        self.iter().map(|item| item.to_text().into_owned()).collect()
    }

    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new().items(T::item_schema()).build().into()
    }
}

// --- Texts and flags -----------------------------------------------------------------------------------------------

impl FilterItem for String {
    fn parse_item(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.into()
    }
}

impl FilterItem for bool {
    const KIND_OF_ONE: ValueKind = ValueKind::Boolean;

    fn parse_item(text: &str) -> Result<Self, String> {
        parse_flag(text).ok_or_else(|| "is `true` or `false`".to_owned())
    }

    fn to_text(&self) -> Cow<'_, str> {
        if *self { "true" } else { "false" }.into()
    }

    fn item_schema() -> RefOr<Schema> {
        <Self as PartialSchema>::schema()
    }
}

// --- Ids -----------------------------------------------------------------------------------------------------------

macro_rules! items_of_ids {
    ($($id:ty),+) => {
        $(impl FilterItem for $id {
            fn parse_item(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: crate::base::ids::IdError| error.to_string())
            }

            fn to_text(&self) -> Cow<'_, str> {
                self.as_str().into()
            }
        })+
    };
}

items_of_ids!(TeamId, GroupId, UserId, ContentId);

impl FilterItem for Uuid {
    fn parse_item(text: &str) -> Result<Self, String> {
        Self::parse_str(text).map_err(|_| "the id of an import is a UUID".to_owned())
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn item_schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
            .build()
            .into()
    }
}

// --- Keys of closed lists ------------------------------------------------------------------------------------------

macro_rules! items_of_keys {
    ($($enum:ty: $schema:expr;)+) => {
        $(impl FilterItem for $enum {
            const SPLITS_AT_COMMAS: bool = true;

            fn parse_item(text: &str) -> Result<Self, String> {
                parse_key(text, <$enum>::ALL, |value: $enum| value.key())
            }

            fn to_text(&self) -> Cow<'_, str> {
                self.key().into()
            }

            fn item_schema() -> RefOr<Schema> {
                $schema
            }
        })+
    };
}

items_of_keys! {
    Action: component::<Action>();
    LearningType: component::<LearningType>();
    ContentFormat: component::<ContentFormat>();
    Origin: component::<Origin>();
    ResultFilter: component::<ResultFilter>();
    Period: component::<Period>();
}

/// A reference to the schema of `T` among the components of the OpenAPI document.
pub(super) fn component<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// A value of the parameter `result`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    ToSchema,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[schema(rename_all = "snake_case")]
pub enum ResultFilter {
    /// Success is known and true.
    Passed,
    /// Success is known and false.
    Failed,
}

impl ResultFilter {
    /// Both results, in the order of the documentation.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The value of the parameter.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// The success of the rows with this result.
    pub const fn success(self) -> bool {
        matches!(self, Self::Passed)
    }
}

// --- Verbs and titles ----------------------------------------------------------------------------------------------

/// The IRI of a verb, exactly as in the records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerbIri(pub String);

impl FilterItem for VerbIri {
    fn parse_item(text: &str) -> Result<Self, String> {
        match Iri::parse(text) {
            Ok(iri) => Ok(Self(iri.into())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn to_text(&self) -> Cow<'_, str> {
        (&self.0).into()
    }
}

/// One `title` parameter: the content's title must contain every word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TitleSearch {
    /// The words as they were sent, with single spaces between them.
    pub text: String,
    /// The words, folded by [`fold`](crate::base::fold()). The folded title must contain each, in any place.
    pub words: Vec<String>,
}

impl FilterItem for TitleSearch {
    fn parse_item(text: &str) -> Result<Self, String> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words: Vec<String> = fold(&text).split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            Err("needs at least one word".to_owned())
        } else {
            Ok(Self { text, words })
        }
    }

    fn to_text(&self) -> Cow<'_, str> {
        (&self.text).into()
    }
}

// --- Times ---------------------------------------------------------------------------------------------------------

/// A value of `from` or `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A moment, sent as RFC 3339.
    At(Timestamp),
    /// The beginning of a day, sent as a date.
    Day(NaiveDate),
}

impl Moment {
    /// The moment, with days as they begin in `zone`.
    pub(super) fn resolve(self, zone: Tz) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Day(day) => start_of_day(day, zone),
        }
    }
}

impl FilterItem for Moment {
    fn parse_item(text: &str) -> Result<Self, String> {
        if let Some(day) = timestamp::parse_day(text) {
            return Ok(Self::Day(day));
        }
        match timestamp::parse_zoned(text) {
            Ok(at) => Ok(Self::At(at)),
            // An unescaped `+` of a query string arrives as a space.
            Err(_) if text.contains(' ') && timestamp::parse(&text.replace(' ', "+")).is_ok() => {
                Err("has a space in place of `+`; write `%2B` in a URL".to_owned())
            }
            Err(_) if timestamp::parse(text).is_ok() => {
                Err("needs a time zone: end it with `Z`, or with an offset such as `%2B02:00`".to_owned())
            }
            Err(_) => {
                Err("is a date such as `2026-01-31`, or RFC 3339 such as `2026-01-31T09:00:00Z`".to_owned())
            }
        }
    }

    fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::At(at) => at
                .to_datetime()
                .to_rfc3339_opts(SecondsFormat::AutoSi, true)
                .into(),
            Self::Day(day) => day.to_string().into(),
        }
    }
}

impl FilterItem for Tz {
    fn parse_item(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "is the IANA name of a time zone, such as `Europe/London`".to_owned())
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.name().into()
    }
}

impl FilterItem for CalendarDuration {
    fn parse_item(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.as_str().into()
    }
}
