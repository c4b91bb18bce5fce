//! The permissions that a token grants beyond the role (`docs/specification.md#tokens`).

use serde::{Serialize, Serializer};

/// The permissions of a token.
///
/// The claim is a list of keys. Unknown keys are ignored, since issuers put permissions of other services into the same
/// claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions {
    /// `reporting`: opens the log to a curator.
    pub reporting: bool,
    /// `mark_complete`: a manager may mark content as complete for reports.
    pub mark_complete: bool,
    /// `indirect_reports`: a manager sees the indirect reports too.
    pub indirect_reports: bool,
}

impl Permissions {
    /// The permissions of a list of keys.
    pub fn from_keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let mut permissions = Self::default();
        for key in keys {
            match key {
                "reporting" => permissions.reporting = true,
                "mark_complete" => permissions.mark_complete = true,
                "indirect_reports" => permissions.indirect_reports = true,
                _ => {}
            }
        }
        permissions
    }

    /// The keys of the granted permissions, always in the same order.
    pub fn keys(self) -> impl Iterator<Item = &'static str> {
        [
            (self.reporting, "reporting"),
            (self.mark_complete, "mark_complete"),
            (self.indirect_reports, "indirect_reports"),
        ]
        .into_iter()
        .filter_map(|(granted, key)| granted.then_some(key))
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_grants_one_permission_and_unknown_keys_none() {
        let granted = |keys: &[&str]| Permissions::from_keys(keys.iter().copied());
        assert_eq!(
            granted(&["reporting"]),
            Permissions {
                reporting: true,
                ..Default::default()
            }
        );
        assert_eq!(
            granted(&["mark_complete"]),
            Permissions {
                mark_complete: true,
                ..Default::default()
            }
        );
        assert_eq!(
            granted(&["indirect_reports"]),
            Permissions {
                indirect_reports: true,
                ..Default::default()
            }
        );
        assert_eq!(granted(&["read:books", "Reporting", ""]), Permissions::default());
    }

    #[test]
    fn keys_round_trip() {
        for bits in 0..8u8 {
            let permissions = Permissions {
                reporting: bits & 1 != 0,
                mark_complete: bits & 2 != 0,
                indirect_reports: bits & 4 != 0,
            };
            assert_eq!(Permissions::from_keys(permissions.keys()), permissions);
            assert_eq!(permissions.keys().count(), bits.count_ones() as usize);
        }
    }
}
