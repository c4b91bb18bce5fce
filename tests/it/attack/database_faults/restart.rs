//! A database that restarts, fails over or refuses connections.

use std::time::Duration;

use super::reads::end_connections;
use super::{Load, Server, check_answers};
use crate::support::Database;
use crate::support::proxy::Proxy;
use crate::support::server::run_with_database;

#[test]
fn ended_connections_are_replaced_within_the_request() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let server = Server::start(&database.url());
        server.set_up().await;
        server.open_connections().await;
        for round in 0..4 {
            end_connections(database).await;
            for number in 0..12 {
                let (status, _) = server.request(number).await;
                assert!(status < 300, "request {number} of round {round}: {status}");
            }
        }
    });
}

#[test]
fn requests_under_way_pass_or_are_refused_when_connections_end() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let server = Server::start(&database.url());
        server.set_up().await;
        let load = Load::start(&server, 6);
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            end_connections(database).await;
        }
        let answers = load.stop().await;
        check_answers("ended connections", &answers);
        let refused = answers.iter().filter(|(status, _)| *status == 503).count();
        assert!(refused * 4 < answers.len(), "{refused} of {} are refused", answers.len());
    });
}

/// A restart of a second is not noticed: requests wait for it.
#[test]
fn short_restart_is_waited_for() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let proxy = Proxy::start(database).await;
        let server = Server::start(&proxy.url(database));
        server.set_up().await;
        server.open_connections().await;
        proxy.refuse(true);
        proxy.cut();
        let requests = futures_util::future::join_all((0..16).map(|number| server.request(number)));
        let restart = async {
            tokio::time::sleep(Duration::from_millis(800)).await;
            proxy.refuse(false);
        };
        let (answers, ()) = tokio::join!(requests, restart);
        for (status, _) in &answers {
            assert!(*status < 300, "{status}");
        }
        check_answers("a restart of 0.8 s", &answers);
    });
}
