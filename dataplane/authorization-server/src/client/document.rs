//! Client ID metadata documents: validates their URLs and contents
//! (draft-ietf-oauth-client-id-metadata-document).

use std::sync::Arc;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use portcullis_egress::{EgressError, parse_json_object};
use portcullis_policy::{NameSet, RouteTable};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::Client;
use super::client_auth::ClientAuth;
use super::metadata::{MetadataError, check_redirects, https_url, sanitize_name};
use super::public_keys::PublicKeys;

/// Maximum length of a `client_id` that is a URL.
const MAX_URL_LEN: usize = 2048;

/// A metadata document or its URL is invalid, or the document cannot be fetched. Messages follow "the
/// client's metadata document is invalid:" or "cannot be fetched:".
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The gateway has no settings yet.
    #[error("the gateway has no configuration yet")]
    NotReady,
    /// The limit of fetches is reached.
    #[error("too many metadata documents are being fetched; try again shortly")]
    Busy,
    /// The request failed, or may not be sent.
    #[error(transparent)]
    Fetch(#[from] EgressError),
    /// The URL is not acceptable.
    #[error("its URL {0}")]
    Url(&'static str),
    /// The gateway's settings do not allow the host.
    #[error("this gateway does not accept clients from {0}")]
    Host(String),
    /// The status is not 200. Redirects count as errors.
    #[error("its URL returned status {0}; it must return 200, and redirects are not followed")]
    Status(u16),
    /// The media type is not JSON.
    #[error("its Content-Type must be application/json or a type ending in +json")]
    ContentType,
    /// The body is not JSON of the expected shape.
    #[error("it is not a JSON object of client metadata: {0}")]
    Json(#[source] serde_json::Error),
    /// `client_id` differs from the URL.
    #[error("its client_id must be its own URL")]
    ClientIdMismatch,
    /// The document needs a shared secret, which a public document cannot hold.
    #[error(
        "it has a client secret or a token_endpoint_auth_method that needs one; use none or private_key_jwt"
    )]
    Secret,
    /// The authentication method is not supported.
    #[error("its token_endpoint_auth_method is not supported; it must be none or private_key_jwt")]
    AuthMethod,
    /// `client_name` is missing.
    #[error("it has no client_name")]
    MissingName,
    /// Other metadata is invalid.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl DocumentError {
    /// Whether a later request may succeed although the document does not change.
    pub(super) const fn is_temporary(&self) -> bool {
        match self {
            Self::NotReady | Self::Busy | Self::Status(408 | 429 | 500..) => true,
            Self::Fetch(error) => !matches!(
                error,
                EgressError::Forbidden { .. } | EgressError::PlainHttp { .. } | EgressError::TooLarge { .. }
            ),
            _ => false,
        }
    }
}

/// Checks that a `client_id` is a valid document URL on a host that the gateway's settings allow.
pub(crate) fn check_url(client_id: &str, table: &RouteTable) -> Result<Url, DocumentError> {
    let problem = |problem| Err(DocumentError::Url(problem));
    if client_id.len() > MAX_URL_LEN {
        return problem("is too long");
    }
    let Ok(url) = Url::parse(client_id) else { return problem("is not a URL") };
    // Check the text: the parser has already normalized the URL.
    if !client_id.strip_prefix("https://").is_some_and(|rest| rest.contains('/')) {
        return problem("is not https with a path");
    }
    if url.fragment().is_some() {
        return problem("has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return problem("has a user name or password");
    }
    // The id is compared as text, so it must be normalized: no dot segments, upper case, default port or
    // blanks.
    if url.as_str() != client_id {
        return problem("is not in its normal form (no dot segments, lower-case host, no default port)");
    }
    let host = url.host_str().unwrap_or_default();
    let our_host = Url::parse(&table.gateway.public_url).ok();
    if our_host.as_ref().and_then(Url::host_str) == Some(host) {
        return problem("is on the gateway's own host");
    }
    if !NameSet::new(&table.gateway.clients.metadata_document_hosts).contains(host) {
        return Err(DocumentError::Host(host.to_owned()));
    }
    Ok(url)
}

#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    client_secret: Option<Value>,
    client_secret_expires_at: Option<Value>,
    client_uri: Option<String>,
    logo_uri: Option<String>,
    #[serde(flatten)]
    keys: PublicKeys,
}

