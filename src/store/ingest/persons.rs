//! Persons: one for each identifier.
//!
//! A record belongs to the person with its actor's identifier, and a user owns persons. So linking, moving or renaming
//! people changes no row of the log. Activities before the identifier is claimed belong to the user from then on, too
//! (`docs/specification.md#identifiers`).

use std::collections::HashMap;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{StatementId, UserId};
use crate::log::{GroupMembers, PersonRef};
use crate::record::Identifier;

use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{StoreError, digest};

/// The kind of a group without identifier. The kinds of identifiers begin at 1.
const ANONYMOUS_GROUP: i16 = 0;
/// The kind of an account.
const ACCOUNT: i16 = 4;

/// A claim of an identifier that another user owns.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimConflict {
    /// The claimed identifier.
    pub identifier: Identifier,
    /// The owner.
    pub owner: UserId,
}

/// The digest that makes the person with this identifier unique.
pub(crate) fn digest_of(identifier: &Identifier) -> Vec<u8> {
    digest(&format!(
        "{}\n{}",
        identifier.kind_code(),
        identifier.lookup_key()
    ))
}

/// The digest that makes a person or a group without identifier unique.
pub(crate) fn digest_of_person(person: &PersonRef) -> Vec<u8> {
    match person {
        PersonRef::Identified { identifier, .. } => digest_of(identifier),
        PersonRef::AnonymousGroup { digest: members, .. } => digest(&format!("{ANONYMOUS_GROUP}\n{members}")),
    }
}

/// What identifies a new person.
pub(crate) struct PersonId {
    pub(crate) kind: i16,
    pub(crate) digest: Vec<u8>,
    pub(crate) value: String,
}

impl PersonId {
    pub(crate) fn of(person: &PersonRef) -> Result<Self, StoreError> {
        match person {
            PersonRef::Identified { identifier, .. } => Self::of_identifier(identifier),
            PersonRef::AnonymousGroup { members, .. } => Ok(Self {
                kind: ANONYMOUS_GROUP,
                digest: digest_of_person(person),
                value: serde_json::to_string(members)
                    .map_err(|error| StoreError::corrupt("members of a group", error))?,
            }),
        }
    }

    pub(crate) fn of_identifier(identifier: &Identifier) -> Result<Self, StoreError> {
        Ok(Self {
            kind: identifier.kind_code(),
            digest: digest_of(identifier),
            value: serde_json::to_string(identifier)
                .map_err(|error| StoreError::corrupt("identifier", error))?,
        })
    }
}

/// The identifier of a person. `None` for a group without identifier.
pub(crate) fn read_identifier(value: &str) -> Result<Option<Identifier>, StoreError> {
    if value.is_empty() {
        return Ok(None);
    }
    Identifier::parse_agent(value)
        .map(Some)
        .map_err(|error| StoreError::corrupt("identifier", error))
}

/// The members of a group without identifier. `None` for other persons.
pub(crate) fn read_group(kind: i16, value: &str) -> Result<Option<GroupMembers>, StoreError> {
    if kind != ANONYMOUS_GROUP {
        return Ok(None);
    }
    serde_json::from_str(value)
        .map(Some)
        .map_err(|error| StoreError::corrupt("members of a group", error))
}

table_row! {
    /// A new person.
    pub(crate) struct NewPerson in "persons" {
        org: i64 = "org",
        pub(crate) key: i64 = "key",
        kind: i16 = "kind",
        digest: Vec<u8> = "digest",
        value: String = "value",
        name: Option<String> = "name",
        named_at: i64 = "named_at",
        named_by: Uuid = "named_by",
        tracked: bool = "tracked",
        user_key: Option<i64> = "user_key",
        deactivated: bool = "deactivated",
    }
}

impl NewPerson {
    /// A person that no user owns.
    pub(crate) fn new(org: i64, key: i64, id: PersonId) -> Self {
        let (named_at, named_by) = stamp_columns(None);
        Self {
            org,
            key,
            kind: id.kind,
            digest: id.digest,
            value: id.value,
            name: None,
            named_at,
            named_by,
            tracked: false,
            user_key: None,
            deactivated: false,
        }
    }
}

columns! {
    /// The owner of a person.
    struct Owner {
        digest: Vec<u8> = "digest",
        person: i64 = "key",
        user: Option<i64> = "user_key",
    }
}

impl OrgTx {
    /// Gives the identifiers to the user. If another user owns one of them, nothing is changed and the conflicts are
    /// returned; with `moving`, the identifier is taken from its owner instead.
    pub(crate) async fn claim(
        &mut self,
        user: i64,
        deactivated: bool,
        identifiers: &[Identifier],
        moving: bool,
    ) -> Result<Vec<ClaimConflict>, StoreError> {
        let claims: Vec<(i64, &Identifier)> =
            identifiers.iter().map(|identifier| (user, identifier)).collect();
        let owners = HashMap::from([(user, deactivated)]);
        let conflicts = self.claim_all(&claims, &owners, moving).await?;
        Ok(conflicts.into_iter().map(|(_, conflict)| conflict).collect())
    }

