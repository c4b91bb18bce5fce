//! One attempt at a run: who may see what is asked anew, what they may see is packed, and whoever has no message yet is
//! sent one.
//!
//! What was told about who may see what holds for [`rights_hold`](super::SenderOptions::rights_hold). An attempt that has
//! sent for longer begins nothing more: the run is given back, and claimed again at once as long as nothing failed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::{ScopeError, Scoped};
use crate::base::clock::Timestamp;
use crate::export::ExportError;
use crate::log::Filter;
use crate::reports::link;
use crate::reports::mailer::SendError;
use crate::reports::message::{self, EmailMessage, Enclosed};
use crate::reports::packed_export::{self, Contents, PackedExport};
use crate::reports::report::Opened;
use crate::reports::rights::{self, Recipient};
use crate::reports::timing::Timing;
use crate::store::{Claim, ClaimedRecipient, KeptReport, RecipientState, SentMessage, StoreError};

use super::resolved_report::ResolvedReport;
use super::{Inner, metrics};

/// Messages of one run that are sent at once.
const MESSAGES_AT_ONCE: usize = 4;
/// Messages with files of more bytes take turns among all runs: each is in memory while it is sent.
const LARGE: usize = 1 << 20;
/// Why somebody has no message whom an attempt didn't come to.
const NOT_REACHED: &str = "the attempt took so long with others that it ended before this one's turn";

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing may be sent in the maker's name any more: why.
    Suspended(String),
    /// Everybody was tried.
    Tried {
        /// Who will not get it, in this attempt or one before, and why.
        refused: Vec<Unsent>,
        /// Who has not got it yet, and why.
        open: Vec<Unsent>,
    },
    /// The sender was told to stop before everybody was tried.
    Stopped,
    /// What was told about rights is too old before everybody was tried; whoever was has it, or never will.
    Late,
    /// It was begun as often as it may be, and is not tried.
    Abandoned,
    /// Somebody else has the run.
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

/// What ends an attempt before everybody was tried; it is made again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error("the export took longer than {0:?}")]
    PackingTookTooLong(Duration),
    #[error("a link can't be made: {0}")]
    Link(#[from] link::NoLink),
    #[error("the work on it panicked")]
    Panicked,
}

/// A recipient who may receive what is sent.
struct Judged<'c> {
    claimed: &'c ClaimedRecipient,
    is: Recipient,
    /// Entries of the schedule's list that are the same user or address and wait for what comes of this one: an address
    /// that became a user's since. One message is for all of them.
    same: Vec<&'c ClaimedRecipient>,
}

impl Judged<'_> {
    /// As the others are told of them.
    fn name(&self) -> &str {
        self.is.name().unwrap_or(self.is.address())
    }

    /// Without a message, for that reason.
    fn without(&self, reason: &str) -> Vec<Unsent> {
        let all = std::iter::once(self.claimed).chain(self.same.iter().copied());
        all.map(|claimed| Unsent::new(claimed, reason)).collect()
    }
}

/// Recipients who may see the same rows: they share one export.
struct Group<'j, 'c> {
    opened: Opened,
    members: Vec<&'j Judged<'c>>,
}

/// What is the same in all messages of a run.
struct Run<'a> {
    claim: &'a Claim,
    opening: &'a ResolvedReport,
    /// When the schedule runs, in words.
    timing: String,
    /// Everybody who may receive it.
    judged: &'a [Judged<'a>],
    stopping: &'a watch::Receiver<bool>,
    /// Until when what was told about rights holds.
    holds_until: Instant,
    /// Whether a message was begun: one is at every attempt, or a run would never end.
    begun: AtomicBool,
}

/// What became of one message.
enum Outcome {
    Sent,
    Refused(Vec<Unsent>),
    Open(Vec<Unsent>),
    Late(Vec<Unsent>),
    Stopped,
    Lost,
}

