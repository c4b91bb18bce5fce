//! The actors and activities that a statement mentions besides its own actor and object.
//!
//! The filters `agent`, `related_agents` and `related_activities` search them (xAPI 1.0.3, Communication 2.1.3).

use super::actor::{Actor, Identifier};
use super::context::Context;
use super::object::{Activity, Object};
use super::statement::Statement;

/// The actors and activities that a statement mentions besides its own actor and object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mentions<'s> {
    /// The actors that the filter `agent` finds: the members of an actor that is a group, and an agent or group that is
    /// the object, with its members.
    pub direct: Vec<&'s Identifier>,
    /// The actors that only `related_agents` finds: instructor, team, context agents, context groups, and the actors of
    /// a SubStatement, each with its members. The authority is not among them.
    pub related: Vec<&'s Identifier>,
    /// The activities that only `related_activities` finds: the activities of the context and of a SubStatement.
    pub activities: Vec<&'s Activity>,
}

impl Statement {
    /// The actors and activities that the statement mentions. The lists may contain duplicates.
    pub fn mentions(&self) -> Mentions<'_> {
        let mut mentions = Mentions::default();
        mentions.direct.extend(members(&self.actor));
        match &self.object {
            Object::Agent(actor) | Object::Group(actor) => mentions.direct.extend(with_members(actor)),
            Object::SubStatement(sub) => {
                mentions.related.extend(with_members(&sub.actor));
                match &sub.object {
                    Object::Agent(actor) | Object::Group(actor) => {
                        mentions.related.extend(with_members(actor))
                    }
                    Object::Activity(activity) => mentions.activities.push(activity),
                    Object::StatementRef(_) | Object::SubStatement(_) => {}
                }
                mentions.add_context(sub.context.as_ref());
            }
            Object::Activity(_) | Object::StatementRef(_) => {}
        }
        mentions.add_context(self.context.as_ref());
        mentions
    }
}

impl<'s> Mentions<'s> {
    fn add_context(&mut self, context: Option<&'s Context>) {
        let Some(context) = context else { return };
        let others = context.context_agents.iter().chain(&context.context_groups);
        let actors = context.instructor.iter().chain(&context.team);
        self.related.extend(
            actors
                .chain(others.map(|other| &other.actor))
                .flat_map(with_members),
        );
        self.activities.extend(context.activities());
    }
}

/// The identifiers of an actor and of its members.
fn with_members(actor: &Actor) -> impl Iterator<Item = &Identifier> {
    actor.identifier.iter().chain(members(actor))
}

/// The identifiers of the members of a group.
fn members(actor: &Actor) -> impl Iterator<Item = &Identifier> {
    actor
        .members
        .iter()
        .filter_map(|member| member.identifier.as_ref())
}

#[cfg(test)]
mod tests {
    use super::super::statement::{Limits, Version, parse_statement};
    use super::*;

    fn agent(name: &str) -> String {
        format!(r#"{{"mbox":"mailto:{name}@x.org"}}"#)
    }

    fn group(name: &str, members: &[&str]) -> String {
        let members: Vec<String> = members.iter().map(|member| agent(member)).collect();
        let members = members.join(",");
        format!(r#"{{"objectType":"Group","mbox":"mailto:{name}@x.org","member":[{members}]}}"#)
    }

    fn local_parts(identifiers: &[&Identifier]) -> Vec<String> {
        let local = |identifier: &&Identifier| identifier.email().unwrap().replace("@x.org", "");
        identifiers.iter().map(local).collect()
    }

    #[test]
    fn all_related_actors_and_activities_are_found() {
        let context = |suffix: &str| {
            format!(
                r#"{{"instructor":{},"team":{},
                "contextActivities":{{"parent":[{{"id":"urn:parent{suffix}"}}],"other":{{"id":"urn:other{suffix}"}}}},
                "contextAgents":[{{"objectType":"contextAgent","agent":{}}}],
                "contextGroups":[{{"objectType":"contextGroup","group":{}}}]}}"#,
                agent(&format!("instructor{suffix}")),
                group(&format!("team{suffix}"), &[&format!("mate{suffix}")]),
                agent(&format!("contextagent{suffix}")),
                group(&format!("contextgroup{suffix}"), &[&format!("ally{suffix}")])
            )
        };
        let text = format!(
            r#"{{"actor":{},"verb":{{"id":"urn:v"}},"authority":{},"context":{},
            "object":{{"objectType":"SubStatement","actor":{},"verb":{{"id":"urn:v"}},"object":{{"id":"urn:subobject"}},"context":{}}}}}"#,
            group("actor", &["member"]),
            agent("authority"),
            context(""),
            group("sub", &["submember"]),
            context("2"),
        );
        let statement = parse_statement(text.as_bytes(), Version::V2, &Limits::default()).unwrap();
        let mentions = statement.mentions();
        assert_eq!(local_parts(&mentions.direct), ["member"]);
        let mut related = local_parts(&mentions.related);
        related.sort();
        let mut expected: Vec<String> = ["", "2"]
            .iter()
            .flat_map(|suffix| {
                [
                    "instructor",
                    "team",
                    "mate",
                    "contextagent",
                    "contextgroup",
                    "ally",
                ]
                .map(|name| format!("{name}{suffix}"))
            })
            .collect();
        expected.extend(["sub".to_owned(), "submember".to_owned()]);
        expected.sort();
        assert_eq!(related, expected);
        let mut activities: Vec<&str> = mentions.activities.iter().map(|a| a.id.as_str()).collect();
        activities.sort_unstable();
        assert_eq!(
            activities,
            [
                "urn:other",
                "urn:other2",
                "urn:parent",
                "urn:parent2",
                "urn:subobject"
            ]
        );
    }

    #[test]
    fn object_that_is_a_group_is_found_directly() {
        let text = format!(
            r#"{{"actor":{},"verb":{{"id":"urn:v"}},"object":{}}}"#,
            agent("actor"),
            group("object", &["member"])
        );
        let statement = parse_statement(text.as_bytes(), Version::V1, &Limits::default()).unwrap();
        let mentions = statement.mentions();
        assert_eq!(local_parts(&mentions.direct), ["object", "member"]);
        assert!(mentions.related.is_empty() && mentions.activities.is_empty());
    }
}
