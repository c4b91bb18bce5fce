//! The deliveries of a subscription: what was sent, each attempt at it, and how it ended. See
//! `docs/specification.md#deliveries-of-a-subscription`.
//!
//! Their number is limited: with each delivery the oldest ones go. Dead deliveries are counted for themselves, so that they
//! stay when many others follow.

use serde::{Deserialize, Serialize};
use strum::FromRepr;
use uuid::Uuid;

use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId};
use crate::store::db::columns::{FromRow, TableRow as _, columns, table_row};
use crate::store::db::conversions::{Json, converted};
use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::transaction::Tx;
use crate::store::db::{Store, StoreError};

use super::claims::SubscriptionClaim;
use super::resource::{StoredSubscription, SubscriptionRefusal};

/// The last attempts that a delivery lists.
pub(super) const KEPT_TRIES: usize = 20;
/// Old deliveries are deleted with each new one that has a multiple of this as its number.
const PRUNE_EVERY: i64 = 20;
/// The maximum number of old deliveries of one status that are deleted at once.
const PRUNED_ROWS: i64 = 100;

/// `subscription_deliveries.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(i16)]
pub enum DeliveryStatus {
    /// The last attempt failed, and it is tried again.
    Retried = 0,
    /// The receiver acknowledged it.
    Delivered = 1,
    /// It was given up.
    Dead = 2,
    /// It was given up and waits for an attempt by hand.
    Queued = 3,
    /// A later delivery has what it had.
    Superseded = 4,
    /// A test that was not acknowledged.
    Failed = 5,
}

/// `subscription_deliveries.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(i16)]
pub enum DeliveryKind {
    /// An activity that is new or changed.
    Upserted = 0,
    /// An activity that is gone.
    Deleted = 1,
    /// Statements.
    Statements = 2,
    /// A test by hand.
    Test = 3,
}

converted!(
    DeliveryStatus as i16,
    read |code| DeliveryStatus::from_repr(code).ok_or_else(|| StoreError::corrupt("status of a delivery", code)),
    write |status: DeliveryStatus| status as i16
);

converted!(
    DeliveryKind as i16,
    read |code| DeliveryKind::from_repr(code).ok_or_else(|| StoreError::corrupt("kind of a delivery", code)),
    write |kind: DeliveryKind| kind as i16
);

/// One attempt at a delivery, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When it began, in microseconds since 1970.
    pub at: i64,
    /// Its duration, in microseconds.
    pub micros: i64,
    /// The status of the answer. `None` if none came.
    pub status: Option<u16>,
    /// Why it failed. `None` if it did not.
    pub reason: Option<String>,
}

columns! {
    /// A stored delivery.
    struct DeliveryRow {
        number: i64 = "d.number",
        id: Uuid = "d.id",
        webhook_id: Uuid = "d.webhook_id",
        kind: DeliveryKind = "d.kind",
        change_from: i64 = "d.change_from",
        change_through: i64 = "d.change_through",
        record: Option<StatementId> = "d.record",
        records: i64 = "d.records",
        status: DeliveryStatus = "d.status",
        attempts: i64 = "d.attempts",
        tries: Json<Vec<Try>> = "d.tries",
        created_at: Timestamp = "d.created_at",
        finished_at: Option<Timestamp> = "d.finished_at",
    }
}

