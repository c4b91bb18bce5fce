-- The schema of Rollbook.
--
-- The first column of every key is the organisation, so no row can be read across organisations.
-- Times are microseconds since 1970 in UTC. Keys are numbers that the ledger of the organisation
-- assigns. Texts that clients choose freely, such as IRIs and identifiers, are unique by their
-- SHA-256, as on PostgreSQL.
-- Narrow tables are WITHOUT ROWID: they are stored in the order of their key, without a second tree.

-- Organisations ---------------------------------------------------------------------------------

CREATE TABLE organisations (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    account_home_page TEXT NOT NULL,
    managers_see_indirect_reports BOOLEAN NOT NULL,
    created_at INTEGER NOT NULL
);

-- One row for each organisation. Every transaction that writes in its name locks the row first and
-- holds the lock to its end. So the order of `seq` is the order of commit on any number of replicas,
-- and keys are assigned without gaps.
--   seq        the last number in the order of recording. The first of a transaction is at least the time in
--              microseconds, so that no number of a lost commit is assigned again.
--   keys       the last assigned key
--   stored     the time at which the last record counts as stored
--   epoch      incremented when something changes that replicas cache
--   directory  the time in microseconds at which something changed that decides which users and persons a
--              caller sees, and always more than before
--   rebuild    the rebuild in progress, if any
CREATE TABLE ledgers (
    org INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    keys INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    directory INTEGER NOT NULL,
    rebuild BLOB
);

-- Credentials of integrations. `key` is the user name of HTTP Basic.
CREATE TABLE credentials (
    key TEXT PRIMARY KEY,
    org INTEGER NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
);
CREATE UNIQUE INDEX credentials_id ON credentials (org, id);

-- The key that signs an organisation's download links.
CREATE TABLE link_keys (
    org INTEGER PRIMARY KEY,
    secret BLOB NOT NULL
);

