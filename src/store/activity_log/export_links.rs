//! Links to exports that browsers have not opened yet. See `docs/specification.md#links-to-exports`.
//!
//! A row belongs to an organisation by its id: a caller can ask for a link before the organisation exists.

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};

/// How long the row of an expired link is kept, so that the answer to it says that it has expired.
const KEPT_MICROS: i64 = 3_600_000_000;
/// The most rows of expired links that a new one removes.
const REMOVED_AT_ONCE: i64 = 100;

/// A link that a caller has asked for.
#[derive(Debug, Clone)]
pub struct NewExportLink {
    /// The digest of its secret.
    pub id: Vec<u8>,
    /// The organisation of the caller.
    pub organisation: OrgId,
    /// The id of the caller.
    pub caller: String,
    /// The encrypted request.
    pub request: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The encrypted request of a link, and when it expires.
pub type ExportLink = (String, Timestamp);

impl Store {
    /// Stores a link, and removes some that expired long ago. Returns false if the caller has `most` links that are not
    /// used and not expired. Requests at the same moment can exceed that number.
    pub async fn add_export_link(&self, link: NewExportLink, most: usize) -> Result<bool, StoreError> {
        let now = self.clock().now();
        self.remove_expired_links(now).await;
        let insert = Sql::new(
            "INSERT INTO export_links (id, organisation, caller, request, expires_at) SELECT $1, $2, $3, $4, $5 \
             WHERE (SELECT count(*) FROM export_links WHERE organisation = $2 AND caller = $3 AND expires_at > $6) < $7",
        );
        let insert = insert
            .with(link.id)
            .with(link.organisation.as_str())
            .with(link.caller)
            .with(link.request)
            .with(link.expires_at.micros())
            .with(now.micros())
            .with(i64::try_from(most).unwrap_or(i64::MAX));
        Ok(self.db().execute_alone(insert).await? > 0)
    }

    /// Removes some of the links that expired long ago. A failure only means that a later link removes them.
    async fn remove_expired_links(&self, now: Timestamp) {
        let delete = Sql::new(
            "DELETE FROM export_links WHERE id IN \
             (SELECT id FROM export_links WHERE expires_at < $1 ORDER BY expires_at, id LIMIT $2)",
        );
        let delete = delete.with(now.micros() - KEPT_MICROS).with(REMOVED_AT_ONCE);
        if let Err(cause) = self.db().execute_alone(delete).await {
            tracing::debug!(%cause, "expired links to exports were not removed");
        }
    }

    /// Removes a link. Returns false if it does not exist: of several requests at the same moment, one removes it.
    pub async fn use_export_link(&self, id: &[u8]) -> Result<bool, StoreError> {
        let delete = Sql::new("DELETE FROM export_links WHERE id = $1");
        Ok(self.db().execute_alone(delete.with(id.to_vec())).await? > 0)
    }

    /// Finds a link without using it.
    pub async fn find_export_link(&self, id: &[u8]) -> Result<Option<ExportLink>, StoreError> {
        let select = Sql::new("SELECT request, expires_at FROM export_links WHERE id = $1");
        self.db().fetch_row(select.with(id.to_vec())).await
    }
}
