//! The progress of people with one content.
//!
//! A page selects the *users* first, in the order of their ids, and then reads the content's rows of these users by the
//! index `activities_progress`. Its cost depends neither on the number of users nor on the number of rows. A request for
//! single states, for an expiry or for counts reads all rows of the content once ([`ContentProgress::survey_states`]).
//!
//! A request for the whole organisation also lists the persons without a user that have a row of the content. They come
//! after the users, in the order in which they were first recorded.
//!
//! A [`ContentProgress`] contains a [`Scoped`] filter, so it never returns people outside the reach.

mod survey;

use std::collections::HashMap;
use std::ops::Bound;

use futures_util::{Stream, stream};

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId, UserId};
use crate::log::progress::{ListPosition, OutcomeActivity, ProgressStatus, State, StatusFilter};
use crate::log::{Action, Certificate, ContentDetails, Filter, Percent, PersonDetails, PersonKey};

use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::rows::one_more;
use crate::store::db::unreadable::{name_of, skip_unreadable};
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::{ResolvedUsers, UserSelection, push_users};
use survey::{NEVER, NOT_STARTED, SurveyedStatus};

pub use survey::{PeopleCounts, StateSurvey};

/// The number of people that an export loads at a time.
const PEOPLE_PER_CHUNK: usize = 500;
/// The number of keys that an export finds at a time. It is larger, because each query may get the keys of all users below
/// a manager.
const KEYS_PER_QUERY: usize = 2_000;

/// A request for the progress of people with one content at one time.
#[derive(Clone)]
pub struct ContentProgress {
    store: Store,
    org: i64,
    filter: Scoped<Filter>,
    /// The users that the filter selects.
    users: ResolvedUsers,
    content: ContentDetails,
    now: Timestamp,
}

/// A person and their status.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonStatus {
    /// The person. For a user, its key is the key of the user, because a user can have several persons.
    pub person: PersonDetails,
    /// The status.
    pub status: ProgressStatus,
}

impl PersonStatus {
    fn matches(&self, filter: &StatusFilter) -> bool {
        filter.matches(self.status.state, self.status.expires_at)
    }
}

/// A page of people.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressPage {
    /// The users in the order of their ids, then the persons without a user.
    pub people: Vec<PersonStatus>,
    /// The last place of this page; `None` if it is the last page.
    pub next: Option<ListPosition>,
}

/// The key of a user, or of a person without a user.
enum PersonOrUser {
    User { key: i64, id: UserId },
    Person(i64),
}

/// The meaning of a list of keys: keys of users, each with all their persons, or keys of persons.
#[derive(Debug, Clone, Copy, PartialEq)]
enum KeyKind {
    Users,
    Persons,
}

columns! {
    /// The columns of the rows that decide about the state.
    struct OutcomeRow {
        seq: i64 = "a.seq",
        id: StatementId = "a.id",
        happened_at: Timestamp = "a.happened_at",
        action: Action = "a.action",
        completed: bool = "a.completed",
        expired_at: Option<Timestamp> = "a.expired_at",
        percent: Option<Percent> = "a.percent",
        certified: bool = "a.certified",
        certificate_name: Option<String> = "a.certificate_name",
        certificate_expires_at: Option<Timestamp> = "a.certificate_expires_at",
    }
}

impl From<OutcomeRow> for OutcomeActivity {
    fn from(row: OutcomeRow) -> Self {
        Self {
            seq: row.seq,
            id: row.id,
            happened_at: row.happened_at,
            action: row.action,
            completed: row.completed,
            expired_at: row.expired_at,
            percent: row.percent,
            certificate: row.certified.then_some(Certificate {
                name: row.certificate_name,
                expires_at: row.certificate_expires_at,
            }),
        }
    }
}

/// The rows that determine the statuses of some people, by the key of the user or person.
#[derive(Default)]
struct StatusRows {
    outcomes: HashMap<i64, Vec<OutcomeActivity>>,
    /// The time of the first activity that begins something, for people without a completion or failure.
    started: HashMap<i64, Timestamp>,
}

