//! Counts the facets of the log.
//!
//! The process counts the keys in the rows: in the columns in memory ([`counting`](super::counting)), or in the rows that
//! a scan reads. Then the names of the counted keys are loaded.
//!
//! A request contains a [`Scoped`] filter, so the counts never include rows outside the reach. An expensive result is
//! cached for a minute. The key of the cache contains the people that were counted, so that a caller never receives a
//! result with a different reach.

mod attributes;

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt;
use uuid::Uuid;

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::base::{Fingerprint, distinct_folded};
use crate::log::facets::{CountedActivity, FacetCounter, FacetValues, Facets, MAX_VALUES};
use crate::log::row::full_name;
use crate::log::{Action, ContentKey, Filter, PersonKey, VerbKey, description};
use crate::record::Origin;
use crate::texts::Language;

use crate::log::columns::people::People;
use crate::log::columns::selection::Selected;
use crate::store::activity_log::counting::Counted;
use crate::store::db::column_cache::CachedColumns;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::directory::details::select_users_of_persons;

use attributes::AttributeCache;

/// The time for which a result is cached, in microseconds.
const CACHED_MICROS: i64 = 60_000_000;
/// Results over at most this number of rows are not cached, because counting them again is cheap.
const MAX_UNCACHED_ROWS: u64 = 50_000;
/// The maximum number of cached results of a server. A full cache is cleared.
const MAX_CACHED_RESULTS: usize = 200;
/// The maximum number of keys in one query.
const KEYS_PER_QUERY: usize = 5_000;

columns! {
    /// The columns that are counted.
    struct CountedRow {
        person: PersonKey = "a.person",
        content: Option<ContentKey> = "a.content",
        verb: VerbKey = "a.verb",
        action: Action = "a.action",
        origin: Origin = "a.origin",
        device_type: Option<String> = "a.device_type",
        source: Option<String> = "a.source",
        import: Option<Uuid> = "a.import",
        completed: bool = "a.completed",
        success: Option<bool> = "a.success",
        certified: bool = "a.certified",
        expired_at: Option<Timestamp> = "a.expired_at",
    }
}

impl From<CountedRow> for CountedActivity {
    fn from(row: CountedRow) -> Self {
        Self {
            person: row.person,
            content: row.content,
            verb: row.verb,
            action: row.action,
            origin: row.origin,
            device_type: row.device_type,
            source: row.source,
            import: row.import,
            completed: row.completed,
            success: row.success,
            certified: row.certified,
            expired_at: row.expired_at,
        }
    }
}

