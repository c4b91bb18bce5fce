//! Runs of schedules: made once for each moment, claimed by one worker at a time, and what became of them (product
//! text, section 9).
//!
//! A schedule that is due becomes a run, a row of `deliveries`, in the transaction that moves its `next_run_at`: so
//! a moment has its run exactly once, whoever looks. A worker claims a run by a **lease**: a token of its own until a
//! moment by the database's clock, the one that all replicas share. While it works it renews the lease; everything it
//! writes names the token, and is refused once somebody else has claimed the run ([`Store::note_sent`] and its kin
//! answer false). A worker that vanished is not missed: its lease runs out.
//!
//! When a run is due, or tried again, is told by the server's clock; only leases know the database's.
//!
//! Runs are made here; `claims` has the leases, and what is noted under them.

mod claims;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::{BACKGROUND_LOCK_WAIT, OrgTx};
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError};
use crate::store::reports::schedules::{KeptTiming, read_recipients, read_timing};

pub use claims::{Claim, ClaimedRecipient, RecipientState, RunEnd, SentMessage};

// `deliveries.attempts` counts those that came to an end, and is what is shown; `begun` counts them from their claim.

/// `deliveries.status`.
pub(crate) const UNDER_WAY: i16 = 0;
pub(crate) const SENT: i16 = 1;
pub(crate) const FAILED: i16 = 2;
pub(crate) const SUSPENDED: i16 = 3;

/// `delivery_recipients.status`.
pub(crate) const TO_BE_SENT: i16 = 0;

/// A schedule whose moment has come.
#[derive(Debug, Clone)]
pub struct DueSchedule {
    /// The organisation.
    pub org: OrgId,
    /// The schedule's key.
    pub schedule: i64,
    /// The moment that it is due for.
    pub run_at: Timestamp,
    /// When it runs, to find the moment after.
    pub timing: KeptTiming,
    /// The schedule's version: once it is another one, all this may be otherwise.
    version: i64,
}

/// A batch of schedules whose moment has come.
#[derive(Debug)]
pub struct DueBatch {
    /// They, the longest due first; an error for one that can't be read.
    pub due: Vec<Result<DueSchedule, StoreError>>,
    /// Where the next batch begins; `None` where this was the last.
    pub next: Option<DuePlace>,
}

/// Where in the order of what is due a batch ended: the moment, the organisation's key and the schedule's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuePlace(i64, i64, i64);

impl Store {
    /// The keys of organisations of which so many runs, or more, are due and have not ended.
    pub async fn crowded_organisations(&self, now: Timestamp, runs: u32) -> Result<Vec<i64>, StoreError> {
        let select = Sql::new(
            "SELECT org FROM deliveries WHERE next_attempt_at <= $1 GROUP BY org HAVING count(*) >= $2",
        );
        let select = select.with(now.micros()).with(i64::from(runs));
        let rows = self.db().fetch_all(select).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Schedules whose moment has come, the longest due first, from the end of another batch on; without those of the
    /// organisations in `passed_over`.
    pub async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<DuePlace>,
        passed_over: &[i64],
        limit: u32,
    ) -> Result<DueBatch, StoreError> {
        let rows = self.db().fetch_all(due(now, after, passed_over, limit)).await?;
        let full = rows.len() as u64 >= u64::from(limit);
        let next = match rows.last() {
            Some(last) if full => Some(DuePlace(last.get(2)?, last.get(9)?, last.get(1)?)),
            _ => None,
        };
        let due = rows.iter().map(|row| {
            Ok(DueSchedule {
                org: read_id(row, 0)?,
                schedule: row.get(1)?,
                run_at: Timestamp::from_micros(row.get(2)?),
                timing: read_timing(row, 3)?,
                version: row.get(8)?,
            })
        });
        Ok(DueBatch {
            due: due.collect(),
            next,
        })
    }

