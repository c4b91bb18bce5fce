//! Subscriptions: activities as signed webhooks, and statements for another record store, as they come. See
//! `docs/specification.md#subscriptions`.
//!
//! | file | content |
//! | --- | --- |
//! | [`subscription`], [`delivery`] | what clients write and read |
//! | [`auth`], [`signature`] | the authorization at another record store; secrets and signatures of webhooks |
//! | [`egress`] | the requests that leave the server: which addresses they may reach, and their limits |
//! | [`event`] | the bodies of webhooks |
//! | [`backoff`] | when a delivery is tried again |
//! | [`worker`] | sends what is due, in every replica |
//! | [`trial`] | a test by hand |
//!
//! Invariants:
//!
//! - A request reaches only addresses that were checked after the name was resolved. It follows no redirect and uses no
//!   proxy.
//! - A subscription reads what its organisation's owners and admins may read, and nothing of another organisation.
//! - The log and the metrics contain no organisation, address, secret or learning data.

pub mod auth;
pub mod backoff;
pub mod delivery;
pub mod egress;
pub mod event;
pub mod signature;
pub mod subscription;
pub mod trial;
pub mod worker;
