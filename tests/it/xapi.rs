//! The resources under `/xapi`.

mod statements;
