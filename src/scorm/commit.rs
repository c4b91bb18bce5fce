//! Reading a commit in each format that `scorm-again` sends.
//!
//! | `dataCommitFormat` | body |
//! | --- | --- |
//! | `json` | `{"cmi": {"core": {…}}}`; lists are objects with numbers as keys |
//! | `flattened` | `{"cmi.core.exit": "suspend", …}` |
//! | `params` | `cmi.core.exit=suspend&…`, without percent-encoding |
//!
//! With `renderCommonCommitFields` the data is the member `runtimeData` of an object, and in the format `params` it is a
//! list of texts there. A text is also sent with the media type `text/plain`, by `navigator.sendBeacon`. So the body
//! decides about the format, and not the media type.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::model::{self, Version};
use crate::base::body::parse_value;
use crate::base::fault::{Fault, Place};
use crate::base::json::without_byte_order_mark;
use crate::record::Duration;

/// The maximum number of elements of a commit.
pub const MAX_ELEMENTS: usize = 20_000;

/// The maximum number of notices in an answer.
const MAX_NOTICES: usize = 100;

/// The longest part of a value that a notice repeats, in characters.
const MAX_NOTICE_VALUE: usize = 100;

/// What the player writes for an empty list in the format `params`.
const EMPTY_LIST: &str = "[object Object]";

/// The elements that a player commits, and what it says about the commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// The values by element, `cmi.core.lesson_status` for example.
    pub elements: BTreeMap<String, String>,
    /// The members beside the data: `globalObjectives`, `sharedData`, `scoId` and so on.
    pub others: Map<String, Value>,
    /// Whether the body says that it is the last commit of its session (`terminateCommitPayloadField: "final"`).
    pub is_final: bool,
    /// The number of the commit within its session (`includeCommitSequence`).
    pub sequence: Option<u64>,
}

/// A value of a commit that the data model does not allow, or that a record cannot hold. It is kept all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The element.
    pub element: String,
    /// The value, at most its first 100 characters.
    pub value: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Why a body is not a commit.
#[derive(Debug)]
pub enum CommitFault {
    /// The body has a fault.
    Body(Fault),
    /// The body has more than [`MAX_ELEMENTS`] elements.
    TooManyElements,
}

impl From<Fault> for CommitFault {
    fn from(fault: Fault) -> Self {
        Self::Body(fault)
    }
}

impl Commit {
    /// Reads a body. `depth` is the permitted depth of JSON.
    ///
    /// # Errors
    ///
    /// The body is in none of the formats, has no element, or has too many.
    pub fn parse(text: &str, depth: usize) -> Result<Self, CommitFault> {
        let text = without_byte_order_mark(text).trim();
        let mut commit = Self::default();
        if text.starts_with('{') || text.starts_with('[') {
            commit.add_json(parse_value(text, depth)?)?;
        } else {
            commit.add_pairs(split_pairs(text))?;
        }
        if commit.elements.is_empty() {
            let detail = "the body has no element of the data model; send the commits of scorm-again in the format \
                `json`, `flattened` or `params`";
            return Err(Place::Root.fault(detail).into());
        }
        Ok(commit)
    }

    fn add_json(&mut self, body: Value) -> Result<(), CommitFault> {
        match body {
            Value::Object(mut members) => {
                if let Some(data) = members.remove("runtimeData") {
                    self.add_others(members);
                    return self.add_json(data);
                }
                let (elements, others) = members.into_iter().partition(|(name, _)| model::is_element(name));
                self.add_others(others);
                for (name, value) in Map::into_iter(elements) {
                    self.flatten(name, value)?;
                }
                Ok(())
            }
            Value::Array(texts) => {
                for text in texts {
                    let Value::String(text) = text else {
                        let detail = "a list must have texts such as `cmi.core.exit=suspend`";
                        return Err(Place::Root.fault(detail).into());
                    };
                    self.add_pair(&text)?;
                }
                Ok(())
            }
            _ => Err(Place::Root.fault("a commit is an object").into()),
        }
    }

    /// Adds the members beside the data. The known ones are read.
    fn add_others(&mut self, others: Map<String, Value>) {
        for (name, value) in others {
            match (name.as_str(), &value) {
                ("commitSequence", Value::Number(number)) => self.sequence = number.as_u64(),
                ("final", Value::Bool(is_final)) => self.is_final = *is_final,
                _ => {
                    self.others.insert(name, value);
                }
            }
        }
    }

    fn add_pairs(&mut self, pairs: Vec<String>) -> Result<(), CommitFault> {
        pairs.iter().try_for_each(|pair| self.add_pair(pair))
    }

