//! A document that was edited says what a check of its text says.

use praxis_dsl::{Catalog, Document, Scope, check, parse};

use crate::writer::{Random, Writer};

/// What people and keyboards put in, besides the words of the program itself.
const INSERTED: &[&str] = &[
    "x",
    " ",
    "  ",
    "\n",
    "\r",
    "\r\n",
    "\"",
    "'",
    "\\",
    "$",
    "${",
    "}",
    "#",
    "=",
    "@id=x",
    " @id=one",
    " @id=s3",
    " @after=one",
    " @after=s2,onne",
    " @timeout=5s",
    " --text $listing",
    " $nothing",
    " $lsting",
    " ${size(listing)}",
    " \"${summary} and $summary\"",
    "\u{feff}",
    "\u{200b}",
    "\u{202e}",
    "\0",
    "é🦀",
    "CALL sya hello\n",
    "LET again = 5\n",
    "LET listing = 5\n",
    "RETURN\n",
    "IF true\n",
    "END_IF\n",
    "ELSE\n",
    "TRY\n",
    "CATCH problem\n",
    "END_TRY\n",
    "PARALLEL\n",
    "END_PARALLEL\n",
    "FOR item IN $listing\n",
    "END_FOR\n",
    "WORKFLOW other\n",
    "INPUT late\n",
    "PARALEL\n",
];

fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// An edit as someone makes it: a range of `text` and what comes there.
fn edit(random: &mut Random, text: &str) -> (std::ops::Range<usize>, String) {
    let start = boundary(text, random.below(text.len() + 1));
    match random.below(8) {
        0 => {
            let end = boundary(text, (start + random.below(4)).min(text.len()));
            (start..end.max(start), String::new())
        }
        1 => {
            let end = boundary(text, (start + random.below(60)).min(text.len()));
            (start..end.max(start), String::new())
        }
        2 => (start..start, (*random.pick(INSERTED)).to_owned()),
        // A word gives way to one of another place.
        3..=5 => {
            let words: Vec<&str> = text.split_whitespace().collect();
            let (Some(_), from) = (words.first(), start) else {
                return (start..start, "CALL ping\n".to_owned());
            };
            let from = text[..from]
                .rfind(char::is_whitespace)
                .map_or(0, |at| boundary(text, at + 1));
            let end = text[from..]
                .find(char::is_whitespace)
                .map_or(text.len(), |at| from + at);
            (from..end, (*random.pick(&words)).to_owned())
        }
        6 => {
            let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
            (end..end, (*random.pick(INSERTED)).to_owned())
        }
        _ => (
            start..start,
            (*random.pick(&["a", "b", "_", "1", ".", " "])).to_owned(),
        ),
    }
}

fn agrees(document: &Document<&Catalog>, text: &str, catalog: &Catalog) {
    assert_eq!(document.text(), text);
    let wanted = check(&parse(text), catalog).diagnostics;
    assert_eq!(document.diagnostics(), wanted, "{text}");
}

/// Edits programs at random; gives how many edits checked their line only.
fn drive(seed: u64, programs: usize, edits: usize) -> usize {
    let catalog = crate::catalog();
    let mut random = Random(seed);
    let mut alone = 0;
    for _ in 0..programs {
        let mut text = Writer::program(&mut random).join("\n");
        let mut document = Document::new(text.clone(), &catalog);
        agrees(&document, &text, &catalog);
        for _ in 0..edits {
            let before = text.clone();
            let (range, replacement) = edit(&mut random, &text);
            text.replace_range(range.clone(), &replacement);
            let scope = document
                .edit(range, &replacement)
                .expect("the range is in the text");
            alone += usize::from(scope == Scope::Line);
            let wanted = check(&parse(&text), &catalog).diagnostics;
            assert_eq!(document.text(), text);
            assert_eq!(
                document.diagnostics(),
                wanted,
                "{scope:?}\n{before}\n--- became\n{text}"
            );
            // Most mistakes are mended, so that programs stay such.
            if wanted.len() > 3 && random.below(4) > 0 {
                text = before;
                document = Document::new(text.clone(), &catalog);
            }
        }
    }
    alone
}

#[test]
fn random_edits_agree_with_a_check_of_the_text() {
    let alone = drive(11, 24, 40);
    assert!(alone > 160, "only {alone} of 960 edits checked one line");
}

#[test]
fn every_single_mistake_and_its_repair() {
    // Two documents that say the same, one of them edited there and back.
    let catalog = crate::catalog();
    let mut random = Random(5);
    for _ in 0..8 {
        let text = Writer::program(&mut random).join("\r\n");
        let mut document = Document::new(text.clone(), &catalog);
        for _ in 0..24 {
            let (range, replacement) = edit(&mut random, &text);
            let removed = text[range.clone()].to_owned();
            document
                .edit(range.clone(), &replacement)
                .expect("it is in the text");
            document
                .edit(range.start..range.start + replacement.len(), &removed)
                .expect("it is in the text");
            agrees(&document, &text, &catalog);
        }
    }
}

#[test]
fn a_change_of_a_line_looks_at_the_line() {
    let catalog = crate::catalog();
    let text = "INPUT dir\nLET files = CALL list_files $dir\nIF size(files) > 0\n  CALL say $files\nEND_IF\n# end\n";
    let cases = [
        ("$dir", "\"${dir}/x\"", Scope::Line),
        ("list_files", "lst_files", Scope::Line),
        ("$dir", "$dri", Scope::Line),
        ("> 0", "> ", Scope::Line),
        ("say", "say @id=one", Scope::Document),
        ("# end", "# the end", Scope::Line),
        ("# end", "CALL ping", Scope::Document),
        ("LET files", "LET names", Scope::Document),
        ("END_IF", "END_FOR", Scope::Document),
        ("  CALL", "\tCALL", Scope::Line),
    ];
    for (from, to, scope) in cases {
        let mut document = Document::new(text.to_owned(), &catalog);
        let at = text.find(from).expect("it is in the text");
        assert_eq!(
            document.edit(at..at + from.len(), to),
            Ok(scope),
            "{from} to {to}"
        );
        agrees(&document, &text.replacen(from, to, 1), &catalog);
    }
}

#[test]
fn ranges_that_are_none_are_refused() {
    let catalog = crate::catalog();
    let text = "CALL say é\n";
    let mut document = Document::new(text.to_owned(), &catalog);
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is refused")]
    let ranges = [10..10, 0..13, 13..13, 5..2, usize::MAX..usize::MAX, 9..10];
    for range in ranges {
        let error = document
            .edit(range.clone(), "x")
            .expect_err("it is refused");
        assert!(error.to_string().contains(&format!("{range:?}")), "{error}");
    }
    agrees(&document, text, &catalog);
    assert_eq!(document.edit(12..12, "CALL ping"), Ok(Scope::Document));
    assert_eq!(document.line(1), Some("CALL ping"));
    assert_eq!(
        (document.line_start(1), document.line_start(2)),
        (Some(12), None)
    );
}
