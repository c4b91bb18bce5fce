//! The directory: users, teams and groups, as clients write and read them (`docs/specification.md#users`).
//!
//! A draft ([`UserDraft`], [`TeamDraft`], [`GroupDraft`]) is what a client writes. It is valid in itself: reading it
//! reports every fault with its place, unknown members included. Faults that depend on stored data, such as an unknown
//! team or a cycle of managers, are found by the store.
//!
//! [`identity`] contains the identifiers that an e-mail address and an id claim, [`tree`] the search for cycles.

pub mod group;
pub mod identity;
pub mod team;
pub mod tree;
pub mod user;

pub use group::{Group, GroupDraft, GroupFilter};
pub use identity::Agent;
pub use team::{Team, TeamDraft, TeamFilter};
pub use tree::first_cycle;
pub use user::{User, UserDraft, UserFilter, UserSortField, visible_users};
