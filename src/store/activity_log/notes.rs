//! Notes about users, with all their versions.
//!
//! A note is not a record of the log, and `rebuild` does not change it. Every function takes a [`Subjects`], which
//! excludes the users about which the caller may not read notes, always including the caller. The `seq` of a note and of
//! a record come from the same sequence, so that a timeline can sort both.

use std::collections::HashMap;

use uuid::Uuid;

use crate::access::Subjects;
use crate::access::permit::Notes;
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};
use crate::log::activity::ActivityRecorder;
use crate::log::timeline::{MAX_NOTE_VERSIONS, Note, NotePatch, NoteVersion};
use crate::log::{Position, Recorder, Window};

use crate::store::activity_log::conditions::push_window;
use crate::store::db::columns::{FromColumn as _, columns, table_row};
use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::{ResolvedUsers, find_user, push_users};
use crate::store::ingest::notes::StoredNote;

/// A note to be created.
#[derive(Debug, Clone)]
pub struct NewNote {
    /// The user that the note is about.
    pub user: UserId,
    /// The text.
    pub text: String,
    /// The time of the event that the note describes.
    pub happened_at: Timestamp,
    /// The user that did what the note describes: the caller, or a user within the caller's reach.
    pub created_by: UserId,
}

/// The reason why a note was not created or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteRefusal {
    /// The user or the note does not exist, or the caller may not write notes about the user.
    #[error("the user or note does not exist")]
    NotFound,
    /// The creator does not exist or is outside the caller's reach. The message is the same in both cases.
    #[error("the user does not exist, or you may not name this user")]
    UnknownCreator,
    /// The note has the maximum number of versions.
    #[error("a note has at most {MAX_NOTE_VERSIONS} versions; create a new note")]
    TooManyVersions,
}

columns! {
    /// A previous version of a note.
    struct StoredVersion {
        version: i64 = "v.version",
        happened_at: Timestamp = "v.happened_at",
        text: String = "v.text",
        written_by: UserId = "v.written_by",
        written_at: Timestamp = "v.written_at",
    }
}

table_row! {
    /// A previous version of a note, to be inserted.
    struct NewVersion in "note_versions" {
        org: i64 = "org",
        note: i64 = "note",
        version: i64 = "version",
        happened_at: Timestamp = "happened_at",
        text: String = "text",
        written_by: UserId = "written_by",
        written_at: Timestamp = "written_at",
    }
}

impl StoredNote {
    /// Reads a row of [`note_query`]: a note, and the user that it is about.
    fn read_with_user(row: &Row) -> Result<(UserId, Self), StoreError> {
        Ok((UserId::from_column(row, Self::COUNT)?, Self::read(row)?))
    }

    /// The users whose names are shown with the note.
    fn writers(&self) -> [UserId; 2] {
        [self.created_by.clone(), self.written_by.clone()]
    }

    fn into_note(self, user: UserId, names: &HashMap<UserId, Recorder>) -> Note {
        Note {
            seq: self.seq,
            id: self.id,
            user,
            text: self.text,
            happened_at: self.happened_at,
            created_by: with_name(names, self.created_by),
            created_at: self.created_at,
            updated_at: self.written_at,
            updated_by: with_name(names, self.written_by),
        }
    }
}

impl Store {
    /// Creates a note.
    pub async fn add_note(
        &self,
        subjects: &Subjects<Notes>,
        note: NewNote,
    ) -> Result<Result<Note, NoteRefusal>, StoreError> {
        let mut tx = self.write(subjects.org()).await?;
        let org = tx.org;
        let allowed = tx.resolve_users(subjects).await?;
        let Some(user_key) = find_user(&mut tx, org, &allowed, &note.user).await? else {
            return Ok(Err(NoteRefusal::NotFound));
        };
        let creators = tx.resolve_users(subjects.people()).await?;
        let creator_allowed = note.created_by == *subjects.caller()
            || find_user(&mut tx, org, &creators, &note.created_by)
                .await?
                .is_some();
        if !creator_allowed {
            return Ok(Err(NoteRefusal::UnknownCreator));
        }
        let writer = subjects.caller().clone();
        let stored = tx.new_note(note.text, note.happened_at, note.created_by, writer);
        tx.insert_stored_notes(vec![(user_key, stored.clone())]).await?;
        tx.commit().await?;
        Ok(Ok(self.add_names(subjects.org(), note.user, stored).await?))
    }

