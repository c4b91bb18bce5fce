//! Writing typed parts of a statement as JSON text.
//!
//! Only statements that Rollbook builds itself are written this way. A statement that a client sent keeps the
//! text that the client wrote; see [`Statement::canonicalise`].

use super::actor::{Actor, Identifier};
use super::attachment::Attachment;
use super::context::{Context, RelatedActor};
use super::language::LanguageMap;
use super::object::{Activity, Component, Definition};
use super::result::{Outcome, Score};
use super::statement::Statement;
use super::verb::Verb;
use crate::base::ids::StatementId;
use crate::base::json::{ObjectWriter, object_text, push_quoted, write_object};

impl Statement {
    /// The JSON text of the members that the statement has, in their order.
    pub fn to_json(&self) -> String {
        object_text(|object| {
            for (key, value) in &self.parts {
                object.raw(key, value);
            }
        })
    }
}

impl Actor {
    /// The JSON text of the agent or group.
    pub fn to_json(&self) -> String {
        object_text(|object| self.write_members(object))
    }

    fn write_members(&self, object: &mut ObjectWriter<'_>) {
        object.string("objectType", self.kind.object_type());
        if let Some(name) = &self.name {
            object.string("name", name);
        }
        if let Some(identifier) = &self.identifier {
            identifier.write_member(object);
        }
        if !self.members.is_empty() {
            object.array("member", &self.members, |out, member| {
                write_object(out, |object| member.write_members(object));
            });
        }
    }
}

impl Identifier {
    /// The JSON text of an agent with this identifier, for example `{"mbox":"mailto:ada@example.org"}`.
    pub fn to_json(&self) -> String {
        object_text(|object| self.write_member(object))
    }

    /// Writes the member of an actor that identifies it, for example `"mbox":"mailto:ada@example.org"`.
    fn write_member(&self, object: &mut ObjectWriter<'_>) {
        match self {
            Self::Mbox(mbox) => object.string("mbox", mbox),
            Self::MboxSha1(sha1) => object.string("mbox_sha1sum", sha1),
            Self::OpenId(openid) => object.string("openid", openid),
            Self::Account { home_page, name } => object.object("account", |account| {
                account.string("homePage", home_page);
                account.string("name", name);
            }),
        }
    }
}

impl Verb {
    pub(super) fn to_json(&self) -> String {
        object_text(|object| {
            object.string("id", &self.id);
            write_language_map(object, "display", &self.display);
        })
    }
}

impl Activity {
    pub(super) fn to_json(&self) -> String {
        object_text(|object| self.write_members(object))
    }

    fn write_members(&self, object: &mut ObjectWriter<'_>) {
        object.string("objectType", "Activity");
        object.string("id", &self.id);
        if let Some(definition) = &self.definition {
            object.raw("definition", &definition.to_json());
        }
    }
}

impl Definition {
    /// The JSON text of the definition, written from its typed fields.
    pub(super) fn to_json(&self) -> String {
        object_text(|object| {
            write_language_map(object, "name", &self.name);
            write_language_map(object, "description", &self.description);
            if let Some(iri) = &self.type_ {
                object.string("type", iri);
            }
            if let Some(iri) = &self.more_info {
                object.string("moreInfo", iri);
            }
            if let Some(interaction_type) = self.interaction_type {
                object.string("interactionType", interaction_type.key());
            }
            if !self.correct_responses.is_empty() {
                object.array(
                    "correctResponsesPattern",
                    &self.correct_responses,
                    |out, response| {
                        push_quoted(out, response);
                    },
                );
            }
            for list in &self.components {
                object.array(list.name, &list.components, write_component);
            }
            if let Some(extensions) = &self.extensions {
                object.raw("extensions", extensions);
            }
        })
    }
}

impl Attachment {
    fn write_members(&self, object: &mut ObjectWriter<'_>) {
        object.string("usageType", &self.usage_type);
        match self.display.is_empty() {
            true => object.raw("display", "{}"),
            false => write_language_map(object, "display", &self.display),
        }
        write_language_map(object, "description", &self.description);
        object.string("contentType", &self.content_type);
        object.raw("length", &self.length.to_string());
        object.string("sha2", &self.sha2);
        if let Some(address) = &self.file_url {
            object.string("fileUrl", address);
        }
    }

