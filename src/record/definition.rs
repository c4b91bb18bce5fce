//! Merging the definitions of an activity (xAPI 1.0.3, Data 2.4.4.1 and Communication 2.5).
//!
//! Every statement may define its activity. Rollbook stores one merged definition for each activity: the definition of
//! a new statement is merged into the stored one, in the order of recording. Merging the same definition again changes
//! nothing. All values keep their source text.

use std::collections::HashMap;

use super::language::LanguageMap;
use super::object::{COMPONENT_LISTS, Definition};
use crate::base::json::{self, Member, Node};

/// The maximum length of a merged definition in bytes. A definition that would become longer is not changed.
pub const MAX_MERGED_BYTES: usize = 1024 * 1024;

/// Merges the definition `new` into the definition `stored`. Both are the JSON text of valid definitions.
///
/// Returns `None` if the stored definition does not change.
///
/// | member | merged value |
/// | --- | --- |
/// | `name`, `description` | the latest text of each language |
/// | `extensions` | the latest value of each key |
/// | `choices`, `scale`, `source`, `target`, `steps` | the latest list; descriptions are merged by language |
/// | other members | the latest value |
///
/// A member that the new definition lacks does not change. Language tags are compared without regard to case (RFC
/// 5646, section 2.1.1).
pub fn merge(stored: Option<&str>, new: &str) -> Option<String> {
    let new = json::parse_stored(new).ok()?;
    // A damaged stored definition is replaced.
    let stored_node = stored.and_then(|stored| json::parse_stored(stored).ok());
    let merged = merge_definitions(stored_node.unwrap_or(Node::Null), new).to_text();
    (merged.len() <= MAX_MERGED_BYTES && stored != Some(merged.as_str())).then_some(merged)
}

/// The JSON text of a definition that only has a title, in an unknown language.
pub fn from_title(title: &str) -> String {
    let definition = Definition {
        name: LanguageMap::undetermined(title),
        ..Definition::default()
    };
    definition.to_json()
}

fn merge_definitions<'a>(stored: Node<'a>, new: Node<'a>) -> Node<'a> {
    merge_objects(stored, new, str::to_owned, |key, stored, new| match key {
        "name" | "description" => merge_language_maps(stored, new),
        "extensions" => merge_objects(stored, new, str::to_owned, |_, _, new| new),
        list if COMPONENT_LISTS.contains(&list) => merge_components(stored, new),
        _ => new,
    })
}

fn merge_language_maps<'a>(stored: Node<'a>, new: Node<'a>) -> Node<'a> {
    merge_objects(stored, new, str::to_ascii_lowercase, |_, _, new| new)
}

/// The new list. A component that is also in the stored list keeps the descriptions that the new one lacks.
fn merge_components<'a>(stored: Node<'a>, new: Node<'a>) -> Node<'a> {
    let Node::Array(new) = new else { return new };
    let id = |component: &Node<'_>| component.get("id").and_then(Node::as_str).map(str::to_owned);
    let mut stored_by_id: HashMap<String, Node<'a>> = match stored {
        Node::Array(stored) => stored
            .into_iter()
            .filter_map(|component| Some((id(&component)?, component)))
            .collect(),
        _ => HashMap::new(),
    };
    let merged = new.into_iter().map(|component| {
        let stored = id(&component).and_then(|id| stored_by_id.remove(&id));
        let stored = stored.unwrap_or(Node::Null);
        merge_objects(stored, component, str::to_owned, |key, stored, new| match key {
            "description" => merge_language_maps(stored, new),
            _ => new,
        })
    });
    Node::Array(merged.collect())
}

