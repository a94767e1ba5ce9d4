//! How hashing gives way: a hash takes a quarter of a second of a core, most other calls less than a millisecond, and there is a hashing thread for each core.
//!
//! The first thread is nicer than the process: others have nine tenths of its core if they want it all, and the last is for sign-ins, which a flood of other calls must
//! not starve either. The rest have what nobody else wants (SCHED_IDLE, sched(7)): whoever wakes has their core at once, while a thread that is only nicer may use its slice up
//! before, some 3 ms. On Linux alone a thread has a priority of its own; to lower it takes no privilege.

use thread_priority::{
    NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy::Normal, set_thread_priority_and_policy,
    thread_native_id,
};

/// That of the first thread above the process's.
const NICENESS: i32 = 10;

/// Lets whatever else wants the core of the calling thread, the hashing thread `number`, have it before.
pub(super) fn give_way(number: usize) {
    let given = match number {
        0 => rustix::process::nice(NICENESS).map(drop).map_err(|error| error.to_string()),
        _ => set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, Normal(Idle))
            .map_err(|error| error.to_string()),
    };
    if let Err(error) = given {
        tracing::info!(error, "hashing competes with other calls for the processor");
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::{NICENESS, give_way};

    /// Field 19 of the calling thread's line is its niceness, field 41 its policy (proc_pid_stat(5)).
    fn niceness_and_policy() -> [i32; 2] {
        let line = fs::read_to_string("/proc/thread-self/stat").expect("a line");
        let after_name: Vec<_> = line.rsplit_once(") ").expect("a name").1.split(' ').collect();
        [19, 41].map(|field| after_name[field - 3].parse().expect("a number"))
    }

    #[test]
    fn one_thread_is_nicer_and_the_others_take_what_is_left() {
        const OTHER: i32 = 0;
        const IDLE: i32 = 5;
        let [usual, policy] = niceness_and_policy();
        assert_eq!(policy, OTHER);
        let of = |number| {
            let thread = thread::spawn(move || {
                give_way(number);
                niceness_and_policy()
            });
            thread.join().expect("gives way")
        };
        assert_eq!(of(0), [(usual + NICENESS).min(19), OTHER]);
        assert_eq!(of(1)[1], IDLE);
        assert_eq!(niceness_and_policy(), [usual, OTHER], "it is a thread's own");
    }
}
