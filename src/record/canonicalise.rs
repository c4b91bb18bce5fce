//! The text that is kept: a statement as it came, with what a store must add (xAPI 1.0.3, Data
//! 2.3.1 and 2.4).

use super::context::CONTEXT_ACTIVITIES;
use super::statement::Statement;
use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::base::json::{Member, Node, quoted, write_list};

/// What a store adds to a statement.
#[derive(Debug, Clone, Copy)]
pub struct ServerFields<'a> {
    /// The id of a statement that came without one.
    pub id: StatementId,
    /// When it is stored; also the timestamp of a statement that came without one.
    pub stored: Timestamp,
    /// Who says so: the JSON text of an agent or group.
    pub authority: &'a str,
    /// Whether an authority that the statement came with is kept instead, because its sender is
    /// trusted with it (xAPI 1.0.3, Data 2.4.9).
    pub keep_authority: bool,
    /// The version of a statement that came without one: `1.0.0` or `2.0.0`.
    pub default_version: &'a str,
}

impl Statement {
    /// The text that is kept and given back: without white space, the members in the order they
    /// came, every value as it was written. `stored` is replaced, and so is `authority` unless it
    /// is to be kept; `id`, `timestamp`, `authority` and `version` are added where they are
    /// missing. A single context activity becomes a list (Data 2.4.6.2).
    pub fn canonicalise(&self, seal: &ServerFields<'_>) -> String {
        let length: usize = self
            .parts
            .iter()
            .map(|(key, value)| key.len() + value.len() + 4)
            .sum();
        let mut out = String::with_capacity(length + seal.authority.len() + 160);
        let stored = format!("\"{}\"", seal.stored);
        let id = format!("\"{}\"", seal.id);
        let version = quoted(seal.default_version);
        let has = |key: &str| self.parts.iter().any(|(own, _)| *own == key);
        let kept = self.parts.iter().map(|(key, value)| match *key {
            "stored" => (*key, stored.as_str()),
            "authority" if !seal.keep_authority => (*key, seal.authority),
            key => (key, value.as_str()),
        });
        let added = [
            ("timestamp", &*stored),
            ("stored", &*stored),
            ("authority", seal.authority),
            ("version", &version),
        ];
        let first = [("id", id.as_str())].into_iter().filter(|(key, _)| !has(key));
        let last = added.into_iter().filter(|(key, _)| !has(key));
        write_list(
            &mut out,
            ['{', '}'],
            first.chain(kept).chain(last),
            |out, (key, value)| {
                out.push('"');
                out.push_str(key);
                out.push_str("\":");
                out.push_str(value);
            },
        );
        out
    }
}

/// The members of a statement in the order they came, with their values as they are kept; `known`
/// has the keys.
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

/// The value of the member `key` of a statement or SubStatement.
fn write_value(out: &mut String, key: &str, value: &Node<'_>) {
    match (key, value) {
        ("context", Node::Object(members)) => write_members(out, members, |out, member| {
            if member.key.value() == "contextActivities" {
                write_activities(out, &member.value);
            } else {
                member.value.write(out);
            }
        }),
        ("object", Node::Object(members)) if is_sub_statement(value) => {
            write_members(out, members, |out, member| {
                write_value(
                    out,
                    if member.key.value() == "context" {
                        "context"
                    } else {
                        ""
                    },
                    &member.value,
                );
            })
        }
        _ => value.write(out),
    }
}

fn write_activities(out: &mut String, activities: &Node<'_>) {
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

/// Writes an object, its values by `write`.
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

/// Whether this is a SubStatement, as an object.
pub(super) fn is_sub_statement(object: &Node<'_>) -> bool {
    object.get("objectType").and_then(Node::as_str) == Some("SubStatement")
}
