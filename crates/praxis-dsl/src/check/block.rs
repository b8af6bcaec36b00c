//! Blocks: statements in order, branches, and which names they bind.

use super::scope::{Entry, Perhaps, State};
use super::text::{check_name, odd_character};
use super::{Checker, Handler};
use crate::argument::{Argument, Arguments, Seen};
use crate::checked::{Branch, Node, NodeKind, Operand, Parallel};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, shown};
use crate::expression::Expression;
use crate::expression::kinds::{Kinds, Type};
use crate::keyword::{Keyword, is_clearly_meant, nearest_keyword};
use crate::source::Span;
use crate::suggest::nearest;
use crate::tree::{Statement, Statements};
use crate::word::Word;

/// What the lines around a statement say about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) label: Option<String>,
    pub(super) agent: Option<String>,
    /// The outermost `PARALLEL` around it.
    pub(super) parallel: Option<Span>,
    pub(super) nested: bool,
}

/// The options of a `PARALLEL` or `PARALLEL FOR` line.
#[derive(Debug, Default)]
pub(super) struct BlockOptions {
    pub(super) limit: Option<usize>,
    fail_fast: bool,
    any: bool,
}

impl Place {
    /// The same for the statements of a block.
    fn inside(&self) -> Self {
        Self {
            nested: true,
            ..self.clone()
        }
    }
}

impl<'t> Checker<'t> {
    /// The statements of a block, and whether what follows it can be reached.
    ///
    /// The recursion goes as deep as the blocks, which the parser limits.
    pub(super) fn block(
        &mut self,
        statements: Statements<'t>,
        mut place: Place,
    ) -> (Vec<Node>, bool) {
        let mut nodes = Vec::new();
        let mut returned: Option<Span> = None;
        let mut warned = false;
        let end = statements.end();
        for statement in statements {
            let ended = returned.filter(|_| !warned);
            self.enter(statement, &place, ended);
            if let Some(end) = ended {
                warned = true;
                self.unreachable(statement.head_span(), end);
            }
            let (kind, completes) = self.statement(statement, &mut place);
            if let Some(kind) = kind {
                nodes.push(Node {
                    location: self.location(statement.head_span()),
                    kind,
                });
            }
            if !completes && returned.is_none() {
                returned = Some(statement.head_span());
            }
        }
        self.scope.probe(end);
        (nodes, returned.is_none())
    }

    pub(super) fn unreachable(&mut self, span: Span, end: Span) {
        self.report(
            Diagnostic::warning(Code::Unreachable, span, "this is never run")
                .with_label(end, "the run ends here")
                .with_help("delete it, or put it before the RETURN"),
        );
    }

    pub(super) fn statement(
        &mut self,
        statement: Statement<'t>,
        place: &mut Place,
    ) -> (Option<NodeKind>, bool) {
        self.scope.probe(statement.line_span().end);
        let words = statement.words();
        let head = usize::from(statement.keyword().is_some())
            * (words.len() - statement.arguments().len());
        for word in &words[..head] {
            if let Some(diagnostic) = odd_character(word, self.source, true) {
                self.report(diagnostic);
                return (None, true);
            }
        }
        let Some(keyword) = statement.keyword() else {
            self.unknown_command(statement, place);
            return (None, true);
        };
        let arguments = statement.arguments();
        if !matches!(
            keyword,
            Keyword::Workflow | Keyword::Input | Keyword::Task | Keyword::Agent
        ) {
            self.started = true;
        }
        let kind = match keyword {
            Keyword::Workflow => return (self.workflow(statement, place), true),
            Keyword::Input => return (self.input(statement, place), true),
            Keyword::Task => {
                if let Some(name) = self.task(statement) {
                    place.label = Some(name);
                }
                return (None, true);
            }
            Keyword::Agent => {
                if let Some(name) = self.agent(statement) {
                    place.agent = Some(name);
                }
                return (None, true);
            }
            Keyword::Call => self
                .call(arguments, None, place, statement.is_spoilt())
                .map(NodeKind::Call),
            Keyword::Let => self.assignment(statement, place),
            Keyword::Return => return (self.returns(statement, place), false),
            Keyword::Sequence => {
                self.no_arguments(statement);
                let (nodes, completes) = self.block(statement.children(), place.inside());
                self.end(statement);
                return (Some(NodeKind::Sequence(nodes)), completes);
            }
            Keyword::Parallel => Some(self.parallel(statement, place.inside())),
            Keyword::If => {
                let (kind, completes) = self.conditional(statement, &place.inside());
                self.end(statement);
                return (Some(kind), completes);
            }
            Keyword::For | Keyword::ParallelFor => self.each(statement, place.inside()),
            Keyword::Try => {
                let (kind, completes) = self.attempt(statement, &place.inside());
                return (Some(kind), completes);
            }
            // Clauses and end words are parts of their blocks.
            _ => None,
        };
        (kind, true)
    }

