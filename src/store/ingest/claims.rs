//! Claims of identifiers: which user owns a person, and from when on (`docs/specification.md#identifiers`).
//!
//! All claims of a request are planned first and carried out together, or not at all. A claim that covers whole periods
//! changes the owner of their persons. A claim that begins within a period divides it.

use std::collections::{BTreeSet, HashMap};

use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::directory::identity::account_of_id;
use crate::record::Identifier;

use crate::store::db::StoreError;
use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::periods::{MAX_AT_ONCE, PeriodSplit};
use crate::store::ingest::persons::{FIRST_PERIOD, NewPerson, PersonId, digest_of};

/// From when on a claimed identifier is the claimant's. An identifier that nobody has had yet is claimed from the
/// beginning, except with [`ClaimStart::From`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ClaimStart {
    /// An identifier that somebody has had is a conflict.
    Unowned,
    /// From when the owner gave it up. An identifier in use is a conflict.
    GivenUp,
    /// From now on.
    Now,
    /// From this moment on, which is not in the future.
    From(Timestamp),
    /// From the beginning.
    Always,
}

/// A claim of an identifier by a user.
pub(crate) struct Claim<'i> {
    /// The key of the user, which must exist.
    pub(crate) user: i64,
    pub(crate) identifier: &'i Identifier,
    pub(crate) start: ClaimStart,
    /// Whether the claim is left out if it is a conflict.
    pub(crate) optional: bool,
}

/// A user that claims identifiers.
pub(crate) struct Claimant {
    pub(crate) id: UserId,
    /// Set while the user is deactivated.
    pub(crate) deactivated_at: Option<Timestamp>,
}

/// What a claim did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ClaimOutcome {
    /// Nothing: the identifier is the claimant's already, or an optional claim is a conflict.
    Unchanged,
    /// The identifier is the claimant's now.
    Claimed,
    /// This user has the identifier. No claim was carried out.
    Conflict(UserId),
}

columns! {
    /// A period of an identifier, with its owner.
    struct Period {
        digest: Vec<u8> = "p.digest",
        person: i64 = "p.key",
        valid_from: Timestamp = "p.valid_from",
        valid_until: Option<Timestamp> = "p.valid_until",
        given_up_at: Option<Timestamp> = "p.given_up_at",
        user: Option<i64> = "p.user_key",
        user_id: Option<UserId> = "u.id",
        user_deactivated_at: Option<Timestamp> = "u.deactivated_at",
    }
}

/// What the claims of a request change.
struct ClaimPlan<'c> {
    org: i64,
    home_page: String,
    claimants: &'c HashMap<i64, Claimant>,
    /// The periods of each identifier, the earliest first, as they are after the claims so far.
    periods: HashMap<Vec<u8>, Vec<Period>>,
    /// The moment of claims that begin now, once one does.
    now: Option<Timestamp>,
    /// New persons by their keys.
    created: HashMap<i64, NewPerson>,
    /// The stored persons that each user gets.
    transferred: HashMap<i64, Vec<i64>>,
    /// The persons whose owners claim again what they gave up.
    reclaimed: Vec<i64>,
    splits: Vec<PeriodSplit>,
    /// The users that get or lose identifiers.
    concerned: BTreeSet<i64>,
}

impl OrgTx {
    /// Carries out the claims and returns the outcome of each. If one of them is a conflict, nothing is changed.
    pub(crate) async fn claim(
        &mut self,
        claims: &[Claim<'_>],
        claimants: &HashMap<i64, Claimant>,
    ) -> Result<Vec<ClaimOutcome>, StoreError> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let identifiers = claims.iter().map(|claim| claim.identifier);
        let mut plan = ClaimPlan {
            org: self.org,
            home_page: self.organisation().await?.account_home_page,
            claimants,
            periods: self.find_periods(identifiers).await?,
            now: None,
            created: HashMap::new(),
            transferred: HashMap::new(),
            reclaimed: Vec::new(),
            splits: Vec::new(),
            concerned: BTreeSet::new(),
        };
        let mut outcomes = Vec::with_capacity(claims.len());
        for claim in claims {
            outcomes.push(match plan.add(self, claim)? {
                ClaimOutcome::Conflict(_) if claim.optional => ClaimOutcome::Unchanged,
                outcome => outcome,
            });
        }
        if !outcomes
            .iter()
            .any(|outcome| matches!(outcome, ClaimOutcome::Conflict(_)))
        {
            self.carry_out(plan).await?;
        }
        Ok(outcomes)
    }

    async fn find_periods(
        &mut self,
        identifiers: impl Iterator<Item = &Identifier>,
    ) -> Result<HashMap<Vec<u8>, Vec<Period>>, StoreError> {
        let mut digests: Vec<Vec<u8>> = identifiers.map(digest_of).collect();
        digests.sort_unstable();
        digests.dedup();
        let select = Sql::new(&format!(
            "SELECT {} FROM persons p LEFT JOIN users u ON u.org = p.org AND u.key = p.user_key \
             WHERE p.org = $1 AND p.digest IN LIST($2) ORDER BY p.digest, p.valid_from",
            Period::COLUMNS
        ));
        let rows: Vec<Period> = self.fetch_rows(select.with(self.org).with(digests)).await?;
        let mut periods: HashMap<Vec<u8>, Vec<Period>> = HashMap::new();
        for row in rows {
            periods.entry(row.digest.clone()).or_default().push(row);
        }
        Ok(periods)
    }

