//! Runs of schedules: see `docs/specification.md#runs-and-retries`.
//!
//! A due schedule becomes a run, a row of `deliveries`, in the transaction that moves its `next_run_at`. So each time of a
//! schedule has exactly one run, on any number of replicas. A worker claims a run by a **lease**: a token that is valid until
//! a time of the database's clock, which all replicas share. The worker renews its lease. Each of its writes checks the
//! token, so a write of a worker that lost its lease changes nothing ([`Store::note_sent`] and the other functions return
//! false). The lease of a worker that disappeared expires.
//!
//! The server's clock decides when a run is due or tried again. Only leases use the database's clock.
//!
//! This file creates runs. The file `claims` has the leases and what is noted under them.

mod claims;

use strum::FromRepr;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};

use crate::store::db::columns::{FromRow, columns, table_row};
use crate::store::db::conversions::converted;
use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::{BACKGROUND_LOCK_WAIT, OrgTx};
use crate::store::db::{Store, StoreError};
use crate::store::reports::schedules::{RecipientList, StoredTiming};

pub use claims::{Claim, ClaimedRecipient, RecipientState, RunEnd, SentMessage};

/// `deliveries.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(i16)]
pub enum RunStatus {
    /// It has not ended.
    UnderWay = 0,
    /// Each recipient has the message.
    Sent = 1,
    /// A recipient will not get the message.
    Failed = 2,
    /// No recipient got the message: the maker may not open the report any more, and the schedule is suspended.
    Suspended = 3,
}

/// `delivery_recipients.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(i16)]
pub enum RecipientStatus {
    /// The message is to be sent.
    Waiting = 0,
    /// The message was sent.
    Sent = 1,
    /// The message will not be sent.
    Failed = 2,
}

converted!(
    RunStatus as i16,
    read |code| RunStatus::from_repr(code).ok_or_else(|| StoreError::corrupt("status of a delivery", code)),
    write |status: RunStatus| status as i16
);

converted!(
    RecipientStatus as i16,
    read |code| RecipientStatus::from_repr(code)
        .ok_or_else(|| StoreError::corrupt("status of a recipient", code)),
    write |status: RecipientStatus| status as i16
);

columns! {
    /// An organisation with due schedules.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DueOrganisation {
        /// The organisation's key.
        pub key: i64 = "o.key",
        /// The organisation's id.
        pub id: OrgId = "o.id",
    }
}

columns! {
    /// What a run `d` of a report `r` was created with. A later change of its schedule does not change it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RunTerms {
        /// The id of the report that is sent.
        pub report: Uuid = "r.id",
        /// The maker of the schedule. The run has this user's rights.
        pub maker: UserId = "d.maker",
        /// The time that the run is for. Relative filters are resolved for it.
        pub run_at: Timestamp = "d.run_at",
        /// The schedule's time zone, an IANA name. The report's `period` and the file's date are in it.
        pub time_zone: String = "d.time_zone",
        /// Whether the CSV begins with a byte order mark.
        pub bom: bool = "d.bom",
    }
}

columns! {
    /// What a new run takes from its schedule `s`.
    struct RunTemplate {
        report: i64 = "s.report",
        maker: UserId = "s.maker",
        time_zone: String = "s.time_zone",
        bom: bool = "s.bom",
        recipients: RecipientList = "s.recipients",
    }
}

columns! {
    /// The position of a due schedule in the order of an organisation's due schedules.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct DuePosition {
        run_at: Timestamp = "s.next_run_at",
        schedule: i64 = "s.key",
    }
}

/// A due schedule.
#[derive(Debug, Clone)]
pub struct DueSchedule {
    position: DuePosition,
    version: i64,
    /// When it runs.
    pub timing: StoredTiming,
}

impl DueSchedule {
    /// The time that it is due for.
    pub fn run_at(&self) -> Timestamp {
        self.position.run_at
    }
}

impl FromRow for DueSchedule {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            position: DuePosition::read(row)?,
            timing: StoredTiming::read_from(row, DuePosition::COUNT)?,
            version: row.get(DuePosition::COUNT + StoredTiming::COUNT)?,
        })
    }
}

/// A part of an organisation's due schedules.
#[derive(Debug)]
pub struct DueBatch {
    /// The schedules, the longest due first. An error for one that can't be read.
    pub schedules: Vec<Result<DueSchedule, StoreError>>,
    /// The position after which the next batch begins. `None` after the last batch.
    pub next: Option<DuePosition>,
}

