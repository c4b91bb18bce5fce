//! The scopes of credentials, of xAPI and of `/v1` (`docs/specification.md#credentials`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A scope of a credential. The first eight are those of xAPI 1.0.3 for OAuth (Communication 4.2). The others allow parts
/// of `/v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub enum CredentialScope {
    /// Write any statement.
    #[serde(rename = "statements/write")]
    StatementsWrite,
    /// Read the statements that the credential itself sent.
    #[serde(rename = "statements/read/mine")]
    StatementsReadMine,
    /// Read any statement.
    #[serde(rename = "statements/read")]
    StatementsRead,
    /// Read and write state documents.
    #[serde(rename = "state")]
    State,
    /// Change the catalogue by the definitions in statements.
    #[serde(rename = "define")]
    Define,
    /// Read and write activity and agent profile documents.
    #[serde(rename = "profile")]
    Profile,
    /// Read everything of xAPI.
    #[serde(rename = "all/read")]
    AllRead,
    /// Read and write everything of xAPI.
    #[serde(rename = "all")]
    All,
    /// Write activities by `/v1`: short form, batches, SCORM, completions, imports.
    #[serde(rename = "activities/write")]
    ActivitiesWrite,
    /// Read the log of the whole organisation.
    #[serde(rename = "activities/read")]
    ActivitiesRead,
    /// Read and write users, teams and groups.
    #[serde(rename = "directory")]
    Directory,
    /// Read and write contents.
    #[serde(rename = "catalogue")]
    Catalogue,
}

/// What the definitions in the records of a sender may do (`docs/specification.md#who-may-define`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionRight {
    /// They change the title, the type and the definition of an Activity.
    Change,
    /// They count for an Activity that has no title, no type and no definition yet.
    Add,
    /// They stay in their records.
    None,
}

/// The error of a text that is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scope; scopes are {all}", all = Scopes::every())]
pub struct UnknownScope(pub String);

impl CredentialScope {
    /// All scopes, in the order of the specification.
    pub const ALL: [CredentialScope; 12] = [
        CredentialScope::StatementsWrite,
        CredentialScope::StatementsReadMine,
        CredentialScope::StatementsRead,
        CredentialScope::State,
        CredentialScope::Define,
        CredentialScope::Profile,
        CredentialScope::AllRead,
        CredentialScope::All,
        CredentialScope::ActivitiesWrite,
        CredentialScope::ActivitiesRead,
        CredentialScope::Directory,
        CredentialScope::Catalogue,
    ];

