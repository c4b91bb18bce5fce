//! Who makes and who receives what is sent, as the directory has them at this moment (product text, sections 4 and 9).
//!
//! "The directory's role counts where nobody is asking": for schedules, for links in messages and for report keys. A
//! permission such as a curator's `reporting` is a token's alone, so it counts for nothing here. Nothing of this is
//! kept: it is asked anew at every attempt, so that whoever was deactivated, demoted or moved since is treated so.

use lettre::Address;

use crate::access::{Person, Principal};
use crate::base::ids::{OrgId, UserId};
use crate::store::{Contact, Store, StoreError};

/// Somebody who may open reports, as the directory has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Them, as a caller with their role.
    pub principal: Principal,
    /// Their id in the directory.
    pub user: UserId,
    /// Their name; their id where they have none.
    pub name: String,
    /// Their e-mail address.
    pub email: Option<String>,
}

/// Why somebody may not open reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRights {
    /// The directory doesn't have them.
    #[error("the directory has no such user")]
    Unknown,
    /// They are deactivated.
    #[error("the directory has this user as deactivated")]
    Deactivated,
    /// Their role has no reporting access.
    #[error("the directory's role of this user has no reporting access")]
    NoReportingAccess,
}

/// The user as the directory has them at this moment, where they may open reports.
///
/// # Errors
///
/// Where the store fails.
pub async fn as_of_directory(
    store: &Store,
    org: &OrgId,
    user: &UserId,
) -> Result<Result<Rights, NoRights>, StoreError> {
    Ok(store
        .contact(org, user)
        .await?
        .ok_or(NoRights::Unknown)
        .and_then(|contact| rights(org, contact)))
}

fn rights(org: &OrgId, contact: Contact) -> Result<Rights, NoRights> {
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
    })
}

/// What the operator says of recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientRules {
    /// Domains of addresses outside the directory, in lower case. None: only the directory's users receive anything.
    pub domains: Vec<String>,
}

impl RecipientRules {
    /// Whether an address outside the directory may receive reports: its domain is one of the list; a domain below one of
    /// them is another one. None whose part before the `@` is in quotation marks: `"ann"@example.org` is the mailbox of
    /// `ann@example.org` (RFC 5321, section 4.1.2), who may be in the directory under that address and would get more
    /// than they may see.
    fn allow(&self, address: &Address) -> bool {
        if address.user().starts_with('"') {
            return false;
        }
        let domain = address.domain().to_lowercase();
        self.domains.contains(&domain)
    }
}

/// Somebody who receives what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// A user of the directory, who gets what they may see themselves.
    User(Rights),
    /// An address outside the directory, whose domain the operator allows.
    Address(String),
}

impl Recipient {
    /// The address that they are written to, which every recipient has.
    pub fn address(&self) -> &str {
        match self {
            Self::User(rights) => rights.email.as_deref().unwrap_or_default(),
            Self::Address(address) => address,
        }
    }

    /// As a schedule keeps whoever was named by `text`: a user's id where it was one, else the address that was sent. Whose
    /// address it is, is found out at each run; a client that knows an address is not told the id.
    pub fn kept(&self, text: &str) -> String {
        match self {
            Self::Address(address) => address.clone(),
            Self::User(rights) if rights.user.as_str() == text => text.to_owned(),
            // An address, or no user would have been found by it.
            Self::User(_) => text
                .parse()
                .map_or_else(|_| text.to_owned(), |address| canonical(&address)),
        }
    }

    /// Their name in the directory.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::User(rights) => Some(&rights.name),
            Self::Address(_) => None,
        }
    }
}

/// Why somebody can't be a recipient. A user who is unknown, deactivated or without reporting access and an address that
/// nobody has are not told apart. Whoever writes a schedule is told the first in any case ([`settle`](super::schedule::settle)):
/// only what became of somebody who was a recipient tells that an address is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotARecipient {
    /// Neither an active user who has reporting access by their role in the directory, nor an allowed address.
    #[error(
        "is neither an active user with reporting access by their role in the directory and an e-mail address there, nor \
         an address outside it whose domain this server may send reports to"
    )]
    NoAccess,
    /// The user has no address that can be written to.
    #[error("is a user whom the directory has no e-mail address of that can be written to")]
    NoEmail,
}

/// The recipient that `text` names, as things stand: the user with that id, else the user whom that address is bound to,
/// else the address itself.
///
/// # Errors
///
/// Where the store fails.
pub async fn recipient(
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
    let Ok(rights) = rights(org, contact) else {
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

/// The address with its domain in lower case, as domains are compared; what stands before the `@` is its owner's to spell.
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
        }
    }

    #[test]
    fn the_directory_s_role_is_all_that_counts() {
        let org = OrgId::new("acme").unwrap();
        for role in Role::ALL {
            let found = rights(&org, contact(role, true));
            // The permission that opens the log to a curator is a token's.
            match role {
                Role::Curator | Role::Learner => assert_eq!(found, Err(NoRights::NoReportingAccess)),
                _ => assert_eq!(found.unwrap().principal.role(), Some(role)),
            }
            assert_eq!(rights(&org, contact(role, false)), Err(NoRights::Deactivated));
        }
    }

    #[test]
    fn a_domain_is_allowed_as_a_whole() {
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
