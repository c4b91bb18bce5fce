//! Messages as files: one `.eml` each, as any mail program opens it.

use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::SendError;
use crate::reports::message::EmailMessage;

/// The file's name: the moment of the run, the delivery and the recipient's place. Nothing that somebody wrote is in
/// it, and the same message has the same name.
pub(super) fn name(letter: &EmailMessage<'_>) -> String {
    let run_at = letter.run_at.to_datetime().format("%Y%m%dT%H%M%SZ");
    format!("{run_at}-{}-{}.eml", letter.delivery, letter.place)
}

/// Writes the file; whoever looks into the folder sees it whole or not at all.
pub(super) async fn write(folder: &Path, name: &str, bytes: Vec<u8>) -> Result<(), SendError> {
    let (path, file) = (folder.to_path_buf(), folder.join(name));
    let written = tokio::task::spawn_blocking(move || put(&path, &file, &bytes)).await;
    let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
    written.map_err(|error| {
        // Where the folder lies is for the operator alone.
        tracing::error!(folder = %folder.display(), %error, "a message can't be written");
        SendError::Failed(format!(
            "the message can't be written to the folder of messages: {error}"
        ))
    })
}

fn put(folder: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut temporary = NamedTempFile::with_prefix_in(".message-", folder).map_err(without_path)?;
    temporary.write_all(bytes).map_err(without_path)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// The error of the system, without the path that the library writes into it.
fn without_path(error: io::Error) -> io::Error {
    io::Error::from(error.kind())
}
