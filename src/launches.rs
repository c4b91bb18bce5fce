//! Launches: an LMS starts content for a user without giving the browser a key of the organisation
//! (`docs/specification.md#launches`).
//!
//! - [`LaunchForm`] is the body with which a client launches content.
//! - [`address`] writes the address that the browser opens.
//! - [`bounds`] decides which statements and documents a launch may write.
//!
//! The module uses no database, no HTTP and no clock. The caller of a launched content is
//! [`access::Launch`](crate::access::Launch).

pub mod address;
pub mod bounds;
pub mod form;

pub use form::{LaunchForm, LaunchLifetime};
