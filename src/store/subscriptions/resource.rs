//! What clients read and write of a subscription.
//!
//! Only owners and admins of the organisation call these functions, and each takes the organisation. A deleted subscription
//! exists for nobody: a worker deletes what belongs to it, in short transactions.

use std::fmt;

use strum::FromRepr;
use uuid::Uuid;

use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::base::ids::{OrgId, UserId};
use crate::store::db::columns::{IntoValue, columns};
use crate::store::db::conversions::converted;
use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::{Store, StoreError};
use crate::store::lrs::documents::ETags;

/// The most subscriptions that an organisation may have.
pub const MAX_SUBSCRIPTIONS: i64 = 50;

/// What a subscription sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(i16)]
pub enum SubscriptionFormat {
    /// Activities, each as a signed webhook.
    Activity = 0,
    /// Statements, to another record store.
    Statement = 1,
}

converted!(
    SubscriptionFormat as i16,
    read |code| SubscriptionFormat::from_repr(code)
        .ok_or_else(|| StoreError::corrupt("format of a subscription", code)),
    write |format: SubscriptionFormat| format as i16
);

/// A secret that is stored so that it can be used. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret(pub String);

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredSecret(…)")
    }
}

converted!(
    StoredSecret as String,
    read |text| Ok(StoredSecret(text)),
    write |secret: StoredSecret| secret.0
);

columns! {
    /// A stored subscription.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredSubscription {
        /// The key in the organisation's tables.
        pub key: i64 = "s.key",
        /// The id in `/v1/subscriptions/{id}`.
        pub id: Uuid = "s.id",
        /// The name.
        pub name: String = "s.name",
        /// The address that gets the deliveries.
        pub url: String = "s.url",
        /// The question: a JSON object of the log's parameters.
        pub filter: String = "s.filter",
        /// What it sends.
        pub format: SubscriptionFormat = "s.format",
        /// The secret that signs webhooks.
        pub secret: Option<StoredSecret> = "s.secret",
        /// The secret before the last rotation.
        pub old_secret: Option<StoredSecret> = "s.old_secret",
        /// Until when the old secret signs too.
        pub old_secret_until: Option<Timestamp> = "s.old_secret_until",
        /// The authorization at the other record store, as JSON.
        pub auth: Option<StoredSecret> = "s.auth",
        /// The version of xAPI that statements are sent with.
        pub xapi_version: Option<String> = "s.xapi_version",
        /// Whether it sends.
        pub active: bool = "s.active",
        /// Why Rollbook stopped it. `None` after it was resumed.
        pub disabled: Option<String> = "s.disabled",
        /// Everything up to this change is dealt with.
        pub place: i64 = "s.place",
        /// Counts the times that a client moved the place.
        pub replays: i64 = "s.replays",
        /// The number of the delivery that is tried again.
        pub current: Option<i64> = "s.current_delivery",
        /// When it is tried again.
        pub next_attempt_at: Option<Timestamp> = "s.next_attempt_at",
        /// Statements that the other record store refused since it accepted the last one.
        pub refusals: i64 = "s.refusals",
        /// Whether dead deliveries wait for an attempt by hand.
        pub queued: bool = "s.queued",
        /// Whether it is being deleted.
        pub deleted: bool = "s.deleted",
        /// The number of the version: its ETag.
        pub version: i64 = "s.version",
        /// The user that made it.
        pub created_by: UserId = "s.created_by",
        /// When it was made.
        pub created_at: Timestamp = "s.created_at",
        /// When its current version was written.
        pub updated_at: Timestamp = "s.updated_at",
    }
}

