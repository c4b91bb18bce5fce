//! Takes records in. Writes are batched by what is waiting: while one transaction is under way the next
//! submissions queue and go together in the next; a lone one waits for nobody. An answer is given only
//! after the commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::base::ids::{OrgId, StatementId, UserId};
use crate::log::ShortForm;
use crate::record::{Envelope, Statement};

use crate::store::db::{Store, StoreError};
use crate::store::ingest::attachments::NewAttachment;
use crate::store::ingest::completion_check::CompletionCheck;
use crate::store::ingest::writer::Writer;

/// Submissions that may wait; a further one waits for its place.
const WAITING: usize = 4_096;
/// Records that one transaction takes at most, but for a single submission that is larger.
const BATCH: usize = 2_000;

/// How a record is compared with one that is in the store under the same id.
#[derive(Debug, Clone)]
pub enum Sameness {
    /// As statements (xAPI 1.0.3, Data 2.3.1).
    Statement,
    /// As short forms: only what was sent is compared (product text, section 6).
    ShortForm(Box<ShortForm>),
}

/// A record on its way in.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its id: the client's, or a new one.
    pub id: StatementId,
    /// Whether the id is the client's, so that it may be in the store already.
    pub id_was_given: bool,
    /// What it says.
    pub statement: Arc<Statement>,
    /// What Rollbook knows of it besides.
    pub envelope: Arc<Envelope>,
    /// How to tell that it came before.
    pub sameness: Sameness,
    /// What it marks as complete, where it does: then it is kept only if that is still needed.
    pub mark: Option<CompletionMark>,
}

/// What goes with a record by which somebody marks content as complete for somebody else (product text, section 13).
#[derive(Debug, Clone)]
pub struct CompletionMark {
    /// What the record is needed for. A submission marks nobody twice for the same content.
    pub needed: CompletionCheck,
    /// Who marks.
    pub by: UserId,
    /// What is noted about the person, together with the record or not at all.
    pub note: Option<String>,
}

impl Incoming {
    pub(crate) fn is_same_as(&self, statement: &Statement, envelope: &Envelope) -> bool {
        match &self.sameness {
            Sameness::Statement => self.statement.same_as(statement),
            Sameness::ShortForm(sent) => sent.same_as(&self.statement, statement, envelope),
        }
    }
}

/// Records that come in together: all of them are kept, or none.
#[derive(Debug, Clone)]
pub struct Submission {
    /// In whose name they are written.
    pub org: OrgId,
    /// The records, in their order.
    pub records: Vec<Incoming>,
    /// The authority that vouches for them, as the JSON of an Agent (xAPI 1.0.3, Data 2.4.9).
    pub authority: String,
    /// The xAPI version of a statement that names none.
    pub version: &'static str,
    /// Who sent them, as [`Principal::caller_id`](crate::access::Principal::caller_id) says it.
    pub sender: String,
    /// The content of attachments that these records declare (xAPI 1.0.3, Data 2.4.11), kept with them or not at all.
    pub attachments: Vec<NewAttachment>,
}

impl Submission {
    /// What those of its records are needed for that mark content as complete.
    pub(crate) fn needed(&self) -> impl Iterator<Item = CompletionCheck> {
        self.records
            .iter()
            .filter_map(|record| record.mark.as_ref())
            .map(|mark| mark.needed)
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is kept now.
    New(StatementId),
    /// The same record was kept already.
    Already(StatementId),
    /// It would have marked somebody as complete who is: it is not kept, and nothing has this id.
    AlreadyCompleted(StatementId),
}

impl Recorded {
    /// The record's id.
    pub fn id(self) -> StatementId {
        match self {
            Self::New(id) | Self::Already(id) | Self::AlreadyCompleted(id) => id,
        }
    }
}

/// Why a submission is refused; nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A different record has that id.
    #[error("a different record is kept under the id {id}")]
    Conflict {
        /// Which of the submission's records.
        index: usize,
        /// The id.
        id: StatementId,
    },
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Answer = Result<Vec<Recorded>, RecordError>;

pub(crate) enum Work {
    Write(Submission, oneshot::Sender<Answer>),
    Finish(oneshot::Sender<()>),
}

/// Takes records in, cheap to clone. The writer ends when no recorder exists any more.
#[derive(Clone)]
pub struct Recorder {
    work: mpsc::Sender<Work>,
}

impl Recorder {
    /// Starts the writer on a thread of its own: parsing and projecting a batch is work for a processor, and must not
    /// delay the tasks that answer requests.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(store: &Store) -> Result<Self, StoreError> {
        let (work, waiting) = mpsc::channel(WAITING);
        let writer = Writer::new(store.clone());
        let runtime = store.runtime().clone();
        let thread = std::thread::Builder::new().name("rollbook-writer".to_owned());
        thread
            .spawn(move || runtime.block_on(run(writer, waiting)))
            .map_err(StoreError::Thread)?;
        Ok(Self { work })
    }

    /// Stores the records, all or none, and answers after the commit.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; then nothing is stored.
    pub async fn record(&self, submission: Submission) -> Result<Vec<Recorded>, RecordError> {
        let (answer, outcome) = oneshot::channel();
        let closed = || RecordError::Store(StoreError::Closed);
        self.work
            .send(Work::Write(submission, answer))
            .await
            .map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())?
    }

    /// Waits until every submission taken so far is written. Later ones are refused.
    pub async fn finish(&self) {
        let (done, finished) = oneshot::channel();
        if self.work.send(Work::Finish(done)).await.is_ok() {
            let _ = finished.await; // an error means that the writer has ended already
        }
    }
}

async fn run(mut writer: Writer, mut waiting: mpsc::Receiver<Work>) {
    while let Some(first) = waiting.recv().await {
        let (batch, finish) = gather(first, &mut waiting);
        for (org, waiting) in batch {
            let (submissions, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            let outcomes = writer.write(&org, &submissions).await;
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                let _ = answer.send(outcome); // whoever asked has gone: the record is kept all the same
            }
        }
        if let Some(done) = finish {
            waiting.close();
            while let Ok(late) = waiting.try_recv() {
                drop(late); // its answer's end closes, which says that the store is closing
            }
            let _ = done.send(());
            return;
        }
    }
}

type Batch = BTreeMap<OrgId, Vec<(Submission, oneshot::Sender<Answer>)>>;

/// All that waits, by organisation, up to a batch's size.
fn gather(first: Work, waiting: &mut mpsc::Receiver<Work>) -> (Batch, Option<oneshot::Sender<()>>) {
    let mut batch = Batch::new();
    let mut records = 0;
    let mut next = Some(first);
    while let Some(work) = next {
        match work {
            Work::Write(submission, answer) => {
                records += submission.records.len();
                batch
                    .entry(submission.org.clone())
                    .or_default()
                    .push((submission, answer));
            }
            Work::Finish(done) => return (batch, Some(done)),
        }
        next = if records < BATCH {
            waiting.try_recv().ok()
        } else {
            None
        };
    }
    (batch, None)
}
