//! Discovers the authorization server of an origin: the origin's challenge, its protected resource metadata
//! (RFC 9728), and the authorization server's metadata (RFC 8414, OpenID Connect Discovery). Follows MCP,
//! basic/authorization.

use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT;
use portcullis_egress::{EgressError, HttpClient};
use portcullis_mcp::client::{LEGACY_VERSION, Session};
use portcullis_policy::Origin;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, json};
use url::Url;

use crate::ConnectError;
use crate::challenge::Challenge;

/// Maximum size of a metadata document, in bytes.
const MAX_METADATA_LEN: usize = 256 * 1024;

/// Maximum number of authorization servers to try.
const MAX_SERVERS: usize = 4;

/// Requests without a credential that provoke a challenge. All servers support both methods; some allow
/// `initialize` without authorization.
fn probes() -> [http::Request<Bytes>; 2] {
    let session = Session::legacy();
    let client = json!({"name": "portcullis", "version": "1"});
    let params = json!({"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": client});
    [session.initialize(1, &params), session.request("tools/list", 2, Map::new())]
}

/// Endpoints that the authorization server must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequiredEndpoints {
    /// For a person's consent in a browser: an authorization endpoint, and PKCE.
    Consent,
    /// Only the token endpoint.
    Token,
}

/// Authorization metadata of an origin.
pub(crate) struct DiscoveryResult {
    /// The `resource` of token requests (RFC 8707), as the origin states it.
    pub(crate) resource: String,
    /// Scopes of the challenge, otherwise of the metadata. Empty if neither names any.
    pub(crate) scopes: Vec<String>,
    /// Metadata of the authorization server in use.
    pub(crate) server: AuthorizationServerMetadata,
    /// All authorization servers that the origin names.
    issuers: Vec<String>,
}

impl DiscoveryResult {
    /// Whether the origin still names this authorization server.
    pub(crate) fn lists_issuer(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|named| named == issuer || differs_by_trailing_slash(named, issuer))
    }
}

/// Metadata of an authorization server, validated.
#[derive(Deserialize)]
pub(crate) struct AuthorizationServerMetadata {
    pub(crate) issuer: String,
    authorization_endpoint: Option<Url>,
    pub(crate) token_endpoint: Url,
    pub(crate) registration_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    code_challenge_methods_supported: Option<Vec<String>>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(crate) scopes_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) client_id_metadata_document_supported: bool,
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

impl AuthorizationServerMetadata {
    /// Endpoint to which the person's browser is sent.
    pub(crate) fn authorization_endpoint(&self) -> Result<&Url, ConnectError> {
        self.authorization_endpoint.as_ref().ok_or_else(|| {
            discovery_error(format!("the authorization server {} has no authorization endpoint", self.issuer))
        })
    }
}

#[derive(Deserialize)]
struct ResourceMetadata {
    resource: String,
    authorization_servers: Option<Vec<String>>,
    scopes_supported: Option<Vec<String>>,
}

/// Discovers the authorization server of an origin.
pub(crate) async fn discover(
    http: &HttpClient,
    origin: &Origin,
    need: RequiredEndpoints,
) -> Result<DiscoveryResult, ConnectError> {
    let challenge = fetch_challenge(http, &origin.url).await?;
    let found = match &challenge.resource_metadata {
        Some(url) => {
            let url = url
                .parse()
                .map_err(|_| discovery_error("the metadata URL in its challenge is not a valid URL"))?;
            let found = fetch_json::<ResourceMetadata>(http, &url).await?;
            let found = found.ok_or_else(|| {
                discovery_error(format!("there is no resource metadata at {url}, which its challenge names"))
            })?;
            Some((found, origin.url.clone()))
        }
        None => first_resource_metadata(http, &origin.url).await?,
    };
    let Some((metadata, described)) = found else {
        // With the first revision that had authorization (2025-03-26), servers are their own authorization
        // servers.
        let issuer = origin.url.origin().ascii_serialization();
        let server = fetch_server_metadata(http, &issuer, need).await?;
        return Ok(DiscoveryResult {
            resource: origin.url.to_string(),
            scopes: challenge.scopes,
            server,
            issuers: vec![issuer],
        });
    };
    if !is_same_resource(&metadata.resource, &origin.url) && !is_same_resource(&metadata.resource, &described)
    {
        return Err(discovery_error(format!(
            "its metadata describes another resource, {}, than {}; set the origin's url to the stated resource",
            crate::token::sanitize(&metadata.resource),
            origin.url
        )));
    }
    let scopes = if challenge.scopes.is_empty() {
        metadata.scopes_supported.unwrap_or_default()
    } else {
        challenge.scopes
    };
    let mut issuers = metadata.authorization_servers.unwrap_or_default();
    issuers.truncate(MAX_SERVERS);
    let mut first_problem = None;
    for issuer in &issuers {
        match fetch_server_metadata(http, issuer, need).await {
            Ok(server) => {
                return Ok(DiscoveryResult { resource: metadata.resource, scopes, server, issuers });
            }
            Err(problem) => first_problem = first_problem.or(Some(problem)),
        }
    }
    Err(first_problem.unwrap_or_else(|| discovery_error("its metadata names no authorization server")))
}

