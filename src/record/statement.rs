//! Statements and how they are parsed (xAPI 1.0.3, Data 2.2 and 2.4).

use std::collections::HashMap;

use uuid::Uuid;

use super::actor::Actor;
use super::attachment::Attachment;
use super::canonicalise;
use super::context::Context;
use super::object::{CommonMembers, Object};
use super::result::Outcome;
use super::verb::{VOIDED, Verb};
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::ids::StatementId;
use crate::base::json::{self, Fields, Node, string};
use crate::base::timestamp;

/// The major version of xAPI that a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// 1.0.0 to 1.0.3.
    V1,
    /// 2.0.0 (IEEE 9274.1.1).
    V2,
}

/// The limit of nesting in a statement. [`Statement::canonicalise`] adds a level around a single context activity, and
/// the canonical text must be parsed again.
pub const MAX_DEPTH: usize = json::MAX_DEPTH - 2;

/// The limits of a request with statements. The length of the body is limited elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The number of nested levels of objects and arrays in a statement, at most [`MAX_DEPTH`].
    pub depth: usize,
    /// The number of statements in a request.
    pub batch: usize,
    /// The number of members of a group, and of agents and of groups of a context.
    pub group_members: usize,
    /// The number of activities in each list of a context.
    pub context_activities: usize,
    /// The number of attachments that a statement declares.
    pub attachments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            batch: 1000,
            group_members: 1000,
            context_activities: 1000,
            attachments: 100,
        }
    }
}

impl Limits {
    /// No limits, for a stored statement. It may have been accepted with higher limits than today's.
    fn unlimited() -> Self {
        Self {
            depth: usize::MAX,
            batch: usize::MAX,
            group_members: usize::MAX,
            context_activities: usize::MAX,
            attachments: usize::MAX,
        }
    }
}

/// The rules by which a statement is parsed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) version: Version,
    pub(super) limits: &'a Limits,
}

/// A valid statement.
///
/// It also contains the source text of its members, without white space. [`Statement::canonicalise`] writes them
/// unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The id, if the text has one.
    pub id: Option<StatementId>,
    /// The actor.
    pub actor: Actor,
    /// The verb.
    pub verb: Verb,
    /// The object.
    pub object: Object,
    /// The result.
    pub result: Option<Outcome>,
    /// The context.
    pub context: Option<Context>,
    /// The time at which it happened, if the text has one.
    pub timestamp: Option<Timestamp>,
    /// The time of storing, if the text has one. [`Statement::canonicalise`] replaces the client's value.
    pub stored: Option<Timestamp>,
    /// The authority, if the text has one: the agent or group that vouches for the statement.
    pub authority: Option<Actor>,
    /// The version of xAPI, if the text has one.
    pub version: Option<String>,
    /// The attachments.
    pub attachments: Vec<Attachment>,
    /// The members in the order of the text, with their canonical values; see `record/canonicalise.rs`.
    pub(super) parts: Vec<(&'static str, String)>,
}

/// The keys of a statement.
const KNOWN: [&str; 11] = [
    "id",
    "actor",
    "verb",
    "object",
    "result",
    "context",
    "timestamp",
    "stored",
    "authority",
    "version",
    "attachments",
];

/// Parses the body of a request that contains one statement or an array of statements.
///
/// # Errors
///
/// The first fault of every invalid statement, in the order of the statements. In an array the pointer begins with the
/// index of the statement (`/0/actor`).
///
/// A body has a single fault with an empty pointer in these cases: it is not UTF-8 or not JSON, it has more statements
/// than [`Limits::batch`], or it has more values than [`json::MAX_VALUES`].
pub fn parse_statements(body: &[u8], version: Version, limits: &Limits) -> Result<Vec<Statement>, Faults> {
    let rules = Rules { version, limits };
    let text = utf8(body).map_err(Faults::from)?;
    let (node, json_faults) =
        json::parse_elements(text, limits.depth.min(MAX_DEPTH), limits.batch).map_err(Faults::from)?;
    let Node::Array(elements) = &node else {
        let statement = match json_faults.into_iter().next() {
            Some((_, fault)) => Err(fault),
            None => Statement::from_node(&node, &Place::Root, rules),
        };
        return statement.map(|one| vec![one]).map_err(Faults::from);
    };
    let mut json_faults = json_faults.into_iter().peekable();
    let mut batch = Batch::default();
    for (index, element) in elements.iter().enumerate() {
        let statement = match json_faults.next_if(|(faulty, _)| *faulty == index) {
            Some((_, fault)) => Err(fault),
            None => Statement::from_node(element, &Place::Root.element(index), rules),
        };
        batch.add(index, statement);
    }
    if batch.faults.is_empty() {
        Ok(batch.statements)
    } else {
        Err(batch.faults)
    }
}

/// Parses the body of a request that contains exactly one statement.
///
/// # Errors
///
/// The body is not a valid statement. An array is refused, even if it has one element.
pub fn parse_statement(body: &[u8], version: Version, limits: &Limits) -> Result<Statement, Fault> {
    let node = json::parse(utf8(body)?, limits.depth.min(MAX_DEPTH))?;
    Statement::from_node(&node, &Place::Root, Rules { version, limits })
}

