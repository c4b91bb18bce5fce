//! Credentials: their scopes and the hashes of their secrets. The secrets themselves are not stored.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};

columns! {
    /// A stored credential.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredCredential {
        /// The organisation.
        pub org: OrgId = "o.id",
        /// The id in `/v1/credentials/{id}`.
        pub id: Uuid = "c.id",
        /// The user part of HTTP Basic, unique among all organisations.
        pub key: String = "c.key",
        /// The name for people.
        pub name: String = "c.name",
        /// SHA-256 of the secret.
        pub secret_hash: Vec<u8> = "c.secret_hash",
        /// Its scopes, by key, separated by spaces.
        pub scopes: String = "c.scopes",
        /// When it was created.
        pub created_at: Timestamp = "c.created_at",
        /// When it was revoked.
        pub revoked_at: Option<Timestamp> = "c.revoked_at",
    }
}

/// The query for [`StoredCredential`], with a condition at its end.
fn select(condition: &str) -> Sql {
    Sql::new(&format!(
        "SELECT {} FROM credentials c JOIN organisations o ON o.key = c.org WHERE {condition}",
        StoredCredential::COLUMNS
    ))
}

impl Store {
    /// The credential with that key, revoked or not.
    pub async fn credential(&self, key: &str) -> Result<Option<StoredCredential>, StoreError> {
        self.db().fetch_row(select("c.key = $1").with(key)).await
    }

    /// The organisation's credentials, the newest first; revoked ones are left out.
    pub async fn credentials(&self, organisation: &OrgId) -> Result<Vec<StoredCredential>, StoreError> {
        let select = select("o.id = $1 AND c.revoked_at IS NULL ORDER BY c.created_at DESC, c.key");
        self.db().fetch_rows(select.with(organisation.as_str())).await
    }

    /// Stores a new credential. Returns false if the key exists already.
    pub async fn add_credential(&self, credential: StoredCredential) -> Result<bool, StoreError> {
        let mut tx = self.write(&credential.org).await?;
        let insert = Sql::new(
            "INSERT INTO credentials (key, org, id, name, secret_hash, scopes, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key) DO NOTHING",
        );
        let insert = insert
            .with(credential.key)
            .with(tx.org)
            .with(credential.id)
            .with(credential.name)
            .with(credential.secret_hash)
            .with(credential.scopes)
            .with(credential.created_at.micros());
        let added = tx.execute(insert).await? > 0;
        tx.commit().await?;
        Ok(added)
    }

    /// Revokes the credential with that id. Returns false if the organisation has no such credential.
    pub async fn revoke_credential(&self, organisation: &OrgId, id: Uuid) -> Result<bool, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(false);
        };
        let mut tx = self.write(organisation).await?;
        let update = Sql::new(
            "UPDATE credentials SET revoked_at = $3 WHERE org = $1 AND id = $2 AND revoked_at IS NULL",
        );
        let update = update.with(org).with(id).with(self.clock().now().micros());
        let revoked = tx.execute(update).await? > 0;
        tx.commit().await?;
        Ok(revoked)
    }
}
