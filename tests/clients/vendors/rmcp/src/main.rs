//! A program with the Rust SDK's client and its OAuth: signs in by BROWSER, and then does one thing.
//!
//! `rmcp-client URL list` or `rmcp-client URL call NAME ARGUMENTS`

use std::env;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::auth::{AuthorizationManager, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{AuthClient, StreamableHttpClientTransport};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let given: Vec<String> = env::args().skip(1).collect();
    let [url, what, rest @ ..] = given.as_slice() else { bail!("say for which URL, and what") };
    let http = AuthClient::new(reqwest::Client::new(), sign_in(url).await?);
    let config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    let client = ().serve(StreamableHttpClientTransport::with_client(http, config)).await?;
    let said = match (what.as_str(), rest) {
        ("list", []) => {
            let tools = client.list_all_tools().await?;
            serde_json::to_string(&tools.into_iter().map(|tool| tool.name).collect::<Vec<_>>())?
        }
        ("call", [name, arguments]) => {
            let call =
                CallToolRequestParams::new(name.clone()).with_arguments(serde_json::from_str(arguments)?);
            serde_json::to_string(&client.call_tool(call).await?)?
        }
        _ => bail!("{what} is not known"),
    };
    println!("{said}");
    client.cancel().await?;
    Ok(())
}

/// Sends the user to the authorization server and waits until they come back.
async fn sign_in(url: &str) -> Result<AuthorizationManager> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let redirect = format!("http://{}/callback", listener.local_addr()?);
    let mut oauth = OAuthState::new(url, None).await?;
    oauth
        .start_authorization(AuthorizationRequest::new(redirect.as_str()).with_client_name("Rust SDK"))
        .await?;
    Command::new(env::var("BROWSER")?).arg(oauth.get_authorization_url().await?).spawn()?;
    let (mut stream, _) = listener.accept().await?;
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).await?;
    stream
        .write_all(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 26\r\n\r\nYou may close this window.",
        )
        .await?;
    let target = line.split_whitespace().nth(1).context("the browser asked for nothing")?;
    let origin = redirect.trim_end_matches("/callback");
    oauth.handle_callback_url(&format!("{origin}{target}")).await?;
    oauth.into_authorization_manager().context("nothing was granted")
}
