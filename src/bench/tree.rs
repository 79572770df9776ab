//! Times of dispatches, added up along the scopes they were recorded in and by kernel.

use crate::data::report::Table;
use crate::gpu::Timing;
use serde::Serialize;

/// The time of a scope with all that lies below it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeTree {
    /// Its name within the scope above.
    pub name: String,
    /// Dispatches, those below included.
    pub dispatches: usize,
    /// Their time in seconds.
    pub seconds: f64,
    /// The scopes directly below, in the order in which they first ran.
    pub below: Vec<TimeTree>,
}

/// The time of all dispatches of a kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTime {
    /// Its name.
    pub kernel: &'static str,
    /// Dispatches.
    pub dispatches: usize,
    /// Their time in seconds.
    pub seconds: f64,
}

/// Name of what a scope with others below runs itself.
const ITSELF: &str = "(itself)";

impl TimeTree {
    /// Adds `timings` up; scopes are paths with dots.
    pub fn new(name: &str, timings: &[Timing]) -> Self {
        let mut root = TimeTree::empty(name);
        for timing in timings {
            let path: Vec<&str> = timing.scope.split('.').filter(|p| !p.is_empty()).collect();
            root.add(&path, timing.seconds);
        }
        root.tidy();
        root
    }

    fn empty(name: &str) -> Self {
        TimeTree { name: name.into(), dispatches: 0, seconds: 0.0, below: Vec::new() }
    }

    fn add(&mut self, path: &[&str], seconds: f64) {
        self.dispatches += 1;
        self.seconds += seconds;
        let (name, rest) = match path {
            [name, rest @ ..] => (*name, rest),
            // Taken away again below where nothing else is.
            [] if self.name != ITSELF => (ITSELF, path),
            [] => return,
        };
        let at = self.below.iter().position(|b| b.name == name).unwrap_or_else(|| {
            self.below.push(TimeTree::empty(name));
            self.below.len() - 1
        });
        self.below[at].add(rest, seconds);
    }

    /// Scopes with nothing else below them than one scope are one with it.
    fn tidy(&mut self) {
        if let [one] = &self.below[..]
            && one.name == ITSELF
        {
            self.below.clear();
        }
        for below in &mut self.below {
            below.tidy();
            if below.below.len() == 1 {
                let one = below.below.remove(0);
                *below = TimeTree { name: format!("{}.{}", below.name, one.name), ..one };
            }
        }
    }

    /// Share of this scope in `all` seconds.
    pub fn share(&self, all: f64) -> f64 {
        if all > 0.0 { self.seconds / all } else { 0.0 }
    }

    /// The tree as a table: each scope within those above it, down to `depth`. Scopes with less than `least` of the whole time
    /// are put together, and left out where there are no others beside them.
    pub fn table(&self, depth: usize, least: f64) -> Table {
        let mut table = Table::new("", &["scope"], &["dispatches", "µs", "share"]);
        table.row(self.cells(&self.name, self.seconds));
        self.rows(&mut table, 1, depth, least, self.seconds);
        table
    }

    fn rows(&self, table: &mut Table, level: usize, depth: usize, least: f64, all: f64) {
        if level > depth || self.below.iter().all(|b| b.share(all) < least) {
            return;
        }
        let indent = "  ".repeat(level);
        let mut small = TimeTree::empty("");
        let mut scopes = 0;
        for below in &self.below {
            if below.share(all) < least {
                small.dispatches += below.dispatches;
                small.seconds += below.seconds;
                scopes += 1;
                continue;
            }
            table.row(below.cells(&format!("{indent}{}", below.name), all));
            below.rows(table, level + 1, depth, least, all);
        }
        if scopes > 0 {
            let plural = if scopes == 1 { "" } else { "s" };
            table.row(small.cells(&format!("{indent}({scopes} small scope{plural})"), all));
        }
    }

    fn cells(&self, name: &str, all: f64) -> [String; 4] {
        cells(name, self.dispatches, self.seconds, all)
    }
}

