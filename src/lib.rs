//! Rollbook: a headless Learning Record Store with an Activity Log.
//!
//! One record comes in by any door, is kept once as the statement it is, and is read back as a
//! statement or as a row of the Activity Log, by those who may see it and nobody else.
//!
//! The rooms, from the ground up; a room imports only rooms on lower floors:
//!
//! | floor | room | holds |
//! | --- | --- | --- |
//! | 0 | [`ids`], [`clock`] | the names of things, and the time, handed in |
//! | 1 | [`record`] | what a learning record is |
//! | 1 | [`access`] | who asks, and what they may see |
//! | 2 | [`log`] | the activity: projection, filter, sentence |
//! | 2 | [`directory`], [`catalogue`] | people and contents, and their rules |
//! | 3 | [`store`] | the only room with SQL |
//! | 4 | [`export`] | rows to CSV and NDJSON |
//! | 4 | [`reports`] | saved reports, schedules, the sender and its messages |
//! | 5 | [`http`] | the API |
//! | 6 | [`cli`], [`config`], [`server`] | commands, settings, wiring |

pub mod access;
pub mod base;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod directory;
pub mod export;
pub mod http;
pub mod log;
pub mod record;
pub mod reports;
pub mod server;
pub mod store;
