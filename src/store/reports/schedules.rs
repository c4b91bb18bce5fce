//! Schedules: when a report is sent, to whom, and under whose rights (product text, section 9).
//!
//! Every function here takes a [`ReportAccess`]. A schedule is there for whoever made it, and for owners and admins of the
//! organisation as long as they may open its report; for everybody else it is not. Whoever sees it may change it; it stays
//! its maker's. A maker who may not open the report any more can only stop it: it runs, and is made to run, for nobody who
//! may not. Among a report's schedules, and its deliveries, it is not listed then: for them there is no such report.
//! What becomes of it when its moment comes is the matter of `runs`.

use std::collections::HashMap;

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::clock::Timestamp;
use crate::base::fault::Fault;
use crate::base::ids::UserId;

use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError};
use crate::store::lrs::documents::ETags;
use crate::store::reports::saved_reports::{opened, push_access};

/// The most schedules that one report may have.
pub const MAX_SCHEDULES: i64 = 50;
/// The most runs of one schedule that may be under way when one more is asked for by hand.
pub const MAX_RUNS_UNDER_WAY: i64 = 100;

/// When a schedule runs, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTiming {
    /// `daily`, `weekly`, `monthly`, `quarterly`.
    pub frequency: String,
    /// Minutes from local midnight.
    pub at_minute: i16,
    /// IANA name.
    pub time_zone: String,
    /// From Monday = 1; of a weekly one.
    pub weekday: Option<i16>,
    /// 1 to 31; of a monthly or quarterly one.
    pub day_of_month: Option<i16>,
}

/// A schedule as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSchedule {
    /// Its key in the organisation's tables.
    pub key: i64,
    /// What `/v1/schedules/{id}` names.
    pub id: Uuid,
    /// The id of the report that it sends.
    pub report: Uuid,
    /// The user who made it, under whose rights it runs.
    pub maker: UserId,
    /// When it runs.
    pub timing: KeptTiming,
    /// Ids of users, and addresses, of users too, as they were sent.
    pub recipients: Vec<String>,
    /// Whether it runs by itself.
    pub active: bool,
    /// Why it was suspended, unless it was resumed since.
    pub suspended: Option<String>,
    /// When it runs next; `None` while it doesn't by itself.
    pub next_run_at: Option<Timestamp>,
    /// How often it was written: its ETag. That it ran is no writing.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When what it says now was written.
    pub updated_at: Timestamp,
    /// The oldest of its runs that is under way, or waits to be tried (again).
    pub pending: Option<PendingRun>,
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRun {
    /// The moment that it is for.
    pub run_at: Timestamp,
    /// Attempts that have failed so far.
    pub attempts: i64,
    /// When it is tried (again); in the past where that is being done.
    pub next_attempt_at: Timestamp,
    /// Why the last attempt failed.
    pub reason: Option<String>,
}

/// What is written of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// See [`KeptSchedule::timing`].
    pub timing: KeptTiming,
    /// See [`KeptSchedule::recipients`].
    pub recipients: Vec<String>,
    /// See [`KeptSchedule::active`].
    pub active: bool,
    /// See [`KeptSchedule::suspended`].
    pub suspended: Option<String>,
    /// See [`KeptSchedule::next_run_at`].
    pub next_run_at: Option<Timestamp>,
}

/// Why a schedule is neither made, changed nor run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleRefusal {
    /// There is no such report or schedule, or none that is there for the caller.
    #[error("there is no such report or schedule")]
    NotFound,
    /// It is not the one that the caller means to change.
    #[error("the schedule isn't the one that If-Match names: read it again, and send what you make of it")]
    Stale,
    /// The report has too many schedules.
    #[error("a report has at most {MAX_SCHEDULES} schedules; delete one that nobody needs")]
    TooMany,
    /// Too many of its runs are under way.
    #[error("{MAX_RUNS_UNDER_WAY} runs of this schedule are under way already; wait until they have ended")]
    TooManyRuns,
    /// What it would become is refused.
    #[error("the schedule has faults")]
    Faults(Vec<Fault>),
}

