//! Marking content as complete: whom a caller may mark, and who needs it no more (product text, sections 4 and 13).
//!
//! [`Store::marking`] foresees what becomes of each person. Whoever is to be marked comes with a [`CompletionCheck`], which goes
//! with their record: the writer asks once more, in its transaction, whether it still is ([`OrgTx::already_completed`]). So
//! however many ask at once, each person has one record.

use std::collections::{HashMap, HashSet};

use crate::access::Subjects;
use crate::access::permit::MarkComplete;
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, GroupId, TeamId, UserId};
use crate::log::completion::MAX_PEOPLE;
use crate::record::Identifier;

use crate::store::db::database::Sql;
use crate::store::db::rows::{one_more, read_id, texts};
use crate::store::db::{Store, StoreError, digest};
use crate::store::directory::lookups::full_name;
use crate::store::directory::reach::{push_members, push_subjects};
use crate::store::ingest::completion_check::{CompletionCheck, Question, find_completed};
use crate::store::ingest::persons::read_identifier;

/// What is to be marked as complete, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The content.
    pub content: &'a ContentId,
    /// The people named, each once.
    pub users: &'a [UserId],
    /// Teams whose members are meant.
    pub teams: &'a [TeamId],
    /// Whether the teams below those count as well.
    pub sub_teams: bool,
    /// Groups whose members are meant.
    pub groups: &'a [GroupId],
    /// When they completed it.
    pub at: Timestamp,
    /// The home page of the accounts that users are known by: the organisation's.
    pub home_page: &'a str,
}

/// Why nobody is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkingRefusal {
    /// The catalogue has no such content.
    UnknownContent,
    /// There are more people than [`MAX_PEOPLE`].
    TooManyPeople,
}

/// What marking would do.
#[derive(Debug, Clone)]
pub struct Marking {
    /// The content's IRI.
    pub iri: String,
    /// The people: those named, in their order, then the members of teams and groups, by id; each once.
    pub targets: Vec<Target>,
}

/// A person for whom something is to be marked.
#[derive(Debug, Clone)]
pub struct Target {
    /// The user's id, as it was asked for.
    pub user: UserId,
    /// What would become of them.
    pub foreseen: PlannedOutcome,
}

/// What would become of a person.
#[derive(Debug, Clone)]
pub enum PlannedOutcome {
    /// A record would be made, if it is still needed when it is written.
    Create(ToMark),
    /// They stand completed already.
    AlreadyCompleted,
    /// The directory has them as deactivated.
    Deactivated,
    /// Nobody has that id whom the caller may mark.
    NotFound,
}

/// How a person's record names them, and what it is needed for.
#[derive(Debug, Clone)]
pub struct ToMark {
    /// One of the identifiers that are theirs.
    pub actor: Identifier,
    /// Their name.
    pub name: Option<String>,
    /// What the record is needed for.
    pub needed: CompletionCheck,
}

/// A user whom the caller may mark.
struct Markable {
    key: i64,
    active: bool,
    name: Option<String>,
}

impl Store {
    /// What marking the content as complete would do for each of these people.
    ///
    /// Who is named and may not be marked is [`PlannedOutcome::NotFound`], whether they are there or not; of teams and
    /// groups, only members who may be marked are among the targets.
    ///
    /// # Errors
    /// Inside, why nobody can be marked.
    pub async fn marking(
        &self,
        subjects: &Subjects<MarkComplete>,
        asked: &Asked<'_>,
    ) -> Result<Result<Marking, MarkingRefusal>, StoreError> {
        let Some(org) = self.organisation_key(subjects.org()).await? else {
            return Ok(Err(MarkingRefusal::UnknownContent));
        };
        let Some((content, iri)) = self.markable_content(org, asked.content).await? else {
            return Ok(Err(MarkingRefusal::UnknownContent));
        };
        if asked.users.len() > MAX_PEOPLE {
            return Ok(Err(MarkingRefusal::TooManyPeople));
        }
        let mut people = self.markable_users(org, subjects, asked.users).await?;
        let members = self.markable_members(org, subjects, asked).await?;
        let named: HashSet<&UserId> = asked.users.iter().collect();
        let mut further: Vec<UserId> = members.keys().filter(|id| !named.contains(id)).cloned().collect();
        if asked.users.len() + further.len() > MAX_PEOPLE {
            return Ok(Err(MarkingRefusal::TooManyPeople));
        }
        further.sort_unstable();
        people.extend(members);

        let question = Question {
            content,
            at: asked.at,
            now: self.clock().now(),
        };
        let mut marks = self.to_mark(org, question, &people, asked.home_page).await?;
        let targets = asked.users.iter().cloned().chain(further).map(|user| {
            let foreseen = match (people.get(&user), marks.remove(&user)) {
                (None, _) => PlannedOutcome::NotFound,
                (Some(person), _) if !person.active => PlannedOutcome::Deactivated,
                (Some(_), Some(mark)) => mark,
                (Some(_), None) => PlannedOutcome::AlreadyCompleted,
            };
            Target { user, foreseen }
        });
        let targets = targets.collect();
        Ok(Ok(Marking { iri, targets }))
    }

