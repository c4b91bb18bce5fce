//! Wakes the loop at commits of the organisations that have subscriptions.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::Instant;

use crate::base::ids::OrgId;
use crate::store::{CommitReceiver, Store, StoreError};

/// The time between two looks for organisations that got their first subscription from another replica.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// The maximum number of organisations whose commits wake the loop. The others wait for the next look for work.
const MAX_ORGANISATIONS: usize = 1_000;

/// The signals of the organisations.
#[derive(Default)]
pub(super) struct Signals {
    receivers: HashMap<OrgId, CommitReceiver>,
    refreshed: Option<Instant>,
}

impl Signals {
    /// Looks for organisations with subscriptions, from time to time.
    pub(super) async fn refresh(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.refreshed.is_some_and(|at| at.elapsed() < REFRESH_EVERY) {
            return Ok(());
        }
        let organisations = store.subscribing_organisations(MAX_ORGANISATIONS).await?;
        self.receivers.retain(|org, _| organisations.contains(org));
        for org in organisations {
            if !self.receivers.contains_key(&org)
                && let Some(receiver) = store.subscribe_to_commits(&org).await?
            {
                self.receivers.insert(org, receiver);
            }
        }
        self.refreshed = Some(Instant::now());
        Ok(())
    }

    /// Makes the next [`Signals::refresh`] look: an organisation may have got its first subscription.
    pub(super) fn expire(&mut self) {
        self.refreshed = None;
    }

    /// Waits for a commit of one of the organisations.
    pub(super) async fn changed(&mut self) {
        if self.receivers.is_empty() {
            return std::future::pending().await;
        }
        let changes = self
            .receivers
            .values_mut()
            .map(|receiver| Box::pin(receiver.changed()));
        select_all(changes).await;
    }
}
