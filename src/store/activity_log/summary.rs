//! Counts the log in groups: from the columns in memory ([`counting`](super::counting)), or by a scan.
//!
//! A scan reads the narrow columns of the rows, and the process counts them. A `GROUP BY` would be slower: counting
//! distinct people and overlapping groups takes the databases longer than returning the rows, and the total would need a
//! second query. The process also knows the days of a time zone, which the two databases handle differently.
//!
//! Persons and contents are looked up once for each key, as in exports. Names are loaded at the end, only for the groups
//! of the result.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt;
use uuid::Uuid;

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::base::ids::{TeamId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::description::display_title;
use crate::log::row::full_name;
use crate::log::summary::counter::columns::{ContentKind, SummaryLookups};
use crate::log::summary::counter::remembered::Question;
use crate::log::summary::counter::{
    CountFault, CountedActivity, CountedGroups, LimitExceeded, SummaryCounter,
};
use crate::log::summary::{Dimension, GroupNames, KeyAndLabel, MOST_GROUPS, Summary};
use crate::log::{Action, ContentKey, Filter, Percent, PersonKey};
use crate::texts::Language;

use crate::store::activity_log::counting::Counted;
use crate::store::db::column_cache::CachedColumns;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};

/// The number of rows with one lookup of their persons and contents.
const ROWS_PER_LOOKUP: usize = 8_192;

columns! {
    /// The columns that are counted.
    struct CountedRow {
        happened_at: Timestamp = "a.happened_at",
        seq: i64 = "a.seq",
        person: i64 = "a.person",
        content: Option<i64> = "a.content",
        action: Action = "a.action",
        completed: bool = "a.completed",
        success: Option<bool> = "a.success",
        percent: Option<Percent> = "a.percent",
        part: Option<String> = "a.part",
        seconds: Option<i64> = "a.seconds",
        registration: Option<Uuid> = "a.registration",
        session: Option<i64> = "a.session",
    }
}

columns! {
    /// The name of a user.
    struct UserNameRow {
        key: i64 = "u.key",
        id: UserId = "u.id",
        first_name: Option<String> = "u.first_name",
        last_name: Option<String> = "u.last_name",
    }
}

impl Store {
    /// Counts the matching rows in groups by one or two dimensions. Days are days in the filter's time zone.
    ///
    /// # Errors
    /// The inner error is returned if the counts need more memory than the process may use.
    pub async fn summarise(
        &self,
        filter: &Scoped<&Filter>,
        by: &[Dimension],
        now: Timestamp,
        language: Language,
    ) -> Result<Result<Summary, LimitExceeded>, StoreError> {
        let by_columns = async |columns| {
            let counted = Counted { filter, now };
            let groups = self.count_groups(counted, by, columns).await?;
            // The names are those of the primary, from which the columns are.
            Ok(groups.map(|groups| (groups, self.on_primary())))
        };
        let scan = async { Ok((self.scan_groups(filter, by, now).await?, self.clone())) };
        let (counted, store) = self.count_first(filter.org(), filter, by_columns, scan).await?;
        let counted = match counted {
            Ok(counted) => counted,
            Err(too_many) => return Ok(Err(too_many)),
        };
        let lookups = GroupLookups::new(&store, filter, by).await?;
        let names = lookups.load_names(&counted, language).await?;
        let summary = Summary::new(counted, &names);
        Ok(Ok(
            summary.ok_or(StoreError::Invariant("a group without its name"))?
        ))
    }

    /// Counts the columns in groups. `None` if they cannot be used any more.
    async fn count_groups(
        &self,
        counted: Counted<'_>,
        by: &[Dimension],
        columns: Arc<CachedColumns>,
    ) -> Result<Option<Result<CountedGroups, LimitExceeded>>, StoreError> {
        let store = self.on_primary();
        let lookups = GroupLookups::new(&store, counted.filter, by).await?;
        let teams = lookups.find_all_teams().await?;
        let kinds = lookups.find_all_kinds().await?;
        let (by, zone) = (by.to_vec(), counted.filter.inner().zone());
        let remembered = Arc::clone(&columns.summaries);
        self.count_columns_and_people(counted, columns, move |selected, people| {
            let lookups = SummaryLookups { people, teams, kinds };
            let question = Question {
                by: &by,
                zone,
                selected,
                lookups: &lookups,
            };
            remembered.count(question, MOST_GROUPS)
        })
        .await
    }

