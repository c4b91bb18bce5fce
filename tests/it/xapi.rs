//! Tests of the resources under `/xapi`.

mod about;
mod activities;
mod addresses;
mod agents;
mod alternate;
pub(crate) mod attachments;
mod browsers;
mod consistency;
mod documents;
mod formats;
mod limits;
mod model;
mod paging;
mod plans;
mod profiles;
mod references;
mod related;
mod scopes;
mod signatures;
mod state;
mod statements;
mod versions;
mod voiding;
