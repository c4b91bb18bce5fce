//! The definition of an Activity as all records together give it (xAPI 1.0.3, Data 2.4.4.1 and Communication
//! 2.5): what a record says of an Activity is merged into what was said of it before.
//!
//! Whoever merges in the order of recording has one answer to what an Activity is, whenever they ask and however
//! often: merging the same again changes nothing. What was said is kept as it was written.

use std::collections::HashMap;

use super::language::LanguageMap;
use super::object::{COMPONENT_LISTS, Definition};
use crate::base::json::{self, Member, Node};

/// Bytes that a merged definition may have. One that would grow past it stays as it is.
pub const MAX_MERGED_BYTES: usize = 1024 * 1024;

/// What is kept of an Activity once a record has said `said` of it; `None` where that changes nothing. Both are
/// definitions that were read before, as JSON text.
///
/// | member | what is kept |
/// | --- | --- |
/// | `name`, `description` | each language's latest text |
/// | `extensions` | each key's latest value |
/// | `choices`, `scale`, `source`, `target`, `steps` | the latest list; each component's descriptions as above |
/// | the others | the latest value |
///
/// What the record does not say stays as it was. A language tag means the same in any case (RFC 5646, section
/// 2.1.1).
pub fn merge(kept: Option<&str>, said: &str) -> Option<String> {
    let said = json::parse_stored(said).ok()?;
    // What can't be read any more is as good as nothing: the next record puts it right.
    let before = kept.and_then(|kept| json::parse_stored(kept).ok());
    let merged = definition(before.unwrap_or(Node::Null), said).to_text();
    (merged.len() <= MAX_MERGED_BYTES && kept != Some(merged.as_str())).then_some(merged)
}

/// The definition of what has a title alone, in no known language.
pub fn from_title(title: &str) -> String {
    let definition = Definition {
        name: LanguageMap::undetermined(title),
        ..Definition::default()
    };
    definition.to_json()
}

fn definition<'a>(kept: Node<'a>, said: Node<'a>) -> Node<'a> {
    join(kept, said, str::to_owned, |key, kept, said| match key {
        "name" | "description" => languages(kept, said),
        "extensions" => join(kept, said, str::to_owned, |_, _, said| said),
        list if COMPONENT_LISTS.contains(&list) => components(kept, said),
        _ => said,
    })
}

fn languages<'a>(kept: Node<'a>, said: Node<'a>) -> Node<'a> {
    join(kept, said, str::to_ascii_lowercase, |_, _, said| said)
}

/// The latest list, with what was said before of the components that are still in it.
fn components<'a>(kept: Node<'a>, said: Node<'a>) -> Node<'a> {
    let Node::Array(said) = said else { return said };
    let id = |component: &Node<'_>| component.get("id").and_then(Node::as_str).map(str::to_owned);
    let mut before: HashMap<String, Node<'a>> = match kept {
        Node::Array(kept) => kept
            .into_iter()
            .filter_map(|one| Some((id(&one)?, one)))
            .collect(),
        _ => HashMap::new(),
    };
    let merged = said.into_iter().map(|component| {
        let kept = id(&component).and_then(|id| before.remove(&id));
        let kept = kept.unwrap_or(Node::Null);
        join(kept, component, str::to_owned, |key, kept, said| match key {
            "description" => languages(kept, said),
            _ => said,
        })
    });
    Node::Array(merged.collect())
}