    /// Makes the run of a schedule that is due, and moves the schedule to the moment after, both or neither. False
    /// where another replica did so first, or the schedule was changed since.
    pub async fn queue_run(&self, due: &DueSchedule, next: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.write_within(&due.org, BACKGROUND_LOCK_WAIT).await?;
        let update = Sql::new(
            "UPDATE schedules SET next_run_at = $5 \
             WHERE org = $1 AND key = $2 AND next_run_at = $3 AND version = $4",
        );
        let update = update
            .with(tx.org)
            .with(due.schedule)
            .with(due.run_at.micros())
            .with(due.version)
            .with(next.micros());
        if tx.execute(update).await? == 0 {
            return Ok(false);
        }
        // None: it was run by hand at that very moment, which is as good.
        tx.insert_run(due.schedule, due.run_at).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a schedule out of what is due, with the reason: one whose moments can't be told would else be looked at
    /// for ever. False where it was changed since.
    pub async fn park_schedule(&self, due: &DueSchedule, reason: &str) -> Result<bool, StoreError> {
        let mut tx = self.write_within(&due.org, BACKGROUND_LOCK_WAIT).await?;
        let select = Sql::new("SELECT 1 FROM schedules WHERE org = $1 AND key = $2 AND version = $3");
        let select = select.with(tx.org).with(due.schedule).with(due.version);
        if tx.fetch_optional(select).await?.is_none() {
            return Ok(false);
        }
        tx.suspend_schedule(due.schedule, reason).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Tells this replica's sender that there is something to do: after a run was made by hand.
    pub fn wake_sender(&self) {
        self.sending().notify_one();
    }

    /// Waits until [`Store::wake_sender`] is called, or returns at once where it was since the last time.
    pub async fn sender_woken(&self) {
        self.sending().notified().await;
    }
}

impl OrgTx {
    /// Makes a run of a schedule for that moment, with the schedule's report and recipients as they are now, to be
    /// tried from that moment on. `None` where the moment has a run already.
    pub(crate) async fn insert_run(
        &mut self,
        schedule: i64,
        run_at: Timestamp,
    ) -> Result<Option<Uuid>, StoreError> {
        self.new_run(schedule, run_at, run_at).await
    }

    async fn new_run(
        &mut self,
        schedule: i64,
        run_at: Timestamp,
        due_at: Timestamp,
    ) -> Result<Option<Uuid>, StoreError> {
        let org = self.org;
        let taken = Sql::new("SELECT 1 FROM deliveries WHERE org = $1 AND schedule = $2 AND run_at = $3");
        let taken = taken.with(org).with(schedule).with(run_at.micros());
        if self.fetch_optional(taken).await?.is_some() {
            return Ok(None);
        }
        let select = Sql::new("SELECT report, recipients FROM schedules WHERE org = $1 AND key = $2");
        let row = self.fetch_optional(select.with(org).with(schedule)).await?;
        let row = row.ok_or(StoreError::Invariant("a run of a schedule that is not there"))?;
        let (report, recipients): (i64, String) = (row.get(0)?, row.get(1)?);
        let (key, id) = (self.next_key(), self.store().clock().new_uuid());
        let run = vec![
            org.into(),
            key.into(),
            id.into(),
            schedule.into(),
            report.into(),
            run_at.micros().into(),
            UNDER_WAY.into(),
            0_i64.into(),
            0_i64.into(),
            due_at.micros().into(),
            0_i64.into(),
        ];
        self.insert("deliveries", &RUN_COLUMNS, vec![run]).await?;
        let recipients = read_recipients(&recipients)?.into_iter().zip(0_i16..);
        let rows = recipients.map(|(recipient, place)| {
            vec![
                org.into(),
                key.into(),
                place.into(),
                recipient.into(),
                TO_BE_SENT.into(),
                Value::from(false),
            ]
        });
        self.insert("delivery_recipients", &RECIPIENT_COLUMNS, rows.collect())
            .await?;
        Ok(Some(id))
    }

    /// As [`OrgTx::insert_run`] for the first moment from `now` on that has none yet: for a run by hand, which always
    /// makes one, also where the clock stands still.
    pub(crate) async fn insert_run_now(
        &mut self,
        schedule: i64,
        now: Timestamp,
    ) -> Result<(Uuid, Timestamp), StoreError> {
        let mut run_at = now.whole_millisecond();
        loop {
            if let Some(id) = self.new_run(schedule, run_at, now).await? {
                return Ok((id, run_at));
            }
            run_at = Timestamp::from_micros(run_at.micros() + 1_000);
        }
    }

    /// Whoever has not got the message of this run will not.
    async fn fail_waiting(&mut self, delivery: i64, reason: &str) -> Result<(), StoreError> {
        let update = Sql::new(
            "UPDATE delivery_recipients SET status = $3, reason = $4 \
             WHERE org = $1 AND delivery = $2 AND status = $5",
        );
        let update = update
            .with(self.org)
            .with(delivery)
            .with(FAILED)
            .with(reason)
            .with(TO_BE_SENT);
        self.execute(update).await.map(|_| ())
    }

    /// The schedule stands still until somebody resumes it.
    async fn suspend_schedule(&mut self, schedule: i64, reason: &str) -> Result<(), StoreError> {
        let now = self.store().clock().now();
        let update = Sql::new(
            "UPDATE schedules SET active = $3, suspended = $4, next_run_at = NULL, version = version + 1, \
             updated_at = $5 WHERE org = $1 AND key = $2",
        );
        let update = update
            .with(self.org)
            .with(schedule)
            .with(false)
            .with(reason)
            .with(now.micros());
        self.execute(update).await.map(|_| ())
    }
}

/// What is due, the longest due first.
fn due(now: Timestamp, after: Option<DuePlace>, passed_over: &[i64], limit: u32) -> Sql {
    let mut sql = Sql::new(
        "SELECT o.id, s.key, s.next_run_at, s.frequency, s.at_minute, s.time_zone, s.weekday, s.day_of_month, \
         s.version, s.org FROM schedules s JOIN organisations o ON o.key = s.org WHERE s.next_run_at <= ",
    );
    sql.bind(now.micros());
    if let Some(DuePlace(run_at, org, schedule)) = after {
        sql.push(" AND (s.next_run_at, s.org, s.key) > (").bind(run_at);
        sql.push(", ").bind(org).push(", ").bind(schedule).push(")");
    }
    if !passed_over.is_empty() {
        sql.push(" AND NOT s.org").any_of(passed_over.to_vec());
    }
    sql.push(" ORDER BY s.next_run_at, s.org, s.key LIMIT ")
        .bind(i64::from(limit));
    sql
}

const RUN_COLUMNS: [&str; 11] = [
    "org",
    "key",
    "id",
    "schedule",
    "report",
    "run_at",
    "status",
    "attempts",
    "begun",
    "next_attempt_at",
    "worked_micros",
];

const RECIPIENT_COLUMNS: [&str; 6] = ["org", "delivery", "place", "recipient", "status", "linked"];
