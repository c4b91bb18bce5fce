//! Schedules: when a report is sent, to which recipients, and under which user's rights. See
//! `docs/specification.md#schedules`.
//!
//! Each function takes a [`ReportAccess`]. A schedule exists for its maker, and for owners and admins of the organisation
//! as long as they may open its report. A caller for which it exists may change it; the maker stays. A maker that may not
//! open the report any more finds the schedule by its id and can only stop it. It is not in the report's list then, because
//! the report does not exist for the maker.
//!
//! The file `runs` turns due schedules into runs.

use std::collections::HashMap;

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;

use crate::store::db::columns::{FromRow, IntoValue, columns};
use crate::store::db::conversions::converted;
use crate::store::db::database::{Row, Sql};
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::unreadable::{name_of, skip_unreadable};
use crate::store::db::{Store, StoreError};
use crate::store::reports::resource::{ReportRefusal, ReportResource, find_changeable};
use crate::store::reports::saved_reports::{StoredReport, push_access, push_open};

/// The most schedules that one report may have.
pub const MAX_SCHEDULES: i64 = 50;
/// The most pending runs of one schedule. With more, a client can't start another one.
pub const MAX_PENDING_RUNS: i64 = 100;

columns! {
    /// The stored times of a schedule `s`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredTiming {
        /// `daily`, `weekly`, `monthly`, `quarterly`.
        pub frequency: String = "s.frequency",
        /// Minutes from local midnight.
        pub at_minute: i16 = "s.at_minute",
        /// An IANA name.
        pub time_zone: String = "s.time_zone",
        /// From Monday = 1, of a weekly schedule.
        pub weekday: Option<i16> = "s.weekday",
        /// 1 to 31, of a monthly or quarterly schedule.
        pub day_of_month: Option<i16> = "s.day_of_month",
    }
}

/// The recipients of a schedule, stored as a JSON array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecipientList(pub(crate) Vec<String>);

converted!(
    RecipientList as String,
    read |json: String| serde_json::from_str(&json)
        .map(RecipientList)
        .map_err(|error| StoreError::corrupt("list of recipients", error)),
    write |list: RecipientList| serde_json::Value::from(list.0).to_string()
);

columns! {
    /// The columns of a schedule `s` of a report `r`, without the times.
    struct ScheduleRow {
        key: i64 = "s.key",
        id: Uuid = "s.id",
        report: Uuid = "r.id",
        maker: UserId = "s.maker",
        recipients: RecipientList = "s.recipients",
        bom: bool = "s.bom",
        active: bool = "s.active",
        suspended: Option<String> = "s.suspended",
        next_run_at: Option<Timestamp> = "s.next_run_at",
        version: i64 = "s.version",
        created_at: Timestamp = "s.created_at",
        updated_at: Timestamp = "s.updated_at",
    }
}

/// A stored schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSchedule {
    /// The key in the organisation's tables.
    pub key: i64,
    /// The id in `/v1/schedules/{id}`.
    pub id: Uuid,
    /// The id of the report that it sends.
    pub report: Uuid,
    /// The user that made it. It runs under this user's rights.
    pub maker: UserId,
    /// When it runs.
    pub timing: StoredTiming,
    /// Ids of users and e-mail addresses, as the client sent them. An address may be that of a user.
    pub recipients: Vec<String>,
    /// Whether its CSV begins with a byte order mark.
    pub bom: bool,
    /// Whether it runs at its times.
    pub active: bool,
    /// Why it was suspended. `None` after it was resumed.
    pub suspended: Option<String>,
    /// The time of its next run. `None` while it is not active.
    pub next_run_at: Option<Timestamp>,
    /// The number of the version: its ETag. A run does not change it.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its current version was written.
    pub updated_at: Timestamp,
    /// The oldest run that has not ended.
    pub pending: Option<PendingRun>,
}

columns! {
    /// A run that has not ended.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PendingRun {
        /// The time that the run is for.
        pub run_at: Timestamp = "run_at",
        /// The number of failed attempts.
        pub attempts: i64 = "attempts",
        /// The time of the next attempt. It is in the past during an attempt.
        pub next_attempt_at: Timestamp = "next_attempt_at",
        /// Why the last attempt failed.
        pub reason: Option<String> = "reason",
    }
}

