//! A parsed request for activities: filter, scope, order and page.

use utoipa::ToSchema;

use super::Filter;
use crate::access::AskedScope;
use crate::base::clock::Timestamp;
use crate::base::{CipherError, CursorCipher, Fingerprint};
use crate::log::cursor::{Cursor, Position};

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ToSchema)]
#[schema(as = SortOrder)]
pub enum Sort {
    /// `-happened_at`: the newest first. Among equals, the last recorded first.
    #[default]
    #[schema(rename = "-happened_at")]
    NewestFirst,
    /// `happened_at`: exactly the reverse.
    #[schema(rename = "happened_at")]
    OldestFirst,
}

impl Sort {
    /// Both orders; the default one first.
    pub const ALL: &'static [Self] = &[Self::NewestFirst, Self::OldestFirst];

    /// The value of the parameter `sort`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::NewestFirst => "-happened_at",
            Self::OldestFirst => "happened_at",
        }
    }
}

/// A parsed request for activities.
#[derive(Debug, Clone)]
pub struct Query {
    /// The filter.
    pub filter: Filter,
    /// `scope` with `include_sub_managers`; `None`: the whole reach.
    pub asked_scope: Option<AskedScope>,
    /// `sort`.
    pub sort: Sort,
    /// `limit`: the largest number of rows of a page.
    pub limit: u32,
    /// The row before the page; `None` for the first page.
    pub after: Option<Position>,
    /// `count=exact`: whether the answer contains the total.
    pub count_exact: bool,
    /// The moment for which relative times are resolved: that of the first page.
    pub now: Timestamp,
    /// The resource's further parameters: those of [`lists`], then those of [`extra`].
    ///
    /// [`lists`]: super::ParseContext::lists
    /// [`extra`]: super::ParseContext::extra
    pub extra: Vec<(String, String)>,
    pub(super) has_limit: bool,
    /// The order if the request has none: that of the saved query.
    pub(super) default_sort: Sort,
    /// Encrypts the cursors of a resource with pages.
    pub(super) cipher: Option<CursorCipher>,
}

impl Query {
    /// The value of a further parameter with one value.
    pub fn extra(&self, name: &str) -> Option<&str> {
        self.extra
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a further parameter that may be repeated, each once.
    pub fn extras<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.extra
            .iter()
            .filter(move |(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The cursor of the page that begins after the row at `last`.
    ///
    /// # Errors
    ///
    /// The resource has no pages, or the encryption failed.
    pub fn cursor_after(&self, last: Position) -> Result<String, CipherError> {
        let cipher = self.cipher.as_ref().ok_or(CipherError::Key)?;
        Cursor { last, now: self.now }.encrypt(cipher)
    }

    /// All parameters of the page with this cursor, for `next`.
    pub fn next_pairs(&self, cursor: &str) -> Vec<(String, String)> {
        let mut pairs = self.to_pairs();
        if self.has_limit {
            pairs.push(("limit".to_owned(), self.limit.to_string()));
        }
        if self.count_exact {
            pairs.push(("count".to_owned(), "exact".to_owned()));
        }
        pairs.extend(self.extra.iter().cloned());
        pairs.push(("cursor".to_owned(), cursor.to_owned()));
        pairs
    }

    /// Scope, filter and order as parameters, in a canonical order. Parameters of a saved report to which these were
    /// added are not among them.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let sort = (self.sort != self.default_sort).then_some(self.sort);
        canonical_pairs(&self.filter, self.asked_scope.as_ref(), sort)
    }
}

fn canonical_pairs(filter: &Filter, scope: Option<&AskedScope>, sort: Option<Sort>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    if let Some(scope) = scope {
        pairs.push(("scope".to_owned(), scope.key().to_owned()));
        if let AskedScope::Managed {
            include_sub_managers: true,
        } = scope
        {
            pairs.push(("include_sub_managers".to_owned(), "true".to_owned()));
        }
    }
    pairs.extend(filter.to_pairs());
    pairs.extend(sort.map(|sort| ("sort".to_owned(), sort.key().to_owned())));
    pairs
}

/// The digest that a cursor is bound to: caller and resource (`binding`), filter, scope, order, the resource's lists, and
/// the saved query. The time zone is part of it even if it is the organisation's default, because days depend on it.
pub(super) fn fingerprint(
    binding: &str,
    filter: &Filter,
    scope: Option<&AskedScope>,
    sort: Sort,
    lists: &[(String, String)],
    saved: Option<&Query>,
) -> Fingerprint {
    let pairs_of = |filter: &Filter, scope, sort: Sort| {
        let mut pairs = canonical_pairs(filter, scope, Some(sort).filter(|sort| *sort != Sort::default()));
        pairs.push(("tz".to_owned(), filter.zone().name().to_owned()));
        pairs
    };
    let mut pairs = pairs_of(filter, scope, sort);
    pairs.extend_from_slice(lists);
    if let Some(saved) = saved {
        // No parameter has an empty name, so this separates the added parameters from the saved ones.
        pairs.push((String::new(), String::new()));
        pairs.extend(pairs_of(&saved.filter, saved.asked_scope.as_ref(), saved.sort));
    }
    Fingerprint::from_parts(
        std::iter::once(binding).chain(pairs.iter().flat_map(|(name, value)| [&**name, &**value])),
    )
}
