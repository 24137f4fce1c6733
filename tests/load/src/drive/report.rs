//! The results of a measurement.

use std::time::Duration;

use serde::Serialize;

/// Results of one connection, or of all connections after [`merge`](Self::merge).
#[derive(Default)]
pub(super) struct Stats {
    latencies: Vec<u32>,
    errors: u64,
    first_error: Option<String>,
}

/// The report: one JSON line.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Correct responses within the window.
    pub(crate) requests: usize,
    /// Wrong or missing responses at any time.
    pub(crate) errors: u64,
    first_error: Option<String>,
    seconds: f64,
    per_second: f64,
    p50_us: u32,
    p90_us: u32,
    p99_us: u32,
    max_us: u32,
    /// CPU time of the selected processes within the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_ms: Option<u64>,
}

impl Stats {
    pub(super) fn record_success(&mut self, latency: Duration) {
        self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn record_error(&mut self, why: &str) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| why.to_owned());
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        self.latencies.append(&mut other.latencies);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    pub(super) fn report(mut self, window: Duration, cpu: Option<Duration>) -> Report {
        self.latencies.sort_unstable();
        let seconds = window.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
        let per_second = self.latencies.len() as f64 / seconds;
        Report {
            requests: self.latencies.len(),
            errors: self.errors,
            seconds,
            per_second,
            p50_us: self.percentile(50),
            p90_us: self.percentile(90),
            p99_us: self.percentile(99),
            max_us: self.percentile(100),
            cpu_ms: cpu.map(|cpu| u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX)),
            first_error: self.first_error,
        }
    }

    /// Percentile of the latencies, in microseconds (nearest rank).
    fn percentile(&self, percent: usize) -> u32 {
        let rank = (self.latencies.len() * percent).div_ceil(100);
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_latencies_of_two_connections_then_percentiles_are_of_all() {
        let (mut all, mut other) = (Stats::default(), Stats::default());
        (1..=60).for_each(|each| other.record_success(Duration::from_micros(each)));
        (61..=100).for_each(|each| all.record_success(Duration::from_micros(each)));
        other.record_error("late");
        all.merge(other);
        let report = all.report(Duration::from_secs(2), Some(Duration::from_millis(40)));
        assert_eq!((report.p50_us, report.p90_us, report.p99_us, report.max_us), (50, 90, 99, 100));
        assert_eq!((report.requests, report.errors, report.cpu_ms), (100, 1, Some(40)));
        assert!((report.per_second - 50.0).abs() < 1e-9);
        assert_eq!(report.first_error.as_deref(), Some("late"));
    }

    #[test]
    fn given_no_answer_then_the_report_is_all_zero() {
        let report = Stats::default().report(Duration::from_secs(1), None);
        assert_eq!((report.requests, report.p99_us), (0, 0));
    }
}
