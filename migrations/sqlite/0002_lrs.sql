-- The whole LRS: what statements name beside actor, verb and object, what they refer to, attachments,
-- documents, canonical definitions.

-- Who sent a record: `user:<id>` or `key:<key>`, so that a credential's own statements are found, and those
-- that a person or credential vouches for.
UPDATE statements SET sender = 'key:' || sender WHERE sender IS NOT NULL;
CREATE INDEX statements_sender ON statements (org, sender, seq) WHERE sender IS NOT NULL;

-- Persons and Activities that a statement names elsewhere than as its actor or object (`thing`: a key of
-- `persons` or `contents`). `direct` where the plain `agent` filter finds it: the object, the members of a
-- group.
CREATE TABLE mentions (
    org INTEGER NOT NULL,
    thing INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    direct BOOLEAN NOT NULL,
    PRIMARY KEY (org, thing, seq)
) WITHOUT ROWID;

-- A statement that refers to another (StatementRef) is found by what the other says. So it has a face for
-- each statement that it refers to, directly or by others, with what filters ask of that one.
CREATE TABLE faces (
    org INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    face INTEGER NOT NULL,
    actor INTEGER NOT NULL,
    verb INTEGER NOT NULL,
    object INTEGER,
    registration BLOB,
    PRIMARY KEY (org, seq, face)
) WITHOUT ROWID;
CREATE INDEX faces_face ON faces (org, face);
CREATE INDEX faces_actor ON faces (org, actor, seq);
CREATE INDEX faces_verb ON faces (org, verb, seq);
CREATE INDEX faces_object ON faces (org, object, seq) WHERE object IS NOT NULL;
CREATE INDEX faces_registration ON faces (org, registration, seq) WHERE registration IS NOT NULL;

-- What the statement behind a face mentions, and who vouches for it.
CREATE TABLE face_mentions (
    org INTEGER NOT NULL,
    thing INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    face INTEGER NOT NULL,
    direct BOOLEAN NOT NULL,
    PRIMARY KEY (org, thing, seq, face)
) WITHOUT ROWID;

-- The definition of an Activity: what all statements say of it, merged in the order of recording.
ALTER TABLE contents ADD COLUMN definition TEXT;

-- Bytes that clients send: attachments and documents, in parts of at most a mebibyte.
CREATE TABLE blobs (
    org INTEGER NOT NULL,
    blob INTEGER NOT NULL,
    part INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (org, blob, part)
);

-- The content of attachments, each once, by its SHA-256.
CREATE TABLE attachments (
    org INTEGER NOT NULL,
    sha2 BLOB NOT NULL,
    blob INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (org, sha2)
) WITHOUT ROWID;

-- Documents: of a state (kind 1), an agent's profile (2), an Activity's profile (3). Activity, agent and name
-- are there as SHA-256, the empty bytes where the kind has none; no registration is the nil UUID.
CREATE TABLE documents (
    org INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    activity BLOB NOT NULL,
    agent BLOB NOT NULL,
    registration BLOB NOT NULL,
    name_digest BLOB NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    etag TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    blob INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (org, kind, activity, agent, registration, name_digest)
);
