//! A stream as its hub sees it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::queue::Queue;
use crate::access::{AskedScope, Principal, ReachRules, ScopeError, Scoped};
use crate::base::fair_limit::Sharer;
use crate::base::ids::OrgId;
use crate::log::Filter;

/// The place of one stream at a hub.
pub(super) struct Seat {
    pub(super) id: u64,
    pub(super) queue: Queue,
    /// The place that the stream must reach before it is at a hub again.
    target: AtomicI64,
    /// The version of the directory for which the user is known to be active.
    checked_directory: AtomicI64,
    question: Mutex<Arc<Question>>,
}

/// What the caller of a stream has asked for, within the rights that it had at the last check.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) principal: Principal,
    asked_scope: Option<AskedScope>,
    filter: Arc<Filter>,
    rules: ReachRules,
    pub(super) scoped: Scoped<Arc<Filter>>,
    /// Equal questions have equal numbers.
    hash: u64,
}

impl Question {
    /// The question of a caller.
    ///
    /// # Errors
    ///
    /// The caller may not have the scope.
    pub(super) fn new(
        principal: Principal,
        asked_scope: Option<AskedScope>,
        filter: Arc<Filter>,
        rules: ReachRules,
    ) -> Result<Self, ScopeError> {
        let scoped = Scoped::new(&principal, &rules, asked_scope, Arc::clone(&filter))?;
        let mut hasher = DefaultHasher::new();
        format!("{:?} {filter:?}", scoped.people()).hash(&mut hasher);
        Ok(Self {
            principal,
            asked_scope,
            filter,
            rules,
            scoped,
            hash: hasher.finish(),
        })
    }

    /// The caller as one that shares limits with others.
    pub(super) fn sharer(&self) -> Sharer {
        Sharer {
            organisation: self.scoped.org().clone(),
            caller: self.principal.caller_id(),
        }
    }

    /// The question in the form of the store.
    pub(super) fn as_query(&self) -> Scoped<&Filter> {
        self.scoped.as_ref().map(AsRef::as_ref)
    }

    /// A number for finding equal questions.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether the other question has the same answer: the same persons and the same filter.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.scoped.org() == other.scoped.org()
            && self.scoped.people() == other.scoped.people()
            && self.filter == other.filter
    }
}

impl Seat {
    /// The place of a stream with everything up to `position`.
    pub(super) fn new(id: u64, question: Question, position: i64, head: i64, buffer_bytes: usize) -> Self {
        Self {
            id,
            queue: Queue::new(position, buffer_bytes),
            target: AtomicI64::new(head),
            checked_directory: AtomicI64::new(-1),
            question: Mutex::new(Arc::new(question)),
        }
    }

    /// The place that the stream must reach before it is at a hub again.
    pub(super) fn target(&self) -> i64 {
        self.target.load(Ordering::Relaxed)
    }

    /// Makes the stream reach this place first.
    pub(super) fn set_target(&self, position: i64) {
        self.target.fetch_max(position, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Question>> {
        self.question.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present question.
    pub(super) fn question(&self) -> Arc<Question> {
        Arc::clone(&self.lock())
    }

    /// The organisation. It never changes.
    pub(super) fn org(&self) -> OrgId {
        self.lock().scoped.org().clone()
    }

    /// Replaces the rights of the caller.
    ///
    /// # Errors
    ///
    /// The caller may not have the scope any more.
    pub(super) fn renew(&self, principal: Principal, rules: ReachRules) -> Result<(), ScopeError> {
        let mut question = self.lock();
        if question.principal != principal || question.rules != rules {
            let renewed = Question::new(
                principal,
                question.asked_scope,
                Arc::clone(&question.filter),
                rules,
            )?;
            *question = Arc::new(renewed);
        }
        Ok(())
    }

    /// Replaces the settings of the organisation on which the reach depends.
    pub(super) fn set_rules(&self, rules: ReachRules) -> Result<(), ScopeError> {
        let principal = self.question().principal.clone();
        self.renew(principal, rules)
    }

    /// Whether the user is known to be active in this version of the directory.
    pub(super) fn is_checked(&self, directory: i64) -> bool {
        self.checked_directory.load(Ordering::Relaxed) == directory
    }

    /// Notes that the user is active in this version of the directory.
    pub(super) fn set_checked(&self, directory: i64) {
        self.checked_directory.store(directory, Ordering::Relaxed);
    }
}
