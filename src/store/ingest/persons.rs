//! Persons: one row an identifier, so that linking, moving and renaming people rewrites no row of the log.
//!
//! A record leads to a person by its actor's identifier; a user owns persons. What an actor did before the
//! directory knew them is the user's from the moment the identifier is claimed (product text, section 5).

use std::collections::HashMap;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{StatementId, UserId};
use crate::log::PersonRef;
use crate::record::Identifier;

use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::read_id;
use crate::store::db::{StoreError, digest};

/// The kind of a group that is known by its members alone; an identifier's kinds begin at 1.
const ANONYMOUS_GROUP: i16 = 0;
/// The kind of an account.
const ACCOUNT: i16 = 4;

/// An identifier that belongs to another user.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimConflict {
    /// What was claimed.
    pub identifier: Identifier,
    /// Who has it.
    pub owner: UserId,
}

/// What a person is unique by.
pub(crate) fn digest_of(identifier: &Identifier) -> Vec<u8> {
    digest(&format!(
        "{}\n{}",
        identifier.kind_code(),
        identifier.lookup_key()
    ))
}

/// What a person is unique by, whether identified or not.
pub(crate) fn digest_of_person(person: &PersonRef) -> Vec<u8> {
    match person {
        PersonRef::Identified { identifier, .. } => digest_of(identifier),
        PersonRef::AnonymousGroup { digest: members, .. } => digest(&format!("{ANONYMOUS_GROUP}\n{members}")),
    }
}

/// A new person's place in `persons`: kind, digest and the value to read them back from.
pub(crate) struct PersonId {
    pub(crate) kind: i16,
    pub(crate) digest: Vec<u8>,
    pub(crate) value: String,
}

