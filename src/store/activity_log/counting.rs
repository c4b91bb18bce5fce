//! Counts the log from columns in memory (`docs/specification.md#counting`).
//!
//! [`LogColumns`](crate::log::columns::LogColumns) have the rows of an organisation. [`loading`] reads them once. Before
//! each count, [`following`] reads what has changed since, by the numbers of the change feed
//! ([`changes`](crate::store::db::changes)). So a count is exact, whatever process has written, and the rows that it
//! counts were the log at one moment. [`selecting`] finds the keys that a filter selects.
//!
//! Without columns a count reads the rows themselves: while the columns are loaded, if they do not fit into the memory,
//! if the filter needs other columns, or if it selects few rows by an index.

mod following;
mod loading;
mod people;
mod selecting;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, watch};
use tokio::time::timeout;

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::log::Filter;
use crate::log::columns::people::People;
use crate::log::columns::selection::{RowSelection, Selected, can_select};

use crate::store::db::column_cache::{CachedColumns, CachedState, FollowedColumns, drop_idle_columns};
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::Persons;

/// The number of counts of the log, by `from`: `columns`, or `rows` if they were read from the database.
pub const COUNTS: &str = "rollbook_counts_total";

/// How long a count waits for the columns while others count or change them. Then it reads the rows.
const MOST_WAIT: Duration = Duration::from_secs(5);

/// Rows of up to this many persons are found by their index. A user usually has three to six persons.
const FEW_PERSONS: usize = 6;

/// What is counted: a filter at a moment.
#[derive(Clone, Copy)]
pub(super) struct Counted<'a> {
    pub(super) filter: &'a Scoped<&'a Filter>,
    pub(super) now: Timestamp,
}

/// The columns of an organisation, if there are any.
enum FoundColumns {
    Ready(Arc<CachedColumns>),
    /// The receiver ends when they are loaded, or cannot be.
    Loading(watch::Receiver<()>),
    Refused,
}

/// A selection, and the columns from which it is counted. They do not change meanwhile.
struct Prepared {
    org: i64,
    selection: RowSelection,
    followed: Arc<OwnedRwLockReadGuard<FollowedColumns>>,
}

impl Store {
    /// Counts by the columns if they are there, else by `scan`. While they are loaded, both begin, and the first result
    /// counts.
    ///
    /// `by_columns` returns `None` if the columns cannot be used any more.
    pub(super) async fn count_first<T>(
        &self,
        organisation: &OrgId,
        filter: &Scoped<&Filter>,
        by_columns: impl AsyncFnOnce(Arc<CachedColumns>) -> Result<Option<T>, StoreError>,
        scan: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut scan = pin!(scan);
        let org = match self.organisation_key(organisation).await? {
            Some(org) if self.is_for_columns(org, filter).await? => org,
            _ => return scan.await,
        };
        let counted = match self.find_columns(org) {
            FoundColumns::Ready(columns) => by_columns(columns).await?,
            FoundColumns::Refused => None,
            FoundColumns::Loading(loaded) => {
                tokio::select! {
                    biased;
                    counted = self.count_when_loaded(org, loaded, by_columns) => counted?,
                    counted = scan.as_mut() => return note_scan(counted),
                }
            }
        };
        match counted {
            Some(counted) => {
                metrics::counter!(COUNTS, "from" => "columns").increment(1);
                Ok(counted)
            }
            None => note_scan(scan.await),
        }
    }

    /// What the cache has of an organisation. If it has nothing, the columns are loaded from now on.
    fn find_columns(&self, org: i64) -> FoundColumns {
        match self.column_cache().find(org) {
            CachedState::Ready(columns) => FoundColumns::Ready(columns),
            CachedState::Loading(loaded) => FoundColumns::Loading(loaded),
            CachedState::Refused => FoundColumns::Refused,
            CachedState::Absent(loading) => {
                let loaded = loading.receiver();
                let runtime = self.runtime();
                // A read of the replica may go to the primary instead, and rows and number be of different moments.
                runtime.spawn(self.on_primary().load_columns(org, loading));
                runtime.spawn(drop_idle_columns(Arc::downgrade(self.column_cache())));
                FoundColumns::Loading(loaded)
            }
        }
    }

    async fn count_when_loaded<T>(
        &self,
        org: i64,
        mut loaded: watch::Receiver<()>,
        by_columns: impl AsyncFnOnce(Arc<CachedColumns>) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        // It ends by an error, since nothing is ever sent.
        let _ = loaded.changed().await;
        match self.column_cache().find(org) {
            CachedState::Ready(columns) => by_columns(columns).await,
            _ => Ok(None),
        }
    }