/// The members of both objects, the stored ones first.
///
/// Two keys are equal if `fold` returns the same text for both. `merge` merges the values of a key; the stored value is
/// `Null` if the stored object lacks the key.
fn merge_objects<'a>(
    stored: Node<'a>,
    new: Node<'a>,
    fold: fn(&str) -> String,
    merge: impl Fn(&str, Node<'a>, Node<'a>) -> Node<'a>,
) -> Node<'a> {
    let Node::Object(new) = new else { return new };
    let mut members = match stored {
        Node::Object(members) => members.into_vec(),
        _ => Vec::new(),
    };
    // A client may send many thousands of keys, so a linear search for each key would be too slow.
    let mut indexes: HashMap<String, usize> = HashMap::with_capacity(members.len() + new.len());
    for (index, member) in members.iter().enumerate() {
        indexes.insert(fold(member.key.value()), index);
    }
    for Member { key, value } in new {
        let index = *indexes.entry(fold(key.value())).or_insert(members.len());
        match members.get_mut(index) {
            Some(member) => {
                let stored = std::mem::replace(&mut member.value, Node::Null);
                let value = merge(key.value(), stored, value);
                *member = Member { key, value };
            }
            None => {
                let value = merge(key.value(), Node::Null, value);
                members.push(Member { key, value });
            }
        }
    }
    Node::Object(members.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::base::fault::Place;

    /// The result of merging the definitions in their order.
    fn merge_all(definitions: &[&str]) -> Option<String> {
        definitions
            .iter()
            .fold(None, |stored, new| merge(stored.as_deref(), new).or(stored))
    }

    #[test]
    fn first_definition_is_stored_as_it_is() {
        let definition = r#"{"extensions":{"urn:n":1.50e1,"urn:z":null},"name":{"en":"F\u0069re","de":"Feuer"},"type":"urn:t"}"#;
        assert_eq!(merge(None, definition).as_deref(), Some(definition));
        assert_eq!(merge(Some(definition), definition), None);
        assert_eq!(merge(None, "{}").as_deref(), Some("{}"));
        assert_eq!(merge(Some("{}"), "{}"), None);
    }

    #[test]
    fn languages_and_extensions_are_merged_by_key() {
        let definitions = [
            r#"{"name":{"en":"Fire","de":"Feuer"},"type":"urn:a","extensions":{"urn:x":{"deep":1},"urn:y":2}}"#,
            r#"{"description":{"fr":"Le feu"},"name":{"fr":"Feu","en":"Fire Safety"},"moreInfo":"http://x.example/"}"#,
            r#"{"type":"urn:b","extensions":{"urn:x":{"other":1}}}"#,
        ];
        assert_eq!(
            merge_all(&definitions).unwrap(),
            r#"{"name":{"en":"Fire Safety","de":"Feuer","fr":"Feu"},"type":"urn:b","extensions":{"urn:x":{"other":1},"urn:y":2},"description":{"fr":"Le feu"},"moreInfo":"http://x.example/"}"#
        );
        // An earlier text sent again replaces the later one, and nothing else changes.
        assert_eq!(
            merge(merge_all(&definitions).as_deref(), r#"{"name":{"en":"Fire"}}"#),
            Some(merge_all(&definitions).unwrap().replace("Fire Safety", "Fire"))
        );
    }

    #[test]
    fn case_of_language_tags_is_ignored() {
        let definitions = [r#"{"name":{"en-us":"a","de":"b"}}"#, r#"{"name":{"en-US":"c"}}"#];
        assert_eq!(
            merge_all(&definitions).unwrap(),
            r#"{"name":{"en-US":"c","de":"b"}}"#
        );
        let twice = r#"{"name":{"en":"a","EN":"b"}}"#;
        assert_eq!(merge(None, twice).as_deref(), Some(r#"{"name":{"EN":"b"}}"#));
        assert_eq!(merge(Some(r#"{"name":{"EN":"b"}}"#), twice), None);
    }

    #[test]
    fn latest_list_of_components_keeps_earlier_descriptions() {
        let definitions = [
            r#"{"interactionType":"choice","correctResponsesPattern":["a"],"choices":[{"id":"a","description":{"en":"A"}},{"id":"b","description":{"en":"B"}},{"id":"c"}]}"#,
            r#"{"interactionType":"choice","correctResponsesPattern":["b","c"],"choices":[{"id":"c","description":{"de":"C"}},{"id":"a","description":{"de":"Ä"}},{"id":"d"}]}"#,
        ];
        assert_eq!(
            merge_all(&definitions).unwrap(),
            r#"{"interactionType":"choice","correctResponsesPattern":["b","c"],"choices":[{"id":"c","description":{"de":"C"}},{"id":"a","description":{"en":"A","de":"Ä"}},{"id":"d"}]}"#
        );
    }

    #[test]
    fn definition_that_would_exceed_the_limit_does_not_change() {
        let stored = r#"{"name":{"en":"a"}}"#;
        let filled = |length: usize| {
            let around = r#"{"name":{"en":""}}"#.len();
            format!(r#"{{"name":{{"en":"{}"}}}}"#, "x".repeat(length - around))
        };
        assert_eq!(
            merge(Some(stored), &filled(MAX_MERGED_BYTES)),
            Some(filled(MAX_MERGED_BYTES))
        );
        assert_eq!(merge(Some(stored), &filled(MAX_MERGED_BYTES + 1)), None);
        assert_eq!(merge(None, &filled(MAX_MERGED_BYTES + 1)), None);
    }

    #[test]
    fn merging_many_keys_takes_linear_time() {
        let keys = |from: usize| -> String {
            let keys: Vec<String> = (from..from + 40_000).map(|n| format!("\"urn:{n}\":0")).collect();
            format!("{{\"extensions\":{{{}}}}}", keys.join(","))
        };
        let start = std::time::Instant::now();
        let merged = merge_all(&[&keys(0), &keys(20_000)]).unwrap();
        assert_eq!(merged.matches("urn:").count(), 60_000);
        // A linear search for each key would need more than 1,000,000,000 comparisons.
        assert!(start.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn damaged_stored_definition_is_replaced() {
        assert_eq!(
            merge(Some("{"), r#"{"type":"urn:t"}"#).as_deref(),
            Some(r#"{"type":"urn:t"}"#)
        );
    }

    #[test]
    fn title_becomes_a_name_in_an_undetermined_language() {
        assert_eq!(
            from_title("Fire \"Safety\""),
            r#"{"name":{"und":"Fire \"Safety\""}}"#
        );
    }

    /// The same merge with `serde_json` values; language tags are in lower case.
    fn model(stored: Value, new: &Value) -> Value {
        let mut stored = match stored {
            Value::Object(stored) => stored,
            _ => serde_json::Map::new(),
        };
        for (key, value) in new.as_object().unwrap() {
            let before = stored.remove(key).unwrap_or_default();
            let value = match key.as_str() {
                "name" | "description" => overlay(before, &with_lowercase_keys(value)),
                "extensions" => overlay(before, value),
                "choices" => {
                    let same = |component: &Value| {
                        let all = before.as_array().cloned().unwrap_or_default();
                        all.into_iter().find(|other| other["id"] == component["id"])
                    };
                    let list = value.as_array().unwrap().iter();
                    list.map(|component| model(same(component).unwrap_or_default(), component))
                        .collect()
                }
                _ => value.clone(),
            };
            stored.insert(key.clone(), value);
        }
        Value::Object(stored)
    }

    fn overlay(stored: Value, new: &Value) -> Value {
        let mut all = stored.as_object().cloned().unwrap_or_default();
        all.extend(new.as_object().unwrap().clone());
        Value::Object(all)
    }

    fn with_lowercase_keys(map: &Value) -> Value {
        let lower = |(tag, text): (&String, &Value)| (tag.to_lowercase(), text.clone());
        map.as_object().unwrap().iter().map(lower).collect()
    }

    /// A merged definition with language tags in lower case, like the model's.
    fn to_model_value(text: &str) -> Value {
        model(Value::Null, &serde_json::from_str(text).unwrap())
    }

    fn any_map(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let entry = (prop::sample::select(keys), "[a-c]{0,2}");
        prop::collection::btree_map(entry.0, entry.1, 0..4).prop_map(|map| json!(map))
    }

    fn any_definition() -> impl Strategy<Value = Value> {
        const TAGS: &[&str] = &["en", "EN-us", "en-US", "de", "DE", "fr"];
        const KEYS: &[&str] = &["urn:a", "urn:b", "urn:c"];
        let component = |id: &'static str| {
            prop::option::of(any_map(TAGS)).prop_map(move |description| match description {
                Some(description) => json!({"id": id, "description": description}),
                None => json!({"id": id}),
            })
        };
        let choices = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3)
            .prop_shuffle()
            .prop_flat_map(move |ids| ids.into_iter().map(component).collect::<Vec<_>>());
        let members = (
            prop::option::of(any_map(TAGS)),
            prop::option::of(any_map(TAGS)),
            prop::option::of(any_map(KEYS)),
            prop::option::of(prop::sample::select(vec!["urn:s", "urn:t"])),
        );
        (members, prop::option::of(choices)).prop_map(|((name, description, extensions, kind), choices)| {
            let mut definition = serde_json::Map::new();
            let mut set = |key: &str, value: Option<Value>| {
                definition.extend(value.map(|value| (key.to_owned(), value)))
            };
            set("name", name);
            set("description", description);
            set("extensions", extensions);
            set("type", kind.map(Value::from));
            set("interactionType", choices.is_some().then(|| json!("choice")));
            set("choices", choices.map(Value::from));
            Value::Object(definition)
        })
    }

    proptest! {
        #[test]
        fn merging_follows_the_model(definitions in prop::collection::vec(any_definition(), 1..6)) {
            let texts: Vec<String> = definitions.iter().map(Value::to_string).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let merged = merge_all(&texts).unwrap();
            let expected = definitions.iter().fold(Value::Null, model);
            prop_assert_eq!(to_model_value(&merged), expected);
            // The result is a valid definition.
            let node = json::parse_stored(&merged).unwrap();
            prop_assert!(Definition::from_node(&node, &Place::Root).is_ok(), "{}", merged);
            // Merging the last definition again changes nothing.
            prop_assert_eq!(merge(Some(&merged), texts.last().unwrap()), None);
        }

        #[test]
        fn merging_loses_no_language(definitions in prop::collection::vec(any_definition(), 1..6)) {
            let texts: Vec<String> = definitions.iter().map(Value::to_string).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let merged = to_model_value(&merge_all(&texts).unwrap());
            for definition in &definitions {
                for key in ["name", "description"] {
                    for tag in definition[key].as_object().into_iter().flat_map(serde_json::Map::keys) {
                        prop_assert!(merged[key].get(tag.to_lowercase()).is_some(), "{} of {}", tag, merged);
                    }
                }
            }
        }
    }
}