/// The part of a schedule that is written by a client, and its next run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// See [`StoredSchedule::timing`].
    pub timing: StoredTiming,
    /// See [`StoredSchedule::recipients`].
    pub recipients: Vec<String>,
    /// See [`StoredSchedule::bom`].
    pub bom: bool,
    /// See [`StoredSchedule::active`].
    pub active: bool,
    /// See [`StoredSchedule::suspended`].
    pub suspended: Option<String>,
    /// See [`StoredSchedule::next_run_at`].
    pub next_run_at: Option<Timestamp>,
}

/// A filter of the list of schedules. Without any status, all schedules are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScheduleFilter {
    /// Those that run at their times.
    pub active: bool,
    /// Those that a client paused.
    pub paused: bool,
    /// Those that were suspended.
    pub suspended: bool,
}

impl ScheduleFilter {
    fn push(&self, sql: &mut Sql) {
        let conditions = [
            (self.active, "s.active"),
            (self.paused, "(NOT s.active AND s.suspended IS NULL)"),
            (self.suspended, "s.suspended IS NOT NULL"),
        ];
        let wanted: Vec<&str> = conditions
            .iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, condition)| *condition)
            .collect();
        if !wanted.is_empty() {
            sql.push(" AND (").push(&wanted.join(" OR ")).push(")");
        }
    }
}

impl FromRow for StoredSchedule {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let schedule = ScheduleRow::read(row)?;
        Ok(Self {
            key: schedule.key,
            id: schedule.id,
            report: schedule.report,
            maker: schedule.maker,
            timing: StoredTiming::read_from(row, ScheduleRow::COUNT)?,
            recipients: schedule.recipients.0,
            bom: schedule.bom,
            active: schedule.active,
            suspended: schedule.suspended,
            next_run_at: schedule.next_run_at,
            version: schedule.version,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
            pending: None,
        })
    }
}

impl ReportResource for StoredSchedule {
    const TABLE: &'static str = "schedules";
    const DELETE: &'static [&'static str] = &[
        "DELETE FROM delivery_recipients WHERE org = $1 AND delivery IN (SELECT d.key FROM deliveries d WHERE \
         d.org = $1 AND d.schedule = $2)",
        "DELETE FROM deliveries WHERE org = $1 AND schedule = $2",
        "DELETE FROM schedules WHERE org = $1 AND key = $2",
    ];
    type Change = NewSchedule;

    fn query(org: i64, access: &ReportAccess, id: Uuid) -> Sql {
        let mut sql = select(org);
        sql.push(" AND s.id = ").bind(id);
        push_existing(&mut sql, access);
        sql
    }

    async fn complete(self, store: &Store, org: i64) -> Result<Self, StoreError> {
        let mut schedules = vec![self];
        store.add_pending_runs(org, &mut schedules).await?;
        schedules
            .pop()
            .ok_or(StoreError::Invariant("a schedule got lost"))
    }

    fn key(&self) -> i64 {
        self.key
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn changed(&self, change: &NewSchedule) -> Self {
        let change = change.clone();
        Self {
            timing: change.timing,
            recipients: change.recipients,
            bom: change.bom,
            active: change.active,
            suspended: change.suspended,
            next_run_at: change.next_run_at,
            ..self.clone()
        }
    }

    fn set_version(&mut self, version: i64, updated_at: Timestamp) {
        self.version = version;
        self.updated_at = updated_at;
    }

    fn content_columns(&self) -> Vec<(&'static str, Value)> {
        let timing = &self.timing;
        vec![
            ("frequency", timing.frequency.as_str().into()),
            ("at_minute", timing.at_minute.into()),
            ("time_zone", timing.time_zone.as_str().into()),
            ("weekday", timing.weekday.into()),
            ("day_of_month", timing.day_of_month.into()),
            ("recipients", RecipientList(self.recipients.clone()).into_value()),
            ("bom", self.bom.into()),
            ("active", self.active.into()),
            ("suspended", self.suspended.as_deref().into()),
            ("next_run_at", self.next_run_at.map(Timestamp::micros).into()),
            ("version", self.version.into()),
            ("updated_at", self.updated_at.micros().into()),
        ]
    }

    fn is_changeable(&self, _: &ReportAccess) -> bool {
        true
    }

    /// A maker that may not open the report any more can pause the schedule, but not leave it active.
    async fn is_allowed_state(&self, tx: &mut OrgTx, access: &ReportAccess) -> Result<bool, StoreError> {
        Ok(!self.active
            || tx
                .find_resource::<StoredReport>(access, self.report)
                .await?
                .is_some())
    }
}

