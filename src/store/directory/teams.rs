//! Teams of the directory: a tree.

use std::collections::{HashMap, HashSet};

use crate::base::fault::Fault;
use crate::base::fold;
use crate::base::ids::{OrgId, TeamId};
use crate::base::{ListFilter, Page};
use crate::directory::{BatchOutcome, Keyed as _, Refusal, Team, TeamDraft};

use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::{Reads, one_more, push_words, read_id, read_optional_id};
use crate::store::db::{Store, StoreError};
use crate::store::directory::write::{Change, Placed, Tree, WriteError, keys_of};

const SELECT: &str = "SELECT t.key, t.id, t.name, p.id FROM teams t \
     LEFT JOIN teams p ON p.org = t.org AND p.key = t.parent WHERE t.org = $1";

const TREE: Tree = Tree {
    table: "teams",
    column: "parent",
};

fn read(row: &Row) -> Result<(i64, Team), StoreError> {
    Ok((
        row.get(0)?,
        Team {
            id: read_id(row, 1)?,
            name: row.get(2)?,
            parent: read_optional_id(row, 3)?,
        },
    ))
}

async fn load(reads: &mut impl Reads, sql: Sql) -> Result<Vec<(i64, Team)>, StoreError> {
    reads.rows(sql).await?.iter().map(read).collect()
}

fn by_ids(org: i64, ids: Vec<String>) -> Sql {
    Sql::new(&format!("{SELECT} AND t.id IN LIST($2)"))
        .with(org)
        .with(ids)
}

fn search(team: &TeamDraft) -> String {
    fold(&format!("{}\n{}", team.name, team.id))
}

impl Store {
    /// A page of teams, by id, after the id `after`.
    pub async fn teams(
        &self,
        organisation: &OrgId,
        filter: &ListFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Team>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Page::empty());
        };
        let mut sql = Sql::new(SELECT).with(org);
        push_words(&mut sql, "t.search", &filter.words);
        if !filter.parents.is_empty() {
            sql.push(" AND p.id").any_of(filter.parents.clone());
        }
        if let Some(after) = after {
            sql.push(" AND t.id > ").bind(after);
        }
        sql.push(" ORDER BY t.id LIMIT ").bind(one_more(limit));
        let teams = load(&mut self.db(), sql).await?;
        Ok(Page::from_overfetch(
            teams.into_iter().map(|(_, team)| team).collect(),
            limit,
        ))
    }

    /// One team.
    pub async fn team(&self, organisation: &OrgId, id: &TeamId) -> Result<Option<Team>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut found = load(&mut self.db(), by_ids(org, vec![id.to_string()])).await?;
        Ok(found.pop().map(|(_, team)| team))
    }

    /// Makes or replaces teams: all of them or none.
    ///
    /// # Errors
    ///
    /// A parent that is neither there nor among them, and a cycle; each with its place, which begins with
    /// the number of the draft.
    pub async fn put_teams(
        &self,
        organisation: &OrgId,
        drafts: &[TeamDraft],
    ) -> Result<BatchOutcome, WriteError> {
        let mut tx = self.write(organisation).await?;
        let changes = apply(&mut tx, drafts).await?;
        tx.commit().await?;
        Ok(Change::count(changes))
    }

    /// Makes or replaces one team and answers it, and whether it is new.
    ///
    /// # Errors
    ///
    /// As [`Store::put_teams`], with places within the draft.
    pub async fn put_team(&self, organisation: &OrgId, draft: TeamDraft) -> Result<(Team, bool), WriteError> {
        let outcome = self.put_teams(organisation, std::slice::from_ref(&draft)).await;
        let outcome = outcome.map_err(WriteError::of_the_only_element)?;
        Ok((draft.into(), outcome.created > 0))
    }

    /// Changes a team that is there: `change` is given what it is now. `None` where it is not there.
    ///
    /// # Errors
    ///
    /// What `change` says, and [`Store::put_team`].
    pub async fn patch_team(
        &self,
        organisation: &OrgId,
        id: &TeamId,
        change: impl FnOnce(&Team) -> Result<TeamDraft, Refusal>,
    ) -> Result<Option<Team>, WriteError> {
        let mut tx = self.write(organisation).await?;
        let select = by_ids(tx.org, vec![id.to_string()]);
        let Some((_, team)) = load(&mut tx, select).await?.pop() else {
            return Ok(None);
        };
        let draft = change(&team)?;
        apply(&mut tx, std::slice::from_ref(&draft))
            .await
            .map_err(WriteError::of_the_only_element)?;
        tx.commit().await?;
        Ok(Some(draft.into()))
    }
}

