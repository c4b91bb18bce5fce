//! The records that a subscription has sent. It tells the receiver when one of them is gone, and nothing about others.
//!
//! A record is written here before its first attempt: after an attempt without an answer, or a crash, the receiver may have it.

use std::collections::HashSet;

use crate::base::ids::StatementId;
use crate::store::db::database::Sql;
use crate::store::db::transaction::Tx;
use crate::store::db::{Store, StoreError};

use super::claims::{SubscriptionClaim, lock_claimed};

impl Store {
    /// Notes that the receiver may have these records from now on. False if the claim is lost: then they must not be sent.
    pub async fn note_sent_records(
        &self,
        claim: &SubscriptionClaim,
        seqs: &[i64],
    ) -> Result<bool, StoreError> {
        let mut tx = self.db().begin().await?;
        if lock_claimed(&mut tx, claim).await?.is_none() {
            return Ok(false);
        }
        for seq in seqs {
            let insert = Sql::new(
                "INSERT INTO subscription_rows (org, subscription, seq) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
            );
            let insert = insert.with(claim.org_key).with(claim.subscription.key);
            tx.execute(insert.with(*seq)).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Which of these records the subscription has sent.
    pub async fn find_sent(
        &self,
        claim: &SubscriptionClaim,
        seqs: Vec<i64>,
    ) -> Result<HashSet<i64>, StoreError> {
        if seqs.is_empty() {
            return Ok(HashSet::new());
        }
        let select = Sql::new(
            "SELECT seq FROM subscription_rows WHERE org = $1 AND subscription = $2 AND seq IN LIST($3)",
        );
        let select = select.with(claim.org_key).with(claim.subscription.key).with(seqs);
        let rows: Vec<(i64,)> = self.db().fetch_rows(select).await?;
        Ok(rows.into_iter().map(|(seq,)| seq).collect())
    }

    /// The number of the record with this id, if the subscription has sent it.
    pub async fn find_sent_record(
        &self,
        claim: &SubscriptionClaim,
        id: StatementId,
    ) -> Result<Option<i64>, StoreError> {
        let select = Sql::new(
            "SELECT r.seq FROM statements s JOIN subscription_rows r ON r.org = s.org AND r.seq = s.seq \
             WHERE s.org = $1 AND s.id = $2 AND r.subscription = $3",
        );
        let select = select.with(claim.org_key).with(id).with(claim.subscription.key);
        let row: Option<(i64,)> = self.db().fetch_row(select).await?;
        Ok(row.map(|(seq,)| seq))
    }
}

/// Deletes the note of a record, in the transaction that notes the delivery.
pub(super) async fn delete_sent(tx: &mut Tx, claim: &SubscriptionClaim, seq: i64) -> Result<(), StoreError> {
    let delete = Sql::new("DELETE FROM subscription_rows WHERE org = $1 AND subscription = $2 AND seq = $3");
    let delete = delete.with(claim.org_key).with(claim.subscription.key);
    tx.execute(delete.with(seq)).await?;
    Ok(())
}
