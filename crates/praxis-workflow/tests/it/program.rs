//! Random programs over the modelled world, from a seed.

use std::time::Duration;

use praxis_dsl::Expression;
use praxis_dsl::checked::{
    Branch, Call, CheckedProgram, For, Location, Node, NodeKind, OnError, Operand, Parallel, Piece,
    Reference, StepOptions,
};
use serde_json::json;

/// What a generated program may contain, and where it is now.
struct Generator {
    random: fastrand::Rng,
    lines: u32,
    calls: u32,
    names: u32,
    /// How many statements may still be made.
    budget: u32,
    /// Whether everything has an order: nothing is in parallel.
    ordered: bool,
}

/// What may be used and touched at a place.
#[derive(Clone)]
struct Place {
    /// Bound names that hold numbers.
    numbers: Vec<String>,
    /// Bound names that hold lists.
    lists: Vec<String>,
    /// The names of files here; the children of a `PARALLEL` get files of their own.
    prefix: Vec<Piece>,
    parallel: bool,
    depth: u32,
}

/// The program of a seed.
pub(crate) fn generate(seed: u64) -> CheckedProgram {
    program(seed, false)
}

/// The program of a seed in which everything has an order: nothing is in parallel.
pub(crate) fn generate_ordered(seed: u64) -> CheckedProgram {
    program(seed, true)
}

fn program(seed: u64, ordered: bool) -> CheckedProgram {
    let mut random = fastrand::Rng::with_seed(seed);
    let budget = random.u32(1..24);
    let mut generator = Generator {
        random,
        lines: 0,
        calls: 0,
        names: 0,
        budget,
        ordered,
    };
    let mut place = Place {
        numbers: Vec::new(),
        lists: Vec::new(),
        prefix: Vec::new(),
        parallel: false,
        depth: 0,
    };
    let body = generator.block(&mut place);
    CheckedProgram {
        name: None,
        metadata: serde_json::Map::new(),
        inputs: Vec::new(),
        body,
    }
}

impl Generator {
    fn block(&mut self, place: &mut Place) -> Vec<Node> {
        let count = self.random.u32(1..if place.depth == 0 { 12 } else { 5 });
        let mut nodes = Vec::new();
        for _ in 0..count {
            if self.budget == 0 {
                break;
            }
            self.budget -= 1;
            nodes.push(self.statement(place));
        }
        nodes
    }

    fn statement(&mut self, place: &mut Place) -> Node {
        self.lines += 1;
        let location = Location {
            line: self.lines,
            column: 1,
        };
        let deep = place.depth >= 3;
        let kind = match self.random.u32(0..20) {
            12 if !deep => self.condition(place, location),
            13 if !deep => self.each(place),
            14 if !deep && !self.ordered => self.each_at_once(place),
            15 if !deep => self.attempt(place),
            16 | 17 if !deep && !self.ordered => self.parallel(place),
            18 => self.binding(place),
            19 if !place.parallel && self.random.u32(0..4) == 0 => {
                NodeKind::Return(Some(self.number(place)))
            }
            _ => NodeKind::Call(self.call(place)),
        };
        Node { location, kind }
    }

    fn number(&mut self, place: &Place) -> Operand {
        match place.numbers.len() {
            0 => Operand::Literal(json!(self.random.i64(0..9))),
            count if self.random.bool() => reference(&place.numbers[self.random.usize(0..count)]),
            _ => Operand::Literal(json!(self.random.i64(0..9))),
        }
    }