/// The first valid document, and the URL that it must describe: the one from which its well-known URL was
/// derived, so a document at the root may describe the root (RFC 9728 section 3.3). A document that a
/// challenge points to has no such choice. An invalid document is an error only if no valid one is found.
async fn first_resource_metadata(
    http: &HttpClient,
    url: &Url,
) -> Result<Option<(ResourceMetadata, Url)>, ConnectError> {
    let described = [url.clone(), with_path(url, "/")];
    let mut problem = None;
    for (place, described) in well_known_urls(url, "oauth-protected-resource").into_iter().zip(described) {
        match fetch_json(http, &place).await {
            Ok(Some(found)) => return Ok(Some((found, described))),
            Ok(None) => {}
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    problem.map_or(Ok(None), Err)
}

async fn fetch_challenge(http: &HttpClient, url: &Url) -> Result<Challenge, ConnectError> {
    for probe in probes() {
        let (head, body) = probe.into_parts();
        let request = http.request(head.method, url.clone()).headers(head.headers).body(body);
        let response = http.send_for_stream(request).await?;
        if response.status == StatusCode::UNAUTHORIZED {
            return Ok(Challenge::from_headers(&response.headers).unwrap_or_default());
        }
    }
    Ok(Challenge::default())
}

/// Metadata of an authorization server, from the first well-known URL that has valid metadata.
pub(crate) async fn fetch_server_metadata(
    http: &HttpClient,
    issuer: &str,
    need: RequiredEndpoints,
) -> Result<AuthorizationServerMetadata, ConnectError> {
    let url: Url = issuer.parse().map_err(|_| {
        discovery_error(format!(
            "the URL of its authorization server is invalid: {}",
            crate::token::sanitize(issuer)
        ))
    })?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(discovery_error(format!(
            "the issuer {url} has a query or a fragment, which RFC 8414 forbids"
        )));
    }
    let mut places: Vec<Url> =
        well_known_urls(&url, "oauth-authorization-server").into_iter().take(1).collect();
    places.extend(well_known_urls(&url, "openid-configuration").into_iter().take(1));
    if url.path() != "/" {
        places.push(with_path(
            &url,
            &format!("{}/.well-known/openid-configuration", url.path().trim_end_matches('/')),
        ));
    }
    let mut problem = None;
    for place in places {
        match fetch_json::<AuthorizationServerMetadata>(http, &place).await {
            Ok(Some(server)) => match validate_metadata(http, server, issuer, need).await {
                Ok(server) => return Ok(server),
                Err(error) => problem = problem.or(Some(error)),
            },
            Ok(None) => {}
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(problem
        .unwrap_or_else(|| discovery_error(format!("there is no authorization server metadata for {url}"))))
}

async fn validate_metadata(
    http: &HttpClient,
    server: AuthorizationServerMetadata,
    issuer: &str,
    need: RequiredEndpoints,
) -> Result<AuthorizationServerMetadata, ConnectError> {
    // Byte for byte (RFC 8414 section 3.3), except for the slash of an empty path: some URL libraries add it
    // when they write the resource metadata. It leads to the same documents.
    if server.issuer != issuer && !differs_by_trailing_slash(issuer, &server.issuer) {
        return Err(discovery_error(format!(
            "the metadata of the authorization server {} states the issuer {}",
            crate::token::sanitize(issuer),
            crate::token::sanitize(&server.issuer)
        )));
    }
    if need == RequiredEndpoints::Token {
        return Ok(server);
    }
    if !server.code_challenge_methods_supported.iter().flatten().any(|method| method == "S256") {
        return Err(discovery_error(format!(
            "the authorization server {issuer} does not offer PKCE with S256"
        )));
    }
    // The browser opens this URL, so no HTTP client of the gateway checks its address later.
    let endpoint = server.authorization_endpoint()?;
    match endpoint.scheme() {
        "https" => {}
        "http" => http.check(endpoint).await?,
        _ => return Err(discovery_error("its authorization endpoint is not http or https")),
    }
    Ok(server)
}

fn differs_by_trailing_slash(given: &str, stated: &str) -> bool {
    given.strip_suffix('/').is_some_and(|bare| bare == stated && bare.matches('/').count() == 2)
}

/// Equal except for a trailing slash.
fn is_same_resource(stated: &str, origin: &Url) -> bool {
    let Ok(stated) = stated.parse::<Url>() else { return false };
    stated.as_str().trim_end_matches('/') == origin.as_str().trim_end_matches('/')
}

/// Whether resource metadata describes an origin.
#[cfg(fuzzing)]
pub(crate) fn is_metadata_of(metadata: &[u8], origin: &Url) -> Option<bool> {
    let metadata: ResourceMetadata = portcullis_egress::parse_json_object(metadata).ok()?;
    Some(is_same_resource(&metadata.resource, origin))
}

/// Well-known URLs (RFC 8615) for a URL: with its path appended, and at the root.
fn well_known_urls(url: &Url, name: &str) -> Vec<Url> {
    let path = url.path().trim_end_matches('/');
    let mut places = vec![with_path(url, &format!("/.well-known/{name}{path}"))];
    if !path.is_empty() {
        places.push(with_path(url, &format!("/.well-known/{name}")));
    }
    places
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Fetches a JSON document. `None` if there is none; only status 200 counts.
async fn fetch_json<T: DeserializeOwned>(http: &HttpClient, url: &Url) -> Result<Option<T>, ConnectError> {
    let request = http.get(url.clone()).header(ACCEPT, "application/json");
    let answer = http.send(request, MAX_METADATA_LEN).await?;
    match answer.status {
        StatusCode::OK => answer.json().map(Some).map_err(|error| match error {
            EgressError::Json { .. } => {
                discovery_error(format!("the document at {url} is not valid metadata: {error}"))
            }
            other => ConnectError::Outbound(other),
        }),
        status if status.is_server_error() => {
            Err(discovery_error(format!("{url} answered with status {}", status.as_u16())))
        }
        _ => Ok(None),
    }
}

fn discovery_error(problem: impl Into<String>) -> ConnectError {
    ConnectError::Discovery(problem.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// RFC 9728, section 3.3.
        #[test]
        fn given_any_resource_when_it_is_taken_for_the_origins_then_a_request_to_it_would_be_one_to_the_origin(
            stated in "(https|HTTPS|http)://(u@)?(h|H|h\\.evil|e)(:443|:8443)?(/mcp|/MCP|/mcp2|/a/\\.\\./mcp|//mcp|/mcp%2f|)(/{0,2})(\\?x|#x|\\?|#)?",
        ) {
            let origin: Url = "https://h/mcp".parse().unwrap();
            if is_same_resource(&stated, &origin) {
                let mut stated: Url = stated.parse().unwrap();
                let path = stated.path().trim_end_matches('/').to_owned();
                stated.set_path(&path);
                prop_assert_eq!(stated, origin);
            }
        }
    }

    fn urls(url: &str, name: &str) -> Vec<String> {
        well_known_urls(&url.parse().unwrap(), name).into_iter().map(|url| url.to_string()).collect()
    }

    /// Requirements: client.discovery.order
    #[test]
    fn given_a_path_then_its_own_document_comes_before_the_roots() {
        assert_eq!(
            urls("https://h:8443/a/mcp?x=1", "n"),
            ["https://h:8443/.well-known/n/a/mcp", "https://h:8443/.well-known/n"]
        );
        assert_eq!(urls("https://h/", "n"), ["https://h/.well-known/n"]);
    }

    /// Requirements: client.discovery.mismatch
    #[test]
    fn given_a_resource_then_only_its_own_url_with_or_without_a_slash_is_the_same() {
        let origin: Url = "https://h/mcp".parse().unwrap();
        for same in ["https://h/mcp", "https://h/mcp/", "https://H:443/mcp"] {
            assert!(is_same_resource(same, &origin), "{same}");
        }
        for other in [
            "https://h",
            "https://h/",
            "https://h/mcp2",
            "http://h/mcp",
            "https://e/mcp",
            "https://h/mcp#a",
            "x",
        ] {
            assert!(!is_same_resource(other, &origin), "{other}");
        }
    }

    /// Requirements: client.discovery.mismatch
    #[test]
    fn given_an_issuer_then_only_the_slash_of_an_empty_path_is_forgiven() {
        assert!(differs_by_trailing_slash("https://as/", "https://as"));
        assert!(!differs_by_trailing_slash("https://as/t/", "https://as/t"));
        assert!(!differs_by_trailing_slash("https://as", "https://as/"));
        assert!(!differs_by_trailing_slash("https://as/", "https://other"));
    }
}
