//! A replication stream as far as it matters here: whose writes it holds, and how many.
//!
//! Every promotion begins a *branch*, named by a number that the world gives only once; it is the replication id, too.

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    branch: u32,
    end: u64,
}

/// One byte, one write, one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    segments: Vec<Segment>,
}

impl Stream {
    pub fn end(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end)
    }

    pub fn branch(&self) -> u32 {
        self.segments.last().map_or(0, |segment| segment.branch)
    }

    /// The branch with which all of this began. Two streams with different roots have nothing in common.
    pub fn root(&self) -> u32 {
        self.segments.first().map_or(0, |segment| segment.branch)
    }

    /// One more write; where it ends.
    pub fn append(&mut self) -> u64 {
        if let Some(last) = self.segments.last_mut() {
            last.end += 1;
        }
        self.end()
    }

    pub fn fork(&mut self, branch: u32) {
        let end = self.end();
        if end == 0 {
            self.segments.clear();
        }
        self.segments.push(Segment { branch, end });
    }

    /// Does it hold the write of this branch that ends there?
    pub fn contains(&self, branch: u32, end: u64) -> bool {
        self.segments.iter().any(|segment| segment.branch == branch && segment.end >= end)
    }

    /// Everything up to there.
    #[must_use]
    pub fn up_to(&self, end: u64) -> Self {
        let mut start = 0;
        let mut kept = Self::default();
        for segment in &self.segments {
            if start > end {
                break;
            }
            kept.segments.push(Segment { branch: segment.branch, end: segment.end.min(end) });
            start = segment.end;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_keeps_what_was_before_it() {
        let mut stream = Stream::default();
        stream.fork(1);
        stream.append();
        stream.append();
        let mut other = stream.clone();
        stream.append();
        other.fork(2);
        assert_eq!(other.append(), 3);
        assert!(other.contains(1, 2) && !other.contains(1, 3) && other.contains(2, 3));
        assert_eq!((other.root(), other.branch(), other.end()), (1, 2, 3));
        assert_eq!(other.up_to(1).end(), 1);
    }
}
