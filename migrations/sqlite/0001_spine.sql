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
