//! What Activities are, as all records together say it: the merged definition of each content (xAPI 1.0.3,
//! Communication 2.5).
//!
//! The definitions in records are merged in the order of recording, so that a replay gives the same. Nearly
//! every record repeats what is known, and many say it of one and the same Activity. So it is remembered, by
//! digests, which texts change nothing in what is kept: as long as only those are said, nothing is read, parsed
//! or written.
//!
//! # With several replicas
//!
//! What is remembered must never be behind what is kept: else a text that another replica's records have
//! overtaken would be taken for known, when it counts again from now on. It is not enough, therefore, to read
//! anew where a text is news to this replica. What makes the memory exact is this:
//!
//! - Definitions change in two places: here, in the transaction that writes the records which say them, and in a
//!   rebuild, after which every replica forgets all it has seen.
//! - Records are numbered without gaps under the organisation's ledger, in the order of commit. So where a batch's
//!   numbers follow upon those of the last batch that was written here, nobody has written a record in between.
//! - Where they don't, everything remembered is doubtful, and what the batch speaks of is read again before it
//!   is used, under the same lock. A digest tells whether it is still what it was; then what was known of it
//!   holds on, since whether a text changes it depends on the two texts alone.
//!
//! So one replica alone reads nothing in the steady state, and one of several at most one row for each Activity
//! of a batch, by key. None makes the others forget what they have seen.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

use crate::record::definition::merge;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::stored_statement::StoredStatement;

/// Activities remembered at most; past it the memory is emptied.
const REMEMBERED: usize = 50_000;
/// Texts remembered of each Activity: those that several senders say by turns.
const TEXTS: usize = 4;
/// Definitions read at a time: each has at most a mebibyte, so that memory stays flat.
const READ_AT_ONCE: usize = 100;

type Fingerprint = [u8; 32];

/// What is remembered of one organisation's definitions.
#[derive(Default)]
pub(crate) struct Definitions {
    known: HashMap<i64, Known>,
    /// The number of the last record whose definitions are in what is kept.
    through: i64,
    /// Moves whenever somebody else has written in between.
    generation: u64,
}

/// What is remembered of one Activity's definition.
#[derive(Default)]
struct Known {
    /// When it was last the definition that is kept.
    generation: u64,
    /// The definition; none while nothing was said.
    kept: Option<Fingerprint>,
    /// Texts that change nothing in it, the latest last.
    within: Vec<Fingerprint>,
}

/// A definition that a record says.
struct NewDefinition<'s> {
    text: &'s str,
    fingerprint: Fingerprint,
}

