//! The details that the log shows with its rows: persons, contents, verbs and recorders, as they are now.

use std::collections::HashMap;

use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, OrgId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::row::full_name;
use crate::log::{
    ContentDetails, ContentKey, PersonDetails, PersonKey, Recorder, UserDetails, VerbDetails, VerbKey,
};

use crate::store::db::columns::{FromRow as _, columns};
use crate::store::db::conversions::Json;
use crate::store::db::database::{Row, Sql};
use crate::store::db::rows::texts;
use crate::store::db::unreadable::{id_of, skip_unreadable};
use crate::store::db::{Store, StoreError, digest};
use crate::store::ingest::persons::{read_group, read_identifier};

/// The IRI that the log shows for a verb that cannot be read.
const UNREADABLE_VERB: &str = "urn:rollbook:unreadable-verb";

/// The store's key of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey(pub i64);

columns! {
    struct PersonRow {
        key: PersonKey = "p.key",
        kind: i16 = "p.kind",
        name: Option<String> = "p.name",
        value: String = "p.value",
        user_key: Option<i64> = "u.key",
    }
}

columns! {
    /// What an [`Activity`](crate::log::Activity) shows of a user.
    struct UserNames {
        id: UserId = "u.id",
        first_name: Option<String> = "u.first_name",
        last_name: Option<String> = "u.last_name",
        email: Option<String> = "u.email",
        active: bool = "u.active",
    }
}

impl From<UserNames> for UserDetails {
    fn from(row: UserNames) -> Self {
        Self {
            first_name: row.first_name,
            last_name: row.last_name,
            email: row.email,
            active: row.active,
            ..Self::new(row.id)
        }
    }
}

columns! {
    /// A user with the tables of [`USER_JOINS`]. The columns of a person without a user are all NULL.
    struct UserRow {
        id: UserId = "u.id",
        first_name: Option<String> = "u.first_name",
        last_name: Option<String> = "u.last_name",
        email: Option<String> = "u.email",
        active: bool = "u.active",
        role: Option<String> = "u.role",
        job_title: Option<String> = "u.job_title",
        language: Option<String> = "u.language",
        location: Option<String> = "u.location",
        joined_on: Option<String> = "u.joined_on",
        manager: Option<UserId> = "m.id",
        manager_first_name: Option<String> = "m.first_name",
        manager_last_name: Option<String> = "m.last_name",
        primary_team: Option<String> = "t.name",
        primary_team_id: Option<String> = "t.id",
        deactivated_at: Option<Timestamp> = "u.deactivated_at",
        custom: Json<HashMap<String, String>> = "u.custom",
    }
}

impl PersonRow {
    fn into_details(self, user: Option<UserDetails>) -> Result<PersonDetails, StoreError> {
        let name = || self.key.0;
        // The identifiers of a user belong to the directory.
        let (identifier, group) = match self.user_key {
            Some(_) => (None, None),
            None => {
                let group = skip_unreadable("person", name, read_group(self.kind, &self.value))?.flatten();
                let identifier = match group {
                    Some(_) => None,
                    None => skip_unreadable("person", name, read_identifier(&self.value))?.flatten(),
                };
                (identifier, group)
            }
        };
        Ok(PersonDetails {
            key: self.key,
            user,
            name: self.name,
            identifier,
            group,
        })
    }
}

/// A team of a user. Teams are ordered by their names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Team {
    name: String,
    id: String,
}

/// The tables that [`UserRow`] needs besides `users u`.
const USER_JOINS: &str = "LEFT JOIN users m ON m.org = u.org AND m.key = u.manager \
     LEFT JOIN teams t ON t.org = u.org AND t.key = u.primary_team";

impl UserRow {
    /// `teams` are all teams of the user.
    fn into_details(self, teams: Vec<Team>) -> UserDetails {
        let (names, ids): (Vec<String>, Vec<String>) = teams
            .into_iter()
            .filter(|team| self.primary_team_id.as_ref() != Some(&team.id))
            .map(|team| (team.name, team.id))
            .unzip();
        let manager = (self.manager_first_name, self.manager_last_name);
        let mut custom: Vec<(String, String)> = self.custom.0.into_iter().collect();
        custom.sort_unstable();
        UserDetails {
            id: self.id,
            first_name: self.first_name,
            last_name: self.last_name,
            email: self.email,
            active: self.active,
            role: self.role,
            job_title: self.job_title,
            language: self.language,
            location: self.location,
            joined_on: self.joined_on,
            manager: self.manager,
            manager_name: full_name(manager.0.as_deref(), manager.1.as_deref()),
            primary_team: self.primary_team,
            secondary_teams: names,
            team_ids: self.primary_team_id.into_iter().chain(ids).collect(),
            deactivated_at: self.deactivated_at,
            custom,
        }
    }
}

