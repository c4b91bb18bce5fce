//! The canonical text of a statement: the text that is stored and returned to clients (xAPI 1.0.3, Data 2.3.1 and
//! 2.4).
//!
//! The canonical text is the client's text with four changes:
//!
//! 1. It has no white space between tokens.
//! 2. `stored` is set by Rollbook, and so is `authority`, unless the client may set its own.
//! 3. `id`, `timestamp` and `version` are added where the client sent none.
//! 4. A single activity in `contextActivities` becomes a list of one (Data 2.4.6.2).
//!
//! Every other value keeps its source text, and the members keep their order.

use super::context::CONTEXT_ACTIVITIES;
use super::statement::Statement;
use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::base::json::{Member, Node, quoted, write_list, write_object};

/// The members of a statement that the server sets.
#[derive(Debug, Clone, Copy)]
pub struct ServerFields<'a> {
    /// The id. It is used if the client sent none.
    pub id: StatementId,
    /// The time of storing. It is also the `timestamp` if the client sent none.
    pub stored: Timestamp,
    /// The authority: the JSON text of an agent or group.
    pub authority: &'a str,
    /// Whether the client's `authority` is kept if it sent one (xAPI 1.0.3, Data 2.4.9). Only a trusted client
    /// may set its own.
    pub keep_authority: bool,
    /// The version, `1.0.0` or `2.0.0`. It is used if the client sent none.
    pub default_version: &'a str,
}

impl Statement {
    /// The canonical text of the statement, with the members that the server sets. See the file
    /// `record/canonicalise.rs` for the rules.
    ///
    /// [`Statement::parse_stored`] parses the text.
    pub fn canonicalise(&self, server: &ServerFields<'_>) -> String {
        let stored = quoted(&server.stored.to_string());
        let id = quoted(&server.id.to_string());
        let version = quoted(server.default_version);
        let has = |key: &str| self.parts.iter().any(|(own, _)| *own == key);
        let sent = self.parts.iter().map(|(key, value)| match *key {
            "stored" => (*key, stored.as_str()),
            "authority" if !server.keep_authority => (*key, server.authority),
            key => (key, value.as_str()),
        });
        let defaults = [
            ("timestamp", stored.as_str()),
            ("stored", stored.as_str()),
            ("authority", server.authority),
            ("version", version.as_str()),
        ];
        let first = [("id", id.as_str())].into_iter().filter(|(key, _)| !has(key));
        let last = defaults.into_iter().filter(|(key, _)| !has(key));
        let sent_length: usize = self
            .parts
            .iter()
            .map(|(key, value)| key.len() + value.len() + 4)
            .sum();
        let mut text = String::with_capacity(sent_length + server.authority.len() + 160);
        write_object(&mut text, |object| {
            for (key, value) in first.chain(sent).chain(last) {
                object.raw(key, value);
            }
        });
        text
    }
}

/// The members of a statement with their canonical values, in the order of the text. `known` contains the possible
/// keys.
pub(super) fn parts(statement: &Node<'_>, known: &[&'static str]) -> Vec<(&'static str, String)> {
    let part = |member: &Member<'_>| {
        let key = known.iter().find(|key| **key == member.key.value())?;
        let mut value = String::new();
        write_value(&mut value, key, &member.value);
        Some((*key, value))
    };
    statement
        .as_object()
        .unwrap_or_default()
        .iter()
        .filter_map(part)
        .collect()
}

/// Writes the value of the member `key` of a statement or SubStatement.
fn write_value(out: &mut String, key: &str, value: &Node<'_>) {
    match (key, value) {
        ("context", Node::Object(members)) => write_context(out, members),
        ("object", Node::Object(members)) if is_sub_statement(value) => {
            write_members(out, members, |out, member| {
                match (member.key.value(), &member.value) {
                    ("context", Node::Object(members)) => write_context(out, members),
                    (_, value) => value.write(out),
                }
            });
        }
        _ => value.write(out),
    }
}

fn write_context(out: &mut String, members: &[Member<'_>]) {
    write_members(out, members, |out, member| match member.key.value() {
        "contextActivities" => write_context_activities(out, &member.value),
        _ => member.value.write(out),
    });
}

fn write_context_activities(out: &mut String, activities: &Node<'_>) {
    let Some(members) = activities.as_object() else {
        return activities.write(out);
    };
    write_members(out, members, |out, member| match &member.value {
        Node::Object(_) if CONTEXT_ACTIVITIES.contains(&member.key.value()) => {
            write_list(out, ['[', ']'], [&member.value], |out, activity| {
                activity.write(out)
            });
        }
        value => value.write(out),
    });
}

/// Writes an object; `write` writes the value of one member.
pub(super) fn write_members(
    out: &mut String,
    members: &[Member<'_>],
    mut write: impl FnMut(&mut String, &Member<'_>),
) {
    write_list(out, ['{', '}'], members, |out, member| {
        out.push_str(member.key.source());
        out.push(':');
        write(out, member);
    });
}

/// Whether the object of a statement is a SubStatement.
pub(super) fn is_sub_statement(object: &Node<'_>) -> bool {
    object.get("objectType").and_then(Node::as_str) == Some("SubStatement")
}
