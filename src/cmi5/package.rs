//! Reads the course structure from a package: a ZIP file with `cmi5.xml` at its root (cmi5, section 14).
//!
//! The reader walks through the directory of the archive entry by entry and unpacks one entry, up to a limit. So neither
//! the number of entries nor their sizes decide how much memory a package takes. Both the 32-bit and the 64-bit format
//! are read.

use std::collections::HashSet;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::read::DeflateDecoder;

/// The name of the course structure in a package.
pub const STRUCTURE_NAME: &str = "cmi5.xml";

/// The maximum number of entries of a package.
pub const MAX_ENTRIES: u64 = 100_000;

/// The end record without its comment.
const END_BYTES: u64 = 22;
/// The longest comment of an archive.
const MAX_COMMENT: u64 = 65_535;
const END_SIGNATURE: u32 = 0x0605_4b50;
const END64_SIGNATURE: u32 = 0x0606_4b50;
const END64_LOCATOR_SIGNATURE: u32 = 0x0706_4b50;
const END64_LOCATOR_BYTES: u64 = 20;
const ENTRY_SIGNATURE: u32 = 0x0201_4b50;
const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
/// The extra field with sizes and offsets of 64 bits.
const ZIP64_EXTRA: u16 = 1;

/// Why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The bytes are not a ZIP archive, or a damaged one.
    #[error("the body is not a ZIP file, or it is damaged: {0}")]
    Damaged(&'static str),
    /// The archive has too many entries.
    #[error("the package has more than {MAX_ENTRIES} entries; send its `cmi5.xml` alone")]
    TooManyEntries,
    /// The archive has no course structure.
    #[error("the package has no `cmi5.xml` at its root")]
    NoStructure,
    /// The course structure is encrypted.
    #[error("`cmi5.xml` is encrypted; pack it without a password")]
    Encrypted,
    /// The course structure is compressed in an unknown way.
    #[error("`cmi5.xml` is compressed by the method {0}; pack it with deflate")]
    UnknownMethod(u16),
    /// The course structure is too large.
    #[error("`cmi5.xml` has more than {0} bytes")]
    StructureTooLarge(usize),
    /// The file could not be read.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for PackageError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early"),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Damaged("an entry cannot be unpacked")
            }
            _ => Self::Io(error),
        }
    }
}

/// A ZIP archive.
pub struct Package<F> {
    file: F,
    directory: Directory,
}

/// The place of the archive's directory.
#[derive(Debug, Clone, Copy)]
struct Directory {
    offset: u64,
    bytes: u64,
    entries: u64,
    /// The number of bytes before the archive, for example of a program that unpacks it.
    prefix: u64,
}

/// An entry of the directory.
struct Entry {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    unpacked: u64,
    offset: u64,
}

impl<F: Read + Seek> Package<F> {
    /// Opens an archive.
    ///
    /// # Errors
    ///
    /// [`PackageError`].
    pub fn open(mut file: F) -> Result<Self, PackageError> {
        let directory = find_directory(&mut file)?;
        if directory.entries > MAX_ENTRIES {
            return Err(PackageError::TooManyEntries);
        }
        Ok(Self { file, directory })
    }

    /// Unpacks the course structure, at most `max_bytes`.
    ///
    /// # Errors
    ///
    /// [`PackageError`].
    pub fn read_structure(&mut self, max_bytes: usize) -> Result<Vec<u8>, PackageError> {
        let mut found = None;
        self.walk(|entry| {
            if entry.name == STRUCTURE_NAME.as_bytes() {
                found = Some(entry);
            }
        })?;
        let entry = found.ok_or(PackageError::NoStructure)?;
        self.unpack(&entry, max_bytes)
    }

