//! One attempt at a run: it checks the recipients, packs the rows for them, and sends a message to each recipient that has
//! none.
//!
//! The rights that it has read are valid for [`rights_valid_for`](super::SenderOptions::rights_valid_for). After that it starts
//! no message. The run is given back, and is claimed again at once if no message failed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::{ScopeError, Scoped};
use crate::base::clock::Timestamp;
use crate::export::{ExportError, Transfer};
use crate::log::Filter;
use crate::reports::link;
use crate::reports::mailer::SendError;
use crate::reports::message::{self, EmailMessage, Enclosed};
use crate::reports::packed_export::{self, Contents, PackedExport};
use crate::reports::report::Opened;
use crate::reports::rights::{self, Recipient};
use crate::reports::timing::Timing;
use crate::store::{Claim, ClaimedRecipient, RecipientState, SentMessage, StoreError, StoredReport};
use crate::texts::Language;

use super::resolved_report::ResolvedReport;
use super::{Inner, metrics};

/// The maximum number of messages of one run that are sent at the same time.
const MESSAGES_AT_ONCE: usize = 4;
/// A message with a larger file needs a permit, because it is in memory while it is sent. In bytes.
const LARGE_BYTES: usize = 1 << 20;
/// Why a recipient that an attempt did not reach has no message.
const NOT_REACHED: &str = "the attempt ended before this recipient, because others took too long";

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum AttemptEnd {
    /// Nothing may be sent in the maker's name any more, for this reason.
    Suspended(String),
    /// Each recipient was tried.
    Tried {
        /// The recipients that will not get the message, in this attempt or an earlier one.
        refused: Vec<Unsent>,
        /// The recipients that do not have the message yet.
        open: Vec<Unsent>,
    },
    /// The sender was stopped before each recipient was tried.
    Stopped,
    /// The rights became too old before each recipient was tried. No message failed.
    Late,
    /// The maximum number of attempts had begun. Nothing was tried.
    Abandoned,
    /// Another worker has the run.
    Lost,
}

/// A recipient without a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsent {
    pub(super) place: u16,
    pub(super) recipient: String,
    pub(super) reason: String,
}

impl Unsent {
    fn new(claimed: &ClaimedRecipient, reason: impl Into<String>) -> Self {
        Self {
            place: claimed.place,
            recipient: claimed.recipient.clone(),
            reason: reason.into(),
        }
    }
}

/// An error that ends an attempt before each recipient was tried. The run is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error("the export took longer than {0:?}")]
    PackingTookTooLong(Duration),
    #[error("a link can't be made: {0}")]
    Link(#[from] link::LinkError),
    #[error("the work on it panicked")]
    Panicked,
}

/// A recipient that may receive the report.
struct CheckedRecipient<'c> {
    claimed: &'c ClaimedRecipient,
    recipient: Recipient,
    /// Other entries of the list that are the same user or address, for example an address that became a user's. They share
    /// the message.
    duplicates: Vec<&'c ClaimedRecipient>,
}

impl CheckedRecipient<'_> {
    /// The name that the messages to the others contain.
    fn name(&self) -> &str {
        self.recipient.name().unwrap_or(self.recipient.address())
    }

    /// The recipient and its duplicates, without a message for this reason.
    fn unsent(&self, reason: &str) -> Vec<Unsent> {
        let all = std::iter::once(self.claimed).chain(self.duplicates.iter().copied());
        all.map(|claimed| Unsent::new(claimed, reason)).collect()
    }
}

/// Recipients that may see the same rows. They share one export.
struct Group<'j, 'c> {
    opened: Opened,
    members: Vec<&'j CheckedRecipient<'c>>,
}

/// What all messages of an attempt share.
struct Context<'a> {
    claim: &'a Claim,
    resolved: &'a ResolvedReport,
    /// The schedule's times, if they can be read.
    timing: Option<Timing>,
    /// All recipients that may receive the report.
    checked: &'a [CheckedRecipient<'a>],
    /// The recipients that the maker knows to be users; `None` if the maker sees the whole directory.
    disclosed: Option<HashSet<String>>,
    stopping: &'a watch::Receiver<bool>,
    /// The end of the validity of the rights.
    rights_valid_until: Instant,
    /// Whether a message was started. Each attempt starts one; otherwise a run might never end.
    started: AtomicBool,
}

