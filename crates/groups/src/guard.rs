//! How many may leave one group at once, whatever room the window has.

/// The limits of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// From so many members on, a group is measured in percent.
    pub large: usize,
    /// Of a large group, so many percent.
    pub percent: usize,
    /// Of a smaller one, or a protected one, so many.
    pub count: usize,
    /// So many more, each of whom the directory, asked for them alone, says that their access should go.
    pub leavers: usize,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self { large: 8, percent: 25, count: 2, leavers: 20 }
    }
}

impl GroupLimits {
    /// Why so many may not leave a group of `members`, if they may not. `left` is how many the source has.
    pub fn stops(&self, leaving: usize, members: usize, source: usize, is_protected: bool) -> Option<String> {
        if leaving == 0 {
            return None;
        }
        if source == 0 {
            return Some(format!("the source is empty, and all {members} members would leave"));
        }
        if members >= self.large && !is_protected {
            return (leaving * 100 > members * self.percent).then(|| {
                format!("{leaving} of {members} members would leave, more than {} %", self.percent)
            });
        }
        let kind = if is_protected { "a protected group" } else { "a small group" };
        (leaving > self.count)
            .then(|| format!("{leaving} of {members} members would leave {kind}, more than {}", self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_may_leave_and_nobody_an_emptied_source() {
        let stops = |leaving, members, source, protected| {
            GroupLimits::default().stops(leaving, members, source, protected).is_some()
        };
        assert!(!stops(0, 0, 0, false) && !stops(0, 5, 0, false));
        assert!(!stops(2, 8, 6, false) && stops(3, 8, 5, false), "25 % of a group of 8 or more");
        assert!(!stops(25, 100, 75, false) && stops(26, 100, 74, false));
        assert!(!stops(2, 7, 5, false) && stops(3, 7, 4, false), "2 of a smaller one");
        assert!(!stops(2, 100, 98, true) && stops(3, 100, 97, true), "2 of a protected one");
        assert!(stops(1, 1, 0, false), "nobody leaves because the source is empty");
    }
}
