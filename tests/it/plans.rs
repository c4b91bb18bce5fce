//! Tests of query plans of the log with 120,000 activities. No plan reads all activities. A filter that
//! finds few uses its index. A filter that finds many reads the log in the order of the page, without
//! sorting, and stops when the page is full.

use rollbook::access::{Credential, CredentialScope, Principal, ReachRules, Scoped};
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::OrgId;
use rollbook::catalogue::LearningType;
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
const RARE_VERB: &str = "http://example.org/verbs/rare";
const IMPORT: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";

/// SQL that inserts an activity for each `n` from 1 to [`ROWS`].
///
/// Users, contents and times are spread. One in 30,000 has the rare verb, device type or source. One in 1,000 has the action `arranged`, one in 2,000 a certificate
/// that expires soon, and one in 600 an import.
const INSERT: &str = "\
    INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, completed, \
        latest, success, certified, percent, expired_at, certificate_expires_at, import, device_type, source, answers) \
    SELECT p.org, 1000000 + s.n, {id}, {start} - (s.n * 7919 % 120000) * 300000000, {start}, p.key, \
        CASE WHEN s.n % 30000 = 11 THEN v.rare ELSE v.key END, c.key, \
        CASE WHEN s.n % 1000 = 0 THEN 2 WHEN s.n % 3 = 0 THEN 5 ELSE 12 END, CASE WHEN s.n % 4 = 0 THEN 3 ELSE 1 END, s.n % 3 = 0, \
        s.n % 6 = 0, CASE WHEN s.n % 3 = 0 THEN s.n % 2 = 0 END, s.n % 2000 = 0, 50, CASE WHEN s.n % 5 = 0 THEN {start} - s.n END, \
        CASE WHEN s.n % 2000 = 0 THEN {start} + (s.n % 7) * 86400000000 END, CASE WHEN s.n % 600 = 0 THEN {import} END, \
        CASE WHEN s.n % 4 = 0 THEN 'api' WHEN s.n % 30000 = 13 THEN 'tv' ELSE 'phone' END, \
        CASE WHEN s.n % 30000 = 17 THEN 'archive' WHEN s.n % 4 = 1 THEN 'Library' END, CASE WHEN s.n % 5 < 2 THEN 1 ELSE 0 END \
    FROM ({series}) s JOIN numbered_persons p ON p.i = s.n * 104729 % 2000 JOIN numbered_contents c ON c.i = s.n * 15485863 % 1000 \
    CROSS JOIN (SELECT min(key) AS key, max(key) AS rare FROM verbs) v";

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
    for verb in ["http://id.tincanapi.com/verb/viewed", RARE_VERB] {
        let one = statement(json!({"mbox": "mailto:u1@example.org"}), verb, "urn:x");
        admin.post("/xapi/statements", &one).await.expect(200);
    }

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
            let no_statistics = "ALTER TABLE activities SET (autovacuum_enabled = false)";
            sqlx::raw_sql(no_statistics).execute(&mut connection).await.expect("no statistics");
            sqlx::raw_sql(NUMBER).execute(&mut connection).await.expect("numbers");
            let done = sqlx::raw_sql(AssertSqlSafe(insert))
                .execute(&mut connection)
                .await
                .expect("the activities are inserted");
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
    let plan = server.store.explain_rows(&question, page).await.expect("a plan");
    plan.iter().map(|line| without_numbers_of_parts(line)).collect()
}

