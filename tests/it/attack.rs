//! Attacks on the server, faults of what it depends on, and the load of other callers. Each attack that once broke
//! something is kept here.
//!
//! A test of memory or latency starts the binary as a process and measures it with [`crate::support::watch`].
//! `scripts/attack` runs them all, and prints what they measured.

mod connections;
mod database_faults;
mod disk;
mod reach;
mod shares;
mod unsigned;
mod values;
