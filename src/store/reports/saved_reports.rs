//! Saved reports: the question to the log, and its owner. See `docs/specification.md#saved-reports`.
//!
//! Each function takes a [`ReportAccess`]: a report that the caller may not open does not exist for the caller. The
//! transaction that changes a report also checks whether the caller may change it.

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
use crate::store::db::rows::{one_more, push_words, texts};
use crate::store::db::{Store, StoreError};
use crate::store::reports::resource::{ReportRefusal, ReportResource};

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
        /// The user that made it.
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
    type Content = NewReport;

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

    fn with_content(&self, content: NewReport) -> Self {
        Self {
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
}

impl Store {
    /// A page of the reports that the caller may open, the newest first. `after` is the id of the last report of the page
    /// before.
    pub async fn find_reports(
        &self,
        access: &ReportAccess,
        filter: &ReportFilter,
        after: Option<Uuid>,
        limit: usize,
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
        sql.push(" ORDER BY r.id DESC LIMIT ").bind(one_more(limit));
        Ok(Page::from_overfetch(self.db().fetch_rows(sql).await?, limit))
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
        let count = Sql::new("SELECT count(*) FROM reports WHERE org = $1 AND owner = $2");
        let owned = tx.count(count.with(tx.org).with(owner.as_str())).await?;
        if owned >= MAX_REPORTS {
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
        let fixed = vec![
            ("id", report.id.into()),
            ("owner", report.owner.as_str().into()),
            ("created_at", now.micros().into()),
        ];
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
    match access.user() {
        Some(user) => sql
            .push(" AND (r.shared OR r.owner = ")
            .bind(user.as_str())
            .push(")"),
        None => sql.push(" AND r.shared"),
    };
    if let Some(only) = access.only() {
        sql.push(" AND r.id = ").bind(only);
    }
}