    /// Whether columns serve the filter better than an index. They have what it compares.
    async fn is_for_columns(&self, org: i64, filter: &Scoped<&Filter>) -> Result<bool, StoreError> {
        if !can_select(filter.inner()) {
            return Ok(false);
        }
        let persons = self.persons(org, filter, filter.inner()).await?;
        if matches!(&persons, Persons::Only(persons) if persons.len() <= FEW_PERSONS) {
            return Ok(false);
        }
        let arrival = self.find_arrival(org, filter.inner()).await?;
        Ok(arrival.is_none_or(|arrival| !arrival.is_narrow))
    }

    /// Runs `count` for the selected rows, after the columns have got all changes. `None` if they cannot be used any more.
    pub(super) async fn count_columns<T: Send + 'static>(
        &self,
        counted: Counted<'_>,
        columns: Arc<CachedColumns>,
        count: impl FnOnce(&Selected<'_>) -> T + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        match within_limit(self.prepare_count(counted, &columns)).await? {
            Some(prepared) => Ok(self.run_count(prepared, &columns, count).await),
            None => Ok(None),
        }
    }

    /// [`Store::count_columns`] with the users of the persons.
    pub(super) async fn count_columns_and_people<T: Send + 'static>(
        &self,
        counted: Counted<'_>,
        columns: Arc<CachedColumns>,
        count: impl FnOnce(&Selected<'_>, &People) -> T + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let prepared = within_limit(async {
            let Some(prepared) = self.prepare_count(counted, &columns).await? else {
                return Ok(None);
            };
            let store = self.on_primary();
            let people = store
                .people_of(prepared.org, &columns, &prepared.followed)
                .await?;
            Ok(people.map(|people| (prepared, people)))
        });
        let Some((prepared, people)) = prepared.await? else {
            return Ok(None);
        };
        let count = move |selected: &Selected<'_>| count(selected, &people.people);
        Ok(self.run_count(prepared, &columns, count).await)
    }

    /// Counts on a thread of its own, for as long as the caller waits. `None` after a panic: then the columns are dropped,
    /// so that they are not used again.
    async fn run_count<T: Send + 'static>(
        &self,
        prepared: Prepared,
        columns: &Arc<CachedColumns>,
        count: impl FnOnce(&Selected<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        let Prepared {
            org,
            selection,
            followed,
        } = prepared;
        let is_cancelled = CancelOnDrop::default();
        let flag = Arc::clone(&is_cancelled.0);
        let counting = self
            .runtime()
            .spawn_blocking(move || count(&selection.compile(&followed.columns).until(flag)));
        let counted = counting.await;
        if counted.is_err() {
            self.column_cache().drop_columns(org, columns);
        }
        counted.ok()
    }

    /// Brings the columns to the present moment, and finds what is selected. `None` if they cannot be used any more.
    async fn prepare_count(
        &self,
        counted: Counted<'_>,
        columns: &Arc<CachedColumns>,
    ) -> Result<Option<Prepared>, StoreError> {
        // The replica may not have what the columns are about to get.
        let store = self.on_primary();
        let Some(org) = store.organisation_key(counted.filter.org()).await? else {
            return Ok(None);
        };
        loop {
            if !store.follow(org, columns).await? {
                return Ok(None);
            }
            let selection = store.select_rows_of(org, counted).await?;
            let followed = Arc::clone(&columns.state).read_owned().await;
            // Another request may have begun to read many changes meanwhile.
            if followed.is_whole {
                return Ok(Some(Prepared {
                    org,
                    selection,
                    followed: Arc::new(followed),
                }));
            }
        }
    }

    /// Whether the log of an organisation is counted from columns at the moment.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn counts_by_columns(&self, organisation: &OrgId) -> Result<bool, StoreError> {
        let org = self.organisation_key(organisation).await?;
        Ok(org.is_some_and(|org| self.column_cache().is_ready(org)))
    }

    /// Counts the rows of all pages.
    pub async fn count_rows(&self, filter: &Scoped<&Filter>, now: Timestamp) -> Result<u64, StoreError> {
        let by_columns = async |columns| {
            let counted = Counted { filter, now };
            self.count_columns(counted, columns, |selected| selected.count())
                .await
        };
        self.count_first(
            filter.org(),
            filter,
            by_columns,
            self.count_stored_rows(filter, now),
        )
        .await
    }
}

/// Tells a count that its client has gone, when it is dropped.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The result of waiting for columns, or `None` if it takes longer than a scan should wait for it.
async fn within_limit<T>(
    prepared: impl Future<Output = Result<Option<T>, StoreError>>,
) -> Result<Option<T>, StoreError> {
    timeout(MOST_WAIT, prepared).await.unwrap_or(Ok(None))
}

fn note_scan<T>(counted: Result<T, StoreError>) -> Result<T, StoreError> {
    metrics::counter!(COUNTS, "from" => "rows").increment(1);
    counted
}