impl Store {
    /// Counts the values of each filter among the matching rows.
    ///
    /// `filter` must be a [`facet_filter`](crate::log::facets::facet_filter). Other filters would restrict the facets.
    pub async fn count_facets(
        &self,
        cache: &FacetCache,
        filter: &Scoped<&Filter>,
        now: Timestamp,
        language: Language,
    ) -> Result<Arc<Facets>, StoreError> {
        let fingerprint = self.facets_fingerprint(filter, language).await?;
        // The same request may have been answered while this one waited for the concurrency limit.
        if let Some(facets) = cache.find(fingerprint, self.clock().now()) {
            return Ok(facets);
        }
        let by_columns = async |columns: Arc<CachedColumns>| {
            let remembered = Arc::clone(&columns.facets);
            let count = move |selected: &Selected<'_>, people: &People| {
                FacetCounter::from_columns(&remembered, selected, people, now)
            };
            let counter = self
                .count_columns_and_people(Counted { filter, now }, columns, count)
                .await?;
            // The names are those of the primary, from which the columns are.
            Ok(counter.map(|counter| (counter, self.on_primary())))
        };
        let scan = async { Ok((self.scan_facets(filter, now).await?, self.clone())) };
        let (counter, store) = self.count_first(filter.org(), filter, by_columns, scan).await?;
        let facets = Arc::new(
            store
                .named_facets(cache, filter.org(), &counter, now, language)
                .await?,
        );
        if counter.rows > MAX_UNCACHED_ROWS {
            cache.insert(fingerprint, Arc::clone(&facets));
        }
        Ok(facets)
    }

    /// Counts the stored rows.
    async fn scan_facets(
        &self,
        filter: &Scoped<&Filter>,
        now: Timestamp,
    ) -> Result<FacetCounter, StoreError> {
        let mut counter = FacetCounter::default();
        let read = |row: &_| CountedRow::read(row).map(CountedActivity::from);
        let mut chunks = pin!(self.scan_rows(filter, CountedRow::COLUMNS, now, read).await?);
        while let Some(rows) = chunks.try_next().await? {
            rows.iter().for_each(|row| counter.add(row, now));
        }
        Ok(counter)
    }

    /// The cached result for this filter, if it is less than a minute old.
    pub async fn find_cached_facets(
        &self,
        cache: &FacetCache,
        filter: &Scoped<&Filter>,
        now: Timestamp,
        language: Language,
    ) -> Result<Option<Arc<Facets>>, StoreError> {
        let fingerprint = self.facets_fingerprint(filter, language).await?;
        Ok(cache.find(fingerprint, now))
    }

    /// The key of a cached result. A reach that depends on the directory has another key after each change of the
    /// directory: a caller that lost a user from its reach must not receive the earlier counts.
    async fn facets_fingerprint(
        &self,
        filter: &Scoped<&Filter>,
        language: Language,
    ) -> Result<Fingerprint, StoreError> {
        let version = match self.organisation_key(filter.org()).await? {
            Some(org) if !filter.people().is_empty() => self.directory_version(org).await?.number,
            _ => None,
        };
        Ok(fingerprint(filter, version, language))
    }

    /// Loads the names of all counted keys.
    async fn named_facets(
        &self,
        cache: &FacetCache,
        org: &OrgId,
        counter: &FacetCounter,
        now: Timestamp,
        language: Language,
    ) -> Result<Facets, StoreError> {
        let verbs = self.verb_values(org, counter, language).await?;
        let contents = self.content_values(org, counter, language).await?;
        let people = match self.organisation_key(org).await? {
            Some(key) => self.people_values(cache, key, counter).await?,
            None => PeopleValues::default(),
        };
        let mut facets = vec![
            counter.actions(language).into_facet("action"),
            verbs.into_facet("verb"),
            contents.learning_types.into_facet("type"),
            contents.content_types.into_facet("content_type"),
            contents.contents.into_facet("content"),
            contents.tags.into_text_facet("tag"),
            contents.sources.into_text_facet("source"),
            contents.cpd_labels.into_text_facet("cpd_label"),
            counter.device_types().into_text_facet("device_type"),
            counter.origins(language).into_facet("origin"),
            counter.imports().into_facet("import"),
            people.teams.into_facet("team"),
            people.groups.into_facet("group"),
            people.users.into_facet("user"),
            counter.results(language).into_facet("result"),
            counter.completed(language).into_facet("completed"),
            counter.expired(language).into_facet("expired"),
            counter.certified(language).into_facet("has_certificate"),
            counter.imported(language).into_facet("bulk_import"),
        ];
        let fields = people.fields.into_iter();
        facets.extend(fields.map(|(field, values)| values.into_text_facet(format!("custom[{field}]"))));
        Ok(Facets { facets, as_of: now })
    }

    async fn verb_values(
        &self,
        org: &OrgId,
        counter: &FacetCounter,
        language: Language,
    ) -> Result<FacetValues, StoreError> {
        let mut values = FacetValues::default();
        let keys: Vec<VerbKey> = counter.verbs.keys().copied().collect();
        for keys in keys.chunks(KEYS_PER_QUERY) {
            for (key, verb) in self.verb_details(org, keys).await? {
                let label = description::label(Action::Other, &verb, language);
                values.add(&verb.iri, &label, counter.verbs.get(&key).copied().unwrap_or(0));
            }
        }
        Ok(values)
    }

    async fn content_values(
        &self,
        org: &OrgId,
        counter: &FacetCounter,
        language: Language,
    ) -> Result<ContentValues, StoreError> {
        let mut values = ContentValues {
            sources: FacetValues::from_texts(&counter.sources),
            ..ContentValues::default()
        };
        let keys: Vec<ContentKey> = counter.contents.keys().copied().collect();
        for keys in keys.chunks(KEYS_PER_QUERY) {
            for (key, content) in self.content_details(org, keys).await? {
                let count = counter.contents.get(&key).copied().unwrap_or_default();
                values.contents.add(
                    content.id.as_str(),
                    &description::display_title(&content, language),
                    count.rows,
                );
                if let Some(learning_type) = content.learning_type {
                    values.learning_types.add(
                        learning_type.key(),
                        learning_type.label_in(language),
                        count.rows,
                    );
                }
                if let Some(format) = content.content_type {
                    values
                        .content_types
                        .add(format.key(), format.label_in(language), count.rows);
                }
                if let Some(source) = &content.source {
                    values.sources.add(source, source, count.without_source);
                }
                for tag in distinct_folded(&content.tags) {
                    values.tags.add(tag, tag, count.rows);
                }
                for label in distinct_folded(&content.cpd_labels) {
                    values.cpd_labels.add(label, label, count.rows);
                }
            }
        }
        Ok(values)
    }

    async fn people_values(
        &self,
        cache: &FacetCache,
        org: i64,
        counter: &FacetCounter,
    ) -> Result<PeopleValues, StoreError> {
        let rows_by_user = match &counter.users {
            Some(users) => users.clone(),
            None => self.count_rows_by_user(org, counter).await?,
        };
        let mut users: Vec<i64> = rows_by_user.keys().copied().collect();
        users.sort_unstable();
        let attributes = self.attributes_of(&cache.attributes, org, users).await?;
        let counted = attributes.count(&rows_by_user);
        let users = self.user_values(org, &rows_by_user).await?;
        Ok(PeopleValues {
            users,
            teams: self.named_values(org, SELECT_TEAM_NAMES, &counted.teams).await?,
            groups: self
                .named_values(org, SELECT_GROUP_NAMES, &counted.groups)
                .await?,
            fields: counted.fields,
        })
    }

    /// The names of the users with the most rows: of those that a facet shows, and of at least one more if there is one.
    async fn user_values(
        &self,
        org: i64,
        rows_by_user: &HashMap<i64, u64>,
    ) -> Result<FacetValues, StoreError> {
        let mut counts: Vec<u64> = rows_by_user.values().copied().collect();
        let least = match counts.len() > MAX_VALUES {
            true => {
                *counts
                    .select_nth_unstable_by(MAX_VALUES, |one, other| other.cmp(one))
                    .1
            }
            false => 0,
        };
        let shown = rows_by_user.iter().filter(|(_, rows)| **rows >= least);
        let users: Vec<i64> = shown.map(|(user, _)| *user).collect();
        let mut values = FacetValues::default();
        for users in users.chunks(KEYS_PER_QUERY) {
            let columns = UserNameRow::COLUMNS;
            let select = format!("SELECT {columns} FROM users u WHERE u.org = $1 AND u.key IN LIST($2)");
            let select = Sql::new(&select).with(org).with(users.to_vec());
            let names: Vec<UserNameRow> = self.long_db().fetch_rows(select).await?;
            for user in names {
                let name = full_name(user.first_name.as_deref(), user.last_name.as_deref());
                let label = name.as_deref().unwrap_or(&user.id);
                values.add(&user.id, label, rows_by_user.get(&user.key).copied().unwrap_or(0));
            }
        }
        Ok(values)
    }

    /// Counts the rows of each user over all persons of the user. Persons without a user are not counted.
    async fn count_rows_by_user(
        &self,
        org: i64,
        counter: &FacetCounter,
    ) -> Result<HashMap<i64, u64>, StoreError> {
        let mut rows_by_user: HashMap<i64, u64> = HashMap::new();
        let mut persons: Vec<i64> = counter.persons.keys().map(|key| key.0).collect();
        persons.sort_unstable();
        for persons in persons.chunks(KEYS_PER_QUERY) {
            let select = select_users_of_persons(org, persons.to_vec());
            let users: Vec<(PersonKey, i64)> = self.long_db().fetch_rows(select).await?;
            for (person, user) in users {
                *rows_by_user.entry(user).or_default() += counter.persons.get(&person).copied().unwrap_or(0);
            }
        }
        Ok(rows_by_user)
    }

    /// Converts counts by key to values with an id and a name. `select` selects key, id and name.
    async fn named_values(
        &self,
        org: i64,
        select: &'static str,
        counts: &HashMap<i64, u64>,
    ) -> Result<FacetValues, StoreError> {
        let mut values = FacetValues::default();
        let keys: Vec<i64> = counts.keys().copied().collect();
        for keys in keys.chunks(KEYS_PER_QUERY) {
            let select = Sql::new(select).with(org).with(keys.to_vec());
            let names: Vec<(i64, String, String)> = self.long_db().fetch_rows(select).await?;
            for (key, id, name) in names {
                values.add(&id, &name, counts.get(&key).copied().unwrap_or(0));
            }
        }
        Ok(values)
    }
}

