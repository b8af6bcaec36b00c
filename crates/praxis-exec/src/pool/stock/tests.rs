use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Tool(&'static str, bool);

impl Kind for Tool {
    fn fits(&self, other: &Self) -> bool {
        self == other
    }

    fn reuse(&self) -> bool {
        self.1
    }

    fn memory_bytes(&self) -> u64 {
        100
    }

    fn configured(&self, config: &PoolConfig) -> usize {
        config.warm.get(self.0).copied().unwrap_or(0)
    }
}

const FRESH: Tool = Tool("fresh", false);
const REUSED: Tool = Tool("reused", true);
const OTHER: Tool = Tool("other", false);

/// Stocks whose containers are numbers, and a clock that is moved by hand.
struct Case {
    stocks: Stocks<Tool, u32>,
    now: Instant,
    made: u32,
    waiting: Vec<(Id, oneshot::Receiver<Result<u32, Error>>)>,
}

impl Case {
    fn new(change: impl FnOnce(&mut PoolConfig)) -> Self {
        let mut config = PoolConfig::default();
        change(&mut config);
        Self {
            stocks: Stocks::new(Arc::new(config)),
            now: Instant::now(),
            made: 0,
            waiting: Vec::new(),
        }
    }

    /// Calls a tool; gives the container that was ready.
    fn call(&mut self, tool: Tool) -> Option<(Id, u32)> {
        let mut closed = Vec::new();
        let taken = self.stocks.take(tool, self.now, |_| true, &mut closed);
        assert!(closed.is_empty());
        match taken.unwrap() {
            Taken::Now(id, slot) => Some((id, slot)),
            Taken::Later(id, receiver) => {
                self.waiting.push((id, receiver));
                None
            }
        }
    }

    /// Calls a tool, and starts what that takes; gives its container.
    fn used(&mut self, tool: Tool) -> (Id, u32) {
        let ready = self.call(tool);
        self.settle();
        ready.unwrap_or_else(|| self.given())
    }

    /// What would be started now, by name.
    fn planned(&mut self) -> Vec<(Id, &'static str)> {
        let plan = self.stocks.plan(self.now);
        plan.start
            .into_iter()
            .map(|(id, kind)| (id, kind.0))
            .collect()
    }

    /// Starts what is planned until nothing more is; gives how many were.
    fn settle(&mut self) -> usize {
        let mut started = 0;
        loop {
            let planned = self.planned();
            if planned.is_empty() {
                return started;
            }
            for (id, _) in planned {
                self.made += 1;
                started += 1;
                assert_eq!(self.stocks.arrived(id, Ok(self.made), self.now), None);
            }
        }
    }

    /// The container that the call which has waited longest was given.
    fn given(&mut self) -> (Id, u32) {
        let (id, mut receiver) = self.waiting.remove(0);
        (id, receiver.try_recv().unwrap().unwrap())
    }

    fn end(&mut self, (id, slot): (Id, u32), again: bool) {
        assert_eq!(
            self.stocks.give_back(id, again.then_some(slot), self.now),
            None
        );
    }

    fn idle(&self) -> usize {
        self.stocks.snapshot().idle
    }
}

#[test]
fn a_miss_starts_one_and_gets_it() {
    let mut case = Case::new(|_| {});
    assert_eq!(case.call(FRESH), None);
    assert_eq!(case.settle(), 1);
    let used = case.given();
    case.end(used, false);
    assert_eq!(
        (case.settle(), case.idle()),
        (0, 0),
        "one call is not often"
    );
    let statistics = case.stocks.snapshot();
    assert_eq!(
        (statistics.hits, statistics.misses, statistics.busy),
        (0, 1, 0)
    );
}

#[test]
fn a_tool_that_is_called_often_is_kept_warm_and_then_forgotten() {
    let mut case = Case::new(|_| {});
    for _ in 0..3 {
        let used = case.used(FRESH);
        case.end(used, false);
    }
    assert_eq!(case.idle(), 1, "as many as were used at once");
    let used = case.call(FRESH).expect("it is warm");
    assert_eq!(case.settle(), 1, "it is replaced while it is used");
    case.end(used, false);
    case.now += Duration::from_secs(3600);
    assert_eq!(case.stocks.expired(case.now).len(), 1);
    assert!(case.planned().is_empty(), "nobody has asked for an hour");
}

#[test]
fn a_container_that_is_used_again_is_not_replaced() {
    let mut case = Case::new(|_| {});
    case.call(REUSED);
    case.settle();
    let mut used = case.given();
    for _ in 0..10 {
        case.end(used, true);
        used = case.call(REUSED).expect("it is there");
        assert!(case.planned().is_empty());
    }
    assert_eq!(case.made, 1);
    // A second one at once is started, and both are kept.
    assert_eq!(case.call(REUSED), None);
    assert_eq!(case.settle(), 1);
    let second = case.given();
    case.end(used, true);
    case.end(second, true);
    assert_eq!((case.settle(), case.idle()), (0, 2));
}

#[test]
fn who_waits_longest_gets_what_comes_first_and_who_gave_up_gets_nothing() {
    let mut case = Case::new(|_| {});
    for _ in 0..3 {
        assert_eq!(case.call(REUSED), None);
    }
    drop(case.waiting.remove(0));
    let planned = case.planned();
    assert_eq!(planned.len(), 2, "for the two who still wait");
    case.stocks.arrived(planned[0].0, Ok(7), case.now);
    let first = case.given();
    assert_eq!(first.1, 7);
    case.end(first, true);
    assert_eq!(case.given().1, 7, "what comes back is given on at once");
}

#[test]
fn configured_tools_come_first_and_budgets_hold() {
    let mut case = Case::new(|config| {
        config.warm = [("other".to_owned(), 3)].into();
        config.slots = 4;
        config.starts_at_once = 2;
        config.slots_per_tool = 0;
    });
    for _ in 0..6 {
        case.call(FRESH);
    }
    assert_eq!(
        case.planned().len(),
        6,
        "calls that wait are no matter of the budget"
    );
    let id = case.waiting[0].0;
    for slot in 0..6 {
        case.stocks.arrived(id, Ok(slot), case.now);
    }
    case.stocks.of(OTHER, case.now);
    let names: Vec<&str> = case.planned().into_iter().map(|(_, name)| name).collect();
    assert_eq!(
        names,
        ["other", "other"],
        "two at once, of the configured tool"
    );
    let mut case = Case::new(|config| config.memory_bytes = 250);
    for _ in 0..4 {
        case.call(FRESH);
    }
    case.settle();
    while !case.waiting.is_empty() {
        let used = case.given();
        case.end(used, false);
    }
    case.settle();
    assert_eq!(case.idle(), 2, "a third would take the memory to 300");
}

#[test]
fn what_is_asked_for_less_makes_room() {
    let mut case = Case::new(|config| config.slots = 2);
    for tool in [FRESH, OTHER] {
        for _ in 0..3 {
            let used = case.used(tool.clone());
            case.end(used, false);
        }
        case.now += Duration::from_secs(30);
    }
    assert_eq!(
        (case.idle(), case.stocks.snapshot().expired),
        (2, 0),
        "one of each"
    );
    // Two at once from here on.
    case.used(OTHER);
    case.used(OTHER);
    assert_eq!(
        (case.idle(), case.stocks.snapshot().expired),
        (2, 1),
        "the other tool's one was closed"
    );
}

#[test]
fn a_start_that_fails_is_told_to_one_who_waits_and_tried_less_often_ahead() {
    let mut case = Case::new(|config| config.warm = [("fresh".to_owned(), 1)].into());
    assert_eq!(case.call(FRESH), None);
    let failed = || Error::new(ErrorKind::Unavailable, "no daemon");
    let planned = case.planned();
    assert_eq!(planned.len(), 2, "one for the call, one to be warm");
    let id = planned[0].0;
    case.stocks.arrived(id, Err(failed()), case.now);
    let (_, mut receiver) = case.waiting.remove(0);
    assert_eq!(
        receiver.try_recv().unwrap().unwrap_err().message(),
        "no daemon"
    );
    case.stocks.give_back(id, None, case.now);
    case.stocks.arrived(id, Err(failed()), case.now);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let failed_at = case.now;
        while case.planned().is_empty() {
            case.now += Duration::from_millis(250);
        }
        pauses.push((case.now - failed_at).as_secs_f64());
        case.stocks.arrived(id, Err(failed()), case.now);
    }
    assert_eq!(pauses[..4], [1.0, 2.0, 4.0, 8.0]);
    assert_eq!(pauses[11], 60.0);
    // A call does not wait for that.
    assert_eq!(case.call(FRESH), None);
    assert_eq!(case.planned().len(), 1);
    case.stocks.arrived(id, Ok(1), case.now);
    assert_eq!(case.given().1, 1);
    assert_eq!(case.planned().len(), 1, "it can be done again, so it is");
}

