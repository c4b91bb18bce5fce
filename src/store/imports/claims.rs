//! Leases: one worker at a time works on an import, and an organisation has one worker at a time.
//!
//! The queries over all organisations join `organisations`: an organisation that is being moved here has rows, but no row there
//! until it is complete.

use std::time::Duration;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::columns::{FromRow as _, columns};
use crate::store::db::database::Sql;
use crate::store::db::unreadable::report_unreadable;
use crate::store::db::{Store, StoreError};
use crate::store::imports::ImportStatus;

/// Imports that are looked at when one is to be claimed: other workers claim some of them at the same time.
const CANDIDATES: i64 = 16;

columns! {
    /// An import that one worker has claimed, as it was at that time.
    #[derive(Debug, Clone)]
    pub struct ImportClaim {
        /// The organisation.
        pub org: OrgId = "o.id",
        /// The key of the organisation.
        pub org_key: i64 = "i.org",
        /// The key of the import.
        pub key: i64 = "i.key",
        /// The id of the import.
        pub id: Uuid = "i.id",
        /// The rights of the sender, as JSON.
        pub terms: String = "i.terms",
        /// The format of the file, as JSON.
        pub options: String = "i.options",
        /// The caller that sent it.
        pub sender: String = "i.sender",
        /// When it was sent.
        pub created_at: Timestamp = "i.created_at",
        /// The number of rows that are done.
        pub rows_read: i64 = "i.rows_read",
        /// The bytes of the rejected rows.
        pub rejected_bytes: i64 = "i.rejected_bytes",
        /// Where the next row begins, as JSON.
        pub place: String = "i.place",
        /// The headings of a CSV, as JSON.
        pub headings: Option<String> = "i.headings",
        /// The lease.
        pub lease: Uuid = "i.lease_token",
    }
}

/// The imports that a worker limits itself to: those of an organisation up to one of them.
#[derive(Debug, Clone)]
pub struct ClaimScope {
    /// The organisation.
    pub org: OrgId,
    /// The key of the last import.
    pub last: i64,
}

/// How an import ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportEnd {
    /// Every row was read.
    Done,
    /// It cannot be continued, for this reason.
    Failed(String),
}

impl Store {
    /// Claims the import that waits for the longest time, of the organisations that no worker works for, or within `scope`. The
    /// imports of an organisation are worked on in their order.
    pub async fn claim_import(
        &self,
        lease: Duration,
        scope: Option<&ClaimScope>,
    ) -> Result<Option<ImportClaim>, StoreError> {
        let mut sql = Sql::new(
            "SELECT i.org, i.key FROM imports i JOIN organisations o ON o.key = i.org WHERE i.due IS NOT NULL \
             AND (i.lease_until IS NULL OR i.lease_until <= NOW_MICROS()) \
             AND NOT EXISTS (SELECT 1 FROM imports e WHERE e.org = i.org AND e.due IS NOT NULL AND e.key < i.key)",
        );
        if let Some(scope) = scope {
            sql.push(" AND o.id = ").bind(scope.org.as_str());
            sql.push(" AND i.key <= ").bind(scope.last);
        }
        sql.push(" ORDER BY i.due LIMIT ").bind(CANDIDATES);
        let candidates: Vec<(i64, i64)> = self.db().fetch_rows(sql).await?;
        for (org, key) in candidates {
            match self.claim_one_import(org, key, lease).await {
                Ok(Some(claim)) => return Ok(Some(claim)),
                Ok(None) => {}
                // The lease is taken, so it is tried again when the lease has ended.
                Err(error) if error.is_unreadable() => report_unreadable("import", key, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether another organisation than this one waits for a worker.
    pub async fn has_waiting_import(&self, except: i64) -> Result<bool, StoreError> {
        let select = Sql::new(
            "SELECT 1 FROM imports i JOIN organisations o ON o.key = i.org \
             WHERE i.due IS NOT NULL AND i.org <> $1 AND NOT EXISTS \
             (SELECT 1 FROM imports e WHERE e.org = i.org AND e.due IS NOT NULL AND e.lease_until > NOW_MICROS()) \
             LIMIT 1",
        );
        Ok(self.db().fetch_optional(select.with(except)).await?.is_some())
    }

    async fn claim_one_import(
        &self,
        org: i64,
        key: i64,
        lease: Duration,
    ) -> Result<Option<ImportClaim>, StoreError> {
        let token = self.clock().new_uuid();
        let mut tx = self.db().begin().await?;
        let update = Sql::new(
            "UPDATE imports SET lease_token = $3, lease_until = NOW_MICROS() + $4, status = $5, \
             started_at = COALESCE(started_at, $6) WHERE org = $1 AND key = $2 AND due IS NOT NULL \
             AND (lease_until IS NULL OR lease_until <= NOW_MICROS())",
        );
        let update = update.with(org).with(key).with(token).with(to_micros(lease));
        let update = update.with(ImportStatus::Running).with(self.clock().now());
        if tx.execute(update).await? == 0 {
            return Ok(None);
        }
        let select = Sql::new(&format!(
            "SELECT {} FROM imports i JOIN organisations o ON o.key = i.org WHERE i.org = $1 AND i.key = $2",
            ImportClaim::COLUMNS
        ));
        let row = tx.fetch_optional(select.with(org).with(key)).await?;
        tx.commit().await?;
        // Read after the commit: a row that cannot be read must not stay the first candidate.
        row.as_ref().map(ImportClaim::from_row).transpose()
    }

    /// Renews the lease from now on. False if the claim is lost.
    pub async fn renew_import(&self, claim: &ImportClaim, lease: Duration) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE imports SET lease_until = NOW_MICROS() + $4 \
             WHERE org = $1 AND key = $2 AND lease_token = $3 AND due IS NOT NULL",
        );
        self.change_claimed(claim, |claimed| claimed(update).with(to_micros(lease)))
            .await
    }

    /// Puts the import at the end of the queue.
    pub async fn release_import(&self, claim: &ImportClaim) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE imports SET due = $4, lease_token = NULL, lease_until = NULL \
             WHERE org = $1 AND key = $2 AND lease_token = $3 AND due IS NOT NULL",
        );
        let now = self.clock().now();
        self.change_claimed(claim, |claimed| claimed(update).with(now))
            .await
    }

