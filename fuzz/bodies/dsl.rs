//! What holds for any bytes. The fuzz targets run these on what the fuzzer makes up, the tests of
//! `praxis-dsl` on the seeds and on mutations of them.

use praxis_dsl::json::Program;
use praxis_dsl::{
    Catalog, Diagnostic, Document, ParameterKind, ToolSignature, Tree, check, compat_ast,
    compat_tokens, decode, parse,
};

/// What panics where something does not hold.
pub type Body = fn(&[u8]);

/// The bodies by the names of their targets.
pub const TARGETS: &[(&str, Body)] = &[
    ("parser", parser),
    ("checker", checker),
    ("document", document),
    ("format", format),
    ("json", json),
];

/// Separates the program from the edits in the input of [`document`].
const SEPARATOR: u8 = 0x1e;

fn catalog() -> Catalog {
    let text = ParameterKind::Text;
    [
        ToolSignature::new("read_file")
            .required("filename", text)
            .optional("encoding", text),
        ToolSignature::new("write_file")
            .required("filename", text)
            .rest("content"),
        ToolSignature::new("probe")
            .optional("v", ParameterKind::Any)
            .optional("count", ParameterKind::Integer)
            .optional("items", ParameterKind::Array),
        ToolSignature::new("say").rest("text"),
        ToolSignature::new("ping"),
    ]
    .into_iter()
    .collect()
}

fn shows(source: &str, tree: &Tree, diagnostics: &[Diagnostic]) {
    for found in diagnostics {
        let labels = found.labels.iter().map(|label| label.span);
        let fix = found.fix.iter().map(|fix| fix.span);
        for span in [found.span].into_iter().chain(labels).chain(fix) {
            assert!(source.get(span.range()).is_some(), "{span:?} in {source:?}");
        }
        let row = found.to_row(source, tree.line_index());
        assert!(row.line >= 1 && row.column >= 1);
        assert!(found.render("x", source, true).contains(found.code.id()));
    }
}

/// Any bytes give a tree or a place; every span is in the source; the recorded form is JSON.
pub fn parser(bytes: &[u8]) {
    let source = match decode(bytes) {
        Ok(source) => source,
        Err(error) => {
            error.render("x");
            return;
        }
    };
    let tree = parse(source);
    assert_eq!(tree.source(), source);
    shows(source, &tree, tree.diagnostics());
    match (compat_tokens(&tree), compat_ast(&tree)) {
        (Ok(tokens), Ok(ast)) => {
            for text in [tokens, ast] {
                let read = serde_json::from_str::<serde_json::Value>(&text);
                assert!(read.is_ok(), "{text}");
            }
        }
        (tokens, ast) => assert!(tokens.is_err() && ast.is_err() && tree.has_errors()),
    }
}

/// A program without errors is there, and one with errors is not.
pub fn checker(bytes: &[u8]) {
    let Ok(source) = decode(bytes) else { return };
    let tree = parse(source);
    let checked = check(&tree, &catalog());
    shows(source, &tree, &checked.diagnostics);
    assert_eq!(checked.program.is_none(), checked.has_errors());
    let again = check(&tree, &catalog());
    assert_eq!(again.diagnostics, checked.diagnostics);
}

/// A program, then edits, each a place, a length and a text: what a document says after each is
/// what a check of its text says.
pub fn document(bytes: &[u8]) {
    let catalog = catalog();
    let mut records = bytes.split(|byte| *byte == SEPARATOR);
    let first = records.next().unwrap_or_default();
    let mut text = String::from_utf8_lossy(first).into_owned();
    let mut document = Document::new(text.clone(), &catalog);
    for record in records.take(16) {
        let [high, low, length, inserted @ ..] = record else {
            continue;
        };
        let place = usize::from(*high) << 8 | usize::from(*low);
        let start = text.floor_char_boundary(place % (text.len() + 1));
        let end = text.floor_char_boundary(start + usize::from(*length));
        let range = start..end.max(start);
        let inserted = String::from_utf8_lossy(inserted);
        text.replace_range(range.clone(), &inserted);
        let edited = document.edit(range, &inserted);
        assert!(edited.is_ok(), "{edited:?}");
        assert_eq!(document.text(), text);
        let wanted = check(&parse(&text), &catalog).diagnostics;
        assert_eq!(document.diagnostics(), wanted, "{text:?}");
    }
}

/// The layout of a program is the same program, and its own layout.
pub fn format(bytes: &[u8]) {
    let Ok(source) = decode(bytes) else { return };
    let tree = parse(source);
    let Ok(formatted) = praxis_dsl::format(&tree) else {
        assert!(tree.has_errors(), "{source:?}");
        return;
    };
    let again = parse(&formatted);
    assert!(tree.is_same_program(&again), "{source:?}\n{formatted:?}");
    let fixed = praxis_dsl::format(&again);
    assert_eq!(fixed.as_ref(), Ok(&formatted), "{source:?}");
    let comments = |text: &str| text.matches('#').count();
    assert_eq!(comments(source), comments(&formatted), "{source:?}");
    if tree.has_errors() {
        return;
    }
    // Another reader of the tree, and the checker, see no difference either.
    assert_eq!(
        compat_ast(&tree).ok(),
        compat_ast(&again).ok(),
        "{source:?}"
    );
    let codes = |tree| {
        let found = check(tree, &catalog()).diagnostics;
        found.into_iter().map(|found| found.code).collect()
    };
    let (before, after): (Vec<_>, Vec<_>) = (codes(&tree), codes(&again));
    assert_eq!(before, after, "{source:?}\n{formatted:?}");
    if let Ok(form) = Program::of(&tree) {
        assert!(form.to_source().is_ok(), "{source:?}");
        form_holds(&form);
    }
}

/// A document that is a program is written and read as the same one, and so is its text.
pub fn json(bytes: &[u8]) {
    let Ok(text) = decode(bytes) else { return };
    match Program::from_json(text) {
        Ok(form) => form_holds(&form),
        Err(error) => assert!(!error.message().is_empty()),
    }
}

fn form_holds(form: &Program) {
    let document = serde_json::to_string(form).expect("a form is JSON");
    assert_eq!(Program::from_json(&document).as_ref(), Ok(form));
    let source = match form.to_source() {
        Ok(source) => source,
        Err(error) => {
            assert!(!error.message().is_empty(), "{document}");
            return;
        }
    };
    let tree = parse(&source);
    assert_eq!(Program::of(&tree).as_ref(), Ok(form), "{source:?}");
    let formatted = praxis_dsl::format(&tree).expect("it has a form, so it has no errors");
    assert!(tree.is_same_program(&parse(&formatted)), "{document}");
}