columns! {
    struct ContentRow {
        key: ContentKey = "key",
        id: ContentId = "id",
        iri: String = "iri",
        title: Option<String> = "title",
        learning_type: Option<LearningType> = "type",
        content_type: Option<ContentFormat> = "content_type",
        archived_at: Option<Timestamp> = "archived_at",
        tags: Json<Vec<String>> = "tags",
        cpd_labels: Json<Vec<String>> = "cpd_labels",
        source: Option<String> = "source",
        url: Option<String> = "url",
    }
}

impl From<ContentRow> for ContentDetails {
    fn from(row: ContentRow) -> Self {
        Self {
            key: row.key,
            id: row.id,
            iri: row.iri,
            title: row.title,
            learning_type: row.learning_type,
            content_type: row.content_type,
            archived_at: row.archived_at,
            tags: row.tags.0,
            cpd_labels: row.cpd_labels.0,
            source: row.source,
            url: row.url,
        }
    }
}

/// The details of a person that cannot be read.
fn nameless_person(key: PersonKey) -> PersonDetails {
    PersonDetails {
        key,
        user: None,
        name: None,
        identifier: None,
        group: None,
    }
}

/// The details of a verb that cannot be read.
fn unreadable_verb(key: VerbKey) -> VerbDetails {
    VerbDetails {
        key,
        iri: UNREADABLE_VERB.to_owned(),
        display: None,
    }
}

columns! {
    struct RecorderRow {
        id: UserId = "id",
        first_name: Option<String> = "first_name",
        last_name: Option<String> = "last_name",
    }
}

/// The details of all these persons. All of them exist, because rows of the log refer to them.
fn details_of_all(
    keys: &[PersonKey],
    persons: impl Iterator<Item = (PersonRow, Option<UserDetails>)>,
) -> Result<HashMap<PersonKey, PersonDetails>, StoreError> {
    let mut details: HashMap<PersonKey, PersonDetails> =
        keys.iter().map(|key| (*key, nameless_person(*key))).collect();
    for (person, user) in persons {
        details.insert(person.key, person.into_details(user)?);
    }
    Ok(details)
}

/// The query for those of these persons that belong to a user, and for their users.
pub(crate) fn select_users_of_persons(org: i64, keys: Vec<i64>) -> Sql {
    let select = Sql::new(
        "SELECT key, user_key FROM persons WHERE org = $1 AND key IN LIST($2) AND user_key IS NOT NULL",
    );
    select.with(org).with(keys)
}

impl Store {
    /// The key of the organisation, if there are keys to look up in it.
    async fn org_of<K>(&self, organisation: &OrgId, keys: &[K]) -> Result<Option<i64>, StoreError> {
        match keys {
            [] => Ok(None),
            _ => self.organisation_key(organisation).await,
        }
    }

    /// The details of persons.
    pub async fn person_details(
        &self,
        organisation: &OrgId,
        keys: &[PersonKey],
    ) -> Result<HashMap<PersonKey, PersonDetails>, StoreError> {
        let Some(org) = self.org_of(organisation, keys).await? else {
            return Ok(HashMap::new());
        };
        let columns = (UserRow::COLUMNS, USER_JOINS);
        let persons = self.read_persons(org, keys, columns, UserRow::read_from).await?;
        let users = persons.iter().filter_map(|(person, _)| person.user_key).collect();
        let teams = self.teams_of_users(org, users).await?;
        let persons = persons.into_iter().map(|(person, user)| {
            let user = user.map(|user| {
                // Several persons may have the same user.
                let teams = person.user_key.and_then(|key| teams.get(&key));
                user.into_details(teams.cloned().unwrap_or_default())
            });
            (person, user)
        });
        details_of_all(keys, persons)
    }

    /// The details of persons that an [`Activity`](crate::log::Activity) shows.
    pub(super) async fn person_names(
        &self,
        organisation: &OrgId,
        keys: &[PersonKey],
    ) -> Result<HashMap<PersonKey, PersonDetails>, StoreError> {
        let Some(org) = self.org_of(organisation, keys).await? else {
            return Ok(HashMap::new());
        };
        let columns = (UserNames::COLUMNS, "");
        let persons = self
            .read_persons(org, keys, columns, UserNames::read_from)
            .await?;
        let persons = persons.into_iter();
        details_of_all(
            keys,
            persons.map(|(person, user)| (person, user.map(UserDetails::from))),
        )
    }

