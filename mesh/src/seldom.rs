//! Lines that anybody at a port can cause.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

const PAUSE: Duration = Duration::from_secs(10);

/// Lets one line in 10 s through: whoever knocks could fill the log, and with it the disk.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    last: Mutex<Option<Instant>>,
    left_out: AtomicU64,
}

impl Seldom {
    /// How many lines were left out since the last one, if another may be written now.
    pub(crate) fn may(&self) -> Option<u64> {
        // Others have something to say at the same time.
        let due = self.last.try_lock().is_ok_and(|mut last| {
            let due = last.is_none_or(|last| last.elapsed() >= PAUSE);
            if due {
                *last = Some(Instant::now());
            }
            due
        });
        if due {
            return Some(self.left_out.swap(0, Relaxed));
        }
        self.left_out.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_in_ten_seconds_says_how_many_there_were() {
        let lines = Seldom::default();
        let mut written = Vec::new();
        for _ in 0..50 {
            written.extend(lines.may());
            advance(Duration::from_millis(500)).await;
        }
        assert_eq!(written, [0, 19, 19]);
    }
}