/// The part of a subscription that a client writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionContent {
    /// See [`StoredSubscription::name`].
    pub name: String,
    /// See [`StoredSubscription::url`].
    pub url: String,
    /// See [`StoredSubscription::filter`].
    pub filter: String,
    /// See [`StoredSubscription::format`]. A change does not change it.
    pub format: SubscriptionFormat,
    /// See [`StoredSubscription::secret`].
    pub secret: Option<StoredSecret>,
    /// See [`StoredSubscription::auth`].
    pub auth: Option<StoredSecret>,
    /// See [`StoredSubscription::xapi_version`].
    pub xapi_version: Option<String>,
    /// See [`StoredSubscription::active`].
    pub active: bool,
}

/// Why a subscription is not created, changed or deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionRefusal {
    /// It does not exist.
    #[error("the subscription does not exist")]
    NotFound,
    /// `If-Match` names another version.
    #[error(
        "it was changed since: If-Match names another version. Read it again, and send the change for the new version"
    )]
    Stale,
    /// The organisation has the maximum number of subscriptions.
    #[error("an organisation has at most {MAX_SUBSCRIPTIONS} subscriptions; delete one that is not needed")]
    TooMany,
    /// Webhooks have a secret, statements do not.
    #[error("only a subscription with the format `activity` has a secret")]
    NoSecret,
    /// The place is after the last change.
    #[error("the last change of the organisation is {0}; give a place up to it")]
    PlaceInFuture(i64),
    /// The delivery is not dead.
    #[error("only a delivery with the status `dead` is tried again by hand")]
    NotDead,
    /// The new content is invalid.
    #[error("the content is invalid")]
    Faults(Faults),
}

impl StoredSubscription {
    /// The part that a client writes.
    pub fn content(&self) -> SubscriptionContent {
        SubscriptionContent {
            name: self.name.clone(),
            url: self.url.clone(),
            filter: self.filter.clone(),
            format: self.format,
            secret: self.secret.clone(),
            auth: self.auth.clone(),
            xapi_version: self.xapi_version.clone(),
            active: self.active,
        }
    }

    fn changed(&self, content: SubscriptionContent) -> Self {
        let resumed = content.active && !self.active;
        // The next attempt may succeed now, so it does not wait.
        let retried = resumed || content.url != self.url || content.auth != self.auth;
        Self {
            name: content.name,
            url: content.url,
            filter: content.filter,
            secret: content.secret,
            auth: content.auth,
            xapi_version: content.xapi_version,
            active: content.active,
            disabled: self.disabled.clone().filter(|_| !content.active),
            next_attempt_at: self.next_attempt_at.filter(|_| !retried),
            ..self.clone()
        }
    }

    fn content_columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("name", self.name.as_str().into_value()),
            ("url", self.url.as_str().into_value()),
            ("filter", self.filter.as_str().into_value()),
            ("secret", self.secret.clone().into_value()),
            ("old_secret", self.old_secret.clone().into_value()),
            ("old_secret_until", self.old_secret_until.into_value()),
            ("auth", self.auth.clone().into_value()),
            ("xapi_version", self.xapi_version.clone().into_value()),
            ("active", self.active.into_value()),
            ("disabled", self.disabled.clone().into_value()),
            ("place", self.place.into_value()),
            ("replays", self.replays.into_value()),
            ("current_delivery", self.current.into_value()),
            ("next_attempt_at", self.next_attempt_at.into_value()),
            ("refusals", self.refusals.into_value()),
            ("deleted", self.deleted.into_value()),
            ("version", self.version.into_value()),
            ("updated_at", self.updated_at.into_value()),
        ]
    }
}

/// The columns that only a change of the place or of what belongs to it writes. A worker writes them too.
const WORKED_COLUMNS: &[&str] = &["place", "current_delivery", "refusals"];

