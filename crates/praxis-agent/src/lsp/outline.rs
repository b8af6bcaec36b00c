//! The outline of a document, and which lines fold.

use praxis_dsl::{Keyword, Span, Statement, Statements, Tree};

use super::document::Document;
use super::protocol::{Folding, Symbol, SymbolKind};

/// How many symbols an outline has at most.
const MOST_SYMBOLS: usize = 20_000;

pub(super) fn symbols(document: &Document) -> Vec<Symbol> {
    let mut left = MOST_SYMBOLS;
    let tree = document.tree();
    inside(document, tree, tree.statements(), &mut left)
}

/// The recursion goes as deep as the blocks, which the parser limits.
fn inside(
    document: &Document,
    tree: &Tree,
    statements: Statements<'_>,
    left: &mut usize,
) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    for statement in statements {
        let Some(keyword) = statement.keyword() else {
            continue;
        };
        let mut children = inside(document, tree, statement.children(), left);
        for clause in statement.clauses() {
            children.extend(inside(document, tree, clause.children(), left));
        }
        let Some((kind, name, detail)) = entry(tree.source(), keyword, &statement) else {
            // A block without a name of its own shows what is in it.
            symbols.extend(children);
            continue;
        };
        if *left == 0 {
            break;
        }
        *left -= 1;
        symbols.push(Symbol {
            name: tree_name(tree, name),
            detail,
            kind: kind as u8,
            range: document.range(extent(&statement)),
            selection_range: document.range(name),
            children,
        });
    }
    symbols
}

/// A name to show: the protocol refuses an empty one.
fn tree_name(tree: &Tree, span: Span) -> String {
    const LONGEST: usize = 80;
    let text: String = span.text(tree.source()).chars().take(LONGEST).collect();
    if text.trim().is_empty() {
        "?".to_owned()
    } else {
        text
    }
}

/// What stands in the outline for a statement: its kind, the words to show, and what more there is.
fn entry(
    source: &str,
    keyword: Keyword,
    statement: &Statement<'_>,
) -> Option<(SymbolKind, Span, String)> {
    let arguments = statement.arguments();
    let first = arguments.first().map(|word| word.span());
    let rest = |from: usize| {
        let words = arguments.get(from..).unwrap_or_default();
        let span = words.first().zip(words.last());
        let span = span.map(|(first, last)| first.span().to(last.span()));
        let text = span.map_or("", |span| span.text(source));
        text.chars().take(80).collect::<String>()
    };
    Some(match keyword {
        Keyword::Workflow => (SymbolKind::Module, first?, String::new()),
        Keyword::Task => (SymbolKind::Namespace, first?, String::new()),
        Keyword::Agent => (SymbolKind::Namespace, first?, "AGENT".to_owned()),
        Keyword::Input => (SymbolKind::Constant, first?, rest(1)),
        Keyword::Let => (SymbolKind::Variable, first?, rest(1)),
        Keyword::For | Keyword::ParallelFor => (SymbolKind::Operator, first?, rest(1)),
        _ => return None,
    })
}

/// A statement up to the end of its block.
fn extent(statement: &Statement<'_>) -> Span {
    let span = statement.line_span();
    statement.end().map_or(span, |end| span.to(end.line_span()))
}

pub(super) fn foldings(document: &Document) -> Vec<Folding> {
    let mut foldings = Vec::new();
    fold(document, document.tree().statements(), &mut foldings);
    foldings
}

fn fold(document: &Document, statements: Statements<'_>, foldings: &mut Vec<Folding>) {
    for statement in statements {
        let Some(end) = statement.end() else {
            // Blocks that are left open may have others inside.
            fold(document, statement.children(), foldings);
            continue;
        };
        let end = document.range(end.line_span()).start.line;
        let clauses: Vec<_> = statement.clauses().collect();
        for (index, part) in std::iter::once(&statement).chain(&clauses).enumerate() {
            let start_line = document.range(part.line_span()).start.line;
            let next = clauses.get(index);
            let next = next.map_or(end, |next| document.range(next.line_span()).start.line);
            if foldings.len() < MOST_SYMBOLS && next > start_line + 1 {
                foldings.push(Folding {
                    start_line,
                    end_line: next - 1,
                });
            }
            fold(document, part.children(), foldings);
        }
    }
}
