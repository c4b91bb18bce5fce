//! A server on a cluster of Patroni, of which the primary is killed under load.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::hosts::{admin_at, start_at};
use crate::support::builders::{activity, user};
use crate::support::helpers::PatroniCluster;
use crate::support::http::Caller;

/// The requests at a time while the primary is killed.
const WRITERS: usize = 4;
/// The time within which Patroni notices the loss of a node (`ttl`, 20 seconds) and promotes the other one.
const FAILOVER_TIME: Duration = Duration::from_secs(60);

/// What the writers have done.
#[derive(Default)]
struct Written {
    /// The ids of the acknowledged activities.
    acknowledged: BTreeSet<String>,
    last: Option<Instant>,
    /// The longest time between two acknowledgements.
    longest_gap: Duration,
}

impl Written {
    fn note(&mut self, id: String) {
        self.acknowledged.insert(id);
        let gap = self.last.replace(Instant::now()).map_or(Duration::ZERO, |last| last.elapsed());
        self.longest_gap = self.longest_gap.max(gap);
    }
}

/// Records activities until `stop`, and notes those that are acknowledged.
async fn write(admin: Caller, written: Arc<Mutex<Written>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        let created = admin.post("/v1/activities", &activity("low", "logged_in")).await;
        if created.status == 201 {
            let id = created.json()["id"].as_str().expect("an id").to_owned();
            written.lock().expect("no writer panics").note(id);
        } else {
            assert_eq!(created.status, 503, "{}", created.text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The node whose PostgreSQL is the primary, from 0.
async fn find_primary(cluster: &PatroniCluster, name: &str) -> usize {
    for node in 0..cluster.hosts.len() {
        if let Ok(mut connection) = PgConnection::connect(&cluster.url_of(node, name)).await {
            let query = sqlx::query_scalar::<_, bool>("SELECT pg_is_in_recovery()");
            if matches!(query.fetch_one(&mut connection).await, Ok(false)) {
                return node;
            }
        }
    }
    panic!("the cluster has no primary");
}

#[test]
fn killed_primary_loses_no_acknowledged_activity_and_the_server_goes_on() {
    let Some(cluster) = PatroniCluster::start() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let primary = find_primary(&cluster, "postgres").await;
        let mut connection =
            PgConnection::connect(&cluster.url_of(primary, "postgres")).await.expect("the primary answers");
        sqlx::raw_sql("CREATE DATABASE rollbook").execute(&mut connection).await.expect("it is created");
        let process = start_at(cluster.url("rollbook")).await;
        let admin = admin_at(&process);
        admin.put("/v1/users/low", &user("low")).await.expect(201);

        let (written, stop) = (Arc::<Mutex<Written>>::default(), Arc::<AtomicBool>::default());
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| tokio::spawn(write(admin.clone(), Arc::clone(&written), Arc::clone(&stop))))
            .collect();
        let count = || written.lock().expect("no writer panics").acknowledged.len();
        wait_for(|| count() > 50, "nothing is recorded").await;
        cluster.kill(primary);
        let before = count();
        wait_for(|| count() > before + 50, "the server does not go on after the fail-over").await;
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.expect("a writer ends");
        }

        let written = std::mem::take(&mut *written.lock().expect("no writer panics"));
        println!("writes were refused for {:?}", written.longest_gap);
        for id in &written.acknowledged {
            admin.get(&format!("/v1/activities/{id}")).await.expect(200);
        }
        drop(process);
    });
}

async fn wait_for(is_done: impl Fn() -> bool, failure: &str) {
    let begin = Instant::now();
    while !is_done() {
        assert!(begin.elapsed() < FAILOVER_TIME, "{failure}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl PatroniCluster {
    /// Kills Patroni and PostgreSQL of a node, as a loss of power does.
    fn kill(&self, node: usize) {
        let folder = self.folder.join(format!("node-{}", node + 1));
        for file in ["pid", "data/postmaster.pid"] {
            let text = std::fs::read_to_string(folder.join(file)).expect("the file of the process");
            let id = text.lines().next().expect("a number").trim().to_owned();
            let killed = Command::new("kill").args(["-KILL", &id]).status();
            assert!(killed.expect("kill runs").success(), "{file}");
        }
    }
}
