//! SCORM 1.2 and SCORM 2004: the commits of a player, and the records that they mean (`docs/specification.md#scorm`).
//!
//! [`Commit::parse`] reads a body in each format of the player `scorm-again`, and [`Commit::find_notices`] checks its
//! values against the data model. [`AttemptState::apply`] makes the next state of an attempt and the [`Event`]s that
//! the commit means. [`AttemptCommit`] writes each event as a statement. [`resume`] makes the data with which a learner
//! goes on.
//!
//! Everything here is a pure function. The transaction that writes an attempt reads its state, so two commits at once
//! cannot lose each other's changes.

mod attempt;
mod commit;
mod interaction;
mod model;
pub mod resume;
mod score;
mod statements;

pub use attempt::{AttemptState, Event, EventKind, Progress, SessionEnd};
pub use commit::{Commit, CommitFault, MAX_ELEMENTS, Notice};
pub use interaction::{Interaction, MAX_INTERACTIONS};
pub use model::Version;
pub use statements::AttemptCommit;