/// The columns of a schedule `s`, in the order in which [`read`] takes them.
const SELECT: &str = "SELECT s.key, s.id, r.id, s.maker, s.frequency, s.at_minute, s.time_zone, s.weekday, s.day_of_month, \
     s.recipients, s.active, s.suspended, s.next_run_at, s.version, s.created_at, s.updated_at \
     FROM schedules s JOIN reports r ON r.org = s.org AND r.key = s.report WHERE s.org = $1";

fn read(row: &Row) -> Result<KeptSchedule, StoreError> {
    let time = |column| row.get(column).map(Timestamp::from_micros);
    Ok(KeptSchedule {
        key: row.get(0)?,
        id: row.get(1)?,
        report: row.get(2)?,
        maker: read_id(row, 3)?,
        timing: read_timing(row, 4)?,
        recipients: read_recipients(&row.get::<String>(9)?)?,
        active: row.get(10)?,
        suspended: row.get(11)?,
        next_run_at: row.get::<Option<i64>>(12)?.map(Timestamp::from_micros),
        version: row.get(13)?,
        created_at: time(14)?,
        updated_at: time(15)?,
        pending: None,
    })
}

/// A schedule's timing, whose five columns begin there.
pub(crate) fn read_timing(row: &Row, first: usize) -> Result<KeptTiming, StoreError> {
    Ok(KeptTiming {
        frequency: row.get(first)?,
        at_minute: row.get(first + 1)?,
        time_zone: row.get(first + 2)?,
        weekday: row.get(first + 3)?,
        day_of_month: row.get(first + 4)?,
    })
}

/// A schedule's recipients, as they are kept.
pub(crate) fn read_recipients(recipients: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(recipients).map_err(|error| StoreError::corrupt("list of recipients", error))
}

fn kept_recipients(recipients: &[String]) -> Result<String, StoreError> {
    serde_json::to_string(recipients).map_err(|error| StoreError::corrupt("list of recipients", error))
}

impl Store {
    /// The schedules of a report that are there for the caller, the one made first first; `None` where they may not open
    /// the report.
    pub async fn schedules(
        &self,
        access: &ReportAccess,
        report: Uuid,
    ) -> Result<Option<Vec<KeptSchedule>>, StoreError> {
        let (Some(report), Some(org)) = (
            self.report(access, report).await?,
            self.organisation_key(access.org()).await?,
        ) else {
            return Ok(None);
        };
        let mut sql = Sql::new(SELECT).with(org);
        push_visible(&mut sql, access);
        sql.push(" AND s.report = ")
            .bind(report.key)
            .push(" ORDER BY s.key");
        self.with_pending(org, sql).await.map(Some)
    }

    /// One schedule; `None` where there is none, or none that is there for the caller.
    pub async fn schedule(
        &self,
        access: &ReportAccess,
        id: Uuid,
    ) -> Result<Option<KeptSchedule>, StoreError> {
        let Some(org) = self.organisation_key(access.org()).await? else {
            return Ok(None);
        };
        Ok(self.with_pending(org, one(org, access, id)).await?.pop())
    }

    /// The schedules that `sql` finds, each with its run that has not ended.
    async fn with_pending(&self, org: i64, sql: Sql) -> Result<Vec<KeptSchedule>, StoreError> {
        let rows = self.db().fetch_all(sql).await?;
        let mut schedules = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if schedules.is_empty() {
            return Ok(schedules);
        }
        let keys: Vec<i64> = schedules.iter().map(|schedule| schedule.key).collect();
        let select = Sql::new(
            "SELECT schedule, run_at, attempts, next_attempt_at, reason FROM deliveries \
             WHERE org = $1 AND schedule IN LIST($2) AND next_attempt_at IS NOT NULL ORDER BY run_at DESC",
        );
        let mut pending = HashMap::new();
        for row in self.db().fetch_all(select.with(org).with(keys)).await? {
            let run = PendingRun {
                run_at: Timestamp::from_micros(row.get(1)?),
                attempts: row.get(2)?,
                next_attempt_at: Timestamp::from_micros(row.get(3)?),
                reason: row.get(4)?,
            };
            pending.insert(row.get::<i64>(0)?, run); // the oldest comes last and stays
        }
        for schedule in &mut schedules {
            schedule.pending = pending.remove(&schedule.key);
        }
        Ok(schedules)
    }

