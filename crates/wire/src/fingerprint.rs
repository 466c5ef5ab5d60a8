//! A checksum of the keys at a revision: the same on every member, so that members can be compared.
//!
//! Not etcd's number, which depends on its file format; only equality means something.

use kv::{KeyRange, Kv, KvError, RangeRequest};
use types::Revision;

pub struct Fingerprint {
    pub hash: u32,
    pub revision: Revision,
    pub compact_revision: Revision,
}

/// `None`: of the newest revision.
pub fn fingerprint(kv: &Kv, revision: Option<Revision>) -> Result<Fingerprint, KvError> {
    let all = RangeRequest { revision, ..RangeRequest::all(KeyRange::From(vec![0])) };
    let mut hasher = crc32fast::Hasher::new();
    for found in kv.range(&all)?.kvs {
        // With their lengths, so that no two different stores run together to the same bytes.
        for bytes in [&found.key, &found.value] {
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        }
        let lease = found.lease.map_or(0, |lease| lease.0);
        for number in [found.create_revision.0, found.mod_revision.0, found.version, lease] {
            hasher.update(&number.to_be_bytes());
        }
    }
    Ok(Fingerprint {
        hash: hasher.finalize(),
        revision: revision.unwrap_or(kv.revision()),
        compact_revision: kv.compact_revision(),
    })
}
