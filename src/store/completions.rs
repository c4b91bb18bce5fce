//! Marking content as complete: whom a caller may mark, and who needs it no more (product text, sections 4 and 13).
//!
//! [`Store::marking`] foresees what becomes of each person. Whoever is to be marked comes with a [`Needed`], which goes
//! with their record: the writer asks once more, in its transaction, whether it still is ([`OrgTx::needed_no_more`]). So
//! however many ask at once, each person has one record.

use std::collections::{HashMap, HashSet};

use crate::access::Subjects;
use crate::access::permit::MarkComplete;
use crate::clock::Timestamp;
use crate::ids::{ContentId, GroupId, TeamId, UserId};
use crate::log::completion::MAX_PEOPLE;
use crate::record::Identifier;

use super::cards::full_name;
use super::db::{Row, Sql};
use super::directory::{Reads, one_more, read_id, texts};
use super::ledger::OrgTx;
use super::persons::read_identifier;
use super::reach::{push_members, push_subjects};
use super::{Store, StoreError, digest};

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
    pub foreseen: Foreseen,
}

/// What would become of a person.
#[derive(Debug, Clone)]
pub enum Foreseen {
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
    pub needed: Needed,
}

/// What a record that marks somebody is needed for: it is kept only while this person doesn't stand completed, neither
/// now nor at that moment. Only [`Store::marking`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Needed {
    user: i64,
    question: Question,
}

/// Who stands completed in this content, then or now?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    content: i64,
    at: Timestamp,
    now: Timestamp,
}

impl Needed {
    /// For tests of who waits for whom.
    #[cfg(test)]
    pub(super) fn of((user, content): (i64, i64)) -> Self {
        let (at, now) = (Timestamp::default(), Timestamp::default());
        let question = Question { content, at, now };
        Self { user, question }
    }

    /// Whom it marks, for which content: keys of a user and of a content.
    pub(super) fn pair(self) -> (i64, i64) {
        (self.user, self.question.content)
    }

    /// The key of the user.
    pub(super) fn user(self) -> i64 {
        self.user
    }

    /// When it was completed.
    pub(super) fn at(self) -> Timestamp {
        self.question.at
    }
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
    /// Who is named and may not be marked is [`Foreseen::NotFound`], whether they are there or not; of teams and
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
                (None, _) => Foreseen::NotFound,
                (Some(person), _) if !person.active => Foreseen::Deactivated,
                (Some(_), Some(mark)) => mark,
                (Some(_), None) => Foreseen::AlreadyCompleted,
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
    ) -> Result<HashMap<UserId, Foreseen>, StoreError> {
        let active = people.values().filter(|person| person.active);
        let keys: Vec<i64> = active.map(|person| person.key).collect();
        let completed = completed(&mut self.db(), org, question, keys.clone()).await?;
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
            let mark = own.into_iter().nth(best).map_or(Foreseen::NotFound, |actor| {
                Foreseen::Create(ToMark {
                    actor,
                    name: person.name.clone(),
                    needed: Needed {
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

impl OrgTx {
    /// Which of these records are needed no more. Asked within a writing transaction, the answer stays true to its end.
    pub(super) async fn needed_no_more(
        &mut self,
        needed: impl Iterator<Item = Needed>,
    ) -> Result<HashSet<Needed>, StoreError> {
        let mut users: HashMap<Question, Vec<i64>> = HashMap::new();
        for Needed { user, question } in needed {
            users.entry(question).or_default().push(user);
        }
        let mut needless = HashSet::new();
        for (question, users) in users {
            let org = self.org;
            let completed = completed(self, org, question, users).await?;
            needless.extend(completed.into_iter().map(|user| Needed { user, question }));
        }
        Ok(needless)
    }
}

/// Those among the users who stand completed: a completion of theirs holds now, or it had happened by the moment asked
/// about and had not expired by then. The latter so that marking a past day twice is marking it once, even where what
/// was marked has expired since. What expired at that very moment doesn't count: it is then that it is renewed.
async fn completed(
    reads: &mut impl Reads,
    org: i64,
    question: Question,
    users: Vec<i64>,
) -> Result<HashSet<i64>, StoreError> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let select = Sql::new(
        "SELECT DISTINCT p.user_key FROM persons p INDEXED BY persons_user \
         CROSS JOIN activities a INDEXED BY activities_progress \
         WHERE p.org = $1 AND p.user_key IN LIST($2) AND a.org = p.org AND a.person = p.key AND a.content = $3 \
         AND a.completed AND (a.expired_at IS NULL OR a.expired_at >= $4 \
         OR (a.happened_at <= $5 AND a.expired_at > $5))",
    );
    let select = select
        .with(org)
        .with(users)
        .with(question.content)
        .with(question.now.micros())
        .with(question.at.micros());
    let rows = reads.rows(select).await?;
    rows.iter().map(user_key).collect()
}

fn user_key(row: &Row) -> Result<i64, StoreError> {
    row.get(0)
}
