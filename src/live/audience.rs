//! Which new rows a stream may see at all.
//!
//! A row that this module leaves out is not in the answer of the log's query. The rest is decided by that query, which
//! also knows the filters that are not looked at here. The index by user makes the cost of a stream depend on the rows
//! that it may see, and not on all new rows.

use std::collections::HashMap;

use crate::access::{People, Scoped};
use crate::base::ids::UserId;
use crate::log::{Action, Filter, PersonKey};
use crate::store::{NewRow, Owner};

/// New rows with the owners of their persons.
pub(super) struct Audience<'r> {
    rows: &'r [NewRow],
    owners: &'r HashMap<PersonKey, Owner>,
    /// The indexes of the rows of each user.
    by_user: HashMap<&'r UserId, Vec<usize>>,
    /// The indexes of the rows of all users below each manager.
    by_manager: HashMap<&'r UserId, Vec<usize>>,
}

impl<'r> Audience<'r> {
    /// The audience of these rows.
    pub(super) fn new(rows: &'r [NewRow], owners: &'r HashMap<PersonKey, Owner>) -> Self {
        let mut by_user: HashMap<&UserId, Vec<usize>> = HashMap::new();
        let mut by_manager: HashMap<&UserId, Vec<usize>> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            let Some(owner) = owners.get(&row.person) else {
                continue;
            };
            if let Some(user) = &owner.user {
                by_user.entry(user).or_default().push(index);
            }
            for manager in &owner.managers {
                by_manager.entry(manager).or_default().push(index);
            }
        }
        Self {
            rows,
            owners,
            by_user,
            by_manager,
        }
    }

    /// The `seq` of the rows that the question may find, in ascending order.
    pub(super) fn candidates(&self, question: &Scoped<&Filter>) -> Vec<i64> {
        let (people, filter) = (question.people(), *question.inner());
        let mut indexes = self.preselect(&people, filter);
        indexes.sort_unstable();
        indexes.dedup();
        let rows = indexes.into_iter().map(|index| &self.rows[index]);
        rows.filter(|row| self.may_find(row, &people, filter))
            .map(|row| row.seq)
            .collect()
    }

    /// The indexes of all rows that can match, and of some others.
    fn preselect(&self, people: &[People<'_>], filter: &Filter) -> Vec<usize> {
        let of_users = |users: &mut dyn Iterator<Item = &UserId>| {
            users
                .filter_map(|user| self.by_user.get(user))
                .flatten()
                .copied()
                .collect()
        };
        match people.first() {
            Some(People::Users(users)) => of_users(&mut users.iter().copied()),
            Some(People::Tree { manager, .. }) => {
                let below = self.by_manager.get(manager).into_iter().flatten();
                let own = self.by_user.get(manager).into_iter().flatten();
                below.chain(own).copied().collect()
            }
            Some(People::Everyone) | None => match filter.each().find(|filter| !filter.users.is_empty()) {
                Some(filter) => of_users(&mut filter.users.iter()),
                None => (0..self.rows.len()).collect(),
            },
        }
    }

    fn may_find(&self, row: &NewRow, people: &[People<'_>], filter: &Filter) -> bool {
        let unknown = Owner::default();
        let owner = self.owners.get(&row.person).unwrap_or(&unknown);
        let is_hidden = (owner.deactivated && !filter.shows_deactivated())
            || (row.action == Action::Visited && filter.hides_visited());
        let is_selected = |filter: &Filter| {
            let names_user = |user: &UserId| filter.users.contains(user);
            (filter.actions.is_empty() || filter.actions.contains(&row.action))
                && (filter.users.is_empty() || owner.user.as_ref().is_some_and(names_user))
        };
        !is_hidden && people.iter().all(|people| includes(people, owner)) && filter.each().all(is_selected)
    }
}

/// Whether the owner of a row is one of these people.
fn includes(people: &People<'_>, owner: &Owner) -> bool {
    let user = owner.user.as_ref();
    match people {
        People::Everyone => true,
        People::Users(users) => user.is_some_and(|user| users.binary_search(&user).is_ok()),
        People::Tree {
            manager,
            manager_too,
            indirect,
        } => {
            let is_below = match indirect {
                true => owner.managers.contains(manager),
                false => owner.managers.first() == Some(*manager),
            };
            is_below || (*manager_too && user == Some(*manager))
        }
    }
}

/// Whether the question needs to know the managers of owners.
pub(super) fn needs_managers(question: &Scoped<&Filter>) -> bool {
    let is_tree = |people: &People<'_>| matches!(people, People::Tree { .. });
    question.people().iter().any(is_tree)
}
