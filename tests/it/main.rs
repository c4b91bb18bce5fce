//! Tests of Rollbook through HTTP, on SQLite and on PostgreSQL.
//!
//! All tests are one binary, because linking the server takes long. The file of a test follows the route:
//! `v1/activities.rs` tests `/v1/activities`. Start reading at [`support`], which gives each test a server and a
//! database.
//!
//! Run the tests with `scripts/test`, or with `scripts/with-postgres cargo test --test it`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod access;
mod archive;
mod arrival;
mod attack;
mod cmi5;
mod demo;
mod examples;
mod features;
mod fuzz;
mod hostile;
mod layers;
mod mail;
mod operation;
mod plans;
mod real_data;
mod subscriptions;
mod support;
mod v1;
mod xapi;
