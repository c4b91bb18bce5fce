//! Planning which users are marked as having completed a content.
//!
//! [`Store::plan_marking`] finds the outcome for each user before anything is written. A user to mark has a
//! [`CompletionCheck`], which is part of the record: the transaction that writes the record repeats the check
//! ([`OrgTx::already_completed`](crate::store::db::ledger::OrgTx::already_completed)). Therefore concurrent requests
//! create only one record for each user.

use std::collections::{HashMap, HashSet};

use crate::access::Subjects;
use crate::access::permit::MarkComplete;
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, GroupId, OrgId, TeamId, UserId};
use crate::catalogue::timeline::history;
use crate::log::completion::MAX_PEOPLE;
use crate::log::row::full_name;
use crate::record::Identifier;

use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::rows::{one_more, texts};
use crate::store::db::{Store, StoreError, digest};
use crate::store::directory::reach::{ResolvedUsers, push_members, push_users};
use crate::store::ingest::completion_check::{
    CompletionCheck, NewCompletion, find_covered, repetition_tolerance,
};
use crate::store::ingest::demands::snapshots;
use crate::store::ingest::notes::NoteRow;
use crate::store::ingest::persons::read_identifier;

/// A request to mark a content as complete.
#[derive(Debug, Clone, Copy)]
pub struct MarkingRequest<'a> {
    /// The content.
    pub content: &'a ContentId,
    /// The named users, without duplicates.
    pub users: &'a [UserId],
    /// Teams. All their members are marked.
    pub teams: &'a [TeamId],
    /// Whether the members of the teams below are marked too.
    pub sub_teams: bool,
    /// Groups. All their members are marked.
    pub groups: &'a [GroupId],
    /// The time of the completion.
    pub at: Timestamp,
    /// Whether the request named the time. Otherwise it is that of the request.
    pub time_was_given: bool,
    /// The home page of the accounts of the organisation's users.
    pub home_page: &'a str,
}

/// The reason why a request to mark a content is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkingRefusal {
    /// The content does not exist.
    UnknownContent,
    /// The request selects more people than [`MAX_PEOPLE`].
    TooManyPeople,
}

/// The planned outcomes of a request.
#[derive(Debug, Clone)]
pub struct MarkingPlan {
    /// The content's IRI.
    pub iri: String,
    /// The named users in their order, then the members of teams and groups by id, without duplicates.
    pub targets: Vec<MarkingTarget>,
}

/// A user and the planned outcome.
#[derive(Debug, Clone)]
pub struct MarkingTarget {
    /// The user's id as in the request.
    pub user: UserId,
    /// The planned outcome.
    pub outcome: PlannedOutcome,
}

/// The planned outcome for one user.
#[derive(Debug, Clone)]
pub enum PlannedOutcome {
    /// A record is created, unless another request marks the user first.
    Create(PendingMark),
    /// The user has a completion that holds at least as long.
    AlreadyCompleted(NoteSubject),
    /// The user is deactivated.
    Deactivated(NoteSubject),
    /// The user does not exist, or the caller may not mark the user.
    NotFound,
}

/// A user that the caller may mark, and about which a note may be written together with the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoteSubject(i64);

impl PlannedOutcome {
    /// The user that a note of the request is about.
    pub fn note_subject(&self) -> Option<NoteSubject> {
        match self {
            Self::Create(mark) => Some(NoteSubject(mark.check.user())),
            Self::AlreadyCompleted(subject) | Self::Deactivated(subject) => Some(*subject),
            Self::NotFound => None,
        }
    }
}

/// The note of a request.
#[derive(Debug, Clone, Copy)]
pub struct MarkingNote<'a> {
    /// The text.
    pub text: &'a str,
    /// The time of the completion.
    pub happened_at: Timestamp,
    /// Whether the request named the time. Otherwise it is that of the request.
    pub time_was_given: bool,
    /// The user that marks.
    pub created_by: &'a UserId,
}

/// The data for the record that marks a user.
#[derive(Debug, Clone)]
pub struct PendingMark {
    /// One of the user's identifiers.
    pub actor: Identifier,
    /// The user's name.
    pub name: Option<String>,
    /// The condition on which the record is stored.
    pub check: CompletionCheck,
}

columns! {
    /// A user that the caller may mark.
    struct MarkableRow {
        key: i64 = "u.key",
        id: UserId = "u.id",
        active: bool = "u.active",
        first_name: Option<String> = "u.first_name",
        last_name: Option<String> = "u.last_name",
    }
}

/// A user that the caller may mark.
struct MarkableUser {
    key: i64,
    active: bool,
    name: Option<String>,
}