impl Store {
    /// Creates a request for the listed content with this id, or with this IRI if the content is not registered. The
    /// result is `None` if the content does not exist. `now` is the time that expiries are compared with.
    pub async fn content_progress(
        &self,
        filter: Scoped<Filter>,
        content: &str,
        now: Timestamp,
    ) -> Result<Option<ContentProgress>, StoreError> {
        let Some(org) = self.organisation_key(filter.org()).await? else {
            return Ok(None);
        };
        let Some(content) = self.content_details_by_id(org, content).await? else {
            return Ok(None);
        };
        let selection = UserSelection::filtered(&filter, filter.inner());
        Ok(Some(ContentProgress {
            users: self.resolve_users(org, selection).await?,
            store: self.clone(),
            org,
            filter,
            content,
            now,
        }))
    }
}

impl ContentProgress {
    /// The content.
    pub fn content(&self) -> &ContentDetails {
        &self.content
    }

    /// The organisation.
    pub fn org(&self) -> &OrgId {
        self.filter.org()
    }

    /// Reads the state of all people with a row of the content. This is slow if the content has many rows.
    pub async fn survey_states(&self) -> Result<StateSurvey, StoreError> {
        let mut survey = StateSurvey::default();
        let db = self.store.long_db();
        let rows: Vec<survey::Row> = db.fetch_readable("activity", 0, self.survey_query()).await?;
        for (user, person, code, expiry) in rows {
            let status = SurveyedStatus::from_columns(code, expiry);
            let key = || user.or(person).unwrap_or_default();
            if let Some(status) = skip_unreadable("activity", key, status)? {
                survey.add(user, person, status);
            }
        }
        Ok(survey)
    }

    /// Counts the people in scope by state, and those that the filter selects.
    pub async fn count_people(
        &self,
        survey: &StateSurvey,
        filter: &StatusFilter,
    ) -> Result<PeopleCounts, StoreError> {
        let mut counts = PeopleCounts::default();
        let mut add = |status: &SurveyedStatus| {
            counts.states.add(status.state);
            counts.total += u64::from(status.matches(filter));
        };
        let users: Vec<(i64,)> = self.store.long_db().fetch_rows(self.users_query("u.key")).await?;
        for (user,) in users {
            add(survey.users.get(&user).unwrap_or(&NOT_STARTED));
        }
        if self.includes_unclaimed_persons() {
            survey.persons.values().for_each(add);
        }
        Ok(counts)
    }