    fn add_pair(&mut self, pair: &str) -> Result<(), CommitFault> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "commitSequence" => self.sequence = value.parse().ok(),
            "final" => self.is_final = value == "true",
            _ if model::is_element(name) => return self.add_element(name.to_owned(), value.to_owned()),
            _ => {
                self.others.insert(name.to_owned(), Value::from(value));
            }
        }
        Ok(())
    }

    /// Adds the elements of a tree. Lists are arrays, or objects with numbers as keys. Empty lists have no elements.
    fn flatten(&mut self, name: String, value: Value) -> Result<(), CommitFault> {
        match value {
            Value::Object(members) => members
                .into_iter()
                .try_for_each(|(member, value)| self.flatten(join_names(&name, &member)?, value)),
            Value::Array(values) => values
                .into_iter()
                .enumerate()
                .try_for_each(|(index, value)| self.flatten(join_names(&name, &index.to_string())?, value)),
            Value::Null => self.add_element(name, String::new()),
            Value::Bool(value) => self.add_element(name, value.to_string()),
            Value::Number(number) => self.add_element(name, number.to_string()),
            Value::String(text) => self.add_element(name, text),
        }
    }

    fn add_element(&mut self, name: String, value: String) -> Result<(), CommitFault> {
        if !model::is_short_name(&name) {
            return Err(refuse_long_name(&name));
        }
        if value == EMPTY_LIST && model::is_list(&name) {
            return Ok(());
        }
        if value.contains('\0') || name.contains('\0') {
            return Err(Place::Root.member(&name).fault("U+0000 is not allowed").into());
        }
        if self.elements.len() >= MAX_ELEMENTS {
            return Err(CommitFault::TooManyElements);
        }
        self.elements.insert(name, value);
        Ok(())
    }

    /// The value of an element; `None` if it is missing or empty.
    pub fn get(&self, element: &str) -> Option<&str> {
        self.elements
            .get(element)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The version of SCORM that only has some of the elements. `None` if both versions have all of them.
    pub fn version(&self) -> Option<Version> {
        model::find_version(self.elements.keys().map(String::as_str))
    }

    /// The time of the session in hundredths of a second, and the total time of the attempt if the player sends it.
    pub(super) fn times(&self, version: Version) -> (i64, Option<i64>) {
        let hundredths = |element| {
            let text = self.get(element)?;
            Duration::parse_loose(text).ok().map(|time| time.hundredths())
        };
        let names = version.names();
        (
            hundredths(names.session_time).unwrap_or(0),
            hundredths(names.total_time),
        )
    }

    /// Whether the player sends the total time of the attempt, as it does with the last commit of a session.
    pub fn has_total_time(&self) -> bool {
        [Version::V12, Version::V2004]
            .iter()
            .any(|version| self.get(version.names().total_time).is_some())
    }

    /// Why the commit is not recorded: the learner only looks at the package. `None` if it is recorded. The mode of a
    /// launch decides; without one it is what the commit says.
    pub fn unrecorded_mode(&self, version: Version, launched: Option<&str>) -> Option<Notice> {
        let element = version.names().mode;
        let mode = launched.or_else(|| self.get(element))?;
        ["browse", "review"].contains(&mode).then(|| Notice {
            element: element.to_owned(),
            value: mode.to_owned(),
            detail: "a commit in this mode is not stored".to_owned(),
        })
    }

    /// The values that the data model does not allow, and elements that it does not have.
    pub fn find_notices(&self, version: Version) -> Vec<Notice> {
        let elements = self.elements.iter();
        let notices = elements.filter_map(|(element, value)| {
            let detail = model::find_fault(version, element, value)?;
            let value = value.chars().take(MAX_NOTICE_VALUE).collect();
            Some(Notice {
                element: element.clone(),
                value,
                detail,
            })
        });
        notices.take(MAX_NOTICES).collect()
    }

    /// A digest of everything that the commit says. Equal commits have equal digests.
    pub(super) fn digest(&self, session: Option<&str>) -> u64 {
        let mut hasher = Sha256::new();
        let mut add = |text: &str| {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        };
        add(session.unwrap_or_default());
        // The last commit of a session may have the same values as the one before.
        add(if self.is_final { "final" } else { "" });
        for (element, value) in &self.elements {
            add(element);
            add(value);
        }
        add(&Value::Object(self.others.clone()).to_string());
        first_bytes(&hasher.finalize())
    }
}

/// The name of an element below another one.
fn join_names(name: &str, member: &str) -> Result<String, CommitFault> {
    // The length is checked before the text is made: each element of a commit may be below the same long name.
    if name.len().saturating_add(member.len()) >= model::MAX_NAME_BYTES {
        return Err(refuse_long_name(if member.len() > name.len() {
            member
        } else {
            name
        }));
    }
    Ok(format!("{name}.{member}"))
}

fn refuse_long_name(name: &str) -> CommitFault {
    let begin: String = name.chars().take(MAX_NOTICE_VALUE).collect();
    let detail = format!(
        "the name of an element has at most {} bytes and {} parts; shorten the name with `{begin}`",
        model::MAX_NAME_BYTES,
        model::MAX_NAME_PARTS
    );
    Place::Root.fault(detail).into()
}

/// The first eight bytes of a digest as a number.
pub(super) fn first_bytes(digest: &[u8]) -> u64 {
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Splits a text of the format `params`. The player does not encode the values, so one may contain `&`: a part that does
/// not begin with a name belongs to the value before it.
fn split_pairs(text: &str) -> Vec<String> {
    let mut pairs: Vec<String> = Vec::new();
    for part in text.split('&') {
        let name = part.split_once('=').map(|(name, _)| name);
        let begins =
            name.is_some_and(|name| model::is_element(name) || ["commitSequence", "final"].contains(&name));
        match pairs.last_mut() {
            Some(last) if !begins => {
                last.push('&');
                last.push_str(part);
            }
            _ => pairs.push(part.to_owned()),
        }
    }
    pairs
}

#[cfg(test)]
mod tests;
