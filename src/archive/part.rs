//! The file of a part: gzip, one row a line, each a JSON array with a value for each column.
//!
//! Numbers and booleans are those of JSON. Bytes are base64. A real number is text, so that each database gets the same
//! bits.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::archive::ArchiveError;
use crate::archive::manifest::{PartEntry, create_private, temporary_path};
use crate::store::archive::{Cell, CellKind};

/// Writes the file of a part.
pub(super) struct PartWriter<'f> {
    folder: &'f Path,
    file: String,
    output: GzEncoder<HashingWriter>,
    rows: u64,
    bytes: u64,
}

/// Writes to a file and computes its digest.
struct HashingWriter {
    file: BufWriter<File>,
    digest: Sha256,
}

impl Write for HashingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<'f> PartWriter<'f> {
    pub(super) fn create(folder: &'f Path, file: String) -> Result<Self, ArchiveError> {
        let output = HashingWriter {
            file: BufWriter::new(create_private(&temporary_path(&folder.join(&file)))?),
            digest: Sha256::new(),
        };
        Ok(Self {
            folder,
            file,
            output: GzEncoder::new(output, Compression::fast()),
            rows: 0,
            bytes: 0,
        })
    }

    /// Writes a row and returns the size of its line in bytes.
    pub(super) fn write_row(&mut self, row: &[Cell]) -> Result<u64, ArchiveError> {
        let path = self.folder.join(&self.file);
        let cells: Vec<_> = row.iter().map(to_json).collect();
        let mut line = serde_json::to_vec(&cells).map_err(|error| ArchiveError::damaged(&path, error))?;
        line.push(b'\n');
        self.output.write_all(&line).map_err(ArchiveError::file(&path))?;
        let length = line.len() as u64;
        self.rows += 1;
        self.bytes += length;
        Ok(length)
    }

    /// The size of all lines so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Completes the file. It is on the disk when this returns.
    pub(super) fn finish(self) -> Result<PartEntry, ArchiveError> {
        let path = self.folder.join(&self.file);
        let failed = || ArchiveError::file(&path);
        let HashingWriter { file, digest } = self.output.finish().map_err(failed())?;
        let file = file.into_inner().map_err(|error| failed()(error.into_error()))?;
        file.sync_all().map_err(failed())?;
        std::fs::rename(temporary_path(&path), &path).map_err(failed())?;
        Ok(PartEntry {
            file: self.file,
            rows: self.rows,
            bytes: self.bytes,
            sha256: to_hex(&digest.finalize()),
        })
    }
}

/// Reads the rows of a part, and checks its digest, its size and the kinds of its cells.
pub(super) fn read_part(
    folder: &Path,
    part: &PartEntry,
    kinds: &[CellKind],
) -> Result<Vec<Vec<Cell>>, ArchiveError> {
    let path = folder.join(&part.file);
    check_digest(&path, part)?;
    let file = File::open(&path).map_err(ArchiveError::file(&path))?;
    // A part has as many bytes as its description says, whatever the compressed file expands to.
    let lines = BufReader::new(GzDecoder::new(BufReader::new(file)).take(part.bytes + 1));
    let mut rows = Vec::new();
    let mut bytes = 0;
    for line in lines.split(b'\n') {
        let line = line.map_err(ArchiveError::file(&path))?;
        bytes += line.len() as u64 + 1;
        let cells: Vec<Json> =
            serde_json::from_slice(&line).map_err(|error| ArchiveError::damaged(&path, error))?;
        if cells.len() != kinds.len() {
            return Err(ArchiveError::damaged(
                &path,
                "a row has not as many values as its table columns",
            ));
        }
        let cells = cells
            .into_iter()
            .zip(kinds)
            .map(|(cell, kind)| from_json(cell, *kind));
        let row: Option<Vec<_>> = cells.collect();
        rows.push(
            row.ok_or_else(|| ArchiveError::damaged(&path, "a value has another type than its column"))?,
        );
    }
    if bytes != part.bytes || rows.len() as u64 != part.rows {
        return Err(ArchiveError::damaged(
            &path,
            "the size is not that of the description",
        ));
    }
    Ok(rows)
}