    /// Counts the stored rows in groups.
    async fn scan_groups(
        &self,
        filter: &Scoped<&Filter>,
        by: &[Dimension],
        now: Timestamp,
    ) -> Result<Result<CountedGroups, LimitExceeded>, StoreError> {
        let mut counter = SummaryCounter::new(by, filter.inner().zone());
        let mut lookups = GroupLookups::new(self, filter, by).await?;
        loop {
            match self.scan_once(&mut counter, &mut lookups, now).await? {
                Ok(()) if counter.next_partition() => {}
                Ok(()) => return Ok(Ok(counter.finish(MOST_GROUPS))),
                Err(CountFault::Groups) => return Ok(Err(LimitExceeded)),
                Err(CountFault::Entries) => match counter.with_smaller_partitions() {
                    Some(smaller) => counter = smaller,
                    None => return Ok(Err(LimitExceeded)),
                },
            }
        }
    }

    /// Adds all stored rows to the counter.
    async fn scan_once(
        &self,
        counter: &mut SummaryCounter,
        lookups: &mut GroupLookups<'_>,
        now: Timestamp,
    ) -> Result<Result<(), CountFault>, StoreError> {
        let filter = lookups.filter;
        let chunks = self.scan_rows(filter, CountedRow::COLUMNS, now, CountedRow::read);
        let mut chunks = std::pin::pin!(chunks.await?);
        let mut rows: Vec<CountedRow> = Vec::with_capacity(ROWS_PER_LOOKUP);
        loop {
            let chunk = chunks.next().await.transpose()?;
            let last = chunk.is_none();
            rows.extend(chunk.into_iter().flatten());
            if last || rows.len() >= ROWS_PER_LOOKUP {
                lookups.load(&rows).await?;
                for row in rows.drain(..) {
                    if let Err(fault) = counter.add(&lookups.resolve(&row)?) {
                        return Ok(Err(fault));
                    }
                }
            }
            if last {
                return Ok(Ok(()));
            }
        }
    }
}

/// The data about persons and contents that the groups depend on. Each key is looked up once.
struct GroupLookups<'a> {
    store: &'a Store,
    filter: &'a Scoped<&'a Filter>,
    org: Option<i64>,
    /// The user of each person.
    users: HashMap<i64, Option<i64>>,
    /// The teams of each user, if rows are counted by team.
    teams: Option<HashMap<i64, Vec<i64>>>,
    /// The teams in the filter; `None` means all teams.
    selected_teams: Option<HashSet<i64>>,
    /// The kind of each content, if rows are counted by type or content type.
    kinds: Option<HashMap<i64, ContentKind>>,
}

impl<'a> GroupLookups<'a> {
    async fn new(
        store: &'a Store,
        filter: &'a Scoped<&'a Filter>,
        by: &[Dimension],
    ) -> Result<Self, StoreError> {
        let org = store.organisation_key(filter.org()).await?;
        let by_team = by.contains(&Dimension::Team);
        let by_kind = by.contains(&Dimension::Type) || by.contains(&Dimension::ContentType);
        let selected_teams = match org {
            Some(org) if by_team => find_selected_teams(store, org, filter.inner()).await?,
            _ => None,
        };
        Ok(Self {
            store,
            filter,
            org,
            users: HashMap::new(),
            teams: by_team.then(HashMap::new),
            selected_teams,
            kinds: by_kind.then(HashMap::new),
        })
    }

    /// Looks up the persons and contents of these rows that are not known yet.
    async fn load(&mut self, rows: &[CountedRow]) -> Result<(), StoreError> {
        let Some(org) = self.org else {
            return Ok(());
        };
        let new = missing_keys(&self.users, rows.iter().map(|row| row.person));
        if !new.is_empty() {
            let select = Sql::new("SELECT key, user_key FROM persons WHERE org = $1 AND key IN LIST($2)");
            let persons: Vec<(i64, Option<i64>)> = self
                .store
                .long_db()
                .fetch_rows(select.with(org).with(new))
                .await?;
            let users = persons.iter().filter_map(|(_, user)| *user).collect();
            self.users.extend(persons);
            self.load_teams(org, users).await?;
        }
        if let Some(kinds) = &mut self.kinds {
            let new = missing_keys(kinds, rows.iter().filter_map(|row| row.content));
            if !new.is_empty() {
                let select = Sql::new(
                    "SELECT key, type, content_type FROM contents WHERE org = $1 AND key IN LIST($2)",
                );
                let contents: Vec<(i64, Option<LearningType>, Option<ContentFormat>)> = self
                    .store
                    .long_db()
                    .fetch_rows(select.with(org).with(new))
                    .await?;
                kinds.extend(
                    contents
                        .into_iter()
                        .map(|(key, learning_type, format)| (key, (learning_type, format))),
                );
            }
        }
        Ok(())
    }

