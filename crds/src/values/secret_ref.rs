use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A key of a Secret in the same namespace. The Secret must carry the label `portcullis.dev/credential: "true"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
