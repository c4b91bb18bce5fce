//! The secrets that sign an organisation's download links, and the runs that links open. See
//! `docs/specification.md#download-links`.

use uuid::Uuid;

use crate::base::ids::OrgId;

use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError};
use crate::store::reports::runs::RunTerms;
use crate::store::reports::schedules::RecipientList;

columns! {
    /// The columns of a [`LinkedRun`].
    struct LinkedRunRow {
        recipient: String = "p.recipient",
        recipients: RecipientList = "s.recipients",
        filter: String = "r.filter",
        columns: String = "r.columns",
    }
}

/// The run and the recipient of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedRun {
    /// What the run was created with.
    pub terms: RunTerms,
    /// A user's id or an address, as the schedule had it.
    pub recipient: String,
    /// Whether the schedule still has this recipient.
    pub is_recipient: bool,
    /// The report's current filter, as it was sent.
    pub filter: String,
    /// The report's current columns.
    pub columns: String,
}

impl Store {
    /// The organisation's key, and the secret of its links. If it has no secret yet, `fresh` becomes its secret.
    pub async fn ensure_link_key(
        &self,
        organisation: &OrgId,
        fresh: [u8; 32],
    ) -> Result<(i64, Vec<u8>), StoreError> {
        if let Some(org) = self.organisation_key(organisation).await?
            && let Some((_, secret)) = self.find_link_key(org).await?
        {
            return Ok((org, secret));
        }
        let mut tx = self.write(organisation).await?;
        let insert =
            Sql::new("INSERT INTO link_keys (org, secret) VALUES ($1, $2) ON CONFLICT (org) DO NOTHING");
        tx.execute(insert.with(tx.org).with(fresh.to_vec())).await?;
        let select = Sql::new("SELECT secret FROM link_keys WHERE org = $1").with(tx.org);
        let row: Option<(Vec<u8>,)> = tx.fetch_row(select).await?;
        let (secret,) = row.ok_or(StoreError::Invariant("the secret of links was not inserted"))?;
        let org = tx.org;
        tx.commit().await?;
        Ok((org, secret))
    }

    /// The organisation with this key, and the secret of its links. `None` if it has no links.
    pub async fn find_link_key(&self, org: i64) -> Result<Option<(OrgId, Vec<u8>)>, StoreError> {
        let select = Sql::new(
            "SELECT o.id, k.secret FROM link_keys k JOIN organisations o ON o.key = k.org WHERE k.org = $1",
        );
        self.db().fetch_row(select.with(org)).await
    }

    /// The run and the recipient of a link. `None` if the report, the schedule or the run does not exist any more.
    pub async fn find_linked_run(
        &self,
        org: i64,
        delivery: Uuid,
        place: u16,
    ) -> Result<Option<LinkedRun>, StoreError> {
        let Ok(place) = i16::try_from(place) else {
            return Ok(None);
        };
        let mut sql = Sql::new("SELECT ");
        sql.push(RunTerms::COLUMNS)
            .push(", ")
            .push(LinkedRunRow::COLUMNS)
            .push(
                " FROM deliveries d JOIN schedules s ON s.org = d.org AND s.key = d.schedule \
             JOIN reports r ON r.org = d.org AND r.key = d.report \
             JOIN delivery_recipients p ON p.org = d.org AND p.delivery = d.key WHERE d.org = ",
            );
        sql.bind(org).push(" AND d.id = ").bind(delivery);
        sql.push(" AND p.place = ").bind(place);
        let Some(row) = self.db().fetch_optional(sql).await? else {
            return Ok(None);
        };
        let run = LinkedRunRow::read_from(&row, RunTerms::COUNT)?;
        Ok(Some(LinkedRun {
            terms: RunTerms::read(&row)?,
            is_recipient: run.recipients.0.contains(&run.recipient),
            recipient: run.recipient,
            filter: run.filter,
            columns: run.columns,
        }))
    }
}