    /// Finds a page of up to `limit` people after a place. With `only`, the page contains only people that the filter
    /// selects by their status in the survey.
    pub async fn find_page(
        &self,
        only: Option<(&StateSurvey, &StatusFilter)>,
        after: Option<&ListPosition>,
        limit: usize,
    ) -> Result<ProgressPage, StoreError> {
        let mut keys = self.find_keys(only, after, limit).await?;
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| more).map(PersonOrUser::place);
        let mut people = self.load_statuses(&keys).await?;
        if let Some((_, filter)) = only {
            // A record may have been stored after the survey.
            people.retain(|person| person.matches(filter));
        }
        Ok(ProgressPage { people, next })
    }

    /// Streams the people that the filter selects in chunks, so that the memory does not grow with their number.
    pub fn stream_people(
        self,
        filter: StatusFilter,
    ) -> impl Stream<Item = Result<Vec<PersonStatus>, StoreError>> + Send + 'static {
        let reader = PeopleReader {
            progress: self,
            filter,
            keys: Vec::new().into_iter(),
            next_query: Some(None),
        };
        stream::try_unfold(reader, async |mut reader| {
            Ok(reader.next_chunk().await?.map(|people| (people, reader)))
        })
    }

    /// Returns the database's plan of each query with the name of the query, one text for each line.
    ///
    /// Operators use it to examine a slow request, and tests use it to check that each query uses its index.
    pub async fn explain_queries(&self) -> Result<Vec<(&'static str, Vec<String>)>, StoreError> {
        let mut keys = Vec::new();
        for key in self.find_keys(None, None, 50).await? {
            if let PersonOrUser::User { key, .. } = key {
                keys.push(key);
            }
        }
        let mut plans = Vec::new();
        for (name, sql) in [
            ("page", self.page_query(None, None, 50)),
            ("outcomes", self.outcomes_query(KeyKind::Users, keys.clone())),
            ("started", self.starts_query(KeyKind::Users, keys.clone())),
            (
                "outcomes of persons",
                self.outcomes_query(KeyKind::Persons, keys.clone()),
            ),
            ("started of persons", self.starts_query(KeyKind::Persons, keys)),
            ("persons", self.persons_query(i64::MIN, 50)),
            ("survey", self.survey_query()),
        ] {
            plans.push((name, self.store.db().explain(sql).await?));
        }
        Ok(plans)
    }

    /// Whether the request includes persons without a user.
    fn includes_unclaimed_persons(&self) -> bool {
        self.filter.people().is_empty() && !self.filter.inner().selects_persons()
    }

    /// Finds up to `limit + 1` users and persons after the place.
    async fn find_keys(
        &self,
        only: Option<(&StateSurvey, &StatusFilter)>,
        after: Option<&ListPosition>,
        limit: usize,
    ) -> Result<Vec<PersonOrUser>, StoreError> {
        let mut keys = Vec::new();
        let (after_user, after_person) = match after {
            None => (Some(None), i64::MIN),
            Some(ListPosition::User(id)) => (Some(Some(id)), i64::MIN),
            Some(ListPosition::Person(key)) => (None, key.0),
        };
        if let Some(after) = after_user {
            let sql = self.page_query(only, after, limit);
            let users: Vec<(i64, UserId)> = self.store.long_db().fetch_rows(sql).await?;
            keys.extend(users.into_iter().map(|(key, id)| PersonOrUser::User { key, id }));
        }
        let remaining = limit.saturating_add(1).saturating_sub(keys.len());
        if remaining == 0 || !self.includes_unclaimed_persons() {
            return Ok(keys);
        }
        let persons = self.find_unclaimed_persons(only, after_person, remaining).await?;
        keys.extend(persons.into_iter().map(PersonOrUser::Person));
        Ok(keys)
    }

    /// Finds up to `limit` persons without a user that have a row of the content, after the key `after`.
    async fn find_unclaimed_persons(
        &self,
        only: Option<(&StateSurvey, &StatusFilter)>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let Some((survey, filter)) = only else {
            let sql = self.persons_query(after, limit);
            let persons: Vec<(i64,)> = self.store.long_db().fetch_rows(sql).await?;
            return Ok(persons.into_iter().map(|(person,)| person).collect());
        };
        let range = (Bound::Excluded(after), Bound::Unbounded);
        let persons = survey.persons.range(range);
        let persons = persons.filter(|(_, status)| status.matches(filter));
        Ok(persons.take(limit).map(|(key, _)| *key).collect())
    }

    /// Loads the statuses of these people, in the same order.
    async fn load_statuses(&self, keys: &[PersonOrUser]) -> Result<Vec<PersonStatus>, StoreError> {
        let (mut users, mut persons) = (Vec::new(), Vec::new());
        for key in keys {
            match key {
                PersonOrUser::User { key, .. } => users.push(*key),
                PersonOrUser::Person(key) => persons.push(*key),
            }
        }
        // Keys of users and of persons come from the same sequence, so they are never equal.
        let mut rows = StatusRows::default();
        let mut details = HashMap::new();
        if !users.is_empty() {
            self.load_rows(KeyKind::Users, &users, &mut rows).await?;
            details.extend(self.store.user_details(self.org, &users).await?);
        }
        if !persons.is_empty() {
            self.load_rows(KeyKind::Persons, &persons, &mut rows).await?;
            let keys: Vec<PersonKey> = persons.iter().copied().map(PersonKey).collect();
            let loaded = self.store.person_details(self.filter.org(), &keys).await?;
            details.extend(loaded.into_iter().map(|(key, person)| (key.0, person)));
        }
        let mut statuses = Vec::with_capacity(keys.len());
        for key in users.into_iter().chain(persons) {
            let person = details
                .remove(&key)
                .ok_or(StoreError::Invariant("a person of a page without details"))?;
            let outcomes = rows.outcomes.remove(&key).unwrap_or_default();
            let status = ProgressStatus::from_rows(&outcomes, rows.started.remove(&key), self.now);
            statuses.push(PersonStatus { person, status });
        }
        Ok(statuses)
    }

    /// Loads the outcomes of these people, and the first start for people without a completion or failure.
    async fn load_rows(&self, kind: KeyKind, keys: &[i64], rows: &mut StatusRows) -> Result<(), StoreError> {
        let db = self.store.long_db();
        for row in db.fetch_all(self.outcomes_query(kind, keys.to_vec())).await? {
            let outcomes = OutcomeRow::read_from(&row, 1);
            if let Some(outcomes) = skip_unreadable("activity", || name_of(&row), outcomes)? {
                rows.outcomes
                    .entry(row.get(0)?)
                    .or_default()
                    .push(outcomes.into());
            }
        }
        let decides = |row: &OutcomeActivity| row.completed || row.action == Action::Failed;
        let undecided: Vec<i64> = keys
            .iter()
            .copied()
            .filter(|key| {
                !rows
                    .outcomes
                    .get(key)
                    .is_some_and(|rows| rows.iter().any(decides))
            })
            .collect();
        if undecided.is_empty() {
            return Ok(());
        }
        let starts = self.starts_query(kind, undecided);
        let started: Vec<(i64, Timestamp)> = db.fetch_readable("activity", 0, starts).await?;
        rows.started.extend(started);
        Ok(())
    }

    /// The query for `columns` of the selected users.
    fn users_query(&self, columns: &str) -> Sql {
        let filter = self.filter.inner();
        let mut sql = Sql::new(&format!("SELECT {columns} FROM users u WHERE u.org = $1")).with(self.org);
        if !filter.shows_deactivated() {
            sql.push(" AND u.active");
        }
        push_users(&mut sql, "u.key", &self.users);
        sql
    }

    /// The query for the keys and ids of one page of users.
    fn page_query(
        &self,
        only: Option<(&StateSurvey, &StatusFilter)>,
        after: Option<&UserId>,
        limit: usize,
    ) -> Sql {
        let mut sql = self.users_query("u.key, u.id");
        if let Some((survey, filter)) = only {
            // A user that has not started may have no row. If such users are selected, the query excludes the others.
            let not_started = NOT_STARTED.matches(filter);
            let listed = survey.users.iter();
            let listed = listed.filter(|(_, status)| status.matches(filter) != not_started);
            let listed: Vec<i64> = listed.map(|(key, _)| *key).collect();
            sql.push(if not_started {
                " AND NOT (u.key"
            } else {
                " AND (u.key"
            });
            sql.any_of(listed).push(")");
        }
        if let Some(after) = after {
            sql.push(" AND u.id > ").bind(after.as_str());
        }
        sql.push(" ORDER BY u.id LIMIT ").bind(one_more(limit));
        sql
    }

    /// The query for persons without a user that have a row of the content.
    fn persons_query(&self, after: i64, limit: usize) -> Sql {
        let mut sql = Sql::new(
            "SELECT DISTINCT a.person FROM activities a INDEXED BY activities_progress \
             WHERE a.org = $1 AND a.content = $2 AND a.person > $3 AND EXISTS (SELECT 1 FROM persons p \
             WHERE p.org = $1 AND p.key = a.person AND p.user_key IS NULL) ORDER BY a.person LIMIT ",
        )
        .with(self.org)
        .with(self.content.key.0)
        .with(after);
        sql.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        sql
    }

    /// The query for completions, failures and rows with a certificate.
    fn outcomes_query(&self, kind: KeyKind, keys: Vec<i64>) -> Sql {
        let mut sql = self.rows_query(kind, keys, OutcomeRow::COLUMNS);
        sql.push(" AND (a.completed OR a.certified OR a.part IS NULL AND a.action = ");
        sql.bind(Action::Failed.code()).push(")");
        sql
    }

    /// The query for the time of the first activity that begins something.
    fn starts_query(&self, kind: KeyKind, keys: Vec<i64>) -> Sql {
        let mut sql = self.rows_query(kind, keys, "min(a.happened_at)");
        sql.push(" AND NOT (a.action")
            .any_of(idle_actions())
            .push(") GROUP BY 1");
        sql
    }

    /// The query for the content's rows of these people. The first column is the key of the user or person.
    fn rows_query(&self, kind: KeyKind, keys: Vec<i64>, columns: &str) -> Sql {
        let text = match kind {
            KeyKind::Users => format!(
                "SELECT p.user_key, {columns} FROM persons p INDEXED BY persons_user \
                 CROSS JOIN activities a INDEXED BY activities_progress \
                 WHERE p.org = $1 AND p.user_key IN LIST($2) AND a.org = p.org AND a.person = p.key \
                 AND a.content = $3"
            ),
            KeyKind::Persons => format!(
                "SELECT a.person, {columns} FROM activities a INDEXED BY activities_progress \
                 WHERE a.org = $1 AND a.person IN LIST($2) AND a.content = $3"
            ),
        };
        Sql::new(&text).with(self.org).with(keys).with(self.content.key.0)
    }

    /// The query for the state and the expiry of each user and person with a row of the content. The code of their state
    /// is the largest code of their rows.
    fn survey_query(&self) -> Sql {
        let mut sql = Sql::new(
            "SELECT p.user_key, CASE WHEN p.user_key IS NULL THEN p.key END, CAST(max(s.state) AS BIGINT), \
             max(s.expiry) FROM (SELECT a.person, max(",
        )
        .with(self.org)
        .with(self.content.key.0);
        push_state(&mut sql, self.now);
        sql.push(") AS state, max(CASE WHEN a.completed THEN coalesce(a.expired_at, ");
        sql.bind(NEVER);
        sql.push(
            ") END) AS expiry FROM activities a INDEXED BY activities_progress \
             WHERE a.org = $1 AND a.content = $2 GROUP BY a.person) s \
             CROSS JOIN persons p WHERE p.org = $1 AND p.key = s.person GROUP BY 1, 2",
        );
        sql
    }
}

