//! Reads the merged definition of an Activity (xAPI 1.0.3, Communication 2.5).

use crate::base::ids::OrgId;
use crate::record::definition::from_title;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError, digest};

columns! {
    /// What the catalogue knows about an Activity.
    struct ActivityRow {
        definition: Option<String> = "definition",
        registered: bool = "registered",
        title: Option<String> = "title",
    }
}

impl Store {
    /// Finds the definition of the Activity with this IRI, as JSON: the definition that the records give it, or else
    /// the title of the registered content. Returns `None` if neither exists.
    pub async fn find_definition(
        &self,
        organisation: &OrgId,
        iri: &str,
    ) -> Result<Option<String>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select = Sql::new(&format!(
            "SELECT {} FROM contents WHERE org = $1 AND digest = $2",
            ActivityRow::COLUMNS
        ));
        let row: Option<ActivityRow> = self.db().fetch_row(select.with(org).with(digest(iri))).await?;
        Ok(row.and_then(|row| {
            let title = row.title.filter(|_| row.registered);
            row.definition.or_else(|| title.map(|title| from_title(&title)))
        }))
    }
}