    /// Keeps a new schedule of a report; the caller is its maker.
    pub async fn add_schedule(
        &self,
        access: &ReportAccess,
        report: Uuid,
        new: NewSchedule,
    ) -> Result<Result<KeptSchedule, ScheduleRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let Some(maker) = access.user().filter(|_| access.only().is_none()) else {
            return Ok(Err(ScheduleRefusal::NotFound));
        };
        let Some(report) = opened(&mut tx, access, report).await? else {
            return Ok(Err(ScheduleRefusal::NotFound));
        };
        let count = Sql::new("SELECT count(*) FROM schedules WHERE org = $1 AND report = $2");
        let there = tx.count(count.with(tx.org).with(report.key)).await?;
        if there >= MAX_SCHEDULES {
            return Ok(Err(ScheduleRefusal::TooMany));
        }
        let now = self.clock().now().whole_millisecond();
        let schedule = KeptSchedule {
            key: tx.next_key(),
            id: self.clock().new_uuid(),
            report: report.id,
            maker: maker.clone(),
            timing: new.timing,
            recipients: new.recipients,
            active: new.active,
            suspended: new.suspended,
            next_run_at: new.next_run_at,
            version: 1,
            created_at: now,
            updated_at: now,
            pending: None,
        };
        insert(&mut tx, report.key, &schedule).await?;
        tx.commit().await?;
        Ok(Ok(schedule))
    }

    /// Writes a schedule anew: `change` is given what it says now. What says the same as before is no new version.
    ///
    /// With `expected`, the schedule must be one of those that it names.
    pub async fn change_schedule(
        &self,
        access: &ReportAccess,
        id: Uuid,
        expected: Option<&ETags>,
        change: impl FnOnce(&KeptSchedule) -> Result<NewSchedule, Vec<Fault>>,
    ) -> Result<Result<(), ScheduleRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let before = match expected_one(&mut tx, access, id, expected).await? {
            Ok(schedule) => schedule,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let new = match change(&before) {
            Ok(new) => new,
            Err(faults) => return Ok(Err(ScheduleRefusal::Faults(faults))),
        };
        let mut after = KeptSchedule {
            timing: new.timing,
            recipients: new.recipients,
            active: new.active,
            suspended: new.suspended,
            next_run_at: new.next_run_at,
            ..before.clone()
        };
        if after == before {
            return Ok(Ok(()));
        }
        // Whoever may not open the report any more can pause its schedule, and not have it run.
        if after.active && opened(&mut tx, access, before.report).await?.is_none() {
            return Ok(Err(ScheduleRefusal::NotFound));
        }
        after.version += 1;
        after.updated_at = self.clock().now().whole_millisecond();
        update(&mut tx, &after).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Deletes a schedule, with what became of its runs. A message that is being sent may still go out.
    ///
    /// With `expected`, as [`Store::change_schedule`].
    pub async fn delete_schedule(
        &self,
        access: &ReportAccess,
        id: Uuid,
        expected: Option<&ETags>,
    ) -> Result<Result<(), ScheduleRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let schedule = match expected_one(&mut tx, access, id, expected).await? {
            Ok(schedule) => schedule,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for delete in [
            "DELETE FROM delivery_recipients WHERE org = $1 AND delivery IN (SELECT d.key FROM deliveries d WHERE \
             d.org = $1 AND d.schedule = $2)",
            "DELETE FROM deliveries WHERE org = $1 AND schedule = $2",
            "DELETE FROM schedules WHERE org = $1 AND key = $2",
        ] {
            tx.execute(Sql::new(delete).with(tx.org).with(schedule.key))
                .await?;
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Has a schedule run now, whether it is active or not, beside its own moments: the delivery's id, and the moment that
    /// the run is for.
    pub async fn queue_now(
        &self,
        access: &ReportAccess,
        id: Uuid,
    ) -> Result<Result<(Uuid, Timestamp), ScheduleRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let schedule = match expected_one(&mut tx, access, id, None).await? {
            Ok(schedule) => schedule,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if opened(&mut tx, access, schedule.report).await?.is_none() {
            return Ok(Err(ScheduleRefusal::NotFound));
        }
        let count = Sql::new(
            "SELECT count(*) FROM deliveries WHERE org = $1 AND schedule = $2 AND next_attempt_at IS NOT NULL",
        );
        let under_way = tx.count(count.with(tx.org).with(schedule.key)).await?;
        if under_way >= MAX_RUNS_UNDER_WAY {
            return Ok(Err(ScheduleRefusal::TooManyRuns));
        }
        let run = tx.insert_run_now(schedule.key, self.clock().now()).await?;
        tx.commit().await?;
        self.wake_sender();
        Ok(Ok(run))
    }
}

/// The schedule that the caller means.
async fn expected_one(
    tx: &mut OrgTx,
    access: &ReportAccess,
    id: Uuid,
    expected: Option<&ETags>,
) -> Result<Result<KeptSchedule, ScheduleRefusal>, StoreError> {
    let row = tx.fetch_optional(one(tx.org, access, id)).await?;
    let Some(schedule) = row.as_ref().map(read).transpose()? else {
        return Ok(Err(ScheduleRefusal::NotFound));
    };
    if expected.is_some_and(|tags| !tags.contains(&schedule.version.to_string())) {
        return Ok(Err(ScheduleRefusal::Stale));
    }
    Ok(Ok(schedule))
}

fn one(org: i64, access: &ReportAccess, id: Uuid) -> Sql {
    let mut sql = Sql::new(SELECT).with(org);
    sql.push(" AND s.id = ").bind(id);
    match access.user().filter(|_| access.only().is_none()) {
        // One's own is there whatever became of the report, so that it can be stopped.
        Some(user) => {
            sql.push(" AND (s.maker = ")
                .bind(user.as_str())
                .push(" OR (1 = 1");
            push_visible(&mut sql, access);
            sql.push("))");
        }
        None => push_visible(&mut sql, access),
    }
    sql
}

/// Narrows the schedules `s` of reports `r` to those that are there for the caller beside the report. A credential and a
/// report's key have none.
pub(crate) fn push_visible(sql: &mut Sql, access: &ReportAccess) {
    push_access(sql, access);
    match access.user().filter(|_| access.only().is_none()) {
        Some(_) if access.administers() => {}
        Some(user) => {
            sql.push(" AND s.maker = ").bind(user.as_str());
        }
        None => {
            sql.push(" AND 1 = 0");
        }
    }
}

async fn insert(tx: &mut OrgTx, report: i64, schedule: &KeptSchedule) -> Result<(), StoreError> {
    let columns = [
        "org",
        "key",
        "id",
        "report",
        "maker",
        "frequency",
        "at_minute",
        "time_zone",
        "weekday",
        "day_of_month",
        "recipients",
        "active",
        "suspended",
        "next_run_at",
        "version",
        "created_at",
        "updated_at",
    ];
    let timing = &schedule.timing;
    let row = vec![
        tx.org.into(),
        schedule.key.into(),
        schedule.id.into(),
        report.into(),
        schedule.maker.as_str().into(),
        timing.frequency.as_str().into(),
        timing.at_minute.into(),
        timing.time_zone.as_str().into(),
        timing.weekday.into(),
        timing.day_of_month.into(),
        kept_recipients(&schedule.recipients)?.into(),
        schedule.active.into(),
        schedule.suspended.as_deref().into(),
        schedule.next_run_at.map(Timestamp::micros).into(),
        schedule.version.into(),
        schedule.created_at.micros().into(),
        schedule.updated_at.micros().into(),
    ];
    tx.insert("schedules", &columns, vec![row]).await
}

async fn update(tx: &mut OrgTx, schedule: &KeptSchedule) -> Result<(), StoreError> {
    let update = Sql::new(
        "UPDATE schedules SET frequency = $3, at_minute = $4, time_zone = $5, weekday = $6, day_of_month = $7, \
         recipients = $8, active = $9, suspended = $10, next_run_at = $11, version = $12, updated_at = $13 \
         WHERE org = $1 AND key = $2",
    );
    let timing = &schedule.timing;
    let update = update
        .with(tx.org)
        .with(schedule.key)
        .with(timing.frequency.as_str())
        .with(timing.at_minute)
        .with(timing.time_zone.as_str())
        .with(timing.weekday)
        .with(timing.day_of_month)
        .with(kept_recipients(&schedule.recipients)?)
        .with(schedule.active)
        .with(schedule.suspended.as_deref())
        .with(schedule.next_run_at.map(Timestamp::micros))
        .with(schedule.version)
        .with(schedule.updated_at.micros());
    tx.execute(update).await.map(|_| ())
}
