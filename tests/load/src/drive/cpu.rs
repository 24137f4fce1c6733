//! CPU time of other processes, from `/proc`.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Window;

/// Unit of the times in `/proc` (`USER_HZ` is 100 on every current architecture).
const TICK: Duration = Duration::from_millis(10);

/// Measures the CPU time of these processes during the window. Uses its own thread, which a busy runtime does
/// not delay.
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
            .with_context(|| format!("failed to read the CPU time of process {process}"))?;
        ticks += user_and_system(&stat).context("unexpected format of /proc/PID/stat")?;
    }
    Ok(TICK * ticks)
}

/// Sum of fields 14 and 15 (utime, stime). Parsing starts after the command name, which may contain any
/// character.
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