/// A line of a plan with the names that tables and indexes have without a cluster. A part has its number in them:
/// `activities_102008`.
fn without_numbers_of_parts(line: &str) -> String {
    let word = |word: &str| match word.rsplit_once('_') {
        Some((name, number)) if number.len() >= 6 && number.chars().all(|one| one.is_ascii_digit()) => {
            name.to_owned()
        }
        _ => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
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
    indexes.iter().any(|index| plan.iter().any(|line| format!("{line} ").contains(index)))
}

/// The primary key, by which rows of a range of positions are found.
const BY_SEQ_OF_DATABASE: &[&str] = &["BY_SEQ"];
const BY_SEQ: &[&str] = &["activities_pkey", "PRIMARY KEY (org=? AND seq"];

/// Filters of which all rows are in one index, in the order of the page.
const IN_ORDER: &[(&str, &str)] = &[
    ("", "activities_time"),
    ("sort=happened_at", "activities_time"),
    ("include_deactivated=true", "activities_time"),
    ("completed=true", "activities_time"),
    ("completed=false", "activities_time"),
    ("result=passed,failed", "activities_time"),
    ("expired=false", "activities_time"),
    ("has_certificate=false", "activities_time"),
    ("bulk_import=false", "activities_time"),
    ("to=2026-01-01", "activities_time"),
    ("from=2026-03-17&to=2026-03-18", "activities_time"),
    ("period=today", "activities_time"),
    ("period=last_7_days&completed=true", "activities_time"),
    ("result=passed", "activities_success"),
    ("result=failed&sort=happened_at", "activities_success"),
    ("expired=true", "activities_expiring"),
    ("has_certificate=true", "activities_certified"),
    ("bulk_import=true", "activities_imported"),
    ("device_type=phone", "activities_device_type"),
    ("device_type=TV&sort=happened_at", "activities_device_type"),
    ("origin=api", "activities_origin"),
    ("origin=manual", "activities_origin"),
    ("source=Library", "activities_source"),
    ("source=absent", "activities_source"),
    ("action=arranged", "activities_action"),
    ("action=arranged&sort=happened_at", "activities_action"),
    // Nearly all rows have this verb, so PostgreSQL may as well walk the time.
    ("verb=http://id.tincanapi.com/verb/viewed", "activities_"),
    ("verb=http://example.org/verbs/rare", "activities_verb"),
    ("import=ec531277-b57b-4c15-8d91-d292c5b2b8f7", "activities_import"),
    ("latest=true", "activities_latest "),
    ("latest=true&sort=happened_at", "activities_latest "),
    ("expired=false&latest=true&sort=happened_at", "activities_latest "),
    ("content=c0005", "activities_content"),
    ("tag=rare", "activities_content"),
    ("cpd_label=rare", "activities_content"),
    ("title=subject+599", "activities_content"),
    ("content=c0005&latest=true", "activities_latest_content"),
    ("content=c0005&latest=true&expired=true", "activities_latest_content"),
];

/// Filters of which the rows are collected from several places, with all indexes that they need.
const COLLECTED: &[(&str, &[&str])] = &[
    ("user=u0007", &["activities_person"]),
    ("user=u0007&sort=happened_at", &["activities_person"]),
    ("user=u0007&action=arranged", &["activities_person", "activities_action"]),
    ("group=g", &["activities_person"]),
    ("location=Hull", &["activities_person"]),
    ("custom%5Bcode%5D=7", &["activities_person"]),
    ("content=c0005&user=u0007", &["activities_person"]),
    ("from=2026-03-17&to=2026-03-18&user=u0007", &["activities_person"]),
    ("type=quiz", &["activities_time", "activities_content"]),
    ("type=quiz&sort=happened_at", &["activities_time", "activities_content"]),
    ("title=subject", &["activities_time", "activities_content"]),
    ("team=all", &["activities_time", "activities_person"]),
    ("team=all&tag=rare", &["activities_content"]),
    ("team=all&result=failed&period=previous_month", &["activities_success", "activities_person"]),
    ("team=all&device_type=tv", &["activities_device_type", "activities_person"]),
    ("latest=true&team=all", &["activities_latest ", "activities_latest_person"]),
    ("expired=true&latest=true", &["activities_expiring", "activities_latest "]),
    ("user=u0007&latest=true", &["activities_latest_person"]),
    ("action=arranged,added", &["activities_action"]),
    ("action=viewed,completed", &["activities_action"]),
    ("certificate_expires_within=P1D", &["activities_certificate"]),
    ("certificate_expires_within=P1D&latest=true", &["activities_certificate"]),
    ("stored_from=2027-01-01", BY_SEQ_OF_DATABASE),
    ("stored_from=2027-01-01&sort=happened_at", BY_SEQ_OF_DATABASE),
    ("stored_from=2027-01-01&content=c0005&team=all", BY_SEQ_OF_DATABASE),
];

/// Each page reads by the indexes that its filter names, without a sort of many rows.
async fn check_pages(server: &TestServer) {
    let middle = Some(Position {
        happened_at: Timestamp::from_micros(START.micros() - 18_000_000_000_000),
        seq: 1_060_000,
    });
    for after in [None, middle] {
        for (parameters, index) in IN_ORDER {
            let plan = explain_page(server, parameters, after).await;
            assert!(uses_index(&plan, &[index]), "{parameters:?} {after:?}: {plan:#?}");
            assert!(!scans_activities(&plan) && !sorts(&plan), "{parameters:?} {after:?}: {plan:#?}");
        }
        for (parameters, indexes) in COLLECTED {
            let plan = explain_page(server, parameters, after).await;
            for index in *indexes {
                let names: &[&str] = if *index == "BY_SEQ" { BY_SEQ } else { &[index] };
                assert!(uses_index(&plan, names), "{parameters:?} {after:?} {index}: {plan:#?}");
            }
            assert!(!scans_activities(&plan), "{parameters:?} {after:?}: {plan:#?}");
        }
    }
}

/// Few rows that match among many, with the SQL condition that finds them by reading all rows.
const FEW_AMONG_MANY: &[(&str, &str)] = &[
    ("verb=http://example.org/verbs/rare", "a.verb = (SELECT max(v.key) FROM verbs v WHERE v.org = {org})"),
    (
        "verb=http://example.org/verbs/rare&origin=manual,api,xapi",
        "a.verb = (SELECT max(v.key) FROM verbs v WHERE v.org = {org})",
    ),
    ("device_type=TV", "a.device_type = 'tv'"),
    // Two values that are folded to the same one.
    ("device_type=TV&device_type=tv", "a.device_type = 'tv'"),
    ("source=Archive&source=archive", "a.source = 'archive'"),
    ("device_type=tv&team=all", "a.device_type = 'tv'"),
    (
        "device_type=tv&device_type=Desktop&type=item",
        "a.device_type = 'tv' AND a.content IN (SELECT c.key FROM contents c WHERE c.org = {org} AND c.type = {item})",
    ),
    ("source=Archive", "a.source = 'archive'"),
    ("source=absent", "1 = 0"),
    ("origin=system", "1 = 0"),
    ("action=arranged,added&device_type=phone&result=passed", "1 = 0"),
    ("action=arranged&team=few", "a.action = 2 AND a.person IN ({few})"),
    ("team=few", "a.person IN ({few})"),
    (
        "team=few&completed=true&type=quiz",
        "a.person IN ({few}) AND a.completed AND a.content IN (SELECT c.key FROM contents c WHERE c.org = {org} AND c.type = {quiz})",
    ),
    (
        "team=all&tag=rare",
        "a.content = (SELECT c.key FROM contents c WHERE c.org = {org} AND c.id = 'c0005')",
    ),
    ("team=all&has_certificate=true", "a.certified"),
    (
        "team=all&type=quiz&bulk_import=true&result=failed",
        "a.import IS NOT NULL AND NOT a.success AND a.content IN (SELECT c.key FROM contents c WHERE c.org = {org} AND c.type = {quiz})",
    ),
    (
        "expired=true&latest=true&bulk_import=true",
        "a.latest AND a.import IS NOT NULL AND a.expired_at < {start}",
    ),
    ("expired=true&latest=true&origin=system", "1 = 0"),
    ("certificate_expires_within=P1D", "a.certificate_expires_at BETWEEN {start} AND {start} + 86400000000"),
];

/// The ids of the rows that match a condition, in the order of a page, without those of deactivated users.
async fn find_ids(server: &TestServer, condition: &str, order: &str) -> Vec<String> {
    let few = "SELECT p.key FROM persons p JOIN users u ON u.org = p.org AND u.key = p.user_key \
        WHERE p.org = {org} AND u.id IN ('u0000', 'u0001', 'u0002')";
    let quiz = LearningType::Quiz.code().to_string();
    let item = LearningType::Item.code().to_string();
    let condition = condition
        .replace("{few}", few)
        .replace("{quiz}", &quiz)
        .replace("{item}", &item)
        .replace("{start}", &START.micros().to_string());
    let select = format!(
        "SELECT a.id FROM activities a WHERE a.org = {{org}} AND {condition} AND a.action <> 25 \
         AND a.person NOT IN (SELECT p.key FROM persons p WHERE p.org = {{org}} AND p.deactivated) ORDER BY {order}"
    );
    // A text that names the organisation runs on one node of a cluster.
    let org = server.database().organisation_key("acme").await.to_string();
    let select = AssertSqlSafe(select.replace("{org}", &org));
    let url = server.database().url();
    let ids: Vec<uuid::Uuid> = match server.database() {
        Database::Sqlite { .. } => {
            let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a connection");
            sqlx::query_scalar(select).fetch_all(&mut connection).await.expect("ids")
        }
        Database::Postgres { .. } => {
            let mut connection = sqlx::PgConnection::connect(&url).await.expect("a connection");
            sqlx::query_scalar(select).fetch_all(&mut connection).await.expect("ids")
        }
    };
    ids.into_iter().map(|id| id.to_string()).collect()
}

/// The pages of a filter have all rows that match, in order, also where a walk ends and another one goes on.
#[apply(both_databases)]
async fn few_rows_among_many_are_found_on_every_path(server: &TestServer) {
    insert_activities(server).await;
    let root = server.person("admin", "root");
    let orders = [("", "a.happened_at DESC, a.seq DESC"), ("&sort=happened_at", "a.happened_at, a.seq")];
    for (parameters, condition) in FEW_AMONG_MANY {
        for (sort, order) in orders {
            for limit in [3, 200] {
                let path = format!("/v1/activities?{parameters}{sort}&limit={limit}");
                let rows = root.list(&path, "activities").await;
                let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().expect("an id")).collect();
                let expected = find_ids(server, condition, order).await;
                assert_eq!(ids.len(), expected.len(), "{path}");
                assert_eq!(ids, expected, "{path}");
            }
        }
    }
}

#[apply(both_databases)]
async fn no_page_reads_all_activities(server: &TestServer) {
    insert_activities(server).await;
    check_pages(server).await;
    if matches!(server.database(), Database::Postgres { .. }) {
        server.database().execute("VACUUM ANALYZE").await;
        check_pages(server).await;
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
}
