//! The part of the reach that a request asks for (`docs/specification.md#scopes`), and [`Scoped`], which every query
//! over activities takes.
//!
//! | requested scope | owner, admin, hr, reporter, learning designer, curator with `reporting` | manager | learner, curator | credential |
//! | --- | --- | --- | --- | --- |
//! | none, `team`, `group` | the reach | the reach | the reach | the reach |
//! | `company` | the organisation | 403 | 403 | the organisation |
//! | `managed` | own direct reports | direct reports | 403 | 403 |
//! | `managed` with `include_sub_managers` | all own reports | all reports if they are in the reach, otherwise 403 | 403 | 403 |
//! | `me` | the caller | the caller | the caller | 403 |
//!
//! `managed` and `me` have no meaning for a credential, which is not a person.
//!
//! The scope of a saved report was requested by its author. A different caller opens the report with the part of the
//! scope that the caller may have ([`Scoped::clamped`]): `company` becomes the reach, `include_sub_managers` becomes the
//! direct reports, and any other refused scope becomes no person at all. A further scope ([`Scoped::and_requested`])
//! and a recipient's reach ([`Scoped::shared_with`]) narrow the question further.

use crate::access::claims::Reports;
use crate::access::principal::Principal;
use crate::access::reach::{Reach, ReachRules};
use crate::base::ids::{OrgId, UserId};

/// A value of the parameter `scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskedScope {
    /// `company`: the whole organisation.
    Company,
    /// `managed`: the caller's reports, without the caller.
    Managed {
        /// `include_sub_managers`: the indirect reports too. Requests with any other scope are refused.
        include_sub_managers: bool,
    },
    /// `team`: the persons of the reach that are in the filter's teams.
    Team,
    /// `group`: the persons of the reach that are in the filter's groups.
    Group,
    /// `me`: only the caller.
    Me,
}

impl AskedScope {
    /// Whether the part `one` of a reach is in the part `other`, whatever the caller and the directory are. `None` is the
    /// whole reach.
    pub fn is_within(one: Option<Self>, other: Option<Self>) -> bool {
        match (one, other) {
            // The scopes of a saved report that select the whole reach of its reader.
            (_, None | Some(Self::Company | Self::Team | Self::Group)) => true,
            (
                Some(Self::Managed {
                    include_sub_managers: one,
                }),
                Some(Self::Managed {
                    include_sub_managers: other,
                }),
            ) => other || !one,
            (one, other) => one == other,
        }
    }

    /// The value of the parameter.
    pub const fn key(self) -> &'static str {
        match self {
            AskedScope::Company => "company",
            AskedScope::Managed { .. } => "managed",
            AskedScope::Team => "team",
            AskedScope::Group => "group",
            AskedScope::Me => "me",
        }
    }
}

/// Why a caller may not have a scope. Each is answered with 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A credential without `activities/read` requests activities.
    #[error("This credential may not read activities; it needs the scope `activities/read`")]
    NoActivities,
    /// `company` from a caller with a smaller reach.
    #[error("You may not see the whole organisation; leave out `scope` to get everything that you may see")]
    CompanyNotAllowed,
    /// `managed` from a learner, or from a curator without reporting.
    #[error("`scope=managed` is for managers and for callers that may see the whole organisation")]
    ManagedNotAllowed,
    /// `include_sub_managers` from a manager that may see only direct reports.
    #[error("You may see only your direct reports; leave out `include_sub_managers`")]
    IndirectNotAllowed,
    /// `managed` or `me` from a credential, which is not a person.
    #[error("`scope={scope}` has no meaning for a credential, which is not a person", scope = .0.key())]
    NoPerson(AskedScope),
}

/// The persons that a question is about, resolved as far as possible without the directory.
///
/// The store turns them into a condition on rows. No row of another person may be returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum People<'a> {
    /// Every person of the organisation, including persons that belong to no user.
    Everyone,
    /// These users only. The list is sorted, without repetitions, and may be empty.
    Users(Vec<&'a UserId>),
    /// The users under a manager in the directory's tree.
    Tree {
        /// The manager.
        manager: &'a UserId,
        /// Whether the manager is included.
        manager_too: bool,
        /// Whether all levels below the direct reports are included.
        indirect: bool,
    },
}

/// A question about activities, bound to an organisation, a caller and a part of the caller's reach.
///
/// Only [`Scoped::new`] and [`Scoped::clamped`] make one, from a [`Principal`]. Its methods never widen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scoped<F> {
    org: OrgId,
    caller_id: String,
    user: Option<UserId>,
    /// A row must be in all of these views. The first is the caller's. The list is never empty, and no view contains
    /// another.
    views: Vec<View>,
    inner: F,
}

