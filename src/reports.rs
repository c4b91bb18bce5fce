//! Saved reports, their schedules, and sending them. See `docs/specification.md#saved-reports`.
//!
//! A report is a saved question to the log. A user opens it, a spreadsheet opens it with a key, or a schedule sends it. Begin
//! at [`report`]: [`report::open`] combines a saved question with a reader's rights, and all code that reads rows of a report
//! uses it.
//!
//! | file | content |
//! | --- | --- |
//! | [`report`], [`saved_filter`] | a report: its body, and opening it |
//! | [`key`] | the password that opens one report |
//! | [`rights`] | the rights of users that are not callers: as the directory has them at that moment |
//! | [`timing`], [`schedule`] | when a report is sent, and to which recipients |
//! | [`sender`], [`delivery`] | sends due reports, and shows how each run ended |
//! | [`message`], [`packed_export`], [`link`] | a message, its file, and the link that replaces a large file |
//! | [`mailer`] | sends messages by SMTP, or writes them to a folder |
//!
//! Invariants:
//!
//! - A report never shows a row that the reader's own log does not show. A recipient never gets a row that the schedule's maker
//!   may not see.
//! - Rights are current: they are read again each time a report is opened.
//! - This module contains no SQL and no HTTP.

pub mod change_plan;
pub mod delivery;
pub mod key;
pub mod link;
pub mod mailer;
pub mod message;
pub mod packed_export;
pub mod report;
pub mod rights;
pub mod saved_filter;
pub mod schedule;
pub mod sender;
pub mod timing;