impl Store {
    /// The schedules of a report that exist for the caller, the oldest first. `None` if the caller may not open the report.
    pub async fn find_schedules(
        &self,
        access: &ReportAccess,
        report: Uuid,
    ) -> Result<Option<Vec<StoredSchedule>>, StoreError> {
        let (Some(report), Some(org)) = (
            self.find_resource::<StoredReport>(access, report).await?,
            self.organisation_key(access.org()).await?,
        ) else {
            return Ok(None);
        };
        let mut sql = select(org);
        push_visible(&mut sql, access);
        sql.push(" AND s.report = ")
            .bind(report.key)
            .push(" ORDER BY s.key");
        let mut schedules = self.db().fetch_rows(sql).await?;
        self.add_pending_runs(org, &mut schedules).await?;
        Ok(Some(schedules))
    }

    /// A page of the schedules that exist for the caller, of all reports, the newest first. `after` is the key of the last
    /// schedule of the page before.
    pub async fn list_schedules(
        &self,
        access: &ReportAccess,
        filter: &ScheduleFilter,
        after: Option<i64>,
        limits: PageLimits,
    ) -> Result<Page<StoredSchedule>, StoreError> {
        let Some(org) = self.organisation_key(access.org()).await? else {
            return Ok(Page::empty());
        };
        let sql = page_query(org, access, filter, after);
        let mut page: Page<StoredSchedule> = self.db().fetch_page(sql, limits).await?;
        self.add_pending_runs(org, &mut page.items).await?;
        Ok(page)
    }

    /// The plan of the query for a page of [`Store::list_schedules`].
    pub async fn explain_schedules(
        &self,
        access: &ReportAccess,
        filter: &ScheduleFilter,
    ) -> Result<Vec<String>, StoreError> {
        match self.organisation_key(access.org()).await? {
            Some(org) => {
                let mut sql = page_query(org, access, filter, Some(i64::MAX));
                sql.push(" LIMIT 51");
                self.db().explain(sql).await
            }
            None => Ok(Vec::new()),
        }
    }

    /// Adds the oldest pending run of each schedule.
    async fn add_pending_runs(&self, org: i64, schedules: &mut [StoredSchedule]) -> Result<(), StoreError> {
        if schedules.is_empty() {
            return Ok(());
        }
        let keys: Vec<i64> = schedules.iter().map(|schedule| schedule.key).collect();
        let mut sql = Sql::new("SELECT ");
        sql.push(PendingRun::COLUMNS)
            .push(", schedule FROM deliveries WHERE org = ")
            .bind(org);
        sql.push(" AND schedule").any_of(keys);
        sql.push(" AND next_attempt_at IS NOT NULL ORDER BY run_at DESC");
        let mut pending = HashMap::new();
        for row in self.db().fetch_all(sql).await? {
            let read = PendingRun::read(&row).and_then(|run| Ok((row.get::<i64>(PendingRun::COUNT)?, run)));
            if let Some((schedule, run)) = skip_unreadable("delivery", || name_of(&row), read)? {
                // The oldest run comes last and stays in the map.
                pending.insert(schedule, run);
            }
        }
        for schedule in schedules {
            schedule.pending = pending.remove(&schedule.key);
        }
        Ok(())
    }

