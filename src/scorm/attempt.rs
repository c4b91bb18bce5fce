//! The state of an attempt, and what a commit changes.
//!
//! An attempt has sessions: the times at which the learner had the package open. Each commit has the time of its session
//! so far, so the time of the attempt is the sum of the last times of its sessions, and never a sum over commits.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::commit::Commit;
use super::interaction::Interaction;
use super::model::Version;
use crate::base::clock::Timestamp;
use crate::record::Score;

/// The number of commits that are recognised when they are repeated.
const MAX_DIGESTS: usize = 256;

/// The number of interactions whose recorded answers are recognised. Only those of the attempt's elements are kept beyond
/// it, so that there is no more than one for each element.
const MAX_ANSWERS: usize = 10_000;

/// The number of sessions whose time can still grow. The time of earlier ones is only a sum.
const MAX_SESSIONS: usize = 32;

/// The time without a commit after which a session has ended, in microseconds.
const IDLE: i64 = 30 * 60 * 1_000_000;

/// The time within which a commit without a session's id may arrive after a later one, in hundredths of a second.
const LATE: i64 = 30 * 100;

/// A clock that is this much ahead of the server's is accepted for the time of an answer, in microseconds.
const CLOCK_TOLERANCE: i64 = 5 * 60 * 1_000_000;

/// The lists of the data model. A commit with a part of a list has the whole list.
const LISTS: [&str; 5] = [
    "cmi.interactions.",
    "cmi.objectives.",
    "cmi.comments_from_learner.",
    "cmi.comments_from_lms.",
    "adl.data.",
];

/// What an attempt is after its last commit. It is stored as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptState {
    /// The version of SCORM.
    pub version: Option<Version>,
    /// The elements of the data model.
    pub(super) elements: BTreeMap<String, String>,
    /// What the player sent beside the elements.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) others: Map<String, Value>,
    /// The time of the sessions that are not in `sessions` any more, in hundredths of a second.
    closed: i64,
    sessions: VecDeque<Session>,
    /// The statuses that the attempt has had.
    completed: bool,
    passed: bool,
    failed: bool,
    /// The total time and the score in the last record.
    recorded_time: i64,
    recorded_score: String,
    /// When the last commit came, in microseconds.
    last_at: i64,
    /// The digests of the last commits, the latest last.
    digests: VecDeque<u64>,
    /// The digest of the answer that is recorded, for each number of an interaction.
    answered: BTreeMap<u32, u64>,
}

/// A time at which the learner has the package open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Session {
    /// The id that the player gave the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The time of the attempt when the session began, in hundredths of a second.
    before: i64,
    /// The time of the session so far.
    time: i64,
    /// The value of `entry` in its commits.
    entry: String,
    /// Whether a commit of the session had a total time.
    had_total: bool,
    /// Whether the session seems to have ended: its last commit was the first one with a total time.
    ended: bool,
    /// Whether the session has ended for certain.
    terminated: bool,
    /// The number of its last commit.
    sequence: Option<u64>,
}

/// What a commit means for the log, and when it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// What happened in an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// The attempt began.
    Started,
    /// The learner answered a question.
    Answered(Box<Interaction>),
    /// The status became `completed`.
    Completed(Progress),
    /// The status became `passed`.
    Passed(Progress),
    /// The status became `failed`.
    Failed(Progress),
    /// A session ended with more time or another score than the last record has.
    Ended(SessionEnd, Progress),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// The package ended it.
    Terminated,
    /// The package ended it with the exit `suspend`.
    Suspended,
    /// It ended without a last commit; the next session shows it.
    Abandoned,
}

/// The score and the total time of an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The score.
    pub score: Option<Score>,
    /// The total time in hundredths of a second.
    pub hundredths: i64,
}

/// The statuses that a commit names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Statuses {
    completed: bool,
    passed: bool,
    failed: bool,
}

impl AttemptState {
    /// The total time of all sessions in hundredths of a second.
    pub fn total_time(&self) -> i64 {
        self.sessions
            .iter()
            .fold(self.closed, |sum, session| sum.saturating_add(session.time))
    }

