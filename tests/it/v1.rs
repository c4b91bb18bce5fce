//! The resources under `/v1`.

mod activities;
mod contents;
mod exports;
mod groups;
mod model;
mod organisation;
mod teams;
mod users;
