//! Identifiers that users claim when they are written, or when the home page of their accounts changes.

use std::collections::{HashMap, HashSet};

use crate::base::ids::UserId;
use crate::base::keyed::Refusal;
use crate::directory::identity::{account_of_id, describe_identifier, identifiers_of_email};
use crate::record::Identifier;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::directory::keyed::{Planned, WriteError};
use crate::store::ingest::persons::digest_of;

use super::{Users, fault};

/// How many users' accounts are claimed with one query.
const CLAIMED_AT_ONCE: i64 = 1_000;

/// An identifier that a user claims and does not have yet.
pub(super) struct Claim {
    /// The number of the draft.
    pub(super) index: usize,
    /// The member that claims it.
    member: &'static str,
    identifier: Identifier,
}

/// Finds the claims of the users.
///
/// What a new user, a new address or `identifiers` claims must be free. What an unchanged address or id claims is bound
/// only if it is free. Otherwise an identifier that an admin moved away would make every later import of the user fail.
pub(super) async fn find(
    tx: &mut OrgTx,
    planned: &[Planned<'_, Users>],
    account_home_page: &str,
) -> Result<Vec<Claim>, StoreError> {
    let (mut claims, mut claims_if_free) = (Vec::new(), Vec::new());
    for (index, user) in planned.iter().enumerate() {
        let mut owned: HashSet<(i16, String)> = user
            .before
            .iter()
            .flat_map(|before| &before.identifiers)
            .map(|agent| (agent.0.kind_code(), agent.0.lookup_key()))
            .collect();
        let mut add = |if_free: bool, member: &'static str, identifier: Identifier| {
            if owned.insert((identifier.kind_code(), identifier.lookup_key())) {
                let list = if if_free { &mut claims_if_free } else { &mut claims };
                list.push(Claim {
                    index,
                    member,
                    identifier,
                });
            }
        };
        for identifier in user.draft.identifiers.iter().cloned() {
            add(false, "identifiers", identifier);
        }
        let before = user.before.as_ref();
        let same_address = before.is_some_and(|before| before.email == user.after.email);
        for identifier in user
            .after
            .email
            .iter()
            .flat_map(|email| identifiers_of_email(email))
        {
            add(same_address, "email", identifier);
        }
        let account = account_of_id(account_home_page, &user.after.id);
        add(before.is_some(), "id", account);
    }
    let identifiers = claims_if_free.iter().map(|claim| &claim.identifier);
    let taken = find_taken(tx, identifiers).await?;
    claims.extend(
        claims_if_free
            .into_iter()
            .filter(|claim| !taken.contains(&digest_of(&claim.identifier))),
    );
    Ok(claims)
}

/// Binds the claimed identifiers. An identifier that another user has is a conflict.
pub(super) async fn make(
    tx: &mut OrgTx,
    planned: &[Planned<'_, Users>],
    claims: &[Claim],
) -> Result<(), WriteError> {
    if claims.is_empty() {
        return Ok(());
    }
    let deactivated: HashMap<i64, bool> = planned
        .iter()
        .map(|user| (user.key, !user.after.active))
        .collect();
    let bindings: Vec<(i64, &Identifier)> = claims
        .iter()
        .filter_map(|claim| Some((planned.get(claim.index)?.key, &claim.identifier)))
        .collect();
    let conflicts = tx.claim_all(&bindings, &deactivated, false).await?;
    let faults: Vec<_> = conflicts
        .into_iter()
        .filter_map(|(place, conflict)| {
            let claim = claims.get(place)?;
            let detail = format!(
                "{} belongs to the user `{}`; an owner or admin can move it with POST \
                 /v1/users/{{id}}/identifiers",
                describe_identifier(&conflict.identifier),
                conflict.owner,
            );
            Some(fault(claim.index, claim.member, detail))
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Conflicts(faults).into())
    }
}

/// The digests of the identifiers that a user has already.
async fn find_taken(
    tx: &mut OrgTx,
    identifiers: impl Iterator<Item = &Identifier>,
) -> Result<HashSet<Vec<u8>>, StoreError> {
    let digests: Vec<Vec<u8>> = identifiers.map(digest_of).collect();
    if digests.is_empty() {
        return Ok(HashSet::new());
    }
    let select =
        Sql::new("SELECT digest FROM persons WHERE org = $1 AND digest IN LIST($2) AND user_key IS NOT NULL");
    let rows: Vec<(Vec<u8>,)> = tx.fetch_rows(select.with(tx.org).with(digests)).await?;
    Ok(rows.into_iter().map(|(digest,)| digest).collect())
}

impl OrgTx {
    /// Binds every user's account on a new home page, if it is free.
    pub(crate) async fn claim_accounts(&mut self, home_page: &str) -> Result<(), StoreError> {
        let mut after = i64::MIN;
        loop {
            let select = Sql::new(
                "SELECT key, id, active FROM users WHERE org = $1 AND key > $2 ORDER BY key LIMIT $3",
            );
            let select = select.with(self.org).with(after).with(CLAIMED_AT_ONCE);
            let users: Vec<(i64, UserId, bool)> = self.fetch_rows(select).await?;
            let Some((last, ..)) = users.last() else {
                return Ok(());
            };
            after = *last;
            let accounts: Vec<(i64, Identifier)> = users
                .iter()
                .map(|(key, id, _)| (*key, account_of_id(home_page, id)))
                .collect();
            let deactivated = users.iter().map(|(key, _, active)| (*key, !active)).collect();
            let taken = find_taken(self, accounts.iter().map(|(_, account)| account)).await?;
            let free: Vec<(i64, &Identifier)> = accounts
                .iter()
                .filter(|(_, account)| !taken.contains(&digest_of(account)))
                .map(|(key, account)| (*key, account))
                .collect();
            self.claim_all(&free, &deactivated, false).await?;
        }
    }
}
