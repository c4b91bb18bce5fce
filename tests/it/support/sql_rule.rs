//! The rule that every SQL text names the organisation, so that a cluster runs it on the node of the organisation.
//!
//! The server of a test shows each text that it sends to PostgreSQL. [`observe`] parses it and demands that each table
//! with rows of organisations has its column `org` equal to a value (`$n`). It may be equal through other tables of the same
//! `FROM`. Each subquery and each arm has to name the value itself: `x.org = outer.org` is not enough. A cluster may not see
//! through such an equation. It then runs the query on all parts, or refuses it if it is recursive. The same is true of a
//! table that is joined to a subquery or to a name of a `WITH`.
//!
//! [`EXCEPTIONS`] has the texts about all organisations. A text that breaks the rule fails the test that is running.

mod walk;

use std::collections::{BTreeMap, HashSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

/// Texts that work for all organisations, or find the organisation: a part of the text, and the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("FROM launches l JOIN organisations o ON o.key = l.org", "finds the organisation by a launch's secret"),
    ("FROM report_keys k JOIN reports r", "finds the organisation by the secret of a report key"),
    ("WHERE s.fetch_hash = $1", "finds the organisation by the secret of a cmi5 address"),
    ("FROM ledgers WHERE org = ANY($1)", "commits of all organisations with waiting readers"),
    (
        "FROM schedules s JOIN organisations o ON o.key = s.org WHERE s.next_run_at <=",
        "due schedules, for the sender",
    ),
    ("SELECT d.org, d.key FROM deliveries d WHERE d.next_attempt_at <=", "due runs, for the sender"),
    (
        "SELECT org FROM deliveries WHERE next_attempt_at <= $1 GROUP BY org",
        "crowds of due runs, for the sender",
    ),
    ("FROM imports i JOIN organisations o ON o.key = i.org WHERE i.due IS NOT NULL", "imports for a worker"),
    (
        "FROM imports i JOIN organisations o ON o.key = i.org WHERE i.cleanup_at <= $1",
        "imports that are cleaned up",
    ),
    ("FROM subscriptions s WHERE s.active", "organisations whose commits wake a worker"),
    ("FROM subscriptions s JOIN ledgers l ON l.org = s.org", "subscriptions for a worker"),
    ("WHERE s.ended_at IS NULL AND s.expires_at <= $1", "open sessions of cmi5 that have expired"),
    ("WHERE a.due IS NOT NULL AND a.due <= $1", "attempts of SCORM that are idle"),
    ("o.id, c.key FROM contents c JOIN organisations o", "contents to project again, in the background"),
    (
        "o.id, p.key FROM persons p JOIN organisations o",
        "persons that give activities away, in the background",
    ),
    (
        "o.id, t.person FROM transferred_persons t JOIN organisations o",
        "persons with another user, in the background",
    ),
    ("SELECT count(*) FROM (SELECT 1 AS one FROM", "metrics of backlogs"),
];

/// The tables of the schema, and whether they have rows of organisations.
static TABLES: LazyLock<BTreeMap<&'static str, bool>> = LazyLock::new(|| {
    let schema = include_str!("../../../migrations/postgres/0001_initial.sql");
    let created = schema.lines().filter_map(|line| line.strip_prefix("CREATE TABLE "));
    let names = created.filter_map(|rest| rest.split(' ').next());
    names.map(|name| (name, !rollbook::store::REFERENCE_TABLES.contains(&name))).collect()
});

/// The texts that were checked, and those that broke the rule since the last call of [`take_faults`].
static SEEN: LazyLock<Mutex<(HashSet<String>, Vec<String>)>> = LazyLock::new(Mutex::default);

/// Checks a text that is sent to PostgreSQL, once.
pub fn observe(text: &str) {
    let is_new = |seen: &HashSet<String>| !seen.contains(text);
    let lock = || SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_new(&lock().0) {
        return;
    }
    let fault = find_fault(text);
    let mut seen = lock();
    if seen.0.insert(text.to_owned())
        && let Some(fault) = fault
        && !EXCEPTIONS.iter().any(|(part, _)| text.contains(part))
    {
        seen.1.push(format!("{fault}: {text}"));
    }
}

/// The texts that broke the rule so far. Each is returned once.
pub fn take_faults() -> Vec<String> {
    std::mem::take(&mut SEEN.lock().unwrap_or_else(PoisonError::into_inner).1)
}

