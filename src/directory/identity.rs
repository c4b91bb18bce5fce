//! The identifiers of users in xAPI (`docs/specification.md#identifiers`).

use serde::{Serialize, Serializer};
use sha1::{Digest as _, Sha1};
use utoipa::ToSchema;

use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::form::Form;
use crate::base::ids::UserId;
use crate::base::json::Node;
use crate::record::{Actor, Identifier};

/// The maximum number of identifiers that one request may bind to one user.
pub const MAX_IDENTIFIERS: usize = 100;

/// The maximum number of identifiers in the body of a user, with those that the user has already. A user gets
/// [`MAX_IDENTIFIERS`] in one request, and may have any number after many.
pub const MAX_LISTED_IDENTIFIERS: usize = 100_000;

/// The identifiers that an e-mail address claims: its mbox and its mbox_sha1sum. Empty if the text is not an address.
///
/// Some clients hash the address as it is written, others hash it in lower case. Both hashes are claimed.
pub fn identifiers_of_email(email: &str) -> Vec<Identifier> {
    let Some(mbox) = Identifier::from_email(email) else {
        return Vec::new();
    };
    let hash = |address: &str| {
        let digest = Sha1::digest(format!("mailto:{address}").as_bytes());
        Identifier::MboxSha1(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    };
    let (as_written, in_lower_case) = (hash(email), hash(&email.to_lowercase()));
    let differ = as_written != in_lower_case;
    let mut identifiers = vec![mbox, as_written];
    identifiers.extend(differ.then_some(in_lower_case));
    identifiers
}

/// The identifier that a user's id claims: an account on the organisation's own home page.
pub fn account_of_id(account_home_page: &str, id: &UserId) -> Identifier {
    Identifier::Account {
        home_page: account_home_page.to_owned(),
        name: id.to_string(),
    }
}

/// The identifier in words, for messages: `the mbox mailto:ada@example.org`.
pub fn describe_identifier(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Mbox(mbox) => format!("the mbox {mbox}"),
        Identifier::MboxSha1(sha1) => format!("the mbox_sha1sum {sha1}"),
        Identifier::OpenId(openid) => format!("the openid {openid}"),
        Identifier::Account { home_page, name } => format!("the account {name} on {home_page}"),
    }
}

/// Reads the identifier of an xAPI agent. Its name is ignored. A member that is `null` counts as missing.
///
/// # Errors
///
/// The value is not an agent: a group, for example.
pub fn read_agent(node: &Node<'_>, place: &Place<'_>) -> Result<Identifier, Fault> {
    let actor = Actor::agent_from_node(&node.without_nulls(), place)?;
    actor
        .identifier
        .ok_or_else(|| place.fault("an agent needs an identifier: mbox, mbox_sha1sum, openid or account"))
}

/// Reads the body of a move of identifiers.
///
/// # Errors
///
/// Every fault, with its pointer.
pub fn parse_move(text: &str, depth: usize) -> Result<IdentifierMove, Faults> {
    parse_body(text, depth, |node, place, faults| {
        let mut form = Form::from_node(node, place, "a move", &["identifiers", "from"], faults)?;
        let from = match form.timestamp("from") {
            Some(moment) => MoveStart::At(moment),
            None if form.is_null("from") => MoveStart::Always,
            None => MoveStart::Now,
        };
        let identifiers = form.list("identifiers", MAX_IDENTIFIERS, read_agent);
        if identifiers.is_empty() && form.faults().is_empty() {
            form.add_fault("identifiers", "name at least one agent to move");
        }
        Some(IdentifierMove { identifiers, from })
    })
}

/// From when on a moved identifier is the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveStart {
    /// From now on: `from` is left out.
    Now,
    /// From this moment on.
    At(Timestamp),
    /// From the beginning: `from` is `null`.
    Always,
}

/// An identifier of a user, shown as an xAPI agent: one of `mbox`, `mbox_sha1sum`, `openid`, `account` (xAPI 1.0.3,
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
    /// `Agent`. Only clients send it.
    #[schema(required = false, rename = "objectType")]
    pub object_type: Option<String>,
    /// The name. Only clients send it.
    #[schema(required = false)]
    pub name: Option<String>,
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
#[schema(example = json!({"identifiers": [{"mbox": "mailto:ada.obi@example.org"}], "from": "2026-09-01T00:00:00Z"}))]
pub struct IdentifierMove {
    /// The identifiers to move. An mbox takes the mbox_sha1sum of its address along.
    #[schema(value_type = Vec<AgentShape>, min_items = 1, max_items = 100)]
    pub identifiers: Vec<Identifier>,
    /// The moment from which on they are the user's, not in the future. What happened earlier stays with the earlier
    /// users. Default: now; an identifier that nobody has had is the user's from the beginning. `null` moves everything.
    #[schema(value_type = Option<String>, format = DateTime, required = false)]
    pub from: MoveStart,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_claims_its_mbox_and_the_hashes_of_both_spellings() {
        let lower = identifiers_of_email("ada@example.org");
        assert_eq!(lower.len(), 2);
        assert_eq!(lower[0], Identifier::Mbox("mailto:ada@example.org".to_owned()));
        assert_eq!(lower[0].to_mbox_sha1().as_ref(), Some(&lower[1]));
        let mixed = identifiers_of_email("Ada@Example.org");
        assert_eq!(mixed.len(), 3);
        assert_eq!(mixed[2], lower[1]);
        assert_ne!(mixed[1], lower[1]);
        assert!(identifiers_of_email("no address").is_empty());
    }

    #[test]
    fn move_begins_now_at_a_moment_or_at_the_beginning() {
        let from = |member: &str| {
            let text = format!(r#"{{"identifiers":[{{"openid":"http://a.example/"}}]{member}}}"#);
            parse_move(&text, 8).map(|request| request.from)
        };
        assert_eq!(from("").unwrap(), MoveStart::Now);
        assert_eq!(from(r#","from":null"#).unwrap(), MoveStart::Always);
        let moment = Timestamp::from_micros(1_000_000);
        assert_eq!(
            from(r#","from":"1970-01-01T00:00:01Z""#).unwrap(),
            MoveStart::At(moment)
        );
        assert_eq!(
            from(r#","from":"soon""#).unwrap_err().listed()[0].pointer,
            "/from"
        );
    }

    #[test]
    fn move_needs_agents() {
        let read = |text: &str| match parse_move(text, 8) {
            Ok(request) => Ok(request.identifiers.len()),
            Err(faults) => {
                let pointers: Vec<_> = faults.into_iter().map(|fault| fault.pointer).collect();
                Err(pointers.join(" "))
            }
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
