//! What a learning record is: xAPI statements, read strictly and given back as they came.
//!
//! Start with [`parse_statements`]: it turns a request's bytes into [`Statement`]s or says for
//! every bad one what is wrong where ([`Fault`]). [`Statement::seal`] makes the one text that is
//! kept and given back; [`Statement::parse_stored`] reads that text again, [`Statement::same_as`]
//! compares as the specification asks, and [`format`](mod@format) gives it back shortened. What
//! Rollbook itself knows of a record stands in its [`Envelope`].
//!
//! Promises:
//!
//! - A value that exists is valid: a [`Statement`], [`Duration`], [`Iri`] or
//!   [`LanguageTag`] can't be made from a text that is not one.
//! - Nothing that a client sends panics, overflows the stack, or takes more than time linear in its
//!   length.
//! - What is kept has the members in the client's order and every number and string in its own text
//!   ([`json`]).
//! - No clock, no storage, no HTTP: whoever seals a statement hands in its id and the time.

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
