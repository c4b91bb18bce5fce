//! The teams, groups and custom values of users, from which their facets are counted.
//!
//! Those of all users of an organisation are kept for a version of its directory, because reading them takes longer than
//! counting.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::log::columns::dictionary::Dictionary;
use crate::log::facets::FacetValues;

use crate::store::db::database::Sql;
use crate::store::db::key_cache::DirectoryVersion;
use crate::store::db::{Store, StoreError};

use super::KEYS_PER_QUERY;

/// The users whose attributes are read at once.
const USERS_PER_QUERY: i64 = 10_000;
/// The most bytes that a server keeps for all organisations together.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The teams, groups and custom values of some users, or of all users of an organisation.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// Keys of users and of their teams.
    teams: Vec<(i64, i64)>,
    /// Keys of users and of their groups.
    groups: Vec<(i64, i64)>,
    /// The values by the name of the custom field.
    fields: BTreeMap<String, FieldValues>,
}

/// The values of a custom field.
#[derive(Debug, Default)]
struct FieldValues {
    values: Dictionary<String>,
    /// Keys of users, and the codes of their values.
    of_users: Vec<(i64, u32)>,
    text_bytes: usize,
}

/// The rows of each team, group and custom value.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CountedAttributes {
    /// By the key of the team.
    pub(super) teams: HashMap<i64, u64>,
    /// By the key of the group.
    pub(super) groups: HashMap<i64, u64>,
    pub(super) fields: BTreeMap<String, FacetValues>,
}

impl Attributes {
    fn add_field(&mut self, user: i64, field: String, value: String) {
        let field = self.fields.entry(field).or_default();
        let (known, bytes) = (field.values.len(), value.len());
        let code = field.values.encode(value);
        if field.values.len() > known {
            field.text_bytes += bytes;
        }
        field.of_users.push((user, code));
    }

    /// Counts the rows of the users.
    pub(super) fn count(&self, rows_by_user: &HashMap<i64, u64>) -> CountedAttributes {
        let rows_of = |user: &i64| rows_by_user.get(user).copied().unwrap_or(0);
        // What no counted user has is not shown: not even its name.
        let by_key = |keys: &[(i64, i64)]| {
            let mut counts = HashMap::new();
            for (user, key) in keys {
                *counts.entry(*key).or_default() += rows_of(user);
            }
            counts.retain(|_, rows| *rows > 0);
            counts
        };
        let fields = self.fields.iter().map(|(name, field)| {
            let mut counts = vec![0; field.values.len()];
            for (user, code) in &field.of_users {
                counts[*code as usize] += rows_of(user);
            }
            let mut values = FacetValues::default();
            for (value, count) in field.values.values().iter().zip(counts) {
                values.add(value, value, count);
            }
            (name.clone(), values)
        });
        CountedAttributes {
            teams: by_key(&self.teams),
            groups: by_key(&self.groups),
            fields: fields.filter(|(_, values)| !values.is_empty()).collect(),
        }
    }

    fn bytes(&self) -> usize {
        let of_field = |field: &FieldValues| {
            field.values.bytes() + field.text_bytes + field.of_users.capacity() * size_of::<(i64, u32)>()
        };
        (self.teams.capacity() + self.groups.capacity()) * size_of::<(i64, i64)>()
            + self.fields.values().map(of_field).sum::<usize>()
    }
}

/// The attributes of all users of some organisations, the last used ones at the end.
#[derive(Debug, Default)]
pub(super) struct AttributeCache(Mutex<Vec<(DirectoryVersion, Arc<Attributes>)>>);

impl AttributeCache {
    fn entries(&self) -> MutexGuard<'_, Vec<(DirectoryVersion, Arc<Attributes>)>> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, version: DirectoryVersion) -> Option<Arc<Attributes>> {
        let mut entries = self.entries();
        let place = entries.iter().position(|(known, _)| *known == version)?;
        let found = entries.remove(place);
        let attributes = Arc::clone(&found.1);
        entries.push(found);
        Some(attributes)
    }

    fn insert(&self, version: DirectoryVersion, attributes: Arc<Attributes>) {
        let bytes = |entries: &[(DirectoryVersion, Arc<Attributes>)]| {
            entries
                .iter()
                .map(|(_, attributes)| attributes.bytes())
                .sum::<usize>()
        };
        let mut entries = self.entries();
        entries.retain(|(known, _)| known.org != version.org);
        if attributes.bytes() > MOST_BYTES / 2 {
            return; // without removing those of the others
        }
        entries.push((version, attributes));
        while bytes(&entries) > MOST_BYTES {
            entries.remove(0);
        }
    }
}

