//! Reports and schedules as resources: both have an id and a version, and are found, changed and deleted in the same way.

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;

use crate::store::db::columns::FromRow;
use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError};
use crate::store::lrs::documents::ETags;
use crate::store::reports::report_keys::MAX_REPORT_KEYS;
use crate::store::reports::saved_reports::MAX_REPORTS;
use crate::store::reports::schedules::{MAX_PENDING_RUNS, MAX_SCHEDULES};

/// Why a report, a schedule or a key is not created, changed, deleted or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefusal {
    /// The resource does not exist, or not for the caller.
    #[error("the resource does not exist")]
    NotFound,
    /// The caller may open the report, but not change it.
    #[error("only its owner, or an owner or admin of the organisation, changes or deletes a report")]
    NotChangeable,
    /// The caller may open the report, but does not own it.
    #[error("only a report's owner makes keys to it")]
    KeyByOwnerOnly,
    /// The caller may open the report, but not manage its keys.
    #[error("only a report's owner, or an owner or admin of the organisation, sees and revokes its keys")]
    KeysNotVisible,
    /// `If-Match` names another version of the resource.
    #[error(
        "it was changed since: If-Match names another version. Read it again, and send the change for the new version"
    )]
    Stale,
    /// The user owns the maximum number of reports.
    #[error("a user owns at most {MAX_REPORTS} reports; delete one that is not needed")]
    TooManyReports,
    /// The report has the maximum number of schedules.
    #[error("a report has at most {MAX_SCHEDULES} schedules; delete one that is not needed")]
    TooManySchedules,
    /// The report has the maximum number of keys.
    #[error("a report has at most {MAX_REPORT_KEYS} keys; revoke one that is not used")]
    TooManyKeys,
    /// The schedule has the maximum number of pending runs.
    #[error("{MAX_PENDING_RUNS} runs of this schedule are pending; wait until they have ended")]
    TooManyRuns,
    /// The new content is invalid.
    #[error("the content is invalid")]
    Faults(Faults),
}

/// A report or a schedule, as it is stored.
pub(crate) trait ReportResource: FromRow + Clone + PartialEq {
    /// The table.
    const TABLE: &'static str;
    /// The statements that delete the resource and all rows that belong to it. `$1` is the organisation, `$2` the key.
    const DELETE: &'static [&'static str];
    /// What a client changes.
    type Change;

    /// The query for the resource with this id, if it exists for the caller.
    fn query(org: i64, access: &ReportAccess, id: Uuid) -> Sql;

    /// Adds what is stored in other tables. Used for resources that are returned to the client.
    async fn complete(self, store: &Store, org: i64) -> Result<Self, StoreError>;

    /// The key in the organisation's tables.
    fn key(&self) -> i64;

    /// The number of the version: its ETag.
    fn version(&self) -> i64;

    /// The resource after the change.
    fn changed(&self, change: &Self::Change) -> Self;

    /// Sets the version and the time of the change.
    fn set_version(&mut self, version: i64, updated_at: Timestamp);

    /// The columns that a change writes, with their values.
    fn content_columns(&self) -> Vec<(&'static str, Value)>;

    /// Whether a caller that finds the resource may change it.
    fn is_changeable(&self, access: &ReportAccess) -> bool;

    /// Whether the caller may leave the resource in this state. If not, the resource does not exist for the caller.
    async fn is_allowed_state(&self, tx: &mut OrgTx, access: &ReportAccess) -> Result<bool, StoreError>;

    /// Writes what the change means for other resources, in the transaction of the change.
    async fn write_consequences(
        _tx: &mut OrgTx,
        _access: &ReportAccess,
        _changed: Changed<'_, Self>,
    ) -> Result<Result<(), ReportRefusal>, StoreError> {
        Ok(Ok(()))
    }
}

/// A resource before and after a change.
pub(crate) struct Changed<'a, R: ReportResource> {
    /// The resource before.
    pub(crate) before: &'a R,
    /// The resource after.
    pub(crate) after: &'a R,
    /// The change.
    pub(crate) change: &'a R::Change,
}

impl Store {
    /// Finds a resource. `None` if it does not exist for the caller.
    pub(crate) async fn find_resource<R: ReportResource>(
        &self,
        access: &ReportAccess,
        id: Uuid,
    ) -> Result<Option<R>, StoreError> {
        let Some(org) = self.organisation_key(access.org()).await? else {
            return Ok(None);
        };
        match self.db().fetch_row::<R>(R::query(org, access, id)).await? {
            Some(resource) => resource.complete(self, org).await.map(Some),
            None => Ok(None),
        }
    }