    /// Returns those of the names that no entry has.
    ///
    /// # Errors
    ///
    /// [`PackageError`].
    pub fn find_missing(&mut self, names: &[String]) -> Result<Vec<String>, PackageError> {
        let mut missing: HashSet<&[u8]> = names.iter().map(String::as_bytes).collect();
        self.walk(|entry| {
            missing.remove(entry.name.as_slice());
        })?;
        Ok(names
            .iter()
            .filter(|name| missing.contains(name.as_bytes()))
            .cloned()
            .collect())
    }

    /// Reads the directory entry by entry.
    fn walk(&mut self, mut take: impl FnMut(Entry)) -> Result<(), PackageError> {
        self.file.seek(SeekFrom::Start(self.directory.offset))?;
        let mut reader = BufReader::new((&mut self.file).take(self.directory.bytes));
        for _ in 0..self.directory.entries {
            take(read_entry(&mut reader)?);
        }
        Ok(())
    }

    fn unpack(&mut self, entry: &Entry, max_bytes: usize) -> Result<Vec<u8>, PackageError> {
        if entry.flags & 1 != 0 {
            return Err(PackageError::Encrypted);
        }
        let too_large = || PackageError::StructureTooLarge(max_bytes);
        let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        if entry.unpacked > limit {
            return Err(too_large());
        }
        let start = entry
            .offset
            .checked_add(self.directory.prefix)
            .ok_or(PackageError::Damaged("an offset is too large"))?;
        self.file.seek(SeekFrom::Start(start))?;
        let header: [u8; 30] = read_array(&mut self.file)?;
        if number32(&header, 0) != LOCAL_SIGNATURE {
            return Err(PackageError::Damaged(
                "an entry does not begin where the directory says",
            ));
        }
        let skipped = i64::from(number16(&header, 26)) + i64::from(number16(&header, 28));
        self.file.seek(SeekFrom::Current(skipped))?;
        let packed = (&mut self.file).take(entry.packed);
        let mut bytes = Vec::new();
        // The sizes in the directory may be wrong, so the number of unpacked bytes is limited as well.
        match entry.method {
            0 => packed.take(limit.saturating_add(1)).read_to_end(&mut bytes)?,
            8 => DeflateDecoder::new(packed)
                .take(limit.saturating_add(1))
                .read_to_end(&mut bytes)?,
            method => return Err(PackageError::UnknownMethod(method)),
        };
        if bytes.len() > max_bytes {
            return Err(too_large());
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        if crc.sum() != entry.crc || bytes.len() as u64 != entry.unpacked {
            return Err(PackageError::Damaged("the checksum of `cmi5.xml` is wrong"));
        }
        Ok(bytes)
    }
}

/// Finds the directory by the end record, which is at the end of the file, before an optional comment.
fn find_directory<F: Read + Seek>(file: &mut F) -> Result<Directory, PackageError> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail_bytes = length.min(END_BYTES + MAX_COMMENT);
    let tail_start = length - tail_bytes;
    file.seek(SeekFrom::Start(tail_start))?;
    let mut tail = Vec::new();
    file.take(tail_bytes).read_to_end(&mut tail)?;
    let end_length = usize::try_from(END_BYTES).unwrap_or(usize::MAX);
    let is_end = |at: &usize| {
        let record = tail.get(*at..).unwrap_or_default();
        number32(record, 0) == END_SIGNATURE
            && at.saturating_add(end_length + usize::from(number16(record, 20))) <= tail.len()
    };
    let last = tail.len().checked_sub(end_length);
    let at = last
        .and_then(|last| (0..=last).rev().find(is_end))
        .ok_or(PackageError::Damaged("it has no end record"))?;
    let record = tail.get(at..).unwrap_or_default();
    let end = tail_start + at as u64;
    if number16(record, 4) != number16(record, 6) {
        return Err(PackageError::Damaged("it is one of several parts"));
    }
    let directory = Directory {
        entries: u64::from(number16(record, 10)),
        bytes: u64::from(number32(record, 12)),
        offset: u64::from(number32(record, 16)),
        prefix: 0,
    };
    let needs_64_bits = directory.entries == u64::from(u16::MAX)
        || directory.bytes == u64::from(u32::MAX)
        || directory.offset == u64::from(u32::MAX);
    if needs_64_bits && let Some(directory) = find_directory_64(file, end)? {
        return check_directory(directory, end);
    }
    let prefix = end
        .checked_sub(directory.bytes)
        .and_then(|start| start.checked_sub(directory.offset))
        .ok_or(PackageError::Damaged(
            "its directory is not where its end record says",
        ))?;
    check_directory(
        Directory {
            offset: directory.offset + prefix,
            prefix,
            ..directory
        },
        end,
    )
}

