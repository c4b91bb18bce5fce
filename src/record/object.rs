//! What it was done to: activities with their definitions, and statements by reference or within
//! (xAPI 1.0.3, Data 2.4.4).

use std::collections::HashSet;

use super::actor::Actor;
use super::context::Context;
use super::extensions;
use super::iri::Iri;
use super::language::LanguageMap;
use super::statement::{self, Rules};
use super::verb::{VOIDED, Verb};
use super::{Attachment, Outcome};
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::ids::StatementId;
use crate::base::json::{Fields, Node, elements, owned_string, string};
use crate::base::timestamp;

/// The activity type of a question (xAPI 1.0.3, Data 2.4.4.1).
pub const INTERACTION_TYPE: &str = "http://adlnet.gov/expapi/activities/cmi.interaction";

/// What a statement is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// Something to do or learn.
    Activity(Activity),
    /// An agent.
    Agent(Actor),
    /// A group.
    Group(Actor),
    /// Another statement, which need not be known.
    StatementRef(StatementId),
    /// A statement that describes something which has not happened.
    SubStatement(Box<SubStatement>),
}

/// Something to do or learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// What it is called by machines.
    pub id: Iri,
    /// What the sender says about it.
    pub definition: Option<Definition>,
}

/// What a sender says about an activity (xAPI 1.0.3, Data 2.4.4.1).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definition {
    /// Its title.
    pub name: LanguageMap,
    /// Its description.
    pub description: LanguageMap,
    /// Its type.
    pub type_: Option<Iri>,
    /// A page about it.
    pub more_info: Option<Iri>,
    /// The kind of question, where it is one.
    pub interaction_type: Option<InteractionType>,
    /// Responses that are right, as the kind of question writes them.
    pub correct_responses: Vec<String>,
    /// The question's options, steps and so on.
    pub components: Vec<ComponentList>,
    /// What else was said, as a JSON object.
    pub extensions: Option<String>,
    /// The whole definition as it was sent, without white space.
    pub text: String,
}

/// A list of the things that a question offers.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentList {
    /// Which list: `choices`, `scale`, `source`, `target` or `steps`.
    pub name: &'static str,
    /// Its components, in order, each id once.
    pub components: Vec<Component>,
}

/// One of the things that a question offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// What responses call it.
    pub id: String,
    /// What people read.
    pub description: LanguageMap,
}

/// A statement within another (xAPI 1.0.3, Data 2.4.4.3); it holds no further one.
#[derive(Debug, Clone, PartialEq)]
pub struct SubStatement {
    /// Who.
    pub actor: Actor,
    /// Did what.
    pub verb: Verb,
    /// To what; never a [`Object::SubStatement`].
    pub object: Object,
    /// With what result.
    pub result: Option<Outcome>,
    /// In what context.
    pub context: Option<Context>,
    /// When.
    pub timestamp: Option<Timestamp>,
    /// Files that belong to it.
    pub attachments: Vec<Attachment>,
}

/// The kinds of questions (xAPI 1.0.3, Data 2.4.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum InteractionType {
    TrueFalse,
    Choice,
    FillIn,
    LongFillIn,
    Matching,
    Performance,
    Sequencing,
    Likert,
    Numeric,
    Other,
}

impl InteractionType {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::TrueFalse,
        Self::Choice,
        Self::FillIn,
        Self::LongFillIn,
        Self::Matching,
        Self::Performance,
        Self::Sequencing,
        Self::Likert,
        Self::Numeric,
        Self::Other,
    ];

    /// The name that definitions use.
    pub fn key(self) -> &'static str {
        match self {
            Self::TrueFalse => "true-false",
            Self::Choice => "choice",
            Self::FillIn => "fill-in",
            Self::LongFillIn => "long-fill-in",
            Self::Matching => "matching",
            Self::Performance => "performance",
            Self::Sequencing => "sequencing",
            Self::Likert => "likert",
            Self::Numeric => "numeric",
            Self::Other => "other",
        }
    }

    fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let text = string(node, place)?;
        Self::ALL
            .into_iter()
            .find(|kind| kind.key() == text)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|kind| kind.key()).collect();
                place.fault(format!("an interactionType is one of {}", known.join(", ")))
            })
    }
}

/// The lists of components that definitions may have.
pub(super) const COMPONENT_LISTS: [&str; 5] = ["choices", "scale", "source", "target", "steps"];

impl Object {
    /// Reads what a statement is about; without `objectType` it is an activity. `within` says that
    /// this is the object of a SubStatement already.
    pub(super) fn from_node(
        node: &Node<'_>,
        place: &Place<'_>,
        rules: Rules<'_>,
        within: bool,
    ) -> Result<Self, Fault> {
        let kind = match node.get("objectType") {
            None => "Activity",
            Some(kind) => string(kind, &place.member("objectType"))?,
        };
        match kind {
            "Activity" => Activity::from_node(node, place).map(Self::Activity),
            "Agent" => Actor::agent_from_node(node, place).map(Self::Agent),
            "Group" => Actor::group_from_node(node, place, rules.limits).map(Self::Group),
            "StatementRef" => reference(node, place).map(Self::StatementRef),
            "SubStatement" if within => Err(place
                .member("objectType")
                .fault("a SubStatement can't hold a further SubStatement")),
            "SubStatement" => {
                SubStatement::from_node(node, place, rules).map(|sub| Self::SubStatement(Box::new(sub)))
            }
            _ => {
                let detail = "an object's objectType is Activity, Agent, Group, StatementRef or SubStatement";
                Err(place.member("objectType").fault(detail))
            }
        }
    }
}

impl Activity {
    /// An activity without a definition.
    pub fn new(id: Iri) -> Self {
        Self { id, definition: None }
    }