    /// Reports a line that starts with no command, and looks into it as what was meant, so
    /// that what follows from the mistake is not reported as well.
    fn unknown_command(&mut self, statement: Statement<'t>, place: &mut Place) {
        let word = statement.words()[0];
        let span = word.span();
        let text = word.text(self.source);
        let message = format!("unknown command `{}`", shown(&text));
        let diagnostic = Diagnostic::error(Code::UnknownCommand, span, message);
        let meant = nearest_keyword(&text);
        let odd = odd_character(&word, self.source, true);
        self.report(match meant {
            _ if odd.is_some() => odd.unwrap_or(diagnostic),
            Some((spelling, _)) => {
                let helped = diagnostic.with_help(format!("did you mean {spelling}?"));
                if is_clearly_meant(&text) {
                    helped.with_fix(span, spelling)
                } else {
                    helped
                }
            }
            None if self.catalog.tool(&text).is_some() => {
                let start = Span {
                    start: span.start,
                    end: span.start,
                };
                diagnostic
                    .with_help(format!("to run the tool write `CALL {}`", shown(&text)))
                    .with_fix(start, "CALL ")
            }
            None => diagnostic
                .with_help("a line starts with a command such as CALL, LET, IF, FOR or PARALLEL"),
        });
        let arguments = statement.arguments();
        let spoilt = statement.is_spoilt();
        match meant.map(|(_, keyword)| keyword) {
            Some(Keyword::Call) if !arguments.is_empty() => {
                self.call(arguments, None, place, spoilt);
            }
            Some(Keyword::Let) => {
                self.assignment(statement, place);
            }
            Some(Keyword::Input) if !arguments.is_empty() => {
                self.input(statement, place);
            }
            Some(Keyword::Agent | Keyword::Task | Keyword::Workflow) | None => {}
            Some(keyword) => {
                // The names of two branches stand in one.
                self.lenient |= keyword.is_clause();
                if keyword == Keyword::Catch
                    && let Some(name) = arguments.first()
                {
                    self.bind_silently(name.text(self.source).into_owned(), name.span());
                }
            }
        }
    }

    fn parallel(&mut self, statement: Statement<'t>, mut place: Place) -> NodeKind {
        let options = self.block_options(statement, statement.arguments(), true);
        let head = statement.head_span();
        place.parallel.get_or_insert(head);
        let mark = self.scope.mark();
        let mut children = Vec::new();
        for child in statement.children() {
            let before = self.scope.mark();
            self.enter(child, &place, None);
            // A label or an agent holds for the children after it too.
            let (kind, _) = self.statement(child, &mut place);
            if let Some(kind) = kind {
                children.push(Node {
                    location: self.location(child.head_span()),
                    kind,
                });
            }
            for (name, entry) in self.scope.take(before) {
                self.scope.put(
                    name,
                    Entry {
                        sibling: true,
                        ..entry
                    },
                );
            }
        }
        self.scope.probe(statement.children().end());
        for (name, mut entry) in self.scope.take(mark) {
            entry.sibling = false;
            if options.any {
                entry.state = State::Perhaps(Perhaps::Any, head);
            }
            self.scope.put(name, entry);
        }
        self.end(statement);
        let BlockOptions {
            limit,
            fail_fast,
            any,
        } = options;
        NodeKind::Parallel(Parallel {
            limit,
            fail_fast,
            any,
            children,
        })
    }

    fn conditional(&mut self, statement: Statement<'t>, place: &Place) -> (NodeKind, bool) {
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        let mut bound = Vec::new();
        let mut has_else = false;
        for clause in std::iter::once(statement).chain(statement.clauses()) {
            if clause.line() != statement.line() {
                self.enter(clause, place, None);
            }
            let condition = if clause.keyword() == Some(Keyword::Else) {
                has_else = true;
                self.no_arguments(clause);
                None
            } else {
                self.condition(clause)
            };
            let mark = self.scope.mark();
            let (body, completes) = self.block(clause.children(), place.clone());
            bound.push((self.scope.take(mark), completes));
            if clause.keyword() == Some(Keyword::Else) {
                otherwise = body;
            } else if let Some(condition) = condition {
                let location = self.location(clause.head_span());
                branches.push(Branch {
                    location,
                    condition,
                    body,
                });
            }
        }
        if !has_else {
            bound.push((Vec::new(), true));
        }
        let completes = bound.iter().any(|(_, completes)| *completes);
        self.scope
            .join(bound, Perhaps::Branch, statement.head_span());
        (
            NodeKind::If {
                branches,
                otherwise,
            },
            completes,
        )
    }

