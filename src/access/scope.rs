//! The part of their reach that a caller asks for: the parameter `scope` (product text, sections 4
//! and 7), and the one door to every query over activities, [`Scoped`].
//!
//! | asked | owner, admin, hr, reporter, learning designer, curator with `reporting` | manager | learner, curator | credential |
//! | --- | --- | --- | --- | --- |
//! | nothing, `team`, `group` | the reach | the reach | the reach | the reach |
//! | `company` | the organisation | 403 | 403 | the organisation |
//! | `managed` | own direct reports | direct reports | 403 | 403 |
//! | `managed` with `include_sub_managers` | all own reports | all reports where the reach has them, else 403 | 403 | 403 |
//! | `me` | oneself | oneself | oneself | 403 |
//!
//! A credential is nobody's manager and nobody's self, so `managed` and `me` have no meaning for it.
//!
//! A saved report's own scope was asked by who made it, and is refused to nobody who opens it: it is clamped to what
//! they have ([`Scoped::clamped`]; product text, section 9). So of the table's refusals `company` becomes the reach,
//! `include_sub_managers` the direct reports, and all the others nobody. What is asked beside a report's own scope
//! ([`Scoped::and_asked`]), and who has to see the rows as well ([`Scoped::shared_with`]), narrow it further.

use crate::access::claims::Reports;
use crate::access::principal::Principal;
use crate::access::reach::{Reach, ReachRules};
use crate::base::ids::{OrgId, UserId};

/// What the parameter `scope` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskedScope {
    /// `company`: the whole organisation.
    Company,
    /// `managed`: the caller's reports, without the caller.
    Managed {
        /// `include_sub_managers`: the indirect reports too. The parameter belongs to `managed`; beside
        /// any other scope it has nothing to widen and changes nothing.
        include_sub_managers: bool,
    },
    /// `team`: what the reach and the filter's teams share.
    Team,
    /// `group`: what the reach and the filter's groups share.
    Group,
    /// `me`: the caller alone.
    Me,
}

impl AskedScope {
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

/// Why a caller can't have what they asked for: 403, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A credential without `activities/read` asks for activities.
    #[error("this credential may not read activities: it lacks the scope activities/read")]
    NoActivities,
    /// `company` from somebody whose reach is less.
    #[error(
        "scope=company is for those who may see the whole organisation; leave scope out to see all you may"
    )]
    CompanyNotAllowed,
    /// `managed` from a learner, or from a curator without reporting.
    #[error("scope=managed is for those who manage people or may see the whole organisation")]
    ManagedNotAllowed,
    /// `include_sub_managers` from a manager who may see direct reports only.
    #[error("include_sub_managers is not allowed: you may see your direct reports only")]
    IndirectNotAllowed,
    /// `managed` or `me` from a credential, which is nobody.
    #[error("scope={scope} has no meaning for a credential, which is no person", scope = .0.key())]
    NoPerson(AskedScope),
}

/// The persons that a question is about, resolved as far as it can be without the directory.
///
/// This is what a store has to turn into rows; nothing outside it may come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum People<'a> {
    /// Everybody in the organisation, persons whom no user claims among them.
    Everyone,
    /// These users and nobody else; sorted, without repeats, and perhaps none.
    Users(Vec<&'a UserId>),
    /// The users under a manager in the directory's tree.
    Tree {
        /// The manager.
        manager: &'a UserId,
        /// Whether the manager belongs to it.
        manager_too: bool,
        /// Whether the reports of the reports do, all the way down.
        indirect: bool,
    },
}

/// A question about activities, bound to the organisation, the caller and the part of their reach that
/// it may touch.
///
/// It can only be made by [`Scoped::new`] and [`Scoped::clamped`], from a [`Principal`]; whoever holds one has asked.
/// What is done to it afterwards never widens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scoped<F> {
    org: OrgId,
    caller_id: String,
    user: Option<UserId>,
    /// All of which a row has to be in: the caller's, and what was narrowed to. Never empty, and none of them within
    /// another.
    views: Vec<View>,
    inner: F,
}

impl<F> Scoped<F> {
    /// Binds `inner` (a filter, an id) to what `principal` may see of what they `asked` for; nothing
    /// asked is the whole reach.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] where the caller can't have it (403).
    pub fn new(
        principal: &Principal,
        rules: &ReachRules,
        asked: Option<AskedScope>,
        inner: F,
    ) -> Result<Self, ScopeError> {
        let view = View::of(principal, rules)?.part(asked)?;
        Ok(Self::of(principal, view, inner))
    }

