//! Users, teams, groups, contents, organisations and credentials, and the persons that a reach covers.
//!
//! It uses `db` and `ingest`.

pub(crate) mod changes;
pub(crate) mod contacts;
pub(crate) mod contents;
pub(crate) mod courses;
pub(crate) mod credentials;
pub(crate) mod details;
pub(crate) mod disclosed_recipients;
pub(crate) mod groups;
pub(crate) mod keyed;
pub(crate) mod launches;
pub(crate) mod lookups;
pub(crate) mod organisations;
pub(crate) mod reach;
pub(crate) mod resolve;
pub(crate) mod teams;
pub(crate) mod users;
