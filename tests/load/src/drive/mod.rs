//! The driver: N connections, each sending its next request when the one before is answered and found right.

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

/// How long the last answers may take after the time is up.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// What to send where, and what to expect.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where requests go: plain http.
    #[arg(long)]
    url: String,
    /// A header of every request: `Name: value`. Repeatable.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// The JSON body. `{id}` becomes a number of ten digits that no other request has.
    #[arg(long)]
    body: String,
    /// The text that each answer's first content holds, `{id}` as in the body.
    #[arg(long, conflicts_with = "expect_names", required_unless_present = "expect_names")]
    expect_text: Option<String>,
    /// A file with a JSON array: the names that each answer's list of tools holds, in this order.
    #[arg(long)]
    expect_names: Option<PathBuf>,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds that count.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds before that, which do not.
    #[arg(long, default_value_t = 0.3)]
    warm_up: f64,
    /// Processes whose processor time is told per request. Repeatable.
    #[arg(long = "cpu-of")]
    cpu_of: Vec<u32>,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// Drives and reports. Wrong answers are counted, not fatal: the report says so, and so does the exit status.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(options.workers).enable_all().build()?;
    let report = runtime.block_on(drive(&options))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    anyhow::ensure!(report.errors == 0, "{} of {} answers were wrong", report.errors, report.requests);
    Ok(())
}

async fn drive(options: &Options) -> anyhow::Result<Report> {
    let template = RequestTemplate::new(&options.url, &options.headers, &options.body)?;
    let check = Arc::new(match (&options.expect_text, &options.expect_names) {
        (Some(text), _) => Check::text(text)?,
        (None, Some(file)) => Check::names(serde_json::from_str(&std::fs::read_to_string(file)?)?),
        (None, None) => anyhow::bail!("what is expected?"),
    });
    let mut connections = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        let connection = Connection::open(&template.address).await;
        connections.push(connection.with_context(|| format!("connecting to {}", template.address))?);
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
        tally.record_error("a request got no answer within 15 s");
    }
    let cpu = cpu.join().map_err(|_| anyhow::anyhow!("the clock of processor time broke"))??;
    Ok(tally.report(window.end - window.start, cpu))
}

/// When requests count: those that are answered from `start` to `end`.
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
        let judged = match connection.exchange(template.request(id)).await {
            Ok(answer) => check.verify(&answer, id),
            Err(error) => Err(format!("{error:#}")),
        };
        let answered = Instant::now();
        match judged {
            Ok(()) if answered >= window.start && answered <= window.end => {
                tally.record_success(answered - sent)
            }
            Ok(()) => {}
            Err(why) => {
                tally.record_error(&why);
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