#[test]
fn idle_ones_are_looked_at_and_the_bad_are_replaced() {
    let mut case = Case::new(|config| config.warm = [("fresh".to_owned(), 2)].into());
    case.stocks.of(FRESH, case.now);
    assert_eq!(case.settle(), 2);
    assert!(case.stocks.unseen(case.now).is_empty());
    case.now += Duration::from_secs(10);
    let looked_at = case.stocks.unseen(case.now);
    assert_eq!(looked_at.len(), 2);
    assert!(case.planned().is_empty(), "they are on their way back");
    let id = looked_at[0].0;
    case.stocks.turned_out_bad(id);
    case.stocks.arrived(id, Ok(looked_at[1].1), case.now);
    assert_eq!((case.settle(), case.idle()), (1, 2));
    assert_eq!(case.stocks.snapshot().failed, 1);
}

#[test]
fn the_idle_expire_but_for_the_configured() {
    let mut case = Case::new(|config| config.warm = [("reused".to_owned(), 1)].into());
    for _ in 0..3 {
        case.call(REUSED);
    }
    case.settle();
    while !case.waiting.is_empty() {
        let used = case.given();
        case.end(used, true);
    }
    assert_eq!(case.idle(), 3);
    case.now += Duration::from_secs(599);
    assert!(case.stocks.expired(case.now).is_empty());
    case.now += Duration::from_secs(1);
    assert_eq!(case.stocks.expired(case.now).len(), 2);
    assert_eq!((case.settle(), case.idle()), (0, 1));
}

