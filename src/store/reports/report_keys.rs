//! Keys of reports: which report each opens and the hash of its secret, never the secret (product text, section 9).
//!
//! A key that is revoked is gone, and so are those of a report that is deleted.

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};

use crate::store::db::database::{Row, Sql};
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError};
use crate::store::reports::saved_reports::opened;

/// The most keys that one report may have.
pub const MAX_REPORT_KEYS: i64 = 50;

/// A report's key as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReportKey {
    /// What `/v1/reports/{id}/keys/{key}` names.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a key opens, and in whose name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedByKey {
    /// The organisation.
    pub org: OrgId,
    /// The key's id.
    pub key: Uuid,
    /// The report's id.
    pub report: Uuid,
    /// The report's owner.
    pub owner: UserId,
}

/// Why a key is neither made, shown nor revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// There is no such report or key, or none that the caller may open.
    #[error("there is no such report or key")]
    NotFound,
    /// The caller may open the report, and not have a key to it made.
    #[error("only a report's owner makes keys to it")]
    NotTheOwner,
    /// The caller may open the report, and neither see nor revoke its keys.
    #[error("only a report's owner, or an owner or admin of the organisation, sees and revokes its keys")]
    NotYours,
    /// The report has too many keys.
    #[error("a report has at most {MAX_REPORT_KEYS} keys; revoke one that nobody uses")]
    TooMany,
}

fn read(row: &Row) -> Result<KeptReportKey, StoreError> {
    Ok(KeptReportKey {
        id: row.get(0)?,
        name: row.get(1)?,
        created_at: Timestamp::from_micros(row.get(2)?),
    })
}

impl Store {
    /// Keeps a new key to a report of the caller's own; `secret_hash` is the SHA-256 of its secret.
    pub async fn add_report_key(
        &self,
        access: &ReportAccess,
        report: Uuid,
        name: &str,
        secret_hash: &[u8],
    ) -> Result<Result<KeptReportKey, KeyRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let Some(report) = opened(&mut tx, access, report).await? else {
            return Ok(Err(KeyRefusal::NotFound));
        };
        if access.user() != Some(&report.owner) || !access.may_change(&report.owner) {
            return Ok(Err(KeyRefusal::NotTheOwner));
        }
        let count = Sql::new("SELECT count(*) FROM report_keys WHERE org = $1 AND report = $2");
        let there = tx.count(count.with(tx.org).with(report.key)).await?;
        if there >= MAX_REPORT_KEYS {
            return Ok(Err(KeyRefusal::TooMany));
        }
        let kept = KeptReportKey {
            id: self.clock().new_uuid(),
            name: name.to_owned(),
            created_at: self.clock().now().whole_millisecond(),
        };
        let columns = ["org", "key", "id", "report", "name", "secret_hash", "created_at"];
        let row = vec![
            tx.org.into(),
            tx.next_key().into(),
            kept.id.into(),
            report.key.into(),
            name.into(),
            secret_hash.to_vec().into(),
            kept.created_at.micros().into(),
        ];
        tx.insert("report_keys", &columns, vec![row]).await?;
        tx.commit().await?;
        Ok(Ok(kept))
    }

    /// The keys of a report, the newest first.
    pub async fn report_keys(
        &self,
        access: &ReportAccess,
        report: Uuid,
    ) -> Result<Result<Vec<KeptReportKey>, KeyRefusal>, StoreError> {
        let (Some(report), Some(org)) = (
            self.report(access, report).await?,
            self.organisation_key(access.org()).await?,
        ) else {
            return Ok(Err(KeyRefusal::NotFound));
        };
        if !access.may_change(&report.owner) {
            return Ok(Err(KeyRefusal::NotYours));
        }
        let select = Sql::new(
            "SELECT id, name, created_at FROM report_keys WHERE org = $1 AND report = $2 ORDER BY id DESC",
        );
        let rows = self.db().fetch_all(select.with(org).with(report.key)).await?;
        Ok(Ok(rows.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// Revokes a key of a report, for ever.
    pub async fn remove_report_key(
        &self,
        access: &ReportAccess,
        report: Uuid,
        key: Uuid,
    ) -> Result<Result<(), KeyRefusal>, StoreError> {
        let mut tx = self.write(access.org()).await?;
        let Some(report) = opened(&mut tx, access, report).await? else {
            return Ok(Err(KeyRefusal::NotFound));
        };
        if !access.may_change(&report.owner) {
            return Ok(Err(KeyRefusal::NotYours));
        }
        let delete = Sql::new("DELETE FROM report_keys WHERE org = $1 AND report = $2 AND id = $3");
        let deleted = tx.execute(delete.with(tx.org).with(report.key).with(key)).await?;
        if deleted == 0 {
            return Ok(Err(KeyRefusal::NotFound));
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// What the key opens whose secret has this SHA-256; `None` where there is none, or none any more.
    ///
    /// It needs no [`ReportAccess`]: whoever has the secret is the one who asks.
    pub async fn report_key(&self, secret_hash: &[u8]) -> Result<Option<OpenedByKey>, StoreError> {
        let select = Sql::new(
            "SELECT o.id, k.id, r.id, r.owner FROM report_keys k JOIN reports r ON r.org = k.org AND \
             r.key = k.report JOIN organisations o ON o.key = k.org WHERE k.secret_hash = $1",
        );
        let row = self
            .db()
            .fetch_optional(select.with(secret_hash.to_vec()))
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some(OpenedByKey {
            org: read_id(&row, 0)?,
            key: row.get(1)?,
            report: row.get(2)?,
            owner: read_id(&row, 3)?,
        }))
    }
}
