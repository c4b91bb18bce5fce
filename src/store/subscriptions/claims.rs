//! Leases: one worker at a time works on a subscription, on any number of replicas, and notes the outcome under its lease.
//!
//! A lease is a token that is valid until a time of the database's clock, which all replicas share. Each write of a worker
//! checks the token, so a write of a worker that lost its lease changes nothing. A worker does not take the organisation's
//! lock: only the row of its subscription.
//!
//! The place of a subscription advances in the transaction that notes the delivery, after the receiver acknowledged it. A
//! client that moves the place counts `replays`, so a delivery that was under way at that time does not move it back.

use std::time::Duration;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::store::db::columns::{FromColumn as _, FromRow, columns};
use crate::store::db::database::{Row, Sql};
use crate::store::db::transaction::Tx;
use crate::store::db::unreadable::report_unreadable;
use crate::store::db::{Store, StoreError};

use super::deliveries::{DeliveryNote, DeliveryStatus, write_note};
use super::resource::StoredSubscription;
use super::sent::delete_sent;

/// Subscriptions that are read when one is to be claimed: other workers claim some of them at the same time.
const CANDIDATES: i64 = 16;
/// The maximum number of rows that a transaction deletes.
const PURGED_ROWS: i64 = 1_000;

/// A subscription that one worker has claimed, as it was at that time.
#[derive(Debug, Clone)]
pub struct SubscriptionClaim {
    /// The organisation.
    pub org: OrgId,
    /// The subscription.
    pub subscription: StoredSubscription,
    pub(super) org_key: i64,
    token: Uuid,
}

impl SubscriptionClaim {
    /// The organisation's key, for the `passed_over` of [`Store::claim_subscription`].
    pub fn org_key(&self) -> i64 {
        self.org_key
    }
}

columns! {
    /// What a worker must know of a change that a client made meanwhile.
    pub(super) struct Standing {
        version: i64 = "s.version",
        active: bool = "s.active",
        replays: i64 = "s.replays",
    }
}

impl Standing {
    /// Whether a client moved the place since the claim.
    fn is_replayed(&self, claim: &SubscriptionClaim) -> bool {
        self.replays != claim.subscription.replays
    }
}

/// What a delivery means for the place of its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing: a dead delivery was tried by hand.
    Stays,
    /// Everything up to this change is dealt with.
    Advances(i64),
    /// The delivery is tried again, at this time or after the subscription is resumed.
    Waits(Option<Timestamp>),
}

/// What a worker notes about a claimed subscription.
#[derive(Debug)]
pub struct Noted<'a> {
    /// The delivery; `None` if changes were passed over.
    pub delivery: Option<DeliveryNote>,
    /// What it means for the place.
    pub progress: Progress,
    /// The record that the receiver now knows to be gone.
    pub gone: Option<i64>,
    /// Why the subscription is stopped, if it is.
    pub disabled: Option<&'a str>,
    /// The number of refused statements since the last accepted one.
    pub refusals: i64,
    /// The number of deliveries that are kept.
    pub kept: i64,
}

/// Whether a worker may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// It may.
    Holds,
    /// The subscription was changed. It is to be claimed again.
    Changed,
    /// Another worker has it.
    Lost,
}

struct Claimed {
    org: OrgId,
    subscription: StoredSubscription,
}

impl FromRow for Claimed {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            subscription: StoredSubscription::read(row)?,
            org: OrgId::from_column(row, StoredSubscription::COUNT)?,
        })
    }
}

impl Store {
    /// Wakes this replica's workers after a client changed a subscription.
    pub fn wake_subscriptions(&self) {
        self.subscriptions_changed().notify_one();
    }

    /// Waits for the next call of [`Store::wake_subscriptions`]. Returns at once if there was one since the last wait.
    pub async fn subscriptions_woken(&self) {
        self.subscriptions_changed().notified().await;
    }

