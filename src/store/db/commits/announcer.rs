//! Tells the other replicas of commits on PostgreSQL, and hears of theirs.
//!
//! Each replica has one connection for both, besides its pools. `NOTIFY` takes a lock of the whole server at its commit,
//! so the commits of all organisations go out together, and then the task pauses. A lost notification does no harm: the
//! ledgers are read anyway.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{CommitSignal, Committed};
use crate::store::db::database::Db;
use crate::store::db::postgres::Hosts;
use crate::store::db::{Store, StoreError};

/// The channel of the notifications.
const CHANNEL: &str = "rollbook_commits";
/// The time between two announcements.
const PAUSE: Duration = Duration::from_millis(40);
/// The time within which the database answers a statement of the connection.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// The time without an answer after which the connection is tested.
const TEST_EVERY: Duration = Duration::from_secs(10);
/// The first pause before a lost connection is opened again. It doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a lost connection is opened again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The organisations that one notification names. A notification has at most 8,000 bytes, and three numbers have at
/// most 60.
const ORGANISATIONS: usize = 120;

impl Store {
    /// Announces the commits of this process and hears of the others', until the future is dropped.
    pub(super) async fn announce_commits(&self) {
        let Db::Postgres {
            announcing: Some(announcing),
            ..
        } = self.db()
        else {
            // One process owns the file of SQLite. Behind a pooler that lends connections, only the ledgers tell.
            return;
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let begin = Instant::now();
            // An error of the last connection is no reason to wait long for the next one.
            if let Err(error) = self.announce_until_lost(announcing).await {
                tracing::debug!(%error, "the connection that announces commits was lost");
            }
            pause = match begin.elapsed() > LONGEST_PAUSE {
                true => FIRST_PAUSE,
                false => (pause * 2).min(LONGEST_PAUSE),
            };
            sleep(pause).await;
        }
    }

    /// Opens a connection and uses it until it is lost.
    async fn announce_until_lost(&self, hosts: &Hosts) -> Result<(), StoreError> {
        if hosts.are_several() {
            hosts.find_primary(ANSWER_TIME).await?;
        }
        // A pool for each connection: a silent one is closed in the background and must not delay the next one.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(ANSWER_TIME)
            .connect_lazy_with(hosts.primary());
        let mut listener = within(PgListener::connect_with(&pool)).await?;
        listener.ignore_pool_close_event(true);
        listener.eager_reconnect(false);
        within(listener.listen(CHANNEL)).await?;
        let signal = self.commits();
        signal.announce(true);
        let (mut next_announcement, mut last_answer) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                received = listener.try_recv() => match received? {
                    Some(notification) => {
                        for (org, committed) in parse_payload(notification.payload()) {
                            signal.publish(org, committed);
                        }
                    }
                    None => return Ok(()),
                },
                () = signal.wait_for_waiting(next_announcement) => {
                    notify(&mut listener, payloads(signal.take_waiting())).await?;
                    (next_announcement, last_answer) = (Instant::now() + PAUSE, Instant::now());
                }
                () = sleep_until(last_answer + TEST_EVERY) => {
                    within(sqlx::query("SELECT 1").execute(&mut listener)).await?;
                    last_answer = Instant::now();
                }
            }
        }
    }
}

impl CommitSignal {
    /// Ready when commits wait for an announcement, but not before `earliest`.
    async fn wait_for_waiting(&self, earliest: Instant) {
        sleep_until(earliest).await;
        loop {
            let notified = self.has_waiting.notified();
            if !self.waiting().is_empty() {
                return;
            }
            notified.await;
        }
    }

    fn announce(&self, is_announced: bool) {
        self.is_announced
            .store(is_announced, std::sync::atomic::Ordering::Relaxed);
    }
}

async fn notify(listener: &mut PgListener, payloads: Vec<String>) -> Result<(), StoreError> {
    let notify = sqlx::query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload");
    within(notify.bind(CHANNEL).bind(payloads).execute(listener)).await?;
    Ok(())
}

/// The texts that name the commits: `organisation:seq:directory`, separated by commas.
fn payloads(commits: HashMap<i64, Committed>) -> Vec<String> {
    let names: Vec<String> = commits
        .into_iter()
        .map(|(org, Committed { seq, directory })| format!("{org}:{seq}:{directory}"))
        .collect();
    names.chunks(ORGANISATIONS).map(|names| names.join(",")).collect()
}

/// The commits that a text names. Other programs can notify on the same channel, so what is no commit is skipped.
fn parse_payload(payload: &str) -> impl Iterator<Item = (i64, Committed)> {
    payload.split(',').filter_map(|name| {
        let mut numbers = name.split(':').map(str::parse);
        let mut next = || numbers.next()?.ok();
        let (org, seq, directory) = (next()?, next()?, next()?);
        Some((org, Committed { seq, directory }))
    })
}

/// Waits for an answer of the database up to the limit.
async fn within<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match timeout(ANSWER_TIME, answer).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(StoreError::silence(ANSWER_TIME)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_name_all_commits_and_are_short_enough() {
        let committed = |number: i64| Committed {
            seq: i64::MAX - number,
            directory: i64::MAX - 2 * number,
        };
        let commits: HashMap<i64, Committed> = (0..1_000)
            .map(|number| (i64::MAX - number, committed(number)))
            .collect();
        let payloads = payloads(commits.clone());
        assert!(payloads.iter().all(|payload| payload.len() < 8_000));
        let parsed: HashMap<i64, Committed> = payloads
            .iter()
            .flat_map(|payload| parse_payload(payload))
            .collect();
        assert_eq!(parsed, commits);
    }

    #[test]
    fn payload_of_another_program_names_nothing() {
        for payload in ["", "hello", "1:2", "1:x:3", ",,", "1:2:99999999999999999999"] {
            assert_eq!(parse_payload(payload).count(), 0, "{payload}");
        }
    }
}
