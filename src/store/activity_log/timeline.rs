//! Reads the timeline of a person: a page of the log and a page of the notes.

use crate::access::permit::Notes;
use crate::access::{Scoped, Subjects};
use crate::base;
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::log::timeline::{Kinds, Note, notes_match};
use crate::log::{Filter, Row, Sort};

use crate::store::activity_log::log::Page;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::{Store, StoreError};

/// A request for the timeline of a person.
#[derive(Clone, Copy)]
pub struct TimelineRequest<'a> {
    /// The filter of the rows. It contains the person.
    pub filter: &'a Scoped<&'a Filter>,
    /// The people about which the caller may read notes; `None` if the caller may not read notes.
    pub notes: Option<&'a Subjects<Notes>>,
    /// The person.
    pub about: &'a UserId,
    /// Rows, notes or both.
    pub kinds: Kinds,
}

impl<'a> TimelineRequest<'a> {
    /// The people about which notes are read; `None` if no note can match.
    fn note_subjects(&self) -> Option<&'a Subjects<Notes>> {
        self.notes
            .filter(|_| self.kinds.manual && notes_match(self.filter.inner(), self.about))
    }
}

impl Store {
    /// Finds the rows and the notes for one page of the timeline.
    ///
    /// Each list has the newest entry first, and at most `page.limit` entries and `bytes` bytes of text. The list of
    /// notes is empty if the caller may not read notes about the person.
    pub async fn find_timeline(
        &self,
        request: TimelineRequest<'_>,
        page: Page,
        bytes: usize,
    ) -> Result<(base::Page<Row>, base::Page<Note>), StoreError> {
        // Notes have only this order, and both lists need the same order.
        let page = Page {
            sort: Sort::NewestFirst,
            ..page
        };
        let rows = match request.kinds.system {
            true => self.find_rows(request.filter, page, bytes).await?,
            false => base::Page::empty(),
        };
        let notes = match request.note_subjects() {
            Some(subjects) => {
                let window = request.filter.inner().window(page.now);
                let limits = PageLimits {
                    rows: page.limit as usize,
                    bytes,
                };
                self.find_notes(subjects, request.about, window, page.after, limits)
                    .await?
            }
            None => None,
        };
        Ok((rows, notes.unwrap_or(base::Page::empty())))
    }

    /// Counts the entries of all pages of the timeline that the caller may read.
    pub async fn count_timeline(
        &self,
        request: TimelineRequest<'_>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let rows = match request.kinds.system {
            true => self.count_rows(request.filter, now).await?,
            false => 0,
        };
        let notes = match request.note_subjects() {
            Some(subjects) => {
                let window = request.filter.inner().window(now);
                self.count_notes(subjects, request.about, window).await?
            }
            None => 0,
        };
        Ok(rows + notes)
    }
}