/// How a text breaks the rule.
fn find_fault(text: &str) -> Option<String> {
    match Parser::parse_sql(&PostgreSqlDialect {}, text) {
        Ok(statements) => {
            statements.iter().find_map(|statement| walk::check_statement(statement, &TABLES).err())
        }
        Err(error) => Some(format!("the rule cannot read it ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::find_fault;

    #[test]
    fn text_that_names_the_organisation_passes() {
        for text in [
            "SELECT u.key FROM users u WHERE u.org = $1 AND u.id = $2",
            "SELECT key FROM users WHERE org = $1",
            "SELECT a.seq FROM activities a JOIN persons p ON p.org = a.org AND p.key = a.person WHERE a.org = $1",
            "SELECT n.key FROM teams n WHERE n.org = $1 AND EXISTS (SELECT 1 FROM teams b WHERE b.org = $1 AND b.parent = n.key)",
            "SELECT (SELECT m.id FROM users m WHERE m.org = $1 AND m.key = u.manager) FROM users u WHERE u.org = $1",
            "SELECT n.key FROM teams n WHERE n.org = $1 AND EXISTS (SELECT 1 FROM teams b JOIN users u ON u.org = b.org \
             WHERE b.org = n.org AND u.org = $1)",
            "SELECT x.key FROM (SELECT u.key FROM users u WHERE u.org = $1) x JOIN persons p ON p.org = $1",
            "WITH x AS (SELECT u.key FROM users u WHERE u.org = $1) SELECT x.key FROM x JOIN persons p ON p.org = $1",
            "SELECT u.key FROM users u CROSS JOIN LATERAL (SELECT t.id FROM teams t WHERE t.org = $1 AND t.key = u.primary_team \
             OFFSET 0) t WHERE u.org = $1",
            "SELECT name FROM organisations WHERE id = $1",
            "SELECT u.key FROM organisations o LEFT JOIN users u ON u.org = o.key WHERE o.key = $1",
            "UPDATE ledgers SET seq = $2 WHERE org = $1",
            "DELETE FROM mentions m WHERE m.org = $1 AND m.seq IN (SELECT s.seq FROM statements s WHERE s.org = $1)",
            "INSERT INTO verbs (org, key) SELECT * FROM unnest($1::bigint[], $2::bigint[])",
            "WITH RECURSIVE t(key) AS (SELECT u.key FROM users u WHERE u.org = $1 UNION SELECT n.key FROM t \
             CROSS JOIN LATERAL (SELECT u.key FROM users u WHERE u.org = $1 AND u.manager = t.key OFFSET 0) n) SELECT key FROM t",
        ] {
            assert_eq!(find_fault(text), None, "{text}");
        }
    }

    #[test]
    fn text_that_does_not_name_the_organisation_is_found() {
        for text in [
            "SELECT u.key FROM users u WHERE u.id = $1",
            "SELECT u.key FROM users u WHERE u.org = $1 OR u.id = $2",
            "SELECT a.seq FROM activities a JOIN persons p ON p.key = a.person WHERE a.org = $1",
            "SELECT u.key FROM organisations o JOIN users u ON u.org = o.key WHERE o.id = $1",
            "SELECT key FROM users WHERE org = $1 UNION ALL SELECT key FROM teams",
            "UPDATE ledgers SET seq = $1",
            "DELETE FROM mentions m WHERE m.org = $1 AND m.seq IN (SELECT s.seq FROM statements s)",
            "INSERT INTO verbs (org, key) SELECT v.org, v.key FROM verbs v",
            "WITH RECURSIVE t(org, key) AS (SELECT u.org, u.key FROM users u WHERE u.org = $1 UNION \
             SELECT u.org, u.key FROM t JOIN users u ON u.org = t.org AND u.manager = t.key) SELECT key FROM t",
            "WITH RECURSIVE t(org, key) AS (SELECT u.org, u.key FROM users u WHERE u.org = $1 UNION SELECT 1, 1 FROM t) \
             SELECT t.key FROM t JOIN users u ON u.org = t.org",
            "SELECT (SELECT m.id FROM users m WHERE m.org = u.org AND m.key = u.manager) FROM users u WHERE u.org = $1",
            "SELECT n.key FROM teams n WHERE n.org = $1 AND EXISTS (SELECT 1 FROM teams b WHERE b.org = n.org)",
            "SELECT n.key FROM teams n WHERE n.org = $1 AND (n.name = $2 OR NOT EXISTS (SELECT 1 FROM teams b WHERE b.org = n.org))",
            "SELECT n.key FROM teams n WHERE n.org = $1 AND n.parent IN (SELECT b.key FROM teams b WHERE b.org = n.org)",
            "SELECT n.key FROM teams n WHERE n.org = $1 ORDER BY (SELECT b.name FROM teams b WHERE b.org = n.org AND b.key = n.parent)",
            "SELECT n.key FROM teams n WHERE n.org = $1 AND EXISTS (SELECT 1 FROM teams b WHERE b.org = $1 AND b.key = \
             (SELECT c.parent FROM teams c WHERE c.org = b.org AND c.key = n.key))",
            "SELECT u.key FROM users u JOIN teams t ON t.org = u.org AND t.key = (SELECT max(x.team) FROM memberships x \
             WHERE x.org = u.org AND x.user_key = u.key) WHERE u.org = $1",
            "SELECT u.key FROM users u CROSS JOIN LATERAL (SELECT t.id FROM teams t WHERE t.org = u.org AND t.key = u.primary_team \
             OFFSET 0) t WHERE u.org = $1",
            "SELECT x.key FROM (SELECT u.org, u.key FROM users u WHERE u.org = $1 LIMIT 5) x JOIN persons p ON p.org = x.org",
            "WITH x AS (SELECT u.org, u.key FROM users u WHERE u.org = $1) SELECT x.key FROM x JOIN persons p ON p.org = x.org",
            "UPDATE users SET manager = (SELECT b.key FROM users b WHERE b.org = users.org AND b.id = $2) WHERE org = $1",
            "DELETE FROM blobs WHERE org = $1 AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.org = blobs.org)",
            "INSERT INTO verbs (org, key) SELECT v.org, (SELECT max(u.key) FROM users u WHERE u.org = v.org) FROM verbs v WHERE v.org = $1",
            "SELECT FROM WHERE",
        ] {
            assert!(find_fault(text).is_some(), "{text}");
        }
    }
}
