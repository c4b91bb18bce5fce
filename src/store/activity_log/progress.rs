//! Where everybody stands with a content: people first, and then what they did (product text, section 3).
//!
//! A page walks the *users* that are asked for, by id, and fetches the content's rows of those few alone, by an index
//! of its own (`activities_progress`). So it costs the same for two hundred users and for fifty thousand, for ten rows
//! and for a million. What asks for single states, or how many stand where, passes over the content's rows once before
//! ([`Progress::survey`]).
//!
//! After the users come the persons whom no user claims, where the whole organisation is asked for: those who have a
//! row of this content, by their coming.
//!
//! The reach comes in by [`Scoped`] alone; [`Progress`] can't be made without one.

use std::collections::{BTreeMap, HashMap};

use futures_util::{Stream, stream};

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId, UserId};
use crate::log::progress::{Decisive, Place, Standing, State, StateCounts};
use crate::log::{Action, Certificate, ContentDetails, Filter, Percent, PersonDetails, PersonKey};

use crate::store::db::database::{Row, Sql};
use crate::store::db::rows::{one_more, read_id};
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::push_asked;

/// How many people an export looks up at a time.
const EXPORTED_AT_ONCE: usize = 500;
/// How many it finds at a time: to find them may mean to walk a tree of managers, whose length is not theirs.
const FOUND_AT_ONCE: usize = 2_000;

/// A question about where people stand with one content, at one moment.
#[derive(Clone)]
pub struct Progress {
    store: Store,
    org: i64,
    asked: Scoped<Filter>,
    content: ContentDetails,
    now: Timestamp,
}

/// One person, and where they stand.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonStanding {
    /// Who; of a user the key is the user's, since several persons may be theirs.
    pub person: PersonDetails,
    /// Where they stand.
    pub standing: Standing,
}

/// One page of people.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressPage {
    /// The people: users by id, then persons whom no user claims.
    pub people: Vec<PersonStanding>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Place>,
}

/// Where everybody stands who has a row of the content, seen or not: nothing tells it but [`Progress::page`] and
/// [`Progress::counts`], each within the reach.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    users: HashMap<i64, State>,
    /// The persons whom no user claims.
    persons: BTreeMap<i64, State>,
}

/// Somebody of a page, before they are looked up.
enum Found {
    User { key: i64, id: UserId },
    Person(i64),
}

/// Whose rows are read: of users, through all the persons that are theirs, or of persons.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Whose {
    Users,
    Persons,
}

impl Store {
    /// The question for the listed content with that id, or that IRI while nobody has registered it; `None` where
    /// the catalogue has none. `now` decides what has expired.
    pub async fn progress(
        &self,
        asked: Scoped<Filter>,
        content: &str,
        now: Timestamp,
    ) -> Result<Option<Progress>, StoreError> {
        let Some(org) = self.organisation_key(asked.org()).await? else {
            return Ok(None);
        };
        let content = self.content_card_by_id(org, content).await?;
        Ok(content.map(|content| Progress {
            store: self.clone(),
            org,
            asked,
            content,
            now,
        }))
    }
}

impl Progress {
    /// The content.
    pub fn content(&self) -> &ContentDetails {
        &self.content
    }

    /// The organisation.
    pub fn org(&self) -> &OrgId {
        self.asked.org()
    }

    /// Passes over all of the content's rows: for pages of single states, and for counts. It takes its time where
    /// they are many.
    pub async fn survey(&self) -> Result<Survey, StoreError> {
        let mut survey = Survey::default();
        for row in self.store.db().fetch_all(self.survey_query()).await? {
            let code: i64 = row.get(2)?;
            let state = State::from_code(code).ok_or_else(|| StoreError::corrupt("state", code))?;
            if let Some(user) = row.get::<Option<i64>>(0)? {
                survey.users.insert(user, state);
            } else if let Some(person) = row.get::<Option<i64>>(1)? {
                survey.persons.insert(person, state);
            }
        }
        Ok(survey)
    }

