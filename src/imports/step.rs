//! Records some rows of an import in one submission.

use std::sync::Arc;

use super::mapping::CellFault;
use super::options::ImportTerms;
use super::parse::{Batch, Draft, ParsedRow, mapping_of, to_cell_fault};
use super::rows::RowPlace;
use super::{FileHead, ImportOptions};
use crate::base::fault::Faults;
use crate::base::ids::{StatementId, UserId};
use crate::log::{Resolved, ShortForm};
use crate::record::{Envelope, Origin, Statement};
use crate::store::{
    ImportClaim, ImportStep, Incoming, Organisation, RecordError, Recorder, Rejection, Resolution, Sameness,
    Store, StoreError, Submission,
};

/// What the steps of an import have in common.
pub(super) struct StepContext<'c> {
    pub(super) store: &'c Store,
    pub(super) recorder: &'c Recorder,
    pub(super) claim: &'c ImportClaim,
    pub(super) organisation: &'c Organisation,
    pub(super) options: &'c ImportOptions,
    pub(super) terms: &'c ImportTerms,
}

/// Why a step is not stored.
#[derive(Debug)]
pub(super) enum StepError {
    /// The import was cancelled, or another worker has it.
    Lost,
    /// The database failed. The step may be stored or not.
    Store(StoreError),
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A row whose records can be stored, or the reason why they cannot.
struct Prepared {
    line: u64,
    content: Vec<u8>,
    records: Result<Vec<Incoming>, CellFault>,
}

impl StepContext<'_> {
    /// Records the rows that follow `rows_read` others.
    pub(super) async fn record_batch(
        &self,
        batch: Batch,
        head: Option<&FileHead>,
        rows_read: i64,
    ) -> Result<(), StepError> {
        let mut prepared = self.prepare(batch.rows, head).await?;
        let place = serde_json::to_string(&batch.next).unwrap_or_default();
        let Some(error) = self.record_rows(&mut prepared, rows_read, &place).await? else {
            return Ok(());
        };
        tracing::warn!(import = %self.claim.id, %error, "a step of an import failed; its rows are stored one by one");
        let count = prepared.len();
        for (index, before) in (0..count).zip(rows_read..) {
            // Only the place after the last row is known. Without a place, rows are counted from the beginning.
            let place = if index + 1 == count { place.as_str() } else { "{}" };
            let row = &mut prepared[index..=index];
            if self.record_rows(row, before, place).await?.is_some() {
                let fault = CellFault::new("", "the database cannot store a value of this row");
                reject(row, Some(&0), fault);
                if let Some(error) = self.record_rows(row, before, place).await? {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Records the rows in one submission. Returns the error if a row may be the cause of a failure.
    async fn record_rows(
        &self,
        prepared: &mut [Prepared],
        rows_read: i64,
        place: &str,
    ) -> Result<Option<StoreError>, StepError> {
        loop {
            let (submission, owners) = self.submission(prepared, rows_read, place);
            match self.recorder.record(submission).await {
                Ok(_) => return Ok(None),
                Err(RecordError::ImportLost) => return Err(StepError::Lost),
                Err(RecordError::Conflicts(conflicts)) => {
                    for conflict in conflicts {
                        let detail = format!("another record has the id {}", conflict.id);
                        reject(prepared, owners.get(conflict.index), CellFault::new("id", detail));
                    }
                }
                Err(RecordError::Unreadable { index }) => {
                    let fault = CellFault::new("", "the row has a value that cannot be stored as it is");
                    reject(prepared, owners.get(index), fault);
                }
                // Only players of SCORM packages send commits.
                Err(RecordError::AttemptTooLarge) => return Err(StepError::Lost),
                // Only statements of launched units have a session.
                Err(RecordError::SessionRule { index, fault }) => {
                    reject(
                        prepared,
                        owners.get(index),
                        CellFault::new("", fault.fault().detail),
                    );
                }
                Err(RecordError::Store(error)) if error.is_of_one_record() => return Ok(Some(error)),
                Err(RecordError::Store(error) | RecordError::Unconfirmed { cause: error, .. }) => {
                    return Err(error.into());
                }
            }
        }
    }

    /// Resolves the users and contents of the rows.
    async fn prepare(
        &self,
        rows: Vec<ParsedRow>,
        head: Option<&FileHead>,
    ) -> Result<Vec<Prepared>, StoreError> {
        let mut forms: Vec<ShortForm> = Vec::new();
        for row in &rows {
            for draft in row.drafts.iter().flatten() {
                if let Draft::ShortForm(form) = draft {
                    forms.push((**form).clone());
                }
            }
        }
        let home_page = &self.organisation.account_home_page;
        let resolutions = self.store.resolve(&self.claim.org, home_page, &forms).await?;
        let mut resolved = forms.into_iter().zip(resolutions);
        let base = self.envelope();
        let mut prepared = Vec::with_capacity(rows.len());
        for row in rows {
            let ParsedRow {
                line,
                content,
                drafts,
            } = row;
            let records = drafts.and_then(|drafts| {
                // Each short form takes its resolution, also after a fault of another one.
                let records: Vec<_> = drafts
                    .into_iter()
                    .map(|draft| match draft {
                        Draft::Statement(id, statement) => Ok(statement_record(id, *statement, &base)),
                        Draft::ShortForm(_) => match resolved.next() {
                            Some((form, Ok(resolution))) => self.short_form_record(form, &resolution, &base),
                            Some((_, Err(faults))) => Err(self.name_fault(&faults, head)),
                            None => Err(CellFault::new("", "the row could not be read")),
                        },
                    })
                    .collect();
                records.into_iter().collect()
            });
            prepared.push(Prepared {
                line,
                content,
                records,
            });
        }
        Ok(prepared)
    }

    /// The fault with the heading of its column.
    fn name_fault(&self, faults: &Faults, head: Option<&FileHead>) -> CellFault {
        let mapping = mapping_of(self.options);
        let columns = head.and_then(|head| mapping.for_headings(head.input_headings()).ok());
        to_cell_fault(faults, columns.as_ref())
    }

    fn short_form_record(
        &self,
        form: ShortForm,
        resolution: &Resolution,
        base: &Envelope,
    ) -> Result<Incoming, CellFault> {
        let id = form.id.unwrap_or_else(|| form.derived_id());
        let resolved = Resolved {
            id,
            happened_at: form.happened_at.unwrap_or(self.claim.created_at),
            ..resolution.resolved()
        };
        let statement = form.to_statement(&resolved);
        let statement = statement.map_err(|error| CellFault::new("content", error.to_string()))?;
        Ok(Incoming {
            id,
            id_was_given: true,
            statement: Arc::new(statement),
            envelope: Arc::new(form.envelope(base.clone())),
            sameness: Sameness::ShortForm(Box::new(form)),
            mark: None,
            voids_first: false,
        })
    }

    fn envelope(&self) -> Envelope {
        Envelope {
            origin: Origin::Import,
            import: Some(self.claim.id),
            recorded_by: self
                .terms
                .recorded_by
                .as_deref()
                .and_then(|id| UserId::new(id).ok()),
            defines: self.terms.defines,
            ..Envelope::default()
        }
    }

    /// The submission of the rows, and for each record the index of its row.
    fn submission(&self, prepared: &[Prepared], rows_read: i64, place: &str) -> (Submission, Vec<usize>) {
        let (mut records, mut owners, mut rejections) = (Vec::new(), Vec::new(), Vec::new());
        for (index, row) in prepared.iter().enumerate() {
            match &row.records {
                Ok(of_row) => {
                    records.extend(of_row.iter().cloned());
                    owners.extend(std::iter::repeat_n(index, of_row.len()));
                }
                Err(fault) => rejections.push(Rejection {
                    line: i64::try_from(row.line).unwrap_or(i64::MAX),
                    place: fault.heading.clone(),
                    reason: fault.detail.clone(),
                    content: row.content.clone(),
                }),
            }
        }
        let step = ImportStep {
            import: self.claim.key,
            lease: self.claim.lease,
            rows_before: rows_read,
            rows: i64::try_from(prepared.len()).unwrap_or(i64::MAX),
            place: place.to_owned(),
            rejections,
        };
        let submission = Submission {
            org: self.claim.org.clone(),
            records,
            authority: self.terms.authority.clone(),
            version: "1.0.0",
            sender: self.claim.sender.clone(),
            adds_definitions: self.terms.adds_definitions,
            session: None,
            attachments: Vec::new(),
            import: Some(Box::new(step)),
            attempt: None,
        };
        (submission, owners)
    }
}

fn statement_record(id: StatementId, statement: Statement, base: &Envelope) -> Incoming {
    let declared = statement.declared_attachments();
    let without_content = declared.map(|(_, attachment)| attachment.sha2.clone()).collect();
    Incoming {
        id,
        id_was_given: true,
        statement: Arc::new(statement),
        envelope: Arc::new(Envelope {
            without_content,
            ..base.clone()
        }),
        sameness: Sameness::Statement,
        mark: None,
        voids_first: false,
    }
}

fn reject(prepared: &mut [Prepared], row: Option<&usize>, fault: CellFault) {
    if let Some(row) = row.and_then(|row| prepared.get_mut(*row)) {
        row.records = Err(fault);
    }
}

/// The place that a claim has stored.
pub(super) fn stored_place(claim: &ImportClaim) -> RowPlace {
    serde_json::from_str(&claim.place).unwrap_or_default()
}
