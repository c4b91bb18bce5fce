//! Tests of query plans of the log with 120,000 activities. No plan reads all activities. A filter that
//! finds few uses its index. A filter that finds many reads the log in the order of the page, without
//! sorting, and stops when the page is full.

use rollbook::access::{Credential, CredentialScope, Principal, ReachRules, Scoped};
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::OrgId;
use rollbook::log::{ParseContext, Position, Query};
use rollbook::store::{Page, RecordKind};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::support::builders::{Body, activity, content, group, statement, team, user};
use crate::support::server::START;
use crate::support::{Database, TestServer, apply, both_databases};

const ROWS: i64 = 120_000;
const USERS: usize = 2_000;
const CONTENTS: usize = 1_000;
const IMPORT: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";

/// SQL that inserts an activity for each `n` from 1 to [`ROWS`].
///
/// Users, contents and times are spread. One in 1,000 has the action `arranged`, one in 2,000 a certificate
/// that expires soon, and one in 600 an import.
const INSERT: &str = "\
    INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, completed, \
        latest, success, certified, percent, expired_at, certificate_expires_at, import, device_type, source, answers) \
    SELECT p.org, 1000000 + s.n, {id}, {start} - (s.n * 7919 % 120000) * 300000000, {start}, p.key, v.key, c.key, \
        CASE WHEN s.n % 1000 = 0 THEN 2 WHEN s.n % 3 = 0 THEN 5 ELSE 12 END, CASE WHEN s.n % 4 = 0 THEN 3 ELSE 1 END, s.n % 3 = 0, \
        s.n % 6 = 0, CASE WHEN s.n % 3 = 0 THEN s.n % 2 = 0 END, s.n % 2000 = 0, 50, CASE WHEN s.n % 5 = 0 THEN {start} - s.n END, \
        CASE WHEN s.n % 2000 = 0 THEN {start} + (s.n % 7) * 86400000000 END, CASE WHEN s.n % 600 = 0 THEN {import} END, \
        CASE WHEN s.n % 4 = 0 THEN 'api' ELSE 'phone' END, CASE WHEN s.n % 4 = 1 THEN 'Library' END, CASE WHEN s.n % 5 < 2 THEN 1 ELSE 0 END \
    FROM ({series}) s JOIN numbered_persons p ON p.i = s.n * 104729 % 2000 JOIN numbered_contents c ON c.i = s.n * 15485863 % 1000 \
    CROSS JOIN (SELECT min(key) AS key FROM verbs) v";

/// Numbers the accounts of users and the registered contents from 0.
const NUMBER: &str = "\
    CREATE TEMP TABLE numbered_persons AS SELECT org, key, row_number() OVER (ORDER BY key) - 1 AS i FROM persons \
        WHERE kind = 4 AND user_key IS NOT NULL; \
    CREATE TEMP TABLE numbered_contents AS SELECT key, row_number() OVER (ORDER BY key) - 1 AS i FROM contents WHERE registered; ";

