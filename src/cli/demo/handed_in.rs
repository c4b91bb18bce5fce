//! The file that people hand in for an exercise.

use sha2::{Digest as _, Sha256};

use crate::record::iri::IriError;
use crate::record::{Attachment, Iri, LanguageMap};
use crate::store::{NewAttachment, Spool, SpoolError};

/// The content of the file.
const CONTENT: &[u8] =
    b"The risks on our site\n\n1. Forklifts and people share the ramp.\n2. The exit at gate 3 is \
    often blocked.\n3. New colleagues do not know the assembly point.\n";

/// The declaration of the file in a statement.
pub(super) fn declaration() -> Result<Attachment, IriError> {
    let digest = Sha256::digest(CONTENT);
    Ok(Attachment {
        usage_type: Iri::parse("http://id.tincanapi.com/attachment/supporting_media")?,
        display: LanguageMap::english("Risks on our site"),
        description: LanguageMap::default(),
        content_type: "text/plain; charset=utf-8".to_owned(),
        length: i64::try_from(CONTENT.len()).unwrap_or_default(),
        sha2: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        file_url: None,
    })
}

/// The content of the file on its way to the store.
pub(super) async fn content() -> Result<NewAttachment, SpoolError> {
    let mut spool = Spool::new(CONTENT.len() as u64);
    spool.push(CONTENT).await?;
    Ok(NewAttachment {
        sha2: Sha256::digest(CONTENT).to_vec(),
        blob: spool.finish().await?,
    })
}
