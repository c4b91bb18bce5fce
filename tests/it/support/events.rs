//! Reads Server-Sent Events as the HTML standard says.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::http::{Answer, Caller};

/// The path of the live stream.
pub const STREAM: &str = "/v1/activities/stream";

/// The time within which an expected event comes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A block of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// The `event`.
    pub name: Option<String>,
    pub data: Option<Value>,
    pub id: Option<String>,
    pub retry: Option<String>,
    pub comment: Option<String>,
}

/// An open stream.
pub struct Events {
    answer: reqwest::Response,
    buffer: Vec<u8>,
    /// The position from which the client would resume.
    pub last_id: Option<String>,
}

impl Events {
    /// Opens a stream.
    pub async fn open(caller: &Caller, path: &str) -> Self {
        Self::try_open(caller, path, &[]).await.unwrap_or_else(|answer| {
            answer.expect(200);
            unreachable!("the status is not 200")
        })
    }

    /// Opens a stream after the position.
    pub async fn resume(caller: &Caller, path: &str, position: &str) -> Self {
        Self::try_open(caller, path, &[("last-event-id", position)]).await.unwrap_or_else(|answer| {
            answer.expect(200);
            unreachable!("the status is not 200")
        })
    }

    /// Opens a stream, or returns the refusal.
    pub async fn try_open(caller: &Caller, path: &str, headers: &[(&str, &str)]) -> Result<Self, Answer> {
        let answer = caller.open(path, headers).await?;
        let last_id = headers.iter().find(|(name, _)| *name == "last-event-id");
        let last_id = last_id.map(|(_, value)| (*value).to_owned());
        Ok(Self { answer, buffer: Vec::new(), last_id })
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The next block. `None` at the end of the stream, also if it breaks off.
    pub async fn next_block(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let block = parse(std::str::from_utf8(&block).expect("the stream is UTF-8"));
                self.last_id = block.id.clone().or(self.last_id.take());
                return Some(block);
            }
            let piece = timeout(PATIENCE, self.answer.chunk()).await.expect("something comes in time");
            self.buffer.extend_from_slice(&piece.ok().flatten()?);
        }
    }

    /// The next event with data, without comments. `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Block> {
        loop {
            let block = self.next_block().await?;
            if block.data.is_some() {
                return Some(block);
            }
        }
    }

    /// The next activity. Panics if another event comes, or the end.
    pub async fn next_activity(&mut self) -> Value {
        let block = self.next().await.expect("the stream goes on");
        assert_eq!(block.name.as_deref(), Some("activity"), "{block:?}");
        block.data.expect("an event has data")
    }

    /// The next activities.
    pub async fn next_activities(&mut self, count: usize) -> Vec<Value> {
        let mut activities = Vec::with_capacity(count);
        while activities.len() < count {
            activities.push(self.next_activity().await);
        }
        activities
    }

    /// The comment of the next heartbeat, or of the end. Panics if an event comes.
    pub async fn next_comment(&mut self) -> String {
        loop {
            let block = self.next_block().await.expect("the stream goes on");
            assert_eq!(block.data, None, "an event came");
            if let Some(comment) = block.comment {
                return comment;
            }
        }
    }

    /// Waits for the end, and returns its last comment. Panics if an event comes.
    pub async fn end(&mut self) -> Option<String> {
        let mut last = None;
        while let Some(block) = self.next_block().await {
            assert_eq!(block.data, None, "an event came");
            last = block.comment.or(last);
        }
        last
    }
}

fn parse(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "" if line.starts_with(':') => block.comment = Some(value),
            "event" => block.name = Some(value),
            "id" => block.id = Some(value),
            "retry" => block.retry = Some(value),
            "data" if value.is_empty() => {}
            "data" => {
                assert_eq!(block.data, None, "an event has one line of data");
                block.data = Some(serde_json::from_str(&value).expect("data is JSON"));
            }
            "" => {}
            other => panic!("an unknown field `{other}` in {text:?}"),
        }
    }
    block
}
