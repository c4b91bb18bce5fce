//! Saved reports, their schedules and what is sent (product text, section 9).
//!
//! A report is a saved question to the log. Somebody opens it, a spreadsheet opens it with a key, or a schedule has it sent.
//! Begin at [`report`]: [`report::open`] is the one place where a saved question meets somebody's rights, and whatever
//! shows rows of a report goes through it.
//!
//! | file | holds |
//! | --- | --- |
//! | [`report`], [`saved_filter`] | what a report is, what may be written of it, and what opening it means |
//! | [`key`] | the password that opens one report |
//! | [`rights`] | who somebody is where nobody is asking: as the directory has them at that moment |
//! | [`timing`], [`schedule`] | when a report is sent, and to whom |
//! | [`sender`] | sends what is due, once, whatever happens meanwhile; [`delivery`] tells what became of it |
//! | [`message`], [`packed_export`] | what is sent: the words, and the CSV packed by its size; [`link`] is what stands for one that is too large |
//! | [`mailer`] | how a message leaves: by SMTP, or into a folder |
//!
//! What it promises:
//!
//! - Nobody sees a row by a report that their own log would not show them, and a recipient none that its maker may not see.
//! - Rights are those of now: nothing that was found out about anybody is kept from one opening to the next.
//! - It knows no SQL and no HTTP.

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
