//! Saved reports as they are kept (product text, section 9): the question as its owner sent it, and who owns it.
//!
//! Every function here takes a [`ReportAccess`]: a report that its caller may not open is not there, by whatever way. Who
//! may open one may not always change it; that is asked here too, within the transaction that would change it.

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::fault::Fault;
use crate::base::fold;
use crate::base::ids::UserId;

use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::{one_more, push_words, read_id, texts};
use crate::store::db::{Store, StoreError};
use crate::store::lrs::documents::ETags;

/// The most reports that one user may own.
pub const MAX_REPORTS: i64 = 1_000;

/// A report as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReport {
    /// Its key in the organisation's tables.
    pub key: i64,
    /// What `/v1/reports/{id}` names.
    pub id: Uuid,
    /// The user who made it.
    pub owner: UserId,
    /// What people call it.
    pub name: String,
    /// Whether it is there for everyone with reporting access, and not for its owner alone.
    pub shared: bool,
    /// The question: a JSON object of parameters.
    pub filter: String,
    /// The key of its CSV's columns.
    pub columns: String,
    /// How often it was written: its ETag.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When what it says now was written.
    pub updated_at: Timestamp,
}

/// What is written of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReport {
    /// See [`KeptReport::name`].
    pub name: String,
    /// See [`KeptReport::shared`].
    pub shared: bool,
    /// See [`KeptReport::filter`].
    pub filter: String,
    /// See [`KeptReport::columns`].
    pub columns: String,
}

/// Which reports are listed, of those that the caller may open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportFilter {
    /// Folded words, each of which stands in the name.
    pub words: Vec<String>,
    /// Shared ones alone, or private ones alone.
    pub shared: Option<bool>,
    /// Of any of these users, where any are named.
    pub owners: Vec<UserId>,
}

/// Why a report, or what belongs to it, is neither made nor changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefusal {
    /// There is no such report, or none that the caller may open.
    #[error("there is no such report")]
    NotFound,
    /// The caller may open it, and not change it.
    #[error("only its owner, or an owner or admin of the organisation, changes or deletes a report")]
    NotYours,
    /// It is not the one that the caller means to change.
    #[error("the report isn't the one that If-Match names: read it again, and send what you make of it")]
    Stale,
    /// The user owns too many.
    #[error("a user owns at most {MAX_REPORTS} reports; delete one that nobody needs")]
    TooMany,
    /// What it would become is refused.
    #[error("the report has faults")]
    Faults(Vec<Fault>),
}

/// The columns of a report `r`, in the order in which [`read`] takes them.
const SELECT: &str = "SELECT r.key, r.id, r.owner, r.name, r.shared, r.filter, r.columns, r.version, r.created_at, \
     r.updated_at FROM reports r WHERE r.org = $1";

fn read(row: &Row) -> Result<KeptReport, StoreError> {
    let time = |column| row.get(column).map(Timestamp::from_micros);
    Ok(KeptReport {
        key: row.get(0)?,
        id: row.get(1)?,
        owner: read_id(row, 2)?,
        name: row.get(3)?,
        shared: row.get(4)?,
        filter: row.get(5)?,
        columns: row.get(6)?,
        version: row.get(7)?,
        created_at: time(8)?,
        updated_at: time(9)?,
    })
}

impl Store {
    /// One report; `None` where there is none, or none that the caller may open.
    pub async fn report(&self, access: &ReportAccess, id: Uuid) -> Result<Option<KeptReport>, StoreError> {
        let Some(org) = self.organisation_key(access.org()).await? else {
            return Ok(None);
        };
        let row = self.db().fetch_optional(one(org, access, id)).await?;
        row.as_ref().map(read).transpose()
    }

    /// A page of the reports that the caller may open, the one made last first, after the report with the id `after`.
    pub async fn reports(
        &self,
        access: &ReportAccess,
        filter: &ReportFilter,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Page<KeptReport>, StoreError> {
        let Some(org) = self.organisation_key(access.org()).await? else {
            return Ok(Page::empty());
        };
        let mut sql = Sql::new(SELECT).with(org);
        push_access(&mut sql, access);
        push_words(&mut sql, "r.search", &filter.words);
        if let Some(shared) = filter.shared {
            sql.push(if shared {
                " AND r.shared"
            } else {
                " AND NOT r.shared"
            });
        }
        if !filter.owners.is_empty() {
            sql.push(" AND r.owner").any_of(texts(&filter.owners));
        }
        if let Some(after) = after {
            sql.push(" AND r.id < ").bind(after);
        }
        // Ids are given in the order of time.
        sql.push(" ORDER BY r.id DESC LIMIT ").bind(one_more(limit));
        let rows = self.db().fetch_all(sql).await?;
        let reports = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page::from_overfetch(reports, limit))
    }