/// The members of both objects, those that were kept first. Keys are the same where `fold` makes them so, and
/// `merge` has the word on the values of those, which are `Null` where nothing was kept.
fn join<'a>(
    kept: Node<'a>,
    said: Node<'a>,
    fold: fn(&str) -> String,
    merge: impl Fn(&str, Node<'a>, Node<'a>) -> Node<'a>,
) -> Node<'a> {
    let Node::Object(said) = said else { return said };
    let mut members = match kept {
        Node::Object(members) => members.into_vec(),
        _ => Vec::new(),
    };
    // A client may send very many keys, so they are not searched one by one.
    let mut places: HashMap<String, usize> = HashMap::with_capacity(members.len() + said.len());
    for (place, member) in members.iter().enumerate() {
        places.insert(fold(member.key.value()), place);
    }
    for Member { key, value } in said {
        let place = *places.entry(fold(key.value())).or_insert(members.len());
        match members.get_mut(place) {
            Some(member) => {
                let kept = std::mem::replace(&mut member.value, Node::Null);
                let value = merge(key.value(), kept, value);
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

    /// What is kept after all that was said, in order.
    fn merged(said: &[&str]) -> Option<String> {
        said.iter()
            .fold(None, |kept, said| merge(kept.as_deref(), said).or(kept))
    }

    #[test]
    fn the_first_definition_is_kept_as_it_was_written() {
        let said = r#"{"extensions":{"urn:n":1.50e1,"urn:z":null},"name":{"en":"F\u0069re","de":"Feuer"},"type":"urn:t"}"#;
        assert_eq!(merge(None, said).as_deref(), Some(said));
        assert_eq!(merge(Some(said), said), None);
        assert_eq!(merge(None, "{}").as_deref(), Some("{}"));
        assert_eq!(merge(Some("{}"), "{}"), None);
    }

    #[test]
    fn languages_and_extensions_gather_and_the_latest_counts() {
        let said = [
            r#"{"name":{"en":"Fire","de":"Feuer"},"type":"urn:a","extensions":{"urn:x":{"deep":1},"urn:y":2}}"#,
            r#"{"description":{"fr":"Le feu"},"name":{"fr":"Feu","en":"Fire Safety"},"moreInfo":"http://x.example/"}"#,
            r#"{"type":"urn:b","extensions":{"urn:x":{"other":1}}}"#,
        ];
        assert_eq!(
            merged(&said).unwrap(),
            r#"{"name":{"en":"Fire Safety","de":"Feuer","fr":"Feu"},"type":"urn:b","extensions":{"urn:x":{"other":1},"urn:y":2},"description":{"fr":"Le feu"},"moreInfo":"http://x.example/"}"#
        );
        // Said again, what was overtaken counts again, and nothing else is lost by it.
        assert_eq!(
            merge(merged(&said).as_deref(), r#"{"name":{"en":"Fire"}}"#),
            Some(merged(&said).unwrap().replace("Fire Safety", "Fire"))
        );
    }

    #[test]
    fn a_language_is_one_however_its_tag_is_written() {
        let said = [r#"{"name":{"en-us":"a","de":"b"}}"#, r#"{"name":{"en-US":"c"}}"#];
        assert_eq!(merged(&said).unwrap(), r#"{"name":{"en-US":"c","de":"b"}}"#);
        let twice = r#"{"name":{"en":"a","EN":"b"}}"#;
        assert_eq!(merge(None, twice).as_deref(), Some(r#"{"name":{"EN":"b"}}"#));
        assert_eq!(merge(Some(r#"{"name":{"EN":"b"}}"#), twice), None);
    }

    #[test]
    fn a_list_of_components_is_the_latest_one_with_all_their_descriptions() {
        let said = [
            r#"{"interactionType":"choice","correctResponsesPattern":["a"],"choices":[{"id":"a","description":{"en":"A"}},{"id":"b","description":{"en":"B"}},{"id":"c"}]}"#,
            r#"{"interactionType":"choice","correctResponsesPattern":["b","c"],"choices":[{"id":"c","description":{"de":"C"}},{"id":"a","description":{"de":"Ä"}},{"id":"d"}]}"#,
        ];
        assert_eq!(
            merged(&said).unwrap(),
            r#"{"interactionType":"choice","correctResponsesPattern":["b","c"],"choices":[{"id":"c","description":{"de":"C"}},{"id":"a","description":{"en":"A","de":"Ä"}},{"id":"d"}]}"#
        );
    }

    #[test]
    fn what_would_grow_past_the_limit_is_passed_over() {
        let kept = r#"{"name":{"en":"a"}}"#;
        let filled = |length: usize| {
            let around = r#"{"name":{"en":""}}"#.len();
            format!(r#"{{"name":{{"en":"{}"}}}}"#, "x".repeat(length - around))
        };
        assert_eq!(
            merge(Some(kept), &filled(MAX_MERGED_BYTES)),
            Some(filled(MAX_MERGED_BYTES))
        );
        assert_eq!(merge(Some(kept), &filled(MAX_MERGED_BYTES + 1)), None);
        assert_eq!(merge(None, &filled(MAX_MERGED_BYTES + 1)), None);
    }

    #[test]
    fn very_many_keys_take_no_longer_than_their_length_needs() {
        let keys = |from: usize| -> String {
            let keys: Vec<String> = (from..from + 40_000).map(|n| format!("\"urn:{n}\":0")).collect();
            format!("{{\"extensions\":{{{}}}}}", keys.join(","))
        };
        let began = std::time::Instant::now();
        let both = merged(&[&keys(0), &keys(20_000)]).unwrap();
        assert_eq!(both.matches("urn:").count(), 60_000);
        // Compared key by key it would be more than a thousand million comparisons.
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn a_kept_text_that_is_damaged_is_replaced() {
        assert_eq!(
            merge(Some("{"), r#"{"type":"urn:t"}"#).as_deref(),
            Some(r#"{"type":"urn:t"}"#)
        );
    }

    #[test]
    fn a_title_is_a_name_in_no_known_language() {
        assert_eq!(
            from_title("Fire \"Safety\""),
            r#"{"name":{"und":"Fire \"Safety\""}}"#
        );
    }

    /// The judge: the same rules over values, with tags in lower case.
    fn model(kept: Value, said: &Value) -> Value {
        let mut kept = match kept {
            Value::Object(kept) => kept,
            _ => serde_json::Map::new(),
        };
        for (key, value) in said.as_object().unwrap() {
            let before = kept.remove(key).unwrap_or_default();
            let value = match key.as_str() {
                "name" | "description" => overlay(before, &lowered(value)),
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
            kept.insert(key.clone(), value);
        }
        Value::Object(kept)
    }

    fn overlay(kept: Value, said: &Value) -> Value {
        let mut all = kept.as_object().cloned().unwrap_or_default();
        all.extend(said.as_object().unwrap().clone());
        Value::Object(all)
    }

    fn lowered(map: &Value) -> Value {
        let lower = |(tag, text): (&String, &Value)| (tag.to_lowercase(), text.clone());
        map.as_object().unwrap().iter().map(lower).collect()
    }

    /// A merged definition, with its tags in lower case as the model has them.
    fn plain(text: &str) -> Value {
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
        let plain = (
            prop::option::of(any_map(TAGS)),
            prop::option::of(any_map(TAGS)),
            prop::option::of(any_map(KEYS)),
            prop::option::of(prop::sample::select(vec!["urn:s", "urn:t"])),
        );
        (plain, prop::option::of(choices)).prop_map(|((name, description, extensions, kind), choices)| {
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
        fn all_that_was_said_is_merged_as_the_rules_say(said in prop::collection::vec(any_definition(), 1..6)) {
            let texts: Vec<String> = said.iter().map(Value::to_string).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let kept = merged(&texts).unwrap();
            let expected = said.iter().fold(Value::Null, model);
            prop_assert_eq!(plain(&kept), expected);
            // Whatever is merged is a definition again.
            let node = json::parse_stored(&kept).unwrap();
            prop_assert!(Definition::from_node(&node, &Place::Root).is_ok(), "{}", kept);
            // Said again it changes nothing.
            prop_assert_eq!(merge(Some(&kept), texts.last().unwrap()), None);
        }

        #[test]
        fn no_language_is_ever_lost(said in prop::collection::vec(any_definition(), 1..6)) {
            let texts: Vec<String> = said.iter().map(Value::to_string).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let kept = plain(&merged(&texts).unwrap());
            for one in &said {
                for key in ["name", "description"] {
                    for tag in one[key].as_object().into_iter().flat_map(serde_json::Map::keys) {
                        prop_assert!(kept[key].get(tag.to_lowercase()).is_some(), "{} of {}", tag, kept);
                    }
                }
            }
        }
    }
}