    /// Whether the last session has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.sessions.back().is_none_or(|session| session.ended)
    }

    /// When the rest of the last session is recorded if no commit follows: answers, time and score. `None` if it has nothing
    /// to record.
    pub fn due(&self) -> Option<Timestamp> {
        let version = self.version?;
        let has_answers = self.as_commit().has_new_interactions(version, &self.answered);
        if self.has_ended() {
            // The last commit had more answers than are recorded at once.
            return has_answers.then(|| Timestamp::from_micros(self.last_at));
        }
        let due = Timestamp::from_micros(self.last_at.saturating_add(IDLE));
        (has_answers || self.has_more_than_recorded(self.progress(version))).then_some(due)
    }

    /// Records what the last session has had, if it is idle. It can go on later. Returns what that means for the log, or
    /// `None` if nothing changes.
    pub fn record_idle(&mut self, now: Timestamp) -> Option<Vec<Event>> {
        self.due().filter(|due| *due <= now)?;
        let at = Timestamp::from_micros(self.last_at);
        let kinds = match self.version.filter(|_| self.has_ended()) {
            Some(version) => self.new_answer_kinds(version),
            None => self.close_last_session(false, now),
        };
        Some(kinds.into_iter().map(|kind| Event { at, kind }).collect())
    }

    /// The score and the total time.
    fn progress(&self, version: Version) -> Progress {
        Progress {
            score: self.as_commit().score(version),
            hundredths: self.total_time(),
        }
    }

    /// Changes the state by a commit. `session` is the id that the player gave the session. Returns what the commit means
    /// for the log, or `None` if the commit is repeated or outdated, so that nothing changes.
    pub fn apply(&mut self, commit: &Commit, session: Option<&str>, now: Timestamp) -> Option<Vec<Event>> {
        let version = commit.version().or(self.version).unwrap_or(Version::V2004);
        let digest = commit.digest(session);
        if self.is_repeated(commit, version, digest)
            || self.is_outdated(commit, session)
            || (session.is_none() && self.is_late(commit, version, now))
        {
            return None;
        }
        let mut events = Vec::new();
        let mut add = |at, kind| events.push(Event { at, kind });
        if self.sessions.is_empty() {
            add(now, EventKind::Started);
        } else if self.find_session(commit, version, session).is_none() {
            for kind in self.close_last_session(session.is_some(), now) {
                add(Timestamp::from_micros(self.last_at), kind);
            }
        }
        let exit = self.track_time(commit, version, session);
        self.replace_elements(commit, version);
        for interaction in self.new_answers(version, exit.is_some()) {
            let latest = now.micros().saturating_add(CLOCK_TOLERANCE);
            let at = interaction
                .happened_at
                .filter(|at| at.micros() <= latest)
                .unwrap_or(now);
            add(at, EventKind::Answered(Box::new(interaction)));
        }
        let progress = self.progress(version);
        let kinds = self.new_statuses(find_statuses(commit, version), version, progress);
        let is_silent = kinds.is_empty();
        for kind in kinds {
            add(now, kind);
        }
        if let Some(end) = exit
            && is_silent
            && self.has_more_than_recorded(progress)
        {
            self.note_recorded(progress);
            add(now, EventKind::Ended(end, progress));
        }
        push_within(&mut self.digests, digest, MAX_DIGESTS);
        self.last_at = now.micros();
        Some(events)
    }

    /// Whether a commit was applied before. A commit with a time cannot mean a later moment than the first one with the
    /// same values. Without a time only the repetition of the last commit is certain: the learner may have returned to
    /// an earlier place.
    fn is_repeated(&self, commit: &Commit, version: Version, digest: u64) -> bool {
        let (time, _) = commit.times(version);
        self.digests.back() == Some(&digest)
            || (time > 0 && self.digests.contains(&digest))
            || self.precedes_end(commit, version)
    }

    /// Whether the commit was sent just before the last one of its session and arrived after it: it says the same, without
    /// a total time. Packages commit before they end a session, and a browser does not keep the order of two requests.
    fn precedes_end(&self, commit: &Commit, version: Version) -> bool {
        let (time, total) = commit.times(version);
        let ended = self
            .sessions
            .back()
            .is_some_and(|last| last.terminated && last.time == time);
        let exit = version.names().exit;
        let mut elements = commit.elements.iter();
        ended
            && total.is_none()
            && elements.all(|(element, value)| element == exit || self.elements.get(element) == Some(value))
    }

    /// Whether a later commit of the same session was applied already. Only numbered commits of named sessions can be
    /// compared.
    fn is_outdated(&self, commit: &Commit, session: Option<&str>) -> bool {
        let known = self
            .sessions
            .iter()
            .find(|known| session.is_some() && known.id.as_deref() == session);
        known
            .and_then(|known| known.sequence.zip(commit.sequence))
            .is_some_and(|(last, number)| number < last)
    }

    /// Whether a commit without a session's id was sent before the last one and arrived after it: its time is a little less,
    /// and is longer than a session can be that began after the last commit.
    fn is_late(&self, commit: &Commit, version: Version, now: Timestamp) -> bool {
        let Some(last) = self.sessions.back() else {
            return false;
        };
        let (time, total) = commit.times(version);
        let since = now.micros().saturating_sub(self.last_at) / 10_000;
        let is_open = last.id.is_none() && !last.ended && !commit.is_final && total.is_none();
        let entry = commit.get(version.names().entry).unwrap_or_default();
        is_open
            && entry == last.entry
            && (1..=LATE).contains(&last.time.saturating_sub(time))
            && since <= LATE
            && time > since
    }

    /// The place of the commit's session in `sessions`. `None` if the commit begins a new one.
    ///
    /// A session without an id is new if its time went back, if the player has loaded the total time of the sessions
    /// before, or if the session before has ended.
    fn find_session(&self, commit: &Commit, version: Version, session: Option<&str>) -> Option<usize> {
        let place = self
            .sessions
            .iter()
            .rposition(|known| known.id.as_deref() == session)?;
        let current = self.sessions.get(place)?;
        if session.is_some() {
            return Some(place);
        }
        if current.terminated {
            return None;
        }
        let (time, total) = commit.times(version);
        let names = version.names();
        let entry = commit.get(names.entry).unwrap_or_default();
        if let Some(total) = total
            && time > 0
        {
            let loaded = total.saturating_sub(time);
            if loaded == current.before && time >= current.time {
                return Some(place);
            }
            if loaded == self.total_time() {
                return None;
            }
            // A late commit seemed to begin a session. The total time shows that the one before goes on.
            let is_this =
                |known: &Session| known.before == loaded && known.entry == entry && time >= known.time;
            let is_open = |known: &Session| known.id.is_none() && !known.ended;
            if let Some(earlier) = self
                .sessions
                .iter()
                .rposition(|known| is_open(known) && is_this(known))
            {
                return Some(earlier);
            }
        }
        let goes_back = commit.get(names.session_time).is_some() && time < current.time;
        let is_new = (current.ended && total.is_none()) || entry != current.entry || goes_back;
        (!is_new).then_some(place)
    }

    /// Adds the time of the commit to its session. Returns how the session ended if this is its last commit.
    fn track_time(&mut self, commit: &Commit, version: Version, session: Option<&str>) -> Option<SessionEnd> {
        let (time, total) = commit.times(version);
        let found = self.find_session(commit, version, session);
        let place = found.unwrap_or_else(|| {
            let before = self.total_time();
            self.sessions.push_back(Session {
                id: session.map(str::to_owned),
                before,
                entry: commit.get(version.names().entry).unwrap_or_default().to_owned(),
                ..Session::default()
            });
            self.sessions.len() - 1
        });
        if session.is_none() {
            let mut index = 0..;
            // Sessions after the one that goes on were late commits of it.
            self.sessions
                .retain(|known| index.next() <= Some(place) || known.id.is_some() || known.ended);
        }
        let current = self.sessions.get_mut(place)?;
        // A player that measures the time itself sends it only within the total time.
        let measured = total.map_or(0, |total| total.saturating_sub(current.before));
        let time = if time > 0 { time } else { measured };
        let numbers = current.sequence.zip(commit.sequence);
        // Only the number shows that a shorter time is the later one.
        let is_later = time > 0 && numbers.is_some_and(|(last, number)| number > last);
        current.time = if is_later { time } else { current.time.max(time) };
        let is_last = commit.is_final || (total.is_some() && !current.had_total);
        current.ended = is_last;
        // Without an earlier commit, the player may send the total time with each one.
        current.terminated = commit.is_final || (is_last && found.is_some());
        current.had_total |= total.is_some();
        current.sequence = commit.sequence.or(current.sequence);
        while self.sessions.len() > MAX_SESSIONS {
            let oldest = self.sessions.pop_front()?;
            self.closed = self.closed.saturating_add(oldest.time);
        }
        is_last.then(|| match commit.get(version.names().exit) {
            Some("suspend") => SessionEnd::Suspended,
            _ => SessionEnd::Terminated,
        })
    }

    /// What a session that ended without a last commit leaves to record. `has_id`: whether the next session has an id. Then
    /// the sessions may be two windows, and only one that is idle has ended.
    fn close_last_session(&mut self, has_id: bool, now: Timestamp) -> Vec<EventKind> {
        let is_idle = now.micros().saturating_sub(self.last_at) >= IDLE;
        let Some(version) = self.version.filter(|_| !self.has_ended() && (is_idle || !has_id)) else {
            return Vec::new();
        };
        let mut kinds = self.new_answer_kinds(version);
        let progress = self.progress(version);
        if self.has_more_than_recorded(progress) {
            self.note_recorded(progress);
            kinds.push(EventKind::Ended(SessionEnd::Abandoned, progress));
        }
        kinds
    }

    /// The answers that are not recorded at the end of a session.
    fn new_answer_kinds(&mut self, version: Version) -> Vec<EventKind> {
        let answers = self.new_answers(version, true).into_iter();
        answers
            .map(|answer| EventKind::Answered(Box::new(answer)))
            .collect()
    }

    /// Replaces the elements that the commit has. Those that it lacks stay, since players may send a part only.
    fn replace_elements(&mut self, commit: &Commit, version: Version) {
        if self.version != Some(version) {
            self.version = Some(version);
            self.elements.clear();
        }
        for list in LISTS {
            let is_in_list = |element: &String| element.starts_with(list);
            if commit.elements.keys().any(is_in_list) {
                self.elements.retain(|element, _| !is_in_list(element));
            }
        }
        let new = commit.elements.iter();
        self.elements
            .extend(new.map(|(element, value)| (element.clone(), value.clone())));
        let others = commit.others.iter();
        self.others
            .extend(others.map(|(name, value)| (name.clone(), value.clone())));
    }

    /// The elements of the state in the form of a commit, which reads scores and answers.
    fn as_commit(&self) -> Commit {
        Commit {
            elements: self.elements.clone(),
            ..Commit::default()
        }
    }

    /// The answers that are not recorded yet.
    fn new_answers(&mut self, version: Version, is_final: bool) -> Vec<Interaction> {
        let commit = self.as_commit();
        let answers = commit.new_interactions(version, is_final, &self.answered);
        let recorded = answers.iter().map(|answer| (answer.number, answer.digest));
        self.answered.extend(recorded);
        if self.answered.len() > MAX_ANSWERS {
            let present = commit.interaction_numbers();
            self.answered.retain(|number, _| present.contains(number));
        }
        answers
    }

    /// The statuses that the attempt has now for the first time. A failure after a success changes nothing.
    fn new_statuses(&mut self, named: Statuses, version: Version, progress: Progress) -> Vec<EventKind> {
        let mut kinds = Vec::new();
        if named.completed && !self.completed {
            self.completed = true;
            kinds.push(EventKind::Completed(progress));
        }
        if named.failed && !named.passed && !self.failed && !self.passed {
            self.failed = true;
            kinds.push(EventKind::Failed(progress));
        }
        if named.passed && !self.passed {
            self.passed = true;
            // The only status of SCORM 1.2 goes from `passed` back to `completed` without a new completion.
            self.completed |= version == Version::V12;
            kinds.push(EventKind::Passed(progress));
        }
        if !kinds.is_empty() {
            self.note_recorded(progress);
        }
        kinds
    }

    fn has_more_than_recorded(&self, progress: Progress) -> bool {
        progress.hundredths > self.recorded_time
            || (progress.score.is_some() && score_key(progress.score) != self.recorded_score)
    }

    fn note_recorded(&mut self, progress: Progress) {
        self.recorded_time = progress.hundredths;
        self.recorded_score = score_key(progress.score);
    }
}

/// A text that is equal for equal scores.
fn score_key(score: Option<Score>) -> String {
    score.map_or_else(String::new, |score| format!("{score:?}"))
}

fn push_within(digests: &mut VecDeque<u64>, digest: u64, limit: usize) {
    digests.push_back(digest);
    if digests.len() > limit {
        digests.pop_front();
    }
}

/// The statuses that a commit names. In SCORM 2004 the player may also give those of the whole package, which its
/// sequencing has rolled up.
fn find_statuses(commit: &Commit, version: Version) -> Statuses {
    match version {
        Version::V12 => {
            let status = commit.get("cmi.core.lesson_status");
            Statuses {
                completed: status == Some("completed"),
                passed: status == Some("passed"),
                failed: status == Some("failed"),
            }
        }
        Version::V2004 => {
            let has = |element: &str, member: &str, status: &str| {
                let rolled_up = commit.others.get(member).and_then(Value::as_str);
                commit.get(element) == Some(status) || rolled_up == Some(status)
            };
            Statuses {
                completed: has("cmi.completion_status", "completionStatus", "completed"),
                passed: has("cmi.success_status", "successStatus", "passed"),
                failed: has("cmi.success_status", "successStatus", "failed"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