/// The directory of an archive in the 64-bit format. `end` is the place of the 32-bit end record.
fn find_directory_64<F: Read + Seek>(file: &mut F, end: u64) -> Result<Option<Directory>, PackageError> {
    let Some(locator_start) = end.checked_sub(END64_LOCATOR_BYTES) else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(locator_start))?;
    let locator: [u8; 20] = read_array(file)?;
    if number32(&locator, 0) != END64_LOCATOR_SIGNATURE {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(number64(&locator, 8)))?;
    let record: [u8; 56] = read_array(file)?;
    if number32(&record, 0) != END64_SIGNATURE {
        return Err(PackageError::Damaged("its 64-bit end record is missing"));
    }
    Ok(Some(Directory {
        entries: number64(&record, 32),
        bytes: number64(&record, 40),
        offset: number64(&record, 48),
        prefix: 0,
    }))
}

fn check_directory(directory: Directory, end: u64) -> Result<Directory, PackageError> {
    let inside = directory
        .offset
        .checked_add(directory.bytes)
        .is_some_and(|after| after <= end);
    inside
        .then_some(directory)
        .ok_or(PackageError::Damaged("its directory is outside the file"))
}

fn read_entry(reader: &mut impl Read) -> Result<Entry, PackageError> {
    let header: [u8; 46] = read_array(reader)?;
    if number32(&header, 0) != ENTRY_SIGNATURE {
        return Err(PackageError::Damaged("an entry of its directory is wrong"));
    }
    let name = read_vec(reader, number16(&header, 28))?;
    let extra = read_vec(reader, number16(&header, 30))?;
    read_vec(reader, number16(&header, 32))?;
    let mut wide = find_zip64_values(&extra);
    let mut widen = |value: u32| match value {
        u32::MAX => wide.next().unwrap_or(u64::from(value)),
        value => u64::from(value),
    };
    let unpacked = widen(number32(&header, 24));
    let packed = widen(number32(&header, 20));
    let offset = widen(number32(&header, 42));
    Ok(Entry {
        name,
        flags: number16(&header, 8),
        method: number16(&header, 10),
        crc: number32(&header, 16),
        packed,
        unpacked,
        offset,
    })
}