impl Store {
    /// Plans the outcome of marking the content as complete for each user.
    ///
    /// A named user that does not exist or that the caller may not mark is [`PlannedOutcome::NotFound`]. Members of
    /// teams and groups that the caller may not mark are left out.
    ///
    /// # Errors
    /// The inner error is the reason why the whole request is refused.
    pub async fn plan_marking(
        &self,
        subjects: &Subjects<MarkComplete>,
        request: &MarkingRequest<'_>,
    ) -> Result<Result<MarkingPlan, MarkingRefusal>, StoreError> {
        let Some(org) = self.organisation_key(subjects.org()).await? else {
            return Ok(Err(MarkingRefusal::UnknownContent));
        };
        let Some((content, iri)) = self.find_listed_content(org, request.content).await? else {
            return Ok(Err(MarkingRefusal::UnknownContent));
        };
        if request.users.len() > MAX_PEOPLE {
            return Ok(Err(MarkingRefusal::TooManyPeople));
        }
        let subjects = self.resolve_users(org, subjects).await?;
        let mut users = self.find_named_users(org, &subjects, request.users).await?;
        let members = self.find_members(org, &subjects, request).await?;
        let named: HashSet<&UserId> = request.users.iter().collect();
        let mut others: Vec<UserId> = members.keys().filter(|id| !named.contains(id)).cloned().collect();
        if request.users.len() + others.len() > MAX_PEOPLE {
            return Ok(Err(MarkingRefusal::TooManyPeople));
        }
        others.sort_unstable();
        users.extend(members);

        let mut snapshots = snapshots(&mut self.db(), org, vec![content]).await?;
        let demands = history(&snapshots.remove(&content).unwrap_or_default()).at(request.at);
        let completion = NewCompletion::new(content, request.at, request.time_was_given, &demands);
        let mut marks = self
            .plan_marks(org, completion, &users, request.home_page)
            .await?;
        let targets = request.users.iter().cloned().chain(others).map(|id| {
            let outcome = match (users.get(&id), marks.remove(&id)) {
                (None, _) => PlannedOutcome::NotFound,
                (Some(user), _) if !user.active => PlannedOutcome::Deactivated(NoteSubject(user.key)),
                (Some(_), Some(mark)) => mark,
                (Some(user), None) => PlannedOutcome::AlreadyCompleted(NoteSubject(user.key)),
            };
            MarkingTarget { user: id, outcome }
        });
        let targets = targets.collect();
        Ok(Ok(MarkingPlan { iri, targets }))
    }

    /// Writes the note about users for which no record is created. A note that a user has already, with the same text,
    /// author and time, is not written again, so that a request can be repeated. If the request named no time, the time may
    /// be up to a day earlier.
    pub async fn write_marking_notes(
        &self,
        org: &OrgId,
        note: MarkingNote<'_>,
        subjects: &[NoteSubject],
    ) -> Result<(), StoreError> {
        let mut tx = self.write(org).await?;
        let keys: Vec<i64> = subjects.iter().map(|subject| subject.0).collect();
        let select = Sql::new(
            "SELECT n.user_key FROM notes n WHERE n.org = $1 AND n.user_key IN LIST($2) AND n.happened_at >= $3 \
             AND n.happened_at <= $4 AND n.text = $5 AND n.created_by = $6",
        );
        let tolerance = repetition_tolerance(note.time_was_given);
        let first = Timestamp::from_micros(note.happened_at.micros().saturating_sub(tolerance));
        let select = select
            .with(tx.org)
            .with(keys.clone())
            .with(first)
            .with(note.happened_at)
            .with(note.text)
            .with(note.created_by.clone());
        let existing: Vec<(i64,)> = tx.fetch_rows(select).await?;
        let missing = keys.into_iter().filter(|key| !existing.contains(&(*key,)));
        let notes = missing.map(|user_key| NoteRow {
            user_key,
            text: note.text.to_owned(),
            happened_at: note.happened_at,
            created_by: note.created_by.clone(),
        });
        tx.insert_notes(notes.collect()).await?;
        tx.commit().await
    }

    /// Finds the key and the IRI of a listed content. It may be archived.
    pub(crate) async fn find_listed_content(
        &self,
        org: i64,
        content: &ContentId,
    ) -> Result<Option<(i64, String)>, StoreError> {
        let select = Sql::new(
            "SELECT c.key, c.iri FROM contents c WHERE c.org = $1 AND c.id_digest = $2 AND c.listed",
        );
        self.db()
            .fetch_row(select.with(org).with(digest(content.as_str())))
            .await
    }

