use praxis_cache::store::conformance;
use praxis_cache::{MapStore, MokaStore, QuickStore};

#[test]
fn every_store_conforms() {
    conformance::check(&MokaStore::new(1_000, 16 << 20));
    conformance::check(&QuickStore::new(1_000, 16 << 20));
    conformance::check(&MapStore::default());
}