    fn path(&mut self, place: &Place) -> Operand {
        let mut pieces = place.prefix.clone();
        match place.numbers.len() {
            count if count > 0 && self.random.u32(0..4) == 0 => {
                let name = &place.numbers[self.random.usize(0..count)];
                pieces.push(Piece::Text("n".to_owned()));
                pieces.push(Piece::Value(reference(name)));
            }
            _ => {
                let name = ["a", "b", "d/x", "d/y", "d"][self.random.usize(0..5)];
                pieces.push(Piece::Text(name.to_owned()));
            }
        }
        let texts: Option<String> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(text.as_str()),
                Piece::Value(_) => None,
            })
            .collect();
        texts.map_or_else(
            || Operand::Template(pieces),
            |text| Operand::Literal(json!(text)),
        )
    }

    fn call(&mut self, place: &mut Place) -> Call {
        self.calls += 1;
        let tool = match self.random.u32(0..12) {
            0..2 => "compute",
            2 => "count",
            3..7 => "read",
            7..10 => "write",
            10 => "copy",
            _ if place.parallel => "write",
            _ => "external",
        };
        let mut arguments = vec![("arg0".to_owned(), self.number(place))];
        if matches!(tool, "read" | "write" | "copy") {
            arguments.push(("path".to_owned(), self.path(place)));
        }
        if tool == "copy" {
            arguments.push(("from".to_owned(), self.path(place)));
        }
        let mut options = StepOptions::default();
        match self.random.u32(0..30) {
            0 => arguments.push(("fail".to_owned(), Operand::Literal(json!("before")))),
            1 => arguments.push(("fail".to_owned(), Operand::Literal(json!("after")))),
            2 => {
                arguments.push(("fail".to_owned(), Operand::Literal(json!("once"))));
                options.retries = Some(self.random.u32(0..2));
            }
            3 => {
                arguments.push(("fail".to_owned(), Operand::Literal(json!("hang"))));
                options.timeout = Some(Duration::from_millis(500));
                options.retries = Some(self.random.u32(0..3));
            }
            4 | 5 => options.timeout = Some(Duration::from_secs(60)),
            6 => options.cache = Some(false),
            7 => {
                let name = format!("missing.{}", self.calls);
                let path = vec![praxis_dsl::checked::Segment::Key(name)];
                if let Some(number) = place.numbers.first() {
                    let reference = Reference {
                        name: number.clone(),
                        path,
                    };
                    arguments.push(("arg1".to_owned(), Operand::Reference(reference)));
                }
            }
            _ => {}
        }
        let bind = self.random.bool().then(|| self.name());
        let call = Call {
            id: format!("s{}", self.calls),
            tool: tool.to_owned(),
            arguments,
            bind: bind.clone(),
            label: None,
            agent: None,
            options,
        };
        place.numbers.extend(bind);
        call
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    fn binding(&mut self, place: &mut Place) -> NodeKind {
        let value = self.number(place);
        let name = self.name();
        place.numbers.push(name.clone());
        NodeKind::Let { name, value }
    }

    fn inner(&mut self, place: &Place) -> (Vec<Node>, Place) {
        let mut inner = Place {
            depth: place.depth + 1,
            ..place.clone()
        };
        let nodes = self.block(&mut inner);
        (nodes, inner)
    }

    fn condition(&mut self, place: &mut Place, location: Location) -> NodeKind {
        let source = match place.numbers.last() {
            Some(name) => format!("{name} % 2 == 0"),
            None => "1 == 1".to_owned(),
        };
        let condition = Expression::compile(&source).unwrap();
        let (body, _) = self.inner(place);
        let (otherwise, _) = if self.random.bool() {
            self.inner(place)
        } else {
            (Vec::new(), place.clone())
        };
        NodeKind::If {
            branches: vec![Branch {
                location,
                condition,
                body,
            }],
            otherwise,
        }
    }

    fn each(&mut self, place: &mut Place) -> NodeKind {
        let variable = self.name();
        let items = match place.lists.last() {
            Some(list) if self.random.bool() => reference(list),
            _ => {
                let count = self.random.usize(0..4);
                Operand::Literal((0..count).map(|_| json!(self.random.i64(0..5))).collect())
            }
        };
        let mut inner = Place {
            depth: place.depth + 1,
            ..place.clone()
        };
        inner.numbers.push(variable.clone());
        let before = inner.numbers.len();
        let body = self.block(&mut inner);
        place.lists.extend(
            inner.numbers[before..]
                .iter()
                .filter(|name| binds(&body, name))
                .cloned(),
        );
        NodeKind::For(For {
            variable,
            items,
            parallel: false,
            limit: None,
            on_error: self.on_error(),
            body,
        })
    }

    fn on_error(&mut self) -> OnError {
        if self.random.u32(0..3) == 0 {
            OnError::Continue
        } else {
            OnError::Stop
        }
    }

    /// Rounds without an order, each with files of its own.
    fn each_at_once(&mut self, place: &mut Place) -> NodeKind {
        let variable = self.name();
        let count = self.random.usize(0..4);
        let items = Operand::Literal((0..count).map(|item| json!(item)).collect());
        let own = vec![
            Piece::Text(format!("q{}_", self.lines)),
            Piece::Value(reference(&variable)),
            Piece::Text("/".to_owned()),
        ];
        let mut inner = Place {
            depth: place.depth + 1,
            parallel: true,
            prefix: within(place, own),
            ..place.clone()
        };
        inner.numbers.push(variable.clone());
        let before = inner.numbers.len();
        let body = self.block(&mut inner);
        place.lists.extend(
            inner.numbers[before..]
                .iter()
                .filter(|name| binds(&body, name))
                .cloned(),
        );
        let limit = self.random.bool().then(|| self.random.usize(1..3));
        NodeKind::For(For {
            variable,
            items,
            parallel: true,
            limit,
            on_error: self.on_error(),
            body,
        })
    }

    fn attempt(&mut self, place: &mut Place) -> NodeKind {
        let (body, _) = self.inner(place);
        let (handler, _) = self.inner(place);
        NodeKind::Try {
            body,
            error: None,
            handler,
        }
    }

    fn parallel(&mut self, place: &mut Place) -> NodeKind {
        let mut children = Vec::new();
        let mut bound = Vec::new();
        for child in 0..self.random.u32(1..4) {
            let mut inner = Place {
                depth: place.depth + 1,
                parallel: true,
                prefix: within(
                    place,
                    vec![Piece::Text(format!("p{}_{child}/", self.lines))],
                ),
                ..place.clone()
            };
            let before = inner.numbers.len();
            self.lines += 1;
            let location = Location {
                line: self.lines,
                column: 1,
            };
            let nodes = self.block(&mut inner);
            bound.extend(
                inner.numbers[before..]
                    .iter()
                    .filter(|name| binds(&nodes, name))
                    .cloned(),
            );
            children.push(Node {
                location,
                kind: NodeKind::Sequence(nodes),
            });
        }
        place.numbers.extend(bound);
        let limit = self.random.bool().then(|| self.random.usize(1..3));
        NodeKind::Parallel(Parallel {
            limit,
            fail_fast: false,
            any: false,
            children,
        })
    }
}

