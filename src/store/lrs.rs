//! Reads and writes what a Learning Record Store has: statements, documents, definitions, agents, attachments.
//!
//! It uses `db`, `ingest` and `directory`.

pub(crate) mod activities;
pub(crate) mod agents;
pub(crate) mod attachments;
pub(crate) mod documents;
pub(crate) mod statements;