/// Creates the directory and the catalogue with the API, and the activities with SQL, because the API would
/// take minutes.
async fn insert_activities(server: &TestServer) {
    let admin = server.person("admin", "root");
    admin.post("/v1/teams/batch", &[team("all"), team("few")]).await.expect(200);
    admin.put("/v1/groups/g", &group("g")).await.expect(201);
    let users: Vec<Body> = (0..USERS)
        .map(|n| {
            let teams = if n < 3 { json!(["all", "few"]) } else { json!(["all"]) };
            let one = user(&format!("u{n:04}")).set("email", format!("u{n}@example.org")).set("teams", teams);
            let one = if n == 7 {
                one.set("custom", json!({"code": "7"})).set("groups", json!(["g"])).set("location", "Hull")
            } else {
                one
            };
            if n == 9 { one.set("active", false) } else { one }
        })
        .collect();
    for batch in users.chunks(1_000) {
        admin.post("/v1/users/batch", batch).await.expect(200);
    }
    let contents: Vec<Body> = (0..CONTENTS)
        .map(|n| {
            let kind = if n % 2 == 0 { "quiz" } else { "item" };
            let one = content(&format!("c{n:04}"), kind).set("title", format!("Subject {n}"));
            if n == 5 { one.set("tags", json!(["rare"])).set("cpd_labels", json!(["rare"])) } else { one }
        })
        .collect();
    admin.post("/v1/contents/batch", &contents).await.expect(200);
    let one =
        statement(json!({"mbox": "mailto:u1@example.org"}), "http://id.tincanapi.com/verb/viewed", "urn:x");
    admin.post("/xapi/statements", &one).await.expect(200);

    let insert = INSERT.replace("{start}", &START.micros().to_string());
    let inserted = match server.database() {
        Database::Sqlite { .. } => {
            let series = format!(
                "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS}) SELECT n FROM s"
            );
            let import = format!("x'{}'", IMPORT.replace('-', ""));
            let insert = insert
                .replace("{id}", "randomblob(16)")
                .replace("{series}", &series)
                .replace("{import}", &import);
            let indexes = "CREATE UNIQUE INDEX temp.by_person ON numbered_persons (i); CREATE UNIQUE INDEX temp.by_content ON numbered_contents (i);";
            let mut connection =
                sqlx::SqliteConnection::connect(&server.database().url()).await.expect("a connection");
            sqlx::raw_sql(AssertSqlSafe(format!("{NUMBER}{indexes}")))
                .execute(&mut connection)
                .await
                .expect("numbers");
            let done = sqlx::raw_sql(AssertSqlSafe(insert))
                .execute(&mut connection)
                .await
                .expect("the activities are inserted");
            connection.close().await.expect("the connection closes");
            done.rows_affected()
        }
        Database::Postgres { .. } => {
            let series = format!("SELECT n::bigint AS n FROM generate_series(1, {ROWS}) AS n");
            let insert = insert
                .replace("{id}", "md5(s.n::text)::uuid")
                .replace("{series}", &series)
                .replace("{import}", &format!("'{IMPORT}'::uuid"));
            let mut connection =
                sqlx::PgConnection::connect(&server.database().url()).await.expect("a connection");
            sqlx::raw_sql(NUMBER).execute(&mut connection).await.expect("numbers");
            let done = sqlx::raw_sql(AssertSqlSafe(insert))
                .execute(&mut connection)
                .await
                .expect("the activities are inserted");
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await.expect("statistics");
            connection.close().await.expect("the connection closes");
            done.rows_affected()
        }
    };
    assert_eq!(inserted, ROWS as u64, "every activity has a user and a content");
}

/// Numbers follow the clock, so a window of hours has few rows and a great difference of numbers.
#[apply(both_databases)]
async fn rows_of_a_short_window_of_arrival_are_found_by_position(server: &TestServer) {
    insert_activities(server).await;
    let window = "stored_from=2026-03-18T12:00:00Z&stored_to=2026-03-18T18:00:00Z";
    for hour in [11, 13, 15, 19] {
        server.clock.set(Timestamp::from_micros(1_773_792_000_000_000 + hour * 3_600_000_000));
        let body = activity("u0001", "viewed").set("content", "c0001");
        server.person("admin", "root").post("/v1/activities", &body).await.expect(201);
    }
    for parameters in ["", "sort=happened_at", "action=viewed", "user=u0001", "tag=rare"] {
        let parameters = format!("{window}&{parameters}");
        let plan = explain_page(server, &parameters, None).await;
        assert!(uses_index(&plan, BY_SEQ) && !scans_activities(&plan), "{parameters}: {plan:#?}");
    }
    let rows = server.person("admin", "root").list(&format!("/v1/activities?{window}"), "activities").await;
    assert_eq!(rows.len(), 2);
}