    /// Looks up the teams in which the rows of these users count. With `primary_team_only` it is the primary team only.
    /// Teams that the filter does not select are left out.
    async fn load_teams(&mut self, org: i64, users: Vec<i64>) -> Result<(), StoreError> {
        let Some(teams) = &mut self.teams else {
            return Ok(());
        };
        let new = missing_keys(teams, users.into_iter());
        if new.is_empty() {
            return Ok(());
        }
        teams.extend(new.iter().map(|user| (*user, Vec::new())));
        let select = match counts_primary_team(self.filter.inner()) {
            true => {
                "SELECT key, primary_team FROM users WHERE org = $1 AND key IN LIST($2) AND primary_team IS NOT NULL"
            }
            false => "SELECT user_key, team FROM memberships WHERE org = $1 AND user_key IN LIST($2)",
        };
        let select = Sql::new(select).with(org).with(new);
        let memberships = self.store.long_db().fetch_rows(select).await?;
        add_teams(teams, memberships, self.selected_teams.as_ref());
        Ok(())
    }

    /// The teams in which the rows of each user count; none if rows are not counted by team.
    async fn find_all_teams(&self) -> Result<HashMap<i64, Vec<i64>>, StoreError> {
        let (Some(_), Some(org)) = (&self.teams, self.org) else {
            return Ok(HashMap::new());
        };
        let select = match counts_primary_team(self.filter.inner()) {
            true => "SELECT key, primary_team FROM users WHERE org = $1 AND primary_team IS NOT NULL",
            false => "SELECT user_key, team FROM memberships WHERE org = $1",
        };
        let select = Sql::new(select).with(org);
        let memberships = self.store.long_db().fetch_rows(select).await?;
        let mut teams = HashMap::new();
        add_teams(&mut teams, memberships, self.selected_teams.as_ref());
        // Users with the same teams are counted together.
        teams
            .values_mut()
            .for_each(|teams: &mut Vec<i64>| teams.sort_unstable());
        Ok(teams)
    }

    /// The kinds of all contents; none if rows are not counted by type or content type.
    async fn find_all_kinds(&self) -> Result<HashMap<i64, ContentKind>, StoreError> {
        let (Some(_), Some(org)) = (&self.kinds, self.org) else {
            return Ok(HashMap::new());
        };
        let select = Sql::new("SELECT key, type, content_type FROM contents WHERE org = $1").with(org);
        let contents: Vec<(i64, Option<LearningType>, Option<ContentFormat>)> =
            self.store.long_db().fetch_rows(select).await?;
        let kinds = contents
            .into_iter()
            .map(|(key, learning_type, format)| (key, (learning_type, format)));
        Ok(kinds.collect())
    }

