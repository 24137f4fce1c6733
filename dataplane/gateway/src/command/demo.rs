//! `portcullis demo`: starts a demo origin and a gateway for it on the local machine.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use portcullis_key_encryption::KeyEncryptionArgs;
use serde_json::{Value, json};

use super::database::DatabaseArgs;
use super::listen::ListenArgs;
use super::run::{ConfigSource, ServeSettings, run};
use super::shutdown_args::ShutdownArgs;

/// Slug of the virtual MCP that the demo serves.
const SLUG: &str = "notebook";

/// Run a complete demo on this machine: an OAuth-protected MCP server, the gateway in front of it, and a
/// sign-in without passwords. All data is deleted when the process ends.
#[derive(Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    listen: ListenArgs,
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let started = Instant::now();
        let folder = tempfile::Builder::new()
            .prefix("portcullis-demo-")
            .tempdir()
            .context("failed to create a temporary folder for the demo")?;
        let (origin, serve_origin) = start_origin()?;
        let manifests = folder.path().join("manifests");
        let public = format!("http://{}", self.listen.listen);
        write(&manifests, &resources(&public, &origin))?;
        let settings = ServeSettings {
            source: ConfigSource::Folder(manifests),
            state: folder.path().join("state"),
            database: DatabaseArgs::default(),
            encryption: KeyEncryptionArgs::default(),
            listen: self.listen,
            leave: ShutdownArgs::default(),
        };
        run(settings, serve_origin, |address| print_instructions(started, address))
    }
}

/// Starts the demo's MCP server on its own thread. Returns its URL and a future that resolves when the server
/// fails.
fn start_origin() -> anyhow::Result<(String, impl Future<Output = anyhow::Result<std::convert::Infallible>>)>
{
    let (url_sender, url) = std::sync::mpsc::channel();
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("demo-origin".to_owned()).spawn(move || {
        let serve = async {
            let origin = portcullis_demo_origin::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            url_sender.send(origin.url()).ok();
            origin.serve().await
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        ended.send(runtime.and_then(|runtime| runtime.block_on(serve))).ok();
    })?;
    let url = url.recv().context("failed to start the demo's MCP server")?;
    let ends = async move {
        end.await.context("the demo's MCP server panicked")?.context("the demo's MCP server failed")?;
        anyhow::bail!("the demo's MCP server ended unexpectedly")
    };
    Ok((url, ends))
}

fn write(folder: &Path, resources: &[Value]) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let documents = resources.iter().map(serde_yaml::to_string).collect::<Result<Vec<_>, _>>()?;
    fs::write(folder.join("demo.yaml"), documents.join("---\n"))
        .context("failed to write the demo's manifests")
}

fn resources(public: &str, origin: &str) -> Vec<Value> {
    let resource = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "portcullis.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let users = json!([
        {"email": "ada@example.com", "name": "Ada (writes notes)", "groups": ["writers"]},
        {"email": "charles@example.com", "name": "Charles (reads notes)", "groups": ["readers"]},
    ]);
    vec![
        resource(
            "McpGateway",
            "demo",
            json!({
                "publicUrl": public,
                "identityProviders": [{"name": "development", "development": {"users": users}}],
                "tenancy": [{"namespaces": ["default"], "everyone": true, "privateNetworks": ["127.0.0.0/8"]}],
            }),
        ),
        resource(
            "OriginMcp",
            SLUG,
            json!({
                "displayName": "Notebook",
                "url": origin,
                "auth": {"userOAuth": {"registration": {"auto": {}}}},
            }),
        ),
        resource(
            "VirtualMcp",
            SLUG,
            json!({"displayName": "Notebook", "origins": [{"name": SLUG}], "access": "Teams"}),
        ),
        resource(
            "Team",
            "writers",
            json!({
                "displayName": "Writers",
                "members": {"groups": ["writers"]},
                "access": [{"virtualMcp": SLUG}],
            }),
        ),
        resource(
            "Team",
            "readers",
            json!({
                "displayName": "Readers",
                "members": {"groups": ["readers"]},
                "access": [{"virtualMcp": SLUG, "tools": {"exclude": ["add_*", "delete_*"]}}],
            }),
        ),
    ]
}

#[allow(clippy::print_stdout, reason = "the command's output")]
fn print_instructions(started: Instant, address: SocketAddr) {
    let base = format!("http://{address}");
    let url = format!("{base}/mcp/{SLUG}");
    println!(
        "\nPortcullis is ready after {} ms. Add this URL to an MCP client:\n\n    {url}\n\n\
         Claude Code    claude mcp add --transport http {SLUG} {url}\n\
         VS Code        code --add-mcp '{{\"name\":\"{SLUG}\",\"type\":\"http\",\"url\":\"{url}\"}}'\n\
         Cursor         {{\"mcpServers\":{{\"{SLUG}\":{{\"url\":\"{url}\"}}}}}}   in ~/.cursor/mcp.json\n\
         Inspector      npx @modelcontextprotocol/inspector --server-url {url} --transport http\n\n\
         The client opens your browser. Approve the client, choose a user (no password), and connect the demo account.\n\
         The portal is at {base}/. Events are printed below, one per line. Press Ctrl-C to stop the demo.\n",
        started.elapsed().as_millis(),
    );
}
