//! Large and hostile programs take steps in proportion to their length.

use crate::{Catalog, Document, ParameterKind, ToolSignature, check, parse, steps};

fn catalog() -> Catalog {
    let text = ParameterKind::Text;
    let mut open = ToolSignature::new("open_tool").required("first", ParameterKind::Any);
    open.open = true;
    [
        ToolSignature::new("say").rest("text"),
        ToolSignature::new("ping"),
        ToolSignature::new("read_file").required("filename", text),
        open,
    ]
    .into_iter()
    .collect()
}

fn numbered(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// An input of about as many bytes as it is told.
type Shape = fn(usize) -> String;

const SHAPES: &[(&str, Shape)] = &[
    ("blanks", |size| " ".repeat(size)),
    ("blanks before a line", |size| {
        format!(
            "{}CALL ping\n{}END_IF",
            " ".repeat(size / 2),
            " ".repeat(size / 2)
        )
    }),
    ("comments", |size| "# nothing to do\n".repeat(size / 16)),
    ("lines", |size| {
        numbered(size / 32, |n| format!("LET x{n:07} = CALL read_file a\n"))
    }),
    ("used names", |size| {
        numbered(size / 32, |n| format!("INPUT x{n:07}\nCALL say $x{n:07}\n"))
    }),
    ("one long line", |size| {
        format!("CALL say {}", "a".repeat(size))
    }),
    ("arguments", |size| {
        format!("CALL say {}", "a ".repeat(size / 2))
    }),
    ("named arguments", |size| {
        format!(
            "CALL open_tool 1 {}",
            numbered(size / 12, |n| format!("--k{n} 1 "))
        )
    }),
    ("arguments given twice", |size| {
        format!(
            "CALL open_tool 1 {}",
            numbered(size / 12, |n| format!("--k{} 1 ", n / 2))
        )
    }),
    ("surplus arguments", |size| {
        format!("CALL ping {}", "a ".repeat(size / 2))
    }),
    ("quotes", |size| {
        format!("CALL say {}", "a\"b\"".repeat(size / 4))
    }),
    ("open quotes", |size| "CALL say \"\n".repeat(size / 11)),
    ("open interpolations", |size| {
        format!("CALL say {}", "\"${\" ".repeat(size / 5))
    }),
    ("an open interpolation", |size| {
        format!("CALL say \"{}", "${".repeat(size / 2))
    }),
    ("bare interpolations", |size| {
        format!("CALL say {}", "${a ".repeat(size / 4))
    }),
    ("interpolations", |size| {
        format!("INPUT x\nCALL say \"{}\"", "${x} ".repeat(size / 5))
    }),
    ("values", |size| {
        format!(
            "CALL say --{}={}",
            "a".repeat(size / 2),
            "${x}=".repeat(size / 10)
        )
    }),
    ("backslashes", |size| {
        format!("CALL say {}", "\\".repeat(size))
    }),
    ("escapes", |size| {
        format!("CALL say \"{}\"", "\\n".repeat(size / 2))
    }),
    ("dollars", |size| {
        format!("CALL say {}", "$x".repeat(size / 2))
    }),
    ("json", |size| {
        format!("CALL say [{}1]", "1,".repeat(size / 2))
    }),
    ("nesting", |size| {
        format!(
            "{}{}",
            "IF a\n".repeat(size / 11),
            "ENDIF\n".repeat(size / 11)
        )
    }),
    ("open blocks", |size| "IF a\n".repeat(size / 5)),
    ("ends", |size| "END_FOR\n".repeat(size / 8)),
    ("clauses", |size| {
        format!("IF a\n{}ENDIF\n", "ELIF a\n".repeat(size / 7))
    }),
    ("stray clauses", |size| {
        "TRY\nCATCH\nCATCH\n".repeat(size / 16)
    }),
    ("clauses far in", |size| {
        format!(
            "{}IF a\n{}ENDIF\n",
            " ".repeat(size / 2),
            "ELSE\n".repeat(size / 10)
        )
    }),
    ("misspelt openings", |size| "PARALEL\n".repeat(size / 8)),
    ("misspelt blocks", |size| {
        "PARALEL\nCALL a\nEND_PARALLEL\n".repeat(size / 28)
    }),
    ("wrong ends", |size| {
        "FOR x IN [1]\nCALL a\nEND_IF\n".repeat(size / 26)
    }),
    ("mixed blocks", |size| {
        "IF a\nPARALLEL\nCALL b\nELSE\nENDIF\n".repeat(size / 32)
    }),
    ("blocks in blocks", |size| {
        "PARALLEL\nFOR x IN [1]\nLET y = 1\nEND_FOR\nEND_PARALLEL\n".repeat(size / 52)
    }),
    ("handlers", |size| {
        "TRY\nLET a = 1\nCATCH e\nCALL say $a\nEND_TRY\n".repeat(size / 42)
    }),
    ("expressions", |size| {
        "LET x = ${1 + 2 * 3}\n".repeat(size / 21)
    }),
    ("unquoted expressions", |size| {
        "LET x = a + b\n".repeat(size / 14)
    }),
    ("diagnostics", |size| "nonsense here\n".repeat(size / 14)),
    ("unknown tools", |size| {
        numbered(size / 16, |n| format!("CALL raed{n:06}\n"))
    }),
    ("unbound names", |size| {
        numbered(size / 24, |n| format!("LET name{n} = $nmae{n}\n"))
    }),
    ("unknown ids", |size| {
        numbered(size / 40, |n| {
            format!("CALL ping @id=step{n} @after=setp{n}\n")
        })
    }),
    ("repeated ids", |size| "CALL ping @id=a\n".repeat(size / 16)),
    ("repeated names", |size| "LET a = 1\n".repeat(size / 10)),
    ("awaited ids", |size| {
        let ids = numbered(size / 8, |n| format!("s{n},"));
        format!("CALL ping @after={}", ids.trim_end_matches(','))
    }),
];

fn steps_of(source: &str, catalog: &Catalog) -> u64 {
    steps::of(|| {
        check(&parse(source), catalog);
    })
}

#[test]
fn eight_times_the_input_takes_eight_times_the_steps() {
    let catalog = catalog();
    for (name, shape) in SHAPES {
        let (small, large) = (shape(8_000), shape(64_000));
        let (few, many) = (steps_of(&small, &catalog), steps_of(&large, &catalog));
        assert!(few > 0, "{name} takes no steps");
        // Some lists are bounded, and the small input may not have filled them.
        assert!(many <= few * 12, "{name}: {few} steps became {many}");
        let each = many / large.len() as u64;
        assert!(each < 1_000, "{name}: {each} steps for a byte");
    }
}

#[test]
fn a_million_lines_take_a_million_times_the_steps_of_one() {
    let catalog = catalog();
    let program = |lines| "CALL ping\n".repeat(lines);
    let (few, many) = (
        steps_of(&program(1_000), &catalog),
        steps_of(&program(1_000_000), &catalog),
    );
    assert!(many <= few * 1_001, "{few} steps became {many}");
}

#[test]
fn an_edit_takes_the_steps_of_its_line() {
    let catalog = catalog();
    let edit = |lines: usize| {
        let program = numbered(lines, |n| format!("LET x{n:07} = CALL read_file a.txt\n"));
        let half = program.len() / 2;
        let at = half + program[half..].find("a.txt").expect("every line has it");
        let mut document = Document::new(program, &catalog);
        steps::of(|| {
            document.edit(at..at + 1, "b").expect("it is in the text");
        })
    };
    // A look-up by place takes the logarithm of the lines.
    let (few, many) = (edit(1_000), edit(16_000));
    assert!(many <= few + 16, "{few} steps became {many}");
}
