//! Who asks, and what they may see and do (product text, sections 4 and 11).
//!
//! What it holds: the keys and claims of people's tokens ([`TokenKeys`], [`Claims`]), the secrets and
//! scopes of credentials ([`Credential`], [`Scopes`]), the caller that either of them proves
//! ([`Principal`]; the key of a saved report proves a third kind), the persons whose activities that caller may
//! see ([`Reach`]), the part of them that a request asks for ([`Scoped`]), those about whom they may do something
//! ([`Subjects`]), and the saved reports that they may open ([`ReportAccess`]).
//!
//! What it promises:
//!
//! - A [`Person`] comes out of [`TokenKeys::verify`] only where a configured key signed the token; the
//!   algorithm is the key's, never the token's.
//! - A [`Scoped`] can't be made but from a [`Principal`]; a query over activities takes nothing else, so
//!   the organisation and the reach travel with every question.
//! - What narrows a [`Scoped`] only ever narrows it: a saved report opened by somebody else, a scope added to its own, a
//!   recipient who has to see the rows as well as their sender.
//! - So for notes and completions: their queries take a [`Subjects`], and only a [`Principal`] who may makes one. And for
//!   reports: theirs take a [`ReportAccess`].
//! - A [`ReportKey`] has no reach: it opens its report ([`permit::OpenReports`]) and nothing else.
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
pub mod report_access;
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
pub use principal::{Person, Principal, ReportKey, caller_of_key, caller_of_user};
pub use reach::{Reach, ReachRules, StatementReach};
pub use report_access::ReportAccess;
pub use role::Role;
pub use scope::{AskedScope, People, ScopeError, Scoped};
pub use subjects::{OverPeople, Subjects};
