//! The orders of a list: the values of the parameter `sort` (`docs/specification.md#lists-and-pages`).
//!
//! A list is ordered by a field, ascending or, with `-` before the name of the field, descending. Both orders are exactly
//! the reverse of each other, because equal elements are ordered by id, in the same direction.

use std::fmt::Debug;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::fold;

/// The characters of a text that count for an order. An entry of an index has a maximum size.
pub const ORDERED_CHARS: usize = 200;

/// The characters of the id of a content that an index has.
pub const ORDERED_ID_CHARS: usize = 400;

/// A field by which a list can be ordered. The default one is that of a request without `sort`.
pub trait SortField: Copy + Default + PartialEq + Debug + Send + Sync + 'static {
    /// The name of the schema of the orders in the OpenAPI document.
    const SCHEMA: &'static str;
    /// All fields.
    const ALL: &'static [Self];

    /// The name in the parameter `sort`.
    fn key(self) -> &'static str;
}

/// The field of a list with one order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ById;

impl SortField for ById {
    const SCHEMA: &'static str = "SortById";
    const ALL: &'static [Self] = &[Self];

    fn key(self) -> &'static str {
        "id"
    }
}

/// An order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListOrder<F> {
    /// The field that decides.
    pub field: F,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl<F: SortField> ListOrder<F> {
    /// The values of the parameter `sort`.
    pub fn keys() -> impl Iterator<Item = String> {
        let names = F::ALL.iter().map(|field| field.key());
        names.flat_map(|name| [name.to_owned(), format!("-{name}")])
    }
}

impl<F: SortField> FromStr for ListOrder<F> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        match F::ALL.iter().find(|field| field.key() == name) {
            Some(field) => Ok(Self {
                field: *field,
                descending,
            }),
            None => {
                let keys: Vec<_> = Self::keys().collect();
                Err(format!("`{text}` is not one of {}", keys.join(", ")))
            }
        }
    }
}

impl<F: SortField> PartialSchema for ListOrder<F> {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::keys()))
            .description(Some(
                "The field that orders the list; with `-`, descending. Equal elements are ordered by id.",
            ));
        RefOr::T(object.build().into())
    }
}

impl<F: SortField> ToSchema for ListOrder<F> {
    fn name() -> std::borrow::Cow<'static, str> {
        F::SCHEMA.into()
    }
}

/// A value of an element that the order of a list compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortValue {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl From<&str> for SortValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The text by which an order compares: folded and cut. A missing text comes after all others.
pub fn ordering_text(text: Option<&str>) -> String {
    match text {
        Some(text) => format!("0{}", fold(text)).chars().take(ORDERED_CHARS).collect(),
        None => "1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, Default, PartialEq)]
    enum Field {
        #[default]
        Id,
        Title,
    }

    impl SortField for Field {
        const SCHEMA: &'static str = "Order";
        const ALL: &'static [Self] = &[Self::Id, Self::Title];

        fn key(self) -> &'static str {
            match self {
                Self::Id => "id",
                Self::Title => "title",
            }
        }
    }

    #[test]
    fn order_is_a_field_with_or_without_a_minus() {
        let parse = |text: &str| text.parse::<ListOrder<Field>>();
        let by_title = |descending| {
            Ok(ListOrder {
                field: Field::Title,
                descending,
            })
        };
        assert_eq!(parse("title"), by_title(false));
        assert_eq!(parse("-title"), by_title(true));
        for text in ["", "-", "--title", "+title", "Title", "title,id"] {
            let expected = format!("`{text}` is not one of id, -id, title, -title");
            assert_eq!(parse(text), Err(expected));
        }
    }

    #[test]
    fn texts_are_ordered_without_case_and_accents_and_missing_ones_are_last() {
        let texts = [
            None,
            Some("zebra"),
            Some("Ärger"),
            Some("argon"),
            Some("ARENA"),
            Some(""),
        ];
        let mut ordered = texts.map(|text| (ordering_text(text), text));
        ordered.sort();
        let ordered = ordered.map(|(_, text)| text);
        assert_eq!(
            ordered,
            [
                Some(""),
                Some("ARENA"),
                Some("Ärger"),
                Some("argon"),
                Some("zebra"),
                None
            ]
        );
        assert_eq!(ordering_text(Some(&"ü".repeat(500))).len(), ORDERED_CHARS);
    }
}
