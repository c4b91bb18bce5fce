//! Inserting notes about users, together with records or alone.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::store::db::StoreError;
use crate::store::db::columns::{columns, table_row};
use crate::store::db::ledger::OrgTx;

/// A note to be inserted.
#[derive(Debug, Clone)]
pub(crate) struct NoteRow {
    /// The key of the user that the note is about.
    pub(crate) user_key: i64,
    pub(crate) text: String,
    pub(crate) happened_at: Timestamp,
    /// The user that did what the note is about, and that wrote it.
    pub(crate) created_by: UserId,
}

columns! {
    /// A note as it is stored, without its subject and without names.
    #[derive(Clone)]
    pub(crate) struct StoredNote {
        pub(crate) seq: i64 = "n.seq",
        pub(crate) id: Uuid = "n.id",
        pub(crate) happened_at: Timestamp = "n.happened_at",
        pub(crate) text: String = "n.text",
        pub(crate) created_by: UserId = "n.created_by",
        pub(crate) created_at: Timestamp = "n.created_at",
        pub(crate) written_by: UserId = "n.written_by",
        pub(crate) written_at: Timestamp = "n.written_at",
        pub(crate) version: i64 = "n.version",
    }
}

table_row! {
    struct NewNoteRow in "notes" {
        org: i64 = "org",
        seq: i64 = "seq",
        id: Uuid = "id",
        user_key: i64 = "user_key",
        happened_at: Timestamp = "happened_at",
        text: String = "text",
        created_by: UserId = "created_by",
        created_at: Timestamp = "created_at",
        version: i64 = "version",
        written_by: UserId = "written_by",
        written_at: Timestamp = "written_at",
    }
}

impl OrgTx {
    /// Inserts the notes, each written by its creator.
    pub(crate) async fn insert_notes(&mut self, notes: Vec<NoteRow>) -> Result<(), StoreError> {
        let mut new = Vec::with_capacity(notes.len());
        for note in notes {
            let writer = note.created_by.clone();
            let stored = self.new_note(note.text, note.happened_at, note.created_by, writer);
            new.push((note.user_key, stored));
        }
        self.insert_stored_notes(new).await
    }

    /// The first version of a note, with its number in the order of recording.
    pub(crate) fn new_note(
        &mut self,
        text: String,
        happened_at: Timestamp,
        created_by: UserId,
        written_by: UserId,
    ) -> StoredNote {
        let now = self.stored_now();
        StoredNote {
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
    pub(crate) async fn insert_stored_notes(
        &mut self,
        notes: Vec<(i64, StoredNote)>,
    ) -> Result<(), StoreError> {
        let org = self.org;
        let rows = notes.into_iter().map(|(user_key, note)| NewNoteRow {
            org,
            seq: note.seq,
            id: note.id,
            user_key,
            happened_at: note.happened_at,
            text: note.text,
            created_by: note.created_by,
            created_at: note.created_at,
            version: note.version,
            written_by: note.written_by,
            written_at: note.written_at,
        });
        self.insert_rows(rows.collect()).await
    }
}