table_row! {
    /// A new row of `deliveries`.
    struct NewRun in "deliveries" {
        org: i64 = "org",
        key: i64 = "key",
        id: Uuid = "id",
        schedule: i64 = "schedule",
        report: i64 = "report",
        run_at: Timestamp = "run_at",
        maker: UserId = "maker",
        time_zone: String = "time_zone",
        bom: bool = "bom",
        status: RunStatus = "status",
        // The attempts that ended: the number that clients see.
        attempts: i64 = "attempts",
        // The attempts that began: they count from the claim.
        begun: i64 = "begun",
        next_attempt_at: Timestamp = "next_attempt_at",
        worked_micros: i64 = "worked_micros",
    }
}

table_row! {
    /// A new row of `delivery_recipients`.
    struct NewRecipient in "delivery_recipients" {
        org: i64 = "org",
        delivery: i64 = "delivery",
        place: i16 = "place",
        recipient: String = "recipient",
        status: RecipientStatus = "status",
        linked: bool = "linked",
    }
}

impl Store {
    /// The organisations with at least this number of due runs, by key.
    pub async fn crowded_organisations(&self, now: Timestamp, runs: u32) -> Result<Vec<i64>, StoreError> {
        let select = Sql::new(
            "SELECT org FROM deliveries WHERE next_attempt_at <= $1 GROUP BY org HAVING count(*) >= $2",
        );
        let select = select.with(now.micros()).with(i64::from(runs));
        let rows: Vec<(i64,)> = self.db().fetch_rows(select).await?;
        Ok(rows.into_iter().map(|(org,)| org).collect())
    }

    /// Whether an organisation has at least this number of due runs.
    pub async fn is_crowded(&self, org: i64, now: Timestamp, runs: u32) -> Result<bool, StoreError> {
        let select = Sql::new("SELECT count(*) FROM deliveries WHERE org = $1 AND next_attempt_at <= $2");
        let due = self.db().count(select.with(org).with(now.micros())).await?;
        Ok(due >= i64::from(runs))
    }

    /// Organisations with due schedules, the longest due first, except those in `passed_over`.
    pub async fn due_organisations(
        &self,
        now: Timestamp,
        passed_over: &[i64],
        limit: usize,
    ) -> Result<Vec<DueOrganisation>, StoreError> {
        let mut sql = Sql::new("SELECT ");
        sql.push(DueOrganisation::COLUMNS)
            .push(" FROM schedules s JOIN organisations o ON o.key = s.org WHERE s.next_run_at <= ")
            .bind(now.micros());
        if !passed_over.is_empty() {
            sql.push(" AND NOT s.org").any_of(passed_over.to_vec());
        }
        sql.push(" GROUP BY o.key, o.id ORDER BY min(s.next_run_at), o.key LIMIT ")
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        self.db().fetch_rows(sql).await
    }

    /// Due schedules of an organisation, the longest due first, after the position where another batch ended.
    pub async fn due_schedules(
        &self,
        org: i64,
        now: Timestamp,
        after: Option<DuePosition>,
        limit: usize,
    ) -> Result<DueBatch, StoreError> {
        let mut sql = Sql::new("SELECT ");
        sql.push(DuePosition::COLUMNS)
            .push(", ")
            .push(StoredTiming::COLUMNS)
            .push(", s.version FROM schedules s WHERE s.org = ")
            .bind(org);
        sql.push(" AND s.next_run_at <= ").bind(now.micros());
        if let Some(DuePosition { run_at, schedule }) = after {
            sql.push(" AND (s.next_run_at, s.key) > (").bind(run_at.micros());
            sql.push(", ").bind(schedule).push(")");
        }
        sql.push(" ORDER BY s.next_run_at, s.key LIMIT ")
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.db().fetch_all(sql).await?;
        let next = match rows.last() {
            Some(last) if rows.len() >= limit => Some(DuePosition::read(last)?),
            _ => None,
        };
        Ok(DueBatch {
            schedules: rows.iter().map(DueSchedule::from_row).collect(),
            next,
        })
    }

