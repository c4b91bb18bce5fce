//! Groups of the directory.

use std::collections::{HashMap, HashSet};

use crate::base::fold;
use crate::base::ids::{GroupId, OrgId};
use crate::base::{ListFilter, Page};
use crate::directory::{BatchOutcome, Group, GroupDraft, Keyed as _, Refusal};

use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::{Reads, one_more, push_words, read_id};
use crate::store::db::{Store, StoreError};
use crate::store::directory::write::{Change, WriteError};

const SELECT: &str = "SELECT g.key, g.id, g.name FROM groups g WHERE g.org = $1";

fn read(row: &Row) -> Result<(i64, Group), StoreError> {
    Ok((
        row.get(0)?,
        Group {
            id: read_id(row, 1)?,
            name: row.get(2)?,
        },
    ))
}

async fn load(reads: &mut impl Reads, sql: Sql) -> Result<Vec<(i64, Group)>, StoreError> {
    reads.rows(sql).await?.iter().map(read).collect()
}

fn by_ids(org: i64, ids: Vec<String>) -> Sql {
    Sql::new(&format!("{SELECT} AND g.id IN LIST($2)"))
        .with(org)
        .with(ids)
}

fn search(group: &GroupDraft) -> String {
    fold(&format!("{}\n{}", group.name, group.id))
}

impl Store {
    /// A page of groups, by id, after the id `after`.
    pub async fn groups(
        &self,
        organisation: &OrgId,
        filter: &ListFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Group>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Page::empty());
        };
        let mut sql = Sql::new(SELECT).with(org);
        push_words(&mut sql, "g.search", &filter.words);
        if let Some(after) = after {
            sql.push(" AND g.id > ").bind(after);
        }
        sql.push(" ORDER BY g.id LIMIT ").bind(one_more(limit));
        let groups = load(&mut self.db(), sql).await?;
        Ok(Page::from_overfetch(
            groups.into_iter().map(|(_, group)| group).collect(),
            limit,
        ))
    }

    /// One group.
    pub async fn group(&self, organisation: &OrgId, id: &GroupId) -> Result<Option<Group>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut found = load(&mut self.db(), by_ids(org, vec![id.to_string()])).await?;
        Ok(found.pop().map(|(_, group)| group))
    }

    /// Makes or replaces groups: all of them or none.
    ///
    /// # Errors
    ///
    /// Only what goes wrong beneath: a group refers to nothing.
    pub async fn put_groups(
        &self,
        organisation: &OrgId,
        drafts: &[GroupDraft],
    ) -> Result<BatchOutcome, WriteError> {
        let mut tx = self.write(organisation).await?;
        let changes = apply(&mut tx, drafts).await?;
        tx.commit().await?;
        Ok(Change::count(changes))
    }

    /// Makes or replaces one group and answers it, and whether it is new.
    ///
    /// # Errors
    ///
    /// As [`Store::put_groups`].
    pub async fn put_group(
        &self,
        organisation: &OrgId,
        draft: GroupDraft,
    ) -> Result<(Group, bool), WriteError> {
        let outcome = self
            .put_groups(organisation, std::slice::from_ref(&draft))
            .await?;
        Ok((draft.into(), outcome.created > 0))
    }

    /// Changes a group that is there: `change` is given what it is now. `None` where it is not there.
    ///
    /// # Errors
    ///
    /// What `change` says, and [`Store::put_groups`].
    pub async fn patch_group(
        &self,
        organisation: &OrgId,
        id: &GroupId,
        change: impl FnOnce(&Group) -> Result<GroupDraft, Refusal>,
    ) -> Result<Option<Group>, WriteError> {
        let mut tx = self.write(organisation).await?;
        let select = by_ids(tx.org, vec![id.to_string()]);
        let Some((_, group)) = load(&mut tx, select).await?.pop() else {
            return Ok(None);
        };
        let draft = change(&group)?;
        apply(&mut tx, std::slice::from_ref(&draft)).await?;
        tx.commit().await?;
        Ok(Some(draft.into()))
    }
}

async fn apply(tx: &mut OrgTx, drafts: &[GroupDraft]) -> Result<Vec<Change>, StoreError> {
    let ids: HashSet<&str> = drafts.iter().map(|draft| draft.id_text()).collect();
    let select = by_ids(tx.org, ids.into_iter().map(str::to_owned).collect());
    let kept: HashMap<GroupId, (i64, Group)> = load(tx, select)
        .await?
        .into_iter()
        .map(|(key, group)| (group.id.clone(), (key, group)))
        .collect();
    let mut made = Vec::new();
    let mut changes = Vec::with_capacity(drafts.len());
    for draft in drafts {
        changes.push(match kept.get(&draft.id) {
            None => {
                let key = tx.next_key();
                let (org, id) = (tx.org, draft.id.as_str());
                made.push(vec![
                    org.into(),
                    key.into(),
                    id.into(),
                    draft.name.as_str().into(),
                    search(draft).into(),
                ]);
                Change::Created
            }
            Some((_, group)) if group.name == draft.name => Change::Unchanged,
            Some((key, _)) => {
                let update = Sql::new("UPDATE groups SET name = $3, search = $4 WHERE org = $1 AND key = $2");
                let update = update
                    .with(tx.org)
                    .with(*key)
                    .with(draft.name.as_str())
                    .with(search(draft));
                tx.execute(update).await?;
                Change::Updated
            }
        });
    }
    tx.insert("groups", &["org", "key", "id", "name", "search"], made)
        .await?;
    Ok(changes)
}