/// A delivery of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionDelivery {
    /// The number among those of the subscription.
    pub number: i64,
    /// The id.
    pub id: Uuid,
    /// The id that the receiver gets.
    pub webhook_id: Uuid,
    /// What it has.
    pub kind: DeliveryKind,
    /// The first change that it has.
    pub change_from: i64,
    /// The last change that it has.
    pub change_through: i64,
    /// The id of the record, if it has one.
    pub record: Option<StatementId>,
    /// The number of records.
    pub records: i64,
    /// How it stands.
    pub status: DeliveryStatus,
    /// The number of attempts.
    pub attempts: i64,
    /// The last attempts, the oldest first.
    pub tries: Vec<Try>,
    /// When its first attempt began.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl FromRow for SubscriptionDelivery {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let row = DeliveryRow::read(row)?;
        Ok(Self {
            number: row.number,
            id: row.id,
            webhook_id: row.webhook_id,
            kind: row.kind,
            change_from: row.change_from,
            change_through: row.change_through,
            record: row.record,
            records: row.records,
            status: row.status,
            attempts: row.attempts,
            tries: row.tries.0,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// What a worker notes about a delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryNote {
    /// The delivery before the attempt, if there was one.
    pub before: Option<SubscriptionDelivery>,
    /// The id of a new delivery.
    pub id: Uuid,
    /// The id that the receiver gets.
    pub webhook_id: Uuid,
    /// What it has.
    pub kind: DeliveryKind,
    /// The first and the last change that it has.
    pub changes: (i64, i64),
    /// The id of the record, if it has one.
    pub record: Option<StatementId>,
    /// The number of records.
    pub records: i64,
    /// How it stands now.
    pub status: DeliveryStatus,
    /// The attempt. `None` if the delivery ended without one.
    pub attempt: Option<Try>,
    /// The time of the note.
    pub now: Timestamp,
}

impl DeliveryNote {
    fn into_delivery(self, number: i64) -> SubscriptionDelivery {
        let begin = self
            .attempt
            .as_ref()
            .map_or(self.now, |attempt| Timestamp::from_micros(attempt.at));
        let before = self.before.as_ref();
        let mut tries = before.map(|before| before.tries.clone()).unwrap_or_default();
        let attempts = before.map_or(0, |before| before.attempts) + i64::from(self.attempt.is_some());
        tries.extend(self.attempt);
        let surplus = tries.len().saturating_sub(KEPT_TRIES);
        tries.drain(..surplus);
        SubscriptionDelivery {
            number,
            id: before.map_or(self.id, |before| before.id),
            webhook_id: self.webhook_id,
            kind: self.kind,
            change_from: self.changes.0,
            change_through: self.changes.1,
            record: self.record,
            records: self.records,
            status: self.status,
            attempts,
            tries,
            created_at: before.map_or(begin, |before| before.created_at),
            finished_at: (self.status != DeliveryStatus::Retried).then_some(self.now),
        }
    }
}

/// Writes a delivery, in a transaction that has locked its subscription. Returns its number.
pub(super) async fn write_note(
    tx: &mut Tx,
    org: i64,
    subscription: i64,
    note: DeliveryNote,
    kept: i64,
) -> Result<i64, StoreError> {
    let number = match &note.before {
        Some(before) => {
            let delete = Sql::new(
                "DELETE FROM subscription_deliveries WHERE org = $1 AND subscription = $2 AND number = $3",
            );
            tx.execute(delete.with(org).with(subscription).with(before.number))
                .await?;
            before.number
        }
        None => next_number(tx, org, subscription).await?,
    };
    let is_new = note.before.is_none();
    let delivery = note.into_delivery(number);
    insert(tx, org, subscription, delivery).await?;
    if is_new {
        prune(tx, org, subscription, number, kept).await?;
    }
    Ok(number)
}

async fn next_number(tx: &mut Tx, org: i64, subscription: i64) -> Result<i64, StoreError> {
    let update =
        Sql::new("UPDATE subscriptions SET last_delivery = last_delivery + 1 WHERE org = $1 AND key = $2");
    tx.execute(update.with(org).with(subscription)).await?;
    let select = Sql::new("SELECT last_delivery FROM subscriptions WHERE org = $1 AND key = $2");
    let row: Option<(i64,)> = tx.fetch_row(select.with(org).with(subscription)).await?;
    let (number,) = row.ok_or(StoreError::Invariant("a claimed subscription does not exist"))?;
    Ok(number)
}

async fn insert(
    tx: &mut Tx,
    org: i64,
    subscription: i64,
    delivery: SubscriptionDelivery,
) -> Result<(), StoreError> {
    let row = NewDelivery {
        org,
        subscription,
        number: delivery.number,
        id: delivery.id,
        webhook_id: delivery.webhook_id,
        kind: delivery.kind,
        change_from: delivery.change_from,
        change_through: delivery.change_through,
        record: delivery.record,
        records: delivery.records,
        status: delivery.status,
        attempts: delivery.attempts,
        tries: Json(delivery.tries),
        created_at: delivery.created_at,
        finished_at: delivery.finished_at,
    };
    tx.insert(NewDelivery::TABLE, NewDelivery::COLUMNS, vec![row.into_values()])
        .await
}

table_row! {
    /// A new row of `subscription_deliveries`.
    struct NewDelivery in "subscription_deliveries" {
        org: i64 = "org",
        subscription: i64 = "subscription",
        number: i64 = "number",
        id: Uuid = "id",
        webhook_id: Uuid = "webhook_id",
        kind: DeliveryKind = "kind",
        change_from: i64 = "change_from",
        change_through: i64 = "change_through",
        record: Option<StatementId> = "record",
        records: i64 = "records",
        status: DeliveryStatus = "status",
        attempts: i64 = "attempts",
        tries: Json<Vec<Try>> = "tries",
        created_at: Timestamp = "created_at",
        finished_at: Option<Timestamp> = "finished_at",
    }
}

/// Deletes deliveries beyond the number that is kept, from time to time: of those that ended well the old numbers, of dead
/// ones the oldest.
async fn prune(tx: &mut Tx, org: i64, subscription: i64, number: i64, kept: i64) -> Result<(), StoreError> {
    if number % PRUNE_EVERY != 0 {
        return Ok(());
    }
    let delete = "DELETE FROM subscription_deliveries WHERE org = $1 AND subscription = $2 AND number IN \
         (SELECT d.number FROM subscription_deliveries d WHERE d.org = $1 AND d.subscription = $2 AND d.status = $3";
    for status in [
        DeliveryStatus::Delivered,
        DeliveryStatus::Superseded,
        DeliveryStatus::Failed,
    ] {
        let old = Sql::new(&format!(
            "{delete} AND d.number <= $4 ORDER BY d.number LIMIT $5)"
        ));
        let old = old.with(org).with(subscription).with(status);
        tx.execute(old.with(number - kept).with(PRUNED_ROWS)).await?;
    }
    let oldest = Sql::new(&format!("{delete} ORDER BY d.number DESC LIMIT $4 OFFSET $5)"));
    let oldest = oldest.with(org).with(subscription).with(DeliveryStatus::Dead);
    tx.execute(oldest.with(PRUNED_ROWS).with(kept)).await?;
    Ok(())
}

impl OrgTx {
    /// Ends the delivery of a subscription that is tried again, without another attempt.
    pub(super) async fn supersede_current(
        &mut self,
        subscription: &StoredSubscription,
    ) -> Result<(), StoreError> {
        let Some(current) = subscription.current else {
            return Ok(());
        };
        let update = Sql::new(
            "UPDATE subscription_deliveries SET status = $4, finished_at = $5 \
             WHERE org = $1 AND subscription = $2 AND number = $3",
        );
        let now = self.store().clock().now();
        let update = update.with(self.org).with(subscription.key).with(current);
        self.execute(update.with(DeliveryStatus::Superseded).with(now))
            .await?;
        Ok(())
    }
}

impl Store {
    /// A page of the deliveries of a subscription, the newest first. With `statuses`, only those. `before` is the number of
    /// the last one of the page before.
    pub async fn find_subscription_deliveries(
        &self,
        org: &OrgId,
        subscription: &StoredSubscription,
        statuses: &[DeliveryStatus],
        before: Option<i64>,
        limits: PageLimits,
    ) -> Result<Page<SubscriptionDelivery>, StoreError> {
        let Some(org) = self.organisation_key(org).await? else {
            return Ok(Page::empty());
        };
        let mut sql = select(org, subscription.key);
        if !statuses.is_empty() {
            let codes: Vec<i16> = statuses.iter().map(|status| *status as i16).collect();
            sql.push(" AND d.status").any_of(codes);
        }
        if let Some(before) = before {
            sql.push(" AND d.number < ").bind(before);
        }
        sql.push(" ORDER BY d.number DESC");
        self.db().fetch_page(sql, limits).await
    }

    /// Finds a delivery of a subscription.
    pub async fn find_subscription_delivery(
        &self,
        org: &OrgId,
        subscription: &StoredSubscription,
        id: Uuid,
    ) -> Result<Option<SubscriptionDelivery>, StoreError> {
        let Some(org) = self.organisation_key(org).await? else {
            return Ok(None);
        };
        let mut sql = select(org, subscription.key);
        sql.push(" AND d.id = ").bind(id);
        self.db().fetch_row(sql).await
    }

    /// Finds a delivery by its number among those of the subscription.
    pub async fn find_numbered_delivery(
        &self,
        org: &OrgId,
        subscription: &StoredSubscription,
        number: i64,
    ) -> Result<Option<SubscriptionDelivery>, StoreError> {
        let Some(org) = self.organisation_key(org).await? else {
            return Ok(None);
        };
        let mut sql = select(org, subscription.key);
        sql.push(" AND d.number = ").bind(number);
        self.db().fetch_row(sql).await
    }

    /// Marks a dead delivery for an attempt by hand, and returns it.
    pub async fn queue_dead_delivery(
        &self,
        org: &OrgId,
        subscription: &StoredSubscription,
        id: Uuid,
    ) -> Result<Result<SubscriptionDelivery, SubscriptionRefusal>, StoreError> {
        let mut tx = self.write(org).await?;
        let lock = Sql::new("SELECT 1 FROM subscriptions WHERE org = $1 AND key = $2 FOR UPDATE");
        tx.fetch_optional(lock.with(tx.org).with(subscription.key))
            .await?;
        let mut find = select(tx.org, subscription.key);
        find.push(" AND d.id = ").bind(id);
        let Some(delivery) = tx.fetch_row::<SubscriptionDelivery>(find).await? else {
            return Ok(Err(SubscriptionRefusal::NotFound));
        };
        if delivery.status != DeliveryStatus::Dead {
            return Ok(Err(SubscriptionRefusal::NotDead));
        }
        let update = Sql::new(
            "UPDATE subscription_deliveries SET status = $4 WHERE org = $1 AND subscription = $2 AND number = $3",
        );
        let update = update.with(tx.org).with(subscription.key).with(delivery.number);
        tx.execute(update.with(DeliveryStatus::Queued)).await?;
        let update = Sql::new("UPDATE subscriptions SET queued = $3 WHERE org = $1 AND key = $2");
        tx.execute(update.with(tx.org).with(subscription.key).with(true))
            .await?;
        tx.commit().await?;
        self.wake_subscriptions();
        Ok(Ok(SubscriptionDelivery {
            status: DeliveryStatus::Queued,
            ..delivery
        }))
    }

    /// Notes a test by hand. `None` if the subscription was deleted meanwhile.
    pub async fn note_test(
        &self,
        org: &OrgId,
        subscription: &StoredSubscription,
        note: DeliveryNote,
        kept: i64,
    ) -> Result<Option<SubscriptionDelivery>, StoreError> {
        let Some(org) = self.organisation_key(org).await? else {
            return Ok(None);
        };
        let mut tx = self.db().begin().await?;
        let select =
            Sql::new("SELECT 1 FROM subscriptions WHERE org = $1 AND key = $2 AND NOT deleted FOR UPDATE");
        if tx
            .fetch_optional(select.with(org).with(subscription.key))
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let delivery = note.clone();
        let number = write_note(&mut tx, org, subscription.key, note, kept).await?;
        tx.commit().await?;
        Ok(Some(delivery.into_delivery(number)))
    }

    /// The delivery of a claimed subscription that is tried again.
    pub async fn find_current_delivery(
        &self,
        claim: &SubscriptionClaim,
    ) -> Result<Option<SubscriptionDelivery>, StoreError> {
        let Some(current) = claim.subscription.current else {
            return Ok(None);
        };
        let mut sql = select(claim.org_key, claim.subscription.key);
        sql.push(" AND d.number = ").bind(current);
        self.db().fetch_row(sql).await
    }

    /// The first dead delivery of a claimed subscription that waits for an attempt by hand.
    pub async fn find_queued_delivery(
        &self,
        claim: &SubscriptionClaim,
    ) -> Result<Option<SubscriptionDelivery>, StoreError> {
        let mut sql = select(claim.org_key, claim.subscription.key);
        sql.push(" AND d.status = ").bind(DeliveryStatus::Queued);
        sql.push(" ORDER BY d.number LIMIT 1");
        self.db().fetch_row(sql).await
    }
}

fn select(org: i64, subscription: i64) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(DeliveryRow::COLUMNS)
        .push(" FROM subscription_deliveries d WHERE d.org = ");
    sql.bind(org).push(" AND d.subscription = ").bind(subscription);
    sql
}