    /// How many of those who are asked for stand where.
    pub async fn counts(&self, survey: &Survey) -> Result<StateCounts, StoreError> {
        let mut counts = StateCounts::default();
        for row in self.store.db().fetch_all(self.users_query("u.key")).await? {
            let state = survey.users.get(&row.get(0)?).copied();
            counts.add(state.unwrap_or(State::NotStarted));
        }
        if self.lists_unclaimed() {
            survey.persons.values().for_each(|state| counts.add(*state));
        }
        Ok(counts)
    }

    /// A page of up to `limit` people after a place; `only` those who stand in one of some states, by the survey.
    pub async fn page(
        &self,
        only: Option<(&Survey, &[State])>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<ProgressPage, StoreError> {
        let mut found = self.found(only, after, limit).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(Found::place);
        let mut people = self.standings(&found).await?;
        if let Some((_, states)) = only {
            // A record may have come since the survey.
            people.retain(|person| states.contains(&person.standing.state));
        }
        Ok(ProgressPage { people, next })
    }

    /// Everybody, some hundreds at a time, or those who stand in one of the states where any are named: memory does
    /// not grow with their number.
    pub fn everybody(
        self,
        states: Vec<State>,
    ) -> impl Stream<Item = Result<Vec<PersonStanding>, StoreError>> + Send + 'static {
        let walk = Walk {
            progress: self,
            states,
            found: Vec::new().into_iter(),
            rest: Some(None),
        };
        stream::try_unfold(walk, async |mut walk| {
            Ok(walk.next().await?.map(|people| (people, walk)))
        })
    }

    /// What the database says it will do, a line each, for each of the queries by its name: for operators who look
    /// into a slow question, and for the tests that hold every query to its index.
    pub async fn explain(&self) -> Result<Vec<(&'static str, Vec<String>)>, StoreError> {
        let mut keys = Vec::new();
        for found in self.found(None, None, 50).await? {
            if let Found::User { key, .. } = found {
                keys.push(key);
            }
        }
        let mut told = Vec::new();
        for (name, sql) in [
            ("page", self.page_query(None, None, 50)),
            ("decisive", self.decisive_query(Whose::Users, keys.clone())),
            ("begun", self.begun_query(Whose::Users, keys.clone())),
            (
                "decisive of persons",
                self.decisive_query(Whose::Persons, keys.clone()),
            ),
            ("begun of persons", self.begun_query(Whose::Persons, keys)),
            ("persons", self.persons_query(i64::MIN, 50)),
            ("survey", self.survey_query()),
        ] {
            told.push((name, self.store.db().explain(sql).await?));
        }
        Ok(told)
    }

    /// Whether persons whom no user claims are among those who are asked for.
    fn lists_unclaimed(&self) -> bool {
        self.asked.people().is_empty() && !self.asked.inner().selects_persons()
    }

    /// Up to one more than `limit` people after the place.
    async fn found(
        &self,
        only: Option<(&Survey, &[State])>,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        let (after_user, after_person) = match after {
            None => (Some(None), i64::MIN),
            Some(Place::User(id)) => (Some(Some(id)), i64::MIN),
            Some(Place::Person(key)) => (None, key.0),
        };
        if let Some(after) = after_user {
            let sql = self.page_query(only, after, limit);
            for row in self.store.db().fetch_all(sql).await? {
                found.push(Found::User {
                    key: row.get(0)?,
                    id: read_id(&row, 1)?,
                });
            }
        }
        let left = limit.saturating_add(1).saturating_sub(found.len());
        if left == 0 || !self.lists_unclaimed() {
            return Ok(found);
        }
        let persons: Vec<i64> = match only {
            Some((survey, states)) => {
                let after = (
                    std::ops::Bound::Excluded(after_person),
                    std::ops::Bound::Unbounded,
                );
                let wanted = survey
                    .persons
                    .range(after)
                    .filter(|(_, state)| states.contains(state));
                wanted.take(left).map(|(key, _)| *key).collect()
            }
            None => {
                let rows = self
                    .store
                    .db()
                    .fetch_all(self.persons_query(after_person, left))
                    .await?;
                rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?
            }
        };
        found.extend(persons.into_iter().map(Found::Person));
        Ok(found)
    }