    /// Adds the loaded data to a row.
    fn resolve(&self, row: &CountedRow) -> Result<CountedActivity<'_>, StoreError> {
        let user = *self
            .users
            .get(&row.person)
            .ok_or(StoreError::Invariant("a row without its person"))?;
        let teams = self
            .teams
            .as_ref()
            .zip(user)
            .and_then(|(teams, user)| teams.get(&user));
        let kinds = self.kinds.as_ref().zip(row.content);
        let (learning_type, content_type) = kinds
            .and_then(|(kinds, content)| kinds.get(&content).copied())
            .unwrap_or_default();
        Ok(CountedActivity {
            happened_at: row.happened_at,
            seq: row.seq,
            person: row.person,
            user,
            teams: teams.map_or(&[], Vec::as_slice),
            content: row.content,
            learning_type,
            content_type,
            action: row.action,
            completed: row.completed,
            success: row.success,
            percent: row.percent,
            is_part: row.part.is_some(),
            seconds: row.seconds,
            registration: row.registration,
            session: row.session,
        })
    }

    /// Loads the current names of the groups.
    async fn load_names(
        &self,
        counted: &CountedGroups,
        language: Language,
    ) -> Result<GroupNames, StoreError> {
        let mut names = GroupNames {
            language,
            ..GroupNames::default()
        };
        let Some(org) = self.org else {
            return Ok(names);
        };
        self.load_user_names(org, counted.keys(Dimension::User), &mut names)
            .await?;
        let teams = counted.keys(Dimension::Team);
        if !teams.is_empty() {
            let select = Sql::new("SELECT key, id, name FROM teams WHERE org = $1 AND key IN LIST($2)");
            let teams: Vec<(i64, TeamId, String)> = self
                .store
                .long_db()
                .fetch_rows(select.with(org).with(teams))
                .await?;
            for (key, id, name) in teams {
                names.teams.insert(key, KeyAndLabel::new(id.as_str(), name));
            }
        }
        self.load_content_titles(counted.keys(Dimension::Content), &mut names)
            .await?;
        Ok(names)
    }

    /// Loads the names of users, and of persons that no user claims.
    async fn load_user_names(
        &self,
        org: i64,
        people: Vec<i64>,
        names: &mut GroupNames,
    ) -> Result<(), StoreError> {
        if !people.is_empty() {
            let columns = UserNameRow::COLUMNS;
            let select = format!("SELECT {columns} FROM users u WHERE u.org = $1 AND u.key IN LIST($2)");
            let select = Sql::new(&select).with(org).with(people.clone());
            let users: Vec<UserNameRow> = self.store.long_db().fetch_rows(select).await?;
            for user in users {
                let name = full_name(user.first_name.as_deref(), user.last_name.as_deref());
                let name = name.unwrap_or_else(|| user.id.to_string());
                names
                    .users
                    .insert(user.key, KeyAndLabel::new(user.id.as_str(), name));
            }
            // The other keys are persons that no user claims.
            let unclaimed = people.into_iter().filter(|key| !names.users.contains_key(key));
            let unclaimed: Vec<PersonKey> = unclaimed.map(PersonKey).collect();
            for (key, person) in self.store.person_details(self.filter.org(), &unclaimed).await? {
                names.users.insert(key.0, KeyAndLabel::unclaimed(&person));
            }
        }
        Ok(())
    }

    /// Loads the titles of contents.
    async fn load_content_titles(
        &self,
        contents: Vec<i64>,
        names: &mut GroupNames,
    ) -> Result<(), StoreError> {
        let contents: Vec<ContentKey> = contents.into_iter().map(ContentKey).collect();
        if !contents.is_empty() {
            // A content that cannot be read has an empty name.
            let unnamed = contents.iter().map(|key| (key.0, KeyAndLabel::new("", "")));
            names.contents.extend(unnamed);
            let contents = self.store.content_details(self.filter.org(), &contents).await?;
            for (key, content) in contents {
                names.contents.insert(
                    key.0,
                    KeyAndLabel::new(content.id.as_str(), display_title(&content, names.language)),
                );
            }
        }
        Ok(())
    }
}

/// Adds teams to their users. With `selected`, the other teams are left out.
fn add_teams(
    teams: &mut HashMap<i64, Vec<i64>>,
    memberships: Vec<(i64, i64)>,
    selected: Option<&HashSet<i64>>,
) {
    for (user, team) in memberships {
        if selected.is_none_or(|selected| selected.contains(&team)) {
            teams.entry(user).or_default().push(team);
        }
    }
}

/// Whether a row counts in the primary team of its user only.
fn counts_primary_team(filter: &Filter) -> bool {
    filter.each().any(|filter| filter.primary_team_only)
}

/// Finds the teams that the filter selects, with the teams below them if the filter includes these. If several filters
/// select teams, the result is the intersection. It is `None` if no filter selects teams.
async fn find_selected_teams(
    store: &Store,
    org: i64,
    filter: &Filter,
) -> Result<Option<HashSet<i64>>, StoreError> {
    let mut selected: Option<HashSet<i64>> = None;
    for filter in filter.each().filter(|filter| !filter.teams.is_empty()) {
        let teams = store
            .find_team_keys(org, &filter.teams, filter.include_sub_teams)
            .await?;
        let mut teams: HashSet<i64> = teams.iter().copied().collect();
        if let Some(previous) = &selected {
            teams.retain(|team| previous.contains(team));
        }
        selected = Some(teams);
    }
    Ok(selected)
}

/// The keys that are not in the map, without duplicates.
fn missing_keys<V>(known: &HashMap<i64, V>, keys: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut missing: Vec<i64> = keys.filter(|key| !known.contains_key(key)).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}
