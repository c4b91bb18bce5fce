//! Counts the log: one scan of its narrow columns, folded in the process.
//!
//! Not a `GROUP BY`: counting distinct people and completions of groups that overlap takes the databases longer than
//! handing out the rows, twice over for the total; and days of a time zone are known here, for both alike. What the
//! rows point to is looked up once for each person and content, as exports do it; names come last, for the groups that
//! are shown.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;
use uuid::Uuid;

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::base::ids::{TeamId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::description::titled;
use crate::log::summary::fold::{Counted, Fold, Folded, TooMuch};
use crate::log::summary::{Dimension, MOST_GROUPS, Named, Names, Summary};
use crate::log::{Action, ContentKey, Filter, Percent};

use crate::store::db::database::{self, Sql};
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError};
use crate::store::directory::lookups::full_name;
use crate::store::directory::reach::push_team_tree;
use crate::store::ingest::demands::{kind_from, type_from};

/// Rows whose persons and contents are looked up together.
const BATCH: usize = 8_192;

/// The columns that are counted, in the order in which [`read_narrow`] takes them.
const SELECT_NARROW: &str = "SELECT a.happened_at, a.person, a.content, a.action, a.completed, a.success, a.percent, \
     a.seconds, a.registration FROM activities a";

/// A row as far as it is counted.
struct Narrow {
    happened_at: Timestamp,
    person: i64,
    content: Option<i64>,
    action: Action,
    completed: bool,
    success: Option<bool>,
    percent: Option<Percent>,
    seconds: Option<i64>,
    registration: Option<Uuid>,
}

fn read_narrow(row: &database::Row) -> Result<Narrow, StoreError> {
    let action: i16 = row.get(3)?;
    Ok(Narrow {
        happened_at: Timestamp::from_micros(row.get(0)?),
        person: row.get(1)?,
        content: row.get(2)?,
        action: Action::from_code(action).ok_or_else(|| StoreError::corrupt("action", action))?,
        completed: row.get(4)?,
        success: row.get(5)?,
        percent: row.get::<Option<i64>>(6)?.map(Percent),
        seconds: row.get(7)?,
        registration: row.get(8)?,
    })
}

impl Store {
    /// The log counted in groups by one or two dimensions, in days of the filter's zone.
    ///
    /// # Errors
    /// The inner one, where there is more to count at once than a process may keep in mind.
    pub async fn summary(
        &self,
        question: &Scoped<&Filter>,
        by: &[Dimension],
        now: Timestamp,
    ) -> Result<Result<Summary, TooMuch>, StoreError> {
        let filter = *question.inner();
        let mut fold = Fold::new(by, filter.zone());
        let mut facts = Facts::new(self, question, by).await?;
        let mut chunks = std::pin::pin!(self.scan(question, SELECT_NARROW, now, read_narrow).await?);
        let mut rows: Vec<Narrow> = Vec::with_capacity(BATCH);
        loop {
            let chunk = chunks.next().await.transpose()?;
            let last = chunk.is_none();
            rows.extend(chunk.into_iter().flatten());
            if last || rows.len() >= BATCH {
                facts.load(&rows).await?;
                for row in rows.drain(..) {
                    if let Err(too_much) = fold.add(&facts.counted(&row)?) {
                        return Ok(Err(too_much));
                    }
                }
            }
            if last {
                break;
            }
        }
        let folded = fold.finish(MOST_GROUPS);
        let names = facts.names(&folded).await?;
        let summary = Summary::new(folded, &names);
        Ok(Ok(
            summary.ok_or(StoreError::Invariant("a group without its name"))?
        ))
    }
}

/// What a content is: its type and its content type.
type Kind = (Option<LearningType>, Option<ContentFormat>);

/// What rows are joined with, each person and content looked up once.
struct Facts<'a> {
    store: &'a Store,
    question: &'a Scoped<&'a Filter>,
    org: Option<i64>,
    /// The user of each person.
    users: HashMap<i64, Option<i64>>,
    /// The teams of each user, where rows are counted by team.
    teams: Option<HashMap<i64, Vec<i64>>>,
    /// The teams that are asked for; `None`: all of them.
    asked_teams: Option<HashSet<i64>>,
    /// What each content is, where rows are counted by that.
    kinds: Option<HashMap<i64, Kind>>,
}

impl<'a> Facts<'a> {
    async fn new(
        store: &'a Store,
        question: &'a Scoped<&'a Filter>,
        by: &[Dimension],
    ) -> Result<Self, StoreError> {
        let org = store.organisation_key(question.org()).await?;
        let by_team = by.contains(&Dimension::Team);
        let by_kind = by.contains(&Dimension::Type) || by.contains(&Dimension::ContentType);
        let asked_teams = match org {
            Some(org) if by_team => asked_teams(store, org, question.inner()).await?,
            _ => None,
        };
        Ok(Self {
            store,
            question,
            org,
            users: HashMap::new(),
            teams: by_team.then(HashMap::new),
            asked_teams,
            kinds: by_kind.then(HashMap::new),
        })
    }

