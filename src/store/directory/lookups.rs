//! What rows of the log are joined with, in the process: names, titles, tags, as they are now.

use std::collections::HashMap;
use std::hash::Hash;

use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, OrgId, UserId};
use crate::log::{
    self, Activity, ContentDetails, ContentKey, PersonDetails, PersonKey, Recorder, UserDetails, VerbDetails,
    VerbKey,
};

use crate::store::db::database::{Row, Sql};
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError, digest};
use crate::store::ingest::demands::{kind_from, type_from};
use crate::store::ingest::persons::read_identifier;

/// Lookups kept at most, of each kind; past it they are dropped and loaded again.
const KEPT: usize = 50_000;

/// The cards of the rows read so far: each is loaded once, so that a page asks for each kind at most once,
/// and an export for each person and content about once altogether.
pub struct Lookups {
    store: Store,
    organisation: OrgId,
    persons: HashMap<PersonKey, PersonDetails>,
    contents: HashMap<ContentKey, ContentDetails>,
    verbs: HashMap<VerbKey, VerbDetails>,
    recorders: HashMap<UserId, Recorder>,
}

impl Lookups {
    /// No cards yet. Rows of no other organisation may be asked for.
    pub fn new(store: &Store, organisation: &OrgId) -> Self {
        Self {
            store: store.clone(),
            organisation: organisation.clone(),
            persons: HashMap::new(),
            contents: HashMap::new(),
            verbs: HashMap::new(),
            recorders: HashMap::new(),
        }
    }

    /// Loads what is missing for these rows.
    pub async fn load(&mut self, rows: &[log::Row]) -> Result<(), StoreError> {
        let new = missing(&mut self.persons, rows.iter().map(|row| row.person));
        if !new.is_empty() {
            self.persons
                .extend(self.store.person_details(&self.organisation, &new).await?);
        }
        let new = missing(&mut self.contents, rows.iter().filter_map(|row| row.content));
        if !new.is_empty() {
            self.contents
                .extend(self.store.content_details(&self.organisation, &new).await?);
        }
        let new = missing(&mut self.verbs, rows.iter().map(|row| row.verb));
        if !new.is_empty() {
            self.verbs
                .extend(self.store.verb_details(&self.organisation, &new).await?);
        }
        let recorders = rows.iter().filter_map(|row| row.projected.recorded_by.clone());
        let new = missing(&mut self.recorders, recorders);
        if !new.is_empty() {
            self.recorders
                .extend(self.store.recorders(&self.organisation, &new).await?);
        }
        Ok(())
    }

    /// Who a loaded row is about.
    pub fn person(&self, row: &log::Row) -> Result<&PersonDetails, StoreError> {
        self.persons
            .get(&row.person)
            .ok_or(StoreError::Invariant("a row without its person"))
    }

    /// What a loaded row is about.
    pub fn content(&self, row: &log::Row) -> Option<&ContentDetails> {
        self.contents.get(&row.content?)
    }

    /// The verb of a loaded row.
    pub fn verb(&self, row: &log::Row) -> Result<&VerbDetails, StoreError> {
        self.verbs
            .get(&row.verb)
            .ok_or(StoreError::Invariant("a row without its verb"))
    }

    /// Who recorded a loaded row, where that was somebody.
    pub fn recorder(&self, row: &log::Row) -> Option<&Recorder> {
        self.recorders.get(row.projected.recorded_by.as_ref()?)
    }

    /// A loaded row as JSON.
    pub fn activity(&self, row: &log::Row, now: Timestamp) -> Result<Activity, StoreError> {
        let (person, verb) = (self.person(row)?, self.verb(row)?);
        Ok(Activity::new(
            row,
            person,
            self.content(row),
            verb,
            self.recorder(row),
            now,
        ))
    }
}

