//! What releases before migration 2 didn't write beside a record, as far as it is still known: without it the answers
//! about their records would be others than about records of today.

use std::collections::{BTreeMap, HashSet};

use crate::access::caller_of_user;
use crate::record::attachment::digest_bytes;
use crate::record::{Envelope, Identifier};

use super::super::StoreError;
use super::super::db::Sql;
use super::super::ledger::OrgTx;
use super::super::sealed::Sealed;

impl OrgTx {
    /// Says who sent those of these records that have no sender: the person who vouches for them, since only credentials
    /// were written down then. The sender is what is looked for when somebody asks whom an account vouches for.
    pub(super) async fn complete_senders(
        &mut self,
        home_page: &str,
        records: &[Sealed],
        senders: &[Option<String>],
    ) -> Result<(), StoreError> {
        let mut sent: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (record, _) in records.iter().zip(senders).filter(|(_, sender)| sender.is_none()) {
            let authority = record.statement.authority.as_ref();
            if let Some(Identifier::Account { home_page: at, name }) =
                authority.and_then(|authority| authority.identifier.as_ref())
                && at == home_page
            {
                sent.entry(name).or_default().push(record.seq);
            }
        }
        for (user, records) in sent {
            let update = Sql::new("UPDATE statements SET sender = $2 WHERE org = $1 AND seq IN LIST($3)");
            self.execute(update.with(self.org).with(caller_of_user(user)).with(records))
                .await?;
        }
        Ok(())
    }

    /// Says of the attachments whose content is not kept that they came without it, so that their statement doesn't give
    /// what another one brings later.
    pub(super) async fn complete_attachments(&mut self, records: &[Sealed]) -> Result<(), StoreError> {
        let declared: HashSet<Vec<u8>> = records
            .iter()
            .flat_map(|record| record.statement.declared())
            .map(|(_, attachment)| digest_bytes(&attachment.sha2))
            .collect();
        if declared.is_empty() {
            return Ok(());
        }
        let asked: Vec<Vec<u8>> = declared.into_iter().collect();
        let select = Sql::new("SELECT sha2 FROM attachments WHERE org = $1 AND sha2 IN LIST($2)");
        let rows = self.fetch_all(select.with(self.org).with(asked)).await?;
        let kept: HashSet<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        for record in records {
            let told = &record.envelope.without_content;
            let absent: Vec<String> = record
                .statement
                .declared()
                .map(|(_, attachment)| &attachment.sha2)
                .filter(|sha2| !kept.contains(&digest_bytes(sha2)))
                .filter(|sha2| !told.iter().any(|one| one.eq_ignore_ascii_case(sha2)))
                .cloned()
                .collect();
            if absent.is_empty() {
                continue;
            }
            let envelope = Envelope {
                without_content: told.iter().cloned().chain(absent).collect(),
                ..(*record.envelope).clone()
            };
            let envelope =
                serde_json::to_string(&envelope).map_err(|error| StoreError::corrupt("envelope", error))?;
            let update = Sql::new("UPDATE statements SET envelope = $2 WHERE org = $1 AND seq = $3");
            self.execute(update.with(self.org).with(envelope).with(record.seq))
                .await?;
        }
        Ok(())
    }
}