    /// The content's key and IRI, archived or not.
    async fn markable_content(
        &self,
        org: i64,
        content: &ContentId,
    ) -> Result<Option<(i64, String)>, StoreError> {
        let select = Sql::new(
            "SELECT c.key, c.iri FROM contents c WHERE c.org = $1 AND c.id_digest = $2 AND c.listed",
        );
        let row = self
            .db()
            .fetch_optional(select.with(org).with(digest(content.as_str())))
            .await?;
        row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
    }

    /// Those among the users whom the caller may mark.
    async fn markable_users(
        &self,
        org: i64,
        subjects: &Subjects<MarkComplete>,
        users: &[UserId],
    ) -> Result<HashMap<UserId, Markable>, StoreError> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = Sql::new(SELECT_USERS).with(org);
        sql.push(" AND u.id").any_of(texts(users));
        push_subjects(&mut sql, "u.key", subjects);
        self.markable(sql).await
    }

    /// The members of the teams and groups whom the caller may mark: one more than are taken, at most.
    async fn markable_members(
        &self,
        org: i64,
        subjects: &Subjects<MarkComplete>,
        asked: &Asked<'_>,
    ) -> Result<HashMap<UserId, Markable>, StoreError> {
        if asked.teams.is_empty() && asked.groups.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = Sql::new(SELECT_USERS).with(org);
        sql.push(" AND u.key IN (");
        push_members(&mut sql, asked.teams, asked.sub_teams, false, asked.groups);
        sql.push(")");
        push_subjects(&mut sql, "u.key", subjects);
        sql.push(" LIMIT ").bind(one_more(MAX_PEOPLE));
        self.markable(sql).await
    }

    async fn markable(&self, sql: Sql) -> Result<HashMap<UserId, Markable>, StoreError> {
        let rows = self.db().fetch_all(sql).await?;
        rows.iter()
            .map(|row| {
                let user = Markable {
                    key: row.get(0)?,
                    active: row.get(2)?,
                    name: full_name(row.get(3)?, row.get(4)?),
                };
                Ok((read_id(row, 1)?, user))
            })
            .collect()
    }

    /// What a record would need for each who is active and doesn't stand completed.
    async fn to_mark(
        &self,
        org: i64,
        question: Question,
        people: &HashMap<UserId, Markable>,
        home_page: &str,
    ) -> Result<HashMap<UserId, PlannedOutcome>, StoreError> {
        let active = people.values().filter(|person| person.active);
        let keys: Vec<i64> = active.map(|person| person.key).collect();
        let completed = find_completed(&mut self.db(), org, question, keys.clone()).await?;
        let open = keys.into_iter().filter(|key| !completed.contains(key)).collect();
        let mut identifiers = self.identifiers(org, open).await?;
        let marks = people.iter().filter_map(|(id, person)| {
            if !person.active || completed.contains(&person.key) {
                return None;
            }
            // An account that was moved to somebody else would make the record theirs; and of whom nothing is left that
            // a record could name, none can be made.
            let own = identifiers.remove(&person.key).unwrap_or_default();
            let account = |identifier: &Identifier| {
                matches!(identifier, Identifier::Account { home_page: page, name }
                    if page == home_page && name == id.as_str())
            };
            let best = own.iter().position(account).unwrap_or_default();
            let mark = own
                .into_iter()
                .nth(best)
                .map_or(PlannedOutcome::NotFound, |actor| {
                    PlannedOutcome::Create(ToMark {
                        actor,
                        name: person.name.clone(),
                        needed: CompletionCheck {
                            user: person.key,
                            question,
                        },
                    })
                });
            Some((id.clone(), mark))
        });
        Ok(marks.collect())
    }

    /// What the users are known by, the oldest first, by the keys of users.
    async fn identifiers(
        &self,
        org: i64,
        users: Vec<i64>,
    ) -> Result<HashMap<i64, Vec<Identifier>>, StoreError> {
        let mut identifiers: HashMap<i64, Vec<Identifier>> = HashMap::new();
        if users.is_empty() {
            return Ok(identifiers);
        }
        let select = Sql::new(
            "SELECT p.user_key, p.value FROM persons p INDEXED BY persons_user \
             WHERE p.org = $1 AND p.user_key IN LIST($2) ORDER BY p.key",
        );
        for row in self.db().fetch_all(select.with(org).with(users)).await? {
            let identifier = read_identifier(&row.get::<String>(1)?)?;
            identifiers.entry(row.get(0)?).or_default().extend(identifier);
        }
        Ok(identifiers)
    }
}

/// Users, as [`Store::markable`] reads them.
const SELECT_USERS: &str =
    "SELECT u.key, u.id, u.active, u.first_name, u.last_name FROM users u WHERE u.org = $1";