impl Store {
    /// Adds a subscription. It begins after the last change of the organisation.
    pub async fn add_subscription(
        &self,
        org: &OrgId,
        created_by: &UserId,
        content: SubscriptionContent,
    ) -> Result<Result<StoredSubscription, SubscriptionRefusal>, StoreError> {
        let mut tx = self.write(org).await?;
        let count = Sql::new("SELECT count(*) FROM subscriptions WHERE org = $1 AND NOT deleted");
        if tx.count(count.with(tx.org)).await? >= MAX_SUBSCRIPTIONS {
            return Ok(Err(SubscriptionRefusal::TooMany));
        }
        let now = self.clock().now().whole_millisecond();
        let subscription = StoredSubscription {
            key: tx.next_key(),
            id: self.clock().new_uuid(),
            name: content.name,
            url: content.url,
            filter: content.filter,
            format: content.format,
            secret: content.secret,
            old_secret: None,
            old_secret_until: None,
            auth: content.auth,
            xapi_version: content.xapi_version,
            active: content.active,
            disabled: None,
            place: tx.last_seq(),
            replays: 0,
            current: None,
            next_attempt_at: None,
            refusals: 0,
            queued: false,
            deleted: false,
            version: 1,
            created_by: created_by.clone(),
            created_at: now,
            updated_at: now,
        };
        let fixed = [
            ("org", tx.org.into_value()),
            ("key", subscription.key.into_value()),
            ("id", subscription.id.into_value()),
            ("format", subscription.format.into_value()),
            ("created_by", subscription.created_by.clone().into_value()),
            ("created_at", now.into_value()),
        ];
        let columns = fixed.into_iter().chain(subscription.content_columns());
        let (names, values): (Vec<_>, Vec<_>) = columns.unzip();
        tx.insert("subscriptions", &names, vec![values]).await?;
        tx.commit().await?;
        self.wake_subscriptions();
        Ok(Ok(subscription))
    }

    /// Finds a subscription of the organisation.
    pub async fn find_subscription(
        &self,
        org: &OrgId,
        id: Uuid,
    ) -> Result<Option<StoredSubscription>, StoreError> {
        match self.organisation_key(org).await? {
            Some(org) => self.db().fetch_row(select_by_id(org, id)).await,
            None => Ok(None),
        }
    }

    /// A page of the organisation's subscriptions, the newest first. `after` is the key of the last one of the page before.
    pub async fn find_subscriptions(
        &self,
        org: &OrgId,
        after: Option<i64>,
        limits: PageLimits,
    ) -> Result<Page<StoredSubscription>, StoreError> {
        let Some(org) = self.organisation_key(org).await? else {
            return Ok(Page::empty());
        };
        let mut sql = select_existing(org);
        if let Some(after) = after {
            sql.push(" AND s.key < ").bind(after);
        }
        sql.push(" ORDER BY s.key DESC");
        self.db().fetch_page(sql, limits).await
    }

    /// Changes what a client writes. `change` gets the stored subscription. The version stays if nothing changes.
    ///
    /// With `expected`, the stored version must be one of these ETags.
    pub async fn change_subscription(
        &self,
        org: &OrgId,
        id: Uuid,
        expected: Option<&ETags>,
        change: impl FnOnce(&StoredSubscription) -> Result<SubscriptionContent, Faults>,
    ) -> Result<Result<StoredSubscription, SubscriptionRefusal>, StoreError> {
        let changed = self
            .update_subscription(org, id, expected, |_, before| match change(before) {
                Ok(content) => Ok(before.changed(content)),
                Err(faults) => Err(SubscriptionRefusal::Faults(faults)),
            })
            .await?;
        self.wake_subscriptions();
        Ok(changed)
    }

    /// Gives a subscription another secret. The one before signs too, until `until`.
    pub async fn rotate_subscription_secret(
        &self,
        org: &OrgId,
        id: Uuid,
        secret: StoredSecret,
        until: Timestamp,
    ) -> Result<Result<StoredSubscription, SubscriptionRefusal>, StoreError> {
        self.update_subscription(org, id, None, |_, before| {
            if before.format != SubscriptionFormat::Activity {
                return Err(SubscriptionRefusal::NoSecret);
            }
            Ok(StoredSubscription {
                old_secret: before.secret.clone(),
                old_secret_until: Some(until),
                secret: Some(secret),
                ..before.clone()
            })
        })
        .await
    }