/// A caller with full reach.
fn credential_with_full_reach() -> Principal {
    let org = OrgId::new("acme").expect("an id");
    let scopes = [CredentialScope::ActivitiesRead].into_iter().collect();
    Principal::Credential(Credential { org, key: "k".to_owned(), scopes })
}

fn parse_query(parameters: &str) -> Query {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(parameters.as_bytes()).into_owned().collect();
    let context = ParseContext::list(START, chrono_tz::Tz::UTC, None);
    Query::parse(&pairs, &context).unwrap_or_else(|faults| panic!("{parameters}: {faults:?}"))
}

async fn explain_persons_query(server: &TestServer, parameters: &str) -> Vec<String> {
    let query = parse_query(parameters);
    let question = Scoped::new(&credential_with_full_reach(), &ReachRules::default(), None, &query.filter)
        .expect("full reach");
    server.store.explain_persons_query(&question).await.expect("a plan")
}

/// The plans of progress with a content, by the names of its queries.
async fn explain_progress(
    server: &TestServer,
    parameters: &str,
    content: &str,
) -> Vec<(&'static str, Vec<String>)> {
    let parameters = Scoped::new(
        &credential_with_full_reach(),
        &ReachRules::default(),
        None,
        parse_query(parameters).filter,
    )
    .expect("full reach");
    let progress = server.store.content_progress(parameters, content, START).await.expect("an answer");
    progress.expect("a content").explain_queries().await.expect("a plan")
}

async fn explain_page(server: &TestServer, parameters: &str, after: Option<Position>) -> Vec<String> {
    let query = parse_query(parameters);
    let question =
        Scoped::new(&credential_with_full_reach(), &ReachRules::default(), query.asked_scope, &query.filter)
            .expect("full reach");
    let page = Page { sort: query.sort, after, limit: 51, now: START };
    server.store.explain_rows(&question, page).await.expect("a plan")
}

/// The plans of answers and of attempts, by the names of their queries.
async fn explain_records(
    server: &TestServer,
    parameters: &str,
    kind: RecordKind,
) -> Vec<(&'static str, Vec<String>)> {
    let filter = parse_query(parameters).filter;
    let filter = Scoped::new(&credential_with_full_reach(), &ReachRules::default(), None, filter);
    let filter = filter.expect("full reach");
    let records = server.store.content_records(filter, "c0007", kind, START).await.expect("an answer");
    let records = records.expect("a content");
    let plans = match kind {
        RecordKind::Answers => records.explain_answers().await,
        RecordKind::Submissions => records.explain_submissions().await,
    };
    plans.expect("plans")
}

/// Answers and attempts are found by the indexes of their content, also those of few and of many persons.
async fn check_records_of_one_content(server: &TestServer) {
    const ANSWERS: &[&str] = &["activities_answers", "activities_progress"];
    const SUBMISSIONS: &[&str] = &["activities_submissions", "activities_progress"];
    for parameters in [
        "",
        "user=u0003",
        "team=all",
        "team=few&result=passed",
        "from=2026-01-01",
        "include_deactivated=true",
    ] {
        for (kind, indexes) in [(RecordKind::Answers, ANSWERS), (RecordKind::Submissions, SUBMISSIONS)] {
            for (name, plan) in explain_records(server, parameters, kind).await {
                let is_narrow = uses_index(&plan, indexes) && !scans_activities(&plan);
                assert!(is_narrow, "{parameters:?} {kind:?} {name}: {plan:#?}");
                if matches!(server.database(), Database::Sqlite { .. }) && parameters.is_empty() {
                    assert!(!sorts(&plan), "{parameters:?} {kind:?} {name}: {plan:#?}");
                }
            }
        }
    }
}

fn sorts(plan: &[String]) -> bool {
    plan.iter().any(|line| {
        line.contains("USE TEMP B-TREE FOR ORDER BY")
            || (line.contains("Sort") && !line.contains("Sort Key") && !line.contains("Incremental Sort"))
    })
}