impl<F> Scoped<F> {
    /// Binds `inner`, a filter or an id, to the requested part of the reach of `principal`. Without a requested scope it
    /// is the whole reach.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] if the caller may not have the scope (403).
    pub fn new(
        principal: &Principal,
        rules: &ReachRules,
        requested: Option<AskedScope>,
        inner: F,
    ) -> Result<Self, ScopeError> {
        let view = View::of(principal, rules)?.part(requested)?;
        Ok(Self::of(principal, view, inner))
    }

    /// The same for the scope of a saved report, which another user requested: the part of the scope that the caller may
    /// not have is left out, if necessary all of it (`docs/specification.md#saved-reports`).
    ///
    /// # Errors
    ///
    /// [`ScopeError::NoActivities`] if the caller may not read activities at all.
    pub fn clamped(
        principal: &Principal,
        rules: &ReachRules,
        requested: Option<AskedScope>,
        inner: F,
    ) -> Result<Self, ScopeError> {
        let view = View::of(principal, rules)?.clamped_part(requested);
        Ok(Self::of(principal, view, inner))
    }

    fn of(principal: &Principal, view: View, inner: F) -> Self {
        Self {
            org: principal.org().clone(),
            caller_id: principal.caller_id(),
            user: principal.user().cloned(),
            views: vec![view],
            inner,
        }
    }

    /// The same question within a second scope, which the caller requests in addition to that of a saved report. Rows
    /// must be in both.
    ///
    /// # Errors
    ///
    /// As [`Scoped::new`]: the second scope is refused, not clamped.
    pub fn and_requested(
        self,
        principal: &Principal,
        rules: &ReachRules,
        requested: Option<AskedScope>,
    ) -> Result<Self, ScopeError> {
        let view = View::of(principal, rules)?.part(requested)?;
        Ok(self.narrowed(principal.org(), view))
    }

    /// The same question, restricted to rows that `other` may see too: the rows that a recipient gets of a report. For a
    /// principal of another organisation there are none.
    ///
    /// # Errors
    ///
    /// [`ScopeError::NoActivities`] if `other` may not read activities at all.
    pub fn shared_with(self, other: &Principal, rules: &ReachRules) -> Result<Self, ScopeError> {
        let view = View::of(other, rules)?;
        Ok(self.narrowed(other.org(), view))
    }

    fn narrowed(mut self, org: &OrgId, mut view: View) -> Self {
        if *org != self.org {
            view.part = Part::Nobody;
        }
        if !self.views.iter().any(|known| known.is_within(&view)) {
            self.views.retain(|known| !view.is_within(known));
            self.views.push(view);
        }
        self
    }

    /// The organisation. No row of another organisation may be returned.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// The text that a cursor is bound to; see [`Principal::caller_id`].
    pub fn caller_id(&self) -> &str {
        &self.caller_id
    }

    /// The user, if the caller is a person.
    pub fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// The question itself.
    pub fn inner(&self) -> &F {
        &self.inner
    }

    /// Another question under the same rights.
    pub fn map<G>(self, change: impl FnOnce(F) -> G) -> Scoped<G> {
        Scoped {
            org: self.org,
            caller_id: self.caller_id,
            user: self.user,
            views: self.views,
            inner: change(self.inner),
        }
    }

    /// The same rights around a reference to the question.
    pub fn as_ref(&self) -> Scoped<&F> {
        Scoped {
            org: self.org.clone(),
            caller_id: self.caller_id.clone(),
            user: self.user.clone(),
            views: self.views.clone(),
            inner: &self.inner,
        }
    }

    /// The persons of the question: those in *all* of these sets. Without sets, every person of the organisation;
    /// [`People::Everyone`] is therefore never in the list.
    pub fn people(&self) -> Vec<People<'_>> {
        let all = self.views.iter().map(View::people);
        all.filter(|people| *people != People::Everyone).collect()
    }
}

/// The part of a reach that a question uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The whole reach.
    Whole,
    /// The caller's direct reports, without the caller.
    DirectReports,
    /// The caller's direct and indirect reports, without the caller.
    AllReports,
    /// Only the caller.
    Me,
    /// No person: the scope of a report has no meaning for the caller that opens it.
    Nobody,
}

/// The reach of a principal and the part of it that a question uses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    user: Option<UserId>,
    reports: Option<Reports>,
    reach: Reach,
    part: Part,
}

