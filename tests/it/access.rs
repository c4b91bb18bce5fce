//! Tests of rights: every route with every kind of caller, separate organisations, and invalid tokens
//! (`docs/specification.md#callers-and-rights`).

mod caching;
mod challenges;
mod reload;
mod routes;
mod tenants;
mod tokens;
