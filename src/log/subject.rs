//! The person of a record (docs/specification.md#person).

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::record::{Actor, Identifier, Statement};

/// The person that a record is about, as the record names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonRef {
    /// An agent, or a group with an identifier.
    Identified {
        /// The identifier.
        identifier: Identifier,
        /// The name that was sent.
        name: Option<String>,
    },
    /// A group without an identifier. Groups with the same members are the same person, in any order and with any
    /// name.
    AnonymousGroup {
        /// The SHA-256 of the sorted identifiers of the members, in hexadecimal.
        digest: String,
        /// The members, for the name of a group without one.
        members: GroupMembers,
        /// The name that was sent.
        name: Option<String>,
    },
}

impl PersonRef {
    /// The name that was sent.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Identified { name, .. } | Self::AnonymousGroup { name, .. } => name.as_deref(),
        }
    }
}

/// The number of members that the name of an anonymous group contains.
const NAMED_MEMBERS: usize = 3;

/// The most characters of a member's name in the name of a group.
const MAX_MEMBER_NAME: usize = 60;

/// The members of a group without an identifier, as far as its name contains them.
///
/// They follow from the identifiers of the members only, so they are the same in every record of the group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMembers {
    /// The number of different members.
    pub count: usize,
    /// The short names of the first members.
    pub first: Vec<String>,
}

/// For example `Group of ada@example.org, bo, cy and 2 others`.
impl fmt::Display for GroupMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.count.saturating_sub(self.first.len());
        let mut names = self.first.clone();
        match others {
            0 => {}
            1 => names.push("1 other".to_owned()),
            _ => names.push(format!("{others} others")),
        }
        match names.split_last() {
            None => f.write_str("Group without members"),
            Some((name, [])) => write!(f, "Group of {name}"),
            Some((last, names)) => write!(f, "Group of {} and {last}", names.join(", ")),
        }
    }
}

/// The person of a record: the actor.
pub fn person_of(statement: &Statement) -> PersonRef {
    person_of_actor(&statement.actor)
}

/// The person that an actor is.
pub fn person_of_actor(actor: &Actor) -> PersonRef {
    let name = actor.name.clone();
    match &actor.identifier {
        Some(identifier) => PersonRef::Identified {
            identifier: identifier.clone(),
            name,
        },
        None => {
            let keys = sorted_keys(&actor.members);
            PersonRef::AnonymousGroup {
                digest: digest_of_keys(&keys),
                members: named_members(&keys),
                name,
            }
        }
    }
}

/// The kinds and lookup keys of the members, each once and in order.
fn sorted_keys(members: &[Actor]) -> Vec<(i16, String)> {
    let identifiers = members.iter().filter_map(|member| member.identifier.as_ref());
    let mut keys: Vec<(i16, String)> = identifiers
        .map(|identifier| (identifier.kind_code(), identifier.lookup_key()))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn named_members(keys: &[(i16, String)]) -> GroupMembers {
    let identifiers = keys
        .iter()
        .filter_map(|(kind, key)| Identifier::from_lookup_key(*kind, key));
    let names = identifiers.map(|identifier| identifier.short_name().chars().take(MAX_MEMBER_NAME).collect());
    GroupMembers {
        count: keys.len(),
        first: names.take(NAMED_MEMBERS).collect(),
    }
}

fn digest_of_keys(keys: &[(i16, String)]) -> String {
    let mut hasher = Sha256::new();
    for (kind, key) in keys {
        // The lengths make the hashed text unambiguous.
        hasher.update(kind.to_be_bytes());
        hasher.update((key.len() as u64).to_be_bytes());
        hasher.update(key);
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::record::{Limits, Version, parse_statement};

    use super::*;

    fn statement(value: &Value) -> Statement {
        parse_statement(value.to_string().as_bytes(), Version::V1, &Limits::default()).unwrap()
    }

    const COMPLETED: &str = "http://adlnet.gov/expapi/verbs/completed";

    fn person(actor: Value) -> PersonRef {
        person_of(&statement(&json!({
            "actor": actor, "verb": {"id": COMPLETED}, "object": {"id": "https://acme.example/fire"},
        })))
    }

    #[test]
    fn person_of_an_agent_has_its_identifier() {
        let ada = person(json!({"name": "Ada", "mbox": "mailto:ada@acme.example"}));
        assert_eq!(ada.name(), Some("Ada"));
        assert!(matches!(
            ada,
            PersonRef::Identified {
                identifier: Identifier::Mbox(_),
                ..
            }
        ));
    }

    #[test]
    fn anonymous_groups_with_equal_members_are_equal() {
        let [ada, bob] = [
            json!({"mbox": "mailto:ada@acme.example", "name": "A"}),
            json!({"mbox": "mailto:bob@acme.example"}),
        ];
        let digest = |members: Value| match person(json!({"objectType": "Group", "member": members})) {
            PersonRef::AnonymousGroup { digest, .. } => digest,
            PersonRef::Identified { .. } => panic!("an anonymous group has no identifier"),
        };
        let both = digest(json!([ada, bob]));
        assert_eq!(both.len(), 64);
        assert_eq!(both, digest(json!([bob, ada, ada])));
        assert_ne!(both, digest(json!([ada])));
    }

    #[test]
    fn anonymous_group_is_named_by_its_members() {
        let name = |members: &[&str]| {
            let members: Vec<Value> = members.iter().map(|mbox| json!({"mbox": mbox})).collect();
            match person(json!({"objectType": "Group", "member": members})) {
                PersonRef::AnonymousGroup { members, .. } => members.to_string(),
                PersonRef::Identified { .. } => panic!("an anonymous group has no identifier"),
            }
        };
        let all = [
            "mailto:c@x.org",
            "mailto:A@x.org",
            "mailto:b@x.org",
            "mailto:d@x.org",
            "mailto:e@x.org",
        ];
        assert_eq!(name(&[]), "Group without members");
        assert_eq!(name(&[all[1], all[1]]), "Group of a@x.org");
        assert_eq!(name(&all[..2]), "Group of a@x.org and c@x.org");
        assert_eq!(name(&all[..3]), "Group of a@x.org, b@x.org and c@x.org");
        assert_eq!(name(&all[..4]), "Group of a@x.org, b@x.org, c@x.org and 1 other");
        assert_eq!(name(&all), "Group of a@x.org, b@x.org, c@x.org and 2 others");
    }
}
