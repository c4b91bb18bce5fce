//! The rights of makers and recipients, as the directory has them at this moment. See `docs/specification.md#recipients`.
//!
//! Schedules, links in messages and report keys have no token, so the directory's role counts. A permission of a token, such
//! as a curator's `reporting`, does not count. Nothing is cached: each attempt asks the directory again, so a user that was
//! deactivated, got another role or was moved since has the new rights.

use std::collections::HashSet;

use lettre::Address;

use crate::access::{Person, Principal, Reach, ReachRules};
use crate::base::ids::{OrgId, UserId};
use crate::store::{Contact, Store, StoreError};
use crate::texts::Language;

/// A user that may open reports, as the directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The user as a caller with the directory's role.
    pub principal: Principal,
    /// The id.
    pub user: UserId,
    /// The name, or the id of a user without a name.
    pub name: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// The language, if the texts are in it.
    pub language: Option<Language>,
}

/// Why a user may not open reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRights {
    /// The directory does not have the user.
    #[error("the directory has no such user")]
    Unknown,
    /// The user is deactivated.
    #[error("the directory has this user as deactivated")]
    Deactivated,
    /// The role has no reporting access.
    #[error("the directory's role of this user has no reporting access")]
    NoReportingAccess,
}

/// The rights of a user at this moment.
///
/// # Errors
///
/// The store fails. The inner error: the user may not open reports.
pub async fn find_rights(
    store: &Store,
    org: &OrgId,
    user: &UserId,
) -> Result<Result<Rights, NoRights>, StoreError> {
    Ok(store
        .contact(org, user)
        .await?
        .ok_or(NoRights::Unknown)
        .and_then(|contact| to_rights(org, contact)))
}

fn to_rights(org: &OrgId, contact: Contact) -> Result<Rights, NoRights> {
    if !contact.active {
        return Err(NoRights::Deactivated);
    }
    let person = Person::from_directory(org.clone(), contact.user.clone(), contact.role);
    if !person.has_reporting_access() {
        return Err(NoRights::NoReportingAccess);
    }
    Ok(Rights {
        principal: Principal::Person(person),
        user: contact.user,
        name: contact.name,
        email: contact.email,
        language: contact.language.as_deref().and_then(Language::find),
    })
}

/// The operator's rules for recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientRules {
    /// The domains of allowed addresses outside the directory, in lower case. Without a domain only users of the directory
    /// receive reports.
    pub domains: Vec<String>,
}

impl RecipientRules {
    /// Whether an address outside the directory may receive reports: its domain is in the list. Subdomains are not.
    ///
    /// A quoted local part is refused: `"ann"@example.org` is the mailbox of `ann@example.org` (RFC 5321, section 4.1.2),
    /// which may be the address of a user that may see fewer rows.
    fn allow(&self, address: &Address) -> bool {
        if address.user().starts_with('"') {
            return false;
        }
        let domain = address.domain().to_lowercase();
        self.domains.contains(&domain)
    }
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a schedule has few recipients, and most are users"
)]
pub enum Recipient {
    /// A user of the directory. It gets rows within its own rights.
    User(Rights),
    /// An allowed address outside the directory.
    Address(String),
}

impl Recipient {
    /// The e-mail address. Each recipient has one.
    pub fn address(&self) -> &str {
        match self {
            Self::User(rights) => rights.email.as_deref().unwrap_or_default(),
            Self::Address(address) => address,
        }
    }

    /// The text that a schedule stores for the sent `text`: a user's id if the client sent it, otherwise the address. Each run
    /// finds the user of an address. The client that knows an address does not learn the user's id.
    pub fn to_stored(&self, text: &str) -> String {
        match self {
            Self::Address(address) => address.clone(),
            Self::User(rights) if rights.user.as_str() == text => text.to_owned(),
            // The text is an address: the user was found by it.
            Self::User(_) => text
                .parse()
                .map_or_else(|_| text.to_owned(), |address| canonical(&address)),
        }
    }

    /// The language in the directory, if the texts are in it.
    pub fn language(&self) -> Option<Language> {
        match self {
            Self::User(rights) => rights.language,
            Self::Address(_) => None,
        }
    }

    /// The name in the directory.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::User(rights) => Some(&rights.name),
            Self::Address(_) => None,
        }
    }
}

/// Why a text is no recipient.
///
/// [`NotARecipient::NoAccess`] does not say whether the user is unknown, is deactivated or has no reporting access, or whether
/// the address is not allowed. A client that writes a schedule gets [`NotARecipient::NoAccess`] in each case
/// ([`resolve_recipients`](super::schedule::resolve_recipients)). Only the delivery of an earlier recipient says that its
/// address is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotARecipient {
    /// Neither an active user with reporting access by its role in the directory, nor an allowed address.
    #[error(
        "is neither an active user with an e-mail address and reporting access by the role in the directory, nor an \
         address outside the directory of a domain that this server may send reports to"
    )]
    NoAccess,
    /// The user has no valid e-mail address.
    #[error("is a user without a valid e-mail address in the directory")]
    NoEmail,
}

