//! How fast programs are read: bytes per second, against splitting the same bytes into words.

#![expect(
    clippy::print_stderr,
    reason = "what is measured without a clock is told too"
)]

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logos::Logos;
use praxis_dsl::{Catalog, Document, ParameterKind, Scope, ToolSignature, check, parse};

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

/// A lexer for the language that only lexes: words, quotes, comments and line ends, told apart as
/// far as a regular language can. It builds nothing.
#[derive(Logos, Debug, PartialEq)]
#[logos(skip r"[ \t\x0b\x0c\r]+")]
enum Token {
    #[token("\n")]
    LineEnd,
    #[regex(r"#[^\n]*", allow_greedy = true)]
    Comment,
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)]
    Double,
    #[regex(r"'([^'\\\n]|\\[^\n])*'")]
    Single,
    /// `--name=` and `@name=` take a quoted value.
    #[regex(r#"(--|@)[A-Za-z0-9_]+=("([^"\\\n]|\\[^\n])*"|'([^'\\\n]|\\[^\n])*')"#)]
    Value,
    #[regex(r#"([^ \t\x0b\x0c\r\n"'#\\]|\\[^\n])([^ \t\x0b\x0c\r\n"'\\]|\\[^\n])*"#)]
    Bare,
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
        let tokens = Token::lexer(&source).filter(|token| token.is_ok()).count();
        assert!(tokens > words, "{tokens} of {words}");
        group.bench_function(BenchmarkId::new("logos", lines), |bencher| {
            bencher.iter(|| {
                let lexer = Token::lexer(black_box(&source));
                assert_eq!(lexer.filter(|token| token.is_ok()).count(), tokens);
            });
        });
        group.bench_function(BenchmarkId::new("parse", lines), |bencher| {
            bencher.iter(|| assert!(!parse(black_box(&source)).has_errors()));
        });
        let tree = parse(&source);
        let commands = source.lines().filter(|line| !line.starts_with('#')).count();
        eprintln!(
            "dsl/tree/{lines}: {} bytes of memory for a command, {} of them its text",
            tree.weight_bytes() / commands,
            source.len() / commands
        );
        group.bench_function(BenchmarkId::new("check", lines), |bencher| {
            bencher.iter(|| assert!(check(black_box(&tree), &catalog).program.is_some()));
        });
    }
    group.finish();
}

/// What in the lines of a part is changed, there and back: some changes are right and some are
/// mistakes.
const EDITS: &[(&str, &str)] = &[
    ("$dir --pattern", "docs --pattern"),
    ("\"*.md\"", "\"*.txt\""),
    ("IN $files", "IN $dir.files"),
    ("$file @timeout=5s", "$file @timeout=50s"),
    ("CALL word_count", "CALL word_cont"),
    ("size(files", "size( files"),
    ("> 0", "> 10"),
    ("--content", "--contents"),
    ("--v 42", "--v 4.2"),
    ("null]", "true]"),
];

/// An edit of one line in the middle of a program, against the cost of one command: that of a
/// check of the whole text by its lines.
fn editing(criterion: &mut Criterion) {
    const LINES: usize = 10_000;
    let catalog = catalog();
    let source = program(LINES);
    let mut group = criterion.benchmark_group("dsl");
    group.sample_size(20);
    group.bench_function(BenchmarkId::new("command", LINES), |bencher| {
        bencher.iter_custom(|rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                let tree = parse(black_box(&source));
                assert!(check(&tree, &catalog).program.is_some());
            }
            let lines = u32::try_from(LINES).expect("it is small");
            start.elapsed() / lines
        });
    });
    let part = source
        .find(&format!("# part {}", LINES / 20))
        .expect("there is one in the middle");
    let mut edits = Vec::new();
    for (from, to) in EDITS {
        let at = part + source[part..].find(from).expect("every part has it");
        edits.push((at..at + from.len(), *to));
        edits.push((at..at + to.len(), *from));
    }
    let at = part + source[part..].find("$dir").expect("every part has it");
    let unbound = [(at..at + 4, "$dit"), (at..at + 4, "$dir")];
    for (name, edits) in [("edit", &edits[..]), ("edit_unbound", &unbound)] {
        let mut document = Document::new(source.clone(), &catalog);
        group.bench_function(BenchmarkId::new(name, LINES), |bencher| {
            let mut next = 0;
            // Now and then the text that was replaced is cleared away with a full check.
            let mut full = 0;
            bencher.iter(|| {
                let (range, text) = &edits[next % edits.len()];
                next += 1;
                let scope = document.edit(range.clone(), text);
                full += usize::from(scope != Ok(Scope::Line));
                black_box(document.diagnostics().len())
            });
            assert!(full <= next / 1_000, "{full} of {next}");
            // What the next round begins with.
            if next % 2 == 1 {
                let (range, text) = &edits[next % edits.len()];
                document
                    .edit(range.clone(), text)
                    .expect("it is in the text");
            }
        });
        assert_eq!(document.text(), source);
        assert_eq!(document.diagnostics(), []);
    }
    group.finish();
}

criterion_group!(benches, reading, editing);
criterion_main!(benches);
