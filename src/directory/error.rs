//! Why a directory or a catalogue refuses what was written.

use crate::base::fault::Fault;
use crate::record::Identifier;

/// A refusal: nothing was changed (product text, sections 5 and 12).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// What was sent is wrong, each fault at its place: 400. An unknown team or manager and a cycle are
    /// among them.
    #[error("{}", first(.0))]
    Faults(Vec<Fault>),
    /// What was sent contradicts what is kept, each fault at its place: 409. Somebody else's identifier or
    /// IRI is one.
    #[error("{}", first(.0))]
    Conflicts(Vec<Fault>),
}

impl Refusal {
    /// Refuses for the faults, if there are any.
    ///
    /// # Errors
    ///
    /// [`Refusal::Faults`] with all of them.
    pub fn unless_empty(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Self::Faults(faults))
        }
    }

    /// The same refusal with every place below `prefix` taken out of it: of a body that is one element,
    /// and not a batch of one.
    pub fn of_the_only_element(self) -> Self {
        let lift = |faults: Vec<Fault>| {
            let lifted = faults.into_iter().map(|fault| Fault {
                pointer: fault
                    .pointer
                    .strip_prefix("/0")
                    .map(str::to_owned)
                    .unwrap_or(fault.pointer),
                detail: fault.detail,
            });
            lifted.collect()
        };
        match self {
            Self::Faults(faults) => Self::Faults(lift(faults)),
            Self::Conflicts(faults) => Self::Conflicts(lift(faults)),
        }
    }
}

fn first(faults: &[Fault]) -> String {
    faults
        .first()
        .map_or_else(|| "nothing is wrong".to_owned(), ToString::to_string)
}

/// An identifier in words, for a refusal: `the mbox mailto:ada@example.org`.
pub fn in_words(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Mbox(mbox) => format!("the mbox {mbox}"),
        Identifier::MboxSha1(sha1) => format!("the mbox_sha1sum {sha1}"),
        Identifier::OpenId(openid) => format!("the openid {openid}"),
        Identifier::Account { home_page, name } => format!("the account {name} on {home_page}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_one_loses_its_number() {
        let fault = |pointer: &str| Fault {
            pointer: pointer.to_owned(),
            detail: "no".to_owned(),
        };
        let refusal = Refusal::Faults(vec![fault("/0/manager"), fault("/0")]).of_the_only_element();
        assert_eq!(refusal, Refusal::Faults(vec![fault("/manager"), fault("")]));
    }
}
