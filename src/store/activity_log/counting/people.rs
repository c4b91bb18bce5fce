//! The users of the persons in the columns. They are cached for a version of the directory, which changes with every claim.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedRwLockReadGuard;

use crate::log::columns::people::People;

use crate::store::db::column_cache::{CachedColumns, CachedPeople, FollowedColumns, NO_SPACE_TIME};
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::directory::details::select_users_of_persons;

/// With more persons than this, the persons of all users are read at once.
const MANY_PERSONS: usize = 5_000;

impl Store {
    /// The users of all persons of the columns, at the present version of the directory or a later one. `None` if they do
    /// not fit into the memory.
    pub(super) async fn people_of(
        &self,
        org: i64,
        cached: &CachedColumns,
        followed: &Arc<OwnedRwLockReadGuard<FollowedColumns>>,
    ) -> Result<Option<OwnedRwLockReadGuard<CachedPeople>>, StoreError> {
        let columns = &followed.columns;
        let version = self.directory_version(org).await?.number;
        let is_present = |known: &CachedPeople| known.version == version && known.people.is_complete(columns);
        let known = Arc::clone(&cached.people).read_owned().await;
        if is_present(&known) {
            return Ok(Some(known));
        }
        drop(known);
        let mut known = Arc::clone(&cached.people).write_owned().await;
        if !is_present(&known) {
            let is_same_version = known.version == version;
            let asked = match is_same_version {
                true => columns.persons().get(known.people.len()..).unwrap_or_default(),
                false => columns.persons(),
            };
            let users = self.find_users_of(org, asked).await?;
            // There may be millions of sessions, and the threads of requests serve others.
            let extending = Arc::clone(followed);
            let extended = self.runtime().spawn_blocking(move || {
                let columns = &extending.columns;
                // Most changes of the directory leave the persons as they are, or add some.
                if !is_same_version && !known.people.are_those_of(columns, &users) {
                    known.people = People::default();
                }
                known.people.extend(columns, &users);
                known.version = version;
                known
            });
            known = extended.await.map_err(|_| StoreError::Closed)?;
            let bytes = known.people.bytes();
            cached.people_bytes.store(bytes, Ordering::Relaxed);
            if !self.column_cache().reserve_for(org, cached, columns.bytes()) {
                self.column_cache().refuse(org, NO_SPACE_TIME);
                return Ok(None);
            }
        }
        Ok(Some(known.downgrade()))
    }

    /// The users of these persons, for those that have one. Others may be among them.
    async fn find_users_of(&self, org: i64, persons: &[i64]) -> Result<HashMap<i64, i64>, StoreError> {
        let select = if persons.len() > MANY_PERSONS {
            Sql::new("SELECT key, user_key FROM persons WHERE org = $1 AND user_key IS NOT NULL").with(org)
        } else if persons.is_empty() {
            return Ok(HashMap::new());
        } else {
            select_users_of_persons(org, persons.to_vec())
        };
        let users: Vec<(i64, i64)> = self.long_db().fetch_rows(select).await?;
        Ok(users.into_iter().collect())
    }
}