    /// Reads an activity.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let fields = Fields::from_node(node, place, "an Activity", &["objectType", "id", "definition"])?;
        fields.optional("objectType", |node, place| match string(node, place)? {
            "Activity" => Ok(()),
            _ => Err(place
                .fault("only an Activity can stand here; write \"objectType\":\"Activity\" or leave it out")),
        })?;
        Ok(Self {
            id: fields.required("id", Iri::from_node)?,
            definition: fields.optional("definition", Definition::from_node)?,
        })
    }
}

impl Definition {
    /// Reads the definition of an activity.
    ///
    /// # Errors
    ///
    /// Anything else, and parts of a question without an `interactionType`.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        const NO_LIMIT: usize = usize::MAX; // Data 2.4.4.1 forbids one; the body's limit holds.
        let known = [
            "name",
            "description",
            "type",
            "moreInfo",
            "extensions",
            "interactionType",
        ];
        let question = [
            "correctResponsesPattern",
            "choices",
            "scale",
            "source",
            "target",
            "steps",
        ];
        let fields = Fields::from_node(node, place, "a definition", &[&known[..], &question[..]].concat())?;
        let interaction_type = fields.optional("interactionType", InteractionType::from_node)?;
        if interaction_type.is_none()
            && let Some(key) = question.into_iter().find(|key| fields.get(key).is_some())
        {
            return Err(place
                .member(key)
                .fault("this needs an \"interactionType\" beside it"));
        }
        let mut components = Vec::new();
        for name in COMPONENT_LISTS {
            let list = fields.optional(name, component_list)?;
            components.extend(list.map(|components| ComponentList { name, components }));
        }
        Ok(Self {
            name: fields
                .optional("name", LanguageMap::from_node)?
                .unwrap_or_default(),
            description: fields
                .optional("description", LanguageMap::from_node)?
                .unwrap_or_default(),
            type_: fields.optional("type", Iri::from_node)?,
            more_info: fields.optional("moreInfo", Iri::from_node)?,
            interaction_type,
            correct_responses: fields.list("correctResponsesPattern", NO_LIMIT, owned_string)?,
            components,
            extensions: fields.optional("extensions", extensions::from_node)?,
            text: node.to_text(),
        })
    }
}

fn component_list(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<Component>, Fault> {
    let components = elements(node, place, usize::MAX, |node, place| {
        let fields = Fields::from_node(node, place, "a component", &["id", "description"])?;
        Ok(Component {
            id: fields.required("id", owned_string)?,
            description: fields
                .optional("description", LanguageMap::from_node)?
                .unwrap_or_default(),
        })
    })?;
    let mut seen = HashSet::new();
    for (index, component) in components.iter().enumerate() {
        if !seen.insert(component.id.as_str()) {
            let place = place.element(index);
            return Err(place
                .member("id")
                .fault("the ids of a list's components must be distinct"));
        }
    }
    Ok(components)
}

/// Reads a reference to a statement.
pub(super) fn reference(node: &Node<'_>, place: &Place<'_>) -> Result<StatementId, Fault> {
    let fields = Fields::from_node(node, place, "a StatementRef", &["objectType", "id"])?;
    fields.required("objectType", |node, place| match string(node, place)? {
        "StatementRef" => Ok(()),
        _ => Err(place.fault("only a StatementRef can stand here; write \"objectType\":\"StatementRef\"")),
    })?;
    fields.required("id", statement::uuid).map(StatementId)
}

impl SubStatement {
    fn from_node(node: &Node<'_>, place: &Place<'_>, rules: Rules<'_>) -> Result<Self, Fault> {
        let known = [
            "objectType",
            "actor",
            "verb",
            "object",
            "result",
            "context",
            "timestamp",
            "attachments",
        ];
        let fields = Fields::from_node(node, place, "a SubStatement", &known)?;
        let core = Core::from_node(&fields, rules, true)?;
        Ok(Self {
            actor: core.actor,
            verb: core.verb,
            object: core.object,
            result: core.result,
            context: core.context,
            timestamp: core.timestamp,
            attachments: core.attachments,
        })
    }
}

/// What statements and SubStatements have in common.
pub(super) struct Core {
    pub(super) actor: Actor,
    pub(super) verb: Verb,
    pub(super) object: Object,
    pub(super) result: Option<Outcome>,
    pub(super) context: Option<Context>,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) attachments: Vec<Attachment>,
}

impl Core {
    /// Reads the common members; `within` says that it is a SubStatement.
    pub(super) fn from_node(fields: &Fields<'_, '_>, rules: Rules<'_>, within: bool) -> Result<Self, Fault> {
        let actor = fields.required("actor", |node, place| Actor::from_node(node, place, rules.limits))?;
        let verb = fields.required("verb", Verb::from_node)?;
        let object = fields.required("object", |node, place| {
            Object::from_node(node, place, rules, within)
        })?;
        if verb.id.as_str() == VOIDED && !matches!(object, Object::StatementRef(_)) {
            let detail = "the object of a voiding statement is a StatementRef: \
                          {\"objectType\":\"StatementRef\",\"id\":\"…\"}";
            return Err(fields.place().member("object").fault(detail));
        }
        let about_activity = matches!(object, Object::Activity(_));
        Ok(Self {
            actor,
            verb,
            object,
            result: fields.optional("result", Outcome::from_node)?,
            context: fields.optional("context", |node, place| {
                Context::from_node(node, place, rules, about_activity)
            })?,
            timestamp: fields.optional("timestamp", timestamp::from_node)?,
            attachments: fields.list("attachments", rules.limits.attachments, Attachment::from_node)?,
        })
    }
}
