//! Where the route table comes from. A source has a contract, or its documents one by one; [`TablePublisher`] puts the table in place,
//! whole or not at all.
//!
//! ```text
//! folder    manifests on this machine, compiled in process      folder.rs, ids.rs, keys.rs, watch.rs
//! cluster   what an operator publishes                          cluster/
//! ```
//!
//! *Architecture invariant:* only the folder source knows the compiler, and nothing here knows a request.

pub(crate) mod cluster;
mod folder;
mod folder_keys;
mod follow_folder;
#[cfg(test)]
mod golden;
mod resource_uids;
mod table_publisher;

pub(crate) use folder::{Loaded, ManifestFolder, read_folder};
pub(crate) use folder_keys::FolderKeys;
pub(crate) use follow_folder::{FolderWatcher, follow_folder};
pub(crate) use table_publisher::TablePublisher;
