//! One writer at a time for each organisation within this process.
//!
//! The writing transactions of an organisation follow each other anyway, since each locks the ledger. A writer waits
//! here before it takes a connection. So a locked organisation holds one connection at most, and on SQLite the
//! organisations write in turn, however many writers of one of them wait.

use tokio::time::{Instant, timeout_at};

use crate::base::ids::OrgId;
use crate::base::keyed_limit::{KeyedLimit, KeyedPermit};

use super::StoreError;

/// The gates of all organisations.
pub(crate) struct WritingGates(KeyedLimit<OrgId>);

/// The right to write in an organisation's name within this process, until it is dropped.
pub(crate) type WritingPermit = KeyedPermit<OrgId>;

impl WritingGates {
    /// Gates for each of which at most `max_waiting` writers wait.
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self(KeyedLimit::new(1, max_waiting))
    }

    /// Waits until no other writer of this process writes in the organisation's name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if too many wait already, or if the deadline passes.
    pub(crate) async fn enter(
        &self,
        organisation: &OrgId,
        deadline: Instant,
    ) -> Result<WritingPermit, StoreError> {
        match timeout_at(deadline, self.0.acquire(organisation)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(StoreError::Busy),
        }
    }
}
