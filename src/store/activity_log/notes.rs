//! Notes about users, with every version they had (product text, sections 4 and 13).
//!
//! A note is no record: it lies beside the log, and `rebuild` doesn't touch it. Every function here takes a
//! [`Subjects`], which leaves out whom the caller may not read about, the caller themselves before all: there is
//! no other way to a note. Its `seq` is the ledger's, as a record's, so that a timeline of both has one order.

use std::collections::HashMap;

use uuid::Uuid;

use crate::access::Subjects;
use crate::access::permit::Notes;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};
use crate::log::activity::ActivityRecorder;
use crate::log::timeline::{MAX_NOTE_VERSIONS, Note, NotePatch, NoteVersion};
use crate::log::{Position, Recorder, Window};

use crate::store::activity_log::log::push_window;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError};
use crate::store::directory::reach::{push_people, push_subjects};
use crate::store::ingest::notes::StoredNote;

/// A note to be written.
#[derive(Debug, Clone)]
pub struct NewNote {
    /// Whom it is about.
    pub user: UserId,
    /// What is said.
    pub text: String,
    /// When it happened.
    pub happened_at: Timestamp,
    /// Who did it: the caller, or somebody whom the caller may name.
    pub created_by: UserId,
}

/// Why a note is neither written nor changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteRefusal {
    /// There is no such user or note, or none that the caller may write about.
    #[error("there is no such user or note")]
    NotFound,
    /// Who is said to have done it is nobody, or nobody whom the caller may name: the two are not told apart.
    #[error("there is no such user whom you may name")]
    UnknownCreator,
    /// The note was changed too often.
    #[error("a note has at most {MAX_NOTE_VERSIONS} versions; write a new one")]
    TooManyVersions,
}

impl StoredNote {
    fn people(&self) -> [UserId; 2] {
        [self.created_by.clone(), self.written_by.clone()]
    }

    fn named(self, user: UserId, names: &HashMap<UserId, Recorder>) -> Note {
        Note {
            seq: self.seq,
            id: self.id,
            user,
            text: self.text,
            happened_at: self.happened_at,
            created_by: shown(names, self.created_by),
            created_at: self.created_at,
            updated_at: self.written_at,
            updated_by: shown(names, self.written_by),
        }
    }
}

impl Store {
    /// Writes a note.
    pub async fn add_note(
        &self,
        subjects: &Subjects<Notes>,
        note: NewNote,
    ) -> Result<Result<Note, NoteRefusal>, StoreError> {
        let mut tx = self.write(subjects.org()).await?;
        let Some(row) = tx.fetch_optional(subject(tx.org, subjects, &note.user)).await? else {
            return Ok(Err(NoteRefusal::NotFound));
        };
        let nameable = note.created_by == *subjects.caller()
            || tx
                .fetch_optional(nameable(tx.org, subjects, &note.created_by))
                .await?
                .is_some();
        if !nameable {
            return Ok(Err(NoteRefusal::UnknownCreator));
        }
        let user_key = row.get(0)?;
        let kept = tx.new_note(
            note.text,
            note.happened_at,
            note.created_by,
            subjects.caller().clone(),
        );
        tx.insert_stored_notes(vec![(user_key, kept.clone())]).await?;
        tx.commit().await?;
        Ok(Ok(self.named_one(subjects.org(), note.user, kept).await?))
    }

    /// A page of the notes about a user, the newest first, ties by the order of recording; `None` where the caller
    /// may not read about them, or there is no such user.
    pub async fn notes(
        &self,
        subjects: &Subjects<Notes>,
        about: &UserId,
        window: Window,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Option<Vec<Note>>, StoreError> {
        let Some((org, user)) = self.subject_key(subjects, about).await? else {
            return Ok(None);
        };
        let rows = self.db().fetch_all(page(org, user, window, after, limit)).await?;
        let kept = rows.iter().map(StoredNote::read).collect::<Result<Vec<_>, _>>()?;
        let people = kept.iter().flat_map(StoredNote::people).collect();
        let names = self.names(subjects.org(), people).await?;
        let notes = kept.into_iter().map(|note| note.named(about.clone(), &names));
        Ok(Some(notes.collect()))
    }

    /// How many notes about a user there are within the window; none where the caller may not read about them.
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
        Ok(u64::try_from(count).unwrap_or(0)) // a count is never less than nothing
    }

