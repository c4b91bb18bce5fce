//! The conditions on a change of a stored resource: ETags, and what holds without them (xAPI 1.0.3, Communication 3.1).

use super::write::DocumentError;

/// The ETags of an `If-Match` or `If-None-Match` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ETags {
    /// `*`: every stored resource.
    Any,
    /// A list of ETags, without quotation marks.
    Listed(Vec<String>),
}

impl ETags {
    /// Whether the list contains the ETag. Hexadecimal digits match in either case: some clients compute the SHA-1
    /// themselves.
    pub fn contains(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|tag| tag.eq_ignore_ascii_case(etag)),
        }
    }
}

/// The conditions of a change of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The document must exist, with one of these ETags.
    pub if_match: Option<ETags>,
    /// No document with one of these ETags may exist.
    pub if_none_match: Option<ETags>,
    /// What holds if the request has neither condition.
    pub default: DefaultPrecondition,
}

/// What holds for a change without `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DefaultPrecondition {
    /// The change is made.
    #[default]
    Allowed,
    /// The change is made if the document does not exist yet.
    OnlyNew,
    /// The change is refused.
    Refused,
}

impl Precondition {
    /// Compares the conditions with the ETag of the stored document.
    pub(super) fn check(&self, stored: Option<&str>) -> Result<(), DocumentError> {
        let matches = |tags: &ETags| stored.is_some_and(|etag| tags.contains(etag));
        if self.if_match.as_ref().is_some_and(|tags| !matches(tags)) {
            return Err(DocumentError::IfMatchFailed);
        }
        if self.if_none_match.as_ref().is_some_and(matches) {
            return Err(DocumentError::IfNoneMatchFailed);
        }
        if self.if_match.is_some() || self.if_none_match.is_some() {
            return Ok(());
        }
        match (self.default, stored) {
            (DefaultPrecondition::Allowed, _) | (DefaultPrecondition::OnlyNew, None) => Ok(()),
            (DefaultPrecondition::OnlyNew | DefaultPrecondition::Refused, Some(_)) => {
                Err(DocumentError::IfMatchMissing)
            }
            (DefaultPrecondition::Refused, None) => Err(DocumentError::ConditionMissing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(tags: &[&str]) -> Option<ETags> {
        Some(ETags::Listed(tags.iter().map(|&tag| tag.to_owned()).collect()))
    }

    fn check(
        if_match: Option<ETags>,
        if_none_match: Option<ETags>,
        default: DefaultPrecondition,
        stored: Option<&str>,
    ) -> &'static str {
        let precondition = Precondition {
            if_match,
            if_none_match,
            default,
        };
        match precondition.check(stored) {
            Ok(()) => "ok",
            Err(DocumentError::IfMatchFailed) => "if-match failed",
            Err(DocumentError::IfNoneMatchFailed) => "if-none-match failed",
            Err(DocumentError::IfMatchMissing) => "if-match missing",
            Err(DocumentError::ConditionMissing) => "condition missing",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn conditions_are_compared_with_the_stored_etag() {
        let any = || Some(ETags::Any);
        let table = [
            (listed(&["a"]), None, None, "if-match failed"),
            (listed(&["a"]), None, Some("a"), "ok"),
            (listed(&["b", "A"]), None, Some("a"), "ok"),
            (listed(&["b"]), None, Some("a"), "if-match failed"),
            (any(), None, Some("a"), "ok"),
            (any(), None, None, "if-match failed"),
            (None, any(), None, "ok"),
            (None, any(), Some("a"), "if-none-match failed"),
            (None, listed(&["a"]), Some("a"), "if-none-match failed"),
            (None, listed(&["b"]), Some("a"), "ok"),
            (None, listed(&["a"]), None, "ok"),
            (listed(&["a"]), listed(&["a"]), Some("a"), "if-none-match failed"),
            (listed(&["a"]), listed(&["b"]), Some("a"), "ok"),
            (listed(&["b"]), any(), Some("a"), "if-match failed"),
        ];
        for (if_match, if_none_match, stored, expected) in table {
            // The default does not count if the request has a condition.
            for default in [
                DefaultPrecondition::Allowed,
                DefaultPrecondition::OnlyNew,
                DefaultPrecondition::Refused,
            ] {
                let outcome = check(if_match.clone(), if_none_match.clone(), default, stored);
                assert_eq!(outcome, expected, "{if_match:?} {if_none_match:?} {stored:?}");
            }
        }
    }

    #[test]
    fn default_holds_without_conditions() {
        let table = [
            (DefaultPrecondition::Allowed, None, "ok"),
            (DefaultPrecondition::Allowed, Some("a"), "ok"),
            (DefaultPrecondition::OnlyNew, None, "ok"),
            (DefaultPrecondition::OnlyNew, Some("a"), "if-match missing"),
            (DefaultPrecondition::Refused, None, "condition missing"),
            (DefaultPrecondition::Refused, Some("a"), "if-match missing"),
        ];
        for (default, stored, expected) in table {
            assert_eq!(
                check(None, None, default, stored),
                expected,
                "{default:?} {stored:?}"
            );
        }
    }
}
