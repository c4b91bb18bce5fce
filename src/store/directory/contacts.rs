//! The present role, state and e-mail address of a user, for schedules and report keys
//! (`docs/specification.md#schedules`).

use crate::access::Role;
use crate::base::ids::{OrgId, UserId};
use crate::log::row::full_name;
use crate::record::Identifier;

use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::persons::digest_of;

/// A user as a recipient of e-mail, or as the owner of a schedule or report key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The id.
    pub user: UserId,
    /// The name, or the id of a user without a name.
    pub name: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// The role in the directory.
    pub role: Role,
    /// Whether the user is active.
    pub active: bool,
    /// The language, as the directory has it.
    pub language: Option<String>,
}

columns! {
    struct ContactRow {
        id: UserId = "u.id",
        first_name: Option<String> = "u.first_name",
        last_name: Option<String> = "u.last_name",
        email: Option<String> = "u.email",
        role: Role = "u.role",
        active: bool = "u.active",
        language: Option<String> = "u.language",
    }
}

/// The query for [`ContactRow`], with a condition at its end.
fn select(condition: &str) -> String {
    format!(
        "SELECT {} FROM users u WHERE u.org = $1 AND {condition}",
        ContactRow::COLUMNS
    )
}

impl Store {
    /// The user with that id, active or not.
    pub async fn contact(&self, organisation: &OrgId, user: &UserId) -> Result<Option<Contact>, StoreError> {
        let sql = select("u.id = $2");
        self.one_contact(organisation, |org| Sql::new(&sql).with(org).with(user.as_str()))
            .await
    }

    /// The user that has the address as an identifier. An earlier address counts until another user
    /// claims it.
    pub async fn contact_by_email(
        &self,
        organisation: &OrgId,
        address: &str,
    ) -> Result<Option<Contact>, StoreError> {
        let Some(mbox) = Identifier::from_email(address) else {
            return Ok(None);
        };
        let sql = select(
            "u.key = (SELECT p.user_key FROM persons p WHERE p.org = $1 AND p.digest = $2 AND p.valid_until IS NULL)",
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
        let row: Option<ContactRow> = self.db().fetch_row(select(org)).await?;
        Ok(row.map(|row| Contact {
            name: full_name(row.first_name.as_deref(), row.last_name.as_deref())
                .unwrap_or_else(|| row.id.to_string()),
            user: row.id,
            email: row.email,
            role: row.role,
            active: row.active,
            language: row.language,
        }))
    }
}
