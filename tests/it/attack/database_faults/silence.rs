//! A network or a database that does not answer and closes nothing.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{ANSWER_TIME, Load, Server, check_answers, viewed};
use crate::support::proxy::Proxy;
use crate::support::server::run_with_database;
use crate::support::{Database, watch};

/// The time within which the server works again after the network does.
const RECOVERY: Duration = Duration::from_secs(10);

#[test]
fn silent_connections_are_replaced_within_seconds() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let proxy = Proxy::start(database).await;
        let server = Server::start(&proxy.url(database));
        server.set_up().await;
        server.open_connections().await;
        let load = Load::start(&server, 6);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let opened = proxy.accepted();
        proxy.silence_open_connections();
        let recovery = server.wait_until_it_works(20, RECOVERY).await;
        println!("measured: silent connections: recovered after {recovery:?}");
        assert!(proxy.accepted() > opened, "new connections are opened");
        check_answers("silent connections", &load.stop().await);
    });
}

/// A read that is under way on a silent connection is answered by another one.
#[test]
fn reads_under_way_are_answered_by_other_connections() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let proxy = Proxy::start(database).await;
        let server = Server::start(&proxy.url(database));
        server.set_up().await;
        server.open_connections().await;
        let readers = join_all((0..3).map(|_| async {
            let mut answers = Vec::new();
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(6) {
                answers.push(server.request(2 * answers.len()).await);
            }
            answers
        }));
        let fault = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            proxy.silence_open_connections();
        };
        let (answers, ()) = tokio::join!(readers, fault);
        let answers = answers.concat();
        check_answers("reads on silent connections", &answers);
        let refused = answers.iter().filter(|(status, _)| *status == 503).count();
        assert_eq!(refused, 0);
    });
}

/// No request is under way when the connections become silent. The next ones find them out by a test.
#[test]
fn silent_idle_connections_delay_requests_by_seconds_only() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let proxy = Proxy::start(database).await;
        let server = Server::start(&proxy.url(database));
        server.set_up().await;
        server.open_connections().await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        proxy.silence_open_connections();
        // The background asks the database too. For 250 milliseconds after its answer, connections are not tested.
        tokio::time::sleep(Duration::from_millis(400)).await;
        let requests = join_all((0..8).map(|number| server.request(number))).await;
        for (status, time) in &requests {
            assert!(*status < 300, "{status}");
            assert!(*time < Duration::from_secs(5), "{time:?}");
        }
        check_answers("silent idle connections", &requests);
    });
}

/// Silent idle connections are not tested one after the other: a request would wait for each of them.
#[test]
fn one_request_waits_for_one_silent_idle_connection() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let proxy = Proxy::start(database).await;
        let server = Server::start(&proxy.url(database));
        server.set_up().await;
        for round in 0..3 {
            server.open_connections().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            proxy.silence_open_connections();
            tokio::time::sleep(Duration::from_millis(400)).await;
            let answer = server.request(2 * round).await;
            assert!(answer.0 < 300, "round {round}: {answer:?}");
            check_answers("one request on silent idle connections", &[answer]);
        }
    });
}

#[test]
fn requests_end_while_the_whole_network_is_silent() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let proxy = Proxy::start(database).await;
        let server = Server::start(&proxy.url(database));
        server.set_up().await;
        server.open_connections().await;
        let attack = async {
            proxy.silence_new_connections(true);
            proxy.silence_open_connections();
            let answers = join_all((0..24).map(|number| server.request(number))).await;
            for (status, _) in &answers {
                assert_eq!(*status, 503);
            }
            check_answers("a silent network", &answers);
            proxy.silence_new_connections(false);
            // Connections that were opened meanwhile stay silent.
            let recovery = server.wait_until_it_works(20, RECOVERY).await;
            println!("measured: a silent network: recovered after {recovery:?}");
        };
        let live = format!("{}/health/live", server.process.base);
        let ((), measured) =
            watch::watch("a silent network", &server.process, move |client| client.get(&live), attack).await;
        assert_eq!(measured.failed, 0, "the process itself answers");
        assert!(measured.latency(0.99) < Duration::from_secs(1), "{measured}");
    });
}

#[test]
fn waiting_records_are_answered_together() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let proxy = Proxy::start(database).await;
        let server = Server::start(&proxy.url(database));
        server.set_up().await;
        proxy.refuse(true);
        proxy.cut();
        let begin = Instant::now();
        let writers = (0..24).map(|_| async {
            let answer = server.admin.post("/v1/activities", &viewed()).await.expect(503);
            assert_eq!(answer.json()["code"], "database-unavailable");
            assert!(answer.headers.contains_key("retry-after"));
            begin.elapsed()
        });
        let times = join_all(writers).await;
        let (first, last) = (times.iter().min().expect("a time"), times.iter().max().expect("a time"));
        println!("measured: 24 writers without a database: first {first:?}, last {last:?}");
        assert!(*last < ANSWER_TIME, "{last:?}");
        assert!(*last - *first < Duration::from_secs(2), "{first:?} to {last:?}");
        proxy.refuse(false);
        let recovery = server.wait_until_it_works(8, RECOVERY).await;
        println!("measured: refused connections: recovered after {recovery:?}");
    });
}
