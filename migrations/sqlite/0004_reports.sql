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
