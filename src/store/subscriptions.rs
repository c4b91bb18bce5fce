//! Subscriptions: addresses that get activities or statements as they come, the place of each in the order of changes, and
//! its deliveries. See `docs/specification.md#subscriptions`.
//!
//! | file | content |
//! | --- | --- |
//! | `resource` | what clients read and write |
//! | `claims` | leases: one worker at a time works on a subscription, and notes the outcome under its lease |
//! | `deliveries` | the list of deliveries, dead ones that are tried again, and their end |
//! | `sent` | the records that a subscription has sent |

pub(crate) mod claims;
pub(crate) mod deliveries;
pub(crate) mod resource;
pub(crate) mod sent;
