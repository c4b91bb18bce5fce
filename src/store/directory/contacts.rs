//! What the directory says of one user at this moment, where nobody is asking: their role, whether they are active, and
//! where they can be written to (product text, sections 4 and 9).

use crate::access::Role;
use crate::base::ids::{OrgId, UserId};
use crate::record::Identifier;

use crate::store::db::database::Sql;
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError};
use crate::store::directory::lookups::full_name;
use crate::store::ingest::persons::digest_of;

/// A user as whoever writes to them or acts in their name must know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Their id.
    pub user: UserId,
    /// Their name; their id where they have none.
    pub name: String,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Their role.
    pub role: Role,
    /// Whether they are active.
    pub active: bool,
}

const SELECT: &str =
    "SELECT u.id, u.first_name, u.last_name, u.email, u.role, u.active FROM users u WHERE u.org = $1";

impl Store {
    /// The user with that id, deactivated or not.
    pub async fn contact(&self, organisation: &OrgId, user: &UserId) -> Result<Option<Contact>, StoreError> {
        let sql = format!("{SELECT} AND u.id = $2");
        self.one_contact(organisation, |org| Sql::new(&sql).with(org).with(user.as_str()))
            .await
    }

    /// The user whom the address is bound to, one that they had before included: it stays with them (product text,
    /// section 5).
    pub async fn contact_by_email(
        &self,
        organisation: &OrgId,
        address: &str,
    ) -> Result<Option<Contact>, StoreError> {
        let Some(mbox) = Identifier::from_email(address) else {
            return Ok(None);
        };
        let sql = format!(
            "{SELECT} AND u.key = (SELECT p.user_key FROM persons p WHERE p.org = $1 AND p.digest = $2)"
        );
        self.one_contact(organisation, |org| {
            Sql::new(&sql).with(org).with(digest_of(&mbox))
        })
        .await
    }

    async fn one_contact(
        &self,
        organisation: &OrgId,
        select: impl FnOnce(i64) -> Sql,
    ) -> Result<Option<Contact>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let Some(row) = self.db().fetch_optional(select(org)).await? else {
            return Ok(None);
        };
        let user: UserId = read_id(&row, 0)?;
        let role: String = row.get(4)?;
        Ok(Some(Contact {
            name: full_name(row.get(1)?, row.get(2)?).unwrap_or_else(|| user.to_string()),
            user,
            email: row.get(3)?,
            role: role.parse().map_err(|error| StoreError::corrupt("role", error))?,
            active: row.get(5)?,
        }))
    }
}
