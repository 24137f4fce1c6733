//! Processor time of other processes, as the operating system accounts for it.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Window;

/// Linux counts in ticks of this length for whoever reads `/proc` (`USER_HZ` is 100 on every architecture of today).
const TICK: Duration = Duration::from_millis(10);

/// What these processes use from the window's start to its end. On a thread of its own, which no busy runtime delays.
pub(super) fn measure_during(
    window: Window,
    processes: &[u32],
) -> JoinHandle<anyhow::Result<Option<Duration>>> {
    let processes = processes.to_vec();
    thread::spawn(move || {
        if processes.is_empty() {
            return Ok(None);
        }
        thread::sleep(window.start.saturating_duration_since(Instant::now()));
        let before = cpu_time(&processes)?;
        thread::sleep(window.end.saturating_duration_since(Instant::now()));
        Ok(Some(cpu_time(&processes)?.saturating_sub(before)))
    })
}

fn cpu_time(processes: &[u32]) -> anyhow::Result<Duration> {
    let mut ticks = 0;
    for process in processes {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))
            .with_context(|| format!("the process {process} is gone"))?;
        ticks += user_and_system(&stat).context("the form of /proc/PID/stat")?;
    }
    Ok(TICK * ticks)
}

/// Fields 14 and 15, counted after the command's name, which may hold anything.
fn user_and_system(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_stat_line_then_user_and_system_time_are_added() {
        let line = "12 (a ) name) S 1 12 12 0 -1 4194304 100 0 0 0 70 31 5 6 20 0 3 0 100 1000 10";
        assert_eq!(user_and_system(line), Some(101));
        assert_eq!(user_and_system("12 (cut"), None);
    }

    #[test]
    fn given_this_process_then_its_time_can_be_read() {
        assert!(cpu_time(&[std::process::id()]).is_ok());
    }
}
