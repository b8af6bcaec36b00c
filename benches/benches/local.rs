//! What the levels of the local engine cost: a call of a program that does nothing, on each.

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use praxis_exec::local::{Level, LocalConfig, LocalEngine};
use praxis_exec::{ExecutionEngine, Request, ToolContract};
use serde_json::Map;

fn engine(level: Level) -> LocalEngine {
    let mut config = LocalConfig::default();
    config.level = Some(level);
    LocalEngine::new(config)
}

async fn call(engine: &LocalEngine, contract: &ToolContract, root: &Path) {
    let arguments = Map::new();
    let output = engine.execute(Request::new(contract, &arguments, root));
    let output = output.await.expect("a program that does nothing does it");
    assert_eq!(output.exit_code, Some(0));
}

fn levels(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime can be had");
    let root = tempfile::tempdir().expect("a folder can be had");
    let contract = ToolContract::new("nothing").command(["/bin/true"]);
    let mut group = criterion.benchmark_group("local");
    group.measurement_time(Duration::from_secs(4));
    for level in Level::ALL {
        let engine = engine(level);
        group.bench_function(level.as_str(), |bencher| {
            bencher.iter(|| runtime.block_on(call(&engine, &contract, root.path())));
        });
    }
    group.finish();
}

criterion_group!(benches, levels);
criterion_main!(benches);