    async fn carry_out(&mut self, plan: ClaimPlan<'_>) -> Result<(), StoreError> {
        if !plan.created.is_empty() {
            self.directory_changed();
        }
        self.insert_rows(plan.created.into_values().collect()).await?;
        let mut transferred = Vec::new();
        for (user, persons) in plan.transferred {
            transferred.extend(persons.iter().copied());
            let deactivated = plan
                .claimants
                .get(&user)
                .is_some_and(|claimant| claimant.deactivated_at.is_some());
            self.transfer(user, deactivated, persons).await?;
        }
        self.announce_transfer(transferred).await?;
        if !plan.reclaimed.is_empty() {
            let update = Sql::new("UPDATE persons SET given_up_at = NULL WHERE org = $1 AND key IN LIST($2)");
            self.execute(update.with(self.org).with(plan.reclaimed)).await?;
        }
        for user in plan.concerned {
            self.note_resource(ResourceKind::User, user);
        }
        self.split_periods(plan.splits, MAX_AT_ONCE).await
    }

    /// Makes the user the owner of persons, with their activities and sessions.
    async fn transfer(&mut self, user: i64, deactivated: bool, persons: Vec<i64>) -> Result<(), StoreError> {
        // The sessions of the earlier owners change, too.
        let mut concerned = self.find_siblings(&persons).await?;
        let update = Sql::new(
            "UPDATE persons SET user_key = $2, deactivated = $3, given_up_at = NULL \
             WHERE org = $1 AND key IN LIST($4)",
        );
        let update = update
            .with(self.org)
            .with(user)
            .with(deactivated)
            .with(persons.clone());
        self.execute(update).await?;
        concerned.extend(persons);
        self.update_sessions(&concerned).await?;
        self.invalidate_caches();
        Ok(())
    }

    /// All persons of the users that own these.
    async fn find_siblings(&mut self, persons: &[i64]) -> Result<Vec<i64>, StoreError> {
        let select = Sql::new(
            "SELECT key FROM persons WHERE org = $1 AND user_key IN \
             (SELECT user_key FROM persons WHERE org = $1 AND key IN LIST($2))",
        );
        let select = select.with(self.org).with(persons.to_vec());
        let rows: Vec<(i64,)> = self.fetch_rows(select).await?;
        Ok(rows.into_iter().map(|(key,)| key).collect())
    }

    /// Notes that the user gives these identifiers up at `moment`. They stay the user's until another user claims them.
    pub(crate) async fn give_up(
        &mut self,
        user: i64,
        identifiers: &[Identifier],
        moment: Timestamp,
    ) -> Result<(), StoreError> {
        let update = Sql::new(
            "UPDATE persons SET given_up_at = $3 WHERE org = $1 AND user_key = $2 AND digest IN LIST($4) \
             AND valid_until IS NULL AND given_up_at IS NULL",
        );
        let digests: Vec<Vec<u8>> = identifiers.iter().map(digest_of).collect();
        let update = update.with(self.org).with(user).with(moment).with(digests);
        self.execute(update).await?;
        Ok(())
    }
}

impl Period {
    /// From when on another user may claim the identifier: since its owner gave it up or was deactivated. A user keeps
    /// the account of the own id. `None` while the owner uses it.
    fn free_from(&self, identifier: &Identifier, home_page: &str) -> Option<Timestamp> {
        let is_own_account = self
            .user_id
            .as_ref()
            .is_some_and(|id| account_of_id(home_page, id) == *identifier);
        // What happens at the moment of deactivation is still the owner's.
        let deactivated = self.user_deactivated_at.filter(|_| !is_own_account);
        let after_deactivation = deactivated.map(Timestamp::next_millisecond);
        let free = self.given_up_at.into_iter().chain(after_deactivation).min()?;
        Some(free.max(self.valid_from))
    }
}

