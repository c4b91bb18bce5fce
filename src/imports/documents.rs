//! Statements as other record stores write them.

use serde_json::Value;
use uuid::Builder;

use super::fields::Members;
use crate::base::Fingerprint;
use crate::base::ids::StatementId;
use crate::record::Version;

/// Whether a JSON object is a statement: a short form has no actor.
pub(super) fn names_statement(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Actor<'a> {
        #[serde(borrow)]
        actor: Option<&'a serde_json::value::RawValue>,
    }
    serde_json::from_str::<Actor<'_>>(text).is_ok_and(|object| object.actor.is_some())
}

/// The version by which a statement is read.
pub(super) fn find_version(text: &str) -> Version {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: Option<String>,
    }
    let version = serde_json::from_str::<Versioned>(text)
        .ok()
        .and_then(|one| one.version);
    if version.is_some_and(|version| version.starts_with("2.")) {
        Version::V2
    } else {
        Version::V1
    }
}

/// A statement without a timestamp gets the time at which the other system stored it.
pub(super) fn with_timestamp(text: String, stored: Option<&str>) -> String {
    type Raw = std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>;
    let Ok(mut members) = serde_json::from_str::<Raw>(&text) else {
        return text;
    };
    if members.contains_key("timestamp") {
        return text;
    }
    let outer = stored.and_then(|stored| serde_json::value::to_raw_value(stored).ok());
    let Some(stored) = members.get("stored").cloned().or(outer) else {
        return text;
    };
    members.insert("timestamp".to_owned(), stored);
    serde_json::to_string(&members).unwrap_or(text)
}

/// The id of a statement that has none, from its content.
pub(super) fn derived_statement_id(text: &str) -> StatementId {
    let mut value: Value = serde_json::from_str(text).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        for member in ["stored", "authority", "version"] {
            members.remove(member);
        }
    }
    let fingerprint = Fingerprint::from_parts([value.to_string().as_str()]);
    StatementId(Builder::from_sha1_bytes(*fingerprint.as_bytes()).into_uuid())
}

/// A date of a MongoDB document: a text, or `{"$date": …}`.
pub(super) fn find_date(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(_) => value.get("$date").and_then(find_date),
        _ => None,
    }
}

/// A document of Learning Locker as the statement that it was: keys without their escapes, plain numbers.
pub(super) fn plain_document(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(plain_document).collect(),
        Value::Object(members) => {
            if let Some(number) = plain_number(&members) {
                return number;
            }
            let members = members.into_iter().map(|(key, value)| {
                (
                    key.replace("&46;", ".").replace("&36;", "$"),
                    plain_document(value),
                )
            });
            Value::Object(members.collect())
        }
        value => value,
    }
}

/// The number of `{"$numberInt": "5"}` and the like.
fn plain_number(members: &Members) -> Option<Value> {
    let (key, value) = members.iter().next().filter(|_| members.len() == 1)?;
    let is_number = ["$numberInt", "$numberLong", "$numberDouble"].contains(&key.as_str());
    is_number
        .then(|| serde_json::from_str(value.as_str()?).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn document_of_learning_locker_becomes_plain() {
        let document = json!({"result": {"extensions": {"https://a&46;b/c": {"$numberInt": "5"}}, "score": {"raw": {"$numberDouble": "1.5"}}},
            "list": [{"a&46;b": "x&46;y"}]});
        let plain = json!({"result": {"extensions": {"https://a.b/c": 5}, "score": {"raw": 1.5}}, "list": [{"a.b": "x&46;y"}]});
        assert_eq!(plain_document(document), plain);
    }

    #[test]
    fn statement_without_timestamp_gets_the_stored_time() {
        let with = |text: &str, stored| with_timestamp(text.to_owned(), stored);
        assert_eq!(
            with(r#"{"stored":"s","n":1.50}"#, None),
            r#"{"n":1.50,"stored":"s","timestamp":"s"}"#
        );
        assert_eq!(with(r#"{"n":1}"#, Some("s")), r#"{"n":1,"timestamp":"s"}"#);
        assert_eq!(
            with(r#"{"stored":"s","timestamp":"t"}"#, None),
            r#"{"stored":"s","timestamp":"t"}"#
        );
        assert_eq!(with("{}", None), "{}");
    }

    #[test]
    fn id_of_a_statement_depends_on_its_content() {
        let id = |text: &str| derived_statement_id(text);
        assert_eq!(id(r#"{"a":1,"b":2,"stored":"x"}"#), id(r#"{ "b": 2, "a": 1 }"#));
        assert_ne!(id(r#"{"a":1}"#), id(r#"{"a":2}"#));
    }
}
