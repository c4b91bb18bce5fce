//! The types that all other modules use: ids, time, text, JSON, request bodies, pages and cursors.
//!
//! This module imports nothing from the rest of the crate.

pub mod body;
pub mod clock;
pub mod cursor;
pub mod fair_limit;
pub mod fault;
pub mod fingerprint;
pub mod flag;
pub mod fold;
pub mod form;
pub mod ids;
pub mod json;
pub mod keyed;
pub mod keyed_limit;
pub mod list;
pub mod merge_patch;
pub mod naming;
pub mod private_files;
pub mod shared_limit;
pub mod sort;
#[cfg(test)]
pub(crate) mod testing;
pub mod timestamp;

pub use clock::{Clock, Timestamp};
pub use cursor::{CipherError, CursorCipher, CursorError, CursorKey};
pub use fault::{Fault, Place};
pub use fingerprint::Fingerprint;
pub use fold::{distinct_folded, fold, fold_if_different};
pub use form::Form;
pub use list::{Page, folded_words};
pub use merge_patch::merge_patch;
