//! Reading the merged definition of an Activity (xAPI 1.0.3, Communication 2.5).

use crate::base::ids::OrgId;
use crate::record::definition::from_title;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError, digest};

impl Store {
    /// What is known of the Activity with that IRI, as the JSON text of a definition (xAPI 1.0.3, Communication
    /// 2.5): what records said of it, else the title of the registered content that it is. `None` where nobody
    /// has said anything.
    pub async fn definition(&self, organisation: &OrgId, iri: &str) -> Result<Option<String>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select =
            Sql::new("SELECT definition, registered, title FROM contents WHERE org = $1 AND digest = $2");
        let Some(row) = self
            .db()
            .fetch_optional(select.with(org).with(digest(iri)))
            .await?
        else {
            return Ok(None);
        };
        let said: Option<String> = row.get(0)?;
        let (registered, title): (bool, Option<String>) = (row.get(1)?, row.get(2)?);
        Ok(said.or_else(|| title.filter(|_| registered).map(|title| from_title(&title))))
    }
}
