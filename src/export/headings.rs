//! The headings of custom fields.
//!
//! Each heading of a file must be unique, also for programs that ignore case: a BI tool joins columns by their headings,
//! and many of them refuse a file with two equal ones. Users choose the names of custom fields freely.

use std::collections::{HashMap, HashSet};

use crate::base::fold;
use crate::texts::Language;

use super::columns::COLUMNS;
use super::{answers, attempts, progress};

/// A custom field of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CustomField {
    /// The name of the field.
    pub(super) name: String,
    /// The heading of its column.
    pub(super) heading: String,
}

impl CustomField {
    /// The custom fields with these names and their headings, in the same order. The fixed columns are in `language`.
    pub(super) fn from_names(names: Vec<String>, language: Language) -> Vec<Self> {
        let headings = custom_headings(&names, language);
        let fields = names.into_iter().zip(headings);
        fields.map(|(name, heading)| Self { name, heading }).collect()
    }
}

/// The heading of each custom field, in the order of `fields`.
///
/// A field keeps its name as its heading if no fixed column and no other field has the name. Otherwise ` (custom)` is
/// added, or ` (custom 2)` and so on if another column has that heading. Of several fields with the same name, the first
/// one keeps it. Names are compared as [`fold`] compares texts, without white space around them.
///
/// The fixed columns of all files count, so a field has the same heading in every file.
fn custom_headings(fields: &[String], language: Language) -> Vec<String> {
    let fixed = COLUMNS.iter().map(|column| column.heading);
    let fixed = fixed
        .chain(progress::fixed_headings())
        .chain(answers::fixed_headings());
    let fixed = fixed.chain(attempts::fixed_headings());
    let fixed: HashSet<String> = fixed.map(|heading| to_key(language.heading(heading))).collect();
    let mut first_fields: HashMap<String, usize> = HashMap::new();
    for (index, field) in fields.iter().enumerate() {
        first_fields.entry(to_key(field)).or_insert(index);
    }
    let mut taken: HashSet<String> = first_fields.keys().chain(&fixed).cloned().collect();
    let headings = fields.iter().enumerate().map(|(index, field)| {
        let key = to_key(field);
        if !fixed.contains(&key) && first_fields.get(&key) == Some(&index) {
            return field.clone();
        }
        let mut heading = format!("{field} (custom)");
        let mut number = 1;
        while !taken.insert(to_key(&heading)) {
            number += 1;
            heading = format!("{field} (custom {number})");
        }
        heading
    });
    headings.collect()
}

/// The text by which headings are compared.
fn to_key(heading: &str) -> String {
    fold(heading).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(fields: &[&str]) -> Vec<String> {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        custom_headings(&fields, Language::ENGLISH)
    }

    #[test]
    fn field_with_a_name_of_its_own_keeps_it() {
        assert_eq!(headings(&["Cost centre", "Grade"]), ["Cost centre", "Grade"]);
    }

    #[test]
    fn field_with_the_name_of_a_fixed_column_gets_a_suffix() {
        assert_eq!(
            headings(&["Role", "role", "STORED AT", "Since", "Title "]),
            [
                "Role (custom)",
                "role (custom 2)",
                "STORED AT (custom)",
                "Since (custom)",
                "Title  (custom)"
            ]
        );
    }

    #[test]
    fn each_fixed_heading_is_in_every_language() {
        let headings = COLUMNS.iter().map(|column| column.heading);
        let headings = headings.chain(progress::fixed_headings());
        let headings = headings.chain(answers::fixed_headings());
        for english in headings.chain(attempts::fixed_headings()) {
            let key = Language::ENGLISH.find_heading(english);
            assert_eq!(
                key,
                Some(english),
                "the English file has the headings of the code"
            );
            for language in Language::all() {
                assert!(
                    language.find_heading(english).is_some(),
                    "{english} in {language}"
                );
            }
        }
    }

    #[test]
    fn field_with_the_name_of_a_heading_in_the_language_gets_a_suffix() {
        let german = Language::find("de").unwrap();
        let fields = ["Rolle", "Role"].map(str::to_owned);
        assert_eq!(custom_headings(&fields, german), ["Rolle (custom)", "Role"]);
    }

    #[test]
    fn fields_that_differ_in_case_only_have_different_headings() {
        assert_eq!(
            headings(&["REGION", "Region", "region", "Gr\u{f6}\u{df}e", "gro\u{308}sse"]),
            [
                "REGION",
                "Region (custom)",
                "region (custom 2)",
                "Gr\u{f6}\u{df}e",
                "gro\u{308}sse (custom)"
            ]
        );
    }

    #[test]
    fn suffix_never_takes_the_name_of_another_field() {
        assert_eq!(
            headings(&["Role", "Role (custom)", "role (Custom 2)"]),
            ["Role (custom 3)", "Role (custom)", "role (Custom 2)"]
        );
    }

    proptest::proptest! {
        #[test]
        fn headings_are_unique(fields in proptest::collection::btree_set("(Role|role|since|a|A|\u{e4})( \\(custom( 2)?\\))?", 0..12)) {
            let fields: Vec<String> = fields.into_iter().collect();
            let keys: HashSet<String> = custom_headings(&fields, Language::ENGLISH).iter().map(|heading| to_key(heading)).collect();
            proptest::prop_assert_eq!(keys.len(), fields.len());
        }
    }
}
