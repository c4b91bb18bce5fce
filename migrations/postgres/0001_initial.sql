-- The spine: organisations, people, contents, records and the log.
--
-- Every key begins with the organisation. Times are microseconds since 1970 in UTC; keys are small
-- numbers that an organisation's ledger hands out. Texts that clients choose freely (IRIs, identifiers)
-- are unique by their SHA-256, since an index entry has a largest size and an IRI has none.

CREATE TABLE organisations (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    account_home_page TEXT NOT NULL,
    managers_see_indirect_reports BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

-- One row an organisation, locked by every transaction that writes in its name: so the order of `seq`
-- is the order of commit, whichever replica writes, and keys are handed out without gaps or deadlocks.
-- `epoch` moves whenever something changes that replicas remember.
CREATE TABLE ledgers (
    org BIGINT PRIMARY KEY REFERENCES organisations (key),
    seq BIGINT NOT NULL,
    keys BIGINT NOT NULL,
    stored BIGINT NOT NULL,
    epoch BIGINT NOT NULL
) WITH (fillfactor = 20);

CREATE TABLE credentials (
    key TEXT COLLATE "C" PRIMARY KEY,
    org BIGINT NOT NULL REFERENCES organisations (key),
    id UUID NOT NULL,
    name TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE UNIQUE INDEX credentials_id ON credentials (org, id);

-- The directory.

CREATE TABLE teams (
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    search TEXT NOT NULL,
    parent BIGINT,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX teams_id ON teams (org, id);
CREATE INDEX teams_parent ON teams (org, parent);

CREATE TABLE groups (
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    search TEXT NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX groups_id ON groups (org, id);

CREATE TABLE users (
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    role TEXT NOT NULL,
    job_title TEXT,
    language TEXT,
    location TEXT,
    joined_on TEXT,
    manager BIGINT,
    primary_team BIGINT,
    active BOOLEAN NOT NULL,
    deactivated_at BIGINT,
    custom TEXT NOT NULL,
    search TEXT NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX users_id ON users (org, id);
CREATE INDEX users_manager ON users (org, manager);
CREATE INDEX users_primary_team ON users (org, primary_team);

CREATE TABLE memberships (
    org BIGINT NOT NULL,
    team BIGINT NOT NULL,
    user_key BIGINT NOT NULL,
    PRIMARY KEY (org, team, user_key)
);
CREATE INDEX memberships_user ON memberships (org, user_key);

CREATE TABLE group_members (
    org BIGINT NOT NULL,
    group_key BIGINT NOT NULL,
    user_key BIGINT NOT NULL,
    PRIMARY KEY (org, group_key, user_key)
);
CREATE INDEX group_members_user ON group_members (org, user_key);

-- The organisation's own fields of its users, one row a value, for `custom[<field>]`.
CREATE TABLE user_fields (
    org BIGINT NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    user_key BIGINT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (org, field, user_key)
);
CREATE INDEX user_fields_user ON user_fields (org, user_key);

-- One row an identifier: the person a record is about. A user owns any number of them.
CREATE TABLE persons (
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    digest BYTEA NOT NULL,
    value TEXT NOT NULL,
    name TEXT,
    named_at BIGINT NOT NULL,
    named_by UUID NOT NULL,
    contested BOOLEAN NOT NULL,
    user_key BIGINT,
    deactivated BOOLEAN NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX persons_digest ON persons (org, digest);
CREATE INDEX persons_user ON persons (org, user_key) WHERE user_key IS NOT NULL;
CREATE INDEX persons_deactivated ON persons (org, key) WHERE deactivated;

-- The catalogue, and every other Activity that a statement names (`listed` false: known to the LRS alone).
CREATE TABLE contents (
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    iri TEXT NOT NULL,
    id_digest BYTEA NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    registered BOOLEAN NOT NULL,
    listed BOOLEAN NOT NULL,
    title TEXT,
    title_folded TEXT NOT NULL,
    type SMALLINT,
    content_type SMALLINT,
    tags TEXT NOT NULL,
    cpd_labels TEXT NOT NULL,
    source TEXT,
    url TEXT,
    archived_at BIGINT,
    demands TEXT NOT NULL,
    defined_at BIGINT NOT NULL,
    defined_by UUID NOT NULL,
    contested BOOLEAN NOT NULL,
    reprojecting BOOLEAN NOT NULL,
    definition TEXT,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX contents_digest ON contents (org, digest);
CREATE UNIQUE INDEX contents_id ON contents (org, id_digest);

-- Tags (kind 1) and CPD labels (kind 2), one row a value, for the log's filters.
CREATE TABLE content_terms (
    org BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    content BIGINT NOT NULL,
    PRIMARY KEY (org, kind, value, content)
);
CREATE INDEX content_terms_content ON content_terms (org, content);

-- What a content demanded, from when on.
CREATE TABLE content_demands (
    org BIGINT NOT NULL,
    content BIGINT NOT NULL,
    effective_from BIGINT NOT NULL,
    demands TEXT NOT NULL,
    PRIMARY KEY (org, content, effective_from)
);

-- Verbs as they were said: an IRI with the display that came with it.
CREATE TABLE verbs (
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    iri TEXT NOT NULL,
    display TEXT,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX verbs_digest ON verbs (org, digest);

-- The records: each statement once, as the bytes that are given back, with its envelope.
CREATE TABLE statements (
    org BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    id UUID NOT NULL,
    stored BIGINT NOT NULL,
    actor BIGINT NOT NULL,
    verb BIGINT NOT NULL,
    object BIGINT,
    registration UUID,
    reference UUID,
    sender TEXT,
    voids BOOLEAN NOT NULL,
    voided BOOLEAN NOT NULL,
    envelope TEXT NOT NULL,
    body BYTEA NOT NULL,
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
    org BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    id UUID NOT NULL,
    happened_at BIGINT NOT NULL,
    stored_at BIGINT NOT NULL,
    person BIGINT NOT NULL,
    verb BIGINT NOT NULL,
    content BIGINT,
    action SMALLINT NOT NULL,
    origin SMALLINT NOT NULL,
    completed BOOLEAN NOT NULL,
    success BOOLEAN,
    completion BOOLEAN,
    certified BOOLEAN NOT NULL,
    scaled DOUBLE PRECISION,
    raw DOUBLE PRECISION,
    min DOUBLE PRECISION,
    max DOUBLE PRECISION,
    percent BIGINT,
    seconds BIGINT,
    time_limit BIGINT,
    expired_at BIGINT,
    certificate_expires_at BIGINT,
    registration UUID,
    import UUID,
    certificate_name TEXT,
    response TEXT,
    device_type TEXT,
    recorded_by TEXT,
    comment TEXT,
    source TEXT,
    PRIMARY KEY (org, seq)
);
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
    org BIGINT NOT NULL,
    thing BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    direct BOOLEAN NOT NULL,
    PRIMARY KEY (org, thing, seq)
);

-- A statement that refers to another (StatementRef) is found by what the other says. So it has a face for
-- each statement that it refers to, directly or by others, with what filters ask of that one.
CREATE TABLE statement_references (
    org BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    face BIGINT NOT NULL,
    actor BIGINT NOT NULL,
    verb BIGINT NOT NULL,
    object BIGINT,
    registration UUID,
    PRIMARY KEY (org, seq, face)
);
CREATE INDEX statement_references_target ON statement_references (org, face);
CREATE INDEX statement_references_actor ON statement_references (org, actor, seq);
CREATE INDEX statement_references_verb ON statement_references (org, verb, seq);
CREATE INDEX statement_references_object ON statement_references (org, object, seq) WHERE object IS NOT NULL;
CREATE INDEX statement_references_registration ON statement_references (org, registration, seq) WHERE registration IS NOT NULL;

-- What the statement behind a face mentions, and who vouches for it.
CREATE TABLE reference_mentions (
    org BIGINT NOT NULL,
    thing BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    face BIGINT NOT NULL,
    direct BOOLEAN NOT NULL,
    PRIMARY KEY (org, thing, seq, face)
);

-- The definition of an Activity: what all statements say of it, merged in the order of recording.

-- Bytes that clients send: attachments and documents, in parts of at most a mebibyte.
CREATE TABLE blobs (
    org BIGINT NOT NULL,
    blob BIGINT NOT NULL,
    part BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (org, blob, part)
);

-- The content of attachments, each once, by its SHA-256.
CREATE TABLE attachments (
    org BIGINT NOT NULL,
    sha2 BYTEA NOT NULL,
    blob BIGINT NOT NULL,
    length BIGINT NOT NULL,
    PRIMARY KEY (org, sha2)
);

-- Documents: of a state (kind 1), an agent's profile (2), an Activity's profile (3). Activity, agent and name
-- are there as SHA-256, the empty bytes where the kind has none; no registration is the nil UUID.
CREATE TABLE documents (
    org BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    activity BYTEA NOT NULL,
    agent BYTEA NOT NULL,
    registration UUID NOT NULL,
    name_digest BYTEA NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    etag TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    blob BIGINT NOT NULL,
    length BIGINT NOT NULL,
    PRIMARY KEY (org, kind, activity, agent, registration, name_digest)
);

-- The Activity Log, whole: notes with every version they had, and the way to everybody's rows of one content.

-- A manual note about a user: no record, and never a row of the log (product text, sections 2 and 13). `seq` is
-- from the ledger, as a record's: so a timeline of both has one order. `created_by` is who did what the note is
-- about, as its writer said; `written_by` wrote what stands in it now. Both are ids of users, as `recorded_by` of the log.
CREATE TABLE notes (
    org BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    id UUID NOT NULL,
    user_key BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    text TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    written_by TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (org, seq)
);
CREATE UNIQUE INDEX notes_id ON notes (org, id);
CREATE INDEX notes_user ON notes (org, user_key, happened_at, seq);

-- What stood in a note before it was changed (`note`: its `seq`), the first version being 1.
CREATE TABLE note_versions (
    org BIGINT NOT NULL,
    note BIGINT NOT NULL,
    version BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    text TEXT NOT NULL,
    written_by TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (org, note, version)
);

-- One content's rows of some persons: progress, and who needs no marking as complete. Without it a page of
-- progress reads all rows of the content. An operator with a very large log may make it beforehand, without
-- holding up writers: CREATE INDEX CONCURRENTLY, with this name and these columns.
CREATE INDEX IF NOT EXISTS activities_progress ON activities (org, content, person) WHERE content IS NOT NULL;

-- Saved reports, who is sent them and when, and what became of each sending (product text, section 9).

-- A saved question to the log: `filter` is the JSON object as its owner sent it, `search` the folded name. `owner` is
-- the id of a user, who need not be in the directory. `version` is the ETag.
CREATE TABLE reports (
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    id UUID NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    search TEXT NOT NULL,
    shared BOOLEAN NOT NULL,
    filter TEXT NOT NULL,
    columns TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX reports_id ON reports (org, id);
CREATE INDEX reports_owner ON reports (org, owner);

-- Keys that open one report, by the SHA-256 of their secret; a revoked one is gone.
CREATE TABLE report_keys (
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    id UUID NOT NULL,
    report BIGINT NOT NULL,
    name TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE INDEX report_keys_report ON report_keys (org, report);
CREATE UNIQUE INDEX report_keys_secret ON report_keys (secret_hash);

-- When a report is sent, and to whom. `maker` is the id of the user under whose rights it runs; `recipients` a JSON
-- array of ids and addresses. `at_minute` counts from local midnight, `weekday` from Monday = 1. `next_run_at` is null
-- while the schedule is paused or suspended.
CREATE TABLE schedules (
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    id UUID NOT NULL,
    report BIGINT NOT NULL,
    maker TEXT NOT NULL,
    frequency TEXT NOT NULL,
    at_minute SMALLINT NOT NULL,
    time_zone TEXT NOT NULL,
    weekday SMALLINT,
    day_of_month SMALLINT,
    recipients TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    suspended TEXT,
    next_run_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
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
    org BIGINT NOT NULL,
    key BIGINT NOT NULL,
    id UUID NOT NULL,
    schedule BIGINT NOT NULL,
    report BIGINT NOT NULL,
    run_at BIGINT NOT NULL,
    status SMALLINT NOT NULL,
    reason TEXT,
    attempts BIGINT NOT NULL,
    begun BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT,
    lease_token UUID,
    lease_until BIGINT,
    worked_micros BIGINT NOT NULL,
    finished_at BIGINT,
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
    org BIGINT NOT NULL,
    delivery BIGINT NOT NULL,
    place SMALLINT NOT NULL,
    recipient TEXT NOT NULL,
    status SMALLINT NOT NULL,
    row_count BIGINT,
    bytes BIGINT,
    linked BOOLEAN NOT NULL,
    sent_at BIGINT,
    reason TEXT,
    PRIMARY KEY (org, delivery, place)
);

-- What an organisation's download links are signed with.
CREATE TABLE link_keys (
    org BIGINT PRIMARY KEY,
    secret BYTEA NOT NULL
);
