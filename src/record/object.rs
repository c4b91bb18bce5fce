//! Objects of statements: activities with their definitions, references to statements, and SubStatements (xAPI 1.0.3,
//! Data 2.4.4).

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

/// The activity type of a question, an "interaction" in xAPI (xAPI 1.0.3, Data 2.4.4.1).
pub const INTERACTION_TYPE: &str = "http://adlnet.gov/expapi/activities/cmi.interaction";

/// The object of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// An activity.
    Activity(Activity),
    /// An agent.
    Agent(Actor),
    /// A group.
    Group(Actor),
    /// A reference to another statement. That statement may be unknown to Rollbook.
    StatementRef(StatementId),
    /// A statement inside the statement. It describes something that has not happened.
    SubStatement(Box<SubStatement>),
}

/// An activity: something to do or learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// The IRI that identifies the activity.
    pub id: Iri,
    /// The definition, if the client sent one.
    pub definition: Option<Definition>,
}

/// The definition of an activity: its title, type and so on (xAPI 1.0.3, Data 2.4.4.1).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definition {
    /// The title.
    pub name: LanguageMap,
    /// The description.
    pub description: LanguageMap,
    /// The type of the activity.
    pub type_: Option<Iri>,
    /// The address of a page about the activity.
    pub more_info: Option<Iri>,
    /// The type of the question, if the activity is a question.
    pub interaction_type: Option<InteractionType>,
    /// The correct responses of a question, in the format of its type.
    pub correct_responses: Vec<String>,
    /// The lists of a question's options, steps and so on.
    pub components: Vec<ComponentList>,
    /// The extensions, as the text of a JSON object.
    pub extensions: Option<String>,
    /// The JSON text of the whole definition as the client sent it, without white space.
    pub text: String,
}

/// A list of the components of a question, for example its choices.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentList {
    /// The name of the list: `choices`, `scale`, `source`, `target` or `steps`.
    pub name: &'static str,
    /// The components in their order. Their ids are distinct.
    pub components: Vec<Component>,
}

/// A component of a question, for example one choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// The id by which responses refer to the component.
    pub id: String,
    /// The text for people.
    pub description: LanguageMap,
}

/// A statement inside a statement (xAPI 1.0.3, Data 2.4.4.3). It contains no other SubStatement.
#[derive(Debug, Clone, PartialEq)]
pub struct SubStatement {
    /// The actor.
    pub actor: Actor,
    /// The verb.
    pub verb: Verb,
    /// The object; never an [`Object::SubStatement`].
    pub object: Object,
    /// The result.
    pub result: Option<Outcome>,
    /// The context.
    pub context: Option<Context>,
    /// The time at which it happens.
    pub timestamp: Option<Timestamp>,
    /// The attachments.
    pub attachments: Vec<Attachment>,
}

/// The types of questions (xAPI 1.0.3, Data 2.4.4.1).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, strum::EnumString, strum::IntoStaticStr, strum::VariantNames,
)]
#[strum(serialize_all = "kebab-case")]
#[allow(missing_docs, reason = "the specification defines the names")]
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
    /// The name of the type in a definition, for example `true-false`.
    pub fn key(self) -> &'static str {
        self.into()
    }

    fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let known = <Self as strum::VariantNames>::VARIANTS;
        string(node, place)?
            .parse()
            .map_err(|_| place.fault(format!("an interactionType is one of {}", known.join(", "))))
    }
}

/// The names of the lists of components in a definition.
pub(super) const COMPONENT_LISTS: [&str; 5] = ["choices", "scale", "source", "target", "steps"];

