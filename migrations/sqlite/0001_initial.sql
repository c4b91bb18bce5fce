-- The spine: organisations, people, contents, records and the log.
--
-- Every key begins with the organisation. Times are microseconds since 1970 in UTC; keys are small
-- numbers that an organisation's ledger hands out. Texts that clients choose freely (IRIs, identifiers)
-- are unique by their SHA-256, as they are on PostgreSQL. Narrow tables are WITHOUT ROWID: kept in their
-- key's order, with no second tree.

CREATE TABLE organisations (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    account_home_page TEXT NOT NULL,
    managers_see_indirect_reports BOOLEAN NOT NULL,
    created_at INTEGER NOT NULL
);

-- One row an organisation, locked by every transaction that writes in its name: so the order of `seq`
-- is the order of commit, whichever replica writes, and keys are handed out without gaps or deadlocks.
-- `epoch` moves whenever something changes that replicas remember.
CREATE TABLE ledgers (
    org INTEGER PRIMARY KEY REFERENCES organisations (key),
    seq INTEGER NOT NULL,
    keys INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    epoch INTEGER NOT NULL
);

CREATE TABLE credentials (
    key TEXT PRIMARY KEY,
    org INTEGER NOT NULL REFERENCES organisations (key),
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
);
CREATE UNIQUE INDEX credentials_id ON credentials (org, id);

-- The directory.

