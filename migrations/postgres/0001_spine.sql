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