    /// The key of the scope in JSON, flags and the database.
    pub const fn key(self) -> &'static str {
        match self {
            CredentialScope::StatementsWrite => "statements/write",
            CredentialScope::StatementsReadMine => "statements/read/mine",
            CredentialScope::StatementsRead => "statements/read",
            CredentialScope::State => "state",
            CredentialScope::Define => "define",
            CredentialScope::Profile => "profile",
            CredentialScope::AllRead => "all/read",
            CredentialScope::All => "all",
            CredentialScope::ActivitiesWrite => "activities/write",
            CredentialScope::ActivitiesRead => "activities/read",
            CredentialScope::Directory => "directory",
            CredentialScope::Catalogue => "catalogue",
        }
    }

    /// Whether it is a scope of xAPI, which `all` includes. The others must be granted by name.
    pub const fn is_xapi(self) -> bool {
        match self {
            CredentialScope::StatementsWrite
            | CredentialScope::StatementsReadMine
            | CredentialScope::StatementsRead
            | CredentialScope::State
            | CredentialScope::Define
            | CredentialScope::Profile
            | CredentialScope::AllRead
            | CredentialScope::All => true,
            CredentialScope::ActivitiesWrite
            | CredentialScope::ActivitiesRead
            | CredentialScope::Directory
            | CredentialScope::Catalogue => false,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for CredentialScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl FromStr for CredentialScope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        CredentialScope::ALL
            .into_iter()
            .find(|scope| scope.key() == text)
            .ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

/// The scopes of a credential. In JSON an array of keys. In the database and flags a text with the keys separated by
/// spaces; commas are accepted too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, ToSchema)]
#[schema(value_type = Vec<CredentialScope>)]
pub struct Scopes(u16);

impl Scopes {
    /// All scopes.
    pub fn every() -> Self {
        CredentialScope::ALL.into_iter().collect()
    }

    /// The scopes of the credential of `ROLLBOOK_BOOTSTRAP_CREDENTIAL`: `all` and the scopes of `/v1`.
    pub fn bootstrap() -> Self {
        CredentialScope::ALL
            .into_iter()
            .filter(|scope| *scope == CredentialScope::All || !scope.is_xapi())
            .collect()
    }

    /// Whether there are no scopes.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the scope is granted by name.
    pub const fn contains(self, scope: CredentialScope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether the scope is granted, by name or by a scope that includes it: `all` includes every scope of xAPI, `all/read`
    /// includes `statements/read`, and `statements/read` includes `statements/read/mine`.
    pub const fn allows(self, scope: CredentialScope) -> bool {
        if self.contains(scope) {
            return true;
        }
        if scope.is_xapi() && self.contains(CredentialScope::All) {
            return true;
        }
        match scope {
            CredentialScope::StatementsRead => self.contains(CredentialScope::AllRead),
            CredentialScope::StatementsReadMine => {
                self.contains(CredentialScope::AllRead) || self.contains(CredentialScope::StatementsRead)
            }
            _ => false,
        }
    }

    /// Whether reading is allowed of what the scope covers: as [`Scopes::allows`], and `all/read` reads the documents of
    /// `state` and `profile` without writing them.
    pub const fn allows_reading(self, scope: CredentialScope) -> bool {
        self.allows(scope)
            || match scope {
                CredentialScope::State | CredentialScope::Profile => self.contains(CredentialScope::AllRead),
                _ => false,
            }
    }

    /// What the definitions in the records of a credential with these scopes may do, at every endpoint.
    pub const fn definition_right(self) -> DefinitionRight {
        if self.allows(CredentialScope::Define) || self.allows(CredentialScope::Catalogue) {
            DefinitionRight::Change
        } else if self.allows(CredentialScope::ActivitiesWrite) {
            DefinitionRight::Add
        } else {
            DefinitionRight::None
        }
    }

    /// The scopes that are granted by name, in the order of the specification.
    pub fn iter(self) -> impl Iterator<Item = CredentialScope> {
        CredentialScope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<CredentialScope> for Scopes {
    fn from_iter<I: IntoIterator<Item = CredentialScope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.key())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(CredentialScope::key))
            .finish()
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split([' ', ','])
            .filter(|key| !key.is_empty())
            .map(str::parse::<CredentialScope>)
            .collect()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<CredentialScope>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(keys: &str) -> Scopes {
        keys.parse().unwrap()
    }

    #[test]
    fn keys_agree_in_text_and_json() {
        for scope in CredentialScope::ALL {
            assert_eq!(scope.key().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.key());
        }
        let some = scopes("activities/read,directory  state");
        assert_eq!(some.to_string(), "state activities/read directory");
        assert_eq!(
            serde_json::to_value(some).unwrap(),
            serde_json::json!(["state", "activities/read", "directory"])
        );
        assert_eq!(
            serde_json::from_str::<Scopes>(r#"["directory","state","activities/read"]"#).unwrap(),
            some
        );
        assert_eq!(scopes(&Scopes::every().to_string()), Scopes::every());
        assert!(scopes(" , ").is_empty());
    }

    #[test]
    fn an_unknown_scope_is_named() {
        let error = "state statements/erase".parse::<Scopes>().unwrap_err();
        assert_eq!(error, UnknownScope("statements/erase".to_owned()));
        assert!(
            error
                .to_string()
                .contains("\"statements/erase\" is not a scope; scopes are statements/write ")
        );
        assert!(serde_json::from_str::<Scopes>(r#"["statements/erase"]"#).is_err());
    }

    /// For every single scope, exactly what it allows.
    #[test]
    fn each_scope_implies_what_the_contract_says() {
        use CredentialScope::*;
        for granted in CredentialScope::ALL {
            let implied: &[CredentialScope] = match granted {
                All => &[
                    StatementsWrite,
                    StatementsReadMine,
                    StatementsRead,
                    State,
                    Define,
                    Profile,
                    AllRead,
                    All,
                ],
                AllRead => &[AllRead, StatementsRead, StatementsReadMine],
                StatementsRead => &[StatementsRead, StatementsReadMine],
                _ => &[granted],
            };
            let set = Scopes::from_iter([granted]);
            for asked in CredentialScope::ALL {
                assert_eq!(
                    set.allows(asked),
                    implied.contains(&asked),
                    "{granted} allows {asked}"
                );
            }
        }
    }

    #[test]
    fn reading_everything_reads_documents_and_writes_none() {
        let all_read = scopes("all/read");
        for scope in [CredentialScope::State, CredentialScope::Profile] {
            assert!(all_read.allows_reading(scope));
            assert!(!all_read.allows(scope));
        }
        assert!(!all_read.allows_reading(CredentialScope::ActivitiesRead));
        assert!(!all_read.allows_reading(CredentialScope::Define));
        assert!(!scopes("statements/read").allows_reading(CredentialScope::State));
    }

    #[test]
    fn only_define_and_catalogue_change_definitions() {
        for scope in CredentialScope::ALL {
            let expected = match scope {
                CredentialScope::Define | CredentialScope::Catalogue | CredentialScope::All => {
                    DefinitionRight::Change
                }
                CredentialScope::ActivitiesWrite => DefinitionRight::Add,
                _ => DefinitionRight::None,
            };
            assert_eq!(Scopes::from_iter([scope]).definition_right(), expected, "{scope}");
        }
        assert_eq!(
            scopes("activities/write define").definition_right(),
            DefinitionRight::Change
        );
    }

    #[test]
    fn the_bootstrap_credential_may_do_everything() {
        let bootstrap = Scopes::bootstrap();
        assert_eq!(
            bootstrap.to_string(),
            "all activities/write activities/read directory catalogue"
        );
        assert!(
            CredentialScope::ALL
                .into_iter()
                .all(|scope| bootstrap.allows(scope))
        );
    }
}