    pub(super) fn condition(&mut self, clause: Statement<'t>) -> Option<Expression> {
        if clause.is_spoilt() {
            return None;
        }
        let head = clause.head_span();
        let (Some(first), Some(last)) = (clause.arguments().first(), clause.arguments().last())
        else {
            let name = clause.keyword().map_or("IF", Keyword::as_str);
            self.report(
                Diagnostic::error(Code::MissingWord, head, format!("{name} has no condition"))
                    .with_help(format!(
                        "write an expression such as `{name} size(files) > 0`"
                    )),
            );
            return None;
        };
        for word in clause.arguments() {
            if let Some(diagnostic) = odd_character(word, self.source, false) {
                self.report(diagnostic);
                return None;
            }
        }
        let span = first.span().to(last.span());
        let source = self.source;
        let reported = self.sink.count();
        let expression = self.expression(span.text(source), span)?;
        let value = self.type_of(&Operand::Expression(expression.clone()));
        if !value.kinds.meets(Kinds::BOOLEAN) && !expression.names().is_empty() {
            let message = format!("the condition is {}, not true or false", value.kinds);
            self.report(
                Diagnostic::error(Code::IllTypedExpression, span, message)
                    .with_help("compare it, such as `size(files) > 0`"),
            );
        } else if self.sink.count() == reported
            && expression.names().is_empty()
            && let Err(error) = expression.condition(&|_| None)
        {
            self.report(
                Diagnostic::error(Code::InvalidExpression, span, error.to_string())
                    .with_help("a condition is true or false, such as `size(files) > 0`"),
            );
        }
        Some(expression)
    }

    fn attempt(&mut self, statement: Statement<'t>, place: &Place) -> (NodeKind, bool) {
        self.no_arguments(statement);
        let mark = self.scope.mark();
        let (body, body_completes) = self.block(statement.children(), place.clone());
        let tried = self.scope.take(mark);
        let mut error = None;
        let mut handler = Vec::new();
        let mut handler_completes = true;
        if let Some(clause) = statement.clauses().next() {
            let spans = tried
                .iter()
                .map(|(name, entry)| (name.clone(), entry.span))
                .collect();
            let outer = self.handler.replace(self.handlers.len());
            self.handlers.to_mut().push(Handler {
                outer,
                tried: spans,
            });
            self.enter(clause, place, None);
            error = self.caught(clause);
            (handler, handler_completes) = self.block(clause.children(), place.clone());
            self.handler = outer;
        }
        let mut caught = self.scope.take(mark);
        caught.retain(|(name, _)| Some(name) != error.as_ref());
        let bound = vec![(tried, body_completes), (caught, handler_completes)];
        self.scope.join(bound, Perhaps::Try, statement.head_span());
        self.end(statement);
        (
            NodeKind::Try {
                body,
                error,
                handler,
            },
            body_completes || handler_completes,
        )
    }

    /// The words of a `CATCH`: the name, which is bound.
    pub(super) fn caught(&mut self, clause: Statement<'t>) -> Option<String> {
        let [word, rest @ ..] = clause.arguments() else {
            return None;
        };
        let name = word.text(self.source).into_owned();
        self.bind(&name, word, Type::ANY);
        self.surplus_words(rest, "CATCH takes one name");
        Some(name)
    }

    fn returns(&mut self, statement: Statement<'t>, place: &Place) -> Option<NodeKind> {
        if let Some(parallel) = place.parallel.filter(|_| !self.tree.unbalanced) {
            self.report(
                Diagnostic::error(
                    Code::ReturnInParallel,
                    statement.head_span(),
                    "RETURN inside PARALLEL",
                )
                .with_label(parallel, "its children have no order")
                .with_help("bind a name here and RETURN it after the block"),
            );
            return None;
        }
        if statement.is_spoilt() {
            return None;
        }
        let words = statement.arguments();
        if words.is_empty() {
            return Some(NodeKind::Return(None));
        }
        self.single(words, "RETURN")
            .map(|value| NodeKind::Return(Some(value)))
    }

