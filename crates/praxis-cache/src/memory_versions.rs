use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::{Resource, Stamp, Version, Versions};

/// Versions that the caller counts itself, in memory: every resource has one, and it changes when told.
#[derive(Debug, Default)]
pub struct MemoryVersions {
    changes: Mutex<BTreeMap<Resource, u64>>,
}

impl MemoryVersions {
    /// Gives a new version to `resource` and to all that overlap it.
    pub fn touch(&self, resource: &Resource) {
        *self.changes.lock().entry(resource.clone()).or_default() += 1;
    }
}

impl Versions for MemoryVersions {
    /// Looks at every resource that was ever touched.
    fn version(&self, resource: &Resource) -> Version {
        let changes = self.changes.lock();
        let overlapping = changes.iter().filter(|(other, _)| other.overlaps(resource));
        let count: u64 = overlapping.map(|(_, count)| count).sum();
        Version::At(Stamp::of(&count.to_le_bytes()))
    }
}