/// The words of a message that depend on its recipient.
struct Words {
    language: Language,
    /// The schedule's times.
    timing: String,
    /// The names of the other recipients.
    others: Vec<String>,
}

/// The outcome of one message.
enum Outcome {
    Sent,
    Refused(Vec<Unsent>),
    Open(Vec<Unsent>),
    Late(Vec<Unsent>),
    Stopped,
    Lost,
}

impl Inner {
    /// Sends a message to each recipient that has none.
    pub(super) async fn attempt(
        &self,
        claim: &Claim,
        stopping: &watch::Receiver<bool>,
    ) -> Result<AttemptEnd, AttemptError> {
        let rights_valid_until = Instant::now() + self.options.rights_valid_for;
        let resolved = match ResolvedReport::resolve(&self.store, &claim.org, &claim.terms).await? {
            Ok(resolved) => resolved,
            Err(reason) => return Ok(AttemptEnd::Suspended(reason.to_string())),
        };
        let (checked, mut refused) = self.check_recipients(claim).await?;
        if !self.note_checked(claim, &checked, &refused).await {
            return Ok(AttemptEnd::Lost);
        }
        let texts: Vec<String> = claim.recipients.iter().map(|one| one.recipient.clone()).collect();
        let disclosed = resolved.find_disclosed(&self.store, &texts).await?;
        let context = Context {
            claim,
            resolved: &resolved,
            timing: Timing::from_stored(&claim.timing).ok(),
            checked: &checked,
            disclosed,
            stopping,
            rights_valid_until,
            started: AtomicBool::new(false),
        };
        let (mut open, mut late) = (Vec::new(), Vec::new());
        for group in groups(&resolved, &checked)? {
            for outcome in self.send_to_group(&context, &group).await? {
                match outcome {
                    Outcome::Sent => {}
                    Outcome::Refused(unsent) => refused.extend(unsent),
                    Outcome::Open(unsent) => open.extend(unsent),
                    Outcome::Late(unsent) => late.extend(unsent),
                    Outcome::Stopped => return Ok(AttemptEnd::Stopped),
                    Outcome::Lost => return Ok(AttemptEnd::Lost),
                }
            }
        }
        if open.is_empty() && !late.is_empty() {
            return Ok(AttemptEnd::Late);
        }
        open.append(&mut late);
        refused.sort_by_key(|unsent| unsent.place);
        open.sort_by_key(|unsent| unsent.place);
        Ok(AttemptEnd::Tried { refused, open })
    }