/// Reads all people in chunks.
struct PeopleReader {
    progress: ContentProgress,
    filter: StatusFilter,
    /// The keys that were found and are not loaded yet.
    keys: std::vec::IntoIter<PersonOrUser>,
    /// The place after which the next query continues. `Some(None)` is the first query, and `None` means that all keys
    /// were found.
    next_query: Option<Option<ListPosition>>,
}

impl PeopleReader {
    /// The next chunk of people, or `None` after the last chunk.
    async fn next_chunk(&mut self) -> Result<Option<Vec<PersonStatus>>, StoreError> {
        if self.keys.len() == 0
            && let Some(after) = self.next_query.take()
        {
            let mut keys = self
                .progress
                .find_keys(None, after.as_ref(), KEYS_PER_QUERY)
                .await?;
            if keys.len() > KEYS_PER_QUERY {
                keys.truncate(KEYS_PER_QUERY);
                self.next_query = keys.last().map(|last| Some(last.place()));
            }
            self.keys = keys.into_iter();
        }
        let keys: Vec<PersonOrUser> = self.keys.by_ref().take(PEOPLE_PER_CHUNK).collect();
        if keys.is_empty() {
            return Ok(None);
        }
        let mut people = self.progress.load_statuses(&keys).await?;
        people.retain(|person| person.matches(&self.filter));
        Ok(Some(people))
    }
}

