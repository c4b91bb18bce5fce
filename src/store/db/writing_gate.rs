//! One writer at a time for each organisation within this process.
//!
//! The writing transactions of an organisation follow each other anyway, since each locks the ledger. A writer waits
//! here before it takes a connection. So a locked organisation holds one connection at most, and on SQLite the
//! organisations write in turn, however many writers of one of them wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::base::ids::OrgId;

use super::StoreError;

/// The gates of all organisations that have a writer at present.
#[derive(Clone)]
pub(crate) struct WritingGates {
    gates: Arc<Mutex<HashMap<OrgId, Gate>>>,
    /// The maximum number of writers that wait for one organisation.
    max_waiting: usize,
}

struct Gate {
    semaphore: Arc<Semaphore>,
    /// The writer inside and those that wait.
    writers: usize,
}

impl WritingGates {
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self {
            gates: Arc::default(),
            max_waiting,
        }
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
        let (registration, semaphore) = self.register(organisation)?;
        let permit = timeout_at(deadline, semaphore.acquire_owned())
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Closed)?;
        Ok(WritingPermit {
            _permit: permit,
            _registration: registration,
        })
    }

    fn register(&self, organisation: &OrgId) -> Result<(Registration, Arc<Semaphore>), StoreError> {
        let mut gates = lock(&self.gates);
        let gate = gates.entry(organisation.clone()).or_insert_with(|| Gate {
            semaphore: Arc::new(Semaphore::new(1)),
            writers: 0,
        });
        if gate.writers > self.max_waiting {
            return Err(StoreError::Busy);
        }
        gate.writers += 1;
        let registration = Registration {
            gates: Arc::clone(&self.gates),
            organisation: organisation.clone(),
        };
        Ok((registration, Arc::clone(&gate.semaphore)))
    }
}

fn lock(gates: &Mutex<HashMap<OrgId, Gate>>) -> MutexGuard<'_, HashMap<OrgId, Gate>> {
    // No code panics while it holds the lock, so the map is never half changed.
    gates.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to write in an organisation's name within this process, until it is dropped.
pub(crate) struct WritingPermit {
    // The permit is dropped first: a gate is removed only when no permit of it exists.
    _permit: OwnedSemaphorePermit,
    _registration: Registration,
}

/// A writer that waits or writes. The last one removes the gate.
struct Registration {
    gates: Arc<Mutex<HashMap<OrgId, Gate>>>,
    organisation: OrgId,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut gates = lock(&self.gates);
        if let Some(gate) = gates.get_mut(&self.organisation) {
            gate.writers -= 1;
            if gate.writers == 0 {
                gates.remove(&self.organisation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn org(id: &str) -> OrgId {
        OrgId::new(id).unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[tokio::test]
    async fn second_writer_of_an_organisation_waits() {
        let gates = WritingGates::new(10);
        let first = gates.enter(&org("acme"), soon()).await.unwrap();
        let second = gates.enter(&org("acme"), soon()).await;
        assert!(matches!(second, Err(StoreError::Busy)));
        gates.enter(&org("other"), soon()).await.unwrap();
        drop(first);
        gates.enter(&org("acme"), soon()).await.unwrap();
    }

    #[tokio::test]
    async fn too_many_waiting_writers_are_refused_at_once() {
        let gates = WritingGates::new(1);
        let first = gates.enter(&org("acme"), soon()).await.unwrap();
        let waiting = tokio::spawn({
            let gates = gates.clone();
            async move {
                gates
                    .enter(&org("acme"), Instant::now() + Duration::from_secs(60))
                    .await
            }
        });
        while lock(&gates.gates)[&org("acme")].writers < 2 {
            tokio::task::yield_now().await;
        }
        let third = gates
            .enter(&org("acme"), Instant::now() + Duration::from_secs(60))
            .await;
        assert!(matches!(third, Err(StoreError::Busy)));
        drop(first);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn gates_without_writers_are_removed() {
        let gates = WritingGates::new(10);
        let first = gates.enter(&org("acme"), soon()).await.unwrap();
        let _ = gates.enter(&org("acme"), soon()).await;
        assert_eq!(lock(&gates.gates).len(), 1);
        drop(first);
        assert!(lock(&gates.gates).is_empty());
    }
}