    /// Where those people stand, in their order.
    async fn standings(&self, found: &[Found]) -> Result<Vec<PersonStanding>, StoreError> {
        let (mut users, mut persons) = (Vec::new(), Vec::new());
        for one in found {
            match one {
                Found::User { key, .. } => users.push(*key),
                Found::Person(key) => persons.push(*key),
            }
        }
        // Keys of users and of persons come from one sequence, so they never meet in a map.
        let (mut decisive, mut begun, mut cards) = (HashMap::new(), HashMap::new(), HashMap::new());
        if !users.is_empty() {
            self.read(Whose::Users, &users, &mut decisive, &mut begun).await?;
            cards.extend(self.store.user_cards(self.org, &users).await?);
        }
        if !persons.is_empty() {
            self.read(Whose::Persons, &persons, &mut decisive, &mut begun)
                .await?;
            let keys: Vec<PersonKey> = persons.iter().copied().map(PersonKey).collect();
            let found = self.store.person_details(self.asked.org(), &keys).await?;
            cards.extend(found.into_iter().map(|(key, card)| (key.0, card)));
        }
        let mut standings = Vec::with_capacity(found.len());
        for key in users.into_iter().chain(persons) {
            let person = cards
                .remove(&key)
                .ok_or(StoreError::Invariant("somebody of a page without a card"))?;
            let rows = decisive.remove(&key).unwrap_or_default();
            let standing = Standing::of(&rows, begun.remove(&key), self.now);
            standings.push(PersonStanding { person, standing });
        }
        Ok(standings)
    }

    /// The rows that decide, and of those whom none decides when they began.
    async fn read(
        &self,
        whose: Whose,
        keys: &[i64],
        decisive: &mut HashMap<i64, Vec<Decisive>>,
        begun: &mut HashMap<i64, Timestamp>,
    ) -> Result<(), StoreError> {
        let db = self.store.db();
        for row in db.fetch_all(self.decisive_query(whose, keys.to_vec())).await? {
            decisive
                .entry(row.get(0)?)
                .or_default()
                .push(read_decisive(&row)?);
        }
        let decides = |row: &Decisive| row.completed || row.action == Action::Failed;
        let undecided: Vec<i64> = keys
            .iter()
            .copied()
            .filter(|key| !decisive.get(key).is_some_and(|rows| rows.iter().any(decides)))
            .collect();
        if undecided.is_empty() {
            return Ok(());
        }
        for row in db.fetch_all(self.begun_query(whose, undecided)).await? {
            begun.insert(row.get(0)?, Timestamp::from_micros(row.get(1)?));
        }
        Ok(())
    }

    /// The users who are asked for.
    fn users_query(&self, columns: &str) -> Sql {
        let filter = self.asked.inner();
        let mut sql = Sql::new(&format!("SELECT {columns} FROM users u WHERE u.org = $1")).with(self.org);
        if !filter.shows_deactivated() {
            sql.push(" AND u.active");
        }
        push_asked(&mut sql, "u.key", &self.asked.people(), filter);
        sql
    }

    fn page_query(&self, only: Option<(&Survey, &[State])>, after: Option<&UserId>, limit: usize) -> Sql {
        let mut sql = self.users_query("u.key, u.id");
        if let Some((survey, states)) = only {
            let not_started = states.contains(&State::NotStarted);
            // Whoever has not started may have no row at all: then it is the others who are named.
            let named = survey.users.iter();
            let named = named.filter(|(_, state)| states.contains(state) != not_started);
            let named: Vec<i64> = named.map(|(key, _)| *key).collect();
            sql.push(if not_started {
                " AND NOT (u.key"
            } else {
                " AND (u.key"
            });
            sql.any_of(named).push(")");
        }
        if let Some(after) = after {
            sql.push(" AND u.id > ").bind(after.as_str());
        }
        sql.push(" ORDER BY u.id LIMIT ").bind(one_more(limit));
        sql
    }

    /// The persons whom no user claims and who have a row of the content.
    fn persons_query(&self, after: i64, limit: usize) -> Sql {
        let mut sql = Sql::new(
            "SELECT DISTINCT a.person FROM activities a INDEXED BY activities_progress \
             WHERE a.org = $1 AND a.content = $2 AND a.person > $3 AND EXISTS (SELECT 1 FROM persons p \
             WHERE p.org = a.org AND p.key = a.person AND p.user_key IS NULL) ORDER BY a.person LIMIT ",
        )
        .with(self.org)
        .with(self.content.key.0)
        .with(after);
        sql.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        sql
    }

