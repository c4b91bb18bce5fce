//! A report that is opened in the name of a schedule's maker, for one recipient after another. The sender and download links
//! use it.

use uuid::Uuid;

use crate::access::{ReachRules, ReportAccess, ScopeError};
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};
use crate::export::{self, Blocks, CsvOptions, ExportError};
use crate::log::Query;
use crate::reports::report::{self, Opened};
use crate::reports::rights::{self, NoRights, Recipient, Rights};
use crate::store::{Store, StoreError, StoredReport};

/// Why a report can't be opened in the name of the schedule's maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::reports) enum CannotOpen {
    /// The maker may open no reports.
    #[error("the maker of the schedule may open no reports any more: {0}")]
    NoRights(NoRights),
    /// The report was deleted, or is a private report of another user now.
    #[error("the maker of the schedule may not open the report any more")]
    NoReport,
}

/// A report with the current rights of a schedule's maker, for the time of a run.
pub(in crate::reports) struct ResolvedReport {
    /// The schedule's maker.
    pub(in crate::reports) maker: Rights,
    /// The report.
    pub(in crate::reports) report: StoredReport,
    /// The saved question.
    pub(in crate::reports) saved: Query,
    rules: ReachRules,
    options: CsvOptions,
}

impl ResolvedReport {
    /// Opens the report. Relative parameters are resolved for `run_at`.
    pub(in crate::reports) async fn resolve(
        store: &Store,
        org: &OrgId,
        maker: &UserId,
        report: Uuid,
        run_at: Timestamp,
    ) -> Result<Result<Self, CannotOpen>, StoreError> {
        let maker = match rights::find_rights(store, org, maker).await? {
            Ok(maker) => maker,
            Err(reason) => return Ok(Err(CannotOpen::NoRights(reason))),
        };
        let Some(access) = ReportAccess::for_caller(&maker.principal) else {
            return Ok(Err(CannotOpen::NoRights(NoRights::NoReportingAccess)));
        };
        let Some(report) = store.find_resource(&access, report).await? else {
            return Ok(Err(CannotOpen::NoReport));
        };
        let organisation = store.organisation(org).await?;
        Ok(Ok(Self {
            saved: report::saved_query(&report, run_at, organisation.zone())?,
            options: CsvOptions {
                columns: report::columns(&report)?,
                ..CsvOptions::default()
            },
            rules: organisation.reach_rules(),
            maker,
            report,
        }))
    }

    /// The rows for a recipient: those that the maker may see. For a user of the directory, only those that the user may see
    /// too.
    pub(in crate::reports) fn open_for(&self, recipient: &Recipient) -> Result<Opened, ScopeError> {
        let opened = report::open(&self.saved, None, &self.maker.principal, &self.rules)?;
        match recipient {
            Recipient::User(rights) => opened.shared_with(&rights.principal, &self.rules),
            Recipient::Address(_) => Ok(opened),
        }
    }

    /// The opened rows as CSV, in the format of the report's export. `hold` is dropped after the database was read.
    pub(in crate::reports) async fn export(
        &self,
        store: &Store,
        opened: &Opened,
        hold: impl Send + 'static,
    ) -> Result<Blocks, ExportError> {
        let question = opened.question.as_ref();
        export::csv(store, &question, opened.sort, opened.now, self.options, hold).await
    }
}