    /// As [`Scoped::new`], for a scope that somebody else asked for, in a saved report: what the caller can't have of
    /// it is left out, to the last of it if need be (product text, section 9, "clamped to what they have").
    ///
    /// # Errors
    ///
    /// [`ScopeError::NoActivities`] alone, for who may read no activities at all.
    pub fn clamped(
        principal: &Principal,
        rules: &ReachRules,
        asked: Option<AskedScope>,
        inner: F,
    ) -> Result<Self, ScopeError> {
        let view = View::of(principal, rules)?.clamped_part(asked);
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

    /// The same question within a further scope that the caller asks for, beside a saved report's own: whoever comes
    /// back is in both.
    ///
    /// # Errors
    ///
    /// As [`Scoped::new`]: what is asked for now is refused, not clamped.
    pub fn and_asked(
        self,
        principal: &Principal,
        rules: &ReachRules,
        asked: Option<AskedScope>,
    ) -> Result<Self, ScopeError> {
        let view = View::of(principal, rules)?.part(asked)?;
        Ok(self.narrowed(principal.org(), view))
    }

    /// The same question, of which only those rows come back that `other` may see as well, by their whole reach: what a
    /// recipient gets of a report that is sent to them. Somebody of another organisation sees nobody.
    ///
    /// # Errors
    ///
    /// [`ScopeError::NoActivities`], where `other` may read no activities at all.
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

    /// The organisation: no row of another one may come back.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// The caller as stable text, which a cursor is bound to; see [`Principal::caller_id`].
    pub fn caller_id(&self) -> &str {
        &self.caller_id
    }

    /// The user who asks, where a person does.
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

    /// Whose activities may come back: whoever is in *all* of these. Where there is none, everybody's in the
    /// organisation; so [`People::Everyone`] is never among them.
    pub fn people(&self) -> Vec<People<'_>> {
        let all = self.views.iter().map(View::people);
        all.filter(|people| *people != People::Everyone).collect()
    }
}

/// The part of the reach that counts for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The reach as it is.
    Whole,
    /// The caller's direct reports, without the caller.
    DirectReports,
    /// The caller's direct and indirect reports, without the caller.
    AllReports,
    /// The caller alone.
    Me,
    /// Nobody: what is left of a report's scope that has no meaning for who opens it.
    Nobody,
}

/// Somebody's reach, and the part of it that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    user: Option<UserId>,
    reports: Option<Reports>,
    reach: Reach,
    part: Part,
}

impl View {
    /// The whole of somebody's reach.
    fn of(principal: &Principal, rules: &ReachRules) -> Result<Self, ScopeError> {
        Ok(Self {
            user: principal.user().cloned(),
            reports: principal.person().and_then(|person| person.reports.clone()),
            reach: principal.reach(rules).ok_or(ScopeError::NoActivities)?,
            part: Part::Whole,
        })
    }

    /// What is asked for of it, by the table of this module.
    fn part(mut self, asked: Option<AskedScope>) -> Result<Self, ScopeError> {
        self.part = match asked {
            None | Some(AskedScope::Team | AskedScope::Group) => Part::Whole,
            Some(AskedScope::Company) if self.reach == Reach::Organisation => Part::Whole,
            Some(AskedScope::Company) => return Err(ScopeError::CompanyNotAllowed),
            Some(scope) if self.user.is_none() => return Err(ScopeError::NoPerson(scope)),
            Some(AskedScope::Me) => Part::Me,
            Some(AskedScope::Managed { include_sub_managers }) => managed(&self.reach, include_sub_managers)?,
        };
        Ok(self)
    }

    /// What they have of what is asked for.
    fn clamped_part(mut self, asked: Option<AskedScope>) -> Self {
        let allowed = self.clone().part(asked).map(|view| view.part);
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

    /// Whether whoever is in it is surely in the other one as well, whatever the directory says: the other one need
    /// not be asked then.
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
                let mut users = listed(reports, indirect);
                users.retain(|user| *user != manager);
                users.sort_unstable();
                People::Users(users)
            }
        }
    }
}

impl Reach {
    /// The reach as persons: what the directory's lists show, and the log when no scope is asked.
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
                let mut users = listed(reports, *indirect);
                users.push(manager);
                users.sort_unstable();
                users.dedup();
                People::Users(users)
            }
        }
    }
}

/// The part that `scope=managed` means for a person with this reach.
fn managed(reach: &Reach, include_sub_managers: bool) -> Result<Part, ScopeError> {
    match (reach, include_sub_managers) {
        (Reach::Only(_), _) => Err(ScopeError::ManagedNotAllowed),
        (Reach::Reports { indirect: false, .. }, true) => Err(ScopeError::IndirectNotAllowed),
        (Reach::Organisation | Reach::Reports { .. }, true) => Ok(Part::AllReports),
        (Reach::Organisation | Reach::Reports { .. }, false) => Ok(Part::DirectReports),
    }
}

/// The reports that a token names, direct ones first.
pub(super) fn listed(reports: &Reports, indirect: bool) -> Vec<&UserId> {
    let further = if indirect { reports.indirect() } else { &[] };
    reports.direct().iter().chain(further).collect()
}

#[cfg(test)]
mod tests;
