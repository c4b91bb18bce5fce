//! The users of the persons in the columns, and which sessions and attempts are the same.
//!
//! A session of the columns belongs to a person. If a user has several persons, sessions that are equal apart from the
//! person are one: the first of them stands for all.

use std::collections::HashMap;

use super::{LogColumns, Session};

/// The mark of an attempt with a registration.
const REGISTERED: u32 = 1 << 31;

/// The users of persons, by the codes of the columns.
#[derive(Debug, Default)]
pub(crate) struct People {
    /// For each person, the number of its user. A person without a user has a number of its own.
    users: Vec<u32>,
    /// For each number, the key of the user, or of the person without one.
    keys: Vec<i64>,
    numbers: HashMap<i64, u32>,
    /// The number of persons of each number.
    persons: Vec<u32>,
    /// For each session, the one that stands for it.
    sessions: Vec<u32>,
    /// For each session, the attempt that stands for its attempt, with the mark [`REGISTERED`].
    attempts: Vec<u32>,
    /// The first of equal sessions, for users with several persons. The person is the number of the user.
    first: HashMap<Session, u32>,
}

/// The attempt of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttemptCode {
    /// The attempt that stands for it.
    pub(crate) code: u32,
    /// Whether it has a registration.
    pub(crate) is_registered: bool,
}

impl People {
    /// The number of persons that have a user already.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether all persons and sessions of the columns are known.
    pub(crate) fn is_complete(&self, columns: &LogColumns) -> bool {
        self.users.len() >= columns.persons().len() && self.sessions.len() >= columns.sessions().len()
    }

    /// Whether the known persons of the columns have these users.
    pub(crate) fn are_those_of(&self, columns: &LogColumns, users: &HashMap<i64, i64>) -> bool {
        let known = columns.persons().iter().zip(&self.users);
        known
            .into_iter()
            .all(|(person, user)| self.key(*user) == users.get(person).copied().unwrap_or(*person))
    }

    /// Adds the persons and sessions that are new in the columns. `users` has the users of the new persons that have one.
    pub(crate) fn extend(&mut self, columns: &LogColumns, users: &HashMap<i64, i64>) {
        let mut has_joined = false;
        for person in columns.persons().iter().skip(self.users.len()) {
            let key = users.get(person).copied().unwrap_or(*person);
            let next = self.keys.len() as u32;
            let number = *self.numbers.entry(key).or_insert(next);
            if number == next {
                self.keys.push(key);
                self.persons.push(0);
            }
            self.persons[number as usize] += 1;
            has_joined |= self.persons[number as usize] > 1;
            self.users.push(number);
        }
        if has_joined {
            // Sessions of a user that had one person may now equal others.
            self.sessions.clear();
            self.attempts.clear();
            self.first.clear();
        }
        for code in self.sessions.len()..columns.sessions().len() {
            self.add_session(columns, code as u32);
        }
    }

    fn add_session(&mut self, columns: &LogColumns, code: u32) {
        let Some(session) = columns.sessions()[code as usize] else {
            self.sessions.push(code);
            self.attempts.push(code);
            return;
        };
        let user = self.users[session.person as usize];
        let stands_for = match self.persons[user as usize] {
            1 => code,
            _ => *self
                .first
                .entry(Session {
                    person: user,
                    ..session
                })
                .or_insert(code),
        };
        self.sessions.push(stands_for);
        // The attempt of a session has a smaller code, or is the session itself.
        let attempt = self.sessions[columns.attempts()[code as usize] as usize];
        let mark = if session.registration == 0 { 0 } else { REGISTERED };
        self.attempts.push(attempt | mark);
    }

    /// For each person, the number of its user.
    pub(crate) fn users(&self) -> &[u32] {
        &self.users
    }

    /// The key of the user, or of the person without one, with this number.
    pub(crate) fn key(&self, number: u32) -> i64 {
        self.keys[number as usize]
    }

    /// The session that stands for a session.
    #[inline]
    pub(crate) fn session(&self, session: u32) -> u32 {
        self.sessions[session as usize]
    }

    /// The attempt of a session.
    #[inline]
    pub(crate) fn attempt(&self, session: u32) -> AttemptCode {
        let code = self.attempts[session as usize];
        AttemptCode {
            code: code & !REGISTERED,
            is_registered: code & REGISTERED != 0,
        }
    }

    /// The memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        (self.users.capacity()
            + self.persons.capacity()
            + self.sessions.capacity()
            + self.attempts.capacity())
            * 4
            + self.keys.capacity() * 8
            + self.numbers.capacity() * 20
            + self.first.capacity() * 26
    }
}