impl Store {
    /// The attributes of these users. If they are many, those of all users, from the cache if they are there.
    pub(super) async fn attributes_of(
        &self,
        cache: &AttributeCache,
        org: i64,
        users: Vec<i64>,
    ) -> Result<Arc<Attributes>, StoreError> {
        let mut attributes = Attributes::default();
        if users.len() <= KEYS_PER_QUERY {
            let of_users = |select: &mut Sql| _ = select.push(" AND user_key").any_of(users.clone());
            self.read_attributes(org, of_users, &mut attributes).await?;
            return Ok(Arc::new(attributes));
        }
        // A change after this is read too, or makes another version.
        let version = self.directory_version(org).await?;
        if let Some(known) = cache.find(version) {
            return Ok(known);
        }
        let mut after = i64::MIN;
        loop {
            let select = Sql::new("SELECT key FROM users WHERE org = $1 AND key > $2 ORDER BY key LIMIT $3");
            let select = select.with(org).with(after).with(USERS_PER_QUERY);
            let page: Vec<(i64,)> = self.long_db().fetch_rows(select).await?;
            let Some((last,)) = page.last().copied() else {
                break;
            };
            let of_users = |select: &mut Sql| {
                select.push(" AND user_key > ").bind(after);
                select.push(" AND user_key <= ").bind(last);
            };
            self.read_attributes(org, of_users, &mut attributes).await?;
            after = last;
        }
        let attributes = Arc::new(attributes);
        if version.number.is_some() {
            cache.insert(version, Arc::clone(&attributes));
        }
        Ok(attributes)
    }

    /// Reads the attributes of some users. `of_users` adds the condition.
    async fn read_attributes(
        &self,
        org: i64,
        of_users: impl Fn(&mut Sql),
        attributes: &mut Attributes,
    ) -> Result<(), StoreError> {
        let select = |columns: &str| {
            let mut select = Sql::new(&format!("SELECT user_key, {columns} WHERE org = $1")).with(org);
            of_users(&mut select);
            select
        };
        let db = self.long_db();
        let teams: Vec<(i64, i64)> = db.fetch_rows(select("team FROM memberships")).await?;
        attributes.teams.extend(teams);
        let groups: Vec<(i64, i64)> = db.fetch_rows(select("group_key FROM group_members")).await?;
        attributes.groups.extend(groups);
        let fields: Vec<(i64, String, String)> =
            db.fetch_rows(select("field, value FROM user_fields")).await?;
        for (user, field, value) in fields {
            attributes.add_field(user, field, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(users: i64) -> Attributes {
        let mut attributes = Attributes {
            teams: (0..users).map(|user| (user, 1_000 + user % 3)).collect(),
            ..Attributes::default()
        };
        for user in 0..users {
            attributes.add_field(user, "Region".to_owned(), format!("region {}", user % 2));
        }
        attributes
    }

    fn version(org: i64, number: i64) -> DirectoryVersion {
        DirectoryVersion {
            org,
            number: Some(number),
        }
    }

    #[test]
    fn only_counted_users_count() {
        let counted = attributes(6).count(&HashMap::from([(0, 5), (1, 7), (3, 1), (9, 100)]));
        assert_eq!(counted.teams, HashMap::from([(1_000, 6), (1_001, 7)]));
        let mut region = FacetValues::default();
        region.add("region 0", "region 0", 5);
        region.add("region 1", "region 1", 8);
        assert_eq!(counted.fields, BTreeMap::from([("Region".to_owned(), region)]));
        let nobody = attributes(6).count(&HashMap::from([(9, 100)]));
        assert_eq!(nobody, CountedAttributes::default(), "no name of others is shown");
    }

    #[test]
    fn attributes_are_those_of_the_version_and_organisation() {
        let cache = AttributeCache::default();
        cache.insert(version(1, 1), Arc::new(attributes(3)));
        assert!(cache.find(version(1, 1)).is_some());
        assert!(cache.find(version(1, 2)).is_none());
        assert!(cache.find(version(2, 1)).is_none());
        cache.insert(version(1, 2), Arc::new(attributes(3)));
        assert!(cache.find(version(1, 1)).is_none());
    }

    #[test]
    fn organisations_that_were_not_used_make_space() {
        let cache = AttributeCache::default();
        let large = Arc::new(attributes(300_000)); // a third of the space
        for org in 1..=3 {
            cache.insert(version(org, 1), Arc::clone(&large));
            cache.find(version(1, 1));
        }
        assert!(large.bytes() * 3 > MOST_BYTES && large.bytes() * 2 < MOST_BYTES);
        assert!(cache.find(version(1, 1)).is_some());
        assert!(cache.find(version(2, 1)).is_none());
        assert!(cache.find(version(3, 1)).is_some());
    }
}