    /// Moves the place of a subscription, so that it sends what comes after the change `after`. The delivery that is tried
    /// again is superseded.
    pub async fn replay_subscription(
        &self,
        org: &OrgId,
        id: Uuid,
        after: i64,
    ) -> Result<Result<StoredSubscription, SubscriptionRefusal>, StoreError> {
        let moved = self
            .update_subscription(org, id, None, |tx, before| {
                if after > tx.last_seq() {
                    return Err(SubscriptionRefusal::PlaceInFuture(tx.last_seq()));
                }
                Ok(StoredSubscription {
                    place: after,
                    replays: before.replays + 1,
                    current: None,
                    next_attempt_at: None,
                    refusals: 0,
                    ..before.clone()
                })
            })
            .await?;
        self.wake_subscriptions();
        Ok(moved)
    }

    /// Deletes a subscription. A worker deletes its deliveries afterwards.
    pub async fn delete_subscription(
        &self,
        org: &OrgId,
        id: Uuid,
        expected: Option<&ETags>,
    ) -> Result<Result<(), SubscriptionRefusal>, StoreError> {
        let deleted = self
            .update_subscription(org, id, expected, |_, before| {
                Ok(StoredSubscription {
                    active: false,
                    deleted: true,
                    secret: None,
                    old_secret: None,
                    auth: None,
                    ..before.clone()
                })
            })
            .await?;
        self.wake_subscriptions();
        Ok(deleted.map(|_| ()))
    }

    async fn update_subscription(
        &self,
        org: &OrgId,
        id: Uuid,
        expected: Option<&ETags>,
        change: impl FnOnce(&mut OrgTx, &StoredSubscription) -> Result<StoredSubscription, SubscriptionRefusal>,
    ) -> Result<Result<StoredSubscription, SubscriptionRefusal>, StoreError> {
        let mut tx = self.write(org).await?;
        // Locked, because a worker writes without the organisation's lock.
        let mut select = select_by_id(tx.org, id);
        select.push(" FOR UPDATE");
        let Some(before) = tx.fetch_row::<StoredSubscription>(select).await? else {
            return Ok(Err(SubscriptionRefusal::NotFound));
        };
        if expected.is_some_and(|tags| !tags.contains(&before.version.to_string())) {
            return Ok(Err(SubscriptionRefusal::Stale));
        }
        let mut after = match change(&mut tx, &before) {
            Ok(after) => after,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if after == before {
            return Ok(Ok(before));
        }
        after.version = before.version + 1;
        after.updated_at = self.clock().now().whole_millisecond();
        if after.replays != before.replays {
            tx.supersede_current(&before).await?;
        }
        let mut sql = Sql::new("UPDATE subscriptions SET updated_at = ");
        sql.bind(after.updated_at.micros());
        let columns = after.content_columns().into_iter();
        let columns = columns.filter(|(name, _)| {
            *name != "updated_at" && (after.replays != before.replays || !WORKED_COLUMNS.contains(name))
        });
        for (column, value) in columns {
            sql.push(", ").push(column).push(" = ").bind(value);
        }
        sql.push(" WHERE org = ").bind(tx.org);
        sql.push(" AND key = ").bind(after.key);
        tx.execute(sql).await?;
        tx.commit().await?;
        Ok(Ok(after))
    }
}

/// The subscriptions `s` of an organisation that exist for clients.
fn select_existing(org: i64) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(StoredSubscription::COLUMNS)
        .push(" FROM subscriptions s WHERE s.org = ")
        .bind(org);
    sql.push(" AND NOT s.deleted");
    sql
}

fn select_by_id(org: i64, id: Uuid) -> Sql {
    let mut sql = select_existing(org);
    sql.push(" AND s.id = ").bind(id);
    sql
}
