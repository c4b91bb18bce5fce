//! The statement itself, and how it is read (xAPI 1.0.3, Data 2.2 and 2.4).

use std::collections::HashMap;

use uuid::Uuid;

use super::actor::Actor;
use super::attachment::Attachment;
use super::canonicalise;
use super::context::Context;
use super::object::{Core, Object};
use super::result::Outcome;
use super::verb::{VOIDED, Verb};
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::ids::StatementId;
use crate::base::json::{self, Fields, Node, string};
use crate::base::timestamp;

/// The family of the specification that a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// 1.0.0 to 1.0.3.
    V1,
    /// 2.0.0 (IEEE 9274.1.1).
    V2,
}

/// The deepest nesting of a statement. Sealing adds a level around a single context activity, and
/// what was sealed must be read again.
pub const MAX_DEPTH: usize = json::MAX_DEPTH - 2;

/// How much a request may hold. The length of the body is bounded before it comes here, and bounds
/// the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many objects and arrays may lie within each other in a statement; what is more than
    /// [`MAX_DEPTH`] counts as that.
    pub depth: usize,
    /// How many statements one request may have.
    pub batch: usize,
    /// How many members a group may have, and how many agents or groups a context.
    pub group_members: usize,
    /// How many activities each list of a context may have.
    pub context_activities: usize,
    /// How many attachments a statement may declare.
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
    /// The limits for what was accepted once already, perhaps under wider settings.
    fn none() -> Self {
        let many = usize::MAX;
        Self {
            depth: many,
            batch: many,
            group_members: many,
            context_activities: many,
            attachments: many,
        }
    }
}

/// By what a statement is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) version: Version,
    pub(super) limits: &'a Limits,
}

/// A statement: who did what to what, with what result, in what context.
///
/// One that exists is valid. It remembers the text it was read from, without white space, so that
/// [`Statement::seal`] can give every part of it back as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Its id, where it was sent with one.
    pub id: Option<StatementId>,
    /// Who.
    pub actor: Actor,
    /// Did what.
    pub verb: Verb,
    /// To what.
    pub object: Object,
    /// With what result.
    pub result: Option<Outcome>,
    /// In what context.
    pub context: Option<Context>,
    /// When, where it was sent with a time.
    pub timestamp: Option<Timestamp>,
    /// When it was stored: the sender's word, replaced when it is sealed.
    pub stored: Option<Timestamp>,
    /// Who says so, where it was sent with that.
    pub authority: Option<Actor>,
    /// The version of the specification that it was written by, where it says so.
    pub version: Option<String>,
    /// Files that belong to it.
    pub attachments: Vec<Attachment>,
    /// The members in the order they came, each value as it was written but for white space and for
    /// single context activities, which have become lists.
    pub(super) parts: Vec<(&'static str, String)>,
}

/// The members of a statement.
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

/// Reads the body of a request that has one statement or an array of them.
///
/// # Errors
///
/// The first fault of every bad statement, in their order; the pointers of an array's faults begin
/// with the number of the statement (`/0/actor`). A body that is not UTF-8 or not JSON, or has more
/// statements than [`Limits::batch`] or values than [`json::MAX_VALUES`], has one fault with an empty
/// pointer.
pub fn parse_statements(
    body: &[u8],
    version: Version,
    limits: &Limits,
) -> Result<Vec<Statement>, Vec<Fault>> {
    let rules = Rules { version, limits };
    let text = utf8(body).map_err(|fault| vec![fault])?;
    let (node, broken) =
        json::parse_elements(text, limits.depth.min(MAX_DEPTH), limits.batch).map_err(|fault| vec![fault])?;
    let Node::Array(elements) = &node else {
        let read = match broken.into_iter().next() {
            Some((_, fault)) => Err(fault),
            None => Statement::read(&node, &Place::Root, rules),
        };
        return read.map(|statement| vec![statement]).map_err(|fault| vec![fault]);
    };
    let mut broken = broken.into_iter().peekable();
    let mut batch = Batch::default();
    for (index, element) in elements.iter().enumerate() {
        let read = match broken.next_if(|(at, _)| *at == index) {
            Some((_, fault)) => Err(fault),
            None => Statement::read(element, &Place::Root.element(index), rules),
        };
        batch.take(index, read);
    }
    if batch.faults.is_empty() {
        Ok(batch.statements)
    } else {
        Err(batch.faults)
    }
}

/// Reads the body of a request that has exactly one statement.
///
/// # Errors
///
/// Anything else; an array too, even of one.
pub fn parse_statement(body: &[u8], version: Version, limits: &Limits) -> Result<Statement, Fault> {
    let node = json::parse(utf8(body)?, limits.depth.min(MAX_DEPTH))?;
    Statement::read(&node, &Place::Root, Rules { version, limits })
}

