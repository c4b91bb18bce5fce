//! The blocks of an export between the task that reads the database and the reader.
//!
//! A few blocks wait in memory. If a client reads more slowly than the database, later blocks go to a spool file, so that
//! the database is read to its end at full speed and its snapshot ends. All blocks in memory are older than those in the
//! file.
//!
//! A watchdog ends the export of a client that reads too little or for too long ([`ReadingRules`]). It also frees what
//! the export holds, because the connection of a client that reads nothing may stay open for longer.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::spool::{SpoolFile, SpoolShare};
use super::transfer::{ClientTerms, ReadingRules};
use super::{BLOCK_BYTES, ExportError};

/// The number of bytes that wait in memory before the writer waits: usually four blocks.
const WAITING_BYTES: usize = 4 * BLOCK_BYTES;

/// How often a writer without spool space looks for space that other exports have freed.
const LOOK_FOR_SPACE: Duration = Duration::from_secs(1);

struct Shared {
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
}

#[derive(Default)]
struct State {
    memory: VecDeque<Vec<u8>>,
    spool: Spooled,
    /// The bytes that the reader has taken.
    taken: u64,
    end: Option<Result<(), ExportError>>,
    /// Whether the reader was dropped, or has received the end.
    is_finished: bool,
    /// Dropped when the export has ended.
    sending: Option<Box<dyn Any + Send>>,
}

/// The blocks in the file.
#[derive(Default)]
struct Spooled {
    file: Option<SpoolFile>,
    space: Option<SpoolShare>,
    written: u64,
    read: u64,
}

impl Spooled {
    fn waiting_bytes(&self) -> u64 {
        self.written - self.read
    }
}

impl State {
    fn bytes_in_memory(&self) -> usize {
        self.memory.iter().map(Vec::len).sum()
    }

    fn waiting_bytes(&self) -> u64 {
        self.bytes_in_memory() as u64 + self.spool.waiting_bytes()
    }

    /// Drops all blocks, the file and what the export holds.
    fn drop_contents(&mut self) {
        self.memory.clear();
        self.spool = Spooled::default();
        self.sending = None;
    }

    /// Ends the export with this error, unless it has ended already.
    fn fail(&mut self, error: ExportError) {
        if matches!(self.end, None | Some(Ok(()))) && !self.is_finished {
            self.drop_contents();
            self.end = Some(Err(error));
        }
    }

    fn is_failed(&self) -> bool {
        matches!(self.end, Some(Err(_)))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Creates a queue. `sending` is dropped when the export has ended.
pub(super) fn queue(sending: Box<dyn Any + Send>, client: Option<ClientTerms>) -> (Writer, Reader) {
    let rules = client.as_ref().map(|client| client.rules);
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            spool: Spooled {
                space: client.map(|client| client.spool),
                ..Spooled::default()
            },
            sending: Some(sending),
            ..State::default()
        }),
        readable: Notify::new(),
        writable: Notify::new(),
    });
    if let Some(rules) = rules {
        tokio::spawn(watch_reader(Arc::clone(&shared), rules));
    }
    let writer = Writer {
        shared: Arc::clone(&shared),
        patience: rules.map(|rules| rules.patience),
        waited: Duration::ZERO,
    };
    (writer, Reader(shared))
}

/// The end of the task that reads the database. A writer that is dropped without [`Writer::finish`] interrupts the
/// export.
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The total time to wait for the reader before the spool is used; `None` if there is no spool.
    patience: Option<Duration>,
    waited: Duration,
}

/// What becomes of a block.
enum Next {
    Stop,
    Sent,
    Spool(Vec<u8>, u64, Option<SpoolFile>),
    Wait(Vec<u8>, Option<Duration>),
}

impl Writer {
    /// Sends a block. Returns false if nobody reads the export any more.
    pub(super) async fn send(&mut self, mut block: Vec<u8>) -> Result<bool, ExportError> {
        loop {
            match self.place(block) {
                Next::Stop => return Ok(false),
                Next::Sent => return Ok(true),
                Next::Spool(block, start, file) => return self.spool(block, start, file).await,
                Next::Wait(waiting, longest) => {
                    block = waiting;
                    self.wait(longest).await;
                }
            }
        }
    }

    /// Ends the export.
    pub(super) fn finish(self, result: Result<(), ExportError>) {
        self.end_with(result);
    }

    fn end_with(&self, result: Result<(), ExportError>) {
        let mut state = self.shared.lock();
        if state.end.is_none() {
            state.end = Some(result);
        }
        drop(state);
        self.shared.readable.notify_one();
    }

    /// Puts the block into memory, or decides where it goes.
    fn place(&self, block: Vec<u8>) -> Next {
        let mut state = self.shared.lock();
        if state.is_finished || state.is_failed() {
            return Next::Stop;
        }
        let spool_is_empty = state.spool.waiting_bytes() == 0;
        if spool_is_empty && state.bytes_in_memory() < WAITING_BYTES {
            state.memory.push_back(block);
            drop(state);
            self.shared.readable.notify_one();
            return Next::Sent;
        }
        let Some(patience) = self.patience else {
            return Next::Wait(block, None);
        };
        if self.waited < patience {
            return Next::Wait(block, Some(patience - self.waited));
        }
        let spool = &mut state.spool;
        if spool_is_empty {
            // The reader has taken all, so the file is used again from its start.
            (spool.written, spool.read) = (0, 0);
            if let Some(space) = &mut spool.space {
                space.release();
            }
        }
        let space = spool.space.as_mut();
        if space.is_some_and(|space| space.reserve(block.len() as u64)) {
            Next::Spool(block, spool.written, spool.file.clone())
        } else {
            Next::Wait(block, Some(LOOK_FOR_SPACE))
        }
    }

