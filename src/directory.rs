//! The directory: users, teams (a tree), groups, managers (a tree), and how they are written (product
//! text, section 5).
//!
//! What it holds: what a client may write of each ([`UserDraft`], [`TeamDraft`], [`GroupDraft`]) and what it
//! reads back ([`User`], [`Team`], [`Group`]); the identifiers that an e-mail address and an id claim
//! ([`identity`]); merge patches ([`merge_patch`]), batches ([`read_batch`]) and the refusals that all of
//! them share ([`Refusal`]).
//!
//! What it promises: a draft that exists is valid in itself; reading one collects every fault with its
//! place, not only the first; and a member that nobody knows is refused by name. What can only be known
//! beside everybody else (an unknown team, a cycle of managers, somebody else's identifier) the store
//! finds out, with [`first_cycle`] and in the words of [`Refusal`].
//!
//! Start reading at [`user`]; [`form`] is how a body is read, here and in the catalogue.

pub mod batch;
pub mod error;
pub mod group;
pub mod identity;
pub mod team;
pub mod tree;
pub mod user;

pub use batch::{BatchOutcome, Keyed, read_batch, read_one};
pub use error::Refusal;
pub use group::{Group, GroupDraft};
pub use identity::Agent;
pub use team::{Team, TeamDraft};
pub use tree::first_cycle;
pub use user::{User, UserDraft, UserFilter, visible_users};