CREATE TABLE teams (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    search TEXT NOT NULL,
    parent INTEGER,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX teams_id ON teams (org, id);
CREATE INDEX teams_parent ON teams (org, parent);

CREATE TABLE groups (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    search TEXT NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX groups_id ON groups (org, id);

CREATE TABLE users (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id TEXT NOT NULL,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    role TEXT NOT NULL,
    job_title TEXT,
    language TEXT,
    location TEXT,
    joined_on TEXT,
    manager INTEGER,
    primary_team INTEGER,
    active BOOLEAN NOT NULL,
    deactivated_at INTEGER,
    custom TEXT NOT NULL,
    search TEXT NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX users_id ON users (org, id);
CREATE INDEX users_manager ON users (org, manager);
CREATE INDEX users_primary_team ON users (org, primary_team);

CREATE TABLE memberships (
    org INTEGER NOT NULL,
    team INTEGER NOT NULL,
    user_key INTEGER NOT NULL,
    PRIMARY KEY (org, team, user_key)
) WITHOUT ROWID;
CREATE INDEX memberships_user ON memberships (org, user_key);

CREATE TABLE group_members (
    org INTEGER NOT NULL,
    group_key INTEGER NOT NULL,
    user_key INTEGER NOT NULL,
    PRIMARY KEY (org, group_key, user_key)
) WITHOUT ROWID;
CREATE INDEX group_members_user ON group_members (org, user_key);

-- The organisation's own fields of its users, one row a value, for `custom[<field>]`.
CREATE TABLE user_fields (
    org INTEGER NOT NULL,
    field TEXT NOT NULL,
    user_key INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (org, field, user_key)
) WITHOUT ROWID;
CREATE INDEX user_fields_user ON user_fields (org, user_key);

-- One row an identifier: the person a record is about. A user owns any number of them.
CREATE TABLE persons (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    digest BLOB NOT NULL,
    value TEXT NOT NULL,
    name TEXT,
    named_at INTEGER NOT NULL,
    named_by BLOB NOT NULL,
    contested BOOLEAN NOT NULL,
    user_key INTEGER,
    deactivated BOOLEAN NOT NULL,
    PRIMARY KEY (org, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX persons_digest ON persons (org, digest);
CREATE INDEX persons_user ON persons (org, user_key) WHERE user_key IS NOT NULL;
CREATE INDEX persons_deactivated ON persons (org, key) WHERE deactivated;

-- The catalogue, and every other Activity that a statement names (`listed` false: known to the LRS alone).
CREATE TABLE contents (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    digest BLOB NOT NULL,
    iri TEXT NOT NULL,
    id_digest BLOB NOT NULL,
    id TEXT NOT NULL,
    registered BOOLEAN NOT NULL,
    listed BOOLEAN NOT NULL,
    title TEXT,
    title_folded TEXT NOT NULL,
    type INTEGER,
    content_type INTEGER,
    tags TEXT NOT NULL,
    cpd_labels TEXT NOT NULL,
    source TEXT,
    url TEXT,
    archived_at INTEGER,
    demands TEXT NOT NULL,
    defined_at INTEGER NOT NULL,
    defined_by BLOB NOT NULL,
    contested BOOLEAN NOT NULL,
    reprojecting BOOLEAN NOT NULL,
    definition TEXT,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX contents_digest ON contents (org, digest);
CREATE UNIQUE INDEX contents_id ON contents (org, id_digest);

-- Tags (kind 1) and CPD labels (kind 2), one row a value, for the log's filters.
CREATE TABLE content_terms (
    org INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    value TEXT NOT NULL,
    content INTEGER NOT NULL,
    PRIMARY KEY (org, kind, value, content)
) WITHOUT ROWID;
CREATE INDEX content_terms_content ON content_terms (org, content);

-- What a content demanded, from when on.
CREATE TABLE content_demands (
    org INTEGER NOT NULL,
    content INTEGER NOT NULL,
    effective_from INTEGER NOT NULL,
    demands TEXT NOT NULL,
    PRIMARY KEY (org, content, effective_from)
) WITHOUT ROWID;

-- Verbs as they were said: an IRI with the display that came with it.
CREATE TABLE verbs (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    digest BLOB NOT NULL,
    iri TEXT NOT NULL,
    display TEXT,
    PRIMARY KEY (org, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX verbs_digest ON verbs (org, digest);

-- The records: each statement once, as the bytes that are given back, with its envelope.
CREATE TABLE statements (
    org INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    stored INTEGER NOT NULL,
    actor INTEGER NOT NULL,
    verb INTEGER NOT NULL,
    object INTEGER,
    registration BLOB,
    reference BLOB,
    sender TEXT,
    voids BOOLEAN NOT NULL,
    voided BOOLEAN NOT NULL,
    envelope TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (org, seq)
);
CREATE UNIQUE INDEX statements_id ON statements (org, id);
CREATE INDEX statements_actor ON statements (org, actor, seq);
CREATE INDEX statements_verb ON statements (org, verb, seq);
CREATE INDEX statements_object ON statements (org, object, seq) WHERE object IS NOT NULL;
CREATE INDEX statements_registration ON statements (org, registration, seq) WHERE registration IS NOT NULL;
CREATE INDEX statements_reference ON statements (org, reference) WHERE reference IS NOT NULL;

-- The log: a narrow row for each record that is not voided. Names, titles, teams and tags are joined
-- when it is read.
CREATE TABLE activities (
    org INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    happened_at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    person INTEGER NOT NULL,
    verb INTEGER NOT NULL,
    content INTEGER,
    action INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    completed BOOLEAN NOT NULL,
    success BOOLEAN,
    completion BOOLEAN,
    certified BOOLEAN NOT NULL,
    scaled REAL,
    raw REAL,
    min REAL,
    max REAL,
    percent INTEGER,
    seconds INTEGER,
    time_limit INTEGER,
    expired_at INTEGER,
    certificate_expires_at INTEGER,
    registration BLOB,
    import BLOB,
    certificate_name TEXT,
    response TEXT,
    device_type TEXT,
    recorded_by TEXT,
    comment TEXT,
    source TEXT,
    PRIMARY KEY (org, seq)
) WITHOUT ROWID;
CREATE INDEX activities_time ON activities (org, happened_at, seq);
CREATE INDEX activities_person ON activities (org, person, happened_at, seq);
CREATE INDEX activities_content ON activities (org, content, happened_at, seq) WHERE content IS NOT NULL;
CREATE INDEX activities_action ON activities (org, action, happened_at, seq);
-- Codes 13, 14 and 25: logged_in, logged_out and visited, whose order decides which login is a visit.
CREATE INDEX activities_session ON activities (org, person, happened_at, id) WHERE action IN (13, 14, 25);
CREATE INDEX activities_certificate ON activities (org, certificate_expires_at) WHERE certificate_expires_at IS NOT NULL;
CREATE INDEX activities_import ON activities (org, import, happened_at, seq) WHERE import IS NOT NULL;

-- The whole LRS: what statements name beside actor, verb and object, what they refer to, attachments,
-- documents, canonical definitions.

-- Who sent a record: `user:<id>` or `key:<key>`, so that a credential's own statements are found, and those
-- that a person or credential vouches for.
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
CREATE TABLE statement_references (
    org INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    face INTEGER NOT NULL,
    actor INTEGER NOT NULL,
    verb INTEGER NOT NULL,
    object INTEGER,
    registration BLOB,
    PRIMARY KEY (org, seq, face)
) WITHOUT ROWID;
CREATE INDEX statement_references_target ON statement_references (org, face);
CREATE INDEX statement_references_actor ON statement_references (org, actor, seq);
CREATE INDEX statement_references_verb ON statement_references (org, verb, seq);
CREATE INDEX statement_references_object ON statement_references (org, object, seq) WHERE object IS NOT NULL;
CREATE INDEX statement_references_registration ON statement_references (org, registration, seq) WHERE registration IS NOT NULL;

-- What the statement behind a face mentions, and who vouches for it.
CREATE TABLE reference_mentions (
    org INTEGER NOT NULL,
    thing INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    face INTEGER NOT NULL,
    direct BOOLEAN NOT NULL,
    PRIMARY KEY (org, thing, seq, face)
) WITHOUT ROWID;

-- The definition of an Activity: what all statements say of it, merged in the order of recording.

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

-- Saved reports, who is sent them and when, and what became of each sending (product text, section 9).

-- A saved question to the log: `filter` is the JSON object as its owner sent it, `search` the folded name. `owner` is
-- the id of a user, who need not be in the directory. `version` is the ETag.
CREATE TABLE reports (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id BLOB NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    search TEXT NOT NULL,
    shared BOOLEAN NOT NULL,
    filter TEXT NOT NULL,
    columns TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX reports_id ON reports (org, id);
CREATE INDEX reports_owner ON reports (org, owner);

-- Keys that open one report, by the SHA-256 of their secret; a revoked one is gone.
CREATE TABLE report_keys (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id BLOB NOT NULL,
    report INTEGER NOT NULL,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE INDEX report_keys_report ON report_keys (org, report);
CREATE UNIQUE INDEX report_keys_secret ON report_keys (secret_hash);

-- When a report is sent, and to whom. `maker` is the id of the user under whose rights it runs; `recipients` a JSON
-- array of ids and addresses. `at_minute` counts from local midnight, `weekday` from Monday = 1. `next_run_at` is null
-- while the schedule is paused or suspended.
CREATE TABLE schedules (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id BLOB NOT NULL,
    report INTEGER NOT NULL,
    maker TEXT NOT NULL,
    frequency TEXT NOT NULL,
    at_minute INTEGER NOT NULL,
    time_zone TEXT NOT NULL,
    weekday INTEGER,
    day_of_month INTEGER,
    recipients TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    suspended TEXT,
    next_run_at INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX schedules_id ON schedules (org, id);
CREATE INDEX schedules_report ON schedules (org, report);
-- What is due, in all organisations: the sender serves them all.
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE next_run_at IS NOT NULL;

-- A run of a schedule, and what became of it. `status`: 0 under way, 1 sent, 2 failed, 3 suspended. A run is made once
-- for each moment. While it is under way `next_attempt_at` says when it is tried (again), and `lease_token` who is at
-- work on it until `lease_until`, by the database's own clock. `attempts` counts those that ended, `begun` all from the
-- moment that they are claimed.
CREATE TABLE deliveries (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id BLOB NOT NULL,
    schedule INTEGER NOT NULL,
    report INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER,
    lease_token BLOB,
    lease_until INTEGER,
    worked_micros INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX deliveries_id ON deliveries (org, id);
CREATE UNIQUE INDEX deliveries_run ON deliveries (org, schedule, run_at);
CREATE INDEX deliveries_report ON deliveries (org, report, key);
CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
-- Whether a run's schedule has an older one to be sent first.
CREATE INDEX deliveries_waiting ON deliveries (org, schedule, run_at) WHERE next_attempt_at IS NOT NULL;

-- One recipient's part of a run. `recipient` is as the schedule had it; `status`: 0 to be sent, 1 sent, 2 failed.
-- `bytes` is the size of the CSV; `linked` says that it was too large to be attached.
CREATE TABLE delivery_recipients (
    org INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    place INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    status INTEGER NOT NULL,
    row_count INTEGER,
    bytes INTEGER,
    linked BOOLEAN NOT NULL,
    sent_at INTEGER,
    reason TEXT,
    PRIMARY KEY (org, delivery, place)
) WITHOUT ROWID;

-- What an organisation's download links are signed with.
CREATE TABLE link_keys (
    org INTEGER PRIMARY KEY,
    secret BLOB NOT NULL
);
