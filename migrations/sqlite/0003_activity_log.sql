-- The Activity Log, whole: notes with every version they had, and the way to everybody's rows of one content.

-- A manual note about a user: no record, and never a row of the log (product text, sections 2 and 13). `seq` is
-- from the ledger, as a record's: so a timeline of both has one order. `created_by` is who did what the note is
-- about, as its writer said; `written_by` wrote what stands in it now. Both are ids of users, as `recorded_by` of the log.
-- No WITHOUT ROWID: a note's text is long.
CREATE TABLE notes (
    org INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    user_key INTEGER NOT NULL,
    happened_at INTEGER NOT NULL,
    text TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    written_by TEXT NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (org, seq)
);
CREATE UNIQUE INDEX notes_id ON notes (org, id);
CREATE INDEX notes_user ON notes (org, user_key, happened_at, seq);

-- What stood in a note before it was changed (`note`: its `seq`), the first version being 1.
CREATE TABLE note_versions (
    org INTEGER NOT NULL,
    note INTEGER NOT NULL,
    version INTEGER NOT NULL,
    happened_at INTEGER NOT NULL,
    text TEXT NOT NULL,
    written_by TEXT NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (org, note, version)
);

-- One content's rows of some persons: progress, and who needs no marking as complete. Without it a page of
-- progress reads all rows of the content. SQLite takes it only where the statement says so (INDEXED BY).
CREATE INDEX IF NOT EXISTS activities_progress ON activities (org, content, person) WHERE content IS NOT NULL;
