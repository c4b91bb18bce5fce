//! The schemas of xAPI statements.
//!
//! They are written in `statements.json`: the parser of statements keeps the text as it is, so no Rust type has the shape.

use std::collections::BTreeMap;

use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Components, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// The file, as JSON schemas by their names.
const SCHEMAS: &str = include_str!("statements.json");

/// Adds the schemas of `statements.json`.
pub(super) fn add_components(components: &mut Components) {
    components.schemas.extend(parse());
}

/// Returns the schemas of the file. A test makes sure that it can be read.
fn parse() -> BTreeMap<String, RefOr<Schema>> {
    serde_json::from_str(SCHEMAS).unwrap_or_default()
}

macro_rules! written_schemas {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        $($(#[doc = $doc])+
        pub struct $name;

        impl ToSchema for $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                utoipa::openapi::Ref::from_schema_name(stringify!($name)).into()
            }
        })+
    };
}

written_schemas! {
    /// A statement.
    Statement;
    /// One statement, or several.
    NewStatements;
    /// A page of statements, or one statement.
    FoundStatements;
    /// The definition of an Activity.
    ActivityDefinition;
    /// Texts by language.
    LanguageMap;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_has_readable_schemas() {
        let read: Result<BTreeMap<String, RefOr<Schema>>, _> = serde_json::from_str(SCHEMAS);
        assert!(read.is_ok_and(|schemas| schemas.contains_key("StatementPage")));
    }
}
