//! A report that is opened in the name of a schedule's maker, for one recipient after another. The sender and download links
//! use it.

use std::collections::HashSet;

use chrono_tz::Tz;

use crate::access::{ReachRules, ReportAccess, ScopeError};
use crate::base::ids::OrgId;
use crate::export::{self, Blocks, CsvOptions, ExportError, Transfer};
use crate::log::Query;
use crate::reports::report::{self, Opened};
use crate::reports::rights::{self, NoRights, Recipient, Rights};
use crate::store::{RunTerms, Store, StoreError, StoredReport};

/// Why a report can't be opened in the name of the schedule's maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::reports) enum CannotOpen {
    /// The maker may open no reports.
    #[error("the maker of the schedule may open no reports any more: {0}")]
    Maker(NoRights),
    /// The report was deleted, or is a private report of another user now.
    #[error("the maker of the schedule may not open the report any more")]
    Report,
    /// The server does not know the schedule's time zone any more.
    #[error("the schedule's time zone can't be read any more; set it again")]
    UnknownTimeZone,
}

/// A report with the current rights of a schedule's maker, for the time of a run.
pub(in crate::reports) struct ResolvedReport {
    /// The schedule's maker.
    pub(in crate::reports) maker: Rights,
    /// The report.
    pub(in crate::reports) report: StoredReport,
    /// The saved question. Its `period` is in the run's time zone.
    pub(in crate::reports) saved: Query,
    /// The run's time zone.
    pub(in crate::reports) zone: Tz,
    rules: ReachRules,
    options: CsvOptions,
}

impl ResolvedReport {
    /// Opens the report for a run. Relative parameters are resolved for its time.
    pub(in crate::reports) async fn resolve(
        store: &Store,
        org: &OrgId,
        run: &RunTerms,
    ) -> Result<Result<Self, CannotOpen>, StoreError> {
        let Ok(zone) = run.time_zone.parse::<Tz>() else {
            return Ok(Err(CannotOpen::UnknownTimeZone));
        };
        let maker = match rights::find_rights(store, org, &run.maker).await? {
            Ok(maker) => maker,
            Err(reason) => return Ok(Err(CannotOpen::Maker(reason))),
        };
        let Some(access) = ReportAccess::for_caller(&maker.principal) else {
            return Ok(Err(CannotOpen::Maker(NoRights::NoReportingAccess)));
        };
        let Some(report) = store.find_resource(&access, run.report).await? else {
            return Ok(Err(CannotOpen::Report));
        };
        let organisation = store.organisation(org).await?;
        let mut saved = report::saved_query(&report, run.run_at, organisation.zone())?;
        if saved.filter.period.is_some() {
            // The schedule's days are those of its zone. In another zone, the month before a run at 05:00 on the 1st may
            // not have ended. A period excludes `from` and `to`, so the zone has no other use in the filter.
            saved.filter.tz = Some(zone);
        }
        Ok(Ok(Self {
            saved,
            zone,
            options: CsvOptions {
                columns: report::columns(&report)?,
                bom: run.bom,
                ..CsvOptions::default()
            },
            rules: organisation.reach_rules(),
            maker,
            report,
        }))
    }

    /// The recipients that the maker may know to be users; see [`rights::find_disclosed`].
    pub(in crate::reports) async fn find_disclosed(
        &self,
        store: &Store,
        recipients: &[String],
    ) -> Result<Option<HashSet<String>>, StoreError> {
        rights::find_disclosed(store, &self.maker.principal, &self.rules, recipients).await
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

    /// The opened rows as CSV, with the columns of the report's export.
    pub(in crate::reports) async fn export(
        &self,
        store: &Store,
        opened: &Opened,
        transfer: Transfer,
    ) -> Result<Blocks, ExportError> {
        let question = opened.question.as_ref();
        export::csv(store, &question, opened.sort, opened.now, self.options, transfer).await
    }
}
