//! Credentials: their scopes and the hashes of their secrets. The secrets themselves are not stored.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;

use crate::store::db::database::{Row, Sql};
use crate::store::db::{Store, StoreError};

/// A stored credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCredential {
    /// The organisation.
    pub org: OrgId,
    /// The id in `/v1/credentials/{id}`.
    pub id: Uuid,
    /// The user part of HTTP Basic, unique among all organisations.
    pub key: String,
    /// The name for people.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_hash: Vec<u8>,
    /// Its scopes, by key, separated by spaces.
    pub scopes: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

const COLUMNS: &str = "SELECT o.id, c.id, c.key, c.name, c.secret_hash, c.scopes, c.created_at, c.revoked_at \
     FROM credentials c JOIN organisations o ON o.key = c.org";

fn read(row: &Row) -> Result<StoredCredential, StoreError> {
    let org: String = row.get(0)?;
    Ok(StoredCredential {
        org: OrgId::new(org).map_err(|error| StoreError::corrupt("organisation id", error))?,
        id: row.get(1)?,
        key: row.get(2)?,
        name: row.get(3)?,
        secret_hash: row.get(4)?,
        scopes: row.get(5)?,
        created_at: Timestamp::from_micros(row.get(6)?),
        revoked_at: row.get::<Option<i64>>(7)?.map(Timestamp::from_micros),
    })
}

impl Store {
    /// The credential with that key, revoked or not.
    pub async fn credential(&self, key: &str) -> Result<Option<StoredCredential>, StoreError> {
        let select = Sql::new(&format!("{COLUMNS} WHERE c.key = $1")).with(key);
        self.db()
            .fetch_optional(select)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// The organisation's credentials, the newest first; revoked ones are left out.
    pub async fn credentials(&self, organisation: &OrgId) -> Result<Vec<StoredCredential>, StoreError> {
        let select = Sql::new(&format!(
            "{COLUMNS} WHERE o.id = $1 AND c.revoked_at IS NULL ORDER BY c.created_at DESC, c.key"
        ));
        self.db()
            .fetch_all(select.with(organisation.as_str()))
            .await?
            .iter()
            .map(read)
            .collect()
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
