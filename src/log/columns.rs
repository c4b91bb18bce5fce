//! The log of an organisation as compact columns in memory, for counting.
//!
//! A row takes about 40 bytes: keys are replaced by codes, and everything that few different values have together (verb,
//! action, origin, device type, source, import and outcome) is one code, its [`Kind`]. A condition on these values is
//! evaluated once for each kind, so counting reads a few small numbers of each row.
//!
//! [`LogColumns::put`] inserts or replaces a row by its place in the order of recording, and [`LogColumns::remove`]
//! removes it. Both may be repeated with the same row, so the store can read changes in any pieces. [`selection`] selects
//! rows by a filter.

pub(crate) mod block;
pub(crate) mod dictionary;
pub(crate) mod former;
pub(crate) mod people;
pub(crate) mod remembered;
pub(crate) mod selection;
#[cfg(test)]
mod speed;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::record::Origin;

use super::action::Action;
use block::{BLOCK_ROWS, Block, EncodedRow};
use dictionary::Dictionary;
use former::FormerRows;

/// The most different kinds. Clients choose device types and sources freely.
const MAX_KINDS: usize = 200_000;
/// The most rows, so that each has a number of 32 bits.
const MAX_ROWS: u64 = 4_000_000_000;
/// The kind of a removed row.
pub(crate) const REMOVED: u32 = 0;
/// The session of a row without one.
pub(crate) const NO_SESSION: u32 = 0;

/// The columns cannot hold the log: it has too many rows or kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooDiverse;

/// A row of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnRow {
    /// The place in the order of recording.
    pub(crate) seq: i64,
    pub(crate) happened_at: Timestamp,
    pub(crate) person: i64,
    pub(crate) content: Option<i64>,
    pub(crate) verb: i64,
    pub(crate) action: Action,
    pub(crate) origin: Origin,
    pub(crate) completed: bool,
    pub(crate) success: Option<bool>,
    pub(crate) certified: bool,
    /// Whether the activity is about a part of its content.
    pub(crate) is_part: bool,
    pub(crate) percent: Option<i64>,
    pub(crate) seconds: Option<i64>,
    pub(crate) expired_at: Option<Timestamp>,
    pub(crate) registration: Option<Uuid>,
    /// The digest of the cmi5 session.
    pub(crate) session: Option<i64>,
    pub(crate) import: Option<Uuid>,
    pub(crate) device_type: Option<String>,
    pub(crate) source: Option<String>,
}

/// What many rows have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) verb: i64,
    pub(crate) action: Action,
    pub(crate) origin: Origin,
    /// The code of the text.
    pub(crate) device_type: Option<u32>,
    /// The code of the text.
    pub(crate) source: Option<u32>,
    /// The code of the import.
    pub(crate) import: Option<u32>,
    pub(crate) completed: bool,
    pub(crate) success: Option<bool>,
    pub(crate) certified: bool,
    pub(crate) is_part: bool,
}

/// The rows of a person about a content with one registration and one cmi5 session. Rows without a registration have
/// one only for their completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Session {
    pub(crate) person: u32,
    pub(crate) content: u32,
    /// The code of the registration plus 1, or 0.
    pub(crate) registration: u32,
    /// The code of the cmi5 session plus 1, or 0.
    pub(crate) session: u32,
}

/// The rows of one organisation.
#[derive(Debug, Default)]
pub(crate) struct LogColumns {
    blocks: Vec<Block>,
    /// The keys of persons by their codes.
    persons: Dictionary<i64>,
    /// The keys of contents by their codes. [`NO_CONTENT`] stands for none.
    contents: Dictionary<Option<i64>>,
    /// The kinds by their codes. The code [`REMOVED`] has none.
    kinds: Dictionary<Option<Kind>>,
    /// Device types and sources.
    texts: Dictionary<String>,
    text_bytes: usize,
    imports: Dictionary<Uuid>,
    registrations: Dictionary<Uuid>,
    cmi5_sessions: Dictionary<i64>,
    /// The sessions by their codes. The code [`NO_SESSION`] has none.
    sessions: Dictionary<Option<Session>>,
    /// For each session, the code of the same one without cmi5 session.
    attempts: Vec<u32>,
    /// The last place in the order of recording.
    last_seq: i64,
    /// The rows that came after a row with a greater place, by their places.
    displaced: HashMap<i64, u32>,
    /// The same the other way round.
    displaced_seqs: HashMap<u32, i64>,
    /// The changed rows as they were before.
    former: FormerRows,
}

