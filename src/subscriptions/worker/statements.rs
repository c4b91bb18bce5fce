//! The next batches for another record store: statements in the order of recording, with their attachments.
//!
//! A statement that the other record store has already changes nothing there, so a batch that is sent twice is harmless, and
//! two record stores that forward to each other come to rest. A batch that is refused (400, 409, 413) is halved until a single
//! statement is refused: that one is given up, and the ones around it go on. The end of a session does not stop the halving,
//! because the next session would begin it again.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Body, Method};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::base::ids::StatementId;
use crate::export::multipart::multipart_body;
use crate::store::{
    DeliveryKind, Progress, RecordPart, StoreError, StoredAttachment, StoredRecord, SubscriptionDelivery,
    report_unreadable,
};
use crate::subscriptions::event::webhook_id;
use crate::subscriptions::trial::{statement_headers, statements_url};

use super::session::{Attempted, Contents, Next, Session, SessionError};

/// The members that the other record store sets for itself.
const SET_BY_RECEIVER: [&str; 2] = ["stored", "authority"];
/// A filter without parameters: all statements.
const EVERYTHING: &str = "{}";

/// Statements for one request.
struct Batch {
    /// The text of each one is what is forwarded.
    records: Vec<StoredRecord>,
    attachments: Vec<StoredAttachment>,
    /// Everything up to this number is in the batch or is passed over.
    through: i64,
}

impl Batch {
    fn seqs(&self) -> Vec<i64> {
        self.records.iter().map(|record| record.seq).collect()
    }
}