impl Inner {
    /// Sends to whoever has no message yet.
    pub(super) async fn attempt(
        &self,
        claim: &Claim,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Verdict, Fault> {
        let holds_until = Instant::now() + self.options.rights_hold;
        let opening =
            ResolvedReport::of(&self.store, &claim.org, &claim.maker, claim.report, claim.run_at).await?;
        let opening = match opening {
            Ok(opening) => opening,
            Err(closed) => return Ok(Verdict::Suspended(closed.to_string())),
        };
        let (judged, mut refused) = self.judge(claim).await?;
        if !self.note_judged(claim, &judged, &refused).await {
            return Ok(Verdict::Lost);
        }
        let timing =
            Timing::from_kept(&claim.timing).map_or_else(|_| String::new(), |timing| timing.sentence());
        let run = Run {
            claim,
            opening: &opening,
            timing,
            judged: &judged,
            stopping,
            holds_until,
            begun: AtomicBool::new(false),
        };
        let (mut open, mut late) = (Vec::new(), Vec::new());
        for group in groups(&opening, &judged)? {
            for outcome in self.send_to(&run, &group).await? {
                match outcome {
                    Outcome::Sent => {}
                    Outcome::Refused(unsent) => refused.extend(unsent),
                    Outcome::Open(unsent) => open.extend(unsent),
                    Outcome::Late(unsent) => late.extend(unsent),
                    Outcome::Stopped => return Ok(Verdict::Stopped),
                    Outcome::Lost => return Ok(Verdict::Lost),
                }
            }
        }
        if open.is_empty() && !late.is_empty() {
            return Ok(Verdict::Late);
        }
        open.append(&mut late);
        refused.sort_by_key(|unsent| unsent.place);
        open.sort_by_key(|unsent| unsent.place);
        Ok(Verdict::Tried { refused, open })
    }

    /// Who may receive it, whoever has it already among them; and who will not, with those of earlier attempts.
    async fn judge<'c>(&self, claim: &'c Claim) -> Result<(Vec<Judged<'c>>, Vec<Unsent>), StoreError> {
        let (mut judged, mut refused): (Vec<Judged<'c>>, Vec<Unsent>) = (Vec::new(), Vec::new());
        // Whoever has it comes first: of those who are the same one who has it stands for the others.
        let mut in_turn: Vec<&ClaimedRecipient> = claim.recipients.iter().collect();
        in_turn.sort_by_key(|claimed| claimed.state != RecipientState::Sent);
        for claimed in in_turn {
            if let RecipientState::Failed { reason } = &claimed.state {
                refused.push(Unsent::new(claimed, reason));
                continue;
            }
            let sent = claimed.state == RecipientState::Sent;
            if !claimed.named && !sent {
                refused.push(Unsent::new(claimed, "is no recipient of the schedule any more"));
                continue;
            }
            let rules = &self.options.recipients;
            match rights::recipient(&self.store, &claim.org, &claimed.recipient, rules).await? {
                Ok(is) => match judged.iter_mut().find(|one| same(&one.is, &is)) {
                    Some(_) if sent => {}
                    Some(first) => first.same.push(claimed),
                    None => judged.push(Judged {
                        claimed,
                        is,
                        same: Vec::new(),
                    }),
                },
                Err(_) if sent => {}
                Err(not) => refused.push(Unsent::new(claimed, not.to_string())),
            }
        }
        judged.sort_by_key(|one| one.claimed.place);
        Ok((judged, refused))
    }

    /// Notes who will get no message, and who has it because they are the same as somebody who has. False where the run is
    /// somebody else's.
    async fn note_judged(&self, claim: &Claim, judged: &[Judged<'_>], refused: &[Unsent]) -> bool {
        for unsent in refused.iter().filter(|unsent| waits(claim, unsent.place)) {
            metrics::message("refused");
            let note = || self.store.note_failed(claim, unsent.place, &unsent.reason);
            if !self.insist(note).await {
                return false;
            }
        }
        for one in judged {
            if one.claimed.state == RecipientState::Sent && !self.note_same(claim, one).await {
                return false;
            }
        }
        true
    }

    /// Notes of those who are the same what is noted of the one. False where the run is somebody else's.
    async fn note_same(&self, claim: &Claim, one: &Judged<'_>) -> bool {
        for same in &one.same {
            let note = || self.store.note_same(claim, same.place, one.claimed.place);
            if !self.insist(note).await {
                return false;
            }
        }
        true
    }

    /// Packs what the group may see, and sends it to each of them.
    async fn send_to(&self, run: &Run<'_>, group: &Group<'_, '_>) -> Result<Vec<Outcome>, Fault> {
        if run.is_late() {
            let late = group
                .members
                .iter()
                .map(|to| Outcome::Late(to.without(NOT_REACHED)));
            return Ok(late.collect());
        }
        let Some(packed_export) = self.pack(run, &group.opened).await? else {
            return Ok(vec![Outcome::Stopped]);
        };
        let mut sending = Vec::with_capacity(group.members.len());
        for to in &group.members {
            sending.push(self.send_one(run, to, &packed_export));
        }
        let sending = stream::iter(sending).buffer_unordered(MESSAGES_AT_ONCE);
        let outcomes: Vec<_> = sending.collect().await;
        outcomes.into_iter().collect()
    }

    /// The export of what they may see; `None` where the sender was told to stop before it was its turn, which may take
    /// as long as it takes.
    async fn pack(&self, run: &Run<'_>, opened: &Opened) -> Result<Option<PackedExport>, Fault> {
        let Some(turn) = self.turn(&self.exports, run.stopping).await else {
            return Ok(None);
        };
        let within = self.options.pack_within;
        let packing = async {
            let blocks = run.opening.export(&self.store, opened, turn).await?;
            Ok(packed_export::pack(blocks, &self.options.sizes).await?)
        };
        let packed = tokio::time::timeout(within, packing).await;
        packed.map_err(|_| Fault::PackingTookTooLong(within))?.map(Some)
    }

    /// Sends one message, and notes it.
    async fn send_one(
        &self,
        run: &Run<'_>,
        to: &Judged<'_>,
        packed_export: &PackedExport,
    ) -> Result<Outcome, Fault> {
        let Run { claim, .. } = run;
        let _turn = match &packed_export.contents {
            Contents::Plain(bytes) | Contents::Gzip(bytes) if bytes.len() > LARGE => {
                match self.turn(&self.large, run.stopping).await {
                    Some(turn) => Some(turn),
                    None => return Ok(Outcome::Stopped),
                }
            }
            Contents::Plain(_) | Contents::Gzip(_) | Contents::TooLarge => None,
        };
        let link;
        let enclosed = match &packed_export.contents {
            Contents::Plain(bytes) => run.file(bytes, false),
            Contents::Gzip(bytes) => run.file(bytes, true),
            Contents::TooLarge => {
                link = self.link(claim, &run.opening.report, to.claimed.place).await?;
                let (url, expires_at) = &link;
                Enclosed::Link {
                    url,
                    expires_at: *expires_at,
                }
            }
        };
        let linked = matches!(enclosed, Enclosed::Link { .. });
        let others = run
            .judged
            .iter()
            .filter(|other| other.claimed.place != to.claimed.place);
        let others: Vec<String> = others.map(|other| other.name().to_owned()).collect();
        let email = run.email_message(to, enclosed, packed_export.rows, &others, self.clock().now());
        if *run.stopping.borrow() {
            return Ok(Outcome::Stopped);
        }
        // Before anything is waited for: of several that come at once when it is late the first in turn is the one.
        if !run.begin() {
            return Ok(Outcome::Late(to.without(NOT_REACHED)));
        }
        if !self.store.holds(claim).await? {
            return Ok(Outcome::Lost);
        }
        let sent = tokio::time::timeout(self.options.send_within, self.mailer.send(&email)).await;
        let place = to.claimed.place;
        match sent {
            Ok(Ok(())) => {
                metrics::message("sent");
                let message = SentMessage {
                    place,
                    rows: packed_export.rows,
                    bytes: packed_export.bytes,
                    linked,
                    at: self.clock().now(),
                };
                let noted = self.insist(|| self.store.note_sent(claim, message)).await
                    && self.note_same(claim, to).await;
                Ok(if noted { Outcome::Sent } else { Outcome::Lost })
            }
            Ok(Err(SendError::Refused(reason))) => {
                metrics::message("refused");
                let note = || self.store.note_failed(claim, place, &reason);
                let noted = self.insist(note).await && self.note_same(claim, to).await;
                Ok(if noted {
                    Outcome::Refused(to.without(&reason))
                } else {
                    Outcome::Lost
                })
            }
            Ok(Err(SendError::Failed(reason))) => Ok(self.tried(claim, to, &reason).await),
            Err(_) => Ok(self.tried(claim, to, "the mail server took too long").await),
        }
    }

    /// Notes that a message was tried in vain, so that whoever was not comes first the next time.
    async fn tried(&self, claim: &Claim, to: &Judged<'_>, reason: &str) -> Outcome {
        metrics::message("failed");
        let note = || self.store.note_tried(claim, to.claimed.place, reason);
        if self.insist(note).await {
            Outcome::Open(to.without(reason))
        } else {
            Outcome::Lost
        }
    }

    /// The address of a download for one recipient, and until when it is good.
    async fn link(
        &self,
        claim: &Claim,
        report: &KeptReport,
        place: u16,
    ) -> Result<(String, Timestamp), Fault> {
        let hour = 3_600_000_000;
        let good_for = i64::from(self.options.link_hours) * hour;
        let expires_at = Timestamp::from_micros(self.clock().now().micros().saturating_add(good_for));
        let token = link::token(&self.store, &claim.org, report, claim.delivery, place, expires_at).await?;
        let url = format!(
            "{}/downloads/{token}",
            self.options.public_url.trim_end_matches('/')
        );
        Ok((url, expires_at))
    }

    /// Writes something down however often it takes: what was sent must be noted while the run is still this worker's.
    /// False where the run is somebody else's. Whoever calls it stops when the lease is lost.
    pub(super) async fn insist<F>(&self, mut write: impl FnMut() -> F) -> bool
    where
        F: Future<Output = Result<bool, StoreError>>,
    {
        let mut wait = Duration::from_millis(50);
        loop {
            match write().await {
                Ok(held) => return held,
                Err(error) => {
                    tracing::warn!(%error, "what became of a run can't be noted; it is tried again")
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    }
}

impl Run<'_> {
    /// Whether no further message may be begun with what was told about rights.
    fn is_late(&self) -> bool {
        Instant::now() >= self.holds_until && self.begun.load(Ordering::Relaxed)
    }

    /// Whether one more message may be begun; it then counts as begun.
    fn begin(&self) -> bool {
        let others = self.begun.swap(true, Ordering::Relaxed);
        !others || Instant::now() < self.holds_until
    }

    fn email_message<'l>(
        &'l self,
        to: &'l Judged<'_>,
        enclosed: Enclosed<'l>,
        rows: u64,
        others: &'l [String],
        now: Timestamp,
    ) -> EmailMessage<'l> {
        let Self { claim, opening, .. } = self;
        let filter = &opening.saved.filter;
        EmailMessage {
            delivery: claim.delivery,
            place: to.claimed.place,
            to: (to.is.address(), to.is.name()),
            report: &opening.report.name,
            period: filter.period,
            window: filter.window(claim.run_at),
            zone: filter.zone(),
            run_at: claim.run_at,
            now,
            rows,
            timing: &self.timing,
            maker: &opening.maker.name,
            shared: opening.report.shared,
            to_maker: matches!(&to.is, Recipient::User(rights) if rights.user == opening.maker.user),
            others,
            enclosed,
        }
    }

    fn file<'b>(&self, bytes: &'b Bytes, gzipped: bool) -> Enclosed<'b> {
        let ResolvedReport { report, saved, .. } = self.opening;
        Enclosed::File {
            name: message::file_name(&report.name, self.claim.run_at, saved.filter.zone(), gzipped),
            bytes,
            gzipped,
        }
    }
}