    /// One note; `None` where there is none, or none that the caller may read.
    pub async fn note(&self, subjects: &Subjects<Notes>, id: Uuid) -> Result<Option<Note>, StoreError> {
        let Some(org) = self.organisation_key(subjects.org()).await? else {
            return Ok(None);
        };
        let Some(row) = self.db().fetch_optional(one(org, subjects, id)).await? else {
            return Ok(None);
        };
        let (user, kept) = (read_id(&row, StoredNote::COUNT)?, StoredNote::read(&row)?);
        Ok(Some(self.named_one(subjects.org(), user, kept).await?))
    }

    /// Changes a note and keeps what stood there. What is the same as before makes no version.
    pub async fn change_note(
        &self,
        subjects: &Subjects<Notes>,
        id: Uuid,
        change: NotePatch,
    ) -> Result<Result<Note, NoteRefusal>, StoreError> {
        let mut tx = self.write(subjects.org()).await?;
        let Some(row) = tx.fetch_optional(one(tx.org, subjects, id)).await? else {
            return Ok(Err(NoteRefusal::NotFound));
        };
        let (user, before) = (read_id(&row, StoredNote::COUNT)?, StoredNote::read(&row)?);
        let text = change.text.unwrap_or_else(|| before.text.clone());
        let happened_at = change.happened_at.unwrap_or(before.happened_at);
        if text == before.text && happened_at == before.happened_at {
            drop(tx); // names are read by another connection
            return Ok(Ok(self.named_one(subjects.org(), user, before).await?));
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
        Ok(Ok(self.named_one(subjects.org(), user, after).await?))
    }

    /// The versions of a note but the one that stands, the last one first; `None` as [`Store::note`].
    pub async fn note_versions(
        &self,
        subjects: &Subjects<Notes>,
        id: Uuid,
    ) -> Result<Option<Vec<NoteVersion>>, StoreError> {
        let Some(org) = self.organisation_key(subjects.org()).await? else {
            return Ok(None);
        };
        let Some(row) = self.db().fetch_optional(one(org, subjects, id)).await? else {
            return Ok(None);
        };
        let select = Sql::new(
            "SELECT v.version, v.happened_at, v.text, v.written_by, v.written_at FROM note_versions v \
             WHERE v.org = $1 AND v.note = $2 ORDER BY v.version DESC",
        );
        let seq = StoredNote::read(&row)?.seq;
        let rows = self.db().fetch_all(select.with(org).with(seq)).await?;
        let writers = rows
            .iter()
            .map(|row| read_id(row, 3))
            .collect::<Result<Vec<_>, _>>()?;
        let names = self.names(subjects.org(), writers.clone()).await?;
        let versions = rows.iter().zip(writers).map(|(row, writer)| {
            Ok(NoteVersion {
                version: row.get(0)?,
                happened_at: Timestamp::from_micros(row.get(1)?),
                text: row.get(2)?,
                updated_by: shown(&names, writer),
                updated_at: Timestamp::from_micros(row.get(4)?),
            })
        });
        Ok(Some(versions.collect::<Result<_, StoreError>>()?))
    }

    /// What the database says it will do for a page of the notes about a user, a line each, as [`Store::explain`] says
    /// it of the log. No line where the caller may not read about them.
    pub async fn explain_notes(
        &self,
        subjects: &Subjects<Notes>,
        about: &UserId,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let Some((org, user)) = self.subject_key(subjects, about).await? else {
            return Ok(Vec::new());
        };
        self.db()
            .explain(page(org, user, Window::default(), None, limit))
            .await
    }

    /// The keys of the organisation and of the user, where the caller may read and write about them.
    async fn subject_key(
        &self,
        subjects: &Subjects<Notes>,
        about: &UserId,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let Some(org) = self.organisation_key(subjects.org()).await? else {
            return Ok(None);
        };
        let row = self.db().fetch_optional(subject(org, subjects, about)).await?;
        row.map(|row| Ok((org, row.get(0)?))).transpose()
    }

    async fn named_one(
        &self,
        organisation: &OrgId,
        user: UserId,
        kept: StoredNote,
    ) -> Result<Note, StoreError> {
        let names = self.names(organisation, kept.people().to_vec()).await?;
        Ok(kept.named(user, &names))
    }

    async fn names(
        &self,
        organisation: &OrgId,
        mut people: Vec<UserId>,
    ) -> Result<HashMap<UserId, Recorder>, StoreError> {
        people.sort_unstable();
        people.dedup();
        self.recorders(organisation, &people).await
    }
}

impl OrgTx {
    /// Puts what stands in a note to its versions, and what is to stand there in its place.
    async fn replace_note(&mut self, before: StoredNote, after: &StoredNote) -> Result<(), StoreError> {
        let columns = [
            "org",
            "note",
            "version",
            "happened_at",
            "text",
            "written_by",
            "written_at",
        ];
        let version = vec![
            self.org.into(),
            before.seq.into(),
            before.version.into(),
            before.happened_at.micros().into(),
            before.text.into(),
            before.written_by.as_str().into(),
            before.written_at.micros().into(),
        ];
        self.insert("note_versions", &columns, vec![version]).await?;
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

/// A page of the notes about a user: a walk of one index, in its order.
fn page(org: i64, user: i64, window: Window, after: Option<Position>, limit: u32) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(StoredNote::COLUMNS).push(" FROM notes n");
    push_about(&mut sql, org, user, window);
    if let Some(at) = after {
        sql.push(" AND (n.happened_at, n.seq) < (")
            .bind(at.happened_at.micros())
            .push(", ")
            .bind(at.seq)
            .push(")");
    }
    sql.push(" ORDER BY n.happened_at DESC, n.seq DESC LIMIT ")
        .bind(i64::from(limit));
    sql
}

/// The key of a user about whom the caller may read and write.
fn subject(org: i64, subjects: &Subjects<Notes>, about: &UserId) -> Sql {
    let mut sql = Sql::new("SELECT u.key FROM users u WHERE u.org = $1 AND u.id = $2")
        .with(org)
        .with(about.as_str());
    push_subjects(&mut sql, "u.key", subjects);
    sql
}

/// The key of a user whom the caller may name as the one who did it.
fn nameable(org: i64, subjects: &Subjects<Notes>, who: &UserId) -> Sql {
    let mut sql = Sql::new("SELECT u.key FROM users u WHERE u.org = $1 AND u.id = $2")
        .with(org)
        .with(who.as_str());
    push_people(&mut sql, "u.key", &subjects.people());
    sql
}

/// One note with the id of its user, where the caller may read it.
fn one(org: i64, subjects: &Subjects<Notes>, id: Uuid) -> Sql {
    let mut sql = Sql::new("SELECT ").with(org).with(id);
    sql.push(StoredNote::COLUMNS).push(
        ", u.id FROM notes n JOIN users u ON u.org = n.org AND u.key = n.user_key WHERE n.org = $1 AND n.id = $2",
    );
    push_subjects(&mut sql, "n.user_key", subjects);
    sql
}

fn push_about(sql: &mut Sql, org: i64, user: i64, window: Window) {
    sql.push(" WHERE n.org = ").bind(org);
    sql.push(" AND n.user_key = ").bind(user);
    push_window(sql, "n.happened_at", window);
}

fn shown(names: &HashMap<UserId, Recorder>, id: UserId) -> ActivityRecorder {
    let name = names.get(&id).and_then(|recorder| recorder.name.clone());
    ActivityRecorder { id, name }
}
