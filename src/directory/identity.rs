//! What identifies a user to xAPI: the identifiers that an e-mail address and an id claim, and agents as
//! they are read and shown (product text, section 5).

use std::fmt::Display;

use serde::{Serialize, Serializer};
use sha1::{Digest as _, Sha1};
use utoipa::ToSchema;

use crate::base::fault::{Fault, Place};
use crate::base::ids::UserId;
use crate::base::json::Node;
use crate::record::Identifier;
use crate::record::{Actor, ActorKind};

use super::error::Refusal;
use crate::base::form::Form;

/// The identifiers that one request may bind to one user.
pub const MAX_IDENTIFIERS: usize = 100;

/// What an e-mail address claims: its mbox and its mbox_sha1sum. The hash is claimed of the address as it is
/// written and in lower case, since clients hash either. Nothing where the text is no address.
pub fn claimed_by_email(email: &str) -> Vec<Identifier> {
    let Some(mbox) = Identifier::from_email(email) else {
        return Vec::new();
    };
    let hash = |address: &str| {
        let digest = Sha1::digest(format!("mailto:{address}").as_bytes());
        Identifier::MboxSha1(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    };
    let (as_written, lower) = (hash(email), hash(&email.to_lowercase()));
    let mut claimed = vec![mbox, as_written];
    if lower != claimed[1] {
        claimed.push(lower);
    }
    claimed
}

/// What a user's id claims: an account on the organisation's own home page.
pub fn claimed_by_id(account_home_page: &str, id: &UserId) -> Identifier {
    Identifier::Account {
        home_page: account_home_page.to_owned(),
        name: id.to_string(),
    }
}

/// Reads an xAPI agent and gives what identifies it; its name is passed over.
///
/// # Errors
///
/// Anything else, a group among it.
pub fn read_agent(node: &Node<'_>, place: &Place<'_>) -> Result<Identifier, Fault> {
    let actor = Actor::agent_from_node(node, place)?;
    debug_assert_eq!(actor.kind, ActorKind::Agent);
    actor
        .identifier
        .ok_or_else(|| place.fault("an agent needs an identifier: mbox, mbox_sha1sum, openid or account"))
}

/// Reads the body of a move of identifiers: `{"identifiers": [agents…]}`, at least one.
///
/// # Errors
///
/// Every fault, with its place.
pub fn read_move(text: &str, depth: usize) -> Result<Vec<Identifier>, Refusal> {
    let node = crate::base::json::parse(text, depth).map_err(|fault| Refusal::Faults(vec![fault]))?;
    let mut faults = Vec::new();
    let mut identifiers = Vec::new();
    if let Some(mut form) = Form::from_node(&node, &Place::Root, "a move", &["identifiers"], &mut faults) {
        identifiers = form.list("identifiers", MAX_IDENTIFIERS, read_agent);
        if identifiers.is_empty() && form.faults().is_empty() {
            form.add_fault("identifiers", "name at least one agent to move");
        }
    }
    Refusal::unless_empty(faults)?;
    Ok(identifiers)
}

/// The id of what is written: the address's, else the member `id`. Both may say it, if they say the same.
pub(crate) fn read_id<T>(form: &mut Form<'_, '_, '_>, address: Option<&str>) -> Option<T>
where
    T: TryFrom<String, Error: Display> + AsRef<str>,
{
    let before = form.faults().len();
    let own: Option<T> = form.value("id");
    match (address, own) {
        (Some(address), Some(own)) if own.as_ref() != address => {
            form.add_fault(
                "id",
                format!("the address names `{address}`; write the same id here, or none"),
            );
            None
        }
        (_, Some(own)) => Some(own),
        (Some(address), None) if form.faults().len() == before => match T::try_from(address.to_owned()) {
            Ok(id) => Some(id),
            Err(error) => {
                let fault = form
                    .place()
                    .fault(format!("the address names what is no id: {error}"));
                form.faults().push(fault);
                None
            }
        },
        (None, None) if form.faults().len() == before => {
            form.add_fault("id", "each element of a batch needs its id");
            None
        }
        (_, None) => None,
    }
}

/// What identifies a user, as an xAPI agent: one of `mbox`, `mbox_sha1sum`, `openid`, `account` (xAPI 1.0.3,
/// Data 2.4.2).
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(value_type = AgentShape)]
pub struct Agent(pub Identifier);

impl Serialize for Agent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// An xAPI agent: exactly one of `mbox`, `mbox_sha1sum`, `openid` and `account` (xAPI 1.0.3, Data 2.4.2).
#[derive(Debug, ToSchema)]
#[schema(as = Agent, example = json!({"mbox": "mailto:ada@example.org"}))]
pub struct AgentShape {
    /// `mailto:` and an e-mail address.
    #[schema(required = false)]
    pub mbox: Option<String>,
    /// The SHA-1 of a `mailto:` IRI, 40 hexadecimal digits.
    #[schema(required = false)]
    pub mbox_sha1sum: Option<String>,
    /// An OpenID.
    #[schema(required = false)]
    pub openid: Option<String>,
    /// An account on some system.
    #[schema(required = false)]
    pub account: Option<AccountShape>,
}

/// An account on some system (xAPI 1.0.3, Data 2.4.2.4).
#[derive(Debug, ToSchema)]
#[schema(as = AgentAccount, rename_all = "camelCase")]
pub struct AccountShape {
    /// The system's home page, an IRL.
    #[schema(rename = "homePage", example = "https://lms.example.org")]
    pub home_page: String,
    /// The account's name or number there.
    #[schema(example = "u-17")]
    pub name: String,
}

/// A move of identifiers to a user.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"identifiers": [{"mbox": "mailto:ada.obi@example.org"}]}))]
pub struct IdentifierMove {
    /// What is the user's from now on, whoever has it now; what its actor did goes with it. An mbox takes
    /// the mbox_sha1sum of its address along.
    #[schema(value_type = Vec<AgentShape>, min_items = 1, max_items = 100)]
    pub identifiers: Vec<Identifier>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_claims_its_mbox_and_the_hashes_of_both_spellings() {
        let lower = claimed_by_email("ada@example.org");
        assert_eq!(lower.len(), 2);
        assert_eq!(lower[0], Identifier::Mbox("mailto:ada@example.org".to_owned()));
        assert_eq!(lower[0].to_mbox_sha1().as_ref(), Some(&lower[1]));
        let mixed = claimed_by_email("Ada@Example.org");
        assert_eq!(mixed.len(), 3);
        assert_eq!(mixed[2], lower[1]);
        assert_ne!(mixed[1], lower[1]);
        assert!(claimed_by_email("no address").is_empty());
    }

    #[test]
    fn a_move_names_agents() {
        let read = |text: &str| match read_move(text, 8) {
            Ok(identifiers) => Ok(identifiers.len()),
            Err(Refusal::Faults(faults)) => Err(faults
                .into_iter()
                .map(|f| f.pointer)
                .collect::<Vec<_>>()
                .join(" ")),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(
            read(r#"{"identifiers":[{"openid":"http://a.example/"},{"mbox":"mailto:a@b.example"}]}"#),
            Ok(2)
        );
        assert_eq!(read(r#"{"identifiers":[]}"#), Err("/identifiers".to_owned()));
        assert_eq!(read("{}"), Err("/identifiers".to_owned()));
        assert_eq!(
            read(r#"{"identifiers":[{"mbox":"a@b.example"}]}"#),
            Err("/identifiers/0/mbox".to_owned())
        );
        let group = r#"{"identifiers":[{"objectType":"Group","mbox":"mailto:a@b.example"}]}"#;
        assert_eq!(read(group), Err("/identifiers/0/objectType".to_owned()));
    }
}