impl Session<'_> {
    /// Sends what comes after the place, one batch after another.
    pub(super) async fn send_statements(
        &mut self,
        mut current: Option<SubscriptionDelivery>,
    ) -> Result<(), SessionError> {
        let mut place = self.claim.subscription.place;
        while !self.is_stopping() {
            let last = self.inner.store.last_change(self.claim).await?;
            let Some(batch) = self.read_batch(place).await? else {
                if let Some(delivery) = current.take() {
                    self.supersede(delivery, Progress::Advances(last)).await?;
                } else if last > place {
                    self.pass_over(last).await?;
                }
                return Ok(());
            };
            if batch.records.is_empty() {
                place = batch.through;
                let next = match current.take() {
                    Some(delivery) => self.supersede(delivery, Progress::Advances(place)).await?,
                    None => self.pass_over(place).await?,
                };
                if next == Next::Ends || self.is_over() {
                    return Ok(());
                }
                continue;
            }
            let Some(attempted) = self.send_batch(&batch).await? else {
                return Ok(());
            };
            let is_refused = is_refused(&attempted);
            if is_refused && batch.records.len() > 1 {
                self.batch = batch.records.len() / 2;
                continue;
            }
            let through = batch.through;
            let contents = self.contents(&batch, (place + 1, through));
            let next = self
                .conclude(contents, current.take(), attempted, is_refused)
                .await?;
            if next == Next::Ends || self.is_over() {
                return Ok(());
            }
            self.batch = self
                .batch
                .saturating_mul(2)
                .min(self.inner.options.batch_statements);
            place = through;
        }
        Ok(())
    }

    /// Tries the statements of a dead delivery again.
    pub(super) async fn send_queued_statements(
        &mut self,
        queued: SubscriptionDelivery,
    ) -> Result<Next, SessionError> {
        let before = queued.change_from - 1;
        let count = usize::try_from(queued.change_through - before).unwrap_or(1);
        let count = count.min(self.inner.options.batch_statements);
        let mut part = self.read_part(before, count).await?;
        part.records.retain(|record| record.seq <= queued.change_through);
        let records = self.select_records(part.records).await?;
        if records.is_empty() {
            return self.supersede(queued, Progress::Stays).await;
        }
        let attachments = self
            .inner
            .store
            .find_attachments(&self.claim.org, &records)
            .await?;
        let batch = Batch {
            records,
            attachments: attachments.into_iter().flatten().collect(),
            through: queued.change_through,
        };
        let Some(attempted) = self.send_batch(&batch).await? else {
            return Ok(Next::Ends);
        };
        let contents = Contents {
            webhook_id: queued.webhook_id,
            ..self.contents(&batch, (queued.change_from, queued.change_through))
        };
        self.conclude_queued(contents, queued, attempted).await
    }

    fn contents(&self, batch: &Batch, changes: (i64, i64)) -> Contents {
        let single = match batch.records.as_slice() {
            [record] => Some(record.id),
            _ => None,
        };
        Contents {
            webhook_id: webhook_id(self.claim.subscription.id, changes.1),
            kind: DeliveryKind::Statements,
            changes,
            record: single,
            records: i64::try_from(batch.records.len()).unwrap_or(i64::MAX),
            gone: None,
        }
    }

    fn is_filtered(&self) -> bool {
        self.claim.subscription.filter != EVERYTHING
    }

    async fn read_part(&self, after: i64, limit: usize) -> Result<RecordPart, StoreError> {
        let bytes = self.inner.options.batch_bytes;
        self.inner
            .store
            .find_records_after(&self.claim.org, after, limit, bytes)
            .await
    }

    /// The next statements. `None` if there are no more records.
    async fn read_batch(&self, place: i64) -> Result<Option<Batch>, SessionError> {
        let part = self.read_part(place, self.batch).await?;
        let Some(mut through) = part.through else {
            return Ok(None);
        };
        let mut records = self.select_records(part.records).await?;
        let found = self
            .inner
            .store
            .find_attachments(&self.claim.org, &records)
            .await?;
        let limit = u64::try_from(self.inner.options.batch_bytes).unwrap_or(u64::MAX);
        let (mut attachments, mut bytes) = (Vec::new(), 0_u64);
        for (index, contents) in found.into_iter().enumerate() {
            bytes = bytes.saturating_add(contents.iter().map(|content| content.length).sum());
            if bytes > limit && index > 0 {
                records.truncate(index);
                through = records.last().map_or(through, |record| record.seq);
                break;
            }
            attachments.extend(contents);
        }
        Ok(Some(Batch {
            records,
            attachments,
            through,
        }))
    }

    /// The records that the filter shows now, and voiding statements of those that were sent, with the text that is forwarded.
    async fn select_records(&self, records: Vec<StoredRecord>) -> Result<Vec<StoredRecord>, SessionError> {
        let records: Vec<StoredRecord> = records.into_iter().filter_map(to_forwarded).collect();
        if !self.is_filtered() {
            return Ok(records);
        }
        let now = self.inner.clock().now();
        let filter = self.filter(now).await?;
        let seqs = records.iter().map(|record| record.seq).collect();
        let rows = self
            .inner
            .store
            .find_matching_rows(&filter.as_ref(), seqs, now)
            .await?;
        let matching: HashSet<i64> = rows.into_iter().map(|row| row.seq).collect();
        let mut selected = Vec::new();
        for record in records {
            let is_selected = matching.contains(&record.seq)
                || match find_voided(&record.text) {
                    Some(voided) => {
                        self.inner
                            .store
                            .find_sent_record(self.claim, voided)
                            .await?
                            .is_some()
                            || selected.iter().any(|one: &StoredRecord| one.id == voided)
                    }
                    None => false,
                };
            if is_selected {
                selected.push(record);
            }
        }
        Ok(selected)
    }

    /// Sends statements. `None` if the claim is lost.
    async fn send_batch(&self, batch: &Batch) -> Result<Option<Attempted>, SessionError> {
        if self.is_filtered() {
            let mut new = batch.seqs();
            let sent = self.inner.store.find_sent(self.claim, new.clone()).await?;
            new.retain(|seq| !sent.contains(seq));
            if self.note_sent(&new).await? == Next::Ends {
                return Ok(None);
            }
        }
        let subscription = &self.claim.subscription;
        let texts: Vec<&str> = batch.records.iter().map(|record| record.text.as_str()).collect();
        let json = format!("[{}]", texts.join(","));
        let mut headers: HeaderMap = statement_headers(subscription)?;
        let body = if batch.attachments.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Body::from(json)
        } else {
            let multipart = multipart_body(&self.inner.store, &json, batch.attachments.clone());
            let content_type = HeaderValue::from_str(&multipart.content_type);
            headers.extend(content_type.ok().map(|value| (CONTENT_TYPE, value)));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(multipart.length));
            Body::wrap_stream(multipart.bytes)
        };
        let (at, start) = (self.inner.clock().now(), Instant::now());
        let url = statements_url(&subscription.url);
        let answer = self.inner.egress.send(Method::POST, &url, headers, body).await;
        Ok(Some(Attempted { answer, at, start }))
    }
}