    /// [`OrgTx::claim`] for many users: `(user, identifier)`, and whether each user is deactivated. A conflict is
    /// returned with its index among the claims. The users must exist.
    pub(crate) async fn claim_all(
        &mut self,
        claims: &[(i64, &Identifier)],
        deactivated: &HashMap<i64, bool>,
        moving: bool,
    ) -> Result<Vec<(usize, ClaimConflict)>, StoreError> {
        let digests: Vec<Vec<u8>> = claims
            .iter()
            .map(|(_, identifier)| digest_of(identifier))
            .collect();
        let mut owners = self.find_owners(&digests).await?;
        let mut created = Vec::new();
        let mut linked: HashMap<i64, Vec<i64>> = HashMap::new();
        let mut conflicts = Vec::new();
        let is_deactivated = |user: &i64| deactivated.get(user).copied().unwrap_or(false);
        for (index, ((user, identifier), digest)) in claims.iter().zip(&digests).enumerate() {
            let Some(owner) = owners.get_mut(digest) else {
                let person = self.next_key();
                let id = PersonId::of_identifier(identifier)?;
                created.push(NewPerson {
                    user_key: Some(*user),
                    deactivated: is_deactivated(user),
                    ..NewPerson::new(self.org, person, id)
                });
                let owner = Owner {
                    digest: digest.clone(),
                    person,
                    user: Some(*user),
                };
                owners.insert(digest.clone(), owner);
                continue;
            };
            match owner.user {
                Some(owner) if owner == *user => {}
                Some(owner) if !moving => conflicts.push((index, owner)),
                _ => {
                    owner.user = Some(*user);
                    linked.entry(*user).or_default().push(owner.person);
                }
            }
        }
        if !conflicts.is_empty() {
            return self.describe_conflicts(claims, conflicts).await;
        }
        self.insert_rows(created).await?;
        for (user, persons) in linked {
            self.link(user, is_deactivated(&user), persons).await?;
        }
        Ok(Vec::new())
    }

    async fn find_owners(&mut self, digests: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, Owner>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM persons WHERE org = $1 AND digest IN LIST($2)",
            Owner::COLUMNS
        ));
        let select = select.with(self.org).with(digests.to_vec());
        let owners: Vec<Owner> = self.fetch_rows(select).await?;
        Ok(owners
            .into_iter()
            .map(|owner| (owner.digest.clone(), owner))
            .collect())
    }

    async fn describe_conflicts(
        &mut self,
        claims: &[(i64, &Identifier)],
        conflicts: Vec<(usize, i64)>,
    ) -> Result<Vec<(usize, ClaimConflict)>, StoreError> {
        let keys: Vec<i64> = conflicts.iter().map(|(_, owner)| *owner).collect();
        let select = Sql::new("SELECT key, id FROM users WHERE org = $1 AND key IN LIST($2)");
        let users: Vec<(i64, UserId)> = self.fetch_rows(select.with(self.org).with(keys)).await?;
        let users: HashMap<i64, UserId> = users.into_iter().collect();
        let conflicts = conflicts.into_iter().map(|(index, owner)| {
            let (Some(owner), Some((_, identifier))) = (users.get(&owner), claims.get(index)) else {
                return Err(StoreError::Invariant("the owner of an identifier does not exist"));
            };
            let conflict = ClaimConflict {
                identifier: (*identifier).clone(),
                owner: owner.clone(),
            };
            Ok((index, conflict))
        });
        conflicts.collect()
    }

    /// Makes the user the owner of persons, with their activities and sessions.
    async fn link(&mut self, user: i64, deactivated: bool, persons: Vec<i64>) -> Result<(), StoreError> {
        // The sessions of the earlier owners change, too.
        let mut concerned = self.find_siblings(&persons).await?;
        let update =
            Sql::new("UPDATE persons SET user_key = $2, deactivated = $3 WHERE org = $1 AND key IN LIST($4)");
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

    /// Marks the user's persons as deactivated, or as active again.
    pub(crate) async fn set_deactivated(&mut self, user: i64, deactivated: bool) -> Result<(), StoreError> {
        let update =
            Sql::new("UPDATE persons SET deactivated = $3 WHERE org = $1 AND user_key = $2").with(self.org);
        self.execute(update.with(user).with(deactivated)).await?;
        Ok(())
    }

    /// Whether a record has an account of this home page as its actor, or the page as its object. Then the home page
    /// cannot be changed any more (`docs/specification.md#identifiers`).
    pub(crate) async fn has_used_home_page(&mut self, page: &str) -> Result<bool, StoreError> {
        let object = Sql::new(
            "SELECT s.seq FROM contents c JOIN statements s ON s.org = c.org AND s.object = c.key \
             WHERE c.org = $1 AND c.digest = $2 LIMIT 1",
        );
        if self
            .fetch_optional(object.with(self.org).with(digest(page)))
            .await?
            .is_some()
        {
            return Ok(true);
        }
        // The digest of an account covers the page and the name, so the pages are compared one by one.
        let actors = Sql::new(
            "SELECT p.value FROM persons p WHERE p.org = $1 AND p.kind = $2 \
             AND EXISTS (SELECT 1 FROM statements s WHERE s.org = p.org AND s.actor = p.key)",
        );
        let values: Vec<(String,)> = self.fetch_rows(actors.with(self.org).with(ACCOUNT)).await?;
        for (value,) in values {
            let identifier = read_identifier(&value)?;
            if matches!(identifier, Some(Identifier::Account { home_page, .. }) if home_page == page) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The columns of a stamp. No stamp is earlier than all others.
pub(crate) fn stamp_columns(stamp: Option<(Timestamp, StatementId)>) -> (i64, Uuid) {
    match stamp {
        Some((at, by)) => (at.micros(), by.0),
        None => (i64::MIN, Uuid::nil()),
    }
}
