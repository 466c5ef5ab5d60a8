//! A write-ahead log as far as it matters here: which history its bytes belong to, and where it ends.
//!
//! Every promotion begins a *branch*, named by a number that the world gives only once. PostgreSQL itself knows only
//! timelines, and two servers can give the same number to different branches; so this file answers both questions, what
//! is really common and what PostgreSQL's tools take to be common.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub branch: u32,
    pub timeline: u32,
    pub start: u64,
    pub end: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wal {
    segments: Vec<Segment>,
}

impl Wal {
    /// What initdb leaves.
    pub fn new(branch: u32, end: u64) -> Self {
        Self { segments: vec![Segment { branch, timeline: 1, start: 0, end }] }
    }

    fn last(&self) -> &Segment {
        &self.segments[self.segments.len() - 1]
    }

    pub fn end(&self) -> u64 {
        self.last().end
    }

    pub fn branch(&self) -> u32 {
        self.last().branch
    }

    pub fn timeline(&self) -> u32 {
        self.last().timeline
    }

    pub fn extend_to(&mut self, end: u64) {
        if let Some(last) = self.segments.last_mut() {
            last.end = last.end.max(end);
        }
    }

    /// A promotion: the next timeline that is not taken begins where this one ends.
    pub fn fork(&mut self, branch: u32, taken: u32) {
        let (timeline, start) = (self.timeline().max(taken) + 1, self.end());
        self.segments.push(Segment { branch, timeline, start, end: start });
    }

    /// Everything before `end`.
    #[must_use]
    pub fn up_to(&self, end: u64) -> Self {
        let kept = self.segments.iter().enumerate().filter(|(at, segment)| *at == 0 || segment.start < end);
        let segments = kept.map(|(_, segment)| Segment { end: segment.end.min(end), ..segment.clone() }).collect();
        Self { segments }
    }

    /// Does it hold the record of this branch that ends there?
    pub fn contains(&self, branch: u32, end: u64) -> bool {
        self.segments.iter().any(|segment| segment.branch == branch && segment.end >= end)
    }

    /// Up to where both have the same bytes.
    pub fn common(&self, other: &Self) -> u64 {
        let mut common = 0;
        for (mine, theirs) in self.segments.iter().zip(&other.segments) {
            if mine.branch != theirs.branch {
                break;
            }
            common = mine.end.min(theirs.end);
            if mine.end != theirs.end {
                break;
            }
        }
        common
    }

    /// All of `self` is the beginning of `other`.
    pub fn is_prefix_of(&self, other: &Self) -> bool {
        self.common(other) >= self.end()
    }

    /// A walsender takes it to be so: it compares timelines and positions, and cannot see into them. (Where both have a
    /// record's end at that position, the standby notices nothing either.)
    pub fn seems_prefix_of(&self, other: &Self) -> bool {
        let (count, last) = (self.segments.len(), self.last());
        let pairs = self.segments.iter().zip(&other.segments);
        let same =
            pairs.take_while(|(mine, theirs)| (mine.timeline, mine.start) == (theirs.timeline, theirs.start)).count();
        same == count && other.segments.get(count - 1).is_some_and(|theirs| last.end <= theirs.end)
    }

    /// Timeline and where it was left, for every one but the present: a history file.
    pub fn history(&self) -> Vec<(u32, u64)> {
        let ended = &self.segments[..self.segments.len() - 1];
        ended.iter().map(|segment| (segment.timeline, segment.end)).collect()
    }

    /// Where pg_rewind takes the histories to have parted (`findCommonAncestorTimeline`): it compares timelines and
    /// where they began, and cannot see into them. `None`: nothing in common.
    pub fn apparent_common(&self, source: &Self) -> Option<u64> {
        let same = self
            .segments
            .iter()
            .zip(&source.segments)
            .take_while(|(mine, theirs)| mine.timeline == theirs.timeline && mine.start == theirs.start)
            .count();
        let at = same.checked_sub(1)?;
        let end_of = |wal: &Self| if at + 1 < wal.segments.len() { wal.segments[at].end } else { u64::MAX };
        Some(end_of(self).min(end_of(source)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_part_where_branches_differ_and_tools_see_only_timelines() {
        let mut old = Wal::new(1, 100);
        let mut new = old.clone();
        old.fork(2, 1);
        old.extend_to(150);
        new.extend_to(120);
        assert_eq!((old.common(&new), new.common(&old)), (100, 100));
        new.fork(3, 1);
        new.extend_to(400);
        assert_eq!(old.common(&new), 100);
        assert_eq!(old.apparent_common(&new), Some(100), "their second timelines began at different places");
        assert!(new.contains(1, 120) && !old.contains(1, 120) && !new.contains(2, 110));
        assert_eq!(new.history(), [(1, 120)]);
        let copy = new.up_to(110);
        assert_eq!((copy.end(), copy.timeline()), (110, 1));
        assert!(copy.is_prefix_of(&new) && !old.is_prefix_of(&new));
        let mut twin = Wal::new(1, 100);
        twin.fork(9, 0);
        twin.extend_to(170);
        assert_eq!(old.apparent_common(&twin), Some(u64::MAX), "the same timeline, begun at the same place");
        assert_eq!(old.common(&twin), 100);
        assert!(old.seems_prefix_of(&twin) && !old.is_prefix_of(&twin) && !old.seems_prefix_of(&new));
    }
}