    /// Keeps a new report of the caller's.
    pub async fn add_report(
        &self,
        access: &ReportAccess,
        new: NewReport,
    ) -> Result<Result<KeptReport, ReportRefusal>, StoreError> {
        let Some(owner) = access.user().filter(|user| access.may_change(user)) else {
            return Ok(Err(ReportRefusal::NotYours));
        };
        let mut tx = self.write(access.org()).await?;
        let count = Sql::new("SELECT count(*) FROM reports WHERE org = $1 AND owner = $2");
        let owned = tx.count(count.with(tx.org).with(owner.as_str())).await?;
        if owned >= MAX_REPORTS {
            return Ok(Err(ReportRefusal::TooMany));
        }
        let now = self.clock().now().whole_millisecond();
        let report = KeptReport {
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
        insert(&mut tx, &report).await?;
        tx.commit().await?;
        Ok(Ok(report))
    }

    /// Writes a report anew: `change` is given what it says now. What says the same as before is no new version.
    ///
    /// With `expected`, the report must be one of those that it names.
    pub async fn change_report(
        &self,
        access: &ReportAccess,
        id: Uuid,
        expected: Option<&ETags>,
        change: impl FnOnce(&KeptReport) -> Result<NewReport, Vec<Fault>>,
    ) -> Result<Result<KeptReport, ReportRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let before = match changeable(&mut tx, access, id, expected).await? {
            Ok(report) => report,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let new = match change(&before) {
            Ok(new) => new,
            Err(faults) => return Ok(Err(ReportRefusal::Faults(faults))),
        };
        let mut after = KeptReport {
            name: new.name,
            shared: new.shared,
            filter: new.filter,
            columns: new.columns,
            ..before.clone()
        };
        if after == before {
            return Ok(Ok(before));
        }
        after.version += 1;
        after.updated_at = self.clock().now().whole_millisecond();
        let update = Sql::new(
            "UPDATE reports SET name = $3, search = $4, shared = $5, filter = $6, columns = $7, version = $8, \
             updated_at = $9 WHERE org = $1 AND key = $2",
        );
        let update = update
            .with(tx.org)
            .with(after.key)
            .with(after.name.as_str())
            .with(fold(&after.name))
            .with(after.shared)
            .with(after.filter.as_str())
            .with(after.columns.as_str())
            .with(after.version)
            .with(after.updated_at.micros());
        tx.execute(update).await?;
        tx.commit().await?;
        Ok(Ok(after))
    }

    /// Deletes a report, with its keys, its schedules and what became of those.
    ///
    /// With `expected`, as [`Store::change_report`].
    pub async fn delete_report(
        &self,
        access: &ReportAccess,
        id: Uuid,
        expected: Option<&ETags>,
    ) -> Result<Result<(), ReportRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let report = match changeable(&mut tx, access, id, expected).await? {
            Ok(report) => report,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for delete in [
            "DELETE FROM delivery_recipients WHERE org = $1 AND delivery IN (SELECT d.key FROM deliveries d WHERE \
             d.org = $1 AND d.report = $2)",
            "DELETE FROM deliveries WHERE org = $1 AND report = $2",
            "DELETE FROM schedules WHERE org = $1 AND report = $2",
            "DELETE FROM report_keys WHERE org = $1 AND report = $2",
            "DELETE FROM reports WHERE org = $1 AND key = $2",
        ] {
            tx.execute(Sql::new(delete).with(tx.org).with(report.key)).await?;
        }
        tx.commit().await?;
        Ok(Ok(()))
    }
}

/// The report that the caller may change.
async fn changeable(
    tx: &mut OrgTx,
    access: &ReportAccess,
    id: Uuid,
    expected: Option<&ETags>,
) -> Result<Result<KeptReport, ReportRefusal>, StoreError> {
    let Some(report) = opened(tx, access, id).await? else {
        return Ok(Err(ReportRefusal::NotFound));
    };
    if !access.may_change(&report.owner) {
        return Ok(Err(ReportRefusal::NotYours));
    }
    if expected.is_some_and(|tags| !tags.contains(&report.version.to_string())) {
        return Ok(Err(ReportRefusal::Stale));
    }
    Ok(Ok(report))
}

/// The report that the caller may open, as this transaction sees it.
pub(crate) async fn opened(
    tx: &mut OrgTx,
    access: &ReportAccess,
    id: Uuid,
) -> Result<Option<KeptReport>, StoreError> {
    let row = tx.fetch_optional(one(tx.org, access, id)).await?;
    row.as_ref().map(read).transpose()
}

fn one(org: i64, access: &ReportAccess, id: Uuid) -> Sql {
    let mut sql = Sql::new(SELECT).with(org);
    sql.push(" AND r.id = ").bind(id);
    push_access(&mut sql, access);
    sql
}

/// Narrows the reports `r` to those that the caller may open.
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

async fn insert(tx: &mut OrgTx, report: &KeptReport) -> Result<(), StoreError> {
    let columns = [
        "org",
        "key",
        "id",
        "owner",
        "name",
        "search",
        "shared",
        "filter",
        "columns",
        "version",
        "created_at",
        "updated_at",
    ];
    let row = vec![
        tx.org.into(),
        report.key.into(),
        report.id.into(),
        report.owner.as_str().into(),
        report.name.as_str().into(),
        fold(&report.name).into(),
        report.shared.into(),
        report.filter.as_str().into(),
        report.columns.as_str().into(),
        report.version.into(),
        report.created_at.micros().into(),
        report.updated_at.micros().into(),
    ];
    tx.insert("reports", &columns, vec![row]).await
}