    /// The recipients that may receive the report, also those that have it. And the recipients that will not get it, in this
    /// attempt or an earlier one.
    async fn check_recipients<'c>(
        &self,
        claim: &'c Claim,
    ) -> Result<(Vec<CheckedRecipient<'c>>, Vec<Unsent>), StoreError> {
        let (mut checked, mut refused): (Vec<CheckedRecipient<'c>>, Vec<Unsent>) = (Vec::new(), Vec::new());
        // Recipients that have the message come first: their duplicates get no second one.
        let mut in_order: Vec<&ClaimedRecipient> = claim.recipients.iter().collect();
        in_order.sort_by_key(|claimed| claimed.state != RecipientState::Sent);
        for claimed in in_order {
            if let RecipientState::Failed { reason } = &claimed.state {
                refused.push(Unsent::new(claimed, reason));
                continue;
            }
            let sent = claimed.state == RecipientState::Sent;
            if !claimed.is_recipient && !sent {
                refused.push(Unsent::new(claimed, "is no recipient of the schedule any more"));
                continue;
            }
            let rules = &self.options.recipients;
            let found = rights::find_recipient(&self.store, &claim.org, &claimed.recipient, rules).await?;
            match found {
                Ok(recipient) => match checked.iter_mut().find(|one| is_same(&one.recipient, &recipient)) {
                    Some(_) if sent => {}
                    Some(first) => first.duplicates.push(claimed),
                    None => checked.push(CheckedRecipient {
                        claimed,
                        recipient,
                        duplicates: Vec::new(),
                    }),
                },
                Err(_) if sent => {}
                Err(reason) => refused.push(Unsent::new(claimed, reason.to_string())),
            }
        }
        checked.sort_by_key(|one| one.claimed.place);
        Ok((checked, refused))
    }

    /// Notes the recipients that will get no message, and the duplicates of recipients that have it. False if another worker
    /// has the run.
    async fn note_checked(
        &self,
        claim: &Claim,
        checked: &[CheckedRecipient<'_>],
        refused: &[Unsent],
    ) -> bool {
        for unsent in refused.iter().filter(|unsent| is_waiting(claim, unsent.place)) {
            metrics::message("refused");
            let note = || self.store.note_failed(claim, unsent.place, &unsent.reason);
            if !self.retry_until_written(note).await {
                return false;
            }
        }
        for one in checked {
            if one.claimed.state == RecipientState::Sent && !self.note_duplicates(claim, one).await {
                return false;
            }
        }
        true
    }

    /// Copies the state of a recipient to its duplicates. False if another worker has the run.
    async fn note_duplicates(&self, claim: &Claim, one: &CheckedRecipient<'_>) -> bool {
        for duplicate in &one.duplicates {
            let note = || self.store.copy_state(claim, duplicate.place, one.claimed.place);
            if !self.retry_until_written(note).await {
                return false;
            }
        }
        true
    }

    /// Packs the rows of a group, and sends them to each recipient of the group.
    async fn send_to_group(
        &self,
        context: &Context<'_>,
        group: &Group<'_, '_>,
    ) -> Result<Vec<Outcome>, AttemptError> {
        if context.is_late() {
            let members = group.members.iter();
            return Ok(members.map(|to| Outcome::Late(to.unsent(NOT_REACHED))).collect());
        }
        let Some(packed_export) = self.pack(context, &group.opened).await? else {
            return Ok(vec![Outcome::Stopped]);
        };
        let mut sending = Vec::with_capacity(group.members.len());
        for to in &group.members {
            sending.push(self.send_one(context, to, &packed_export));
        }
        let sending = stream::iter(sending).buffer_unordered(MESSAGES_AT_ONCE);
        let outcomes: Vec<_> = sending.collect().await;
        outcomes.into_iter().collect()
    }

    /// Packs the export of a group. `None` if the sender is stopped while it waits for a permit. Waiting has no time limit.
    async fn pack(
        &self,
        context: &Context<'_>,
        opened: &Opened,
    ) -> Result<Option<PackedExport>, AttemptError> {
        let org = context.claim.org_key();
        let Some(permit) = self.acquire(&self.exports, org, context.stopping).await else {
            return Ok(None);
        };
        let within = self.options.pack_within;
        let packing = async {
            let transfer = Transfer::in_process(permit);
            let blocks = context.resolved.export(&self.store, opened, transfer).await?;
            Ok(packed_export::pack(blocks, &self.options.sizes).await?)
        };
        let packed = tokio::time::timeout(within, packing).await;
        packed
            .map_err(|_| AttemptError::PackingTookTooLong(within))?
            .map(Some)
    }

    /// Sends one message and notes the outcome.
    async fn send_one(
        &self,
        context: &Context<'_>,
        to: &CheckedRecipient<'_>,
        packed_export: &PackedExport,
    ) -> Result<Outcome, AttemptError> {
        let claim = context.claim;
        let _permit = match &packed_export.contents {
            Contents::Plain(bytes) | Contents::Gzip(bytes) if bytes.len() > LARGE_BYTES => {
                let permit = self.acquire(&self.large, claim.org_key(), context.stopping);
                match permit.await {
                    Some(permit) => Some(permit),
                    None => return Ok(Outcome::Stopped),
                }
            }
            Contents::Plain(_) | Contents::Gzip(_) | Contents::TooLarge => None,
        };
        let link;
        let enclosed = match &packed_export.contents {
            Contents::Plain(bytes) => context.enclose_file(bytes, false),
            Contents::Gzip(bytes) => context.enclose_file(bytes, true),
            Contents::TooLarge => {
                link = self
                    .link(claim, &context.resolved.report, to.claimed.place)
                    .await?;
                let (url, expires_at) = &link;
                Enclosed::Link {
                    url,
                    expires_at: *expires_at,
                }
            }
        };
        let linked = matches!(enclosed, Enclosed::Link { .. });
        let words = context.words(to);
        let email = context.email_message(to, enclosed, packed_export, &words, self.clock().now());
        if *context.stopping.borrow() {
            return Ok(Outcome::Stopped);
        }
        // This is before the first await, so of several late messages the first in order is started.
        if !context.start_message() {
            return Ok(Outcome::Late(to.unsent(NOT_REACHED)));
        }
        if !self.store.holds_lease(claim).await? {
            return Ok(Outcome::Lost);
        }
        let sent = tokio::time::timeout(self.options.send_within, self.mailer.send(&email)).await;
        let sent =
            sent.unwrap_or_else(|_| Err(SendError::Failed("the mail server took too long".to_owned())));
        let message = SentMessage {
            place: to.claimed.place,
            rows: packed_export.rows,
            bytes: packed_export.bytes,
            linked,
            at: self.clock().now(),
        };
        Ok(self.note_outcome(claim, to, sent, message).await)
    }

    /// Notes the outcome of a message.
    async fn note_outcome(
        &self,
        claim: &Claim,
        to: &CheckedRecipient<'_>,
        sent: Result<(), SendError>,
        message: SentMessage,
    ) -> Outcome {
        let place = message.place;
        let (noted, outcome) = match sent {
            Ok(()) => {
                metrics::message("sent");
                let noted = self
                    .retry_until_written(|| self.store.note_sent(claim, message))
                    .await
                    && self.note_duplicates(claim, to).await;
                (noted, Outcome::Sent)
            }
            Err(SendError::Refused(reason)) => {
                metrics::message("refused");
                let note = || self.store.note_failed(claim, place, &reason);
                let noted = self.retry_until_written(note).await && self.note_duplicates(claim, to).await;
                (noted, Outcome::Refused(to.unsent(&reason)))
            }
            // The note puts recipients that were not tried before this one at the next attempt.
            Err(SendError::Failed(reason)) => {
                metrics::message("failed");
                let note = || self.store.note_tried(claim, place, &reason);
                let noted = self.retry_until_written(note).await;
                (noted, Outcome::Open(to.unsent(&reason)))
            }
        };
        if noted { outcome } else { Outcome::Lost }
    }

    /// The URL of a download link for one recipient, and its expiry.
    async fn link(
        &self,
        claim: &Claim,
        report: &StoredReport,
        place: u16,
    ) -> Result<(String, Timestamp), AttemptError> {
        let hour = 3_600_000_000;
        let valid_for = i64::from(self.options.link_hours) * hour;
        let expires_at = Timestamp::from_micros(self.clock().now().micros().saturating_add(valid_for));
        let token =
            link::create_token(&self.store, &claim.org, report, claim.delivery, place, expires_at).await?;
        let url = format!(
            "{}/downloads/{token}",
            self.options.public_url.trim_end_matches('/')
        );
        Ok((url, expires_at))
    }

    /// Repeats a write until it succeeds: a sent message must be noted while this worker has the run. False if another worker
    /// has it. The caller is dropped when the lease is lost.
    pub(super) async fn retry_until_written<F>(&self, mut write: impl FnMut() -> F) -> bool
    where
        F: Future<Output = Result<bool, StoreError>>,
    {
        let mut wait = Duration::from_millis(50);
        loop {
            match write().await {
                Ok(held) => return held,
                Err(error) => {
                    tracing::warn!(%error, "the state of a run can't be noted; the sender tries again")
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    }
}

impl Context<'_> {
    /// Whether the rights are too old to start another message.
    fn is_late(&self) -> bool {
        Instant::now() >= self.rights_valid_until && self.started.load(Ordering::Relaxed)
    }

    /// Whether a message may be started. It counts as started then.
    fn start_message(&self) -> bool {
        let other_started = self.started.swap(true, Ordering::Relaxed);
        !other_started || Instant::now() < self.rights_valid_until
    }

    fn email_message<'l>(
        &'l self,
        to: &'l CheckedRecipient<'_>,
        enclosed: Enclosed<'l>,
        packed_export: &PackedExport,
        words: &'l Words,
        now: Timestamp,
    ) -> EmailMessage<'l> {
        let Self { claim, resolved, .. } = self;
        let filter = &resolved.saved.filter;
        EmailMessage {
            delivery: claim.delivery,
            place: to.claimed.place,
            to: (to.recipient.address(), to.recipient.name()),
            language: words.language,
            report: &resolved.report.name,
            period: filter.period,
            window: filter.window(claim.terms.run_at),
            window_zone: filter.zone(),
            zone: resolved.zone,
            run_at: claim.terms.run_at,
            now,
            rows: packed_export.rows,
            skipped_rows: packed_export.skipped,
            timing: &words.timing,
            maker: &resolved.maker.name,
            shared: resolved.report.shared,
            to_maker: matches!(&to.recipient, Recipient::User(rights) if rights.user == resolved.maker.user),
            others: &words.others,
            enclosed,
        }
    }

    /// The words of a message that depend on its recipient. A recipient that the directory has no language of gets the
    /// message in the language of the schedule's maker.
    fn words(&self, to: &CheckedRecipient<'_>) -> Words {
        let maker = self.resolved.maker.language;
        let language = to.recipient.language().or(maker).unwrap_or_default();
        let timing = self.timing.as_ref();
        Words {
            language,
            timing: timing.map_or_else(String::new, |timing| timing.describe(language)),
            others: self.other_names(to),
        }
    }

    /// The names of the recipients other than `to`. The maker may be one of the readers. So a recipient that the maker may
    /// not know to be a user is named as the schedule names it, also if it gets no message.
    fn other_names(&self, to: &CheckedRecipient<'_>) -> Vec<String> {
        let is_hidden = |text: &String| self.disclosed.as_ref().is_some_and(|known| !known.contains(text));
        let others = self
            .claim
            .recipients
            .iter()
            .filter(|other| other.place != to.claimed.place);
        let name = |other: &ClaimedRecipient| {
            if is_hidden(&other.recipient) {
                return other.is_recipient.then(|| other.recipient.clone());
            }
            let checked = self.checked.iter().find(|one| one.claimed.place == other.place);
            checked.map(|one| one.name().to_owned())
        };
        others.filter_map(name).collect()
    }

    fn enclose_file<'b>(&self, bytes: &'b Bytes, gzipped: bool) -> Enclosed<'b> {
        let ResolvedReport { report, zone, .. } = self.resolved;
        Enclosed::File {
            name: message::file_name(&report.name, self.claim.terms.run_at, *zone, gzipped),
            bytes,
            gzipped,
        }
    }
}

