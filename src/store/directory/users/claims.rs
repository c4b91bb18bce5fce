//! Identifiers that users give up or claim when they are written, or when the home page of their accounts changes.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::base::ids::UserId;
use crate::base::keyed::Refusal;
use crate::directory::User;
use crate::directory::identity::{MAX_IDENTIFIERS, account_of_id, describe_identifier, identifiers_of_email};
use crate::record::Identifier;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::directory::keyed::{Change, Planned, WriteError};
use crate::store::ingest::claims::{Claim, ClaimOutcome, ClaimStart, Claimant};

use super::{Users, fault};

/// How many users' accounts are claimed with one query.
const CLAIMED_AT_ONCE: i64 = 1_000;

/// An identifier that a draft claims and that the user does not have yet.
struct DraftClaim {
    /// The number of the draft.
    index: usize,
    /// The member that claims it.
    member: &'static str,
    identifier: Identifier,
    start: ClaimStart,
    optional: bool,
}

/// Notes which addresses the users give up: those that their new address does not claim any more.
pub(super) async fn give_up(tx: &mut OrgTx, planned: &[Planned<'_, Users>]) -> Result<(), StoreError> {
    let mut moment = None;
    for user in planned {
        let Some(before) = &user.before else { continue };
        let kept = identifiers_of(user.after.email.as_deref());
        let is_kept = |identifier: &Identifier| kept.iter().any(|kept| is_same(kept, identifier));
        let given_up: Vec<Identifier> = identifiers_of(before.email.as_deref())
            .into_iter()
            .filter(|identifier| !is_kept(identifier))
            .collect();
        if !given_up.is_empty() {
            let moment = *moment.get_or_insert_with(|| tx.next_moment());
            tx.give_up(user.key, &given_up, moment).await?;
        }
    }
    Ok(())
}

fn identifiers_of(email: Option<&str>) -> Vec<Identifier> {
    email.map(identifiers_of_email).unwrap_or_default()
}

fn is_same(one: &Identifier, other: &Identifier) -> bool {
    (one.kind_code(), one.lookup_key()) == (other.kind_code(), other.lookup_key())
}

/// Binds the identifiers that the users claim. An identifier that another user has is a conflict. A user that gets an
/// identifier counts as updated.
pub(super) async fn claim(
    tx: &mut OrgTx,
    planned: &mut [Planned<'_, Users>],
    account_home_page: &str,
) -> Result<(), WriteError> {
    let drafts = find_claims(planned, account_home_page);
    Refusal::if_faulty(too_many_identifiers(&drafts))?;
    let claimants = planned.iter().map(|user| (user.key, to_claimant(&user.after)));
    let claimants: HashMap<i64, Claimant> = claimants.collect();
    let claims: Vec<Claim<'_>> = drafts
        .iter()
        .filter_map(|draft| {
            Some(Claim {
                user: planned.get(draft.index)?.key,
                identifier: &draft.identifier,
                start: draft.start,
                optional: draft.optional,
            })
        })
        .collect();
    let outcomes = tx.claim(&claims, &claimants).await?;
    let mut faults = Faults::new();
    for (draft, outcome) in drafts.iter().zip(outcomes) {
        match outcome {
            ClaimOutcome::Unchanged => {}
            ClaimOutcome::Claimed => {
                if let Some(user) = planned.get_mut(draft.index)
                    && user.change == Change::Unchanged
                {
                    user.change = Change::Updated;
                }
            }
            ClaimOutcome::Conflict(owner) => {
                let detail = format!(
                    "{} belongs to the user `{owner}`; change or deactivate that user first, or an owner or admin \
                     can move it with POST /v1/users/{{id}}/identifiers",
                    describe_identifier(&draft.identifier),
                );
                faults.push(fault(draft.index, draft.member, detail));
            }
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Conflicts(faults).into())
    }
}

/// A fault for each user that gets more identifiers than one request may bind.
fn too_many_identifiers(drafts: &[DraftClaim]) -> Faults {
    let mut new: BTreeMap<usize, usize> = BTreeMap::new();
    for draft in drafts.iter().filter(|draft| draft.member == "identifiers") {
        *new.entry(draft.index).or_default() += 1;
    }
    let too_many = new.into_iter().filter(|(_, count)| *count > MAX_IDENTIFIERS);
    let faults = too_many.map(|(index, count)| {
        let detail = format!(
            "at most {MAX_IDENTIFIERS} identifiers can be added in one request; these are {count} that the user \
             does not have yet"
        );
        fault(index, "identifiers", detail)
    });
    faults.collect()
}

/// The user as one that claims identifiers.
pub(super) fn to_claimant(user: &User) -> Claimant {
    Claimant {
        id: user.id.clone(),
        deactivated_at: user.deactivated_at,
    }
}

/// Finds the claims of the users.
///
/// What a new user, a new address or `identifiers` claims must be free, and so must the address of a user that becomes
/// active again. What an unchanged address or id claims is bound only if it is free. Otherwise an identifier that an admin
/// moved away would make every later import of the user fail.
///
/// The address of a deactivated user is a fact about the past. It is bound only if nobody has had it, and before the
/// other claims. So a directory can be imported in which users have the addresses of users who left.
fn find_claims(planned: &[Planned<'_, Users>], account_home_page: &str) -> Vec<DraftClaim> {
    let (mut past, mut required, mut optional) = (Vec::new(), Vec::new(), Vec::new());
    for (index, user) in planned.iter().enumerate() {
        let mut owned: HashSet<(i16, String)> = user
            .before
            .iter()
            .flat_map(|before| &before.identifiers)
            .map(|agent| (agent.0.kind_code(), agent.0.lookup_key()))
            .collect();
        let mut add = |list: &mut Vec<DraftClaim>, member, identifier: Identifier, start, optional| {
            if owned.insert((identifier.kind_code(), identifier.lookup_key())) {
                list.push(DraftClaim {
                    index,
                    member,
                    identifier,
                    start,
                    optional,
                });
            }
        };
        for identifier in user.draft.identifiers.iter().cloned() {
            add(
                &mut required,
                "identifiers",
                identifier,
                ClaimStart::GivenUp,
                false,
            );
        }
        let before = user.before.as_ref();
        let same_address = before.is_some_and(|before| before.active && before.email == user.after.email);
        for identifier in identifiers_of(user.after.email.as_deref()) {
            if !user.after.active {
                add(&mut past, "email", identifier, ClaimStart::Unowned, true);
            } else if same_address {
                add(&mut optional, "email", identifier, ClaimStart::GivenUp, true);
            } else {
                add(&mut required, "email", identifier, ClaimStart::GivenUp, false);
            }
        }
        let account = account_of_id(account_home_page, &user.after.id);
        if before.is_some() {
            add(&mut optional, "id", account, ClaimStart::Unowned, true);
        } else {
            add(&mut required, "id", account, ClaimStart::GivenUp, false);
        }
    }
    past.into_iter().chain(required).chain(optional).collect()
}

impl OrgTx {
    /// Binds every user's account on a new home page, if it is free.
    pub(crate) async fn claim_accounts(&mut self, home_page: &str) -> Result<(), StoreError> {
        let mut after = i64::MIN;
        loop {
            let select = Sql::new(
                "SELECT key, id, deactivated_at FROM users WHERE org = $1 AND key > $2 ORDER BY key LIMIT $3",
            );
            let select = select.with(self.org).with(after).with(CLAIMED_AT_ONCE);
            let users: Vec<(i64, UserId, Option<Timestamp>)> = self.fetch_rows(select).await?;
            let Some((last, ..)) = users.last() else {
                return Ok(());
            };
            after = *last;
            let accounts: Vec<(i64, Identifier)> = users
                .iter()
                .map(|(key, id, _)| (*key, account_of_id(home_page, id)))
                .collect();
            let claims: Vec<Claim<'_>> = accounts
                .iter()
                .map(|(user, identifier)| Claim {
                    user: *user,
                    identifier,
                    start: ClaimStart::Unowned,
                    optional: true,
                })
                .collect();
            let claimants = users.into_iter().map(|(key, id, deactivated_at)| {
                let claimant = Claimant { id, deactivated_at };
                (key, claimant)
            });
            self.claim(&claims, &claimants.collect()).await?;
        }
    }
}
