//! Reads one person's timeline: a page of the log and a page of the notes, each as its own room gives it.

use crate::access::permit::Notes;
use crate::access::{Scoped, Subjects};
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::log::timeline::{Kinds, Note, notes_match};
use crate::log::{Filter, Row, Sort};

use crate::store::activity_log::log::Page;
use crate::store::db::{Store, StoreError};

/// A question for one person's timeline.
#[derive(Clone, Copy)]
pub struct Timeline<'a> {
    /// Which rows: the person's, as the filter says.
    pub question: &'a Scoped<&'a Filter>,
    /// About whom the caller may read notes; `None`: about nobody.
    pub notes: Option<&'a Subjects<Notes>>,
    /// Whose timeline.
    pub about: &'a UserId,
    /// Rows, notes or both.
    pub kinds: Kinds,
}

impl<'a> Timeline<'a> {
    /// About whom notes may be read, where any can match at all.
    fn readable(&self) -> Option<&'a Subjects<Notes>> {
        self.notes
            .filter(|_| self.kinds.manual && notes_match(self.question.inner(), self.about))
    }
}

impl Store {
    /// The rows and the notes that a page of the timeline can be made of, each the newest first and no more than the
    /// page's limit. Whoever may not read notes about this person gets none.
    pub async fn timeline(
        &self,
        asked: Timeline<'_>,
        page: Page,
    ) -> Result<(Vec<Row>, Vec<Note>), StoreError> {
        // Both lists have one order, and notes know no other.
        let page = Page {
            sort: Sort::NewestFirst,
            ..page
        };
        let rows = match asked.kinds.system {
            true => self.page(asked.question, page).await?,
            false => Vec::new(),
        };
        let notes = match asked.readable() {
            Some(subjects) => {
                let window = asked.question.inner().window(page.now);
                self.notes(subjects, asked.about, window, page.after, page.limit)
                    .await?
            }
            None => None,
        };
        Ok((rows, notes.unwrap_or_default()))
    }

    /// How many entries the timeline has over all pages: those that the caller may read.
    pub async fn count_timeline(&self, asked: Timeline<'_>, now: Timestamp) -> Result<u64, StoreError> {
        let rows = match asked.kinds.system {
            true => self.count(asked.question, now).await?,
            false => 0,
        };
        let notes = match asked.readable() {
            Some(subjects) => {
                let window = asked.question.inner().window(now);
                self.count_notes(subjects, asked.about, window).await?
            }
            None => 0,
        };
        Ok(rows + notes)
    }
}
