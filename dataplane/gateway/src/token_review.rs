//! Validates service account tokens with the cluster's TokenReview API.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use portcullis_authorization_server::{ServiceAccount, TokenReviewError, TokenReviewFuture, TokenReviewer};
use tokio::time::timeout;

/// Deadline of a TokenReview request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Prefix of the user names of service accounts.
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Reviews tokens with the API of the cluster that this replica runs in.
pub(crate) struct KubeTokenReviewer(Api<TokenReview>);

impl KubeTokenReviewer {
    pub(crate) fn new(client: Client) -> Self {
        Self(Api::all(client))
    }

    async fn create_review(
        &self,
        token: &str,
        audience: &str,
    ) -> Result<Option<ServiceAccount>, TokenReviewError> {
        let asked = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![audience.to_owned()]),
            },
            status: None,
        };
        let parameters = PostParams::default();
        let answer = timeout(REQUEST_TIMEOUT, self.0.create(&parameters, &asked))
            .await
            .map_err(|_| TokenReviewError::Timeout)?
            .map_err(|error| TokenReviewError::Request(error.into()))?;
        Ok(answer.status.and_then(|status| service_account(status, audience)))
    }
}

impl TokenReviewer for KubeTokenReviewer {
    fn review<'a>(&'a self, token: &'a str, audience: &'a str) -> TokenReviewFuture<'a> {
        Box::pin(self.create_review(token, audience))
    }
}

/// The service account of a review. A review without our audience is rejected: an API server without support
/// for audiences returns none, and authenticates tokens that were issued for the API server itself.
fn service_account(status: TokenReviewStatus, audience: &str) -> Option<ServiceAccount> {
    let is_for_us = status.audiences.unwrap_or_default().iter().any(|each| each == audience);
    if status.authenticated != Some(true) || !is_for_us {
        return None;
    }
    let user = status.user?.username?;
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    Some(ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    const US: &str = "https://gateway.example/mcp/a";

    fn status(authenticated: bool, user: &str, audiences: Option<&[&str]>) -> TokenReviewStatus {
        TokenReviewStatus {
            authenticated: Some(authenticated),
            user: Some(UserInfo { username: Some(user.to_owned()), ..UserInfo::default() }),
            audiences: audiences.map(|list| list.iter().map(|each| (*each).to_owned()).collect()),
            error: None,
        }
    }

    #[test]
    fn given_a_review_then_only_a_service_account_with_a_token_for_us_counts() {
        let reporter = "system:serviceaccount:mcp:reporter";
        let found = service_account(status(true, reporter, Some(&[US])), US);
        assert_eq!(found, Some(ServiceAccount { namespace: "mcp".to_owned(), name: "reporter".to_owned() }));
        for refused in [
            status(false, reporter, Some(&[US])),
            status(true, reporter, None),
            status(true, reporter, Some(&["https://kubernetes.default.svc"])),
            status(true, "kubernetes-admin", Some(&[US])),
            status(true, "system:serviceaccount:mcp", Some(&[US])),
            TokenReviewStatus::default(),
        ] {
            assert_eq!(service_account(refused, US), None);
        }
    }
}
