//! Sources of the route table. A source produces config documents; [`TablePublisher`] swaps in a table as a
//! whole or not at all.
//!
//! ```text
//! folder    local manifests, compiled in process     folder.rs, folder_keys.rs, follow_folder.rs,
//!                                                    resource_uids.rs
//! cluster   the config that an operator publishes    cluster/
//! ```
//!
//! *Architecture invariant:* only the folder source depends on the compiler, and nothing here depends on
//! requests.

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
