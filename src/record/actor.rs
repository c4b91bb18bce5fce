//! Agents and groups, and the identifiers of agents and groups (xAPI 1.0.3, Data 2.4.2).

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sha1::{Digest, Sha1};

use super::iri::Iri;
use super::statement::Limits;
use crate::base::fault::{Fault, Place};
use crate::base::json::{self, Fields, Node, owned_string, string};

/// An agent or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Whether it is an agent or a group.
    pub kind: ActorKind,
    /// The name.
    pub name: Option<String>,
    /// The identifier. An agent always has one. A group without one is an anonymous group.
    pub identifier: Option<Identifier>,
    /// The members of a group, which are agents. Empty for an agent.
    pub members: Vec<Actor>,
}

/// The kind of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::EnumString, strum::IntoStaticStr)]
pub enum ActorKind {
    /// A person or a system.
    Agent,
    /// A group of agents.
    Group,
}

impl ActorKind {
    /// The value of `objectType`.
    pub fn object_type(self) -> &'static str {
        self.into()
    }
}

/// An inverse functional identifier (xAPI 1.0.3, Data 2.4.2.3), in the client's spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// An e-mail address as a `mailto:` IRI.
    Mbox(String),
    /// The SHA-1 of a `mailto:` IRI, 40 hexadecimal digits.
    MboxSha1(String),
    /// An OpenID.
    OpenId(String),
    /// An account on a system.
    Account {
        /// The home page of the system, an IRL.
        home_page: String,
        /// The name or number of the account on that system.
        name: String,
    },
}

/// The number of digits of a hash in [`Identifier::short_name`].
const SHORT_HASH: usize = 8;

const KEYS: [&str; 4] = ["mbox", "mbox_sha1sum", "openid", "account"];

impl Actor {
    /// An agent.
    pub fn agent(identifier: Identifier, name: Option<&str>) -> Self {
        Self {
            kind: ActorKind::Agent,
            name: name.map(str::to_owned),
            identifier: Some(identifier),
            members: Vec::new(),
        }
    }

    /// Reads an agent or a group. Without `objectType` it is an agent.
    ///
    /// # Errors
    ///
    /// The node is neither a valid agent nor a valid group.
    pub fn from_node(node: &Node<'_>, place: &Place<'_>, limits: &Limits) -> Result<Self, Fault> {
        match object_type(node, place)? {
            ActorKind::Agent => Self::agent_from_object(node, place),
            ActorKind::Group => Self::group_from_object(node, place, limits),
        }
    }

