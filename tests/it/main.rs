//! Rollbook as its clients see it: through HTTP, on SQLite and on PostgreSQL from one source.
//!
//! One binary for all of it, since each further one links the whole server again. A test lies where its route
//! says: `/v1/activities` is tested in `v1/activities.rs`. Start reading at [`support`], which gives each test
//! a server and a database of its own.
//!
//! Run them with `scripts/test`, or `scripts/with-postgres cargo test --test it`.

mod access;
mod arrival;
mod data;
mod demo;
mod examples;
mod features;
mod fuzz;
mod hostile;
mod mail;
mod operation;
mod plans;
mod support;
mod v1;
mod xapi;