fn within(place: &Place, more: Vec<Piece>) -> Vec<Piece> {
    place.prefix.iter().cloned().chain(more).collect()
}

/// Whether the statements bind the name at their own level.
fn binds(nodes: &[Node], name: &str) -> bool {
    nodes.iter().any(|node| match &node.kind {
        NodeKind::Call(call) => call.bind.as_deref() == Some(name),
        NodeKind::Let { name: bound, .. } => bound == name,
        NodeKind::Parallel(parallel) => binds(&parallel.children, name),
        NodeKind::Sequence(inner) => binds(inner, name),
        _ => false,
    })
}

fn reference(name: &str) -> Operand {
    Operand::Reference(Reference {
        name: name.to_owned(),
        path: Vec::new(),
    })
}

/// The program as indented lines, for a failing case.
pub(crate) fn text(program: &CheckedProgram) -> String {
    let mut out = String::new();
    print(&program.body, 0, &mut out);
    out
}

fn print(nodes: &[Node], depth: usize, out: &mut String) {
    use std::fmt::Write;
    for node in nodes {
        let line = node.location.line;
        let mut put = |text: String| {
            writeln!(out, "{line:>3} {}{text}", "  ".repeat(depth)).expect("a string takes text");
        };
        match &node.kind {
            NodeKind::Call(call) => {
                let arguments: Vec<String> = call
                    .arguments
                    .iter()
                    .map(|(name, operand)| format!("{name}={}", show(operand)))
                    .collect();
                let bind = call.bind.as_deref().unwrap_or("_");
                let retries = call
                    .options
                    .retries
                    .map(|retries| format!("@retries={retries}"))
                    .unwrap_or_default();
                put(format!(
                    "{bind} = {} {} {} {retries}",
                    call.id,
                    call.tool,
                    arguments.join(" ")
                ));
            }
            NodeKind::Let { name, value } => put(format!("LET {name} = {}", show(value))),
            NodeKind::Parallel(parallel) => {
                put(format!("PARALLEL limit={:?}", parallel.limit));
                print(&parallel.children, depth + 1, out);
            }
            NodeKind::Sequence(inner) => {
                put("SEQUENCE".to_owned());
                print(inner, depth + 1, out);
            }
            NodeKind::If {
                branches,
                otherwise,
            } => {
                put(format!("IF {}", branches[0].condition.source()));
                print(&branches[0].body, depth + 1, out);
                writeln!(out, "    {}ELSE", "  ".repeat(depth)).expect("a string takes text");
                print(otherwise, depth + 1, out);
            }
            NodeKind::For(each) => {
                put(format!(
                    "FOR {} IN {} {:?}",
                    each.variable,
                    show(&each.items),
                    each.on_error
                ));
                print(&each.body, depth + 1, out);
            }
            NodeKind::Try { body, handler, .. } => {
                put("TRY".to_owned());
                print(body, depth + 1, out);
                writeln!(out, "    {}CATCH", "  ".repeat(depth)).expect("a string takes text");
                print(handler, depth + 1, out);
            }
            NodeKind::Return(value) => put(format!(
                "RETURN {}",
                value.as_ref().map(show).unwrap_or_default()
            )),
        }
    }
}

fn show(operand: &Operand) -> String {
    match operand {
        Operand::Literal(value) => value.to_string(),
        Operand::Reference(reference) => format!("${}{:?}", reference.name, reference.path),
        other => format!("{other:?}"),
    }
}
