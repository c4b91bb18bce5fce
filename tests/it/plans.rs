//! Every question the log can be asked has a plan that doesn't read the whole log: the databases are asked for
//! it, over 120,000 rows. A filter that finds little goes by an index of its own; one that finds much walks the
//! log in the order of the page and stops when the page is full, without sorting.

use rollbook::access::{Credential, CredentialScope, Principal, ReachRules, Scoped};
use rollbook::base::clock::Timestamp;
use rollbook::base::ids::OrgId;
use rollbook::log::{ParseContext, Position, Query};
use rollbook::store::Page;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::support::builders::{Body, content, group, statement, team, user};
use crate::support::server::START;
use crate::support::{Database, TestServer, apply, both_databases};

const ROWS: i64 = 120_000;
const USERS: usize = 2_000;
const CONTENTS: usize = 1_000;
const IMPORT: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";

/// One row for each `n` from 1 to [`ROWS`]: users, contents and moments scattered, one action in 1,000 an
/// `arranged`, one row in 2,000 with a certificate about to expire, one in 600 from an import.
const INSERT: &str = "\
    INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, completed, \
        success, certified, percent, expired_at, certificate_expires_at, import, device_type, source) \
    SELECT p.org, 1000000 + s.n, {id}, {start} - (s.n * 7919 % 120000) * 300000000, {start}, p.key, v.key, c.key, \
        CASE WHEN s.n % 1000 = 0 THEN 2 WHEN s.n % 3 = 0 THEN 5 ELSE 12 END, CASE WHEN s.n % 4 = 0 THEN 3 ELSE 1 END, s.n % 3 = 0, \
        CASE WHEN s.n % 3 = 0 THEN s.n % 2 = 0 END, s.n % 2000 = 0, 50, CASE WHEN s.n % 5 = 0 THEN {start} - s.n END, \
        CASE WHEN s.n % 2000 = 0 THEN {start} + (s.n % 7) * 86400000000 END, CASE WHEN s.n % 600 = 0 THEN {import} END, \
        CASE WHEN s.n % 4 = 0 THEN 'api' ELSE 'phone' END, CASE WHEN s.n % 4 = 1 THEN 'Library' END \
    FROM ({series}) s JOIN numbered_persons p ON p.i = s.n * 104729 % 2000 JOIN numbered_contents c ON c.i = s.n * 15485863 % 1000 \
    CROSS JOIN (SELECT min(key) AS key FROM verbs) v";

/// Users' accounts and registered contents, numbered from 0.
const NUMBER: &str = "\
    CREATE TEMP TABLE numbered_persons AS SELECT org, key, row_number() OVER (ORDER BY key) - 1 AS i FROM persons \
        WHERE kind = 4 AND user_key IS NOT NULL; \
    CREATE TEMP TABLE numbered_contents AS SELECT key, row_number() OVER (ORDER BY key) - 1 AS i FROM contents WHERE registered; ";

/// Directory and catalogue by the API, the rows behind its back: it would take minutes through the front door.
async fn fill(server: &TestServer) {
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
            let done =
                sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut connection).await.expect("the rows go in");
            connection.close().await.expect("it closes");
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
            let done =
                sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut connection).await.expect("the rows go in");
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await.expect("statistics");
            connection.close().await.expect("it closes");
            done.rows_affected()
        }
    };
    assert_eq!(inserted, ROWS as u64, "every user and content was found");
}

/// Whoever sees the whole organisation.
fn caller() -> Principal {
    let org = OrgId::new("acme").expect("an id");
    let scopes = [CredentialScope::ActivitiesRead].into_iter().collect();
    Principal::Credential(Credential { org, key: "k".to_owned(), scopes })
}

fn query(asked: &str) -> Query {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(asked.as_bytes()).into_owned().collect();
    let context = ParseContext::list(START, chrono_tz::Tz::UTC, "");
    Query::parse(&pairs, &context).unwrap_or_else(|faults| panic!("{asked}: {faults:?}"))
}

async fn persons_plan(server: &TestServer, asked: &str) -> Vec<String> {
    let query = query(asked);
    let question =
        Scoped::new(&caller(), &ReachRules::default(), None, &query.filter).expect("the reach is all");
    server.store.explain_persons(&question).await.expect("a plan")
}

/// The plans of progress with a content, by the names of its queries.
async fn progress_plans(server: &TestServer, asked: &str, content: &str) -> Vec<(&'static str, Vec<String>)> {
    let asked =
        Scoped::new(&caller(), &ReachRules::default(), None, query(asked).filter).expect("the reach is all");
    let progress = server.store.content_progress(asked, content, START).await.expect("an answer");
    progress.expect("a content").explain_queries().await.expect("a plan")
}

