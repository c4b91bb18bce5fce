//! Tests of the queries.

use super::*;
use crate::base::clock::Clock;
use crate::log::VerbTable;
use crate::store::db::opening::DatabaseSettings;
use uuid::Uuid;

/// Compares the SQL with [`ProgressStatus::from_rows`] for all actions, completed or not, expired or not.
#[tokio::test]
async fn state_in_sql_equals_state_of_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let clock = Clock::manual(Timestamp::from_micros(0));
    let store = Store::open(&DatabaseSettings::new(url), clock, VerbTable::standard()).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    let now = Timestamp::from_micros(1_000);
    let mut rows = Vec::new();
    for action in Action::ALL.iter().copied() {
        for completed in [action.completes(), action != Action::Failed] {
            for expired_at in [None, Some(999), Some(1_000)] {
                let seq = rows.len() as i64;
                rows.push(OutcomeActivity {
                    seq,
                    id: StatementId(Uuid::from_u128(seq as u128)),
                    happened_at: Timestamp::from_micros(seq),
                    action,
                    completed,
                    expired_at: expired_at.map(Timestamp::from_micros),
                    percent: None,
                    certificate: None,
                });
            }
        }
    }
    let mut tx = store.write(&OrgId::new("acme").unwrap()).await.unwrap();
    for row in &rows {
        let insert = Sql::new(
            "INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, \
             completed, certified, expired_at) VALUES ($1, $2, $3, $2, 0, 0, 0, 0, $4, 0, $5, FALSE, $6)",
        );
        let insert = insert
            .with(tx.org)
            .with(row.seq)
            .with(row.id.0)
            .with(row.action.code());
        let insert = insert
            .with(row.completed)
            .with(row.expired_at.map(Timestamp::micros));
        tx.execute(insert).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut select = Sql::new("SELECT ");
    push_state(&mut select, now);
    select.push(" FROM activities a ORDER BY a.seq");
    let states: Vec<(i64,)> = store.db().fetch_rows(select).await.unwrap();
    assert_eq!(states.len(), rows.len());
    for (row, (code,)) in rows.iter().zip(states) {
        let started = row.action.starts_learning().then_some(row.happened_at);
        let expected = ProgressStatus::from_rows(std::slice::from_ref(row), started, now).state;
        assert_eq!(State::from_code(code), Some(expected), "{row:?}");
    }
}
