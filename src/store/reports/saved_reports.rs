//! Saved reports: the question to the log, and its owner. See `docs/specification.md#saved-reports`.
//!
//! Each function takes a [`ReportAccess`]: a report that the caller may not open does not exist for the caller. The
//! transaction that changes a report also checks whether the caller may change it.

use std::collections::HashSet;

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::base::ids::UserId;

use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::rows::{push_words, texts};
use crate::store::db::{Store, StoreError};
use crate::store::reports::resource::{Changed, ReportRefusal, ReportResource};

/// The most reports that one user may own.
pub const MAX_REPORTS: i64 = 1_000;

columns! {
    /// A stored report.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredReport {
        /// The key in the organisation's tables.
        pub key: i64 = "r.key",
        /// The id in `/v1/reports/{id}`.
        pub id: Uuid = "r.id",
        /// The user that owns it.
        pub owner: UserId = "r.owner",
        /// The name.
        pub name: String = "r.name",
        /// Whether all users with reporting access may open it, or its owner only.
        pub shared: bool = "r.shared",
        /// The question: a JSON object of parameters.
        pub filter: String = "r.filter",
        /// The key of the columns of its CSV.
        pub columns: String = "r.columns",
        /// The number of the version: its ETag.
        pub version: i64 = "r.version",
        /// When it was made.
        pub created_at: Timestamp = "r.created_at",
        /// When its current version was written.
        pub updated_at: Timestamp = "r.updated_at",
    }
}

/// The part of a report that a client writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReport {
    /// See [`StoredReport::name`].
    pub name: String,
    /// See [`StoredReport::shared`].
    pub shared: bool,
    /// See [`StoredReport::filter`].
    pub filter: String,
    /// See [`StoredReport::columns`].
    pub columns: String,
}

/// A change of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportChange {
    /// The new content.
    pub content: NewReport,
    /// The new owner, if the report is handed over.
    pub handover: Option<Handover>,
    /// Set if the report can show more rows or columns than before.
    pub widening: Option<Widening>,
}

/// A report gets another owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The new owner. The caller has checked that this user may have reports.
    pub owner: UserId,
    /// Why the schedules of the former owner are suspended.
    pub reason: String,
}

/// A report can show more than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widening {
    /// Why schedules are suspended.
    pub reason: String,
    /// The recipients of the report's schedules that are users of the directory. Every other recipient with an `@` counts
    /// as an address outside the directory.
    pub users: HashSet<String>,
}

/// A filter of the list of reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportFilter {
    /// Folded words. The name contains all of them.
    pub words: Vec<String>,
    /// Shared reports only, or private reports only.
    pub shared: Option<bool>,
    /// Reports of these users only. Empty: of any user.
    pub owners: Vec<UserId>,
}

impl ReportResource for StoredReport {
    const TABLE: &'static str = "reports";
    const DELETE: &'static [&'static str] = &[
        "DELETE FROM delivery_recipients WHERE org = $1 AND delivery IN (SELECT d.key FROM deliveries d WHERE \
         d.org = $1 AND d.report = $2)",
        "DELETE FROM deliveries WHERE org = $1 AND report = $2",
        "DELETE FROM schedules WHERE org = $1 AND report = $2",
        "DELETE FROM report_keys WHERE org = $1 AND report = $2",
        "DELETE FROM reports WHERE org = $1 AND key = $2",
    ];
    type Change = ReportChange;

    fn query(org: i64, access: &ReportAccess, id: Uuid) -> Sql {
        let mut sql = select(org, access);
        sql.push(" AND r.id = ").bind(id);
        sql
    }

    async fn complete(self, _: &Store, _: i64) -> Result<Self, StoreError> {
        Ok(self)
    }

    fn key(&self) -> i64 {
        self.key
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn changed(&self, change: &ReportChange) -> Self {
        let content = change.content.clone();
        let handover = change.handover.as_ref();
        Self {
            owner: handover.map_or_else(|| self.owner.clone(), |handover| handover.owner.clone()),
            name: content.name,
            shared: content.shared,
            filter: content.filter,
            columns: content.columns,
            ..self.clone()
        }
    }

    fn set_version(&mut self, version: i64, updated_at: Timestamp) {
        self.version = version;
        self.updated_at = updated_at;
    }

    fn content_columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("owner", self.owner.as_str().into()),
            ("name", self.name.as_str().into()),
            ("search", fold(&self.name).into()),
            ("shared", self.shared.into()),
            ("filter", self.filter.as_str().into()),
            ("columns", self.columns.as_str().into()),
            ("version", self.version.into()),
            ("updated_at", self.updated_at.micros().into()),
        ]
    }

    fn is_changeable(&self, access: &ReportAccess) -> bool {
        access.may_change(&self.owner)
    }

    async fn is_allowed_state(&self, _: &mut OrgTx, _: &ReportAccess) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn write_consequences(
        tx: &mut OrgTx,
        access: &ReportAccess,
        changed: Changed<'_, Self>,
    ) -> Result<Result<(), ReportRefusal>, StoreError> {
        let Changed {
            before,
            after,
            change,
        } = changed;
        if let Some(widening) = &change.widening {
            tx.suspend_widened_schedules(before.key, access.user(), widening)
                .await?;
        }
        match &change.handover {
            Some(handover) if before.owner != after.owner => {
                tx.hand_report_over(before, &handover.owner, &handover.reason)
                    .await
            }
            _ => Ok(Ok(())),
        }
    }
}

