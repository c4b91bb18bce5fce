//! Statements that refer to statements (StatementRef): found by what they refer to says, too (xAPI 1.0.3,
//! Communication 2.1.3).
//!
//! A statement that refers to another has a *face* for each one that it refers to, directly or by others. It
//! is made when both ends of the reference are there, whichever came first, so that a filter never has to
//! follow anything: it asks an index of faces as it asks an index of statements.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::identifier_cache::{IdentifierCache, Mentioned};
use crate::store::ingest::stored_statement::{Platform, StoredStatement};

/// References followed one after another at most: a longer chain, or a ring, is followed so far.
const STEPS: i64 = 100;

/// A statement as another one is found by it.
struct Face {
    /// The statement that refers.
    head: i64,
    /// The one that it refers to.
    face: i64,
    actor: i64,
    verb: i64,
    object: Option<i64>,
    registration: Option<Uuid>,
}

impl OrgTx {
    /// Makes the faces that these records bring about, which are in the store by now: theirs, where they refer
    /// to what is there, and those of all that refers to them.
    pub(crate) async fn write_references(
        &mut self,
        seen: &mut IdentifierCache,
        platform: &Platform<'_>,
        records: Vec<i64>,
    ) -> Result<(), StoreError> {
        let heads = self.heads(records).await?;
        let faces = self.new_faces(heads).await?;
        if faces.is_empty() {
            return Ok(());
        }
        let mentioned = self.mentioned_by(seen, platform, &faces).await?;
        let mut mentions = Vec::new();
        for face in &faces {
            for one in mentioned.get(&face.face).into_iter().flatten() {
                mentions.push(vec![
                    self.org.into(),
                    one.thing.into(),
                    face.head.into(),
                    face.face.into(),
                    one.direct.into(),
                ]);
            }
        }
        const MENTIONS: [&str; 5] = ["org", "thing", "seq", "face", "direct"];
        self.insert("reference_mentions", &MENTIONS, mentions).await?;
        let rows = faces.into_iter().map(|face| {
            vec![
                self.org.into(),
                face.head.into(),
                face.face.into(),
                face.actor.into(),
                face.verb.into(),
                face.object.into(),
                face.registration.into(),
            ]
        });
        let rows = rows.collect();
        const COLUMNS: [&str; 7] = ["org", "seq", "face", "actor", "verb", "object", "registration"];
        self.insert("statement_references", &COLUMNS, rows).await
    }

    /// Every statement that refers to something, of these and of all that lead to them.
    async fn heads(&mut self, records: Vec<i64>) -> Result<Vec<i64>, StoreError> {
        let select = Sql::new(
            "WITH RECURSIVE up(org, seq, id, reference, step) AS (\
             SELECT s.org, s.seq, s.id, s.reference, 0 FROM statements s WHERE s.org = $1 AND s.seq IN LIST($2) \
             UNION SELECT s.org, s.seq, s.id, s.reference, up.step + 1 FROM up \
             JOIN statements s ON s.org = up.org AND s.reference = up.id WHERE up.step < $3) \
             SELECT DISTINCT seq FROM up WHERE reference IS NOT NULL",
        );
        let rows = self
            .fetch_all(select.with(self.org).with(records).with(STEPS))
            .await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The faces that the heads should have and don't have yet.
    async fn new_faces(&mut self, heads: Vec<i64>) -> Result<Vec<Face>, StoreError> {
        if heads.is_empty() {
            return Ok(Vec::new());
        }
        let select =
            Sql::new("SELECT seq, face FROM statement_references WHERE org = $1 AND seq IN LIST($2)");
        let rows = self.fetch_all(select.with(self.org).with(heads.clone())).await?;
        let mut known = rows
            .iter()
            .map(|row| Ok((row.get(0)?, row.get(1)?)))
            .collect::<Result<HashSet<(i64, i64)>, StoreError>>()?;
        let select = Sql::new(
            "WITH RECURSIVE down(org, head, seq, reference, step) AS (\
             SELECT s.org, s.seq, t.seq, t.reference, 1 FROM statements s \
             JOIN statements t ON t.org = s.org AND t.id = s.reference WHERE s.org = $1 AND s.seq IN LIST($2) \
             UNION SELECT t.org, down.head, t.seq, t.reference, down.step + 1 FROM down \
             JOIN statements t ON t.org = down.org AND t.id = down.reference WHERE down.step < $3) \
             SELECT down.head, t.seq, t.actor, t.verb, t.object, t.registration FROM down \
             JOIN statements t ON t.org = down.org AND t.seq = down.seq WHERE down.head <> down.seq",
        );
        let rows = self
            .fetch_all(select.with(self.org).with(heads).with(STEPS))
            .await?;
        let mut faces = Vec::new();
        for row in rows {
            let (head, face) = (row.get(0)?, row.get(1)?);
            // A ring leads to the same one many times.
            if known.insert((head, face)) {
                faces.push(Face {
                    head,
                    face,
                    actor: row.get(2)?,
                    verb: row.get(3)?,
                    object: row.get(4)?,
                    registration: row.get(5)?,
                });
            }
        }
        Ok(faces)
    }

    /// What each statement behind a face mentions, and who vouches for it: a face has no sender.
    async fn mentioned_by(
        &mut self,
        seen: &mut IdentifierCache,
        platform: &Platform<'_>,
        faces: &[Face],
    ) -> Result<HashMap<i64, Vec<Mentioned>>, StoreError> {
        let targets: HashSet<i64> = faces.iter().map(|face| face.face).collect();
        let select = Sql::new(&format!(
            "SELECT {} FROM statements s WHERE s.org = $1 AND s.seq IN LIST($2)",
            StoredStatement::COLUMNS
        ));
        let select = select
            .with(self.org)
            .with(targets.into_iter().collect::<Vec<_>>());
        let rows = self.fetch_all(select).await?;
        let records = rows
            .iter()
            .map(StoredStatement::read)
            .collect::<Result<Vec<_>, _>>()?;
        let mut mentioned: HashMap<i64, Vec<Mentioned>> = HashMap::new();
        for one in seen.recall(self, platform, &records).await? {
            mentioned.entry(one.seq).or_default().push(one);
        }
        for record in &records {
            let authority = record.statement.authority.as_ref();
            let Some(identifier) = authority.and_then(|authority| authority.identifier.as_ref()) else {
                continue;
            };
            let thing = seen.person(self, identifier).await?;
            let of_record = mentioned.entry(record.seq).or_default();
            if of_record.iter().all(|one| one.thing != thing) {
                of_record.push(Mentioned {
                    thing,
                    seq: record.seq,
                    direct: false,
                });
            }
        }
        Ok(mentioned)
    }

    /// Writes what statements mention themselves.
    pub(crate) async fn insert_mentions(&mut self, mentions: Vec<Mentioned>) -> Result<(), StoreError> {
        let rows = mentions.into_iter().map(|one| {
            vec![
                self.org.into(),
                one.thing.into(),
                one.seq.into(),
                one.direct.into(),
            ]
        });
        let rows = rows.collect();
        self.insert("mentions", &["org", "thing", "seq", "direct"], rows)
            .await
    }
}
