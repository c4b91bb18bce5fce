//! The blocks of an export between the task that reads the database and the reader.
//!
//! A few blocks wait in memory. If a client reads more slowly than the database, later blocks go to a spool file, so that
//! the database is read to its end at full speed and its snapshot ends. All blocks in memory are older than those in the
//! file. Without space for the file, the database waits for the client, up to a limit
//! ([`ReadingRules::longest_wait`]).
//!
//! A watchdog ends the export of a client that reads too little or for too long ([`ReadingRules`]). It also frees what
//! the export holds, because the connection of a client that reads nothing may stay open for longer.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::ExportError;
use super::blocks::BLOCK_BYTES;
use super::spool::{Packed, Piece, SpoolFile, SpoolShare};
use super::transfer::{ClientTerms, ReadingRules};

/// The number of bytes that wait in memory before the writer waits: usually four blocks.
const WAITING_BYTES: usize = 4 * BLOCK_BYTES;

/// The part of the time of an export that the database may wait for the client, besides the patience of the rules: a third,
/// as long as nothing waits in the file. The database is then in use for at most one and a half times as long as without a
/// client, and the export of a client that is a little slower than the database touches no file.
const PATIENT_PART: u32 = 3;
/// The most of it. The database gives up a client that takes nothing for ten minutes.
const MOST_PATIENCE: Duration = Duration::from_secs(120);

/// How often a writer without spool space looks for space that other exports have freed.
const LOOK_FOR_SPACE: Duration = Duration::from_secs(1);

struct Shared {
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
    /// Signals to the writer that [`State::is_closed`].
    closed: Notify,
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
    /// The end of the file.
    written: u64,
    /// The blocks that the reader has not taken, the oldest first.
    waiting: VecDeque<Piece>,
    /// Whether the file can't be written, for example because the disk is full. What is in it can still be read.
    is_broken: bool,
}

impl Spooled {
    fn waiting_bytes(&self) -> u64 {
        self.waiting.iter().map(Piece::bytes).sum()
    }

    /// Stops writing to the file, and frees the space of a block that was not written.
    fn break_off(&mut self, unwritten: u64, error: &io::Error) {
        tracing::error!(%error, "the temporary file of an export can't be written; the database waits for the client");
        self.is_broken = true;
        if let Some(space) = &mut self.space {
            space.give_back(unwritten);
        }
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

    /// Ends the export without its remaining blocks. An earlier error stays its error.
    fn fail(&mut self, error: ExportError) {
        if self.is_finished {
            return;
        }
        self.drop_contents();
        if !self.is_failed() {
            self.end = Some(Err(error));
        }
    }

    fn is_failed(&self) -> bool {
        matches!(self.end, Some(Err(_)))
    }

    /// Whether no further block is sent.
    fn is_closed(&self) -> bool {
        self.is_finished || self.is_failed()
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
        closed: Notify::new(),
    });
    if let Some(rules) = rules {
        tokio::spawn(watch_reader(Arc::clone(&shared), rules));
    }
    let writer = Writer {
        shared: Arc::clone(&shared),
        rules,
        began: Instant::now(),
        waited: Duration::ZERO,
        waited_for_space: Duration::ZERO,
        lacks_space: false,
    };
    (writer, Reader(shared))
}

/// The end of the task that reads the database. A writer that is dropped without [`Writer::finish`] interrupts the
/// export.
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// `None` for a reader in this process, which has no spool and is waited for without a limit.
    rules: Option<ReadingRules>,
    began: Instant,
    /// The total time for which the database has waited for the reader.
    waited: Duration,
    /// The total time for which it has waited because the file had no space or was broken.
    waited_for_space: Duration,
    /// Whether the last block found no space in the file.
    lacks_space: bool,
}

/// What becomes of a block.
enum Next {
    Stop,
    Sent,
    Spool(Vec<u8>),
    /// The reader has taken all of the file, so the file is used again from its start.
    Rewind(Vec<u8>, SpoolFile),
    Wait(Vec<u8>, Option<Duration>),
}

impl Writer {
    /// Sends a block. Returns false if nobody reads the export any more.
    pub(super) async fn send(&mut self, mut block: Vec<u8>) -> bool {
        loop {
            match self.place(block) {
                Next::Stop => return false,
                Next::Sent => return true,
                Next::Spool(unwritten) => match self.spool(unwritten).await {
                    Some(unwritten) => {
                        block = unwritten;
                        self.lacks_space = true;
                        self.wait(Some(LOOK_FOR_SPACE)).await;
                    }
                    None => {
                        self.lacks_space = false;
                        return true;
                    }
                },
                Next::Rewind(waiting, file) => {
                    block = waiting;
                    self.rewind(&file).await;
                }
                Next::Wait(waiting, longest) => {
                    block = waiting;
                    self.wait(longest).await;
                }
            }
        }
    }

