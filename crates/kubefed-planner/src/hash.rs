//! The two hashes that break ties.

/// Offset basis of 32-bit FNV.
pub(crate) const FNV1_BASIS: u32 = 0x811c_9dc5;
const FNV1_PRIME: u32 = 0x0100_0193;

/// Continues a 32-bit FNV-1 hash (multiply, then xor) over `bytes`.
///
/// The original hashes the cluster name followed directly by the key, so the state after the name
/// can be kept and continued with any key.
pub(crate) fn fnv1(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |hash, &byte| {
        hash.wrapping_mul(FNV1_PRIME) ^ u32::from(byte)
    })
}

/// Continues many FNV-1 states over the same bytes. One state is a chain of dependent
/// multiplications; several chains side by side keep the multiplier busy.
///
/// The states are widened, since baseline vector units multiply 32 bits to 64 at once, but not to 32.
pub(crate) fn fnv1_lanes<const LANES: usize>(states: &[u32; LANES], bytes: &[u8]) -> [u32; LANES] {
    let mut wide = states.map(u64::from);
    for &byte in bytes {
        for state in &mut wide {
            let low = *state & u64::from(u32::MAX);
            *state = (low * u64::from(FNV1_PRIME)) ^ u64::from(byte);
        }
    }
    wide.map(|state| state as u32)
}

/// FNV-1 over certain bytes, for any number of states: one multiplication and one look-up each.
///
/// A byte is mixed into the low byte of the state only, and the low byte of a product is that of its
/// factors. So what the mixing adds depends on nothing but the low byte of the state.
pub(crate) struct Continuation {
    factor: u32,
    offsets: [u32; 256],
}

impl Continuation {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let factor = bytes
            .iter()
            .fold(1, |factor: u32, _| factor.wrapping_mul(FNV1_PRIME));
        let mut offsets = core::array::from_fn(|low| low as u32);
        let (blocks, _) = offsets.as_chunks_mut::<16>();
        for block in blocks {
            let lows = *block;
            *block = fnv1_lanes(block, bytes);
            for (offset, low) in block.iter_mut().zip(lows) {
                *offset = offset.wrapping_sub(low.wrapping_mul(factor));
            }
        }
        Self { factor, offsets }
    }

    /// What [`fnv1`] gives for this state.
    pub(crate) fn apply(&self, state: u32) -> u32 {
        let offset = self.offsets[usize::from(state as u8)];
        state.wrapping_mul(self.factor).wrapping_add(offset)
    }
}

/// A 64-bit digest of a text: FNV-1a, then a finalizer that spreads every bit over the whole word.
///
/// FNV alone is uneven on texts that differ in their last digits only, as names and keys do.
pub(crate) fn digest(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

/// The finalizer of SplitMix64: a bijection in which every input bit reaches every output bit.
pub(crate) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1_gives_the_known_answers() {
        let cases = [
            ("", "", 0x811c_9dc5),
            ("A", "", 0x050c_5d5e),
            ("C", "", 0x050c_5d5c),
            ("cluster1", "", 0x5668_8f7e),
            ("A", "ns/web", 0xc3dc_dae0),
            ("B", "ns/web", 0xb179_15ab),
            ("C", "ns/web", 0xc672_8f0a),
            ("A", "default/nginx", 0x202c_1b7c),
            ("cluster2", "ns/web", 0xa8f6_984b),
        ];
        for (name, key, expected) in cases {
            let state = fnv1(FNV1_BASIS, name.as_bytes());
            assert_eq!(fnv1(state, key.as_bytes()), expected, "{name:?} {key:?}");
            let lanes = fnv1_lanes(&[state; 5], key.as_bytes());
            assert_eq!(lanes, [expected; 5], "{name:?} {key:?}");
            let continued = Continuation::of(key.as_bytes()).apply(state);
            assert_eq!(continued, expected, "{name:?} {key:?}");
        }
    }
}