    /// Reads an agent.
    ///
    /// # Errors
    ///
    /// The node is not a valid agent. A group is refused.
    pub fn agent_from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        match object_type(node, place)? {
            ActorKind::Agent => Self::agent_from_object(node, place),
            ActorKind::Group => Err(place
                .member("objectType")
                .fault("only an Agent is allowed here, not a Group")),
        }
    }

    /// Reads a group.
    ///
    /// # Errors
    ///
    /// The node is not a valid group. An agent is refused.
    pub fn group_from_node(node: &Node<'_>, place: &Place<'_>, limits: &Limits) -> Result<Self, Fault> {
        match object_type(node, place)? {
            ActorKind::Group => Self::group_from_object(node, place, limits),
            ActorKind::Agent => {
                let detail = "only a Group is allowed here; write \"objectType\":\"Group\"";
                let has_object_type = node.get("objectType").is_some();
                Err(if has_object_type {
                    place.member("objectType").fault(detail)
                } else {
                    place.fault(detail)
                })
            }
        }
    }

    /// Reads the authority of a statement: an agent, or an anonymous group of two agents, which are an
    /// application and a person (xAPI 1.0.3, Data 2.4.9).
    ///
    /// # Errors
    ///
    /// The node is not a valid authority.
    pub fn authority_from_node(node: &Node<'_>, place: &Place<'_>, limits: &Limits) -> Result<Self, Fault> {
        let actor = Self::from_node(node, place, limits)?;
        if actor.kind == ActorKind::Group && (actor.identifier.is_some() || actor.members.len() != 2) {
            return Err(place.fault("a Group as authority must have no identifier and exactly two members"));
        }
        Ok(actor)
    }

    /// Parses the JSON text of an agent or identified group. The query parameter `agent` has this format (xAPI 1.0.3,
    /// Communication 2.1.3).
    ///
    /// # Errors
    ///
    /// The text is not JSON, not an actor, or an actor without an identifier.
    pub fn parse_identified(text: &str) -> Result<Self, Fault> {
        let limits = Limits::default();
        let node = json::parse(text, limits.depth)?;
        let actor = Self::from_node(&node, &Place::Root, &limits)?;
        match actor.identifier {
            Some(_) => Ok(actor),
            None => Err(Fault::whole(
                "a Group needs an identifier here: mbox, mbox_sha1sum, openid or account",
            )),
        }
    }

    fn agent_from_object(node: &Node<'_>, place: &Place<'_>) -> Result<Self, Fault> {
        let known = ["objectType", "name", "mbox", "mbox_sha1sum", "openid", "account"];
        let fields = Fields::from_node(node, place, "an Agent", &known)?;
        let identifier = Identifier::from_fields(&fields)?;
        if identifier.is_none() {
            return Err(place.fault("an Agent needs an identifier: mbox, mbox_sha1sum, openid or account"));
        }
        let name = fields.optional("name", owned_string)?;
        Ok(Self {
            kind: ActorKind::Agent,
            name,
            identifier,
            members: Vec::new(),
        })
    }

    fn group_from_object(node: &Node<'_>, place: &Place<'_>, limits: &Limits) -> Result<Self, Fault> {
        let known = [
            "objectType",
            "name",
            "mbox",
            "mbox_sha1sum",
            "openid",
            "account",
            "member",
        ];
        let fields = Fields::from_node(node, place, "a Group", &known)?;
        let identifier = Identifier::from_fields(&fields)?;
        if identifier.is_none() && fields.get("member").is_none() {
            return Err(place.fault("a Group without an identifier needs its members in \"member\""));
        }
        Ok(Self {
            kind: ActorKind::Group,
            name: fields.optional("name", owned_string)?,
            identifier,
            members: fields.list("member", limits.group_members, Self::agent_from_node)?,
        })
    }
}

/// The kind of an actor by its `objectType`.
fn object_type(node: &Node<'_>, place: &Place<'_>) -> Result<ActorKind, Fault> {
    let Some(value) = node.get("objectType") else {
        return Ok(ActorKind::Agent);
    };
    let place = place.member("objectType");
    string(value, &place)?
        .parse()
        .map_err(|_| place.fault("the objectType of an actor is \"Agent\" or \"Group\""))
}

impl Identifier {
    /// Parses the JSON text of an agent or identified group and returns its identifier; see
    /// [`Actor::parse_identified`].
    ///
    /// # Errors
    ///
    /// The text is not JSON, not an actor, or an actor without an identifier.
    pub fn parse_agent(text: &str) -> Result<Self, Fault> {
        let missing = || Fault::whole("an identifier is needed: mbox, mbox_sha1sum, openid or account");
        Actor::parse_identified(text)?.identifier.ok_or_else(missing)
    }

    /// The identifier for an e-mail address. `None` if the text is not an e-mail address.
    pub fn from_email(email: &str) -> Option<Self> {
        let mbox = format!("mailto:{email}");
        is_mbox(&mbox).then_some(Self::Mbox(mbox))
    }

    /// The e-mail address, if the identifier is an mbox.
    pub fn email(&self) -> Option<&str> {
        match self {
            Self::Mbox(mbox) => mbox.get("mailto:".len()..),
            _ => None,
        }
    }

    /// A short name for people: the account name, the e-mail address, the OpenID, or the first digits of the hash.
    pub fn short_name(&self) -> &str {
        match self {
            Self::Mbox(mbox) => mbox.get("mailto:".len()..).unwrap_or(mbox),
            Self::MboxSha1(sha1) => sha1.get(..SHORT_HASH).unwrap_or(sha1),
            Self::OpenId(openid) => openid,
            Self::Account { home_page, name } if name.trim().is_empty() => home_page,
            Self::Account { name, .. } => name,
        }
    }

