//! Finds the keys that a filter selects, for counting by columns. Persons and contents are found as for a page of the log.

use crate::log::Filter;
use crate::log::columns::selection::{RowSelection, SelectedPersons, SelectedSources};

use crate::store::activity_log::conditions::{folded, select_contents_of_sources};
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::Persons;

use super::Counted;

impl Store {
    /// The rows of a filter.
    pub(super) async fn select_rows_of(
        &self,
        org: i64,
        counted: Counted<'_>,
    ) -> Result<RowSelection, StoreError> {
        let Counted { filter: scoped, now } = counted;
        let filter = *scoped.inner();
        let persons = match self.persons(org, scoped, filter).await? {
            Persons::Only(persons) => SelectedPersons::Only(persons),
            Persons::Everyone {
                deactivated_too: true,
            } => SelectedPersons::AllExcept(Vec::new()),
            Persons::Everyone {
                deactivated_too: false,
            } => SelectedPersons::AllExcept(self.find_deactivated_persons(org).await?),
        };
        let contents = self.find_content_keys(org, filter).await?;
        let (mut verbs, mut sources) = (Vec::new(), Vec::new());
        for filter in filter.each() {
            if !filter.verbs.is_empty() {
                verbs.push(self.find_verb_keys(org, filter).await?.into_iter().collect());
            }
            if !filter.sources.is_empty() {
                sources.push(self.find_sources(org, filter).await?);
            }
        }
        let arrival = self.find_arrival(org, filter).await?;
        Ok(RowSelection {
            persons,
            contents,
            filter: filter.clone(),
            verbs,
            sources,
            seqs: arrival.map_or((i64::MIN, i64::MAX), |arrival| arrival.bounds()),
            now,
        })
    }

    /// The persons of deactivated users.
    async fn find_deactivated_persons(&self, org: i64) -> Result<Vec<i64>, StoreError> {
        let version = self.directory_version(org).await?;
        let select = Sql::new(
            "SELECT p.key FROM persons p INDEXED BY persons_deactivated WHERE p.org = $1 AND p.deactivated",
        );
        let keys = self
            .directory_keys(&mut self.db(), version, select.with(org))
            .await?;
        Ok(keys.to_vec())
    }

    async fn find_sources(&self, org: i64, filter: &Filter) -> Result<SelectedSources, StoreError> {
        let folded = folded(&filter.sources);
        let select = select_contents_of_sources(org, folded.clone());
        let contents: Vec<(i64,)> = self.db().fetch_rows(select).await?;
        Ok(SelectedSources {
            folded: folded.into_iter().collect(),
            contents: contents.into_iter().map(|(key,)| key).collect(),
        })
    }
}
