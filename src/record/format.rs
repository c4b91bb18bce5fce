//! The formats `ids` and `canonical` of a statement (xAPI 1.0.3, Communication 2.1.3).
//!
//! Both are made from the stored text. The stored text itself is the format `exact`.

use super::canonicalise::{is_sub_statement, write_members};
use super::context::CONTEXT_ACTIVITIES;
use super::language::Preference;
use super::object::COMPONENT_LISTS;
use crate::base::fault::Fault;
use crate::base::json::{self, Member, Node, write_list};

/// The format `ids`. It contains only the identifying members of actors, activities and verbs:
///
/// - of an activity or a verb, the id;
/// - of an actor, the identifier and `objectType`;
/// - of an anonymous group, also the identifiers of its members.
///
/// All other values are unchanged.
///
/// # Errors
///
/// The text is not JSON, so the stored text is damaged.
pub fn to_ids(stored: &str) -> Result<String, Fault> {
    rewrite(stored, &Style::Ids)
}

/// The format `canonical`. Every language map contains one language, the one that [`Preference::pick`] returns.
///
/// This applies to the language maps of verbs, of the definitions of activities and of the components of questions. All
/// other values are unchanged.
///
/// # Errors
///
/// The text is not JSON, so the stored text is damaged.
pub fn to_canonical(stored: &str, preference: &Preference) -> Result<String, Fault> {
    rewrite(stored, &Style::Canonical(preference))
}

/// The format to write.
enum Style<'a> {
    Ids,
    Canonical(&'a Preference),
}

fn rewrite(stored: &str, style: &Style<'_>) -> Result<String, Fault> {
    let node = json::parse_stored(stored)?;
    let mut out = String::with_capacity(stored.len());
    style.write_statement(&mut out, &node);
    Ok(out)
}

impl Style<'_> {
    /// Writes a statement or SubStatement.
    fn write_statement(&self, out: &mut String, node: &Node<'_>) {
        write_all_members(out, node, |out, key, value| match key {
            "actor" | "authority" => self.write_actor(out, value),
            "verb" => self.write_verb(out, value),
            "object" => self.write_object(out, value),
            "context" => self.write_context(out, value),
            _ => value.write(out),
        });
    }

    fn write_object(&self, out: &mut String, node: &Node<'_>) {
        match node.get("objectType").and_then(Node::as_str) {
            None | Some("Activity") => self.write_activity(out, node),
            Some("Agent" | "Group") => self.write_actor(out, node),
            _ if is_sub_statement(node) => self.write_statement(out, node),
            _ => node.write(out),
        }
    }

    fn write_context(&self, out: &mut String, node: &Node<'_>) {
        write_all_members(out, node, |out, key, value| match key {
            "instructor" | "team" => self.write_actor(out, value),
            "contextActivities" => write_all_members(out, value, |out, key, value| match value {
                Node::Array(list) if CONTEXT_ACTIVITIES.contains(&key) => {
                    write_list(out, ['[', ']'], list, |out, activity| {
                        self.write_activity(out, activity)
                    });
                }
                value => value.write(out),
            }),
            "contextAgents" | "contextGroups" => {
                let related = value.as_array().unwrap_or_default();
                write_list(out, ['[', ']'], related, |out, related| {
                    write_all_members(out, related, |out, key, value| match key {
                        "agent" | "group" => self.write_actor(out, value),
                        _ => value.write(out),
                    });
                });
            }
            _ => value.write(out),
        });
    }

    fn write_actor(&self, out: &mut String, node: &Node<'_>) {
        let Style::Ids = self else { return node.write(out) };
        let is_identified = ["mbox", "mbox_sha1sum", "openid", "account"]
            .iter()
            .any(|key| node.get(key).is_some());
        let is_wanted = |key: &str| key != "name" && !(is_identified && key == "member");
        write_selected_members(out, node, is_wanted, |out, key, value| match (key, value) {
            ("member", Node::Array(members)) => {
                write_list(out, ['[', ']'], members, |out, member| {
                    self.write_actor(out, member)
                });
            }
            _ => value.write(out),
        });
    }

    fn write_verb(&self, out: &mut String, node: &Node<'_>) {
        match self {
            Style::Ids => {
                write_selected_members(out, node, |key| key == "id", |out, _, value| value.write(out))
            }
            Style::Canonical(preference) => write_all_members(out, node, |out, key, value| match key {
                "display" => write_one_language(out, value, preference),
                _ => value.write(out),
            }),
        }
    }

    fn write_activity(&self, out: &mut String, node: &Node<'_>) {
        match self {
            Style::Ids => {
                write_selected_members(out, node, |key| key == "id", |out, _, value| value.write(out))
            }
            Style::Canonical(preference) => write_all_members(out, node, |out, key, value| match key {
                "definition" => write_definition(out, value, preference),
                _ => value.write(out),
            }),
        }
    }
}

