//! What contents demanded over time, and their types, as rows of the log are projected with them.

use std::collections::HashMap;

use crate::base::clock::Timestamp;
use crate::catalogue::timeline::history;
use crate::catalogue::{ContentFormat, DemandHistory, Demands, LearningType};
use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::Reads;

/// What a content demanded from each moment on, in their order.
pub(crate) type Snapshots = Vec<(Timestamp, Demands)>;

pub(crate) fn type_from(code: Option<i16>) -> Option<LearningType> {
    code.and_then(LearningType::from_code)
}

pub(crate) fn kind_from(code: Option<i16>) -> Option<ContentFormat> {
    code.and_then(ContentFormat::from_code)
}

/// What each of the contents demanded over time; those that never demanded anything are left out.
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

/// What each of the contents demanded over time, by time; those that never demanded anything are left out.
pub(crate) async fn snapshots(
    reads: &mut impl Reads,
    org: i64,
    contents: Vec<i64>,
) -> Result<HashMap<i64, Snapshots>, StoreError> {
    let select = Sql::new(
        "SELECT content, effective_from, demands FROM content_demands \
         WHERE org = $1 AND content IN LIST($2) ORDER BY content, effective_from",
    );
    let mut found: HashMap<i64, Snapshots> = HashMap::new();
    for row in reads.rows(select.with(org).with(contents)).await? {
        let demands: String = row.get(2)?;
        let demands = Demands::from_json(&demands).map_err(|error| StoreError::corrupt("demand", error))?;
        let snapshots = found.entry(row.get(0)?).or_default();
        snapshots.push((Timestamp::from_micros(row.get(1)?), demands));
    }
    Ok(found)
}
