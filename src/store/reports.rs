//! Saved reports, schedules, runs, deliveries and keys.
//!
//! It uses all other folders of the store.

pub(crate) mod backlog;
pub(crate) mod deliveries;
pub(crate) mod link_keys;
pub(crate) mod report_keys;
pub(crate) mod resource;
pub(crate) mod runs;
pub(crate) mod saved_reports;
pub(crate) mod schedules;
pub(crate) mod suspensions;
