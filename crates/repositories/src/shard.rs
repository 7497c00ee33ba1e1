//! A fixed share of an organisation's repositories. With shares, several jobs can divide the work
//! of a sweep.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The share with number `index`. The total number of shares is `of`. The number of the first share
/// is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    of: u64,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 1, of: 1 }
    }
}

impl Shard {
    /// Returns the total number of shares.
    pub fn of(self) -> u64 {
        self.of
    }

    /// Returns the part of a limit that this share is allowed to use. If the limit cannot be
    /// divided equally, each of the first shares gets 1 more than the other shares.
    pub fn part(self, limit: u32) -> u32 {
        let part = u64::from(limit) / self.of + u64::from(self.index <= u64::from(limit) % self.of);
        u32::try_from(part).unwrap_or(limit)
    }

    /// Returns the number of this share. The number of the first share is 1.
    pub fn index(self) -> u64 {
        self.index
    }

    /// Returns whether this share also does the work that does not belong to a single repository.
    pub fn is_first(self) -> bool {
        self.index == 1
    }

    /// Returns whether a repository belongs to this share. The result depends only on a hash of the
    /// repository's id. So if somebody creates or deletes a repository, the other repositories stay
    /// in their shares.
    pub fn holds(self, repository: u64) -> bool {
        let hash = Sha256::digest(repository.to_string());
        let number = hash.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        number % self.of == self.index - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((index, of)) if 1 <= index && index <= of => Ok(Self { index, of }),
            _ => Err(format!("invalid shard `{text}`: use a value from `1/4` to `4/4`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_every_number_of_shards_each_repository_is_in_exactly_one() {
        for of in 1..=64 {
            let mut sizes = vec![0u32; usize::try_from(of).unwrap()];
            for repository in (0..2000).map(|n| n * 7919 + 1_296_269) {
                let holders: Vec<u64> =
                    (1..=of).filter(|index| Shard { index: *index, of }.holds(repository)).collect();
                assert_eq!(holders.len(), 1, "{repository} of {of}");
                sizes[usize::try_from(holders[0] - 1).unwrap()] += 1;
            }
            let fair = 2000 / u32::try_from(of).unwrap();
            assert!(sizes.iter().all(|size| *size > fair / 3 && *size < fair * 3 + 3), "{of}: {sizes:?}");
        }
    }

    #[test]
    fn the_share_of_an_id_is_the_same_for_ever() {
        // The hash must not change. With a different hash function, a repository could move to a
        // different share.
        let shares: Vec<u64> = [1u64, 2, 3, 1_296_269]
            .iter()
            .map(|id| (1..=8).find(|index| Shard { index: *index, of: 8 }.holds(*id)).unwrap())
            .collect();
        assert_eq!(shares, [2, 7, 4, 7]);
    }

    #[test]
    fn a_shard_is_written_as_a_fraction() {
        assert_eq!("3/4".parse::<Shard>().unwrap().to_string(), "3/4");
        for bad in ["", "0/4", "5/4", "1", "a/b", "1/0"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad} was taken");
        }
    }
}
