//! Configuration of the Kubernetes API server, and a block of its addresses in [`Egress`]. Without the block,
//! the owner of an origin or an authorization server could send requests to the API server from a pod that it
//! trusts.

use std::time::Duration;

use http::Uri;
use kube::config::InferConfigError;
use kube::{Client, Config};
use portcullis_egress::Egress;

/// How often the addresses are refreshed: control plane servers and DNS records may change.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// Deadline of each lookup.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Client configuration from the kubeconfig, as for kubectl, or from the pod's service account.
pub async fn config() -> Result<Config, InferConfigError> {
    let mut config = Config::infer().await?;
    // Without a proxy in the kubeconfig, `kube` uses the proxy of the environment, which is for the internet:
    // ignore it.
    let of_environment = ["HTTPS_PROXY", "https_proxy"].iter().find_map(|name| std::env::var(name).ok());
    if of_environment.and_then(|url| url.parse::<Uri>().ok()) == config.proxy_url {
        config.proxy_url = None;
    }
    Ok(config)
}

/// Blocks the addresses of the API server in `egress`: the configured address at once, and the addresses that
/// the API server advertises in the background. Refreshes both regularly.
pub async fn deny_api_server(egress: &Egress, url: &Uri, client: &Client) {
    let (egress, url, client) = (egress.clone(), url.clone(), client.clone());
    deny_configured_address(&egress, &url).await;
    tokio::spawn(async move {
        loop {
            deny_advertised_addresses(&egress, &client).await;
            tokio::time::sleep(REFRESH_INTERVAL).await;
            deny_configured_address(&egress, &url).await;
        }
    });
}

async fn deny_configured_address(egress: &Egress, url: &Uri) {
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    let host = url.host().unwrap_or_default();
    match tokio::time::timeout(REQUEST_TIMEOUT, egress.deny_api_server(host, port)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, host, "failed to resolve the address of the API server"),
        Err(_) => tracing::warn!(host, "failed to resolve the address of the API server: DNS timeout"),
    }
}

/// Blocks the addresses from `GET /api` (Kubernetes API, `APIVersions.serverAddressByClientCIDRs`). Every
/// authenticated client may read it.
async fn deny_advertised_addresses(egress: &Egress, client: &Client) {
    let Ok(Ok(versions)) = tokio::time::timeout(REQUEST_TIMEOUT, client.list_core_api_versions()).await
    else {
        return;
    };
    for server in versions.server_address_by_client_cidrs {
        let Some((host, port)) = server.server_address.rsplit_once(':') else { continue };
        if let Ok(port) = port.parse() {
            egress.deny_api_server(host, port).await.ok();
        }
    }
}