columns! {
    /// The name of a user.
    struct UserNameRow {
        key: i64 = "u.key",
        id: String = "u.id",
        first_name: Option<String> = "u.first_name",
        last_name: Option<String> = "u.last_name",
    }
}

const SELECT_TEAM_NAMES: &str = "SELECT key, id, name FROM teams WHERE org = $1 AND key IN LIST($2)";
const SELECT_GROUP_NAMES: &str = "SELECT key, id, name FROM groups WHERE org = $1 AND key IN LIST($2)";

#[derive(Default)]
struct ContentValues {
    contents: FacetValues,
    learning_types: FacetValues,
    content_types: FacetValues,
    sources: FacetValues,
    tags: FacetValues,
    cpd_labels: FacetValues,
}

#[derive(Default)]
struct PeopleValues {
    users: FacetValues,
    teams: FacetValues,
    groups: FacetValues,
    fields: BTreeMap<String, FacetValues>,
}

/// The key of a cached result: the organisation, the language of the labels, the people within the reach and the scope with the version of the
/// directory that they depend on, and the filter with the filters around it.
fn fingerprint(filter: &Scoped<&Filter>, version: Option<i64>, language: Language) -> Fingerprint {
    let people = format!("{version:?} {:?}", filter.people());
    let mut parts = vec![filter.org().to_string(), language.to_string(), people];
    for filter in filter.inner().each() {
        // The limits of days depend on the time zone. No parameter has an empty name, so the empty text separates two
        // filters.
        parts.extend([String::new(), filter.zone().name().to_owned()]);
        parts.extend(
            filter
                .to_pairs()
                .into_iter()
                .flat_map(|(name, value)| [name, value]),
        );
    }
    Fingerprint::from_parts(parts.iter().map(String::as_str))
}