/// The keys without a card, each once. Where too many cards are kept they are dropped, and all are missing.
fn missing<K: Clone + Eq + Hash + Ord, V>(
    cards: &mut HashMap<K, V>,
    keys: impl Iterator<Item = K>,
) -> Vec<K> {
    if cards.len() > KEPT {
        cards.clear();
    }
    let mut missing: Vec<K> = keys.filter(|key| !cards.contains_key(key)).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

impl Store {
    /// The cards of those persons; each is there, since rows point to nobody else.
    pub async fn person_details(
        &self,
        organisation: &OrgId,
        keys: &[PersonKey],
    ) -> Result<HashMap<PersonKey, PersonDetails>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(HashMap::new());
        };
        let select = Sql::new(&format!(
            "SELECT p.key, p.name, p.value, u.key, {USER_COLUMNS} \
             FROM persons p LEFT JOIN users u ON u.org = p.org AND u.key = p.user_key {USER_JOINS} \
             WHERE p.org = $1 AND p.key IN LIST($2)"
        ));
        let keys: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let rows = self.db().fetch_all(select.with(org).with(keys)).await?;
        let users = rows
            .iter()
            .filter_map(|row| row.get::<Option<i64>>(3).transpose());
        let mut teams = self
            .secondary_teams(org, users.collect::<Result<_, _>>()?)
            .await?;
        let mut cards = HashMap::with_capacity(rows.len());
        for row in &rows {
            let key = PersonKey(row.get(0)?);
            let user = match row.get::<Option<i64>>(3)? {
                Some(user) => Some(user_card(row, 4, teams.remove(&user).unwrap_or_default())?),
                None => None,
            };
            let identifier = read_identifier(&row.get::<String>(2)?)?;
            cards.insert(
                key,
                PersonDetails {
                    key,
                    user,
                    name: row.get(1)?,
                    identifier,
                },
            );
        }
        Ok(cards)
    }

    /// The cards of those users, by the keys that the store has them by. The key on such a card is the user's, since
    /// several persons may be theirs.
    pub(crate) async fn user_cards(
        &self,
        org: i64,
        keys: &[i64],
    ) -> Result<HashMap<i64, PersonDetails>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT u.key, {USER_COLUMNS} FROM users u {USER_JOINS} WHERE u.org = $1 AND u.key IN LIST($2)"
        ));
        let rows = self.db().fetch_all(select.with(org).with(keys.to_vec())).await?;
        let mut teams = self.secondary_teams(org, keys.to_vec()).await?;
        let mut cards = HashMap::with_capacity(rows.len());
        for row in &rows {
            let key: i64 = row.get(0)?;
            let card = PersonDetails {
                key: PersonKey(key),
                user: Some(user_card(row, 1, teams.remove(&key).unwrap_or_default())?),
                name: None,
                identifier: None,
            };
            cards.insert(key, card);
        }
        Ok(cards)
    }

    /// The card of the listed content with that id, or with that IRI while nobody has registered it.
    pub(crate) async fn content_card_by_id(
        &self,
        org: i64,
        id: &str,
    ) -> Result<Option<ContentDetails>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {CONTENT_COLUMNS} FROM contents WHERE org = $1 AND id_digest = $2 AND listed"
        ));
        let row = self
            .db()
            .fetch_optional(select.with(org).with(digest(id)))
            .await?;
        row.as_ref().map(content_card).transpose()
    }

    /// The names of the teams of each user that are not the primary one, by name.
    async fn secondary_teams(
        &self,
        org: i64,
        users: Vec<i64>,
    ) -> Result<HashMap<i64, Vec<String>>, StoreError> {
        let select = Sql::new(
            "SELECT m.user_key, t.name FROM memberships m JOIN teams t ON t.org = m.org AND t.key = m.team \
             JOIN users u ON u.org = m.org AND u.key = m.user_key \
             WHERE m.org = $1 AND m.user_key IN LIST($2) AND (u.primary_team IS NULL OR u.primary_team <> m.team)",
        );
        let mut teams: HashMap<i64, Vec<String>> = HashMap::new();
        for row in self.db().fetch_all(select.with(org).with(users)).await? {
            teams.entry(row.get(0)?).or_default().push(row.get(1)?);
        }
        for names in teams.values_mut() {
            names.sort_unstable();
        }
        Ok(teams)
    }

    /// The cards of those contents.
    pub async fn content_details(
        &self,
        organisation: &OrgId,
        keys: &[ContentKey],
    ) -> Result<HashMap<ContentKey, ContentDetails>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(HashMap::new());
        };
        let select = Sql::new(&format!(
            "SELECT {CONTENT_COLUMNS} FROM contents WHERE org = $1 AND key IN LIST($2)"
        ));
        let keys: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let rows = self.db().fetch_all(select.with(org).with(keys)).await?;
        rows.iter()
            .map(|row| content_card(row).map(|card| (card.key, card)))
            .collect()
    }

    /// The cards of those verbs.
    pub async fn verb_details(
        &self,
        organisation: &OrgId,
        keys: &[VerbKey],
    ) -> Result<HashMap<VerbKey, VerbDetails>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(HashMap::new());
        };
        let select = Sql::new("SELECT key, iri, display FROM verbs WHERE org = $1 AND key IN LIST($2)");
        let keys: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let mut cards = HashMap::with_capacity(keys.len());
        for row in self.db().fetch_all(select.with(org).with(keys)).await? {
            let key = VerbKey(row.get(0)?);
            cards.insert(
                key,
                VerbDetails {
                    key,
                    iri: row.get(1)?,
                    display: row.get(2)?,
                },
            );
        }
        Ok(cards)
    }

    /// Who recorded, by user id, with the names that the directory has now.
    pub async fn recorders(
        &self,
        organisation: &OrgId,
        ids: &[UserId],
    ) -> Result<HashMap<UserId, Recorder>, StoreError> {
        let mut recorders: HashMap<UserId, Recorder> = ids
            .iter()
            .map(|id| {
                (
                    id.clone(),
                    Recorder {
                        id: id.clone(),
                        name: None,
                    },
                )
            })
            .collect();
        if recorders.is_empty() {
            return Ok(recorders);
        }
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(recorders);
        };
        let select =
            Sql::new("SELECT id, first_name, last_name FROM users WHERE org = $1 AND id IN LIST($2)");
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        for row in self.db().fetch_all(select.with(org).with(ids)).await? {
            let id = read_id::<UserId>(&row, 0)?;
            let name = full_name(row.get(1)?, row.get(2)?);
            recorders.insert(id.clone(), Recorder { id, name });
        }
        Ok(recorders)
    }

    /// The organisation's own fields that any of its users has, by name.
    pub async fn custom_fields(&self, organisation: &OrgId) -> Result<Vec<String>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Vec::new());
        };
        let select = Sql::new("SELECT DISTINCT field FROM user_fields WHERE org = $1 ORDER BY field");
        let rows = self.db().fetch_all(select.with(org)).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// The columns of a user's card, in the order in which [`user_card`] takes them.
