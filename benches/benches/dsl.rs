//! How fast programs are read: bytes per second, against splitting the same bytes into words.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use praxis_dsl::{Catalog, ParameterKind, ToolSignature, check, parse};

/// A program of about `lines` lines, of every kind that people write.
fn program(lines: usize) -> String {
    let mut text = String::from("WORKFLOW bench --version 1.0\nINPUT dir = \"docs\"\n");
    for n in 0..lines / 10 {
        text.push_str(&format!(
            "# part {n}\n\
             LET files{n} = CALL list_files $dir --pattern \"*.md\"\n\
             FOR file IN $files{n}\n\
             \x20 LET text{n} = CALL read_file $file @timeout=5s\n\
             \x20 LET stats{n} = CALL word_count --text $text{n}\n\
             END_FOR\n\
             IF size(files{n}) > 0\n\
             \x20 CALL write_file \"out/${{dir}}/{n}.json\" --content \"${{stats{n}}} \\\"quoted\\\"\"\n\
             \x20 CALL probe --v 42 --cfg '{{\"a\": [1, 2.5, null]}}' --flag\n\
             END_IF\n"
        ));
    }
    text
}

fn catalog() -> Catalog {
    let text = ParameterKind::Text;
    [
        ToolSignature::new("list_files")
            .optional("directory", text)
            .optional("pattern", text),
        ToolSignature::new("read_file")
            .required("filename", text)
            .optional("encoding", text),
        ToolSignature::new("word_count").required("text", text),
        ToolSignature::new("write_file")
            .required("filename", text)
            .rest("content"),
        ToolSignature::new("probe")
            .optional("v", ParameterKind::Integer)
            .optional("cfg", ParameterKind::Object)
            .optional("flag", ParameterKind::Boolean),
    ]
    .into_iter()
    .collect()
}

fn reading(criterion: &mut Criterion) {
    let catalog = catalog();
    let mut group = criterion.benchmark_group("dsl");
    group.sample_size(20);
    for lines in [100usize, 100_000] {
        let source = program(lines);
        let words = source.split_ascii_whitespace().count();
        let checked = check(&parse(&source), &catalog);
        assert!(
            checked.program.is_some(),
            "{:?}",
            checked.diagnostics.first()
        );
        group.throughput(Throughput::Bytes(source.len() as u64));
        group.bench_function(BenchmarkId::new("split", lines), |bencher| {
            bencher.iter(|| assert_eq!(black_box(&source).split_ascii_whitespace().count(), words));
        });
        group.bench_function(BenchmarkId::new("parse", lines), |bencher| {
            bencher.iter(|| assert!(!parse(black_box(&source)).has_errors()));
        });
        let tree = parse(&source);
        group.bench_function(BenchmarkId::new("check", lines), |bencher| {
            bencher.iter(|| assert!(check(black_box(&tree), &catalog).program.is_some()));
        });
    }
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