/// A cache of expensive results.
#[derive(Default)]
pub struct FacetCache {
    results: Mutex<HashMap<Fingerprint, Arc<Facets>>>,
    attributes: AttributeCache,
}

impl FacetCache {
    /// The result with this key, if it is less than a minute old.
    fn find(&self, fingerprint: Fingerprint, now: Timestamp) -> Option<Arc<Facets>> {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let facets = results.get(&fingerprint)?;
        // If the clock was set back, the result is not used. Otherwise it would be used for more than a minute.
        let age = now.micros().saturating_sub(facets.as_of.micros());
        (0..CACHED_MICROS).contains(&age).then(|| Arc::clone(facets))
    }

    fn insert(&self, fingerprint: Fingerprint, facets: Arc<Facets>) {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        if results.len() >= MAX_CACHED_RESULTS {
            results.clear();
        }
        results.insert(fingerprint, facets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::principal::samples::{credential, person, user};
    use crate::access::{AskedScope, CredentialScope, Person, Principal, ReachRules, Reports, Role};

    fn fingerprint_for(principal: &Principal, scope: Option<AskedScope>, filter: &Filter) -> Fingerprint {
        let rules = ReachRules::default();
        let scoped = Scoped::new(principal, &rules, scope, filter).expect("an allowed scope");
        assert_ne!(
            fingerprint(&scoped, Some(1), Language::ENGLISH),
            fingerprint(&scoped, Some(2), Language::ENGLISH),
            "the directory has changed"
        );
        let all = Language::all().map(|language| fingerprint(&scoped, None, language));
        let different: std::collections::HashSet<Fingerprint> = all.collect();
        assert_eq!(
            different.len(),
            Language::all().count(),
            "each language has its own labels"
        );
        fingerprint(&scoped, None, Language::ENGLISH)
    }

    #[test]
    fn only_equal_reaches_share_a_fingerprint() {
        let filter = Filter::default();
        let admin = Principal::from(person(Role::Admin));
        let reporter = Principal::from(person(Role::Reporter));
        let key = Principal::from(credential(&[CredentialScope::ActivitiesRead]));
        let same = fingerprint_for(&admin, None, &filter);
        assert_eq!(
            fingerprint_for(&reporter, None, &filter),
            same,
            "both read the whole organisation"
        );
        assert_eq!(fingerprint_for(&key, None, &filter), same);

        let manager = |user_id: &str, reports: Option<&str>| {
            Principal::from(Person {
                user: user(user_id),
                reports: reports.map(|id| Reports::new(vec![user(id)], Vec::new())),
                ..person(Role::Manager)
            })
        };
        let other_org = Principal::from(Person {
            org: "umbra".parse().expect("an id"),
            ..person(Role::Admin)
        });
        let deactivated = Filter {
            include_deactivated: true,
            ..Filter::default()
        };
        let team = Filter {
            teams: vec!["t".parse().expect("an id")],
            ..Filter::default()
        };
        let managed = |include_sub_managers| Some(AskedScope::Managed { include_sub_managers });
        let all = [
            same,
            fingerprint_for(&other_org, None, &filter),
            fingerprint_for(&admin, Some(AskedScope::Me), &filter),
            fingerprint_for(&admin, managed(false), &filter),
            fingerprint_for(&admin, managed(true), &filter),
            fingerprint_for(&admin, None, &deactivated),
            fingerprint_for(&admin, Some(AskedScope::Team), &team),
            fingerprint_for(&manager("bo", None), None, &filter),
            fingerprint_for(&manager("cy", None), None, &filter),
            fingerprint_for(&manager("bo", Some("dee")), None, &filter),
            fingerprint_for(&manager("bo", Some("eve")), None, &filter),
            fingerprint_for(&manager("bo", Some("dee")), managed(false), &filter),
            fingerprint_for(
                &Principal::from(Person {
                    user: user("bo"),
                    ..person(Role::Learner)
                }),
                None,
                &filter,
            ),
        ];
        let different: std::collections::HashSet<Fingerprint> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn result_is_cached_for_a_minute() {
        let at = Timestamp::from_micros;
        let cache = FacetCache::default();
        let fingerprint = Fingerprint::from_parts(["q"]);
        let facets = |as_of| {
            Arc::new(Facets {
                facets: Vec::new(),
                as_of: at(as_of),
            })
        };
        cache.insert(fingerprint, facets(1_000));
        assert!(cache.find(fingerprint, at(1_000)).is_some());
        assert!(cache.find(fingerprint, at(60_000_999)).is_some());
        assert!(cache.find(fingerprint, at(60_001_000)).is_none());
        assert!(
            cache.find(fingerprint, at(999)).is_none(),
            "the clock was set back"
        );
        assert!(
            cache
                .find(Fingerprint::from_parts(["another"]), at(1_000))
                .is_none()
        );
        for number in 0..MAX_CACHED_RESULTS {
            cache.insert(
                Fingerprint::from_parts([number.to_string().as_str()]),
                facets(1_000),
            );
        }
        assert!(cache.results.lock().expect("unpoisoned").len() <= MAX_CACHED_RESULTS);
    }
}
