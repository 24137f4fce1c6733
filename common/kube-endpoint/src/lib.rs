//! Where the API server is: for this process to ask, and for nobody to have it asked. An origin's owner who named it, or an
//! authorization server that did, would have it called from a pod that it trusts.

use std::time::Duration;

use http::Uri;
use kube::config::InferConfigError;
use kube::{Client, Config};
use portcullis_egress::Egress;

/// How often to look again: another server of the control plane may answer, its name may have another address.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// An API server that takes longer does not answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The API server by the pod's service account, or as kubectl finds it.
pub async fn config() -> Result<Config, InferConfigError> {
    let mut config = Config::infer().await?;
    // `kube` would go through the environment's proxy, which is for the internet, where a kubeconfig names none of its own.
    let of_environment = ["HTTPS_PROXY", "https_proxy"].iter().find_map(|name| std::env::var(name).ok());
    if of_environment.and_then(|url| url.parse::<Uri>().ok()) == config.proxy_url {
        config.proxy_url = None;
    }
    Ok(config)
}

/// Has the way out refuse the API server's addresses from now on: the one that is asked, and, as they become known, those that
/// its servers say are theirs.
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
        Ok(Err(error)) => tracing::warn!("{host}, the API server, has no address now: {error}"),
        Err(_) => tracing::warn!("{host}, the API server, has no address now: DNS does not answer"),
    }
}

/// `GET /api` says where each server is (Kubernetes API, `APIVersions.serverAddressByClientCIDRs`); whoever is signed in may ask.
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
