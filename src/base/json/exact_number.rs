//! Reads an optional number exactly, for `#[serde(with)]`. `serde_json` reads some numbers as the neighbour of the number that
//! it wrote.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// For `#[serde(with)]`.
pub(crate) fn serialize<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    number.serialize(serializer)
}

/// For `#[serde(with)]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    match text.get() {
        "null" => Ok(None),
        text => text.parse().map(Some).map_err(D::Error::custom),
    }
}