#[test]
fn a_pool_that_is_shut_down_keeps_and_gives_nothing() {
    let mut case = Case::new(|config| config.warm = [("reused".to_owned(), 2)].into());
    case.call(REUSED);
    case.settle();
    let used = case.given();
    case.call(FRESH);
    assert_eq!(case.stocks.drain().len(), 1);
    let (_, mut receiver) = case.waiting.remove(0);
    assert_eq!(
        receiver.try_recv().unwrap().unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    assert_eq!(
        case.stocks.give_back(used.0, Some(used.1), case.now),
        Some(used.1)
    );
    assert!(case.planned().is_empty());
    let refused = case
        .stocks
        .take(REUSED, case.now, |_| true, &mut Vec::new());
    assert!(refused.is_err());
}

#[test]
fn one_is_ready_for_as_long_as_calls_are_foreseen() {
    for (tool, made) in [(FRESH, 3), (REUSED, 1)] {
        let mut case = Case::new(|_| {});
        for _ in 0..made {
            case.stocks.foresee(tool.clone(), case.now);
        }
        assert_eq!((case.settle(), case.idle()), (1, 1));
        for _ in 0..made {
            let used = case.used(tool.clone());
            case.end(used, tool.reuse());
        }
        case.settle();
        assert_eq!(case.made, made, "none is started in vain");
        // What nobody foresaw is learned from.
        for _ in 0..2 {
            let used = case.used(tool.clone());
            case.end(used, tool.reuse());
        }
        case.settle();
        assert_eq!(case.idle(), 1);
    }
}

/// A call that comes while its container is on its way takes that one.
#[test]
fn a_call_that_was_foreseen_starts_no_other() {
    let mut case = Case::new(|_| {});
    case.stocks.foresee(FRESH, case.now);
    let planned = case.planned();
    assert_eq!(planned.len(), 1);
    assert_eq!(case.call(FRESH), None);
    assert_eq!(case.planned(), []);
    assert_eq!(case.stocks.arrived(planned[0].0, Ok(7), case.now), None);
    assert_eq!(case.given().1, 7);
}

/// What never comes is forgotten, and not started again and again.
#[test]
fn a_call_that_does_not_come_is_not_waited_for_for_ever() {
    let mut case = Case::new(|_| {});
    case.stocks.foresee(FRESH, case.now);
    assert_eq!(case.settle(), 1);
    case.now += PoolConfig::default().idle;
    assert_eq!(case.stocks.expired(case.now).len(), 1);
    assert_eq!((case.settle(), case.idle()), (0, 0));
}
