//! What an organisation's download links are signed with, and what a link leads to (product text, section 9).

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};

use crate::store::db::database::Sql;
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError};
use crate::store::reports::schedules::read_recipients;

/// The run and the recipient that a link was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedRun {
    /// The report's id.
    pub report: Uuid,
    /// Under whose rights the schedule runs.
    pub maker: UserId,
    /// The moment that the run was for.
    pub run_at: Timestamp,
    /// A user's id or an address, as the schedule had it.
    pub recipient: String,
    /// Whether the schedule still names them so.
    pub named: bool,
    /// What the report asks now, as it was sent.
    pub filter: String,
    /// The columns that it has now.
    pub columns: String,
}

impl Store {
    /// The organisation's key, and the secret that its links are signed with. Where it has none yet, `fresh` is it from now
    /// on.
    pub async fn link_key(
        &self,
        organisation: &OrgId,
        fresh: [u8; 32],
    ) -> Result<(i64, Vec<u8>), StoreError> {
        if let Some(org) = self.organisation_key(organisation).await?
            && let Some((_, secret)) = self.link_key_of(org).await?
        {
            return Ok((org, secret));
        }
        let mut tx = self.write(organisation).await?;
        let insert =
            Sql::new("INSERT INTO link_keys (org, secret) VALUES ($1, $2) ON CONFLICT (org) DO NOTHING");
        tx.execute(insert.with(tx.org).with(fresh.to_vec())).await?;
        let select = Sql::new("SELECT secret FROM link_keys WHERE org = $1").with(tx.org);
        let row = tx.fetch_optional(select).await?;
        let row = row.ok_or(StoreError::Invariant("a link key that was not made"))?;
        let (org, secret) = (tx.org, row.get(0)?);
        tx.commit().await?;
        Ok((org, secret))
    }

    /// The organisation with that key, and the secret that its links are signed with; `None` where no link was ever
    /// made in its name.
    pub async fn link_key_of(&self, org: i64) -> Result<Option<(OrgId, Vec<u8>)>, StoreError> {
        let select = Sql::new(
            "SELECT o.id, k.secret FROM link_keys k JOIN organisations o ON o.key = k.org WHERE k.org = $1",
        );
        let row = self.db().fetch_optional(select.with(org)).await?;
        row.map(|row| Ok((read_id(&row, 0)?, row.get(1)?))).transpose()
    }

    /// What a link of the organisation leads to; `None` where the report, the schedule or the run is gone.
    pub async fn linked_run(
        &self,
        org: i64,
        delivery: Uuid,
        place: u16,
    ) -> Result<Option<LinkedRun>, StoreError> {
        let Ok(place) = i16::try_from(place) else {
            return Ok(None);
        };
        let select = Sql::new(
            "SELECT r.id, s.maker, d.run_at, p.recipient, s.recipients, r.filter, r.columns FROM deliveries d \
             JOIN schedules s ON s.org = d.org AND s.key = d.schedule \
             JOIN reports r ON r.org = d.org AND r.key = d.report \
             JOIN delivery_recipients p ON p.org = d.org AND p.delivery = d.key AND p.place = $3 \
             WHERE d.org = $1 AND d.id = $2",
        );
        let row = self
            .db()
            .fetch_optional(select.with(org).with(delivery).with(place))
            .await?;
        row.map(|row| {
            let recipient: String = row.get(3)?;
            Ok(LinkedRun {
                report: row.get(0)?,
                maker: read_id(&row, 1)?,
                run_at: Timestamp::from_micros(row.get(2)?),
                named: read_recipients(&row.get::<String>(4)?)?.contains(&recipient),
                recipient,
                filter: row.get(5)?,
                columns: row.get(6)?,
            })
        })
        .transpose()
    }
}