impl ClaimPlan<'_> {
    fn add(&mut self, tx: &mut OrgTx, claim: &Claim<'_>) -> Result<ClaimOutcome, StoreError> {
        let digest = digest_of(claim.identifier);
        if !self.periods.contains_key(&digest) {
            self.create_first_period(tx, claim, digest.clone())?;
        }
        let missing = || StoreError::Invariant("an identifier has no period");
        let last = self.periods.get(&digest).and_then(|periods| periods.last());
        let last = last.ok_or_else(missing)?;
        let start = match (claim.start, last.user) {
            (ClaimStart::Always, _) => FIRST_PERIOD,
            (ClaimStart::From(moment), _) => moment,
            (_, None) => last.valid_from,
            (_, Some(owner)) if owner == claim.user => last.valid_from,
            (ClaimStart::Now, Some(_)) => *self.now.get_or_insert_with(|| tx.next_moment()),
            (start, Some(_)) => match last.free_from(claim.identifier, &self.home_page) {
                Some(free) if start == ClaimStart::GivenUp => {
                    tx.store_from(free);
                    free
                }
                _ => {
                    let owner = last.user_id.clone();
                    let missing = || StoreError::Invariant("the owner of an identifier does not exist");
                    return Ok(ClaimOutcome::Conflict(owner.ok_or_else(missing)?));
                }
            },
        };
        self.take(tx, claim, &digest, start)
    }

    /// Adds a person for an identifier that no record and no claim has named yet.
    fn create_first_period(
        &mut self,
        tx: &mut OrgTx,
        claim: &Claim<'_>,
        digest: Vec<u8>,
    ) -> Result<(), StoreError> {
        let person = NewPerson::new(
            self.org,
            tx.next_key(),
            PersonId::of_identifier(claim.identifier)?,
        );
        let period = Period {
            digest: digest.clone(),
            person: person.key,
            valid_from: FIRST_PERIOD,
            valid_until: None,
            given_up_at: None,
            user: None,
            user_id: None,
            user_deactivated_at: None,
        };
        self.created.insert(person.key, person);
        self.periods.insert(digest, vec![period]);
        Ok(())
    }

    /// Gives everything of the identifier from `start` on to the claimant.
    fn take(
        &mut self,
        tx: &mut OrgTx,
        claim: &Claim<'_>,
        digest: &[u8],
        start: Timestamp,
    ) -> Result<ClaimOutcome, StoreError> {
        let missing = || StoreError::Invariant("an identifier has no period");
        let claimant = self
            .claimants
            .get(&claim.user)
            .ok_or(StoreError::Invariant("a claimant is missing"))?;
        let mut periods = self.periods.remove(digest).ok_or_else(missing)?;
        let mut changed = false;
        for period in periods.iter_mut().filter(|period| period.reaches(start)) {
            if period.user == Some(claim.user) {
                if period.given_up_at.take().is_some() {
                    self.reclaimed.push(period.person);
                    changed = true;
                }
            } else if period.valid_from >= start {
                self.concerned.extend(period.user);
                self.take_whole(period.person, claim.user, claimant);
                period.set_owner(claim.user, claimant);
                changed = true;
            }
        }
        let is_divided = |period: &Period| {
            period.reaches(start) && period.valid_from < start && period.user != Some(claim.user)
        };
        if let Some(position) = periods.iter().position(is_divided) {
            let divided = periods.get_mut(position).ok_or_else(missing)?;
            self.concerned.extend(divided.user);
            let new = self.divide(tx, divided, claim, claimant, start)?;
            periods.insert(position + 1, new);
            changed = true;
        }
        self.periods.insert(digest.to_vec(), periods);
        if changed {
            self.concerned.insert(claim.user);
        }
        Ok(match changed {
            true => ClaimOutcome::Claimed,
            false => ClaimOutcome::Unchanged,
        })
    }

    /// Gives a person to the claimant, with all of its period.
    fn take_whole(&mut self, person: i64, user: i64, claimant: &Claimant) {
        if let Some(created) = self.created.get_mut(&person) {
            created.user_key = Some(user);
            created.deactivated = claimant.deactivated_at.is_some();
        } else {
            self.transferred.entry(user).or_default().push(person);
        }
    }

    /// Ends a period at `start`. Returns the period of the claimant that follows.
    fn divide(
        &mut self,
        tx: &mut OrgTx,
        divided: &mut Period,
        claim: &Claim<'_>,
        claimant: &Claimant,
        start: Timestamp,
    ) -> Result<Period, StoreError> {
        let mut new = NewPerson::new(
            self.org,
            tx.next_key(),
            PersonId::of_identifier(claim.identifier)?,
        );
        (new.valid_from, new.valid_until) = (start, divided.valid_until);
        new.user_key = Some(claim.user);
        new.deactivated = claimant.deactivated_at.is_some();
        let mut period = Period {
            digest: divided.digest.clone(),
            person: new.key,
            valid_from: start,
            valid_until: divided.valid_until,
            given_up_at: None,
            user: None,
            user_id: None,
            user_deactivated_at: None,
        };
        period.set_owner(claim.user, claimant);
        divided.valid_until = Some(start);
        divided.given_up_at = None;
        self.splits.push(PeriodSplit {
            divided: divided.person,
            is_owned: divided.user.is_some(),
            new,
        });
        Ok(period)
    }
}

impl Period {
    /// Whether the period ends after this moment.
    fn reaches(&self, moment: Timestamp) -> bool {
        self.valid_until.is_none_or(|end| moment < end)
    }

    fn set_owner(&mut self, user: i64, claimant: &Claimant) {
        self.user = Some(user);
        self.user_id = Some(claimant.id.clone());
        self.user_deactivated_at = claimant.deactivated_at;
        self.given_up_at = None;
    }
}