impl View {
    /// The whole reach of a principal.
    fn of(principal: &Principal, rules: &ReachRules) -> Result<Self, ScopeError> {
        Ok(Self {
            user: principal.user().cloned(),
            reports: principal.person().and_then(|person| person.reports.clone()),
            reach: principal.reach(rules).ok_or(ScopeError::NoActivities)?,
            part: Part::Whole,
        })
    }

    /// The requested part, by the table of this module.
    fn part(mut self, requested: Option<AskedScope>) -> Result<Self, ScopeError> {
        self.part = match requested {
            None | Some(AskedScope::Team | AskedScope::Group) => Part::Whole,
            Some(AskedScope::Company) if self.reach == Reach::Organisation => Part::Whole,
            Some(AskedScope::Company) => return Err(ScopeError::CompanyNotAllowed),
            Some(scope) if self.user.is_none() => return Err(ScopeError::NoPerson(scope)),
            Some(AskedScope::Me) => Part::Me,
            Some(AskedScope::Managed { include_sub_managers }) => {
                managed_part(&self.reach, include_sub_managers)?
            }
        };
        Ok(self)
    }

    /// The part of the requested scope that the principal may have.
    fn clamped_part(mut self, requested: Option<AskedScope>) -> Self {
        let allowed = self.clone().part(requested).map(|view| view.part);
        self.part = match allowed {
            Ok(part) => part,
            Err(ScopeError::CompanyNotAllowed) => Part::Whole,
            Err(ScopeError::IndirectNotAllowed) => Part::DirectReports,
            Err(ScopeError::ManagedNotAllowed | ScopeError::NoPerson(_) | ScopeError::NoActivities) => {
                Part::Nobody
            }
        };
        self
    }

    /// Whether every person of this view is in the other view, whatever the directory contains. Then the other view adds
    /// no condition.
    fn is_within(&self, other: &View) -> bool {
        let same = (&self.user, &self.reports, &self.reach) == (&other.user, &other.reports, &other.reach);
        let narrower = match (self.part, other.part) {
            (Part::DirectReports, Part::AllReports) | (_, Part::Whole) => true,
            (part, other) => part == other,
        };
        self.part == Part::Nobody || other.people() == People::Everyone || (same && narrower)
    }

    fn people(&self) -> People<'_> {
        match self.part {
            Part::Whole => self.reach.people(),
            Part::Me => People::Users(self.user.iter().collect()),
            Part::DirectReports => self.reports_of_user(false),
            Part::AllReports => self.reports_of_user(true),
            Part::Nobody => People::Users(Vec::new()),
        }
    }

    fn reports_of_user(&self, indirect: bool) -> People<'_> {
        match (&self.user, &self.reports) {
            (None, _) => People::Users(Vec::new()),
            (Some(manager), None) => People::Tree {
                manager,
                manager_too: false,
                indirect,
            },
            (Some(manager), Some(reports)) => {
                let mut users = list_reports(reports, indirect);
                users.retain(|user| *user != manager);
                users.sort_unstable();
                People::Users(users)
            }
        }
    }
}

impl Reach {
    /// The persons of the reach: those in lists of the directory, and in the log without a requested scope.
    pub fn people(&self) -> People<'_> {
        match self {
            Reach::Organisation => People::Everyone,
            Reach::Only(user) => People::Users(vec![user]),
            Reach::Reports {
                manager,
                indirect,
                known: None,
            } => People::Tree {
                manager,
                manager_too: true,
                indirect: *indirect,
            },
            Reach::Reports {
                manager,
                indirect,
                known: Some(reports),
            } => {
                let mut users = list_reports(reports, *indirect);
                users.push(manager);
                users.sort_unstable();
                users.dedup();
                People::Users(users)
            }
        }
    }
}

/// The part for `scope=managed` of a person with this reach.
fn managed_part(reach: &Reach, include_sub_managers: bool) -> Result<Part, ScopeError> {
    match (reach, include_sub_managers) {
        (Reach::Only(_), _) => Err(ScopeError::ManagedNotAllowed),
        (Reach::Reports { indirect: false, .. }, true) => Err(ScopeError::IndirectNotAllowed),
        (Reach::Organisation | Reach::Reports { .. }, true) => Ok(Part::AllReports),
        (Reach::Organisation | Reach::Reports { .. }, false) => Ok(Part::DirectReports),
    }
}

/// The reports in a token, the direct ones first.
pub(super) fn list_reports(reports: &Reports, indirect: bool) -> Vec<&UserId> {
    let further = if indirect { reports.indirect() } else { &[] };
    reports.direct().iter().chain(further).collect()
}

#[cfg(test)]
mod tests;
