//! In what context (xAPI 1.0.3, Data 2.4.6; contextAgents and contextGroups as in 2.0).

use uuid::Uuid;

use super::actor::Actor;
use super::extensions;
use super::iri::Iri;
use super::language::LanguageTag;
use super::object::{Activity, reference};
use super::statement::{Rules, Version, uuid};
use crate::base::fault::{Fault, Place};
use crate::base::ids::StatementId;
use crate::base::json::{Fields, Node, elements, owned_string, string};

/// In what context something was done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Context {
    /// The attempt, session or enrolment that it belongs to.
    pub registration: Option<Uuid>,
    /// Who taught.
    pub instructor: Option<Actor>,
    /// The group with whom it was done.
    pub team: Option<Actor>,
    /// Activities that the object is a part of.
    pub parent: Vec<Activity>,
    /// Activities that the object belongs to more loosely.
    pub grouping: Vec<Activity>,
    /// Activities that say what kind of statement this is: tags, profiles.
    pub category: Vec<Activity>,
    /// Other activities.
    pub other: Vec<Activity>,
    /// The version of the object.
    pub revision: Option<String>,
    /// The system on which it was done.
    pub platform: Option<String>,
    /// The language in which it was done.
    pub language: Option<LanguageTag>,
    /// A statement that this one belongs to.
    pub statement: Option<StatementId>,
    /// Agents that had to do with it (2.0 only).
    pub context_agents: Vec<RelatedActor>,
    /// Groups that had to do with it (2.0 only).
    pub context_groups: Vec<RelatedActor>,
    /// What else was said, as a JSON object.
    pub extensions: Option<String>,
}

/// An agent or a group that had to do with a statement (2.0).
#[derive(Debug, Clone, PartialEq)]
pub struct RelatedActor {
    /// Who.
    pub actor: Actor,
    /// In which roles; empty where nothing was sent.
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
    /// Reads a context; `about_activity` says whether the statement's object is an activity.
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
                    .fault("leave this out: it is only for statements about an Activity"));
            }
        }
        let [parent, grouping, category, other] = fields
            .optional("contextActivities", |node, place| activities(node, place, rules))?
            .unwrap_or_default();
        let actor = |node: &Node<'_>, place: &Place<'_>| Actor::from_node(node, place, rules.limits);
        let team = |node: &Node<'_>, place: &Place<'_>| Actor::group_from_node(node, place, rules.limits);
        Ok(Self {
            registration: fields.optional("registration", uuid)?,
            instructor: fields.optional("instructor", actor)?,
            team: fields.optional("team", team)?,
            parent,
            grouping,
            category,
            other,
            revision: fields.optional("revision", owned_string)?,
            platform: fields.optional("platform", owned_string)?,
            language: fields.optional("language", LanguageTag::from_node)?,
            statement: fields.optional("statement", reference)?,
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

fn activities(node: &Node<'_>, place: &Place<'_>, rules: Rules<'_>) -> Result<[Vec<Activity>; 4], Fault> {
    let fields = Fields::from_node(node, place, "contextActivities", &CONTEXT_ACTIVITIES)?;
    let mut lists = <[Vec<Activity>; 4]>::default();
    for (list, key) in lists.iter_mut().zip(CONTEXT_ACTIVITIES) {
        let read = fields.optional(key, |node, place| match node {
            // A single one is allowed for the sake of version 0.95 (Data 2.4.6.2).
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
    fields.required("objectType", |node, place| named(node, place, "contextAgent"))?;
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
    fields.required("objectType", |node, place| named(node, place, "contextGroup"))?;
    let actor = fields.required("group", |node, place| {
        Actor::group_from_node(node, place, rules.limits)
    })?;
    Ok(RelatedActor {
        actor,
        relevant_types: relevant_types(&fields)?,
    })
}

fn named(node: &Node<'_>, place: &Place<'_>, name: &str) -> Result<(), Fault> {
    if string(node, place)? == name {
        Ok(())
    } else {
        Err(place.fault(format!("the objectType here is \"{name}\"")))
    }
}

fn relevant_types(fields: &Fields<'_, '_>) -> Result<Vec<Iri>, Fault> {
    let types = fields.optional("relevantTypes", |node, place| {
        let types = elements(node, place, usize::MAX, Iri::from_node)?;
        if types.is_empty() {
            Err(place.fault("name at least one type, or leave this out"))
        } else {
            Ok(types)
        }
    })?;
    Ok(types.unwrap_or_default())
}