impl PersonOrUser {
    fn place(&self) -> ListPosition {
        match self {
            Self::User { id, .. } => ListPosition::User(id.clone()),
            Self::Person(key) => ListPosition::Person(PersonKey(*key)),
        }
    }
}

/// Adds the code of the state that follows from a single row. [`ProgressStatus::from_rows`] has the same rule.
fn push_state(sql: &mut Sql, now: Timestamp) {
    let code = |state: State| state.code().to_string();
    sql.push("CASE WHEN a.completed AND (a.expired_at IS NULL OR a.expired_at >= ");
    sql.bind(now.micros())
        .push(") THEN ")
        .push(&code(State::Completed));
    sql.push(" WHEN a.completed THEN ").push(&code(State::Expired));
    // A part of the content that was failed is no failure of the content.
    sql.push(" WHEN a.part IS NULL AND a.action = ")
        .bind(Action::Failed.code())
        .push(" THEN ")
        .push(&code(State::Failed));
    sql.push(" WHEN NOT (a.action")
        .any_of(idle_actions())
        .push(") THEN ")
        .push(&code(State::InProgress));
    sql.push(" ELSE ").push(&code(State::NotStarted)).push(" END");
}

/// The codes of the actions that do not begin anything.
fn idle_actions() -> Vec<i16> {
    let idle = Action::ALL.iter().filter(|action| !action.starts_learning());
    idle.map(|action| action.code()).collect()
}

#[cfg(test)]
mod tests;
