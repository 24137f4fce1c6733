//! Keeps the private listener available while the process drains.

use std::io;
use std::pin::{Pin, pin};

use futures_util::future::FusedFuture;

/// Completes `drain` and serves the private listener meanwhile.
///
/// The private listener may have failed before, or may fail during the drain. Neither shortens the drain:
/// requests in progress do not need this listener.
pub(super) async fn with_private_listener<T>(
    drain: impl Future<Output = T>,
    mut private: Pin<&mut impl FusedFuture<Output = io::Result<()>>>,
) -> T {
    let mut drain = pin!(drain);
    if !private.is_terminated() {
        tokio::select! {
            done = drain.as_mut() => return done,
            ended = private.as_mut() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the private listener failed during the drain");
                }
            }
        }
    }
    drain.await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    /// Takes several polls, so that a failed listener would be polled again.
    async fn drain() -> &'static str {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        "drained"
    }

    async fn failing_listener() -> io::Result<()> {
        Err(io::Error::other("too many open files"))
    }

    #[tokio::test]
    async fn given_a_private_listener_that_failed_before_the_drain_then_the_drain_completes() {
        let mut private = pin!(failing_listener().fuse());
        assert!(private.as_mut().await.is_err());
        assert_eq!(with_private_listener(drain(), private.as_mut()).await, "drained");
    }

    #[tokio::test]
    async fn given_a_private_listener_that_fails_during_the_drain_then_the_drain_completes() {
        let private = pin!(failing_listener().fuse());
        assert_eq!(with_private_listener(drain(), private).await, "drained");
    }

    #[tokio::test]
    async fn given_a_private_listener_that_keeps_serving_then_the_drain_still_ends() {
        let private = pin!(std::future::pending::<io::Result<()>>().fuse());
        assert_eq!(with_private_listener(drain(), private).await, "drained");
    }
}
