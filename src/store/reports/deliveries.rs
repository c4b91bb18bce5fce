//! Deliveries: what became of each run of a report's schedules, recipient by recipient (product text, section 9).
//!
//! Reading them is here; `runs` makes and writes them. Those of the schedules that are there for the caller are; one that is
//! still tried is no delivery yet, but its schedule's [`pending`](super::KeptSchedule::pending).

use std::collections::HashMap;

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::Page;
use crate::base::clock::Timestamp;

use crate::store::db::database::{Row, Sql};
use crate::store::db::rows::one_more;
use crate::store::db::{Store, StoreError};
use crate::store::reports::runs::{FAILED, SENT, SUSPENDED};
use crate::store::reports::schedules::push_visible;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every recipient has the message.
    Sent,
    /// Somebody will not get it.
    Failed,
    /// Nobody got it: its maker had no right to it any more, and the schedule stands still.
    Suspended,
}

impl Ending {
    fn read(row: &Row, column: usize) -> Result<Self, StoreError> {
        match row.get::<i16>(column)? {
            SENT => Ok(Self::Sent),
            FAILED => Ok(Self::Failed),
            SUSPENDED => Ok(Self::Suspended),
            other => Err(StoreError::corrupt("status of a delivery", other)),
        }
    }
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDelivery {
    /// Its key: later ones have greater ones.
    pub key: i64,
    /// Its id.
    pub id: Uuid,
    /// The id of its schedule.
    pub schedule: Uuid,
    /// The moment that the run was for.
    pub run_at: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// Why it ended otherwise than well.
    pub reason: Option<String>,
    /// How often it was tried.
    pub attempts: i64,
    /// How long that took altogether, in microseconds.
    pub worked_micros: i64,
    /// When it ended.
    pub finished_at: Timestamp,
    /// What became of each recipient, in the schedule's order.
    pub recipients: Vec<KeptRecipient>,
}

/// One recipient's part of a run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRecipient {
    /// A user's id or an address, as the schedule had it.
    pub recipient: String,
    /// Whether the mail server took the message.
    pub sent: bool,
    /// Rows of the CSV.
    pub rows: Option<i64>,
    /// Bytes of the CSV.
    pub bytes: Option<i64>,
    /// Whether the message had a link instead of the file.
    pub linked: bool,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Why it wasn't.
    pub reason: Option<String>,
}

impl Store {
    /// A page of what became of a report's schedules, those of `schedules` where any are named, the run made last first, before
    /// the one with the key `before`. `None` where the caller may not open the report.
    pub async fn deliveries(
        &self,
        access: &ReportAccess,
        report: Uuid,
        schedules: &[Uuid],
        before: Option<i64>,
        limit: usize,
    ) -> Result<Option<Page<KeptDelivery>>, StoreError> {
        let (Some(report), Some(org)) = (
            self.report(access, report).await?,
            self.organisation_key(access.org()).await?,
        ) else {
            return Ok(None);
        };
        let mut sql = Sql::new(
            "SELECT d.key, d.id, s.id, d.run_at, d.status, d.reason, d.attempts, d.worked_micros, d.finished_at \
             FROM deliveries d JOIN schedules s ON s.org = d.org AND s.key = d.schedule \
             JOIN reports r ON r.org = d.org AND r.key = d.report \
             WHERE d.org = $1 AND d.report = $2 AND d.finished_at IS NOT NULL",
        );
        sql = sql.with(org).with(report.key);
        push_visible(&mut sql, access);
        if !schedules.is_empty() {
            sql.push(" AND s.id").any_of(schedules.to_vec());
        }
        if let Some(before) = before {
            sql.push(" AND d.key < ").bind(before);
        }
        sql.push(" ORDER BY d.key DESC LIMIT ").bind(one_more(limit));
        let rows = self.db().fetch_all(sql).await?;
        let deliveries = rows.iter().map(read).collect::<Result<_, _>>()?;
        let mut page = Page::from_overfetch(deliveries, limit);
        self.add_recipients(org, &mut page.items).await?;
        Ok(Some(page))
    }

    async fn add_recipients(&self, org: i64, deliveries: &mut [KeptDelivery]) -> Result<(), StoreError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let keys: Vec<i64> = deliveries.iter().map(|delivery| delivery.key).collect();
        let select = Sql::new(
            "SELECT delivery, recipient, status, row_count, bytes, linked, sent_at, reason FROM delivery_recipients \
             WHERE org = $1 AND delivery IN LIST($2) ORDER BY delivery, place",
        );
        let mut recipients: HashMap<i64, Vec<KeptRecipient>> = HashMap::new();
        for row in self.db().fetch_all(select.with(org).with(keys)).await? {
            recipients
                .entry(row.get(0)?)
                .or_default()
                .push(read_recipient(&row)?);
        }
        for delivery in deliveries {
            delivery.recipients = recipients.remove(&delivery.key).unwrap_or_default();
        }
        Ok(())
    }
}

fn read(row: &Row) -> Result<KeptDelivery, StoreError> {
    Ok(KeptDelivery {
        key: row.get(0)?,
        id: row.get(1)?,
        schedule: row.get(2)?,
        run_at: Timestamp::from_micros(row.get(3)?),
        ending: Ending::read(row, 4)?,
        reason: row.get(5)?,
        attempts: row.get(6)?,
        worked_micros: row.get(7)?,
        finished_at: Timestamp::from_micros(row.get(8)?),
        recipients: Vec::new(),
    })
}

fn read_recipient(row: &Row) -> Result<KeptRecipient, StoreError> {
    Ok(KeptRecipient {
        recipient: row.get(1)?,
        sent: row.get::<i16>(2)? == SENT,
        rows: row.get(3)?,
        bytes: row.get(4)?,
        linked: row.get(5)?,
        sent_at: row.get::<Option<i64>>(6)?.map(Timestamp::from_micros),
        reason: row.get(7)?,
    })
}
