//! The limits on queries, and the settings of PostgreSQL that make the database observe them.

use std::time::Duration;

use super::GRACE;
use crate::store::db::opening::DatabaseSettings;

/// The kind of work that a query does. It decides how long the query may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// What an ordinary request does.
    Short,
    /// Exports, summaries, and changes of many rows.
    Long,
}

/// The limits on waiting for the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long a request waits for a connection or a lock.
    pub(super) wait: Duration,
    /// How long the begin of a transaction may take. It locks and reads nothing, so a longer silence is a fault.
    pub(super) begin: Duration,
    short: Duration,
    long: Duration,
    /// How long a transaction may be idle between two statements. It is half of `wait`, so that others that wait for
    /// its locks get them in time.
    idle: Duration,
}

impl Limits {
    pub(super) fn new(settings: &DatabaseSettings) -> Self {
        Self {
            wait: settings.wait,
            begin: (settings.wait / 4).max(Duration::from_secs(1)),
            short: settings.query_timeout,
            long: settings.long_query_timeout.max(settings.query_timeout),
            idle: (settings.wait / 2).max(Duration::from_secs(1)),
        }
    }

    pub(super) fn of_read(&self, work: Work) -> Duration {
        match work {
            Work::Short => self.short,
            Work::Long => self.long,
        }
    }

    /// The limit on a statement of a transaction. One that waits for a lock ends by the limit on locks first.
    pub(super) fn of_statement(&self, work: Work) -> Duration {
        self.of_read(work).max(self.wait + GRACE)
    }
}

/// The settings of PostgreSQL for a kind of connection or transaction, as `SET` statements.
pub(super) fn limits_text(limits: &Limits, work: Work, set: &str) -> String {
    format!(
        "{set} statement_timeout = {}; {set} lock_timeout = {}; {set} idle_in_transaction_session_timeout = {}",
        limits.of_statement(work).as_millis(),
        limits.wait.as_millis(),
        limits.idle.as_millis()
    )
}

/// The statement that limits how long a transaction may be idle.
pub(super) fn idle_text(limits: &Limits) -> String {
    format!(
        "SET LOCAL idle_in_transaction_session_timeout = {}",
        limits.idle.as_millis()
    )
}

/// The statement that lets a transaction be idle between two statements while this process works at what it has read.
pub(super) const LONG_IDLE_TEXT: &str = "SET LOCAL idle_in_transaction_session_timeout = 600000";

/// The statements that take away all limits.
pub(super) fn no_limits_text(set: &str) -> String {
    format!(
        "{set} statement_timeout = 0; {set} lock_timeout = 0; {set} idle_in_transaction_session_timeout = 0"
    )
}

/// Makes the database notice within about 20 seconds that a replica cannot be reached any more.
pub(super) const KEEPALIVE: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3; \
                         SET tcp_user_timeout = 20000";

/// Makes the database notice during a statement that this process has closed the connection.
pub(super) const WATCH_CLIENT: &str = "SELECT set_config(name, '2000', false) FROM pg_settings \
                            WHERE name = 'client_connection_check_interval'";

/// The limits on a query whose rows are read as slowly as a client reads, and the settings for its plan. A slow reader
/// looks to TCP like one that is gone, so it has ten minutes.
pub(super) fn stream_limits_text() -> String {
    let plans = read_plans_text("SET LOCAL");
    format!("SET LOCAL statement_timeout = 0; SET LOCAL tcp_user_timeout = 600000; {plans}")
}

/// What a stream of many rows needs besides: memory for its sort, at least 32 MiB.
pub(super) const STREAM_RESOURCES: &str = "SELECT set_config('work_mem', \
                             greatest(pg_size_bytes(current_setting('work_mem')) / 1024, 32768) || 'kB', true)";

/// The settings for the scans of queries that read.
///
/// Without statistics PostgreSQL takes an organisation for a small part of a table. It would then read all rows of it in a
/// bitmap and sort them, instead of the first ones of an index in order, and it would compile that plan.
pub(crate) const READ_SCANS: [(&str, &str); 2] = [("enable_bitmapscan", "off"), ("jit", "off")];

/// The settings for the plans of queries that read, as `SET` statements: [`READ_SCANS`] and custom plans.
///
/// The best plan of a filter depends on its values. PostgreSQL would switch to a generic plan after five runs, which can be a
/// thousand times slower.
pub(super) fn read_plans_text(set: &str) -> String {
    let scans = READ_SCANS.map(|(name, value)| format!("{set} {name} = {value}"));
    format!("{set} plan_cache_mode = force_custom_plan; {}", scans.join("; "))
}