    fn decisive_query(&self, whose: Whose, keys: Vec<i64>) -> Sql {
        let mut sql = self.rows_query(
            whose,
            keys,
            "a.seq, a.id, a.happened_at, a.action, a.completed, a.expired_at, a.percent, a.certified, \
             a.certificate_name, a.certificate_expires_at",
        );
        sql.push(" AND (a.completed OR a.certified OR a.action = ");
        sql.bind(Action::Failed.code()).push(")");
        sql
    }

    fn begun_query(&self, whose: Whose, keys: Vec<i64>) -> Sql {
        let mut sql = self.rows_query(whose, keys, "min(a.happened_at)");
        sql.push(" AND NOT (a.action")
            .any_of(idle_actions())
            .push(") GROUP BY 1");
        sql
    }

    /// The content's rows of those people: whose, and some columns of the row.
    fn rows_query(&self, whose: Whose, keys: Vec<i64>, columns: &str) -> Sql {
        let text = match whose {
            Whose::Users => format!(
                "SELECT p.user_key, {columns} FROM persons p INDEXED BY persons_user \
                 CROSS JOIN activities a INDEXED BY activities_progress \
                 WHERE p.org = $1 AND p.user_key IN LIST($2) AND a.org = p.org AND a.person = p.key \
                 AND a.content = $3"
            ),
            Whose::Persons => format!(
                "SELECT a.person, {columns} FROM activities a INDEXED BY activities_progress \
                 WHERE a.org = $1 AND a.person IN LIST($2) AND a.content = $3"
            ),
        };
        Sql::new(&text).with(self.org).with(keys).with(self.content.key.0)
    }

    /// The state of everybody who has a row of the content, as its code: the largest that one of their rows gives.
    fn survey_query(&self) -> Sql {
        let mut sql = Sql::new(
            "SELECT p.user_key, CASE WHEN p.user_key IS NULL THEN p.key END, CAST(max(s.state) AS BIGINT) \
             FROM (SELECT a.person, max(",
        )
        .with(self.org)
        .with(self.content.key.0);
        push_state(&mut sql, self.now);
        sql.push(
            ") AS state FROM activities a INDEXED BY activities_progress \
             WHERE a.org = $1 AND a.content = $2 GROUP BY a.person) s \
             CROSS JOIN persons p WHERE p.org = $1 AND p.key = s.person GROUP BY 1, 2",
        );
        sql
    }
}

/// An export on its way.
struct Walk {
    progress: Progress,
    states: Vec<State>,
    /// Who was found and not looked up yet.
    found: std::vec::IntoIter<Found>,
    /// After whom there are more to be found, `Some(None)` being everybody; `None`: there is nobody more.
    rest: Option<Option<Place>>,
}

impl Walk {
    /// The next people; `None` after the last.
    async fn next(&mut self) -> Result<Option<Vec<PersonStanding>>, StoreError> {
        if self.found.len() == 0
            && let Some(after) = self.rest.take()
        {
            let mut found = self.progress.found(None, after.as_ref(), FOUND_AT_ONCE).await?;
            if found.len() > FOUND_AT_ONCE {
                found.truncate(FOUND_AT_ONCE);
                self.rest = found.last().map(|last| Some(last.place()));
            }
            self.found = found.into_iter();
        }
        let found: Vec<Found> = self.found.by_ref().take(EXPORTED_AT_ONCE).collect();
        if found.is_empty() {
            return Ok(None);
        }
        let mut people = self.progress.standings(&found).await?;
        if !self.states.is_empty() {
            people.retain(|person| self.states.contains(&person.standing.state));
        }
        Ok(Some(people))
    }
}

impl Found {
    fn place(&self) -> Place {
        match self {
            Found::User { id, .. } => Place::User(id.clone()),
            Found::Person(key) => Place::Person(PersonKey(*key)),
        }
    }
}