/// The recipient of a text: the user with this id, or the user with this address, or the address itself.
///
/// # Errors
///
/// The store fails. The inner error: the text is no recipient.
pub async fn find_recipient(
    store: &Store,
    org: &OrgId,
    text: &str,
    rules: &RecipientRules,
) -> Result<Result<Recipient, NotARecipient>, StoreError> {
    let mut contact = match UserId::new(text.to_owned()) {
        Ok(id) => store.contact(org, &id).await?,
        Err(_) => None,
    };
    let address = text.parse::<Address>().ok();
    if contact.is_none() && address.is_some() {
        contact = store.contact_by_email(org, text).await?;
    }
    let Some(contact) = contact else {
        return Ok(match address {
            Some(address) if rules.allow(&address) => Ok(Recipient::Address(canonical(&address))),
            _ => Err(NotARecipient::NoAccess),
        });
    };
    let Ok(rights) = to_rights(org, contact) else {
        return Ok(Err(NotARecipient::NoAccess));
    };
    let writable = rights
        .email
        .as_deref()
        .is_some_and(|email| email.parse::<Address>().is_ok());
    Ok(if writable {
        Ok(Recipient::User(rights))
    } else {
        Err(NotARecipient::NoEmail)
    })
}

/// The text that a schedule stores for a recipient that is not checked with the directory: an address or a possible id.
/// `None` if it can be neither. An address with a quoted local part is refused, see [`RecipientRules`].
pub(super) fn to_unchecked(text: &str) -> Option<String> {
    match text.parse::<Address>() {
        Ok(address) if address.user().starts_with('"') => None,
        Ok(address) => Some(canonical(&address)),
        Err(_) if text.contains('@') => None,
        Err(_) => UserId::new(text.to_owned()).ok().map(|_| text.to_owned()),
    }
}

/// The recipients of which a user with a limited reach may learn whether they are users: those within the reach. `None` if
/// the user may see the whole directory.
///
/// # Errors
///
/// The store fails.
pub async fn find_disclosed(
    store: &Store,
    principal: &Principal,
    rules: &ReachRules,
    recipients: &[String],
) -> Result<Option<HashSet<String>>, StoreError> {
    let Some(person) = principal.person() else {
        return Ok(None);
    };
    match person.reach(rules) {
        Reach::Organisation => Ok(None),
        reach => store
            .find_disclosed_recipients(&person.org, &reach, recipients)
            .await
            .map(Some),
    }
}

/// The address with its domain in lower case. The case of the local part may matter.
fn canonical(address: &Address) -> String {
    format!("{}@{}", address.user(), address.domain().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn contact(role: Role, active: bool) -> Contact {
        Contact {
            user: UserId::new("bo").unwrap(),
            name: "Bo Ek".to_owned(),
            email: Some("bo@example.org".to_owned()),
            role,
            active,
            language: Some("de-AT".to_owned()),
        }
    }

    #[test]
    fn role_of_the_directory_decides() {
        let org = OrgId::new("acme").unwrap();
        for role in Role::ALL {
            let found = to_rights(&org, contact(role, true));
            // A curator needs the permission of a token.
            match role {
                Role::Curator | Role::Learner => assert_eq!(found, Err(NoRights::NoReportingAccess)),
                _ => assert_eq!(found.unwrap().principal.role(), Some(role)),
            }
            assert_eq!(to_rights(&org, contact(role, false)), Err(NoRights::Deactivated));
        }
    }

    #[test]
    fn only_the_whole_domain_is_allowed() {
        let rules = RecipientRules {
            domains: vec!["example.org".to_owned()],
        };
        let allowed = |text: &str| rules.allow(&text.parse().unwrap());
        assert!(allowed("ann@example.org") && allowed("ann@Example.ORG"));
        for other in [
            "ann@mail.example.org",
            "ann@example.org.evil.example",
            "ann@xample.org",
        ] {
            assert!(!allowed(other), "{other}");
        }
        for quoted in [
            "\"ann\"@example.org",
            "\"an\\n\"@example.org",
            "\"ann lee\"@example.org",
        ] {
            let address: Result<Address, _> = quoted.parse();
            assert!(address.is_ok_and(|address| !rules.allow(&address)), "{quoted}");
        }
        assert!(!RecipientRules::default().allow(&"ann@example.org".parse().unwrap()));
        assert_eq!(canonical(&"Ann@Example.ORG".parse().unwrap()), "Ann@example.org");
    }
}
