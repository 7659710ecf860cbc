//! Frames from the thread that reads them to the one that runs the model: two frames in memory, or three where only
//! the latest one counts.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A frame as it was read.
pub struct Frame {
    pub bytes: Vec<u8>,
    /// Counted from 0, dropped and skipped frames included.
    pub number: u64,
    /// When it was read.
    pub read: Instant,
}

/// Hands over frames. Their number in memory is fixed, so that a slow model makes the reader wait, or frames be dropped.
pub struct Handover {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether a frame that waits is dropped when a later one has been read.
    latest: bool,
}

struct State {
    waiting: Option<Frame>,
    /// Memory for frames that are not read yet.
    free: Vec<Vec<u8>>,
    dropped: u64,
    /// How the reader has ended.
    ended: Option<End>,
    /// Whether the reader should end.
    closed: bool,
}

impl Handover {
    /// For frames of `frame_bytes` bytes.
    ///
    /// # Errors
    /// The operating system refuses the memory.
    pub fn new(frame_bytes: usize, latest: bool) -> Result<Self, beitle_pictures::Error> {
        // One that runs and one that is read; of the latest frames also one that waits.
        let frames = if latest { 3 } else { 2 };
        let free = (0..frames).map(|_| beitle_pictures::zeroed(frame_bytes)).collect::<Result<_, _>>()?;
        let state = State { waiting: None, free, dropped: 0, ended: None, closed: false };
        Ok(Handover { state: Mutex::new(state), changed: Condvar::new(), latest })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory to read a frame into; waits for it. `None` once the model's side has closed.
    pub fn memory(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(memory) = state.free.pop() {
                return Some(memory);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Hands over a frame: waits until the one before has been taken, or drops that.
    pub fn put(&self, frame: Frame) {
        let mut state = self.lock();
        while state.waiting.is_some() && !self.latest && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(old) = state.waiting.replace(frame) {
            state.dropped += 1;
            state.free.push(old.bytes);
        }
        self.changed.notify_all();
    }

    /// The reader has ended.
    pub fn end(&self, end: End) {
        self.lock().ended = Some(end);
        self.changed.notify_all();
    }

    /// The next frame; waits for it, but not much longer than `patience`.
    pub fn take(&self, patience: Duration) -> Taken {
        let mut state = self.lock();
        let deadline = Instant::now() + patience;
        loop {
            if let Some(frame) = state.waiting.take() {
                self.changed.notify_all();
                return Taken::Frame(frame, std::mem::take(&mut state.dropped));
            }
            if let Some(end) = state.ended.take() {
                return Taken::End(end);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Taken::Nothing;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the memory of a frame back.
    pub fn give_back(&self, memory: Vec<u8>) {
        self.lock().free.push(memory);
        self.changed.notify_all();
    }

    /// The model's side takes no more frames.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// How a stream ends.
#[derive(Debug, PartialEq)]
pub enum End {
    /// After a whole frame.
    Complete,
    /// Within a frame: after how many of its bytes, and how many it has.
    Torn(usize, usize),
    /// With an error.
    Failed(String),
}

/// What [`Handover::take`] gives.
pub enum Taken {
    /// A frame, and how many were dropped before it.
    Frame(Frame, u64),
    /// There are no more.
    End(End),
    /// None yet.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(handover: &Handover, frames: u8) {
        for number in 0..frames {
            let Some(mut bytes) = handover.memory() else { return };
            bytes.fill(number);
            handover.put(Frame { bytes, number: number.into(), read: Instant::now() });
        }
        handover.end(End::Complete);
    }

    /// The numbers of the frames that a slow model gets, and how many were dropped.
    fn taken(latest: bool) -> (Vec<u64>, u64) {
        let handover = Handover::new(4, latest).unwrap();
        let (mut numbers, mut dropped) = (Vec::new(), 0);
        std::thread::scope(|scope| {
            scope.spawn(|| read(&handover, 50));
            loop {
                match handover.take(Duration::from_secs(10)) {
                    Taken::Frame(frame, before) => {
                        assert!(frame.bytes == [frame.number as u8; 4]);
                        numbers.push(frame.number);
                        dropped += before;
                        std::thread::sleep(Duration::from_millis(1));
                        handover.give_back(frame.bytes);
                    }
                    Taken::End(end) => return assert_eq!(end, End::Complete),
                    Taken::Nothing => panic!("a frame or the end"),
                }
            }
        });
        (numbers, dropped)
    }

    #[test]
    fn all_frames_arrive_in_order() {
        assert_eq!(taken(false), ((0..50).collect(), 0));
    }

    #[test]
    fn the_latest_frame_arrives_and_dropped_ones_are_counted() {
        let (numbers, dropped) = taken(true);
        assert!(numbers.is_sorted() && numbers.last() == Some(&49));
        assert_eq!(numbers.len() as u64 + dropped, 50);
    }

    #[test]
    fn a_closed_handover_ends_the_reader() {
        let handover = Handover::new(1, false).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| read(&handover, 9));
            std::thread::sleep(Duration::from_millis(5));
            handover.close();
            reader.join().unwrap();
        });
        assert!(matches!(Handover::new(1, true).unwrap().take(Duration::ZERO), Taken::Nothing));
    }
}
