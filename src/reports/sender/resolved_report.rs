//! A report opened in the name of a schedule's maker, for one recipient after another: by the sender, and by a download
//! link (product text, section 9).

use uuid::Uuid;

use crate::access::{ReachRules, ReportAccess, ScopeError};
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};
use crate::export::{self, Blocks, CsvOptions, ExportError};
use crate::log::Query;
use crate::reports::report::{self, Opened};
use crate::reports::rights::{self, NoRights, Recipient, Rights};
use crate::store::{KeptReport, Store, StoreError};

/// Why a report can't be sent in its maker's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::reports) enum Closed {
    /// The maker may open no report at all.
    #[error("who made the schedule may open no reports any more: {0}")]
    NoRights(NoRights),
    /// The report is gone, or private and somebody else's by now.
    #[error("who made the schedule may not open the report any more")]
    NoReport,
}

/// A report as a schedule's maker may open it at this moment, for the moment of a run.
pub(in crate::reports) struct ResolvedReport {
    /// Who made the schedule.
    pub(in crate::reports) maker: Rights,
    /// The report.
    pub(in crate::reports) report: KeptReport,
    /// The question that it saves.
    pub(in crate::reports) saved: Query,
    rules: ReachRules,
    options: CsvOptions,
}

impl ResolvedReport {
    /// Opens the report, with everything relative resolved at `run_at`.
    pub(in crate::reports) async fn of(
        store: &Store,
        org: &OrgId,
        maker: &UserId,
        report: Uuid,
        run_at: Timestamp,
    ) -> Result<Result<Self, Closed>, StoreError> {
        let maker = match rights::as_of_directory(store, org, maker).await? {
            Ok(maker) => maker,
            Err(none) => return Ok(Err(Closed::NoRights(none))),
        };
        let Some(access) = ReportAccess::for_caller(&maker.principal) else {
            return Ok(Err(Closed::NoRights(NoRights::NoReportingAccess)));
        };
        let Some(report) = store.report(&access, report).await? else {
            return Ok(Err(Closed::NoReport));
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

    /// What a recipient gets: the rows that the maker may see, and of those the rows that the recipient may see as well
    /// where the directory has them.
    pub(in crate::reports) fn opened_for(&self, recipient: &Recipient) -> Result<Opened, ScopeError> {
        let opened = report::open(&self.saved, None, &self.maker.principal, &self.rules)?;
        match recipient {
            Recipient::User(rights) => opened.shared_with(&rights.principal, &self.rules),
            Recipient::Address(_) => Ok(opened),
        }
    }

    /// Those rows as CSV, as the report's own export has them. `hold` is kept while the database is read.
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
