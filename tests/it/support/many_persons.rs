//! A directory with so many persons that an export of their activities loads all of them at once.

use super::database::Database;

/// The users, each with two or three persons.
pub const USERS: u32 = 8_000;
/// The persons. The last ones have no user.
pub const PERSONS: u32 = 24_000;
/// The persons with a user.
pub const OWNED: u32 = 21_000;
/// The activities. The persons take turns.
pub const ACTIVITIES: u32 = 40_000;
/// The deactivated users.
pub const DEACTIVATED: u32 = 100;
/// The users with the first manager; the others have none.
pub const MANAGED: u32 = 4_000;

/// The person of an activity.
pub fn person_of(activity: u32) -> u32 {
    activity % PERSONS
}

/// The user of a person.
pub fn user_of(person: u32) -> Option<u32> {
    (person < OWNED).then_some(person % USERS)
}

/// Adds them with SQL to the organisation of the user `manager`. The activities are copies of the only one with the given
/// title of a certificate, without records. Their duration in seconds is their number, which counts from 1.
pub async fn add_many_persons(database: &Database, manager: &str, certificate: &str) {
    let columns = "email, role, job_title, language, location, joined_on, primary_team, custom, search, name_order, \
        last_name_order, email_order";
    let users = format!(
        "INSERT INTO users (org, key, id, first_name, last_name, manager, active, deactivated_at, {columns}) \
         SELECT u.org, 100000 + k.n - 1, 'p' || CAST(k.n - 1 AS TEXT), 'P' || CAST(k.n - 1 AS TEXT), 'Many', \
         CASE WHEN k.n - 1 < {MANAGED} THEN u.key END, k.n - 1 >= {DEACTIVATED}, \
         CASE WHEN k.n - 1 < {DEACTIVATED} THEN 0 END, {columns} \
         FROM users u CROSS JOIN ({}) k WHERE u.id = '{manager}'",
        database.series(USERS)
    );
    let copied = "org, kind, valid_from, named_at, named_by, tracked, moving";
    let values = copied.split(", ").map(|column| format!("p.{column}")).collect::<Vec<_>>().join(", ");
    let digest = match database {
        Database::Sqlite { .. } => "CAST('digest ' || k.n AS BLOB)",
        Database::Postgres { .. } => "convert_to('digest ' || k.n, 'UTF8')",
    };
    let persons = format!(
        "INSERT INTO persons (key, digest, value, name, user_key, deactivated, {copied}) \
         SELECT 200000 + k.n - 1, {digest}, '{{\"mbox\":\"mailto:n' || CAST(k.n - 1 AS TEXT) || '@example.org\"}}', \
         'Nobody ' || CAST(k.n - 1 AS TEXT), CASE WHEN k.n - 1 < {OWNED} THEN 100000 + (k.n - 1) % {USERS} END, \
         k.n - 1 < {OWNED} AND (k.n - 1) % {USERS} < {DEACTIVATED}, {values} \
         FROM (SELECT * FROM persons ORDER BY key LIMIT 1) p CROSS JOIN ({}) k",
        database.series(PERSONS)
    );
    let copied = "org, stored_at, verb, content, action, origin, completed, certified";
    let values = copied.split(", ").map(|column| format!("a.{column}")).collect::<Vec<_>>().join(", ");
    let activities = format!(
        "INSERT INTO activities (id, seq, happened_at, person, seconds, {copied}) \
         SELECT {}, a.seq + 1000 + k.n, a.happened_at + 1000000 * k.n, 200000 + k.n % {PERSONS}, k.n, {values} \
         FROM activities a CROSS JOIN ({}) k WHERE a.certificate_name = '{certificate}'",
        database.random_id(),
        database.series(ACTIVITIES)
    );
    for (text, rows) in [(users, USERS), (persons, PERSONS), (activities, ACTIVITIES)] {
        assert_eq!(database.execute(&text).await, u64::from(rows), "{text}");
    }
}