    /// Stores the headings of a CSV. False if the claim is lost.
    pub async fn store_import_headings(
        &self,
        claim: &ImportClaim,
        headings: &str,
    ) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE imports SET headings = $4 \
             WHERE org = $1 AND key = $2 AND lease_token = $3 AND due IS NOT NULL",
        );
        self.change_claimed(claim, |claimed| claimed(update).with(headings))
            .await
    }

    /// The number of rows that are done and the bytes of the rejected ones. `None` if the claim is lost.
    pub async fn import_progress(&self, claim: &ImportClaim) -> Result<Option<(i64, i64)>, StoreError> {
        let select = Sql::new(
            "SELECT rows_read, rejected_bytes FROM imports \
             WHERE org = $1 AND key = $2 AND lease_token = $3 AND due IS NOT NULL",
        );
        let select = select.with(claim.org_key).with(claim.key).with(claim.lease);
        self.db().fetch_row(select).await
    }

    /// Ends the import. False if the claim is lost.
    pub async fn end_import(&self, claim: &ImportClaim, end: ImportEnd) -> Result<bool, StoreError> {
        let (status, reason) = match end {
            ImportEnd::Done => (ImportStatus::Done, None),
            ImportEnd::Failed(reason) => (ImportStatus::Failed, Some(reason)),
        };
        let now = self.clock().now();
        let update = Sql::new(
            "UPDATE imports SET status = $4, reason = $5, finished_at = $6, due = NULL, cleanup_at = $6, \
             lease_token = NULL, lease_until = NULL \
             WHERE org = $1 AND key = $2 AND lease_token = $3 AND due IS NOT NULL",
        );
        self.change_claimed(claim, |claimed| {
            claimed(update).with(status).with(reason).with(now)
        })
        .await
    }

    /// Runs a statement that begins with the organisation, the import and the lease. False if it changes nothing.
    async fn change_claimed(
        &self,
        claim: &ImportClaim,
        statement: impl FnOnce(&dyn Fn(Sql) -> Sql) -> Sql,
    ) -> Result<bool, StoreError> {
        let claimed = |sql: Sql| sql.with(claim.org_key).with(claim.key).with(claim.lease);
        let statement = statement(&claimed);
        let mut tx = self.db().begin().await?;
        let held = tx.execute(statement).await? > 0;
        tx.commit().await?;
        Ok(held)
    }

    /// Waits until an import was sent to this server or has ended here.
    pub async fn importer_woken(&self) {
        self.importing().notified().await;
    }
}

fn to_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