/// Whether the recipient at that place had no message, and could still get one, when the run was claimed.
fn waits(claim: &Claim, place: u16) -> bool {
    let mut recipients = claim.recipients.iter();
    recipients.any(|claimed| claimed.place == place && claimed.state == RecipientState::Waiting)
}

/// Whether two recipients are the same user, or the same address.
fn same(one: &Recipient, other: &Recipient) -> bool {
    match (one, other) {
        (Recipient::User(one), Recipient::User(other)) => one.user == other.user,
        (Recipient::Address(one), Recipient::Address(other)) => one == other,
        _ => false,
    }
}

/// Whoever is to be sent a message, together with those who may see the same rows; those who were not tried yet come
/// first, so that who fails each time, and slowly, keeps nobody from being tried.
fn groups<'j, 'c>(
    opening: &ResolvedReport,
    judged: &'j [Judged<'c>],
) -> Result<Vec<Group<'j, 'c>>, ScopeError> {
    let mut groups: Vec<Group<'j, 'c>> = Vec::new();
    let mut in_turn: Vec<&Judged<'c>> = judged.iter().collect();
    in_turn.sort_by_key(|one| one.claimed.tried);
    for one in in_turn {
        if one.claimed.state != RecipientState::Waiting {
            continue;
        }
        let opened = opening.opened_for(&one.is)?;
        match groups
            .iter_mut()
            .find(|group| same_rows(&group.opened.question, &opened.question))
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

/// Whether two questions of one report bring the same people's rows. Where that can't be told easily, they don't.
fn same_rows(one: &Scoped<Filter>, other: &Scoped<Filter>) -> bool {
    one.people() == other.people()
}