/// The statements of a request, and the faults of the invalid ones.
#[derive(Default)]
struct Batch {
    statements: Vec<Statement>,
    faults: Faults,
    /// The index of the statement with each id.
    ids: HashMap<StatementId, usize>,
}

impl Batch {
    fn add(&mut self, index: usize, statement: Result<Statement, Fault>) {
        match statement {
            Err(fault) => self.faults.push(fault),
            Ok(statement) => {
                // xAPI 2.0 requires a refusal. xAPI 1.0.3 does not mention the case, and nothing shows which of
                // the two statements the client wants.
                if let Some(first) = statement.id.and_then(|id| self.ids.insert(id, index)) {
                    let detail =
                        format!("statement /{first} of this request has the same id; send a different id");
                    self.faults
                        .push(Place::Root.element(index).member("id").fault(detail));
                }
                self.statements.push(statement);
            }
        }
    }
}

/// The body as text.
///
/// # Errors
///
/// The body is not UTF-8. The message contains line and column of the first invalid byte.
fn utf8(body: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(body).map_err(|error| {
        let valid = body.get(..error.valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = valid.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Fault::whole(format!(
            "this is not UTF-8 at line {line}, byte {column}; send the text as UTF-8"
        ))
    })
}

impl Statement {
    /// Parses a stored text, which [`Statement::canonicalise`] wrote. No limits apply.
    ///
    /// # Errors
    ///
    /// The text is not a statement, so the stored text is damaged.
    pub fn parse_stored(text: &str) -> Result<Self, Fault> {
        let limits = Limits::unlimited();
        let node = json::parse_stored(text)?;
        // A valid statement of xAPI 1.0.3 is also valid by the rules of xAPI 2.0.
        Self::from_node(
            &node,
            &Place::Root,
            Rules {
                version: Version::V2,
                limits: &limits,
            },
        )
    }

    /// The time at which it happened as the client wrote it, with its time zone.
    pub fn timestamp_text(&self) -> Option<&str> {
        let (_, text) = self.parts.iter().find(|(key, _)| *key == "timestamp")?;
        Some(text.trim_matches('"'))
    }

    /// The id of the statement that this one voids, if it is a voiding statement (xAPI 1.0.3, Data 2.3.2).
    pub fn voids(&self) -> Option<StatementId> {
        match self.object {
            Object::StatementRef(id) if self.verb.id.as_str() == VOIDED => Some(id),
            _ => None,
        }
    }

    fn from_node(node: &Node<'_>, place: &Place<'_>, rules: Rules<'_>) -> Result<Self, Fault> {
        let fields = Fields::from_node(node, place, "a statement", &KNOWN)?;
        let common = CommonMembers::from_fields(&fields, rules, false)?;
        let authority =
            |node: &Node<'_>, place: &Place<'_>| Actor::authority_from_node(node, place, rules.limits);
        let version = |node: &Node<'_>, place: &Place<'_>| version_from_node(node, place, rules.version);
        Ok(Self {
            id: fields.optional("id", uuid_from_node)?.map(StatementId),
            actor: common.actor,
            verb: common.verb,
            object: common.object,
            result: common.result,
            context: common.context,
            timestamp: common.timestamp,
            stored: fields.optional("stored", timestamp::from_node)?,
            authority: fields.optional("authority", authority)?,
            version: fields.optional("version", version)?,
            attachments: common.attachments,
            parts: canonicalise::parts(node, &KNOWN),
        })
    }
}

/// Reads a UUID in its standard form, with digits in upper or lower case (xAPI 1.0.3, Data 4.4).
pub(super) fn uuid_from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Uuid, Fault> {
    let text = string(node, place)?;
    // `Uuid::try_parse` also accepts other forms: without hyphens, in braces, as a URN. They have other lengths.
    let uuid = if text.len() == 36 {
        Uuid::try_parse(text).ok()
    } else {
        None
    };
    uuid.ok_or_else(|| place.fault("a UUID is needed here, such as 01890a5d-ac96-774b-bcce-b302099a8057"))
}

/// Reads the version of a statement (xAPI 1.0.3, Data 2.4.10). It is 1.0 or 1.0.x. In a request of version 2 it may
/// also be 2.0 or 2.0.x.
fn version_from_node(node: &Node<'_>, place: &Place<'_>, request: Version) -> Result<String, Fault> {
    let text = string(node, place)?;
    let is_version = |family: &str| match text.strip_prefix(family) {
        Some("") => true,
        Some(patch) => patch
            .strip_prefix('.')
            .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit())),
        None => false,
    };
    match request {
        _ if is_version("1.0") => Ok(text.to_owned()),
        Version::V2 if is_version("2.0") => Ok(text.to_owned()),
        Version::V1 => Err(place.fault("a statement's version is 1.0.0 here; write that or leave it out")),
        Version::V2 => {
            Err(place.fault("a statement's version is 1.0.0 or 2.0.0; write that or leave it out"))
        }
    }
}

#[cfg(test)]
mod tests;