    /// Finds the named users that the caller may mark.
    async fn find_named_users(
        &self,
        org: i64,
        subjects: &ResolvedUsers,
        users: &[UserId],
    ) -> Result<HashMap<UserId, MarkableUser>, StoreError> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = select_users(org);
        sql.push(" AND u.id").any_of(texts(users));
        push_users(&mut sql, "u.key", subjects);
        self.find_markable_users(sql).await
    }

    /// Finds the members of the teams and groups that the caller may mark, at most one more than [`MAX_PEOPLE`].
    async fn find_members(
        &self,
        org: i64,
        subjects: &ResolvedUsers,
        request: &MarkingRequest<'_>,
    ) -> Result<HashMap<UserId, MarkableUser>, StoreError> {
        if request.teams.is_empty() && request.groups.is_empty() {
            return Ok(HashMap::new());
        }
        let teams = match request.teams {
            [] => None,
            teams => Some(self.find_team_keys(org, teams, request.sub_teams).await?),
        };
        let mut sql = select_users(org);
        sql.push(" AND u.key IN (");
        push_members(&mut sql, teams.as_deref(), false, request.groups);
        sql.push(")");
        push_users(&mut sql, "u.key", subjects);
        sql.push(" LIMIT ").bind(one_more(MAX_PEOPLE));
        self.find_markable_users(sql).await
    }

    async fn find_markable_users(&self, sql: Sql) -> Result<HashMap<UserId, MarkableUser>, StoreError> {
        let rows: Vec<MarkableRow> = self.db().fetch_rows(sql).await?;
        let users = rows.into_iter().map(|row| {
            let user = MarkableUser {
                key: row.key,
                active: row.active,
                name: full_name(row.first_name.as_deref(), row.last_name.as_deref()),
            };
            (row.id, user)
        });
        Ok(users.collect())
    }

    /// Plans the records for active users that need the completion. Other users have no entry in the result.
    async fn plan_marks(
        &self,
        org: i64,
        completion: NewCompletion,
        users: &HashMap<UserId, MarkableUser>,
        home_page: &str,
    ) -> Result<HashMap<UserId, PlannedOutcome>, StoreError> {
        let active = users.values().filter(|user| user.active);
        let keys: Vec<i64> = active.map(|user| user.key).collect();
        let covered = find_covered(&mut self.db(), org, completion, keys.clone()).await?;
        let open = keys.into_iter().filter(|key| !covered.contains(key)).collect();
        let mut identifiers = self.find_identifiers(org, open, completion.at).await?;
        let marks = users.iter().filter_map(|(id, user)| {
            if !user.active || covered.contains(&user.key) {
                return None;
            }
            // The account with the user's id may belong to another user now, so only the user's own identifiers are
            // used. A user without any identifier cannot be marked.
            let own = identifiers.remove(&user.key).unwrap_or_default();
            let is_account = |identifier: &Identifier| {
                matches!(identifier, Identifier::Account { home_page: page, name }
                    if page == home_page && name == id.as_str())
            };
            let best = own.iter().position(is_account).unwrap_or_default();
            let outcome = own
                .into_iter()
                .nth(best)
                .map_or(PlannedOutcome::NotFound, |actor| {
                    PlannedOutcome::Create(PendingMark {
                        actor,
                        name: user.name.clone(),
                        check: CompletionCheck {
                            user: user.key,
                            completion,
                        },
                    })
                });
            Some((id.clone(), outcome))
        });
        Ok(marks.collect())
    }

    /// Finds the identifiers that each user had at `moment` and has not given up, the oldest first, by the key of the user.
    async fn find_identifiers(
        &self,
        org: i64,
        users: Vec<i64>,
        moment: Timestamp,
    ) -> Result<HashMap<i64, Vec<Identifier>>, StoreError> {
        let mut identifiers: HashMap<i64, Vec<Identifier>> = HashMap::new();
        if users.is_empty() {
            return Ok(identifiers);
        }
        let select = Sql::new(
            "SELECT p.user_key, p.value FROM persons p INDEXED BY persons_user \
             WHERE p.org = $1 AND p.user_key IN LIST($2) AND p.valid_from <= $3 \
             AND (p.valid_until IS NULL OR p.valid_until > $3) AND (p.given_up_at IS NULL OR p.given_up_at > $3) \
             ORDER BY p.key",
        );
        let select = select.with(org).with(users).with(moment);
        let persons: Vec<(i64, String)> = self.db().fetch_rows(select).await?;
        for (user, value) in persons {
            identifiers
                .entry(user)
                .or_default()
                .extend(read_identifier(&value)?);
        }
        Ok(identifiers)
    }
}

/// The query for [`MarkableRow`] of all users of the organisation.
fn select_users(org: i64) -> Sql {
    let mut sql = Sql::new("SELECT ").with(org);
    sql.push(MarkableRow::COLUMNS)
        .push(" FROM users u WHERE u.org = $1");
    sql
}
