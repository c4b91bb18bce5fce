//! The recipients of reports that a caller with a limited reach knows to be users.

use std::collections::{HashMap, HashSet};

use crate::access::Reach;
use crate::base::ids::{OrgId, UserId};
use crate::record::Identifier;

use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::persons::digest_of;

use super::reach::push_users;

impl Store {
    /// The texts that name a user within the reach: by the id, or by an address that the user has. An id comes before an
    /// address, as in [`Store::contact`] and [`Store::contact_by_email`].
    ///
    /// The queries are the same whether the users exist or not, so their duration tells nothing.
    pub async fn find_disclosed_recipients(
        &self,
        organisation: &OrgId,
        reach: &Reach,
        recipients: &[String],
    ) -> Result<HashSet<String>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(HashSet::new());
        };
        let mut named = self.find_users_of_recipients(org, recipients).await?;
        let users: HashSet<String> = named.values().cloned().collect();
        let visible = self.resolve_users(org, reach).await?;
        let mut sql = Sql::new("SELECT u.id FROM users u WHERE u.org = $1 AND u.id").with(org);
        sql.any_of(users.into_iter().collect::<Vec<_>>());
        push_users(&mut sql, "u.key", &visible);
        let visible: Vec<(UserId,)> = self.db().fetch_rows(sql).await?;
        let visible: HashSet<String> = visible.into_iter().map(|(id,)| id.as_str().to_owned()).collect();
        named.retain(|_, user| visible.contains(user));
        Ok(named.into_keys().collect())
    }

    /// The ids of the users that the texts name, by text.
    async fn find_users_of_recipients(
        &self,
        org: i64,
        recipients: &[String],
    ) -> Result<HashMap<String, String>, StoreError> {
        let mut by_id = Sql::new("SELECT u.id FROM users u WHERE u.org = $1 AND u.id").with(org);
        by_id.any_of(recipients.to_vec());
        let ids: Vec<(UserId,)> = self.db().fetch_rows(by_id).await?;
        let ids = ids.into_iter().map(|(id,)| id.as_str().to_owned());
        let mut named: HashMap<String, String> = ids.map(|id| (id.clone(), id)).collect();
        let mut digests: HashMap<Vec<u8>, Vec<&String>> = HashMap::new();
        for text in recipients {
            if let Some(mbox) = Identifier::from_email(text) {
                digests.entry(digest_of(&mbox)).or_default().push(text);
            }
        }
        let mut by_address = Sql::new(
            "SELECT u.id, p.digest FROM persons p JOIN users u ON u.org = p.org AND u.key = p.user_key \
             WHERE p.org = $1 AND p.valid_until IS NULL AND p.digest",
        )
        .with(org);
        by_address.any_of(digests.keys().cloned().collect::<Vec<_>>());
        let users: Vec<(UserId, Vec<u8>)> = self.db().fetch_rows(by_address).await?;
        for (user, digest) in users {
            for text in digests.get(&digest).into_iter().flatten() {
                named
                    .entry((*text).clone())
                    .or_insert_with(|| user.as_str().to_owned());
            }
        }
        Ok(named)
    }
}
