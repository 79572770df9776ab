//! Messages of one sort are said a few times, and then counted.

use std::collections::BTreeMap;

/// How often one sort of messages is said.
const MOST: usize = 10;

/// Sorts that are told apart; what comes beyond is one.
const SORTS: usize = 20;

/// What was said, by its sort.
#[derive(Debug, Default)]
pub struct Few(BTreeMap<String, usize>);

impl Few {
    /// Whether a message of this sort is to be said. What follows a colon in `sort` are particulars.
    pub fn says(&mut self, sort: &str) -> bool {
        let sort = sort.split(':').next().unwrap_or_default();
        let known = self.0.len() < SORTS || self.0.contains_key(sort);
        let said = self.0.entry(if known { sort } else { "other messages" }.into()).or_default();
        *said += 1;
        *said <= MOST
    }

    /// A line for each sort of which something was not said.
    pub fn rest(&self) -> Vec<String> {
        let more = self.0.iter().filter(|(_, n)| **n > MOST);
        more.map(|(sort, n)| format!("… and {} more of these: {sort}", n - MOST)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_a_count() {
        let mut few = Few::default();
        let said = (0..1000).filter(|i| few.says(&format!("cannot be read: {i}"))).count();
        assert!(few.says("not an image"));
        assert_eq!(
            (said, few.rest()),
            (10, vec!["… and 990 more of these: cannot be read".into()])
        );
        let said = (0..100_000).filter(|i| few.says(&format!("sort {i}"))).count();
        assert!(said < 300, "{said}");
        assert!(few.rest().last().unwrap().ends_with("other messages"));
    }
}