    /// Adds a schedule of a report. The caller is its maker.
    pub async fn add_schedule(
        &self,
        access: &ReportAccess,
        report: Uuid,
        new: NewSchedule,
    ) -> Result<Result<StoredSchedule, ReportRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let Some(maker) = access.user().filter(|_| access.only().is_none()) else {
            return Ok(Err(ReportRefusal::NotFound));
        };
        let Some(report) = tx.find_resource::<StoredReport>(access, report).await? else {
            return Ok(Err(ReportRefusal::NotFound));
        };
        let count = Sql::new("SELECT count(*) FROM schedules WHERE org = $1 AND report = $2");
        let existing = tx.count(count.with(tx.org).with(report.key)).await?;
        if existing >= MAX_SCHEDULES {
            return Ok(Err(ReportRefusal::TooManySchedules));
        }
        let now = self.clock().now().whole_millisecond();
        let schedule = StoredSchedule {
            key: tx.next_key(),
            id: self.clock().new_uuid(),
            report: report.id,
            maker: maker.clone(),
            timing: new.timing,
            recipients: new.recipients,
            bom: new.bom,
            active: new.active,
            suspended: new.suspended,
            next_run_at: new.next_run_at,
            version: 1,
            created_at: now,
            updated_at: now,
            pending: None,
        };
        let fixed = vec![
            ("id", schedule.id.into()),
            ("report", report.key.into()),
            ("maker", schedule.maker.as_str().into()),
            ("created_at", now.micros().into()),
        ];
        tx.insert_resource(&schedule, fixed).await?;
        tx.commit().await?;
        Ok(Ok(schedule))
    }

    /// Starts a run of a schedule now, in addition to its times. The schedule need not be active. Returns the delivery's id
    /// and the time that the run is for.
    pub async fn queue_run_now(
        &self,
        access: &ReportAccess,
        id: Uuid,
    ) -> Result<Result<(Uuid, Timestamp), ReportRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let schedule = match find_changeable::<StoredSchedule>(&mut tx, access, id, None).await? {
            Ok(schedule) => schedule,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if tx
            .find_resource::<StoredReport>(access, schedule.report)
            .await?
            .is_none()
        {
            return Ok(Err(ReportRefusal::NotFound));
        }
        let count = Sql::new(
            "SELECT count(*) FROM deliveries WHERE org = $1 AND schedule = $2 AND next_attempt_at IS NOT NULL",
        );
        let pending = tx.count(count.with(tx.org).with(schedule.key)).await?;
        if pending >= MAX_PENDING_RUNS {
            return Ok(Err(ReportRefusal::TooManyRuns));
        }
        let run = tx.insert_run_now(schedule.key, self.clock().now()).await?;
        tx.commit().await?;
        self.wake_sender();
        Ok(Ok(run))
    }
}

/// The schedules `s` of an organisation, with their reports `r`.
fn select(org: i64) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(ScheduleRow::COLUMNS)
        .push(", ")
        .push(StoredTiming::COLUMNS)
        .push(" FROM schedules s JOIN reports r ON r.org = s.org AND r.key = s.report WHERE s.org = ")
        .bind(org);
    sql
}

/// The query for a page of schedules, the newest first: newer ones have greater keys.
fn page_query(org: i64, access: &ReportAccess, filter: &ScheduleFilter, after: Option<i64>) -> Sql {
    let mut sql = select(org);
    push_existing(&mut sql, access);
    filter.push(&mut sql);
    if let Some(after) = after {
        sql.push(" AND s.key < ").bind(after);
    }
    sql.push(" ORDER BY s.key DESC");
    sql
}

/// Restricts the schedules `s` of reports `r` to those that exist for the caller. A maker's schedule exists even if the report
/// does not exist any more for the maker, who can stop it. None exist for a credential or a report's key.
fn push_existing(sql: &mut Sql, access: &ReportAccess) {
    match access.user().filter(|_| access.only().is_none()) {
        Some(user) if access.administers() => {
            sql.push(" AND (s.maker = ").bind(user.as_str()).push(" OR ");
            push_open(sql, access);
            sql.push(")");
        }
        Some(user) => {
            sql.push(" AND s.maker = ").bind(user.as_str());
        }
        None => {
            sql.push(" AND 1 = 0");
        }
    }
}

/// Restricts the schedules `s` of reports `r` to those that exist for the caller together with the report. None exist for a
/// credential or a report's key.
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
