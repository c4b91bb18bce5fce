//! The demands of contents over time, with which rows of the log are projected.

use std::collections::HashMap;

use crate::base::clock::Timestamp;
use crate::catalogue::timeline::history;
use crate::catalogue::{DemandHistory, Demands};
use crate::store::db::StoreError;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::Reads;
use crate::store::db::unreadable::{id_of, skip_unreadable};

/// The demands of a content from each time on, in the order of time.
pub(crate) type Snapshots = Vec<(Timestamp, Demands)>;

columns! {
    struct DemandsRow {
        content: i64 = "content",
        effective_from: Timestamp = "effective_from",
        demands: String = "demands",
    }
}

/// The demands of each content over time. Contents that never had demands are left out.
pub(crate) async fn demand_histories(
    tx: &mut OrgTx,
    contents: Vec<i64>,
) -> Result<HashMap<i64, DemandHistory>, StoreError> {
    let org = tx.org;
    let snapshots = snapshots(tx, org, contents).await?;
    Ok(snapshots
        .into_iter()
        .map(|(content, snapshots)| (content, history(&snapshots)))
        .collect())
}

/// The snapshots of each content. Contents that never had demands are left out.
pub(crate) async fn snapshots(
    reads: &mut impl Reads,
    org: i64,
    contents: Vec<i64>,
) -> Result<HashMap<i64, Snapshots>, StoreError> {
    let select = Sql::new(&format!(
        "SELECT {} FROM content_demands \
         WHERE org = $1 AND content IN LIST($2) ORDER BY content, effective_from",
        DemandsRow::COLUMNS
    ));
    let mut all: HashMap<i64, Snapshots> = HashMap::new();
    for row in reads.rows(select.with(org).with(contents)).await? {
        let read = DemandsRow::read(&row).and_then(|row| {
            let demands = Demands::from_json(&row.demands);
            let demands = demands.map_err(|error| StoreError::corrupt("demand", error))?;
            Ok((row.content, (row.effective_from, demands)))
        });
        if let Some((content, snapshot)) = skip_unreadable("demand", || id_of(&row, 0), read)? {
            all.entry(content).or_default().push(snapshot);
        }
    }
    Ok(all)
}