    /// Creates the run of a due schedule and moves the schedule to its next time, in one transaction. False if another
    /// replica did so before, or the schedule was changed.
    pub async fn queue_run(
        &self,
        org: &OrgId,
        due: &DueSchedule,
        next: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write_within(org, BACKGROUND_LOCK_WAIT).await?;
        let DuePosition { run_at, schedule } = due.position;
        let update = Sql::new(
            "UPDATE schedules SET next_run_at = $5 \
             WHERE org = $1 AND key = $2 AND next_run_at = $3 AND version = $4",
        );
        let update = update
            .with(tx.org)
            .with(schedule)
            .with(run_at.micros())
            .with(due.version)
            .with(next.micros());
        if tx.execute(update).await? == 0 {
            return Ok(false);
        }
        // `None` if a client started a run for the same time. One run is enough.
        tx.insert_run(schedule, run_at, run_at).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Suspends a due schedule with a reason, because its next time can't be computed: it would stay due for ever. False if
    /// the schedule was changed.
    pub async fn suspend_due_schedule(
        &self,
        org: &OrgId,
        due: &DueSchedule,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write_within(org, BACKGROUND_LOCK_WAIT).await?;
        let select = Sql::new("SELECT 1 FROM schedules WHERE org = $1 AND key = $2 AND version = $3");
        let select = select.with(tx.org).with(due.position.schedule).with(due.version);
        if tx.fetch_optional(select).await?.is_none() {
            return Ok(false);
        }
        tx.suspend_schedules(&[due.position.schedule], reason).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Wakes this replica's sender after a client started a run.
    pub fn wake_sender(&self) {
        self.sending().notify_one();
    }

    /// Waits for the next call of [`Store::wake_sender`]. Returns at once if there was one since the last wait.
    pub async fn sender_woken(&self) {
        self.sending().notified().await;
    }
}

impl OrgTx {
    /// Creates a run of a schedule for `run_at`, as the schedule is now. It is tried from `due_at`
    /// on. `None` if the time has a run already.
    async fn insert_run(
        &mut self,
        schedule: i64,
        run_at: Timestamp,
        due_at: Timestamp,
    ) -> Result<Option<Uuid>, StoreError> {
        let org = self.org;
        let existing = Sql::new("SELECT 1 FROM deliveries WHERE org = $1 AND schedule = $2 AND run_at = $3");
        let existing = existing.with(org).with(schedule).with(run_at.micros());
        if self.fetch_optional(existing).await?.is_some() {
            return Ok(None);
        }
        let mut select = Sql::new("SELECT ");
        select
            .push(RunTemplate::COLUMNS)
            .push(" FROM schedules s WHERE s.org = ")
            .bind(org);
        select.push(" AND s.key = ").bind(schedule);
        let template: Option<RunTemplate> = self.fetch_row(select).await?;
        let template = template.ok_or(StoreError::Invariant("a schedule with a run does not exist"))?;
        let (key, id) = (self.next_key(), self.store().clock().new_uuid());
        let run = NewRun {
            org,
            key,
            id,
            schedule,
            report: template.report,
            run_at,
            maker: template.maker,
            time_zone: template.time_zone,
            bom: template.bom,
            status: RunStatus::UnderWay,
            attempts: 0,
            begun: 0,
            next_attempt_at: due_at,
            worked_micros: 0,
        };
        self.insert_rows(vec![run]).await?;
        let recipients = template.recipients.0.into_iter().zip(0_i16..);
        let recipients = recipients.map(|(recipient, place)| NewRecipient {
            org,
            delivery: key,
            place,
            recipient,
            status: RecipientStatus::Waiting,
            linked: false,
        });
        self.insert_rows(recipients.collect()).await?;
        Ok(Some(id))
    }

    /// Creates a run for the first time from `now` on that has no run yet. So each request of a client creates a run, even if
    /// the clock stands still.
    pub(crate) async fn insert_run_now(
        &mut self,
        schedule: i64,
        now: Timestamp,
    ) -> Result<(Uuid, Timestamp), StoreError> {
        let mut run_at = now.whole_millisecond();
        loop {
            if let Some(id) = self.insert_run(schedule, run_at, now).await? {
                return Ok((id, run_at));
            }
            run_at = Timestamp::from_micros(run_at.micros() + 1_000);
        }
    }

    /// Marks the recipients of a run that have no message yet as failed.
    async fn fail_waiting(&mut self, delivery: i64, reason: &str) -> Result<(), StoreError> {
        let update = Sql::new(
            "UPDATE delivery_recipients SET status = $3, reason = $4 \
             WHERE org = $1 AND delivery = $2 AND status = $5",
        );
        let update = update
            .with(self.org)
            .with(delivery)
            .with(RecipientStatus::Failed as i16)
            .with(reason)
            .with(RecipientStatus::Waiting as i16);
        self.execute(update).await.map(|_| ())
    }
}