    /// The JSON text of a list of declarations.
    pub(super) fn list_to_json(attachments: &[Self]) -> String {
        let write = |attachment: &Self| object_text(|object| attachment.write_members(object));
        let texts: Vec<String> = attachments.iter().map(write).collect();
        format!("[{}]", texts.join(","))
    }
}

fn write_component(out: &mut String, component: &Component) {
    write_object(out, |object| {
        object.string("id", &component.id);
        write_language_map(object, "description", &component.description);
    });
}

impl Outcome {
    pub(super) fn to_json(&self) -> String {
        object_text(|object| {
            if let Some(score) = &self.score {
                object.object("score", |members| score.write_members(members));
            }
            if let Some(success) = self.success {
                object.boolean("success", success);
            }
            if let Some(completion) = self.completion {
                object.boolean("completion", completion);
            }
            if let Some(response) = &self.response {
                object.string("response", response);
            }
            if let Some(duration) = &self.duration {
                object.string("duration", duration.as_str());
            }
            if let Some(extensions) = &self.extensions {
                object.raw("extensions", extensions);
            }
        })
    }
}

impl Score {
    fn write_members(&self, object: &mut ObjectWriter<'_>) {
        let Self {
            scaled,
            raw,
            min,
            max,
        } = *self;
        for (key, value) in [("scaled", scaled), ("raw", raw), ("min", min), ("max", max)] {
            if let Some(value) = value {
                object.number(key, value);
            }
        }
    }
}

impl Context {
    pub(super) fn to_json(&self) -> String {
        object_text(|object| {
            if let Some(registration) = self.registration {
                object.string("registration", &registration.to_string());
            }
            for (key, actor) in [("instructor", &self.instructor), ("team", &self.team)] {
                if let Some(actor) = actor {
                    object.object(key, |members| actor.write_members(members));
                }
            }
            if self.activities().next().is_some() {
                object.object("contextActivities", |lists| self.write_activities(lists));
            }
            for (key, text) in [("revision", &self.revision), ("platform", &self.platform)] {
                if let Some(text) = text {
                    object.string(key, text);
                }
            }
            if let Some(language) = &self.language {
                object.string("language", language);
            }
            if let Some(id) = self.statement {
                object.raw("statement", &reference_to_json(id));
            }
            write_related(
                object,
                "contextAgents",
                "contextAgent",
                "agent",
                &self.context_agents,
            );
            write_related(
                object,
                "contextGroups",
                "contextGroup",
                "group",
                &self.context_groups,
            );
            if let Some(extensions) = &self.extensions {
                object.raw("extensions", extensions);
            }
        })
    }

    fn write_activities(&self, lists: &mut ObjectWriter<'_>) {
        let all = [
            ("parent", &self.parent),
            ("grouping", &self.grouping),
            ("category", &self.category),
            ("other", &self.other),
        ];
        for (key, activities) in all {
            if !activities.is_empty() {
                lists.array(key, activities, |out, activity| {
                    write_object(out, |object| activity.write_members(object));
                });
            }
        }
    }
}

/// Writes a list of `contextAgents` or `contextGroups`; nothing where it is empty.
fn write_related(
    object: &mut ObjectWriter<'_>,
    key: &str,
    object_type: &str,
    actor_key: &str,
    actors: &[RelatedActor],
) {
    if actors.is_empty() {
        return;
    }
    object.array(key, actors, |out, related| {
        write_object(out, |object| {
            object.string("objectType", object_type);
            object.object(actor_key, |members| related.actor.write_members(members));
            if !related.relevant_types.is_empty() {
                object.array("relevantTypes", &related.relevant_types, |out, iri| {
                    push_quoted(out, iri);
                });
            }
        });
    });
}

/// Writes a language map; nothing where it is empty.
fn write_language_map(object: &mut ObjectWriter<'_>, key: &str, map: &LanguageMap) {
    if map.is_empty() {
        return;
    }
    object.object(key, |members| {
        for (tag, text) in map.iter() {
            members.string(tag, text);
        }
    });
}

/// The JSON text of a reference to a statement.
pub(super) fn reference_to_json(id: StatementId) -> String {
    object_text(|object| {
        object.string("objectType", "StatementRef");
        object.string("id", &id.to_string());
    })
}
