//! The driver: N connections. Each sends its next request after the response to the previous one was checked.

mod check;
mod connection;
mod cpu;
mod report;
mod request_template;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use self::check::Check;
use self::connection::Connection;
use self::report::{Report, Stats};
use self::request_template::RequestTemplate;

/// Time limit for the last responses after the window has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// Requests to send and responses to expect.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Target URL; plain http only.
    #[arg(long)]
    url: String,
    /// Header of every request, as `Name: value`. Repeatable.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// JSON body. `{id}` is replaced by a unique ten-digit number.
    #[arg(long)]
    body: String,
    /// Expected text of the first content item of each response. `{id}` is replaced as in the body.
    #[arg(long, conflicts_with = "expect_names", required_unless_present = "expect_names")]
    expect_text: Option<String>,
    /// File with a JSON array: the expected tool names of each response, in this order.
    #[arg(long)]
    expect_names: Option<PathBuf>,
    /// Number of keep-alive connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Duration of the measurement, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Warm-up before the measurement, in seconds. Its requests are not counted.
    #[arg(long, default_value_t = 0.3)]
    warm_up: f64,
    /// Process id whose CPU time is reported. Repeatable.
    #[arg(long = "cpu-of")]
    cpu_of: Vec<u32>,
    /// Number of worker threads.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// Runs the measurement and prints the report. Wrong responses do not stop it; they are counted in the report
/// and make the exit status nonzero.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(options.workers).enable_all().build()?;
    let report = runtime.block_on(drive(&options))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    anyhow::ensure!(
        report.errors == 0,
        "{} wrong or missing responses ({} correct ones); see first_error in the report",
        report.errors,
        report.requests
    );
    Ok(())
}

async fn drive(options: &Options) -> anyhow::Result<Report> {
    let template = RequestTemplate::new(&options.url, &options.headers, &options.body)?;
    let check = Arc::new(match (&options.expect_text, &options.expect_names) {
        (Some(text), _) => Check::text(text)?,
        (None, Some(file)) => Check::names(serde_json::from_str(&std::fs::read_to_string(file)?)?),
        (None, None) => anyhow::bail!("set --expect-text or --expect-names"),
    });
    let mut connections = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        let connection = Connection::open(&template.address).await;
        connections.push(connection.with_context(|| format!("failed to connect to {}", template.address))?);
    }
    let window = Window::starting(options)?;
    let cpu = cpu::measure_during(window, &options.cpu_of);
    let mut tasks = JoinSet::new();
    for (number, connection) in connections.into_iter().enumerate() {
        let numbers = request_template::IdSequence::of(number, options.connections);
        tasks.spawn(run_connection(connection, template.clone(), check.clone(), numbers, window));
    }
    let mut tally = Stats::default();
    let all = async {
        while let Some(done) = tasks.join_next().await {
            tally.merge(done?);
        }
        anyhow::Ok(())
    };
    let limit = window.end.saturating_duration_since(Instant::now()) + DRAIN_TIMEOUT;
    if tokio::time::timeout(limit, all).await.is_err() {
        tally.record_error("no response within 15 s after the end of the measurement");
    }
    let cpu = cpu.join().map_err(|_| anyhow::anyhow!("the thread that measures CPU time panicked"))??;
    Ok(tally.report(window.end - window.start, cpu))
}

/// The measurement window. Requests are counted if their response arrives between `start` and `end`.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

impl Window {
    fn starting(options: &Options) -> anyhow::Result<Self> {
        let start = Instant::now() + Duration::try_from_secs_f64(options.warm_up)?;
        Ok(Self { start, end: start + Duration::try_from_secs_f64(options.seconds)? })
    }
}

async fn run_connection(
    mut connection: Connection,
    mut template: RequestTemplate,
    check: Arc<Check>,
    mut numbers: request_template::IdSequence,
    window: Window,
) -> Stats {
    let mut tally = Stats::default();
    let mut sent = Instant::now();
    while sent < window.end {
        let id = numbers.next();
        let response = connection.exchange(template.request(id)).await;
        let judged = response.and_then(|response| check.verify(&response, id));
        let answered = Instant::now();
        match judged {
            Ok(()) if answered >= window.start && answered <= window.end => {
                tally.record_success(answered - sent)
            }
            Ok(()) => {}
            Err(error) => {
                tally.record_error(&format!("{error:#}"));
                tokio::time::sleep(Duration::from_millis(20)).await;
                match Connection::open(&template.address).await {
                    Ok(fresh) => connection = fresh,
                    Err(error) => {
                        tally.record_error(&error.to_string());
                        return tally;
                    }
                }
            }
        }
        sent = Instant::now();
    }
    tally
}
