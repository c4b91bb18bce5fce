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
