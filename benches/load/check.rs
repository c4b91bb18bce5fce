//! Compares the rows of a small load with those that a rebuild makes of the same records.

use rollbook::base::Clock;
use rollbook::base::ids::OrgId;
use rollbook::log::VerbTable;
use rollbook::store::{DatabaseSettings, Store};
use serde_json::Value as Json;
use tokio::runtime::Runtime;

use super::postgres::PostgresTarget;
use super::sqlite::SqliteTarget;
use super::{Target, end_of_data, load};
use crate::data;

/// The tables that follow from the records, each with the columns that say what a row means.
const DERIVED: [(&str, &str); 6] = [
    (
        "activities",
        "seq, happened_at, stored_at, person, verb, content, part, action, origin, completed, latest, answers, success, certified, scaled, percent, seconds, time_limit, expired_at, certificate_expires_at, certificate_name, response, device_type, source, device_type_folded, source_folded",
    ),
    ("mentions", "thing, seq, direct"),
    ("persons", "key, name, named_at, tracked, user_key, deactivated"),
    (
        "contents",
        "key, title, type, recorded, listed, tracked, definition",
    ),
    ("verbs", "key, iri, display"),
    ("statements", "seq, actor, verb, object, voided"),
];

/// Loads `rows` records, rebuilds the log, and fails if a row of it has changed.
pub fn run(url: &str, rows: u64) {
    load(url, rows, end_of_data());
    let open = || -> Box<dyn Target> {
        match url.strip_prefix("sqlite:") {
            Some(path) => Box::new(SqliteTarget::open(path)),
            None => Box::new(PostgresTarget::open(url)),
        }
    };
    let read = || -> Vec<Vec<Json>> {
        let mut target = open();
        DERIVED
            .iter()
            .map(|(table, columns)| target.read(columns, &format!("FROM {table} ORDER BY 1")))
            .collect()
    };
    let loaded = sorted(read());
    let runtime = Runtime::new().expect("a runtime starts");
    let replayed = runtime.block_on(async {
        let store = Store::open(
            &DatabaseSettings::new(url),
            Clock::system(),
            VerbTable::standard(),
        )
        .await;
        let store = store.expect("the database opens");
        let organisation = OrgId::new(data::ORGANISATION).expect("an id");
        let replayed = store.rebuild(&organisation).await.expect("the log is rebuilt");
        store.close().await;
        replayed
    });
    assert!(
        replayed >= rows,
        "all {rows} records are replayed, not only {replayed}"
    );
    let rebuilt = sorted(read());
    for ((table, _), (before, after)) in DERIVED.iter().zip(loaded.iter().zip(&rebuilt)) {
        let difference = before.iter().zip(after).find(|(before, after)| before != after);
        assert!(
            difference.is_none() && before.len() == after.len(),
            "a rebuild changes rows of {table} ({} before, {} after): {difference:?}",
            before.len(),
            after.len()
        );
        println!("{table}: {} rows stay as they are", before.len());
    }
}

fn sorted(mut tables: Vec<Vec<Json>>) -> Vec<Vec<Json>> {
    for rows in &mut tables {
        rows.sort_by_cached_key(ToString::to_string);
    }
    tables
}
