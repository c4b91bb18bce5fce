//! xAPI statements: parsing, validation, comparison, and the text that is stored.
//!
//! - [`parse_statements`] parses the body of a request. It returns [`Statement`]s, or a
//!   [`Fault`](crate::base::Fault) for every invalid one.
//! - [`Statement::canonicalise`] writes the text that is stored and returned to clients.
//!   [`Statement::parse_stored`] parses that text.
//! - [`Statement::same_as`] compares two statements by the rules of xAPI.
//! - [`format`](mod@format) converts a stored statement to the formats `ids` and `canonical`.
//! - [`StatementBuilder`] builds a statement that Rollbook writes itself.
//! - [`Envelope`] is the data that Rollbook stores beside a statement.
//!
//! Invariants:
//!
//! - A value of a type such as [`Statement`], [`Duration`], [`Iri`] or [`LanguageTag`] is valid.
//! - No input of a client causes a panic or a stack overflow. The time to read it is linear in its length.
//! - The stored text has the members in the client's order. Every number and string keeps its source text
//!   ([`json`](crate::base::json)).
//! - This module uses no clock, no storage and no HTTP. The caller passes the id and the time.

pub mod actor;
pub mod attachment;
mod builder;
mod canonicalise;
mod compare;
pub mod context;
pub mod definition;
pub mod document;
pub mod duration;
pub mod envelope;
mod extensions;
pub mod format;
pub mod iri;
pub mod language;
mod mentions;
pub mod object;
pub mod result;
pub mod signature;
pub mod statement;
mod to_json;
pub mod verb;

pub use actor::{Actor, ActorKind, Identifier};
pub use attachment::Attachment;
pub use builder::StatementBuilder;
pub use canonicalise::ServerFields;
pub use context::{Context, RelatedActor};
pub use duration::{CalendarDuration, Duration};
pub use envelope::{AwardedCertificate, Envelope, Origin, Response};
pub use iri::Iri;
pub use language::{LanguageMap, LanguageTag, Preference};
pub use mentions::Mentions;
pub use object::{Activity, Component, ComponentList, Definition, InteractionType, Object, SubStatement};
pub use result::{Outcome, Score};
pub use statement::{Limits, Statement, Version, parse_statement, parse_statements};
pub use verb::Verb;