impl LogColumns {
    /// Columns without a row.
    pub(crate) fn new() -> Self {
        let mut columns = Self {
            last_seq: i64::MIN,
            ..Self::default()
        };
        columns.kinds.encode(None);
        columns.sessions.encode(None);
        columns.attempts.push(NO_SESSION);
        columns.contents.encode(None);
        columns
    }

    /// Inserts a row, or replaces the one with its place in the order of recording.
    pub(crate) fn put(&mut self, row: ColumnRow) -> Result<(), TooDiverse> {
        let row = self.encode(row);
        if self.kinds.len() > MAX_KINDS {
            return Err(TooDiverse);
        }
        if let Some((block, place)) = self.find(row.seq) {
            let before = self.row(block * BLOCK_ROWS + place);
            if before != row {
                self.former.note(block * BLOCK_ROWS + place, before);
                self.blocks[block].set(place, row);
            }
            return Ok(());
        }
        let number = self.row_numbers();
        if number >= MAX_ROWS {
            return Err(TooDiverse);
        }
        if row.seq < self.last_seq {
            self.displaced.insert(row.seq, number as u32);
            self.displaced_seqs.insert(number as u32, row.seq);
        }
        self.last_seq = self.last_seq.max(row.seq);
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK_ROWS) {
            self.blocks.push(Block::default());
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(self.last_seq, row);
        }
        Ok(())
    }

    /// Removes the row with this place in the order of recording, if there is one.
    pub(crate) fn remove(&mut self, seq: i64) {
        if let Some((block, place)) = self.find(seq) {
            let before = self.row(block * BLOCK_ROWS + place);
            if before.kind != REMOVED {
                self.former.note(block * BLOCK_ROWS + place, before);
                self.blocks[block].set_kind(place, REMOVED);
            }
        }
    }

    /// The block and the place in it of a row.
    fn find(&self, seq: i64) -> Option<(usize, usize)> {
        if let Some(number) = self.displaced.get(&seq) {
            let number = *number as usize;
            return Some((number / BLOCK_ROWS, number % BLOCK_ROWS));
        }
        if seq > self.last_seq {
            return None;
        }
        // A displaced row has the key of the row before it, which is found first.
        let block = self
            .blocks
            .partition_point(|block| block.seq.last().is_some_and(|last| *last < seq));
        let place = self.blocks.get(block)?.seq.partition_point(|key| *key < seq);
        let key = self.blocks.get(block)?.seq.get(place)?;
        (*key == seq).then_some((block, place))
    }

    /// The place of a row in the order of recording.
    pub(crate) fn seq(&self, block: usize, place: usize) -> i64 {
        let number = block * BLOCK_ROWS + place;
        let displaced = match self.displaced_seqs.is_empty() {
            true => None,
            false => self.displaced_seqs.get(&(number as u32)),
        };
        displaced.copied().unwrap_or(self.blocks[block].seq[place])
    }

    /// Whether a row of the block came after a row with a greater place.
    pub(crate) fn has_displaced(&self) -> bool {
        !self.displaced.is_empty()
    }

    fn row_numbers(&self) -> u64 {
        let full = self.blocks.len().saturating_sub(1) * BLOCK_ROWS;
        (full + self.blocks.last().map_or(0, Block::len)) as u64
    }

    fn encode(&mut self, row: ColumnRow) -> EncodedRow {
        let person = self.persons.encode(row.person);
        let content = self.contents.encode(row.content);
        let kind = Kind {
            verb: row.verb,
            action: row.action,
            origin: row.origin,
            device_type: row.device_type.map(|text| self.encode_text(text)),
            source: row.source.map(|text| self.encode_text(text)),
            import: row.import.map(|import| self.imports.encode(import)),
            completed: row.completed,
            success: row.success,
            certified: row.certified,
            is_part: row.is_part,
        };
        let session = match row.completed || row.registration.is_some() {
            true => self.encode_session(person, content, row.registration, row.session),
            false => NO_SESSION,
        };
        EncodedRow {
            seq: row.seq,
            happened_at: row.happened_at.micros(),
            person,
            content,
            kind: self.kinds.encode(Some(kind)),
            session,
            percent: row.percent,
            seconds: row.seconds,
            expired_at: row.expired_at.map(Timestamp::micros),
        }
    }

    fn encode_text(&mut self, text: String) -> u32 {
        let (known, bytes) = (self.texts.len(), text.len());
        let code = self.texts.encode(text);
        if self.texts.len() > known {
            self.text_bytes += bytes;
        }
        code
    }

    fn encode_session(
        &mut self,
        person: u32,
        content: u32,
        registration: Option<Uuid>,
        session: Option<i64>,
    ) -> u32 {
        let registration = registration.map(|registration| self.registrations.encode(registration) + 1);
        let attempt = Session {
            person,
            content,
            registration: registration.unwrap_or(0),
            session: 0,
        };
        let attempt_code = self.sessions.encode(Some(attempt));
        if self.attempts.len() < self.sessions.len() {
            self.attempts.push(attempt_code);
        }
        // Without a registration, a session is its row.
        let Some(session) = session.filter(|_| registration.is_some()) else {
            return attempt_code;
        };
        let session = self.cmi5_sessions.encode(session) + 1;
        let code = self.sessions.encode(Some(Session { session, ..attempt }));
        if self.attempts.len() < self.sessions.len() {
            self.attempts.push(attempt_code);
        }
        code
    }

    /// All blocks.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The keys of persons, by their codes.
    pub(crate) fn persons(&self) -> &[i64] {
        self.persons.values()
    }

    /// The keys of contents, by their codes.
    pub(crate) fn contents(&self) -> &[Option<i64>] {
        self.contents.values()
    }

    /// The kinds, by their codes.
    pub(crate) fn kinds(&self) -> &[Option<Kind>] {
        self.kinds.values()
    }

    /// A device type or source.
    pub(crate) fn text(&self, code: u32) -> Option<&str> {
        self.texts.values().get(code as usize).map(String::as_str)
    }

    /// An import.
    pub(crate) fn import(&self, code: u32) -> Option<Uuid> {
        self.imports.values().get(code as usize).copied()
    }

    /// The sessions, by their codes.
    pub(crate) fn sessions(&self) -> &[Option<Session>] {
        self.sessions.values()
    }

    /// For each session, the code of the same one without cmi5 session.
    pub(crate) fn attempts(&self) -> &[u32] {
        &self.attempts
    }

    /// The digest of a cmi5 session by its code plus 1.
    pub(crate) fn cmi5_session(&self, session: u32) -> Option<i64> {
        let code = session.checked_sub(1)?;
        self.cmi5_sessions.values().get(code as usize).copied()
    }

    /// The memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.iter().map(Block::bytes).sum::<usize>()
            + self.persons.bytes()
            + self.contents.bytes()
            + self.kinds.bytes()
            + self.texts.bytes()
            + self.text_bytes
            + self.imports.bytes()
            + self.registrations.bytes()
            + self.cmi5_sessions.bytes()
            + self.sessions.bytes()
            + self.attempts.capacity() * size_of::<u32>()
            + (self.displaced.capacity() + self.displaced_seqs.capacity()) * 24
            + self.former.bytes()
    }
}
