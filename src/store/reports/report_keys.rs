//! Keys of reports: the report that each opens, and the hash of its secret. See `docs/specification.md#report-keys`.
//!
//! Revoking a key deletes it. Deleting a report deletes its keys.

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};

use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::reports::resource::ReportRefusal;
use crate::store::reports::saved_reports::StoredReport;

/// The most keys that one report may have.
pub const MAX_REPORT_KEYS: i64 = 50;

columns! {
    /// A stored key, without its secret.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredReportKey {
        /// The id in `/v1/reports/{id}/keys/{key}`.
        pub id: Uuid = "k.id",
        /// The name.
        pub name: String = "k.name",
        /// When it was made.
        pub created_at: Timestamp = "k.created_at",
    }
}

columns! {
    /// The report that a key opens.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct OpenedByKey {
        /// The organisation.
        pub org: OrgId = "o.id",
        /// The key's id.
        pub key: Uuid = "k.id",
        /// The report's id.
        pub report: Uuid = "r.id",
        /// The report's owner.
        pub owner: UserId = "r.owner",
    }
}

table_row! {
    /// A row of `report_keys`.
    struct NewReportKey in "report_keys" {
        org: i64 = "org",
        key: i64 = "key",
        id: Uuid = "id",
        report: i64 = "report",
        name: String = "name",
        secret_hash: Vec<u8> = "secret_hash",
        created_at: Timestamp = "created_at",
    }
}

impl Store {
    /// Adds a key to a report of the caller. `secret_hash` is the SHA-256 of its secret.
    pub async fn add_report_key(
        &self,
        access: &ReportAccess,
        report: Uuid,
        name: &str,
        secret_hash: &[u8],
    ) -> Result<Result<StoredReportKey, ReportRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let Some(report) = tx.find_resource::<StoredReport>(access, report).await? else {
            return Ok(Err(ReportRefusal::NotFound));
        };
        if access.user() != Some(&report.owner) || !access.may_change(&report.owner) {
            return Ok(Err(ReportRefusal::KeyByOwnerOnly));
        }
        let count = Sql::new("SELECT count(*) FROM report_keys WHERE org = $1 AND report = $2");
        let existing = tx.count(count.with(tx.org).with(report.key)).await?;
        if existing >= MAX_REPORT_KEYS {
            return Ok(Err(ReportRefusal::TooManyKeys));
        }
        let stored = StoredReportKey {
            id: self.clock().new_uuid(),
            name: name.to_owned(),
            created_at: self.clock().now().whole_millisecond(),
        };
        let row = NewReportKey {
            org: tx.org,
            key: tx.next_key(),
            id: stored.id,
            report: report.key,
            name: stored.name.clone(),
            secret_hash: secret_hash.to_vec(),
            created_at: stored.created_at,
        };
        tx.insert_rows(vec![row]).await?;
        tx.commit().await?;
        Ok(Ok(stored))
    }

    /// The keys of a report, the newest first.
    pub async fn find_report_keys(
        &self,
        access: &ReportAccess,
        report: Uuid,
    ) -> Result<Result<Vec<StoredReportKey>, ReportRefusal>, StoreError> {
        let (Some(report), Some(org)) = (
            self.find_resource::<StoredReport>(access, report).await?,
            self.organisation_key(access.org()).await?,
        ) else {
            return Ok(Err(ReportRefusal::NotFound));
        };
        if !access.may_change(&report.owner) {
            return Ok(Err(ReportRefusal::KeysNotVisible));
        }
        let mut sql = Sql::new("SELECT ");
        sql.push(StoredReportKey::COLUMNS)
            .push(" FROM report_keys k WHERE k.org = ")
            .bind(org);
        sql.push(" AND k.report = ")
            .bind(report.key)
            .push(" ORDER BY k.id DESC");
        Ok(Ok(self.db().fetch_rows(sql).await?))
    }

    /// Deletes a key of a report.
    pub async fn remove_report_key(
        &self,
        access: &ReportAccess,
        report: Uuid,
        key: Uuid,
    ) -> Result<Result<(), ReportRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let Some(report) = tx.find_resource::<StoredReport>(access, report).await? else {
            return Ok(Err(ReportRefusal::NotFound));
        };
        if !access.may_change(&report.owner) {
            return Ok(Err(ReportRefusal::KeysNotVisible));
        }
        let delete = Sql::new("DELETE FROM report_keys WHERE org = $1 AND report = $2 AND id = $3");
        let deleted = tx.execute(delete.with(tx.org).with(report.key).with(key)).await?;
        if deleted == 0 {
            return Ok(Err(ReportRefusal::NotFound));
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// The report that a secret opens. `None` if no key has this SHA-256 of its secret.
    ///
    /// It takes no [`ReportAccess`]: the secret itself proves the right.
    pub async fn find_report_by_key(&self, secret_hash: &[u8]) -> Result<Option<OpenedByKey>, StoreError> {
        let mut sql = Sql::new("SELECT ");
        sql.push(OpenedByKey::COLUMNS)
            .push(
                " FROM report_keys k JOIN reports r ON r.org = k.org AND r.key = k.report \
                 JOIN organisations o ON o.key = k.org WHERE k.secret_hash = ",
            )
            .bind(secret_hash.to_vec());
        self.db().fetch_row(sql).await
    }
}