    /// Finds a page of the notes about a user, the newest first. Notes with the same time are in the order of recording.
    /// The result is `None` if the user does not exist or the caller may not read notes about the user.
    pub async fn find_notes(
        &self,
        subjects: &Subjects<Notes>,
        about: &UserId,
        window: Window,
        after: Option<Position>,
        limits: PageLimits,
    ) -> Result<Option<Page<Note>>, StoreError> {
        let Some((org, user)) = self.subject_key(subjects, about).await? else {
            return Ok(None);
        };
        let sql = page_query(org, user, window, after);
        let stored: Page<StoredNote> = self.db().fetch_page(sql, limits).await?;
        let writers = stored.items.iter().flat_map(StoredNote::writers).collect();
        let names = self.find_names(subjects.org(), writers).await?;
        Ok(Some(stored.map(|note| note.into_note(about.clone(), &names))))
    }

    /// Counts the notes about a user in the window. The count is 0 if the caller may not read notes about the user.
    pub async fn count_notes(
        &self,
        subjects: &Subjects<Notes>,
        about: &UserId,
        window: Window,
    ) -> Result<u64, StoreError> {
        let Some((org, user)) = self.subject_key(subjects, about).await? else {
            return Ok(0);
        };
        let mut sql = Sql::new("SELECT count(*) FROM notes n");
        push_about(&mut sql, org, user, window);
        let count = self.db().count(sql).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Finds a note. The result is `None` if the note does not exist or the caller may not read it.
    pub async fn find_note(&self, subjects: &Subjects<Notes>, id: Uuid) -> Result<Option<Note>, StoreError> {
        let Some(org) = self.organisation_key(subjects.org()).await? else {
            return Ok(None);
        };
        let allowed = self.resolve_users(org, subjects).await?;
        let Some(row) = self.db().fetch_optional(note_query(org, &allowed, id)).await? else {
            return Ok(None);
        };
        let (user, stored) = StoredNote::read_with_user(&row)?;
        Ok(Some(self.add_names(subjects.org(), user, stored).await?))
    }

    /// Changes a note and stores its previous version. A patch without a change does not create a version.
    pub async fn change_note(
        &self,
        subjects: &Subjects<Notes>,
        id: Uuid,
        patch: NotePatch,
    ) -> Result<Result<Note, NoteRefusal>, StoreError> {
        let mut tx = self.write(subjects.org()).await?;
        let allowed = tx.resolve_users(subjects).await?;
        let Some(row) = tx.fetch_optional(note_query(tx.org, &allowed, id)).await? else {
            return Ok(Err(NoteRefusal::NotFound));
        };
        let (user, before) = StoredNote::read_with_user(&row)?;
        let text = patch.text.unwrap_or_else(|| before.text.clone());
        let happened_at = patch.happened_at.unwrap_or(before.happened_at);
        if text == before.text && happened_at == before.happened_at {
            drop(tx); // the names are read on another connection
            return Ok(Ok(self.add_names(subjects.org(), user, before).await?));
        }
        if before.version >= MAX_NOTE_VERSIONS {
            return Ok(Err(NoteRefusal::TooManyVersions));
        }
        let after = StoredNote {
            text,
            happened_at,
            version: before.version + 1,
            written_by: subjects.caller().clone(),
            written_at: tx.stored_now(),
            ..before.clone()
        };
        tx.replace_note(before, &after).await?;
        tx.commit().await?;
        Ok(Ok(self.add_names(subjects.org(), user, after).await?))
    }

    /// Finds a page of the previous versions of a note, the latest first, before the version `before`. The result is
    /// `None` in the same cases as in [`Store::find_note`].
    pub async fn find_note_versions(
        &self,
        subjects: &Subjects<Notes>,
        id: Uuid,
        before: Option<i64>,
        limits: PageLimits,
    ) -> Result<Option<Page<NoteVersion>>, StoreError> {
        let Some(org) = self.organisation_key(subjects.org()).await? else {
            return Ok(None);
        };
        let allowed = self.resolve_users(org, subjects).await?;
        let Some(row) = self.db().fetch_optional(note_query(org, &allowed, id)).await? else {
            return Ok(None);
        };
        let columns = StoredVersion::COLUMNS;
        let select = format!("SELECT {columns} FROM note_versions v WHERE v.org = $1 AND v.note = $2");
        let mut select = Sql::new(&select).with(org).with(StoredNote::read(&row)?.seq);
        if let Some(before) = before {
            select.push(" AND v.version < ").bind(before);
        }
        select.push(" ORDER BY v.version DESC");
        let versions: Page<StoredVersion> = self.db().fetch_page(select, limits).await?;
        let writers = versions
            .items
            .iter()
            .map(|version| version.written_by.clone())
            .collect();
        let names = self.find_names(subjects.org(), writers).await?;
        Ok(Some(versions.map(|version| NoteVersion {
            version: version.version,
            happened_at: version.happened_at,
            text: version.text,
            updated_by: with_name(&names, version.written_by),
            updated_at: version.written_at,
        })))
    }

    /// Returns the database's plan for a page of the notes about a user, one text for each line. It is empty if the
    /// caller may not read notes about the user.
    pub async fn explain_notes(
        &self,
        subjects: &Subjects<Notes>,
        about: &UserId,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let Some((org, user)) = self.subject_key(subjects, about).await? else {
            return Ok(Vec::new());
        };
        let mut sql = page_query(org, user, Window::default(), None);
        sql.push(" LIMIT ").bind(i64::from(limit));
        self.db().explain(sql).await
    }

    /// The keys of the organisation and of the user, if the caller may read and write notes about the user.
    async fn subject_key(
        &self,
        subjects: &Subjects<Notes>,
        about: &UserId,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let Some(org) = self.organisation_key(subjects.org()).await? else {
            return Ok(None);
        };
        let allowed = self.resolve_users(org, subjects).await?;
        let user = find_user(&mut self.db(), org, &allowed, about).await?;
        Ok(user.map(|user| (org, user)))
    }

    /// Adds the current names of the writers to a note.
    async fn add_names(
        &self,
        organisation: &OrgId,
        user: UserId,
        stored: StoredNote,
    ) -> Result<Note, StoreError> {
        let names = self.find_names(organisation, stored.writers().to_vec()).await?;
        Ok(stored.into_note(user, &names))
    }

    async fn find_names(
        &self,
        organisation: &OrgId,
        mut users: Vec<UserId>,
    ) -> Result<HashMap<UserId, Recorder>, StoreError> {
        users.sort_unstable();
        users.dedup();
        self.recorders(organisation, &users).await
    }
}

impl OrgTx {
    /// Replaces the current version of a note and stores the previous one.
    async fn replace_note(&mut self, before: StoredNote, after: &StoredNote) -> Result<(), StoreError> {
        let previous = NewVersion {
            org: self.org,
            note: before.seq,
            version: before.version,
            happened_at: before.happened_at,
            text: before.text,
            written_by: before.written_by,
            written_at: before.written_at,
        };
        self.insert_rows(vec![previous]).await?;
        let update = Sql::new(
            "UPDATE notes SET happened_at = $3, text = $4, version = $5, written_by = $6, written_at = $7 \
             WHERE org = $1 AND seq = $2",
        );
        let update = update
            .with(self.org)
            .with(after.seq)
            .with(after.happened_at.micros())
            .with(after.text.as_str())
            .with(after.version)
            .with(after.written_by.as_str())
            .with(after.written_at.micros());
        self.execute(update).await.map(|_| ())
    }
}

/// The query for a page of the notes about a user. It reads one index in order.
fn page_query(org: i64, user: i64, window: Window, after: Option<Position>) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(StoredNote::COLUMNS).push(" FROM notes n");
    push_about(&mut sql, org, user, window);
    if let Some(position) = after {
        sql.push(" AND (n.happened_at, n.seq) < (")
            .bind(position.happened_at.micros())
            .push(", ")
            .bind(position.seq)
            .push(")");
    }
    sql.push(" ORDER BY n.happened_at DESC, n.seq DESC");
    sql
}

/// The query for a note and the id of its user, if the caller may read the note.
fn note_query(org: i64, subjects: &ResolvedUsers, id: Uuid) -> Sql {
    let mut sql = Sql::new("SELECT ").with(org).with(id);
    sql.push(StoredNote::COLUMNS).push(
        ", u.id FROM notes n JOIN users u ON u.org = n.org AND u.key = n.user_key WHERE n.org = $1 AND n.id = $2",
    );
    push_users(&mut sql, "n.user_key", subjects);
    sql
}

/// Adds the condition that a note is about the user and in the window.
fn push_about(sql: &mut Sql, org: i64, user: i64, window: Window) {
    sql.push(" WHERE n.org = ").bind(org);
    sql.push(" AND n.user_key = ").bind(user);
    push_window(sql, "n.happened_at", window);
}

/// The user with the current name.
fn with_name(names: &HashMap<UserId, Recorder>, id: UserId) -> ActivityRecorder {
    let name = names.get(&id).and_then(|recorder| recorder.name.clone());
    ActivityRecorder { id, name }
}