async fn plan(server: &TestServer, asked: &str, after: Option<Position>) -> Vec<String> {
    let query = query(asked);
    let question = Scoped::new(&caller(), &ReachRules::default(), query.asked_scope, &query.filter)
        .expect("the reach is all");
    let page = Page { sort: query.sort, after, limit: 51, now: START };
    server.store.explain_rows(&question, page).await.expect("a plan")
}

fn sorts(plan: &[String]) -> bool {
    plan.iter().any(|line| {
        line.contains("USE TEMP B-TREE FOR ORDER BY")
            || (line.contains("Sort") && !line.contains("Sort Key") && !line.contains("Incremental Sort"))
    })
}

/// Whether the log itself is read from end to end.
fn scans(plan: &[String]) -> bool {
    plan.iter().any(|line| line.contains("Seq Scan on activities") || line.trim() == "SCAN a")
}

fn uses(plan: &[String], indexes: &[&str]) -> bool {
    indexes.iter().any(|index| plan.iter().any(|line| line.contains(index)))
}

const TIME: &[&str] = &["activities_time"];

#[apply(both_databases)]
async fn no_page_reads_the_whole_log(server: &TestServer) {
    fill(server).await;
    let middle = Some(Position {
        happened_at: Timestamp::from_micros(START.micros() - 18_000_000_000_000),
        seq: 1_060_000,
    });
    // What finds much: along the time, without a sort, from the beginning and from a cursor.
    for asked in [
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
            let plan = plan(server, asked, after).await;
            assert!(uses(&plan, &["activities_time", "activities_action"]), "{asked:?} {after:?}: {plan:#?}");
            assert!(!scans(&plan) && !sorts(&plan), "{asked:?} {after:?}: {plan:#?}");
        }
    }
    // What finds little: by an index of its own, or in a narrow window of time; sorting the few costs nothing.
    for (asked, indexes) in [
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
        ("from=2026-03-17&to=2026-03-18", TIME),
        ("period=today", TIME),
        ("period=last_7_days&completed=true", TIME),
        ("from=2026-03-17&to=2026-03-18&user=u0007", &["activities_person", "activities_time"]),
    ] {
        for after in [None, middle] {
            let plan = plan(server, asked, after).await;
            assert!(uses(&plan, indexes), "{asked}: {plan:#?}");
            assert!(!scans(&plan), "{asked}: {plan:#?}");
        }
    }
    // Whose rows: from the users who are asked for, never through all persons.
    for asked in [
        "user=u0007",
        "team=few",
        "team=few&include_sub_teams=true",
        "group=g",
        "user=u0007&team=all",
        "location=Hull",
        "custom%5Bcode%5D=7",
    ] {
        let plan = persons_plan(server, asked).await;
        // PostgreSQL knows how few persons there are, and may well read all of them for a team.
        if asked.starts_with("team") && matches!(server.database(), Database::Postgres { .. }) {
            continue;
        }
        assert!(uses(&plan, &["persons_user"]), "{asked}: {plan:#?}");
        assert!(
            !uses(&plan, &["SEARCH p USING PRIMARY KEY", "SCAN p", "Seq Scan on persons"]),
            "{asked}: {plan:#?}"
        );
    }
    // Where everybody stands: from the users of a page to their rows of the content.
    for asked in ["", "team=few", "user=u0007", "team=all&include_deactivated=true"] {
        for (name, plan) in progress_plans(server, asked, "c0005").await {
            if std::env::var("ROLLBOOK_TEST_SHOW").is_ok() {
                println!("{asked:?} {name}: {plan:#?}");
            }
            let indexes: &[&str] = match name {
                // As above: so few users may be read altogether, but never sorted to find the first.
                "page"
                    if asked.starts_with("team")
                        && matches!(server.database(), Database::Postgres { .. }) =>
                {
                    continue;
                }
                "page" => &["users_id", "sqlite_autoindex_users_1", "users_pkey"],
                "decisive" | "begun" => &["activities_progress"],
                _ => &["activities_progress", "activities_content"],
            };
            assert!(uses(&plan, indexes), "{asked:?} {name}: {plan:#?}");
            assert!(!scans(&plan), "{asked:?} {name}: {plan:#?}");
        }
    }
    for asked in ["user=nobody", "content=nothing", "tag=none", "title=nowhere", "team=nowhere"] {
        let plan = plan(server, asked, None).await;
        assert!(plan.is_empty(), "{asked} need not be asked: {plan:#?}");
    }
    for asked in ["action=arranged", "from=2026-03-17&to=2026-03-18", "period=today"] {
        let plan = plan(server, asked, None).await;
        assert!(!sorts(&plan), "{asked}: {plan:#?}");
    }
}