/// The statements of a request, and what is wrong with the bad ones.
#[derive(Default)]
struct Batch {
    statements: Vec<Statement>,
    faults: Vec<Fault>,
    /// The position of each id.
    ids: HashMap<StatementId, usize>,
}

impl Batch {
    fn take(&mut self, index: usize, read: Result<Statement, Fault>) {
        match read {
            Err(fault) => self.faults.push(fault),
            Ok(statement) => {
                // 2.0 asks for a refusal; 1.0.3 is silent, and which of the two were meant can't be
                // known.
                if let Some(first) = statement.id.and_then(|id| self.ids.insert(id, index)) {
                    let detail =
                        format!("statement /{first} of this request has the same id; give each its own");
                    self.faults
                        .push(Place::Root.element(index).member("id").fault(detail));
                }
                self.statements.push(statement);
            }
        }
    }
}

/// The body as text.
fn utf8(body: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(body).map_err(|error| {
        let good = &body[..error.valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = good.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Fault::whole(format!(
            "this is not UTF-8 at line {line}, byte {column}; send the text as UTF-8"
        ))
    })
}

impl Statement {
    /// Reads a text that [`Statement::seal`] made, without looking at limits.
    ///
    /// # Errors
    ///
    /// The text is not a statement: what is kept was damaged.
    pub fn parse_stored(text: &str) -> Result<Self, Fault> {
        let limits = Limits::none();
        let node = json::parse_stored(text)?;
        // What 1.0.3 allows, 2.0 allows too.
        Self::from_node(
            &node,
            &Place::Root,
            Rules {
                version: Version::V2,
                limits: &limits,
            },
        )
    }

    /// The statement that this one voids, if it does (xAPI 1.0.3, Data 2.3.2).
    pub fn voids(&self) -> Option<StatementId> {
        match self.object {
            Object::StatementRef(id) if self.verb.id.as_str() == VOIDED => Some(id),
            _ => None,
        }
    }

    fn from_node(node: &Node<'_>, place: &Place<'_>, rules: Rules<'_>) -> Result<Self, Fault> {
        let fields = Fields::from_node(node, place, "a statement", &KNOWN)?;
        let core = Core::from_node(&fields, rules, false)?;
        let authority =
            |node: &Node<'_>, place: &Place<'_>| Actor::authority_from_node(node, place, rules.limits);
        let version = |node: &Node<'_>, place: &Place<'_>| version_from_node(node, place, rules.version);
        Ok(Self {
            id: fields.optional("id", uuid)?.map(StatementId),
            actor: core.actor,
            verb: core.verb,
            object: core.object,
            result: core.result,
            context: core.context,
            timestamp: core.timestamp,
            stored: fields.optional("stored", timestamp::from_node)?,
            authority: fields.optional("authority", authority)?,
            version: fields.optional("version", version)?,
            attachments: core.attachments,
            parts: canonicalise::parts(node, &KNOWN),
        })
    }
}

/// Reads a UUID in its standard form, in either case (xAPI 1.0.3, Data 4.4).
pub(super) fn uuid(node: &Node<'_>, place: &Place<'_>) -> Result<Uuid, Fault> {
    let text = string(node, place)?;
    // The other forms that the reader knows (without hyphens, in braces, as a URN) have other
    // lengths.
    let uuid = if text.len() == 36 {
        Uuid::try_parse(text).ok()
    } else {
        None
    };
    uuid.ok_or_else(|| place.fault("a UUID is needed here, such as 01890a5d-ac96-774b-bcce-b302099a8057"))
}

/// Reads the version that a statement names: 1.0 and 1.0.x, and in a request of version 2 also 2.0
/// and 2.0.x (xAPI 1.0.3, Data 2.4.10).
fn version_from_node(node: &Node<'_>, place: &Place<'_>, request: Version) -> Result<String, Fault> {
    let text = string(node, place)?;
    let of = |family: &str| match text.strip_prefix(family) {
        Some("") => true,
        Some(patch) => patch
            .strip_prefix('.')
            .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit())),
        None => false,
    };
    match request {
        _ if of("1.0") => Ok(text.to_owned()),
        Version::V2 if of("2.0") => Ok(text.to_owned()),
        Version::V1 => Err(place.fault("a statement's version is 1.0.0 here; write that or leave it out")),
        Version::V2 => {
            Err(place.fault("a statement's version is 1.0.0 or 2.0.0; write that or leave it out"))
        }
    }
}

#[cfg(test)]
mod tests;
