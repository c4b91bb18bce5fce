//! Inserting notes about users, together with records or alone.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::store::db::StoreError;
use crate::store::db::ledger::OrgTx;

/// A note for whoever has found its user already.
#[derive(Debug, Clone)]
pub(crate) struct NoteRow {
    /// The key of the user whom it is about.
    pub(crate) user_key: i64,
    pub(crate) text: String,
    pub(crate) happened_at: Timestamp,
    /// Who did it, and wrote it.
    pub(crate) created_by: UserId,
}

/// A note as it is kept: without its user, and without names, which are those of now.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) seq: i64,
    pub(crate) id: Uuid,
    pub(crate) happened_at: Timestamp,
    pub(crate) text: String,
    pub(crate) created_by: UserId,
    pub(crate) created_at: Timestamp,
    pub(crate) written_by: UserId,
    pub(crate) written_at: Timestamp,
    pub(crate) version: i64,
}

impl OrgTx {
    /// Writes notes and answers nothing: for whoever has found their users already.
    pub(crate) async fn insert_notes(&mut self, notes: Vec<NoteRow>) -> Result<(), StoreError> {
        let mut kept = Vec::with_capacity(notes.len());
        for note in notes {
            let writer = note.created_by.clone();
            let new = self.new_note(note.text, note.happened_at, note.created_by, writer);
            kept.push((note.user_key, new));
        }
        self.keep_notes(kept).await
    }

    /// The first version of a note, with its place in the order of recording.
    pub(crate) fn new_note(
        &mut self,
        text: String,
        happened_at: Timestamp,
        created_by: UserId,
        written_by: UserId,
    ) -> Kept {
        let now = self.stored_now();
        Kept {
            seq: self.next_seq(),
            id: self.store().clock().new_uuid(),
            happened_at,
            text,
            created_by,
            created_at: now,
            written_by,
            written_at: now,
            version: 1,
        }
    }

    /// Inserts notes, each with the key of its user.
    pub(crate) async fn keep_notes(&mut self, notes: Vec<(i64, Kept)>) -> Result<(), StoreError> {
        let columns = [
            "org",
            "seq",
            "id",
            "user_key",
            "happened_at",
            "text",
            "created_by",
            "created_at",
            "version",
            "written_by",
            "written_at",
        ];
        let org = self.org;
        let rows = notes.into_iter().map(|(user_key, note)| {
            vec![
                org.into(),
                note.seq.into(),
                note.id.into(),
                user_key.into(),
                note.happened_at.micros().into(),
                note.text.into(),
                note.created_by.as_str().into(),
                note.created_at.micros().into(),
                note.version.into(),
                note.written_by.as_str().into(),
                note.written_at.micros().into(),
            ]
        });
        self.insert("notes", &columns, rows.collect()).await
    }
}
