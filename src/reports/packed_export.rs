//! An export in memory, ready to be attached to a message, within a limit (product text, section 9).
//!
//! [`pack`] takes the blocks of an export as they come. A small one stays as it is, a larger one is compressed
//! while it comes, and one that even so is too large to be attached is let go of: what was packed is dropped and
//! the rest only counted. So memory is bounded by [`Sizes::link_above`], whatever the size of the log.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;

use crate::export::{Blocks, ExportError};

/// The sizes, in bytes, past which a file is not attached as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// A CSV of more bytes is compressed with gzip.
    pub gzip_above: u64,
    /// A file of more bytes, compressed or not, is not attached: a link to it is sent instead.
    pub link_above: u64,
}

impl Default for Sizes {
    /// A mebibyte, and ten.
    fn default() -> Self {
        Self {
            gzip_above: 1 << 20,
            link_above: 10 << 20,
        }
    }
}

/// What an export came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedExport {
    /// Rows, the heading not among them.
    pub rows: u64,
    /// Bytes of the CSV, before any compression.
    pub bytes: u64,
    /// The file.
    pub contents: Contents,
}

/// The file of a [`PackedExport`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// The CSV as it came.
    Plain(Bytes),
    /// The CSV as a gzip file.
    Gzip(Bytes),
    /// More than may be attached; nothing of it is kept.
    TooLarge,
}

/// Takes the whole export. Its rows and bytes are counted whether or not it can be attached.
///
/// # Errors
///
/// What goes wrong in the export; a part of it is never a packed_export.
pub async fn pack(mut blocks: Blocks, sizes: &Sizes) -> Result<PackedExport, ExportError> {
    let mut bytes = 0;
    let mut packing = Packing::Plain(Vec::new());
    while let Some(block) = blocks.next().await {
        let block = block?;
        bytes += block.len() as u64;
        packing = packing.with(&block, sizes);
    }
    Ok(PackedExport {
        rows: blocks.written_rows(),
        bytes,
        contents: packing.finish(sizes),
    })
}

/// What is kept while the export comes.
enum Packing {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    TooLarge,
}

impl Packing {
    fn with(self, block: &[u8], sizes: &Sizes) -> Self {
        match self {
            Self::Plain(mut plain) => {
                plain.extend_from_slice(block);
                // What is too large to be attached as it is may still be small enough once it is compressed.
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
            Err(error) => Self::failed(&error),
        }
    }

    fn finish(self, sizes: &Sizes) -> Contents {
        match self {
            Self::Plain(plain) => Contents::Plain(plain.into()),
            Self::Gzip(encoder) => match encoder.finish() {
                // The last of the compressed bytes come only now.
                Ok(gzip) if gzip.len() as u64 <= sizes.link_above => Contents::Gzip(gzip.into()),
                Ok(_) => Contents::TooLarge,
                Err(error) => Self::failed(&error).finish(sizes),
            },
            Self::TooLarge => Contents::TooLarge,
        }
    }

    /// Writing to memory doesn't fail; were it to, the rows still reach their reader by a link.
    fn failed(error: &io::Error) -> Self {
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

    /// An export of lines that compress badly, and what it is as one text.
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
    async fn a_small_export_stays_as_it_is() {
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
    async fn a_larger_one_is_compressed_and_holds_the_same_bytes() {
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
        // The same export is the same file.
        assert_eq!(packed_export, packed(20_000, 10_000, 10 << 20).await.0);
    }

    #[tokio::test]
    async fn the_sizes_are_the_last_that_are_allowed() {
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
    async fn what_is_too_large_as_it_is_may_fit_once_it_is_compressed() {
        let size = testing::hash_export_text(5_000).len() as u64;
        let (packed_export, _) = packed(5_000, u64::MAX, size - 1).await;
        assert!(matches!(packed_export.contents, Contents::Gzip(_)));
    }

    #[tokio::test]
    async fn what_is_too_large_is_counted_to_its_end() {
        let (packed_export, text) = packed(20_000, 1_000, 100_000).await;
        assert_eq!(packed_export.contents, Contents::TooLarge);
        assert_eq!(
            (packed_export.rows, packed_export.bytes),
            (20_000, text.len() as u64)
        );
    }

    #[tokio::test]
    async fn an_export_that_breaks_off_is_no_parcel() {
        let chunks = testing::chunks(5_000)
            .into_iter()
            .chain([Err(StoreError::Closed)]);
        let blocks = testing::hash_export(stream::iter(chunks)).await.unwrap();
        let failure = pack(blocks, &Sizes::default()).await.unwrap_err();
        assert!(matches!(failure, ExportError::Store(StoreError::Closed)));
    }
}