const USER_COLUMNS: &str = "u.id, u.first_name, u.last_name, u.email, u.active, u.role, u.job_title, u.language, \
     u.location, u.joined_on, m.first_name, m.last_name, t.name, u.deactivated_at, u.custom";

/// What they need beside `users u`.
const USER_JOINS: &str = "LEFT JOIN users m ON m.org = u.org AND m.key = u.manager \
     LEFT JOIN teams t ON t.org = u.org AND t.key = u.primary_team";

/// The card of a user, from [`USER_COLUMNS`], the first of which is the column `first`.
fn user_card(row: &Row, first: usize, secondary_teams: Vec<String>) -> Result<UserDetails, StoreError> {
    let custom: String = row.get(first + 14)?;
    let custom: HashMap<String, String> =
        serde_json::from_str(&custom).map_err(|error| StoreError::corrupt("custom field", error))?;
    let mut custom: Vec<(String, String)> = custom.into_iter().collect();
    custom.sort_unstable();
    Ok(UserDetails {
        first_name: row.get(first + 1)?,
        last_name: row.get(first + 2)?,
        email: row.get(first + 3)?,
        active: row.get::<Option<bool>>(first + 4)?.unwrap_or(true),
        role: row.get(first + 5)?,
        job_title: row.get(first + 6)?,
        language: row.get(first + 7)?,
        location: row.get(first + 8)?,
        joined_on: row.get(first + 9)?,
        manager_name: full_name(row.get(first + 10)?, row.get(first + 11)?),
        primary_team: row.get(first + 12)?,
        secondary_teams,
        deactivated_at: row.get::<Option<i64>>(first + 13)?.map(Timestamp::from_micros),
        custom,
        ..UserDetails::new(read_id(row, first)?)
    })
}

/// The columns of a content's card, in the order in which [`content_card`] takes them.
const CONTENT_COLUMNS: &str =
    "key, id, iri, title, type, content_type, archived_at, tags, cpd_labels, source, url";

fn content_card(row: &Row) -> Result<ContentDetails, StoreError> {
    let list = |column| {
        let text: String = row.get(column)?;
        serde_json::from_str::<Vec<String>>(&text)
            .map_err(|error| StoreError::corrupt("list of terms", error))
    };
    let id: String = row.get(1)?;
    Ok(ContentDetails {
        key: ContentKey(row.get(0)?),
        id: ContentId::from_stored(id),
        iri: row.get(2)?,
        title: row.get(3)?,
        learning_type: type_from(row.get(4)?),
        content_type: kind_from(row.get(5)?),
        archived_at: row.get::<Option<i64>>(6)?.map(Timestamp::from_micros),
        tags: list(7)?,
        cpd_labels: list(8)?,
        source: row.get(9)?,
        url: row.get(10)?,
    })
}

pub(crate) fn full_name(first: Option<String>, last: Option<String>) -> Option<String> {
    let name: Vec<String> = [first, last]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    (!name.is_empty()).then(|| name.join(" "))
}
