//! The next webhooks of a subscription: the changes of the log after its place, as the filter shows them now.

use std::collections::HashMap;
use std::time::Instant;

use reqwest::Method;
use uuid::Uuid;

use crate::access::Scoped;
use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::log::{Filter, Row};
use crate::store::{Lookups, PageLimits, Progress, StoreError, SubscriptionDelivery, skip_unreadable};
use crate::subscriptions::event::{EventData, Webhook, webhook_id};
use crate::subscriptions::subscription::question;

use super::session::{Attempted, Contents, Next, Session, SessionError};

/// The changes that are read at once, and their bytes.
const PAGE: PageLimits = PageLimits {
    rows: 100,
    bytes: 1 << 20,
};

/// A change that the receiver is told.
struct Event {
    change: i64,
    seq: i64,
    /// Whether the receiver may have the record already.
    is_sent: bool,
    data: EventData,
}

/// A part of the changes.
struct EventPage {
    events: Vec<Event>,
    /// Everything up to this change is in the events or is passed over.
    place: i64,
    more: bool,
}

impl Event {
    fn contents(&self, webhook_id: Uuid, changes: (i64, i64)) -> Contents {
        Contents {
            webhook_id,
            kind: self.data.kind(),
            changes,
            record: self.data.record(),
            records: 1,
            gone: matches!(self.data, EventData::Gone { .. }).then_some(self.seq),
        }
    }
}