impl Definitions {
    /// The number of Activities.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Merges what the records of a batch say: `said` are keys of contents and definitions, in the order of
    /// recording and, within a record, its object's first, then as [`crate::record::Statement::mentions`] has
    /// them. The contents must be there already. Called for every batch, also where it says nothing, so that
    /// the numbers of its records are known as followed.
    pub(crate) async fn define(
        &mut self,
        tx: &mut OrgTx,
        records: &[StoredStatement],
        said: &[(i64, &str)],
    ) -> Result<(), StoreError> {
        self.follow(records);
        let doubtful: Vec<(i64, Vec<NewDefinition<'_>>)> = self.doubtful(said).into_iter().collect();
        for contents in doubtful.chunks(READ_AT_ONCE) {
            self.settle(tx, contents).await?;
        }
        Ok(())
    }

    /// Finds out whether somebody else has written since the last batch.
    fn follow(&mut self, records: &[StoredStatement]) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return;
        };
        if self.known.len() > REMEMBERED {
            self.known.clear();
        }
        if first.seq != self.through + 1 {
            self.generation += 1;
        }
        self.through = last.seq;
    }

    /// All that was said of those contents of which something may be new, in the order of their keys, as all
    /// that is shared is touched.
    fn doubtful<'s>(&self, said: &[(i64, &'s str)]) -> BTreeMap<i64, Vec<NewDefinition<'s>>> {
        let mut all: BTreeMap<i64, Vec<NewDefinition<'s>>> = BTreeMap::new();
        for (content, text) in said {
            let fingerprint = fingerprint(text);
            all.entry(*content)
                .or_default()
                .push(NewDefinition { text, fingerprint });
        }
        all.retain(|content, said| match self.known.get(content) {
            Some(known) if known.generation == self.generation => {
                said.iter().any(|one| !known.within.contains(&one.fingerprint))
            }
            _ => true,
        });
        all
    }

    /// Reads what is kept of these contents, merges what was said of them, and writes what changed.
    async fn settle(
        &mut self,
        tx: &mut OrgTx,
        contents: &[(i64, Vec<NewDefinition<'_>>)],
    ) -> Result<(), StoreError> {
        let keys: Vec<i64> = contents.iter().map(|(content, _)| *content).collect();
        let select = Sql::new("SELECT key, definition FROM contents WHERE org = $1 AND key IN LIST($2)");
        let mut kept: HashMap<i64, Option<String>> = HashMap::with_capacity(keys.len());
        for row in tx.fetch_all(select.with(tx.org).with(keys)).await? {
            kept.insert(row.get(0)?, row.get(1)?);
        }
        for (content, said) in contents {
            let kept = kept.remove(content).ok_or(StoreError::Invariant(
                "a definition of a content that is not there",
            ))?;
            let known = self.known.entry(*content).or_default();
            known.generation = self.generation;
            known.find(kept.as_deref());
            if let Some(merged) = known.observe(kept, said) {
                let update = Sql::new("UPDATE contents SET definition = $3 WHERE org = $1 AND key = $2");
                tx.execute(update.with(tx.org).with(*content).with(merged))
                    .await?;
            }
        }
        Ok(())
    }
}

impl Known {
    /// Notes what is kept now: what was known of another definition doesn't hold any more.
    fn find(&mut self, kept: Option<&str>) {
        let found = kept.map(fingerprint);
        if self.kept != found {
            (self.kept, self.within) = (found, Vec::new());
        }
    }

    /// Merges what was said into what is kept; answers what is to be written, where that is something else.
    fn observe(&mut self, mut kept: Option<String>, said: &[NewDefinition<'_>]) -> Option<String> {
        let mut changed = false;
        for one in said {
            if self.within.contains(&one.fingerprint) {
                continue;
            }
            if let Some(merged) = merge(kept.as_deref(), one.text) {
                self.find(Some(&merged));
                kept = Some(merged);
                changed = true;
            }
            if self.within.len() >= TEXTS {
                self.within.remove(0);
            }
            self.within.push(one.fingerprint);
        }
        kept.filter(|_| changed)
    }
}

fn fingerprint(text: &str) -> Fingerprint {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::clock::{Clock, Timestamp};
    use crate::base::ids::OrgId;
    use crate::base::ids::StatementId;
    use crate::log::VerbTable;
    use crate::record::{Envelope, Limits, Version, parse_statement};
    use crate::store::db::database::DatabaseSettings;
    use crate::store::db::{Store, digest};
    use uuid::Uuid;

    /// A store on SQLite with contents of the keys 1 to `contents`, and the folder that it lives in.
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
                 tags, cpd_labels, demands, defined_at, defined_by, contested, reprojecting) \
                 VALUES ($1, $2, $3, $4, $3, $4, $5, $5, '', '[]', '[]', '{}', 0, $6, $5, $5)",
            );
            let iri = format!("urn:{key}");
            let insert = insert.with(tx.org).with(key).with(digest(&iri)).with(iri);
            tx.execute(insert.with(false).with(Uuid::nil())).await.unwrap();
        }
        tx.commit().await.unwrap();
        (folder, store, org)
    }

    /// Writes a batch of as many records as things are said, or one, by a replica with that memory.
    async fn write(store: &Store, org: &OrgId, memory: &mut Definitions, said: &[(i64, &str)]) {
        let mut tx = store.write(org).await.unwrap();
        let text = br#"{"actor":{"mbox":"mailto:a@x.org"},"verb":{"id":"urn:v"},"object":{"id":"urn:o"}}"#;
        let statement = parse_statement(text, Version::V1, &Limits::default()).unwrap();
        let statement = Arc::new(statement);
        let records: Vec<StoredStatement> = (0..said.len().max(1))
            .map(|_| StoredStatement {
                seq: tx.next_seq(),
                id: StatementId(Uuid::nil()),
                stored: Timestamp::from_micros(0),
                statement: Arc::clone(&statement),
                envelope: Arc::new(Envelope::default()),
                voided: false,
            })
            .collect();
        memory.define(&mut tx, &records, said).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn kept(store: &Store, org: &OrgId, key: i64) -> Option<String> {
        store.find_definition(org, &format!("urn:{key}")).await.unwrap()
    }

    const EN: &str = r#"{"name":{"en":"Fire"}}"#;
    const DE: &str = r#"{"name":{"de":"Feuer"}}"#;
    const OTHER: &str = r#"{"name":{"en":"Fire Safety"}}"#;

    #[tokio::test]
    async fn what_is_said_again_is_not_looked_at() {
        let (_folder, store, org) = store(2).await;
        let mut memory = Definitions::default();
        let batch = [(1, EN), (2, DE), (1, DE), (1, EN)];
        assert_eq!(memory.doubtful(&batch).len(), 2);
        write(&store, &org, &mut memory, &batch).await;
        assert_eq!(
            kept(&store, &org, 1).await.unwrap(),
            r#"{"name":{"en":"Fire","de":"Feuer"}}"#
        );
        assert_eq!(kept(&store, &org, 2).await.unwrap(), DE);
        assert!(memory.doubtful(&batch).is_empty());
        assert_eq!(
            memory
                .doubtful(&[(1, EN), (2, EN)])
                .into_keys()
                .collect::<Vec<_>>(),
            [2]
        );
        write(&store, &org, &mut memory, &batch).await;
        assert!(memory.doubtful(&batch).is_empty(), "nobody else has written");
        write(&store, &org, &mut memory, &[(1, OTHER)]).await;
        assert_eq!(
            memory.doubtful(&batch).into_keys().collect::<Vec<_>>(),
            [1],
            "en was overtaken"
        );
    }

    #[tokio::test]
    async fn what_another_replica_overtook_counts_again() {
        let (_folder, store, org) = store(1).await;
        let (mut here, mut there) = (Definitions::default(), Definitions::default());
        write(&store, &org, &mut here, &[(1, EN)]).await;
        write(&store, &org, &mut there, &[(1, OTHER)]).await;
        assert_eq!(kept(&store, &org, 1).await.unwrap(), OTHER);
        write(&store, &org, &mut here, &[(1, EN)]).await;
        assert_eq!(kept(&store, &org, 1).await.unwrap(), EN);
    }

    #[tokio::test]
    async fn batches_that_say_nothing_are_followed_too() {
        let (_folder, store, org) = store(1).await;
        let (mut here, mut there) = (Definitions::default(), Definitions::default());
        write(&store, &org, &mut here, &[(1, EN)]).await;
        let generation = here.generation;
        write(&store, &org, &mut here, &[]).await;
        write(&store, &org, &mut here, &[(1, EN)]).await;
        assert_eq!(here.generation, generation, "nobody else has written");
        write(&store, &org, &mut there, &[(1, OTHER)]).await;
        write(&store, &org, &mut here, &[]).await;
        write(&store, &org, &mut here, &[(1, EN)]).await;
        assert_eq!(kept(&store, &org, 1).await.unwrap(), EN);
    }

    /// Three replicas by turns, at random: what is kept is what one merge after the other gives.
    #[tokio::test]
    async fn whoever_writes_the_order_of_recording_decides() {
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
                let said: Vec<(i64, &str)> = (0..=random(3))
                    .map(|_| {
                        (
                            1 + random(CONTENTS as u64) as i64,
                            texts[random(texts.len() as u64)],
                        )
                    })
                    .collect();
                for (content, text) in &said {
                    let before = expected.entry(*content).or_default();
                    *before = merge(before.as_deref(), text).or(before.take());
                }
                write(&store, &org, &mut replicas[random(3)], &said).await;
                for (content, expected) in &expected {
                    assert_eq!(kept(&store, &org, *content).await, *expected, "seed {seed}");
                }
            }
        }
    }
}
