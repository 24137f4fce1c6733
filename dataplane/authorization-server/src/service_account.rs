//! Kubernetes service accounts: who verifies their tokens is passed in, because this room does not know Kubernetes.

use std::pin::Pin;

/// A service account whose token was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The token could not be reviewed, which says nothing about it.
#[derive(Debug, thiserror::Error)]
#[error("the cluster does not say whether the token is good: {0}")]
pub struct TokenReviewError(pub String);

/// What came of a review: `None` for a token that is not good for the audience, or not a service account's.
pub type TokenReviewFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Option<ServiceAccount>, TokenReviewError>> + Send + 'a>>;

/// Asks a cluster whose service account token it is (Kubernetes TokenReview).
pub trait TokenReviewer: Send + Sync {
    /// Whose token it is, if it was made for this audience.
    fn review<'a>(&'a self, token: &'a str, audience: &'a str) -> TokenReviewFuture<'a>;
}
