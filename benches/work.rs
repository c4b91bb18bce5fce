//! The measured requests, the same on both databases.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use super::data::events::batches;
use super::load::end_of_data;
use super::measure;
use super::subject::{Connection, Subject};

/// Statements of one measurement that are sent one by one.
pub const SINGLES: u64 = 12_800;
/// Connections that send them.
pub const SINGLE_CONNECTIONS: usize = 64;
/// Statements of one measurement that are sent in batches.
pub const BATCHED: u64 = 20_000;
/// Statements of a batch.
pub const BATCH: u64 = 100;
/// Connections that send batches.
pub const BATCH_CONNECTIONS: usize = 4;
/// Pages that are read one after the other.
pub const PAGES: u64 = 200;

/// The measured pages of the log: the name of the line, and what follows `/v1/activities?limit=50` in the address.
pub const PAGE_QUERIES: [(&str, &str); 4] = [
    ("page", ""),
    ("page of one user", "&user=u77"),
    (
        "page by action and content type",
        "&action=failed&content_type=course",
    ),
    ("page of one team", "&team=t7"),
];

/// The statements of one measurement, each alone in its body.
pub fn singles(repetition: usize) -> Vec<Vec<u8>> {
    batches(1_000 + repetition as u64, SINGLES, 1, end_of_data())
}

/// The statements of one measurement, in batches.
pub fn batched(repetition: usize) -> Vec<Vec<u8>> {
    batches(2_000 + repetition as u64, BATCHED, BATCH, end_of_data())
}

/// Sends the single statements of one measurement.
pub fn ingest_singles(subject: &Subject, repetition: usize) -> Duration {
    let bodies = singles(repetition);
    measure(|| subject.ingest(&bodies, SINGLE_CONNECTIONS))
}

/// Sends the batches of one measurement.
pub fn ingest_batches(subject: &Subject, repetition: usize) -> Duration {
    let bodies = batched(repetition);
    measure(|| subject.ingest(&bodies, BATCH_CONNECTIONS))
}

/// Reads the same page [`PAGES`] times.
pub fn read_pages(connection: &mut Connection, query: &str) -> Duration {
    let path = format!("/v1/activities?limit=50{query}");
    measure(|| {
        for _ in 0..PAGES {
            assert!(
                connection.get(&path, &mut std::io::sink()) > 1_000,
                "{path} has no rows"
            );
        }
    })
}

/// Exports the whole log to a file as CSV.
pub fn export(connection: &mut Connection, file: &Path) -> Duration {
    measure(|| {
        let mut out = BufWriter::new(File::create(file).expect("a file can be written"));
        connection.get("/v1/activities/export.csv?columns=elearning", &mut out);
    })
}

/// The number of lines of a file.
pub fn count_lines(file: &Path) -> u64 {
    let bytes = std::fs::read(file).expect("the file was written");
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