    pub(super) fn block_options(
        &mut self,
        statement: Statement<'t>,
        words: &[Word],
        all: bool,
    ) -> BlockOptions {
        let mut options = BlockOptions::default();
        if statement.is_spoilt() {
            return options;
        }
        let name = statement.keyword().map_or("", Keyword::as_str);
        let mut seen = Seen::default();
        let known: &[&str] = if all {
            &["limit", "fail_fast", "any"]
        } else {
            &["limit"]
        };
        for argument in Arguments::new(self.source, words, None) {
            let (word, option, value) = match argument {
                Argument::Named { word, name, value } => (word, name.text(self.source), value),
                Argument::Positional(_, word) | Argument::Step(_, word, _) => (word, "", None),
                Argument::Rest(..) => continue,
            };
            let before = (!option.is_empty())
                .then(|| seen.insert(option, word.span()))
                .flatten();
            if let Some(first) = before {
                let message = format!("the argument `{}` is given twice", shown(option));
                self.report(
                    Diagnostic::error(Code::RepeatedArgument, word.span(), message)
                        .with_label(first, "it is given here")
                        .with_help("keep one of the two"),
                );
                continue;
            }
            match option {
                "limit" => {
                    let text = value.map(|word| word.text(self.source)).unwrap_or_default();
                    options.limit = text.parse().ok().filter(|&limit| limit >= 1);
                    if options.limit.is_none() {
                        let span = value.map_or(word.span(), |value| word.span().to(value.span()));
                        let message = format!("`{}` is no limit", shown(&text));
                        self.report(
                            Diagnostic::error(Code::BadArgument, span, message)
                                .with_help("`--limit` takes a whole number of at least 1"),
                        );
                    }
                }
                "fail_fast" if all => options.fail_fast = self.flag(word, value),
                "any" if all => options.any = self.flag(word, value),
                _ => {
                    let span = word.span();
                    let message =
                        format!("{name} does not take `{}`", shown(span.text(self.source)));
                    let diagnostic = Diagnostic::error(Code::UnknownArgument, span, message);
                    self.report(match nearest(option, known.iter().copied()) {
                        Some(meant) => {
                            let name = Span {
                                end: span.start + 2 + option.len() as u32,
                                ..span
                            };
                            diagnostic.meaning(name, "--", meant)
                        }
                        None => {
                            diagnostic.with_help(format!("{name} takes --{}", known.join(", --")))
                        }
                    });
                }
            }
        }
        options
    }

    fn flag(&mut self, word: Word, value: Option<Word>) -> bool {
        let text = value.map(|value| value.text(self.source).to_ascii_lowercase());
        match text.as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => {
                let message = format!("`{}` is neither true nor false", shown(other));
                let span = value.map_or(word.span(), |value| value.span());
                self.report(
                    Diagnostic::error(Code::BadArgument, span, message)
                        .with_help("give the option alone, or true or false with it"),
                );
                true
            }
        }
    }

    pub(super) fn no_arguments(&mut self, statement: Statement<'t>) {
        if statement.is_spoilt() {
            return;
        }
        let name = statement.keyword().map_or("", Keyword::as_str);
        self.surplus_words(statement.arguments(), &format!("{name} stands alone"));
    }

    pub(super) fn end(&mut self, statement: Statement<'t>) {
        if let Some(end) = statement.end() {
            self.enter(end, &Place::default(), None);
            self.end_line(end);
        }
    }

    pub(super) fn end_line(&mut self, end: Statement<'t>) {
        if let Some(diagnostic) = odd_character(&end.words()[0], self.source, true) {
            self.report(diagnostic);
        }
        self.no_arguments(end);
    }

    pub(super) fn surplus_words(&mut self, words: &[Word], help: &str) {
        if let (Some(first), Some(last)) = (words.first(), words.last()) {
            let span = first.span().to(last.span());
            let message = format!("`{}` is too much", shown(span.text(self.source)));
            self.report(Diagnostic::error(Code::SurplusWord, span, message).with_help(help));
        }
    }

    /// Binds the name that `word` spells, unless it cannot be one or is bound already.
    pub(super) fn bind(&mut self, name: &str, word: &Word, value: Type) {
        let span = word.span();
        let odd = odd_character(word, self.source, true);
        if let Some(diagnostic) = odd.or_else(|| check_name(name, span)) {
            self.report(diagnostic);
        } else if let Some(entry) = self.scope.find(name).filter(|_| !self.lenient) {
            let first = entry.span;
            let message = format!("`{name}` is bound already");
            self.report(
                Diagnostic::error(Code::RepeatedName, span, message)
                    .with_label(first, "it is bound here")
                    .with_help("choose another name"),
            );
            return;
        }
        // Where a name may be bound twice, it is not known which of both holds.
        let value = if self.lenient { Type::ANY } else { value };
        self.put(name.to_owned(), span, value);
    }

    pub(super) fn bind_silently(&mut self, name: String, span: Span) {
        self.put(name, span, Type::ANY);
    }

    fn put(&mut self, name: String, span: Span, value: Type) {
        self.scope.note_binding(&name, span, value.kinds);
        let entry = Entry {
            state: State::Bound,
            span,
            sibling: false,
            value,
        };
        if self.notes.is_some() || self.one_line {
            self.effects.bound = Some((name.clone(), entry.clone()));
        }
        self.scope.put(name, entry);
    }
}