impl Object {
    /// Reads the object of a statement. Without `objectType` it is an activity. `in_sub_statement`: whether this is the
    /// object of a SubStatement.
    pub(super) fn from_node(
        node: &Node<'_>,
        place: &Place<'_>,
        rules: Rules<'_>,
        in_sub_statement: bool,
    ) -> Result<Self, Fault> {
        let kind = match node.get("objectType") {
            None => "Activity",
            Some(kind) => string(kind, &place.member("objectType"))?,
        };
        match kind {
            "Activity" => Activity::from_node(node, place).map(Self::Activity),
            "Agent" => Actor::agent_from_node(node, place).map(Self::Agent),
            "Group" => Actor::group_from_node(node, place, rules.limits).map(Self::Group),
            "StatementRef" => reference_from_node(node, place).map(Self::StatementRef),
            "SubStatement" if in_sub_statement => Err(place
                .member("objectType")
                .fault("a SubStatement can't contain another SubStatement")),
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
    /// The node is not a valid activity.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let fields = Fields::from_node(node, place, "an Activity", &["objectType", "id", "definition"])?;
        fields.optional("objectType", |node, place| match string(node, place)? {
            "Activity" => Ok(()),
            _ => Err(place.fault(
                "only an Activity is allowed here; write \"objectType\":\"Activity\" or leave it out",
            )),
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
    /// The node is not a valid definition, or it has parts of a question without an `interactionType`.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        // Data 2.4.4.1 forbids a limit. The limit of the body bounds the list.
        const NO_LIMIT: usize = usize::MAX;
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
                .fault("a definition with this member needs an \"interactionType\""));
        }
        let mut components = Vec::new();
        for name in COMPONENT_LISTS {
            let list = fields.optional(name, component_list_from_node)?;
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

fn component_list_from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<Component>, Fault> {
    let components = elements(node, place, usize::MAX, |node, place| {
        let fields = Fields::from_node(node, place, "a component", &["id", "description"])?;
        Ok(Component {
            id: fields.required("id", owned_string)?,
            description: fields
                .optional("description", LanguageMap::from_node)?
                .unwrap_or_default(),
        })
    })?;
    let mut ids = HashSet::new();
    for (index, component) in components.iter().enumerate() {
        if !ids.insert(component.id.as_str()) {
            let place = place.element(index);
            return Err(place
                .member("id")
                .fault("the ids of a list's components must be distinct"));
        }
    }
    Ok(components)
}

/// Reads a StatementRef: a reference to a statement.
pub(super) fn reference_from_node(node: &Node<'_>, place: &Place<'_>) -> Result<StatementId, Fault> {
    let fields = Fields::from_node(node, place, "a StatementRef", &["objectType", "id"])?;
    fields.required("objectType", |node, place| match string(node, place)? {
        "StatementRef" => Ok(()),
        _ => Err(place.fault("only a StatementRef is allowed here; write \"objectType\":\"StatementRef\"")),
    })?;
    fields.required("id", statement::uuid_from_node).map(StatementId)
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
        let common = CommonMembers::from_fields(&fields, rules, true)?;
        Ok(Self {
            actor: common.actor,
            verb: common.verb,
            object: common.object,
            result: common.result,
            context: common.context,
            timestamp: common.timestamp,
            attachments: common.attachments,
        })
    }
}

/// The members that statements and SubStatements have in common.
pub(super) struct CommonMembers {
    pub(super) actor: Actor,
    pub(super) verb: Verb,
    pub(super) object: Object,
    pub(super) result: Option<Outcome>,
    pub(super) context: Option<Context>,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) attachments: Vec<Attachment>,
}

impl CommonMembers {
    /// Reads the common members. `in_sub_statement`: whether they belong to a SubStatement.
    pub(super) fn from_fields(
        fields: &Fields<'_, '_>,
        rules: Rules<'_>,
        in_sub_statement: bool,
    ) -> Result<Self, Fault> {
        let actor = fields.required("actor", |node, place| Actor::from_node(node, place, rules.limits))?;
        let verb = fields.required("verb", Verb::from_node)?;
        let object = fields.required("object", |node, place| {
            Object::from_node(node, place, rules, in_sub_statement)
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