async fn apply(tx: &mut OrgTx, drafts: &[TeamDraft]) -> Result<Vec<Change>, WriteError> {
    let ids: HashSet<&str> = drafts.iter().map(|draft| draft.id_text()).collect();
    let select = by_ids(tx.org, ids.into_iter().map(str::to_owned).collect());
    let kept: HashMap<TeamId, (i64, Team)> = load(tx, select)
        .await?
        .into_iter()
        .map(|(key, team)| (team.id.clone(), (key, team)))
        .collect();
    let mut keys = HashMap::with_capacity(drafts.len());
    for draft in drafts {
        let key = match kept.get(&draft.id) {
            Some((key, _)) => *key,
            None => tx.next_key(),
        };
        keys.insert(draft.id_text().to_owned(), key);
    }
    let wanted = drafts
        .iter()
        .filter_map(|draft| draft.parent.as_ref())
        .map(TeamId::as_str);
    let wanted = wanted.filter(|id| !keys.contains_key(*id)).collect();
    let elsewhere = keys_of(tx, "teams", wanted).await?;
    let key_of = |id: &str| keys.get(id).or_else(|| elsewhere.get(id)).copied();

    let mut faults = Vec::new();
    let mut nodes = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let above = draft.parent.as_ref().and_then(|parent| key_of(parent.as_str()));
        if let (Some(parent), None) = (&draft.parent, above) {
            let pointer = format!("/{index}/parent");
            faults.push(Fault {
                pointer,
                detail: format!("there is no team `{parent}`, here or in this batch"),
            });
        }
        let moved = kept
            .get(&draft.id)
            .is_none_or(|(_, team)| team.parent != draft.parent);
        let key = key_of(draft.id_text()).ok_or(StoreError::Invariant("a team without a key"))?;
        nodes.push(Placed {
            index,
            key,
            id: draft.id_text(),
            above,
            moved,
        });
    }
    Refusal::unless_empty(faults)?;
    if let Some(fault) = TREE.cycle(tx, &nodes).await? {
        return Err(Refusal::Faults(vec![fault]).into());
    }
    Ok(write(tx, drafts, &kept, &nodes).await?)
}

async fn write(
    tx: &mut OrgTx,
    drafts: &[TeamDraft],
    kept: &HashMap<TeamId, (i64, Team)>,
    nodes: &[Placed<'_>],
) -> Result<Vec<Change>, StoreError> {
    let mut made = Vec::new();
    let mut changes = Vec::with_capacity(drafts.len());
    for (draft, node) in drafts.iter().zip(nodes) {
        changes.push(match kept.get(&draft.id) {
            None => {
                made.push(vec![
                    tx.org.into(),
                    node.key.into(),
                    draft.id_text().into(),
                    draft.name.as_str().into(),
                    search(draft).into(),
                    node.above.into(),
                ]);
                Change::Created
            }
            Some((_, team)) if *team == Team::from(draft.clone()) => Change::Unchanged,
            Some(_) => {
                let update = Sql::new(
                    "UPDATE teams SET name = $3, search = $4, parent = $5 WHERE org = $1 AND key = $2",
                );
                let update = update
                    .with(tx.org)
                    .with(node.key)
                    .with(draft.name.as_str())
                    .with(search(draft));
                tx.execute(update.with(node.above)).await?;
                Change::Updated
            }
        });
    }
    tx.insert("teams", &["org", "key", "id", "name", "search", "parent"], made)
        .await?;
    Ok(changes)
}