/// The last row of a part.
pub(super) fn read_last_row(
    folder: &Path,
    part: &PartEntry,
    kinds: &[CellKind],
) -> Result<Option<Vec<Cell>>, ArchiveError> {
    Ok(read_part(folder, part, kinds)?.pop())
}

fn check_digest(path: &Path, part: &PartEntry) -> Result<(), ArchiveError> {
    let mut file = File::open(path).map_err(ArchiveError::file(path))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut buffer).map_err(ArchiveError::file(path))?;
        if length == 0 {
            break;
        }
        digest.update(buffer.get(..length).unwrap_or_default());
    }
    if to_hex(&digest.finalize()) == part.sha256 {
        Ok(())
    } else {
        Err(ArchiveError::damaged(
            path,
            "the file was changed after it was written: its SHA-256 differs",
        ))
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn to_json(cell: &Cell) -> Json {
    match cell {
        Cell::Null => Json::Null,
        Cell::Integer(number) => Json::from(*number),
        Cell::Real(number) => Json::String(format!("{number:?}")),
        Cell::Boolean(flag) => Json::Bool(*flag),
        Cell::Text(text) => Json::String(text.clone()),
        Cell::Bytes(bytes) => Json::String(BASE64.encode(bytes)),
    }
}

fn from_json(value: Json, kind: CellKind) -> Option<Cell> {
    Some(match (value, kind) {
        (Json::Null, _) => Cell::Null,
        (Json::Number(number), CellKind::Integer) => Cell::Integer(number.as_i64()?),
        (Json::String(text), CellKind::Real) => Cell::Real(text.parse().ok()?),
        (Json::Bool(flag), CellKind::Boolean) => Cell::Boolean(flag),
        (Json::String(text), CellKind::Text) => Cell::Text(text),
        (Json::String(text), CellKind::Bytes) => Cell::Bytes(BASE64.decode(text).ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [CellKind; 5] = [
        CellKind::Integer,
        CellKind::Real,
        CellKind::Boolean,
        CellKind::Text,
        CellKind::Bytes,
    ];

    fn write(folder: &Path, rows: &[Vec<Cell>]) -> PartEntry {
        let mut writer = PartWriter::create(folder, "t-000001.ndjson.gz".to_owned()).unwrap();
        for row in rows {
            writer.write_row(row).unwrap();
        }
        writer.finish().unwrap()
    }

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec![
                Cell::Integer(i64::MIN),
                Cell::Real(0.1 + 0.2),
                Cell::Boolean(true),
                Cell::Text("a\n\"b\" \u{1F600}\u{0}".to_owned()),
                Cell::Bytes(vec![0, 255, 10]),
            ],
            vec![Cell::Null; 5],
            vec![
                Cell::Integer(i64::MAX),
                Cell::Real(-0.0),
                Cell::Boolean(false),
                Cell::Text(String::new()),
                Cell::Bytes(Vec::new()),
            ],
        ]
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let part = write(folder.path(), &rows());
        assert_eq!(read_part(folder.path(), &part, &KINDS).unwrap(), rows());
        let last = read_last_row(folder.path(), &part, &KINDS).unwrap();
        assert_eq!(last.as_ref(), rows().last());
    }

    #[test]
    fn changed_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let part = write(folder.path(), &rows());
        let path = folder.path().join(&part.file);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = read_part(folder.path(), &part, &KINDS).unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
    }

    #[test]
    fn file_that_expands_beyond_its_description_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = write(folder.path(), &rows());
        part.bytes = 10;
        assert!(read_part(folder.path(), &part, &KINDS).is_err());
    }

    #[test]
    fn cell_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let part = write(folder.path(), &rows());
        let mut kinds = KINDS;
        kinds.swap(0, 3);
        assert!(read_part(folder.path(), &part, &kinds).is_err());
    }
}
