//! What the machine tells of this process: CPU time of its threads, its memory.
//!
//! Never guesses: where the system tells nothing, it is zero.

/// CPU time of one kind of threads of this process so far, nanoseconds: those whose name begins so.
pub(crate) fn cpu_ns_of_threads(name: &str) -> u64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return 0;
    };
    tasks
        .flatten()
        .filter(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with(name))
        })
        .map(|task| cpu_ns_of(&task.path().join("schedstat")))
        .sum()
}

/// CPU time of the calling thread so far, nanoseconds. What the scheduler has written down may be older by a tick, so the
/// clock is asked.
pub(crate) fn cpu_ns_of_this_thread() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn cpu_ns_of(schedstat: &std::path::Path) -> u64 {
    let text = std::fs::read_to_string(schedstat).unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// The most memory that this process ever had, MiB.
pub(crate) fn memory_most_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

/// CPU time of this process and of its children that have ended, ticks of 10 ms.
pub(crate) fn cpu_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything: the 14th to the 17th field of all.
    let behind = text.rsplit(") ").next().unwrap_or_default();
    let numbers = behind.split(' ').skip(11).take(4);
    numbers.filter_map(|number| number.parse::<u64>().ok()).sum()
}