/// Writes a definition with one language in every language map.
fn write_definition(out: &mut String, node: &Node<'_>, preference: &Preference) {
    write_all_members(out, node, |out, key, value| match (key, value) {
        ("name" | "description", _) => write_one_language(out, value, preference),
        (list, Node::Array(components)) if COMPONENT_LISTS.contains(&list) => {
            write_list(out, ['[', ']'], components, |out, component| {
                write_all_members(out, component, |out, key, value| match key {
                    "description" => write_one_language(out, value, preference),
                    _ => value.write(out),
                });
            });
        }
        _ => value.write(out),
    });
}

/// Writes a language map with the preferred language only. An empty map stays empty.
fn write_one_language(out: &mut String, map: &Node<'_>, preference: &Preference) {
    let Some(members) = map.as_object() else {
        return map.write(out);
    };
    let picked = preference.pick(members.iter().map(|member| member.key.value()));
    let picked = picked
        .and_then(|index| members.get(index..=index))
        .unwrap_or_default();
    write_members(out, picked, |out, member| member.value.write(out));
}

/// Writes an object; `write` writes the value of one member. A value of another type is written unchanged.
fn write_all_members(out: &mut String, node: &Node<'_>, write: impl Fn(&mut String, &str, &Node<'_>)) {
    write_selected_members(out, node, |_| true, write);
}

/// Like [`write_all_members`], but writes only the members with a key that `is_wanted` accepts.
fn write_selected_members(
    out: &mut String,
    node: &Node<'_>,
    is_wanted: impl Fn(&str) -> bool,
    write: impl Fn(&mut String, &str, &Node<'_>),
) {
    let Some(members) = node.as_object() else {
        return node.write(out);
    };
    let wanted: Vec<&Member<'_>> = members
        .iter()
        .filter(|member| is_wanted(member.key.value()))
        .collect();
    write_list(out, ['{', '}'], wanted, |out, member| {
        out.push_str(member.key.source());
        out.push(':');
        write(out, member.key.value(), &member.value);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = concat!(
        r#"{"actor":{"objectType":"Group","name":"We","member":[{"name":"A","mbox":"mailto:a@x.org"}]},"#,
        r#""verb":{"id":"http://x.org/v","display":{"en-US":"did","de":"tat"}},"#,
        r#""object":{"objectType":"SubStatement","actor":{"objectType":"Group","mbox":"mailto:g@x.org","name":"G","member":[]},"#,
        r#""verb":{"id":"http://x.org/w"},"object":{"objectType":"Activity","id":"http://x.org/a","definition":"#,
        r#"{"name":{"fr":"un","en":"one"},"interactionType":"choice","choices":[{"id":"c","description":{"de":"eins","en":"one"}}],"#,
        r#""extensions":{"http://x.org/e":{"en":1,"de":2}}}}},"#,
        r#""result":{"score":{"raw":1.50}},"#,
        r#""context":{"instructor":{"mbox":"mailto:i@x.org","name":"I"},"contextActivities":{"parent":"#,
        r#"[{"id":"http://x.org/p","definition":{"name":{"de":"Kurs","en":"course"}}}]}}}"#,
    );

    #[test]
    fn ids_format_contains_identifying_members_only() {
        let expected = concat!(
            r#"{"actor":{"objectType":"Group","member":[{"mbox":"mailto:a@x.org"}]},"#,
            r#""verb":{"id":"http://x.org/v"},"#,
            r#""object":{"objectType":"SubStatement","actor":{"objectType":"Group","mbox":"mailto:g@x.org"},"#,
            r#""verb":{"id":"http://x.org/w"},"object":{"id":"http://x.org/a"}},"#,
            r#""result":{"score":{"raw":1.50}},"#,
            r#""context":{"instructor":{"mbox":"mailto:i@x.org"},"contextActivities":{"parent":[{"id":"http://x.org/p"}]}}}"#,
        );
        assert_eq!(to_ids(STORED).unwrap(), expected);
    }

    #[test]
    fn canonical_format_contains_one_language_in_each_map() {
        let german = to_canonical(STORED, &Preference::parse("de")).unwrap();
        let expected = STORED
            .replace(r#""en-US":"did","#, "")
            .replace(r#""fr":"un","#, "")
            .replace(r#","en":"one"}}]"#, "}}]")
            .replace(r#","en":"course""#, "");
        assert_eq!(german, expected);
    }

    #[test]
    fn damaged_text_is_an_error() {
        assert!(to_ids("{").is_err());
        assert_eq!(to_ids("[]").unwrap(), "[]");
    }
}
