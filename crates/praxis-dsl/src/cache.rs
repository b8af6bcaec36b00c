//! Checks that are remembered: the same text against the same tools is not checked again.

use std::sync::Arc;
use std::time::Duration;

use praxis_cache::{CacheService, KeyId, Weighted};

use crate::catalog::ToolCatalog;
use crate::check::{Checked, check};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::parser::parse;
use crate::tree::Tree;

/// What tells one catalog from another: it changes with every name, parameter and text of a tool.
///
/// It is the same in every process and on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CatalogDigest(KeyId);

impl CatalogDigest {
    /// The digest of all signatures of `catalog`, in whatever order it names them. It takes time
    /// for each tool, so make it once for a catalog that does not change.
    pub fn of(catalog: &dyn ToolCatalog) -> Self {
        let mut names = catalog.names();
        names.sort_unstable();
        let signatures: Vec<Vec<u8>> = names
            .iter()
            .filter_map(|name| catalog.tool(name))
            .map(|tool| serde_json::to_vec(tool).expect("a signature has no maps and no errors"))
            .collect();
        let parts: Vec<&[u8]> = signatures.iter().map(Vec::as_slice).collect();
        Self(KeyId::of_content(&parts))
    }
}

/// A check that was made, with what it was made of.
#[derive(Debug)]
pub struct Validation {
    source: Box<str>,
    catalog: CatalogDigest,
    checked: Checked,
}

impl Validation {
    /// What the check found.
    pub fn checked(&self) -> &Checked {
        &self.checked
    }
}

impl Weighted for Validation {
    /// The source, some bytes of tree for each of its bytes, and the texts of the diagnostics.
    fn weight_bytes(&self) -> usize {
        const PROGRAM_BYTES_PER_BYTE: usize = 24;
        let program = usize::from(self.checked.program.is_some()) * PROGRAM_BYTES_PER_BYTE;
        let text = |diagnostic: &Diagnostic| {
            let help = diagnostic.help.as_ref().map_or(0, String::len);
            size_of::<Diagnostic>() + diagnostic.message.len() + help
        };
        let diagnostics: usize = self.checked.diagnostics.iter().map(text).sum();
        size_of::<Self>() + self.source.len() * (1 + program) + diagnostics
    }
}

/// Remembers checks by source and catalog.
///
/// ```
/// use praxis_dsl::{Catalog, CatalogDigest, CheckCache, ToolSignature};
///
/// let catalog: Catalog = [ToolSignature::new("ping")].into_iter().collect();
/// let digest = CatalogDigest::of(&catalog);
/// let cache = CheckCache::new(16 << 20);
/// for round in 0..2 {
///     let validation = cache.check("CALL ping", digest, &catalog);
///     assert!(validation.checked().program.is_some());
///     assert_eq!(cache.service().category_stats(CheckCache::CATEGORY).hits, round);
/// }
/// ```
#[derive(Clone)]
pub struct CheckCache {
    service: Arc<CacheService<Validation>>,
}

impl CheckCache {
    /// The category under which the service counts checks.
    pub const CATEGORY: &str = "validation";

    /// How long a check is remembered.
    pub const TTL: Duration = Duration::from_secs(300);

    /// A cache of at most `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        Self::with_service(Arc::new(CacheService::new(max_bytes, Self::TTL)))
    }

    /// A cache over a service of the caller's, whose entries it keeps for [`CheckCache::TTL`].
    pub fn with_service(service: Arc<CacheService<Validation>>) -> Self {
        Self { service }
    }

    /// The service with its statistics.
    pub fn service(&self) -> &CacheService<Validation> {
        &self.service
    }

    /// Parses and checks `source`, or gives what an earlier check of the same text found.
    ///
    /// `digest` is that of `catalog`. The key is a hash, but the text is compared too, so that no
    /// text can pass for another.
    pub fn check(
        &self,
        source: &str,
        digest: CatalogDigest,
        catalog: &dyn ToolCatalog,
    ) -> Arc<Validation> {
        self.get_or_make(source, digest, || check(&parse(source), catalog))
    }

    /// The same for a text that was parsed already, within the same limits.
    pub fn check_tree(
        &self,
        tree: &Tree,
        digest: CatalogDigest,
        catalog: &dyn ToolCatalog,
    ) -> Arc<Validation> {
        // A tree of what was too large to be read does not hold its source.
        let refused = |diagnostic: &Diagnostic| diagnostic.code == Code::SourceTooLarge;
        if tree.diagnostics().iter().any(refused) {
            return Arc::new(Validation {
                source: Box::default(),
                catalog: digest,
                checked: check(tree, catalog),
            });
        }
        self.get_or_make(tree.source(), digest, || check(tree, catalog))
    }

    fn get_or_make(
        &self,
        source: &str,
        digest: CatalogDigest,
        make: impl FnOnce() -> Checked,
    ) -> Arc<Validation> {
        let id = digest.0.to_string();
        let key = KeyId::of_content(&[id.as_bytes(), source.as_bytes()]).to_string();
        let known = self.service.get(Self::CATEGORY, &key);
        if let Some(known) = known
            && known.catalog == digest
            && *known.source == *source
        {
            return known;
        }
        let validation = Validation {
            source: source.into(),
            catalog: digest,
            checked: make(),
        };
        self.service
            .set_for(Self::CATEGORY, &key, validation, Self::TTL)
    }
}

impl std::fmt::Debug for CheckCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckCache").finish_non_exhaustive()
    }
}
