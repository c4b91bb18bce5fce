//! Tests of cmi5: launches of units, the rules of their sessions, and what follows from them (`docs/cmi5.md`).

mod abandoned;
mod clients;
mod document;
mod launch;
mod satisfaction;
mod session;
mod unit;