    /// The `mbox_sha1sum` of an mbox. `None` for other identifiers.
    ///
    /// Both identify the same person. The address is hashed in lower case, as Data 2.4.2.3 recommends to clients.
    pub fn to_mbox_sha1(&self) -> Option<Self> {
        match self {
            Self::Mbox(_) => {
                let digest = Sha1::digest(self.lookup_key().as_bytes());
                Some(Self::MboxSha1(
                    digest.iter().map(|byte| format!("{byte:02x}")).collect(),
                ))
            }
            _ => None,
        }
    }

    /// The stored code of the kind: 1 mbox, 2 mbox_sha1sum, 3 openid, 4 account.
    pub fn kind_code(&self) -> i16 {
        match self {
            Self::Mbox(_) => 1,
            Self::MboxSha1(_) => 2,
            Self::OpenId(_) => 3,
            Self::Account { .. } => 4,
        }
    }

    /// The text by which stored identifiers of this kind are looked up.
    ///
    /// An address or a hash is in lower case. An OpenID is unchanged. An account is its home page, a line
    /// feed and its name.
    pub fn lookup_key(&self) -> String {
        match self {
            Self::Mbox(mbox) => mbox.to_lowercase(),
            Self::MboxSha1(sha1) => sha1.to_ascii_lowercase(),
            Self::OpenId(openid) => openid.clone(),
            // An IRL contains no line feed, so the first line feed ends the home page.
            Self::Account { home_page, name } => format!("{home_page}\n{name}"),
        }
    }

    /// The identifier with this [`kind_code`](Self::kind_code) and [`lookup_key`](Self::lookup_key). An
    /// address or a hash is in lower case.
    pub fn from_lookup_key(kind: i16, key: &str) -> Option<Self> {
        match kind {
            1 => Some(Self::Mbox(key.to_owned())),
            2 => Some(Self::MboxSha1(key.to_owned())),
            3 => Some(Self::OpenId(key.to_owned())),
            4 => key.split_once('\n').map(|(home_page, name)| Self::Account {
                home_page: home_page.to_owned(),
                name: name.to_owned(),
            }),
            _ => None,
        }
    }

    /// Reads the identifier of an actor, if it has one.
    fn from_fields(fields: &Fields<'_, '_>) -> Result<Option<Self>, Fault> {
        let mut present = KEYS.into_iter().filter(|key| fields.get(key).is_some());
        let Some(key) = present.next() else {
            return Ok(None);
        };
        if let Some(second) = present.next() {
            let place = fields.place().member(second);
            return Err(place.fault(format!(
                "an actor has exactly one identifier, and this one already has {key}"
            )));
        }
        fields.optional(key, |node, place| match key {
            "mbox" => mbox_from_node(node, place),
            "mbox_sha1sum" => mbox_sha1_from_node(node, place),
            "openid" => Iri::from_node(node, place).map(|iri| Self::OpenId(iri.into())),
            _ => account_from_node(node, place),
        })
    }
}

/// Serialises as an object with the identifying member: `{"mbox":"mailto:ada@example.org"}`.
impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Account<'a> {
            #[serde(rename = "homePage")]
            home_page: &'a str,
            name: &'a str,
        }
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Mbox(mbox) => map.serialize_entry("mbox", mbox)?,
            Self::MboxSha1(sha1) => map.serialize_entry("mbox_sha1sum", sha1)?,
            Self::OpenId(openid) => map.serialize_entry("openid", openid)?,
            Self::Account { home_page, name } => {
                map.serialize_entry("account", &Account { home_page, name })?
            }
        }
        map.end()
    }
}

fn mbox_from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Identifier, Fault> {
    let text = string(node, place)?;
    if !is_mbox(text) {
        return Err(place
            .fault("an mbox is \"mailto:\" followed by an e-mail address, such as mailto:ada@example.org"));
    }
    Ok(Identifier::Mbox(text.to_owned()))
}

