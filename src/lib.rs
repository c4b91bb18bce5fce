//! Rollbook: a headless Learning Record Store with an Activity Log.
//!
//! A learning record comes in as an xAPI statement or as a short-form activity. It is stored once, as a statement. It is
//! read back as a statement or as a row of the Activity Log, by callers with the right to see it.
//!
//! A module imports only modules of lower layers. A test checks this.
//!
//! | layer | module | contents |
//! | --- | --- | --- |
//! | 1 | [`base`] | ids, time, text, JSON, request bodies, pages and cursors |
//! | 1 | [`texts`] | texts for people in several languages |
//! | 2 | [`record`] | xAPI statements: parsing, validation, comparison, formats |
//! | 2 | [`access`] | callers and rights |
//! | 3 | [`directory`], [`catalogue`] | users, teams and groups; contents |
//! | 4 | [`log`] | activities: projection, description, filter, summary, progress |
//! | 4 | [`launches`] | launches of content: their body, their address, and what their tokens may write |
//! | 4 | [`cmi5`] | course structures, the rules of a session, satisfaction |
//! | 5 | [`store`] | all SQL |
//! | 6 | [`export`] | rows as CSV, NDJSON and Parquet |
//! | 6 | [`live`] | the live stream of new rows |
//! | 7 | [`archive`] | whole organisations in files |
//! | 7 | [`reports`] | saved reports, schedules, the sender and its messages |
//! | 7 | [`subscriptions`] | webhooks and statements for other systems |
//! | 8 | [`http`] | the API |
//! | 9 | [`config`], [`server`], [`cli`] | settings, start and stop, commands |

pub mod access;
pub mod archive;
pub mod base;
pub mod catalogue;
pub mod cli;
pub mod cmi5;
pub mod config;
pub mod directory;
pub mod export;
pub mod http;
pub mod imports;
pub mod launches;
pub mod live;
pub mod log;
pub mod record;
pub mod reports;
pub mod scorm;
pub mod server;
pub mod store;
pub mod subscriptions;
pub mod texts;
