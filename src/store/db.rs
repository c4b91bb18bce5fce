//! The database: connections, SQL texts with their values, the differences between SQLite and PostgreSQL, migrations,
//! and the writing transaction of an organisation.
//!
//! The other folders of the store use this one, and it uses none of them.

pub(crate) mod attempts;
pub(crate) mod blobs;
pub(crate) mod changes;
pub(crate) mod column_cache;
pub(crate) mod columns;
pub(crate) mod commits;
pub(crate) mod consistent_through;
pub(crate) mod conversions;
pub(crate) mod copied_rows;
pub(crate) mod database;
pub(crate) mod dialect;
pub(crate) mod distribution;
mod eager;
pub(crate) mod error;
pub(crate) mod key_cache;
pub(crate) mod ledger;
pub(crate) mod migrations;
pub(crate) mod moment;
pub(crate) mod opening;
pub(crate) mod organisations;
pub(crate) mod page_rows;
pub(crate) mod pool_metrics;
pub(crate) mod postgres;
pub(crate) mod replica;
pub(crate) mod row_stream;
pub(crate) mod rows;
pub(crate) mod snapshot;
mod sqlite_begin;
pub(crate) mod sqlite_file;
pub(crate) mod sqlite_upkeep;
pub(crate) mod store_handle;
pub(crate) mod transaction;
pub(crate) mod unreadable;
pub(crate) mod write_health;
pub(crate) mod writing_gate;

use sha2::{Digest as _, Sha256};

use crate::base::fold;

pub use error::{StoreError, WriteFault};
pub use store_handle::Store;

/// The SHA-256 of a folded text. Filters find a text by it, whatever its length.
pub(crate) fn folded_digest(text: &str) -> Vec<u8> {
    digest(&fold(text))
}

/// The [`folded_digest`] of each text.
pub(crate) fn folded_digests(texts: &[String]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| folded_digest(text)).collect()
}

/// The SHA-256 of a text. Texts that clients choose freely are unique by it.
pub(crate) fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}
