//! Verifies bearer tokens: configured tokens, and tokens that the authorization server reported as active.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::RwLock;
use serde::Deserialize;

/// The accepted tokens, as complete `Authorization` values.
pub(super) struct TokenVerifier {
    good: RwLock<HashSet<HeaderValue>>,
    introspection: Option<Introspection>,
}

struct Introspection {
    client: Client<HttpConnector, Full<Bytes>>,
    endpoint: Uri,
    authorization: HeaderValue,
}

#[derive(Deserialize)]
struct IntrospectionResponse {
    active: bool,
}

impl TokenVerifier {
    pub(super) fn new(
        accepted: &[String],
        endpoint: Option<&str>,
        client: Option<&str>,
    ) -> anyhow::Result<Self> {
        let good = accepted.iter().map(|token| HeaderValue::try_from(format!("Bearer {token}")));
        let good = RwLock::new(good.collect::<Result<_, _>>()?);
        let Some(endpoint) = endpoint else { return Ok(Self { good, introspection: None }) };
        let basic = format!("Basic {}", STANDARD.encode(client.unwrap_or_default()));
        let introspection = Introspection {
            client: Client::builder(TokioExecutor::new()).build_http(),
            endpoint: endpoint.parse()?,
            authorization: HeaderValue::try_from(basic)?,
        };
        Ok(Self { good, introspection: Some(introspection) })
    }

    /// Whether a request with this `Authorization` is accepted. Introspects only tokens that are not cached.
    pub(super) async fn verify(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some(authorization) = authorization else { return false };
        if self.good.read().contains(authorization) {
            return true;
        }
        let Some(introspection) = &self.introspection else { return false };
        let vouched = introspection.is_active(authorization).await.unwrap_or(false);
        if vouched {
            self.good.write().insert(authorization.clone());
        }
        vouched
    }
}

impl Introspection {
    async fn is_active(&self, authorization: &HeaderValue) -> anyhow::Result<bool> {
        let Some(token) = authorization.to_str()?.strip_prefix("Bearer ") else { return Ok(false) };
        let form: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.endpoint.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form)))?;
        let answer = self.client.request(request).await?.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice::<IntrospectionResponse>(&answer)?.active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn given_tokens_that_it_was_told_then_only_they_pass() {
        let tokens = TokenVerifier::new(&["good".to_owned()], None, None).unwrap();
        assert!(tokens.verify(Some(&HeaderValue::from_static("Bearer good"))).await);
        assert!(!tokens.verify(Some(&HeaderValue::from_static("Bearer other"))).await);
        assert!(!tokens.verify(None).await);
    }
}