/// Whether the text is `mailto:` followed by one e-mail address.
///
/// The check is lenient, which Data 2.2 allows: it accepts unusual addresses that mail systems accept.
fn is_mbox(text: &str) -> bool {
    let Some((local, domain)) = text
        .strip_prefix("mailto:")
        .and_then(|address| address.rsplit_once('@'))
    else {
        return false;
    };
    let is_printable = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '?' | ',');
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    let is_address_literal = domain.starts_with('[') && domain.ends_with(']') && domain.len() > 2;
    !local.is_empty()
        && local.chars().all(is_printable)
        && (!local.contains('@') || local.starts_with('"'))
        && (is_address_literal && domain.chars().all(is_printable) || domain.split('.').all(is_label))
}

fn mbox_sha1_from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Identifier, Fault> {
    let text = string(node, place)?;
    if text.len() != 40 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(place.fault("an mbox_sha1sum is 40 hexadecimal digits: the SHA-1 of a mailto IRI"));
    }
    Ok(Identifier::MboxSha1(text.to_owned()))
}

fn account_from_node(node: &Node<'_>, place: &Place<'_>) -> Result<Identifier, Fault> {
    let fields = Fields::from_node(node, place, "an account", &["homePage", "name"])?;
    let home_page = fields.required("homePage", Iri::from_node)?.into();
    Ok(Identifier::Account {
        home_page,
        name: fields.required("name", owned_string)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Identifier; 4] {
        [
            Identifier::Mbox("mailto:ada@example.org".into()),
            Identifier::MboxSha1("cd9b00a5611f94eaa7b1661edab976068e364975".into()),
            Identifier::OpenId("http://openid.example.org/1".into()),
            Identifier::Account {
                home_page: "http://example.org".into(),
                name: "a \"b\"\nc".into(),
            },
        ]
    }

    #[test]
    fn lookup_key_converts_back_to_its_identifier() {
        for identifier in all() {
            assert_eq!(
                Identifier::from_lookup_key(identifier.kind_code(), &identifier.lookup_key()),
                Some(identifier)
            );
        }
        assert_eq!(Identifier::from_lookup_key(4, "no line feed"), None);
        assert_eq!(Identifier::from_lookup_key(0, "x"), None);
    }

    #[test]
    fn json_parses_back_to_its_identifier() {
        for identifier in all() {
            let text = serde_json::to_string(&identifier).unwrap();
            assert_eq!(Identifier::parse_agent(&text), Ok(identifier.clone()));
            let group = Actor {
                kind: ActorKind::Group,
                ..Actor::agent(identifier.clone(), Some("We"))
            };
            let group = Actor::parse_identified(&group.to_json()).unwrap();
            assert_eq!(
                (group.kind, group.name.as_deref()),
                (ActorKind::Group, Some("We"))
            );
            assert_eq!(group.identifier, Some(identifier));
        }
    }

    #[test]
    fn short_name_is_for_people() {
        let names = all().map(|identifier| identifier.short_name().to_owned());
        assert_eq!(
            names,
            [
                "ada@example.org",
                "cd9b00a5",
                "http://openid.example.org/1",
                "a \"b\"\nc"
            ]
        );
        let blank = Identifier::Account {
            home_page: "http://example.org".into(),
            name: " ".into(),
        };
        assert_eq!(blank.short_name(), "http://example.org");
    }

    #[test]
    fn a_query_needs_one_identifier() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"objectType":"Group","member":[]}"#,
            r#"{"mbox":"mailto:a@b.c","openid":"http://x.org"}"#,
        ] {
            assert!(Identifier::parse_agent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hash_of_an_address_ignores_case() {
        let address = Identifier::from_email("Bob@example.com").unwrap();
        assert_eq!(address.lookup_key(), "mailto:bob@example.com");
        assert_eq!(address.email(), Some("Bob@example.com"));
        let lower = Identifier::from_email("bob@example.com").unwrap();
        assert_eq!(address.to_mbox_sha1(), lower.to_mbox_sha1());
        assert_eq!(
            address.to_mbox_sha1().unwrap().lookup_key(),
            "7560680e2567e081782bce4a5651785d547ad789"
        );
        for text in [
            "bob",
            "@x.org",
            "bob@",
            "bob@x..org",
            "bob smith@x.org",
            "bob@x.org?subject=hi",
            "a,b@x.org",
        ] {
            assert_eq!(Identifier::from_email(text), None, "{text}");
        }
    }
}