impl PersonId {
    pub(crate) fn of(person: &PersonRef) -> Result<Self, StoreError> {
        match person {
            PersonRef::Identified { identifier, .. } => Self::of_identifier(identifier),
            PersonRef::AnonymousGroup { .. } => Ok(Self {
                kind: ANONYMOUS_GROUP,
                digest: digest_of_person(person),
                value: String::new(),
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

/// The identifier that a person's row was made from; none for a group known by its members.
pub(crate) fn read_identifier(value: &str) -> Result<Option<Identifier>, StoreError> {
    if value.is_empty() {
        return Ok(None);
    }
    Identifier::parse_agent(value)
        .map(Some)
        .map_err(|error| StoreError::corrupt("identifier", error))
}

pub(crate) const PERSON_COLUMNS: [&str; 11] = [
    "org",
    "key",
    "kind",
    "digest",
    "value",
    "name",
    "named_at",
    "named_by",
    "contested",
    "user_key",
    "deactivated",
];

struct Bound {
    person: i64,
    owner: Option<i64>,
}

impl OrgTx {
    /// Binds the identifiers to the user. Where another user has one of them nothing is bound and the
    /// conflicts are answered, unless they are `moving`: then it is taken from its owner.
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

    /// The same for many users at once: `(user, identifier)`, and whether each user is deactivated. Each
    /// conflict is answered with its place among the claims. The users must be there already.
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
        let mut bound = self.bound(&digests).await?;
        let mut made = Vec::new();
        let mut linked: HashMap<i64, Vec<i64>> = HashMap::new();
        let mut conflicts = Vec::new();
        for (place, ((user, identifier), digest)) in claims.iter().zip(&digests).enumerate() {
            match bound.get_mut(digest) {
                Some(Bound {
                    owner: Some(owner), ..
                }) if *owner == *user => {}
                Some(Bound {
                    owner: Some(owner), ..
                }) if !moving => conflicts.push((place, *owner)),
                Some(bound) => {
                    bound.owner = Some(*user);
                    linked.entry(*user).or_default().push(bound.person);
                }
                None => {
                    let person = self.next_key();
                    let id = PersonId::of_identifier(identifier)?;
                    let away = deactivated.get(user).copied().unwrap_or(false);
                    made.push(self.person_row(person, id, None, None, Some(*user), away));
                    bound.insert(
                        digest.clone(),
                        Bound {
                            person,
                            owner: Some(*user),
                        },
                    );
                }
            }
        }
        if !conflicts.is_empty() {
            return self.name_owners(claims, conflicts).await;
        }
        self.insert("persons", &PERSON_COLUMNS, made).await?;
        for (user, persons) in linked {
            self.link(user, deactivated.get(&user).copied().unwrap_or(false), persons)
                .await?;
        }
        Ok(Vec::new())
    }

    async fn bound(&mut self, digests: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, Bound>, StoreError> {
        let select =
            Sql::new("SELECT digest, key, user_key FROM persons WHERE org = $1 AND digest IN LIST($2)");
        let select = select.with(self.org).with(digests.to_vec());
        let rows = self.fetch_all(select).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.get(0)?,
                    Bound {
                        person: row.get(1)?,
                        owner: row.get(2)?,
                    },
                ))
            })
            .collect()
    }

    async fn name_owners(
        &mut self,
        claims: &[(i64, &Identifier)],
        conflicts: Vec<(usize, i64)>,
    ) -> Result<Vec<(usize, ClaimConflict)>, StoreError> {
        let keys: Vec<i64> = conflicts.iter().map(|(_, owner)| *owner).collect();
        let select = Sql::new("SELECT key, id FROM users WHERE org = $1 AND key IN LIST($2)");
        let rows = self.fetch_all(select.with(self.org).with(keys)).await?;
        let mut owners: HashMap<i64, UserId> = HashMap::new();
        for row in &rows {
            owners.insert(row.get(0)?, read_id(row, 1)?);
        }
        conflicts
            .into_iter()
            .map(|(place, owner)| {
                let missing = StoreError::Invariant("an identifier claimed for a user who is not there");
                let (Some(owner), Some((_, identifier))) = (owners.get(&owner), claims.get(place)) else {
                    return Err(missing);
                };
                let identifier = (*identifier).clone();
                Ok((
                    place,
                    ClaimConflict {
                        identifier,
                        owner: owner.clone(),
                    },
                ))
            })
            .collect()
    }

    /// Gives persons to a user: their rows are the user's from now on, and so are their sessions.
    async fn link(&mut self, user: i64, deactivated: bool, persons: Vec<i64>) -> Result<(), StoreError> {
        // Whoever had them before has a session less, whoever gets them has one more.
        let mut touched = self.siblings(&persons).await?;
        let update =
            Sql::new("UPDATE persons SET user_key = $2, deactivated = $3 WHERE org = $1 AND key IN LIST($4)");
        let update = update
            .with(self.org)
            .with(user)
            .with(deactivated)
            .with(persons.clone());
        self.execute(update).await?;
        touched.extend(persons);
        self.update_sessions(&touched).await?;
        self.invalidate_caches();
        Ok(())
    }

    /// All persons of the users who own these.
    async fn siblings(&mut self, persons: &[i64]) -> Result<Vec<i64>, StoreError> {
        let select = Sql::new(
            "SELECT key FROM persons WHERE org = $1 AND user_key IN \
             (SELECT user_key FROM persons WHERE org = $1 AND key IN LIST($2))",
        );
        let rows = self
            .fetch_all(select.with(self.org).with(persons.to_vec()))
            .await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Marks the user's persons as deactivated, or as active again.
    pub(crate) async fn set_deactivated(&mut self, user: i64, deactivated: bool) -> Result<(), StoreError> {
        let update =
            Sql::new("UPDATE persons SET deactivated = $3 WHERE org = $1 AND user_key = $2").with(self.org);
        self.execute(update.with(user).with(deactivated)).await?;
        Ok(())
    }

    /// Whether a record has an account of that home page as its actor, or the page itself as its object:
    /// then the page can't change any more (product text, section 5).
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
        // The digest of an account covers its page and name together, so the page is looked for in the value.
        let actors = Sql::new(
            "SELECT p.value FROM persons p WHERE p.org = $1 AND p.kind = $2 \
             AND EXISTS (SELECT 1 FROM statements s WHERE s.org = p.org AND s.actor = p.key)",
        );
        for row in self.fetch_all(actors.with(self.org).with(ACCOUNT)).await? {
            let identifier = read_identifier(&row.get::<String>(0)?)?;
            if matches!(identifier, Some(Identifier::Account { home_page, .. }) if home_page == page) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A row for `persons`, in the order of [`PERSON_COLUMNS`].
    pub(crate) fn person_row(
        &self,
        key: i64,
        id: PersonId,
        name: Option<String>,
        named: Option<(Timestamp, StatementId)>,
        user: Option<i64>,
        deactivated: bool,
    ) -> Vec<Value> {
        let (named_at, named_by) = stamp_columns(named);
        vec![
            self.org.into(),
            key.into(),
            id.kind.into(),
            id.digest.into(),
            id.value.into(),
            name.into(),
            named_at.into(),
            named_by.into(),
            false.into(),
            user.into(),
            deactivated.into(),
        ]
    }
}

/// When and by which statement something was said; before everything where nothing was.
pub(crate) fn stamp_columns(stamp: Option<(Timestamp, StatementId)>) -> (i64, Uuid) {
    match stamp {
        Some((at, by)) => (at.micros(), by.0),
        None => (i64::MIN, Uuid::nil()),
    }
}
