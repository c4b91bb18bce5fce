//! Contexts of statements (xAPI 1.0.3, Data 2.4.6; `contextAgents` and `contextGroups` of xAPI 2.0).

use uuid::Uuid;

use super::actor::Actor;
use super::extensions;
use super::iri::Iri;
use super::language::LanguageTag;
use super::object::{Activity, reference_from_node};
use super::statement::{Rules, Version, uuid_from_node};
use crate::base::fault::{Fault, Place};
use crate::base::ids::StatementId;
use crate::base::json::{Fields, Node, elements, owned_string, string};

/// The context of a statement.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Context {
    /// The attempt, session or enrolment that the statement belongs to.
    pub registration: Option<Uuid>,
    /// The instructor.
    pub instructor: Option<Actor>,
    /// The team of the actor.
    pub team: Option<Actor>,
    /// Activities that directly contain the object, for example a course.
    pub parent: Vec<Activity>,
    /// Activities that contain the object indirectly, for example a curriculum.
    pub grouping: Vec<Activity>,
    /// Activities that classify the statement: tags, profiles.
    pub category: Vec<Activity>,
    /// Activities with another relation to the statement.
    pub other: Vec<Activity>,
    /// The revision of the object.
    pub revision: Option<String>,
    /// The system on which the activity took place.
    pub platform: Option<String>,
    /// The language of the activity.
    pub language: Option<LanguageTag>,
    /// A statement that gives context to this one.
    pub statement: Option<StatementId>,
    /// Related agents (xAPI 2.0 only).
    pub context_agents: Vec<RelatedActor>,
    /// Related groups (xAPI 2.0 only).
    pub context_groups: Vec<RelatedActor>,
    /// The extensions, as the text of a JSON object.
    pub extensions: Option<String>,
}

/// An element of `contextAgents` or `contextGroups` (xAPI 2.0).
#[derive(Debug, Clone, PartialEq)]
pub struct RelatedActor {
    /// The agent or group.
    pub actor: Actor,
    /// The types of its relation to the statement.
    pub relevant_types: Vec<Iri>,
}

const KNOWN: [&str; 9] = [
    "registration",
    "instructor",
    "team",
    "contextActivities",
    "revision",
    "platform",
    "language",
    "statement",
    "extensions",
];

impl Context {
    /// Reads a context. `about_activity`: whether the object of the statement is an activity.
    pub(super) fn from_node(
        node: &Node<'_>,
        place: &Place<'_>,
        rules: Rules<'_>,
        about_activity: bool,
    ) -> Result<Self, Fault> {
        let known = match rules.version {
            Version::V1 => KNOWN.to_vec(),
            Version::V2 => [&KNOWN[..], &["contextAgents", "contextGroups"]].concat(),
        };
        let fields = Fields::from_node(node, place, "a context", &known)?;
        for key in ["revision", "platform"] {
            if !about_activity && fields.get(key).is_some() {
                return Err(place
                    .member(key)
                    .fault("leave this out: only a statement about an Activity may have it"));
            }
        }
        let [parent, grouping, category, other] = fields
            .optional("contextActivities", |node, place| {
                context_activities(node, place, rules)
            })?
            .unwrap_or_default();
        let actor = |node: &Node<'_>, place: &Place<'_>| Actor::from_node(node, place, rules.limits);
        let team = |node: &Node<'_>, place: &Place<'_>| Actor::group_from_node(node, place, rules.limits);
        Ok(Self {
            registration: fields.optional("registration", uuid_from_node)?,
            instructor: fields.optional("instructor", actor)?,
            team: fields.optional("team", team)?,
            parent,
            grouping,
            category,
            other,
            revision: fields.optional("revision", owned_string)?,
            platform: fields.optional("platform", owned_string)?,
            language: fields.optional("language", LanguageTag::from_node)?,
            statement: fields.optional("statement", reference_from_node)?,
            context_agents: fields.list("contextAgents", rules.limits.group_members, related_agent)?,
            context_groups: fields.list("contextGroups", rules.limits.group_members, |node, place| {
                related_group(node, place, rules)
            })?,
            extensions: fields.optional("extensions", extensions::from_node)?,
        })
    }

    /// The activities of all four kinds: parent, grouping, category, other.
    pub fn activities(&self) -> impl Iterator<Item = &Activity> {
        self.parent
            .iter()
            .chain(&self.grouping)
            .chain(&self.category)
            .chain(&self.other)
    }
}

/// The keys of `contextActivities`, in the order of [`Context`]'s fields.
pub(super) const CONTEXT_ACTIVITIES: [&str; 4] = ["parent", "grouping", "category", "other"];

fn context_activities(
    node: &Node<'_>,
    place: &Place<'_>,
    rules: Rules<'_>,
) -> Result<[Vec<Activity>; 4], Fault> {
    let fields = Fields::from_node(node, place, "contextActivities", &CONTEXT_ACTIVITIES)?;
    let mut lists = <[Vec<Activity>; 4]>::default();
    for (list, key) in lists.iter_mut().zip(CONTEXT_ACTIVITIES) {
        let read = fields.optional(key, |node, place| match node {
            // A single activity is allowed for compatibility with version 0.95 (Data 2.4.6.2).
            Node::Object(_) => Activity::from_node(node, place).map(|activity| vec![activity]),
            _ => elements(node, place, rules.limits.context_activities, Activity::from_node),
        })?;
        *list = read.unwrap_or_default();
    }
    Ok(lists)
}

fn related_agent(node: &Node<'_>, place: &Place<'_>) -> Result<RelatedActor, Fault> {
    let fields = Fields::from_node(
        node,
        place,
        "a contextAgent",
        &["objectType", "agent", "relevantTypes"],
    )?;
    fields.required("objectType", |node, place| {
        check_object_type(node, place, "contextAgent")
    })?;
    let actor = fields.required("agent", Actor::agent_from_node)?;
    Ok(RelatedActor {
        actor,
        relevant_types: relevant_types(&fields)?,
    })
}

fn related_group(node: &Node<'_>, place: &Place<'_>, rules: Rules<'_>) -> Result<RelatedActor, Fault> {
    let fields = Fields::from_node(
        node,
        place,
        "a contextGroup",
        &["objectType", "group", "relevantTypes"],
    )?;
    fields.required("objectType", |node, place| {
        check_object_type(node, place, "contextGroup")
    })?;
    let actor = fields.required("group", |node, place| {
        Actor::group_from_node(node, place, rules.limits)
    })?;
    Ok(RelatedActor {
        actor,
        relevant_types: relevant_types(&fields)?,
    })
}

fn check_object_type(node: &Node<'_>, place: &Place<'_>, expected: &str) -> Result<(), Fault> {
    if string(node, place)? == expected {
        Ok(())
    } else {
        Err(place.fault(format!("the objectType must be \"{expected}\" here")))
    }
}

fn relevant_types(fields: &Fields<'_, '_>) -> Result<Vec<Iri>, Fault> {
    let types = fields.optional("relevantTypes", |node, place| {
        let types = elements(node, place, usize::MAX, Iri::from_node)?;
        if types.is_empty() {
            Err(place.fault("write at least one type, or leave this out"))
        } else {
            Ok(types)
        }
    })?;
    Ok(types.unwrap_or_default())
}