    /// Organisations with active subscriptions.
    pub async fn subscribing_organisations(&self, limit: usize) -> Result<Vec<OrgId>, StoreError> {
        let select = Sql::new(
            "SELECT o.id FROM organisations o WHERE o.key IN (SELECT s.org FROM subscriptions s WHERE s.active) \
             ORDER BY o.key LIMIT $1",
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<(OrgId,)> = self.db().fetch_rows(select.with(limit)).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Claims the subscription with work that was worked on the longest time ago and that no worker has, for the duration
    /// of `lease`. Those of the organisations in `passed_over` stay.
    pub async fn claim_subscription(
        &self,
        now: Timestamp,
        lease: Duration,
        passed_over: &[i64],
    ) -> Result<Option<SubscriptionClaim>, StoreError> {
        let candidates: Vec<(i64, i64)> = self.db().fetch_rows(candidates(now, passed_over)).await?;
        for (org, key) in candidates {
            match self.claim_listed_subscription(org, key, now, lease).await {
                Ok(Some(claim)) => return Ok(Some(claim)),
                Ok(None) => {}
                // A transaction holds the row. It must not delay others.
                Err(StoreError::Busy) => {}
                // The lease is taken, so it is tried again when the lease has ended.
                Err(error) if error.is_unreadable() => report_unreadable("subscription", key, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn claim_listed_subscription(
        &self,
        org: i64,
        key: i64,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<SubscriptionClaim>, StoreError> {
        let token = self.clock().new_uuid();
        let mut tx = self.db().begin().await?;
        let lock = Sql::new("SELECT 1 FROM subscriptions WHERE org = $1 AND key = $2 FOR UPDATE NOWAIT");
        tx.fetch_optional(lock.with(org).with(key)).await?;
        let update = Sql::new(
            "UPDATE subscriptions SET lease_token = $3, lease_until = NOW_MICROS() + $4, worked_at = $5 \
             WHERE org = $1 AND key = $2 AND (lease_until IS NULL OR lease_until <= NOW_MICROS())",
        );
        let update = update.with(org).with(key).with(token).with(to_micros(lease));
        if tx.execute(update.with(now)).await? == 0 {
            return Ok(None);
        }
        let mut select = Sql::new("SELECT ");
        select
            .push(StoredSubscription::COLUMNS)
            .push(", o.id FROM subscriptions s JOIN organisations o ON o.key = s.org WHERE s.org = ")
            .bind(org);
        select.push(" AND s.key = ").bind(key);
        let row = tx.fetch_optional(select).await?;
        tx.commit().await?;
        // Read after the commit: a row that cannot be read must not stay the first candidate.
        let Some(row) = row else {
            return Ok(None);
        };
        let claimed = Claimed::from_row(&row)?;
        Ok(Some(SubscriptionClaim {
            org: claimed.org,
            subscription: claimed.subscription,
            org_key: org,
            token,
        }))
    }

    /// Renews the lease of a claim from now on. False if the claim is lost.
    pub async fn renew_subscription(
        &self,
        claim: &SubscriptionClaim,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE subscriptions SET lease_until = NOW_MICROS() + $4 \
             WHERE org = $1 AND key = $2 AND lease_token = $3",
        );
        let update = bind_claim(update, claim).with(to_micros(lease));
        let mut tx = self.db().begin().await?;
        let held = tx.execute(update).await? > 0;
        tx.commit().await?;
        Ok(held)
    }

    /// Gives a subscription back. `now` orders it behind those that wait for longer.
    pub async fn release_subscription(
        &self,
        claim: &SubscriptionClaim,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let update = Sql::new(
            "UPDATE subscriptions SET lease_token = NULL, lease_until = NULL, worked_at = $4 \
             WHERE org = $1 AND key = $2 AND lease_token = $3",
        );
        let mut tx = self.db().begin().await?;
        tx.execute(bind_claim(update, claim).with(now)).await?;
        tx.commit().await
    }

    /// Notes what was done for a claimed subscription, in one transaction.
    pub async fn note_progress(
        &self,
        claim: &SubscriptionClaim,
        mut noted: Noted<'_>,
    ) -> Result<Tenure, StoreError> {
        let mut tx = self.db().begin().await?;
        let Some(standing) = lock_claimed(&mut tx, claim).await? else {
            return Ok(Tenure::Lost);
        };
        let (org, key) = (claim.org_key, claim.subscription.key);
        let number = match noted.delivery.take() {
            Some(mut note) => {
                if standing.is_replayed(claim) && note.status == DeliveryStatus::Retried {
                    note.status = DeliveryStatus::Superseded;
                }
                Some(write_note(&mut tx, org, key, note, noted.kept).await?)
            }
            None => None,
        };
        if let Some(seq) = noted.gone {
            delete_sent(&mut tx, claim, seq).await?;
        }
        let update = update_standing(claim, &noted, &standing, number);
        tx.execute(update).await?;
        tx.commit().await?;
        let is_changed = standing.version != claim.subscription.version || noted.disabled.is_some();
        Ok(if is_changed {
            Tenure::Changed
        } else {
            Tenure::Holds
        })
    }

    /// The last number in the organisation's order of commits. Every change up to it can be read.
    pub async fn last_change(&self, claim: &SubscriptionClaim) -> Result<i64, StoreError> {
        let select = Sql::new("SELECT seq FROM ledgers WHERE org = $1");
        let row: Option<(i64,)> = self.db().fetch_row(select.with(claim.org_key)).await?;
        Ok(row.map_or(0, |(seq,)| seq))
    }

    /// Deletes a part of what belongs to a deleted subscription, and at last the subscription. False if more is left.
    pub async fn purge_subscription(&self, claim: &SubscriptionClaim) -> Result<bool, StoreError> {
        let parts = [
            "DELETE FROM subscription_rows WHERE org = $1 AND subscription = $2 AND seq IN (SELECT r.seq FROM \
             subscription_rows r WHERE r.org = $1 AND r.subscription = $2 ORDER BY r.seq LIMIT $3)",
            "DELETE FROM subscription_deliveries WHERE org = $1 AND subscription = $2 AND number IN \
             (SELECT d.number FROM subscription_deliveries d WHERE d.org = $1 AND d.subscription = $2 \
             ORDER BY d.number LIMIT $3)",
        ];
        let mut tx = self.db().begin().await?;
        if lock_claimed(&mut tx, claim).await?.is_none() {
            return Ok(true);
        }
        for part in parts {
            let delete = Sql::new(part).with(claim.org_key).with(claim.subscription.key);
            if tx.execute(delete.with(PURGED_ROWS)).await? > 0 {
                tx.commit().await?;
                return Ok(false);
            }
        }
        let delete = Sql::new("DELETE FROM subscriptions WHERE org = $1 AND key = $2 AND deleted");
        tx.execute(delete.with(claim.org_key).with(claim.subscription.key))
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Locks the row of a claimed subscription. `None` if the claim is lost.
pub(super) async fn lock_claimed(
    tx: &mut Tx,
    claim: &SubscriptionClaim,
) -> Result<Option<Standing>, StoreError> {
    let mut select = Sql::new("SELECT ");
    select
        .push(Standing::COLUMNS)
        .push(" FROM subscriptions s WHERE s.org = ");
    select
        .bind(claim.org_key)
        .push(" AND s.key = ")
        .bind(claim.subscription.key);
    select
        .push(" AND s.lease_token = ")
        .bind(claim.token)
        .push(" FOR UPDATE");
    tx.fetch_row(select).await
}

/// The statement that writes what was done, after the delivery with this number was written.
fn update_standing(
    claim: &SubscriptionClaim,
    noted: &Noted<'_>,
    standing: &Standing,
    number: Option<i64>,
) -> Sql {
    let (org, key) = (claim.org_key, claim.subscription.key);
    let mut update = Sql::new("UPDATE subscriptions SET refusals = ");
    update.bind(noted.refusals);
    match noted.progress {
        Progress::Stays => {
            update.push(", queued = EXISTS (SELECT 1 FROM subscription_deliveries d WHERE d.org = ");
            update.bind(org).push(" AND d.subscription = ").bind(key);
            update
                .push(" AND d.status = ")
                .bind(DeliveryStatus::Queued)
                .push(")");
        }
        // After a replay, the new place stays.
        _ if standing.is_replayed(claim) => {}
        Progress::Advances(place) => {
            update
                .push(", current_delivery = NULL, next_attempt_at = NULL, place = ")
                .bind(place);
        }
        Progress::Waits(until) => {
            update.push(", current_delivery = ").bind(number);
            update.push(", next_attempt_at = ").bind(until);
        }
    }
    if let Some(reason) = noted.disabled.filter(|_| standing.active) {
        update
            .push(", active = ")
            .bind(false)
            .push(", version = version + 1, disabled = ")
            .bind(reason);
    }
    update
        .push(" WHERE org = ")
        .bind(org)
        .push(" AND key = ")
        .bind(key);
    update
}

fn bind_claim(sql: Sql, claim: &SubscriptionClaim) -> Sql {
    sql.with(claim.org_key)
        .with(claim.subscription.key)
        .with(claim.token)
}

/// The subscriptions with work that can be claimed: the organisation's key and the subscription's.
fn candidates(now: Timestamp, passed_over: &[i64]) -> Sql {
    let mut sql = Sql::new(
        "SELECT s.org, s.key FROM subscriptions s JOIN ledgers l ON l.org = s.org \
         WHERE (s.lease_until IS NULL OR s.lease_until <= NOW_MICROS()) AND (s.deleted OR (s.active AND (s.queued \
         OR (l.seq > s.place AND (s.next_attempt_at IS NULL OR s.next_attempt_at <= ",
    );
    sql.bind(now).push(")))))");
    if !passed_over.is_empty() {
        sql.push(" AND NOT s.org").any_of(passed_over.to_vec());
    }
    sql.push(" ORDER BY s.worked_at, s.org, s.key LIMIT ")
        .bind(CANDIDATES);
    sql
}

/// Microseconds. The longest duration is about 292,000 years.
fn to_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
