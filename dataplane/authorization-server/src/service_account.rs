//! The interface for verifying tokens of Kubernetes service accounts. This crate does not depend on
//! Kubernetes; the gateway passes an implementation.

use std::pin::Pin;

/// The service account of a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// The review failed. The token may be valid or not.
#[derive(Debug, thiserror::Error)]
pub enum TokenReviewError {
    /// The cluster did not respond in time.
    #[error("the TokenReview failed: the API server did not respond in time")]
    Timeout,
    /// The request failed.
    #[error("the TokenReview failed: {0}")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Result of a review. `None` if the token is invalid for the audience, or not a service account token.
pub type TokenReviewFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Option<ServiceAccount>, TokenReviewError>> + Send + 'a>>;

/// Verifies service account tokens with the cluster (Kubernetes TokenReview).
pub trait TokenReviewer: Send + Sync {
    /// Returns the token's service account, if the token was issued for this audience.
    fn review<'a>(&'a self, token: &'a str, audience: &'a str) -> TokenReviewFuture<'a>;
}