/// Times by kernel, the longest first.
pub fn by_kernel(timings: &[Timing]) -> Vec<KernelTime> {
    let mut all: Vec<KernelTime> = Vec::new();
    for timing in timings {
        match all.iter_mut().find(|k| k.kernel == timing.kernel) {
            Some(k) => {
                k.dispatches += 1;
                k.seconds += timing.seconds;
            }
            None => all.push(KernelTime {
                kernel: timing.kernel,
                dispatches: 1,
                seconds: timing.seconds,
            }),
        }
    }
    all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    all
}

/// Times by kernel as a table.
pub fn kernel_table(kernels: &[KernelTime]) -> Table {
    let mut table = Table::new("", &["kernel"], &["dispatches", "µs", "share"]);
    let all = kernels.iter().map(|k| k.seconds).sum();
    for k in kernels {
        table.row(cells(k.kernel, k.dispatches, k.seconds, all));
    }
    table
}

fn cells(name: &str, dispatches: usize, seconds: f64, all: f64) -> [String; 4] {
    let share = if all > 0.0 { 100.0 * seconds / all } else { 0.0 };
    [
        name.to_string(),
        dispatches.to_string(),
        format!("{:.0}", seconds * 1e6),
        format!("{share:.1} %"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(scope: &str, kernel: &'static str, seconds: f64) -> Timing {
        Timing { scope: scope.into(), kernel, seconds }
    }

    fn find<'a>(tree: &'a TimeTree, name: &str) -> &'a TimeTree {
        tree.below.iter().find(|b| b.name == name).unwrap_or_else(|| panic!("{name} in {tree:?}"))
    }

    fn example() -> Vec<Timing> {
        vec![
            timing("forward.a.conv", "gemm", 4.0),
            timing("forward.b.x.y", "gemm", 1.0),
            timing("forward.a", "add", 2.0),
            timing("forward.a.conv", "gemm", 1.0),
            timing("", "copy", 2.0),
        ]
    }

    #[test]
    fn a_scope_has_its_own_time_and_that_of_what_lies_below() {
        let tree = TimeTree::new("step", &example());
        assert_eq!((tree.dispatches, tree.seconds, tree.below.len()), (5, 10.0, 2));
        assert_eq!(find(&tree, ITSELF).seconds, 2.0);
        let forward = find(&tree, "forward");
        assert_eq!((forward.dispatches, forward.seconds), (4, 8.0));
        let a = find(forward, "a");
        assert_eq!((a.seconds, a.share(10.0)), (7.0, 0.7));
        assert_eq!(find(a, "conv").dispatches, 2);
        assert_eq!((find(a, "conv").below.len(), find(a, ITSELF).seconds), (0, 2.0));
        assert_eq!(find(forward, "b.x.y").seconds, 1.0, "a chain is one scope");
    }

    #[test]
    fn the_table_puts_small_scopes_together_and_keeps_the_sum() {
        let text = TimeTree::new("step", &example()).table(2, 0.25).plain();
        let shares = |level: usize| -> f64 {
            let at = |l: &&str| l.len() - l.trim_start().len() == 2 * level;
            let share = |l: &str| l.trim_end_matches(" %").rsplit(' ').next()?.parse::<f64>().ok();
            text.lines().skip(1).filter(at).filter_map(share).sum()
        };
        assert_eq!((shares(0), shares(1), shares(2)), (100.0, 100.0, 80.0), "{text}");
        assert_eq!(text.matches("(1 small scope)").count(), 2, "{text}");
        assert!(!text.contains("conv"), "deeper than asked for: {text}");
    }

    #[test]
    fn kernels_are_added_up_and_sorted() {
        let all = by_kernel(&example());
        let line = |k: &KernelTime| (k.kernel, k.dispatches, k.seconds);
        let got: Vec<_> = all.iter().map(line).collect();
        assert_eq!(got, [("gemm", 3, 6.0), ("add", 1, 2.0), ("copy", 1, 2.0)]);
        assert!(by_kernel(&[]).is_empty() && TimeTree::new("", &[]).share(0.0) == 0.0);
    }
}