    /// Returns a future that is ready when nobody reads the export any more.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let signal = shared.closed.notified();
                if shared.lock().is_closed() {
                    return;
                }
                signal.await;
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
        if state.is_closed() {
            return Next::Stop;
        }
        let spool_is_empty = state.spool.waiting.is_empty();
        if spool_is_empty && state.spool.is_broken {
            (state.spool.file, state.spool.space) = (None, None);
        }
        if spool_is_empty && state.bytes_in_memory() < WAITING_BYTES {
            state.memory.push_back(block);
            drop(state);
            self.shared.readable.notify_one();
            return Next::Sent;
        }
        let Some(rules) = self.rules else {
            return Next::Wait(block, None);
        };
        let lacks_space = self.lacks_space || state.spool.is_broken;
        if lacks_space && self.waited_for_space >= rules.longest_wait {
            state.fail(ExportError::NoSpace(rules.longest_wait));
            drop(state);
            self.shared.readable.notify_one();
            return Next::Stop;
        }
        // A client that has not taken the file is much slower than the database.
        let more = if spool_is_empty {
            (self.began.elapsed() / PATIENT_PART).min(MOST_PATIENCE)
        } else {
            Duration::ZERO
        };
        let patience = rules.patience + more;
        if self.waited < patience && !lacks_space {
            return Next::Wait(block, Some(patience - self.waited));
        }
        let spool = &mut state.spool;
        if spool.is_broken {
            return Next::Wait(block, Some(LOOK_FOR_SPACE));
        }
        match &spool.file {
            Some(file) if spool_is_empty && spool.written > 0 => Next::Rewind(block, file.clone()),
            _ => Next::Spool(block),
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
        if self.lacks_space || self.shared.lock().spool.is_broken {
            self.waited_for_space += began.elapsed();
        } else {
            self.waited += began.elapsed();
        }
    }

    /// Writes the block to the file. Returns it if there is no space, or if the file can't be written.
    async fn spool(&self, block: Vec<u8>) -> Option<Vec<u8>> {
        let packed = Packed::new(&block);
        let length = packed.length();
        let (start, file) = {
            let mut state = self.shared.lock();
            let spool = &mut state.spool;
            let space = spool.space.as_mut();
            if !space.is_some_and(|space| space.reserve(length)) {
                return Some(block);
            }
            (spool.written, spool.file.clone())
        };
        let piece = packed.piece(start);
        let outcome = write_to_file(file, start, packed).await;
        let mut state = self.shared.lock();
        match outcome {
            // The watchdog or the reader may have ended the export meanwhile.
            Ok(_) if state.is_closed() => None,
            Ok(file) => {
                state.spool.file = Some(file);
                state.spool.written = start + length;
                state.spool.waiting.push_back(piece);
                drop(state);
                self.shared.readable.notify_one();
                None
            }
            Err(error) => {
                state.spool.break_off(length, &error);
                drop(state);
                Some(block)
            }
        }
    }

    /// Empties the file and frees its space. The reader does not read the file meanwhile, because nothing waits in it.
    async fn rewind(&self, file: &SpoolFile) {
        let outcome = file.clear().await;
        let mut state = self.shared.lock();
        if let Err(error) = outcome {
            // Without the file, the system frees its space.
            state.spool.file = None;
            state.spool.break_off(0, &error);
        }
        state.spool.written = 0;
        if let Some(space) = &mut state.spool.space {
            space.release();
        }
    }
}

/// Writes the block to the file, or to a new one.
async fn write_to_file(file: Option<SpoolFile>, start: u64, block: Packed) -> io::Result<SpoolFile> {
    let file = match file {
        Some(file) => file,
        None => SpoolFile::create().await?,
    };
    file.write(start, block).await?;
    Ok(file)
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
    File(SpoolFile, Piece),
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
                Step::File(file, piece) => match file.read(piece).await {
                    Ok(block) => {
                        let mut state = self.0.lock();
                        // The watchdog may have ended the export meanwhile. After another error the blocks before it are
                        // still sent.
                        if state.spool.file.is_none() {
                            continue;
                        }
                        state.spool.waiting.pop_front();
                        state.taken += piece.bytes();
                        drop(state);
                        self.0.writable.notify_one();
                        return Some(Ok(block));
                    }
                    Err(error) => {
                        self.0.lock().fail(ExportError::Spool(error));
                        self.0.closed.notify_one();
                    }
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
        if let (Some(file), Some(piece)) = (&spool.file, spool.waiting.front()) {
            return Step::File(file.clone(), *piece);
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
        self.0.closed.notify_one();
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
        // After an error of the database, the blocks before it still wait for the client.
        if state.is_finished || state.sending.is_none() {
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
            shared.closed.notify_one();
            return;
        }
        if waiting == 0 {
            window = None;
        } else if window.is_none() {
            window = Some((now, state.taken, waiting.min(rules.window_bytes)));
        }
    }
}

#[cfg(test)]
mod tests;
