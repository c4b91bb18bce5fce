//! Callers and their rights: tokens, credentials, roles, and the persons and reports that a caller may see.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`TokenKeys`], [`Claims`] | the keys that verify tokens, and what a token contains |
//! | [`Credential`], [`Scopes`], [`SecretHash`] | the credential of an integration, and its scopes |
//! | [`Principal`] | a verified caller: a person, a credential, the key of a saved report, or a launch |
//! | [`Launch`] | the right of one started content to write about one person |
//! | [`permit`] | one marker type for each action, with the rule that allows it |
//! | [`Reach`] | the persons whose activities a caller may see |
//! | [`Scoped`] | a question about activities, bound to a part of the reach |
//! | [`Subjects`] | the persons about whom a caller may do something |
//! | [`ReportAccess`] | the saved reports that a caller may open |
//! | [`file_link`] | the tokens of links to attached files |
//! | [`StatementReach`], [`AgentReach`], [`DocumentReach`] | the same for statements, agents and documents of xAPI |
//!
//! Invariants:
//!
//! - [`TokenKeys::verify`] returns a [`Person`] only if a configured key signed the token. The key determines the
//!   algorithm, never the token.
//! - Only a [`Principal`] makes a [`Scoped`], a [`Subjects`] or a [`ReportAccess`]. Queries take nothing else, so the
//!   organisation and the reach are part of every query.
//! - A change to a [`Scoped`] narrows it and never widens it.
//! - A [`ReportKey`] has no reach. It opens its report ([`permit::OpenReports`]) and nothing else.
//! - A [`Launch`] has no reach in the log. At `/xapi` it has the statements and states of its person and registration.
//! - This module contains no SQL, no HTTP handlers and no clock. The time of verification is an argument.
//!
//! Start reading at [`principal`], then [`reach`] and [`scope`]. Tokens begin at [`keys`].

pub mod agents;
pub mod basic;
pub mod claims;
pub mod credential;
pub mod documents;
pub mod error;
pub mod export_link;
pub mod file_link;
pub mod issuers;
pub mod jwks;
pub mod keys;
pub mod launch;
pub mod permissions;
pub mod permit;
pub mod principal;
pub mod reach;
pub mod report_access;
pub mod role;
pub mod scope;
mod strength;
pub mod subjects;
#[cfg(test)]
mod testing;

pub use agents::AgentReach;
pub use claims::{Claims, Reports, mint};
pub use credential::{Credential, CredentialScope, DefinitionRight, Scopes, SecretHash};
pub use documents::{Agents, Attempt, DocumentReach};
pub use error::{AccessError, TokenError};
pub use keys::{KeyConfig, TokenKeys};
pub use launch::{Launch, LaunchMode, LaunchStandard, caller_of_launch};
pub use permissions::Permissions;
pub use permit::Action;
pub use principal::{Person, Principal, ReportKey, caller_of_key, caller_of_user};
pub use reach::{Reach, ReachRules, StatementReach};
pub use report_access::ReportAccess;
pub use role::Role;
pub use scope::{AskedScope, People, ScopeError, Scoped};
pub use subjects::{OverPeople, Subjects};
