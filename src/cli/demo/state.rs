//! The demo's state between two starts: its secrets, and the summary of the organisation.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::access::AccessError;
use crate::access::credential::{new_key, new_secret};
use crate::base::private_files;
use crate::cli::CliError;

use super::seed::Seeded;

/// The content of the file `demo.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    /// The secret that tokens are signed with.
    jwt_secret: String,
    /// The key of the demo's credential.
    pub credential_key: String,
    /// The secret of the demo's credential.
    pub(super) credential_secret: String,
    /// The summary of the organisation. `None` until it is complete.
    pub seeded: Option<Seeded>,
}

impl State {
    /// New secrets, without an organisation.
    pub(super) fn new() -> Result<Self, AccessError> {
        Ok(Self {
            jwt_secret: new_secret()?.expose_secret().to_owned(),
            credential_key: new_key()?,
            credential_secret: new_secret()?.expose_secret().to_owned(),
            seeded: None,
        })
    }

    /// Reads the state of a folder. `None` if it has no demo.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, CliError> {
        let path = file(folder);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CliError::File { path, source }),
        };
        match serde_json::from_str(&text) {
            Ok(state) => Ok(Some(state)),
            Err(error) => Err(CliError::Refused(format!(
                "{} is not what the demo wrote ({error}): delete the folder to begin anew, or choose another \
                 with --folder",
                path.display()
            ))),
        }
    }

    /// Writes the state.
    pub(super) fn write(&self, folder: &Path) -> Result<(), CliError> {
        let path = file(folder);
        let text = serde_json::to_string_pretty(self).map_err(io::Error::from);
        let written = text.and_then(|text| write_private(&path, &text));
        written.map_err(|source| CliError::File { path, source })
    }

    /// The secret that tokens are signed with.
    pub(super) fn jwt_secret(&self) -> SecretString {
        SecretString::from(self.jwt_secret.as_str())
    }

    /// The secret of the demo's credential.
    pub(super) fn credential_secret(&self) -> SecretString {
        SecretString::from(self.credential_secret.as_str())
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("demo.json")
}

/// Writes a file that only its owner can read. A failure leaves the old file.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file = private_files::open(&mut options, &unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}