/// A client as its document describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentedClient {
    pub(crate) client: Arc<Client>,
    auth: DocumentAuth,
}

/// How the client authenticates. Secrets are not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DocumentAuth {
    None,
    PrivateKeyJwt { keys: PublicKeys, or_none: bool },
}

impl DocumentedClient {
    /// Creates a public client.
    #[cfg(test)]
    pub(super) fn public(client: Client) -> Self {
        Self { client: Arc::new(client), auth: DocumentAuth::None }
    }

    /// The credential that the client must present. `None` if its keys are invalid.
    pub(super) fn client_auth(&self) -> Option<ClientAuth> {
        match &self.auth {
            DocumentAuth::None => Some(ClientAuth::Nothing),
            DocumentAuth::PrivateKeyJwt { keys, or_none } => ClientAuth::assertion(keys, *or_none),
        }
    }
}

/// Parses an HTTP response as the client's document.
pub(crate) fn read(
    client_id: &str,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<DocumentedClient, DocumentError> {
    if status != 200 {
        return Err(DocumentError::Status(status));
    }
    if !is_json(headers) {
        return Err(DocumentError::ContentType);
    }
    let document: Document = parse_json_object(body).map_err(DocumentError::Json)?;
    if document.client_id != client_id {
        return Err(DocumentError::ClientIdMismatch);
    }
    if document.client_secret.is_some() || document.client_secret_expires_at.is_some() {
        return Err(DocumentError::Secret);
    }
    // Some clients prefer a key but also work without one.
    let or_none = document.token_endpoint_auth_methods_supported.iter().any(|method| method == "none");
    let auth = match document.token_endpoint_auth_method.as_deref() {
        None | Some("none") => DocumentAuth::None,
        Some(method) if method.starts_with("client_secret") => return Err(DocumentError::Secret),
        Some("private_key_jwt") if document.keys.is_present() || !or_none => {
            document.keys.check()?;
            DocumentAuth::PrivateKeyJwt { keys: document.keys, or_none }
        }
        Some(_) if or_none => DocumentAuth::None,
        Some(_) => return Err(DocumentError::AuthMethod),
    };
    check_redirects(&document.redirect_uris)?;
    let name = document.client_name.as_deref().and_then(sanitize_name).ok_or(DocumentError::MissingName)?;
    let client = Client {
        id: document.client_id,
        name,
        redirect_uris: document.redirect_uris,
        from_document: true,
        authenticates: matches!(auth, DocumentAuth::PrivateKeyJwt { or_none: false, .. }),
        client_uri: https_url(document.client_uri.as_deref()),
        logo_uri: https_url(document.logo_uri.as_deref()),
    };
    Ok(DocumentedClient { client: Arc::new(client), auth })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || essence.strip_prefix("application/").is_some_and(|subtype| subtype.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::table;
    use portcullis_jwt_verification::JwkSetError;

    const ID: &str = "https://client.example/oauth/client.json";

    fn read_json(document: &Value) -> Result<DocumentedClient, DocumentError> {
        let headers = HeaderMap::from_iter([(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        )]);
        read(ID, 200, &headers, document.to_string().as_bytes())
    }

    fn good() -> Value {
        json!({
            "client_id": ID, "client_name": "Example", "redirect_uris": ["http://127.0.0.1/callback", "cursor://x/callback"],
            "token_endpoint_auth_method": "none", "logo_uri": "https://client.example/logo.png", "unknown": {"x": 1},
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut document = good();
        document[key] = value;
        document
    }

    /// Requirements: as.document.content
    #[test]
    fn given_a_sound_document_when_read_then_it_is_the_client() {
        let client = read_json(&good()).unwrap().client;
        assert_eq!((client.id.as_str(), client.name.as_str(), client.from_document), (ID, "Example", true));
        assert!(client.allows_redirect("http://127.0.0.1:5000/callback"));
    }

    /// Requirements: as.document.content
    #[test]
    fn given_a_document_that_breaks_a_rule_when_read_then_the_rule_is_named() {
        for (document, error) in [
            (
                with("client_id", json!("https://client.example/oauth/client.json/")),
                DocumentError::ClientIdMismatch,
            ),
            (with("client_secret", json!("x")), DocumentError::Secret),
            (with("client_secret_expires_at", json!(0)), DocumentError::Secret),
            (with("token_endpoint_auth_method", json!("client_secret_jwt")), DocumentError::Secret),
            (with("token_endpoint_auth_method", json!("client_secret_basic")), DocumentError::Secret),
            (with("token_endpoint_auth_method", json!("tls_client_auth")), DocumentError::AuthMethod),
            (with("client_name", json!(null)), DocumentError::MissingName),
            (with("redirect_uris", json!([])), DocumentError::Metadata(MetadataError::RedirectCount)),
        ] {
            assert_eq!(read_json(&document).unwrap_err().to_string(), error.to_string(), "{document}");
        }
        assert!(matches!(
            read_json(&with("redirect_uris", json!(["https://a.example/cb", "javascript:alert(1)"]))),
            Err(DocumentError::Metadata(MetadataError::Redirect { at: 1, .. }))
        ));
        let mut private = with("token_endpoint_auth_method", json!("private_key_jwt"));
        private["jwks"] = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "x", "d": "d"}]});
        assert!(matches!(
            read_json(&private),
            Err(DocumentError::Metadata(MetadataError::Keys(JwkSetError::Private)))
        ));
        assert!(matches!(read_json(&with("redirect_uris", json!("x"))), Err(DocumentError::Json(_))));
        assert!(matches!(read_json(&json!([])), Err(DocumentError::Json(_))));
    }

    /// Requirements: as.document.keys
    #[test]
    fn given_a_client_that_prefers_a_key_and_can_do_without_when_read_then_it_is_taken() {
        let mut document = with("token_endpoint_auth_method", json!("private_key_jwt"));
        assert!(matches!(read_json(&document), Err(DocumentError::Metadata(_))), "no keys");
        document["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt", "none"]);
        assert!(matches!(read_json(&document).unwrap().client_auth(), Some(ClientAuth::Nothing)));
        assert!(!read_json(&document).unwrap().client.authenticates);
        document["jwks_uri"] = json!("https://client.example/keys");
        let proof = read_json(&document).unwrap().client_auth();
        assert!(matches!(proof, Some(ClientAuth::Assertion { or_nothing: true, .. })));
        assert!(!read_json(&document).unwrap().client.authenticates, "it may leave the key out");
        document["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
        let proof = read_json(&document).unwrap().client_auth();
        assert!(matches!(proof, Some(ClientAuth::Assertion { or_nothing: false, .. })));
        assert!(read_json(&document).unwrap().client.authenticates);
        document["jwks_uri"] = json!("http://client.example/keys");
        assert!(read_json(&document).is_err());
    }

    /// Requirements: as.document.content
    #[test]
    fn given_an_answer_that_is_not_200_or_not_json_when_read_then_it_is_no_document() {
        let json =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/client+json"))]);
        let html = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/html"))]);
        let body = good().to_string();
        assert!(read(ID, 200, &json, body.as_bytes()).is_ok());
        for status in [201, 203, 301, 302, 304, 404, 500] {
            let refused = read(ID, status, &json, body.as_bytes());
            assert!(matches!(refused, Err(DocumentError::Status(found)) if found == status), "{status}");
        }
        for headers in [&html, &HeaderMap::new()] {
            assert!(matches!(read(ID, 200, headers, body.as_bytes()), Err(DocumentError::ContentType)));
        }
    }

    /// Requirements: as.document.url
    #[test]
    fn given_a_url_when_it_cannot_be_a_client_id_then_it_is_refused() {
        let table = table(&["a"]);
        assert!(check_url(ID, &table).is_ok());
        assert!(check_url("https://client.example:8443/c?x=1", &table).is_ok());
        for url in [
            "http://client.example/c",
            "https://client.example",
            "https://client.example/c#x",
            "https://me@client.example/c",
            "https://me:x@client.example/c",
            "https://client.example/a/../c",
            "https://client.example/a/./c",
            "https://client.example/a/%2e%2e/c",
            "https://client.example/a\\c",
            "https://CLIENT.example/c",
            "https://client.example:443/c",
            "https:/client.example/c",
            "https://client.example/ c",
            "https://127.1/c",
            "https://gateway.example/c",
            "https://gateway.example:8443/connect/x/client.json",
        ] {
            assert!(matches!(check_url(url, &table), Err(DocumentError::Url(_))), "{url}");
        }
        let of_length = |length: usize| format!("{ID}{}", "x".repeat(length - ID.len()));
        assert!(check_url(&of_length(MAX_URL_LEN), &table).is_ok());
        assert!(check_url(&of_length(MAX_URL_LEN + 1), &table).is_err());
    }

    /// Requirements: as.client.policy, as.document.url
    #[test]
    fn given_hosts_that_are_allowed_when_another_asks_then_it_is_refused() {
        let table = crate::testing::table_with(&["a"], |contract| {
            contract.gateway.clients.metadata_document_hosts = vec!["*.allowed.example".to_owned()];
        });
        assert!(check_url("https://x.allowed.example/c", &table).is_ok());
        assert!(matches!(check_url(ID, &table), Err(DocumentError::Host(host)) if host == "client.example"));
    }

    proptest! {
        /// An accepted URL is normalized and has no misleading parts.
        #[test]
        fn given_any_url_when_it_may_be_a_client_id_then_it_is_https_and_spelled_as_parsers_spell_it(
            id in "(https|HTTPS|http|javascript):/{1,3}(user@|a:b@)?(client\\.example|CLIENT\\.example|gateway\\.example|127\\.1|\\[::1\\])(:443|:8443)?(/\\.\\.?|/%2e%2e|/c|/|\\\\c|\\?x=1|#x| ){0,4}",
        ) {
            let table = table(&["a"]);
            if let Ok(url) = check_url(&id, &table) {
                prop_assert_eq!(url.as_str(), &id);
                prop_assert_eq!(url.scheme(), "https");
                prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
                prop_assert!(url.host_str() != Some("gateway.example") && url.path() != "");
                prop_assert!(!url.path().split('/').any(|segment| segment == "." || segment == ".."));
            }
        }

        /// An accepted document describes its own URL and has only redirect URIs that a registration may
        /// have.
        #[test]
        fn given_any_document_when_it_is_read_then_it_is_itself_and_its_redirects_are_acceptable(
            id in "(https://client\\.example/oauth/client\\.json|https://evil\\.example/c|)", name in "\\PC{0,5}",
            redirects in proptest::collection::vec("(https://a/|http://a/|http://localhost/|javascript:x|data:x|c://x|https://a@b/|https://a/#x)", 0..4),
            method in prop::option::of("(none|private_key_jwt|client_secret_post)"),
        ) {
            let said = json!({"client_id": id, "client_name": name, "redirect_uris": redirects, "token_endpoint_auth_method": method});
            if let Ok(documented) = read_json(&said) {
                let client = &documented.client;
                prop_assert_eq!(&client.id, ID);
                prop_assert_eq!(id, ID);
                prop_assert!(method.is_none_or(|method| method == "none"));
                prop_assert!(client.redirect_uris.iter().all(|uri| !uri.contains('#') && !uri.contains('@')));
                prop_assert!(client.redirect_uris.iter().all(|uri| ["https://a/", "http://localhost/", "c://x"].contains(&uri.as_str())));
            }
        }
    }
}
