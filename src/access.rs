//! Who asks, and what they may see and do (product text, sections 4 and 11).
//!
//! What it holds: the keys and claims of people's tokens ([`TokenKeys`], [`Claims`]), the secrets and
//! scopes of credentials ([`Credential`], [`Scopes`]), the caller that either of them proves
//! ([`Principal`]), the persons whose activities that caller may see ([`Reach`]), the part of
//! them that a request asks for ([`Scoped`]), and those about whom they may do something ([`Subjects`]).
//!
//! What it promises:
//!
//! - A [`Person`] comes out of [`TokenKeys::verify`] only where a configured key signed the token; the
//!   algorithm is the key's, never the token's.
//! - A [`Scoped`] can't be made but from a [`Principal`]; a query over activities takes nothing else, so
//!   the organisation and the reach travel with every question.
//! - So for notes and completions: their queries take a [`Subjects`], and only a [`Principal`] who may makes one.
//! - What a caller may do stands in one table of marker types ([`permit`]).
//! - It knows no SQL, no HTTP handler and no clock: the moment of verification is handed in.
//!
//! Start reading at [`principal`], then [`reach`] and [`scope`]; tokens begin at [`keys`].

pub mod agents;
pub mod basic;
pub mod claims;
pub mod credential;
pub mod documents;
pub mod error;
pub mod issuers;
pub mod jwks;
pub mod keys;
pub mod permissions;
pub mod permit;
pub mod principal;
pub mod reach;
pub mod role;
pub mod scope;
pub mod subjects;
#[cfg(test)]
mod testing;

pub use agents::AgentReach;
pub use claims::{Claims, Reports, mint};
pub use credential::{Credential, CredentialScope, Scopes, SecretHash};
pub use documents::{Agents, DocumentReach};
pub use error::{AccessError, TokenError};
pub use keys::{KeyConfig, TokenKeys};
pub use permissions::Permissions;
pub use permit::Action;
pub use principal::{Person, Principal};
pub use reach::{Reach, ReachRules, StatementReach};
pub use role::Role;
pub use scope::{AskedScope, Part, People, ScopeError, Scoped};
pub use subjects::{OverPeople, Subjects};