/// The code of the state that a row by itself gives, as [`Standing::of`] has it.
fn push_state(sql: &mut Sql, now: Timestamp) {
    let code = |state: State| state.code().to_string();
    sql.push("CASE WHEN a.completed AND (a.expired_at IS NULL OR a.expired_at >= ");
    sql.bind(now.micros())
        .push(") THEN ")
        .push(&code(State::Completed));
    sql.push(" WHEN a.completed THEN ").push(&code(State::Expired));
    sql.push(" WHEN a.action = ")
        .bind(Action::Failed.code())
        .push(" THEN ")
        .push(&code(State::Failed));
    sql.push(" WHEN NOT (a.action")
        .any_of(idle_actions())
        .push(") THEN ")
        .push(&code(State::InProgress));
    sql.push(" ELSE ").push(&code(State::NotStarted)).push(" END");
}

/// The actions that begin nothing.
fn idle_actions() -> Vec<i16> {
    let idle = Action::ALL.iter().filter(|action| !action.begins());
    idle.map(|action| action.code()).collect()
}

/// A row of the columns of [`Progress::decisive_query`], after whose it is.
fn read_decisive(row: &Row) -> Result<Decisive, StoreError> {
    let time = |column| Ok::<_, StoreError>(row.get::<Option<i64>>(column)?.map(Timestamp::from_micros));
    let action: i16 = row.get(4)?;
    let certificate = if row.get(8)? {
        Some(Certificate {
            name: row.get(9)?,
            expires_at: time(10)?,
        })
    } else {
        None
    };
    Ok(Decisive {
        seq: row.get(1)?,
        id: StatementId(row.get(2)?),
        happened_at: Timestamp::from_micros(row.get(3)?),
        action: Action::from_code(action).ok_or_else(|| StoreError::corrupt("action", action))?,
        completed: row.get(5)?,
        expired_at: time(6)?,
        percent: row.get::<Option<i64>>(7)?.map(Percent),
        certificate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::log::VerbTable;
    use crate::store::db::database::DatabaseSettings;
    use uuid::Uuid;

    /// The SQL gives each row the state that the rule gives it: all actions, completed or not, expired or not.
    #[tokio::test]
    async fn the_state_of_a_row_in_sql_is_the_rules() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let clock = Clock::manual(Timestamp::from_micros(0));
        let store = Store::open(&DatabaseSettings::new(url), clock, VerbTable::standard()).await;
        let store = store.unwrap();
        store.migrate().await.unwrap();
        let now = Timestamp::from_micros(1_000);
        let mut rows = Vec::new();
        for action in Action::ALL.iter().copied() {
            for completed in [action.completes(), action != Action::Failed] {
                for expired_at in [None, Some(999), Some(1_000)] {
                    let seq = rows.len() as i64;
                    rows.push(Decisive {
                        seq,
                        id: StatementId(Uuid::from_u128(seq as u128)),
                        happened_at: Timestamp::from_micros(seq),
                        action,
                        completed,
                        expired_at: expired_at.map(Timestamp::from_micros),
                        percent: None,
                        certificate: None,
                    });
                }
            }
        }
        let mut tx = store.write(&OrgId::new("acme").unwrap()).await.unwrap();
        for row in &rows {
            let insert = Sql::new(
                "INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, \
                 completed, certified, expired_at) VALUES ($1, $2, $3, $2, 0, 0, 0, 0, $4, 0, $5, FALSE, $6)",
            );
            let insert = insert
                .with(tx.org)
                .with(row.seq)
                .with(row.id.0)
                .with(row.action.code());
            let insert = insert
                .with(row.completed)
                .with(row.expired_at.map(Timestamp::micros));
            tx.execute(insert).await.unwrap();
        }
        tx.commit().await.unwrap();
        let mut select = Sql::new("SELECT ");
        push_state(&mut select, now);
        select.push(" FROM activities a ORDER BY a.seq");
        let found = store.db().fetch_all(select).await.unwrap();
        assert_eq!(found.len(), rows.len());
        for (row, found) in rows.iter().zip(found) {
            let begun = row.action.begins().then_some(row.happened_at);
            let expected = Standing::of(std::slice::from_ref(row), begun, now).state;
            let code: i64 = found.get(0).unwrap();
            assert_eq!(State::from_code(code), Some(expected), "{row:?}");
        }
    }
}
