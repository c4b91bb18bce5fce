//! Bulk imports: files with activities or statements, of any size. See `docs/specification.md#imports`.
//!
//! A file is stored as it was sent, in parts. The [`Importer`] of any replica reads it row by row and records the rows in
//! small steps, each with its place in the file in one transaction.
//!
//! | file | content |
//! | --- | --- |
//! | `options` | what a caller says about a file |
//! | `source` | the text of a file: parts, gzip, encodings |
//! | `rows` | the rows of a text |
//! | `fields`, `dates`, `mapping` | how the cells of a row become an activity |
//! | `documents` | statements as other record stores write them |
//! | `parse` | the rows as short forms and statements, on a thread that may block |
//! | `step` | some rows as a submission, and the rows that are rejected |
//! | `files` | the files of rejected rows, and the template |
//! | `importer` | the worker: leases, pauses, shares of organisations |

mod dates;
mod documents;
mod fields;
mod files;
mod importer;
mod mapping;
mod options;
mod parse;
mod rows;
mod source;
mod step;

pub use files::{write_error_page, write_template};
pub use importer::{ImportLimits, Importer};
pub use mapping::{MAPPING_NAMES, Mapping, NamedOptions};
pub use options::{Delimiter, FileEncoding, ImportFormat, ImportOptions, ImportTerms};
pub use parse::{FileHead, check_beginning};