-- Links to exports that were not opened yet. `organisation` is an id: a caller may ask for a link before
-- the organisation exists.
--   id       the SHA-256 of the link's secret
--   request  the request that the link sends, encrypted with the link's secret
CREATE TABLE export_links (
    id BLOB PRIMARY KEY,
    organisation TEXT NOT NULL,
    caller TEXT NOT NULL,
    request TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX export_links_caller ON export_links (organisation, caller, expires_at);
CREATE INDEX export_links_expiry ON export_links (expires_at, id);

-- The key that seals the cursors of all organisations, one row. All replicas read it.
CREATE TABLE cursor_keys (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    secret BLOB NOT NULL
);
INSERT INTO cursor_keys (id, secret) VALUES (1, randomblob(32));

-- Directory -------------------------------------------------------------------------------------

-- `search` is the folded text in which `q` searches.
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

-- `location_folded` is the SHA-256 of the folded location.
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
    location_folded BLOB,
    joined_on TEXT,
    manager INTEGER,
    primary_team INTEGER,
    active BOOLEAN NOT NULL,
    deactivated_at INTEGER,
    custom TEXT NOT NULL,
    search TEXT NOT NULL,
    name_order TEXT NOT NULL,
    last_name_order TEXT NOT NULL,
    email_order TEXT NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX users_id ON users (org, id);
CREATE INDEX users_name ON users (org, name_order, id);
CREATE INDEX users_last_name ON users (org, last_name_order, id);
CREATE INDEX users_email ON users (org, email_order, id);
CREATE INDEX users_manager ON users (org, manager);
CREATE INDEX users_primary_team ON users (org, primary_team);
CREATE INDEX users_location ON users (org, location_folded);
CREATE INDEX users_owner ON users (org) WHERE role = 'owner' AND active;

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

-- The organisation's custom fields of its users, one row for each value: for `custom[<field>]`,
-- which compares `folded`, the SHA-256 of the folded value.
CREATE TABLE user_fields (
    org INTEGER NOT NULL,
    field TEXT NOT NULL,
    user_key INTEGER NOT NULL,
    value TEXT NOT NULL,
    folded BLOB NOT NULL,
    PRIMARY KEY (org, field, user_key)
) WITHOUT ROWID;
CREATE INDEX user_fields_user ON user_fields (org, user_key);

-- One row for each identifier and period of ownership. A record is about the person whose period contains the
-- time of happening. A user owns any number of persons.
--   kind         0 for a group without identifier, otherwise the kind of the identifier
--   value        the identifier as JSON; of a group without identifier, its members as far as its name shows them
--   valid_from   the begin of the period. The first period of an identifier has the smallest number.
--   valid_until  the end of the period, which is the begin of the next one; NULL for the last period
--   name         the name in the record that happened last, with the record's time and id
--   tracked      whether `named_at` and `named_by` are exact, because records gave several names
--   deactivated  whether the owner is deactivated
--   given_up_at  when the owner gave the identifier up, in the last period. Another user may claim it from then on.
--   moving       whether activities from valid_until on must still be moved to the later periods
CREATE TABLE persons (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    digest BLOB NOT NULL,
    value TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_until INTEGER,
    name TEXT,
    named_at INTEGER NOT NULL,
    named_by BLOB NOT NULL,
    tracked BOOLEAN NOT NULL,
    user_key INTEGER,
    deactivated BOOLEAN NOT NULL,
    given_up_at INTEGER,
    moving BOOLEAN NOT NULL,
    PRIMARY KEY (org, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX persons_digest ON persons (org, digest, valid_from);
CREATE INDEX persons_user ON persons (org, user_key) WHERE user_key IS NOT NULL;
CREATE INDEX persons_deactivated ON persons (org, key) WHERE deactivated;
CREATE INDEX persons_moving ON persons (org, key) WHERE moving;

-- Catalogue -------------------------------------------------------------------------------------

-- The contents, and all other Activities that statements name.
--   registered    whether the catalogue has the content
--   listed        false for an Activity that only the LRS knows
--   demands       the present demands as JSON
--   recorded      whether the content is the object of a record
--   defined_at    the time and id of the record with the current title, as in `persons`
--   typed_at      the same for the current type
--   reprojecting  whether rows of the log must be projected again
--   definition    the definition for `/xapi/activities`, merged from all records
--   …_order       what the orders of a list compare, as `sort_values` in the code has it: a missing title or type is last, and
--                 texts are cut, because an index entry has a maximum size
CREATE TABLE contents (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    digest BLOB NOT NULL,
    iri TEXT NOT NULL,
    id_digest BLOB NOT NULL,
    id TEXT NOT NULL,
    registered BOOLEAN NOT NULL,
    listed BOOLEAN NOT NULL,
    recorded BOOLEAN NOT NULL,
    title TEXT,
    title_folded TEXT NOT NULL,
    type INTEGER,
    content_type INTEGER,
    tags TEXT NOT NULL,
    cpd_labels TEXT NOT NULL,
    source TEXT,
    source_folded TEXT,
    url TEXT,
    archived_at INTEGER,
    demands TEXT NOT NULL,
    defined_at INTEGER NOT NULL,
    defined_by BLOB NOT NULL,
    tracked BOOLEAN NOT NULL,
    typed_at INTEGER NOT NULL,
    typed_by BLOB NOT NULL,
    type_tracked BOOLEAN NOT NULL,
    reprojecting BOOLEAN NOT NULL,
    definition TEXT,
    id_order TEXT NOT NULL GENERATED ALWAYS AS (substr(id, 1, 400)) VIRTUAL,
    title_order TEXT NOT NULL GENERATED ALWAYS AS
        (substr(CASE WHEN title IS NULL THEN '1' ELSE '0' || title_folded END, 1, 200)) VIRTUAL,
    type_order INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(type, 32767)) VIRTUAL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX contents_digest ON contents (org, digest);
CREATE UNIQUE INDEX contents_id ON contents (org, id_digest);
-- The contents of all organisations that the background projects again.
CREATE INDEX contents_reprojecting ON contents (org, key) WHERE reprojecting;
CREATE INDEX contents_id_order ON contents (org, id_order) WHERE listed;
CREATE INDEX contents_title ON contents (org, title_order, id_order) WHERE listed;
CREATE INDEX contents_source ON contents (org, COALESCE(source_folded, source)) WHERE source IS NOT NULL;
CREATE INDEX contents_type ON contents (org, type_order, id_order) WHERE listed;

-- The definitions that a rebuild has merged so far. At its end they replace those in `contents`.
CREATE TABLE rebuilt_definitions (
    org INTEGER NOT NULL,
    content INTEGER NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (org, content)
);

-- Tags (kind 1) and CPD labels (kind 2) for the filters, one row for each folded text.
--   folded  the SHA-256 of the folded text; an index entry has a maximum size, and folding can lengthen a text
CREATE TABLE content_terms (
    org INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    folded BLOB NOT NULL,
    content INTEGER NOT NULL,
    PRIMARY KEY (org, kind, folded, content)
) WITHOUT ROWID;
CREATE INDEX content_terms_content ON content_terms (org, content);

-- The demands of a content from a time on, as JSON.
CREATE TABLE content_demands (
    org INTEGER NOT NULL,
    content INTEGER NOT NULL,
    effective_from INTEGER NOT NULL,
    demands TEXT NOT NULL,
    PRIMARY KEY (org, content, effective_from)
) WITHOUT ROWID;

-- Records ---------------------------------------------------------------------------------------

-- Verbs: an IRI with a display.
CREATE TABLE verbs (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    digest BLOB NOT NULL,
    iri TEXT NOT NULL,
    display TEXT,
    PRIMARY KEY (org, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX verbs_digest ON verbs (org, digest);

-- The records. Each statement is stored once, as the bytes that clients get, with its envelope.
--   object     the Activity that is the object
--   reference  the statement that is the object
--   sender     `user:<id>` or `key:<key>`
--   voids      whether the statement voids another one
--   voided     whether another one voids it
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
-- A voided statement has no activity, by which its time of happening could be found.
CREATE INDEX statements_voided ON statements (org, actor, seq) WHERE voided;
CREATE INDEX statements_verb ON statements (org, verb, seq);
CREATE INDEX statements_object ON statements (org, object, seq) WHERE object IS NOT NULL;
CREATE INDEX statements_registration ON statements (org, registration, seq) WHERE registration IS NOT NULL;
CREATE INDEX statements_reference ON statements (org, reference) WHERE reference IS NOT NULL;
CREATE INDEX statements_sender ON statements (org, sender, seq) WHERE sender IS NOT NULL;

-- The persons and Activities that a statement names, but not as its actor or object. `thing` is a key
-- of `persons` or `contents`. `direct` is true if the plain `agent` filter finds the statement by it:
-- the object, or a member of a group.
CREATE TABLE mentions (
    org INTEGER NOT NULL,
    thing INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    direct BOOLEAN NOT NULL,
    PRIMARY KEY (org, thing, seq)
) WITHOUT ROWID;
-- A rebuild replaces the mentions of a range of statements.
CREATE INDEX mentions_seq ON mentions (org, seq);

-- The statements that a statement (`seq`) refers to, directly or through others (`target`), with the
-- columns of the target that filters need. A filter finds a statement by its targets, too.
CREATE TABLE statement_references (
    org INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    target INTEGER NOT NULL,
    actor INTEGER NOT NULL,
    verb INTEGER NOT NULL,
    object INTEGER,
    registration BLOB,
    PRIMARY KEY (org, seq, target)
) WITHOUT ROWID;
CREATE INDEX statement_references_target ON statement_references (org, target);
CREATE INDEX statement_references_actor ON statement_references (org, actor, seq);
CREATE INDEX statement_references_verb ON statement_references (org, verb, seq);
CREATE INDEX statement_references_object ON statement_references (org, object, seq) WHERE object IS NOT NULL;
CREATE INDEX statement_references_registration ON statement_references (org, registration, seq) WHERE registration IS NOT NULL;

-- The mentions of the targets, and their authorities.
CREATE TABLE reference_mentions (
    org INTEGER NOT NULL,
    thing INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    target INTEGER NOT NULL,
    direct BOOLEAN NOT NULL,
    PRIMARY KEY (org, thing, seq, target)
) WITHOUT ROWID;
CREATE INDEX reference_mentions_seq ON reference_mentions (org, seq);

-- Activity Log ----------------------------------------------------------------------------------

-- One narrow row for each record that is not voided. Names, titles, teams and tags are joined when the
-- log is read.
--   part    the words for the part of the content that the record is about, such as a question
--   latest  whether the row is the newest completion of its person and content. The log decides between
--           the persons of one user when it is read, so a claimed identifier changes no row.
--   answers the number of answers to questions in the record
--   device_type_folded, source_folded
--           the folded texts where they differ
CREATE TABLE activities (
    org INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    happened_at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    person INTEGER NOT NULL,
    verb INTEGER NOT NULL,
    content INTEGER,
    part TEXT,
    action INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    completed BOOLEAN NOT NULL,
    latest BOOLEAN NOT NULL DEFAULT FALSE,
    answers INTEGER NOT NULL DEFAULT 0,
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
    session INTEGER,
    import BLOB,
    certificate_name TEXT,
    response TEXT,
    device_type TEXT,
    recorded_by TEXT,
    comment TEXT,
    source TEXT,
    device_type_folded TEXT,
    source_folded TEXT,
    PRIMARY KEY (org, seq)
) WITHOUT ROWID;
CREATE INDEX activities_time ON activities (org, happened_at, seq);
CREATE INDEX activities_person ON activities (org, person, happened_at, seq);
CREATE INDEX activities_content ON activities (org, content, happened_at, seq) WHERE content IS NOT NULL;
CREATE INDEX activities_action ON activities (org, action, happened_at, seq);
-- Values that may be rare, and marks: the rows of each in the order of time. New rows come at an end, so they cost little.
CREATE INDEX activities_verb ON activities (org, verb, happened_at, seq);
CREATE INDEX activities_origin ON activities (org, origin, happened_at, seq);
CREATE INDEX activities_device_type ON activities (org, COALESCE(device_type_folded, device_type), happened_at, seq) WHERE device_type IS NOT NULL;
CREATE INDEX activities_source ON activities (org, COALESCE(source_folded, source), happened_at, seq) WHERE source IS NOT NULL;
CREATE INDEX activities_success ON activities (org, success, happened_at, seq) WHERE success IS NOT NULL;
CREATE INDEX activities_certified ON activities (org, happened_at, seq) WHERE certified;
CREATE INDEX activities_expiring ON activities (org, happened_at, seq, expired_at) WHERE expired_at IS NOT NULL;
CREATE INDEX activities_imported ON activities (org, happened_at, seq) WHERE import IS NOT NULL;
-- The session events logged_in, logged_out and visited. Their order decides which logins are visits.
CREATE INDEX activities_session ON activities (org, person, happened_at, id) WHERE action IN (13, 14, 25);
CREATE INDEX activities_certificate ON activities (org, certificate_expires_at, happened_at, seq) WHERE certificate_expires_at IS NOT NULL;
-- The completions, for marking content as complete and for the next newest one when a row leaves the log.
CREATE INDEX activities_completions ON activities (org, person, content, happened_at, seq) WHERE completed AND content IS NOT NULL;
-- The newest completions: all, those of a content, and those of a person. Their number does not grow when
-- people renew. With `expired_at` an index alone finds the expired ones.
CREATE INDEX activities_latest ON activities (org, happened_at, seq, expired_at) WHERE latest;
CREATE INDEX activities_latest_content ON activities (org, content, happened_at, seq, expired_at) WHERE latest;
CREATE INDEX activities_latest_person ON activities (org, person, content) WHERE latest;
CREATE INDEX activities_import ON activities (org, import, happened_at, seq) WHERE import IS NOT NULL;
-- The rows of some persons for one content: for progress and for marking content as complete.
-- SQLite uses it only in statements with INDEXED BY.
CREATE INDEX activities_progress ON activities (org, content, person) WHERE content IS NOT NULL;
-- The answers to the questions of a content: in the order of time, and of some persons.
CREATE INDEX activities_answers ON activities (org, content, happened_at, seq) WHERE answers > 0;
CREATE INDEX activities_answers_person ON activities (org, content, person) WHERE answers > 0;
-- What was submitted (22) and graded (24) of an exercise.
CREATE INDEX activities_submissions ON activities (org, content, happened_at, seq) WHERE action IN (22, 24);

-- Notes about users. A note is not a record and never appears in the log. `seq` comes from the ledger, so
-- the notes and records of a timeline have one order.
--   created_by  the user that did what the note is about
--   written_by  the user that wrote the current version
-- The table has a rowid because its rows are long.
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

-- The earlier versions of a note. `note` is its `seq`; the first version is 1.
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

-- Change feeds ----------------------------------------------------------------------------------

-- The rows of the log that changed after they were recorded, one entry for each: the number of the last change,
-- from `ledgers.seq`. The number of any other row is its own `seq`, so a new record needs no entry.
--   deleted  whether the row has left the log
CREATE TABLE activity_changes (
    org INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    change INTEGER NOT NULL,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (org, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX activity_changes_change ON activity_changes (org, change);

-- The persons that got another user, and whose activities do not all have the number of a change yet.
--   happened_at, seq  the position of the last activity that has one
CREATE TABLE transferred_persons (
    org INTEGER NOT NULL,
    person INTEGER NOT NULL,
    happened_at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (org, person)
) WITHOUT ROWID;

-- The users (kind 1), teams (2), groups (3) and contents (4), one entry for each: the number of the last change,
-- from `ledgers.seq`. A content that got another id has an entry for its former id (kind 5), with a key of its own.
CREATE TABLE directory_changes (
    org INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    key INTEGER NOT NULL,
    change INTEGER NOT NULL,
    former_id TEXT,
    PRIMARY KEY (org, kind, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX directory_changes_change ON directory_changes (org, change);

-- Attachments and documents ---------------------------------------------------------------------

-- Bytes that clients send, in parts of at most one mebibyte.
CREATE TABLE blobs (
    org INTEGER NOT NULL,
    blob INTEGER NOT NULL,
    part INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (org, blob, part)
);

-- The contents of attachments, each once.
CREATE TABLE attachments (
    org INTEGER NOT NULL,
    sha2 BLOB NOT NULL,
    blob INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (org, sha2)
) WITHOUT ROWID;

-- The documents of states (kind 1), agent profiles (2) and activity profiles (3). `activity`, `agent` and
-- `name_digest` are SHA-256. An absent activity or agent is empty, an absent registration the nil UUID.
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

-- Reports ---------------------------------------------------------------------------------------

-- Saved reports. `filter` is the JSON object that the owner sent. `owner` is the id of a user, which need
-- not be in the directory. `version` is the ETag.
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

-- Keys that open one report. A revoked key is deleted.
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

-- When a report is sent, and to which recipients.
--   maker         the id of the user under whose rights it runs
--   at_minute     minutes since local midnight
--   weekday       1 is Monday
--   recipients    a JSON array of ids and addresses
--   bom           whether the CSV begins with a byte order mark
--   suspended     the reason, if the schedule is suspended
--   next_run_at   NULL if the schedule is paused or suspended
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
    bom BOOLEAN NOT NULL,
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
-- The due schedules of all organisations, for the sender.
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE next_run_at IS NOT NULL;
-- The lists of a maker's schedules and of the suspended ones.
CREATE INDEX schedules_maker ON schedules (org, maker, key);
CREATE INDEX schedules_suspended ON schedules (org, key) WHERE suspended IS NOT NULL;

-- The runs of schedules, one for each schedule and time.
--   maker, time_zone, bom   as the schedule had them when the run was created
--   status           0 unfinished, 1 sent, 2 failed, 3 suspended
--   attempts         the attempts that have ended
--   begun            the attempts that have begun
--   next_attempt_at  when an unfinished run is tried (again)
--   lease_token      the attempt in progress, until `lease_until` by the database's clock
CREATE TABLE deliveries (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id BLOB NOT NULL,
    schedule INTEGER NOT NULL,
    report INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    maker TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    bom BOOLEAN NOT NULL,
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
-- The older unfinished runs of a schedule, which are sent first.
CREATE INDEX deliveries_waiting ON deliveries (org, schedule, run_at) WHERE next_attempt_at IS NOT NULL;

-- The recipients of a run.
--   recipient  as in the schedule
--   status     0 to be sent, 1 sent, 2 failed
--   bytes      the size of the CSV
--   linked     whether the CSV was too large to be attached
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

-- The unfinished imports of whole organisations.
--   org    the reserved key. The organisation has no row in `organisations` until the import is complete.
--   id     the id of the organisation
--   parts  the number of the archive's parts that are stored
CREATE TABLE archive_imports (
    org INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    archive BLOB NOT NULL,
    parts INTEGER NOT NULL
);

-- Launches --------------------------------------------------------------------------------------

-- Content that an LMS started for a user, with the token of the browser. They stay after their end,
-- since statements name them as their sender.
--   home_page    the home page of the account by which statements name the user
--   created_by   the caller that launched the content
CREATE TABLE launches (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id BLOB NOT NULL,
    secret_hash BLOB NOT NULL,
    user_key INTEGER NOT NULL,
    home_page TEXT NOT NULL,
    content INTEGER NOT NULL,
    registration BLOB NOT NULL,
    standard TEXT NOT NULL,
    mode TEXT NOT NULL,
    return_url TEXT,
    language TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX launches_id ON launches (org, id);
CREATE UNIQUE INDEX launches_secret ON launches (secret_hash, org);
CREATE INDEX launches_user ON launches (org, user_key, key);
CREATE INDEX launches_content ON launches (org, content, key);
CREATE INDEX launches_registration ON launches (org, registration, key);
-- Courses of cmi5 -------------------------------------------------------------------------------

-- An imported course structure. `content` is the course itself in the catalogue.
--   objectives  a JSON array of the course's learning objectives
CREATE TABLE courses (
    org INTEGER NOT NULL,
    content INTEGER NOT NULL,
    objectives TEXT NOT NULL,
    imported_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (org, content)
) WITHOUT ROWID;

-- The tree of a course: the course itself (kind 1), its blocks (2) and its assignable units (3), each
-- of which is a content of the catalogue.
--   course        the content of the course
--   parent        the content that contains it
--   place         its place in the document
--   publisher_id  the id that its publisher gave it; the content has another IRI
--   title, description  JSON objects with a text for each language
--   objectives    a JSON array of the publisher's ids of objectives
CREATE TABLE course_elements (
    org INTEGER NOT NULL,
    content INTEGER NOT NULL,
    course INTEGER NOT NULL,
    parent INTEGER,
    place INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    publisher_id TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    objectives TEXT NOT NULL,
    url TEXT,
    move_on TEXT,
    mastery_score REAL,
    launch_method TEXT,
    launch_parameters TEXT,
    entitlement_key TEXT,
    activity_type TEXT,
    PRIMARY KEY (org, content)
);
CREATE INDEX course_elements_course ON course_elements (org, course, place);

-- The enrolments of users in courses. A registration has one user and one course.
CREATE TABLE cmi5_registrations (
    org INTEGER NOT NULL,
    registration BLOB NOT NULL,
    key INTEGER NOT NULL,
    user_key INTEGER NOT NULL,
    course INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org, registration)
) WITHOUT ROWID;
CREATE INDEX cmi5_registrations_user ON cmi5_registrations (org, user_key, course, key);

-- What a registration has reached in the units, blocks and the course.
--   satisfied  of a block or course: whether a statement *satisfied* is stored
CREATE TABLE cmi5_results (
    org INTEGER NOT NULL,
    registration BLOB NOT NULL,
    content INTEGER NOT NULL,
    completed BOOLEAN NOT NULL,
    passed BOOLEAN NOT NULL,
    waived BOOLEAN NOT NULL,
    satisfied BOOLEAN NOT NULL,
    PRIMARY KEY (org, registration, content)
) WITHOUT ROWID;

-- The sessions of units. `id` is that of the launch, and the session id in statements.
--   fetch_hash     the SHA-256 of the secret in the address that returns the token once
--   fetched_at     when it did
--   initialized_at, terminated_at, last_at  times of statements: initialized, terminated, the latest one
--   ended_at       when terminated or abandoned was recorded
--   expires_at     when an open session is abandoned
CREATE TABLE cmi5_sessions (
    org INTEGER NOT NULL,
    id BLOB NOT NULL,
    registration BLOB NOT NULL,
    content INTEGER NOT NULL,
    home_page TEXT NOT NULL,
    user_id TEXT NOT NULL,
    publisher_id TEXT NOT NULL,
    activity TEXT NOT NULL,
    mode TEXT NOT NULL,
    mastery_score REAL,
    fetch_hash BLOB NOT NULL,
    fetched_at INTEGER,
    launched_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    initialized_at INTEGER,
    terminated_at INTEGER,
    ended_at INTEGER,
    abandoned BOOLEAN NOT NULL,
    last_at INTEGER,
    completed BOOLEAN NOT NULL,
    judged BOOLEAN NOT NULL,
    PRIMARY KEY (org, id)
);
CREATE UNIQUE INDEX cmi5_sessions_fetch ON cmi5_sessions (fetch_hash, org);
CREATE INDEX cmi5_sessions_registration ON cmi5_sessions (org, registration, ended_at);
-- The open sessions of all organisations, for the task that abandons them.
CREATE INDEX cmi5_sessions_expiry ON cmi5_sessions (expires_at, org, id) WHERE ended_at IS NULL;

-- Subscriptions ---------------------------------------------------------------------------------

-- Addresses that get activities or statements as they come.
--   filter            the JSON object that the client sent
--   format            0 activities as signed webhooks, 1 statements to another record store
--   secret            signs webhooks; `old_secret` signs them too until `old_secret_until`
--   auth              the authorization at the other record store, as JSON
--   disabled          why Rollbook stopped it
--   place             everything up to this change is dealt with
--   replays           counts the times that a client moved the place
--   current_delivery  the number of the delivery that is tried again
--   next_attempt_at   when it is tried again
--   refusals          statements that the other record store refused since it accepted the last one
--   queued            whether dead deliveries wait for an attempt by hand
--   last_delivery     the number of its last delivery
--   worked_at         when it was last worked on
--   lease_token       the worker, until `lease_until` by the database's clock
--   deleted           what belongs to it is being deleted in the background
CREATE TABLE subscriptions (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    filter TEXT NOT NULL,
    format INTEGER NOT NULL,
    secret TEXT,
    old_secret TEXT,
    old_secret_until INTEGER,
    auth TEXT,
    xapi_version TEXT,
    active BOOLEAN NOT NULL,
    disabled TEXT,
    place INTEGER NOT NULL,
    replays INTEGER NOT NULL DEFAULT 0,
    current_delivery INTEGER,
    next_attempt_at INTEGER,
    refusals INTEGER NOT NULL DEFAULT 0,
    queued BOOLEAN NOT NULL DEFAULT FALSE,
    last_delivery INTEGER NOT NULL DEFAULT 0,
    worked_at INTEGER NOT NULL DEFAULT 0,
    lease_token BLOB,
    lease_until INTEGER,
    deleted BOOLEAN NOT NULL DEFAULT FALSE,
    version INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX subscriptions_id ON subscriptions (org, id);
-- The subscriptions of all organisations with a delivery that is tried again, for the metric of the backlog.
CREATE INDEX subscriptions_retry ON subscriptions (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- The deliveries of subscriptions. `number` counts those of one subscription.
--   webhook_id         the id that the receiver gets; the same for the same change
--   kind               0 upserted, 1 deleted, 2 statements, 3 test
--   change_from, change_through  the changes that it has
--   record             the id of the statement, if it has one
--   status             0 tried again, 1 delivered, 2 dead, 3 waits for an attempt by hand, 4 superseded,
--                      5 a failed test
--   tries              the last attempts, a JSON array
CREATE TABLE subscription_deliveries (
    org INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    number INTEGER NOT NULL,
    id BLOB NOT NULL,
    webhook_id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    change_from INTEGER NOT NULL,
    change_through INTEGER NOT NULL,
    record BLOB,
    records INTEGER NOT NULL,
    status INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    tries TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (org, subscription, number)
);
CREATE UNIQUE INDEX subscription_deliveries_id ON subscription_deliveries (org, id);
CREATE INDEX subscription_deliveries_status ON subscription_deliveries (org, subscription, status, number);

-- The records that a subscription has sent, so that it tells when they are gone.
CREATE TABLE subscription_rows (
    org INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (org, subscription, seq)
) WITHOUT ROWID;

-- Rows that show whether the disk has space again. They are removed at once.
CREATE TABLE write_probes (
    bytes BLOB NOT NULL
);

-- Bulk imports. The bytes that were sent are in `import_parts` until the import has ended.
--   status          0 being received, 1 queued, 2 running, 3 done, 4 failed, 5 cancelled
--   sender          the caller that sent it
--   terms, options  the rights of the sender and the format of the file, as JSON
--   fingerprint     the digest of the bytes, the options and the sender
--   rows_read       the rows that are done; the next row is the one after them
--   place           where that row begins in the file, as JSON
--   headings        the headings of a CSV, as JSON
--   due             its place in the queue while it waits or runs
--   cleanup_at      when the parts may be deleted, while there are any
--   lease_token     the worker, until `lease_until` by the database's clock
CREATE TABLE imports (
    org INTEGER NOT NULL,
    key INTEGER NOT NULL,
    id BLOB NOT NULL,
    status INTEGER NOT NULL,
    sender TEXT NOT NULL,
    terms TEXT NOT NULL,
    options TEXT NOT NULL,
    fingerprint BLOB,
    bytes INTEGER NOT NULL,
    rows_read INTEGER NOT NULL,
    created INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    rejected_bytes INTEGER NOT NULL,
    place TEXT NOT NULL,
    headings TEXT,
    reason TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    due INTEGER,
    cleanup_at INTEGER,
    lease_token BLOB,
    lease_until INTEGER,
    PRIMARY KEY (org, key)
);
CREATE UNIQUE INDEX imports_id ON imports (org, id);
CREATE INDEX imports_fingerprint ON imports (org, fingerprint) WHERE fingerprint IS NOT NULL;
-- The queue of all organisations, and of one.
CREATE INDEX imports_due ON imports (due) WHERE due IS NOT NULL;
CREATE INDEX imports_waiting ON imports (org, key) WHERE due IS NOT NULL;
CREATE INDEX imports_receiving ON imports (org) WHERE status = 0;
CREATE INDEX imports_cleanup ON imports (cleanup_at) WHERE cleanup_at IS NOT NULL;

-- The bytes of an import as they were sent, each part but the last of the same length.
CREATE TABLE import_parts (
    org INTEGER NOT NULL,
    import INTEGER NOT NULL,
    part INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (org, import, part)
);

-- The rejected rows of an import.
--   number   counts the rejected rows from 1
--   line     the line of the file on which the row begins
--   place    the heading or the JSON pointer of the fault
--   content  the cells of a CSV row as JSON, or the line of NDJSON
CREATE TABLE import_errors (
    org INTEGER NOT NULL,
    import INTEGER NOT NULL,
    number INTEGER NOT NULL,
    line INTEGER NOT NULL,
    place TEXT NOT NULL,
    reason TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (org, import, number)
);

-- SCORM -----------------------------------------------------------------------------------------

-- The attempts at SCORM packages.
--   user_id       the learner; the directory need not have the user
--   content       the key of the content
--   begun         the number in the order of recording at which the attempt began
--   committed_at  when the last commit came
--   due           when a session without an end is recorded, while it has something to record
--   state         the state after the last commit, as JSON
CREATE TABLE scorm_attempts (
    org INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    content INTEGER NOT NULL,
    registration BLOB NOT NULL,
    begun INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    due INTEGER,
    state TEXT NOT NULL,
    PRIMARY KEY (org, user_id, content, registration)
);
CREATE INDEX scorm_attempts_latest ON scorm_attempts (org, user_id, content, begun);
CREATE INDEX scorm_attempts_due ON scorm_attempts (due) WHERE due IS NOT NULL;
