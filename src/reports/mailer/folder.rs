//! Messages as files: one `.eml` file each, which mail programs open.

use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::SendError;
use crate::base::private_files;
use crate::reports::message::EmailMessage;

/// The file's name: the run's time, the delivery's id and the recipient's position. It contains no text from users, and the
/// same message has the same name.
pub(super) fn file_name(email: &EmailMessage<'_>) -> String {
    let run_at = email.run_at.to_datetime().format("%Y%m%dT%H%M%SZ");
    format!("{run_at}-{}-{}.eml", email.delivery, email.place)
}

/// Writes the file. A reader of the folder sees the whole file or none.
pub(super) async fn write_message(folder: &Path, name: &str, bytes: Vec<u8>) -> Result<(), SendError> {
    let (path, file) = (folder.to_path_buf(), folder.join(name));
    let written = tokio::task::spawn_blocking(move || write_file(&path, &file, &bytes)).await;
    let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
    written.map_err(|error| {
        // The log has the folder's path, the delivery does not: it is for the operator only.
        tracing::error!(folder = %folder.display(), %error, "a message can't be written");
        SendError::Failed(format!(
            "the message can't be written to the folder of messages: {error}"
        ))
    })
}

fn write_file(folder: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    private_files::create_folder(folder)?;
    let mut temporary = NamedTempFile::with_prefix_in(".message-", folder).map_err(without_path)?;
    temporary.write_all(bytes).map_err(without_path)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// The system's error without the path that `tempfile` adds to it.
fn without_path(error: io::Error) -> io::Error {
    io::Error::from(error.kind())
}
