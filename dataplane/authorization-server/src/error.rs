//! Internal failures of the gateway.

use portcullis_clock::NoRandomness;
use portcullis_keyring::GatewayTokenError;
use portcullis_store::StoreError;

/// An internal failure of the gateway, independent of the request.
#[derive(Debug, thiserror::Error)]
pub enum InternalError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The random source failed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Signing a token failed.
    #[error(transparent)]
    Unsignable(#[from] GatewayTokenError),
}
