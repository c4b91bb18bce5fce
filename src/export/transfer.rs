//! The terms on which an export is sent to its reader: the permits that it holds, and the limits for slow readers.

use std::any::Any;
use std::time::Duration;

use super::spool::SpoolShare;

/// The rules for clients that read slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadingRules {
    /// The total time that the database waits for the client, besides a third of the time of the export as long as nothing
    /// waits in the spool file. Later blocks go to the file.
    pub patience: Duration,
    /// The total time that the database waits for the client if the spool file has no space or can't be written.
    pub longest_wait: Duration,
    /// In each window in which data waits, the client must read [`ReadingRules::window_bytes`] or all that waits.
    pub window: Duration,
    /// The least number of bytes that a client must read in a window.
    pub window_bytes: u64,
    /// The maximum duration of the whole export.
    pub deadline: Duration,
}

/// The right to do something, until it is dropped.
type Hold = Box<dyn Any + Send>;

/// The terms on which an export is sent to its reader.
pub struct Transfer {
    /// Dropped when the database is no longer read.
    pub(super) reading: Hold,
    /// Dropped when the export has ended.
    pub(super) sending: Hold,
    /// `None` for a reader in this process, which never waits.
    pub(super) client: Option<ClientTerms>,
}

/// The terms for a client, which may read slowly.
pub(super) struct ClientTerms {
    pub(super) rules: ReadingRules,
    pub(super) spool: SpoolShare,
}

impl Transfer {
    /// Terms for a reader in this process. `reading` is dropped when the database is no longer read.
    pub fn in_process(reading: impl Send + 'static) -> Self {
        Self {
            reading: Box::new(reading),
            sending: Box::new(()),
            client: None,
        }
    }

    /// Terms for a client. `reading` is dropped when the database is no longer read, `sending` when the export has
    /// ended.
    pub fn to_client(
        reading: impl Send + 'static,
        sending: impl Send + 'static,
        rules: ReadingRules,
        spool: SpoolShare,
    ) -> Self {
        Self {
            reading: Box::new(reading),
            sending: Box::new(sending),
            client: Some(ClientTerms { rules, spool }),
        }
    }
}
