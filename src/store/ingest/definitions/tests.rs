//! Tests of the merged definitions on several replicas.

use std::sync::{Arc, OnceLock};

use super::*;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::OrgId;
use crate::base::ids::StatementId;
use crate::log::VerbTable;
use crate::record::{Envelope, Limits, Version, parse_statement};
use crate::store::db::opening::DatabaseSettings;
use crate::store::db::{Store, digest};
use uuid::Uuid;

/// A store on SQLite with contents of the keys 1 to `contents`, and its folder.
async fn store(contents: i64) -> (tempfile::TempDir, Store, OrgId) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let clock = Clock::manual(Timestamp::from_micros(0));
    let store = Store::open(&DatabaseSettings::new(url), clock, VerbTable::standard()).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    let org = OrgId::new("acme").unwrap();
    let mut tx = store.write(&org).await.unwrap();
    for key in 1..=contents {
        let insert = Sql::new(
            "INSERT INTO contents (org, key, digest, iri, id_digest, id, registered, listed, title_folded, \
             tags, cpd_labels, demands, defined_at, defined_by, tracked, typed_at, typed_by, type_tracked, recorded, \
             reprojecting) \
             VALUES ($1, $2, $3, $4, $3, $4, $5, $5, '', '[]', '[]', '{}', 0, $6, $5, 0, $6, $5, $5, $5)",
        );
        let iri = format!("urn:{key}");
        let insert = insert.with(tx.org).with(key).with(digest(&iri)).with(iri);
        tx.execute(insert.with(false).with(Uuid::nil())).await.unwrap();
    }
    tx.commit().await.unwrap();
    (folder, store, org)
}

/// Writes a batch of one record for each definition, or of one record without definition, by a replica with this cache.
async fn write(store: &Store, org: &OrgId, cache: &mut Definitions, given: &[(i64, &str)]) {
    let mut tx = store.write(org).await.unwrap();
    let text = br#"{"actor":{"mbox":"mailto:a@x.org"},"verb":{"id":"urn:v"},"object":{"id":"urn:o"}}"#;
    let statement = parse_statement(text, Version::V1, &Limits::default()).unwrap();
    let statement = Arc::new(statement);
    let records: Vec<StoredStatement> = (0..given.len().max(1))
        .map(|_| StoredStatement {
            seq: tx.next_seq(),
            id: StatementId(Uuid::nil()),
            stored: Timestamp::from_micros(0),
            statement: Arc::clone(&statement),
            envelope: Arc::new(Envelope::default()),
            voided: false,
            added_definitions: OnceLock::new(),
        })
        .collect();
    cache.merge_batch(&mut tx, &records, given).await.unwrap();
    tx.commit().await.unwrap();
}

async fn definition(store: &Store, org: &OrgId, key: i64) -> Option<String> {
    store.find_definition(org, &format!("urn:{key}")).await.unwrap()
}

const EN: &str = r#"{"name":{"en":"Fire"}}"#;
const DE: &str = r#"{"name":{"de":"Feuer"}}"#;
const OTHER: &str = r#"{"name":{"en":"Fire Safety"}}"#;

#[tokio::test]
async fn repeated_definition_is_not_read() {
    let (_folder, store, org) = store(2).await;
    let mut cache = Definitions::default();
    let batch = [(1, EN), (2, DE), (1, DE), (1, EN)];
    assert_eq!(cache.find_uncertain(&batch).len(), 2);
    write(&store, &org, &mut cache, &batch).await;
    assert_eq!(
        definition(&store, &org, 1).await.unwrap(),
        r#"{"name":{"en":"Fire","de":"Feuer"}}"#
    );
    assert_eq!(definition(&store, &org, 2).await.unwrap(), DE);
    assert!(cache.find_uncertain(&batch).is_empty());
    assert_eq!(
        cache
            .find_uncertain(&[(1, EN), (2, EN)])
            .into_keys()
            .collect::<Vec<_>>(),
        [2]
    );
    write(&store, &org, &mut cache, &batch).await;
    assert!(
        cache.find_uncertain(&batch).is_empty(),
        "no other replica has written"
    );
    write(&store, &org, &mut cache, &[(1, OTHER)]).await;
    assert_eq!(
        cache.find_uncertain(&batch).into_keys().collect::<Vec<_>>(),
        [1],
        "the English name was overwritten"
    );
}

#[tokio::test]
async fn definition_that_another_replica_overwrote_counts_again() {
    let (_folder, store, org) = store(1).await;
    let (mut here, mut there) = (Definitions::default(), Definitions::default());
    write(&store, &org, &mut here, &[(1, EN)]).await;
    write(&store, &org, &mut there, &[(1, OTHER)]).await;
    assert_eq!(definition(&store, &org, 1).await.unwrap(), OTHER);
    write(&store, &org, &mut here, &[(1, EN)]).await;
    assert_eq!(definition(&store, &org, 1).await.unwrap(), EN);
}

#[tokio::test]
async fn batch_without_definitions_is_followed() {
    let (_folder, store, org) = store(1).await;
    let (mut here, mut there) = (Definitions::default(), Definitions::default());
    write(&store, &org, &mut here, &[(1, EN)]).await;
    let generation = here.generation;
    write(&store, &org, &mut here, &[]).await;
    write(&store, &org, &mut here, &[(1, EN)]).await;
    assert_eq!(here.generation, generation, "no other replica has written");
    write(&store, &org, &mut there, &[(1, OTHER)]).await;
    write(&store, &org, &mut here, &[]).await;
    write(&store, &org, &mut here, &[(1, EN)]).await;
    assert_eq!(definition(&store, &org, 1).await.unwrap(), EN);
}

/// Three replicas write in random order. The result is that of one merge after the other.
#[tokio::test]
async fn order_of_recording_decides_on_three_replicas() {
    const CONTENTS: i64 = 3;
    let texts = [
        EN,
        DE,
        OTHER,
        r#"{"type":"urn:t"}"#,
        r#"{"type":"urn:u","extensions":{"urn:x":1}}"#,
        r#"{"extensions":{"urn:x":2,"urn:y":1}}"#,
    ];
    for seed in 1..=12_u64 {
        let (_folder, store, org) = store(CONTENTS).await;
        let mut replicas = [
            Definitions::default(),
            Definitions::default(),
            Definitions::default(),
        ];
        let mut expected: HashMap<i64, Option<String>> = HashMap::new();
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below).unwrap()
        };
        for _ in 0..40 {
            let given: Vec<(i64, &str)> = (0..=random(3))
                .map(|_| {
                    (
                        1 + random(CONTENTS as u64) as i64,
                        texts[random(texts.len() as u64)],
                    )
                })
                .collect();
            for (content, text) in &given {
                let before = expected.entry(*content).or_default();
                *before = merge(before.as_deref(), text).or(before.take());
            }
            write(&store, &org, &mut replicas[random(3)], &given).await;
            for (content, expected) in &expected {
                assert_eq!(definition(&store, &org, *content).await, *expected, "seed {seed}");
            }
        }
    }
}
