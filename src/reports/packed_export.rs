//! An export in memory, ready to be attached to a message, within a limit. See `docs/specification.md#messages`.
//!
//! [`pack`] reads the blocks of an export. A small export stays as it is. A larger one is compressed while it is read. If the
//! compressed bytes exceed the limit, they are dropped and the rest is only counted. So [`Sizes::link_above`] bounds the
//! memory, also for a large log.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;

use crate::export::{Blocks, ExportError};

/// The limits of attached files, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// A larger CSV is compressed with gzip.
    pub gzip_above: u64,
    /// A larger file, compressed or not, is replaced by a link.
    pub link_above: u64,
}

impl Default for Sizes {
    /// 1 MiB and 10 MiB.
    fn default() -> Self {
        Self {
            gzip_above: 1 << 20,
            link_above: 10 << 20,
        }
    }
}

/// A packed export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedExport {
    /// The number of rows, without the headings.
    pub rows: u64,
    /// The number of rows that are missing, because they cannot be read.
    pub skipped: u64,
    /// The size of the uncompressed CSV, in bytes.
    pub bytes: u64,
    /// The file.
    pub contents: Contents,
}

/// The file of a [`PackedExport`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// The uncompressed CSV.
    Plain(Bytes),
    /// The CSV as a gzip file.
    Gzip(Bytes),
    /// The file exceeds the limit and was dropped.
    TooLarge,
}

/// Reads the whole export. Rows and bytes are counted even if the file is too large.
///
/// # Errors
///
/// An error of the export. There is no partly packed export.
pub async fn pack(mut blocks: Blocks, sizes: &Sizes) -> Result<PackedExport, ExportError> {
    let mut bytes = 0;
    let mut packing = Packing::Plain(Vec::new());
    while let Some(block) = blocks.next().await {
        let block = block?;
        bytes += block.len() as u64;
        packing = packing.add(&block, sizes);
    }
    Ok(PackedExport {
        rows: blocks.written_rows(),
        skipped: blocks.skipped_rows(),
        bytes,
        contents: packing.finish(sizes),
    })
}

/// The bytes so far.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each e-mail that is written"
)]
enum Packing {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    TooLarge,
}

impl Packing {
    fn add(self, block: &[u8], sizes: &Sizes) -> Self {
        match self {
            Self::Plain(mut plain) => {
                plain.extend_from_slice(block);
                // A file that is too large may fit when it is compressed.
                if plain.len() as u64 <= sizes.gzip_above.min(sizes.link_above) {
                    return Self::Plain(plain);
                }
                let encoder = GzEncoder::new(Vec::new(), Compression::default());
                Self::compress(encoder, &plain, sizes)
            }
            Self::Gzip(encoder) => Self::compress(encoder, block, sizes),
            Self::TooLarge => Self::TooLarge,
        }
    }

    fn compress(mut encoder: GzEncoder<Vec<u8>>, bytes: &[u8], sizes: &Sizes) -> Self {
        match encoder.write_all(bytes) {
            Ok(()) if encoder.get_ref().len() as u64 <= sizes.link_above => Self::Gzip(encoder),
            Ok(()) => Self::TooLarge,
            Err(error) => Self::drop_after_error(&error),
        }
    }

    fn finish(self, sizes: &Sizes) -> Contents {
        match self {
            Self::Plain(plain) => Contents::Plain(plain.into()),
            Self::Gzip(encoder) => match encoder.finish() {
                // The encoder wrote its last bytes.
                Ok(gzip) if gzip.len() as u64 <= sizes.link_above => Contents::Gzip(gzip.into()),
                Ok(_) => Contents::TooLarge,
                Err(error) => Self::drop_after_error(&error).finish(sizes),
            },
            Self::TooLarge => Contents::TooLarge,
        }
    }

    /// Writing to memory does not fail. If it did, the message would have a link.
    fn drop_after_error(error: &io::Error) -> Self {
        tracing::error!(%error, "an export can't be compressed");
        Self::TooLarge
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use futures_util::stream;

    use super::*;
    use crate::export::testing;
    use crate::store::StoreError;

    /// An export of lines that compress badly, and its text.
    async fn export(lines: usize) -> (Blocks, Vec<u8>) {
        let blocks = testing::hash_export(stream::iter(testing::chunks(lines)))
            .await
            .unwrap();
        (blocks, testing::hash_export_text(lines))
    }

    async fn packed(lines: usize, gzip_above: u64, link_above: u64) -> (PackedExport, Vec<u8>) {
        let (blocks, text) = export(lines).await;
        let sizes = Sizes {
            gzip_above,
            link_above,
        };
        (pack(blocks, &sizes).await.unwrap(), text)
    }

    #[tokio::test]
    async fn small_export_is_not_compressed() {
        for lines in [0, 1, 100] {
            let (packed_export, text) = packed(lines, 1 << 20, 10 << 20).await;
            assert_eq!(
                (packed_export.rows, packed_export.bytes),
                (lines as u64, text.len() as u64)
            );
            assert_eq!(packed_export.contents, Contents::Plain(text.into()));
        }
    }

    #[tokio::test]
    async fn larger_export_is_compressed() {
        let (packed_export, text) = packed(20_000, 10_000, 10 << 20).await;
        assert_eq!(
            (packed_export.rows, packed_export.bytes),
            (20_000, text.len() as u64)
        );
        let Contents::Gzip(gzip) = &packed_export.contents else {
            panic!("{:?}", packed_export.rows);
        };
        assert!(gzip.len() < text.len());
        let mut unpacked = Vec::new();
        GzDecoder::new(gzip.as_ref()).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == text);
        // The same export gives the same file.
        assert_eq!(packed_export, packed(20_000, 10_000, 10 << 20).await.0);
    }

    #[tokio::test]
    async fn limits_are_inclusive() {
        let text = testing::hash_export_text(50);
        let size = text.len() as u64;
        assert!(matches!(
            packed(50, size, size).await.0.contents,
            Contents::Plain(_)
        ));
        assert!(matches!(
            packed(50, size - 1, size).await.0.contents,
            Contents::Gzip(_)
        ));
        let Contents::Gzip(gzip) = packed(50, 0, size).await.0.contents else {
            panic!("compressed");
        };
        let size = gzip.len() as u64;
        assert!(matches!(packed(50, 0, size).await.0.contents, Contents::Gzip(_)));
        assert!(matches!(
            packed(50, 0, size - 1).await.0.contents,
            Contents::TooLarge
        ));
    }

    #[tokio::test]
    async fn export_above_the_link_limit_may_fit_when_compressed() {
        let size = testing::hash_export_text(5_000).len() as u64;
        let (packed_export, _) = packed(5_000, u64::MAX, size - 1).await;
        assert!(matches!(packed_export.contents, Contents::Gzip(_)));
    }

    #[tokio::test]
    async fn export_that_is_too_large_is_counted_to_its_end() {
        let (packed_export, text) = packed(20_000, 1_000, 100_000).await;
        assert_eq!(packed_export.contents, Contents::TooLarge);
        assert_eq!(
            (packed_export.rows, packed_export.bytes),
            (20_000, text.len() as u64)
        );
    }

    #[tokio::test]
    async fn error_of_the_export_is_returned() {
        let chunks = testing::chunks(5_000)
            .into_iter()
            .chain([Err(StoreError::Closed)]);
        let blocks = testing::hash_export(stream::iter(chunks)).await.unwrap();
        let failure = pack(blocks, &Sizes::default()).await.unwrap_err();
        assert!(matches!(failure, ExportError::Store(StoreError::Closed)));
    }
}
