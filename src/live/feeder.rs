//! Brings a stream to the place of its hub, at the pace of its client.
//!
//! A feeder reads the rows between the stream's position and the hub's in small parts, and then gives the stream to the
//! hub. Streams need one after a resume, and after a burst of events that did not fit into their queue.

use std::sync::Arc;

use tokio::time::sleep;

use super::Inner;
use super::hub::{FAILURE_PAUSE, check_callers};
use super::queue::EndReason;
use super::seat::Seat;
use crate::store::StoreError;

/// The number of rows that are read at once.
const PART: usize = 1_000;

/// Gives the stream to its hub, at once or after a feeder has brought it there.
pub(super) fn bring_to_hub(live: &Arc<Inner>, seat: &Arc<Seat>) {
    if seat.queue.has_ended() {
        return;
    }
    if try_join(live, seat).is_err() {
        let feeding = feed(Arc::clone(live), Arc::clone(seat));
        live.store.runtime().spawn(feeding);
    }
}

/// Gives the stream to its hub if it is at the hub's place.
fn try_join(live: &Arc<Inner>, seat: &Arc<Seat>) -> Result<(), i64> {
    live.join(seat)?;
    // The client may have gone while the stream joined.
    if seat.queue.has_ended() {
        live.leave(seat);
    }
    Ok(())
}

async fn feed(live: Arc<Inner>, seat: Arc<Seat>) {
    // The rows since the distance to the hub was measured.
    let mut fed = 0;
    while !seat.queue.has_ended() {
        let Err(target) = try_join(&live, &seat) else {
            return;
        };
        match feed_part(&live, &seat, target, &mut fed).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(organisation = %seat.org(), %error, "a live stream waits for the database");
                sleep(FAILURE_PAUSE).await;
            }
        }
    }
}

/// Feeds the stream with the next part of the rows up to `target`. Ends it if it is too far behind.
async fn feed_part(
    live: &Arc<Inner>,
    seat: &Arc<Seat>,
    target: i64,
    fed: &mut usize,
) -> Result<(), StoreError> {
    let position = seat.queue.position();
    let (org, sharer) = (seat.org(), seat.question().sharer());
    let permit = live.replays.acquire(&sharer).await.ok(); // any number may wait
    let Some(head) = live.store.log_head(&org).await? else {
        return Ok(());
    };
    let replay_records = live.options.replay_records;
    // Measuring reads an index entry for each row, so it is not done for each part.
    if *fed > replay_records as usize / 2 {
        *fed = 0;
        if live
            .store
            .has_more_rows(head.org, position, replay_records.saturating_mul(2))
            .await?
        {
            seat.queue.end(EndReason::Slow);
            return Ok(());
        }
    }
    let rows = live.store.new_rows(head.org, position, target, PART).await?;
    let through = match rows.last() {
        Some(last) if rows.len() == PART => last.seq,
        _ => target,
    };
    *fed += rows.len();
    check_callers(live, &head, std::slice::from_ref(seat)).await?;
    let question = seat.question();
    let now = live.store.clock().now();
    let seqs = rows.iter().map(|row| row.seq).collect();
    let mut visible = live.store.visible_rows(&question.as_query(), now, seqs).await?;
    drop(permit);
    while !visible.seqs().is_empty() {
        let permit = live.replays.acquire(&sharer).await.ok();
        let (rendered, events) = live.render(&visible).await?;
        visible.remove_through(rendered);
        // The client may take long, and needs no database meanwhile.
        drop(permit);
        for (seq, event) in &events {
            if !seat.queue.push_when_possible(*seq, event).await {
                return Ok(());
            }
        }
    }
    seat.queue.advance(through);
    Ok(())
}