    /// The persons with these keys, and their users: these columns, and the joins that they need.
    async fn read_persons<U>(
        &self,
        org: i64,
        keys: &[PersonKey],
        (columns, joins): (&str, &str),
        read_user: fn(&Row, usize) -> Result<U, StoreError>,
    ) -> Result<Vec<(PersonRow, Option<U>)>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {}, {columns} FROM persons p LEFT JOIN users u ON u.org = p.org AND u.key = p.user_key {joins} \
             WHERE p.org = $1 AND p.key IN LIST($2)",
            PersonRow::COLUMNS
        ));
        let numbers: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let rows = self.db().fetch_all(select.with(org).with(numbers)).await?;
        let mut persons = Vec::with_capacity(rows.len());
        for row in &rows {
            let name = || id_of(row, 0);
            let Some(person) = skip_unreadable("person", name, PersonRow::from_row(row))? else {
                continue;
            };
            let user = match person.user_key {
                Some(_) => skip_unreadable("user", name, read_user(row, PersonRow::COUNT))?,
                None => None,
            };
            persons.push((person, user));
        }
        Ok(persons)
    }

    /// The details of users, by the keys of their rows. The key inside the details is the user's, because a user may have
    /// several persons.
    pub(crate) async fn user_details(
        &self,
        org: i64,
        keys: &[i64],
    ) -> Result<HashMap<i64, PersonDetails>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {}, u.key FROM users u {USER_JOINS} WHERE u.org = $1 AND u.key IN LIST($2)",
            UserRow::COLUMNS
        ));
        let (rows, mut teams) = tokio::try_join!(
            self.db().fetch_all(select.with(org).with(keys.to_vec())),
            self.teams_of_users(org, keys.to_vec()),
        )?;
        let mut details = HashMap::with_capacity(rows.len());
        for row in &rows {
            let key: i64 = row.get(UserRow::COUNT)?;
            let user = skip_unreadable("user", || key, UserRow::from_row(row))?;
            let user = user.map(|user| user.into_details(teams.remove(&key).unwrap_or_default()));
            details.insert(
                key,
                PersonDetails {
                    key: PersonKey(key),
                    user,
                    name: None,
                    identifier: None,
                    group: None,
                },
            );
        }
        Ok(details)
    }

    /// The users of those of these persons that belong to one.
    pub async fn users_of_persons(
        &self,
        organisation: &OrgId,
        keys: &[PersonKey],
    ) -> Result<HashMap<PersonKey, UserKey>, StoreError> {
        let Some(org) = self.org_of(organisation, keys).await? else {
            return Ok(HashMap::new());
        };
        let select = select_users_of_persons(org, keys.iter().map(|key| key.0).collect());
        let rows: Vec<(PersonKey, i64)> = self.db().fetch_rows(select).await?;
        Ok(rows.into_iter().map(|(key, user)| (key, UserKey(user))).collect())
    }

    /// The details of users. A user that cannot be read is missing. The key inside the details is the user's.
    pub async fn users_by_key(
        &self,
        organisation: &OrgId,
        keys: &[UserKey],
    ) -> Result<HashMap<UserKey, PersonDetails>, StoreError> {
        let Some(org) = self.org_of(organisation, keys).await? else {
            return Ok(HashMap::new());
        };
        let numbers: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let users = self.user_details(org, &numbers).await?.into_iter();
        let users = users.filter(|(_, details)| details.user.is_some());
        Ok(users.map(|(key, details)| (UserKey(key), details)).collect())
    }

    /// The number of persons of an organisation, at most `most`.
    pub async fn count_persons(&self, organisation: &OrgId, most: usize) -> Result<usize, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(0);
        };
        let select =
            Sql::new("SELECT count(*) FROM (SELECT 1 FROM persons p WHERE p.org = $1 LIMIT $2) counted");
        let count = self.db().count(select.with(org).with(most as i64)).await?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// The persons after a key, in the order of their keys, with their users.
    pub async fn list_persons(
        &self,
        organisation: &OrgId,
        after: Option<PersonKey>,
        limit: usize,
    ) -> Result<Vec<(PersonKey, Option<UserKey>)>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Vec::new());
        };
        let after = after.map_or(i64::MIN, |key| key.0);
        let select = Sql::new(
            "SELECT p.key, p.user_key FROM persons p WHERE p.org = $1 AND p.key > $2 ORDER BY p.key LIMIT $3",
        );
        let select = select.with(org).with(after).with(limit as i64);
        let rows: Vec<(PersonKey, Option<i64>)> = self.db().fetch_rows(select).await?;
        Ok(rows
            .into_iter()
            .map(|(key, user)| (key, user.map(UserKey)))
            .collect())
    }

    /// The details of the content in the catalogue with that id, or with that IRI if it is not registered.
    pub(crate) async fn content_details_by_id(
        &self,
        org: i64,
        id: &str,
    ) -> Result<Option<ContentDetails>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM contents WHERE org = $1 AND id_digest = $2 AND listed",
            ContentRow::COLUMNS
        ));
        let row: Option<ContentRow> = self.db().fetch_row(select.with(org).with(digest(id))).await?;
        Ok(row.map(ContentDetails::from))
    }

    /// The teams of each user, in the order of their names.
    async fn teams_of_users(&self, org: i64, users: Vec<i64>) -> Result<HashMap<i64, Vec<Team>>, StoreError> {
        let select = Sql::new(
            "SELECT m.user_key, t.name, t.id FROM memberships m JOIN teams t ON t.org = m.org AND t.key = m.team \
             WHERE m.org = $1 AND m.user_key IN LIST($2)",
        );
        let rows: Vec<(i64, String, String)> = self.db().fetch_rows(select.with(org).with(users)).await?;
        let mut teams: HashMap<i64, Vec<Team>> = HashMap::new();
        for (user, name, id) in rows {
            teams.entry(user).or_default().push(Team { name, id });
        }
        for teams in teams.values_mut() {
            teams.sort_unstable();
        }
        Ok(teams)
    }

    /// The details of contents.
    pub async fn content_details(
        &self,
        organisation: &OrgId,
        keys: &[ContentKey],
    ) -> Result<HashMap<ContentKey, ContentDetails>, StoreError> {
        let Some(org) = self.org_of(organisation, keys).await? else {
            return Ok(HashMap::new());
        };
        let select = Sql::new(&format!(
            "SELECT {} FROM contents WHERE org = $1 AND key IN LIST($2)",
            ContentRow::COLUMNS
        ));
        let keys: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let select = select.with(org).with(keys);
        let rows: Vec<ContentRow> = self.db().fetch_readable("content", 1, select).await?;
        Ok(rows.into_iter().map(|row| (row.key, row.into())).collect())
    }

    /// The details of verbs. All of them exist, because rows of the log refer to them.
    pub async fn verb_details(
        &self,
        organisation: &OrgId,
        keys: &[VerbKey],
    ) -> Result<HashMap<VerbKey, VerbDetails>, StoreError> {
        let Some(org) = self.org_of(organisation, keys).await? else {
            return Ok(HashMap::new());
        };
        let select = Sql::new("SELECT key, iri, display FROM verbs WHERE org = $1 AND key IN LIST($2)");
        let numbers: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let select = select.with(org).with(numbers);
        let rows: Vec<(VerbKey, String, Option<String>)> =
            self.db().fetch_readable("verb", 0, select).await?;
        let mut details: HashMap<VerbKey, VerbDetails> =
            keys.iter().map(|key| (*key, unreadable_verb(*key))).collect();
        for (key, iri, display) in rows {
            details.insert(key, VerbDetails { key, iri, display });
        }
        Ok(details)
    }

    /// The users that recorded activities, with the names that the directory has now.
    pub async fn recorders(
        &self,
        organisation: &OrgId,
        ids: &[UserId],
    ) -> Result<HashMap<UserId, Recorder>, StoreError> {
        let unnamed = |id: &UserId| Recorder {
            id: id.clone(),
            name: None,
        };
        let mut recorders: HashMap<UserId, Recorder> =
            ids.iter().map(|id| (id.clone(), unnamed(id))).collect();
        if recorders.is_empty() {
            return Ok(recorders);
        }
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(recorders);
        };
        let select = Sql::new(&format!(
            "SELECT {} FROM users WHERE org = $1 AND id IN LIST($2)",
            RecorderRow::COLUMNS
        ));
        let select = select.with(org).with(texts(ids));
        let rows: Vec<RecorderRow> = self.db().fetch_readable("user", 0, select).await?;
        for row in rows {
            let name = full_name(row.first_name.as_deref(), row.last_name.as_deref());
            recorders.insert(row.id.clone(), Recorder { id: row.id, name });
        }
        Ok(recorders)
    }

    /// The names of all custom fields that users of the organisation have, in order.
    pub async fn custom_fields(&self, organisation: &OrgId) -> Result<Vec<String>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Vec::new());
        };
        let select = Sql::new("SELECT DISTINCT field FROM user_fields WHERE org = $1 ORDER BY field");
        let rows: Vec<(String,)> = self.db().fetch_rows(select.with(org)).await?;
        Ok(rows.into_iter().map(|(field,)| field).collect())
    }
}
