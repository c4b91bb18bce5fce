//! The form of events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! A browser takes the `id` of every block, also of a block without `data`, as the position from which it resumes. The
//! clients for Node.js take it from events only. So the position at which a stream begins is the `id` of an event.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::log::activity::Activity;

/// The first block of a stream: how long to wait before connecting again. If the client has no position yet, it is the
/// event `ready` with the one at which the stream begins.
pub(super) fn beginning(retry: Duration, position: Option<i64>) -> Bytes {
    let ready = position.map_or_else(String::new, |position| {
        format!("event: ready\nid: {position}\ndata:\n")
    });
    format!("retry: {}\n{ready}\n", retry.as_millis()).into()
}

/// The event that the replay is not complete. The stream goes on after `position`.
pub(super) fn reset(position: i64) -> Bytes {
    let data = json!({"position": position});
    format!("event: reset\nid: {position}\ndata: {data}\n\n").into()
}

/// The event of a new row.
pub(super) fn activity(position: i64, activity: &Activity) -> Result<Bytes, serde_json::Error> {
    let mut text = format!("event: activity\nid: {position}\ndata: ").into_bytes();
    // JSON has no line break outside of texts, and writes those within them as `\n`.
    serde_json::to_writer(&mut text, activity)?;
    text.extend_from_slice(b"\n\n");
    Ok(text.into())
}

/// A comment that shows that the stream is alive.
pub(super) fn heartbeat(position: Option<i64>) -> Bytes {
    match position {
        Some(position) => format!(": heartbeat\nid: {position}\n\n").into(),
        None => Bytes::from_static(b": heartbeat\n\n"),
    }
}

/// A comment.
pub(super) fn comment(text: &str) -> Bytes {
    format!(": {text}\n\n").into()
}