/// The 64-bit values of an entry, in the order of the fields that need them.
fn find_zip64_values(extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut rest = extra;
    let mut values = Vec::new();
    while rest.len() >= 4 {
        let length = usize::from(number16(rest, 2));
        let end = (4 + length).min(rest.len());
        if number16(rest, 0) == ZIP64_EXTRA {
            let data = rest.get(4..end).unwrap_or_default();
            values = data.chunks_exact(8).map(|chunk| number64(chunk, 0)).collect();
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    values.into_iter()
}

fn read_array<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], PackageError> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_vec(reader: &mut impl Read, length: u16) -> Result<Vec<u8>, PackageError> {
    let mut bytes = vec![0; usize::from(length)];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The little-endian number at a position; 0 beyond the end.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let bytes = bytes.get(at..at.saturating_add(length)).unwrap_or_default();
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn number16(bytes: &[u8], at: usize) -> u16 {
    number(bytes, at, 2) as u16
}

fn number32(bytes: &[u8], at: usize) -> u32 {
    number(bytes, at, 4) as u32
}

fn number64(bytes: &[u8], at: usize) -> u64 {
    number(bytes, at, 8)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    const LIMIT: usize = 10_000;

    /// An archive with these entries.
    fn archive(entries: &[(&str, &[u8])], method: CompressionMethod, large: bool) -> Vec<u8> {
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .large_file(large);
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            writer.start_file(*name, options).expect("an entry");
            writer.write_all(content).expect("written");
        }
        writer.finish().expect("an archive").into_inner()
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, PackageError> {
        Package::open(Cursor::new(bytes))?.read_structure(LIMIT)
    }

    #[test]
    fn structure_is_read_from_both_formats_and_methods() {
        let entries: &[(&str, &[u8])] = &[("media/a.mp4", &[7; 500]), ("cmi5.xml", b"<x/>"), ("z", b"")];
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            for large in [false, true] {
                let bytes = archive(entries, method, large);
                assert_eq!(read(&bytes).expect("read"), b"<x/>", "{method} {large}");
                let with_prefix = [b"#!/bin/sh\n".as_slice(), &bytes].concat();
                assert_eq!(read(&with_prefix).expect("read"), b"<x/>");
            }
        }
    }

    #[test]
    fn archive_with_more_entries_than_16_bits_count_is_read() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for number in 0..70_000 {
            writer.start_file(format!("{number}"), stored).expect("an entry");
        }
        writer.start_file("cmi5.xml", stored).expect("an entry");
        writer.write_all(b"<x/>").expect("written");
        let bytes = writer.finish().expect("an archive").into_inner();
        assert_eq!(read(&bytes).expect("read"), b"<x/>");
    }

    #[test]
    fn entry_that_unpacks_to_too_many_bytes_is_refused() {
        let bomb = archive(
            &[("cmi5.xml", &vec![b' '; 5_000_000])],
            CompressionMethod::Deflated,
            false,
        );
        assert!(bomb.len() < LIMIT, "{}", bomb.len());
        assert!(matches!(read(&bomb), Err(PackageError::StructureTooLarge(LIMIT))));
        // The same with a small size in the directory.
        let mut liar = bomb.clone();
        let entry = liar
            .windows(4)
            .rposition(|bytes| bytes == [0x50, 0x4b, 1, 2])
            .expect("an entry");
        liar[entry + 24..entry + 28].copy_from_slice(&100_u32.to_le_bytes());
        assert!(matches!(read(&liar), Err(PackageError::StructureTooLarge(LIMIT))));
    }

    #[test]
    fn damaged_archives_are_refused() {
        let whole = archive(&[("cmi5.xml", b"<course/>")], CompressionMethod::Stored, false);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        for position in 0..whole.len() {
            let mut changed = whole.clone();
            changed[position] ^= 0xff;
            // The result does not matter. The reader must end without a panic, with the limit kept.
            if let Ok(bytes) = read(&changed) {
                assert!(bytes.len() <= LIMIT);
            }
        }
        let no_structure = archive(&[("course/cmi5.xml", b"<x/>")], CompressionMethod::Stored, false);
        assert!(matches!(read(&no_structure), Err(PackageError::NoStructure)));
        assert!(matches!(read(b""), Err(PackageError::Damaged(_))));
        assert!(matches!(read(&vec![0; 100_000]), Err(PackageError::Damaged(_))));
    }

    #[test]
    fn missing_entries_are_found() {
        let bytes = archive(
            &[("cmi5.xml", b"<x/>"), ("au1/index.html", b"")],
            CompressionMethod::Stored,
            false,
        );
        let mut package = Package::open(Cursor::new(bytes)).expect("an archive");
        let names = ["au1/index.html".to_owned(), "au2/index.html".to_owned()];
        assert_eq!(package.find_missing(&names).expect("read"), ["au2/index.html"]);
    }
}
