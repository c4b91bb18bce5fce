//! Giving statements back in other formats (xAPI 1.0.3, Communication 2.1.3): made from the sealed
//! text, which is itself the format `exact`.

use super::canonicalise::{is_sub_statement, write_members};
use super::context::CONTEXT_ACTIVITIES;
use super::language::Preference;
use super::object::COMPONENT_LISTS;
use crate::base::fault::Fault;
use crate::base::json::{self, Member, Node, write_list};

/// The statement with only what identifies its agents, groups, activities and verbs: of an activity
/// its id, of an actor its identifier and `objectType`, of an anonymous group its members'
/// identifiers too, of a verb its id. All else is as it was sent.
///
/// # Errors
///
/// The text is not JSON: what is kept was damaged.
pub fn to_ids(sealed: &str) -> Result<String, Fault> {
    rewrite(sealed, &Style::Ids)
}

/// The statement with one language in every language map: of the verbs, of the definitions of all
/// activities and of the components of questions. Each map's language is the one that
/// [`Preference::pick`] takes. All else is as it was sent.
///
/// # Errors
///
/// The text is not JSON: what is kept was damaged.
pub fn to_canonical(sealed: &str, preference: &Preference) -> Result<String, Fault> {
    rewrite(sealed, &Style::Canonical(preference))
}

enum Style<'a> {
    Ids,
    Canonical(&'a Preference),
}

fn rewrite(sealed: &str, style: &Style<'_>) -> Result<String, Fault> {
    let node = json::parse_stored(sealed)?;
    let mut out = String::with_capacity(sealed.len());
    style.statement(&mut out, &node);
    Ok(out)
}

impl Style<'_> {
    /// A statement or SubStatement.
    fn statement(&self, out: &mut String, node: &Node<'_>) {
        each(out, node, |out, key, value| match key {
            "actor" | "authority" => self.actor(out, value),
            "verb" => self.verb(out, value),
            "object" => self.object(out, value),
            "context" => self.context(out, value),
            _ => value.write(out),
        });
    }

    fn object(&self, out: &mut String, node: &Node<'_>) {
        match node.get("objectType").and_then(Node::as_str) {
            None | Some("Activity") => self.activity(out, node),
            Some("Agent" | "Group") => self.actor(out, node),
            _ if is_sub_statement(node) => self.statement(out, node),
            _ => node.write(out),
        }
    }

    fn context(&self, out: &mut String, node: &Node<'_>) {
        each(out, node, |out, key, value| match key {
            "instructor" | "team" => self.actor(out, value),
            "contextActivities" => each(out, value, |out, key, value| match value {
                Node::Array(list) if CONTEXT_ACTIVITIES.contains(&key) => {
                    write_list(out, ['[', ']'], list, |out, activity| {
                        self.activity(out, activity)
                    });
                }
                value => value.write(out),
            }),
            "contextAgents" | "contextGroups" => {
                let related = value.as_array().unwrap_or_default();
                write_list(out, ['[', ']'], related, |out, related| {
                    each(out, related, |out, key, value| match key {
                        "agent" | "group" => self.actor(out, value),
                        _ => value.write(out),
                    });
                });
            }
            _ => value.write(out),
        });
    }

    fn actor(&self, out: &mut String, node: &Node<'_>) {
        let Style::Ids = self else { return node.write(out) };
        let identified = ["mbox", "mbox_sha1sum", "openid", "account"]
            .iter()
            .any(|key| node.get(key).is_some());
        let wanted = |key: &str| key != "name" && !(identified && key == "member");
        some(out, node, wanted, |out, key, value| match (key, value) {
            ("member", Node::Array(members)) => {
                write_list(out, ['[', ']'], members, |out, member| self.actor(out, member));
            }
            _ => value.write(out),
        });
    }

    fn verb(&self, out: &mut String, node: &Node<'_>) {
        match self {
            Style::Ids => some(out, node, |key| key == "id", |out, _, value| value.write(out)),
            Style::Canonical(preference) => each(out, node, |out, key, value| match key {
                "display" => one_language(out, value, preference),
                _ => value.write(out),
            }),
        }
    }

    fn activity(&self, out: &mut String, node: &Node<'_>) {
        match self {
            Style::Ids => some(out, node, |key| key == "id", |out, _, value| value.write(out)),
            Style::Canonical(preference) => each(out, node, |out, key, value| match key {
                "definition" => definition(out, value, preference),
                _ => value.write(out),
            }),
        }
    }
}

/// A definition with one language in every map.
fn definition(out: &mut String, node: &Node<'_>, preference: &Preference) {
    each(out, node, |out, key, value| match (key, value) {
        ("name" | "description", _) => one_language(out, value, preference),
        (list, Node::Array(components)) if COMPONENT_LISTS.contains(&list) => {
            write_list(out, ['[', ']'], components, |out, component| {
                each(out, component, |out, key, value| match key {
                    "description" => one_language(out, value, preference),
                    _ => value.write(out),
                });
            });
        }
        _ => value.write(out),
    });
}

/// A language map with the one language that is preferred; an empty one stays empty.
fn one_language(out: &mut String, map: &Node<'_>, preference: &Preference) {
    let Some(members) = map.as_object() else {
        return map.write(out);
    };
    let picked = preference.pick(members.iter().map(|member| member.key.value()));
    let picked = picked
        .and_then(|index| members.get(index..=index))
        .unwrap_or_default();
    write_members(out, picked, |out, member| member.value.write(out));
}

/// Writes an object, each value by `write`; anything else as it is.
fn each(out: &mut String, node: &Node<'_>, write: impl Fn(&mut String, &str, &Node<'_>)) {
    some(out, node, |_| true, write);
}

/// Writes those members of an object that are `wanted`, each value by `write`; anything else as it
/// is.
fn some(
    out: &mut String,
    node: &Node<'_>,
    wanted: impl Fn(&str) -> bool,
    write: impl Fn(&mut String, &str, &Node<'_>),
) {
    let Some(members) = node.as_object() else {
        return node.write(out);
    };
    let wanted: Vec<&Member<'_>> = members
        .iter()
        .filter(|member| wanted(member.key.value()))
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

    const SEALED: &str = concat!(
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
    fn ids_keeps_what_identifies() {
        let expected = concat!(
            r#"{"actor":{"objectType":"Group","member":[{"mbox":"mailto:a@x.org"}]},"#,
            r#""verb":{"id":"http://x.org/v"},"#,
            r#""object":{"objectType":"SubStatement","actor":{"objectType":"Group","mbox":"mailto:g@x.org"},"#,
            r#""verb":{"id":"http://x.org/w"},"object":{"id":"http://x.org/a"}},"#,
            r#""result":{"score":{"raw":1.50}},"#,
            r#""context":{"instructor":{"mbox":"mailto:i@x.org"},"contextActivities":{"parent":[{"id":"http://x.org/p"}]}}}"#,
        );
        assert_eq!(to_ids(SEALED).unwrap(), expected);
    }

    #[test]
    fn canonical_keeps_one_language_in_each_map() {
        let german = to_canonical(SEALED, &Preference::parse("de")).unwrap();
        let expected = SEALED
            .replace(r#""en-US":"did","#, "")
            .replace(r#""fr":"un","#, "")
            .replace(r#","en":"one"}}]"#, "}}]")
            .replace(r#","en":"course""#, "");
        assert_eq!(german, expected);
    }

    #[test]
    fn damage_is_told() {
        assert!(to_ids("{").is_err());
        assert_eq!(to_ids("[]").unwrap(), "[]");
    }
}