    /// Waits until the reader has taken something.
    async fn wait(&mut self, longest: Option<Duration>) {
        let began = Instant::now();
        let taken = self.shared.writable.notified();
        match longest {
            Some(longest) => drop(timeout(longest, taken).await),
            None => taken.await,
        }
        self.waited += began.elapsed();
    }

    async fn spool(&self, block: Vec<u8>, start: u64, file: Option<SpoolFile>) -> Result<bool, ExportError> {
        let length = block.len() as u64;
        let file = match file {
            Some(file) => file,
            None => SpoolFile::create().await.map_err(ExportError::Spool)?,
        };
        file.write(start, block).await.map_err(ExportError::Spool)?;
        let mut state = self.shared.lock();
        if state.is_finished || state.is_failed() {
            return Ok(false);
        }
        state.spool.file = Some(file);
        state.spool.written = start + length;
        drop(state);
        self.shared.readable.notify_one();
        Ok(true)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end_with(Err(ExportError::Interrupted));
    }
}

/// The end of the client.
pub(super) struct Reader(Arc<Shared>);

/// What the reader does next.
enum Step {
    Block(Vec<u8>),
    File(SpoolFile, u64, usize),
    End(Result<(), ExportError>),
    Wait,
}

impl Reader {
    /// Waits until a block or the end is there. Returns an error that came before the first block.
    pub(super) async fn wait_for_first(&self) -> Result<(), ExportError> {
        loop {
            let arrived = self.0.readable.notified();
            {
                let mut state = self.0.lock();
                let has_block = state.waiting_bytes() > 0;
                match state.end.take() {
                    Some(Err(error)) if !has_block => {
                        state.is_finished = true;
                        return Err(error);
                    }
                    end => {
                        let has_ended = end.is_some();
                        state.end = end;
                        if has_block || has_ended {
                            return Ok(());
                        }
                    }
                }
            }
            arrived.await;
        }
    }

    /// The next block, or `None` after the last one. There is nothing after an error.
    pub(super) async fn next(&self) -> Option<Result<Vec<u8>, ExportError>> {
        loop {
            let arrived = self.0.readable.notified();
            match self.step() {
                Step::Block(block) => return Some(Ok(block)),
                Step::End(end) => return end.err().map(Err),
                Step::Wait => arrived.await,
                Step::File(file, start, length) => match file.read(start, length).await {
                    Ok(block) => {
                        let mut state = self.0.lock();
                        // The watchdog may have ended the export meanwhile. After another error the blocks before it are
                        // still sent.
                        if state.spool.file.is_none() {
                            continue;
                        }
                        state.spool.read = start + length as u64;
                        state.taken += length as u64;
                        drop(state);
                        self.0.writable.notify_one();
                        return Some(Ok(block));
                    }
                    Err(error) => self.0.lock().fail(ExportError::Spool(error)),
                },
            }
        }
    }

    fn step(&self) -> Step {
        let mut state = self.0.lock();
        if state.is_finished {
            return Step::End(Ok(()));
        }
        if let Some(block) = state.memory.pop_front() {
            state.taken += block.len() as u64;
            drop(state);
            self.0.writable.notify_one();
            return Step::Block(block);
        }
        let spool = &state.spool;
        if let (Some(file), 1..) = (&spool.file, spool.waiting_bytes()) {
            let length = spool.waiting_bytes().min(BLOCK_BYTES as u64) as usize; // at most a block
            return Step::File(file.clone(), spool.read, length);
        }
        match state.end.take() {
            Some(end) => {
                state.is_finished = true;
                state.drop_contents();
                Step::End(end)
            }
            None => Step::Wait,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_finished = true;
        state.drop_contents();
        drop(state);
        self.0.writable.notify_one();
    }
}

/// Ends the export if the client reads too little in a window, or for too long in total.
async fn watch_reader(shared: Arc<Shared>, rules: ReadingRules) {
    let began = Instant::now();
    let tick = (rules.window.min(rules.deadline) / 8).max(Duration::from_millis(1));
    // The start of the window, the bytes taken by then, and the bytes that must be taken until its end.
    let mut window: Option<(Instant, u64, u64)> = None;
    loop {
        tokio::time::sleep(tick).await;
        let mut state = shared.lock();
        if state.is_finished || state.is_failed() {
            return;
        }
        let now = Instant::now();
        let waiting = state.waiting_bytes();
        let failure = match window {
            _ if now - began >= rules.deadline => Some(ExportError::TooLong(rules.deadline)),
            Some((start, before, least)) if now - start >= rules.window => {
                window = None;
                (state.taken - before < least).then_some(ExportError::Stalled(rules.window))
            }
            _ => None,
        };
        if let Some(error) = failure {
            state.fail(error);
            drop(state);
            shared.readable.notify_one();
            shared.writable.notify_one();
            return;
        }
        if waiting == 0 {
            window = None;
        } else if window.is_none() {
            window = Some((now, state.taken, waiting.min(rules.window_bytes)));
        }
    }
}
