//! Changing the settings of an organisation.

use crate::base::ids::OrgId;
use crate::store::db::database::Sql;
use crate::store::db::organisations::Organisation;
use crate::store::db::{Store, StoreError};

/// Changes of the settings of an organisation. `None` leaves a setting as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrganisationChange {
    /// A new name.
    pub name: Option<String>,
    /// A new time zone: a valid IANA name.
    pub time_zone: Option<String>,
    /// A new home page: a valid IRI.
    pub account_home_page: Option<String>,
    /// Whether managers see their indirect reports.
    pub managers_see_indirect_reports: Option<bool>,
}

impl Store {
    /// Changes the settings and returns them. `None` if the home page cannot change, because a record has used an account
    /// on it (`docs/specification.md#organisation`).
    pub async fn change_organisation(
        &self,
        id: &OrgId,
        change: OrganisationChange,
    ) -> Result<Option<Organisation>, StoreError> {
        let mut tx = self.write(id).await?;
        let before = tx.organisation().await?;
        let after = Organisation {
            name: change.name.unwrap_or_else(|| before.name.clone()),
            time_zone: change.time_zone.unwrap_or_else(|| before.time_zone.clone()),
            account_home_page: change
                .account_home_page
                .unwrap_or_else(|| before.account_home_page.clone()),
            managers_see_indirect_reports: change
                .managers_see_indirect_reports
                .unwrap_or(before.managers_see_indirect_reports),
        };
        let moves = after.account_home_page != before.account_home_page;
        if moves && tx.has_used_home_page(&before.account_home_page).await? {
            return Ok(None);
        }
        let update = Sql::new(
            "UPDATE organisations SET name = $2, time_zone = $3, account_home_page = $4, \
             managers_see_indirect_reports = $5 WHERE key = $1",
        );
        let update = update
            .with(tx.org)
            .with(after.name.as_str())
            .with(after.time_zone.as_str())
            .with(after.account_home_page.as_str())
            .with(after.managers_see_indirect_reports);
        tx.execute(update).await?;
        if moves {
            tx.allow_long_statements().await?;
            tx.claim_accounts(&after.account_home_page).await?;
        }
        tx.invalidate_caches();
        tx.commit().await?;
        Ok(Some(after))
    }
}