/// Whether the message of the recipient at this position was to be sent when the run was claimed.
fn is_waiting(claim: &Claim, place: u16) -> bool {
    let mut recipients = claim.recipients.iter();
    recipients.any(|claimed| claimed.place == place && claimed.state == RecipientState::Waiting)
}

/// Whether two recipients are the same user or the same address.
fn is_same(one: &Recipient, other: &Recipient) -> bool {
    match (one, other) {
        (Recipient::User(one), Recipient::User(other)) => one.user == other.user,
        (Recipient::Address(one), Recipient::Address(other)) => one == other,
        _ => false,
    }
}

/// The recipients without a message, in groups that may see the same rows. Recipients that were not tried come first: one
/// that fails slowly at each attempt must not keep them waiting.
fn groups<'j, 'c>(
    resolved: &ResolvedReport,
    checked: &'j [CheckedRecipient<'c>],
) -> Result<Vec<Group<'j, 'c>>, ScopeError> {
    let mut groups: Vec<Group<'j, 'c>> = Vec::new();
    let mut in_order: Vec<&CheckedRecipient<'c>> = checked.iter().collect();
    in_order.sort_by_key(|one| one.claimed.tried);
    for one in in_order {
        if one.claimed.state != RecipientState::Waiting {
            continue;
        }
        let opened = resolved.open_for(&one.recipient)?;
        match groups
            .iter_mut()
            .find(|group| has_same_rows(&group.opened.question, &opened.question))
        {
            Some(group) => group.members.push(one),
            None => groups.push(Group {
                opened,
                members: vec![one],
            }),
        }
    }
    Ok(groups)
}

/// Whether two questions of one report have the same rows. False if that is not known.
fn has_same_rows(one: &Scoped<Filter>, other: &Scoped<Filter>) -> bool {
    one.people() == other.people()
}