    /// Changes a resource. `change` gets the stored resource and returns the change. The version stays if the resource does
    /// not change.
    ///
    /// With `expected`, the stored version must be one of these ETags.
    pub(crate) async fn change_resource<R: ReportResource>(
        &self,
        access: &ReportAccess,
        id: Uuid,
        expected: Option<&ETags>,
        change: impl FnOnce(&R) -> Result<R::Change, Faults>,
    ) -> Result<Result<R, ReportRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let org = tx.org;
        let before = match find_changeable::<R>(&mut tx, access, id, expected).await? {
            Ok(resource) => resource,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let change = match change(&before) {
            Ok(change) => change,
            Err(faults) => return Ok(Err(ReportRefusal::Faults(faults))),
        };
        let mut after = before.changed(&change);
        if after == before {
            drop(tx);
            return Ok(Ok(before.complete(self, org).await?));
        }
        if !after.is_allowed_state(&mut tx, access).await? {
            return Ok(Err(ReportRefusal::NotFound));
        }
        after.set_version(before.version() + 1, self.clock().now().whole_millisecond());
        tx.execute(update(org, &after)).await?;
        let changed = Changed {
            before: &before,
            after: &after,
            change: &change,
        };
        if let Err(refusal) = R::write_consequences(&mut tx, access, changed).await? {
            return Ok(Err(refusal));
        }
        tx.commit().await?;
        Ok(Ok(after.complete(self, org).await?))
    }

    /// Deletes a resource and all that belongs to it.
    ///
    /// With `expected`, the stored version must be one of these ETags.
    pub(crate) async fn delete_resource<R: ReportResource>(
        &self,
        access: &ReportAccess,
        id: Uuid,
        expected: Option<&ETags>,
    ) -> Result<Result<(), ReportRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let resource = match find_changeable::<R>(&mut tx, access, id, expected).await? {
            Ok(resource) => resource,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for delete in R::DELETE {
            tx.execute(Sql::new(delete).with(tx.org).with(resource.key()))
                .await?;
        }
        tx.commit().await?;
        Ok(Ok(()))
    }
}

impl OrgTx {
    /// Finds a resource in this transaction. `None` if it does not exist for the caller.
    pub(crate) async fn find_resource<R: ReportResource>(
        &mut self,
        access: &ReportAccess,
        id: Uuid,
    ) -> Result<Option<R>, StoreError> {
        self.fetch_row(R::query(self.org, access, id)).await
    }

    /// Inserts a resource: the `fixed` columns, which never change, and the content.
    pub(crate) async fn insert_resource<R: ReportResource>(
        &mut self,
        resource: &R,
        fixed: Vec<(&'static str, Value)>,
    ) -> Result<(), StoreError> {
        let identity = [("org", self.org.into()), ("key", resource.key().into())];
        let columns = identity
            .into_iter()
            .chain(fixed)
            .chain(resource.content_columns());
        let (names, values): (Vec<_>, Vec<_>) = columns.unzip();
        self.insert(R::TABLE, &names, vec![values]).await
    }
}

/// Finds a resource that the caller may change.
pub(crate) async fn find_changeable<R: ReportResource>(
    tx: &mut OrgTx,
    access: &ReportAccess,
    id: Uuid,
    expected: Option<&ETags>,
) -> Result<Result<R, ReportRefusal>, StoreError> {
    let Some(resource) = tx.find_resource::<R>(access, id).await? else {
        return Ok(Err(ReportRefusal::NotFound));
    };
    if !resource.is_changeable(access) {
        return Ok(Err(ReportRefusal::NotChangeable));
    }
    if expected.is_some_and(|tags| !tags.contains(&resource.version().to_string())) {
        return Ok(Err(ReportRefusal::Stale));
    }
    Ok(Ok(resource))
}

fn update<R: ReportResource>(org: i64, resource: &R) -> Sql {
    let mut sql = Sql::new("UPDATE ");
    sql.push(R::TABLE);
    for (index, (column, value)) in resource.content_columns().into_iter().enumerate() {
        sql.push(if index == 0 { " SET " } else { ", " });
        sql.push(column).push(" = ").bind(value);
    }
    sql.push(" WHERE org = ").bind(org);
    sql.push(" AND key = ").bind(resource.key());
    sql
}
