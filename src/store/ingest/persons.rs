//! Persons: one for each identifier and period of ownership.
//!
//! A record belongs to the person with its actor's identifier in the period that contains its time of happening, and a
//! user owns persons (`docs/specification.md#identifiers`). The first period of an identifier has no begin and the last
//! one no end, so every record has exactly one person. `claims` decides who owns a person, `periods` divides a period.
//! Most identifiers have one period only. Then linking or renaming people changes no row of the log.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::log::{GroupMembers, PersonRef};
use crate::record::Identifier;

use crate::store::db::columns::table_row;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{StoreError, digest};

/// The kind of a group without identifier. The kinds of identifiers begin at 1.
const ANONYMOUS_GROUP: i16 = 0;
/// The kind of an account.
const ACCOUNT: i16 = 4;

/// The begin of the first period of an identifier: earlier than every record.
pub(crate) const FIRST_PERIOD: Timestamp = Timestamp::from_micros(i64::MIN);

/// The digest of an identifier. The periods of an identifier have the same digest.
pub(crate) fn digest_of(identifier: &Identifier) -> Vec<u8> {
    digest(&format!(
        "{}\n{}",
        identifier.kind_code(),
        identifier.lookup_key()
    ))
}

/// The digest of a person, or of a group without identifier.
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
        pub(crate) kind: i16 = "kind",
        pub(crate) digest: Vec<u8> = "digest",
        pub(crate) value: String = "value",
        pub(crate) valid_from: Timestamp = "valid_from",
        pub(crate) valid_until: Option<Timestamp> = "valid_until",
        name: Option<String> = "name",
        named_at: i64 = "named_at",
        named_by: Uuid = "named_by",
        tracked: bool = "tracked",
        pub(crate) user_key: Option<i64> = "user_key",
        pub(crate) deactivated: bool = "deactivated",
        given_up_at: Option<Timestamp> = "given_up_at",
        moving: bool = "moving",
    }
}

impl NewPerson {
    /// A person that no user owns, without end of its period.
    pub(crate) fn new(org: i64, key: i64, id: PersonId) -> Self {
        let (named_at, named_by) = stamp_columns(None);
        Self {
            org,
            key,
            kind: id.kind,
            digest: id.digest,
            value: id.value,
            valid_from: FIRST_PERIOD,
            valid_until: None,
            name: None,
            named_at,
            named_by,
            tracked: false,
            user_key: None,
            deactivated: false,
            given_up_at: None,
            moving: false,
        }
    }
}

impl OrgTx {
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
             AND EXISTS (SELECT 1 FROM statements s WHERE s.org = $1 AND s.actor = p.key)",
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
