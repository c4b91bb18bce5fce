//! What is measured, the same on both databases.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use super::data::{self, Random};
use super::subject::{Connection, Subject};
use super::timed;

/// Statements that are sent one by one, in each of the three times.
pub const SINGLES: u64 = 12_800;
/// Connections that send them.
pub const SINGLE_CONNECTIONS: usize = 64;
/// Statements that are sent in batches, in each of the three times.
pub const BATCHED: u64 = 20_000;
/// Statements of a batch.
pub const BATCH: u64 = 100;
/// Connections that send batches.
pub const BATCH_CONNECTIONS: usize = 4;
/// Pages that are read one after the other.
pub const PAGES: u64 = 200;

/// A page of the log that is asked for: its name, and the query behind `/v1/activities?limit=50`.
pub const QUESTIONS: [(&str, &str); 4] = [
    ("page", ""),
    ("page of one user", "&user=u77"),
    (
        "page by action and content type",
        "&action=failed&content_type=course",
    ),
    ("page of one team", "&team=t7"),
];

/// The statements of a time, each alone in its body.
pub fn singles(time: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(1_000 + time as u64);
    (0..SINGLES)
        .map(|_| data::statement(&mut random).into_bytes())
        .collect()
}

/// The statements of a time, in batches.
pub fn batches(time: usize) -> Vec<Vec<u8>> {
    data::batches(2_000 + time as u64, BATCHED, BATCH)
}

/// Sends them.
pub fn ingest_singles(subject: &Subject, time: usize) -> Duration {
    let bodies = singles(time);
    timed(|| subject.ingest(&bodies, SINGLE_CONNECTIONS))
}

/// Sends them.
pub fn ingest_batches(subject: &Subject, time: usize) -> Duration {
    let bodies = batches(time);
    timed(|| subject.ingest(&bodies, BATCH_CONNECTIONS))
}

/// Reads a page again and again.
pub fn pages(connection: &mut Connection, query: &str) -> Duration {
    let path = format!("/v1/activities?limit=50{query}");
    timed(|| {
        for _ in 0..PAGES {
            assert!(
                connection.get(&path, &mut std::io::sink()) > 1_000,
                "{path} has no rows"
            );
        }
    })
}

/// Writes the whole log to a file as CSV, and gives its lines without the heading.
pub fn export(connection: &mut Connection, file: &Path) -> Duration {
    timed(|| {
        let mut out = BufWriter::new(File::create(file).expect("a file can be written"));
        connection.get("/v1/activities/export.csv?columns=elearning", &mut out);
    })
}

/// The lines of a file.
pub fn lines(file: &Path) -> u64 {
    let bytes = std::fs::read(file).expect("the file was written");
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
