//! A database that answers, and refuses: too many connections, or a locked table.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::reads::end_connections;
use super::{ANSWER_TIME, Server, check_answers};
use crate::support::Database;
use crate::support::server::run_with_database;

#[test]
fn too_many_connections_are_refused_in_time_until_there_are_fewer() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let Database::Postgres { name, .. } = database else {
            unreachable!("the database is PostgreSQL");
        };
        // The role of the other tests may always connect.
        let role = format!("{name}_few");
        let create =
            format!("CREATE ROLE {role} LOGIN PASSWORD 'few'; ALTER DATABASE {name} OWNER TO {role}");
        database.execute(&create).await;
        let options: PgConnectOptions = database.url().parse().expect("a URL");
        let server = Server::start(options.username(&role).password("few").to_url_lossy().as_str());
        server.set_up().await;
        database.execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await;
        end_connections(database).await;
        let answers = join_all((0..12).map(|number| server.request(number))).await;
        check_answers("too many connections", &answers);
        assert!(answers.iter().all(|(status, _)| *status == 503), "{answers:?}");
        database.execute(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
        let recovery = server.wait_until_it_works(12, Duration::from_secs(10)).await;
        println!("measured: too many connections: recovered after {recovery:?}");
        drop(server);
        let delete = format!(
            "ALTER DATABASE {name} OWNER TO CURRENT_USER; REASSIGN OWNED BY {role} TO CURRENT_USER; \
             DROP OWNED BY {role}; DROP ROLE {role}"
        );
        database.execute(&delete).await;
    });
}

#[test]
fn locked_table_is_waited_for_within_limits() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let server = Server::start(&database.url());
        server.set_up().await;
        let lock = database.lock_table("teams").await;
        let begin = Instant::now();
        let refused = server.admin.get("/v1/teams").await.expect(503);
        println!("measured: a locked table: refused after {:?}", begin.elapsed());
        assert!(begin.elapsed() < ANSWER_TIME, "{:?}", begin.elapsed());
        assert!(refused.headers.contains_key("retry-after"));
        server.admin.get("/v1/organisation").await.expect(200);
        lock.close().await.expect("it closes");
        server.admin.get("/v1/teams").await.expect(200);
    });
}

/// The columns for counting are loaded by a COPY, which the database refuses while the log is locked. The driver does not
/// read the end of such a COPY, so its connection must not serve other requests: they would find nothing.
#[test]
fn locked_log_leaves_no_connection_that_finds_nothing() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let server = Server::start(&database.url());
        server.set_up().await;
        // All connections have prepared the queries of a page.
        let read_pages = async || {
            for _ in 0..5 {
                let pages = join_all((0..24).map(|_| server.admin.get("/v1/activities"))).await;
                for page in pages {
                    let page = page.expect(200).json();
                    assert_eq!(page["activities"].as_array().map(Vec::len), Some(1), "{page}");
                }
            }
        };
        read_pages().await;
        let lock = database.lock_table("activities").await;
        let copies = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock' AND query LIKE 'COPY%'";
        let admin = server.admin.clone();
        let counted =
            tokio::spawn(async move { admin.get("/v1/activities/summary?by=action").await.expect(503) });
        database.wait_for_number(copies, 1).await;
        counted.await.expect("the count is refused");
        database.wait_for_number(copies, 0).await;
        lock.close().await.expect("it closes");
        read_pages().await;
    });
}