    /// Looks up what is not known yet of these rows.
    async fn load(&mut self, rows: &[Narrow]) -> Result<(), StoreError> {
        let Some(org) = self.org else {
            return Ok(());
        };
        let new = missing(&self.users, rows.iter().map(|row| row.person));
        if !new.is_empty() {
            let select = "SELECT key, user_key FROM persons WHERE org = $1 AND key IN LIST($2)";
            let found = self
                .store
                .db()
                .fetch_all(Sql::new(select).with(org).with(new))
                .await?;
            let mut users = Vec::new();
            for row in &found {
                let user: Option<i64> = row.get(1)?;
                users.extend(user);
                self.users.insert(row.get(0)?, user);
            }
            self.load_teams(org, users).await?;
        }
        if let Some(kinds) = &mut self.kinds {
            let new = missing(kinds, rows.iter().filter_map(|row| row.content));
            if !new.is_empty() {
                let select =
                    "SELECT key, type, content_type FROM contents WHERE org = $1 AND key IN LIST($2)";
                for row in self
                    .store
                    .db()
                    .fetch_all(Sql::new(select).with(org).with(new))
                    .await?
                {
                    kinds.insert(row.get(0)?, (type_from(row.get(1)?), kind_from(row.get(2)?)));
                }
            }
        }
        Ok(())
    }

    /// The teams of these users that rows count in: with `primary_team_only` the primary one alone, and of those
    /// asked for.
    async fn load_teams(&mut self, org: i64, users: Vec<i64>) -> Result<(), StoreError> {
        let Some(teams) = &mut self.teams else {
            return Ok(());
        };
        let new = missing(teams, users.into_iter());
        if new.is_empty() {
            return Ok(());
        }
        teams.extend(new.iter().map(|user| (*user, Vec::new())));
        let mut filters = self.question.inner().each();
        let select = if filters.any(|filter| filter.primary_team_only) {
            "SELECT key, primary_team FROM users WHERE org = $1 AND key IN LIST($2) AND primary_team IS NOT NULL"
        } else {
            "SELECT user_key, team FROM memberships WHERE org = $1 AND user_key IN LIST($2)"
        };
        for row in self
            .store
            .db()
            .fetch_all(Sql::new(select).with(org).with(new))
            .await?
        {
            let team: i64 = row.get(1)?;
            if self
                .asked_teams
                .as_ref()
                .is_none_or(|asked| asked.contains(&team))
            {
                teams.entry(row.get(0)?).or_default().push(team);
            }
        }
        Ok(())
    }

    /// A row whose facts are loaded.
    fn counted(&self, row: &Narrow) -> Result<Counted<'_>, StoreError> {
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
        let (kind, content_type) = kinds
            .and_then(|(kinds, content)| kinds.get(&content).copied())
            .unwrap_or_default();
        Ok(Counted {
            happened_at: row.happened_at,
            person: row.person,
            user,
            teams: teams.map_or(&[], Vec::as_slice),
            content: row.content,
            learning_type: kind,
            content_type,
            action: row.action,
            completed: row.completed,
            success: row.success,
            percent: row.percent,
            seconds: row.seconds,
            registration: row.registration,
        })
    }

    /// What the groups are called, as directory and catalogue have it now.
    async fn names(&self, folded: &Folded) -> Result<Names, StoreError> {
        let mut names = Names::default();
        let Some(org) = self.org else {
            return Ok(names);
        };
        let users = folded.keys(Dimension::User);
        if !users.is_empty() {
            let select =
                "SELECT key, id, first_name, last_name FROM users WHERE org = $1 AND key IN LIST($2)";
            for row in self
                .store
                .db()
                .fetch_all(Sql::new(select).with(org).with(users))
                .await?
            {
                let id: UserId = read_id(&row, 1)?;
                let name = full_name(row.get(2)?, row.get(3)?);
                let name = name.unwrap_or_else(|| id.to_string());
                names.users.insert(row.get(0)?, Named::new(id.as_str(), name));
            }
        }
        let teams = folded.keys(Dimension::Team);
        if !teams.is_empty() {
            let select = "SELECT key, id, name FROM teams WHERE org = $1 AND key IN LIST($2)";
            for row in self
                .store
                .db()
                .fetch_all(Sql::new(select).with(org).with(teams))
                .await?
            {
                let id: TeamId = read_id(&row, 1)?;
                let name: String = row.get(2)?;
                names.teams.insert(row.get(0)?, Named::new(id.as_str(), name));
            }
        }
        let contents: Vec<ContentKey> = folded
            .keys(Dimension::Content)
            .into_iter()
            .map(ContentKey)
            .collect();
        if !contents.is_empty() {
            let cards = self.store.content_details(self.question.org(), &contents).await?;
            for (key, card) in cards {
                names
                    .contents
                    .insert(key.0, Named::new(card.id.as_str(), titled(&card)));
            }
        }
        Ok(names)
    }
}

/// The teams that the filter asks for, with those below them where it says so: of several filters those that all of them
/// ask for. `None` where none asks for any.
async fn asked_teams(store: &Store, org: i64, filter: &Filter) -> Result<Option<HashSet<i64>>, StoreError> {
    let mut asked: Option<HashSet<i64>> = None;
    for filter in filter.each().filter(|filter| !filter.teams.is_empty()) {
        let mut sql = Sql::new("").with(org);
        push_team_tree(&mut sql, &filter.teams, filter.include_sub_teams);
        sql.push("SELECT key FROM tree");
        let rows = store.db().fetch_all(sql).await?;
        let mut teams: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        if let Some(others) = &asked {
            teams.retain(|team| others.contains(team));
        }
        asked = Some(teams);
    }
    Ok(asked)
}

/// The keys that nothing is known of, each once.
fn missing<V>(known: &HashMap<i64, V>, keys: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut missing: Vec<i64> = keys.filter(|key| !known.contains_key(key)).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}