impl Session<'_> {
    /// Sends what comes after the place, one change after another.
    pub(super) async fn send_activities(
        &mut self,
        mut current: Option<SubscriptionDelivery>,
    ) -> Result<(), SessionError> {
        let mut place = self.claim.subscription.place;
        loop {
            let page = self.read_events(place).await?;
            for event in &page.events {
                if self.is_stopping() {
                    return Ok(());
                }
                let before = match current.take() {
                    Some(delivery) if delivery.change_through == event.change => Some(delivery),
                    Some(delivery) => {
                        if self.supersede(delivery, Progress::Advances(place)).await? == Next::Ends {
                            return Ok(());
                        }
                        None
                    }
                    None => None,
                };
                let webhook_id = webhook_id(self.claim.subscription.id, event.change);
                let Some(attempted) = self.send_event(event, webhook_id, event.change).await? else {
                    return Ok(());
                };
                let contents = event.contents(webhook_id, (event.change, event.change));
                let next = self.conclude(contents, before, attempted, false).await?;
                if next == Next::Ends || self.is_over() {
                    return Ok(());
                }
                place = event.change;
            }
            // The changes of the delivery are behind this page, and it is not on it: a later change has its record.
            let passed = current.take_if(|delivery| !page.more || delivery.change_through <= page.place);
            let next = match passed {
                Some(delivery) => self.supersede(delivery, Progress::Advances(page.place)).await?,
                None if page.place > place && current.is_none() => self.pass_over(page.place).await?,
                None => Next::GoesOn,
            };
            if next == Next::Ends {
                return Ok(());
            }
            place = page.place;
            if !page.more || self.is_over() {
                return Ok(());
            }
        }
    }

    /// Tries a dead delivery: the activity as it is now.
    pub(super) async fn send_queued_activity(
        &mut self,
        queued: SubscriptionDelivery,
    ) -> Result<Next, SessionError> {
        let event = match queued.record {
            Some(record) => self.read_event(record, queued.change_through).await?,
            None => None,
        };
        let Some(event) = event else {
            return self.supersede(queued, Progress::Stays).await;
        };
        let Some(attempted) = self.send_event(&event, queued.webhook_id, event.change).await? else {
            return Ok(Next::Ends);
        };
        let contents = event.contents(queued.webhook_id, (queued.change_from, queued.change_through));
        self.conclude_queued(contents, queued, attempted).await
    }

    /// Sends a change. `None` if the claim is lost.
    async fn send_event(
        &self,
        event: &Event,
        id: Uuid,
        change: i64,
    ) -> Result<Option<Attempted>, SessionError> {
        let is_new = matches!(event.data, EventData::Activity(_)) && !event.is_sent;
        if is_new && self.note_sent(&[event.seq]).await? == Next::Ends {
            return Ok(None);
        }
        let subscription = &self.claim.subscription;
        let (at, start) = (self.inner.clock().now(), Instant::now());
        let webhook = Webhook::new(subscription, id, change, &event.data, at)?;
        let egress = &self.inner.egress;
        let answer = egress
            .send(Method::POST, &subscription.url, webhook.headers, webhook.body)
            .await;
        Ok(Some(Attempted { answer, at, start }))
    }

    /// The changes after the place that the receiver is told.
    async fn read_events(&self, place: i64) -> Result<EventPage, SessionError> {
        let (store, claim) = (&self.inner.store, self.claim);
        let now = self.inner.clock().now();
        // Read first: every change up to it is on the page, or on a later one if there are more.
        let last = store.last_change(claim).await?;
        let filter = self.filter(now).await?;
        let changes = store.changes_after(&filter.as_ref().map(|_| place), PAGE).await?;
        let present = changes.changes.iter().filter(|change| change.row.is_some());
        let seqs: Vec<i64> = present.map(|change| change.seq).collect();
        let matching = store.find_matching_rows(&filter.as_ref(), seqs, now).await?;
        let mut lookups = Lookups::new(store, &claim.org);
        lookups.load(&matching).await?;
        let mut matching: HashMap<i64, Row> = matching.into_iter().map(|row| (row.seq, row)).collect();
        let seqs: Vec<i64> = changes.changes.iter().map(|change| change.seq).collect();
        let sent = store.find_sent(claim, seqs).await?;
        let mut events = Vec::new();
        for change in changes.changes {
            let data = match matching.remove(&change.seq) {
                Some(row) => match skip_unreadable("activity", || change.id, lookups.activity(&row, now))? {
                    Some(activity) => EventData::Activity(Box::new(activity)),
                    None => continue,
                },
                None if sent.contains(&change.seq) => EventData::Gone { id: change.id },
                None => continue,
            };
            events.push(Event {
                change: change.number,
                seq: change.seq,
                is_sent: sent.contains(&change.seq),
                data,
            });
        }
        Ok(EventPage {
            events,
            place: if changes.more {
                changes.place
            } else {
                changes.place.max(last)
            },
            more: changes.more,
        })
    }

    /// What the receiver is told about one record. `None` if it is told nothing.
    async fn read_event(&self, record: StatementId, change: i64) -> Result<Option<Event>, SessionError> {
        let (store, claim) = (&self.inner.store, self.claim);
        let now = self.inner.clock().now();
        let filter = self.filter(now).await?;
        let sent = store.find_sent_record(claim, record).await?;
        let row = store.find_row(&filter.as_ref().map(|_| record)).await;
        // An activity that can't be read is not gone.
        let Some(row) = skip_unreadable("activity", || record, row)? else {
            return Ok(None);
        };
        if let Some(row) = row {
            let matching = store
                .find_matching_rows(&filter.as_ref(), vec![row.seq], now)
                .await?;
            if let Some(row) = matching.first() {
                let mut lookups = Lookups::new(store, &claim.org);
                lookups.load(&matching).await?;
                let activity = skip_unreadable("activity", || record, lookups.activity(row, now))?;
                return Ok(activity.map(|activity| Event {
                    change,
                    seq: row.seq,
                    is_sent: sent.is_some(),
                    data: EventData::Activity(Box::new(activity)),
                }));
            }
        }
        Ok(sent.map(|seq| Event {
            change,
            seq,
            is_sent: true,
            data: EventData::Gone { id: record },
        }))
    }

    /// The question of the subscription, for this time.
    pub(super) async fn filter(&self, now: Timestamp) -> Result<Scoped<Filter>, StoreError> {
        let claim = self.claim;
        let organisation = self.inner.store.organisation(&claim.org).await?;
        let (zone, rules) = (organisation.zone(), organisation.reach_rules());
        question(&claim.org, &claim.subscription, now, zone, &rules)
    }
}
