//! Deliveries: how each run of a report's schedules ended, with each recipient. See `docs/specification.md#deliveries`.
//!
//! The file `runs` writes them. A caller sees the deliveries of the schedules that exist for it. A run that has not ended is
//! no delivery yet: it is its schedule's [`pending`](super::StoredSchedule::pending).

use std::collections::HashMap;

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::Page;
use crate::base::clock::Timestamp;

use crate::store::db::columns::{FromRow, columns};
use crate::store::db::database::{Row, Sql};
use crate::store::db::page_rows::PageLimits;
use crate::store::db::unreadable::{name_of, skip_unreadable};
use crate::store::db::{Store, StoreError};
use crate::store::reports::runs::{RecipientStatus, RunStatus};
use crate::store::reports::saved_reports::StoredReport;
use crate::store::reports::schedules::push_visible;

columns! {
    /// A run that has ended.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredDelivery {
        /// The key. Later runs have greater keys.
        pub key: i64 = "d.key",
        /// The id.
        pub id: Uuid = "d.id",
        /// The id of its schedule.
        pub schedule: Uuid = "s.id",
        /// The time that the run was for.
        pub run_at: Timestamp = "d.run_at",
        /// How it ended.
        pub status: RunStatus = "d.status",
        /// Why it was not sent to all recipients.
        pub reason: Option<String> = "d.reason",
        /// The number of attempts.
        pub attempts: i64 = "d.attempts",
        /// The duration of all attempts, in microseconds.
        pub worked_micros: i64 = "d.worked_micros",
        /// When it ended.
        pub finished_at: Timestamp = "d.finished_at",
    }
}

columns! {
    /// One recipient of a run.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredRecipient {
        /// A user's id or an address, as the schedule had it.
        pub recipient: String = "recipient",
        /// Whether the message was sent.
        pub status: RecipientStatus = "status",
        /// The number of rows of the CSV.
        pub rows: Option<i64> = "row_count",
        /// The size of the CSV, in bytes.
        pub bytes: Option<i64> = "bytes",
        /// Whether the message has a link instead of the file.
        pub linked: bool = "linked",
        /// When the message was sent.
        pub sent_at: Option<Timestamp> = "sent_at",
        /// Why the message was not sent.
        pub reason: Option<String> = "reason",
    }
}

/// A delivery with its recipients, in the order of the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryWithRecipients {
    /// The delivery.
    pub delivery: StoredDelivery,
    /// The recipients.
    pub recipients: Vec<StoredRecipient>,
}

impl FromRow for DeliveryWithRecipients {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            delivery: StoredDelivery::read(row)?,
            recipients: Vec::new(),
        })
    }
}

impl Store {
    /// A page of the deliveries of a report, the newest first. `None` if the caller may not open the report.
    ///
    /// With `schedules`, only deliveries of these. `before` is the key of the last delivery of the page before.
    pub async fn find_deliveries(
        &self,
        access: &ReportAccess,
        report: Uuid,
        schedules: &[Uuid],
        before: Option<i64>,
        limits: PageLimits,
    ) -> Result<Option<Page<DeliveryWithRecipients>>, StoreError> {
        let (Some(report), Some(org)) = (
            self.find_resource::<StoredReport>(access, report).await?,
            self.organisation_key(access.org()).await?,
        ) else {
            return Ok(None);
        };
        let mut sql = Sql::new("SELECT ");
        sql.push(StoredDelivery::COLUMNS).push(
            " FROM deliveries d JOIN schedules s ON s.org = d.org AND s.key = d.schedule \
             JOIN reports r ON r.org = d.org AND r.key = d.report \
             WHERE d.finished_at IS NOT NULL AND d.org = ",
        );
        sql.bind(org).push(" AND d.report = ").bind(report.key);
        push_visible(&mut sql, access);
        if !schedules.is_empty() {
            sql.push(" AND s.id").any_of(schedules.to_vec());
        }
        if let Some(before) = before {
            sql.push(" AND d.key < ").bind(before);
        }
        sql.push(" ORDER BY d.key DESC");
        let mut page: Page<DeliveryWithRecipients> = self.db().fetch_page(sql, limits).await?;
        self.add_recipients(org, &mut page.items).await?;
        Ok(Some(page))
    }

    async fn add_recipients(
        &self,
        org: i64,
        deliveries: &mut [DeliveryWithRecipients],
    ) -> Result<(), StoreError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let keys: Vec<i64> = deliveries.iter().map(|one| one.delivery.key).collect();
        let mut sql = Sql::new("SELECT ");
        sql.push(StoredRecipient::COLUMNS)
            .push(", delivery FROM delivery_recipients WHERE org = ")
            .bind(org);
        sql.push(" AND delivery").any_of(keys);
        sql.push(" ORDER BY delivery, place");
        let mut recipients: HashMap<i64, Vec<StoredRecipient>> = HashMap::new();
        for row in self.db().fetch_all(sql).await? {
            let read = StoredRecipient::read(&row)
                .and_then(|recipient| Ok((row.get::<i64>(StoredRecipient::COUNT)?, recipient)));
            if let Some((delivery, recipient)) = skip_unreadable("recipient", || name_of(&row), read)? {
                recipients.entry(delivery).or_default().push(recipient);
            }
        }
        for one in deliveries {
            one.recipients = recipients.remove(&one.delivery.key).unwrap_or_default();
        }
        Ok(())
    }
}
