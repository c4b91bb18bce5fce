//! Who may do what (contract section 4): every route against every kind of caller, organisations that know
//! nothing of each other, and tokens that must not pass.

mod routes;
mod tenants;
mod tokens;
