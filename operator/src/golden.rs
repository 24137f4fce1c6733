//! Golden tests of the operator's interfaces: command line, metrics and requests to the API server.

pub(crate) mod api_server;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use clap::{Arg, CommandFactory as _, Parser as _};
use portcullis_clock::{Clock, UnixMillis};
use portcullis_golden::assert_golden;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::admin_server::{Stats, router};
use crate::command::{Arguments, Command};

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn argument(argument: &Arg) -> Value {
    let text = |text: &clap::builder::OsStr| text.to_string_lossy().into_owned();
    json!({
        "long": argument.get_long(),
        "aliases": argument.get_all_aliases(),
        "short": argument.get_short(),
        "position": argument.get_index(),
        "environment": argument.get_env().map(|name| name.to_string_lossy().into_owned()),
        "value names": argument.get_value_names().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "defaults": argument.get_default_values().iter().map(text).collect::<Vec<_>>(),
        "values": argument.get_possible_values().iter()
            .map(|value| value.get_name_and_aliases().collect::<Vec<_>>()).collect::<Vec<_>>(),
        "required": argument.is_required_set(),
        "takes a value": argument.get_action().takes_values(),
    })
}

fn describe(command: &clap::Command) -> Value {
    json!({
        "name": command.get_name(),
        "aliases": command.get_all_aliases().collect::<Vec<_>>(),
        "arguments": command.get_arguments().map(argument).collect::<Vec<_>>(),
        "commands": command.get_subcommands().map(describe).collect::<Vec<_>>(),
    })
}

#[test]
fn commands_flags_variables_and_defaults_stay() {
    let mut command = Arguments::command();
    command.build();
    assert_golden("command-line/operator.json", &pretty(&describe(&command)));
}

async fn get(path: &str, stats: &Arc<Stats>) -> (u16, String) {
    let router = router(Arc::clone(stats), Clock::manual(UnixMillis(1_800_000_000_000)));
    let request = axum::http::Request::get(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn metrics_and_health_checks_stay() {
    let stats = Arc::new(Stats::default());
    stats.applied.store(7, std::sync::atomic::Ordering::Relaxed);
    let (_, metrics) = get("/metrics", &stats).await;
    let metrics: Vec<_> = metrics.lines().filter(|line| !line.starts_with("# HELP ")).collect();
    assert_golden("metrics/operator.txt", &metrics.join("\n"));
    let mut checks = Vec::new();
    for ready in [false, true] {
        stats.ready.store(ready, std::sync::atomic::Ordering::Relaxed);
        let beat = if ready { 1_800_000_000_000 } else { 0 };
        stats.last_pass_ms.store(beat, std::sync::atomic::Ordering::Relaxed);
        for path in ["/healthz", "/readyz", "/metrics", "/"] {
            checks.push(format!("{} {path}", get(path, &stats).await.0));
        }
    }
    assert_golden("metrics/operator-health.txt", &checks.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_created_renewed_and_released_in_the_same_form() {
    let (client, requests) = api_server::start();
    let clock = Clock::manual(UnixMillis(1_800_000_000_000));
    let (candidate, _leading) =
        crate::leader_election::LeaderElector::new(&client, "portcullis", "operator-0".to_owned(), clock);
    candidate.run(tokio::time::sleep(Duration::from_secs(3))).await;
    assert_golden("operator/lease-requests.json", &pretty(&requests.in_order()));
}

/// Records the first request of each watch. The fake API server answers it with an error.
#[tokio::test(start_paused = true)]
async fn watches_stay_limited_to_the_same_resources_and_labels() {
    let mut watched = Vec::new();
    for namespace in ["", " --watch-namespace mcp --replicas-from leases"] {
        let (client, requests) = api_server::start();
        let arguments = format!("it run --replica-namespace portcullis{namespace}");
        let Command::Run(settings) = Arguments::parse_from(arguments.split_whitespace()).command else {
            panic!("the command is not `run`")
        };
        let (changes, _receiver) = tokio::sync::mpsc::channel(64);
        crate::watch::start(&client, &settings, &changes);
        tokio::time::sleep(Duration::from_millis(100)).await;
        watched.push(requests.sorted());
    }
    assert_golden("operator/watch-requests.json", &pretty(&watched.into()));
}
