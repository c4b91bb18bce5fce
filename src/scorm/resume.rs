//! The data with which a learner goes on, in the form that `loadFromJSON` and `loadFromFlattenedJSON` of `scorm-again`
//! take.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use super::attempt::AttemptState;
use super::model::{self, Version};
use crate::record::Duration;

/// The learner, and how the package is opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The id of the learner.
    pub learner_id: &'a str,
    /// The name of the learner.
    pub learner_name: Option<&'a str>,
    /// `normal`, `browse` or `review`, if a launch says it.
    pub mode: Option<&'a str>,
}

/// The elements of an attempt for its next session, without those that the player refuses: it throws an error at the first
/// odd value, and the learner could not go on. An attempt that does not exist yet has a default state.
///
/// `version` is used where the attempt has none. Without any version there are no elements, since each version has other
/// names for the learner.
pub fn elements(
    state: &AttemptState,
    version: Option<Version>,
    opening: Opening<'_>,
) -> BTreeMap<String, String> {
    let Some(version) = state.version.or(version) else {
        return BTreeMap::new();
    };
    let names = version.names();
    let mut elements = state.elements.clone();
    let exit = elements.remove(names.exit);
    elements.retain(|element, value| model::is_loadable(version, element, value));
    elements.remove(names.session_time);
    let mut set = |name: &str, value: &str| elements.insert(name.to_owned(), value.to_owned());
    set(names.entry, entry(state, exit.as_deref()));
    set(names.total_time, &write_time(version, state.total_time()));
    set(names.learner_id, opening.learner_id);
    if let Some(name) = opening.learner_name {
        set(names.learner_name, name);
    }
    let mode = opening.mode.unwrap_or("normal");
    set(names.mode, mode);
    set(
        names.credit,
        if mode == "normal" { "credit" } else { "no-credit" },
    );
    elements.retain(|_, value| !value.is_empty());
    elements
}

/// Everything that is stored of the last commit: its elements, also those with odd values, and the members beside them.
pub fn last_commit(state: &AttemptState) -> Result<Value, serde_json::Error> {
    let mut commit = serde_json::to_value(Tree::new(&state.elements))?;
    if let Value::Object(members) = &mut commit {
        members.extend(state.others.clone());
    }
    Ok(commit)
}

/// How the next session enters the attempt.
fn entry(state: &AttemptState, exit: Option<&str>) -> &'static str {
    match (state.version, exit) {
        (None, _) => "ab-initio",
        (_, Some("suspend")) => "resume",
        // The learner lost the connection or closed the window.
        _ if !state.has_ended() => "resume",
        _ => "",
    }
}

/// A time in the format of the version.
fn write_time(version: Version, hundredths: i64) -> String {
    let (seconds, rest) = (hundredths / 100, hundredths % 100);
    match version {
        Version::V12 => {
            let hours = (seconds / 3_600).min(9_999);
            format!(
                "{hours:04}:{:02}:{:02}.{rest:02}",
                seconds / 60 % 60,
                seconds % 60
            )
        }
        Version::V2004 => to_iso_text(hundredths),
    }
}

/// An ISO 8601 duration in seconds.
fn to_iso_text(hundredths: i64) -> String {
    let (seconds, rest) = (hundredths / 100, hundredths % 100);
    match rest {
        0 => format!("PT{seconds}S"),
        _ => format!("PT{seconds}.{rest:02}S"),
    }
}

/// The duration of a record.
pub(super) fn to_duration(hundredths: i64) -> Option<Duration> {
    Duration::parse(&to_iso_text(hundredths)).ok()
}

/// The elements as a tree. Its JSON has the lists as objects with numbers as keys, as the player writes them.
#[derive(Debug, Default)]
pub struct Tree {
    value: Option<String>,
    branches: Vec<(String, Tree)>,
}

impl Tree {
    /// The tree of these elements. The `id` and then the `type` of an interaction come first: the player refuses the other
    /// members before them.
    ///
    /// The tree has the branch `cmi`, also without elements. It has no elements with names beyond the limits, which no
    /// commit can have.
    pub fn new(elements: &BTreeMap<String, String>) -> Self {
        let mut sorted: Vec<(Vec<SortedName<'_>>, &str)> = elements
            .iter()
            .filter(|(name, _)| model::is_short_name(name))
            .map(|(name, value)| (name.split('.').map(SortedName::new).collect(), value.as_str()))
            .collect();
        sorted.sort();
        let mut root = Self::default();
        if elements.is_empty() {
            root.branch("cmi");
        }
        for (path, value) in sorted {
            let mut branch = &mut root;
            for name in path {
                branch = branch.branch(name.2);
            }
            branch.value = Some(value.to_owned());
        }
        root
    }

    /// The branch with this name, which is created if it does not exist. Elements come sorted, so it is the last one.
    fn branch(&mut self, name: &str) -> &mut Self {
        if self.branches.last().is_none_or(|(last, _)| last != name) {
            self.branches.push((name.to_owned(), Self::default()));
        }
        let last = self.branches.len().saturating_sub(1);
        &mut self.branches[last].1
    }
}

/// A part of the name of an element in its order: `id`, `type`, numbers, other names.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SortedName<'a>(u8, u64, &'a str);

impl<'a> SortedName<'a> {
    fn new(name: &'a str) -> Self {
        match (name, name.parse()) {
            ("id", _) => Self(0, 0, name),
            ("type", _) => Self(1, 0, name),
            (_, Ok(number)) => Self(2, number, name),
            (_, Err(_)) => Self(3, 0, name),
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            // An element has no elements below it.
            Some(value) if self.branches.is_empty() => serializer.serialize_str(value),
            _ => {
                let mut map = serializer.serialize_map(Some(self.branches.len()))?;
                for (name, branch) in &self.branches {
                    map.serialize_entry(name, branch)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests;
