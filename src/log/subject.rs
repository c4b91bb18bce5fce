//! The person of a record (docs/specification.md#person).

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
        None => PersonRef::AnonymousGroup {
            digest: digest_of_members(&actor.members),
            name,
        },
    }
}

fn digest_of_members(members: &[Actor]) -> String {
    let identifiers = members.iter().filter_map(|member| member.identifier.as_ref());
    let mut keys: Vec<(i16, String)> = identifiers
        .map(|identifier| (identifier.kind_code(), identifier.lookup_key()))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let mut hasher = Sha256::new();
    for (kind, key) in &keys {
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
}