/// Whether the other record store refuses the statements, and not the caller or the moment.
fn is_refused(attempted: &Attempted) -> bool {
    attempted
        .answer
        .as_ref()
        .is_ok_and(|answer| matches!(answer.status, 400 | 409 | 413))
}

/// The record with the text that is forwarded. `None` if its statement can't be read: it is passed over.
fn to_forwarded(record: StoredRecord) -> Option<StoredRecord> {
    match forwarded_text(&record.text) {
        Ok(text) => Some(StoredRecord { text, ..record }),
        Err(error) => {
            report_unreadable("statement", record.id, &error);
            None
        }
    }
}

/// The statement without the members that the other record store sets. Numbers keep their digits.
fn forwarded_text(statement: &str) -> Result<String, serde_json::Error> {
    let mut members: BTreeMap<&str, &RawValue> = serde_json::from_str(statement)?;
    members.retain(|name, _| !SET_BY_RECEIVER.contains(name));
    serde_json::to_string(&members)
}

/// The id of the statement that a voiding statement voids.
fn find_voided(text: &str) -> Option<StatementId> {
    const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";
    if !text.contains(VOIDED) {
        return None;
    }
    let statement: serde_json::Value = serde_json::from_str(text).ok()?;
    if statement["verb"]["id"] != VOIDED || statement["object"]["objectType"] != "StatementRef" {
        return None;
    }
    let id = Uuid::try_parse(statement["object"]["id"].as_str()?).ok()?;
    Some(StatementId(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::record::Envelope;

    #[test]
    fn receiver_gets_the_statement_without_stored_and_authority() {
        let record = StoredRecord {
            id: StatementId(Uuid::nil()),
            seq: 1,
            stored: Timestamp::default(),
            envelope: Envelope::default(),
            text: r#"{"id":"x","result":{"score":{"raw":1.0,"scaled":0.10}},"stored":"s","authority":{"mbox":"m"}}"#
                .to_owned(),
        };
        let expected = r#"{"id":"x","result":{"score":{"raw":1.0,"scaled":0.10}}}"#;
        let unreadable = StoredRecord {
            text: r#"{"id":"x","#.to_owned(),
            ..record.clone()
        };
        assert_eq!(
            to_forwarded(record).map(|one| one.text).as_deref(),
            Some(expected)
        );
        assert!(to_forwarded(unreadable).is_none(), "it is passed over");
    }

    #[test]
    fn voided_statement_is_found() {
        let id = "6690e6c9-3ef0-4ed3-8b37-7f3964730bee";
        let text = |verb: &str, kind: &str| {
            format!(r#"{{"verb":{{"id":"{verb}"}},"object":{{"objectType":"{kind}","id":"{id}"}}}}"#)
        };
        let voided = "http://adlnet.gov/expapi/verbs/voided";
        assert_eq!(
            find_voided(&text(voided, "StatementRef"))
                .map(|id| id.0.to_string())
                .as_deref(),
            Some(id)
        );
        assert_eq!(find_voided(&text(voided, "Activity")), None);
        assert_eq!(
            find_voided(&text("http://adlnet.gov/expapi/verbs/completed", "StatementRef")),
            None
        );
    }
}