/// Returns true if the plan reads all activities.
fn scans_activities(plan: &[String]) -> bool {
    plan.iter().any(|line| line.contains("Seq Scan on activities") || line.trim() == "SCAN a")
}

fn uses_index(plan: &[String], indexes: &[&str]) -> bool {
    indexes.iter().any(|index| plan.iter().any(|line| line.contains(index)))
}

const TIME: &[&str] = &["activities_time"];
/// The primary key, by which rows of a range of positions are found.
const BY_SEQ: &[&str] = &["activities_pkey", "PRIMARY KEY (org=? AND seq"];

#[apply(both_databases)]
async fn no_page_reads_all_activities(server: &TestServer) {
    insert_activities(server).await;
    let middle = Some(Position {
        happened_at: Timestamp::from_micros(START.micros() - 18_000_000_000_000),
        seq: 1_060_000,
    });
    // Filters that find many: by time without a sort, from the start and from a cursor.
    for parameters in [
        "",
        "sort=happened_at",
        "include_deactivated=true",
        "completed=true",
        "completed=false",
        "result=passed",
        "result=failed",
        "expired=true",
        "expired=false",
        "device_type=phone",
        "origin=api",
        "source=Library",
        "has_certificate=false",
        "bulk_import=false",
        "type=quiz",
        "type=quiz&sort=happened_at",
        "team=all",
        "title=subject",
        "to=2026-01-01",
        "action=viewed,completed",
        "verb=http://id.tincanapi.com/verb/viewed",
    ] {
        for after in [None, middle] {
            let plan = explain_page(server, parameters, after).await;
            assert!(
                uses_index(&plan, &["activities_time", "activities_action"]),
                "{parameters:?} {after:?}: {plan:#?}"
            );
            assert!(!scans_activities(&plan) && !sorts(&plan), "{parameters:?} {after:?}: {plan:#?}");
        }
    }
    // The newest completions: by their own index without a sort. Each row is compared by an index with the rows of the
    // user's other persons.
    for parameters in [
        "latest=true",
        "latest=true&sort=happened_at",
        "expired=true&latest=true",
        "expired=false&latest=true&sort=happened_at",
        "latest=true&team=all",
    ] {
        for after in [None, middle] {
            let plan = explain_page(server, parameters, after).await;
            for indexes in [&["activities_latest "], &["activities_latest_person"]] {
                let plan: Vec<String> = plan.iter().map(|line| format!("{line} ")).collect();
                assert!(uses_index(&plan, indexes), "{parameters:?} {after:?}: {plan:#?}");
            }
            assert!(!scans_activities(&plan) && !sorts(&plan), "{parameters:?} {after:?}: {plan:#?}");
        }
    }
    // Filters that find few: by an index, or in a short period. They may sort.
    for (parameters, indexes) in [
        ("user=u0007", &["activities_person"] as &[&str]),
        ("user=u0007&sort=happened_at", &["activities_person"]),
        ("user=u0007&action=arranged", &["activities_person", "activities_action"]),
        ("group=g", &["activities_person"]),
        ("location=Hull", &["activities_person"]),
        ("custom%5Bcode%5D=7", &["activities_person"]),
        ("content=c0005", &["activities_content"]),
        ("tag=rare", &["activities_content"]),
        ("cpd_label=rare", &["activities_content"]),
        ("title=subject+599", &["activities_content"]),
        ("content=c0005&user=u0007", &["activities_content", "activities_person", "activities_progress"]),
        ("action=arranged", &["activities_action"]),
        ("action=arranged&sort=happened_at", &["activities_action"]),
        ("action=arranged,added", &["activities_action", "activities_time"]),
        ("action=visited", &["activities_action", "activities_session"]),
        ("import=ec531277-b57b-4c15-8d91-d292c5b2b8f7", &["activities_import"]),
        ("certificate_expires_within=P1D", &["activities_certificate"]),
        ("stored_from=2027-01-01", BY_SEQ),
        ("stored_from=2027-01-01&sort=happened_at", BY_SEQ),
        ("stored_from=2027-01-01&content=c0005&team=all", BY_SEQ),
        ("certificate_expires_within=P1D&latest=true", &["activities_certificate"]),
        ("content=c0005&latest=true", &["activities_latest_content"]),
        ("content=c0005&latest=true&expired=true", &["activities_latest_content"]),
        ("user=u0007&latest=true", &["activities_latest_person"]),
        ("from=2026-03-17&to=2026-03-18", TIME),
        ("period=today", TIME),
        ("period=last_7_days&completed=true", TIME),
        ("from=2026-03-17&to=2026-03-18&user=u0007", &["activities_person", "activities_time"]),
    ] {
        for after in [None, middle] {
            let plan = explain_page(server, parameters, after).await;
            assert!(uses_index(&plan, indexes), "{parameters}: {plan:#?}");
            assert!(!scans_activities(&plan), "{parameters}: {plan:#?}");
        }
    }
    // The persons of a filter are found through users, never by reading all persons.
    for parameters in [
        "user=u0007",
        "team=few",
        "team=few&include_sub_teams=true",
        "group=g",
        "user=u0007&team=all",
        "location=Hull",
        "custom%5Bcode%5D=7",
    ] {
        let plan = explain_persons_query(server, parameters).await;
        // PostgreSQL may read all persons for a team, because there are few.
        if parameters.starts_with("team") && matches!(server.database(), Database::Postgres { .. }) {
            continue;
        }
        assert!(uses_index(&plan, &["persons_user"]), "{parameters}: {plan:#?}");
        assert!(
            !uses_index(&plan, &["SEARCH p USING PRIMARY KEY", "SCAN p", "Seq Scan on persons"]),
            "{parameters}: {plan:#?}"
        );
    }
    // Progress reads the users of a page, and then their activities with the content.
    for parameters in ["", "team=few", "user=u0007", "team=all&include_deactivated=true"] {
        for (name, plan) in explain_progress(server, parameters, "c0005").await {
            if std::env::var("ROLLBOOK_TEST_SHOW").is_ok() {
                println!("{parameters:?} {name}: {plan:#?}");
            }
            let indexes: &[&str] = match name {
                // PostgreSQL may read all users, because there are few, but must not sort them.
                "page"
                    if parameters.starts_with("team")
                        && matches!(server.database(), Database::Postgres { .. }) =>
                {
                    continue;
                }
                "page" => &["users_id", "sqlite_autoindex_users_1", "users_pkey"],
                "outcomes" | "started" => &["activities_progress"],
                _ => &["activities_progress", "activities_content"],
            };
            assert!(uses_index(&plan, indexes), "{parameters:?} {name}: {plan:#?}");
            assert!(!scans_activities(&plan), "{parameters:?} {name}: {plan:#?}");
        }
    }
    check_records_of_one_content(server).await;
    // What a divided period gives away is found by person.
    let plans = server.store.explain_division(1, 1).await.expect("plans");
    assert!(uses_index(&plans[0], &["activities_person"]) && !scans_activities(&plans[0]), "{plans:#?}");
    // PostgreSQL may read all statements, because there are few.
    if matches!(server.database(), Database::Sqlite { .. }) {
        assert!(uses_index(&plans[1], &["statements_voided"]), "{plans:#?}");
    }
    for parameters in ["user=nobody", "content=nothing", "tag=none", "title=nowhere", "team=nowhere"] {
        let plan = explain_page(server, parameters, None).await;
        assert!(plan.is_empty(), "{parameters} needs no query: {plan:#?}");
    }
    for parameters in ["action=arranged", "from=2026-03-17&to=2026-03-18", "period=today"] {
        let plan = explain_page(server, parameters, None).await;
        assert!(!sorts(&plan), "{parameters}: {plan:#?}");
    }
}