impl OrgTx {
    /// Writes what a new owner means: the report's keys are revoked, because their secrets would open the rows of the new
    /// owner. The schedules of the former owner become those of the new one, and are suspended until the new owner agrees.
    async fn hand_report_over(
        &mut self,
        report: &StoredReport,
        owner: &UserId,
        reason: &str,
    ) -> Result<Result<(), ReportRefusal>, StoreError> {
        // The report is written already, so it is among them.
        if self.count_reports(owner).await? > MAX_REPORTS {
            return Ok(Err(ReportRefusal::TooManyReports));
        }
        let delete = Sql::new("DELETE FROM report_keys WHERE org = $1 AND report = $2");
        self.execute(delete.with(self.org).with(report.key)).await?;
        let select = Sql::new("SELECT key FROM schedules WHERE org = $1 AND report = $2 AND maker = $3");
        let select = select.with(self.org).with(report.key).with(report.owner.as_str());
        let rows: Vec<(i64,)> = self.fetch_rows(select).await?;
        let schedules: Vec<i64> = rows.into_iter().map(|(key,)| key).collect();
        self.suspend_schedules(&schedules, reason).await?;
        self.end_pending_runs(&schedules, reason).await?;
        let mut update = Sql::new("UPDATE schedules SET maker = ");
        update.bind(owner.as_str()).push(" WHERE org = ").bind(self.org);
        update.push(" AND key").any_of(schedules);
        self.execute(update).await?;
        Ok(Ok(()))
    }

    async fn count_reports(&mut self, owner: &UserId) -> Result<i64, StoreError> {
        let count = Sql::new("SELECT count(*) FROM reports WHERE org = $1 AND owner = $2");
        self.count(count.with(self.org).with(owner.as_str())).await
    }
}

impl Store {
    /// A page of the reports that the caller may open, the newest first. `after` is the id of the last report of the page
    /// before.
    pub async fn find_reports(
        &self,
        access: &ReportAccess,
        filter: &ReportFilter,
        after: Option<Uuid>,
        limits: PageLimits,
    ) -> Result<Page<StoredReport>, StoreError> {
        let Some(org) = self.organisation_key(access.org()).await? else {
            return Ok(Page::empty());
        };
        let mut sql = select(org, access);
        push_words(&mut sql, "r.search", &filter.words);
        match filter.shared {
            Some(true) => _ = sql.push(" AND r.shared"),
            Some(false) => _ = sql.push(" AND NOT r.shared"),
            None => {}
        }
        if !filter.owners.is_empty() {
            sql.push(" AND r.owner").any_of(texts(&filter.owners));
        }
        if let Some(after) = after {
            sql.push(" AND r.id < ").bind(after);
        }
        // Newer reports have greater ids.
        sql.push(" ORDER BY r.id DESC");
        self.db().fetch_page(sql, limits).await
    }

    /// Adds a report of the caller.
    pub async fn add_report(
        &self,
        access: &ReportAccess,
        new: NewReport,
    ) -> Result<Result<StoredReport, ReportRefusal>, StoreError> {
        let Some(owner) = access.user().filter(|user| access.may_change(user)) else {
            return Ok(Err(ReportRefusal::NotChangeable));
        };
        let mut tx = self.write(access.org()).await?;
        if tx.count_reports(owner).await? >= MAX_REPORTS {
            return Ok(Err(ReportRefusal::TooManyReports));
        }
        let now = self.clock().now().whole_millisecond();
        let report = StoredReport {
            key: tx.next_key(),
            id: self.clock().new_uuid(),
            owner: owner.clone(),
            name: new.name,
            shared: new.shared,
            filter: new.filter,
            columns: new.columns,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let fixed = vec![("id", report.id.into()), ("created_at", now.micros().into())];
        tx.insert_resource(&report, fixed).await?;
        tx.commit().await?;
        Ok(Ok(report))
    }
}

/// The reports `r` that the caller may open.
fn select(org: i64, access: &ReportAccess) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(StoredReport::COLUMNS)
        .push(" FROM reports r WHERE r.org = ")
        .bind(org);
    push_access(&mut sql, access);
    sql
}

/// Restricts the reports `r` to those that the caller may open.
pub(crate) fn push_access(sql: &mut Sql, access: &ReportAccess) {
    sql.push(" AND (");
    push_open(sql, access);
    sql.push(")");
    if let Some(only) = access.only() {
        sql.push(" AND r.id = ").bind(only);
    }
}

/// Adds the condition for reports `r` that a caller without a report's key may open: shared ones, own ones, and for an
/// administrator those of users that have left, so that they can be handed over.
pub(crate) fn push_open(sql: &mut Sql, access: &ReportAccess) {
    sql.push("r.shared");
    if let Some(user) = access.user() {
        sql.push(" OR r.owner = ").bind(user.as_str());
    }
    if access.administers() {
        sql.push(" OR EXISTS (SELECT 1 FROM users u WHERE u.org = $1 AND u.id = r.owner AND NOT u.active)");
    }
}
