use portcullis_clock::NoRandomness;
use portcullis_keyring::GatewayTokenError;
use portcullis_store::StoreError;

/// The gateway could not do its part. Never says anything about whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum InternalError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing secret can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// No token can be signed.
    #[error(transparent)]
    Unsignable(#[from] GatewayTokenError),
}
